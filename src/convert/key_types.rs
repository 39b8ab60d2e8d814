//! One integer type for columns that foreign keys join.
//!
//! MySQL lets `int` refer to `int unsigned` in old tables, and a `bigint unsigned` parent may be `numeric` by choice;
//! PostgreSQL compares keys as bytes of one type in our merges, so each group of joined columns takes its widest type.

use super::plan::PgType;
use super::typemap::{TypeOptions, UNSIGNED_NUMERIC, default_type};
use crate::ident::TableName;
use crate::schema::{Catalog, SourceType, TableSchema};
use std::collections::HashMap;

/// A column by the positions of its table in the catalogue and of itself in the table.
type At = (usize, usize);

/// The types of the integer columns that foreign keys join, directly or through others. Foreign keys to tables outside
/// the catalogue join nothing.
pub(super) fn widened(catalog: &Catalog, options: &TypeOptions) -> HashMap<At, PgType> {
    let mut groups = Groups::default();
    for (child, table) in catalog.tables.iter().enumerate() {
        for key in &table.foreign_keys {
            let Some(parent) = find(catalog, &key.parent) else { continue };
            for (column, parent_column) in key.columns.iter().zip(&key.parent_columns) {
                let joined = table.column(column).zip(catalog.tables[parent].column(parent_column));
                let Some((column, parent_column)) = joined else { continue };
                groups.join((child, column), (parent, parent_column));
            }
        }
    }
    let integer = |at: &At| {
        let ty = &catalog.tables[at.0].columns[at.1].ty;
        matches!(ty, SourceType::Int { .. } | SourceType::Year).then(|| rank(&default_type(ty, options)))
    };
    let mut widest: HashMap<At, usize> = HashMap::new();
    let members: Vec<At> = groups.parent.keys().copied().filter(|at| integer(at).is_some()).collect();
    for at in &members {
        let group = widest.entry(groups.root(*at)).or_default();
        *group = (*group).max(integer(at).unwrap_or_default());
    }
    members.into_iter().map(|at| (at, RANKS[widest[&groups.root(at)]].clone())).collect()
}

/// The types of integer columns, the narrowest first.
const RANKS: [PgType; 5] = [PgType::Boolean, PgType::SmallInt, PgType::Integer, PgType::BigInt, UNSIGNED_NUMERIC];

fn rank(ty: &PgType) -> usize {
    RANKS.iter().position(|other| other == ty).unwrap_or(RANKS.len() - 1)
}

/// The table's position, by its exact name or, as servers with `lower_case_table_names` write it, in any case.
fn find(catalog: &Catalog, name: &TableName) -> Option<usize> {
    let lower = |name: &TableName| (name.database.to_lowercase(), name.table.to_lowercase());
    let position = |same: &dyn Fn(&TableSchema) -> bool| catalog.tables.iter().position(same);
    position(&|table| table.name == *name).or_else(|| position(&|table| lower(&table.name) == lower(name)))
}

/// Disjoint sets of columns.
#[derive(Default)]
struct Groups {
    parent: HashMap<At, At>,
}

impl Groups {
    fn root(&self, mut at: At) -> At {
        while let Some(parent) = self.parent.get(&at).filter(|parent| **parent != at) {
            at = *parent;
        }
        at
    }

    fn join(&mut self, a: At, b: At) {
        self.parent.entry(a).or_insert(a);
        self.parent.entry(b).or_insert(b);
        let (a, b) = (self.root(a), self.root(b));
        self.parent.insert(a, b);
    }
}
