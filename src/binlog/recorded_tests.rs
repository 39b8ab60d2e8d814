//! Real binlogs (`fixtures/binlogs/`) decoded from the first byte to the last.
//!
//! The recorded statements write each value a second time as the server's own text; the tests compare with that.

use super::recorded::{events, named};
use super::*;
use crate::change::{Boundary, RowImages};
use crate::error::{ErrorKind, Result};
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::schema::{Column, Flavor, SourceType, TableSchema};
use crate::value::{Date, DateTime, Time, ValueRef};
use std::sync::Arc;

pub(super) const MARIADB: &[u8] = include_bytes!("../../fixtures/binlogs/mariadb.binlog");
pub(super) const MARIADB_11_8: &[u8] = include_bytes!("../../fixtures/binlogs/mariadb-11.8.binlog");
pub(super) const MYSQL: &[u8] = include_bytes!("../../fixtures/binlogs/mysql.binlog");

/// Tables of the recordings, by their names.
pub(super) fn tables<const N: usize>(flavor: Flavor, names: [&str; N]) -> Vec<Arc<TableSchema>> {
    names.map(|name| named(name, flavor)).into()
}

/// What one recorded file gives.
#[derive(Default)]
pub(super) struct Recorded {
    pub boundaries: Vec<Boundary>,
    /// Table, operation, and the rows' values as text, per row.
    pub rows: Vec<(usize, String)>,
    /// First column and text of the table `shown`, or of whichever table has that shape.
    pub texts: Vec<(i64, String)>,
    checks_off: usize,
    pub decoder: Option<Decoder>,
}

pub(super) fn start(gtid: GtidSet) -> Position {
    Position { binlog: BinlogOffset::new("bin.000002", 4), gtid: Some(gtid) }
}

pub(super) fn decode(file: &[u8], flavor: Flavor, tables: Vec<Arc<TableSchema>>) -> Result<Recorded> {
    let gtid = match flavor {
        Flavor::MySql => GtidSet::MySql("8fc9e816-e5ac-11f1-bcb5-02fc00000001:1".parse()?),
        Flavor::MariaDb => GtidSet::MariaDb("0-7-1".parse()?),
    };
    let schemas = tables.clone();
    let mut decoder = Decoder::new(flavor, start(gtid), tables);
    let mut recorded = Recorded::default();
    for event in events(file) {
        let frame = Frame::parse(event, true)?;
        recorded.take(decoder.decode(frame)?, &schemas)?;
        while let Some(decoded) = decoder.decode_inner(frame)? {
            recorded.take(decoded, &schemas)?;
        }
    }
    recorded.decoder = Some(decoder);
    Ok(recorded)
}

impl Recorded {
    fn take(&mut self, decoded: Decoded<'_>, schemas: &[Arc<TableSchema>]) -> Result<()> {
        match decoded {
            Decoded::Nothing => {}
            Decoded::Boundary(boundary) => self.boundaries.push(boundary.into_owned()),
            Decoded::Rows(mut change) => {
                self.checks_off += usize::from(!change.foreign_key_checks);
                let mut images = RowImages::default();
                while change.next_row(&mut images)? {
                    let columns = &schemas[change.table].columns;
                    let image = |values: &[ValueRef<'_>]| -> String {
                        let show = |(value, column): (&ValueRef<'_>, &Column)| show(value, &column.ty);
                        values.iter().zip(columns).map(show).collect::<Vec<_>>().join("|")
                    };
                    if let [ValueRef::Int(id), ValueRef::Bytes(text)] = images.after[..] {
                        self.texts.push((id, String::from_utf8(text.to_vec()).unwrap()));
                    }
                    let row = [image(&images.before), image(&images.after)].join(" > ");
                    self.rows.push((change.table, row));
                }
            }
        }
        Ok(())
    }
}

/// A value as the statements in `common.sql` have the server show it.
pub(super) fn show(value: &ValueRef<'_>, ty: &SourceType) -> String {
    let fsp = match ty {
        SourceType::Time { fsp } | SourceType::DateTime { fsp } | SourceType::Timestamp { fsp } => *fsp,
        _ => 0,
    };
    let fraction = |micros: u32| match fsp {
        0 => String::new(),
        _ => format!(".{}", &format!("{micros:06}")[..usize::from(fsp)]),
    };
    let date = |Date { year, month, day }| format!("{year:04}-{month:02}-{day:02}");
    match value {
        ValueRef::Absent => "absent".into(),
        ValueRef::Null => "-".into(),
        ValueRef::Int(n) => n.to_string(),
        ValueRef::UInt(n) | ValueRef::Bit(n) | ValueRef::Set(n) => n.to_string(),
        ValueRef::Float(n) => n.to_string(),
        ValueRef::Double(n) => n.to_string(),
        ValueRef::Decimal(n) => n.as_str().into(),
        ValueRef::Enum(n) => n.to_string(),
        ValueRef::Date(d) => date(*d),
        ValueRef::Time(Time { negative, hours, minutes, seconds, micros }) => {
            let sign = if *negative { "-" } else { "" };
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(*micros))
        }
        ValueRef::DateTime(d) => {
            format!("{} {:02}:{:02}:{:02}{}", date(d.date), d.hour, d.minute, d.second, fraction(d.micros))
        }
        ValueRef::Timestamp { seconds: 0, micros: 0 } => format!("0000-00-00 00:00:00{}", fraction(0)),
        ValueRef::Timestamp { seconds, micros } => {
            let DateTime { date: d, hour, minute, second, .. } = civil(*seconds);
            format!("{} {hour:02}:{minute:02}:{second:02}{}", date(d), fraction(*micros))
        }
        ValueRef::Bytes(bytes) => {
            let mut hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            let padded = match ty {
                SourceType::Binary { len } => *len as usize,
                SourceType::Uuid | SourceType::Inet6 => 16,
                SourceType::Inet4 => 4,
                _ => 0,
            };
            hex.extend(std::iter::repeat_n('0', (padded * 2).saturating_sub(hex.len()))); // as the converter does
            hex
        }
        ValueRef::JsonBinary(binary) => {
            let mut out = Vec::new();
            json::to_text(binary, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        }
    }
}

/// Days and seconds to a date, after Howard Hinnant's `civil_from_days`.
fn civil(seconds: i64) -> DateTime {
    let (days, time) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, doe) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    DateTime {
        date: Date { year: year as u16, month: month as u8, day: (doy - (153 * mp + 2) / 5 + 1) as u8 },
        hour: (time / 3600) as u8,
        minute: (time / 60 % 60) as u8,
        second: (time % 60) as u8,
        micros: 0,
    }
}

/// The rows of `kinds` as first inserted, against what the server showed of them.
fn check_kinds(recorded: &Recorded) {
    assert_eq!(recorded.texts.iter().filter(|(id, _)| *id <= 5).count(), 5);
    for (id, text) in recorded.texts.iter().filter(|(id, _)| *id <= 5) {
        let prefix = format!(" > {id}|");
        let (_, row) = recorded.rows.iter().find(|(table, row)| *table == 0 && row.starts_with(&prefix)).unwrap();
        assert_eq!(&row[3..], text, "row {id}");
    }
    let updated: Vec<&String> =
        recorded.rows.iter().map(|(_, row)| row).filter(|row| !row.starts_with(" > ")).collect();
    let [first, third, deleted] = updated[..] else { panic!("{updated:?}") };
    assert!(first.starts_with("1|-|-") && first.contains(" > 1|7|-|"));
    assert!(third.starts_with("3|127|255|") && third.contains(" > 3|7|255|"));
    assert!(deleted.starts_with("2|-128|0|") && deleted.ends_with(" > "));
    assert_eq!(recorded.checks_off, 1, "SET foreign_key_checks = 0 before the delete");
}

/// The boundaries, by name, from the transaction with the savepoint on.
pub(super) fn story(recorded: &Recorded) -> String {
    let name = |boundary: &Boundary| match boundary {
        Boundary::Begin { .. } => "begin".to_owned(),
        Boundary::Commit { .. } => "commit".to_owned(),
        Boundary::Rollback => "rollback".to_owned(),
        Boundary::Savepoint(name) => format!("savepoint({name})"),
        Boundary::RollbackTo(name) => format!("rollback to({name})"),
        Boundary::Ddl(ddl) => match affects(&ddl.sql, &ddl.database) {
            Affects::Tables(tables) => format!("ddl({})", tables[0].table),
            other => format!("ddl({other:?})"),
        },
        Boundary::Heartbeat { .. } => "heartbeat".to_owned(),
    };
    recorded.boundaries.iter().map(name).collect::<Vec<_>>().join(" ").replace("begin commit", "group")
}

/// Every boundary lies behind the one before.
pub(super) fn check_order(recorded: &Recorded) {
    let mut last = 4;
    for boundary in &recorded.boundaries {
        let offset = match boundary {
            Boundary::Begin { start, .. } => start.offset,
            Boundary::Commit { position, .. } => position.binlog.offset,
            Boundary::Ddl(ddl) => ddl.position.binlog.offset,
            _ => continue,
        };
        assert!(offset >= last, "{boundary:?} after {last}");
        last = offset;
    }
}

#[test]
fn mariadb() {
    mariadb_story(MARIADB);
    mariadb_story(MARIADB_11_8);
}

fn mariadb_story(file: &[u8]) {
    // `kinds` takes part in a prepared XA transaction near the end: first without it (`docs` is not in this file)
    let recorded = decode(file, Flavor::MariaDb, tables(Flavor::MariaDb, ["docs", "shown", "own"])).unwrap();
    check_order(&recorded);
    assert_eq!(
        recorded.rows.iter().filter(|(table, _)| *table == 2).map(|(_, row)| row.as_str()).collect::<Vec<_>>(),
        [
            " > 1|00112233445566778899AABBCCDDEEFF|0A010200|20010DB8000000000000000000000000|7B2261223A20317D",
            " > 2|-|-|-|-"
        ]
    );
    assert_eq!(
        story(&recorded),
        "ddl(kinds) ddl(shown) ddl(skipped) group group group group group group group group ddl(plain) \
         begin savepoint(a b) commit group begin ddl(copied) commit ddl(plain) ddl(copied) ddl(renamed) group group \
         ddl(own) group group group group begin savepoint(a b) rollback to(a b) commit group"
    );
    let decoder = recorded.decoder.unwrap();
    assert_eq!(decoder.position().to_string(), "bin.000003:4 (GTID 0-7-30)");
    assert!(!decoder.in_transaction());
    let (file, _, server) = decoder.file_fingerprint().unwrap();
    assert_eq!((file, server), ("bin.000002", 7));
}

/// The events up to the first that satisfies `stop`, with the magic number.
fn until(file: &[u8], stop: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let kept = events(file).into_iter().take_while(|event| !stop(event)).flatten().copied();
    b"\xfebin".iter().copied().chain(kept).collect()
}

/// `XA END 'three'`, the end of the prepared transaction that changes `kinds`.
fn ends_xa_three(event: &[u8]) -> bool {
    event.windows(20).any(|text| text.starts_with(b"XA END X'7468726565'"))
}

#[test]
fn mariadb_values() {
    for file in [MARIADB, MARIADB_11_8] {
        let recorded =
            decode(&until(file, ends_xa_three), Flavor::MariaDb, tables(Flavor::MariaDb, ["kinds", "shown"])).unwrap();
        check_kinds(&recorded);
        let error = decode(file, Flavor::MariaDb, tables(Flavor::MariaDb, ["kinds", "shown"])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::PreparedXa);
    }
}

#[test]
fn mysql_9_7() {
    let recorded = decode(MYSQL, Flavor::MySql, tables(Flavor::MySql, ["docs", "jtext", "own"])).unwrap();
    check_order(&recorded);
    let documents: Vec<&str> =
        recorded.rows.iter().filter(|(table, _)| *table == 2).map(|(_, row)| row.as_str()).collect();
    assert_eq!((documents.len(), recorded.texts.len()), (21, 20));
    assert_eq!(documents[0], " > 1|-|-");
    assert_eq!(documents[1], " > 2|null|0000803F000020C000000000");
    for (id, expected) in &recorded.texts {
        let document = documents[*id as usize - 1];
        let document = document.strip_prefix(&format!(" > {id}|")).unwrap();
        assert_eq!(document.rsplit_once('|').unwrap().0, expected);
    }
    assert_eq!(
        story(&recorded),
        "ddl(kinds) ddl(shown) ddl(skipped) group group group group group group group group ddl(plain) \
         begin savepoint(a b) commit group begin ddl(copied) commit ddl(plain) ddl(copied) ddl(renamed) group group \
         ddl(own) ddl(jtext) group group group group group"
    );
    let decoder = recorded.decoder.unwrap();
    let uuid = "8fc9e816-e5ac-11f1-bcb5-02fc00000001";
    assert_eq!(decoder.position().to_string(), format!("bin.000003:4 (GTID {uuid}:1-29,{uuid}:tag_a:1)"));
    assert!(!decoder.in_transaction());
}

#[test]
fn mysql_values() {
    let recorded =
        decode(&until(MYSQL, ends_xa_three), Flavor::MySql, tables(Flavor::MySql, ["kinds", "shown"])).unwrap();
    check_kinds(&recorded);
    let error = decode(MYSQL, Flavor::MySql, tables(Flavor::MySql, ["kinds", "shown"])).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PreparedXa);
}
