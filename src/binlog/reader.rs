//! A cursor over bytes that were written by somebody else.
//!
//! Every read checks the length and gives `None` past the end; whoever reads knows what was being read and makes the
//! error. Integers are little-endian unless the name says otherwise.

/// The bytes not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned integer of 1…8 bytes.
    #[inline]
    pub fn uint(&mut self, len: usize) -> Option<u64> {
        // a copy whose length is not known when it is compiled costs more than all else
        match len {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            3 => self.array().map(|[a, b, c]| u64::from(u32::from_le_bytes([a, b, c, 0]))),
            4 => self.u32().map(u64::from),
            8 => self.u64(),
            _ => {
                let mut wide = [0; 8];
                wide.get_mut(..len)?.copy_from_slice(self.bytes(len)?);
                Some(u64::from_le_bytes(wide))
            }
        }
    }

    /// An unsigned big-endian integer of 0…8 bytes.
    #[inline]
    pub fn uint_be(&mut self, len: usize) -> Option<u64> {
        8usize.checked_sub(len)?;
        Some(self.bytes(len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length-encoded integer of the client protocol (`net_field_length_ll`); NULL (251) is none.
    pub fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            small @ 0..=250 => Some(u64::from(small)),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.uint(8),
            _ => None,
        }
    }

    /// As many bytes as the length-encoded integer before them says.
    pub fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.lenenc()?;
        self.bytes(usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.uint(2), Some(0x0201));
        assert_eq!(reader.u16(), None);
        assert_eq!(reader.uint_be(1), Some(3));
        assert_eq!((reader.u8(), reader.is_empty()), (None, true));
        assert_eq!(Reader::new(&[0; 9]).uint(9), None);
        assert_eq!(Reader::new(&[0; 9]).uint_be(9), None);
    }

    #[test]
    fn length_encoded_integers() {
        assert_eq!(Reader::new(&[250]).lenenc(), Some(250));
        assert_eq!(Reader::new(&[252, 1, 1]).lenenc(), Some(257));
        assert_eq!(Reader::new(&[253, 1, 1]).lenenc(), None);
        assert_eq!(Reader::new(&[251]).lenenc(), None);
        assert_eq!(Reader::new(&[254, 255, 255, 255, 255, 255, 255, 255, 255, 7]).lenenc_bytes(), None);
    }
}
