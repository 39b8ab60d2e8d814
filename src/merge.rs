//! Several changes of one key become one, without hiding what foreign keys do in between.
//!
//! A log of changes in source order goes in; segments come out, to be applied one after the other. Within a segment
//! the order between tables does not matter: each table first loses the rows of `deletes`, then gains those of
//! `inserts`, so that unique values may be swapped between rows; after all tables the segment's cascades run, in
//! order. A change of a table that a cascade of the segment can reach opens the next segment: it happened after the
//! cascade and must not be taken for something before it. Where the source logs its cascades there is one segment.

use crate::batch::Change;
use crate::convert::{Arena, Span};
use crate::key_graph::KeyGraph;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

/// What merging must know about the tables, by index.
pub struct Tables<'a> {
    /// Whether rows are found by key.
    pub keyed: &'a dyn Fn(usize) -> bool,
    /// Whether rows may already be there or be gone.
    pub catching_up: &'a dyn Fn(usize) -> bool,
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
    /// Tuples to add then.
    pub inserts: Vec<Span>,
    /// Whether exactly the rows of `deletes` must be found. Not while catching up.
    pub exact: bool,
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

/// Merges a log.
#[must_use]
pub fn merge(log: &[Change], arena: &Arena, graph: &KeyGraph, tables: &Tables<'_>) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = OpenSegment::new(arena);
    for change in log {
        match *change {
            Change::Cascade { edge, old, new } => open.cascade(graph, edge, old, new),
            Change::Put { table, .. }
            | Change::Remove { table, .. }
            | Change::Add { table, .. }
            | Change::Subtract { table, .. } => {
                if open.reached.contains(&table) {
                    segments.push(std::mem::replace(&mut open, OpenSegment::new(arena)).close());
                }
                open.change(table, *change, tables);
            }
        }
    }
    segments.push(open.close());
    segments.retain(|segment| !segment.tables.is_empty() || !segment.cascades.is_empty());
    segments
}

struct OpenSegment<'a> {
    arena: &'a Arena,
    /// Which entry of `tables` a table has.
    index: HashMap<usize, usize, FixedState>,
    tables: Vec<OpenTable<'a>>,
    cascades: Vec<Cascade>,
    /// Parents' values that the last cascade's rows have moved to.
    moved_to: HashSet<&'a [u8], FixedState>,
    reached: HashSet<usize, FixedState>,
}

struct OpenTable<'a> {
    table: usize,
    keyed: bool,
    catching_up: bool,
    index: HashMap<&'a [u8], usize, FixedState>,
    rows: Vec<Row>,
}

/// With a key: whether it was there before, and what it holds now. Without: how many rows more or less.
struct Row {
    span: Span,
    was_there: bool,
    tuple: Option<Span>,
    surplus: i64,
}

impl<'a> OpenSegment<'a> {
    fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            index: HashMap::default(),
            tables: Vec::new(),
            cascades: Vec::new(),
            moved_to: HashSet::default(),
            reached: HashSet::default(),
        }
    }

    fn change(&mut self, table: usize, change: Change, tables: &Tables<'_>) {
        let at = *self.index.entry(table).or_insert_with(|| {
            self.tables.push(OpenTable {
                table,
                keyed: (tables.keyed)(table),
                catching_up: (tables.catching_up)(table),
                index: HashMap::default(),
                rows: Vec::new(),
            });
            self.tables.len() - 1
        });
        let open = &mut self.tables[at];
        match change {
            Change::Put { key, tuple, fresh, .. } => open.row(self.arena, key, !fresh).tuple = Some(tuple),
            Change::Remove { key, .. } => open.row(self.arena, key, true).tuple = None,
            Change::Add { tuple, .. } => open.row(self.arena, tuple, false).surplus += 1,
            Change::Subtract { tuple, .. } => open.row(self.arena, tuple, false).surplus -= 1,
            Change::Cascade { .. } => {}
        }
    }

    fn cascade(&mut self, graph: &KeyGraph, edge: usize, old: Span, new: Option<Span>) {
        // Rows that an earlier parent of the same statement would only move here must be moved before.
        let joins = self.cascades.last().is_some_and(|last| {
            last.edge == edge
                && last.parents.last().is_some_and(|(_, previous)| previous.is_some() == new.is_some())
                && !self.moved_to.contains(self.arena.get(old))
        });
        if !joins {
            self.cascades.push(Cascade { edge, parents: Vec::new() });
            self.moved_to.clear();
        }
        if let Some(last) = self.cascades.last_mut() {
            last.parents.push((old, new));
        }
        self.moved_to.extend(new.map(|new| self.arena.get(new)));
        let child = graph.edge(edge).child;
        self.reached.insert(child);
        self.reached.extend(graph.reach(child));
    }

    fn close(self) -> Segment {
        let mut tables: Vec<_> = self.tables.into_iter().map(OpenTable::close).collect();
        tables.retain(|changes| !changes.deletes.is_empty() || !changes.inserts.is_empty());
        tables.sort_by_key(|changes| changes.table);
        Segment { tables, cascades: self.cascades }
    }
}

impl<'a> OpenTable<'a> {
    fn row(&mut self, arena: &'a Arena, span: Span, was_there: bool) -> &mut Row {
        let at = *self.index.entry(arena.get(span)).or_insert_with(|| {
            self.rows.push(Row { span, was_there, tuple: None, surplus: 0 });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn close(self) -> TableChanges {
        let mut changes =
            TableChanges { table: self.table, exact: !self.catching_up, ..TableChanges::default() };
        for row in self.rows {
            if !self.keyed {
                let count = u32::try_from(row.surplus.unsigned_abs()).unwrap_or(u32::MAX);
                if row.surplus < 0 {
                    changes.deletes.push(Delete { row: row.span, count });
                } else {
                    changes.inserts.extend(std::iter::repeat_n(row.span, count as usize));
                }
                continue;
            }
            if row.was_there || self.catching_up {
                changes.deletes.push(Delete { row: row.span, count: 1 });
            }
            changes.inserts.extend(row.tuple);
        }
        changes
    }
}
