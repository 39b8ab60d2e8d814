//! What a change of a source table's columns means for the rows that are on the target already.
//!
//! Enter: a table's plan before and behind a DDL statement, and which column came from which. Leaves: steps that change the
//! target's rows exactly as the statement changed the source's, or the reason why they have to be copied anew. When in doubt
//! they are copied: the servers convert values in ways of their own (rounding, cutting, zones), and each of those would have
//! to be met to the byte. Tests of rows ([`Unless`]) make use of the target holding the very rows that the statement met.

use super::Arena;
use super::plan::{PgType, PlannedColumn, TablePlan, Treatment};
use super::row::Converter;
use crate::copy_format::field_value;
use crate::error::Result;
use crate::ident;
use crate::schema::{Charset, LeftOut, SourceType};
use crate::value::ValueRef;
use std::sync::Arc;

/// How the target's rows follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Alteration {
    /// By these steps, unless rows are there that one of the tests finds.
    Steps {
        /// In their order.
        steps: Vec<Step>,
        /// What must not be there.
        unless: Vec<Unless>,
    },
    /// Not at all: the table has to be copied anew. Why, in words.
    Copy(String),
}

/// Rows of the table as it was that could not follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unless {
    /// A condition in SQL over the target's columns as they were.
    pub rows: String,
    /// Why those rows stand in the way.
    pub why: String,
}

/// A step on the target's columns. Positions are those of the new plan's columns.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The primary key goes; another may come when the keys are brought in line.
    DropKey,
    /// The column goes.
    Drop(String),
    /// It has another name.
    Rename {
        /// Its name until now.
        from: String,
        /// Its new one.
        to: String,
    },
    /// Its values are cast to the planned type.
    Cast(usize),
    /// The column comes, and rows that are there hold this in it.
    Add {
        /// Which.
        column: usize,
        /// The value in binary form; none is NULL.
        fill: Option<Vec<u8>>,
    },
    /// Whether NULL is allowed changes to what is planned.
    Nullability(usize),
}

/// Compares the plans; `origins` says for each of the new source table's columns which of the old one's it was.
///
/// # Errors
/// [`crate::error::ErrorKind::Bug`] for a plan that has no converter.
pub fn alteration(old: &TablePlan, new: &Arc<TablePlan>, origins: &[Option<usize>]) -> Result<Alteration> {
    let filter_changes = |(column, _): &(usize, _)| {
        let (was, is) = (origins.get(*column).copied().flatten(), &new.source.columns[*column]);
        was.is_none_or(|was| {
            let was = &old.source.columns[was];
            (&was.ty, was.nullable) != (&is.ty, is.nullable)
        })
    };
    // rows that it kept out are not there to be asked
    if old.rows.len() != new.rows.len() || new.rows.iter().any(filter_changes) {
        return Ok(Alteration::Copy("its row filter means other rows".into()));
    }
    let (mut steps, mut unless) = (Vec::new(), Vec::new());
    let origin = |column: &PlannedColumn| {
        let source = origins.get(column.source).copied().flatten()?;
        old.columns.iter().find(|old| old.source == source)
    };
    let kept: Vec<Option<&PlannedColumn>> = new.columns.iter().map(origin).collect();
    let was_key: Vec<Option<usize>> = old.key.iter().map(|at| Some(old.columns[*at].source)).collect();
    let is_key = new.key.iter().map(|at| origins.get(new.columns[*at].source).copied().flatten());
    if old.has_key() && old.key_is_primary && !(new.key_is_primary && is_key.eq(was_key.iter().copied())) {
        steps.push(Step::DropKey);
    }
    for column in &old.columns {
        if !kept.iter().flatten().any(|kept| kept.source == column.source) {
            steps.push(Step::Drop(column.name.clone()));
        }
    }
    for (was, column) in kept.iter().zip(&new.columns) {
        if let Some(was) = was.filter(|was| was.name != column.name) {
            steps.push(Step::Rename { from: was.name.clone(), to: column.name.clone() });
        }
    }
    for (at, (was, column)) in kept.iter().zip(&new.columns).enumerate() {
        match was {
            None => match fill(new, column)? {
                Ok(fill) => steps.push(Step::Add { column: at, fill }),
                Err(why) => return Ok(Alteration::Copy(why)),
            },
            Some(was) => {
                let name = ident::postgres(&was.name);
                match follows((old, was), (new, column)) {
                    Follows::As => {}
                    Follows::Unless(rows, why) => {
                        unless.push(Unless { rows, why: format!("column {}: {why}", column.name) });
                    }
                    Follows::Not(why) => return Ok(Alteration::Copy(format!("column {}: {why}", column.name))),
                }
                if was.ty != column.ty {
                    steps.push(Step::Cast(at));
                }
                if was.nullable != column.nullable {
                    steps.push(Step::Nullability(at));
                    if !column.nullable {
                        let why = format!("column {}: NULL became another value", column.name);
                        unless.push(Unless { rows: format!("{name} IS NULL"), why });
                    }
                }
            }
        }
    }
    Ok(Alteration::Steps { steps, unless })
}

/// What rows that are there hold in a new column, or why that is not known.
fn fill(plan: &Arc<TablePlan>, column: &PlannedColumn) -> Result<std::result::Result<Option<Vec<u8>>, String>> {
    let source = &plan.source.columns[column.source];
    let unknown = |why: &str| Ok(Err(format!("what existing rows hold in column {} is {why}", column.name)));
    let value = match &source.left_out {
        LeftOut::Null => return Ok(Ok(None)),
        LeftOut::Value(_) => source.left_out.value().unwrap_or(ValueRef::Null),
        LeftOut::Never | LeftOut::Always => return unknown("computed by the source"),
        LeftOut::Unknown => return unknown("not told exactly by the source's catalogue"),
    };
    if matches!(column.ty, PgType::Enum(_)) {
        return unknown("of a type that is made with it");
    }
    let mut row = vec![ValueRef::Null; plan.source.columns.len()];
    row[column.source] = value;
    let mut arena = Arena::default();
    match Converter::compile(Arc::clone(plan))?.fields(&[column.source], &row, &mut arena) {
        Ok(span) => Ok(Ok(field_value(arena.get(span)).map(<[u8]>::to_vec))),
        Err(_) => unknown("a default that does not fit the target"),
    }
}

/// Whether the target's values of a column are what the source's have become.
enum Follows {
    As,
    /// But for rows that this condition finds.
    Unless(String, String),
    Not(String),
}

impl Follows {
    /// Both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::As, other) | (other, Self::As) => other,
            (Self::Unless(a, why), Self::Unless(b, other)) => {
                Self::Unless(format!("{a} OR {b}"), format!("{why}, or {other}"))
            }
            (Self::Not(why), _) | (_, Self::Not(why)) => Self::Not(why),
        }
    }
}

fn follows((old, was): (&TablePlan, &PlannedColumn), (new, is): (&TablePlan, &PlannedColumn)) -> Follows {
    let (from, to) = (&old.source.columns[was.source], &new.source.columns[is.source]);
    if was.treatment != is.treatment {
        return Follows::Not("its settings treat its values in another way".into());
    }
    if to.generated && !(from.generated && from.generation == to.generation && from.ty == to.ty) {
        return Follows::Not("the source computes it".into());
    }
    if from.ty == to.ty {
        return if was.ty == is.ty || widens(&was.ty, &is.ty) {
            Follows::As
        } else {
            not(&from.declared, &to.declared)
        };
    }
    if was.treatment != Treatment::Plain {
        return Follows::Not("its values are masked or in a zone".into());
    }
    match source_follows(&ident::postgres(&was.name), &from.ty, &to.ty) {
        Follows::As if was.ty == is.ty || widens(&was.ty, &is.ty) => Follows::As,
        Follows::Unless(rows, why) if was.ty == is.ty || casts(&was.ty, &is.ty) => Follows::Unless(rows, why),
        _ => not(&from.declared, &to.declared),
    }
}

fn not(from: &str, to: &str) -> Follows {
    Follows::Not(format!("the source converts {from} to {to}"))
}

/// Whether every value of the one type is the same in the other, and PostgreSQL's cast gives that.
fn widens(from: &PgType, to: &PgType) -> bool {
    use PgType as P;
    let integer = |ty: &PgType| match ty {
        P::SmallInt => Some(5),
        P::Integer => Some(10),
        P::BigInt => Some(19),
        _ => None,
    };
    match (from, to) {
        (P::Numeric { precision: p, scale: s }, P::Numeric { precision, scale }) => {
            scale >= s && precision - scale >= p.saturating_sub(*s)
        }
        (_, P::Numeric { precision, scale }) => integer(from).is_some_and(|digits| precision - scale >= digits),
        (P::Varchar(n), P::Varchar(m)) => m >= n,
        (P::Varchar(_), P::Text) | (P::Real, P::Double) => true,
        (P::Date, P::Timestamp(_)) => true,
        (P::Timestamp(p), P::Timestamp(q)) | (P::TimestampTz(p), P::TimestampTz(q)) => q >= p,
        (P::Interval(p), P::Interval(q)) | (P::Time(p), P::Time(q)) => q >= p,
        (from, P::Varchar(n)) => integer(from).is_some_and(|digits| *n > u32::from(digits)),
        (from, P::Text) => integer(from).is_some(),
        (from, to) => integer(from).zip(integer(to)).is_some_and(|(from, to)| from <= to),
    }
}

/// Whether PostgreSQL's cast gives the same value for all that the test of rows lets pass.
fn casts(from: &PgType, to: &PgType) -> bool {
    use PgType as P;
    let integer = |ty: &PgType| matches!(ty, P::SmallInt | P::Integer | P::BigInt);
    widens(from, to)
        || (integer(from) && integer(to))
        || matches!((from, to), (P::Varchar(_) | P::Text, P::Varchar(_) | P::Text))
}

/// Whether the source keeps values of the one type as they are in the other, as the target shows them. `name`: the
/// target's column, quoted.
fn source_follows(name: &str, from: &SourceType, to: &SourceType) -> Follows {
    use SourceType as T;
    match (from, to) {
        (T::Int { boolean: false, .. }, T::Int { .. }) | (T::Int { .. }, T::Int { boolean: false, .. }) => {
            let ((low, high), (least, most)) = (range(from), range(to));
            let mut outside = Vec::new();
            if least > low {
                outside.push(format!("{name} < {least}"));
            }
            if most < high {
                outside.push(format!("{name} > {most}"));
            }
            if outside.is_empty() {
                return Follows::As;
            }
            Follows::Unless(outside.join(" OR "), "numbers beyond the new type".into())
        }
        (T::Int { .. }, T::Decimal { precision, scale, unsigned }) => {
            let (low, high) = range(from);
            let fits = u32::from(precision - scale) > low.abs().max(high).ilog10() && (low == 0 || !unsigned);
            if fits { Follows::As } else { Follows::Not(String::new()) }
        }
        (T::Decimal { precision: p, scale: s, unsigned: u }, T::Decimal { precision, scale, unsigned })
            if scale >= s && precision - scale >= p - s && (*u || !unsigned) =>
        {
            Follows::As
        }
        (T::Int { .. }, T::VarChar { chars, charset } | T::Char { chars, charset })
            if *chars >= 20 && charset.name != "binary" =>
        {
            Follows::As
        }
        (T::Int { .. }, T::Text { charset, length_bytes }) if charset.name != "binary" && *length_bytes > 0 => {
            Follows::As
        }
        (T::Float, T::Double) => Follows::As,
        (T::Date, T::DateTime { .. }) => Follows::As,
        (T::Time { fsp: from }, T::Time { fsp: to })
        | (T::DateTime { fsp: from }, T::DateTime { fsp: to })
        | (T::Timestamp { fsp: from }, T::Timestamp { fsp: to })
            if to >= from =>
        {
            Follows::As
        }
        (T::Enum { labels: from }, T::Enum { labels: to }) => among(name, from, to, "labels that are gone"),
        (T::Enum { labels }, T::VarChar { chars, charset })
            if charset.name.starts_with("utf8") && labels.iter().all(|l| l.chars().count() <= *chars as usize) =>
        {
            Follows::As
        }
        (T::Set { members: from }, T::Set { members: to }) if to.starts_with(from) => Follows::As,
        (T::VarBinary { .. } | T::Blob { .. }, T::VarBinary { .. } | T::Blob { .. }) => {
            up_to(&format!("octet_length({name})"), most(from), most(to))
        }
        (from, to) => match (text(from), text(to)) {
            (Some(was), Some(is)) if holds(was, is) => match (from, to) {
                (_, T::Text { .. }) => {
                    let same = was.name == is.name && matches!(from, T::Text { .. });
                    up_to(&format!("octet_length({name})"), most(from).filter(|_| same), most(to))
                }
                // CHAR ends before its trailing spaces
                (T::VarChar { .. } | T::Text { .. }, T::Char { .. }) => Follows::Unless(
                    format!("{name} LIKE '% '"),
                    "the source cuts trailing spaces".into(),
                )
                .and(up_to(&format!("char_length({name})"), None, most(to))),
                _ => {
                    let chars = most(from).filter(|_| !matches!(from, T::Text { .. }));
                    up_to(&format!("char_length({name})"), chars, most(to))
                }
            },
            _ => Follows::Not(String::new()),
        },
    }
}

/// The least and the greatest value of an integer type.
fn range(ty: &SourceType) -> (i128, i128) {
    match ty {
        SourceType::Int { bytes, unsigned: true, .. } => (0, (1_i128 << (8 * u32::from(*bytes))) - 1),
        SourceType::Int { bytes, .. } => {
            let half = 1_i128 << (8 * u32::from(*bytes) - 1);
            (-half, half - 1)
        }
        _ => (0, 0),
    }
}

/// Labels are kept by their text.
fn among(name: &str, from: &[String], to: &[String], why: &str) -> Follows {
    let gone: Vec<String> =
        from.iter().filter(|label| !to.contains(label)).map(|l| ident::postgres_literal(l)).collect();
    if gone.is_empty() {
        return Follows::As;
    }
    Follows::Unless(format!("{name}::text IN ({})", gone.join(", ")), why.into())
}

fn text(ty: &SourceType) -> Option<&Charset> {
    ty.charset().filter(|charset| charset.name != "binary")
}

/// Whether the one character set has every character of the other.
fn holds(was: &Charset, is: &Charset) -> bool {
    was.name == is.name
        || is.name == "utf8mb4"
        || (is.name.starts_with("utf8") && matches!(was.name.as_str(), "latin1" | "ascii" | "utf8" | "utf8mb3"))
}

/// The most that a type holds: characters of CHAR and VARCHAR, else bytes.
fn most(ty: &SourceType) -> Option<u64> {
    match ty {
        SourceType::Char { chars, .. } | SourceType::VarChar { chars, .. } => Some(u64::from(*chars)),
        SourceType::VarBinary { len } => Some(u64::from(*len)),
        SourceType::Text { length_bytes, .. } | SourceType::Blob { length_bytes } => {
            Some((1_u64 << (8 * u32::from(*length_bytes))) - 1)
        }
        _ => None,
    }
}

/// What was at most so long (none: not known in the same measure) is kept up to the new length.
fn up_to(measure: &str, from: Option<u64>, to: Option<u64>) -> Follows {
    match (from, to) {
        (Some(from), Some(to)) if to >= from => Follows::As,
        (_, Some(to)) => Follows::Unless(format!("{measure} > {to}"), "values longer than the new type".into()),
        _ => Follows::Not(String::new()),
    }
}

#[cfg(test)]
#[path = "alter_tests.rs"]
mod tests;
