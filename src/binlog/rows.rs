//! Rows events: the changed rows of one table, lent from the event's bytes.
//!
//! Versions 1 (MariaDB) and 2 (MySQL). A value is decoded when its row is asked for; per row nothing is allocated, since the
//! caller's buffers are filled again. Compressed events are unpacked as a whole before, into a buffer of the decoder's; rows
//! with values that have to be computed are written a second time there (`unpack`). Partial JSON updates are the one
//! kind for which memory is taken per value.
//!
//! # Partial images
//!
//! Under `binlog_row_image` MINIMAL and NOBLOB an event says by one bitmap per image which columns its rows carry; null
//! bitmaps cover only those, and MySQL sets the bits beyond the last column at random. A column that is not there is
//! [`ValueRef::Absent`]. "Key" is below what the server itself chooses: the primary key, else the first declared unique
//! key without nullable and without prefix columns, else none. Seen on MariaDB 10.11 and 11.8 and MySQL 9.7:
//!
//! | image | MINIMAL | NOBLOB |
//! | --- | --- | --- |
//! | before | the key; without one, every column | all but BLOB and TEXT outside the key; without a key, every column |
//! | after, UPDATE | the columns that the statement or a trigger sets, ON UPDATE CURRENT_TIMESTAMP, changed generated columns | these, and all that are neither BLOB nor TEXT |
//! | after, INSERT | the columns that the statement or a trigger gives, AUTO_INCREMENT, defaults that are computed (CURRENT_TIMESTAMP, expressions), generated columns | these, and all that are neither BLOB nor TEXT |
//!
//! - **Absent in an INSERT means the column's default**, a literal: a computed one is always carried. For NOT NULL
//!   without a default (`sql_mode` not strict) it is the type's own: 0, `''`, the first label, the zero date.
//! - **Absent in an UPDATE's after image means unchanged**, also for a column of the key. On MariaDB there is an exception that
//!   cannot be seen: REPLACE and LOAD DATA REPLACE are logged as an UPDATE that carries only the columns given, while the
//!   row's other columns fall back to their defaults. MariaDB's own replicas go wrong there. MySQL logs the whole row.
//! - MySQL: REPLACE, `ON DUPLICATE KEY UPDATE` and cascaded changes of children carry whole after images. MariaDB carries
//!   the columns given, and whole images in tables without a key.
//! - **Generated columns on MariaDB may be missing although their value changes**: in 10.11 VIRTUAL ones from MINIMAL images
//!   (STORED ones are there whenever the row is written), in 11.8 both kinds from the images of an UPDATE and a DELETE, under
//!   every setting, FULL among them. MySQL carries both in an INSERT, and in an UPDATE if they change.
//! - `INSERT INTO t () VALUES ()` into a table whose key has a literal default carries no column at all: the event has one row of
//!   no bytes. Several rows of none cannot be: MySQL refuses them, and their keys would be equal.
//!
//! What the binlog leaves out is left out: trailing 0x00 bytes of BINARY(n) and of other fixed-length binary strings
//! (MariaDB's UUID, INET4 and INET6 among them) and trailing blanks of CHAR are not there, and the converter pads.
//! MariaDB's UUID comes in the order in which it is printed, unlike in its data files.

use super::decimal;
use super::event::types;
use super::plan::{ColumnPlan, TablePlan};
use super::reader::Reader;
use super::temporal;
use super::unpack::{self, Buffers, Fault};
use crate::change::{Op, RowImages};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::BinlogOffset;
use crate::value::ValueRef;

/// The fixed part of a rows event.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsHead<'a> {
    pub table_id: u64,
    flags: u16,
    rest: Reader<'a>,
}

impl<'a> RowsHead<'a> {
    /// The statement's last rows event: the table ids have served their purpose.
    pub fn ends_statement(&self) -> bool {
        self.flags & 0x0001 != 0
    }

    pub fn read(event_type: u8, body: &'a [u8]) -> Option<Self> {
        let mut rest = Reader::new(body);
        let table_id = rest.uint(6)?;
        let flags = rest.u16()?;
        if matches!(
            event_type,
            types::WRITE_ROWS..=types::DELETE_ROWS
                | types::PARTIAL_UPDATE_ROWS
                | types::WRITE_ROWS_COMPRESSED_V2..=types::DELETE_ROWS_COMPRESSED_V2
        ) {
            let extra = usize::from(rest.u16()?);
            rest.bytes(extra.checked_sub(2)?)?;
        }
        Some(Self { table_id, flags, rest })
    }
}

/// What an event type says of its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsKind {
    op: Op,
    /// What follows the columns' bitmaps is packed (MariaDB).
    compressed: bool,
    /// JSON documents may be lists of changes (MySQL).
    partial_json: bool,
}

impl RowsKind {
    pub fn of(event_type: u8) -> Self {
        use types as t;
        let op = match event_type {
            t::WRITE_ROWS | t::WRITE_ROWS_V1 | t::WRITE_ROWS_COMPRESSED | t::WRITE_ROWS_COMPRESSED_V2 => Op::Insert,
            t::UPDATE_ROWS
            | t::UPDATE_ROWS_V1
            | t::UPDATE_ROWS_COMPRESSED
            | t::UPDATE_ROWS_COMPRESSED_V2
            | t::PARTIAL_UPDATE_ROWS => Op::Update,
            _ => Op::Delete,
        };
        let compressed = (t::WRITE_ROWS_COMPRESSED..=t::DELETE_ROWS_COMPRESSED_V2).contains(&event_type);
        Self { op, compressed, partial_json: event_type == t::PARTIAL_UPDATE_ROWS }
    }
}

/// The rows of one event.
#[derive(Debug)]
pub struct RowsChange<'a> {
    /// Which of the decoder's tables.
    pub table: usize,
    /// What happened to the rows.
    pub op: Op,
    /// Whether the writer's session had `foreign_key_checks` on (flag 0x0002 absent).
    pub foreign_key_checks: bool,
    plan: &'a TablePlan,
    at: &'a BinlogOffset,
    rows: Reader<'a>,
    before: Image<'a>,
    after: Image<'a>,
    /// Whether a row that carries nothing has yet to be handed out.
    bare: bool,
}

/// Which columns one image of an event's rows carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'a> {
    /// How each column of the table is read.
    pub plans: &'a [ColumnPlan],
    /// A bit per column, the first one lowest; bits beyond the last column mean nothing.
    pub present: &'a [u8],
    /// How many columns are there.
    pub columns: usize,
}

impl<'a> Image<'a> {
    const NONE: Self = Image { plans: &[], present: &[], columns: 0 };

    fn read(rows: &mut Reader<'a>, plans: &'a [ColumnPlan]) -> Option<Self> {
        let width = plans.len();
        let present = rows.bytes(width.div_ceil(8))?;
        let mut columns: usize = present.iter().map(|byte| byte.count_ones() as usize).sum();
        if let Some(last) = present.last().filter(|_| !width.is_multiple_of(8)) {
            columns -= (last >> (width % 8)).count_ones() as usize;
        }
        Some(Self { plans, present, columns })
    }

    fn is_partial(&self) -> bool {
        self.columns < self.plans.len()
    }
}

impl<'a> RowsChange<'a> {
    /// Reads the columns' bitmaps. `at` is where the event starts.
    pub(super) fn new(
        table: usize,
        kind: RowsKind,
        head: &RowsHead<'a>,
        plan: &'a TablePlan,
        at: &'a BinlogOffset,
        buffers: &'a mut Buffers,
    ) -> Result<Self> {
        const NO_FOREIGN_KEY_CHECKS: u16 = 0x0002;
        let RowsKind { op, compressed, partial_json } = kind;
        let name = &plan.schema.name;
        let damaged = || corrupt(format!("damaged head of a rows event of {name} at {at}"));
        let mut rows = head.rest;
        let width = rows.lenenc().ok_or_else(damaged)?;
        if width != plan.columns.len() as u64 || width == 0 {
            let known = plan.columns.len();
            return Err(corrupt(format!(
                "rows event of {name} at {at} has {width} columns, its TABLE_MAP has {known}"
            )));
        }
        let mut image = || Image::read(&mut rows, &plan.columns).ok_or_else(damaged);
        let mut before = if op == Op::Insert { Image::NONE } else { image()? };
        let mut after = if op == Op::Delete { Image::NONE } else { image()? };
        // every row must have bytes, or their number cannot be told
        if op != Op::Insert && before.columns == 0 {
            return Err(corrupt(format!("rows event of {name} at {at} has no columns that tell the rows")));
        }
        let Buffers { inflater, event, rows: plain } = buffers;
        if compressed {
            inflater
                .record(rows.rest(), event)
                .ok_or_else(|| corrupt(format!("compressed rows of {name} at {at} cannot be unpacked")))?;
            rows = Reader::new(event);
        }
        // before the rows are written anew, which goes on until their bytes are read
        let bare = op == Op::Insert && after.columns == 0;
        if bare && !rows.is_empty() {
            return Err(damaged());
        }
        if plan.compressed || partial_json {
            let written = match op {
                _ if partial_json => unpack::partial_json(rows, before, after, plain),
                Op::Insert => unpack::columns(rows, &[after], inflater, plain),
                Op::Update => unpack::columns(rows, &[before, after], inflater, plain),
                Op::Delete => unpack::columns(rows, &[before], inflater, plain),
            };
            written.map_err(|fault| refused(fault, plan, at))?;
            rows = Reader::new(plain);
            if !partial_json && op != Op::Insert {
                before.plans = &plan.unpacked;
            }
            if op != Op::Delete {
                after.plans = &plan.unpacked;
            }
        }
        let foreign_key_checks = head.flags & NO_FOREIGN_KEY_CHECKS == 0;
        Ok(Self { table, op, foreign_key_checks, plan, at, rows, before, after, bare })
    }

    /// Fills `images` with the next row; false after the last one. No allocation once the buffers have grown.
    ///
    /// # Errors
    /// `Corrupt` when the bytes end inside a row or hold what no server writes; names table, column and position.
    pub fn next_row(&mut self, images: &mut RowImages<'a>) -> Result<bool> {
        if self.rows.is_empty() && !std::mem::take(&mut self.bare) {
            images.before.clear();
            images.after.clear();
            return Ok(false);
        }
        match self.op {
            Op::Insert => images.before.clear(),
            _ => self.image(self.before, &mut images.before)?,
        }
        match self.op {
            Op::Delete => images.after.clear(),
            _ => self.image(self.after, &mut images.after)?,
        }
        Ok(true)
    }

    /// Whether the rows lack columns, which are [`ValueRef::Absent`] then.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.before.is_partial() || self.after.is_partial()
    }

    /// Where the rows' event starts.
    #[must_use]
    pub fn at(&self) -> &'a BinlogOffset {
        self.at
    }

    /// Bytes of rows not read yet.
    #[must_use]
    pub fn remaining_bytes(&self) -> usize {
        self.rows.rest().len()
    }

    fn image(&mut self, image: Image<'a>, values: &mut Vec<ValueRef<'a>>) -> Result<()> {
        let Some(nulls) = self.rows.bytes(image.columns.div_ceil(8)) else { return Err(self.damaged(None)) };
        // values are written where they stay: most of them are much smaller than the largest
        values.resize(image.plans.len(), ValueRef::Absent);
        if image.is_partial() {
            return self.partial_image(image, nulls, values);
        }
        for (i, (column, value)) in image.plans.iter().zip(values).enumerate() {
            if bit(nulls, i) {
                *value = ValueRef::Null;
            } else if read_value(&mut self.rows, *column, value).is_none() {
                return Err(self.damaged(Some(i)));
            }
        }
        Ok(())
    }

    fn partial_image(&mut self, image: Image<'a>, nulls: &'a [u8], values: &mut [ValueRef<'a>]) -> Result<()> {
        let mut carried = 0;
        for (i, (column, value)) in image.plans.iter().zip(values).enumerate() {
            if !bit(image.present, i) {
                *value = ValueRef::Absent;
                continue;
            }
            let null = bit(nulls, carried);
            carried += 1;
            if null {
                *value = ValueRef::Null;
            } else if read_value(&mut self.rows, *column, value).is_none() {
                return Err(self.damaged(Some(i)));
            }
        }
        Ok(())
    }

    #[cold]
    fn damaged(&self, column: Option<usize>) -> Error {
        refused(column.map_or(Fault::Row, Fault::Value), self.plan, self.at)
    }
}

/// What is wrong with a row, in which table and where.
#[cold]
fn refused(fault: Fault, plan: &TablePlan, at: &BinlogOffset) -> Error {
    let schema = &plan.schema;
    let column = |i: usize| schema.columns.get(i).map_or("", |column| &column.name);
    let what = match fault {
        Fault::Value(i) => format!("the value of column {}", column(i)),
        Fault::Row => "the null bitmap".to_owned(),
        Fault::NoDocument(i) => {
            return Error::new(
                ErrorKind::UnsupportedEvent,
                format!("partial JSON update of {}.{} at {} lacks the document before", schema.name, column(i), at),
            )
            .detail("the source writes partial JSON updates and partial row images (MINIMAL or NOBLOB)")
            .with_hint(format!(
                "SET GLOBAL binlog_row_value_options=''; reconnect the writers{}",
                super::refusals::COPY_ANEW
            ));
        }
    };
    corrupt(format!("{what} in a row of {} is cut off or malformed, in the event at {at}", schema.name))
}

#[inline]
pub(super) fn bit(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// Reads one value that is not NULL. None when the bytes end or are no such value; then `value` means nothing.
#[inline]
pub(super) fn read_value<'a>(rows: &mut Reader<'a>, column: ColumnPlan, value: &mut ValueRef<'a>) -> Option<()> {
    *value = match column {
        ColumnPlan::Int(4) => ValueRef::Int(i64::from(rows.u32()? as i32)),
        ColumnPlan::Int(8) => ValueRef::Int(rows.u64()? as i64),
        ColumnPlan::Int(bytes) => {
            let unused = 64_u32.checked_sub(8 * u32::from(bytes)).filter(|unused| *unused < 64)?;
            ValueRef::Int(((rows.uint(usize::from(bytes))? << unused) as i64) >> unused)
        }
        ColumnPlan::UInt(bytes) => ValueRef::UInt(rows.uint(usize::from(bytes))?),
        ColumnPlan::Bytes(prefix) => {
            let len = rows.uint(usize::from(prefix))?;
            ValueRef::Bytes(rows.bytes(usize::try_from(len).ok()?)?)
        }
        ColumnPlan::Json(prefix) => {
            let len = rows.uint(usize::from(prefix))?;
            match rows.bytes(usize::try_from(len).ok()?)? {
                [] => ValueRef::Null,
                binary => ValueRef::JsonBinary(binary),
            }
        }
        ColumnPlan::Decimal { precision, scale } => ValueRef::Decimal(decimal::read(rows, precision, scale)?),
        ColumnPlan::Float => ValueRef::Float(f32::from_le_bytes(rows.array()?)),
        ColumnPlan::Double => ValueRef::Double(f64::from_le_bytes(rows.array()?)),
        ColumnPlan::Year => ValueRef::UInt(match rows.u8()? {
            0 => 0,
            years => 1900 + u64::from(years),
        }),
        ColumnPlan::Bit(bytes) => ValueRef::Bit(rows.uint_be(usize::from(bytes))?),
        ColumnPlan::Date => ValueRef::Date(temporal::date(rows)?),
        ColumnPlan::Time1 => ValueRef::Time(temporal::time1(rows)?),
        ColumnPlan::Time2(fsp) => ValueRef::Time(temporal::time2(rows, fsp)?),
        ColumnPlan::DateTime1 => ValueRef::DateTime(temporal::datetime1(rows)?),
        ColumnPlan::DateTime2(fsp) => ValueRef::DateTime(temporal::datetime2(rows, fsp)?),
        ColumnPlan::Timestamp1 => temporal::timestamp1(rows)?,
        ColumnPlan::Timestamp2(fsp) => temporal::timestamp2(rows, fsp)?,
        ColumnPlan::Enum(bytes) => ValueRef::Enum(rows.uint(usize::from(bytes))? as u16),
        ColumnPlan::Set(bytes) => ValueRef::Set(rows.uint(usize::from(bytes))?),
        ColumnPlan::JsonText => match rows.uint(4)? {
            0 => ValueRef::Null,
            len => ValueRef::Bytes(rows.bytes(usize::try_from(len).ok()?)?),
        },
        ColumnPlan::Compressed(_) => return None,
    };
    Some(())
}
