//! Foreign keys that were dropped while following (`sirenia.dropped_key`), since rows of the source broke them.

use super::control;
use super::error::on;
use crate::error::Result;
use crate::ident::TargetName;
use tokio_postgres::GenericClient;

/// Writes one down.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn note<C: GenericClient + Sync>(client: &C, pipeline: &str, table: &TargetName, name: &str) -> Result<()> {
    client
        .execute(
            "INSERT INTO sirenia.dropped_key (pipeline, target_schema, target_table, name) VALUES ($1, $2, $3, $4)
             ON CONFLICT (pipeline, target_schema, target_table, name) DO UPDATE SET dropped_at = excluded.dropped_at",
            &[&pipeline, &table.schema, &table.table, &name],
        )
        .await
        .map_err(on("noting a dropped foreign key"))?;
    Ok(())
}

/// All of a pipeline, table and name; none before the control tables know of them.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn read<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<(TargetName, String)>> {
    if control::version(client).await? != Some(control::VERSION) {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT target_schema, target_table, name FROM sirenia.dropped_key WHERE pipeline = $1 ORDER BY 1, 2, 3",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the dropped foreign keys"))?;
    Ok(rows.iter().map(|row| (TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1)), row.get(2))).collect())
}

/// Forgets those that stand again.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn forget_standing<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<()> {
    if control::version(client).await? != Some(control::VERSION) {
        return Ok(());
    }
    client
        .execute(
            "DELETE FROM sirenia.dropped_key d USING pg_constraint k, pg_class c, pg_namespace n
              WHERE d.pipeline = $1 AND k.conname = d.name AND c.oid = k.conrelid AND c.relname = d.target_table
                AND n.oid = c.relnamespace AND n.nspname = d.target_schema",
            &[&pipeline],
        )
        .await
        .map_err(on("forgetting dropped foreign keys that stand again"))?;
    Ok(())
}
