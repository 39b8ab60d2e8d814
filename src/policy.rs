//! What to do about a value that PostgreSQL does not take as it is: the reasons, and the policies that settings give them.
//!
//! Owns the names and the defaults. Which reasons a column can have is the type map's to know, what a policy does to a
//! value the converter's. Reasons without a setting follow their default ([`Reason::default_policy`]); in columns of a key
//! or a unique index only [`Policy::Fail`] and [`Policy::Quarantine`] stand, since two values must never become one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Why a value cannot be carried as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// `bigint unsigned` above 2^63−1, where the target's column is `bigint`.
    OutOfRange,
    /// A `tinyint(1)` other than 0 and 1, where the target's column is `boolean`.
    NotBoolean,
    /// TIME outside 00:00:00…23:59:59, where the target's column is `time`.
    NotTimeOfDay,
    /// Longer than a field of PostgreSQL can be, 1 GiB.
    TooLong,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::ZeroDate,
        Self::InvalidDate,
        Self::NulByte,
        Self::InvalidBytes,
        Self::LoneSurrogate,
        Self::InvalidJson,
        Self::EnumZero,
        Self::OutOfRange,
        Self::NotBoolean,
        Self::NotTimeOfDay,
        Self::TooLong,
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
            Self::OutOfRange => "out_of_range",
            Self::NotBoolean => "not_boolean",
            Self::NotTimeOfDay => "not_time_of_day",
            Self::TooLong => "too_long",
        }
    }

    /// What is done without a setting, in a column that is in no key and no unique index.
    #[must_use]
    pub fn default_policy(self, nullable: bool) -> Policy {
        match self {
            Self::ZeroDate | Self::InvalidDate if nullable => Policy::Null,
            Self::OutOfRange | Self::NotBoolean | Self::NotTimeOfDay | Self::TooLong => Policy::Quarantine,
            _ => Policy::Replace,
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
            Self::OutOfRange => "a value above 9223372036854775807, bigint's largest",
            Self::NotBoolean => "a tinyint(1) that is neither 0 nor 1",
            Self::NotTimeOfDay => "a time outside 00:00:00 to 23:59:59",
            Self::TooLong => "a value longer than PostgreSQL's 1 GiB",
        })
    }
}

/// What is done about a value. In order of strength: of a value's several reasons the strongest policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Policy {
    /// The nearest thing that the target holds stands for it: a safe date, text without NUL, U+FFFD, JSON's text as a
    /// string, the end of the range, true.
    Replace,
    /// NULL stands for it.
    Null,
    /// The row is set aside in `sirenia.quarantine`, and the table stays live.
    Quarantine,
    /// Replication stops.
    Fail,
}

impl Policy {
    /// The word in settings and in `sirenia.sanitized`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Null => "null",
            Self::Quarantine => "quarantine",
            Self::Fail => "fail",
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Fail, Self::Null, Self::Replace, Self::Quarantine];
        // the word itself is not repeated, it may be a password that landed in the wrong place
        all.into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| "expected `fail`, `null`, `replace` or `quarantine`".to_owned())
    }
}

impl TryFrom<String> for Policy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What settings say, for some reasons.
pub type PolicySettings = BTreeMap<Reason, Policy>;

/// What is done for each reason in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policies([Policy; Reason::ALL.len()]);

impl Policies {
    /// The defaults of a column.
    #[must_use]
    pub fn defaults(nullable: bool, unique: bool) -> Self {
        Self(Reason::ALL.map(|reason| if unique { Policy::Quarantine } else { reason.default_policy(nullable) }))
    }

    /// What is done for a reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> Policy {
        self.0[reason as usize]
    }

    /// Sets what is done for a reason.
    pub fn set(&mut self, reason: Reason, policy: Policy) {
        self.0[reason as usize] = policy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_positions_in_all() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }

    #[test]
    fn names_are_those_of_the_settings() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
        assert_eq!("quarantine".parse(), Ok(Policy::Quarantine));
        assert!("hunter2".parse::<Policy>().is_err_and(|error| !error.contains("hunter2")));
    }

    #[test]
    fn unique_values_are_never_changed_by_default() {
        for reason in Reason::ALL {
            assert_eq!(Policies::defaults(true, true).of(reason), Policy::Quarantine);
        }
        assert_eq!(Policies::defaults(false, false).of(Reason::ZeroDate), Policy::Replace);
        assert_eq!(Policies::defaults(true, false).of(Reason::ZeroDate), Policy::Null);
    }
}
