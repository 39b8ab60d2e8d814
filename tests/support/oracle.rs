//! Says whether two databases hold the same rows, by plain SQL on both sides compared as text.
//!
//! Shares no code with the replicator: it reads the source's catalogue itself, lets each server print every value, brings
//! both texts to one form (`form.rs`) where the servers print the same value differently, sorts the rows and compares
//! them. Order and physical layout do not matter; duplicates do. What PostgreSQL cannot hold is expected as the
//! documentation says that it is changed by default: NULL or 1970-01-01 for dates that do not exist, NUL characters left
//! out, U+FFFD for what means nothing in the character set.

mod form;

use form::Form;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;

/// One column as the oracle sees it.
struct Column {
    name: String,
    form: Form,
}

fn my(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn pg(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Table, column, DATA_TYPE, COLUMN_TYPE, character set and whether NULL is allowed.
type Described = (String, String, String, String, Option<String>, String);

/// A row's values in the oracle's form.
type Cells = Vec<Option<String>>;

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
    target.batch_execute("SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'").await.expect("session");
    let mut found = Vec::new();
    let tables = columns(&mut source, database).await;
    assert!(!tables.is_empty(), "the oracle found no tables in {database}");
    for (table, columns) in tables {
        if skip.contains(&table.as_str()) {
            continue;
        }
        let list = columns.iter().map(|column| column.form.on_mysql(&my(&column.name))).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {list} FROM {}.{}", my(database), my(&table));
        let rows: Vec<mysql_async::Row> = source.query(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut left: Vec<Cells> = rows.into_iter().map(|row| expected(row, &columns)).collect();
        for (at, _) in columns.iter().enumerate().filter(|(_, column)| column.form.is_json()) {
            as_jsonb(&target, &mut left, at).await;
        }
        let list =
            columns.iter().map(|column| column.form.on_postgres(&pg(&column.name))).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {list} FROM {}.{}", pg(schema), pg(&table));
        let mut right: Vec<Cells> = match target.query(&sql, &[]).await {
            Ok(rows) => rows.iter().map(|row| seen(row, &columns)).collect(),
            Err(error) => {
                found.push(format!("{table}: cannot be read on the target: {error:?}"));
                continue;
            }
        };
        left.sort_unstable();
        right.sort_unstable();
        if left != right {
            found.push(describe(&table, &columns, &left, &right));
        }
    }
    found
}

fn expected(mut row: mysql_async::Row, columns: &[Column]) -> Cells {
    let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).expect("the source prints ASCII"));
    let cell = |(at, column): (usize, &Column)| column.form.expected(text(row.take(at).expect("as many as asked for")));
    columns.iter().enumerate().map(cell).collect()
}

fn seen(row: &tokio_postgres::Row, columns: &[Column]) -> Cells {
    columns.iter().enumerate().map(|(at, column)| column.form.seen(row.get(at))).collect()
}

/// JSON is what PostgreSQL itself makes of the source's text; where that is no JSON to it, the text as a JSON string.
async fn as_jsonb(target: &tokio_postgres::Client, rows: &mut [Cells], at: usize) {
    let texts: Vec<Option<String>> = rows.iter().map(|row| row[at].clone()).collect();
    let function = "CREATE OR REPLACE FUNCTION pg_temp.as_jsonb(t text) RETURNS text LANGUAGE plpgsql AS
         $$ BEGIN RETURN t::jsonb::text; EXCEPTION WHEN OTHERS THEN RETURN to_jsonb(t)::text; END $$";
    target.batch_execute(function).await.expect("a function of the session");
    let sql = "SELECT pg_temp.as_jsonb(t) FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n";
    let printed = target.query(sql, &[&texts]).await.expect("PostgreSQL reads the source's JSON");
    for (row, printed) in rows.iter_mut().zip(printed) {
        row[at] = printed.get(0);
    }
}

/// The first rows that only one side has, with the columns in which they differ where the first column is the same.
fn describe(table: &str, columns: &[Column], left: &[Cells], right: &[Cells]) -> String {
    let missing: Vec<_> = left.iter().filter(|row| right.binary_search(row).is_err()).collect();
    let extra: Vec<_> = right.iter().filter(|row| left.binary_search(row).is_err()).collect();
    let cut = |cell: &Option<String>| cell.as_ref().map(|text| text.chars().take(120).collect::<String>());
    let mut text = format!(
        "{table}: {} rows on the source, {} on the target; {} missing, {} extra",
        left.len(),
        right.len(),
        missing.len(),
        extra.len()
    );
    let mut told = std::collections::BTreeSet::new();
    for row in &missing {
        let Some(other) = extra.iter().find(|other| other[0] == row[0]) else { continue };
        for (at, column) in columns.iter().enumerate().filter(|(at, _)| row[*at] != other[*at]) {
            if told.len() < 40 && told.insert(at) {
                let (row, other, key) = (cut(&row[at]), cut(&other[at]), cut(&row[0]));
                text += &format!("\n  {} of {key:?}: {row:?} is on the target {other:?}", column.name);
            }
        }
    }
    if told.is_empty() {
        let sample = |rows: &[&Cells]| rows.first().map(|row| row.iter().map(cut).collect::<Vec<_>>());
        text += &format!("; e.g. {:?} / {:?}", sample(&missing), sample(&extra));
    }
    text
}

async fn columns(source: &mut mysql_async::Conn, database: &str) -> BTreeMap<String, Vec<Column>> {
    let json: Vec<(String, String)> = source
        .exec(
            "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?",
            (database,),
        )
        .await
        .unwrap_or_default();
    let rows: Vec<Described> = source
        .exec(
            "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.CHARACTER_SET_NAME, c.IS_NULLABLE
             FROM information_schema.COLUMNS c JOIN information_schema.TABLES t
               ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
             WHERE c.TABLE_SCHEMA = ? AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
            (database,),
        )
        .await
        .expect("the source's columns");
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for (table, name, ty, full, charset, nullable) in rows {
        let checked =
            json.iter().any(|(t, clause)| *t == table && clause.contains(&format!("json_valid({}", my(&name))));
        let json = ty == "json" || (ty == "longtext" && checked);
        let form = Form::of(&ty, &full, charset.as_deref(), json, nullable == "YES");
        tables.entry(table).or_default().push(Column { name, form });
    }
    tables
}
