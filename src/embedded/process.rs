//! One server process: started in its own process group, watched, ended.
//!
//! Invariant: the process is entered in the folder's `pids/` before the server's program begins, and is reaped before
//! its entry is removed; so the watchdog always knows it and never kills a stranger who got its number.

use super::folder::Folder;
use crate::error::{Error, ErrorKind, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start (crash recovery included) and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(10);
/// Notes its own process in `$1`, with the signal `$2`, and becomes the server.
const ENTER: &str = r#"printf '%s %s\n' "$$" "$2" >"$1" && shift 2 && exec "$@""#;
/// Lines of the server's log shown in an error.
const TAIL: usize = 15;

/// What to run and how to end it.
#[derive(Debug)]
pub(super) struct Launch {
    /// For messages and the name of the log.
    pub name: &'static str,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The signal for an orderly stop.
    pub stop: Signal,
    /// The signal that ends it at once and still leaves nothing in shared memory.
    pub end: Signal,
    /// The kind of an error in starting or stopping.
    pub kind: ErrorKind,
    /// Variables to set, or to take away. Not arguments: other users of the machine can see those.
    pub environment: Vec<(OsString, Option<OsString>)>,
}

/// A running server process. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Process {
    launch: Launch,
    child: Child,
    pid_file: PathBuf,
    log: PathBuf,
    /// Where this start's part of the log begins.
    log_from: u64,
}

impl Process {
    /// Starts the server, its output going to `<name>.log` in the folder.
    pub fn spawn(folder: &Folder, launch: Launch) -> Result<Self> {
        let failed =
            |e: std::io::Error| Error::new(launch.kind, format!("cannot start {}", launch.name)).with_source(e);
        let log = folder.path().join(format!("{}.log", launch.name));
        let output = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let log_from = output.metadata().map_or(0, |m| m.len());
        let pid_file = folder.pid_file(launch.name);
        let end = launch.end.as_str().trim_start_matches("SIG");
        let mut command = enter(&pid_file, end, &launch.command);
        for (name, value) in &launch.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .spawn()
            .map_err(failed)?;
        Ok(Self { launch, child, pid_file, log, log_from })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server has written to its log since this start.
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(0).min(text.len());
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    /// Waits until `ready` says so; fails, with the end of the log, when the server ends or takes too long.
    pub async fn wait_until(&mut self, ready: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            if ready(self) {
                return Ok(());
            }
            let what = match self.exited() {
                Some(status) => format!("{} ended while starting ({status})", self.launch.name),
                None if start.elapsed() > PATIENCE => {
                    format!("{} was not ready within {} s", self.launch.name, PATIENCE.as_secs())
                }
                None => {
                    tokio::time::sleep(TICK).await;
                    continue;
                }
            };
            return Err(Error::new(self.launch.kind, what).detail(tail(&self.log())));
        }
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Stops the server in good order.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(self.launch.stop);
        let start = Instant::now();
        while self.exited().is_none() {
            if start.elapsed() > PATIENCE {
                let what = format!("{} did not stop within {} s and was killed", self.launch.name, PATIENCE.as_secs());
                return Err(Error::new(self.launch.kind, what).detail(tail(&self.log())));
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Ends the server and its children by SIGKILL, as a crash would.
    pub fn kill(mut self) {
        // the parent first, before it notices that a child is gone; then those that would linger
        let children = children(self.pid());
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        for child in &children {
            let _ = kill(*child, Signal::SIGKILL);
        }
        let start = Instant::now();
        while children.iter().any(|child| is_alive(*child)) && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(TICK);
        }
    }

    fn signal(&mut self, signal: Signal) {
        // not reaped yet, so the number is still this process's
        if self.exited().is_none()
            && let Ok(pid) = i32::try_from(self.pid())
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.launch.end);
        let start = Instant::now();
        while self.exited().is_none() {
            if start.elapsed() > Duration::from_secs(7) {
                self.signal(Signal::SIGKILL);
            }
            std::thread::sleep(TICK);
        }
        let _ = fs::remove_file(&self.pid_file);
    }
}

/// The children of a process, from the parent's number in `/proc/<pid>/stat` (proc(5)).
fn children(parent: u32) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, ppid)| ppid == parent)).map(Pid::from_raw).collect()
}

fn is_alive(pid: Pid) -> bool {
    stat(pid.as_raw()).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// State and parent of a process. The program's name, in parentheses, may itself hold blanks and parentheses.
fn stat(pid: i32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Runs a tool to its end, in the folder; fails with the end of what it wrote.
///
/// It is entered for the watchdog as a server is, so that a folder is never removed under a tool that still writes to it.
pub(super) fn run(what: &str, command: &[OsString], input: &str, folder: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(ErrorKind::Io, format!("cannot run {what}")).with_source(e);
    let (input_file, pid_file) = (folder.join("input.sql"), folder.join("pids/tool"));
    fs::write(&input_file, input).map_err(failed)?;
    let output = enter(&pid_file, "KILL", command)
        .current_dir(folder)
        .stdin(File::open(&input_file).map_err(failed)?)
        .env("LC_ALL", "C")
        // a server that starts removes the temporary tables it finds, another server's too
        .env("TMPDIR", folder)
        .output()
        .map_err(failed)?;
    let _ = fs::remove_file(&pid_file);
    let _ = fs::remove_file(&input_file);
    if output.status.success() {
        return Ok(());
    }
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error::new(ErrorKind::Io, format!("{what} failed ({})", output.status)).detail(tail(&text)))
}

/// The command, noting itself for the watchdog, in a process group of its own: Ctrl-C then ends the owner alone, and the
/// watchdog the rest.
fn enter(pid_file: &Path, signal: &str, command: &[OsString]) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", ENTER, "sh"]).arg(pid_file).arg(signal).args(command).process_group(0);
    shell
}

/// The last lines of a log.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
