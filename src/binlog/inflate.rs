//! zlib as MariaDB wraps it: in events (`log_bin_compress`) and in values of COMPRESSED columns.
//!
//! Both put before the data a byte of flags and the length they will have, big-endian. That length is a claim: the output
//! grows with what really comes out, and must have it in the end.
//!
//! Formats: `binlog_buf_compress()` in MariaDB's `sql/log_event.cc`, `compress_zlib()` in `sql/field_comp.cc`.

use flate2::{Decompress, FlushDecompress, Status};

/// The most that one event may have unpacked: as much as one event may have at all (`max_allowed_packet`).
pub(super) const MAX_BYTES: usize = 1 << 30;
/// The least room that the output is given.
const STEP: usize = 4096;

/// Unpacks; its state is used again for the next value.
#[derive(Debug)]
pub(super) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflater {
    /// Appends the part of an event that is compressed. `None`: it is not what MariaDB writes.
    pub fn record(&mut self, record: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (flags, rest) = record.split_first()?;
        // the highest bit, zlib as the algorithm, then how many bytes the length has
        let length_bytes = usize::from(flags & 0x0F);
        if flags & 0xF0 != 0x80 || !(1..=4).contains(&length_bytes) {
            return None;
        }
        self.sized(rest, length_bytes, true, out)
    }

    /// Appends a value of a COMPRESSED column. `None`: it is not what MariaDB writes.
    pub fn column(&mut self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let Some((flags, rest)) = value.split_first() else { return Some(()) };
        match flags >> 4 {
            0 if *flags == 0 => {
                out.extend_from_slice(rest);
                Some(())
            }
            // zlib; bit 3: without its header and checksum
            8 => self.sized(rest, usize::from(flags & 7), flags & 8 == 0, out),
            _ => None,
        }
    }

    fn sized(&mut self, bytes: &[u8], length_bytes: usize, zlib: bool, out: &mut Vec<u8>) -> Option<()> {
        let (length, data) = bytes.split_at_checked(length_bytes)?;
        let length = length.iter().try_fold(0_usize, |sum, byte| Some(sum.checked_mul(256)? + usize::from(*byte)))?;
        if length > MAX_BYTES.saturating_sub(out.len()) {
            return None;
        }
        self.0.reset(zlib);
        let start = out.len();
        loop {
            let produced = out.len() - start;
            if out.len() == out.capacity() {
                out.reserve((length.saturating_sub(produced)).clamp(1, produced.max(STEP)));
            }
            let read = usize::try_from(self.0.total_in()).ok()?;
            let status = self.0.decompress_vec(data.get(read..)?, out, FlushDecompress::None).ok()?;
            let (now_read, now) = (usize::try_from(self.0.total_in()).ok()?, out.len() - start);
            match status {
                Status::StreamEnd => return (now == length && now_read == data.len()).then_some(()),
                _ if now > length => return None,
                // room was left, and still there is no end
                _ if out.len() < out.capacity() && now_read == read && now == produced => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn record(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        Inflater::default().record(bytes, &mut out).map(|()| out)
    }

    fn column(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        Inflater::default().column(bytes, &mut out).map(|()| out)
    }

    #[test]
    fn both_wrappings() {
        let text = b"over and over and over and over";
        let length = text.len() as u8;
        assert_eq!(record(&[&[0x81, length][..], &zlib(text)].concat()).as_deref(), Some(&text[..]));
        assert_eq!(record(&[&[0x84, 0, 0, 0, length][..], &zlib(text)].concat()).as_deref(), Some(&text[..]));
        assert_eq!(column(&[&[0x81, length][..], &zlib(text)].concat()).as_deref(), Some(&text[..]));
        assert_eq!(column(&[&[0x89, length][..], &raw(text)].concat()).as_deref(), Some(&text[..]));
        assert_eq!(column(b"\0plain").as_deref(), Some(&b"plain"[..]));
        assert_eq!(column(b"").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_length_that_is_not_true_is_refused_and_not_allocated() {
        let data = zlib(&[7; 5000]);
        assert_eq!(record(&[&[0x82, 0x13, 0x88][..], &data].concat()).map(|out| out.len()), Some(5000));
        for claim in [[0x84, 0, 0, 0, 0], [0x84, 0, 0, 0x13, 0x87], [0x84, 0, 0, 0x13, 0x89], [0x84, 0x3F, 0, 0, 0]] {
            let mut out = Vec::new();
            assert_eq!(Inflater::default().record(&[&claim[..], &data].concat(), &mut out), None, "{claim:?}");
            assert!(out.capacity() <= 16_384, "{}", out.capacity());
        }
        for wrong in [[0x84, 0xFF, 0xFF, 0xFF, 0xFF], [0x85, 0, 0, 0, 0], [0x80, 0, 0, 0, 0], [0x91, 5, 0, 0, 0]] {
            assert_eq!(record(&[&wrong[..], &data].concat()), None);
        }
        assert_eq!(record(&[&[0x82, 0x13, 0x88][..], &data, b"x"].concat()), None, "bytes behind the end");
        assert_eq!(column(b"\x01x"), None);
        assert_eq!(column(b"\x90x"), None);
    }

    #[test]
    fn the_state_is_good_again_after_an_error() {
        let mut inflater = Inflater::default();
        let whole = [&[0x81, 4][..], &zlib(b"data")].concat();
        for end in 0..whole.len() {
            assert_eq!(inflater.record(&whole[..end], &mut Vec::new()), None, "{end}");
        }
        let mut out = b"kept ".to_vec();
        assert_eq!(inflater.record(&whole, &mut out), Some(()));
        assert_eq!(out, b"kept data");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..200), flags in any::<u8>()) {
            for all in [bytes.clone(), [&[flags][..], &bytes].concat(), [&[0x84, 0x20, 0, 0, 0, 0x78, 0x9C][..], &bytes].concat()] {
                let mut out = Vec::new();
                let _ = Inflater::default().record(&all, &mut out);
                let _ = Inflater::default().column(&all, &mut out);
                prop_assert!(out.capacity() <= 1 << 20); // 200 bytes of deflate give 1032 times as many at most
            }
        }
    }
}
