//! Which values had to be changed to fit, read from the target's control tables.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping;
use crate::pipeline::state::target_config;
use crate::target::sanitized::{Recorded, RecordedValue, counts, newest};
use crate::target::{connect, control};

/// The pipeline's counts, of the tables that match one of the patterns (all without one), each with its newest values.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when no pipeline has run on the target; else those of the target.
pub async fn read(config: &Config, tables: &[String], most: u32) -> Result<Vec<(Recorded, Vec<RecordedValue>)>> {
    let mut client = connect(&target_config(config), "sirenia sanitized").await?;
    if control::version(&*client).await?.is_none() {
        return Err(Error::new(ErrorKind::TargetConflict, "no pipeline has run on this target")
            .with_hint("`sirenia run` begins one"));
    }
    control::install(&mut client).await?; // tables of an older version have no such record yet
    let mut found = Vec::new();
    for recorded in counts(&*client, &config.pipeline).await? {
        if tables.is_empty() || tables.iter().any(|pattern| mapping::matches(pattern, &recorded.table)) {
            let values = newest(&*client, &config.pipeline, &recorded, most.into()).await?;
            found.push((recorded, values));
        }
    }
    Ok(found)
}
