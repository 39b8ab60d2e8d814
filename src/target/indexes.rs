//! Keys and indexes, built after the copy because that is several times faster than keeping them during it.
//!
//! Owns the statements of indexes, and what is made at the end of a table's copy: its key, and what the catch-up needs. The
//! rest comes after the catch-up, by [`super::objects`]. Everything is idempotent: what exists and serves stays.

use super::catalog::{self, ExistingTable};
use super::error::{classify, on, sqlstate};
use crate::convert::plan::{IndexForm, PgType, PlannedIndex, TablePlan};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use tokio_postgres::GenericClient;

/// What one session sorts in before it spills to disk.
const MAINTENANCE_WORK_MEM: &str = "64MB";

/// Makes the key by which rows are found: the primary key, or a unique index where the source's key is one. Nothing is
/// done for a plan without a key, or where the key exists.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when the table has another primary key; [`ErrorKind::TargetData`] when rows have equal
/// keys.
pub async fn create_primary_key<C: GenericClient + Sync>(client: &C, plan: &TablePlan) -> Result<()> {
    if !plan.has_key() {
        return Ok(());
    }
    let columns: Vec<&str> = plan.key.iter().map(|at| plan.columns[*at].name.as_str()).collect();
    let table = existing(client, plan).await?;
    let list = ident::postgres_list(columns.iter().copied());
    let sql = if plan.key_is_primary {
        if table.primary_key == columns {
            return Ok(());
        }
        if !table.primary_key.is_empty() {
            return Err(Error::new(
                ErrorKind::TargetConflict,
                format!("table {} has another primary key", plan.target),
            )
            .detail(format!(
                "it is ({}), the source's is ({list})",
                ident::postgres_list(table.primary_key.iter().map(String::as_str))
            )));
        }
        let name = free_name(client, plan, &table, &format!("{}_pkey", plan.target.table)).await?;
        format!("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({list})", plan.target.sql(), ident::postgres(&name))
    } else {
        if table.indexes.iter().any(|index| index.identifies(&columns)) {
            return Ok(());
        }
        // its own name where it is among the indexes, so that it is not built twice
        let planned = plan.indexes.iter().find(|index| same_columns(index, &plan.key));
        let wanted = planned.map_or_else(|| format!("{}_key", plan.target.table), |index| index.name.clone());
        let name = free_name(client, plan, &table, &wanted).await?;
        format!("CREATE UNIQUE INDEX {} ON {} ({list})", ident::postgres(&name), plan.target.sql())
    };
    set_memory(client).await?;
    let doing = format!("creating the key of {}", plan.target);
    client.batch_execute(&sql).await.map_err(|error| unique_failed(error, &doing, &columns.join(", ")))
}

fn same_columns(index: &PlannedIndex, key: &[usize]) -> bool {
    index.unique
        && index.parts.len() == key.len()
        && index.parts.iter().zip(key).all(|((column, prefix, _), key)| column == key && prefix.is_none())
}

fn unique_failed(error: tokio_postgres::Error, doing: &str, columns: &str) -> Error {
    let hint = match sqlstate(&error) {
        Some("23505") => Some(format!(
            "rows that the source tells apart are equal here in ({columns}); compare a column's values on both sides, \
             or leave the table out: [tables] exclude"
        )),
        Some("54000") => Some(format!("values of ({columns}) are longer than PostgreSQL's index rows of 2704 bytes")),
        Some("42704") => Some(format!("one of the types of ({columns}) cannot be indexed; override it in [types]")),
        _ => None,
    };
    let error = classify(error, doing);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Makes those plain indexes by which a foreign key that acts finds a parent's children; what cannot be had is left for
/// [`super::objects`] to tell.
///
/// # Errors
/// As [`classify`] says.
pub async fn create_reference_indexes<C: GenericClient + Sync>(client: &C, plan: &TablePlan) -> Result<()> {
    let acting = plan.source.foreign_keys.iter().filter(|key| key.acts());
    let keys: Vec<Vec<usize>> =
        acting.filter_map(|key| key.columns.iter().map(|column| plan.column_of(column)).collect()).collect();
    let serves = |index: &&PlannedIndex| {
        let leading = |key: &Vec<usize>| {
            let parts = index.parts.get(..key.len());
            parts.is_some_and(|parts| parts.iter().all(|(column, prefix, _)| key.contains(column) && prefix.is_none()))
        };
        !index.unique && keys.iter().any(leading)
    };
    let wanted: Vec<&PlannedIndex> = plan.indexes.iter().filter(serves).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let table = existing(client, plan).await?;
    set_memory(client).await?;
    for index in wanted {
        create_index(client, plan, &table, index).await?;
    }
    Ok(())
}

async fn create_index<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    table: &ExistingTable,
    index: &PlannedIndex,
) -> Result<()> {
    let names = [index.name.clone(), second_name(&plan.target, &index.name)];
    if table.indexes.iter().any(|existing| names.contains(&existing.name)) {
        return Ok(());
    }
    let name = free_name(client, plan, table, &index.name).await?;
    // behind a savepoint: a value too long for an index must not end the transaction
    let sql =
        format!("SAVEPOINT sirenia_index; {}; RELEASE SAVEPOINT sirenia_index", create_index_sql(plan, index, &name));
    let doing = format!("creating index {} of {}", index.name, plan.target);
    match client.batch_execute(&sql).await {
        Ok(()) => Ok(()),
        Err(error) if sqlstate(&error) == Some("54000") => {
            client.batch_execute("ROLLBACK TO SAVEPOINT sirenia_index").await.map_err(on(&doing))
        }
        Err(error) => Err(classify(error, &doing)),
    }
}

/// The length of a prefix part where the type can be cut.
fn prefixed(ty: &PgType, prefix: Option<u32>) -> Option<u32> {
    prefix.filter(|_| matches!(ty, PgType::Text | PgType::Varchar(_) | PgType::Bytea))
}

/// The parts of a planned index as SQL, each with whether it is a column alone and whether it is descending.
pub(super) fn part_sql(plan: &TablePlan, index: &PlannedIndex) -> Vec<(String, bool, bool)> {
    let name = |at: &usize| ident::postgres(&plan.columns[*at].name);
    match &index.form {
        IndexForm::Columns => {
            let part = |(column, prefix, descending): &(usize, Option<u32>, bool)| {
                let (quoted, ty) = (name(column), &plan.columns[*column].ty);
                match prefixed(ty, *prefix) {
                    Some(n) if *ty == PgType::Bytea => {
                        (format!("(substring({quoted} FROM 1 FOR {n}))"), false, *descending)
                    }
                    Some(n) => (format!("(\"left\"({quoted}, {n}))"), false, *descending),
                    None => (quoted, true, *descending),
                }
            };
            index.parts.iter().map(part).collect()
        }
        IndexForm::Expressions(parts) => parts.iter().map(|(sql, down)| (sql.clone(), false, *down)).collect(),
        IndexForm::Words(columns) => {
            let words: Vec<String> = columns.iter().map(|at| format!("COALESCE({}, '')", name(at))).collect();
            vec![(format!("(to_tsvector('simple', {}))", words.join(" || ' ' || ")), false, false)]
        }
    }
}

/// The access method of a planned index.
pub(super) fn method(index: &PlannedIndex) -> &'static str {
    if let IndexForm::Words(_) = index.form { "gin" } else { "btree" }
}

/// `USING … (…)` of a planned index.
pub(super) fn index_body(plan: &TablePlan, index: &PlannedIndex) -> String {
    let parts: Vec<String> = part_sql(plan, index)
        .into_iter()
        .map(|(sql, _, descending)| if descending { format!("{sql} DESC") } else { sql })
        .collect();
    format!("USING {} ({})", method(index), parts.join(", "))
}

/// The statement that makes a planned index under a name.
#[must_use]
pub fn create_index_sql(plan: &TablePlan, index: &PlannedIndex, name: &str) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let body = index_body(plan, index);
    format!("CREATE {unique}INDEX {} ON {} {body}", ident::postgres(name), plan.target.sql())
}

/// The wanted name, or another when a relation of another table has it: PostgreSQL has one namespace for tables and
/// indexes.
async fn free_name<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    table: &ExistingTable,
    wanted: &str,
) -> Result<String> {
    let name = ident::postgres_fit(wanted);
    let relation = catalog::read_table(client, &TargetName::new(&plan.target.schema, &name)).await?;
    if relation.is_none() {
        return Ok(name);
    }
    let second = second_name(&plan.target, wanted);
    if table.indexes.iter().any(|index| index.name == second) {
        return Ok(name); // both are taken; the server's error names the culprit
    }
    Ok(second)
}

pub(super) fn second_name(table: &TargetName, name: &str) -> String {
    ident::postgres_fit(&format!("{name}_{:08x}", crc32fast::hash(format!("{}.{name}", table.table).as_bytes())))
}

async fn existing<C: GenericClient + Sync>(client: &C, plan: &TablePlan) -> Result<ExistingTable> {
    catalog::read_table(client, &plan.target)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::TargetConflict, format!("table {} does not exist any more", plan.target)))
}

async fn set_memory<C: GenericClient + Sync>(client: &C) -> Result<()> {
    let sql = format!("SET maintenance_work_mem = '{MAINTENANCE_WORK_MEM}'");
    client.batch_execute(&sql).await.map_err(on("setting maintenance_work_mem"))
}

#[cfg(test)]
#[path = "indexes_tests.rs"]
mod tests;
