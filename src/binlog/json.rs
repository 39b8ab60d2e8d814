//! MySQL's binary JSON as text, byte for byte what the server's own `CAST(json AS CHAR)` gives.
//!
//! Format: `sql-common/json_binary.h`; text: `Json_wrapper::to_string` in `sql-common/json_dom.cc`. Values inside a document
//! point at each other by offsets, so damaged bytes could visit one value many times over. A budget prevents it: in a
//! sound document no two values share bytes, hence all that is visited is no longer than the document.

use super::decimal;
use super::reader::Reader;
use super::temporal;
use crate::error::{Result, corrupt};
use crate::value::{Date, Time};
use std::io::Write;

/// `JSON_DOCUMENT_MAX_DEPTH` of the server.
pub(super) const MAX_DEPTH: usize = 100;

/// Type codes (`JSONB_TYPE_…`).
mod code {
    pub const SMALL_OBJECT: u8 = 0;
    pub const LARGE_OBJECT: u8 = 1;
    pub const SMALL_ARRAY: u8 = 2;
    pub const LARGE_ARRAY: u8 = 3;
    pub const LITERAL: u8 = 4;
    pub const INT16: u8 = 5;
    pub const UINT16: u8 = 6;
    pub const INT32: u8 = 7;
    pub const UINT32: u8 = 8;
    pub const INT64: u8 = 9;
    pub const UINT64: u8 = 10;
    pub const DOUBLE: u8 = 11;
    pub const STRING: u8 = 12;
    pub const OPAQUE: u8 = 15;
}

/// Appends the document as JSON text. Strings are the stored bytes, escaped; they are UTF-8 if the server wrote UTF-8.
///
/// # Errors
/// `Corrupt` when `bytes` is not a binary JSON document; `out` then holds a part of the text.
pub fn to_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let Some((code, data)) = bytes.split_first() else {
        out.extend_from_slice(b"null"); // as the server reads an empty value
        return Ok(());
    };
    let mut writer = Writer::new(bytes.len() + 16, out);
    writer.value(*code, data, 0).ok_or_else(|| corrupt("malformed binary JSON value"))
}

/// An object or an array, taken apart one value after the other.
pub(super) struct Container<'a> {
    data: &'a [u8],
    object: bool,
    /// Bytes of an offset.
    width: usize,
    /// Bytes before the first key or value.
    head: usize,
    left: usize,
    keys: Reader<'a>,
    values: Reader<'a>,
}

impl<'a> Container<'a> {
    /// Count, size, then for objects the keys' places, then the values' types and places; offsets are from `data`'s start.
    /// `None` for what is no container.
    pub fn read(code: u8, data: &'a [u8]) -> Option<Self> {
        let (object, width) = match code {
            code::SMALL_OBJECT => (true, 2),
            code::LARGE_OBJECT => (true, 4),
            code::SMALL_ARRAY => (false, 2),
            code::LARGE_ARRAY => (false, 4),
            _ => return None,
        };
        let mut reader = Reader::new(data);
        let count = reader.uint(width)? as usize;
        let size = reader.uint(width)? as usize;
        let data = data.get(..size)?;
        let head = (2 * width).checked_add(count.checked_mul(if object { 2 * width + 3 } else { width + 1 })?)?;
        if head > size {
            return None;
        }
        let keys = Reader::new(data.get(2 * width..)?);
        let mut values = keys;
        if object {
            values.bytes(count * (width + 2))?;
        }
        Some(Self { data, object, width, head, left: count, keys, values })
    }

    pub fn is_object(&self) -> bool {
        self.object
    }

    /// Bytes that only this container has: count, size, and the places of keys and values.
    pub fn head_bytes(&self) -> usize {
        self.head
    }

    /// The next key (empty in an array), type code, and bytes that start with the value; `Some(None)` behind the last.
    #[expect(clippy::type_complexity)]
    pub fn next(&mut self) -> Option<Option<(&'a [u8], u8, &'a [u8])>> {
        if self.left == 0 {
            return Some(None);
        }
        self.left -= 1;
        let mut key = &b""[..];
        if self.object {
            let (offset, len) = (self.keys.uint(self.width)? as usize, usize::from(self.keys.u16()?));
            key = self.data.get(offset..offset.checked_add(len)?)?;
        }
        let code = self.values.u8()?;
        let place = self.values.bytes(self.width)?;
        if is_inline(code, self.width) {
            return Some(Some((key, code, place)));
        }
        let offset = Reader::new(place).uint(self.width)? as usize;
        let value = self.data.get(offset..).filter(|_| offset >= self.head)?;
        Some(Some((key, code, value)))
    }
}

pub(super) struct Writer<'o> {
    /// Bytes that may still be visited.
    budget: usize,
    pub out: &'o mut Vec<u8>,
}

/// In all methods `None` means malformed.
impl<'o> Writer<'o> {
    pub fn new(budget: usize, out: &'o mut Vec<u8>) -> Self {
        Self { budget, out }
    }

    /// Takes bytes that are written by somebody else into account.
    pub fn spend(&mut self, bytes: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }

    /// A value whose bytes start at `data`.
    pub fn value(&mut self, code: u8, data: &[u8], depth: usize) -> Option<()> {
        let mut reader = Reader::new(data);
        match code {
            code::SMALL_OBJECT | code::LARGE_OBJECT | code::SMALL_ARRAY | code::LARGE_ARRAY => {
                self.container(Container::read(code, data)?, depth)
            }
            code::LITERAL => {
                self.out.extend_from_slice(match reader.u8()? {
                    0 => b"null",
                    1 => b"true",
                    2 => b"false",
                    _ => return None,
                });
                self.spend(1)
            }
            code::INT16 => self.number(reader.u16()? as i16, 2),
            code::UINT16 => self.number(reader.u16()?, 2),
            code::INT32 => self.number(reader.u32()? as i32, 4),
            code::UINT32 => self.number(reader.u32()?, 4),
            code::INT64 => self.number(reader.u64()? as i64, 8),
            code::UINT64 => self.number(reader.u64()?, 8),
            code::DOUBLE => {
                self.spend(8)?;
                double(f64::from_le_bytes(reader.array()?), self.out)
            }
            code::STRING => {
                let text = counted(&mut reader)?;
                self.spend(text.len() + 1)?;
                string(text, self.out);
                Some(())
            }
            code::OPAQUE => {
                let field_type = reader.u8()?;
                let data = counted(&mut reader)?;
                self.spend(data.len() + 2)?;
                opaque(field_type, data, self.out)
            }
            _ => None,
        }
    }

    fn number(&mut self, number: impl std::fmt::Display, bytes: usize) -> Option<()> {
        self.spend(bytes)?;
        write!(self.out, "{number}").ok()
    }

    fn container(&mut self, mut container: Container<'_>, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.spend(container.head)?;
        let (object, width) = (container.object, container.width);
        self.out.push(if object { b'{' } else { b'[' });
        let mut first = true;
        while let Some((key, code, value)) = container.next()? {
            if !std::mem::take(&mut first) {
                self.out.extend_from_slice(b", ");
            }
            if object {
                self.spend(key.len())?;
                string(key, self.out);
                self.out.extend_from_slice(b": ");
            }
            let inline = is_inline(code, width).then_some(self.budget);
            if inline.is_some() {
                self.budget += 4; // its bytes are those of its place, spent with the head
            }
            self.value(code, value, depth + 1)?;
            self.budget = inline.unwrap_or(self.budget);
        }
        self.out.push(if object { b'}' } else { b']' });
        Some(())
    }
}

/// Small values stand in the place of their offset.
fn is_inline(code: u8, width: usize) -> bool {
    matches!(code, code::LITERAL | code::INT16 | code::UINT16)
        || width == 4 && matches!(code, code::INT32 | code::UINT32)
}

/// Bytes behind their length, which is written 7 bits at a time.
fn counted<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut len = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = reader.u8()?;
        len |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return reader.bytes(usize::try_from(len).ok()?);
        }
    }
    None
}

/// `double_quote()` of the server: the short escapes, `\u00xx` for other control characters, nothing else.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (i, byte) in text.iter().enumerate() {
        let escape = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[plain..i]);
        plain = i + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(&[b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

/// `my_gcvt()` of the server, with `.0` behind whole numbers: the shortest digits that give the number back, in
/// scientific notation for whole numbers from 10¹⁵ on and for what is below 10⁻¹⁵. `None` for what is not finite, which
/// JSON cannot hold.
fn double(number: f64, out: &mut Vec<u8>) -> Option<()> {
    const MAX_PLACES: i32 = 15; // DBL_DIG
    if !number.is_finite() {
        return None;
    }
    let text = shortest(number.abs());
    let (mantissa, exponent) = text.split_once('e')?;
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let point = exponent.parse::<i32>().ok()? + 1; // where the point stands among the digits
    let len = i32::try_from(digits.len()).ok()?;
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if point <= -MAX_PLACES || point > MAX_PLACES && len <= point {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return write!(out, "{first}{dot}{rest}e{}", point - 1).ok();
    }
    if point <= 0 {
        write!(out, "0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)).ok()
    } else if point < len {
        let (whole, fraction) = digits.split_at(point as usize);
        write!(out, "{whole}.{fraction}").ok()
    } else {
        write!(out, "{digits}{}.0", "0".repeat((point - len) as usize)).ok()
    }
}

/// The shortest digits that give a number back. Where two of equal length are equally near, the server takes the even
/// one and Rust the upper one; that happens only among numbers of many digits.
fn shortest(number: f64) -> String {
    const LEAST_DIGITS_OF_A_TIE: usize = 15;
    let text = format!("{number:e}");
    let digits = text.find('e').unwrap_or(text.len()).saturating_sub(1); // the point is there if there are many
    if digits < LEAST_DIGITS_OF_A_TIE {
        return text;
    }
    let even = format!("{number:.*e}", digits - 1);
    if even.parse() == Ok(number) { even } else { text }
}

/// Values of MySQL types that JSON lacks: decimals as numbers, dates and times as strings, all else in base64.
fn opaque(field_type: u8, data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const TIMESTAMP: u8 = 7;
    const DATE: u8 = 10;
    const TIME: u8 = 11;
    const DATETIME: u8 = 12;
    const NEWDECIMAL: u8 = 246;
    let mut reader = Reader::new(data);
    match field_type {
        NEWDECIMAL => {
            let [precision, scale] = reader.array()?;
            out.extend_from_slice(decimal::read_words(&mut reader, precision, scale)?.as_bytes());
            Some(())
        }
        DATE => {
            let Date { year, month, day } = temporal::datetime_packed(reader.u64()? as i64)?.date;
            write!(out, "\"{year:04}-{month:02}-{day:02}\"").ok()
        }
        DATETIME | TIMESTAMP => {
            let value = temporal::datetime_packed(reader.u64()? as i64)?;
            let Date { year, month, day } = value.date;
            let (hour, minute, second, micros) = (value.hour, value.minute, value.second, value.micros);
            write!(out, "\"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}\"").ok()
        }
        TIME => {
            let Time { negative, hours, minutes, seconds, micros } = temporal::time_packed(reader.u64()? as i64)?;
            let sign = if negative { "-" } else { "" };
            write!(out, "\"{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}\"").ok()
        }
        _ => {
            write!(out, "\"base64:type{field_type}:").ok()?;
            base64(data, out);
            out.push(b'"');
            Some(())
        }
    }
}

/// The server breaks base64 into lines of 76 characters; inside a JSON string the break is `\n`.
fn base64(data: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (i, chunk) in data.chunks(3).enumerate() {
        if i > 0 && i % 19 == 0 {
            out.extend_from_slice(b"\\n");
        }
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for sextet in 0..4 {
            let shift = 18 - 6 * sextet;
            let padding = sextet > chunk.len();
            out.push(if padding { b'=' } else { ALPHABET[(bits >> shift & 63) as usize] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        to_text(bytes, &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    fn number(value: f64) -> String {
        text(&[&[code::DOUBLE][..], &value.to_le_bytes()].concat()).unwrap()
    }

    #[test]
    fn doubles_as_the_server_prints_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1_234_567_890_123_456.8, "1234567890123456.8"),
            (1_798_745_562_782_866.2, "1798745562782866.2"),
            (2.5e15, "2.5e15"),
            (123_456_789_012_345_680_000.0, "1.2345678901234568e20"),
            (0.00001, "0.00001"),
            (1.25e-15, "0.00000000000000125"),
            (1.25e-16, "1.25e-16"),
            (5e-324, "5e-324"),
            (1234.5, "1234.5"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(text(&[&[code::DOUBLE][..], &f64::NAN.to_le_bytes()].concat()), None);
    }

    /// `{"a": [1, "x", null]}` in the small and the large form.
    fn sample(width: usize) -> Vec<u8> {
        let w = |n: usize| n.to_le_bytes()[..width].to_vec();
        let (object, array) = if width == 2 { (0, 2) } else { (1, 3) };
        let inner_head = 2 * width + 3 * (width + 1);
        let inner = [
            &w(3)[..],
            &w(inner_head + 2), // count, size
            &[code::INT16],
            &w(1),
            &[code::STRING],
            &w(inner_head),
            &[code::LITERAL],
            &w(0),
            &[1, b'x'],
        ]
        .concat();
        let head = 2 * width + (width + 2) + (width + 1);
        [&[object][..], &w(1), &w(head + 1 + inner.len()), &w(head), &[1, 0], &[array], &w(head + 1), b"a", &inner]
            .concat()
    }

    #[test]
    fn containers_of_both_sizes_and_all_their_prefixes() {
        for width in [2, 4] {
            let bytes = sample(width);
            assert_eq!(text(&bytes).unwrap(), r#"{"a": [1, "x", null]}"#);
            for end in 1..bytes.len() {
                assert_eq!(text(&bytes[..end]), None, "{end}");
            }
        }
        assert_eq!(text(&[]).unwrap(), "null");
    }

    #[test]
    fn shared_inline_values_do_not_blow_up() {
        // an array of 1,000 cells, all at the place of one inner array, which is of 1,000 literals
        let (n, head) = (1000_u16, 4 + 3 * 1000_u16);
        let mut bytes = vec![code::SMALL_ARRAY];
        bytes.extend([n.to_le_bytes(), (2 * head).to_le_bytes()].concat());
        (0..n).for_each(|_| bytes.extend([&[code::SMALL_ARRAY][..], &head.to_le_bytes()].concat()));
        bytes.extend([n.to_le_bytes(), head.to_le_bytes()].concat());
        (0..n).for_each(|_| bytes.extend([code::LITERAL, 2, 0]));
        let mut out = Vec::new();
        assert!(to_text(&bytes, &mut out).is_err());
        assert!(out.len() < 8 * bytes.len(), "{}", out.len());
    }

    #[test]
    fn shared_values_do_not_blow_up() {
        // an array of two values, both at the place of one inner array, which is an array of two …
        let mut bytes = vec![code::STRING, 1, b'x'];
        for level in 0..60 {
            let inner = if level == 0 { code::STRING } else { code::SMALL_ARRAY };
            let body = bytes.split_off(1);
            let size = 10 + body.len() as u16;
            bytes =
                [&[code::SMALL_ARRAY, 2, 0][..], &size.to_le_bytes(), &[inner, 10, 0, inner, 10, 0], &body].concat();
        }
        assert_eq!(text(&bytes), None);
    }

    #[test]
    fn depth_is_limited() {
        let nest = |levels: usize| {
            let mut bytes = vec![code::SMALL_ARRAY, 0, 0, 4, 0];
            for _ in 1..levels {
                let body = bytes.split_off(1);
                let size = 7 + body.len() as u16;
                bytes =
                    [&[code::SMALL_ARRAY, 1, 0][..], &size.to_le_bytes(), &[code::SMALL_ARRAY, 7, 0], &body].concat();
            }
            text(&bytes)
        };
        assert_eq!(nest(100).unwrap(), format!("{}{}", "[".repeat(100), "]".repeat(100)));
        assert_eq!(nest(101), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![0..20u8, any::<u8>()], 0..80)) {
            let mut out = Vec::new();
            let _ = to_text(&bytes, &mut out);
            prop_assert!(out.len() < 64 * (bytes.len() + 16));
        }

        #[test]
        fn damaged_documents_do_not_make_it_panic(at in 0..30usize, byte in any::<u8>()) {
            let mut bytes = sample(2);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = to_text(&bytes, &mut Vec::new());
        }

        #[test]
        fn doubles_come_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(number(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
