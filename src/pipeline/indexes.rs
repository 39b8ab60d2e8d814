//! What the first copy left out, made behind the catch-up: indexes, defaults, identities and checks of all tables, then
//! foreign keys.
//!
//! Each table is made ready in one fenced transaction, several tables at a time and the largest first; interrupted, what is
//! ready stays, and the rest is found anew. Foreign keys come one after the other: each locks two tables, so that two at a
//! time could wait for each other.

use super::ddl;
use super::shutdown::Shutdown;
use super::state::Context;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::target::objects::{self, Applied, ObjectKind, Scope, Step};
use crate::target::progress::{self, TableState};
use crate::target::{classify, fence};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What is to be made for a table.
type Work = (Arc<TablePlan>, Vec<Step>);

/// Makes every table ready that is carried. Ends early when a shutdown is asked for.
///
/// # Errors
/// Those of the target; rows that refuse a unique index.
pub async fn build(context: &Arc<Context>, shutdown: &Shutdown) -> Result<()> {
    let started = Instant::now();
    let mut made = make_ready(context, shutdown).await?;
    let mut client = context.connect_writer().await?;
    // what stands now: on the keys and indexes that were just made
    let found = objects::reconcile(&*client, &context.plans, Scope::default()).await?;
    let keys: Vec<Step> = found.steps.into_iter().filter(|step| step.object == ObjectKind::ForeignKey).collect();
    for steps in keys.chunk_by(|a, b| a.table == b.table) {
        if shutdown.is_raised() {
            return Ok(());
        }
        let transaction = fence::begin(&mut client, &context.config.pipeline, context.epoch).await?;
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

/// All but the foreign keys, as many tables at a time as are read at a time. Returns how much was made.
async fn make_ready(context: &Arc<Context>, shutdown: &Shutdown) -> Result<usize> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    let scope = Scope { without_foreign_keys: true, ..Scope::default() };
    let found = objects::reconcile(&*client, &context.plans, scope).await?;
    drop(client);
    let mut work: Vec<Work> = Vec::new();
    for plan in &context.plans {
        // columns are the copy's: what differs there was accepted when it began
        let own = |step: &&Step| step.table == plan.target && step.object > ObjectKind::Column;
        let steps: Vec<Step> = found.steps.iter().filter(own).cloned().collect();
        let state = states.iter().find(|state| state.source == plan.source.name);
        let ready = state.is_some_and(|state| state.state == TableState::Ready) && steps.is_empty();
        if !ready && !state.is_some_and(ddl::is_left_out) {
            work.push((Arc::clone(plan), steps));
        }
    }
    work.sort_by_key(|(plan, _)| std::cmp::Reverse(plan.source.estimated_bytes));
    let builders = context.config.apply.readers.min(work.len());
    let work = Arc::new(Mutex::new(VecDeque::from(work)));
    let mut building = tokio::task::JoinSet::new();
    for _ in 0..builders {
        building.spawn(builder(Arc::clone(context), Arc::clone(&work), shutdown.clone()));
    }
    let mut made = 0;
    while let Some(done) = building.join_next().await {
        made += done.map_err(|panic| Error::new(ErrorKind::Bug, "building indexes panicked").with_source(panic))??;
    }
    Ok(made)
}

async fn builder(context: Arc<Context>, work: Arc<Mutex<VecDeque<Work>>>, shutdown: Shutdown) -> Result<usize> {
    let mut client = context.connect_writer().await?;
    let pipeline = &context.config.pipeline;
    let mut made = 0;
    while !shutdown.is_raised() {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((plan, steps)) = next else { break };
        let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
        let applied = objects::apply(&transaction, &steps).await?;
        progress::set_state(&transaction, pipeline, &plan.source.name, TableState::Ready).await?;
        transaction.commit().await.map_err(|e| classify(e, "building indexes"))?;
        made += applied.done;
        tell(&applied);
    }
    Ok(made)
}

/// Says what the target could not have.
pub fn tell(applied: &Applied) {
    for (step, error) in &applied.left_out {
        tracing::warn!("{} {} of {} is left out: {error}", step.object.as_str(), step.name, step.table);
    }
    for key in &applied.unproven {
        let (name, table, orphans) = (&key.step.name, &key.step.table, key.orphans);
        tracing::warn!(hint = "sirenia schema status", "foreign key {name} of {table}: {orphans} rows have no parent");
    }
}
