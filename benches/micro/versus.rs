//! Decode + convert against mysql_common's `rows()` on the same bytes: medians of runs by turns, and their ratio.

use super::sides::{Ours, Theirs};
use super::workload;
use std::time::{Duration, Instant};

const RUNS: usize = 15;
const RUN: Duration = Duration::from_millis(100);

/// Measures every file and prints a table.
pub fn print() {
    println!("\nversus: ns per changed row, medians of {RUNS} runs by turns");
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
}

/// Nanoseconds per changed row.
fn run(mut pass: impl FnMut() -> usize) -> f64 {
    let (begun, mut rows) = (Instant::now(), 0);
    while begun.elapsed() < RUN {
        rows += pass();
    }
    begun.elapsed().as_nanos() as f64 / rows as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
