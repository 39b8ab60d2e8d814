//! What there is to copy: tables' ranges of keys and exact groups, the biggest first, and who is at what.
//!
//! A large table is cut when the copy begins, and its ranges are written down before any of their rows, so that an
//! interrupted copy goes on in the same ranges. Readers take whatever comes next, so several are at one table, or each is at
//! its own. Whoever ends a table's last range finishes the table.
//!
//! Invariant: when a table is given up, no reader writes rows of it any more: each chunk is committed under
//! [`Table::chunk`], and giving up waits for those and shuts out the rest.

use crate::error::{ErrorKind, Result};
use crate::pipeline::state::Context;
use crate::source::rows::RowSession;
use crate::source::snapshot::groups::CopyGroup;
use crate::source::snapshot::ranges;
use crate::target::chunk::ChunkWriter;
use crate::target::progress::{self, RangeProgress, TableProgress, TableState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What one reader does at a time.
pub enum Work {
    /// A range of a table's keys.
    Range(Range),
    /// Tables (indices of plans) from one consistent view.
    Exact(Vec<usize>),
}

/// A range of a table's keys.
pub struct Range {
    /// Its table.
    pub of: Arc<Table>,
    /// Its number within the table.
    pub number: i32,
    /// The last key of the range before it; none for the first.
    pub behind: Option<Vec<u8>>,
    /// Its own last key; none for the last.
    pub until: Option<Vec<u8>>,
    /// The key of the last row that is copied.
    pub after: Option<Vec<u8>>,
    /// Whether all of it is copied. Such a range stands for a table of which only the end is to be done.
    pub done: bool,
    /// Whether it is written down.
    pub planned: bool,
}

/// A table that is copied in chunks.
pub struct Table {
    /// Its plan's index.
    pub number: usize,
    unfinished: AtomicUsize,
    given_up: RwLock<bool>,
}

impl Table {
    /// Leave to commit a chunk, while this is held; none when the table has been given up.
    pub async fn chunk(&self) -> Option<RwLockReadGuard<'_, bool>> {
        Some(self.given_up.read().await).filter(|given_up| !**given_up)
    }

    /// Waits until no chunk is being committed, and keeps others from it while this is held. To be set to true when the
    /// table has been given up; none when it has been already.
    pub async fn give_up(&self) -> Option<RwLockWriteGuard<'_, bool>> {
        Some(self.given_up.write().await).filter(|given_up| !**given_up)
    }

    /// Says that a range is done; true when it was the last.
    pub fn range_done(&self) -> bool {
        self.unfinished.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// The work, shared by the readers.
#[derive(Clone)]
pub struct Queue(Arc<Mutex<VecDeque<Work>>>);

impl Queue {
    /// How much there is to do.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The next piece.
    pub fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Everything that is not copied yet, as far as `states` says.
    ///
    /// # Errors
    /// Those of both servers.
    pub async fn fill(context: &Context, states: &[TableProgress]) -> Result<Self> {
        let mut groups = groups_as_begun(context, states);
        groups.retain(|group| tables_of(group).iter().any(|table| !is_copied(context, states, *table)));
        // biggest first, so that the last reader does not end long after the others
        groups.sort_by_key(|group| {
            let bytes = |table: &usize| context.plans[*table].source.estimated_bytes;
            std::cmp::Reverse(tables_of(group).iter().map(bytes).sum::<u64>())
        });
        let (mut planner, mut work) = (Planner { context, connections: None }, VecDeque::new());
        for group in groups {
            match group {
                CopyGroup::Exact(tables) => work.push_back(Work::Exact(tables)),
                CopyGroup::Chunked(table) => {
                    let name = &context.plans[table].source.name;
                    let state = states.iter().find(|state| state.source == *name).map(|state| state.state);
                    let (ranges, planned) = planner.ranges(table, state == Some(TableState::Copying)).await?;
                    work.extend(of_table(table, ranges, planned).into_iter().map(Work::Range));
                }
            }
        }
        if let Some((source, _)) = planner.connections {
            source.close().await;
        }
        Ok(Self(Arc::new(Mutex::new(work))))
    }
}

/// Whether nothing is left to copy of a table.
pub fn is_copied(context: &Context, states: &[TableProgress], table: usize) -> bool {
    let name = &context.plans[table].source.name;
    states.iter().any(|s| s.source == *name && !matches!(s.state, TableState::Pending | TableState::Copying))
}

/// The groups as they were when the copy began: the source's settings, by which they are made, may have changed since.
fn groups_as_begun(context: &Context, states: &[TableProgress]) -> Vec<CopyGroup> {
    let mut groups: Vec<CopyGroup> = Vec::new();
    let mut exact: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (table, plan) in context.plans.iter().enumerate() {
        let state = states.iter().find(|state| state.source == plan.source.name);
        match state.and_then(|state| state.copy_group) {
            Some(group) => exact.entry(group).or_default().push(table),
            None => groups.push(CopyGroup::Chunked(table)),
        }
    }
    groups.extend(exact.into_values().map(CopyGroup::Exact));
    groups
}

fn tables_of(group: &CopyGroup) -> &[usize] {
    match group {
        CopyGroup::Chunked(table) => std::slice::from_ref(table),
        CopyGroup::Exact(tables) => tables,
    }
}

/// The ranges that are not copied yet, each with the bound of the one before it.
fn of_table(number: usize, ranges: Vec<RangeProgress>, planned: bool) -> Vec<Range> {
    let unfinished = ranges.iter().filter(|range| !range.done).count();
    // where all of them are, the last one stands for the table's end
    let from = if unfinished == 0 { ranges.len().saturating_sub(1) } else { 0 };
    let of = Arc::new(Table { number, unfinished: AtomicUsize::new(unfinished.max(1)), given_up: RwLock::new(false) });
    let mut behind = None;
    let mut left = Vec::new();
    for (at, range) in ranges.into_iter().enumerate() {
        let next = range.until_key.clone();
        if at >= from && (!range.done || unfinished == 0) {
            left.push(Range {
                of: Arc::clone(&of),
                number: range.range_no,
                behind,
                until: range.until_key,
                after: range.last_key,
                done: range.done,
                planned,
            });
        }
        behind = next;
    }
    left
}

/// Reads or makes the ranges; connects when there is a first table for which that takes more than a look.
struct Planner<'c> {
    context: &'c Context,
    connections: Option<(RowSession, ChunkWriter)>,
}

impl Planner<'_> {
    /// A table's ranges, and whether they are written down.
    async fn ranges(&mut self, table: usize, begun: bool) -> Result<(Vec<RangeProgress>, bool)> {
        let (schema, pipeline) = (&self.context.plans[table].source, self.context.config.pipeline.as_str());
        let whole = || vec![range(0, None)];
        if !begun && !ranges::is_large(schema) {
            return Ok((whole(), false));
        }
        if self.connections.is_none() {
            self.connections = Some(super::begin_anew(self.context).await?);
        }
        let Some((source, target)) = &mut self.connections else { return Ok((whole(), false)) };
        if begun {
            let found = progress::load_ranges(target.client(), pipeline, &schema.name).await?;
            let rows: u64 = found.iter().map(|range| range.rows_copied).sum();
            if rows > 0 {
                tracing::info!(table = %schema.name, rows, ranges = found.len(), "continuing the copy behind its last chunks");
            }
            return Ok(if found.is_empty() { (whole(), false) } else { (found, true) });
        }
        let ends = match ranges::cut(source, schema).await {
            // it was changed meanwhile: who reads it will see to that
            Err(error) if error.kind() == ErrorKind::SchemaMismatch => return Ok((whole(), false)),
            ends => ends?,
        };
        target.begin().await?;
        progress::plan_ranges(target.client(), pipeline, &schema.name, &ends).await?;
        progress::set_state(target.client(), pipeline, &schema.name, TableState::Copying).await?;
        target.commit().await?;
        tracing::debug!(table = %schema.name, ranges = ends.len(), "is copied in ranges");
        Ok(((0..).zip(ends).map(|(number, until)| range(number, until)).collect(), true))
    }
}

fn range(range_no: i32, until_key: Option<Vec<u8>>) -> RangeProgress {
    RangeProgress { range_no, last_key: None, until_key, rows_copied: 0, done: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: [bool; 3]) -> Vec<RangeProgress> {
        let until = [Some(vec![3]), Some(vec![6]), None];
        (0..).zip(until).zip(done).map(|((no, until), done)| RangeProgress { done, ..range(no, until) }).collect()
    }

    #[test]
    fn what_is_left_begins_behind_the_range_before() {
        let left = |done| -> Vec<_> {
            let left = of_table(0, progress(done), true).into_iter();
            left.map(|range| (range.number, range.behind, range.until, range.done)).collect()
        };
        let (a, b) = (Some(vec![3]), Some(vec![6]));
        let all = [(0, None, a.clone(), false), (1, a.clone(), b.clone(), false), (2, b.clone(), None, false)];
        assert_eq!(left([false; 3]), all);
        assert_eq!(left([true, false, true]), all[1..2]);
        assert_eq!(left([true; 3]), [(2, b, None, true)]);
    }

    #[tokio::test]
    async fn the_last_range_is_told_and_a_table_is_given_up_once() {
        let ranges = of_table(0, progress([false, true, false]), true);
        let table = &ranges[0].of;
        let chunk = table.chunk().await;
        assert!(chunk.is_some());
        let mut waiting = tokio::spawn({
            let table = Arc::clone(table);
            async move { table.give_up().await.map(|mut given_up| *given_up = true).is_some() }
        });
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut waiting).await;
        assert!(early.is_err(), "it waits for the chunk");
        drop(chunk);
        assert!(waiting.await.unwrap());
        assert!(table.chunk().await.is_none() && table.give_up().await.is_none());
        assert!(!table.range_done() && table.range_done());
    }
}
