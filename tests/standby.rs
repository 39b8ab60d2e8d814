//! One writer: a second instance waits, takes over when the first has died, and a suspended one that wakes up cannot
//! commit any more.

use crate::support::{DATABASE, Setup, Watch, World, on_both};
use crate::workload::{before, random_load, schema};
use nix::sys::signal::Signal;
use sirenia::embedded::SourceKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const MANY: usize = 5;

/// "Within seconds": the time to live of the lease in these tests, and the most a takeover may take on a slow machine.
const TTL: u64 = 3;
const TAKEOVER: Duration = Duration::from_secs(20);

/// Random transactions until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<u64>>,
}

impl Load {
    fn start(world: &World, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |n: u64| tokio::spawn(random_load(world.source.url(DATABASE), seed + n, MANY, Arc::clone(&stop)));
        Self { workers: (0..2).map(work).collect(), stop }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut committed = 0;
        for worker in self.workers {
            committed += worker.await.expect("a worker ends");
        }
        assert!(committed > 20, "the load did next to nothing: {committed} transactions");
    }
}

async fn world(kind: SourceKind, ttl: u64) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = format!("[lease]\nttl = {ttl}\n");
    let mut sql = schema(MANY);
    sql.extend(before(MANY, 2000));
    world.run_on_one(&sql).await;
    world
}

const EPOCH: &str = "SELECT epoch::text FROM sirenia.lease";

async fn epoch(watch: &mut Watch<'_>) -> i64 {
    watch.until("the lease", async |watch| watch.text(EPOCH).await?.parse().ok()).await
}

/// Waits until another epoch than `old` holds the lease: how long that took.
async fn taken_over(watch: &mut Watch<'_>, old: i64) -> (i64, Duration) {
    let since = Instant::now();
    let new = watch
        .until("the takeover", async |watch| {
            let epoch: i64 = watch.text(EPOCH).await?.parse().ok()?;
            (epoch != old).then_some(epoch)
        })
        .await;
    assert!(new > old, "the epoch went from {old} to {new}");
    (new, since.elapsed())
}

/// Waits until an instance stands by: its session says so.
async fn standing_by(watch: &mut Watch<'_>) {
    let sql = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'sirenia/%/standby'";
    watch.until_true("the second instance stands by", sql).await;
}

/// Waits until something was committed under this epoch.
async fn writes_under(watch: &mut Watch<'_>, epoch: i64) {
    let what = format!("a checkpoint under epoch {epoch}");
    watch.until(what, async |watch| (watch.checkpoint().await?.epoch == epoch).then_some(())).await;
}

/// Notes every change of the checkpoint with its epoch and the session that made it; what is rolled back is not noted.
async fn note_writers(world: &World) {
    let sql = "CREATE SCHEMA pengamat;
        CREATE TABLE pengamat.tulisan (nomor bigserial PRIMARY KEY, epoch bigint NOT NULL, nama text NOT NULL);
        CREATE FUNCTION pengamat.catat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO pengamat.tulisan (epoch, nama) VALUES (NEW.epoch, current_setting('application_name'));
            RETURN NULL; END $$;
        CREATE TRIGGER catat AFTER INSERT OR UPDATE ON sirenia.checkpoint FOR EACH ROW EXECUTE FUNCTION pengamat.catat()";
    world.target().await.batch_execute(sql).await.expect("the observer is made");
}

/// Fails if an older epoch wrote behind a newer one.
async fn assert_epochs_never_go_back(world: &World, at_least: i64) {
    let sql = "SELECT count(*) FILTER (WHERE epoch < before), count(*) FILTER (WHERE nama NOT LIKE 'sirenia/%/' || epoch),
                      max(epoch) FROM (SELECT epoch, nama, lag(epoch) OVER (ORDER BY nomor) AS before FROM pengamat.tulisan) AS t";
    let row = world.target().await.query_one(sql, &[]).await.expect("the observer's notes");
    let (back, foreign, last): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(back, 0, "an older epoch has written behind a newer one");
    assert_eq!(foreign, 0, "a session wrote under an epoch that is not its own");
    assert!(last >= at_least, "nothing was written under epoch {at_least}");
}

async fn a_kill_is_taken_over(kind: SourceKind) {
    let world = world(kind, TTL).await;
    let load = Load::start(&world, 7);
    let mut first = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    watch.until_phase("follow").await;
    let old = epoch(&mut watch).await;
    let mut second = world.replicate(&[]);
    standing_by(&mut watch).await;
    assert_eq!(epoch(&mut watch).await, old, "the second instance did not wait");
    assert!(first.is_running() && second.is_running());

    first.kill();
    let (new, took) = taken_over(&mut watch, old).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    writes_under(&mut watch, new).await;
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    assert_eq!(second.terminate().await.0, 0);
}

async fn a_kill_in_the_snapshot_is_taken_over(kind: SourceKind) {
    let world = world(kind, TTL).await;
    world
        .run(&[
            "CREATE TABLE besar (id INT PRIMARY KEY, isi VARCHAR(100))",
            &format!("INSERT INTO besar SELECT n, CONCAT('isi ', n) FROM {}", crate::workload::numbers(150_000)),
        ])
        .await;
    let load = Load::start(&world, 11);
    let mut first = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    let old = epoch(&mut watch).await;
    let mut second = world.replicate(&[]);
    standing_by(&mut watch).await;
    watch
        .until("the snapshot's first rows", async |watch| {
            let copied: i64 = watch.tables().await.iter().map(|table| table.rows).sum();
            (copied > 0).then_some(())
        })
        .await;
    first.kill();
    let before = watch.checkpoint().await.expect("a checkpoint");
    assert_eq!(before.phase, "snapshot", "the kill came after the snapshot");
    let (new, took) = taken_over(&mut watch, old).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    writes_under(&mut watch, new).await;
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    assert_eq!(world.log().lines().filter(|line| line.contains("the snapshot starts")).count(), 1);
    assert_eq!(second.terminate().await.0, 0);
}

async fn a_suspended_writer_cannot_commit(kind: SourceKind) {
    let world = world(kind, TTL).await;
    let load = Load::start(&world, 13);
    let mut first = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    watch.until_phase("follow").await;
    note_writers(&world).await;
    let old = epoch(&mut watch).await;
    writes_under(&mut watch, old).await;
    let mut second = world.replicate(&[]);
    standing_by(&mut watch).await;

    first.signal(Signal::SIGSTOP);
    let (new, took) = taken_over(&mut watch, old).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    writes_under(&mut watch, new).await;
    // whatever it had under way when it was suspended, it now goes on with
    first.signal(Signal::SIGCONT);
    watch
        .until("the first instance ends or stands by", async |watch| {
            if !first.is_running() {
                return Some(());
            }
            let sql = format!(
                "SELECT count(*) FILTER (WHERE application_name LIKE 'sirenia/%/{old}') = 0
                    AND count(*) FILTER (WHERE application_name LIKE 'sirenia/%/standby') > 0
                   FROM pg_stat_activity"
            );
            let rows = watch.rows(&sql).await?;
            rows.first()?.get::<_, bool>(0).then_some(())
        })
        .await;
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    assert_epochs_never_go_back(&world, new).await;
    let (lease, checkpoint) = (epoch(&mut watch).await, watch.checkpoint().await.expect("a checkpoint"));
    assert_eq!((lease, checkpoint.epoch), (new, new), "somebody else has taken over");
    assert!(second.is_running(), "the second instance has ended:\n{}", world.log());

    // and it is a good standby again, if it still runs
    if first.is_running() {
        second.kill();
        let (newest, _) = taken_over(&mut watch, new).await;
        world.run(&["UPDATE banyak SET isi = 'setelah semua' WHERE id = 1"]).await;
        writes_under(&mut watch, newest).await;
        world.caught_up().await;
        world.assert_equal().await;
        assert_epochs_never_go_back(&world, newest).await;
        assert_eq!(first.terminate().await.0, 0);
    }
}

async fn sigterm_hands_the_lease_over(kind: SourceKind) {
    // nobody would wait so long: only a lease that is given back lets the second in
    let world = world(kind, 600).await;
    let load = Load::start(&world, 17);
    let mut first = world.replicate(&[]);
    let mut watch = Watch::new(&world);
    watch.until_phase("follow").await;
    let old = epoch(&mut watch).await;
    let mut second = world.replicate(&[]);
    standing_by(&mut watch).await;
    assert_eq!(first.terminate().await.0, 0);
    let (new, took) = taken_over(&mut watch, old).await;
    assert!(took < TAKEOVER, "the takeover took {took:?}");
    writes_under(&mut watch, new).await;
    load.end().await;
    world.caught_up().await;
    world.assert_equal().await;
    // a standby ends when it is told to as well
    let mut third = world.replicate(&[]);
    standing_by(&mut watch).await;
    assert_eq!(third.terminate().await.0, 0);
    assert_eq!(second.terminate().await.0, 0);
}

on_both! {
    a_kill_is_taken_over
    a_kill_in_the_snapshot_is_taken_over
    a_suspended_writer_cannot_commit
    sigterm_hands_the_lease_over
}
