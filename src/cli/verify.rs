//! `sirenia verify`: the report on stdout, progress on a terminal, the answer as exit code.

use crate::cli::args::VerifyArgs;
use crate::cli::{print, progress};
use crate::config::{Config, LogFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::verify::report::{Progress, Verdict};
use crate::verify::{self, Options};
use std::sync::Arc;

/// Runs the command: exit code 0 when both sides are equal, 1 when they are not or it is not known.
pub async fn run(config: Config, args: &VerifyArgs) -> Result<u8> {
    let options = Options { counts: args.counts, tables: args.tables.tables.clone(), ..Options::default() };
    let shown = Arc::new(Progress::default());
    let plain = config.log.format == LogFormat::Json;
    let report = progress::comparing(&shown, plain, verify::run(Arc::new(config), options, Arc::clone(&shown))).await?;
    let text = if args.json {
        let failed = |error| Error::new(ErrorKind::Bug, "the report cannot be written as JSON").with_source(error);
        serde_json::to_string(&report).map_err(failed)? + "\n"
    } else {
        report.text()
    };
    print(&text)?;
    Ok(u8::from(report.verdict != Verdict::Equal))
}
