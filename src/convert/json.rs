//! JSON text, read as PostgreSQL reads it and made fit for `jsonb`.
//!
//! [`Scanner`] walks the tokens of one text without recursion and accepts exactly RFC 8259, as `jsonapi.c` does. [`clean`]
//! copies a text, without what `jsonb` refuses: `\u0000` (left out) and halves of surrogate pairs (U+FFFD). What is not
//! JSON at all, or holds a number beyond PostgreSQL's `numeric`, becomes a JSON string of the whole text. The text is UTF-8 without NUL characters already.

use super::sanitize::{Reason, Reasons};
use crate::error::Result;

/// MySQL's binary JSON as text.
pub(super) fn binary_to_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    crate::binlog::json::to_text(bytes, out)
}

/// The most digits before the point of a `numeric`, which numbers within `jsonb` are (`numeric.c`).
const MOST_WHOLE_DIGITS: i64 = 131_072;
/// The most digits behind its point.
const MOST_FRACTION_DIGITS: i64 = 16_383;
/// Beyond every limit.
const MOST_EXPONENT: i64 = 1 << 30;

/// The text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{` or `[`
    Open,
    /// `}` or `]`
    Close,
    /// A string before a colon.
    Key,
    /// A string.
    String,
    /// A number.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// One token; strings with their quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// First byte in the text.
    pub(super) start: usize,
    /// Byte after the last.
    pub(super) end: usize,
    /// Whether a backslash is in it.
    pub(super) escaped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    CommaOrClose,
    End,
}

/// Walks one text. The nesting (`true` for an object) is the caller's buffer, so that rows share it.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    expect: Expect,
    nesting: &'a mut Vec<bool>,
}

impl<'a> Scanner<'a> {
    /// Starts at the text's beginning.
    pub(super) fn new(text: &'a [u8], nesting: &'a mut Vec<bool>) -> Self {
        nesting.clear();
        Self { text, at: 0, expect: Expect::Value, nesting }
    }

    /// The next token; `None` at the end of a whole text.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Invalid> {
        let mut byte = self.skip_blanks();
        if self.expect == Expect::CommaOrClose && byte == Some(b',') {
            self.at += 1;
            byte = self.skip_blanks();
            self.expect = if self.in_object() { Expect::Key } else { Expect::Value };
        }
        let Some(byte) = byte else {
            return if self.expect == Expect::End { Ok(None) } else { Err(Invalid) };
        };
        let start = self.at;
        let (kind, escaped) = match (self.expect, byte) {
            (Expect::Key | Expect::KeyOrClose, b'"') => {
                let escaped = self.string()?;
                (Kind::Key, escaped)
            }
            (Expect::KeyOrClose | Expect::CommaOrClose, b'}') if self.in_object() => (self.close(), false),
            (Expect::ValueOrClose | Expect::CommaOrClose, b']') if !self.in_object() => (self.close(), false),
            (Expect::Value | Expect::ValueOrClose, _) => self.value(byte)?,
            _ => return Err(Invalid),
        };
        let end = self.at;
        match kind {
            Kind::Open => {
                self.nesting.push(byte == b'{');
                self.expect = if byte == b'{' { Expect::KeyOrClose } else { Expect::ValueOrClose };
            }
            Kind::Key => {
                if self.skip_blanks() != Some(b':') {
                    return Err(Invalid);
                }
                self.at += 1;
                self.expect = Expect::Value;
            }
            _ => self.expect = if self.nesting.is_empty() { Expect::End } else { Expect::CommaOrClose },
        }
        Ok(Some(Token { kind, start, end, escaped }))
    }

    fn in_object(&self) -> bool {
        self.nesting.last() == Some(&true)
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn close(&mut self) -> Kind {
        self.at += 1;
        self.nesting.pop();
        Kind::Close
    }

    fn value(&mut self, byte: u8) -> Result<(Kind, bool), Invalid> {
        match byte {
            b'"' => Ok((Kind::String, self.string()?)),
            b'{' | b'[' => {
                self.at += 1;
                Ok((Kind::Open, false))
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Ok((Kind::Number, false))
            }
            _ => {
                let rest = &self.text[self.at..];
                let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
                self.at += word.ok_or(Invalid)?.len();
                Ok((Kind::Word, false))
            }
        }
    }

    /// Passes over a string; whether it has escapes.
    fn string(&mut self) -> Result<bool, Invalid> {
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).ok_or(Invalid)?;
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(escaped),
                b'\\' => {
                    escaped = true;
                    let used = match rest.get(plain + 1).ok_or(Invalid)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 1,
                        b'u' if unit(&rest[plain..]).is_some() => 5,
                        _ => return Err(Invalid),
                    };
                    self.at += used;
                }
                _ => return Err(Invalid),
            }
        }
    }

    fn number(&mut self) -> Result<(), Invalid> {
        self.at += usize::from(self.text[self.at] == b'-');
        let integer = self.at;
        self.digits()?;
        if self.text[integer] == b'0' && self.at > integer + 1 {
            return Err(Invalid);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Invalid) } else { Ok(()) }
    }
}

/// Whether `numeric` has room for a number, however many digits it would take; too strict where it begins with zeros.
fn fits_numeric(number: &[u8]) -> bool {
    let mark = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at(mark);
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let whole = point - usize::from(mantissa.starts_with(b"-"));
    let fraction = mantissa.len().saturating_sub(point + 1);
    let digits = exponent.iter().filter(|byte| byte.is_ascii_digit());
    let size = digits.fold(0, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(MOST_EXPONENT));
    let exponent = if exponent.contains(&b'-') { -size } else { size };
    whole as i64 + exponent <= MOST_WHOLE_DIGITS && fraction as i64 - exponent <= MOST_FRACTION_DIGITS
}

/// The UTF-16 unit of the `\uXXXX` at the start.
pub(super) fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)? as u16))
}

/// Appends the text as `jsonb` takes it.
pub(super) fn clean(text: &[u8], nesting: &mut Vec<bool>, out: &mut Vec<u8>) -> Reasons {
    let start = out.len();
    copy_clean(text, nesting, out).unwrap_or_else(|Invalid| {
        out.truncate(start);
        quote(text, out);
        Reason::InvalidJson.into()
    })
}

fn copy_clean(text: &[u8], nesting: &mut Vec<bool>, out: &mut Vec<u8>) -> Result<Reasons, Invalid> {
    let mut scanner = Scanner::new(text, nesting);
    let mut reasons = Reasons::NONE;
    let mut copied = 0;
    while let Some(token) = scanner.next()? {
        if token.kind == Kind::Number && !fits_numeric(&text[token.start..token.end]) {
            return Err(Invalid);
        }
        let mut at = token.start;
        while token.escaped && at < token.end {
            let Some(unit_here) = unit(&text[at..token.end]) else {
                // the escaped character may be a backslash: both are passed over at once
                at += if text[at] == b'\\' { 2 } else { 1 };
                continue;
            };
            let next = unit(&text[at + 6..token.end]);
            let (length, reason) = match unit_here {
                0 => (6, Some(Reason::NulByte)),
                0xD800..=0xDBFF if matches!(next, Some(0xDC00..=0xDFFF)) => (12, None),
                0xD800..=0xDFFF => (6, Some(Reason::LoneSurrogate)),
                _ => (6, None),
            };
            if let Some(reason) = reason {
                reasons.note(reason, true);
                out.extend_from_slice(&text[copied..at]);
                if reason == Reason::LoneSurrogate {
                    out.extend_from_slice("\u{FFFD}".as_bytes());
                }
                copied = at + length;
            }
            at += length;
        }
    }
    out.extend_from_slice(&text[copied..]);
    Ok(reasons)
}

/// Appends the text as one JSON string.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            ..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> (String, Vec<Reason>) {
        let mut out = Vec::new();
        let reasons = clean(text.as_bytes(), &mut Vec::new(), &mut out);
        let reasons = Reason::ALL.into_iter().filter(|reason| reasons.contains(*reason)).collect();
        (String::from_utf8(out).unwrap(), reasons)
    }

    #[test]
    fn whole_texts_stay_as_they_are() {
        for text in [
            r#" {"a" : [1, -0.5e+3, {}, []], "b\\u0000" : "é\n😀" } "#,
            "0",
            "null",
            r#""""#,
            "[true,false]",
            "\"\u{7f}\"",
        ] {
            assert_eq!(cleaned(text), (text.to_owned(), vec![]), "{text}");
        }
    }

    #[test]
    fn escapes_that_jsonb_refuses() {
        assert_eq!(cleaned(r#"{"a\u0000b": "\u0000"}"#), (r#"{"ab": ""}"#.into(), vec![Reason::NulByte]));
        let text = r#"["\ud83d", "\ude00\ud83d", "\ud83dx", "\uD83D\uDE00", "\\ud83d", "\ud83d\ud83d\ude00"]"#;
        let fit = r#"["�", "��", "�x", "\uD83D\uDE00", "\\ud83d", "�\ud83d\ude00"]"#;
        assert_eq!(cleaned(text), (fit.into(), vec![Reason::LoneSurrogate]));
    }

    #[test]
    fn what_is_not_json_becomes_a_string() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "+1",
            ".5",
            "1e",
            "nul",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "[1]]",
            "[1}",
            "{]",
            "1 2",
            "'a'",
            "{\"a\" 1}",
            "{\"a\"}",
            "[,]",
            "{,}",
            "\"a",
            "\"\\",
            "nan",
            "\u{b}1",
            "{\"a\":}",
        ] {
            let (wrapped, reasons) = cleaned(text);
            assert_eq!(reasons, [Reason::InvalidJson], "{text}");
            assert_eq!(serde_json::from_str::<String>(&wrapped).unwrap(), text);
        }
    }

    #[test]
    fn numbers_that_numeric_cannot_hold_are_no_json() {
        let digits = "9".repeat(131_072);
        for text in ["1e131071", "12.5e131070", "1e-16383", "0.1e-16382", "1e400", digits.as_str()] {
            assert_eq!(cleaned(text).1, [], "{text}");
        }
        let more = format!("{digits}9");
        for text in ["1e131072", "12.5e131071", "1e-16384", "[0.1e-16383]", "1e99999999999999999999", more.as_str()] {
            assert_eq!(cleaned(text).1, [Reason::InvalidJson], "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_not_recurse() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(cleaned(&deep).1, []);
    }

    /// Whether a number may be beyond numeric's limits.
    fn has_long_exponent(text: &str) -> bool {
        let digits = |rest: &str| rest.trim_start_matches(['+', '-']).bytes().take_while(u8::is_ascii_digit).count();
        text.split(['e', 'E']).skip(1).any(|rest| digits(rest) > 4)
    }

    proptest! {
        /// Texts near JSON: accepted exactly when serde_json accepts them, but for surrogates, which it checks itself.
        #[test]
        fn accepts_what_json_is(text in r#"([\[\]{}:, "0123.eE+-]|true|null|"a"|\\u0041|\\n){0,12}"#) {
            prop_assume!(!has_long_exponent(&text));
            let (_, reasons) = cleaned(&text);
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(reasons.is_empty(), valid);
        }

        #[test]
        fn the_result_is_always_json(text in r#"("|\\|\\u0000|\\ud83d|\\ude00|u|[a-z{}\[\]:,0-9\n]){0,20}"#) {
            let (text, _) = cleaned(&text);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains(char::is_numeric), "{}", text);
            prop_assert_eq!(&cleaned(&text), &(text, vec![]));
        }
    }
}
