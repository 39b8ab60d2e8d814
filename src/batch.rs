//! Collects converted changes and cuts them into batches, only where the source has committed.
//!
//! Rows enter as images of [`crate::value::ValueRef`] and are converted at once into one arena; the order of changes
//! is kept until the batch is cut, because a savepoint or a rollback may still take some of them back. A batch ends
//! at a source commit ([`End::Commit`]) except when one transaction outgrows the memory budget: then it goes on in
//! slices ([`End::Open`]), which the target applies inside one transaction of its own (invariants 2 and 6).
//!
//! The clock is an argument: nothing here asks for the time.

mod refused;
mod row;

use crate::change::{Op, RowImages};
use crate::convert::aside::Aside;
use crate::convert::row::Converter;
use crate::convert::sanitize::Changed;
use crate::convert::{Arena, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::key_graph::KeyGraph;
use crate::merge::{self, Segment};
use crate::position::{BinlogOffset, Position};
use crate::schema::TableSchema;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When a batch is cut.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Changes; a batch is cut at the first commit at or beyond it.
    pub changes: usize,
    /// Converted bytes; a batch is cut at the first commit at or beyond it.
    pub bytes: usize,
    /// Time since the first change of the batch; cut at the first commit beyond it.
    pub age: Duration,
    /// Converted bytes at which a transaction is sliced without waiting for its commit.
    pub slice_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { changes: 50_000, bytes: 8 << 20, age: Duration::from_millis(500), slice_bytes: 24 << 20 }
    }
}

/// How a table takes changes.
#[derive(Debug, Clone, Default)]
pub struct TableMode {
    /// Still catching up from a copy that was read while the source changed: rows may already be there or be gone.
    pub catching_up: bool,
    /// The table was copied at exactly this position: transactions that start before it are in the copy already.
    pub copied_at: Option<BinlogOffset>,
    /// Its changes are left out: it is paused, or waits to be copied anew.
    pub left_out: bool,
}

/// One change, in source order, its bytes in the batch's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The row of that key holds the tuple now. `fresh`: there was none before.
    Put {
        /// Index of the plan.
        table: usize,
        /// The key's fields.
        key: Span,
        /// The whole COPY tuple.
        tuple: Span,
        /// Whether the source says that the key was not there before.
        fresh: bool,
    },
    /// The row of that key is gone.
    Remove {
        /// Index of the plan.
        table: usize,
        /// The key's fields.
        key: Span,
    },
    /// The row of that key changed in some columns, and the log does not carry the others.
    Patch {
        /// Index of the plan.
        table: usize,
        /// The fields of the key before.
        key: Span,
        /// And after, if it changed.
        moved: Option<Span>,
        /// The changed columns: a [`crate::convert::patch`].
        patch: Span,
    },
    /// One more row in a table without a key.
    Add {
        /// Index of the plan.
        table: usize,
        /// The whole COPY tuple.
        tuple: Span,
    },
    /// One row less, equal to the tuple, in a table without a key.
    Subtract {
        /// Index of the plan.
        table: usize,
        /// The whole COPY tuple.
        tuple: Span,
    },
    /// A parent's row went (`new` is none) or its referenced columns changed: children follow.
    Cascade {
        /// The foreign key: an edge of the [`KeyGraph`].
        edge: usize,
        /// The referenced columns' fields before.
        old: Span,
        /// And after.
        new: Option<Span>,
    },
}

impl Change {
    /// Moves its bytes `by` towards the arena's start.
    fn shift(&mut self, by: usize) {
        let move_span = |span: &mut Span| *span = Span { start: span.start - by, end: span.end - by };
        match self {
            Self::Put { key, tuple, .. } => {
                move_span(key);
                move_span(tuple);
            }
            Self::Remove { key, .. } => move_span(key),
            Self::Patch { key, moved, patch, .. } => {
                move_span(key);
                moved.as_mut().map(move_span);
                move_span(patch);
            }
            Self::Add { tuple, .. } | Self::Subtract { tuple, .. } => move_span(tuple),
            Self::Cascade { old, new, .. } => {
                move_span(old);
                new.as_mut().map(move_span);
            }
        }
    }
}

/// How a batch ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// At a source commit: the target commits too, with this position.
    Commit {
        /// Where a restart continues.
        position: Position,
        /// The source's commit time of the last transaction, seconds since 1970; none when no transaction is in it.
        committed_at: Option<u32>,
    },
    /// Inside a source transaction: the target's transaction stays open.
    Open,
    /// Everything since the last commit is to be rolled back.
    Rollback,
}

/// Row changes by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that the source added.
    pub inserts: u64,
    /// Rows that it changed.
    pub updates: u64,
    /// Rows that it removed.
    pub deletes: u64,
}

impl RowCounts {
    /// All together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.inserts + self.updates + self.deletes
    }

    fn count(&mut self, op: Op) {
        match op {
            Op::Insert => self.inserts += 1,
            Op::Update => self.updates += 1,
            Op::Delete => self.deletes += 1,
        }
    }
}

impl std::ops::AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
    }
}

impl std::ops::SubAssign for RowCounts {
    fn sub_assign(&mut self, other: Self) {
        self.inserts -= other.inserts;
        self.updates -= other.updates;
        self.deletes -= other.deletes;
    }
}

/// What the target applies in one go.
#[derive(Debug)]
pub struct Batch {
    /// The bytes all spans point into.
    pub arena: Arena,
    /// The changes in source order, for when the target refuses them together.
    pub log: Vec<Change>,
    /// Rows that are set aside instead of being applied, in source order.
    pub aside: Vec<Aside>,
    /// By plan: whether rows may already be there or be gone.
    pub catching_up: Arc<[bool]>,
    /// Merged changes, to be applied one segment after the other.
    pub segments: Vec<Segment>,
    /// How it ends.
    pub end: End,
    /// Source transactions that ended in it.
    pub transactions: u64,
    /// Row changes before merging.
    pub changes: RowCounts,
    /// Values that were changed to fit, to be recorded in the transaction of their rows.
    pub sanitized: Vec<Changed>,
    /// When its first change arrived, for latency.
    pub first_at: Option<Instant>,
}

/// Collects changes and cuts batches.
pub struct Batcher {
    converters: Vec<Converter>,
    modes: Vec<TableMode>,
    graph: Arc<KeyGraph>,
    limits: Limits,
    arena: Arena,
    log: Vec<Change>,
    /// Rows that are set aside, between the changes in `log`.
    aside: Vec<Aside>,
    /// Bytes of `aside`, roughly.
    aside_bytes: usize,
    catching_up: Arc<[bool]>,
    /// Values that were changed to fit, of the changes in `log`.
    sanitized: Vec<Changed>,
    /// Changes before merging in `log`; a keyed update is one change but may be two entries.
    changes: RowCounts,
    transactions: u64,
    first_at: Option<Instant>,
    /// The last commit in the log, if any since the last cut.
    committed: Option<(Position, Option<u32>)>,
    transaction: Option<OpenTransaction>,
    /// Where the open transaction, or else the last one, starts.
    start: BinlogOffset,
    /// Slices of the open transaction were already handed out.
    sliced: bool,
}

struct OpenTransaction {
    /// Where it starts as text, once that was needed.
    start_text: Option<Arc<str>>,
    begin: Mark,
    savepoints: Vec<(String, Mark)>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    log: usize,
    arena: usize,
    sanitized: usize,
    aside: usize,
    changes: RowCounts,
    /// Slices handed out before the mark was set; a mark of an earlier slice cannot be returned to.
    reachable: bool,
}

impl Batcher {
    /// A batcher for the tables of `converters`, each with its mode.
    #[must_use]
    pub fn new(converters: Vec<Converter>, modes: Vec<TableMode>, graph: Arc<KeyGraph>, limits: Limits) -> Self {
        let catching_up = modes.iter().map(|mode| mode.catching_up).collect();
        Self {
            converters,
            modes,
            graph,
            limits,
            arena: Arena::default(),
            log: Vec::new(),
            aside: Vec::new(),
            aside_bytes: 0,
            catching_up,
            sanitized: Vec::new(),
            changes: RowCounts::default(),
            transactions: 0,
            first_at: None,
            committed: None,
            transaction: None,
            start: BinlogOffset::new("", 0),
            sliced: false,
        }
    }

    /// The source table of that index.
    #[must_use]
    pub fn schema(&self, table: usize) -> Arc<TableSchema> {
        Arc::clone(&self.converters[table].plan().source)
    }

    /// A source transaction starts at `start`. One that is still open was cut short and is forgotten first;
    /// returns the rollback to apply when slices of it were already handed out.
    pub fn begin(&mut self, start: &BinlogOffset) -> Option<Batch> {
        let rollback = self.rollback();
        self.start.clone_from(start);
        self.transaction = Some(OpenTransaction { start_text: None, begin: self.mark(), savepoints: Vec::new() });
        rollback
    }

    /// One changed row of table `table`; partial images as [`RowImages::complete`] leaves them.
    ///
    /// # Errors
    /// What the converter refuses: a value whose policy is to fail. [`ErrorKind::UnsupportedEvent`] when a partial image
    /// lacks what is needed.
    pub fn row(
        &mut self,
        table: usize,
        op: Op,
        images: &RowImages<'_>,
        foreign_key_checks: bool,
        now: Instant,
    ) -> Result<()> {
        if self.transaction.is_none() {
            return Err(Error::new(ErrorKind::Bug, "a row outside of a transaction"));
        }
        if !self.covers(table) {
            let before = (self.log.len(), self.arena.len());
            if let Err(error) = self.change(table, op, images, now) {
                self.refused(table, op, images, error, before)?;
            }
            if self.converters[table].has_changed() {
                self.note_sanitized(table);
            }
        }
        // behind the row's own change: a row that refers to itself must not go twice
        if foreign_key_checks {
            self.cascades(table, op, images)?;
        }
        Ok(())
    }

    /// The start of the open transaction as text.
    fn position_text(&mut self) -> Option<&Arc<str>> {
        let transaction = self.transaction.as_mut()?;
        Some(&*transaction.start_text.get_or_insert_with(|| self.start.to_string().into()))
    }

    #[cold]
    fn note_sanitized(&mut self, table: usize) {
        let position = self.position_text().cloned();
        self.sanitized.extend(self.converters[table].take_changed(table, position.as_ref()));
    }

    /// The open transaction has committed at `position`.
    pub fn commit(&mut self, position: &Position, committed_at: u32) {
        self.transaction = None;
        // what a later transaction does must not undo it
        self.sliced = false;
        self.transactions += 1;
        self.move_to(position, Some(committed_at));
    }

    /// The source's log has been read up to `position`, outside of any transaction; inside of one it says nothing new.
    pub fn advance(&mut self, position: &Position) {
        if self.transaction.is_some() {
            return;
        }
        let committed_at = self.committed.as_ref().and_then(|(_, at)| *at);
        self.move_to(position, committed_at);
    }

    fn move_to(&mut self, position: &Position, committed_at: Option<u32>) {
        match &mut self.committed {
            Some((known, at)) => {
                known.clone_from(position);
                *at = committed_at;
            }
            None => self.committed = Some((position.clone(), committed_at)),
        }
    }

    /// Forgets the open transaction, if any. Returns the rollback to apply when slices of it were handed out.
    pub fn rollback(&mut self) -> Option<Batch> {
        let transaction = self.transaction.take()?;
        self.return_to(transaction.begin);
        std::mem::take(&mut self.sliced).then(|| self.cut(End::Rollback))
    }

    /// SAVEPOINT: a later one of the same name replaces it.
    pub fn savepoint(&mut self, name: String) {
        let mark = self.mark();
        if let Some(transaction) = &mut self.transaction {
            transaction.savepoints.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            transaction.savepoints.push((name, mark));
        }
    }

    /// ROLLBACK TO SAVEPOINT.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedEvent`] when rows since the savepoint were already handed out as a slice of a
    /// transaction beyond the memory budget, or when the savepoint is not known.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        let found = self.transaction.as_mut().and_then(|transaction| {
            let at = transaction.savepoints.iter().position(|(other, _)| other.eq_ignore_ascii_case(name))?;
            transaction.savepoints.truncate(at + 1);
            Some(transaction.savepoints[at].1)
        });
        match found {
            Some(mark) if mark.reachable => {
                self.return_to(mark);
                Ok(())
            }
            found => Err(Error::new(ErrorKind::UnsupportedEvent, "a rollback to a savepoint that is out of reach")
                .detail(if found.is_some() {
                    "the transaction is larger than the memory budget and rows behind the savepoint were handed on"
                } else {
                    "the transaction has set no savepoint of that name"
                })
                .with_hint("raise [apply] memory in sirenia.toml above the transaction's size and start again")),
        }
    }

    /// Whether the batch should be cut now, at a commit.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.transaction.is_none()
            && (self.log.len() >= self.limits.changes
                || self.arena.len() + self.aside_bytes >= self.limits.bytes
                || self.first_at.is_some_and(|first| now.duration_since(first) >= self.limits.age))
    }

    /// Whether the open transaction must be handed out in part to stay within the memory budget.
    #[must_use]
    pub fn must_slice(&self) -> bool {
        let sanitized = self.sanitized.len() * size_of::<Changed>() + self.aside_bytes;
        let held = self.arena.len() + self.log.len() * size_of::<Change>() + sanitized;
        self.transaction.is_some() && held >= self.limits.slice_bytes
    }

    /// Whether changes are waiting that could be cut at a commit.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.transaction.is_none() && !(self.log.is_empty() && self.aside.is_empty())
    }

    /// The position up to which everything is committed, if it moved since the last cut.
    #[must_use]
    pub fn moved_to(&self) -> Option<&Position> {
        self.committed.as_ref().map(|(position, _)| position)
    }

    /// Cuts at the last commit. Everything must be committed: with a transaction open nothing is returned.
    pub fn cut_at_commit(&mut self) -> Option<Batch> {
        if self.transaction.is_some() {
            return None;
        }
        let (position, committed_at) = self.committed.take()?;
        Some(self.cut(End::Commit { position, committed_at }))
    }

    /// Cuts what came before the open transaction, so that the transaction can be sliced, and undone, by itself.
    pub fn cut_before_transaction(&mut self) -> Option<Batch> {
        let begin = self.transaction.as_ref()?.begin;
        let (position, committed_at) = self.committed.take()?;
        let mut log = self.log.split_off(begin.log);
        log.iter_mut().for_each(|change| change.shift(begin.arena));
        let arena = self.arena.split_off(begin.arena);
        let sanitized = self.sanitized.split_off(begin.sanitized);
        let mut aside = self.aside.split_off(begin.aside);
        aside.iter_mut().for_each(|aside| aside.behind -= begin.log);
        let mut changes = std::mem::replace(&mut self.changes, begin.changes);
        changes -= begin.changes;
        let batch = self.cut(End::Commit { position, committed_at });
        (self.log, self.arena, self.changes, self.first_at) = (log, arena, changes, batch.first_at);
        self.sanitized = sanitized;
        self.aside_bytes = aside.iter().map(Aside::bytes).sum();
        self.aside = aside;
        if let Some(transaction) = &mut self.transaction {
            transaction.begin =
                Mark { log: 0, arena: 0, sanitized: 0, aside: 0, changes: RowCounts::default(), ..transaction.begin };
            for (_, mark) in &mut transaction.savepoints {
                mark.log -= begin.log;
                mark.arena -= begin.arena;
                mark.sanitized -= begin.sanitized;
                mark.aside -= begin.aside;
                mark.changes -= begin.changes;
            }
        }
        Some(batch)
    }

    /// Cuts what is there of the open transaction. Call [`Batcher::cut_before_transaction`] first.
    pub fn cut_slice(&mut self) -> Batch {
        if let Some(transaction) = &mut self.transaction {
            transaction.begin =
                Mark { log: 0, arena: 0, sanitized: 0, aside: 0, changes: RowCounts::default(), reachable: true };
            transaction.savepoints.iter_mut().for_each(|(_, mark)| mark.reachable = false);
        }
        self.sliced = true;
        self.cut(End::Open)
    }

    fn cut(&mut self, end: End) -> Batch {
        // the next batch is likely to be as large, and memory that is not filled is none
        let (changes, bytes) = (self.log.len().min(self.limits.changes), self.arena.len().min(self.limits.bytes));
        let log = std::mem::replace(&mut self.log, Vec::with_capacity(changes));
        let mut arena = std::mem::replace(&mut self.arena, Arena::with_capacity(bytes));
        let plan = |table: usize| self.converters[table].plan();
        let tables = merge::Tables {
            keyed: &|table| plan(table).has_key(),
            catching_up: &|table| self.modes[table].catching_up,
            columns: &|table| plan(table).columns.len(),
            unique: &|table, column| plan(table).columns[column].unique,
        };
        let segments = merge::merge(&log, &mut arena, &self.graph, &tables);
        self.aside_bytes = 0;
        Batch {
            arena,
            log,
            aside: std::mem::take(&mut self.aside),
            catching_up: Arc::clone(&self.catching_up),
            segments,
            end,
            transactions: std::mem::take(&mut self.transactions),
            changes: std::mem::take(&mut self.changes),
            sanitized: std::mem::take(&mut self.sanitized),
            first_at: self.first_at.take(),
        }
    }

    /// Whether the transaction is none of the table's business: in its exact copy already, or left out.
    fn covers(&self, table: usize) -> bool {
        let mode = &self.modes[table];
        mode.left_out || mode.copied_at.as_ref().is_some_and(|at| self.start < *at)
    }

    fn mark(&self) -> Mark {
        Mark {
            log: self.log.len(),
            arena: self.arena.len(),
            sanitized: self.sanitized.len(),
            aside: self.aside.len(),
            changes: self.changes,
            reachable: true,
        }
    }

    fn return_to(&mut self, mark: Mark) {
        self.log.truncate(mark.log);
        self.arena.truncate(mark.arena);
        self.sanitized.truncate(mark.sanitized);
        self.aside_bytes -= self.aside.drain(mark.aside..).map(|aside| aside.bytes()).sum::<usize>();
        self.changes = mark.changes;
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
