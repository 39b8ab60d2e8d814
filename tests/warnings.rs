//! What is said and does not stop: in the log of `sirenia run` and in what `sirenia check` prints.

use crate::support::{DATABASE, Setup, World, on_both};
use sirenia::embedded::SourceKind;
use sirenia::embedded::free_port;

async fn warned(world: &World, words: &[&str]) {
    let (code, stdout, stderr) = world.output(&["check"]);
    assert_eq!(code, 0, "a warning is no problem:\n{stdout}\n{stderr}");
    let said = stdout.lines().any(|line| words.iter().all(|word| line.to_lowercase().contains(word)));
    assert!(said, "check does not say {words:?}:\n{stdout}");
    let line = world.logged(words).await;
    assert!(line.contains("WARN"), "not a warning: {line}");
}

async fn a_table_without_a_key(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    world
        .run(&[
            "CREATE TABLE catatan_lama (a INT, b VARCHAR(10))",
            "CREATE TABLE hampir (a INT NULL, UNIQUE KEY (a))",
            "CREATE TABLE berkunci (id INT PRIMARY KEY)",
            "INSERT INTO catatan_lama VALUES (1, 'x'), (1, 'x')",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    warned(&world, &["catatan_lama", "key"]).await;
    warned(&world, &["hampir", "key"]).await;
    assert!(!world.log().lines().any(|line| line.contains("WARN") && line.contains("berkunci")));
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
}

/// The child's cascaded changes come from the parent, which is not carried. A server that does not log them loses them,
/// and that is said; from one that does they arrive, and nothing need be said.
async fn an_excluded_parent(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[tables]\nexclude = [\"induk_luar\"]\n".into();
    world
        .run(&[
            "CREATE TABLE induk_luar (id INT PRIMARY KEY)",
            "CREATE TABLE anak_dalam (id INT PRIMARY KEY, induk_id INT, FOREIGN KEY (induk_id) REFERENCES induk_luar (id) ON DELETE CASCADE)",
            "INSERT INTO induk_luar VALUES (1)",
            "INSERT INTO anak_dalam VALUES (1, 1), (2, NULL)",
        ])
        .await;
    let mut replicator = world.replicate(&[]);
    if kind.is_mariadb() {
        warned(&world, &["induk_luar", "anak_dalam"]).await;
    }
    world.caught_up().await;
    if kind == SourceKind::MySql {
        world.run(&["DELETE FROM induk_luar"]).await;
        world.caught_up().await;
    }
    let row = world.target().await.query_one("SELECT string_agg(id::text, ',' ORDER BY id) FROM anak_dalam", &[]).await;
    let wanted = if kind.is_mariadb() { "1,2" } else { "2" };
    assert_eq!(row.unwrap().get::<_, &str>(0), wanted);
    assert!(replicator.is_running());
}

async fn the_http_address_is_taken(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    let port = free_port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    world.config = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n");
    world.run(&["CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)"]).await;
    let mut replicator = world.replicate(&[]);
    let line = world.logged(&["http", &format!("127.0.0.1:{port}")]).await;
    assert!(line.contains("WARN") && line.contains("--http-listen"), "{line}");
    world.caught_up().await;
    world.run(&["INSERT INTO t VALUES (2)"]).await;
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running());
    drop(taken);
    assert!(!world.log().contains(&format!("@127.0.0.1:{port}/{DATABASE}")));
}

on_both! {
    a_table_without_a_key
    an_excluded_parent
    the_http_address_is_taken
}
