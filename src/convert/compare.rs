//! Equality of converted values where equal does not mean equal bytes.
//!
//! `jsonb` keeps a value, not a text: keys are sorted, blanks go, of equal keys the last one counts. Verify compares what
//! was sent with what the target shows through [`json_equal`], or by [`json_digest`] where only digests are kept.

use super::json::{Invalid, Kind, Scanner, unit};
use std::collections::HashMap;
use std::hash::Hash;

/// Whether two JSON texts are one value to `jsonb`: objects without regard to order, with the last of equal keys; numbers
/// by their numeric value, strings by their content. Texts that are not JSON are equal when their bytes are.
///
/// Time grows with the texts' length, memory too; nesting may have any depth.
#[must_use]
pub fn json_equal(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let mut known = HashMap::new();
    let mut number = |value: Value<u32>| {
        let next = known.len() as u32;
        *known.entry(value).or_insert(next)
    };
    let mut nesting = Vec::new();
    let (a, b) = (read(a, &mut nesting, &mut number), read(b, &mut nesting, &mut number));
    matches!((a, b), (Ok(a), Ok(b)) if a == b)
}

/// A digest of a JSON text: texts that are [`json_equal`] have the same. `hash` makes a digest of a part from its kind,
/// its content and its own parts' digests; a text that is not JSON is one part.
pub fn json_digest(text: &[u8], hash: impl Fn(&JsonPart) -> u128) -> u128 {
    read(text, &mut Vec::new(), &mut |value| hash(&JsonPart(value)))
        .unwrap_or_else(|Invalid| hash(&JsonPart(Value::Word(text.to_owned()))))
}

/// A part of a JSON text, for [`json_digest`] to be hashed.
#[derive(Debug, Hash)]
pub struct JsonPart(Value<u128>);

/// A value whose parts are known by `T`: their numbers, so that equal values have one, or their digests.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Value<T> {
    Word(Vec<u8>),
    String(Vec<u8>),
    /// `digits · 10^exponent`, the digits without zeros at both ends.
    Number {
        negative: bool,
        digits: Vec<u8>,
        exponent: i64,
    },
    /// A number whose exponent is beyond reason (and beyond `numeric`), by its text.
    Immense(Vec<u8>),
    Array(Vec<T>),
    /// Keys and values.
    Object(Vec<(T, T)>),
}

/// A container that is not closed yet; of arrays only the values are used.
struct Open<T> {
    object: bool,
    /// The key in front of the next value.
    key: Option<T>,
    parts: Vec<(Option<T>, T)>,
}

/// Reads a text and gives each of its values, innermost first, to `known`.
fn read<T: Copy + Ord>(
    text: &[u8],
    nesting: &mut Vec<bool>,
    known: &mut impl FnMut(Value<T>) -> T,
) -> Result<T, Invalid> {
    let mut scanner = Scanner::new(text, nesting);
    let mut open: Vec<Open<T>> = Vec::new();
    let mut last = Err(Invalid);
    while let Some(token) = scanner.next()? {
        let content = &text[token.start..token.end];
        let value = match token.kind {
            Kind::Open => {
                open.push(Open { object: content == b"{", key: None, parts: Vec::new() });
                continue;
            }
            Kind::Key => {
                let key = known(Value::String(unescape(content)));
                open.last_mut().ok_or(Invalid)?.key = Some(key);
                continue;
            }
            Kind::Close => open.pop().ok_or(Invalid)?.close(),
            Kind::String => Value::String(unescape(content)),
            Kind::Number => number(content),
            Kind::Word => Value::Word(content.to_owned()),
        };
        let value = known(value);
        match open.last_mut() {
            Some(container) => container.parts.push((container.key, value)),
            None => last = Ok(value),
        }
    }
    last
}

impl<T: Copy + Ord> Open<T> {
    fn close(mut self) -> Value<T> {
        if !self.object {
            return Value::Array(self.parts.into_iter().map(|(_, value)| value).collect());
        }
        // the sort is stable: reversed, the last of equal keys comes first and stays
        self.parts.reverse();
        self.parts.sort_by_key(|(key, _)| *key);
        self.parts.dedup_by_key(|(key, _)| *key);
        Value::Object(self.parts.into_iter().filter_map(|(key, value)| Some((key?, value))).collect())
    }
}

fn number<T>(text: &[u8]) -> Value<T> {
    let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut halves = rest.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = halves.next().unwrap_or_default();
    let exponent = halves.next().map_or(Some(0), |exponent| {
        let digits = exponent.strip_prefix(b"+").unwrap_or(exponent);
        std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
    });
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let decimals = point.map_or(0, |point| mantissa.len() - point - 1) as i64;
    let mut digits: Vec<u8> = mantissa.iter().copied().filter(|byte| *byte != b'.').collect();
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let zeros = (digits.len() - significant) as i64;
    digits.truncate(significant);
    digits.drain(..digits.iter().position(|digit| *digit != b'0').unwrap_or(0));
    if digits.is_empty() {
        return Value::Number { negative: false, digits, exponent: 0 };
    }
    match exponent.and_then(|exponent| exponent.checked_add(zeros - decimals)) {
        Some(exponent) => Value::Number { negative, digits, exponent },
        None => Value::Immense(text.to_owned()),
    }
}

/// The content of a string token of valid JSON; half a surrogate pair is U+FFFD.
fn unescape(token: &[u8]) -> Vec<u8> {
    let mut rest = &token[1..token.len() - 1];
    let mut out = Vec::with_capacity(rest.len());
    while let Some(byte) = rest.first() {
        let mut used = 1;
        if *byte != b'\\' {
            out.push(*byte);
        } else if let Some(first) = unit(rest) {
            let second = unit(&rest[6..])
                .filter(|second| (0xD800..0xDC00).contains(&first) && (0xDC00..0xE000).contains(second));
            used = if second.is_some() { 12 } else { 6 };
            for character in char::decode_utf16([first].into_iter().chain(second)) {
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        } else {
            used = 2;
            out.push(match rest.get(1) {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(other) => *other,
                None => b'\\',
            });
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::BuildHasher;

    fn equal(a: &str, b: &str) -> bool {
        let equal = json_equal(a.as_bytes(), b.as_bytes());
        assert_eq!(equal, json_equal(b.as_bytes(), a.as_bytes()));
        let hasher = foldhash::quality::FixedState::with_seed(1);
        let digest = |text: &str| json_digest(text.as_bytes(), |part| u128::from(hasher.hash_one(part)));
        assert_eq!(equal, digest(a) == digest(b), "{a} {b}");
        equal
    }

    #[test]
    fn as_jsonb_sees_it() {
        assert!(equal(r#"{"a": 1, "b": [1, 2]}"#, r#"{"b":[1,2],"a":1}"#));
        assert!(equal(r#"{"a": 1, "a": 2, "b": 0, "a": 3}"#, r#"{"b": 0, "a": 3}"#));
        assert!(!equal(r#"{"a": 1, "a": 2}"#, r#"{"a": 1}"#));
        assert!(!equal("[1, 2]", "[2, 1]") && !equal("[1]", "1") && !equal("{}", "[]") && !equal("[[]]", "[]"));
        assert!(!equal("1", "\"1\"") && !equal("null", "\"null\"") && !equal("null", "false"));
        assert!(equal(r#""\u00e9\ud83d\ude00\n\/""#, "\"é😀\\u000a/\""));
        assert!(!equal(r#""\\n""#, r#""\n""#));
    }

    #[test]
    fn numbers_by_value() {
        for (a, b) in [
            ("1.0", "1.00"),
            ("1e2", "100"),
            ("1E+2", "100.0"),
            ("-0", "0.0"),
            ("0e99999999999999999999", "0"),
            ("12e-1", "1.2"),
            ("10000000000000000000000", "1e22"),
            ("0.00120", "12e-4"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("1e2", "1e3"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("0.1", "0.10000000000000001"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn not_json_by_bytes() {
        assert!(equal("{", "{") && !equal("{", "[") && !equal("{a:1}", "{a: 1}") && !equal("", " "));
    }

    #[test]
    fn any_depth() {
        let deep = |inner: &str| "[{\"a\":".repeat(30_000) + inner + &"}]".repeat(30_000);
        assert!(equal(&deep("1"), &deep("1.0")));
        assert!(!equal(&deep("1"), &deep("2")));
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-3i64..3).prop_map(Into::into),
            "[a\"\\\\\n]{0,2}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                proptest::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_values(a in value(), b in value()) {
            let pretty = serde_json::to_string_pretty(&a).unwrap();
            prop_assert!(equal(&a.to_string(), &pretty));
            prop_assert_eq!(equal(&a.to_string(), &b.to_string()), a == b);
        }
    }
}
