//! One type and one mask for columns that foreign keys join.
//!
//! MySQL lets `int` refer to `int unsigned` in old tables, and a `bigint unsigned` parent may be `numeric` by choice;
//! PostgreSQL compares keys as bytes of one type in our merges, so each group of joined columns takes its widest type.

use super::column_types::{Place, choose};
use super::plan::{PgType, PlannedColumn, TablePlan, Treatment};
use super::typemap::{TypeOptions, UNSIGNED_NUMERIC, config};
use crate::error::Result;
use crate::ident::TableName;
use crate::mapping::Mapping;
use crate::schema::{Catalog, SourceType, TableSchema};
use std::collections::HashMap;
use std::mem::discriminant;

/// A column by the positions of its table in the catalogue and of itself in the table.
type At = (usize, usize);

/// The columns that foreign keys join, directly or through others, and of integers the type that all of them get. Foreign
/// keys to tables outside the catalogue join nothing.
///
/// # Errors
/// As [`choose`].
pub(super) fn joined(
    catalog: &Catalog,
    mapping: &Mapping,
    options: &TypeOptions,
) -> Result<HashMap<At, Option<PgType>>> {
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
    let members: Vec<At> = groups.parent.keys().copied().collect();
    let place = Place { found_by: true, unique: false };
    let mut integers = Vec::new();
    let mut widest: HashMap<At, usize> = HashMap::new();
    for at in &members {
        let table = &catalog.tables[at.0];
        let column = &table.columns[at.1];
        if !matches!(column.ty, SourceType::Int { .. } | SourceType::Year) {
            continue;
        }
        // one that is masked or text by its rule widens nothing; `check` asks for the same of the others
        let (ty, treatment) = choose(table, column, place, mapping, options)?;
        if let Some(rank) = rank(&ty).filter(|_| treatment == Treatment::Plain) {
            integers.push(*at);
            let group = widest.entry(groups.root(*at)).or_default();
            *group = (*group).max(rank);
        }
    }
    let mut types: HashMap<At, Option<PgType>> = members.into_iter().map(|at| (at, None)).collect();
    types.extend(integers.into_iter().map(|at| (at, Some(RANKS[widest[&groups.root(at)]].clone()))));
    Ok(types)
}

/// Whether the columns that each foreign key joins can still be compared: of one kind, and masked alike.
///
/// # Errors
/// [`crate::error::ErrorKind::Config`] naming the child's column.
pub(super) fn check(plans: &[TablePlan]) -> Result<()> {
    let kind = |ty: &PgType| discriminant(if let PgType::Varchar(_) = ty { &PgType::Text } else { ty });
    for plan in plans {
        for key in &plan.source.foreign_keys {
            let Some(parent) = plans.iter().find(|parent| same_name(&parent.source.name, &key.parent)) else {
                continue;
            };
            for (column, parent_column) in key.columns.iter().zip(&key.parent_columns) {
                let both = plan.column_of(column).zip(parent.column_of(parent_column));
                let Some((child_at, parent_at)) = both else { continue };
                let (a, b) = (&plan.columns[child_at], &parent.columns[parent_at]);
                let what = match () {
                    () if a.treatment != b.treatment => "masked",
                    () if kind(&a.ty) != kind(&b.ty) => "of a type",
                    () => continue,
                };
                let column = &plan.source.columns[a.source];
                let other = format!("{}.{parent_column}", parent.source.name);
                let message = format!("not {what} as {other} is, to which foreign key {} joins it", key.name);
                return Err(config(&plan.source, column, &message)
                    .detail(format!("{} here, {} there", described(a), described(b)))
                    .with_hint("give both columns the same `type` or `mask` under [tables.rules]"));
            }
        }
    }
    Ok(())
}

fn described(column: &PlannedColumn) -> String {
    format!("{}{}", column.ty.sql(), column.treatment)
}

/// The types of integer columns, the narrowest first.
const RANKS: [PgType; 5] = [PgType::Boolean, PgType::SmallInt, PgType::Integer, PgType::BigInt, UNSIGNED_NUMERIC];

fn rank(ty: &PgType) -> Option<usize> {
    RANKS.iter().position(|other| other == ty)
}

/// The table's position, by its exact name or, as servers with `lower_case_table_names` write it, in any case.
fn find(catalog: &Catalog, name: &TableName) -> Option<usize> {
    let position = |same: &dyn Fn(&TableSchema) -> bool| catalog.tables.iter().position(same);
    position(&|table| table.name == *name).or_else(|| position(&|table| same_name(&table.name, name)))
}

fn same_name(a: &TableName, b: &TableName) -> bool {
    let lower = |name: &TableName| (name.database.to_lowercase(), name.table.to_lowercase());
    lower(a) == lower(b)
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
