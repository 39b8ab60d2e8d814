//! Moves the application from the source to the target: seen to be possible first, then done, then not followed any more.
//!
//! What is looked at changes nothing, and an instance goes on following meanwhile: the source read-only, everything that was
//! committed on it here, no table and no row left out, foreign keys that hold, both sides equal. Only when all of that is so
//! does the cutover take the lease, whose holder becomes a standby; it sees once more that nothing has moved, marks the
//! pipeline, and makes the target what the application needs. Each step can be done again, so a cutover that was ended in the
//! middle goes on where it was; [`undo`] takes it back.

mod change;

use crate::config::Config;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::schema::stored_plans;
use crate::pipeline::state::{identity_of, source_config, target_config};
use crate::position::BinlogOffset;
use crate::source::server::{ServerFacts, write_position};
use crate::source::snapshot::position::refuse_prepared;
use crate::source::{Conn, connect as source_connect, standstill};
use crate::target::cutover::{self, Mark};
use crate::target::lease::{self, LeaseKeeper, application_name};
use crate::target::objects::{self, ObjectKind, Reconciled, Scope, Step};
use crate::target::progress::{self, TableState};
use crate::target::{Checkpoint, Connection, Phase, checkpoint, classify, connect, control, fence, quarantine};
use crate::verify::report::{Progress, Report, TableReport, Verdict};
use crate::verify::{self, Options};
use change::{apply, run_all};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(100);

/// How long an instance may be without its lease before it counts as gone, as when it starts over after an error.
const GRACE: Duration = Duration::from_secs(5);

/// Something that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it is.
    pub what: String,
    /// What mends it.
    pub hint: String,
    /// Keys of a few rows that it is about: for whoever asked, not for logs.
    pub keys: Vec<String>,
}

/// What was found, and done.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Whether the application may write to the target, or with a dry run: could be moved.
    pub go: bool,
    /// Whether it was cut over before, so that nothing was looked at.
    pub already: bool,
    /// Up to where the source was to be applied.
    pub position: Option<String>,
    /// What stands in the way.
    pub reasons: Vec<Reason>,
    /// What does not, but should be known.
    pub notes: Vec<String>,
    /// Foreign keys that get their own actions.
    pub foreign_keys: usize,
    /// Other objects that were missing or otherwise.
    pub objects: usize,
    /// Identities that go on where the source stands: `table.column`, and the number that comes next.
    pub sequences: Vec<(String, Option<i64>)>,
    /// Tables with a trigger for ON UPDATE CURRENT_TIMESTAMP or generated columns.
    pub triggers: Vec<String>,
    /// How both sides compare; none when that was not asked.
    pub verify: Option<Report>,
}

impl Outcome {
    fn no_go(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.reasons.push(Reason { what: what.into(), hint: hint.into(), keys: Vec::new() });
    }

    /// An error that stands in the way, as a reason.
    fn refused(&mut self, error: &Error) {
        self.no_go(error.to_string(), error.hint().unwrap_or("`sirenia check` says more"));
    }
}

/// Both servers, and what is known of the pipeline.
struct Cutover {
    config: Arc<Config>,
    source: Conn,
    facts: ServerFacts,
    target: Connection,
    plans: Vec<Arc<TablePlan>>,
    mark: Option<Mark>,
}

/// Cuts over, or with `dry_run` looks whether that is possible. `wait`: for the target to get to where the source is.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when the pipeline has not begun; those of both servers. What stands in the way is no error.
pub async fn run(config: Arc<Config>, dry_run: bool, wait: Duration, shown: Arc<Progress>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let (target, checkpoint) = open(&config).await?;
    let mark = cutover::mark(&*target, &config.pipeline).await?;
    if mark == Some(Mark::Done) {
        return Ok(Outcome { go: true, already: true, ..outcome });
    }
    let mut source = source_connect::connect(&source_config(&config)).await?;
    let facts = ServerFacts::read(&mut source).await?;
    checkpoint.source_identity.check_server(&identity_of(&facts))?;
    let plans = stored_plans(&target, &config, &checkpoint).await?;
    let mut cutover = Cutover { config, source, facts, target, plans, mark };
    let Some((goal, found)) = cutover.look(wait, &mut outcome).await? else { return Ok(outcome) };
    cutover.told(&found, &mut outcome);
    if !dry_run
        && outcome.reasons.is_empty()
        && let Err(error) = cutover.take_statistics().await
    {
        outcome.notes.push(format!("the planner's statistics were not taken: {error}"));
    }
    if dry_run || outcome.reasons.is_empty() {
        let report = verify::run(Arc::clone(&cutover.config), Options::default(), shown).await?;
        judge(&report, &mut outcome);
        outcome.verify = Some(report);
    }
    if !dry_run && outcome.reasons.is_empty() {
        cutover.change(&goal, &mut outcome).await?;
    }
    outcome.go = outcome.reasons.is_empty();
    let _ = cutover.source.disconnect().await;
    Ok(outcome)
}

/// Has the pipeline follow again: takes the triggers away, gives foreign keys the form of following, and the mark goes.
///
/// # Errors
/// [`ErrorKind::Usage`] when there is nothing to take back; those of the target.
pub async fn undo(config: &Config) -> Result<()> {
    let (target, checkpoint) = open(config).await?;
    if cutover::mark(&*target, &config.pipeline).await?.is_none() {
        return Err(Error::new(ErrorKind::Usage, format!("pipeline {} was not cut over", config.pipeline))
            .with_hint("`sirenia cutover` does it"));
    }
    let plans = stored_plans(&target, config, &checkpoint).await?;
    let found = objects::reconcile(&*target, &plans, Scope::default()).await?;
    let keys: Vec<Step> = found.steps.into_iter().filter(|step| step.object == ObjectKind::ForeignKey).collect();
    let triggers: Vec<String> = plans.iter().map(|plan| cutover::drop_trigger_sql(&plan.target)).collect();
    let (keeper, mut client) = seize(config).await?;
    let epoch = keeper.epoch;
    let lost = keeper.lost();
    let undone = tokio::select! {
        error = lost => Err(error),
        undone = async {
            run_all(&mut client, config, epoch, &triggers).await?;
            apply(&mut client, config, epoch, &keys, &mut Outcome::default()).await?;
            cutover::set_mark(&mut client, &config.pipeline, epoch, None).await
        } => undone,
    };
    keeper.release().await?;
    undone
}

async fn open(config: &Config) -> Result<(Connection, Checkpoint)> {
    let target = connect(&target_config(config), "sirenia cutover").await?;
    let known = match control::version(&*target).await? {
        Some(_) => checkpoint::load(&*target, &config.pipeline).await?,
        None => None,
    };
    let checkpoint = known.ok_or_else(|| {
        Error::new(ErrorKind::TargetConflict, format!("pipeline {} has not begun on this target", config.pipeline))
            .with_hint("`sirenia run` begins it; --pipeline names another")
    })?;
    Ok((target, checkpoint))
}

/// The lease, and a session under it.
async fn seize(config: &Config) -> Result<(LeaseKeeper, Connection)> {
    let target = target_config(config);
    let mut client = connect(&target, "sirenia cutover").await?;
    control::install(&mut client).await?;
    drop(client);
    let keeper = lease::seize(&target, &config.pipeline, &config.lease.holder, config.lease.ttl).await?.keep();
    let client = connect(&target, &application_name(&config.pipeline, keeper.epoch)).await?;
    Ok((keeper, client))
}

impl Cutover {
    /// The planner's statistics: the application's first statements are not to be planned without, and the server takes them by
    /// itself only some time after a copy.
    async fn take_statistics(&self) -> Result<()> {
        for plans in self.plans.chunks(100) {
            let tables: Vec<String> = plans.iter().map(|plan| plan.target.sql()).collect();
            let sql = format!("ANALYZE {}", tables.join(", "));
            self.target.batch_execute(&sql).await.map_err(|e| classify(e, "taking the planner's statistics"))?;
        }
        Ok(())
    }

    /// What can be seen without changing anything. None when there is no use in looking further.
    async fn look(&mut self, wait: Duration, outcome: &mut Outcome) -> Result<Option<(BinlogOffset, Reconciled)>> {
        let pipeline = self.config.pipeline.clone();
        if let Some(error) = standstill::writable(&mut self.source, &self.facts).await? {
            outcome.refused(&error);
        }
        match refuse_prepared(&mut self.source).await {
            Err(error) if matches!(error.kind(), ErrorKind::PreparedXa | ErrorKind::AccessDenied) => {
                outcome.refused(&error)
            }
            other => other?,
        }
        let goal = write_position(&mut self.source, &self.facts).await?.binlog;
        outcome.position = Some(goal.to_string());
        let checkpoint = self.drain(&goal, wait, outcome).await?;
        if checkpoint.phase != Phase::Follow {
            let what = format!("the first copy is not complete: the pipeline is in phase {}", checkpoint.phase);
            outcome.no_go(what, "wait until `sirenia status` says streaming, or start `sirenia run`");
            return Ok(None);
        }
        for table in progress::load_tables(&*self.target, &pipeline).await? {
            let Some(plan) = self.plans.iter().find(|plan| plan.source.name == table.source) else { continue };
            let name = &table.source.table;
            if table.state != TableState::Ready {
                let why = table.error.map(|why| format!(": {why}")).unwrap_or_default();
                let what = format!("table {} is {}{why}", table.source, table.state.as_str());
                let verb = if table.state == TableState::Paused { "resume" } else { "resync" };
                outcome.no_go(what, format!("`sirenia tables {verb} {name}`, with `sirenia run` running"));
            } else if table.shape != plan.shape() {
                let what = format!("the settings of table {} have changed since it was copied", table.source);
                outcome.no_go(what, "set [tables] and [types] back");
            }
        }
        for (table, wish) in progress::requested(&*self.target, &pipeline).await? {
            let hint = "wait until `sirenia tables list` says ready, with `sirenia run` running";
            outcome.no_go(format!("somebody has asked for a {wish} of table {table}"), hint);
        }
        self.look_at_quarantine(outcome).await?;
        let following = objects::reconcile(&*self.target, &self.plans, Scope::default()).await?;
        self.look_at_orphans(following, outcome).await?;
        let scope = Scope { acting: true, ..Scope::default() };
        Ok(Some((goal, objects::reconcile(&*self.target, &self.plans, scope).await?)))
    }

    /// Waits until the target has what the source had logged; the checkpoint as it is then.
    async fn drain(&mut self, goal: &BinlogOffset, wait: Duration, outcome: &mut Outcome) -> Result<Checkpoint> {
        let pipeline = &self.config.pipeline;
        let started = Instant::now();
        let mut seen = Instant::now();
        loop {
            let running = lease::is_held(&*self.target, pipeline).await?;
            if running {
                seen = Instant::now();
            }
            let known = checkpoint::load(&*self.target, pipeline).await?;
            let gone = || Error::new(ErrorKind::TargetConflict, "the pipeline's checkpoint has vanished meanwhile");
            let checkpoint = known.ok_or_else(gone)?;
            if checkpoint.position.binlog >= *goal {
                return Ok(checkpoint);
            }
            if seen.elapsed() >= GRACE || started.elapsed() >= wait {
                let hint = match (self.mark, running) {
                    (Some(_), _) => "`sirenia cutover --undo`, then `sirenia run` brings it there",
                    (None, false) => "`sirenia run` brings it there; no instance is running",
                    (None, true) => "`sirenia status` says how far behind it is; --wait gives it more time",
                };
                outcome.no_go(format!("the target is at {}, the source at {goal}", checkpoint.position.binlog), hint);
                return Ok(checkpoint);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look_at_quarantine(&self, outcome: &mut Outcome) -> Result<()> {
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        for row in quarantine::list(&*self.target, &self.config.pipeline).await? {
            *rows.entry(row.table.to_string()).or_default() += 1;
        }
        for (table, count) in rows {
            let hint = "`sirenia quarantine list` says why; `sirenia quarantine retry` once that is mended";
            outcome.no_go(format!("{count} rows of table {table} are in quarantine"), hint);
        }
        Ok(())
    }

    /// Foreign keys that are not known to hold: counts their rows without a parent.
    async fn look_at_orphans(&self, following: Reconciled, outcome: &mut Outcome) -> Result<()> {
        let missing = following.steps.into_iter().map(|step| (step.table, step.name, step.orphans));
        let unproven = following.unproven.into_iter().map(|key| (key.table, key.name, key.orphans));
        for (table, name, query) in missing.chain(unproven) {
            let plan = self.plans.iter().find(|plan| plan.target == table);
            let Some((plan, query)) = plan.zip(query) else { continue };
            let orphans = objects::count_orphans(&*self.target, &table, &query).await?;
            if orphans > 0 {
                outcome.reasons.push(Reason {
                    what: format!("foreign key {name} of {table}: {orphans} rows have no parent"),
                    hint: self.orphans_on_source(plan, &name),
                    keys: cutover::orphan_keys(&*self.target, plan, &query).await?,
                });
            }
        }
        Ok(())
    }

    fn orphans_on_source(&self, plan: &TablePlan, name: &str) -> String {
        let key = plan.objects.foreign_keys.iter().find(|key| key.name == name);
        let parent = key.and_then(|key| self.plans.iter().find(|plan| plan.target == key.parent));
        let Some((key, parent)) = key.zip(parent) else { return "`sirenia schema status` shows it".into() };
        let mysql = crate::ident::mysql;
        let columns: Vec<(String, String)> = key
            .columns
            .iter()
            .zip(&key.parent_columns)
            .map(|(child, name)| {
                let there = parent.columns.iter().find(|column| column.name == *name);
                let there = there.map_or(name.as_str(), |column| parent.source_name(column));
                (mysql(plan.source_name(&plan.columns[*child])), mysql(there))
            })
            .collect();
        let given: Vec<String> = columns.iter().map(|(child, _)| format!("c.{child} IS NOT NULL")).collect();
        let joined: Vec<String> = columns.iter().map(|(child, there)| format!("p.{there} = c.{child}")).collect();
        format!(
            "delete these rows on the source, or give them their parent: DELETE c FROM {} c WHERE {} AND NOT EXISTS \
             (SELECT 1 FROM {} p WHERE {})",
            plan.source.name.mysql(),
            given.join(" AND "),
            parent.source.name.mysql(),
            joined.join(" AND ")
        )
    }

    /// What would be done, and what the target does not get.
    fn told(&self, found: &Reconciled, outcome: &mut Outcome) {
        for step in &found.steps {
            match step.object {
                ObjectKind::ForeignKey => outcome.foreign_keys += 1,
                object if object > ObjectKind::Column => outcome.objects += 1,
                object => outcome.notes.push(format!(
                    "{} {} of {} differs and stays so: {}; `sirenia schema plan` shows it",
                    object.as_str(),
                    step.name,
                    step.table,
                    step.why
                )),
            }
        }
        for plan in &self.plans {
            let (target, objects) = (&plan.target, &plan.objects);
            if let Some(at) = objects.identity {
                outcome.sequences.push((format!("{target}.{}", plan.columns[at].name), None));
            }
            if cutover::trigger_sql(plan).is_some() {
                outcome.triggers.push(target.to_string());
            }
            if !objects.options.on_update_trigger {
                outcome.notes.extend(objects.on_update_now.iter().map(|(at, _)| {
                    let column = &plan.columns[*at].name;
                    format!("{target}.{column}: ON UPDATE CURRENT_TIMESTAMP is left to the application, by [schema] on_update_trigger")
                }));
            }
            let left_out = objects.not_carried.iter();
            outcome.notes.extend(left_out.map(|thing| {
                format!("{} {} of {} is not carried: {}", thing.object, thing.name, thing.table, thing.reason)
            }));
        }
    }

    /// Takes the lease, sees that nothing has moved, and changes the target.
    async fn change(&mut self, goal: &BinlogOffset, outcome: &mut Outcome) -> Result<()> {
        let (keeper, mut client) = seize(&self.config).await?;
        let lost = keeper.lost();
        let changed = tokio::select! {
            error = lost => Err(error),
            changed = self.change_all(&mut client, keeper.epoch, goal, outcome) => changed,
        };
        keeper.release().await?;
        changed
    }

    async fn change_all(
        &mut self,
        client: &mut Connection,
        epoch: i64,
        goal: &BinlogOffset,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let config = Arc::clone(&self.config);
        if !self.stands_still(goal, outcome).await? {
            return Ok(());
        }
        cutover::set_mark(client, &config.pipeline, epoch, Some(Mark::Begun)).await?;
        let scope = Scope { acting: true, ..Scope::default() };
        let mut found = objects::reconcile(&**client, &self.plans, scope).await?;
        found.steps.retain(|step| step.object > ObjectKind::Column && step.lossy.is_none());
        found.steps.extend(found.unproven.iter().map(objects::Found::validate));
        apply(client, &config, epoch, &found.steps, outcome).await?;
        let numbers = standstill::next_numbers(&mut self.source, &self.facts).await?;
        let transaction = fence::begin(client, &config.pipeline, epoch).await?;
        outcome.sequences.clear();
        for plan in &self.plans {
            let Some(at) = plan.objects.identity else { continue };
            let (column, next) = (&plan.columns[at].name, numbers.get(&plan.source.name).copied());
            let next = cutover::set_sequence(&transaction, &plan.target, column, next).await?;
            outcome.sequences.push((format!("{}.{column}", plan.target), next));
        }
        transaction.commit().await.map_err(|e| classify(e, "setting the sequences"))?;
        let triggers: Vec<String> = self.plans.iter().filter_map(|plan| cutover::trigger_sql(plan)).collect();
        run_all(client, &config, epoch, &triggers).await?;
        if self.stands_still(goal, outcome).await? && outcome.reasons.is_empty() {
            cutover::set_mark(client, &config.pipeline, epoch, Some(Mark::Done)).await?;
        }
        Ok(())
    }

    /// Whether source and checkpoint are where they were when both sides were compared.
    async fn stands_still(&mut self, goal: &BinlogOffset, outcome: &mut Outcome) -> Result<bool> {
        let written = write_position(&mut self.source, &self.facts).await?.binlog;
        let checkpoint = checkpoint::load(&*self.target, &self.config.pipeline).await?;
        let applied = checkpoint.is_some_and(|checkpoint| checkpoint.position.binlog >= *goal);
        self.look_at_quarantine(outcome).await?;
        if let Some(error) = standstill::writable(&mut self.source, &self.facts).await? {
            outcome.refused(&error);
        } else if written != *goal || !applied {
            let what = format!("the source was written to meanwhile: it was at {goal} and is at {written}");
            outcome.no_go(what, "stop what still writes there, then cut over again; accounts with SUPER (MySQL), or READ_ONLY ADMIN (MariaDB), write in spite of read_only");
        }
        Ok(outcome.reasons.is_empty())
    }
}

fn judge(report: &Report, outcome: &mut Outcome) {
    let differs = |table: &&TableReport| table.verdict != Verdict::Equal;
    for table in report.tables.iter().filter(differs) {
        let tally = table.tally;
        let numbers = format!(
            "{} rows differ, {} are missing, {} are too many, {} in quarantine, {} not settled",
            tally.differing, tally.missing, tally.extra, tally.quarantined, tally.unsettled
        );
        let why = table.error.clone().unwrap_or(numbers);
        let name = table.source.split_once('.').map_or(table.source.as_str(), |(_, name)| name);
        let hint = format!(
            "`sirenia verify --tables {name}` compares it again; `sirenia tables resync {name}` copies it anew"
        );
        outcome.no_go(format!("table {} is not equal: {why}", table.source), hint);
    }
}
