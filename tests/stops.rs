//! What stops `sirenia run` before it copies anything: logins, grants, the source's settings, the target's tables.
//!
//! Each stop has exit code 2 or 3 and a report that says what, where and why; and what the hint asks for is done here,
//! after which the copy must work and both sides be equal.

use crate::support::{DATABASE, Report, SECRET, Setup, World, on_both};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind::{MariaDb, MySql};
use sirenia::embedded::{SourceKind, SourceOptions};

/// Two tables with a foreign key, one without a key, one of an engine without transactions.
const SCHEMA: [&str; 8] = [
    "CREATE TABLE pasien (id INT AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(50) NOT NULL, lahir DATE)",
    "CREATE TABLE hasil (id INT AUTO_INCREMENT PRIMARY KEY, pasien_id INT, nilai DECIMAL(10,2),
       FOREIGN KEY (pasien_id) REFERENCES pasien (id) ON DELETE CASCADE)",
    "CREATE TABLE tanpa_kunci (a INT, b VARCHAR(20))",
    "CREATE TABLE mesin_lama (id INT PRIMARY KEY, isi VARCHAR(20)) ENGINE=MyISAM",
    "INSERT INTO pasien (nama, lahir) VALUES ('Siti', '1990-01-02'), ('Budi', NULL), ('Ayu', '2001-12-31')",
    "INSERT INTO hasil (pasien_id, nilai) VALUES (1, 1.5), (1, 2), (3, 99.99)",
    "INSERT INTO tanpa_kunci VALUES (1, 'a'), (1, 'a'), (NULL, NULL)",
    "INSERT INTO mesin_lama VALUES (1, 'satu')",
];

async fn filled(setup: Setup, options: SourceOptions) -> World {
    let mut world = World::with_options(setup, options).await;
    world.config = "[lease]\nttl = 2\n".into();
    world.run(&SCHEMA).await;
    world
}

async fn plain(kind: SourceKind) -> World {
    let setup = Setup::new(kind);
    filled(setup, setup.options()).await
}

/// `127.0.0.1:port` of a server, which a report about it must name.
fn place(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// `check` says the same: exit code 1 (the answer is no) or that of the error.
async fn assert_check_finds(world: &World, source_url: &str, target_url: &str, says: &[&str]) {
    let mut command = world.command(&["check"]);
    command.env("SIRENIA_SOURCE_URL", source_url).env("SIRENIA_TARGET_URL", target_url);
    let outcome = world.finish(command).await;
    let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert_ne!(outcome.code, 0, "check finds nothing:\n{all}");
    for part in says {
        assert!(all.to_lowercase().contains(&part.to_lowercase()), "check does not say {part:?}:\n{all}");
    }
    outcome.assert_no_password();
}

async fn wrong_password(kind: SourceKind) {
    let world = plain(kind).await;
    let (source, target) = (world.source.url(DATABASE), world.target.url(DATABASE));
    let wrong = world.source.url_as("root", SECRET, DATABASE);
    let stop = world.run_as(&wrong, &target, &[]).await;
    stop.assert_stops(&["source", &place(world.source.port()), "denied", "root", "password"]);
    assert_check_finds(&world, &wrong, &target, &["denied"]).await;

    let wrong = world.target.url_as("postgres", SECRET, DATABASE);
    let stop = world.run_as(&source, &wrong, &[]).await;
    stop.assert_stops(&["target", &place(world.target.port()), "authentication failed", "postgres", "password"]);
    assert_check_finds(&world, &source, &wrong, &["authentication failed"]).await;
    // with the right ones, as the hints say, all is well
    world.assert_once_equal().await;
}

async fn unknown_host(kind: SourceKind) {
    let world = plain(kind).await;
    let (source, target) = (world.source.url(DATABASE), world.target.url(DATABASE));
    let host = "tidak-ada.invalid";
    let wrong = format!("mysql://root:{SECRET}@{host}:3306/{DATABASE}");
    world.run_as(&wrong, &target, &[]).await.assert_stops(&["source", host]);
    assert_check_finds(&world, &wrong, &target, &[host]).await;
    let wrong = format!("postgres://postgres:{SECRET}@{host}:5432/{DATABASE}");
    world.run_as(&source, &wrong, &[]).await.assert_stops(&["target", host]);
    assert_check_finds(&world, &source, &wrong, &[host]).await;
}

async fn unknown_database(kind: SourceKind) {
    let world = plain(kind).await;
    let (source, target) = (world.source.url(DATABASE), world.target.url(DATABASE));
    let stop = world.run_as(&world.source.url("tiada"), &target, &[]).await;
    stop.assert_stops(&["source", "tiada"]);
    let stop = world.run_as(&source, &world.target.url("tiada"), &[]).await;
    stop.assert_stops(&["postgresql", "tiada"]);
}

/// The privileges that an account of the source needs, as (privilege, what it is for).
fn needed(setup: Setup) -> Vec<(&'static str, String)> {
    let database = format!("{DATABASE}.*");
    let monitor = if setup.kind == MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    let mut all = vec![
        ("SELECT", database.clone()),
        ("LOCK TABLES", database),
        ("REPLICATION SLAVE", "*.*".into()),
        (monitor, "*.*".into()),
    ];
    if setup.kind == MySql && !setup.gtid {
        all.push(("RELOAD", "*.*".into()));
    }
    all
}

/// Each needed grant missing in turn: the report names it, and its hint's GRANT is all that was missing.
async fn missing_grants(setup: Setup) {
    let world = filled(setup, setup.options()).await;
    let target = world.target.url(DATABASE);
    let all = needed(setup);
    let mut root = world.source().await;
    for without in std::iter::once(None).chain(all.iter().map(Some)) {
        root.query_drop("DROP USER IF EXISTS 'salin'@'%'").await.unwrap();
        root.query_drop(format!("CREATE USER 'salin'@'%' IDENTIFIED BY '{SECRET}'")).await.unwrap();
        for (privilege, on) in all.iter().filter(|grant| Some(*grant) != without) {
            root.query_drop(format!("GRANT {privilege} ON {on} TO 'salin'@'%'")).await.unwrap();
        }
        let url = world.source.url_as("salin", SECRET, DATABASE);
        if let Some((privilege, _)) = without {
            println!("{setup:?} without {privilege}");
            let stop = world.run_as(&url, &target, &["--once"]).await;
            let report = stop.assert_stops(&["source", privilege, "grant", "salin"]);
            assert_check_finds(&world, &url, &target, &[privilege]).await;
            world.mend_on_source(&report).await;
        }
        let done = world.run_as(&url, &target, &["--once"]).await;
        assert_eq!(done.code, 0, "without {without:?}, after the hint:\n{}", done.stderr);
        done.assert_no_password();
        world.assert_equal().await;
        let (code, _, stderr) = world.output(&["reset", "--yes"]);
        assert_eq!(code, 0, "{stderr}");
    }
}

/// The target's role without CREATE on the database, then without CREATE on the schema.
async fn missing_grants_on_the_target(kind: SourceKind) {
    let world = plain(kind).await;
    let source = world.source.url(DATABASE);
    let root = world.target().await;
    let all = [
        ("on database", format!("GRANT CREATE ON DATABASE {DATABASE} TO salin")),
        ("on schema", "GRANT USAGE, CREATE ON SCHEMA public TO salin".to_owned()),
    ];
    for (place, missing) in &all {
        root.batch_execute(&format!("CREATE ROLE salin LOGIN PASSWORD '{SECRET}'")).await.unwrap();
        for (_, grant) in all.iter().filter(|(_, grant)| grant != missing) {
            root.batch_execute(grant).await.unwrap();
        }
        let url = world.target.url_as("salin", SECRET, DATABASE);
        let stop = world.run_as(&source, &url, &["--once"]).await;
        let report = stop.assert_stops(&["create", place, "salin"]);
        assert_check_finds(&world, &source, &url, &["create"]).await;
        world.mend_on_target(&report).await;
        let done = world.run_as(&source, &url, &["--once"]).await;
        assert_eq!(done.code, 0, "without {missing}, after the hint:\n{}", done.stderr);
        world.assert_equal().await;
        let mut reset = world.command(&["reset", "--yes"]);
        reset.env("SIRENIA_TARGET_URL", &url);
        let reset = world.finish(reset).await;
        assert_eq!(reset.code, 0, "{}", reset.stderr);
        root.batch_execute("DROP OWNED BY salin CASCADE; DROP ROLE salin").await.unwrap();
    }
}

/// The server started with other options: the stop, then the server as it should be.
async fn bad_options(kind: SourceKind, extra: &[&str], says: &[&str]) {
    let setup = Setup { kind, gtid: kind == MariaDb, full_metadata: true };
    let good = setup.options();
    let bad = SourceOptions { extra: extra.iter().map(|option| (*option).to_owned()).collect(), ..good.clone() };
    let mut world = filled(setup, bad).await;
    let stop = world.run_to_end(&[]).await;
    let report = stop.assert_stops(says);
    assert_check_finds(&world, &world.source.url(DATABASE), &world.target.url(DATABASE), says).await;
    println!("{kind} {extra:?}:\n{}", report.text);
    world.source.restart_with(good).await.expect("the source restarts");
    world.assert_once_equal().await;
}

async fn binlog_off(kind: SourceKind) {
    bad_options(kind, &["--skip-log-bin"], &["source", "binlog", "log_bin"]).await;
}

async fn binlog_ignores_the_database(kind: SourceKind) {
    bad_options(kind, &["--binlog-ignore-db=lab"], &["source", "binlog_ignore_db", DATABASE]).await;
}

async fn binlog_is_of_another_database_only(kind: SourceKind) {
    bad_options(kind, &["--binlog-do-db=lain"], &["source", "binlog_do_db", DATABASE]).await;
}

/// A global setting that can be mended at run time: the hint's statement does.
async fn bad_setting(kind: SourceKind, set: &str, says: &[&str]) {
    let world = plain(kind).await;
    let mut root = world.source().await;
    let changed = root.query_drop(set).await;
    if let Err(mysql_async::Error::Server(error)) = &changed {
        // a server without the variable cannot be set up wrongly: that it has none is what is tested then
        assert_eq!((kind, error.code), (MySql, 1193), "{set}: {error}");
        world.assert_once_equal().await;
        return;
    }
    changed.unwrap();
    let stop = world.run_to_end(&[]).await;
    let report = stop.assert_stops(says);
    assert_check_finds(&world, &world.source.url(DATABASE), &world.target.url(DATABASE), says).await;
    world.mend_on_source(&report).await;
    world.assert_once_equal().await;
}

async fn statement_format(kind: SourceKind) {
    bad_setting(kind, "SET GLOBAL binlog_format = STATEMENT", &["source", "binlog_format", "STATEMENT", "ROW"]).await;
}

async fn mixed_format(kind: SourceKind) {
    bad_setting(kind, "SET GLOBAL binlog_format = MIXED", &["source", "binlog_format", "MIXED", "ROW"]).await;
}

/// Prepared XA transactions at the start: their rows may be in the binlog, and not in the tables.
async fn prepared_xa(kind: SourceKind) {
    for end in ["COMMIT", "ROLLBACK"] {
        let world = plain(kind).await;
        let xa = [
            "XA START 'kasir-1'",
            "INSERT INTO pasien (nama) VALUES ('tertunda')",
            "XA END 'kasir-1'",
            "XA PREPARE 'kasir-1'",
        ];
        let mut teller = world.source().await;
        for sql in xa {
            teller.query_drop(sql).await.unwrap();
        }
        drop(teller);
        let stop = world.run_to_end(&[]).await;
        let report = stop.assert_stops(&["source", "prepared", "xa"]);
        assert_check_finds(&world, &world.source.url(DATABASE), &world.target.url(DATABASE), &["xa"]).await;
        finish_xa(&world, &report, end).await;
        world.assert_once_equal().await;
    }
}

/// Ends the prepared transaction as the hint says, by that one of its statements that begins with `XA <end>`.
async fn finish_xa(world: &World, report: &Report, end: &str) {
    let verb = format!("XA {end}");
    let statements = report.statements();
    let sql = statements.iter().find(|sql| sql.starts_with(&verb));
    let sql = sql.unwrap_or_else(|| panic!("the hint has no {verb}: {statements:?}\n{}", report.text));
    world.source().await.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}\n{}", report.text));
}

/// What MariaDB computes from a column that its foreign keys set is logged no more than that; a server that logs it is followed.
async fn computed_from_what_a_foreign_key_sets(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE induk (id INT PRIMARY KEY)",
            "CREATE TABLE anak (id INT PRIMARY KEY, induk_id INT, v INT AS (induk_id + 1) VIRTUAL, w INT AS (v * 2) VIRTUAL,
               x INT AS (id + 1) VIRTUAL, FOREIGN KEY (induk_id) REFERENCES induk (id) ON DELETE SET NULL)",
            "INSERT INTO induk VALUES (1), (2)",
            "INSERT INTO anak (id, induk_id) VALUES (1, 1), (2, 2)",
        ])
        .await;
    if kind.is_mariadb() {
        let report =
            world.run_to_end(&[]).await.assert_stops(&["lab.anak.v", "lab.anak.w", "foreign key", "exclude_columns"]);
        assert!(!report.text.contains("lab.anak.x"), "{}", report.text);
        world.config = "[tables.rules.anak]\nexclude_columns = [\"v\", \"w\"]\n".into();
    }
    let replicator = world.replicate(&[]);
    world.caught_up().await;
    world.run(&["DELETE FROM induk WHERE id = 1"]).await;
    world.caught_up().await;
    drop(replicator);
    let columns = if kind.is_mariadb() { "induk_id, x" } else { "induk_id, v, w, x" };
    let sql = format!("SELECT concat_ws(' ', {}, {columns}) FROM anak WHERE id = 1", "count(*) OVER ()");
    let found: String = world.target().await.query_one(&sql, &[]).await.unwrap().get(0);
    assert_eq!(found, "1 2", "only x is left");
}

/// Tables of the target that are not ours: nothing of them is touched, and the hint says how to make room.
async fn tables_of_somebody_else(kind: SourceKind) {
    for (made, says) in [
        // the right shape, but with rows
        (
            "CREATE TABLE pasien (id integer NOT NULL, nama varchar(50) NOT NULL, lahir date);
          INSERT INTO pasien VALUES (77, 'milik orang lain', NULL)",
            ["target", "pasien", "holds 1 row"],
        ),
        // no rows, but another shape
        ("CREATE TABLE pasien (id text, keterangan text)", ["target", "pasien", "planned"]),
        // not even a table
        ("CREATE VIEW pasien AS SELECT 1 AS id, 'x' AS nama", ["target", "pasien", "view"]),
    ] {
        let mut world = plain(kind).await;
        let root = world.target().await;
        root.batch_execute(made).await.unwrap();
        let before = root.query("SELECT to_jsonb(t)::text FROM pasien t", &[]).await.unwrap();
        let before: Vec<String> = before.iter().map(|row| row.get(0)).collect();
        let stop = world.run_to_end(&[]).await;
        let report = stop.assert_stops(&says);
        let after = root.query("SELECT to_jsonb(t)::text FROM pasien t", &[]).await.unwrap();
        let after: Vec<String> = after.iter().map(|row| row.get(0)).collect();
        assert_eq!(before, after, "somebody else's rows were touched");
        assert_check_finds(&world, &world.source.url(DATABASE), &world.target.url(DATABASE), &["pasien"]).await;
        // the first way out: another name
        assert!(report.hint.contains("[tables.rules.\"pasien\"] rename = "), "{}", report.text);
        world.config.push_str("[tables.rules.\"pasien\"]\nrename = \"pasien_baru\"\n");
        let renamed = world.run_to_end(&["--once"]).await;
        assert_eq!(renamed.code, 0, "after the hint:\n{}", renamed.stderr);
        let found = root.query_one("SELECT count(*) FROM pasien_baru", &[]).await.unwrap();
        assert_eq!(found.get::<_, i64>(0), 3);
        let (code, _, stderr) = world.output(&["reset", "--yes"]);
        assert_eq!(code, 0, "{stderr}");
        world.config.truncate(world.config.find("[tables.rules").unwrap());
        // the other one: without it
        world.mend_on_target(&report).await;
        world.assert_once_equal().await;
    }
}

/// A table of the right shape without rows is taken as it is.
async fn an_empty_table_that_matches_is_filled(kind: SourceKind) {
    let world = plain(kind).await;
    let made = "CREATE TABLE tanpa_kunci (a integer, b varchar(20)); COMMENT ON TABLE tanpa_kunci IS 'milik kami'";
    world.target().await.batch_execute(made).await.unwrap();
    world.assert_once_equal().await;
    let comment = "SELECT obj_description('tanpa_kunci'::regclass)";
    let row = world.target().await.query_one(comment, &[]).await.unwrap();
    assert_eq!(row.get::<_, Option<String>>(0).as_deref(), Some("milik kami"), "the table was made again");
}

/// Settings that cannot be understood: exit code 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_settings_are_usage_errors() {
    let mut world = plain(MariaDb).await;
    for (config, says) in [
        ("[tables]\ninclud = [\"*\"]\n", "includ"),
        ("[lease]\nttl = 0\n", "ttl"),
        ("[tables.rules.\"pasien\"]\nrows = \"nama LIKE 'x%'\"\n", "pasien"),
    ] {
        world.config = config.into();
        let stop = world.run_to_end(&[]).await;
        assert_eq!(stop.code, 2, "{config}\n{}", stop.stderr);
        assert!(stop.report().text.contains(says), "{}", stop.stderr);
    }
    world.config = String::new();
    let stop = world.run_to_end(&["--tidak-ada"]).await;
    assert_eq!(stop.code, 2, "{}", stop.stderr);
    assert!(stop.stderr.contains("--tidak-ada"), "{}", stop.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_grants_mariadb() {
    missing_grants(Setup::new(MariaDb)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_grants_mysql_by_gtid() {
    missing_grants(Setup::new(MySql)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_grants_mysql_by_file() {
    missing_grants(Setup { gtid: false, ..Setup::new(MySql) }).await;
}

/// Rows on the target were made by the settings of then: others must not go on in silence.
async fn other_settings_than_it_began_with(kind: SourceKind) {
    let mut world = plain(kind).await;
    world.assert_once_equal().await;
    let config = world.config.clone();
    for change in ["exclude_columns = [\"nilai\"]", "rows = \"id > 1\"", "rename_columns = { nilai = \"hasil\" }"] {
        world.config = format!("{config}[tables.rules.hasil]\n{change}\n");
        let stop = world.run_to_end(&["--once"]).await;
        let report = stop.assert_stops(&["settings of table", "lab.hasil", "copied as", "tables resync lab.hasil"]);
        world.mend_on_target(&report).await;
        world.run(&["INSERT INTO hasil (pasien_id, nilai) VALUES (1, 7)"]).await;
        assert_eq!(world.run_to_end(&["--once"]).await.code, 0, "{change}");
    }
    let renamed = "SELECT hasil FROM hasil LIMIT 1";
    world.target().await.query_one(renamed, &[]).await.expect("the column has its new name");
    world.config = config;
    assert_eq!(world.output(&["tables", "resync", "hasil"]).0, 0);
    world.assert_once_equal().await;
}

on_both! {
    computed_from_what_a_foreign_key_sets
    other_settings_than_it_began_with
    wrong_password
    unknown_host
    unknown_database
    missing_grants_on_the_target
    binlog_off
    binlog_ignores_the_database
    binlog_is_of_another_database_only
    statement_format
    mixed_format
    prepared_xa
    tables_of_somebody_else
    an_empty_table_that_matches_is_filled
}
