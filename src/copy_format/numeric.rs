//! `numeric`: groups of four decimal digits with the weight of the first (`numeric_recv` in `numeric.c`).

use super::{begin, finish};
use crate::value::Decimal;

const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0;

/// The most groups that a [`Decimal`]'s text can have: its digits, split by the point, each part rounded up.
const GROUPS: usize = Decimal::MAX / 4 + 2;

/// A DECIMAL with at least `scale` digits after the point, canonical as `numeric_send` gives it.
pub fn numeric(out: &mut Vec<u8>, value: &Decimal, scale: u8) {
    let text = value.as_bytes();
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (integer, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    let mut groups = [0u16; GROUPS];
    let mut used = 0;
    let mut push = |group: &[u8], places: usize| {
        let value = group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        groups[used] = (group.len()..places).fold(value, |value, _| value * 10);
        used += 1;
    };
    let (head, whole) = integer.split_at(integer.len() % 4);
    if !head.is_empty() {
        push(head, head.len());
    }
    whole.chunks(4).for_each(|group| push(group, 4));
    let weight = integer.len().div_ceil(4) as i16 - 1;
    fraction.chunks(4).for_each(|group| push(group, 4));
    write(out, negative, &groups[..used], weight, (fraction.len() as u16).max(u16::from(scale)));
}

/// A whole number, by sign and magnitude, as `numeric(…,0)`.
pub fn numeric_whole(out: &mut Vec<u8>, negative: bool, magnitude: u64) {
    let mut groups = [0u16; 5];
    let mut rest = magnitude;
    for group in groups.iter_mut().rev() {
        *group = (rest % 10_000) as u16;
        rest /= 10_000;
    }
    write(out, negative, &groups, 4, 0);
}

/// Writes a field of the groups without the zero ones at both ends; zero has neither groups, weight nor sign.
fn write(out: &mut Vec<u8>, negative: bool, groups: &[u16], weight: i16, scale: u16) {
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let groups = &groups[leading..];
    let groups = &groups[..groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1)];
    let weight = if groups.is_empty() { 0 } else { weight - leading as i16 };
    let sign = if negative && !groups.is_empty() { NEGATIVE } else { POSITIVE };
    let begun = begin(out);
    out.extend_from_slice(&(groups.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
    let fits = finish(out, begun);
    debug_assert!(fits, "at most 19 groups");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `(weight, sign, dscale, groups)` of the text's field.
    fn parts(text: &str) -> (i16, u16, u16, Vec<u16>) {
        let mut out = Vec::new();
        numeric(&mut out, &Decimal::from_text(text.as_bytes()).unwrap(), 0);
        read(&out)
    }

    fn read(field: &[u8]) -> (i16, u16, u16, Vec<u16>) {
        let words: Vec<u16> = field[4..].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(field[..4], (field.len() as u32 - 4).to_be_bytes());
        assert_eq!(usize::from(words[0]), words.len() - 4);
        (words[1] as i16, words[2], words[3], words[4..].to_vec())
    }

    #[test]
    fn canonical_as_the_server_sends_them() {
        assert_eq!(parts("0"), (0, 0, 0, vec![]));
        assert_eq!(parts("0.00"), (0, 0, 2, vec![]));
        assert_eq!(parts("-0.00"), (0, 0, 2, vec![]));
        assert_eq!(parts("1"), (0, 0, 0, vec![1]));
        assert_eq!(parts("10000"), (1, 0, 0, vec![1]));
        assert_eq!(parts("00010000"), (1, 0, 0, vec![1]));
        assert_eq!(parts("0.0001"), (-1, 0, 4, vec![1]));
        assert_eq!(parts("0.00001"), (-2, 0, 5, vec![1000]));
        assert_eq!(parts("-12345.6789"), (1, NEGATIVE, 4, vec![1, 2345, 6789]));
        assert_eq!(parts("1.5"), (0, 0, 1, vec![1, 5000]));
        assert_eq!(parts("123456789.120000"), (2, 0, 6, vec![1, 2345, 6789, 1200]));
    }

    #[test]
    fn sixty_five_digits() {
        let nines = "9".repeat(65);
        let (weight, sign, scale, groups) = parts(&format!("-{nines}"));
        assert_eq!((weight, sign, scale, groups.len()), (16, NEGATIVE, 0, 17));
        assert_eq!((groups[0], groups[16]), (9, 9999));
        let (weight, _, scale, groups) = parts(&format!("{}.{}", "1".repeat(27), "2".repeat(38)));
        assert_eq!((weight, scale, groups.len()), (6, 38, 17));
        assert_eq!((groups[0], groups[6], groups[7], groups[16]), (111, 1111, 2222, 2200));
    }

    #[test]
    fn the_longest_texts_fit() {
        for text in [
            "9".repeat(Decimal::MAX),
            format!("9.{}", "9".repeat(Decimal::MAX - 2)),
            format!("99999.{}", "9".repeat(Decimal::MAX - 6)),
        ] {
            assert!(parts(&text).3.len() <= GROUPS);
        }
    }

    #[test]
    fn whole_numbers() {
        let of = |negative, value| {
            let mut out = Vec::new();
            numeric_whole(&mut out, negative, value);
            read(&out)
        };
        assert_eq!(of(true, 0), (0, 0, 0, vec![]));
        assert_eq!(of(true, 10_000), (1, NEGATIVE, 0, vec![1]));
        assert_eq!(of(false, u64::MAX), (4, 0, 0, vec![1844, 6744, 737, 955, 1615]));
    }

    proptest! {
        #[test]
        fn the_groups_spell_the_number(int in "[0-9]{1,27}", frac in "[0-9]{0,30}", negative: bool) {
            let point = if frac.is_empty() { "" } else { "." };
            let text = format!("{}{int}{point}{frac}", if negative { "-" } else { "" });
            let (weight, sign, scale, groups) = parts(&text);
            prop_assert_eq!(usize::from(scale), frac.len());
            prop_assert!(groups.first() != Some(&0) && groups.last() != Some(&0));
            let mut spelled_int = String::new();
            let mut spelled_frac = String::new();
            for place in (-8..=weight.max(0)).rev() {
                let at = usize::try_from(weight - place).ok();
                let group = at.and_then(|at| groups.get(at)).copied().unwrap_or(0);
                if place >= 0 { &mut spelled_int } else { &mut spelled_frac }.push_str(&format!("{group:04}"));
            }
            prop_assert_eq!(spelled_int.trim_start_matches('0'), int.trim_start_matches('0'));
            prop_assert_eq!(&spelled_frac[..frac.len()], frac.as_str());
            let zero = int.bytes().chain(frac.bytes()).all(|digit| digit == b'0');
            prop_assert_eq!(sign == NEGATIVE, negative && !zero);
        }
    }
}
