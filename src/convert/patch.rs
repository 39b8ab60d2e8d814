//! Partial rows: what an update changes where its images do not carry the whole row.
//!
//! A patch is a set of the plan's columns, one bit each (column 0 is bit 0 of byte 0), then the fields of those columns in
//! the plan's order, as they stand in a tuple. [`Composer`] lays patches over rows and over each other. It copies fields
//! that a converter made and makes none, so what it composes was checked like everything else in an [`Arena`].

use super::{Arena, Span};
use crate::copy_format::Fields;

/// Bytes of a set of so many columns.
#[must_use]
pub fn set_bytes(columns: usize) -> usize {
    columns.div_ceil(8)
}

/// Whether the column is in the set.
#[must_use]
pub fn has(set: &[u8], column: usize) -> bool {
    set.get(column / 8).is_some_and(|byte| byte >> (column % 8) & 1 == 1)
}

/// Puts the column into the set.
pub(super) fn put(set: &mut [u8], column: usize) {
    set[column / 8] |= 1 << (column % 8);
}

/// A patch, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch<'a> {
    /// Which columns it changes.
    pub set: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Patch<'a> {
    /// Reads a patch of a table of so many planned columns.
    #[must_use]
    pub fn read(bytes: &'a [u8], columns: usize) -> Self {
        let (set, fields) = bytes.split_at(set_bytes(columns));
        Self { set, fields }
    }

    /// The columns, by position in the plan, with their fields: length and bytes.
    pub fn fields(self) -> impl Iterator<Item = (usize, &'a [u8])> {
        (0..self.set.len() * 8).filter(move |column| has(self.set, *column)).zip(Fields::of_key(self.fields))
    }
}

/// What a [`Composer`] made: the bytes behind those of its arena.
#[derive(Debug)]
pub struct Composed(pub(super) Vec<u8>);

/// Lays patches over rows, while others look into the arena that all of them lie in.
#[derive(Debug)]
pub struct Composer<'a> {
    arena: &'a Arena,
    composed: Vec<u8>,
    newest: Vec<Option<&'a [u8]>>,
}

impl<'a> Composer<'a> {
    /// For rows and patches of this arena.
    #[must_use]
    pub fn new(arena: &'a Arena) -> Self {
        Self { arena, composed: Vec::new(), newest: Vec::new() }
    }

    /// The tuple as the patches, newest first, leave it.
    pub fn row(&mut self, columns: usize, tuple: Span, patches: impl Iterator<Item = Span>) -> Span {
        self.lay(columns, patches);
        let tuple = self.arena.get(tuple);
        let start = self.composed.len();
        self.composed.extend_from_slice(&tuple[..tuple.len().min(2)]);
        for (field, newest) in Fields::of_tuple(tuple).zip(&self.newest) {
            self.composed.extend_from_slice(newest.unwrap_or(field));
        }
        self.span(start)
    }

    /// One patch that does what these do together, newest first.
    pub fn patch(&mut self, columns: usize, patches: impl Iterator<Item = Span>) -> Span {
        self.lay(columns, patches);
        let start = self.composed.len();
        self.composed.resize(start + set_bytes(columns), 0);
        for (column, field) in self.newest.iter().enumerate() {
            if let Some(field) = field {
                put(&mut self.composed[start..], column);
                self.composed.extend_from_slice(field);
            }
        }
        self.span(start)
    }

    /// The patch of a span that this composer made or that lies in its arena.
    #[must_use]
    pub fn read(&self, patch: Span, columns: usize) -> Patch<'_> {
        let own = patch.start.checked_sub(self.arena.len());
        let bytes = own.map_or_else(|| self.arena.get(patch), |at| &self.composed[at..at + patch.len()]);
        Patch::read(bytes, columns)
    }

    /// What it made, for [`Arena::take_in`].
    #[must_use]
    pub fn finish(self) -> Composed {
        Composed(self.composed)
    }

    fn lay(&mut self, columns: usize, patches: impl Iterator<Item = Span>) {
        self.newest.clear();
        self.newest.resize(columns, None);
        for patch in patches {
            for (column, field) in Patch::read(self.arena.get(patch), columns).fields() {
                self.newest[column].get_or_insert(field);
            }
        }
    }

    fn span(&self, start: usize) -> Span {
        let before = self.arena.len();
        Span { start: before + start, end: before + self.composed.len() }
    }
}

#[cfg(test)]
pub(crate) mod sample {
    /// A field of one byte; none is NULL.
    pub(crate) fn field(byte: Option<u8>) -> Vec<u8> {
        byte.map_or(vec![0xff; 4], |byte| vec![0, 0, 0, 1, byte])
    }

    /// A patch of a table of up to eight columns.
    pub(crate) fn patch(columns: &[(usize, Option<u8>)]) -> Vec<u8> {
        let set = columns.iter().fold(0, |set, (column, _)| set | 1 << column);
        std::iter::once(set).chain(columns.iter().flat_map(|(_, byte)| field(*byte))).collect()
    }

    /// A tuple.
    pub(crate) fn tuple(fields: &[Option<u8>]) -> Vec<u8> {
        let count = u16::try_from(fields.len()).unwrap().to_be_bytes();
        count.into_iter().chain(fields.iter().flat_map(|byte| field(*byte))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{patch, tuple};
    use super::*;

    #[test]
    fn the_newest_field_of_each_column_counts() {
        let parts = [tuple(&[Some(1), Some(2), None]), patch(&[(1, Some(7)), (2, Some(8))]), patch(&[(1, None)])];
        let mut arena = Arena::of(&parts.concat());
        let mut at = 0;
        let spans = parts.each_ref().map(|part| {
            at += part.len();
            Span { start: at - part.len(), end: at }
        });
        let mut composer = Composer::new(&arena);
        let row = composer.row(3, spans[0], [spans[2], spans[1]].into_iter());
        let both = composer.patch(3, [spans[2], spans[1]].into_iter());
        let read: Vec<_> = composer.read(both, 3).fields().map(|(column, field)| (column, field.len())).collect();
        assert_eq!(read, [(1, 4), (2, 5)]);
        assert_eq!(composer.read(spans[2], 3).set, [2]);
        let composed = composer.finish();
        arena.take_in(composed);
        assert_eq!(arena.get(row), tuple(&[Some(1), None, Some(8)]));
        assert_eq!(arena.get(both), patch(&[(1, None), (2, Some(8))]));
    }
}
