//! Tables that are copied anew, or for the first time, when the stream is under way already.
//!
//! Such a table's changes are left out of the stream until a copy of it stands, read whole from one consistent view at a
//! known position. The copy is made beside the stream, in a transaction of its own; at the end the stream stops at a commit,
//! and copy, position and the tables' schema of that moment are committed together, in place of what the tables held. Then
//! the log is read again from the view's position on, for these tables: all others skip what they have. So no DDL may lie
//! between: a statement that comes meanwhile has the copy begin anew. Where the source does not log what foreign keys do, the
//! tables that they lead to are copied in the same view: what a left out parent did to its children was left out too.

use super::bootstrap::plans_of;
use super::ddl::is_left_out;
use super::snapshot::{Buffers, copy_view, hold_back, is_as_planned};
use super::state::Context;
use super::throttle::Watch;
use crate::convert::alter::{Alteration, alteration};
use crate::convert::plan::TablePlan;
use crate::convert::sanitize::Total;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::key_graph::KeyGraph;
use crate::position::Position;
use crate::schema::{Catalog, TableSchema};
use crate::source::catalog;
use crate::source::connect::connect as connect_source;
use crate::source::snapshot::exact::open_exact;
use crate::source::snapshot::groups::chained_components;
use crate::target::chunk::ChunkWriter;
use crate::target::objects::Scope;
use crate::target::progress::{self, TableProgress, TableState};
use crate::target::{
    Checkpoint, GenericClient, alter, checkpoint as checkpoints, classify, fence, objects, quarantine, schema_version,
    tables,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a lock of several tables is waited for at a time, and how long it is left alone then.
const SHORT_LOCK: &str = "SET LOCAL lock_timeout = '500ms'";
const BETWEEN_LOCKS: Duration = Duration::from_millis(500);

/// How often a copy begins again because its tables changed under it.
const TRIES: u32 = 5;

/// Leaves the tables' changes out until they are copied (`Pending`) or resumed (`Paused`), and those of the tables that they
/// lead to. Within a fenced transaction.
///
/// # Errors
/// Those of the target.
pub async fn leave_out<C: GenericClient + Sync>(
    client: &C,
    context: &Context,
    plans: &[Arc<TablePlan>],
    tables: Vec<(TableName, String)>,
    state: TableState,
) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let mut all: BTreeMap<TableName, String> = tables.into_iter().collect();
    if !context.facts.logs_cascades {
        let graph = KeyGraph::new(plans, false)?;
        let catalog = Catalog { tables: plans.iter().map(|plan| TableSchema::clone(&plan.source)).collect() };
        let chained = chained_components(&catalog);
        for (at, plan) in
            plans.iter().enumerate().filter(|(_, plan)| all.contains_key(&plan.source.name)).collect::<Vec<_>>()
        {
            // cascades over several levels are found by the rows in between, so all of these are left out, or none
            let near = (0..plans.len()).filter(|other| chained[at].is_some() && chained[*other] == chained[at]);
            for other in graph.reach(at).iter().copied().chain(near) {
                let why = format!("foreign keys join it with {}", plan.source.name);
                all.entry(plans[other].source.name.clone()).or_insert(why);
            }
        }
    }
    for (name, why) in &all {
        progress::leave_out(client, &context.config.pipeline, name, state, why).await?;
        if state == TableState::Pending {
            quarantine::forget(client, &context.config.pipeline, name).await?;
        }
        let then = if state == TableState::Paused { "paused" } else { "will be copied anew" };
        tracing::warn!(table = %name, "{then}: {why}");
    }
    Ok(())
}

/// Does what was asked for tables: pauses them, or has them copied anew. A copy that is under way is undone, since its
/// tables may be among them.
///
/// # Errors
/// Those of the target.
pub async fn do_requests(context: &Context, copying: &mut Option<Copying>) -> Result<()> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let requests = progress::requested(&*client, pipeline).await?;
    if requests.is_empty() {
        return Ok(());
    }
    *copying = None;
    let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
    for (what, state) in [("pause", TableState::Paused), ("resync", TableState::Pending)] {
        let asked = requests.iter().filter(|(_, wish)| wish == what);
        let asked = asked.map(|(table, _)| (table.clone(), "an operator asked for it".to_owned())).collect();
        leave_out(&transaction, context, &context.plans, asked, state).await?;
    }
    transaction.commit().await.map_err(|error| classify(error, "leaving tables out"))
}

/// Pauses the table of which too many rows are refused; the others go on.
///
/// # Errors
/// Those of the target.
pub async fn pause(context: &Context, error: &Error) -> Result<()> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
    let names = context.plans.iter().map(|plan| &plan.source.name);
    let refused = names.filter(|name| error.code() == Some(&name.to_string()));
    let refused = refused.map(|name| (name.clone(), error.to_string())).collect();
    leave_out(&transaction, context, &context.plans, refused, TableState::Paused).await?;
    tracing::error!(hint = error.hint().unwrap_or_default(), "{error}");
    transaction.commit().await.map_err(|error| classify(error, "pausing a table"))
}

/// At the end of a run to an end: tables that are paused have not arrived.
///
/// # Errors
/// [`ErrorKind::TooManyRefused`] when there are any.
pub async fn refuse_paused(context: &Context) -> Result<()> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    let paused: Vec<_> = states.iter().filter(|state| state.state == TableState::Paused).collect();
    let Some(first) = paused.first() else { return Ok(()) };
    let names: Vec<String> = paused.iter().map(|state| state.source.to_string()).collect();
    Err(Error::new(ErrorKind::TooManyRefused, format!("paused, and so not up to date: {}", names.join(", ")))
        .detail(first.error.clone().unwrap_or_default())
        .with_hint(format!(
            "`sirenia tables resume {}` when the reason is mended, then `sirenia run`",
            names.join(" ")
        )))
}

/// A copy that is under way beside the stream. Dropped, it is undone.
pub struct Copying {
    task: JoinHandle<Result<Option<Copied>>>,
    done: Arc<AtomicBool>,
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says so when the copy has ended, however it did.
struct Finished(Arc<AtomicBool>);

impl Drop for Finished {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A copy that stands and is not committed yet.
struct Copied {
    /// The session with the open transaction.
    target: ChunkWriter,
    /// Where the view stood.
    position: Position,
    /// The tables as they were then.
    tables: Vec<TableSchema>,
    /// What became of them.
    plans: Vec<Arc<TablePlan>>,
    totals: Vec<Total>,
    started: Instant,
}

impl Copying {
    /// Begins to copy the tables that wait for it; none when none does.
    ///
    /// # Errors
    /// Those of the target.
    pub async fn begin(context: &Arc<Context>) -> Result<Option<Self>> {
        let pipeline = context.config.pipeline.as_str();
        let client = context.connect_writer().await?;
        let mut waiting = progress::load_tables(&*client, pipeline).await?;
        let carried = |state: &TableProgress| context.plans.iter().any(|plan| plan.source.name == state.source);
        waiting.retain(|state| state.state == TableState::Pending && carried(state));
        if waiting.is_empty() {
            return Ok(None);
        }
        let done = Arc::new(AtomicBool::new(false));
        let (context, finished) = (Arc::clone(context), Finished(Arc::clone(&done)));
        let task = tokio::spawn(async move {
            let _finished = finished;
            copy_waiting(&context, waiting).await
        });
        Ok(Some(Self { task, done }))
    }

    /// Becomes true when the copy stands, or has failed.
    #[must_use]
    pub fn done(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.done)
    }

    /// Waits until it stands and commits it, where the stream stands still: the tables are followed from the view's position
    /// on. If the stream is past that, it goes back, and all other tables skip what they have. Returns the context with the
    /// tables' schema as it was in the view; none when the tables are gone.
    ///
    /// # Errors
    /// Those of both servers and of the converter; nothing of a copy that fails remains.
    pub async fn hand_over(mut self, context: &Context, checkpoint: &mut Checkpoint) -> Result<Option<Context>> {
        let copied = (&mut self.task).await;
        let copied = copied.map_err(|panic| Error::new(ErrorKind::Bug, "a copy panicked").with_source(panic))??;
        let Some(Copied { target, position, tables, plans: planned, totals, started }) = copied else {
            return Ok(None);
        };
        let pipeline = context.config.pipeline.as_str();
        let renewed = with_tables(context, tables)?;
        let client = target.client();
        let mut settled = Vec::new();
        for plan in &renewed.plans {
            let Some(copied) = planned.iter().find(|copied| copied.source.name == plan.source.name) else { continue };
            if copied.shape() != plan.shape() {
                return Err(Error::new(ErrorKind::SourceUnavailable, format!("{} changes", plan.source.name)));
            }
            progress::set_state(client, pipeline, &plan.source.name, TableState::Ready).await?;
            progress::set_shape(client, pipeline, &plan.source.name, &plan.shape()).await?;
            settled.push(Arc::clone(plan));
        }
        settled.extend(follow_types(context, &renewed, &planned, client).await?);
        super::bring_in_line(client, &context.plans, &renewed.plans, &settled).await?;
        checkpoint.schema_version =
            schema_version::renew(client, pipeline, checkpoint.schema_version, &renewed.catalog).await?;
        if position.binlog < checkpoint.position.binlog {
            for state in progress::load_tables(client, pipeline).await? {
                let copied = planned.iter().any(|plan| plan.source.name == state.source);
                let ahead = state.exact_position.as_ref().is_some_and(|at| at.binlog >= checkpoint.position.binlog);
                if !copied && !ahead && !is_left_out(&state) {
                    progress::set_exact(client, pipeline, &state.source, &checkpoint.position).await?;
                }
            }
            checkpoints::step_in(client, pipeline, &checkpoint.position, &position).await?;
            checkpoint.position = position;
        }
        target.commit().await?;
        renewed.count_sanitized(&totals);
        let names: Vec<String> = planned.iter().map(|plan| plan.source.name.to_string()).collect();
        tracing::info!(tables = names.join(", "), seconds = started.elapsed().as_secs_f32(), "copied anew");
        Ok(Some(renewed))
    }
}

async fn copy_waiting(context: &Context, waiting: Vec<TableProgress>) -> Result<Option<Copied>> {
    // they come back with the copy; until then they would hold its parts against each other, and the stream up
    let targets: Vec<TargetName> = waiting.iter().map(|table| table.target.clone()).collect();
    let mut client = context.connect_writer().await?;
    loop {
        let transaction = fence::begin(&mut client, &context.config.pipeline, context.epoch).await?;
        // it locks tables on both ends: never one for long while a reader holds the other
        transaction.batch_execute(SHORT_LOCK).await.map_err(|error| classify(error, "dropping foreign keys"))?;
        match objects::drop_foreign_keys(&transaction, &targets).await {
            Ok(_) => {
                transaction.commit().await.map_err(|error| classify(error, "dropping foreign keys"))?;
                break;
            }
            Err(error) if error.kind() == ErrorKind::TargetUnavailable => {
                drop(transaction);
                tokio::time::sleep(BETWEEN_LOCKS).await;
            }
            Err(error) => return Err(error),
        }
    }
    let waiting: Vec<TableName> = waiting.into_iter().map(|table| table.source).collect();
    let mut tries = 1;
    loop {
        let mut conn = connect_source(&context.source).await?;
        let now = catalog::read_settled(&mut conn, context.facts.flavor, &context.config.mapping).await?;
        let _ = conn.disconnect().await;
        let error = match copy(context, &now, &waiting).await {
            Err(error) if tries < TRIES => error,
            copied => return copied,
        };
        let mut conn = connect_source(&context.source).await?;
        let after = catalog::read(&mut conn, context.facts.flavor, &context.config.mapping).await?;
        let _ = conn.disconnect().await;
        if waiting.iter().all(|table| alike(now.table(table), after.table(table))) {
            return Err(error);
        }
        tracing::info!("tables changed while they were copied: {error}");
        tries += 1;
    }
}

/// Other tables whose columns have to be of another type now, since foreign keys join them with those that were copied.
async fn follow_types<C: GenericClient + Sync>(
    before: &Context,
    renewed: &Context,
    copied: &[Arc<TablePlan>],
    client: &C,
) -> Result<Vec<Arc<TablePlan>>> {
    let pipeline = renewed.config.pipeline.as_str();
    let (mut followed, mut left) = (Vec::new(), Vec::new());
    let is_copied = |plan: &TablePlan| copied.iter().any(|copied| copied.source.name == plan.source.name);
    for new in renewed.plans.iter().filter(|plan| !is_copied(plan)) {
        let Some(old) = before.plans.iter().find(|plan| plan.source.name == new.source.name) else { continue };
        if old.shape() == new.shape() {
            continue;
        }
        let as_they_were: Vec<Option<usize>> = (0..new.source.columns.len()).map(Some).collect();
        match alteration(old, new, &as_they_were)? {
            Alteration::Steps { steps, unless } if alter::in_the_way(client, &new.target, &unless).await?.is_none() => {
                alter::alter(client, new, &steps, renewed.config.ddl.drop_column).await?;
                followed.push(Arc::clone(new));
            }
            _ => left.push((new.source.name.clone(), "a foreign key wants other types".to_owned())),
        }
        progress::set_shape(client, pipeline, &new.source.name, &new.shape()).await?;
    }
    leave_out(client, renewed, &renewed.plans, left, TableState::Pending).await?;
    Ok(followed)
}

/// Whether two readings show a table alike.
#[must_use]
pub fn alike(a: Option<&TableSchema>, b: Option<&TableSchema>) -> bool {
    let one = |table: Option<&TableSchema>| Catalog { tables: table.into_iter().cloned().collect() };
    catalog::agree(&one(a), &one(b))
}

/// The context with other schemas of some tables.
fn with_tables(context: &Context, tables: Vec<TableSchema>) -> Result<Context> {
    let mut catalog = context.catalog.clone();
    catalog.tables.retain(|known| !tables.iter().any(|table| table.name == known.name));
    catalog.tables.extend(tables);
    catalog.tables.sort_by(|a, b| a.name.cmp(&b.name));
    let plans = plans_of(&catalog, &context.config)?;
    Ok(context.behind(catalog, plans, context.inside.clone()))
}

async fn copy(context: &Context, now: &Catalog, waiting: &[TableName]) -> Result<Option<Copied>> {
    let there: Vec<usize> = (0..now.tables.len()).filter(|at| waiting.contains(&now.tables[*at].name)).collect();
    if there.is_empty() {
        return Ok(None); // they are gone; the stream will come to that
    }
    let started = Instant::now();
    let _watch = Watch::begin(context);
    hold_back(context, there.iter().map(|at| &now.tables[*at])).await;
    let mut view = open_exact(&context.source, &context.facts, now, &there).await?;
    let position = view.position.clone();
    let tables: Vec<TableSchema> = there.iter().map(|at| now.tables[*at].clone()).collect();
    let renewed = with_tables(context, tables.clone())?;
    let copied = |at: &usize| tables.iter().any(|table| table.name == renewed.plans[*at].source.name);
    let numbers: Vec<usize> = (0..renewed.plans.len()).filter(copied).collect();
    // what changed between the reading and the view is in neither
    if !is_as_planned(&renewed, &numbers).await? {
        return Err(Error::new(ErrorKind::SourceUnavailable, "tables changed before they were copied"));
    }
    let plans: Vec<Arc<TablePlan>> = numbers.iter().map(|at| Arc::clone(&renewed.plans[*at])).collect();
    let pipeline = renewed.config.pipeline.as_str();
    let target = ChunkWriter::new(renewed.connect_writer().await?, pipeline, renewed.epoch).await?;
    target.begin().await?;
    for plan in &plans {
        if tables::create_tables(target.client(), std::slice::from_ref(plan)).await?.is_empty() {
            alter::empty(target.client(), &plan.target).await?;
            alter::realign(target.client(), plan).await?;
        }
    }
    let totals = copy_view(&renewed, &target, &mut view, &mut Buffers::default(), &numbers).await?;
    view.close().await?;
    // the stream need not wait for these
    let targets: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let scope =
        Scope { tables: Some(&targets), before: &context.plans, without_foreign_keys: true, ..Scope::default() };
    super::make(target.client(), &renewed.plans, scope).await?;
    Ok(Some(Copied { target, position, tables, plans, totals, started }))
}

/// Leaves out, with the tables that wait for a copy since DDL came between, those that they lead to. At the end of a copy.
///
/// # Errors
/// Those of the target.
pub async fn leave_out_what_waits(context: &Context) -> Result<()> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, pipeline).await?;
    let waiting = states.into_iter().filter(|state| state.state == TableState::Pending);
    let waiting: Vec<_> = waiting.map(|state| (state.source, state.error.unwrap_or_default())).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
    leave_out(&transaction, context, &context.plans, waiting, TableState::Pending).await?;
    transaction.commit().await.map_err(|error| classify(error, "leaving tables out"))
}
