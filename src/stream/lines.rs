//! The stream as lines of JSON: one object per boundary and per row, in the stream's order.
//!
//! | `event` | also has |
//! | --- | --- |
//! | `begin` | `position` (where the transaction starts), `gtid` |
//! | `insert` | `table`, `position` (where the rows' event starts), `gtid`, `after` |
//! | `update` | the same and `before` |
//! | `delete` | `table`, `position`, `gtid`, `before` |
//! | `savepoint`, `rollback_to` | `name` |
//! | `commit` | `position` (behind the transaction), `gtid`, `gtid_set` (all that is executed), `committed_at` |
//! | `rollback` | nothing: forget the transaction's rows |
//! | `ddl` | `position`, `database`, `sql` |
//!
//! `gtid` and `gtid_set` are left out where the source has none. `before` and `after` are objects by column
//! ([`crate::convert::json_row`]); without values an update has `changed` instead, the names of the columns that it changed.
//! Heartbeats are no lines.

use super::Sink;
use crate::change::{Boundary, ChangeHead, Op, RowImages, StreamHeader};
use crate::convert::json_row::{JsonRow, append_string, iso_utc, string};
use crate::error::{Error, ErrorKind, Result};
use std::io::Write;
use std::sync::Arc;

/// Writes lines.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    values: bool,
    tables: Vec<(Vec<u8>, JsonRow)>,
    /// The open transaction: its file, and its name as a member of an object.
    file: String,
    gtid: Vec<u8>,
    line: Vec<u8>,
}

impl<W: Write> Lines<W> {
    /// Prepares for the tables of a stream. `values`: whether the rows' values are shown.
    pub fn new(out: W, header: &StreamHeader, values: bool) -> Self {
        let table = |table: &crate::schema::TableSchema| {
            (string(&table.name.to_string()), JsonRow::compile(Arc::new(table.clone())))
        };
        let tables = header.tables.iter().map(table).collect();
        Self { out, values, tables, file: String::new(), gtid: Vec::new(), line: Vec::new() }
    }

    fn open(&mut self, event: &str) {
        self.line.clear();
        self.line.extend_from_slice(b"{\"event\":\"");
        self.line.extend_from_slice(event.as_bytes());
        self.line.push(b'"');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        append_string(text, &mut self.line);
    }

    fn name(&mut self, name: &str) {
        self.line.extend_from_slice(b",\"");
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    fn close(&mut self) -> Result<()> {
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line).map_err(unwritable)
    }
}

impl<W: Write> Sink for Lines<W> {
    fn boundary(&mut self, boundary: &Boundary) -> Result<()> {
        match boundary {
            Boundary::Begin { start, gtid } => {
                self.file.clone_from(&start.file);
                self.open("begin");
                self.text("position", &start.to_string());
                self.gtid.clear();
                if let Some(gtid) = gtid {
                    self.gtid.extend_from_slice(b",\"gtid\":");
                    append_string(gtid, &mut self.gtid);
                }
                self.line.extend_from_slice(&self.gtid);
            }
            Boundary::Commit { position, committed_at } => {
                self.open("commit");
                self.text("position", &position.binlog.to_string());
                self.line.extend_from_slice(&self.gtid);
                if let Some(set) = &position.gtid {
                    self.text("gtid_set", &set.to_string());
                }
                self.text("committed_at", &iso_utc(*committed_at));
            }
            Boundary::Rollback => self.open("rollback"),
            Boundary::Savepoint(name) => {
                self.open("savepoint");
                self.text("name", name);
            }
            Boundary::RollbackTo(name) => {
                self.open("rollback_to");
                self.text("name", name);
            }
            Boundary::Ddl(statement) => {
                self.open("ddl");
                self.text("position", &statement.position.binlog.to_string());
                self.text("database", &statement.database);
                self.text("sql", &statement.sql);
            }
            Boundary::Heartbeat { .. } => return Ok(()),
        }
        self.close()
    }

    fn row(&mut self, head: ChangeHead, images: &RowImages<'_>) -> Result<()> {
        self.open(match head.op {
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
        });
        self.name("table");
        let Some((table, _)) = self.tables.get(head.table) else {
            return Err(Error::new(ErrorKind::Bug, "rows of a table that the stream's header does not name"));
        };
        self.line.extend_from_slice(table);
        self.name("position");
        // a file's name needs no escapes beyond those of a string
        append_string(&format_args!("{}:{}", self.file, head.at).to_string(), &mut self.line);
        self.line.extend_from_slice(&self.gtid);
        if self.values {
            for (name, image) in [("before", &images.before), ("after", &images.after)] {
                if !image.is_empty() {
                    self.name(name);
                    self.tables[head.table].1.append(image, &mut self.line)?;
                }
            }
        } else if head.op == Op::Update {
            self.name("changed");
            self.tables[head.table].1.append_changed(&images.before, &images.after, &mut self.line);
        }
        self.close()
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(unwritable)
    }
}

/// The reader of a pipe that has gone away (`| head`) ends the stream in good order: see [`is_closed`].
fn unwritable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "stdout cannot be written").with_source(error)
}

/// Whether an error says that nobody reads any more.
#[must_use]
pub fn is_closed(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::DdlStatement;
    use crate::convert::sample::{int, table};
    use crate::position::{BinlogOffset, GtidSet, Position};
    use crate::schema::Flavor;
    use crate::value::ValueRef;

    fn header() -> StreamHeader {
        let table = table("pasien", &["id?", "umur?"].map(|name| (name, int(4, false))));
        let from = Position { binlog: BinlogOffset::new("b.000001", 4), gtid: None };
        StreamHeader { flavor: Flavor::MariaDb, server: "10.11".into(), from, schema_at: None, tables: vec![table] }
    }

    fn lines(values: bool) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, &header(), values);
        let at = |offset| BinlogOffset::new("b.000001", offset);
        let set = GtidSet::MariaDb("0-1-7".parse().unwrap());
        let (one, two) = (vec![ValueRef::Int(1), ValueRef::Null], vec![ValueRef::Int(1), ValueRef::Int(2)]);
        let head = |op, at| ChangeHead { table: 0, op, foreign_key_checks: true, at };
        let images = |before: &[ValueRef<'static>], after: &[ValueRef<'static>]| RowImages {
            before: before.to_vec(),
            after: after.to_vec(),
        };
        let position = |offset| Position { binlog: at(offset), gtid: Some(set.clone()) };
        lines.boundary(&Boundary::Begin { start: at(100), gtid: Some("0-1-7".into()) }).unwrap();
        lines.row(head(Op::Insert, 200), &images(&[], &one)).unwrap();
        lines.boundary(&Boundary::Savepoint("s \"1\"".into())).unwrap();
        lines.row(head(Op::Update, 300), &images(&one, &two)).unwrap();
        lines.boundary(&Boundary::RollbackTo("s".into())).unwrap();
        lines.row(head(Op::Delete, 400), &images(&two, &[])).unwrap();
        lines.boundary(&Boundary::Commit { position: position(500), committed_at: 1_700_000_000 }).unwrap();
        lines.boundary(&Boundary::Heartbeat { position: position(500) }).unwrap();
        lines.boundary(&Boundary::Begin { start: at(500), gtid: None }).unwrap();
        lines.boundary(&Boundary::Rollback).unwrap();
        let ddl =
            DdlStatement { database: "lab".into(), sql: "DROP TABLE\nx".into(), position: position(700), sql_mode: 0 };
        lines.boundary(&Boundary::Ddl(ddl)).unwrap();
        lines.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_per_boundary_and_row() {
        let expected = r#"{"event":"begin","position":"b.000001:100","gtid":"0-1-7"}
{"event":"insert","table":"lab.pasien","position":"b.000001:200","gtid":"0-1-7","after":{"id":1,"umur":null}}
{"event":"savepoint","name":"s \"1\""}
{"event":"update","table":"lab.pasien","position":"b.000001:300","gtid":"0-1-7","before":{"id":1,"umur":null},"after":{"id":1,"umur":2}}
{"event":"rollback_to","name":"s"}
{"event":"delete","table":"lab.pasien","position":"b.000001:400","gtid":"0-1-7","before":{"id":1,"umur":2}}
{"event":"commit","position":"b.000001:500","gtid":"0-1-7","gtid_set":"0-1-7","committed_at":"2023-11-14T22:13:20Z"}
{"event":"begin","position":"b.000001:500"}
{"event":"rollback"}
{"event":"ddl","position":"b.000001:700","database":"lab","sql":"DROP TABLE\nx"}
"#;
        assert_eq!(lines(true), expected);
    }

    #[test]
    fn without_values_there_are_names_only() {
        let shown = lines(false);
        assert!(!shown.contains("before") && !shown.contains("after") && !shown.contains("null"), "{shown}");
        assert!(shown.contains(r#""gtid":"0-1-7","changed":["umur"]}"#), "{shown}");
    }
}
