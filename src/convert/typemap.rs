//! Which table and column becomes what on the target.
//!
//! Owns the default types (docs: `types.md`) and every check that can be made before a row is read. The source's
//! [`Catalog`] and the [`Mapping`] enter, one [`TablePlan`] per carried table leaves, in the catalogue's order.
//!
//! Invariants: no two tables have one target name, no two columns of a table either; columns that foreign keys join have
//! one integer type; every planned column has a conversion; names of indexes are free in their schema.

use super::charset::Decoder;
use super::column_types::{Place, choose};
use super::objects::{self, ObjectOptions, Objects};
use super::plan::{PgType, PlannedColumn, TablePlan, Treatment};
use super::zone::Zone;
use super::{index_names, key_types, policies};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TargetName;
use crate::mapping::{Literal, Mapping, RowTest, TableRule};
use crate::schema::{Catalog, Column, Index, IndexKind, SourceType, TableSchema};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The choices among the default types.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TypeOptions {
    /// Whether `tinyint(1)` becomes `boolean` instead of `smallint`; other values than 0 and 1 then are errors.
    pub tinyint1_boolean: bool,
    /// What `bigint unsigned` becomes.
    pub bigint_unsigned: BigintUnsigned,
    /// Whether ENUM becomes an enum type of its own instead of `text` with a CHECK constraint.
    pub native_enum: bool,
    /// Whether SET becomes `text`, its members separated by commas, instead of `text[]`.
    pub set_text: bool,
    /// Whether TIME becomes `time` instead of `interval`; what is no time of day does not fit then.
    pub time_of_day: bool,
    /// What JSON becomes.
    pub json: Json,
    /// Whether `bit(1)` becomes `bit(1)` instead of `boolean`.
    pub bit1_bits: bool,
    /// The zone in which DATETIME is read, where it then becomes `timestamptz` instead of `timestamp`.
    pub datetime_zone: Option<Zone>,
    /// Which objects the tables get besides their columns.
    pub objects: ObjectOptions,
}

/// What JSON becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Json {
    /// `jsonb`
    #[default]
    Jsonb,
    /// `json`
    Json,
    /// `text`
    Text,
}

/// What `bigint unsigned` becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BigintUnsigned {
    /// `bigint`: values above 2^63−1 are errors.
    #[default]
    BigInt,
    /// `numeric(20,0)`: holds all of them.
    Numeric,
}

/// The longest `varchar(n)` that PostgreSQL declares (`MaxAttrSize` in `htup_details.h`).
pub(super) const MAX_VARCHAR: u32 = 10_485_760;

/// The most columns that a PostgreSQL table has (`MaxHeapAttributeNumber`).
const MAX_COLUMNS: usize = 1600;

/// Names that every PostgreSQL table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

/// Plans all tables of the catalogue that the mapping carries.
///
/// # Errors
/// [`ErrorKind::Config`], naming table and column, when the mapping does not fit the catalogue or the target.
pub fn plan(catalog: &Catalog, mapping: &Mapping, options: &TypeOptions) -> Result<Vec<TablePlan>> {
    let joined = key_types::joined(catalog, mapping, options)?;
    let mut taken = BTreeMap::new();
    let mut plans = Vec::new();
    for (number, table) in catalog.tables.iter().enumerate().filter(|(_, table)| mapping.includes(&table.name)) {
        let target = mapping.target(&table.name);
        if let Some(other) = taken.insert(target.clone(), &table.name) {
            return Err(Error::new(ErrorKind::Config, format!("{other} and {} both become {target}", table.name))
                .with_hint("give one of them another target name with `rename`, or its database another schema"));
        }
        plans.push(plan_table(table, number, &joined, mapping, options)?);
    }
    key_types::check(&plans)?;
    check_enum_names(&plans)?;
    index_names::assign(&mut plans);
    objects::plan(&mut plans, options.objects);
    Ok(plans)
}

/// Types and tables share the names of a schema.
fn check_enum_names(plans: &[TablePlan]) -> Result<()> {
    let mut taken: HashSet<&TargetName> = plans.iter().map(|plan| &plan.target).collect();
    for plan in plans {
        for column in &plan.columns {
            let PgType::Enum(name) = &column.ty else { continue };
            if !taken.insert(name) {
                let column = &plan.source.columns[column.source];
                return Err(config(&plan.source, column, &format!("the name {name} of its enum type is taken"))
                    .with_hint("type = \"text\" for this column"));
            }
        }
    }
    Ok(())
}

fn plan_table(
    table: &TableSchema,
    number: usize,
    joined: &HashMap<(usize, usize), Option<PgType>>,
    mapping: &Mapping,
    options: &TypeOptions,
) -> Result<TablePlan> {
    if let Some(rule) = mapping.rule(&table.name) {
        check_rule(table, rule)?;
    }
    let carried: Vec<Option<String>> =
        table.columns.iter().map(|column| mapping.column(&table.name, &column.name)).collect();
    let unique = unique_columns(table, &carried);
    let found_by = table.key_columns();
    let mut columns = Vec::new();
    let mut names = HashSet::new();
    for (source, (column, name)) in table.columns.iter().zip(&carried).enumerate() {
        let Some(name) = name else { continue };
        check_column(table, column, name)?;
        if !names.insert(name) {
            return Err(config(table, column, &format!("its target name {name} is taken by another column"))
                .with_hint("give it another name with `rename_columns`"));
        }
        let joined = joined.get(&(number, source));
        let unique = unique.contains(&source);
        let place = Place { found_by: joined.is_some() || found_by.contains(&source), unique };
        let (own, treatment) = choose(table, column, place, mapping, options)?;
        let widened = joined.cloned().flatten().filter(|_| treatment == Treatment::Plain);
        let ty = widened.unwrap_or(own);
        columns.push(PlannedColumn {
            source,
            name: name.clone(),
            policies: policies::of(table, column, &ty, unique, mapping)?,
            ty,
            nullable: column.nullable,
            unique,
            treatment,
        });
    }
    if columns.is_empty() || columns.len() > MAX_COLUMNS {
        return Err(Error::new(ErrorKind::Config, format!("{}: {} columns to carry", table.name, columns.len()))
            .detail(format!("a target table has 1 to {MAX_COLUMNS}"))
            .with_hint("change `exclude_columns`, or exclude the table"));
    }
    let position = |source: usize| columns.iter().position(|column| column.source == source);
    let key = table.key_columns().into_iter().map(|source| {
        position(source).ok_or_else(|| {
            config(table, &table.columns[source], "it is part of the key and cannot be left out").with_hint(
                "take it from `exclude_columns`, or mask it by \"hmac\" instead of \"drop\"; rows are found by the key",
            )
        })
    });
    let key = key.collect::<Result<Vec<_>>>()?;
    let rows = row_filter(table, mapping)?;
    let target = mapping.target(&table.name);
    let (indexes, not_carried) = index_names::indexes(table, &target, &columns);
    Ok(TablePlan {
        target,
        key_is_primary: table.key().is_some_and(|index| index.kind == IndexKind::Primary),
        key,
        indexes,
        columns,
        rows,
        objects: Objects { not_carried, ..Objects::default() },
        source: Arc::new(table.clone()),
    })
}

/// The type that a column becomes when nothing else is asked for and no foreign key joins it.
pub(super) fn default_type(ty: &SourceType, options: &TypeOptions) -> PgType {
    let text = |chars: u32, binary: bool| match chars {
        _ if binary => PgType::Bytea,
        1..=MAX_VARCHAR => PgType::Varchar(chars),
        _ => PgType::Text,
    };
    match ty {
        SourceType::Int { boolean: true, bytes: 1, .. } if options.tinyint1_boolean => PgType::Boolean,
        SourceType::Int { bytes, unsigned, .. } => match (bytes, unsigned) {
            (1, _) | (2, false) => PgType::SmallInt,
            (2, true) | (3, _) | (4, false) => PgType::Integer,
            (8.., true) if options.bigint_unsigned == BigintUnsigned::Numeric => UNSIGNED_NUMERIC,
            _ => PgType::BigInt,
        },
        SourceType::Year => PgType::SmallInt,
        SourceType::Decimal { precision, scale, .. } => {
            PgType::Numeric { precision: (*precision).into(), scale: (*scale).into() }
        }
        SourceType::Float => PgType::Real,
        SourceType::Double => PgType::Double,
        SourceType::Bit { bits: 0 | 1 } if !options.bit1_bits => PgType::Boolean,
        SourceType::Bit { bits: 0 } => PgType::Bit(1),
        SourceType::Bit { bits } => PgType::Bit((*bits).into()),
        SourceType::Date => PgType::Date,
        SourceType::Time { fsp } if options.time_of_day => PgType::Time(*fsp),
        SourceType::Time { fsp } => PgType::Interval(*fsp),
        SourceType::DateTime { fsp } => PgType::Timestamp(*fsp),
        SourceType::Timestamp { fsp } => PgType::TimestampTz(*fsp),
        SourceType::Char { chars, charset } | SourceType::VarChar { chars, charset } => {
            text(*chars, charset.name == "binary")
        }
        SourceType::Text { charset, .. } => text(0, charset.name == "binary"),
        SourceType::Enum { .. } => PgType::Text,
        SourceType::Binary { .. } | SourceType::VarBinary { .. } | SourceType::Blob { .. } | SourceType::Geometry => {
            PgType::Bytea
        }
        SourceType::Set { .. } if options.set_text => PgType::Text,
        SourceType::Set { .. } => PgType::TextArray,
        SourceType::Json { .. } => match options.json {
            Json::Jsonb => PgType::Jsonb,
            Json::Json => PgType::Json,
            Json::Text => PgType::Text,
        },
        SourceType::Vector => PgType::RealArray,
        SourceType::Uuid => PgType::Uuid,
        SourceType::Inet4 | SourceType::Inet6 => PgType::Inet,
    }
}

/// Holds every `bigint unsigned`.
pub(super) const UNSIGNED_NUMERIC: PgType = PgType::Numeric { precision: 20, scale: 0 };

/// The columns that are in the key or in a unique index of which every column is carried.
fn unique_columns(table: &TableSchema, carried: &[Option<String>]) -> HashSet<usize> {
    let promises = |index: &&Index| {
        index.kind != IndexKind::Plain
            && index.parts.iter().filter_map(|part| part.column).all(|column| carried[column].is_some())
    };
    let parts = table.indexes.iter().filter(promises).flat_map(|index| &index.parts);
    parts.filter_map(|part| part.column).collect()
}

fn check_rule(table: &TableSchema, rule: &TableRule) -> Result<()> {
    let excluded = rule.exclude_columns.iter().map(|name| (name, "exclude_columns"));
    let renamed = rule.rename_columns.keys().map(|name| (name, "rename_columns"));
    let ruled = rule.columns.keys().map(|name| (name, "columns"));
    let mut named: Vec<_> = excluded.chain(renamed).chain(ruled).collect();
    named.sort();
    for (name, setting) in named {
        // the mapping compares as the source spells, so a name in another case would silently do nothing
        if !table.columns.iter().any(|column| column.name == *name) {
            return Err(unknown_column(table, name, setting));
        }
    }
    Ok(())
}

fn check_column(table: &TableSchema, column: &Column, name: &str) -> Result<()> {
    if SYSTEM_COLUMNS.contains(&name) {
        return Err(config(table, column, "PostgreSQL has a system column of that name in every table")
            .with_hint("give it another name with `rename_columns`"));
    }
    check_text(table, column)
}

/// Whether the column's text can be converted at all.
pub(super) fn check_text(table: &TableSchema, column: &Column) -> Result<()> {
    match &column.ty {
        SourceType::Enum { labels: texts } | SourceType::Set { members: texts }
            if texts.iter().any(|text| text.contains('\0')) =>
        {
            Err(config(table, column, "a label holds a NUL character").with_hint("exclude the column"))
        }
        ty => match ty.charset() {
            Some(charset) if charset.name != "binary" && Decoder::of(&charset.name).is_none() => {
                Err(config(table, column, &format!("character set {} is not known", charset.name)).with_hint(
                    "exclude the column with `exclude_columns`, or change its character set to utf8mb4 on the source",
                ))
            }
            _ => Ok(()),
        },
    }
}

/// The row filter by column position, each test fit for its column.
fn row_filter(table: &TableSchema, mapping: &Mapping) -> Result<Vec<(usize, RowTest)>> {
    let terms = mapping.rows(&table.name).map(|filter| filter.terms.as_slice()).unwrap_or_default();
    let term = |term: &crate::mapping::RowTerm| {
        let column = table.column(&term.column).ok_or_else(|| unknown_column(table, &term.column, "rows"))?;
        check_test(table, &table.columns[column], &term.test)?;
        Ok((column, term.test.clone()))
    };
    terms.iter().map(term).collect()
}

/// Whether a row filter's test can be made on the column.
pub(super) fn check_test(table: &TableSchema, column: &Column, test: &RowTest) -> Result<()> {
    let literals = match test {
        RowTest::IsNull | RowTest::IsNotNull => return Ok(()),
        RowTest::Compare(_, literal) => std::slice::from_ref(literal),
        RowTest::In(literals) => literals,
    };
    let comparable = |literal: &Literal| match (&column.ty, literal) {
        (
            SourceType::Int { .. }
            | SourceType::Year
            | SourceType::Bit { .. }
            | SourceType::Set { .. }
            | SourceType::Enum { .. },
            Literal::Int(_),
        ) => true,
        (ty, Literal::Text(_)) => ty.charset().is_some_and(|charset| charset.name != "binary"),
        _ => false,
    };
    if !literals.iter().all(comparable) {
        return Err(config(table, column, &format!("a row filter cannot compare {} so", column.declared)).with_hint(
            "compare integers, bits, sets and enums with numbers, and text with text in single quotes; \
             other types only with IS NULL and IS NOT NULL",
        ));
    }
    if literals.iter().any(|literal| matches!(literal, Literal::Text(_))) {
        check_text(table, column)?;
    }
    Ok(())
}

fn unknown_column(table: &TableSchema, name: &str, setting: &str) -> Error {
    let error = Error::new(ErrorKind::Config, format!("{}: `{setting}` names {name}, which is no column", table.name));
    match table.column(name) {
        Some(like) => error.with_hint(format!("the source spells it {}", table.columns[like].name)),
        None => {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            error.with_hint(format!("its columns are {}", names.join(", ")))
        }
    }
}

pub(super) fn config(table: &TableSchema, column: &Column, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{}.{}: {what}", table.name, column.name))
}

#[cfg(test)]
mod tests;
