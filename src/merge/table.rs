//! The merged state of one table within a segment: what each key was and what it holds now.
//!
//! A key holds nothing, a tuple of the log, or a row that was on the target when the segment began, under this key or
//! another one; patches may lie on top of either. Closing makes of it what the target has to do, in this order: remove
//! (`deletes`), take out and put back in changed (`replacements`: rows whose key or a unique column changes, all of them
//! out before the first is in again, so that values may be swapped), change in place (`updates`), add (`inserts`).

use super::{Delete, TableChanges, Tables, Update};
use crate::batch::Change;
use crate::convert::patch::{Composer, has};
use crate::convert::{Arena, Span};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

pub(super) struct OpenTable<'a> {
    arena: &'a Arena,
    table: usize,
    keyed: bool,
    catching_up: bool,
    index: HashMap<&'a [u8], usize, FixedState>,
    rows: Vec<Row>,
    /// Patches, each with the one below it.
    patches: Vec<(Span, Option<usize>)>,
}

/// With a key: whether it was there before, and what it holds now. Without: how many rows more or less.
struct Row {
    span: Span,
    was_there: bool,
    holds: Holds,
    /// The newest patch on top.
    patch: Option<usize>,
    surplus: i64,
}

#[derive(Debug, Clone, Copy)]
enum Holds {
    Nothing,
    Tuple(Span),
    /// The row that had this key when the segment began.
    RowOf(Span),
}

impl<'a> OpenTable<'a> {
    /// For so many changes, more or less.
    pub(super) fn new(arena: &'a Arena, table: usize, changes: usize, tables: &Tables<'_>) -> Self {
        Self {
            arena,
            table,
            keyed: (tables.keyed)(table),
            catching_up: (tables.catching_up)(table),
            index: HashMap::with_capacity_and_hasher(changes, FixedState::default()),
            rows: Vec::with_capacity(changes),
            patches: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::Put { key, tuple, fresh, .. } => self.set(key, !fresh, Holds::Tuple(tuple), None),
            Change::Remove { key, .. } => self.set(key, true, Holds::Nothing, None),
            Change::Patch { key, moved, patch, .. } => {
                let at = self.row(key, true);
                let row = &mut self.rows[at];
                self.patches.push((patch, row.patch));
                row.patch = Some(self.patches.len() - 1);
                if let Some(moved) = moved {
                    let (holds, patch) = (std::mem::replace(&mut row.holds, Holds::Nothing), row.patch.take());
                    self.set(moved, false, holds, patch);
                }
            }
            Change::Add { tuple, .. } => self.count(tuple, 1),
            Change::Subtract { tuple, .. } => self.count(tuple, -1),
            Change::Cascade { .. } => {}
        }
    }

    fn set(&mut self, key: Span, was_there: bool, holds: Holds, patch: Option<usize>) {
        let at = self.row(key, was_there);
        (self.rows[at].holds, self.rows[at].patch) = (holds, patch);
    }

    fn count(&mut self, tuple: Span, rows: i64) {
        let at = self.row(tuple, false);
        self.rows[at].surplus += rows;
    }

    /// The entry of a key; a new one holds what the target holds, if that is said to be there.
    fn row(&mut self, key: Span, was_there: bool) -> usize {
        *self.index.entry(self.arena.get(key)).or_insert_with(|| {
            let holds = if was_there { Holds::RowOf(key) } else { Holds::Nothing };
            self.rows.push(Row { span: key, was_there, holds, patch: None, surplus: 0 });
            self.rows.len() - 1
        })
    }

    pub(super) fn close(self, composer: &mut Composer<'a>, tables: &Tables<'_>) -> TableChanges {
        let Self { arena, table, keyed, catching_up, rows, patches, .. } = self;
        let mut changes = TableChanges { table, exact: !catching_up, ..TableChanges::default() };
        let columns = (tables.columns)(table);
        let below = |newest| std::iter::successors(newest, |at: &usize| patches[*at].1).map(|at| patches[at].0);
        let changes_unique = |composer: &Composer<'_>, patch: Span| {
            let set = composer.read(patch, columns).set;
            (0..columns).any(|column| has(set, column) && (tables.unique)(table, column))
        };
        // rows that live on under some key: not to be removed under their old one
        let mut kept: HashSet<&[u8], FixedState> = HashSet::default();
        if !patches.is_empty() {
            let origin = |row: &Row| if let Holds::RowOf(key) = row.holds { Some(arena.get(key)) } else { None };
            kept.extend(rows.iter().filter_map(origin));
        }
        if keyed {
            // of a row that was there and still is, both
            changes.deletes.reserve(rows.len());
            changes.inserts.reserve(rows.len());
        }
        for row in rows {
            if !keyed {
                let count = u32::try_from(row.surplus.unsigned_abs()).unwrap_or(u32::MAX);
                if row.surplus < 0 {
                    changes.deletes.push(Delete { row: row.span, count });
                } else {
                    changes.inserts.extend(std::iter::repeat_n(row.span, count as usize));
                }
                continue;
            }
            if (row.was_there || catching_up) && !kept.contains(arena.get(row.span)) {
                changes.deletes.push(Delete { row: row.span, count: 1 });
            }
            let patch = row.patch.map(|newest| match patches[newest] {
                (patch, None) => patch,
                _ if matches!(row.holds, Holds::Tuple(_)) => patches[newest].0,
                _ => composer.patch(columns, below(Some(newest))),
            });
            match (row.holds, patch) {
                (Holds::Tuple(tuple), None) => changes.inserts.push(tuple),
                (Holds::Tuple(tuple), Some(_)) => {
                    changes.inserts.push(composer.row(columns, tuple, below(row.patch)));
                }
                (Holds::RowOf(key), Some(patch)) => {
                    let moved = arena.get(key) != arena.get(row.span);
                    let update = Update { key, patch };
                    let rewrite = moved || changes_unique(composer, patch);
                    if rewrite { &mut changes.replacements } else { &mut changes.updates }.push(update);
                }
                // a row that the log itself has removed: there is none to be found
                (Holds::Nothing, Some(patch)) => changes.updates.push(Update { key: row.span, patch }),
                (Holds::Nothing | Holds::RowOf(_), None) => {}
            }
        }
        // statements are made per set of columns
        changes.updates.sort_by(|a, b| composer.read(a.patch, columns).set.cmp(composer.read(b.patch, columns).set));
        changes
    }
}
