//! Where in the source's log we are: binlog file and offset, and the GTID set where the server keeps one.
//!
//! Both are carried always: within one server file and offset order all events; GTIDs survive a change of server.
//! Parsing is strict (a checkpoint that cannot be read must stop us), printing is canonical.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A place between two transactions of the source.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Binlog file and offset of the next event.
    pub binlog: BinlogOffset,
    /// What has been executed up to here; none where the server has no GTIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid: Option<GtidSet>,
}

impl Clone for Position {
    fn clone(&self) -> Self {
        Self { binlog: self.binlog.clone(), gtid: self.gtid.clone() }
    }

    /// Without allocating, where the sources are the same: this happens at every commit.
    fn clone_from(&mut self, other: &Self) {
        self.binlog.clone_from(&other.binlog);
        match (&mut self.gtid, &other.gtid) {
            (Some(GtidSet::MySql(own)), Some(GtidSet::MySql(other))) => own.clone_from(other),
            (Some(GtidSet::MariaDb(own)), Some(GtidSet::MariaDb(other))) => own.clone_from(other),
            (own, other) => own.clone_from(other),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.binlog)?;
        if let Some(gtid) = &self.gtid {
            write!(f, " (GTID {gtid})")?;
        }
        Ok(())
    }
}

/// A binlog file and a byte offset in it. Ordered by the file's number, then the offset.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BinlogOffset {
    /// File name as `SHOW BINARY LOGS` prints it, e.g. `binlog.000042`.
    pub file: String,
    /// Bytes from the file's start.
    pub offset: u64,
}

impl BinlogOffset {
    /// Names an offset in a file.
    pub fn new(file: impl Into<String>, offset: u64) -> Self {
        Self { file: file.into(), offset }
    }

    /// The number after the file name's last dot; the servers count it upwards, beyond 999999 with more digits.
    #[must_use]
    pub fn file_number(&self) -> u64 {
        self.file.rsplit('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

impl Clone for BinlogOffset {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), offset: self.offset }
    }

    fn clone_from(&mut self, other: &Self) {
        self.file.clone_from(&other.file);
        self.offset = other.offset;
    }
}

impl PartialOrd for BinlogOffset {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BinlogOffset {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self.file == other.file {
            return self.offset.cmp(&other.offset); // nearly always
        }
        (self.file_number(), &self.file, self.offset).cmp(&(other.file_number(), &other.file, other.offset))
    }
}

impl fmt::Display for BinlogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

/// A set of executed transactions, in the dialect of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GtidSet {
    /// MySQL: intervals per server UUID and tag.
    MySql(MySqlGtidSet),
    /// MariaDB: the last sequence number per replication domain.
    MariaDb(MariaDbGtidPosition),
}

impl GtidSet {
    /// Whether everything in `other` is in `self` too. Sets of different dialects contain nothing of each other.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(a), Self::MySql(b)) => a.contains_set(b),
            (Self::MariaDb(a), Self::MariaDb(b)) => a.contains_position(b),
            _ => false,
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(set) => set.fmt(f),
            Self::MariaDb(position) => position.fmt(f),
        }
    }
}

impl Serialize for GtidSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let dialect = match self {
            Self::MySql(_) => "mysql",
            Self::MariaDb(_) => "mariadb",
        };
        serializer.serialize_str(&format!("{dialect}:{self}"))
    }
}

impl<'de> Deserialize<'de> for GtidSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = match text.split_once(':') {
            Some(("mysql", set)) => set.parse().map(Self::MySql),
            Some(("mariadb", position)) => position.parse().map(Self::MariaDb),
            _ => Err(invalid(&text)),
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("not a GTID set: {text:?}"))
}

/// MySQL's source id: a server UUID and, since 8.3, an optional tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GtidSource {
    /// The server's UUID in binary, big-endian as printed.
    pub uuid: [u8; 16],
    /// The tag, empty for an untagged GTID; else as [`GtidSource::is_tag`] allows.
    pub tag: String,
}

impl GtidSource {
    /// Whether MySQL could have made that tag: up to 32 lower-case letters, digits and underscores, and no digit first, so
    /// that in the printed form a tag and a number cannot be taken for each other.
    #[must_use]
    pub fn is_tag(tag: &str) -> bool {
        const LONGEST: usize = 32; // `mysql::gtid::tag_max_length`
        let letters = tag.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        letters && (1..=LONGEST).contains(&tag.len()) && !tag.starts_with(|c: char| c.is_ascii_digit())
    }
}

impl fmt::Display for GtidSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.uuid.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        Ok(())
    }
}

/// Digits and nothing else: Rust's own parser takes a plus sign too.
fn number<N: FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    if hex.len() != 32 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

/// MySQL's GTID set: for each source the executed numbers as disjoint, sorted, half-open intervals.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct MySqlGtidSet {
    sources: BTreeMap<GtidSource, Vec<(u64, u64)>>,
}

impl Clone for MySqlGtidSet {
    fn clone(&self) -> Self {
        Self { sources: self.sources.clone() }
    }

    fn clone_from(&mut self, other: &Self) {
        if !self.sources.keys().eq(other.sources.keys()) {
            self.sources = other.sources.clone();
            return;
        }
        for (own, other) in self.sources.values_mut().zip(other.sources.values()) {
            own.clone_from(other);
        }
    }
}

impl MySqlGtidSet {
    /// Adds one transaction number of a source.
    pub fn add(&mut self, source: &GtidSource, number: u64) {
        self.add_interval(source, number, number + 1);
    }

    /// Adds the numbers `start..end` of a source.
    pub fn add_interval(&mut self, source: &GtidSource, start: u64, end: u64) {
        if let Some(last) = self.sources.get_mut(source).and_then(|intervals| intervals.last_mut())
            && last.1 == start
        {
            last.1 = end; // the case of every transaction that follows another
            return;
        }
        let intervals = self.sources.entry(source.clone()).or_default();
        let first = intervals.partition_point(|interval| interval.1 < start);
        let last = intervals.partition_point(|interval| interval.0 <= end);
        let mut merged = (start, end);
        if first < last {
            merged = (start.min(intervals[first].0), end.max(intervals[last - 1].1));
        }
        intervals.splice(first..last, [merged]);
    }

    /// Whether it holds that transaction.
    #[must_use]
    pub fn contains(&self, source: &GtidSource, number: u64) -> bool {
        self.sources.get(source).is_some_and(|intervals| {
            let after = intervals.partition_point(|interval| interval.0 <= number);
            after > 0 && number < intervals[after - 1].1
        })
    }

    /// Whether it holds every transaction of `other`.
    #[must_use]
    pub fn contains_set(&self, other: &Self) -> bool {
        other.sources.iter().all(|(source, intervals)| {
            let own = self.sources.get(source).map(Vec::as_slice).unwrap_or_default();
            intervals.iter().all(|wanted| own.iter().any(|have| have.0 <= wanted.0 && wanted.1 <= have.1))
        })
    }

    /// The sources with their half-open intervals, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&GtidSource, &[(u64, u64)])> {
        self.sources.iter().map(|(source, intervals)| (source, intervals.as_slice()))
    }

    /// Whether any source has a tag (MySQL 8.3+), which older dump commands cannot express.
    #[must_use]
    pub fn has_tags(&self) -> bool {
        self.sources.keys().any(|source| !source.tag.is_empty())
    }
}

impl FromStr for MySqlGtidSet {
    type Err = Error;

    /// Reads `uuid[:tag]:1-5:7[:tag:1-2],…` as MySQL prints it; blanks and line ends between parts are ignored.
    fn from_str(text: &str) -> Result<Self> {
        let mut set = Self::default();
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for part in compact.split(',').filter(|part| !part.is_empty()) {
            let mut fields = part.split(':');
            let uuid = fields.next().and_then(parse_uuid).ok_or_else(|| invalid(text))?;
            let mut source = GtidSource { uuid, tag: String::new() };
            for field in fields {
                if field.starts_with(|c: char| c.is_ascii_digit()) {
                    let (start, end) = field.split_once('-').unwrap_or((field, field));
                    let (start, end): (u64, u64) = match (number(start), number(end)) {
                        (Some(start), Some(end)) if 0 < start && start <= end && end < u64::MAX => (start, end),
                        _ => return Err(invalid(text)),
                    };
                    set.add_interval(&source, start, end + 1);
                } else {
                    source.tag = field.to_ascii_lowercase();
                    if !GtidSource::is_tag(&source.tag) {
                        return Err(invalid(text));
                    }
                }
            }
        }
        Ok(set)
    }
}

impl fmt::Display for MySqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (source, intervals)) in self.sources.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{source}")?;
            for (start, end) in intervals {
                write!(f, ":{start}")?;
                if end - start > 1 {
                    write!(f, "-{}", end - 1)?;
                }
            }
        }
        Ok(())
    }
}

/// MariaDB's GTID position: the last transaction of each replication domain.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct MariaDbGtidPosition {
    domains: BTreeMap<u32, (u32, u64)>,
}

impl Clone for MariaDbGtidPosition {
    fn clone(&self) -> Self {
        Self { domains: self.domains.clone() }
    }

    fn clone_from(&mut self, other: &Self) {
        if !self.domains.keys().eq(other.domains.keys()) {
            self.domains = other.domains.clone();
            return;
        }
        for (own, other) in self.domains.values_mut().zip(other.domains.values()) {
            *own = *other;
        }
    }
}

impl MariaDbGtidPosition {
    /// Records `domain-server-sequence` as the domain's last transaction.
    pub fn add(&mut self, domain: u32, server: u32, sequence: u64) {
        self.domains.insert(domain, (server, sequence));
    }

    /// Whether the domain has reached that sequence number.
    #[must_use]
    pub fn contains(&self, domain: u32, sequence: u64) -> bool {
        self.domains.get(&domain).is_some_and(|(_, last)| *last >= sequence)
    }

    /// Whether every domain of `other` has been reached.
    #[must_use]
    pub fn contains_position(&self, other: &Self) -> bool {
        other.domains.iter().all(|(domain, (_, sequence))| self.contains(*domain, *sequence))
    }

    /// `(domain, server, sequence)` in domain order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.domains.iter().map(|(domain, (server, sequence))| (*domain, *server, *sequence))
    }
}

impl FromStr for MariaDbGtidPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut position = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let fields: Vec<&str> = part.split('-').collect();
            let [domain, server, sequence] = fields[..] else { return Err(invalid(text)) };
            match (number(domain), number(server), number(sequence)) {
                (Some(domain), Some(server), Some(sequence)) => position.add(domain, server, sequence),
                _ => return Err(invalid(text)),
            }
        }
        Ok(position)
    }
}

impl fmt::Display for MariaDbGtidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (domain, server, sequence)) in self.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{sequence}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn mysql(text: &str) -> MySqlGtidSet {
        text.parse().unwrap()
    }

    #[test]
    fn mysql_sets_merge_and_print_canonically() {
        let mut set = mysql(&format!("{A}:1-3:5, \n{A}:Tag_a:7"));
        let source = GtidSource { uuid: parse_uuid(A).unwrap(), tag: String::new() };
        set.add(&source, 9);
        assert_eq!(set.to_string(), format!("{A}:1-3:5:9,{A}:tag_a:7"));
        set.add(&source, 4);
        assert_eq!(set.to_string(), format!("{A}:1-5:9,{A}:tag_a:7"));
        set.add_interval(&source, 2, 20);
        assert_eq!(set.to_string(), format!("{A}:1-19,{A}:tag_a:7"));
        assert!(set.has_tags());
    }

    #[test]
    fn mysql_containment_respects_gaps() {
        let set = mysql(&format!("{A}:1-3:5-9"));
        assert!(set.contains_set(&mysql(&format!("{A}:2-3:5"))));
        assert!(!set.contains_set(&mysql(&format!("{A}:3-5"))));
        let source = GtidSource { uuid: parse_uuid(A).unwrap(), tag: String::new() };
        assert!(set.contains(&source, 9) && !set.contains(&source, 4) && !set.contains(&source, 10));
    }

    #[test]
    fn bad_sets_are_refused() {
        for bad in [
            "x",
            "3e11fa47:1",
            "+e+1fa47-71ca-11e1-9e33-c80aa9429562:1",
            &format!("{A}:0"),
            &format!("{A}:5-3"),
            &format!("{A}:1-18446744073709551615"),
            &format!("{A}:1-+5"),
            &format!("{A}::1"),
            &format!("{A}:a-b:1"),
            &format!("{A}:é:1"),
            &format!("{A}:{}:1", "t".repeat(33)),
        ] {
            assert!(bad.parse::<MySqlGtidSet>().is_err(), "{bad}");
        }
        for bad in ["0-1", "0-1-+5", "+0-1-5"] {
            assert!(bad.parse::<MariaDbGtidPosition>().is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_ordered_by_number_beyond_six_digits() {
        assert!(BinlogOffset::new("b.999999", 9) < BinlogOffset::new("b.1000000", 4));
        assert!(BinlogOffset::new("b.000001", 9) < BinlogOffset::new("b.000001", 10));
    }

    #[test]
    fn a_position_copied_over_another_is_equal_to_it() {
        let at = |offset, gtid: Option<GtidSet>| Position { binlog: BinlogOffset::new("b.000001", offset), gtid };
        let maria = |text: &str| Some(GtidSet::MariaDb(text.parse().unwrap()));
        let sets = [None, maria("0-1-100"), maria("0-2-101"), maria("0-1-100,7-2-5"), maria("8-1-1")];
        let more = ["", ":1-3", ":1-3:5", ":tag:7"].map(|text| Some(GtidSet::MySql(mysql(&format!("{A}{text}")))));
        let all: Vec<_> = sets.into_iter().chain(more).zip(4..).map(|(set, offset)| at(offset, set)).collect();
        for from in &all {
            for to in &all {
                let mut copy = to.clone();
                copy.clone_from(from);
                assert_eq!(copy, *from);
            }
        }
    }

    #[test]
    fn positions_survive_json() {
        let position = Position {
            binlog: BinlogOffset::new("b.000001", 4),
            gtid: Some(GtidSet::MariaDb("0-1-100,7-2-5".parse().unwrap())),
        };
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
    }
}
