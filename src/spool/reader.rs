//! Frames in.

use super::{FRAME_HEAD, MAGIC, PREFIX, Record, VERSION, checksum};
use crate::change::{Boundary, ChangeHead, Op, RowImages, StreamHeader};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::Position;
use crate::value::ValueRef;
use rmp_serde::decode::ReadRefReader;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Bytes of a frame, read value by value.
type Values<'a> = rmp_serde::Deserializer<ReadRefReader<'a, [u8]>>;

/// How deep values may be nested, far above what a schema needs: rmp-serde's own limit, 1,024, can be more than a thread's stack.
const MAX_DEPTH: usize = 64;

fn values(payload: &[u8]) -> Values<'_> {
    let mut values = Values::from_read_ref(payload);
    values.set_max_depth(MAX_DEPTH);
    values
}

/// One thing of a recording.
#[derive(Debug)]
pub enum Recorded<'a> {
    /// Everything but rows.
    Boundary(Boundary),
    /// Rows of one event, or a part of them.
    Rows(RecordedRows<'a>),
}

/// Reads a recording.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Where it comes from, for messages.
    name: String,
    header: StreamHeader,
    /// Where the next frame starts.
    next: u64,
    /// The payload in hand.
    payload: Vec<u8>,
    end: Option<Position>,
}

impl<R: Read> Reader<R> {
    /// Reads magic, version and header. `name` is the file's, for messages.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when it is no recording, is damaged, or was written by a later release.
    pub fn new(mut input: R, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let mut prefix = Vec::new();
        input.by_ref().take(PREFIX as u64).read_to_end(&mut prefix).map_err(|error| unreadable(&name, error))?;
        let version = prefix.strip_prefix(&MAGIC[..]).and_then(|rest| rest.try_into().ok()).map(u32::from_le_bytes);
        match version {
            Some(VERSION) => {}
            Some(version) => {
                return Err(corrupt(format!(
                    "{name} has version {version} of the recording's format, this release knows {VERSION}"
                ))
                .with_hint("replay it with the release that recorded it"));
            }
            None => {
                return Err(corrupt(format!("{name} is not a recording: it does not begin with its magic number"))
                    .with_hint("`sirenia record FILE` makes one; binlog files are read by `sirenia tail --files`"));
            }
        }
        let header = StreamHeader {
            flavor: crate::schema::Flavor::MySql,
            server: String::new(),
            from: Position { binlog: crate::position::BinlogOffset::new("", 0), gtid: None },
            schema_at: None,
            tables: Vec::new(),
        };
        let mut reader = Self { input, name, header, next: PREFIX as u64, payload: Vec::new(), end: None };
        let at = reader.next;
        if !reader.frame()? {
            return Err(reader.cut_off(at));
        }
        match Record::deserialize(&mut values(&reader.payload)) {
            Ok(Record::Header(header)) => reader.header = header,
            Ok(_) => return Err(reader.damaged(at, "the first frame is not the header")),
            Err(error) => return Err(reader.unpacked(at, &error)),
        }
        Ok(reader)
    }

    /// Whose stream it is, and its tables.
    #[must_use]
    pub fn header(&self) -> &StreamHeader {
        &self.header
    }

    /// The position up to which the recording tells everything; none before its end has been reached.
    #[must_use]
    pub fn end(&self) -> Option<&Position> {
        self.end.as_ref()
    }

    /// Bytes of the buffer.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.payload.capacity()
    }

    /// Goes to the next frame; false at the recording's end.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when a frame is damaged or the file ends without its end frame.
    pub fn advance(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        let at = self.next;
        if !self.frame()? {
            return Err(self.cut_off(at));
        }
        // the record of an end frame is small, others are read when they are asked for
        if self.payload.starts_with(b"\x81\xa3End") {
            match Record::deserialize(&mut values(&self.payload)) {
                Ok(Record::End(position)) => self.end = Some(position),
                Ok(_) => return Err(self.damaged(at, "the end frame is none")),
                Err(error) => return Err(self.unpacked(at, &error)),
            }
            let behind = self.next;
            if self.frame()? {
                return Err(self.damaged(behind, "something follows the end"));
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// What the frame in hand holds. Call [`Reader::advance`] first.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn current(&self) -> Result<Recorded<'_>> {
        let at = self.next - (FRAME_HEAD + self.payload.len()) as u64;
        let mut values = values(&self.payload);
        match Record::deserialize(&mut values) {
            Ok(Record::Boundary(boundary)) => Ok(Recorded::Boundary(boundary)),
            Ok(Record::Rows { head, rows }) => match self.header.tables.get(head.table) {
                Some(table) => {
                    let columns = table.columns.len();
                    let place = Place { name: &self.name, at };
                    Ok(Recorded::Rows(RecordedRows { head, left: rows, columns, values, place }))
                }
                None => Err(self.damaged(at, "rows of a table that the header does not name")),
            },
            Ok(_) => Err(self.damaged(at, "a frame that belongs elsewhere")),
            Err(error) => Err(self.unpacked(at, &error)),
        }
    }

    /// Reads one frame into the payload; false at the end of the file.
    fn frame(&mut self) -> Result<bool> {
        let at = self.next;
        self.payload.clear();
        if self.fill(FRAME_HEAD)? == 0 {
            return Ok(false);
        }
        let Some((length, [a, b, c, d])) = self.payload.split_first_chunk::<4>().map(|(length, rest)| (*length, rest))
        else {
            return Err(self.damaged(at, "the file ends inside a frame"));
        };
        let stored = u32::from_le_bytes([*a, *b, *c, *d]);
        self.payload.clear();
        // grows with what is there, not with what is claimed
        let wanted = u32::from_le_bytes(length) as usize;
        if self.fill(wanted)? < wanted {
            return Err(self.damaged(at, &format!("the file ends inside a frame of {wanted} bytes")));
        }
        if checksum(length, &[&self.payload]) != stored {
            return Err(self.damaged(at, "checksum mismatch"));
        }
        self.next = at + (FRAME_HEAD + wanted) as u64;
        Ok(true)
    }

    fn fill(&mut self, count: usize) -> Result<usize> {
        let read = self.input.by_ref().take(count as u64).read_to_end(&mut self.payload);
        read.map_err(|error| unreadable(&self.name, error))
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Place { name: &self.name, at }.damaged(what)
    }

    fn unpacked(&self, at: u64, error: &rmp_serde::decode::Error) -> Error {
        Place { name: &self.name, at }.unpacked(error)
    }

    fn cut_off(&self, at: u64) -> Error {
        self.damaged(at, "the recording was cut off").with_hint(
            "what stands before it is whole; `sirenia record` was killed, or the file is still being written or was not copied whole",
        )
    }
}

fn unreadable(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{name} cannot be read")).with_source(error)
}

/// Where a frame stands, for messages.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    at: u64,
}

impl Place<'_> {
    fn damaged(self, what: &str) -> Error {
        corrupt(format!("{}: {what}, in the frame at offset {}", self.name, self.at))
            .with_hint("copy the file again or record it again; what stands before that frame is whole")
    }

    /// serde's messages can repeat what was read: only their kind is told.
    fn unpacked(self, error: &rmp_serde::decode::Error) -> Error {
        use rmp_serde::decode::Error as E;
        self.damaged(match error {
            E::InvalidMarkerRead(_) | E::InvalidDataRead(_) => "a value is cut off",
            E::TypeMismatch(_) => "a value has the wrong type",
            E::LengthMismatch(_) => "a value has the wrong length",
            E::DepthLimitExceeded => "values are nested too deeply",
            _ => "a value is malformed",
        })
    }
}

/// The rows of one frame.
#[derive(Debug)]
pub struct RecordedRows<'a> {
    head: ChangeHead,
    left: u32,
    columns: usize,
    values: Values<'a>,
    place: Place<'a>,
}

impl<'a> RecordedRows<'a> {
    /// What they have in common.
    #[must_use]
    pub fn head(&self) -> ChangeHead {
        self.head
    }

    /// Fills `images` with the next row; false after the last one. No allocation once the buffers have grown.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn next_row(&mut self, images: &mut RowImages<'a>) -> Result<bool> {
        images.before.clear();
        images.after.clear();
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        self.left = left;
        let seed = Row { images, columns: self.columns };
        seed.deserialize(&mut self.values).map_err(|error| self.place.unpacked(&error))?;
        let columns = |present: bool| if present { self.columns } else { 0 };
        let (before, after) = (columns(self.head.op != Op::Insert), columns(self.head.op != Op::Delete));
        if (images.before.len(), images.after.len()) != (before, after) {
            return Err(self.place.damaged("a row does not have its table's columns"));
        }
        Ok(true)
    }
}

/// Reads one row into buffers.
struct Row<'i, 'a> {
    images: &'i mut RowImages<'a>,
    columns: usize,
}

impl<'a> DeserializeSeed<'a> for Row<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Row<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two row images")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for image in [&mut self.images.before, &mut self.images.after] {
            let seed = Image { values: image, columns: self.columns };
            seq.next_element_seed(seed)?.ok_or_else(|| serde::de::Error::invalid_length(0, &"two row images"))?;
        }
        Ok(())
    }
}

/// Reads one image into its buffer.
struct Image<'i, 'a> {
    values: &'i mut Vec<ValueRef<'a>>,
    columns: usize,
}

impl<'a> DeserializeSeed<'a> for Image<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Image<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the values of a row")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            if self.values.len() == self.columns {
                return Err(serde::de::Error::invalid_length(self.columns, &"a value per column"));
            }
            self.values.push(value);
        }
        Ok(())
    }
}
