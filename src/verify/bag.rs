//! Tables without a key to walk by: how many rows of each content there are on both sides.
//!
//! A row is known by its digest. The first pass counts all of them (32 bytes for each different row, up to 64 with the
//! map's own room); the rounds that follow count only those whose numbers were not the same.

use super::digest::Digester;
use super::report::{Progress, Tally};
use super::session::Session;
use super::settle::{Sides, settle};
use crate::convert::Arena;
use crate::convert::plan::TablePlan;
use crate::convert::row::Converter;
use crate::error::Result;
use crate::source::snapshot::reader::ExactReader;
use crate::target::copy::{Fields, field_value};
use crate::target::read::Tuples;
use hashbrown::HashMap;
use std::sync::Arc;

/// Compares a table.
///
/// # Errors
/// Those of the connections; `Value` and the like when a row cannot be converted.
pub async fn compare(session: &mut Session, plan: &Arc<TablePlan>, progress: &Progress) -> Result<Tally> {
    let mut bag = Bag {
        plan: Arc::clone(plan),
        converter: Converter::compile(Arc::clone(plan))?,
        digester: Digester::new(plan),
        numbers: HashMap::new(),
    };
    let mut tally = Tally::default();
    let mut balance: HashMap<u128, i64> = HashMap::new();
    bag.each_source_row(session, |row| {
        *balance.entry(row).or_default() += 1;
        tally.rows += 1;
        progress.add_rows(1);
    })
    .await?;
    bag.each_target_row(session, |row| *balance.entry(row).or_default() -= 1).await?;
    balance.retain(|_, left| *left != 0);
    bag.numbers = balance.into_keys().zip(0..).collect();
    if bag.numbers.is_empty() {
        return Ok(tally);
    }
    let all: Vec<usize> = (0..bag.numbers.len()).collect();
    let before = bag.source(session, &all).await?;
    let settled = settle(session, &mut bag, before).await?;
    for (source, target) in settled.differing {
        tally.missing += source.saturating_sub(target);
        tally.extra += target.saturating_sub(source);
    }
    tally.unsettled += settled.unsettled;
    Ok(tally)
}

struct Bag {
    plan: Arc<TablePlan>,
    converter: Converter,
    digester: Digester,
    /// The rows whose numbers are in doubt.
    numbers: HashMap<u128, usize>,
}

impl Bag {
    async fn each_source_row(&mut self, session: &mut Session, mut found: impl FnMut(u128) + Send) -> Result<()> {
        let mut reader = ExactReader::open(&mut session.source, &self.plan.source).await?;
        let mut arena = Arena::default();
        while let Some(rows) = reader.next_batch().await? {
            tokio::task::block_in_place(|| {
                let mut values = Vec::new();
                for row in 0..rows.len() {
                    rows.values(row, &mut values)?;
                    if self.converter.admits(&values)? {
                        arena.clear();
                        let tuple = self.converter.tuple(&values, &mut arena)?;
                        found(self.digester.row(Fields::of_tuple(arena.get(tuple)).map(field_value)));
                    }
                }
                Ok::<_, crate::error::Error>(())
            })?;
        }
        Ok(())
    }

    async fn each_target_row(&mut self, session: &Session, mut found: impl FnMut(u128) + Send) -> Result<()> {
        let columns: Vec<usize> = (0..self.plan.columns.len()).collect();
        let mut tuples = Tuples::open(&session.target, &self.plan, &columns).await?;
        while let Some(row) = tuples.next().await? {
            found(self.digester.row(Fields::of_key(row).map(field_value)));
        }
        Ok(())
    }
}

/// How many such rows there are.
impl Sides<Session> for Bag {
    type Value = u64;

    async fn source(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<u64>> {
        let numbers = std::mem::take(&mut self.numbers);
        let mut counts = vec![0; numbers.len()];
        let read = self.each_source_row(session, |row| {
            if let Some(number) = numbers.get(&row) {
                counts[*number] += 1;
            }
        });
        read.await?;
        self.numbers = numbers;
        Ok(things.iter().map(|at| counts[*at]).collect())
    }

    async fn target(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<u64>> {
        let numbers = std::mem::take(&mut self.numbers);
        let mut counts = vec![0; numbers.len()];
        let read = self.each_target_row(session, |row| {
            if let Some(number) = numbers.get(&row) {
                counts[*number] += 1;
            }
        });
        read.await?;
        self.numbers = numbers;
        Ok(things.iter().map(|at| counts[*at]).collect())
    }
}
