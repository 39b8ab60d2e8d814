//! Whether source and target hold the same rows, found out while both are in use.
//!
//! | file | owns |
//! | --- | --- |
//! | [`session`] | connections, and the wait until the target has what the source showed |
//! | [`settle`] | when a suspected difference is one |
//! | [`keyed`] | tables with a key: row by row |
//! | [`bag`] | tables without one: as multisets |
//! | [`count`] | the numbers of rows alone |
//! | [`digest`] | equality of rows |
//! | [`report`] | the answer |
//!
//! The source's rows are converted as the snapshot and the stream convert them and compared with the target's bytes.
//! Nothing is written on either side and nothing is locked. A value that had to be changed to fit is expected changed.

pub mod bag;
pub mod count;
pub mod digest;
pub mod keyed;
pub mod report;
pub mod session;
pub mod settle;

use crate::config::Config;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::mapping;
use crate::pipeline::bootstrap::plans_of;
use crate::pipeline::ddl;
use crate::pipeline::state::{identity_of, source_config, target_config};
use crate::source::server::ServerFacts;
use crate::source::snapshot::groups::chunk_key;
use crate::source::{catalog, connect as source_connect};
use crate::target::{Phase, checkpoint, control, lease, progress, schema_version};
use report::{Method, Progress, Report, TableReport, Tally, Verdict};
use session::Session;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Tables that are compared at a time.
const WORKERS: usize = 2;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only the numbers of rows.
    pub counts: bool,
    /// Patterns of carried tables; none: all.
    pub tables: Vec<String>,
    /// Longest wait for the target to get to where the source was.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { counts: false, tables: Vec::new(), patience: Duration::from_secs(60) }
    }
}

/// Compares the pipeline's tables.
///
/// # Errors
/// `TargetConflict` when there is nothing to compare yet, `Usage` for a pattern without a table, those of the
/// connections. A table that cannot be compared is no error: it stands in the report.
pub async fn run(config: Arc<Config>, options: Options, progress: Arc<Progress>) -> Result<Report> {
    let started = Instant::now();
    let Prepared { facts, plans, left_out, running } = prepare(&config, &options).await?;
    let (facts, plans, left_out) = (Arc::new(facts), Arc::new(plans), Arc::new(left_out));
    progress.tables.store(plans.len() as u64, Ordering::Relaxed);
    let estimate = plans.iter().map(|plan| plan.source.estimated_rows).sum();
    progress.rows_estimated.store(estimate, Ordering::Relaxed);
    // the largest first, so that none of them is left to one worker at the end
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(plans[*at].source.estimated_rows));
    let queue = Arc::new((order, AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS.min(plans.len()) {
        let (config, options, facts) = (Arc::clone(&config), options.clone(), Arc::clone(&facts));
        let (plans, queue, progress) = (Arc::clone(&plans), Arc::clone(&queue), Arc::clone(&progress));
        let left_out = Arc::clone(&left_out);
        workers.spawn(async move {
            let mut done = Vec::new();
            let mut session = Session::open(&config, Arc::clone(&facts), options.patience).await?;
            while let Some(at) = queue.0.get(queue.1.fetch_add(1, Ordering::Relaxed)) {
                let report = match left_out.get(&plans[*at].source.name) {
                    Some(why) => report_of(&plans[*at], Method::Count, Tally::default(), Some(why.clone())),
                    None => table(&mut session, &plans[*at], options.counts, &progress).await?,
                };
                if report.error.is_some() {
                    // what was under way on the connections is of no more use
                    session = Session::open(&config, Arc::clone(&facts), options.patience).await?;
                }
                progress.tables_done.fetch_add(1, Ordering::Relaxed);
                done.push((*at, report));
            }
            Ok::<_, Error>(done)
        });
    }
    let mut reports = Vec::new();
    while let Some(done) = workers.join_next().await {
        let died = |error: tokio::task::JoinError| {
            Error::new(ErrorKind::Bug, "comparing ended unexpectedly").detail(error.to_string())
        };
        reports.extend(done.map_err(died)??);
    }
    reports.sort_by_key(|(at, _)| *at);
    let tables = reports.into_iter().map(|(_, report)| report).collect();
    Ok(Report::new(&config.pipeline, running, started.elapsed().as_secs_f64(), tables))
}

/// What a comparison begins with.
struct Prepared {
    /// The source's facts.
    facts: ServerFacts,
    /// The tables to compare.
    plans: Vec<Arc<TablePlan>>,
    /// Those whose changes are left out until they are copied (anew), and why.
    left_out: HashMap<TableName, String>,
    /// Whether an instance is running.
    running: bool,
}

async fn prepare(config: &Config, options: &Options) -> Result<Prepared> {
    let pipeline = &config.pipeline;
    let target = crate::target::connect(&target_config(config), "sirenia verify").await?;
    let checkpoint = match control::version(&*target).await? {
        Some(_) => checkpoint::load(&*target, pipeline).await?,
        None => None,
    };
    let checkpoint = checkpoint.ok_or_else(|| {
        Error::new(
            ErrorKind::TargetConflict,
            format!("there is nothing to compare: pipeline {pipeline} has no checkpoint"),
        )
        .with_hint("`sirenia run` makes the copy; another pipeline's name is given with --pipeline")
    })?;
    if matches!(checkpoint.phase, Phase::Snapshot | Phase::CatchUp) {
        return Err(Error::new(ErrorKind::TargetConflict, "the first copy is not complete yet")
            .detail(format!("pipeline {pipeline} is in phase {}", checkpoint.phase))
            .with_hint("wait until `sirenia status` says streaming, or start `sirenia run`"));
    }
    let (_, mut stored) = schema_version::load(&*target, pipeline, checkpoint.schema_version).await?;
    let running = lease::is_held(&*target, pipeline).await?;
    let mut states = progress::load_tables(&*target, pipeline).await?;
    states.retain(ddl::is_left_out);
    let why = |state: progress::TableProgress| {
        let reason = state.error.map(|error| format!(": {error}")).unwrap_or_default();
        (state.source, format!("{}{reason}", state.state.as_str()))
    };
    let left_out = states.into_iter().map(why).collect();
    drop(target);
    let mut conn = source_connect::connect(&source_config(config)).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    checkpoint.source_identity.check_server(&identity_of(&facts))?;
    let current = catalog::read(&mut conn, facts.flavor, &config.mapping).await?;
    for table in current.tables.iter().filter(|table| stored.table(&table.name).is_none()) {
        tracing::warn!(table = %table.name, "matched by [tables] but not carried, so not compared");
    }
    let _ = conn.disconnect().await;
    stored.tables.retain(|table| config.mapping.includes(&table.name));
    let mut plans = plans_of(&stored, config)?;
    for pattern in &options.tables {
        if !plans.iter().any(|plan| mapping::matches(pattern, &plan.source.name)) {
            return Err(Error::new(ErrorKind::Usage, format!("no table that is carried matches {pattern:?}"))
                .with_hint("names or patterns of the source's tables, as in [tables] include"));
        }
    }
    plans.retain(|plan| {
        options.tables.is_empty() || options.tables.iter().any(|pattern| mapping::matches(pattern, &plan.source.name))
    });
    Ok(Prepared { facts, plans, left_out, running })
}

async fn table(session: &mut Session, plan: &Arc<TablePlan>, counts: bool, progress: &Progress) -> Result<TableReport> {
    let (method, compared) = if counts {
        (Method::Count, count::compare(session, plan, progress).await)
    } else if plan.has_key() && chunk_key(&plan.source).is_some() {
        (Method::Key, keyed::compare(session, plan, progress).await)
    } else {
        (Method::Multiset, bag::compare(session, plan, progress).await)
    };
    let (tally, error) = match compared {
        Ok(tally) => (tally, None),
        Err(error) if concerns_the_table(&error) => {
            tracing::warn!(table = %plan.source.name, hint = error.hint().unwrap_or_default(), "{error}");
            (Tally::default(), Some(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    Ok(report_of(plan, method, tally, error))
}

/// A table's report; with an error it was not compared.
fn report_of(plan: &TablePlan, method: Method, tally: Tally, error: Option<String>) -> TableReport {
    let (source, target) = (plan.source.name.to_string(), plan.target.to_string());
    TableReport { source, target, method, tally, error, verdict: Verdict::Equal }.judged()
}

/// Whether other tables can still be compared.
fn concerns_the_table(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(
        error.kind(),
        K::TargetConflict
            | K::TargetData
            | K::SchemaMismatch
            | K::Value
            | K::Unfit
            | K::Corrupt
            | K::AccessDenied
            | K::Config
    )
}
