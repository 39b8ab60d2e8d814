//! The change stream as a file: MessagePack in frames with a length and a checksum.
//!
//! Enters: a [`StreamHeader`], then boundaries and rows ([`Writer`]). Leaves: the same again
//! ([`Reader`]), values borrowed from the frame's bytes. Both stream: what is held is one frame and, when writing, the rows
//! that wait for theirs.
//!
//! # The format, version 1
//!
//! Integers outside of MessagePack are little-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic: `89 53 49 52 45 4E 49 41`, that is 0x89 and `SIRENIA` |
//! | 4 | version: 1 |
//! | … | frames to the end of the file |
//!
//! | a frame's bytes | what |
//! | --- | --- |
//! | 4 | length of the payload |
//! | 4 | CRC32 (IEEE) of the four bytes of the length and the payload |
//! | length | payload |
//!
//! The payload begins with one MessagePack value: a map of one entry, whose key says what the frame is; structures are maps by
//! their fields' names.
//!
//! | key | content | where |
//! | --- | --- | --- |
//! | `Header` | flavor, version of the server, source position, the tables with all their columns | the first frame |
//! | `Boundary` | `Begin`, `Commit`, `Rollback`, `Savepoint`, `RollbackTo`, `Ddl` or `Heartbeat`, each with its content | |
//! | `Rows` | table, op, `foreign_key_checks`, offset of the event (`at`), and the number of rows | between `Begin` and the group's end |
//! | `End` | the position up to which the file tells everything | the last frame |
//!
//! In a `Rows` frame the rows follow: for each an array of two arrays, the images before and after. An image that does not
//! exist is empty; the others have one value per column of the table, in its order. A value is the string `Absent` or `Null`,
//! or a map of the kind's name to the content, as [`crate::value::ValueRef`] lists them.
//!
//! Invariants: **a file without its `End` frame was cut off**, and reading it ends in an error behind the last whole frame.
//! Nothing a file claims is believed before it was checked: memory grows with the bytes that are really there. Damage is an
//! error of kind `Corrupt` with the file and the offset of its frame, never a panic.

mod reader;
mod writer;

pub use reader::{Reader, Recorded, RecordedRows};
pub use writer::Writer;

use crate::change::{Boundary, ChangeHead, StreamHeader};
use crate::position::Position;
use serde::{Deserialize, Serialize};

/// First bytes of a recording.
pub const MAGIC: [u8; 8] = *b"\x89SIRENIA";
/// The format's version.
pub const VERSION: u32 = 1;
/// Magic and version.
const PREFIX: usize = 12;
/// Length and checksum before a payload.
const FRAME_HEAD: usize = 8;

/// What a frame begins with.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Header(StreamHeader),
    Boundary(Boundary),
    Rows { head: ChangeHead, rows: u32 },
    End(Position),
}

/// The checksum of a frame.
fn checksum(length: [u8; 4], payload: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    payload.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests;
