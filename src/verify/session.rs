//! One worker's connections, and the wait until the target has what the source showed.

use super::settle::Passing;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::state::{source_config, target_config};
use crate::source::Conn;
use crate::source::connect::connect_read_only;
use crate::source::rows::RowSession;
use crate::source::server::{ServerFacts, write_position};
use crate::target::{Connection, checkpoint, classify, connect as connect_target, lease};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the checkpoint is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long an instance that was seen running may be without its lease before it counts as gone: it gives the lease up
/// when it starts over after an error.
const GRACE: Duration = Duration::from_secs(15);

/// The least that remains of the patience.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// Reads both sides; writes nothing.
pub struct Session {
    /// The source's rows.
    pub source: RowSession,
    /// The target.
    pub target: Connection,
    /// The pipeline.
    pub pipeline: String,
    /// The source's position.
    control: Conn,
    facts: Arc<ServerFacts>,
    /// Longest wait; halved each time it was in vain, or hundreds of tables would wait for a target that is far behind.
    patience: Duration,
    /// When an instance was last seen to hold the lease.
    seen: Option<Instant>,
}

impl Session {
    /// Connects to both, for reading only.
    ///
    /// # Errors
    /// Those of the connections.
    pub async fn open(config: &Config, facts: Arc<ServerFacts>, patience: Duration) -> Result<Self> {
        let source = RowSession::open_read_only(&source_config(config)).await?;
        let control = connect_read_only(&source_config(config)).await?;
        let target = connect_target(&target_config(config), "sirenia verify").await?;
        let read_only = target.batch_execute("SET default_transaction_read_only = on").await;
        read_only.map_err(|error| classify(error, "setting up a session on the target"))?;
        Ok(Self { source, target, pipeline: config.pipeline.clone(), control, facts, patience, seen: None })
    }
}

impl Passing for Session {
    /// Not when no instance is running, for then it never will.
    async fn pass(&mut self) -> Result<bool> {
        let goal = write_position(&mut self.control, &self.facts).await?.binlog;
        let started = Instant::now();
        loop {
            // read first: an instance may commit its last batch and go between the two
            if lease::is_held(&*self.target, &self.pipeline).await? {
                self.seen = Some(Instant::now());
            }
            let running = self.seen.is_some_and(|seen| seen.elapsed() < GRACE);
            let checkpoint = checkpoint::load(&*self.target, &self.pipeline).await?;
            let gone = || Error::new(ErrorKind::TargetConflict, "the pipeline's checkpoint has vanished meanwhile");
            if checkpoint.ok_or_else(gone)?.position.binlog >= goal || !running {
                return Ok(true);
            }
            if started.elapsed() >= self.patience {
                tracing::warn!(position = %goal, "the target did not get there within {} s", self.patience.as_secs());
                self.patience = (self.patience / 2).max(LEAST_PATIENCE);
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
