//! The typed change stream: what every source hands on, in commit order.
//!
//! A stream is a sequence of groups `Begin, (Rows | Savepoint | RollbackTo)*, Commit`, or ended by `Rollback` instead,
//! with `Ddl` and `Heartbeat` between groups. Row values are borrowed from the event's own bytes: nothing is allocated per row.
//!
//! Everything here but the images has a MessagePack form by serde, which `spool` writes to files; the images are two arrays of
//! [`ValueRef`]s.

use crate::position::{BinlogOffset, Position};
use crate::schema::{Flavor, TableSchema};
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
