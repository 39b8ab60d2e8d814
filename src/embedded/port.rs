//! Free TCP ports on loopback.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

/// Ports to choose from: below the range the kernel takes client ports from (32768 on Linux).
///
/// A client that keeps trying to reach a stopped server on a port of that range is now and then given the very port it
/// connects to, and then talks to itself and keeps the server from starting again.
const PORTS: std::ops::Range<u64> = 15_000..32_000;

/// A TCP port of 127.0.0.1 on which nothing listens just now.
///
/// Another process can take it before it is used; whoever starts a server on it must be ready to try again.
#[must_use]
pub fn free_port() -> u16 {
    for _ in 0..200 {
        let port = PORTS.start + random() % (PORTS.end - PORTS.start);
        if let Ok(port) = u16::try_from(port)
            && is_free(port)
        {
            return port;
        }
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    any.map_or(0, |address| address.port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A number that differs from call to call and from process to process.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
