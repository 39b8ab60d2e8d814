//! One database server as the program connects to it: address, login, TLS.
//!
//! Made from a section's keys and its URL, where a key stands above the URL's part of the same meaning. The password
//! is a [`SecretString`]: it shows in no `Debug` output and is wiped when dropped.

use crate::config::choice::choice;
use crate::config::secret_url;
use crate::error::{Error, ErrorKind, Result};
use secrecy::SecretString;
use std::fmt;
use std::path::{Path, PathBuf};

choice! {
    /// How a connection is encrypted.
    Tls {
        /// Not at all. The default for a socket and for loopback addresses.
        Off = "off",
        /// If the server can; its certificate is not checked. The default elsewhere.
        Prefer = "prefer",
        /// Always; its certificate is not checked.
        Require = "require",
        /// Always, and the certificate must be valid for the host's name.
        VerifyFull = "verify-full",
    }
}

/// A server with everything that is needed to log in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Name or address; `localhost` when there is a socket and no host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whom to log in as.
    pub user: String,
    /// The password, possibly empty.
    pub password: SecretString,
    /// The database to connect to; for a source of several databases the first of them.
    pub database: String,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// PEM file of the authorities trusted instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Unix socket (MySQL: the socket file; PostgreSQL: its folder), used instead of host and port.
    pub socket: Option<PathBuf>,
}

/// The address for messages: `host:port/database` or `socket/database`; never the login.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "{}/{}", socket.display(), self.database),
            None if self.host.contains(':') => write!(f, "[{}]:{}/{}", self.host, self.port, self.database),
            None => write!(f, "{}:{}/{}", self.host, self.port, self.database),
        }
    }
}

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

impl Side {
    pub(super) fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["mysql", "mariadb"],
            Self::Target => &["postgres", "postgresql"],
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Source => 3306,
            Self::Target => 5432,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Source => Self::Target,
            Self::Target => Self::Source,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// The keys that `[source]` and `[target]` have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub url: Option<SecretString>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub socket: Option<PathBuf>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    pub password_file: Option<PathBuf>,
    pub database: Option<String>,
    pub tls: Option<Tls>,
    pub ca_file: Option<PathBuf>,
}

impl Login {
    /// Whether it says which database, by key or within the URL.
    pub(super) fn names_database(&self, side: Side) -> bool {
        let in_url = |url| secret_url::parse(side, url).is_ok_and(|url| url.database.is_some());
        self.database.is_some() || self.url.as_ref().is_some_and(in_url)
    }

    /// Whether it says which server.
    pub(super) fn names_server(&self) -> bool {
        self.url.is_some() || self.host.is_some() || self.socket.is_some()
    }

    /// Refuses what one place says twice: no order of precedence could tell which of the two was meant.
    pub(super) fn check(&self, side: Side, place: &str) -> Result<()> {
        let twice = |a: &str, b: &str| {
            Error::new(ErrorKind::Config, format!("{side}: {a} and {b} are both given in {place}"))
                .with_hint("give one of them")
        };
        if self.password.is_some() && self.password_file.is_some() {
            return Err(twice("password", "password_file"));
        }
        let Some(url) = &self.url else { return Ok(()) };
        let url = secret_url::parse(side, url).map_err(|error| error.at(place))?;
        let password = url.password.is_some();
        for (key, both) in [
            ("host", self.host.is_some() && url.host.is_some()),
            ("port", self.port.is_some() && url.port.is_some()),
            ("socket", self.socket.is_some() && url.socket.is_some()),
            ("user", self.user.is_some() && url.user.is_some()),
            ("password", self.password.is_some() && password),
            ("password_file", self.password_file.is_some() && password),
            ("database", self.database.is_some() && url.database.is_some()),
            ("tls", self.tls.is_some() && url.tls.is_some()),
            ("ca_file", self.ca_file.is_some() && url.ca_file.is_some()),
        ] {
            if both {
                return Err(twice("url with the same part", key));
            }
        }
        Ok(())
    }

    /// The endpoint, defaulted. `database` is what several databases in a list leave for the connection.
    pub(super) fn resolve(self, side: Side, database: Option<String>) -> Result<Endpoint> {
        let url = self.url.as_ref().map(|url| secret_url::parse(side, url)).transpose()?.unwrap_or_default();
        let socket = self.socket.or(url.socket);
        let host = self.host.or(url.host);
        let Some(host) = host.or_else(|| socket.is_some().then(|| "localhost".to_owned())) else {
            return Err(missing(side, "host", "URL"));
        };
        let user = self.user.or(url.user).ok_or_else(|| missing(side, "user", "USER"))?;
        let database =
            self.database.or(url.database).or(database).ok_or_else(|| missing(side, "database", "DATABASE"))?;
        let password = match (self.password, self.password_file) {
            (Some(password), _) => password,
            (None, Some(file)) => read_password(side, &file)?,
            (None, None) => url.password.unwrap_or_default(),
        };
        let local = socket.is_some() || is_loopback(&host);
        let tls = self.tls.or(url.tls).unwrap_or(if local { Tls::Off } else { Tls::Prefer });
        let ca_file = self.ca_file.or(url.ca_file);
        let port = self.port.or(url.port).unwrap_or(side.port());
        if port == 0 {
            return Err(Error::new(ErrorKind::Config, format!("{side}.port is 0")));
        }
        Ok(Endpoint { host, port, user, password, database, tls, ca_file, socket })
    }
}

fn missing(side: Side, what: &str, variable: &str) -> Error {
    let upper = side.to_string().to_uppercase();
    Error::new(ErrorKind::Config, format!("the {side}'s {what} is not set")).with_hint(format!(
        "set SIRENIA_{upper}_URL={}://user:password@host:{}/database, or [{side}] {what} in sirenia.toml{}",
        side.schemes()[0],
        side.port(),
        if variable == "URL" { String::new() } else { format!(", or SIRENIA_{upper}_{variable}") },
    ))
}

fn read_password(side: Side, file: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(ErrorKind::Config, format!("{side}.password_file {} cannot be read", file.display()))
            .with_source(error)
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
