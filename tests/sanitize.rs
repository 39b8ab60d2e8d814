//! Values that PostgreSQL does not take as they are: every reason × every policy, by the copy and by the stream alike.
//!
//! What a user would look at is looked at: the value on the target, `sirenia.sanitized` and its counts, the counter over
//! HTTP, the quarantine, and whether the others arrive. One reason is not here: `too_long` needs a value beyond 1 GiB, and
//! is tested where no such value has to be stored, in `convert::row::tests::too_long_follows_its_policy`.

use crate::support::http::get;
use crate::support::{Setup, World, on_both, tail};
use sirenia::embedded::SourceKind::{self, MySql};
use sirenia::embedded::free_port;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A value that does not fit, in a column of its own.
struct Case {
    column: &'static str,
    ty: &'static str,
    /// A value that fits, and how PostgreSQL prints it.
    good: (&'static str, &'static str),
    bad: &'static str,
    reason: &'static str,
    /// How a report words the reason.
    says: &'static str,
    /// What stands for it under `replace`.
    replaced: &'static str,
}

const fn case(
    column: &'static str,
    ty: &'static str,
    good: (&'static str, &'static str),
    bad: &'static str,
    [reason, says]: [&'static str; 2],
    replaced: &'static str,
) -> Case {
    Case { column, ty, good, bad, reason, says, replaced }
}

const ZERO_DATE: [&str; 2] = ["zero_date", "a zero date"];
const INVALID_DATE: [&str; 2] = ["invalid_date", "a date that does not exist"];
const NUL_BYTE: [&str; 2] = ["nul_byte", "a NUL character"];
const INVALID_BYTES: [&str; 2] = ["invalid_bytes", "invalid in the column's character set"];
const LONE_SURROGATE: [&str; 2] = ["lone_surrogate", "half of a surrogate pair"];
const INVALID_JSON: [&str; 2] = ["invalid_json", "text that is not JSON"];
const ENUM_ZERO: [&str; 2] = ["enum_zero", "the error value of ENUM"];
const OUT_OF_RANGE: [&str; 2] = ["out_of_range", "bigint's largest"];
const NOT_BOOLEAN: [&str; 2] = ["not_boolean", "neither 0 nor 1"];
const NOT_TIME_OF_DAY: [&str; 2] = ["not_time_of_day", "outside 00:00:00 to 23:59:59"];

const DAY: (&str, &str) = ("'2020-01-02'", "2020-01-02");
const MOMENT: (&str, &str) = ("'2020-01-02 03:04:05'", "2020-01-02 03:04:05");
const TEXT: (&str, &str) = ("'ab'", "ab");
const JSON: (&str, &str) = ("'[1]'", "[1]");
const TIME: (&str, &str) = ("'01:02:03'", "01:02:03");

/// What both servers let in when they are asked to be lenient.
const BOTH: [Case; 12] = [
    case("zero_date", "DATE", DAY, "'0000-00-00'", ZERO_DATE, "1970-01-01"),
    case("zero_datetime", "DATETIME", MOMENT, "'0000-00-00 00:00:00'", ZERO_DATE, "1970-01-01 00:00:00"),
    case(
        "zero_timestamp",
        "TIMESTAMP",
        ("'2020-01-02 03:04:05'", "2020-01-02 03:04:05+00"),
        "0",
        ZERO_DATE,
        "1970-01-01 00:00:00+00",
    ),
    case("no_date", "DATE", DAY, "'2023-02-30'", INVALID_DATE, "1970-01-01"),
    case("no_datetime", "DATETIME", MOMENT, "'2023-00-15 10:00:00'", INVALID_DATE, "1970-01-01 00:00:00"),
    case("nul_text", "VARCHAR(20)", TEXT, r"'rah\0asia'", NUL_BYTE, "rahasia"),
    case("nul_json", "JSON", JSON, r#"'{"rah\\u0000asia": 1}'"#, NUL_BYTE, r#"{"rahasia": 1}"#),
    case("no_label", "ENUM('S','L')", ("'S'", "S"), "'XL'", ENUM_ZERO, ""),
    case("large", "BIGINT UNSIGNED", ("5", "5"), "18446744073709551615", OUT_OF_RANGE, "9223372036854775807"),
    case("two", "TINYINT(1)", ("0", "false"), "2", NOT_BOOLEAN, "true"),
    case("late", "TIME", TIME, "'25:00:00'", NOT_TIME_OF_DAY, "23:59:59"),
    case("early", "TIME", TIME, "'-01:00:00'", NOT_TIME_OF_DAY, "00:00:00"),
];

/// A byte that the set has no character for. UTF-8 MySQL checks.
const MYSQL: [Case; 1] =
    [case("bytes", "VARCHAR(20) CHARACTER SET greek", TEXT, "X'41D242'", INVALID_BYTES, "A\u{FFFD}B")];

/// MariaDB's UTF-8 holds halves of surrogate pairs, and its JSON is text, which a constraint checks or not.
const MARIADB: [Case; 5] = [
    case(
        "bytes",
        "VARCHAR(20) CHARACTER SET utf8mb3",
        TEXT,
        "X'41EDA08042'",
        INVALID_BYTES,
        "A\u{FFFD}\u{FFFD}\u{FFFD}B",
    ),
    case("bytes_json", "JSON", JSON, "X'22EDA08022'", INVALID_BYTES, "\"\u{FFFD}\u{FFFD}\u{FFFD}\""),
    case("nul_in_json", "JSON", JSON, r#"'"rah\0asia"'"#, NUL_BYTE, "\"rahasia\""),
    case("half", "JSON", JSON, r#"'"rahasia\\ud800"'"#, LONE_SURROGATE, "\"rahasia\u{FFFD}\""),
    case("no_json", "JSON", JSON, "'{rahasia'", INVALID_JSON, "\"{rahasia\""),
];

fn cases(kind: SourceKind) -> Vec<Case> {
    match kind {
        MySql => BOTH.into_iter().chain(MYSQL).collect(),
        _ => BOTH.into_iter().chain(MARIADB).collect(),
    }
}

/// Lets everything in.
fn loose(kind: SourceKind) -> String {
    let checks = if kind == MySql { "" } else { ", check_constraint_checks = 0" };
    format!("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'{checks}")
}

/// Types under which every reason can arise.
const TYPES: &str = "[types]\ntinyint1 = \"boolean\"\ntime = \"time\"\n";

/// The settings of a table's columns: the policy of each one's reason.
fn rules<'a>(table: &str, cases: impl Iterator<Item = (&'a Case, &'a str)>) -> String {
    let rule = |(case, policy): (&Case, &str)| {
        let Case { column, reason, .. } = case;
        format!("[tables.rules.{table}.columns.{column}]\nsanitize = {{ {reason} = \"{policy}\" }}\n")
    };
    cases.map(rule).collect()
}

fn create(table: &str, cases: &[&Case]) -> String {
    let null = if table == "wajib" { "NOT NULL" } else { "NULL" };
    let mut columns: Vec<String> = cases.iter().map(|case| format!("{} {} {null}", case.column, case.ty)).collect();
    if table == "unik" {
        columns.extend(cases.iter().map(|case| format!("UNIQUE KEY ({}, id)", case.column)));
    }
    format!("CREATE TABLE {table} (id INT PRIMARY KEY, {})", columns.join(", "))
}

/// A row of values that fit, but for the column at `bad`.
fn insert(table: &str, cases: &[&Case], id: usize, bad: Option<usize>) -> String {
    let value = |(at, case): (usize, &&Case)| if Some(at) == bad { case.bad } else { case.good.0 };
    let values: Vec<&str> = cases.iter().enumerate().map(value).collect();
    format!("INSERT INTO {table} VALUES ({id}, {})", values.join(", "))
}

/// One table per policy that settings give its columns, and those that follow the defaults: where NULL may stand, where it
/// may not, and in a unique index.
const TABLES: [&str; 6] = ["kosong", "ganti", "sisih", "bawaan", "wajib", "unik"];

/// The policy that a column of a table has. `not_boolean` is set in general, which columns' own settings and unique
/// indexes outdo.
fn policy(table: &str, case: &Case) -> &'static str {
    let rare = ["out_of_range", "not_time_of_day"].contains(&case.reason);
    match table {
        "kosong" => "null",
        "ganti" => "replace",
        "sisih" | "unik" => "quarantine",
        _ if rare => "quarantine",
        "bawaan" if ["zero_date", "invalid_date"].contains(&case.reason) => "null",
        _ => "replace",
    }
}

/// The cases of a table: JSON is in no unique index.
fn in_table<'a>(table: &str, cases: &'a [Case]) -> Vec<&'a Case> {
    cases.iter().filter(|case| table != "unik" || case.ty != "JSON").collect()
}

// the numbers of the rows, plus the case's own
const COPIED: usize = 100;
const STREAMED: usize = 200;
const UPDATED: usize = 300;

/// Everything that is to be found, in the order that [`found`] reads it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Table and row number: the values.
    rows: BTreeMap<(String, i32), Vec<Option<String>>>,
    /// Table, column, key, reason, policy, whether from the copy.
    ledger: Vec<[String; 6]>,
    /// Table, column, reason, policy, count.
    counts: Vec<[String; 5]>,
    /// Table, key, operation, code, whether from the copy.
    quarantine: Vec<[String; 5]>,
    /// Lines of `/metrics`.
    metrics: BTreeSet<String>,
}

fn expected(cases: &[Case]) -> Findings {
    let mut all = Findings::default();
    for table in TABLES {
        let cases = in_table(table, cases);
        let good: Vec<_> = cases.iter().map(|case| Some(case.good.1.to_owned())).collect();
        all.rows.extend([1, 2].map(|id| ((table.to_owned(), id), good.clone())));
        let mut aside = 0;
        for (at, case) in cases.iter().enumerate() {
            let policy = policy(table, case);
            let stored = match policy {
                "null" => None,
                _ => Some(case.replaced.to_owned()),
            };
            for base in [COPIED, STREAMED, UPDATED] {
                let (id, copied) = (base + at, base == COPIED);
                let (key, copied) = (format!("{{\"id\":{id}}}"), copied.to_string());
                let mut row = good.clone();
                if policy == "quarantine" {
                    aside += 1;
                    let entry = [table, &key, "put", case.reason, &copied];
                    all.quarantine.push(entry.map(str::to_owned));
                    // what was there before an update stands
                    if base != UPDATED {
                        continue;
                    }
                } else {
                    row[at].clone_from(&stored);
                    let entry = [table, case.column, &key, case.reason, policy, &copied];
                    all.ledger.push(entry.map(str::to_owned));
                }
                all.rows.insert((table.to_owned(), i32::try_from(id).unwrap()), row);
            }
            if policy != "quarantine" {
                let Case { column, reason, .. } = case;
                all.counts.push([table, column, reason, policy, "3"].map(str::to_owned));
                all.metrics.insert(format!(
                    "sirenia_sanitized_total{{column=\"{column}\",reason=\"{reason}\",table=\"lab.{table}\"}} 3"
                ));
            }
        }
        if aside > 0 {
            all.metrics.insert(format!("sirenia_quarantined_rows{{table=\"lab.{table}\"}} {aside}"));
        }
    }
    all.ledger.sort();
    all.counts.sort();
    all.quarantine.sort();
    all
}

/// What the target and `/metrics` say. A position that is not the copy's must be one in the log.
async fn found(world: &World, port: u16, cases: &[Case]) -> Findings {
    let target = world.target().await;
    target.batch_execute("SET timezone = 'UTC'").await.unwrap();
    let mut all = Findings::default();
    for table in TABLES {
        let columns: Vec<_> = in_table(table, cases).iter().map(|case| format!("{}::text", case.column)).collect();
        for row in target.query(&format!("SELECT id, {} FROM {table}", columns.join(", ")), &[]).await.unwrap() {
            let values = (1..=columns.len()).map(|at| row.get(at)).collect();
            all.rows.insert((table.to_owned(), row.get(0)), values);
        }
    }
    let place =
        "CASE WHEN position = 'snapshot' THEN 'true' WHEN position LIKE '%binlog.0%' THEN 'false' ELSE position END";
    async fn texts<const N: usize>(target: &tokio_postgres::Client, sql: &str) -> Vec<[String; N]> {
        let rows = target.query(sql, &[]).await.unwrap();
        let mut texts: Vec<_> = rows.iter().map(|row| std::array::from_fn(|at| row.get(at))).collect();
        texts.sort();
        texts
    }
    let sql = format!("SELECT source_table, column_name, key, reason, policy, {place} FROM sirenia.sanitized");
    all.ledger = texts(&target, &sql).await;
    let sql = "SELECT source_table, column_name, reason, policy, count::text FROM sirenia.sanitized_count";
    all.counts = texts(&target, sql).await;
    let sql = format!(
        "SELECT source_table, key_text, operation, code, {place} FROM sirenia.quarantine
          WHERE error LIKE '%lab.' || source_table || '.%' AND image IS NOT NULL"
    );
    all.quarantine = texts(&target, &sql).await;
    let (code, metrics) = get(port, "/metrics");
    assert_eq!(code, 200, "{metrics}");
    let ours =
        |line: &&str| line.starts_with("sirenia_sanitized_total{") || line.starts_with("sirenia_quarantined_rows{");
    all.metrics = metrics.lines().filter(ours).filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect();
    all
}

/// Every reason under `null`, `replace` and `quarantine`, set and by default: a row before the copy, one inserted behind it and
/// one updated, and a row without fault at the end of each.
async fn reasons_and_policies(kind: SourceKind) {
    let cases = cases(kind);
    let mut world = World::new(Setup::new(kind)).await;
    let port = free_port();
    let set = ["kosong", "ganti", "sisih"];
    let rules = set.map(|table| rules(table, cases.iter().map(|case| (case, policy(table, case))))).concat();
    let general = "[sanitize]\nnot_boolean = \"replace\"\n";
    world.config = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{TYPES}{general}{rules}");
    let mut before = vec![loose(kind)];
    let mut behind = before.clone();
    for table in TABLES {
        let cases = in_table(table, &cases);
        before.extend([create(table, &cases), insert(table, &cases, 1, None)]);
        for (at, case) in cases.iter().enumerate() {
            before.push(insert(table, &cases, COPIED + at, Some(at)));
            before.push(insert(table, &cases, UPDATED + at, None));
            behind.push(insert(table, &cases, STREAMED + at, Some(at)));
            behind.push(format!("UPDATE {table} SET {} = {} WHERE id = {}", case.column, case.bad, UPDATED + at));
        }
        // what a rolled back transaction had is not recorded
        behind.extend(["BEGIN".into(), insert(table, &cases, 99, Some(0)), "ROLLBACK".into()]);
        behind.push(insert(table, &cases, 2, None));
    }
    world.run_on_one(&before).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world.run_on_one(&behind).await;
    world.caught_up().await;
    let wanted = expected(&cases);
    // metrics follow the commit that they count
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut seen = found(&world, port, &cases).await;
    while seen.metrics != wanted.metrics && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = found(&world, port, &cases).await;
    }
    let log = || tail(&world.log());
    for (id, row) in &wanted.rows {
        assert_eq!(seen.rows.get(id), Some(row), "{id:?}; the log ends:\n{}", log());
    }
    assert_eq!(seen, wanted, "the log ends:\n{}", log());
    assert!(replicator.is_running());
    // nothing of a value in what people read
    let (code, out, err) = world.output(&["sanitized", "--tables", "ganti", "--json"]);
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let zero = json.as_array().unwrap().iter().find(|count| count["column"] == "zero_date").unwrap();
    assert_eq!((&zero["count"], &zero["newest"][0]["key"]["id"]), (&3.into(), &UPDATED.into()), "{out}");
    assert!(!out.contains("kosong"), "only the table that was asked for: {out}");
    let (_, listed, _) = world.output(&["quarantine", "list"]);
    for text in [&out, &listed, &world.log()] {
        assert!(!text.contains("rahasia") && !text.contains("18446744073709551615"), "a value is shown:\n{text}");
    }
    // verify converts the source's rows under the same policies
    let (code, out, err) = world.output(&["verify"]);
    assert!(code == 1 && out.ends_with("ALL DIFFERENCES ARE IN QUARANTINE\n"), "{out}{err}");
}

/// `fail` stops with table, column and reason, and a hint, at the copy and at the stream; the row's transaction does not
/// arrive in part. With another policy, as the hint says, the same run goes on.
async fn fail(kind: SourceKind) {
    let all = cases(kind);
    let mut reasons = BTreeSet::new();
    let cases: Vec<&Case> = all.iter().filter(|case| reasons.insert(case.reason)).collect();
    let mut world = World::new(Setup::new(kind)).await;
    let rows = |base: usize| -> Vec<String> {
        let transaction = |at: usize| {
            let own = [insert("gagal", &cases, 1000 + base + at, None), insert("gagal", &cases, base + at, Some(at))];
            ["BEGIN".to_owned()].into_iter().chain(own).chain(["COMMIT".to_owned()])
        };
        [loose(kind)].into_iter().chain((0..cases.len()).flat_map(transaction)).collect()
    };
    let there = async |world: &World, sql: &str| -> Vec<i32> {
        let rows = world.target().await.query(sql, &[]).await.unwrap_or_default();
        rows.iter().map(|row| row.get(0)).collect()
    };
    world.run(&[&create("gagal", &cases)]).await;
    for base in [COPIED, STREAMED] {
        world.run_on_one(&rows(base)).await;
        for (at, case) in cases.iter().enumerate() {
            let settled = cases.iter().enumerate().map(|(n, case)| (*case, if n < at { "replace" } else { "fail" }));
            world.config = format!("{TYPES}{}", rules("gagal", settled));
            let outcome = world.run_to_end(&["--once"]).await;
            let report = outcome.assert_stops(&[&format!("lab.gagal.{}", case.column), case.says]);
            assert_eq!(outcome.code, 3, "{}", report.text);
            assert!(!outcome.stderr.contains("rahasia"), "a value is shown:\n{}", tail(&outcome.stderr));
            let sql = format!("SELECT id FROM gagal WHERE id IN ({}, {})", base + at, 1000 + base + at);
            assert_eq!(there(&world, &sql).await, [0; 0], "a part of the transaction of {}", case.column);
        }
        world.config = format!("{TYPES}{}", rules("gagal", cases.iter().map(|case| (*case, "replace"))));
        let outcome = world.run_to_end(&["--once"]).await;
        assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
        let sql = "SELECT id FROM gagal ORDER BY id % 1000, id";
        let ids = (COPIED..=base).step_by(STREAMED - COPIED);
        let ids = ids.flat_map(|base| (0..cases.len()).flat_map(move |at| [base + at, 1000 + base + at]));
        assert_eq!(there(&world, sql).await, ids.map(|id| i32::try_from(id).unwrap()).collect::<Vec<_>>());
    }
    // other types take a new copy, as the hints of these reasons say
    world.config = "[types]\nbigint_unsigned = \"numeric\"\ntinyint1 = \"smallint\"\ntime = \"interval\"\n".into();
    assert_eq!(world.output(&["reset", "--yes"]).0, 0);
    let outcome = world.run_to_end(&["--once"]).await;
    assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
    let sql = "SELECT concat_ws(' ', max(large), max(two), max(late)) FROM gagal";
    let found: String = world.target().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(found, "18446744073709551615 2 25:00:00");
}

/// Settings that would let two keys become one, or NULL into NOT NULL, are refused before anything is copied.
async fn settings(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE t (kode VARCHAR(9) PRIMARY KEY, lahir DATE NOT NULL)",
            "INSERT INTO t VALUES ('a', '2020-01-02')",
        ])
        .await;
    for (config, says) in [
        ("[tables.rules.t.columns.kode]\nsanitize = { nul_byte = \"replace\" }\n", ["lab.t.kode", "nul_byte"]),
        ("[sanitize]\nzero_date = \"null\"\n", ["lab.t.lahir", "NOT NULL"]),
        ("[sanitize]\nzero_dates = \"null\"\n", ["sirenia.toml", "zero_dates"]),
    ] {
        world.config = config.into();
        let outcome = world.run_to_end(&["--once"]).await;
        assert_eq!(outcome.code, 2, "{config}: {}", tail(&outcome.stderr));
        let report = outcome.report().text;
        assert!(says.iter().all(|part| report.contains(part)), "{config}: {report}");
    }
}

on_both! { reasons_and_policies fail settings }
