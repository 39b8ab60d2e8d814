//! Recorded partial row images, against what a reader without our code finds in the same files (`*-images.txt`).

use super::recorded::events;
use super::recorded_tests::{show, start, tables};
use super::*;
use crate::change::RowImages;
use crate::position::GtidSet;
use crate::schema::Flavor;
use crate::value::ValueRef;
use std::fmt::Write;

/// The tables of `images.sql`.
pub(super) const TABLES: [&str; 4] = ["keyed", "uniques", "keyless", "defaults"];

/// The rows of a file: table, the columns before and after that are there.
fn listing(file: &[u8], flavor: Flavor) -> String {
    let gtid = match flavor {
        Flavor::MySql => GtidSet::MySql(Default::default()),
        Flavor::MariaDb => GtidSet::MariaDb("0-7-1".parse().unwrap()),
    };
    let tables = tables(flavor, TABLES);
    let mut decoder = Decoder::new(flavor, start(gtid), tables.clone());
    let mut out = String::new();
    for event in events(file) {
        let Decoded::Rows(mut change) = decoder.decode(Frame::parse(event, true).unwrap()).unwrap() else { continue };
        let table = &tables[change.table];
        let partial = change.is_partial();
        let mut images = RowImages::default();
        let mut rows = 0;
        while change.next_row(&mut images).unwrap() {
            let image = |values: &[ValueRef<'_>]| -> String {
                let there = values.iter().zip(&table.columns).filter(|(value, _)| **value != ValueRef::Absent);
                let named = there.map(|(value, column)| format!("{}={}", column.name, show(value, &column.ty)));
                named.collect::<Vec<_>>().join(" ")
            };
            let lacks = images.before.iter().chain(&images.after).any(|value| *value == ValueRef::Absent);
            assert_eq!(partial, lacks);
            writeln!(out, "{}: {} > {}", table.name.table, image(&images.before), image(&images.after)).unwrap();
            rows += 1;
        }
        assert!(rows > 0);
    }
    out
}

#[test]
fn mysql_leaves_out_what_the_bitmaps_say() {
    let found = listing(include_bytes!("../../fixtures/binlogs/mysql-images.binlog"), Flavor::MySql);
    assert_eq!(found, include_str!("../../fixtures/binlogs/mysql-images.txt"));
    // REPLACE gives the whole row, and so the defaults that it puts in place of what was there
    assert!(found.contains("keyed: id=1 > id=1 a=5 b=78 t=- s=6 v=7 d=2023-11-14 22:13:20 n=8\n"));
}

#[test]
fn mariadb_11_8_leaves_out_generated_columns_even_where_they_change() {
    let found = listing(include_bytes!("../../fixtures/binlogs/mariadb-11.8-images.binlog"), Flavor::MariaDb);
    assert_eq!(found, include_str!("../../fixtures/binlogs/mariadb-11.8-images.txt"));
    // `s` is a + 1
    assert!(found.contains("keyed: id=1 > a=9 d=2023-11-14 22:13:20\n"));
}

#[test]
fn mariadb_leaves_out_what_the_bitmaps_say() {
    let found = listing(include_bytes!("../../fixtures/binlogs/mariadb-images.binlog"), Flavor::MariaDb);
    assert_eq!(found, include_str!("../../fixtures/binlogs/mariadb-images.txt"));
    // REPLACE gives only what the statement names, and nobody can tell that `a` fell back to its default
    assert!(found.contains("keyed: id=1 > id=1 s=6 d=2023-11-14 22:13:20 n=8\n"));
}
