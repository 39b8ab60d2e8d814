use super::*;
use crate::change::{DdlStatement, Op, RowImages};
use crate::convert::sample;
use crate::error::{ErrorKind, Result};
use crate::position::{BinlogOffset, GtidSet};
use crate::schema::{Flavor, TableSchema};
use crate::value::{Date, DateTime, Decimal, Time, ValueRef};
use proptest::prelude::*;

const COLUMNS: usize = 3;

fn table(name: &str) -> TableSchema {
    sample::table(name, &["a?", "b?", "c?"].map(|name| (name, sample::int(4, false))))
}

fn at(offset: u64) -> Position {
    let gtid = GtidSet::MariaDb("0-1-100".parse().unwrap());
    Position { binlog: BinlogOffset::new("bin.000001", offset), gtid: Some(gtid) }
}

fn header() -> StreamHeader {
    StreamHeader {
        flavor: Flavor::MariaDb,
        server: "10.11.19-MariaDB".into(),
        from: at(4),
        schema_at: Some(BinlogOffset::new("bin.000001", 900)),
        tables: vec![table("pasien"), table("hasil")],
    }
}

/// One thing of a stream, owned; images as MessagePack, because values are borrowed.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Boundary(Boundary),
    Row(ChangeHead, Vec<u8>),
}

fn told_row(head: ChangeHead, images: &RowImages<'_>) -> Told {
    Told::Row(head, rmp_serde::to_vec(&(&images.before, &images.after)).unwrap())
}

/// Reads a recording to its end: what it told, and the error that ended it.
fn read(bytes: &[u8]) -> (Vec<Told>, Result<Position>) {
    let mut told = Vec::new();
    let ended = read_into(bytes, &mut told);
    (told, ended)
}

fn read_into(bytes: &[u8], told: &mut Vec<Told>) -> Result<Position> {
    let mut reader = Reader::new(bytes, "t.rec")?;
    assert_eq!(*reader.header(), header());
    while reader.advance()? {
        match reader.current()? {
            Recorded::Boundary(boundary) => told.push(Told::Boundary(boundary)),
            Recorded::Rows(mut rows) => {
                let mut images = RowImages::default();
                while rows.next_row(&mut images)? {
                    told.push(told_row(rows.head(), &images));
                }
            }
        }
    }
    Ok(reader.end().cloned().expect("a position at the end"))
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(any::<Value>(), COLUMNS)
}

/// Owned, of which a `ValueRef` is lent.
#[derive(Debug, Clone)]
struct Value {
    kind: u8,
    bytes: Vec<u8>,
    number: u64,
}

impl Arbitrary for Value {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        (0..16_u8, proptest::collection::vec(any::<u8>(), 0..20), any::<u64>())
            .prop_map(|(kind, bytes, number)| Self { kind, bytes, number })
            .boxed()
    }
}

impl Value {
    fn lend(&self) -> ValueRef<'_> {
        let n = self.number;
        let date = Date { year: n as u16, month: 2, day: 30 };
        match self.kind {
            0 => ValueRef::Absent,
            1 => ValueRef::Null,
            2 => ValueRef::Int(n as i64),
            3 => ValueRef::UInt(n),
            4 => ValueRef::Float(n as f32),
            5 => ValueRef::Double(n as f64),
            6 => ValueRef::Decimal(Decimal::from_text(format!("-{n}.50").as_bytes()).unwrap()),
            7 => ValueRef::Bit(n),
            8 => ValueRef::Enum(n as u16),
            9 => ValueRef::Set(n),
            10 => ValueRef::Date(date),
            11 => ValueRef::Time(Time { negative: true, hours: n as u16, minutes: 5, seconds: 6, micros: 7 }),
            12 => ValueRef::DateTime(DateTime { date, hour: 1, minute: 2, second: 3, micros: 4 }),
            13 => ValueRef::Timestamp { seconds: n as i64, micros: 9 },
            14 => ValueRef::JsonBinary(&self.bytes),
            _ => ValueRef::Bytes(&self.bytes),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Boundary(Boundary),
    Row(ChangeHead, Vec<Value>, Vec<Value>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let boundary = prop_oneof![
        any::<u64>().prop_map(|n| Boundary::Begin {
            start: BinlogOffset::new("bin.000001", n),
            gtid: (n % 2 == 0).then(|| "0-1-5".to_owned())
        }),
        any::<u32>().prop_map(|n| Boundary::Commit { position: at(n.into()), committed_at: n }),
        Just(Boundary::Rollback),
        ".{0,9}".prop_map(Boundary::Savepoint),
        ".{0,9}".prop_map(Boundary::RollbackTo),
        ".{0,40}".prop_map(|sql| Boundary::Ddl(DdlStatement {
            database: "lab".into(),
            sql,
            position: at(7),
            sql_mode: 4
        })),
        any::<u64>().prop_map(|n| Boundary::Heartbeat { position: at(n) }),
    ];
    let row = (0..2_usize, 0..3_usize, any::<bool>(), 0..3_u64, values(), values()).prop_map(
        |(table, op, foreign_key_checks, at, before, after)| {
            let op = [Op::Insert, Op::Update, Op::Delete][op];
            let head = ChangeHead { table, op, foreign_key_checks, at };
            let image = |present: bool, values| if present { values } else { Vec::new() };
            Step::Row(head, image(op != Op::Insert, before), image(op != Op::Delete, after))
        },
    );
    proptest::collection::vec(prop_oneof![1 => boundary.prop_map(Step::Boundary), 2 => row], 0..12)
}

/// The recording of these steps, and what it should tell.
fn write(steps: &[Step]) -> (Vec<u8>, Vec<Told>) {
    let mut writer = Writer::new(Vec::new(), "t.rec", header()).unwrap();
    let mut told = Vec::new();
    for step in steps {
        match step {
            Step::Boundary(boundary) => {
                writer.boundary(boundary.clone()).unwrap();
                told.push(Told::Boundary(boundary.clone()));
            }
            Step::Row(head, before, after) => {
                let [before, after] = [before, after].map(|values| values.iter().map(Value::lend).collect());
                let images = RowImages { before, after };
                writer.row(*head, &images).unwrap();
                told.push(told_row(*head, &images));
            }
        }
    }
    (writer.finish(at(4711)).unwrap(), told)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(steps in steps()) {
        let (bytes, told) = write(&steps);
        let (read, end) = read(&bytes);
        prop_assert_eq!(read, told);
        prop_assert_eq!(end.unwrap(), at(4711));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), framed: bool) {
        // behind a good header, with and without a right checksum
        let mut file = write(&[]).0;
        let end = frames(&file)[1];
        file.truncate(end);
        if framed {
            let length = (bytes.len() as u32).to_le_bytes();
            file.extend(length);
            file.extend(checksum(length, &[&bytes]).to_le_bytes());
        }
        file.extend(&bytes);
        prop_assert_eq!(read(&file).1.unwrap_err().kind(), ErrorKind::Corrupt);
        if !framed && !bytes.is_empty() {
            prop_assert!(Reader::new(&bytes[..], "t.rec").is_err());
        }
    }
}

/// Where each frame starts, and the file's end.
fn frames(file: &[u8]) -> Vec<usize> {
    let mut at = PREFIX;
    let mut starts = vec![at];
    while at < file.len() {
        at += FRAME_HEAD + u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        starts.push(at);
    }
    starts
}

fn sample() -> Vec<Step> {
    let number = |number| Value { kind: 2, bytes: vec![], number };
    let row = |op, table| {
        let head = ChangeHead { table, op, foreign_key_checks: true, at: 120 };
        let image = |there: bool| if there { vec![number(1), number(2), number(3)] } else { vec![] };
        Step::Row(head, image(op != Op::Insert), image(op != Op::Delete))
    };
    vec![
        Step::Boundary(Boundary::Begin { start: BinlogOffset::new("bin.000001", 4), gtid: Some("0-1-5".into()) }),
        row(Op::Insert, 0),
        row(Op::Insert, 0),
        row(Op::Update, 1),
        Step::Boundary(Boundary::Commit { position: at(300), committed_at: 1_700_000_000 }),
        Step::Boundary(Boundary::Heartbeat { position: at(400) }),
    ]
}

/// Cut anywhere, the frames before the cut are told and then comes an error that names file and offset.
#[test]
fn every_truncation_is_noticed() {
    let (file, told) = write(&sample());
    let starts = frames(&file);
    for end in 0..file.len() {
        let (read, ended) = read(&file[..end]);
        let error = ended.expect_err("a cut");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{end}: {error}");
        assert!(error.message().contains("t.rec") && error.hint().is_some(), "{end}: {error}");
        assert_eq!(read[..], told[..read.len()], "{end}");
        if end < PREFIX {
            continue;
        }
        let frame = *starts.iter().rfind(|start| **start <= end).unwrap();
        assert!(error.message().contains(&format!("at offset {frame}")), "{end}: {error}");
        let whole = starts.iter().filter(|start| **start <= end).count() - 1;
        // header, begin, two inserts in one frame, update, commit, heartbeat
        assert_eq!(read.len(), [0, 0, 1, 3, 4, 5, 6][whole.min(6)], "{end}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (file, told) = write(&sample());
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let (read, ended) = read(&damaged);
            let error = ended.expect_err("a flipped bit");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains("t.rec"), "{error}");
            assert_eq!(read[..], told[..read.len()]);
        }
    }
}

#[test]
fn a_claimed_length_makes_no_room() {
    let (mut file, _) = write(&[]);
    file.truncate(frames(&file)[1]);
    file.extend(u32::MAX.to_le_bytes());
    file.extend([0; 100]);
    let mut reader = Reader::new(&file[..], "t.rec").unwrap();
    let error = reader.advance().unwrap_err();
    assert!(error.message().contains("ends inside a frame of 4294967295 bytes"), "{error}");
    assert!(reader.held() < 1 << 20);
}

/// An unknown field is passed over, however it is nested, on the stack.
#[test]
fn deep_nesting_is_refused() {
    let (mut file, _) = write(&[]);
    file.truncate(frames(&file)[1]);
    let payload = [&b"\x81\xa8Boundary\x81\xa6Commit\x81\xa1x"[..], &[0x91; 1000], b"\xc0"].concat();
    let length = (payload.len() as u32).to_le_bytes();
    file.extend(length);
    file.extend(checksum(length, &[&payload]).to_le_bytes());
    file.extend(payload);
    let (told, ended) = read(&file);
    assert!(told.is_empty());
    let error = ended.unwrap_err();
    assert!(error.message().contains("nested too deeply"), "{error}");
}

#[test]
fn rows_of_one_kind_share_a_frame_of_bounded_size() {
    let head = ChangeHead { table: 0, op: Op::Insert, foreign_key_checks: true, at: 4 };
    let text = vec![b'x'; 10_000];
    let images = RowImages { after: vec![ValueRef::Bytes(&text); COLUMNS], ..RowImages::default() };
    let mut writer = Writer::new(Vec::new(), "t.rec", header()).unwrap();
    for _ in 0..100 {
        writer.row(head, &images).unwrap();
    }
    let file = writer.finish(at(5)).unwrap();
    let starts = frames(&file);
    let largest = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!((12..16).contains(&starts.len()) && largest < 300_000, "{} frames, {largest} bytes", starts.len());
    assert_eq!(read(&file).0.len(), 100);
}

#[test]
fn other_versions_and_other_files_are_refused() {
    let (mut file, _) = write(&[]);
    file[8] = 2;
    let error = Reader::new(&file[..], "t.rec").unwrap_err();
    assert!(error.message().contains("version 2"), "{error}");
    let error = Reader::new(&b"\xfebin and more"[..], "t.rec").unwrap_err();
    assert!(error.message().contains("is not a recording"), "{error}");
}

/// Version 1, byte by byte: a change of it needs another version.
#[test]
fn the_format_stays_as_it_is() {
    let (file, _) = write(&sample());
    let starts = frames(&file);
    let payload = |n: usize| &file[starts[n] + FRAME_HEAD..starts[n + 1]];
    assert_eq!(&file[..PREFIX], b"\x89SIRENIA\x01\0\0\0");
    assert!(payload(0).starts_with(b"\x81\xa6Header\x85\xa6flavor\xa7mariadb\xa6server\xb010.11.19-MariaDB\xa4from"));
    assert_eq!(
        payload(1),
        b"\x81\xa8Boundary\x81\xa5Begin\x82\xa5start\x82\xa4file\xaabin.000001\xa6offset\x04\xa4gtid\xa50-1-5"
    );
    assert_eq!(
        payload(2),
        b"\x81\xa4Rows\x82\xa4head\x84\xa5table\x00\xa2op\xa6insert\xb2foreign_key_checks\xc3\xa2at\x78\xa4rows\x02\
          \x92\x90\x93\x81\xa3Int\x01\x81\xa3Int\x02\x81\xa3Int\x03\
          \x92\x90\x93\x81\xa3Int\x01\x81\xa3Int\x02\x81\xa3Int\x03"
    );
    assert!(payload(starts.len() - 2).starts_with(b"\x81\xa3End"));
}
