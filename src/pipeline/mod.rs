//! Source and target joined: bootstrap, snapshot, catch-up, indexes, stream; and starting over after what passes.
//!
//! | file | owns |
//! | --- | --- |
//! | [`bootstrap`] | from an address to a context and a checkpoint |
//! | [`snapshot`] | the first copy |
//! | [`indexes`] | what the first copy left out: indexes, then foreign keys |
//! | [`decode`] | event frames → batches, on a thread of its own |
//! | [`mod@follow`] | one run of the stream |
//! | [`ddl`] | a DDL statement in the stream: target, schema and checkpoint step over it together |
//! | [`recopy`] | tables that are copied when the stream is under way |
//! | [`lag`] | how far behind we are |
//! | [`throttle`] | how much a copy asks of the source |
//! | [`retry`], [`shutdown`] | waits between attempts; being asked to end |
//!
//! An attempt holds the lease, reads the checkpoint and goes on in its phase. Every error ends the attempt; those that
//! pass by themselves ([`Disposition::Retry`]) start another from the checkpoint, all others are the operator's.

pub mod bootstrap;
pub mod ddl;
pub mod decode;
pub mod follow;
pub mod indexes;
pub mod lag;
pub mod recopy;
pub mod retry;
pub mod shutdown;
pub mod snapshot;
pub mod state;
pub mod throttle;

use crate::batch::TableMode;
use crate::config::Config;
use crate::convert::plan::TablePlan;
use crate::error::{Disposition, Error, ErrorKind, Result};
use crate::ident::TargetName;
use crate::position::BinlogOffset;
use crate::source::ahead::Ahead;
use crate::source::connect::connect as connect_source;
use crate::source::server::{ServerFacts, write_position};
use crate::status::{Phase as Showing, Shared, TableView};
use crate::target::objects::{self, ObjectKind, Scope};
use crate::target::progress;
use crate::target::{GenericClient, Phase, checkpoint, control, lease};
use follow::{Course, Followed, follow};
use recopy::Copying;
use retry::Backoff;
use shutdown::Shutdown;
use state::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    let mut context = Arc::new(context);
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
    let mut ahead = Ahead::default();
    let mut copying: Option<Copying> = None;
    // tables that wait but are not on the source any more; the stream will come to that
    let mut vanished = false;
    loop {
        recopy::do_requests(&context, &mut copying).await?;
        let followed = match checkpoint.phase {
            Phase::Snapshot => return Err(Error::new(ErrorKind::Bug, "a copy that is done is not done")),
            Phase::Index => {
                indexes::build(&context, shutdown).await?;
                if shutdown.is_raised() {
                    return Ok(());
                }
                let mut client = context.connect_writer().await?;
                checkpoint::set_phase(&mut client, pipeline, epoch, Phase::Follow, None).await?;
                checkpoint = reload(&context).await?;
                continue;
            }
            Phase::CatchUp => {
                shared.update(|view| view.phase = Showing::CatchUp);
                recopy::leave_out_what_waits(&context).await?;
                let until = checkpoint.catch_up_until.as_ref().map(|at| &at.binlog);
                let course = course(&context, &checkpoint, until, None).await?;
                tracing::info!(from = %course.from, until = ?course.until, "catching up with what was logged during the copy");
                follow(&context, course, shutdown).await
            }
            Phase::Follow => {
                if copying.is_none() && !vanished {
                    copying = Copying::begin(&context).await?;
                }
                // a run to an end waits; else the stream goes on until the copy stands
                if let Some(copied) = copying.take_if(|copying| once || copying.done().load(Ordering::Acquire)) {
                    match copied.hand_over(&context, &mut checkpoint).await {
                        Ok(Some(renewed)) => {
                            context = Arc::new(renewed);
                            continue; // others may have come to wait meanwhile
                        }
                        Ok(None) => vanished = true,
                        Err(error) if error.kind() == ErrorKind::TooManyRefused => {
                            recopy::pause(&context, &error).await?;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
                show(&context, &checkpoint).await?;
                shared.update(|view| view.phase = Showing::Streaming);
                tracing::info!(position = %checkpoint.position, "following the source");
                let done = copying.as_ref().map(Copying::done);
                let course = course(&context, &checkpoint, until.as_ref(), done).await?;
                follow(&context, course, shutdown).await
            }
        };
        let followed = match followed {
            Err(error) if error.kind() == ErrorKind::TooManyRefused => {
                copying = None;
                recopy::pause(&context, &error).await?;
                checkpoint = reload(&context).await?;
                continue;
            }
            followed => followed?,
        };
        vanished &= followed == Followed::Copied;
        match followed {
            Followed::Shutdown => return Ok(()),
            Followed::Reached if checkpoint.phase == Phase::Follow => return recopy::refuse_paused(&context).await,
            Followed::Reached => {
                let mut client = context.connect_writer().await?;
                checkpoint::set_phase(&mut client, pipeline, epoch, Phase::Index, None).await?;
                checkpoint = reload(&context).await?;
            }
            Followed::Ddl(stop) => {
                copying = None; // its tables are locked, and it would be of before the statement
                checkpoint = reload(&context).await?;
                context = Arc::new(ddl::carry(&context, &stop, &mut ahead, &mut checkpoint).await?);
            }
            Followed::Requested | Followed::Copied => checkpoint = reload(&context).await?,
        }
    }
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

/// The stream from the checkpoint on. In catch-up, tables that were read in chunks take changes that may be there already;
/// tables that were copied exactly skip what they hold. One that was copied behind where the stream is to end has it go there.
async fn course(
    context: &Context,
    checkpoint: &crate::target::Checkpoint,
    until: Option<&BinlogOffset>,
    copied: Option<Arc<AtomicBool>>,
) -> Result<Course> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    let mode = |plan: &Arc<TablePlan>| {
        let state = states.iter().find(|state| state.source == plan.source.name);
        let exact = state.and_then(|state| state.exact_position.as_ref());
        TableMode {
            catching_up: checkpoint.phase == Phase::CatchUp && exact.is_none(),
            copied_at: exact.map(|at| at.binlog.clone()).filter(|at| *at > checkpoint.position.binlog),
            left_out: state.is_some_and(ddl::is_left_out),
        }
    };
    let modes: Vec<TableMode> = context.plans.iter().map(mode).collect();
    let furthest = modes.iter().filter_map(|mode| mode.copied_at.as_ref()).max();
    Ok(Course {
        from: checkpoint.position.clone(),
        until: until.map(|until| furthest.map_or(until, |at| at.max(until)).clone()),
        modes,
        copied,
        identity: checkpoint.source_identity.clone(),
    })
}

/// Brings keys, indexes and constraints of tables in line with their plans, in the open transaction. What stands there and is
/// in none of the plans is left alone, but for what they had before.
///
/// # Errors
/// Those of the target.
pub(crate) async fn bring_in_line<C: GenericClient + Sync>(
    client: &C,
    before: &[Arc<TablePlan>],
    plans: &[Arc<TablePlan>],
    settled: &[Arc<TablePlan>],
) -> Result<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let targets: Vec<TargetName> = settled.iter().map(|plan| plan.target.clone()).collect();
    make(client, plans, Scope { tables: Some(&targets), before, ..Scope::default() }).await
}

/// Makes what the tables in scope lack, but for columns.
async fn make<C: GenericClient + Sync>(client: &C, plans: &[Arc<TablePlan>], scope: Scope<'_>) -> Result<()> {
    let mut found = objects::reconcile(client, plans, scope).await?;
    // columns are as they are to be: one that the source dropped may have been kept
    found.steps.retain(|step| step.object != ObjectKind::Column);
    indexes::tell(&objects::apply(client, &found.steps).await?);
    Ok(())
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
