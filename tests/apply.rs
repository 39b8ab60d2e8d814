//! Small batches, as they come while following.

use crate::support::{Setup, World, tail};
use sirenia::embedded::SourceKind;
use std::time::Duration;

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, note VARCHAR(40))";

/// Each statement is a transaction; hardly two meet in one batch.
async fn one_by_one(world: &World, statements: impl Iterator<Item = String>) {
    for sql in statements {
        world.run(&[&sql]).await;
    }
}

#[tokio::test]
async fn a_table_that_was_copied_empty_is_not_scanned_when_it_has_grown() {
    let world = World::new(Setup::new(SourceKind::MariaDb)).await;
    world.run(&["CREATE TABLE t (id INT, cabang INT, note VARCHAR(40), PRIMARY KEY (id, cabang))"]).await;
    let mut replicator = world.replicate(&[]);
    world.followed_by(&mut replicator).await.unwrap();
    // PostgreSQL keeps a statement's plan from its sixth execution on; a table of one page is best scanned
    one_by_one(&world, (1..=8).map(|id| format!("INSERT INTO t VALUES ({id}, 1, 'awal')"))).await;
    world.caught_up().await;
    world.target().await.batch_execute("ANALYZE t").await.unwrap();
    one_by_one(&world, (1..=8).map(|id| format!("DELETE FROM t WHERE id = {id}"))).await;
    world.run(&["INSERT INTO t SELECT seq, 1, 'banyak' FROM seq_1_to_20000"]).await;
    world.caught_up().await;
    let target = world.target().await;
    let counted = async || {
        let sql = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = 't'";
        target.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let before = counted().await;
    one_by_one(&world, (1..=50).map(|id| format!("UPDATE t SET note = 'kecil' WHERE id = {id}"))).await;
    world.caught_up().await;
    let mut after = counted().await;
    for _ in 0..100 {
        if after >= before + 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await; // sessions tell what they did once in a while
        after = counted().await;
    }
    let read = after - before;
    assert!((50..20_000).contains(&read), "{read} rows were read to find 50");
    world.assert_equal().await;
    assert_eq!(replicator.terminate().await.0, 0);
}

#[tokio::test]
async fn a_small_batch_that_misses_a_row_leaves_nothing_of_it_on_the_target() {
    // rows that come one by one, and by COPY
    for (damage, last) in [(MISSING, 3), (SWALLOW, 3), (MISSING, 30), (SWALLOW, 30)] {
        let world = World::new(Setup::new(SourceKind::MariaDb)).await;
        world.run(&[TABLE, "INSERT INTO t VALUES (1, 'satu'), (2, 'dua')"]).await;
        let mut replicator = world.replicate(&[]);
        world.followed_by(&mut replicator).await.unwrap();
        world.target().await.batch_execute(damage).await.unwrap();
        let insert = format!("INSERT INTO t SELECT seq, 'baru' FROM seq_3_to_{last}");
        let update = "UPDATE t SET note = 'baru' WHERE id = 2".to_owned();
        world.run_on_one(&["BEGIN".into(), insert, update, "COMMIT".into()]).await;
        assert_eq!(replicator.exit().await, 3, "{damage}: {}", tail(&world.log()));
        let rows = world.target().await.query("SELECT id FROM t WHERE note = 'baru'", &[]).await.unwrap();
        assert!(rows.is_empty(), "{damage}: a part of a transaction that was refused is there");
        assert!(world.log().contains("public.t"), "{damage}: {}", tail(&world.log()));
    }
}

const MISSING: &str = "DELETE FROM t WHERE id = 2";

const SWALLOW: &str = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
     CREATE TRIGGER swallow BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION swallow()";

#[tokio::test]
async fn rows_keep_every_value_however_many_come_together() {
    let world = World::new(Setup::new(SourceKind::MariaDb)).await;
    world
        .run(&[
            "CREATE TABLE semua (id INT PRIMARY KEY, b BOOLEAN, ti TINYINT, bu BIGINT UNSIGNED, d DECIMAL(30,10), f FLOAT, g DOUBLE, \
             bits BIT(9), c CHAR(5), v VARCHAR(20), tx TEXT, bl BLOB, da DATE, dt DATETIME(6), ts TIMESTAMP(3) NULL, ti2 TIME(2), \
             y YEAR, e ENUM('a','b'), j JSON, u UUID, i INET6)",
            "CREATE TABLE himpunan (id INT PRIMARY KEY, s SET('x','y','z') NOT NULL)",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.followed_by(&mut replicator).await.unwrap();
    let rows = [
        "TRUE, -128, 9223372036854775807, 12345678901234567890.0123456789, 0.1, -1e300, b'101010101', 'abc', 'kata \\'s', 'baris\n', \
         x'00ff', '2024-02-29', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999', '-838:59:59', 2155, 'b', '{\"a\": [1, null]}', \
         '123e4567-e89b-12d3-a456-426655440000', '::ffff:192.0.2.1'",
        "FALSE, 127, 0, -0.0000000001, 3.4e38, 0, b'0', '', '', '', '', '0001-01-01', '1000-01-01', '1970-01-01 00:00:01', '00:00:00.25', 1901, 'a', \
         'null', '00000000-0000-0000-0000-000000000000', '::'",
    ];
    let nothing = vec!["NULL"; 20].join(", ");
    for together in [1, 8, 12, 70] {
        let values: Vec<String> = (0..together)
            .map(|n| format!("({}, {})", together * 100 + n, [rows[0], rows[1], &nothing][n % 3]))
            .collect();
        let set = "INSERT INTO himpunan SELECT id, ELT(1 + id % 3, '', 'x', 'x,z') FROM semua WHERE id >= ";
        let change = |table: &str| format!("UPDATE {table} SET id = -id WHERE id % 2 = 0 AND id > 0");
        world
            .run_on_one(&[
                "SET time_zone = '+00:00'".into(),
                "BEGIN".into(),
                format!("INSERT INTO semua VALUES {}", values.join(", ")),
                format!("{set}{}", together * 100),
                change("semua"),
                change("himpunan"),
                "COMMIT".into(),
            ])
            .await;
        world.caught_up().await;
        world.assert_equal().await;
    }
    assert_eq!(replicator.terminate().await.0, 0);
}
