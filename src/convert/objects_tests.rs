//! Objects of tables that refer to each other.

use super::super::sample::{int, mapping, table};
use super::super::typemap::{self, TypeOptions};
use super::*;
use crate::mapping::TableRule;
use crate::schema::{Catalog, Check, TableSchema};

fn child() -> TableSchema {
    table("anak", &[("id", int(4, false)), ("induk", int(4, true))]).primary(&[0]).refers("induk", "INDUK", "id")
}

fn parent() -> TableSchema {
    table("induk", &[("id", int(4, true)), ("kode", int(4, false))]).primary(&[0])
}

fn plans(tables: Vec<TableSchema>, rule: Option<TableRule>) -> Vec<TablePlan> {
    let rules = rule.map(|rule| ("induk", rule));
    typemap::plan(&Catalog { tables }, &mapping(rules), &TypeOptions::default()).unwrap()
}

#[test]
fn a_foreign_key_keeps_its_name_and_its_actions() {
    let plans = plans(vec![child(), parent()], None);
    let key = &plans[0].objects.foreign_keys[0];
    assert_eq!((key.name.as_str(), &key.columns, key.parent.table.as_str()), ("fk_induk", &vec![1], "induk"));
    assert_eq!((&key.parent_columns, key.on_delete), (&vec!["id".to_owned()], Action::Cascade));
    assert!(plans[0].objects.not_carried.is_empty());
}

#[test]
fn what_cannot_hold_is_named_with_its_reason() {
    let reason = |tables, rule| {
        let plans = plans(tables, rule);
        assert!(plans[0].objects.foreign_keys.is_empty());
        plans[0].objects.not_carried[0].reason.clone()
    };
    assert!(reason(vec![child()], None).contains("not carried"));
    let some = TableRule { rows: Some("kode > 1".parse().unwrap()), ..TableRule::default() };
    assert!(reason(vec![child(), parent()], Some(some)).contains("only some rows"));
    let plain = table("induk", &[("id", int(4, true))]).indexed("i", IndexKind::Plain, &[0]);
    assert!(reason(vec![child(), plain], None).contains("not unique"));
}

#[test]
fn identity_checks_comments_and_names() {
    let mut table = child();
    table.columns[0].auto_increment = true;
    table.columns[1].comment = "Induk".into();
    table.comment = "Anak".into();
    table.checks = ["x", "fk_induk"]
        .map(|name| Check { name: name.into(), condition: "`id` > 0".into(), enforced: name != "x" })
        .to_vec();
    let plans = plans(vec![table, parent()], None);
    let objects = &plans[0].objects;
    assert_eq!((objects.identity, objects.comment.as_str(), objects.comments[0].0), (Some(0), "Anak", 1));
    assert_eq!((objects.checks[0].name.as_str(), objects.foreign_keys[0].name.as_str()), ("fk_induk", "fk_induk_2"));
    assert_eq!((objects.not_carried[0].object, objects.not_carried[0].name.as_str()), ("check", "x"));
}
