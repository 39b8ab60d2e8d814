//! Recorded binlogs with compressed events, columns and transactions, and with partial JSON updates.
//!
//! As in `recorded_tests`, the server has written each value a second time as its own text.

use super::recorded::events;
use super::recorded_tests::{Recorded, check_order, decode, show, start, story, tables};
use super::*;
use crate::change::RowImages;
use crate::error::{ErrorKind, Result};
use crate::position::GtidSet;
use crate::schema::{Flavor, SourceType};
use crate::value::ValueRef;
use std::collections::BTreeMap;

pub(super) const MARIADB: &[u8] = include_bytes!("../../fixtures/binlogs/mariadb-compressed.binlog");
pub(super) const MARIADB_11_8: &[u8] = include_bytes!("../../fixtures/binlogs/mariadb-11.8-compressed.binlog");
pub(super) const MYSQL: &[u8] = include_bytes!("../../fixtures/binlogs/mysql-compressed.binlog");
pub(super) const PARTIAL_JSON: &[u8] = include_bytes!("../../fixtures/binlogs/mysql-partial-json.binlog");

fn inserted(recorded: &Recorded, id: i64) -> &str {
    let prefix = format!(" > {id}|");
    let (_, row) = recorded.rows.iter().find(|(table, row)| *table == 0 && row.starts_with(&prefix)).unwrap();
    &row[3..]
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn mariadb_compressed_events_and_columns() {
    for file in [MARIADB, MARIADB_11_8] {
        mariadb_compressed(file);
    }
}

fn mariadb_compressed(file: &[u8]) {
    let recorded = decode(file, Flavor::MariaDb, tables(Flavor::MariaDb, ["packed", "shown"])).unwrap();
    check_order(&recorded);
    assert_eq!(recorded.texts.len(), 6);
    for (id, text) in &recorded.texts {
        assert_eq!(inserted(&recorded, *id), text, "row {id}");
    }
    assert!(inserted(&recorded, 7).starts_with(&format!("7|{}|-|", hex(&"last ".repeat(30)))));
    // statements are packed too
    assert!(story(&recorded).starts_with("ddl(packed) ddl(shown) group group"), "{}", story(&recorded));

    let changed: Vec<&str> =
        recorded.rows.iter().map(|(_, row)| row.as_str()).filter(|row| !row.starts_with(" > ")).collect();
    let [first, fourth, partial, deleted @ ..] = &changed[..] else { panic!("{changed:?}") };
    assert!(first.ends_with(&format!("> 1|-|-|{}|-|-|-|-|-|-", hex(&"u".repeat(150)))));
    let before = format!("{} > ", inserted(&recorded, 4));
    assert!(fourth.starts_with(&before) && fourth.ends_with("|14"));
    let after: Vec<&str> = partial.split(" > ").nth(1).unwrap().split('|').collect();
    assert_eq!((after[0], after[3], after[4]), ("5", "absent", hex(&"nb".repeat(100)).as_str()));
    assert_eq!(deleted.len(), 4);
    let (_, last) = fourth.split_once(" > ").unwrap();
    assert_eq!(deleted[3], format!("{last} > "));
}

#[test]
fn mysql_compressed_transactions() {
    let recorded = decode(MYSQL, Flavor::MySql, tables(Flavor::MySql, ["kept", "shown"])).unwrap();
    check_order(&recorded);
    assert_eq!(
        story(&recorded),
        "ddl(kept) ddl(shown) ddl(skipped) group begin savepoint(a) commit group group ddl(skipped) group group"
    );
    let [first, second] = &recorded.texts[..] else { panic!("{}", recorded.texts.len()) };
    assert_eq!(first, &(1, "1|eins|-".to_owned()));
    let (id, v, b) = (2, hex(&"two ".repeat(60)), hex(&"0123456789".repeat(2000)));
    assert_eq!(second.1, format!("{id}|{}|{b}", "two ".repeat(60)));
    assert_eq!(inserted(&recorded, 2), format!("{id}|{v}|{b}"));
    assert!(recorded.rows.iter().any(|(_, row)| row == "3|7468726565| > "));
    assert_eq!(inserted(&recorded, 12), format!("12|{v}|{}32", hex(&"x".repeat(70_000))));
    assert_eq!((inserted(&recorded, 20), inserted(&recorded, 30)), ("20|7861|-", "30|706C61696E|-"));
    let decoder = recorded.decoder.unwrap();
    assert!(!decoder.in_transaction() && decoder.position().binlog.to_string() == "bin.000003:4");
}

/// The documents after each change, until the first error.
fn documents(file: &[u8]) -> (usize, Result<()>) {
    let mut decoder = Decoder::new(
        Flavor::MySql,
        start(GtidSet::MySql(Default::default())),
        tables(Flavor::MySql, ["docs", "jtext"]),
    );
    let mut state: BTreeMap<i64, [String; 2]> = BTreeMap::new();
    let mut compared = 0;
    for event in events(file) {
        match decoder.decode(Frame::parse(event, true).unwrap()) {
            Err(error) => return (compared, Err(error)),
            Ok(Decoded::Rows(mut change)) => {
                let mut images = RowImages::default();
                while change.next_row(&mut images).unwrap() {
                    let document = |value: &ValueRef<'_>| match value {
                        ValueRef::Bytes(text) => String::from_utf8(text.to_vec()).unwrap(),
                        other => show(other, &SourceType::Json { text: false }),
                    };
                    let ValueRef::Int(id) = images.after[0] else { panic!() };
                    if change.table == 0 {
                        if let Some(before) = state.get(&id) {
                            assert_eq!(before, &[document(&images.before[1]), document(&images.before[3])], "row {id}");
                        }
                        state.insert(id, [document(&images.after[1]), document(&images.after[3])]);
                    } else {
                        let known = &state[&(id % 100)][usize::from(id > 100)];
                        assert_eq!(known, &document(&images.after[1]), "row {id}");
                        compared += 1;
                    }
                }
            }
            Ok(_) => {}
        }
    }
    (compared, Ok(()))
}

#[test]
fn mysql_partial_json() {
    let (compared, end) = documents(PARTIAL_JSON);
    assert_eq!(compared, 14);
    // the last update has no document before
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedEvent);
    assert!(error.message().starts_with("partial JSON update of fx.docs.j at bin.000002:"));
    assert!(error.hint().unwrap().starts_with("SET GLOBAL binlog_row_value_options=''"));
}
