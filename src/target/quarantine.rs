//! `sirenia.quarantine`: rows that could not be applied, the newest version of each key.
//!
//! [`put`] and [`clear`] run in the transaction of the rows around them. [`Keys`] is what the stream's writer remembers of
//! it, so that changes of other keys cost nothing. Errors and codes name structure; keys are shown by the command alone.

use super::copy::{Fields, Raw, field_value};
use super::error::on;
use crate::convert::aside::{Entry, Operation};
use crate::convert::plan::TablePlan;
use crate::copy_format;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TableName};
use hashbrown::HashSet;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

/// The keys in quarantine, by plan.
pub type Keys = Vec<HashSet<Vec<u8>>>;

/// Reads the keys in quarantine.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn load<C: GenericClient + Sync>(client: &C, pipeline: &str, plans: &[Arc<TablePlan>]) -> Result<Keys> {
    let mut keys: Keys = vec![HashSet::new(); plans.len()];
    let rows = client
        .query("SELECT source_database, source_table, key FROM sirenia.quarantine WHERE pipeline = $1", &[&pipeline])
        .await
        .map_err(on("reading the quarantine"))?;
    for row in rows {
        let name = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        if let Some(table) = plans.iter().position(|plan| plan.source.name == name) {
            keys[table].insert(row.get(2));
        }
    }
    Ok(keys)
}

/// Sets rows aside; an older version of the same key makes way.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn put<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    plan: &TablePlan,
    key: &[u8],
    entry: &Entry,
) -> Result<()> {
    let name = &plan.source.name;
    let key_text = match &entry.key_text {
        Some(text) => Some(text.clone()),
        None => Some(key_text(client, plan, key).await?),
    };
    let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
        (&pipeline, Type::TEXT),
        (&name.database, Type::TEXT),
        (&name.table, Type::TEXT),
        (&key, Type::BYTEA),
        (&key_text, Type::TEXT),
        (&entry.operation.name(), Type::TEXT),
        (&entry.code, Type::TEXT),
        (&entry.error, Type::TEXT),
        (&&*entry.position, Type::TEXT),
        (&entry.image, Type::BYTEA),
    ];
    client
        .execute_typed(
            "INSERT INTO sirenia.quarantine AS q
                    (pipeline, source_database, source_table, key, key_text, operation, code, error, position, image)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (pipeline, source_database, source_table, sha256(key)) DO UPDATE
                SET operation = excluded.operation, code = excluded.code, error = excluded.error,
                    position = excluded.position, image = excluded.image, attempts = q.attempts + 1,
                    last_at = excluded.last_at, retry_requested_at = NULL",
            &parameters,
        )
        .await
        .map_err(on("setting a row aside"))?;
    Ok(())
}

/// The key as JSON, from the target's key fields.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn key_text<C: GenericClient + Sync>(client: &C, plan: &TablePlan, key: &[u8]) -> Result<String> {
    let columns: Vec<_> = plan.key.iter().map(|position| &plan.columns[*position]).collect();
    let members = (1..)
        .zip(&columns)
        .map(|(n, column)| format!("${n}::{} AS {}", column.ty.sql(), ident::postgres(&column.name)));
    // without blanks, as the program itself writes keys
    let sql = format!("SELECT row_to_json(k)::text FROM (SELECT {}) AS k", members.collect::<Vec<_>>().join(", "));
    let fields: Vec<Option<Raw>> = Fields::of_key(key).map(raw).collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = fields.iter().map(|field| field as _).collect();
    let row = client.query_one(&sql, &parameters).await.map_err(on("reading a key"))?;
    Ok(row.get(0))
}

/// Takes keys out of the quarantine.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn clear<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    keys: &[&[u8]],
) -> Result<u64> {
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&pipeline, Type::TEXT),
        (&table.database, Type::TEXT),
        (&table.table, Type::TEXT),
        (&keys, Type::BYTEA_ARRAY),
    ];
    client
        .execute_typed(
            "DELETE FROM sirenia.quarantine WHERE pipeline = $1 AND source_database = $2 AND source_table = $3
                AND sha256(key) IN (SELECT sha256(k) FROM unnest($4) AS k)",
            &parameters,
        )
        .await
        .map_err(on("taking rows out of quarantine"))
}

/// Forgets all rows of a table, for when it was emptied or copied anew.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn forget<C: GenericClient + Sync>(client: &C, pipeline: &str, table: &TableName) -> Result<()> {
    client
        .execute(
            "DELETE FROM sirenia.quarantine WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table],
        )
        .await
        .map_err(on("forgetting rows in quarantine"))?;
    Ok(())
}

/// Too many rows of a table: what refuses them is no exception but a rule.
#[must_use]
pub fn too_many(table: &TableName, most: usize, why: &str) -> Error {
    Error::new(ErrorKind::TooManyRefused, format!("more than {most} rows of {table} would be in quarantine"))
        .with_code(table.to_string())
        .detail(format!("the last: {why}"))
        .with_hint(
            "`sirenia quarantine list` shows some; mend the target or raise max_rows_per_table in [quarantine], then \
             `sirenia tables resume` copies the table anew",
        )
}

/// A row of `sirenia.quarantine`, without its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// The source table.
    pub table: TableName,
    /// The key as JSON.
    pub key: Option<String>,
    /// `put` or `remove`.
    pub operation: String,
    /// SQLSTATE, or the reason why a value does not fit.
    pub code: Option<String>,
    /// Why it could not be applied.
    pub error: String,
    /// Up to where the log was applied before it, or `snapshot`.
    pub position: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it came here, by the target's clock.
    pub first_at: SystemTime,
    /// When it was tried last.
    pub last_at: SystemTime,
    /// Whether it is to be tried again.
    pub marked: bool,
}

/// All rows of a pipeline, by table and number.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn list<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<Listed>> {
    let rows = client
        .query(
            "SELECT id, source_database, source_table, key_text, operation, code, error, position, attempts, first_at,
                    last_at, retry_requested_at IS NOT NULL
               FROM sirenia.quarantine WHERE pipeline = $1 ORDER BY 2, 3, 1",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the quarantine"))?;
    let listed = |row: &Row| Listed {
        id: row.get(0),
        table: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        key: row.get(3),
        operation: row.get(4),
        code: row.get(5),
        error: row.get(6),
        position: row.get(7),
        attempts: row.get(8),
        first_at: row.get(9),
        last_at: row.get(10),
        marked: row.get(11),
    };
    Ok(rows.iter().map(listed).collect())
}

/// Marks rows to be tried again.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn mark<C: GenericClient + Sync>(client: &C, pipeline: &str, ids: &[i64]) -> Result<u64> {
    client
        .execute(
            "UPDATE sirenia.quarantine SET retry_requested_at = clock_timestamp() WHERE pipeline = $1 AND id = ANY ($2)",
            &[&pipeline, &ids],
        )
        .await
        .map_err(on("marking rows in quarantine"))
}

/// A row to try again.
#[derive(Debug)]
pub struct Marked {
    /// Its number.
    pub id: i64,
    /// The source table.
    pub table: TableName,
    /// Its key in quarantine.
    pub key: Vec<u8>,
    /// The key as JSON.
    pub key_text: Option<String>,
    /// What is to be done.
    pub operation: Operation,
    /// The row.
    pub image: Option<Vec<u8>>,
}

/// Some of the rows that are marked.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn marked<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<Marked>> {
    let rows = client
        .query(
            "SELECT id, source_database, source_table, key, operation, image, key_text FROM sirenia.quarantine
              WHERE pipeline = $1 AND retry_requested_at IS NOT NULL ORDER BY id LIMIT 100",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the quarantine"))?;
    let marked = |row: &Row| Marked {
        id: row.get(0),
        table: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        key: row.get(3),
        operation: if row.get::<_, &str>(4) == "remove" { Operation::Remove } else { Operation::Put },
        image: row.get(5),
        key_text: row.get(6),
    };
    Ok(rows.iter().map(marked).collect())
}

/// Records that a row was tried in vain.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn tried<C: GenericClient + Sync>(client: &C, id: i64, error: &Error) -> Result<()> {
    client
        .execute(
            "UPDATE sirenia.quarantine SET attempts = attempts + 1, code = $2, error = $3, last_at = clock_timestamp(),
                    retry_requested_at = NULL WHERE id = $1",
            &[&id, &error.code(), &error.to_string()],
        )
        .await
        .map_err(on("recording an attempt"))?;
    Ok(())
}

/// The image of a row in quarantine; none where the row is not there or is only to be removed.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn image_of<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    let row = client
        .query_opt(
            "SELECT image FROM sirenia.quarantine WHERE pipeline = $1 AND source_database = $2 AND source_table = $3
                AND sha256(key) = sha256($4)",
            &[&pipeline, &table.database, &table.table, &key],
        )
        .await
        .map_err(on("reading the quarantine"))?;
    Ok(row.and_then(|row| row.get(0)))
}

/// The tuple that stands on the target under a key.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn row_of<C: GenericClient + Sync>(client: &C, plan: &TablePlan, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
    let (matches, fields) = by_key(plan, key);
    let parameters: Vec<&(dyn ToSql + Sync)> = fields.iter().map(|field| field as _).collect();
    let sql = format!("SELECT {names} FROM {} WHERE {matches}", plan.target.sql());
    let row = client.query_opt(&sql, &parameters).await.map_err(on(&format!("read a row of {}", plan.target)))?;
    let Some(row) = row else { return Ok(None) };
    let mut tuple = Vec::new();
    copy_format::tuple_header(&mut tuple, row.len() as u16);
    for at in 0..row.len() {
        let value: Option<Raw> = row.get(at);
        copy_format::field(&mut tuple, value.as_ref().map(|Raw(value)| value.as_slice()));
    }
    Ok(Some(tuple))
}

/// A condition that finds a key, and its parameters.
fn by_key(plan: &TablePlan, key: &[u8]) -> (String, Vec<Option<Raw>>) {
    let matches = (1..).zip(&plan.key).map(|(n, position)| {
        let column = &plan.columns[*position];
        format!("{} = ${n}::{}", ident::postgres(&column.name), column.ty.sql())
    });
    (matches.collect::<Vec<_>>().join(" AND "), Fields::of_key(key).map(raw).collect())
}

fn raw(field: &[u8]) -> Option<Raw> {
    field_value(field).map(|value| Raw(value.to_vec()))
}

/// `INSERT` of one tuple and `DELETE` of one key, for rows that are applied one by one.
///
/// # Errors
/// As [`super::classify`] says: [`ErrorKind::TargetData`] when the target refuses the row.
pub async fn apply_one<C: GenericClient + Sync>(
    client: &C,
    plan: &TablePlan,
    key: &[u8],
    tuple: Option<&[u8]>,
) -> Result<()> {
    let target = plan.target.sql();
    let (matches, fields) = by_key(plan, key);
    let delete = format!("DELETE FROM {target} WHERE {matches}");
    let parameters: Vec<&(dyn ToSql + Sync)> = fields.iter().map(|field| field as _).collect();
    client.execute(&delete, &parameters).await.map_err(on(&format!("remove a row of {}", plan.target)))?;
    let Some(tuple) = tuple else { return Ok(()) };
    let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
    let places: Vec<String> = (1..=plan.columns.len()).map(|n| format!("${n}")).collect();
    let insert = format!("INSERT INTO {target} ({names}) VALUES ({})", places.join(", "));
    let fields: Vec<Option<Raw>> = Fields::of_tuple(tuple).map(raw).collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = fields.iter().map(|field| field as _).collect();
    client.execute(&insert, &parameters).await.map_err(on(&format!("add a row to {}", plan.target)))?;
    Ok(())
}

/// How many rows of a table are in quarantine.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn count<C: GenericClient + Sync>(client: &C, pipeline: &str, table: &TableName) -> Result<u64> {
    let row = client
        .query_one(
            "SELECT count(*) FROM sirenia.quarantine
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table],
        )
        .await
        .map_err(on("counting rows in quarantine"))?;
    Ok(super::count(row.get(0)))
}
