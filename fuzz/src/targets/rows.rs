//! Rows events of tables whose TABLE_MAP is as a server wrote it.

use super::watch::Watch;
use super::{all, head, recorded, wire};
use sirenia::binlog::{Decoder, Frame};
use sirenia::position::{BinlogOffset, Position};
use sirenia::schema::Flavor;
use std::sync::OnceLock;

pub const FILES: [&[u8]; 10] = [
    include_bytes!("../../../fixtures/binlogs/mysql.binlog"),
    include_bytes!("../../../fixtures/binlogs/mysql-images.binlog"),
    include_bytes!("../../../fixtures/binlogs/mysql-compressed.binlog"),
    include_bytes!("../../../fixtures/binlogs/mysql-partial-json.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb-images.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb-compressed.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb-11.8.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb-11.8-images.binlog"),
    include_bytes!("../../../fixtures/binlogs/mariadb-11.8-compressed.binlog"),
];
/// The first of them that MariaDB wrote.
pub const MARIADB: usize = 4;

/// Every kind of rows event: both versions, partial updates, MariaDB's compressed ones.
pub const KINDS: [u8; 13] = [30, 31, 32, 23, 24, 25, 39, 166, 167, 168, 169, 170, 171];

/// A recorded TABLE_MAP of one of [`recorded::NAMES`].
pub struct Recorded {
    pub flavor: Flavor,
    /// Which of the tables.
    pub table: usize,
    pub body: Vec<u8>,
}

/// All that differ, in the files' order.
pub fn recorded() -> &'static [Recorded] {
    static TABLES: OnceLock<Vec<Recorded>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut found: Vec<Recorded> = Vec::new();
        for (file, bytes) in FILES.iter().enumerate() {
            let flavor = if file < MARIADB { Flavor::MySql } else { Flavor::MariaDb };
            for event in recorded::events(bytes).into_iter().filter(|event| event[4] == wire::TABLE_MAP) {
                let body = &event[19..event.len() - 4];
                let named = |name: &&str| body[8..].starts_with(&wire::table_map("fx", name, &[])[8..]);
                let Some(table) = recorded::NAMES.iter().position(named) else { continue };
                let same =
                    |known: &Recorded| (known.flavor, &known.body[6..]) == (flavor, &body[6..]) && known.table == table;
                if !found.iter().any(same) && fits(flavor, table, body) {
                    found.push(Recorded { flavor, table, body: body.to_vec() });
                }
            }
        }
        assert!(found.len() > 10, "the recorded files have more tables");
        found
    })
}

/// A name may have had other columns before.
fn fits(flavor: Flavor, table: usize, body: &[u8]) -> bool {
    let start = Position { binlog: BinlogOffset::new("bin.000002", 4), gtid: None };
    let mut decoder = Decoder::new(flavor, start, vec![all(flavor)[table].clone()]);
    let event = wire::event(wire::TABLE_MAP, 0, 0, body);
    decoder.decode(Frame::parse(&event, false).expect("an event")).is_ok()
}

/// First byte: the table (the lower six bits), 0x40 rows of a compressed event come unpacked, 0x80 the input is all that follows
/// the flags; else it begins with the bitmaps of the columns. Second byte: the kind of event.
pub fn rows(data: &[u8]) {
    let ([mode, kind], rest) = head(data);
    let known = recorded();
    let recorded = &known[usize::from(mode & 0x3F) % known.len()];
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let table = &all(recorded.flavor)[recorded.table..=recorded.table];
    let mut watch = Watch::new(recorded.flavor, false, table);
    watch.prepare(&[wire::begin(), wire::event(wire::TABLE_MAP, 0, 0, &recorded.body)]);

    let mut body = recorded.body[..6].to_vec();
    body.extend([1, 0]); // ends its statement
    if mode & 0x80 == 0 {
        if matches!(kind, 30..=39 | 169..=171) {
            body.extend([2, 0]);
        }
        let width = table[0].columns.len();
        body.push(width as u8);
        let images = if matches!(kind, 24 | 31 | 39 | 167 | 170) { 2 } else { 1 };
        let (bitmaps, rows) = rest.split_at(rest.len().min(images * width.div_ceil(8)));
        body.extend(bitmaps);
        if kind >= 166 && mode & 0x40 != 0 {
            body.push(0x84); // zlib, and four bytes of length
            body.extend((rows.len() as u32).to_be_bytes());
            body.extend(wire::zlib_stored(rows));
        } else {
            body.extend(rows);
        }
    } else {
        body.extend(rest);
    }
    let event = wire::event(kind, 0, 0, &body);
    let _ = watch.take(wire::frame(&event), &mut |_, _| {});
}
