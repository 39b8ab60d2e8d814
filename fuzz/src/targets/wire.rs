//! Binlog events made by hand, and those of recorded files.

use sirenia::binlog::Frame;

pub const QUERY: u8 = 2;
pub const FORMAT_DESCRIPTION: u8 = 15;
pub const TABLE_MAP: u8 = 19;
pub const WRITE_ROWS: u8 = 30;
pub const PARTIAL_UPDATE_ROWS: u8 = 39;
const HEADER_BYTES: usize = 19;

/// A whole event without a checksum.
pub fn event(event_type: u8, flags: u16, log_pos: u32, body: &[u8]) -> Vec<u8> {
    let size = (HEADER_BYTES + body.len()) as u32;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + 4);
    bytes.extend(1_700_000_000_u32.to_le_bytes());
    bytes.push(event_type);
    bytes.extend(7_u32.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(log_pos.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(body);
    bytes
}

pub fn frame(event: &[u8]) -> Frame<'_> {
    Frame::parse(event, false).expect("one event")
}

/// The same event with its checksum, which a format description has as if its file were not in use (flag 1).
pub fn with_checksum(event: &[u8]) -> Vec<u8> {
    let mut bytes = event.to_vec();
    bytes[9..13].copy_from_slice(&(event.len() as u32 + 4).to_le_bytes());
    let flags = bytes[17];
    if bytes[4] == FORMAT_DESCRIPTION {
        bytes[17] &= !1;
    }
    let checksum = crc32(&[&bytes]);
    bytes[17] = flags;
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// A Query event that begins a transaction.
pub fn begin() -> Vec<u8> {
    event(QUERY, 0, 0, &[&[0; 14][..], b"BEGIN"].concat())
}

/// The body of a TABLE_MAP of table id 9: what stands before the number of columns, and all else.
pub fn table_map(database: &str, table: &str, columns: &[u8]) -> Vec<u8> {
    let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0];
    for name in [database, table] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.extend(columns);
    body
}

/// CRC-32 as in IEEE 802.3, apart from the library's own.
pub fn crc32(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    let bytes = parts.iter().copied().flatten();
    !bytes.fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// zlib's format around bytes that are left as they are (RFC 1950 and 1951, blocks of type 0).
pub fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(0xFFFF).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xFF, 0xFF]);
    }
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let adler = bytes.iter().fold((1, 0), |(a, b): (u32, u32), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend((adler.1 << 16 | adler.0).to_be_bytes());
    out
}
