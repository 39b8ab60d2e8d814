//! How the server prints what we plan, so that it can be compared with how it prints what stands.
//!
//! PostgreSQL keeps expressions as trees and prints them its own way (`IN` becomes `= ANY`, literals get casts). Instead of
//! imitating that, the planned expressions are put on temporary tables of the same columns and read back. A table that cannot
//! be made so is left out: its expressions then count as different, and the attempt to make them says why.

use crate::convert::plan::TablePlan;
use crate::error::Result;
use crate::ident;
use crate::target::error::on;
use std::collections::HashMap;
use tokio_postgres::GenericClient;

/// Temporary tables that stand at a time.
const AT_ONCE: usize = 60;

/// What is to be printed for one table.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Columns (positions) with their defaults.
    pub defaults: Vec<(usize, String)>,
    /// `CHECK (…)`.
    pub checks: Vec<String>,
    /// `USING … (…)`.
    pub indexes: Vec<String>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.defaults.is_empty() && self.checks.is_empty() && self.indexes.is_empty()
    }
}

/// What was printed for one table, in the order in which it was wanted; none for what could not be made.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub defaults: HashMap<usize, String>,
    /// By the wanted text.
    pub checks: HashMap<String, String>,
    /// Key parts by the wanted text.
    pub indexes: HashMap<String, Vec<String>>,
}

const DOING: &str = "asking the target how it prints what is planned";

/// Asks for all of them; one answer for each, in order.
pub(super) async fn read<C: GenericClient + Sync>(client: &C, wanted: &[(&TablePlan, Wanted)]) -> Result<Vec<Printed>> {
    let mut all = Vec::with_capacity(wanted.len());
    for some in wanted.chunks(AT_ONCE) {
        all.extend(read_some(client, some).await?);
    }
    Ok(all)
}

async fn read_some<C: GenericClient + Sync>(client: &C, wanted: &[(&TablePlan, Wanted)]) -> Result<Vec<Printed>> {
    let mut sql = String::new();
    for (number, (plan, wanted)) in wanted.iter().enumerate().filter(|(_, (_, wanted))| !wanted.is_empty()) {
        sql.push_str(&scratch(number, plan, wanted));
    }
    let mut printed: Vec<Printed> = wanted.iter().map(|_| Printed::default()).collect();
    if sql.is_empty() {
        return Ok(printed);
    }
    client.batch_execute(&sql).await.map_err(on(DOING))?;
    let rows = client
        .query(
            "WITH scratch AS (SELECT oid, substr(relname, 10)::int AS number FROM pg_class
                               WHERE relnamespace = pg_my_temp_schema() AND relname ~ '^sirenia_s[0-9]+$')
             SELECT 0, number, d.adnum::int, 0, pg_get_expr(d.adbin, d.adrelid)
               FROM scratch s JOIN pg_attrdef d ON d.adrelid = s.oid
              UNION ALL
             SELECT 1, number, substr(k.conname, 2)::int, 0, pg_get_constraintdef(k.oid)
               FROM scratch s JOIN pg_constraint k ON k.conrelid = s.oid AND k.contype = 'c'
              UNION ALL
             SELECT 2, number, split_part(i.relname, '_', 3)::int, part, pg_get_indexdef(x.indexrelid, part, false)
               FROM scratch s JOIN pg_index x ON x.indrelid = s.oid JOIN pg_class i ON i.oid = x.indexrelid
              CROSS JOIN generate_series(1, x.indnkeyatts::int) AS part
              ORDER BY 1, 2, 3, 4",
            &[],
        )
        .await
        .map_err(on(DOING))?;
    for row in &rows {
        let [kind, number, at] = [0, 1, 2].map(|field| usize::try_from(row.get::<_, i32>(field)).unwrap_or(0));
        let text: String = row.get(4);
        let Some((printed, (_, wanted))) = printed.get_mut(number).zip(wanted.get(number)) else { continue };
        match kind {
            0 => drop(printed.defaults.insert(at.saturating_sub(1), text)),
            1 => drop(wanted.checks.get(at).map(|check| printed.checks.insert(check.clone(), text))),
            _ => {
                let Some(body) = wanted.indexes.get(at) else { continue };
                printed.indexes.entry(body.clone()).or_default().push(text);
            }
        }
    }
    let tables: Vec<String> = (0..wanted.len()).map(|number| format!("pg_temp.sirenia_s{number}")).collect();
    client.batch_execute(&format!("DROP TABLE IF EXISTS {}", tables.join(", "))).await.map_err(on(DOING))?;
    Ok(printed)
}

/// A temporary table with what is wanted, or none at all: its failure must not end an open transaction.
fn scratch(number: usize, plan: &TablePlan, wanted: &Wanted) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (at, column) in plan.columns.iter().enumerate() {
        let default = wanted.defaults.iter().find(|(column, _)| *column == at);
        let default = default.map(|(_, sql)| format!(" DEFAULT {sql}")).unwrap_or_default();
        lines.push(format!("{} {}{default}", ident::postgres(&column.name), column.ty.sql()));
    }
    for (at, check) in wanted.checks.iter().enumerate() {
        lines.push(format!("CONSTRAINT k{at} {check}"));
    }
    let mut sql = format!("CREATE TEMP TABLE sirenia_s{number} ({});", lines.join(", "));
    for (at, body) in wanted.indexes.iter().enumerate() {
        sql.push_str(&format!("CREATE INDEX sirenia_i{number}_{at} ON pg_temp.sirenia_s{number} {body};"));
    }
    format!("DO $sirenia_scratch$ BEGIN {sql} EXCEPTION WHEN OTHERS THEN NULL; END $sirenia_scratch$;")
}
