use super::super::sample::{charset, int, mapping, table, varchar};
use super::*;
use crate::convert::plan::IndexForm;
use crate::mapping::ColumnRule;
use crate::masking::{Mask, MaskKey};
use crate::schema::{IndexPart, TableSchema};

fn plans(tables: Vec<TableSchema>, rules: Vec<(&'static str, TableRule)>) -> Result<Vec<TablePlan>> {
    plan(&Catalog { tables }, &mapping(rules), &TypeOptions::default())
}

fn refused(tables: Vec<TableSchema>, rules: Vec<(&'static str, TableRule)>) -> String {
    let error = plans(tables, rules).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

fn rule(change: impl FnOnce(&mut TableRule)) -> TableRule {
    let mut rule = TableRule::default();
    change(&mut rule);
    rule
}

#[test]
fn default_types() {
    let utf8 = || charset("utf8mb4");
    let numeric = |precision, scale| PgType::Numeric { precision, scale };
    for (ty, expected) in [
        (int(1, false), PgType::SmallInt),
        (int(1, true), PgType::SmallInt),
        (int(2, false), PgType::SmallInt),
        (int(2, true), PgType::Integer),
        (int(3, false), PgType::Integer),
        (int(3, true), PgType::Integer),
        (int(4, false), PgType::Integer),
        (int(4, true), PgType::BigInt),
        (int(8, false), PgType::BigInt),
        (int(8, true), PgType::BigInt),
        (SourceType::Int { bytes: 1, unsigned: false, boolean: true }, PgType::SmallInt),
        (SourceType::Year, PgType::SmallInt),
        (SourceType::Decimal { precision: 12, scale: 2, unsigned: false }, numeric(12, 2)),
        (SourceType::Float, PgType::Real),
        (SourceType::Double, PgType::Double),
        (SourceType::Bit { bits: 1 }, PgType::Boolean),
        (SourceType::Bit { bits: 9 }, PgType::Bit(9)),
        (SourceType::Date, PgType::Date),
        (SourceType::Time { fsp: 3 }, PgType::Interval(3)),
        (SourceType::DateTime { fsp: 0 }, PgType::Timestamp(0)),
        (SourceType::Timestamp { fsp: 6 }, PgType::TimestampTz(6)),
        (SourceType::Char { chars: 3, charset: utf8() }, PgType::Varchar(3)),
        (SourceType::Char { chars: 0, charset: utf8() }, PgType::Text),
        (varchar(255), PgType::Varchar(255)),
        (varchar(10_485_761), PgType::Text),
        (SourceType::Text { length_bytes: 2, charset: utf8() }, PgType::Text),
        (SourceType::Text { length_bytes: 2, charset: charset("binary") }, PgType::Bytea),
        (SourceType::Binary { len: 16 }, PgType::Bytea),
        (SourceType::Blob { length_bytes: 4 }, PgType::Bytea),
        (SourceType::Enum { labels: vec!["a".into()] }, PgType::Text),
        (SourceType::Set { members: vec!["a".into()] }, PgType::TextArray),
        (SourceType::Json { text: true }, PgType::Jsonb),
        (SourceType::Geometry, PgType::Bytea),
        (SourceType::Vector, PgType::RealArray),
        (SourceType::Uuid, PgType::Uuid),
        (SourceType::Inet4, PgType::Inet),
        (SourceType::Inet6, PgType::Inet),
    ] {
        assert_eq!(default_type(&ty, &TypeOptions::default()), expected, "{ty:?}");
    }
    let chosen =
        TypeOptions { tinyint1_boolean: true, bigint_unsigned: BigintUnsigned::Numeric, ..TypeOptions::default() };
    assert_eq!(default_type(&int(8, true), &chosen), numeric(20, 0));
    assert_eq!(default_type(&int(8, false), &chosen), PgType::BigInt);
    assert_eq!(default_type(&int(1, false), &chosen), PgType::SmallInt);
    assert_eq!(default_type(&SourceType::Int { bytes: 1, unsigned: false, boolean: true }, &chosen), PgType::Boolean);
}

#[test]
fn foreign_keys_widen_through_each_other() {
    let tables = || {
        vec![
            table("a", &[("id", int(2, false))]).primary(&[0]),
            table("b", &[("id", int(4, false)), ("a_id", int(4, true))]).primary(&[0]).refers("A_ID", "A", "ID"),
            table("c", &[("a_id", int(8, true)), ("b_id", int(3, true)), ("x", varchar(3))])
                .refers("a_id", "b", "a_id")
                .refers("b_id", "b", "id")
                .refers("x", "gone", "x"),
        ]
    };
    let types = |options: &TypeOptions| -> Vec<Vec<PgType>> {
        let plans = plan(&Catalog { tables: tables() }, &mapping([]), options).unwrap();
        plans.into_iter().map(|plan| plan.columns.into_iter().map(|column| column.ty).collect()).collect()
    };
    let (integer, bigint) = (PgType::Integer, PgType::BigInt);
    let expected = [
        vec![bigint.clone()],
        vec![integer.clone(), bigint.clone()],
        vec![bigint, integer.clone(), PgType::Varchar(3)],
    ];
    assert_eq!(types(&TypeOptions::default()), expected);
    let numeric = TypeOptions { bigint_unsigned: BigintUnsigned::Numeric, ..TypeOptions::default() };
    let all = UNSIGNED_NUMERIC;
    let expected = [vec![all.clone()], vec![integer.clone(), all.clone()], vec![all, integer, PgType::Varchar(3)]];
    assert_eq!(types(&numeric), expected);
}

#[test]
fn plans_columns_key_and_uniqueness() {
    let source =
        table("t", &[("id", int(4, false)), ("code?", varchar(9)), ("note?", varchar(9)), ("n", int(4, false))])
            .indexed("code", IndexKind::Unique, &[1])
            .indexed("pair", IndexKind::Unique, &[0, 2])
            .indexed("n", IndexKind::Plain, &[3, 0])
            .primary(&[0]);
    let rules = rule(|rule| {
        rule.rename = Some("u".into());
        rule.exclude_columns.insert("note".into());
        rule.rename_columns.insert("n".into(), "number".into());
        rule.rows = Some("note IS NULL AND n > 3".parse().unwrap());
    });
    let plan = plans(vec![source], vec![("t", rules)]).unwrap().remove(0);
    assert_eq!(plan.target.to_string(), "public.u");
    assert_eq!((plan.key.as_slice(), plan.key_is_primary), (&[0][..], true));
    let columns: Vec<_> = plan
        .columns
        .iter()
        .map(|column| (column.source, column.name.as_str(), column.nullable, column.unique))
        .collect();
    assert_eq!(columns, [(0, "id", false, true), (1, "code", true, true), (3, "number", false, false)]);
    let indexes: Vec<_> =
        plan.indexes.iter().map(|index| (index.name.as_str(), index.unique, index.parts.clone())).collect();
    assert_eq!(
        indexes,
        [("u_code", true, vec![(1, None, false)]), ("u_n", false, vec![(2, None, false), (0, None, false)])]
    );
    assert_eq!(plan.rows.iter().map(|(column, _)| *column).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_unique_index_serves_as_key_and_stays_an_index() {
    let source = table("t", &[("a?", int(4, false)), ("b", int(4, false))])
        .indexed("a", IndexKind::Unique, &[0])
        .indexed("b", IndexKind::Unique, &[1]);
    let plan = plans(vec![source], vec![]).unwrap().remove(0);
    assert_eq!((plan.key.as_slice(), plan.key_is_primary), (&[1][..], false));
    assert_eq!(plan.indexes.iter().map(|index| index.name.as_str()).collect::<Vec<_>>(), ["t_a", "t_b"]);
    let without = plans(vec![table("t", &[("a?", int(4, false))])], vec![]).unwrap().remove(0);
    assert!(!without.has_key() && !without.key_is_primary);
}

#[test]
fn indexes_of_every_form() {
    let mut source = table("t", &[("a", varchar(9)), ("b", varchar(900))])
        .indexed("full", IndexKind::Plain, &[0])
        .indexed("expression", IndexKind::Unique, &[0, 1])
        .indexed("prefix", IndexKind::Primary, &[1])
        .indexed("down", IndexKind::Plain, &[1]);
    source.indexes[0].method = "FULLTEXT".into();
    source.indexes[1].parts[1].column = None;
    source.indexes[2].parts[0].prefix = Some(20);
    source.indexes[3].parts[0] = IndexPart { column: Some(1), prefix: None, descending: true, expression: None };
    let plan = plans(vec![source], vec![]).unwrap().remove(0);
    let indexes: Vec<_> =
        plan.indexes.iter().map(|index| (index.name.as_str(), index.unique, index.parts.first().copied())).collect();
    let wanted = [
        ("t_full", false, None),
        ("t_prefix", true, Some((1, Some(20), false))),
        ("t_down", false, Some((1, None, true))),
    ];
    assert_eq!(indexes, wanted);
    assert_eq!(plan.indexes[0].form, IndexForm::Words(vec![0]));
    let left_out = &plan.objects.not_carried[0];
    assert_eq!((left_out.object, left_out.name.as_str()), ("index", "expression"));
    assert!(!plan.has_key());
    assert!(plan.columns.iter().all(|column| column.unique));
}

#[test]
fn index_names_are_free_in_their_schema() {
    let columns = [("id", int(4, false)), ("b", int(4, false))];
    let mut a = table("a", &columns)
        .primary(&[0])
        .indexed("b_c", IndexKind::Plain, &[1])
        .indexed("b", IndexKind::Plain, &[1])
        .indexed("pkey", IndexKind::Plain, &[1])
        .indexed("id_seq", IndexKind::Plain, &[0])
        .indexed(&"é".repeat(60), IndexKind::Plain, &[1]);
    a.columns[0].auto_increment = true;
    let a_b = table("a_b", &columns).indexed("c", IndexKind::Plain, &[1]);
    let made = || {
        let plans = plans(vec![a.clone(), a_b.clone()], vec![]).unwrap();
        plans.iter().flat_map(|plan| plan.indexes.iter().map(|index| index.name.clone())).collect::<Vec<_>>()
    };
    let names = made();
    assert_eq!(names, made());
    assert_eq!(names[0], "a_b_c");
    // a table is called a_b, and PostgreSQL makes a_pkey and a_id_seq itself
    for (name, begin) in [(&names[1], "a_b_"), (&names[2], "a_pkey_"), (&names[3], "a_id_seq_"), (&names[5], "a_b_c_")]
    {
        assert!(name.starts_with(begin) && name.len() == begin.len() + 8, "{name}");
    }
    assert!(names.iter().all(|name| name.len() <= 63));
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = || vec![table("t", &[("id", int(4, false)), ("a", varchar(9)), ("d", SourceType::Date)]).primary(&[0])];
    let with = |change: fn(&mut TableRule)| refused(one(), vec![("t", rule(change))]);
    let filter = |text: &str| refused(one(), vec![("t", rule(|rule| rule.rows = Some(text.parse().unwrap())))]);

    assert!(with(|rule| rule.exclude_columns.extend(["id".to_owned()])).starts_with("lab.t.id: it is part of the key"));
    assert!(with(|rule| rule.exclude_columns.extend(["zz".to_owned()])).contains("exclude_columns"));
    assert!(with(|rule| rule.exclude_columns.extend(["A".to_owned()])).contains("names A"));
    assert!(with(|rule| rule.rename_columns.extend([("zz".to_owned(), "y".to_owned())])).contains("rename_columns"));
    assert!(with(|rule| rule.rename_columns.extend([("a".to_owned(), "id".to_owned())])).contains("is taken"));
    assert!(with(|rule| rule.rename_columns.extend([("a".to_owned(), "xmin".to_owned())])).contains("system column"));
    assert!(filter("zz = 1").contains("`rows` names zz"));
    assert!(filter("a = 1").starts_with("lab.t.a: a row filter cannot compare"));
    assert!(filter("id = 'x'").starts_with("lab.t.id"));
    assert!(filter("id IN (1, 'x')").starts_with("lab.t.id"));
    assert!(filter("d = '2020-01-01'").starts_with("lab.t.d"));

    let two = vec![table("a", &[("id", int(4, false))]), table("b", &[("id", int(4, false))])];
    let message = refused(two, vec![("b", rule(|rule| rule.rename = Some("a".into())))]);
    assert_eq!(message, "lab.a and lab.b both become public.a");

    let klingon =
        |name| table(name, &[("id", int(4, false)), ("s", SourceType::Char { chars: 2, charset: charset("klingon") })]);
    assert_eq!(refused(vec![klingon("t")], vec![]), "lab.t.s: character set klingon is not known");
    let without = rule(|rule| rule.exclude_columns.extend(["s".to_owned()]));
    assert!(plans(vec![klingon("t")], vec![("t", without.clone())]).is_ok());
    let filtered = TableRule { rows: Some("s = 'x'".parse().unwrap()), ..without };
    assert!(refused(vec![klingon("t")], vec![("t", filtered)]).contains("klingon"));
    assert!(refused(vec![table("t", &[])], vec![]).contains("0 columns"));
}

fn column_rule(ty: Option<&str>, mask: Option<Mask>) -> ColumnRule {
    ColumnRule { ty: ty.map(str::to_owned), mask, ..ColumnRule::default() }
}

fn with_column(column: &'static str, of: ColumnRule) -> TableRule {
    rule(|rule| drop(rule.columns.insert(column.into(), of)))
}

#[test]
fn columns_take_the_types_that_their_rules_name() {
    let source = || {
        let labels = vec!["a".to_owned()];
        table(
            "t",
            &[
                ("id", int(2, true)),
                ("b", int(1, false)),
                ("u", SourceType::Binary { len: 16 }),
                ("e", SourceType::Enum { labels }),
                ("d", SourceType::Decimal { precision: 9, scale: 2, unsigned: false }),
                ("t", SourceType::Time { fsp: 3 }),
            ],
        )
        .primary(&[0])
    };
    let of = |column, ty| {
        let plans = plans(vec![source()], vec![("t", with_column(column, column_rule(Some(ty), None)))]);
        plans.map(|plans| plans[0].columns.iter().find(|c| c.name == column).unwrap().ty.clone())
    };
    for (column, name, ty) in [
        ("id", " BigInt ", PgType::BigInt),
        ("id", "text", PgType::Text),
        ("b", "bool", PgType::Boolean),
        ("u", "uuid", PgType::Uuid),
        ("e", "enum", PgType::Enum(TargetName::new("public", "t_e_enum"))),
        ("d", "numeric", PgType::Numeric { precision: 9, scale: 2 }),
        ("d", "numeric(9,2)", PgType::Numeric { precision: 9, scale: 2 }),
        ("t", "time", PgType::Time(3)),
    ] {
        assert_eq!(of(column, name).unwrap(), ty, "{column} {name}");
    }
    for (column, name, hint) in [
        ("id", "smallint", "it can become integer, bigint, numeric, text"),
        ("d", "numeric(4,1)", "it can become numeric, text"),
        ("u", "hunter2", "it can become bytea, uuid"),
    ] {
        let error = of(column, name).unwrap_err();
        assert!(error.message().starts_with(&format!("lab.t.{column}: no conversion")), "{error}");
        assert_eq!(error.hint(), Some(hint));
        assert!(!error.report().contains("hunter2"));
    }
}

#[test]
fn enum_types_have_labels_that_postgresql_takes() {
    let of = |labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let tables = vec![table("t", &[("e", SourceType::Enum { labels })])];
        let options = TypeOptions { native_enum: true, ..TypeOptions::default() };
        plan(&Catalog { tables }, &mapping([]), &options).map(|plans| plans[0].columns[0].ty.clone())
    };
    assert_eq!(of(&["a", &"é".repeat(31)]).unwrap(), PgType::Enum(TargetName::new("public", "t_e_enum")));
    for (labels, says) in [
        (&["a", &"é".repeat(32)][..], "a label of 64 bytes"),
        (&["a", ""], "an empty label"),
        (&["a", "a"], "one label twice"),
    ] {
        let error = of(labels).unwrap_err();
        assert!(error.message().contains(says), "{error}");
        assert!(error.hint().unwrap().contains("type = \"text\""));
    }
    // rows are found by a key, and there is no array of the type
    let source = table("t", &[("e", SourceType::Enum { labels: vec!["a".into()] })]).primary(&[0]);
    let options = TypeOptions { native_enum: true, ..TypeOptions::default() };
    let plans = plan(&Catalog { tables: vec![source.clone()] }, &mapping([]), &options).unwrap();
    assert_eq!(plans[0].columns[0].ty, PgType::Text);
    let message = refused(vec![source], vec![("t", with_column("e", column_rule(Some("enum"), None)))]);
    assert!(message.contains("an enum type in a key"), "{message}");
}

#[test]
fn keys_get_types_that_have_arrays_and_equality() {
    let set = SourceType::Set { members: vec!["a".into()] };
    let source = || {
        table("t", &[("s", set.clone()), ("j", SourceType::Json { text: true }), ("f", SourceType::Double)])
            .indexed("j", IndexKind::Unique, &[1])
            .primary(&[0, 2])
    };
    let plan = plans(vec![source()], vec![]).unwrap().remove(0);
    let types: Vec<_> = plan.columns.iter().map(|column| column.ty.clone()).collect();
    assert_eq!(types, [PgType::Text, PgType::Text, PgType::Double]);
    assert!(plan.key.iter().all(|at| plan.columns[*at].ty.oids().1 != 0));
    let message = refused(vec![source()], vec![("t", with_column("s", column_rule(Some("text[]"), None)))]);
    assert!(message.contains("text[] in a key"), "{message}");
}

#[test]
fn joined_columns_are_of_one_type_and_masked_alike() {
    let tables = || {
        vec![
            table("a", &[("id", int(4, false)), ("code", varchar(9))]).primary(&[0]).indexed(
                "c",
                IndexKind::Unique,
                &[1],
            ),
            table("b", &[("a_id?", int(4, false)), ("code?", varchar(9))])
                .refers("a_id", "a", "id")
                .refers("code", "a", "code"),
        ]
    };
    let with = |rules: Vec<(&'static str, TableRule)>| {
        let mapping = Mapping { mask_key: Some(MaskKey::new(&[7; 16]).unwrap()), ..mapping(rules) };
        plan(&Catalog { tables: tables() }, &mapping, &TypeOptions::default())
    };
    let hmac = || column_rule(None, Some(Mask::Hmac));
    // one integer widens the other, as it always did
    let plans = with(vec![("b", with_column("a_id", column_rule(Some("bigint"), None)))]).unwrap();
    assert_eq!((&plans[0].columns[0].ty, &plans[1].columns[0].ty), (&PgType::BigInt, &PgType::BigInt));
    let plans = with(vec![("a", with_column("id", hmac())), ("b", with_column("a_id", hmac()))]).unwrap();
    assert_eq!((&plans[0].columns[0].ty, &plans[1].columns[0].ty), (&PgType::Text, &PgType::Text));
    for (table, column, of) in [
        ("a", "code", hmac()),
        ("b", "code", hmac()),
        ("a", "id", column_rule(Some("text"), None)),
        ("b", "a_id", hmac()),
    ] {
        let error = with(vec![(table, with_column(column, of))]).unwrap_err();
        assert!(error.message().contains("foreign key fk_"), "{error}");
        assert!(error.hint().is_some());
    }
    let error = with(vec![("b", with_column("code", column_rule(None, Some(Mask::Null))))]).unwrap_err();
    assert!(error.message().contains("mask = \"null\""), "{error}");
}

#[test]
fn masks_fit_their_columns() {
    let source = || {
        let mut source =
            table("t", &[("id", int(4, false)), ("a?", varchar(9)), ("b", varchar(9)), ("c?", varchar(9))])
                .primary(&[0])
                .indexed("b", IndexKind::Unique, &[2]);
        source.indexes[1].parts[0].prefix = Some(3);
        source
    };
    let masked = |column, mask| vec![("t", with_column(column, column_rule(None, Some(mask))))];
    assert!(refused(vec![source()], masked("b", Mask::Hmac)).contains("needs a key"));
    assert!(refused(vec![source()], masked("b", Mask::Null)).contains("NOT NULL"));
    assert!(refused(vec![source()], masked("id", Mask::Null)).contains("NOT NULL"));
    assert!(refused(vec![source()], masked("id", Mask::Drop)).contains("part of the key"));
    assert!(refused(vec![source()], masked("zz", Mask::Drop)).contains("names zz"));
    let plan = plans(vec![source()], masked("c", Mask::Drop)).unwrap().remove(0);
    assert_eq!(plan.columns.len(), 3);
    let plan = plans(vec![source()], masked("a", Mask::Null)).unwrap().remove(0);
    assert_eq!((&plan.columns[1].ty, &plan.columns[1].treatment), (&PgType::Varchar(9), &Treatment::Nulled));
    let key = Some(MaskKey::new(b"sixteen bytes...").unwrap());
    let hashed = Mapping { mask_key: key, ..mapping(masked("b", Mask::Hmac)) };
    let plan = super::plan(&Catalog { tables: vec![source()] }, &hashed, &TypeOptions::default()).unwrap().remove(0);
    assert_eq!(plan.columns[2].ty, PgType::Text);
    assert_eq!(plan.indexes[0].parts, [(2, None, false)], "the beginning of a hash is not unique");
    assert!(plan.shape().contains("masked by hashes of key ") && !plan.shape().contains("sixteen"));
}

#[test]
fn local_times_take_their_zone_where_they_are_no_key() {
    let datetime = || SourceType::DateTime { fsp: 3 };
    let source = || {
        table("t", &[("id", datetime()), ("u?", datetime()), ("a", datetime())]).primary(&[0]).indexed(
            "u",
            IndexKind::Unique,
            &[1],
        )
    };
    let options = TypeOptions { datetime_zone: Some(Zone::named("Asia/Jakarta").unwrap()), ..TypeOptions::default() };
    let plans_in =
        |rules: Vec<(&'static str, TableRule)>| plan(&Catalog { tables: vec![source()] }, &mapping(rules), &options);
    let made = plans_in(vec![]).unwrap().remove(0);
    let types: Vec<_> = made.columns.iter().map(|column| column.ty.clone()).collect();
    assert_eq!(types, [PgType::Timestamp(3), PgType::Timestamp(3), PgType::TimestampTz(3)]);
    assert!(made.shape().contains("in Asia/Jakarta"));
    let asked = |column| with_column(column, column_rule(Some("timestamptz"), None));
    assert!(plans_in(vec![("t", asked("u"))]).unwrap_err().message().contains("unique index"));
    assert!(refused(vec![source()], vec![("t", asked("a"))]).contains("time zone"));
    let plain = plans_in(vec![("t", with_column("a", column_rule(Some("timestamp"), None)))]).unwrap().remove(0);
    assert_eq!(plain.columns[2].ty, PgType::Timestamp(3));
}
