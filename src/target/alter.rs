//! Changes of the target's tables that follow the source's DDL, each within the caller's fenced transaction.
//!
//! Enter: plans and the steps of [`crate::convert::alter`]. Leaves: tables with the planned columns and the rows that the
//! statement made of them. Keys, indexes and constraints are brought in line afterwards.

use super::catalog;
use super::columns;
use super::copy::Raw;
use super::enum_types;
use super::error::on;
use crate::config::OnDrop;
use crate::convert::alter::{Step, Unless};
use crate::convert::plan::{PgType, PlannedColumn, TablePlan};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use tokio_postgres::GenericClient;

/// Why rows of the table as it is stand in the way of the steps; none when none do.
///
/// # Errors
/// As [`super::classify`] says; so do all others here.
pub async fn in_the_way<C: GenericClient + Sync>(
    client: &C,
    table: &TargetName,
    unless: &[Unless],
) -> Result<Option<String>> {
    for Unless { rows, why } in unless {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {rows})", table.sql());
        let found = client.query_one(&sql, &[]).await.map_err(on(&format!("looking at the rows of {table}")))?;
        if found.get(0) {
            return Ok(Some(why.clone()));
        }
    }
    Ok(None)
}

/// Whether the table has no row.
pub async fn is_empty<C: GenericClient + Sync>(client: &C, table: &TargetName) -> Result<bool> {
    Ok(catalog::count_rows(client, table, 1).await? == 0)
}

/// Makes the steps on the plan's table.
pub async fn alter<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    steps: &[Step],
    on_drop: OnDrop,
) -> Result<()> {
    let doing = format!("altering table {}", plan.target);
    let table = plan.target.sql();
    let mut sql: Vec<String> = Vec::new();
    if steps.contains(&Step::DropKey) {
        sql.extend(drop_primary_key(client, &plan.target).await?);
    }
    let renames: Vec<(&str, &str)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Rename { from, to } => Some((from.as_str(), to.as_str())),
            _ => None,
        })
        .collect();
    for step in steps {
        if let Step::Drop(column) = step {
            sql.extend(drop_column(client, plan, column, on_drop).await?);
        }
    }
    // by way of names of their own, since two columns may have swapped theirs
    let between = |at: usize| format!("sirenia renames {at}");
    sql.extend(renames.iter().enumerate().map(|(at, (from, _))| columns::rename(&plan.target, from, &between(at))));
    sql.extend(renames.iter().enumerate().map(|(at, (_, to))| columns::rename(&plan.target, &between(at), to)));
    let (defaults, identities) = if steps.iter().any(|step| matches!(step, Step::Cast(_))) {
        let renamed =
            |name: String| renames.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| (*to).to_owned());
        let (defaults, identities) = defaults(client, &plan.target).await?;
        (defaults.into_iter().map(renamed).collect(), identities.into_iter().map(renamed).collect())
    } else {
        (Vec::new(), Vec::new())
    };
    for step in steps {
        match step {
            Step::DropKey | Step::Drop(_) | Step::Rename { .. } => {}
            Step::Cast(column) => {
                let column = &plan.columns[*column];
                let counts = matches!(column.ty, PgType::SmallInt | PgType::Integer | PgType::BigInt);
                if identities.contains(&column.name) && !counts {
                    let name = ident::postgres(&column.name);
                    sql.push(format!("ALTER TABLE {table} ALTER COLUMN {name} DROP IDENTITY"));
                }
                let has_default = defaults.contains(&column.name);
                sql.push(columns::set_type(&plan.target, &column.name, "", &column.ty, has_default));
            }
            Step::Add { column, fill } => sql.extend(add_column(client, plan, &plan.columns[*column], fill).await?),
            Step::Nullability(column) => {
                let column = &plan.columns[*column];
                sql.push(columns::set_nullable(&plan.target, &column.name, column.nullable));
            }
        }
    }
    client.batch_execute(&sql.join(";\n")).await.map_err(on(&doing))
}

/// The columns with a default, and those that count up by themselves.
async fn defaults<C: GenericClient + Sync>(client: &C, table: &TargetName) -> Result<(Vec<String>, Vec<String>)> {
    let rows = client
        .query(
            "SELECT a.attname::text, a.attidentity <> '' FROM pg_attribute a
               JOIN pg_class c ON c.oid = a.attrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = $2 AND NOT a.attisdropped
                AND (a.attidentity <> '' OR a.atthasdef AND a.attgenerated = '')",
            &[&table.schema, &table.table],
        )
        .await
        .map_err(on(&format!("looking at the defaults of {table}")))?;
    let (counting, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get(1));
    let names = |rows: Vec<&tokio_postgres::Row>| rows.into_iter().map(|row| row.get(0)).collect();
    Ok((names(others), names(counting)))
}

async fn drop_column<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    column: &str,
    on_drop: OnDrop,
) -> Result<Vec<String>> {
    let (table, name) = (plan.target.sql(), ident::postgres(column));
    Ok(match on_drop {
        // with what hangs on it here: its indexes and constraints, which the source has dropped too, and no views
        OnDrop::Apply => {
            let mut sql = drop_references(client, &plan.target, Some(column)).await?;
            sql.push(format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {name}"));
            sql
        }
        OnDrop::Ignore => vec![format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL")],
        OnDrop::Rename => {
            let free = free_column(client, plan, column).await?;
            vec![
                format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL"),
                columns::rename(&plan.target, column, &free),
            ]
        }
    })
}

/// `<column>_dropped`, with a number where that is taken.
async fn free_column<C: GenericClient + Sync>(client: &C, plan: &TablePlan, column: &str) -> Result<String> {
    let table = catalog::read_table(client, &plan.target).await?;
    let taken = |name: &String| table.iter().flat_map(|table| &table.columns).any(|column| column.name == *name);
    let numbered = (2..).map(|n| ident::postgres_fit(&format!("{column}_dropped_{n}")));
    let mut names = std::iter::once(ident::postgres_fit(&format!("{column}_dropped"))).chain(numbered);
    names.find(|name| !taken(name)).ok_or_else(|| Error::new(ErrorKind::Bug, "no name is free"))
}

async fn add_column<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    column: &PlannedColumn,
    fill: &Option<Vec<u8>>,
) -> Result<Vec<String>> {
    let (table, name, ty) = (plan.target.sql(), ident::postgres(&column.name), column.ty.sql());
    let Some(fill) = fill else { return Ok(vec![columns::add(&plan.target, column, None)]) };
    let doing = format!("converting the default of {}.{}", plan.target, column.name);
    let sql = format!("SELECT quote_literal($1::{ty}::text)");
    let literal: String = client.query_one(&sql, &[&Raw(fill.clone())]).await.map_err(on(&doing))?.get(0);
    // a constant default costs no rewrite of the table, and rows that are there keep it when it goes
    Ok(vec![
        columns::add(&plan.target, column, Some(&format!("{literal}::{ty}"))),
        format!("ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT"),
    ])
}

/// The statement that drops the table's primary key, and with it the foreign keys that refer to it; none without one.
async fn drop_primary_key<C: GenericClient + Sync>(client: &C, table: &TargetName) -> Result<Option<String>> {
    let row = client
        .query_opt(
            "SELECT k.conname::text FROM pg_constraint k
               JOIN pg_class c ON c.oid = k.conrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE k.contype = 'p' AND n.nspname = $1 AND c.relname = $2",
            &[&table.schema, &table.table],
        )
        .await
        .map_err(on(&format!("looking for the primary key of {table}")))?;
    Ok(row.map(|row| format!("ALTER TABLE {} DROP CONSTRAINT {} CASCADE", table.sql(), ident::postgres(row.get(0)))))
}

/// Statements that drop the foreign keys of other tables that refer to the table, or to that column of it.
async fn drop_references<C: GenericClient + Sync>(
    client: &C,
    table: &TargetName,
    column: Option<&str>,
) -> Result<Vec<String>> {
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text, f.conname::text
               FROM pg_constraint f
               JOIN pg_class c ON c.oid = f.conrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_class p ON p.oid = f.confrelid
               JOIN pg_namespace pn ON pn.oid = p.relnamespace
              WHERE f.contype = 'f' AND f.conparentid = 0 AND pn.nspname = $1 AND p.relname = $2
                AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = p.oid
                                                    AND a.attname = $3 AND a.attnum = ANY (f.confkey)))
              ORDER BY 1, 2, 3",
            &[&table.schema, &table.table, &column],
        )
        .await
        .map_err(on(&format!("looking for what refers to {table}")))?;
    Ok(rows
        .iter()
        .map(|row| {
            let child = TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            format!("ALTER TABLE {} DROP CONSTRAINT {}", child.sql(), ident::postgres(row.get(2)))
        })
        .collect())
}

/// Removes all rows. A table that others refer to is emptied row by row, since TRUNCATE refuses it.
pub async fn empty<C: GenericClient + Sync>(client: &C, table: &TargetName) -> Result<()> {
    let referred = !drop_references(client, table, None).await?.is_empty();
    let verb = if referred { "DELETE FROM" } else { "TRUNCATE" };
    client.batch_execute(&format!("{verb} {}", table.sql())).await.map_err(on(&format!("emptying table {table}")))
}

/// What becomes of a table that the source dropped.
pub async fn drop_table<C: GenericClient + Sync>(client: &C, table: &TargetName, on_drop: OnDrop) -> Result<()> {
    if on_drop == OnDrop::Ignore {
        return Ok(());
    }
    let doing = format!("dropping table {table}");
    let mut sql = drop_references(client, table, None).await?;
    match on_drop {
        OnDrop::Ignore => {}
        OnDrop::Apply => sql.push(format!("DROP TABLE IF EXISTS {}", table.sql())),
        OnDrop::Rename => {
            let numbered = (2..).map(|n| ident::postgres_fit(&format!("{}_dropped_{n}", table.table)));
            for name in std::iter::once(ident::postgres_fit(&format!("{}_dropped", table.table))).chain(numbered) {
                if catalog::read_table(client, &TargetName::new(&table.schema, &name)).await?.is_none() {
                    sql.push(format!("ALTER TABLE IF EXISTS {} RENAME TO {}", table.sql(), ident::postgres(&name)));
                    break;
                }
            }
        }
    }
    client.batch_execute(&sql.join(";\n")).await.map_err(on(&doing)).map_err(|error| match error.kind() {
        ErrorKind::TargetConflict => error.with_hint(
            "drop the views that depend on it, or set [ddl] drop_table = \"rename\" or \"ignore\", then run again",
        ),
        _ => error,
    })
}

/// Gives tables other names; they may swap them.
pub async fn rename_tables<C: GenericClient + Sync>(client: &C, renames: &[(TargetName, TargetName)]) -> Result<()> {
    let between = |at: usize| format!("sirenia renames {at}");
    let mut sql = Vec::new();
    for (at, (from, _)) in renames.iter().enumerate() {
        sql.push(format!("ALTER TABLE {} RENAME TO {}", from.sql(), ident::postgres(&between(at))));
    }
    for (at, (from, to)) in renames.iter().enumerate() {
        let mut name = TargetName::new(&from.schema, between(at));
        if from.schema != to.schema {
            sql.push(format!("ALTER TABLE {} SET SCHEMA {}", name.sql(), ident::postgres(&to.schema)));
            name.schema.clone_from(&to.schema);
        }
        sql.push(format!("ALTER TABLE {} RENAME TO {}", name.sql(), ident::postgres(&to.table)));
    }
    client.batch_execute(&sql.join(";\n")).await.map_err(on("renaming tables"))
}

/// Gives an empty table the planned columns, whatever it had. One that does not exist is made by the caller.
pub async fn realign<C: GenericClient + Sync>(client: &C, plan: &TablePlan) -> Result<()> {
    let Some(table) = catalog::read_table(client, &plan.target).await? else { return Ok(()) };
    let mut sql = Vec::new();
    let fits = |column: &catalog::ExistingColumn| {
        let planned = plan.columns.iter().find(|planned| planned.name == column.name)?;
        let plain = enum_types::check_sql(plan, planned).is_none();
        (plain && planned.ty.sql() == column.ty).then_some(planned)
    };
    for column in &table.columns {
        if fits(column).is_none() {
            sql.extend(drop_references(client, &plan.target, Some(&column.name)).await?);
            sql.push(format!("ALTER TABLE {} DROP COLUMN {}", plan.target.sql(), ident::postgres(&column.name)));
        }
    }
    let key: Vec<&str> = plan.key.iter().map(|at| plan.columns[*at].name.as_str()).collect();
    let as_planned = table.primary_key.is_empty() || (plan.key_is_primary && table.primary_key == key);
    if !as_planned {
        sql.insert(0, drop_primary_key(client, &plan.target).await?.unwrap_or_default());
    }
    client.batch_execute(&sql.join(";\n")).await.map_err(on(&format!("altering table {}", plan.target)))?;
    enum_types::create(client, plan).await?;
    sql.clear();
    for column in &plan.columns {
        match table.columns.iter().find(|existing| existing.name == column.name && fits(existing).is_some()) {
            Some(existing) if existing.nullable == column.nullable => {}
            Some(_) => sql.push(columns::set_nullable(&plan.target, &column.name, column.nullable)),
            None => sql.extend(add_column(client, plan, column, &None).await?),
        }
    }
    client.batch_execute(&sql.join(";\n")).await.map_err(on(&format!("altering table {}", plan.target)))
}
