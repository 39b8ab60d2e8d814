//! DECIMAL in rows and in JSON.

use super::recorded::table;
use super::watch::{Watch, is_canonical};
use super::{head, wire};
use sirenia::binlog::json::to_text;
use sirenia::schema::{Flavor, SourceType};
use sirenia::value::{Decimal, ValueRef};

/// One more than the largest precision and scale that a column can have.
const PRECISIONS: u8 = 66;
const SCALES: u8 = 39;

/// Precision, scale, and the bytes of values.
pub fn decimal(data: &[u8]) {
    let ([precision, scale], bytes) = head(data);
    from_json(precision, scale, bytes);
    let (precision, scale) = (precision % PRECISIONS, scale % SCALES);
    if precision == 0 || scale > precision {
        return;
    }
    let mut at = 0;
    for value in from_rows(precision, scale, bytes) {
        let size = encode(value.as_str(), precision, scale).len();
        let stored = &bytes[at..at + size];
        at += size;
        let text = value.as_str();
        assert!(is_canonical(&value, precision, scale), "{text} as decimal({precision},{scale})");
        // the server's encoder gives the bytes back, except for a zero, whose sign has no meaning
        let encoded = encode(text, precision, scale);
        let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let negative_zero: Vec<u8> = encoded.iter().map(|byte| !byte).collect();
        assert!(encoded == stored || zero && negative_zero == stored, "{text} as decimal({precision},{scale})");
        let json = from_json(precision, scale, stored);
        assert_eq!(json.as_deref(), Some(text), "the same in JSON");
    }
}

/// The values of rows with one column each, until one is no decimal.
fn from_rows(precision: u8, scale: u8, bytes: &[u8]) -> Vec<Decimal> {
    let table = table("fx", "d", vec![("d", SourceType::Decimal { precision, scale, unsigned: false })]);
    let mut watch = Watch::new(Flavor::MySql, false, std::slice::from_ref(&table));
    let columns = [1, 246, 2, precision, scale, 1];
    watch.prepare(&[wire::begin(), wire::event(wire::TABLE_MAP, 0, 0, &wire::table_map("fx", "d", &columns))]);
    let size = size(precision, scale);
    let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 1];
    // each row begins with the bitmap of its NULLs
    bytes.chunks(size).for_each(|value| body.extend([&[0][..], value].concat()));
    let event = wire::event(wire::WRITE_ROWS, 0, 0, &body);
    let mut values = Vec::new();
    let read = watch.take(wire::frame(&event), &mut |_, value| match value {
        ValueRef::Decimal(decimal) => values.push(*decimal),
        other => panic!("{other:?}"),
    });
    assert!(read.is_err() || values.len() == bytes.len() / size && bytes.len().is_multiple_of(size));
    values
}

/// The text of a decimal inside a JSON document, where the precision can be larger.
fn from_json(precision: u8, scale: u8, bytes: &[u8]) -> Option<String> {
    let length = bytes.len() + 2;
    let mut document = vec![15, 246, length as u8 & 0x7F | 0x80, (length >> 7) as u8 & 0x7F, precision, scale];
    document.extend(bytes);
    let mut text = Vec::new();
    to_text(&document, &mut text).ok()?;
    let text = String::from_utf8(text).expect("digits");
    assert!(Decimal::from_text(text.as_bytes()).is_some(), "{text}");
    assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{text}");
    Some(text)
}

/// Bytes of so many digits.
fn digits(count: u8) -> usize {
    usize::from(count / 9) * 4 + usize::from((count % 9).div_ceil(2))
}

fn size(precision: u8, scale: u8) -> usize {
    digits(precision - scale) + digits(scale)
}

/// `decimal2bin` of the server's `strings/decimal.cc`.
pub fn encode(text: &str, precision: u8, scale: u8) -> Vec<u8> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let width = usize::from(precision - scale);
    let whole = format!("{whole:0>width$}");
    let whole = &whole[whole.len() - width..];
    let mut groups: Vec<&str> = vec![&whole[..width % 9]];
    groups.extend((0..width / 9).map(|i| &whole[width % 9 + i * 9..][..9]));
    groups.extend((0..fraction.len().div_ceil(9)).map(|i| &fraction[i * 9..fraction.len().min(i * 9 + 9)]));
    let mut bytes = Vec::with_capacity(size(precision, scale));
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let value: u32 = group.parse().expect("digits");
        bytes.extend(&value.to_be_bytes()[4 - digits(group.len() as u8)..]);
    }
    if negative {
        bytes.iter_mut().for_each(|byte: &mut u8| *byte = !*byte);
    }
    bytes[0] ^= 0x80;
    bytes
}
