//! Raw binlog events from the source: from a position on, as the server sends them.
//!
//! Enters: a [`Position`]. Leaves: [`RawEvent`]s, each the bytes of one event with the word whether it ends in a checksum.
//! The stream starts by GTID where server and position have them, so that it survives a change of files; else by file and
//! offset. A stream started by offset may begin before what `Position::gtid` holds (see `snapshot::position`): its reader
//! skips those transactions by the set. The server sends a heartbeat when it has nothing else; silence for three of them
//! is a lost connection.
//!
//! Nothing is unpacked and nothing is verified here: the thread that decodes does both ([`RawEvent::frame`]).

use crate::binlog::{Frame, has_checksum, is_artificial_rotate, logs_checksums};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::{GtidSet, Position};
use crate::schema::Flavor;
use crate::source::connect::SourceConfig;
use crate::source::refusal::classify;
use crate::source::replica::{Replica, Sent};
use crate::source::server::ServerFacts;
use bytes::Bytes;
use mysql_async::ServerError;
use std::time::Duration;

/// How often the server says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which the connection counts as lost.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of events that are handed on together.
const BLOCK: usize = 64 << 10;
const DOING: &str = "cannot read the source's binlog";

/// One binlog event as the server sent it.
#[derive(Debug)]
pub struct RawEvent {
    bytes: Bytes,
    checksum: bool,
}

impl RawEvent {
    /// An event that comes from elsewhere than a server. `checksum`: whether its last four bytes are its CRC32.
    #[must_use]
    pub fn new(bytes: Bytes, checksum: bool) -> Self {
        Self { bytes, checksum }
    }

    /// Bytes of header, body and checksum.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing, which is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The event taken apart, its length and checksum verified.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn frame(&self) -> Result<Frame<'_>> {
        Frame::parse(&self.bytes, self.checksum)
    }
}

/// An open stream of binlog events.
pub struct BinlogTransport {
    /// None once it has failed: a stream is not read on behind an error.
    replica: Option<Replica>,
    /// The error behind the events that were handed on last.
    failed: Option<Error>,
    /// Whether the events of the current file end in a checksum.
    checksums: bool,
}

impl BinlogTransport {
    /// Opens a connection and asks for the events behind `from`. That the server no longer has them shows at the first
    /// [`BinlogTransport::next`].
    ///
    /// # Errors
    /// Those of [`super::connect::connect`]; `AccessDenied` without REPLICATION SLAVE.
    pub async fn open(config: &SourceConfig, facts: &ServerFacts, from: &Position, server_id: u32) -> Result<Self> {
        let mut replica = Replica::connect(config).await?;
        replica.execute(&session(facts.flavor), DOING).await?;
        replica.register(server_id, DOING).await.map_err(needs_grant)?;
        match &from.gtid {
            Some(GtidSet::MySql(set)) if facts.gtid && facts.flavor == Flavor::MySql && !set.has_tags() => {
                replica.dump_behind(server_id, set, DOING).await?;
            }
            Some(GtidSet::MariaDb(state)) if facts.gtid && state.iter().next().is_some() => {
                // GTIDs are digits and dashes: safe in a literal
                let set = format!("SET @slave_connect_state = '{state}', @slave_gtid_strict_mode = 1");
                replica.execute(&set, DOING).await?;
                replica.dump(server_id, &from.binlog.file, FIRST_EVENT as u32, true, DOING).await?;
            }
            _ => {
                let offset = u32::try_from(from.binlog.offset).map_err(|_| {
                    Error::new(ErrorKind::SourceSetting, format!("cannot start at {}", from.binlog))
                        .detail("without GTIDs the protocol knows no offsets beyond 4 GiB")
                        .with_hint("set gtid_mode=ON, or keep max_binlog_size at 1 GiB")
                })?;
                replica.dump(server_id, &from.binlog.file, offset, true, DOING).await?;
            }
        }
        Ok(Self { replica: Some(replica), failed: None, checksums: false })
    }

    /// The next event. Cancel-safe: dropping the future loses no event.
    ///
    /// # Errors
    /// `SourceUnavailable` when the connection is cut or silent, `BinlogGap` when the server no longer has what follows,
    /// `SourceIdentity` when it never had it, `Corrupt` for what is no event. After an error the stream is closed.
    pub async fn next(&mut self) -> Result<RawEvent> {
        let event = self.read().await;
        if event.is_err() {
            self.replica = None;
        }
        event
    }

    /// The next event and those behind it that have arrived, about 64 KiB of them: what is done once per handover is
    /// not done once per event. Cancel-safe; errors as [`BinlogTransport::next`].
    ///
    /// # Errors
    /// As [`BinlogTransport::next`], behind the events before it.
    pub async fn next_block(&mut self) -> Result<Vec<RawEvent>> {
        let first = self.next().await?;
        let mut bytes = first.len();
        let mut block = vec![first];
        while bytes < BLOCK
            && let Some(replica) = &mut self.replica
        {
            match replica.arrived(DOING).and_then(|sent| sent.map(|sent| self.event(sent)).transpose()) {
                Ok(Some(event)) => {
                    bytes += event.len();
                    block.push(event);
                }
                Ok(None) => break,
                Err(error) => {
                    self.replica = None;
                    self.failed = Some(error);
                }
            }
        }
        Ok(block)
    }

    async fn read(&mut self) -> Result<RawEvent> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(replica) = &mut self.replica else { return Err(lost("the stream has been closed")) };
        let sent = tokio::time::timeout(READ_TIMEOUT, replica.sent(DOING))
            .await
            .map_err(|_| lost("neither an event nor a heartbeat within 15 s"))??;
        self.event(sent)
    }

    fn event(&mut self, sent: Sent) -> Result<RawEvent> {
        let bytes = match sent {
            Sent::Event(bytes) => bytes,
            Sent::End => return Err(lost("the server has ended the stream")),
            Sent::Refused(error) => return Err(refused(error)),
        };
        // each file says whether its events have checksums; a rotation made up for us may come before the first file does
        if let Some(checksums) = logs_checksums(&bytes) {
            self.checksums = checksums.ok_or_else(|| corrupt("a binlog file begins with a damaged description"))?;
        }
        let checksum = if is_artificial_rotate(&bytes) { has_checksum(&bytes) } else { self.checksums };
        Ok(RawEvent::new(bytes, checksum))
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        if let Some(replica) = self.replica.take() {
            replica.close().await;
        }
    }
}

/// Where the first event of a file starts: behind the magic number.
pub const FIRST_EVENT: u64 = 4;

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, DOING).detail(why)
}

/// Tries whether the account may read the binlog, by asking for it as a replica does.
pub(crate) async fn may_read_binlog(config: &SourceConfig, server_id: u32) -> Result<bool> {
    let mut replica = Replica::connect(config).await?;
    let registered = replica.register(server_id, DOING).await;
    replica.close().await;
    match registered {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AccessDenied => Ok(false),
        Err(error) => Err(error),
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
    // that we know checksums lets the server send each file's events as they are
    match flavor {
        Flavor::MariaDb => {
            format!(
                "SET @master_heartbeat_period = {nanoseconds}, @mariadb_slave_capability = 4, \
                 @master_binlog_checksum = 'CRC32'"
            )
        }
        Flavor::MySql => {
            format!(
                "SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}, \
                 @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'"
            )
        }
    }
}

fn needs_grant(error: Error) -> Error {
    match error.kind() {
        ErrorKind::AccessDenied => error.with_hint("GRANT REPLICATION SLAVE ON *.* TO the account of this connection"),
        _ => error,
    }
}

/// Refusals of a dump: 1236 stands for everything, its text tells what.
fn refused(error: ServerError) -> Error {
    match error.code {
        1236 | 1789 | 1955 => fatal(&error),
        _ => needs_grant(classify(error.into(), DOING)),
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
