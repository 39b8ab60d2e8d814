//! Every event of every recording cut at every length, and with single bits turned: it ends in an error that names the place, or
//! in something valid, and in memory of the order of the input.

use super::images_tests::TABLES;
use super::recorded::{events, named};
use super::recorded_tests::start;
use super::*;
use crate::change::RowImages;
use crate::error::Error;
use crate::position::GtidSet;
use crate::schema::{Flavor, TableSchema};
use std::sync::Arc;

/// One event, those that it needs before it, and the tables.
struct Case<'a> {
    flavor: Flavor,
    tables: Vec<Arc<TableSchema>>,
    before: &'a [&'a [u8]],
    event: &'a [u8],
}

impl Case<'_> {
    /// Decodes the frame in the event's place.
    fn feed(&self, frame: Frame<'_>) {
        let gtid = match self.flavor {
            Flavor::MySql => GtidSet::MySql(Default::default()),
            Flavor::MariaDb => GtidSet::MariaDb("0-7-1".parse().unwrap()),
        };
        let mut decoder = Decoder::new(self.flavor, start(gtid), self.tables.clone());
        for event in self.before {
            let _ = read_all(&mut decoder, Frame::parse(event, true).unwrap());
        }
        if let Err(error) = read_all(&mut decoder, frame) {
            assert!(error.report().contains("bin.00000"), "no position:\n{}", error.report());
        }
        // zlib and zstd may give a thousand bytes and more for one, but no length is believed
        let most = 256 * 1024 + 1100 * frame.body.len();
        assert!(decoder.held_bytes() <= most, "{} for {}", decoder.held_bytes(), frame.body.len());
    }
}

fn read_all(decoder: &mut Decoder, frame: Frame<'_>) -> Result<(), Error> {
    fn rows(decoded: Decoded<'_>) -> Result<(), Error> {
        if let Decoded::Rows(mut change) = decoded {
            let mut images = RowImages::default();
            while change.next_row(&mut images)? {}
        }
        Ok(())
    }
    rows(decoder.decode(frame)?)?;
    while let Some(decoded) = decoder.decode_inner(frame)? {
        rows(decoded)?;
    }
    Ok(())
}

/// Calls with the events of all recordings that are shorter than `below` bytes.
fn each(below: usize, mut call: impl FnMut(&Case<'_>)) {
    let file =
        |name: &str| std::fs::read(format!("{}/fixtures/binlogs/{name}.binlog", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (common, packed) = (&["kinds", "shown"], &["packed", "shown"]);
    let cases: [(&str, &[&str]); 10] = [
        ("mariadb", common),
        ("mariadb-11.8", common),
        ("mysql", common),
        ("mariadb-compressed", packed),
        ("mariadb-11.8-compressed", packed),
        ("mysql-compressed", &["kept", "shown"]),
        ("mysql-partial-json", &["docs"]),
        ("mariadb-images", &TABLES),
        ("mariadb-11.8-images", &TABLES),
        ("mysql-images", &TABLES),
    ];
    for (name, tables) in cases {
        let (file, flavor) = (file(name), if name.starts_with("mysql") { Flavor::MySql } else { Flavor::MariaDb });
        let tables: Vec<_> = tables.iter().map(|name| named(name, flavor)).collect();
        let all = events(&file);
        let mut seen = 0;
        for (i, event) in all.iter().enumerate().filter(|(_, event)| event.len() < below) {
            call(&Case { flavor, tables: tables.clone(), before: &all[i.saturating_sub(2)..i], event });
            seen += 1;
        }
        assert!(seen > 10, "{name}: {seen} events");
    }
}

#[test]
fn every_truncation_ends_in_an_error_with_a_position() {
    each(700, |case| {
        let whole = Frame::parse(case.event, true).unwrap();
        for end in 0..whole.body.len() {
            case.feed(Frame { body: &whole.body[..end], ..whole });
        }
    });
}

#[test]
fn turned_bits_are_told_by_the_checksum_and_do_no_harm_without() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    each(700, |case| {
        for _ in 0..100 {
            let mut bytes = case.event.to_vec();
            let (at, bit) = (random(bytes.len()), random(8));
            bytes[at] ^= 1 << bit;
            // but for the flag of a file in use, the checksum tells
            let in_use = (case.event[4], at, bit) == (super::event::types::FORMAT_DESCRIPTION, 17, 0);
            assert!(in_use || Frame::parse(&bytes, true).is_err(), "{at}");
            if let Ok(frame) = Frame::parse(&bytes, false) {
                case.feed(Frame { body: &frame.body[..frame.body.len() - 4], ..frame });
            }
        }
    });
}
