//! Servers that stop, crash and come back under load: `sirenia run` waits, goes on, and both sides end equal.

use crate::support::{DATABASE, Setup, Watch, World, full, on_both, tail};
use crate::workload::{before, numbers, random_load, schema};
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

const MANY: usize = 5;

/// Which servers go, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    TargetCrash,
    TargetStop,
    SourceCrash,
    SourceStop,
    BothCrash,
}

async fn filled(kind: SourceKind, rows: u32) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 3\n".into();
    let mut sql = schema(MANY);
    sql.extend(before(MANY, 2000));
    sql.push("CREATE TABLE besar (id INT PRIMARY KEY, isi VARCHAR(100))".into());
    sql.push(format!("INSERT INTO besar SELECT n, CONCAT('isi ', n) FROM {}", numbers(rows)));
    world.run_on_one(&sql).await;
    world
}

fn load(world: &World, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<u64>> {
    let work = |n: u64| tokio::spawn(random_load(world.source.url(DATABASE), 31 + n, MANY, Arc::clone(stop)));
    (0..2).map(work).collect()
}

/// The servers go, stay away until the replicator has noticed, and come back.
async fn happen(world: &mut World, outage: Outage) {
    let noticed = world.log().len();
    match outage {
        Outage::TargetCrash => world.target.kill(),
        Outage::TargetStop => world.target.stop().await.expect("the target stops"),
        Outage::SourceCrash => world.source.kill(),
        Outage::SourceStop => world.source.stop().await.expect("the source stops"),
        Outage::BothCrash => {
            world.source.kill();
            world.target.kill();
        }
    }
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    // it says why it waits
    while !world.log()[noticed..].contains("WARN") {
        assert!(std::time::Instant::now() < deadline, "nothing is said about {outage:?}:\n{}", tail(&world.log()));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    if world.source.pid().is_none() {
        world.source.restart().await.expect("the source restarts");
    }
    if world.target.pid().is_none() {
        world.target.restart().await.expect("the target restarts");
    }
}

async fn in_the_stream(kind: SourceKind) {
    let mut world = filled(kind, 1000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&world, &stop);
    let mut replicator = world.replicate(&[]);
    Watch::new(&world).until_phase("follow").await;
    for outage in [Outage::TargetCrash, Outage::SourceCrash, Outage::TargetStop, Outage::SourceStop, Outage::BothCrash]
    {
        println!("{outage:?}");
        happen(&mut world, outage).await;
        world.caught_up().await;
        assert!(replicator.is_running(), "{outage:?} has ended it:\n{}", tail(&world.log()));
    }
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for worker in load {
        committed += worker.await.expect("a worker ends");
    }
    assert!(committed > 100, "the load did next to nothing: {committed} transactions");
    world.caught_up().await;
    world.assert_equal().await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// Each outage once, on one server or the other; with `SIRENIA_TEST_FULL=1` on both.
async fn in_the_snapshot(kind: SourceKind) {
    let outages: &[Outage] = match kind {
        _ if full() => &[Outage::TargetCrash, Outage::SourceCrash, Outage::BothCrash],
        SourceKind::MySql => &[Outage::SourceCrash],
        _ => &[Outage::TargetCrash, Outage::BothCrash],
    };
    for outage in outages.iter().copied() {
        let mut world = filled(kind, 150_000).await;
        let stop = Arc::new(AtomicBool::new(false));
        let load = load(&world, &stop);
        let mut replicator = world.replicate(&[]);
        let mut watch = Watch::new(&world);
        let copied = watch
            .until("the snapshot's first rows", async |watch| {
                let rows: i64 = watch.tables().await.iter().map(|table| table.rows).sum();
                (rows > 0).then_some(rows)
            })
            .await;
        assert_eq!(watch.checkpoint().await.expect("a checkpoint").phase, "snapshot", "{copied} rows: too late");
        drop(watch);
        happen(&mut world, outage).await;
        stop.store(true, Ordering::Relaxed);
        for worker in load {
            worker.await.expect("a worker ends");
        }
        world.caught_up().await;
        world.assert_equal().await;
        assert!(replicator.is_running(), "{outage:?} has ended it:\n{}", tail(&world.log()));
        assert_eq!(replicator.terminate().await.0, 0);
    }
}

/// Neither server is there when it is started: it waits for them.
async fn at_the_start(kind: SourceKind) {
    let mut world = filled(kind, 1000).await;
    world.source.stop().await.expect("the source stops");
    world.target.stop().await.expect("the target stops");
    let mut replicator = world.replicate(&[]);
    world.logged(&["WARN"]).await;
    world.target.restart().await.expect("the target restarts");
    world.source.restart().await.expect("the source restarts");
    world.caught_up().await;
    world.assert_equal().await;
    assert!(replicator.is_running(), "it has ended:\n{}", tail(&world.log()));
    assert_eq!(replicator.terminate().await.0, 0);
}

on_both! {
    in_the_stream
    in_the_snapshot
    at_the_start
}
