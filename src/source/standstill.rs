//! Whether the source stands still, and where it would count on: asked when the application moves away.

use super::refusal::Doing;
use super::server::ServerFacts;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::schema::Flavor;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::HashMap;

/// Why the source may still be written to; none when it is read-only.
///
/// # Errors
/// Those of the connection.
pub async fn writable(conn: &mut Conn, facts: &ServerFacts) -> Result<Option<Error>> {
    let rows: Vec<(String, String)> = conn
        .query("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only')")
        .await
        .doing("cannot see whether the source is read-only")?;
    // MariaDB 12 knows several ways of being ON
    let on = |name: &str| rows.iter().any(|(variable, value)| variable.eq_ignore_ascii_case(name) && value != "OFF");
    let (message, hint) = match (facts.flavor, on("read_only"), on("super_read_only")) {
        (Flavor::MySql, _, true) | (Flavor::MariaDb, true, _) => return Ok(None),
        (Flavor::MySql, true, false) => (
            "the source is read-only, but not for accounts with SUPER or CONNECTION_ADMIN",
            "SET GLOBAL super_read_only = ON",
        ),
        (Flavor::MySql, ..) => ("the source is not read-only", "SET GLOBAL super_read_only = ON"),
        (Flavor::MariaDb, ..) => ("the source is not read-only", "SET GLOBAL read_only = ON"),
    };
    Ok(Some(Error::new(ErrorKind::SourceSetting, message).with_hint(hint)))
}

/// What AUTO_INCREMENT gives next, by table.
///
/// # Errors
/// Those of the connection.
pub async fn next_numbers(conn: &mut Conn, facts: &ServerFacts) -> Result<HashMap<TableName, u64>> {
    let doing = "cannot read where the source counts on";
    if facts.flavor == Flavor::MySql && facts.version >= (8, 0, 0) {
        // else it answers from what it kept a day ago
        conn.query_drop("SET SESSION information_schema_stats_expiry = 0").await.doing(doing)?;
    }
    let rows: Vec<(String, String, u64)> = conn
        .query(
            "SELECT TABLE_SCHEMA, TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES
              WHERE AUTO_INCREMENT IS NOT NULL",
        )
        .await
        .doing(doing)?;
    Ok(rows.into_iter().map(|(database, table, next)| (TableName::new(database, table), next)).collect())
}
