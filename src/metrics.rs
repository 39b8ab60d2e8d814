//! What is counted and measured: names and handles only. Imports nothing of this crate.
//!
//! Handles are reference-counted, so a clone of [`Metrics`] is cheap and counts into the same numbers. Each process
//! has its own registry: two pipelines in one test do not mix. Labels name structure (table, column), never values.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, exponential_buckets,
};

/// The values of the `phase` label of `sirenia_phase`, in the order a pipeline goes through them.
pub const PHASES: [&str; 8] =
    ["starting", "standby", "snapshot", "catch_up", "streaming", "retrying", "stopped", "failed"];

/// The values of the `state` label of `sirenia_snapshot_tables`.
pub const SNAPSHOT_STATES: [&str; 3] = ["waiting", "copying", "done"];

/// All handles.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// `sirenia_transactions_total`: source transactions committed on the target.
    pub transactions: IntCounter,
    /// `sirenia_changes_total{op="insert"}`: row changes of the stream committed on the target.
    pub inserts: IntCounter,
    /// `sirenia_changes_total{op="update"}`
    pub updates: IntCounter,
    /// `sirenia_changes_total{op="delete"}`
    pub deletes: IntCounter,
    /// `sirenia_rows_total{phase="snapshot"}`: rows sent to the target by the snapshot.
    pub snapshot_rows: IntCounter,
    /// `sirenia_rows_total{phase="stream"}`: rows sent to the target by the stream, after merging.
    pub stream_rows: IntCounter,
    /// `sirenia_bytes_received_total`: bytes of events received from the source.
    pub bytes_received: IntCounter,
    /// `sirenia_batches_total`: batches committed on the target.
    pub batches: IntCounter,
    /// `sirenia_retries_total{kind}`: attempts repeated, by what failed.
    pub retries: IntCounterVec,
    /// `sirenia_lease_held`: 1 while this instance may write.
    pub lease_held: IntGauge,
    /// `sirenia_lag_bytes`: binlog bytes between the source's end and the checkpoint.
    pub lag_bytes: IntGauge,
    /// `sirenia_batch_apply_seconds`: from a batch's first statement to its commit.
    pub batch_apply_seconds: Histogram,
    /// `sirenia_batch_rows`: row changes per batch.
    pub batch_rows: Histogram,
    /// `sirenia_last_progress_timestamp_seconds`: when the status was last brought up to date. A lag that does not
    /// move is only good news while this does.
    pub last_progress: IntGauge,
    sanitized: IntCounterVec,
    quarantined: IntGaugeVec,
    phase: IntGaugeVec,
    lag_seconds: Gauge,
    snapshot_tables: GaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics, all zero, in a registry of their own.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histogram = |name: &str, help: &str, from: f64, factor: f64, count: usize| {
            let buckets = exponential_buckets(from, factor, count);
            register(
                &registry,
                buckets.and_then(|buckets| Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))),
            )
        };
        let changes = counters("sirenia_changes_total", "Row changes of the stream committed on the target.", &["op"]);
        let rows = counters("sirenia_rows_total", "Rows sent to the target.", &["phase"]);
        let phase = Opts::new("sirenia_phase", "1 for the phase the pipeline is in, 0 for the others.");
        let tables = Opts::new("sirenia_snapshot_tables", "Tables of the snapshot by state.");
        let build = Opts::new("sirenia_build_info", "1, with the version as a label.");
        let build = register(&registry, IntGaugeVec::new(build, &["version"]));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            transactions: counter("sirenia_transactions_total", "Source transactions committed on the target."),
            inserts: changes.with_label_values(&["insert"]),
            updates: changes.with_label_values(&["update"]),
            deletes: changes.with_label_values(&["delete"]),
            snapshot_rows: rows.with_label_values(&["snapshot"]),
            stream_rows: rows.with_label_values(&["stream"]),
            bytes_received: counter("sirenia_bytes_received_total", "Bytes of events received from the source."),
            batches: counter("sirenia_batches_total", "Batches committed on the target."),
            retries: counters("sirenia_retries_total", "Attempts repeated, by what failed.", &["kind"]),
            lease_held: gauge("sirenia_lease_held", "1 while this instance may write."),
            lag_bytes: gauge("sirenia_lag_bytes", "Binlog bytes between the source's end and the checkpoint."),
            batch_apply_seconds: histogram(
                "sirenia_batch_apply_seconds",
                "Time from a batch's first statement to its commit.",
                0.001,
                2.5,
                12,
            ),
            batch_rows: histogram("sirenia_batch_rows", "Row changes per batch.", 1.0, 4.0, 11),
            last_progress: gauge(
                "sirenia_last_progress_timestamp_seconds",
                "When the status was last brought up to date, seconds since 1970.",
            ),
            sanitized: counters(
                "sirenia_sanitized_total",
                "Values changed to fit the target, by column and reason.",
                &["table", "column", "reason"],
            ),
            quarantined: register(
                &registry,
                IntGaugeVec::new(Opts::new("sirenia_quarantined_rows", "Rows in quarantine, by table."), &["table"]),
            ),
            phase: register(&registry, IntGaugeVec::new(phase, &["phase"])),
            lag_seconds: register(
                &registry,
                Gauge::new("sirenia_lag_seconds", "Age of the newest change on the target; NaN while unknown."),
            ),
            snapshot_tables: register(&registry, GaugeVec::new(tables, &["state"])),
            registry,
        };
        metrics.set_phase(PHASES[0]);
        metrics.set_lag_seconds(None);
        metrics.set_snapshot_tables([0, 0, 0]);
        metrics
    }

    /// Says which phase the pipeline is in: one of [`PHASES`].
    pub fn set_phase(&self, phase: &str) {
        for name in PHASES {
            self.phase.with_label_values(&[name]).set(i64::from(name == phase));
        }
    }

    /// Sets the lag; unknown is NaN, because 0 would say that all is well.
    pub fn set_lag_seconds(&self, seconds: Option<f64>) {
        self.lag_seconds.set(seconds.unwrap_or(f64::NAN));
    }

    /// Sets how many tables of the snapshot are in each of [`SNAPSHOT_STATES`].
    #[expect(clippy::cast_precision_loss, reason = "tables are counted in thousands")]
    pub fn set_snapshot_tables(&self, counts: [usize; 3]) {
        for (state, count) in SNAPSHOT_STATES.iter().zip(counts) {
            self.snapshot_tables.with_label_values(&[*state]).set(count as f64);
        }
    }

    /// Counts values that were changed to fit.
    pub fn add_sanitized(&self, table: &str, column: &str, reason: &str, count: u64) {
        self.sanitized.with_label_values(&[table, column, reason]).inc_by(count);
    }

    /// Sets how many rows of a table are in quarantine; whether there are more than before.
    #[must_use]
    pub fn set_quarantined(&self, table: &str, rows: u64) -> bool {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let gauge = self.quarantined.with_label_values(&[table]);
        let before = gauge.get();
        gauge.set(rows);
        rows > before
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn encode(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// Makes a metric known to the registry.
///
/// # Panics
/// When a name is malformed or taken twice: both are fixed in this file, and its test would show it.
fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the names and labels of this file are well formed");
    registry.register(Box::new(metric.clone())).expect("the names of this file are distinct");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_from_the_start() {
        let metrics = Metrics::new();
        metrics.clone().inserts.inc_by(3);
        metrics.add_sanitized("lab.pasien", "born", "zero_date", 2);
        metrics.retries.with_label_values(&["target_unavailable"]).inc();
        assert!(metrics.set_quarantined("lab.hasil", 4) && !metrics.set_quarantined("lab.hasil", 3));
        metrics.set_phase("streaming");
        let text = metrics.encode();
        for line in [
            "sirenia_transactions_total 0",
            "sirenia_changes_total{op=\"insert\"} 3",
            "sirenia_changes_total{op=\"delete\"} 0",
            "sirenia_rows_total{phase=\"snapshot\"} 0",
            "sirenia_bytes_received_total 0",
            "sirenia_batches_total 0",
            "sirenia_sanitized_total{column=\"born\",reason=\"zero_date\",table=\"lab.pasien\"} 2",
            "sirenia_quarantined_rows{table=\"lab.hasil\"} 3",
            "sirenia_retries_total{kind=\"target_unavailable\"} 1",
            "sirenia_phase{phase=\"streaming\"} 1",
            "sirenia_phase{phase=\"starting\"} 0",
            "sirenia_lag_seconds NaN",
            "sirenia_lag_bytes 0",
            "sirenia_lease_held 0",
            "sirenia_snapshot_tables{state=\"copying\"} 0",
            "sirenia_batch_apply_seconds_count 0",
            "sirenia_batch_rows_count 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn two_registries_do_not_mix() {
        let (a, b) = (Metrics::new(), Metrics::new());
        a.batches.inc();
        assert_eq!((a.batches.get(), b.batches.get()), (1, 0));
    }
}
