//! NEWDECIMAL: digits in base 10⁹, big-endian, the sign as the inverted first bit (`strings/decimal.cc`, `bin2decimal`).

use super::reader::Reader;
use crate::value::Decimal;

/// Bytes of 0…9 digits.
const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// Largest value of 0…9 digits, plus one.
const LIMIT: [u32; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
/// The longest value: nine words of base 10⁹ (`DECIMAL_BUFF_LENGTH`).
const MAX_BYTES: usize = 36;

/// Whether a DECIMAL(precision, scale) can exist.
pub(super) fn valid(precision: u8, scale: u8) -> bool {
    (1..=65).contains(&precision) && scale <= precision && scale <= 38
}

/// Bytes of a DECIMAL(precision, scale).
pub(super) fn size(precision: u8, scale: u8) -> usize {
    let part = |digits: u8| usize::from(digits / 9) * 4 + BYTES[usize::from(digits % 9)];
    part(precision.saturating_sub(scale)) + part(scale)
}

/// Reads one value; `None` when the bytes end or are no such number.
pub(super) fn read(reader: &mut Reader<'_>, precision: u8, scale: u8) -> Option<Decimal> {
    if valid(precision, scale) { read_words(reader, precision, scale) } else { None }
}

/// [`read`] within JSON, where the server counts the digits before the point by whole words: 36 for 35 of them, so that
/// the precision may be above 65.
pub(super) fn read_words(reader: &mut Reader<'_>, precision: u8, scale: u8) -> Option<Decimal> {
    if precision == 0 || precision > 81 || scale > precision {
        return None;
    }
    let stored = reader.bytes(size(precision, scale)).filter(|stored| stored.len() <= MAX_BYTES)?;
    let negative = stored.first()? & 0x80 == 0;
    let mut groups = Groups { stored: Reader::new(stored), negative, first: true, zero: true };
    let mut text = Text { bytes: [0; Decimal::MAX], start: usize::from(negative), len: usize::from(negative) };
    text.bytes[0] = b'-'; // what follows is written over it if the number is not negative
    let whole = precision - scale;
    text.leading(groups.next(whole % 9)?)?;
    for _ in 0..whole / 9 {
        match groups.next(9)? {
            value if text.is_empty() => text.leading(value)?,
            value => text.digits(9, value)?,
        }
    }
    if text.is_empty() {
        text.push(b'0')?;
    }
    if scale > 0 {
        text.push(b'.')?;
        for _ in 0..scale / 9 {
            text.digits(9, groups.next(9)?)?;
        }
        text.digits(scale % 9, groups.next(scale % 9)?)?;
    }
    text.finish(negative && !groups.zero)
}

/// The groups of digits, as they are stored.
struct Groups<'a> {
    stored: Reader<'a>,
    /// All bytes are inverted.
    negative: bool,
    /// The next byte has the sign's bit.
    first: bool,
    zero: bool,
}

impl Groups<'_> {
    fn next(&mut self, digits: u8) -> Option<u32> {
        let bytes = BYTES[usize::from(digits)];
        if bytes == 0 {
            return Some(0);
        }
        let mut value = self.stored.uint_be(bytes)? as u32;
        if std::mem::take(&mut self.first) {
            value ^= 0x80 << (8 * (bytes - 1));
        }
        if self.negative {
            value ^= u32::MAX >> (32 - 8 * bytes);
        }
        self.zero &= value == 0;
        (value < LIMIT[usize::from(digits)]).then_some(value)
    }
}

/// The text being written, from `start` on; before it there is room for the sign of a negative number.
struct Text {
    bytes: [u8; Decimal::MAX],
    start: usize,
    len: usize,
}

impl Text {
    fn is_empty(&self) -> bool {
        self.len == self.start
    }

    fn grow(&mut self, by: usize) -> Option<&mut [u8]> {
        let from = self.len;
        self.len += by;
        // one is kept for the sign, whether there is one or not
        if self.len - self.start >= Decimal::MAX { None } else { self.bytes.get_mut(from..self.len) }
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        self.grow(1)?[0] = byte;
        Some(())
    }

    /// The first digits, without zeros before them: nothing of 0.
    fn leading(&mut self, value: u32) -> Option<()> {
        self.digits(value.checked_ilog10().map_or(0, |log| log as u8 + 1), value)
    }

    fn digits(&mut self, digits: u8, mut value: u32) -> Option<()> {
        for digit in self.grow(usize::from(digits))?.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        Some(())
    }

    fn finish(mut self, negative: bool) -> Option<Decimal> {
        // zero has no sign
        if !negative && self.start > 0 {
            self.bytes.copy_within(self.start..self.len, 0);
            self.len -= self.start;
        }
        Decimal::of_made(self.bytes, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The server's own encoder, `decimal2bin`, for text with exactly `scale` digits after the point.
    fn encode(text: &str, precision: u8, scale: u8) -> Vec<u8> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let width = usize::from(precision - scale);
        let whole = format!("{whole:0>width$}");
        let whole = &whole[whole.len() - width..];
        let mut groups: Vec<&str> = vec![&whole[..width % 9]];
        groups.extend((0..width / 9).map(|i| &whole[width % 9 + i * 9..][..9]));
        groups.extend((0..usize::from(scale).div_ceil(9)).map(|i| &fraction[i * 9..usize::from(scale).min(i * 9 + 9)]));
        let mut bytes = Vec::new();
        for group in groups.iter().filter(|group| !group.is_empty()) {
            let value: u32 = group.parse().unwrap();
            bytes.extend(&value.to_be_bytes()[4 - BYTES[group.len()]..]);
        }
        if negative {
            bytes.iter_mut().for_each(|byte: &mut u8| *byte = !*byte);
        }
        bytes[0] ^= 0x80;
        bytes
    }

    fn decode(bytes: &[u8], precision: u8, scale: u8) -> Option<String> {
        read(&mut Reader::new(bytes), precision, scale).map(|decimal| decimal.as_str().to_owned())
    }

    #[test]
    fn the_manuals_example() {
        // https://dev.mysql.com/doc/refman/8.4/en/precision-math-decimal-characteristics.html and strings/decimal.cc
        assert_eq!(decode(&[0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2], 14, 4), Some("1234567890.1234".into()));
        assert_eq!(decode(&[0x7E, 0xF2, 0x04, 0xC7, 0x2D, 0xFB, 0x2D], 14, 4), Some("-1234567890.1234".into()));
    }

    #[test]
    fn json_counts_whole_digits_by_words() {
        // CAST(CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30)) AS JSON) in MySQL 9.7's binlog
        let mut bytes = vec![0x85, 0xF5, 0xE0, 0xFF];
        bytes.extend([0x3B, 0x9A, 0xC9, 0xFF].repeat(3));
        bytes.extend([0x1D, 0xCD, 0x65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let found = read_words(&mut Reader::new(&bytes), 66, 30).unwrap();
        assert_eq!(found.as_str(), format!("{}.5{}", "9".repeat(35), "0".repeat(29)));
        assert_eq!(decode(&bytes, 66, 30), None);
        assert!(read_words(&mut Reader::new(&[0xFF; 40]), 82, 0).is_none());
    }

    #[test]
    fn groups_out_of_range_are_refused() {
        assert_eq!(decode(&[0xFF], 2, 0), None);
        assert_eq!(decode(&[0x80, 0xFF], 2, 1), None);
        assert_eq!(decode(&[0x80; 30], 66, 0), None);
        assert_eq!(decode(&[0x80; 30], 5, 6), None);
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(
            (precision, scale) in (1..=65u8).prop_flat_map(|p| (Just(p), 0..=p.min(38))),
            digits in proptest::collection::vec(b'0'..=b'9', 65),
            negative in any::<bool>(),
        ) {
            let digits = String::from_utf8(digits).unwrap();
            let whole = digits[..usize::from(precision - scale)].trim_start_matches('0');
            let fraction = &digits[usize::from(precision - scale)..usize::from(precision)];
            let mut text = if whole.is_empty() { "0".to_owned() } else { whole.to_owned() };
            if scale > 0 {
                text = format!("{text}.{fraction}");
            }
            if negative && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
                text.insert(0, '-');
            }
            let bytes = encode(&text, precision, scale);
            prop_assert_eq!(bytes.len(), size(precision, scale));
            prop_assert_eq!(decode(&bytes, precision, scale), Some(text));
            for end in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..end], precision, scale), None);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), p in any::<u8>(), s in any::<u8>()) {
            let _ = decode(&bytes, p, s);
            let _ = read_words(&mut Reader::new(&bytes), p, s);
        }
    }
}
