//! The decoder of one connection or file: frames in, groups and rows out; compressed transactions are taken apart on the way.
//!
//! A frame gives one [`Decoded`], except for a compressed transaction, which gives one for each event inside it. They come
//! one at a time, each as soon as it is unpacked, so that neither the transaction nor its unpacked bytes are ever held whole.

use super::decoder::{Decoded, EventDecoder};
use super::event::{Frame, types};
use super::payload::Payload;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{BinlogOffset, Position};
use crate::schema::{Flavor, TableSchema};
use std::sync::Arc;

/// Turns the events of one connection, in their order, into the change stream.
#[derive(Debug)]
pub struct Decoder {
    events: EventDecoder,
    payload: Payload,
}

impl Decoder {
    /// A decoder for a connection that starts at `start`. `tables` are the replicated tables; downstream a table is its
    /// index in this slice. Rows of every other table are skipped undecoded. GTIDs are recorded if `start` has a set.
    #[must_use]
    pub fn new(flavor: Flavor, start: Position, tables: Vec<Arc<TableSchema>>) -> Self {
        Self { events: EventDecoder::new(flavor, start, tables), payload: Payload::default() }
    }

    /// Passes over the rows of a table (its index) from now on, as if it were not ours.
    pub fn leave_out(&mut self, table: usize) {
        self.events.leave_out(table);
    }

    /// The table (its index) was copied at that position: an earlier transaction may show it as it was before a DDL
    /// statement, and is passed over where it does.
    pub fn copied_at(&mut self, table: usize, position: BinlogOffset) {
        self.events.copied_at(table, position);
    }

    /// The position as of the last boundary between transactions: where a restart may continue.
    #[must_use]
    pub fn position(&self) -> Position {
        self.events.position()
    }

    /// The same, lent.
    #[must_use]
    pub fn position_ref(&self) -> &Position {
        self.events.position_ref()
    }

    /// Whether a group is open: begun and neither committed nor rolled back.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.events.in_transaction()
    }

    /// The current binlog file with the header timestamp and server id of its format description, which no two files
    /// of one name share.
    #[must_use]
    pub fn file_fingerprint(&self) -> Option<(&str, u32, u32)> {
        self.events.file_fingerprint()
    }

    /// Bytes that its buffers hold on to.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.events.held_bytes() + self.payload.capacity()
    }

    /// Takes the next event. Behind it [`Decoder::decode_inner`] is to be called with the same frame until it gives none.
    ///
    /// # Errors
    /// `Corrupt` for damaged events, `SchemaMismatch`, `UnsupportedEvent` and `PreparedXa` for what must not be passed over,
    /// `Bug` while events inside the frame before have not been taken. The decoder cannot go on after an error: make a new
    /// one, at the checkpoint.
    pub fn decode<'a>(&'a mut self, frame: Frame<'a>) -> Result<Decoded<'a>> {
        if self.payload.is_open() {
            return Err(Error::new(ErrorKind::Bug, "a compressed transaction was not read to its end"));
        }
        if frame.header.event_type != types::TRANSACTION_PAYLOAD {
            return self.events.decode(frame);
        }
        self.events.enter_payload(&frame.header)?;
        self.payload.open(frame.body).ok_or_else(|| self.events.damaged("compressed transaction"))?;
        Ok(Decoded::Nothing)
    }

    /// Whether the frame that was decoded last may give more.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.payload.is_open()
    }

    /// The next event inside a compressed transaction, which `frame` is; none behind the last, and for every other frame.
    ///
    /// # Errors
    /// As [`Decoder::decode`]; `Corrupt` also when the transaction does not end inside the frame.
    pub fn decode_inner<'a>(&'a mut self, frame: Frame<'_>) -> Result<Option<Decoded<'a>>> {
        if !self.payload.is_open() {
            return Ok(None);
        }
        match self.payload.next(frame.body) {
            Ok(Some(inner)) => self.events.inner(inner).map(Some),
            Ok(None) => self.events.leave_payload().map(|()| None),
            Err(what) => Err(self.events.damaged("compressed transaction").detail(format!("it has {what}"))),
        }
    }
}
