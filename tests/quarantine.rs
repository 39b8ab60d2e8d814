//! Rows that cannot be applied are set aside, all others arrive, and a retry brings them once what refused them is gone.

use crate::support::{Setup, World, on_both, tail};
use crate::workload::numbers;
use mysql_async::prelude::Queryable;
use sirenia::embedded::{SourceKind, SourceOptions};
use std::time::Duration;

/// Key, operation and code of what is in quarantine, in the keys' order.
async fn set_aside(world: &World) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', source_table, key_text, operation, code), ', '
                      ORDER BY source_table, length(key_text), key_text), '') FROM sirenia.quarantine";
    world.target().await.query_one(sql, &[]).await.unwrap().get(0)
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
    kills_in(World::new(Setup::new(kind)).await).await;
}

/// The same while changes of parts of them are laid over them.
async fn kills_beside_partial_updates(kind: SourceKind) {
    kills_in(minimal(kind).await).await;
}

async fn kills_in(mut world: World) {
    world.config = "[lease]\nttl = 2\n".into();
    world.run(&["CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL, kali INT NOT NULL DEFAULT 0)"]).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai % 50 <> 0)").await.unwrap();
    let rows: Vec<String> = (0..40)
        .flat_map(|n| {
            let rows: Vec<String> = (n * 100..n * 100 + 100).map(|id| format!("({id}, {id})")).collect();
            let insert = format!("INSERT INTO hasil (id, nilai) VALUES {}", rows.join(", "));
            [insert, format!("UPDATE hasil SET kali = kali + 1 WHERE id % 50 = 0 AND id <= {}", n * 100)]
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
    world.run(&["INSERT INTO hasil (id, nilai) VALUES (5001, 1)"]).await;
    world.caught_up().await;
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert_eq!(code, 0, "{out}{err}");
    world.assert_equal().await;
    drop(replicator);
}

/// More than a table may have pauses it, and the others go on; resumed, it is copied anew.
async fn too_many(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 2\n[quarantine]\nmax_rows_per_table = 2\n".into();
    world
        .run(&["CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL)", "CREATE TABLE lain (id INT PRIMARY KEY)"])
        .await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    world.run(&["INSERT INTO hasil VALUES (1, 200), (2, 200), (3, 200), (4, 2)", "INSERT INTO lain VALUES (7)"]).await;
    let says = ["lab.hasil", "more than 2 rows of lab.hasil", "kecil", "sirenia tables resume"];
    world.run_to_end(&["--once"]).await.assert_stops(&says);
    assert_eq!(text(&world, "SELECT string_agg(id::text, ',') FROM lain").await, "7", "the other table went on");
    let mut replicator = world.replicate(&[]);
    world.run(&["INSERT INTO hasil VALUES (5, 5)", "INSERT INTO lain VALUES (8)"]).await;
    world.caught_up().await;
    assert_eq!(text(&world, "SELECT string_agg(id::text, ',' ORDER BY id) FROM lain").await, "7,8");
    let state = "SELECT state || ' ' || error FROM sirenia.table_state WHERE source_table = 'hasil'";
    assert!(text(&world, state).await.starts_with("paused more than 2 rows of lab.hasil"));
    // not mended, it is paused again
    let (code, out, err) = world.output(&["tables", "resume", "hasil", "--wait", "3"]);
    assert_eq!(code, 1, "{out}{err}");
    target.batch_execute("ALTER TABLE hasil DROP CONSTRAINT kecil").await.unwrap();
    let (code, out, err) = world.output(&["tables", "resume", "hasil"]);
    assert_eq!((code, out.as_str()), (0, "lab.hasil  ready\n"), "{err}");
    world.run(&["UPDATE hasil SET nilai = 6 WHERE id = 5"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// A source that logs parts of rows.
async fn minimal(kind: SourceKind) -> World {
    let setup = Setup::new(kind);
    let options = SourceOptions { extra: vec!["--binlog-row-image=MINIMAL".into()], ..setup.options() };
    World::with_options(setup, options).await
}

/// Changes of parts of rows that the target refuses: laid over what is known of the row, tried, set aside again.
async fn partial_updates(kind: SourceKind) {
    let world = minimal(kind).await;
    world
        .run(&[
            "CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL, nama VARCHAR(20), isi LONGTEXT)",
            "INSERT INTO hasil VALUES (1, 1, 'a', REPEAT('x', 100000)), (2, 2, 'b', 'isi 2'), (3, 3, 'c', 'isi 3'), (4, 4, 'd', NULL)",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    let rows: Vec<String> = (11..=16).map(|id| format!("({id}, 987654321, 'n{id}', 'isi {id}')")).collect();
    world.run(&[&format!("INSERT INTO hasil VALUES {}", rows.join(", "))]).await;
    world.caught_up().await;
    // one that still does not fit, one that does now, each under its key and under another one
    world
        .run(&[
            "UPDATE hasil SET nama = 'lagi' WHERE id = 11",
            "UPDATE hasil SET nilai = 50 WHERE id = 12",
            "UPDATE hasil SET id = 113 WHERE id = 13",
            "UPDATE hasil SET id = 114, nilai = 60 WHERE id = 14",
            "UPDATE hasil SET nama = 'sebelum' WHERE id = 15",
            "DELETE FROM hasil WHERE id = 15",
            // rows of which the target holds a version that fitted
            "UPDATE hasil SET nilai = 987654322 WHERE id = 1",
            "UPDATE hasil SET nama = 'baru' WHERE id = 1",
            "UPDATE hasil SET id = 102, nilai = 987654323 WHERE id = 2",
            "UPDATE hasil SET nama = NULL WHERE id = 102",
            "UPDATE hasil SET nilai = 987654324 WHERE id = 3",
            "UPDATE hasil SET nilai = 33 WHERE id = 3",
        ])
        .await;
    world.caught_up().await;
    assert!(replicator.is_running(), "{}", tail(&world.log()));
    let aside = ["1", "11", "16", "102", "113"].map(|id| format!("hasil {{\"id\":{id}}} put 23514"));
    assert_eq!(set_aside(&world).await, aside.join(", "));
    let rows = "SELECT string_agg(concat_ws(' ', id, nilai, nama, length(isi)), ', ' ORDER BY id) FROM hasil";
    let stands = "1 1 a 100000, 3 33 c 5, 4 4 d, 12 50 n12 6, 114 60 n14 6";
    assert_eq!(text(&world, rows).await, stands);
    let tried =
        "SELECT concat_ws(' ', attempts, first_at < last_at, position LIKE '%binlog.0%') FROM sirenia.quarantine
                  WHERE key_text LIKE '%11}'";
    assert_eq!(text(&world, tried).await, "2 t t", "the newer version stands for the older one");

    // the same in one transaction, beside rows that fit
    let many: Vec<String> = (201..260).map(|id| format!("({id}, {}, 'x', 'y')", id % 100)).collect();
    let transaction = [
        "BEGIN",
        "INSERT INTO hasil VALUES (21, 987654325, 'p', 'q'), (22, 987654326, 'p', 'q')",
        &format!("INSERT INTO hasil VALUES {}", many.join(", ")),
        "UPDATE hasil SET nama = 'p1' WHERE id = 21",
        "UPDATE hasil SET nama = 'lagi' WHERE id > 250",
        "UPDATE hasil SET id = 23 WHERE id = 21",
        "UPDATE hasil SET isi = 'q1' WHERE id = 23",
        "UPDATE hasil SET isi = 'q2' WHERE id IN (16, 113)",
        "UPDATE hasil SET nilai = 7, isi = 'q3' WHERE id = 113",
        "UPDATE hasil SET id = 116 WHERE id = 16",
        "UPDATE hasil SET id = 16, nilai = 8 WHERE id = 116",
        "UPDATE hasil SET nilai = 987654327 WHERE id = 4",
        "UPDATE hasil SET id = 5 WHERE id = 4",
        "INSERT INTO hasil VALUES (4, 44, 'd', 'baru')",
        "COMMIT",
    ];
    world.run(&transaction).await;
    world.caught_up().await;
    let aside = ["1", "5", "11", "22", "23", "102"].map(|id| format!("hasil {{\"id\":{id}}} put 23514"));
    assert_eq!(set_aside(&world).await, aside.join(", "), "{}", tail(&world.log()));
    let rows = rows.replace("FROM hasil", "FROM hasil WHERE id < 200");
    let stands = "1 1 a 100000, 3 33 c 5, 4 44 d 4, 12 50 n12 6, 16 8 n16 2, 113 7 n13 2, 114 60 n14 6";
    assert_eq!(text(&world, &rows).await, stands);
    let (code, out, err) = world.output(&["verify"]);
    assert!(code == 1 && out.ends_with("ALL DIFFERENCES ARE IN QUARANTINE\n"), "{out}{err}");
    assert!(!world.log().contains("98765432"), "a value is shown");

    target.batch_execute("ALTER TABLE hasil DROP CONSTRAINT kecil").await.unwrap();
    // a change takes a row out by itself, the others wait for a retry
    world.run(&["UPDATE hasil SET nama = 'keluar' WHERE id = 22"]).await;
    world.caught_up().await;
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert!(code == 0 && out.contains("5 of 5 rows"), "{out}{err}");
    world.assert_equal().await;
    let (code, out, _) = world.output(&["verify"]);
    assert_eq!(code, 0, "{out}");
    assert!(replicator.is_running());
}

/// The same of values that no column of the target holds, keys among them.
async fn partial_updates_that_do_not_convert(kind: SourceKind) {
    let world = minimal(kind).await;
    world
        .run(&[
            "SET SESSION sql_mode = ''",
            "CREATE TABLE besar (id BIGINT UNSIGNED PRIMARY KEY, jumlah BIGINT UNSIGNED, nama VARCHAR(20), lahir DATE)",
            "INSERT INTO besar VALUES (1, 5, 'a', NULL), (2, 9223372036854775808, 'b', NULL),
               (9223372036854775813, 1, 'c', NULL), (4, 4, 'd', '2020-01-02')",
        ])
        .await;
    world
        .run_on_one(&["SET SESSION sql_mode = ''".into(), "UPDATE besar SET lahir = '0000-00-00' WHERE id = 2".into()])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&[
            "UPDATE besar SET nama = 'bb' WHERE id = 2",
            "UPDATE besar SET jumlah = 9223372036854775809 WHERE id = 1",
            "UPDATE besar SET nama = 'aa' WHERE id = 1",
            "UPDATE besar SET jumlah = 7 WHERE id = 9223372036854775813",
            "UPDATE besar SET id = 9223372036854775814, nama = 'dd' WHERE id = 4",
        ])
        .await;
    world.caught_up().await;
    assert!(replicator.is_running(), "{}", tail(&world.log()));
    let aside = ["1", "2", "9223372036854775813", "9223372036854775814"];
    let aside = aside.map(|id| format!("besar {{\"id\":{id}}} put out_of_range"));
    assert_eq!(set_aside(&world).await, aside.join(", "));
    let rows = "SELECT string_agg(concat_ws(' ', id, jumlah, nama, lahir), ', ' ORDER BY id) FROM besar";
    assert_eq!(text(&world, rows).await, "1 5 a");
    world
        .run(&[
            "UPDATE besar SET jumlah = 8 WHERE id IN (1, 2)",
            "UPDATE besar SET id = 3 WHERE id = 9223372036854775813",
            "UPDATE besar SET id = 4 WHERE id = 9223372036854775814",
        ])
        .await;
    world.caught_up().await;
    assert_eq!(set_aside(&world).await, "", "{}", tail(&world.log()));
    assert_eq!(text(&world, rows).await, "1 8 aa, 2 8 bb, 3 7 c, 4 4 dd 2020-01-02");
    // a value that was changed to fit is recorded when its row is written
    let recorded = "SELECT string_agg(concat_ws(' ', column_name, key, reason, policy), ', ') FROM sirenia.sanitized";
    assert_eq!(text(&world, recorded).await, "lahir {\"id\":2} zero_date null");
    world.run(&["UPDATE besar SET lahir = NULL WHERE id = 2"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    let (code, out, _) = world.output(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

/// Beside masks, native enums and tables that are copied from one view, whole rows and parts: what is refused is set aside,
/// the rest arrives.
async fn masks_enums_and_exact_copies(kind: SourceKind) {
    let mut world = minimal(kind).await;
    let key = world.source.folder().path().join("kunci");
    std::fs::write(&key, "kunci rahasia yang panjang sekali\n").unwrap();
    world.config = format!(
        "[lease]\nttl = 2\n[mask]\nkey_file = \"{}\"\n[tables.rules.pasien.columns]\nnik = {{ mask = \"hmac\" }}\n\
         alamat = {{ mask = \"null\" }}\n[types]\nenum = \"native\"\n",
        key.display()
    );
    let large = 9_223_372_036_854_775_808_u64;
    world
        .run(&[
            "CREATE TABLE pasien (id INT PRIMARY KEY, nik VARCHAR(40) UNIQUE, alamat VARCHAR(40), status ENUM('baru','lama'),
               jumlah BIGINT UNSIGNED)",
            &format!(
                "INSERT INTO pasien VALUES (1, 'rahasia 1', 'rahasia', 'baru', 1), (2, 'rahasia 2', 'rahasia', 'lama', {large})"
            ),
            "CREATE TABLE induk (id INT PRIMARY KEY, nilai INT)",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk_id INT, nilai INT,
               FOREIGN KEY (induk_id) REFERENCES induk (id) ON UPDATE CASCADE)",
            "CREATE TABLE mesin_lama (id INT PRIMARY KEY, nilai INT) ENGINE=MyISAM",
            "INSERT INTO induk VALUES (1, 1), (2, 2)",
            "INSERT INTO anak VALUES (1, 1, 1), (2, 1, 987654321), (3, 2, 3)",
            "INSERT INTO mesin_lama VALUES (1, 1), (2, 987654321), (3, 3)",
        ])
        .await;
    let target = world.target().await;
    target
        .batch_execute(
            "CREATE TABLE anak (id integer NOT NULL, induk_id integer, nilai integer CONSTRAINT kecil CHECK (nilai < 100));
             CREATE TABLE mesin_lama (id integer NOT NULL, nilai integer CONSTRAINT kecil CHECK (nilai < 100))",
        )
        .await
        .unwrap();
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    assert_eq!(
        set_aside(&world).await,
        "anak {\"id\":2} put 23514, mesin_lama {\"id\":2} put 23514, pasien {\"id\":2} put out_of_range",
        "{}",
        tail(&world.log())
    );
    target.batch_execute("ALTER TABLE pasien ADD CONSTRAINT bukan_lama CHECK (status <> 'lama')").await.unwrap();
    world
        .run(&[
            "INSERT INTO pasien VALUES (3, 'rahasia 3', 'rahasia', 'lama', 3), (4, 'rahasia 4', NULL, 'baru', 4), (5, NULL, NULL, NULL, 5)",
            "UPDATE pasien SET status = 'lama', nik = 'rahasia 6' WHERE id = 1",
            "INSERT INTO anak VALUES (4, 2, 4), (5, 2, 987654321)",
            "INSERT INTO mesin_lama VALUES (4, 987654321), (5, 5)",
            "UPDATE mesin_lama SET nilai = 2 WHERE id = 2",
        ])
        .await;
    world.caught_up().await;
    assert_eq!(
        set_aside(&world).await,
        "anak {\"id\":2} put 23514, anak {\"id\":5} put 23514, mesin_lama {\"id\":4} put 23514, pasien {\"id\":1} put 23514, \
         pasien {\"id\":2} put out_of_range, pasien {\"id\":3} put 23514",
        "{}",
        tail(&world.log())
    );
    let there =
        "SELECT concat_ws('|', (SELECT string_agg(concat_ws(' ', id, status, jumlah), ',' ORDER BY id) FROM pasien),
                   (SELECT string_agg(concat_ws(' ', id, induk_id, nilai), ',' ORDER BY id) FROM anak),
                   (SELECT string_agg(concat_ws(' ', id, nilai), ',' ORDER BY id) FROM mesin_lama))";
    assert_eq!(text(&world, there).await, "1 baru 1,4 baru 4,5 5|1 1 1,3 2 3,4 2 4|1 1,2 2,3 3,5 5");
    // neither the quarantine nor what people read holds what is masked
    let shown = "SELECT count(*)::text FROM sirenia.quarantine WHERE position('rahasia'::bytea IN image) > 0";
    assert_eq!(text(&world, shown).await, "0");
    let (_, listed, _) = world.output(&["quarantine", "list"]);
    assert!(!listed.contains("rahasia") && !world.log().contains("rahasia "), "{listed}");
    let (code, out, err) = world.output(&["verify"]);
    assert!(code == 1 && out.ends_with("ALL DIFFERENCES ARE IN QUARANTINE\n"), "{out}{err}");

    // a part of the row that does not convert brings it out, its hash comes from the image
    target
        .batch_execute(
            "ALTER TABLE pasien DROP CONSTRAINT bukan_lama; ALTER TABLE anak DROP CONSTRAINT kecil;
             ALTER TABLE mesin_lama DROP CONSTRAINT kecil",
        )
        .await
        .unwrap();
    world.run(&["UPDATE pasien SET jumlah = 2 WHERE id = 2"]).await;
    world.caught_up().await;
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert!(code == 0 && out.contains("5 of 5 rows"), "{out}{err}");
    assert_eq!(set_aside(&world).await, "");
    let (code, out, err) = world.output(&["verify"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(replicator.is_running());
}

/// A transaction larger than the memory, in slices: what an earlier slice has set aside a later one changes in part.
async fn a_sliced_transaction(kind: SourceKind) {
    let mut world = minimal(kind).await;
    world.config = "[apply]\nmemory = \"16MB\"\n".into();
    world.run(&["CREATE TABLE hasil (id INT PRIMARY KEY, nilai INT NOT NULL, nama VARCHAR(20), isi TEXT)"]).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let target = world.target().await;
    target.batch_execute("ALTER TABLE hasil ADD CONSTRAINT kecil CHECK (nilai < 100)").await.unwrap();
    let rows = |from: u32| {
        let nilai = "IF(n % 3000 IN (5, 6, 7, 2999), 987654321, n % 100)";
        format!(
            "INSERT INTO hasil SELECT n, {nilai}, 'x', REPEAT('y', 1000) FROM (SELECT {from} + n AS n FROM {}) AS a",
            numbers(6000)
        )
    };
    world
        .run(&[
            "BEGIN",
            &rows(0),
            "UPDATE hasil SET nama = 'lagi' WHERE id = 5",
            &rows(10_000),
            "UPDATE hasil SET nilai = 1 WHERE id = 6",
            "UPDATE hasil SET id = 90001 WHERE id = 7",
            "UPDATE hasil SET isi = 'pendek' WHERE id IN (5, 8, 90001)",
            "DELETE FROM hasil WHERE id = 2999",
            "COMMIT",
        ])
        .await;
    world.caught_up().await;
    let bad = [5, 3005, 3006, 3007, 5999, 11999, 12005, 12006, 12007, 14999, 15005, 15006, 15007, 90001];
    let aside = bad.map(|id| format!("hasil {{\"id\":{id}}} put 23514"));
    assert_eq!(set_aside(&world).await, aside.join(", "), "{}", tail(&world.log()));
    let rows = "SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE nilai = 1 AND id = 6), count(*) FILTER (WHERE isi = 'pendek'))
                  FROM hasil";
    let count: u64 = world.source().await.query_first("SELECT COUNT(*) FROM hasil").await.unwrap().unwrap();
    assert_eq!(text(&world, rows).await, format!("{} 1 1", count - bad.len() as u64));
    target.batch_execute("ALTER TABLE hasil DROP CONSTRAINT kecil").await.unwrap();
    let (code, out, err) = world.output(&["quarantine", "retry"]);
    assert_eq!(code, 0, "{out}{err}");
    world.assert_equal().await;
    assert!(replicator.is_running());
}

on_both! {
    a_constraint_on_the_target
    the_first_copy
    kills
    kills_beside_partial_updates
    too_many
    partial_updates
    partial_updates_that_do_not_convert
    masks_enums_and_exact_copies
    a_sliced_transaction
}
