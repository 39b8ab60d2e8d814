//! `sirenia check`: whether the settings and both servers are fit to run.

use crate::cli::print;
use crate::config::Config;
use crate::error::Result;
use crate::ops;
use std::fmt::Write;

/// Runs the command: exit code 0 when all is well, 1 when something must be mended.
pub async fn run(config: &Config) -> Result<u8> {
    print(&settings(config))?;
    let found = ops::check::check(config).await;
    let mut out = String::new();
    for (name, value) in &found.facts {
        let _ = writeln!(out, "{name:<11}{value}");
    }
    for warning in &found.warnings {
        let _ = writeln!(out, "\nwarning: {}\nhint: {}", warning.message, warning.hint.replace('\n', "\n      "));
    }
    for problem in &found.problems {
        let _ = writeln!(out, "\n{}", problem.report());
    }
    let ready = found.problems.is_empty();
    out.push_str(if ready { "\nready to run\n" } else { "\nnot ready\n" });
    print(&out)?;
    Ok(u8::from(!ready))
}

/// What the settings were understood as; no login, no secret.
#[must_use]
pub fn settings(config: &Config) -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<11}{value}");
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
