//! Row images as JSON objects, for those who look at the stream.
//!
//! Compiled once per table. What enters are the source's values as they are, before any rule of the settings; what leaves
//! is one JSON object on one line, from column name to value, without the columns that the image does not have:
//!
//! | MySQL / MariaDB | JSON |
//! | --- | --- |
//! | integers, YEAR, BIT | number with all its digits |
//! | DECIMAL | string, since most readers of JSON would round it |
//! | FLOAT, DOUBLE | number, the shortest that is read back as the same |
//! | CHAR, VARCHAR, TEXT | string, from the column's character set; what means nothing in it is U+FFFD |
//! | BINARY, VARBINARY, BLOB, geometry (SRID and WKB) | string of hexadecimal digits |
//! | ENUM, SET | the label (`""` for the error value 0), an array of labels |
//! | DATE, DATETIME | `"2023-01-31"`, `"2023-01-31T12:00:00.5"`; zero and partial dates as they are |
//! | TIMESTAMP | `"2023-01-31T12:00:00Z"`, in UTC; `"0000-00-00T00:00:00Z"` |
//! | TIME | `"-838:59:59.000000"` |
//! | JSON | the document itself; as a string if it is not valid |
//! | UUID, INET4, INET6 | as they are printed |
//! | VECTOR | array of numbers |

use super::binary::zero_padded;
use super::charset::Decoder;
use super::json::Scanner;
use crate::copy_format::UNIX_DAYS;
use crate::error::{Error, Result, corrupt};
use crate::schema::{SourceType, TableSchema};
use crate::value::{Date, DateTime, Time, ValueRef};
use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

/// How the rows of one table are shown.
#[derive(Debug)]
pub struct JsonRow {
    schema: Arc<TableSchema>,
    /// Each column's name as JSON, a colon behind it.
    names: Vec<Vec<u8>>,
    columns: Vec<Show>,
    scratch: Vec<u8>,
    nesting: Vec<bool>,
}

/// How the values of one column are shown.
#[derive(Debug)]
enum Show {
    /// Numbers and others whose value says all.
    Plain,
    /// Digits after the second's point.
    Clock(usize),
    Text(Decoder),
    /// Bytes as hexadecimal digits, padded with zeros to the length.
    Hex(usize),
    /// Labels as JSON.
    Labels(Vec<Vec<u8>>),
    Json,
    Vector,
    Uuid,
    Inet4,
    Inet6,
}

impl Show {
    fn of(ty: &SourceType) -> Self {
        match ty {
            SourceType::Time { fsp } | SourceType::DateTime { fsp } | SourceType::Timestamp { fsp } => {
                Self::Clock(usize::from(*fsp).min(6))
            }
            SourceType::Char { charset, .. }
            | SourceType::VarChar { charset, .. }
            | SourceType::Text { charset, .. } => {
                // without a decoder the bytes themselves are shown
                Decoder::of(&charset.name).map_or(Self::Hex(0), Self::Text)
            }
            SourceType::Binary { len } => Self::Hex(*len as usize),
            SourceType::VarBinary { .. } | SourceType::Blob { .. } | SourceType::Geometry => Self::Hex(0),
            SourceType::Enum { labels } | SourceType::Set { members: labels } => {
                Self::Labels(labels.iter().map(|label| string(label)).collect())
            }
            SourceType::Json { .. } => Self::Json,
            SourceType::Vector => Self::Vector,
            SourceType::Uuid => Self::Uuid,
            SourceType::Inet4 => Self::Inet4,
            SourceType::Inet6 => Self::Inet6,
            _ => Self::Plain,
        }
    }
}

/// A text as a JSON string.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    append_string(text, &mut out);
    out
}

/// Appends a text as a JSON string.
pub fn append_string(text: &str, out: &mut Vec<u8>) {
    // a Vec takes everything
    let _ = serde_json::to_writer(out, text);
}

impl JsonRow {
    /// Prepares for the rows of a table.
    #[must_use]
    pub fn compile(schema: Arc<TableSchema>) -> Self {
        let name = |name: &str| [&string(name)[..], b":"].concat();
        Self {
            names: schema.columns.iter().map(|column| name(&column.name)).collect(),
            columns: schema.columns.iter().map(|column| Show::of(&column.ty)).collect(),
            schema,
            scratch: Vec::new(),
            nesting: Vec::new(),
        }
    }

    /// Appends an image as an object. No allocation once the buffers have grown.
    ///
    /// # Errors
    /// `Corrupt` for a value that the column's type never has, with table and column.
    pub fn append(&mut self, image: &[ValueRef<'_>], out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        let start = out.len();
        for (at, value) in image.iter().enumerate() {
            if *value == ValueRef::Absent {
                continue;
            }
            let (Some(name), Some(column)) = (self.names.get(at), self.columns.get(at)) else {
                return Err(self.unfit(at));
            };
            if out.len() > start {
                out.push(b',');
            }
            out.extend_from_slice(name);
            if show(column, value, &mut self.scratch, &mut self.nesting, out).is_none() {
                return Err(self.unfit(at));
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends the names of the columns that differ between two images, as an array. Columns that are not in both do not
    /// count, unless the image after alone has them (partial images leave out what did not change).
    pub fn append_changed(&self, before: &[ValueRef<'_>], after: &[ValueRef<'_>], out: &mut Vec<u8>) {
        out.push(b'[');
        let start = out.len();
        for ((before, after), name) in before.iter().zip(after).zip(&self.names) {
            if before != after && *after != ValueRef::Absent {
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(&name[..name.len() - 1]);
            }
        }
        out.push(b']');
    }

    fn unfit(&self, column: usize) -> Error {
        let name = self.schema.columns.get(column).map_or("behind the last", |column| column.name.as_str());
        corrupt(format!("a value of column {name} of {} is none of the column's type", self.schema.name))
    }
}

/// Appends a value; `None` when the column's type has no such value.
fn show(
    column: &Show,
    value: &ValueRef<'_>,
    scratch: &mut Vec<u8>,
    nesting: &mut Vec<bool>,
    out: &mut Vec<u8>,
) -> Option<()> {
    match (column, value) {
        (_, ValueRef::Null) => out.extend_from_slice(b"null"),
        (Show::Plain, ValueRef::Int(n)) => put(out, n),
        (Show::Plain, ValueRef::UInt(n) | ValueRef::Bit(n)) => put(out, n),
        (Show::Plain, ValueRef::Float(n)) => serde_json::to_writer(out, n).ok()?,
        (Show::Plain, ValueRef::Double(n)) => serde_json::to_writer(out, n).ok()?,
        (Show::Plain, ValueRef::Decimal(n)) => put(out, format_args!("\"{}\"", n.as_str())),
        (Show::Plain, ValueRef::Date(d)) => {
            out.push(b'"');
            date(out, *d);
            out.push(b'"');
        }
        (Show::Clock(fsp), ValueRef::DateTime(value)) => moment(out, value, *fsp, "\""),
        (Show::Clock(fsp), ValueRef::Timestamp { seconds, micros }) => {
            moment(out, &utc(*seconds, *micros)?, *fsp, "Z\"");
        }
        (Show::Clock(fsp), ValueRef::Time(Time { negative, hours, minutes, seconds, micros })) => {
            put(out, if *negative { "\"-" } else { "\"" });
            clock(out, u32::from(*hours), *minutes, *seconds, *micros, *fsp);
            out.push(b'"');
        }
        (Show::Text(decoder), ValueRef::Bytes(bytes)) => {
            scratch.clear();
            let _ = decoder.append_with_nul(bytes, scratch);
            append_string(std::str::from_utf8(scratch).ok()?, out);
        }
        (Show::Hex(length), ValueRef::Bytes(bytes)) => {
            out.push(b'"');
            hex(bytes, out);
            (bytes.len()..*length).for_each(|_| out.extend_from_slice(b"00"));
            out.push(b'"');
        }
        (Show::Labels(_), ValueRef::Enum(0)) => out.extend_from_slice(b"\"\""),
        (Show::Labels(labels), ValueRef::Enum(n)) => out.extend_from_slice(labels.get(usize::from(*n) - 1)?),
        (Show::Labels(labels), ValueRef::Set(members)) => {
            if members.checked_shr(u32::try_from(labels.len()).ok()?).is_some_and(|beyond| beyond != 0) {
                return None;
            }
            let mut separator = b'[';
            for (_, label) in labels.iter().enumerate().filter(|(bit, _)| members >> bit & 1 == 1) {
                out.push(separator);
                out.extend_from_slice(label);
                separator = b',';
            }
            out.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
        }
        (Show::Json, ValueRef::JsonBinary(binary)) => {
            scratch.clear();
            crate::binlog::json::to_text(binary, scratch).ok()?;
            document(scratch, nesting, out);
        }
        (Show::Json, ValueRef::Bytes(text)) => document(text, nesting, out),
        (Show::Vector, ValueRef::Bytes(bytes)) => {
            let mut separator = b'[';
            let (numbers, rest) = bytes.as_chunks::<4>();
            for number in numbers {
                out.push(separator);
                serde_json::to_writer(&mut *out, &f32::from_le_bytes(*number)).ok()?;
                separator = b',';
            }
            out.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
            return rest.is_empty().then_some(());
        }
        (Show::Uuid, ValueRef::Bytes(bytes)) => {
            out.push(b'"');
            for (at, byte) in zero_padded::<16>(bytes)?.iter().enumerate() {
                if matches!(at, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                hex(&[*byte], out);
            }
            out.push(b'"');
        }
        (Show::Inet4, ValueRef::Bytes(bytes)) => {
            put(out, format_args!("\"{}\"", Ipv4Addr::from(zero_padded::<4>(bytes)?)))
        }
        (Show::Inet6, ValueRef::Bytes(bytes)) => {
            put(out, format_args!("\"{}\"", Ipv6Addr::from(zero_padded::<16>(bytes)?)))
        }
        _ => return None,
    }
    Some(())
}

fn put(out: &mut Vec<u8>, what: impl Display) {
    // a Vec takes everything
    let _ = write!(out, "{what}");
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn date(out: &mut Vec<u8>, Date { year, month, day }: Date) {
    put(out, format_args!("{year:04}-{month:02}-{day:02}"));
}

fn moment(out: &mut Vec<u8>, value: &DateTime, fsp: usize, end: &str) {
    out.push(b'"');
    date(out, value.date);
    out.push(b'T');
    clock(out, u32::from(value.hour), value.minute, value.second, value.micros, fsp);
    put(out, end);
}

fn clock(out: &mut Vec<u8>, hours: u32, minutes: u8, seconds: u8, micros: u32, fsp: usize) {
    put(out, format_args!("{hours:02}:{minutes:02}:{seconds:02}"));
    if fsp > 0 {
        let start = out.len() + 1;
        put(out, format_args!(".{:06}", micros.min(999_999)));
        out.truncate(start + fsp);
    }
}

/// A document on one line; as a string if it is none.
fn document(text: &[u8], nesting: &mut Vec<bool>, out: &mut Vec<u8>) {
    let mut scanner = Scanner::new(text, nesting);
    let valid = loop {
        match scanner.next() {
            Ok(Some(_)) => {}
            Ok(None) => break std::str::from_utf8(text).is_ok(),
            Err(_) => break false,
        }
    };
    if valid {
        // line ends stand between tokens only
        out.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    } else {
        append_string(&String::from_utf8_lossy(text), out);
    }
}

/// A TIMESTAMP's moment as date and time of day in UTC; 0 is the zero date.
fn utc(seconds: i64, micros: u32) -> Option<DateTime> {
    if !(0..=i64::from(u32::MAX)).contains(&seconds) {
        return None;
    }
    if (seconds, micros) == (0, 0) {
        return Some(DateTime::default());
    }
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let part = |n: i64| n as u8;
    let (hour, minute, second) = (part(time / 3600), part(time / 60 % 60), part(time % 60));
    Some(DateTime { date: date_of(i32::try_from(days).ok()? - UNIX_DAYS), hour, minute, second, micros })
}

/// A moment by the source's clock, seconds since 1970, as ISO 8601 in UTC.
#[must_use]
pub fn iso_utc(seconds: u32) -> String {
    let mut out = Vec::new();
    let days = i32::try_from(seconds / 86_400).unwrap_or_default();
    date(&mut out, date_of(days - UNIX_DAYS));
    out.push(b'T');
    clock(&mut out, seconds / 3600 % 24, (seconds / 60 % 60) as u8, (seconds % 60) as u8, 0, 0);
    out.push(b'Z');
    String::from_utf8(out).unwrap_or_default()
}

/// The date so many days after 2000-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
fn date_of(days_since_2000: i32) -> Date {
    let days = days_since_2000 + UNIX_DAYS + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    Date { year: year as u16, month: month as u8, day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample::table;
    use crate::copy_format::days_since_2000;
    use crate::schema::Charset;
    use crate::value::Decimal;
    use proptest::prelude::*;

    fn row(types: Vec<SourceType>) -> JsonRow {
        let names: Vec<String> = (0..types.len()).map(|at| format!("k\"{at}")).collect();
        let columns: Vec<_> = names.iter().map(String::as_str).zip(types).collect();
        JsonRow::compile(Arc::new(table("hasil", &columns)))
    }

    fn one(ty: SourceType, value: ValueRef<'_>) -> Option<String> {
        let mut out = Vec::new();
        row(vec![ty]).append(&[value], &mut out).ok()?;
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
        assert!(!text.contains('\n'));
        Some(text.strip_prefix(r#"{"k\"0":"#).unwrap().strip_suffix('}').unwrap().to_owned())
    }

    fn text(charset: &str) -> SourceType {
        SourceType::VarChar {
            chars: 20,
            charset: Charset { name: charset.into(), collation: format!("{charset}_bin") },
        }
    }

    #[test]
    fn every_type_is_shown() {
        use SourceType as T;
        let labels = || ["a", "it's", "c\"d"].map(str::to_owned).to_vec();
        let bytes = |text: &'static [u8]| ValueRef::Bytes(text);
        let int = T::Int { bytes: 8, unsigned: true, boolean: false };
        let date = Date { year: 2023, month: 0, day: 15 };
        let at = DateTime { date, hour: 1, minute: 2, second: 3, micros: 120_000 };
        let decimal = Decimal::from_text(b"-12345678901234567890.10").unwrap();
        for (ty, value, shown) in [
            (int.clone(), ValueRef::UInt(u64::MAX), "18446744073709551615"),
            (int.clone(), ValueRef::Int(i64::MIN), "-9223372036854775808"),
            (int, ValueRef::Null, "null"),
            (
                T::Decimal { precision: 22, scale: 2, unsigned: false },
                ValueRef::Decimal(decimal),
                r#""-12345678901234567890.10""#,
            ),
            (T::Float, ValueRef::Float(0.1), "0.1"),
            (T::Double, ValueRef::Double(1e300), "1e+300"),
            (T::Bit { bits: 64 }, ValueRef::Bit(u64::MAX), "18446744073709551615"),
            (T::Date, ValueRef::Date(date), r#""2023-00-15""#),
            (T::DateTime { fsp: 0 }, ValueRef::DateTime(at), r#""2023-00-15T01:02:03""#),
            (T::DateTime { fsp: 2 }, ValueRef::DateTime(at), r#""2023-00-15T01:02:03.12""#),
            (
                T::Timestamp { fsp: 6 },
                ValueRef::Timestamp { seconds: 1_700_000_000, micros: 5 },
                r#""2023-11-14T22:13:20.000005Z""#,
            ),
            (T::Timestamp { fsp: 0 }, ValueRef::Timestamp { seconds: 0, micros: 0 }, r#""0000-00-00T00:00:00Z""#),
            (
                T::Time { fsp: 1 },
                ValueRef::Time(Time { negative: true, hours: 838, minutes: 59, seconds: 8, micros: 900_000 }),
                r#""-838:59:08.9""#,
            ),
            (text("latin1"), bytes(b"\x80\0\"\n"), r#""€\u0000\"\n""#),
            (text("utf8mb4"), bytes(b"a\xFFb"), "\"a\u{FFFD}b\""),
            (text("binary"), bytes(b"\x01\xFF"), r#""01ff""#),
            (T::Binary { len: 4 }, bytes(b"\x01\xFF"), r#""01ff0000""#),
            (T::Blob { length_bytes: 2 }, bytes(b""), r#""""#),
            (T::Enum { labels: labels() }, ValueRef::Enum(3), r#""c\"d""#),
            (T::Enum { labels: labels() }, ValueRef::Enum(0), r#""""#),
            (T::Set { members: labels() }, ValueRef::Set(5), r#"["a","c\"d"]"#),
            (T::Set { members: labels() }, ValueRef::Set(0), "[]"),
            (T::Json { text: true }, bytes(b"{\"a\":\r\n[1.50]}"), r#"{"a":  [1.50]}"#),
            (T::Json { text: true }, bytes(b"{\"a\":"), r#""{\"a\":""#),
            (T::Json { text: false }, ValueRef::JsonBinary(b"\x0C\x02\"x"), r#""\"x""#),
            (T::Geometry, bytes(b"\0\0\0\0\x01"), r#""0000000001""#),
            (T::Vector, bytes(b"\0\0\x80\x3F\0\0\0\xC0"), "[1.0,-2.0]"),
            (
                T::Uuid,
                bytes(b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc"),
                r#""00112233-4455-6677-8899-aabbcc000000""#,
            ),
            (T::Inet4, bytes(b"\x0a\x01\x02"), r#""10.1.2.0""#),
            (T::Inet6, bytes(b"\x20\x01\x0d\xb8"), r#""2001:db8::""#),
        ] {
            assert_eq!(one(ty.clone(), value).as_deref(), Some(shown), "{ty:?}");
        }
    }

    #[test]
    fn what_a_type_never_has_is_an_error_without_the_value() {
        let labels = SourceType::Enum { labels: vec!["a".into()] };
        for (ty, value) in [
            (labels.clone(), ValueRef::Enum(2)),
            (labels, ValueRef::Int(1)),
            (SourceType::Set { members: vec!["a".into()] }, ValueRef::Set(2)),
            (SourceType::Timestamp { fsp: 0 }, ValueRef::Timestamp { seconds: -1, micros: 0 }),
            (SourceType::Inet4, ValueRef::Bytes(b"rahasia")),
            (SourceType::Vector, ValueRef::Bytes(b"rahasia")),
        ] {
            let error = row(vec![ty]).append(&[value], &mut Vec::new()).unwrap_err().report();
            assert!(error.contains("lab.hasil") && error.contains("k\"0") && !error.contains("rahasia"), "{error}");
        }
    }

    #[test]
    fn absent_columns_are_left_out_and_changed_ones_named() {
        let int = || SourceType::Int { bytes: 4, unsigned: false, boolean: false };
        let mut row = row(vec![int(), int(), int()]);
        let mut out = Vec::new();
        row.append(&[ValueRef::Absent, ValueRef::Int(2), ValueRef::Null], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"k\"1":2,"k\"2":null}"#);
        let mut out = Vec::new();
        let before = [ValueRef::Int(1), ValueRef::Absent, ValueRef::Int(3)];
        row.append_changed(&before, &[ValueRef::Absent, ValueRef::Int(2), ValueRef::Null], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"["k\"1","k\"2"]"#);
    }

    #[test]
    fn clocks_are_iso() {
        assert_eq!(iso_utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_utc(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(iso_utc(u32::MAX), "2106-02-07T06:28:15Z");
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(days in -719_162..2_921_940_i32) {
            let Date { year, month, day } = date_of(days);
            prop_assume!(year > 0);
            prop_assert_eq!(days_since_2000(year, month, day), Some(days));
        }
    }
}
