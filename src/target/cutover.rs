//! The cutover's mark on a pipeline, and what tables get with it: triggers that do what the source's tables did by themselves,
//! and sequences that count on where the source stands.
//!
//! Invariant: from the mark on, no instance follows the source: [`refuse`] is asked before every attempt, under its lease. The
//! mark comes before the first change, in a transaction of its own, so that a cutover that was ended in the middle is noticed.

use super::error::on;
use super::fence;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use tokio_postgres::{Client, GenericClient};

/// How far a cutover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The target is being changed for it.
    Begun,
    /// The application writes to the target.
    Done,
}

impl Mark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
        }
    }
}

/// The name of the trigger on each table that has one.
pub const TRIGGER: &str = "sirenia_row";

/// The pipeline's mark; none before a cutover.
///
/// # Errors
/// As [`super::classify`] says; so do all others here.
pub async fn mark<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<Option<Mark>> {
    // by way of JSON: control tables of an older version have no such column
    let sql = "SELECT to_jsonb(c)->>'cutover' FROM sirenia.checkpoint c WHERE pipeline = $1";
    let row = client.query_opt(sql, &[&pipeline]).await.map_err(on("reading the cutover's mark"))?;
    let text: Option<String> = row.and_then(|row| row.get(0));
    Ok([Mark::Begun, Mark::Done].into_iter().find(|mark| text.as_deref() == Some(mark.as_str())))
}

/// Sets the mark, or takes it away, in a fenced transaction of its own.
///
/// # Errors
/// [`ErrorKind::LeaseLost`].
pub async fn set_mark(client: &mut Client, pipeline: &str, epoch: i64, mark: Option<Mark>) -> Result<()> {
    let transaction = fence::begin(client, pipeline, epoch).await?;
    let sql = "UPDATE sirenia.checkpoint SET cutover = $2 WHERE pipeline = $1";
    let text = mark.map(Mark::as_str);
    transaction.execute(sql, &[&pipeline, &text]).await.map_err(on("marking the cutover"))?;
    transaction.commit().await.map_err(on("marking the cutover"))
}

/// Refuses to follow the source where a cutover has begun.
///
/// # Errors
/// [`ErrorKind::TargetConflict`].
pub async fn refuse<C: GenericClient + Sync>(client: &C, pipeline: &str) -> Result<()> {
    let (what, hint) = match mark(client, pipeline).await? {
        None => return Ok(()),
        Some(Mark::Begun) => (
            "a cutover has begun and has not come to its end",
            "`sirenia cutover` goes on with it; `sirenia cutover --undo` takes it back, so that `sirenia run` can go on",
        ),
        Some(Mark::Done) => (
            "it was cut over: the application writes to the target",
            "if the application is back on the source: `sirenia cutover --undo`, then `sirenia run`, or to copy anew \
             `sirenia reset --yes` before that",
        ),
    };
    Err(Error::new(ErrorKind::TargetConflict, format!("pipeline {pipeline} does not follow the source any more"))
        .detail(what)
        .with_hint(hint))
}

/// The statements that make a table's trigger: generated columns whose expression translates are computed, and an UPDATE that
/// changes something sets columns with `ON UPDATE CURRENT_TIMESTAMP`, unless it sets them itself. None where nothing is to do.
#[must_use]
pub fn trigger_sql(plan: &TablePlan) -> Option<String> {
    let objects = &plan.objects;
    let column = |at: usize| ident::postgres(&plan.columns[at].name);
    let on_update = if objects.options.on_update_trigger { &objects.on_update_now[..] } else { &[] };
    let mut lines: Vec<String> = objects
        .generated
        .iter()
        // the expression names its columns bare
        .map(|(at, sql)| format!("NEW.{} := (SELECT {sql} FROM (SELECT NEW.*) AS r);", column(*at)))
        .collect();
    if !on_update.is_empty() {
        // as images: not every type can be compared
        lines.push("IF TG_OP = 'UPDATE' AND NEW *<> OLD THEN".into());
        for (at, now) in on_update {
            let name = column(*at);
            lines.push(format!("IF NEW.{name} IS NOT DISTINCT FROM OLD.{name} THEN NEW.{name} := {now}; END IF;"));
        }
        lines.push("END IF;".into());
    }
    if lines.is_empty() {
        return None;
    }
    let events = if objects.generated.is_empty() { "UPDATE" } else { "INSERT OR UPDATE" };
    let body = format!("\n#variable_conflict use_column\nBEGIN\n{}\nRETURN NEW;\nEND\n", lines.join("\n"));
    let function = function(&plan.target).sql();
    Some(format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {};\n\
         DROP TRIGGER IF EXISTS {TRIGGER} ON {table};\n\
         CREATE TRIGGER {TRIGGER} BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
        ident::postgres_literal(&body),
        table = plan.target.sql(),
    ))
}

/// The statement that takes the trigger away.
#[must_use]
pub fn drop_trigger_sql(table: &TargetName) -> String {
    format!("DROP FUNCTION IF EXISTS {}() CASCADE", function(table).sql())
}

fn function(table: &TargetName) -> TargetName {
    TargetName::new(&table.schema, ident::postgres_fit(&format!("{TRIGGER}_{}", table.table)))
}

/// Has a table's identity begin behind its rows, and not below what the source would give next. Returns what comes next; none
/// when the column's type is exhausted.
pub async fn set_sequence<C: GenericClient + Sync>(
    client: &C,
    table: &TargetName,
    column: &str,
    source_next: Option<u64>,
) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT setval(s.seqrelid::regclass, least(w.next, s.seqmax)::bigint, w.next > s.seqmax), w.next <= s.seqmax
           FROM pg_sequence AS s,
                (SELECT greatest(max({column})::numeric + 1, $3::text::numeric, 1) AS next FROM {table}) AS w
          WHERE s.seqrelid = pg_get_serial_sequence($1, $2)::regclass",
        column = ident::postgres(column),
        table = table.sql(),
    );
    let next = source_next.map(|next| next.to_string());
    let doing = format!("setting the sequence of {table}.{column}");
    let row = client.query_opt(&sql, &[&table.sql(), &column, &next]).await.map_err(on(&doing))?;
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::TargetConflict, format!("{table}.{column} does not count up"))
            .with_hint("`sirenia schema apply` makes it an identity")
    })?;
    Ok(row.get::<_, bool>(1).then(|| row.get(0)))
}

/// Keys of up to three rows without a parent, by a foreign key's own query.
pub async fn orphan_keys<C: GenericClient + Sync>(client: &C, plan: &TablePlan, query: &str) -> Result<Vec<String>> {
    let key: Vec<String> =
        plan.key.iter().map(|at| format!("c.{}::text", ident::postgres(&plan.columns[*at].name))).collect();
    let key = if key.is_empty() { "c.ctid::text".to_owned() } else { format!("concat_ws(', ', {})", key.join(", ")) };
    let sql = format!("{} LIMIT 3", query.replacen("count(*)", &key, 1));
    let rows =
        client.query(&sql, &[]).await.map_err(on(&format!("reading keys of {} without a parent", plan.target)))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
