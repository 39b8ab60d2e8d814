//! How often a changed row asks for memory on its way from the binlog's bytes to COPY tuples: never.
//!
//! `cargo nextest run -E 'test(allocations)' --no-capture` prints what each stage takes, and mysql_common's `rows()`.

#[path = "../benches/micro/sides.rs"]
mod sides;
#[path = "../benches/micro/whole.rs"]
mod whole;
#[path = "../fixtures/binlogs/workload.rs"]
mod workload;

use allocation_counter::measure;
use sides::{Ours, Theirs};
use whole::Whole;

/// How often one pass asks for memory when the buffers have grown, and how often that is per changed row.
fn requests(mut pass: impl FnMut() -> usize) -> (u64, f64) {
    pass();
    let mut rows = 0;
    let count = measure(|| rows = pass()).count_total;
    (count, count as f64 / rows as f64)
}

#[test]
fn decoding_and_converting_a_row_allocates_nothing() {
    for (name, file) in workload::FILES {
        let (head, work) = workload::events(file);
        let mut ours = Ours::new(&head);
        let (decode, _) = requests(|| ours.decode(&work));
        let (both, _) = requests(|| ours.decode_and_convert(&work));
        let mut theirs = Theirs::new(&head);
        let (_, per_row) = requests(|| theirs.rows(&work));
        println!("{name:<16}decode {decode}, decode + convert {both}; mysql_common {per_row:.1} per changed row");
        assert_eq!((decode, both), (0, 0), "{name}");
    }
}

#[test]
fn a_batch_allocates_only_to_grow() {
    let count = |changes, tables| {
        let whole = Whole::new(changes, tables);
        let ready = whole.ready();
        let mut made = 0;
        let allocated = measure(|| made = ready.run().iter().map(|batch| batch.changes.total()).sum()).count_total;
        assert_eq!(made, whole.changes as u64);
        allocated
    };
    for tables in [11, 389] {
        let (some, twice) = (count(5_000, tables), count(10_000, tables));
        println!("{tables} tables: {some} for a batch of 5,000 changes, {twice} for one of 10,000");
        assert!(twice < some + 50, "{tables} tables: {some}, then {twice}");
    }
}
