//! The typed change stream for those who want to see it: from a server, from its binlog files, or from a recording.
//!
//! Enters: where to read ([`Changes::from_server`], [`Changes::from_files`], [`Changes::from_recording`]). Leaves: a header
//! with the tables, then [`Event`]s in the source's order, the same whichever way they came: boundaries of transactions,
//! and rows whose values are borrowed from the bytes they arrived in. Nothing is buffered but the event in hand; nothing is
//! allocated per row. No target is needed.
//!
//! Rows are told as they come, before it is known how their transaction ends: those of a transaction that ends in
//! `Rollback`, or does not end, never were.
//!
//! Invariant: **rows are told with the schema they were written under, or not at all.** The tables come from the catalogue as
//! it is now; so the stream stops behind a DDL statement on one of them that is newer than the catalogue's reading, and at an
//! older one if rows of the table came before it ([`guard`]). Beside that every TABLE_MAP must agree with the schema.
//!
//! ```no_run
//! use sirenia::change::{Boundary, RowImages};
//! use sirenia::mapping::Mapping;
//! use sirenia::source::connect::SourceConfig;
//! use sirenia::stream::{Changes, Event, Place};
//!
//! # async fn example() -> sirenia::error::Result<()> {
//! let source = SourceConfig::from_url("mysql://repl:password@db:3306/lab")?;
//! let mapping = Mapping { databases: [("lab".to_owned(), "public".to_owned())].into(), ..Mapping::default() };
//! let mut changes = Changes::from_server(&source, &mapping, &Place::Now, None).await?;
//! let names: Vec<String> = changes.header().tables.iter().map(|table| table.name.to_string()).collect();
//! while let Some(event) = changes.next().await? {
//!     match event {
//!         Event::Rows(mut rows) => {
//!             let mut images = RowImages::default();
//!             while rows.next_row(&mut images)? {
//!                 println!("{:?} in {}: {:?}", rows.head().op, names[rows.head().table], images.after);
//!             }
//!         }
//!         Event::Boundary(Boundary::Commit { position, .. }) => println!("committed, up to {position}"),
//!         Event::Boundary(_) | Event::Quiet => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod files;
mod guard;
pub mod lines;
mod place;
mod server;

pub use place::Place;

use crate::binlog::{Decoded, Decoder, RowsChange};
use crate::change::{Boundary, ChangeHead, RowImages, StreamHeader};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;
use crate::position::Position;
use crate::source::transport::{BinlogTransport, RawEvent};
use crate::spool::{self, Recorded, RecordedRows};
use crate::value::ValueRef;
use files::BinlogFiles;
use guard::Guard;
use place::Until;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One thing of the stream.
#[derive(Debug)]
pub enum Event<'a> {
    /// The source has logged something that says nothing of the tables; the stream has moved on.
    Quiet,
    /// Everything but rows.
    Boundary(Boundary),
    /// Rows of one table.
    Rows(Rows<'a>),
}

/// Rows of one event, or a part of them.
#[derive(Debug)]
pub struct Rows<'a> {
    head: ChangeHead,
    rows: Lent<'a>,
    /// Columns that are not to be shown.
    hidden: &'a [usize],
}

#[derive(Debug)]
enum Lent<'a> {
    Logged(RowsChange<'a>),
    Recorded(RecordedRows<'a>),
}

impl<'a> Rows<'a> {
    /// What they have in common.
    #[must_use]
    pub fn head(&self) -> ChangeHead {
        self.head
    }

    /// Fills `images` with the next row; false after the last one. No allocation once the buffers have grown. Columns that the
    /// settings exclude, and those that a partial image leaves out, are [`ValueRef::Absent`].
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not what they should be.
    pub fn next_row(&mut self, images: &mut RowImages<'a>) -> Result<bool> {
        let more = match &mut self.rows {
            Lent::Logged(rows) => rows.next_row(images)?,
            Lent::Recorded(rows) => rows.next_row(images)?,
        };
        for column in self.hidden {
            for image in [&mut images.before, &mut images.after] {
                if let Some(value) = image.get_mut(*column) {
                    *value = ValueRef::Absent;
                }
            }
        }
        Ok(more)
    }
}

/// What takes a stream event by event: lines of JSON ([`lines::Lines`]), a recording ([`spool::Writer`]).
pub trait Sink {
    /// Everything but rows.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    fn boundary(&mut self, boundary: &Boundary) -> Result<()>;

    /// One row.
    ///
    /// # Errors
    /// `Io`; `Corrupt` for values that their column cannot have.
    fn row(&mut self, head: ChangeHead, images: &RowImages<'_>) -> Result<()>;

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// `Io`.
    fn flush(&mut self) -> Result<()>;
}

impl<W: Write> Sink for spool::Writer<W> {
    fn boundary(&mut self, boundary: &Boundary) -> Result<()> {
        self.boundary(boundary.clone())
    }

    fn row(&mut self, head: ChangeHead, images: &RowImages<'_>) -> Result<()> {
        self.row(head, images)
    }

    fn flush(&mut self) -> Result<()> {
        self.flush()
    }
}

/// The stream.
pub struct Changes {
    header: StreamHeader,
    input: Input,
    /// Per table the columns that are not to be shown.
    hidden: Vec<Vec<usize>>,
    guard: Guard,
    until: Option<Until>,
    /// What ends the stream behind the event that was told last.
    stop: Option<Error>,
    open: bool,
}

enum Input {
    Server { transport: Box<BinlogTransport>, event: Option<RawEvent>, decoder: Box<Decoder> },
    Files { files: Box<BinlogFiles>, decoder: Box<Decoder> },
    Recording { reader: Box<spool::Reader<BufReader<File>>>, position: Position },
}

impl Changes {
    /// Reads from binlog files on disk, in the order given. The tables are those of `schema`, a header of another stream; what
    /// `mapping` does not include is passed over.
    ///
    /// # Errors
    /// `Io`, `Corrupt`; `Config` when nothing would be told; `SourceIdentity` when the files are another server family's.
    pub fn from_files(
        files: Vec<PathBuf>,
        schema: StreamHeader,
        mapping: &Mapping,
        until: Option<&Place>,
    ) -> Result<Self> {
        let files = BinlogFiles::open(files, schema.flavor)?;
        let (from, server) = (Position { binlog: files.start(), gtid: None }, files.server().to_owned());
        let mut header = StreamHeader { from, server, ..schema };
        header.tables.retain(|table| mapping.includes(&table.name));
        let until = until.map(|until| until.in_log(header.flavor, &header.from)).transpose()?;
        let decoder = Box::new(decoder(&header));
        Self::new(header, Input::Files { files: Box::new(files), decoder }, mapping, until)
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn from_recording(path: &Path) -> Result<Self> {
        let reader = open_recording(path)?;
        let header = StreamHeader { schema_at: None, ..reader.header().clone() };
        let position = header.from.clone();
        let input = Input::Recording { reader: Box::new(reader), position };
        let tables = header.tables.len();
        let guard = Guard::new(None, tables);
        Ok(Self { header, input, hidden: vec![Vec::new(); tables], guard, until: None, stop: None, open: false })
    }

    fn new(header: StreamHeader, input: Input, mapping: &Mapping, until: Option<Until>) -> Result<Self> {
        if header.tables.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no table of the source would be told of")
                .detail(format!("databases {:?}", mapping.databases.keys().collect::<Vec<_>>()))
                .with_hint("check --tables, [tables] include and exclude, and the account's SELECT privilege"));
        }
        let hidden = header.tables.iter().map(|table| {
            let excluded = |name: &str| mapping.hides(&table.name, name);
            table.columns.iter().enumerate().filter(|(_, column)| excluded(&column.name)).map(|(at, _)| at).collect()
        });
        let hidden = hidden.collect();
        let guard = Guard::new(header.schema_at.clone(), header.tables.len());
        Ok(Self { header, input, hidden, guard, until, stop: None, open: false })
    }

    /// Whose stream it is, where it starts, and the tables that rows refer to.
    #[must_use]
    pub fn header(&self) -> &StreamHeader {
        &self.header
    }

    /// Up to where everything has been told.
    #[must_use]
    pub fn position(&self) -> Position {
        match &self.input {
            Input::Server { decoder, .. } | Input::Files { decoder, .. } => decoder.position(),
            Input::Recording { position, .. } => position.clone(),
        }
    }

    /// Whether a transaction has begun and has not ended.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.open
    }

    /// The next event; none at the stream's end: the end of files or of a recording, or the place asked for. A server's
    /// stream ends only there.
    ///
    /// # Errors
    /// What the source, the files or the recording cannot give, each with its place. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<Event<'_>>> {
        if self.advance().await? { self.event().map(Some) } else { Ok(None) }
    }

    /// Goes to the next event; false at the stream's end. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Changes::next`].
    pub async fn advance(&mut self) -> Result<bool> {
        if let Some(stop) = self.stop.take() {
            return Err(stop);
        }
        if !self.open && self.until.as_ref().is_some_and(|until| until.is_reached(&self.position())) {
            return Ok(false);
        }
        match &mut self.input {
            // the events of a compressed transaction come one by one
            Input::Server { decoder, .. } | Input::Files { decoder, .. } if decoder.is_inside() => Ok(true),
            Input::Server { transport, event, .. } => {
                *event = Some(transport.next().await?);
                Ok(true)
            }
            Input::Files { files, .. } => files.advance(),
            Input::Recording { reader, .. } => reader.advance(),
        }
    }

    /// The event that [`Changes::advance`] went to. Call it once for each.
    ///
    /// # Errors
    /// As [`Changes::next`].
    pub fn event(&mut self) -> Result<Event<'_>> {
        let Self { header, input, hidden, guard, stop, open, .. } = self;
        let (decoded, position) = match input {
            Input::Server { event: Some(event), decoder, .. } => logged(decoder, event.frame()?)?,
            Input::Server { event: None, .. } => return Ok(Event::Quiet),
            Input::Files { files, decoder } => logged(decoder, files.frame()?)?,
            Input::Recording { reader, position } => match reader.current()? {
                Recorded::Boundary(boundary) => (Decoding::Boundary(boundary), Some(position)),
                Recorded::Rows(rows) => (Decoding::Rows(rows.head(), Lent::Recorded(rows)), None),
            },
        };
        Ok(match decoded {
            Decoding::Nothing => Event::Quiet,
            Decoding::Rows(head, rows) => {
                guard.rows(head.table);
                Event::Rows(Rows { head, rows, hidden: hidden.get(head.table).map_or(&[], Vec::as_slice) })
            }
            Decoding::Boundary(boundary) => {
                match &boundary {
                    Boundary::Begin { .. } => *open = true,
                    Boundary::Commit { .. } | Boundary::Rollback => *open = false,
                    Boundary::Ddl(statement) => *stop = guard.ddl(statement, &header.tables),
                    _ => {}
                }
                if let (
                    Some(position),
                    Boundary::Commit { position: now, .. } | Boundary::Heartbeat { position: now },
                ) = (position, &boundary)
                {
                    position.clone_from(now);
                }
                Event::Boundary(boundary)
            }
        })
    }
}

/// An event, wherever it comes from.
enum Decoding<'a> {
    Nothing,
    Boundary(Boundary),
    Rows(ChangeHead, Lent<'a>),
}

fn logged<'a>(
    decoder: &'a mut Decoder,
    frame: crate::binlog::Frame<'a>,
) -> Result<(Decoding<'a>, Option<&'a mut Position>)> {
    let decoded = match decoder.is_inside() {
        true => decoder.decode_inner(frame),
        false => decoder.decode(frame).map(Some),
    };
    let decoding = match decoded.map_err(guard::for_readers)? {
        None | Some(Decoded::Nothing) => Decoding::Nothing,
        Some(Decoded::Boundary(boundary)) => Decoding::Boundary(boundary.into_owned()),
        Some(Decoded::Rows(rows)) => {
            let (table, op, foreign_key_checks) = (rows.table, rows.op, rows.foreign_key_checks);
            let head = ChangeHead { table, op, foreign_key_checks, at: rows.at().offset };
            Decoding::Rows(head, Lent::Logged(rows))
        }
    };
    Ok((decoding, None))
}

fn decoder(header: &StreamHeader) -> Decoder {
    let tables = header.tables.iter().cloned().map(Arc::new).collect();
    Decoder::new(header.flavor, header.from.clone(), tables)
}

/// Opens a recording and reads its header.
///
/// # Errors
/// `Io`, `Corrupt`.
pub fn open_recording(path: &Path) -> Result<spool::Reader<BufReader<File>>> {
    let file = File::open(path)
        .map_err(|error| Error::new(ErrorKind::Io, format!("{} cannot be read", path.display())).with_source(error))?;
    spool::Reader::new(BufReader::with_capacity(256 << 10, file), path.display().to_string())
}
