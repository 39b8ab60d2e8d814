//! Single tables: shown, paused, copied anew.
//!
//! Nothing is done here: the wish is written down on the target, and the running instance, which alone may write, does it.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::mapping;
use crate::ops::open;
use crate::target::progress::{self, TableProgress, TableState};
use crate::target::{Connection, lease};
use std::time::{Duration, Instant};

/// Between two looks at what became of a wish.
const LOOK: Duration = Duration::from_millis(200);

/// What is to become of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Their changes are left out.
    Pause,
    /// Paused ones are copied anew, and followed again.
    Resume,
    /// They are copied anew.
    Resync,
}

/// What became of them.
#[derive(Debug)]
pub struct Done {
    /// The tables, as they are now.
    pub tables: Vec<TableProgress>,
    /// Whether an instance holds the pipeline's lease.
    pub running: bool,
    /// Whether what was asked for is done.
    pub finished: bool,
}

/// The tables that match one of the patterns; all without one.
///
/// # Errors
/// [`ErrorKind::Usage`] for a pattern that matches none; [`ErrorKind::TargetConflict`] when no pipeline has run on the
/// target; else those of the target.
pub async fn list(config: &Config, patterns: &[String]) -> Result<Vec<TableProgress>> {
    let client = open(config, "sirenia tables").await?;
    matching(&client, config, patterns).await
}

/// Writes the wish down and waits until it is done, for so long.
///
/// # Errors
/// As [`list`]; [`ErrorKind::Usage`] for a table to resume that is not paused.
pub async fn ask(config: &Config, patterns: &[String], wish: Wish, wait: Duration) -> Result<Done> {
    let client = open(config, "sirenia tables").await?;
    let tables = matching(&client, config, patterns).await?;
    if let Some(table) = tables.iter().find(|table| wish == Wish::Resume && table.state != TableState::Paused) {
        return Err(Error::new(ErrorKind::Usage, format!("{} is not paused", table.source))
            .with_hint(format!("`sirenia tables resync {}` copies it anew all the same", table.source.table)));
    }
    let what = if wish == Wish::Pause { "pause" } else { "resync" };
    let names: Vec<TableName> = tables.into_iter().map(|table| table.source).collect();
    for name in &names {
        progress::request(&*client, &config.pipeline, name, what).await?;
    }
    let started = Instant::now();
    loop {
        let running = lease::is_held(&*client, &config.pipeline).await?;
        let waiting = progress::requested(&*client, &config.pipeline).await?;
        let mut tables = progress::load_tables(&*client, &config.pipeline).await?;
        tables.retain(|table| names.contains(&table.source));
        let is = |table: &TableProgress| match wish {
            Wish::Pause => table.state == TableState::Paused,
            Wish::Resume | Wish::Resync => table.state == TableState::Ready,
        };
        let asked = waiting.iter().any(|(name, _)| names.contains(name));
        let finished = !asked && tables.iter().all(is);
        if finished || !running || started.elapsed() >= wait {
            return Ok(Done { tables, running, finished });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn matching(client: &Connection, config: &Config, patterns: &[String]) -> Result<Vec<TableProgress>> {
    let mut tables = progress::load_tables(&**client, &config.pipeline).await?;
    for pattern in patterns {
        if !tables.iter().any(|table| mapping::matches(pattern, &table.source)) {
            return Err(Error::new(ErrorKind::Usage, format!("no table that is carried matches {pattern:?}"))
                .with_hint("`sirenia tables list` shows them"));
        }
    }
    tables
        .retain(|table| patterns.is_empty() || patterns.iter().any(|pattern| mapping::matches(pattern, &table.source)));
    Ok(tables)
}
