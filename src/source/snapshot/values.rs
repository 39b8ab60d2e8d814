//! What a column is selected as, so that [`crate::source::rows`] reads of it what the binlog decoder makes of the same row.
//!
//! Hence ENUM and SET by number (labels would be converted), UUID and addresses as their bytes; BIT comes as bits, TIMESTAMP
//! as its moment (the session runs in UTC), everything else as the binary protocol brings it: FLOAT with its exact bits, text
//! in its own character set.

use crate::ident;
use crate::schema::{Column, SourceType, TableSchema};

/// The expression that brings the column's value.
#[must_use]
pub fn select_expression(column: &Column) -> String {
    let name = ident::mysql(&column.name);
    match column.ty {
        SourceType::Enum { .. } | SourceType::Set { .. } => format!("CAST({name} AS UNSIGNED)"),
        SourceType::Uuid | SourceType::Inet6 => format!("CAST({name} AS BINARY(16))"),
        SourceType::Inet4 => format!("CAST({name} AS BINARY(4))"),
        _ => name,
    }
}

/// All columns of the table in ordinal order, for a SELECT.
#[must_use]
pub fn select_list(table: &TableSchema) -> String {
    table.columns.iter().map(select_expression).collect::<Vec<_>>().join(", ")
}

/// [`select_list`] with NULL in the place of every column that is not among `columns`.
#[must_use]
pub fn narrow_select_list(table: &TableSchema, columns: &[usize]) -> String {
    let expression = |(at, column): (usize, &Column)| match columns.contains(&at) {
        true => select_expression(column),
        false => "NULL".into(),
    };
    table.columns.iter().enumerate().map(expression).collect::<Vec<_>>().join(", ")
}
