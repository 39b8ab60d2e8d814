//! One column's values become fields of binary COPY.
//!
//! Compiled once per column from its source type and its planned type; then a [`ValueRef`] enters and exactly one field
//! leaves, with the [`Reasons`] for which the value was changed. What the ways into the program hand over differently is
//! made one here: padding of BINARY, UUID and INET, trailing spaces of CHAR, text and binary JSON.
//!
//! A [`Fault`] names no table; [`super::row`] puts the name to it. After a fault the output may hold half a field.

use super::binary::{ewkb, uuid_of_text, zero_padded};
use super::charset::Decoder;
use super::json;
use super::plan::{PgType, PlannedColumn, Treatment};
use super::sanitize::{Reason, Reasons};
use super::temporal;
use super::text_form::TextForm;
use super::zone::Zone;
use crate::copy_format as copy;
use crate::error::Error;
use crate::masking::MaskKey;
use crate::policy::Policy;
use crate::schema::{Charset, SourceType};
use crate::value::ValueRef;

/// Why a value has no field.
#[derive(Debug)]
pub(super) enum Fault {
    /// A partial row image does not have it.
    Absent,
    /// A kind of value that the column's type never has: decoder and schema disagree.
    Kind,
    /// A value that the column's type never has.
    Corrupt(&'static str),
    /// Nothing can stand for it, or nothing may.
    Refused(Reason, Policy),
    /// Longer than a field of PostgreSQL can be: nothing is shorter and stands for it.
    TooLong,
    /// A character set without a decoder, in a column that is not carried.
    Unsupported,
    /// Binary JSON that cannot be read.
    Json(Error),
}

/// Buffers that rows share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) text: Vec<u8>,
    nesting: Vec<bool>,
}

/// How text of a column becomes UTF-8.
#[derive(Debug)]
pub(super) struct Text {
    decoder: Decoder,
    /// CHAR: the binlog and SELECT leave out trailing spaces, other ways may not.
    strip_spaces: bool,
    /// The most characters that the target takes.
    chars: Option<u32>,
}

/// How the values of one column become fields.
#[derive(Debug)]
pub(super) enum Encode {
    Int {
        min: i64,
        max: u64,
        to: PgType,
    },
    Decimal {
        scale: u8,
    },
    Float,
    /// FLOAT as `double precision`.
    WideFloat,
    Double,
    Bit {
        bits: u8,
        boolean: bool,
    },
    Date,
    DateTime,
    /// DATETIME in a zone.
    Moment(Zone),
    Timestamp,
    Interval,
    TimeOfDay,
    Text(Text),
    /// Binary data, padded to the length if there is one.
    Bytes {
        padded: Option<usize>,
    },
    Enum(Vec<Box<[u8]>>),
    Set(Vec<Box<[u8]>>),
    Json {
        jsonb: bool,
    },
    Geometry,
    Vector,
    Uuid,
    Inet4,
    Inet6,
    /// The value's text.
    TextForm(TextForm),
    /// The hash of the value's text.
    Hashed {
        text: TextForm,
        key: MaskKey,
    },
    /// NULL, whatever the value.
    Nulled,
    Unsupported,
}

impl Text {
    /// The decoder of a text type; `None` for others and for character sets without one.
    pub(super) fn of(ty: &SourceType, chars: Option<u32>) -> Option<Self> {
        let decoder = Decoder::of(&ty.charset()?.name)?;
        Some(Self { decoder, strip_spaces: matches!(ty, SourceType::Char { .. }), chars })
    }

    pub(super) fn append(&self, bytes: &[u8], out: &mut Vec<u8>) -> Reasons {
        let start = out.len();
        let reasons = self.decoder.append(bytes, out);
        // a space that only a NUL's removal has put last is part of the value
        if self.strip_spaces && (bytes.ends_with(b" ") || !reasons.contains(Reason::NulByte)) {
            let kept = out[start..].iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            out.truncate(start + kept);
        }
        // U+FFFD for each byte of a broken character may be more characters than were declared
        if let Some(chars) = self.chars.filter(|_| reasons.contains(Reason::InvalidBytes)) {
            let starts = (start..out.len()).filter(|at| out[*at] & 0xC0 != 0x80);
            let end = starts.clone().nth(chars as usize);
            out.truncate(end.unwrap_or(out.len()));
        }
        reasons
    }
}

impl Encode {
    /// The conversion of a planned column; `None` when there is none.
    pub(super) fn planned(ty: &SourceType, column: &PlannedColumn) -> Option<Self> {
        match &column.treatment {
            Treatment::Plain => Self::of(ty, &column.ty),
            Treatment::Nulled => Some(Self::Nulled),
            Treatment::Hashed(key) => {
                Some(TextForm::of(ty).map_or(Self::Unsupported, |text| Self::Hashed { text, key: key.clone() }))
            }
            Treatment::InZone(zone) => match (ty, &column.ty) {
                (SourceType::DateTime { .. }, PgType::TimestampTz(_)) => Some(Self::Moment(zone.clone())),
                _ => None,
            },
        }
    }

    /// The conversion from `ty` to `to`; `None` when there is none.
    pub(super) fn of(ty: &SourceType, to: &PgType) -> Option<Self> {
        let labels = |texts: &[String]| texts.iter().map(|text| text.as_bytes().into()).collect();
        Some(match (ty, to) {
            (
                SourceType::Int { .. } | SourceType::Year,
                PgType::Boolean | PgType::SmallInt | PgType::Integer | PgType::BigInt | PgType::Numeric { .. },
            ) => {
                let (min, max) = range(ty);
                Self::Int { min, max, to: to.clone() }
            }
            (SourceType::Decimal { scale, .. }, PgType::Numeric { .. }) => Self::Decimal { scale: *scale },
            (SourceType::Float, PgType::Real) => Self::Float,
            (SourceType::Float, PgType::Double) => Self::WideFloat,
            (SourceType::Double, PgType::Double) => Self::Double,
            (SourceType::Bit { bits }, PgType::Boolean) if *bits <= 1 => Self::Bit { bits: 1, boolean: true },
            (SourceType::Bit { bits }, PgType::Bit(n)) if u32::from((*bits).max(1)) == *n => {
                Self::Bit { bits: (*bits).max(1), boolean: false }
            }
            (SourceType::Date, PgType::Date) => Self::Date,
            (SourceType::DateTime { .. }, PgType::Timestamp(_)) => Self::DateTime,
            (SourceType::Timestamp { .. }, PgType::TimestampTz(_) | PgType::Timestamp(_)) => Self::Timestamp,
            (SourceType::Time { .. }, PgType::Interval(_)) => Self::Interval,
            (SourceType::Time { .. }, PgType::Time(_)) => Self::TimeOfDay,
            (SourceType::Char { chars, charset: Charset { name, .. } }, PgType::Bytea) if name == "binary" => {
                Self::Bytes { padded: Some(*chars as usize) }
            }
            (SourceType::VarChar { .. } | SourceType::Text { .. }, PgType::Bytea) => Self::Bytes { padded: None },
            (
                SourceType::Char { .. } | SourceType::VarChar { .. } | SourceType::Text { .. },
                PgType::Varchar(_) | PgType::Text,
            ) => {
                let chars = if let PgType::Varchar(chars) = to { Some(*chars) } else { None };
                Text::of(ty, chars).map_or(Self::Unsupported, Self::Text)
            }
            (SourceType::Binary { len: 16 }, PgType::Uuid) => Self::Uuid,
            (SourceType::Binary { len }, PgType::Bytea) => Self::Bytes { padded: Some(*len as usize) },
            (SourceType::VarBinary { .. } | SourceType::Blob { .. }, PgType::Bytea) => Self::Bytes { padded: None },
            (SourceType::Enum { labels: texts }, PgType::Text | PgType::Enum(_)) => Self::Enum(labels(texts)),
            (SourceType::Set { members }, PgType::TextArray) => Self::Set(labels(members)),
            (SourceType::Json { .. }, PgType::Jsonb) => Self::Json { jsonb: true },
            (SourceType::Json { .. }, PgType::Json) => Self::Json { jsonb: false },
            (SourceType::Geometry, PgType::Bytea) => Self::Geometry,
            (SourceType::Vector, PgType::RealArray) => Self::Vector,
            (SourceType::Uuid, PgType::Uuid) => Self::Uuid,
            (SourceType::Inet4, PgType::Inet) => Self::Inet4,
            (SourceType::Inet6, PgType::Inet) => Self::Inet6,
            (
                SourceType::Int { .. }
                | SourceType::Year
                | SourceType::Decimal { .. }
                | SourceType::Date
                | SourceType::Time { .. }
                | SourceType::DateTime { .. }
                | SourceType::Timestamp { .. }
                | SourceType::Set { .. }
                | SourceType::Json { .. }
                | SourceType::Uuid
                | SourceType::Inet4
                | SourceType::Inet6,
                PgType::Text,
            ) => TextForm::of(ty).map_or(Self::Unsupported, Self::TextForm),
            _ => return None,
        })
    }

    /// Appends the value's field; of a value that is changed, the field of what stands for it.
    pub(super) fn append(
        &self,
        value: &ValueRef<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Reasons, Fault> {
        match (self, value) {
            (_, ValueRef::Null) => copy::null(out),
            (_, ValueRef::Absent) => return Err(Fault::Kind),
            (Self::Nulled, _) => copy::null(out),
            (Self::TextForm(text), value) => return field(out, |out| text.append(value, out)),
            (Self::Hashed { text, key }, value) => {
                scratch.text.clear();
                let reasons = text.append(value, &mut scratch.text)?;
                return field(out, |out| {
                    key.append(&scratch.text, out);
                    Ok(reasons)
                });
            }
            (Self::Int { min, max, to }, ValueRef::Int(value)) => {
                if value < min || u64::try_from(*value).is_ok_and(|value| value > *max) {
                    return Err(OUT_OF_RANGE);
                }
                return integer(to, *value < 0, value.unsigned_abs(), out);
            }
            (Self::Int { max, to, .. }, ValueRef::UInt(value)) => {
                if value > max {
                    return Err(OUT_OF_RANGE);
                }
                return integer(to, false, *value, out);
            }
            (Self::Decimal { scale }, ValueRef::Decimal(value)) => copy::numeric(out, value, *scale),
            (Self::Float, ValueRef::Float(value)) => copy::float4(out, *value),
            // SELECT gives all digits of a FLOAT only as `col + 0e0`, a DOUBLE
            (Self::Float, ValueRef::Double(value)) if f64::from(*value as f32).to_bits() == value.to_bits() => {
                copy::float4(out, *value as f32);
            }
            (Self::Float, ValueRef::Double(_)) => return Err(Fault::Corrupt("no FLOAT has this value")),
            (Self::WideFloat, ValueRef::Float(value)) => copy::float8(out, f64::from(*value)),
            (Self::WideFloat, ValueRef::Double(value)) if f64::from(*value as f32).to_bits() == value.to_bits() => {
                copy::float8(out, *value);
            }
            (Self::WideFloat, ValueRef::Double(_)) => return Err(Fault::Corrupt("no FLOAT has this value")),
            (Self::Double, ValueRef::Double(value)) => copy::float8(out, *value),
            (Self::Bit { bits, boolean }, ValueRef::Bit(value)) => {
                if value.checked_shr((*bits).into()).is_some_and(|beyond| beyond != 0) {
                    return Err(Fault::Corrupt("more bits than declared"));
                }
                if *boolean { copy::boolean(out, *value != 0) } else { copy::bit(out, *bits, *value) }
            }
            (Self::Date, ValueRef::Date(value)) => {
                return Ok(placed(temporal::date(*value), temporal::SAFE_DATE, out, copy::date));
            }
            (Self::DateTime, ValueRef::DateTime(value)) => {
                let micros = temporal::datetime(value).map_err(Fault::Corrupt)?;
                return Ok(placed(micros, temporal::SAFE_TIMESTAMP, out, copy::timestamp));
            }
            (Self::Moment(zone), ValueRef::DateTime(value)) => {
                let micros = temporal::datetime(value).map_err(Fault::Corrupt)?.map(|local| zone.moment(local));
                return Ok(placed(micros, temporal::SAFE_TIMESTAMP, out, copy::timestamp));
            }
            (Self::Timestamp, ValueRef::Timestamp { seconds, micros }) => {
                let micros = temporal::timestamp(*seconds, *micros).map_err(Fault::Corrupt)?;
                return Ok(placed(micros, temporal::SAFE_TIMESTAMP, out, copy::timestamp));
            }
            (Self::Interval, ValueRef::Time(value)) => {
                copy::interval(out, temporal::time(value).map_err(Fault::Corrupt)?, 0, 0);
            }
            (Self::TimeOfDay, ValueRef::Time(value)) => {
                let micros = temporal::time(value).map_err(Fault::Corrupt)?;
                let nearest = micros.clamp(0, temporal::LAST_SECOND);
                let late = !(0..copy::MICROS_PER_DAY).contains(&micros);
                copy::time(out, if late { nearest } else { micros });
                return Ok(if late { Reason::NotTimeOfDay.into() } else { Reasons::NONE });
            }
            (Self::Text(text), ValueRef::Bytes(bytes)) => return field(out, |out| Ok(text.append(bytes, out))),
            (Self::Bytes { padded: None }, ValueRef::Bytes(bytes)) => whole(bytes, out)?,
            (Self::Bytes { padded: Some(length) }, ValueRef::Bytes(bytes)) => {
                if bytes.len() > *length {
                    return Err(Fault::Corrupt("more bytes than declared"));
                }
                return field(out, |out| {
                    out.extend_from_slice(bytes);
                    out.resize(out.len() + length - bytes.len(), 0);
                    Ok(Reasons::NONE)
                });
            }
            (Self::Enum(_), ValueRef::Enum(0)) => {
                whole(b"", out)?;
                return Ok(Reason::EnumZero.into());
            }
            (Self::Enum(labels), ValueRef::Enum(index)) => match labels.get(usize::from(*index) - 1) {
                Some(label) => whole(label, out)?,
                None => return Err(Fault::Corrupt("ENUM index beyond its labels")),
            },
            (Self::Set(members), ValueRef::Set(bits)) => {
                if bits.checked_shr(members.len() as u32).is_some_and(|beyond| beyond != 0) {
                    return Err(Fault::Corrupt("SET bit beyond its members"));
                }
                let chosen = members.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                copy::text_array(out, chosen.map(|(_, member)| &**member));
            }
            (Self::Json { jsonb }, ValueRef::Bytes(_) | ValueRef::JsonBinary(_)) => {
                return field(out, |out| {
                    if *jsonb {
                        out.push(copy::JSONB_VERSION);
                    }
                    json(value, scratch, out)
                });
            }
            (Self::Geometry, ValueRef::Bytes(bytes)) => {
                return field(out, |out| ewkb(bytes, out).map(|()| Reasons::NONE).map_err(Fault::Corrupt));
            }
            (Self::Vector, ValueRef::Bytes(bytes)) => {
                let (floats, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(Fault::Corrupt("a vector's length is no multiple of 4"));
                }
                copy::float4_array(out, floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            (Self::Uuid, ValueRef::Bytes(bytes)) => {
                let parsed = if bytes.len() == 36 { uuid_of_text(bytes) } else { zero_padded(bytes) };
                copy::uuid(out, parsed.ok_or(Fault::Corrupt("no UUID"))?);
            }
            (Self::Inet4, ValueRef::Bytes(bytes)) => {
                copy::inet4(out, zero_padded(bytes).ok_or(Fault::Corrupt("more than 4 bytes of INET4"))?);
            }
            (Self::Inet6, ValueRef::Bytes(bytes)) => {
                copy::inet6(out, zero_padded(bytes).ok_or(Fault::Corrupt("more than 16 bytes of INET6"))?);
            }
            (Self::Unsupported, ValueRef::Bytes(_)) => return Err(Fault::Unsupported),
            _ => return Err(Fault::Kind),
        }
        Ok(Reasons::NONE)
    }
}

const OUT_OF_RANGE: Fault = Fault::Corrupt("a number outside its type's range");

/// The smallest and the largest number of an integer type.
fn range(ty: &SourceType) -> (i64, u64) {
    match ty {
        SourceType::Int { bytes, unsigned, .. } => {
            let bits = u32::from((*bytes).clamp(1, 8)) * 8;
            let unsigned_max = u64::MAX >> (64 - bits);
            if *unsigned { (0, unsigned_max) } else { (i64::MIN >> (64 - bits), unsigned_max >> 1) }
        }
        _ => (0, 2155),
    }
}

fn integer(to: &PgType, negative: bool, magnitude: u64, out: &mut Vec<u8>) -> Result<Reasons, Fault> {
    if let PgType::Numeric { .. } = to {
        copy::numeric_whole(out, negative, magnitude);
        return Ok(Reasons::NONE);
    }
    let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    let Some(value) = value else {
        if *to != PgType::BigInt {
            return Err(OUT_OF_RANGE);
        }
        copy::int8(out, i64::MAX);
        return Ok(Reason::OutOfRange.into());
    };
    match to {
        PgType::BigInt => copy::int8(out, value),
        PgType::Integer => copy::int4(out, i32::try_from(value).map_err(|_| OUT_OF_RANGE)?),
        PgType::SmallInt => copy::int2(out, i16::try_from(value).map_err(|_| OUT_OF_RANGE)?),
        _ => {
            copy::boolean(out, value != 0);
            let mut reasons = Reasons::NONE;
            reasons.note(Reason::NotBoolean, !(0..=1).contains(&value));
            return Ok(reasons);
        }
    }
    Ok(Reasons::NONE)
}

/// Writes a date or timestamp; in place of one that PostgreSQL does not have, the safe one.
fn placed<T>(value: Result<T, Reason>, safe: T, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, T)) -> Reasons {
    match value {
        Ok(value) => {
            write(out, value);
            Reasons::NONE
        }
        Err(reason) => {
            write(out, safe);
            reason.into()
        }
    }
}

/// Writes a field around what `write` appends.
fn field(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<Reasons, Fault>) -> Result<Reasons, Fault> {
    let begun = copy::begin(out);
    let reasons = write(out)?;
    if copy::finish(out, begun) { Ok(reasons) } else { Err(Fault::TooLong) }
}

fn whole(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if copy::bytes(out, bytes) { Ok(()) } else { Err(Fault::TooLong) }
}

fn json(value: &ValueRef<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Reasons, Fault> {
    let Scratch { text, nesting } = scratch;
    text.clear();
    match value {
        ValueRef::Bytes(bytes) if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) => {
            Ok(json::clean(bytes, nesting, out))
        }
        ValueRef::Bytes(bytes) => {
            let reasons = Decoder::Utf8.append(bytes, text);
            Ok(reasons | json::clean(text, nesting, out))
        }
        ValueRef::JsonBinary(bytes) => {
            json::binary_to_text(bytes, text).map_err(Fault::Json)?;
            Ok(json::clean(text, nesting, out))
        }
        _ => Err(Fault::Kind),
    }
}

#[cfg(test)]
mod tests;
