//! The greeting and the login: from a fresh connection to one that takes commands.
//!
//! Knows `mysql_native_password` and `caching_sha2_password`. A password crosses the wire only as a scramble, or whole
//! where nobody can listen (TLS, a Unix socket), or encrypted with the server's key, as the client of the control
//! connections does it. It is in no error. Format: MySQL's documentation of the client protocol, "Connection Phase".

use super::packet::{Carrier, Packets};
use super::{EOF as SWITCH, ERR, OK, server_error};
use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::source::refusal::classify;
use mysql_common::scramble::{scramble_native, scramble_sha256};
use secrecy::{ExposeSecret, SecretString};
use std::io;

/// What a client can do (`include/mysql_com.h`).
mod capabilities {
    pub const LONG_PASSWORD: u32 = 1;
    pub const LONG_FLAG: u32 = 1 << 2;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const SSL: u32 = 1 << 11;
    pub const TRANSACTIONS: u32 = 1 << 13;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    pub const OURS: u32 = LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
}

const MORE_DATA: u8 = 0x01;
/// utf8mb4_general_ci
const CHARACTER_SET: u8 = 45;
const MAX_ALLOWED_PACKET: u32 = 1 << 30;

/// What the server says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    /// Reads the first packet.
    ///
    /// # Errors
    /// What the server refuses at once (too many connections, a blocked host); `Corrupt` when it is no greeting.
    pub async fn read(packets: &mut Packets, doing: &str) -> Result<Self> {
        let packet = packets.read().await.map_err(|error| network(error, doing))?;
        if packet.first() == Some(&ERR) {
            return Err(refusal(&packet, doing));
        }
        Self::parse(&packet).ok_or_else(|| {
            corrupt(doing).detail("what answers there is no MySQL or MariaDB server").with_hint("check host and port")
        })
    }

    fn parse(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(&[10])?;
        let (_version, rest) = terminated(rest)?;
        let (_thread, rest) = rest.split_at_checked(4)?;
        let (first, rest) = rest.split_at_checked(8)?;
        let (fixed, rest) = rest.split_first_chunk::<19>()?; // filler, capabilities, character set, status, length, reserved
        let capabilities = u32::from_le_bytes([fixed[1], fixed[2], fixed[6], fixed[7]]);
        let second = rest.get(..12)?; // 20 bytes in all, whatever the announced length, and a NUL
        let rest = rest.get(usize::from(fixed[8]).saturating_sub(8).max(13)..).unwrap_or_default();
        let plugin = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Self {
            capabilities,
            nonce: [first, second].concat(),
            plugin: String::from_utf8_lossy(plugin).into_owned(),
        })
    }

    /// Whether the server speaks TLS.
    pub fn offers_tls(&self) -> bool {
        self.capabilities & capabilities::SSL != 0
    }

    /// Asks the server to go on in TLS. Hands out what TLS is to be laid over.
    pub async fn request_tls(&self, mut packets: Packets, doing: &str) -> Result<(Box<dyn Carrier>, u8)> {
        let request = self.head(capabilities::SSL);
        packets.write(&request).await.map_err(|error| network(error, doing))?;
        packets.into_carrier().map_err(|error| network(error, doing))
    }

    /// The part that a request for TLS and the login have in common.
    fn head(&self, more: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&(capabilities::OURS & self.capabilities | more).to_le_bytes());
        out.extend_from_slice(&MAX_ALLOWED_PACKET.to_le_bytes());
        out.push(CHARACTER_SET);
        out.extend_from_slice(&[0; 23]);
        out
    }
}

/// Who logs in, and over what.
pub(super) struct Login<'a> {
    pub user: &'a str,
    pub password: &'a SecretString,
    /// TLS is in use.
    pub encrypted: bool,
    /// Nobody can listen: TLS or a Unix socket.
    pub private: bool,
}

impl Login<'_> {
    /// Logs in.
    ///
    /// # Errors
    /// `AccessDenied`; `Config` for an authentication plugin that is not known here.
    pub async fn run(&self, packets: &mut Packets, greeting: &Greeting, doing: &str) -> Result<()> {
        let network = |error| network(error, doing);
        let mut nonce = greeting.nonce.clone();
        let mut plugin = greeting.plugin.clone();
        // a plugin that we do not know is answered as the oldest one; the server then asks for another
        let scramble = self.scramble(&plugin, &nonce).or_else(|| self.scramble(NATIVE, &nonce)).unwrap_or_default();
        let mut response = greeting.head(if self.encrypted { capabilities::SSL } else { 0 });
        response.extend_from_slice(self.user.as_bytes());
        response.push(0);
        response.push(scramble.len() as u8);
        response.extend_from_slice(&scramble);
        response.extend_from_slice(if plugin == SHA2 { SHA2 } else { NATIVE }.as_bytes());
        response.push(0);
        packets.write(&response).await.map_err(network)?;
        loop {
            let packet = packets.read().await.map_err(network)?;
            match *packet {
                [OK, ..] => return Ok(()),
                [ERR, ..] => return Err(refusal(&packet, doing)),
                [SWITCH, ref request @ ..] => {
                    (plugin, nonce) = switch(request);
                    let scramble = self.scramble(&plugin, &nonce).ok_or_else(|| unknown_plugin(&plugin, doing))?;
                    packets.write(&scramble).await.map_err(network)?;
                }
                [MORE_DATA, FAST_LOGIN] if plugin == SHA2 => {}
                [MORE_DATA, FULL_LOGIN] if plugin == SHA2 => self.whole_password(packets, &nonce, doing).await?,
                _ => return Err(corrupt(doing).detail("the server's answer to the login cannot be read")),
            }
        }
    }

    fn scramble(&self, plugin: &str, nonce: &[u8]) -> Option<Vec<u8>> {
        let password = self.password.expose_secret().as_bytes();
        match plugin {
            NATIVE | SHA2 if password.is_empty() => Some(Vec::new()),
            NATIVE => scramble_native(nonce, password).map(Vec::from),
            SHA2 => scramble_sha256(nonce, password).map(Vec::from),
            _ => None,
        }
    }

    /// The server's cache does not hold this account's password: it wants it whole.
    async fn whole_password(&self, packets: &mut Packets, nonce: &[u8], doing: &str) -> Result<()> {
        const SEND_KEY: u8 = 2;
        let network = |error| network(error, doing);
        let mut password = [self.password.expose_secret().as_bytes(), b"\0"].concat();
        if !self.private {
            packets.write(&[SEND_KEY]).await.map_err(network)?;
            let key = packets.read().await.map_err(network)?;
            for (byte, salt) in password.iter_mut().zip(nonce.iter().cycle()) {
                *byte ^= salt;
            }
            // what is no key makes the parser panic
            let encrypted = key
                .strip_prefix(&[MORE_DATA])
                .and_then(|key| std::panic::catch_unwind(|| mysql_common::crypto::encrypt(&password, key)).ok());
            password = encrypted.ok_or_else(|| corrupt(doing).detail("the server's public key cannot be read"))?;
        }
        packets.write(&password).await.map_err(network)
    }
}

const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";
const FAST_LOGIN: u8 = 3;
const FULL_LOGIN: u8 = 4;

/// A request for another plugin: its name and a new nonce.
fn switch(request: &[u8]) -> (String, Vec<u8>) {
    let (name, nonce) = terminated(request).unwrap_or((b"mysql_old_password", b""));
    (String::from_utf8_lossy(name).into_owned(), nonce.strip_suffix(b"\0").unwrap_or(nonce).to_vec())
}

/// Bytes up to a NUL, and those behind it.
fn terminated(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn unknown_plugin(plugin: &str, doing: &str) -> Error {
    Error::new(ErrorKind::Config, doing)
        .detail(format!("the account logs in by {plugin}, which is not supported"))
        .with_hint("give the account the plugin caching_sha2_password (MySQL) or mysql_native_password (MariaDB)")
}

fn refusal(packet: &[u8], doing: &str) -> Error {
    classify(server_error(packet).into(), doing)
}

fn network(error: io::Error, doing: &str) -> Error {
    classify(error.into(), doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MySQL 9.7 and MariaDB 10.11 greet.
    fn greeting(plugin: &str) -> Vec<u8> {
        let mut packet = b"\x0a9.7.0\0\x08\0\0\0".to_vec();
        packet.extend_from_slice(b"12345678\0\xff\xff\xff\x02\0\xff\xdf\x15");
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"901234567890\0");
        packet.extend_from_slice(plugin.as_bytes());
        packet.push(0);
        packet
    }

    #[test]
    fn greetings_are_read_and_cut_ones_refused() {
        let packet = greeting(SHA2);
        let read = Greeting::parse(&packet).unwrap();
        assert_eq!((read.nonce.as_slice(), read.plugin.as_str()), (&b"12345678901234567890"[..], SHA2));
        assert!(read.offers_tls());
        for end in 0..packet.len() - SHA2.len() - 2 {
            assert_eq!(Greeting::parse(&packet[..end]), None, "{end}");
        }
        assert_eq!(Greeting::parse(b"HTTP/1.1 400 Bad Request"), None);
    }

    #[test]
    fn a_switch_names_plugin_and_nonce() {
        assert_eq!(switch(b"caching_sha2_password\0abcd\0"), (SHA2.into(), b"abcd".to_vec()));
        assert_eq!(switch(b""), ("mysql_old_password".into(), Vec::new()));
    }
}
