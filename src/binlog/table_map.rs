//! TABLE_MAP: which table the rows events that follow belong to, and how its columns are written.
//!
//! Reads the event; what it means for a known table is [`super::plan`]'s part.

use super::reader::Reader;
use std::fmt;

/// How a column's values are written, after the type code and its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// 1, 2, 3, 4 or 8 bytes.
    Int(u8),
    Float,
    Double,
    Year,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Bit(u16),
    Date,
    /// First generation: without a fraction.
    Time1,
    DateTime1,
    Timestamp1,
    /// Second generation: with digits after the second's point.
    Time2(u8),
    DateTime2(u8),
    Timestamp2(u8),
    /// Maximum length in bytes.
    VarChar(u16),
    String(u16),
    /// Bytes of a value.
    Enum(u8),
    Set(u8),
    /// Bytes of the length prefix.
    Blob(u8),
    Json(u8),
    Geometry(u8),
    Vector(u8),
    /// MariaDB's COMPRESSED columns.
    CompressedVarChar(u16),
    CompressedBlob(u8),
}

impl Wire {
    /// Whether SIGNEDNESS has a bit for it.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Int(_) | Self::Float | Self::Double | Self::Year | Self::Decimal { .. })
    }

    /// Reads a column's metadata; `None` when it ends or the type is unknown.
    fn read(code: u8, meta: &mut Reader<'_>) -> Option<Self> {
        Some(match code {
            1 => Self::Int(1),
            2 => Self::Int(2),
            9 => Self::Int(3),
            3 => Self::Int(4),
            8 => Self::Int(8),
            4 => meta.u8().map(|_| Self::Float)?,
            5 => meta.u8().map(|_| Self::Double)?,
            7 => Self::Timestamp1,
            10 | 14 => Self::Date,
            11 => Self::Time1,
            12 => Self::DateTime1,
            13 => Self::Year,
            15 => Self::VarChar(meta.u16()?),
            16 => {
                let [bits, bytes] = meta.array()?;
                Self::Bit(u16::from(bytes) * 8 + u16::from(bits))
            }
            17 => Self::Timestamp2(meta.u8()?),
            18 => Self::DateTime2(meta.u8()?),
            19 => Self::Time2(meta.u8()?),
            140 => Self::CompressedBlob(meta.u8()?),
            141 => Self::CompressedVarChar(meta.u16()?),
            242 => Self::Vector(meta.u8()?),
            245 => Self::Json(meta.u8()?),
            246 => {
                let [precision, scale] = meta.array()?;
                Self::Decimal { precision, scale }
            }
            247 | 248 | 253 | 254 => Self::string(code, meta.array()?),
            249..=252 => Self::Blob(meta.u8()?),
            255 => Self::Geometry(meta.u8()?),
            _ => return None,
        })
    }

    /// STRING: the real type and the length; lengths above 255 put two inverted bits into the type byte
    /// (`Field_string::do_save_field_metadata`).
    fn string(code: u8, [real, length]: [u8; 2]) -> Self {
        const ENUM: u8 = 247;
        const SET: u8 = 248;
        let (real, length) = match real {
            ENUM | SET => (real, u16::from(length)),
            _ if code == ENUM || code == SET => (code, u16::from(length)),
            _ => (code, u16::from(length) | u16::from((real & 0x30) ^ 0x30) << 4),
        };
        match real {
            ENUM => Self::Enum(length as u8),
            SET => Self::Set(length as u8),
            _ => Self::String(length),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(bytes) => write!(f, "integer of {bytes} bytes"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Year => f.write_str("year"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Bit(bits) => write!(f, "bit({bits})"),
            Self::Date => f.write_str("date"),
            Self::Time1 => f.write_str("time of the first generation"),
            Self::DateTime1 => f.write_str("datetime of the first generation"),
            Self::Timestamp1 => f.write_str("timestamp of the first generation"),
            Self::Time2(fsp) => write!(f, "time({fsp})"),
            Self::DateTime2(fsp) => write!(f, "datetime({fsp})"),
            Self::Timestamp2(fsp) => write!(f, "timestamp({fsp})"),
            Self::VarChar(bytes) => write!(f, "varchar of {bytes} bytes"),
            Self::String(bytes) => write!(f, "char of {bytes} bytes"),
            Self::Enum(bytes) => write!(f, "enum of {bytes} bytes"),
            Self::Set(bytes) => write!(f, "set of {bytes} bytes"),
            Self::Blob(bytes) => write!(f, "blob or text with {bytes} length bytes"),
            Self::Json(_) => f.write_str("json"),
            Self::Geometry(_) => f.write_str("geometry"),
            Self::Vector(_) => f.write_str("vector"),
            Self::CompressedVarChar(_) => f.write_str("compressed varchar"),
            Self::CompressedBlob(_) => f.write_str("compressed blob or text"),
        }
    }
}

/// The beginning of a TABLE_MAP, enough to know whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableMapHead<'a> {
    /// The number that rows events refer to.
    pub id: u64,
    /// Database and table as written: length, name, NUL, twice. Serves as a key without allocating.
    pub name: &'a [u8],
    /// Everything from the names on: what must be equal for a plan to be used again.
    pub definition: &'a [u8],
}

impl<'a> TableMapHead<'a> {
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let id = reader.uint(6)?;
        reader.u16()?; // flags
        let definition = reader.rest();
        for _ in 0..2 {
            let len = usize::from(reader.u8()?);
            reader.bytes(len + 1)?;
        }
        let name = &definition[..definition.len() - reader.rest().len()];
        Some(Self { id, name, definition })
    }
}

/// The key of [`TableMapHead::name`] for a table; `None` for names longer than a server can have.
pub(super) fn name_key(database: &str, table: &str) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(database.len() + table.len() + 4);
    for name in [database, table] {
        key.push(u8::try_from(name.len()).ok()?);
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    Some(key)
}

/// The columns of a TABLE_MAP.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    pub columns: Vec<Wire>,
    /// The optional metadata: type, length, value, over and over.
    pub optional: Reader<'a>,
}

impl<'a> Definition<'a> {
    /// Reads what follows the names. The error names what is wrong.
    pub fn read(head: &TableMapHead<'a>) -> Result<Self, String> {
        let mut reader = Reader::new(&head.definition[head.name.len()..]);
        let count = reader.lenenc().and_then(|count| usize::try_from(count).ok()).ok_or("no column count")?;
        let types = reader.bytes(count).ok_or("fewer types than columns")?;
        let mut meta = Reader::new(reader.lenenc_bytes().ok_or("truncated metadata")?);
        let columns = types
            .iter()
            .enumerate()
            .map(|(i, code)| {
                Wire::read(*code, &mut meta).ok_or_else(|| format!("type {code} of column {} is unknown or cut", i + 1))
            })
            .collect::<Result<_, _>>()?;
        reader.bytes(count.div_ceil(8)).ok_or("truncated null bitmap")?;
        Ok(Self { columns, optional: reader })
    }
}

/// One piece of optional metadata that can be checked against a schema.
#[derive(Debug, Clone, Copy)]
pub(super) enum Optional<'a> {
    /// A bit per numeric column, the first one highest: set for UNSIGNED.
    Signedness(&'a [u8]),
    /// A length-encoded string per column.
    Names(Reader<'a>),
    /// Per SET column a count and so many length-encoded strings.
    SetMembers(Reader<'a>),
    /// Per ENUM column a count and so many length-encoded strings.
    EnumLabels(Reader<'a>),
    /// Character sets, keys, visibility and whatever else a newer server adds: the schema's business.
    Other,
}

/// Takes the next piece; `Some(Err(()))` when it is cut off.
pub(super) fn next_optional<'a>(reader: &mut Reader<'a>) -> Option<Result<Optional<'a>, ()>> {
    let kind = reader.u8()?;
    let Some(value) = reader.lenenc_bytes() else { return Some(Err(())) };
    Some(Ok(match kind {
        1 => Optional::Signedness(value),
        4 => Optional::Names(Reader::new(value)),
        5 => Optional::SetMembers(Reader::new(value)),
        6 => Optional::EnumLabels(Reader::new(value)),
        _ => Optional::Other,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn char_lengths_above_255_hide_in_the_type_byte() {
        // CHAR(200) utf8mb4: 800 = 0x320 bytes; 254 ^ (0x300 >> 4) = 0xCE
        assert_eq!(Wire::string(254, [0xCE, 0x20]), Wire::String(800));
        assert_eq!(Wire::string(254, [254, 20]), Wire::String(20));
        assert_eq!(Wire::string(254, [247, 2]), Wire::Enum(2));
        assert_eq!(Wire::string(254, [248, 8]), Wire::Set(8));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(head) = TableMapHead::read(&bytes)
                && let Ok(mut definition) = Definition::read(&head)
            {
                while let Some(Ok(_)) = next_optional(&mut definition.optional) {}
            }
        }
    }
}
