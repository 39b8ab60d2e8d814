//! From the source's values to PostgreSQL's bytes: type map, sanitising, encoding.
//!
//! The only meeting point of source and target. [`plan`] decides once per table which column becomes what; a
//! `Converter`, compiled from a [`plan::TablePlan`], then turns rows of [`crate::value::ValueRef`] into binary COPY
//! tuples. Nothing else can fill an [`Arena`], so bytes that were not sanitised cannot reach COPY.

pub mod alter;
pub mod aside;
mod binary;
mod charset;
mod choices;
mod column_types;
pub mod compare;
mod default_sql;
mod encode;
mod expression;
pub mod image;
mod index_names;
mod json;
pub mod json_row;
mod key_text;
mod key_types;
pub mod objects;
pub mod patch;
pub mod plan;
mod policies;
pub mod reasons;
pub mod row;
#[cfg(test)]
pub(crate) mod sample;
pub mod sanitize;
mod temporal;
mod text_form;
pub mod typemap;
#[cfg(test)]
mod types_doc;
pub mod zone;

/// Encoded rows and keys, one after the other. Spans point into it.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

/// A piece of an [`Arena`], as offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

impl Span {
    /// Length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Arena {
    /// An arena of given bytes, for tests of what reads arenas.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// An arena that holds so many bytes before it grows.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// The bytes of a span.
    #[must_use]
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets everything behind `len` bytes, for a transaction that was rolled back.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Takes everything behind `at` bytes out, as an arena of its own whose spans are lower by `at`.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self { bytes: self.bytes.split_off(at) }
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Forgets everything and gives back the memory beyond `kept` bytes.
    pub fn clear_to(&mut self, kept: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(kept);
    }

    /// Takes in what a composer made of its bytes; they must be the same as when it began.
    pub fn take_in(&mut self, composed: patch::Composed) {
        self.bytes.extend_from_slice(&composed.0);
    }

    /// All bytes, for COPY of everything at once.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
