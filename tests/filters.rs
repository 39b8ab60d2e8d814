//! Filters by table, column and row, and renames: before, during and after the snapshot, checked by plain SQL.

use crate::support::{DATABASE, Setup, World, on_both, tail};
use crate::workload::{Random, numbers};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CONFIG: &str = r#"
[lease]
ttl = 2
[tables]
include = ["pes*", "pasien", "Aneh*", "lab.kasir", "tanpa_kunci"]
exclude = ["pesan_*", "lab.Aneh rahasia"]
[tables.rules."pesanan"]
rename = "orders"
exclude_columns = ["rahasia"]
rename_columns = { nomor = "number", "Order By" = "sort order" }
rows = "status <> 'draft'"
[tables.rules."lab.pasien"]
rows = "umur >= 18 AND golongan IN ('A', 'B') AND dihapus IS NULL"
[tables.rules."Aneh sekali"]
rename = "Still \"odd\""
rename_columns = { id = "Id" }
[tables.rules."tanpa_kunci"]
rows = "n IS NOT NULL AND n <> 3"
exclude_columns = ["dibuang"]
"#;

const SCHEMA: [&str; 8] = [
    "CREATE TABLE pesanan (id INT PRIMARY KEY, nomor VARCHAR(20) NOT NULL, rahasia VARCHAR(20), status VARCHAR(20), jumlah INT,
       `Order By` INT, KEY (status), UNIQUE KEY (nomor))",
    "CREATE TABLE pasien (id INT PRIMARY KEY, nama VARCHAR(30), umur INT, golongan VARCHAR(2), dihapus DATETIME NULL)",
    "CREATE TABLE kasir (id INT PRIMARY KEY, nama VARCHAR(30))",
    "CREATE TABLE tanpa_kunci (n INT, isi VARCHAR(10), dibuang INT)",
    "CREATE TABLE `Aneh sekali` (id INT PRIMARY KEY, `a b` INT)",
    "CREATE TABLE `Aneh rahasia` (id INT PRIMARY KEY)",
    "CREATE TABLE pesan_masuk (id INT PRIMARY KEY)",
    "CREATE TABLE lainnya (id INT PRIMARY KEY)",
];

/// Each carried table: its rows by the filter's rules on the source, and all rows on the target.
const PAIRS: [(&str, &str); 5] = [
    (
        "SELECT CONCAT_WS('|', id, nomor, status, COALESCE(jumlah, '-'), COALESCE(`Order By`, '-')) FROM pesanan
          WHERE CAST(status AS BINARY) <> CAST('draft' AS BINARY)",
        "SELECT concat_ws('|', id, number, status, coalesce(jumlah::text, '-'), coalesce(\"sort order\"::text, '-')) FROM orders",
    ),
    (
        "SELECT CONCAT_WS('|', id, nama, umur, golongan) FROM pasien
          WHERE umur >= 18 AND CAST(golongan AS BINARY) IN (CAST('A' AS BINARY), CAST('B' AS BINARY)) AND dihapus IS NULL",
        "SELECT concat_ws('|', id, nama, umur, golongan) FROM pasien",
    ),
    ("SELECT CONCAT_WS('|', id, nama) FROM kasir", "SELECT concat_ws('|', id, nama) FROM kasir"),
    (
        "SELECT CONCAT_WS('|', n, isi) FROM tanpa_kunci WHERE n IS NOT NULL AND n <> 3",
        "SELECT concat_ws('|', n, isi) FROM tanpa_kunci",
    ),
    (
        "SELECT CONCAT_WS('|', id, COALESCE(`a b`, '-')) FROM `Aneh sekali`",
        "SELECT concat_ws('|', \"Id\", coalesce(\"a b\"::text, '-')) FROM \"Still \"\"odd\"\"\"",
    ),
];

async fn assert_filtered(world: &World) {
    world.caught_up().await;
    let (mut source, target) = (world.source().await, world.target().await);
    for (on_source, on_target) in PAIRS {
        let mut wanted: Vec<String> = source.query(on_source).await.unwrap_or_else(|e| panic!("{on_source}: {e}"));
        let found =
            target.query(on_target, &[]).await.unwrap_or_else(|e| panic!("{on_target}: {e:?}\n{}", tail(&world.log())));
        let mut found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        let missing: Vec<_> = wanted.iter().filter(|row| found.binary_search(row).is_err()).take(5).collect();
        let extra: Vec<_> = found.iter().filter(|row| wanted.binary_search(row).is_err()).take(5).collect();
        assert!(
            wanted == found,
            "{on_target}: {} wanted, {} found; missing {missing:?}, extra {extra:?}",
            wanted.len(),
            found.len()
        );
        assert!(!found.is_empty(), "{on_target}: nothing is tested");
    }
    let tables = target
        .query("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name::text COLLATE \"C\"", &[])
        .await
        .unwrap();
    let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    assert_eq!(tables, ["Still \"odd\"", "kasir", "orders", "pasien", "tanpa_kunci"]);
    let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns
                    WHERE table_schema = 'public' AND table_name = $1";
    for (table, wanted) in [("orders", "id,number,status,jumlah,sort order"), ("tanpa_kunci", "n,isi")] {
        let found: String = target.query_one(columns, &[&table]).await.unwrap().get(0);
        assert_eq!(found, wanted, "{table}");
    }
}

/// Moves rows in and out of the filters, over keys and in every order.
async fn mover(url: String, seed: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut random = Random(seed);
    let mut conn = mysql_async::Conn::from_url(&url).await.expect("the source takes a connection");
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let (id, other, b) = (random.below(3000), random.below(3000), random.below(1_000_000));
        let status = ["'draft'", "'baru'", "'selesai'", "'DRAFT'", "'draft '", "NULL"][random.below(6) as usize];
        let group = ["A", "B", "C", "a", "AB"][random.below(5) as usize];
        let sql = match random.below(14) {
            0 => format!("UPDATE pesanan SET status = {status} WHERE id = {id}"),
            1 => format!("UPDATE pesanan SET status = {status} WHERE id BETWEEN {id} AND {id} + 20"),
            2 => format!("UPDATE pesanan SET rahasia = 'x{b}' WHERE id = {id}"),
            3 => format!("UPDATE IGNORE pesanan SET id = {other}, status = {status} WHERE id = {id}"),
            4 => format!("REPLACE INTO pesanan VALUES ({id}, 'n{other}', 'r', {status}, {b}, 1)"),
            5 => format!("DELETE FROM pesanan WHERE id = {id}"),
            6 => format!("UPDATE pasien SET umur = {} WHERE id = {id}", 10 + b % 20),
            7 => format!("UPDATE pasien SET golongan = '{group}' WHERE id = {id}"),
            8 => format!("UPDATE pasien SET dihapus = IF(dihapus IS NULL, NOW(), NULL) WHERE id = {id}"),
            9 => format!("REPLACE INTO pasien VALUES ({id}, 'p{b}', {}, '{group}', NULL)", 10 + b % 20),
            10 => format!(
                "UPDATE tanpa_kunci SET n = {} WHERE isi = 'i{}' LIMIT 3",
                if b.is_multiple_of(3) { "NULL".into() } else { (b % 5).to_string() },
                id % 40
            ),
            11 => format!("INSERT INTO tanpa_kunci VALUES ({}, 'i{}', {b})", b % 5, id % 40),
            12 => format!("DELETE FROM tanpa_kunci WHERE isi = 'i{}' LIMIT 2", id % 40),
            _ => format!("INSERT IGNORE INTO lainnya VALUES ({id})"),
        };
        match conn.query_drop(&sql).await {
            Ok(()) => done += 1,
            Err(mysql_async::Error::Server(_)) => {}
            Err(error) => panic!("{sql}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    done
}

async fn filters_and_renames(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = CONFIG.into();
    world.run(&SCHEMA).await;
    let n = numbers(20_000);
    world
        .run(&[
            &format!(
                "INSERT INTO pesanan SELECT n, CONCAT('n', n), CONCAT('r', n),
                   ELT(n % 6 + 1, 'draft', 'baru', 'selesai', 'DRAFT', 'draft ', NULL), n, n % 7 FROM {n}"
            ),
            &format!(
                "INSERT INTO pasien SELECT n, CONCAT('p', n), n % 40, ELT(n % 5 + 1, 'A', 'B', 'C', 'a', 'AB'), IF(n % 9 = 0, NOW(), NULL) FROM {n}"
            ),
            &format!("INSERT INTO tanpa_kunci SELECT IF(n % 6 = 5, NULL, n % 6), CONCAT('i', n % 40), n FROM {}", numbers(2000)),
            "INSERT INTO kasir VALUES (1, 'Siti'), (2, 'Budi')",
            "INSERT INTO `Aneh sekali` VALUES (1, 2), (2, NULL)",
            "INSERT INTO `Aneh rahasia` VALUES (1)",
            "INSERT INTO pesan_masuk VALUES (1)",
        ])
        .await;

    let stop = Arc::new(AtomicBool::new(false));
    let movers: Vec<_> =
        (0..2).map(|n| tokio::spawn(mover(world.source.url(DATABASE), 51 + n, Arc::clone(&stop)))).collect();
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for mover in movers {
        done += mover.await.expect("a mover ends");
    }
    assert!(done > 100, "the movers did next to nothing: {done}");
    assert_filtered(&world).await;

    // each move once, on rows of their own
    world
        .run(&[
            "DELETE FROM pesanan WHERE id >= 30000",
            "INSERT INTO pesanan VALUES (30001, 'k1', 'r', 'draft', 1, 1), (30002, 'k2', 'r', 'baru', 1, 1), (30003, 'k3', 'r', NULL, 1, 1)",
            "UPDATE pesanan SET status = 'baru' WHERE id = 30001",
            "UPDATE pesanan SET status = 'draft' WHERE id = 30002",
            "UPDATE pesanan SET status = 'baru', id = 30004 WHERE id = 30003",
            "UPDATE pesanan SET id = 30005 WHERE id = 30002",
            "UPDATE pesanan SET status = 'selesai' WHERE id = 30005",
            "BEGIN",
            "UPDATE pesanan SET status = 'draft' WHERE id = 30001",
            "UPDATE pesanan SET status = 'baru' WHERE id = 30001",
            "UPDATE pesanan SET status = 'draft', jumlah = 5 WHERE id = 30004",
            "COMMIT",
            "INSERT INTO pesanan VALUES (30006, 'DRAFT', 'r', 'DRAFT', 1, 1), (30007, 'spasi', 'r', 'draft ', 1, 1)",
            "UPDATE pesanan SET rahasia = 'hanya ini' WHERE id = 30001",
            "TRUNCATE TABLE lainnya",
            "DELETE FROM pesan_masuk",
            "UPDATE `Aneh sekali` SET `a b` = 9, id = 7 WHERE id = 1",
        ])
        .await;
    assert_filtered(&world).await;
    let sql = "SELECT string_agg(id || ':' || status, ' ' ORDER BY id) FROM orders WHERE id >= 30000";
    let found: String = world.target().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(found, "30001:baru 30005:selesai 30006:DRAFT 30007:draft ");
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!(code, 0, "verify knows the filters:\n{stdout}\n{stderr}");
    assert!(replicator.is_running(), "it has ended:\n{}", tail(&world.log()));
    assert_eq!(replicator.terminate().await.0, 0);
}

/// A rule that names a column or table that is not there is said before anything is copied.
async fn wrong_rules_stop(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world
        .run(&["CREATE TABLE pasien (id INT PRIMARY KEY, nama VARCHAR(30))", "INSERT INTO pasien VALUES (1, 'a')"])
        .await;
    for (rule, says) in [
        ("rows = \"umur > 1\"", "umur"),
        ("exclude_columns = [\"alamat\"]", "alamat"),
        ("rename_columns = { alamat = \"address\" }", "alamat"),
        ("exclude_columns = [\"id\"]", "id"),
        ("rename_columns = { nama = \"id\" }", "id"),
    ] {
        world.config = format!("[lease]\nttl = 2\n[tables.rules.\"pasien\"]\n{rule}\n");
        let stop = world.run_to_end(&[]).await;
        stop.assert_stops(&["pasien", says]);
    }
}

/// A filter that unlogged changes of a foreign key would pass by is refused before anything is copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_on_what_mariadb_changes_unlogged_stops() {
    let mut world = World::new(Setup::new(SourceKind::MariaDb)).await;
    world.config = "[lease]\nttl = 2\n[tables.rules.\"hasil\"]\nrows = \"pasien_id IS NOT NULL\"\n".into();
    world
        .run(&[
            "CREATE TABLE pasien (id INT PRIMARY KEY)",
            "CREATE TABLE hasil (id INT PRIMARY KEY, pasien_id INT, FOREIGN KEY (pasien_id) REFERENCES pasien (id) ON DELETE SET NULL)",
        ])
        .await;
    world.run_to_end(&[]).await.assert_stops(&["hasil", "pasien_id", "row filter"]);
    assert!(world.target().await.query("SELECT 1 FROM hasil", &[]).await.is_err(), "a table was made");
}

/// A table that [tables] matches again, or for the first time, is copied and followed.
async fn tables_come_and_go_by_the_settings(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    let (all, fewer) = ("[lease]\nttl = 2\n", "[lease]\nttl = 2\n[tables]\nexclude = [\"kasir\", \"catatan\"]\n");
    let schema = [
        "CREATE TABLE kasir (id INT PRIMARY KEY)",
        "CREATE TABLE pasien (id INT PRIMARY KEY)",
        "CREATE TABLE catatan (isi VARCHAR(9))",
        "INSERT INTO kasir VALUES (1)",
        "INSERT INTO catatan VALUES ('a'), ('a')",
    ];
    world.config = fewer.into();
    world.run(&schema).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    world.config = all.into();
    world.run(&["INSERT INTO kasir VALUES (2)", "INSERT INTO pasien VALUES (1)"]).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    world.assert_equal().await;
    world.config = fewer.into();
    world
        .run(&["INSERT INTO kasir VALUES (3)", "DELETE FROM kasir WHERE id = 1", "INSERT INTO pasien VALUES (2)"])
        .await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    assert_eq!(world.target().await.query("SELECT 1 FROM kasir", &[]).await.unwrap().len(), 2, "left as it was");
    world.config = all.into();
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    world.assert_equal().await;
}

on_both! {
    filters_and_renames
    tables_come_and_go_by_the_settings
    wrong_rules_stop
}
