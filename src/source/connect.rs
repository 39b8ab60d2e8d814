//! Address, login and session of the source.
//!
//! Owns the one way to open a connection. Every session is alike, because the values read depend on it: UTC, so that
//! TIMESTAMP reads as the moment the binlog carries; no conversion of result text (`character_set_results = NULL`), so
//! that text arrives in the column's character set as in the binlog; an empty `sql_mode`, so that zero dates and
//! backslashes mean what they always meant; REPEATABLE READ, on which consistent snapshots rest.
//! The password is in no error and no debug output.

use crate::error::{Error, ErrorKind, Result};
use crate::source::refusal::{classify, is_tls};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::time::Duration;

/// How long a connection may take, TLS and login included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a TCP connection is silent before it is tried whether the other end is still there.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The largest packet taken from the server: the protocol's and `max_allowed_packet`'s own limit, 1 GiB.
const MAX_PACKET: usize = 1 << 30;

/// Whether and how the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Never.
    Off,
    /// Encrypted if the server offers it, without looking at its certificate.
    #[default]
    Prefer,
    /// Always encrypted, without looking at the certificate.
    Require,
    /// Always encrypted, and the certificate must be valid for the host's name.
    VerifyFull,
}

impl std::str::FromStr for Tls {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => Ok(Self::Off),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(config_error("tls must be off, prefer, require or verify-full")),
        }
    }
}

/// Where the source is and who we are there.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Host name or address; not used for connecting when `socket` is set.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password, possibly empty.
    pub password: SecretString,
    /// The databases named by the URL's path, separated by commas; possibly none.
    pub databases: Vec<String>,
    /// Encryption.
    pub tls: Tls,
    /// PEM file of the authorities to trust instead of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Unix socket to connect through.
    pub socket: Option<PathBuf>,
}

impl SourceConfig {
    /// Reads `mysql://user:password@host:port/database[,database…]?tls=…&ca_file=…&socket=…` (`mariadb://` too).
    ///
    /// # Errors
    /// `Config`, never with a part of the URL that could hold the password.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("mysql://")
            .or_else(|| url.strip_prefix("mariadb://"))
            .ok_or_else(|| config_error("the source's URL must start with mysql:// or mariadb://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = split_port(address)?;
        let mut config = Self {
            host: if host.is_empty() { "localhost".into() } else { decode(host)? },
            port,
            user: decode(user)?,
            password: decode(password)?.into(),
            databases: path.split(',').filter(|name| !name.is_empty()).map(decode).collect::<Result<_>>()?,
            tls: Tls::default(),
            ca_file: None,
            socket: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match key {
                "tls" => config.tls = value.parse()?,
                "ca_file" => config.ca_file = Some(value.into()),
                "socket" => config.socket = Some(value.into()),
                _ => return Err(config_error("the source's URL takes only the parameters tls, ca_file and socket")),
            }
        }
        Ok(config)
    }

    /// Where it is, for messages: `host:port` or the socket's path.
    #[must_use]
    pub fn address(&self) -> String {
        self.socket.as_ref().map_or_else(|| format!("{}:{}", self.host, self.port), |path| path.display().to_string())
    }
}

fn config_error(message: &str) -> Error {
    Error::new(ErrorKind::Config, message)
        .with_hint("mysql://user:password@host:3306/database?tls=prefer, with % escapes for special characters")
}

fn split_port(address: &str) -> Result<(&str, u16)> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    if port.is_empty() {
        return Ok((host, 3306));
    }
    Ok((host, port.parse().map_err(|_| config_error("the port in the source's URL is not a number below 65536"))?))
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.ok_or_else(|| config_error("a % in the source's URL is not followed by two hex digits"))?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| config_error("the source's URL does not decode to UTF-8"))
}

/// Opens a connection with the session described in the module's header.
///
/// # Errors
/// `UnknownHost`, `SourceUnavailable`, `AccessDenied` or `Config` (TLS).
pub async fn connect(config: &SourceConfig) -> Result<Conn> {
    resolve(config).await?;
    let first_tls = config.socket.is_none() && config.tls != Tls::Off;
    let mut conn = match open(config, first_tls).await? {
        Ok(conn) => conn,
        Err(error) if config.tls == Tls::Prefer && first_tls && no_tls_there(&error) => open(config, false)
            .await?
            .map_err(|error| classify(error, &format!("cannot connect to the source at {}", config.address())))?,
        Err(error) => return Err(classify(error, &format!("cannot connect to the source at {}", config.address()))),
    };
    prepare_session(&mut conn).await.map_err(|error| classify(error, PREPARING))?;
    Ok(conn)
}

/// Tells a host's name that does not resolve from a host that does not answer.
///
/// # Errors
/// `UnknownHost`.
pub(super) async fn resolve(config: &SourceConfig) -> Result<()> {
    if config.socket.is_none() {
        let _addresses = tokio::net::lookup_host((config.host.as_str(), config.port)).await.map_err(|error| {
            Error::new(ErrorKind::UnknownHost, format!("the source's host name {:?} does not resolve", config.host))
                .with_hint("correct the host in SIRENIA_SOURCE_URL or source.url, or its name service")
                .with_source(error)
        })?;
    }
    Ok(())
}

/// The error of a connection that is not there within [`CONNECT_TIMEOUT`].
pub(super) fn no_answer(config: &SourceConfig) -> Error {
    let message = format!("cannot connect to the source at {}: no answer", config.address());
    Error::new(ErrorKind::SourceUnavailable, message).detail(format!("waited {} s", CONNECT_TIMEOUT.as_secs()))
}

/// [`connect`] for a session that cannot write.
///
/// # Errors
/// As [`connect`].
pub async fn connect_read_only(config: &SourceConfig) -> Result<Conn> {
    let mut conn = connect(config).await?;
    let read_only = conn.query_drop(READ_ONLY).await;
    read_only.map_err(|error| classify(error, PREPARING))?;
    Ok(conn)
}

/// The outer result is the time limit, the inner one the client's.
async fn open(config: &SourceConfig, tls: bool) -> Result<mysql_async::Result<Conn>> {
    let opts = options(config, tls);
    tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(opts)).await.map_err(|_| no_answer(config))
}

fn no_tls_there(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => true,
        mysql_async::Error::Io(error) => is_tls(error),
        _ => false,
    }
}

fn options(config: &SourceConfig, tls: bool) -> Opts {
    let verify = config.tls == Tls::VerifyFull;
    let ssl = tls.then(|| {
        SslOpts::default()
            .with_root_certs(config.ca_file.iter().cloned().map(Into::into).collect())
            .with_disable_built_in_roots(config.ca_file.is_some())
            .with_danger_accept_invalid_certs(!verify)
            .with_danger_skip_domain_validation(!verify)
    });
    OptsBuilder::default()
        .ip_or_hostname(config.host.clone())
        .tcp_port(config.port)
        .user(Some(config.user.clone()))
        .pass(Some(config.password.expose_secret()))
        .socket(config.socket.as_ref().map(|path| path.display().to_string()))
        // the client would silently change over to the server's socket, where another account may apply
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEP_ALIVE))
        .tcp_nodelay(true)
        .max_allowed_packet(Some(MAX_PACKET))
        .wait_timeout(Some(0))
        .ssl_opts(ssl)
        .into()
}

/// What makes every session alike. SET NAMES first: the server may have been told to ignore the character set of the
/// handshake.
pub(super) const SESSION: [&str; 3] = [
    "SET NAMES utf8mb4",
    "SET SESSION character_set_results = NULL, time_zone = '+00:00', sql_mode = '', autocommit = 1, \
     net_read_timeout = 3600, net_write_timeout = 3600, wait_timeout = 2147483, \
     innodb_lock_wait_timeout = 10, sql_select_limit = 18446744073709551615",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];
/// For a session that cannot write.
pub(super) const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";
pub(super) const VERSION: &str = "SELECT VERSION()";
pub(super) const PREPARING: &str = "cannot set up the session on the source";

/// A server-wide limit on the time of a statement would end the copy of a large table.
pub(super) fn without_time_limit(version: &str) -> &'static str {
    match version.contains("MariaDB") {
        true => "SET SESSION max_statement_time = 0",
        false => "SET SESSION max_execution_time = 0",
    }
}

async fn prepare_session(conn: &mut Conn) -> mysql_async::Result<()> {
    for statement in SESSION {
        conn.query_drop(statement).await?;
    }
    let version: Option<String> = conn.query_first(VERSION).await?;
    conn.query_drop(without_time_limit(&version.unwrap_or_default())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_decoded() {
        let config =
            SourceConfig::from_url("mariadb://lab%40x:p%3aw@[::1]:3307/a,b%20c?tls=verify-full&ca_file=/x.pem")
                .unwrap();
        assert_eq!((config.host.as_str(), config.port, config.user.as_str()), ("::1", 3307, "lab@x"));
        assert_eq!(config.password.expose_secret(), "p:w");
        assert_eq!(config.databases, ["a", "b c"]);
        assert_eq!((config.tls, config.ca_file), (Tls::VerifyFull, Some("/x.pem".into())));
        let config = SourceConfig::from_url("mysql://root@db").unwrap();
        assert_eq!((config.port, config.tls, config.databases.len()), (3306, Tls::Prefer, 0));
    }

    #[test]
    fn errors_and_debug_output_do_not_hold_the_password() {
        for url in [
            "mysql://u:hemmelig@h:99999/d",
            "mysql://u:hemmelig%zz@h/d",
            "x://u:hemmelig@h/d",
            "mysql://u:hemmelig@h/?a=b",
        ] {
            let error = SourceConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!error.report().contains("hemmelig"), "{}", error.report());
        }
        let config = SourceConfig::from_url("mysql://u:hemmelig@h/d").unwrap();
        assert!(!format!("{config:?}").contains("hemmelig"));
    }

    #[tokio::test]
    async fn failures_to_connect_have_their_kinds() {
        let kind = async |url: &str| connect(&SourceConfig::from_url(url).unwrap()).await.err().map(|e| e.kind());
        assert_eq!(kind("mysql://u@no-such-host.invalid/").await, Some(ErrorKind::UnknownHost));
        assert_eq!(kind("mysql://u@127.0.0.1:1/").await, Some(ErrorKind::SourceUnavailable));
    }

    #[tokio::test]
    async fn encryption_is_as_asked_for() {
        for server in crate::source::testing::servers() {
            let mut root = server.database("tls").await;
            crate::source::testing::run(&mut root, "CREATE USER tls@'%' IDENTIFIED BY 'pw'").await;
            // MySQL makes itself a certificate that nobody has signed, MariaDB 10.11 has none
            let offers = server.flavor == crate::schema::Flavor::MySql;
            for tls in [Tls::Off, Tls::Prefer, Tls::Require, Tls::VerifyFull] {
                let config = SourceConfig { tls, socket: None, ..server.config("tls", "pw") };
                match connect(&config).await {
                    Ok(mut conn) => {
                        let cipher: Option<(String, String)> =
                            conn.query_first("SHOW SESSION STATUS LIKE 'Ssl_cipher'").await.unwrap();
                        assert_eq!(!cipher.unwrap().1.is_empty(), offers && tls != Tls::Off, "{tls:?}");
                    }
                    Err(error) => {
                        assert!(tls == Tls::VerifyFull || (tls == Tls::Require && !offers), "{}", error.report());
                        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.report());
                    }
                }
            }
            let wrong = SourceConfig { socket: None, ..server.config("tls", "other") };
            assert_eq!(connect(&wrong).await.unwrap_err().kind(), ErrorKind::AccessDenied);
        }
    }
}
