//! Text in one of the source's character sets becomes UTF-8 without NUL.
//!
//! Owns the table from the server's character set names to decoders. Bytes enter, UTF-8 is appended to a `Vec<u8>`; what
//! means nothing in the set becomes U+FFFD, NUL characters are left out, and both are reported. What the bytes mean is
//! what MySQL's own `CONVERT(… USING utf8mb4)` says, which differs from the WHATWG's tables (`encoding_rs`) in places:
//! "latin1" is windows-1252 whose five undefined bytes are C1 controls, latin5 has C1 controls where windows-1254 has
//! letters. No allocation once compiled.

use super::sanitize::{Reason, Reasons};
use encoding_rs::{self as rs, Encoding};
use multi::Multi;

mod multi;

const REPLACEMENT: &str = "\u{FFFD}";

/// How the text of one column is decoded.
#[derive(Debug, Clone)]
pub(super) enum Decoder {
    /// UTF-8, validated. ASCII is `Single`.
    Utf8,
    /// ASCII below, and these characters for the bytes from 0x80 on; U+FFFD where there is none.
    Single(Box<[char; 128]>),
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

impl Decoder {
    /// The decoder of the character set with the server's name; `None` when there is none yet.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" => Self::Utf8,
            "ascii" => Self::Single(Box::new([char::REPLACEMENT_CHARACTER; 128])),
            "latin1" => single(rs::WINDOWS_1252, &[]),
            "latin2" => single(rs::ISO_8859_2, &[]),
            "latin5" => c1(single(rs::WINDOWS_1254, &[])),
            "latin7" => single(rs::ISO_8859_13, &[]),
            "cp1250" => single(rs::WINDOWS_1250, &[]),
            "cp1251" => single(rs::WINDOWS_1251, &[]),
            "cp1256" => single(rs::WINDOWS_1256, &[]),
            "cp1257" => single(rs::WINDOWS_1257, &[]),
            "greek" => single(rs::ISO_8859_7, &[(0xA1, '\u{02BD}'), (0xA2, '\u{02BC}')]),
            "hebrew" => single(rs::ISO_8859_8, &[(0xAF, '\u{203E}')]),
            "koi8r" => single(rs::KOI8_R, &[]),
            "koi8u" => single(rs::KOI8_U, &[(0x95, '\u{2022}'), (0xAE, '\u{255D}'), (0xBE, '\u{256C}')]),
            "cp866" => single(rs::IBM866, &[(0xFC, '\u{207F}'), (0xFD, '\u{00B2}')]),
            "macroman" => single(rs::MACINTOSH, &[]),
            "tis620" => c1(single(rs::WINDOWS_874, &[])),
            "ucs2" => Self::Wide(Wide::Ucs2),
            "utf16" => Self::Wide(Wide::Utf16),
            "utf16le" => Self::Wide(Wide::Utf16Le),
            "utf32" => Self::Wide(Wide::Utf32),
            other => Self::Multi(Multi::of(other)?),
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
            Self::Single(high) => append_single(high, bytes, out),
            Self::Multi(multi) => multi.append(bytes, out),
            Self::Wide(wide) => append_wide(*wide, bytes, out),
        }
    }
}

/// A one-byte set that is `encoding` but for some bytes, which MySQL reads otherwise.
fn single(encoding: &'static Encoding, exceptions: &[(u8, char)]) -> Decoder {
    let mut high = [char::REPLACEMENT_CHARACTER; 128];
    for (byte, character) in (0x80..=0xFF).zip(&mut high) {
        let bytes: [u8; 1] = [byte];
        let text = encoding.decode_without_bom_handling(&bytes).0;
        *character = text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    for (byte, character) in exceptions {
        high[usize::from(byte - 0x80)] = *character;
    }
    Decoder::Single(Box::new(high))
}

/// The set with C1 controls for the bytes 0x80…0x9F, where Windows' namesake has letters.
fn c1(decoder: Decoder) -> Decoder {
    let Decoder::Single(mut high) = decoder else { return decoder };
    for (character, byte) in high.iter_mut().zip(0x80..0xA0u8) {
        *character = char::from(byte);
    }
    Decoder::Single(high)
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

fn append_single(high: &[char; 128], bytes: &[u8], out: &mut Vec<u8>) -> bool {
    if bytes.is_ascii() {
        out.extend_from_slice(bytes);
        return false;
    }
    let mut invalid = false;
    for byte in bytes {
        match byte.checked_sub(0x80) {
            None => out.push(*byte),
            Some(at) => {
                let character = high[usize::from(at)];
                invalid |= character == char::REPLACEMENT_CHARACTER;
                push(out, character);
            }
        }
    }
    invalid
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

    /// Each as `CONVERT(… USING utf8mb4)` of MariaDB 10.11 says.
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
        assert_eq!(whole("sjis", b"a\x81\x5F\x83\x5C\xB1"), "a\\ソｱ");
        assert_eq!(whole("cp932", b"\x81\x5F\x81\x60"), "＼～");
        assert_eq!(whole("ujis", b"\xA4\xA2\xA1\xC1\x8F\xA2\xB7\x8E\xB1"), "あ〜~ｱ");
        assert_eq!(whole("eucjpms", b"\xA1\xC1\x8F\xF3\xF3\x8F\xF4\xFE\xF5\xA1"), "～ⅰ黑\u{E000}");
        assert_eq!(whole("euckr", b"\xB0\xA1"), "가");
        assert_eq!(whole("gbk", b"\x81\x40"), "丂");
        assert_eq!(whole("gb18030", b"\x81\x30\x81\x30"), "\u{80}");
        assert_eq!(whole("big5", b"\xA4\x40"), "一");
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
    fn sets_without_a_table_are_refused() {
        for name in ["cp850", "cp852", "dec8", "hp8", "swe7", "keybcs2", "macce", "armscii8", "geostd8", "binary"] {
            assert!(Decoder::of(name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_utf8_without_nul(bytes: Vec<u8>) {
            for name in ["utf8mb4", "latin1", "cp1250", "sjis", "ujis", "eucjpms", "gbk", "gb18030", "big5", "euckr", "utf16", "utf32"] {
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
