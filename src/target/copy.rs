//! Sends encoded tuples by binary COPY, and fields as binary parameters.
//!
//! Tuples come whole from the arena (field count, then length and bytes of each field); this adds the file header and
//! trailer and sends pieces of [`PIECE`] bytes, because a message per row would cost more than the row. Format:
//! PostgreSQL manual, COPY, "Binary Format"; array parameters: `array_recv` in `arrayfuncs.c`.

use crate::convert::{Arena, Span};
use crate::copy_format;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use std::error::Error as StdError;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

/// Bytes of one CopyData message, unless a single row is larger.
pub const PIECE: usize = 256 << 10;

/// Sends the tuples through a prepared `COPY … FROM STDIN BINARY` and returns the number of rows the server took.
///
/// # Errors
/// Whatever the server or the connection says. The connection must then be thrown away: a COPY that failed before
/// copy mode leaves the protocol out of step.
pub async fn copy_in<'a>(
    client: &Client,
    copy: &Statement,
    tuples: impl Iterator<Item = &'a [u8]>,
) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    let mut piece = BytesMut::with_capacity(PIECE + 4096);
    piece.put_slice(&copy_format::HEADER);
    for tuple in tuples {
        if piece.len() + tuple.len() > PIECE && !piece.is_empty() {
            sink.feed(piece.split().freeze()).await?;
            piece.reserve(PIECE);
        }
        piece.put_slice(tuple);
    }
    piece.put_slice(&copy_format::TRAILER);
    sink.feed(piece.freeze()).await?;
    sink.finish().await
}

/// A parameter or result in the server's binary form, already encoded.
#[derive(Debug)]
pub struct Raw(pub Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The fields of a tuple or key: each a 4-byte length (−1 for NULL) and its bytes. Yields length and bytes together.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a key, or of any run of fields without a count before it.
    #[must_use]
    pub fn of_key(key: &'a [u8]) -> Self {
        Self(key)
    }

    /// The fields of a COPY tuple: the count is skipped.
    #[must_use]
    pub fn of_tuple(tuple: &'a [u8]) -> Self {
        Self(tuple.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, _) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, rest) = self.0.split_at_checked(4 + length)?;
        self.0 = rest;
        Some(field)
    }
}

/// The bytes of one field as [`Fields`] yields it; none for NULL.
#[must_use]
pub fn field_value(field: &[u8]) -> Option<&[u8]> {
    (field.get(..4)? != [0xff; 4]).then(|| &field[4..])
}

/// Binary arrays, one per column, from rows of fields: parameters for `unnest`.
#[must_use]
pub fn column_arrays<'a>(element_oids: &[u32], rows: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Raw> {
    let count = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let header = |oid: &u32| {
        let mut array = Vec::with_capacity(20 + rows.len() * 12);
        for word in [1, 1, oid.cast_signed(), count, 1] {
            array.extend_from_slice(&word.to_be_bytes()); // dimensions, may hold NULL, element type, length, lower bound
        }
        Raw(array)
    };
    let mut arrays: Vec<Raw> = element_oids.iter().map(header).collect();
    for row in rows {
        for (array, field) in arrays.iter_mut().zip(Fields::of_key(row)) {
            array.0.extend_from_slice(field);
        }
    }
    arrays
}

/// [`column_arrays`] of spans of an arena.
#[must_use]
pub fn span_arrays(element_oids: &[u32], arena: &Arena, rows: impl ExactSizeIterator<Item = Span>) -> Vec<Raw> {
    column_arrays(element_oids, rows.map(|span| arena.get(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_walked_and_arrays_built_from_them() {
        let row = [0, 0, 0, 2, 7, 8, 0xff, 0xff, 0xff, 0xff];
        let fields: Vec<_> = Fields::of_key(&row).map(field_value).collect();
        assert_eq!(fields, [Some(&[7u8, 8][..]), None]);
        let arrays = column_arrays(&[21, 25], [&row[..], &row[..]].into_iter());
        assert_eq!(arrays[0].0[..20], [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 21, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(arrays[0].0[20..], [0, 0, 0, 2, 7, 8, 0, 0, 0, 2, 7, 8]);
        assert_eq!(arrays[1].0[20..], [0xff; 8]);
    }

    #[test]
    fn a_damaged_run_of_fields_ends_the_walk() {
        assert_eq!(Fields::of_key(&[0, 0, 0, 9, 1]).count(), 0);
    }
}
