use super::*;
use crate::convert::sample::{int, mapping, table};
use crate::convert::typemap::{self, TypeOptions};
use crate::schema::{Catalog, TableSchema};
use crate::value::ValueRef;

/// `id int primary key, parent int null`.
fn node(name: &str) -> TableSchema {
    table(name, &[("id", int(4, false)), ("parent?", int(4, false))]).primary(&[0])
}

/// A batcher of these tables, none of them catching up, that slices a transaction at the first chance.
fn batcher(tables: Vec<TableSchema>) -> Batcher {
    let plans = typemap::plan(&Catalog { tables }, &mapping([]), &TypeOptions::default()).unwrap();
    let plans: Vec<_> = plans.into_iter().map(Arc::new).collect();
    let graph = Arc::new(KeyGraph::new(&plans, false).unwrap());
    let modes = vec![TableMode::default(); plans.len()];
    let converters = plans.iter().map(|plan| Converter::compile(Arc::clone(plan)).unwrap()).collect();
    Batcher::new(converters, modes, graph, Limits { slice_bytes: 1, ..Limits::default() })
}

fn start(offset: u64) -> BinlogOffset {
    BinlogOffset::new("b.000001", offset)
}

fn position(offset: u64) -> Position {
    Position { binlog: start(offset), gtid: None }
}

fn insert(batcher: &mut Batcher, id: i64) {
    let images = RowImages { before: Vec::new(), after: vec![ValueRef::Int(id), ValueRef::Null] };
    batcher.row(0, Op::Insert, &images, true, Instant::now()).unwrap();
}

fn rows(batch: &Batch) -> usize {
    batch.segments.iter().flat_map(|segment| &segment.tables).map(|changes| changes.inserts.len()).sum()
}

#[test]
fn a_sliced_transaction_that_has_committed_is_not_rolled_back_with_the_next() {
    let mut batcher = batcher(vec![node("a")]);
    assert!(batcher.begin(&start(4)).is_none());
    insert(&mut batcher, 1);
    assert!(batcher.must_slice() && batcher.cut_before_transaction().is_none());
    assert_eq!((batcher.cut_slice().end, batcher.sliced), (End::Open, true));
    insert(&mut batcher, 2);
    batcher.commit(position(100), 0);
    // the source crashed inside of the next one
    assert!(batcher.begin(&start(100)).is_none());
    insert(&mut batcher, 3);
    assert!(batcher.rollback().is_none(), "the slice that was handed out belongs to the one that has committed");
    let batch = batcher.cut_at_commit().unwrap();
    assert_eq!((rows(&batch), batch.end), (1, End::Commit { position: position(100), committed_at: Some(0) }));
}

#[test]
fn slices_of_a_transaction_that_is_cut_short_are_rolled_back() {
    let mut batcher = batcher(vec![node("a")]);
    batcher.begin(&start(4));
    insert(&mut batcher, 1);
    assert_eq!(rows(&batcher.cut_slice()), 1);
    insert(&mut batcher, 2);
    let rollback = batcher.rollback().unwrap();
    assert_eq!((rows(&rollback), rollback.end), (0, End::Rollback));
    assert!(batcher.cut_at_commit().is_none());
}

#[test]
fn a_row_that_refers_to_itself_goes_before_its_cascade() {
    let mut batcher = batcher(vec![node("a").refers("parent", "a", "id")]);
    batcher.begin(&start(4));
    let images = RowImages { before: vec![ValueRef::Int(1), ValueRef::Int(1)], after: Vec::new() };
    batcher.row(0, Op::Delete, &images, true, Instant::now()).unwrap();
    batcher.commit(position(100), 0);
    let batch = batcher.cut_at_commit().unwrap();
    let [segment] = &batch.segments[..] else { panic!("{:?}", batch.segments) };
    assert_eq!((segment.tables[0].deletes.len(), segment.cascades.len()), (1, 1));
}
