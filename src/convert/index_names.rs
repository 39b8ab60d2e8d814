//! Which indexes the target gets, and under which names.
//!
//! MySQL names an index within its table; PostgreSQL has one namespace per schema for indexes, tables and sequences. A
//! name is `<table>_<index>`; where that is taken, a hash of both tells it apart.

use super::plan::{PlannedColumn, PlannedIndex, TablePlan};
use crate::ident::{POSTGRES_IDENTIFIER_BYTES, postgres_fit};
use crate::schema::{Index, IndexKind, TableSchema};
use std::collections::HashSet;

/// The table's indexes that the target gets, still with the source's names.
///
/// Left out: the primary key that is the target's too, FULLTEXT and SPATIAL ones, those over an expression, and those
/// over a column that is not carried.
pub(super) fn indexes(table: &TableSchema, columns: &[PlannedColumn]) -> Vec<PlannedIndex> {
    let key = table.key().filter(|index| index.kind == IndexKind::Primary);
    let wanted = |index: &&Index| {
        let tree = !["FULLTEXT", "SPATIAL", "RTREE"].iter().any(|method| index.method.eq_ignore_ascii_case(method));
        tree && key.is_none_or(|key| key != *index)
    };
    let planned = |index: &Index| {
        let parts = index.parts.iter().map(|part| {
            let source = part.column?;
            let position = columns.iter().position(|column| column.source == source)?;
            // of a hash, and of what is text only on the source, the beginning says nothing: the whole is unique where it was
            let prefix = part.prefix.filter(|_| !columns[position].treatment.masks());
            Some((position, prefix, part.descending))
        });
        let parts = parts.collect::<Option<Vec<_>>>()?;
        Some(PlannedIndex { name: index.name.clone(), unique: index.kind != IndexKind::Plain, parts })
    };
    table.indexes.iter().filter(wanted).filter_map(planned).collect()
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
