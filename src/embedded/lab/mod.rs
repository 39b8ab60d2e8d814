//! The lab: a medical laboratory's database as a Laravel application makes it, its data, and its daily work.
//!
//! Owns the generator behind the demo, the tests and the benches. Enters: a seed, a number of tables and of rows. Leaves:
//! SQL that MariaDB 10.11 and MySQL 9.7 both take.
//!
//! Invariant: the same numbers give the same bytes, on every machine and in every version (see `fixtures/README.md`).
//!
//! Does not: connect anywhere. Nothing in it is a real person's; names and numbers are drawn at random.

mod core;
mod generated;
mod random;
mod table;
mod words;
mod workload;

pub use workload::Workload;

use random::Random;
use table::{Counts, Table};

/// Bounds of one INSERT statement.
const STATEMENT_ROWS: u64 = 500;
const STATEMENT_BYTES: usize = 1_000_000;

/// A laboratory's database of a certain size.
///
/// ```
/// let lab = sirenia::embedded::lab::Lab { seed: 1, tables: 40, rows: 5_000 };
/// assert_eq!(lab.schema_sql().count(), 40);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lab {
    /// Another seed gives other data and other generated tables.
    pub seed: u64,
    /// How many tables; never fewer than the hand-written ones ([`Lab::CORE_TABLES`]).
    pub tables: usize,
    /// About how many rows in all tables together, by weight; never fewer than the ones every lab has (about 450).
    pub rows: usize,
}

impl Default for Lab {
    fn default() -> Self {
        Self { seed: 1, tables: 40, rows: 5_000 }
    }
}

impl Lab {
    /// The number of hand-written tables.
    pub const CORE_TABLES: usize = core::COUNT;

    /// The CREATE TABLE statements, parents first.
    pub fn schema_sql(&self) -> impl Iterator<Item = String> + use<> {
        self.all_tables().into_iter().map(|table| table.create.into_owned())
    }

    /// INSERT statements of at most 500 rows and about 1 MB each, parents first, so that foreign keys hold all the time.
    ///
    /// One table after the other and in the order of the ids; made as it is asked for, so any size fits in memory.
    pub fn data_sql(&self) -> impl Iterator<Item = String> + use<> {
        let tables = self.all_tables();
        let counts = self.counts(&tables);
        let mut rows = Vec::new();
        for table in tables {
            let count = counts.rows(&table.name);
            rows.push((Random::new(self.seed, &format!("rows of {}", table.name)), table, count));
        }
        let mut rows = rows.into_iter();
        let mut current = rows.next();
        let mut next_row = 1;
        std::iter::from_fn(move || {
            loop {
                let (random, table, count) = current.as_mut()?;
                if next_row > *count {
                    current = rows.next();
                    next_row = 1;
                    continue;
                }
                let mut sql = table.insert_head();
                let first = next_row;
                while next_row <= *count && next_row - first < STATEMENT_ROWS && sql.len() < STATEMENT_BYTES {
                    if next_row > first {
                        sql.push_str(",\n");
                    }
                    table.write_row(next_row, random, &counts, &mut sql);
                    next_row += 1;
                }
                return Some(sql);
            }
        })
    }

    /// The tables and how many rows [`data_sql`](Self::data_sql) puts into each.
    #[must_use]
    pub fn row_counts(&self) -> Vec<(String, u64)> {
        self.counts(&self.all_tables()).0
    }

    fn all_tables(&self) -> Vec<Table> {
        let mut tables = core::tables();
        tables.extend((tables.len()..self.tables).map(|n| generated::table(self.seed, n - core::COUNT)));
        tables
    }

    fn counts(&self, tables: &[Table]) -> RowCounts {
        let fixed: u64 = tables.iter().map(|table| table.fixed).sum();
        let weights: u64 = tables.iter().map(|table| table.weight).sum();
        let free = (self.rows as u64).saturating_sub(fixed);
        let share = |table: &Table| {
            let part = u128::from(free) * u128::from(table.weight) / u128::from(weights.max(1));
            table.fixed + u64::try_from(part).unwrap_or(u64::MAX)
        };
        RowCounts(tables.iter().map(|table| (table.name.to_string(), share(table))).collect())
    }
}

struct RowCounts(Vec<(String, u64)>);

impl Counts for RowCounts {
    fn rows(&self, table: &str) -> u64 {
        // only the core tables are parents, and they stand at the beginning
        self.0.iter().find(|(name, _)| name == table).map_or(0, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests;
