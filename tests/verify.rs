//! `sirenia verify`: equal when both sides are, and not when a single row is not, on both servers.

use crate::support::{DATABASE, Setup, World};
use crate::workload::{before, random_load, schema};
use mysql_async::prelude::Queryable;
use serde_json::Value;
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TABLES: &[&str] = &[
    "CREATE TABLE orang (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(40) CHARACTER SET latin1, gaji DECIMAL(12,2),
       berat FLOAT, tinggi DOUBLE, lahir DATE, dicatat DATETIME(6), diubah TIMESTAMP NULL, lama TIME, aktif BIT(1), sandi BINARY(4),
       jenis ENUM('a','b'), himpun SET('x','y','z'), js JSON)",
    "CREATE TABLE majemuk (kode VARCHAR(20) NOT NULL, jenis ENUM('z','y') NOT NULL, n INT NOT NULL, isi TEXT, PRIMARY KEY (kode, jenis, n))",
    "CREATE TABLE tanpa (a INT, b VARCHAR(20), js JSON)",
    "CREATE TABLE saring (id INT PRIMARY KEY, n INT NOT NULL)",
    "CREATE TABLE kosong (id INT PRIMARY KEY)",
    "INSERT INTO orang (nama, gaji, berat, tinggi, lahir, dicatat, diubah, lama, aktif, sandi, jenis, himpun, js)
       WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r WHERE n < 900)
       SELECT CONCAT('é ', n), n / 4, n * 0.1, -n / 7, DATE_ADD('1950-01-01', INTERVAL n DAY), '2024-01-02 03:04:05.000006',
         '2030-01-01 00:00:00', SEC_TO_TIME(n - 400), n % 2, UNHEX(LPAD(HEX(n), 6, '0')), 1 + n % 2, n % 8,
         CONCAT('{\"b\": [', n, ', 1.0, \"\\\\u00e9\"],  \"a\": null}') FROM r",
    "INSERT INTO majemuk SELECT CONCAT(IF(id % 2, 'Kode', 'kode '), id), 1 + id % 2, id, REPEAT('x', id) FROM orang",
    "INSERT INTO tanpa SELECT id % 100, IF(id % 7 = 0, NULL, 'sama'), '{\"z\": 1, \"a\": [1.50]}' FROM orang",
    "INSERT INTO saring SELECT id, id % 10 FROM orang",
];

async fn world(kind: SourceKind) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[tables.rules.saring]\nrows = \"n < 7\"\n".into();
    world.run(TABLES).await;
    world
}

/// `verify --json` with more arguments: the exit code and the report.
fn report(world: &World, arguments: &[&str]) -> (i32, Value) {
    let all: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    let (code, stdout, stderr) = world.output(&all);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {code} {stdout}\n{stderr}")))
}

/// Rows, differing, missing, extra, unsettled of a table.
fn numbers(report: &Value, table: &str) -> [u64; 5] {
    let tables = report["tables"].as_array().expect("tables");
    let source = format!("{DATABASE}.{table}");
    let table = tables.iter().find(|found| found["source"] == source.as_str()).expect("the table is in the report");
    ["rows", "differing", "missing", "extra", "unsettled"].map(|name| table[name].as_u64().expect("a number"))
}

async fn finds_what_differs(kind: SourceKind) {
    let world = world(kind).await;
    let (code, _, stderr) = world.output(&["verify"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("no checkpoint") && stderr.contains("hint: `sirenia run`"), "{stderr}");

    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!((code, stdout.lines().last()), (0, Some("EQUAL")), "{stdout}\n{stderr}");
    let (code, equal) = report(&world, &[]);
    assert_eq!((code, &equal["verdict"], &equal["running"]), (0, &"equal".into(), &true.into()));
    assert_eq!(numbers(&equal, "orang"), [900, 0, 0, 0, 0]);
    assert_eq!(numbers(&equal, "saring"), [630, 0, 0, 0, 0]);
    assert_eq!(numbers(&equal, "kosong"), [0; 5]);
    assert_eq!(report(&world, &["--counts"]).0, 0);

    let target = world.target().await;
    let tamper = "SET search_path = public;
        UPDATE orang SET js = '{\"a\": null, \"b\": [1, 1.00, \"é\"]}' WHERE id = 1; -- the same value
        UPDATE orang SET js = '{\"a\": null, \"b\": [2, 1.01, \"é\"]}' WHERE id = 2;
        UPDATE orang SET nama = NULL WHERE id = 300;
        UPDATE orang SET berat = berat + 1 WHERE id = 900;
        DELETE FROM orang WHERE id IN (5, 600);
        INSERT INTO orang (id, nama) SELECT 10000 + n, 'x' FROM generate_series(1, 5) AS n;
        UPDATE majemuk SET isi = '' WHERE n = 7;
        UPDATE majemuk SET kode = 'KODE ' || n WHERE n = 10;
        DELETE FROM majemuk WHERE n = 11;
        UPDATE tanpa SET b = 'lain' WHERE ctid = (SELECT min(ctid) FROM tanpa WHERE b = 'sama');
        DELETE FROM tanpa WHERE ctid = (SELECT max(ctid) FROM tanpa WHERE b = 'sama');
        UPDATE tanpa SET js = '{\"a\": [1.5], \"z\": 1.0}' WHERE a = 3;
        INSERT INTO saring VALUES (7, 7), (8, 8);
        DELETE FROM saring WHERE id = 1";
    target.batch_execute(tamper).await.expect("tamper with the target");
    let (code, stdout, _) = world.output(&["verify"]);
    assert_eq!((code, stdout.lines().last()), (1, Some("DIFFERENT")), "{stdout}");
    let (code, different) = report(&world, &[]);
    assert_eq!((code, &different["verdict"]), (1, &"different".into()));
    assert_eq!(numbers(&different, "orang"), [900, 3, 2, 5, 0]);
    assert_eq!(numbers(&different, "majemuk"), [900, 1, 2, 1, 0]);
    assert_eq!(numbers(&different, "tanpa"), [900, 0, 2, 1, 0]);
    assert_eq!(numbers(&different, "saring"), [630, 0, 1, 2, 0]);
    assert_eq!(different["total"]["extra"], 9);

    let (code, counted) = report(&world, &["--counts"]);
    assert_eq!(code, 1);
    assert_eq!(numbers(&counted, "orang"), [900, 0, 0, 3, 0]);
    assert_eq!(numbers(&counted, "majemuk"), [900, 0, 1, 0, 0]);
    assert_eq!(numbers(&counted, "tanpa"), [900, 0, 1, 0, 0]);
    assert_eq!(numbers(&counted, "saring"), [630, 0, 0, 1, 0]);

    let (code, narrowed) = report(&world, &["--tables", "koso*,lab.kosong"]);
    assert_eq!((code, narrowed["tables"].as_array().map(Vec::len)), (0, Some(1)));
    assert_eq!(world.output(&["verify", "--tables", "kosong,tidak_ada"]).0, 2);

    target.batch_execute("DROP TABLE public.kosong").await.expect("drop");
    let (code, dropped) = report(&world, &["--tables", "kosong"]);
    assert_eq!((code, &dropped["verdict"]), (1, &"not_settled".into()));
    assert!(dropped["tables"][0]["error"].as_str().is_some_and(|error| error.contains("does not exist")), "{dropped}");

    assert_eq!(replicator.terminate().await.0, 0);
    // nothing of what stands in the source's log behind the checkpoint is there, and nobody will bring it
    world
        .run(&[
            "INSERT INTO orang (nama) VALUES ('baru')",
            "DELETE FROM majemuk WHERE n = 20",
            "DELETE FROM tanpa WHERE a = 5",
        ])
        .await;
    let (code, stopped) = report(&world, &["--tables", "orang,majemuk,tanpa"]);
    assert_eq!((code, &stopped["running"]), (1, &false.into()));
    assert_eq!(numbers(&stopped, "orang"), [901, 3, 3, 5, 0]);
    assert_eq!(numbers(&stopped, "majemuk"), [899, 1, 2, 2, 0]);
    assert_eq!(numbers(&stopped, "tanpa"), [891, 0, 2, 10, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_what_differs_from_mariadb() {
    finds_what_differs(SourceKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_what_differs_from_mysql() {
    finds_what_differs(SourceKind::MySql).await;
}

async fn says_equal_under_load(kind: SourceKind) {
    let many = 20;
    let world = World::new(Setup::new(kind)).await;
    let mut sql = schema(many);
    sql.extend(before(many, 10_000));
    sql.extend([
        "CREATE TABLE panas (id INT PRIMARY KEY, n INT)".into(),
        "INSERT INTO panas VALUES (1, 0), (2, 0)".into(),
    ]);
    world.run(&sql.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> =
        (0..2).map(|n| tokio::spawn(random_load(world.source.url(DATABASE), 7 + n, many, Arc::clone(&stop)))).collect();
    // one row that changes all the time
    let (mut conn, stopped) = (world.source().await, Arc::clone(&stop));
    let hot = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            conn.query_drop("UPDATE besar_tanpa_kunci SET n = n + 1 WHERE n > 900 LIMIT 1").await.expect("update");
            conn.query_drop("UPDATE panas SET n = n + 1 WHERE id = 1").await.expect("update");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..4 {
        let (code, stdout, stderr) = tokio::task::block_in_place(|| world.output(&["verify"]));
        assert_eq!((code, stdout.lines().last()), (0, Some("EQUAL")), "{stdout}\n{stderr}");
    }
    world.target().await.batch_execute("DELETE FROM public.jenis WHERE id = 2").await.expect("tamper");
    let (code, found) = tokio::task::block_in_place(|| report(&world, &[]));
    assert_eq!((code, &found["verdict"], &found["total"]["missing"]), (1, &"different".into(), &1.into()), "{found}");
    stop.store(true, Ordering::Relaxed);
    hot.await.expect("the hot row's writer ends");
    let mut committed = 0;
    for worker in load {
        committed += worker.await.expect("a worker ends");
    }
    assert!(committed > 100, "the load did next to nothing: {committed} transactions");
    assert!(replicator.is_running(), "the replicator has ended:\n{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn verify_says_equal_under_load_from_mariadb() {
    says_equal_under_load(SourceKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn verify_says_equal_under_load_from_mysql() {
    says_equal_under_load(SourceKind::MySql).await;
}
