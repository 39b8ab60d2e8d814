//! From an address to a [`Context`] and a checkpoint: checks, the first position, the target's tables.
//!
//! A pipeline that has a checkpoint goes on with the schema that was stored with it; one that has none takes its first
//! position here and creates tables and control rows, before a row is read.

use super::state::{Context, identity_of, source_config, target_config};
use super::throttle::Throttle;
use crate::binlog::Decoder;
use crate::config::{BigintUnsigned, Bit1Type, Config, EnumType, JsonType, SetType, TimeType, TinyInt1};
use crate::convert::objects::ObjectOptions;
use crate::convert::plan::TablePlan;
use crate::convert::typemap::{self, TypeOptions};
use crate::convert::zone::Zone;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::identity::SourceIdentity;
use crate::key_graph::KeyGraph;
use crate::position::{BinlogOffset, Position};
use crate::schema::{Catalog, TableSchema};
use crate::source::ahead::Ahead;
use crate::source::preflight::{self, Preflight};
use crate::source::row_image::RowImage;
use crate::source::server::{ServerFacts, binlog_files, write_position};
use crate::source::snapshot::groups::{CopyGroup, copy_groups};
use crate::source::snapshot::position::settled_start;
use crate::source::transport::{BinlogTransport, FIRST_EVENT, replica_server_id};
use crate::source::{Conn, catalog, connect as source_connect};
use crate::status::Shared;
use crate::target::checkpoint::{self, Bootstrap};
use crate::target::progress::{self, NewTable, TableState};
use crate::target::{Checkpoint, Connection, Phase, cutover, fence, objects, schema_version, tables};
use std::collections::HashSet;
use std::sync::Arc;

/// The type map's choices, by the settings.
///
/// # Errors
/// [`ErrorKind::Config`] for a time zone that is not known.
pub fn type_options(config: &Config) -> Result<TypeOptions> {
    let types = &config.types;
    Ok(TypeOptions {
        tinyint1_boolean: config.types.tinyint1 == TinyInt1::Boolean,
        bigint_unsigned: match config.types.bigint_unsigned {
            BigintUnsigned::BigInt => typemap::BigintUnsigned::BigInt,
            BigintUnsigned::Numeric => typemap::BigintUnsigned::Numeric,
        },
        native_enum: types.r#enum == EnumType::Native,
        set_text: types.set == SetType::Text,
        time_of_day: types.time == TimeType::Time,
        json: match types.json {
            JsonType::Jsonb => typemap::Json::Jsonb,
            JsonType::Json => typemap::Json::Json,
            JsonType::Text => typemap::Json::Text,
        },
        bit1_bits: types.bit1 == Bit1Type::Bit,
        datetime_zone: types.datetime_zone.as_deref().map(Zone::named).transpose()?,
        objects: ObjectOptions {
            foreign_keys: config.schema.foreign_keys,
            comments: config.schema.comments,
            defaults: config.schema.defaults,
            on_update_trigger: config.schema.on_update_trigger,
        },
    })
}

/// What becomes of each table.
///
/// # Errors
/// Those of the type map.
pub fn plans_of(catalog: &Catalog, config: &Config) -> Result<Vec<Arc<TablePlan>>> {
    Ok(typemap::plan(catalog, &config.mapping, &type_options(config)?)?.into_iter().map(Arc::new).collect())
}

/// One error of all that stands in the way; each problem keeps its own hint.
///
/// # Errors
/// The problem itself when there is one, else a summary of the first kind.
pub fn refuse_problems(mut problems: Vec<Error>) -> Result<()> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(problems.remove(0)),
        count => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let hints: Vec<&str> = problems.iter().filter_map(Error::hint).collect();
            Err(Error::new(problems[0].kind(), format!("{count} things stand in the way on the source"))
                .detail(lines.join("\n"))
                .with_hint(hints.join("\n")))
        }
    }
}

/// Prepares an attempt under the lease's epoch.
///
/// # Errors
/// What stands in the way, each with its hint; [`ErrorKind::SourceIdentity`] when the source is another server.
pub async fn prepare(config: Arc<Config>, shared: Arc<Shared>, epoch: i64) -> Result<(Context, Checkpoint)> {
    let (source, target) = (source_config(&config), target_config(&config));
    let mut conn = source_connect::connect(&source).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    let server_id = replica_server_id(&config.pipeline, facts.server_id);
    let (catalog, plans, inside) = (Catalog::default(), Vec::new(), None);
    let throttle = Arc::new(Throttle::new(&config.snapshot));
    let mut context =
        Context { config, shared, source, target, facts, catalog, plans, inside, epoch, server_id, throttle };
    let mut client = context.connect_writer().await?;
    cutover::refuse(&*client, &context.config.pipeline).await?;
    let checkpoint = match checkpoint::load(&*client, &context.config.pipeline).await? {
        Some(checkpoint) => resume(&mut context, &mut conn, &mut client, checkpoint).await?,
        None => begin(&mut context, &mut conn, &mut client).await?,
    };
    let _ = conn.disconnect().await;
    Ok((context, checkpoint))
}

async fn resume(
    context: &mut Context,
    conn: &mut Conn,
    client: &mut Connection,
    mut checkpoint: Checkpoint,
) -> Result<Checkpoint> {
    let config = Arc::clone(&context.config);
    let pipeline = config.pipeline.as_str();
    checkpoint.source_identity.check_server(&identity_of(&context.facts))?;
    check_log(context, conn, &checkpoint.source_identity).await?;
    let (_, mut stored) = schema_version::load(&**client, pipeline, checkpoint.schema_version).await?;
    let current = catalog::read(conn, context.facts.flavor, &context.config.mapping).await?;
    let carried = stored.tables.len();
    stored.tables.retain(|table| config.mapping.includes(&table.name));
    check(context, conn, &stored, true).await?;
    context.plans = plans_of(&stored, &config)?;
    refuse_other_shapes(client, pipeline, &context.plans, checkpoint.phase).await?;
    // a copy that has begun is of the tables that it began with
    let added = match checkpoint.phase {
        Phase::Snapshot => Vec::new(),
        _ => added(context, conn, &stored, &current, &checkpoint.position).await?,
    };
    if stored.tables.len() < carried || !added.is_empty() {
        let names: Vec<TableName> = added.iter().map(|table| table.name.clone()).collect();
        stored.tables.extend(added);
        stored.tables.sort_by(|a, b| a.name.cmp(&b.name));
        context.plans = plans_of(&stored, &config)?;
        let new: Vec<Arc<TablePlan>> =
            context.plans.iter().filter(|plan| names.contains(&plan.source.name)).cloned().collect();
        tables::check_tables(&**client, pipeline, &new).await?;
        // left out for good: a table that comes back later is copied again
        let transaction = fence::begin(client, pipeline, context.epoch).await?;
        for state in progress::load_tables(&transaction, pipeline).await? {
            if stored.table(&state.source).is_none() {
                progress::leave_out(&transaction, pipeline, &state.source, TableState::Pending, "not in [tables]")
                    .await?;
            }
        }
        let made = tables::create_tables(&transaction, &new).await?;
        let known = progress::load_tables(&transaction, pipeline).await?;
        let mut unknown = new_tables(&new, &made, |_| None);
        unknown.retain(|table| !known.iter().any(|known| known.source == table.source));
        progress::register(&transaction, pipeline, &unknown).await?;
        for name in &names {
            progress::leave_out(&transaction, pipeline, name, TableState::Pending, "new in [tables]").await?;
        }
        checkpoint.schema_version =
            schema_version::renew(&transaction, pipeline, checkpoint.schema_version, &stored).await?;
        transaction.commit().await.map_err(|e| crate::target::classify(e, "taking the changes of [tables]"))?;
    }
    context.inside = schema_version::inside(&**client, pipeline, checkpoint.schema_version).await?.map(|at| at.binlog);
    context.catalog = stored;
    tracing::info!(position = %checkpoint.position, phase = %checkpoint.phase, "continuing from the checkpoint");
    Ok(checkpoint)
}

/// Tables that [tables] matches and that are not carried yet, although no statement ahead in the log makes them.
async fn added(
    context: &Context,
    conn: &mut Conn,
    stored: &Catalog,
    current: &Catalog,
    from: &Position,
) -> Result<Vec<TableSchema>> {
    let mut new: Vec<TableSchema> =
        current.tables.iter().filter(|table| stored.table(&table.name).is_none()).cloned().collect();
    if !new.is_empty() {
        let until = write_position(conn, &context.facts).await?.binlog;
        let mut ahead = Ahead::default();
        ahead.read((&context.source, &context.facts, context.server_id), from, &until).await?;
        let before = BinlogOffset::new("", 0);
        new.retain(|table| !ahead.changes(&before, &table.name, |a, b| context.same_name(a, b)));
    }
    Ok(new)
}

/// Tables as they are registered. `made`: those that did not stand on the target before.
pub fn new_tables(
    plans: &[Arc<TablePlan>],
    made: &HashSet<TargetName>,
    group_of: impl Fn(usize) -> Option<usize>,
) -> Vec<NewTable> {
    let new = |(number, plan): (usize, &Arc<TablePlan>)| NewTable {
        source: plan.source.name.clone(),
        target: plan.target.clone(),
        adopted: !made.contains(&plan.target),
        copy_group: group_of(number).and_then(|group| i32::try_from(group).ok()),
        shape: plan.shape(),
    };
    plans.iter().enumerate().map(new).collect()
}

/// Compares the log that the checkpoint lies in with the one that is there now. A log that was begun anew may have grown
/// past the checkpoint's transaction, and by GTID alone would be taken for what follows.
async fn check_log(context: &Context, conn: &mut Conn, known: &SourceIdentity) -> Result<()> {
    let files = binlog_files(conn).await?;
    let number = |file: &str| BinlogOffset::new(file, 0).file_number();
    if files.iter().any(|(file, _)| *file == known.binlog_file) {
        let first = Position { binlog: BinlogOffset::new(known.binlog_file.as_str(), FIRST_EVENT), gtid: None };
        return known.check_file(&identity_at(context, &first).await?);
    }
    match files.last() {
        Some((newest, _)) if number(newest) < number(&known.binlog_file) => Err(known.newer_than(newest)),
        _ => Ok(()), // purged: the server knows whether it still has what follows
    }
}

/// Rows that are on the target already were made by the settings of then; new ones must be made alike.
async fn refuse_other_shapes(
    client: &Connection,
    pipeline: &str,
    plans: &[Arc<TablePlan>],
    phase: Phase,
) -> Result<()> {
    let tables = progress::load_tables(&**client, pipeline).await?;
    let requested = progress::requested(&**client, pipeline).await?;
    // but for those that are about to be copied anew
    let copied_anew = |name: &TableName| {
        phase != Phase::Snapshot && requested.iter().any(|(table, what)| table == name && what == "resync")
    };
    for plan in plans {
        let Some(table) = tables.iter().find(|table| table.source == plan.source.name) else { continue };
        let waits = table.state == TableState::Pending || copied_anew(&table.source);
        // another table of the target may be somebody else's
        if table.shape != plan.shape() && !(waits && table.target == plan.target) {
            return Err(Error::new(ErrorKind::Config, format!("the settings of table {} have changed", table.source))
                .detail(format!("copied as {}\nnow       {}", table.shape, plan.shape()))
                .with_hint(if table.target == plan.target {
                    format!(
                        "`sirenia tables resync {}` has `sirenia run` copy it anew under them; or set [tables] and [types] back",
                        table.source
                    )
                } else {
                    "set [tables] and [target] back, or copy anew: `sirenia reset --yes` and `sirenia run`".into()
                }));
        }
    }
    Ok(())
}

async fn begin(context: &mut Context, conn: &mut Conn, client: &mut Connection) -> Result<Checkpoint> {
    let config = Arc::clone(&context.config);
    let pipeline = config.pipeline.as_str();
    let first = catalog::read(conn, context.facts.flavor, &config.mapping).await?;
    check(context, conn, &first, false).await?;
    let (catalog, position) = settled_start(conn, &context.facts, &config.mapping).await?;
    if catalog.tables.is_empty() {
        return Err(Error::new(ErrorKind::Config, "no table of the source is carried")
            .detail(format!("databases {:?}", config.mapping.databases.keys().collect::<Vec<_>>()))
            .with_hint("check [tables] include and exclude, and the account's SELECT privilege"));
    }
    let plans = plans_of(&catalog, &config)?;
    // what it refuses should be told before the copy, not behind it
    KeyGraph::new(&plans, context.facts.logs_cascades)?;
    tables::check_tables(&**client, pipeline, &plans).await?;
    let transaction = fence::begin(client, pipeline, context.epoch).await?;
    let made = tables::create_tables(&transaction, &plans).await?;
    let adopted: Vec<_> = plans.iter().filter(|plan| !made.contains(&plan.target)).cloned().collect();
    objects::clear(&transaction, &adopted).await?;
    transaction.commit().await.map_err(|e| crate::target::classify(e, "creating the tables"))?;
    let groups = copy_groups(&catalog, context.facts.logs_cascades, RowImage::of(&context.facts));
    let group_of = |table: usize| {
        groups.iter().position(|group| matches!(group, CopyGroup::Exact(tables) if tables.contains(&table)))
    };
    let new = new_tables(&plans, &made, group_of);
    let identity = identity_at(context, &position).await?;
    let bootstrap = Bootstrap {
        position: &position,
        source_identity: &identity,
        phase: Phase::Snapshot,
        catalog: &catalog,
        tables: &new,
    };
    checkpoint::create(client, pipeline, context.epoch, &bootstrap).await?;
    tracing::info!(tables = plans.len(), position = %position, "the snapshot starts; the stream will start at its position");
    (context.catalog, context.plans) = (catalog, plans);
    checkpoint::load(&**client, pipeline)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::Bug, "the checkpoint that was just made is missing"))
}

/// The source with the fingerprint of the binlog file that the stream will start in, so that a log that is begun anew
/// before the first batch is noticed too.
async fn identity_at(context: &Context, position: &Position) -> Result<SourceIdentity> {
    let mut transport = BinlogTransport::open(&context.source, &context.facts, position, context.server_id).await?;
    let mut decoder = Decoder::new(context.facts.flavor, position.clone(), Vec::new());
    loop {
        decoder.decode(transport.next().await?.frame()?)?;
        if let Some((file, created, server_id)) = decoder.file_fingerprint() {
            let identity = SourceIdentity {
                binlog_file: file.to_owned(),
                binlog_created: created,
                binlog_server_id: server_id,
                ..identity_of(&context.facts)
            };
            transport.close().await;
            return Ok(identity);
        }
    }
}

/// Runs the preflight: logs its warnings, refuses its problems. XA transactions only matter where a copy begins.
async fn check(context: &Context, conn: &mut Conn, catalog: &Catalog, resuming: bool) -> Result<()> {
    let Preflight { mut problems, warnings, .. } =
        preflight::check(&context.source, conn, &context.facts, &context.config.mapping, catalog).await?;
    problems.retain(|problem| !(resuming && problem.kind() == ErrorKind::PreparedXa));
    if !resuming {
        for warning in warnings {
            tracing::warn!(hint = warning.hint, "{}", warning.message);
        }
    }
    refuse_problems(problems)
}
