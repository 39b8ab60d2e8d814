//! The tables of the source as its catalogue shows them.
//!
//! Owns the reading of `information_schema`: six queries, whatever the number of tables. Tables are those the mapping
//! includes, base tables only, in name order; columns are all columns of the row images, invisible ones included.
//! MariaDB hides `REFERENTIAL_CONSTRAINTS` from accounts that have SELECT alone, without a word; the actions of such
//! foreign keys are read from `SHOW CREATE TABLE`, because taking them for RESTRICT would lose cascades.

use crate::ddl::column_default::{DeclaredDefault, column_default, left_out};
use crate::ddl::column_type::{DeclaredType, source_type};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, mysql_literal};
use crate::mapping::Mapping;
use crate::schema::{
    Action, Catalog, Charset, Check, Column, Flavor, ForeignKey, Generation, Index, IndexKind, IndexPart, TableSchema,
};
use crate::source::refusal::{Doing, server_code};
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Row};
use std::collections::{BTreeMap, HashMap, HashSet};

const DOING: &str = "cannot read the source's catalogue";
/// How often [`read_settled`] reads before it gives up: DDL in a loop is somebody's mistake.
const SETTLE_TRIES: u32 = 10;

/// Reads the catalogue of the tables that the mapping includes.
///
/// # Errors
/// `SchemaMismatch` for a column type that is not known; those of the connection.
pub async fn read(conn: &mut Conn, flavor: Flavor, mapping: &Mapping) -> Result<Catalog> {
    // labels and comments as UTF-8, whatever the table's character set
    conn.query_drop("SET SESSION character_set_results = utf8mb4").await.doing(DOING)?;
    let catalog = read_utf8(conn, flavor, mapping).await;
    conn.query_drop("SET SESSION character_set_results = NULL").await.doing(DOING)?;
    catalog
}

/// Reads until two readings agree, so that no half of a DDL statement is in the result.
///
/// # Errors
/// `SourceUnavailable` when the schema does not come to rest.
pub async fn read_settled(conn: &mut Conn, flavor: Flavor, mapping: &Mapping) -> Result<Catalog> {
    let mut before = read(conn, flavor, mapping).await?;
    for _ in 0..SETTLE_TRIES {
        let after = read(conn, flavor, mapping).await?;
        if agree(&before, &after) {
            return Ok(after);
        }
        before = after;
    }
    Err(Error::new(ErrorKind::SourceUnavailable, "the source's schema changes faster than it can be read"))
}

/// Whether two readings show the same schema; estimates of size do not count.
#[must_use]
pub fn agree(a: &Catalog, b: &Catalog) -> bool {
    let bare = |table: &TableSchema| TableSchema { estimated_rows: 0, estimated_bytes: 0, ..table.clone() };
    a.tables.len() == b.tables.len() && a.tables.iter().zip(&b.tables).all(|(a, b)| bare(a) == bare(b))
}

async fn read_utf8(conn: &mut Conn, flavor: Flavor, mapping: &Mapping) -> Result<Catalog> {
    if mapping.databases.is_empty() {
        return Ok(Catalog::default());
    }
    let within = mapping.databases.keys().map(|name| mysql_literal(name)).collect::<Vec<_>>().join(", ");
    if flavor == Flavor::MySql {
        // generated invisible primary keys are in the row images; cached statistics are empty on a young table
        for set in ["show_gipk_in_create_table_and_information_schema = ON", "information_schema_stats_expiry = 0"] {
            match conn.query_drop(format!("SET SESSION {set}")).await {
                Err(error) if server_code(&error) == Some(1193) => {} // an older server knows nothing of it
                result => result.doing(DOING)?,
            }
        }
    }
    let mut tables = read_tables(conn, &within, mapping).await?;
    let json = read_checks(conn, flavor, &within, &mut tables).await?;
    read_columns(conn, flavor, &within, &json, &mut tables).await?;
    read_indexes(conn, &within, &mut tables).await?;
    read_foreign_keys(conn, &within, &mut tables).await?;
    // a table dropped between two queries has no columns
    Ok(Catalog { tables: tables.into_values().filter(|table| !table.columns.is_empty()).collect() })
}

/// Views, triggers of carried tables, routines and events: what kind it is, and its name in its database.
///
/// # Errors
/// Those of the connection.
pub async fn programs(conn: &mut Conn, mapping: &Mapping) -> Result<Vec<(&'static str, TableName)>> {
    let within = mapping.databases.keys().map(|name| mysql_literal(name)).collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    if within.is_empty() {
        return Ok(found);
    }
    for (kind, columns, table) in [
        ("view", "TABLE_SCHEMA, TABLE_NAME, TABLE_NAME", "VIEWS WHERE TABLE_SCHEMA"),
        ("trigger", "TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE", "TRIGGERS WHERE TRIGGER_SCHEMA"),
        ("routine", "ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_NAME", "ROUTINES WHERE ROUTINE_SCHEMA"),
        ("event", "EVENT_SCHEMA, EVENT_NAME, EVENT_NAME", "EVENTS WHERE EVENT_SCHEMA"),
    ] {
        let sql = format!("SELECT {columns} FROM information_schema.{table} IN ({within}) ORDER BY 1, 2");
        let rows: Vec<Row> = conn.query(sql).await.doing(DOING)?;
        let of_ours = |row: &&Row| kind != "trigger" || mapping.includes(&TableName::new(text(row, 0), text(row, 2)));
        found.extend(rows.iter().filter(of_ours).map(|row| (kind, name(row))));
    }
    Ok(found)
}

type Tables = BTreeMap<TableName, TableSchema>;

/// A field that may be NULL or missing.
fn optional<T: FromValue>(row: &Row, at: usize) -> Option<T> {
    row.get_opt::<Option<T>, usize>(at).and_then(Result::ok).flatten()
}

fn text(row: &Row, at: usize) -> String {
    optional(row, at).unwrap_or_default()
}

fn name(row: &Row) -> TableName {
    TableName::new(text(row, 0), text(row, 1))
}

async fn read_tables(conn: &mut Conn, within: &str, mapping: &Mapping) -> Result<Tables> {
    let transactional: Vec<String> =
        conn.query("SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'").await.doing(DOING)?;
    let rows: Vec<Row> = conn
        .query(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH, TABLE_COMMENT, TABLE_COLLATION \
             FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ({within})"
        ))
        .await
        .doing(DOING)?;
    let tables = rows.iter().filter(|row| mapping.includes(&name(row))).map(|row| {
        let engine = text(row, 2);
        let table = TableSchema {
            name: name(row),
            columns: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            transactional: transactional.iter().any(|known| known.eq_ignore_ascii_case(&engine)),
            engine,
            comment: text(row, 5),
            charset: optional::<String>(row, 6).map(|collation| Charset {
                name: collation.split('_').next().unwrap_or_default().to_owned(),
                collation,
            }),
            checks: Vec::new(),
            estimated_rows: optional(row, 3).unwrap_or(0),
            estimated_bytes: optional(row, 4).unwrap_or(0),
        };
        (name(row), table)
    });
    Ok(tables.collect())
}

/// Reads the CHECK constraints, and returns those by which MariaDB makes JSON of LONGTEXT: (table, `` json_valid(`column`) ``).
async fn read_checks(
    conn: &mut Conn,
    flavor: Flavor,
    within: &str,
    tables: &mut Tables,
) -> Result<HashSet<(TableName, String)>> {
    let sql = match flavor {
        Flavor::MariaDb => format!(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE, 'YES' \
             FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN ({within}) ORDER BY 1, 2, 3"
        ),
        Flavor::MySql => format!(
            "SELECT c.CONSTRAINT_SCHEMA, t.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE, t.ENFORCED \
             FROM information_schema.CHECK_CONSTRAINTS c JOIN information_schema.TABLE_CONSTRAINTS t \
             USING (CONSTRAINT_SCHEMA, CONSTRAINT_NAME) \
             WHERE CONSTRAINT_TYPE = 'CHECK' AND CONSTRAINT_SCHEMA IN ({within}) ORDER BY 1, 2, 3"
        ),
    };
    let rows: Vec<Row> = match conn.query(sql).await {
        Err(error) if server_code(&error) == Some(1109) => Vec::new(), // before 8.0.16 there are none
        rows => rows.doing(DOING)?,
    };
    let mut json = HashSet::new();
    for row in &rows {
        let (constraint, condition) = (text(row, 2), text(row, 3));
        let of_column = format!("json_valid({})", crate::ident::mysql(&constraint));
        if flavor == Flavor::MariaDb && condition == of_column {
            json.insert((name(row), condition));
        } else if let Some(table) = tables.get_mut(&name(row)) {
            table.checks.push(Check { name: constraint, condition, enforced: text(row, 4) == "YES" });
        }
    }
    Ok(json)
}

async fn read_columns(
    conn: &mut Conn,
    flavor: Flavor,
    within: &str,
    json: &HashSet<(TableName, String)>,
    tables: &mut Tables,
) -> Result<()> {
    let rows: Vec<Row> = conn
        .query(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), COLUMN_TYPE, IS_NULLABLE, EXTRA, \
             COLUMN_COMMENT, GENERATION_EXPRESSION, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, \
             DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_DEFAULT \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ({within}) \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
        ))
        .await
        .doing(DOING)?;
    for row in &rows {
        let table_name = name(row);
        let Some(table) = tables.get_mut(&table_name) else { continue };
        let column = text(row, 2);
        let check = format!("json_valid({})", crate::ident::mysql(&column));
        let declared = DeclaredType {
            data_type: text(row, 3),
            column_type: text(row, 4),
            characters: optional(row, 9),
            precision: optional(row, 10),
            scale: optional(row, 11),
            fsp: optional(row, 12),
            charset: optional(row, 13).zip(optional(row, 14)),
            json_valid: json.contains(&(table_name.clone(), check)),
        };
        let ty = source_type(&declared).ok_or_else(|| {
            let message = format!("{table_name}.{column}: type {} is not supported", declared.column_type);
            Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint(format!("leave the table out: [tables] exclude = [\"{table_name}\"]"))
        })?;
        let (nullable, extra) = (text(row, 5) == "YES", text(row, 6));
        let expression: Option<String> = optional(row, 8).filter(|expression: &String| !expression.is_empty());
        let (generated, lower) = (expression.is_some(), extra.to_ascii_lowercase());
        let default: Option<String> = optional(row, 15);
        let declared_default =
            DeclaredDefault { flavor, default: default.as_deref(), extra: &extra, nullable, generated };
        table.columns.push(Column {
            name: column,
            left_out: left_out(&ty, &declared_default)?,
            ty,
            declared: declared.column_type,
            nullable,
            auto_increment: lower.contains("auto_increment"),
            generated,
            generation: expression.map(|expression| Generation { expression, stored: !lower.contains("virtual") }),
            default: column_default(&declared_default),
            on_update_now: lower.contains("on update current_timestamp"),
            comment: text(row, 7),
        });
    }
    Ok(())
}

async fn read_indexes(conn: &mut Conn, within: &str, tables: &mut Tables) -> Result<()> {
    let sql = |expression: &str| {
        format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE, \
             {expression} FROM information_schema.STATISTICS WHERE TABLE_SCHEMA IN ({within}) \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
        )
    };
    let rows: Vec<Row> = match conn.query(sql("EXPRESSION")).await {
        Err(error) if server_code(&error) == Some(1054) => conn.query(sql("NULL")).await.doing(DOING)?,
        rows => rows.doing(DOING)?,
    };
    for row in &rows {
        let Some(table) = tables.get_mut(&name(row)) else { continue };
        let index_name = text(row, 2);
        let column: Option<String> = optional(row, 4);
        let part = IndexPart {
            column: column.and_then(|column| table.column(&column)),
            prefix: optional(row, 5),
            descending: text(row, 6) == "D",
            expression: optional(row, 8),
        };
        match table.indexes.last_mut() {
            Some(index) if index.name == index_name => index.parts.push(part),
            _ => table.indexes.push(Index {
                kind: match (index_name.as_str(), optional::<u8>(row, 3)) {
                    ("PRIMARY", _) => IndexKind::Primary,
                    (_, Some(0)) => IndexKind::Unique,
                    _ => IndexKind::Plain,
                },
                name: index_name,
                method: text(row, 7),
                parts: vec![part],
            }),
        }
    }
    Ok(())
}

async fn read_foreign_keys(conn: &mut Conn, within: &str, tables: &mut Tables) -> Result<()> {
    let rows: Vec<Row> = conn
        .query(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, \
             REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
             WHERE TABLE_SCHEMA IN ({within}) AND REFERENCED_TABLE_NAME IS NOT NULL \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
        ))
        .await
        .doing(DOING)?;
    let rules: Vec<Row> = conn
        .query(format!(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE \
             FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN ({within})"
        ))
        .await
        .doing(DOING)?;
    let rules: HashMap<(TableName, String), (Action, Action)> =
        rules.iter().map(|row| ((name(row), text(row, 2)), (action(&text(row, 3)), action(&text(row, 4))))).collect();
    let mut untold: Vec<TableName> = Vec::new();
    for row in &rows {
        let Some(table) = tables.get_mut(&name(row)) else { continue };
        let key_name = text(row, 2);
        if table.foreign_keys.last().is_none_or(|key| key.name != key_name) {
            let rule = rules.get(&(name(row), key_name.clone()));
            if rule.is_none() && untold.last() != Some(&table.name) {
                untold.push(table.name.clone());
            }
            let (on_delete, on_update) = *rule.unwrap_or(&(Action::Restrict, Action::Restrict));
            let parent = TableName::new(text(row, 4), text(row, 5));
            let (columns, parent_columns) = (Vec::new(), Vec::new());
            table.foreign_keys.push(ForeignKey {
                name: key_name,
                columns,
                parent,
                parent_columns,
                on_delete,
                on_update,
            });
        }
        if let Some(key) = table.foreign_keys.last_mut() {
            key.columns.push(text(row, 3));
            key.parent_columns.push(text(row, 6));
        }
    }
    for table_name in untold {
        let created: Option<(String, String)> =
            conn.query_first(format!("SHOW CREATE TABLE {}", table_name.mysql())).await.doing(DOING)?;
        let created = created.map(|(_, sql)| sql).unwrap_or_default();
        for key in tables.get_mut(&table_name).into_iter().flat_map(|table| &mut table.foreign_keys) {
            (key.on_delete, key.on_update) = actions_in(&created, &key.name).ok_or_else(|| {
                Error::new(ErrorKind::SourceSetting, format!("{table_name}: cannot tell the actions of {}", key.name))
            })?;
        }
    }
    Ok(())
}

fn action(rule: &str) -> Action {
    match rule {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        _ => Action::Restrict,
    }
}

/// ON DELETE and ON UPDATE of a foreign key in a CREATE TABLE statement as the server prints it: one line per key.
fn actions_in(created: &str, key: &str) -> Option<(Action, Action)> {
    let start = format!("CONSTRAINT {} FOREIGN KEY ", crate::ident::mysql(key));
    let line = created.lines().find_map(|line| line.trim_start().strip_prefix(start.as_str()))?;
    // identifiers are quoted: what follows the last quote's parenthesis is the actions alone
    let actions = line.rsplit_once("`)").map_or("", |(_, actions)| actions);
    let after = |keyword: &str| {
        let rest = actions.split_once(keyword).map_or("", |(_, rest)| rest);
        let words = ["CASCADE", "SET NULL"].into_iter().find(|word| rest.starts_with(word));
        action(words.unwrap_or_default())
    };
    Some((after("ON DELETE "), after("ON UPDATE ")))
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
