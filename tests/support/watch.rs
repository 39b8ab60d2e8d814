//! Looking at the control tables from outside: how far the replicator is, and waiting until it is there.

use super::{DATABASE, PATIENCE, World, tail};
use std::fmt;
use std::time::{Duration, Instant};

/// How often the control tables are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What the checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// `snapshot`, `catch-up`, `index` or `follow`.
    pub phase: String,
    pub epoch: i64,
    /// The position as JSON text, in PostgreSQL's spelling.
    pub position: String,
}

/// One table of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    pub source: String,
    /// `pending`, `copying`, `copied`, `ready`
    pub state: String,
    /// Rows copied, those of an unfinished copy included.
    pub rows: i64,
    /// The target table's file: another one after TRUNCATE or when the table is made anew.
    pub file: Option<u32>,
}

impl TableState {
    /// `pending` is 0, `ready` 3.
    pub fn rank(&self) -> usize {
        let states = ["pending", "copying", "copied", "ready"];
        states.iter().position(|state| *state == self.state).unwrap_or_else(|| panic!("unknown state {}", self.state))
    }
}

/// The order of the phases.
pub fn rank(phase: &str) -> usize {
    let phases = ["snapshot", "catch-up", "index", "follow"];
    let phase = phase.replace('_', "-");
    phases.iter().position(|known| *known == phase).unwrap_or_else(|| panic!("unknown phase {phase}"))
}

/// A connection to the target that is opened again when it is cut.
pub struct Watch<'a> {
    world: &'a World,
    client: Option<tokio_postgres::Client>,
}

impl<'a> Watch<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, client: None }
    }

    /// The rows of a query; none while the target cannot be asked or does not know the tables.
    pub async fn rows(&mut self, sql: &str) -> Option<Vec<tokio_postgres::Row>> {
        if self.client.as_ref().is_none_or(tokio_postgres::Client::is_closed) {
            let url = self.world.target.url(DATABASE);
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.ok()?;
            tokio::spawn(connection);
            self.client = Some(client);
        }
        self.client.as_ref()?.query(sql, &[]).await.ok()
    }

    /// The first column of the first row, as text.
    pub async fn text(&mut self, sql: &str) -> Option<String> {
        self.rows(sql).await?.first()?.try_get::<_, Option<String>>(0).ok()?
    }

    pub async fn checkpoint(&mut self) -> Option<Checkpoint> {
        let rows = self.rows("SELECT phase, epoch, position::text FROM sirenia.checkpoint").await?;
        let row = rows.first()?;
        Some(Checkpoint { phase: row.get(0), epoch: row.get(1), position: row.get(2) })
    }

    /// All tables of the pipeline; empty while there are none.
    pub async fn tables(&mut self) -> Vec<TableState> {
        let sql = "SELECT t.source_table, t.state, greatest(t.rows_copied, coalesce((SELECT sum(p.rows_copied)
                     FROM sirenia.snapshot_progress p WHERE (p.pipeline, p.source_database, p.source_table)
                          = (t.pipeline, t.source_database, t.source_table)), 0))::bigint,
                     (SELECT c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = t.target_schema AND c.relname = t.target_table)
                     FROM sirenia.table_state t ORDER BY 1";
        let rows = self.rows(sql).await.unwrap_or_default();
        let state = |row: &tokio_postgres::Row| TableState {
            source: row.get(0),
            state: row.get(1),
            rows: row.get(2),
            file: row.get(3),
        };
        rows.iter().map(state).collect()
    }

    /// Looks until `seen` finds what it looks for. Panics with the log when that takes too long.
    pub async fn until<T>(&mut self, what: impl fmt::Display, mut seen: impl AsyncFnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(found) = seen(self).await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
        let last = self.checkpoint().await;
        panic!("waited in vain: {what}; the checkpoint is {last:?}, the log ends:\n{}", tail(&self.world.log()));
    }

    /// Waits until the pipeline is in this phase or a later one.
    pub async fn until_phase(&mut self, phase: &str) -> Checkpoint {
        self.until(format!("the phase {phase}"), async |watch| {
            watch.checkpoint().await.filter(|checkpoint| rank(&checkpoint.phase) >= rank(phase))
        })
        .await
    }

    /// Waits until a query answers `true`.
    pub async fn until_true(&mut self, what: &str, sql: &str) {
        self.until(what, async |watch| {
            let rows = watch.rows(sql).await?;
            rows.first()?.try_get::<_, bool>(0).ok()?.then_some(())
        })
        .await;
    }
}

impl World {
    /// Waits until the log of this world has a line with all of these words. Panics with the log otherwise.
    pub async fn logged(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let all = |line: &&str| words.iter().all(|word| line.to_lowercase().contains(&word.to_lowercase()));
            if let Some(line) = log.lines().find(all) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no line with {words:?} in the log, which ends:\n{}", tail(&log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
