//! Which type and treatment each column gets: its own rule over the general choices over the default.
//!
//! Columns of a key, and those that foreign keys join, are found by arrays of their values, so they only get types that have
//! arrays: general choices that do not fit them are left aside, what is asked of a column by name and cannot be is refused.

use super::choices::{choices, named, short};
use super::plan::{PgType, Treatment};
use super::typemap::{TypeOptions, config, default_type};
use crate::error::Result;
use crate::ident::{POSTGRES_IDENTIFIER_BYTES, TargetName};
use crate::mapping::{ColumnRule, Mapping};
use crate::masking::Mask;
use crate::schema::{Column, SourceType, TableSchema};
use std::collections::HashSet;

/// Where a column stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// In the key, or joined by a foreign key.
    pub found_by: bool,
    /// In the key or a unique index.
    pub unique: bool,
}

/// The column's type and treatment.
///
/// # Errors
/// [`crate::error::ErrorKind::Config`], naming the column, for a rule that cannot be followed.
pub(super) fn choose(
    table: &TableSchema,
    column: &Column,
    place: Place,
    mapping: &Mapping,
    options: &TypeOptions,
) -> Result<(PgType, Treatment)> {
    let rule = mapping.column_rule(&table.name, &column.name).cloned().unwrap_or_default();
    let native = native_name(mapping, table, column);
    let (ty, treatment) = match rule {
        ColumnRule { mask: Some(Mask::Hmac), .. } => {
            let key = mapping.mask_key.clone().ok_or_else(|| {
                config(table, column, "mask = \"hmac\" needs a key").with_hint(
                    "[mask] key_file = \"…\", or SIRENIA_MASK_KEY; make one with `openssl rand -hex 32` and keep it",
                )
            })?;
            (PgType::Text, Treatment::Hashed(key))
        }
        ColumnRule { mask: Some(Mask::Null), .. } => {
            if place.unique || place.found_by || !column.nullable {
                let where_ = if column.nullable { "a key, unique index or foreign key" } else { "a NOT NULL column" };
                return Err(config(table, column, &format!("mask = \"null\" in {where_}"))
                    .with_hint("mask = \"hmac\" keeps equal values equal; mask = \"drop\" leaves the column out"));
            }
            (default_type(&column.ty, options), Treatment::Nulled)
        }
        ColumnRule { ty: Some(name), .. } => {
            let ty = asked(table, column, &name, &native)?;
            (ty.clone(), zoned(table, column, &ty, place, options)?)
        }
        _ => general(column, place, options, &native),
    };
    match &ty {
        PgType::Enum(_) if place.found_by => {
            return Err(config(table, column, "an enum type in a key or foreign key")
                .with_hint("leave it text: rows are found by arrays of keys, which need a type known to all"));
        }
        PgType::Enum(_) => check_labels(table, column)?,
        PgType::TextArray | PgType::Json | PgType::Jsonb if place.found_by => {
            let what = format!("{} in a key or foreign key", short(&ty));
            return Err(config(table, column, &what).with_hint("type = \"text\""));
        }
        _ => {}
    }
    Ok((ty, treatment))
}

/// The type that the column's own rule names.
fn asked(table: &TableSchema, column: &Column, name: &str, native: &TargetName) -> Result<PgType> {
    let choices = choices(&column.ty, native);
    named(name, &choices).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(short).collect();
        config(table, column, &format!("no conversion from {} to the type that its rule names", column.declared))
            .with_hint(format!("it can become {}", names.join(", ")))
    })
}

/// What the general choices give the column, where they fit its place.
fn general(column: &Column, place: Place, options: &TypeOptions, native: &TargetName) -> (PgType, Treatment) {
    match (&column.ty, &options.datetime_zone) {
        (SourceType::Enum { .. }, _) if options.native_enum && !place.found_by => {
            (PgType::Enum(native.clone()), Treatment::Plain)
        }
        // as text, since text[] has no arrays of its own
        (SourceType::Set { .. }, _) if place.found_by => (PgType::Text, Treatment::Plain),
        // two texts may be one jsonb, and json has no equality
        (SourceType::Json { .. }, _) if place.found_by || place.unique => (PgType::Text, Treatment::Plain),
        // two local times may be one moment
        (SourceType::DateTime { fsp }, Some(zone)) if !place.unique && !place.found_by => {
            (PgType::TimestampTz(*fsp), Treatment::InZone(zone.clone()))
        }
        _ => (default_type(&column.ty, options), Treatment::Plain),
    }
}

/// The zone for a DATETIME whose rule asks for `timestamptz`.
fn zoned(table: &TableSchema, column: &Column, ty: &PgType, place: Place, options: &TypeOptions) -> Result<Treatment> {
    let (SourceType::DateTime { .. }, PgType::TimestampTz(_)) = (&column.ty, ty) else { return Ok(Treatment::Plain) };
    if place.unique || place.found_by {
        return Err(config(table, column, "a local time as timestamptz in a key, unique index or foreign key")
            .detail("where clocks change, two local times are one moment")
            .with_hint("leave it timestamp"));
    }
    match &options.datetime_zone {
        Some(zone) => Ok(Treatment::InZone(zone.clone())),
        None => Err(config(table, column, "timestamptz needs the time zone that its values are in")
            .with_hint("[types] datetime_zone = \"Asia/Jakarta\"")),
    }
}

/// The name of a column's own enum type. It is of the table's name as it is on the target; 63 bytes, told apart by a hash.
fn native_name(mapping: &Mapping, table: &TableSchema, column: &Column) -> TargetName {
    let target = mapping.target(&table.name);
    let name = mapping.column(&table.name, &column.name).unwrap_or_else(|| column.name.clone());
    let name = crate::ident::postgres_fit(&format!("{}_{name}_enum", target.table));
    TargetName::new(target.schema, name)
}

/// Whether PostgreSQL takes the labels. The empty label is the program's own, for the error value, index 0.
fn check_labels(table: &TableSchema, column: &Column) -> Result<()> {
    let SourceType::Enum { labels } = &column.ty else { return Ok(()) };
    let mut seen = HashSet::new();
    let wrong = labels.iter().find_map(|label| match label {
        label if label.is_empty() => Some("an empty label".to_owned()),
        label if label.len() > POSTGRES_IDENTIFIER_BYTES => Some(format!("a label of {} bytes", label.len())),
        label if !seen.insert(label) => Some("one label twice".to_owned()),
        _ => None,
    });
    match wrong {
        None => Ok(()),
        Some(what) => Err(config(table, column, &format!("{what}, which no enum type can have"))
            .detail(format!("a label has 1 to {POSTGRES_IDENTIFIER_BYTES} bytes and is there once"))
            .with_hint(format!("[tables.rules.\"{}\".columns.\"{}\"] type = \"text\"", table.name.table, column.name))),
    }
}
