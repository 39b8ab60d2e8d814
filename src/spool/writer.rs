//! Frames out.

use super::{MAGIC, Record, VERSION, checksum};
use crate::change::{Boundary, ChangeHead, RowImages, StreamHeader};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use serde::Serialize;
use std::io::Write;

/// Rows of one event are put together into a frame of about so many bytes.
const ROWS_BYTES: usize = 256 << 10;

/// Writes a recording. Dropped without [`Writer::finish`] the file has no end, and whoever reads it is told so.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Where it goes, for messages.
    name: String,
    /// What the rows that wait have in common, and how many they are.
    waiting: Option<(ChangeHead, u32)>,
    rows: Vec<u8>,
    head: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording: magic, version, header. `name` is the file's, for messages.
    ///
    /// # Errors
    /// `Io`.
    pub fn new(out: W, name: impl Into<String>, header: StreamHeader) -> Result<Self> {
        let mut writer = Self { out, name: name.into(), waiting: None, rows: Vec::new(), head: Vec::new() };
        writer.put(&[&MAGIC, &VERSION.to_le_bytes()])?;
        writer.record(&Record::Header(header))?;
        Ok(writer)
    }

    /// Everything but rows.
    ///
    /// # Errors
    /// `Io`.
    pub fn boundary(&mut self, boundary: Boundary) -> Result<()> {
        self.write_rows()?;
        self.record(&Record::Boundary(boundary))
    }

    /// One changed row. No allocation once the buffers have grown.
    ///
    /// # Errors
    /// `Io`.
    pub fn row(&mut self, head: ChangeHead, images: &RowImages<'_>) -> Result<()> {
        if self.waiting.is_some_and(|(waiting, _)| waiting != head) || self.rows.len() >= ROWS_BYTES {
            self.write_rows()?;
        }
        let (_, count) = self.waiting.get_or_insert((head, 0));
        *count += 1;
        let row = (images.before.as_slice(), images.after.as_slice());
        rmp_serde::encode::write(&mut self.rows, &row).map_err(not_packed)
    }

    /// Hands everything to the operating system, rows that wait for more of their kind too.
    ///
    /// # Errors
    /// `Io`.
    pub fn flush(&mut self) -> Result<()> {
        self.write_rows()?;
        self.out.flush().map_err(|error| unwritable(&self.name, error))
    }

    /// Writes the end: everything up to `position` has been told. Returns what was written to.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self, position: Position) -> Result<W> {
        self.write_rows()?;
        self.record(&Record::End(position))?;
        self.flush()?;
        Ok(self.out)
    }

    fn write_rows(&mut self) -> Result<()> {
        let Some((head, rows)) = self.waiting.take() else { return Ok(()) };
        self.record(&Record::Rows { head, rows })
    }

    /// One frame: the record, and the rows that have been put together.
    fn record(&mut self, record: &Record) -> Result<()> {
        self.head.clear();
        let mut serializer = rmp_serde::Serializer::new(&mut self.head).with_struct_map();
        record.serialize(&mut serializer).map_err(not_packed)?;
        let length = u32::try_from(self.head.len() + self.rows.len()).map_err(|_| {
            Error::new(ErrorKind::UnsupportedEvent, "a row is larger than a recording can hold (4 GiB)")
                .with_hint("leave its table out by --tables")
        })?;
        let length = length.to_le_bytes();
        let checksum = checksum(length, &[&self.head, &self.rows]).to_le_bytes();
        let (head, rows) = (std::mem::take(&mut self.head), std::mem::take(&mut self.rows));
        let written = self.put(&[&length, &checksum, &head, &rows]);
        (self.head, self.rows) = (head, rows);
        self.rows.clear();
        written
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<()> {
        let written = parts.iter().try_for_each(|part| self.out.write_all(part));
        written.map_err(|error| unwritable(&self.name, error))
    }
}

fn not_packed(error: rmp_serde::encode::Error) -> Error {
    Error::new(ErrorKind::Bug, "a part of the stream cannot be written as MessagePack").with_source(error)
}

fn unwritable(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{name} cannot be written"))
        .with_hint("make room and record again, from where the file ends")
        .with_source(error)
}
