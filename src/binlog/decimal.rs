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
    let stored = reader.bytes(size(precision, scale))?;
    let mut copy = [0; MAX_BYTES];
    let bytes = copy.get_mut(..stored.len())?;
    bytes.copy_from_slice(stored);
    let negative = *bytes.first()? & 0x80 == 0;
    bytes[0] ^= 0x80;
    if negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let mut groups = Groups { reader: Reader::new(bytes), text: Text { bytes: [0; Decimal::MAX], len: 1 }, zero: true };
    let whole = precision - scale;
    groups.group(whole % 9)?;
    groups.text.trim_leading_zeros();
    for _ in 0..whole / 9 {
        groups.group(9)?;
        groups.text.trim_leading_zeros();
    }
    if scale > 0 {
        groups.text.push(b'.');
        for _ in 0..scale / 9 {
            groups.group(9)?;
        }
        groups.group(scale % 9)?;
    }
    Decimal::from_text(groups.text.finish(negative && !groups.zero))
}

/// Turns groups of digits into text.
struct Groups<'a> {
    reader: Reader<'a>,
    text: Text,
    zero: bool,
}

impl Groups<'_> {
    fn group(&mut self, digits: u8) -> Option<()> {
        let digits = usize::from(digits);
        let mut value = self.reader.uint_be(BYTES[digits])? as u32;
        if value >= LIMIT[digits] {
            return None;
        }
        self.zero &= value == 0;
        let target = self.text.grow(digits)?;
        for digit in target.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        Some(())
    }
}

/// The text being written; its first byte is kept for the sign.
struct Text {
    bytes: [u8; Decimal::MAX],
    len: usize,
}

impl Text {
    fn grow(&mut self, by: usize) -> Option<&mut [u8]> {
        let start = self.len;
        self.len += by;
        self.bytes.get_mut(start..self.len)
    }

    fn push(&mut self, byte: u8) {
        if let Some(target) = self.grow(1) {
            target[0] = byte;
        }
    }

    /// Leaves at least one digit.
    fn trim_leading_zeros(&mut self) {
        let digits = self.bytes.get(1..self.len).unwrap_or_default();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        if zeros == digits.len() {
            self.bytes[1] = b'0';
            self.len = 2;
        } else if zeros > 0 {
            self.bytes.copy_within(1 + zeros..self.len, 1);
            self.len -= zeros;
        }
    }

    fn finish(&mut self, negative: bool) -> &[u8] {
        self.bytes[0] = b'-';
        self.bytes.get(usize::from(!negative)..self.len).unwrap_or_default()
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
