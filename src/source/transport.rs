//! Raw binlog events from the source: the one file that knows who carries the bytes.
//!
//! Enters: a [`Position`]. Leaves: [`RawEvent`]s, each with its header and its body, checksum verified and stripped.
//! The stream starts by GTID where server and position have them, so that it survives a change of files; else by file and
//! offset. A stream started by offset may begin before what `Position::gtid` holds (see `snapshot::position`): its reader
//! skips those transactions by the set. The server sends a heartbeat when it has nothing else; silence for three of them
//! is a lost connection. mysql_async panics on an event whose length lies; the panic is caught and is `Corrupt`.
//!
//! Compressed transactions (`Transaction_payload_event`) are not to be relied on: the client hands out the outer event
//! (type 40), then whatever it could unpack. Whoever reads the stream stops at the outer event.

use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::{GtidSet, MySqlGtidSet, Position};
use crate::schema::Flavor;
use crate::source::connect::{SourceConfig, connect};
use crate::source::refusal::{Doing, classify, is_denied};
use crate::source::server::ServerFacts;
use futures_util::{FutureExt, Stream, StreamExt};
use mysql_async::binlog::events::Event;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, GnoInterval, ServerError, Sid};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How often the server says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which the connection counts as lost.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const DOING: &str = "cannot read the source's binlog";

/// One binlog event as the server sent it.
#[derive(Debug)]
pub struct RawEvent {
    /// When the statement started, seconds since 1970; 0 in artificial events.
    pub timestamp: u32,
    /// The event type's number.
    pub event_type: u8,
    /// The server that wrote it first.
    pub server_id: u32,
    /// Bytes of header, body and checksum.
    pub event_size: u32,
    /// Position of the next event in the file, modulo 2^32; 0 where there is none.
    pub log_pos: u32,
    /// The header's flags.
    pub flags: u16,
    event: Event,
}

impl RawEvent {
    /// The bytes behind the header, without the checksum (and, of a format description, the checksum's kind).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.event.data()
    }
}

impl From<Event> for RawEvent {
    fn from(event: Event) -> Self {
        let header = event.header();
        Self {
            timestamp: header.timestamp(),
            event_type: header.event_type_raw(),
            server_id: header.server_id(),
            event_size: header.event_size(),
            log_pos: header.log_pos(),
            flags: header.flags_raw(),
            event,
        }
    }
}

/// An open stream of binlog events.
pub struct BinlogTransport {
    /// None once it has failed: a stream is not read on behind an error.
    stream: Option<BinlogStream>,
}

impl BinlogTransport {
    /// Opens a connection and asks for the events behind `from`. That the server no longer has them shows at the first
    /// [`BinlogTransport::next`].
    ///
    /// # Errors
    /// Those of [`connect`]; `AccessDenied` without REPLICATION SLAVE.
    pub async fn open(config: &SourceConfig, facts: &ServerFacts, from: &Position, server_id: u32) -> Result<Self> {
        let mut conn = connect(config).await?;
        conn.query_drop(session(facts.flavor)).await.doing(DOING)?;
        let file = from.binlog.file.clone();
        let mut request = BinlogStreamRequest::new(server_id);
        match &from.gtid {
            Some(GtidSet::MySql(set)) if facts.gtid && facts.flavor == Flavor::MySql && !set.has_tags() => {
                request = request.with_gtid().with_gtid_set(sids(set));
            }
            Some(GtidSet::MariaDb(state)) if facts.gtid && state.iter().next().is_some() => {
                // GTIDs are digits and dashes: safe in a literal
                let set = format!("SET @slave_connect_state = '{state}', @slave_gtid_strict_mode = 1");
                conn.query_drop(set).await.doing(DOING)?;
            }
            _ => {
                if u32::try_from(from.binlog.offset).is_err() {
                    return Err(Error::new(ErrorKind::SourceSetting, format!("cannot start at {}", from.binlog))
                        .detail("without GTIDs the protocol knows no offsets beyond 4 GiB")
                        .with_hint("set gtid_mode=ON, or keep max_binlog_size at 1 GiB"));
                }
                request = request.with_filename(file.as_bytes()).with_pos(from.binlog.offset);
            }
        }
        Ok(Self { stream: Some(conn.get_binlog_stream(request).await.map_err(refused)?) })
    }

    /// The next event. Cancel-safe: dropping the future loses no event.
    ///
    /// # Errors
    /// `SourceUnavailable` when the connection is cut or silent, `BinlogGap` when the server no longer has what follows,
    /// `SourceIdentity` when it never had it, `Corrupt` for damaged events. After an error the stream is closed.
    pub async fn next(&mut self) -> Result<RawEvent> {
        let event = self.read().await;
        if event.is_err() {
            self.stream = None;
        }
        event
    }

    async fn read(&mut self) -> Result<RawEvent> {
        let Some(stream) = &mut self.stream else { return Err(lost("the stream has been closed")) };
        let event = next_event(stream).await?;
        verify(&event)?;
        Ok(event.into())
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = stream.close().await;
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, DOING).detail(why)
}

async fn next_event(stream: &mut (impl Stream<Item = mysql_async::Result<Event>> + Unpin)) -> Result<Event> {
    let read = AssertUnwindSafe(stream.next()).catch_unwind();
    tokio::time::timeout(READ_TIMEOUT, read)
        .await
        .map_err(|_| lost("neither an event nor a heartbeat within 15 s"))?
        .map_err(|_| corrupt("a binlog event does not have the length its header says"))?
        .ok_or_else(|| lost("the server has ended the stream"))?
        .map_err(refused)
}

/// Tries whether the account may read the binlog, by asking for it as a replica does.
pub(crate) async fn may_read_binlog(conn: Conn, server_id: u32) -> Result<bool> {
    match conn.get_binlog_stream(BinlogStreamRequest::new(server_id).with_non_blocking()).await {
        Ok(stream) => {
            let _ = stream.close().await;
            Ok(true)
        }
        Err(error) if is_denied(&error) => Ok(false),
        Err(error) => Err(refused(error)),
    }
}

/// A replica's server id made of the pipeline's name: stable, since the server ends an older stream of the same id, and
/// not the source's own.
#[must_use]
pub fn replica_server_id(pipeline: &str, source: u32) -> u32 {
    // the upper half, where ids given by hand are rare; 0 and u32::MAX are no valid ids
    let id = 0x8000_0000 | crc32fast::hash(pipeline.as_bytes()) >> 1;
    let id = id.min(u32::MAX - 2);
    if id == source { id + 1 } else { id }
}

fn session(flavor: Flavor) -> String {
    let nanoseconds = HEARTBEAT.as_nanos();
    match flavor {
        Flavor::MariaDb => {
            format!("SET @master_heartbeat_period = {nanoseconds}, @mariadb_slave_capability = 4")
        }
        Flavor::MySql => {
            format!("SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}")
        }
    }
}

fn sids(set: &MySqlGtidSet) -> Vec<Sid<'static>> {
    let sid = |(source, intervals): (&crate::position::GtidSource, &[(u64, u64)])| {
        Sid::new(source.uuid)
            .with_intervals(intervals.iter().map(|(start, end)| GnoInterval::new(*start, *end)).collect())
    };
    set.iter().map(sid).collect()
}

fn verify(event: &Event) -> Result<()> {
    use mysql_async::binlog::BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32 as CRC32;
    let footer = event.footer();
    let Ok(Some(CRC32)) = footer.get_checksum_alg() else { return Ok(()) };
    // events unpacked from a compressed transaction carry none
    let expected = event.checksum().filter(|_| footer.get_checksum_enabled());
    if expected.is_none_or(|expected| expected == event.calc_checksum(CRC32).to_le_bytes()) {
        return Ok(());
    }
    let header = event.header();
    Err(corrupt(format!(
        "checksum mismatch in the binlog event of type {} that ends at {}",
        header.event_type_raw(),
        header.log_pos()
    )))
}

/// Errors of a dump: 1236 stands for everything, its text tells what.
fn refused(error: mysql_async::Error) -> Error {
    match error {
        mysql_async::Error::Server(error) if matches!(error.code, 1236 | 1789 | 1955) => fatal(&error),
        error if is_denied(&error) => {
            classify(error, DOING).with_hint("GRANT REPLICATION SLAVE ON *.* TO the account of this connection")
        }
        // the client reports an event it cannot parse as an input error without a cause in the network
        mysql_async::Error::Io(mysql_async::IoError::Io(error))
            if matches!(error.kind(), std::io::ErrorKind::Other | std::io::ErrorKind::InvalidData) =>
        {
            corrupt("a binlog event cannot be read").detail(error.to_string())
        }
        error => classify(error, DOING),
    }
}

const COPY_ANEW: &str = "copy anew: `sirenia reset --yes` and `sirenia run`; and raise binlog_expire_logs_seconds (expire_logs_days) on the source";
const SAME_SERVER: &str =
    "check the source's address; if the server was restored or replaced: `sirenia reset --yes` and `sirenia run`";

fn fatal(error: &ServerError) -> Error {
    let text = error.message.as_str();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let (kind, message, hint) = if has(&["not in the master's binlog", "has more GTIDs than", "diverged"]) {
        (ErrorKind::SourceIdentity, "the source does not know the transactions that the checkpoint holds", SAME_SERVER)
    } else if has(&["purged", "could not find first log file", "Could not find first log file", "in any binlog files"])
        || has(&["could not find next log", "Could not find GTID state", "missing in the binary log"])
    {
        (ErrorKind::BinlogGap, "the source's binlog no longer holds what follows the checkpoint", COPY_ANEW)
    } else if has(&["impossible position", "position > file size", "beyond"]) {
        (ErrorKind::SourceIdentity, "the source's binlog ends before the checkpoint", SAME_SERVER)
    } else if has(&["server_uuid/server_id", "same server_id", "same server id"]) {
        (
            ErrorKind::Config,
            "another replica with our server id has connected to the source",
            "stop the other instance, or give this pipeline another name",
        )
    } else if has(&["max_allowed_packet"]) {
        (
            ErrorKind::SourceSetting,
            "a binlog event is larger than the source may send",
            "SET GLOBAL max_allowed_packet = 1073741824",
        )
    } else if has(&["Binary log is not open"]) {
        (
            ErrorKind::SourceSetting,
            "the source writes no binlog",
            "start the server with log_bin and binlog_format = ROW",
        )
    } else if has(&["bogus data", "truncated", "checksum", "event too small", "Event too small", "read error"]) {
        (ErrorKind::Corrupt, "the source cannot read its own binlog", COPY_ANEW)
    } else {
        (ErrorKind::SourceSetting, DOING, "see the source's error log")
    };
    Error::new(kind, message).detail(format!("server error {}: {text}", error.code)).with_hint(hint)
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
