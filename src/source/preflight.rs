//! What stands between this source and a replication that is exact, found without changing anything.
//!
//! Enters: facts, mapping and catalogue. Leaves: problems (each an error that would come later, with the statement that
//! mends it), warnings, and the way the start position will be taken. Privileges are tried, not parsed: roles, wildcards
//! and partial revokes make the text of SHOW GRANTS a bad witness. What is tried needs the same privilege as the
//! statement that will be run, and has no effect: tables that do not exist are locked and flushed, a binlog dump is
//! asked for and dropped.

use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TableName};
use crate::mapping::{self, Mapping};
use crate::schema::{Catalog, Charset, Flavor, Index, IndexKind, TableSchema};
use crate::source::computed;
use crate::source::connect::SourceConfig;
use crate::source::refusal::{Doing, is_denied, server_code};
use crate::source::row_image::{self, RowImage};
use crate::source::server::ServerFacts;
use crate::source::snapshot::exact::needs_lock;
use crate::source::snapshot::groups::{CopyGroup, copy_groups};
use crate::source::snapshot::position::{PreparedXa, are_prepared, prepared_xa, way};
use crate::source::transport::{may_read_binlog, replica_server_id};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// A table name that no one uses; with it, a refusal tells "no privilege" from "no such table".
const NO_TABLE: &str = "sirenia_no_such_table";

/// What was found.
#[derive(Debug)]
pub struct Preflight {
    /// What must be mended before a run.
    pub problems: Vec<Error>,
    /// What works, but not as one may expect.
    pub warnings: Vec<Warning>,
    /// How the start position will be taken, and with which grant.
    pub way: String,
}

/// Something to know before a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What and where.
    pub message: String,
    /// What to do about it, if one wants.
    pub hint: String,
}

/// Looks at everything. The catalogue is the one read with the same account.
///
/// # Errors
/// Those of the connection; what is found is in the result.
pub async fn check(
    source: &SourceConfig,
    conn: &mut Conn,
    facts: &ServerFacts,
    mapping: &Mapping,
    catalog: &Catalog,
) -> Result<Preflight> {
    let mut problems = settings(facts, mapping);
    problems.extend(catalog.tables.iter().filter_map(|table| long_unique_key(facts, table)));
    problems.extend(row_image::problems(facts, mapping, catalog));
    problems.extend(computed::problems(conn, facts, mapping, catalog).await?);
    let mut warnings = tables(facts, mapping, catalog);
    warnings.extend(row_image::warning(facts));
    warnings.extend(shadows(conn, mapping).await?);
    let account = account(conn).await?;
    databases(conn, mapping, catalog, &account, &mut problems).await?;
    grants(conn, facts, mapping, catalog, &account, &mut problems).await?;
    // an id of its own: the server would end the stream of a running pipeline with the same one
    let id = replica_server_id(&format!("check {}", std::process::id()), facts.server_id);
    if facts.log_bin && !may_read_binlog(source, id).await? {
        problems.push(lacks("REPLICATION SLAVE", "read the binlog", "*.*", &account));
    }
    match prepared_xa(conn).await? {
        PreparedXa::Listed(xids) if xids.is_empty() => {}
        PreparedXa::Listed(xids) => problems.push(are_prepared(&xids)),
        PreparedXa::Hidden { used: true } => {
            problems.push(lacks(
                "XA_RECOVER_ADMIN",
                "list prepared XA transactions, which the source uses",
                "*.*",
                &account,
            ));
        }
        PreparedXa::Hidden { used: false } => warnings.push(Warning {
            message: "cannot list prepared XA transactions; none was prepared since the source started".into(),
            hint: format!("GRANT XA_RECOVER_ADMIN ON *.* TO {account}"),
        }),
    }
    Ok(Preflight { problems, warnings, way: way(facts) })
}

/// Tables that are taken for copies of an online schema change, and so left out.
async fn shadows(conn: &mut Conn, mapping: &Mapping) -> Result<Option<Warning>> {
    let tables: Vec<(String, String)> = conn
        .query(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
              WHERE TABLE_TYPE = 'BASE TABLE' AND LEFT(TABLE_NAME, 1) = '_' ORDER BY 1, 2",
        )
        .await
        .doing("cannot list the source's tables")?;
    let left_out = |(database, table): &(String, String)| {
        let ours = mapping.databases.contains_key(database) && mapping::is_shadow(table);
        ours && !mapping.includes(&TableName::new(database.as_str(), table.as_str()))
    };
    let names: Vec<String> = tables.iter().filter(|table| left_out(table)).map(|(_, table)| table.clone()).collect();
    Ok((!names.is_empty()).then(|| Warning {
        message: format!("{} look like copies of an online schema change, and are left out", names.join(", ")),
        hint: "name them in [tables] include, without wildcards, if they are tables of their own".into(),
    }))
}

fn setting(message: &str, detail: &str, hint: &str) -> Error {
    Error::new(ErrorKind::SourceSetting, message).detail(detail).with_hint(hint)
}

fn settings(facts: &ServerFacts, mapping: &Mapping) -> Vec<Error> {
    let mut out = Vec::new();
    if !facts.log_bin {
        let hint = "start the server with log_bin and binlog_format = ROW";
        return vec![setting("the source writes no binlog", "log_bin is OFF", hint)];
    }
    if facts.binlog_format != "ROW" {
        out.push(setting(
            "the source does not log rows",
            &format!("binlog_format is {}; statements cannot be replayed elsewhere", facts.binlog_format),
            "SET GLOBAL binlog_format = 'ROW', and the same in the server's configuration; sessions keep the old value \
             until they reconnect",
        ));
    }
    for database in mapping.databases.keys() {
        let only_others = !facts.binlog_do_db.is_empty() && !facts.binlog_do_db.contains(database);
        if only_others || facts.binlog_ignore_db.contains(database) {
            let filter = if only_others { "binlog_do_db" } else { "binlog_ignore_db" };
            out.push(setting(
                &format!("changes of database {database} are not in the source's binlog"),
                &format!("{filter} leaves it out"),
                &format!("take {filter} out of the server's configuration and restart it"),
            ));
        }
    }
    if facts.is_replica && !facts.log_replica_updates {
        out.push(setting(
            "the source is a replica that does not log what it receives",
            "log_replica_updates (log_slave_updates) is OFF",
            "start the server with log_replica_updates (log_slave_updates), or replicate from its own source",
        ));
    }
    if facts.partial_json && facts.binlog_row_image != "FULL" {
        out.push(setting(
            "the source logs parts of JSON documents without the documents before",
            &format!("binlog_row_value_options has PARTIAL_JSON and binlog_row_image is {}", facts.binlog_row_image),
            "SET GLOBAL binlog_row_value_options = ''",
        ));
    }
    out
}

fn tables(facts: &ServerFacts, mapping: &Mapping, catalog: &Catalog) -> Vec<Warning> {
    let mut out = Vec::new();
    let mut warn = |message: String, hint: &str| out.push(Warning { message, hint: hint.into() });
    for table in &catalog.tables {
        if table.key().is_none() {
            let hint = "give it a primary key; without one its changes match whole rows, which is slow on large tables";
            warn(format!("{} has no key", table.name), hint);
        }
        for key in table.foreign_keys.iter().filter(|key| key.acts()) {
            if !facts.logs_cascades && !mapping.includes(&key.parent) {
                let message = format!(
                    "{} is left out, but {} changes by its foreign key {}: such changes are not in the binlog",
                    key.parent, table.name, key.name
                );
                warn(message, "include the parent table, or exclude the child");
            }
            if !facts.logs_cascades
                && let Some(column) = case_insensitive(table, &key.columns)
            {
                let message = format!(
                    "{}.{column}: foreign key {} acts on text that is equal regardless of case or accents",
                    table.name, key.name
                );
                warn(
                    message,
                    "a child that spells its parent's key differently is not found when its changes are replayed",
                );
            }
        }
    }
    out
}

fn case_insensitive<'a>(table: &'a TableSchema, columns: &[String]) -> Option<&'a str> {
    let mut columns = columns.iter().filter_map(|name| table.column(name)).map(|at| &table.columns[at]);
    let folds = |charset: &Charset| !charset.is_binary();
    columns.find(|column| column.ty.charset().is_some_and(folds)).map(|column| column.name.as_str())
}

/// MariaDB checks a unique key over long columns by a hash, kept in a hidden column that no catalogue shows but the row
/// images carry, behind all others.
fn long_unique_key(facts: &ServerFacts, table: &TableSchema) -> Option<Error> {
    let hashed = |index: &&Index| index.kind == IndexKind::Unique && index.method == "HASH";
    let index =
        table.indexes.iter().find(hashed).filter(|_| facts.flavor == Flavor::MariaDb && table.engine == "InnoDB")?;
    let message = format!("{}: unique key {} adds a hidden column to the row images", table.name, index.name);
    Some(Error::new(ErrorKind::SchemaMismatch, message).with_hint(format!(
        "leave the table out: [tables] exclude = [\"{}\"]; or: ALTER TABLE {} DROP KEY {}",
        table.name,
        table.name.mysql(),
        ident::mysql(&index.name)
    )))
}

/// The account as GRANT wants it, quoted.
async fn account(conn: &mut Conn) -> Result<String> {
    let account: Option<String> =
        conn.query_first("SELECT CURRENT_USER()").await.doing("cannot read the account's name")?;
    let account = account.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    Ok(format!("{}@{}", ident::mysql_literal(user), ident::mysql_literal(host)))
}

fn lacks(privilege: &str, purpose: &str, on: &str, account: &str) -> Error {
    Error::new(ErrorKind::AccessDenied, format!("the source's account may not {purpose}"))
        .detail(format!("{account} lacks {privilege} on {on}"))
        .with_hint(format!("GRANT {privilege} ON {on} TO {account}"))
}

/// Databases that are not there or that we do not see whole. What an account may not read is missing from the catalogue
/// without a word, so a table would be left out silently.
async fn databases(
    conn: &mut Conn,
    mapping: &Mapping,
    catalog: &Catalog,
    account: &str,
    problems: &mut Vec<Error>,
) -> Result<()> {
    let doing = "cannot try the account's privileges";
    let existing: Vec<String> = conn.query("SHOW DATABASES").await.doing(doing)?;
    for database in mapping.databases.keys() {
        let on = format!("{}.*", ident::mysql(database));
        let probe = TableName::new(database.as_str(), NO_TABLE);
        let tried = conn.query_drop(format!("SELECT 1 FROM {} LIMIT 0", probe.mysql())).await;
        let denied = tried.as_ref().err().is_some_and(is_denied);
        if !existing.contains(database) {
            let missing =
                Error::new(ErrorKind::Config, format!("the source has no database {database} that we can see"));
            let grant = format!("check its spelling; or: GRANT SELECT ON {on} TO {account}");
            problems.push(missing.with_hint(grant));
        } else if denied && !all_named(mapping, database, catalog) {
            problems.push(lacks("SELECT", &format!("read all tables of {database}"), &on, account));
        } else if let Err(error) = tried
            && !denied
            && server_code(&error) != Some(1146)
        {
            return Err(error).doing(doing);
        }
        let versioned: Vec<String> = conn
            .exec(
                "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'SYSTEM VERSIONED'",
                (database.as_str(),),
            )
            .await
            .doing(doing)?;
        for table in versioned.into_iter().map(|table| TableName::new(database.as_str(), table)) {
            if mapping.includes(&table) {
                let message = format!("{table} is system-versioned; such tables are not carried");
                problems.push(
                    Error::new(ErrorKind::SourceSetting, message)
                        .with_hint(format!("leave it out: [tables] exclude = [\"{table}\"]")),
                );
            }
        }
    }
    Ok(())
}

/// Whether the mapping names tables one by one and all of them are in the catalogue: then SELECT on those is enough.
fn all_named(mapping: &Mapping, database: &str, catalog: &Catalog) -> bool {
    let found = |pattern: &String| {
        !pattern.contains(['*', '?'])
            && catalog.tables.iter().any(|table| {
                (table.name.table == *pattern && table.name.database == database) || table.name.to_string() == *pattern
            })
    };
    !mapping.include.is_empty() && mapping.include.iter().all(found)
}

async fn grants(
    conn: &mut Conn,
    facts: &ServerFacts,
    mapping: &Mapping,
    catalog: &Catalog,
    account: &str,
    problems: &mut Vec<Error>,
) -> Result<()> {
    let doing = "cannot try the account's privileges";
    if let Err(error) = conn.query_drop(facts.status_statement()).await {
        if !is_denied(&error) {
            return Err(error).doing(doing);
        }
        problems.push(lacks(facts.status_privilege(), "see the binlog's position", "*.*", account));
    }
    if facts.flavor == Flavor::MySql && !facts.gtid {
        // flushes a table that is not there
        let probe = mapping.databases.keys().next().map(|database| TableName::new(database.as_str(), NO_TABLE).mysql());
        let probe = format!("FLUSH NO_WRITE_TO_BINLOG TABLES {}", probe.unwrap_or_else(|| ident::mysql(NO_TABLE)));
        if conn.query_drop(probe).await.is_err_and(|error| is_denied(&error)) {
            problems.push(lacks("RELOAD", "take the short lock for the start position", "*.*", account));
        }
    }
    let mut locked: Vec<&str> = Vec::new();
    for group in copy_groups(catalog, facts.logs_cascades, RowImage::of(facts)) {
        if let CopyGroup::Exact(tables) = group
            && needs_lock(facts.flavor, catalog, &tables)
        {
            locked.extend(tables.iter().map(|at| catalog.tables[*at].name.database.as_str()));
        }
    }
    locked.sort_unstable();
    locked.dedup();
    for database in locked {
        let probe = format!("LOCK TABLES {} READ", TableName::new(database, NO_TABLE).mysql());
        if conn.query_drop(probe).await.is_err_and(|error| is_denied(&error)) {
            let on = format!("{}.*", ident::mysql(database));
            problems.push(lacks(
                "LOCK TABLES",
                &format!("take the short lock to copy tables of {database} exactly"),
                &on,
                account,
            ));
        }
        conn.query_drop("UNLOCK TABLES").await.doing(doing)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
