//! The same bytes read by both: ours to COPY tuples, mysql_common's to its rows.
//!
//! mysql_common's side does the least that gives all values: only table maps and rows events are looked into, checksums are
//! not verified, and nothing is converted. Ours is the program's own way: every event is taken apart, its checksum
//! verified, and each row's key and tuple are made as the batcher makes them.

use super::workload;
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use sirenia::binlog::{Decoded, Decoder, Frame, RowsChange};
use sirenia::change::{Op, RowImages};
use sirenia::convert::Arena;
use sirenia::convert::row::Converter;
use sirenia::schema::Flavor;
use std::hint::black_box;
use std::sync::Arc;

/// Decoder, converters and the arena that they fill.
pub struct Ours {
    decoder: Decoder,
    converters: Vec<Converter>,
    arena: Arena,
    images: RowImages<'static>,
}

impl Ours {
    /// Reads the head of a file.
    pub fn new(head: &[&[u8]]) -> Self {
        let plans = workload::plans(11);
        let tables = plans.iter().map(|plan| Arc::clone(&plan.source)).collect();
        let mut ours = Self {
            decoder: Decoder::new(Flavor::MariaDb, workload::start(), tables),
            converters: plans.into_iter().map(|plan| Converter::compile(plan).unwrap()).collect(),
            arena: Arena::default(),
            images: RowImages::default(),
        };
        ours.decode(head);
        ours
    }

    fn each(
        &mut self,
        events: &[&[u8]],
        mut take: impl for<'a> FnMut(&mut [Converter], &mut Arena, RowsChange<'a>, &mut RowImages<'a>),
    ) {
        for event in events {
            let frame = Frame::parse(event, true).unwrap();
            if let Decoded::Rows(rows) = black_box(self.decoder.decode(frame).unwrap()) {
                let mut images = std::mem::take(&mut self.images).emptied();
                take(&mut self.converters, &mut self.arena, rows, &mut images);
                self.images = images.emptied();
            }
        }
    }

    /// Decodes alone; changed rows.
    pub fn decode(&mut self, events: &[&[u8]]) -> usize {
        let mut changes = 0;
        self.each(events, |_, _, mut rows, images| {
            while rows.next_row(images).unwrap() {
                black_box((&images.before, &images.after));
                changes += 1;
            }
        });
        changes
    }

    /// Decodes and converts; changed rows.
    pub fn decode_and_convert(&mut self, events: &[&[u8]]) -> usize {
        let mut changes = 0;
        self.arena.clear();
        self.each(events, |converters, arena, mut rows, images| {
            let converter = &mut converters[rows.table];
            while rows.next_row(images).unwrap() {
                convert(converter, rows.op, images, arena);
                changes += 1;
            }
        });
        black_box(self.arena.as_bytes());
        changes
    }
}

/// What one changed row becomes: its tuple and its key, and the key that it had if that was another.
pub fn convert(converter: &mut Converter, op: Op, images: &RowImages<'_>, arena: &mut Arena) {
    if op == Op::Delete || op == Op::Update && !converter.is_same_key(&images.before, &images.after) {
        black_box(converter.key(&images.before, arena).unwrap());
    }
    if op != Op::Delete {
        black_box(converter.keyed_tuple(&images.after, arena).unwrap());
    }
}

/// mysql_common's reader.
pub struct Theirs(EventStreamReader);

impl Theirs {
    /// Reads the head of a file.
    pub fn new(head: &[&[u8]]) -> Self {
        let mut theirs = Self(EventStreamReader::new(BinlogVersion::Version4));
        for event in head {
            theirs.0.read(*event).unwrap();
        }
        theirs
    }

    /// Walks over all rows and their values; changed rows.
    pub fn rows(&mut self, events: &[&[u8]]) -> usize {
        const TABLE_MAP: u8 = 19;
        const ROWS: std::ops::RangeInclusive<u8> = 23..=25;
        let mut changes = 0;
        for bytes in events.iter().filter(|event| event[4] == TABLE_MAP || ROWS.contains(&event[4])) {
            let event = self.0.read(*bytes).unwrap().unwrap();
            if !ROWS.contains(&bytes[4]) {
                continue;
            }
            let Some(EventData::RowsEvent(rows)) = event.read_data().unwrap() else { panic!("no rows") };
            let map = self.0.get_tme(rows.table_id()).unwrap();
            for row in rows.rows(map) {
                let (before, after) = row.unwrap();
                for image in [&before, &after].into_iter().flatten() {
                    for column in 0..image.len() {
                        black_box(image.as_ref(column));
                    }
                }
                changes += 1;
            }
        }
        changes
    }
}
