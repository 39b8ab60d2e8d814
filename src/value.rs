//! What a column holds on the source side, borrowed from the bytes it arrived in.
//!
//! The binlog decoder, the snapshot reader and the audit-log reader all produce a [`ValueRef`]; the converter takes
//! nothing else. That is what makes the three ways one contract: two ways that hand over equal `ValueRef`s cannot
//! give different PostgreSQL bytes. Text is still in the column's character set here; enum and set are numbers.
//!
//! As MessagePack (rmp-serde) a value is a map of its variant's name to its content, and comes back borrowed from the bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One column of one row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ValueRef<'a> {
    /// Not in the row image: the source writes partial images (`binlog_row_image` MINIMAL or NOBLOB), and this column was
    /// neither changed nor needed to find the row. Never a value: whoever asks for a whole row must refuse it.
    Absent,
    /// SQL NULL.
    Null,
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width, and YEAR (0 or 1901…2155).
    UInt(u64),
    /// FLOAT, its exact bits.
    Float(f32),
    /// DOUBLE, its exact bits.
    Double(f64),
    /// DECIMAL.
    Decimal(Decimal),
    /// BIT(n): the n bits as the low bits of a number.
    Bit(u64),
    /// ENUM: the label's index from 1; 0 is the empty error value.
    Enum(u16),
    /// SET: one bit per member, the first member is bit 0.
    Set(u64),
    /// DATE, zero and partial dates included.
    Date(Date),
    /// TIME.
    Time(Time),
    /// DATETIME, zero and partial dates included.
    DateTime(DateTime),
    /// TIMESTAMP: a moment in UTC; 0 seconds and 0 microseconds is the zero date.
    Timestamp {
        /// Seconds since 1970-01-01 00:00:00 UTC.
        seconds: i64,
        /// 0…999,999.
        micros: u32,
    },
    /// Text in the column's character set, or binary data: CHAR, VARCHAR, TEXT, BINARY, VARBINARY, BLOB, JSON as text,
    /// geometry (4 bytes of SRID, then WKB), vector, UUID (16 bytes), INET4/INET6 (4/16 bytes).
    #[serde(borrow, with = "bytes")]
    Bytes(&'a [u8]),
    /// MySQL's binary JSON (`json_binary.h`), as the binlog carries it.
    #[serde(borrow, with = "bytes")]
    JsonBinary(&'a [u8]),
}

/// Bytes as MessagePack's `bin`, not as an array of numbers.
mod bytes {
    use super::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}

/// A DECIMAL as ASCII text: optional `-`, at least one integer digit, and exactly `scale` digits after the point.
///
/// Held inline (65 digits is MySQL's maximum) so that decoding a row does not allocate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    len: u8,
    text: [u8; Decimal::MAX],
}

impl Decimal {
    /// Longest text: sign, 65 digits, leading zero, point.
    pub const MAX: usize = 70;

    /// Takes the text of a decimal number; `None` when it is not one or is longer than [`Decimal::MAX`].
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let mut parts = digits.splitn(2, |b| *b == b'.');
        let integer = parts.next().unwrap_or_default();
        let fraction = parts.next();
        let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        if text.len() > Self::MAX || !all_digits(integer) || fraction.is_some_and(|f| !all_digits(f)) {
            return None;
        }
        let mut out = Self { len: text.len() as u8, text: [0; Self::MAX] };
        out.text[..text.len()].copy_from_slice(text);
        Some(out)
    }

    /// The number whose text the caller has made, `len` bytes of it.
    pub(crate) fn of_made(text: [u8; Self::MAX], len: usize) -> Option<Self> {
        debug_assert!(text.get(..len).is_none_or(|text| Self::from_text(text).is_some()));
        (len <= Self::MAX).then_some(Self { len: len as u8, text })
    }

    /// The ASCII text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    /// The ASCII text as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::from_text(text.as_bytes()).ok_or_else(|| serde::de::Error::custom("not a decimal number"))
    }
}

impl std::fmt::Debug for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A calendar date as MySQL stores it: month and day may be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Date {
    /// 0…9999.
    pub year: u16,
    /// 0…12.
    pub month: u8,
    /// 0…31.
    pub day: u8,
}

/// A date with a time of day, without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DateTime {
    /// The date part, possibly zero or partial.
    pub date: Date,
    /// 0…23.
    pub hour: u8,
    /// 0…59.
    pub minute: u8,
    /// 0…59.
    pub second: u8,
    /// 0…999,999.
    pub micros: u32,
}

/// A span between −838:59:59 and 838:59:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Time {
    /// Whether the whole span is negative.
    pub negative: bool,
    /// 0…838.
    pub hours: u16,
    /// 0…59.
    pub minutes: u8,
    /// 0…59.
    pub seconds: u8,
    /// 0…999,999.
    pub micros: u32,
}

impl ValueRef<'_> {
    /// The TIMESTAMP of a moment in UTC; the zero date is zero.
    pub(crate) fn timestamp(at: DateTime) -> Self {
        if at.date == Date::default() {
            return Self::Timestamp { seconds: 0, micros: 0 };
        }
        let time = i64::from(at.hour) * 3600 + i64::from(at.minute) * 60 + i64::from(at.second);
        Self::Timestamp { seconds: days_from_epoch(at.date) * 86_400 + time, micros: at.micros }
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_epoch(date: Date) -> i64 {
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let month = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        let days = |year, month, day| days_from_epoch(Date { year, month, day });
        assert_eq!((days(1970, 1, 1), days(2000, 3, 1), days(2038, 1, 19)), (0, 11_017, 24_855));
    }

    #[test]
    fn values_come_back_from_messagepack() {
        let row = [
            ValueRef::Absent,
            ValueRef::Null,
            ValueRef::Int(-5),
            ValueRef::UInt(u64::MAX),
            ValueRef::Float(0.1),
            ValueRef::Decimal(Decimal::from_text(b"-12.340").unwrap()),
            ValueRef::Date(Date { year: 2023, month: 0, day: 15 }),
            ValueRef::Timestamp { seconds: -1, micros: 5 },
            ValueRef::Bytes(b"\xff\0"),
            ValueRef::JsonBinary(b"\x04\x00"),
        ];
        let packed = rmp_serde::to_vec(&row[..]).unwrap();
        assert_eq!(rmp_serde::from_slice::<Vec<ValueRef<'_>>>(&packed).unwrap(), row);
        assert!(rmp_serde::from_slice::<Vec<ValueRef<'_>>>(&packed[..packed.len() - 1]).is_err());
    }

    #[test]
    fn decimal_takes_only_decimals() {
        assert_eq!(Decimal::from_text(b"-12.340").map(|d| d.as_str().to_owned()), Some("-12.340".into()));
        for bad in [&b""[..], b"-", b"1.", b".5", b"1e5", b"1.2.3", b"abc"] {
            assert!(Decimal::from_text(bad).is_none(), "{bad:?}");
        }
    }
}
