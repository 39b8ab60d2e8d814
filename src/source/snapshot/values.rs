//! What a column is selected as, and what the client hands over turned into [`ValueRef`].
//!
//! Invariant: equal to what the binlog decoder makes of the same row. Hence ENUM and SET by number (labels would be
//! converted), UUID and addresses as their bytes, BIT as bits, TIMESTAMP as seconds (the session runs in UTC), everything
//! else as the binary protocol brings it: FLOAT with its exact bits, text in its own character set.

use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use crate::schema::{Column, SourceType, TableSchema};
use crate::value::{Date, DateTime, Decimal, Time, ValueRef};
use mysql_async::Value;

/// The expression that brings the column's value.
#[must_use]
pub fn select_expression(column: &Column) -> String {
    let name = ident::mysql(&column.name);
    match column.ty {
        SourceType::Enum { .. } | SourceType::Set { .. } => format!("CAST({name} AS UNSIGNED)"),
        SourceType::Uuid | SourceType::Inet6 => format!("CAST({name} AS BINARY(16))"),
        SourceType::Inet4 => format!("CAST({name} AS BINARY(4))"),
        _ => name,
    }
}

/// All columns of the table in ordinal order, for a SELECT.
#[must_use]
pub fn select_list(table: &TableSchema) -> String {
    table.columns.iter().map(select_expression).collect::<Vec<_>>().join(", ")
}

/// [`select_list`] with NULL in the place of every column that is not among `columns`.
#[must_use]
pub fn narrow_select_list(table: &TableSchema, columns: &[usize]) -> String {
    let expression = |(at, column): (usize, &Column)| match columns.contains(&at) {
        true => select_expression(column),
        false => "NULL".into(),
    };
    table.columns.iter().enumerate().map(expression).collect::<Vec<_>>().join(", ")
}

/// Turns a row of [`select_list`] into values that borrow from it; `out` is cleared first.
///
/// # Errors
/// `SchemaMismatch` naming the column whose value is not what its type says.
pub fn row_to_values<'a>(row: &'a [Value], table: &TableSchema, out: &mut Vec<ValueRef<'a>>) -> Result<()> {
    out.clear();
    if row.len() != table.columns.len() {
        let counts = format!("{} columns read, {} known", row.len(), table.columns.len());
        return Err(Error::new(ErrorKind::SchemaMismatch, format!("{}: {counts}", table.name)));
    }
    for (value, column) in row.iter().zip(&table.columns) {
        out.push(value_ref(value, &column.ty).ok_or_else(|| {
            let message = format!("{}.{}: the value read is no {}", table.name, column.name, column.declared);
            Error::new(ErrorKind::SchemaMismatch, message)
        })?);
    }
    Ok(())
}

fn value_ref<'a>(value: &'a Value, ty: &SourceType) -> Option<ValueRef<'a>> {
    use SourceType as T;
    Some(match (ty, value) {
        (_, Value::NULL) => ValueRef::Null,
        (T::Int { unsigned: false, .. }, Value::Int(number)) => ValueRef::Int(*number),
        (T::Int { unsigned: true, .. } | T::Year, value) => ValueRef::UInt(unsigned(value)?),
        (T::Decimal { .. }, Value::Bytes(text)) => ValueRef::Decimal(decimal(text)?),
        (T::Float, Value::Float(number)) => ValueRef::Float(*number),
        (T::Double, Value::Double(number)) => ValueRef::Double(*number),
        (T::Bit { .. }, Value::Bytes(bytes)) if bytes.len() <= 8 => {
            ValueRef::Bit(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
        }
        (T::Enum { .. }, value) => ValueRef::Enum(u16::try_from(unsigned(value)?).ok()?),
        (T::Set { .. }, value) => ValueRef::Set(unsigned(value)?),
        (T::Date, Value::Date(year, month, day, ..)) => ValueRef::Date(Date { year: *year, month: *month, day: *day }),
        (T::DateTime { .. }, value) => ValueRef::DateTime(date_time(value)?),
        (T::Timestamp { .. }, value) => ValueRef::timestamp(date_time(value)?),
        (T::Time { .. }, Value::Time(negative, days, hours, minutes, seconds, micros)) => ValueRef::Time(Time {
            negative: *negative,
            hours: u16::try_from(days * 24 + u32::from(*hours)).ok()?,
            minutes: *minutes,
            seconds: *seconds,
            micros: *micros,
        }),
        (
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
            | T::Inet6,
            Value::Bytes(bytes),
        ) => ValueRef::Bytes(bytes),
        _ => return None,
    })
}

/// The client hands over unsigned numbers below 2^63 as signed.
fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::UInt(number) => Some(*number),
        _ => None,
    }
}

/// ZEROFILL pads the text with zeros, which the binlog knows nothing of.
fn decimal(text: &[u8]) -> Option<Decimal> {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let keep_one = text.get(zeros).is_none_or(|byte| !byte.is_ascii_digit());
    Decimal::from_text(&text[zeros.saturating_sub(usize::from(keep_one))..])
}

fn date_time(value: &Value) -> Option<DateTime> {
    let Value::Date(year, month, day, hour, minute, second, micros) = value else { return None };
    let date = Date { year: *year, month: *month, day: *day };
    Some(DateTime { date, hour: *hour, minute: *minute, second: *second, micros: *micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zerofill_does_not_show() {
        let text = |text: &[u8]| decimal(text).map(|d| d.as_str().to_owned());
        assert_eq!(text(b"00012.30").as_deref(), Some("12.30"));
        assert_eq!(text(b"00000.30").as_deref(), Some("0.30"));
        assert_eq!(text(b"0000").as_deref(), Some("0"));
        assert_eq!(text(b"-0.30").as_deref(), Some("-0.30"));
    }
}
