//! The command line: arguments as typed, settings resolved, one file per command group.
//!
//! Data goes to stdout, everything else to stderr. A command returns its exit code: 0 done, 1 the answer is no;
//! errors carry theirs ([`crate::error::ErrorKind::exit_code`]). A command is in [`args::Command`] once it works.

pub mod args;
pub mod check;
pub mod cutover;
pub mod demo;
pub mod logging;
pub mod plan;
pub mod progress;
pub mod quarantine;
pub mod reset;
pub mod run;
pub mod sanitized;
pub mod schema;
pub mod status;
pub mod stream;
pub mod tables;
pub mod verify;

use crate::config::{Config, Raw};
use crate::error::{Error, ErrorKind, Result};
use args::{Args, Command, GlobalArgs};
use std::io::Write;

/// Does what the command line says and returns the exit code.
pub async fn dispatch(args: Args) -> Result<u8> {
    let Args { global, command } = args;
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Check(args) => check::run(&settings(global, |raw| args.tables.flags(raw))?).await,
        Command::Run(args) => run::run(settings(global, |raw| args.flags(raw))?, &args).await,
        Command::Status(args) => status::run(global.inputs(|_| {}), &args).await,
        Command::Verify(args) => verify::run(settings(global, |_| {})?, &args).await,
        Command::Plan(args) => plan::run(settings(global, |raw| args.tables.flags(raw))?, &args).await,
        Command::Cutover(args) => cutover::run(settings(global, |_| {})?, &args).await,
        Command::Quarantine(args) => quarantine::run(settings(global, |_| {})?, &args.command).await,
        Command::Sanitized(args) => sanitized::run(settings(global, |_| {})?, &args).await,
        Command::Schema(args) => schema::run(settings(global, |_| {})?, &args.command).await,
        Command::Tail(args) => stream::tail(global.inputs(|raw| args.stream.tables.flags(raw)), &args).await,
        Command::Record(args) => stream::record(global.inputs(|raw| args.stream.tables.flags(raw)), &args).await,
        Command::Replay(args) => stream::replay(global.inputs(|_| {}), &args).await,
        Command::Tables(args) => tables::run(settings(global, |_| {})?, &args.command).await,
        Command::Reset(args) => reset::run(settings(global, |_| {})?, &args).await,
    }
}

/// Resolves the settings, starts logging as they say, and logs their warnings.
fn settings(global: GlobalArgs, command: impl FnOnce(&mut Raw)) -> Result<Config> {
    let config = global.inputs(command).resolve()?;
    logging::init(&config.log)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// Writes data to stdout. A reader that has gone away (`| head`) ends the process as it does other tools'.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|error| Error::new(ErrorKind::Io, "stdout cannot be written").with_source(error)),
    }
}
