//! The servers start, survive a crash, and leave nothing behind.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::ErrorKind;
use mysql_async::prelude::Queryable;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KINDS: [SourceKind; 3] = [SourceKind::MariaDb, SourceKind::MariaDb118, SourceKind::MySql];

pub(super) async fn mysql(server: &SourceServer, database: &str) -> mysql_async::Conn {
    mysql_async::Conn::from_url(server.url(database)).await.unwrap()
}

async fn postgres(server: &TargetServer) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !matches!(stat.rsplit(')').next().map(str::trim_start), Some(s) if s.starts_with('Z')))
}

/// Processes whose command line names the folder: server, sessions of it, watchdog.
fn processes_of(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*folder.to_string_lossy())).collect()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(15), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn sources_keep_their_data_over_crash_and_restart() {
    for kind in KINDS {
        let mut server = SourceServer::start(kind, SourceOptions::default()).await.unwrap();
        let (pid, port) = (server.pid().unwrap(), server.port());
        let mut conn = mysql(&server, "").await;
        conn.query_drop("CREATE DATABASE a").await.unwrap();
        conn.query_drop("CREATE TABLE a.t (id INT PRIMARY KEY)").await.unwrap();
        conn.query_drop("INSERT INTO a.t VALUES (7)").await.unwrap();
        server.kill();
        assert!(!is_running(pid) && server.pid().is_none());
        server.restart().await.unwrap();
        assert_eq!(server.port(), port);
        let mut conn = mysql(&server, "a").await;
        assert_eq!(conn.query_first("SELECT id FROM t").await.unwrap(), Some(7));
        let all = "SELECT CONCAT_WS(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@log_bin + 0)";
        assert_eq!(conn.query_first(all).await.unwrap(), Some("ROW FULL FULL 1".to_owned()), "{kind}");

        let row_metadata = RowMetadata::least(kind);
        server.restart_with(SourceOptions { gtid: false, row_metadata, extra: Vec::new() }).await.unwrap();
        let mut conn = mysql(&server, "a").await;
        let found: Option<String> = conn.query_first("SELECT @@binlog_row_metadata").await.unwrap();
        assert_eq!(found.as_deref(), Some(row_metadata.option()));
        if kind == SourceKind::MySql {
            let found: Option<String> = conn.query_first("SELECT @@gtid_mode").await.unwrap();
            assert_eq!(found.as_deref(), Some("OFF"));
            conn.query_drop("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'").await.unwrap();
        }
        let (pid, folder) = (server.pid().unwrap(), server.folder().path().to_owned());
        drop(server);
        assert!(!is_running(pid) && !folder.exists());
        assert_eq!(processes_of(&folder), Vec::<String>::new());
    }
}

#[tokio::test]
async fn two_servers_are_two_identities() {
    let options = SourceOptions::default();
    let a = SourceServer::start(SourceKind::MySql, options.clone()).await.unwrap();
    let b = SourceServer::start(SourceKind::MySql, options).await.unwrap();
    let (mut a, mut b) = (mysql(&a, "").await, mysql(&b, "").await);
    let uuid = "SELECT @@server_uuid";
    assert_ne!(a.query_first::<String, _>(uuid).await.unwrap(), b.query_first(uuid).await.unwrap());
}

#[tokio::test]
async fn a_target_keeps_its_data_over_crash_and_restart() {
    for (version, says) in [(TargetVersion::System, None), (TargetVersion::V18, Some("18"))] {
        let mut server = TargetServer::start(TargetOptions { version, ..TargetOptions::default() }).await.unwrap();
        let client = postgres(&server).await;
        client.batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").await.unwrap();
        server.kill();
        server.restart().await.unwrap();
        let client = postgres(&server).await;
        assert_eq!(client.query_one("SELECT id FROM t", &[]).await.unwrap().get::<_, i32>(0), 7);
        let found: String = client.query_one("SHOW server_version", &[]).await.unwrap().get(0);
        assert!(says.is_none_or(|says| found.starts_with(says)), "{found}");
        let wrong = server.url_as("postgres", "wrong", "postgres");
        assert!(tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.is_err(), "passwords are checked");
        let extra = vec!["work_mem=1MB".to_owned()];
        server.restart_with(TargetOptions { version, durable: true, extra }).await.unwrap();
        let client = postgres(&server).await;
        let settings = "SELECT current_setting('fsync') || current_setting('work_mem')";
        assert_eq!(client.query_one(settings, &[]).await.unwrap().get::<_, String>(0), "on1MB");
        let (pid, folder) = (server.pid().unwrap(), server.folder().path().to_owned());
        drop(server);
        assert!(!is_running(pid) && !folder.exists());
        assert_eq!(processes_of(&folder), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_failed_start_says_why_and_leaves_nothing() {
    let extra = vec!["--no-such-option=1".to_owned()];
    let options = SourceOptions { extra, ..SourceOptions::default() };
    let error = SourceServer::start(SourceKind::MariaDb, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(error.report().contains("no-such-option"), "{}", error.report());
    let options = SourceOptions { row_metadata: RowMetadata::NoLog, ..SourceOptions::default() };
    assert_eq!(SourceServer::start(SourceKind::MySql, options).await.unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_kept_folder_stays_until_it_is_removed() {
    let mut folder = Folder::new("kept").unwrap();
    folder.keep();
    let path = folder.path().to_owned();
    drop(folder);
    assert!(path.is_dir());
    std::fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn a_panic_leaves_nothing_behind() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let task = tokio::spawn(async move {
        let server = TargetServer::start(TargetOptions::default()).await.unwrap();
        sender.send((server.pid().unwrap(), server.folder().path().to_owned())).unwrap();
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    let (pid, folder) = receiver.recv().unwrap();
    assert!(!is_running(pid) && !folder.exists());
}

/// Runs this test binary again as the parent of servers, kills it, and looks for what is left.
#[test]
fn the_death_of_the_parent_leaves_nothing_behind() {
    for signal in [nix::sys::signal::Signal::SIGKILL, nix::sys::signal::Signal::SIGINT] {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::tests::parent_of_servers", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
        let found: Vec<(u32, String)> = lines
            .filter_map(|line| line.split_once("server ").map(|(_, rest)| rest.to_owned()))
            .map(|rest| rest.split_once(' ').map(|(pid, path)| (pid.parse().unwrap(), path.to_owned())).unwrap())
            .take(3)
            .collect();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|(pid, folder)| is_running(*pid) && Path::new(folder).is_dir()));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(parent.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        parent.wait().unwrap();
        for (pid, folder) in &found {
            wait_for("the server ends", || !is_running(*pid));
            wait_for("the folder goes", || !Path::new(folder).exists());
            wait_for("sessions and watchdog end", || processes_of(Path::new(folder)).is_empty());
        }
    }
}

#[tokio::test]
#[ignore = "prints how long starting, stopping and removing take: --ignored --nocapture"]
async fn times() {
    for kind in KINDS {
        let start = Instant::now();
        let mut server = SourceServer::start(kind, SourceOptions::default()).await.unwrap();
        let started = start.elapsed();
        server.stop().await.unwrap();
        let stopped = start.elapsed() - started;
        server.restart().await.unwrap();
        let restarted = start.elapsed() - stopped - started;
        let before = Instant::now();
        drop(server);
        println!("{kind}: start {started:?} stop {stopped:?} restart {restarted:?} drop {:?}", before.elapsed());
    }
    let start = Instant::now();
    let server = TargetServer::start(TargetOptions::default()).await.unwrap();
    let started = start.elapsed();
    drop(server);
    println!("postgres: start {started:?} drop {:?}", start.elapsed() - started);
}

#[tokio::test]
#[ignore = "the other half of the_death_of_the_parent_leaves_nothing_behind"]
async fn parent_of_servers() {
    let mut sources = Vec::new();
    for kind in KINDS {
        let source = SourceServer::start(kind, SourceOptions::default()).await.unwrap();
        println!("server {} {}", source.pid().unwrap(), source.folder().path().display());
        sources.push(source);
    }
    let target = TargetServer::start(TargetOptions::default()).await.unwrap();
    println!("server {} {}", target.pid().unwrap(), target.folder().path().display());
    tokio::time::sleep(Duration::from_secs(120)).await;
}
