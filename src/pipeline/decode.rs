//! Event frames → batches, on a thread of its own.
//!
//! Enters: raw binlog events from the transport, through a queue bounded in bytes ([`frame_queue`]). Leaves: merged
//! [`Batch`]es, through a channel of one. Works without waiting: while the target applies a batch, the next one grows to
//! its limits (throughput); when the stream falls idle and the writer has nothing to do, what is there is cut at once
//! (latency). Stops by itself at the first commit at or behind `until`. Never blocks a tokio worker.

use crate::batch::{Batch, Batcher};
use crate::binlog::{BoundaryRef, Decoded, Decoder};
use crate::change::{Boundary, DdlStatement, RowImages};
use crate::error::{Error, ErrorKind, Result};
use crate::position::{BinlogOffset, Position};
use crate::source::transport::RawEvent;
use crossbeam_channel::{Receiver, Sender, TryRecvError, select};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How often an idle stream's position is saved although no replicated row changed.
const SAVE_IDLE_POSITION: Duration = Duration::from_secs(1);

/// One permit of the frame queue's budget, in bytes.
const PERMIT: usize = 1024;

/// The sending half of the frame queue: owned by the async transport.
pub struct FrameSender {
    frames: Sender<Vec<RawEvent>>,
    budget: Arc<Semaphore>,
    permits: usize,
}

/// The receiving half of the frame queue: owned by the decoding thread.
pub struct FrameReceiver {
    frames: Receiver<Vec<RawEvent>>,
    budget: Arc<Semaphore>,
    permits: usize,
}

/// A queue of events bounded to `bytes`; more than that at a time is admitted alone.
#[must_use]
pub fn frame_queue(bytes: usize) -> (FrameSender, FrameReceiver) {
    let permits = (bytes / PERMIT).max(1);
    let budget = Arc::new(Semaphore::new(permits));
    let (sender, receiver) = crossbeam_channel::unbounded();
    (
        FrameSender { frames: sender, budget: Arc::clone(&budget), permits },
        FrameReceiver { frames: receiver, budget, permits },
    )
}

fn permits_of(events: &[RawEvent], most: usize) -> usize {
    let held = |event: &RawEvent| event.len() + size_of::<RawEvent>();
    (events.iter().map(held).sum::<usize>() / PERMIT + 1).min(most)
}

impl FrameSender {
    /// Waits for room and queues the events; false when the decoding thread has stopped.
    pub async fn send(&self, events: Vec<RawEvent>) -> bool {
        let permits = u32::try_from(permits_of(&events, self.permits)).unwrap_or(u32::MAX);
        match self.budget.acquire_many(permits).await {
            Ok(room) => room.forget(),
            Err(_closed) => return false,
        }
        self.frames.send(events).is_ok()
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        self.budget.close(); // a sender that waits for room must not wait for ever
    }
}

/// Why decoding ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything up to `until` has been handed on.
    ReachedUntil,
    /// The transport or the target went away, or a shutdown was asked for.
    Closed,
    /// A DDL statement has to be carried over before its rows can be read; everything before it has been handed on.
    Ddl(Box<DdlStop>),
}

/// A DDL statement that the stream has stopped at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlStop {
    /// The statement.
    pub statement: DdlStatement,
    /// The position behind it; none when it stands inside a transaction (CREATE TABLE … SELECT), which is to be read again.
    pub behind: Option<Position>,
}

/// The decoding thread's work.
pub struct DecodeLoop<D> {
    /// Bytes to events and rows.
    pub decoder: Decoder,
    /// Rows to batches.
    pub batcher: Batcher,
    /// Events.
    pub frames: FrameReceiver,
    /// Batches.
    pub batches: mpsc::Sender<Decoding>,
    /// A word from the writer that it waits for a batch.
    pub idle: Receiver<()>,
    /// Where to stop.
    pub until: Option<BinlogOffset>,
    /// When the events in hand came to be decoded.
    pub now: Instant,
    /// Whether the log does not say what becomes of the other columns where a statement replaces a row by some.
    pub lossy_replace: bool,
    /// Whether a DDL statement (and does it stand inside a transaction?) has to be carried over, which ends the stream.
    pub concerns_us: D,
}

impl DdlStop {
    /// Where the stream goes on: behind the statement, or at the beginning of its transaction.
    #[must_use]
    pub fn goes_on_at(&self) -> &Position {
        self.behind.as_ref().unwrap_or(&self.statement.position)
    }

    /// Where the statement's transaction begins, if it stands inside one.
    #[must_use]
    pub fn inside(&self) -> Option<BinlogOffset> {
        self.behind.is_none().then(|| self.statement.position.binlog.clone())
    }
}

/// How the thread goes on behind an event.
enum Step {
    On,
    /// The receiver of batches has gone.
    Closed,
    Ddl(Box<DdlStop>),
}

/// What leaves the decoding thread.
pub struct Decoding {
    /// Changes to apply.
    pub batch: Batch,
    /// The binlog file now read: name, creation time and server id of its format description.
    pub fingerprint: Option<(String, u32, u32)>,
}

impl<D: FnMut(&DdlStatement, bool) -> bool> DecodeLoop<D> {
    /// Runs until `until`, the end of the frames, or an error.
    ///
    /// # Errors
    /// What the decoder, the converter or the DDL decision refuse; batches before it have been handed on.
    pub fn run(mut self) -> Result<Ended> {
        let frames = self.frames.frames.clone();
        let mut last_cut = self.now;
        let mut images = RowImages::default();
        loop {
            let events = match frames.try_recv() {
                Ok(events) => events,
                Err(TryRecvError::Disconnected) => return Ok(Ended::Closed),
                Err(TryRecvError::Empty) => {
                    let due = self.batcher.moved_to().is_some() && last_cut.elapsed() >= SAVE_IDLE_POSITION;
                    let never = crossbeam_channel::never();
                    let arrived = if due {
                        Ok(None)
                    } else {
                        select! {
                            recv(frames) -> events => events.map(Some),
                            recv(if self.batcher.has_changes() { &self.idle } else { &never }) -> idle => idle.map(|()| None),
                            default(SAVE_IDLE_POSITION) => continue,
                        }
                    };
                    match arrived {
                        Ok(Some(events)) => events,
                        Ok(None) => {
                            last_cut = Instant::now();
                            if !self.cut_at_commit() {
                                return Ok(Ended::Closed);
                            }
                            continue;
                        }
                        Err(_closed) => return Ok(Ended::Closed),
                    }
                }
            };
            self.now = Instant::now();
            for event in &events {
                match self.event(event, &mut images) {
                    Ok(Step::On) => {}
                    Ok(Step::Closed) => return Ok(Ended::Closed),
                    Ok(Step::Ddl(stop)) => {
                        self.hand_on_committed();
                        return Ok(Ended::Ddl(stop));
                    }
                    Err(error) => {
                        self.hand_on_committed();
                        return Err(error);
                    }
                }
                if self.decoder.in_transaction() {
                    continue;
                }
                let reached = self.has_reached();
                if reached || self.batcher.is_full(self.now) {
                    last_cut = self.now;
                    if !self.cut_at_commit() {
                        return Ok(Ended::Closed);
                    }
                }
                if reached {
                    return Ok(Ended::ReachedUntil);
                }
            }
            let permits = permits_of(&events, self.frames.permits);
            drop(events);
            self.frames.budget.add_permits(permits);
        }
    }

    /// Whether the last commit is at or behind `until`.
    fn has_reached(&self) -> bool {
        let (Some(until), Some(position)) = (&self.until, self.batcher.moved_to()) else { return false };
        position.binlog >= *until
    }

    /// Decodes one event, and those inside it, into the batcher.
    fn event(&mut self, event: &RawEvent, buffers: &mut RowImages<'static>) -> Result<Step> {
        let frame = event.frame()?;
        let mut inside = false;
        loop {
            let decoded = if inside { self.decoder.decode_inner(frame)? } else { Some(self.decoder.decode(frame)?) };
            inside = true;
            match decoded {
                None => return Ok(Step::On),
                Some(Decoded::Nothing) => continue,
                Some(Decoded::Rows(mut rows)) => {
                    let (table, op, checks, at) = (rows.table, rows.op, rows.foreign_key_checks, rows.at());
                    let (partial, lossy) = (rows.is_partial(), self.lossy_replace);
                    let schema = self.batcher.schema(table);
                    let mut images = std::mem::take(buffers).emptied();
                    let now = self.now;
                    while rows.next_row(&mut images)? {
                        if partial {
                            images.complete(op, &schema, lossy).map_err(|error| error.at(at))?;
                        }
                        self.batcher.row(table, op, &images, checks, now).map_err(|error| error.at(at))?;
                    }
                    *buffers = images.emptied();
                }
                Some(Decoded::Boundary(BoundaryRef::Begin(begin))) => {
                    if let Some(rollback) = self.batcher.begin(begin.start)
                        && !self.send(rollback)
                    {
                        return Ok(Step::Closed);
                    }
                }
                Some(Decoded::Boundary(BoundaryRef::Commit { position, committed_at })) => {
                    self.batcher.commit(position, committed_at);
                }
                Some(Decoded::Boundary(BoundaryRef::Other(boundary))) => {
                    let step = self.boundary(boundary)?;
                    if !matches!(step, Step::On) {
                        return Ok(step);
                    }
                }
            }
            if self.batcher.must_slice() {
                let before = self.batcher.cut_before_transaction();
                let slice = self.batcher.cut_slice();
                if !(before.is_none_or(|batch| self.send(batch)) && self.send(slice)) {
                    return Ok(Step::Closed);
                }
            }
        }
    }

    fn boundary(&mut self, boundary: Boundary) -> Result<Step> {
        match boundary {
            Boundary::Begin { .. } | Boundary::Commit { .. } => {
                return Err(Error::new(ErrorKind::Bug, "a transaction's boundary that was not lent"));
            }
            Boundary::Rollback => {
                let rollback = self.batcher.rollback();
                self.batcher.advance(self.decoder.position_ref());
                if let Some(rollback) = rollback {
                    return Ok(self.hand_on(rollback));
                }
            }
            Boundary::Savepoint(name) => self.batcher.savepoint(name),
            Boundary::RollbackTo(name) => self.batcher.rollback_to(&name)?,
            Boundary::Ddl(statement) => {
                let inside = self.decoder.in_transaction();
                if (self.concerns_us)(&statement, inside) {
                    let behind = (!inside).then(|| self.decoder.position());
                    return Ok(Step::Ddl(Box::new(DdlStop { statement, behind })));
                }
                self.batcher.advance(self.decoder.position_ref());
            }
            Boundary::Heartbeat { position } => self.batcher.advance(&position),
        }
        Ok(Step::On)
    }

    /// Hands on what was committed before an event that stops the stream.
    fn hand_on_committed(&mut self) {
        if let Some(batch) = self.batcher.cut_at_commit().or_else(|| self.batcher.cut_before_transaction()) {
            self.send(batch);
        }
    }

    fn cut_at_commit(&mut self) -> bool {
        self.batcher.cut_at_commit().is_none_or(|batch| self.send(batch))
    }

    fn hand_on(&mut self, batch: Batch) -> Step {
        if self.send(batch) { Step::On } else { Step::Closed }
    }

    fn send(&mut self, batch: Batch) -> bool {
        let fingerprint =
            self.decoder.file_fingerprint().map(|(file, created, server)| (file.to_owned(), created, server));
        while self.idle.try_recv().is_ok() {} // this batch is what the writer waited for
        self.batches.blocking_send(Decoding { batch, fingerprint }).is_ok()
    }
}
