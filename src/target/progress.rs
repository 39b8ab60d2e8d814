//! How far each table's copy is: its state, and per range of keys the last key copied.
//!
//! [`save_chunk`] runs in the transaction of the chunk's rows, so what it says and what is there cannot differ. All
//! functions take a client or a transaction; those that write expect a fenced transaction. Ranges of one table update
//! rows of their own, so parallel writers do not wait for each other. Keys are opaque bytes of the snapshot reader.

use super::error::on;
use super::{count, from_json, to_json};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::position::Position;
use std::str::FromStr;
use std::time::SystemTime;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

/// How far a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableState {
    /// Not begun.
    Pending,
    /// Its rows are being copied.
    Copying,
    /// Its rows are there, its indexes are not.
    Copied,
    /// Rows and indexes are there.
    Ready,
    /// Its changes are left out until it is copied anew.
    Paused,
}

impl TableState {
    /// The text in `sirenia.table_state.state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Copying => "copying",
            Self::Copied => "copied",
            Self::Ready => "ready",
            Self::Paused => "paused",
        }
    }
}

impl FromStr for TableState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Pending, Self::Copying, Self::Copied, Self::Ready, Self::Paused]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("a table's state is not known: {text:?}")))
    }
}

/// A table to register for a pipeline, in state pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    /// The source table.
    pub source: TableName,
    /// Where it goes.
    pub target: TargetName,
    /// It was there, empty, before us: a reset empties it instead of dropping it.
    pub adopted: bool,
    /// Tables with the same number are read in one snapshot of the source.
    pub copy_group: Option<i32>,
    /// What becomes of it ([`crate::convert::plan::TablePlan::shape`]); a later run with another must not go on.
    pub shape: String,
}

/// A table's row of `sirenia.table_state`.
#[derive(Debug, Clone, PartialEq)]
pub struct TableProgress {
    /// The source table.
    pub source: TableName,
    /// Where it goes.
    pub target: TargetName,
    /// How far it is.
    pub state: TableState,
    /// It was there, empty, before us.
    pub adopted: bool,
    /// Copied as of exactly this position; earlier transactions are skipped for it.
    pub exact_position: Option<Position>,
    /// Tables with the same number are read in one snapshot of the source.
    pub copy_group: Option<i32>,
    /// What becomes of it ([`crate::convert::plan::TablePlan::shape`]).
    pub shape: String,
    /// Rows copied so far, unfinished ranges included.
    pub rows_copied: u64,
    /// Why it is not copied further.
    pub error: Option<String>,
    /// When the state last changed, by the target's clock.
    pub changed_at: SystemTime,
}

/// A range of a table's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProgress {
    /// Its number within the table, from 0.
    pub range_no: i32,
    /// Key of the last copied row; none: nothing copied.
    pub last_key: Option<Vec<u8>>,
    /// The range's last key, inclusive; none: to the end of the table.
    pub until_key: Option<Vec<u8>>,
    /// Rows copied so far.
    pub rows_copied: u64,
    /// Whether all of it is copied.
    pub done: bool,
}

/// Registers tables for a pipeline.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when a target table belongs to another source table or pipeline.
pub async fn register<C: GenericClient + Sync>(client: &C, pipeline: &str, tables: &[NewTable]) -> Result<()> {
    for table in tables {
        let made = client
            .execute_typed(
                "INSERT INTO sirenia.table_state
                        (pipeline, source_database, source_table, target_schema, target_table, state, adopted,
                         copy_group, shape)
                 VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    (&pipeline, Type::TEXT),
                    (&table.source.database, Type::TEXT),
                    (&table.source.table, Type::TEXT),
                    (&table.target.schema, Type::TEXT),
                    (&table.target.table, Type::TEXT),
                    (&table.adopted, Type::BOOL),
                    (&table.copy_group, Type::INT4),
                    (&table.shape, Type::TEXT),
                ],
            )
            .await
            .map_err(on("registering a table"))?;
        if made == 0 {
            return Err(Error::new(
                ErrorKind::TargetConflict,
                format!("source table {} cannot go to {}", table.source, table.target),
            )
            .detail("another source table goes there, or this one is registered already")
            .with_hint("give one of them another name: [tables.rules.\"name\"] rename = \"…\""));
        }
    }
    Ok(())
}

/// Forgets a table, for a source table that was dropped or is no longer carried.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn unregister<C: GenericClient + Sync>(client: &C, pipeline: &str, table: &TableName) -> Result<()> {
    for control in ["quarantine", "sanitized", "sanitized_count", "snapshot_progress", "table_state"] {
        let sql =
            format!("DELETE FROM sirenia.{control} WHERE pipeline = $1 AND source_database = $2 AND source_table = $3");
        client.execute(&sql, &[&pipeline, &table.database, &table.table]).await.map_err(on("forgetting a table"))?;
    }
    Ok(())
}

/// The pipeline's tables, by source name.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when a row cannot be read; else as [`super::classify`] says.
pub async fn load_tables<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<TableProgress>> {
    let rows = client
        .query(
            "SELECT t.source_database, t.source_table, t.target_schema, t.target_table, t.state, t.adopted,
                    t.exact_position::text, t.copy_group, coalesce(p.copied, t.rows_copied), t.error, t.changed_at, t.shape
               FROM sirenia.table_state AS t
               LEFT JOIN (SELECT source_database, source_table, sum(rows_copied)::bigint AS copied
                            FROM sirenia.snapshot_progress WHERE pipeline = $1 GROUP BY 1, 2) AS p
                 USING (source_database, source_table)
              WHERE t.pipeline = $1 ORDER BY 1, 2",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the tables' states"))?;
    rows.iter().map(table_progress).collect()
}

fn table_progress(row: &Row) -> Result<TableProgress> {
    let exact: Option<&str> = row.get(6);
    Ok(TableProgress {
        source: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
        target: TargetName::new(row.get::<_, String>(2), row.get::<_, String>(3)),
        state: row.get::<_, &str>(4).parse()?,
        adopted: row.get(5),
        exact_position: exact.map(|text| from_json(text, "a table's position")).transpose()?,
        copy_group: row.get(7),
        rows_copied: count(row.get(8)),
        error: row.get(9),
        changed_at: row.get(10),
        shape: row.get(11),
    })
}

/// Sets a table's state and clears its error. From `Copied` on, the ranges' counts are summed into the table's and the
/// ranges are removed.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn set_state<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    state: TableState,
) -> Result<()> {
    let doing = "setting a table's state";
    let name: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&pipeline, &table.database, &table.table, &state.as_str()];
    if matches!(state, TableState::Copied | TableState::Ready) {
        client
            .execute(
                "WITH gone AS (DELETE FROM sirenia.snapshot_progress
                                WHERE pipeline = $1 AND source_database = $2 AND source_table = $3
                                RETURNING rows_copied)
                 UPDATE sirenia.table_state
                    SET rows_copied = coalesce((SELECT sum(rows_copied)::bigint FROM gone), rows_copied)
                  WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
                &name[..3],
            )
            .await
            .map_err(on(doing))?;
    }
    client
        .execute(
            "UPDATE sirenia.table_state SET state = $4, error = NULL, changed_at = clock_timestamp()
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &name,
        )
        .await
        .map_err(on(doing))?;
    Ok(())
}

/// Leaves a table's changes out from now on, until it is copied anew: `Pending` or `Paused`, and why.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn leave_out<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    state: TableState,
    why: &str,
) -> Result<()> {
    client
        .execute(
            "WITH gone AS (DELETE FROM sirenia.snapshot_progress
                            WHERE pipeline = $1 AND source_database = $2 AND source_table = $3)
             UPDATE sirenia.table_state
                SET state = $4, error = $5, exact_position = NULL, requested = NULL, changed_at = clock_timestamp()
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table, &state.as_str(), &why],
        )
        .await
        .map_err(on("leaving a table out"))?;
    Ok(())
}

/// Asks the running instance, or the next one, to pause a table or to copy it anew (`pause`, `resync`).
///
/// # Errors
/// As [`super::classify`] says.
pub async fn request<C: GenericClient + Sync>(client: &C, pipeline: &str, table: &TableName, what: &str) -> Result<()> {
    client
        .execute(
            "UPDATE sirenia.table_state SET requested = $4
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table, &what],
        )
        .await
        .map_err(on("asking for a table"))?;
    Ok(())
}

/// The tables for which something was asked, and what.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn requested<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<(TableName, String)>> {
    let rows = client
        .query(
            "SELECT source_database, source_table, requested FROM sirenia.table_state
              WHERE pipeline = $1 AND requested IS NOT NULL ORDER BY 1, 2",
            &[&pipeline],
        )
        .await
        .map_err(on("looking for tables that are asked for"))?;
    Ok(rows.iter().map(|row| (TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)), row.get(2))).collect())
}

/// Follows a table's change of name, and what becomes of it.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn rename<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    (from, to): (&TableName, &TableName),
    target: &TargetName,
) -> Result<()> {
    let doing = "renaming a table";
    let names: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&pipeline, &from.database, &from.table, &to.database, &to.table];
    for control in ["quarantine", "sanitized", "sanitized_count", "snapshot_progress"] {
        let sql = format!(
            "UPDATE sirenia.{control} SET source_database = $4, source_table = $5
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3"
        );
        client.execute(&sql, &names).await.map_err(on(doing))?;
    }
    client
        .execute(
            "UPDATE sirenia.table_state SET source_database = $4, source_table = $5, target_schema = $6, target_table = $7
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &from.database, &from.table, &to.database, &to.table, &target.schema, &target.table],
        )
        .await
        .map_err(on(doing))?;
    Ok(())
}

/// Records what becomes of a table's rows from now on ([`crate::convert::plan::TablePlan::shape`]).
///
/// # Errors
/// As [`super::classify`] says.
pub async fn set_shape<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    shape: &str,
) -> Result<()> {
    client
        .execute(
            "UPDATE sirenia.table_state SET shape = $4
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table, &shape],
        )
        .await
        .map_err(on("recording a table's shape"))?;
    Ok(())
}

/// Records that a table is copied as of exactly this position.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn set_exact<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    position: &Position,
) -> Result<()> {
    let position = to_json(position)?;
    client
        .execute(
            "UPDATE sirenia.table_state
                SET exact_position = $4::text::jsonb, changed_at = clock_timestamp()
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3",
            &[&pipeline, &table.database, &table.table, &position],
        )
        .await
        .map_err(on("setting a table's position"))?;
    Ok(())
}

/// The ranges of a table's copy, by number; empty before the first chunk unless ranges were planned.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn load_ranges<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
) -> Result<Vec<RangeProgress>> {
    let rows = client
        .query(
            "SELECT range_no, last_key, until_key, rows_copied, done FROM sirenia.snapshot_progress
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3 ORDER BY 1",
            &[&pipeline, &table.database, &table.table],
        )
        .await
        .map_err(on("reading a table's progress"))?;
    Ok(rows
        .iter()
        .map(|row| RangeProgress {
            range_no: row.get(0),
            last_key: row.get(1),
            until_key: row.get(2),
            rows_copied: count(row.get(3)),
            done: row.get(4),
        })
        .collect())
}

/// Records ranges before their copy begins; `until_keys[n]` ends range `n`, none is the table's end.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn plan_ranges<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    until_keys: &[Option<Vec<u8>>],
) -> Result<()> {
    for (range_no, until_key) in (0_i32..).zip(until_keys) {
        client
            .execute(
                "INSERT INTO sirenia.snapshot_progress (pipeline, source_database, source_table, range_no, until_key)
                 VALUES ($1, $2, $3, $4, $5)",
                &[&pipeline, &table.database, &table.table, &range_no, until_key],
            )
            .await
            .map_err(on("planning a table's copy"))?;
    }
    Ok(())
}

/// Records a copied chunk, in the transaction of its rows: the last key it holds (none keeps the recorded one), how
/// many rows it adds, whether the range is done. One round trip; the range need not have been planned.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn save_chunk<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    table: &TableName,
    range_no: i32,
    last_key: Option<&[u8]>,
    rows: u64,
    done: bool,
) -> Result<()> {
    client
        .execute_typed(
            "INSERT INTO sirenia.snapshot_progress AS p
                    (pipeline, source_database, source_table, range_no, last_key, rows_copied, done)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (pipeline, source_database, source_table, range_no) DO UPDATE
                SET last_key = coalesce(excluded.last_key, p.last_key),
                    rows_copied = p.rows_copied + excluded.rows_copied,
                    done = excluded.done",
            &[
                (&pipeline, Type::TEXT),
                (&table.database, Type::TEXT),
                (&table.table, Type::TEXT),
                (&range_no, Type::INT4),
                (&last_key, Type::BYTEA),
                (&rows.cast_signed(), Type::INT8),
                (&done, Type::BOOL),
            ],
        )
        .await
        .map_err(on("recording a copied chunk"))?;
    Ok(())
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
