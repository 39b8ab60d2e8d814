//! One event as the server sends it: header, body, checksum; and the bodies of the small events.
//!
//! Owns the event type codes. The bodies of TABLE_MAP and rows events have files of their own.

use super::reader::Reader;
use crate::error::{Result, corrupt};

/// Bytes of the common header, binlog version 4.
pub(super) const HEADER_BYTES: usize = 19;
/// The event was made up by the server for this connection and stands in no file.
pub(super) const FLAG_ARTIFICIAL: u16 = 0x20;
/// An event that may be skipped by whoever does not know it.
const FLAG_IGNORABLE: u16 = 0x80;
/// Set in a format description while its file is being written, and not part of its checksum.
const FLAG_IN_USE: u8 = 0x01;

/// Event type codes: `libs/mysql/binlog/event/binlog_event.h`, MariaDB's `sql/log_event.h`.
pub(super) mod types {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const APPEND_BLOCK: u8 = 9;
    pub const DELETE_FILE: u8 = 11;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V0: u8 = 20;
    pub const DELETE_ROWS_V0: u8 = 22;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
    pub const WRITE_ROWS_COMPRESSED: u8 = 166;
    pub const UPDATE_ROWS_COMPRESSED: u8 = 167;
    /// As 166–168, with the head of version 2; MariaDB knows them and writes none.
    pub const WRITE_ROWS_COMPRESSED_V2: u8 = 169;
    pub const UPDATE_ROWS_COMPRESSED_V2: u8 = 170;
    pub const DELETE_ROWS_COMPRESSED_V2: u8 = 171;
}

/// The common header of every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// When the statement started, seconds since 1970 by the source's clock.
    pub timestamp: u32,
    /// What the event is.
    pub event_type: u8,
    /// The server that wrote it first.
    pub server_id: u32,
    /// Bytes of the whole event: header, body, checksum.
    pub event_size: u32,
    /// Offset of the next event in its file, modulo 2³²; 0 when it stands in no file (or, from MariaDB 11.4 on, when it
    /// is inside a transaction).
    pub log_pos: u32,
    /// `LOG_EVENT_…_F` flags.
    pub flags: u16,
}

impl EventHeader {
    /// Whether the server made the event up for this connection.
    pub(super) fn is_artificial(&self) -> bool {
        self.flags & FLAG_ARTIFICIAL != 0
    }

    pub(super) fn is_ignorable(&self) -> bool {
        self.flags & FLAG_IGNORABLE != 0
    }

    /// The event's size, from its first bytes.
    pub(super) fn peek_size(bytes: &[u8]) -> Option<u32> {
        read_header(&mut Reader::new(bytes)).map(|header| header.event_size)
    }
}

/// One event, its length and checksum verified.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The common header.
    pub header: EventHeader,
    /// What lies between header and checksum.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes one whole event apart. `checksum`: whether it ends in a CRC32 (`binlog_checksum=CRC32`, and the connection
    /// or the file's format description says so).
    ///
    /// # Errors
    /// `Corrupt` when `bytes` is not exactly one event or its checksum does not match.
    pub fn parse(bytes: &'a [u8], checksum: bool) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let header = read_header(&mut reader)
            .ok_or_else(|| corrupt(format!("binlog event of {} bytes is shorter than its header", bytes.len())))?;
        if usize::try_from(header.event_size).ok() != Some(bytes.len()) {
            return Err(corrupt(format!(
                "binlog event of type {} says it has {} bytes, but {} arrived",
                header.event_type,
                header.event_size,
                bytes.len()
            )));
        }
        let mut body = reader.rest();
        if checksum {
            let Some((content, stored)) = body.split_last_chunk::<4>() else {
                return Err(corrupt(format!("binlog event of type {} has no room for a checksum", header.event_type)));
            };
            if crc32(bytes, header.event_type) != u32::from_le_bytes(*stored) {
                return Err(corrupt(format!(
                    "checksum mismatch in a binlog event of type {} ending at offset {}",
                    header.event_type, header.log_pos
                )));
            }
            body = content;
        }
        Ok(Self { header, body })
    }
}

fn read_header(reader: &mut Reader<'_>) -> Option<EventHeader> {
    Some(EventHeader {
        timestamp: reader.u32()?,
        event_type: reader.u8()?,
        server_id: reader.u32()?,
        event_size: reader.u32()?,
        log_pos: reader.u32()?,
        flags: reader.u16()?,
    })
}

/// Whether the events of a file end in a checksum, asked of the first event of the file, its FORMAT_DESCRIPTION (servers
/// from MySQL 5.6 and MariaDB 5.3 on). None for any other event; inner none when it is cut off or the algorithm unknown.
#[must_use]
pub fn logs_checksums(event: &[u8]) -> Option<Option<bool>> {
    let header = read_header(&mut Reader::new(event))?;
    // the algorithm stands before the description's own checksum, which has its place even where there are none
    let algorithm = || event.get(HEADER_BYTES..)?.split_last_chunk::<4>()?.0.last().copied();
    (header.event_type == types::FORMAT_DESCRIPTION).then(|| match algorithm()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

/// Whether the event is a ROTATE that stands in no file: it may come before the file whose description says whether it
/// ends in a checksum.
#[must_use]
pub fn is_artificial_rotate(event: &[u8]) -> bool {
    read_header(&mut Reader::new(event))
        .is_some_and(|header| header.event_type == types::ROTATE && (header.is_artificial() || header.log_pos == 0))
}

/// Whether the event's last four bytes are its checksum.
#[must_use]
pub fn has_checksum(event: &[u8]) -> bool {
    event
        .split_last_chunk::<4>()
        .is_some_and(|(covered, stored)| crc32fast::hash(covered) == u32::from_le_bytes(*stored))
}

/// The checksum of an event that ends in 4 checksum bytes.
fn crc32(bytes: &[u8], event_type: u8) -> u32 {
    let covered = &bytes[..bytes.len().saturating_sub(4)];
    match covered.split_at_checked(HEADER_BYTES) {
        Some((header, body)) if event_type == types::FORMAT_DESCRIPTION => {
            let mut clean = [0; HEADER_BYTES];
            clean.copy_from_slice(header);
            clean[17] &= !FLAG_IN_USE;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&clean);
            hasher.update(body);
            hasher.finalize()
        }
        _ => crc32fast::hash(covered),
    }
}

/// ROTATE: the file that follows, and where in it.
pub(super) fn rotate(body: &[u8]) -> Option<(&str, u64)> {
    let mut reader = Reader::new(body);
    let position = reader.u64()?;
    let file = std::str::from_utf8(reader.rest()).ok()?;
    (!file.is_empty()).then_some((file, position))
}

/// FORMAT_DESCRIPTION: binlog version and length of the common header.
pub(super) fn format_description(body: &[u8]) -> Option<(u16, u8)> {
    let mut reader = Reader::new(body);
    let version = reader.u16()?;
    reader.bytes(50 + 4)?; // server version, creation time
    Some((version, reader.u8()?))
}

/// What a Query event carries.
pub(super) struct Query<'a> {
    /// The session's default database.
    pub database: &'a [u8],
    /// The statement.
    pub sql: &'a [u8],
    /// The session's `sql_mode`, 0 where the event does not tell.
    pub sql_mode: u64,
}

/// Reads a Query event. `load`: whether it is an EXECUTE_LOAD_QUERY.
pub(super) fn query(body: &[u8], load: bool) -> Option<Query<'_>> {
    let mut reader = Reader::new(body);
    reader.bytes(4 + 4)?; // thread, execution time
    let database = usize::from(reader.u8()?);
    reader.u16()?; // error code
    let variables = usize::from(reader.u16()?);
    if load {
        reader.bytes(13)?; // file id, the file name's place in the text, duplicate handling
    }
    let sql_mode = sql_mode(reader.bytes(variables)?).unwrap_or(0);
    let database = reader.bytes(database)?;
    reader.u8()?;
    Some(Query { database, sql: reader.rest(), sql_mode })
}

/// `Q_SQL_MODE_CODE` (1) among the status variables; both servers write it right behind `Q_FLAGS2_CODE` (0).
fn sql_mode(variables: &[u8]) -> Option<u64> {
    let variables = match variables {
        [0, rest @ ..] => rest.get(4..)?,
        all => all,
    };
    let (code, rest) = variables.split_first()?;
    let bits = rest.first_chunk().filter(|_| *code == 1)?;
    Some(u64::from_le_bytes(*bits))
}

/// HEARTBEAT and HEARTBEAT_V2: the file, and the offset where the body carries it.
pub(super) fn heartbeat(event_type: u8, body: &[u8]) -> Option<(&[u8], Option<u64>)> {
    if event_type == types::HEARTBEAT {
        return Some((body, None));
    }
    let mut reader = Reader::new(body);
    let (mut file, mut position) = (&b""[..], None);
    while let Some(field) = reader.u8() {
        if field == 0 {
            break;
        }
        let value = reader.lenenc_bytes()?;
        match field {
            1 => file = value,
            2 => position = Some(Reader::new(value).lenenc()?),
            _ => {}
        }
    }
    Some((file, position))
}

/// XA_PREPARE: whether it is a one-phase commit.
pub(super) fn xa_prepare(body: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(body);
    let one_phase = reader.u8()? != 0;
    reader.u32()?; // format id
    let (global, branch) = (reader.u32()?, reader.u32()?);
    reader.bytes(usize::try_from(u64::from(global) + u64::from(branch)).ok()?)?;
    Some(one_phase)
}

#[cfg(test)]
mod tests {
    use super::super::samples::event;
    use super::*;

    #[test]
    fn a_frame_is_exactly_one_event_with_a_right_checksum() {
        let bytes = event(types::XID, 0, 100, &[7; 8]);
        let frame = Frame::parse(&bytes, true).unwrap();
        assert_eq!((frame.header.event_type, frame.header.log_pos, frame.body), (types::XID, 100, &[7; 8][..]));
        for end in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..end], true).is_err());
            assert!(Frame::parse(&bytes[..end], false).is_err());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Frame::parse(&damaged, true).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_in_use_flag_is_not_part_of_the_checksum() {
        let mut bytes = event(types::FORMAT_DESCRIPTION, 0, 100, &[0; 60]);
        bytes[17] |= FLAG_IN_USE;
        assert!(Frame::parse(&bytes, true).is_ok());
    }

    #[test]
    fn whether_there_are_checksums_is_known_from_the_bytes() {
        let rotate = event(types::ROTATE, 0x20, 0, &[&4_u64.to_le_bytes()[..], b"bin.000002"].concat());
        assert!(is_artificial_rotate(&rotate) && has_checksum(&rotate) && !has_checksum(&rotate[..rotate.len() - 4]));
        let real = event(types::ROTATE, 0, 100, &[0; 12]);
        assert!(!is_artificial_rotate(&real) && logs_checksums(&real).is_none());
        let described = |algorithm| logs_checksums(&event(types::FORMAT_DESCRIPTION, 0, 100, &[0, 0, algorithm]));
        assert_eq!([0, 1, 2].map(described), [Some(Some(false)), Some(Some(true)), Some(None)]);
        assert_eq!(logs_checksums(&event(types::FORMAT_DESCRIPTION, 0, 100, &[])), Some(None));
    }

    #[test]
    fn heartbeats_of_both_versions() {
        assert_eq!(heartbeat(types::HEARTBEAT, b"bin.000001"), Some((&b"bin.000001"[..], None)));
        let v2 = [1, 3, b'b', b'.', b'1', 9, 1, 0, 2, 4, 253, 0, 0, 1, 0];
        assert_eq!(heartbeat(types::HEARTBEAT_V2, &v2), Some((&b"b.1"[..], Some(65536))));
        assert_eq!(heartbeat(types::HEARTBEAT_V2, &[1, 9, b'x']), None);
    }
    #[test]
    fn sql_mode_is_read_where_the_event_carries_it() {
        let body = |variables: &[u8]| {
            let head = [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, variables.len() as u8, 0];
            [&head[..], variables, b"lab\0DROP TABLE t"].concat()
        };
        let both = [&[0, 1, 2, 3, 4, 1][..], &4_u64.to_le_bytes(), &[6, 3, b's', b't', b'd', 0]].concat();
        for (variables, mode) in [(&both[..], 4), (&both[5..], 4), (&[][..], 0), (&[0, 1], 0), (&both[..9], 0)] {
            let body = body(variables);
            let query = query(&body, false).unwrap();
            assert_eq!((query.database, query.sql, query.sql_mode), (&b"lab"[..], &b"DROP TABLE t"[..], mode));
        }
    }
}
