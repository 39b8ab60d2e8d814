//! Log lines on stderr: text with colour on a terminal only, or JSON.
//!
//! A plain level is that of our own lines; the crates below us are heard from `warn` on, since their debug lines
//! repeat statements and addresses that we do not want in logs. A filter (`sirenia=debug,tokio_postgres=info`) says
//! all itself.

use crate::cli::progress::LogWriter;
use crate::config::{LogFormat, LogSettings};
use crate::error::{Error, ErrorKind, Result};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. Called again in one process, it changes nothing.
///
/// # Errors
/// `Config` when the level is neither a level nor a filter.
pub fn init(settings: &LogSettings) -> Result<()> {
    let filter = filter(&settings.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::default);
    // why the result is dropped: it only says that logging was started before
    let _ = match settings.format {
        LogFormat::Text => {
            let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            builder.with_ansi(color).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter> {
    let bad = || {
        Error::new(ErrorKind::Config, "the log level is neither a level nor a filter")
            .with_hint("write error, warn, info, debug or trace, or a filter like sirenia=debug,warn")
    };
    let level = level.trim();
    if level.contains(['=', ',']) {
        return EnvFilter::try_new(level).map_err(|_| bad());
    }
    let plain = ["error", "warn", "info", "debug", "trace", "off"];
    let level = plain.into_iter().find(|plain| plain.eq_ignore_ascii_case(level)).ok_or_else(bad)?;
    let others = if level == "error" || level == "off" { level } else { "warn" };
    EnvFilter::try_new(format!("{others},sirenia={level}")).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_ours_alone() {
        let directives = |level: &str| filter(level).unwrap().to_string();
        assert!(directives("debug").contains("sirenia=debug") && directives("debug").contains("warn"));
        assert!(directives("sirenia=trace,info").contains("sirenia=trace"));
        for bad in ["", "loud", "sirenia=loud"] {
            assert_eq!(filter(bad).expect_err(bad).kind(), ErrorKind::Config);
        }
    }
}
