//! Names of tables and the quoting of identifiers for both dialects.
//!
//! Every identifier that enters an SQL text goes through [`mysql`] or [`postgres`]; values never do, they travel as
//! parameters or COPY. Literals of our own making ([`mysql_literal`]) are for the few statements that take no parameters.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A table of the source: database and table, in the server's own spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database (MySQL's schema).
    pub database: String,
    /// The table within it.
    pub table: String,
}

impl TableName {
    /// Names `database.table`.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { database: database.into(), table: table.into() }
    }

    /// `` `database`.`table` ``, ready for a MySQL statement.
    #[must_use]
    pub fn mysql(&self) -> String {
        format!("{}.{}", mysql(&self.database), mysql(&self.table))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// A table of the target: schema and table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetName {
    /// The PostgreSQL schema.
    pub schema: String,
    /// The table within it.
    pub table: String,
}

impl TargetName {
    /// Names `schema.table`.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// `"schema"."table"`, ready for a PostgreSQL statement.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", postgres(&self.schema), postgres(&self.table))
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// Quotes an identifier for MySQL and MariaDB.
#[must_use]
pub fn mysql(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes an identifier for PostgreSQL.
#[must_use]
pub fn postgres(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes several identifiers for PostgreSQL, separated by `, `.
pub fn postgres_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(postgres).collect::<Vec<_>>().join(", ")
}

/// Quotes a string literal for MySQL and MariaDB in the default `sql_mode` (backslash escapes on).
#[must_use]
pub fn mysql_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Quotes a string literal for PostgreSQL with `standard_conforming_strings = on`.
#[must_use]
pub fn postgres_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// PostgreSQL's limit of an identifier, in bytes (`NAMEDATALEN - 1`).
pub const POSTGRES_IDENTIFIER_BYTES: usize = 63;

/// A PostgreSQL identifier of at most 63 bytes: `name` itself, or its beginning and a hash of the whole.
///
/// The server would truncate silently, and two long names with one beginning would become one.
#[must_use]
pub fn postgres_fit(name: &str) -> String {
    if name.len() <= POSTGRES_IDENTIFIER_BYTES {
        return name.to_owned();
    }
    let hash = crc32fast::hash(name.as_bytes());
    let mut end = POSTGRES_IDENTIFIER_BYTES - 9;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash:08x}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_double_inside_names() {
        assert_eq!(mysql("a`b"), "`a``b`");
        assert_eq!(postgres("a\"b"), "\"a\"\"b\"");
        assert_eq!(mysql_literal("a'\\"), "'a''\\\\'");
    }

    #[test]
    fn long_names_stay_distinct_and_within_63_bytes() {
        let (a, b) = (format!("{}1", "é".repeat(40)), format!("{}2", "é".repeat(40)));
        assert!(postgres_fit(&a).len() <= 63);
        assert_ne!(postgres_fit(&a), postgres_fit(&b));
        assert_eq!(postgres_fit("short"), "short");
    }
}
