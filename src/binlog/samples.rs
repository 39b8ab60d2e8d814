//! Events made by hand, for the tests of this module.

/// A whole event with its checksum.
pub(super) fn event(event_type: u8, flags: u16, log_pos: u32, body: &[u8]) -> Vec<u8> {
    let size = (super::event::HEADER_BYTES + body.len() + 4) as u32;
    let mut bytes = Vec::new();
    bytes.extend(1_700_000_000_u32.to_le_bytes());
    bytes.push(event_type);
    bytes.extend(7_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(log_pos.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(body);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// A Query event's body.
pub(super) fn query(database: &str, sql: &str) -> Vec<u8> {
    let mut body = vec![0; 13];
    body[8] = database.len() as u8;
    body.extend(database.as_bytes());
    body.push(0);
    body.extend(sql.as_bytes());
    body
}

/// A format description's body.
pub(super) fn format_description() -> Vec<u8> {
    let mut body = vec![0; 100];
    body[0] = 4;
    body[56] = 19;
    body
}

/// The body of a TABLE_MAP of table id 9.
pub(super) fn table_map(database: &str, table: &str, types: &[u8], meta: &[u8], optional: &[u8]) -> Vec<u8> {
    let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0];
    body.extend(super::table_map::name_key(database, table).unwrap());
    body.push(types.len() as u8);
    body.extend(types);
    body.push(meta.len() as u8);
    body.extend(meta);
    body.extend(vec![0xFF; types.len().div_ceil(8)]);
    body.extend(optional);
    body
}

/// The body of a rows event of version 2 for table id 9 that ends its statement.
pub(super) fn rows(columns: u8, bitmaps: &[u8], rows: &[u8]) -> Vec<u8> {
    [&[9, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns][..], bitmaps, rows].concat()
}

/// An event as it stands inside a compressed transaction: without a checksum, and at no place.
pub(super) fn inner_event(event_type: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = event(event_type, 0, 0, body);
    bytes.truncate(bytes.len() - 4);
    let size = (bytes.len() as u32).to_le_bytes();
    bytes[9..13].copy_from_slice(&size);
    bytes
}

/// The body of a compressed transaction.
pub(super) fn payload(events: &[u8]) -> Vec<u8> {
    let lenenc = |n: usize| [&[254][..], &(n as u64).to_le_bytes()].concat();
    let packed = zstd::encode_all(events, 3).unwrap();
    [&[2, 1, 0, 3, 9][..], &lenenc(events.len()), &[1, 9], &lenenc(packed.len()), &[0], &packed].concat()
}
