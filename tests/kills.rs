//! Seeded SIGKILLs spread over snapshot, catch-up and stream, under load: nothing lost, doubled or changed, and no
//! second snapshot.
//!
//! A seed makes a schedule: in which phase, and how far into it, each SIGKILL falls. A world is one pair of servers with
//! one schedule. The normal run is a sample (8 kills on each server kind); `SIRENIA_TEST_FULL=1` runs 100 on each. A
//! failing schedule prints its seed and the command that runs it alone (`SIRENIA_TEST_SEED`).

use crate::support::watch::{Checkpoint, TableState, rank};
use crate::support::{DATABASE, Replicator, Setup, Watch, World, full};
use crate::workload::{Random, before, numbers, random_load, schema};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Schedules of one server kind that run as tests of their own.
const SLICES: u64 = 2;
/// Worlds of a slice, and kills in a world: 2 × 1 × 4 = 8 kills in the normal run, 2 × 10 × 5 = 100 in the full one.
const SAMPLE: (u64, usize) = (1, 4);
const FULL: (u64, usize) = (10, 5);

/// Plain tables on top of the awkward ones.
const MANY: usize = 10;
/// Rows of each of the two large tables: the snapshot must last long enough to be killed in its middle.
const LARGE: u32 = 60_000;
/// Tables whose copy may begin anew after a kill: without a usable key, or of an engine without transactions.
const COPIED_WHOLE: [&str; 4] = ["tanpa_kunci", "besar_tanpa_kunci", "mesin_lama", "mesin_lama_tanpa_kunci"];

/// When a SIGKILL falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// In the snapshot, once so many thousandths of the rows are copied.
    Snapshot { permille: u64 },
    /// In the catch-up, so many milliseconds after it was seen to have begun.
    CatchUp { after: u64 },
    /// In the stream, so many milliseconds after a batch was seen to commit.
    Stream { after: u64 },
    /// So many milliseconds after the start, wherever that is.
    Start { after: u64 },
}

/// At least one kill in each phase, the others anywhere; in the order in which the phases come.
fn schedule(seed: u64, kills: usize) -> Vec<Aim> {
    let mut random = Random(seed);
    let mut aims: Vec<Aim> = (0..kills)
        .map(|n| match if n < 3 { n as u64 } else { random.below(4) } {
            0 => Aim::Snapshot { permille: random.below(850) },
            1 => Aim::CatchUp { after: if random.below(2) == 0 { 0 } else { random.below(40) } },
            2 => Aim::Stream { after: random.below(1000) },
            _ => Aim::Start { after: random.below(3000) },
        })
        .collect();
    aims.sort_unstable();
    // a start is killed somewhere among the others
    let starts: Vec<Aim> = aims.iter().copied().filter(|aim| matches!(aim, Aim::Start { .. })).collect();
    aims.retain(|aim| !matches!(aim, Aim::Start { .. }));
    for start in starts {
        let at = random.below(aims.len() as u64) as usize + 1;
        aims.insert(at, start);
    }
    aims
}

/// What the target holds right after a kill.
#[derive(Debug)]
struct Seen {
    checkpoint: Option<Checkpoint>,
    tables: Vec<TableState>,
}

impl Seen {
    fn rank(&self) -> Option<usize> {
        self.checkpoint.as_ref().map(|checkpoint| rank(&checkpoint.phase))
    }

    /// Fails if anything that was copied has been copied again since `before`.
    fn assert_continues(&self, before: &Seen) {
        let (Some(was), Some(is)) = (&before.checkpoint, &self.checkpoint) else {
            assert!(before.checkpoint.is_none(), "the checkpoint has gone: {before:?}");
            return;
        };
        assert!(rank(&is.phase) >= rank(&was.phase), "back from {was:?} to {is:?}");
        if is.phase == "snapshot" {
            assert_eq!(is.position, was.position, "the snapshot has begun again");
        }
        let now: BTreeMap<&str, &TableState> = self.tables.iter().map(|table| (table.source.as_str(), table)).collect();
        for was in &before.tables {
            let is = now.get(was.source.as_str()).unwrap_or_else(|| panic!("{was:?} has gone"));
            let copied = was.rank() >= 2;
            if copied || !COPIED_WHOLE.contains(&was.source.as_str()) {
                assert!(is.rank() >= was.rank(), "copied again: {was:?}, {is:?}");
                assert!(is.rows >= was.rows, "rows were copied again: {was:?}, {is:?}");
                assert!(was.rows == 0 || is.file == was.file, "the target table was made again: {was:?}, {is:?}");
            }
            if copied {
                assert_eq!(is.rows, was.rows, "copied again: {was:?}, {is:?}");
            }
        }
    }
}

/// Says how to run a schedule alone, when it fails.
struct Seed {
    seed: u64,
    kind: SourceKind,
    aims: Vec<Aim>,
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, kind, aims } = self;
            let full = if aims.len() > SAMPLE.1 { "SIRENIA_TEST_FULL=1 " } else { "" };
            eprintln!(
                "\nthis schedule failed: {aims:?}\nrun it alone: {full}SIRENIA_TEST_SEED={seed} cargo test --test main kills::{kind}_0"
            );
        }
    }
}

async fn slice(kind: SourceKind, slice: u64) {
    let (worlds, kills) = if full() { FULL } else { SAMPLE };
    assert_eq!(SLICES * FULL.0 * FULL.1 as u64, 100);
    let seeds: Vec<u64> = match std::env::var("SIRENIA_TEST_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIRENIA_TEST_SEED is a number")],
        Err(_) => (0..worlds).map(|world| 1000 + slice * 101 + world).collect(),
    };
    for seed in seeds {
        // by file and by GTID, with full and least metadata, in turn
        let setup = Setup { kind, gtid: seed.is_multiple_of(2), full_metadata: seed / 100 % 2 == 0 };
        let seed = Seed { seed, kind, aims: schedule(seed, kills) };
        run(setup, &seed).await;
    }
}

/// Changes large ranges again and again, so that the catch-up has something to do.
async fn bursts(url: String, seed: u64, stop: Arc<AtomicBool>) {
    let mut random = Random(seed);
    let mut conn = mysql_async::Conn::from_url(&url).await.expect("the source takes a connection");
    while !stop.load(Ordering::Relaxed) {
        let (table, from) = (random.below(2) + 1, random.below(u64::from(LARGE)));
        let to = from + random.below(2000);
        let sql = match random.below(6) {
            0 => format!("DELETE FROM besar_{table} WHERE id BETWEEN {from} AND {}", from + 50),
            1 => format!("INSERT IGNORE INTO besar_{table} SELECT n + {from}, n, 'baru', 'lagi' FROM {}", numbers(300)),
            2 => format!("UPDATE IGNORE besar_{table} SET id = id + 1000000 WHERE id BETWEEN {from} AND {}", from + 20),
            _ => {
                format!("UPDATE besar_{table} SET n = n + 1, isi = CONCAT('ubah ', n) WHERE id BETWEEN {from} AND {to}")
            }
        };
        // deadlocks with the other load are part of life
        let _ = conn.query_drop(sql).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn run(setup: Setup, seed: &Seed) {
    let mut world = World::new(setup).await;
    world.config = "[lease]\nttl = 2\n[apply]\nmemory = \"32MB\"\n".into();
    let mut sql = schema(MANY);
    sql.extend(before(MANY, 20_000));
    for table in 1..=2 {
        sql.push(format!("CREATE TABLE besar_{table} (id INT PRIMARY KEY, n INT NOT NULL, isi VARCHAR(60), lain VARCHAR(60), KEY n (n))"));
        let text = "CONCAT('isi yang agak panjang ', n), CONCAT('lain ', n * 7)";
        sql.push(format!("INSERT INTO besar_{table} SELECT n, n * 3, {text} FROM {}", numbers(LARGE)));
    }
    world.run_on_one(&sql).await;
    let rows = 2 * u64::from(LARGE) + 50_000; // about

    let stop = Arc::new(AtomicBool::new(false));
    let url = world.source.url(DATABASE);
    let mut load: Vec<_> =
        (0..2).map(|n| tokio::spawn(random_load(url.clone(), seed.seed + n, MANY, Arc::clone(&stop)))).collect();
    let bursts = tokio::spawn(bursts(url.clone(), seed.seed, Arc::clone(&stop)));

    let mut hits = [0; 4];
    let mut seen = Seen { checkpoint: None, tables: Vec::new() };
    for aim in &seed.aims {
        let mut replicator = world.replicate(&[]);
        wait_for(&world, &mut replicator, *aim, rows).await;
        replicator.kill();
        let now = after_kill(&world).await;
        now.assert_continues(&seen);
        if let Some(phase) = now.rank() {
            hits[phase] += 1;
        }
        seen = now;
    }
    println!("seed {}: kills in snapshot, catch-up, index, stream: {hits:?}", seed.seed);
    assert!(hits[0] > 0, "no kill fell into the snapshot: {hits:?}");
    assert!(hits[1] > 0, "no kill fell into the catch-up: {hits:?}");
    assert!(hits[3] > 0, "no kill fell into the stream: {hits:?}");

    let mut replicator = world.replicate(&[]);
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for worker in load.drain(..) {
        committed += worker.await.expect("a worker ends");
    }
    bursts.await.expect("the bursts end");
    assert!(committed > 100, "the load did next to nothing: {committed} transactions");
    world.caught_up().await;
    world.assert_equal().await;
    let last = Watch::new(&world);
    observe(last).await.assert_continues(&seen);
    assert!(replicator.is_running(), "the replicator has ended:\n{}", world.log());
    assert_eq!(replicator.terminate().await.0, 0);
    let log = world.log();
    let begun = log.lines().filter(|line| line.contains("the snapshot starts")).count();
    assert_eq!(begun, 1, "the snapshot has begun {begun} times over all restarts:\n{log}");
}

/// Waits until the moment has come.
async fn wait_for(world: &World, replicator: &mut Replicator, aim: Aim, rows: u64) {
    let mut watch = Watch::new(world);
    let mut alive = |what: &str| assert!(replicator.is_running(), "the replicator has ended, {what}:\n{}", world.log());
    match aim {
        Aim::Snapshot { permille } => {
            let enough = (rows * permille / 1000) as i64;
            watch
                .until(format!("{permille} thousandths of the snapshot"), async |watch| {
                    alive("in the snapshot");
                    let checkpoint = watch.checkpoint().await?;
                    let copied: i64 = watch.tables().await.iter().map(|table| table.rows).sum();
                    (checkpoint.phase != "snapshot" || copied >= enough).then_some(())
                })
                .await;
        }
        Aim::CatchUp { after } => {
            watch
                .until("the catch-up", async |watch| {
                    alive("before the catch-up");
                    let checkpoint = watch.checkpoint().await?;
                    (rank(&checkpoint.phase) >= 1).then_some(())
                })
                .await;
            tokio::time::sleep(Duration::from_millis(after)).await;
        }
        Aim::Stream { after } => {
            let first = watch.until_phase("follow").await;
            watch
                .until("a batch in the stream", async |watch| {
                    alive("in the stream");
                    let checkpoint = watch.checkpoint().await?;
                    (checkpoint.position != first.position).then_some(())
                })
                .await;
            tokio::time::sleep(Duration::from_millis(after)).await;
        }
        Aim::Start { after } => {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(after) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// What the target holds once the killed process's sessions have ended: a commit that was under way has been made, or not.
async fn after_kill(world: &World) -> Seen {
    let mut watch = Watch::new(world);
    let sessions = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'sirenia/%'";
    watch.until_true("the killed process's sessions end", sessions).await;
    observe(watch).await
}

async fn observe(mut watch: Watch<'_>) -> Seen {
    Seen { checkpoint: watch.checkpoint().await, tables: watch.tables().await }
}

#[test]
fn schedules_are_the_same_for_a_seed_and_hit_every_phase() {
    for seed in 0..200 {
        let aims = schedule(seed, FULL.1);
        assert_eq!(aims, schedule(seed, FULL.1));
        assert_eq!(aims.len(), FULL.1);
        assert!(aims.iter().any(|aim| matches!(aim, Aim::Snapshot { .. })));
        assert!(aims.iter().any(|aim| matches!(aim, Aim::CatchUp { .. })));
        assert!(aims.iter().any(|aim| matches!(aim, Aim::Stream { .. })));
    }
}

macro_rules! slices {
    ($($name:ident: $kind:ident $slice:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            slice(SourceKind::$kind, $slice).await;
        }
    )*};
}

slices! {
    mariadb_0: MariaDb 0
    mariadb_1: MariaDb 1
    mariadb_11_8: MariaDb118 0
    mysql_0: MySql 0
    mysql_1: MySql 1
}
