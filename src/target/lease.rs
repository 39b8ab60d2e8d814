//! One writer per pipeline: who holds the lease, until when, and how a standby takes over.
//!
//! The row's expiry is by the target's clock, so instances need no common clock of their own. A takeover ends the old
//! epoch's sessions (a stopped process may keep a fenced transaction open), locks the row FOR UPDATE, which waits for
//! every fenced transaction, and raises the epoch. Invariant: when [`acquire`] returns, no transaction of an older
//! epoch is open, and none can pass the fence any more. Expiry alone decides nothing about safety, it only says when a
//! standby may try.
//!
//! The holder renews every third of the time to live. Without a connection it believes itself the holder until that
//! time has passed on its own monotonic clock, counted from before the last successful request; another epoch in the
//! row ends it at once.

use super::connect::{Connection, connect};
use super::error::{classify, on, sqlstate};
use super::{TargetConfig, count};
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::GenericClient;

/// How long a holder may be silent before a standby takes over, unless set otherwise.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);

/// How long a takeover waits for fenced transactions before it looks again at who is there.
const TAKEOVER_LOCK_TIMEOUT: &str = "500ms";

/// PostgreSQL's limit of an application name, in bytes.
const APPLICATION_NAME_BYTES: usize = 63;

/// The application name of every session that works under an epoch: `sirenia/<pipeline>/<epoch>`. By it a successor
/// finds and ends them, so each session that writes must carry it.
#[must_use]
pub fn application_name(pipeline: &str, epoch: i64) -> String {
    session_name(pipeline, &epoch.to_string())
}

/// `sirenia/<pipeline>/<suffix>` within the limit; a pipeline's name that is long or not plain ASCII is marked by a
/// hash.
fn session_name(pipeline: &str, suffix: &str) -> String {
    let room = APPLICATION_NAME_BYTES - "sirenia//".len() - 19; // 19 digits: the longest epoch
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if pipeline.len() <= room && pipeline.chars().all(plain) {
        return format!("sirenia/{pipeline}/{suffix}");
    }
    let head: String = pipeline.chars().map(|c| if plain(c) { c } else { '_' }).take(room - 9).collect();
    format!("sirenia/{head}~{:08x}/{suffix}", crc32fast::hash(pipeline.as_bytes()))
}

/// A lease that is held, not yet renewed by itself: see [`Lease::keep`].
#[derive(Debug)]
pub struct Lease {
    /// The pipeline it is for.
    pub pipeline: String,
    /// Our name in the row.
    pub holder: String,
    /// The epoch that every fence must be called with.
    pub epoch: i64,
    ttl: Duration,
    /// When a standby may take over at the earliest, by our clock.
    valid_until: Instant,
    config: TargetConfig,
    connection: Option<Connection>,
}

impl Lease {
    /// Takes it, if that can be now; the connection is still the caller's.
    async fn take(
        config: &TargetConfig,
        connection: &mut Connection,
        pipeline: &str,
        holder: &str,
        ttl: Duration,
        seize: bool,
    ) -> Result<Option<Self>> {
        let asked_at = Instant::now();
        let epoch = take_over(connection, pipeline, holder, ttl, seize).await?;
        Ok(epoch.map(|epoch| Self {
            pipeline: pipeline.to_owned(),
            holder: holder.to_owned(),
            epoch,
            ttl,
            valid_until: asked_at + ttl,
            config: config.clone(),
            connection: None,
        }))
    }
}

/// Waits until the lease is free, takes it, and ends what is left of its former holder.
///
/// `on_wait` is called at every look at a row that somebody else holds, with the holder and the time left.
///
/// # Errors
/// As [`connect`] and [`classify`] say; a standby whose connection is cut gets [`ErrorKind::TargetUnavailable`].
pub async fn acquire(
    config: &TargetConfig,
    pipeline: &str,
    holder: &str,
    ttl: Duration,
    mut on_wait: impl FnMut(&str, Duration) + Send,
) -> Result<Lease> {
    let doing = "waiting for the lease";
    let mut connection = connect(config, &session_name(pipeline, "standby")).await?;
    let pause = (ttl / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        connection
            .execute(
                "INSERT INTO sirenia.lease (pipeline, holder, epoch, expires_at) VALUES ($1, '', 0, to_timestamp(0))
                 ON CONFLICT DO NOTHING",
                &[&pipeline],
            )
            .await
            .map_err(on(doing))?;
        let row = connection
            .query_opt(
                "SELECT holder, epoch, ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint
                   FROM sirenia.lease WHERE pipeline = $1",
                &[&pipeline],
            )
            .await
            .map_err(on(doing))?;
        let Some(row) = row else { continue };
        let left = Duration::from_millis(count(row.get(2)));
        if !left.is_zero() {
            on_wait(row.get(0), left);
            sleep(pause.min(left)).await;
            continue;
        }
        end_sessions(&connection, pipeline, row.get(1)).await?;
        if let Some(lease) = Lease::take(config, &mut connection, pipeline, holder, ttl, false).await? {
            return Ok(Lease { connection: Some(connection), ..lease });
        }
        sleep(pause).await;
    }
}

/// Takes the lease from whoever holds it, who becomes a standby: for an operator who has seen that there is nothing left to
/// apply. The former holder's sessions are ended as in [`acquire`].
///
/// # Errors
/// As [`connect`] and [`classify`] say.
pub async fn seize(config: &TargetConfig, pipeline: &str, holder: &str, ttl: Duration) -> Result<Lease> {
    let mut connection = connect(config, &session_name(pipeline, "standby")).await?;
    loop {
        let sql = "SELECT coalesce(max(epoch), 0) FROM sirenia.lease WHERE pipeline = $1";
        let epoch: i64 = connection.query_one(sql, &[&pipeline]).await.map_err(on("taking the lease"))?.get(0);
        end_sessions(&connection, pipeline, epoch).await?;
        if let Some(lease) = Lease::take(config, &mut connection, pipeline, holder, ttl, true).await? {
            return Ok(Lease { connection: Some(connection), ..lease });
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether an instance holds the lease now, by the target's clock.
///
/// # Errors
/// As [`classify`] says.
pub async fn is_held<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<bool> {
    let sql = "SELECT holder <> '' AND expires_at > clock_timestamp() FROM sirenia.lease WHERE pipeline = $1";
    let row = client.query_opt(sql, &[&pipeline]).await.map_err(on("reading the lease"))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Ends the sessions that work under an epoch, whatever process they belong to.
async fn end_sessions(connection: &Connection, pipeline: &str, epoch: i64) -> Result<()> {
    // one cluster may serve several databases with a pipeline of this name
    let ended = connection
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()",
            &[&application_name(pipeline, epoch)],
        )
        .await;
    match ended {
        Ok(rows) if rows.is_empty() => Ok(()),
        Ok(rows) => {
            tracing::info!(pipeline, epoch, sessions = rows.len(), "ended the former holder's sessions on the target");
            Ok(())
        }
        Err(error) if sqlstate(&error) == Some("42501") => {
            tracing::warn!(pipeline, epoch, "the former holder's sessions belong to another role and cannot be ended");
            Ok(())
        }
        Err(error) => Err(classify(error, "ending the former holder's sessions")),
    }
}

/// Raises the epoch; none when a fenced transaction is still open or, unless `held` leases are taken too, another standby
/// was first.
async fn take_over(
    connection: &mut Connection,
    pipeline: &str,
    holder: &str,
    ttl: Duration,
    held: bool,
) -> Result<Option<i64>> {
    let doing = "taking the lease";
    let transaction = connection.transaction().await.map_err(on(doing))?;
    transaction
        .batch_execute(&format!("SET LOCAL lock_timeout = '{TAKEOVER_LOCK_TIMEOUT}'"))
        .await
        .map_err(on(doing))?;
    let locked = transaction
        .query_opt(
            "SELECT $2 OR expires_at <= clock_timestamp() FROM sirenia.lease WHERE pipeline = $1 FOR UPDATE",
            &[&pipeline, &held],
        )
        .await;
    let free = match locked {
        Ok(row) => row.is_some_and(|row| row.get(0)),
        Err(error) if sqlstate(&error) == Some("55P03") => false,
        Err(error) => return Err(classify(error, doing)),
    };
    if !free {
        transaction.rollback().await.map_err(on(doing))?;
        return Ok(None);
    }
    let row = transaction
        .query_one(
            "UPDATE sirenia.lease
                SET holder = $2, epoch = epoch + 1, expires_at = clock_timestamp() + $3::float8 * interval '1 second'
              WHERE pipeline = $1 RETURNING epoch",
            &[&pipeline, &holder, &ttl.as_secs_f64()],
        )
        .await
        .map_err(on(doing))?;
    let epoch = row.get(0);
    transaction
        .execute("SELECT set_config('application_name', $1, false)", &[&application_name(pipeline, epoch)])
        .await
        .map_err(on(doing))?;
    transaction.commit().await.map_err(on(doing))?;
    Ok(Some(epoch))
}

impl Lease {
    /// Moves the expiry to one time to live from now, on a new connection if the old one is gone.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseLost`] when another epoch is in the row; else the lease may still be ours.
    pub async fn renew(&mut self) -> Result<()> {
        let asked_at = Instant::now();
        let ttl = self.ttl.as_secs_f64();
        let renewed =
            self.update("clock_timestamp() + $3::float8 * interval '1 second'", ttl, "renewing the lease").await?;
        if !renewed {
            return Err(lost(&self.pipeline, "another instance has taken over"));
        }
        self.valid_until = asked_at + self.ttl;
        Ok(())
    }

    /// Gives the lease back, so that a standby takes over at once. For a clean shutdown, when no transaction of ours is
    /// open.
    ///
    /// # Errors
    /// As [`connect`] and [`classify`] say; it then expires by itself.
    pub async fn release(mut self) -> Result<()> {
        let limit = self.ttl.min(Duration::from_secs(5));
        let release = self.update("clock_timestamp() - $3::float8 * interval '1 second'", 0.0, "releasing the lease");
        match timeout(limit, release).await {
            Ok(done) => done.map(|_| ()),
            Err(_) => Err(Error::new(ErrorKind::TargetUnavailable, "releasing the lease").detail("timed out")),
        }
    }

    /// Sets the expiry if the epoch is still ours.
    async fn update(&mut self, expiry: &str, seconds: f64, doing: &str) -> Result<bool> {
        let connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => connect(&self.config, &application_name(&self.pipeline, self.epoch)).await?,
        };
        let sql = format!("UPDATE sirenia.lease SET expires_at = {expiry} WHERE pipeline = $1 AND epoch = $2");
        let changed = connection.execute(&sql, &[&self.pipeline, &self.epoch, &seconds]).await.map_err(on(doing))?;
        // only a connection that works is kept: after an error or a timeout the next attempt begins anew
        self.connection = Some(connection);
        Ok(changed == 1)
    }

    /// Renews the lease in a task of its own from now on.
    #[must_use]
    pub fn keep(self) -> LeaseKeeper {
        let (stop, stopped) = oneshot::channel();
        let (lost, lost_rx) = watch::channel(None);
        LeaseKeeper {
            pipeline: self.pipeline.clone(),
            holder: self.holder.clone(),
            epoch: self.epoch,
            lost: lost_rx,
            stop: Some(stop),
            task: Some(tokio::spawn(keep(self, stopped, lost))),
        }
    }
}

fn lost(pipeline: &str, why: &str) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("the lease of pipeline {pipeline} is lost")).detail(why)
}

/// Renews until told to stop, which hands the lease back, or until it is lost.
async fn keep(
    mut lease: Lease,
    mut stopped: oneshot::Receiver<()>,
    lost: watch::Sender<Option<&'static str>>,
) -> Option<Lease> {
    let (often, hurried) = (lease.ttl / 3, lease.ttl / 10);
    let mut pause = often;
    loop {
        let renewed = tokio::select! {
            _ = &mut stopped => return Some(lease),
            renewed = async {
                sleep(pause).await;
                // a process that was stopped past its time still asks once: nobody may have been waiting
                let now = Instant::now();
                timeout_at(lease.valid_until.clamp(now + hurried, now + often), lease.renew()).await
            } => renewed,
        };
        match renewed {
            Ok(Ok(())) => pause = often,
            Ok(Err(error)) if error.kind() == ErrorKind::LeaseLost => {
                lost.send_replace(Some("another instance has taken over"));
                return None;
            }
            failed => {
                let error = failed.map_or_else(|_| "timed out".to_owned(), |error| format!("{error:?}"));
                if Instant::now() >= lease.valid_until {
                    lost.send_replace(Some("it could not be renewed in time"));
                    return None;
                }
                tracing::warn!(pipeline = lease.pipeline, error, "renewing the lease failed; trying again");
                pause = hurried;
            }
        }
    }
}

/// A lease that renews itself. Dropped, it stops renewing and the lease expires by itself.
#[derive(Debug)]
pub struct LeaseKeeper {
    /// The pipeline it is for.
    pub pipeline: String,
    /// Our name in the row.
    pub holder: String,
    /// The epoch that every fence must be called with.
    pub epoch: i64,
    lost: watch::Receiver<Option<&'static str>>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Option<Lease>>>,
}

impl LeaseKeeper {
    /// Resolves when the lease is lost, with the [`ErrorKind::LeaseLost`] that says why. Borrows nothing: each task
    /// that writes can have one.
    pub fn lost(&self) -> impl Future<Output = Error> + Send + use<> {
        let mut watch = self.lost.clone();
        let pipeline = self.pipeline.clone();
        async move {
            let why = watch.wait_for(Option::is_some).await.ok().and_then(|why| *why);
            lost(&pipeline, why.unwrap_or("it is no longer renewed"))
        }
    }

    /// Whether it is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Stops renewing and gives the lease back: see [`Lease::release`]. Nothing is done for a lease that is lost.
    ///
    /// # Errors
    /// As [`Lease::release`].
    pub async fn release(mut self) -> Result<()> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let Some(task) = self.task.take() else { return Ok(()) };
        match task.await {
            Ok(Some(lease)) => lease.release().await,
            _ => Ok(()),
        }
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
