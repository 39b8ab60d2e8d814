//! One session on the target, set up the way every statement of ours expects it.
//!
//! Enters: a [`TargetConfig`] and the session's application name, by which a successor of our lease finds and ends it.
//! Leaves: a [`Connection`], which behaves as the client and ends its socket when dropped. Invariant: names resolve in
//! `pg_catalog` only (all others are qualified), times are UTC, isolation is READ COMMITTED, on which the fence relies.

use super::address::{TargetConfig, Tls};
use super::error::{PASSWORD_HINT, classify, on, sqlstate};
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use crate::tls::{Trust, client_config};
use secrecy::ExposeSecret;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Longest wait for a connection, login included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a statement waits for a lock before it fails and is retried, as SQL.
const LOCK_TIMEOUT: &str = "30s";

/// A session on the target. Dropping it closes the socket; the server rolls back what was open.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    canceller: Canceller,
}

impl Connection {
    /// Asks the server to cancel what this session executes. Whether anything was cancelled is not known.
    ///
    /// # Errors
    /// [`ErrorKind::TargetUnavailable`] when the server cannot be reached for it.
    pub async fn cancel(&self) -> Result<()> {
        self.canceller.cancel().await
    }

    /// The means to cancel, for another task.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Changes the session's application name.
    ///
    /// # Errors
    /// As [`classify`] says.
    pub async fn set_application_name(&self, name: &str) -> Result<()> {
        let sql = format!("SET application_name = {}", ident::postgres_literal(name));
        self.client.batch_execute(&sql).await.map_err(on("naming the session"))
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Cancels what a session executes.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Canceller {
    /// See [`Connection::cancel`].
    ///
    /// # Errors
    /// [`ErrorKind::TargetUnavailable`] when the server cannot be reached for it.
    pub async fn cancel(&self) -> Result<()> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.token.cancel_query(self.tls.clone())).await {
            Ok(done) => done.map_err(on("cancelling a statement")),
            Err(_) => Err(Error::new(ErrorKind::TargetUnavailable, "cancelling a statement").detail("timed out")),
        }
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

/// Opens a session.
///
/// # Errors
/// [`ErrorKind::UnknownHost`], [`ErrorKind::TargetUnavailable`], [`ErrorKind::AccessDenied`], [`ErrorKind::Config`]
/// (database missing, TLS not as asked for).
pub async fn connect(config: &TargetConfig, application_name: &str) -> Result<Connection> {
    match tokio::time::timeout(CONNECT_TIMEOUT, open(config, application_name)).await {
        Ok(connection) => connection,
        Err(_) => Err(Error::new(ErrorKind::TargetUnavailable, doing(config))
            .detail(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

fn doing(config: &TargetConfig) -> String {
    format!("connecting to PostgreSQL at {}", config.place())
}

async fn open(config: &TargetConfig, application_name: &str) -> Result<Connection> {
    // libpq's modes: `require` with a CA file checks the chain, `verify-full` the host's name too
    let trust = match (config.tls, &config.ca_file) {
        (Tls::VerifyFull, _) => Trust::ChainAndName,
        (Tls::Require, Some(_)) => Trust::Chain,
        _ => Trust::Anyone,
    };
    let rustls = Arc::unwrap_or_clone(client_config(trust, config.ca_file.as_deref(), "target")?);
    let tls = MakeRustlsConnect::new(rustls);
    let options = options(config, application_name).await?;
    let (client, driver) = options.connect(tls.clone()).await.map_err(|error| refused(error, config))?;
    let canceller = Canceller { token: client.cancel_token(), tls };
    let driver = tokio::spawn(async move {
        // its end reaches whoever uses the client as "connection closed"
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a session on the target has ended");
        }
    });
    let connection = Connection { client, driver, canceller };
    set_up(&connection).await?;
    Ok(connection)
}

async fn options(config: &TargetConfig, application_name: &str) -> Result<tokio_postgres::Config> {
    let mut options = tokio_postgres::Config::new();
    options
        .port(config.port)
        .user(&config.user)
        .dbname(&config.database)
        .application_name(application_name)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30))
        .ssl_mode(match config.tls {
            Tls::Prefer if !config.is_socket() => SslMode::Prefer,
            Tls::Off | Tls::Prefer => SslMode::Disable,
            Tls::Require | Tls::VerifyFull => SslMode::Require,
        });
    if !config.password.expose_secret().is_empty() {
        options.password(config.password.expose_secret());
    }
    if config.is_socket() {
        options.host_path(&config.host).connect_timeout(CONNECT_TIMEOUT);
        return Ok(options);
    }
    // resolved here, since the client library does not tell an unknown host from a refused connection
    let addresses: Vec<_> = match tokio::net::lookup_host((config.host.as_str(), config.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(Error::new(ErrorKind::UnknownHost, format!("the target's host {} is not known", config.host))
                .detail(error.to_string())
                .with_hint("correct the host in SIRENIA_TARGET_URL or target.url, or its name service"));
        }
    };
    for address in &addresses {
        options.host(&config.host).hostaddr(address.ip());
    }
    options.connect_timeout(CONNECT_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(1));
    Ok(options)
}

fn refused(error: tokio_postgres::Error, config: &TargetConfig) -> Error {
    let doing = doing(config);
    let (user, database) = (ident::postgres(&config.user), ident::postgres(&config.database));
    let text = error.to_string();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    match sqlstate(&error) {
        Some("28P01" | "28000") => classify(error, &doing).with_hint(PASSWORD_HINT),
        Some("3D000") => classify(error, &doing).with_hint(format!("CREATE DATABASE {database};")),
        Some("42501") => {
            classify(error, &doing).with_hint(format!("GRANT CONNECT, CREATE ON DATABASE {database} TO {user};"))
        }
        Some(_) => classify(error, &doing),
        // the library keeps its kinds to itself; these are their fixed texts
        None if text.starts_with("error performing TLS") => tls_failed(&error, doing, cause, config),
        None if text == "authentication error" || (text == "invalid configuration" && cause.contains("password")) => {
            Error::new(ErrorKind::AccessDenied, doing).detail(cause).with_hint(PASSWORD_HINT)
        }
        None if text == "invalid configuration" => Error::new(ErrorKind::Config, doing).detail(cause),
        None => classify(error, &doing),
    }
}

fn tls_failed(error: &tokio_postgres::Error, doing: String, cause: String, config: &TargetConfig) -> Error {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    if io
        .is_some_and(|io| io.kind() != std::io::ErrorKind::InvalidData && io.kind() != std::io::ErrorKind::InvalidInput)
    {
        return Error::new(ErrorKind::TargetUnavailable, doing).detail(cause);
    }
    let hint = match config.tls {
        Tls::VerifyFull | Tls::Require if cause.contains("ertificate") => {
            "give the CA's certificate: sslrootcert=/path/ca.pem in the URL, or target.ca_file"
        }
        _ => "sslmode=prefer uses TLS only where the server offers it, sslmode=disable never",
    };
    Error::new(ErrorKind::Config, doing).detail(format!("TLS: {cause}")).with_hint(hint)
}

/// Settings that a role or database may have otherwise and that our statements rely on.
async fn set_up(client: &Client) -> Result<()> {
    let settings = format!(
        "SET search_path = '';
         SET TimeZone = 'UTC';
         SET client_encoding = 'UTF8';
         SET standard_conforming_strings = on;
         SET lock_timeout = '{LOCK_TIMEOUT}';
         SET default_transaction_isolation = 'read committed';
         SET row_security = off;
         SET client_min_messages = warning;
         SET jit = off;
         SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
          WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout',
                         'idle_session_timeout', 'transaction_timeout');
         -- a session that we have left lets go of its locks at once, even while it works or waits
         SELECT pg_catalog.set_config(name, '1000', false) FROM pg_catalog.pg_settings
          WHERE name = 'client_connection_check_interval'"
    );
    client.batch_execute(&settings).await.map_err(on("setting up a session on the target"))
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
