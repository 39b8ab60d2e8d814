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
    batcher.commit(&position(100), 0);
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
    batcher.commit(&position(100), 0);
    let batch = batcher.cut_at_commit().unwrap();
    let [segment] = &batch.segments[..] else { panic!("{:?}", batch.segments) };
    assert_eq!((segment.tables[0].deletes.len(), segment.cascades.len()), (1, 1));
}

#[test]
fn what_was_committed_before_an_open_transaction_can_be_cut_alone() {
    let mut batcher = batcher(vec![node("a")]);
    batcher.begin(&start(4));
    insert(&mut batcher, 1);
    batcher.commit(&position(100), 0);
    batcher.begin(&start(100));
    insert(&mut batcher, 2);
    batcher.advance(&position(100)); // a statement inside of the transaction
    assert!(batcher.cut_at_commit().is_none());
    let batch = batcher.cut_before_transaction().unwrap();
    assert_eq!((rows(&batch), batch.end), (1, End::Commit { position: position(100), committed_at: Some(0) }));
    assert_eq!(rows(&batcher.cut_slice()), 1);
    batcher.advance(&position(100));
    assert!(batcher.cut_before_transaction().is_none(), "the slice must not be committed before its transaction is");
}

/// Before and after, of two columns.
fn update(before: [ValueRef<'static>; 2], after: [ValueRef<'static>; 2]) -> RowImages<'static> {
    RowImages { before: before.to_vec(), after: after.to_vec() }
}

/// What the images of one update make, while the table is copied in chunks or when it is followed.
fn updated(tables: Vec<TableSchema>, catching_up: bool, images: &RowImages<'_>) -> Result<Batch> {
    let mut batcher = batcher(tables);
    batcher.modes[0].catching_up = catching_up;
    batcher.begin(&start(4));
    batcher.row(0, Op::Update, images, true, Instant::now())?;
    batcher.commit(&position(100), 0);
    Ok(batcher.cut_at_commit().unwrap())
}

#[test]
fn an_update_of_some_columns_changes_those_alone() {
    use ValueRef::{Absent, Int, Null};
    let node = || table("a", &[("id", int(4, false)), ("n?", int(4, false)), ("m?", int(4, false))]).primary(&[0]);
    let images =
        |after: [ValueRef<'static>; 3]| RowImages { before: vec![Int(1), Absent, Absent], after: after.to_vec() };
    let changes = |after| updated(vec![node()], false, &images(after)).unwrap();
    let batch = changes([Int(1), Null, Absent]);
    let [changes_of_a] = &batch.segments[0].tables[..] else { panic!("{:?}", batch.segments) };
    assert_eq!((changes_of_a.updates.len(), changes_of_a.deletes.len(), changes_of_a.inserts.len()), (1, 0, 0));
    assert_eq!(batch.arena.get(changes_of_a.updates[0].patch), [2, 0xff, 0xff, 0xff, 0xff]);
    let batch = changes([Int(2), Absent, Absent]);
    assert_eq!(batch.segments[0].tables[0].replacements.len(), 1);
    let batch = changes([Int(1), Absent, Absent]);
    assert!(batch.segments.is_empty() && batch.changes.updates == 1, "nothing that is carried has changed");
    let whole = changes([Int(1), Null, Int(3)]);
    assert_eq!((whole.segments[0].tables[0].deletes.len(), whole.segments[0].tables[0].inserts.len()), (1, 1));
}

#[test]
fn what_a_partial_image_lacks_and_is_needed_is_an_error() {
    use ValueRef::{Absent, Int};
    let plain = || vec![node("a")];
    let moved = update([Int(1), Absent], [Int(2), Absent]);
    assert!(updated(plain(), false, &moved).is_ok());
    let error = updated(plain(), true, &moved).unwrap_err();
    assert!(error.message().contains("changed its key while"), "{}", error.report());
    let keyless = update([Absent, Int(1)], [Absent, Int(2)]);
    let error = updated(plain(), false, &keyless).unwrap_err();
    assert!(error.message().contains("lab.a.id"), "{}", error.report());

    // the child refers to a column outside of the parent's key
    let parents = || {
        let parent = node("a").indexed("u", crate::schema::IndexKind::Unique, &[1]);
        let mut child = node("b").refers("parent", "a", "parent");
        child.foreign_keys[0].on_update = crate::schema::Action::Cascade;
        vec![parent, child]
    };
    let error = updated(parents(), false, &update([Int(1), Absent], [Int(1), Int(5)])).unwrap_err();
    assert!(error.message().contains("lab.a.parent"), "{}", error.report());
    assert!(updated(parents(), false, &update([Int(1), Absent], [Int(1), Absent])).is_ok(), "it has not changed");
}
