//! A decoder under watch: everything that comes out of it is read to its end and checked.

use super::json;
use super::wire;
use sirenia::binlog::{Decoded, Decoder, Frame, RowsChange, affects};
use sirenia::change::{Boundary, Op, RowImages};
use sirenia::error::{ErrorKind, Result};
use sirenia::position::{BinlogOffset, GtidSet, Position};
use sirenia::schema::{Flavor, SourceType, TableSchema};
use sirenia::value::{Date, DateTime, Decimal, Time, ValueRef};
use std::sync::Arc;

const ROTATE: u8 = 4;
/// What zlib and zstd can make of one byte, generously: only then may more come out than went in.
const UNPACKED: usize = 40_000;

pub struct Watch<'t> {
    decoder: Decoder,
    tables: &'t [Arc<TableSchema>],
    /// Where the open transaction started.
    begun: Option<BinlogOffset>,
}

/// A value of one column is looked at here.
pub type See<'s> = &'s mut dyn FnMut(&SourceType, &ValueRef<'_>);

impl<'t> Watch<'t> {
    pub fn new(flavor: Flavor, gtid: bool, tables: &'t [Arc<TableSchema>]) -> Self {
        let set = || match flavor {
            Flavor::MySql => "8fc9e816-e5ac-11f1-bcb5-02fc00000001:1".parse().map(GtidSet::MySql),
            Flavor::MariaDb => "0-7-1".parse().map(GtidSet::MariaDb),
        };
        let gtid = gtid.then(|| set().expect("a GTID set"));
        let start = Position { binlog: BinlogOffset::new("bin.000002", 4), gtid };
        Self { decoder: Decoder::new(flavor, start, tables.to_vec()), tables, begun: None }
    }

    /// Hands over the events, which must be taken.
    pub fn prepare(&mut self, events: &[Vec<u8>]) {
        for event in events {
            self.take(wire::frame(event), &mut |_, _| {}).expect("an event that is sound");
        }
    }

    /// Decodes one event to its end: how many rows there were.
    pub fn take(&mut self, frame: Frame<'_>, see: See<'_>) -> Result<usize> {
        let before = self.decoder.position();
        let taken = self.decode(frame, see);
        let position = self.decoder.position();
        if frame.header.event_type != ROTATE && position.binlog.file == before.binlog.file {
            let [position, before] = [&position, &before].map(|at| at.binlog.offset);
            assert!(position >= before, "the position runs back from {before} to {position}");
        }
        taken.inspect_err(|error| {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Corrupt
                        | ErrorKind::SchemaMismatch
                        | ErrorKind::UnsupportedEvent
                        | ErrorKind::PreparedXa
                ),
                "{}",
                error.report()
            );
        })
    }

    fn decode(&mut self, frame: Frame<'_>, see: See<'_>) -> Result<usize> {
        let most = frame.body.len();
        let mut rows = 0;
        match self.decoder.decode(frame)? {
            Decoded::Nothing => {}
            Decoded::Boundary(boundary) => {
                let boundary = boundary.into_owned();
                self.boundary(&boundary);
            }
            Decoded::Rows(change) => rows += read(change, self.tables, most, see)?,
        }
        // a compressed transaction: its boundaries are handled when the decoder is free again
        loop {
            let boundary = match self.decoder.decode_inner(frame)? {
                None => break,
                Some(Decoded::Nothing) => continue,
                Some(Decoded::Boundary(boundary)) => boundary.into_owned(),
                Some(Decoded::Rows(change)) => {
                    rows += read(change, self.tables, most * UNPACKED, see)?;
                    continue;
                }
            };
            self.boundary(&boundary);
        }
        Ok(rows)
    }

    fn boundary(&mut self, boundary: &Boundary) {
        match boundary {
            Boundary::Begin { start, .. } => self.begun = Some(start.clone()),
            Boundary::Commit { position, .. } => {
                assert_eq!(position, &self.decoder.position(), "a commit is told with its position");
                let start = self.begun.take().expect("a transaction that began");
                if start.file == position.binlog.file {
                    assert!(start.offset <= position.binlog.offset, "{start} begins what {position} ends");
                }
            }
            Boundary::Rollback => assert!(self.begun.take().is_some(), "only what began is rolled back"),
            Boundary::Savepoint(_) | Boundary::RollbackTo(_) => assert!(self.begun.is_some()),
            Boundary::Ddl(ddl) => drop(affects(&ddl.sql, &ddl.database)),
            Boundary::Heartbeat { position } => assert_eq!(position, &self.decoder.position()),
        }
        assert_eq!(self.begun.is_some(), self.decoder.in_transaction());
        // positions are kept as JSON in the target, and a restart reads them
        let kept = serde_json::to_string(boundary).expect("JSON");
        let again: Boundary = serde_json::from_str(&kept).unwrap_or_else(|error| panic!("{error}: {kept}"));
        assert_eq!(&again, boundary);
    }
}

/// Reads all rows. `most`: how many bytes their values may have.
fn read(mut change: RowsChange<'_>, tables: &[Arc<TableSchema>], most: usize, see: See<'_>) -> Result<usize> {
    let table: &TableSchema = &tables[change.table];
    let (op, partial, bytes) = (change.op, change.is_partial(), change.remaining_bytes());
    let mut images = RowImages::default();
    let (mut rows, mut lent) = (0, 0);
    while change.next_row(&mut images)? {
        rows += 1;
        assert!(rows <= bytes.max(1), "{rows} rows in {bytes} bytes");
        let width = |there| if there { table.columns.len() } else { 0 };
        assert_eq!(images.before.len(), width(op != Op::Insert));
        assert_eq!(images.after.len(), width(op != Op::Delete));
        for (value, column) in images.before.iter().chain(&images.after).zip(table.columns.iter().cycle()) {
            assert!(partial || *value != ValueRef::Absent, "a column is absent from a whole image");
            lent += check(value, &column.ty);
            see(&column.ty, value);
        }
    }
    assert!(lent <= bytes, "{lent} bytes of values from {bytes} bytes of rows");
    // compressed columns and JSON as text are longer than what stood in the event
    assert!(bytes <= (most + 64) * UNPACKED, "{bytes} bytes of rows from an event of {most}");
    Ok(rows)
}

/// Whether a column of that type can hold the value; gives the bytes that it borrows.
fn check(value: &ValueRef<'_>, ty: &SourceType) -> usize {
    use SourceType as T;
    use ValueRef as V;
    let fits = match (value, ty) {
        (V::Absent | V::Null, _) => true,
        (V::Int(n), T::Int { bytes, unsigned: false, .. }) => {
            let unused = 64 - 8 * u32::from(*bytes);
            n << unused >> unused == *n
        }
        (V::UInt(n), T::Int { bytes, unsigned: true, .. }) => *bytes == 8 || n >> (8 * bytes) == 0,
        (V::UInt(year), T::Year) => *year == 0 || (1901..=2155).contains(year),
        (V::Float(_), T::Float) | (V::Double(_), T::Double) => true,
        (V::Decimal(decimal), T::Decimal { precision, scale, .. }) => is_canonical(decimal, *precision, *scale),
        (V::Bit(_), T::Bit { .. }) | (V::Enum(_), T::Enum { .. }) | (V::Set(_), T::Set { .. }) => true,
        (V::Date(date), T::Date) => is_date(*date),
        (V::Time(Time { hours, minutes, seconds, micros, .. }), T::Time { .. }) => {
            *hours <= 838 && *minutes <= 59 && *seconds <= 59 && *micros <= 999_999
        }
        (V::DateTime(DateTime { date, hour, minute, second, micros }), T::DateTime { .. }) => {
            is_date(*date) && *hour <= 23 && *minute <= 59 && *second <= 59 && *micros <= 999_999
        }
        (V::Timestamp { seconds, micros }, T::Timestamp { .. }) => *seconds >= 0 && *micros <= 999_999,
        (V::JsonBinary(document), T::Json { text: false }) => {
            json::check(document);
            return document.len();
        }
        // what a partial update has made of a document is text already
        (V::Bytes(text), T::Json { text: false }) => {
            json::check_text(text);
            return text.len();
        }
        (
            V::Bytes(bytes),
            T::Char { .. }
            | T::VarChar { .. }
            | T::Text { .. }
            | T::Binary { .. }
            | T::VarBinary { .. }
            | T::Blob { .. }
            | T::Json { text: true }
            | T::Geometry
            | T::Vector
            | T::Uuid
            | T::Inet4
            | T::Inet6,
        ) => return bytes.len(),
        _ => false,
    };
    assert!(fits, "{value:?} as {ty:?}");
    0
}

fn is_date(Date { year, month, day }: Date) -> bool {
    year <= 9999 && month <= 12 && day <= 31
}

/// As the server prints it: no leading zeros, all digits of the scale, no negative zero.
pub fn is_canonical(decimal: &Decimal, precision: u8, scale: u8) -> bool {
    let text = decimal.as_str();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    fraction.len() == usize::from(scale)
        && digits.contains('.') == (scale > 0)
        && (whole == "0" || !whole.starts_with('0') && whole.len() <= usize::from(precision - scale))
        && !(zero && text.starts_with('-'))
}
