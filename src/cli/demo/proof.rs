//! The proof: `sirenia verify` says equal, and counting by plain SQL says so too.

use super::servers::{DATABASE, connect_source, connect_target, on_source, on_target};
use super::stage::Stage;
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use mysql_async::prelude::Queryable;
use std::time::{Duration, Instant};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub tables: usize,
    pub source_rows: u64,
    pub target_rows: u64,
    /// Tables with other numbers of rows, and what `sirenia verify` said when it was not "equal".
    pub differences: Vec<String>,
    pub verify_took: Duration,
}

impl Proof {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs `sirenia verify` and counts. Nothing may change the source meanwhile.
///
/// # Errors
/// When either cannot be done; a difference is not an error.
pub(super) async fn prove(stage: &Stage<'_>) -> Result<Proof> {
    let mut proof = Proof::default();
    let started = Instant::now();
    let output = stage.replicator.output(&stage.servers, &["verify"]).await?;
    proof.verify_took = started.elapsed();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.code() {
        Some(0) => {}
        Some(1) => {
            let text = said(&output.stdout);
            let told: Vec<&str> = text.lines().filter(|line| !line.trim_end().ends_with("  equal")).collect();
            proof.differences.push(format!("sirenia verify:\n{}", told.join("\n")));
        }
        _ => {
            let error = Error::new(ErrorKind::Bug, format!("sirenia verify failed ({})", output.status));
            return Err(error.detail(said(&output.stderr)));
        }
    }
    count(stage, &mut proof).await?;
    Ok(proof)
}

/// Counts the rows of every table of the source on both sides.
async fn count(stage: &Stage<'_>, proof: &mut Proof) -> Result<()> {
    let mut source = connect_source(&stage.servers.source_url()).await?;
    let target = connect_target(&stage.servers.target_url()).await?;
    let tables = "SELECT TABLE_NAME FROM information_schema.TABLES \
                  WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME";
    let tables: Vec<String> =
        source.exec(tables, (DATABASE,)).await.map_err(|error| on_source("list its tables", error))?;
    for table in &tables {
        let sql = format!("SELECT COUNT(*) FROM {}", ident::mysql(table));
        let on_left: Option<u64> = source.query_first(sql).await.map_err(|error| on_source("count", error))?;
        let on_left = on_left.unwrap_or(0);
        let sql = format!("SELECT count(*) FROM public.{}", ident::postgres(table));
        let on_right = target.query_one(&sql, &[]).await.map_err(|error| on_target("count", error))?;
        let on_right = u64::try_from(on_right.get::<_, i64>(0)).unwrap_or(0);
        proof.source_rows += on_left;
        proof.target_rows += on_right;
        if on_left != on_right {
            proof.differences.push(format!("{table}: {on_left} rows on the source, {on_right} on the target"));
        }
    }
    proof.tables = tables.len();
    if tables.is_empty() {
        proof.differences.push("the source has no tables".to_owned());
    }
    Ok(())
}
