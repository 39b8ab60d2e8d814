//! What had to be changed in a value so that PostgreSQL takes it, and what is done about it.
//!
//! Encoding writes the replacement and reports a set of [`Reasons`] per value, none for nearly all. [`Reasons::verdict`]
//! is the one decision per value: the strongest of its reasons' policies says whether the replacement stays, NULL
//! stands in its place, or the row is not carried. What was changed is counted in a [`Tally`].

pub use crate::policy::Reason;
use crate::policy::{Policies, Policy};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The reasons of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reasons(u16);

impl Reasons {
    /// No reason: the value is carried as it is.
    pub(super) const NONE: Self = Self(0);

    /// Adds a reason when it applies.
    pub(super) fn note(&mut self, reason: Reason, applies: bool) {
        self.0 |= u16::from(applies) << reason as u8;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub(super) fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u8) != 0
    }

    /// The strongest of the reasons' policies, and the reason it belongs to; none without a reason.
    pub(super) fn verdict(self, policies: &Policies) -> Option<(Policy, Reason)> {
        let reasons = Reason::ALL.into_iter().rev().filter(|reason| self.contains(*reason));
        reasons.map(|reason| (policies.of(reason), reason)).max_by_key(|(policy, _)| *policy)
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

/// The most values of one column and reason that a converter keeps with their keys; all are counted.
pub const KEPT: u32 = 1000;

/// A value that was changed to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Index of the plan.
    pub table: usize,
    /// Position in `TableSchema::columns`.
    pub column: usize,
    /// Why.
    pub reason: Reason,
    /// What was done.
    pub policy: Policy,
    /// Whether it is recorded by itself, not only counted: the first [`KEPT`] of its column and reason are.
    pub kept: bool,
    /// The row's key as JSON, of a value that is kept; none in a table without a key.
    pub key: Option<Box<str>>,
    /// Where its source transaction starts in the log; none for a value of the first copy.
    pub position: Option<Arc<str>>,
}

/// How many values of a column were changed for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Index of the plan.
    pub table: usize,
    /// Position in `TableSchema::columns`.
    pub column: usize,
    /// Why.
    pub reason: Reason,
    /// What was done.
    pub policy: Policy,
    /// How many values.
    pub count: u64,
}

/// Counts changed values by table, column, reason and policy, in that order.
#[must_use]
pub fn totals(changed: &[Changed]) -> Vec<Total> {
    let mut counts = BTreeMap::new();
    for value in changed {
        *counts.entry((value.table, value.column, value.reason, value.policy)).or_insert(0) += 1;
    }
    let total = |((table, column, reason, policy), count)| Total { table, column, reason, policy, count };
    counts.into_iter().map(total).collect()
}

/// The changed values of the rows since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of the row in hand, which may yet fail.
    row: Vec<(usize, Reasons, Policy)>,
    carried: Vec<Changed>,
    kept: BTreeMap<(usize, Reason), u32>,
}

impl Tally {
    /// Notes one value of the column in the row in hand.
    pub(super) fn note(&mut self, column: usize, reasons: Reasons, policy: Policy) {
        self.row.push((column, reasons, policy));
    }

    /// Whether the row in hand has changed values.
    pub(super) fn has_row(&self) -> bool {
        !self.row.is_empty()
    }

    /// Ends the row in hand, which was carried; `key` is asked once, if any of its values is kept.
    #[cold]
    pub(super) fn end_row(&mut self, key: impl FnOnce() -> Option<Box<str>>) {
        let (mut ask, mut answer) = (Some(key), None);
        for (column, reasons, policy) in self.row.drain(..) {
            for reason in Reason::ALL.into_iter().filter(|reason| reasons.contains(*reason)) {
                let so_far = self.kept.entry((column, reason)).or_insert(0);
                let kept = *so_far < KEPT;
                *so_far += u32::from(kept);
                if kept && let Some(ask) = ask.take() {
                    answer = ask();
                }
                let key = answer.clone().filter(|_| kept);
                self.carried.push(Changed { table: 0, column, reason, policy, kept, key, position: None });
            }
        }
    }

    /// Forgets the row in hand, which was not carried.
    pub(super) fn drop_row(&mut self) {
        self.row.clear();
    }

    /// Whether rows were carried with changed values since the last [`Tally::drain`].
    pub(super) fn is_empty(&self) -> bool {
        self.carried.is_empty()
    }

    /// Hands over what was changed.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Changed> + '_ {
        self.carried.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_policy_decides() {
        let mut policies = Policies::defaults(true, false);
        policies.set(Reason::InvalidBytes, Policy::Null);
        let both = Reasons::from(Reason::NulByte) | Reason::InvalidBytes.into();
        assert_eq!(both.verdict(&policies), Some((Policy::Null, Reason::InvalidBytes)));
        policies.set(Reason::NulByte, Policy::Fail);
        assert_eq!(both.verdict(&policies), Some((Policy::Fail, Reason::NulByte)));
        assert_eq!(Reasons::NONE.verdict(&policies), None);
    }

    #[test]
    fn every_value_is_counted_and_the_first_are_kept() {
        let mut tally = Tally::default();
        let mut reasons = Reasons::from(Reason::NulByte);
        reasons.note(Reason::InvalidBytes, true);
        reasons.note(Reason::ZeroDate, false);
        tally.note(3, reasons, Policy::Replace);
        tally.drop_row();
        for _ in 0..=KEPT {
            tally.note(3, reasons, Policy::Replace);
            tally.end_row(|| Some("{}".into()));
        }
        let changed: Vec<_> = tally.drain().collect();
        let counts: Vec<_> = totals(&changed).into_iter().map(|t| (t.column, t.reason, t.count)).collect();
        let all = u64::from(KEPT) + 1;
        assert_eq!(counts, [(3, Reason::NulByte, all), (3, Reason::InvalidBytes, all)]);
        assert_eq!(changed.iter().filter(|value| value.key.is_some()).count(), 2 * KEPT as usize);
        assert!(tally.is_empty() && changed.last().is_some_and(|last| !last.kept && last.key.is_none()));
    }
}
