//! Tables that are copied anew, or for the first time, when the stream is under way already.
//!
//! Such a table's changes are left out of the stream until a copy of it stands, read whole from one consistent view at a
//! known position. Copy, position and the schema of that moment commit together, in place of what the table held; from there
//! on the stream skips, for this table, what lies before the position. The stream waits while the copy is made. Where the
//! source does not log what foreign keys do, the tables that they lead to are copied in the same view: what a left out parent
//! did to its children was left out too.

use super::bootstrap::plans_of;
use super::snapshot::copy_view;
use super::state::Context;
use crate::convert::alter::{Alteration, alteration};
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::key_graph::KeyGraph;
use crate::schema::{Catalog, TableSchema};
use crate::source::catalog;
use crate::source::connect::connect as connect_source;
use crate::source::snapshot::exact::open_exact;
use crate::target::chunk::ChunkWriter;
use crate::target::progress::{self, TableState};
use crate::target::{Checkpoint, GenericClient, alter, objects, quarantine, schema_version, tables};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

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
    let graph = KeyGraph::new(plans, context.facts.logs_cascades)?;
    for (at, plan) in plans.iter().enumerate() {
        if all.contains_key(&plan.source.name) {
            for child in graph.reach(at) {
                let why = format!("foreign keys lead to it from {}", plan.source.name);
                all.entry(plans[*child].source.name.clone()).or_insert(why);
            }
        }
    }
    for (name, why) in &all {
        progress::leave_out(client, &context.config.pipeline, name, state, why).await?;
        let then = if state == TableState::Paused { "paused" } else { "will be copied anew" };
        tracing::warn!(table = %name, "{then}: {why}");
    }
    Ok(())
}

/// Does what was asked for tables: pauses them, or has them copied anew.
///
/// # Errors
/// Those of the target.
pub async fn do_requests(context: &Context) -> Result<()> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let requests = progress::requested(&*client, pipeline).await?;
    if requests.is_empty() {
        return Ok(());
    }
    let transaction = crate::target::fence::begin(&mut client, pipeline, context.epoch).await?;
    for (what, state) in [("pause", TableState::Paused), ("resync", TableState::Pending)] {
        let asked = requests.iter().filter(|(_, wish)| wish == what);
        let asked = asked.map(|(table, _)| (table.clone(), "an operator asked for it".to_owned())).collect();
        leave_out(&transaction, context, &context.plans, asked, state).await?;
    }
    transaction.commit().await.map_err(|error| crate::target::classify(error, "leaving tables out"))
}

/// Pauses the table of which too many rows are refused; the others go on.
///
/// # Errors
/// Those of the target.
pub async fn pause(context: &Context, error: &Error) -> Result<()> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let transaction = crate::target::fence::begin(&mut client, pipeline, context.epoch).await?;
    let names = context.plans.iter().map(|plan| &plan.source.name);
    let refused = names.filter(|name| error.code() == Some(&name.to_string()));
    let refused = refused.map(|name| (name.clone(), error.to_string())).collect();
    leave_out(&transaction, context, &context.plans, refused, TableState::Paused).await?;
    tracing::error!(hint = error.hint().unwrap_or_default(), "{error}");
    transaction.commit().await.map_err(|error| crate::target::classify(error, "pausing a table"))
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

/// Copies the tables that wait for it. Returns the context with their schema of now; none when there was nothing to copy.
///
/// # Errors
/// Those of both servers and of the converter; nothing of a copy that fails remains.
pub async fn copy_waiting(context: &Context, checkpoint: &mut Checkpoint) -> Result<Option<Context>> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    drop(client);
    let waiting: Vec<TableName> =
        states.into_iter().filter(|state| state.state == TableState::Pending).map(|state| state.source).collect();
    if waiting.is_empty() {
        return Ok(None);
    }
    let mut tries = 1;
    loop {
        let mut conn = connect_source(&context.source).await?;
        let now = catalog::read_settled(&mut conn, context.facts.flavor, &context.config.mapping).await?;
        let copied = copy(context, checkpoint, &now, &waiting).await;
        let after = catalog::read(&mut conn, context.facts.flavor, &context.config.mapping).await?;
        let _ = conn.disconnect().await;
        let same = waiting.iter().all(|table| alike(now.table(table), after.table(table)));
        match copied {
            Err(error) if !same && tries < TRIES => tracing::info!("tables changed while they were copied: {error}"),
            copied => return copied,
        }
        tries += 1;
    }
}

/// Other tables whose columns have to be of another type now, since foreign keys join them with those that were copied.
async fn follow_types<C: GenericClient + Sync>(
    before: &Context,
    renewed: &Context,
    copied: &[usize],
    client: &C,
) -> Result<Vec<Arc<TablePlan>>> {
    let pipeline = renewed.config.pipeline.as_str();
    let (mut followed, mut left) = (Vec::new(), Vec::new());
    for (_, new) in renewed.plans.iter().enumerate().filter(|(at, _)| !copied.contains(at)) {
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

async fn copy(
    context: &Context,
    checkpoint: &mut Checkpoint,
    now: &Catalog,
    waiting: &[TableName],
) -> Result<Option<Context>> {
    let there: Vec<usize> = (0..now.tables.len()).filter(|at| waiting.contains(&now.tables[*at].name)).collect();
    if there.is_empty() {
        return Ok(None); // they are gone; the stream will come to that
    }
    let started = Instant::now();
    let mut view = open_exact(&context.source, &context.facts, now, &there).await?;
    // what changed between the reading and the view is in neither
    let mut conn = connect_source(&context.source).await?;
    let after = catalog::read(&mut conn, context.facts.flavor, &context.config.mapping).await?;
    let _ = conn.disconnect().await;
    if let Some(changed) = there.iter().find(|at| !alike(Some(&now.tables[**at]), after.table(&now.tables[**at].name)))
    {
        let name = &now.tables[*changed].name;
        return Err(Error::new(ErrorKind::SourceUnavailable, format!("{name} changes")));
    }
    let mut catalog = context.catalog.clone();
    for at in &there {
        let table = &now.tables[*at];
        catalog.tables.retain(|known| known.name != table.name);
        catalog.tables.push(table.clone());
    }
    catalog.tables.sort_by(|a, b| a.name.cmp(&b.name));
    let plans = plans_of(&catalog, &context.config)?;
    let renewed = context.behind(catalog, plans, context.inside.clone());
    let numbers: Vec<usize> = (0..renewed.plans.len())
        .filter(|at| there.iter().any(|there| now.tables[*there].name == renewed.plans[*at].source.name))
        .collect();
    let pipeline = renewed.config.pipeline.as_str();
    let target = ChunkWriter::new(renewed.connect_writer().await?, pipeline, renewed.epoch).await?;
    target.begin().await?;
    // they come back with the copy; until then they would hold its parts against each other
    let targets: Vec<TargetName> = numbers.iter().map(|at| renewed.plans[*at].target.clone()).collect();
    objects::drop_foreign_keys(target.client(), &targets).await?;
    for at in &numbers {
        let plan = &renewed.plans[*at];
        if tables::create_tables(target.client(), std::slice::from_ref(plan)).await?.is_empty() {
            alter::empty(target.client(), &plan.target).await?;
            alter::realign(target.client(), plan).await?;
        }
        quarantine::forget(target.client(), pipeline, &plan.source.name).await?;
    }
    let totals = copy_view(&renewed, &target, &mut view, &numbers).await?;
    let mut settled = Vec::new();
    for at in &numbers {
        let plan = &renewed.plans[*at];
        progress::set_state(target.client(), pipeline, &plan.source.name, TableState::Ready).await?;
        progress::set_shape(target.client(), pipeline, &plan.source.name, &plan.shape()).await?;
        settled.push(Arc::clone(plan));
    }
    settled.extend(follow_types(context, &renewed, &numbers, target.client()).await?);
    super::bring_in_line(target.client(), &context.plans, &renewed.plans, &settled).await?;
    checkpoint.schema_version =
        schema_version::renew(target.client(), pipeline, checkpoint.schema_version, &renewed.catalog).await?;
    target.commit().await?;
    view.close().await?;
    renewed.count_sanitized(&totals);
    let names: Vec<String> = settled.iter().map(|plan| plan.source.name.to_string()).collect();
    tracing::info!(tables = names.join(", "), seconds = started.elapsed().as_secs_f32(), "copied anew");
    Ok(Some(renewed))
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
    let transaction = crate::target::fence::begin(&mut client, pipeline, context.epoch).await?;
    leave_out(&transaction, context, &context.plans, waiting, TableState::Pending).await?;
    transaction.commit().await.map_err(|error| crate::target::classify(error, "leaving tables out"))
}
