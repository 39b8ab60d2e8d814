//! Facts about the source's server, and where its binlog stands.
//!
//! Reads variables and status, judges nothing: [`super::preflight`] does. What cannot be read for want of a privilege
//! is left empty here and reported there.

use crate::ddl;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::schema::{Charset, Flavor};
use crate::source::refusal::{Doing, is_denied};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::collections::HashMap;

/// What the server is and how it is set up to log changes.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// MySQL or MariaDB.
    pub flavor: Flavor,
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
    /// The version as the server prints it.
    pub version_text: String,
    /// `server_id`.
    pub server_id: u32,
    /// MySQL's `server_uuid`.
    pub server_uuid: Option<String>,
    /// Whether positions have GTIDs: MySQL with `gtid_mode=ON`, MariaDB with a binlog.
    pub gtid: bool,
    /// Whether there is a binlog.
    pub log_bin: bool,
    /// `ROW`, `STATEMENT` or `MIXED`.
    pub binlog_format: String,
    /// `FULL`, `MINIMAL`, `NOBLOB` or MariaDB's `FULL_NODUP`.
    pub binlog_row_image: String,
    /// `FULL`, `MINIMAL` or MariaDB's `NO_LOG`; none on servers without the variable.
    pub binlog_row_metadata: Option<String>,
    /// Databases that alone are logged; empty: all. From the binlog's status, so empty without the privilege for it.
    pub binlog_do_db: Vec<String>,
    /// Databases that are not logged.
    pub binlog_ignore_db: Vec<String>,
    /// Whether changes that arrive by replication are logged again.
    pub log_replica_updates: bool,
    /// Whether the server is a replica itself.
    pub is_replica: bool,
    /// `binlog_order_commits`: the engine commits in the binlog's order (MariaDB always does).
    pub binlog_order_commits: bool,
    /// Whether `binlog_row_value_options` has PARTIAL_JSON.
    pub partial_json: bool,
    /// Whether cascaded changes of children are in the binlog: MySQL 9.6 and later without `innodb_native_foreign_keys`.
    pub logs_cascades: bool,
    /// `lower_case_table_names`.
    pub lower_case_table_names: u8,
}

const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'server_id', 'server_uuid', \
    'gtid_mode', 'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'log_slave_updates', \
    'log_replica_updates', 'binlog_order_commits', 'binlog_row_value_options', \
    'innodb_native_foreign_keys', 'lower_case_table_names')";

impl ServerFacts {
    /// Reads them.
    ///
    /// # Errors
    /// Those of the connection; a missing privilege is none.
    pub async fn read(conn: &mut Conn) -> Result<Self> {
        let doing = "cannot read the source's settings";
        let rows: Vec<(String, String)> = conn.query(VARIABLES).await.doing(doing)?;
        let variables: HashMap<String, String> =
            rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let text = |name: &str| variables.get(name).cloned().unwrap_or_default();
        let on = |name: &str| matches!(text(name).to_ascii_uppercase().as_str(), "ON" | "1" | "YES");
        let version_text = text("version");
        let flavor = if version_text.contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql };
        let version = parse_version(&version_text);
        let mysql = flavor == Flavor::MySql;
        let mut facts = Self {
            flavor,
            version,
            server_id: text("server_id").parse().unwrap_or(0),
            server_uuid: variables.get("server_uuid").cloned(),
            gtid: if mysql { text("gtid_mode").eq_ignore_ascii_case("ON") } else { on("log_bin") },
            log_bin: on("log_bin"),
            binlog_format: text("binlog_format").to_ascii_uppercase(),
            binlog_row_image: text("binlog_row_image").to_ascii_uppercase(),
            binlog_row_metadata: variables.get("binlog_row_metadata").map(|value| value.to_ascii_uppercase()),
            binlog_do_db: Vec::new(),
            binlog_ignore_db: Vec::new(),
            log_replica_updates: on("log_replica_updates") || on("log_slave_updates"),
            is_replica: false,
            binlog_order_commits: !mysql || on("binlog_order_commits"),
            partial_json: text("binlog_row_value_options").to_ascii_uppercase().contains("PARTIAL_JSON"),
            logs_cascades: mysql && version >= (9, 6, 0) && !on("innodb_native_foreign_keys"),
            lower_case_table_names: text("lower_case_table_names").parse().unwrap_or(0),
            version_text,
        };
        facts.is_replica = is_replica(conn, &facts).await?;
        match conn.query_first::<Row, _>(facts.status_statement()).await {
            Ok(Some(row)) => {
                facts.binlog_do_db = names(&row, 2);
                facts.binlog_ignore_db = names(&row, 3);
            }
            Ok(None) => {}
            Err(error) if is_denied(&error) => {}
            Err(error) => return Err(error).doing(doing),
        }
        Ok(facts)
    }

    /// The statement that shows the binlog's write position; 8.4 dropped the old name, 8.2 brought the new one.
    #[must_use]
    pub fn status_statement(&self) -> &'static str {
        match self.flavor {
            Flavor::MySql if self.version >= (8, 2, 0) => "SHOW BINARY LOG STATUS",
            _ => "SHOW MASTER STATUS",
        }
    }

    /// What this server calls the privilege to see the binlog's status.
    #[must_use]
    pub fn status_privilege(&self) -> &'static str {
        match self.flavor {
            Flavor::MariaDb if self.version >= (10, 5, 2) => "BINLOG MONITOR",
            _ => "REPLICATION CLIENT",
        }
    }

    /// What identifies the server across restarts: MySQL's UUID; MariaDB has only its `server_id`.
    #[must_use]
    pub fn identity(&self) -> String {
        self.server_uuid.clone().unwrap_or_else(|| format!("server_id {}", self.server_id))
    }
}

fn parse_version(text: &str) -> (u16, u16, u16) {
    // MariaDB behind some proxies prints 5.5.5-10.6.12-MariaDB
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn names(row: &Row, column: usize) -> Vec<String> {
    let list: Option<String> = row.get_opt(column).and_then(Result::ok);
    list.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What the server tells of its own replication, a row for each of its sources.
pub(super) async fn replica_status(conn: &mut Conn, facts: &ServerFacts) -> mysql_async::Result<Vec<Row>> {
    conn.query(match facts.flavor {
        Flavor::MariaDb => "SHOW ALL SLAVES STATUS",
        Flavor::MySql if facts.version >= (8, 0, 22) => "SHOW REPLICA STATUS",
        Flavor::MySql => "SHOW SLAVE STATUS",
    })
    .await
}

async fn is_replica(conn: &mut Conn, facts: &ServerFacts) -> Result<bool> {
    match replica_status(conn, facts).await {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(error) if is_denied(&error) => {
            // needs no privilege, but shows running replication only; and MariaDB alone has it
            let row: Option<(String, u32)> =
                conn.query_first("SHOW GLOBAL STATUS LIKE 'Slaves_running'").await.doing("cannot read the status")?;
            Ok(row.is_some_and(|(_, running)| running > 0))
        }
        Err(error) => Err(error).doing("cannot see whether the source is a replica"),
    }
}

/// The end of the binlog as written.
///
/// The engine may not show yet what stands before it, so this is no place to start from; it is an upper bound for
/// "everything that was visible by now". As that bound compare `binlog`: on MySQL the GTID set grows only after the
/// engine's commit, so it can miss a transaction that a query has already seen. On MariaDB both name the same place.
///
/// # Errors
/// `AccessDenied` without the privilege, `SourceSetting` without a binlog.
pub async fn write_position(conn: &mut Conn, facts: &ServerFacts) -> Result<Position> {
    let (binlog, executed) = status(conn, facts).await?;
    let gtid = match facts.flavor {
        Flavor::MySql if facts.gtid => Some(GtidSet::MySql(executed.parse()?)),
        Flavor::MySql => None,
        Flavor::MariaDb => return settle_mariadb(conn, facts, binlog).await,
    };
    Ok(Position { binlog, gtid })
}

/// Pairs file and offset with a GTID position by reading until nothing was written between the two; `BINLOG_GTID_POS`
/// would always do, but reads the whole file up to the offset.
async fn settle_mariadb(conn: &mut Conn, facts: &ServerFacts, mut binlog: BinlogOffset) -> Result<Position> {
    for _ in 0..3 {
        let gtid: Option<String> =
            conn.query_first("SELECT @@GLOBAL.gtid_binlog_pos").await.doing("cannot read the GTID position")?;
        let (after, _) = status(conn, facts).await?;
        if after == binlog {
            return Ok(Position { binlog, gtid: Some(GtidSet::MariaDb(gtid.unwrap_or_default().parse()?)) });
        }
        binlog = after;
    }
    let gtid = mariadb_gtid_at(conn, &binlog).await?;
    Ok(Position { binlog, gtid })
}

/// MariaDB's GTID position at an offset of a binlog file; none when the server cannot tell.
pub(crate) async fn mariadb_gtid_at(conn: &mut Conn, at: &BinlogOffset) -> Result<Option<GtidSet>> {
    let gtid: Option<Option<String>> = conn
        .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (at.file.as_str(), at.offset))
        .await
        .doing("cannot read the GTID position at a binlog offset")?;
    gtid.flatten().map(|text| text.parse().map(GtidSet::MariaDb)).transpose()
}

async fn status(conn: &mut Conn, facts: &ServerFacts) -> Result<(BinlogOffset, String)> {
    let row: Option<Row> =
        conn.query_first(facts.status_statement()).await.doing("cannot read the binlog's write position")?;
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::SourceSetting, "the source writes no binlog")
            .with_hint("start the server with log_bin and binlog_format = ROW")
    })?;
    let file: Option<String> = row.get_opt(0).and_then(Result::ok);
    let offset: Option<u64> = row.get_opt(1).and_then(Result::ok);
    let executed: Option<String> = row.get_opt(4).and_then(Result::ok);
    match (file, offset) {
        (Some(file), Some(offset)) => Ok((BinlogOffset::new(file, offset), executed.unwrap_or_default())),
        _ => Err(Error::new(ErrorKind::SourceSetting, "the source's binlog status has no file and position")),
    }
}

/// What of the server decides how its DDL is read.
///
/// # Errors
/// Those of the connection.
pub async fn ddl_server(conn: &mut Conn, facts: &ServerFacts) -> Result<ddl::Server> {
    const DOING: &str = "cannot read the defaults of the source's databases";
    let rows: Vec<(String, String, String)> = conn
        .query(
            "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA",
        )
        .await
        .doing(DOING)?;
    let defaults: Option<(String, bool)> = conn
        .query_first("SELECT @@GLOBAL.default_storage_engine, @@GLOBAL.explicit_defaults_for_timestamp")
        .await
        .doing(DOING)?;
    let mut server = ddl::Server::new(facts.flavor, facts.version);
    server.lower_case_table_names = facts.lower_case_table_names;
    server.databases =
        rows.into_iter().map(|(name, charset, collation)| (name, Charset { name: charset, collation })).collect();
    if let Some((engine, explicit)) = defaults {
        (server.default_engine, server.explicit_timestamps) = (engine, explicit);
    }
    Ok(server)
}

/// The binlog's files with their sizes in bytes, oldest first.
///
/// # Errors
/// `AccessDenied` without the privilege of [`ServerFacts::status_privilege`].
pub async fn binlog_files(conn: &mut Conn) -> Result<Vec<(String, u64)>> {
    let rows: Vec<Row> = conn.query("SHOW BINARY LOGS").await.doing("cannot list the binlog's files")?;
    Ok(rows.into_iter().filter_map(|row| Some((row.get_opt(0)?.ok()?, row.get_opt(1)?.ok()?))).collect())
}
