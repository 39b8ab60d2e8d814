//! What servers write packed or in part: compressed events, columns and transactions, and parts of JSON documents.

use crate::support::{Setup, World};
use sirenia::embedded::{SourceKind, SourceOptions};

async fn world(kind: SourceKind, options: &[&str]) -> World {
    let setup = Setup::new(kind);
    let extra = options.iter().map(|option| (*option).to_owned()).collect();
    World::with_options(setup, SourceOptions { extra, ..setup.options() }).await
}

/// How many events of a type the source's first binlog files hold.
async fn events_of_type(world: &World, name: &str) -> usize {
    use mysql_async::prelude::Queryable;
    let mut source = world.source().await;
    let files: Vec<mysql_async::Row> = source.query("SHOW BINARY LOGS").await.unwrap();
    let mut count = 0;
    for file in files {
        let file: String = file.get(0).unwrap();
        let events: Vec<mysql_async::Row> = source.query(format!("SHOW BINLOG EVENTS IN '{file}'")).await.unwrap();
        count += events.iter().filter(|event| event.get::<String, _>(2).unwrap() == name).count();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_compressed_events_and_columns() {
    let world = world(SourceKind::MariaDb, &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"]).await;
    world
        .run(&[
            "CREATE TABLE padat (id INT PRIMARY KEY, v VARCHAR(300) COMPRESSED, l VARCHAR(40) COMPRESSED CHARACTER SET latin1,
             t TEXT COMPRESSED, b BLOB COMPRESSED, vb VARBINARY(200) COMPRESSED, m MEDIUMTEXT COMPRESSED NOT NULL, n INT)",
            "CREATE TABLE longgar (id INT PRIMARY KEY, t TEXT)",
            "INSERT INTO padat VALUES (1, 'pendek', 's', NULL, '', 'vb', REPEAT('salin ', 9000), 1)",
            "INSERT INTO longgar VALUES (1, REPEAT('x', 300))",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&[
            "INSERT INTO padat VALUES (2, REPEAT('ž', 300), REPEAT('é', 40), REPEAT('t', 65535), REPEAT(X'00FF', 300), REPEAT('v', 200), '', 2)",
            "INSERT INTO padat SELECT seq, CONCAT(REPEAT('baris ', 40), seq), NULL, '', REPEAT('b', seq), NULL, REPEAT('m', seq * 70), seq FROM seq_3_to_900",
            "INSERT INTO longgar SELECT seq, REPEAT(CONCAT('baris ', seq), 20) FROM seq_2_to_5000",
            "UPDATE padat SET t = REPEAT('ubah ', 100), n = n + 1 WHERE id % 3 = 0",
            "UPDATE padat SET v = NULL, b = NULL WHERE id = 1",
            "SET STATEMENT column_compression_zlib_wrap = 1 FOR UPDATE padat SET m = REPEAT('bungkus ', 300) WHERE id % 5 = 0",
            "DELETE FROM padat WHERE id % 7 = 0",
            "DELETE FROM longgar WHERE id > 4000",
        ])
        .await;
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
    assert!(events_of_type(&world, "Write_rows_compressed_v1").await > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_compressed_transactions() {
    let world = world(SourceKind::MySql, &["--binlog-transaction-compression=ON"]).await;
    let long = format!(
        "INSERT INTO besar SELECT id + 100000, CONCAT(REPEAT('{}', 20), id) FROM besar",
        "0123456789".repeat(22)
    );
    world
        .run(&[
            "CREATE TABLE besar (id INT PRIMARY KEY, t TEXT)",
            "CREATE TABLE lain (id INT PRIMARY KEY AUTO_INCREMENT, besar_id INT)",
            "INSERT INTO besar VALUES (1, 'satu')",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&[
            "SET SESSION cte_max_recursion_depth = 10000",
            "INSERT INTO besar WITH RECURSIVE s (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) SELECT n, 'kecil' FROM s",
            "BEGIN",
            "INSERT INTO lain (besar_id) SELECT id FROM besar",
            "SAVEPOINT di_tengah",
            "UPDATE besar SET t = 'hilang' WHERE id < 50",
            "ROLLBACK TO di_tengah",
            "UPDATE besar SET t = CONCAT(t, ' dan lagi') WHERE id < 20",
            "DELETE FROM lain WHERE besar_id > 990",
            "COMMIT",
        ])
        .await;
    // one transaction of more than 16 MB; what follows it is found too
    world
        .run(&[
            "SET SESSION binlog_transaction_compression_level_zstd = 19",
            "BEGIN",
            &long,
            "INSERT INTO besar SELECT id + 200000, t FROM besar WHERE id > 100000",
            "INSERT INTO besar SELECT id + 400000, t FROM besar WHERE id > 100000",
            "COMMIT",
            "SET SESSION binlog_transaction_compression = OFF",
            "INSERT INTO lain (besar_id) VALUES (-1)",
            "SET SESSION binlog_transaction_compression = ON",
            "ALTER USER 'root'@'%' COMMENT 'a statement between'",
            "INSERT INTO lain (besar_id) VALUES (-2)",
        ])
        .await;
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
    assert!(events_of_type(&world, "Transaction_payload").await >= 4);
}

/// Parts of documents in a compressed transaction, which has both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_partial_json() {
    let world = world(SourceKind::MySql, &["--binlog-row-value-options=PARTIAL_JSON"]).await;
    world
        .run(&[
            "CREATE TABLE rekam (id INT PRIMARY KEY, j JSON, n INT, k JSON)",
            "CREATE TABLE tanpa_kunci (j JSON)",
            r#"INSERT INTO rekam VALUES
               (1, '{"a": 1, "b": {"c": [1, 2, {"d": "dalam", "e": [0]}], "nama panjang": true}, "z": null}', 1, '[1, 2, 3]'),
               (2, '[1, [2, 3], {"x": 4}]', 2, NULL),
               (3, '{}', 3, '{"k": "v"}')"#,
            r#"INSERT INTO rekam SELECT 4, CONCAT('{"isi": "', REPEAT('p', 70000), '", "v": 1, "larik": [', REPEAT('1, ', 30000), '0]}'), 4, '[1]'"#,
            r#"INSERT INTO tanpa_kunci VALUES ('{"a": [1, 2, 3], "isi": "panjang panjang panjang"}'), ('{"a": [1, 2, 3], "isi": "panjang panjang panjang"}')"#,
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    world
        .run(&[
            "UPDATE rekam SET j = JSON_SET(j, '$.a', 2, '$.baru', JSON_OBJECT('y', 1, 'x', 2)) WHERE id = 1",
            r#"UPDATE rekam SET j = JSON_SET(j, '$.b.c[2].d', 'diubah', '$.b."nama panjang"', CAST('null' AS JSON)), n = 10 WHERE id = 1"#,
            "UPDATE rekam SET j = JSON_REMOVE(j, '$.b.c[0]', '$.z'), k = JSON_SET(k, '$[1]', 'dua') WHERE id = 1",
            "UPDATE rekam SET j = JSON_SET(j, '$[0]', 'satu', '$[1][0]', JSON_ARRAY(2, 2), '$[2].x', 5, '$[9]', 'akhir') WHERE id = 2",
            "UPDATE rekam SET j = JSON_SET(j, '$.pertama', 1), k = JSON_REPLACE(k, '$.k', JSON_ARRAY()) WHERE id = 3",
            "UPDATE rekam SET j = JSON_REPLACE(j, '$.v', CAST('12.50' AS DECIMAL(10,2))) WHERE id = 4",
            "UPDATE rekam SET j = JSON_REMOVE(j, '$.larik[20000]', '$.larik[0]') WHERE id = 4",
            "UPDATE rekam SET j = JSON_SET(j, '$.larik[99999]', JSON_ARRAY('ekor')) WHERE id = 4",
            "UPDATE rekam SET j = JSON_SET(j, '$.a', 5), n = n + 1",
            "UPDATE tanpa_kunci SET j = JSON_SET(j, '$.a[1]', 'x') LIMIT 1",
            "SET SESSION binlog_transaction_compression = ON",
            "BEGIN",
            "UPDATE rekam SET j = JSON_SET(j, '$.a', 6)",
            "UPDATE rekam SET k = JSON_SET(k, '$[0]', REPEAT('k', 500)) WHERE id = 4",
            "COMMIT",
        ])
        .await;
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
    assert!(events_of_type(&world, "Update_rows_partial").await >= 9);
}
