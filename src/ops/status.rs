//! How far a pipeline is, read from the target's control tables and the source's log: it may be running or not.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::lag::bytes_between;
use crate::pipeline::state::{source_config, target_config};
use crate::source::connect as source_connect;
use crate::source::server::{ServerFacts, binlog_files, write_position};
use crate::status::{Phase, SnapshotView, StatusView, TableView, unix_time};
use crate::target::progress::{self, TableState};
use crate::target::quarantine;
use crate::target::{self, checkpoint, classify, connect, control};
use std::time::SystemTime;

/// The pipeline's state as its control tables show it. The source's part of the lag is left out when it cannot be asked.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when the pipeline has never run here; else those of the target.
pub async fn read(config: &Config) -> Result<StatusView> {
    let client = connect(&target_config(config), "sirenia status").await?;
    let known = match control::version(&*client).await? {
        Some(_) => checkpoint::load(&*client, &config.pipeline).await?,
        None => None,
    };
    let checkpoint = known.ok_or_else(|| {
        Error::new(ErrorKind::TargetConflict, format!("pipeline {} has not begun on this target", config.pipeline))
            .with_hint("`sirenia run` begins it; --pipeline names another")
    })?;
    let lease = client
        .query_opt(
            "SELECT holder, expires_at > clock_timestamp() FROM sirenia.lease WHERE pipeline = $1",
            &[&config.pipeline],
        )
        .await
        .map_err(|e| classify(e, "reading the lease"))?;
    let (holder, held) = lease.map_or((String::new(), false), |row| (row.get(0), row.get(1)));
    let tables = progress::load_tables(&*client, &config.pipeline).await?;
    let rows = match control::version(&*client).await? {
        Some(control::VERSION) => quarantine::list(&*client, &config.pipeline).await?,
        _ => Vec::new(), // tables of an older version have no quarantine yet
    };
    let done = |state: TableState| matches!(state, TableState::Copied | TableState::Ready);
    let lag_bytes = lag_bytes(config, &checkpoint).await.ok();
    let behind = checkpoint.committed_at.and_then(|at| SystemTime::now().duration_since(at).ok());
    Ok(StatusView {
        pipeline: config.pipeline.clone(),
        phase: match (held, checkpoint.phase) {
            (false, _) => Phase::Stopped,
            (true, target::Phase::Snapshot) => Phase::Snapshot,
            (true, target::Phase::CatchUp | target::Phase::Index) => Phase::CatchUp,
            (true, target::Phase::Follow) => Phase::Streaming,
        },
        position: Some(checkpoint.position.to_string()),
        lag_seconds: if lag_bytes == Some(0) { Some(0.0) } else { behind.map(|behind| behind.as_secs_f64()) },
        lag_bytes,
        transactions: checkpoint.transactions,
        changes: checkpoint.changes,
        rows: checkpoint.rows,
        snapshot: SnapshotView {
            tables_total: tables.len() as u64,
            tables_done: tables.iter().filter(|table| done(table.state)).count() as u64,
            rows_copied: tables.iter().map(|table| table.rows_copied).sum(),
            rows_estimated: 0,
        },
        tables: tables
            .into_iter()
            .map(|table| TableView {
                source: table.source.to_string(),
                target: table.target.to_string(),
                state: table.state.as_str().to_owned(),
                rows_copied: table.rows_copied,
                quarantined: rows.iter().filter(|row| row.table == table.source).count() as u64,
                error: table.error,
            })
            .collect(),
        holder,
        lease_held: held,
        last_error: None,
        started_at: 0,
        updated_at: unix_time(),
    })
}

async fn lag_bytes(config: &Config, checkpoint: &checkpoint::Checkpoint) -> Result<u64> {
    let mut conn = source_connect::connect(&source_config(config)).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    let end = write_position(&mut conn, &facts).await?.binlog;
    let files = binlog_files(&mut conn).await?;
    let _ = conn.disconnect().await;
    Ok(bytes_between(&checkpoint.position.binlog, &end, &files))
}
