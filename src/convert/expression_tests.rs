//! Conditions as the servers print them, and what becomes of them.

use super::super::sample::{int, planned, table};
use super::*;
use crate::convert::plan::TablePlan;
use std::sync::Arc;

fn text(collation: &str) -> SourceType {
    let charset = Charset { name: "utf8mb4".into(), collation: collation.into() };
    SourceType::VarChar { chars: 40, charset }
}

fn plan() -> Arc<TablePlan> {
    let labels = vec!["baru".into(), "lama".into()];
    planned(table(
        "t",
        &[
            ("a", int(4, false)),
            ("b?", int(8, false)),
            ("ci?", text("utf8mb4_unicode_ci")),
            ("raw", text("utf8mb4_0900_bin")),
            ("kind", SourceType::Enum { labels }),
            ("d?", SourceType::Date),
            ("e", SourceType::Date),
            ("f", SourceType::Double),
            ("y", SourceType::Year),
        ],
    ))
}

fn condition_of(text: &str) -> Result<String, String> {
    let plan = plan();
    condition(Columns { table: &plan.source, planned: &plan.columns }, text)
}

#[test]
fn what_means_the_same_is_translated() {
    for (source, target) in [
        ("(`a` > 0)", r#"("a" > 0)"#),
        ("`a` between 0 and 150 or `b` is null", r#"((("a" >= 0) AND ("a" <= 150)) OR ("b" IS NULL))"#),
        (r"(`kind` in (_utf8mb4\'baru\',_utf8mb4\'lama\'))", r#"(("kind" = 'baru') OR ("kind" = 'lama'))"#),
        ("not `raw` = 'it''s'", r#"(NOT ("raw" = 'it''s'))"#),
        ("`ci` <> 'x'", r#"("ci" <> 'x')"#),
        ("`ci` not in ('x','y')", r#"(NOT (("ci" = 'x') OR ("ci" = 'y')))"#),
        ("char_length(`ci`) >= 3", r#"(char_length("ci") >= 3)"#),
        ("octet_length(`ci`) < -1", r#"(octet_length("ci") < (-1))"#),
        ("`a` + 1 < `b` * 2", r#"((("a")::numeric + (1)::numeric) < (("b")::numeric * (2)::numeric))"#),
        ("`a` % 2 = 0", r#"((("a")::numeric % (2)::numeric) = 0)"#),
        ("`d` >= '2000-01-01'", r#"("d" >= '2000-01-01'::date)"#),
        ("`f` >= 0", r#"("f" >= 0)"#),
        ("ifnull(`b`,0) >= 0", r#"(COALESCE(("b")::numeric, (0)::numeric) >= 0)"#),
    ] {
        assert_eq!(condition_of(source).as_deref(), Ok(target), "{source}");
    }
}

#[test]
fn what_could_refuse_a_row_of_the_source_is_not() {
    for source in [
        "`ci` = 'x'",
        "`ci` in ('x')",
        "not `ci` <> 'x'",
        "`raw` < 'x'",
        "`kind` = 'Baru'",
        "`e` is not null",
        "`e` > '2000-01-01'",
        "`d` > '0000-01-01'",
        "`d` > '2000-1-1'",
        "`f` = 0.1",
        "`y` > 1999",
        "`a` / 2 > 1",
        "`a` % `b` = 0",
        "`a`",
        "`a` = 1 = 1",
        "`a` = '1'",
        "`a` <=> 1",
        "`ci` like 'x%'",
        "`ci` regexp 'x'",
        "`a` is true",
        "json_valid(`ci`)",
        "`nothing` > 1",
        "`a` > 1 xor `b` > 1",
        "`a` > ",
        "(`a` > 1",
        "`a` not 1",
    ] {
        assert!(condition_of(source).is_err(), "{source}: {:?}", condition_of(source));
    }
}

#[test]
fn values_are_exact_and_parts_of_indexes_may_be_looser() {
    let plan = plan();
    let columns = Columns { table: &plan.source, planned: &plan.columns };
    assert_eq!(value(columns, "concat(`ci`,' ',`raw`)").as_deref(), Ok(r#"("ci" || ' ' || "raw")"#));
    assert!(value(columns, "lower(`ci`)").is_err());
    assert_eq!(index_part(columns, "lower(`ci`)").as_deref(), Ok(r#"lower("ci")"#));
}
