//! How the target's schema stands to the source's, and bringing it in line: before the first run and beside a running one.
//!
//! A pipeline that has begun is planned from the schema that is stored with its checkpoint, as its rows are; one that has not,
//! from the source. Steps on objects need no fence: they change no rows. Steps that change columns of a table that holds rows
//! are lossy and need to be allowed.

use crate::config::Config;
use crate::convert::objects::NotCarried;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::mapping;
use crate::pipeline::bootstrap::plans_of;
use crate::pipeline::state::{source_config, target_config};
use crate::source::server::ServerFacts;
use crate::source::{catalog, connect as source_connect};
use crate::target::objects::{self, Applied, Found, ObjectKind, Reconciled, Scope, Step};
use crate::target::{
    Checkpoint, Connection, broken_keys, checkpoint, classify, connect, control, cutover, schema_version, tables,
};
use std::sync::Arc;

/// Steps that go into one transaction: each holds locks until its end.
const IN_ONE: usize = 400;

/// How the target stands to the source.
#[derive(Debug)]
pub struct Standing {
    /// The plans of the tables in question.
    pub tables: usize,
    /// What is to be done.
    pub steps: Vec<Step>,
    /// What the target has beyond the plans.
    pub extras: Vec<Found>,
    /// Foreign keys that are not known to hold, with the number of rows without a parent.
    pub unproven: Vec<(Found, u64)>,
    /// Foreign keys that were dropped while following, since the source does not hold to them: table and name.
    pub dropped: Vec<(TargetName, String)>,
    /// What the target does not get at all.
    pub not_carried: Vec<NotCarried>,
}

/// An open target with all plans.
struct Open {
    client: Connection,
    plans: Vec<Arc<TablePlan>>,
    /// Names of the tables in question.
    chosen: Vec<TargetName>,
    begun: bool,
    /// Whether the pipeline was cut over: foreign keys have their own actions then.
    cut_over: bool,
}

/// The plans of a pipeline that has begun, from the schema that is stored with its checkpoint.
///
/// # Errors
/// Those of the target and of the type map.
pub(super) async fn stored_plans(
    client: &Connection,
    config: &Config,
    checkpoint: &Checkpoint,
) -> Result<Vec<Arc<TablePlan>>> {
    let (_, mut stored) = schema_version::load(&**client, &config.pipeline, checkpoint.schema_version).await?;
    stored.tables.retain(|table| config.mapping.includes(&table.name));
    plans_of(&stored, config)
}

async fn open(config: &Config, patterns: &[String]) -> Result<Open> {
    let client = connect(&target_config(config), "sirenia schema").await?;
    let known = match control::version(&*client).await? {
        Some(_) => checkpoint::load(&*client, &config.pipeline).await?,
        None => None,
    };
    let begun = known.is_some();
    let cut_over = begun && cutover::mark(&*client, &config.pipeline).await?.is_some();
    let plans = match known {
        Some(checkpoint) => stored_plans(&client, config, &checkpoint).await?,
        None => {
            let mut conn = source_connect::connect(&source_config(config)).await?;
            let facts = ServerFacts::read(&mut conn).await?;
            let catalog = catalog::read_settled(&mut conn, facts.flavor, &config.mapping).await?;
            let _ = conn.disconnect().await;
            plans_of(&catalog, config)?
        }
    };
    let wanted = |plan: &&Arc<TablePlan>| {
        patterns.is_empty() || patterns.iter().any(|pattern| mapping::matches(pattern, &plan.source.name))
    };
    let chosen: Vec<TargetName> = plans.iter().filter(wanted).map(|plan| plan.target.clone()).collect();
    if chosen.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "no carried table has such a name")
            .with_hint("`sirenia schema status` without --tables looks at all of them"));
    }
    Ok(Open { client, plans, chosen, begun, cut_over })
}

impl Open {
    /// What is to be done, and the foreign keys that do not hold with the number of rows without a parent.
    async fn reconcile(&self) -> Result<(Reconciled, Vec<(Found, u64)>)> {
        let all = self.chosen.len() == self.plans.len();
        let scope = Scope { tables: (!all).then_some(&self.chosen[..]), acting: self.cut_over, ..Scope::default() };
        let mut found = objects::reconcile(&*self.client, &self.plans, scope).await?;
        self.forgive_empty(&mut found.steps).await?;
        let mut unproven = Vec::new();
        for key in std::mem::take(&mut found.unproven) {
            let orphans = match &key.orphans {
                Some(sql) => objects::count_orphans(&*self.client, &key.table, sql).await?,
                None => 0,
            };
            if orphans == 0 {
                found.steps.push(key.validate());
            } else {
                unproven.push((key, orphans));
            }
        }
        Ok((found, unproven))
    }

    /// Nothing is lost by changing columns of a table without rows.
    async fn forgive_empty(&self, steps: &mut [Step]) -> Result<()> {
        let mut seen: Option<(TargetName, bool)> = None;
        for step in steps.iter_mut().filter(|step| step.lossy.is_some()) {
            if seen.as_ref().is_none_or(|(table, _)| *table != step.table) {
                let rows = crate::target::catalog::count_rows(&*self.client, &step.table, 1).await?;
                seen = Some((step.table.clone(), rows == 0));
            }
            if seen.as_ref().is_some_and(|(_, empty)| *empty) {
                step.lossy = None;
            }
        }
        Ok(())
    }
}

/// Compares the target's schema with what is planned; tables that match one of the patterns, all without one.
///
/// # Errors
/// Those of both servers and of the type map.
pub async fn status(config: &Config, patterns: &[String]) -> Result<Standing> {
    let open = open(config, patterns).await?;
    let (found, unproven) = open.reconcile().await?;
    let missing = |table: &TargetName, name: &String| {
        let key = |step: &&Step| step.object == ObjectKind::ForeignKey && step.table == *table && step.name == *name;
        found.steps.iter().any(|step| key(&step))
    };
    let mut dropped = broken_keys::read(&*open.client, &config.pipeline).await?;
    dropped.retain(|(table, name)| missing(table, name));
    let chosen = |plan: &&Arc<TablePlan>| open.chosen.contains(&plan.target);
    Ok(Standing {
        tables: open.chosen.len(),
        steps: found.steps,
        extras: found.extras,
        unproven,
        dropped,
        not_carried: open
            .plans
            .iter()
            .filter(chosen)
            .flat_map(|plan| plan.objects.not_carried.clone())
            .chain(if patterns.is_empty() { programs(config).await } else { Vec::new() })
            .collect(),
    })
}

/// The source's views, triggers, routines and events; none, and a warning, where it cannot be asked.
async fn programs(config: &Config) -> Vec<NotCarried> {
    let found = async {
        let mut conn = source_connect::connect(&source_config(config)).await?;
        let found = catalog::programs(&mut conn, &config.mapping).await;
        let _ = conn.disconnect().await;
        found
    };
    let reason = "what it does is SQL of the source's own";
    match found.await {
        Ok(found) => {
            let of = |(object, name): (&'static str, TableName)| {
                let table = config.mapping.target(&name);
                NotCarried { table, object, name: name.table, reason: reason.into() }
            };
            found.into_iter().map(of).collect()
        }
        Err(error) => {
            tracing::warn!("views, triggers, routines and events of the source are not listed: {error}");
            Vec::new()
        }
    }
}

/// Does what [`status`] says is to be done. With `allow` lossy steps too.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] naming lossy steps that are not allowed, or tables of somebody else; those of the target.
pub async fn apply(config: &Config, patterns: &[String], allow: bool) -> Result<Applied> {
    let mut open = open(config, patterns).await?;
    if !open.begun {
        let chosen: Vec<_> = open.plans.iter().filter(|plan| open.chosen.contains(&plan.target)).cloned().collect();
        tables::check_owners(&*open.client, &config.pipeline, &chosen).await?;
    }
    let (found, _) = open.reconcile().await?;
    let lossy: Vec<String> = found
        .steps
        .iter()
        .filter_map(|step| Some(format!("{} of {}: {}", step.name, step.table, step.lossy.as_ref()?)))
        .collect();
    if !allow && !lossy.is_empty() {
        let count = lossy.len();
        return Err(Error::new(ErrorKind::TargetConflict, format!("{count} steps would lose something"))
            .detail(lossy.join("\n"))
            .with_hint("`sirenia schema plan` shows them; `sirenia schema apply --allow` does them all the same"));
    }
    let mut applied = Applied::default();
    for steps in found.steps.chunks(IN_ONE) {
        let doing = "changing the target's schema";
        let transaction = open.client.transaction().await.map_err(|e| classify(e, doing))?;
        let more = objects::apply(&transaction, steps).await?;
        transaction.commit().await.map_err(|e| classify(e, doing))?;
        applied.done += more.done;
        applied.unproven.extend(more.unproven);
        applied.left_out.extend(more.left_out);
    }
    broken_keys::forget_standing(&*open.client, &config.pipeline).await?;
    Ok(applied)
}
