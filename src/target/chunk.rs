//! The target's side of one reader of the first copy: chunks of rows, each with its progress in one fenced transaction.
//!
//! Enters: encoded tuples and how far the reader is. Leaves: committed rows with that progress, or nothing of either. The
//! caller says where a transaction begins and ends, since an exact group is one transaction over several tables.

use super::error::{classify, on};
use super::progress::{self, TableState};
use super::{Connection, copy, fence, indexes};
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use std::iter::once;
use tokio_postgres::{Client, Statement};

/// Writes chunks over a connection of its own.
pub struct ChunkWriter {
    client: Connection,
    fence: Statement,
    pipeline: String,
    epoch: i64,
}

/// A prepared COPY into one table.
pub struct TableCopy {
    statement: Statement,
    doing: String,
}

impl ChunkWriter {
    /// A writer under the epoch of a lease.
    ///
    /// # Errors
    /// As [`classify`] says; so do all others here.
    pub async fn new(client: Connection, pipeline: &str, epoch: i64) -> Result<Self> {
        let fence = fence::prepare_fence(&*client).await?;
        Ok(Self { client, fence, pipeline: pipeline.to_owned(), epoch })
    }

    /// The session, for progress to be saved in the open transaction.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a transaction and fences it.
    pub async fn begin(&self) -> Result<()> {
        self.begin_by("BEGIN").await
    }

    /// [`begin`](Self::begin), but COMMIT will not wait for the disk: should the target fail, rows are lost only together with
    /// the progress that tells of them, and they are read again. What says that a table is copied is waited for, and with it
    /// all that was committed before.
    pub async fn begin_chunk(&self) -> Result<()> {
        self.begin_by("BEGIN; SET LOCAL synchronous_commit = off").await
    }

    async fn begin_by(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(on("beginning a chunk"))?;
        fence::fence(self.client(), &self.fence, &self.pipeline, self.epoch).await
    }

    /// Commits it. Every statement in it must have been awaited: a failed one turns this into a rollback without an error.
    pub async fn commit(&self) -> Result<()> {
        self.client.batch_execute("COMMIT").await.map_err(on("committing a chunk"))
    }

    /// Prepares the COPY into a table.
    pub async fn table(&self, plan: &TablePlan) -> Result<TableCopy> {
        let doing = format!("copying into {}", plan.target);
        let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
        let sql = format!("COPY {} ({names}) FROM STDIN BINARY", plan.target.sql());
        let statement = self.client.prepare(&sql).await.map_err(on(&doing))?;
        Ok(TableCopy { statement, doing })
    }

    /// Copies tuples; returns the number of rows.
    pub async fn copy<'a>(&self, into: &TableCopy, tuples: impl Iterator<Item = &'a [u8]>) -> Result<u64> {
        copy::copy_in(&self.client, &into.statement, tuples).await.map_err(|e| classify(e, &into.doing))
    }

    /// Copies tuples, without those that the target refuses: returns the number of rows, and which were refused and why. After
    /// more than `most` of those it is given up.
    ///
    /// The tuples are sent together first; what is refused is halved, each half behind a savepoint, down to the row.
    pub async fn copy_what_fits(
        &self,
        into: &TableCopy,
        tuples: &[&[u8]],
        most: usize,
    ) -> Result<(u64, Vec<(usize, Error)>)> {
        let (mut rows, mut refused, mut ranges) = (0, Vec::new(), Vec::from_iter(once(0..tuples.len())));
        while let Some(range) = ranges.pop() {
            self.run("SAVEPOINT sirenia_chunk").await?;
            match self.copy(into, tuples[range.clone()].iter().copied()).await {
                Ok(copied) => rows += copied,
                Err(error) if error.kind() == ErrorKind::TargetData && refused.len() <= most => {
                    self.run("ROLLBACK TO SAVEPOINT sirenia_chunk").await?;
                    if range.len() > 1 {
                        let middle = range.start + range.len() / 2;
                        ranges.extend([middle..range.end, range.start..middle]);
                    } else {
                        refused.push((range.start, error));
                    }
                }
                Err(error) => return Err(error),
            }
            self.run("RELEASE SAVEPOINT sirenia_chunk").await?;
        }
        Ok((rows, refused))
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(on("copying a part of a chunk"))
    }

    /// Builds the table's key and what the catch-up needs, and marks the table as copied.
    pub async fn finish(&self, plan: &TablePlan, source_logs_cascades: bool) -> Result<()> {
        indexes::create_primary_key(self.client(), plan).await?;
        if !source_logs_cascades {
            // the catch-up already follows foreign keys, each time by a scan of the child otherwise
            indexes::create_reference_indexes(self.client(), plan).await?;
        }
        progress::set_state(self.client(), &self.pipeline, &plan.source.name, TableState::Copied).await
    }
}
