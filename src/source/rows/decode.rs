//! Rows as the server sent them, and the values in them.
//!
//! A row of the binary protocol is a zero byte, a bitmap of NULLs that begins at its third bit, and the other columns'
//! bytes one after the other, each as its type says. How each column is read is settled once for all rows of an answer, from
//! what the server says of it and what the schema does: a pair that does not belong together is an error at the first value
//! that is not NULL. Values are equal to what the binlog decoder makes of the same row ([`crate::source::snapshot::values`]).
//!
//! Whatever the bytes, reading them ends with a value or an error.

use super::statement::{Definition, wire};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::schema::{SourceType, TableSchema};
use crate::source::client::prefixed;
use crate::value::{Date, DateTime, Decimal, Time, ValueRef};
use std::sync::Arc;

/// Bytes of a buffer that are kept from one chunk to the next; a chunk of larger rows gives its memory back.
pub const KEPT: usize = 16 << 20;
/// Bits of the bitmap of NULLs before the first column's.
const BITS_BEFORE: usize = 2;

/// Some rows of one table.
#[derive(Debug)]
pub struct Rows {
    table: Arc<TableSchema>,
    reads: Vec<Read>,
    bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
}

/// How a column's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// A number of so many bytes.
    Int(u8),
    UInt(u8),
    Enum(u8),
    Set(u8),
    Float,
    Double,
    Decimal,
    Bit,
    Date,
    DateTime,
    Timestamp,
    Time,
    Bytes,
    /// The server sends something else than the schema says: NULL can be read, nothing else.
    Nothing,
}

/// Why a value cannot be read.
enum Unread {
    /// The bytes are no such value, or end within it.
    Damaged,
    /// It is none of the column's.
    Misfit,
}

impl Rows {
    /// None of this table yet.
    #[must_use]
    pub fn of(table: &Arc<TableSchema>) -> Self {
        Self { table: Arc::clone(table), reads: Vec::new(), bytes: Vec::new(), ends: Vec::new() }
    }

    /// None of this table yet, with memory for so many bytes of packets.
    #[must_use]
    pub fn with_capacity(table: &Arc<TableSchema>, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::of(table) }
    }

    /// None of another table yet, in the same memory.
    #[must_use]
    pub fn again(mut self, table: &Arc<TableSchema>) -> Self {
        self.clear();
        Self { table: Arc::clone(table), ..self }
    }

    /// Their table.
    #[must_use]
    pub fn table(&self) -> &TableSchema {
        &self.table
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the rows' packets.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The values of row `at`, in the order of the table's columns; `out` is cleared first.
    ///
    /// # Errors
    /// `SchemaMismatch` naming the column whose value is not what its type says; `Corrupt` for what is no row.
    pub fn values<'a>(&'a self, at: usize, out: &mut Vec<ValueRef<'a>>) -> Result<()> {
        out.clear();
        let end = self.ends.get(at).copied().unwrap_or(0);
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or(end) };
        let nulls = (self.reads.len() + BITS_BEFORE).div_ceil(8);
        let packet = self.bytes.get(start..end).unwrap_or_default();
        let Some((nulls, mut rest)) = packet.strip_prefix(&[0]).and_then(|rest| rest.split_at_checked(nulls)) else {
            return Err(self.damaged("row"));
        };
        for (column, read) in self.reads.iter().enumerate() {
            let bit = column + BITS_BEFORE;
            let value = match nulls[bit / 8] >> (bit % 8) & 1 {
                1 => Ok(ValueRef::Null),
                _ => read.value(&mut rest),
            };
            out.push(value.map_err(|unread| self.unread(column, &unread))?);
        }
        if rest.is_empty() { Ok(()) } else { Err(self.damaged("row")) }
    }

    /// Begins anew with the rows of an answer whose columns are these.
    ///
    /// # Errors
    /// `SchemaMismatch` when there are more or fewer than the table has.
    pub(in crate::source) fn begin(&mut self, definitions: &[Definition]) -> Result<()> {
        let columns = &self.table.columns;
        if definitions.len() != columns.len() {
            let counts = format!("{} columns read, {} known", definitions.len(), columns.len());
            return Err(Error::new(ErrorKind::SchemaMismatch, format!("{}: {counts}", self.table.name)));
        }
        self.reads.clear();
        self.reads.extend(columns.iter().zip(definitions).map(|(column, sent)| Read::of(&column.ty, *sent)));
        self.clear();
        Ok(())
    }

    /// Drops all rows.
    pub(in crate::source) fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }

    /// Where the next row's bytes are to be put.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was put there.
    pub(super) fn unsealed(&self) -> &[u8] {
        self.bytes.get(self.bytes()..).unwrap_or_default()
    }

    /// It is a row.
    pub(super) fn seal(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// It is none, and goes.
    pub(super) fn unseal(&mut self) {
        self.bytes.truncate(self.bytes());
    }

    /// Drops the last row.
    pub(super) fn pop(&mut self) {
        self.ends.pop();
        self.unseal();
    }

    fn unread(&self, column: usize, unread: &Unread) -> Error {
        let column = &self.table.columns[column];
        match unread {
            Unread::Damaged => self.damaged(&column.name),
            Unread::Misfit => {
                let message = format!("{}.{}: the value read is no {}", self.table.name, column.name, column.declared);
                Error::new(ErrorKind::SchemaMismatch, message)
            }
        }
    }

    fn damaged(&self, what: &str) -> Error {
        corrupt(format!("cannot read rows of {}", self.table.name)).detail(format!("what the server sent is no {what}"))
    }
}

impl Read {
    fn of(ty: &SourceType, sent: Definition) -> Self {
        use SourceType as T;
        let width = match sent.ty {
            wire::TINY => 1,
            wire::SHORT | wire::YEAR => 2,
            wire::LONG | wire::INT24 => 4,
            wire::LONGLONG => 8,
            _ => 0,
        };
        let is = |read, types: &[u8]| if types.contains(&sent.ty) { read } else { Self::Nothing };
        match ty {
            T::Int { unsigned: false, .. } if width > 0 && !sent.unsigned => Self::Int(width),
            T::Int { unsigned: true, .. } if width > 0 && sent.unsigned => Self::UInt(width),
            T::Year if width > 0 => Self::UInt(width),
            T::Enum { .. } if width > 0 => Self::Enum(width),
            T::Set { .. } if width > 0 => Self::Set(width),
            T::Int { .. } | T::Year | T::Enum { .. } | T::Set { .. } => Self::Nothing,
            T::Decimal { .. } => is(Self::Decimal, &[wire::NEWDECIMAL, wire::DECIMAL]),
            T::Float => is(Self::Float, &[wire::FLOAT]),
            T::Double => is(Self::Double, &[wire::DOUBLE]),
            T::Bit { .. } => is(Self::Bit, &[wire::BIT]),
            T::Date => is(Self::Date, &[wire::DATE, wire::NEWDATE]),
            T::DateTime { .. } => is(Self::DateTime, &[wire::DATETIME]),
            T::Timestamp { .. } => is(Self::Timestamp, &[wire::TIMESTAMP]),
            T::Time { .. } => is(Self::Time, &[wire::TIME]),
            T::Char { .. }
            | T::VarChar { .. }
            | T::Text { .. }
            | T::Binary { .. }
            | T::VarBinary { .. }
            | T::Blob { .. }
            | T::Json { .. }
            | T::Geometry
            | T::Vector
            | T::Uuid
            | T::Inet4
            | T::Inet6 => match sent.ty {
                wire::VARCHAR | wire::VECTOR | wire::JSON | wire::VAR_STRING | wire::STRING | wire::GEOMETRY => {
                    Self::Bytes
                }
                wire::TINY_BLOB..=wire::BLOB => Self::Bytes,
                _ => Self::Nothing,
            },
        }
    }

    fn value<'a>(self, rest: &mut &'a [u8]) -> std::result::Result<ValueRef<'a>, Unread> {
        let damaged = Unread::Damaged;
        Ok(match self {
            Self::Int(width) => {
                let unused = 64 - 8 * u32::from(width);
                ValueRef::Int((number(rest, width).ok_or(damaged)? << unused).cast_signed() >> unused)
            }
            Self::UInt(width) => ValueRef::UInt(number(rest, width).ok_or(damaged)?),
            Self::Enum(width) => {
                let number = number(rest, width).ok_or(damaged)?;
                ValueRef::Enum(u16::try_from(number).map_err(|_| Unread::Misfit)?)
            }
            Self::Set(width) => ValueRef::Set(number(rest, width).ok_or(damaged)?),
            Self::Float => ValueRef::Float(f32::from_le_bytes(array(rest).ok_or(damaged)?)),
            Self::Double => ValueRef::Double(f64::from_le_bytes(array(rest).ok_or(damaged)?)),
            Self::Decimal => {
                let text = prefixed(rest).ok_or(damaged)?;
                ValueRef::Decimal(decimal(text).ok_or(Unread::Misfit)?)
            }
            Self::Bit => match prefixed(rest).ok_or(damaged)? {
                bytes if bytes.len() <= 8 => {
                    ValueRef::Bit(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
                }
                _ => return Err(Unread::Misfit),
            },
            Self::Date => ValueRef::Date(date_time(rest).ok_or(damaged)?.date),
            Self::DateTime => ValueRef::DateTime(date_time(rest).ok_or(damaged)?),
            Self::Timestamp => ValueRef::timestamp(date_time(rest).ok_or(damaged)?),
            Self::Time => ValueRef::Time(time(rest).ok_or(damaged)?),
            Self::Bytes => ValueRef::Bytes(prefixed(rest).ok_or(damaged)?),
            Self::Nothing => return Err(Unread::Misfit),
        })
    }
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}

fn number(rest: &mut &[u8], width: u8) -> Option<u64> {
    Some(match width {
        1 => u64::from(u8::from_le_bytes(array(rest)?)),
        2 => u64::from(u16::from_le_bytes(array(rest)?)),
        4 => u64::from(u32::from_le_bytes(array(rest)?)),
        _ => u64::from_le_bytes(array(rest)?),
    })
}

/// ZEROFILL pads the text with zeros, which the binlog knows nothing of.
fn decimal(text: &[u8]) -> Option<Decimal> {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let keep_one = text.get(zeros).is_none_or(|byte| !byte.is_ascii_digit());
    Decimal::from_text(&text[zeros.saturating_sub(usize::from(keep_one))..])
}

/// Without what is zero at its end: nothing at all, a date, a date and a time, microseconds too.
fn date_time(rest: &mut &[u8]) -> Option<DateTime> {
    let [length] = array(rest)?;
    let mut at = DateTime::default();
    if !matches!(length, 0 | 4 | 7 | 11) {
        return None;
    }
    if length >= 4 {
        let [year, century, month, day] = array(rest)?;
        at.date = Date { year: u16::from_le_bytes([year, century]), month, day };
    }
    if length >= 7 {
        [at.hour, at.minute, at.second] = array(rest)?;
    }
    if length == 11 {
        at.micros = u32::from_le_bytes(array(rest)?);
    }
    Some(at)
}

/// Without what is zero at its end: nothing at all, days and a time of day, microseconds too.
fn time(rest: &mut &[u8]) -> Option<Time> {
    let [length] = array(rest)?;
    let mut time = Time::default();
    if !matches!(length, 0 | 8 | 12) {
        return None;
    }
    if length >= 8 {
        let [negative, days @ .., hours, minutes, seconds] = array::<8>(rest)?;
        let hours = u64::from(u32::from_le_bytes(days)) * 24 + u64::from(hours);
        let hours = u16::try_from(hours).ok()?;
        time = Time { negative: negative != 0, hours, minutes, seconds, micros: 0 };
    }
    if length == 12 {
        time.micros = u32::from_le_bytes(array(rest)?);
    }
    Some(time)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
