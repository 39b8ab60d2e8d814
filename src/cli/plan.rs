//! `sirenia plan`: what a run would do, before the first one.

use crate::cli::args::TableArgs;
use crate::cli::print;
use crate::cli::schema::statements;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::plan::{self, LOOKED_AT, Plan};
use std::fmt::Write;

/// `sirenia plan`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Changes nothing on either side; values are looked for in the first 100,000 rows of each table.\n\n\
    Examples:\n  sirenia plan\n  sirenia plan --tables 'pasien*'\n  sirenia plan --sql | psql --single-transaction"
)]
pub struct PlanArgs {
    /// The statements that make tables, keys, indexes and the rest on an empty target
    #[arg(long, conflicts_with = "json")]
    pub sql: bool,
    /// JSON, one object
    #[arg(long)]
    pub json: bool,
    /// Which tables.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// Runs the command.
pub async fn run(config: Config, args: &PlanArgs) -> Result<u8> {
    let plan = plan::plan(&config).await?;
    let text = if args.json {
        let failed = |error| Error::new(ErrorKind::Bug, "the plan cannot be written as JSON").with_source(error);
        serde_json::to_string(&plan).map_err(failed)? + "\n"
    } else if args.sql {
        statements(&plan.steps)
    } else {
        text(&plan)
    };
    print(&text)?;
    Ok(0)
}

fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for table in &plan.tables {
        let filtered = if table.filtered { ", some of its rows" } else { "" };
        let (rows, size) = (table.rows, bytes(table.bytes));
        let _ = writeln!(out, "{} -> {}  about {rows} rows, {size}{filtered}", table.source, table.target);
        if let Some(why) = &table.exact {
            let _ = writeln!(out, "  copied exactly, as of one moment: {why}");
        }
        let names: Vec<(String, String)> = table
            .columns
            .iter()
            .map(|column| {
                let name = match &column.target {
                    Some(target) if *target != column.source => format!("{} -> {target}", column.source),
                    _ => column.source.clone(),
                };
                (name, format!("{} -> {}", column.declared, column.ty.as_deref().unwrap_or("nothing")))
            })
            .collect();
        let widest = |of: fn(&(String, String)) -> &str| names.iter().map(|pair| of(pair).chars().count()).max();
        let (a, b) = (widest(|pair| &pair.0).unwrap_or(0), widest(|pair| &pair.1).unwrap_or(0).min(60));
        for ((name, types), column) in names.iter().zip(&table.columns) {
            let why = column.why.as_deref().unwrap_or_default();
            let _ = writeln!(out, "{}", format!("  {name:a$}  {types:b$}  {why}").trim_end());
        }
    }
    let mut part = |title: String, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(out, "\n{title}\n  {}\n", lines.join("\n  "));
        }
    };
    let lossy = plan.lossy.iter().map(|found| {
        let (column, rows, of) = (&found.column, found.rows, found.of);
        format!("{column}  {} in {rows} of {of} rows: {}; {} decides", found.reason, found.policy, found.setting)
    });
    part("values that do not fit:".into(), lossy.collect());
    let not_boolean = plan.not_boolean.iter().map(|(column, rows)| format!("{column}  {rows} rows"));
    let others = plan.tinyint1 - plan.not_boolean.len();
    part(
        format!("tinyint(1) with other values than 0 and 1 ([types] tinyint1 = \"boolean\" fits the other {others}):"),
        not_boolean.collect(),
    );
    part("tables without a key (changes match whole rows, slow on large ones):".into(), plan.without_key.clone());
    part(
        "not carried:".into(),
        plan.not_carried.iter().map(|thing| format!("{}: {}", thing.what, thing.why)).collect(),
    );
    let _ = writeln!(
        out,
        "\n{} tables, about {} rows, {}; values looked for in the first {LOOKED_AT} rows of each",
        plan.tables.len(),
        plan.rows,
        bytes(plan.bytes)
    );
    let _ = writeln!(out, "the first copy takes about {}, without indexes", time(plan.seconds));
    let _ = writeln!(out, "rate: {}/s, {}", bytes(plan.rate.bytes_per_second as u64), plan.rate.from);
    out
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..1.0 => "a second".into(),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
