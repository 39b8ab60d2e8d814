//! What tables look like on both sides, told by the servers' own catalogues and compared by rules of its own.

use super::{DATABASE, World};
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;

/// A line for each column (table, name, type, nullability) and each index (table, unique, parts).
type Shape = BTreeSet<String>;

/// What differs between the source's tables and the target's, in words. `exclude`: prefixes of tables left out.
pub async fn differences(world: &World, exclude: &[&str]) -> Vec<String> {
    let skip = |table: &str| exclude.iter().any(|prefix| table.starts_with(prefix));
    let (source, target) = (of_source(world, &skip).await, of_target(world, &skip).await);
    let missing = source.difference(&target).map(|line| format!("only on the source: {line}"));
    missing.chain(target.difference(&source).map(|line| format!("only on the target: {line}"))).collect()
}

async fn of_source(world: &World, skip: &dyn Fn(&str) -> bool) -> Shape {
    let mut conn = world.source().await;
    let checks: Vec<(String, String)> = conn
        .exec(
            "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?",
            (DATABASE,),
        )
        .await
        .unwrap_or_default(); // MySQL has no such column, nor JSON by a check
    let rows: Vec<Row> = conn
        .exec(
            "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.IS_NULLABLE, c.CHARACTER_MAXIMUM_LENGTH,
                    c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.DATETIME_PRECISION
               FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
              WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'",
            (DATABASE,),
        )
        .await
        .expect("the source's columns");
    let mut shape = Shape::new();
    for row in rows {
        let text = |at: usize| row.get::<Option<String>, _>(at).flatten().unwrap_or_default();
        let number = |at: usize| row.get::<Option<u64>, _>(at).flatten().unwrap_or(0);
        let (table, column) = (text(0), text(1));
        if skip(&table) {
            continue;
        }
        let json = checks.iter().any(|(of, clause)| *of == table && *clause == format!("json_valid(`{column}`)"));
        let ty = if json {
            "jsonb".into()
        } else {
            postgres_type(&text(2), &text(3), number(5), number(6), number(7), number(8))
        };
        shape.insert(format!("{table}.{column} {ty} {}", if text(4) == "YES" { "null" } else { "not null" }));
    }
    let indexes: Vec<(String, String, u8, String)> = conn
        .exec(
            "SELECT TABLE_NAME, INDEX_NAME, MIN(NON_UNIQUE),
                    GROUP_CONCAT(CONCAT(IF(SUB_PART IS NULL, '', 'prefix of '), COLUMN_NAME,
                                        IF(COLLATION = 'D', ' desc', '')) ORDER BY SEQ_IN_INDEX SEPARATOR ', ')
               FROM information_schema.STATISTICS
              WHERE TABLE_SCHEMA = ? AND INDEX_TYPE NOT IN ('FULLTEXT', 'SPATIAL')
              GROUP BY TABLE_NAME, INDEX_NAME HAVING COUNT(COLUMN_NAME) = COUNT(*)",
            (DATABASE,),
        )
        .await
        .expect("the source's indexes");
    for (table, name, plain, parts) in indexes.into_iter().filter(|(table, ..)| !skip(table)) {
        let kind = if name == "PRIMARY" {
            "primary"
        } else if plain == 0 {
            "unique"
        } else {
            "index"
        };
        shape.insert(format!("{table}: {kind} ({parts})"));
    }
    shape
}

fn postgres_type(data: &str, full: &str, length: u64, precision: u64, scale: u64, fsp: u64) -> String {
    let unsigned = full.contains("unsigned");
    match data {
        "tinyint" | "year" => "smallint".into(),
        "smallint" => if unsigned { "integer" } else { "smallint" }.into(),
        "mediumint" => "integer".into(),
        "int" => if unsigned { "bigint" } else { "integer" }.into(),
        "bigint" => "bigint".into(),
        "decimal" => format!("numeric({precision},{scale})"),
        "float" => "real".into(),
        "double" => "double precision".into(),
        "bit" if precision == 1 => "boolean".into(),
        "bit" => format!("bit({precision})"),
        "date" => "date".into(),
        "datetime" => format!("timestamp({fsp}) without time zone"),
        "timestamp" => format!("timestamp({fsp}) with time zone"),
        "time" => format!("interval({fsp})"),
        "char" | "varchar" => format!("character varying({length})"),
        "enum" | "tinytext" | "text" | "mediumtext" | "longtext" => "text".into(),
        "set" => "text[]".into(),
        "json" => "jsonb".into(),
        "uuid" => "uuid".into(),
        "inet4" | "inet6" => "inet".into(),
        _ => "bytea".into(),
    }
}

async fn of_target(world: &World, skip: &dyn Fn(&str) -> bool) -> Shape {
    let target = world.target().await;
    let columns = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
                     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
                      AND NOT a.attisdropped";
    let mut shape = Shape::new();
    for row in target.query(columns, &[]).await.expect("the target's columns") {
        let (table, column, ty): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        if !skip(&table) {
            shape.insert(format!("{table}.{column} {ty} {}", if row.get(3) { "not null" } else { "null" }));
        }
    }
    let indexes = "SELECT c.relname::text, i.indisprimary, i.indisunique,
                          string_agg(coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, part.n::int, true))
                                     || CASE WHEN part.option & 1 = 1 THEN ' desc' ELSE '' END, ', ' ORDER BY part.n)
                     FROM pg_index i
                     JOIN pg_class c ON c.oid = i.indrelid
                     JOIN pg_class x ON x.oid = i.indexrelid
                     JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
                    CROSS JOIN unnest(i.indkey::smallint[], i.indoption::smallint[]) WITH ORDINALITY AS part(k, option, n)
                     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.k AND a.attnum <> 0
                    WHERE c.relnamespace = 'public'::regnamespace GROUP BY i.indexrelid, c.relname, 2, 3";
    for row in target.query(indexes, &[]).await.expect("the target's indexes") {
        let (table, parts): (String, String) = (row.get(0), row.get(3));
        if skip(&table) {
            continue;
        }
        // of indexes over expressions only prefixes are compared
        if parts.contains('(') && !parts.contains("\"left\"(") && !parts.contains("SUBSTRING(") {
            continue;
        }
        let kind = if row.get(1) {
            "primary"
        } else if row.get(2) {
            "unique"
        } else {
            "index"
        };
        let part = |part: &str| match part.strip_prefix("\"left\"(").or_else(|| part.strip_prefix("SUBSTRING(")) {
            Some(rest) => {
                let name = rest.split([',', ' ', ')']).next().unwrap_or_default().trim_end_matches("::text");
                format!("prefix of {}", name.trim_matches(['"', '(']))
            }
            None => part.to_owned(),
        };
        // an expression holds commas of its own, but none of a column's name here
        let parts = parts.replace(", 1", "; 1").replace(", 2", "; 2").replace(", 3", "; 3").replace(", 5", "; 5");
        let parts: Vec<String> = parts.split(", ").map(|text| part(&text.replace(';', ","))).collect();
        shape.insert(format!("{table}: {kind} ({})", parts.join(", ")));
    }
    shape
}
