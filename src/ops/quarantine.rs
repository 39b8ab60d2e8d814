//! Rows in quarantine: listed, and marked to be tried again by the instance that runs.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping;
use crate::ops::open;
use crate::target::quarantine::{self, Listed};
use crate::target::{Connection, lease};
use std::time::{Duration, Instant};

/// Between two looks at what became of marked rows.
const LOOK: Duration = Duration::from_millis(200);

/// What became of rows that were marked.
#[derive(Debug)]
pub struct Retried {
    /// How many were marked.
    pub marked: usize,
    /// Those that are still in quarantine.
    pub left: Vec<Listed>,
    /// Whether an instance holds the pipeline's lease, to try them.
    pub running: bool,
}

/// The rows of tables that match one of the patterns; all without one.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when no pipeline has run on the target; else those of the target.
pub async fn list(config: &Config, tables: &[String]) -> Result<Vec<Listed>> {
    let client = open(config, "sirenia quarantine").await?;
    matching(&client, config, tables).await
}

/// Marks rows, by number or by table (all without either), and waits until the running instance has tried them.
///
/// # Errors
/// [`ErrorKind::Usage`] for a number that is not in quarantine; else as [`list`].
pub async fn retry(config: &Config, tables: &[String], ids: &[i64], wait: Duration) -> Result<Retried> {
    let client = open(config, "sirenia quarantine").await?;
    let rows = matching(&client, config, tables).await?;
    if let Some(id) = ids.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        return Err(Error::new(ErrorKind::Usage, format!("no row in quarantine has the number {id}"))
            .with_hint("`sirenia quarantine list` shows the numbers"));
    }
    let chosen: Vec<i64> = rows.iter().map(|row| row.id).filter(|id| ids.is_empty() || ids.contains(id)).collect();
    quarantine::mark(&*client, &config.pipeline, &chosen).await?;
    let started = Instant::now();
    loop {
        let running = lease::is_held(&*client, &config.pipeline).await?;
        let mut left = quarantine::list(&*client, &config.pipeline).await?;
        left.retain(|row| chosen.contains(&row.id));
        let waiting = left.iter().any(|row| row.marked);
        if !waiting || !running || started.elapsed() >= wait {
            return Ok(Retried { marked: chosen.len(), left, running });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn matching(client: &Connection, config: &Config, tables: &[String]) -> Result<Vec<Listed>> {
    let mut rows = quarantine::list(&**client, &config.pipeline).await?;
    rows.retain(|row| tables.is_empty() || tables.iter().any(|pattern| mapping::matches(pattern, &row.table)));
    Ok(rows)
}
