//! The live workload: a few connections that work on the source as the laboratory does, until told to stop.

use super::WORKERS;
use super::servers::{connect_source, on_source};
use crate::embedded::lab::Workload;
use crate::error::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Between the starts of a worker's transactions. A laboratory does some dozens of them a minute, not a thousand a second; but
/// source, target, replicator and workload share one machine here, and the source must not take all of it.
const PACE: Duration = Duration::from_millis(3);

/// Workers and what they have done. Dropping it ends them, in the middle of a transaction if it must be.
pub(super) struct Work {
    workers: JoinSet<Result<()>>,
    stop: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
}

impl Work {
    /// Starts the workers.
    pub async fn start(url: &str, seed: u64) -> Result<Self> {
        let mut work = Self {
            workers: JoinSet::new(),
            stop: Arc::new(AtomicBool::new(false)),
            transactions: Arc::new(AtomicU64::new(0)),
        };
        for worker in 0..WORKERS {
            let conn = connect_source(url).await?;
            let (stop, transactions) = (Arc::clone(&work.stop), Arc::clone(&work.transactions));
            work.workers.spawn(worker_loop(conn, Workload::new(seed, worker), stop, transactions));
        }
        Ok(work)
    }

    /// Transactions run so far, rolled back ones among them.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Fails when a worker has failed.
    pub fn check(&mut self) -> Result<()> {
        match self.workers.try_join_next() {
            Some(ended) => joined(ended),
            None => Ok(()),
        }
    }

    /// Lets each worker end its transaction. Returns when all have.
    pub async fn stop(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            joined(ended)?;
        }
        Ok(())
    }
}

fn joined(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(Error::new(ErrorKind::Bug, "a worker panicked").with_source(error)))
}

async fn worker_loop(
    mut conn: mysql_async::Conn,
    workload: Workload,
    stop: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
) -> Result<()> {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for transaction in workload {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for statement in transaction {
            match conn.query_drop(statement).await {
                Ok(()) => {}
                Err(mysql_async::Error::Server(error)) if matches!(error.code, 1205 | 1213) => {
                    // a deadlock, or a lock waited for too long: as any application, leave this transaction out
                    conn.query_drop("ROLLBACK").await.map_err(|error| on_source("roll back", error))?;
                    break;
                }
                Err(error) => return Err(on_source("run the workload", error)),
            }
        }
        transactions.fetch_add(1, Ordering::Relaxed);
    }
    conn.disconnect().await.map_err(|error| on_source("end a worker", error))
}
