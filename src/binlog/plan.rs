//! How to read a table's rows: its schema checked against a TABLE_MAP, compiled once and used for every row.
//!
//! The TABLE_MAP says how values are written, the schema what they mean. Whatever the TABLE_MAP does say must agree with
//! the schema; a disagreement means that the table was changed without our knowing, and is an error.

use super::decimal;
use super::reader::Reader;
use super::table_map::{Definition, Optional, TableMapHead, Wire, next_optional};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::BinlogOffset;
use crate::schema::{Charset, Column, SourceType, TableSchema};
use std::fmt::Display;
use std::sync::Arc;

/// How one column's values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnPlan {
    /// Signed, of so many bytes.
    Int(u8),
    /// Unsigned, of so many bytes.
    UInt(u8),
    Float,
    Double,
    Year,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// So many bytes, big-endian.
    Bit(u8),
    Date,
    Time1,
    DateTime1,
    Timestamp1,
    Time2(u8),
    DateTime2(u8),
    Timestamp2(u8),
    /// So many bytes.
    Enum(u8),
    Set(u8),
    /// A length of so many bytes, then the value as it is.
    Bytes(u8),
    /// The same with MySQL's binary JSON; empty is NULL.
    Json(u8),
    /// The same as MariaDB packs the values of COMPRESSED columns; is unpacked before it is read.
    Compressed(u8),
    /// A JSON document that has been made text, behind a length of four bytes; empty is NULL.
    JsonText,
}

impl ColumnPlan {
    /// How the column is read from rows that were written a second time.
    fn unpacked(self) -> Self {
        match self {
            Self::Compressed(_) => Self::Bytes(4),
            Self::Json(_) => Self::JsonText,
            other => other,
        }
    }
}

/// A replicated table, ready to read its rows.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub schema: Arc<TableSchema>,
    pub columns: Vec<ColumnPlan>,
    /// The same for rows that were written a second time (`unpack`).
    pub unpacked: Vec<ColumnPlan>,
    /// Whether there are COMPRESSED columns.
    pub compressed: bool,
}

impl TablePlan {
    /// Checks a TABLE_MAP against the schema of its table. `at` is where it stands.
    pub fn compile(schema: &Arc<TableSchema>, head: &TableMapHead<'_>, at: &BinlogOffset) -> Result<Self> {
        let definition = Definition::read(head)
            .map_err(|what| corrupt(format!("damaged TABLE_MAP of {} at {at}: {what}", schema.name)))?;
        let check = Check { schema, at };
        if definition.columns.len() != schema.columns.len() {
            let (logged, known) = (definition.columns.len(), schema.columns.len());
            return Err(check.error(format!("the binlog has {logged} columns, the known schema has {known}")));
        }
        let plan = |(column, wire): (&Column, &Wire)| {
            column_plan(&column.ty, *wire).ok_or_else(|| check.types(&column.name, *wire, &column.declared))
        };
        let columns: Vec<_> = schema.columns.iter().zip(&definition.columns).map(plan).collect::<Result<_>>()?;
        check.optional(&definition)?;
        let unpacked = columns.iter().map(|plan| plan.unpacked()).collect();
        let compressed = columns.iter().any(|plan| matches!(plan, ColumnPlan::Compressed(_)));
        Ok(Self { schema: Arc::clone(schema), columns, unpacked, compressed })
    }
}

/// The plan for a column, or `None` when its values are not written as the schema would have it.
fn column_plan(ty: &SourceType, wire: Wire) -> Option<ColumnPlan> {
    use ColumnPlan as P;
    use SourceType as T;
    /// The length prefix of CHAR, BINARY, VARCHAR, VARBINARY.
    fn prefixed(bytes: u16) -> ColumnPlan {
        P::Bytes(if bytes > 255 { 2 } else { 1 })
    }
    let packed = |bytes: u16| P::Compressed(if bytes > 255 { 2 } else { 1 });
    let is_length = |bytes: u8| (1..=4).contains(&bytes);
    let same = |condition: bool, plan: P| condition.then_some(plan);
    match (ty, wire) {
        (T::Int { bytes, unsigned: false, .. }, Wire::Int(b)) => same(*bytes == b, P::Int(b)),
        (T::Int { bytes, unsigned: true, .. }, Wire::Int(b)) => same(*bytes == b, P::UInt(b)),
        (T::Year, Wire::Year) => Some(P::Year),
        (T::Decimal { precision: p, scale: s, .. }, Wire::Decimal { precision, scale }) => {
            same(*p == precision && *s == scale && decimal::valid(*p, *s), P::Decimal { precision, scale })
        }
        (T::Float, Wire::Float) => Some(P::Float),
        (T::Double, Wire::Double) => Some(P::Double),
        (T::Bit { bits }, Wire::Bit(b)) => same(u16::from(*bits) == b && b <= 64, P::Bit(bits.div_ceil(8))),
        (T::Date, Wire::Date) => Some(P::Date),
        (T::Time { fsp: 0 }, Wire::Time1) => Some(P::Time1),
        (T::DateTime { fsp: 0 }, Wire::DateTime1) => Some(P::DateTime1),
        (T::Timestamp { fsp: 0 }, Wire::Timestamp1) => Some(P::Timestamp1),
        (T::Time { fsp }, Wire::Time2(f)) => same(*fsp == f && f <= 6, P::Time2(f)),
        (T::DateTime { fsp }, Wire::DateTime2(f)) => same(*fsp == f && f <= 6, P::DateTime2(f)),
        (T::Timestamp { fsp }, Wire::Timestamp2(f)) => same(*fsp == f && f <= 6, P::Timestamp2(f)),
        (T::Char { chars, charset }, Wire::String(bytes)) | (T::VarChar { chars, charset }, Wire::VarChar(bytes)) => {
            same(holds(*chars, charset, bytes), prefixed(bytes))
        }
        (T::Binary { len }, Wire::String(bytes)) | (T::VarBinary { len }, Wire::VarChar(bytes)) => {
            same(*len == u32::from(bytes), prefixed(bytes))
        }
        (T::Text { length_bytes, .. } | T::Blob { length_bytes }, Wire::Blob(b)) => {
            same(*length_bytes == b && is_length(b), P::Bytes(b))
        }
        // MariaDB's COMPRESSED: the longest value, and the byte before it
        (T::VarChar { chars, charset }, Wire::CompressedVarChar(bytes)) => {
            same(bytes > 0 && holds(*chars, charset, bytes - 1), packed(bytes))
        }
        (T::VarBinary { len }, Wire::CompressedVarChar(bytes)) => same(*len + 1 == u32::from(bytes), packed(bytes)),
        (T::Text { length_bytes, .. } | T::Blob { length_bytes }, Wire::CompressedBlob(b)) => {
            same(*length_bytes == b && is_length(b), P::Compressed(b))
        }
        (T::Enum { labels }, Wire::Enum(b)) => same(b == if labels.len() < 256 { 1 } else { 2 }, P::Enum(b)),
        (T::Set { members }, Wire::Set(b)) => same(b == set_bytes(members.len()), P::Set(b)),
        (T::Json { text: true }, Wire::Blob(b)) => same(is_length(b), P::Bytes(b)),
        (T::Json { text: false }, Wire::Json(b)) => same(is_length(b), P::Json(b)),
        (T::Geometry, Wire::Geometry(b)) | (T::Vector, Wire::Vector(b)) => same(is_length(b), P::Bytes(b)),
        (T::Vector, Wire::VarChar(bytes)) => Some(prefixed(bytes)), // MariaDB
        (T::Uuid | T::Inet6, Wire::String(16)) | (T::Inet4, Wire::String(4)) => Some(P::Bytes(1)),
        _ => None,
    }
}

/// Whether so many characters of a character set take so many bytes at most.
fn holds(chars: u32, charset: &Charset, bytes: u16) -> bool {
    charset.max_bytes().and_then(|width| chars.checked_mul(width)) == Some(u32::from(bytes))
}

/// Bytes of a SET with so many members.
fn set_bytes(members: usize) -> u8 {
    match members.div_ceil(8) {
        bytes @ 0..=4 => bytes.max(1) as u8,
        _ => 8,
    }
}

/// The comparison of one TABLE_MAP with one schema.
struct Check<'a> {
    schema: &'a TableSchema,
    at: &'a BinlogOffset,
}

impl Check<'_> {
    /// Compares whatever optional metadata there is.
    fn optional(&self, definition: &Definition<'_>) -> Result<()> {
        let mut rest = definition.optional;
        while let Some(piece) = next_optional(&mut rest) {
            let agreed = match piece {
                Ok(Optional::Signedness(bits)) => self.signedness(bits, &definition.columns)?,
                Ok(Optional::Names(names)) => self.names(names)?,
                Ok(Optional::EnumLabels(labels)) => self.labels(labels, |ty| match ty {
                    SourceType::Enum { labels } => Some(labels),
                    _ => None,
                })?,
                Ok(Optional::SetMembers(members)) => self.labels(members, |ty| match ty {
                    SourceType::Set { members } => Some(members),
                    _ => None,
                })?,
                Ok(Optional::Other) => Some(()),
                Err(()) => None,
            };
            if agreed.is_none() {
                return Err(corrupt(format!(
                    "truncated metadata in the TABLE_MAP of {} at {}",
                    self.schema.name, self.at
                )));
            }
        }
        Ok(())
    }

    fn signedness(&self, bits: &[u8], wires: &[Wire]) -> Result<Option<()>> {
        let numeric = self.schema.columns.iter().zip(wires).filter(|(_, wire)| wire.is_numeric());
        for (i, (column, wire)) in numeric.enumerate() {
            let Some(byte) = bits.get(i / 8) else { return Ok(None) };
            let logged = byte & (0x80 >> (i % 8)) != 0;
            if let SourceType::Int { unsigned, .. } = &column.ty
                && *unsigned != logged
            {
                let sign = if logged { "unsigned" } else { "signed" };
                return Err(self.types(&column.name, format_args!("{sign} {wire}"), &column.declared));
            }
        }
        Ok(Some(()))
    }

    fn names(&self, mut names: Reader<'_>) -> Result<Option<()>> {
        for (i, column) in self.schema.columns.iter().enumerate() {
            let Some(logged) = names.lenenc_bytes() else { return Ok(None) };
            let logged = String::from_utf8_lossy(logged);
            if logged.to_lowercase() != column.name.to_lowercase() {
                let place = i + 1;
                return Err(self.error(format!(
                    "column {place} is called {logged} in the binlog, {} in the known schema",
                    column.name
                )));
            }
        }
        Ok(Some(()))
    }

    /// Labels are in the column's character set: only plain ASCII can be compared, their number always.
    fn labels(&self, mut pieces: Reader<'_>, of: fn(&SourceType) -> Option<&Vec<String>>) -> Result<Option<()>> {
        for column in &self.schema.columns {
            let Some(known) = of(&column.ty) else { continue };
            let Some(count) = pieces.lenenc() else { return Ok(None) };
            let mut equal = count == known.len() as u64;
            for i in 0..count {
                let Some(logged) = pieces.lenenc_bytes() else { return Ok(None) };
                let plain = logged.is_ascii() && !logged.contains(&0);
                let known = usize::try_from(i).ok().and_then(|i| known.get(i));
                equal &= !plain || known.is_none_or(|known| known.as_bytes() == logged);
            }
            if !equal {
                return Err(self.types(&column.name, "other labels", &column.declared));
            }
        }
        Ok(Some(()))
    }

    fn types(&self, column: &str, logged: impl Display, known: &str) -> Error {
        self.error(format!("column {column} is {logged} in the binlog, {known} in the known schema"))
    }

    fn error(&self, detail: String) -> Error {
        Error::new(
            ErrorKind::SchemaMismatch,
            format!("rows of {} at {} do not match the known schema", self.schema.name, self.at),
        )
        .detail(detail)
        .with_hint("copy anew under the new schema: `sirenia reset --yes` and `sirenia run`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf8mb4() -> Charset {
        Charset { name: "utf8mb4".into(), collation: "utf8mb4_general_ci".into() }
    }

    #[test]
    fn types_must_agree_in_size_and_kind() {
        let int = |bytes, unsigned| SourceType::Int { bytes, unsigned, boolean: false };
        assert_eq!(column_plan(&int(4, true), Wire::Int(4)), Some(ColumnPlan::UInt(4)));
        assert_eq!(column_plan(&int(4, false), Wire::Int(8)), None);
        let text = SourceType::VarChar { chars: 64, charset: utf8mb4() };
        assert_eq!(column_plan(&text, Wire::VarChar(256)), Some(ColumnPlan::Bytes(2)));
        assert_eq!(column_plan(&text, Wire::VarChar(255)), None);
        assert_eq!(column_plan(&text, Wire::CompressedVarChar(257)), Some(ColumnPlan::Compressed(2)));
        assert_eq!(column_plan(&text, Wire::CompressedVarChar(256)), None);
        assert_eq!(column_plan(&SourceType::Time { fsp: 3 }, Wire::Time2(6)), None);
        assert_eq!(column_plan(&SourceType::Time { fsp: 3 }, Wire::Time1), None);
        let decimal = SourceType::Decimal { precision: 10, scale: 2, unsigned: false };
        assert_eq!(column_plan(&decimal, Wire::Decimal { precision: 10, scale: 3 }), None);
        let wide = SourceType::Enum { labels: vec![String::new(); 256] };
        assert_eq!(column_plan(&wide, Wire::Enum(2)), Some(ColumnPlan::Enum(2)));
        assert_eq!([1, 8, 9, 24, 32, 33, 64].map(set_bytes), [1, 1, 2, 3, 4, 8, 8]);
    }
}
