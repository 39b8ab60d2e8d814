//! The operator's jobs, one file each: what the commands do besides running the pipeline.

pub mod check;
pub mod cutover;
pub mod plan;
pub mod quarantine;
pub mod reset;
pub mod sanitized;
pub mod schema;
pub mod status;
pub mod stream;
pub mod tables;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::state::target_config;
use crate::target::{Connection, connect, control};

/// A session on a target that a pipeline has run on, with the control tables of this version.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when none has; else those of the target.
async fn open(config: &Config, application: &str) -> Result<Connection> {
    let mut client = connect(&target_config(config), application).await?;
    if control::version(&*client).await?.is_none() {
        return Err(Error::new(ErrorKind::TargetConflict, "no pipeline has run on this target")
            .with_hint("`sirenia run` begins one"));
    }
    control::install(&mut client).await?; // tables of an older version lack what is asked for
    Ok(client)
}
