//! The workload of everything a real application does to its tables, before, during and after the snapshot.
//!
//! Each case runs on one server kind, by GTID or by file, with full or least row metadata; afterwards the oracle and
//! `sirenia verify` must both say equal. The normal run does one case of each server whole and the others at a tenth of the
//! tables and rows; `SIRENIA_TEST_FULL=1` does all of them whole.

use crate::support::{DATABASE, Setup, World, full};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A small generator (splitmix64): the same seed gives the same workload.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Tables of every awkward kind. `many` is how many plain ones come on top.
pub fn schema(many: usize) -> Vec<String> {
    let mut sql: Vec<String> = [
        "CREATE TABLE keluarga (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, kode INT NOT NULL UNIQUE, nama VARCHAR(100) NOT NULL)",
        "CREATE TABLE anak (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, keluarga_id BIGINT UNSIGNED NOT NULL, nama VARCHAR(100),
           FOREIGN KEY anak_keluarga (keluarga_id) REFERENCES keluarga (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE cucu (anak_id BIGINT UNSIGNED NOT NULL, nomor INT NOT NULL, mainan VARCHAR(50), PRIMARY KEY (anak_id, nomor),
           FOREIGN KEY (anak_id) REFERENCES anak (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE catatan (id INT AUTO_INCREMENT PRIMARY KEY, anak_id BIGINT UNSIGNED NULL, cucu_nomor INT NULL, isi TEXT,
           FOREIGN KEY (anak_id) REFERENCES anak (id) ON DELETE SET NULL ON UPDATE CASCADE,
           FOREIGN KEY (anak_id, cucu_nomor) REFERENCES cucu (anak_id, nomor) ON DELETE SET NULL)",
        "CREATE TABLE induk (id INT PRIMARY KEY, nama VARCHAR(30))",
        "CREATE TABLE daun (id INT AUTO_INCREMENT PRIMARY KEY, induk_id INT NULL, n INT NOT NULL DEFAULT 0,
           FOREIGN KEY (induk_id) REFERENCES induk (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        "CREATE TABLE kategori (id INT AUTO_INCREMENT PRIMARY KEY, induk_id INT NULL, nama VARCHAR(50),
           FOREIGN KEY (induk_id) REFERENCES kategori (id) ON DELETE CASCADE)",
        "CREATE TABLE tanpa_kunci (a INT, b VARCHAR(20), c DOUBLE)",
        "CREATE TABLE besar_tanpa_kunci (n INT NOT NULL, isi VARCHAR(40))",
        "CREATE TABLE kunci_teks (kode VARCHAR(40) NOT NULL PRIMARY KEY, nilai INT)",
        "CREATE TABLE kunci_biner (kode VARBINARY(16) NOT NULL, tetap BINARY(4) NOT NULL, nilai INT, PRIMARY KEY (kode, tetap))",
        "CREATE TABLE kunci_majemuk (a INT NOT NULL, b VARCHAR(10) NOT NULL, c DATE NOT NULL, nilai DECIMAL(12,2), PRIMARY KEY (a, b, c))",
        "CREATE TABLE kunci_unik (x INT NOT NULL, y INT NOT NULL, z INT NULL, UNIQUE KEY satu (z), UNIQUE KEY dua (x, y))",
        "CREATE TABLE unik (id INT PRIMARY KEY, urutan INT NOT NULL, surel VARCHAR(60) NULL, UNIQUE KEY (urutan), UNIQUE KEY (surel))",
        "CREATE TABLE mesin_lama (id INT AUTO_INCREMENT PRIMARY KEY, isi VARCHAR(50)) ENGINE=MyISAM",
        "CREATE TABLE mesin_lama_tanpa_kunci (n INT, isi VARCHAR(50)) ENGINE=MyISAM",
        "CREATE TABLE raksasa (id INT PRIMARY KEY, isi LONGBLOB, teks LONGTEXT)",
        "CREATE TABLE banyak (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL, isi VARCHAR(40))",
        "CREATE TABLE `Tabel \"Aneh\" dengan spasi` (`select` INT PRIMARY KEY, `Order By` VARCHAR(20), `a``b` INT, `é'ü` TEXT)",
        "CREATE TABLE `user` (`id` INT PRIMARY KEY, `group` VARCHAR(10), `desc` VARCHAR(10), UNIQUE KEY `user` (`group`))",
        "CREATE TABLE jenis (id INT AUTO_INCREMENT PRIMARY KEY, t1 TINYINT, t2 TINYINT UNSIGNED, s1 SMALLINT, s2 SMALLINT UNSIGNED,
           m1 MEDIUMINT, m2 MEDIUMINT UNSIGNED, i1 INT, i2 INT UNSIGNED, b1 BIGINT, b2 BIGINT UNSIGNED, d1 DECIMAL(30,10), d2 DECIMAL(65,0),
           f FLOAT, g DOUBLE, bi BIT(1), bj BIT(13), da DATE, dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL, ti TIME,
           y YEAR, ch CHAR(10), vc VARCHAR(255), la VARCHAR(50) CHARACTER SET latin1, tx MEDIUMTEXT, bn BINARY(8), vb VARBINARY(100), bl BLOB,
           en ENUM('baru','lama','it''s, ok') , st SET('a','b','c'), js JSON, aktif TINYINT(1))",
    ]
    .map(str::to_owned)
    .to_vec();
    sql.extend((0..many).map(|n| {
        format!("CREATE TABLE biasa_{n:03} (id INT AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50), jumlah INT, KEY nama (nama))")
    }));
    sql
}

const KEYLESS_ROWS: u32 = 200_000;

/// Numbers 0 … n−1 as a derived table, for INSERT … SELECT on both servers.
pub fn numbers(n: u32) -> String {
    let digit = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 \
                 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    // as many digits as the largest number has: a million-row join for ten rows would be most of the test's time
    let digits = (n - 1).to_string().len();
    let sum: Vec<String> = (0..digits).map(|place| format!("{} * d{place}.d", 10_u32.pow(place as u32))).collect();
    let joined: Vec<String> = (0..digits).map(|place| format!("{digit} d{place}")).collect();
    format!("(SELECT {} AS n FROM {} HAVING n < {n}) AS numbers", sum.join(" + "), joined.join(", "))
}

/// What is there before the snapshot. `scale` is the number of rows of the large table without a key.
pub fn before(many: usize, scale: u32) -> Vec<String> {
    let mut sql = vec![
        format!("INSERT INTO besar_tanpa_kunci SELECT n % 1000, CONCAT('isi ', n % 77) FROM {}", numbers(scale)),
        format!("INSERT INTO keluarga (id, kode, nama) SELECT n+1, n, CONCAT('keluarga ', n) FROM {}", numbers(400)),
        format!(
            "INSERT INTO anak (id, keluarga_id, nama) SELECT n+1, n % 400 + 1, CONCAT('anak ', n) FROM {}",
            numbers(2000)
        ),
        format!("INSERT INTO cucu SELECT n % 2000 + 1, n DIV 2000, CONCAT('mainan ', n) FROM {}", numbers(5000)),
        format!(
            "INSERT INTO catatan (anak_id, cucu_nomor, isi) SELECT n % 2000 + 1, IF(n % 3 = 0, 0, NULL), CONCAT('catatan ', n) FROM {}",
            numbers(3000)
        ),
        // rows above 10000 are left alone by the random load: the named dangers happen to them
        format!(
            "INSERT INTO keluarga (id, kode, nama) SELECT n+10001, n+10000, CONCAT('keluarga ', n) FROM {}",
            numbers(50)
        ),
        format!(
            "INSERT INTO anak (id, keluarga_id, nama) SELECT n+10001, n % 50 + 10001, CONCAT('anak ', n) FROM {}",
            numbers(250)
        ),
        format!("INSERT INTO cucu SELECT n % 250 + 10001, n DIV 250, CONCAT('mainan ', n) FROM {}", numbers(500)),
        format!(
            "INSERT INTO catatan (anak_id, cucu_nomor, isi) SELECT n % 250 + 10001, IF(n % 3 = 0, 0, NULL), 'catatan' FROM {}",
            numbers(400)
        ),
        format!("INSERT INTO induk SELECT n+10001, CONCAT('induk ', n) FROM {}", numbers(60)),
        format!("INSERT INTO daun (induk_id, n) SELECT n % 60 + 10001, n FROM {}", numbers(300)),
        format!("INSERT INTO unik SELECT n+10001, -n-100, CONCAT('x', n) FROM {}", numbers(10)),
        format!("INSERT INTO induk SELECT n+1, CONCAT('induk ', n) FROM {}", numbers(300)),
        format!("INSERT INTO daun (induk_id, n) SELECT n % 300 + 1, n FROM {}", numbers(3000)),
        "SET FOREIGN_KEY_CHECKS = 0".into(), // children may come before their parents in one statement
        format!(
            "INSERT INTO kategori (id, induk_id, nama) SELECT n+1, IF(n = 0, NULL, (n+1) DIV 2), CONCAT('kategori ', n) FROM {}",
            numbers(500)
        ),
        "SET FOREIGN_KEY_CHECKS = 1".into(),
        format!(
            "INSERT INTO tanpa_kunci SELECT n % 50, IF(n % 7 = 0, NULL, CONCAT('b', n % 5)), (n % 4) / 4 FROM {}",
            numbers(2000)
        ),
        format!("INSERT INTO kunci_teks SELECT CONCAT(IF(n % 2, 'Kunci ', 'kunci_'), n), n FROM {}", numbers(3000)),
        format!(
            "INSERT INTO kunci_biner SELECT UNHEX(LPAD(HEX(n * 7), 12, '0')), UNHEX(LPAD(HEX(n), 8, '0')), n FROM {}",
            numbers(3000)
        ),
        format!(
            "INSERT INTO kunci_majemuk SELECT n % 100, CONCAT('b', n DIV 100 % 10), DATE_ADD('2020-01-01', INTERVAL n DAY), n / 4 FROM {}",
            numbers(3000)
        ),
        format!("INSERT INTO kunci_unik SELECT n, n % 13, IF(n % 5 = 0, NULL, n) FROM {}", numbers(1000)),
        format!(
            "INSERT INTO unik SELECT n, n * 10, IF(n % 4 = 0, NULL, CONCAT('u', n, '@lab.id')) FROM {}",
            numbers(1000)
        ),
        format!("INSERT INTO mesin_lama (isi) SELECT CONCAT('lama ', n) FROM {}", numbers(1000)),
        format!("INSERT INTO mesin_lama_tanpa_kunci SELECT n % 10, 'sama' FROM {}", numbers(500)),
        format!("INSERT INTO banyak (n, isi) SELECT n, CONCAT('banyak ', n) FROM {}", numbers(5000)),
        "INSERT INTO raksasa VALUES (1, REPEAT(UNHEX('00FF1027'), 4194304), REPEAT('é', 100))".into(),
        "INSERT INTO `Tabel \"Aneh\" dengan spasi` VALUES (1, 'satu', 2, 'ümlaut'), (2, NULL, NULL, '😀')".into(),
        "INSERT INTO `user` VALUES (1, 'a', 'x'), (2, NULL, 'y')".into(),
    ];
    sql.extend(kinds(0));
    sql.extend(
        (0..many)
            .map(|n| format!("INSERT INTO biasa_{n:03} (nama, jumlah) VALUES ('satu', 1), ('dua', 2), ('tiga', {n})")),
    );
    sql
}

/// Rows of every type; `n` makes them differ.
fn kinds(n: u32) -> Vec<String> {
    let j = format!("{{\"a\": {n}, \"b\": [1, \"x\", null, true]}}");
    vec![
        format!(
            "INSERT INTO jenis (t1,t2,s1,s2,m1,m2,i1,i2,b1,b2,d1,d2,f,g,bi,bj,da,dt,dt6,ts,ts3,ti,y,ch,vc,la,tx,bn,vb,bl,en,st,js,aktif) VALUES
             (-128,255,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,9223372036854775807,
              -12345678901234567890.0123456789, 99999999999999999999999999999999999999999999999999999999999999999, 1.5, -0.25, b'1', b'1010101010101',
              '2024-02-29','2024-02-29 23:59:59','2024-02-29 23:59:59.000001','2030-01-01 00:00:00','2001-09-09 01:46:40.123','-838:59:59',
              2155,'char ','varchar  ','caf\u{e9} \u{20ac}','teks \u{1f600}',UNHEX('0100'),UNHEX('00ff00'),UNHEX('00'),'it''s, ok','a,c','{j}',{})",
            n % 2
        ),
        "INSERT INTO jenis (vc, tx) VALUES ('', '')".into(),
        format!("INSERT INTO jenis (i1, d1, f, g, da, ti, y, en, st, bi, bj, aktif) VALUES ({n}, 0, 0, 0, '1000-01-01', '00:00:01', 1901, 'baru', '', b'0', b'0', 127)"),
    ]
}

/// What happens after the snapshot, in order, on one connection: each named danger once.
pub fn after(scale: u32, setup: &Setup) -> Vec<String> {
    let mut sql: Vec<String> = [
        // cascades and SET NULL over several levels, REPLACE of parents, change of a referenced key
        "DELETE FROM keluarga WHERE id = 10007",
        "REPLACE INTO keluarga (id, kode, nama) VALUES (10008, 10007, 'diganti')",
        "REPLACE INTO keluarga (id, kode, nama) VALUES (20001, 10008, 'diganti lewat kode')",
        "UPDATE keluarga SET id = 15000 WHERE id = 10010",
        "UPDATE catatan SET cucu_nomor = NULL WHERE anak_id IN (SELECT id FROM anak WHERE keluarga_id = 10011)",
        "UPDATE anak SET id = id + 100000 WHERE keluarga_id = 10011",
        "DELETE FROM anak WHERE id IN (10015, 10016)",
        "REPLACE INTO anak (id, keluarga_id, nama) VALUES (10020, 10021, 'anak diganti')",
        "DELETE FROM kategori WHERE id = 100",
        "BEGIN",
        "INSERT INTO keluarga (id, kode, nama) VALUES (19001, 19001, 'sementara')",
        "INSERT INTO anak (id, keluarga_id, nama) VALUES (19001, 19001, 'a')",
        "INSERT INTO cucu VALUES (19001, 1, 'x')",
        "DELETE FROM keluarga WHERE id = 19001",
        "INSERT INTO keluarga (id, kode, nama) VALUES (19001, 19001, 'kembali')",
        "INSERT INTO anak (id, keluarga_id, nama) VALUES (19001, 19001, 'b')",
        "INSERT INTO cucu VALUES (19001, 2, 'y')",
        "COMMIT",
        "UPDATE induk SET id = id + 1000 WHERE id BETWEEN 10001 AND 10020",
        "DELETE FROM induk WHERE id BETWEEN 10030 AND 10040",
        "REPLACE INTO induk VALUES (10050, 'induk diganti')",
        "SET FOREIGN_KEY_CHECKS = 0",
        "DELETE FROM keluarga WHERE id = 10012",
        "INSERT INTO keluarga (id, kode, nama) VALUES (10012, 10011, 'kembali tanpa periksa')",
        "SET FOREIGN_KEY_CHECKS = 1",
        // changed keys, swapped unique values
        "UPDATE IGNORE kunci_teks SET kode = UPPER(kode) WHERE nilai < 50",
        "UPDATE kunci_majemuk SET a = a + 1000, b = 'z' WHERE a = 5 LIMIT 1",
        "UPDATE kunci_biner SET tetap = UNHEX('00000000') WHERE nilai = 77",
        "UPDATE kunci_unik SET y = y + 100 WHERE x < 50",
        "BEGIN",
        "UPDATE unik SET urutan = -1, surel = 'tukar' WHERE id = 10002",
        "UPDATE unik SET urutan = -101, surel = 'x1' WHERE id = 10003",
        "UPDATE unik SET urutan = -102, surel = 'x2' WHERE id = 10002",
        "COMMIT",
        "BEGIN",
        "UPDATE unik SET id = -3 WHERE id = 10004",
        "UPDATE unik SET id = 10004 WHERE id = 10006",
        "UPDATE unik SET id = 10006 WHERE id = -3",
        "COMMIT",
        // tables without a key
        "INSERT INTO tanpa_kunci VALUES (1, 'b1', 0.25), (1, 'b1', 0.25), (NULL, NULL, NULL)",
        "DELETE FROM tanpa_kunci WHERE a = 1 LIMIT 3",
        "UPDATE tanpa_kunci SET b = 'ubah' WHERE a = 2 LIMIT 5",
        "DELETE FROM mesin_lama_tanpa_kunci LIMIT 7",
        // rollbacks and savepoints, with and without the other engine
        "BEGIN",
        "INSERT INTO banyak (n, isi) VALUES (-1, 'hilang')",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO banyak (n, isi) VALUES (-2, 'tetap')",
        "SAVEPOINT `titik satu`",
        "INSERT INTO banyak (n, isi) VALUES (-3, 'hilang')",
        "INSERT INTO mesin_lama (isi) VALUES ('tidak bisa batal')",
        "INSERT INTO banyak (n, isi) VALUES (-4, 'hilang')",
        "ROLLBACK TO `titik satu`",
        "INSERT INTO banyak (n, isi) VALUES (-5, 'tetap')",
        "COMMIT",
        "BEGIN",
        "INSERT INTO banyak (n, isi) VALUES (-6, 'hilang')",
        "UPDATE mesin_lama SET isi = 'tetap diubah' WHERE id = 5",
        "ROLLBACK",
        "DELETE FROM mesin_lama WHERE id BETWEEN 10 AND 20",
        // odd names, big rows
        "UPDATE `Tabel \"Aneh\" dengan spasi` SET `Order By` = 'dua', `é'ü` = NULL WHERE `select` = 2",
        "DELETE FROM `Tabel \"Aneh\" dengan spasi` WHERE `select` = 1",
        "UPDATE `user` SET `group` = 'b' WHERE id = 2",
        "INSERT INTO raksasa VALUES (2, REPEAT(UNHEX('AB00'), 8388608), REPEAT('ß', 4000000))",
        "UPDATE raksasa SET teks = 'pendek' WHERE id = 1",
        "DELETE FROM raksasa WHERE id = 2",
        "INSERT INTO raksasa VALUES (3, NULL, REPEAT('é', 8000000))",
        "UPDATE jenis SET vc = 'diubah', i1 = i1 + 1, js = NULL WHERE id = 1",
        // one DELETE that empties a table without a key, one large transaction
        "DELETE FROM besar_tanpa_kunci",
    ]
    .map(str::to_owned)
    .to_vec();
    if !setup.kind.is_mariadb() {
        // how much refers to a row decides how far MySQL cascades within one table before it refuses
        sql.iter_mut()
            .filter(|sql| sql.starts_with("DELETE FROM kategori"))
            .for_each(|sql| *sql = sql.replace("100", "249"));
    }
    if !setup.kind.is_mariadb() && setup.gtid {
        // MySQL with GTIDs forbids to change tables of both engines in one transaction
        let of_both = [
            "INSERT INTO mesin_lama (isi) VALUES ('tidak bisa batal')",
            "UPDATE mesin_lama SET isi = 'tetap diubah' WHERE id = 5",
        ];
        sql.retain(|statement| !of_both.contains(&statement.as_str()));
    }
    sql.extend(kinds(1));
    sql.push("BEGIN".into());
    sql.push(format!("INSERT INTO banyak (n, isi) SELECT n, CONCAT('besar ', n) FROM {}", numbers(scale)));
    sql.push("UPDATE banyak SET isi = 'diubah di dalam' WHERE n % 10 = 0".into());
    sql.push("DELETE FROM banyak WHERE n % 10 = 1".into());
    sql.push("COMMIT".into());
    sql
}

/// One random transaction over many tables, with the dangers mixed.
fn random_transaction(random: &mut Random, many: usize) -> Vec<String> {
    let mut sql = Vec::new();
    for _ in 0..=random.below(6) {
        let (k, a, b) = (random.below(400) + 1, random.below(2000) + 1, random.below(1_000_000));
        sql.push(match random.below(26) {
            0 => format!("DELETE FROM keluarga WHERE id = {k}"),
            1 => format!("REPLACE INTO keluarga (id, kode, nama) VALUES ({k}, {}, 'ganti {b}')", k - 1),
            2 => format!("INSERT IGNORE INTO keluarga (id, kode, nama) VALUES ({k}, {}, 'baru {b}')", k - 1),
            3 => format!("UPDATE IGNORE keluarga SET id = {} WHERE id = {k}", random.below(400) + 1),
            4 => format!("INSERT IGNORE INTO anak (id, keluarga_id, nama) VALUES ({a}, {k}, 'anak {b}')"),
            5 => format!(
                "REPLACE INTO anak (id, keluarga_id, nama) SELECT {a}, id, 'ganti {b}' FROM keluarga WHERE id = {k}"
            ),
            6 => format!("UPDATE IGNORE anak SET id = {} WHERE id = {a}", random.below(2000) + 1),
            7 => format!("DELETE FROM anak WHERE id = {a}"),
            8 => format!("INSERT IGNORE INTO cucu VALUES ({a}, {}, 'mainan {b}')", random.below(4)),
            9 => format!("UPDATE cucu SET mainan = 'ubah {b}' WHERE anak_id = {a}"),
            10 => format!("INSERT IGNORE INTO catatan (anak_id, isi) VALUES ({a}, 'catatan {b}')"),
            11 => format!("UPDATE catatan SET isi = 'ubah {b}' WHERE id = {a}"),
            12 => format!("UPDATE IGNORE induk SET id = {} WHERE id = {k}", random.below(400) + 1),
            13 => format!("DELETE FROM induk WHERE id = {k}"),
            14 => format!("REPLACE INTO induk VALUES ({k}, 'ganti {b}')"),
            15 => format!("INSERT IGNORE INTO daun (induk_id, n) VALUES ({k}, {b})"),
            16 => format!("UPDATE daun SET n = {b} WHERE id = {a}"),
            17 => format!("INSERT INTO tanpa_kunci VALUES ({}, 'b{}', 0.5)", k % 50, b % 5),
            18 => format!("DELETE FROM tanpa_kunci WHERE a = {} LIMIT 2", k % 50),
            19 => format!("UPDATE IGNORE kunci_teks SET kode = 'kunci_{}', nilai = {b} WHERE nilai = {a}", b % 3000),
            20 => format!("UPDATE IGNORE unik SET urutan = {} WHERE id = {}", random.below(1000) * 10, k),
            21 => format!("INSERT INTO mesin_lama (isi) VALUES ('isi {b}')"),
            22 => format!("DELETE FROM kategori WHERE id = {}", 250 + k % 250),
            23 => format!("UPDATE IGNORE kunci_majemuk SET a = {} WHERE a = {}", random.below(100), k % 100),
            24 => format!("UPDATE banyak SET isi = 'ubah {b}' WHERE id = {}", random.below(5000)),
            _ => format!("INSERT INTO biasa_{:03} (nama, jumlah) VALUES ('n{b}', {k})", random.below(many as u64)),
        });
    }
    if sql.len() > 1 {
        sql.insert(0, "BEGIN".into());
        sql.push(if random.below(10) == 0 { "ROLLBACK".into() } else { "COMMIT".into() });
    }
    sql
}

/// Runs random transactions on one connection until told to stop, at a pace that does not depend on how fast the disk is;
/// returns how many committed.
/// A statement that fails (deadlock, missing parent) ends its transaction with a rollback, as an application would.
pub async fn random_load(url: String, seed: u64, many: usize, stop: Arc<AtomicBool>) -> u64 {
    let mut random = Random(seed);
    let mut done = 0;
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        if connection.is_none() {
            connection = mysql_async::Conn::from_url(&url).await.ok();
        }
        let Some(conn) = &mut connection else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut failed = None;
        for sql in random_transaction(&mut random, many) {
            if let Err(error) = conn.query_drop(&sql).await {
                failed = Some(error);
                break;
            }
        }
        match failed {
            None => done += 1,
            Some(mysql_async::Error::Server(_)) => drop(conn.query_drop("ROLLBACK").await),
            Some(_) => connection = None,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    done
}

/// The whole workload on one set-up.
/// `whole`: also where only samples are run.
async fn workload(setup: Setup, whole: bool) {
    let part = if whole || full() { 1 } else { 10 };
    let (many, scale, workers) = (300 / part, KEYLESS_ROWS / part as u32, 3);
    let mut world = World::new(setup).await;
    // a budget that the whole size's large transactions exceed several times
    world.config = "[apply]\nmemory = \"24MB\"\n".into();
    let mut sql = schema(many);
    sql.extend(before(many, scale));
    world.run(&sql.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let stop = Arc::new(AtomicBool::new(false));
    let seed = 20_240_229;
    let load: Vec<_> = (0..workers)
        .map(|n| tokio::spawn(random_load(world.source.url(DATABASE), seed + n, many, Arc::clone(&stop))))
        .collect();
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = after(scale, &setup);
    world.run_on_one(&after).await;
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for worker in load {
        committed += worker.await.expect("a worker ends");
    }
    assert!(committed > 100, "the load did next to nothing: {committed} transactions");
    world.caught_up().await;
    world.assert_equal().await;
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!(code, 0, "verify says:\n{stdout}\n{stderr}");
    assert!(replicator.is_running(), "the replicator has ended:\n{}", world.log());
    assert_eq!(replicator.terminate().await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_by_gtid_with_full_metadata() {
    workload(Setup { kind: SourceKind::MariaDb, gtid: true, full_metadata: true }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_by_gtid_with_least_metadata() {
    workload(Setup { kind: SourceKind::MariaDb, gtid: true, full_metadata: false }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_by_file_with_full_metadata() {
    workload(Setup { kind: SourceKind::MariaDb, gtid: false, full_metadata: true }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_by_file_with_least_metadata() {
    workload(Setup { kind: SourceKind::MariaDb, gtid: false, full_metadata: false }, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_11_8_by_gtid_with_full_metadata() {
    workload(Setup { kind: SourceKind::MariaDb118, gtid: true, full_metadata: true }, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_11_8_by_file_with_least_metadata() {
    workload(Setup { kind: SourceKind::MariaDb118, gtid: false, full_metadata: false }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_by_gtid_with_full_metadata() {
    workload(Setup { kind: SourceKind::MySql, gtid: true, full_metadata: true }, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_by_gtid_with_least_metadata() {
    workload(Setup { kind: SourceKind::MySql, gtid: true, full_metadata: false }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_by_file_with_full_metadata() {
    workload(Setup { kind: SourceKind::MySql, gtid: false, full_metadata: true }, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_by_file_with_least_metadata() {
    workload(Setup { kind: SourceKind::MySql, gtid: false, full_metadata: false }, false).await;
}
