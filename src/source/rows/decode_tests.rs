use super::*;
use crate::convert::sample::{int, table};
use crate::schema::Charset;
use proptest::prelude::*;

const OTHER: &[(SourceType, u8)] = &[
    (SourceType::Year, wire::YEAR),
    (SourceType::Decimal { precision: 20, scale: 5, unsigned: false }, wire::NEWDECIMAL),
    (SourceType::Float, wire::FLOAT),
    (SourceType::Double, wire::DOUBLE),
    (SourceType::Bit { bits: 20 }, wire::BIT),
    (SourceType::Date, wire::DATE),
    (SourceType::Time { fsp: 3 }, wire::TIME),
    (SourceType::DateTime { fsp: 6 }, wire::DATETIME),
    (SourceType::Timestamp { fsp: 2 }, wire::TIMESTAMP),
    (SourceType::Binary { len: 5 }, wire::STRING),
    (SourceType::Blob { length_bytes: 2 }, wire::BLOB),
    (SourceType::Json { text: false }, wire::JSON),
    (SourceType::Geometry, wire::GEOMETRY),
    (SourceType::Enum { labels: Vec::new() }, wire::LONGLONG),
    (SourceType::Set { members: Vec::new() }, wire::LONGLONG),
    (SourceType::Uuid, wire::VAR_STRING),
];

/// Rows of a table with columns of these types, as the server sends them.
fn rows(columns: &[(SourceType, u8)], packets: &[&[u8]]) -> Rows {
    let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let types: Vec<(&str, SourceType)> =
        names.iter().zip(columns).map(|(name, (ty, _))| (name.as_str(), ty.clone())).collect();
    let unsigned = |ty: &SourceType| !matches!(ty, SourceType::Int { unsigned: false, .. });
    let definitions: Vec<Definition> =
        columns.iter().map(|(ty, wire)| Definition { ty: *wire, unsigned: unsigned(ty) }).collect();
    let mut rows = Rows::of(&Arc::new(table("t", &types)));
    rows.begin(&definitions).unwrap();
    for packet in packets {
        rows.buffer().extend_from_slice(packet);
        rows.seal();
    }
    rows
}

/// The one value of a row of one column.
fn one(ty: SourceType, wire: u8, bytes: &[u8]) -> std::result::Result<String, ErrorKind> {
    let packet = [&[0, 0], bytes].concat();
    let rows = rows(&[(ty, wire)], &[&packet]);
    let mut values = Vec::new();
    rows.values(0, &mut values).map_err(|error| error.kind())?;
    Ok(format!("{:?}", values[0]))
}

fn reads(ty: &SourceType, wire: u8, bytes: &[u8], expected: ValueRef<'_>) {
    assert_eq!(one(ty.clone(), wire, bytes), Ok(format!("{expected:?}")), "{ty:?} {bytes:?}");
    for end in 0..bytes.len() {
        assert_eq!(one(ty.clone(), wire, &bytes[..end]), Err(ErrorKind::Corrupt), "{ty:?} {bytes:?} up to {end}");
    }
    let longer = [bytes, b"\0"].concat();
    assert_eq!(one(ty.clone(), wire, &longer), Err(ErrorKind::Corrupt), "{ty:?} {longer:?}");
}

#[test]
fn numbers_of_every_width() {
    use ValueRef as V;
    for (wire, bytes, signed, unsigned) in [
        (wire::TINY, &b"\x80"[..], -128, 128),
        (wire::SHORT, b"\xfe\xff", -2, 65_534),
        (wire::INT24, b"\xff\xff\xff\xff", -1, 4_294_967_295),
        (wire::LONG, b"\0\0\0\x80", -2_147_483_648, 2_147_483_648),
        (wire::LONGLONG, b"\0\0\0\0\0\0\0\x80", i64::MIN, 1 << 63),
    ] {
        reads(&int(8, false), wire, bytes, V::Int(signed));
        reads(&int(8, true), wire, bytes, V::UInt(unsigned));
    }
    reads(&SourceType::Year, wire::YEAR, b"\x6b\x08", V::UInt(2155));
    reads(&SourceType::Float, wire::FLOAT, &0.1_f32.to_le_bytes(), V::Float(0.1));
    reads(&SourceType::Double, wire::DOUBLE, &1e308_f64.to_le_bytes(), V::Double(1e308));
    reads(&SourceType::Bit { bits: 20 }, wire::BIT, b"\x03\x0f\xff\xfe", V::Bit(0x0f_fffe));
    let labels = SourceType::Enum { labels: vec!["x".into()] };
    reads(&labels, wire::LONGLONG, b"\x02\0\0\0\0\0\0\0", V::Enum(2));
    reads(&labels, wire::LONG, b"\0\0\0\0", V::Enum(0));
    assert_eq!(one(labels, wire::LONG, b"\0\0\x01\0"), Err(ErrorKind::SchemaMismatch));
    let members = SourceType::Set { members: vec!["x".into()] };
    reads(&members, wire::LONGLONG, b"\x05\0\0\0\0\0\0\x80", V::Set(1 << 63 | 5));
    let decimal = SourceType::Decimal { precision: 20, scale: 5, unsigned: false };
    for (text, plain) in [
        (&b"\x08-0.50000"[..], &b"-0.50000"[..]),
        (b"\x0800012.30", b"12.30"),
        (b"\x0800000.30", b"0.30"),
        (b"\x040000", b"0"),
    ] {
        reads(&decimal, wire::NEWDECIMAL, text, V::Decimal(Decimal::from_text(plain).unwrap()));
    }
    assert_eq!(one(decimal, wire::NEWDECIMAL, b"\x02ab"), Err(ErrorKind::SchemaMismatch));
    let many_bits = b"\x09123456789";
    assert_eq!(one(SourceType::Bit { bits: 64 }, wire::BIT, many_bits), Err(ErrorKind::SchemaMismatch));
}

#[test]
fn dates_and_times_without_their_zeros() {
    use ValueRef as V;
    let date = Date { year: 2023, month: 0, day: 15 };
    let midnight = DateTime { date, ..DateTime::default() };
    let second = DateTime { hour: 23, minute: 59, second: 58, ..midnight };
    let micro = DateTime { micros: 999_999, ..second };
    let (datetime, timestamp) = (SourceType::DateTime { fsp: 6 }, SourceType::Timestamp { fsp: 6 });
    for (bytes, at) in [
        (&b"\0"[..], DateTime::default()),
        (b"\x04\xe7\x07\0\x0f", midnight),
        (b"\x07\xe7\x07\0\x0f\x17\x3b\x3a", second),
        (b"\x0b\xe7\x07\0\x0f\x17\x3b\x3a\x3f\x42\x0f\0", micro),
    ] {
        reads(&datetime, wire::DATETIME, bytes, V::DateTime(at));
        reads(&timestamp, wire::TIMESTAMP, bytes, V::timestamp(at));
        reads(&SourceType::Date, wire::DATE, bytes, V::Date(at.date));
    }
    let time = SourceType::Time { fsp: 3 };
    let days = Time { negative: true, hours: 838, minutes: 59, seconds: 58, micros: 0 };
    reads(&time, wire::TIME, b"\0", V::Time(Time::default()));
    reads(&time, wire::TIME, b"\x08\x01\x22\0\0\0\x16\x3b\x3a", V::Time(days));
    let micros = Time { negative: false, micros: 250_000, ..days };
    reads(&time, wire::TIME, b"\x0c\0\x22\0\0\0\x16\x3b\x3a\x90\xd0\x03\0", V::Time(micros));
    for (ty, wire, bytes) in [
        (datetime, wire::DATETIME, &b"\x05\xe7\x07\0\x0f\0"[..]),
        (time.clone(), wire::TIME, b"\x07\0\0\0\0\0\0\0"),
        (time, wire::TIME, b"\x08\0\xff\xff\xff\xff\xff\0\0"), // so many days
    ] {
        assert_eq!(one(ty, wire, bytes), Err(ErrorKind::Corrupt));
    }
}

#[test]
fn bytes_of_every_length_and_type() {
    let charset = Charset { name: "latin1".into(), collation: "latin1_bin".into() };
    let text = SourceType::VarChar { chars: 9, charset: charset.clone() };
    for wire in [wire::VAR_STRING, wire::STRING, wire::VARCHAR, wire::BLOB, wire::TINY_BLOB] {
        reads(&text, wire, b"\x02\xe9\x80", ValueRef::Bytes(b"\xe9\x80"));
    }
    let types = [
        SourceType::Char { chars: 9, charset: charset.clone() },
        SourceType::Text { length_bytes: 4, charset },
        SourceType::Binary { len: 3 },
        SourceType::VarBinary { len: 3 },
        SourceType::Blob { length_bytes: 1 },
        SourceType::Json { text: true },
        SourceType::Geometry,
        SourceType::Vector,
        SourceType::Uuid,
        SourceType::Inet4,
        SourceType::Inet6,
    ];
    for ty in types {
        reads(&ty, wire::VAR_STRING, b"\0", ValueRef::Bytes(b""));
    }
    for length in [250, 251, 65_535, 65_536] {
        let bytes = vec![b'x'; length];
        let mut packed = Vec::new();
        crate::source::client::put_prefixed(&mut packed, &bytes);
        let packet = [&[0, 0], packed.as_slice()].concat();
        let rows = rows(&[(SourceType::Blob { length_bytes: 4 }, wire::BLOB)], &[&packet]);
        let mut values = Vec::new();
        rows.values(0, &mut values).unwrap();
        assert_eq!(values, [ValueRef::Bytes(&bytes)]);
    }
}

#[test]
fn nulls_take_no_bytes_and_what_does_not_fit_is_named() {
    let columns: Vec<(SourceType, u8)> = (0..9).map(|_| (int(4, false), wire::LONG)).collect();
    // the first and the eighth of nine columns are not NULL; the bitmap begins at its third bit
    let packet = b"\0\xf8\x05\x01\0\0\0\x02\0\0\0";
    let some = rows(&columns, &[packet, b"\0\xfc\x07"]);
    let mut values = Vec::new();
    some.values(0, &mut values).unwrap();
    let mut expected = vec![ValueRef::Null; 9];
    (expected[0], expected[7]) = (ValueRef::Int(1), ValueRef::Int(2));
    assert_eq!(values, expected);
    some.values(1, &mut values).unwrap();
    assert_eq!(values, [ValueRef::Null; 9]);
    assert_eq!(some.values(2, &mut values).unwrap_err().kind(), ErrorKind::Corrupt);
    // NULL fits where the server says that there is nothing else
    let narrowed = rows(&[(int(4, false), 6), (int(4, false), wire::LONG)], &[b"\0\x04\x01\0\0\0", b"\0\0\x01\0\0\0"]);
    narrowed.values(0, &mut values).unwrap();
    assert_eq!(values, [ValueRef::Null, ValueRef::Int(1)]);
    let error = narrowed.values(1, &mut values).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("t.c0"), "{error}");
    let mut rows = Rows::of(&Arc::new(table("t", &[("a", int(4, false))])));
    assert_eq!(rows.begin(&[]).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    // a column's type on one side alone
    for (ty, wire, unsigned) in [
        (int(4, false), wire::LONG, true),
        (int(4, true), wire::LONG, false),
        (SourceType::Float, wire::DOUBLE, false),
        (SourceType::DateTime { fsp: 0 }, wire::TIMESTAMP, false),
        (SourceType::Blob { length_bytes: 1 }, wire::LONG, false),
    ] {
        assert_eq!(Read::of(&ty, Definition { ty: wire, unsigned }), Read::Nothing, "{ty:?}");
    }
}

#[test]
fn rows_are_added_dropped_and_begun_anew() {
    let mut rows = rows(&[(int(1, false), wire::TINY)], &[b"\0\0\x01", b"\0\0\x02"]);
    rows.buffer().extend_from_slice(b"\xfe\0\0\0\0");
    assert_eq!(rows.unsealed(), b"\xfe\0\0\0\0");
    rows.unseal();
    assert_eq!((rows.len(), rows.bytes(), rows.unsealed()), (2, 6, &b""[..]));
    rows.pop();
    assert_eq!((rows.len(), rows.bytes()), (1, 3));
    rows.clear();
    assert!(rows.is_empty() && rows.bytes() == 0);
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    // mostly what comes far: a row's head, then small numbers, which make lengths that can be right
    let byte = prop_oneof![3 => 0_u8..13, 1 => any::<u8>()];
    (any::<[u8; 3]>(), prop_oneof![0_u8..1, any::<u8>()], proptest::collection::vec(byte, 0..120)).prop_map(
        |(nulls, head, rest)| {
            let quiet = [nulls[0] & 0x54, nulls[1] & 0x12, nulls[2] & 1];
            [&[head], &quiet[..], &rest].concat()
        },
    )
}

proptest! {
    #[test]
    fn whatever_the_bytes_there_is_a_row_or_an_error(packet in packet(), from in 0_usize..OTHER.len()) {
        let columns: Vec<(SourceType, u8)> = (0..OTHER.len()).map(|at| OTHER[(from + at) % OTHER.len()].clone()).collect();
        let rows = rows(&columns, &[&packet]);
        let mut values = Vec::new();
        match rows.values(0, &mut values) {
            Ok(()) => prop_assert_eq!(values.len(), columns.len()),
            Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::SchemaMismatch)),
        }
        let _ = Definition::parse(&packet);
    }
}

#[test]
fn memory_serves_one_table_after_the_other_and_that_of_a_huge_row_goes() {
    let mut first = rows(&[(int(4, false), wire::LONG)], &[&[0, 0, 7, 0, 0, 0]]);
    first.buffer().reserve(1000);
    let memory = first.bytes.as_ptr();
    let other = Arc::new(table("other", &[("a", int(1, false)), ("b", int(1, false))]));
    let mut second = first.again(&other);
    assert!(second.is_empty() && second.table().name == other.name && second.bytes.as_ptr() == memory);
    let tiny = Definition { ty: wire::TINY, unsigned: false };
    second.begin(&[tiny, tiny]).unwrap();
    second.buffer().extend_from_slice(&[0, 0, 1, 2]);
    second.seal();
    let mut values = Vec::new();
    second.values(0, &mut values).unwrap();
    assert_eq!(values, [ValueRef::Int(1), ValueRef::Int(2)]);
    second.buffer().reserve(3 * KEPT);
    assert!(second.again(&other).bytes.capacity() <= KEPT);
}
