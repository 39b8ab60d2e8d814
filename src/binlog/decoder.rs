//! The decoder's state: which group is open, which table ids mean what, and how far we are.
//!
//! A group is what the source commits at once. MySQL writes it as `GTID, BEGIN, (TABLE_MAP, ROWS)*, XID`, MariaDB lets the
//! GTID event stand for BEGIN; either may end in a Query `COMMIT` (engines without transactions), in `ROLLBACK` or in
//! XA_PREPARE. A statement that is a group of its own (DDL and the like) follows its GTID directly. The state below
//! walks through that: [`Group::Outside`] → [`Group::Announced`] by a GTID → [`Group::Open`] → outside again.
//!
//! A group that the source cut short (its crash, or a reconnect) is followed by a format description or by the next
//! group's GTID or BEGIN. Then the caller gets `Rollback`, except where a `Begin` comes at once: **a `Begin` while a group
//! is open means that the open one was rolled back.** The name of a group is added to the executed set only at its end.

use super::boundary::{Begin, BoundaryRef};
use super::event::{self, EventHeader, Frame, types};
use super::gtid::{self, Gtid};
use super::plan::TablePlan;
use super::query::{self, Statement};
use super::rows::{RowsChange, RowsHead, RowsKind};
use super::table_map::{TableMapHead, name_key};
use super::tracker::Tracker;
use super::unpack::Buffers;
use crate::change::{Boundary, DdlStatement};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::schema::{Flavor, TableSchema};
use hashbrown::HashMap;
use std::sync::Arc;

/// What an event means to the pipeline.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// Nothing.
    Nothing,
    /// Everything but rows.
    Boundary(BoundaryRef<'a>),
    /// Changed rows of a replicated table.
    Rows(RowsChange<'a>),
}

/// What an event without rows means. What it would have to copy of the decoder's state is lent at the end.
#[derive(Debug)]
enum Told {
    Nothing,
    /// The group at `start` begins.
    Begin,
    /// The group has committed, at that time.
    Commit(u32),
    Other(Boundary),
}

/// Where in a group the next event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Outside,
    /// The GTID was read, nothing else. Holds where it starts.
    Announced(u64),
    /// Rows may come.
    Open,
}

/// Turns one event after the other into the change stream; those of a compressed transaction come by [`EventDecoder::inner`].
#[derive(Debug)]
pub(super) struct EventDecoder {
    flavor: Flavor,
    pub(super) tables: Vec<Arc<TableSchema>>,
    /// [`name_key`] → index of the table.
    names: HashMap<Vec<u8>, usize>,
    /// For each table: transactions that start before are none of its business, and may show it in another shape.
    copied_at: Vec<Option<BinlogOffset>>,
    /// For each table the last TABLE_MAP definition and what was made of it.
    plans: Vec<Option<(Vec<u8>, TablePlan)>>,
    /// The table ids of the current statement; none for a table that is not replicated.
    ids: HashMap<u64, Option<usize>>,
    tracker: Tracker,
    group: Group,
    /// Where the group that is announced or open starts: none of its events can lie before.
    start: u64,
    /// The same with its file, as of the last begin.
    begun: BinlogOffset,
    gtid: Option<Gtid>,
    /// Whether the executed set holds the announced group already: a stream that starts by offset sends it again.
    repeated: bool,
    /// Whether the open group has changed a replicated table.
    changed: bool,
    fingerprint: Option<(String, u32, u32)>,
    /// Whether the event stands inside a compressed transaction, and so at no place of its own.
    in_payload: bool,
    buffers: Buffers,
}

impl EventDecoder {
    pub fn new(flavor: Flavor, start: Position, tables: Vec<Arc<TableSchema>>) -> Self {
        let key =
            |(i, table): (usize, &Arc<TableSchema>)| Some((name_key(&table.name.database, &table.name.table)?, i));
        Self {
            flavor,
            names: tables.iter().enumerate().filter_map(key).collect(),
            copied_at: vec![None; tables.len()],
            plans: tables.iter().map(|_| None).collect(),
            tables,
            ids: HashMap::new(),
            begun: start.binlog.clone(),
            tracker: Tracker::new(start),
            group: Group::Outside,
            start: 0,
            gtid: None,
            repeated: false,
            changed: false,
            fingerprint: None,
            in_payload: false,
            buffers: Buffers::default(),
        }
    }

    /// Passes over the rows of a table from now on, as if it were not ours.
    pub fn leave_out(&mut self, table: usize) {
        self.names.retain(|_, known| *known != table);
    }

    /// The table was copied at that position: an earlier transaction may show it as it was before a DDL statement.
    pub fn copied_at(&mut self, table: usize, position: BinlogOffset) {
        if let Some(known) = self.copied_at.get_mut(table) {
            *known = Some(position);
        }
    }

    pub fn position(&self) -> Position {
        self.tracker.position().clone()
    }

    pub fn position_ref(&self) -> &Position {
        self.tracker.position()
    }

    pub fn in_transaction(&self) -> bool {
        self.group == Group::Open
    }

    pub fn file_fingerprint(&self) -> Option<(&str, u32, u32)> {
        self.fingerprint.as_ref().map(|(file, created, server)| (file.as_str(), *created, *server))
    }

    /// A compressed transaction begins; its events follow by [`EventDecoder::inner`].
    pub fn enter_payload(&mut self, header: &EventHeader) -> Result<()> {
        self.tracker.enter(header, true);
        self.follows()?;
        if self.flavor != Flavor::MySql || self.in_transaction() {
            return Err(self.damaged("order of events: a compressed transaction inside another"));
        }
        self.in_payload = true;
        Ok(())
    }

    /// An event inside a compressed transaction.
    pub fn inner<'a>(&'a mut self, frame: Frame<'a>) -> Result<Decoded<'a>> {
        let starts = frame.header.event_type == types::QUERY;
        let belongs = match frame.header.event_type {
            types::QUERY
            | types::XID
            | types::TABLE_MAP
            | types::WRITE_ROWS_V1..=types::DELETE_ROWS_V1
            | types::WRITE_ROWS..=types::DELETE_ROWS
            | types::PARTIAL_UPDATE_ROWS
            | types::ROWS_QUERY
            | types::IGNORABLE
            | types::INTVAR
            | types::RAND
            | types::USER_VAR
            | types::XA_PREPARE => true,
            _ => frame.header.is_ignorable(),
        };
        if !belongs || !(self.in_transaction() || starts && self.in_payload) {
            return Err(self.damaged("compressed transaction (it has events that do not belong there)"));
        }
        self.decode(frame)
    }

    /// The compressed transaction ends, and the group must have ended in it.
    pub fn leave_payload(&mut self) -> Result<()> {
        if std::mem::take(&mut self.in_payload) {
            return Err(self.damaged("compressed transaction (it does not end in a commit)"));
        }
        Ok(())
    }

    pub fn decode<'a>(&'a mut self, frame: Frame<'a>) -> Result<Decoded<'a>> {
        let header = frame.header;
        let of_group = !matches!(
            header.event_type,
            types::ROTATE | types::FORMAT_DESCRIPTION | types::HEARTBEAT | types::HEARTBEAT_V2
        );
        if of_group && !self.in_payload {
            self.tracker.enter(&header, self.group != Group::Outside);
            self.follows()?;
        }
        let told = match header.event_type {
            types::WRITE_ROWS..=types::DELETE_ROWS | types::WRITE_ROWS_V1..=types::DELETE_ROWS_V1 => {
                return self.rows(&frame);
            }
            types::PARTIAL_UPDATE_ROWS if self.flavor == Flavor::MySql => return self.rows(&frame),
            types::WRITE_ROWS_COMPRESSED..=types::DELETE_ROWS_COMPRESSED_V2 if self.flavor == Flavor::MariaDb => {
                return self.rows(&frame);
            }
            _ => self.told(&frame)?,
        };
        Ok(match told {
            Told::Nothing => Decoded::Nothing,
            Told::Begin => {
                Decoded::Boundary(BoundaryRef::Begin(Begin { start: &self.begun, gtid: self.gtid.as_ref() }))
            }
            Told::Commit(committed_at) => {
                Decoded::Boundary(BoundaryRef::Commit { position: self.tracker.position(), committed_at })
            }
            Told::Other(boundary) => Decoded::Boundary(BoundaryRef::Other(boundary)),
        })
    }

    /// Every event but rows.
    fn told(&mut self, frame: &Frame<'_>) -> Result<Told> {
        let header = frame.header;
        match header.event_type {
            types::ROTATE => return self.rotate(frame),
            types::FORMAT_DESCRIPTION => return self.format_description(frame),
            types::HEARTBEAT | types::HEARTBEAT_V2 => return self.heartbeat(frame),
            types::TABLE_MAP => self.table_map(frame.body)?,
            types::GTID | types::ANONYMOUS_GTID | types::GTID_TAGGED if self.flavor == Flavor::MySql => {
                let gtid = gtid::mysql(header.event_type, frame.body).ok_or_else(|| self.damaged("GTID event"))?;
                return Ok(self.announce(gtid, false));
            }
            types::MARIADB_GTID if self.flavor == Flavor::MariaDb => {
                let event = gtid::mariadb(frame.body, header.server_id).ok_or_else(|| self.damaged("GTID event"))?;
                return Ok(self.announce(event.gtid, !event.standalone));
            }
            types::QUERY => {
                let query = event::query(frame.body, false).ok_or_else(|| self.damaged("Query event"))?;
                return self.statement(&query, query.sql, header.timestamp);
            }
            types::QUERY_COMPRESSED if self.flavor == Flavor::MariaDb => return self.compressed_query(frame),
            types::XID if self.in_transaction() => return Ok(self.commit(header.timestamp)),
            types::XA_PREPARE => {
                let one_phase = event::xa_prepare(frame.body).ok_or_else(|| self.damaged("XA_PREPARE event"))?;
                return self.prepared(one_phase, header.timestamp);
            }
            types::EXECUTE_LOAD_QUERY => {
                let query = event::query(frame.body, true).ok_or_else(|| self.damaged("LOAD DATA event"))?;
                self.refuse_statement("LOAD", &text(query.database), &text(query.sql))?;
            }
            types::STOP
            | types::XID
            | types::INTVAR
            | types::RAND
            | types::USER_VAR
            | types::BEGIN_LOAD_QUERY
            | types::APPEND_BLOCK
            | types::DELETE_FILE
            | types::IGNORABLE
            | types::ROWS_QUERY
            | types::PREVIOUS_GTIDS
            | types::TRANSACTION_CONTEXT
            | types::VIEW_CHANGE
            | types::ANNOTATE_ROWS
            | types::BINLOG_CHECKPOINT
            | types::GTID_LIST
            | types::START_ENCRYPTION => {}
            _ => self.unsupported(frame)?,
        }
        if self.group == Group::Outside {
            self.tracker.settle();
        }
        Ok(Told::Nothing)
    }

    /// The next file. A real ROTATE ends its file; a made-up one says where the server starts to send.
    fn rotate(&mut self, frame: &Frame<'_>) -> Result<Told> {
        let (file, offset) = event::rotate(frame.body).ok_or_else(|| self.damaged("ROTATE event"))?;
        if frame.header.is_artificial() || frame.header.log_pos == 0 {
            if self.here().file != file {
                self.start = 0; // what is open has been cut, as the new file's description will tell
            }
            self.tracker.switch(file, offset);
            let position = self.tracker.position();
            // with GTIDs the server chooses where to start, perhaps before the position asked for, perhaps on another server
            if self.group == Group::Outside && (position.gtid.is_some() || position.binlog.file != file) {
                self.tracker.restart();
            }
            return Ok(Told::Nothing);
        }
        self.tracker.switch(file, offset);
        Ok(self.cut())
    }

    /// The head of a file. A real one inside a group means that the source crashed and will not finish the group; a
    /// made-up one opens a connection that starts in the middle of a file.
    fn format_description(&mut self, frame: &Frame<'_>) -> Result<Told> {
        const BINLOG_VERSION: u16 = 4;
        let (version, header_bytes) =
            event::format_description(frame.body).ok_or_else(|| self.damaged("format description"))?;
        let file = &self.tracker.here().file;
        if version != BINLOG_VERSION || usize::from(header_bytes) != event::HEADER_BYTES {
            return Err(Error::new(
                ErrorKind::UnsupportedEvent,
                format!("{file} has binlog version {version}, only version 4 is supported"),
            ));
        }
        self.fingerprint = Some((file.clone(), frame.header.timestamp, frame.header.server_id));
        if frame.header.is_artificial() || frame.header.log_pos == 0 {
            return Ok(Told::Nothing);
        }
        self.tracker.enter(&frame.header, false);
        Ok(self.cut())
    }

    /// Ends a group without its GTID, as far as there is one, and makes this the position.
    fn cut(&mut self) -> Told {
        self.gtid = None;
        let open = self.in_transaction();
        self.finish();
        if open { Told::Other(Boundary::Rollback) } else { Told::Nothing }
    }

    fn heartbeat(&mut self, frame: &Frame<'_>) -> Result<Told> {
        let (file, offset) = event::heartbeat(frame.header.event_type, frame.body)
            .ok_or_else(|| corrupt(format!("damaged heartbeat after {}", self.tracker.here())))?;
        if self.group != Group::Outside {
            return Ok(Told::Nothing);
        }
        self.tracker.heard(file, frame.header.log_pos, offset);
        Ok(Told::Other(Boundary::Heartbeat { position: self.position() }))
    }

    /// A GTID event: a new group, in MariaDB already begun.
    fn announce(&mut self, gtid: Gtid, begins: bool) -> Told {
        let cut = self.in_transaction();
        self.start = self.tracker.here().offset;
        self.group = Group::Announced(self.start);
        self.changed = false;
        self.ids.clear();
        // MariaDB's sets say nothing of single transactions, and its streams start just behind theirs
        self.repeated = match (&gtid, &self.tracker.position().gtid) {
            (Gtid::MySql(source, number), Some(GtidSet::MySql(set))) => set.contains(source, *number),
            _ => false,
        };
        self.gtid = Some(gtid);
        if begins {
            self.begin()
        } else if cut {
            Told::Other(Boundary::Rollback)
        } else {
            Told::Nothing
        }
    }

    fn begin(&mut self) -> Told {
        self.begun.clone_from(self.tracker.here());
        match self.group {
            Group::Announced(offset) => self.begun.offset = offset,
            // without a GTID event before it, this group has no name; an open one was cut
            Group::Outside | Group::Open => (self.gtid, self.repeated) = (None, false),
        }
        (self.group, self.start) = (Group::Open, self.begun.offset);
        self.changed = false;
        self.ids.clear();
        Told::Begin
    }

    /// Refuses an event whose header has it lie before its own group: a commit would stand before its begin.
    fn follows(&self) -> Result<()> {
        if self.group != Group::Outside && self.here().offset < self.start {
            return Err(self.damaged("order of events: the transaction starts behind its event"));
        }
        Ok(())
    }

    /// Ends the group, or the statement that is one.
    fn finish(&mut self) {
        self.in_payload = false; // whatever else a compressed transaction holds does not belong there
        self.tracker.finish(self.gtid.take().as_ref());
        self.group = Group::Outside;
        self.ids.clear();
    }

    fn commit(&mut self, committed_at: u32) -> Told {
        self.finish();
        Told::Commit(committed_at)
    }

    /// The end of an XA transaction's rows: committed in one phase, or waiting for XA COMMIT, which comes without rows.
    fn prepared(&mut self, one_phase: bool, timestamp: u32) -> Result<Told> {
        if !self.in_transaction() {
            self.finish();
            return Ok(Told::Nothing);
        }
        if self.changed && !one_phase {
            return Err(Error::new(
                ErrorKind::PreparedXa,
                format!("a prepared XA transaction changes replicated tables, at {}", self.tracker.here()),
            )
            .detail("its rows are in the binlog, but whether they will be committed is not known yet")
            .with_hint(
                "XA RECOVER lists it: commit it or roll it back, and avoid XA on replicated tables; \
                 then copy anew: `sirenia reset --yes` and `sirenia run`",
            ));
        }
        Ok(self.commit(timestamp))
    }

    /// MariaDB packs the text only.
    fn compressed_query(&mut self, frame: &Frame<'_>) -> Result<Told> {
        let query = event::query(frame.body, false).ok_or_else(|| self.damaged("Query event"))?;
        self.buffers.clear();
        let mut sql = std::mem::take(&mut self.buffers.event);
        let unpacked = self.buffers.inflater.record(query.sql, &mut sql);
        unpacked.ok_or_else(|| self.damaged("compressed Query event"))?;
        let decoded = self.statement(&query, &sql, frame.header.timestamp);
        self.buffers.event = sql;
        decoded
    }

    /// What a Query event says; `sql` is its text, unpacked.
    fn statement(&mut self, query: &event::Query<'_>, sql: &[u8], timestamp: u32) -> Result<Told> {
        let (database, sql) = (text(query.database), text(sql));
        let open = self.in_transaction();
        match query::classify(&sql) {
            Statement::Begin | Statement::XaStart => return Ok(self.begin()),
            Statement::Commit | Statement::XaCommit if open => return Ok(self.commit(timestamp)),
            Statement::Rollback | Statement::XaRollback if open => {
                self.finish();
                return Ok(Told::Other(Boundary::Rollback));
            }
            Statement::XaPrepare if open => return self.prepared(false, timestamp),
            Statement::Savepoint(name) if open => return Ok(Told::Other(Boundary::Savepoint(name))),
            Statement::RollbackTo(name) if open => return Ok(Told::Other(Boundary::RollbackTo(name))),
            Statement::Ddl => return Ok(self.ddl(database.into_owned(), sql.into_owned(), query.sql_mode)),
            Statement::Dml(keyword) => self.refuse_statement(keyword, &database, &sql)?,
            // stands in the place of another event, and is no statement
            Statement::Empty if self.group != Group::Outside => return Ok(Told::Nothing),
            _ => {}
        }
        if !open {
            self.finish();
        }
        Ok(Told::Nothing)
    }

    /// A DDL statement. It is a group of its own, except for CREATE TABLE … SELECT, which stands in the group of its rows.
    fn ddl(&mut self, database: String, sql: String, sql_mode: u64) -> Told {
        let mut binlog = self.tracker.here().clone();
        // inside a transaction it is read again with it, from its beginning
        if self.group != Group::Outside {
            binlog.offset = self.start;
        }
        let position = Position { binlog, gtid: self.tracker.position().gtid.clone() };
        if !self.in_transaction() {
            self.finish();
        }
        if self.repeated {
            return Told::Nothing;
        }
        Told::Other(Boundary::Ddl(DdlStatement { database, sql, position, sql_mode }))
    }

    fn table_map(&mut self, body: &[u8]) -> Result<()> {
        let head = TableMapHead::read(body).ok_or_else(|| self.damaged("TABLE_MAP"))?;
        let table = self.names.get(head.name).copied();
        self.ids.insert(head.id, table);
        let Some(table) = table else { return Ok(()) };
        if self.plans[table].as_ref().is_none_or(|(definition, _)| definition != head.definition) {
            let start = BinlogOffset { offset: self.start, ..self.here().clone() };
            let is_copied = self.copied_at[table].as_ref().is_some_and(|at| start < *at);
            match TablePlan::compile(&self.tables[table], &head, self.here()) {
                Ok(plan) => self.plans[table] = Some((head.definition.to_vec(), plan)),
                Err(_) if is_copied => {
                    self.ids.insert(head.id, None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn rows<'a>(&'a mut self, frame: &Frame<'a>) -> Result<Decoded<'a>> {
        let head = RowsHead::read(frame.header.event_type, frame.body).ok_or_else(|| self.damaged("rows event"))?;
        let table = self.table_of(&head)?;
        if head.ends_statement() {
            self.ids.clear();
        }
        let Some(table) = table.filter(|_| !self.repeated) else { return Ok(Decoded::Nothing) };
        if !self.in_transaction() {
            return Err(self.damaged("order of events: rows outside of a transaction, in the event"));
        }
        self.changed = true;
        let Some((_, plan)) = &self.plans[table] else { return Err(self.damaged("rows event without TABLE_MAP")) };
        let kind = RowsKind::of(frame.header.event_type);
        self.buffers.clear();
        RowsChange::new(table, kind, &head, plan, self.tracker.here(), &mut self.buffers).map(Decoded::Rows)
    }

    /// Whose rows these are; none if the table is not replicated.
    pub(super) fn table_of(&self, head: &RowsHead<'_>) -> Result<Option<usize>> {
        /// Ids of events that hold no rows and only end a statement.
        const DUMMIES: [u64; 3] = [0xFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF];
        match self.ids.get(&head.table_id) {
            Some(table) => Ok(*table),
            None if DUMMIES.contains(&head.table_id) => Ok(None),
            None => Err(self.damaged("order of events: no TABLE_MAP before the rows event")),
        }
    }

    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.buffers.event.capacity() + self.buffers.rows.capacity()
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        corrupt(format!("damaged {what} at {}", self.here()))
    }

    pub(super) fn here(&self) -> &BinlogOffset {
        self.tracker.here()
    }
}

/// A statement's text: UTF-8, or else what a latin1 client sent.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
