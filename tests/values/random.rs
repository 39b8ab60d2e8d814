//! Random numbers that a seed repeats (splitmix64, public domain by S. Vigna).

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn i64(&mut self) -> i64 {
        self.next() as i64
    }

    /// 0 … `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
