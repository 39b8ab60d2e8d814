//! What had to be changed in a value so that PostgreSQL takes it, and what never may be.
//!
//! Conversion reports a set of [`Reasons`] per value. In a column of a key or a unique index any reason is an error: two
//! different values must not become one. Elsewhere the value is carried as the default of its reason says (zero dates
//! become NULL or 1970-01-01, bytes that mean nothing U+FFFD, …) and counted in a [`Tally`]. Policies per reason hook in
//! at [`Reasons::first`], which is where the one decision per value is made.

use std::fmt;

/// Why a value was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// `0000-00-00`, with or without a time of day.
    ZeroDate,
    /// A date that no calendar has: month or day 0, 30 February, year 0.
    InvalidDate,
    /// A NUL character, which PostgreSQL's text cannot hold; `\u0000` within JSON too.
    NulByte,
    /// Bytes that mean nothing in the column's character set.
    InvalidBytes,
    /// Half of a UTF-16 surrogate pair, escaped within JSON.
    LoneSurrogate,
    /// Text in a JSON column that is not JSON.
    InvalidJson,
    /// ENUM's error value, index 0, which reads as the empty string.
    EnumZero,
}

impl Reason {
    /// All reasons, in the order of their bits.
    pub const ALL: [Self; 7] = [
        Self::ZeroDate,
        Self::InvalidDate,
        Self::NulByte,
        Self::InvalidBytes,
        Self::LoneSurrogate,
        Self::InvalidJson,
        Self::EnumZero,
    ];

    /// The name that `sirenia.sanitized`, metrics and settings use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroDate => "zero_date",
            Self::InvalidDate => "invalid_date",
            Self::NulByte => "nul_byte",
            Self::InvalidBytes => "invalid_bytes",
            Self::LoneSurrogate => "lone_surrogate",
            Self::InvalidJson => "invalid_json",
            Self::EnumZero => "enum_zero",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroDate => "a zero date",
            Self::InvalidDate => "a date that does not exist",
            Self::NulByte => "a NUL character",
            Self::InvalidBytes => "bytes that are invalid in the column's character set",
            Self::LoneSurrogate => "half of a surrogate pair in JSON",
            Self::InvalidJson => "text that is not JSON",
            Self::EnumZero => "the error value of ENUM (index 0)",
        })
    }
}

/// The reasons of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reasons(u8);

impl Reasons {
    /// No reason: the value is carried as it is.
    pub(super) const NONE: Self = Self(0);

    /// Adds a reason when it applies.
    pub(super) fn note(&mut self, reason: Reason, applies: bool) {
        self.0 |= u8::from(applies) << reason as u8;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub(super) fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u8) != 0
    }

    /// The reason to report where a value may not be changed.
    pub(super) fn first(self) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| self.contains(*reason))
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        Self(1 << reason as u8)
    }
}

impl std::ops::BitOr for Reasons {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How many values of a column were changed for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sanitized {
    /// Position in `TableSchema::columns`.
    pub column: usize,
    /// Why.
    pub reason: Reason,
    /// How many values.
    pub count: u64,
}

/// The changed values since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Vec<Sanitized>,
    /// Of the row in hand, which may yet fail.
    row: Vec<(usize, Reasons)>,
}

impl Tally {
    /// Notes one value of the column in the row in hand.
    pub(super) fn note(&mut self, column: usize, reasons: Reasons) {
        self.row.push((column, reasons));
    }

    /// Ends the row in hand; counts its values when it is carried.
    pub(super) fn end_row(&mut self, carried: bool) {
        for (column, reasons) in self.row.drain(..).filter(|_| carried) {
            for reason in Reason::ALL.into_iter().filter(|reason| reasons.contains(*reason)) {
                match self.counts.iter_mut().find(|entry| entry.column == column && entry.reason == reason) {
                    Some(entry) => entry.count += 1,
                    None => self.counts.push(Sanitized { column, reason, count: 1 }),
                }
            }
        }
    }

    /// Hands over the counts and starts anew; does not allocate.
    pub(super) fn take(&mut self) -> Vec<Sanitized> {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_positions_in_all() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }

    #[test]
    fn values_are_counted_once_per_reason() {
        let mut tally = Tally::default();
        let mut reasons = Reasons::from(Reason::NulByte);
        reasons.note(Reason::InvalidBytes, true);
        reasons.note(Reason::ZeroDate, false);
        tally.note(3, reasons);
        tally.end_row(true);
        tally.note(3, Reason::NulByte.into());
        tally.end_row(true);
        tally.note(3, Reason::NulByte.into());
        tally.end_row(false);
        let counts: Vec<_> = tally.take().into_iter().map(|entry| (entry.column, entry.reason, entry.count)).collect();
        assert_eq!(counts, [(3, Reason::NulByte, 2), (3, Reason::InvalidBytes, 1)]);
        assert!(tally.take().is_empty());
    }
}
