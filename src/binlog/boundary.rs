//! Boundaries as the decoder lends them: what comes with every transaction is not copied for those who only look at it.

use super::gtid::Gtid;
use crate::change::Boundary;
use crate::position::{BinlogOffset, Position};

/// A [`Boundary`], partly borrowed from the decoder.
#[derive(Debug)]
pub enum BoundaryRef<'a> {
    /// A source transaction starts.
    Begin(Begin<'a>),
    /// It has committed.
    Commit {
        /// The position right after it.
        position: &'a Position,
        /// When, seconds since 1970.
        committed_at: u32,
    },
    /// Neither [`Boundary::Begin`] nor [`Boundary::Commit`].
    Other(Boundary),
}

/// Where a transaction starts, and its name.
#[derive(Debug)]
pub struct Begin<'a> {
    /// Where its first event starts.
    pub start: &'a BinlogOffset,
    pub(super) gtid: Option<&'a Gtid>,
}

impl BoundaryRef<'_> {
    /// A copy that lasts.
    #[must_use]
    pub fn into_owned(self) -> Boundary {
        match self {
            Self::Begin(Begin { start, gtid }) => {
                Boundary::Begin { start: start.clone(), gtid: gtid.and_then(Gtid::name) }
            }
            Self::Commit { position, committed_at } => Boundary::Commit { position: position.clone(), committed_at },
            Self::Other(boundary) => boundary,
        }
    }
}
