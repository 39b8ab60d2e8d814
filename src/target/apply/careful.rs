//! Changes that the target refuses: found one by one, set aside, and tried again when asked.
//!
//! A batch that is refused as a whole is rolled back and applied again in ranges of its log, in source order, each behind a
//! savepoint; a range that is refused is halved, down to the one change, whose row goes to quarantine. What stands on the
//! target under its key stays as it is. [`Books`] keep the keys in quarantine in memory: a later change of such a key that
//! is applied takes it out, in the same transaction, and does not have to find the row. Other keys cost nothing.
//!
//! Changes of parts of such rows are [`partial`]'s. Each stands alone between two ranges, since the row that it changes is
//! known only when everything before it has been done.

mod partial;

use super::{Batch, Connection, Writer, classify};
use crate::batch::Change;
use crate::convert::aside::{Entry, Operation};
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
    /// How many of the batch's rows that are set aside have been gone along.
    settled: usize,
    /// Most keys of one table.
    most: usize,
    changed: bool,
}

impl Books {
    pub(super) fn new(keys: Keys, most: usize) -> Self {
        let noted = vec![Default::default(); keys.len()];
        Self { noted, keys, pending: HashMap::new(), settled: 0, most, changed: true }
    }

    /// Begins a batch. Whether it has to be applied in parts: a part of a row changes that is in quarantine, or that does
    /// not convert.
    pub(super) fn begin(&mut self, batch: &Batch) -> bool {
        self.settled = 0;
        self.noted.iter_mut().for_each(|keys| keys.clear());
        for aside in batch.aside.iter().filter(|aside| aside.entry.is_some()) {
            self.noted[aside.table].insert(aside.key.clone());
        }
        batch.aside.iter().any(|aside| aside.part_of.is_some())
            || (!self.idle() && (0..batch.log.len()).any(|at| self.patches_known(batch, at)))
    }

    /// Whether neither the batch nor any before it has set rows aside that are still there.
    pub(super) fn are_closed(&self, batch: &Batch) -> bool {
        batch.aside.is_empty() && self.pending.is_empty() && self.keys.iter().all(|keys| keys.is_empty())
    }

    fn idle(&self) -> bool {
        self.keys.iter().chain(&self.noted).all(|keys| keys.is_empty())
    }

    /// Whether a change is of a part of a row that is or was in quarantine.
    fn patches_known(&self, batch: &Batch, at: usize) -> bool {
        let Change::Patch { table, key, moved, .. } = batch.log[at] else { return false };
        std::iter::once(key).chain(moved).any(|key| self.knows(table, batch.arena.get(key)))
    }

    /// Whether something has to be done right before a change or with it alone.
    fn stands_alone(&self, batch: &Batch, at: usize) -> bool {
        let first = batch.aside.partition_point(|aside| aside.behind < at);
        let mut before = batch.aside[first..].iter().take_while(|aside| aside.behind == at);
        before.any(|aside| aside.part_of.is_some()) || self.patches_known(batch, at)
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
        if batch.aside.is_empty() && self.idle() {
            return;
        }
        for at in range {
            self.set_aside_before(batch, at);
            let key = match batch.log[at] {
                Change::Put { table, key, .. } | Change::Remove { table, key } => (table, key),
                Change::Patch { table, moved: Some(key), .. } => (table, key),
                _ => continue,
            };
            if self.knows(key.0, batch.arena.get(key.1)) {
                self.set(key.0, batch.arena.get(key.1), None);
            }
        }
    }

    /// What stands in source order before a change of the log, as far as it is of whole rows.
    pub(super) fn set_aside_before(&mut self, batch: &Batch, at: usize) {
        while let Some(aside) = batch.aside.get(self.settled).filter(|aside| aside.behind <= at) {
            self.set(aside.table, &aside.key, aside.entry.clone());
            self.settled += 1;
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
        self.in_transaction = slice;
        self.books.pending.clear();
        self.books.settled = 0;
        self.in_parts(batch).await
    }

    /// Applies a batch in ranges, halving those that are refused.
    pub(super) async fn in_parts(&mut self, batch: &mut Batch) -> Result<()> {
        if let Some(begin) = self.begin() {
            begin.await?;
        }
        self.in_transaction = true;
        let mut ranges = Vec::from_iter(std::iter::once(0..batch.log.len()).filter(|range| !range.is_empty()));
        while let Some(range) = ranges.pop() {
            let (at, behind) = (range.start, range.start + 1);
            let plain = self.books.idle() && batch.aside.is_empty();
            if let Some(next) = (behind..range.end).find(|at| !plain && self.books.stands_alone(batch, *at)) {
                ranges.extend([next..range.end, range.start..next]);
                continue;
            }
            self.settle_aside(batch, at).await?;
            let alone = self.books.patches_known(batch, at);
            if alone && behind < range.end {
                ranges.push(behind..range.end);
            }
            if alone && self.lay_change(batch, at).await? {
                continue;
            }
            let range = if alone { at..behind } else { range };
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
                        self.set_aside(batch, range.start, error).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.settle_aside(batch, batch.log.len()).await
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
    async fn set_aside(&mut self, batch: &Batch, at: usize, error: Error) -> Result<()> {
        let (table, key, tuple) = match batch.log[at] {
            Change::Put { table, key, tuple, .. } => (table, key, Some(tuple)),
            Change::Remove { table, key } => (table, key, None),
            Change::Patch { .. } => return self.lay_patch(batch, at, None).await,
            // a row without a key could not be found again; a cascade concerns rows that are not known here
            _ => {
                let hint = "mend what refuses it on the target (a constraint, a trigger), then start again";
                return Err(Error::new(ErrorKind::TargetConflict, error.to_string()).with_hint(hint));
            }
        };
        let operation = if tuple.is_some() { Operation::Put } else { Operation::Remove };
        let image = tuple.map(|tuple| image::of_tuple(&self.plans[table], batch.arena.get(tuple))).transpose()?;
        let entry = Entry::new(operation, &error, self.position.to_string().into(), image);
        self.note(table, batch.arena.get(key), entry)
    }

    /// A row that is to be set aside; an error when they are too many.
    fn note(&mut self, table: usize, key: &[u8], entry: Entry) -> Result<()> {
        let error = entry.error.clone();
        self.books.set(table, key, Some(entry));
        let waiting = self.books.pending.keys().filter(|(other, _)| *other == table).count();
        if waiting > self.books.most {
            return Err(quarantine::too_many(&self.plans[table].source.name, self.books.most, &error));
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
            Ok(mut converter) => {
                if let (Some(table), Some(converter)) = (table, &mut converter) {
                    self.in_transaction = true;
                    self.record_restored(table, converter, &marked.key, marked.key_text.as_ref()).await?;
                    self.in_transaction = false;
                }
                quarantine::clear(&*self.client, &self.pipeline, &marked.table, &[marked.key.as_slice()]).await?;
                match run(&self.client, "COMMIT").await {
                    // the row stays marked, and has its way the next time
                    Err(error) if error.code() == Some("23503") => return self.give_up_key(error).await,
                    done => done?,
                }
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

    /// The converter of the image, if there is one, tells what was changed to fit.
    async fn try_again(&self, table: Option<usize>, marked: &Marked) -> Result<Option<Converter>> {
        let plan = table.map(|table| &self.plans[table]).ok_or_else(|| {
            Error::new(ErrorKind::SchemaMismatch, format!("{} is not carried any more", marked.table))
        })?;
        let Some(image) = &marked.image else {
            quarantine::apply_one(&*self.client, plan, &marked.key, None).await?;
            return Ok(None);
        };
        let mut arena = Arena::default();
        let mut converter = Converter::compile(Arc::clone(plan))?;
        let (key, tuple) = image::restore(image, &mut converter, &mut arena)?;
        quarantine::apply_one(&*self.client, plan, arena.get(key), Some(arena.get(tuple))).await?;
        Ok(Some(converter))
    }
}

async fn run(client: &Connection, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| classify(error, "applying changes in parts"))
}
