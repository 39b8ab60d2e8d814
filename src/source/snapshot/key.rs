//! Keyset pagination: the order of a table's key, "rows behind this key" as a condition, and the key's stored form.
//!
//! The condition for a key (a, b, c) is `a > ? OR (a = ? AND (b > ? OR (b = ? AND c > ?)))`: its ranges are disjoint and in
//! key order, so both servers read just the rows they return. (Tried on MariaDB 10.11 and MySQL 9.7 with three values of
//! `a` in 100,000 rows, index reads for 1,000 rows: this form 1,000; `a >= ? AND (a > ? OR …)` 17,667, since it only
//! bounds `a`; the row comparison `(a, b, c) > (?, ?, ?)` reads from the index's start.)
//!
//! A parameter must compare in the column's own type and collation, or the order differs from the index and the range
//! is lost: text travels as hex and is put into the column's character set and collation, decimals are cast (they would
//! compare as doubles), ENUM has no ranges in either server, so its `>` is the list of the numbers that follow.

use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use crate::schema::{SourceType, TableSchema};
use crate::source::rows::Parameter;
use crate::source::snapshot::groups::chunk_key;
use crate::value::{Date, DateTime, ValueRef};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One column of a key, owned, as kept in `sirenia.snapshot_progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum KeyValue {
    /// A signed integer.
    Int(i64),
    /// An unsigned integer, YEAR, BIT, or ENUM's number.
    UInt(u64),
    /// FLOAT or DOUBLE.
    Double(f64),
    /// What the server reads from ASCII text: decimals, dates and times, UUID, addresses.
    Text(String),
    /// Text in the column's character set, or binary data.
    Bytes(Vec<u8>),
}

/// Writes a key for `sirenia.snapshot_progress`.
///
/// # Errors
/// `Bug` only.
pub fn encode(key: &[KeyValue]) -> Result<Vec<u8>> {
    rmp_serde::to_vec(key).map_err(|error| Error::new(ErrorKind::Bug, "cannot encode a key").with_source(error))
}

/// The order in which a table is read in chunks.
#[derive(Debug, Clone)]
pub struct KeyOrder {
    /// The index's name, quoted.
    pub(crate) index: String,
    parts: Vec<KeyPart>,
}

#[derive(Debug, Clone)]
struct KeyPart {
    /// Position in the table's columns.
    column: usize,
    /// The column's name, quoted.
    name: String,
    ty: SourceType,
    descending: bool,
}

impl KeyOrder {
    /// The order by the table's [`chunk_key`]; none when it is to be copied exactly.
    #[must_use]
    pub fn of(table: &TableSchema) -> Option<Self> {
        let key = chunk_key(table)?;
        let parts = key.parts.iter().filter_map(|part| {
            let column = part.column?;
            let schema = &table.columns[column];
            let (name, ty) = (ident::mysql(&schema.name), schema.ty.clone());
            Some(KeyPart { column, name, ty, descending: part.descending })
        });
        Some(Self { index: ident::mysql(&key.name), parts: parts.collect() })
    }

    /// `` `a`, `b` DESC ``
    #[must_use]
    pub fn order_by(&self) -> String {
        let part = |part: &KeyPart| format!("{}{}", part.name, if part.descending { " DESC" } else { "" });
        self.parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// The key of a row as the reader reads it.
    ///
    /// # Errors
    /// `SchemaMismatch` when a key column holds what its type does not allow.
    pub fn of_row(&self, row: &[ValueRef<'_>]) -> Result<Vec<KeyValue>> {
        let value = |part: &KeyPart| {
            row.get(part.column).and_then(|value| key_value(&part.ty, *value)).ok_or_else(|| {
                Error::new(ErrorKind::SchemaMismatch, format!("key column {} holds a value of another type", part.name))
            })
        };
        self.parts.iter().map(value).collect()
    }

    /// Reads what [`encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` when it is no key of this table.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<KeyValue>> {
        let key: Option<Vec<KeyValue>> = rmp_serde::from_slice(bytes).ok();
        key.filter(|key| {
            key.len() == self.parts.len() && self.parts.iter().zip(key).all(|(part, value)| fits(&part.ty, value))
        })
        .ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the stored key of an interrupted copy does not match the table's key")
        })
    }

    /// Reads a bound that [`encode`] wrote: a key, or the first values of one.
    ///
    /// # Errors
    /// `Corrupt` when it is no bound of this table.
    pub fn decode_bound(&self, bytes: &[u8]) -> Result<Vec<KeyValue>> {
        let bound: Option<Vec<KeyValue>> = rmp_serde::from_slice(bytes).ok();
        let fit = |bound: &Vec<KeyValue>| self.parts.iter().zip(bound).all(|(part, value)| fits(&part.ty, value));
        bound.filter(|bound| (1..=self.parts.len()).contains(&bound.len()) && fit(bound)).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the stored bound of an interrupted copy does not match the table's key")
        })
    }

    /// The key's first column where that is an integer: its name, quoted, whether it is unsigned, whether it descends.
    pub(super) fn leading_integer(&self) -> Option<(&str, bool, bool)> {
        let part = self.parts.first()?;
        match part.ty {
            SourceType::Int { unsigned, .. } => Some((&part.name, unsigned, part.descending)),
            _ => None,
        }
    }

    /// The condition for rows behind `key`, with its parameters. Of the first values of a key alone: behind all rows that
    /// begin with them.
    #[must_use]
    pub fn behind(&self, key: &[KeyValue]) -> (String, Vec<Parameter>) {
        self.side(key, true)
    }

    /// The condition for the other rows: up to `key`, or up to all that begin with these values.
    #[must_use]
    pub fn up_to(&self, key: &[KeyValue]) -> (String, Vec<Parameter>) {
        self.side(key, false)
    }

    fn side(&self, key: &[KeyValue], behind: bool) -> (String, Vec<Parameter>) {
        let (mut sql, mut parameters) = (String::new(), Vec::new());
        for (i, (part, value)) in self.parts.iter().zip(key).enumerate() {
            if i > 0 {
                sql.push_str(" AND (");
            }
            let (is_last, smaller) = (i + 1 == key.len(), part.descending == behind);
            let inclusive = is_last && !behind;
            if let SourceType::Enum { labels } = &part.ty {
                sql.push_str(&enum_side(part, labels.len() as u64, value, smaller, inclusive));
            } else {
                let (operator, equal) = (if smaller { "<" } else { ">" }, if inclusive { "=" } else { "" });
                let _ = write!(sql, "{} {operator}{equal} {}", part.name, placeholder(&part.ty));
                parameters.push(parameter(value));
            }
            if !is_last {
                let _ = write!(sql, " OR ({} = {}", part.name, placeholder(&part.ty));
                parameters.push(parameter(value));
            }
        }
        sql.push_str(&"))".repeat(key.len().saturating_sub(1)));
        (sql, parameters)
    }

    /// The condition for the rows of just these keys, with its parameters. The keys compare by the columns' collations,
    /// so a row may have a key that is spelt otherwise.
    #[must_use]
    pub fn among(&self, keys: &[Vec<KeyValue>]) -> (String, Vec<Parameter>) {
        let places: Vec<String> = self.parts.iter().map(|part| placeholder(&part.ty)).collect();
        let sql = if let [part] = &self.parts[..] {
            format!("{} IN ({})", part.name, vec![places[0].as_str(); keys.len()].join(", "))
        } else {
            let equal = |(part, place): (&KeyPart, &String)| format!("{} = {place}", part.name);
            let row = format!("({})", self.parts.iter().zip(&places).map(equal).collect::<Vec<_>>().join(" AND "));
            vec![row.as_str(); keys.len()].join(" OR ")
        };
        (sql, keys.iter().flatten().map(parameter).collect())
    }
}

/// `col IN (4, 5, 6)`: ENUM's numbers beside `value`. The empty error value is 0.
///
/// Where none follows, a number that no row has: with FALSE in its place only `col = n AND …` would remain, which
/// MariaDB sorts, because it does not see that an ENUM equal to a number is constant.
fn enum_side(part: &KeyPart, labels: u64, value: &KeyValue, smaller: bool, inclusive: bool) -> String {
    let KeyValue::UInt(at) = *value else { return "FALSE".into() };
    let numbers = if smaller { 0..at } else { at + 1..labels + 1 };
    let mut numbers: Vec<String> = numbers.chain(inclusive.then_some(at)).map(|n| n.to_string()).collect();
    if numbers.is_empty() {
        numbers.push((labels + 1).to_string());
    }
    format!("{} IN ({})", part.name, numbers.join(", "))
}

/// The parameter's place, in the type and collation the index compares by.
fn placeholder(ty: &SourceType) -> String {
    match ty {
        SourceType::Decimal { precision, scale, .. } => format!("CAST(? AS DECIMAL({precision},{scale}))"),
        SourceType::Binary { .. } | SourceType::VarBinary { .. } => "UNHEX(?)".into(),
        _ => match ty.charset() {
            Some(charset) => format!("CONVERT(UNHEX(?) USING {}) COLLATE {}", charset.name, charset.collation),
            None => "?".into(),
        },
    }
}

fn parameter(value: &KeyValue) -> Parameter {
    match value {
        KeyValue::Int(number) => Parameter::Int(*number),
        KeyValue::UInt(number) => Parameter::UInt(*number),
        KeyValue::Double(number) => Parameter::Double(*number),
        KeyValue::Text(text) => Parameter::Text(text.clone()),
        KeyValue::Bytes(bytes) => {
            let mut hex = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _ = write!(hex, "{byte:02X}");
            }
            Parameter::Text(hex)
        }
    }
}

fn fits(ty: &SourceType, value: &KeyValue) -> bool {
    use SourceType as T;
    matches!(
        (ty, value),
        (T::Int { unsigned: false, .. }, KeyValue::Int(_))
            | (T::Int { unsigned: true, .. } | T::Year | T::Bit { .. } | T::Enum { .. }, KeyValue::UInt(_))
            | (T::Float | T::Double, KeyValue::Double(_))
            | (T::Char { .. } | T::VarChar { .. } | T::Binary { .. } | T::VarBinary { .. }, KeyValue::Bytes(_))
            | (
                T::Decimal { .. } | T::Date | T::Time { .. } | T::DateTime { .. } | T::Timestamp { .. },
                KeyValue::Text(_)
            )
            | (T::Uuid | T::Inet4 | T::Inet6, KeyValue::Text(_))
    )
}

fn key_value(ty: &SourceType, value: ValueRef<'_>) -> Option<KeyValue> {
    use SourceType as T;
    use ValueRef as V;
    Some(match (ty, value) {
        (_, V::Int(number)) => KeyValue::Int(number),
        (_, V::UInt(number) | V::Bit(number)) => KeyValue::UInt(number),
        (_, V::Enum(number)) => KeyValue::UInt(number.into()),
        (_, V::Float(number)) => KeyValue::Double(number.into()),
        (_, V::Double(number)) => KeyValue::Double(number),
        (_, V::Decimal(decimal)) => KeyValue::Text(decimal.as_str().to_owned()),
        (_, V::Date(date)) => KeyValue::Text(date_text(date)),
        (_, V::DateTime(at)) => KeyValue::Text(date_time_text(at)),
        (_, V::Timestamp { seconds: 0, micros: 0 }) => KeyValue::Text(date_time_text(DateTime::default())),
        (_, V::Timestamp { seconds, micros }) => {
            let moment = jiff::Timestamp::new(seconds, i32::try_from(micros).ok()?.checked_mul(1000)?).ok()?;
            KeyValue::Text(jiff::tz::Offset::UTC.to_datetime(moment).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string())
        }
        (_, V::Time(time)) => {
            let sign = if time.negative { "-" } else { "" };
            let (hours, minutes, seconds, micros) = (time.hours, time.minutes, time.seconds, time.micros);
            KeyValue::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"))
        }
        (T::Uuid, V::Bytes(bytes)) => KeyValue::Text(uuid_text(bytes.try_into().ok()?)),
        (T::Inet4, V::Bytes(bytes)) => KeyValue::Text(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        (T::Inet6, V::Bytes(bytes)) => KeyValue::Text(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        (_, V::Bytes(bytes)) => KeyValue::Bytes(bytes.to_vec()),
        _ => return None,
    })
    .filter(|value| fits(ty, value))
}

fn date_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn date_time_text(at: DateTime) -> String {
    format!("{} {:02}:{:02}:{:02}.{:06}", date_text(at.date), at.hour, at.minute, at.second, at.micros)
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02x}", if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, ty: SourceType, descending: bool) -> KeyPart {
        KeyPart { column: 0, name: name.into(), ty, descending }
    }

    #[test]
    fn conditions_are_disjoint_ranges() {
        let int = SourceType::Int { bytes: 4, unsigned: false, boolean: false };
        let labels = vec!["x".into(), "y".into(), "z".into()];
        let order = KeyOrder {
            index: "PRIMARY".into(),
            parts: vec![
                part("a", int.clone(), false),
                part("e", SourceType::Enum { labels }, false),
                part("c", int, true),
            ],
        };
        let (sql, parameters) = order.behind(&[KeyValue::Int(1), KeyValue::UInt(2), KeyValue::Int(3)]);
        assert_eq!(sql, "a > ? OR (a = ? AND (e IN (3) OR (e = ? AND (c < ?))))");
        let numbers = [Parameter::Int(1), Parameter::Int(1), Parameter::UInt(2), Parameter::Int(3)];
        assert_eq!(parameters, numbers);
        assert_eq!(order.order_by(), "a, e, c DESC");
        assert!(order.behind(&[KeyValue::Int(1), KeyValue::UInt(3), KeyValue::Int(3)]).0.contains("(e IN (4) OR"));
        let (sql, parameters) = order.up_to(&[KeyValue::Int(1), KeyValue::UInt(2), KeyValue::Int(3)]);
        assert_eq!(sql, "a < ? OR (a = ? AND (e IN (0, 1) OR (e = ? AND (c >= ?))))");
        assert_eq!(parameters, numbers);
        let first = [KeyValue::Int(1)];
        assert_eq!(order.behind(&first), ("a > ?".to_owned(), numbers[..1].to_vec()));
        assert_eq!(order.up_to(&first), ("a <= ?".to_owned(), numbers[..1].to_vec()));
        let key = vec![KeyValue::Int(1), KeyValue::UInt(2), KeyValue::Int(3)];
        let (sql, parameters) = order.among(&[key.clone(), key]);
        assert_eq!(sql, "(a = ? AND e = ? AND c = ?) OR (a = ? AND e = ? AND c = ?)");
        assert_eq!(parameters.len(), 6);
    }

    #[test]
    fn moments_become_what_the_server_reads() {
        let text = |value| key_value(&SourceType::Timestamp { fsp: 6 }, value);
        let key = |text: &str| Some(KeyValue::Text(text.into()));
        assert_eq!(text(ValueRef::Timestamp { seconds: 0, micros: 0 }), key("0000-00-00 00:00:00.000000"));
        let leap = ValueRef::Timestamp { seconds: 1_583_020_799, micros: 20 };
        assert_eq!(text(leap), key("2020-02-29 23:59:59.000020"));
        assert_eq!(text(ValueRef::Timestamp { seconds: i64::MAX, micros: 0 }), None);
        assert_eq!(text(ValueRef::Timestamp { seconds: 1, micros: u32::MAX }), None);
        assert_eq!(text(ValueRef::Int(1)), None);
    }

    #[test]
    fn stored_keys_are_checked() {
        let order = KeyOrder { index: "PRIMARY".into(), parts: vec![part("a", SourceType::Double, false)] };
        let key = vec![KeyValue::Double(0.1)];
        assert_eq!(order.decode(&encode(&key).unwrap()).unwrap(), key);
        for bad in [encode(&[KeyValue::Int(1)]).unwrap(), encode(&[]).unwrap(), vec![0xc1]] {
            assert_eq!(order.decode(&bad).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(order.decode_bound(&bad).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
