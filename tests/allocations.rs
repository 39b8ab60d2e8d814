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

/// What is asked for in one pass, per changed row; buffers have grown before.
fn per_row(mut pass: impl FnMut() -> usize) -> (u64, f64) {
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
        let (decode, decode_per_row) = per_row(|| ours.decode(&work));
        let (both, both_per_row) = per_row(|| ours.decode_and_convert(&work));
        let mut theirs = Theirs::new(&head);
        let (_, theirs_per_row) = per_row(|| theirs.rows(&work));
        println!(
            "{name:<16}decode {decode} ({decode_per_row:.2} per row), decode + convert {both} ({both_per_row:.2}), \
             mysql_common {theirs_per_row:.1}"
        );
    }
}

#[test]
fn the_whole_way_allocates() {
    for tables in [11, 389] {
        let whole = Whole::new(5_000, tables);
        let ready = whole.ready();
        let count = measure(|| drop(ready.run())).count_total;
        println!("{tables} tables: {:.2} per change", count as f64 / whole.changes as f64);
    }
}
