//! The checkpoint: how far the source is in the target, and in which phase the pipeline works.
//!
//! Owns the row's typed form, its creation and the change of phase. Moving it is [`super::fence::advance`]'s, in the
//! transaction of the rows. Invariant: there is either no trace of a pipeline or checkpoint, schema version and tables
//! together, since [`create`] writes them in one fenced transaction.

use super::error::on;
use super::progress::{self, NewTable};
use super::{count, fence, from_json, schema_version, to_json};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::SourceIdentity;
use crate::position::Position;
use crate::schema::Catalog;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;
use tokio_postgres::{Client, GenericClient};

/// What a pipeline is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Copying tables; the stream is not applied yet.
    Snapshot,
    /// Applying what was logged during the copy, rows of which may be there already.
    CatchUp,
    /// Building indexes; the target is consistent.
    Index,
    /// Steady state.
    Follow,
}

impl Phase {
    /// The text in `sirenia.checkpoint.phase`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::CatchUp => "catch_up",
            Self::Index => "index",
            Self::Follow => "follow",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Snapshot, Self::CatchUp, Self::Index, Self::Follow]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("the checkpoint's phase is not known: {text:?}")))
    }
}

/// A pipeline's row of `sirenia.checkpoint`.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Right behind the last source transaction that is in the target.
    pub position: Position,
    /// The server and log that the position belongs to.
    pub source_identity: SourceIdentity,
    /// What the pipeline was doing.
    pub phase: Phase,
    /// In catch-up: from here on the target is consistent.
    pub catch_up_until: Option<Position>,
    /// The lease's epoch under which it was written last.
    pub epoch: i64,
    /// The schema version that events behind the position are decoded with.
    pub schema_version: i64,
    /// When the source committed the last transaction that is in the target, by the source's clock.
    pub committed_at: Option<SystemTime>,
    /// When that was applied, by the target's clock.
    pub applied_at: SystemTime,
    /// Source transactions applied since the pipeline began.
    pub transactions: u64,
    /// Row changes read from the source's log since the pipeline began.
    pub changes: u64,
    /// Rows written for them.
    pub rows: u64,
}

/// What a new pipeline begins with.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap<'a> {
    /// Where the stream will begin: everything the copy may miss lies behind it.
    pub position: &'a Position,
    /// The source's server and log.
    pub source_identity: &'a SourceIdentity,
    /// The first phase.
    pub phase: Phase,
    /// The source's tables at the position.
    pub catalog: &'a Catalog,
    /// The tables to fill.
    pub tables: &'a [NewTable],
}

/// Reads a pipeline's checkpoint; none before its bootstrap.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when the row cannot be read; else as [`super::classify`] says.
pub async fn load<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Option<Checkpoint>> {
    let row = client
        .query_opt(
            "SELECT position::text, source_identity::text, phase, catch_up_until::text, epoch, schema_version,
                    committed_at, applied_at, transactions, changes, \"rows\"
               FROM sirenia.checkpoint WHERE pipeline = $1",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the checkpoint"))?;
    let Some(row) = row else { return Ok(None) };
    let until: Option<&str> = row.get(3);
    Ok(Some(Checkpoint {
        position: from_json(row.get(0), "the checkpoint's position")?,
        source_identity: from_json(row.get(1), "the source's identity")?,
        phase: row.get::<_, &str>(2).parse()?,
        catch_up_until: until.map(|text| from_json(text, "the end of the catch-up")).transpose()?,
        epoch: row.get(4),
        schema_version: row.get(5),
        committed_at: row.get(6),
        applied_at: row.get(7),
        transactions: count(row.get(8)),
        changes: count(row.get(9)),
        rows: count(row.get(10)),
    }))
}

/// Begins a pipeline: checkpoint, first schema version and tables in one fenced transaction.
///
/// # Errors
/// [`ErrorKind::LeaseLost`]; [`ErrorKind::TargetConflict`] when the pipeline exists or a table belongs to another.
pub async fn create(client: &mut Client, pipeline: &str, epoch: i64, bootstrap: &Bootstrap<'_>) -> Result<()> {
    let doing = "creating the checkpoint";
    let transaction = fence::begin(client, pipeline, epoch).await?;
    let (position, identity) = (to_json(bootstrap.position)?, to_json(bootstrap.source_identity)?);
    let made = transaction
        .execute(
            "INSERT INTO sirenia.checkpoint
                    (pipeline, position, source_identity, phase, epoch, schema_version, applied_at)
             VALUES ($1, $2::text::jsonb, $3::text::jsonb, $4, $5, 0, clock_timestamp())
             ON CONFLICT (pipeline) DO NOTHING",
            &[&pipeline, &position, &identity, &bootstrap.phase.as_str(), &epoch],
        )
        .await
        .map_err(on(doing))?;
    if made == 0 {
        return Err(Error::new(ErrorKind::TargetConflict, format!("pipeline {pipeline} exists already"))
            .with_hint("`sirenia run` continues it, `sirenia reset --yes` removes it with its tables"));
    }
    schema_version::add(&transaction, pipeline, bootstrap.position, bootstrap.catalog, None).await?;
    progress::register(&transaction, pipeline, bootstrap.tables).await?;
    transaction.commit().await.map_err(on(doing))
}

/// Changes the phase, and where a catch-up ends, in a fenced transaction of its own.
///
/// # Errors
/// [`ErrorKind::LeaseLost`]; [`ErrorKind::Bug`] when the pipeline has no checkpoint.
pub async fn set_phase(
    client: &mut Client,
    pipeline: &str,
    epoch: i64,
    phase: Phase,
    catch_up_until: Option<&Position>,
) -> Result<()> {
    let transaction = fence::begin(client, pipeline, epoch).await?;
    set_phase_in(&transaction, pipeline, epoch, phase, catch_up_until).await?;
    transaction.commit().await.map_err(on("changing the phase"))
}

/// Moves the checkpoint over something that is no batch, in the fenced transaction of what belongs to it.
///
/// # Errors
/// [`ErrorKind::Bug`] when it does not stand where it is expected.
pub async fn step_in<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    expected: &Position,
    next: &Position,
) -> Result<()> {
    let moved = client
        .execute(
            "UPDATE sirenia.checkpoint SET position = $3::text::jsonb, applied_at = clock_timestamp()
              WHERE pipeline = $1 AND position = $2::text::jsonb",
            &[&pipeline, &to_json(expected)?, &to_json(next)?],
        )
        .await
        .map_err(on("moving the checkpoint"))?;
    if moved == 0 {
        return Err(Error::new(ErrorKind::Bug, "the checkpoint is not where it was left"));
    }
    Ok(())
}

/// [`set_phase`] within a transaction that has been fenced.
///
/// # Errors
/// [`ErrorKind::Bug`] when the pipeline has no checkpoint.
pub async fn set_phase_in<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    epoch: i64,
    phase: Phase,
    catch_up_until: Option<&Position>,
) -> Result<()> {
    let until = catch_up_until.map(to_json).transpose()?;
    let changed = client
        .execute(
            "UPDATE sirenia.checkpoint SET phase = $2, catch_up_until = $3::text::jsonb, epoch = $4
              WHERE pipeline = $1",
            &[&pipeline, &phase.as_str(), &until, &epoch],
        )
        .await
        .map_err(on("changing the phase"))?;
    if changed == 0 {
        return Err(Error::new(ErrorKind::Bug, format!("pipeline {pipeline} has no checkpoint")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fence::{Advance, advance, prepare_advance};
    use crate::target::testing::{self, example};
    use std::time::Duration;

    #[tokio::test]
    async fn a_checkpoint_is_made_moved_and_read() {
        let database = testing::prepared().await;
        let mut client = database.connect().await;
        assert_eq!(load(&*client, "p").await.unwrap(), None);
        let epoch = testing::hold(&database, "p").await;
        let (start, next) = (example::position(4), example::position(900));
        let bootstrap = Bootstrap {
            position: &start,
            source_identity: &example::identity(),
            phase: Phase::Snapshot,
            catalog: &Catalog::default(),
            tables: &[],
        };
        create(&mut client, "p", epoch, &bootstrap).await.unwrap();
        assert_eq!(create(&mut client, "p", epoch, &bootstrap).await.unwrap_err().kind(), ErrorKind::TargetConflict);
        set_phase(&mut client, "p", epoch, Phase::CatchUp, Some(&next)).await.unwrap();
        assert_eq!(
            set_phase(&mut client, "p", epoch + 1, Phase::Follow, None).await.unwrap_err().kind(),
            ErrorKind::LeaseLost
        );

        let statement = prepare_advance(&*client).await.unwrap();
        let committed_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let step = Advance { expected: &start, next: &next, committed_at, transactions: 2, changes: 7, rows: 5 };
        advance(&*client, &statement, "p", epoch, &step).await.unwrap();
        // the same batch again: its expected position is gone
        let error = advance(&*client, &statement, "p", epoch, &step).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseLost);
        assert!(error.to_string().contains("SR002"), "{error}");

        let read = load(&*client, "p").await.unwrap().unwrap();
        assert_eq!((read.position, read.phase, read.catch_up_until), (next.clone(), Phase::CatchUp, Some(next)));
        assert_eq!((read.transactions, read.changes, read.rows, read.schema_version), (2, 7, 5, 1));
        assert_eq!((read.committed_at, read.source_identity), (committed_at, example::identity()));
    }

    #[test]
    fn phases_have_their_text() {
        for phase in [Phase::Snapshot, Phase::CatchUp, Phase::Index, Phase::Follow] {
            assert_eq!(phase.to_string().parse::<Phase>().unwrap(), phase);
        }
        assert!("copy".parse::<Phase>().is_err());
    }
}
