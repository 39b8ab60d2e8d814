//! A connection to the source on which it sends its binlog: a replica's side of the client protocol.
//!
//! Over [`super::client`] and not over the client of the control connections, because that one unpacks compressed
//! transactions as a whole before it hands them on, whatever their size, and takes every event apart a second time. Here
//! an event's bytes leave as they arrived.
//!
//! Enters: a [`SourceConfig`] and what to ask for. Leaves: the bytes of events. What they mean, and when to wait no longer, is
//! [`super::transport`]'s.

use super::client::{Client, is_end, is_refusal, server_error};
use super::connect::SourceConfig;
use super::refusal::Doing;
use crate::error::{Result, corrupt};
use crate::position::MySqlGtidSet;
use bytes::{Buf, Bytes};
use mysql_async::ServerError;

/// A logged-in connection.
pub(super) struct Replica {
    client: Client,
}

/// What the server sends on a binlog connection.
pub(super) enum Sent {
    /// One whole event.
    Event(Bytes),
    /// It has nothing more, and will not wait for more.
    End,
    /// It refuses to go on.
    Refused(ServerError),
}

impl Replica {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn connect(config: &SourceConfig) -> Result<Self> {
        Ok(Self { client: Client::connect(config).await? })
    }

    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn execute(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.client.execute(sql).await.doing(doing)
    }

    /// Tells the server who we are, for it to be shown in SHOW REPLICAS.
    ///
    /// # Errors
    /// `AccessDenied` without REPLICATION SLAVE.
    pub async fn register(&mut self, server_id: u32, doing: &str) -> Result<()> {
        const COM_REGISTER_SLAVE: u8 = 0x15;
        let mut payload = vec![COM_REGISTER_SLAVE];
        payload.extend_from_slice(&server_id.to_le_bytes());
        payload.extend_from_slice(&[0; 3 + 2 + 4 + 4]); // no host, user or password; no port, rank or own source
        self.client.command(&payload).await.doing(doing)
    }

    /// Asks for the events from an offset of a file on. `wait`: for those to come, too.
    ///
    /// # Errors
    /// Those of the network; a refusal comes as the first answer.
    pub async fn dump(&mut self, server_id: u32, file: &str, offset: u32, wait: bool, doing: &str) -> Result<()> {
        const COM_BINLOG_DUMP: u8 = 0x12;
        const NON_BLOCK: u16 = 1;
        let mut payload = vec![COM_BINLOG_DUMP];
        payload.extend_from_slice(&offset.to_le_bytes());
        payload.extend_from_slice(&(if wait { 0 } else { NON_BLOCK }).to_le_bytes());
        payload.extend_from_slice(&server_id.to_le_bytes());
        payload.extend_from_slice(file.as_bytes());
        self.client.ask(&payload).await.doing(doing)
    }

    /// Asks MySQL for the events of all transactions that are not in the set.
    ///
    /// # Errors
    /// As [`Self::dump`].
    pub async fn dump_behind(&mut self, server_id: u32, set: &MySqlGtidSet, doing: &str) -> Result<()> {
        let payload = dump_gtid(server_id, set);
        self.client.ask(&payload).await.doing(doing)
    }

    /// The next thing the server sends after a dump was asked for. Cancel-safe.
    ///
    /// # Errors
    /// Those of the network; `Corrupt` for what is no answer to a dump.
    pub async fn sent(&mut self, doing: &str) -> Result<Sent> {
        let packet = self.client.read().await.doing(doing)?;
        sent(packet, doing)
    }

    /// The next thing the server has sent, if it has arrived.
    ///
    /// # Errors
    /// As [`Self::sent`].
    pub fn arrived(&mut self, doing: &str) -> Result<Option<Sent>> {
        let packet = self.client.arrived().doing(doing)?;
        packet.map(|packet| sent(packet, doing)).transpose()
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.client.close().await;
    }
}

fn sent(mut packet: Bytes, doing: &str) -> Result<Sent> {
    match packet.first() {
        Some(0) => {
            packet.advance(1);
            Ok(Sent::Event(packet))
        }
        _ if is_end(&packet) => Ok(Sent::End),
        _ if is_refusal(&packet) => Ok(Sent::Refused(server_error(&packet))),
        _ => Err(corrupt(doing).detail("a packet of the binlog stream that is no event")),
    }
}

/// COM_BINLOG_DUMP_GTID. The caller keeps tagged sets away: their format is another.
fn dump_gtid(server_id: u32, set: &MySqlGtidSet) -> Vec<u8> {
    const COM_BINLOG_DUMP_GTID: u8 = 0x1E;
    let mut data = (set.iter().count() as u64).to_le_bytes().to_vec();
    for (source, intervals) in set.iter() {
        data.extend_from_slice(&source.uuid);
        data.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
        for (start, end) in intervals {
            data.extend_from_slice(&start.to_le_bytes());
            data.extend_from_slice(&end.to_le_bytes());
        }
    }
    let mut payload = vec![COM_BINLOG_DUMP_GTID];
    payload.extend_from_slice(&0u16.to_le_bytes()); // no flags
    payload.extend_from_slice(&server_id.to_le_bytes());
    payload.extend_from_slice(&0u32.to_le_bytes()); // no file: the set says where
    payload.extend_from_slice(&4u64.to_le_bytes());
    payload.extend_from_slice(&(data.len() as u32).to_le_bytes());
    payload.extend_from_slice(&data);
    payload
}
