//! The binlog decoder: raw events in, transaction boundaries and typed rows out.
//!
//! Owns the binlog's byte formats, MySQL's and MariaDB's, and the position within it. What enters is one event at a
//! time, as the server sent it ([`Frame::parse`]); what leaves is a [`Decoded`]: a [`Boundary`](crate::change::Boundary),
//! a [`RowsChange`] that lends its rows' values straight from the event's bytes, or nothing; for a compressed transaction
//! one after the other ([`Decoder::decode_inner`]). No I/O, no clock.
//!
//! Invariants:
//! - **Bounded by the input.** No length that an event claims is trusted before it is checked against the bytes at
//!   hand; damaged bytes give an error of kind `Corrupt`, never a panic and never a value from somewhere else.
//! - **Unpacked as it is read.** What is compressed grows with what comes out of it, never with what it claims, and a compressed
//!   transaction is taken apart event by event.
//! - **Fail closed.** An event that may change a replicated table in a way that is not understood is an error.
//! - **Positions stand between transactions.** [`Decoder::position`] never points into a group of events.
//! - **The schema decides.** Signedness, character sets and labels come from the `TableSchema`s; a TABLE_MAP only has to
//!   agree with them, so `binlog_row_metadata=NO_LOG` (MariaDB's default) loses nothing.
//!
//! Formats: `libs/mysql/binlog/event/` and `sql/log_event.cc` of MySQL, `sql/log_event.h` of MariaDB.

mod boundary;
mod decimal;
mod decoder;
mod event;
pub mod file;
mod gtid;
mod inflate;
pub mod json;
mod json_diff;
mod payload;
mod plan;
mod query;
mod reader;
mod refusals;
mod rows;
mod stream;
mod table_map;
mod temporal;
mod tracker;
mod unpack;

pub use crate::ddl::{Affects, affects};
pub use boundary::{Begin, BoundaryRef};
pub use decoder::Decoded;
pub use event::{EventHeader, Frame, has_checksum, is_artificial_rotate, logs_checksums};
pub use query::{Statement, classify};
pub use rows::RowsChange;
pub use stream::Decoder;

#[cfg(test)]
mod compressed_tests;
#[cfg(test)]
mod damaged_tests;
#[cfg(test)]
mod images_tests;
#[cfg(test)]
#[path = "../../fixtures/binlogs/recorded.rs"]
mod recorded;
#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod samples;
