//! Rows that are set aside instead of being applied: what is known of them on their way to the quarantine.

use crate::error::Error;
use std::sync::Arc;

/// What a quarantine's key begins with when the key does not convert; no field of a key does.
pub const RAW_KEY: u8 = 0xfe;

/// What was to be done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is to be as its image says.
    Put,
    /// It is to be gone.
    Remove,
}

impl Operation {
    /// The word in `sirenia.quarantine`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Remove => "remove",
        }
    }
}

/// A row that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was to be done with it.
    pub operation: Operation,
    /// The key as JSON; none where the target is to tell it from the key's fields.
    pub key_text: Option<String>,
    /// SQLSTATE, or the reason why a value does not fit.
    pub code: Option<String>,
    /// Why, without values.
    pub error: String,
    /// Where in the log, or `snapshot`.
    pub position: Arc<str>,
    /// The row ([`super::image`]); none for a removal.
    pub image: Option<Vec<u8>>,
}

impl Entry {
    /// A row that `error` kept from being applied.
    #[must_use]
    pub fn new(operation: Operation, error: &Error, position: Arc<str>, image: Option<Vec<u8>>) -> Self {
        let code = error.code().map(str::to_owned);
        Self { operation, key_text: None, code, error: error.to_string(), position, image }
    }
}

/// Something about a key in quarantine, in source order between the changes of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// How many changes of the log come before it.
    pub behind: usize,
    /// Index of the plan.
    pub table: usize,
    /// The key, as in `sirenia.quarantine`.
    pub key: Vec<u8>,
    /// The row that is set aside; none: the key is gone from the source.
    pub entry: Option<Entry>,
    /// The entry's image is of what a partial update has changed in the row that had this key before, be it in quarantine or
    /// on the target; none where the image is of a whole row.
    pub part_of: Option<Vec<u8>>,
}

impl Aside {
    /// Bytes held, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let image = self.entry.as_ref().and_then(|entry| entry.image.as_ref()).map_or(0, Vec::len);
        size_of::<Self>() + self.key.len() + image + 256
    }
}
