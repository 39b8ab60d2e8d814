//! How fast rows go from this source to this target: measured with some of its own, where that can be done.
//!
//! Rows of the largest table are read and converted as the first copy does it, and copied into a temporary table of the session,
//! which goes with it. One after the other, while the first copy does it side by side; indexes come on top of it.

use crate::config::Config;
use crate::convert::Arena;
use crate::convert::plan::{PgType, TablePlan};
use crate::convert::row::Converter;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use crate::pipeline::state::target_config;
use crate::source::connect::SourceConfig;
use crate::source::rows::RowSession;
use crate::source::snapshot::reader::ExactReader;
use crate::target::{classify, connect, copy, tables};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Taken where nothing could be measured: 10 MB/s of the source's data.
pub const ASSUMED_BYTES_PER_SECOND: f64 = 10e6;

/// The most rows that are read for it, and the fewest from which a rate is taken.
const MOST: usize = 20_000;
const FEWEST: usize = 1000;

/// A rate, and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// Bytes of the source's data.
    pub bytes_per_second: f64,
    /// Rows.
    pub rows_per_second: Option<f64>,
    /// In words.
    pub from: String,
}

impl Default for Rate {
    fn default() -> Self {
        Self { bytes_per_second: ASSUMED_BYTES_PER_SECOND, rows_per_second: None, from: "assumed".into() }
    }
}

/// Measures, or says why not.
pub async fn measure(config: &Config, source: &SourceConfig, plans: &[Arc<TablePlan>]) -> Rate {
    // a type of its own would have to be made first
    let plain = |plan: &&Arc<TablePlan>| !plan.columns.iter().any(|column| matches!(column.ty, PgType::Enum(_)));
    let Some(plan) = plans.iter().filter(plain).max_by_key(|plan| plan.source.estimated_bytes) else {
        return Rate { from: "assumed: no table could be tried".into(), ..Rate::default() };
    };
    match attempt(config, source, plan).await {
        Ok((rows, seconds)) if rows >= FEWEST && plan.source.estimated_rows > 0 => {
            let width = plan.source.estimated_bytes as f64 / plan.source.estimated_rows as f64;
            let rows_per_second = rows as f64 / seconds;
            Rate {
                bytes_per_second: (width * rows_per_second).max(1.0),
                rows_per_second: Some(rows_per_second),
                from: format!(
                    "measured: {rows} rows of {} read, converted and copied into a temporary table in {seconds:.2} s",
                    plan.source.name
                ),
            }
        }
        Ok((rows, _)) => Rate { from: format!("assumed: {rows} rows are too few to measure"), ..Rate::default() },
        Err(error) => Rate { from: format!("assumed, since it could not be measured: {error}"), ..Rate::default() },
    }
}

/// Rows that came through, and in how many seconds.
async fn attempt(config: &Config, source: &SourceConfig, plan: &Arc<TablePlan>) -> Result<(usize, f64)> {
    let scratch = TablePlan { target: TargetName::new("pg_temp", "sirenia_plan"), ..(**plan).clone() };
    let doing = "copying into a temporary table";
    let target = connect(&target_config(config), "sirenia plan").await?;
    target.batch_execute(&tables::create_table_sql(&scratch)).await.map_err(|e| classify(e, doing))?;
    let names = ident::postgres_list(scratch.columns.iter().map(|column| column.name.as_str()));
    let sql = format!("COPY {} ({names}) FROM STDIN BINARY", scratch.target.sql());
    let statement = target.prepare(&sql).await.map_err(|e| classify(e, doing))?;
    let mut session = RowSession::open_read_only(source).await?;
    let mut converter = Converter::compile(Arc::clone(plan))?;
    let (mut arena, mut tuples, mut seen) = (Arena::default(), Vec::new(), 0);
    let started = Instant::now();
    let mut reader = ExactReader::open(&mut session, &plan.source).await?;
    while seen < MOST
        && let Some(rows) = reader.next_batch().await?
    {
        let mut values = Vec::new();
        for row in 0..rows.len() {
            seen += 1;
            rows.values(row, &mut values)?;
            match converter.tuple(&values, &mut arena) {
                Ok(tuple) => tuples.push(tuple),
                Err(error) if error.kind() == ErrorKind::Unfit => {}
                Err(error) => return Err(error),
            }
        }
    }
    let rows = tuples.iter().map(|tuple| arena.get(*tuple));
    copy::copy_in(&target, &statement, rows).await.map_err(|e| classify(e, doing))?;
    let seconds = started.elapsed().as_secs_f64();
    // the rest of the rows is not wanted: the connection goes, not the result
    drop(reader);
    if seconds <= 0.0 {
        return Err(Error::new(ErrorKind::Bug, "the clock stands still"));
    }
    Ok((seen, seconds))
}
