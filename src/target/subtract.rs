//! Removes rows of a table without a key: as many equal rows as the source did, found by one scan of the table.

use super::copy;
use super::error::classify;
use crate::convert::Arena;
use crate::convert::plan::TablePlan;
use crate::error::Result;
use crate::ident;
use crate::merge::TableChanges;
use tokio_postgres::Client;

/// Removes the rows of `deletes`; returns how many were removed and how many were to be.
///
/// # Errors
/// Classified by SQLSTATE.
pub(super) async fn subtract(
    client: &Client,
    plan: &TablePlan,
    changes: &TableChanges,
    arena: &Arena,
) -> Result<(u64, u64)> {
    let stage = format!("pg_temp.{}", ident::postgres(&format!("sirenia_stage_{}", changes.table)));
    let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
    let columns: Vec<String> =
        plan.columns.iter().map(|c| format!("{} {}", ident::postgres(&c.name), c.ty.sql())).collect();
    let doing = |e| classify(e, &format!("remove rows of {}", plan.target));
    let make = format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} ({}); TRUNCATE {stage}",
        columns.join(", "),
        stage = stage.trim_start_matches("pg_temp.")
    );
    client.batch_execute(&make).await.map_err(doing)?;
    let copy = format!("COPY {stage} ({names}) FROM STDIN BINARY");
    let copy = client.prepare(&copy).await.map_err(doing)?;
    let staged = changes.deletes.iter().flat_map(|d| std::iter::repeat_n(arena.get(d.row), d.count as usize));
    let wanted = copy::copy_in(client, &copy, staged).await.map_err(doing)?;
    // The rows' text is compared because it can be hashed and takes NULL as equal to NULL.
    let target = plan.target.sql();
    let delete = format!(
        "DELETE FROM {target} WHERE ctid = ANY (ARRAY(
            SELECT id FROM (
                SELECT t.ctid AS id, s.wanted, row_number() OVER (PARTITION BY s.image) AS nth
                FROM {target} AS t
                JOIN (SELECT ROW({names})::text AS image, count(*) AS wanted FROM {stage} GROUP BY 1) AS s
                  ON ROW({t_names})::text = s.image) AS matched
            WHERE nth <= wanted))",
        t_names = plan
            .columns
            .iter()
            .map(|column| format!("t.{}", ident::postgres(&column.name)))
            .collect::<Vec<_>>()
            .join(", "),
    );
    let removed = client.execute(&delete, &[]).await.map_err(doing)?;
    Ok((removed, wanted))
}
