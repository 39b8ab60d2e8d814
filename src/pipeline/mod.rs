//! Source and target joined: bootstrap, snapshot, catch-up, indexes, stream; and starting over after what passes.
//!
//! | file | owns |
//! | --- | --- |
//! | [`bootstrap`] | from an address to a context and a checkpoint |
//! | [`snapshot`] | the first copy |
//! | [`decode`] | event frames → batches, on a thread of its own |
//! | [`mod@follow`] | one run of the stream |
//! | [`lag`] | how far behind we are |
//! | [`retry`], [`shutdown`] | waits between attempts; being asked to end |
//!
//! An attempt holds the lease, reads the checkpoint and goes on in its phase. Every error ends the attempt; those that
//! pass by themselves ([`Disposition::Retry`]) start another from the checkpoint, all others are the operator's.

pub mod bootstrap;
pub mod decode;
pub mod follow;
pub mod lag;
pub mod retry;
pub mod shutdown;
pub mod snapshot;
pub mod state;

use crate::batch::TableMode;
use crate::config::Config;
use crate::error::{Disposition, Error, ErrorKind, Result};
use crate::position::BinlogOffset;
use crate::source::connect::connect as connect_source;
use crate::source::server::{ServerFacts, write_position};
use crate::status::{Phase as Showing, Shared, TableView};
use crate::target::objects::{self, Applied, ObjectKind, Scope, Step};
use crate::target::progress::{self, TableState};
use crate::target::{Phase, checkpoint, classify, control, fence, lease};
use follow::{Course, Followed, follow};
use retry::Backoff;
use shutdown::Shutdown;
use state::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An attempt that lasted this long was no repetition of the failure before it.
const GOT_SOMEWHERE: Duration = Duration::from_secs(30);

/// How long an attempt may go on after a shutdown was asked for.
const LAST_ORDERS: Duration = Duration::from_millis(3500);

/// Runs the pipeline until a shutdown, or with `once` until everything committed at the start is on the target.
///
/// # Errors
/// What only an operator can mend. What passes by itself is retried without end.
pub async fn run(config: Arc<Config>, shared: Arc<Shared>, once: bool, shutdown: Shutdown) -> Result<()> {
    let mut backoff = Backoff::new();
    let mut until = None;
    let mut reached_servers = false;
    loop {
        let started = Instant::now();
        let attempt = attempt(&config, &shared, once, &mut until, &mut reached_servers, &shutdown);
        // what listens to a shutdown ends in good order; what does not (a server that is waited for, an index build) is left:
        // nothing is lost by it, since only whole transactions count
        let attempted = tokio::select! {
            attempted = attempt => attempted,
            () = async { shutdown.raised().await; tokio::time::sleep(LAST_ORDERS).await } => return Ok(()),
        };
        match attempted {
            Ok(()) => {
                shared.update(|view| view.phase = Showing::Stopped);
                return Ok(());
            }
            Err(_) if shutdown.is_raised() => return Ok(()),
            Err(error) if retries(&error, reached_servers) => {
                if started.elapsed() >= GOT_SOMEWHERE {
                    backoff.reset();
                }
                let wait = backoff.wait();
                shared.metrics.retries.with_label_values(&[&format!("{:?}", error.kind())]).inc();
                tracing::warn!(cause = cause(&error), "{error}; trying again in {} ms", wait.as_millis());
                shared.update(|view| {
                    view.phase = Showing::Retrying;
                    view.lease_held = false;
                    view.last_error = Some(error.to_string());
                });
                tokio::select! {
                    () = shutdown.raised() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(error) => {
                shared.update(|view| {
                    view.phase = Showing::Failed;
                    view.last_error = Some(error.to_string());
                });
                return Err(error);
            }
        }
    }
}

/// A host name that stops resolving while we run comes back; one that never resolved is a wrong setting.
fn retries(error: &Error, reached_servers: bool) -> bool {
    error.disposition() == Disposition::Retry || (reached_servers && error.kind() == ErrorKind::UnknownHost)
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

async fn attempt(
    config: &Arc<Config>,
    shared: &Arc<Shared>,
    once: bool,
    until: &mut Option<BinlogOffset>,
    reached_servers: &mut bool,
    shutdown: &Shutdown,
) -> Result<()> {
    let target = state::target_config(config);
    let mut client = crate::target::connect(&target, "sirenia").await?;
    control::install(&mut client).await?;
    drop(client);
    if !*reached_servers {
        // a wrong source should be told at once, not after a wait for the lease
        let conn = connect_source(&state::source_config(config)).await?;
        let _ = conn.disconnect().await;
        *reached_servers = true;
    }
    let mut told = false;
    let waiting = lease::acquire(&target, &config.pipeline, &config.lease.holder, config.lease.ttl, |holder, left| {
        if !std::mem::replace(&mut told, true) {
            tracing::info!(holder, expires_in = left.as_secs_f32(), "standby: another instance holds the lease");
            shared.update(|view| view.phase = Showing::Standby);
        }
    });
    let lease = tokio::select! {
        () = shutdown.raised() => return Ok(()),
        lease = waiting => lease?,
    };
    let keeper = lease.keep();
    tracing::info!(holder = keeper.holder, epoch = keeper.epoch, "holding the lease");
    shared.update(|view| view.lease_held = true);
    let lost = keeper.lost();
    let worked = tokio::select! {
        error = lost => Err(error),
        worked = work(config, shared, keeper.epoch, once, until, shutdown) => worked,
    };
    shared.update(|view| view.lease_held = false);
    if let Err(error) = keeper.release().await {
        tracing::debug!("{error}");
    }
    worked
}

/// Goes through the phases from where the checkpoint stands.
async fn work(
    config: &Arc<Config>,
    shared: &Arc<Shared>,
    epoch: i64,
    once: bool,
    until: &mut Option<BinlogOffset>,
    shutdown: &Shutdown,
) -> Result<()> {
    let (context, mut checkpoint) = bootstrap::prepare(Arc::clone(config), Arc::clone(shared), epoch).await?;
    let context = Arc::new(context);
    let pipeline = config.pipeline.as_str();
    if once && until.is_none() {
        *until = Some(written(&context).await?.binlog);
    }
    let _lag = lag::watch(Arc::clone(&context));
    show(&context, &checkpoint).await?;
    if checkpoint.phase == Phase::Snapshot {
        shared.update(|view| view.phase = Showing::Snapshot);
        if !snapshot::copy_tables(&context, shutdown).await? {
            return Ok(());
        }
        let until = written(&context).await?;
        let mut client = context.connect_writer().await?;
        checkpoint::set_phase(&mut client, pipeline, epoch, Phase::CatchUp, Some(&until)).await?;
        (checkpoint.phase, checkpoint.catch_up_until) = (Phase::CatchUp, Some(until));
    }
    let mut course = course(&context, &checkpoint).await?;
    if checkpoint.phase == Phase::CatchUp {
        shared.update(|view| view.phase = Showing::CatchUp);
        tracing::info!(from = %course.from, until = ?course.until, "catching up with what was logged during the copy");
        if follow(&context, course, shutdown).await? == Followed::Shutdown {
            return Ok(());
        }
        let mut client = context.connect_writer().await?;
        checkpoint::set_phase(&mut client, pipeline, epoch, Phase::Index, None).await?;
        checkpoint = reload(&context).await?;
    }
    if checkpoint.phase == Phase::Index {
        build_indexes(&context, shutdown).await?;
        if shutdown.is_raised() {
            return Ok(());
        }
        let mut client = context.connect_writer().await?;
        checkpoint::set_phase(&mut client, pipeline, epoch, Phase::Follow, None).await?;
        checkpoint = reload(&context).await?;
    }
    show(&context, &checkpoint).await?;
    shared.update(|view| view.phase = Showing::Streaming);
    tracing::info!(position = %checkpoint.position, "following the source");
    course = Course {
        from: checkpoint.position,
        until: until.clone(),
        modes: vec![TableMode::default(); context.plans.len()],
        identity: checkpoint.source_identity,
    };
    follow(&context, course, shutdown).await.map(|_| ())
}

async fn reload(context: &Context) -> Result<crate::target::Checkpoint> {
    let client = context.connect_writer().await?;
    checkpoint::load(&*client, &context.config.pipeline)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::TargetConflict, "the checkpoint has vanished while we ran"))
}

/// The end of the source's binlog now.
async fn written(context: &Context) -> Result<crate::position::Position> {
    let mut conn = connect_source(&context.source).await?;
    let facts: &ServerFacts = &context.facts;
    let position = write_position(&mut conn, facts).await?;
    let _ = conn.disconnect().await;
    Ok(position)
}

/// The catch-up: tables that were read in chunks take changes that may be there already, exact ones skip what they hold.
async fn course(context: &Context, checkpoint: &crate::target::Checkpoint) -> Result<Course> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    let mode = |name: &crate::ident::TableName| {
        let state = states.iter().find(|state| state.source == *name);
        let copied_at = state.and_then(|state| state.exact_position.as_ref()).map(|at| at.binlog.clone());
        TableMode { catching_up: copied_at.is_none(), copied_at }
    };
    Ok(Course {
        from: checkpoint.position.clone(),
        until: checkpoint.catch_up_until.as_ref().map(|until| until.binlog.clone()),
        modes: context.plans.iter().map(|plan| mode(&plan.source.name)).collect(),
        identity: checkpoint.source_identity.clone(),
    })
}

/// Makes what the copy left out, table by table, each in its own fenced transaction; then the foreign keys of all.
async fn build_indexes(context: &Context, shutdown: &Shutdown) -> Result<()> {
    let mut client = context.connect_writer().await?;
    let pipeline = &context.config.pipeline;
    let states = progress::load_tables(&*client, pipeline).await?;
    let started = Instant::now();
    let mut made = 0;
    let scope = Scope { without_foreign_keys: true, ..Scope::default() };
    let found = objects::reconcile(&*client, &context.plans, scope).await?;
    for plan in &context.plans {
        let name = &plan.source.name;
        // columns are the copy's: what differs there was accepted when it began
        let own = |step: &&Step| step.table == plan.target && step.object > ObjectKind::Column;
        let steps: Vec<Step> = found.steps.iter().filter(own).cloned().collect();
        if steps.is_empty() && states.iter().any(|state| state.source == *name && state.state == TableState::Ready) {
            continue;
        }
        if shutdown.is_raised() {
            return Ok(());
        }
        let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
        let applied = objects::apply(&transaction, &steps).await?;
        progress::set_state(&transaction, pipeline, name, TableState::Ready).await?;
        transaction.commit().await.map_err(|e| classify(e, "building indexes"))?;
        made += applied.done;
        tell(&applied);
    }
    // what stands now: on the keys and indexes that were just made
    let found = objects::reconcile(&*client, &context.plans, Scope::default()).await?;
    let keys: Vec<Step> = found.steps.into_iter().filter(|step| step.object == ObjectKind::ForeignKey).collect();
    for steps in keys.chunk_by(|a, b| a.table == b.table) {
        if shutdown.is_raised() {
            return Ok(());
        }
        let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
        let applied = objects::apply(&transaction, steps).await?;
        transaction.commit().await.map_err(|e| classify(e, "making foreign keys"))?;
        made += applied.done;
        tell(&applied);
    }
    let left_out: usize = context.plans.iter().map(|plan| plan.objects.not_carried.len()).sum();
    if left_out > 0 {
        tracing::warn!(hint = "sirenia schema status", "{left_out} things of the source's schema are not carried");
    }
    tracing::info!(
        made,
        seconds = started.elapsed().as_secs_f32(),
        "indexes are built, and what else belongs to the tables"
    );
    Ok(())
}

/// Says what the target could not have.
fn tell(applied: &Applied) {
    for (step, error) in &applied.left_out {
        tracing::warn!("{} {} of {} is left out: {error}", step.object.as_str(), step.name, step.table);
    }
    for key in &applied.unproven {
        let (name, table, orphans) = (&key.step.name, &key.step.table, key.orphans);
        tracing::warn!(hint = "sirenia schema status", "foreign key {name} of {table}: {orphans} rows have no parent");
    }
}

/// Puts what the control tables say into the view.
async fn show(context: &Context, checkpoint: &crate::target::Checkpoint) -> Result<()> {
    let client = context.connect_writer().await?;
    let tables = progress::load_tables(&*client, &context.config.pipeline).await?;
    context.shared.update(|view| {
        view.position = Some(checkpoint.position.to_string());
        view.last_error = None;
        view.tables = tables
            .into_iter()
            .map(|table| TableView {
                source: table.source.to_string(),
                target: table.target.to_string(),
                state: table.state.as_str().to_owned(),
                rows_copied: table.rows_copied,
                quarantined: 0,
                error: table.error,
            })
            .collect();
    });
    Ok(())
}
