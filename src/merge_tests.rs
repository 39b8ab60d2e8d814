use super::*;
use crate::convert::patch::Patch;
use crate::convert::patch::sample::{field, patch, tuple};
use crate::copy_format::Fields;
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
    let mut arena = Arena::of(LETTERS);
    let tables = Tables { keyed: &|_| keyed, catching_up: &|_| catching_up, columns: &|_| 1, unique: &|_, _| true };
    let letter = |span: &Span| LETTERS[span.start] as char;
    merge(log, &mut arena, graph, &tables)
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
    let mut arena = Arena::of(LETTERS);
    let tables = Tables { keyed: &|_| true, catching_up: &|_| true, columns: &|_| 1, unique: &|_, _| true };
    let segments = merge(&[put(0, 'a', 'A', true)], &mut arena, &KeyGraph::default(), &tables);
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
    let log = [moved('a', 'b'), moved('c', 'd'), moved('b', 'e'), Change::Cascade { edge: 0, old: at('f'), new: None }];
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

/// Changes of a table `(id, unique, other)`, and what the target is told to do.
#[derive(Default)]
struct Log {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

impl Log {
    fn span(&mut self, bytes: &[u8]) -> Span {
        self.bytes.extend_from_slice(bytes);
        Span { start: self.bytes.len() - bytes.len(), end: self.bytes.len() }
    }

    fn put(mut self, row: [u8; 3], fresh: bool) -> Self {
        let (key, tuple) = (self.span(&field(Some(row[0]))), self.span(&tuple(&row.map(Some))));
        self.changes.push(Change::Put { table: 0, key, tuple, fresh });
        self
    }

    fn remove(mut self, id: u8) -> Self {
        let key = self.span(&field(Some(id)));
        self.changes.push(Change::Remove { table: 0, key });
        self
    }

    fn patch(mut self, id: u8, columns: &[(usize, u8)]) -> Self {
        let columns: Vec<_> = columns.iter().map(|(column, value)| (*column, Some(*value))).collect();
        let (key, patch) = (self.span(&field(Some(id))), self.span(&patch(&columns)));
        let moved = columns.iter().find(|(column, _)| *column == 0).map(|(_, id)| self.span(&field(*id)));
        self.changes.push(Change::Patch { table: 0, key, moved, patch });
        self
    }

    /// `-` removed, `~` replaced, `=` changed in place, `+` added.
    fn merged(self, catching_up: bool) -> String {
        let mut arena = Arena::of(&self.bytes);
        let tables = Tables {
            keyed: &|_| true,
            catching_up: &|_| catching_up,
            columns: &|_| 3,
            unique: &|_, column| column < 2,
        };
        let segments = merge(&self.changes, &mut arena, &KeyGraph::default(), &tables);
        let mut text = String::new();
        let id = |key: Span| arena.get(key)[4];
        let update = |sign, update: &Update| {
            let patch = Patch::read(arena.get(update.patch), 3);
            let fields: Vec<_> = patch.fields().map(|(column, field)| format!("{column}:{}", field[4])).collect();
            format!("{sign}{}({}) ", id(update.key), fields.join(","))
        };
        for changes in segments.iter().flat_map(|segment| &segment.tables) {
            changes.deletes.iter().for_each(|delete| text += &format!("-{} ", id(delete.row)));
            changes.replacements.iter().for_each(|change| text += &update('~', change));
            changes.updates.iter().for_each(|change| text += &update('=', change));
            let values = |span: &Span| Fields::of_tuple(arena.get(*span)).map(|f| f[4].to_string()).collect::<Vec<_>>();
            changes.inserts.iter().for_each(|tuple| text += &format!("+({}) ", values(tuple).join(",")));
        }
        text.trim_end().to_owned()
    }
}

#[test]
fn patches_of_one_row_become_one() {
    assert_eq!(Log::default().patch(1, &[(2, 5)]).merged(false), "=1(2:5)");
    assert_eq!(Log::default().patch(1, &[(2, 5)]).patch(1, &[(2, 6)]).merged(false), "=1(2:6)");
    assert_eq!(Log::default().patch(1, &[(1, 4), (2, 5)]).patch(1, &[(2, 6)]).merged(false), "~1(1:4,2:6)");
    assert_eq!(Log::default().patch(1, &[(2, 5)]).merged(true), "=1(2:5)", "nothing is removed while catching up");
}

#[test]
fn a_patch_of_a_row_of_the_log_is_part_of_that_row() {
    assert_eq!(Log::default().put([1, 2, 3], true).patch(1, &[(2, 9)]).merged(false), "+(1,2,9)");
    let log = Log::default().put([1, 2, 3], false).patch(1, &[(1, 8), (2, 9)]).patch(1, &[(2, 7)]);
    assert_eq!(log.merged(false), "-1 +(1,8,7)");
    assert_eq!(Log::default().patch(1, &[(2, 9)]).put([1, 2, 3], false).merged(false), "-1 +(1,2,3)");
}

#[test]
fn a_patched_row_that_goes_is_only_removed() {
    assert_eq!(Log::default().patch(1, &[(2, 5)]).remove(1).merged(false), "-1");
    assert_eq!(Log::default().patch(1, &[(2, 5)]).remove(1).put([1, 2, 3], true).merged(false), "-1 +(1,2,3)");
    assert_eq!(Log::default().patch(1, &[(0, 2)]).remove(2).merged(false), "-1");
    assert_eq!(Log::default().put([1, 2, 3], true).patch(1, &[(0, 2)]).remove(2).merged(false), "");
}

#[test]
fn rows_whose_keys_move_are_replaced_and_not_removed() {
    assert_eq!(Log::default().patch(1, &[(0, 2), (2, 5)]).patch(2, &[(2, 6)]).merged(false), "~1(0:2,2:6)");
    let swapped = Log::default().patch(1, &[(0, 9)]).patch(2, &[(0, 1)]).patch(9, &[(0, 2)]);
    assert_eq!(swapped.merged(false), "~2(0:1) ~1(0:2)");
    let taken = Log::default().remove(2).patch(1, &[(0, 2)]).put([1, 7, 7], true);
    assert_eq!(taken.merged(false), "-2 ~1(0:2) +(1,7,7)");
    assert_eq!(Log::default().put([1, 2, 3], true).patch(1, &[(0, 4)]).merged(false), "+(4,2,3)");
    assert_eq!(Log::default().patch(1, &[(0, 2)]).patch(2, &[(0, 1)]).merged(false), "~1(0:1)");
}

#[test]
fn updates_of_the_same_columns_stand_together() {
    let log = Log::default().patch(1, &[(2, 5)]).patch(3, &[(1, 5)]).patch(2, &[(2, 6)]);
    assert_eq!(log.merged(false), "~3(1:5) =1(2:5) =2(2:6)");
}

#[test]
fn a_patch_of_a_row_that_the_log_has_removed_finds_none() {
    assert_eq!(Log::default().remove(1).patch(1, &[(2, 5)]).merged(false), "-1 =1(2:5)");
}
