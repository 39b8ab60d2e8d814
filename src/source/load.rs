//! How busy the source is: what a copy that is to stay in the background goes by.

use super::refusal::Doing;
use super::server::{ServerFacts, replica_status};
use crate::error::Result;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// How many of the server's threads run a statement now, ours included.
///
/// # Errors
/// Those of the connection.
pub async fn threads_running(conn: &mut Conn) -> Result<u64> {
    let row: Option<(String, u64)> =
        conn.query_first("SHOW GLOBAL STATUS LIKE 'Threads_running'").await.doing("cannot see the source's load")?;
    Ok(row.map_or(0, |(_, running)| running))
}

/// How many seconds the server is behind its own sources; none when it is no replica, or when one of its sources is not
/// read at the moment.
///
/// # Errors
/// `AccessDenied` without the privilege to see it.
pub async fn replica_lag(conn: &mut Conn, facts: &ServerFacts) -> Result<Option<u64>> {
    let rows = replica_status(conn, facts).await.doing("cannot see how far replication is behind")?;
    let lag = |row: &mysql_async::Row| {
        let column = row.columns_ref().iter().position(|column| {
            matches!(column.name_str().as_ref(), "Seconds_Behind_Master" | "Seconds_Behind_Source")
        })?;
        row.get_opt(column).and_then(|lag| lag.ok())
    };
    Ok(rows.iter().filter_map(lag).max())
}
