//! The settings as the rest of the program reads them: checked against each other, every default filled in.

use crate::config::choice::choice;
use crate::config::endpoint::{Endpoint, Side};
use crate::config::raw::{
    Raw, RawApply, RawColumnRule, RawLease, RawLog, RawMask, RawQuarantine, RawRule, RawSnapshot,
};
use crate::config::secret_url;
use crate::config::units::ByteSize;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{ColumnRule, Mapping, TableRule};
use crate::masking::MaskKey;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the checkpoint and the lease are kept under; `default` if not set.
    pub pipeline: String,
    /// The MySQL or MariaDB server.
    pub source: Endpoint,
    /// The PostgreSQL server.
    pub target: Endpoint,
    /// What is carried, and under which names.
    pub mapping: Mapping,
    /// Choices of the type map.
    pub types: TypeChoices,
    /// What the tables get besides their columns.
    pub schema: SchemaChoices,
    /// Rows that cannot be applied.
    pub quarantine: QuarantineSettings,
    /// What the source's DDL may do to the target.
    pub ddl: DdlSettings,
    /// Sizes.
    pub apply: ApplySettings,
    /// How much a copy may ask of the source.
    pub snapshot: SnapshotSettings,
    /// Who may write.
    pub lease: LeaseSettings,
    /// Where HTTP listens; none when it is off.
    pub http: Option<SocketAddr>,
    /// What goes to stderr.
    pub log: LogSettings,
    /// What looked wrong but stops nothing; to be logged once logging is up.
    pub warnings: Vec<String>,
}

choice! {
    /// How changes are captured.
    Capture {
        /// From the binary log.
        Binlog = "binlog",
        /// By triggers into an audit log.
        Triggers = "triggers",
    }
}

choice! {
    /// What `tinyint(1)` becomes.
    TinyInt1 {
        /// The number it is.
        SmallInt = "smallint",
        /// True for anything but 0.
        Boolean = "boolean",
    }
}

choice! {
    /// What `bigint unsigned` becomes.
    BigintUnsigned {
        /// `bigint` where no value exceeds 2^63−1.
        BigInt = "bigint",
        /// Always `numeric(20,0)`.
        Numeric = "numeric",
    }
}

choice! {
    /// What ENUM becomes.
    EnumType {
        /// `text` with a CHECK constraint.
        Text = "text",
        /// An enum type for each column.
        Native = "native",
    }
}

choice! {
    /// What SET becomes.
    SetType {
        /// `text[]`
        Array = "array",
        /// Its members, separated by commas.
        Text = "text",
    }
}

choice! {
    /// What TIME becomes.
    TimeType {
        /// `interval`, which holds all of them.
        Interval = "interval",
        /// `time`, for times of day alone.
        Time = "time",
    }
}

choice! {
    /// What JSON becomes.
    JsonType {
        /// `jsonb`
        Jsonb = "jsonb",
        /// `json`
        Json = "json",
        /// `text`
        Text = "text",
    }
}

choice! {
    /// What `bit(1)` becomes.
    Bit1Type {
        /// `boolean`
        Boolean = "boolean",
        /// `bit(1)`
        Bit = "bit",
    }
}

choice! {
    /// What becomes of a table or column that the source drops.
    OnDrop {
        /// It is dropped here too.
        Apply = "apply",
        /// It stays, as `<name>_dropped`.
        Rename = "rename",
        /// It stays as it is.
        Ignore = "ignore",
    }
}

choice! {
    /// What happens at a DDL statement that cannot be carried over.
    OnUnknown {
        /// The stream stops before it.
        Stop = "stop",
        /// Its tables are paused, all others go on.
        Pause = "pause",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// Choices of the type map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChoices {
    /// What `tinyint(1)` becomes.
    pub tinyint1: TinyInt1,
    /// What `bigint unsigned` becomes.
    pub bigint_unsigned: BigintUnsigned,
    /// What ENUM becomes.
    pub r#enum: EnumType,
    /// What SET becomes.
    pub set: SetType,
    /// What TIME becomes.
    pub time: TimeType,
    /// What JSON becomes.
    pub json: JsonType,
    /// What `bit(1)` becomes.
    pub bit1: Bit1Type,
    /// The time zone in which DATETIME is read, by name or offset; without it DATETIME has none.
    pub datetime_zone: Option<String>,
}

/// What the source's DDL may do to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DdlSettings {
    /// What becomes of a table that the source drops.
    pub drop_table: OnDrop,
    /// What becomes of a column that the source drops.
    pub drop_column: OnDrop,
    /// What happens at a statement that cannot be carried over.
    pub unknown: OnUnknown,
}

/// What the tables get besides their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaChoices {
    /// Whether foreign keys are made.
    pub foreign_keys: bool,
    /// Whether tables and columns get their comments.
    pub comments: bool,
    /// Whether columns get their defaults and AUTO_INCREMENT becomes an identity.
    pub defaults: bool,
    /// Whether the cutover makes triggers for ON UPDATE CURRENT_TIMESTAMP.
    pub on_update_trigger: bool,
}

/// Rows that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// Most rows of one table; beyond it the pipeline stops.
    pub max_rows_per_table: usize,
}

/// Sizes of what is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplySettings {
    /// Rows after which a batch is cut at the next commit.
    pub batch_rows: usize,
    /// Bytes after which a batch is cut at the next commit.
    pub batch_bytes: usize,
    /// Bytes that all queues and batches may hold together.
    pub memory: usize,
    /// Tables, or ranges of one, read at once by the snapshot.
    pub readers: usize,
}

/// How much a copy may ask of the source; nothing is limited by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Most rows read in a second.
    pub rows_per_second: Option<u64>,
    /// Most bytes of rows read in a second.
    pub bytes_per_second: Option<u64>,
    /// The copy waits while more of the source's threads run.
    pub max_threads_running: Option<u64>,
    /// The copy waits while the source, or one of `replicas`, is further behind in replication, in seconds.
    pub max_replica_lag: Option<u64>,
    /// Host and port of replicas that are asked with the source's account.
    pub replicas: Vec<(String, u16)>,
}

/// Who may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// Until a lease that is not renewed expires.
    pub ttl: Duration,
    /// Name of this instance.
    pub holder: String,
}

/// What goes to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level (`info`), or a filter (`sirenia=debug,warn`).
    pub level: String,
}

/// The schema of our control tables on the target, which no table may be carried into.
const CONTROL_SCHEMA: &str = "sirenia";

/// What commands need that read the source's changes alone.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The MySQL or MariaDB server; none when none is named.
    pub source: Option<Endpoint>,
    /// What is told of. Without a database in the settings it has none.
    pub mapping: Mapping,
    /// What goes to stderr.
    pub log: LogSettings,
    /// What looked wrong but stops nothing; to be logged once logging is up.
    pub warnings: Vec<String>,
}

impl SourceSettings {
    pub(super) fn resolve(raw: Raw, warnings: Vec<String>) -> Result<Self> {
        let databases = databases(&raw)?;
        let mapping = mapping(&raw, &databases)?;
        let (login, log) = (raw.source.login(), log(raw.log));
        let source = login.names_server().then(|| login.resolve(Side::Source, databases.into_iter().next()));
        Ok(Self { source: source.transpose()?, mapping, log, warnings })
    }
}

pub(super) fn log(raw: RawLog) -> LogSettings {
    LogSettings { format: raw.format.unwrap_or(LogFormat::Text), level: raw.level.unwrap_or_else(|| "info".into()) }
}

impl Config {
    pub(super) fn resolve(raw: Raw, warnings: Vec<String>) -> Result<Self> {
        if raw.source.capture == Some(Capture::Triggers) {
            return Err(bad("source.capture = \"triggers\" is not available yet")
                .with_hint("set capture = \"binlog\", or leave it out"));
        }
        let databases = databases(&raw)?;
        let mapping = mapping(&raw, &databases)?;
        let http = listen(raw.http.listen.as_deref())?;
        let log = log(raw.log);
        let types = TypeChoices {
            tinyint1: raw.types.tinyint1.unwrap_or(TinyInt1::SmallInt),
            bigint_unsigned: raw.types.bigint_unsigned.unwrap_or(BigintUnsigned::BigInt),
            r#enum: raw.types.r#enum.unwrap_or(EnumType::Text),
            set: raw.types.set.unwrap_or(SetType::Array),
            time: raw.types.time.unwrap_or(TimeType::Interval),
            json: raw.types.json.unwrap_or(JsonType::Jsonb),
            bit1: raw.types.bit1.unwrap_or(Bit1Type::Boolean),
            datetime_zone: raw.types.datetime_zone.clone(),
        };
        Ok(Self {
            pipeline: pipeline(raw.pipeline)?,
            source: raw.source.login().resolve(Side::Source, databases.into_iter().next())?,
            target: raw.target.login().resolve(Side::Target, None)?,
            mapping,
            types,
            schema: SchemaChoices {
                foreign_keys: raw.schema.foreign_keys.unwrap_or(true),
                comments: raw.schema.comments.unwrap_or(true),
                defaults: raw.schema.defaults.unwrap_or(true),
                on_update_trigger: raw.schema.on_update_trigger.unwrap_or(true),
            },
            quarantine: quarantine(&raw.quarantine)?,
            ddl: DdlSettings {
                drop_table: raw.ddl.drop_table.unwrap_or(OnDrop::Apply),
                drop_column: raw.ddl.drop_column.unwrap_or(OnDrop::Apply),
                unknown: raw.ddl.unknown.unwrap_or(OnUnknown::Stop),
            },
            apply: apply(&raw.apply)?,
            snapshot: snapshot(raw.snapshot)?,
            lease: lease(raw.lease)?,
            http,
            log,
            warnings,
        })
    }
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn pipeline(name: Option<String>) -> Result<String> {
    let name = name.unwrap_or_else(|| "default".into());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        return Err(bad("the pipeline's name must be 1 to 40 of the characters a-z 0-9 _ -"));
    }
    Ok(name)
}

/// The source's databases, the one to connect to first; empty when none is named.
fn databases(raw: &Raw) -> Result<Vec<String>> {
    let login = raw.source.login();
    let in_url = login.url.as_ref().map(|url| secret_url::parse(Side::Source, url)).transpose()?;
    let single = login.database.or_else(|| in_url.and_then(|url| url.database));
    let Some(list) = &raw.source.databases else { return Ok(single.into_iter().collect()) };
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(bad("source.databases is empty or names an empty database"));
    }
    let mut list = list.clone();
    // why: the list may stand in a stronger place than a URL whose database it leaves out
    if let Some(first) = single.and_then(|single| list.iter().position(|name| *name == single)) {
        list.swap(0, first);
    }
    Ok(list)
}

fn mapping(raw: &Raw, databases: &[String]) -> Result<Mapping> {
    let schemas = raw.target.schemas.clone().unwrap_or_default();
    if let Some(unknown) = schemas.keys().find(|name| !databases.contains(name)) {
        return Err(bad(format!("[target.schemas] maps the database {unknown}, which is not carried"))
            .with_hint(format!("add it to source.databases, which is now: {}", databases.join(", "))));
    }
    let mut map = BTreeMap::new();
    for database in databases {
        let schema = match (schemas.get(database), &raw.target.schema) {
            (Some(schema), _) => schema.clone(),
            (None, schema) if databases.len() == 1 => schema.clone().unwrap_or_else(|| "public".into()),
            (None, None) => database.clone(),
            (None, Some(_)) => {
                return Err(bad(format!(
                    "target.schema cannot stand for several databases: where does {database} go?"
                ))
                .with_hint(format!("[target.schemas]\n{database} = \"…\"")));
            }
        };
        if schema.is_empty() || schema == CONTROL_SCHEMA || schema == "information_schema" || schema.starts_with("pg_")
        {
            return Err(bad(format!("tables cannot go to the target schema \"{schema}\""))
                .with_hint("name another in [target] schema or [target.schemas]"));
        }
        if let Some((other, _)) = map.iter().find(|(_, taken)| **taken == schema) {
            return Err(bad(format!("the databases {other} and {database} both go to the target schema {schema}"))
                .with_hint("give each its own in [target.schemas]"));
        }
        map.insert(database.clone(), schema);
    }
    let rules = raw.tables.rules.clone().unwrap_or_default();
    let rules = rules.into_iter().map(|(table, raw)| rule(&table, raw).map(|rule| (table, rule)));
    Ok(Mapping {
        databases: map,
        include: patterns("include", raw.tables.include.as_deref())?,
        exclude: patterns("exclude", raw.tables.exclude.as_deref())?,
        tables: rules.collect::<Result<_>>()?,
        sanitize: raw.sanitize.clone(),
        mask_key: mask_key(&raw.mask)?,
    })
}

fn mask_key(raw: &RawMask) -> Result<Option<MaskKey>> {
    let key = match (&raw.key, &raw.key_file) {
        (Some(key), _) => key.expose_secret().trim().as_bytes().to_vec(),
        (None, Some(file)) => {
            let unreadable = |error: std::io::Error| {
                bad(format!("[mask] key_file: cannot read {}", file.display())).with_source(error)
            };
            std::fs::read(file).map_err(unreadable)?.trim_ascii().to_vec()
        }
        (None, None) => return Ok(None),
    };
    MaskKey::new(&key).map(Some)
}

fn patterns(key: &str, list: Option<&[String]>) -> Result<Vec<String>> {
    let list = list.unwrap_or_default();
    if list.iter().any(String::is_empty) {
        return Err(bad(format!("tables.{key} holds an empty pattern")));
    }
    Ok(list.to_vec())
}

fn rule(table: &str, raw: RawRule) -> Result<TableRule> {
    let place = || format!("[tables.rules.\"{table}\"]");
    if raw.rename.as_ref().is_some_and(String::is_empty) || raw.rename_columns.values().any(String::is_empty) {
        return Err(bad(format!("{}: a new name is empty", place())));
    }
    if let Some(both) = raw.exclude_columns.iter().find(|column| raw.rename_columns.contains_key(*column)) {
        return Err(bad(format!("{}: the column {both} is both excluded and renamed", place())));
    }
    let mut names: Vec<_> = raw.rename_columns.values().collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(format!("{}: two columns are renamed to {}", place(), pair[0])));
    }
    Ok(TableRule {
        rename: raw.rename,
        exclude_columns: raw.exclude_columns.into_iter().collect(),
        rename_columns: raw.rename_columns,
        columns: raw
            .columns
            .into_iter()
            .map(|(name, raw)| column_rule(&place(), &name, raw).map(|rule| (name, rule)))
            .collect::<Result<_>>()?,
        rows: raw.rows.map(|rows| rows.parse().map_err(|error: Error| error.at(place()))).transpose()?,
    })
}

fn column_rule(place: &str, name: &str, raw: RawColumnRule) -> Result<ColumnRule> {
    if raw.ty.is_some() && raw.mask.is_some() {
        return Err(bad(format!("{place}: the column {name} has both a type and a mask"))
            .with_hint("leave out `type`: a hash is text, and NULL has the default type"));
    }
    Ok(ColumnRule { sanitize: raw.sanitize, ty: raw.ty, mask: raw.mask })
}

fn quarantine(raw: &RawQuarantine) -> Result<QuarantineSettings> {
    let rows = raw.max_rows_per_table.unwrap_or(1000);
    match usize::try_from(rows) {
        Ok(rows) if rows <= 100_000 => Ok(QuarantineSettings { max_rows_per_table: rows }),
        _ => Err(bad(format!("quarantine.max_rows_per_table is {rows}, not between 0 and 100000"))),
    }
}

fn apply(raw: &RawApply) -> Result<ApplySettings> {
    let memory = raw.memory.unwrap_or(ByteSize(32 << 20));
    let batch_bytes = raw.batch_bytes.unwrap_or(ByteSize((4 << 20).min(memory.0 / 4)));
    let size = |name: &str, size: ByteSize, from: u64, to: u64| {
        let fits = (from..=to).contains(&size.0);
        let (from, to) = (ByteSize(from), ByteSize(to));
        fits.then(|| usize::try_from(size.0).ok())
            .flatten()
            .ok_or_else(|| bad(format!("apply.{name} is {size}, not between {from} and {to}")))
    };
    let number = |name: &str, number: u64, to: u64| {
        (1..=to)
            .contains(&number)
            .then(|| usize::try_from(number).ok())
            .flatten()
            .ok_or_else(|| bad(format!("apply.{name} is {number}, not between 1 and {to}")))
    };
    Ok(ApplySettings {
        memory: size("memory", memory, 16 << 20, 1 << 40)?,
        batch_bytes: size("batch_bytes", batch_bytes, 64 << 10, memory.0 / 2)?,
        batch_rows: number("batch_rows", raw.batch_rows.unwrap_or(20_000), 10_000_000)?,
        readers: number("readers", raw.readers.unwrap_or(2), 64)?,
    })
}

fn snapshot(raw: RawSnapshot) -> Result<SnapshotSettings> {
    for (name, rate) in
        [("rows_per_second", raw.rows_per_second), ("bytes_per_second", raw.bytes_per_second.map(|size| size.0))]
    {
        if rate == Some(0) {
            return Err(bad(format!("snapshot.{name} is 0")).with_hint("leave it out, and nothing is limited"));
        }
    }
    let replica = |text: &String| {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, "3306"));
        let port = port.parse().ok().filter(|_| !host.is_empty());
        let wrong = || bad(format!("snapshot.replicas: {text} is no host:port"));
        port.map(|port| (host.to_owned(), port)).ok_or_else(wrong)
    };
    Ok(SnapshotSettings {
        rows_per_second: raw.rows_per_second,
        bytes_per_second: raw.bytes_per_second.map(|size| size.0),
        max_threads_running: raw.max_threads_running,
        max_replica_lag: raw.max_replica_lag,
        replicas: raw.replicas.unwrap_or_default().iter().map(replica).collect::<Result<_>>()?,
    })
}

fn lease(raw: RawLease) -> Result<LeaseSettings> {
    let ttl = raw.ttl.unwrap_or(10);
    if !(2..=3600).contains(&ttl) {
        return Err(bad(format!("lease.ttl is {ttl}, not between 2 and 3600 seconds")));
    }
    let holder = raw.holder.unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
        format!("{host}:{}", std::process::id())
    });
    if holder.is_empty() {
        return Err(bad("lease.holder is empty"));
    }
    Ok(LeaseSettings { ttl: Duration::from_secs(ttl), holder })
}

/// Where HTTP listens: `127.0.0.1:9477` if not set, nowhere if `off`.
pub(super) fn listen(text: Option<&str>) -> Result<Option<SocketAddr>> {
    match text.map(str::trim) {
        None => Ok(Some(SocketAddr::from(([127, 0, 0, 1], 9477)))),
        Some("off") => Ok(None),
        Some(text) => {
            let port = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
            let local = port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
            local.or_else(|| text.parse().ok()).map(Some).ok_or_else(|| {
                bad(format!("http.listen is not an address with a port: {text}"))
                    .with_hint("write listen = \"127.0.0.1:9477\" or listen = \"off\"")
            })
        }
    }
}
