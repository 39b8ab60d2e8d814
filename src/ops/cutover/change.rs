//! The cutover's changes of the target: some hundred at a time, each time in a fenced transaction that waits for locks only so long.

use super::Outcome;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::target::objects::{self, Step};
use crate::target::{Connection, classify, fence};

/// Statements that go into one transaction: each holds locks until its end.
const IN_ONE: usize = 400;

/// How long a change waits for sessions that use its tables.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '30s'";

/// Runs steps, some hundred in a fenced transaction.
pub(super) async fn apply(
    client: &mut Connection,
    config: &Config,
    epoch: i64,
    steps: &[Step],
    outcome: &mut Outcome,
) -> Result<()> {
    for steps in steps.chunks(IN_ONE) {
        let transaction = fence::begin(client, &config.pipeline, epoch).await?;
        transaction.batch_execute(LOCK_TIMEOUT).await.map_err(|e| classify(e, "changing the target"))?;
        let applied = objects::apply(&transaction, steps).await.map_err(busy)?;
        transaction.commit().await.map_err(|e| classify(e, "changing the target"))?;
        outcome.notes.extend(applied.left_out.iter().map(|(step, error)| {
            format!("{} {} of {} is left out: {error}", step.object.as_str(), step.name, step.table)
        }));
        for key in applied.unproven {
            let what =
                format!("foreign key {} of {}: {} rows have no parent", key.step.name, key.step.table, key.orphans);
            outcome.no_go(what, "`sirenia cutover --undo`; `sirenia schema status` shows it");
        }
    }
    Ok(())
}

/// Runs statements, some hundred in a fenced transaction.
pub(super) async fn run_all(client: &mut Connection, config: &Config, epoch: i64, statements: &[String]) -> Result<()> {
    let doing = "changing the target's triggers";
    for some in statements.chunks(IN_ONE) {
        let transaction = fence::begin(client, &config.pipeline, epoch).await?;
        let all = format!("{LOCK_TIMEOUT};\n{}", some.join(";\n"));
        transaction.batch_execute(&all).await.map_err(|e| busy(classify(e, doing)))?;
        transaction.commit().await.map_err(|e| classify(e, doing))?;
    }
    Ok(())
}

/// Says what to do about sessions that use the tables.
fn busy(error: Error) -> Error {
    match error.code() {
        Some("55P03") => error.with_hint(
            "end the sessions that use the target's tables (pg_stat_activity shows them), then `sirenia cutover` again",
        ),
        _ => error,
    }
}
