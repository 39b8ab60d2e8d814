//! Where the target is and how to log in: a `postgres://` URL taken apart.
//!
//! Enters: the URL as typed. Leaves: a [`TargetConfig`]. Neither its `Debug` nor an error about the URL shows the
//! password: errors name the part that cannot be read, never the text.

use crate::error::{Error, ErrorKind, Result};
use secrecy::SecretString;
use std::path::PathBuf;

/// How the connection is encrypted and whom it trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// When the server offers it, without asking for its certificate's trust: against listeners only.
    Prefer,
    /// Always; the certificate's chain is checked when a CA file is given, its name is not (libpq's rule).
    Require,
    /// Always, with chain and host name checked against the CA file, else against Mozilla's roots.
    VerifyFull,
}

/// The target server, database and login.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// Host name or address; a path starting with `/` is the directory of a Unix socket.
    pub host: String,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// Its password, possibly empty.
    pub password: SecretString,
    /// The database.
    pub database: String,
    /// Encryption and trust.
    pub tls: Tls,
    /// PEM file of the certificates to trust.
    pub ca_file: Option<PathBuf>,
}

impl TargetConfig {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, percent-decoded.
    ///
    /// `sslmode` is libpq's: disable, allow, prefer, require, verify-ca, verify-full; allow counts as prefer, and
    /// verify-ca as verify-full, the stricter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the part that is wrong.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| bad("it does not start with postgres://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if database.contains('@') && !authority.contains('@') {
            return Err(bad("user or password holds a character that must be percent-encoded"));
        }
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = host_and_port(place)?;
        let mut config = Self {
            host: decode(host, "host")?,
            port,
            user: decode(user, "user")?,
            password: SecretString::from(decode(password, "password")?),
            database: decode(database, "database")?,
            tls: Tls::Prefer,
            ca_file: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(name, decode(value, "parameter")?)?;
        }
        if config.host.is_empty() {
            config.host = "localhost".into();
        }
        if config.user.is_empty() {
            return Err(bad("it names no user"));
        }
        if config.database.is_empty() {
            return Err(bad("it names no database"));
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "sslmode" => {
                self.tls = match value.as_str() {
                    "disable" | "off" => Tls::Off,
                    "allow" | "prefer" => Tls::Prefer,
                    "require" => Tls::Require,
                    "verify-ca" | "verify-full" => Tls::VerifyFull,
                    _ => return Err(bad("sslmode is none of disable, prefer, require, verify-full")),
                }
            }
            "sslrootcert" if value == "system" => self.ca_file = None,
            "sslrootcert" => self.ca_file = Some(value.into()),
            "host" => self.host = value,
            "port" => self.port = value.parse().map_err(|_| bad("port is not a number below 65536"))?,
            "user" => self.user = value,
            "password" => self.password = SecretString::from(value),
            "dbname" => self.database = value,
            // ours are fixed: the lease finds sessions by the name, and the time limit is connect's
            "application_name" | "connect_timeout" | "client_encoding" => {}
            // why not echo the text: what is not a known name may be the tail of a password with a raw '?'
            _ => return Err(bad("it has a parameter that is not known")),
        }
        Ok(())
    }

    /// `host:port`, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the host is the directory of a Unix socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::Config, "the target's URL cannot be read").detail(why).with_hint(
        "postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=/path/ca.pem\n\
         with / @ : ? # % in user or password written as %2F %40 %3A %3F %23 %25",
    )
}

fn host_and_port(place: &str) -> Result<(&str, u16)> {
    if place.contains(',') {
        return Err(bad("it names several hosts; give the one that accepts writes"));
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| bad("the host's [ is not closed"))?,
        None => place.find(':').map_or((place, ""), |colon| place.split_at(colon)),
    };
    match port.strip_prefix(':').unwrap_or(port) {
        "" => Ok((host, 5432)),
        digits => Ok((host, digits.parse().map_err(|_| bad("port is not a number below 65536"))?)),
    }
}

fn decode(text: &str, what: &str) -> Result<String> {
    let wrong = || bad(&format!("{what}: not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16)).ok_or_else(wrong);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_url_is_taken_apart() {
        let config =
            TargetConfig::from_url("postgres://me%40x:p%2Fw%25@db.example:6432/my%20lab?sslmode=require").unwrap();
        assert_eq!((config.user.as_str(), config.password.expose_secret()), ("me@x", "p/w%"));
        assert_eq!((config.place().as_str(), config.database.as_str()), ("db.example:6432", "my lab"));
        assert_eq!(config.tls, Tls::Require);
        let config = TargetConfig::from_url("postgresql://u@[::1]/d").unwrap();
        assert_eq!((config.host.as_str(), config.port, config.tls), ("::1", 5432, Tls::Prefer));
        let config = TargetConfig::from_url("postgres://u:a@b@%2Frun%2Fpg/d?sslrootcert=/ca.pem").unwrap();
        assert!(config.is_socket());
        assert_eq!(config.password.expose_secret(), "a@b");
        assert_eq!(config.ca_file, Some("/ca.pem".into()));
    }

    #[test]
    fn errors_and_debug_keep_the_password() {
        for url in [
            "postgres://u:geheim@h:99999/d",
            "postgres://u:geheim%zz@h/d",
            "postgres://u:gehe/geheim@h/d",
            "postgres://u:x?geheim@h/d",
            "postgres://:geheim@h/d",
            "postgres://u:geheim@h",
            "mysql://u:geheim@h/d",
            "postgres://u:geheim@h/d?sslmode=geheim",
            "postgres://u:geheim@h,h2/d",
        ] {
            let error = TargetConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{} {error:?}", error.report()).contains("geheim"), "{url}");
        }
        let config = TargetConfig::from_url("postgres://u:geheim@h/d").unwrap();
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
