//! Sources that log parts of rows: `binlog_row_image` MINIMAL on each server, NOBLOB on MySQL, FULL_NODUP on MariaDB 11.8.
//!
//! The workload of [`crate::workload`] under each, with kills; and every way in which an image can lack something, once
//! change by change while the replicator follows, and once all in one batch. The oracle and `verify` must say equal.

use crate::support::{DATABASE, Outcome, Setup, World, on_both, tail};
use crate::workload::{after, before, numbers, random_load, schema};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind::{self, MariaDb, MariaDb118, MySql};
use sirenia::embedded::SourceOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

async fn world(kind: SourceKind, image: &str) -> World {
    let setup = Setup::new(kind);
    let options = SourceOptions { extra: vec![format!("--binlog-row-image={image}")], ..setup.options() };
    World::with_options(setup, options).await
}

async fn assert_all_equal(world: &World) {
    world.assert_equal().await;
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!(code, 0, "verify says:\n{stdout}\n{stderr}");
}

/// The random load and the named dangers, with a kill in the snapshot, one soon after it, and one in the stream.
async fn workload(kind: SourceKind, image: &str) {
    let (many, scale) = (5, 20_000);
    let mut world = world(kind, image).await;
    world.config = "[lease]\nttl = 2\n[apply]\nmemory = \"24MB\"\n".into();
    let mut sql = schema(many);
    sql.extend(before(many, scale));
    world.run_on_one(&sql).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..2)
        .map(|n| tokio::spawn(random_load(world.source.url(DATABASE), 77 + n, many, Arc::clone(&stop))))
        .collect();
    let mut replicator = world.replicate(&[]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    replicator.kill();
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    replicator.kill();
    let mut replicator = world.replicate(&[]);
    let dangers = after(scale, &world.setup);
    world.run_on_one(&dangers).await;
    replicator.kill();
    let mut replicator = world.replicate(&[]);
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for worker in load {
        committed += worker.await.expect("a worker ends");
    }
    assert!(committed > 50, "the load did next to nothing: {committed} transactions");
    world.caught_up().await;
    assert_all_equal(&world).await;
    assert!(replicator.is_running(), "the replicator has ended:\n{}", tail(&world.log()));
    assert_eq!(replicator.terminate().await.0, 0);
}

/// Tables of which images lack something, and rows in them.
fn tables(kind: SourceKind, image: &str) -> Vec<String> {
    // MariaDB does not log virtual columns under MINIMAL: refused before a run
    let computed = if kind == MySql || image != "MINIMAL" { "v INT GENERATED ALWAYS AS (a + 2) VIRTUAL," } else { "" };
    [
        "CREATE TABLE t (id INT PRIMARY KEY, u INT NOT NULL UNIQUE, a INT DEFAULT 5, note VARCHAR(50), big LONGBLOB, teks LONGTEXT,
           js JSON, st SET('a','b c','d\"'), f DOUBLE)"
            .into(),
        format!("INSERT INTO t (id, u, note, teks) SELECT n, n * 10, CONCAT('n', n), CONCAT('teks ', n) FROM {}", numbers(40)),
        "INSERT INTO t VALUES (-9, -90, 1, 'besar', REPEAT(UNHEX('00FF1027'), 4194304), REPEAT('é', 1000000), '{\"a\": [1]}', 'a,d\"', 0)".into(),
        format!("CREATE TABLE bawaan (id INT AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT 5, {computed}
           b VARCHAR(20) NOT NULL DEFAULT 'x ''y', la VARCHAR(10) CHARACTER SET latin1 NOT NULL DEFAULT 'é', c INT,
           ts TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3), dt DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
           d6 DATETIME(6) NOT NULL DEFAULT '2020-02-29 01:02:03.000004', da DATE DEFAULT '2020-02-29', ti TIME DEFAULT '-01:02:03',
           y YEAR DEFAULT 2001, e ENUM('p','it''s') NOT NULL DEFAULT 'it''s', st SET('a','b') NOT NULL DEFAULT 'a,b',
           bi BIT(5) DEFAULT b'101', b1 BIT(1) NOT NULL DEFAULT b'1', de DECIMAL(8,3) NOT NULL DEFAULT -1.5, f FLOAT DEFAULT 0.1,
           g DOUBLE NOT NULL DEFAULT 0.1234567890123, bn BINARY(4) NOT NULL DEFAULT 'ab', vb VARBINARY(9) DEFAULT 'cd',
           nn INT NOT NULL, nv VARCHAR(5) NOT NULL, ne ENUM('r','s') NOT NULL, ni BIGINT UNSIGNED NOT NULL, nd DECIMAL(5,2) NOT NULL,
           ex INT DEFAULT (1 + 2), uu VARCHAR(40) DEFAULT (UUID()), s INT GENERATED ALWAYS AS (a + 1) STORED,
           bl BLOB, tx TEXT, tn TEXT NOT NULL, te TEXT DEFAULT ('teks'), js JSON)"),
        "INSERT INTO bawaan (id, nn, nv, ne, ni, nd, tn) VALUES (1, 1, 'a', 's', 7, 1.25, 'awal')".into(),
        "CREATE TABLE unik_saja (x INT NOT NULL, y INT NOT NULL, w INT DEFAULT 3, isi BLOB, z INT UNIQUE, UNIQUE KEY (x, y))".into(),
        format!("INSERT INTO unik_saja SELECT n, n % 3, n, CONCAT('isi ', n), n FROM {}", numbers(20)),
        "CREATE TABLE tanpa (a INT, b VARCHAR(10) DEFAULT 'q', c BLOB)".into(),
        format!("INSERT INTO tanpa SELECT n % 5, CONCAT('b', n % 3), IF(n % 4, 'c', NULL) FROM {}", numbers(30)),
        "CREATE TABLE induk (id INT PRIMARY KEY, n INT, isi TEXT)".into(),
        "CREATE TABLE anak (id INT PRIMARY KEY, induk_id INT, isi TEXT,
           FOREIGN KEY (induk_id) REFERENCES induk (id) ON DELETE CASCADE ON UPDATE CASCADE)"
            .into(),
        format!("INSERT INTO induk SELECT n, n, 'induk' FROM {}", numbers(20)),
        format!("INSERT INTO anak SELECT n, n % 20, CONCAT('anak ', n) FROM {}", numbers(60)),
        "CREATE TABLE mesin_lama (id INT PRIMARY KEY, a INT DEFAULT 4, b TEXT) ENGINE=MyISAM".into(),
        format!("INSERT INTO mesin_lama (id) SELECT n FROM {}", numbers(10)),
    ]
    .to_vec()
}

/// Each change once; may be run again and again.
const CHANGES: &str = "
SET SESSION sql_mode = '';
UPDATE t SET a = a + 1 WHERE id = -9;
UPDATE t SET note = CONCAT(note, 'x'), st = 'b c' WHERE id BETWEEN 1 AND 3;
UPDATE t SET note = NULL, f = -f WHERE id = 2;
UPDATE t SET note = '', f = 1.5 WHERE id = 2;
UPDATE t SET f = -0.0 WHERE id = 3;
UPDATE t SET js = '{\"k\": 1}', st = 'a,d\"' WHERE id = 4;
UPDATE t SET teks = CONCAT(teks, '!') WHERE id = 4;
SET @a = (SELECT u FROM t WHERE id = 5), @b = (SELECT u FROM t WHERE id = 6);
BEGIN;
UPDATE t SET u = -1 WHERE id = 5;
UPDATE t SET u = @a WHERE id = 6;
UPDATE t SET u = @b, note = 'ditukar' WHERE id = 5;
COMMIT;
BEGIN;
UPDATE t SET id = -1 WHERE id = 7;
UPDATE t SET id = 7, note = 'dulu 8' WHERE id = 8;
UPDATE t SET id = 8 WHERE id = -1;
COMMIT;
UPDATE t SET id = id + 1 WHERE id BETWEEN 30 AND 39 ORDER BY id DESC;
UPDATE t SET id = id - 1 WHERE id BETWEEN 31 AND 40 ORDER BY id;
UPDATE t SET u = u + 1 WHERE id BETWEEN 30 AND 39 ORDER BY id DESC;
UPDATE t SET id = 1001, note = 'pindah' WHERE id = -9;
UPDATE t SET id = -9 WHERE id = 1001;
INSERT INTO t (id, u) VALUES (100, 100000);
UPDATE t SET note = 'baru' WHERE id = 100;
UPDATE t SET id = 101, a = 1 WHERE id = 100;
UPDATE t SET big = 'b' WHERE id = 101;
INSERT INTO t (id, u, js) VALUES (100, 100001, '[]');
DELETE FROM t WHERE id = 100;
DELETE FROM t WHERE id = 101;
DELETE FROM t WHERE id = 11;
INSERT INTO t (id, u, note) VALUES (11, 110, 'lagi');
UPDATE t SET note = 'ubah' WHERE id = 11;
REPLACE INTO t (id, u) VALUES (9, 90);
INSERT INTO bawaan () VALUES ();
INSERT INTO bawaan (a, c) VALUES (7, 8), (NULL, NULL);
INSERT INTO bawaan (nv, bl, e) VALUES ('b', 'blob', DEFAULT);
UPDATE bawaan SET c = COALESCE(c, 0) + 3;
UPDATE bawaan SET a = a + 1, tx = 'teks' WHERE id = 1;
UPDATE unik_saja SET w = w + 1 WHERE x < 5;
UPDATE unik_saja SET isi = NULL WHERE x = 6;
UPDATE unik_saja SET y = y + 100 WHERE x < 3;
UPDATE unik_saja SET y = y - 100, z = NULL WHERE x < 3;
UPDATE unik_saja SET z = x + 500 WHERE x < 3;
INSERT INTO unik_saja (x, y) VALUES (50, 1);
DELETE FROM unik_saja WHERE x = 50;
INSERT INTO tanpa (a) VALUES (1), (2);
UPDATE tanpa SET c = 'ubah' WHERE a = 1 LIMIT 2;
UPDATE tanpa SET b = 'r' WHERE a = 2 LIMIT 1;
DELETE FROM tanpa WHERE a = 3 LIMIT 1;
UPDATE induk SET n = n + 1;
UPDATE induk SET id = id + 100, n = -1 WHERE id BETWEEN 3 AND 5;
UPDATE anak SET isi = 'di bawah 103' WHERE induk_id = 103;
UPDATE induk SET id = id - 100 WHERE id BETWEEN 103 AND 105;
DELETE FROM induk WHERE id = 6;
INSERT INTO induk (id) VALUES (6);
INSERT INTO anak (id, induk_id) VALUES (200, 6);
UPDATE anak SET isi = 'lagi' WHERE id = 200;
INSERT INTO mesin_lama (id) VALUES (50);
UPDATE mesin_lama SET b = 'ubah' WHERE id < 5;
UPDATE mesin_lama SET id = 51 WHERE id = 50;
DELETE FROM mesin_lama WHERE id = 51";

/// Statements that replace or update rows of which they give some columns: MariaDB does not log what becomes of the others.
const REPLACING: [&str; 5] = [
    "REPLACE INTO t (id, u) VALUES (999, 120)",
    "REPLACE INTO t (id, u, note) VALUES (12, 120, 'diganti')",
    "INSERT INTO t (id, u) VALUES (10, 5) ON DUPLICATE KEY UPDATE note = CONCAT(COALESCE(note, ''), 'y'), a = 77",
    "INSERT INTO bawaan (id, a) VALUES (1, 8) ON DUPLICATE KEY UPDATE c = 9",
    "REPLACE INTO mesin_lama (id, a) VALUES (2, 9)",
];

fn changes(kind: SourceKind) -> Vec<String> {
    let replacing = if kind == MySql { &REPLACING[..] } else { &[] };
    let all = CHANGES.split(";\n").chain(replacing.iter().copied());
    all.map(|sql| sql.trim().trim_end_matches(';').to_owned()).collect()
}

/// Every change by itself while the replicator follows, then all of them in one batch.
async fn every_change(kind: SourceKind, image: &str) {
    let world = world(kind, image).await;
    world.run_on_one(&tables(kind, image)).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    assert_all_equal(&world).await;
    let mut source = world.source().await;
    for sql in changes(kind) {
        source.query_drop(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        // so that hardly two of them meet in one batch
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    world.caught_up().await;
    assert_all_equal(&world).await;
    assert!(replicator.is_running(), "{}", tail(&world.log()));
    assert_eq!(replicator.terminate().await.0, 0);
    world.run_on_one(&changes(kind)).await;
    world.assert_once_equal().await;
    // a row that something else took away is missed also where only a part of it changes
    world.target().await.batch_execute("DELETE FROM t WHERE id = 20").await.unwrap();
    world.run(&["UPDATE t SET note = 'tidak ada' WHERE id = 20"]).await;
    world.run_to_end(&["--once"]).await.assert_stops(&["public.t", "misses rows", "verify"]);
}

/// Sessions that log parts of rows on a server that logs them whole, from the copy on.
async fn one_session(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world.run_on_one(&tables(kind, "MINIMAL")).await;
    world.run(&["CREATE TABLE tidak_pasti (id INT PRIMARY KEY, f FLOAT NOT NULL DEFAULT 0.1234567)"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (mut source, stop) = (world.source().await, Arc::clone(&stop));
        tokio::spawn(async move {
            source.query_drop("SET SESSION binlog_row_image = MINIMAL").await.unwrap();
            while !stop.load(Ordering::Relaxed) {
                source.query_drop("UPDATE t SET a = a + 1 WHERE id BETWEEN 1 AND 30").await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let mut session = vec!["SET SESSION binlog_row_image = MINIMAL".to_owned()];
    session.extend(changes(kind));
    world.run_on_one(&session).await;
    world.caught_up().await;
    assert_all_equal(&world).await;
    // what nobody can know stops the stream
    world.run_on_one(&[session[0].clone(), "INSERT INTO tidak_pasti (id) VALUES (1)".into()]).await;
    let code = replicator.exit().await;
    let outcome = Outcome { code, stdout: String::new(), stderr: world.log() };
    let report = outcome.assert_stops(&["tidak_pasti.f", "binlog.0", "binlog_row_image"]);
    world.mend_on_source(&report).await;
    world.assert_once_equal().await;
}

/// MariaDB logs REPLACE like an update in which what is absent stays; it does not. Better to stop than to guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_mariadb_may_have_replaced() {
    let world = world(MariaDb, "MINIMAL").await;
    world.run_on_one(&tables(MariaDb, "MINIMAL")).await;
    for sql in REPLACING {
        let mut replicator = world.replicate(&[]);
        world.caught_up().await;
        // whole rows are no riddle
        world.run(&["REPLACE INTO mesin_lama VALUES (3, 30, 'utuh')"]).await;
        world.run(&["SET SESSION sql_mode = ''", sql]).await;
        let outcome = Outcome { code: replicator.exit().await, stdout: String::new(), stderr: world.log() };
        let report = outcome.assert_stops(&["may have been replaced", "binlog.0", "MariaDB"]);
        world.mend_on_source(&report).await;
        world.assert_once_equal().await;
        world.run(&["SET GLOBAL binlog_row_image = MINIMAL"]).await;
    }
}

/// What cannot be known from partial images is refused before anything is copied.
async fn refused(kind: SourceKind) {
    let mut world = world(kind, "MINIMAL").await;
    world.config = "[tables.rules.\"disaring\"]\nrows = \"n > 1\"\n".into();
    world
        .run(&[
            "CREATE TABLE disaring (id INT PRIMARY KEY, n INT)",
            "CREATE TABLE dua_kunci (x INT NOT NULL UNIQUE, y INT NOT NULL UNIQUE)",
            "CREATE TABLE tidak_pasti (id INT PRIMARY KEY, f FLOAT NOT NULL DEFAULT 0.1234567)",
            "CREATE TABLE induk (id INT PRIMARY KEY, n INT UNIQUE)",
            "CREATE TABLE anak (id INT PRIMARY KEY, n INT, CONSTRAINT anak_n FOREIGN KEY (n) REFERENCES induk (n) ON DELETE CASCADE)",
            "INSERT INTO disaring VALUES (1, 5)",
        ])
        .await;
    let mut says = vec!["binlog_row_image", "MINIMAL", "disaring tests n", "dua_kunci", "tidak_pasti.f"];
    if kind == MariaDb {
        says.push("anak_n");
    }
    let report = world.run_to_end(&[]).await.assert_stops(&says);
    let (code, stdout, stderr) = world.output(&["check"]);
    assert!(code != 0 && format!("{stdout}{stderr}").contains("tidak_pasti.f"), "{stdout}\n{stderr}");
    world.mend_on_source(&report).await;
    world.config = String::new();
    world.assert_once_equal().await;
}

/// Under NOBLOB nothing tells MariaDB's REPLACE from an update: refused before the copy, and where a session sets it, in the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_columns_that_mariadb_leaves_out() {
    let world = world(MariaDb, "NOBLOB").await;
    world
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, n INT, isi BLOB)",
            "INSERT INTO t VALUES (1, 1, 'lama')",
            "CREATE TABLE tanpa_blob (id INT PRIMARY KEY, n INT)",
        ])
        .await;
    let report = world.run_to_end(&[]).await.assert_stops(&["lab.t", "isi", "NOBLOB", "REPLACE"]);
    world.mend_on_source(&report).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&[
            "SET SESSION binlog_row_image = NOBLOB",
            "REPLACE INTO tanpa_blob VALUES (1, 1)",
            "REPLACE INTO t (id, n) VALUES (1, 2)",
        ])
        .await;
    let outcome = Outcome { code: replicator.exit().await, stdout: String::new(), stderr: world.log() };
    let report = outcome.assert_stops(&["lab.t.isi", "may have been replaced", "binlog.0", "MariaDB"]);
    world.mend_on_source(&report).await;
    world.assert_once_equal().await;
}

on_both! {
    one_session
    refused
}

macro_rules! images {
    ($($name:ident: $work:ident $kind:ident $image:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $work($kind, $image).await;
        }
    )*};
}

images! {
    workload_mariadb_minimal: workload MariaDb "MINIMAL"
    workload_mariadb_11_8_minimal: workload MariaDb118 "MINIMAL"
    workload_mariadb_11_8_full_nodup: workload MariaDb118 "FULL_NODUP"
    workload_mysql_minimal: workload MySql "MINIMAL"
    workload_mysql_noblob: workload MySql "NOBLOB"
    every_change_mariadb_minimal: every_change MariaDb "MINIMAL"
    every_change_mysql_minimal: every_change MySql "MINIMAL"
    every_change_mysql_noblob: every_change MySql "NOBLOB"
}
