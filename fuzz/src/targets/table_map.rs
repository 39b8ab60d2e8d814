//! TABLE_MAP against the schema of its table.

use super::watch::Watch;
use super::{all, head, wire};
use sirenia::schema::Flavor;
use sirenia::value::ValueRef;

/// First byte: the table (the lower four bits), 0x40 MariaDB, 0x80 the input is the whole body; else it begins with the number of
/// columns.
pub fn table_map(data: &[u8]) {
    let ([mode], rest) = head(data);
    let flavor = if mode & 0x40 != 0 { Flavor::MariaDb } else { Flavor::MySql };
    let all = all(flavor);
    let at = usize::from(mode & 0x0F) % all.len();
    let table = &all[at..=at];
    let mut watch = Watch::new(flavor, false, table);
    watch.prepare(&[wire::begin()]);
    if mode & 0x80 != 0 {
        let event = wire::event(wire::TABLE_MAP, 0, 0, rest);
        let _ = watch.take(wire::frame(&event), &mut |_, _| {});
        return;
    }
    let name = &table[0].name;
    let event = wire::event(wire::TABLE_MAP, 0, 0, &wire::table_map(&name.database, &name.table, rest));
    if watch.take(wire::frame(&event), &mut |_, _| {}).is_err() {
        return;
    }
    // what agrees with the schema can be read: a row of nothing but NULL, and none after it
    let width = table[0].columns.len();
    let bits = vec![0xFF; width.div_ceil(8)];
    let body = [&[9, 0, 0, 0, 0, 0, 1, 0, 2, 0, width as u8][..], &bits, &bits].concat();
    let event = wire::event(wire::WRITE_ROWS, 0, 0, &body);
    let rows = watch.take(wire::frame(&event), &mut |_, value| assert_eq!(*value, ValueRef::Null));
    assert_eq!(rows.expect("a row of NULLs"), 1);
}
