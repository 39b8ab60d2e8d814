//! The East Asian sets: encoding_rs decodes them, but for the characters that MySQL reads otherwise.
//!
//! Whatever MySQL and MariaDB convert (`CONVERT(… USING utf8mb4)`) is read as they do; `source::charset_tests` compares
//! every code. Codes that the servers store but have no character for, and encoding_rs has one, are read as encoding_rs
//! does: the Japanese vendors' extensions in sjis, the Hong Kong characters in big5.

use super::{REPLACEMENT, corrections};
use encoding_rs::{self as rs, DecoderResult, Encoding};

/// A multi-byte set.
#[derive(Debug, Clone, Copy)]
pub(in crate::convert) struct Multi {
    encoding: &'static Encoding,
    exception: Option<Exception>,
}

/// At the start of the bytes of one or more characters: the length of the first, and what it is if encoding_rs errs.
type Exception = fn(&[u8]) -> (usize, Option<char>);

impl Multi {
    /// The set with the server's name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (encoding, exception): (_, Option<Exception>) = match name {
            "sjis" => (rs::SHIFT_JIS, Some(sjis)),
            "cp932" => (rs::SHIFT_JIS, None),
            "ujis" => (rs::EUC_JP, Some(ujis)),
            "eucjpms" => (rs::EUC_JP, Some(eucjpms)),
            "euckr" => (rs::EUC_KR, None),
            "gbk" => (rs::GBK, None),
            "gb2312" => (rs::GBK, Some(|bytes| corrected(corrections::GB2312, bytes))),
            "gb18030" => (rs::GB18030, Some(gb18030)),
            "big5" => (rs::BIG5, Some(|bytes| corrected(corrections::BIG5, bytes))),
            _ => return None,
        };
        Some(Self { encoding, exception })
    }

    /// Appends the text as UTF-8; whether there were invalid bytes.
    pub(super) fn append(self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if bytes.is_ascii() {
            out.extend_from_slice(bytes);
            return false;
        }
        let Some(exception) = self.exception else { return decode(self.encoding, bytes, out) };
        let (mut done, mut at, mut invalid) = (0, 0, false);
        while at < bytes.len() {
            let (len, character) = exception(&bytes[at..]);
            if let Some(character) = character {
                invalid |= decode(self.encoding, &bytes[done..at], out);
                super::push(out, character);
                done = at + len;
            }
            at += len;
        }
        decode(self.encoding, &bytes[done..], out) || invalid
    }
}

/// Input bytes for which room is made at once; the rest of the room stays for what follows.
const PIECE: usize = 8192;

fn decode(encoding: &'static Encoding, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut rest, mut invalid) = (bytes, false);
    let mut end = out.len();
    loop {
        let room = end + rest.len().min(PIECE) * 3 + 16;
        if out.len() < room {
            out.resize(room, 0);
        }
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(rest, &mut out[end..], true);
        end += written;
        rest = &rest[read..];
        match result {
            DecoderResult::InputEmpty => break,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                invalid = true;
                if out.len() < end + REPLACEMENT.len() {
                    out.resize(end + REPLACEMENT.len(), 0);
                }
                out[end..end + REPLACEMENT.len()].copy_from_slice(REPLACEMENT.as_bytes());
                end += REPLACEMENT.len();
            }
        }
    }
    out.truncate(end);
    invalid
}

/// A set of one and two bytes with a list of corrections.
fn corrected(list: &[(u16, u16)], bytes: &[u8]) -> (usize, Option<char>) {
    match *bytes {
        [lead @ 0x81..=0xFE, trail @ 0x40..=0xFE, ..] => {
            let found = list.binary_search_by_key(&u16::from_be_bytes([lead, trail]), |(code, _)| *code);
            (2, found.ok().and_then(|at| char::from_u32(list[at].1.into())))
        }
        _ => (1, None),
    }
}

fn gb18030(bytes: &[u8]) -> (usize, Option<char>) {
    match *bytes {
        [0x81..=0xFE, 0x30..=0x39, _, _, ..] => (4, None),
        _ => corrected(corrections::GB18030, bytes),
    }
}

fn sjis(bytes: &[u8]) -> (usize, Option<char>) {
    match bytes {
        [0x81..=0x9F | 0xE0..=0xFC, second, ..] => {
            let character = match (bytes[0], second) {
                (0x81, 0x5F) => Some('\\'),
                (0x81, 0x60) => Some('〜'),
                (0x81, 0x61) => Some('‖'),
                (0x81, 0x7C) => Some('−'),
                (0x81, 0x91) => Some('¢'),
                (0x81, 0x92) => Some('£'),
                (0x81, 0xCA) => Some('¬'),
                _ => None,
            };
            (2, character)
        }
        _ => (1, None),
    }
}

fn ujis(bytes: &[u8]) -> (usize, Option<char>) {
    match bytes {
        [0xA1, 0xC0, ..] => (2, Some('\\')),
        [0xA1, 0xC1, ..] => (2, Some('〜')),
        [0xA1, 0xC2, ..] => (2, Some('‖')),
        [0xA1, 0xDD, ..] => (2, Some('−')),
        [0xA1, 0xF1, ..] => (2, Some('¢')),
        [0xA1, 0xF2, ..] => (2, Some('£')),
        [0xA2, 0xCC, ..] => (2, Some('¬')),
        [0x8F, 0xA2, 0xB7, ..] => (3, Some('~')),
        [0x8F, 0xA2, 0xC3, ..] => (3, Some('¦')),
        _ => eucjpms(bytes),
    }
}

/// The IBM extensions that are neither in JIS X 0208 nor X 0212, from 0x8FF3F3 on, as eucjpms orders them.
const IBM: &str = "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫\
    櫢淸淲瀨凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼館馞髙魲鶴黑";

/// EUC with the IBM extensions and the private use area: rows 0xF5…0xFE of both planes.
fn eucjpms(bytes: &[u8]) -> (usize, Option<char>) {
    let private =
        |start: u32, row: u8, cell: u8| char::from_u32(start + u32::from(row - 0xF5) * 94 + u32::from(cell - 0xA1));
    match *bytes {
        [0x8F, row @ 0xF5..=0xFE, cell @ 0xA1..=0xFE, ..] => (3, private(0xE3AC, row, cell)),
        [0x8F, 0xA2, 0xC3, ..] => (3, Some('￤')),
        [0x8F, 0xF3, cell @ 0xF3..=0xFE, ..] => (3, IBM.chars().nth(usize::from(cell - 0xF3))),
        [0x8F, 0xF4, cell @ 0xA1..=0xFE, ..] => (3, IBM.chars().nth(usize::from(cell - 0xA1) + 12)),
        [0x8F, 0xA1..=0xFE, 0xA1..=0xFE, ..] => (3, None),
        [row @ 0xF5..=0xFE, cell @ 0xA1..=0xFE, ..] => (2, private(0xE000, row, cell)),
        [0x8E | 0xA1..=0xFE, 0xA1..=0xFE, ..] => (2, None),
        _ => (1, None),
    }
}
