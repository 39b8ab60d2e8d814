//! What a table has on the target besides its rows: defaults, identity, comments, checks, foreign keys.
//!
//! Enters: the plans of all tables, with their indexes named. Leaves: [`Objects`] within each plan, and one [`NotCarried`] for
//! everything of the source that the target does not get. Nothing is left out silently.
//!
//! Foreign keys run no actions while we follow (the rows that they would change come from the source); their real actions
//! are kept here for the cutover. So are the expressions of generated columns and which columns an UPDATE sets to the time:
//! both would change replicated values.

use super::default_sql::{default_sql, on_update_now};
use super::expression::{self, Columns};
use super::plan::{PgType, TablePlan, Treatment};
use crate::ident::{TargetName, postgres_fit};
use crate::schema::{Action, ForeignKey, IndexKind};
use std::collections::{HashMap, HashSet};

/// Which objects are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Foreign keys.
    pub foreign_keys: bool,
    /// Comments of tables and columns.
    pub comments: bool,
    /// Defaults of columns, identity among them.
    pub defaults: bool,
    /// Whether the cutover makes triggers for `ON UPDATE CURRENT_TIMESTAMP`.
    pub on_update_trigger: bool,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self { foreign_keys: true, comments: true, defaults: true, on_update_trigger: true }
    }
}

/// A table's objects. Columns are positions in `TablePlan::columns`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Objects {
    /// Which are wanted; what is not wanted is left as it stands.
    pub options: ObjectOptions,
    /// Columns with a default, and its SQL.
    pub defaults: Vec<(usize, String)>,
    /// The AUTO_INCREMENT column, if it becomes an identity.
    pub identity: Option<usize>,
    /// The table's comment, possibly empty.
    pub comment: String,
    /// Columns with a comment.
    pub comments: Vec<(usize, String)>,
    /// CHECK constraints, without those of ENUM columns.
    pub checks: Vec<PlannedCheck>,
    /// Foreign keys.
    pub foreign_keys: Vec<PlannedForeignKey>,
    /// Generated columns whose expression translates; plain columns until the cutover.
    pub generated: Vec<(usize, String)>,
    /// Columns that an UPDATE sets to the time, for a trigger at the cutover, and that time as SQL.
    pub on_update_now: Vec<(usize, String)>,
    /// What the target does not get.
    pub not_carried: Vec<NotCarried>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCheck {
    /// Its name, at most 63 bytes.
    pub name: String,
    /// The condition, as SQL.
    pub condition: String,
}

/// A foreign key. While we follow it is NO ACTION DEFERRABLE INITIALLY DEFERRED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedForeignKey {
    /// Its name, at most 63 bytes, unique within the table.
    pub name: String,
    /// The child's columns.
    pub columns: Vec<usize>,
    /// The parent.
    pub parent: TargetName,
    /// Names of the parent's columns on the target, in the same order.
    pub parent_columns: Vec<String>,
    /// ON DELETE from the cutover on.
    pub on_delete: Action,
    /// ON UPDATE from the cutover on.
    pub on_update: Action,
}

/// Something of the source that the target does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCarried {
    /// The table on the target.
    pub table: TargetName,
    /// What kind of thing it is, such as `foreign key`.
    pub object: &'static str,
    /// Its name on the source.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Plans the objects of all tables. Their indexes have their names by now.
pub(super) fn plan(plans: &mut [TablePlan], options: ObjectOptions) {
    let by_name: HashMap<_, usize> =
        plans.iter().enumerate().map(|(at, plan)| (lower(&plan.source.name), at)).collect();
    let planned: Vec<Objects> = plans
        .iter()
        .map(|plan| {
            let mut objects = Objects { options, ..Objects::default() };
            let mut left_out = plan.objects.not_carried.clone();
            objects.columns(plan, &mut left_out);
            objects.checks(plan, &mut left_out);
            if options.foreign_keys {
                let parent = |key: &ForeignKey| by_name.get(&lower(&key.parent)).map(|at| &plans[*at]);
                objects.foreign_keys(plan, parent, &mut left_out);
            }
            objects.not_carried = left_out;
            objects
        })
        .collect();
    for (plan, objects) in plans.iter_mut().zip(planned) {
        plan.objects = objects;
    }
}

/// Servers with `lower_case_table_names` may spell a parent in another case.
fn lower(name: &crate::ident::TableName) -> (String, String) {
    (name.database.to_lowercase(), name.table.to_lowercase())
}

/// Notes what a table does not get.
pub(super) fn not_carried(
    table: &TargetName,
    object: &'static str,
    name: &str,
    reason: impl Into<String>,
) -> NotCarried {
    NotCarried { table: table.clone(), object, name: name.into(), reason: reason.into() }
}

impl Objects {
    fn columns(&mut self, plan: &TablePlan, left_out: &mut Vec<NotCarried>) {
        let columns = Columns { table: &plan.source, planned: &plan.columns };
        if self.options.comments {
            self.comment = without_nul(&plan.source.comment);
        }
        for (at, planned) in plan.columns.iter().enumerate() {
            let source = &plan.source.columns[planned.source];
            let mut missing = |object, reason: String| {
                left_out.push(not_carried(&plan.target, object, &source.name, reason));
            };
            if self.options.comments && !source.comment.is_empty() {
                self.comments.push((at, without_nul(&source.comment)));
            }
            if self.options.defaults && source.auto_increment {
                let counts = matches!(planned.ty, PgType::SmallInt | PgType::Integer | PgType::BigInt);
                if counts && planned.treatment == Treatment::Plain && !planned.nullable {
                    self.identity = Some(at);
                } else {
                    missing("identity", format!("a column of type {} cannot count", planned.ty.sql()));
                }
            } else if self.options.defaults {
                match default_sql(columns, planned) {
                    Ok(default) => self.defaults.extend(default.map(|sql| (at, sql))),
                    Err(reason) => missing("default", reason),
                }
            }
            if let Some(generation) = &source.generation {
                match expression::value(columns, &generation.expression) {
                    Ok(sql) => self.generated.push((at, sql)),
                    Err(reason) => missing("generation", format!("{reason}; its values are carried")),
                }
            }
            if source.on_update_now {
                match on_update_now(&source.ty, planned) {
                    Ok(sql) => self.on_update_now.push((at, sql)),
                    Err(reason) => missing("on update", reason),
                }
            }
        }
    }

    fn checks(&mut self, plan: &TablePlan, left_out: &mut Vec<NotCarried>) {
        let columns = Columns { table: &plan.source, planned: &plan.columns };
        let mut names = taken_names(plan);
        for check in &plan.source.checks {
            let condition = if check.enforced {
                expression::condition(columns, &check.condition)
            } else {
                Err("the source does not enforce it".into())
            };
            match condition {
                Ok(condition) => self.checks.push(PlannedCheck { name: free(&check.name, &mut names), condition }),
                Err(reason) => left_out.push(not_carried(&plan.target, "check", &check.name, reason)),
            }
        }
    }

    fn foreign_keys<'a>(
        &mut self,
        plan: &TablePlan,
        parent: impl Fn(&ForeignKey) -> Option<&'a TablePlan>,
        left_out: &mut Vec<NotCarried>,
    ) {
        let mut names = taken_names(plan);
        names.extend(self.checks.iter().map(|check| check.name.clone()));
        for key in &plan.source.foreign_keys {
            match foreign_key(plan, key, parent(key)) {
                Ok(planned) => {
                    self.foreign_keys.push(PlannedForeignKey { name: free(&key.name, &mut names), ..planned });
                }
                Err(reason) => left_out.push(not_carried(&plan.target, "foreign key", &key.name, reason)),
            }
        }
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// Names of constraints of the table that are given by others.
fn taken_names(plan: &TablePlan) -> HashSet<String> {
    HashSet::from([postgres_fit(&format!("{}_pkey", plan.target.table))])
}

/// The name in 63 bytes, told apart from the table's other constraints.
fn free(name: &str, taken: &mut HashSet<String>) -> String {
    let mut fit = postgres_fit(name);
    let mut number = 1;
    while !taken.insert(fit.clone()) {
        number += 1;
        fit = postgres_fit(&format!("{name}_{number}"));
    }
    fit
}

fn foreign_key(plan: &TablePlan, key: &ForeignKey, parent: Option<&TablePlan>) -> Result<PlannedForeignKey, String> {
    let parent = parent.ok_or_else(|| format!("its parent {} is not carried", key.parent))?;
    if !parent.rows.is_empty() {
        return Err(format!("only some rows of its parent {} are carried", key.parent));
    }
    let position = |plan: &TablePlan, name: &String| {
        plan.column_of(name).ok_or_else(|| format!("column {}.{name} is not carried", plan.source.name))
    };
    let columns = key.columns.iter().map(|name| position(plan, name)).collect::<Result<Vec<_>, _>>()?;
    let referenced = key.parent_columns.iter().map(|name| position(parent, name)).collect::<Result<Vec<_>, _>>()?;
    for (child, parent_column) in columns.iter().zip(&referenced) {
        let (a, b) = (&plan.columns[*child], &parent.columns[*parent_column]);
        if !comparable(&a.ty, &b.ty) || a.treatment != b.treatment || a.treatment == Treatment::Nulled {
            return Err(format!("{} is {} here and {} there", a.name, a.ty.sql(), b.ty.sql()));
        }
    }
    let mut wanted = referenced.clone();
    wanted.sort_unstable();
    if !is_unique(parent, &wanted) {
        let names: Vec<&str> = referenced.iter().map(|at| parent.columns[*at].name.as_str()).collect();
        return Err(format!("({}) of {} is not unique by itself", names.join(", "), parent.target));
    }
    Ok(PlannedForeignKey {
        name: String::new(),
        columns,
        parent: parent.target.clone(),
        parent_columns: referenced.iter().map(|at| parent.columns[*at].name.clone()).collect(),
        on_delete: key.on_delete,
        on_update: key.on_update,
    })
}

/// Whether PostgreSQL compares the two in a foreign key, and as the source does.
fn comparable(a: &PgType, b: &PgType) -> bool {
    let text = |ty: &PgType| matches!(ty, PgType::Text | PgType::Varchar(_));
    let whole = |ty: &PgType| matches!(ty, PgType::SmallInt | PgType::Integer | PgType::BigInt);
    a == b || (text(a) && text(b)) || (whole(a) && whole(b)) || std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Whether a key or unique index is of just these columns.
fn is_unique(plan: &TablePlan, sorted: &[usize]) -> bool {
    let same = |mut columns: Vec<usize>| {
        columns.sort_unstable();
        columns == sorted
    };
    let primary = plan.source.key().is_some_and(|index| index.kind == IndexKind::Primary) && plan.key_is_primary;
    (primary && same(plan.key.clone()))
        || plan.indexes.iter().any(|index| {
            index.unique
                && !index.parts.is_empty()
                && index.parts.iter().all(|(_, prefix, _)| prefix.is_none())
                && same(index.parts.iter().map(|part| part.0).collect())
        })
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
