//! Large tables are copied in ranges of their key, by several readers at once.

use crate::support::{DATABASE, Setup, Watch, World, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Two tables of about 50 and 40 MB, one of them with a key in descending order.
async fn large(kind: SourceKind, readers: usize) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = format!("[lease]\nttl = 2\n[apply]\nreaders = {readers}\n");
    world
        .run(&[
            "CREATE TABLE besar (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, kode INT, isi VARCHAR(1500) NOT NULL)",
            "CREATE TABLE rincian (cabang SMALLINT, no INT, isi VARCHAR(1500) NOT NULL, PRIMARY KEY (cabang DESC, no))",
            "INSERT INTO besar (kode, isi) VALUES (1, REPEAT('a', 1200)), (2, REPEAT('b', 1100)), (3, REPEAT('c', 1250)), \
             (4, REPEAT('d', 1200)), (5, REPEAT('e', 1150))",
        ])
        .await;
    for _ in 0..13 {
        world.run(&["INSERT INTO besar (kode, isi) SELECT kode + id, isi FROM besar"]).await;
    }
    world.run(&["INSERT INTO rincian SELECT CAST(id % 41 AS SIGNED) - 20, id, LEFT(isi, 1000) FROM besar"]).await;
    // far from all others
    world
        .run(&[
            "INSERT INTO besar VALUES (9000000000000000000, 0, 'jauh')",
            "INSERT INTO rincian VALUES (-32000, 0, '')",
        ])
        .await;
    let mut conn = world.source().await;
    for table in ["besar", "rincian"] {
        conn.query_drop(format!("ANALYZE TABLE {table}")).await.unwrap();
        let bytes: Option<u64> = conn
            .query_first(format!(
                "SELECT CAST(DATA_LENGTH AS UNSIGNED) FROM information_schema.TABLES \
                 WHERE (TABLE_SCHEMA, TABLE_NAME) = ('{DATABASE}', '{table}')"
            ))
            .await
            .unwrap();
        assert!(bytes.unwrap() > 36_000_000, "{table}: {bytes:?}");
    }
    world
}

/// Writes to both tables until it is told to end: inside the ranges, from one to another, and outside all of them.
struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    async fn start(world: &World) -> Self {
        let (mut conn, stop) = (world.source().await, Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut n = 0_i64;
            while !told.load(Ordering::Relaxed) {
                n += 1;
                let at = n * 7919 % 40_000;
                for sql in [
                    format!("UPDATE besar SET kode = -{n} WHERE id BETWEEN {at} AND {}", at + 20),
                    format!("DELETE FROM besar WHERE id = {}", at + 3),
                    format!("UPDATE besar SET id = {} WHERE id = {}", 1_000_000 + n, at + 5),
                    format!("UPDATE besar SET id = {} WHERE id = {}", at + 3, 1_000_000 + n / 2),
                    format!("INSERT INTO besar VALUES ({}, {n}, 'baru')", 2_000_000 + n),
                    format!("INSERT INTO rincian VALUES ({}, {n}, 'luar')", (n % 2) * 1800 - 900),
                    format!("UPDATE IGNORE rincian SET cabang = 20 - cabang % 20 WHERE no = {at}"),
                ] {
                    if let Err(error) = conn.query_drop(&sql).await {
                        assert!(error.to_string().contains("Duplicate"), "{sql}: {error}");
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// Waits until so many ranges of one table are under way at once.
async fn until_shared(watch: &mut Watch<'_>, ranges: usize) {
    let sql = format!(
        "SELECT count(*) >= {ranges} FROM sirenia.snapshot_progress WHERE rows_copied > 0 AND NOT done
          GROUP BY source_table ORDER BY 1 DESC LIMIT 1"
    );
    watch.until_true("ranges of one table under way at once", &sql).await;
}

/// Table and number of each range → its last key and its rows.
async fn ranges(world: &World) -> BTreeMap<(String, i32), (Option<Vec<u8>>, i64)> {
    let sql = "SELECT source_table, range_no, until_key, rows_copied FROM sirenia.snapshot_progress";
    let rows = world.target().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect()
}

async fn assert_equal(world: &World) {
    let found = world.differences().await;
    assert!(found.is_empty(), "not equal:\n{}\nthe log ends:\n{}", found.join("\n"), tail(&world.log()));
}

async fn readers_share_a_table(kind: SourceKind) {
    let world = large(kind, 2).await;
    let load = Load::start(&world).await;
    let mut replicator = world.replicate(&[]);
    until_shared(&mut Watch::new(&world), 2).await;
    load.end().await;
    world.caught_up().await;
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

async fn killed_in_several_ranges(kind: SourceKind) {
    let world = large(kind, 3).await;
    let load = Load::start(&world).await;
    let mut watch = Watch::new(&world);
    let mut replicator = world.replicate(&[]);
    until_shared(&mut watch, 2).await;
    replicator.kill();
    let before = ranges(&world).await;
    let of_besar = before.iter().filter(|((table, _), _)| table == "besar");
    let ends: Vec<bool> = of_besar.map(|(_, (until, _))| until.is_some()).collect();
    assert!(ends.len() >= 3 && ends.iter().rev().skip(1).all(|end| *end) && !ends[ends.len() - 1], "{before:?}");
    for _ in 0..2 {
        replicator = world.replicate(&[]);
        let copied: i64 = before.values().map(|(_, rows)| rows).sum();
        let more = format!(
            "SELECT coalesce(sum(rows_copied), 0) > {} FROM sirenia.snapshot_progress
                UNION ALL SELECT bool_and(state NOT IN ('pending', 'copying')) FROM sirenia.table_state ORDER BY 1 DESC",
            copied + 100
        );
        watch.until_true("more rows", &more).await;
        replicator.kill();
        for (range, (until, rows)) in ranges(&world).await {
            let Some(was) = before.get(&range) else { panic!("{range:?} is new") };
            assert!(was.0 == until && was.1 <= rows, "{range:?} began anew: {was:?}, now {until:?} {rows}");
        }
    }
    replicator = world.replicate(&[]);
    load.end().await;
    world.caught_up().await;
    assert!(world.log().contains("continuing the copy behind its last chunks"), "{}", tail(&world.log()));
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// A column that goes while readers are at several ranges: the table is given up once, by all of them, and copied anew.
async fn given_up_in_several_ranges(kind: SourceKind) {
    let world = large(kind, 3).await;
    let mut replicator = world.replicate(&[]);
    until_shared(&mut Watch::new(&world), 2).await;
    world.run(&["ALTER TABLE besar DROP COLUMN kode", "INSERT INTO besar VALUES (3000000, 'sesudah')"]).await;
    world.caught_up().await;
    let mut watch = Watch::new(&world);
    watch.until_true("all are ready", "SELECT bool_and(state = 'ready') FROM sirenia.table_state").await;
    world.caught_up().await;
    let log = world.log();
    let (copy, _) = log.split_once("all tables are copied").expect("the others' copy goes on");
    assert_eq!(copy.matches("it was changed while it was copied").count(), 1, "{}", tail(&log));
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

macro_rules! on_both {
    ($($name:ident)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                super::$name(sirenia::embedded::SourceKind::MariaDb).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mysql() {
                super::$name(sirenia::embedded::SourceKind::MySql).await;
            }
        }
    )*};
}

on_both! {
    readers_share_a_table
    killed_in_several_ranges
    given_up_in_several_ranges
}
