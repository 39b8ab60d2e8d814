//! The fuzz targets (`fuzz/`) without a fuzzer: every input of their corpora, then so many damaged ones.
//!
//! The seed is printed, `SIRENIA_TEST_SEED` repeats a run; a failure shows its input. `scripts/fuzz` runs the same functions under
//! libFuzzer.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

mod seeds;

use crate::support::seed;
use crate::workload::Random;
use std::path::{Path, PathBuf};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Shows its input when the test panics.
struct Input<'a>(&'a [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("the input, for xxd -r -p: {hex}");
        }
    }
}

fn try_on(target: fn(&[u8]), input: &[u8]) {
    let input = Input(input);
    target(input.0);
}

/// One to four damages of the kinds that formats with lengths, types and bitmaps mind.
fn damage(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() as u64 + 1) as usize;
        match random.below(8) {
            0 => input.truncate(at),
            1 => input.insert(at, random.next() as u8),
            // as lengths these are NULL, two, three and eight bytes, and none
            2 => input.insert(at, [0xFB, 0xFC, 0xFD, 0xFE, 0xFF][random.below(5) as usize]),
            3 => {
                let other = &corpus[random.below(corpus.len() as u64) as usize];
                let from = random.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => {
                let end = (at + random.below(8) as usize).min(input.len());
                input.drain(at..end);
            }
            kind => {
                let Some(byte) = input.get_mut(at) else { continue };
                *byte = match kind {
                    5 => *byte ^ 1 << random.below(8),
                    6 => byte.wrapping_add([1, 0xFF][random.below(2) as usize]),
                    _ => [0, 1, 0x7F, 0x80, 0xFF][random.below(5) as usize],
                };
            }
        }
    }
}

fn run(name: &str, target: fn(&[u8]), count: usize) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "fuzz/corpus/{name} has inputs");
    corpus.iter().for_each(|input| try_on(target, input));
    let seed = seed();
    println!("SIRENIA_TEST_SEED={seed} repeats this run");
    let mut random = Random(seed);
    for _ in 0..count {
        let mut input = corpus[random.below(corpus.len() as u64) as usize].clone();
        damage(&mut input, &corpus, &mut random);
        try_on(target, &input);
    }
}

macro_rules! targets {
    ($($name:ident: $count:literal)*) => {$(
        #[test]
        fn $name() {
            run(stringify!($name), targets::$name, $count);
        }
    )*};
}

// some seconds of each, without optimisation
targets! {
    event: 20000
    table_map: 90000
    rows: 40000
    json: 60000
    decimal: 40000
    gtid_set: 80000
    spool: 20000
    ddl: 4000
}
