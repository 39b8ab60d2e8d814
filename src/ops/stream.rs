//! Reading a stream to its end, or until it is enough: what tail, record and replay have in common.

use crate::change::{Boundary, RowImages};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::shutdown::Shutdown;
use crate::position::Position;
use crate::spool;
use crate::stream::{Changes, Event, Sink};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what was told may wait in a buffer for more.
const FLUSH: Duration = Duration::from_millis(100);

/// How much was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Transactions that committed.
    pub transactions: u64,
    /// Rows, those of transactions that did not commit too.
    pub rows: u64,
}

/// Hands the stream on to `sink` until it ends, the time is over or the process is asked to end.
///
/// # Errors
/// Those of the stream and of the sink; what was told before has been handed on.
pub async fn tell(
    changes: &mut Changes,
    sink: &mut impl Sink,
    time: Option<Duration>,
    shutdown: &Shutdown,
    told: &mut Told,
) -> Result<()> {
    let ended = run(changes, sink, time, shutdown, told).await;
    let flushed = sink.flush();
    ended.and(flushed)
}

async fn run(
    changes: &mut Changes,
    sink: &mut impl Sink,
    time: Option<Duration>,
    shutdown: &Shutdown,
    told: &mut Told,
) -> Result<()> {
    let end = time.map(|time| tokio::time::Instant::now() + time);
    let over = async {
        match end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let asked = shutdown.raised();
    tokio::pin!(asked);
    let mut waiting: Option<Instant> = None;
    loop {
        let more = tokio::select! {
            biased;
            () = &mut asked => return Ok(()),
            () = &mut over => return Ok(()),
            more = changes.advance() => more?,
            () = tokio::time::sleep(FLUSH), if waiting.is_some() => {
                waiting = None;
                sink.flush()?;
                continue;
            }
        };
        if !more {
            return Ok(());
        }
        match changes.event()? {
            Event::Quiet => continue,
            Event::Boundary(boundary) => {
                told.transactions += u64::from(matches!(boundary, Boundary::Commit { .. }));
                sink.boundary(&boundary)?;
            }
            Event::Rows(mut rows) => {
                let head = rows.head();
                let mut images = RowImages::default();
                while rows.next_row(&mut images)? {
                    told.rows += 1;
                    sink.row(head, &images)?;
                }
            }
        }
        let since = waiting.get_or_insert_with(Instant::now);
        if since.elapsed() >= FLUSH {
            waiting = None;
            sink.flush()?;
        }
    }
}

/// Writes the stream to a new file. However it ends, what was told until then is whole: an open transaction is told as rolled
/// back, and the file has its end. Returns the position up to which it tells everything.
///
/// # Errors
/// `Io` when the file is there already or cannot be written; those of the stream.
pub async fn record(
    changes: &mut Changes,
    file: &Path,
    time: Option<Duration>,
    shutdown: &Shutdown,
    told: &mut Told,
) -> Result<Position> {
    let name = file.display().to_string();
    let created = File::options().write(true).create_new(true).open(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "name another file: a recording is never written over",
            _ => "name a file in a folder that is there and can be written to",
        };
        Error::new(ErrorKind::Io, format!("{name} cannot be made")).with_hint(hint).with_source(error)
    })?;
    let out = BufWriter::with_capacity(256 << 10, created);
    let mut writer = spool::Writer::new(out, name, changes.header().clone())?;
    let ended = tell(changes, &mut writer, time, shutdown, told).await;
    let position = changes.position();
    if changes.in_transaction() {
        writer.boundary(Boundary::Rollback)?;
    }
    writer.finish(position.clone())?;
    ended.map(|()| position)
}
