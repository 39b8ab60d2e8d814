//! `sirenia plan`: what a run would do, told before the first one.

use crate::support::{DATABASE, Setup, World, on_both};
use mysql_async::prelude::Queryable;
use serde_json::Value;
use sirenia::embedded::{SourceKind, TargetVersion};

const TABLES: [&str; 7] = [
    "CREATE TABLE induk (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(40), dibuat DATETIME NULL)",
    "CREATE TABLE anak (id INT AUTO_INCREMENT PRIMARY KEY, induk_id BIGINT UNSIGNED, kecil SMALLINT, rahasia VARCHAR(40),
        buang INT, CONSTRAINT fk_anak FOREIGN KEY (induk_id) REFERENCES induk (id) ON DELETE CASCADE)",
    "CREATE TABLE cucu (id INT PRIMARY KEY, anak_id INT, CONSTRAINT fk_cucu FOREIGN KEY (anak_id) REFERENCES anak (id))",
    "CREATE TABLE benar (id INT PRIMARY KEY, ya TINYINT(1), tidak TINYINT(1), besar BIGINT UNSIGNED)",
    "CREATE TABLE tanpa (isi TEXT, KEY awal (isi(5)))",
    "CREATE TABLE mesin (id INT PRIMARY KEY, isi INT) ENGINE = MyISAM",
    "CREATE TABLE `aneh \"n\"` (id INT PRIMARY KEY, jenis ENUM('a','b') DEFAULT 'a', UNIQUE KEY u (jenis))",
];

async fn world(kind: SourceKind) -> World {
    let mut world = World::into(Setup::new(kind), Setup::new(kind).options(), TargetVersion::System).await;
    world.config = "[tables.rules.anak]\nexclude_columns = [\"buang\"]\n\
        [tables.rules.anak.columns.rahasia]\nmask = \"null\"\n\
        [tables.rules.anak.columns.id]\ntype = \"bigint\"\n\
        [tables.rules.anak.columns.kecil]\ntype = \"bigint\"\n"
        .into();
    world.run(&TABLES).await;
    world
        .run_on_one(&[
            "SET sql_mode = ''".into(),
            "INSERT INTO induk (nama, dibuat) VALUES ('a', '2020-01-01'), (_utf8mb4 0x610062, '0000-00-00'), ('c', '2020-00-01')"
                .into(),
            "INSERT INTO anak (induk_id, kecil) VALUES (1, 1)".into(),
            "INSERT INTO benar VALUES (1, 0, 1, 18446744073709551615), (2, 5, 0, 9223372036854775807)".into(),
            "INSERT INTO tanpa VALUES ('x')".into(),
        ])
        .await;
    world
}

fn plan(world: &World, arguments: &[&str]) -> String {
    let mut all = vec!["plan"];
    all.extend(arguments);
    let (code, out, err) = tokio::task::block_in_place(|| world.output(&all));
    assert_eq!(code, 0, "{out}{err}");
    out
}

/// What the target holds outside the catalogues.
async fn objects(world: &World) -> i64 {
    let sql = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
                  AND relpersistence <> 't'";
    world.target().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn it_tells_what_would_be(kind: SourceKind) {
    let world = world(kind).await;
    let before = objects(&world).await;
    let out = plan(&world, &["--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let table = |name: &str| {
        let name = format!("{DATABASE}.{name}");
        json["tables"].as_array().unwrap().iter().find(|table| table["source"] == name).unwrap().clone()
    };
    let column = |of: &str, name: &str| {
        let table = table(of);
        let found = table["columns"].as_array().unwrap().iter().find(|column| column["source"] == name);
        found.unwrap().clone()
    };
    assert_eq!(column("anak", "kecil")["ty"], "bigint");
    assert!(column("anak", "kecil")["why"].as_str().unwrap().contains("[tables.rules]"), "{out}");
    assert!(column("anak", "rahasia")["why"].as_str().unwrap().starts_with("masked"), "{out}");
    assert_eq!(column("anak", "buang")["target"], Value::Null);
    assert_eq!(column("benar", "id")["why"], Value::Null);
    assert_eq!(column("cucu", "anak_id")["ty"], "bigint");
    assert!(column("cucu", "anak_id")["why"].as_str().unwrap().contains("foreign key"), "{out}");
    assert_eq!(table("tanpa")["exact"], "it has no key");
    assert_eq!(table("mesin")["exact"], "its engine has no transactions");
    assert_eq!(table("induk")["exact"], Value::Null);
    assert_eq!(json["without_key"], serde_json::json!(["lab.tanpa"]));
    // counted in the data
    let lossy = |column: &str| {
        let name = format!("{DATABASE}.{column}");
        let all = json["lossy"].as_array().unwrap();
        let found = all.iter().filter(|found| found["column"] == name);
        found.map(|found| (found["reason"].clone(), found["rows"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(lossy("induk.nama"), [("nul_byte".into(), 1.into())], "{out}");
    assert_eq!(lossy("induk.dibuat"), [("zero_date".into(), 1.into()), ("invalid_date".into(), 1.into())], "{out}");
    assert_eq!(lossy("benar.besar"), [("out_of_range".into(), 1.into())], "{out}");
    assert_eq!(json["lossy"].as_array().unwrap().len(), 4, "{out}");
    assert_eq!(json["not_boolean"], serde_json::json!([["lab.benar.ya", 1]]));
    assert_eq!(json["tinyint1"], 2);
    assert!(json["rate"]["from"].as_str().unwrap().starts_with("assumed: "), "{out}");
    let text = plan(&world, &[]);
    for says in [
        "nul_byte in 1 of 3 rows: replace; [sanitize] nul_byte decides",
        "tinyint(1) with other values than 0 and 1 ([types] tinyint1 = \"boolean\" fits the other 1):\n  lab.benar.ya  1 rows",
        "the first copy takes about a second",
    ] {
        assert!(text.contains(says), "{says}\n{text}");
    }
    assert_eq!(plan(&world, &["--tables", "mesin"]).matches(" -> public.").count(), 1);
    assert_eq!(objects(&world).await, before, "nothing is made");

    // the statements make what the run would have made
    let sql = plan(&world, &["--sql"]);
    let (code, out, _) = tokio::task::block_in_place(|| world.output(&["schema", "plan"]));
    assert_eq!((code, &out), (1, &sql));
    world.target().await.batch_execute(&sql).await.unwrap();
    let (code, out, _) = tokio::task::block_in_place(|| world.output(&["schema", "plan"]));
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(plan(&world, &["--sql"]), sql, "whatever stands there");
}

async fn it_measures_the_rate(kind: SourceKind) {
    let world = world(kind).await;
    let row = |n: u32| format!("('{}', NOW())", "x".repeat(n as usize % 40));
    let rows: Vec<String> = (0..3000).map(row).collect();
    let mut source = world.source().await;
    source.query_drop(format!("INSERT INTO induk (nama, dibuat) VALUES {}", rows.join(", "))).await.unwrap();
    source.query_drop("ANALYZE TABLE induk").await.unwrap();
    let before = objects(&world).await;
    let json: Value = serde_json::from_str(&plan(&world, &["--json"])).unwrap();
    let from = json["rate"]["from"].as_str().unwrap();
    assert!(from.starts_with("measured: 3003 rows of lab.induk"), "{from}");
    assert!(json["rate"]["rows_per_second"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(objects(&world).await, before);
    // a target that does not answer is no obstacle
    let mut command = world.command(&["plan"]);
    command.env("SIRENIA_TARGET_URL", "postgres://u:p@127.0.0.1:1/lab");
    let outcome = world.finish(command).await;
    assert!(outcome.code == 0 && outcome.stdout.contains("assumed, since it could not be measured"), "{outcome:?}");
}

on_both! {
    it_tells_what_would_be
    it_measures_the_rate
}
