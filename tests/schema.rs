//! The schema comes along: made, made whole again, made in spite of rows, on real servers. What stands is read by queries of
//! `pg_catalog` that share nothing with the program.

use crate::support::{Setup, World, on_both, seed};
use mysql_async::prelude::Queryable;
use sirenia::embedded::{SourceKind, TargetVersion};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Pseudo-random numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

const TABLES: u64 = 540;
const FOREIGN_KEYS: u64 = 900;
const ENUMS: u64 = 1100;

/// The statements of a schema as a hospital has it: a sixth of the tables without a primary key.
fn generated(random: &mut Random) -> Vec<String> {
    let keyed: Vec<u64> = (0..TABLES).filter(|table| table % 6 != 5).collect();
    let mut statements = Vec::new();
    let mut keys = vec![Vec::new(); TABLES as usize];
    for number in 0..FOREIGN_KEYS {
        keys[(number % TABLES) as usize].push((number, keyed[random.below(keyed.len() as u64) as usize]));
    }
    for table in 0..TABLES {
        let mut sql = format!("CREATE TABLE tabel_{table} (");
        match table % 6 {
            5 => sql.push_str("id BIGINT UNSIGNED NOT NULL"),
            _ => sql.push_str("id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY"),
        }
        sql.push_str(", nama VARCHAR(120) NOT NULL DEFAULT 'tanpa nama' COMMENT 'Nama lengkap', jumlah INT DEFAULT 0");
        sql.push_str(", harga DECIMAL(12,2) NOT NULL DEFAULT 0.00, aktif TINYINT(1) NOT NULL DEFAULT 1, catatan TEXT");
        sql.push_str(", created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP");
        let enums = ENUMS / TABLES + u64::from(table < ENUMS % TABLES);
        for at in 0..enums {
            let _ = write!(sql, ", jenis_{at} ENUM('baru','lama','ba''ru {table}') DEFAULT 'baru'");
        }
        for (number, parent) in &keys[table as usize] {
            let action = ["", " ON DELETE CASCADE", " ON DELETE SET NULL"][random.below(3) as usize];
            let _ = write!(
                sql,
                ", induk_{number} BIGINT UNSIGNED, CONSTRAINT fk_{number} FOREIGN KEY (induk_{number}) \
                 REFERENCES tabel_{parent} (id){action}"
            );
        }
        if random.below(2) == 0 {
            sql.push_str(", UNIQUE KEY unik (nama, jumlah)");
        }
        sql.push_str(", KEY cari (nama(10), created_at), CONSTRAINT ");
        let _ = write!(sql, "jumlah_{table} CHECK (jumlah >= 0)) COMMENT 'Tabel {table}'");
        statements.push(sql);
    }
    statements
}

async fn create_all(world: &World, statements: &[String]) {
    let mut source = world.source().await;
    source.query_drop("SET FOREIGN_KEY_CHECKS = 0").await.unwrap();
    for sql in statements {
        source.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Everything that stands in `public`, as lines.
async fn standing(client: &Client) -> BTreeMap<String, String> {
    let rows = client
        .query(
            "SELECT 'constraint ' || c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
               FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
              WHERE k.connamespace = 'public'::regnamespace
             UNION ALL SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL SELECT 'column ' || table_name || '.' || column_name,
                              concat_ws(' ', data_type, is_nullable, column_default, 'identity ' || is_identity)
                         FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL SELECT 'comment ' || c.relname || '.' || d.objsubid, d.description
                         FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
                        WHERE d.classoid = 'pg_class'::regclass AND c.relnamespace = 'public'::regnamespace",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Statements that damage what stands, each in one place.
async fn damage(client: &Client, random: &mut Random, count: usize) -> Vec<String> {
    let rows = client
        .query(
            "SELECT c.relname::text, k.conname::text, k.contype::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
              WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('f', 'c')
             UNION ALL SELECT t.relname::text, i.relname::text, 'i' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
               JOIN pg_class t ON t.oid = x.indrelid
              WHERE i.relnamespace = 'public'::regnamespace AND NOT x.indisprimary
             UNION ALL SELECT table_name, column_name, 'd' FROM information_schema.columns
              WHERE table_schema = 'public' AND column_default IS NOT NULL ORDER BY 1, 2, 3",
            &[],
        )
        .await
        .unwrap();
    let mut done = Vec::new();
    while done.len() < count {
        let row = &rows[random.below(rows.len() as u64) as usize];
        let (table, name, kind): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let sql = match (kind, random.below(3)) {
            ("f", 0) | ("c", 0 | 1) => format!("ALTER TABLE public.{table} DROP CONSTRAINT \"{name}\""),
            ("f", 1) => format!("ALTER TABLE public.{table} RENAME CONSTRAINT \"{name}\" TO lain_{}", done.len()),
            ("f", _) => {
                let def: String = client
                    .query_one(
                        "SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                          WHERE c.relname = $1 AND k.conname = $2 AND c.relnamespace = 'public'::regnamespace",
                        &[&table, &name],
                    )
                    .await
                    .map_or(String::new(), |row| row.get(0));
                let def = def.replace(" DEFERRABLE INITIALLY DEFERRED", " ON DELETE CASCADE");
                format!("ALTER TABLE public.{table} DROP CONSTRAINT \"{name}\", ADD CONSTRAINT \"{name}\" {def}")
            }
            ("i", 0) => format!("DROP INDEX public.\"{name}\""),
            ("i", 1) => format!("ALTER INDEX public.\"{name}\" RENAME TO lain_{}", done.len()),
            ("i", _) => {
                format!("DROP INDEX public.\"{name}\"; CREATE INDEX \"{name}\" ON public.{table} (jumlah, nama DESC)")
            }
            ("d", 0) => format!("ALTER TABLE public.{table} ALTER \"{name}\" DROP DEFAULT"),
            ("d", _) if name.starts_with("jenis") => {
                format!("ALTER TABLE public.{table} ALTER \"{name}\" SET DEFAULT 'lama'")
            }
            _ => format!("COMMENT ON TABLE public.{table} IS 'lain'"),
        };
        // what was damaged before may not be there any more
        if client.batch_execute(&sql).await.is_ok() {
            done.push(sql);
        }
    }
    done
}

async fn a_whole_hospital(version: TargetVersion) {
    let setup = Setup::new(SourceKind::MariaDb);
    let world = World::into(setup, setup.options(), version).await;
    let seed = seed();
    println!("SIRENIA_TEST_SEED={seed}");
    let mut random = Random(seed);
    create_all(&world, &generated(&mut random)).await;
    let timed = |arguments: &[&str]| {
        let started = Instant::now();
        let (code, out, err) = world.output(arguments);
        println!("{}: exit {code} in {:.1?}", arguments.join(" "), started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(60), "{arguments:?}");
        (code, out, err)
    };
    let (code, out, err) = timed(&["schema", "plan"]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(out.matches("-- foreign key ").count(), FOREIGN_KEYS as usize, "{err}");
    let (code, out, err) = timed(&["schema", "apply"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = timed(&["schema", "plan"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");

    let target = world.target().await;
    let whole = standing(&target).await;
    let of = |what: &str, says: &str| whole.iter().filter(|(k, v)| k.starts_with(what) && v.contains(says)).count();
    assert_eq!(of("constraint", "FOREIGN KEY"), FOREIGN_KEYS as usize);
    assert_eq!(of("constraint", "FOREIGN KEY"), of("constraint", "DEFERRABLE INITIALLY DEFERRED"));
    assert_eq!(of("constraint", "PRIMARY KEY"), (TABLES - TABLES / 6) as usize);
    assert_eq!(of("constraint", "'baru'::text"), ENUMS as usize);
    assert_eq!(of("constraint", "jumlah >= 0"), TABLES as usize);
    assert_eq!(of("column", "identity YES"), (TABLES - TABLES / 6) as usize);
    assert_eq!(of("comment", "Tabel "), TABLES as usize);

    for round in 0..2 {
        let damaged = damage(&target, &mut random, 60).await;
        let (code, _, err) = timed(&["schema", "apply"]);
        assert_eq!(code, 0, "{err}\n{}", damaged.join("\n"));
        let now = standing(&target).await;
        let differs: Vec<_> = whole.iter().filter(|(name, text)| now.get(*name) != Some(text)).collect();
        assert!(differs.is_empty(), "round {round}: {differs:#?}\n{}", damaged.join("\n"));
        let (code, out, _) = timed(&["schema", "plan"]);
        assert_eq!((code, out.as_str()), (0, ""), "{}", damaged.join("\n"));
    }

    // and the whole of it moves
    let (code, _, err) = timed(&["run", "--once"]);
    assert_eq!(code, 0, "{err}");
    world.run(&["SET GLOBAL read_only = 1"]).await;
    let (code, out, err) = timed(&["cutover"]);
    assert_eq!((code, out.lines().last()), (0, Some("GO")), "{out}{err}");
    let now = standing(&target).await;
    let acting = |text: &&String| text.starts_with("FOREIGN KEY") && !text.contains("DEFERRABLE");
    assert_eq!(now.values().filter(acting).count(), FOREIGN_KEYS as usize);
    let (code, out, _) = timed(&["schema", "plan"]);
    assert_eq!((code, out.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_hospital_on_postgres_15() {
    a_whole_hospital(TargetVersion::System).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_hospital_on_postgres_18() {
    a_whole_hospital(TargetVersion::V18).await;
}

async fn a_key_that_stands_under_another_definition(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE user_ (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50))",
            "CREATE TABLE skp_tahunan (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED, \
             CONSTRAINT fk_skp_tahunan_user FOREIGN KEY (user_id) REFERENCES user_ (id) ON DELETE CASCADE)",
            "INSERT INTO user_ VALUES (1, 'a'), (2, 'b')",
            "INSERT INTO skp_tahunan VALUES (1, 1), (2, 2), (3, NULL)",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    assert_eq!(world.output(&["schema", "status"]).0, 0);
    let target = world.target().await;
    target
        .batch_execute(
            "ALTER TABLE skp_tahunan DROP CONSTRAINT fk_skp_tahunan_user,
                 ADD CONSTRAINT fk_skp_tahunan_user FOREIGN KEY (user_id) REFERENCES user_ (id) ON DELETE CASCADE",
        )
        .await
        .unwrap();
    let (code, out, err) = world.output(&["schema", "status"]);
    assert!(code == 1 && out.contains("fk_skp_tahunan_user") && out.contains("ON DELETE CASCADE"), "{out}{err}");
    let (code, out, _) = world.output(&["schema", "diff"]);
    assert!(code == 1 && out.lines().count() == 1 && out.contains("fk_skp_tahunan_user"), "{out}");
    let (code, out, _) = world.output(&["schema", "lint"]);
    assert_eq!((code, out.as_str()), (0, "nothing would be lost\n"));
    let (code, out, _) = world.output(&["schema", "plan"]);
    assert!(code == 1 && out.lines().count() == 2, "{out}");
    let (code, out, _) = world.output(&["schema", "apply", "--dry-run"]);
    assert!(code == 0 && out.contains("ADD CONSTRAINT \"fk_skp_tahunan_user\""), "{out}");
    assert_eq!(world.output(&["schema", "status"]).0, 1, "a dry run changes nothing");
    // beside the running instance
    let (code, out, err) = world.output(&["schema", "apply"]);
    assert_eq!((code, out.as_str()), (0, "1 steps done\n"), "{err}");
    let (code, out, _) = world.output(&["schema", "status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && json["steps"].as_array().unwrap().is_empty(), "{out}");
    world.run(&["INSERT INTO user_ (nama) VALUES ('c')", "DELETE FROM user_ WHERE id = 1"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
}

async fn rows_without_a_parent(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE induk (id INT PRIMARY KEY)",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk INT, CONSTRAINT fk_anak FOREIGN KEY (induk) REFERENCES induk (id))",
            "CREATE TABLE cucu (id INT PRIMARY KEY, induk INT, CONSTRAINT fk_cucu FOREIGN KEY (induk) REFERENCES induk (id))",
            "INSERT INTO induk VALUES (1)",
            "INSERT INTO cucu VALUES (1, 1)",
        ])
        .await;
    world
        .run_on_one(&["SET FOREIGN_KEY_CHECKS = 0".into(), "INSERT INTO anak VALUES (1, 1), (2, 770077)".into()])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let line = world.logged(&["fk_anak", "1 rows have no parent"]).await;
    assert!(line.contains("WARN") && line.contains("sirenia schema status"), "{line}");
    let (code, out, _) = world.output(&["schema", "status"]);
    assert!(code == 0 && out.contains("not valid    foreign key fk_anak of public.anak: 1 rows"), "{out}");

    // the key of the other table breaks while following, in a transaction with others
    world
        .run_on_one(&[
            "SET FOREIGN_KEY_CHECKS = 0".into(),
            "BEGIN".into(),
            "INSERT INTO cucu VALUES (2, 880088)".into(),
            "INSERT INTO anak VALUES (3, 880088)".into(),
            "COMMIT".into(),
            "INSERT INTO induk VALUES (2)".into(),
        ])
        .await;
    world.caught_up().await;
    world.assert_equal().await;
    let line = world.logged(&["fk_cucu", "is dropped"]).await;
    assert!(line.contains("WARN") && line.contains("sirenia schema status"), "{line}");
    assert!(!world.log().contains("880088"), "no values in the log");
    let (code, out, _) = world.output(&["schema", "status"]);
    assert!(code == 1 && out.contains("dropped      foreign key fk_cucu of public.cucu"), "{out}");

    // mended on the source, it can come again
    world.run(&["DELETE FROM cucu WHERE id = 2", "DELETE FROM anak WHERE induk > 70000"]).await;
    world.caught_up().await;
    assert_eq!(world.output(&["schema", "apply"]).0, 0);
    let (code, out, _) = world.output(&["schema", "status"]);
    assert_eq!(code, 0, "{out}");
    assert!(!out.contains("dropped") && !out.contains("not valid"), "{out}");
    world.assert_equal().await;
    assert!(replicator.is_running());
}

async fn a_key_that_breaks_in_a_transaction_larger_than_memory(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[apply]\nmemory = \"16MB\"\n".into();
    world
        .run(&[
            "CREATE TABLE induk (id INT PRIMARY KEY)",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk INT, isi TEXT, \
             CONSTRAINT fk_anak FOREIGN KEY (induk) REFERENCES induk (id) ON DELETE CASCADE)",
            "INSERT INTO induk VALUES (1)",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let mut statements = vec!["SET FOREIGN_KEY_CHECKS = 0".to_owned(), "BEGIN".into()];
    statements.extend((0..14).map(|part| {
        let row = |n: u32| format!("({}, {}, REPEAT('y', 1000))", part * 1000 + n, if n == 7 { 770077 } else { 1 });
        format!("INSERT INTO anak VALUES {}", (0..1000).map(row).collect::<Vec<_>>().join(", "))
    }));
    statements.push("COMMIT".into());
    world.run_on_one(&statements).await;
    world.caught_up().await;
    world.logged(&["fk_anak", "is dropped"]).await;
    world.assert_equal().await;
    assert!(replicator.is_running());
}

async fn a_row_from_quarantine_breaks_a_key(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE induk (id INT PRIMARY KEY)",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk INT, nilai INT, \
             CONSTRAINT fk_anak FOREIGN KEY (induk) REFERENCES induk (id))",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let target = world.target().await;
    target.batch_execute("ALTER TABLE anak ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    world.run_on_one(&["SET FOREIGN_KEY_CHECKS = 0".into(), "INSERT INTO anak VALUES (1, 770077, 500)".into()]).await;
    world.caught_up().await;
    target.batch_execute("ALTER TABLE anak DROP CONSTRAINT kecil").await.unwrap();
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert_eq!(code, 0, "{out}{err}");
    world.logged(&["fk_anak", "is dropped"]).await;
    world.assert_equal().await;
    assert!(replicator.is_running());
}

/// A row of defaults alone is the same row on both sides, whoever makes it; and what the source refuses the target refuses.
async fn defaults_and_checks_mean_the_same(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE semua (id INT AUTO_INCREMENT PRIMARY KEY, i INT DEFAULT -5, u BIGINT UNSIGNED DEFAULT 7, \
             d DECIMAL(8,3) DEFAULT 1.5, f DOUBLE DEFAULT 0.25, b BIT(5) DEFAULT b'101', b1 BIT(1) DEFAULT b'1', \
             c CHAR(9) DEFAULT 'it''s', v VARCHAR(40) DEFAULT 'a\\\\b \"c\" é', y YEAR DEFAULT 2001, dt DATE DEFAULT '2020-02-29', \
             dm DATETIME(3) DEFAULT '2020-01-02 03:04:05.678', t TIME DEFAULT '-12:34:56', \
             e ENUM('p','it''s') DEFAULT 'it''s', s SET('x','y','z') DEFAULT 'z,x', vb VARBINARY(9) DEFAULT 'abc', \
             bn BINARY(5) DEFAULT 'ab', n INT, kosong VARCHAR(9) DEFAULT '', \
             CONSTRAINT angka CHECK (i < 100 AND (u IN (7, 8) OR n IS NULL)), \
             CONSTRAINT kata CHECK (char_length(v) BETWEEN 1 AND 20 AND e <> 'p'))",
            "INSERT INTO semua () VALUES ()",
        ])
        .await;
    let (code, _, err) = world.output(&["run", "--once"]);
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = world.output(&["schema", "status"]);
    assert!(!out.contains("not carried"), "{out}");
    let target = world.target().await;
    target.batch_execute("INSERT INTO semua DEFAULT VALUES").await.unwrap();
    let mut source = world.source().await;
    source.query_drop("INSERT INTO semua () VALUES ()").await.unwrap();
    world.assert_equal().await;
    for wrong in ["(i) VALUES (100)", "(u, n) VALUES (9, 1)", "(v) VALUES ('')", "(e) VALUES ('p')"] {
        let sql = format!("INSERT INTO semua {wrong}");
        assert!(source.query_drop(&sql).await.is_err(), "the source takes {wrong}");
        assert!(target.batch_execute(&sql).await.is_err(), "the target takes {wrong}");
    }
}

async fn the_schema_first_and_the_rows_then(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE induk (id INT AUTO_INCREMENT PRIMARY KEY, kode VARCHAR(9) NOT NULL, UNIQUE KEY kode (kode), \
             nilai INT DEFAULT 5 CHECK (nilai > 0)) COMMENT 'Para induk'",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk INT, jenis ENUM('a','b') DEFAULT 'b', \
             CONSTRAINT fk_anak FOREIGN KEY (induk) REFERENCES induk (id) ON DELETE SET NULL)",
            "INSERT INTO induk (kode) VALUES ('x'), ('y')",
            "INSERT INTO anak VALUES (1, 1, 'a'), (2, 2, DEFAULT)",
        ])
        .await;
    let (code, out, err) = world.output(&["schema", "apply"]);
    assert_eq!(code, 0, "{out}{err}");
    let whole = standing(&world.target().await).await;
    assert!(whole.contains_key("constraint anak.fk_anak") && whole.contains_key("index induk_kode"), "{whole:#?}");
    let (code, _, err) = world.output(&["run", "--once"]);
    assert_eq!(code, 0, "{err}");
    world.assert_equal().await;
    assert_eq!(standing(&world.target().await).await, whole);
    assert_eq!(world.output(&["schema", "status"]).0, 0);
    assert_eq!(world.output(&["verify"]).0, 0);
    // the target counts on where the source stands
    let target = world.target().await;
    let row = target.query_one("INSERT INTO induk (kode) VALUES ('z') RETURNING id, nilai", &[]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (3, 5));

    // a column that would change is not changed without being asked
    target.batch_execute("ALTER TABLE induk ALTER nilai TYPE bigint").await.unwrap();
    let (code, out, _) = world.output(&["schema", "lint"]);
    assert!(code == 1 && out.contains("-- loses: "), "{out}");
    let (code, _, err) = world.output(&["schema", "apply"]);
    assert!(code == 3 && err.contains("--allow") && err.contains("nilai of public.induk"), "{err}");
    assert_eq!(world.output(&["schema", "apply", "--allow"]).0, 0);
    assert_eq!(standing(&target).await, whole);
    assert_eq!(world.output(&["reset", "--yes"]).0, 0);
}

on_both! {
    a_key_that_stands_under_another_definition
    rows_without_a_parent
    a_row_from_quarantine_breaks_a_key
    defaults_and_checks_mean_the_same
    a_key_that_breaks_in_a_transaction_larger_than_memory
    the_schema_first_and_the_rows_then
}
