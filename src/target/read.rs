//! Reads rows back in the binary form they were written in: all of a table, or those of some keys.
//!
//! Values leave as the server's `send` functions print them, which for a value that came by COPY are the bytes that
//! went in, `jsonb` apart. A whole table is read by one COPY, so it is one moment of the table; it is taken off the
//! connection tuple by tuple and never held as a whole.

use super::copy::column_arrays;
use super::error::on;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use std::error::Error as StdError;
use std::pin::Pin;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, CopyOutStream, Row, Statement};

/// Signature, flags and the length of the header's extension.
const HEADER: usize = 19;

/// The tuples of a whole table, some of its columns.
pub struct Tuples {
    stream: Pin<Box<CopyOutStream>>,
    buffer: BytesMut,
    /// Bytes of the buffer that belong to the tuple handed out last.
    used: usize,
    begun: bool,
    doing: String,
}

impl Tuples {
    /// Starts reading the plan's columns at these positions.
    ///
    /// # Errors
    /// As [`super::classify`] says.
    pub async fn open(client: &Client, plan: &TablePlan, columns: &[usize]) -> Result<Self> {
        let doing = format!("reading {}", plan.target);
        let names = ident::postgres_list(columns.iter().map(|at| plan.columns[*at].name.as_str()));
        let sql = format!("COPY (SELECT {names} FROM {}) TO STDOUT (FORMAT BINARY)", plan.target.sql());
        let stream = client.copy_out(&sql).await.map_err(on(&doing))?;
        Ok(Self { stream: Box::pin(stream), buffer: BytesMut::new(), used: 0, begun: false, doing })
    }

    /// The next tuple's fields, each with its length, without their number; none behind the last.
    ///
    /// # Errors
    /// As [`super::classify`] says.
    pub async fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.advance(std::mem::take(&mut self.used));
        loop {
            if !self.begun && self.buffer.len() >= HEADER {
                let extension = self.buffer[HEADER - 4..HEADER].try_into().map_or(0, u32::from_be_bytes) as usize;
                if self.buffer.len() >= HEADER + extension {
                    self.buffer.advance(HEADER + extension);
                    self.begun = true;
                }
            }
            if self.begun
                && let Some(length) = tuple_length(&self.buffer)
            {
                self.used = length;
                return Ok((length > 2).then(|| &self.buffer[2..length]));
            }
            match self.stream.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes.map_err(on(&self.doing))?),
                None => {
                    return Err(Error::new(ErrorKind::Corrupt, self.doing.clone())
                        .detail("the rows ended without their end mark"));
                }
            }
        }
    }
}

/// Bytes of the whole tuple at the start, its count included; 2 for the end mark; none when it is not all there.
fn tuple_length(bytes: &[u8]) -> Option<usize> {
    let fields = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    let mut at = 2;
    for _ in 0..fields {
        let length = i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?);
        at += 4 + usize::try_from(length).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(at)
}

/// Finds rows by their keys.
#[derive(Debug)]
pub struct Lookup {
    statement: Statement,
    key_oids: Vec<u32>,
    columns: usize,
    doing: String,
}

impl Lookup {
    /// Prepares the statement; the plan has a key.
    ///
    /// # Errors
    /// As [`super::classify`] says.
    pub async fn prepare(client: &Client, plan: &TablePlan) -> Result<Self> {
        let doing = format!("reading {}", plan.target);
        let key = || plan.key.iter().map(|at| &plan.columns[*at]);
        let arrays: Vec<String> = (1..).zip(key()).map(|(n, column)| format!("${n}::{}[]", column.ty.sql())).collect();
        let names: Vec<String> = (1..=plan.key.len()).map(|n| format!("k{n}")).collect();
        let columns: Vec<String> = plan.columns.iter().map(|c| format!("t.{}", ident::postgres(&c.name))).collect();
        let matches: Vec<String> = names
            .iter()
            .zip(key())
            .map(|(name, column)| format!("t.{} = s.{name}", ident::postgres(&column.name)))
            .collect();
        let sql = format!(
            "SELECT s.nth, {} FROM unnest({}) WITH ORDINALITY AS s({}, nth) JOIN {} AS t ON {}",
            columns.join(", "),
            arrays.join(", "),
            names.join(", "),
            plan.target.sql(),
            matches.join(" AND ")
        );
        let statement = client.prepare(&sql).await.map_err(on(&doing))?;
        let key_oids = key().map(|column| column.ty.oids().0).collect();
        Ok(Self { statement, key_oids, columns: plan.columns.len(), doing })
    }

    /// The rows of these keys, in any order.
    ///
    /// # Errors
    /// As [`super::classify`] says.
    pub async fn find<'k>(&self, client: &Client, keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Result<Vec<Found>> {
        let arrays = column_arrays(&self.key_oids, keys);
        let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| array as _).collect();
        let rows = client.query(&self.statement, &parameters).await.map_err(on(&self.doing))?;
        let found = |row: Row| {
            let nth: i64 = row.get(0);
            Found { nth: usize::try_from(nth - 1).unwrap_or(usize::MAX), columns: self.columns, row }
        };
        Ok(rows.into_iter().map(found).collect())
    }
}

/// A row that was found.
pub struct Found {
    /// Which of the keys it has, counted from 0.
    pub nth: usize,
    columns: usize,
    row: Row,
}

impl Found {
    /// The plan's columns in their order, none for NULL.
    pub fn fields(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (1..=self.columns).map(|at| self.row.get::<_, Option<Borrowed<'_>>>(at).map(|value| value.0))
    }
}

/// A result in the server's binary form, where it stands.
struct Borrowed<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Borrowed<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The number of rows in the table.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn count(client: &Client, plan: &TablePlan) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", plan.target.sql());
    let row = client.query_one(&sql, &[]).await.map_err(on(&format!("counting the rows of {}", plan.target)))?;
    Ok(super::count(row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing;

    #[test]
    fn tuples_are_cut_where_they_end() {
        let tuple = [0, 2, 0, 0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(tuple_length(&tuple), Some(11));
        assert!((0..11).all(|end| tuple_length(&tuple[..end]).is_none()));
        assert_eq!(tuple_length(&[0xff, 0xff, 9]), Some(2));
    }

    #[tokio::test]
    async fn what_was_written_is_read_by_key_and_as_a_whole() {
        let database = testing::database().await;
        let client = database.connect().await;
        let plan = testing::example::plan("read_back");
        client.batch_execute(&crate::target::tables::create_table_sql(&plan)).await.unwrap();
        let lookup = Lookup::prepare(&client, &plan).await.unwrap();
        let keys = [7, 8, 9].map(|id| [0, 0, 0, 4, 0, 0, 0, id]);
        for rows in 0..3 {
            let mut tuples = Tuples::open(&client, &plan, &plan.key).await.unwrap();
            let mut read = Vec::new();
            while let Some(tuple) = tuples.next().await.unwrap() {
                read.push(tuple.to_vec());
            }
            assert_eq!(read, keys[..rows]);
            assert_eq!(count(&client, &plan).await.unwrap(), rows as u64);
            let found = lookup.find(&client, keys.iter().map(|key| &key[..])).await.unwrap();
            assert_eq!(found.len(), rows);
            for row in found {
                assert_eq!(row.fields().collect::<Vec<_>>(), [Some(&keys[row.nth][4..]), Some(b"x")]);
            }
            let insert = format!("INSERT INTO {} VALUES ({}, 'x')", plan.target.sql(), rows + 7);
            client.batch_execute(&insert).await.unwrap();
        }
    }
}
