//! The types that a column may become: its default and what settings may choose instead, by their names in settings.
//!
//! A choice is offered only where every value of the source type has its place in it, or where what has none is reported
//! like any other value that does not fit (`boolean`, `time`). Lengths and precisions are the source's own.

use super::plan::PgType;
use super::typemap::{MAX_VARCHAR, UNSIGNED_NUMERIC};
use crate::ident::TargetName;
use crate::schema::SourceType;

/// What `ty` may become, the default first. `native` is the name that an enum type of its own would get.
pub(super) fn choices(ty: &SourceType, native: &TargetName) -> Vec<PgType> {
    use PgType as P;
    match ty {
        SourceType::Int { bytes: 8.., unsigned: true, .. } => vec![P::BigInt, UNSIGNED_NUMERIC, P::Text],
        SourceType::Int { bytes, unsigned, .. } => {
            let mut types = match (bytes, unsigned) {
                (..=1, _) | (2, false) => vec![P::SmallInt, P::Integer, P::BigInt],
                (2, true) | (3, _) | (4, false) => vec![P::Integer, P::BigInt],
                _ => vec![P::BigInt],
            };
            if *bytes == 1 {
                types.push(P::Boolean);
            }
            types.extend([UNSIGNED_NUMERIC, P::Text]);
            types
        }
        SourceType::Year => vec![P::SmallInt, P::Integer, P::Text],
        SourceType::Decimal { precision, scale, .. } => {
            vec![P::Numeric { precision: (*precision).into(), scale: (*scale).into() }, P::Text]
        }
        SourceType::Float => vec![P::Real, P::Double],
        SourceType::Double => vec![P::Double],
        SourceType::Bit { bits: 0 | 1 } => vec![P::Boolean, P::Bit(1)],
        SourceType::Bit { bits } => vec![P::Bit((*bits).into())],
        SourceType::Date => vec![P::Date, P::Text],
        SourceType::Time { fsp } => vec![P::Interval(*fsp), P::Time(*fsp), P::Text],
        SourceType::DateTime { fsp } => vec![P::Timestamp(*fsp), P::TimestampTz(*fsp), P::Text],
        SourceType::Timestamp { fsp } => vec![P::TimestampTz(*fsp), P::Timestamp(*fsp), P::Text],
        ty if ty.charset().is_some_and(|charset| charset.name == "binary") => vec![P::Bytea],
        SourceType::Char { chars: chars @ 1..=MAX_VARCHAR, .. }
        | SourceType::VarChar { chars: chars @ 1..=MAX_VARCHAR, .. } => vec![P::Varchar(*chars), P::Text],
        SourceType::Char { .. } | SourceType::VarChar { .. } | SourceType::Text { .. } => vec![P::Text],
        SourceType::Binary { len: 16 } => vec![P::Bytea, P::Uuid],
        SourceType::Binary { .. } | SourceType::VarBinary { .. } | SourceType::Blob { .. } | SourceType::Geometry => {
            vec![P::Bytea]
        }
        SourceType::Enum { .. } => vec![P::Text, P::Enum(native.clone())],
        SourceType::Set { .. } => vec![P::TextArray, P::Text],
        SourceType::Json { .. } => vec![P::Jsonb, P::Json, P::Text],
        SourceType::Vector => vec![P::RealArray],
        SourceType::Uuid => vec![P::Uuid, P::Text],
        SourceType::Inet4 | SourceType::Inet6 => vec![P::Inet, P::Text],
    }
}

/// The choice that a setting names: by PostgreSQL's name or a usual short one, with or without its length.
pub(super) fn named(name: &str, choices: &[PgType]) -> Option<PgType> {
    let name = name.trim().to_lowercase();
    choices.iter().find(|ty| short(ty) == name || aliases(ty).contains(&name.as_str()) || ty.sql() == name).cloned()
}

/// The name by which settings and the documentation call a type.
pub(super) fn short(ty: &PgType) -> String {
    match ty {
        PgType::Varchar(_) => "varchar".into(),
        PgType::Timestamp(_) => "timestamp".into(),
        PgType::TimestampTz(_) => "timestamptz".into(),
        PgType::Time(_) => "time".into(),
        PgType::Enum(_) => "enum".into(),
        _ => ty.sql().split('(').next().unwrap_or_default().to_owned(),
    }
}

fn aliases(ty: &PgType) -> &'static [&'static str] {
    match ty {
        PgType::SmallInt => &["int2"],
        PgType::Integer => &["int", "int4"],
        PgType::BigInt => &["int8"],
        PgType::Numeric { .. } => &["decimal"],
        PgType::Real => &["float4"],
        PgType::Double => &["double", "float8"],
        PgType::Boolean => &["bool"],
        PgType::Varchar(_) => &["character varying"],
        PgType::TimestampTz(_) => &["timestamp with time zone"],
        PgType::Timestamp(_) => &["timestamp without time zone"],
        PgType::Enum(_) => &["native"],
        _ => &[],
    }
}
