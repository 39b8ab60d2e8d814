//! DDL in the stream: the target follows, and with it the schema that rows are read by.
//!
//! The stream has stopped at a statement, and everything before it is on the target. What the tables are behind it tells
//! the catalogue, where no later statement in the log changes them ([`Ahead`]), else the statement itself
//! ([`crate::ddl::predict`]). Tables, schema and checkpoint change in one fenced transaction, so a restart finds either
//! none of it or all. Rows that cannot be brought in line exactly are copied anew ([`super::recopy`]); what is not understood
//! stops the stream before it.

mod fate;

use super::bootstrap::{new_tables, plans_of};
use super::decode::DdlStop;
use super::state::Context;
use crate::config::{OnDrop, OnUnknown};
use crate::convert::alter::{Alteration, Step, alteration};
use crate::convert::plan::TablePlan;
use crate::ddl::{self, Affects, Effect, Mode, affects};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::key_graph::KeyGraph;
use crate::position::Position;
use crate::schema::{Catalog, TableSchema};
use crate::source::ahead::Ahead;
use crate::source::catalog;
use crate::source::connect::connect as connect_source;
use crate::source::server::{ddl_server, write_position};
use crate::target::progress::{self, TableProgress, TableState};
use crate::target::schema_version::{self, Led};
use crate::target::{
    Checkpoint, GenericClient, Phase, alter, checkpoint as checkpoints, classify, fence, indexes, quarantine, tables,
};
use fate::{Fate, Fates};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Carries the statement over. Leaves the context behind it, and moves the checkpoint.
///
/// # Errors
/// [`ErrorKind::Ddl`] with the statement, its place and what mends it, when it cannot be; those of both servers.
pub async fn carry(
    context: &Context,
    stop: &DdlStop,
    ahead: &mut Ahead,
    checkpoint: &mut Checkpoint,
) -> Result<Context> {
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, pipeline).await?;
    let behind = stop.goes_on_at();
    let (now, server) = current(context, stop, ahead).await?;
    let here = Here { context, states: &states, statement: &stop.statement.position };
    let mut intent = match Intent::of(&here, stop, &server) {
        Ok(intent) => intent,
        Err(why) => return not_understood(&here, stop, why, checkpoint).await,
    };
    let effects = std::mem::take(&mut intent.effects);
    let names: Vec<TableName> = context.plans.iter().map(|plan| plan.source.name.clone()).collect();
    let is_behind = |at: usize| here.state(&names[at]).is_some_and(|state| here.is_copied_behind(state));
    let fates = Fates::of(&names, effects, is_behind, |name| context.config.mapping.includes(name));
    let (catalog, uncertain) = here.schema_behind(&fates, &now, &intent, ahead);
    let plans = plans_of(&catalog, &context.config)?;
    KeyGraph::new(&plans, context.facts.logs_cascades)?;
    let changed = Changed { here: &here, plans: &plans, fates: &fates, uncertain: &uncertain };
    let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
    changed.write(&transaction, checkpoint.phase, behind).await?;
    step_over(&transaction, pipeline, stop, &catalog, checkpoint).await?;
    transaction.commit().await.map_err(|error| classify(error, "carrying DDL over"))?;
    let statement = summary(&stop.statement.sql, &stop.statement.database);
    tracing::info!(statement, position = %stop.statement.position, "carried over");
    Ok(context.behind(catalog, plans, stop.inside()))
}

/// Records the schema behind the statement and moves the checkpoint there.
async fn step_over<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    stop: &DdlStop,
    catalog: &Catalog,
    checkpoint: &mut Checkpoint,
) -> Result<()> {
    let behind = stop.goes_on_at();
    let led = Led { statement: summary(&stop.statement.sql, &stop.statement.database), inside: stop.behind.is_none() };
    checkpoint.schema_version = schema_version::add(client, pipeline, behind, catalog, Some(&led)).await?;
    checkpoints::step_in(client, pipeline, &checkpoint.position, behind).await?;
    checkpoint.position.clone_from(behind);
    Ok(())
}

/// The statement's verb and tables, for people; nothing else of it, since it may hold values.
fn summary(sql: &str, database: &str) -> String {
    let verb: Vec<&str> = sql.split_whitespace().take(2).collect();
    let tables = match affects(sql, database) {
        Affects::Tables(tables) => tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Affects::Database(name) => name,
        Affects::Nothing | Affects::Unknown => String::new(),
    };
    format!("{} {tables}", verb.join(" ")).trim_end().to_owned()
}

/// What the source shows now: its tables, and what of it decides how statements are read.
async fn current(context: &Context, stop: &DdlStop, ahead: &mut Ahead) -> Result<(Catalog, ddl::Server)> {
    let here = &stop.statement.position;
    let behind = stop.goes_on_at();
    let mut conn = connect_source(&context.source).await?;
    let now = catalog::read_settled(&mut conn, context.facts.flavor, &context.config.mapping).await?;
    let mut server = ddl_server(&mut conn, &context.facts).await?;
    let until = write_position(&mut conn, &context.facts).await?.binlog;
    let _ = conn.disconnect().await;
    ahead.read((&context.source, &context.facts, context.server_id), behind, &until).await?;
    // what a database's defaults were before a statement ahead changed them, nobody tells
    server.databases.retain(|name, _| !ahead.changes_defaults(&here.binlog, name, |a, b| context.same_name(a, b)));
    Ok((now, server))
}

/// What a statement does, and the schema behind it as far as it says so itself.
struct Intent {
    effects: Vec<Effect>,
    catalog: Catalog,
    uncertain: BTreeMap<TableName, String>,
}

impl Intent {
    /// Reads the statement; or why it cannot be.
    fn of(here: &Here<'_>, stop: &DdlStop, server: &ddl::Server) -> std::result::Result<Self, String> {
        let statement = &stop.statement;
        let read =
            ddl::parse(&statement.sql, Mode::from_bits(statement.sql_mode)).map_err(|error| error.to_string())?;
        let predict = |kept: &dyn Fn(&TableProgress) -> bool| {
            let mut catalog = here.context.catalog.clone();
            catalog.tables.retain(|table| here.state(&table.name).is_none_or(kept));
            let predicted = ddl::predict(&read, &statement.database, &mut catalog, &mut server.clone())?;
            Ok::<_, ddl::Unpredicted>(Self { effects: predicted.effects, catalog, uncertain: predicted.uncertain })
        };
        // what is left out may have another schema by now than the one that is known
        predict(&|state| !here.is_copied_behind(state))
            .or_else(|_| predict(&|state| !here.passes(state)))
            .map_err(|error| error.to_string())
    }

    /// The table behind the statement, or why it is not known; none of a table that is not there.
    fn table(&self, name: &TableName) -> Option<std::result::Result<&TableSchema, &str>> {
        match self.uncertain.get(name) {
            Some(why) => Some(Err(why)),
            None => self.catalog.table(name).map(Ok),
        }
    }
}

/// A statement that cannot be read: as the settings say.
async fn not_understood(here: &Here<'_>, stop: &DdlStop, why: String, checkpoint: &mut Checkpoint) -> Result<Context> {
    let (context, statement) = (here.context, &stop.statement);
    let summary = summary(&statement.sql, &statement.database);
    let refused = |hint: String| {
        Error::new(
            ErrorKind::Ddl,
            format!("{summary} in the binlog before {} cannot be carried over", statement.position),
        )
        .detail(format!("{why}; everything committed before it is on the target"))
        .with_hint(hint)
    };
    let Affects::Tables(tables) = affects(&statement.sql, &statement.database) else {
        return Err(refused(
            "exclude what it concerns in [tables], or copy anew: `sirenia reset --yes` and `sirenia run`".into(),
        ));
    };
    let mut known: Vec<&TableProgress> = Vec::new();
    for table in &tables {
        known.extend(here.states.iter().find(|state| context.same_table(&state.source, table)));
    }
    let followed: Vec<String> =
        known.iter().filter(|state| !here.passes(state)).map(|state| state.source.to_string()).collect();
    if context.config.ddl.unknown == OnUnknown::Stop && !followed.is_empty() {
        return Err(refused(format!(
            "`sirenia tables resync {}` and `sirenia run` copy it anew behind the statement; \
             [ddl] unknown = \"pause\" lets the others go on at once",
            followed.join(" ")
        )));
    }
    let pipeline = context.config.pipeline.as_str();
    let mut client = context.connect_writer().await?;
    let transaction = fence::begin(&mut client, pipeline, context.epoch).await?;
    let paused = known.iter().filter(|state| !here.passes(state));
    let paused = paused.map(|state| (state.source.clone(), format!("{summary}: {why}"))).collect();
    super::recopy::leave_out(&transaction, context, &context.plans, paused, TableState::Paused).await?;
    step_over(&transaction, pipeline, stop, &context.catalog, checkpoint).await?;
    transaction.commit().await.map_err(|error| classify(error, "pausing tables"))?;
    Ok(context.behind(context.catalog.clone(), context.plans.clone(), stop.inside()))
}

/// Whether the table's changes are left out until it is copied (anew).
#[must_use]
pub fn is_left_out(state: &TableProgress) -> bool {
    matches!(state.state, TableState::Pending | TableState::Paused)
}

/// Where a statement meets the pipeline.
struct Here<'a> {
    context: &'a Context,
    states: &'a [TableProgress],
    statement: &'a Position,
}

impl Here<'_> {
    fn state(&self, table: &TableName) -> Option<&TableProgress> {
        self.states.iter().find(|state| state.source == *table)
    }

    /// The table's state before the statement.
    fn origin(&self, fate: &Fate) -> Option<&TableProgress> {
        self.state(&self.context.plans[fate.origin?].source.name)
    }

    /// Whether the table was copied behind the statement, and so is what came of it.
    fn is_copied_behind(&self, state: &TableProgress) -> bool {
        state.exact_position.as_ref().is_some_and(|at| self.statement.binlog < at.binlog)
    }

    /// Whether the statement is none of the table's business.
    fn passes(&self, state: &TableProgress) -> bool {
        is_left_out(state) || self.is_copied_behind(state)
    }

    fn passes_by(&self, fate: &Fate) -> bool {
        self.origin(fate).is_some_and(|state| self.passes(state))
    }

    /// The tables behind the statement, in name order, and those whose schema is not certain, with the reason.
    fn schema_behind(
        &self,
        fates: &Fates,
        now: &Catalog,
        intent: &Intent,
        ahead: &Ahead,
    ) -> (Catalog, BTreeMap<TableName, String>) {
        let (mut tables, mut uncertain) = (Vec::new(), BTreeMap::new());
        for fate in &fates.tables {
            let known = fate.origin.map(|origin| &*self.context.plans[origin].source);
            if self.passes_by(fate) {
                tables.extend(known.map(|known| TableSchema { name: fate.name.clone(), ..known.clone() }));
                continue;
            }
            let touched = fate.made || fate.columns.is_some() || fate.unknown.is_some();
            let later = ahead.changes(&self.statement.binlog, &fate.name, |a, b| self.context.same_name(a, b));
            let told = match now.table(&fate.name).filter(|_| !later) {
                Some(table) => Some(Ok(table)),
                None => intent.table(&fate.name),
            };
            match (told, known) {
                (Some(Ok(table)), _) => tables.push(TableSchema { name: fate.name.clone(), ..table.clone() }),
                (told, Some(known)) if touched => {
                    let why = told.and_then(std::result::Result::err).unwrap_or("its columns are not known");
                    uncertain.insert(fate.name.clone(), why.to_owned());
                    tables.push(TableSchema { name: fate.name.clone(), ..known.clone() });
                }
                (_, Some(known)) => tables.push(TableSchema { name: fate.name.clone(), ..known.clone() }),
                // a table that came: with the schema of now if there is one, to be copied; else it goes again ahead
                (told, None) => {
                    if let Some(table) = now.table(&fate.name) {
                        let why = told.and_then(std::result::Result::err).unwrap_or("it changes again");
                        uncertain.insert(fate.name.clone(), why.to_owned());
                        tables.push(table.clone());
                    }
                }
            }
        }
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        (Catalog { tables }, uncertain)
    }
}

/// Everything that is written.
struct Changed<'a> {
    here: &'a Here<'a>,
    plans: &'a [Arc<TablePlan>],
    fates: &'a Fates,
    uncertain: &'a BTreeMap<TableName, String>,
}

impl Changed<'_> {
    fn plan(&self, fate: &Fate) -> Option<&Arc<TablePlan>> {
        self.plans.iter().find(|plan| plan.source.name == fate.name)
    }

    async fn write<C: GenericClient + Sync>(&self, client: &C, phase: Phase, behind: &Position) -> Result<()> {
        let context = self.here.context;
        let pipeline = context.config.pipeline.as_str();
        for gone in &self.fates.gone {
            let plan = &context.plans[*gone];
            alter::drop_table(client, &plan.target, context.config.ddl.drop_table).await?;
            progress::unregister(client, pipeline, &plan.source.name).await?;
            tracing::info!(table = %plan.source.name, "is no longer carried");
        }
        self.rename(client).await?;
        let mut left_out: Vec<(TableName, String)> = Vec::new();
        let mut settled: Vec<Arc<TablePlan>> = Vec::new();
        for fate in &self.fates.tables {
            let Some(plan) = self.plan(fate) else { continue };
            if self.here.passes_by(fate) {
                continue;
            }
            if fate.emptied {
                alter::empty(client, &plan.target).await?;
                quarantine::forget(client, pipeline, &fate.name).await?;
            }
            let mut copy = self.uncertain.get(&fate.name).or(fate.unknown.as_ref()).cloned();
            match fate.origin {
                None => self.make(client, plan, phase, behind).await?,
                Some(origin) if copy.is_none() => {
                    copy = self.change(client, fate, &context.plans[origin], plan, phase).await?;
                }
                Some(_) => {}
            }
            match copy {
                Some(why) => left_out.push((fate.name.clone(), why)),
                None => settled.push(Arc::clone(plan)),
            }
            progress::set_shape(client, pipeline, &fate.name, &plan.shape()).await?;
        }
        // a foreign key that came now may lead on from a table that is left out already
        for state in [TableState::Paused, TableState::Pending] {
            let still = self.fates.tables.iter().filter_map(|fate| Some((fate, self.here.origin(fate)?)));
            let still = still.filter(|(_, known)| known.state == state && !context.facts.logs_cascades);
            let mut all: Vec<(TableName, String)> =
                still.map(|(fate, known)| (fate.name.clone(), known.error.clone().unwrap_or_default())).collect();
            if state == TableState::Pending {
                all.append(&mut left_out);
            }
            super::recopy::leave_out(client, context, self.plans, all, state).await?;
        }
        if phase == Phase::Follow {
            super::bring_in_line(client, &self.before(), self.plans, &settled).await?;
        }
        Ok(())
    }

    /// The plans of before, of the tables as they are called by now: what stands on the target was made by them.
    fn before(&self) -> Vec<Arc<TablePlan>> {
        let here = |fate: &Fate| {
            let (old, new) = (&self.here.context.plans[fate.origin?], self.plan(fate)?);
            Some(Arc::new(TablePlan { target: new.target.clone(), ..(**old).clone() }))
        };
        self.fates.tables.iter().filter_map(here).collect()
    }

    /// Gives tables their new names, here and in the control tables; by way of names in between, since they may have
    /// swapped them.
    async fn rename<C: GenericClient + Sync>(&self, client: &C) -> Result<()> {
        let context = self.here.context;
        let pipeline = context.config.pipeline.as_str();
        let mut moved: Vec<(&Arc<TablePlan>, &Arc<TablePlan>)> = Vec::new();
        for fate in &self.fates.tables {
            let (Some(origin), Some(plan)) = (fate.origin, self.plan(fate)) else { continue };
            let old = &context.plans[origin];
            if old.source.name != plan.source.name {
                moved.push((old, plan));
            }
        }
        let between = |at: usize| {
            let name = format!("sirenia renames {at}");
            (TableName::new(&name, &name), TargetName::new(&name, &name))
        };
        for (at, (old, _)) in moved.iter().enumerate() {
            let (name, target) = between(at);
            progress::rename(client, pipeline, (&old.source.name, &name), &target).await?;
        }
        for (at, (_, new)) in moved.iter().enumerate() {
            progress::rename(client, pipeline, (&between(at).0, &new.source.name), &new.target).await?;
        }
        let targets: Vec<(TargetName, TargetName)> = moved
            .iter()
            .filter(|(old, new)| old.target != new.target)
            .map(|(old, new)| (old.target.clone(), new.target.clone()))
            .collect();
        if targets.is_empty() { Ok(()) } else { alter::rename_tables(client, &targets).await }
    }

    /// Makes the table that came.
    async fn make<C: GenericClient + Sync>(
        &self,
        client: &C,
        plan: &Arc<TablePlan>,
        phase: Phase,
        behind: &Position,
    ) -> Result<()> {
        let pipeline = self.here.context.config.pipeline.as_str();
        let one = std::slice::from_ref(plan);
        tables::check_tables(client, pipeline, one).await?;
        let made = tables::create_tables(client, one).await?;
        progress::register(client, pipeline, &new_tables(one, &made, |_| None)).await?;
        indexes::create_primary_key(client, plan).await?;
        progress::set_exact(client, pipeline, &plan.source.name, behind).await?;
        let state = if phase == Phase::Follow { TableState::Ready } else { TableState::Copied };
        progress::set_state(client, pipeline, &plan.source.name, state).await?;
        tracing::info!(table = %plan.source.name, "is carried from here on");
        Ok(())
    }

    /// Changes the table's columns. Returns why its rows have to be copied, if they have to.
    async fn change<C: GenericClient + Sync>(
        &self,
        client: &C,
        fate: &Fate,
        old: &TablePlan,
        new: &Arc<TablePlan>,
        phase: Phase,
    ) -> Result<Option<String>> {
        let in_chunks = self.here.origin(fate).is_some_and(|state| state.exact_position.is_none());
        if phase != Phase::Follow && in_chunks && old.source.name != new.source.name {
            return Ok(Some("it was renamed while it was copied".into()));
        }
        let as_they_were: Vec<Option<usize>> = (0..new.source.columns.len()).map(Some).collect();
        let origins = fate.columns.as_ref().unwrap_or(&as_they_were);
        if origins.len() != new.source.columns.len() {
            return Ok(Some("the statement and the source's catalogue tell of different columns".into()));
        }
        let (steps, unless) = match alteration(old, new, origins)? {
            Alteration::Steps { steps, unless } => (steps, unless),
            Alteration::Copy(why) if alter::is_empty(client, &new.target).await? => {
                tracing::debug!(table = %fate.name, "made anew, being empty: {why}");
                alter::realign(client, new).await?;
                return Ok(None);
            }
            Alteration::Copy(why) => return Ok(Some(why)),
        };
        let pipeline = self.here.context.config.pipeline.as_str();
        if steps.is_empty() && unless.is_empty() {
            return Ok(None);
        }
        // rows of a copy that is still being caught up with were read before and behind the statement
        if phase != Phase::Follow && in_chunks {
            return Ok(Some("it was changed while it was copied".into()));
        }
        if quarantine::count(client, pipeline, &fate.name).await? > 0 {
            return Ok(Some("rows of it are in quarantine, with the columns of before".into()));
        }
        if let Some(why) = alter::in_the_way(client, &new.target, &unless).await? {
            return Ok(Some(why));
        }
        if steps.iter().any(|step| matches!(step, Step::Drop(_)))
            && self.here.context.config.ddl.drop_column != OnDrop::Apply
        {
            tracing::warn!(table = %fate.name, "columns that the source dropped stay here, as [ddl] drop_column says");
        }
        alter::alter(client, new, &steps, self.here.context.config.ddl.drop_column).await?;
        Ok(None)
    }
}
