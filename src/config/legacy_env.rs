//! The `.env` keys of the trigger-based PHP tool, so that its users can start without writing a file.
//!
//! The weakest place of all. Its server keys count only as a whole: when any other place names the server, none of
//! them is used, because Laravel's `DB_PASSWORD` must not be sent to a host that something else named. A `.env` file
//! is read in Laravel's dialect: comments, `export`, both quotes, `${NAME}`.

use crate::config::environment::{Setter, Variables, fill, set};
use crate::config::raw::Raw;
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

const VARIABLES: &[(&str, Setter)] = &[
    ("DB_HOST", |raw, text| set(&mut raw.source.host, text)),
    ("DB_PORT", |raw, text| set(&mut raw.source.port, text)),
    ("DB_SOCKET", |raw, text| set(&mut raw.source.socket, text)),
    ("DB_DATABASE", |raw, text| set(&mut raw.source.database, text)),
    ("DB_USERNAME", |raw, text| set(&mut raw.source.user, text)),
    ("DB_PASSWORD", |raw, text| set(&mut raw.source.password, text)),
    ("PGSQL_HOST", |raw, text| set(&mut raw.target.host, text)),
    ("PGSQL_PORT", |raw, text| set(&mut raw.target.port, text)),
    ("PGSQL_DATABASE", |raw, text| set(&mut raw.target.database, text)),
    ("PGSQL_USERNAME", |raw, text| set(&mut raw.target.user, text)),
    ("PGSQL_PASSWORD", |raw, text| set(&mut raw.target.password, text)),
    ("PGSQL_SCHEMA", |raw, text| set(&mut raw.target.schema, text)),
    ("SYNC_BATCH_SIZE", |raw, text| set(&mut raw.apply.batch_rows, text)),
    ("SYNC_INCLUDE_TABLES", |raw, text| set(&mut raw.tables.include, text)),
    ("SYNC_EXCLUDE_TABLES", |raw, text| set(&mut raw.tables.exclude, text)),
];

/// The settings that the PHP tool's variables give. `stronger` is what all other places gave together.
pub(super) fn read(variables: &Variables, stronger: &Raw) -> Result<Raw> {
    // why: an application may have DB_* of its own in an environment that names the servers otherwise, and a
    // malformed one of those is not our concern
    let source = !stronger.source.login().names_server();
    let target = !stronger.target.login().names_server();
    let relevant = |name: &str| match name.split_once('_') {
        Some(("DB", _)) => source,
        Some(("PGSQL", _)) => target,
        _ => true,
    };
    let list: Vec<_> = VARIABLES.iter().filter(|(name, _)| relevant(name)).copied().collect();
    fill(&list, variables)
}

/// Reads a `.env` file.
pub(super) fn read_file(path: &Path) -> Result<Variables> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Config, format!("{} cannot be read", path.display())).with_source(error)
    })?;
    parse(&text).map_err(|(line, why)| Error::new(ErrorKind::Config, format!("{}:{line}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Variables, (usize, &'static str)> {
    let mut variables = Variables::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |why| (number + 1, why);
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| bad("expected NAME=value"))?;
        let value = value.trim_start();
        let value = match value.chars().next() {
            Some('\'') => quoted(&value[1..], '\'').ok_or_else(|| bad("a quote is not closed"))?,
            Some('"') => {
                let inner = quoted(&value[1..], '"').ok_or_else(|| bad("a quote is not closed"))?;
                interpolated(&inner, &variables)
            }
            _ => {
                let end = value.find(" #").unwrap_or(value.len());
                let plain = if value.starts_with('#') { "" } else { value[..end].trim_end() };
                interpolated(plain, &variables)
            }
        };
        variables.insert(name.trim().to_owned(), value);
    }
    Ok(variables)
}

/// The text up to the closing quote; a backslash before a quote or a backslash is an escape.
fn quoted(text: &str, quote: char) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                escaped if escaped == quote || escaped == '\\' => out.push(escaped),
                'n' if quote == '"' => out.push('\n'),
                '$' if quote == '"' => out.push('$'),
                other => out.extend(['\\', other]),
            },
            c if c == quote => return Some(out),
            c => out.push(c),
        }
    }
    None
}

/// Replaces `${NAME}` by an earlier line's value; a name that is not known stays as it is.
fn interpolated(text: &str, earlier: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        out.push_str(&rest[..start]);
        match earlier.get(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_read_in_laravels_dialect() {
        let text = "# database\nexport DB_HOST=db # comment\nDB_PASSWORD=\"p#1 \\\"x\\\" ${DB_HOST}\"\nPGSQL_PASSWORD='a ${DB_HOST}'\n\
                    EMPTY=\nPLAIN=a#b\nURL=http://${DB_HOST}/${NONE}\n";
        let variables = parse(text).unwrap();
        for (name, value) in [
            ("DB_HOST", "db"),
            ("DB_PASSWORD", "p#1 \"x\" db"),
            ("PGSQL_PASSWORD", "a ${DB_HOST}"),
            ("EMPTY", ""),
            ("PLAIN", "a#b"),
            ("URL", "http://db/${NONE}"),
        ] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(parse("A=1\nhunter2\n"), Err((2, "expected NAME=value")));
        assert_eq!(parse("A=\"hunter2\n"), Err((1, "a quote is not closed")));
    }
}
