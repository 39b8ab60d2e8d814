//! Column defaults as the catalogue prints them, turned into the values that a new row holds.
//!
//! Under `binlog_row_image` MINIMAL, and NOBLOB for large columns, both servers leave a column that took its default out
//! of the image of a new row (tried on MariaDB 10.11 and MySQL 9.7), unless the default is computed for each row:
//! CURRENT_TIMESTAMP, an expression, AUTO_INCREMENT, a generated column. The catalogue (`information_schema.COLUMNS`)
//! prints defaults as text: MySQL bare, MariaDB as SQL. What that text does not tell exactly is [`LeftOut::Unknown`]:
//! FLOAT, printed with six digits; MySQL's TIMESTAMP, printed in the time zone of who declared it; characters beyond the
//! catalogue's own character set, printed as `?`.

use crate::error::Result;
use crate::schema::{Charset, ColumnDefault, Flavor, LeftOut, SourceType};
use crate::value::{Date, DateTime, Decimal, Time, ValueRef};

/// What the catalogue says about a column's default.
pub(crate) struct DeclaredDefault<'a> {
    pub flavor: Flavor,
    /// `COLUMN_DEFAULT`.
    pub default: Option<&'a str>,
    /// `EXTRA`.
    pub extra: &'a str,
    pub nullable: bool,
    pub generated: bool,
}

/// The default for the target's schema.
pub(crate) fn column_default(declared: &DeclaredDefault<'_>) -> Option<ColumnDefault> {
    let text = declared.default.filter(|_| !declared.generated)?;
    let expression = || Some(ColumnDefault::Expression(text.to_owned()));
    if declared.flavor == Flavor::MariaDb {
        return match text.as_bytes() {
            b"NULL" => None,
            [b'\'', .., b'\''] => unquoted(text).map(ColumnDefault::Literal).or_else(expression),
            [b'0'..=b'9' | b'-' | b'+' | b'.', ..] if text.parse::<f64>().is_ok() => {
                Some(ColumnDefault::Literal(text.to_owned()))
            }
            [b'b', b'\'', ..] => Some(ColumnDefault::Literal(text.to_owned())),
            _ => expression(),
        };
    }
    // before 8.0 EXTRA does not say so
    let now = text.to_ascii_uppercase().starts_with("CURRENT_TIMESTAMP");
    if now || declared.extra.to_ascii_lowercase().contains("default_generated") {
        return expression();
    }
    Some(ColumnDefault::Literal(text.to_owned()))
}

/// What a new row holds in a column of this type that its image leaves out.
pub(crate) fn left_out(ty: &SourceType, declared: &DeclaredDefault<'_>) -> Result<LeftOut> {
    let extra = declared.extra.to_ascii_lowercase();
    let mariadb = declared.flavor == Flavor::MariaDb;
    if declared.generated {
        return Ok(if mariadb && extra.contains("virtual") { LeftOut::Always } else { LeftOut::Never });
    }
    if extra.contains("auto_increment") || extra.contains("default_generated") {
        return Ok(LeftOut::Never);
    }
    let Some(text) = declared.default else {
        return if declared.nullable { Ok(LeftOut::Null) } else { implicit(ty) };
    };
    if mariadb {
        return match text.as_bytes() {
            b"NULL" => Ok(LeftOut::Null),
            [b'\'', .., b'\''] => match unquoted(text) {
                Some(text) => literal(ty, &text, true),
                None => Ok(LeftOut::Unknown),
            },
            [b'0'..=b'9' | b'-' | b'+' | b'.', ..] | [b'b', b'\'', ..] => literal(ty, text, true),
            _ => Ok(LeftOut::Never),
        };
    }
    let is_moment = matches!(ty, SourceType::DateTime { .. } | SourceType::Timestamp { .. });
    if is_moment && text.to_ascii_uppercase().starts_with("CURRENT_TIMESTAMP") {
        return Ok(LeftOut::Never); // before 8.0 EXTRA does not say so
    }
    literal(ty, text, false)
}

/// What a column holds that has no default, is NOT NULL and was left out all the same: possible only without the strict
/// SQL mode. Types that have no such value by the manual are never left out.
fn implicit(ty: &SourceType) -> Result<LeftOut> {
    use SourceType as T;
    let value = match ty {
        T::Int { unsigned: false, .. } => ValueRef::Int(0),
        T::Int { unsigned: true, .. } | T::Year => ValueRef::UInt(0),
        T::Decimal { scale, .. } => return literal(ty, &zero(*scale), false),
        T::Float => ValueRef::Float(0.0),
        T::Double => ValueRef::Double(0.0),
        T::Bit { .. } => ValueRef::Bit(0),
        T::Date => ValueRef::Date(Date::default()),
        T::Time { .. } => ValueRef::Time(Time::default()),
        T::DateTime { .. } => ValueRef::DateTime(DateTime::default()),
        T::Timestamp { .. } => ValueRef::Timestamp { seconds: 0, micros: 0 },
        T::Char { .. }
        | T::VarChar { .. }
        | T::Text { .. }
        | T::Binary { .. }
        | T::VarBinary { .. }
        | T::Blob { .. } => ValueRef::Bytes(b""),
        T::Enum { .. } => ValueRef::Enum(1),
        T::Set { .. } => ValueRef::Set(0),
        T::Json { .. } | T::Geometry | T::Vector | T::Uuid | T::Inet4 | T::Inet6 => return Ok(LeftOut::Never),
    };
    LeftOut::of_value(&value)
}

fn zero(scale: u8) -> String {
    if scale == 0 { "0".into() } else { format!("0.{}", "0".repeat(scale.into())) }
}

/// A literal default. `zoned`: a TIMESTAMP is printed in the session's zone, which is UTC.
fn literal(ty: &SourceType, text: &str, zoned: bool) -> Result<LeftOut> {
    let mut bytes = Vec::new();
    match value(ty, text, zoned, &mut bytes) {
        Some(value) => LeftOut::of_value(&value),
        None => Ok(LeftOut::Unknown),
    }
}

fn value<'a>(ty: &SourceType, text: &'a str, zoned: bool, bytes: &'a mut Vec<u8>) -> Option<ValueRef<'a>> {
    use SourceType as T;
    Some(match ty {
        T::Int { unsigned: false, .. } => ValueRef::Int(text.parse().ok()?),
        T::Int { unsigned: true, .. } | T::Year => ValueRef::UInt(text.parse().ok()?),
        T::Decimal { scale, .. } => {
            let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let canonical = !text.trim_start_matches('-').starts_with("00") && !text.starts_with('+');
            let decimal = Decimal::from_text(text.as_bytes()).filter(|_| fraction == usize::from(*scale));
            ValueRef::Decimal(decimal.filter(|_| canonical)?)
        }
        // six digits are printed: fewer are all there are
        T::Float if text.bytes().filter(u8::is_ascii_digit).count() < 6 => ValueRef::Float(text.parse().ok()?),
        T::Double => ValueRef::Double(text.parse().ok()?),
        T::Bit { .. } => {
            let digits = text.strip_prefix("b'")?.strip_suffix('\'')?;
            ValueRef::Bit(u64::from_str_radix(digits, 2).ok()?)
        }
        T::Enum { labels } => {
            let index = labels.iter().position(|label| label == text)?;
            ValueRef::Enum(u16::try_from(index + 1).ok()?)
        }
        T::Set { members } => {
            let chosen = text.split(',').filter(|member| !member.is_empty());
            let bits = chosen.map(|member| members.iter().position(|known| known == member).map(|at| 1_u64 << at));
            ValueRef::Set(bits.sum::<Option<u64>>()?)
        }
        T::Date => ValueRef::Date(date(text)?),
        T::Time { .. } => ValueRef::Time(time(text)?),
        T::DateTime { .. } => ValueRef::DateTime(date_time(text)?),
        T::Timestamp { .. } => {
            let at = date_time(text)?;
            if at != DateTime::default() && !zoned {
                return None;
            }
            ValueRef::timestamp(at)
        }
        T::Char { charset, .. } | T::VarChar { charset, .. } | T::Text { charset, .. } => {
            *bytes = encoded(text, charset)?;
            ValueRef::Bytes(bytes)
        }
        T::Json { text: true } if !text.contains('?') => ValueRef::Bytes(text.as_bytes()),
        T::Binary { .. } | T::VarBinary { .. } | T::Blob { .. } => {
            *bytes = match text.strip_prefix("0x").filter(|_| !zoned) {
                Some(digits) => unhex(digits)?,
                None => text.bytes().all(|byte| byte.is_ascii() && byte != b'?').then(|| text.into())?,
            };
            ValueRef::Bytes(bytes)
        }
        _ => return None,
    })
}

/// Text in a column's character set, as far as that is certain.
fn encoded(text: &str, charset: &Charset) -> Option<Vec<u8>> {
    match charset.name.as_str() {
        // what the catalogue's character set does not have is printed as `?`
        "utf8mb4" => (!text.contains('?')).then(|| text.into()),
        "utf8mb3" | "utf8" => Some(text.into()),
        "latin1" => {
            let (bytes, _, lossy) = encoding_rs::WINDOWS_1252.encode(text);
            (!lossy).then(|| bytes.into_owned())
        }
        "ucs2" | "utf16" | "utf16le" | "utf32" | "gb18030" | "binary" | "swe7" => None,
        _ => text.is_ascii().then(|| text.into()),
    }
}

/// The content of a string as MariaDB writes it: quotes doubled or escaped, `\0 \n \r \\` escaped.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\'' => chars.next().filter(|next| *next == '\'')?,
            '\\' => match chars.next()? {
                '0' => '\0',
                'n' => '\n',
                'r' => '\r',
                other @ ('\\' | '\'' | '"') => other,
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2)).collect()
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let mut next = || parts.next();
    Some(Date { year: next()?.parse().ok()?, month: next()?.parse().ok()?, day: next()?.parse().ok()? })
}

/// `hh:mm:ss` with an optional fraction.
fn clock(text: &str) -> Option<(u16, u8, u8, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.splitn(3, ':');
    let mut next = || parts.next();
    let (hours, minutes, seconds) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    Some((hours, minutes, seconds, format!("{fraction:0<6}").parse().ok()?))
}

fn time(text: &str) -> Option<Time> {
    let (hours, minutes, seconds, micros) = clock(text.trim_start_matches('-'))?;
    Some(Time { negative: text.starts_with('-'), hours, minutes, seconds, micros })
}

fn date_time(text: &str) -> Option<DateTime> {
    let (day, rest) = text.split_once(' ')?;
    let (hour, minute, second, micros) = clock(rest)?;
    Some(DateTime { date: date(day)?, hour: u8::try_from(hour).ok()?, minute, second, micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(flavor: Flavor, ty: &SourceType, default: Option<&str>, extra: &str) -> LeftOut {
        left_out(ty, &DeclaredDefault { flavor, default, extra, nullable: false, generated: false }).unwrap()
    }

    fn packed(value: ValueRef<'_>) -> LeftOut {
        LeftOut::of_value(&value).unwrap()
    }

    const INT: SourceType = SourceType::Int { bytes: 4, unsigned: false, boolean: false };

    fn text(charset: &str) -> SourceType {
        let charset = Charset { name: charset.into(), collation: format!("{charset}_bin") };
        SourceType::VarChar { chars: 10, charset }
    }

    #[test]
    fn literals_of_every_kind_are_the_value_that_the_binlog_would_carry() {
        use SourceType as T;
        let labels = || vec!["p".to_owned(), "it's".to_owned()];
        let moment = DateTime { date: Date { year: 2020, month: 1, day: 2 }, hour: 3, minute: 4, second: 5, micros: 0 };
        let time = Time { negative: true, hours: 1, minutes: 2, seconds: 3, micros: 500_000 };
        let decimal = Decimal::from_text(b"-1.500").unwrap();
        let (my, maria) = (Flavor::MySql, Flavor::MariaDb);
        for (flavor, ty, default, value) in [
            (my, INT, "-5", ValueRef::Int(-5)),
            (maria, INT, "5", ValueRef::Int(5)),
            (my, T::Year, "2001", ValueRef::UInt(2001)),
            (my, T::Decimal { precision: 8, scale: 3, unsigned: false }, "-1.500", ValueRef::Decimal(decimal)),
            (my, T::Float, "0.1", ValueRef::Float(0.1)),
            (maria, T::Double, "0.1234567890123", ValueRef::Double(0.123_456_789_012_3)),
            (my, T::Bit { bits: 5 }, "b'101'", ValueRef::Bit(5)),
            (maria, T::Bit { bits: 5 }, "b'101'", ValueRef::Bit(5)),
            (my, T::Enum { labels: labels() }, "it's", ValueRef::Enum(2)),
            (maria, T::Enum { labels: labels() }, "'it''s'", ValueRef::Enum(2)),
            (my, T::Set { members: labels() }, "p,it's", ValueRef::Set(3)),
            (maria, T::Set { members: labels() }, "''", ValueRef::Set(0)),
            (my, T::Date, "2020-01-02", ValueRef::Date(moment.date)),
            (my, T::DateTime { fsp: 0 }, "2020-01-02 03:04:05", ValueRef::DateTime(moment)),
            (my, T::Time { fsp: 3 }, "-01:02:03.500", ValueRef::Time(time)),
            (
                maria,
                T::Timestamp { fsp: 0 },
                "'1970-01-02 00:00:00'",
                ValueRef::Timestamp { seconds: 86_400, micros: 0 },
            ),
            (my, text("utf8mb4"), "x 'é'", ValueRef::Bytes("x 'é'".as_bytes())),
            (maria, text("utf8mb4"), r"'a\\b\0'", ValueRef::Bytes(b"a\\b\0")),
            (my, text("latin1"), "é€", ValueRef::Bytes(b"\xe9\x80")),
            (my, T::Binary { len: 4 }, "0x61FF", ValueRef::Bytes(b"a\xff")),
            (maria, T::Binary { len: 4 }, r"'ab\0\0'", ValueRef::Bytes(b"ab\0\0")),
            (maria, T::Json { text: true }, "'{}'", ValueRef::Bytes(b"{}")),
        ] {
            assert_eq!(of(flavor, &ty, Some(default), ""), packed(value), "{flavor:?} {ty:?} {default}");
        }
    }

    #[test]
    fn what_the_text_does_not_tell_is_not_known() {
        for (ty, default) in [
            (SourceType::Float, "0.123457"),
            (SourceType::Timestamp { fsp: 0 }, "2020-01-01 00:00:00"),
            (text("utf8mb4"), "?"),
            (text("utf16"), "a"),
            (text("cp1251"), "é"),
            (SourceType::Decimal { precision: 8, scale: 3, unsigned: false }, "1.5"),
            (SourceType::Geometry, "x"),
        ] {
            assert_eq!(of(Flavor::MySql, &ty, Some(default), ""), LeftOut::Unknown, "{ty:?}");
        }
    }

    #[test]
    fn what_is_computed_for_each_row_is_never_left_out() {
        let moment = SourceType::DateTime { fsp: 0 };
        assert_eq!(of(Flavor::MySql, &INT, Some("(1 + 2)"), "DEFAULT_GENERATED"), LeftOut::Never);
        assert_eq!(of(Flavor::MySql, &moment, Some("CURRENT_TIMESTAMP"), ""), LeftOut::Never);
        assert_eq!(of(Flavor::MariaDb, &moment, Some("current_timestamp()"), ""), LeftOut::Never);
        assert_eq!(of(Flavor::MariaDb, &INT, Some("(1 + 2)"), ""), LeftOut::Never);
        assert_eq!(of(Flavor::MariaDb, &INT, None, "auto_increment"), LeftOut::Never);
        let generated = |flavor, extra| {
            let declared = DeclaredDefault { flavor, default: None, extra, nullable: true, generated: true };
            left_out(&INT, &declared).unwrap()
        };
        assert_eq!(generated(Flavor::MariaDb, "STORED GENERATED"), LeftOut::Never);
        assert_eq!(generated(Flavor::MariaDb, "VIRTUAL GENERATED"), LeftOut::Always);
        assert_eq!(generated(Flavor::MySql, "VIRTUAL GENERATED"), LeftOut::Never);
    }

    #[test]
    fn without_a_default_a_column_is_null_or_its_types_zero() {
        assert_eq!(of(Flavor::MySql, &INT, None, ""), packed(ValueRef::Int(0)));
        assert_eq!(
            of(Flavor::MariaDb, &SourceType::Enum { labels: vec!["a".into()] }, None, ""),
            packed(ValueRef::Enum(1))
        );
        let declared = DeclaredDefault {
            flavor: Flavor::MariaDb,
            default: Some("NULL"),
            extra: "",
            nullable: true,
            generated: false,
        };
        assert_eq!(left_out(&INT, &declared).unwrap(), LeftOut::Null);
    }
}
