//! PostgreSQL's binary COPY: the bytes of tuples and fields.
//!
//! Owns the layouts that the server's `*_recv` functions read (`src/backend/utils/adt/*.c`) and that `COPY … (FORMAT
//! binary)` frames (`src/backend/commands/copyfromparse.c`): all integers are big-endian, a field is an `i32` length and
//! as many bytes, NULL is the length −1. Plain values enter, bytes are appended to a `Vec<u8>`; nothing is read back, no
//! source type is known here.
//!
//! Invariant: equal values give equal bytes, and they are the ones the server itself would send (`numeric` without
//! leading or trailing zero groups, zero without a sign), so that keys may be compared as bytes.

mod calendar;
mod numeric;

pub use calendar::{MICROS_PER_DAY, UNIX_DAYS, civil_of_unix_days, days_since_2000};
pub use numeric::{numeric, numeric_whole};

/// What a COPY stream starts with: signature, flags 0, no header extension.
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a COPY stream ends with: a tuple of −1 fields.
pub const TRAILER: [u8; 2] = [0xff, 0xff];

/// The longest field that the server takes: its largest allocation (1 GiB − 1, `MaxAllocSize`) less a varlena's header.
pub const MAX_FIELD_BYTES: usize = 0x3fff_ffff - 4;

const OID_FLOAT4: u32 = 700;
const OID_TEXT: u32 = 25;

/// Starts a tuple of `fields` fields; PostgreSQL's own limit is 1600.
pub fn tuple_header(out: &mut Vec<u8>, fields: u16) {
    out.extend_from_slice(&fields.to_be_bytes());
}

/// NULL.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

/// A field that is encoded already, or NULL.
pub fn field(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        }
        None => null(out),
    }
}

/// Leaves room for a field's length; what is appended until [`finish`] is its content.
#[must_use]
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len()
}

/// Ends the field that `begin` started. `false` when it is longer than [`MAX_FIELD_BYTES`]; then nothing is written.
#[must_use]
pub fn finish(out: &mut [u8], begun: usize) -> bool {
    let len = out.len() - begun;
    if len > MAX_FIELD_BYTES {
        return false;
    }
    out[begun - 4..begun].copy_from_slice(&(len as u32).to_be_bytes());
    true
}

fn fixed<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&(N as u32).to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// `smallint`
pub fn int2(out: &mut Vec<u8>, value: i16) {
    fixed(out, value.to_be_bytes());
}

/// `integer`
pub fn int4(out: &mut Vec<u8>, value: i32) {
    fixed(out, value.to_be_bytes());
}

/// `bigint`
pub fn int8(out: &mut Vec<u8>, value: i64) {
    fixed(out, value.to_be_bytes());
}

/// `real`
pub fn float4(out: &mut Vec<u8>, value: f32) {
    fixed(out, value.to_bits().to_be_bytes());
}

/// `double precision`
pub fn float8(out: &mut Vec<u8>, value: f64) {
    fixed(out, value.to_bits().to_be_bytes());
}

/// `boolean`
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    fixed(out, [u8::from(value)]);
}

/// `bit(bits)` and `bit varying`, 1…64 bits, from the low bits of `value`: first bit first, filled up with zeros.
pub fn bit(out: &mut Vec<u8>, bits: u8, value: u64) {
    let bits = bits.clamp(1, 64);
    let bytes = usize::from(bits).div_ceil(8);
    out.extend_from_slice(&(4 + bytes as u32).to_be_bytes());
    out.extend_from_slice(&u32::from(bits).to_be_bytes());
    out.extend_from_slice(&(value << (64 - u32::from(bits))).to_be_bytes()[..bytes]);
}

/// `text`, `varchar`, `bytea`, `json`: the bytes themselves. `false` when they are too many; then nothing is written.
#[must_use]
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) -> bool {
    if value.len() > MAX_FIELD_BYTES {
        return false;
    }
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
    true
}

/// What stands before a `jsonb` field's text: the version of its format.
pub const JSONB_VERSION: u8 = 1;

/// `date`, as [`days_since_2000`] counts.
pub fn date(out: &mut Vec<u8>, days: i32) {
    int4(out, days);
}

/// `timestamp` and `timestamptz` (then in UTC): microseconds since 2000-01-01 00:00:00.
pub fn timestamp(out: &mut Vec<u8>, micros: i64) {
    int8(out, micros);
}

/// `time`: microseconds since midnight.
pub fn time(out: &mut Vec<u8>, micros: i64) {
    int8(out, micros);
}

/// `interval`
pub fn interval(out: &mut Vec<u8>, micros: i64, days: i32, months: i32) {
    out.extend_from_slice(&16u32.to_be_bytes());
    out.extend_from_slice(&micros.to_be_bytes());
    out.extend_from_slice(&days.to_be_bytes());
    out.extend_from_slice(&months.to_be_bytes());
}

/// `uuid`, in the order in which it is written.
pub fn uuid(out: &mut Vec<u8>, value: [u8; 16]) {
    fixed(out, value);
}

/// `inet` of one IPv4 host (`PGSQL_AF_INET`, 32 bits, not a cidr).
pub fn inet4(out: &mut Vec<u8>, address: [u8; 4]) {
    out.extend_from_slice(&8u32.to_be_bytes());
    out.extend_from_slice(&[2, 32, 0, 4]);
    out.extend_from_slice(&address);
}

/// `inet` of one IPv6 host (`PGSQL_AF_INET6`, 128 bits, not a cidr).
pub fn inet6(out: &mut Vec<u8>, address: [u8; 16]) {
    out.extend_from_slice(&20u32.to_be_bytes());
    out.extend_from_slice(&[3, 128, 0, 16]);
    out.extend_from_slice(&address);
}

/// `text[]` without NULLs; `elements` must be cheap to walk twice.
pub fn text_array<'a>(out: &mut Vec<u8>, elements: impl Iterator<Item = &'a [u8]> + Clone) {
    let begun = begin(out);
    array_header(out, elements.clone().count(), OID_TEXT);
    for element in elements {
        out.extend_from_slice(&(element.len() as u32).to_be_bytes());
        out.extend_from_slice(element);
    }
    let fits = finish(out, begun);
    debug_assert!(fits, "a SET has at most 64 members of 255 characters");
}

/// `real[]` without NULLs.
pub fn float4_array(out: &mut Vec<u8>, elements: impl ExactSizeIterator<Item = f32>) {
    let begun = begin(out);
    array_header(out, elements.len(), OID_FLOAT4);
    for element in elements {
        float4(out, element);
    }
    let fits = finish(out, begun);
    debug_assert!(fits, "a vector has at most 16383 dimensions");
}

/// One dimension from 1 to `len`, no NULLs; an empty array has no dimension.
fn array_header(out: &mut Vec<u8>, len: usize, oid: u32) {
    out.extend_from_slice(&u32::from(len > 0).to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend_from_slice(&oid.to_be_bytes());
    if len > 0 {
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(&1u32.to_be_bytes());
    }
}

/// The fields of a tuple or key: each a 4-byte length (−1 for NULL) and its bytes. Yields length and bytes together.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a key, or of any run of fields without a count before it.
    #[must_use]
    pub fn of_key(key: &'a [u8]) -> Self {
        Self(key)
    }

    /// The fields of a COPY tuple: the count is skipped.
    #[must_use]
    pub fn of_tuple(tuple: &'a [u8]) -> Self {
        Self(tuple.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, _) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, rest) = self.0.split_at_checked(4 + length)?;
        self.0 = rest;
        Some(field)
    }
}

/// The bytes of one field as [`Fields`] yields it; none for NULL.
#[must_use]
pub fn field_value(field: &[u8]) -> Option<&[u8]> {
    (field.get(..4)? != [0xff; 4]).then(|| &field[4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn header_and_trailer_are_the_manuals() {
        assert_eq!(&HEADER[..11], b"PGCOPY\n\xff\r\n\0");
        assert_eq!(&HEADER[11..], [0; 8]);
        assert_eq!(i16::from_be_bytes(TRAILER), -1);
    }

    #[test]
    fn fields_carry_their_length() {
        assert_eq!(of(null), [0xff; 4]);
        assert_eq!(of(|o| int2(o, -2)), [0, 0, 0, 2, 0xff, 0xfe]);
        assert_eq!(of(|o| boolean(o, true)), [0, 0, 0, 1, 1]);
        assert_eq!(of(|o| assert!(bytes(o, b"ab"))), [0, 0, 0, 2, b'a', b'b']);
        assert_eq!(of(|o| float4(o, 1.5)), [0, 0, 0, 4, 0x3f, 0xc0, 0, 0]);
        assert_eq!(of(|o| inet4(o, [127, 0, 0, 1])), [0, 0, 0, 8, 2, 32, 0, 4, 127, 0, 0, 1]);
        let placed = of(|o| {
            let begun = begin(o);
            o.extend_from_slice(b"xyz");
            assert!(finish(o, begun));
        });
        assert_eq!(placed, [0, 0, 0, 3, b'x', b'y', b'z']);
    }

    #[test]
    fn bits_are_left_aligned() {
        assert_eq!(of(|o| bit(o, 10, 0b10_0000_0001)), [0, 0, 0, 6, 0, 0, 0, 10, 0b1000_0000, 0b0100_0000]);
        assert_eq!(of(|o| bit(o, 1, 1)), [0, 0, 0, 5, 0, 0, 0, 1, 0x80]);
        assert_eq!(of(|o| bit(o, 64, 5))[8..], 5u64.to_be_bytes());
    }

    #[test]
    fn arrays_have_one_dimension_or_none() {
        assert_eq!(of(|o| text_array(o, [].into_iter())), [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]);
        let one = of(|o| float4_array(o, [0.0f32].into_iter()));
        assert_eq!(&one[..4], [0, 0, 0, 28]);
        assert_eq!(&one[4..8], [0, 0, 0, 1]);
        assert_eq!(&one[16..], [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0]);
    }
}
