//! Packets of the client protocol over one connection.
//!
//! Bytes arrive in pieces and leave as whole packets, lent out of the receive buffer without a copy; only a packet of
//! 16 MiB and more, which comes in parts, is put together in a buffer of its own. Reading is cancel-safe: what has arrived
//! stays here. Where many small packets come one after the other, [`Packets::append`] copies each out of the buffer, which is
//! cheaper than lending, and [`Packets::fill`] waits for more. No packet is larger than [`MAX_PACKET`]; its buffer grows with the bytes that have arrived, not with a
//! claim. Format: MySQL Internals, "MySQL Packets".

use super::disorder;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest packet taken from the server: `max_allowed_packet`'s own limit, 1 GiB, and some room for headers.
const MAX_PACKET: usize = (1 << 30) + (1 << 16);
/// Length and number before each part.
const HEADER: usize = 4;
/// A part of this length is followed by another.
const FULL_PART: usize = 0xFF_FFFF;
/// The first byte of a refusal.
const ERR: u8 = 0xFF;
/// Room for one read from the socket.
const READ: usize = 128 << 10;

/// What carries the bytes: a TCP connection, a Unix socket, or TLS over TCP.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Carrier for T {}

/// One connection's packets.
pub(super) struct Packets {
    carrier: Box<dyn Carrier>,
    buffer: BytesMut,
    /// The parts so far of a packet that comes in several.
    parts: BytesMut,
    /// The number that the next packet, ours or theirs, must carry.
    sequence: u8,
}

impl Packets {
    pub fn new(carrier: Box<dyn Carrier>) -> Self {
        Self { carrier, buffer: BytesMut::new(), parts: BytesMut::new(), sequence: 0 }
    }

    /// The carrier, for TLS to be laid over it, and the number of the next packet. Nothing may have been read ahead.
    pub fn into_carrier(self) -> io::Result<(Box<dyn Carrier>, u8)> {
        // bytes behind the greeting would be taken for a part of the encrypted conversation
        if self.buffer.is_empty() { Ok((self.carrier, self.sequence)) } else { Err(disorder("bytes before TLS")) }
    }

    /// Goes on over another carrier.
    pub fn resume(carrier: Box<dyn Carrier>, sequence: u8) -> Self {
        Self { sequence, ..Self::new(carrier) }
    }

    /// The next packet's payload. Cancel-safe.
    pub async fn read(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// Waits for more bytes. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ);
        match self.carrier.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed the connection")),
            _ => Ok(()),
        }
    }

    /// Copies the next packet's payload to the end of `out`, if it has arrived.
    pub fn append(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        match self.arrived()? {
            Some(length) if length < FULL_PART && self.parts.is_empty() => {
                out.extend_from_slice(&self.buffer[HEADER..HEADER + length]);
                self.sequence = self.sequence.wrapping_add(1);
                self.buffer.advance(HEADER + length);
                Ok(true)
            }
            Some(_) => Ok(self.take()?.map(|packet| out.extend_from_slice(&packet)).is_some()),
            None => Ok(false),
        }
    }

    /// The length of the next part, if all of it has arrived.
    fn arrived(&self) -> io::Result<Option<usize>> {
        let Some(&[a, b, c, sequence]) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        // a server that ends an idle connection says so unasked, in a packet numbered 0
        let unasked = sequence == 0 && self.buffer.get(HEADER) == Some(&ERR);
        if sequence == self.sequence || unasked { Ok(Some(length)) } else { Err(disorder("packets out of order")) }
    }

    /// The next packet's payload, if it has arrived whole.
    pub fn take(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(length) = self.arrived()? else { return Ok(None) };
            self.sequence = self.sequence.wrapping_add(1);
            self.buffer.advance(HEADER);
            let part = self.buffer.split_to(length);
            if length < FULL_PART && self.parts.is_empty() {
                return Ok(Some(part.freeze()));
            }
            if self.parts.len() + length > MAX_PACKET {
                return Err(disorder("a packet of more than 1 GiB"));
            }
            self.parts.extend_from_slice(&part);
            if length < FULL_PART {
                return Ok(Some(std::mem::take(&mut self.parts).freeze()));
            }
        }
    }

    /// Sends a payload as the next packet of the conversation.
    pub async fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = payload.len();
        if length >= FULL_PART {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a request of 16 MiB"));
        }
        let mut packet = Vec::with_capacity(4 + length);
        packet.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        packet.push(self.sequence);
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.carrier.write_all(&packet).await?;
        self.carrier.flush().await
    }

    /// Sends the first packet of a conversation.
    pub async fn command(&mut self, payload: &[u8]) -> io::Result<()> {
        self.sequence = 0;
        self.write(payload).await
    }

    /// Closes the connection in good order.
    pub async fn close(mut self) {
        const COM_QUIT: u8 = 1;
        if self.command(&[COM_QUIT]).await.is_ok() {
            let _ = self.carrier.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(sequence: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
        bytes.push(sequence);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// A connection on which `bytes` arrive, in pieces of `piece`.
    fn arriving(bytes: Vec<u8>, piece: usize) -> Packets {
        let (ours, mut theirs) = tokio::io::duplex(piece);
        tokio::spawn(async move {
            let _ = theirs.write_all(&bytes).await;
        });
        Packets::new(Box::new(ours))
    }

    #[tokio::test]
    async fn packets_come_whole_however_the_bytes_arrive() {
        for piece in [1, 3, 1 << 20] {
            let mut packets = arriving([part(0, b"one"), part(1, b""), part(2, b"three")].concat(), piece);
            for expected in [&b"one"[..], b"", b"three"] {
                assert_eq!(packets.read().await.unwrap(), expected);
            }
            assert_eq!(packets.read().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            let mut packets = arriving([part(0, b"one"), part(1, b""), part(2, b"three")].concat(), piece);
            let mut out = Vec::new();
            while out != b"onethree" {
                if !packets.append(&mut out).unwrap() {
                    packets.fill().await.unwrap();
                }
            }
        }
    }

    #[tokio::test]
    async fn parts_are_put_together() {
        let large: Vec<u8> = (0..FULL_PART).map(|at| at as u8).collect();
        let bytes = [part(0, &large), part(1, b"rest"), part(2, &large), part(3, b""), part(4, b"next")].concat();
        let mut packets = arriving(bytes, 1 << 20);
        let packet = packets.read().await.unwrap();
        assert_eq!((packet.len(), &packet[FULL_PART..]), (FULL_PART + 4, &b"rest"[..]));
        assert_eq!(packets.read().await.unwrap(), large);
        assert_eq!(packets.read().await.unwrap(), &b"next"[..]);
        let mut packets = arriving([part(0, &large), part(1, b"rest"), part(2, b"next")].concat(), 1 << 20);
        let mut out = b"before".to_vec();
        while !out.ends_with(b"next") {
            if !packets.append(&mut out).unwrap() {
                packets.fill().await.unwrap();
            }
        }
        assert_eq!((out.len(), &out[6 + FULL_PART..]), (6 + FULL_PART + 8, &b"restnext"[..]));
    }

    #[tokio::test]
    async fn a_packet_that_is_cut_or_out_of_order_is_an_error() {
        let mut packets = arriving(part(0, b"whole")[..6].to_vec(), 64);
        assert_eq!(packets.read().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut packets = arriving(part(7, b"x"), 64);
        assert_eq!(packets.read().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        // a server that has ended the connection meanwhile says so by a packet that nobody asked for
        let mut packets = arriving([part(0, b"ok"), part(0, b"\xffkilled")].concat(), 64);
        packets.read().await.unwrap();
        assert_eq!(packets.read().await.unwrap(), &b"\xffkilled"[..]);
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_loses_nothing() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut packets = Packets::new(Box::new(ours));
        let bytes = part(0, b"slowly");
        for byte in &bytes[..bytes.len() - 1] {
            theirs.write_all(&[*byte]).await.unwrap();
            let waited = tokio::time::timeout(std::time::Duration::from_millis(1), packets.read()).await;
            assert!(waited.is_err());
        }
        theirs.write_all(&bytes[bytes.len() - 1..]).await.unwrap();
        assert_eq!(packets.read().await.unwrap(), &b"slowly"[..]);
    }
}
