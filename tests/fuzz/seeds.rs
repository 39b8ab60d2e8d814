//! Makes the first inputs of the corpora, from the recorded binlogs and from what the unit tests know.

use super::folder;
use super::targets::seeds::{FILES, KINDS, MARIADB, NAMES, all, encode, event, events, header, record, recorded};
use sha2::{Digest, Sha256};
use sirenia::binlog::{Decoded, Decoder, Frame};
use sirenia::change::{Boundary, ChangeHead, Op, RowImages};
use sirenia::position::{BinlogOffset, GtidSet, Position};
use sirenia::schema::Flavor;
use sirenia::spool::Writer;
use sirenia::value::{Date, DateTime, Decimal, Time, ValueRef};

/// Longer ones make a fuzzer slow and find nothing more.
const LONGEST: usize = 4096;

fn keep(target: &str, input: &[u8]) {
    if input.len() <= LONGEST {
        let name: String = Sha256::digest(input).iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        std::fs::create_dir_all(folder(target)).unwrap();
        std::fs::write(folder(target).join(name), input).unwrap();
    }
}

fn flavor(file: usize) -> Flavor {
    if file < MARIADB { Flavor::MySql } else { Flavor::MariaDb }
}

fn body(event: &[u8]) -> &[u8] {
    &event[19..event.len() - 4]
}

/// Adds to the corpora; `cargo fuzz cmin` takes out again what reaches nothing of its own.
#[test]
#[ignore = "writes the first inputs of the fuzz corpora"]
fn write_seeds() {
    for (file, bytes) in FILES.iter().enumerate() {
        let events = events(bytes);
        groups(file, &events);
        rows(file, &events);
        documents(file, &events);
    }
    table_maps();
    by_hand();
    recordings();
    statements();
}

/// DDL by hand for the target `ddl`, eight statements each.
fn statements() {
    let files = [include_str!("../../fixtures/ddl/by_hand.sql"), include_str!("../../fixtures/ddl/odd.sql")];
    for (file, text) in files.into_iter().enumerate() {
        let statements: Vec<&str> = text.split(";\n").collect();
        for (n, eight) in statements.chunks(8).enumerate() {
            let choice = (n + file) as u8 & 1;
            keep("ddl", &[&[choice], eight.join(";\n").as_bytes()].concat());
        }
    }
}

/// What lies between two GTIDs, in both forms of the target `event`.
fn groups(file: usize, events: &[&[u8]]) {
    let mode = u8::from(flavor(file) == Flavor::MariaDb) | 2;
    let starts = |event: &&[u8]| matches!(event[4], 33 | 34 | 42 | 162);
    for group in events.chunk_by(|_, next| !starts(next)) {
        let records: Vec<u8> = group.iter().flat_map(|event| record(event)).collect();
        keep("event", &[&[mode][..], &records].concat());
        let plain =
            |bytes: &&[u8]| event(bytes[4], 0, u32::from_le_bytes(bytes[13..17].try_into().unwrap()), body(bytes));
        let raw: Vec<u8> = group.iter().flat_map(plain).collect();
        keep("event", &[&[mode | 4][..], &raw].concat());
    }
}

fn rows(file: usize, events: &[&[u8]]) {
    let known = recorded();
    let mut table = None;
    for event in events {
        let body = body(event);
        if event[4] == 19 {
            table = known.iter().position(|known| known.flavor == flavor(file) && known.body[6..] == body[6..]);
        }
        let (Some(table), Some(kind)) = (table, KINDS.iter().position(|kind| *kind == event[4])) else { continue };
        let width = all(flavor(file))[known[table].table].columns.len();
        let from = if matches!(event[4], 30..=39) { 10 } else { 8 };
        assert_eq!(usize::from(body[from]), width, "{}", NAMES[known[table].table]);
        keep("rows", &[&[table as u8, kind as u8][..], &body[from + 1..]].concat());
        keep("rows", &[&[table as u8 | 0x80, kind as u8][..], &body[8..]].concat());
        if let 23..=25 = event[4] {
            keep("rows", &[&[table as u8 | 0x40, event[4] - 23 + 7][..], &body[from + 1..]].concat());
        }
    }
}

/// JSON documents, and changes of each that the server could have written.
fn documents(file: usize, events: &[&[u8]]) {
    let gtid = GtidSet::MySql(sirenia::position::MySqlGtidSet::default());
    let start = Position { binlog: BinlogOffset::new("bin.000002", 4), gtid: Some(gtid) };
    let mut decoder = Decoder::new(flavor(file), start, all(flavor(file)).to_vec());
    for event in events {
        let frame = Frame::parse(event, true).unwrap();
        let Ok(Decoded::Rows(mut change)) = decoder.decode(frame) else { continue };
        let mut images = RowImages::default();
        while change.next_row(&mut images).unwrap() {
            for value in images.before.iter().chain(&images.after) {
                if let ValueRef::JsonBinary(document) = value {
                    keep("json", &[&[0][..], document].concat());
                    changes(document);
                }
            }
        }
    }
}

fn changes(document: &[u8]) {
    const REPLACE: u8 = 0;
    const INSERT: u8 = 1;
    const REMOVE: u8 = 2;
    let change = |operation, path: &str, value: &[u8]| {
        let mut bytes = vec![operation, path.len() as u8];
        bytes.extend(path.as_bytes());
        if operation != REMOVE {
            bytes.push(value.len() as u8);
            bytes.extend(value);
        }
        bytes
    };
    let input = |document: &[u8], changes: &[u8]| {
        keep("json", &[&[1][..], &(document.len() as u16).to_le_bytes(), document, changes].concat());
    };
    input(document, &change(REPLACE, "$", &[5, 7, 0]));
    input(document, &[change(INSERT, "$.\"n\\u00e9\"", b"\x0c\x02xy"), change(REMOVE, "$.a", &[])].concat());
    // `{"a": [1, "x"]}`
    let sample = b"\0\x01\0\x18\0\x0b\0\x01\0\x02\x0c\0a\x02\0\x0c\0\x05\x01\0\x0c\x0a\0\x01x";
    input(sample, &change(REPLACE, "$.a[1]", document));
    input(sample, &[change(INSERT, "$.a[0]", document), change(REMOVE, "$.a[2]", &[])].concat());
}

fn table_maps() {
    for known in recorded() {
        let name = NAMES[known.table];
        let mode = known.table as u8 | if known.flavor == Flavor::MariaDb { 0x40 } else { 0 };
        // id, flags, both names with their lengths and NULs
        let from = 8 + 4 + 2 + name.len();
        keep("table_map", &[&[mode][..], &known.body[from..]].concat());
        keep("table_map", &[&[mode | 0x80][..], &known.body].concat());
    }
}

fn by_hand() {
    let heartbeat = [&[1, 10][..], b"bin.000002", &[2, 9, 254, 0, 0, 0, 0, 2, 0, 0, 0, 0]].concat();
    let rotate = [&4_u64.to_le_bytes()[..], b"bin.000003"].concat();
    let xa = [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..], b"x"].concat();
    for (kind, flags, log_pos, body) in
        [(27, 0, 5000, b"bin.000002".to_vec()), (41, 0, 0, heartbeat), (4, 0x20, 0, rotate), (38, 0, 9, xa)]
    {
        let mut input = vec![2, kind, flags];
        input.extend(u32::to_le_bytes(log_pos));
        input.extend((body.len() as u16).to_le_bytes());
        input.extend(body);
        keep("event", &input);
    }
    for (text, precision, scale) in [
        ("1234567890.1234", 14, 4),
        ("-1234567890.1234", 14, 4),
        ("0", 1, 0),
        ("-0.00001", 5, 5),
        ("999999999", 9, 0),
        ("-9999999999999999999999999999999999.999999999999999999999999999999", 64, 30),
    ] {
        let value = encode(text, precision, scale);
        keep("decimal", &[&[precision, scale][..], &value, &value].concat());
    }
    let (uuid, other) = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "8fc9e816-e5ac-11f1-bcb5-02fc00000001");
    for text in [
        "|".to_owned(),
        format!("{uuid}:1-3:5, \n{uuid}:Tag_a:7|{uuid}:4,{other}:1-9"),
        format!("{uuid}:1-5:9:11-18446744073709551614|{uuid}:6-8:10"),
        format!("{other}:_:1:b2:3-4|{other}:1"),
        "0-1-100,7-2-5|0-2-99".into(),
        "4294967295-1-18446744073709551615, 1-1-1".into(),
    ] {
        keep("gtid_set", text.as_bytes());
    }
}

/// A recording with every kind of frame and value.
fn recordings() {
    let at = |offset| {
        let gtid = GtidSet::MariaDb("0-1-100".parse().unwrap());
        Position { binlog: BinlogOffset::new("bin.000001", offset), gtid: Some(gtid) }
    };
    let date = Date { year: 2024, month: 2, day: 29 };
    let values = [
        ValueRef::Absent,
        ValueRef::Null,
        ValueRef::Int(-5),
        ValueRef::UInt(u64::MAX),
        ValueRef::Float(0.5),
        ValueRef::Double(-1e300),
        ValueRef::Decimal(Decimal::from_text(b"-12.340").unwrap()),
        ValueRef::Bit(5),
        ValueRef::Enum(1),
        ValueRef::Set(3),
        ValueRef::Date(date),
        ValueRef::Time(Time { negative: true, hours: 838, minutes: 59, seconds: 59, micros: 1 }),
        ValueRef::DateTime(DateTime { date, hour: 1, minute: 2, second: 3, micros: 4 }),
        ValueRef::Timestamp { seconds: 1_700_000_000, micros: 9 },
        ValueRef::Bytes(b"\xff\0text"),
    ];
    let json = [ValueRef::JsonBinary(b"\x04\x00"); 3];
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, "seeds", header()).unwrap();
    writer.boundary(Boundary::Begin { start: BinlogOffset::new("bin.000001", 4), gtid: Some("0-1-5".into()) }).unwrap();
    for (n, three) in values.chunks(3).chain([&json[..]]).enumerate() {
        let op = [Op::Insert, Op::Update, Op::Delete][n % 3];
        let head = ChangeHead { table: n % 2, op, foreign_key_checks: n % 2 == 0, at: 120 };
        let image = |there: bool| if there { three.to_vec() } else { Vec::new() };
        writer.row(head, &RowImages { before: image(op != Op::Insert), after: image(op != Op::Delete) }).unwrap();
    }
    for boundary in [
        Boundary::Savepoint("a".into()),
        Boundary::RollbackTo("a".into()),
        Boundary::Commit { position: at(300), committed_at: 1_700_000_000 },
        Boundary::Rollback,
        Boundary::Ddl(sirenia::change::DdlStatement {
            database: "lab".into(),
            sql: "DROP TABLE x".into(),
            position: at(350),
            sql_mode: 0,
        }),
        Boundary::Heartbeat { position: at(400) },
    ] {
        writer.boundary(boundary).unwrap();
    }
    writer.finish(at(4711)).unwrap();
    keep("spool", &[&[0][..], &file].concat());

    let (mut payloads, mut at) = (Vec::new(), 12);
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        payloads.push([&(length as u16).to_le_bytes()[..], &file[at + 8..at + 8 + length]].concat());
        at += 8 + length;
    }
    keep("spool", &[&[2][..], &payloads.concat()].concat());
    keep("spool", &[&[3][..], &payloads[1..].concat()].concat());
    for payload in &payloads[1..] {
        keep("spool", &[&[3][..], payload, payloads.last().unwrap()].concat());
    }
}
