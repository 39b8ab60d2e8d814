//! `sirenia schema`: how the target's schema stands to the source's, and bringing it in line.

use crate::cli::args::{SchemaApply, SchemaCommand, SchemaLook};
use crate::cli::print;
use crate::config::Config;
use crate::error::Result;
use crate::ops::schema::{self, Standing};
use crate::target::objects::{Applied, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Runs the command: exit code 1 when there is a difference, of `lint` when something would be lost.
pub async fn run(config: Config, command: &SchemaCommand) -> Result<u8> {
    match command {
        SchemaCommand::Status(args) => look(&config, args, status).await,
        SchemaCommand::Diff(args) => look(&config, args, |standing| differences(&standing.steps)).await,
        SchemaCommand::Plan(args) => look(&config, args, |standing| statements(&standing.steps)).await,
        SchemaCommand::Lint(args) => lint(&config, args).await,
        SchemaCommand::Apply(args) => apply(&config, args).await,
    }
}

async fn look(config: &Config, args: &SchemaLook, text: impl Fn(&Standing) -> String) -> Result<u8> {
    let standing = schema::status(config, &args.tables.tables).await?;
    print(&if args.json { format!("{}\n", as_json(&standing)) } else { text(&standing) })?;
    Ok(u8::from(!standing.steps.is_empty()))
}

async fn lint(config: &Config, args: &SchemaLook) -> Result<u8> {
    let mut standing = schema::status(config, &args.tables.tables).await?;
    standing.steps.retain(|step| step.lossy.is_some());
    print(&if args.json {
        format!("{}\n", as_json(&standing))
    } else if standing.steps.is_empty() {
        "nothing would be lost\n".into()
    } else {
        statements(&standing.steps)
    })?;
    Ok(u8::from(!standing.steps.is_empty()))
}

async fn apply(config: &Config, args: &SchemaApply) -> Result<u8> {
    if args.dry_run {
        print(&statements(&schema::status(config, &args.tables.tables).await?.steps))?;
        return Ok(0);
    }
    let applied = schema::apply(config, &args.tables.tables, args.allow).await?;
    print(&report(&applied))?;
    Ok(u8::from(!applied.left_out.is_empty()))
}

fn report(applied: &Applied) -> String {
    let mut out = format!("{} steps done\n", applied.done);
    for key in &applied.unproven {
        let (name, table) = (&key.step.name, &key.step.table);
        let _ = writeln!(out, "foreign key {name} of {table}: {} rows have no parent, it is NOT VALID", key.orphans);
    }
    for (step, error) in &applied.left_out {
        let _ = writeln!(out, "{} {} of {} is left out: {error}", step.object.as_str(), step.name, step.table);
    }
    out
}

fn as_json(standing: &Standing) -> Value {
    let not_carried = standing.not_carried.iter().map(|thing| {
        json!({
            "table": thing.table.to_string(), "object": thing.object, "name": thing.name, "reason": thing.reason,
        })
    });
    let unproven = standing.unproven.iter().map(
        |(key, orphans)| json!({ "table": key.table.to_string(), "name": key.name, "rows_without_parent": orphans }),
    );
    let dropped = standing.dropped.iter().map(|(table, name)| json!({ "table": table.to_string(), "name": name }));
    json!({
        "tables": standing.tables,
        "steps": standing.steps,
        "extras": standing.extras,
        "unproven": unproven.collect::<Vec<_>>(),
        "dropped": dropped.collect::<Vec<_>>(),
        "not_carried": not_carried.collect::<Vec<_>>(),
    })
}

fn status(standing: &Standing) -> String {
    let mut out = String::new();
    for extra in &standing.extras {
        let _ = writeln!(out, "extra        {} {} of {}", extra.object.as_str(), extra.name, extra.table);
    }
    for thing in &standing.not_carried {
        let _ = writeln!(out, "not carried  {} {} of {}: {}", thing.object, thing.name, thing.table, thing.reason);
    }
    for (key, orphans) in &standing.unproven {
        let _ = writeln!(out, "not valid    foreign key {} of {}: {orphans} rows have no parent", key.name, key.table);
    }
    for (table, name) in &standing.dropped {
        let _ = writeln!(out, "dropped      foreign key {name} of {table}: the source does not hold to it");
    }
    let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
    for step in &standing.steps {
        *kinds.entry(step.object).or_default() += 1;
    }
    let tables = standing.tables;
    if kinds.is_empty() {
        let _ = writeln!(out, "the target's schema is as planned ({tables} tables)");
        return out;
    }
    let counts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{} {count}", kind.as_str())).collect();
    out.push_str(&differences(&standing.steps));
    let _ = writeln!(out, "\n{} differences in {tables} tables: {}", standing.steps.len(), counts.join(", "));
    out.push_str("`sirenia schema plan` shows the statements, `sirenia schema apply` runs them\n");
    out
}

fn differences(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(out, "differs      {} {} of {}: {}", step.object.as_str(), step.name, step.table, step.why);
    }
    out
}

pub(super) fn statements(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(out, "-- {} {} of {}: {}", step.object.as_str(), step.name, step.table, one_line(&step.why));
        if let Some(lossy) = &step.lossy {
            let _ = writeln!(out, "-- loses: {}", one_line(lossy));
        }
        let _ = writeln!(out, "{};", step.sql);
    }
    out
}

/// A line break would end the comment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
