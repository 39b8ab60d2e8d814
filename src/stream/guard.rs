//! Keeps rows from being told with a schema that is not theirs.
//!
//! The tables were read from the catalogue at one moment, `schema_at` in the log. A DDL statement on one of them that stands
//! behind that moment makes what follows it unreadable. One that stands before it makes what came before it doubtful: no
//! row of that table may have been told. TRUNCATE changes no column.

use crate::binlog::{Affects, affects};
use crate::change::DdlStatement;
use crate::error::{Error, ErrorKind};
use crate::ident::TableName;
use crate::position::BinlogOffset;
use crate::schema::TableSchema;

/// What has been told of which table.
#[derive(Debug)]
pub(super) struct Guard {
    /// None when the schema follows the log.
    schema_at: Option<BinlogOffset>,
    told: Vec<bool>,
}

impl Guard {
    pub fn new(schema_at: Option<BinlogOffset>, tables: usize) -> Self {
        Self { schema_at, told: vec![false; tables] }
    }

    /// Rows of that table are told.
    pub fn rows(&mut self, table: usize) {
        if let Some(told) = self.told.get_mut(table) {
            *told = true;
        }
    }

    /// What ends the stream behind this statement, if anything does.
    pub fn ddl(&self, statement: &DdlStatement, tables: &[TableSchema]) -> Option<Error> {
        let schema_at = self.schema_at.as_ref()?;
        let verb = statement.sql.split_whitespace().next().unwrap_or_default().to_uppercase();
        if verb == "TRUNCATE" {
            return None;
        }
        let affected = affects(&statement.sql, &statement.database);
        // names are compared without regard to case, since servers may let them be spelled so
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let concerned = |name: &TableName| match &affected {
            Affects::Nothing => false,
            Affects::Tables(tables) => {
                tables.iter().any(|other| same(&other.database, &name.database) && same(&other.table, &name.table))
            }
            Affects::Database(database) => same(database, &name.database),
            Affects::Unknown => same(&statement.database, &name.database),
        };
        let newer = statement.position.binlog >= *schema_at;
        let (table, _) =
            tables.iter().zip(&self.told).find(|(table, told)| (newer || **told) && concerned(&table.name))?;
        let detail = if newer {
            "rows behind it do not fit the columns that are known"
        } else {
            "the columns that are known are those of a later time: rows before it may have been read wrongly"
        };
        Some(
            Error::new(ErrorKind::Ddl, format!("{verb} of {} at {}", table.name, statement.position.binlog))
                .detail(detail)
                .with_hint("begin again behind it, by --from; the columns are read anew then"),
        )
    }
}

/// An error of the decoder, whose hints are for who copies, with one for who reads.
pub(super) fn for_readers(error: Error) -> Error {
    let hint = match (error.kind(), error.hint()) {
        (ErrorKind::SchemaMismatch, _) => {
            "the columns that are known are not those of these rows: begin behind the last DDL statement, by --from"
                .into()
        }
        (_, Some(hint)) => {
            let (first, _) = hint.split_once("; then copy anew").unwrap_or((hint, ""));
            format!(
                "{first}; what is logged already stays so: begin behind it, by --from, or leave the table out by --tables"
            )
        }
        (_, None) => return error,
    };
    error.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample;
    use crate::position::Position;

    fn table(name: &str) -> TableSchema {
        sample::table(name, &[])
    }

    fn at(offset: u64) -> BinlogOffset {
        BinlogOffset::new("b.000002", offset)
    }

    #[test]
    fn ddl_stops_where_rows_would_be_read_wrongly() {
        let tables = [table("pasien"), table("hasil")];
        let mut guard = Guard::new(Some(at(1000)), 2);
        let stops = |guard: &Guard, sql: &str, offset| {
            let position = Position { binlog: at(offset), gtid: None };
            let statement = DdlStatement { database: "lab".into(), sql: sql.into(), position, sql_mode: 0 };
            guard.ddl(&statement, &tables).map(|error| error.to_string())
        };
        // before the schema was read, and before any row of the table
        assert_eq!(stops(&guard, "CREATE TABLE pasien (a INT)", 500), None);
        guard.rows(0);
        assert!(stops(&guard, "ALTER TABLE Pasien ADD b INT", 600).is_some_and(|error| error.contains("later time")));
        assert_eq!(stops(&guard, "ALTER TABLE hasil ADD b INT", 600), None);
        assert_eq!(stops(&guard, "TRUNCATE pasien", 600), None);
        assert_eq!(stops(&guard, "ALTER TABLE other.pasien ADD b INT", 1600), None);
        assert_eq!(stops(&guard, "CREATE TABLE baru (a INT)", 1600), None);
        // behind it
        for sql in ["ALTER TABLE hasil ADD b INT", "DROP DATABASE lab", "RENAME TABLE hasil TO x", "FROB"] {
            assert!(stops(&guard, sql, 1000).is_some(), "{sql}");
        }
        assert_eq!(stops(&Guard::new(None, 2), "ALTER TABLE hasil ADD b INT", 2000), None);
    }

    #[test]
    fn hints_are_for_readers() {
        let hint = |kind, hint: &str| for_readers(Error::new(kind, "x").with_hint(hint)).hint().unwrap().to_owned();
        let copy = "SET GLOBAL a=b; then copy anew: `sirenia reset --yes` and `sirenia run`";
        assert!(hint(ErrorKind::UnsupportedEvent, copy).starts_with("SET GLOBAL a=b; what is logged"));
        assert!(!hint(ErrorKind::SchemaMismatch, copy).contains("reset"));
    }
}
