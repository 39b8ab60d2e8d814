//! Sends encoded tuples by binary COPY, and fields as binary parameters.
//!
//! Tuples come whole from the arena (field count, then length and bytes of each field); this adds the file header and
//! trailer and sends pieces of [`PIECE`] bytes, because a message per row would cost more than the row. Format:
//! PostgreSQL manual, COPY, "Binary Format"; array parameters: `array_recv` in `arrayfuncs.c`.

use crate::convert::{Arena, Span};
use crate::copy_format;
pub use crate::copy_format::{Fields, field_value};
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

/// The head of a binary array of so many elements: their fields, each with its length, are to follow.
#[must_use]
pub fn array(element_oid: u32, elements: usize) -> Raw {
    let count = i32::try_from(elements).unwrap_or(i32::MAX);
    let mut array = Vec::with_capacity(20 + elements * 12);
    for word in [1, 1, element_oid.cast_signed(), count, 1] {
        array.extend_from_slice(&word.to_be_bytes()); // dimensions, may hold NULL, element type, length, lower bound
    }
    Raw(array)
}

/// Binary arrays, one per column, from rows of fields: parameters for `unnest`.
#[must_use]
pub fn column_arrays<'a>(element_oids: &[u32], rows: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Raw> {
    let mut arrays: Vec<Raw> = element_oids.iter().map(|oid| array(*oid, rows.len())).collect();
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
