use super::super::sample::{charset, int};
use super::super::typemap::{TypeOptions, default_type};
use super::*;
use crate::value::{Date, DateTime, Decimal, Time};
use proptest::prelude::*;

fn append(encode: &Encode, value: &ValueRef<'_>) -> Result<(Vec<u8>, Reasons), Fault> {
    let mut out = Vec::new();
    let reasons = encode.append(value, &mut Scratch::default(), &mut out)?;
    let length = i32::from_be_bytes(*out.first_chunk().unwrap());
    assert_eq!(usize::try_from(length).unwrap_or(0), out.len() - 4, "one whole field");
    Ok((out, reasons))
}

fn encode(ty: &SourceType, to: &PgType) -> Encode {
    Encode::of(ty, to).unwrap()
}

/// Converted to the type's default: the field without its length.
fn plain(ty: &SourceType, value: ValueRef<'_>) -> Vec<u8> {
    let (out, reasons) = append(&encode(ty, &default_type(ty, &TypeOptions::default())), &value).unwrap();
    assert!(reasons.is_empty());
    out[4..].to_vec()
}

fn changed(ty: &SourceType, value: ValueRef<'_>) -> (String, Reason) {
    let (out, reasons) = append(&encode(ty, &default_type(ty, &TypeOptions::default())), &value).unwrap();
    (String::from_utf8(out[4..].to_vec()).unwrap(), reason(reasons).unwrap())
}

fn reason(reasons: Reasons) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reasons.contains(*reason))
}

fn fault(ty: &SourceType, value: ValueRef<'_>) -> Fault {
    append(&encode(ty, &default_type(ty, &TypeOptions::default())), &value).unwrap_err()
}

fn text(ty: fn(u32, Charset) -> SourceType, set: &str) -> SourceType {
    ty(4, charset(set))
}

fn char(chars: u32, charset: Charset) -> SourceType {
    SourceType::Char { chars, charset }
}

fn varchar(chars: u32, charset: Charset) -> SourceType {
    SourceType::VarChar { chars, charset }
}

#[test]
fn integers_take_the_planned_width() {
    assert_eq!(plain(&int(1, false), ValueRef::Int(-1)), [0xff, 0xff]);
    assert_eq!(plain(&int(4, true), ValueRef::UInt(u32::MAX.into())), (u32::MAX as i64).to_be_bytes());
    assert_eq!(plain(&int(8, false), ValueRef::Int(i64::MIN)), i64::MIN.to_be_bytes());
    assert_eq!(plain(&SourceType::Year, ValueRef::UInt(2155)), 2155i16.to_be_bytes());
    let wide = encode(&int(2, false), &PgType::BigInt);
    assert_eq!(append(&wide, &ValueRef::Int(-7)).unwrap().0[4..], (-7i64).to_be_bytes());
    let numeric = encode(&int(8, false), &PgType::Numeric { precision: 20, scale: 0 });
    assert_eq!(append(&numeric, &ValueRef::Int(i64::MIN)).unwrap().0[4..12], [0, 5, 0, 4, 0x40, 0, 0, 0]);
    let boolean = encode(&int(1, false), &PgType::Boolean);
    assert_eq!(append(&boolean, &ValueRef::Int(1)).unwrap().0[4..], [1]);
    for other in [2, -1] {
        let (out, reasons) = append(&boolean, &ValueRef::Int(other)).unwrap();
        assert_eq!((&out[4..], reasons), (&[1][..], Reason::NotBoolean.into()));
    }
}

#[test]
fn numbers_outside_their_type_are_damage() {
    for (ty, value) in [
        (int(1, false), ValueRef::Int(128)),
        (int(1, true), ValueRef::Int(-1)),
        (int(3, false), ValueRef::Int(-8_388_609)),
        (int(4, false), ValueRef::UInt(1 << 31)),
        (int(8, false), ValueRef::UInt(1 << 63)),
        (SourceType::Year, ValueRef::Int(-1)),
        (SourceType::Float, ValueRef::Double(0.1)),
        (SourceType::Bit { bits: 3 }, ValueRef::Bit(8)),
        (SourceType::Bit { bits: 1 }, ValueRef::Bit(2)),
    ] {
        assert!(matches!(fault(&ty, value), Fault::Corrupt(_)), "{ty:?} {value:?}");
    }
    let (out, reasons) = append(&encode(&int(8, true), &PgType::BigInt), &ValueRef::UInt(1 << 63)).unwrap();
    assert_eq!((&out[4..], reasons), (&i64::MAX.to_be_bytes()[..], Reason::OutOfRange.into()));
    assert_eq!(plain(&int(8, true), ValueRef::UInt((1 << 63) - 1)), i64::MAX.to_be_bytes());
    assert_eq!(plain(&SourceType::Bit { bits: 64 }, ValueRef::Bit(u64::MAX)).len(), 12);
}

#[test]
fn a_float_is_the_same_by_either_way() {
    let value = 16_777_217.0f64 as f32;
    assert_eq!(
        plain(&SourceType::Float, ValueRef::Float(value)),
        plain(&SourceType::Float, ValueRef::Double(value.into()))
    );
}

#[test]
fn dates_that_do_not_exist_become_1970() {
    let partial = Date { year: 2023, month: 0, day: 15 };
    let zero = ValueRef::Timestamp { seconds: 0, micros: 0 };
    let datetime = ValueRef::DateTime(DateTime { date: partial, ..DateTime::default() });
    for (ty, to, value, safe, reason) in [
        (SourceType::Date, PgType::Date, ValueRef::Date(partial), &[0xff, 0xff, 0xd5, 0x33][..], Reason::InvalidDate),
        (
            SourceType::DateTime { fsp: 0 },
            PgType::Timestamp(0),
            datetime,
            &(-946_684_800_000_000i64).to_be_bytes(),
            Reason::InvalidDate,
        ),
        (
            SourceType::Timestamp { fsp: 0 },
            PgType::TimestampTz(0),
            zero,
            &(-946_684_800_000_000i64).to_be_bytes(),
            Reason::ZeroDate,
        ),
    ] {
        let (out, reasons) = append(&encode(&ty, &to), &value).unwrap();
        assert_eq!((&out[4..], reasons), (safe, reason.into()));
    }
}

#[test]
fn times() {
    let late = ValueRef::Time(Time { negative: true, hours: 838, minutes: 59, seconds: 59, micros: 0 });
    let expected = [(-3_020_399_000_000i64).to_be_bytes().as_slice(), &[0; 8]].concat();
    assert_eq!(plain(&SourceType::Time { fsp: 0 }, late), expected);
    let of_day = encode(&SourceType::Time { fsp: 0 }, &PgType::Time(0));
    let (out, reasons) = append(&of_day, &late).unwrap();
    assert_eq!((&out[4..], reasons), (&[0; 8][..], Reason::NotTimeOfDay.into()));
    let noon = ValueRef::Time(Time { hours: 12, ..Time::default() });
    assert_eq!(append(&of_day, &noon).unwrap().0[4..], 43_200_000_000i64.to_be_bytes());
}

#[test]
fn text_becomes_utf8() {
    assert_eq!(plain(&text(varchar, "latin1"), ValueRef::Bytes(b"\xE9 ")), "é ".as_bytes());
    assert_eq!(plain(&text(char, "latin1"), ValueRef::Bytes(b"\xE9  ")), "é".as_bytes());
    assert_eq!(plain(&text(char, "ucs2"), ValueRef::Bytes(b"\0a\0 ")), b"a");
    assert_eq!(plain(&text(char, "utf8mb4"), ValueRef::Bytes(b"   ")), b"");
    assert_eq!(changed(&text(varchar, "utf8mb4"), ValueRef::Bytes(b"a\0b")), ("ab".into(), Reason::NulByte));
    // a broken character may not make the text longer than the column
    let broken = ValueRef::Bytes(b"\xF0\xFF\xFF\xFF\xFF\xFF");
    assert_eq!(changed(&text(varchar, "utf8mb4"), broken), ("\u{FFFD}".repeat(4), Reason::InvalidBytes));
    assert!(matches!(append(&Encode::Unsupported, &ValueRef::Bytes(b"")), Err(Fault::Unsupported)));
}

#[test]
fn binary_is_padded_back() {
    let binary = SourceType::Binary { len: 4 };
    assert_eq!(plain(&binary, ValueRef::Bytes(b"a")), b"a\0\0\0");
    assert_eq!(plain(&SourceType::VarBinary { len: 4 }, ValueRef::Bytes(b"a\0")), b"a\0");
    assert_eq!(plain(&text(char, "binary"), ValueRef::Bytes(b"a")), b"a\0\0\0");
    assert_eq!(plain(&text(varchar, "binary"), ValueRef::Bytes(b"\xFF\0")), b"\xFF\0");
    assert!(matches!(fault(&binary, ValueRef::Bytes(b"abcde")), Fault::Corrupt(_)));
}

#[test]
fn enum_and_set() {
    let labels = || vec!["a".to_owned(), "é".into(), String::new()];
    let ty = SourceType::Enum { labels: labels() };
    assert_eq!(plain(&ty, ValueRef::Enum(2)), "é".as_bytes());
    assert_eq!(changed(&ty, ValueRef::Enum(0)), (String::new(), Reason::EnumZero));
    assert!(matches!(fault(&ty, ValueRef::Enum(4)), Fault::Corrupt(_)));
    let set = SourceType::Set { members: labels() };
    let both = plain(&set, ValueRef::Set(0b11));
    assert_eq!(both[20..], [0, 0, 0, 1, b'a', 0, 0, 0, 2, 0xC3, 0xA9]);
    assert_eq!(plain(&set, ValueRef::Set(0)).len(), 12);
    assert!(matches!(fault(&set, ValueRef::Set(8)), Fault::Corrupt(_)));
    let full = SourceType::Set { members: (0..64).map(|n| n.to_string()).collect() };
    assert_eq!(plain(&full, ValueRef::Set(u64::MAX))[12..16], 64u32.to_be_bytes());
}

#[test]
fn json_is_the_same_by_either_way() {
    let ty = SourceType::Json { text: false };
    let expected = b"\x01{\"a\": 1}";
    assert_eq!(plain(&ty, ValueRef::Bytes(b"{\"a\": 1}")), expected);
    // a small object: count, size, one key entry, one inlined int16, the key
    let binary = [0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 1, 0, b'a'];
    assert_eq!(plain(&ty, ValueRef::JsonBinary(&binary)), expected);
    assert_eq!(changed(&ty, ValueRef::Bytes(b"[\"\\u0000\"]")), ("\u{1}[\"\"]".into(), Reason::NulByte));
    assert_eq!(changed(&ty, ValueRef::Bytes(b"\"\xFF\"")), ("\u{1}\"\u{FFFD}\"".into(), Reason::InvalidBytes));
    assert_eq!(changed(&ty, ValueRef::Bytes(b"{a}")), ("\u{1}\"{a}\"".into(), Reason::InvalidJson));
    assert!(matches!(fault(&ty, ValueRef::JsonBinary(&[0, 1])), Fault::Json(_)));
    assert_eq!(append(&encode(&ty, &PgType::Json), &ValueRef::Bytes(b"1")).unwrap().0[4..], *b"1");
}

#[test]
fn geometry_is_ewkb() {
    let wkb = [&[1, 1, 0, 0, 0][..], &1.5f64.to_le_bytes(), &2.5f64.to_le_bytes()].concat();
    let with = |srid: u32| [&srid.to_le_bytes()[..], &wkb].concat();
    assert_eq!(plain(&SourceType::Geometry, ValueRef::Bytes(&with(0))), wkb);
    let marked = [&[1, 1, 0, 0, 0x20, 0xE6, 0x10, 0, 0][..], &wkb[5..]].concat();
    assert_eq!(plain(&SourceType::Geometry, ValueRef::Bytes(&with(4326))), marked);
    let big = [&4326u32.to_le_bytes()[..], &[0, 0, 0, 0, 1], b"rest"].concat();
    assert_eq!(plain(&SourceType::Geometry, ValueRef::Bytes(&big)), *b"\0\x20\0\0\x01\0\0\x10\xE6rest");
    assert_eq!(plain(&SourceType::Geometry, ValueRef::Bytes(b"")), b"");
    for damaged in [&b"abc"[..], b"\0\0\0\0\x01\0\0\0", b"\0\0\0\0\x07\0\0\0\0"] {
        assert!(matches!(fault(&SourceType::Geometry, ValueRef::Bytes(damaged)), Fault::Corrupt(_)));
    }
}

#[test]
fn fixed_binary_types_are_padded_back() {
    let id = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\x00";
    assert_eq!(plain(&SourceType::Uuid, ValueRef::Bytes(&id)), id);
    assert_eq!(plain(&SourceType::Uuid, ValueRef::Bytes(&id[..15])), id);
    assert_eq!(plain(&SourceType::Uuid, ValueRef::Bytes(b"01234567-89AB-cdef-0123-456789abcd00")), id);
    assert!(matches!(fault(&SourceType::Uuid, ValueRef::Bytes(&[0; 17])), Fault::Corrupt(_)));
    assert!(matches!(fault(&SourceType::Uuid, ValueRef::Bytes(&[b'x'; 36])), Fault::Corrupt(_)));
    assert_eq!(plain(&SourceType::Inet4, ValueRef::Bytes(&[10])), [2, 32, 0, 4, 10, 0, 0, 0]);
    assert_eq!(plain(&SourceType::Inet6, ValueRef::Bytes(&[0x20, 1])).len(), 20);
    assert!(matches!(fault(&SourceType::Inet4, ValueRef::Bytes(&[0; 5])), Fault::Corrupt(_)));
    assert_eq!(plain(&SourceType::Vector, ValueRef::Bytes(&[0, 0, 0x80, 0x3f]))[24..], [0x3f, 0x80, 0, 0]);
    assert!(matches!(fault(&SourceType::Vector, ValueRef::Bytes(&[0; 5])), Fault::Corrupt(_)));
}

fn any_type() -> impl Strategy<Value = SourceType> {
    let texts = || vec!["a".to_owned(), "b".to_owned()];
    prop_oneof![
        (prop_oneof![Just(1u8), Just(2), Just(3), Just(4), Just(8)], any::<bool>()).prop_map(|(b, u)| int(b, u)),
        (0u8..10).prop_map(|scale| SourceType::Decimal { precision: 20, scale, unsigned: false }),
        (1u8..=64).prop_map(|bits| SourceType::Bit { bits }),
        proptest::sample::select(vec!["utf8mb4", "latin1", "sjis", "utf16"]).prop_map(|set| varchar(5, charset(set))),
        proptest::sample::select(vec![
            SourceType::Year,
            SourceType::Float,
            SourceType::Double,
            SourceType::Date,
            SourceType::Time { fsp: 6 },
            SourceType::DateTime { fsp: 6 },
            SourceType::Timestamp { fsp: 6 },
            SourceType::Binary { len: 5 },
            SourceType::Blob { length_bytes: 2 },
            SourceType::Enum { labels: texts() },
            SourceType::Set { members: texts() },
            SourceType::Json { text: true },
            SourceType::Geometry,
            SourceType::Vector,
            SourceType::Uuid,
            SourceType::Inet4,
            SourceType::Inet6,
        ]),
    ]
}

proptest! {
    /// Whatever a decoder may hand over, the result is one whole field or a fault.
    #[test]
    fn no_value_panics(
        ty in any_type(),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        number: u64,
        small in 0u16..70,
        parts: (u8, u8, u8, u32),
        decimal in "-?[0-9]{1,40}(\\.[0-9]{1,28})?",
    ) {
        let date = Date { year: small * 150, month: parts.0 % 14, day: parts.1 % 33 };
        let (hour, minute, second) = (parts.0 % 26, parts.1 % 62, parts.2 % 62);
        for value in [
            ValueRef::Null,
            ValueRef::Int(number as i64),
            ValueRef::UInt(number),
            ValueRef::Float(f32::from_bits(number as u32)),
            ValueRef::Double(f64::from_bits(number)),
            ValueRef::Decimal(Decimal::from_text(decimal.as_bytes()).unwrap()),
            ValueRef::Bit(number),
            ValueRef::Enum(small),
            ValueRef::Set(u64::from(small)),
            ValueRef::Date(date),
            ValueRef::Time(Time { negative: hour > 9, hours: small * 13, minutes: minute, seconds: second, micros: parts.3 }),
            ValueRef::DateTime(DateTime { date, hour, minute, second, micros: parts.3 % 1_100_000 }),
            ValueRef::Timestamp { seconds: number as i64, micros: parts.3 },
            ValueRef::Bytes(&bytes),
            ValueRef::JsonBinary(&bytes),
        ] {
            let encode = Encode::of(&ty, &default_type(&ty, &TypeOptions::default())).unwrap();
            let _ = append(&encode, &value);
        }
    }
}

#[test]
fn any_type_as_the_text_that_the_source_prints() {
    let text = |ty: &SourceType, value: ValueRef<'_>| {
        let (out, reasons) = append(&encode(ty, &PgType::Text), &value).unwrap();
        assert!(reasons.is_empty());
        String::from_utf8(out[4..].to_vec()).unwrap()
    };
    let partial = Date { year: 2023, month: 0, day: 15 };
    let moment = |seconds, micros| ValueRef::Timestamp { seconds, micros };
    let set = SourceType::Set { members: vec!["a".into(), "é".into(), "c".into()] };
    let clock = |negative, hours, micros| ValueRef::Time(Time { negative, hours, minutes: 5, seconds: 9, micros });
    for (ty, value, expected) in [
        (int(8, true), ValueRef::UInt(u64::MAX), "18446744073709551615"),
        (int(1, false), ValueRef::Int(-7), "-7"),
        (SourceType::Year, ValueRef::UInt(0), "0000"),
        (SourceType::Date, ValueRef::Date(partial), "2023-00-15"),
        (SourceType::DateTime { fsp: 0 }, ValueRef::DateTime(DateTime::default()), "0000-00-00 00:00:00"),
        (
            SourceType::DateTime { fsp: 3 },
            ValueRef::DateTime(DateTime { date: partial, hour: 4, minute: 5, second: 6, micros: 7_000 }),
            "2023-00-15 04:05:06.007",
        ),
        (SourceType::Timestamp { fsp: 0 }, moment(0, 0), "0000-00-00 00:00:00"),
        (SourceType::Timestamp { fsp: 6 }, moment(1_709_164_799, 5), "2024-02-28 23:59:59.000005"),
        (SourceType::Timestamp { fsp: 1 }, moment(4_294_967_295, 900_000), "2106-02-07 06:28:15.9"),
        (SourceType::Time { fsp: 0 }, clock(true, 838, 0), "-838:05:09"),
        (SourceType::Time { fsp: 2 }, clock(false, 7, 250_000), "07:05:09.25"),
        (set.clone(), ValueRef::Set(0), ""),
        (set.clone(), ValueRef::Set(6), "é,c"),
        (SourceType::Json { text: true }, ValueRef::Bytes(b"{\"a\":\"\\u0000\"}"), "{\"a\":\"\\u0000\"}"),
        (SourceType::Uuid, ValueRef::Bytes(&[0x1f; 15]), "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f00"),
        (SourceType::Inet4, ValueRef::Bytes(&[10, 0, 0, 1]), "10.0.0.1"),
        (SourceType::Inet6, ValueRef::Bytes(&[0xfe, 0x80]), "fe80::"),
    ] {
        assert_eq!(text(&ty, value), expected, "{ty:?}");
    }
    let (out, _) = append(&encode(&set, &PgType::Text), &ValueRef::Null).unwrap();
    assert_eq!(out, [0xff; 4]);
    assert!(matches!(append(&encode(&set, &PgType::Text), &ValueRef::Set(8)), Err(Fault::Corrupt(_))));
}

#[test]
fn masked_values_do_not_come_through() {
    use crate::masking::MaskKey;
    let key = MaskKey::new(&[0x0b; 20]).unwrap();
    let column = |treatment| PlannedColumn {
        source: 0,
        name: String::new(),
        ty: PgType::Text,
        nullable: true,
        unique: false,
        treatment,
        policies: crate::policy::Policies::defaults(true, false),
    };
    let hashed = |ty: &SourceType, value: ValueRef<'_>| {
        let encode = Encode::planned(ty, &column(Treatment::Hashed(key.clone()))).unwrap();
        let (out, reasons) = append(&encode, &value).unwrap();
        (String::from_utf8(out[4..].to_vec()).unwrap(), reasons)
    };
    let latin1 = text(varchar, "latin1");
    let utf8 = text(varchar, "utf8mb4");
    // RFC 4231's first case
    let (hash, reasons) = hashed(&utf8, ValueRef::Bytes(b"Hi There"));
    assert_eq!(hash, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert!(reasons.is_empty());
    assert_eq!(hashed(&latin1, ValueRef::Bytes(b"\xe9")).0, hashed(&utf8, ValueRef::Bytes("é".as_bytes())).0);
    assert_eq!(hashed(&int(4, false), ValueRef::Int(42)).0, hashed(&utf8, ValueRef::Bytes(b"42")).0);
    assert_eq!(
        hashed(&SourceType::Binary { len: 3 }, ValueRef::Bytes(b"a")).0,
        hashed(&SourceType::Blob { length_bytes: 2 }, ValueRef::Bytes(b"a\0\0")).0
    );
    // changed values are told as ever, so that keys refuse them
    assert!(hashed(&utf8, ValueRef::Bytes(b"\xff")).1.contains(Reason::InvalidBytes));
    let nulled = Encode::planned(&utf8, &column(Treatment::Nulled)).unwrap();
    assert_eq!(append(&nulled, &ValueRef::Bytes(b"x")).unwrap().0, [0xff; 4]);
    let absent = Encode::planned(&utf8, &column(Treatment::Hashed(key.clone()))).unwrap();
    for encode in [nulled, absent] {
        assert!(matches!(append(&encode, &ValueRef::Absent), Err(Fault::Kind)), "left out is no value");
    }
}

#[test]
fn every_choice_has_a_conversion() {
    use super::super::choices::choices;
    use crate::ident::TargetName;
    let native = TargetName::new("public", "x");
    for ty in [
        int(1, false),
        int(2, true),
        int(8, true),
        SourceType::Year,
        SourceType::Decimal { precision: 9, scale: 2, unsigned: false },
        SourceType::Float,
        SourceType::Double,
        SourceType::Bit { bits: 1 },
        SourceType::Bit { bits: 64 },
        SourceType::Date,
        SourceType::Time { fsp: 6 },
        SourceType::DateTime { fsp: 6 },
        SourceType::Timestamp { fsp: 6 },
        text(char, "latin1"),
        text(varchar, "utf8mb4"),
        text(varchar, "binary"),
        SourceType::Text { length_bytes: 4, charset: charset("ucs2") },
        SourceType::Binary { len: 16 },
        SourceType::Binary { len: 4 },
        SourceType::VarBinary { len: 16 },
        SourceType::Blob { length_bytes: 1 },
        SourceType::Enum { labels: vec!["a".into()] },
        SourceType::Set { members: vec!["a".into()] },
        SourceType::Json { text: false },
        SourceType::Geometry,
        SourceType::Vector,
        SourceType::Uuid,
        SourceType::Inet4,
        SourceType::Inet6,
    ] {
        let all = choices(&ty, &native);
        assert_eq!(all[0], default_type(&ty, &TypeOptions::default()), "{ty:?}");
        for to in all {
            let zoned = matches!((&ty, &to), (SourceType::DateTime { .. }, PgType::TimestampTz(_)));
            assert!(zoned || Encode::of(&ty, &to).is_some(), "{ty:?} to {to:?}");
        }
    }
}
