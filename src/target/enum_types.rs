//! Enum types of the target: one for each column that a native enum was chosen for.
//!
//! The empty label is the first of each, for the error value (index 0) that MySQL shows as the empty text; so values
//! sort as on the source. A type that stands already is used when it has just these labels.

use super::error::on;
use crate::convert::plan::{PgType, PlannedColumn, TablePlan, Treatment};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use crate::schema::SourceType;
use tokio_postgres::GenericClient;

/// Marks a type as made here, so that `reset` knows it.
const MARK: &str = "Made by sirenia for one column.";

/// What the column may hold, as SQL literals: the error value and the labels.
fn labels(plan: &TablePlan, column: &PlannedColumn) -> Option<Vec<String>> {
    match &plan.source.columns.get(column.source)?.ty {
        SourceType::Enum { labels } => Some(std::iter::once(String::new()).chain(labels.iter().cloned()).collect()),
        _ => None,
    }
}

/// `'…'`, also where backslashes would escape.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn literals(labels: &[String]) -> String {
    labels.iter().map(|label| literal(label)).collect::<Vec<_>>().join(", ")
}

/// What holds for the values of an ENUM that became text; none for other columns.
pub(super) fn check_sql(plan: &TablePlan, column: &PlannedColumn) -> Option<String> {
    let labels = labels(plan, column).filter(|_| column.ty == PgType::Text && column.treatment == Treatment::Plain)?;
    Some(format!("CHECK ({} IN ({}))", ident::postgres(&column.name), literals(&labels)))
}

/// The enum types of a planned table: their names and labels, and the statement that makes each.
pub(super) fn wanted(plan: &TablePlan) -> impl Iterator<Item = (&TargetName, Vec<String>, String)> {
    plan.columns.iter().filter_map(|column| {
        let (PgType::Enum(name), Some(labels)) = (&column.ty, labels(plan, column)) else { return None };
        let sql = format!(
            "CREATE TYPE {name} AS ENUM ({}); COMMENT ON TYPE {name} IS '{MARK}'",
            literals(&labels),
            name = name.sql()
        );
        Some((name, labels, sql))
    })
}

/// Makes the enum types of a planned table that do not stand yet.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when something else has a type's name; else as [`super::classify`] says.
pub(super) async fn create<C: GenericClient + Sync>(client: &C, plan: &TablePlan) -> Result<()> {
    for (name, labels, sql) in wanted(plan) {
        let doing = format!("creating type {name}");
        let found = client
            .query_opt(
                "SELECT t.typtype = 'e', array(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
                   FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2",
                &[&name.schema, &name.table],
            )
            .await
            .map_err(on(&doing))?;
        match found {
            Some(row) if row.get::<_, bool>(0) && row.get::<_, Vec<String>>(1) == labels => {}
            Some(_) => {
                let message = format!("the target's type {name} is another than a column of {} needs", plan.target);
                return Err(Error::new(ErrorKind::TargetConflict, message).with_hint(format!(
                    "DROP TYPE {};  if nobody needs it, or `type = \"text\"` for the column in [tables.rules]",
                    name.sql(),
                )));
            }
            None => {
                client.batch_execute(&sql).await.map_err(on(&doing))?;
            }
        }
    }
    Ok(())
}

/// The types that were made for columns of these tables.
///
/// # Errors
/// As [`super::classify`] says.
pub(super) async fn made_for<C: GenericClient + Sync>(client: &C, tables: &[&TargetName]) -> Result<Vec<TargetName>> {
    let schemas: Vec<&str> = tables.iter().map(|name| name.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|name| name.table.as_str()).collect();
    let rows = client
        .query(
            "SELECT DISTINCT tn.nspname::text, t.typname::text FROM unnest($1::text[], $2::text[]) AS w(schema, name)
               JOIN pg_namespace n ON n.nspname = w.schema
               JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
               JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
               JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'e'
               JOIN pg_namespace tn ON tn.oid = t.typnamespace
              WHERE obj_description(t.oid, 'pg_type') = $3 ORDER BY 1, 2",
            &[&schemas, &names, &MARK],
        )
        .await
        .map_err(on("looking for enum types"))?;
    Ok(rows.iter().map(|row| TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}
