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
    /// Parents' values before and after in the last cascade.
    touched: HashSet<&'a [u8], FixedState>,
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
            touched: HashSet::default(),
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
        let mut changes = TableChanges { table: self.table, exact: !self.catching_up, ..TableChanges::default() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_graph::Edge;
    use crate::schema::Action;

    /// One letter per span: keys are lower case, tuples upper case.
    const LETTERS: &[u8] = b"abcdefghABCDEFGH";

    fn at(letter: char) -> Span {
        let start = LETTERS.iter().position(|l| *l == letter as u8).unwrap();
        Span { start, end: start + 1 }
    }

    fn put(table: usize, key: char, tuple: char, fresh: bool) -> Change {
        Change::Put { table, key: at(key), tuple: at(tuple), fresh }
    }

    fn remove(table: usize, key: char) -> Change {
        Change::Remove { table, key: at(key) }
    }

    /// Segments in letters: `table: -removed +added`, `!edge old>new` for cascades.
    fn merged(log: &[Change], graph: &KeyGraph, keyed: bool, catching_up: bool) -> Vec<String> {
        let arena = Arena::of(LETTERS);
        let tables = Tables { keyed: &|_| keyed, catching_up: &|_| catching_up };
        let letter = |span: &Span| LETTERS[span.start] as char;
        merge(log, &arena, graph, &tables)
            .iter()
            .map(|segment| {
                let mut text = String::new();
                for changes in &segment.tables {
                    text += &format!("{}:", changes.table);
                    changes
                        .deletes
                        .iter()
                        .for_each(|d| text += &format!(" -{}{}", letter(&d.row), "*".repeat(d.count as usize - 1)));
                    changes.inserts.iter().for_each(|i| text += &format!(" +{}", letter(i)));
                    text += ";";
                }
                for cascade in &segment.cascades {
                    text += &format!("!{}", cascade.edge);
                    for (old, new) in &cascade.parents {
                        text += &format!(" {}>{}", letter(old), new.map_or('.', |new| letter(&new)));
                    }
                    text += ";";
                }
                text
            })
            .collect()
    }

    fn flat(log: &[Change]) -> String {
        merged(log, &KeyGraph::default(), true, false).join(" | ")
    }

    #[test]
    fn the_last_state_of_a_key_counts() {
        assert_eq!(flat(&[put(0, 'a', 'A', true)]), "0: +A;");
        assert_eq!(flat(&[put(0, 'a', 'A', true), put(0, 'a', 'B', false)]), "0: +B;");
        assert_eq!(flat(&[put(0, 'a', 'A', false), remove(0, 'a')]), "0: -a;");
        assert_eq!(flat(&[put(0, 'a', 'A', true), remove(0, 'a')]), "");
        assert_eq!(flat(&[remove(0, 'a'), put(0, 'a', 'A', true)]), "0: -a +A;");
    }

    #[test]
    fn swapped_keys_lose_both_rows_before_either_is_added() {
        let log = [
            remove(0, 'a'),
            put(0, 'c', 'A', true), // a -> c
            remove(0, 'b'),
            put(0, 'a', 'B', true), // b -> a
            remove(0, 'c'),
            put(0, 'b', 'A', true), // c -> b
        ];
        assert_eq!(flat(&log), "0: -a -b +B +A;");
    }

    #[test]
    fn while_catching_up_every_key_is_removed_first_and_none_must_be_found() {
        let arena = Arena::of(LETTERS);
        let tables = Tables { keyed: &|_| true, catching_up: &|_| true };
        let segments = merge(&[put(0, 'a', 'A', true)], &arena, &KeyGraph::default(), &tables);
        assert_eq!(segments[0].tables[0].deletes.len(), 1);
        assert!(!segments[0].tables[0].exact);
    }

    #[test]
    fn rows_without_a_key_are_counted() {
        let add = |t| Change::Add { table: 0, tuple: at(t) };
        let subtract = |t| Change::Subtract { table: 0, tuple: at(t) };
        let log = [
            subtract('A'),
            subtract('A'),
            add('A'),
            add('B'),
            add('B'),
            subtract('C'),
            add('C'),
            subtract('D'),
            subtract('D'),
        ];
        assert_eq!(merged(&log, &KeyGraph::default(), false, false), ["0: -A -D* +B +B;"]);
    }

    /// 0 is the parent of 1, 1 of 2; 3 stands alone.
    fn chain() -> KeyGraph {
        let edge = |parent, child| Edge {
            name: "fk".into(),
            parent,
            child,
            parent_source_columns: vec![0],
            parent_columns: vec![0],
            child_columns: vec![1],
            on_delete: Action::Cascade,
            on_update: Action::Cascade,
        };
        KeyGraph::of(vec![edge(0, 1), edge(1, 2)], 4)
    }

    #[test]
    fn a_change_behind_a_cascade_that_reaches_its_table_opens_a_segment() {
        let gone = |old| Change::Cascade { edge: 0, old: at(old), new: None };
        let log = [
            put(1, 'c', 'C', true),
            gone('a'),
            remove(0, 'a'),
            put(0, 'a', 'A', true),
            put(3, 'd', 'D', true),
            put(2, 'e', 'E', true),
        ];
        assert_eq!(
            merged(&log, &chain(), true, false),
            ["0: -a +A;1: +C;3: +D;!0 a>.;", "2: +E;"],
            "the parent and a table apart stay, a grandchild does not"
        );
    }

    #[test]
    fn parents_that_move_on_are_moved_one_after_the_other() {
        let moved = |old, new| Change::Cascade { edge: 0, old: at(old), new: Some(at(new)) };
        let log =
            [moved('a', 'b'), moved('c', 'd'), moved('b', 'e'), Change::Cascade { edge: 0, old: at('f'), new: None }];
        assert_eq!(merged(&log, &chain(), true, false), ["!0 a>b c>d;!0 b>e;!0 f>.;"]);
    }

    #[test]
    fn parents_that_make_way_for_others_or_come_again_are_moved_one_after_the_other() {
        let moved = |old, new| Change::Cascade { edge: 0, old: at(old), new: Some(at(new)) };
        assert_eq!(merged(&[moved('b', 'c'), moved('a', 'b')], &chain(), true, false), ["!0 b>c;!0 a>b;"]);
        // a parent is added anew in between and moves elsewhere: the first one's children must not go with it
        let log = [moved('a', 'b'), put(0, 'a', 'A', true), moved('a', 'e')];
        assert_eq!(merged(&log, &chain(), true, false), ["0: +A;!0 a>b;!0 a>e;"]);
    }
}
