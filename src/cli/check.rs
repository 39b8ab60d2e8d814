//! `sirenia check`: whether the settings and both servers are fit to run.

use crate::cli::print;
use crate::config::Config;
use crate::error::Result;
use std::fmt::Write;

/// Runs the command: exit code 0 when all is well, 1 when something must be mended.
pub async fn run(config: &Config) -> Result<u8> {
    print(&settings(config))?;
    // SERVERS: the source's and target's preflights join here; each finding is a line with the statement that mends
    // it, and any finding that prevents a run makes the exit code 1.
    print("the settings are valid; the servers were not asked\n")?;
    Ok(0)
}

/// What the settings were understood as; no login, no secret.
#[must_use]
pub fn settings(config: &Config) -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<9}{value}");
    };
    fact("pipeline", config.pipeline.clone());
    fact("source", format!("{} (tls {})", config.source, config.source.tls));
    fact("target", format!("{} (tls {})", config.target, config.target.tls));
    let databases = &config.mapping.databases;
    fact("carried", databases.iter().map(|(from, to)| format!("{from} -> {to}")).collect::<Vec<_>>().join(", "));
    if !config.mapping.include.is_empty() {
        fact("include", config.mapping.include.join(", "));
    }
    if !config.mapping.exclude.is_empty() {
        fact("exclude", config.mapping.exclude.join(", "));
    }
    fact("http", config.http.map_or_else(|| "off".into(), |addr| addr.to_string()));
    out
}
