//! Tables as found in the wild, each a folder in `tests/cases`.
//!
//! | file | what |
//! | --- | --- |
//! | `source.sql` | the source before the replicator starts; statements end in `;` at a line's end |
//! | `changes.sql` | what happens while it follows |
//! | `expected.txt` | the target's tables at the end, as [`content`] prints them |
//! | `config.toml` | settings, if others than the defaults |
//! | `expect_error` | instead of `expected.txt`: a part of what the replicator says as it ends in failure |
//! | `servers` | the sources it runs on, one a line; without it all of them |
//!
//! `SIRENIA_CASES_WRITE=1` writes `expected.txt` anew, to be read before it is kept.

use crate::support::{DATABASE, Setup, World, tail};
use futures_util::TryStreamExt;
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(root).expect("tests/cases").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("source.sql").exists()).collect();
    folders.sort();
    folders
}

fn file(case: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(case.join(name)).ok()
}

async fn run(world: &World, sql: &str) -> Result<(), String> {
    let mut conn = world.source().await;
    for statement in sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        conn.query_drop(statement).await.map_err(|error| format!("{statement}: {error}"))?;
    }
    Ok(())
}

/// Gives both sides an empty database.
async fn empty(world: &World) {
    let mut root = mysql_async::Conn::from_url(world.source.url("mysql")).await.expect("login");
    root.query_drop(format!("DROP DATABASE {DATABASE}")).await.expect("drop");
    root.query_drop(format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")).await.expect("create");
    let (target, connection) =
        tokio_postgres::connect(&world.target.url("postgres"), tokio_postgres::NoTls).await.expect("login");
    tokio::spawn(connection);
    target.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await.expect("drop");
    target.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.expect("create");
}

/// Each table of the target: columns and indexes, then the rows as COPY prints them, by the first column.
async fn content(world: &World) -> String {
    let target = world.target().await;
    target.batch_execute("SET TimeZone = 'UTC'").await.expect("session");
    let tables = "SELECT c.oid, c.relname, quote_ident(c.relname) FROM pg_class c
                   WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname COLLATE \"C\"";
    let mut out = String::new();
    for row in target.query(tables, &[]).await.expect("the tables") {
        let (oid, table, quoted): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
        writeln!(out, "table {quoted}").expect("write");
        let columns = "SELECT quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                              || CASE WHEN attnotnull THEN ' not null' ELSE '' END
                         FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let indexes = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1 ORDER BY 1";
        for sql in [columns, indexes] {
            for row in target.query(sql, &[&oid]).await.unwrap_or_else(|e| panic!("{table}: {e}")) {
                writeln!(out, "  {}", row.get::<_, String>(0)).expect("write");
            }
        }
        let copy = format!("COPY (SELECT * FROM {quoted} AS t ORDER BY 1, t::text COLLATE \"C\") TO STDOUT");
        let stream = target.copy_out(&copy).await.unwrap_or_else(|e| panic!("{table}: {e}"));
        let chunks: Vec<_> = stream.try_collect().await.unwrap_or_else(|e| panic!("{table}: {e}"));
        out += std::str::from_utf8(&chunks.concat()).expect("UTF-8");
        out.push('\n');
    }
    out
}

/// Lines of one side alone, each with its number; an empty text when both are the same.
fn difference(expected: &str, found: &str) -> String {
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let mut out = String::new();
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        // the nearest pair of lines that agree again
        let ahead = |i: usize, j: usize| i < left.len() && j < right.len() && left[i] == right[j];
        let steps = (1..=left.len() + right.len() - i - j)
            .find_map(|sum| (0..=sum).find(|down| ahead(i + down, j + sum - down)).map(|down| (down, sum - down)));
        let (down, over) = steps.unwrap_or((left.len() - i, right.len() - j));
        for line in &left[i..i + down] {
            i += 1;
            writeln!(out, "  {i:>4} - {line}").expect("write");
        }
        for line in &right[j..j + over] {
            j += 1;
            writeln!(out, "  {j:>4} + {line}").expect("write");
        }
    }
    if out.is_empty() && expected != found {
        out += "  the ends of lines differ";
    }
    out
}

/// One case: what is wrong, in words.
async fn case(world: &mut World, folder: &Path) -> Result<(), String> {
    empty(world).await;
    world.config = file(folder, "config.toml").unwrap_or_default();
    run(world, &file(folder, "source.sql").expect("source.sql")).await?;
    if let Some(wanted) = file(folder, "expect_error") {
        let (code, _, stderr) = world.output(&["run", "--once"]);
        let said = code != 0 && stderr.contains(wanted.trim());
        return if said { Ok(()) } else { Err(format!("exit code {code}, not the error expected:\n{stderr}")) };
    }
    let before = world.log().len();
    let mut replicator = world.replicate(&[]);
    let log = |world: &World| tail(world.log().get(before..).unwrap_or_default());
    if let Err(error) = world.followed_by(&mut replicator).await {
        return Err(format!("{error}:\n{}", log(world)));
    }
    if let Some(changes) = file(folder, "changes.sql") {
        run(world, &changes).await?;
        if let Err(error) = world.followed_by(&mut replicator).await {
            return Err(format!("{error} at the changes:\n{}", log(world)));
        }
    }
    if replicator.terminate().await.0 != 0 {
        return Err(format!("it ends in failure:\n{}", log(world)));
    }
    let found = content(world).await;
    if std::env::var_os("SIRENIA_CASES_WRITE").is_some() {
        std::fs::write(folder.join("expected.txt"), &found).expect("write expected.txt");
    }
    let expected = file(folder, "expected.txt").unwrap_or_default();
    if expected != found {
        return Err(format!("the target is not as expected.txt says:\n{}", difference(&expected, &found)));
    }
    let found = world.differences().await;
    if found.is_empty() { Ok(()) } else { Err(format!("not what the source prints:\n{}", found.join("\n"))) }
}

async fn all(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    let (mut failures, mut run) = (Vec::new(), 0);
    let only = std::env::var("SIRENIA_CASE").ok();
    for folder in folders() {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let servers = file(&folder, "servers");
        let here = servers.is_none_or(|servers| servers.lines().any(|line| line.trim() == kind.to_string()));
        if here && only.as_ref().is_none_or(|only| *only == name) {
            run += 1;
            if let Err(error) = case(&mut world, &folder).await {
                failures.push(format!("{name}: {error}"));
            }
        }
    }
    assert!(run > 0, "no case ran");
    assert!(failures.is_empty(), "{} of {run} cases on {kind}:\n\n{}", failures.len(), failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb() {
    all(SourceKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_11_8() {
    all(SourceKind::MariaDb118).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    all(SourceKind::MySql).await;
}

#[test]
fn a_difference_shows_the_lines_of_one_side_alone() {
    assert_eq!(difference("a\nb\nc\n", "a\nb\nc\n"), "");
    assert_eq!(difference("a\nb\nc\n", "a\nc\nd\n"), "     2 - b\n     3 + d\n");
    assert_eq!(difference("a\n", ""), "     1 - a\n");
    assert_ne!(difference("a\n", "a"), "");
}
