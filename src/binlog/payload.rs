//! Compressed transactions of MySQL (`binlog_transaction_compression`): one event that holds the events of a group.
//!
//! The zstd stream is unpacked as far as the next event needs it, never whole: memory is the largest event inside, plus zstd's
//! window, which is as large as the writer's compression level makes it (level 3: 2 MiB, level 22: 128 MiB, the most that is
//! taken). An event's length is a claim; the buffer grows with what comes out. Inner events have no checksum, and no
//! positions of their own.
//!
//! Format: `libs/mysql/binlog/event/codecs/binary.cpp` of MySQL (fields: type, length, value, all length-encoded).

use super::event::{EventHeader, Frame, HEADER_BYTES};
use super::reader::Reader;
use std::fmt;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

/// zstd's own limit, which is what the highest compression level needs.
const WINDOW_LOG_MAX: u32 = 27;
/// Bytes that are unpacked at once, at least.
const STEP: usize = 64 << 10;
/// The longest event (`max_allowed_packet`).
const MAX_EVENT: usize = 1 << 30;

/// How the inner events are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Zstd,
    Plain,
}

/// The event's own fields.
struct Fields<'a> {
    codec: Codec,
    /// Bytes of all inner events.
    unpacked: Option<u64>,
    packed: &'a [u8],
}

fn fields(body: &[u8]) -> Option<Fields<'_>> {
    let mut reader = Reader::new(body);
    let (mut codec, mut unpacked, mut packed) = (Codec::Plain, None, None);
    loop {
        let kind = reader.lenenc()?;
        if kind == 0 {
            break;
        }
        let mut value = Reader::new(reader.lenenc_bytes()?);
        match kind {
            1 => packed = Some(value.lenenc()?),
            2 => {
                codec = match value.lenenc()? {
                    0 => Codec::Zstd,
                    255 => Codec::Plain,
                    _ => return None,
                }
            }
            3 => unpacked = Some(value.lenenc()?),
            _ => {}
        }
    }
    let rest = reader.rest();
    (packed? == rest.len() as u64).then_some(Fields { codec, unpacked, packed: rest })
}

/// One payload on its way through the decoder; its buffers serve all payloads of a connection.
#[derive(Default)]
pub(super) struct Payload {
    zstd: Option<Decoder<'static>>,
    /// How far the packed bytes have been read; none while no payload is open.
    open: Option<usize>,
    /// Whether zstd is between two frames, where the packed bytes may end.
    complete: bool,
    /// Bytes that have come out.
    unpacked: u64,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not handed out.
    filled: std::ops::Range<usize>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("open", &self.open).field("unpacked", &self.unpacked).finish_non_exhaustive()
    }
}

impl Payload {
    /// Whether inner events may be left.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes that its buffer holds on to.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Opens the payload that an event's body is. `None` when its fields are damaged.
    pub fn open(&mut self, body: &[u8]) -> Option<()> {
        let fields = fields(body)?;
        match (&mut self.zstd, fields.codec) {
            (Some(zstd), Codec::Zstd) => zstd.reinit().ok()?,
            (empty, Codec::Zstd) => {
                let mut zstd = Decoder::new().ok()?;
                zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok()?;
                *empty = Some(zstd);
            }
            (_, Codec::Plain) => {}
        }
        (self.open, self.complete, self.unpacked, self.filled) = (Some(0), true, 0, 0..0);
        Some(())
    }

    /// The next event inside; `Ok(None)` behind the last. `body` is the one that was opened.
    ///
    /// # Errors
    /// What is wrong with the packed bytes, in words. The payload is closed then.
    pub fn next<'a>(&'a mut self, body: &[u8]) -> Result<Option<Frame<'a>>, &'static str> {
        match self.length(body) {
            Ok(Some(length)) => {
                let start = self.filled.start;
                self.filled.start += length;
                let bytes = &self.buffer[start..start + length];
                Frame::parse(bytes, false).map(Some).map_err(|_| "a damaged event")
            }
            end => {
                self.open = None;
                end.map(|_| None)
            }
        }
    }

    /// Fills the buffer with one event: its length.
    fn length(&mut self, body: &[u8]) -> Result<Option<usize>, &'static str> {
        let fields = fields(body).ok_or("damaged fields")?;
        if !self.fill(&fields, HEADER_BYTES)? {
            let whole = fields.unpacked.is_none_or(|claimed| claimed == self.unpacked);
            return match (self.filled.len(), whole) {
                (0, true) => Ok(None),
                (0, false) => Err("another length than it says"),
                _ => Err("an event that is cut off"),
            };
        }
        let size = EventHeader::peek_size(&self.buffer[self.filled.clone()]).ok_or("a damaged event")?;
        let size = usize::try_from(size).ok().filter(|size| (HEADER_BYTES..=MAX_EVENT).contains(size));
        let size = size.ok_or("an event with a length that cannot be")?;
        if self.fill(&fields, size)? { Ok(Some(size)) } else { Err("an event that is cut off") }
    }

    /// Unpacks until so many bytes are there; false when the packed bytes end before.
    fn fill(&mut self, fields: &Fields<'_>, wanted: usize) -> Result<bool, &'static str> {
        while self.filled.len() < wanted {
            if self.filled.start > 0 {
                self.buffer.copy_within(self.filled.clone(), 0);
                self.filled = 0..self.filled.len();
            }
            if self.filled.end == self.buffer.len() {
                self.buffer.resize(self.filled.end + self.filled.end.max(STEP), 0);
            }
            let Some(read) = self.open else { return Ok(false) };
            let input = fields.packed.get(read..).ok_or("another body than it began with")?;
            let (used, produced) = self.unpack(fields.codec, input)?;
            if (used, produced) == (0, 0) {
                return if input.is_empty() && self.complete {
                    Ok(false)
                } else {
                    Err("packed bytes that are cut off")
                };
            }
            self.open = Some(read + used);
            self.filled.end += produced;
            self.unpacked += produced as u64;
            if fields.unpacked.is_some_and(|claimed| self.unpacked > claimed) {
                return Err("another length than it says");
            }
        }
        Ok(true)
    }

    /// One step: bytes read, bytes written behind what is filled.
    fn unpack(&mut self, codec: Codec, input: &[u8]) -> Result<(usize, usize), &'static str> {
        let room = &mut self.buffer[self.filled.end..];
        let Some(zstd) = self.zstd.as_mut().filter(|_| codec == Codec::Zstd) else {
            let count = input.len().min(room.len());
            room[..count].copy_from_slice(&input[..count]);
            return Ok((count, count));
        };
        if input.is_empty() && self.complete {
            return Ok((0, 0));
        }
        let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(room));
        let hint = zstd.run(&mut input, &mut output).map_err(|_| "packed bytes that zstd cannot read")?;
        self.complete = hint == 0;
        Ok((input.pos(), output.pos()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::inner_event;
    use super::*;

    fn lenenc(n: u64) -> Vec<u8> {
        [&[254][..], &n.to_le_bytes()].concat()
    }

    fn body(codec: u8, claimed: u64, packed: &[u8]) -> Vec<u8> {
        let size = lenenc(packed.len() as u64);
        [&[2, 3, 252, codec, 0, 3, 9][..], &lenenc(claimed), &[1, 9], &size, &[0], packed].concat()
    }

    fn read(body: &[u8]) -> Result<Vec<usize>, &'static str> {
        let mut payload = Payload::default();
        payload.open(body).ok_or("fields")?;
        let mut lengths = Vec::new();
        while let Some(frame) = payload.next(body)? {
            lengths.push(frame.body.len());
        }
        assert!(!payload.is_open());
        Ok(lengths)
    }

    #[test]
    fn events_come_one_by_one() {
        let sizes = [0, 10, 200_000, 3, 70_000];
        let events: Vec<u8> = sizes.iter().flat_map(|size| inner_event(2, &vec![7; *size])).collect();
        let packed = zstd::encode_all(&events[..], 3).unwrap();
        let claimed = events.len() as u64;
        assert_eq!(read(&body(0, claimed, &packed)), Ok(sizes.to_vec()));
        assert_eq!(read(&body(255, claimed, &events)), Ok(sizes.to_vec()));
        // two frames, one behind the other
        let (a, b) = events.split_at(1000);
        let two = [zstd::encode_all(a, 3).unwrap(), zstd::encode_all(b, 3).unwrap()].concat();
        assert_eq!(read(&body(0, claimed, &two)), Ok(sizes.to_vec()));
        assert_eq!(read(&body(0, claimed - 1, &packed)), Err("another length than it says"));
        assert_eq!(read(&body(0, claimed + 1, &packed)), Err("another length than it says"));
        for end in 0..packed.len() {
            assert!(read(&body(0, claimed, &packed[..end])).is_err(), "{end}");
        }
        assert_eq!(read(&body(7, claimed, &packed)), Err("fields"));
    }

    #[test]
    fn memory_is_the_largest_event_and_not_what_is_claimed() {
        let events: Vec<u8> = (0..2000).flat_map(|_| inner_event(2, &[7; 10_000])).collect();
        let packed = zstd::encode_all(&events[..], 3).unwrap();
        let body_of_all = body(0, events.len() as u64, &packed);
        let mut payload = Payload::default();
        payload.open(&body_of_all).unwrap();
        while let Ok(Some(_)) = payload.next(&body_of_all) {}
        assert!(!payload.is_open() && payload.capacity() <= 2 * STEP, "{}", payload.capacity());

        let mut lying = inner_event(2, &[7; 100]);
        lying[9..13].copy_from_slice(&0x3FFF_FFFF_u32.to_le_bytes());
        let lying = body(0, lying.len() as u64, &zstd::encode_all(&lying[..], 3).unwrap());
        let mut payload = Payload::default();
        payload.open(&lying).unwrap();
        assert_eq!(payload.next(&lying).unwrap_err(), "an event that is cut off");
        assert!(payload.capacity() <= 2 * STEP);
    }
}
