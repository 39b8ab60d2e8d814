//! How far the replicator is, as its control tables in the target say.

use super::servers::{connect_target, on_target};
use crate::error::Result;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const LOOK: &str = "
SELECT c.phase, c.position->'binlog'->>'file', (c.position->'binlog'->>'offset')::bigint, c.transactions, c.changes,
       count(t.*), count(*) FILTER (WHERE t.state IN ('copied', 'ready')),
       coalesce(sum(greatest(t.rows_copied, p.rows_copied)), 0)::bigint
  FROM sirenia.checkpoint AS c
  LEFT JOIN sirenia.table_state AS t USING (pipeline)
  LEFT JOIN LATERAL (SELECT sum(s.rows_copied)::bigint AS rows_copied FROM sirenia.snapshot_progress AS s
                      WHERE (s.pipeline, s.source_database, s.source_table)
                          = (t.pipeline, t.source_database, t.source_table)) AS p ON true
 GROUP BY c.pipeline";

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The checkpoint's phase; empty before there is one.
    pub phase: String,
    /// Binlog file and offset of the checkpoint.
    pub position: (String, u64),
    /// Source transactions applied since the beginning.
    pub transactions: u64,
    /// Row changes applied since the beginning.
    pub changes: u64,
    pub tables: u64,
    pub tables_copied: u64,
    pub rows_copied: u64,
}

impl Seen {
    /// Whether all tables have been copied.
    pub fn is_behind_copy(&self) -> bool {
        !self.phase.is_empty() && self.phase != "snapshot"
    }

    pub fn is_following(&self) -> bool {
        self.phase == "follow"
    }

    /// Whether everything before `end` has been applied. Binlog files are numbered with leading zeros.
    pub fn has_reached(&self, end: &(String, u64)) -> bool {
        self.position >= *end
    }
}

/// Reads the control tables.
pub(super) struct Watch(Client);

impl Watch {
    pub async fn connect(url: &str) -> Result<Self> {
        connect_target(url).await.map(Self)
    }

    pub async fn look(&self) -> Result<Seen> {
        let row = match self.0.query_opt(LOOK, &[]).await {
            Ok(row) => row,
            // the replicator makes its tables itself, and has not yet
            Err(error) if matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)) => {
                None
            }
            Err(error) => return Err(on_target("read the control tables", error)),
        };
        let Some(row) = row else { return Ok(Seen::default()) };
        let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        Ok(Seen {
            phase: row.get(0),
            position: (row.get::<_, Option<String>>(1).unwrap_or_default(), number(2)),
            transactions: number(3),
            changes: number(4),
            tables: number(5),
            tables_copied: number(6),
            rows_copied: number(7),
        })
    }
}
