//! The application moves: seen to be possible, done, and then it works on the target as it did on the source.

use crate::support::{DATABASE, Setup, World, on_both, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::{SourceKind, TargetVersion};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

const TABLES: [&str; 4] = [
    "CREATE TABLE pasien (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50) NOT NULL,
        diubah TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
        diubah_dt DATETIME(3) NULL ON UPDATE CURRENT_TIMESTAMP(3))",
    "CREATE TABLE kunjungan (id INT AUTO_INCREMENT PRIMARY KEY, pasien_id BIGINT UNSIGNED, jumlah INT NOT NULL DEFAULT 1,
        harga INT NOT NULL DEFAULT 10, total INT AS (jumlah * harga) STORED, isi JSON,
        CONSTRAINT fk_pasien FOREIGN KEY (pasien_id) REFERENCES pasien (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE catatan (id INT AUTO_INCREMENT PRIMARY KEY, kunjungan_id INT NULL,
        CONSTRAINT fk_kunjungan FOREIGN KEY (kunjungan_id) REFERENCES kunjungan (id) ON DELETE SET NULL)",
    "CREATE TABLE dokter (id INT AUTO_INCREMENT PRIMARY KEY, pasien_id BIGINT UNSIGNED NOT NULL,
        CONSTRAINT fk_dokter FOREIGN KEY (pasien_id) REFERENCES pasien (id))",
];

async fn world(kind: SourceKind, version: TargetVersion) -> World {
    let setup = Setup::new(kind);
    let world = World::into(setup, setup.options(), version).await;
    world.run(&TABLES).await;
    world
        .run(&[
            "INSERT INTO pasien (nama) VALUES ('a'), ('b'), ('c')",
            "INSERT INTO kunjungan (pasien_id, jumlah) VALUES (1, 2), (2, 3), (3, 4)",
            "INSERT INTO catatan (kunjungan_id) VALUES (1), (2), (3)",
            "INSERT INTO dokter (pasien_id) VALUES (1)",
        ])
        .await;
    world
}

/// The application's writes until told to stop.
async fn work(url: String, stop: Arc<AtomicBool>) -> u32 {
    let mut conn = mysql_async::Conn::from_url(url).await.unwrap();
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        for sql in [
            "INSERT INTO pasien (nama) VALUES ('baru')",
            "INSERT INTO kunjungan (pasien_id, jumlah) SELECT MAX(id), 7 FROM pasien",
            "UPDATE pasien SET nama = CONCAT(LEFT(nama, 9), 'x') ORDER BY id DESC LIMIT 2",
            "INSERT INTO catatan (kunjungan_id) SELECT MAX(id) FROM kunjungan",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        done += 1;
        // a machine that is busy with other tests must be able to follow
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // what was counted is gone, and must not be given again
    for sql in ["INSERT INTO pasien (id, nama) VALUES (1000000, 'z')", "DELETE FROM pasien WHERE id = 1000000"] {
        conn.query_drop(sql).await.unwrap();
    }
    done
}

async fn read_only(world: &World, on: bool) {
    let variable = if world.setup.kind.is_mariadb() { "read_only" } else { "super_read_only" };
    let mut source = world.source().await;
    source.query_drop(format!("SET GLOBAL {variable} = {}", u8::from(on))).await.unwrap();
    if !on {
        source.query_drop("SET GLOBAL read_only = 0").await.unwrap();
    }
}

fn cutover(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut all = vec!["cutover"];
    all.extend(arguments);
    tokio::task::block_in_place(|| world.output(&all))
}

/// Everything that the cutover may change, as lines.
async fn standing(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated
               FROM pg_constraint WHERE contype = 'f'
             UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION ALL SELECT sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'public'
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn the_application_moves(kind: SourceKind, version: TargetVersion) {
    let world = world(kind, version).await;
    let (code, _, err) = cutover(&world, &[]);
    assert!(code == 3 && err.contains("has not begun") && err.contains("hint: `sirenia run`"), "{err}");
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let stop = Arc::new(AtomicBool::new(false));
    let application = tokio::spawn(work(world.source.url(DATABASE), Arc::clone(&stop)));
    let target = world.target().await;
    let before = standing(&target).await;

    // the application still writes
    let variable = if kind.is_mariadb() { "read_only" } else { "super_read_only" };
    for arguments in [&["--dry-run"][..], &[]] {
        let (code, out, err) = cutover(&world, arguments);
        assert_eq!((code, out.lines().last()), (1, Some("NO-GO")), "{out}{err}");
        assert!(out.contains("no-go: the source is not read-only"), "{out}");
        assert!(out.contains(&format!("hint: SET GLOBAL {variable} = ON")), "{out}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(application.await.unwrap() > 3);
    read_only(&world, true).await;
    let (code, out, err) = cutover(&world, &["--dry-run"]);
    assert_eq!((code, out.lines().last()), (0, Some("GO (dry run: nothing was changed)")), "{out}{err}");
    assert!(out.contains("4 foreign keys would be given") || out.contains("3 foreign keys would be given"), "{out}");
    world.caught_up().await;
    assert_eq!(standing(&target).await.len(), before.len(), "a dry run changes nothing");
    assert!(replicator.is_running());

    let (code, out, err) = cutover(&world, &[]);
    assert_eq!((code, out.lines().last()), (0, Some("GO")), "{out}{err}\n{}", tail(&world.log()));
    println!("{out}");
    // the instance ends by itself, and another refuses
    assert_eq!(replicator.exit().await, 3);
    assert!(world.log().contains("does not follow the source any more"), "{}", tail(&world.log()));
    let refused = world.run_to_end(&["--once"]).await;
    refused.assert_stops(&["does not follow the source any more", "cutover --undo"]);

    // go again, and nothing changes
    let after = standing(&target).await;
    let (code, out, _) = cutover(&world, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["go"], &json["already"]), (0, &true.into(), &true.into()), "{out}");
    assert_eq!(standing(&target).await, after);
    let (code, out, err) = world.output(&["schema", "status"]);
    assert_eq!(code, 0, "{out}{err}");
    the_application_works(&target).await;
}

async fn the_application_works(target: &Client) {
    let number = |sql: &'static str| async move { target.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) };
    let id = number("INSERT INTO pasien (nama) VALUES ('di sini') RETURNING id").await;
    assert_eq!(id, 1_000_001, "not below what the source would give");
    let most = number("SELECT max(id)::bigint FROM kunjungan").await;
    let made = number("INSERT INTO kunjungan (pasien_id, jumlah) VALUES (1000001, 5) RETURNING id::bigint").await;
    assert_eq!(made, most + 1);
    target.batch_execute("INSERT INTO catatan (kunjungan_id) SELECT max(id) FROM kunjungan").await.unwrap();
    // computed, at INSERT and UPDATE
    assert_eq!(number("SELECT total::bigint FROM kunjungan ORDER BY id DESC LIMIT 1").await, 50);
    target.batch_execute("UPDATE kunjungan SET harga = 3, isi = '{}' WHERE pasien_id = 1000001").await.unwrap();
    assert_eq!(number("SELECT total::bigint FROM kunjungan ORDER BY id DESC LIMIT 1").await, 15);
    // the time of an update: set when something changes, and not when the statement sets it itself
    let times = "SELECT (diubah = statement_timestamp()::timestamptz(0) OR diubah > statement_timestamp() - interval '5 s')::int::bigint
                 FROM pasien WHERE id = 1";
    target
        .batch_execute("UPDATE pasien SET diubah = '2001-02-03', diubah_dt = '2001-02-03' WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(number(times).await, 0);
    target.batch_execute("UPDATE pasien SET nama = nama WHERE id = 1").await.unwrap();
    assert_eq!(number(times).await, 0, "nothing has changed");
    target.batch_execute("UPDATE pasien SET nama = 'lain' WHERE id = 1").await.unwrap();
    assert_eq!(number(times).await, 1);
    assert_eq!(
        number("SELECT (diubah_dt > now()::timestamp - interval '5 s')::int::bigint FROM pasien WHERE id = 1").await,
        1
    );
    // foreign keys act, at once
    target.batch_execute("DELETE FROM pasien WHERE id = 1000001").await.unwrap();
    assert_eq!(number("SELECT count(*) FROM kunjungan WHERE pasien_id = 1000001").await, 0);
    assert_eq!(number("SELECT count(*) FROM catatan WHERE kunjungan_id IS NULL").await, 1);
    target.batch_execute("UPDATE pasien SET id = 5000000 WHERE id = 2").await.unwrap();
    assert_eq!(number("SELECT count(*) FROM kunjungan WHERE pasien_id = 5000000").await, 1);
    let error = target.batch_execute("DELETE FROM pasien WHERE id = 1").await.unwrap_err();
    // RESTRICT has a code of its own from PostgreSQL 18 on
    assert!(error.code().is_some_and(|code| ["23503", "23001"].contains(&code.code())), "{error:?}");
}

async fn onto_postgres_15(kind: SourceKind) {
    the_application_moves(kind, TargetVersion::System).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onto_postgres_18() {
    the_application_moves(SourceKind::MariaDb, TargetVersion::V18).await;
}

async fn what_stands_in_the_way(kind: SourceKind) {
    let mut world = world(kind, TargetVersion::System).await;
    world.config = "[types]\ntinyint1 = \"boolean\"\n".into();
    world
        .run(&[
            "CREATE TABLE benar (id INT PRIMARY KEY, ya TINYINT(1))",
            "CREATE TABLE lain (id INT PRIMARY KEY)",
            "INSERT INTO benar VALUES (1, 1), (77, 5)",
        ])
        .await;
    world.run_on_one(&["SET FOREIGN_KEY_CHECKS = 0".into(), "INSERT INTO dokter VALUES (440044, 880088)".into()]).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let (code, _, err) = tokio::task::block_in_place(|| world.output(&["tables", "pause", "lain"]));
    assert_eq!(code, 0, "{err}");
    read_only(&world, true).await;
    let before = standing(&world.target().await).await;
    for arguments in [&["--dry-run"][..], &[]] {
        let (code, out, err) = cutover(&world, arguments);
        assert_eq!((code, out.lines().last()), (1, Some("NO-GO")), "{out}{err}");
        for says in [
            "no-go: 1 rows of table lab.benar are in quarantine",
            "no-go: foreign key fk_dokter of public.dokter: 1 rows have no parent\n       keys: 440044\n",
            "DELETE c FROM `lab`.`dokter` c WHERE c.`pasien_id` IS NOT NULL AND NOT EXISTS (SELECT 1 FROM `lab`.`pasien` p",
            "no-go: table lab.lain is paused",
            "hint: `sirenia tables resume lain`",
        ] {
            assert!(out.contains(says), "{says}\n{out}");
        }
        assert!(!err.contains("440044"), "no keys in logs: {err}");
    }
    assert_eq!(standing(&world.target().await).await, before);
    assert!(replicator.is_running(), "it goes on following");

    // as the hints say
    read_only(&world, false).await;
    world
        .run(&[
            "DELETE c FROM `lab`.`dokter` c WHERE c.`pasien_id` IS NOT NULL AND NOT EXISTS
                (SELECT 1 FROM `lab`.`pasien` p WHERE p.`id` = c.`pasien_id`)",
            "UPDATE benar SET ya = 1",
        ])
        .await;
    let (code, _, err) = tokio::task::block_in_place(|| world.output(&["tables", "resume", "lain"]));
    assert_eq!(code, 0, "{err}");
    world.caught_up().await;

    // nobody who could apply what is still to come
    assert_eq!(replicator.terminate().await.0, 0);
    world.run(&["INSERT INTO pasien (nama) VALUES ('belum')"]).await;
    read_only(&world, true).await;
    let (code, out, _) = cutover(&world, &["--wait", "1"]);
    assert!(code == 1 && out.contains("no-go: the target is at ") && out.contains("hint: `sirenia run`"), "{out}");
    // rows that differ
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let target = world.target().await;
    target.batch_execute("UPDATE pasien SET nama = 'beda' WHERE id = 2").await.unwrap();
    let (code, out, _) = cutover(&world, &[]);
    assert!(code == 1 && out.contains("no-go: table lab.pasien is not equal: 1 rows differ"), "{out}");
    target.batch_execute("UPDATE pasien SET nama = 'b' WHERE id = 2").await.unwrap();

    let (code, out, err) = cutover(&world, &[]);
    assert_eq!((code, out.lines().last()), (0, Some("GO")), "{out}{err}");
    assert_eq!(replicator.exit().await, 3);

    // and back
    let (code, _, err) = cutover(&world, &["--undo"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(cutover(&world, &["--undo"]).0, 2);
    read_only(&world, false).await;
    world
        .run(&["DELETE FROM kunjungan WHERE id = 3", "DELETE FROM pasien WHERE id = 3", "UPDATE pasien SET nama = 'q'"])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world.assert_equal().await;
    assert_eq!(world.output(&["schema", "status"]).0, 0);
    assert_eq!(replicator.terminate().await.0, 0);

    // one that was ended in the middle goes on
    read_only(&world, true).await;
    target.batch_execute("UPDATE sirenia.checkpoint SET cutover = 'begun'").await.unwrap();
    let refused = world.run_to_end(&["--once"]).await;
    refused.assert_stops(&["a cutover has begun", "sirenia cutover"]);
    let (code, out, err) = cutover(&world, &[]);
    assert_eq!((code, out.lines().last()), (0, Some("GO")), "{out}{err}");

    // what is the application's is not dropped by a slip
    let (code, _, err) = world.output(&["reset", "--yes"]);
    assert!(code == 3 && err.contains("the application's now"), "{err}");
    assert_eq!(cutover(&world, &["--undo"]).0, 0);
    let (code, _, err) = world.output(&["reset", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(standing(&target).await.is_empty(), "functions go with their tables");
}

on_both! {
    onto_postgres_15
    what_stands_in_the_way
}
