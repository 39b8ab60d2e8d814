//! `sirenia.sanitized` and `sirenia.sanitized_count`: which values were changed to fit, where and why.
//!
//! [`record`] runs in the transaction of the rows, so that what stands here and what was written cannot differ. Every value
//! is counted; the first [`KEPT`] of a column and reason stand here one by one. Keys are shown, values never.

use super::count;
use super::error::on;
use crate::convert::plan::TablePlan;
use crate::convert::sanitize::{Changed, KEPT, Total};
use crate::error::Result;
use crate::ident::TableName;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_postgres::GenericClient;
use tokio_postgres::types::{ToSql, Type};

/// What stands for a position in the log in values of the first copy.
pub const SNAPSHOT: &str = "snapshot";

/// Arrays of equal length, one per column of a record.
#[derive(Default)]
struct Columns<'a> {
    databases: Vec<&'a str>,
    tables: Vec<&'a str>,
    columns: Vec<&'a str>,
    reasons: Vec<&'a str>,
    policies: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, plan: &'a TablePlan, column: usize, reason: &'a str, policy: &'a str) {
        self.databases.push(&plan.source.name.database);
        self.tables.push(&plan.source.name.table);
        self.columns.push(plan.source.columns.get(column).map_or("", |column| &column.name));
        self.reasons.push(reason);
        self.policies.push(policy);
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 5] {
        [
            (&self.databases, Type::TEXT_ARRAY),
            (&self.tables, Type::TEXT_ARRAY),
            (&self.columns, Type::TEXT_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.policies, Type::TEXT_ARRAY),
        ]
    }
}

/// Records changed values and their totals in the open transaction; nothing is sent when there are none.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn record<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    plans: &[Arc<TablePlan>],
    changed: &[Changed],
    totals: &[Total],
) -> Result<()> {
    if totals.is_empty() {
        return Ok(());
    }
    let (mut counted, mut counts) = (Columns::default(), Vec::new());
    for total in totals {
        counted.push(&plans[total.table], total.column, total.reason.name(), total.policy.name());
        counts.push(total.count.cast_signed());
    }
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&pipeline, Type::TEXT)];
    parameters.extend(counted.parameters());
    parameters.push((&counts, Type::INT8_ARRAY));
    client
        .execute_typed(
            "INSERT INTO sirenia.sanitized_count AS c
                    (pipeline, source_database, source_table, column_name, reason, policy, count)
             SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7)
             ON CONFLICT (pipeline, source_database, source_table, column_name, reason, policy) DO UPDATE
                SET count = c.count + excluded.count, last_at = excluded.last_at",
            &parameters,
        )
        .await
        .map_err(on("counting values that were changed"))?;
    let (mut kept, mut keys, mut positions) = (Columns::default(), Vec::new(), Vec::new());
    for value in changed.iter().filter(|value| value.kept) {
        kept.push(&plans[value.table], value.column, value.reason.name(), value.policy.name());
        keys.push(value.key.as_deref());
        positions.push(value.position.as_deref().unwrap_or(SNAPSHOT));
    }
    if keys.is_empty() {
        return Ok(());
    }
    let most = i64::from(KEPT);
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&pipeline, Type::TEXT)];
    parameters.extend(kept.parameters());
    parameters.extend([(&keys as &(dyn ToSql + Sync), Type::TEXT_ARRAY), (&positions, Type::TEXT_ARRAY)]);
    parameters.push((&most, Type::INT8));
    client
        .execute_typed(
            "WITH new AS (
                 SELECT *, row_number() OVER (PARTITION BY d, t, c, r ORDER BY n) AS nth
                   FROM unnest($2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY AS new (d, t, c, r, p, key, position, n)),
             there AS (
                 SELECT d, t, c, r, (SELECT count(*) FROM sirenia.sanitized s
                                      WHERE s.pipeline = $1 AND s.source_database = d AND s.source_table = t
                                        AND s.column_name = c AND s.reason = r) AS rows
                   FROM (SELECT DISTINCT d, t, c, r FROM new) AS kinds)
             INSERT INTO sirenia.sanitized
                    (pipeline, source_database, source_table, column_name, reason, policy, key, position)
             SELECT $1, d, t, c, r, p, key, position FROM new JOIN there USING (d, t, c, r)
              WHERE nth + rows <= $9 ORDER BY n",
            &parameters,
        )
        .await
        .map_err(on("recording values that were changed"))?;
    Ok(())
}

/// A row of `sirenia.sanitized_count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The source table.
    pub table: TableName,
    /// The source's column.
    pub column: String,
    /// Why, as [`crate::policy::Reason::name`] says.
    pub reason: String,
    /// What was done, as [`crate::policy::Policy::name`] says.
    pub policy: String,
    /// All of its values.
    pub count: u64,
    /// When the last was written, by the target's clock.
    pub last_at: SystemTime,
}

/// A row of `sirenia.sanitized`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedValue {
    /// The row's key as JSON; none in a table without a key.
    pub key: Option<String>,
    /// Where its source transaction starts in the log, or [`SNAPSHOT`].
    pub position: String,
    /// When it was written, by the target's clock.
    pub at: SystemTime,
}

/// All counts of a pipeline, by table, column and reason.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn counts<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Vec<Recorded>> {
    let rows = client
        .query(
            "SELECT source_database, source_table, column_name, reason, policy, count, last_at
               FROM sirenia.sanitized_count WHERE pipeline = $1 ORDER BY 1, 2, 3, 4, 5",
            &[&pipeline],
        )
        .await
        .map_err(on("reading the values that were changed"))?;
    let recorded = |row: &tokio_postgres::Row| Recorded {
        table: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
        column: row.get(2),
        reason: row.get(3),
        policy: row.get(4),
        count: count(row.get(5)),
        last_at: row.get(6),
    };
    Ok(rows.iter().map(recorded).collect())
}

/// The newest of the values that stand here one by one, of one table, column, reason and policy.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn newest<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    of: &Recorded,
    most: i64,
) -> Result<Vec<RecordedValue>> {
    let rows = client
        .query(
            "SELECT key, position, at FROM sirenia.sanitized
              WHERE pipeline = $1 AND source_database = $2 AND source_table = $3 AND column_name = $4 AND reason = $5
                AND policy = $6
              ORDER BY id DESC LIMIT $7",
            &[&pipeline, &of.table.database, &of.table.table, &of.column, &of.reason, &of.policy, &most],
        )
        .await
        .map_err(on("reading the values that were changed"))?;
    let value = |row: &tokio_postgres::Row| RecordedValue { key: row.get(0), position: row.get(1), at: row.get(2) };
    Ok(rows.iter().map(value).collect())
}
