//! Any other program that must not outlive the folder's owner, such as a replicator between two embedded servers.
//!
//! Runs in the folder, in a process group of its own, entered for the watchdog as the servers are: it ends with its
//! owner, even when the owner is killed. What it writes is in `<name>.log` of the folder.

use super::folder::Folder;
use super::process::{Launch, Process, tail};
use crate::error::{ErrorKind, Result};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::process::ExitStatus;

/// A program beside the servers. Dropping it kills it.
#[derive(Debug)]
pub struct Companion(Process);

impl Companion {
    /// Starts `command` (program and arguments) with more variables, or fewer where the value is none.
    ///
    /// # Errors
    /// `Io` when the log cannot be written or the process cannot be made. A program that is not there ends at once with
    /// status 127.
    pub fn start(
        folder: &Folder,
        name: &'static str,
        command: Vec<OsString>,
        environment: Vec<(OsString, Option<OsString>)>,
    ) -> Result<Self> {
        let (stop, end, kind) = (Signal::SIGTERM, Signal::SIGKILL, ErrorKind::Io);
        Process::spawn(folder, Launch { name, command, stop, end, kind, environment }).map(Self)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.0.exited()
    }

    /// The last lines that it has written since its start.
    #[must_use]
    pub fn last_words(&self) -> String {
        tail(&self.0.log())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// It does not end within a minute; it is killed then.
    pub async fn stop(self) -> Result<()> {
        self.0.stop().await
    }

    /// Kills it by SIGKILL. Returns when it is gone.
    pub fn kill(self) {
        self.0.kill();
    }
}
