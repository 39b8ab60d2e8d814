//! The typed change stream: what every source hands on, in commit order.
//!
//! A stream is a sequence of groups `Begin, (Rows | Savepoint | RollbackTo)*, Commit`, or ended by `Rollback` instead,
//! with `Ddl` and `Heartbeat` between groups. Row values are borrowed from the event's own bytes: nothing is allocated per row.
//!
//! Everything here but the images has a MessagePack form by serde, which `spool` writes to files; the images are two arrays of
//! [`ValueRef`]s.

use crate::error::{Error, ErrorKind, Result};
use crate::position::{BinlogOffset, Position};
use crate::schema::{Column, Flavor, Index, IndexKind, LeftOut, TableSchema};
use crate::value::ValueRef;
use serde::{Deserialize, Serialize};

/// What a rows event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// New rows; only the after image exists.
    Insert,
    /// Changed rows; both images exist.
    Update,
    /// Removed rows; only the before image exists.
    Delete,
}

/// Everything of the stream but rows; rows come through the decoder's iterator ([`RowImages`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Boundary {
    /// A source transaction starts.
    Begin {
        /// Where its first event starts: lower than any position at or behind its commit.
        start: BinlogOffset,
        /// The transaction's name as the server prints it; none where the source keeps no GTIDs.
        gtid: Option<String>,
    },
    /// It has committed.
    Commit {
        /// The position right after it: where a restart continues.
        position: Position,
        /// When the source committed it, seconds since 1970 (the event header's clock).
        committed_at: u32,
    },
    /// It was rolled back, or cut short by a crash or a reconnect: forget its rows.
    Rollback,
    /// SAVEPOINT inside it.
    Savepoint(String),
    /// ROLLBACK TO SAVEPOINT: forget its rows since the savepoint of that name.
    RollbackTo(String),
    /// A DDL statement.
    Ddl(DdlStatement),
    /// The source is alive and has nothing (else) up to here. Only between transactions.
    Heartbeat {
        /// How far the source's log has been read.
        position: Position,
    },
}

/// A DDL statement as the binlog carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DdlStatement {
    /// The session's default database, possibly empty.
    pub database: String,
    /// The statement's text.
    pub sql: String,
    /// Where it stands, for messages.
    pub position: Position,
    /// The bits of the session's `sql_mode`, by which the text is read (`ddl::Mode`). Not in recordings made before
    /// 0.2.
    #[serde(default)]
    pub sql_mode: u64,
}

/// The images of one changed row. A buffer that is filled again for each row.
#[derive(Debug, Default)]
pub struct RowImages<'a> {
    /// The row before: for updates and deletes, all columns in table order; else empty. What a partial image leaves out
    /// is `Absent`.
    pub before: Vec<ValueRef<'a>>,
    /// The row after: for inserts and updates; else empty. `Absent` is the column's default in an insert, and unchanged
    /// in an update (see `binlog::rows` for MariaDB's exception).
    pub after: Vec<ValueRef<'a>>,
}

/// What the rows of one event have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeHead {
    /// Which of the stream's tables ([`StreamHeader::tables`]), from 0.
    pub table: usize,
    /// What happened to the rows.
    pub op: Op,
    /// Whether the writer's session had `foreign_key_checks` on.
    pub foreign_key_checks: bool,
    /// Where the rows' event starts: bytes from the start of the file in which the transaction's [`Boundary::Begin`] stands
    /// (a transaction lies in one file). Events of one compressed transaction stand at one place.
    pub at: u64,
}

/// What a reader has to know before the first event: whose stream it is, and the tables that its rows refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamHeader {
    /// The source's server family.
    pub flavor: Flavor,
    /// The source's version as it prints it.
    pub server: String,
    /// Where the stream starts.
    pub from: Position,
    /// Where the source's log stood when the tables were read from its catalogue: rows behind a later DDL statement on one of
    /// them cannot be read with this schema, nor rows before an earlier one. None when the tables come from the log itself.
    pub schema_at: Option<BinlogOffset>,
    /// The tables, all columns in the order of the row images.
    pub tables: Vec<TableSchema>,
}

/// What mends it when rows are in the log of which not enough is known.
pub const COPY_ANEW: &str = "SET GLOBAL binlog_row_image = 'FULL'; reconnect the writers; \
                             then copy anew: `sirenia reset --yes` and `sirenia run`";

impl<'a> RowImages<'a> {
    /// The same buffers without their values, for rows of other bytes.
    #[must_use]
    pub fn emptied<'b>(self) -> RowImages<'b> {
        // collecting into a vector of the same layout keeps the memory
        let emptied = |mut image: Vec<ValueRef<'a>>| {
            image.clear();
            image.into_iter().map(|_| ValueRef::Absent).collect()
        };
        RowImages { before: emptied(self.before), after: emptied(self.after) }
    }

    /// Makes partial images as whole as the log and the schema allow: what the after image leaves out is as it was before,
    /// and in a new row what the column's definition says. What stays [`ValueRef::Absent`] was not changed.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedEvent`], naming table and column, for a new row whose value in a column is not known; and, if
    /// replaced rows are `lossy`, for an update that may have been a REPLACE: then columns fell back to their defaults and
    /// the log does not say so (MariaDB under MINIMAL and NOBLOB).
    pub fn complete(&mut self, op: Op, table: &'a TableSchema, lossy: bool) -> Result<()> {
        let absent = |value: &ValueRef<'_>| matches!(value, ValueRef::Absent);
        match op {
            Op::Delete => {}
            Op::Insert => {
                for (value, column) in self.after.iter_mut().zip(&table.columns).filter(|(value, _)| absent(value)) {
                    *value = column.left_out.value().ok_or_else(|| not_in_the_image(table, column))?;
                }
            }
            Op::Update => {
                let doubtful = lossy && self.may_be_replaced(table);
                let columns = self.before.iter().zip(&table.columns);
                for (after, (before, column)) in self.after.iter_mut().zip(columns).filter(|(after, _)| absent(after)) {
                    // of a column that is never logged the value before is no help
                    if column.left_out != LeftOut::Always {
                        *after = *before;
                    }
                    if doubtful && absent(after) && !column.generated {
                        return Err(perhaps_replaced(table, column));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the image after says which row it is, as that of a statement that inserts would: by the whole key, unchanged or
    /// together with another unique key. Under NOBLOB every update does.
    fn may_be_replaced(&self, table: &TableSchema) -> bool {
        let there = |column: &usize| !matches!(self.after.get(*column), None | Some(ValueRef::Absent));
        let key = table.key_columns();
        let unchanged = || key.iter().all(|column| self.before.get(*column) == self.after.get(*column));
        let columns = |index: &Index| index.parts.iter().filter_map(|part| part.column).collect::<Vec<_>>();
        let another = |index: &Index| index.kind == IndexKind::Unique && columns(index).iter().all(there);
        key.iter().all(there) && !key.is_empty() && (unchanged() || table.indexes.iter().any(another))
    }
}

/// An update that may have been REPLACE (MariaDB's `write_record` in `sql_insert.cc` makes it one where the last unique key is
/// the one that conflicts) or INSERT … ON DUPLICATE KEY UPDATE; both are logged alike, and what is absent differs.
#[cold]
fn perhaps_replaced(table: &TableSchema, column: &Column) -> Error {
    Error::new(
        ErrorKind::UnsupportedEvent,
        format!("column {}.{} is not in the image of a row that may have been replaced", table.name, column.name),
    )
    .detail(
        "under binlog_row_image MINIMAL and NOBLOB MariaDB logs REPLACE as an update without the columns that fell back \
         to their defaults, and statements that keep those columns alike",
    )
    .with_hint(COPY_ANEW)
}

/// A value that is needed and that the log does not carry.
#[cold]
#[must_use]
pub fn not_in_the_image(table: &TableSchema, column: &Column) -> Error {
    Error::new(
        ErrorKind::UnsupportedEvent,
        format!("column {}.{} is not in a row's image and its value is not known", table.name, column.name),
    )
    .detail("the source writes partial row images (binlog_row_image is MINIMAL or NOBLOB)")
    .with_hint(COPY_ANEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample::{int, table};
    use ValueRef::{Absent, Int, Null};

    /// `id` the key, `n` with a default of 5, `m` unique.
    fn known() -> TableSchema {
        let columns = [("id", int(4, false)), ("n?", int(4, false)), ("m?", int(4, false))];
        let mut table = table("a", &columns).primary(&[0]).indexed("m", IndexKind::Unique, &[2]);
        table.columns[1].left_out = LeftOut::of_value(&Int(5)).unwrap();
        table.columns[2].left_out = LeftOut::Null;
        table
    }

    fn completed(
        op: Op,
        lossy: bool,
        before: &[ValueRef<'static>],
        after: &[ValueRef<'static>],
    ) -> Result<Vec<String>> {
        let table = known();
        let mut images = RowImages { before: before.to_vec(), after: after.to_vec() };
        images.complete(op, &table, lossy)?;
        Ok(images.after.iter().map(|value| format!("{value:?}")).collect())
    }

    #[test]
    fn a_new_row_takes_the_defaults_that_are_known() {
        assert_eq!(completed(Op::Insert, true, &[], &[Int(1), Absent, Absent]).unwrap(), ["Int(1)", "Int(5)", "Null"]);
        let error = completed(Op::Insert, false, &[], &[Absent, Absent, Int(2)]).unwrap_err();
        assert!(error.message().contains("lab.a.id"), "{}", error.report());
    }

    #[test]
    fn what_the_after_image_lacks_is_as_it_was_before() {
        let update = |before: &[_], after: &[_]| completed(Op::Update, true, before, after).unwrap();
        assert_eq!(update(&[Int(1), Absent, Absent], &[Absent, Int(2), Absent]), ["Int(1)", "Int(2)", "Absent"]);
        assert_eq!(update(&[Int(1), Int(7), Null], &[Absent, Absent, Int(2)]), ["Int(1)", "Int(7)", "Int(2)"]);
        let mut table = known();
        table.columns[1].left_out = LeftOut::Always;
        let mut images = RowImages { before: vec![Int(1), Int(7), Null], after: vec![Absent; 3] };
        images.complete(Op::Update, &table, true).unwrap();
        assert_eq!(images.after, [Int(1), Absent, Null], "what is never logged is not known");
    }

    #[test]
    fn an_update_that_may_have_been_replace_is_refused_where_that_is_not_logged() {
        let key = [Int(1), Absent, Absent];
        for after in [[Int(1), Int(2), Absent], [Int(9), Absent, Int(2)]] {
            let error = completed(Op::Update, true, &key, &after).unwrap_err();
            assert!(error.message().contains("may have been replaced"), "{}", error.report());
            assert!(completed(Op::Update, false, &key, &after).is_ok());
        }
        for after in [[Absent, Int(2), Absent], [Int(9), Absent, Absent], [Int(1), Int(2), Int(3)]] {
            assert!(completed(Op::Update, true, &key, &after).is_ok(), "{after:?}");
        }
        // NOBLOB: each image names its row
        let (noblob, after) = ([Int(1), Int(7), Absent], [Int(1), Int(2), Absent]);
        assert!(completed(Op::Update, true, &noblob, &after).is_err());
        assert!(completed(Op::Update, false, &noblob, &after).is_ok());
        assert!(completed(Op::Update, true, &[Int(1), Int(7), Null], &after).is_ok(), "it was known before");
    }
}
