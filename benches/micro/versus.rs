//! Decode + convert against mysql_common's `rows()` on the same bytes, and the whole way of a change: medians of runs by
//! turns in one process, in time of the processor, which other processes of a busy machine do not lengthen as they do a clock's.

use super::sides::{Ours, Theirs};
use super::whole::Whole;
use super::workload;

const RUNS: usize = 15;
const RUN_NANOS: u64 = 100_000_000;

/// Measures every file and prints a table.
pub fn print() {
    println!("\nversus: ns of the processor per changed row, medians of {RUNS} runs by turns");
    println!("{:<16}{:>14}{:>18}{:>16}{:>8}", "", "ours: decode", "decode + convert", "mysql_common", "ratio");
    for (name, file) in workload::FILES {
        let (head, work) = workload::events(file);
        let (mut alone, mut both, mut theirs) = (Ours::new(&head), Ours::new(&head), Theirs::new(&head));
        let mut measured = [const { Vec::new() }; 3];
        for _ in 0..RUNS {
            measured[0].push(run(|| alone.decode(&work)));
            measured[1].push(run(|| both.decode_and_convert(&work)));
            measured[2].push(run(|| theirs.rows(&work)));
        }
        let [alone, both, theirs] = measured.map(median);
        println!("{name:<16}{alone:>14.0}{both:>18.0}{theirs:>16.0}{:>8.1}", theirs / both);
    }
    println!("\nwhole: events to batches, ns of the processor per change, medians of {RUNS} runs by turns");
    let tables = [11, 389];
    let whole = tables.map(|tables| Whole::new(50_000, tables));
    let mut measured = [const { Vec::new() }; 2];
    for _ in 0..RUNS {
        for (whole, measured) in whole.iter().zip(&mut measured) {
            let ready = whole.ready();
            let begun = processor_nanos();
            let batches = ready.run();
            measured.push((processor_nanos() - begun) as f64 / whole.changes as f64);
            drop(batches);
        }
    }
    for (tables, measured) in tables.into_iter().zip(measured) {
        println!("{:<16}{:>14.0}", format!("{tables} tables"), median(measured));
    }
}

/// Nanoseconds per changed row.
fn run(mut pass: impl FnMut() -> usize) -> f64 {
    let (begun, mut rows) = (processor_nanos(), 0);
    loop {
        for _ in 0..10 {
            rows += pass();
        }
        let spent = processor_nanos() - begun;
        if spent >= RUN_NANOS {
            return spent as f64 / rows as f64;
        }
    }
}

/// What this thread has had of the processor (`Documentation/scheduler/sched-stats.rst` of Linux).
fn processor_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
