//! Running the steps, and taking away what would stop a copy.

use super::existing::{self, ForeignKey};
use super::{ObjectKind, Step, diff_keys};
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use crate::target::columns::alter;
use crate::target::error::{classify, on, sqlstate};
use std::sync::Arc;
use tokio_postgres::GenericClient;

/// Steps that are sent at once; those of a batch that is refused are run one by one.
const AT_ONCE: usize = 100;

/// What became of steps.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many were done.
    pub done: usize,
    /// Foreign keys that were made NOT VALID.
    pub unproven: Vec<Unproven>,
    /// What the target could not have, and why. Rows are right without it.
    pub left_out: Vec<(Step, Error)>,
}

/// A foreign key that rows do not hold to.
#[derive(Debug)]
pub struct Unproven {
    /// The step that made it.
    pub step: Step,
    /// Rows without a parent.
    pub orphans: u64,
}

/// Runs steps in their order, within the open transaction.
///
/// # Errors
/// [`ErrorKind::TargetData`] when rows refuse a key or a unique index; else as [`classify`] says. What is only convenient
/// (a plain index, a check, a default) and cannot be had is no error.
pub async fn apply<C: GenericClient + Sync>(client: &C, steps: &[Step]) -> Result<Applied> {
    let mut applied = Applied::default();
    if steps.is_empty() {
        return Ok(applied);
    }
    run(client, "SET LOCAL maintenance_work_mem = '64MB'").await?;
    for steps in steps.chunks(AT_ONCE) {
        let all: Vec<&str> = steps.iter().map(|step| step.sql.as_str()).collect();
        match attempt(client, &all.join(";\n")).await? {
            None => applied.done += steps.len(),
            Some(_) => {
                for step in steps {
                    single(client, step, &mut applied).await?;
                }
            }
        }
    }
    Ok(applied)
}

async fn single<C: GenericClient + Sync>(client: &C, step: &Step, applied: &mut Applied) -> Result<()> {
    let Some(error) = attempt(client, &step.sql).await? else {
        applied.done += 1;
        return Ok(());
    };
    let orphaned = step.orphans.as_ref().filter(|_| sqlstate(&error) == Some("23503"));
    let doing = format!("making {} {} of {}", step.object.as_str(), step.name, step.table);
    let error = if let Some(orphans) = orphaned {
        match attempt(client, &format!("{} NOT VALID", step.sql)).await? {
            None => {
                let orphans = count_orphans(client, &step.table, orphans).await?;
                applied.unproven.push(Unproven { step: step.clone(), orphans });
                applied.done += 1;
                return Ok(());
            }
            Some(error) => error,
        }
    } else {
        error
    };
    let duplicates = sqlstate(&error) == Some("23505");
    let error = classify(error, &doing);
    let refused = matches!(error.kind(), ErrorKind::TargetData | ErrorKind::TargetConflict | ErrorKind::Bug);
    if refused && !step.object.is_needed() {
        applied.left_out.push((step.clone(), error));
        return Ok(());
    }
    Err(if duplicates {
        error.with_hint(
            "rows that the source tells apart are equal here; compare the columns' values on both sides, or leave the \
             table out: [tables] exclude",
        )
    } else {
        error
    })
}

/// Runs statements behind a savepoint: what refused them, if anything did.
async fn attempt<C: GenericClient + Sync>(client: &C, sql: &str) -> Result<Option<tokio_postgres::Error>> {
    let whole = format!("SAVEPOINT sirenia_step;\n{sql};\nRELEASE SAVEPOINT sirenia_step");
    let Err(error) = client.batch_execute(&whole).await else { return Ok(None) };
    if error.as_db_error().is_none() {
        return Err(classify(error, "changing the target's schema"));
    }
    run(client, "ROLLBACK TO SAVEPOINT sirenia_step; RELEASE SAVEPOINT sirenia_step").await?;
    Ok(Some(error))
}

async fn run<C: GenericClient + Sync>(client: &C, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(on("changing the target's schema"))
}

/// Takes from empty tables that are about to be filled what comes back after the catch-up: planned foreign keys, identities, and
/// all indexes but the primary key's. Returns how many went.
///
/// # Errors
/// As [`classify`] says.
pub async fn clear<C: GenericClient + Sync>(client: &C, plans: &[Arc<TablePlan>]) -> Result<usize> {
    let names: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let existing = existing::read(client, &names).await?;
    let (mut keys, mut indexes) = (Vec::new(), Vec::new());
    for plan in plans {
        let Some(table) = existing.tables.get(&plan.target) else { continue };
        for name in diff_keys::planned_ones(plan, table) {
            keys.push(alter(&plan.target, &format!("DROP CONSTRAINT {}", ident::postgres(&name))));
        }
        // made again behind the copy, it begins after the highest row
        if let Some(column) = plan.objects.identity.map(|at| &plan.columns[at].name)
            && table.identities.contains(column)
        {
            indexes.push(alter(&plan.target, &format!("ALTER COLUMN {} DROP IDENTITY", ident::postgres(column))));
        }
        for index in table.relation.indexes.iter().filter(|index| !index.primary) {
            indexes.push(if index.of_constraint {
                alter(&plan.target, &format!("DROP CONSTRAINT {}", ident::postgres(&index.name)))
            } else {
                format!("DROP INDEX {}", TargetName::new(&plan.target.schema, &index.name).sql())
            });
        }
    }
    let count = keys.len() + indexes.len();
    keys.extend(indexes);
    for statements in keys.chunks(AT_ONCE) {
        run(client, &statements.join(";\n")).await?;
    }
    Ok(count)
}

/// Drops the foreign keys of tables and those that refer to them, before the tables are copied again. Returns how many.
///
/// # Errors
/// As [`classify`] says.
pub async fn drop_foreign_keys<C: GenericClient + Sync>(client: &C, tables: &[TargetName]) -> Result<usize> {
    let existing = existing::read(client, tables).await?;
    let mut keys = std::collections::BTreeSet::new();
    for (name, table) in &existing.tables {
        keys.extend(table.foreign_keys.iter().map(|key: &ForeignKey| (name.clone(), key.name.clone())));
        keys.extend(table.referred.iter().map(|(child, key, _)| (child.clone(), key.clone())));
    }
    for (table, name) in &keys {
        drop_foreign_key(client, table, name).await?;
    }
    Ok(keys.len())
}

/// Drops one foreign key, if it stands.
///
/// # Errors
/// As [`classify`] says.
pub async fn drop_foreign_key<C: GenericClient + Sync>(client: &C, table: &TargetName, name: &str) -> Result<()> {
    let object = ObjectKind::ForeignKey.as_str();
    let sql = alter(table, &format!("DROP CONSTRAINT IF EXISTS {}", ident::postgres(name)));
    client.batch_execute(&sql).await.map_err(on(&format!("dropping {object} {name} of {table}")))
}

/// How many rows a foreign key finds without a parent, by its own query.
///
/// # Errors
/// As [`classify`] says.
pub async fn count_orphans<C: GenericClient + Sync>(client: &C, table: &TargetName, query: &str) -> Result<u64> {
    let row = client.query_one(query, &[]).await.map_err(on(&format!("counting rows of {table} without a parent")))?;
    Ok(crate::target::count(row.get(0)))
}
