//! A private PostgreSQL server, as a target of replication.
//!
//! Owns the server's folder and process. The data survive stop, kill and restart, on the same port; everything goes when
//! the value is dropped. PostgreSQL refuses to run as root: then it runs as the user `postgres`, to whom the data
//! directory belongs.

use super::folder::Folder;
use super::port::free_port;
use super::process::{Launch, Process, run};
use super::source::is_port_taken;
use super::{PASSWORD, find, template};
use crate::error::{Error, ErrorKind, Result};
use nix::sys::signal::Signal;
use nix::unistd::User;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PORT_TRIES: u32 = 5;

/// Which PostgreSQL the target is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TargetVersion {
    /// That of the system's packages.
    #[default]
    System,
    /// PostgreSQL 18, as unpacked by `scripts/setup`.
    V18,
}

impl TargetVersion {
    /// The folder of its programs.
    fn programs(self) -> Result<PathBuf> {
        match self {
            Self::System => find::postgres(),
            Self::V18 => find::postgres_18(),
        }
    }
}

/// How a target is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetOptions {
    /// Which server.
    pub version: TargetVersion,
    /// Whether commits survive a crash of the machine (`fsync`). Without it they still survive a crash of the server.
    pub durable: bool,
    /// More settings, `name=value`; they come last and so win over ours.
    pub extra: Vec<String>,
}

/// A running (or stopped) target. Dropping it ends the server and removes its folder.
#[derive(Debug)]
pub struct TargetServer {
    // before the folder, so that it is dropped first
    process: Option<Process>,
    folder: Folder,
    options: TargetOptions,
    port: u16,
}

impl TargetServer {
    /// Starts a new server with the one database `postgres`, and waits until it accepts connections.
    ///
    /// # Errors
    /// `Config` when the server is not installed; `TargetUnavailable`, with the end of the server's log, when it does not
    /// start.
    pub async fn start(options: TargetOptions) -> Result<Self> {
        let version = options.version;
        let folder = tokio::task::spawn_blocking(move || {
            version.programs()?; // says what is missing before anything is made
            let folder = Folder::new("postgres")?;
            data_dir(version, folder.path())?;
            Ok(folder)
        });
        let folder = folder.await.map_err(|e| Error::new(ErrorKind::Bug, "initialising panicked").with_source(e))??;
        let mut server = Self { process: None, folder, options, port: 0 };
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

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The folder with everything of this server: `data/`, `postgres.log`.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The same, to [`keep`](Folder::keep) it.
    pub fn folder_mut(&mut self) -> &mut Folder {
        &mut self.folder
    }

    /// The URL of a database for the superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", PASSWORD, database)
    }

    /// The URL of a database for another user, whose name and password need no escaping in a URL.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops the server in good order, ending its sessions (a "fast" shutdown).
    ///
    /// # Errors
    /// It does not stop in time; it is killed then.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Kills the postmaster and all its sessions by SIGKILL, as a crash would. Returns when they are gone.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops the server if it runs, and starts it again on the same port and data, through recovery after a crash.
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
    pub async fn restart_with(&mut self, options: TargetOptions) -> Result<()> {
        self.options = options;
        self.restart().await
    }

    async fn launch(&mut self) -> Result<()> {
        let data = self.folder.path().join("data");
        let mut command = as_postgres()?;
        command.extend([self.options.version.programs()?.join("postgres").into(), "-D".into(), data.clone().into()]);
        let fsync = if self.options.durable { "on" } else { "off" };
        let ours = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("fsync={fsync}"),
            format!("full_page_writes={fsync}"),
            // in files of the data directory, so that even a killed server leaves nothing in /dev/shm
            "dynamic_shared_memory_type=mmap".to_owned(),
            "log_line_prefix=%m [%p] ".to_owned(),
        ];
        for setting in ours.iter().chain(&self.options.extra) {
            command.extend(["-c".into(), setting.into()]);
        }
        // SIGINT: "fast", SIGQUIT: "immediate" (pg_ctl(1)); the latter still frees the interlock's shared memory
        let (stop, end) = (Signal::SIGINT, Signal::SIGQUIT);
        let (kind, environment) = (ErrorKind::TargetUnavailable, Vec::new());
        let launch = Launch { name: "postgres", command, stop, end, kind, environment };
        let mut process = Process::spawn(&self.folder, launch)?;
        process.wait_until(|process| is_ready(&data, process.pid())).await?;
        self.process = Some(process);
        Ok(())
    }
}

/// Whether `postmaster.pid` is this process's and says "ready" in its eighth line (pidfile.h, as pg_ctl reads it).
fn is_ready(data: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim() == pid.to_string()) && lines.nth(6).is_some_and(|s| s.trim() == "ready")
}

/// Puts an initialised data directory into the folder.
fn data_dir(version: TargetVersion, folder: &Path) -> Result<PathBuf> {
    let bin = version.programs()?;
    let version = find::version(&bin.join("postgres")).unwrap_or_default();
    template::data_dir(folder, &format!("postgres-{version}"), |work| {
        let failed = |e| Error::new(ErrorKind::Io, "cannot prepare PostgreSQL's data directory").with_source(e);
        let (data, password) = (work.join("data"), work.join("password"));
        fs::create_dir(&data).map_err(failed)?;
        fs::write(&password, PASSWORD).map_err(failed)?;
        if let Some(user) = other_user()? {
            for path in [&data, &password] {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(failed)?;
            }
        }
        let mut command = as_postgres()?;
        command.extend([bin.join("initdb").into(), "-D".into(), data.into()]);
        // sorted by bytes and with Unicode's letters: the same on every machine
        let options = ["--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "--no-sync", "-U", "postgres"];
        command.extend(options.map(OsString::from));
        command.extend(["--auth-host=scram-sha-256", "--auth-local=reject", "--pwfile"].map(OsString::from));
        command.push(password.into());
        run("initdb", &command, "", work)
    })
}

/// The user to run as, when we are root.
fn other_user() -> Result<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match User::from_name("postgres") {
        Ok(Some(user)) => Ok(Some(user)),
        _ => Err(Error::new(ErrorKind::Config, "PostgreSQL does not run as root, and there is no user postgres")
            .with_hint("run as an ordinary user, or: useradd --system postgres")),
    }
}

/// The words before a command that make it run as that user: empty when we are not root.
///
/// A command and not `CommandExt::uid`, because the process notes itself for the watchdog as root first.
fn as_postgres() -> Result<Vec<OsString>> {
    let Some(user) = other_user()? else { return Ok(Vec::new()) };
    Ok(vec![
        "setpriv".into(),
        format!("--reuid={}", user.uid).into(),
        format!("--regid={}", user.gid).into(),
        "--clear-groups".into(),
        "--".into(),
    ])
}
