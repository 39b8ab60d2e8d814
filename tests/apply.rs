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
    for damage in ["DELETE FROM t WHERE id = 2", SWALLOW] {
        let world = World::new(Setup::new(SourceKind::MariaDb)).await;
        world.run(&[TABLE, "INSERT INTO t VALUES (1, 'satu'), (2, 'dua')"]).await;
        let mut replicator = world.replicate(&[]);
        world.followed_by(&mut replicator).await.unwrap();
        world.target().await.batch_execute(damage).await.unwrap();
        world.run_on_one(&transaction()).await;
        assert_eq!(replicator.exit().await, 3, "{damage}: {}", tail(&world.log()));
        let rows = world.target().await.query("SELECT id FROM t WHERE note = 'baru'", &[]).await.unwrap();
        assert!(rows.is_empty(), "{damage}: a part of a transaction that was refused is there");
        assert!(world.log().contains("public.t"), "{damage}: {}", tail(&world.log()));
    }
}

const SWALLOW: &str = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
     CREATE TRIGGER swallow BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION swallow()";

fn transaction() -> Vec<String> {
    ["BEGIN", "INSERT INTO t VALUES (3, 'baru')", "UPDATE t SET note = 'baru' WHERE id = 2", "COMMIT"]
        .map(String::from)
        .into()
}
