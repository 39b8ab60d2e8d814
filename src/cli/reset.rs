//! `sirenia reset`: asks that it was meant, then drops.

use crate::cli::args::ResetArgs;
use crate::cli::print;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ops;

/// Runs the command: exit code 0, also when there was nothing to drop.
pub async fn run(config: Config, args: &ResetArgs) -> Result<u8> {
    confirm(&config, args)?;
    let dropped = ops::reset::reset(&config).await?;
    let list: String = dropped.iter().map(|table| format!("dropped {table}\n")).collect();
    print(&format!("{list}pipeline {} begins anew with the next `sirenia run`\n", config.pipeline))?;
    Ok(0)
}

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
