//! Which indexes the target gets, and under which names.
//!
//! MySQL names an index within its table; PostgreSQL has one namespace per schema for indexes, tables and sequences. A
//! name is `<table>_<index>`; where that is taken, a hash of both tells it apart.

use super::expression::{self, Columns};
use super::objects::{NotCarried, not_carried};
use super::plan::{IndexForm, PgType, PlannedColumn, PlannedIndex, TablePlan};
use crate::ident::{POSTGRES_IDENTIFIER_BYTES, TargetName, postgres_fit};
use crate::schema::{Index, IndexKind, TableSchema};
use std::collections::HashSet;

/// The table's indexes that the target gets, still with the source's names, and those that it does not get. The primary key
/// that is the target's too is in neither.
pub(super) fn indexes(
    table: &TableSchema,
    target: &TargetName,
    columns: &[PlannedColumn],
) -> (Vec<PlannedIndex>, Vec<NotCarried>) {
    let key = table.key().filter(|index| index.kind == IndexKind::Primary);
    let (mut planned, mut left_out) = (Vec::new(), Vec::new());
    for index in table.indexes.iter().filter(|index| key.is_none_or(|key| key != *index)) {
        match of(table, columns, index) {
            Ok(index) => planned.push(index),
            Err(reason) => left_out.push(not_carried(target, "index", &index.name, reason)),
        }
    }
    (planned, left_out)
}

fn of(table: &TableSchema, columns: &[PlannedColumn], index: &Index) -> Result<PlannedIndex, String> {
    let method = index.method.to_ascii_uppercase();
    if method == "SPATIAL" || method == "RTREE" {
        return Err("a spatial index needs PostGIS".into());
    }
    let position = |source: usize| {
        let found = columns.iter().position(|column| column.source == source);
        found.ok_or_else(|| format!("column {} is not carried", table.columns[source].name))
    };
    let (name, unique) = (index.name.clone(), index.kind != IndexKind::Plain);
    if method == "FULLTEXT" {
        let words = index.parts.iter().map(|part| position(part.column.ok_or("a part without a column")?));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        if words.iter().any(|at| !matches!(columns[*at].ty, PgType::Text | PgType::Varchar(_))) {
            return Err("one of its columns is no text here".into());
        }
        return Ok(PlannedIndex { name, unique, parts: Vec::new(), form: IndexForm::Words(words) });
    }
    if index.parts.iter().any(|part| part.column.is_none()) {
        if unique {
            return Err("a unique index over an expression".into());
        }
        let scope = Columns { table, planned: columns };
        let parts = index.parts.iter().map(|part| {
            let sql = match (part.column, &part.expression) {
                (Some(column), _) => crate::ident::postgres(&columns[position(column)?].name),
                (None, Some(text)) => format!("({})", expression::index_part(scope, text)?),
                (None, None) => return Err("its expression is not known".to_owned()),
            };
            Ok((sql, part.descending))
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        return Ok(PlannedIndex { name, unique, parts: Vec::new(), form: IndexForm::Expressions(parts) });
    }
    let parts = index.parts.iter().map(|part| {
        let position = position(part.column.ok_or("a part without a column")?)?;
        if columns[position].ty == PgType::Json {
            return Err(format!("column {} is json, which has no order; jsonb has", columns[position].name));
        }
        // of a hash, and of what is text only on the source, the beginning says nothing: the whole is unique where it was
        let prefix = part.prefix.filter(|_| !columns[position].treatment.masks());
        Ok((position, prefix, part.descending))
    });
    let parts = parts.collect::<Result<Vec<_>, String>>()?;
    Ok(PlannedIndex { name, unique, parts, form: IndexForm::Columns })
}

/// Gives the indexes of all tables their target names, in the tables' order.
pub(super) fn assign(plans: &mut [TablePlan]) {
    let mut taken: HashSet<(String, String)> = HashSet::new();
    for plan in plans.iter() {
        // what PostgreSQL makes beside a table: its primary key's index and its identity's sequence
        let sequences = plan.columns.iter().filter(|column| plan.source.columns[column.source].auto_increment);
        let made = sequences.map(|column| format!("{}_{}_seq", plan.target.table, column.name));
        let made = made.chain([plan.target.table.clone(), format!("{}_pkey", plan.target.table)]);
        taken.extend(made.map(|name| (plan.target.schema.clone(), name)));
    }
    for plan in plans {
        let target = &plan.target;
        for index in &mut plan.indexes {
            let plain = format!("{}_{}", target.table, index.name);
            let mut name = postgres_fit(&plain);
            let mut tried = format!("{}\0{}", target.table, index.name);
            while !taken.insert((target.schema.clone(), name.clone())) {
                name = told_apart(&plain, &tried);
                tried.push('\0');
            }
            index.name = name;
        }
    }
}

/// The name's beginning and a hash of what tells it apart, in 63 bytes.
fn told_apart(name: &str, whole: &str) -> String {
    let mut end = name.len().min(POSTGRES_IDENTIFIER_BYTES - 9);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{:08x}", &name[..end], crc32fast::hash(whole.as_bytes()))
}
