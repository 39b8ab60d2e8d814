//! The command line as typed: flags, commands and their help.
//!
//! Flags fill the same [`Raw`] as the file and the environment, the strongest place of all. clap does not read the
//! environment here, or a variable would count as a flag. URLs given as flags are secrets: they show in no `Debug`
//! output, and [`parse`] takes the login out of what clap repeats of a command line that it cannot read.

use crate::cli::cutover::CutoverArgs;
use crate::cli::plan::PlanArgs;
use crate::config::{Inputs, LogFormat, Raw};
use crate::stream::Place;
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const ABOUT: &str = "Carries a live MySQL or MariaDB database into PostgreSQL and keeps it there";

const LONG_ABOUT: &str = "Carries a live MySQL or MariaDB database into PostgreSQL and keeps it there: \
    a first copy without locks, then every change, in order, exactly once.";

const AFTER_HELP: &str = "\
Settings come from sirenia.toml, then SIRENIA_* variables, then flags; the last that speaks wins.
SIRENIA_SOURCE_URL and SIRENIA_TARGET_URL alone are enough.

Exit codes: 0 done; 1 the answer is no; 2 usage or settings; 3 failed at run time.

Examples:
  export SIRENIA_SOURCE_URL=mysql://repl:password@db:3306/lab
  export SIRENIA_TARGET_URL=postgres://sirenia:password@pg:5432/lab
  sirenia check              what is missing, and the statement that mends it
  sirenia run                copy, then follow
  sirenia status --watch     how far it is";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "sirenia", version, about = ABOUT, long_about = LONG_ABOUT, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true)]
pub struct Args {
    /// What all commands have.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole job on private servers, and proves at the end that both sides are equal
    Demo(DemoArgs),
    /// Checks the settings, and both servers, without changing anything
    Check(CheckArgs),
    /// Shows what a run would do: tables, types, values that do not fit, time
    Plan(PlanArgs),
    /// Copies what is not copied yet, then follows the source
    Run(RunArgs),
    /// Shows how far the pipeline is
    Status(StatusArgs),
    /// Compares both sides, also while they are in use
    Verify(VerifyArgs),
    /// Shows which values had to be changed to fit: where, why, and of which rows
    Sanitized(SanitizedArgs),
    /// Prints the source's changes as lines of JSON; needs no target
    Tail(TailArgs),
    /// Writes the source's changes to a file; needs no target
    Record(RecordArgs),
    /// Prints a recording as `tail` prints changes; needs no server
    Replay(ReplayArgs),
    /// Shows the rows that could not be applied, and tries them again
    Quarantine(QuarantineArgs),
    /// Compares the target's schema with the source's, and brings it in line
    Schema(SchemaArgs),
    /// Shows the tables, pauses them, and has them copied anew
    Tables(TablesArgs),
    /// Moves the application to the target: go or no-go, with what mends it
    Cutover(CutoverArgs),
    /// Drops what the pipeline made on the target, to begin anew
    Reset(ResetArgs),
}

/// Flags of all commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GlobalArgs {
    /// Settings file [default: sirenia.toml, if it exists] [env: SIRENIA_CONFIG]
    #[arg(long, short, global = true, value_name = "FILE", help_heading = "Settings")]
    pub config: Option<PathBuf>,
    /// File with variables, such as the PHP tool's .env; weaker than the environment [env: SIRENIA_ENV_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub env_file: Option<PathBuf>,
    /// MySQL or MariaDB server; other users of the machine can see flags, prefer [env: SIRENIA_SOURCE_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings", value_parser = secret)]
    pub source_url: Option<SecretString>,
    /// PostgreSQL server; other users of the machine can see flags, prefer [env: SIRENIA_TARGET_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings", value_parser = secret)]
    pub target_url: Option<SecretString>,
    /// Name that the checkpoint and the lease are kept under [default: default] [env: SIRENIA_PIPELINE]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Settings")]
    pub pipeline: Option<String>,
    /// text or json [default: text] [env: SIRENIA_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Settings")]
    pub log_format: Option<LogFormat>,
    /// error, warn, info, debug, trace, or a filter like sirenia=debug,warn [default: info] [env: SIRENIA_LOG]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Settings")]
    pub log_level: Option<String>,
}

impl GlobalArgs {
    /// What settings are made from: these flags, those of a command put in by `command`, and the process's variables.
    pub fn inputs(self, command: impl FnOnce(&mut Raw)) -> Inputs {
        let mut flags = Raw { pipeline: self.pipeline, ..Raw::default() };
        flags.source.url = self.source_url;
        flags.target.url = self.target_url;
        flags.log.format = self.log_format;
        flags.log.level = self.log_level;
        command(&mut flags);
        Inputs { file: self.config, env_file: self.env_file, ..Inputs::of_process(flags) }
    }
}

/// `--tables`, of commands that read tables.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TableArgs {
    /// Only these tables: names or patterns, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tables: Vec<String>,
}

impl TableArgs {
    /// Lets the tables stand for `tables.include`; excludes still count.
    pub fn flags(&self, raw: &mut Raw) {
        if !self.tables.is_empty() {
            raw.tables.include = Some(self.tables.clone());
        }
    }
}

/// `sirenia check`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Exit code 0: ready to run; 1: something must be mended first.\n\n\
    Examples:\n  sirenia check\n  sirenia check --config lab.toml --tables 'pasien*,hasil'")]
pub struct CheckArgs {
    /// Which tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia run`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "SIGINT or SIGTERM finish the batch in hand, save and exit 0; started again, it continues there.\n\n\
    Examples:\n  sirenia run\n  sirenia run --once            up to what is committed now, then exit\n  \
    sirenia run --http-listen off"
)]
pub struct RunArgs {
    /// Stop at what was committed on the source when it started
    #[arg(long)]
    pub once: bool,
    /// Where health, metrics and status are served, or "off" [default: 127.0.0.1:9477]
    #[arg(long, value_name = "ADDRESS")]
    pub http_listen: Option<String>,
    /// Which tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

impl RunArgs {
    /// Puts these flags where settings come from.
    pub fn flags(&self, raw: &mut Raw) {
        raw.http.listen.clone_from(&self.http_listen);
        self.tables.flags(raw);
    }
}

/// `sirenia status`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  sirenia status\n  sirenia status --watch\n  sirenia status --json | jq .lag_seconds"
)]
pub struct StatusArgs {
    /// JSON, one object per line
    #[arg(long)]
    pub json: bool,
    /// Again every two seconds until interrupted
    #[arg(long, short)]
    pub watch: bool,
    /// Ask the instance that listens there, not the servers
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
}

/// `sirenia verify`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Both sides may be in use and the copy running. Exit code 0: equal; 1: not, or not settled.\n\n\
    Examples:\n  sirenia verify\n  sirenia verify --counts --tables 'pasien*'\n  sirenia verify --json > report.json"
)]
pub struct VerifyArgs {
    /// Compare only how many rows there are
    #[arg(long)]
    pub counts: bool,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia sanitized`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Shows keys, but no values. Every value is counted; the first 1000 of each column and reason \
    are recorded one by one.\n\nExamples:\n  sirenia sanitized\n  sirenia sanitized --tables 'pasien*' --newest 50\n  \
    sirenia sanitized --json | jq '.[].count'")]
pub struct SanitizedArgs {
    /// JSON, one array
    #[arg(long)]
    pub json: bool,
    /// How many values of each column and reason to show, the newest first
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub newest: u32,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// Where a stream of changes begins and ends, of commands that read one.
#[derive(Debug, Clone, clap::Args)]
pub struct StreamArgs {
    /// Which tables.
    #[command(flatten)]
    pub tables: TableArgs,
    /// Where to begin: FILE:POS, a GTID set (behind its transactions), or now
    #[arg(long, value_name = "PLACE", default_value = "now", conflicts_with = "files")]
    pub from: Place,
    /// Where to end: FILE:POS, a GTID set, or now; without it, when interrupted
    #[arg(long, value_name = "PLACE", visible_alias = "stop-at")]
    pub until: Option<Place>,
    /// How long to read, like 10s, 5m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub time: Option<Duration>,
    /// Read these binlog files, in their order, instead of asking the server for them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The columns of the files' tables are those of this recording [default: as the source has them now]
    #[arg(long, value_name = "RECORDING", requires = "files")]
    pub schema: Option<PathBuf>,
}

/// `--values`, of commands that print rows.
const VALUES: &str = "Whether the rows' values are shown; with --values=false only which columns changed";

/// `sirenia tail`
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "One object per line: begin, insert, update, delete, savepoint, rollback_to, commit, rollback, ddl.\n\
    Rows count once their transaction's commit has come.\n\n\
    Examples:\n  sirenia tail --tables 'pasien*'\n  sirenia tail --from binlog.000042:4 --until now | jq -c 'select(.table)'\n  \
    sirenia tail --files binlog.000041 binlog.000042 --schema old.rec"
)]
pub struct TailArgs {
    /// Which stream.
    #[command(flatten)]
    pub stream: StreamArgs,
    #[arg(long, help = VALUES, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    #[expect(missing_docs, reason = "its help is above")]
    pub values: bool,
}

/// `sirenia record`
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The file holds the rows' values. SIGINT and SIGTERM end it in good order; it is never written over.\n\n\
    Examples:\n  sirenia record today.rec --for 1h\n  sirenia record old.rec --from binlog.000001:4 --until now\n  \
    sirenia record old.rec --files /backup/binlog.0000*"
)]
pub struct RecordArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which stream.
    #[command(flatten)]
    pub stream: StreamArgs,
}

/// `sirenia replay`
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit code 0: the recording is whole; 3: it is damaged or was cut off, what is whole is printed.\n\n\
    Example:\n  sirenia replay today.rec | jq -c 'select(.event == \"delete\")'"
)]
pub struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[arg(long, help = VALUES, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    #[expect(missing_docs, reason = "its help is above")]
    pub values: bool,
}

/// `sirenia quarantine`
#[derive(Debug, Clone, clap::Args)]
pub struct QuarantineArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What to do with the quarantine.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineCommand {
    /// Shows the rows: table, key, why
    List(QuarantineList),
    /// Has the running instance try rows again, and says what became of them
    Retry(QuarantineRetry),
}

/// `sirenia quarantine list`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct QuarantineList {
    /// JSON, one array
    #[arg(long)]
    pub json: bool,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia quarantine retry`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Exit code 0: all of them came out; 1: some did not.\n\n\
    Examples:\n  sirenia quarantine retry\n  sirenia quarantine retry 17 18\n  sirenia quarantine retry --tables hasil")]
pub struct QuarantineRetry {
    /// Numbers of rows, as `list` shows them; all without any
    pub ids: Vec<i64>,
    /// Seconds to wait for the outcome
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub wait: u64,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia tables`
#[derive(Debug, Clone, clap::Args)]
pub struct TablesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TablesCommand,
}

/// What to do with tables.
#[derive(Debug, Clone, Subcommand)]
pub enum TablesCommand {
    /// Shows the tables and how they are
    List(TablesList),
    /// Leaves the tables' changes out, until they are resumed; everything else goes on
    Pause(TablesAsk),
    /// Copies paused tables anew and follows them again
    Resume(TablesAsk),
    /// Copies tables anew; they cannot be read on the target meanwhile
    Resync(TablesAsk),
}

/// `sirenia tables list`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TablesList {
    /// JSON, one array
    #[arg(long)]
    pub json: bool,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia tables pause`, `resume` and `resync`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "The running instance does it, or the next one that runs. Exit code 1: it is not done yet.\n\n\
    Examples:\n  sirenia tables resync hasil\n  sirenia tables pause 'log_*' && sirenia tables resume 'log_*'")]
pub struct TablesAsk {
    /// Names or patterns of the source's tables
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Seconds to wait until it is done
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub wait: u64,
}

/// `sirenia schema`
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SchemaCommand,
}

/// What to do with the target's schema.
#[derive(Debug, Clone, Subcommand)]
pub enum SchemaCommand {
    /// Shows what differs, what is not carried and which foreign keys do not hold
    Status(SchemaLook),
    /// Shows each difference with its reason
    Diff(SchemaLook),
    /// Shows the statements that bring the target in line
    Plan(SchemaLook),
    /// Runs these statements: before the first run, or beside a running one
    Apply(SchemaApply),
    /// Shows the statements by which something would be lost
    Lint(SchemaLook),
}

/// `sirenia schema status`, `diff`, `plan` and `lint`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Exit code 0: nothing to do; 1: there are differences (lint: some of them lose something).\n\n\
    Examples:\n  sirenia schema status\n  sirenia schema plan --tables 'pasien*'\n  sirenia schema diff --json | jq '.steps[].why'")]
pub struct SchemaLook {
    /// JSON, one object
    #[arg(long)]
    pub json: bool,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia schema apply`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "What is there and right stays as it is; what was not planned is not dropped.\n\n\
    Examples:\n  sirenia schema apply --dry-run\n  sirenia schema apply\n  sirenia schema apply --tables hasil --allow")]
pub struct SchemaApply {
    /// Show the statements, and run none
    #[arg(long)]
    pub dry_run: bool,
    /// Run those too by which something is lost
    #[arg(long)]
    pub allow: bool,
    /// Which of the carried tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// `sirenia reset`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Drops the tables that this pipeline made on the target, and its checkpoint. \
    The source is not touched.\n\nExample:\n  sirenia reset --pipeline lab --yes")]
pub struct ResetArgs {
    /// Really drop them
    #[arg(long)]
    pub yes: bool,
}

/// `sirenia demo`
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Starts private servers in a temporary folder, fills the source, copies, follows a live \
    workload and proves at the end that both sides are equal.\n\n\
    Examples:\n  sirenia demo\n  sirenia demo --mysql --rows 200000 --seconds 30 --keep")]
pub struct DemoArgs {
    /// MySQL instead of MariaDB as the source
    #[arg(long)]
    pub mysql: bool,
    /// Leave the servers running and print how to reach them
    #[arg(long)]
    pub keep: bool,
    /// Tables in the source
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub tables: u32,
    /// Rows in all tables together
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rows: u64,
    /// Seed of data and workload: the same seed makes the same rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How long the workload runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub seconds: u64,
}

/// A time like 10s, 5m or 2h; seconds without a unit.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)) {
        Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("write a time from 1s to a year, like 10s, 5m or 2h".into()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

/// Reads the process's command line. Ends the process after `--help`, `--version` (exit code 0) and on a command
/// line that cannot be read (exit code 2).
#[must_use]
pub fn parse() -> Args {
    Args::try_parse().unwrap_or_else(|error| {
        let text = error.to_string();
        let clean = without_logins(&text);
        if clean == text || !error.use_stderr() {
            error.exit();
        }
        let _ = std::io::stderr().write_all(clean.as_bytes());
        std::process::exit(error.exit_code());
    })
}

/// The text with `://***@` in the place of every `://user:password@`.
fn without_logins(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let end = after.find(['\n', ' ', '\'']).unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| {
            out.push_str("***");
            &after[at..]
        });
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
