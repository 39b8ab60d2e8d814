//! Making the target's tables, and making sure first that they are nobody else's.
//!
//! Enters: the plans. Leaves: tables without keys and indexes, ready for COPY. Invariant: a table is written to only
//! when it was made here, or stood here empty with the planned columns, or is registered for this pipeline; anything
//! else is a [`ErrorKind::TargetConflict`] that says what to do. Everything is idempotent.

use super::catalog::{self, ExistingIndex, ExistingTable, RelationKind};
use super::error::{classify, on, sqlstate};
use super::{cutover, enum_types, fence};
use crate::convert::plan::{PgType, TablePlan};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TableName, TargetName};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio_postgres::{Client, GenericClient};

/// Rows counted at most when a table turns out to hold some.
const COUNT_LIMIT: u32 = 10_000;

/// Most conflicts that one error lists.
const CONFLICTS_SHOWN: usize = 20;

/// Refuses when a planned table's name is taken by something that is not ours. Changes nothing.
///
/// # Errors
/// [`ErrorKind::TargetConflict`], listing the conflicts; else as [`classify`] says.
pub async fn check_tables<C: GenericClient + Sync>(client: &C, pipeline: &str, plans: &[Arc<TablePlan>]) -> Result<()> {
    let names: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let existing = catalog::read_tables(client, &names).await?;
    let owners = owners(client, &names).await?;
    let mut wanted: HashMap<&TargetName, &TableName> = HashMap::new();
    let mut conflicts: Vec<(&TablePlan, String)> = Vec::new();
    for plan in plans {
        let source = &plan.source.name;
        let why = match (wanted.insert(&plan.target, source), owners.get(&plan.target)) {
            (Some(other), _) => Some(format!("both {other} and {source} go there")),
            (None, Some((owner, owned))) if owner == pipeline && owned == source => None,
            (None, Some((owner, owned))) => Some(format!("belongs to {owned} of pipeline {owner}")),
            (None, None) => match existing.get(&plan.target) {
                Some(table) => conflict(client, plan, table).await?,
                None => None,
            },
        };
        conflicts.extend(why.map(|why| (plan.as_ref(), why)));
    }
    let Some((first, why)) = conflicts.first() else { return Ok(()) };
    let error = Error::new(ErrorKind::TargetConflict, format!("the target's table {}: {why}", first.target));
    let mut lines: Vec<String> =
        conflicts[1..].iter().map(|(plan, why)| format!("{}: {why}", plan.target)).take(CONFLICTS_SHOWN).collect();
    if conflicts.len() > lines.len() + 1 {
        lines.push(format!("and {} more", conflicts.len() - lines.len() - 1));
    }
    let error = if lines.is_empty() { error } else { error.detail(lines.join("\n")) };
    let mut hint = format!(
        "give it another name: [tables.rules.\"{}\"] rename = \"…\"\nor another schema: target.schema = \"…\"",
        first.source.name.table
    );
    if let Some(table) = existing.get(&first.target).filter(|_| !owners.contains_key(&first.target)) {
        hint.push_str(&format!(
            "\nor, if nobody needs it: DROP {} {};",
            table.kind.as_str().to_uppercase(),
            first.target.sql()
        ));
    }
    Err(error.with_hint(hint))
}

/// Refuses tables that another pipeline carries.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] naming the first; else as [`classify`] says.
pub async fn check_owners<C: GenericClient + Sync>(client: &C, pipeline: &str, plans: &[Arc<TablePlan>]) -> Result<()> {
    let names: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let owners = owners(client, &names).await?;
    match names.iter().find_map(|name| owners.get(name).filter(|owner| owner.0 != pipeline).map(|owner| (name, owner)))
    {
        None => Ok(()),
        Some((name, (owner, _))) => {
            Err(Error::new(ErrorKind::TargetConflict, format!("the target's table {name} belongs to pipeline {owner}"))
                .with_hint(format!("--pipeline {owner}, or another target.schema in sirenia.toml")))
        }
    }
}

/// Pipeline and source table that registered each name; nothing before the control tables exist.
async fn owners<C: GenericClient + Sync>(
    client: &C,
    names: &[TargetName],
) -> Result<HashMap<TargetName, (String, TableName)>> {
    if super::control::version(client).await?.is_none() {
        return Ok(HashMap::new());
    }
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.table.as_str()).collect();
    let rows = client
        .query(
            "SELECT target_schema, target_table, pipeline, source_database, source_table FROM sirenia.table_state
               JOIN unnest($1::text[], $2::text[]) AS wanted(target_schema, target_table)
              USING (target_schema, target_table)",
            &[&schemas, &tables],
        )
        .await
        .map_err(on("reading the tables' states"))?;
    Ok(rows
        .iter()
        .map(|row| {
            let [schema, table, pipeline, database, source] = [0, 1, 2, 3, 4].map(|at| row.get::<_, String>(at));
            (TargetName::new(schema, table), (pipeline, TableName::new(database, source)))
        })
        .collect())
}

/// Why an existing relation cannot be used for the plan.
async fn conflict<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    table: &ExistingTable,
) -> Result<Option<String>> {
    if table.kind != RelationKind::Table {
        return Ok(Some(format!("a {} of that name exists", table.kind.as_str())));
    }
    let held = catalog::count_rows(client, &plan.target, COUNT_LIMIT + 1).await?;
    Ok(match held {
        0 => difference(plan, table).or_else(|| obstacle(plan, table)),
        1 => Some("holds 1 row of somebody else".into()),
        _ if held > u64::from(COUNT_LIMIT) => Some(format!("holds more than {COUNT_LIMIT} rows of somebody else")),
        _ => Some(format!("holds {held} rows of somebody else")),
    })
}

/// The first difference between the planned columns and those that exist; their order does not matter, since every
/// statement names its columns. A column that allows NULL where the plan does not is no difference.
#[must_use]
pub fn difference(plan: &TablePlan, table: &ExistingTable) -> Option<String> {
    for planned in &plan.columns {
        let (name, ty) = (&planned.name, planned.ty.sql());
        let Some(column) = table.columns.iter().find(|column| column.name == *name) else {
            return Some(format!("column \"{name}\" ({ty}) is planned but does not exist"));
        };
        // the server quotes names of types only where it must
        let bare = |ty: &str| if let PgType::Enum(_) = planned.ty { ty.replace('"', "") } else { ty.to_owned() };
        if bare(&column.ty) != bare(&ty) {
            return Some(format!("column \"{name}\" is {} but {ty} is planned", column.ty));
        }
        if planned.nullable && !column.nullable {
            return Some(format!("column \"{name}\" is NOT NULL but the source allows NULL"));
        }
    }
    let planned: HashSet<&str> = plan.columns.iter().map(|column| column.name.as_str()).collect();
    let extra = table.columns.iter().find(|column| !planned.contains(column.name.as_str()))?;
    Some(format!("column \"{}\" ({}) exists but is not planned", extra.name, extra.ty))
}

/// What would stop a copy into an existing table though its columns are right. While rows are copied and caught up,
/// only the key is unique and no reference holds.
fn obstacle(plan: &TablePlan, table: &ExistingTable) -> Option<String> {
    let key: Vec<&str> = plan.key.iter().map(|at| plan.columns[*at].name.as_str()).collect();
    if !table.owned {
        return Some("belongs to another role, and only its owner can make keys and indexes".into());
    }
    // planned ones are taken away before the copy and come back after it
    let planned = |name: &&String| !plan.objects.foreign_keys.iter().any(|key| key.name == **name);
    if let Some(name) = table.foreign_keys.iter().find(planned) {
        return Some(format!("has foreign key \"{name}\", which does not hold while tables are copied"));
    }
    if let Some(name) = &table.trigger {
        return Some(format!("has trigger \"{name}\", which would fire for replicated rows"));
    }
    let planned = |index: &&ExistingIndex| {
        plan.indexes.iter().any(|planned| {
            planned.name == index.name || super::indexes::second_name(&plan.target, &planned.name) == index.name
        })
    };
    let unique = table.indexes.iter().find(|index| index.unique && !index.identifies(&key) && !planned(index))?;
    Some(format!("has unique index \"{}\", which does not hold while rows are copied", unique.name))
}

/// Makes the schemas and tables that do not exist, without keys and indexes. Returns the tables that were made here;
/// the others stood already and are adopted. [`check_tables`] comes first.
///
/// # Errors
/// [`ErrorKind::AccessDenied`] with the GRANT; else as [`classify`] says.
pub async fn create_tables<C: GenericClient + Sync>(
    client: &C,
    plans: &[Arc<TablePlan>],
) -> Result<HashSet<TargetName>> {
    // asked first: within a transaction that a refusal has aborted it cannot be
    let user = current_user(client).await?;
    let schemas: BTreeSet<&str> = plans.iter().map(|plan| plan.target.schema.as_str()).collect();
    for schema in schemas {
        create_schema(client, schema, &user).await?;
    }
    let names: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let existing = catalog::read_tables(client, &names).await?;
    let mut made = HashSet::new();
    for plan in plans.iter().filter(|plan| !existing.contains_key(&plan.target)) {
        enum_types::create(client, plan).await?;
        let doing = format!("creating table {}", plan.target);
        if let Err(error) = client.batch_execute(&create_table_sql(plan)).await {
            let denied = sqlstate(&error) == Some("42501");
            let error = classify(error, &doing);
            let schema = ident::postgres(&plan.target.schema);
            return Err(if denied {
                error.with_hint(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {user};"))
            } else {
                error
            });
        }
        made.insert(plan.target.clone());
    }
    Ok(made)
}

/// The statement that makes a planned table, without keys and indexes.
#[must_use]
pub fn create_table_sql(plan: &TablePlan) -> String {
    let columns: Vec<String> = plan
        .columns
        .iter()
        .map(|column| {
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            let check = enum_types::check_sql(plan, column).map(|check| format!(" {check}")).unwrap_or_default();
            format!("{} {}{not_null}{check}", ident::postgres(&column.name), column.ty.sql())
        })
        .collect();
    format!("CREATE TABLE {} (\n    {}\n)", plan.target.sql(), columns.join(",\n    "))
}

async fn create_schema<C: GenericClient + Sync>(client: &C, schema: &str, user: &str) -> Result<()> {
    let doing = format!("creating schema {schema}");
    // not IF NOT EXISTS alone: that needs the right to create even where the schema exists
    let exists = client
        .query_one("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", &[&schema])
        .await
        .map_err(on(&doing))?;
    if exists.get(0) {
        return Ok(());
    }
    let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", ident::postgres(schema));
    let Err(error) = client.batch_execute(&sql).await else { return Ok(()) };
    let denied = sqlstate(&error) == Some("42501");
    let error = classify(error, &doing);
    if !denied {
        return Err(error);
    }
    Err(error.with_hint(format!("{sql} AUTHORIZATION {user};")))
}

/// The session's role, quoted, for a hint.
async fn current_user<C: GenericClient + Sync>(client: &C) -> Result<String> {
    let row = client.query_one("SELECT current_user::text", &[]).await.map_err(on("asking who we are"))?;
    Ok(ident::postgres(row.get(0)))
}

/// Removes what a pipeline has made, for `sirenia reset`: its tables (adopted ones are emptied) and its control rows,
/// in one fenced transaction. Returns the tables. The lease's row stays: an epoch must never come twice, or an instance
/// that slept through the reset could write again.
///
/// # Errors
/// [`ErrorKind::LeaseLost`]; [`ErrorKind::TargetConflict`] when views or foreign keys of others depend on a table.
pub async fn drop_everything(client: &mut Client, pipeline: &str, epoch: i64) -> Result<Vec<TargetName>> {
    let doing = "dropping the pipeline's tables";
    let transaction = fence::begin(client, pipeline, epoch).await?;
    let rows = transaction
        .query(
            "SELECT t.target_schema, t.target_table, t.adopted FROM sirenia.table_state t
               JOIN pg_namespace n ON n.nspname = t.target_schema
               JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.target_table AND c.relkind IN ('r', 'p')
              WHERE t.pipeline = $1 ORDER BY 1, 2",
            &[&pipeline],
        )
        .await
        .map_err(on(doing))?;
    let tables: Vec<(TargetName, bool)> = rows
        .iter()
        .map(|row| (TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1)), row.get(2)))
        .collect();
    let all: Vec<TargetName> = tables.iter().map(|(name, _)| name.clone()).collect();
    drop_keys_among(&transaction, &all).await?;
    let dropped: Vec<&TargetName> = tables.iter().filter(|table| !table.1).map(|(name, _)| name).collect();
    let types = enum_types::made_for(&transaction, &dropped).await?;
    // one statement for all, so that foreign keys among them are no obstacle; what is dropped goes first, since
    // TRUNCATE refuses a table that a remaining one references
    for (verb, adopted) in [("DROP TABLE", false), ("TRUNCATE", true)] {
        let list: Vec<String> = tables.iter().filter(|table| table.1 == adopted).map(|(name, _)| name.sql()).collect();
        if !list.is_empty() {
            transaction.batch_execute(&format!("{verb} {}", list.join(", "))).await.map_err(on(doing)).map_err(
                |error| match error.kind() {
                    ErrorKind::TargetConflict => {
                        error.with_hint("drop the views or foreign keys that depend on these tables, then reset again")
                    }
                    _ => error,
                },
            )?;
        }
    }
    for (name, _) in &tables {
        transaction.batch_execute(&cutover::drop_trigger_sql(name)).await.map_err(on(doing))?;
    }
    for name in types {
        transaction.batch_execute(&format!("DROP TYPE {}", name.sql())).await.map_err(on(doing))?;
    }
    for control in [
        "dropped_key",
        "quarantine",
        "sanitized",
        "sanitized_count",
        "snapshot_progress",
        "table_state",
        "schema_version",
        "checkpoint",
    ] {
        let sql = format!("DELETE FROM sirenia.{control} WHERE pipeline = $1");
        transaction.execute(&sql, &[&pipeline]).await.map_err(on(doing))?;
    }
    transaction.commit().await.map_err(on(doing))?;
    Ok(tables.into_iter().map(|(name, _)| name).collect())
}

/// Drops the foreign keys of which child and parent are among the tables, so that one of them can go without the other.
async fn drop_keys_among<C: GenericClient + Sync>(client: &C, tables: &[TargetName]) -> Result<()> {
    let schemas: Vec<&str> = tables.iter().map(|name| name.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|name| name.table.as_str()).collect();
    let doing = "dropping the foreign keys of the pipeline's tables";
    let keys = client
        .query(
            "WITH ours AS (SELECT c.oid, w.s, w.t FROM unnest($1::text[], $2::text[]) AS w(s, t)
                             JOIN pg_namespace n ON n.nspname = w.s
                             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t)
             SELECT child.s, child.t, k.conname::text FROM pg_constraint k
               JOIN ours AS child ON child.oid = k.conrelid JOIN ours AS parent ON parent.oid = k.confrelid
              WHERE k.contype = 'f' AND k.conparentid = 0",
            &[&schemas, &names],
        )
        .await
        .map_err(on(doing))?;
    let drop = |row: &tokio_postgres::Row| {
        let table = TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        super::columns::alter(&table, &format!("DROP CONSTRAINT {}", ident::postgres(row.get(2))))
    };
    let statements: Vec<String> = keys.iter().map(drop).collect();
    client.batch_execute(&statements.join(";\n")).await.map_err(on(doing))
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
