//! The whole way of a change through the program's decoding thread: events in, merged batches out.

use super::workload;
use bytes::Bytes;
use sirenia::batch::{Batch, Batcher, Limits, TableMode};
use sirenia::binlog::Decoder;
use sirenia::change::DdlStatement;
use sirenia::convert::plan::TablePlan;
use sirenia::convert::row::Converter;
use sirenia::key_graph::KeyGraph;
use sirenia::pipeline::decode::{DecodeLoop, Decoding, Ended, frame_queue};
use sirenia::position::BinlogOffset;
use sirenia::schema::Flavor;
use sirenia::source::transport::RawEvent;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events that wait to be decoded.
pub struct Whole {
    events: Vec<Bytes>,
    plans: Vec<Arc<TablePlan>>,
    graph: Arc<KeyGraph>,
    until: BinlogOffset,
    /// Changed rows in the events.
    pub changes: usize,
}

impl Whole {
    /// At least so many changes of one row each, with so many replicated tables, of which ten change.
    pub fn new(changes: usize, tables: usize) -> Self {
        let (head, work) = workload::events(workload::MIXED_SINGLE);
        let rounds = changes.div_ceil(workload::MIXED_CHANGES);
        let made = workload::repeated(&work, rounds);
        let last = made.last().expect("events");
        let end = u32::from_le_bytes(last[13..17].try_into().expect("four bytes"));
        // one piece of memory, as a connection's buffer is
        let mut rest = Bytes::from([head.concat(), made.concat()].concat());
        let lengths = head.iter().map(|event| event.len()).chain(made.iter().map(Vec::len));
        let plans = workload::plans(tables);
        Self {
            events: lengths.map(|length| rest.split_to(length)).collect(),
            graph: Arc::new(KeyGraph::new(&plans, false).unwrap()),
            plans,
            until: BinlogOffset::new("bin.000007", end.into()),
            changes: rounds * workload::MIXED_CHANGES,
        }
    }

    /// Fills the queue of events, as the transport would have.
    pub fn ready(&self) -> Ready {
        let (sender, frames) = frame_queue(1 << 30);
        let (batches, made) = mpsc::channel(1024);
        // about as many at a time as a connection gives
        for block in self.events.chunks(256) {
            let block = block.iter().map(|event| RawEvent::new(event.clone(), true)).collect();
            let sent = futures_util::FutureExt::now_or_never(sender.send(block));
            assert_eq!(sent, Some(true), "there is room");
        }
        let converters = self.plans.iter().map(|plan| Converter::compile(Arc::clone(plan)).unwrap()).collect();
        let modes = vec![TableMode::default(); self.plans.len()];
        // as large as they may get: a slow machine is not to cut them sooner
        let limits = Limits { age: Duration::from_secs(60), ..Limits::default() };
        let tables = self.plans.iter().map(|plan| Arc::clone(&plan.source)).collect();
        let work = DecodeLoop {
            decoder: Decoder::new(Flavor::MariaDb, workload::start(), tables),
            batcher: Batcher::new(converters, modes, Arc::clone(&self.graph), limits),
            frames,
            batches,
            idle: crossbeam_channel::never(),
            now: Instant::now(),
            until: Some(self.until.clone()),
            lossy_replace: false,
            concerns_us: (|_, _| false) as Concerns,
        };
        Ready { work, made }
    }
}

type Concerns = fn(&DdlStatement, bool) -> bool;

/// A full queue, and who empties it.
pub struct Ready {
    work: DecodeLoop<Concerns>,
    made: mpsc::Receiver<Decoding>,
}

impl Ready {
    /// Decodes everything.
    pub fn run(self) -> Vec<Batch> {
        let Self { work, mut made } = self;
        assert_eq!(work.run().unwrap(), Ended::ReachedUntil);
        let mut batches = Vec::with_capacity(1024);
        while let Ok(decoding) = made.try_recv() {
            batches.push(decoding.batch);
        }
        batches
    }
}
