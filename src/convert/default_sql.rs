//! A column's default as PostgreSQL's SQL.
//!
//! Enters: a column with its default as the source's catalogue has it, and what it becomes. Leaves: an expression for
//! DEFAULT, or the reason why the target's column has none. A default that the target would take otherwise (a zero date, a
//! number that is no boolean) is not carried: rows that we bring name every column, so only programs that write to the
//! target after the cutover meet it.
//!
//! The clock: MySQL's `now()` is the statement's begin in the session's time zone, cut and not rounded to the precision;
//! so is what stands for it here.

use super::expression::{self, Columns, is_moment, literal};
use super::plan::{PgType, PlannedColumn, Treatment};
use crate::schema::{ColumnDefault, SourceType};
use crate::value::ValueRef;

/// The default of a planned column; none where the source's has none.
///
/// # Errors
/// Why it is not carried.
pub(super) fn default_sql(columns: Columns<'_>, planned: &PlannedColumn) -> Result<Option<String>, String> {
    let source = &columns.table.columns[planned.source];
    let Some(default) = source.default.as_ref().filter(|_| !source.generated) else { return Ok(None) };
    if planned.treatment != Treatment::Plain && !matches!(planned.treatment, Treatment::InZone(_)) {
        return Err("the column does not hold the source's values".into());
    }
    match default {
        ColumnDefault::Literal(text) => {
            let bytes = match source.left_out.value() {
                Some(ValueRef::Bytes(bytes)) => Some(bytes.to_vec()),
                _ => None,
            };
            let zoned = source.left_out.value().is_some();
            constant(&source.ty, planned, text, bytes.as_deref(), zoned).map(Some)
        }
        ColumnDefault::Expression(text) => computed(columns, planned, text).map(Some),
    }
}

/// What `ON UPDATE CURRENT_TIMESTAMP` sets, which has the column's own precision.
///
/// # Errors
/// Why it is not carried.
pub(super) fn on_update_now(ty: &SourceType, planned: &PlannedColumn) -> Result<String, String> {
    match (ty, &planned.ty) {
        _ if planned.treatment.masks() => Err("the column does not hold the source's values".into()),
        (
            SourceType::DateTime { fsp } | SourceType::Timestamp { fsp },
            PgType::Timestamp(_) | PgType::TimestampTz(_),
        ) => clock(Some(*fsp), &planned.ty),
        (_, ty) => Err(format!("no conversion of the time to {}", ty.sql())),
    }
}

/// `bytes` is the value as the binlog carries it, where it is known; `zoned`: a TIMESTAMP's text is UTC.
fn constant(
    ty: &SourceType,
    planned: &PlannedColumn,
    text: &str,
    bytes: Option<&[u8]>,
    zoned: bool,
) -> Result<String, String> {
    use SourceType as S;
    let unknown = || Err(format!("no conversion of this default to {}", planned.ty.sql()));
    match (ty, &planned.ty) {
        (_, PgType::TimestampTz(_)) if matches!(planned.treatment, Treatment::InZone(_)) => unknown(),
        (S::Int { .. } | S::Year | S::Bit { .. }, PgType::Boolean) => match text {
            "0" | "b'0'" => Ok("false".into()),
            "1" | "b'1'" => Ok("true".into()),
            _ => unknown(),
        },
        (S::Bit { .. }, PgType::Bit(bits)) => {
            let digits = text.strip_prefix("b'").and_then(|text| text.strip_suffix('\'')).unwrap_or_default();
            let width = *bits as usize;
            let fits = !digits.is_empty() && digits.len() <= width && digits.bytes().all(|c| c == b'0' || c == b'1');
            if fits { Ok(format!("B'{digits:0>width$}'")) } else { unknown() }
        }
        (
            S::Int { .. } | S::Year | S::Decimal { .. } | S::Float | S::Double,
            PgType::SmallInt
            | PgType::Integer
            | PgType::BigInt
            | PgType::Numeric { .. }
            | PgType::Real
            | PgType::Double,
        ) if is_number(text) => Ok(text.to_owned()),
        (S::Int { .. } | S::Decimal { .. }, PgType::Text) if is_number(text) => Ok(literal(text)),
        (S::Char { .. } | S::VarChar { .. } | S::Text { .. }, PgType::Varchar(_) | PgType::Text) => words(text),
        (S::Enum { labels }, PgType::Text | PgType::Enum(_)) => {
            if !labels.iter().any(|label| label == text) {
                return Err("it is none of the ENUM's labels as they are spelt".into());
            }
            Ok(format!("{}::{}", literal(text), planned.ty.sql()))
        }
        (S::Set { members }, PgType::TextArray | PgType::Text) => {
            let chosen: Vec<&str> = text.split(',').filter(|member| !member.is_empty()).collect();
            if !chosen.iter().all(|member| members.iter().any(|known| known == member)) {
                return Err("it holds none of the SET's members as they are spelt".into());
            }
            let mut ordered = members.iter().map(String::as_str).filter(|member| chosen.contains(member));
            if planned.ty == PgType::Text {
                return Ok(literal(&ordered.collect::<Vec<_>>().join(",")));
            }
            let list: Vec<String> = ordered.by_ref().map(literal).collect();
            Ok(format!("ARRAY[{}]::text[]", list.join(", ")))
        }
        (S::Binary { .. } | S::VarBinary { .. } | S::Blob { .. }, PgType::Bytea) => match bytes {
            Some(bytes) => {
                let width = if let S::Binary { len } = ty { *len as usize } else { bytes.len() };
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(format!("'\\x{hex:0<digits$}'::bytea", digits = width.max(bytes.len()) * 2))
            }
            None => Err("its bytes are not known".into()),
        },
        (S::Date | S::DateTime { .. } | S::Timestamp { .. }, _) if text.starts_with("0000-00-00") => {
            Err("a zero date, which PostgreSQL does not have".into())
        }
        (S::Date, PgType::Date) | (S::DateTime { .. }, PgType::Timestamp(_)) if is_moment(text, &planned.ty) => {
            Ok(format!("{}::{}", literal(text), planned.ty.sql()))
        }
        (S::Timestamp { .. }, PgType::TimestampTz(_)) if zoned && is_moment(text, &planned.ty) => {
            Ok(format!("'{text}+00'::{}", planned.ty.sql()))
        }
        (S::Time { .. }, PgType::Interval(_)) if is_clock(text) => Ok(format!("'{text}'::{}", planned.ty.sql())),
        (S::Time { .. }, PgType::Time(_)) if text.parse::<jiff::civil::Time>().is_ok() => {
            Ok(format!("'{text}'::{}", planned.ty.sql()))
        }
        (S::Json { .. }, PgType::Json | PgType::Jsonb | PgType::Text)
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && !text.contains("\\u0000") =>
        {
            Ok(format!("{}::{}", literal(text), planned.ty.sql()))
        }
        (S::Uuid, PgType::Uuid) if is_uuid(text) => Ok(format!("'{text}'::uuid")),
        (S::Inet4 | S::Inet6, PgType::Inet) if text.parse::<core::net::IpAddr>().is_ok() => {
            Ok(format!("'{text}'::inet"))
        }
        _ => unknown(),
    }
}

fn words(text: &str) -> Result<String, String> {
    match text {
        text if text.contains('\0') => Err("a NUL character, which PostgreSQL's text cannot hold".into()),
        // the catalogue's own character set is narrower than utf8mb4
        text if text.contains('?') => Err("its ? may stand for a character that the source's catalogue lacks".into()),
        text => Ok(literal(text)),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|c| c.is_ascii_digit() || b".eE+-".contains(&c));
    plain && digits.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

/// `[-]hh:mm:ss[.ffffff]`, hours to 838.
fn is_clock(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let parts: Vec<&str> = text.split(':').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    parts.len() == 3 && parts.iter().all(digits)
}

fn is_uuid(text: &str) -> bool {
    let form =
        |(at, byte): (usize, u8)| if [8, 13, 18, 23].contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    text.len() == 36 && text.bytes().enumerate().all(form)
}

fn computed(columns: Columns<'_>, planned: &PlannedColumn, text: &str) -> Result<String, String> {
    let mut bare = text.trim();
    while let Some(inner) = bare.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        if inner.contains(['(', ')']) && !inner.trim_end().ends_with(')') {
            break;
        }
        bare = inner.trim();
    }
    let lower = bare.to_ascii_lowercase();
    let (name, argument) = lower.split_once('(').unwrap_or((&lower, ")"));
    let argument = argument.strip_suffix(')').unwrap_or("?").trim();
    let precision = if argument.is_empty() { Some(0) } else { argument.parse::<u8>().ok() };
    let ty = &planned.ty;
    match (name.trim(), ty) {
        (
            "current_timestamp" | "now" | "localtimestamp" | "localtime",
            PgType::TimestampTz(_) | PgType::Timestamp(_),
        ) => clock(precision, ty),
        ("curdate" | "current_date", PgType::Date) if argument.is_empty() => Ok("(statement_timestamp())::date".into()),
        ("uuid", PgType::Uuid) if argument.is_empty() => Ok("gen_random_uuid()".into()),
        ("uuid", PgType::Text) if argument.is_empty() => Ok("(gen_random_uuid())::text".into()),
        ("uuid", PgType::Varchar(36..)) if argument.is_empty() => Ok("(gen_random_uuid())::text".into()),
        ("json_array", PgType::Json | PgType::Jsonb) if argument.is_empty() => Ok(format!("'[]'::{}", ty.sql())),
        ("json_object", PgType::Json | PgType::Jsonb) if argument.is_empty() => Ok(format!("'{{}}'::{}", ty.sql())),
        _ => {
            if let Some(text) = expression::constant(bare)? {
                return constant(&columns.table.columns[planned.source].ty, planned, &text, None, false);
            }
            // a constant that is computed: MySQL takes no columns here that were not assigned before
            let none = Columns { planned: &[], ..columns };
            let number = matches!(ty, PgType::SmallInt | PgType::Integer | PgType::BigInt | PgType::Numeric { .. });
            let sql = expression::value(none, bare)?;
            if number { Ok(sql) } else { Err(format!("no conversion of this default to {}", ty.sql())) }
        }
    }
}

/// The statement's begin, cut to the precision: in the session's time zone for a type without one.
fn clock(precision: Option<u8>, ty: &PgType) -> Result<String, String> {
    let now = match precision {
        Some(0) => "date_trunc('second', statement_timestamp())",
        Some(3) => "date_trunc('milliseconds', statement_timestamp())",
        Some(1..=6) => "statement_timestamp()",
        _ => return Err("its precision is not known".into()),
    };
    Ok(if let PgType::Timestamp(_) = ty { format!("({now})::timestamp without time zone") } else { now.into() })
}

#[cfg(test)]
#[path = "default_sql_tests.rs"]
mod tests;
