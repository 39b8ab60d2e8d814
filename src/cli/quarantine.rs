//! `sirenia quarantine`: the rows that could not be applied, and trying them again.

use crate::cli::args::{QuarantineCommand, QuarantineList, QuarantineRetry};
use crate::cli::print;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::quarantine::{self, Retried};
use crate::target::quarantine::Listed;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Runs the command. Exit code of `retry`: 0 when all rows came out, 1 when some did not.
pub async fn run(config: Config, command: &QuarantineCommand) -> Result<u8> {
    match command {
        QuarantineCommand::List(args) => list(&config, args).await,
        QuarantineCommand::Retry(args) => retry(&config, args).await,
    }
}

async fn list(config: &Config, args: &QuarantineList) -> Result<u8> {
    let rows = quarantine::list(config, &args.tables.tables).await?;
    let all = || rows.iter().map(as_json).collect::<Value>();
    print(&if args.json { format!("{}\n", all()) } else { as_text(&rows) })?;
    Ok(0)
}

async fn retry(config: &Config, args: &QuarantineRetry) -> Result<u8> {
    let wait = Duration::from_secs(args.wait);
    let Retried { marked, left, running } = quarantine::retry(config, &args.tables.tables, &args.ids, wait).await?;
    if marked == 0 {
        print("nothing is in quarantine that could be tried again\n")?;
        return Ok(0);
    }
    let mut out = format!("{} of {marked} rows came out of quarantine\n", marked - left.len());
    out.push_str(&if left.is_empty() { String::new() } else { as_text(&left) });
    print(&out)?;
    if !running {
        return Err(Error::new(ErrorKind::TargetConflict, "no instance is running that could try the rows again")
            .with_hint("`sirenia run` tries them as soon as it follows the source"));
    }
    Ok(u8::from(!left.is_empty()))
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn as_json(row: &Listed) -> Value {
    json!({
        "id": row.id,
        "table": row.table.to_string(),
        "key": row.key.as_deref().and_then(|key| serde_json::from_str::<Value>(key).ok()),
        "operation": row.operation,
        "code": row.code,
        "error": row.error,
        "position": row.position,
        "attempts": row.attempts,
        "first_at": seconds(row.first_at),
        "last_at": seconds(row.last_at),
        "retry_requested": row.marked,
    })
}

fn as_text(rows: &[Listed]) -> String {
    let mut out = String::new();
    for row in rows {
        let key = row.key.as_deref().unwrap_or("?");
        let tries = if row.attempts == 1 { "once".into() } else { format!("{} times", row.attempts) };
        let _ = writeln!(out, "{}  {} {}  {}  tried {tries}", row.id, row.table, key, row.operation);
        let _ = writeln!(out, "  {}", row.error);
    }
    let _ = writeln!(out, "{} rows are in quarantine", rows.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::TableName;

    #[test]
    fn a_row_is_shown_with_its_key_and_error() {
        let row = Listed {
            id: 4,
            table: TableName::new("lab", "hasil"),
            key: Some("{\"id\" : 7}".into()),
            operation: "put".into(),
            code: Some("23514".into()),
            error: "add rows to public.hasil (check_violation)".into(),
            position: "b.000001:4".into(),
            attempts: 2,
            first_at: UNIX_EPOCH,
            last_at: UNIX_EPOCH,
            marked: false,
        };
        assert_eq!(
            as_text(std::slice::from_ref(&row)),
            "4  lab.hasil {\"id\" : 7}  put  tried 2 times\n  add rows to public.hasil (check_violation)\n1 rows are in quarantine\n"
        );
        assert_eq!((&as_json(&row)["key"]["id"], &as_json(&row)["code"]), (&json!(7), &json!("23514")));
    }
}
