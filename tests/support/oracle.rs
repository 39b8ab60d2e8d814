//! Says whether two databases hold the same rows, by plain SQL on both sides compared as text.
//!
//! Shares no code with the replicator: it reads both catalogues itself, lets each server print every value in a form
//! that both can print, sorts the lines and compares them. Order and physical layout do not matter; duplicates do.

use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;

/// One column as the oracle sees it.
struct Column {
    name: String,
    /// MySQL's DATA_TYPE.
    ty: String,
    /// MySQL's COLUMN_TYPE.
    full: String,
    charset: Option<String>,
    json: bool,
}

fn my(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn pg(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Column {
    fn on_mysql(&self) -> String {
        let c = my(&self.name);
        let text = match self.ty.as_str() {
            "float" => format!("CAST({c} + 0e0 AS CHAR)"),
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => format!("HEX({c})"),
            "bit" => format!("CAST({c} + 0 AS CHAR)"),
            "time" => format!("CAST(TIME_TO_SEC({c}) AS CHAR)"),
            "date" | "datetime" | "timestamp" => format!("CAST({c} AS CHAR)"),
            _ if self.json => format!("HEX(CONVERT({c} USING utf8mb4))"),
            _ if self.charset.is_some() => format!("HEX(CONVERT({c} USING utf8mb4))"),
            _ => format!("CAST({c} AS CHAR)"),
        };
        format!("COALESCE({text}, 'NULL')")
    }

    fn on_postgres(&self) -> String {
        let c = pg(&self.name);
        let fraction: usize = self
            .full
            .split_once('(')
            .and_then(|(_, rest)| rest.trim_end_matches(|ch: char| !ch.is_ascii_digit()).parse().ok())
            .unwrap_or(0);
        let stamp = |value: String| {
            let (point, digits) = if fraction == 0 { ("", String::new()) } else { (".", format!("FF{fraction}")) };
            format!("to_char({value}, 'YYYY-MM-DD HH24:MI:SS{point}{digits}')")
        };
        let hex = |value: String| format!("upper(encode(convert_to({value}, 'UTF8'), 'hex'))");
        let text = match self.ty.as_str() {
            "float" => format!("{c}::float8::text"),
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                format!("upper(encode({c}, 'hex'))")
            }
            "bit" if self.full == "bit(1)" => format!("CASE WHEN {c} THEN '1' WHEN NOT {c} THEN '0' END"),
            "bit" => format!("({c}::bit varying::bit(64) >> (64 - length({c})))::bigint::text"),
            "time" => format!("extract(epoch FROM {c})::bigint::text"),
            "date" => format!("to_char({c}, 'YYYY-MM-DD')"),
            "datetime" => stamp(c),
            "timestamp" => stamp(format!("({c} AT TIME ZONE 'UTC')")),
            "set" => hex(format!("array_to_string({c}, ',')")),
            _ if self.json => hex(format!("{c}::text")),
            _ if self.charset.is_some() => hex(c),
            _ => format!("{c}::text"),
        };
        format!("COALESCE({text}, 'NULL')")
    }
}

/// What differs, in words; empty when both databases hold the same rows in every base table of `database`.
///
/// `skip` names tables that are left out on purpose. `schema` is the target's.
pub async fn differences(
    source_url: &str,
    database: &str,
    target_url: &str,
    schema: &str,
    skip: &[&str],
) -> Vec<String> {
    let mut source = mysql_async::Conn::from_url(source_url).await.expect("the oracle reaches the source");
    source.query_drop("SET time_zone = '+00:00', NAMES utf8mb4").await.expect("session");
    let (target, connection) =
        tokio_postgres::connect(target_url, tokio_postgres::NoTls).await.expect("the oracle reaches the target");
    tokio::spawn(connection);
    target.batch_execute("SET TimeZone = 'UTC'").await.expect("session");
    let mut found = Vec::new();
    let tables = columns(&mut source, database).await;
    assert!(!tables.is_empty(), "the oracle found no tables in {database}");
    for (table, columns) in tables {
        if skip.contains(&table.as_str()) {
            continue;
        }
        let list = |side: fn(&Column) -> String| columns.iter().map(side).collect::<Vec<_>>().join(", '|', ");
        let from_source = format!("SELECT CONCAT({}) FROM {}.{}", list(Column::on_mysql), my(database), my(&table));
        let mut left: Vec<String> = source.query(&from_source).await.unwrap_or_else(|e| panic!("{from_source}: {e}"));
        let from_target = format!("SELECT concat({}) FROM {}.{}", list(Column::on_postgres), pg(schema), pg(&table));
        let mut right = match target.query(&from_target, &[]).await {
            Ok(rows) => rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(),
            Err(error) => {
                found.push(format!("{table}: cannot be read on the target: {error:?}"));
                continue;
            }
        };
        left.sort_unstable();
        right.sort_unstable();
        if left != right {
            let missing = left.iter().filter(|line| right.binary_search(line).is_err()).count();
            let extra: Vec<_> = right.iter().filter(|line| left.binary_search(line).is_err()).collect();
            let sample = left.iter().find(|line| right.binary_search(line).is_err());
            let cut = |line: Option<&String>| line.map(|line| line.chars().take(200).collect::<String>());
            found.push(format!(
                "{table}: {} rows on the source, {} on the target; {missing} missing, {} extra; e.g. {:?} / {:?}",
                left.len(),
                right.len(),
                extra.len(),
                cut(sample),
                cut(extra.first().copied()),
            ));
        }
    }
    found
}

async fn columns(source: &mut mysql_async::Conn, database: &str) -> BTreeMap<String, Vec<Column>> {
    let json: Vec<(String, String)> = source
        .exec(
            "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?",
            (database,),
        )
        .await
        .unwrap_or_default();
    let rows: Vec<(String, String, String, String, Option<String>)> = source
        .exec(
            "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.CHARACTER_SET_NAME
             FROM information_schema.COLUMNS c JOIN information_schema.TABLES t
               ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
             WHERE c.TABLE_SCHEMA = ? AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
            (database,),
        )
        .await
        .expect("the source's columns");
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for (table, name, ty, full, charset) in rows {
        let checked =
            json.iter().any(|(t, clause)| *t == table && clause.contains(&format!("json_valid({}", my(&name))));
        let column = Column { json: ty == "json" || (ty == "longtext" && checked), name, ty, full, charset };
        tables.entry(table).or_default().push(column);
    }
    tables
}
