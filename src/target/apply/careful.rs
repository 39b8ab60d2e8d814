//! Changes that the target refuses: found one by one, set aside, and tried again when asked.
//!
//! A batch that is refused as a whole is rolled back and applied again in ranges of its log, in source order, each behind a
//! savepoint; a range that is refused is halved, down to the one change, whose row goes to quarantine. What stands on the
//! target under its key stays as it is. [`Books`] keep the keys in quarantine in memory: a later change of such a key that
//! is applied takes it out, in the same transaction, and does not have to find the row. Other keys cost nothing.

use super::{Batch, Connection, Writer, classify};
use crate::batch::Change;
use crate::convert::aside::{Entry, Operation};
use crate::convert::plan::TablePlan;
use crate::convert::row::Converter;
use crate::convert::{Arena, image};
use crate::error::{Error, ErrorKind, Result};
use crate::merge::{self, TableChanges};
use crate::target::error::on;
use crate::target::fence;
use crate::target::quarantine::{self, Keys, Marked};
use hashbrown::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What is in quarantine, and what the open batch does to it.
pub(super) struct Books {
    keys: Keys,
    /// Keys that the batch in hand sets aside, or takes out (none).
    pending: HashMap<(usize, Vec<u8>), Option<Entry>>,
    /// Keys that the batch in hand sets aside at some time.
    noted: Keys,
    /// Most keys of one table.
    most: usize,
    changed: bool,
}

impl Books {
    pub(super) fn new(keys: Keys, most: usize) -> Self {
        Self { noted: vec![Default::default(); keys.len()], keys, pending: HashMap::new(), most, changed: true }
    }

    /// Begins a batch.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedEvent`] when a partial image changes a row in quarantine: what the row is as a whole is not
    /// known here, and a version of it that stands on the target is old.
    pub(super) fn begin(&mut self, batch: &Batch, plans: &[Arc<TablePlan>]) -> Result<()> {
        self.noted.iter_mut().for_each(|keys| keys.clear());
        for aside in batch.aside.iter().filter(|aside| aside.entry.is_some()) {
            self.noted[aside.table].insert(aside.key.clone());
        }
        let idle = |keys: &Keys| keys.iter().all(|keys| keys.is_empty());
        if idle(&self.keys) && idle(&self.noted) {
            return Ok(());
        }
        for change in &batch.log {
            if let Change::Patch { table, key, moved, .. } = *change
                && std::iter::once(key).chain(moved).any(|key| self.knows(table, batch.arena.get(key)))
            {
                let name = &plans[table].source.name;
                let message = format!("a partial row image changes a row of {name} that is in quarantine");
                return Err(Error::new(ErrorKind::UnsupportedEvent, message).with_hint(
                    "mend what refuses the row and `sirenia quarantine retry`, then start again; \
                     SET GLOBAL binlog_row_image = 'FULL' keeps it from happening again",
                ));
            }
        }
        Ok(())
    }

    fn knows(&self, table: usize, key: &[u8]) -> bool {
        self.keys[table].contains(key) || self.noted[table].contains(key)
    }

    fn set(&mut self, table: usize, key: &[u8], entry: Option<Entry>) {
        if entry.is_some() {
            self.noted[table].insert(key.to_vec());
        }
        self.pending.insert((table, key.to_vec()), entry);
    }

    /// Goes along changes that were applied.
    pub(super) fn walk(&mut self, batch: &Batch, range: Range<usize>) {
        let idle = |keys: &Keys| keys.iter().all(|keys| keys.is_empty());
        if batch.aside.is_empty() && idle(&self.keys) && idle(&self.noted) {
            return;
        }
        for at in range {
            self.set_aside_before(batch, at);
            if let Change::Put { table, key, .. } | Change::Remove { table, key } = batch.log[at]
                && self.knows(table, batch.arena.get(key))
            {
                self.set(table, batch.arena.get(key), None);
            }
        }
    }

    /// What stands in source order right before a change of the log.
    pub(super) fn set_aside_before(&mut self, batch: &Batch, at: usize) {
        let first = batch.aside.partition_point(|aside| aside.behind < at);
        for aside in batch.aside[first..].iter().take_while(|aside| aside.behind == at) {
            self.set(aside.table, &aside.key, aside.entry.clone());
        }
    }

    /// Whether rows that were not found may be missing since their keys are in quarantine.
    pub(super) fn excuse(&self, changes: &TableChanges, arena: &Arena, found: u64, wanted: u64) -> bool {
        let known = changes.deletes.iter().filter(|delete| self.knows(changes.table, arena.get(delete.row)));
        found < wanted && wanted - found <= known.count() as u64
    }
}

impl Writer {
    /// How many rows of each plan are in quarantine, when that has changed since the last call.
    pub fn quarantined(&mut self) -> Option<Vec<usize>> {
        let books = &mut self.books;
        std::mem::take(&mut books.changed).then(|| books.keys.iter().map(|keys| keys.len()).collect())
    }

    /// Writes down what the batch did to the quarantine.
    pub(super) async fn keep_books(&mut self) -> Result<()> {
        if self.books.pending.is_empty() {
            return Ok(());
        }
        if let Some(begin) = self.begin() {
            begin.await?;
        }
        self.in_transaction = true;
        let mut pending: Vec<_> = self.books.pending.drain().collect();
        pending.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((table, key), entry) in pending {
            let plan = &self.plans[table];
            let Some(entry) = entry else {
                if self.books.keys[table].remove(&key) {
                    quarantine::clear(&*self.client, &self.pipeline, &plan.source.name, &[key.as_slice()]).await?;
                    self.books.changed = true;
                }
                continue;
            };
            quarantine::put(&*self.client, &self.pipeline, plan, &key, &entry).await?;
            self.books.keys[table].insert(key);
            self.books.changed = true;
            if self.books.keys[table].len() > self.books.most {
                return Err(quarantine::too_many(&plan.source.name, self.books.most, &entry.error));
            }
        }
        Ok(())
    }

    /// After a rollback: what was written down is gone.
    pub(super) async fn reopen_books(&mut self) -> Result<()> {
        let keys = quarantine::load(&*self.client, &self.pipeline, &self.plans).await?;
        self.books = Books::new(keys, self.books.most);
        Ok(())
    }

    /// Applies a batch that was refused, change by change where need be. `slice`: the transaction holds earlier slices.
    pub(super) async fn careful(&mut self, batch: &mut Batch, refused: &Error, slice: bool) -> Result<()> {
        tracing::warn!(changes = batch.log.len(), "{refused}; applying these changes in parts to find which");
        run(&self.client, if slice { "ROLLBACK TO SAVEPOINT sirenia_slice" } else { "ROLLBACK" }).await?;
        if !slice {
            run(&self.client, "BEGIN").await?;
        }
        self.in_transaction = true;
        self.books.pending.clear();
        let mut ranges = Vec::from_iter(std::iter::once(0..batch.log.len()));
        while let Some(range) = ranges.pop() {
            let rows = self.pending.rows;
            run(&self.client, "SAVEPOINT sirenia_range").await?;
            let segments = self.merge(batch, range.clone());
            match self.segments(&segments, &batch.arena).await {
                Ok(()) => {
                    run(&self.client, "RELEASE SAVEPOINT sirenia_range").await?;
                    self.books.walk(batch, range);
                }
                Err(error) if error.kind() == ErrorKind::TargetData => {
                    run(&self.client, "ROLLBACK TO SAVEPOINT sirenia_range; RELEASE SAVEPOINT sirenia_range").await?;
                    self.pending.rows = rows;
                    if range.len() > 1 {
                        let middle = range.start + range.len() / 2;
                        ranges.extend([middle..range.end, range.start..middle]);
                    } else {
                        self.books.set_aside_before(batch, range.start);
                        self.set_aside(batch, range.start, error)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn merge(&self, batch: &mut Batch, range: Range<usize>) -> Vec<merge::Segment> {
        let tables = merge::Tables {
            keyed: &|table| self.plans[table].has_key(),
            catching_up: &|table| batch.catching_up[table],
            columns: &|table| self.plans[table].columns.len(),
            unique: &|table, column| self.plans[table].columns[column].unique,
        };
        merge::merge(&batch.log[range], &mut batch.arena, &self.graph, &tables)
    }

    /// One change that the target refuses.
    fn set_aside(&mut self, batch: &Batch, at: usize, error: Error) -> Result<()> {
        let (table, key, tuple) = match batch.log[at] {
            Change::Put { table, key, tuple, .. } => (table, key, Some(tuple)),
            Change::Remove { table, key } => (table, key, None),
            // a row without a key could not be found again; a cascade concerns rows that are not known here
            _ => {
                let hint = "mend what refuses it on the target (a constraint, a trigger), then start again";
                return Err(Error::new(ErrorKind::TargetConflict, error.to_string()).with_hint(hint));
            }
        };
        let plan = &self.plans[table];
        let operation = if tuple.is_some() { Operation::Put } else { Operation::Remove };
        let image = tuple.map(|tuple| image::of_tuple(plan, batch.arena.get(tuple))).transpose()?;
        let entry = Entry::new(operation, &error, self.position.to_string().into(), image);
        self.books.set(table, batch.arena.get(key), Some(entry));
        let waiting = self.books.pending.keys().filter(|(other, _)| *other == table).count();
        if waiting > self.books.most {
            return Err(quarantine::too_many(&plan.source.name, self.books.most, &error.to_string()));
        }
        Ok(())
    }

    /// Tries the rows again that are marked for it, each in a transaction of its own. Only between transactions: then
    /// what is in quarantine is the newest there is of its key.
    ///
    /// # Errors
    /// Those of the connection and the lease; that a row is refused again is written down.
    pub async fn retry_marked(&mut self) -> Result<()> {
        if self.in_transaction {
            return Ok(());
        }
        for marked in quarantine::marked(&*self.client, &self.pipeline).await? {
            self.retry(&marked).await?;
        }
        Ok(())
    }

    async fn retry(&mut self, marked: &Marked) -> Result<()> {
        run(&self.client, "BEGIN").await?;
        self.client.execute(fence::FENCE, &[&self.pipeline, &self.epoch]).await.map_err(on("checking the lease"))?;
        run(&self.client, "SAVEPOINT sirenia_retry").await?;
        use ErrorKind as K;
        let table = self.plans.iter().position(|plan| plan.source.name == marked.table);
        match self.try_again(table, marked).await {
            Ok(()) => {
                quarantine::clear(&*self.client, &self.pipeline, &marked.table, &[marked.key.as_slice()]).await?;
                run(&self.client, "COMMIT").await?;
                if let Some(table) = table {
                    self.books.keys[table].remove(&marked.key);
                }
                self.books.changed = true;
                tracing::info!(table = %marked.table, id = marked.id, "a row came out of quarantine");
            }
            Err(error)
                if matches!(error.kind(), K::TargetData | K::Unfit | K::Value | K::SchemaMismatch | K::Corrupt) =>
            {
                run(&self.client, "ROLLBACK TO SAVEPOINT sirenia_retry").await?;
                quarantine::tried(&*self.client, marked.id, &error).await?;
                run(&self.client, "COMMIT").await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn try_again(&self, table: Option<usize>, marked: &Marked) -> Result<()> {
        let plan = table.map(|table| &self.plans[table]).ok_or_else(|| {
            Error::new(ErrorKind::SchemaMismatch, format!("{} is not carried any more", marked.table))
        })?;
        let Some(image) = &marked.image else {
            return quarantine::apply_one(&*self.client, plan, &marked.key, None).await;
        };
        let mut arena = Arena::default();
        let (key, tuple) = image::restore(image, &mut Converter::compile(Arc::clone(plan))?, &mut arena)?;
        quarantine::apply_one(&*self.client, plan, arena.get(key), Some(arena.get(tuple))).await
    }
}

async fn run(client: &Connection, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| classify(error, "applying changes in parts"))
}
