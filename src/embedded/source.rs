//! A private MariaDB or MySQL server with its binlog on, as a source of replication.
//!
//! Owns the server's folder and process. The data survive [`stop`](SourceServer::stop), [`kill`](SourceServer::kill) and
//! restart, on the same port; everything goes when the value is dropped.

use super::folder::Folder;
use super::port::free_port;
use super::process::{Launch, Process};
use super::{PASSWORD, mariadb, mysql};
use crate::error::{Error, ErrorKind, Result};
use nix::sys::signal::Signal;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How often a start is tried when somebody else has taken the port.
const PORT_TRIES: u32 = 5;

/// Which server the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// MariaDB, of the system's packages.
    MariaDb,
    /// MariaDB 11.8, as unpacked by `scripts/setup`.
    MariaDb118,
    /// MySQL, as unpacked by `scripts/setup`.
    MySql,
}

impl SourceKind {
    /// Whether it is one of the MariaDB versions.
    #[must_use]
    pub fn is_mariadb(self) -> bool {
        self != Self::MySql
    }

    /// The statement that shows the binlog's write position.
    #[must_use]
    pub fn status_statement(self) -> &'static str {
        if self.is_mariadb() { "SHOW MASTER STATUS" } else { "SHOW BINARY LOG STATUS" }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "mariadb",
            Self::MariaDb118 => "mariadb-11.8",
            Self::MySql => "mysql",
        })
    }
}

impl FromStr for SourceKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mariadb" => Ok(Self::MariaDb),
            "mariadb-11.8" => Ok(Self::MariaDb118),
            "mysql" => Ok(Self::MySql),
            _ => Err(Error::new(ErrorKind::Usage, format!("unknown kind of source: {text}"))
                .with_hint("mariadb, mariadb-11.8 or mysql")),
        }
    }
}

/// How much the binlog's TABLE_MAP events say about columns (`binlog_row_metadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowMetadata {
    /// Names, primary key, enum and set strings too.
    Full,
    /// Signedness, character sets, geometry types.
    Minimal,
    /// Nothing; only MariaDB has it, as its default.
    NoLog,
}

impl RowMetadata {
    /// The least that a kind of server can be set to.
    #[must_use]
    pub fn least(kind: SourceKind) -> Self {
        match kind {
            SourceKind::MariaDb | SourceKind::MariaDb118 => Self::NoLog,
            SourceKind::MySql => Self::Minimal,
        }
    }

    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Minimal => "MINIMAL",
            Self::NoLog => "NO_LOG",
        }
    }
}

/// How a source is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// MySQL: `gtid_mode` and `enforce_gtid_consistency`. MariaDB always has GTIDs; there it is `gtid_strict_mode`.
    pub gtid: bool,
    /// `binlog_row_metadata`.
    pub row_metadata: RowMetadata,
    /// More options, `--name=value`; they come last and so win over ours.
    pub extra: Vec<String>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { gtid: true, row_metadata: RowMetadata::Full, extra: Vec::new() }
    }
}

/// A running (or stopped) source. Dropping it ends the server and removes its folder.
#[derive(Debug)]
pub struct SourceServer {
    // before the folder, so that it is dropped first
    process: Option<Process>,
    folder: Folder,
    kind: SourceKind,
    options: SourceOptions,
    port: u16,
}

impl SourceServer {
    /// Starts a new, empty server and waits until it accepts connections.
    ///
    /// # Errors
    /// `Config` when the server is not installed, or cannot have these options; `SourceUnavailable`, with the end of the
    /// server's log, when it does not start.
    pub async fn start(kind: SourceKind, options: SourceOptions) -> Result<Self> {
        let folder = tokio::task::spawn_blocking(move || {
            program(kind)?; // says what is missing before anything is made
            let folder = Folder::new(&kind.to_string())?;
            match kind {
                SourceKind::MariaDb | SourceKind::MariaDb118 => mariadb::data_dir(kind, folder.path())?,
                SourceKind::MySql => mysql::data_dir(folder.path())?,
            };
            Ok(folder)
        });
        let folder = folder.await.map_err(|e| Error::new(ErrorKind::Bug, "initialising panicked").with_source(e))??;
        let mut server = Self { process: None, folder, kind, options, port: 0 };
        let mut tries = 0;
        loop {
            tries += 1;
            server.port = free_port();
            match server.launch().await {
                Err(error) if tries < PORT_TRIES && is_port_taken(&error) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    /// MariaDB or MySQL.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// How it is set up.
    #[must_use]
    pub fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The folder with everything of this server: `data/`, `<kind>.log`.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The same, to [`keep`](Folder::keep) it.
    pub fn folder_mut(&mut self) -> &mut Folder {
        &mut self.folder
    }

    /// The data directory, where the binlog files are.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The URL of a database for the administrator; an empty name for none.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as("root", PASSWORD, database)
    }

    /// The URL of a database for another user, whose name and password need no escaping in a URL.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops the server in good order.
    ///
    /// # Errors
    /// It does not stop in time; it is killed then.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Kills the server by SIGKILL, as a crash would. Returns when it is gone.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops the server if it runs, and starts it again on the same port and data.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.launch().await {
                Err(error) if tries < PORT_TRIES && is_port_taken(&error) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => return other,
            }
        }
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart_with(&mut self, options: SourceOptions) -> Result<()> {
        self.options = options;
        self.restart().await
    }

    async fn launch(&mut self) -> Result<()> {
        let (name, options) = match self.kind {
            SourceKind::MariaDb | SourceKind::MariaDb118 => ("mariadb", mariadb::options(&self.options)),
            SourceKind::MySql if self.options.row_metadata == RowMetadata::NoLog => {
                return Err(Error::new(ErrorKind::Config, "MySQL has no binlog_row_metadata=NO_LOG")
                    .with_hint("RowMetadata::least gives the least of each server"));
            }
            SourceKind::MySql => ("mysql", mysql::options(&self.options)),
        };
        let mut command = program(self.kind)?;
        command.extend(common_options(self.folder.path(), self.port).into_iter().map(Into::into));
        command.extend(options.into_iter().map(Into::into));
        command.extend(self.options.extra.iter().map(Into::into));
        // neither server keeps anything in System V or POSIX shared memory: SIGKILL leaves nothing
        let (stop, end) = (Signal::SIGTERM, Signal::SIGKILL);
        let (kind, environment) = (ErrorKind::SourceUnavailable, Vec::new());
        let launch = Launch { name, command, stop, end, kind, environment };
        let mut process = Process::spawn(&self.folder, launch)?;
        process.wait_until(|process| process.log().contains(": ready for connections")).await?;
        self.process = Some(process);
        Ok(())
    }
}

fn program(kind: SourceKind) -> Result<Vec<std::ffi::OsString>> {
    match kind {
        SourceKind::MariaDb | SourceKind::MariaDb118 => mariadb::program(kind),
        SourceKind::MySql => mysql::program(),
    }
}

/// Options both servers know. Small and quick: the data are thrown away, but a killed server must still find them, so
/// the log is written at each commit (and not synced: only a crash of the machine could tell).
fn common_options(folder: &Path, port: u16) -> Vec<String> {
    let folder = folder.display();
    vec![
        format!("--datadir={folder}/data"),
        // its own: MariaDB removes at its start whatever temporary tables it finds there, other servers' too
        format!("--tmpdir={folder}"),
        format!("--socket={folder}/socket"),
        format!("--pid-file={folder}/data/server.pid"),
        format!("--port={port}"),
        format!("--server-id={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--log-bin=binlog".to_owned(),
        "--binlog-row-image=FULL".to_owned(),
        "--sync-binlog=0".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        "--innodb-buffer-pool-size=64M".to_owned(),
        "--max-allowed-packet=256M".to_owned(),
        "--character-set-server=utf8mb4".to_owned(),
        "--local-infile=OFF".to_owned(),
    ]
}

/// Both servers refuse to run as root unless told to.
pub(super) fn as_root() -> Option<&'static str> {
    nix::unistd::geteuid().is_root().then_some("--user=root")
}

/// Gives the administrator a password, and lets it in by TCP.
pub(super) fn users_sql() -> String {
    format!(
        "ALTER USER 'root'@'localhost' IDENTIFIED BY '{PASSWORD}';\n\
         CREATE USER 'root'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
    )
}

/// Whether a start failed only because the port is in use (`EADDRINUSE` in the log's words).
pub(super) fn is_port_taken(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("Address already in use") || text.contains("Bind on TCP/IP port")
}
