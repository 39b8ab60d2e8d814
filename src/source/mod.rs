//! The source edge: everything that talks to MySQL or MariaDB.
//!
//! | file | owns |
//! | --- | --- |
//! | [`connect`] | address and login, and the one session every connection has (UTC, no conversion of text, REPEATABLE READ) |
//! | [`refusal`] | what a client or server error means: kind, and the grant or setting that mends it |
//! | [`server`] | facts about the server; the binlog's write position and files |
//! | [`preflight`] | what stands in the way, each with the statement that mends it |
//! | [`computed`] | generated columns that change without a word in the log |
//! | [`row_image`] | what row images leave out, and what then cannot be replicated |
//! | [`ahead`] | the DDL statements that the log holds ahead of the stream |
//! | [`load`] | how busy it is |
//! | [`standstill`] | whether it is read-only, and where it counts on |
//! | [`probe`] | values that the target might not hold, counted |
//! | [`catalog`] | the tables, read in a handful of queries |
//! | [`snapshot`] | the start position, which tables need an exact reading, and the rows themselves |
//! | [`client`] | our own client of the protocol, for what the servers send in bulk |
//! | [`rows`] | the connection on which the server sends rows, and values out of their packets |
//! | [`replica`] | the connection on which the server sends its binlog |
//! | [`transport`] | raw binlog events, from a position on |
//!
//! Enters: a [`connect::SourceConfig`] and the mapping. Leaves: a catalogue, positions, rows as
//! [`crate::value::ValueRef`]s, and raw events for the binlog decoder.
//! Nothing here writes to the source. Nothing here knows the target.

pub mod ahead;
pub mod catalog;
#[cfg(test)]
mod charset_tests;
mod client;
mod computed;
pub mod connect;
#[cfg(test)]
mod ddl_oracle_tests;
pub mod load;
pub mod preflight;
pub mod probe;
pub mod refusal;
mod replica;
pub mod row_image;
pub mod rows;
pub mod server;
pub mod snapshot;
pub mod standstill;
#[cfg(test)]
mod testing;
pub mod transport;

/// A control connection to the source: for those who only hand it on.
pub use mysql_async::Conn;
