//! Generated columns that change without a word in the log: computed from a foreign key's column that the source sets itself.
//!
//! Where the source does not log what its foreign keys do, we set the children's columns from the key graph. What the source
//! computes from those we do not compute, so the old value would stay. Stored ones the servers forbid; virtual ones they take.

use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TableName};
use crate::mapping::Mapping;
use crate::schema::{Action, Catalog, TableSchema};
use crate::source::refusal::Doing;
use crate::source::row_image::without;
use crate::source::server::ServerFacts;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// The carried columns that would go stale, each with what mends it.
///
/// # Errors
/// Those of the connection.
pub async fn problems(
    conn: &mut Conn,
    facts: &ServerFacts,
    mapping: &Mapping,
    catalog: &Catalog,
) -> Result<Vec<Error>> {
    let mut out = Vec::new();
    if facts.logs_cascades {
        return Ok(out);
    }
    for table in &catalog.tables {
        let set = set_by_keys(table);
        if set.is_empty() || !table.columns.iter().any(|column| column.generated) {
            continue;
        }
        let TableName { database, table: name } = &table.name;
        let expressions: Vec<(String, String)> = conn
            .exec(
                "SELECT COLUMN_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS
                  WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND GENERATION_EXPRESSION <> ''",
                (database, name),
            )
            .await
            .doing("cannot read the expressions of generated columns")?;
        let carried = |column: &String| mapping.column(&table.name, column).is_some();
        out.extend(stale(&set, &expressions).into_iter().filter(carried).map(|column| refused(&table.name, &column)));
    }
    Ok(out)
}

/// The columns that foreign keys set to another value; a deleted row needs none.
fn set_by_keys(table: &TableSchema) -> Vec<String> {
    let sets =
        table.foreign_keys.iter().filter(|key| key.on_update != Action::Restrict || key.on_delete == Action::SetNull);
    sets.flat_map(|key| key.columns.iter().cloned()).collect()
}

/// The columns whose expressions name one that is set, or one that is so computed.
fn stale(set: &[String], expressions: &[(String, String)]) -> Vec<String> {
    let names =
        |expression: &str, column: &str| expression.to_lowercase().contains(&ident::mysql(column).to_lowercase());
    let mut found: Vec<String> = Vec::new();
    loop {
        let next = expressions.iter().find(|(column, expression)| {
            !found.contains(column) && set.iter().chain(&found).any(|changed| names(expression, changed))
        });
        match next {
            Some((column, _)) => found.push(column.clone()),
            None => return found,
        }
    }
}

fn refused(table: &TableName, column: &str) -> Error {
    let what =
        format!("{table}.{column} is computed from a column that a foreign key changes, which the source does not log");
    Error::new(ErrorKind::SourceSetting, what)
        .detail("what the source computes anew when a parent is deleted or changes its key is not in the log either")
        .with_hint(without(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_computed_from_a_set_column_is_found_through_others() {
        let of = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()
        };
        let set = ["induk_id".to_owned(), "a`b".to_owned()];
        let computed = [("w", "`v` * 2"), ("v", "`Induk_ID` + 1"), ("x", "concat(`nama`,'induk_id')"), ("y", "`a``b`")];
        assert_eq!(stale(&set, &of(&computed)), ["v", "w", "y"]);
    }
}
