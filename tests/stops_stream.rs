//! What stops `sirenia run` while it follows, or when it is started again: DDL, statements, prepared XA transactions, a
//! purged binlog, another server. And what must not stop it.
//!
//! After each stop what the hint asks for is done, and replication must work again and end equal.

use crate::support::{DATABASE, Outcome, Replicator, Report, Setup, Watch, World, on_both, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind::{self, MySql};
use sirenia::embedded::SourceServer;

const SCHEMA: [&str; 6] = [
    "CREATE TABLE pasien (id INT AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50) NOT NULL, jumlah INT NOT NULL DEFAULT 0)",
    "CREATE TABLE hasil (id INT AUTO_INCREMENT PRIMARY KEY, pasien_id INT, nilai DECIMAL(10,2), KEY (pasien_id))",
    "CREATE TABLE singgahan (id INT PRIMARY KEY, isi VARCHAR(20))",
    "INSERT INTO pasien (nama) VALUES ('Siti'), ('Budi'), ('Ayu')",
    "INSERT INTO hasil (pasien_id, nilai) VALUES (1, 1.5), (2, 2.5)",
    "INSERT INTO singgahan VALUES (1, 'x')",
];

async fn plain(kind: SourceKind) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 2\n[tables]\nexclude = [\"singgahan*\"]\n".into();
    world.run(&SCHEMA).await;
    world
}

async fn following(kind: SourceKind) -> (World, Replicator) {
    let world = plain(kind).await;
    let replicator = world.replicate(&[]);
    world.caught_up().await;
    (world, replicator)
}

async fn assert_equal(world: &World) {
    let (source, target) = (world.source.url(DATABASE), world.target.url(DATABASE));
    let skip: Vec<String> = {
        let mut conn = world.source().await;
        let sql = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{DATABASE}' AND TABLE_NAME LIKE 'singgahan%'"
        );
        conn.query(sql).await.unwrap()
    };
    let skip: Vec<&str> = skip.iter().map(String::as_str).collect();
    let found = crate::support::oracle::differences(&source, DATABASE, &target, "public", &skip).await;
    assert!(found.is_empty(), "not equal:\n{}\nthe log ends:\n{}", found.join("\n"), tail(&world.log()));
}

async fn assert_once_equal(world: &World) {
    let outcome = world.run_to_end(&["--once"]).await;
    assert_eq!(outcome.code, 0, "run --once:\n{}", tail(&outcome.stderr));
    assert_equal(world).await;
}

/// Waits for the stop in the background, and for that of a restart: a stop stays a stop until it is mended.
async fn assert_stopped(world: &World, replicator: &mut Replicator, says: &[&str]) -> Report {
    let code = replicator.exit().await;
    assert_eq!(code, 3, "{}", tail(&world.log()));
    Outcome { code, stdout: String::new(), stderr: world.log() }.assert_stops(says);
    world.run_to_end(&[]).await.assert_stops(&[])
}

/// DDL that cannot be read with certainty: everything before it is applied, nothing behind it; the hint's copy mends it.
async fn ddl(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    let mut conn = world.source().await;
    conn.query_drop("INSERT INTO pasien (nama) VALUES ('sebelum')").await.unwrap();
    // what REAL is depends on it, and on more than the statement says
    conn.query_drop("SET sql_mode = 'REAL_AS_FLOAT'").await.unwrap();
    conn.query_drop("ALTER TABLE pasien ADD COLUMN suhu REAL").await.unwrap();
    conn.query_drop("INSERT INTO pasien (nama, suhu) VALUES ('sesudah', 36.5)").await.unwrap();
    let report = assert_stopped(&world, &mut replicator, &["ALTER TABLE lab.pasien", "binlog.0"]).await;
    let names = "SELECT string_agg(nama, ',' ORDER BY id) FROM pasien";
    let names: String = world.target().await.query_one(names, &[]).await.unwrap().get(0);
    assert_eq!(names, "Siti,Budi,Ayu,sebelum");
    world.mend_on_target(&report).await;
    assert_once_equal(&world).await;
}

/// The same where the settings let the others go on: the table is paused.
async fn ddl_that_pauses(kind: SourceKind) {
    let mut world = plain(kind).await;
    world.config += "[ddl]\nunknown = \"pause\"\n";
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let mut conn = world.source().await;
    conn.query_drop("SET sql_mode = 'REAL_AS_FLOAT'").await.unwrap();
    conn.query_drop("ALTER TABLE pasien ADD COLUMN suhu REAL").await.unwrap();
    conn.query_drop("INSERT INTO pasien (nama, suhu) VALUES ('sesudah', 36.5)").await.unwrap();
    conn.query_drop("INSERT INTO hasil (pasien_id, nilai) VALUES (1, 9)").await.unwrap();
    world.caught_up().await;
    let count = "SELECT (SELECT count(*) FROM hasil)::text || ' ' || (SELECT count(*) FROM pasien)";
    let count: String = world.target().await.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(count, "3 3", "hasil goes on, pasien is paused");
    let (code, out, err) = world.output(&["tables", "resume", "pasien"]);
    assert_eq!((code, out.as_str()), (0, "lab.pasien  ready\n"), "{err}");
    world.caught_up().await;
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// DDL that concerns no replicated table, and statements that are logged and change no table.
async fn unrelated_ddl(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    let all = [
        "ALTER TABLE singgahan ADD COLUMN lain INT",
        "CREATE TABLE singgahan_baru (id INT PRIMARY KEY)",
        "TRUNCATE TABLE singgahan",
        "DROP TABLE singgahan_baru",
        "CREATE USER 'pembaca'@'%' IDENTIFIED BY 'rahasia-9f3c'",
        "GRANT SELECT ON lab.* TO 'pembaca'@'%'",
        "ALTER USER 'pembaca'@'%' IDENTIFIED BY 'rahasia-9f3c-2'",
        "DROP USER 'pembaca'@'%'",
        "ANALYZE TABLE pasien",
        "OPTIMIZE TABLE singgahan",
        "CREATE VIEW pandangan AS SELECT id FROM pasien",
        "DROP VIEW pandangan",
        "CREATE PROCEDURE hitung() SELECT COUNT(*) FROM pasien",
        "DROP PROCEDURE hitung",
        "CREATE DATABASE lain",
        "CREATE TABLE lain.pasien (id INT PRIMARY KEY)",
        "INSERT INTO lain.pasien VALUES (1)",
        "ALTER TABLE lain.pasien ADD COLUMN x INT",
        "DROP DATABASE lain",
        "CREATE TEMPORARY TABLE pasien_sementara (id INT)",
        "INSERT INTO pasien_sementara VALUES (1)",
        "DROP TEMPORARY TABLE pasien_sementara",
        "FLUSH BINARY LOGS",
        "FLUSH TABLES",
    ];
    let mut conn = world.source().await;
    for sql in all {
        // temporary tables belong to their connection
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        conn.query_drop("UPDATE pasien SET jumlah = jumlah + 1").await.unwrap();
    }
    world.caught_up().await;
    assert!(replicator.is_running(), "stopped:\n{}", tail(&world.log()));
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
    assert!(!world.log().contains("rahasia-9f3c"), "a statement's password is in the log");
}

/// A statement instead of rows, on a replicated table.
async fn statement(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    let mut conn = world.source().await;
    if let Err(error) = conn.query_drop("SET SESSION binlog_format = STATEMENT").await {
        // a server without the variable cannot log statements: that it has none is what is tested then
        let mysql_async::Error::Server(error) = error else { panic!("{error}") };
        assert_eq!((kind, error.code), (MySql, 1193), "{error}");
        return;
    }
    conn.query_drop("INSERT INTO pasien (nama) VALUES ('sebelum')").await.unwrap();
    conn.query_drop("UPDATE pasien SET jumlah = jumlah + 1 WHERE nama = 'rahasia-9f3c'").await.unwrap();
    let report = assert_stopped(&world, &mut replicator, &["statement", "binlog.0"]).await;
    assert!(!report.text.contains("rahasia-9f3c"), "a value is in the report:\n{}", report.text);
    drop(conn);
    world.mend_on_source(&report).await;
    assert_once_equal(&world).await;
}

/// A transaction prepared while we follow.
async fn prepared_xa(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    let mut teller = world.source().await;
    for sql in [
        "XA START 'kasir-2'",
        "INSERT INTO pasien (nama) VALUES ('tertunda')",
        "XA END 'kasir-2'",
        "XA PREPARE 'kasir-2'",
    ] {
        teller.query_drop(sql).await.unwrap();
    }
    drop(teller);
    let code = replicator.exit().await;
    let outcome = Outcome { code, stdout: String::new(), stderr: world.log() };
    let report = outcome.assert_stops(&["prepared", "xa", "binlog.0"]);
    println!("{}", report.text);
    // as the hint says: what XA RECOVER lists is ended, then all is copied anew
    let listed: Vec<mysql_async::Row> = world.source().await.query("XA RECOVER").await.unwrap();
    assert_eq!(listed.len(), 1);
    let xid: String = listed[0].get(3).unwrap();
    world.run(&[&format!("XA COMMIT '{xid}'")]).await;
    world.mend_on_source(&report).await;
    assert_once_equal(&world).await;
}

/// The binlog has been purged past the checkpoint.
async fn purged(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    assert_eq!(replicator.terminate().await.0, 0);
    world
        .run(&["INSERT INTO pasien (nama) VALUES ('hilang dari log')", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"])
        .await;
    let mut conn = world.source().await;
    let logs: Vec<mysql_async::Row> = conn.query("SHOW BINARY LOGS").await.unwrap();
    let last: String = logs.last().unwrap().get(0).unwrap();
    // a server purges nothing that the ended replicator's session still reads, until it notices that nobody is there
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        conn.query_drop(format!("PURGE BINARY LOGS TO '{last}'")).await.unwrap();
        let logs: Vec<mysql_async::Row> = conn.query("SHOW BINARY LOGS").await.unwrap();
        if logs[0].get::<String, _>(0).unwrap() == last {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the binlog is not purged");
        let dumps = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
        for id in conn.query::<u64, _>(dumps).await.unwrap() {
            let _ = conn.query_drop(format!("KILL {id}")).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let report = world.run_to_end(&[]).await.assert_stops(&["source", "binlog", "purged"]);
    println!("{}", report.text);
    world.mend_on_target(&report).await;
    assert_once_equal(&world).await;
}

/// Begins the source's binlog anew, in another second than before: a file is known by its name and the second of its creation.
async fn reset_log(world: &World, kind: SourceKind) {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world.run(&[if kind == MySql { "RESET BINARY LOGS AND GTIDS" } else { "RESET MASTER" }]).await;
}

/// The binlog was reset: the same server, the same file name, other events. Once after the stream has brought changes,
/// once before it has brought any: then the checkpoint is still the one that the snapshot began with.
async fn reset_binlog(kind: SourceKind) {
    for changed in [true, false] {
        println!("changes before the reset: {changed}");
        let (world, mut replicator) = following(kind).await;
        if changed {
            world.run(&["INSERT INTO pasien (nama) VALUES ('sebelum reset')"]).await;
            world.caught_up().await;
        }
        assert_eq!(replicator.terminate().await.0, 0);
        reset_log(&world, kind).await;
        world.run(&["INSERT INTO pasien (nama) VALUES ('setelah reset')"]).await;
        for _ in 0..30 {
            world.run(&["INSERT INTO hasil (pasien_id, nilai) VALUES (1, 1)"]).await;
        }
        let report = world.run_to_end(&[]).await.assert_stops(&["source", "binlog"]);
        println!("{}", report.text);
        world.mend_on_target(&report).await;
        assert_once_equal(&world).await;
    }
}

/// The binlog was reset and has grown again past the checkpoint's transaction, in an earlier file than the checkpoint's or
/// with new files of all its names. Nothing of it may be applied as what follows.
async fn reset_binlog_that_grew_again(kind: SourceKind) {
    for rotations in [0, 4] {
        println!("files after the reset: {}", rotations + 1);
        let (world, mut replicator) = following(kind).await;
        world.run(&["FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "UPDATE pasien SET jumlah = 5 WHERE id = 1"]).await;
        world.caught_up().await;
        assert_eq!(replicator.terminate().await.0, 0);
        reset_log(&world, kind).await;
        for _ in 0..60 {
            world.run(&["INSERT INTO hasil (pasien_id, nilai) VALUES (1, 1)"]).await;
        }
        for _ in 0..rotations {
            world.run(&["FLUSH BINARY LOGS"]).await;
        }
        let report = world.run_to_end(&[]).await.assert_stops(&["source", "binlog"]);
        println!("{}", report.text);
        let count = world.target().await.query_one("SELECT count(*) FROM hasil WHERE nilai = 1", &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 0, "rows of another log were applied");
        world.mend_on_target(&report).await;
        assert_once_equal(&world).await;
    }
}

/// Behind the source's address is another server, with the same tables and a binlog of the same names.
async fn another_server(kind: SourceKind) {
    let (mut world, mut replicator) = following(kind).await;
    assert_eq!(replicator.terminate().await.0, 0);
    let other = SourceServer::start(kind, world.setup.options()).await.expect("the other source starts");
    let mut conn = mysql_async::Conn::from_url(other.url("mysql")).await.unwrap();
    conn.query_drop(format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")).await.unwrap();
    conn.query_drop(format!("USE {DATABASE}")).await.unwrap();
    for sql in SCHEMA {
        conn.query_drop(sql).await.unwrap();
    }
    for n in 0..50 {
        conn.query_drop(format!("INSERT INTO pasien (nama) VALUES ('dari yang lain {n}')")).await.unwrap();
    }
    let stop = world.run_as(&other.url(DATABASE), &world.target.url(DATABASE), &[]).await;
    let report = stop.assert_stops(&["source", "checkpoint was taken"]);
    println!("{}", report.text);
    let count: i64 = world.target().await.query_one("SELECT count(*) FROM pasien", &[]).await.unwrap().get(0);
    assert_eq!(count, 3, "rows of the other server were applied");
    // back on the first server all goes on as before
    assert_once_equal(&world).await;
    // and on the other one after what the hint says
    world.run_as(&other.url(DATABASE), &world.target.url(DATABASE), &[]).await.assert_stops(&["source"]);
    let first = std::mem::replace(&mut world.source, other);
    world.mend_on_target(&report).await;
    assert_once_equal(&world).await;
    drop(first);
}

/// The target's table has lost a row that the stream changes: diverged, not passed over.
async fn missing_row_on_the_target(kind: SourceKind) {
    let (world, mut replicator) = following(kind).await;
    world.target().await.batch_execute("DELETE FROM pasien WHERE id = 2").await.unwrap();
    world.run(&["UPDATE pasien SET jumlah = 7 WHERE id = 2"]).await;
    // an update carries the whole row: either it is put back, or we stop and say so; silence is the only wrong answer
    let mut watch = Watch::new(&world);
    let end = watch
        .until("the row is back, or the replicator has stopped", async |watch| {
            if !replicator.is_running() {
                return Some(false);
            }
            let rows = watch.rows("SELECT jumlah = 7 FROM pasien WHERE id = 2").await?;
            rows.first()?.get::<_, bool>(0).then_some(true)
        })
        .await;
    if end {
        world.caught_up().await;
        return assert_equal(&world).await;
    }
    let report = assert_stopped(&world, &mut replicator, &["pasien"]).await;
    world.mend_on_target(&report).await;
    assert_once_equal(&world).await;
}

on_both! {
    ddl
    ddl_that_pauses
    unrelated_ddl
    statement
    prepared_xa
    purged
    reset_binlog
    reset_binlog_that_grew_again
    another_server
    missing_row_on_the_target
}
