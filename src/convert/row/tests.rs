use super::super::sample::{charset, int, mapping, planned, table, varchar};
use super::super::sanitize::Reason;
use super::super::typemap;
use super::*;
use crate::mapping::TableRule;
use crate::schema::{Catalog, IndexKind, SourceType, TableSchema};
use crate::value::Date;

const ZERO: ValueRef<'static> = ValueRef::Date(Date { year: 0, month: 0, day: 0 });

/// `id int, born date null, name char(8) latin1, code varchar(8) null unique, since date`.
fn people() -> TableSchema {
    table(
        "people",
        &[
            ("id", int(4, false)),
            ("born?", SourceType::Date),
            ("name", SourceType::Char { chars: 8, charset: charset("latin1") }),
            ("code?", varchar(8)),
            ("since", SourceType::Date),
        ],
    )
    .primary(&[0])
    .indexed("code", IndexKind::Unique, &[3])
}

fn row<'a>(id: i64, born: ValueRef<'a>, name: &'a [u8], code: &'a [u8], since: ValueRef<'a>) -> [ValueRef<'a>; 5] {
    [ValueRef::Int(id), born, ValueRef::Bytes(name), ValueRef::Bytes(code), since]
}

fn with_rule(rule: TableRule) -> Converter {
    let catalog = Catalog { tables: vec![people()] };
    let plans = typemap::plan(&catalog, &mapping([("people", rule)]), &TypeOptions::default()).unwrap();
    Converter::compile(Arc::new(plans.into_iter().next().unwrap())).unwrap()
}

/// The fields of a span, NULL as none.
fn split(mut bytes: &[u8]) -> Vec<Option<&[u8]>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                fields.push(Some(&rest[..length]));
                bytes = &rest[length..];
            }
            Err(_) => {
                fields.push(None);
                bytes = rest;
            }
        }
    }
    assert!(bytes.is_empty());
    fields
}

#[test]
fn a_row_becomes_a_tuple() {
    let mut converter = Converter::compile(planned(people())).unwrap();
    let mut arena = Arena::default();
    let day = ValueRef::Date(Date { year: 2000, month: 1, day: 2 });
    let first = converter.tuple(&row(7, ZERO, b"Ren\xE9  ", b"x", day), &mut arena).unwrap();
    let second = converter.tuple(&row(8, ValueRef::Null, b"\0", b"y", ZERO), &mut arena).unwrap();
    assert_eq!((first.start, first.end, second.end), (0, second.start, arena.len()));
    assert_eq!(arena.get(first)[..2], [0, 5]);
    let [seven, one] = [7i32.to_be_bytes(), 1i32.to_be_bytes()];
    let expected = [Some(&seven[..]), None, Some("René".as_bytes()), Some(b"x"), Some(&one)];
    assert_eq!(split(&arena.get(first)[2..]), expected);
    let epoch = (-10_957i32).to_be_bytes();
    assert_eq!(split(&arena.get(second)[2..])[1..], [None, Some(&b""[..]), Some(b"y"), Some(&epoch)]);
    let changed: Vec<_> = converter.take_changed(7, None).collect();
    let seen: Vec<_> = changed.iter().map(|value| (value.column, value.reason, value.policy)).collect();
    assert_eq!(
        seen,
        [
            (1, Reason::ZeroDate, Policy::Null),
            (2, Reason::NulByte, Policy::Replace),
            (4, Reason::ZeroDate, Policy::Replace)
        ]
    );
    assert_eq!((changed[0].table, changed[0].key.as_deref()), (7, Some("{\"id\":7}")));
    assert!(!converter.has_changed());
}

#[test]
fn keys_and_fields_are_the_tuples_bytes() {
    let source = table("t", &[("a?", varchar(5)), ("b", varchar(5)), ("c", int(2, true))]).primary(&[2, 1]);
    let mut converter = Converter::compile(planned(source)).unwrap();
    let mut arena = Arena::default();
    let row = [ValueRef::Null, ValueRef::Bytes("é".as_bytes()), ValueRef::UInt(65_535)];
    let tuple = converter.tuple(&row, &mut arena).unwrap();
    let key = converter.key(&row, &mut arena).unwrap();
    let fields = converter.fields(&[0, 1], &row, &mut arena).unwrap();
    let all = split(&arena.get(tuple)[2..]);
    assert_eq!(split(arena.get(key)), [all[2], all[1]]);
    assert_eq!(split(arena.get(fields)), [None, all[1]]);
}

#[test]
fn keys_and_unique_values_are_never_changed() {
    let mut converter = Converter::compile(planned(people())).unwrap();
    let mut arena = Arena::default();
    for code in [&b"a\0"[..], b"\xFF"] {
        let error = converter.tuple(&row(1, ZERO, b"n", code, ZERO), &mut arena).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unfit);
        assert!(error.to_string().starts_with("lab.people.code: ") && error.hint().is_some());
        assert!(arena.is_empty());
    }
    assert!(!converter.has_changed(), "a row that failed is not counted");
}

#[test]
fn rows_are_filtered_by_their_text() {
    let rows = Some("name = 'René' AND id IN (1, 2)".parse().unwrap());
    let mut converter = with_rule(TableRule { rows, ..TableRule::default() });
    let mut admits = |id, name: &[u8]| converter.admits(&row(id, ZERO, name, b"x", ZERO)).unwrap();
    assert!(admits(1, b"Ren\xE9") && admits(2, b"Ren\xE9  "));
    assert!(!admits(3, b"Ren\xE9") && !admits(1, "René".as_bytes()));
}

#[test]
fn columns_that_are_not_carried_still_have_fields() {
    let mut converter =
        with_rule(TableRule { exclude_columns: ["born".to_owned(), "name".to_owned()].into(), ..TableRule::default() });
    let mut arena = Arena::default();
    let row = row(1, ZERO, b"\xE9", b"x", ZERO);
    let tuple = converter.tuple(&row, &mut arena).unwrap();
    assert_eq!(arena.get(tuple)[..2], [0, 3]);
    let fields = converter.fields(&[2, 1], &row, &mut arena).unwrap();
    assert_eq!(split(arena.get(fields)), [Some("é".as_bytes()), None]);
    assert_eq!(converter.take_changed(0, None).count(), 1, "only what was carried");
}

#[test]
fn rows_of_another_shape_are_refused() {
    let mut converter = Converter::compile(planned(people())).unwrap();
    let mut arena = Arena::default();
    assert_eq!(converter.tuple(&[ValueRef::Null], &mut arena).unwrap_err().kind(), ErrorKind::Bug);
    let mut odd = row(1, ZERO, b"n", b"x", ZERO);
    odd[1] = ValueRef::Int(3);
    let error = converter.tuple(&odd, &mut arena).unwrap_err();
    assert_eq!((error.kind(), error.message().split(':').next()), (ErrorKind::Bug, Some("lab.people.born")));
    assert_eq!(converter.fields(&[9], &odd, &mut arena).unwrap_err().kind(), ErrorKind::Bug);
    assert!(arena.is_empty());
}

#[test]
fn an_overflow_says_what_mends_it() {
    let source = table("t", &[("id", int(8, true))]).primary(&[0]);
    let mut converter = Converter::compile(planned(source)).unwrap();
    let error = converter.tuple(&[ValueRef::UInt(u64::MAX)], &mut Arena::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unfit);
    let hint = error.hint().unwrap();
    assert!(hint.contains("bigint_unsigned = \"numeric\"") && hint.contains("sirenia reset --yes"), "{hint}");
    assert!(!error.report().contains(&u64::MAX.to_string()), "no value in messages");
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let kind = |change: fn(&mut TablePlan)| {
        let mut plan = TablePlan::clone(&planned(people()));
        change(&mut plan);
        Converter::compile(Arc::new(plan)).unwrap_err().kind()
    };
    assert_eq!(kind(|plan| plan.key = vec![9]), ErrorKind::Bug);
    assert_eq!(kind(|plan| plan.columns[0].source = 9), ErrorKind::Bug);
    assert_eq!(kind(|plan| plan.columns[1].ty = crate::convert::plan::PgType::Uuid), ErrorKind::Config);
    assert_eq!(
        kind(|plan| plan.rows = vec![(1, RowTest::In(vec![crate::mapping::Literal::Int(1)]))]),
        ErrorKind::Config
    );
}

/// A value beyond 1 GiB, of memory that nobody touches.
#[test]
fn too_long_follows_its_policy() {
    let long = vec![0; copy::MAX_FIELD_BYTES + 1];
    let source = table("t", &[("id", int(4, false)), ("foto?", SourceType::Blob { length_bytes: 4 })]).primary(&[0]);
    let row = [ValueRef::Int(7), ValueRef::Bytes(&long)];
    let converter = |policy: Option<Policy>| {
        let mut plan = TablePlan::clone(&planned(source.clone()));
        if let Some(policy) = policy {
            plan.columns[1].policies.set(Reason::TooLong, policy);
        }
        Converter::compile(Arc::new(plan)).unwrap()
    };
    for (policy, kind) in [
        (None, ErrorKind::Unfit),
        (Some(Policy::Quarantine), ErrorKind::Unfit),
        (Some(Policy::Fail), ErrorKind::Value),
        // which settings refuse, since nothing shorter stands for it
        (Some(Policy::Replace), ErrorKind::Value),
    ] {
        let mut arena = Arena::default();
        let mut converter = converter(policy);
        let error = converter.tuple(&row, &mut arena).unwrap_err();
        assert_eq!((error.kind(), error.code(), arena.len()), (kind, Some("too_long"), 0), "{policy:?}: {error}");
        assert!(error.message().contains("lab.t.foto") && error.hint().is_some(), "{error}");
        assert!(!converter.has_changed());
    }
    let mut arena = Arena::default();
    let mut converter = converter(Some(Policy::Null));
    let tuple = converter.tuple(&row, &mut arena).unwrap();
    assert_eq!(split(&arena.get(tuple)[2..]), [Some(&7i32.to_be_bytes()[..]), None]);
    let changed: Vec<_> =
        converter.take_changed(0, None).map(|value| (value.column, value.reason, value.policy)).collect();
    assert_eq!(changed, [(1, Reason::TooLong, Policy::Null)]);
}

/// `a int, b int, c varchar(8), d varchar(8)`, with that primary key.
fn keyed_by(key: &[usize]) -> Converter {
    let columns = [("a", int(4, false)), ("b", int(8, false)), ("c", varchar(8)), ("d", varchar(8))];
    Converter::compile(planned(table("keyed", &columns).primary(key))).unwrap()
}

#[test]
fn a_key_within_its_tuple_is_the_key() {
    let row = [ValueRef::Int(7), ValueRef::Int(-9), ValueRef::Bytes(b"sea"), ValueRef::Bytes(b"")];
    for (key, within) in
        [(&[0][..], true), (&[3], true), (&[1, 2], true), (&[0, 1, 2, 3], true), (&[2, 1], false), (&[0, 2], false)]
    {
        let mut converter = keyed_by(key);
        let mut arena = Arena::default();
        let alone = converter.key(&row, &mut arena).unwrap();
        let whole = converter.tuple(&row, &mut arena).unwrap();
        let before = arena.len();
        let (tuple, found) = converter.keyed_tuple(&row, &mut arena).unwrap();
        assert_eq!((arena.get(found), arena.get(tuple)), (arena.get(alone), arena.get(whole)), "{key:?}");
        assert_eq!(arena.len() == before + whole.len(), within, "{key:?}");
    }
}

#[test]
fn a_key_that_does_not_convert_is_told_before_the_rest() {
    let mut converter = keyed_by(&[3]);
    let mut arena = Arena::default();
    let (good, bad) = (ValueRef::Bytes(b"sea"), ValueRef::Date(Date::default()));
    let mut fails = |c, d| {
        let error = converter.keyed_tuple(&[ValueRef::Int(7), ValueRef::Int(8), c, d], &mut arena).unwrap_err();
        assert!(arena.is_empty());
        error.message().to_owned()
    };
    assert!(fails(good, bad).contains("keyed.d"));
    assert!(fails(bad, good).contains("keyed.c"));
    assert!(fails(bad, bad).contains("keyed.d"));
}

#[test]
fn only_values_that_become_the_same_bytes_are_the_same_key() {
    let converter = keyed_by(&[0, 2]);
    let row = |a, c| [a, ValueRef::Int(1), c, ValueRef::Bytes(b"")];
    let sea = row(ValueRef::Int(7), ValueRef::Bytes(b"sea"));
    assert!(converter.is_same_key(&sea, &[sea[0], ValueRef::Int(2), sea[2], ValueRef::Null]));
    assert!(!converter.is_same_key(&sea, &row(ValueRef::Int(7), ValueRef::Bytes(b"Sea"))));
    assert!(!converter.is_same_key(&sea, &row(ValueRef::Int(8), sea[2])));
    for odd in [ValueRef::Absent, ValueRef::Double(0.0), ValueRef::Float(0.0)] {
        assert!(!converter.is_same_key(&row(odd, sea[2]), &row(odd, sea[2])), "{odd:?}");
    }
}
