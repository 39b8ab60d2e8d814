//! Values that PostgreSQL does not take as they are: what each reason becomes under each policy, by the copy and by the
//! stream alike, and the record of it.

use crate::support::{Setup, World, on_both, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind::{self, MySql};

/// Lets everything in.
fn loose(kind: SourceKind) -> &'static str {
    match kind {
        MySql => "SET SESSION sql_mode = ''",
        _ => "SET SESSION sql_mode = '', check_constraint_checks = 0",
    }
}

/// One table per policy; the same rows go in before the copy and, with other keys, behind it.
fn schema() -> Vec<String> {
    ["biasa", "kosong", "wajib"]
        .map(|table| {
            let null = if table == "wajib" { "NOT NULL" } else { "NULL" };
            format!(
                "CREATE TABLE {table} (id INT PRIMARY KEY, lahir DATE {null}, dibuat DATETIME {null}, nama VARCHAR(20) {null},
                 besar ENUM('S','L') {null}, jumlah BIGINT UNSIGNED {null}, catatan TEXT {null}, ket JSON {null})"
            )
        })
        .into()
}

fn rows(kind: SourceKind, first: i32) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["biasa", "kosong", "wajib"] {
        let mut add = |n: i32, lahir: &str, dibuat: &str, nama: &str, besar: &str, ket: &str| {
            all.push(format!(
                "INSERT INTO {table} VALUES ({}, {lahir}, {dibuat}, {nama}, {besar}, 5, '{{}}', {ket})",
                first + n
            ));
        };
        add(0, "'0000-00-00'", "'2023-00-15 10:00:00'", "'ok'", "'S'", "'{}'");
        add(1, "'2020-01-02'", "'2020-01-02 03:04:05'", "_utf8mb4'a\\0b'", "'x'", "'\"a\\\\u0000b\"'");
        if kind != MySql {
            // MySQL's own JSON holds neither
            add(2, "'2020-01-02'", "'2020-01-02 03:04:05'", "'ok'", "'L'", "'\"\\\\ud800\"'");
            add(3, "'2020-01-02'", "'2020-01-02 03:04:05'", "'ok'", "'L'", "'{rusak'");
        }
    }
    all
}

/// `null` and `replace`, and the defaults, of all reasons that a column without uniqueness can have.
async fn policies(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[sanitize]\nenum_zero = \"replace\"\n\
        [tables.rules.kosong.columns.nama]\nsanitize = { nul_byte = \"null\" }\n\
        [tables.rules.kosong.columns.besar]\nsanitize = { enum_zero = \"null\" }\n\
        [tables.rules.kosong.columns.ket]\nsanitize = { nul_byte = \"null\", lone_surrogate = \"null\" }\n\
        [tables.rules.kosong.columns.lahir]\nsanitize = { zero_date = \"replace\" }\n"
        .into();
    let statements: Vec<String> = [loose(kind).to_owned()].into_iter().chain(schema()).chain(rows(kind, 1)).collect();
    world.run_on_one(&statements).await;
    let replicator = world.replicate(&[]);
    world.caught_up().await;
    let mut stream = vec![loose(kind).to_owned()];
    stream.extend(rows(kind, 11));
    // what a rolled back transaction had is not recorded
    stream.extend([
        "BEGIN".into(),
        "INSERT INTO biasa (id, lahir) VALUES (99, '0000-00-00')".into(),
        "ROLLBACK".into(),
    ]);
    world.run_on_one(&stream).await;
    world.caught_up().await;
    drop(replicator);
    let target = world.target().await;
    for (table, expected) in [
        ("biasa", "-|-|ok|S|{}/2020-01-02|2020-01-02 03:04:05|ab||\"ab\""),
        ("kosong", "1970-01-01|-|ok|S|{}/2020-01-02|2020-01-02 03:04:05|-|-|-"),
        ("wajib", "1970-01-01|1970-01-01 00:00:00|ok|S|{}/2020-01-02|2020-01-02 03:04:05|ab||\"ab\""),
    ] {
        for first in [1, 11] {
            let sql = format!(
                "SELECT string_agg(concat_ws('|', coalesce(lahir::text, '-'), coalesce(dibuat::text, '-'),
                    coalesce(nama, '-'), coalesce(besar, '-'), coalesce(ket::text, '-')), '/' ORDER BY id)
                   FROM {table} WHERE id IN ({first}, {first} + 1)"
            );
            let found: String = target.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "{table} from {first}; the log ends:\n{}", tail(&world.log()));
        }
    }
    if kind != MySql {
        let ket = "SELECT string_agg(coalesce(ket::text, '-'), ' ' ORDER BY id) FROM";
        for (table, expected) in
            [("biasa", "\"\u{FFFD}\" \"{rusak\" \"\u{FFFD}\" \"{rusak\""), ("kosong", "- \"{rusak\" - \"{rusak\"")]
        {
            let sql = format!("{ket} {table} WHERE id IN (3, 4, 13, 14)");
            let found: String = target.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "{table}");
        }
    }
    // the record: each value once, at its place in the copy and in the log
    let recorded = "SELECT string_agg(concat_ws(' ', column_name, reason, policy, count), ', ' ORDER BY 1)
                      FROM (SELECT * FROM sirenia.sanitized_count WHERE source_table = 'kosong'
                             AND column_name <> 'ket') AS c";
    let recorded: String =
        target.query_one(&recorded.replace("ORDER BY 1", "ORDER BY column_name"), &[]).await.unwrap().get(0);
    assert_eq!(
        recorded,
        "besar enum_zero null 2, dibuat invalid_date null 2, lahir zero_date replace 2, nama nul_byte null 2"
    );
    let keys = "SELECT string_agg(key || ' ' || (position = 'snapshot')::text, ', ' ORDER BY id)
                  FROM sirenia.sanitized WHERE source_table = 'biasa' AND column_name = 'lahir'";
    let keys: String = target.query_one(keys, &[]).await.unwrap().get(0);
    assert_eq!(keys, "{\"id\":1} true, {\"id\":11} false");
    let (code, out, err) = world.output(&["sanitized", "--tables", "biasa", "--json"]);
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let zero = json.as_array().unwrap().iter().find(|c| c["column"] == "lahir").unwrap();
    assert_eq!((&zero["count"], &zero["newest"][0]["key"]["id"]), (&2.into(), &11.into()), "{out}");
    assert!(!out.contains("wajib"));
    // verify converts the source's rows under the same policies
    let (code, out, err) = world.output(&["verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// `fail` stops with table, column and reason, and a hint that helps.
async fn fail(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[tables.rules.biasa.columns.lahir]\nsanitize = { zero_date = \"fail\" }\n".into();
    world.run(&[&schema()[0], "INSERT INTO biasa (id, lahir) VALUES (1, '2020-01-02')"]).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let mut source = world.source().await;
    source.query_drop(loose(kind)).await.unwrap();
    source.query_drop("INSERT INTO biasa (id, lahir) VALUES (2, '0000-00-00')").await.unwrap();
    assert_eq!(replicator.exit().await, 3, "{}", tail(&world.log()));
    let outcome = world.run_to_end(&["--once"]).await;
    outcome.assert_stops(&["lab.biasa.lahir", "a zero date", "[sanitize]"]);
    world.config.clear();
    let outcome = world.run_to_end(&["--once"]).await;
    assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
    let there: i64 = world.target().await.query_one("SELECT count(*) FROM biasa", &[]).await.unwrap().get(0);
    assert_eq!(there, 2);
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

on_both! { policies fail settings }
