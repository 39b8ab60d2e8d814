//! A binlog file on disk, read without a server.
//!
//! Enters: a path. Leaves: its events as [`Frame`]s, in their order, lengths and checksums verified. One event is held at a
//! time; the length that an event claims is compared with the file's size before room is made for it.
//!
//! The file says by itself how it is to be read: its first event, the format description, names the server and the
//! checksum's algorithm (`Format_description_event` in MySQL's `libs/mysql/binlog/event/control_events.cpp`,
//! `Format_description_log_event` in MariaDB's `sql/log_event.cc`). From MySQL 5.6.1 and MariaDB 5.3 on it has a checksum itself,
//! whether the other events have them or not; older files are taken for damaged ones. Encrypted files can only be read through their server.
//!
//! A server sends a made-up ROTATE before each file, which names it; [`rotate_to`] makes the same one for a [`super::Decoder`].

use super::event::{self, Frame, HEADER_BYTES, types};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::BinlogOffset;
use crate::schema::Flavor;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// First bytes of a binlog file.
const MAGIC: [u8; 4] = *b"\xfebin";
/// First bytes of a file that MySQL has encrypted (`binlog_encryption=ON`).
const ENCRYPTED: [u8; 4] = *b"\xfdbin";
/// Where an event's length stands in its header.
const LENGTH_AT: usize = 9;

/// An open binlog file.
#[derive(Debug)]
pub struct BinlogFile {
    path: PathBuf,
    name: String,
    input: BufReader<File>,
    flavor: Flavor,
    server: String,
    checksum: bool,
    /// Where the next event starts.
    next: u64,
    /// The event in hand.
    event: Vec<u8>,
    /// Whether it is the format description, which opening has read already.
    opened: bool,
}

impl BinlogFile {
    /// Opens the file and reads its format description.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Corrupt` when it is no binlog file; `UnsupportedEvent` when it is encrypted.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |error| unreadable(path, error);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut input = BufReader::with_capacity(256 << 10, File::open(path).map_err(io)?);
        let mut magic = Vec::new();
        input.by_ref().take(4).read_to_end(&mut magic).map_err(io)?;
        if magic == ENCRYPTED {
            return Err(encrypted(path));
        }
        if magic != MAGIC {
            return Err(corrupt(format!(
                "{} is not a binlog file: it does not begin with its magic number",
                path.display()
            ))
            .with_hint("name files that the server lists in SHOW BINARY LOGS"));
        }
        let (path, event) = (path.to_owned(), Vec::new());
        let (flavor, server) = (Flavor::MySql, String::new());
        let mut file = Self { path, name, input, flavor, server, checksum: false, next: 4, event, opened: false };
        let Some(length) = file.read_event()? else {
            return Err(file.damaged(4, "ends before its format description"));
        };
        file.format_description(length)?;
        file.opened = true;
        Ok(file)
    }

    /// The file's name without its folder, as positions carry it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server family that wrote it.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The version of the server that wrote it, as it prints it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Goes to the next event; false at the file's end.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` with file and offset when the file ends inside an event.
    pub fn advance(&mut self) -> Result<bool> {
        if std::mem::take(&mut self.opened) {
            return Ok(true);
        }
        Ok(self.read_event()?.is_some())
    }

    /// The event in hand. Call [`BinlogFile::advance`] first.
    ///
    /// # Errors
    /// `Corrupt` with file and offset when it is damaged; `UnsupportedEvent` when what follows is encrypted.
    pub fn frame(&self) -> Result<Frame<'_>> {
        let kind = self.event.get(4).copied().unwrap_or_default();
        let at = self.next - self.event.len() as u64;
        let checksum = self.checksum || kind == types::FORMAT_DESCRIPTION;
        let frame = Frame::parse(&self.event, checksum)
            .map_err(|error| error.at(format!("{} at offset {at}", self.path.display())))?;
        if kind == types::START_ENCRYPTION {
            return Err(encrypted(&self.path));
        }
        Ok(frame)
    }

    /// Reads one event into the buffer: its length, or none at the file's end.
    fn read_event(&mut self) -> Result<Option<usize>> {
        let at = self.next;
        self.event.clear();
        let header = self.fill(HEADER_BYTES as u64)?;
        if header == 0 {
            return Ok(None);
        }
        let claimed = self.event.get(LENGTH_AT..LENGTH_AT + 4).and_then(|bytes| bytes.try_into().ok());
        let Some(claimed) = claimed.map(u32::from_le_bytes).filter(|_| header == HEADER_BYTES) else {
            return Err(self.damaged(at, "ends inside the header of an event"));
        };
        let length = claimed as usize;
        if length < HEADER_BYTES {
            return Err(self.damaged(at, &format!("has an event of {claimed} bytes, shorter than its header")));
        }
        // a file that is being written grows: its size is asked for each event that is not small
        let size = if length > 64 << 10 { self.size()? } else { u64::MAX };
        let whole = at.checked_add(u64::from(claimed)).is_some_and(|end| end <= size);
        if !whole || self.fill((length - HEADER_BYTES) as u64)? < length - HEADER_BYTES {
            return Err(self.damaged(at, &format!("ends inside an event of {claimed} bytes")));
        }
        self.next = at + u64::from(claimed);
        Ok(Some(length))
    }

    /// Appends up to `count` bytes to the event.
    fn fill(&mut self, count: u64) -> Result<usize> {
        let read = self.input.by_ref().take(count).read_to_end(&mut self.event);
        read.map_err(|error| unreadable(&self.path, error))
    }

    fn size(&self) -> Result<u64> {
        let size = self.input.get_ref().metadata().map(|metadata| metadata.len());
        size.map_err(|error| unreadable(&self.path, error))
    }

    /// Takes server and checksums from the format description in hand, which has so many bytes.
    fn format_description(&mut self, length: usize) -> Result<()> {
        let body = &self.event[HEADER_BYTES.min(length)..];
        let version = body.get(2..52).filter(|_| self.event[4] == types::FORMAT_DESCRIPTION);
        let Some(version) = version else {
            return Err(self.damaged(4, "does not begin with a format description"));
        };
        let text = version.split(|byte| *byte == 0).next().unwrap_or_default();
        self.server = String::from_utf8_lossy(text).into_owned();
        self.flavor = if self.server.contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql };
        let Some(Some(checksum)) = event::logs_checksums(&self.event) else {
            return Err(self.damaged(4, "has checksums of an unknown algorithm"));
        };
        self.checksum = checksum;
        // the frame is verified: a format description has a checksum, whatever the other events have
        if event::format_description(self.frame()?.body).is_none() {
            return Err(self.damaged(4, "has a damaged format description"));
        }
        Ok(())
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        corrupt(format!("{} {what}, at offset {at}", self.path.display()))
            .with_hint("copy the file again; the server's own files are whole once FLUSH BINARY LOGS has closed them")
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{} cannot be read", path.display())).with_source(error)
}

fn encrypted(path: &Path) -> Error {
    Error::new(ErrorKind::UnsupportedEvent, format!("{} is encrypted", path.display()))
        .detail("only the server that wrote it has the key")
        .with_hint("read it through the server, which sends it decrypted: --from FILE:POS instead of --files")
}

/// The body of a ROTATE to a place: offset, then name.
#[must_use]
pub fn rotate_to(place: &BinlogOffset) -> Vec<u8> {
    [&place.offset.to_le_bytes()[..], place.file.as_bytes()].concat()
}

/// The made-up ROTATE with that body, as a server sends it before each file.
#[must_use]
pub fn rotate_frame(body: &[u8]) -> Frame<'_> {
    let event_size = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let header = event::EventHeader {
        timestamp: 0,
        event_type: types::ROTATE,
        server_id: 0,
        event_size,
        log_pos: 0,
        flags: event::FLAG_ARTIFICIAL,
    };
    Frame { header, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const MARIADB: &[u8] = include_bytes!("../../fixtures/binlogs/mariadb.binlog");
    const MYSQL: &[u8] = include_bytes!("../../fixtures/binlogs/mysql.binlog");

    /// A file in the temporary folder that goes when it is dropped.
    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn scratch(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("sirenia-binlog-{}-{name}.000002", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }

    fn events(path: &Path) -> Result<Vec<u8>> {
        let mut file = BinlogFile::open(path)?;
        let mut types = Vec::new();
        while file.advance()? {
            types.push(file.frame()?.header.event_type);
        }
        Ok(types)
    }

    #[test]
    fn whole_files_are_read_to_their_end() {
        for (bytes, flavor, version) in [(MARIADB, Flavor::MariaDb, "10.11"), (MYSQL, Flavor::MySql, "9.7")] {
            let file = scratch(version, bytes);
            let opened = BinlogFile::open(&file.0).unwrap();
            assert_eq!(opened.flavor(), flavor);
            assert!(opened.server().starts_with(version), "{}", opened.server());
            let types = events(&file.0).unwrap();
            assert_eq!((types[0], types.last()), (types::FORMAT_DESCRIPTION, Some(&types::ROTATE)));
            assert!(types.len() > 100);
        }
    }

    /// Every cut inside the first kilobytes, and cuts of the rest at every seventh byte: between two events the file is
    /// merely shorter, anywhere else it is an error that names file and offset.
    #[test]
    fn truncated_files_are_refused() {
        let whole = scratch("whole", MARIADB);
        let mut ends = vec![];
        let mut file = BinlogFile::open(&whole.0).unwrap();
        while file.advance().unwrap() {
            ends.push(file.next as usize);
        }
        for end in (0..2000).chain((2000..MARIADB.len()).step_by(7)) {
            let cut = scratch("cut", &MARIADB[..end]);
            match events(&cut.0) {
                Ok(_) => assert!(ends.contains(&end), "{end}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    assert!(!ends.contains(&end), "{end}: {error}");
                    assert!(error.message().contains(".000002"), "{error}");
                    assert!(end < 4 || error.message().contains("at offset"), "{error}");
                }
            }
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        for at in (4..MYSQL.len()).step_by(11) {
            let mut bytes = MYSQL.to_vec();
            bytes[at] ^= 0x40;
            let damaged = scratch("damaged", &bytes);
            let error = events(&damaged.0).expect_err("a flipped bit").to_string();
            assert!(error.contains(".000002") && error.contains("at offset"), "{at}: {error}");
        }
    }

    #[test]
    fn a_claimed_length_makes_no_room() {
        let mut bytes = MYSQL[..200].to_vec();
        let first = u32::from_le_bytes(bytes[13..17].try_into().unwrap()) as usize;
        bytes[4 + first + LENGTH_AT..][..4].copy_from_slice(&0x7FFF_FFF0_u32.to_le_bytes());
        let lying = scratch("lying", &bytes);
        let mut file = BinlogFile::open(&lying.0).unwrap();
        assert!(file.advance().unwrap());
        let error = file.advance().unwrap_err().to_string();
        assert!(error.contains("ends inside an event of 2147483632 bytes"), "{error}");
        assert!(file.event.capacity() < 1 << 20);
    }

    #[test]
    fn what_is_no_binlog_is_said() {
        let text = scratch("text", b"#!/bin/sh\necho");
        assert!(events(&text.0).unwrap_err().to_string().contains("is not a binlog file"));
        let mysql = scratch("encrypted", b"\xfdbin\x01\x02\x03");
        let mut mariadb = MARIADB.to_vec();
        let first = u32::from_le_bytes(mariadb[13..17].try_into().unwrap()) as usize;
        mariadb.truncate(4 + first);
        let start = super::super::samples::event(types::START_ENCRYPTION, 0, 0, &[1, 0, 0, 0, 1]);
        mariadb.extend(start);
        let mariadb = scratch("start-encryption", &mariadb);
        for file in [mysql, mariadb] {
            let error = events(&file.0).unwrap_err();
            assert!(error.to_string().contains("is encrypted"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("through the server")));
        }
        let missing = events(Path::new("/nowhere/bin.000001")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Io);
    }
}
