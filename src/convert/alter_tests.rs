use super::*;
use crate::convert::sample;
use crate::convert::typemap::{self, TypeOptions};
use crate::mapping::Mapping;
use crate::schema::{Catalog, TableSchema};
use std::collections::BTreeMap;

fn plan(columns: &[(&str, SourceType)], change: impl FnOnce(&mut TableSchema)) -> Arc<TablePlan> {
    let mut table = sample::table("t", columns);
    change(&mut table);
    let mapping = Mapping { databases: BTreeMap::from([("lab".into(), "public".into())]), ..Mapping::default() };
    Arc::new(typemap::plan(&Catalog { tables: vec![table] }, &mapping, &TypeOptions::default()).unwrap().remove(0))
}

/// What becomes of a column `c` that goes from one type to another, in words.
fn modified(from: SourceType, to: SourceType) -> String {
    let (old, new) = (plan(&[("c", from)], |_| {}), plan(&[("c", to)], |_| {}));
    match alteration(&old, &new, &[Some(0)]).unwrap() {
        Alteration::Copy(_) => "copy".into(),
        Alteration::Steps { steps, unless } => {
            let steps = steps.iter().map(|step| format!("{step:?}"));
            let unless = unless.iter().map(|unless| format!("unless {}", unless.rows));
            steps.chain(unless).collect::<Vec<_>>().join("; ")
        }
    }
}

fn charset(name: &str) -> Charset {
    Charset { name: name.into(), collation: format!("{name}_general_ci") }
}

fn varchar(chars: u32, name: &str) -> SourceType {
    SourceType::VarChar { chars, charset: charset(name) }
}

fn text(length_bytes: u8, name: &str) -> SourceType {
    SourceType::Text { length_bytes, charset: charset(name) }
}

fn labels(labels: &[&str]) -> SourceType {
    SourceType::Enum { labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

#[test]
fn types_that_hold_more_are_cast_and_narrower_ones_are_tested() {
    let int = |bytes, unsigned| sample::int(bytes, unsigned);
    let decimal = |precision, scale| SourceType::Decimal { precision, scale, unsigned: false };
    for (from, to, expected) in [
        (int(4, false), int(8, false), "Cast(0)"),
        (int(8, false), int(4, false), r#"Cast(0); unless "c" < -2147483648 OR "c" > 2147483647"#),
        (int(4, false), int(4, true), r#"Cast(0); unless "c" < 0"#),
        (int(4, true), int(8, false), ""),
        (int(4, false), decimal(12, 2), "Cast(0)"),
        (int(4, false), decimal(11, 2), "copy"),
        (decimal(10, 2), decimal(12, 3), "Cast(0)"),
        (decimal(10, 2), decimal(10, 3), "copy"),
        (decimal(10, 2), decimal(10, 1), "copy"),
        (int(4, false), varchar(20, "latin1"), "Cast(0)"),
        (varchar(20, "utf8mb4"), int(4, false), "copy"),
        (SourceType::Float, SourceType::Double, "Cast(0)"),
        (SourceType::Double, SourceType::Float, "copy"),
        (SourceType::Date, SourceType::DateTime { fsp: 0 }, "Cast(0)"),
        (SourceType::DateTime { fsp: 0 }, SourceType::DateTime { fsp: 6 }, "Cast(0)"),
        (SourceType::DateTime { fsp: 6 }, SourceType::DateTime { fsp: 0 }, "copy"),
        (SourceType::DateTime { fsp: 0 }, SourceType::Timestamp { fsp: 0 }, "copy"),
    ] {
        assert_eq!(modified(from.clone(), to.clone()), expected, "{from:?} -> {to:?}");
    }
}

#[test]
fn text_is_kept_where_the_new_charset_and_length_hold_it() {
    let char_ = |chars| SourceType::Char { chars, charset: charset("utf8mb4") };
    for (from, to, expected) in [
        (varchar(20, "utf8mb4"), varchar(40, "utf8mb4"), "Cast(0)"),
        (varchar(20, "latin1"), varchar(20, "utf8mb4"), ""),
        (varchar(20, "utf8mb4"), varchar(20, "latin1"), "copy"),
        (varchar(40, "utf8mb4"), varchar(20, "utf8mb4"), r#"Cast(0); unless char_length("c") > 20"#),
        (varchar(40, "utf8mb4"), text(1, "utf8mb4"), r#"Cast(0); unless octet_length("c") > 255"#),
        (text(2, "utf8mb4"), text(4, "utf8mb4"), ""),
        (text(2, "latin1"), text(2, "utf8mb4"), r#"unless octet_length("c") > 65535"#),
        (text(2, "utf8mb4"), varchar(9, "utf8mb4"), r#"Cast(0); unless char_length("c") > 9"#),
        (char_(5), varchar(5, "utf8mb4"), ""),
        (varchar(5, "utf8mb4"), char_(5), r#"unless "c" LIKE '% ' OR char_length("c") > 5"#),
        (varchar(5, "utf8mb4"), SourceType::VarBinary { len: 5 }, "copy"),
        (
            SourceType::Blob { length_bytes: 4 },
            SourceType::Blob { length_bytes: 1 },
            r#"unless octet_length("c") > 255"#,
        ),
        (SourceType::Binary { len: 4 }, SourceType::Binary { len: 5 }, "copy"),
    ] {
        assert_eq!(modified(from.clone(), to.clone()), expected, "{from:?} -> {to:?}");
    }
}

#[test]
fn labels_are_kept_by_their_text() {
    assert_eq!(modified(labels(&["a", "b"]), labels(&["b", "c", "a"])), "");
    assert_eq!(modified(labels(&["a", "it's"]), labels(&["a"])), r#"unless "c"::text IN ('it''s')"#);
    let set = |members: &[&str]| SourceType::Set { members: members.iter().map(|m| (*m).to_owned()).collect() };
    assert_eq!(modified(set(&["a"]), set(&["a", "b"])), "");
    assert_eq!(modified(set(&["a", "b"]), set(&["b", "a"])), "copy");
}

#[test]
fn columns_come_go_and_change_their_names() {
    let three = ["a", "b", "c"].map(|name| (name, sample::int(4, false)));
    let old = plan(&three, |_| {});
    let new =
        plan(&[("b", sample::int(4, false)), ("a", sample::int(4, false)), ("d", sample::int(4, false))], |table| {
            table.columns[2].left_out = LeftOut::of_value(&ValueRef::Int(7)).unwrap();
            table.columns[2].nullable = true;
        });
    let steps = |origins: &[Option<usize>]| match alteration(&old, &new, origins).unwrap() {
        Alteration::Steps { steps, .. } => steps,
        Alteration::Copy(why) => panic!("{why}"),
    };
    let rename = |from: &str, to: &str| Step::Rename { from: from.into(), to: to.into() };
    // a and b swap their names, c goes, d comes with a default
    let added = Step::Add { column: 2, fill: Some(vec![0, 0, 0, 7]) };
    let expected = [Step::Drop("c".into()), rename("a", "b"), rename("b", "a"), added.clone()];
    assert_eq!(steps(&[Some(0), Some(1), None]), expected);
    assert_eq!(steps(&[Some(1), Some(0), None]), [Step::Drop("c".into()), added]);
    assert_eq!(steps(&[Some(1), Some(0), Some(2)]), [rename("c", "d"), Step::Nullability(2)]);
}

#[test]
fn what_the_source_computes_is_copied() {
    let old = plan(&[("a", sample::int(4, false))], |_| {});
    let new = |left_out| {
        plan(&[("a", sample::int(4, false)), ("b", SourceType::DateTime { fsp: 0 })], |table| {
            table.columns[1].left_out = left_out;
        })
    };
    let of = |left_out| alteration(&old, &new(left_out), &[Some(0), None]).unwrap();
    for left_out in [LeftOut::Never, LeftOut::Unknown, LeftOut::Always] {
        assert!(matches!(of(left_out), Alteration::Copy(_)));
    }
    assert_eq!(
        of(LeftOut::Null),
        Alteration::Steps { steps: vec![Step::Add { column: 1, fill: None }], unless: vec![] }
    );
}

#[test]
fn null_that_became_a_value_is_looked_for() {
    let nullable = |yes| plan(&[("c", sample::int(4, false))], move |table| table.columns[0].nullable = yes);
    let Alteration::Steps { steps, unless } = alteration(&nullable(true), &nullable(false), &[Some(0)]).unwrap() else {
        panic!("a copy")
    };
    assert_eq!((steps, unless[0].rows.as_str()), (vec![Step::Nullability(0)], "\"c\" IS NULL"));
}

#[test]
fn another_primary_key_takes_the_old_one_away() {
    let keyed = |columns: &[usize]| {
        let columns = columns.to_vec();
        plan(&[("a", sample::int(4, false)), ("b", sample::int(4, false))], move |table| {
            if !columns.is_empty() {
                *table = table.clone().primary(&columns);
            }
        })
    };
    let steps =
        |old: &[usize], new: &[usize], origins: &[Option<usize>]| match alteration(&keyed(old), &keyed(new), origins)
            .unwrap()
        {
            Alteration::Steps { steps, .. } => steps.contains(&Step::DropKey),
            Alteration::Copy(why) => panic!("{why}"),
        };
    let same = [Some(0), Some(1)];
    assert!(!steps(&[0], &[0], &same) && !steps(&[], &[0], &same));
    assert!(steps(&[0], &[], &same) && steps(&[0], &[1], &same) && steps(&[0], &[0, 1], &same));
    // the columns have swapped their names
    assert!(!steps(&[0], &[1], &[Some(1), Some(0)]));
}
