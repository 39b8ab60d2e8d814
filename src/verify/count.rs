//! `--counts`: the number of rows on both sides, and nothing else.

use super::report::{Progress, Tally};
use super::session::Session;
use super::settle::{Sides, settle};
use crate::convert::plan::TablePlan;
use crate::convert::row::Converter;
use crate::error::Result;
use crate::source::snapshot::reader::{self, ExactReader};
use crate::target::read;
use std::sync::Arc;

/// Compares a table's numbers of rows.
///
/// # Errors
/// Those of the connections.
pub async fn compare(session: &mut Session, plan: &Arc<TablePlan>, progress: &Progress) -> Result<Tally> {
    let mut count = Count { plan: Arc::clone(plan), converter: Converter::compile(Arc::clone(plan))? };
    let before = count.source(session, &[0]).await?;
    let mut tally = Tally { rows: before[0], ..Tally::default() };
    progress.add_rows(tally.rows);
    if count.target(session, &[0]).await? == before {
        return Ok(tally);
    }
    let settled = settle(session, &mut count, before).await?;
    for (source, target) in settled.differing {
        (tally.rows, tally.missing, tally.extra) =
            (source, source.saturating_sub(target), target.saturating_sub(source));
    }
    tally.unsettled = settled.unsettled;
    Ok(tally)
}

struct Count {
    plan: Arc<TablePlan>,
    converter: Converter,
}

/// The number of rows; the one thing is the table.
impl Sides<Session> for Count {
    type Value = u64;

    async fn source(&mut self, session: &mut Session, _: &[usize]) -> Result<Vec<u64>> {
        let table = &self.plan.source;
        if self.plan.rows.is_empty() {
            return Ok(vec![reader::count(&mut session.source, table).await?]);
        }
        // the row filter is evaluated here, as everywhere: SQL on the source might see it otherwise
        let columns: Vec<usize> = self.plan.rows.iter().map(|(column, _)| *column).collect();
        let mut reader = ExactReader::open_narrowed(&mut session.source, table, &columns).await?;
        let mut count = 0;
        while let Some(rows) = reader.next_batch().await? {
            let mut values = Vec::new();
            for row in 0..rows.len() {
                rows.values(row, &mut values)?;
                count += u64::from(self.converter.admits(&values)?);
            }
        }
        Ok(vec![count])
    }

    async fn target(&mut self, session: &mut Session, _: &[usize]) -> Result<Vec<u64>> {
        Ok(vec![read::count(&session.target, &self.plan).await?])
    }
}
