//! Server addresses as URLs, of which no part ever shows in an error: what looks like a host may be half a password.
//!
//! `scheme://user:password@host:port/database?tls=verify-full&ca_file=/path`. User, password, host and database may be
//! percent-encoded. Parsed here and not by a general URL crate because those repeat the URL in their errors, and
//! because an unencoded `@` in a password, the commonest mistake, can be read as it was meant.

use crate::config::endpoint::{Side, Tls};
use crate::error::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;

/// What a URL says of a server; what it leaves out is `None`.
#[derive(Debug, Clone, Default)]
pub(super) struct Address {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    pub database: Option<String>,
    pub socket: Option<PathBuf>,
    pub tls: Option<Tls>,
    pub ca_file: Option<PathBuf>,
}

/// Takes a URL apart.
pub(super) fn parse(side: Side, url: &SecretString) -> Result<Address> {
    Url { side }.parse(url.expose_secret().trim())
}

struct Url {
    side: Side,
}

impl Url {
    fn parse(&self, url: &str) -> Result<Address> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| self.bad("it has no scheme"))?;
        if !self.side.schemes().contains(&scheme) {
            let other = self.side.other().schemes().contains(&scheme);
            return Err(self.bad(if other { "it is a URL of the other side" } else { "its scheme is not known" }));
        }
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(authority_end);
        if rest.contains('@') {
            return Err(self.bad("there is an `@` behind the host: special characters are not percent-encoded"));
        }
        let mut address = Address::default();
        let server = match authority.rsplit_once('@') {
            Some((login, server)) => {
                let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
                address.user = self.non_empty(user)?;
                address.password = password.map(|text| self.decoded(text)).transpose()?.map(SecretString::from);
                server
            }
            None => authority,
        };
        self.server(server, &mut address)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.contains('/') {
            return Err(self.bad("the path is more than a database's name"));
        }
        address.database = self.non_empty(path)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.parameter(key, &self.decoded(value)?, &mut address)?;
        }
        Ok(address)
    }

    fn server(&self, text: &str, address: &mut Address) -> Result<()> {
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (host, rest) = bracketed.split_once(']').ok_or_else(|| self.bad("a bracket is not closed"))?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
        } else {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (host, Some(port))
        };
        address.host = self.non_empty(host)?;
        match port {
            Some("") => {}
            Some(port) => address.port = Some(port.parse().map_err(|_| self.bad("the port is not a number"))?),
            None => return Err(self.bad("something unexpected follows the host's bracket")),
        }
        // why: libpq's form of a socket, a percent-encoded folder in the host's place
        if address.host.as_ref().is_some_and(|host| host.starts_with('/')) {
            address.socket = address.host.take().map(PathBuf::from);
        }
        Ok(())
    }

    fn parameter(&self, key: &str, value: &str, address: &mut Address) -> Result<()> {
        match key {
            "tls" | "sslmode" | "ssl-mode" | "ssl_mode" => {
                address.tls = Some(tls(value).ok_or_else(|| {
                    self.bad("its TLS mode is not known: write `tls=` with off, prefer, require or verify-full")
                })?);
            }
            "ca_file" | "sslrootcert" | "ssl-ca" => address.ca_file = Some(PathBuf::from(value)),
            "socket" => address.socket = Some(PathBuf::from(value)),
            // why: a parameter that is skipped may have asked for more safety than it gets
            _ => return Err(self.bad("it has a parameter that is not known; `tls`, `ca_file` and `socket` are")),
        }
        Ok(())
    }

    fn non_empty(&self, text: &str) -> Result<Option<String>> {
        self.decoded(text).map(|text| (!text.is_empty()).then_some(text))
    }

    fn decoded(&self, text: &str) -> Result<String> {
        let bad = || self.bad("a `%` is not followed by two hexadecimal digits: write %25 for the sign itself");
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
            bytes.push((high * 16 + low) as u8);
        }
        String::from_utf8(bytes).map_err(|_| self.bad("percent-encoded characters are not UTF-8"))
    }

    fn bad(&self, why: &str) -> Error {
        let side = self.side;
        Error::new(ErrorKind::Config, format!("the {side}'s URL cannot be read: {why}")).with_hint(format!(
            "write {}://user:password@host:{}/database, with / @ : ? % in the password as %2F %40 %3A %3F %25;\n\
             or give host, user, password_file and database one by one",
            side.schemes()[0],
            side.port(),
        ))
    }
}

/// A TLS mode by our name, libpq's or MySQL's. `verify-ca` becomes the stricter `verify-full`.
fn tls(text: &str) -> Option<Tls> {
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "off" | "disable" | "disabled" => Some(Tls::Off),
        "prefer" | "preferred" | "allow" => Some(Tls::Prefer),
        "require" | "required" => Some(Tls::Require),
        "verify-full" | "verify-ca" | "verify-identity" => Some(Tls::VerifyFull),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> Result<Address> {
        parse(Side::Source, &SecretString::from(url))
    }

    #[test]
    fn every_part_is_read_and_decoded() {
        let address =
            source("mariadb://us%40er:p%2Fa%3Ass@db.example:3307/my%20lab?tls=verify-full&ca_file=/ca.pem").unwrap();
        assert_eq!(address.user.as_deref(), Some("us@er"));
        assert_eq!(address.password.unwrap().expose_secret(), "p/a:ss");
        assert_eq!((address.host.as_deref(), address.port), (Some("db.example"), Some(3307)));
        assert_eq!(address.database.as_deref(), Some("my lab"));
        assert_eq!((address.tls, address.ca_file), (Some(Tls::VerifyFull), Some(PathBuf::from("/ca.pem"))));
    }

    #[test]
    fn a_url_may_be_short() {
        let address = source("mysql://db").unwrap();
        assert_eq!((address.host.as_deref(), address.port, address.database), (Some("db"), None, None));
        let address = source("mysql://u@[::1]:3306/lab").unwrap();
        assert_eq!((address.host.as_deref(), address.port), (Some("::1"), Some(3306)));
        let address = source("mysql://u@/lab?socket=/run/mysqld.sock").unwrap();
        assert_eq!((address.host, address.socket), (None, Some(PathBuf::from("/run/mysqld.sock"))));
        let address = parse(Side::Target, &SecretString::from("postgres://u@%2Frun%2Fpg/lab?sslmode=disable")).unwrap();
        assert_eq!((address.socket, address.tls), (Some(PathBuf::from("/run/pg")), Some(Tls::Off)));
    }

    #[test]
    fn an_at_sign_in_the_password_needs_no_encoding() {
        let address = source("mysql://root:p@ss@db/lab").unwrap();
        assert_eq!(address.password.unwrap().expose_secret(), "p@ss");
        assert_eq!(address.host.as_deref(), Some("db"));
    }

    #[test]
    fn nothing_of_a_bad_url_shows() {
        for bad in [
            "hunter2",
            "mysql:hunter2@db/lab",
            "hunter2://db/lab",
            "postgres://u:hunter2@db/lab",
            "mysql://u:12/hunter2@db/lab",
            "mysql://u:x?hunter2@db/lab",
            "mysql://u:hunter2%@db/lab",
            "mysql://u:hunter2%zz@db/lab",
            "mysql://u:hunter2%ff@db/lab",
            "mysql://db:hunter2/lab",
            "mysql://u:hunter2@db:port/lab",
            "mysql://u:hunter2@[::1/lab",
            "mysql://u:hunter2@[::1]x/lab",
            "mysql://u:hunter2@db/lab/more",
            "mysql://u:hunter2@db/lab?hunter2=1",
            "mysql://u:hunter2@db/lab?tls=hunter2",
        ] {
            let error = source(bad).expect_err(bad);
            assert!(!format!("{error:?}{}", error.report()).contains("hunter2"), "{bad}: {}", error.report());
            assert_eq!(error.kind(), ErrorKind::Config);
        }
    }
}
