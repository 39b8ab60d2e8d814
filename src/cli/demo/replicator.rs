//! `sirenia run` as the demo's child: this very program, with its settings in variables.

use super::servers::Servers;
use crate::embedded::{Companion, free_port};
use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Output;

/// Seconds after which a successor may take over from a killed instance; the default is tuned for rest, not for a demo.
const LEASE_TTL: &str = "2";

/// The program and what it is told.
pub(super) struct Replicator {
    program: PathBuf,
    environment: Vec<(OsString, Option<OsString>)>,
    http: String,
    running: Option<Companion>,
}

impl Replicator {
    pub fn new(servers: &Servers) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Error::new(ErrorKind::Io, "this program's file is not known").with_source(error))?;
        let http = format!("127.0.0.1:{}", free_port());
        // nothing that is set for another pipeline of this machine may reach the demo
        let foreign = |name: &OsString| {
            let name = name.to_string_lossy();
            ["SIRENIA_", "DB_", "PGSQL_", "SYNC_"].iter().any(|prefix| name.starts_with(prefix))
        };
        let mut environment: Vec<_> =
            std::env::vars_os().map(|(name, _)| name).filter(foreign).map(|name| (name, None)).collect();
        for (name, value) in [
            ("SIRENIA_SOURCE_URL", servers.source_url()),
            ("SIRENIA_TARGET_URL", servers.target_url()),
            ("SIRENIA_HTTP_LISTEN", http.clone()),
            ("SIRENIA_LEASE_TTL", LEASE_TTL.to_owned()),
        ] {
            environment.push((name.into(), Some(value.into())));
        }
        Ok(Self { program, environment, http, running: None })
    }

    /// Starts `sirenia run`; returns its process.
    pub fn start(&mut self, servers: &Servers) -> Result<u32> {
        let command = vec![self.program.clone().into(), "run".into()];
        let folder = servers.source.folder();
        let companion = Companion::start(folder, "sirenia", command, self.environment.clone())?;
        let pid = companion.pid();
        self.running = Some(companion);
        Ok(pid)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(companion) = self.running.take() {
            companion.kill();
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(companion) => companion.stop().await,
            None => Ok(()),
        }
    }

    /// Fails, with the end of its log, when it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.running.as_mut().and_then(|companion| Some((companion.exited()?, companion.last_words()))) {
            Some((status, words)) => {
                Err(Error::new(ErrorKind::Bug, format!("sirenia run ended by itself ({status})")).detail(words))
            }
            None => Ok(()),
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        self.running.as_ref().map(Companion::last_words).unwrap_or_default()
    }

    /// Where its page is.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Runs another of the program's commands to its end.
    pub async fn output(&self, servers: &Servers, arguments: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::new(&self.program);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.args(arguments).current_dir(servers.source.folder().path()).kill_on_drop(true).output();
        output
            .await
            .map_err(|error| Error::new(ErrorKind::Io, "this program cannot be started again").with_source(error))
    }
}
