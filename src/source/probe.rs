//! Values that the target might not hold, counted by the source itself in a bounded number of rows.

use super::refusal::Doing;
use crate::error::Result;
use crate::ident;
use crate::policy::Reason;
use crate::schema::TableSchema;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

/// Counts, in at most `limit` rows of the table, those with a value that is so, for each doubt (column, reason). First the number
/// of rows that were read. Reasons that no condition finds count 0.
///
/// # Errors
/// Those of the connection.
pub async fn count(
    conn: &mut Conn,
    table: &TableSchema,
    doubts: &[(usize, Reason)],
    limit: u64,
) -> Result<(u64, Vec<u64>)> {
    let doing = format!("cannot look at values of {}", table.name);
    let conditions: Vec<String> = doubts
        .iter()
        .enumerate()
        .map(|(at, (column, reason))| format!("({}) AS c{at}", condition(&table.columns[*column].name, *reason)))
        .collect();
    let sums: Vec<String> =
        (0..doubts.len()).map(|at| format!(", CAST(COALESCE(SUM(c{at}), 0) AS UNSIGNED)")).collect();
    // conditions within: the rows themselves are not kept
    let sql = format!(
        "SELECT COUNT(*){} FROM (SELECT {} FROM {} LIMIT {limit}) AS s",
        sums.concat(),
        conditions.join(", "),
        table.name.mysql()
    );
    let row: Option<Row> = conn.query_first(sql).await.doing(&doing)?;
    let number = |at: usize| row.as_ref().and_then(|row| row.get_opt::<u64, _>(at)?.ok()).unwrap_or(0);
    Ok((number(0), (1..=doubts.len()).map(number).collect()))
}

fn condition(column: &str, reason: Reason) -> String {
    let name = ident::mysql(column);
    match reason {
        Reason::NotBoolean => format!("{name} NOT IN (0, 1)"),
        Reason::OutOfRange => format!("{name} > 9223372036854775807"),
        // in other collations NUL is equal to nothing at all
        Reason::NulByte => {
            format!("LOCATE(_utf8mb4 0x00 COLLATE utf8mb4_bin, CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin) > 0")
        }
        // a literal of such a date is refused by strict sessions
        Reason::ZeroDate => format!("YEAR({name}) = 0 AND MONTH({name}) = 0 AND DAYOFMONTH({name}) = 0"),
        Reason::InvalidDate => {
            let zero = format!("(YEAR({name}) = 0) + (MONTH({name}) = 0) + (DAYOFMONTH({name}) = 0)");
            format!("{zero} BETWEEN 1 AND 2")
        }
        _ => "FALSE".into(),
    }
}
