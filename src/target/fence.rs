//! The first statement of every transaction that writes: still the holder, and the checkpoint where we believe it to
//! be.
//!
//! Both calls raise rather than return, so that statements pipelined behind them cannot commit: PostgreSQL skips
//! everything up to the end of an aborted transaction and turns its COMMIT into a ROLLBACK. The SQL of the functions is
//! in `sql/control_1.sql`. `advance` locks the checkpoint's row, `fence` only shares the lease's: any number of
//! snapshot writers work side by side.

use super::error::on;
use super::to_json;
use crate::error::Result;
use crate::position::Position;
use std::time::SystemTime;
use tokio_postgres::{Client, GenericClient, Statement, Transaction};

/// Raises [`super::error::STALE_EPOCH`] unless the epoch holds the lease. Parameters: pipeline text, epoch bigint.
pub const FENCE: &str = "SELECT sirenia.fence($1, $2)";

/// Fences and moves the checkpoint. Parameters: pipeline text, epoch bigint, expected and next position as JSON text,
/// source commit time timestamptz or NULL, transactions, changes and rows bigint to add.
pub const ADVANCE: &str = "SELECT sirenia.advance($1, $2, $3::text::jsonb, $4::text::jsonb, $5, $6, $7, $8)";

/// A step of the checkpoint, made in the transaction that writes its rows.
#[derive(Debug, Clone, Copy)]
pub struct Advance<'a> {
    /// Where the checkpoint must stand now.
    pub expected: &'a Position,
    /// Where it stands after.
    pub next: &'a Position,
    /// When the source committed the last transaction; none keeps the time that is recorded (a heartbeat).
    pub committed_at: Option<SystemTime>,
    /// Source transactions in it.
    pub transactions: u64,
    /// Row changes in it.
    pub changes: u64,
    /// Rows written for them.
    pub rows: u64,
}

/// Prepares [`FENCE`].
///
/// # Errors
/// As [`super::error::classify`] says.
pub async fn prepare_fence<C: GenericClient + Sync>(client: &C) -> Result<Statement> {
    client.prepare(FENCE).await.map_err(on("preparing the fence"))
}

/// Prepares [`ADVANCE`].
///
/// # Errors
/// As [`super::error::classify`] says.
pub async fn prepare_advance<C: GenericClient + Sync>(client: &C) -> Result<Statement> {
    client.prepare(ADVANCE).await.map_err(on("preparing the checkpoint's step"))
}

/// Runs the fence. Its request is sent when the future is first polled, so it can be joined with what follows.
///
/// # Errors
/// [`crate::error::ErrorKind::LeaseLost`] when the epoch is stale.
pub async fn fence<C: GenericClient + Sync>(client: &C, fence: &Statement, pipeline: &str, epoch: i64) -> Result<()> {
    client.execute(fence, &[&pipeline, &epoch]).await.map_err(on("checking the lease"))?;
    Ok(())
}

/// Runs the step. Its request is sent when the future is first polled, so it can be joined with what follows.
///
/// # Errors
/// [`crate::error::ErrorKind::LeaseLost`] when the epoch is stale or the checkpoint stands elsewhere.
pub async fn advance<C: GenericClient + Sync>(
    client: &C,
    advance: &Statement,
    pipeline: &str,
    epoch: i64,
    step: &Advance<'_>,
) -> Result<()> {
    let (expected, next) = (to_json(step.expected)?, to_json(step.next)?);
    let [transactions, changes, rows] = [step.transactions, step.changes, step.rows].map(u64::cast_signed);
    client
        .execute(advance, &[&pipeline, &epoch, &expected, &next, &step.committed_at, &transactions, &changes, &rows])
        .await
        .map_err(on("moving the checkpoint"))?;
    Ok(())
}

/// Begins a transaction and fences it: for writes outside the stream (phases, schema versions, new tables).
///
/// # Errors
/// [`crate::error::ErrorKind::LeaseLost`] when the epoch is stale.
pub async fn begin<'a>(client: &'a mut Client, pipeline: &str, epoch: i64) -> Result<Transaction<'a>> {
    let transaction = client.transaction().await.map_err(on("beginning a transaction"))?;
    transaction.execute(FENCE, &[&pipeline, &epoch]).await.map_err(on("checking the lease"))?;
    Ok(transaction)
}
