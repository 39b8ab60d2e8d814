//! The demo's two servers, their databases, and the lab's data on the source.

use super::screen::Screen;
use crate::embedded::lab::Lab;
use crate::embedded::{SourceKind, SourceOptions, SourceServer, TargetOptions, TargetServer};
use crate::error::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio_postgres::NoTls;

/// The database on both sides.
pub(super) const DATABASE: &str = "lab";

/// INSERT statements of the load in one transaction.
const STATEMENTS: usize = 20;

/// A source and a target with an empty database each.
pub(super) struct Servers {
    pub source: SourceServer,
    pub target: TargetServer,
}

impl Servers {
    pub async fn start(kind: SourceKind, screen: &Screen) -> Result<Self> {
        screen.now("starting private servers");
        let (source, target) = tokio::join!(
            SourceServer::start(kind, SourceOptions::default()),
            TargetServer::start(TargetOptions::default())
        );
        let servers = Self { source: source?, target: target? };
        let mut root = connect_source(&servers.source.url("")).await?;
        let sql = format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4");
        root.query_drop(sql).await.map_err(|error| on_source("make the database", error))?;
        let admin = connect_target(&servers.target.url("postgres")).await?;
        let sql = format!("CREATE DATABASE {DATABASE}");
        admin.batch_execute(&sql).await.map_err(|error| on_target("make the database", error))?;
        let versions = servers.versions().await?;
        screen.step(&format!("{} and {} run in temporary folders, on loopback", versions.0, versions.1));
        Ok(servers)
    }

    /// Makes the lab's tables and fills them.
    pub async fn load(&self, lab: &Lab, screen: &Screen) -> Result<()> {
        let mut source = connect_source(&self.source_url()).await?;
        let failed = |error| on_source("load the lab", error);
        for statement in lab.schema_sql() {
            source.query_drop(statement).await.map_err(failed)?;
        }
        let expected: u64 = lab.row_counts().iter().map(|(_, rows)| rows).sum();
        screen.now(&format!("loading {expected} rows"));
        source.query_drop("SET foreign_key_checks = 0, unique_checks = 0").await.map_err(failed)?;
        source.query_drop("BEGIN").await.map_err(failed)?;
        for (number, statement) in lab.data_sql().enumerate() {
            source.query_drop(statement).await.map_err(failed)?;
            if (number + 1) % STATEMENTS == 0 {
                source.query_drop("COMMIT").await.map_err(failed)?;
                source.query_drop("BEGIN").await.map_err(failed)?;
                screen.now(&format!("loading {expected} rows"));
            }
        }
        source.query_drop("COMMIT").await.map_err(failed)?;
        let (tables, seed) = (lab.row_counts().len(), lab.seed);
        let rows = super::report::grouped(expected);
        screen.step(&format!("the source holds a laboratory's database: {tables} tables, {rows} rows (seed {seed})"));
        Ok(())
    }

    pub fn source_url(&self) -> String {
        self.source.url(DATABASE)
    }

    pub fn target_url(&self) -> String {
        self.target.url(DATABASE)
    }

    /// Name and version of both servers.
    pub async fn versions(&self) -> Result<(String, String)> {
        let name = if self.source.kind().is_mariadb() { "MariaDB" } else { "MySQL" };
        let mut source = connect_source(&self.source.url("")).await?;
        let version: Option<String> =
            source.query_first("SELECT @@version").await.map_err(|error| on_source("ask for its version", error))?;
        let target = connect_target(&self.target.url("postgres")).await?;
        let row = target.query_one("SELECT current_setting('server_version')", &[]).await;
        let target_version: String = row.map_err(|error| on_target("ask for its version", error))?.get(0);
        let short = |version: &str| version.split(['-', ' ']).next().unwrap_or_default().to_owned();
        Ok((
            format!("{name} {}", short(&version.unwrap_or_default())),
            format!("PostgreSQL {}", short(&target_version)),
        ))
    }

    /// Where the source's log ends now: file and offset.
    pub async fn source_end(&self) -> Result<(String, u64)> {
        let statement = self.source.kind().status_statement();
        let mut source = connect_source(&self.source.url("")).await?;
        let row: Option<mysql_async::Row> =
            source.query_first(statement).await.map_err(|error| on_source("ask where its log ends", error))?;
        row.and_then(|row| Some((row.get(0)?, row.get(1)?)))
            .ok_or_else(|| Error::new(ErrorKind::SourceSetting, "the source keeps no binlog"))
    }
}

pub(super) async fn connect_source(url: &str) -> Result<mysql_async::Conn> {
    mysql_async::Conn::from_url(url).await.map_err(|error| on_source("connect", error))
}

/// A connection whose driver runs in a task of its own and ends with the server.
pub(super) async fn connect_target(url: &str) -> Result<tokio_postgres::Client> {
    let connecting = tokio::time::timeout(Duration::from_secs(30), tokio_postgres::connect(url, NoTls));
    let (client, connection) = connecting
        .await
        .map_err(|_| Error::new(ErrorKind::TargetUnavailable, "the demo's target does not answer"))?
        .map_err(|error| on_target("connect", error))?;
    tokio::spawn(connection);
    Ok(client)
}

pub(super) fn on_source(doing: &str, error: mysql_async::Error) -> Error {
    Error::new(ErrorKind::SourceUnavailable, format!("the demo's source: cannot {doing}")).with_source(error)
}

pub(super) fn on_target(doing: &str, error: tokio_postgres::Error) -> Error {
    // tokio-postgres says only "db error" by itself
    let detail = error.as_db_error().map(|e| format!("{}: {}", e.code().code(), e.message())).unwrap_or_default();
    Error::new(ErrorKind::TargetUnavailable, format!("the demo's target: cannot {doing}"))
        .detail(detail)
        .with_source(error)
}
