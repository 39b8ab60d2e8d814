//! What the pipeline says of itself: one view, shown by `sirenia status`, `/status`, the page and the progress lines.
//!
//! Tier 0, since the pipeline writes it and the surface reads it. [`Shared`] is the one place both hold; a reader
//! takes a copy, so that no lock is held while something is sent. Names structure and numbers, never cell values.

use crate::metrics::Metrics;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a pipeline is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Connecting, checking.
    #[default]
    Starting,
    /// Waiting for another instance's lease.
    Standby,
    /// Copying tables.
    Snapshot,
    /// Applying what was written during the snapshot; then building indexes.
    CatchUp,
    /// Following the source.
    Streaming,
    /// Waiting to try again after an error.
    Retrying,
    /// Finished, or told to stop.
    Stopped,
    /// Stopped by an error that an operator has to mend.
    Failed,
}

impl Phase {
    /// The name, as in JSON and in `sirenia_phase`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Snapshot => "snapshot",
            Self::CatchUp => "catch_up",
            Self::Streaming => "streaming",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pipeline's state at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StatusView {
    /// The pipeline's name.
    pub pipeline: String,
    /// What it is doing.
    pub phase: Phase,
    /// The checkpoint: up to where the target holds the source's commits.
    pub position: Option<String>,
    /// Seconds between the source's commit and ours; unknown before the first.
    pub lag_seconds: Option<f64>,
    /// Binlog bytes between the source's end and the checkpoint.
    pub lag_bytes: Option<u64>,
    /// Source transactions committed on the target since this process started.
    pub transactions: u64,
    /// Row changes committed on the target since this process started.
    pub changes: u64,
    /// Rows sent to the target since this process started, snapshot included.
    pub rows: u64,
    /// The first copy.
    pub snapshot: SnapshotView,
    /// Each table.
    pub tables: Vec<TableView>,
    /// This instance's name, as it stands in the lease.
    pub holder: String,
    /// Whether this instance holds the lease.
    pub lease_held: bool,
    /// Why the pipeline is retrying or has failed.
    pub last_error: Option<String>,
    /// When this process started, seconds since 1970.
    pub started_at: u64,
    /// When this view was last brought up to date, seconds since 1970.
    pub updated_at: u64,
}

/// How far the first copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Tables to copy.
    pub tables_total: u64,
    /// Tables copied.
    pub tables_done: u64,
    /// Rows copied.
    pub rows_copied: u64,
    /// Rows to copy, by the source's estimate.
    pub rows_estimated: u64,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableView {
    /// `database.table` of the source.
    pub source: String,
    /// `schema.table` of the target.
    pub target: String,
    /// As in `sirenia.table_state`: `pending`, `copying`, `copied`, `ready`.
    pub state: String,
    /// Rows copied by the snapshot.
    pub rows_copied: u64,
    /// Rows in quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl StatusView {
    /// Why the target should not be read as a live copy; none while it can be.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let why = match self.phase {
            Phase::Streaming => return None,
            Phase::Snapshot => {
                let SnapshotView { tables_done, tables_total, .. } = self.snapshot;
                format!("snapshot: {tables_done} of {tables_total} tables copied")
            }
            Phase::CatchUp => match self.lag_seconds {
                Some(lag) => format!("catching up: {lag:.0} s behind"),
                None => "catching up".into(),
            },
            Phase::Standby => "standby: another instance holds the lease".into(),
            phase => phase.to_string(),
        };
        Some(match &self.last_error {
            Some(error) if matches!(self.phase, Phase::Retrying | Phase::Failed) => format!("{why}: {error}"),
            _ => why,
        })
    }
}

/// What the pipeline and the surface share.
#[derive(Debug)]
pub struct Shared {
    /// Counters and gauges.
    pub metrics: Metrics,
    status: RwLock<StatusView>,
    told: Mutex<HashMap<Told, (Instant, u64)>>,
}

/// A table, a column, a reason: what is told of once in a while.
type Told = (String, String, &'static str);

/// Between two lines about one column and reason.
const TELL: Duration = Duration::from_secs(60);

impl Shared {
    /// A pipeline that is starting.
    #[must_use]
    pub fn new(pipeline: impl Into<String>, holder: impl Into<String>) -> Arc<Self> {
        let now = unix_time();
        let (pipeline, holder) = (pipeline.into(), holder.into());
        let view = StatusView { pipeline, holder, started_at: now, updated_at: now, ..StatusView::default() };
        Arc::new(Self { metrics: Metrics::new(), status: RwLock::new(view), told: Mutex::default() })
    }

    /// Whether it is time to log about something that happened `count` times more: then how often since the last line.
    pub fn tell(&self, what: Told, count: u64) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(&what) {
            Some((at, untold)) if at.elapsed() < TELL => {
                *untold += count;
                None
            }
            Some((at, untold)) => {
                *at = Instant::now();
                Some(std::mem::take(untold) + count)
            }
            None => {
                told.insert(what, (Instant::now(), 0));
                Some(count)
            }
        }
    }

    /// A copy of the view.
    #[must_use]
    pub fn view(&self) -> StatusView {
        self.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the view, and the gauges that show the same: phase, lag, lease, time of progress.
    pub fn update(&self, change: impl FnOnce(&mut StatusView)) {
        let mut view = self.status.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut view);
        view.updated_at = unix_time();
        self.metrics.set_phase(view.phase.name());
        self.metrics.set_lag_seconds(view.lag_seconds);
        self.metrics.lag_bytes.set(view.lag_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)));
        self.metrics.lease_held.set(i64::from(view.lease_held));
        self.metrics.last_progress.set(i64::try_from(view.updated_at).unwrap_or(i64::MAX));
    }
}

/// Seconds since 1970, by this machine's clock.
#[must_use]
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PHASES;

    #[test]
    fn phases_and_their_metric_have_the_same_names() {
        for name in PHASES {
            let phase: Phase = serde_json::from_value(name.into()).unwrap();
            assert_eq!(phase.name(), name);
        }
    }

    #[test]
    fn an_update_moves_the_gauges_too() {
        let shared = Shared::new("lab", "host:1");
        assert_eq!(shared.view().not_ready().as_deref(), Some("starting"));
        shared.update(|view| {
            view.phase = Phase::Streaming;
            view.lag_seconds = Some(0.5);
            view.lag_bytes = Some(7);
            view.lease_held = true;
        });
        assert_eq!(shared.view().not_ready(), None);
        let text = shared.metrics.encode();
        for line in [
            "sirenia_phase{phase=\"streaming\"} 1",
            "sirenia_lag_seconds 0.5",
            "sirenia_lag_bytes 7",
            "sirenia_lease_held 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn what_keeps_happening_is_told_once() {
        let shared = Shared::new("lab", "host:1");
        let what = |reason| ("lab.pasien".to_owned(), "born".to_owned(), reason);
        assert_eq!(shared.tell(what("zero_date"), 3), Some(3));
        assert_eq!(shared.tell(what("zero_date"), 4), None);
        assert_eq!(shared.tell(what("nul_byte"), 1), Some(1));
    }

    #[test]
    fn the_view_survives_json() {
        let view = StatusView { position: Some("b.000001:4".into()), lag_seconds: Some(1.5), ..StatusView::default() };
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<StatusView>(&json).unwrap(), view);
    }
}
