//! Rows that cannot be applied are set aside, all others arrive, and a retry brings them once what refused them is gone.

use crate::support::{Setup, World, on_both, tail};
use sirenia::embedded::SourceKind;
use std::time::Duration;

/// Key, operation and code of what is in quarantine, in the keys' order.
async fn set_aside(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', source_table, key_text, operation, code), ', '
                      ORDER BY source_table, length(key_text), key_text), '') FROM sirenia.quarantine";
    let found: String = world.target().await.query_one(sql, &[]).await.unwrap().get(0);
    found.replace(" : ", ":")
}

async fn text(world: &World, sql: &str) -> String {
    world.target().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// A constraint that only the target has, put on a live table and dropped again.
async fn a_constraint_on_the_target(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL, nama VARCHAR(20))",
            "CREATE TABLE pasien (id INT PRIMARY KEY, nama VARCHAR(20))",
            "INSERT INTO hasil VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    let many: Vec<String> =
        (10..60).map(|id| format!("({id}, {}, 'x')", if id == 15 || id == 27 { 987654321 } else { id })).collect();
    let statements = [
        "BEGIN".to_owned(),
        "INSERT INTO pasien VALUES (1, 'p')".into(),
        format!("INSERT INTO hasil VALUES {}", many.join(", ")),
        "UPDATE hasil SET nilai = 987654322 WHERE id = 1".into(),
        "DELETE FROM hasil WHERE id = 2".into(),
        "UPDATE hasil SET id = 103, nilai = 987654323 WHERE id = 3".into(),
        "INSERT INTO pasien VALUES (2, 'q')".into(),
        "COMMIT".into(),
    ];
    world.run_on_one(&statements).await;
    world.caught_up().await;
    assert!(replicator.is_running(), "{}", tail(&world.log()));
    assert_eq!(
        set_aside(&world).await,
        "hasil {\"id\":1} put 23514, hasil {\"id\":15} put 23514, hasil {\"id\":27} put 23514, hasil {\"id\":103} put 23514"
    );
    // the others are there, what a refused row was before stands, a key that went is gone
    let rows = "SELECT concat_ws(' ', count(*), sum(nilai), (SELECT nilai FROM hasil WHERE id = 1),
                       (SELECT count(*) FROM hasil WHERE id = 3), (SELECT count(*) FROM pasien)) FROM hasil";
    let sum: i32 = (10..60).filter(|id| *id != 15 && *id != 27).sum();
    assert_eq!(text(&world, rows).await, format!("49 {} 1 0 2", sum + 1));
    let (code, out, _) = world.output(&["quarantine", "list"]);
    assert!(code == 0 && out.contains("check_violation") && out.contains("kecil"), "{out}");
    assert!(!out.contains("98765432") && !world.log().contains("98765432"), "a value is shown: {out}");
    let (code, out, err) = world.output(&["verify"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.ends_with("ALL DIFFERENCES ARE IN QUARANTINE\n"), "{out}");

    // newer data: a good change takes the row out, a change of the key moves it, a delete takes both away
    world
        .run(&[
            "UPDATE hasil SET nilai = 50 WHERE id = 15",
            "UPDATE hasil SET id = 127 WHERE id = 27",
            "DELETE FROM hasil WHERE id = 103",
            "INSERT INTO hasil VALUES (200, 987654324, 'y')",
            "DELETE FROM hasil WHERE id = 200",
        ])
        .await;
    world.caught_up().await;
    assert_eq!(set_aside(&world).await, "hasil {\"id\":1} put 23514, hasil {\"id\":127} put 23514");
    assert_eq!(text(&world, "SELECT nilai::text FROM hasil WHERE id = 15").await, "50");

    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert!(code == 1 && out.contains("0 of 2 rows"), "{out}{err}");
    target.batch_execute("ALTER TABLE hasil DROP CONSTRAINT kecil").await.unwrap();
    let (code, out, err) = world.output(&["quarantine", "retry", "--tables", "hasil"]);
    assert!(code == 0 && out.contains("2 of 2 rows"), "{out}{err}");
    world.run(&["UPDATE hasil SET nama = 'z'"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    let (code, out, _) = world.output(&["verify"]);
    assert_eq!(code, 0, "{out}");
    assert!(replicator.is_running());
}

/// A table that was there before with a constraint, and values that no column of the target holds, keys among them.
async fn the_first_copy(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT)",
            "INSERT INTO hasil VALUES (1, 1), (2, 987654321), (3, 3), (4, 987654322)",
            "CREATE TABLE besar (id BIGINT UNSIGNED PRIMARY KEY, jumlah BIGINT UNSIGNED)",
            "INSERT INTO besar VALUES (1, 5), (2, 9223372036854775808), (9223372036854775813, 1)",
        ])
        .await;
    let target = world.target().await;
    let there = "CREATE TABLE hasil (id integer NOT NULL, nilai integer, CONSTRAINT kecil CHECK (nilai < 100))";
    target.batch_execute(there).await.unwrap();
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    assert!(replicator.is_running(), "{}", tail(&world.log()));
    assert_eq!(
        set_aside(&world).await,
        "besar {\"id\":2} put out_of_range, besar {\"id\":9223372036854775813} put out_of_range, \
         hasil {\"id\":2} put 23514, hasil {\"id\":4} put 23514"
    );
    assert_eq!(text(&world, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM hasil").await, "1 3");
    let (code, out, err) = world.output(&["verify"]);
    assert!(code == 1 && out.ends_with("ALL DIFFERENCES ARE IN QUARANTINE\n"), "{out}{err}");
    world
        .run(&[
            "UPDATE besar SET jumlah = 7 WHERE id = 2",
            "UPDATE besar SET id = 3 WHERE id = 9223372036854775813",
            "INSERT INTO besar VALUES (9, 9223372036854775808)",
            "UPDATE besar SET jumlah = 9223372036854775809 WHERE id = 1",
            "DELETE FROM hasil WHERE id = 4",
        ])
        .await;
    world.caught_up().await;
    assert_eq!(
        set_aside(&world).await,
        "besar {\"id\":1} put out_of_range, besar {\"id\":9} put out_of_range, hasil {\"id\":2} put 23514"
    );
    assert_eq!(
        text(&world, "SELECT string_agg(concat(id, '=', jumlah), ' ' ORDER BY id) FROM besar").await,
        "1=5 2=7 3=1"
    );
    world.run(&["DELETE FROM besar WHERE id IN (1, 9)", "UPDATE hasil SET nilai = 2 WHERE id = 2"]).await;
    world.caught_up().await;
    assert_eq!(set_aside(&world).await, "");
    world.assert_equal().await;
}

/// Killed again and again while refused rows are sought: each row is where it belongs, once.
async fn kills(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 2\n".into();
    world.run(&["CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL)"]).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai % 50 <> 0)").await.unwrap();
    let rows: Vec<String> = (0..40)
        .map(|n| {
            let rows: Vec<String> = (n * 100..n * 100 + 100).map(|id| format!("({id}, {id})")).collect();
            format!("INSERT INTO hasil VALUES {}", rows.join(", "))
        })
        .collect();
    world.run_on_one(&rows).await;
    for round in 1..=5 {
        let mut replicator = world.replicate(&[]);
        // the lease of the one that was killed expires first
        tokio::time::sleep(Duration::from_millis(2000 + 150 * round)).await;
        replicator.kill();
    }
    world.run(&["UPDATE hasil SET nilai = 1 WHERE id = 100", "DELETE FROM hasil WHERE id = 150"]).await;
    let outcome = world.run_to_end(&["--once"]).await;
    assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
    let found = text(
        &world,
        "SELECT concat_ws(' ', (SELECT count(*) FROM hasil), (SELECT count(*) FROM sirenia.quarantine),
                          (SELECT count(*) FROM hasil WHERE nilai % 50 = 0))",
    )
    .await;
    assert_eq!(found, "3921 78 0");
    target.batch_execute("ALTER TABLE hasil DROP CONSTRAINT kecil").await.unwrap();
    let replicator = world.replicate(&[]);
    world.run(&["INSERT INTO hasil VALUES (5001, 1)"]).await;
    world.caught_up().await;
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert_eq!(code, 0, "{out}{err}");
    world.assert_equal().await;
    drop(replicator);
}

/// More than a table may have stops the pipeline, and says the ways on.
async fn too_many(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.run(&["CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL)"]).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    world.run(&["INSERT INTO hasil VALUES (1, 200), (2, 200), (3, 200), (4, 2)"]).await;
    world.config = "[quarantine]\nmax_rows_per_table = 2\n".into();
    world.run_to_end(&["--once"]).await.assert_stops(&["more than 2 rows of lab.hasil", "kecil", "max_rows_per_table"]);
    world.config.clear();
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    assert_eq!(text(&world, "SELECT count(*)::text FROM sirenia.quarantine").await, "3");
}

on_both! { a_constraint_on_the_target the_first_copy kills too_many }
