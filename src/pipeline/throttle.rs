//! Keeps a copy in the background: rows and bytes in a second, and waits while the source is busy or its replicas lag.
//!
//! Enters: what each chunk brought. Leaves: nothing; [`Throttle::pass`] returns when the next chunk may be read. All readers
//! of an attempt share one. The source is asked each second over a connection of its own, for as long as a [`Watch`] lives; while it
//! cannot be asked nothing is held back, and the log says so.

use super::state::Context;
use crate::config::{Config, SnapshotSettings};
use crate::error::Result;
use crate::source::connect::{SourceConfig, connect};
use crate::source::load::{replica_lag, threads_running};
use crate::source::server::ServerFacts;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How often the source is asked.
const ASK: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Unused room is good for this long: a reader that waited for the target may catch up so much.
const BURST: Duration = Duration::from_millis(500);

/// What readers pass between two chunks.
#[derive(Debug)]
pub struct Throttle {
    rows_per_second: Option<u64>,
    bytes_per_second: Option<u64>,
    /// When what has been read is paid for.
    paid: Mutex<Instant>,
    held: watch::Sender<bool>,
}

impl Throttle {
    /// A throttle by the settings.
    #[must_use]
    pub fn new(settings: &SnapshotSettings) -> Self {
        Self {
            rows_per_second: settings.rows_per_second,
            bytes_per_second: settings.bytes_per_second,
            paid: Mutex::new(Instant::now()),
            held: watch::Sender::new(false),
        }
    }

    /// Waits until more may be read, after so much was.
    pub async fn pass(&self, rows: u64, bytes: u64) {
        let costs = |count: u64, rate: Option<u64>| {
            rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(count as f64 / rate as f64))
        };
        let cost = costs(rows, self.rows_per_second).max(costs(bytes, self.bytes_per_second));
        if !cost.is_zero() {
            let now = Instant::now();
            let paid = {
                let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
                *paid = (*paid).max(now.checked_sub(BURST).unwrap_or(now)) + cost;
                *paid
            };
            tokio::time::sleep_until(paid).await;
        }
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| !held).await; // the sender lives as long as we do
    }
}

/// Asks the source until dropped; then nothing is held back any more.
pub struct Watch(Option<(AbortHandle, Arc<Throttle>)>);

impl Watch {
    /// Begins to ask, where a limit is set.
    #[must_use]
    pub fn begin(context: &Context) -> Self {
        let settings = &context.config.snapshot;
        if settings.max_threads_running.is_none() && settings.max_replica_lag.is_none() {
            return Self(None);
        }
        let task = tokio::spawn(watch(Watched::of(context))).abort_handle();
        Self(Some((task, Arc::clone(&context.throttle))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((task, throttle)) = &self.0 {
            task.abort();
            throttle.held.send_replace(false);
        }
    }
}

/// What there is to be asked.
struct Watched {
    config: Arc<Config>,
    source: SourceConfig,
    facts: ServerFacts,
    throttle: Arc<Throttle>,
}

impl Watched {
    fn of(context: &Context) -> Self {
        Self {
            config: Arc::clone(&context.config),
            source: context.source.clone(),
            facts: context.facts.clone(),
            throttle: Arc::clone(&context.throttle),
        }
    }
}

/// What the log was told last.
#[derive(PartialEq)]
enum Told {
    Nothing,
    Waits,
    CannotAsk,
}

async fn watch(watched: Watched) {
    let mut told = Told::Nothing;
    loop {
        let asked = match tokio::time::timeout(PATIENCE, busy(&watched)).await {
            Ok(asked) => asked.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        };
        let (reason, now) = match asked {
            Ok(None) => (None, Told::Nothing),
            Ok(reason) => (reason, Told::Waits),
            Err(cause) => {
                if told != Told::CannotAsk {
                    tracing::warn!(cause, "the copy is not held back, since the source cannot be asked");
                }
                (None, Told::CannotAsk)
            }
        };
        match &reason {
            Some(reason) if told != Told::Waits => tracing::info!("the copy waits: {reason}"),
            None if told == Told::Waits => tracing::info!("the copy goes on"),
            _ => {}
        }
        told = now;
        watched.throttle.held.send_replace(reason.is_some());
        tokio::time::sleep(ASK).await;
    }
}

/// Why the copy has to wait, if it has to.
async fn busy(watched: &Watched) -> Result<Option<String>> {
    let settings = &watched.config.snapshot;
    let mut conn = connect(&watched.source).await?;
    let mut reason = None;
    if let Some(most) = settings.max_threads_running {
        let running = threads_running(&mut conn).await?;
        reason = (running > most).then(|| format!("{running} threads run on the source, more than {most}"));
    }
    if let Some(most) = settings.max_replica_lag
        && reason.is_none()
    {
        let lag = replica_lag(&mut conn, &watched.facts).await?;
        reason = lag.filter(|lag| *lag > most).map(|lag| format!("the source is {lag} s behind its own source"));
        for (host, port) in &settings.replicas {
            if reason.is_none() {
                reason = lag_of(&watched.source, host, *port, most).await?;
            }
        }
    }
    let _ = conn.disconnect().await;
    Ok(reason)
}

async fn lag_of(source: &SourceConfig, host: &str, port: u16, most: u64) -> Result<Option<String>> {
    let config = SourceConfig { host: host.to_owned(), port, socket: None, ..source.clone() };
    let mut conn = connect(&config).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    let lag = replica_lag(&mut conn, &facts).await?;
    let _ = conn.disconnect().await;
    Ok(match lag {
        None => Some(format!("replica {host}:{port} does not replicate")),
        Some(lag) if lag > most => Some(format!("replica {host}:{port} is {lag} s behind")),
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_is_read_in_a_second_than_may_be() {
        let settings = SnapshotSettings { rows_per_second: Some(10_000), ..SnapshotSettings::default() };
        let throttle = Throttle::new(&settings);
        let started = Instant::now();
        for _ in 0..10 {
            throttle.pass(1_000, 1 << 30).await;
        }
        assert!(started.elapsed() >= Duration::from_secs(1) - BURST); // never earlier; how much later is the machine's
        let throttle = Throttle::new(&SnapshotSettings { bytes_per_second: Some(4 << 20), ..settings });
        let started = Instant::now();
        throttle.pass(1, 4 << 20).await;
        assert!(started.elapsed() >= Duration::from_secs(1) - BURST);
    }

    #[tokio::test]
    async fn readers_wait_while_they_are_held_back() {
        let throttle = Arc::new(Throttle::new(&SnapshotSettings::default()));
        throttle.pass(1_000_000, 1 << 40).await;
        throttle.held.send_replace(true);
        let waiting = tokio::spawn({
            let throttle = Arc::clone(&throttle);
            async move { throttle.pass(1, 1).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        // as at the end of a copy, whatever the source does then
        drop(Watch(Some((tokio::spawn(std::future::pending::<()>()).abort_handle(), throttle))));
        waiting.await.unwrap();
    }
}
