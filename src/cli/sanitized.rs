//! `sirenia sanitized`: which values had to be changed to fit, by column and reason, with the keys of the newest.

use crate::cli::args::SanitizedArgs;
use crate::cli::print;
use crate::config::Config;
use crate::error::Result;
use crate::ops;
use crate::target::sanitized::{Recorded, RecordedValue};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs the command: exit code 0, whatever there is.
pub async fn run(config: Config, args: &SanitizedArgs) -> Result<u8> {
    let found = ops::sanitized::read(&config, &args.tables.tables, args.newest).await?;
    print(&if args.json { format!("{}\n", as_json(&found)) } else { as_text(&found) })?;
    Ok(0)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn as_json(found: &[(Recorded, Vec<RecordedValue>)]) -> Value {
    let value = |value: &RecordedValue| {
        let key = value.key.as_deref().and_then(|key| serde_json::from_str::<Value>(key).ok());
        json!({ "key": key, "position": value.position, "at": seconds(value.at) })
    };
    let column = |(recorded, values): &(Recorded, Vec<RecordedValue>)| {
        json!({
            "table": recorded.table.to_string(),
            "column": recorded.column,
            "reason": recorded.reason,
            "policy": recorded.policy,
            "count": recorded.count,
            "last_at": seconds(recorded.last_at),
            "newest": values.iter().map(value).collect::<Vec<_>>(),
        })
    };
    found.iter().map(column).collect()
}

fn as_text(found: &[(Recorded, Vec<RecordedValue>)]) -> String {
    let mut out = String::new();
    for (recorded, values) in found {
        let Recorded { table, column, reason, policy, count, .. } = recorded;
        let _ = writeln!(out, "{table}.{column}  {reason}  {policy}  {count}");
        for value in values {
            let key = value.key.as_deref().unwrap_or("a row without a key");
            let _ = writeln!(out, "  {key}  {}", value.position);
        }
    }
    let total: u64 = found.iter().map(|(recorded, _)| recorded.count).sum();
    let _ = writeln!(out, "{total} values were changed to fit, in {} columns and reasons", found.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::TableName;

    #[test]
    fn both_forms_show_keys_and_counts() {
        let recorded = Recorded {
            table: TableName::new("lab", "pasien"),
            column: "lahir".into(),
            reason: "zero_date".into(),
            policy: "null".into(),
            count: 12,
            last_at: UNIX_EPOCH,
        };
        let value = |key: Option<&str>, position: &str| RecordedValue {
            key: key.map(str::to_owned),
            position: position.into(),
            at: UNIX_EPOCH,
        };
        let found = [(recorded, vec![value(Some("{\"id\":7}"), "snapshot"), value(None, "b.000001:4")])];
        assert_eq!(
            as_text(&found),
            "lab.pasien.lahir  zero_date  null  12\n  {\"id\":7}  snapshot\n  a row without a key  b.000001:4\n\
             12 values were changed to fit, in 1 columns and reasons\n"
        );
        let json = as_json(&found);
        assert_eq!((&json[0]["count"], &json[0]["newest"][0]["key"]["id"]), (&json!(12), &json!(7)));
    }
}
