//! Progress on stderr: a bar on a terminal, a log line every few seconds elsewhere.
//!
//! Drawn from the status view alone, so that the pipeline knows nothing of terminals. Log lines and the bar share
//! stderr: [`LogWriter`] takes the bar away while it writes.

use crate::status::{Phase, Shared, SnapshotView, StatusView};
use crate::verify::report::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often a bar is drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Shows progress until `done` resolves. `plain`: lines even on a terminal, as with JSON logs.
pub async fn show(shared: Arc<Shared>, plain: bool, done: impl Future<Output = ()>) {
    let bar = (!plain && std::io::stderr().is_terminal()).then(Bar::new);
    let mut ticks = interval(if bar.is_some() { REDRAW } else { LINE });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // why: an interval's first tick is at once, when there is nothing to say
    ticks.tick().await;
    tokio::pin!(done);
    loop {
        tokio::select! {
            () = &mut done => break,
            _ = ticks.tick() => match &bar {
                Some(bar) => bar.draw(&shared.view()),
                None => line(&shared.view()),
            },
        }
    }
    if let Some(bar) = bar {
        bar.0.finish_and_clear();
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(BARS.add(ProgressBar::no_length()))
    }

    fn draw(&self, view: &StatusView) {
        let copying = view.phase == Phase::Snapshot;
        let template = if copying { "{bar:30} {percent:>3}% {msg}, {eta} left" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        if copying {
            // why: the estimate comes from the source's statistics and may be too low
            self.0.set_length(view.snapshot.rows_estimated.max(view.snapshot.rows_copied).max(1));
            self.0.set_position(view.snapshot.rows_copied);
        }
        self.0.set_message(summary(view));
        self.0.tick();
    }
}

/// Shows how far a comparison is until `work` is done, on a terminal.
pub async fn comparing<T>(progress: &Progress, plain: bool, work: impl Future<Output = T>) -> T {
    let bar = (!plain && std::io::stderr().is_terminal()).then(Bar::new);
    let mut ticks = interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick(), if bar.is_some() => if let Some(bar) = &bar {
                bar.0.set_message(compared(progress));
                bar.0.tick();
            },
        }
    };
    if let Some(bar) = bar {
        bar.0.finish_and_clear();
    }
    done
}

fn compared(progress: &Progress) -> String {
    let numbers = [&progress.tables_done, &progress.tables, &progress.rows, &progress.rows_estimated];
    let [done, tables, rows, estimate] = numbers.map(|number| number.load(Ordering::Relaxed));
    format!("comparing: {done} of {tables} tables, {rows} of about {} rows", estimate.max(rows))
}

/// What is done, in a few words.
fn summary(view: &StatusView) -> String {
    let lag = view.lag_seconds.map(|seconds| format!(", {seconds:.1} s behind")).unwrap_or_default();
    match view.phase {
        Phase::Snapshot => {
            let SnapshotView { tables_total, tables_done, rows_copied, .. } = view.snapshot;
            format!("copying: {tables_done} of {tables_total} tables, {rows_copied} rows")
        }
        Phase::CatchUp => format!("catching up: {} changes{lag}", view.changes),
        Phase::Streaming => {
            format!("following: {} transactions, {} changes{lag}", view.transactions, view.changes)
        }
        _ => view.not_ready().unwrap_or_default(),
    }
}

fn line(view: &StatusView) {
    tracing::info!(phase = %view.phase, position = view.position.as_deref().unwrap_or(""), "{}", summary(view));
}

/// Writes log lines to stderr, above the bar if there is one.
#[derive(Debug, Default)]
pub struct LogWriter(());

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        BARS.suspend(|| std::io::stderr().write_all(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_how_far() {
        let mut view = StatusView { phase: Phase::Snapshot, ..StatusView::default() };
        view.snapshot = SnapshotView { tables_total: 389, tables_done: 12, rows_copied: 5000, rows_estimated: 9000 };
        assert_eq!(summary(&view), "copying: 12 of 389 tables, 5000 rows");
        view.phase = Phase::Streaming;
        (view.transactions, view.changes, view.lag_seconds) = (2, 7, Some(0.25));
        assert_eq!(summary(&view), "following: 2 transactions, 7 changes, 0.2 s behind");
        view.phase = Phase::Standby;
        assert!(summary(&view).starts_with("standby"));
    }

    #[tokio::test]
    async fn it_ends_when_told() {
        let shared = Shared::new("lab", "host:1");
        show(shared, true, tokio::time::sleep(Duration::from_millis(1))).await;
    }
}
