//! One run of the stream: transport → decoding thread → writer, from the checkpoint until told to stop.
//!
//! Progress: the writer's transaction moves the checkpoint; nothing else is remembered. Resumption: any error drops
//! all three parts, and the next run starts from the checkpoint again, so a batch is applied as a whole or not at all.

use super::decode::{DdlStop, DecodeLoop, Decoding, Ended, frame_queue};
use super::shutdown::Shutdown;
use super::state::Context;
use crate::batch::{Batcher, Limits, TableMode};
use crate::binlog::{Affects, Decoder, affects};
use crate::change::DdlStatement;
use crate::convert::row::Converter;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::identity::SourceIdentity;
use crate::key_graph::KeyGraph;
use crate::mapping::Mapping;
use crate::position::{BinlogOffset, Position};
use crate::source::row_image;
use crate::source::transport::BinlogTransport;
use crate::status::Phase;
use crate::target::apply::Writer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// How long a shutdown waits for the batch in hand.
const FINISH_BATCH: Duration = Duration::from_secs(3);

/// How often rows in quarantine are looked for that are to be tried again.
const RETRIES: Duration = Duration::from_secs(1);

/// Why the stream ended without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Everything up to the asked position is on the target.
    Reached,
    /// A shutdown was asked for.
    Shutdown,
    /// A DDL statement has to be carried over; everything before it is on the target.
    Ddl(Box<DdlStop>),
    /// Somebody asked for a table to be paused or copied anew.
    Requested,
    /// A copy that is made beside the stream stands.
    Copied,
}

/// What a run of the stream needs besides the [`Context`].
pub struct Course {
    /// The checkpoint to start from.
    pub from: Position,
    /// Where to stop.
    pub until: Option<BinlogOffset>,
    /// How each table takes changes, by plan.
    pub modes: Vec<TableMode>,
    /// Becomes true when a copy that is made beside the stream stands, which ends the run.
    pub copied: Option<Arc<AtomicBool>>,
    /// The source as the checkpoint knows it.
    pub identity: SourceIdentity,
}

/// Follows the source.
///
/// # Errors
/// Everything that can go wrong with the source, the rows or the target; see the error's disposition.
pub async fn follow(context: &Context, course: Course, shutdown: &Shutdown) -> Result<Followed> {
    if course.until.as_ref().is_some_and(|until| course.from.binlog >= *until) {
        return Ok(Followed::Reached);
    }
    let memory = context.config.apply.memory;
    let (frames, receiver) = frame_queue(memory / 8);
    let (batches, mut received) = mpsc::channel::<Decoding>(1);
    let (waits, idle) = crossbeam_channel::bounded(1);
    let graph = Arc::new(KeyGraph::new(&context.plans, context.facts.logs_cascades)?);
    let client = context.connect_writer().await?;
    let mut writer = Writer::new(
        client,
        context.plans.clone(),
        Arc::clone(&graph),
        &context.config.pipeline,
        context.epoch,
        course.from.clone(),
        context.config.quarantine.max_rows_per_table,
    )
    .await?;
    let limits = Limits {
        changes: context.config.apply.batch_rows,
        bytes: context.config.apply.batch_bytes,
        slice_bytes: memory / 4,
        ..Limits::default()
    };
    let converters = context.plans.iter().map(|plan| Converter::compile(Arc::clone(plan))).collect::<Result<_>>()?;
    let tables = context.plans.iter().map(|plan| Arc::clone(&plan.source)).collect();
    let mut decoder = Decoder::new(context.facts.flavor, course.from.clone(), tables);
    for (table, mode) in course.modes.iter().enumerate() {
        if mode.left_out {
            decoder.leave_out(table);
        }
        if let Some(position) = &mode.copied_at {
            decoder.copied_at(table, position.clone());
        }
    }
    let decode = DecodeLoop {
        decoder,
        batcher: Batcher::new(converters, course.modes.clone(), graph, limits),
        frames: receiver,
        batches,
        idle,
        now: Instant::now(),
        until: course.until.clone(),
        lossy_replace: row_image::loses_replaced(&context.facts),
        concerns_us: ddl_filter(context),
    };
    let mut transport = BinlogTransport::open(&context.source, &context.facts, &course.from, context.server_id).await?;
    let bytes_received = context.shared.metrics.bytes_received.clone();
    // dropped with this function: the frames' channel closes and the decoding thread ends
    let reading = async move {
        loop {
            let events = transport.next_block().await?;
            bytes_received.inc_by(events.iter().map(|event| event.len() as u64).sum());
            if !frames.send(events).await {
                return std::future::pending::<Result<Followed>>().await; // the decoding thread says why
            }
        }
    };
    let decoding = tokio::task::spawn_blocking(move || decode.run());
    let applying = async {
        let mut identity = course.identity.clone();
        let mut retries = tokio::time::interval(RETRIES);
        loop {
            show_quarantine(context, &mut writer);
            let _ = waits.try_send(());
            tokio::select! {
                batch = next_batch(&mut received, shutdown) => match batch {
                    Some(decoding) => apply(context, &mut writer, &mut identity, decoding, shutdown).await?,
                    None => break,
                },
                _ = retries.tick() => {
                    writer.retry_marked().await?;
                    if writer.is_in_transaction() {
                        continue;
                    }
                    if course.copied.as_ref().is_some_and(|copied| copied.load(Ordering::Acquire)) {
                        return Ok(Some(Followed::Copied));
                    }
                    if writer.asked_for_tables().await? {
                        return Ok(Some(Followed::Requested));
                    }
                }
            }
        }
        Ok::<_, Error>(None)
    };
    let followed = tokio::select! {
        done = reading => done?,
        done = applying => {
            if let Some(followed) = done? {
                followed
            } else if shutdown.is_raised() { Followed::Shutdown } else { ended(decoding.await)? }
        }
    };
    Ok(followed)
}

fn ended(joined: Result<Result<Ended>, tokio::task::JoinError>) -> Result<Followed> {
    match joined {
        Ok(Ok(Ended::ReachedUntil)) => Ok(Followed::Reached),
        Ok(Ok(Ended::Ddl(stop))) => Ok(Followed::Ddl(stop)),
        Ok(Ok(Ended::Closed)) => Err(Error::new(ErrorKind::SourceUnavailable, "the binlog stream ended")),
        Ok(Err(error)) => Err(error),
        Err(panic) => Err(Error::new(ErrorKind::Bug, "the decoding thread panicked").with_source(panic)),
    }
}

async fn next_batch(received: &mut mpsc::Receiver<Decoding>, shutdown: &Shutdown) -> Option<Decoding> {
    tokio::select! {
        biased;
        () = shutdown.raised() => None,
        batch = received.recv() => batch,
    }
}

async fn apply(
    context: &Context,
    writer: &mut Writer,
    identity: &mut SourceIdentity,
    decoding: Decoding,
    shutdown: &Shutdown,
) -> Result<()> {
    let Decoding { mut batch, fingerprint } = decoding;
    if let Some((file, created, server_id)) = fingerprint {
        let renewed = SourceIdentity {
            binlog_file: file,
            binlog_created: created,
            binlog_server_id: server_id,
            ..identity.clone()
        };
        if renewed != *identity {
            identity.check_file(&renewed)?;
            writer.identity(&renewed);
            *identity = renewed;
        }
    }
    let started = Instant::now();
    let applied = tokio::select! {
        applied = writer.apply(&mut batch) => applied?,
        () = async { shutdown.raised().await; tokio::time::sleep(FINISH_BATCH).await } => return Ok(()),
    };
    let metrics = &context.shared.metrics;
    let Some(counts) = applied else { return Ok(()) };
    context.count_sanitized(&writer.take_sanitized());
    metrics.batches.inc();
    metrics.batch_apply_seconds.observe(started.elapsed().as_secs_f64());
    metrics.batch_rows.observe(counts.changes.total() as f64);
    metrics.transactions.inc_by(counts.transactions);
    metrics.inserts.inc_by(counts.changes.inserts);
    metrics.updates.inc_by(counts.changes.updates);
    metrics.deletes.inc_by(counts.changes.deletes);
    metrics.stream_rows.inc_by(counts.rows);
    let lag = match &batch.end {
        crate::batch::End::Commit { committed_at: Some(at), .. } => Some(seconds_since(*at)),
        _ => None,
    };
    context.shared.update(|view| {
        view.position = Some(writer.position().to_string());
        view.transactions += counts.transactions;
        view.changes += counts.changes.total();
        view.rows += counts.rows;
        view.lag_seconds = lag.or(Some(0.0));
        view.last_error = None;
        if view.phase == Phase::Retrying {
            view.phase = Phase::Streaming;
        }
    });
    Ok(())
}

/// Says how many rows are in quarantine, when that has changed.
fn show_quarantine(context: &Context, writer: &mut Writer) {
    let Some(counts) = writer.quarantined() else { return };
    for (plan, rows) in context.plans.iter().zip(&counts) {
        let name = plan.source.name.to_string();
        if context.shared.metrics.set_quarantined(&name, *rows as u64)
            && context.shared.tell((name.clone(), String::new(), "quarantine"), 1).is_some()
        {
            tracing::warn!(table = %name, rows, "rows are in quarantine; `sirenia quarantine list` shows them");
        }
    }
    context.shared.update(|view| {
        for table in &mut view.tables {
            let rows = context.plans.iter().position(|plan| plan.source.name.to_string() == table.source);
            table.quarantined = rows.map_or(0, |at| counts[at] as u64);
        }
    });
}

/// Seconds between a source commit, by the source's clock, and now; never negative.
fn seconds_since(committed_at: u32) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    (now - f64::from(committed_at)).max(0.0)
}

/// Whether a DDL statement has to be carried over: it concerns tables that are carried or would be.
fn ddl_filter(context: &Context) -> impl FnMut(&DdlStatement, bool) -> bool + use<> {
    let mapping = context.config.mapping.clone();
    let tables: Vec<TableName> = context.plans.iter().map(|plan| plan.source.name.clone()).collect();
    let case = context.facts.lower_case_table_names;
    let carried_over = context.inside.clone();
    move |statement, inside| {
        if inside && carried_over.as_ref() == Some(&statement.position.binlog) {
            return false;
        }
        let affected = affects(&statement.sql, &statement.database);
        concerned(&affected, &statement.database, &mapping, &tables, case).is_some()
    }
}

/// What of ours a DDL statement changes. A statement may spell names otherwise than the catalogue where the server's
/// `lower_case_table_names` (`case`) is not 0; with 1 the catalogue's are in lower case.
fn concerned(
    affected: &Affects,
    default_database: &str,
    mapping: &Mapping,
    tables: &[TableName],
    case: u8,
) -> Option<String> {
    let same = |a: &str, b: &str| a == b || (case != 0 && a.to_lowercase() == b.to_lowercase());
    let database = |name: &str| mapping.databases.keys().find(|known| same(known, name));
    let carried = |table: &&TableName| {
        let Some(database) = database(&table.database) else { return false };
        let known = tables.iter().find(|known| known.database == *database && same(&known.table, &table.table));
        let spelled = || if case == 1 { table.table.to_lowercase() } else { table.table.clone() };
        known.is_some() || mapping.includes(&TableName::new(database.as_str(), spelled()))
    };
    match affected {
        Affects::Nothing => None,
        Affects::Tables(tables) => tables.iter().find(carried).map(|table| format!("table {table}")),
        Affects::Database(name) => database(name).map(|name| format!("database {name}")),
        Affects::Unknown => database(default_database).map(|name| format!("something in database {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn ddl_is_recognised_however_the_server_lets_names_be_spelled() {
        let mapping = Mapping {
            databases: BTreeMap::from([("lab".into(), "public".into())]),
            exclude: vec!["jobs".into()],
            ..Mapping::default()
        };
        let tables = [TableName::new("lab", "pasien")];
        let concerned = |sql, case| concerned(&affects(sql, "LAB"), "LAB", &mapping, &tables, case).is_some();
        for sql in
            ["TRUNCATE PASIEN", "TRUNCATE lab.Pasien", "CREATE TABLE Baru (a INT)", "DROP DATABASE Lab", "FROB x"]
        {
            assert!(concerned(sql, 1) && concerned(sql, 2), "{sql}");
        }
        assert!(!concerned("TRUNCATE pasien", 0) && concerned("TRUNCATE lab.pasien", 0));
        assert!(!concerned("TRUNCATE Jobs", 1) && !concerned("DROP TABLE other.pasien", 1));
    }
}
