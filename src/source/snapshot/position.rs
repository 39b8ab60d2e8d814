//! P0, the start position: everything that the engine does not show yet lies behind it.
//!
//! The binlog's write position is no such place, because a transaction is written to the binlog first and shown by the
//! engine later; with semi-sync's AFTER_SYNC, much later. Hence, per server:
//!
//! - **MySQL with GTIDs**: `@@gtid_executed`, which grows only after the engine's commit. The stream starts by GTID.
//!   The binlog offset that goes with it is the beginning (4) of the file that was current *before* the set was read: the
//!   server opens a new file only when all transactions of the older ones are committed in the engine, so nothing the
//!   engine hides stands before it. It is a safe lower bound, not the place of the set: a stream started by offset
//!   sends again what the set holds, and its reader skips it by the set.
//! - **MariaDB**: `START TRANSACTION WITH CONSISTENT SNAPSHOT` takes the commit-order lock, and `binlog_snapshot_file` and
//!   `binlog_snapshot_position` name exactly what the snapshot shows; `BINLOG_GTID_POS` gives the GTIDs of that place.
//! - **MySQL without GTIDs**: under `FLUSH TABLES WITH READ LOCK` no commit is under way, so the write position will do. The
//!   lock waits behind long queries (and makes others wait behind it), hence a time limit and several tries.
//!
//! A prepared XA transaction is in the binlog before P0 and becomes visible after it: there must be none. It is enough to
//! look after P0: one that ended between P0 and the look is visible to every later chunk.

use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::schema::{Catalog, Flavor};
use crate::source::catalog;
use crate::source::refusal::{Doing, is_denied, server_code};
use crate::source::server::{ServerFacts, mariadb_gtid_at, write_position};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::time::Duration;

/// How long one try for a lock waits, in seconds: so long may the source's writers wait behind it.
pub(crate) const LOCK_WAIT_SECONDS: u32 = 5;
/// Tries for a lock, and the pause between two, in which the waiting writers go on.
pub(crate) const LOCK_TRIES: u32 = 6;
pub(crate) const LOCK_PAUSE: Duration = Duration::from_secs(2);
/// Prepared XA transactions that a hint lists.
const XIDS_SHOWN: usize = 10;
/// Offset of a binlog file's first event, behind its magic number.
const FIRST_EVENT: u64 = 4;

/// Takes P0. Leaves no transaction and no lock behind on the connection.
///
/// # Errors
/// `PreparedXa` when there are prepared XA transactions; `AccessDenied`, `SourceUnavailable` (no lock within the limit).
pub async fn start_position(conn: &mut Conn, facts: &ServerFacts) -> Result<Position> {
    let position = match facts.flavor {
        Flavor::MySql if facts.gtid => executed(conn, facts).await?,
        Flavor::MySql => under_global_lock(conn, facts).await?,
        Flavor::MariaDb => {
            let position = mariadb_view(conn).await;
            conn.query_drop("ROLLBACK").await.doing("cannot end the snapshot transaction")?;
            position?
        }
    };
    refuse_prepared(conn).await?;
    Ok(position)
}

/// The catalogue and a P0 between two agreeing readings of it: the schema of the rows at P0 is the one returned.
///
/// # Errors
/// Those of [`start_position`] and [`catalog::read`].
pub async fn settled_start(conn: &mut Conn, facts: &ServerFacts, mapping: &Mapping) -> Result<(Catalog, Position)> {
    let mut before = catalog::read(conn, facts.flavor, mapping).await?;
    for _ in 0..10 {
        let position = start_position(conn, facts).await?;
        let after = catalog::read(conn, facts.flavor, mapping).await?;
        if catalog::agree(&before, &after) {
            return Ok((after, position));
        }
        before = after;
    }
    Err(Error::new(ErrorKind::SourceUnavailable, "the source's schema changes faster than it can be read"))
}

/// In one line, how [`start_position`] will go about it and which grant that needs.
#[must_use]
pub fn way(facts: &ServerFacts) -> String {
    match facts.flavor {
        Flavor::MySql if facts.gtid => {
            "start position from @@gtid_executed, without a lock (REPLICATION CLIENT for the binlog's file)".into()
        }
        Flavor::MySql => format!(
            "start position under FLUSH TABLES WITH READ LOCK, at most {LOCK_WAIT_SECONDS} s per try (RELOAD); \
             gtid_mode=ON would need no lock"
        ),
        Flavor::MariaDb => {
            "start position from START TRANSACTION WITH CONSISTENT SNAPSHOT, without a lock and without a grant".into()
        }
    }
}

async fn executed(conn: &mut Conn, facts: &ServerFacts) -> Result<Position> {
    let file = write_position(conn, facts).await?.binlog.file;
    let executed: Option<String> =
        conn.query_first("SELECT @@GLOBAL.gtid_executed").await.doing("cannot read gtid_executed")?;
    let gtid = GtidSet::MySql(executed.unwrap_or_default().parse()?);
    Ok(Position { binlog: BinlogOffset::new(file, FIRST_EVENT), gtid: Some(gtid) })
}

/// Opens MariaDB's consistent snapshot, and what tells where in the binlog it stands, on the same connection.
pub(crate) const OPEN_VIEW: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
pub(crate) const VIEW_PLACE: &str = "SHOW STATUS LIKE 'binlog_snapshot_%'";

/// The place that [`VIEW_PLACE`] tells.
pub(crate) fn view_place(rows: &[(String, String)]) -> Result<BinlogOffset> {
    let value = |wanted: &str| rows.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let file = value("binlog_snapshot_file").filter(|file| !file.is_empty());
    match (file, value("binlog_snapshot_position").and_then(|offset| offset.parse().ok())) {
        (Some(file), Some(offset)) => Ok(BinlogOffset::new(file.clone(), offset)),
        _ => Err(Error::new(ErrorKind::SourceSetting, "the source's consistent snapshot has no binlog position")
            .with_hint("start the server with log_bin")),
    }
}

async fn mariadb_view(conn: &mut Conn) -> Result<Position> {
    conn.query_drop(OPEN_VIEW).await.doing("cannot open a consistent snapshot")?;
    let binlog = view_place(&conn.query(VIEW_PLACE).await.doing("cannot read the snapshot's position")?)?;
    let gtid = mariadb_gtid_at(conn, &binlog).await?;
    Ok(Position { binlog, gtid })
}

async fn under_global_lock(conn: &mut Conn, facts: &ServerFacts) -> Result<Position> {
    conn.query_drop(limit_lock_wait()).await.doing("cannot limit lock waits")?;
    let mut tries = 1;
    while let Err(error) = conn.query_drop("FLUSH TABLES WITH READ LOCK").await {
        if server_code(&error) != Some(1205) || tries == LOCK_TRIES {
            return Err(error)
                .doing("cannot take the short global read lock")
                .map_err(|error| error.with_hint("run again when no long query is running, or set gtid_mode=ON"));
        }
        tries += 1;
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    let position = write_position(conn, facts).await;
    conn.query_drop("UNLOCK TABLES").await.doing("cannot release the global read lock")?;
    position
}

pub(crate) fn limit_lock_wait() -> String {
    format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")
}

/// What is known of prepared XA transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreparedXa {
    /// These are prepared now, each as XA COMMIT and XA ROLLBACK want it.
    Listed(Vec<String>),
    /// XA RECOVER was refused.
    Hidden {
        /// Whether any XA PREPARE has run since the server started.
        used: bool,
    },
}

/// Looks for prepared XA transactions. MySQL wants XA_RECOVER_ADMIN for that; the counters are open to everyone.
///
/// # Errors
/// Those of the connection; a refusal is none.
pub async fn prepared_xa(conn: &mut Conn) -> Result<PreparedXa> {
    match conn.query::<Row, _>("XA RECOVER").await {
        Ok(rows) => Ok(PreparedXa::Listed(rows.iter().map(xid).collect())),
        Err(error) if is_denied(&error) => Ok(PreparedXa::Hidden { used: xa_counters(conn).await?.0 > 0 }),
        Err(error) => Err(error).doing("cannot list prepared XA transactions"),
    }
}

/// What stands in the way, with the statements that end each transaction.
pub(crate) fn are_prepared(xids: &[String]) -> Error {
    let mut hint = String::from("XA RECOVER lists them; end each one way or the other:");
    for xid in xids.iter().take(XIDS_SHOWN) {
        hint.push_str(&format!("\nXA COMMIT {xid};\nXA ROLLBACK {xid};"));
    }
    Error::new(ErrorKind::PreparedXa, format!("{} prepared XA transactions on the source", xids.len()))
        .detail("their rows are in the binlog already, but may still be rolled back")
        .with_hint(hint)
}

/// A row of XA RECOVER (format, lengths of the two parts, their bytes) as XA statements want it: `X'…',X'…',format`.
fn xid(row: &Row) -> String {
    let number = |at: usize| row.get_opt::<usize, usize>(at).and_then(Result::ok).unwrap_or_default();
    let data = row.get_opt::<Vec<u8>, usize>(3).and_then(Result::ok).unwrap_or_default();
    let (global, branch) = data.split_at(number(1).min(data.len()));
    let plain = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(byte));
    let literal = |part: &[u8]| match plain(part) {
        true => format!("'{}'", String::from_utf8_lossy(part)),
        false => format!("X'{}'", part.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    match (branch.is_empty(), number(0)) {
        (true, 1) => literal(global),
        (_, format) => format!("{},{},{format}", literal(global), literal(branch)),
    }
}

/// How many XA PREPARE and how many XA COMMIT have been run since the server started.
pub(crate) async fn xa_counters(conn: &mut Conn) -> Result<(u64, u64)> {
    let rows: Vec<(String, u64)> = conn
        .query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_xa_prepare', 'Com_xa_commit')")
        .await
        .doing("cannot read the server's counters")?;
    let count = |name: &str| rows.iter().find(|row| row.0.eq_ignore_ascii_case(name)).map_or(0, |row| row.1);
    Ok((count("Com_xa_prepare"), count("Com_xa_commit")))
}

/// Fails when XA transactions are prepared, or could be and we may not look.
///
/// # Errors
/// `PreparedXa`, `AccessDenied`.
pub async fn refuse_prepared(conn: &mut Conn) -> Result<()> {
    match prepared_xa(conn).await? {
        PreparedXa::Hidden { used: false } => Ok(()),
        PreparedXa::Listed(xids) if xids.is_empty() => Ok(()),
        PreparedXa::Listed(xids) => Err(are_prepared(&xids)),
        PreparedXa::Hidden { used: true } => {
            Err(Error::new(ErrorKind::AccessDenied, "the source uses XA transactions and does not let us list them")
                .with_hint("GRANT XA_RECOVER_ADMIN ON *.* TO the account of this connection"))
        }
    }
}
