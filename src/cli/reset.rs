//! What surrounds `sirenia reset`: that it was meant.

use crate::cli::args::ResetArgs;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

/// Refuses without `--yes`, and says what would be dropped and where.
///
/// # Errors
/// `Usage` without `--yes`.
pub fn confirm(config: &Config, args: &ResetArgs) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let (pipeline, target) = (&config.pipeline, &config.target);
    Err(Error::new(ErrorKind::Usage, "reset drops tables and has to be confirmed")
        .detail(format!("it would drop what the pipeline {pipeline} made at {target}, and its checkpoint"))
        .with_hint("repeat it with --yes"))
}
