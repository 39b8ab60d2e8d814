//! A client of the MySQL protocol: connecting, logging in, and questions whose answers are read packet by packet.
//!
//! Of our own, beside the client of the control connections, because the two streams of bulk data want their bytes as
//! they arrived: [`super::replica`] the binlog's events, [`super::rows`] the rows of the first copy.
//!
//! | file | owns |
//! | --- | --- |
//! | [`packet`] | packets over a connection |
//! | [`login`] | greeting and login |
//!
//! Enters: a [`SourceConfig`] and commands. Leaves: packets, or the server's refusal with its number, as the client of the
//! control connections has it, so that [`super::refusal`] judges both alike.
//!
//! Invariant: a question is sent only when the answer to the last one has been read to its end. After an error in the
//! middle of an answer, or a future that was dropped there, every further question is refused: the connection is to be
//! thrown away.

mod login;
mod packet;

use super::connect::{CONNECT_TIMEOUT, KEEP_ALIVE, SourceConfig, Tls, no_answer, resolve};
use super::refusal::classify;
use crate::error::{Error, ErrorKind, Result};
use crate::tls::{Trust, client_config};
use bytes::Bytes;
use login::{Greeting, Login};
use mysql_async::ServerError;
use packet::{Carrier, Packets};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

const OK: u8 = 0x00;
const EOF: u8 = 0xFE;
const ERR: u8 = 0xFF;
/// An EOF packet is shorter; what begins with its byte and is not is data.
const SHORTER_THAN_DATA: usize = 9;
/// NULL, in the place of a length, in a row of the text protocol.
const NULL: u8 = 0xFB;

/// A row of the text protocol; none is NULL.
pub(super) type TextRow = Vec<Option<Vec<u8>>>;

/// A logged-in connection.
pub(super) struct Client {
    packets: Packets,
    /// The answer to the last question has been read to its end.
    idle: bool,
}

impl Client {
    /// Connects and logs in, as [`super::connect::connect`] does.
    ///
    /// # Errors
    /// `UnknownHost`, `SourceUnavailable`, `AccessDenied` or `Config` (TLS).
    pub async fn connect(config: &SourceConfig) -> Result<Self> {
        let doing = format!("cannot connect to the source at {}", config.address());
        resolve(config).await?;
        let encrypt = config.socket.is_none() && config.tls != Tls::Off;
        let within = async |encrypt| {
            tokio::time::timeout(CONNECT_TIMEOUT, log_in(config, encrypt, &doing))
                .await
                .map_err(|_| no_answer(config))?
        };
        match within(encrypt).await {
            Err(Refused::NoTls(_)) if config.tls == Tls::Prefer => within(false).await,
            connected => connected,
        }
        .map_err(|(Refused::NoTls(error) | Refused::Else(error))| error)
    }

    /// Sends a question. Its answer is to be read with [`Self::read`] or [`Self::append`], up to [`Self::answered`].
    ///
    /// # Errors
    /// Those of the network; one of it too when an earlier answer was given up half read.
    pub async fn ask(&mut self, payload: &[u8]) -> mysql_async::Result<()> {
        if !std::mem::take(&mut self.idle) {
            let what = "an earlier answer on this connection was not read to its end";
            return Err(io::Error::new(io::ErrorKind::NotConnected, what).into());
        }
        Ok(self.packets.command(payload).await?)
    }

    /// The next packet of the answer. Cancel-safe.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn read(&mut self) -> mysql_async::Result<Bytes> {
        Ok(self.packets.read().await?)
    }

    /// The next packet of the answer, if it has arrived whole.
    ///
    /// # Errors
    /// Packets out of order.
    pub fn arrived(&mut self) -> mysql_async::Result<Option<Bytes>> {
        Ok(self.packets.take()?)
    }

    /// Copies the next packet of the answer to the end of `out`, if it has arrived; else [`Self::fill`] waits for more.
    ///
    /// # Errors
    /// Packets out of order.
    pub fn append(&mut self, out: &mut Vec<u8>) -> mysql_async::Result<bool> {
        Ok(self.packets.append(out)?)
    }

    /// Waits for more bytes. Cancel-safe.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn fill(&mut self) -> mysql_async::Result<()> {
        Ok(self.packets.fill().await?)
    }

    /// Says that the answer has been read to its end.
    pub fn answered(&mut self) {
        self.idle = true;
    }

    /// Whether no answer is under way.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// The server's refusal in the place of an answer, which ends the answer.
    pub fn refused(&mut self, packet: &[u8]) -> mysql_async::Error {
        self.idle = true;
        server_error(packet).into()
    }

    /// Sends a command and waits until the server says that it is done.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn command(&mut self, payload: &[u8]) -> mysql_async::Result<()> {
        self.ask(payload).await?;
        let answer = self.read().await?;
        match answer.first() {
            Some(&OK) => {
                self.answered();
                Ok(())
            }
            Some(&ERR) => Err(self.refused(&answer)),
            _ => Err(disorder("the server's answer to a command cannot be read").into()),
        }
    }

    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn execute(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.command(&as_query(sql)).await
    }

    /// Runs a statement that returns a few rows, each column as text.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn query(&mut self, sql: &str) -> mysql_async::Result<Vec<TextRow>> {
        self.ask(&as_query(sql)).await?;
        let first = self.read().await?;
        match first.first() {
            Some(&OK) => {
                self.answered();
                return Ok(Vec::new());
            }
            Some(&ERR) => return Err(self.refused(&first)),
            _ => {}
        }
        while !is_end(&self.read().await?) {} // the columns' definitions
        let mut rows = Vec::new();
        loop {
            let packet = self.read().await?;
            match packet.first() {
                Some(&ERR) => return Err(self.refused(&packet)),
                _ if is_end(&packet) => break,
                _ => rows.push(text_row(&packet).ok_or_else(|| disorder("a row that cannot be read"))?),
            }
        }
        self.answered();
        Ok(rows)
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.packets.close().await;
    }
}

/// Why there is no connection.
enum Refused {
    /// Encryption failed.
    NoTls(Error),
    Else(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Else(error)
    }
}

fn as_query(sql: &str) -> Vec<u8> {
    const COM_QUERY: u8 = 3;
    [&[COM_QUERY], sql.as_bytes()].concat()
}

/// Whether the packet ends a list of definitions or rows.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&EOF) && packet.len() < SHORTER_THAN_DATA
}

/// Whether the packet is a refusal.
pub(super) fn is_refusal(packet: &[u8]) -> bool {
    packet.first() == Some(&ERR)
}

fn text_row(mut packet: &[u8]) -> Option<TextRow> {
    let mut row = Vec::new();
    while let Some(first) = packet.first() {
        if *first == NULL {
            packet = &packet[1..];
            row.push(None);
        } else {
            row.push(Some(prefixed(&mut packet)?.to_vec()));
        }
    }
    Some(row)
}

/// Takes a length-encoded number off the front; none when there is no whole one.
pub(super) fn length_encoded(rest: &mut &[u8]) -> Option<u64> {
    let (first, behind) = rest.split_first()?;
    let width = match first {
        0..=0xFA => {
            *rest = behind;
            return Some(u64::from(*first));
        }
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        _ => return None,
    };
    let (number, behind) = behind.split_at_checked(width)?;
    *rest = behind;
    Some(number.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Takes bytes with their length-encoded length off the front; none when they are not all there.
pub(super) fn prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(length_encoded(rest)?).ok()?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

/// Writes bytes behind their length-encoded length.
pub(super) fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..=0xFA => out.push(length as u8),
        length @ 0xFB..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&(length as u16).to_le_bytes());
        }
        length => {
            out.push(0xFE);
            out.extend_from_slice(&(length as u64).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// A packet that says what the server refuses.
pub(super) fn server_error(packet: &[u8]) -> ServerError {
    let code = packet.get(1..3).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
    let text = packet.get(3..).unwrap_or_default();
    let (state, message) = match text.split_at_checked(6) {
        Some((state, message)) if state[0] == b'#' => (&state[1..], message),
        _ => (&b""[..], text),
    };
    let owned = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ServerError { code, message: owned(message), state: owned(state) }
}

/// Packets that do not follow their format.
pub(super) fn disorder(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

async fn log_in(config: &SourceConfig, encrypt: bool, doing: &str) -> std::result::Result<Client, Refused> {
    let carrier = carrier(config).await.map_err(|error| classify(error.into(), doing))?;
    let mut packets = Packets::new(carrier);
    let greeting = Greeting::read(&mut packets, doing).await?;
    let encrypt = encrypt && (greeting.offers_tls() || config.tls != Tls::Prefer);
    if encrypt {
        if !greeting.offers_tls() {
            let error = Error::new(ErrorKind::Config, doing).detail("the server does not offer TLS");
            return Err(error.with_hint("give the server a certificate, or set tls = \"off\"").into());
        }
        let (carrier, sequence) = greeting.request_tls(packets, doing).await?;
        packets = Packets::resume(secure(config, carrier, doing).await?, sequence);
    }
    let private = encrypt || config.socket.is_some();
    let login = Login { user: &config.user, password: &config.password, encrypted: encrypt, private };
    login.run(&mut packets, &greeting, doing).await?;
    Ok(Client { packets, idle: true })
}

async fn carrier(config: &SourceConfig) -> io::Result<Box<dyn Carrier>> {
    if let Some(path) = &config.socket {
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let stream = TcpStream::connect((config.host.as_str(), config.port)).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    Ok(Box::new(stream))
}

async fn secure(
    config: &SourceConfig,
    carrier: Box<dyn Carrier>,
    doing: &str,
) -> std::result::Result<Box<dyn Carrier>, Refused> {
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
        if handshake {
            Refused::NoTls(bad(format!("TLS: {error}")))
        } else {
            Refused::Else(classify(error.into(), doing))
        }
    })?;
    Ok(Box::new(connected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_code_and_text() {
        let error = server_error(b"\xff\x15\x04#28000Access denied");
        assert_eq!((error.code, error.state.as_str(), error.message.as_str()), (1045, "28000", "Access denied"));
        let early = server_error(b"\xff\x10\x04Too many connections");
        assert_eq!((early.code, early.message.as_str()), (1040, "Too many connections"));
        assert_eq!(server_error(b"\xff").code, 0);
    }

    #[test]
    fn lengths_of_every_width_come_back_and_cut_ones_do_not() {
        for length in [0, 1, 250, 251, 255, 256, 65_535, 65_536, 70_000] {
            let bytes = vec![7; length];
            let mut packed = Vec::new();
            put_prefixed(&mut packed, &bytes);
            let mut rest = packed.as_slice();
            assert_eq!(prefixed(&mut rest), Some(bytes.as_slice()), "{length}");
            assert!(rest.is_empty());
            assert_eq!(prefixed(&mut &packed[..packed.len() - 1]), None, "{length}");
        }
        assert_eq!(length_encoded(&mut &b"\xfd\x01\x02\x03"[..]), Some(0x03_0201));
        for bad in [&b"\xfb"[..], b"\xff", b"", b"\xfc\x01", b"\xfe\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(length_encoded(&mut &bad[..]), None);
        }
        assert_eq!(prefixed(&mut &b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffx"[..]), None);
    }

    #[test]
    fn rows_of_text_are_read() {
        assert_eq!(text_row(b"\x02ab\xfb\0"), Some(vec![Some(b"ab".to_vec()), None, Some(Vec::new())]));
        assert_eq!(text_row(b"\x03ab"), None);
    }
}
