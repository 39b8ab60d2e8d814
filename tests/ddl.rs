//! DDL in the stream, each case a folder in `tests/cases/ddl`, run one after the other while one replicator follows.
//!
//! | file | what |
//! | --- | --- |
//! | `source.sql` | the tables before; statements end in `;` at a line's end |
//! | `changes.sql` | the DDL, and rows between |
//! | `writes.sql` | what is written all the while, `?` being a number that counts up; without it [`WRITES`] |
//! | `servers` | the sources it runs on, one a line; without it all of them |
//!
//! `SIRENIA_CASE=a,b` runs those whose names hold one of these, on all set-ups. Behind each case columns, types, nullability, indexes and rows are equal by the oracles. Then its tables are dropped.

use crate::support::{DATABASE, Setup, World, full, shape, tail};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is written where a case says nothing; statements that fail just then count for nothing.
const WRITES: &str = "INSERT INTO t (id, a) VALUES (1000 + ?, ? % 50);
INSERT INTO t (id) VALUES (1000 + ?);
UPDATE t SET a = a + 1 WHERE id % 5 = ? % 5;
UPDATE t SET id = id + 100000 WHERE id = 990 + ?;
DELETE FROM t WHERE id % 13 = ? % 13 AND id > 1000;
INSERT INTO u (id, t_id) SELECT 1000 + ?, MIN(id) FROM t;
DELETE FROM u WHERE id = 995 + ?;";

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/ddl");
    let entries = std::fs::read_dir(root).expect("tests/cases/ddl").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn file(case: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(case.join(name)).ok()
}

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n").map(|statement| statement.trim().trim_end_matches(';')).filter(|statement| !statement.is_empty())
}

/// Days since 1970.
fn day() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs() / 86_400
}

/// Writes until it is told to stop; the number of statements that had an effect.
async fn write(mut conn: Conn, sql: String, stop: Arc<AtomicBool>) -> u64 {
    let (mut at, mut done) = (0_u64, 0);
    while !stop.load(Ordering::Relaxed) {
        for statement in statements(&sql) {
            at += 1;
            done += u64::from(conn.query_drop(statement.replace('?', &at.to_string())).await.is_ok());
        }
    }
    done
}

async fn drop_tables(world: &World) {
    let mut conn = world.source().await;
    let tables: Vec<String> = conn
        .exec(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME <> 'ada'",
            (DATABASE,),
        )
        .await
        .expect("the tables");
    conn.query_drop("SET foreign_key_checks = 0").await.expect("a session");
    for table in tables {
        conn.query_drop(format!("DROP TABLE `{}`", table.replace('`', "``"))).await.expect("drop");
    }
}

async fn case(world: &World, folder: &Path, replicator: &mut crate::support::Replicator) -> Result<(), String> {
    let mut conn = world.source().await;
    for statement in statements(&file(folder, "source.sql").expect("source.sql")) {
        conn.query_drop(statement).await.map_err(|error| format!("{statement}: {error}"))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writes = file(folder, "writes.sql").unwrap_or_else(|| WRITES.to_owned());
    let writer = tokio::spawn(write(world.source().await, writes, Arc::clone(&stop)));
    let mut failed = None;
    for statement in statements(&file(folder, "changes.sql").expect("changes.sql")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut done = conn.query_drop(statement).await;
        while statement.contains("NOWAIT") && done.as_ref().is_err_and(is_locked) {
            // it gives way to whoever uses the table at that moment, the writer above included
            tokio::time::sleep(Duration::from_millis(3)).await;
            done = conn.query_drop(statement).await;
        }
        if let Err(error) = done {
            failed = Some(format!("{statement}: {error}"));
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.expect("the writer");
    if let Some(error) = failed {
        return Err(error);
    }
    if written == 0 {
        return Err("nothing was written meanwhile".into());
    }
    world.followed_by(replicator).await?;
    let mut found = world.differences().await;
    found.extend(shape::differences(world, &[]).await);
    if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
}

/// ER_LOCK_WAIT_TIMEOUT
fn is_locked(error: &mysql_async::Error) -> bool {
    matches!(error, mysql_async::Error::Server(error) if error.code == 1205)
}

async fn all(setup: Setup) {
    run_cases(setup, None).await;
}

/// Runs the cases whose names hold one of the parts; all, or their turn, without.
async fn run_cases(setup: Setup, only: Option<&str>) {
    let mut world = World::new(setup).await;
    world.config = "[lease]\nttl = 2\n".into();
    world.run(&["CREATE TABLE ada (id INT PRIMARY KEY)", "INSERT INTO ada VALUES (1)"]).await;
    let mut replicator = world.replicate(&[]);
    world.followed_by(&mut replicator).await.expect("the first copy");
    let (mut failures, mut run) = (Vec::new(), 0);
    let only = only.map(str::to_owned).or_else(|| std::env::var("SIRENIA_CASE").ok());
    // without --full each case runs on one of the set-ups, on another each day
    let share = u64::from(setup.full_metadata) + 2 * u64::from(setup.kind == SourceKind::MySql);
    let whole = full() || only.is_some();
    for (number, folder) in folders().into_iter().enumerate() {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let servers = file(&folder, "servers");
        // a case of one server alone takes turns between its two set-ups
        let turns = if servers.is_some() { 2 } else { 4 };
        if !whole && (number as u64 + day()) % turns != share % turns {
            continue;
        }
        let here = servers.is_none_or(|servers| servers.lines().any(|line| line.trim() == setup.kind.to_string()));
        if !here || only.as_ref().is_some_and(|only| !only.split(',').any(|part| name.contains(part))) {
            continue;
        }
        run += 1;
        let before = world.log().len();
        if let Err(error) = case(&world, &folder, &mut replicator).await {
            let log = tail(world.log().get(before..).unwrap_or_default());
            failures.push(format!("{name}: {error}\n{log}"));
        }
        if !replicator.is_running() {
            // what stopped it must not fail the cases behind it
            drop_tables(&world).await;
            let (code, _, error) = world.output(&["reset", "--yes"]);
            assert_eq!(code, 0, "{error}");
            replicator = world.replicate(&[]);
        } else {
            drop_tables(&world).await;
        }
        if let Err(error) = world.followed_by(&mut replicator).await {
            failures.push(format!("{name}, when its tables were dropped: {error}\n{}", tail(&world.log())));
            break;
        }
    }
    assert!(run > 0, "no case ran");
    let shown = failures.iter().take(30).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {run} cases on {}:\n\n{shown}", failures.len(), setup.kind);
    let left =
        "SELECT string_agg(relname, ',') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let left: String = world.target().await.query_one(left, &[]).await.expect("the tables").get(0);
    assert_eq!(left, "ada", "what the source dropped is dropped");
    assert_eq!(replicator.terminate().await.0, 0);
    println!("{run} cases on {}", setup.kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb() {
    all(Setup::new(SourceKind::MariaDb)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_least_metadata() {
    all(Setup { full_metadata: false, ..Setup::new(SourceKind::MariaDb) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    all(Setup::new(SourceKind::MySql)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_least_metadata() {
    all(Setup { full_metadata: false, ..Setup::new(SourceKind::MySql) }).await;
}

/// Without GTIDs a place is an offset alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_by_file() {
    let only = "adjacent,create-table-select,swapped,rollback-around";
    run_cases(Setup { gtid: false, ..Setup::new(SourceKind::MySql) }, Some(only)).await;
}
