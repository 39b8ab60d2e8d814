//! Everything that runs during the demo, and waiting for it to get somewhere.

use super::WORKERS;
use super::replicator::Replicator;
use super::report::grouped;
use super::screen::Screen;
use super::servers::{DATABASE, Servers};
use super::watch::{Seen, Watch};
use super::work::Work;
use crate::embedded::PASSWORD;
use crate::error::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Between two looks at the control tables. Short, since a kill must find the copy under way.
const LOOK: Duration = Duration::from_millis(15);

/// How long nothing may move before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// The span over which the fastest rate is taken.
const RATE_SPAN: Duration = Duration::from_secs(1);

/// What runs. The replicator is dropped, and so ended, before the servers.
pub(super) struct Stage<'a> {
    pub replicator: Replicator,
    work: Work,
    watch: Watch,
    screen: &'a Screen,
    seen: Seen,
    moved: Instant,
    /// Begin and changes of the span that is being measured, and the most changes per second of those before.
    span: (Instant, u64),
    fastest: f64,
    pub servers: Servers,
}

/// The moment from which the stream is measured.
pub(super) struct Following {
    pub at: Instant,
    pub changes: u64,
}

/// The moment at which all of the stopped workload has arrived.
pub(super) struct Drained {
    pub at: Instant,
    pub changes: u64,
    pub transactions: u64,
    /// Since the workload's last commit.
    pub lag: Duration,
    /// Most changes in any second.
    pub fastest: f64,
}

impl<'a> Stage<'a> {
    /// Starts the workload and gets ready to start the replicator.
    pub async fn open(servers: Servers, seed: u64, screen: &'a Screen) -> Result<Self> {
        let watch = Watch::connect(&servers.target_url()).await?;
        let replicator = Replicator::new(&servers)?;
        let work = Work::start(&servers.source_url(), seed).await?;
        screen.step(&format!("{WORKERS} connections work on the source from now on"));
        let now = Instant::now();
        let (seen, span) = (Seen::default(), (now, 0));
        Ok(Self { replicator, work, watch, screen, seen, moved: now, span, fastest: 0.0, servers })
    }

    pub fn start_replicator(&mut self, why: &str) -> Result<()> {
        let pid = self.replicator.start(&self.servers)?;
        self.screen.step(&format!("sirenia run (process {pid}): {why}"));
        Ok(())
    }

    pub fn kill(&mut self, when: &str) {
        self.replicator.kill();
        self.screen.step(&format!("SIGKILL {when}"));
    }

    /// Waits until the control tables say so.
    ///
    /// # Errors
    /// When the replicator or a worker ended, or nothing moves any more.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Seen) -> bool) -> Result<Seen> {
        self.moved = Instant::now();
        loop {
            let seen = self.look().await?;
            if done(&seen) {
                return Ok(seen);
            }
            if self.moved.elapsed() > PATIENCE {
                let what = format!("nothing moves while waiting for {what}, for {} s", PATIENCE.as_secs());
                return Err(Error::new(ErrorKind::Bug, what).detail(self.replicator.last_words()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets everything run for that long.
    pub async fn play_for(&mut self, time: Duration) -> Result<Seen> {
        let end = Instant::now() + time;
        self.until("the stream", |_| Instant::now() >= end).await
    }

    /// From here on the stream is measured.
    pub fn begin_to_measure(&mut self) -> Following {
        let following = Following { at: Instant::now(), changes: self.seen.changes };
        (self.span, self.fastest) = ((following.at, following.changes), 0.0);
        following
    }

    /// Stops the workload and waits until its last commit has arrived.
    pub async fn drain(&mut self) -> Result<Drained> {
        self.work.stop().await?;
        let stopped = Instant::now();
        self.screen.step(&format!("the workload ends after {} transactions", grouped(self.work.transactions())));
        let end = self.servers.source_end().await?;
        let seen = self.until("the source's end", |seen| seen.is_following() && seen.has_reached(&end)).await?;
        let Seen { changes, transactions, .. } = seen;
        Ok(Drained { at: Instant::now(), changes, transactions, lag: stopped.elapsed(), fastest: self.fastest })
    }

    async fn look(&mut self) -> Result<Seen> {
        self.replicator.check()?;
        self.work.check()?;
        let seen = self.watch.look().await?;
        if seen != self.seen {
            self.moved = Instant::now();
        }
        let span = self.span.0.elapsed();
        if span >= RATE_SPAN {
            let rate = seen.changes.saturating_sub(self.span.1) as f64 / span.as_secs_f64();
            self.fastest = self.fastest.max(rate);
            self.span = (Instant::now(), seen.changes);
        }
        self.seen = seen.clone();
        self.screen.now(&summary(&seen, self.work.transactions()));
        Ok(seen)
    }

    /// How to look around, for people.
    pub fn how_to_connect(&self) -> String {
        let (source, http) = (self.servers.source.port(), self.replicator.http());
        let client = if self.servers.source.kind().is_mariadb() { "mariadb" } else { "mysql" };
        let (target, log) = (self.servers.target_url(), self.servers.source.folder().path().join("sirenia.log"));
        format!(
            "\nAll of it still runs; what you change on the source goes to the target.\n\
             source   {client} --host=127.0.0.1 --port={source} --user=root --password={PASSWORD} {DATABASE}\n\
             target   psql {target}\n\
             page     http://{http}/\n\
             status   sirenia status --http {http}\n\
             log      {log}\n\
             stop     Ctrl-C here, or kill {pid}; everything is removed then\n",
            log = log.display(),
            pid = std::process::id(),
        )
    }

    /// Waits for the replicator's end, which is an error.
    pub async fn replicator_ends(&mut self) -> Error {
        loop {
            if let Err(error) = self.replicator.check() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the replicator in good order; the servers go when the stage is dropped.
    pub async fn end(mut self) -> Result<()> {
        self.replicator.stop().await
    }
}

fn summary(seen: &Seen, work: u64) -> String {
    let work = grouped(work);
    match seen.phase.as_str() {
        "" => "the replicator gets ready".to_owned(),
        "snapshot" => {
            let (done, all, rows) = (seen.tables_copied, seen.tables, grouped(seen.rows_copied));
            format!("copying: {done} of {all} tables, {rows} rows; source: {work} transactions")
        }
        "follow" => format!("following: {} changes; source: {work} transactions", grouped(seen.changes)),
        phase => format!("{phase}: {} changes; source: {work} transactions", grouped(seen.changes)),
    }
}
