//! Values of any type as text: for `type = "text"`, for SET as one text, and for hashes.
//!
//! The text is what the source prints for the value (`SELECT`), in UTF-8: dates with their zeros, times with the declared
//! digits, SET's members joined by commas, TIMESTAMP in UTC. What it prints by its own rules alone is written so:
//! floating point in the fewest digits that give the number back, BIT as a number, binary data as its bytes.

use super::encode::{Fault, Text};
use super::json;
use super::sanitize::{Reason, Reasons};
use crate::schema::SourceType;
use crate::value::{Date, DateTime, ValueRef};
use core::net::{Ipv4Addr, Ipv6Addr};
use std::io::Write as _;

/// How the values of one column become text.
#[derive(Debug)]
pub(super) enum TextForm {
    /// Numbers.
    Number,
    /// YEAR has four digits.
    Year,
    Date,
    /// So many digits of a second.
    DateTime(u8),
    Timestamp(u8),
    Time(u8),
    Text(Text),
    /// Padded to the length if there is one.
    Bytes(Option<usize>),
    Enum(Vec<Box<[u8]>>),
    Set(Vec<Box<[u8]>>),
    Json,
    Uuid,
    Inet4,
    Inet6,
}

impl TextForm {
    /// For a source type; `None` for text in an unknown character set.
    pub(super) fn of(ty: &SourceType) -> Option<Self> {
        let own = |texts: &[String]| texts.iter().map(|text| text.as_bytes().into()).collect();
        Some(match ty {
            SourceType::Int { .. }
            | SourceType::Decimal { .. }
            | SourceType::Float
            | SourceType::Double
            | SourceType::Bit { .. } => Self::Number,
            SourceType::Year => Self::Year,
            SourceType::Date => Self::Date,
            SourceType::Time { fsp } => Self::Time(*fsp),
            SourceType::DateTime { fsp } => Self::DateTime(*fsp),
            SourceType::Timestamp { fsp } => Self::Timestamp(*fsp),
            SourceType::Char { chars, charset } if charset.name == "binary" => Self::Bytes(Some(*chars as usize)),
            SourceType::VarChar { charset, .. } | SourceType::Text { charset, .. } if charset.name == "binary" => {
                Self::Bytes(None)
            }
            SourceType::Char { .. } | SourceType::VarChar { .. } | SourceType::Text { .. } => {
                Self::Text(Text::of(ty, None)?)
            }
            SourceType::Binary { len } => Self::Bytes(Some(*len as usize)),
            SourceType::VarBinary { .. } | SourceType::Blob { .. } | SourceType::Geometry | SourceType::Vector => {
                Self::Bytes(None)
            }
            SourceType::Enum { labels } => Self::Enum(own(labels)),
            SourceType::Set { members } => Self::Set(own(members)),
            SourceType::Json { .. } => Self::Json,
            SourceType::Uuid => Self::Uuid,
            SourceType::Inet4 => Self::Inet4,
            SourceType::Inet6 => Self::Inet6,
        })
    }

    /// Appends the text of a value that is not NULL.
    pub(super) fn append(&self, value: &ValueRef<'_>, out: &mut Vec<u8>) -> Result<Reasons, Fault> {
        // writing to a Vec cannot fail
        let written = match (self, value) {
            (Self::Number, ValueRef::Int(number)) => write!(out, "{number}"),
            (Self::Number, ValueRef::UInt(number) | ValueRef::Bit(number)) => write!(out, "{number}"),
            (Self::Number, ValueRef::Decimal(number)) => out.write_all(number.as_bytes()),
            (Self::Number, ValueRef::Float(number)) => write!(out, "{number}"),
            (Self::Number, ValueRef::Double(number)) => write!(out, "{number}"),
            (Self::Year, ValueRef::UInt(year)) => write!(out, "{year:04}"),
            (Self::Date, ValueRef::Date(value)) => date(*value, out),
            (Self::DateTime(digits), ValueRef::DateTime(value)) => datetime(value, *digits, out),
            (Self::Timestamp(digits), ValueRef::Timestamp { seconds, micros }) => {
                datetime(&civil(*seconds, *micros), *digits, out)
            }
            (Self::Time(digits), ValueRef::Time(value)) => {
                let sign = if value.negative { "-" } else { "" };
                write!(out, "{sign}{:02}:{:02}:{:02}", value.hours, value.minutes, value.seconds)
                    .and_then(|()| fraction(value.micros, *digits, out))
            }
            (Self::Text(text), ValueRef::Bytes(bytes)) => return Ok(text.append(bytes, out)),
            (Self::Bytes(padded), ValueRef::Bytes(bytes)) => {
                out.extend_from_slice(bytes);
                out.resize(out.len() + padded.unwrap_or(0).saturating_sub(bytes.len()), 0);
                Ok(())
            }
            (Self::Enum(_), ValueRef::Enum(0)) => return Ok(Reason::EnumZero.into()),
            (Self::Enum(labels), ValueRef::Enum(index)) => {
                let label = labels.get(usize::from(*index) - 1);
                out.write_all(label.ok_or(Fault::Corrupt("ENUM index beyond its labels"))?)
            }
            (Self::Set(members), ValueRef::Set(bits)) => {
                if bits.checked_shr(members.len() as u32).is_some_and(|beyond| beyond != 0) {
                    return Err(Fault::Corrupt("SET bit beyond its members"));
                }
                let mut separator: &[u8] = b"";
                for (_, member) in members.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0) {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(member);
                    separator = b",";
                }
                Ok(())
            }
            (Self::Json, ValueRef::Bytes(bytes)) => return Ok(super::charset::Decoder::Utf8.append(bytes, out)),
            (Self::Json, ValueRef::JsonBinary(bytes)) => {
                json::binary_to_text(bytes, out).map_err(Fault::Json)?;
                Ok(())
            }
            (Self::Uuid, ValueRef::Bytes(bytes)) if bytes.len() == 36 => out.write_all(&bytes.to_ascii_lowercase()),
            (Self::Uuid, ValueRef::Bytes(bytes)) => {
                let number = u128::from_be_bytes(super::binary::zero_padded(bytes).ok_or(Fault::Corrupt("no UUID"))?);
                let part = |shift: u32, digits: u32| (number >> shift) & ((1 << (digits * 4)) - 1);
                write!(
                    out,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    part(96, 8),
                    part(80, 4),
                    part(64, 4),
                    part(48, 4),
                    part(0, 12)
                )
            }
            (Self::Inet4, ValueRef::Bytes(bytes)) => {
                let bytes: [u8; 4] =
                    super::binary::zero_padded(bytes).ok_or(Fault::Corrupt("more than 4 bytes of INET4"))?;
                write!(out, "{}", Ipv4Addr::from(bytes))
            }
            (Self::Inet6, ValueRef::Bytes(bytes)) => {
                let bytes: [u8; 16] =
                    super::binary::zero_padded(bytes).ok_or(Fault::Corrupt("more than 16 bytes of INET6"))?;
                write!(out, "{}", Ipv6Addr::from(bytes))
            }
            _ => return Err(Fault::Kind),
        };
        written.map_err(|_| Fault::TooLong)?;
        Ok(Reasons::NONE)
    }
}

fn date(date: Date, out: &mut Vec<u8>) -> std::io::Result<()> {
    write!(out, "{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn datetime(value: &DateTime, digits: u8, out: &mut Vec<u8>) -> std::io::Result<()> {
    date(value.date, out)?;
    write!(out, " {:02}:{:02}:{:02}", value.hour, value.minute, value.second)?;
    fraction(value.micros, digits, out)
}

fn fraction(micros: u32, digits: u8, out: &mut Vec<u8>) -> std::io::Result<()> {
    if digits == 0 {
        return Ok(());
    }
    let width = usize::from(digits.min(6));
    write!(out, ".{:0width$}", micros / 10u32.pow(6 - width as u32))
}

/// TIMESTAMP's moment in UTC; its zero is the zero date.
fn civil(seconds: i64, micros: u32) -> DateTime {
    if (seconds, micros) == (0, 0) {
        return DateTime::default();
    }
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = crate::copy_format::civil_of_unix_days(days);
    DateTime {
        date: Date { year, month, day },
        hour: (time / 3600) as u8,
        minute: (time / 60 % 60) as u8,
        second: (time % 60) as u8,
        micros,
    }
}
