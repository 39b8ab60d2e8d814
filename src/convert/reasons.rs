//! Why a column becomes what it becomes, in words; and which of its values might not fit.

use super::plan::{PgType, PlannedColumn, TablePlan, Treatment};
use super::typemap::{TypeOptions, default_type};
use crate::mapping::Mapping;
use crate::policy::Reason;
use crate::schema::SourceType;

/// Why the column is not simply of its default type; none when it is.
#[must_use]
pub fn why(plan: &TablePlan, column: &PlannedColumn, mapping: &Mapping, options: &TypeOptions) -> Option<String> {
    let source = &plan.source.columns[column.source];
    let ruled = mapping.column_rule(&plan.source.name, &source.name).is_some_and(|rule| rule.ty.is_some());
    let whole = matches!(source.ty, SourceType::Int { .. } | SourceType::Year);
    Some(match &column.treatment {
        Treatment::Nulled => "masked: NULL stands for every value".into(),
        Treatment::Hashed(_) => "masked: a keyed hash stands for every value".into(),
        Treatment::InZone(zone) => format!("read as local time of {}, by datetime_zone", zone.name()),
        Treatment::Plain if ruled => "by its rule under [tables.rules]".into(),
        Treatment::Plain if column.ty == default_type(&source.ty, &TypeOptions::default()) => return None,
        Treatment::Plain if column.ty == default_type(&source.ty, options) => "by [types]".into(),
        Treatment::Plain if matches!(column.ty, PgType::Enum(_)) => "by [types]".into(),
        Treatment::Plain if whole => "a foreign key joins it to a column of this type".into(),
        Treatment::Plain => "it is in a key, a unique index or a foreign key".into(),
    })
}

/// The reasons for which values of the column might not fit, that a condition on the source can find.
#[must_use]
pub fn doubts(plan: &TablePlan, column: &PlannedColumn) -> Vec<Reason> {
    if column.treatment.masks() {
        return Vec::new();
    }
    match (&plan.source.columns[column.source].ty, &column.ty) {
        (SourceType::Int { boolean: true, .. }, _) => vec![Reason::NotBoolean],
        (SourceType::Int { bytes: 8, unsigned: true, .. }, PgType::BigInt) => vec![Reason::OutOfRange],
        (SourceType::Char { .. } | SourceType::VarChar { .. } | SourceType::Text { .. }, ty)
            if *ty != PgType::Bytea =>
        {
            vec![Reason::NulByte]
        }
        (ty, PgType::Date | PgType::Timestamp(_) | PgType::TimestampTz(_)) if ty.has_date() => {
            vec![Reason::ZeroDate, Reason::InvalidDate]
        }
        _ => Vec::new(),
    }
}
