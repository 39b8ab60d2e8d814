//! What a running instance says of itself, over HTTP and by `sirenia status`, and how it ends when it is told to.

use crate::support::http::get;
use crate::support::{DATABASE, Setup, Watch, World, on_both, tail};
use crate::workload::{before, numbers, random_load, schema};
use serde_json::Value;
use sirenia::embedded::{SourceKind, free_port};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MANY: usize = 5;
/// The figure: SIGTERM ends within this time.
const END: Duration = Duration::from_secs(5);

/// A world with a snapshot that lasts a moment, and its HTTP port.
async fn filled(kind: SourceKind, rows: u32) -> (World, u16) {
    let mut world = World::new(Setup::new(kind)).await;
    let port = free_port();
    world.config = format!("[lease]\nttl = 2\n[http]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut sql = schema(MANY);
    sql.extend(before(MANY, 2000));
    sql.push("CREATE TABLE besar (id INT PRIMARY KEY, isi VARCHAR(100))".into());
    sql.push(format!("INSERT INTO besar SELECT n, CONCAT('isi ', n) FROM {}", numbers(rows)));
    world.run_on_one(&sql).await;
    (world, port)
}

struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(world: &World) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |n: u64| tokio::spawn(random_load(world.source.url(DATABASE), 41 + n, MANY, Arc::clone(&stop)));
        Self { workers: (0..2).map(work).collect(), stop }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.expect("a worker ends");
        }
    }
}

/// `sirenia status --json`; none while nobody answers.
fn status(world: &World) -> Option<Value> {
    let (code, stdout, _) = world.output(&["status", "--json"]);
    (code == 0).then(|| serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}")))
}

/// Asks until the status is as wanted.
async fn status_until(world: &World, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut watch = Watch::new(world);
    watch.until(format!("status with {what}"), async |_| status(world).filter(|view| wanted(view))).await
}

async fn status_says_all(kind: SourceKind) {
    let (world, _) = filled(kind, 150_000).await;
    // nothing has begun yet: that is said, with a hint
    let (code, _, stderr) = world.output(&["status", "--json"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("error: ") && stderr.contains("hint: "), "{stderr}");

    let load = Load::start(&world);
    let mut replicator = world.replicate(&[]);
    let copying = status_until(&world, "rows copied in the snapshot", |view| {
        assert_ne!(view["phase"], "failed", "{view}");
        let copying = |table: &Value| table["state"] == "copying" && table["rows_copied"].as_u64() > Some(0);
        view["phase"] == "snapshot"
            && view["snapshot"]["rows_copied"].as_u64() > Some(0)
            && view["tables"].as_array().is_some_and(|tables| tables.iter().any(copying))
    })
    .await;
    let snapshot = &copying["snapshot"];
    assert!(snapshot["tables_total"].as_u64().unwrap() >= 20, "{copying}");
    assert!(snapshot["tables_done"].as_u64() < snapshot["tables_total"].as_u64(), "{copying}");
    assert_eq!(copying["lease_held"], true);
    let tables = copying["tables"].as_array().unwrap();
    assert_eq!(tables.len() as u64, snapshot["tables_total"].as_u64().unwrap());
    assert!(
        tables.iter().any(|table| table["source"] == "lab.besar" && table["target"] == "public.besar"),
        "{copying}"
    );
    assert!(tables.iter().all(|table| table["state"].as_str().is_some_and(|state| !state.is_empty())), "{copying}");

    world.caught_up().await;
    let streaming = status_until(&world, "changes in the stream", |view| {
        view["phase"] == "streaming" && view["changes"].as_u64().is_some_and(|changes| changes > 0)
    })
    .await;
    assert!(streaming["position"].as_str().is_some_and(|position| position.contains("binlog.0")), "{streaming}");
    assert!(streaming["lag_seconds"].as_f64().is_some_and(|lag| (0.0..120.0).contains(&lag)), "{streaming}");
    assert!(streaming["lag_bytes"].is_u64(), "{streaming}");
    assert!(streaming["transactions"].as_u64().unwrap() > 0, "{streaming}");
    assert!(streaming["rows"].as_u64().unwrap() > 0, "{streaming}");
    assert!(streaming["snapshot"]["rows_copied"].as_u64().unwrap() > 150_000, "{streaming}");
    assert!(streaming["last_error"].is_null(), "{streaming}");
    let tables = streaming["tables"].as_array().unwrap();
    assert!(tables.iter().all(|table| table["state"] == "ready" && table["error"].is_null()), "{streaming}");
    let besar = tables.iter().find(|table| table["source"] == "lab.besar").unwrap();
    assert_eq!(besar["rows_copied"], 150_000);
    // the text form names the same
    let (code, text, _) = world.output(&["status"]);
    assert_eq!(code, 0);
    assert!(text.contains("streaming") && text.contains("binlog.0"), "{text}");
    assert!(!text.contains("not ready"), "every table is ready:\n{text}");

    load.end().await;
    world.caught_up().await;
    let idle = status_until(&world, "no lag", |view| view["lag_bytes"] == 0).await;
    assert_eq!(idle["phase"], "streaming");
    world.assert_equal().await;
    assert_eq!(replicator.terminate().await.0, 0);
    // what the control tables know is said when nobody runs
    let stopped = status(&world).expect("a status without an instance");
    assert_eq!((&stopped["phase"], &stopped["lease_held"]), (&"stopped".into(), &false.into()), "{stopped}");
    assert_eq!(stopped["position"], idle["position"], "{stopped}");
}

async fn http_answers(kind: SourceKind) {
    let (world, port) = filled(kind, 1000).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    status_until(&world, "the stream", |view| view["phase"] == "streaming").await;
    world.run(&["UPDATE besar SET isi = 'ubah' WHERE id < 100"]).await;
    world.caught_up().await;
    assert_eq!(get(port, "/healthz").0, 200);
    assert_eq!(get(port, "/readyz").0, 200);
    let (code, body) = get(port, "/status");
    assert_eq!(code, 200);
    let view: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&view["phase"], &view["pipeline"]), (&"streaming".into(), &"default".into()));
    let (code, metrics) = get(port, "/metrics");
    assert_eq!(code, 200);
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(metrics.contains("sirenia_phase{phase=\"streaming\"} 1"), "{metrics}");
    assert!(value("sirenia_lag_seconds") < 60.0 && value("sirenia_lease_held") == 1.0);
    assert!(value("sirenia_lag_bytes") >= 0.0);
    let changes: Vec<&str> = metrics.lines().filter(|line| line.starts_with("sirenia_changes_total")).collect();
    assert!(changes.iter().any(|line| !line.ends_with(" 0")), "100 rows were changed: {changes:?}");
    assert_eq!(get(port, "/tiada").0, 404);
    for body in [metrics, body, get(port, "/").1] {
        assert!(!body.contains("secret"), "a password over HTTP");
    }
    assert!(replicator.is_running());
}

async fn sigterm_in_the_snapshot(kind: SourceKind) {
    let (world, _) = filled(kind, 200_000).await;
    let load = Load::start(&world);
    let mut rows = 0;
    // ended and started again until it has been ended in the snapshot twice
    for _ in 0..2 {
        let mut replicator = world.replicate(&[]);
        let mut watch = Watch::new(&world);
        watch
            .until("more rows of the snapshot", async |watch| {
                let copied: i64 = watch.tables().await.iter().map(|table| table.rows).sum();
                (copied > rows).then_some(())
            })
            .await;
        let (code, took) = replicator.terminate().await;
        assert_eq!(code, 0, "{}", tail(&world.log()));
        assert!(took < END, "it took {took:?}");
        assert_eq!(watch.checkpoint().await.expect("a checkpoint").phase, "snapshot", "not in the snapshot any more");
        rows = watch.tables().await.iter().map(|table| table.rows).sum();
    }
    let mut replicator = world.replicate(&[]);
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    let begun = world.log().lines().filter(|line| line.contains("the snapshot starts")).count();
    assert_eq!(begun, 1, "the snapshot has begun again:\n{}", world.log());
    assert_eq!(replicator.terminate().await.0, 0);
}

async fn sigterm_in_the_stream(kind: SourceKind) {
    let (world, _) = filled(kind, 20_000).await;
    let mut replicator = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    watch.until_phase("follow").await;
    let load = Load::start(&world);
    for _ in 0..3 {
        // a transaction that takes a while, and many small ones beside it
        world.run(&["UPDATE besar SET isi = CONCAT('lagi ', id)"]).await;
        let (code, took) = replicator.terminate().await;
        assert_eq!(code, 0, "{}", tail(&world.log()));
        assert!(took < END, "it took {took:?}");
        replicator = world.replicate(&[]);
        let before = watch.checkpoint().await.expect("a checkpoint");
        watch
            .until("it goes on", async |watch| (watch.checkpoint().await?.position != before.position).then_some(()))
            .await;
    }
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    let (code, took) = replicator.terminate().await;
    assert!(code == 0 && took < END, "idle: {code} after {took:?}");
}

async fn once_ends_at_what_was_committed(kind: SourceKind) {
    let (world, _) = filled(kind, 5000).await;
    // snapshot and all
    world.assert_once_equal().await;
    // nothing new
    world.assert_once_equal().await;
    for n in 0..3 {
        world.run(&[&format!("INSERT INTO besar VALUES ({}, 'sebelum')", 900_000 + n)]).await;
        let load = Load::start(&world);
        let outcome = world.run_to_end(&["--once"]).await;
        assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
        let sql = format!("SELECT count(*) FROM besar WHERE id = {}", 900_000 + n);
        let found: i64 = world.target().await.query_one(&sql, &[]).await.unwrap().get(0);
        assert_eq!(found, 1, "what was committed before the start is not there");
        load.end().await;
    }
    world.assert_once_equal().await;
}

on_both! {
    status_says_all
    http_answers
    sigterm_in_the_snapshot
    sigterm_in_the_stream
    once_ends_at_what_was_committed
}
