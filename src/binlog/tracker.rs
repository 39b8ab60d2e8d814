//! Where in the log we are: the running offset of events, and the position between groups.
//!
//! The header's offset is 32 bits wide and wraps in transactions beyond 4 GiB; from MariaDB 11.4 on it is 0 inside
//! transactions. So the offset is counted up by event sizes, and corrected by the header wherever it says something.

use super::event::EventHeader;
use super::gtid::Gtid;
use crate::position::{BinlogOffset, Position};

/// The running place and the last safe one.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Where the current event starts.
    here: BinlogOffset,
    /// Where it ends.
    end: u64,
    /// The last place between two groups.
    position: Position,
}

impl Tracker {
    pub fn new(start: Position) -> Self {
        Self { here: start.binlog.clone(), end: start.binlog.offset, position: start }
    }

    pub fn here(&self) -> &BinlogOffset {
        &self.here
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Moves over an event. One without an offset stands in the file only if it is part of a group.
    pub fn enter(&mut self, header: &EventHeader, in_group: bool) {
        self.here.offset = self.end;
        if header.is_artificial() {
            return;
        }
        let size = u64::from(header.event_size);
        if header.log_pos == 0 {
            self.end = self.end.saturating_add(if in_group { size } else { 0 });
        } else {
            self.end = self.widen(header.log_pos);
            self.here.offset = self.end.saturating_sub(size);
        }
    }

    /// The 64-bit offset of which the header has the low half. Events are at most 1 GiB long, so an offset that lies more
    /// than 2 GiB behind has wrapped.
    fn widen(&self, log_pos: u32) -> u64 {
        const WRAP: u64 = 1 << 32;
        let offset = self.end & !(WRAP - 1) | u64::from(log_pos);
        if offset.saturating_add(WRAP / 2) < self.end { offset.saturating_add(WRAP) } else { offset }
    }

    /// Goes on in another file, or at another place of this one.
    pub fn switch(&mut self, file: &str, offset: u64) {
        if self.here.file != file {
            file.clone_into(&mut self.here.file);
        }
        self.here.offset = offset;
        self.end = offset;
    }

    /// A heartbeat between groups: the server has read so far. Never backwards, never into another file.
    pub fn heard(&mut self, file: &[u8], log_pos: u32, wide: Option<u64>) {
        let offset = wide.unwrap_or_else(|| self.widen(log_pos));
        if self.here.file.as_bytes() == file && offset > self.end {
            self.end = offset;
            self.settle();
        }
    }

    /// Makes the end of the current event the position. Within a file never backwards, whatever an event says: what lies
    /// before the position would be told a second time after a restart.
    pub fn settle(&mut self) {
        if self.position.binlog.file != self.here.file {
            self.position.binlog.file.clone_from(&self.here.file);
            self.position.binlog.offset = self.end;
        }
        self.position.binlog.offset = self.position.binlog.offset.max(self.end);
    }

    /// Makes the place that a ROTATE names the position, wherever it lies.
    pub fn restart(&mut self) {
        self.position.binlog.clone_from(&self.here);
    }

    /// The same, at the end of a group with that name.
    pub fn finish(&mut self, gtid: Option<&Gtid>) {
        self.settle();
        if let (Some(gtid), Some(set)) = (gtid, &mut self.position.gtid) {
            gtid.add_to(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(log_pos: u32, event_size: u32) -> EventHeader {
        EventHeader { timestamp: 0, event_type: 30, server_id: 1, event_size, log_pos, flags: 0 }
    }

    fn at(offset: u64) -> Tracker {
        Tracker::new(Position { binlog: BinlogOffset::new("b.000001", offset), gtid: None })
    }

    #[test]
    fn offsets_go_on_beyond_4_gib() {
        let mut tracker = at(u64::from(u32::MAX) - 99);
        tracker.enter(&header(50, 150), true);
        assert_eq!((tracker.here().offset, tracker.end), ((1 << 32) - 100, (1 << 32) + 50));
        tracker.enter(&header(250, 200), true);
        assert_eq!(tracker.end, (1 << 32) + 250);
        assert_eq!(tracker.position().binlog.offset, (1 << 32) - 100);
        tracker.settle();
        assert_eq!(tracker.position().binlog.offset, (1 << 32) + 250);
    }

    #[test]
    fn offsets_of_zero_are_counted() {
        let mut tracker = at(1000);
        tracker.enter(&header(0, 100), true);
        tracker.enter(&header(0, 100), true);
        assert_eq!((tracker.here().offset, tracker.end), (1100, 1200));
        tracker.enter(&header(1190, 40), true); // the server's word counts, even if it lies a little behind
        assert_eq!((tracker.here().offset, tracker.end), (1150, 1190));
        tracker.enter(&EventHeader { flags: 0x20, ..header(0, 50) }, true);
        assert_eq!(tracker.end, 1190);
        tracker.enter(&header(0, 50), false); // MariaDB's made-up GTID list, if it comes without its flag
        assert_eq!(tracker.end, 1190);
    }

    #[test]
    fn the_position_does_not_go_back_within_a_file() {
        let mut tracker = at(1000);
        tracker.enter(&header(300, 50), false);
        tracker.settle();
        assert_eq!(tracker.position().binlog.offset, 1000);
        tracker.enter(&header(1100, 50), false);
        tracker.settle();
        assert_eq!(tracker.position().binlog.offset, 1100);
        tracker.switch("b.000002", 4);
        tracker.settle();
        assert_eq!(tracker.position().binlog, BinlogOffset::new("b.000002", 4));
        tracker.switch("b.000001", 500);
        tracker.restart();
        assert_eq!(tracker.position().binlog, BinlogOffset::new("b.000001", 500));
    }

    #[test]
    fn no_offset_is_too_large() {
        for in_group in [true, false] {
            let mut tracker = at(u64::MAX - 5);
            tracker.enter(&header(7, 50), in_group);
            tracker.enter(&header(0, 50), in_group);
            tracker.heard(b"b.000001", 5, None);
            tracker.settle();
            assert_eq!(tracker.position().binlog.offset, u64::MAX);
        }
    }

    #[test]
    fn heartbeats_only_go_forward() {
        let mut tracker = at(1000);
        tracker.heard(b"b.000001", 900, None);
        tracker.heard(b"b.000002", 5000, None);
        assert_eq!(tracker.position().binlog.offset, 1000);
        tracker.heard(b"b.000001", 2000, None);
        tracker.heard(b"b.000001", 7, Some(1 << 33));
        assert_eq!(tracker.position().binlog.offset, 1 << 33);
    }
}
