//! Tables that are copied when the stream is under way: asked for, changed by DDL while they are copied, under load and kills.

use crate::support::{Setup, Watch, World, full, on_both, shape, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A parent, its child by a key that acts, and a table without a key.
const SCHEMA: [&str; 6] = [
    "CREATE TABLE pasien (id INT AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50) NOT NULL, jumlah INT NOT NULL DEFAULT 0)",
    "CREATE TABLE hasil (id INT AUTO_INCREMENT PRIMARY KEY, pasien_id INT, nilai DECIMAL(10,2), isi VARCHAR(200),
       CONSTRAINT hp FOREIGN KEY (pasien_id) REFERENCES pasien (id) ON DELETE CASCADE)",
    "CREATE TABLE catatan (isi VARCHAR(20), n INT)",
    "INSERT INTO pasien (nama) VALUES ('Siti'), ('Budi'), ('Ayu'), ('Dewi')",
    "INSERT INTO hasil (pasien_id, nilai, isi) SELECT 1 + id % 4, id, REPEAT('h', 150) FROM pasien",
    "INSERT INTO catatan VALUES ('a', 1), ('a', 1), ('b', 2)",
];

const WRITES: [&str; 8] = [
    "INSERT INTO pasien (nama) VALUES ('pasien ?')",
    "UPDATE pasien SET jumlah = jumlah + 1 WHERE id % 3 = ? % 3 LIMIT 20",
    "INSERT INTO hasil (pasien_id, nilai) SELECT MAX(id), ? FROM pasien",
    "UPDATE hasil SET nilai = nilai + 1 WHERE id % 7 = ? % 7 LIMIT 20",
    "DELETE FROM pasien WHERE id = (SELECT * FROM (SELECT MIN(id) FROM pasien WHERE id > 4) AS x)",
    "INSERT INTO catatan VALUES ('c', ? % 9)",
    "UPDATE catatan SET n = n + 1 WHERE n = ? % 9 LIMIT 1",
    "DELETE FROM catatan WHERE n = ? % 11 LIMIT 1",
];

/// Writes until it is told to stop, and says how often.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

async fn load(world: &World) -> Load {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopping, counting, mut conn) = (Arc::clone(&stop), Arc::clone(&done), world.source().await);
    let task = tokio::spawn(async move {
        let mut at = 0_u64;
        while !stopping.load(Ordering::Relaxed) {
            at += 1;
            let sql = WRITES[(at % WRITES.len() as u64) as usize].replace('?', &at.to_string());
            counting.fetch_add(u64::from(conn.query_drop(sql).await.is_ok()), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    Load { stop, done, task }
}

impl Load {
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the writer");
        assert!(self.done.load(Ordering::Relaxed) > 20, "hardly anything was written");
    }
}

async fn assert_equal(world: &World) {
    let mut found = world.differences().await;
    found.extend(shape::differences(world, &[]).await);
    assert!(found.is_empty(), "not equal:\n{}\nthe log ends:\n{}", found.join("\n"), tail(&world.log()));
}

/// Doubles the rows of `hasil` until there are so many that their copy takes a while.
async fn many_rows(world: &World, doublings: usize) {
    let mut conn = world.source().await;
    for _ in 0..doublings {
        conn.query_drop("INSERT INTO hasil (pasien_id, nilai, isi) SELECT pasien_id, nilai, isi FROM hasil")
            .await
            .unwrap();
    }
}

async fn plain(kind: SourceKind) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 2\n[apply]\nreaders = 1\n".into();
    world.run(&SCHEMA).await;
    world
}

/// Rows that were damaged on the target are mended by a copy, while the source is written to and the replicator is killed.
async fn asked_for_under_load(kind: SourceKind) {
    let world = plain(kind).await;
    many_rows(&world, 12).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let load = load(&world).await;
    let target = world.target().await;
    target.batch_execute("UPDATE hasil SET nilai = nilai + 1 WHERE id % 2 = 0 AND id <= 4").await.unwrap();
    target.batch_execute("INSERT INTO catatan VALUES ('tidak ada', 0)").await.unwrap();
    let (code, out, err) = world.output(&["tables", "resync", "hasil", "catatan"]);
    assert_eq!((code, out.as_str()), (0, "lab.catatan  ready\nlab.hasil    ready\n"), "{err}");
    for wait in [30, 120, 250] {
        let (code, ..) = world.output(&["tables", "resync", "pasien", "--wait", "0"]);
        assert_eq!(code, 1, "not done at once");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        replicator.kill();
        replicator = world.replicate(&[]);
    }
    load.end().await;
    world.caught_up().await;
    let mut watch = Watch::new(&world);
    watch
        .until_true("all are ready", "SELECT bool_and(state = 'ready' AND requested IS NULL) FROM sirenia.table_state")
        .await;
    world.caught_up().await;
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// What is paused stays as it is, its child too where the source does not log what foreign keys do; resumed, it is equal.
async fn paused_and_resumed(kind: SourceKind) {
    let world = plain(kind).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let (code, out, err) = world.output(&["tables", "pause", "pasien"]);
    assert_eq!((code, out.as_str()), (0, "lab.pasien  paused  an operator asked for it\n"), "{err}");
    let load = load(&world).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.run(&["ALTER TABLE pasien ADD COLUMN umur INT DEFAULT 30", "DELETE FROM pasien WHERE id = 2"]).await;
    world.caught_up().await;
    let names = "SELECT string_agg(nama, ',' ORDER BY id) FROM pasien";
    let names: String = world.target().await.query_one(names, &[]).await.unwrap().get(0);
    assert_eq!(names, "Siti,Budi,Ayu,Dewi");
    let paused: i64 = {
        let sql = "SELECT count(*) FROM sirenia.table_state WHERE state = 'paused'";
        world.target().await.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!(paused, if kind == SourceKind::MySql { 1 } else { 2 }, "with the child whose cascades are not logged");
    let (code, out, _) = world.output(&["verify", "--tables", "pasien"]);
    assert!(code == 1 && out.contains("paused: an operator asked for it"), "{code} {out}");
    let (code, _, err) = world.output(&["tables", "resume", "pasien"]);
    assert_eq!(code, 0, "{err}");
    load.end().await;
    world.caught_up().await;
    assert_equal(&world).await;
    let (code, _, err) = world.output(&["tables", "resume", "pasien"]);
    assert!(code == 2 && err.contains("is not paused"), "{code} {err}");
    assert_eq!(replicator.terminate().await.0, 0);
}

/// DDL on tables that are being copied for the first time, of every kind.
async fn ddl_while_copying(kind: SourceKind) {
    let all = [
        &["ALTER TABLE hasil ADD COLUMN satuan VARCHAR(9) DEFAULT 'mg'", "ALTER TABLE hasil DROP COLUMN isi"][..],
        &["ALTER TABLE hasil MODIFY nilai VARCHAR(30)", "CREATE INDEX hn ON hasil (nilai)"],
        &["RENAME TABLE hasil TO hasil_lab", "UPDATE hasil_lab SET nilai = 1 WHERE id = 3"],
        &[
            "RENAME TABLE hasil TO hasil_2025",
            "CREATE TABLE hasil LIKE hasil_2025",
            "INSERT INTO hasil (nilai) VALUES (5)",
        ],
        &["DROP TABLE hasil", "CREATE TABLE hasil (id INT PRIMARY KEY, baru INT)", "INSERT INTO hasil VALUES (1, 1)"],
        &["TRUNCATE TABLE hasil", "INSERT INTO hasil (pasien_id, nilai) VALUES (1, 5)"],
        &[
            "CREATE TABLE tambahan (id INT PRIMARY KEY)",
            "INSERT INTO tambahan VALUES (1)",
            "ALTER TABLE catatan ADD x INT DEFAULT 1",
        ],
    ];
    for (number, statements) in all.into_iter().enumerate() {
        // the sample: each on one of the servers
        if !full() && (number + usize::from(kind == SourceKind::MySql)).is_multiple_of(2) {
            continue;
        }
        let world = plain(kind).await;
        many_rows(&world, 13).await;
        let mut replicator = world.replicate(&[]);
        let mut watch = Watch::new(&world);
        watch.until_true("rows arrive", "SELECT EXISTS (SELECT 1 FROM hasil)").await;
        let load = load(&world).await;
        world.run(statements).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        load.end().await;
        if let Err(error) = world.followed_by(&mut replicator).await {
            panic!("{statements:?}: {error}\n{}", tail(&world.log()));
        }
        assert_equal(&world).await;
        assert_eq!(replicator.terminate().await.0, 0);
    }
}

/// What the source drops may stay on the target.
async fn drops_by_the_settings(kind: SourceKind) {
    let mut world = plain(kind).await;
    world.config += "[ddl]\ndrop_table = \"rename\"\ndrop_column = \"rename\"\n";
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&["ALTER TABLE hasil DROP COLUMN isi", "DROP TABLE catatan", "INSERT INTO hasil (nilai) VALUES (8)"])
        .await;
    world.caught_up().await;
    let target = world.target().await;
    let kept = "SELECT (SELECT count(*) FROM catatan_dropped)::text || ' ' || (SELECT count(isi_dropped) FROM hasil)";
    let kept: String = target.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, "3 4");
    assert_eq!(replicator.terminate().await.0, 0);
    world.config = world.config.replace("rename", "ignore");
    let mut replicator = world.replicate(&[]);
    world.run(&["ALTER TABLE hasil DROP COLUMN nilai", "INSERT INTO hasil (pasien_id) VALUES (1)"]).await;
    world.caught_up().await;
    let kept = "SELECT count(nilai)::text || ' ' || count(*) FROM hasil";
    let kept: String = target.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, "5 6");
    assert_eq!(world.differences().await, Vec::<String>::new());
    assert_eq!(replicator.terminate().await.0, 0);
}

/// The stream goes on while a table is copied (here for as long as somebody reads it), and DDL that comes meanwhile has the
/// copy begin anew.
async fn beside_the_stream(kind: SourceKind) {
    let world = plain(kind).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let reader = world.target().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM hasil").await.unwrap();
    let (code, ..) = world.output(&["tables", "resync", "hasil", "--wait", "0"]);
    assert_eq!(code, 1);
    let pending = "SELECT state = 'pending' FROM sirenia.table_state WHERE source_table = 'hasil'";
    let mut watch = Watch::new(&world);
    watch.until_true("the copy has begun", pending).await;
    world.run(&["INSERT INTO catatan VALUES ('sela', 1)", "INSERT INTO hasil (nilai) VALUES (77)"]).await;
    watch.until_true("another table goes on", "SELECT EXISTS (SELECT 1 FROM catatan WHERE isi = 'sela')").await;
    let still: bool = world.target().await.query_one(pending, &[]).await.unwrap().get(0);
    assert!(still, "copied under the reader's hands");
    world
        .run(&["ALTER TABLE catatan ADD COLUMN m INT DEFAULT 4", "ALTER TABLE hasil ADD COLUMN m INT DEFAULT 5"])
        .await;
    world.run(&["INSERT INTO hasil (nilai) VALUES (78)", "DELETE FROM pasien WHERE id = 3"]).await;
    let column = "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'catatan'::regclass AND attname = 'm')";
    watch.until_true("DDL goes on", column).await;
    reader.batch_execute("COMMIT").await.unwrap();
    world.caught_up().await;
    assert_equal(&world).await;
    assert_eq!(replicator.terminate().await.0, 0);
}

on_both! {
    beside_the_stream
    asked_for_under_load
    paused_and_resumed
    ddl_while_copying
    drops_by_the_settings
}
