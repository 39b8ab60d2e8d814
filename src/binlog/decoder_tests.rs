//! Groups, positions and refusals, with events made by hand.

use super::super::Decoder;
use super::super::samples::{event, format_description, inner_event, payload, query, rows, table_map};
use super::*;
use crate::change::RowImages;
use crate::convert::sample::{int, table};
use crate::position::GtidSet;
use crate::schema::SourceType;
use crate::value::ValueRef;
use proptest::prelude::*;

const GTID_BODY: [u8; 42] = {
    let mut body = [7; 42];
    body[17] = 5;
    let mut i = 18;
    while i < 25 {
        body[i] = 0;
        i += 1;
    }
    body
};

/// A table `lab.t (id INT UNSIGNED, name …)`.
fn tables() -> Vec<Arc<TableSchema>> {
    let labels = SourceType::Enum { labels: vec!["a".into(), "b".into()] };
    vec![Arc::new(table("t", &[("id?", int(4, true)), ("e?", labels)]))]
}

fn lab_t(optional: &[u8]) -> Vec<u8> {
    table_map("lab", "t", &[3, 254], &[247, 1], optional)
}

struct Stream {
    decoder: Decoder,
    offset: u32,
}

impl Stream {
    fn new(flavor: Flavor) -> Self {
        let gtid = match flavor {
            Flavor::MySql => GtidSet::MySql("07070707-0707-0707-0707-070707070707:1-4".parse().unwrap()),
            Flavor::MariaDb => GtidSet::MariaDb("0-7-4".parse().unwrap()),
        };
        let start = Position { binlog: BinlogOffset::new("b.000001", 1000), gtid: Some(gtid) };
        Self { decoder: Decoder::new(flavor, start, tables()), offset: 1000 }
    }

    /// What the next event becomes, in words; rows are read to the end.
    fn event(&mut self, event_type: u8, body: &[u8]) -> Result<String> {
        self.offset += 23 + body.len() as u32;
        self.raw(event_type, 0, self.offset, body)
    }

    fn raw(&mut self, event_type: u8, flags: u16, log_pos: u32, body: &[u8]) -> Result<String> {
        let bytes = event(event_type, flags, log_pos, body);
        words(self.decoder.decode(Frame::parse(&bytes, true)?)?)
    }

    fn query(&mut self, sql: &str) -> Result<String> {
        self.event(types::QUERY, &query("lab", sql))
    }

    fn position(&self) -> String {
        self.decoder.position().to_string()
    }
}

fn words(decoded: Decoded<'_>) -> Result<String> {
    match decoded {
        Decoded::Nothing => Ok(String::new()),
        Decoded::Boundary(boundary) => Ok(match boundary.into_owned() {
            Boundary::Begin { start, .. } => format!("begin at {start}"),
            Boundary::Commit { position, .. } => format!("commit at {position}"),
            Boundary::Heartbeat { position } => format!("heartbeat at {}", position.binlog),
            Boundary::Ddl(ddl) => format!("ddl {} {}", ddl.database, ddl.sql),
            other => format!("{other:?}").to_lowercase(),
        }),
        Decoded::Rows(mut change) => {
            let mut text = format!("{:?}", change.op).to_lowercase();
            let mut images = RowImages::default();
            while change.next_row(&mut images)? {
                for value in images.before.iter().chain(&images.after) {
                    text.push_str(&match value {
                        ValueRef::UInt(n) => format!(" {n}"),
                        ValueRef::Enum(n) => format!(" #{n}"),
                        other => format!(" {other:?}"),
                    });
                }
            }
            Ok(text)
        }
    }
}

#[test]
fn a_mysql_group() {
    let mut stream = Stream::new(Flavor::MySql);
    assert_eq!(stream.event(types::GTID, &GTID_BODY).unwrap(), "");
    assert_eq!(stream.query("BEGIN").unwrap(), "begin at b.000001:1000");
    assert_eq!(stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap(), "");
    let two = [0, 1, 0, 0, 0x80, 2, 2, 7];
    let body = rows(2, &[0xFF], &[&two[..6], &[2, 3, 0, 0, 0]].concat());
    assert_eq!(stream.event(types::WRITE_ROWS, &body).unwrap(), "insert 2147483649 #2 3 Null");
    assert!(stream.decoder.in_transaction());
    assert_eq!(stream.query("SAVEPOINT `x`").unwrap(), "savepoint(\"x\")");
    assert_eq!(stream.query("ROLLBACK TO x").unwrap(), "rollbackto(\"x\")");
    assert_eq!(stream.position(), "b.000001:1000 (GTID 07070707-0707-0707-0707-070707070707:1-4)");
    let commit = stream.event(types::XID, &[0; 8]).unwrap();
    assert_eq!(commit, format!("commit at b.000001:{} (GTID 07070707-0707-0707-0707-070707070707:1-5)", stream.offset));
    assert_eq!(commit, format!("commit at {}", stream.position()));
}

#[test]
fn updates_carry_both_images() {
    let mut stream = Stream::new(Flavor::MariaDb);
    stream.event(types::MARIADB_GTID, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
    let body = [&[9, 0, 0, 0, 0, 0, 3, 0, 2, 3, 3][..], &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 2]].concat();
    assert_eq!(stream.event(types::UPDATE_ROWS_V1, &body).unwrap(), "update 1 #1 1 #2");
    assert_eq!(stream.query("COMMIT").unwrap(), format!("commit at b.000001:{} (GTID 0-7-5)", stream.offset));
}

#[test]
fn a_group_that_is_cut_short_is_rolled_back_and_leaves_no_gtid() {
    for cut in 0..4 {
        let mut stream = Stream::new(Flavor::MySql);
        stream.event(types::GTID, &GTID_BODY).unwrap();
        stream.query("BEGIN").unwrap();
        let outcome = match cut {
            0 => stream.event(types::FORMAT_DESCRIPTION, &format_description()),
            1 => stream.event(types::ROTATE, b"\x04\0\0\0\0\0\0\0b.000002"),
            2 => stream.event(types::GTID, &GTID_BODY),
            _ => stream.query("BEGIN"),
        };
        let outcome = outcome.unwrap();
        assert!(if cut < 3 { outcome == "rollback" } else { outcome.starts_with("begin") }, "{outcome}");
        assert!(stream.position().ends_with(":1-4)"), "{}", stream.position());
        assert_eq!(stream.position().starts_with("b.000002:4 "), cut == 1);
    }
}

#[test]
fn what_the_server_makes_up_cuts_nothing() {
    let mut stream = Stream::new(Flavor::MySql);
    stream.event(types::GTID, &GTID_BODY).unwrap();
    stream.query("BEGIN").unwrap();
    assert_eq!(stream.raw(types::FORMAT_DESCRIPTION, 0, 0, &format_description()).unwrap(), "");
    assert_eq!(stream.raw(types::ROTATE, 0x20, 0, b"\x04\0\0\0\0\0\0\0b.000001").unwrap(), "");
    assert_eq!(stream.raw(types::HEARTBEAT, 0, 5000, b"b.000001").unwrap(), "");
    assert!(stream.decoder.in_transaction());
    assert!(stream.position().starts_with("b.000001:1000 "));
}

#[test]
fn ddl_is_a_group_and_moves_the_position() {
    let mut stream = Stream::new(Flavor::MySql);
    stream.event(types::GTID, &GTID_BODY).unwrap();
    assert_eq!(stream.query("ALTER TABLE t ADD x INT").unwrap(), "ddl lab ALTER TABLE t ADD x INT");
    assert_eq!(
        stream.position(),
        format!("b.000001:{} (GTID 07070707-0707-0707-0707-070707070707:1-5)", stream.offset)
    );
    assert_eq!(stream.query("GRANT ALL ON *.* TO x").unwrap(), "");
    assert!(stream.position().starts_with(&format!("b.000001:{} ", stream.offset)));
}

#[test]
fn heartbeats_move_the_position_between_groups() {
    let mut stream = Stream::new(Flavor::MySql);
    assert_eq!(stream.raw(types::HEARTBEAT, 0, 5000, b"b.000001").unwrap(), "heartbeat at b.000001:5000");
    assert_eq!(stream.raw(types::HEARTBEAT, 0, 400, b"b.000001").unwrap(), "heartbeat at b.000001:5000");
    let v2 = [1, 8, b'b', b'.', b'0', b'0', b'0', b'0', b'0', b'1', 2, 9, 254, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    assert_eq!(stream.raw(types::HEARTBEAT_V2, 0, 0, &v2).unwrap(), "heartbeat at b.000001:8589934592");
}

#[test]
fn statement_format_is_refused_for_replicated_databases_only() {
    let mut stream = Stream::new(Flavor::MySql);
    stream.query("BEGIN").unwrap();
    let error = stream.query("/* x */ UPDATE t SET secret = 'hunter2'").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedEvent);
    assert!(error.message().starts_with("UPDATE in statement format at b.000001:"));
    assert!(!error.report().contains("hunter2"));
    assert!(stream.event(types::QUERY, &query("other", "UPDATE LAB.t SET a = 1")).is_err());
    assert_eq!(stream.event(types::QUERY, &query("other", "UPDATE u SET a = 'lab'")).unwrap(), "");
}

#[test]
fn dangerous_events_are_refused() {
    use ErrorKind::UnsupportedEvent;
    for event_type in [types::INCIDENT, types::QUERY_COMPRESSED, types::WRITE_ROWS_COMPRESSED, types::WRITE_ROWS_V0, 99]
    {
        let mut stream = Stream::new(Flavor::MySql);
        let error = stream.event(event_type, &[0; 40]).unwrap_err();
        assert!(error.kind() == UnsupportedEvent && error.hint().is_some(), "{event_type}");
    }
    assert_eq!(Stream::new(Flavor::MySql).raw(99, 0x80, 1100, &[]).unwrap(), "");
}

/// What a compressed transaction of these events becomes, up to the first error.
fn compressed(events: &[Vec<u8>]) -> Result<Vec<String>> {
    let mut stream = Stream::new(Flavor::MySql);
    stream.event(types::GTID, &GTID_BODY).unwrap();
    let body = payload(&events.concat());
    stream.offset += 23 + body.len() as u32;
    let bytes = event(types::TRANSACTION_PAYLOAD, 0, stream.offset, &body);
    let frame = Frame::parse(&bytes, true)?;
    let mut all = vec![words(stream.decoder.decode(frame)?)?];
    while let Some(decoded) = stream.decoder.decode_inner(frame)? {
        all.push(words(decoded)?);
    }
    assert!(stream.decoder.decode_inner(frame)?.is_none() && !stream.decoder.in_transaction());
    all.retain(|words| !words.is_empty());
    Ok(all)
}

#[test]
fn a_compressed_transaction_is_a_group_at_its_events_place() {
    let begin = inner_event(types::QUERY, &query("lab", "BEGIN"));
    let map = inner_event(types::TABLE_MAP, &lab_t(&[]));
    let insert = inner_event(types::WRITE_ROWS, &rows(2, &[0xFF], &[0, 1, 0, 0, 0, 1]));
    let xid = inner_event(types::XID, &[0; 8]);
    let whole = [begin.clone(), map.clone(), insert.clone(), xid.clone()];
    let all = compressed(&whole).unwrap();
    let end = 1000 + 23 + 42 + 23 + payload(&whole.concat()).len();
    let commit = format!("commit at b.000001:{end} (GTID 07070707-0707-0707-0707-070707070707:1-5)");
    assert_eq!(all, ["begin at b.000001:1000", "insert 1 #1", &commit]);
    let commit = inner_event(types::QUERY, &query("", "COMMIT"));
    assert_eq!(compressed(&[begin.clone(), commit]).unwrap().len(), 2);

    for (what, events) in [
        ("no end", vec![begin.clone(), map.clone(), insert.clone()]),
        ("nothing", vec![]),
        ("events behind the end", vec![begin.clone(), xid.clone(), begin.clone(), xid.clone()]),
        ("no beginning", vec![map.clone(), insert, xid.clone()]),
        ("another inside", vec![begin.clone(), inner_event(types::TRANSACTION_PAYLOAD, &payload(&[])), xid.clone()]),
        ("a rotate", vec![begin.clone(), inner_event(types::ROTATE, b"\x04\0\0\0\0\0\0\0b.000002"), xid.clone()]),
        ("an event cut off", vec![begin, map[..30].to_vec()]),
    ] {
        let error = compressed(&events).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}");
        assert!(error.message().contains(" at b.000001:1065"), "{what}: {}", error.message());
    }
}

#[test]
fn a_compressed_transaction_must_be_read_to_its_end() {
    let mut stream = Stream::new(Flavor::MySql);
    let body = payload(&inner_event(types::QUERY, &query("lab", "BEGIN")));
    stream.event(types::TRANSACTION_PAYLOAD, &body).unwrap();
    assert_eq!(stream.query("COMMIT").unwrap_err().kind(), ErrorKind::Bug);
}

#[test]
fn partial_images_have_null_bits_for_what_they_carry_only() {
    let begun = || {
        let mut stream = Stream::new(Flavor::MySql);
        stream.query("BEGIN").unwrap();
        stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
        stream
    };
    // the bits beyond the last column mean nothing
    assert_eq!(begun().event(types::DELETE_ROWS, &rows(2, &[0xFD], &[0, 1, 0, 0, 0])).unwrap(), "delete 1 Absent");
    assert_eq!(begun().event(types::WRITE_ROWS, &rows(2, &[2], &[1, 0, 2])).unwrap(), "insert Absent Null Absent #2");
    let update = rows(2, &[1, 2], &[0, 1, 0, 0, 0, 0xFE, 2, 0, 3, 0, 0, 0, 1]);
    assert_eq!(begun().event(types::UPDATE_ROWS, &update).unwrap(), "update 1 Absent Absent #2 3 Absent Absent Null");
    // a row of defaults only is one row without bytes
    assert_eq!(begun().event(types::WRITE_ROWS, &rows(2, &[0], &[])).unwrap(), "insert Absent Absent");
    for (event_type, bitmaps, bytes) in [
        (types::WRITE_ROWS, &[0][..], &[0][..]),
        (types::DELETE_ROWS, &[0], &[]),
        (types::DELETE_ROWS, &[0xFC], &[0, 0]),
        (types::UPDATE_ROWS, &[0, 2], &[0, 2]),
        (types::UPDATE_ROWS, &[1, 2], &[0, 1, 0, 0, 0]),
    ] {
        let error = begun().event(event_type, &rows(2, bitmaps, bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{event_type} {bitmaps:?}");
    }
}

#[test]
fn rows_need_a_transaction_and_a_table_map() {
    let mut stream = Stream::new(Flavor::MySql);
    stream.query("BEGIN").unwrap();
    assert!(stream.event(types::WRITE_ROWS, &rows(2, &[3], &[])).is_err());
    let mut stream = Stream::new(Flavor::MySql);
    stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
    assert!(stream.event(types::WRITE_ROWS, &rows(2, &[3], &[])).is_err());
}

#[test]
fn a_schema_that_does_not_fit_is_an_error() {
    for (what, body) in [
        ("columns", table_map("lab", "t", &[3], &[], &[])),
        ("type", table_map("lab", "t", &[8, 254], &[247, 1], &[])),
        ("enum size", table_map("lab", "t", &[3, 254], &[247, 2], &[])),
        ("signedness", lab_t(&[1, 1, 0x00])),
        ("names", lab_t(&[4, 5, 2, b'i', b'd', 1, b'x'])),
        ("labels", lab_t(&[6, 5, 2, 1, b'a', 1, b'c'])),
        ("number of labels", lab_t(&[6, 3, 1, 1, b'a'])),
    ] {
        let error = Stream::new(Flavor::MySql).event(types::TABLE_MAP, &body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{what}");
        assert!(error.message().contains("lab.t at b.000001:1000") && error.hint().is_some(), "{what}");
    }
    let fitting = lab_t(&[99, 1, 0, 1, 1, 0x80, 4, 5, 2, b'I', b'D', 1, b'e', 6, 5, 2, 1, b'a', 1, b'b']);
    assert_eq!(Stream::new(Flavor::MySql).event(types::TABLE_MAP, &fitting).unwrap(), "");
}

#[test]
fn no_event_lies_before_its_transaction() {
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        let mut stream = Stream::new(flavor);
        stream.query("BEGIN").unwrap();
        let error = stream.raw(types::XID, 0, 1000, &[0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("the transaction starts behind its event"), "{error}");
    }
    // a compressed one
    let mut stream = Stream::new(Flavor::MySql);
    stream.event(types::GTID, &GTID_BODY).unwrap();
    assert!(stream.raw(types::TRANSACTION_PAYLOAD, 0, 900, &payload(&[])).is_err());
}

#[test]
fn one_phase_and_foreign_xa_transactions_are_commits() {
    let xa_prepare = |one_phase: u8| [&[one_phase, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..], b"x"].concat();
    for (rows_of_ours, one_phase, fails) in [(true, 0, true), (true, 1, false), (false, 0, false)] {
        let mut stream = Stream::new(Flavor::MySql);
        stream.event(types::GTID, &GTID_BODY).unwrap();
        assert!(stream.query("XA START X'78',X'',1").unwrap().starts_with("begin at b.000001:1000"));
        if rows_of_ours {
            stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
            stream.event(types::WRITE_ROWS, &rows(2, &[3], &[0, 1, 0, 0, 0, 1])).unwrap();
        }
        stream.query("XA END X'78',X'',1").unwrap();
        match stream.event(types::XA_PREPARE, &xa_prepare(one_phase)) {
            Ok(outcome) => assert!(!fails && outcome.starts_with("commit at"), "{outcome}"),
            Err(error) => assert!(fails && error.kind() == ErrorKind::PreparedXa),
        }
    }
}

proptest! {
    #[test]
    fn no_events_make_it_panic(
        events in proptest::collection::vec((0..170u8, proptest::collection::vec(any::<u8>(), 0..80), any::<bool>()), 1..6),
        mariadb in any::<bool>(),
    ) {
        let mut stream = Stream::new(if mariadb { Flavor::MariaDb } else { Flavor::MySql });
        let _ = stream.query("BEGIN");
        let _ = stream.event(types::TABLE_MAP, &lab_t(&[]));
        for (event_type, mut body, ours) in events {
            if ours && body.len() > 11 {
                let head = rows(2, &[], &[]);
                body[..head.len()].copy_from_slice(&head); // rows of the known table
            }
            let _ = stream.event(event_type, &body);
        }
    }
}

#[test]
fn a_group_that_the_set_holds_already_is_passed_over() {
    let mut stream = Stream::new(Flavor::MySql);
    let mut known = GTID_BODY;
    known[17] = 4; // in 1-4
    stream.event(types::GTID, &known).unwrap();
    stream.query("BEGIN").unwrap();
    stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
    let body = rows(2, &[0xFF], &[2, 3, 0, 0, 0]);
    assert_eq!(stream.event(types::WRITE_ROWS, &body).unwrap(), "");
    assert!(stream.event(types::XID, &[0; 8]).unwrap().starts_with("commit at"));
    stream.event(types::GTID, &known).unwrap();
    assert_eq!(stream.query("ALTER TABLE t ADD x INT").unwrap(), "");
    // the next one is new
    stream.event(types::GTID, &GTID_BODY).unwrap();
    stream.query("BEGIN").unwrap();
    stream.event(types::TABLE_MAP, &lab_t(&[])).unwrap();
    assert_eq!(stream.event(types::WRITE_ROWS, &body).unwrap(), "insert 3 Null");
}
