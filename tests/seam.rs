//! The seam of snapshot and stream: a commit that is in the binlog and not yet in the engine while the snapshot starts.
//!
//! Semi-synchronous replication with the wait point AFTER_SYNC holds a commit exactly there, for want of a replica. A
//! snapshot that took the binlog's own position as its start would read the tables without the held rows and then begin
//! behind them.

use crate::support::{DATABASE, Setup, Watch, World, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind::{self, MariaDb, MariaDb118, MySql};
use std::time::{Duration, Instant};

const HELD: [&str; 6] = [
    "BEGIN",
    "INSERT INTO pasien VALUES (1000, 'tertahan')",
    "UPDATE pasien SET nama = 'tertahan juga' WHERE id = 2",
    "DELETE FROM pasien WHERE id = 3",
    "UPDATE pasien SET id = 2000 WHERE id = 4",
    "INSERT INTO hasil VALUES (1, 1000), (2, 2000)",
];

fn hold(kind: SourceKind) -> &'static [&'static str] {
    match kind {
        MariaDb | MariaDb118 => &[
            "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'",
            "SET GLOBAL rpl_semi_sync_master_timeout = 3600000",
            "SET GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
            "SET GLOBAL rpl_semi_sync_master_enabled = ON",
        ],
        MySql => &[
            "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
            "SET GLOBAL rpl_semi_sync_source_wait_point = 'AFTER_SYNC'",
            "SET GLOBAL rpl_semi_sync_source_timeout = 3600000",
            "SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
            "SET GLOBAL rpl_semi_sync_source_enabled = ON",
        ],
    }
}

fn release(kind: SourceKind) -> &'static str {
    match kind {
        MariaDb | MariaDb118 => "SET GLOBAL rpl_semi_sync_master_enabled = OFF",
        MySql => "SET GLOBAL rpl_semi_sync_source_enabled = OFF",
    }
}

async fn end_of_binlog(world: &World) -> u64 {
    let status = world.setup.kind.status_statement();
    let row: mysql_async::Row = world.source().await.query_first(status).await.unwrap().unwrap();
    row.get(1).unwrap()
}

async fn visible(world: &World) -> bool {
    let sql = "SELECT COUNT(*) FROM pasien WHERE id = 1000";
    world.source().await.query_first::<u64, _>(sql).await.unwrap() == Some(1)
}

/// `keyless`: the held transaction changes a table without a key too.
async fn held_commit(kind: SourceKind, gtid: bool, keyless: bool) {
    let mut world = World::new(Setup { kind, gtid, full_metadata: true }).await;
    world.config = "[lease]\nttl = 2\n".into();
    world
        .run(&[
            "CREATE TABLE pasien (id INT PRIMARY KEY, nama VARCHAR(50), UNIQUE KEY (nama))",
            "CREATE TABLE hasil (id INT PRIMARY KEY, pasien_id INT, FOREIGN KEY (pasien_id) REFERENCES pasien (id))",
            "CREATE TABLE catatan (isi VARCHAR(50))",
            "INSERT INTO pasien VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')",
            "INSERT INTO catatan VALUES ('x'), ('x'), ('y')",
        ])
        .await;
    world.run(hold(kind)).await;
    let before = end_of_binlog(&world).await;
    let mut conn = world.source().await;
    for sql in HELD {
        conn.query_drop(sql).await.unwrap();
    }
    if keyless {
        conn.query_drop("INSERT INTO catatan VALUES ('x'), ('tertahan')").await.unwrap();
        conn.query_drop("DELETE FROM catatan WHERE isi = 'y'").await.unwrap();
    }
    let commit = tokio::spawn(async move { conn.query_drop("COMMIT").await });
    // the danger is there: the binlog has it, the engine does not
    let deadline = Instant::now() + crate::support::PATIENCE;
    while end_of_binlog(&world).await == before {
        assert!(Instant::now() < deadline, "the commit does not reach the binlog");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!visible(&world).await && !commit.is_finished(), "the commit is not held");

    let mut replicator = world.replicate(&[]);
    // as far as it comes while the commit hangs: into the stream, or to a lock that waits for the commit
    let mut watch = Watch::new(&world);
    let mut root = world.source().await;
    let reached = watch
        .until("the snapshot's end, or a lock", async |watch| {
            let waiting = "SELECT CONCAT(STATE, ': ', INFO) FROM information_schema.PROCESSLIST
                            WHERE STATE LIKE 'Waiting for%lock' OR STATE LIKE 'Waiting for %commit%' AND INFO NOT LIKE 'COMMIT%'";
            if let Some(state) = root.query_first::<String, _>(waiting).await.unwrap() {
                return Some(state);
            }
            let checkpoint = watch.checkpoint().await?;
            (checkpoint.phase == "follow").then_some(checkpoint.phase)
        })
        .await;
    println!("{kind} gtid {gtid} keyless {keyless}: {reached}");
    assert!(!visible(&world).await && !commit.is_finished(), "the commit was not held until here");
    world.run(&[release(kind)]).await;
    commit.await.unwrap().expect("the commit succeeds");
    assert!(visible(&world).await);
    world.run(&["INSERT INTO pasien VALUES (6, 'sesudah')"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    let sql = "SELECT string_agg(id || ':' || nama, ' ' ORDER BY id) FROM pasien";
    let row = world.target().await.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "1:a 2:tertahan juga 5:e 6:sesudah 1000:tertahan 2000:d");
    assert!(replicator.is_running(), "it has ended:\n{}", tail(&world.log()));
    assert_eq!(replicator.terminate().await.0, 0);
    assert!(!world.log().contains(&format!("/{DATABASE}?")));
}

macro_rules! seams {
    ($($name:ident: $kind:ident $gtid:literal $keyless:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            held_commit($kind, $gtid, $keyless).await;
        }
    )*};
}

seams! {
    mariadb_by_gtid: MariaDb true false
    mariadb_by_file: MariaDb false false
    mariadb_11_8_by_gtid: MariaDb118 true false
    mariadb_11_8_by_file: MariaDb118 false false
    mariadb_by_gtid_with_a_table_without_a_key: MariaDb true true
    mysql_by_gtid: MySql true false
    mysql_by_file: MySql false false
    mysql_by_gtid_with_a_table_without_a_key: MySql true true
    mysql_by_file_with_a_table_without_a_key: MySql false true
}

/// Children that are copied behind unlogged changes of their foreign keys, one of which makes way for the other: what
/// the catch-up repeats must not move them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_copies_children_behind_their_cascades() {
    let mut world = World::new(Setup { kind: MariaDb, gtid: true, full_metadata: true }).await;
    world.config = "[lease]\nttl = 2\n".into();
    world
        .run(&[
            "CREATE TABLE keluarga (id INT PRIMARY KEY)",
            "CREATE TABLE anak (id INT PRIMARY KEY, keluarga_id INT, FOREIGN KEY (keluarga_id) REFERENCES keluarga (id)
               ON DELETE CASCADE ON UPDATE CASCADE)",
            "INSERT INTO keluarga VALUES (1), (2), (7), (8)",
            "INSERT INTO anak VALUES (10, 1), (20, 2), (70, 7), (80, 8)",
        ])
        .await;
    let mut writer = world.source().await;
    writer.query_drop("LOCK TABLES keluarga WRITE, anak WRITE").await.unwrap();
    let mut replicator = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    let mut root = world.source().await;
    watch
        .until("the copy waits for the lock", async |_| {
            let waiting = "SELECT STATE FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%lock' AND INFO LIKE '%anak%'";
            root.query_first::<String, _>(waiting).await.unwrap()
        })
        .await;
    for sql in [
        "UPDATE keluarga SET id = id + 1 WHERE id < 5 ORDER BY id DESC",
        "DELETE FROM keluarga WHERE id = 8",
        "UPDATE keluarga SET id = 8 WHERE id = 7",
        "UNLOCK TABLES",
    ] {
        writer.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    world.caught_up().await;
    world.assert_equal().await;
    let sql = "SELECT string_agg(id || ':' || keluarga_id, ' ' ORDER BY id) FROM anak";
    let row = world.target().await.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "10:2 20:3 70:8");
    assert!(replicator.is_running(), "it has ended:\n{}", tail(&world.log()));
}
