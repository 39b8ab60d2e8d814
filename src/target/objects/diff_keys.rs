//! The steps of foreign keys: after all others, since they stand on the keys of other tables.

use super::existing::{Existing, ForeignKey, Table};
use super::{Found, ObjectKind, Reconciled, Scope, Step};
use crate::convert::objects::PlannedForeignKey;
use crate::convert::plan::TablePlan;
use crate::ident::{self, TargetName};
use crate::schema::Action;
use crate::target::columns::alter;
use std::collections::HashSet;

/// How a foreign key ends, and how PostgreSQL's catalogue says the same: actions, match, when it is checked.
fn manner(key: &PlannedForeignKey, acting: bool) -> (String, String) {
    if !acting {
        return ("DEFERRABLE INITIALLY DEFERRED".into(), "aas tt".into());
    }
    let action = |action: Action| match action {
        Action::Restrict => ("RESTRICT", 'r'),
        Action::Cascade => ("CASCADE", 'c'),
        Action::SetNull => ("SET NULL", 'n'),
    };
    let ((delete, d), (update, u)) = (action(key.on_delete), action(key.on_update));
    (format!("ON DELETE {delete} ON UPDATE {update}"), format!("{d}{u}s ff"))
}

/// The steps of the tables in scope, as children and as parents.
pub(super) fn foreign_keys(plans: &[&TablePlan], existing: &Existing, scope: Scope<'_>, found: &mut Reconciled) {
    let gone = obsolete(existing, scope, found);
    for plan in plans.iter().filter(|plan| plan.objects.options.foreign_keys) {
        let child_in_scope = scope.has(&plan.target);
        let mut left: Vec<&ForeignKey> = existing
            .tables
            .get(&plan.target)
            .map_or(&[][..], |table| &table.foreign_keys)
            .iter()
            .filter(|key| !gone.contains(&(plan.target.clone(), key.name.clone())))
            .collect();
        for key in &plan.objects.foreign_keys {
            let seen = child_in_scope || scope.has(&key.parent);
            one(plan, key, (seen, scope.acting), &mut left, found);
        }
        for key in left.into_iter().filter(|_| child_in_scope) {
            let before = scope.before.iter().find(|before| before.target == plan.target);
            let had = before.is_some_and(|before| before.objects.foreign_keys.iter().any(|had| had.name == key.name));
            if had {
                let drop = alter(&plan.target, &format!("DROP CONSTRAINT {}", ident::postgres(&key.name)));
                found.steps.push(step(
                    &plan.target,
                    ObjectKind::ObsoleteForeignKey,
                    &key.name,
                    drop,
                    "the source has it no longer".into(),
                ));
            } else {
                let table = plan.target.clone();
                let (object, name) = (ObjectKind::ForeignKey, key.name.clone());
                found.extras.push(Found { table, object, name, orphans: None });
            }
        }
    }
}

/// Foreign keys that stand on an index that is about to go: they go first, and come again where they are planned.
fn obsolete(existing: &Existing, scope: Scope<'_>, found: &mut Reconciled) -> HashSet<(TargetName, String)> {
    let dropped: HashSet<(&TargetName, &str)> = found
        .steps
        .iter()
        .filter(|step| matches!(step.object, ObjectKind::PrimaryKey | ObjectKind::UniqueIndex))
        .filter(|step| step.sql.starts_with("DROP ") || step.sql.contains("DROP CONSTRAINT"))
        .flat_map(|step| {
            let indexes = existing.tables.get(&step.table).map_or(&[][..], |table| &table.relation.indexes);
            let goes = |index: &&crate::target::catalog::ExistingIndex| {
                index.name == step.name || (step.object == ObjectKind::PrimaryKey && index.primary)
            };
            indexes.iter().filter(goes).map(|index| (&step.table, index.name.as_str())).collect::<Vec<_>>()
        })
        .collect();
    let mut gone = HashSet::new();
    let mut steps = Vec::new();
    for (parent, table) in existing.tables.iter().filter(|(parent, _)| scope.has(parent)) {
        for (child, name, index) in &table.referred {
            if dropped.contains(&(parent, index.as_str())) && gone.insert((child.clone(), name.clone())) {
                let sql = alter(child, &format!("DROP CONSTRAINT {}", ident::postgres(name)));
                let why = format!("it stands on {index}, which is made again");
                steps.push(step(child, ObjectKind::ObsoleteForeignKey, name, sql, why));
            }
        }
    }
    found.steps.extend(steps);
    gone
}

fn step(table: &TargetName, object: ObjectKind, name: &str, sql: String, why: String) -> Step {
    Step { table: table.clone(), object, name: name.to_owned(), sql, why, lossy: None, orphans: None }
}

fn one(
    plan: &TablePlan,
    key: &PlannedForeignKey,
    (seen, acting): (bool, bool),
    left: &mut Vec<&ForeignKey>,
    found: &mut Reconciled,
) {
    let (ends, manner) = manner(key, acting);
    let columns: Vec<&str> = key.columns.iter().map(|at| plan.columns[*at].name.as_str()).collect();
    let joins = |standing: &&ForeignKey| {
        standing.columns == columns && standing.parent == key.parent && standing.parent_columns == key.parent_columns
    };
    let named = left.iter().position(|standing| standing.name == key.name);
    let name = ident::postgres(&key.name);
    if let Some(at) = named.filter(|at| joins(&left[*at]) && left[*at].manner == manner) {
        let standing = left.remove(at);
        if seen && !standing.proven {
            let (table, orphans) = (plan.target.clone(), Some(orphans(plan, key)));
            found.unproven.push(Found { table, object: ObjectKind::ForeignKey, name: key.name.clone(), orphans });
        }
        return;
    }
    let planned = |name: &str| plan.objects.foreign_keys.iter().any(|key| key.name == name);
    let same = left.iter().position(|standing| joins(standing) && !planned(&standing.name));
    if let (None, Some(at)) = (named, same.filter(|at| left[*at].manner == manner)) {
        let standing = left.remove(at);
        let sql = alter(&plan.target, &format!("RENAME CONSTRAINT {} TO {name}", ident::postgres(&standing.name)));
        let why = format!("it stands under the name {}", standing.name);
        found.steps.push(step(&plan.target, ObjectKind::ForeignKey, &key.name, sql, why));
        return;
    }
    let mut what = String::new();
    let mut why = "it does not exist".to_owned();
    for at in [named, same].into_iter().flatten().collect::<std::collections::BTreeSet<_>>().into_iter().rev() {
        let standing = left.remove(at);
        what.push_str(&format!("DROP CONSTRAINT {}, ", ident::postgres(&standing.name)));
        why = format!("{} stands as another: {}", standing.name, standing.definition);
    }
    if !seen {
        return;
    }
    what.push_str(&format!("ADD CONSTRAINT {name} {}", definition(plan, key, &ends)));
    let sql = alter(&plan.target, &what);
    found.steps.push(Step {
        orphans: Some(orphans(plan, key)),
        ..step(&plan.target, ObjectKind::ForeignKey, &key.name, sql, why)
    });
}

fn definition(plan: &TablePlan, key: &PlannedForeignKey, ends: &str) -> String {
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}) {ends}",
        ident::postgres_list(key.columns.iter().map(|at| plan.columns[*at].name.as_str())),
        key.parent.sql(),
        ident::postgres_list(key.parent_columns.iter().map(String::as_str))
    )
}

/// The query that counts the rows without a parent.
fn orphans(plan: &TablePlan, key: &PlannedForeignKey) -> String {
    let child: Vec<String> = key.columns.iter().map(|at| ident::postgres(&plan.columns[*at].name)).collect();
    let given: Vec<String> = child.iter().map(|column| format!("c.{column} IS NOT NULL")).collect();
    let joined: Vec<String> = child
        .iter()
        .zip(&key.parent_columns)
        .map(|(column, parent)| format!("p.{} = c.{column}", ident::postgres(parent)))
        .collect();
    format!(
        "SELECT count(*) FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
        plan.target.sql(),
        given.join(" AND "),
        key.parent.sql(),
        joined.join(" AND ")
    )
}

/// Names of the foreign keys of a standing table that the plan has, by name or by what they join.
pub(super) fn planned_ones(plan: &TablePlan, table: &Table) -> Vec<String> {
    let planned = |standing: &&ForeignKey| {
        plan.objects.foreign_keys.iter().any(|key| {
            let columns = key.columns.iter().map(|at| plan.columns[*at].name.as_str());
            standing.name == key.name
                || (standing.parent == key.parent && standing.columns.iter().map(String::as_str).eq(columns))
        })
    };
    table.foreign_keys.iter().filter(planned).map(|key| key.name.clone()).collect()
}
