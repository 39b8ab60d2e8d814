//! Tables for tests.

use super::charset::Decoder;
use super::plan::TablePlan;
use super::sanitize::Reason;
use super::typemap::{TypeOptions, plan};
use crate::ident::TableName;
use crate::mapping::{Mapping, TableRule};
use crate::schema::{
    Action, Catalog, Charset, Column, ForeignKey, Index, IndexKind, IndexPart, SourceType, TableSchema,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn charset(name: &str) -> Charset {
    Charset { name: name.into(), collation: format!("{name}_bin") }
}

pub(crate) fn int(bytes: u8, unsigned: bool) -> SourceType {
    SourceType::Int { bytes, unsigned, boolean: false }
}

pub(super) fn varchar(chars: u32) -> SourceType {
    SourceType::VarChar { chars, charset: charset("utf8mb4") }
}

/// What the bytes mean in a character set, and whether some meant nothing; none for a set that is not known.
pub(crate) fn decoded(charset: &str, bytes: &[u8]) -> Option<(String, bool)> {
    let mut out = Vec::new();
    let reasons = Decoder::of(charset)?.append(bytes, &mut out);
    Some((String::from_utf8(out).unwrap(), reasons.contains(Reason::InvalidBytes)))
}

/// A table of database `lab`; a `?` at the end of a column's name makes it nullable.
pub(crate) fn table(name: &str, columns: &[(&str, SourceType)]) -> TableSchema {
    let column = |(name, ty): &(&str, SourceType)| Column {
        name: name.trim_end_matches('?').into(),
        ty: ty.clone(),
        declared: format!("{ty:?}"),
        nullable: name.ends_with('?'),
        auto_increment: false,
        generated: false,
        generation: None,
        default: None,
        on_update_now: false,
        left_out: crate::schema::LeftOut::default(),
        comment: String::new(),
    };
    TableSchema {
        name: TableName::new("lab", name),
        columns: columns.iter().map(column).collect(),
        indexes: vec![],
        foreign_keys: vec![],
        engine: "InnoDB".into(),
        transactional: true,
        comment: String::new(),
        charset: None,
        checks: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
    }
}

impl TableSchema {
    pub(crate) fn indexed(mut self, name: &str, kind: IndexKind, columns: &[usize]) -> Self {
        let part =
            |column: &usize| IndexPart { column: Some(*column), prefix: None, descending: false, expression: None };
        let parts = columns.iter().map(part).collect();
        self.indexes.push(Index { name: name.into(), kind, method: "BTREE".into(), parts });
        self
    }

    pub(crate) fn primary(self, columns: &[usize]) -> Self {
        self.indexed("PRIMARY", IndexKind::Primary, columns)
    }

    pub(crate) fn refers(mut self, column: &str, parent: &str, parent_column: &str) -> Self {
        self.foreign_keys.push(ForeignKey {
            name: format!("fk_{column}"),
            columns: vec![column.into()],
            parent: TableName::new("lab", parent),
            parent_columns: vec![parent_column.into()],
            on_delete: Action::Cascade,
            on_update: Action::Restrict,
        });
        self
    }
}

/// Database `lab` to schema `public`, with one rule.
pub(crate) fn mapping(rules: impl IntoIterator<Item = (&'static str, TableRule)>) -> Mapping {
    Mapping {
        databases: BTreeMap::from([("lab".into(), "public".into())]),
        tables: rules.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect(),
        ..Mapping::default()
    }
}

/// The plan of a table alone, by default.
pub(super) fn planned(table: TableSchema) -> Arc<TablePlan> {
    let plans = plan(&Catalog { tables: vec![table] }, &mapping([]), &TypeOptions::default()).unwrap();
    Arc::new(plans.into_iter().next().unwrap())
}
