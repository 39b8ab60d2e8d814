//! Rows that are written a second time before they are handed out: COMPRESSED columns of MariaDB, partial JSON of MySQL.
//!
//! A row's values are lent from bytes, so what has to be computed first needs bytes to be lent from. The rows of such an event
//! are copied into a buffer of the decoder's with plain values in place of the others, and then read like any rows; a column
//! whose values have changed their form has a plan of its own for that ([`ColumnPlan::unpacked`]). The buffers are used
//! again for the next event.

use super::inflate::{Inflater, MAX_BYTES};
use super::json;
use super::json_diff;
use super::plan::ColumnPlan;
use super::reader::Reader;
use super::rows::{Image, bit, read_value};
use crate::value::ValueRef;

/// What a buffer may hold on to between two events.
const KEEP: usize = 16 << 20;

/// The buffers of one connection.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub inflater: Inflater,
    /// What was compressed in an event.
    pub event: Vec<u8>,
    /// Rows with plain values.
    pub rows: Vec<u8>,
}

impl Buffers {
    /// Empties them for the next event; what an unusually large one took is given back.
    pub fn clear(&mut self) {
        for buffer in [&mut self.event, &mut self.rows] {
            buffer.clear();
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
    }
}

/// Why rows cannot be written a second time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A row's bitmaps are cut off, or the rows are too long altogether.
    Row,
    /// The value of a column.
    Value(usize),
    /// The document before, which the changes belong to, is not in the image of this column.
    NoDocument(usize),
}

/// Unpacks the values of COMPRESSED columns.
pub(super) fn columns(
    mut rows: Reader<'_>,
    images: &[Image<'_>],
    inflater: &mut Inflater,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    while !rows.is_empty() {
        for image in images {
            let nulls = nulls(&mut rows, *image, out)?;
            values(&mut rows, *image, nulls, |_, plan, rows| match plan {
                ColumnPlan::Compressed(prefix) => {
                    let packed = prefixed(rows, prefix)?;
                    counted(out, |out| inflater.column(packed, out))
                }
                plan => copy(rows, plan, out),
            })?;
        }
    }
    Ok(())
}

/// Applies partial JSON updates to the documents before; every document after becomes text.
pub(super) fn partial_json(
    mut rows: Reader<'_>,
    before: Image<'_>,
    after: Image<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    /// `PARTIAL_JSON_UPDATES` of `enum_binlog_row_value_options`.
    const PARTIAL_JSON: u64 = 1;
    let mut documents: Vec<Option<&[u8]>> = vec![None; before.plans.len()];
    let json = |plan: &ColumnPlan| matches!(plan, ColumnPlan::Json(_));
    let count = after.plans.iter().filter(|plan| json(plan)).count();
    while !rows.is_empty() {
        documents.fill(None);
        let nulls_before = nulls(&mut rows, before, out)?;
        values(&mut rows, before, nulls_before, |i, plan, rows| {
            if let ColumnPlan::Json(prefix) = plan {
                let mut ahead = *rows;
                documents[i] = Some(prefixed(&mut ahead, prefix)?);
            }
            copy(rows, plan, out)
        })?;

        let partial = match rows.lenenc() {
            Some(0) => &[][..],
            Some(PARTIAL_JSON) => rows.bytes(count.div_ceil(8)).ok_or(Fault::Row)?,
            _ => return Err(Fault::Row),
        };
        let is_partial = |column: usize| {
            let number = after.plans[..column].iter().filter(|plan| json(plan)).count();
            bit(partial, number)
        };
        let nulls_after = nulls(&mut rows, after, out)?;
        let mut missing = None;
        let written = values(&mut rows, after, nulls_after, |i, plan, rows| {
            let ColumnPlan::Json(prefix) = plan else { return copy(rows, plan, out) };
            let value = prefixed(rows, prefix)?;
            counted(out, |out| match (is_partial(i), value, documents[i]) {
                (true, _, None) => {
                    missing = Some(i);
                    None
                }
                (true, changes, Some(document)) => json_diff::apply(document, changes, out),
                (false, [], _) => Some(()),
                (false, document, _) => json::to_text(document, out).ok(),
            })
        });
        if let Some(column) = missing {
            return Err(Fault::NoDocument(column));
        }
        written?;
    }
    Ok(())
}

/// Copies the bitmap of an image's NULLs.
fn nulls<'a>(rows: &mut Reader<'a>, image: Image<'_>, out: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    let nulls = rows.bytes(image.columns.div_ceil(8)).filter(|_| out.len() <= MAX_BYTES).ok_or(Fault::Row)?;
    out.extend_from_slice(nulls);
    Ok(nulls)
}

/// Hands each value that is there to `value`, which reads exactly that; `None` is damage.
fn values<'a>(
    rows: &mut Reader<'a>,
    image: Image<'_>,
    nulls: &[u8],
    mut value: impl FnMut(usize, ColumnPlan, &mut Reader<'a>) -> Option<()>,
) -> Result<(), Fault> {
    let present = (0..image.plans.len()).filter(|i| bit(image.present, *i));
    for (carried, i) in present.enumerate() {
        if !bit(nulls, carried) {
            value(i, image.plans[i], rows).ok_or(Fault::Value(i))?;
        }
    }
    Ok(())
}

fn copy(rows: &mut Reader<'_>, plan: ColumnPlan, out: &mut Vec<u8>) -> Option<()> {
    let from = rows.rest();
    read_value(rows, plan, &mut ValueRef::Absent)?;
    out.extend_from_slice(&from[..from.len() - rows.rest().len()]);
    Some(())
}

fn prefixed<'a>(rows: &mut Reader<'a>, prefix: u8) -> Option<&'a [u8]> {
    let len = rows.uint(usize::from(prefix))?;
    rows.bytes(usize::try_from(len).ok()?)
}

/// Writes a value behind its length of four bytes, as unpacked plans read it.
fn counted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let place = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let len = u32::try_from(out.len() - place - 4).ok()?;
    out[place..place + 4].copy_from_slice(&len.to_le_bytes());
    Some(())
}
