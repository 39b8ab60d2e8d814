//! `sirenia tables`: the tables one by one, paused and copied anew.

use crate::cli::args::{TablesAsk, TablesCommand, TablesList};
use crate::cli::print;
use crate::config::Config;
use crate::error::Result;
use crate::ops::tables::{self, Wish};
use crate::target::progress::TableProgress;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Runs the command. Exit code: 0 done, or written down for the next run; 1 it is not done yet.
pub async fn run(config: Config, command: &TablesCommand) -> Result<u8> {
    match command {
        TablesCommand::List(args) => list(&config, args).await,
        TablesCommand::Pause(args) => ask(&config, args, Wish::Pause).await,
        TablesCommand::Resume(args) => ask(&config, args, Wish::Resume).await,
        TablesCommand::Resync(args) => ask(&config, args, Wish::Resync).await,
    }
}

async fn list(config: &Config, args: &TablesList) -> Result<u8> {
    let tables = tables::list(config, &args.tables.tables).await?;
    let all = || tables.iter().map(as_json).collect::<Value>();
    print(&if args.json { format!("{}\n", all()) } else { as_text(&tables) })?;
    Ok(0)
}

async fn ask(config: &Config, args: &TablesAsk, wish: Wish) -> Result<u8> {
    let done = tables::ask(config, &args.names, wish, Duration::from_secs(args.wait)).await?;
    print(&as_text(&done.tables))?;
    if !done.running {
        tracing::warn!("no instance is running: the next `sirenia run` does it before it goes on");
        return Ok(0);
    }
    Ok(u8::from(!done.finished))
}

fn as_json(table: &TableProgress) -> Value {
    json!({
        "source": table.source.to_string(),
        "target": table.target.to_string(),
        "state": table.state.as_str(),
        "rows_copied": table.rows_copied,
        "why": table.error,
    })
}

fn as_text(tables: &[TableProgress]) -> String {
    let mut out = String::new();
    let width = tables.iter().map(|table| table.source.to_string().chars().count()).max().unwrap_or(0);
    for table in tables {
        let why = table.error.as_deref().map(|why| format!("  {why}")).unwrap_or_default();
        let _ = writeln!(out, "{:width$}  {}{why}", table.source.to_string(), table.state.as_str());
    }
    out
}
