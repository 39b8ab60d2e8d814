//! Text in one of the source's character sets becomes UTF-8 without NUL.
//!
//! Owns the way from the server's character set names to decoders. Bytes enter, UTF-8 is appended to a `Vec<u8>`; what
//! means nothing in the set becomes U+FFFD, NUL characters are left out, and both are reported. What the bytes mean is
//! what the server's own `CONVERT(… USING utf8mb4)` says, on which MySQL and MariaDB agree. It differs from the WHATWG's
//! tables (`encoding_rs`) in places: "latin1" is windows-1252 whose five undefined bytes are C1 controls. So the one-byte
//! sets are tables read off a server ([`single`]), and the East Asian ones are encoding_rs' with corrections ([`multi`]).
//! `source::charset_tests` compares all of them with running servers. No allocation once compiled.

use super::sanitize::{Reason, Reasons};
use multi::Multi;
use single::OneByteSet;

mod corrections;
mod multi;
mod single;

const REPLACEMENT: &str = "\u{FFFD}";

/// How the text of one column is decoded.
#[derive(Debug, Clone)]
pub(super) enum Decoder {
    /// UTF-8, validated. ASCII is `Single`.
    Utf8,
    /// One byte a character.
    Single(&'static OneByteSet),
    /// East Asian sets of one to four bytes.
    Multi(Multi),
    /// Two- and four-byte sets.
    Wide(Wide),
}

/// The sets with units of more than one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    /// ucs2: big-endian, no surrogate pairs.
    Ucs2,
    /// utf16: big-endian.
    Utf16,
    /// utf16le: little-endian.
    Utf16Le,
    /// utf32: big-endian.
    Utf32,
}

/// Names of the one-byte sets, for the documentation's test.
#[cfg(test)]
pub(super) fn one_byte_names() -> impl Iterator<Item = &'static str> {
    single::SETS.iter().map(|set| set.name)
}

impl Decoder {
    /// The decoder of the character set with the server's name; `None` for a name that no server has.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" => Self::Utf8,
            "ucs2" => Self::Wide(Wide::Ucs2),
            "utf16" => Self::Wide(Wide::Utf16),
            "utf16le" => Self::Wide(Wide::Utf16Le),
            "utf32" => Self::Wide(Wide::Utf32),
            name => match single::SETS.iter().find(|set| set.name == name) {
                Some(set) => Self::Single(set),
                None => Self::Multi(Multi::of(name)?),
            },
        })
    }

    /// Appends the text as UTF-8 without NUL.
    pub(super) fn append(&self, bytes: &[u8], out: &mut Vec<u8>) -> Reasons {
        let start = out.len();
        let mut reasons = Reasons::NONE;
        reasons.note(Reason::InvalidBytes, self.append_with_nul(bytes, out));
        reasons.note(Reason::NulByte, remove_nul(out, start));
        reasons
    }

    /// Appends the text as UTF-8, NUL characters too; whether any bytes meant nothing.
    pub(super) fn append_with_nul(&self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Self::Utf8 => append_utf8(bytes, out),
            Self::Single(set) => set.append(bytes, out),
            Self::Multi(multi) => multi.append(bytes, out),
            Self::Wide(wide) => append_wide(*wide, bytes, out),
        }
    }
}

fn append_utf8(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    if std::str::from_utf8(bytes).is_ok() {
        out.extend_from_slice(bytes);
        return false;
    }
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
        }
    }
    true
}

impl OneByteSet {
    /// Whether there were bytes without a character.
    fn append(&self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if self.low.is_empty() && bytes.is_ascii() {
            out.extend_from_slice(bytes);
            return false;
        }
        let mut invalid = false;
        for byte in bytes {
            let character = self.character(*byte);
            invalid |= character == char::REPLACEMENT_CHARACTER;
            push(out, character);
        }
        invalid
    }

    fn character(&self, byte: u8) -> char {
        let code = match byte.checked_sub(0x80) {
            Some(at) => Some(self.high[usize::from(at)]),
            None => self.low.iter().find(|(low, _)| *low == byte).map(|(_, code)| *code),
        };
        code.map_or(char::from(byte), |code| char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

fn append_wide(wide: Wide, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let mut invalid = false;
    let mut take = |character: Option<char>| {
        invalid |= character.is_none();
        push(out, character.unwrap_or(char::REPLACEMENT_CHARACTER));
    };
    let unit = if wide == Wide::Utf32 { 4 } else { 2 };
    let units = bytes.chunks_exact(unit);
    let cut = !units.remainder().is_empty();
    let pair = |unit: &[u8]| [unit[0], unit[1]];
    match wide {
        Wide::Ucs2 => units.for_each(|unit| take(char::from_u32(u16::from_be_bytes(pair(unit)).into()))),
        Wide::Utf16 => char::decode_utf16(units.map(|unit| u16::from_be_bytes(pair(unit)))).for_each(|c| take(c.ok())),
        Wide::Utf16Le => {
            char::decode_utf16(units.map(|unit| u16::from_le_bytes(pair(unit)))).for_each(|c| take(c.ok()));
        }
        Wide::Utf32 => units.for_each(|unit| {
            take(char::from_u32(u32::from_be_bytes([unit[0], unit[1], unit[2], unit[3]])));
        }),
    }
    if cut {
        take(None);
    }
    invalid
}

fn push(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Closes up over the NUL bytes from `start` on; whether there were any.
fn remove_nul(out: &mut Vec<u8>, start: usize) -> bool {
    // `contains` of bytes is a memchr
    if !out[start..].contains(&0) {
        return false;
    }
    let mut kept = start;
    for at in start..out.len() {
        let byte = out[at];
        out[kept] = byte;
        kept += usize::from(byte != 0);
    }
    out.truncate(kept);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(charset: &str, bytes: &[u8]) -> (String, Reasons) {
        let mut out = b"before".to_vec();
        let reasons = Decoder::of(charset).unwrap().append(bytes, &mut out);
        (String::from_utf8(out).unwrap()["before".len()..].to_owned(), reasons)
    }

    fn whole(charset: &str, bytes: &[u8]) -> String {
        let (text, reasons) = read(charset, bytes);
        assert!(reasons.is_empty(), "{charset} {bytes:x?}");
        text
    }

    /// Each as `CONVERT(… USING utf8mb4)` says.
    #[test]
    fn bytes_mean_what_the_server_says() {
        assert_eq!(whole("latin1", b"\x80\xE9\x81\x8D\x8F\x90\x9D"), "€é\u{81}\u{8D}\u{8F}\u{90}\u{9D}");
        assert_eq!(whole("latin2", b"\xB1"), "ą");
        assert_eq!(whole("latin5", b"\xF0\x80"), "ğ\u{80}");
        assert_eq!(whole("latin7", b"\xE0"), "ą");
        assert_eq!(whole("cp1251", b"\xCF\xF0"), "Пр");
        assert_eq!(whole("greek", b"\xE1\xA1"), "α\u{2BD}");
        assert_eq!(whole("koi8u", b"\xBE\xA4"), "╬є");
        assert_eq!(whole("cp866", b"\x80\xFC"), "Аⁿ");
        assert_eq!(whole("tis620", b"\xA1\x85"), "ก\u{85}");
        assert_eq!(whole("swe7", b"[A}"), "ÄAå");
        assert_eq!(whole("cp850", b"\x81"), "ü");
        assert_eq!(whole("geostd8", b"\xC0\x80"), "ა€");
        assert_eq!(whole("armscii8", b"\xB2"), "Ա");
        assert_eq!(whole("sjis", b"a\x81\x5F\x83\x5C\xB1"), "a\\ソｱ");
        assert_eq!(whole("cp932", b"\x81\x5F\x81\x60"), "＼～");
        assert_eq!(whole("ujis", b"\xA4\xA2\xA1\xC1\x8F\xA2\xB7\x8E\xB1"), "あ〜~ｱ");
        assert_eq!(whole("eucjpms", b"\xA1\xC1\x8F\xF3\xF3\x8F\xF4\xFE\xF5\xA1"), "～ⅰ黑\u{E000}");
        assert_eq!(whole("euckr", b"\xB0\xA1"), "가");
        assert_eq!(whole("gbk", b"\x81\x40"), "丂");
        assert_eq!(whole("gb18030", b"\x81\x30\x81\x30"), "\u{80}");
        assert_eq!(whole("big5", b"\xA4\x40\xC6\xA6\xA1\x45"), "一あ•");
        assert_eq!(whole("gb2312", b"\xA1\xA4\xB0\xA1"), "・啊");
        assert_eq!(whole("gb18030", b"\xA6\xD9\x84\x31\x82\x36"), "\u{E78D}\u{FE10}");
        assert_eq!(whole("utf8mb4", "né 😀".as_bytes()), "né 😀");
        assert_eq!(whole("ucs2", b"\x20\xAC"), "€");
        assert_eq!(whole("utf16", b"\xD8\x3D\xDE\x00"), "😀");
        assert_eq!(whole("utf16le", b"\x3D\xD8\x00\xDE"), "😀");
        assert_eq!(whole("utf32", b"\0\x01\xF6\0"), "😀");
    }

    #[test]
    fn what_means_nothing_is_replaced_and_said() {
        let invalid = Reasons::from(Reason::InvalidBytes);
        for (charset, bytes, text) in [
            ("utf8mb4", &b"a\xFFb\xF0\x9F"[..], "a\u{FFFD}b\u{FFFD}"),
            ("utf8mb3", b"\xED\xA0\x80", "\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("ascii", b"a\xE9", "a\u{FFFD}"),
            ("greek", b"\xD2", "\u{FFFD}"),
            ("sjis", b"\x81\x5F\x83", "\\\u{FFFD}"),
            ("utf16", b"\xD8\x3D\0a\0", "\u{FFFD}a\u{FFFD}"),
            ("ucs2", b"\xD8\x3D\xDE\0", "\u{FFFD}\u{FFFD}"),
            ("utf32", b"\0\x11\0\0", "\u{FFFD}"),
        ] {
            assert_eq!(read(charset, bytes), (text.to_owned(), invalid), "{charset} {bytes:x?}");
        }
    }

    #[test]
    fn nul_is_left_out() {
        let nul = Reasons::from(Reason::NulByte);
        assert_eq!(read("utf8mb4", b"\0a\0\0b\0"), ("ab".into(), nul));
        assert_eq!(read("ucs2", b"\0\0\0a"), ("a".into(), nul));
        assert_eq!(read("latin1", b"\0\xE9"), ("é".into(), nul));
        assert_eq!(read("utf8mb4", b"\0\xFF"), ("\u{FFFD}".into(), nul | Reason::InvalidBytes.into()));
    }

    #[test]
    fn many_invalid_bytes_in_a_large_text() {
        let (text, _) = read("gbk", &vec![0xFF; 100_000]);
        assert_eq!(text.chars().count(), 100_000);
    }

    #[test]
    fn names_that_are_no_text_sets() {
        assert!(Decoder::of("binary").is_none() && Decoder::of("klingon").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_give_utf8_without_nul(bytes: Vec<u8>) {
            let multi = ["utf8mb4", "sjis", "ujis", "eucjpms", "gbk", "gb18030", "big5", "euckr", "utf16", "utf32", "ucs2"];
            for name in multi.into_iter().chain(single::SETS.iter().map(|set| set.name)) {
                let (text, _) = read(name, &bytes);
                prop_assert!(!text.contains('\0'));
            }
        }

        #[test]
        fn utf8_stays(text in "[^\0]*") {
            prop_assert_eq!(whole("utf8mb4", text.as_bytes()), text);
        }
    }
}
