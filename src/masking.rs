//! What must not leave the source: how a column is masked, and the key of its hashes.
//!
//! A hash is HMAC-SHA256 (RFC 2104, FIPS 180-4) of the value's text in UTF-8, in 64 hexadecimal digits: equal values have
//! equal hashes, so joins and unique keys still work, and without the key nobody can try values. The key shows nowhere.

use crate::error::{Error, ErrorKind, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::fmt;

/// How a column is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Mask {
    /// Left out of the target.
    Drop,
    /// Always NULL.
    Null,
    /// Its keyed hash.
    Hmac,
}

impl TryFrom<String> for Mask {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "drop" => Ok(Self::Drop),
            "null" => Ok(Self::Null),
            "hmac" => Ok(Self::Hmac),
            // the word itself is not repeated: it may be a key in the wrong place
            _ => Err("expected `drop` or `null` or `hmac`".into()),
        }
    }
}

/// The fewest bytes of a key: what cannot be guessed.
pub const KEY_BYTES: usize = 16;

/// A key for hashes, ready for use.
#[derive(Clone)]
pub struct MaskKey(Hmac<Sha256>);

impl MaskKey {
    /// Takes the key's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for fewer than [`KEY_BYTES`].
    pub fn new(key: &[u8]) -> Result<Self> {
        let short = || {
            Error::new(ErrorKind::Config, format!("the key for masking has fewer than {KEY_BYTES} bytes"))
                .with_hint("make one with `openssl rand -hex 32`, and keep it: with another one all hashes change")
        };
        if key.len() < KEY_BYTES {
            return Err(short());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| short())
    }

    /// Appends the 64 digits of the text's hash.
    pub fn append(&self, text: &[u8], out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.0.clone();
        mac.update(text);
        for byte in mac.finalize().into_bytes() {
            out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }

    /// Tells keys apart without telling what they are.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digits = Vec::with_capacity(64);
        self.append(b"sirenia: which key is it?", &mut digits);
        digits.truncate(8);
        String::from_utf8(digits).unwrap_or_default()
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

impl PartialEq for MaskKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_4231() {
        // its first test case; the key is repeated bytes 0x0b
        let mut out = b"before".to_vec();
        MaskKey::new(&[0x0b; 20]).unwrap().append(b"Hi There", &mut out);
        let expected = "beforeb0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn keys_are_told_apart_and_never_shown() {
        let (a, b) = (MaskKey::new(&[b'k'; 16]).unwrap(), MaskKey::new(&[b'l'; 16]).unwrap());
        assert!(a == a.clone() && a != b);
        assert_eq!(format!("{a:?}"), "MaskKey");
        let error = MaskKey::new(b"hunter2").unwrap_err().report();
        assert!(!error.contains("hunter2") && error.contains("16 bytes"), "{error}");
    }
}
