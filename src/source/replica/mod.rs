//! A connection to the source on which it sends its binlog: a replica's side of the client protocol.
//!
//! A client of our own, and not the one of the control connections, because that one unpacks compressed transactions as a whole before it
//! hands them on, whatever their size, and takes every event apart a second time. Here an event's bytes leave as they arrived.
//!
//! | file | owns |
//! | --- | --- |
//! | [`packet`] | packets over a connection |
//! | [`login`] | greeting and login |
//!
//! Enters: a [`SourceConfig`] and what to ask for. Leaves: the bytes of events. What they mean, and when to wait no longer, is
//! [`super::transport`]'s.

mod login;
mod packet;

use super::connect::{CONNECT_TIMEOUT, SourceConfig, Tls, no_answer, resolve};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::position::MySqlGtidSet;
use crate::tls::{Trust, client_config};
use bytes::{Buf, Bytes};
use login::{Greeting, Login};
use mysql_async::ServerError;
use packet::{Carrier, Packets};
use rustls_pki_types::ServerName;
use std::io;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// A logged-in connection.
pub(super) struct Replica {
    packets: Packets,
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
    /// Connects and logs in, as [`super::connect::connect`] does.
    ///
    /// # Errors
    /// `UnknownHost`, `SourceUnavailable`, `AccessDenied` or `Config` (TLS).
    pub async fn connect(config: &SourceConfig) -> Result<Self> {
        let doing = format!("cannot connect to the source at {}", config.address());
        resolve(config).await?;
        tokio::time::timeout(CONNECT_TIMEOUT, log_in(config, &doing)).await.map_err(|_| no_answer(config))?
    }

    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn execute(&mut self, sql: &str, doing: &str) -> Result<()> {
        const COM_QUERY: u8 = 3;
        login::command(&mut self.packets, &[&[COM_QUERY], sql.as_bytes()].concat(), doing).await
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
        login::command(&mut self.packets, &payload, doing).await
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
        self.packets.command(&payload).await.map_err(|error| login::network(error, doing))
    }

    /// Asks MySQL for the events of all transactions that are not in the set.
    ///
    /// # Errors
    /// As [`Self::dump`].
    pub async fn dump_behind(&mut self, server_id: u32, set: &MySqlGtidSet, doing: &str) -> Result<()> {
        let payload = dump_gtid(server_id, set);
        self.packets.command(&payload).await.map_err(|error| login::network(error, doing))
    }

    /// The next thing the server sends after a dump was asked for. Cancel-safe.
    ///
    /// # Errors
    /// Those of the network; `Corrupt` for what is no answer to a dump.
    pub async fn sent(&mut self, doing: &str) -> Result<Sent> {
        let packet = self.packets.read().await.map_err(|error| login::network(error, doing))?;
        sent(packet, doing)
    }

    /// The next thing the server has sent, if it has arrived.
    ///
    /// # Errors
    /// As [`Self::sent`].
    pub fn arrived(&mut self, doing: &str) -> Result<Option<Sent>> {
        let packet = self.packets.take().map_err(|error| login::network(error, doing))?;
        packet.map(|packet| sent(packet, doing)).transpose()
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.packets.close().await;
    }
}

fn sent(mut packet: Bytes, doing: &str) -> Result<Sent> {
    const SHORTER_THAN_DATA: usize = 9;
    match packet.first() {
        Some(0) => {
            packet.advance(1);
            Ok(Sent::Event(packet))
        }
        Some(0xFE) if packet.len() < SHORTER_THAN_DATA => Ok(Sent::End),
        Some(0xFF) => Ok(Sent::Refused(login::server_error(&packet))),
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

async fn log_in(config: &SourceConfig, doing: &str) -> Result<Replica> {
    let mut packets = Packets::new(carrier(config).await.map_err(|error| login::network(error, doing))?);
    let greeting = Greeting::read(&mut packets, doing).await?;
    let mut encrypted = config.socket.is_none() && config.tls != Tls::Off;
    if encrypted && !greeting.offers_tls() {
        if config.tls != Tls::Prefer {
            return Err(Error::new(ErrorKind::Config, doing)
                .detail("the server does not offer TLS")
                .with_hint("give the server a certificate, or set tls = \"off\""));
        }
        encrypted = false;
    }
    if encrypted {
        let (carrier, sequence) = greeting.request_tls(packets, doing).await?;
        let secured = secure(config, carrier, doing).await?;
        packets = Packets::resume(secured, sequence);
    }
    let private = encrypted || config.socket.is_some();
    let login = Login { user: &config.user, password: &config.password, encrypted, private };
    login.run(&mut packets, &greeting, doing).await?;
    Ok(Replica { packets })
}

async fn carrier(config: &SourceConfig) -> io::Result<Box<dyn Carrier>> {
    if let Some(path) = &config.socket {
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let stream = TcpStream::connect((config.host.as_str(), config.port)).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

async fn secure(config: &SourceConfig, carrier: Box<dyn Carrier>, doing: &str) -> Result<Box<dyn Carrier>> {
    let trust = if config.tls == Tls::VerifyFull { Trust::ChainAndName } else { Trust::Anyone };
    let ca_file = config.ca_file.as_deref().filter(|_| trust != Trust::Anyone);
    let connector = TlsConnector::from(client_config(trust, ca_file, "source")?);
    let bad = |detail: String| {
        Error::new(ErrorKind::Config, doing)
            .detail(detail)
            .with_hint("set ca_file to the authority that signed the server's certificate, or choose another tls mode")
    };
    let name = ServerName::try_from(config.host.clone()).map_err(|error| bad(error.to_string()))?;
    let connected = connector.connect(name, carrier).await.map_err(|error| {
        let handshake = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        if handshake { bad(format!("TLS: {error}")) } else { login::network(error, doing) }
    })?;
    Ok(Box::new(connected))
}
