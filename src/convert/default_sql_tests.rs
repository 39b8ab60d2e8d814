//! Defaults of every type.

use super::super::sample::{int, mapping, table, varchar};
use super::super::typemap::{TypeOptions, plan};
use super::*;
use crate::schema::{Catalog, LeftOut};

/// The default that a column of this type gets on the target.
fn of(ty: &SourceType, default: ColumnDefault, options: &TypeOptions) -> Result<Option<String>, String> {
    let mut source = table("t", &[("c?", ty.clone())]);
    let column = &mut source.columns[0];
    if let (SourceType::Binary { .. }, ColumnDefault::Literal(text)) = (ty, &default) {
        column.left_out = LeftOut::of_value(&ValueRef::Bytes(text.as_bytes())).unwrap();
    }
    column.default = Some(default);
    let plans = plan(&Catalog { tables: vec![source] }, &mapping([]), options).unwrap();
    default_sql(Columns { table: &plans[0].source, planned: &plans[0].columns }, &plans[0].columns[0])
}

fn constant_of(ty: &SourceType, text: &str) -> Option<String> {
    of(ty, ColumnDefault::Literal(text.into()), &TypeOptions::default()).ok().flatten()
}

fn computed_of(ty: &SourceType, text: &str) -> Option<String> {
    of(ty, ColumnDefault::Expression(text.into()), &TypeOptions::default()).ok().flatten()
}

#[test]
fn constants() {
    use SourceType as S;
    let members = || vec!["a".to_owned(), "b".to_owned()];
    for (ty, text, wanted) in [
        (int(4, false), "-5", "-5"),
        (S::Decimal { precision: 8, scale: 2, unsigned: false }, "0.50", "0.50"),
        (S::Bit { bits: 1 }, "b'1'", "true"),
        (S::Bit { bits: 4 }, "b'101'", "B'0101'"),
        (varchar(9), "it's", "'it''s'"),
        (varchar(9), r"a\b", r"E'a\\b'"),
        (S::Enum { labels: members() }, "b", "'b'::text"),
        (S::Set { members: members() }, "b,a", "ARRAY['a', 'b']::text[]"),
        (S::Set { members: members() }, "", "ARRAY[]::text[]"),
        (S::Binary { len: 4 }, "ab", r"'\x61620000'::bytea"),
        (S::Date, "2020-01-02", "'2020-01-02'::date"),
        (S::DateTime { fsp: 0 }, "2020-01-02 03:04:05", "'2020-01-02 03:04:05'::timestamp(0) without time zone"),
        (S::Time { fsp: 0 }, "-01:02:03", "'-01:02:03'::interval(0)"),
        (S::Json { text: true }, "{}", "'{}'::jsonb"),
        (S::Inet6, "::1", "'::1'::inet"),
    ] {
        assert_eq!(constant_of(&ty, text).as_deref(), Some(wanted), "{ty:?} {text}");
    }
    for (ty, text) in [
        (S::Date, "0000-00-00"),
        (S::DateTime { fsp: 0 }, "0000-00-00 00:00:00"),
        (S::Date, "2020-02-30"),
        (S::Timestamp { fsp: 0 }, "2020-01-02 03:04:05"),
        (S::Enum { labels: members() }, "B"),
        (varchar(9), "?"),
        (int(4, false), "b'1'"),
        (S::Json { text: true }, "{"),
        (S::Geometry, "x"),
    ] {
        assert_eq!(constant_of(&ty, text), None, "{ty:?} {text}");
    }
    let boolean = TypeOptions { tinyint1_boolean: true, ..TypeOptions::default() };
    let tiny = SourceType::Int { bytes: 1, unsigned: false, boolean: true };
    let of = |text: &str| super::tests::of(&tiny, ColumnDefault::Literal(text.into()), &boolean).ok().flatten();
    assert_eq!((of("1").as_deref(), of("2")), (Some("true"), None));
}

#[test]
fn expressions() {
    let moment = SourceType::DateTime { fsp: 0 };
    let now = "(date_trunc('second', statement_timestamp()))::timestamp without time zone";
    for text in ["CURRENT_TIMESTAMP", "current_timestamp()", "now()", "(now())"] {
        assert_eq!(computed_of(&moment, text).as_deref(), Some(now), "{text}");
    }
    let stamp = SourceType::Timestamp { fsp: 6 };
    assert_eq!(computed_of(&stamp, "CURRENT_TIMESTAMP(6)").as_deref(), Some("statement_timestamp()"));
    assert_eq!(computed_of(&SourceType::Date, "curdate()").as_deref(), Some("(statement_timestamp())::date"));
    assert_eq!(computed_of(&varchar(36), "uuid()").as_deref(), Some("(gen_random_uuid())::text"));
    assert_eq!(computed_of(&varchar(35), "uuid()"), None);
    assert_eq!(computed_of(&SourceType::Json { text: false }, "json_array()").as_deref(), Some("'[]'::jsonb"));
    assert_eq!(computed_of(&varchar(9), r"_utf8mb4\'x\'").as_deref(), Some("'x'"));
    assert_eq!(computed_of(&int(4, false), "(1 + 2)").as_deref(), Some("((1)::numeric + (2)::numeric)"));
    for text in ["rand()", "(`a` + 1)", "now() + interval 1 day"] {
        assert_eq!(computed_of(&int(4, false), text), None, "{text}");
    }
}
