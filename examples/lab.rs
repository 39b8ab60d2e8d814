//! Prints the lab's database as SQL for MariaDB and MySQL: `cargo run --release --example lab -- 389 2847563 | mariadb lab`.
//!
//! Arguments: how many tables, about how many rows, and a seed (1).

use sirenia::embedded::lab::Lab;
use std::io::{BufWriter, Write, stdout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut next = |default: u64| numbers.next().unwrap_or(Ok(default));
    let default = Lab::default();
    let lab = Lab {
        tables: usize::try_from(next(default.tables as u64)?)?,
        rows: usize::try_from(next(default.rows as u64)?)?,
        seed: next(default.seed)?,
    };
    let mut out = BufWriter::new(stdout().lock());
    for sql in lab.schema_sql().chain(lab.data_sql()) {
        writeln!(out, "{sql};\n")?;
    }
    out.flush()?;
    Ok(())
}
