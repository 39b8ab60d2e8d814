//! Several changes of one key become one, without hiding what foreign keys do in between.
//!
//! A log of changes in source order goes in; segments come out, to be applied one after the other. Within a segment
//! the order between tables does not matter: each table first loses the rows of `deletes`, then gets its rows changed and
//! gains those of `inserts`, so that unique values may be swapped between rows; after all tables the segment's cascades
//! run, in order. How one table's changes are merged is [`table`]'s. A change of a table that a cascade of the segment can reach opens the next segment: it happened after the
//! cascade and must not be taken for something before it. Where the source logs its cascades there is one segment.

mod table;

use crate::batch::Change;
use crate::convert::patch::Composer;
use crate::convert::{Arena, Span};
use crate::key_graph::KeyGraph;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use table::OpenTable;

/// What merging must know about the tables, by index.
pub struct Tables<'a> {
    /// Whether rows are found by key.
    pub keyed: &'a dyn Fn(usize) -> bool,
    /// Whether rows may already be there or be gone.
    pub catching_up: &'a dyn Fn(usize) -> bool,
    /// How many columns a tuple has.
    pub columns: &'a dyn Fn(usize) -> usize,
    /// Whether a column of a table is part of its key or of a unique index.
    pub unique: &'a dyn Fn(usize, usize) -> bool,
}

/// A part of a batch in which the order between tables does not matter.
#[derive(Debug, Default)]
pub struct Segment {
    /// The tables' changes, ordered by table.
    pub tables: Vec<TableChanges>,
    /// What foreign keys do after them, in order.
    pub cascades: Vec<Cascade>,
}

/// The merged changes of one table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TableChanges {
    /// Index of the plan.
    pub table: usize,
    /// Rows to remove first: keys, or whole tuples with how many of each for a table without a key.
    pub deletes: Vec<Delete>,
    /// Rows whose key or unique columns change: to be taken out, all of them, and put back in changed.
    pub replacements: Vec<Update>,
    /// Rows to change in place, those that change the same columns beside each other.
    pub updates: Vec<Update>,
    /// Tuples to add then.
    pub inserts: Vec<Span>,
    /// Whether exactly the rows that go or change must be found. Not while catching up.
    pub exact: bool,
}

impl TableChanges {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.replacements.is_empty() && self.updates.is_empty() && self.inserts.is_empty()
    }
}

/// A row to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The fields of the key that it has on the target.
    pub key: Span,
    /// What changes: a [`crate::convert::patch`].
    pub patch: Span,
}

/// A row to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// The key's fields, or the whole tuple in a table without a key.
    pub row: Span,
    /// How many rows: 1 with a key.
    pub count: u32,
}

/// What one foreign key does for several parents at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Cascade {
    /// The edge of the [`KeyGraph`].
    pub edge: usize,
    /// The referenced fields before, and after unless the parent's row went. Either all have an after or none.
    pub parents: Vec<(Span, Option<Span>)>,
}

/// Merges a log. What several changes make together is added to the arena.
#[must_use]
pub fn merge(log: &[Change], arena: &mut Arena, graph: &KeyGraph, tables: &Tables<'_>) -> Vec<Segment> {
    let mut composer = Composer::new(arena);
    let segments = merge_within(log, arena, &mut composer, graph, tables);
    let composed = composer.finish();
    arena.take_in(composed);
    segments
}

fn merge_within<'a>(
    log: &[Change],
    arena: &'a Arena,
    composer: &mut Composer<'a>,
    graph: &KeyGraph,
    tables: &Tables<'_>,
) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = OpenSegment::new(arena);
    open.expected = expected(log);
    for change in log {
        match *change {
            Change::Cascade { edge, old, new } => open.cascade(graph, edge, old, new),
            Change::Put { table, .. }
            | Change::Remove { table, .. }
            | Change::Patch { table, .. }
            | Change::Add { table, .. }
            | Change::Subtract { table, .. } => {
                if open.reached.contains(&table) {
                    segments.push(std::mem::replace(&mut open, OpenSegment::new(arena)).close(composer, tables));
                }
                open.change(table, *change, tables);
            }
        }
    }
    segments.push(open.close(composer, tables));
    segments.retain(|segment| !segment.tables.is_empty() || !segment.cascades.is_empty());
    segments
}

/// How many changes the tables have, by table, if all are in one segment.
fn expected(log: &[Change]) -> Vec<usize> {
    let mut expected = Vec::new();
    for change in log {
        let table = match *change {
            Change::Cascade { .. } => return Vec::new(),
            Change::Put { table, .. }
            | Change::Remove { table, .. }
            | Change::Patch { table, .. }
            | Change::Add { table, .. }
            | Change::Subtract { table, .. } => table,
        };
        if expected.len() <= table {
            expected.resize(table + 1, 0);
        }
        expected[table] += 1;
    }
    expected
}

struct OpenSegment<'a> {
    arena: &'a Arena,
    /// Changes to come by table, if that is known.
    expected: Vec<usize>,
    /// Which entry of `tables` a table has.
    index: HashMap<usize, usize, FixedState>,
    tables: Vec<OpenTable<'a>>,
    cascades: Vec<Cascade>,
    /// Parents' values before and after in the last cascade.
    touched: HashSet<&'a [u8], FixedState>,
    reached: HashSet<usize, FixedState>,
}

impl<'a> OpenSegment<'a> {
    fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            expected: Vec::new(),
            index: HashMap::default(),
            tables: Vec::new(),
            cascades: Vec::new(),
            touched: HashSet::default(),
            reached: HashSet::default(),
        }
    }

    fn change(&mut self, table: usize, change: Change, tables: &Tables<'_>) {
        let at = *self.index.entry(table).or_insert_with(|| {
            let expected = self.expected.get(table).copied().unwrap_or(0);
            self.tables.push(OpenTable::new(self.arena, table, expected, tables));
            self.tables.len() - 1
        });
        self.tables[at].change(change);
    }

    fn cascade(&mut self, graph: &KeyGraph, edge: usize, old: Span, new: Option<Span>) {
        // One statement moves all children at once: a value that a parent moves from or to must not come twice. Else
        // rows would be moved that are not there yet or are gone, or meet others that have not made way.
        let arena = self.arena;
        let mut values = std::iter::once(old).chain(new).map(|span| arena.get(span));
        let joins = self.cascades.last().is_some_and(|last| {
            last.edge == edge
                && last.parents.last().is_some_and(|(_, previous)| previous.is_some() == new.is_some())
                && !values.any(|value| self.touched.contains(value))
        });
        if !joins {
            self.cascades.push(Cascade { edge, parents: Vec::new() });
            self.touched.clear();
        }
        if let Some(last) = self.cascades.last_mut() {
            last.parents.push((old, new));
        }
        self.touched.extend(std::iter::once(old).chain(new).map(|span| arena.get(span)));
        let child = graph.edge(edge).child;
        self.reached.insert(child);
        self.reached.extend(graph.reach(child));
    }

    fn close(self, composer: &mut Composer<'a>, known: &Tables<'_>) -> Segment {
        let mut tables: Vec<_> = self.tables.into_iter().map(|table| table.close(composer, known)).collect();
        tables.retain(|changes| !changes.is_empty());
        tables.sort_by_key(|changes| changes.table);
        Segment { tables, cascades: self.cascades }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
