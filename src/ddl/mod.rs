//! DDL as it stands in the binlog: what a statement says, and what it does to the catalogue.
//!
//! | file | owns |
//! | --- | --- |
//! | `words` | comments, quotes, versioned comments, by the session's `sql_mode` |
//! | `affects` | which tables a statement names, for one that need not be understood further |
//! | `read`, `read_table`, `read_column` | the grammar of both dialects, into a [`Statement`] |
//! | `predict` and below | the statement's effects on a catalogue: names first, then columns, then keys |
//! | `resolve` | a column's definition to what the server's catalogue would print of it |
//! | `column_type`, `column_default` | what the catalogue prints to types and defaults; the reader of catalogues uses them too |
//!
//! Enters: the statement's text, the default database, the catalogue before it. Leaves: the catalogue behind it, and the
//! [`Effect`]s: which column came from which, what the difference of two catalogues never tells.
//!
//! Invariant: nothing is guessed. A statement is read to its last word or refused ([`Unread`]); its effects are told or
//! refused ([`Unpredicted`]); and where they are certain and the new schema is not, the table is named with the reason
//! ([`Predicted::uncertain`]). Statements are taken to have succeeded: that is why they stand in the log.

mod affects;
mod alter;
pub(crate) mod column_default;
pub(crate) mod column_type;
mod constant;
#[cfg(test)]
pub(crate) mod corpus;
mod cursor;
mod draft;
#[cfg(test)]
pub(crate) mod generator;
mod keys;
mod predict;
mod read;
mod read_column;
mod read_table;
mod resolve;
mod server;
pub mod statement;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use affects::{Affects, affects};
pub use predict::{Effect, Predicted, Rows, Unpredicted, predict};
pub use read::parse;
pub use server::Server;
pub use statement::Statement;
pub use words::Mode;

/// A statement that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the statement: {why}")]
pub struct Unread {
    /// Why not, with the place.
    pub why: String,
}

impl Unread {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

type Read<T> = Result<T, Unread>;
