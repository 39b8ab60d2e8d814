//! What exists in the target: tables with their columns, keys and indexes.
//!
//! Reads PostgreSQL's own catalogue, for many tables in three queries. Changes nothing.

use super::error::on;
use crate::error::Result;
use crate::ident::TargetName;
use std::collections::HashMap;
use tokio_postgres::{GenericClient, Row};

/// A relation that stands under a name we want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingTable {
    /// What it is.
    pub kind: RelationKind,
    /// Whether our role may act as its owner, which keys and indexes need.
    pub owned: bool,
    /// Names of its foreign keys.
    pub foreign_keys: Vec<String>,
    /// Name of a user's trigger on it, if it has one.
    pub trigger: Option<String>,
    /// Its columns in order.
    pub columns: Vec<ExistingColumn>,
    /// Names of the primary key's columns, in key order; empty without one.
    pub primary_key: Vec<String>,
    /// All its indexes, the primary key's among them, by name.
    pub indexes: Vec<ExistingIndex>,
}

/// What a relation is: PostgreSQL has one namespace for tables, views, indexes and sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A table, partitioned ones included.
    Table,
    /// A view, materialised or not.
    View,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A foreign table, a composite type, …
    Other,
}

impl RelationKind {
    /// Its name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Index => "index",
            Self::Sequence => "sequence",
            Self::Other => "relation",
        }
    }
}

/// A column of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingColumn {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it, which is how [`crate::convert::plan::PgType::sql`] does.
    pub ty: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
}

/// An index of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingIndex {
    /// Its name.
    pub name: String,
    /// The statement that makes it.
    pub definition: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Whether it can be relied on; not after a failed CREATE INDEX CONCURRENTLY.
    pub valid: bool,
    /// Whether it covers only rows that meet a condition.
    pub partial: bool,
    /// Its key parts: the column's name, none for an expression; and whether it is sorted downwards.
    pub parts: Vec<(Option<String>, bool)>,
    /// Its key parts as the server prints them.
    pub printed: Vec<String>,
    /// `btree`, `gin`, …
    pub method: String,
    /// Whether it is made by a constraint, and goes with it.
    pub of_constraint: bool,
}

impl ExistingIndex {
    /// Whether it makes these columns, in this order, identify a row.
    #[must_use]
    pub fn identifies(&self, columns: &[&str]) -> bool {
        self.unique
            && self.valid
            && !self.partial
            && self.parts.len() == columns.len()
            && self.parts.iter().zip(columns).all(|((part, _), column)| part.as_deref() == Some(*column))
    }
}

/// What stands under one name; none when it is free.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn read_table<C: GenericClient + Sync>(client: &C, name: &TargetName) -> Result<Option<ExistingTable>> {
    Ok(read_tables(client, std::slice::from_ref(name)).await?.remove(name))
}

/// What stands under the names; names that are free are left out.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn read_tables<C: GenericClient + Sync>(
    client: &C,
    names: &[TargetName],
) -> Result<HashMap<TargetName, ExistingTable>> {
    let doing = "reading the target's tables";
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.table.as_str()).collect();
    let relations = client
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind, pg_has_role(c.relowner, 'USAGE'),
                    array(SELECT conname::text FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f' ORDER BY 1),
                    (SELECT min(tgname::text) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
               FROM unnest($1::text[], $2::text[]) AS wanted(schema_name, table_name)
               JOIN pg_namespace n ON n.nspname = wanted.schema_name
               JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.table_name",
            &[&schemas, &tables],
        )
        .await
        .map_err(on(doing))?;
    let mut found: HashMap<u32, (TargetName, ExistingTable)> = relations.iter().map(relation).collect();
    let oids: Vec<u32> = found.keys().copied().collect();
    let columns = client
        .query(
            "SELECT attrelid, attname::text, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
              WHERE attrelid = ANY ($1) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum",
            &[&oids],
        )
        .await
        .map_err(on(doing))?;
    for row in &columns {
        if let Some((_, table)) = found.get_mut(&row.get(0)) {
            table.columns.push(ExistingColumn { name: row.get(1), ty: row.get(2), nullable: row.get(3) });
        }
    }
    let indexes = client
        .query(
            "SELECT i.indrelid, c.relname::text, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary,
                    i.indisvalid AND i.indisready, i.indpred IS NOT NULL,
                    array_agg(a.attname::text ORDER BY part.n), array_agg(part.option & 1 = 1 ORDER BY part.n),
                    array_agg(pg_get_indexdef(i.indexrelid, part.n::int, false) ORDER BY part.n), m.amname::text,
                    EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
               FROM pg_index i
               JOIN pg_class c ON c.oid = i.indexrelid
               JOIN pg_am m ON m.oid = c.relam
              CROSS JOIN unnest(i.indkey::smallint[], i.indoption::smallint[])
                         WITH ORDINALITY AS part(column_no, option, n)
               LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.column_no AND a.attnum <> 0
              WHERE i.indrelid = ANY ($1) AND part.n <= i.indnkeyatts
              GROUP BY i.indexrelid, c.relname, m.amname ORDER BY c.relname",
            &[&oids],
        )
        .await
        .map_err(on(doing))?;
    for row in &indexes {
        if let Some((_, table)) = found.get_mut(&row.get(0)) {
            let index = index(row);
            if index.primary {
                table.primary_key = index.parts.iter().filter_map(|(column, _)| column.clone()).collect();
            }
            table.indexes.push(index);
        }
    }
    Ok(found.into_values().collect())
}

fn relation(row: &Row) -> (u32, (TargetName, ExistingTable)) {
    let kind = match u8::try_from(row.get::<_, i8>(3)).map(char::from) {
        Ok('r' | 'p') => RelationKind::Table,
        Ok('v' | 'm') => RelationKind::View,
        Ok('i' | 'I') => RelationKind::Index,
        Ok('S') => RelationKind::Sequence,
        _ => RelationKind::Other,
    };
    let name = TargetName::new(row.get::<_, String>(1), row.get::<_, String>(2));
    let table = ExistingTable {
        kind,
        owned: row.get(4),
        foreign_keys: row.get(5),
        trigger: row.get(6),
        columns: Vec::new(),
        primary_key: Vec::new(),
        indexes: Vec::new(),
    };
    (row.get(0), (name, table))
}

fn index(row: &Row) -> ExistingIndex {
    let (columns, descending): (Vec<Option<String>>, Vec<bool>) = (row.get(7), row.get(8));
    ExistingIndex {
        name: row.get(1),
        definition: row.get(2),
        unique: row.get(3),
        primary: row.get(4),
        valid: row.get(5),
        partial: row.get(6),
        parts: columns.into_iter().zip(descending).collect(),
        printed: row.get(9),
        method: row.get(10),
        of_constraint: row.get(11),
    }
}

/// How many rows a table holds, counted up to `limit`.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn count_rows<C: GenericClient + Sync>(client: &C, name: &TargetName, limit: u32) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {limit}) AS counted", name.sql());
    let row = client.query_one(&sql, &[]).await.map_err(on(&format!("counting rows of {name}")))?;
    Ok(super::count(row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing;

    #[tokio::test]
    async fn what_exists_is_read() {
        let database = testing::database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "CREATE SCHEMA \"My Lab\";
                 CREATE TABLE \"My Lab\".\"T\"\"x\" (\"ID\" int, b varchar(9) NOT NULL, gone int, c bytea,
                                                   PRIMARY KEY (b, \"ID\"));
                 ALTER TABLE \"My Lab\".\"T\"\"x\" DROP COLUMN gone;
                 CREATE INDEX \"By C\" ON \"My Lab\".\"T\"\"x\" (\"left\"(b, 3), c DESC) WHERE c IS NOT NULL;
                 CREATE UNIQUE INDEX u ON \"My Lab\".\"T\"\"x\" (c) INCLUDE (b);
                 CREATE VIEW \"My Lab\".v AS SELECT 1 AS a;
                 INSERT INTO \"My Lab\".\"T\"\"x\" VALUES (1, 'a'), (2, 'b')",
            )
            .await
            .unwrap();
        let names = ["T\"x", "v", "u", "nothing"].map(|table| TargetName::new("My Lab", table));
        let found = read_tables(&*client, &names).await.unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!((found[&names[1]].kind, found[&names[2]].kind), (RelationKind::View, RelationKind::Index));
        let table = &found[&names[0]];
        assert_eq!(table.primary_key, ["b", "ID"]);
        let columns: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.ty.as_str(), c.nullable)).collect();
        assert_eq!(columns, [("ID", "integer", false), ("b", "character varying(9)", false), ("c", "bytea", true)]);
        let by_c = &table.indexes[0];
        assert_eq!((by_c.name.as_str(), by_c.partial, by_c.unique, by_c.valid), ("By C", true, false, true));
        assert_eq!(by_c.parts, [(None, false), (Some("c".to_owned()), true)]);
        assert!(by_c.definition.starts_with("CREATE INDEX \"By C\" ON \"My Lab\".\"T\"\"x\""));
        assert!(table.indexes.iter().any(|index| index.name == "u" && index.identifies(&["c"])));
        assert_eq!(count_rows(&*client, &names[0], 10).await.unwrap(), 2);
        assert_eq!(count_rows(&*client, &names[0], 1).await.unwrap(), 1);
        assert_eq!(read_table(&*client, &names[3]).await.unwrap(), None);
    }
}
