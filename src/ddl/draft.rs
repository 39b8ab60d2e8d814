//! A table while a statement changes it: indexes by the names of their columns, since positions move.

use super::server::Server;
use super::statement::CharsetClause;
use crate::schema::{Index, IndexKind, IndexPart, SourceType, TableSchema};

/// A table that is being changed.
pub(super) struct Draft {
    /// All but the indexes.
    pub table: TableSchema,
    pub indexes: Vec<DraftIndex>,
    /// Why the new schema may be another; the first reason stays.
    pub unsure: Option<String>,
}

/// An index whose parts name their columns.
#[derive(Clone)]
pub(super) struct DraftIndex {
    /// None until it is given one.
    pub name: Option<String>,
    pub kind: IndexKind,
    pub method: String,
    pub parts: Vec<DraftPart>,
    /// Made for a foreign key by this statement: gives way to another that serves as well.
    pub generated: bool,
}

/// A part of it.
#[derive(Clone)]
pub(super) struct DraftPart {
    pub column: Option<String>,
    pub part: IndexPart,
}

impl Draft {
    pub fn of(table: TableSchema) -> Self {
        let named = |part: &IndexPart| DraftPart {
            column: part.column.and_then(|at| table.columns.get(at)).map(|column| column.name.clone()),
            part: part.clone(),
        };
        let indexes = table.indexes.iter().map(|index| DraftIndex {
            name: Some(index.name.clone()),
            kind: index.kind,
            method: index.method.clone(),
            parts: index.parts.iter().map(named).collect(),
            generated: false,
        });
        Self { indexes: indexes.collect(), table, unsure: None }
    }

    /// Remembers why the schema is not certain.
    pub fn doubt(&mut self, why: impl Into<String>) {
        self.unsure.get_or_insert_with(|| why.into());
    }

    pub fn index(&self, name: &str) -> Option<usize> {
        self.indexes.iter().position(|index| index.name.as_deref().is_some_and(|known| same_name(known, name)))
    }

    pub fn set_engine(&mut self, engine: &str) {
        const KNOWN: [&str; 13] = [
            "InnoDB",
            "MyISAM",
            "MEMORY",
            "Aria",
            "CSV",
            "ARCHIVE",
            "BLACKHOLE",
            "MRG_MyISAM",
            "ROCKSDB",
            "TokuDB",
            "ndbcluster",
            "FEDERATED",
            "SEQUENCE",
        ];
        let heap = if engine.eq_ignore_ascii_case("HEAP") { "MEMORY" } else { engine };
        match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(heap)) {
            Some(known) => (*known).clone_into(&mut self.table.engine),
            None => self.doubt(format!("the engine {engine} is not known")),
        }
        self.table.transactional = ["InnoDB", "ROCKSDB", "TokuDB", "ndbcluster"].contains(&self.table.engine.as_str());
    }

    /// The table's own character set, for columns to come.
    pub fn set_charset(&mut self, clause: &CharsetClause, server: &Server) {
        if clause.is_empty() {
            return;
        }
        match server.charset(clause, self.table.charset.as_ref()) {
            Ok(charset) => self.table.charset = Some(charset),
            Err(why) => self.doubt(why),
        }
    }

    /// The changed table: parts point at columns again, prefixes that are whole columns are none, keys are NOT NULL.
    pub fn finish(mut self, server: &Server) -> (TableSchema, Option<String>) {
        let memory = self.table.engine == "MEMORY";
        // longer parts are cut, or hashed
        let longest = if self.table.engine == "InnoDB" { 3072 } else { 1000 };
        let mut doubt = None;
        let mut indexes = Vec::new();
        for draft in std::mem::take(&mut self.indexes) {
            let mut method = draft.method;
            let ordinary = method == "BTREE" || method == "HASH" || method.is_empty();
            if ordinary {
                let chosen = if method.is_empty() { if memory { "HASH" } else { "BTREE" } } else { &method };
                method = if self.table.engine == "InnoDB" { "BTREE".into() } else { chosen.to_owned() };
            }
            let mut parts = Vec::new();
            for DraftPart { column, mut part } in draft.parts {
                part.column = column.and_then(|name| self.table.column(&name));
                let column = part.column.and_then(|at| self.table.columns.get_mut(at));
                if let Some(column) = column {
                    if draft.kind == IndexKind::Primary {
                        column.nullable = false;
                    }
                    if part.prefix.is_some_and(|prefix| whole(&column.ty).is_some_and(|whole| prefix >= whole)) {
                        part.prefix = None;
                    }
                    let long = matches!(
                        column.ty,
                        SourceType::Text { .. } | SourceType::Blob { .. } | SourceType::Json { .. }
                    );
                    match method.as_str() {
                        "FULLTEXT" => (part.prefix, part.descending) = (None, false),
                        "SPATIAL" => part.prefix = Some(32),
                        _ if long && part.prefix.is_none() && server.mariadb() && draft.kind == IndexKind::Unique => {
                            method = "HASH".into();
                        }
                        _ if long && part.prefix.is_none() => doubt = Some("an index over a whole TEXT or BLOB"),
                        _ if matches!(column.ty, SourceType::Geometry) => doubt = Some("an index over a geometry"),
                        _ if bytes(&column.ty, part.prefix) > longest => doubt = Some("an index that may be too long"),
                        _ => {}
                    }
                }
                parts.push(part);
            }
            if method == "HASH" {
                parts.iter_mut().for_each(|part: &mut IndexPart| part.descending = false);
            }
            indexes.push(Index { name: draft.name.unwrap_or_default(), kind: draft.kind, method, parts });
        }
        if let Some(doubt) = doubt {
            self.doubt(doubt);
        }
        indexes.sort_by_cached_key(|index| (index.kind != IndexKind::Primary, index.name.to_lowercase()));
        self.table.indexes = indexes;
        self.table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
        self.table.checks.sort_by(|a, b| a.name.cmp(&b.name));
        (self.table, self.unsure)
    }
}

/// Names of columns, indexes and constraints compare without case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || !(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase()
}

/// A column's full length in the unit of prefixes.
fn whole(ty: &SourceType) -> Option<u32> {
    match ty {
        SourceType::Char { chars, .. } | SourceType::VarChar { chars, .. } => Some(*chars),
        SourceType::Binary { len } | SourceType::VarBinary { len } => Some(*len),
        _ => None,
    }
}

/// The bytes of a part of an index.
fn bytes(ty: &SourceType, prefix: Option<u32>) -> u32 {
    let widest = ty.charset().and_then(crate::schema::Charset::max_bytes).unwrap_or(1);
    prefix.or_else(|| whole(ty)).unwrap_or(0).saturating_mul(widest)
}
