//! Whole events, one after the other, as from a connection or from a file.

use super::watch::Watch;
use super::{all, head, wire};
use sirenia::binlog::Frame;
use sirenia::binlog::file::BinlogFile;
use sirenia::error::ErrorKind;
use sirenia::schema::Flavor;

/// Bytes before an event's body in an input: type, flags, offset of the next event, length.
const HEAD: usize = 8;

/// First byte: 1 MariaDB, 2 with GTIDs, 4 a file of raw events without checksums; else events in a form of their own, whose
/// lengths can be wrong without ending everything.
pub fn event(data: &[u8]) {
    let ([mode], rest) = head(data);
    let flavor = if mode & 1 == 1 { Flavor::MariaDb } else { Flavor::MySql };
    let mut watch = Watch::new(flavor, mode & 2 != 0, all(flavor));
    if mode & 4 != 0 {
        file(rest, &mut watch);
        return;
    }
    let mut rest = rest;
    while !rest.is_empty() {
        let ([event_type, flags, a, b, c, d, low, high], tail) = head::<HEAD>(rest);
        let (body, tail) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes([low, high]))));
        let event = wire::event(event_type, u16::from(flags), u32::from_le_bytes([a, b, c, d]), body);
        let frame = wire::frame(&event);
        let whole = wire::with_checksum(&event);
        let checked = Frame::parse(&whole, true).expect("an event with its checksum");
        assert_eq!((checked.body, checked.header.log_pos), (frame.body, frame.header.log_pos));
        if watch.take(frame, &mut |_, _| {}).is_err() {
            break;
        }
        rest = tail;
    }
}

/// A recorded event, which ends in its checksum, as it stands in an input.
pub fn record(event: &[u8]) -> Vec<u8> {
    let body = &event[19..event.len() - 4];
    let mut record = vec![event[4], event[17]];
    record.extend(&event[13..17]);
    record.extend((body.len() as u16).to_le_bytes());
    record.extend(body);
    record
}

/// A file that says it has no checksums, and after its description whatever the input has.
fn file(rest: &[u8], watch: &mut Watch) {
    let mut description = vec![4, 0];
    description.extend(b"10.11.19-MariaDB-log");
    description.resize(100, 0);
    description[56] = 19;
    let description = wire::with_checksum(&wire::event(wire::FORMAT_DESCRIPTION, 0, 123, &description));
    let path = std::env::temp_dir().join(format!("sirenia-fuzz-{}.000002", std::process::id()));
    std::fs::write(&path, [b"\xfebin", &description[..], rest].concat()).expect("a file");
    let opened = BinlogFile::open(&path);
    std::fs::remove_file(&path).expect("the file");
    let mut file = opened.expect("a file with its description");
    let mut seen = 0;
    loop {
        match file.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.report());
                return;
            }
        }
        let Ok(frame) = file.frame() else { return };
        seen += frame.header.event_size as usize;
        if watch.take(frame, &mut |_, _| {}).is_err() {
            return;
        }
    }
    assert_eq!(seen, description.len() + rest.len(), "read to its end, it is read whole");
}
