//! Micro-benchmarks of the stages between the binlog's bytes and a batch: `cargo bench --bench micro`.
//!
//! `versus` times both sides by turns in one process and prints the medians' ratio. The results stand in `benches/results/`.
//! How often each stage asks for memory is counted by the test `allocations`: a counting allocator would slow down the
//! side that allocates.
#![allow(clippy::unwrap_used, missing_docs)]

mod sides;
mod versus;
mod whole;
#[path = "../../fixtures/binlogs/workload.rs"]
mod workload;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use sides::{Ours, Theirs, convert};
use sirenia::batch::Batch;
use sirenia::binlog::{Decoded, Decoder, Frame};
use sirenia::change::{Op, RowImages};
use sirenia::convert::Arena;
use sirenia::convert::row::Converter;
use sirenia::copy_format as copy;
use sirenia::merge;
use sirenia::schema::Flavor;
use sirenia::value::{Decimal, ValueRef};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use whole::Whole;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .configure_from_args();
    decode(&mut criterion);
    convert_rows(&mut criterion);
    merge_log(&mut criterion);
    copy_format(&mut criterion);
    whole_way(&mut criterion);
    criterion.final_summary();
    // `cargo bench -- decode` means only that
    if std::env::args().skip(1).all(|argument| argument == "--bench" || argument == "versus") {
        versus::print();
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, file) in workload::FILES {
        let (head, work) = workload::events(file);
        let mut ours = Ours::new(&head);
        group.throughput(Throughput::Elements(ours.decode(&work) as u64));
        group.bench_function(name, |b| b.iter(|| ours.decode(&work)));
        let mut theirs = Theirs::new(&head);
        group.bench_function(BenchmarkId::new(name, "mysql_common"), |b| b.iter(|| theirs.rows(&work)));
    }
    group.finish();
}

/// The rows of a file, for as long as the process runs.
fn rows(file: &'static [u8]) -> Vec<(usize, Op, RowImages<'static>)> {
    let (head, work) = workload::events(file);
    let tables = workload::plans(11).iter().map(|plan| Arc::clone(&plan.source)).collect();
    let mut decoder = Decoder::new(Flavor::MariaDb, workload::start(), tables);
    let mut kept = Vec::new();
    for event in head.iter().chain(&work) {
        if let Decoded::Rows(mut rows) = decoder.decode(Frame::parse(event, true).unwrap()).unwrap() {
            let mut images = RowImages::default();
            while rows.next_row(&mut images).unwrap() {
                let keep = |values: &[ValueRef<'_>]| values.iter().map(leaked).collect();
                let images = RowImages { before: keep(&images.before), after: keep(&images.after) };
                kept.push((rows.table, rows.op, images));
            }
        }
    }
    kept
}

fn leaked(value: &ValueRef<'_>) -> ValueRef<'static> {
    match rmp_serde::to_vec(value) {
        Ok(packed) => rmp_serde::from_slice(packed.leak()).unwrap(),
        Err(error) => panic!("{error}"),
    }
}

fn convert_rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convert");
    for (name, file) in [workload::FILES[0], workload::FILES[2]] {
        let rows = rows(file);
        let mut converters: Vec<_> =
            workload::plans(11).into_iter().map(|plan| Converter::compile(plan).unwrap()).collect();
        let mut arena = Arena::default();
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                arena.clear();
                for (table, op, images) in &rows {
                    convert(&mut converters[*table], *op, images, &mut arena);
                }
                arena.len()
            });
        });
    }
    group.finish();
}

/// The log of a batch of 20,000 changes, every row changed about once.
fn merge_log(criterion: &mut Criterion) {
    let whole = Whole::new(20_000, 11);
    let mut batches = whole.ready().run();
    let Batch { log, arena, .. } = &mut batches[0];
    let graph = sirenia::key_graph::KeyGraph::new(&workload::plans(11), false).unwrap();
    let tables =
        merge::Tables { keyed: &|_| true, catching_up: &|_| false, columns: &|_| 16, unique: &|_, column| column == 0 };
    let mut group = criterion.benchmark_group("merge");
    group.throughput(Throughput::Elements(log.len() as u64));
    group.bench_function("mixed-single", |b| b.iter(|| merge::merge(log, arena, &graph, &tables)));
    group.finish();
}

fn copy_format(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy_format");
    let mut out = Vec::new();
    let mut bench = |name: &str, write: &dyn Fn(&mut Vec<u8>)| {
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                write(&mut out);
                black_box(out.len())
            });
        });
    };
    let price = Decimal::from_text(b"1234567.89").unwrap();
    let total = Decimal::from_text(b"-12345678901234.123456").unwrap();
    bench("bigint", &|out| copy::int8(out, black_box(7_235_419_276_543_000_000)));
    bench("numeric(12,2)", &|out| copy::numeric(out, black_box(&price), 2));
    bench("numeric(20,6)", &|out| copy::numeric(out, black_box(&total), 6));
    bench("numeric(20,0) of an integer", &|out| copy::numeric_whole(out, false, black_box(u64::MAX)));
    let text = [b'x'; 64];
    bench("text of 64 bytes", &|out| assert!(copy::bytes(out, black_box(&text))));
    bench("date", &|out| copy::date(out, copy::days_since_2000(black_box(2026), 2, 3).unwrap_or(0)));
    group.finish();
}

fn whole_way(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    group.sample_size(20);
    for tables in [11, 389] {
        let whole = Whole::new(20_000, tables);
        group.throughput(Throughput::Elements(whole.changes as u64));
        group.bench_function(BenchmarkId::new("mixed-single", format!("{tables} tables")), |b| {
            b.iter_batched(|| whole.ready(), |ready| ready.run(), BatchSize::PerIteration);
        });
    }
    group.finish();
}
