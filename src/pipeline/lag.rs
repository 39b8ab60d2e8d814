//! How far the target is behind the source: bytes of binlog not applied yet, looked up beside the stream.

use super::state::Context;
use crate::error::Result;
use crate::position::BinlogOffset;
use crate::source::connect::connect;
use crate::source::server::{binlog_files, write_position};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often it is looked up.
const INTERVAL: Duration = Duration::from_secs(2);

/// Looks until dropped; failures are for the stream to report.
#[must_use]
pub fn watch(context: Arc<Context>) -> LagWatch {
    LagWatch(tokio::spawn(async move {
        loop {
            let _ = look(&context).await;
            tokio::time::sleep(INTERVAL).await;
        }
    }))
}

/// Ends the look-ups when dropped.
#[derive(Debug)]
pub struct LagWatch(JoinHandle<()>);

impl Drop for LagWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look(context: &Context) -> Result<()> {
    let mut conn = connect(&context.source).await?;
    loop {
        let end = write_position(&mut conn, &context.facts).await?.binlog;
        let files = binlog_files(&mut conn).await?;
        context.shared.update(|view| {
            let here = view.position.as_deref().and_then(offset_of);
            view.lag_bytes = here.map(|here| bytes_between(&here, &end, &files));
            if view.lag_bytes == Some(0) {
                view.lag_seconds = Some(0.0);
            }
        });
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The binlog part of a printed position.
fn offset_of(printed: &str) -> Option<BinlogOffset> {
    let (file, offset) = printed.split(' ').next()?.rsplit_once(':')?;
    Some(BinlogOffset::new(file, offset.parse().ok()?))
}

/// Bytes of binlog behind `from` up to `to`, over all files between.
#[must_use]
pub fn bytes_between(from: &BinlogOffset, to: &BinlogOffset, files: &[(String, u64)]) -> u64 {
    if from.file == to.file {
        return to.offset.saturating_sub(from.offset);
    }
    let number = |file: &str| BinlogOffset::new(file, 0).file_number();
    files
        .iter()
        .filter(|(file, _)| (from.file_number()..to.file_number()).contains(&number(file)))
        .map(|(file, size)| if *file == from.file { size.saturating_sub(from.offset) } else { *size })
        .sum::<u64>()
        + to.offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_over_files() {
        let files = [("b.000001".to_owned(), 100), ("b.000002".to_owned(), 50), ("b.000003".to_owned(), 30)];
        let at = |file: &str, offset| BinlogOffset::new(file, offset);
        assert_eq!(bytes_between(&at("b.000001", 60), &at("b.000003", 30), &files), 40 + 50 + 30);
        assert_eq!(bytes_between(&at("b.000003", 10), &at("b.000003", 30), &files), 20);
        assert_eq!(bytes_between(&at("b.000003", 40), &at("b.000003", 30), &files), 0);
    }

    #[test]
    fn printed_positions_are_read_back() {
        assert_eq!(offset_of("b.000001:7 (GTID 0-1-5)"), Some(BinlogOffset::new("b.000001", 7)));
    }
}
