//! What an error of the client or the server means.
//!
//! Owns the table from server error numbers (MySQL's `mysqld_error.h`, shared by MariaDB up to 1900) and client errors
//! to [`ErrorKind`]. Messages carry the server's own text, which names accounts, tables and privileges; client errors
//! that could hold a cell's value are named by their sort only.

use crate::error::{Error, ErrorKind, Result, corrupt};
use mysql_async::{DriverError, IoError, ServerError};
use std::io;

/// Turns an error of the client into ours; `doing` is the beginning of the message.
#[must_use]
pub fn classify(error: mysql_async::Error, doing: &str) -> Error {
    match error {
        mysql_async::Error::Server(error) => server(&error, doing),
        mysql_async::Error::Io(error) if is_tls(&error) => Error::new(ErrorKind::Config, doing)
            .detail(format!("TLS: {error}"))
            .with_hint("set ca_file to the authority that signed the server's certificate, or choose another tls mode"),
        mysql_async::Error::Io(IoError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            corrupt(doing).detail(error.to_string())
        }
        mysql_async::Error::Io(error) => Error::new(ErrorKind::SourceUnavailable, doing).detail(error.to_string()),
        mysql_async::Error::Driver(error) => driver(&error, doing),
        mysql_async::Error::Url(_) => Error::new(ErrorKind::Config, doing).detail("invalid address"),
        mysql_async::Error::Other(error) => Error::new(ErrorKind::SourceUnavailable, doing).detail(error.to_string()),
    }
}

/// Whether encryption failed: wrong settings, or a failed handshake, which the client wraps as an input error.
pub(crate) fn is_tls(error: &IoError) -> bool {
    match error {
        IoError::Tls(_) => true,
        IoError::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
    }
}

/// `result.doing("…")`: [`classify`] for a whole result.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for mysql_async::Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| classify(error, what))
    }
}

fn server(error: &ServerError, doing: &str) -> Error {
    use ErrorKind as K;
    let text = error.message.as_str();
    let (kind, hint) = match error.code {
        1045 | 1698 => {
            (K::AccessDenied, Some("check the user name, the password and the host the account is for".into()))
        }
        1129 | 1130 => (K::AccessDenied, Some("let an account of the source log in from this host".into())),
        1044 | 1142 | 1143 | 1227 | 1370 => (K::AccessDenied, Some(missing_grant(error))),
        1049 => (K::Config, Some("check the database's name; SHOW DATABASES lists what the account can see".into())),
        1251 | 2059 => (K::Config, Some("give the account an authentication plugin that this client knows".into())),
        // too many connections, shutdown, lost or killed connections, lock waits and interrupted statements
        1040
        | 1053
        | 1077
        | 1079
        | 1158..=1161
        | 1184
        | 1203
        | 1205
        | 1213
        | 1226
        | 1317
        | 1927
        | 2002
        | 2003
        | 2006
        | 2013
        | 2055
        | 3024
        | 3032
        | 3169
        | 4031 => (K::SourceUnavailable, None),
        1051 | 1054 | 1146 | 1412 => (K::SchemaMismatch, None),
        1064 | 1149 => (K::Bug, None),
        _ => (K::SourceSetting, None),
    };
    let out = Error::new(kind, doing).detail(format!("server error {}: {text}", error.code));
    match hint {
        Some(hint) => out.with_hint(hint),
        None => out,
    }
}

/// The GRANT that the refusal asks for, as far as its text says.
fn missing_grant(error: &ServerError) -> String {
    let text = error.message.as_str();
    if let Some((_, rest)) = text.split_once("at least one of) the ")
        && let Some((privileges, _)) = rest.split_once(" privilege")
    {
        let wanted = privileges.split([',', '/']).flat_map(|part| part.split(" or ")).map(str::trim);
        let wanted = wanted.filter(|name| *name != "SUPER").last().unwrap_or("SUPER");
        return format!("GRANT {wanted} ON *.* TO the account of this connection");
    }
    if let Some((privilege, _)) = text.split_once(" command denied") {
        return format!("GRANT {privilege} ON the database TO the account of this connection");
    }
    "grant the account of this connection access to the database".into()
}

fn driver(error: &DriverError, doing: &str) -> Error {
    use DriverError as D;
    let kind = match error {
        D::ConnectionClosed | D::PoolDisconnected => ErrorKind::SourceUnavailable,
        D::NoClientSslFlagFromServer
        | D::UnknownAuthPlugin { .. }
        | D::MysqlOldPasswordDisabled
        | D::CleartextPluginDisabled
        | D::NoKeyFound => ErrorKind::Config,
        D::PacketTooLarge => ErrorKind::SourceSetting,
        D::PacketOutOfOrder | D::UnexpectedPacket { .. } | D::BadCompressedPacketHeader => ErrorKind::SourceUnavailable,
        _ => ErrorKind::Bug,
    };
    // the texts of these errors name no values (their fields, which may, are not printed)
    Error::new(kind, doing).detail(error.to_string())
}

/// Whether the server refused for want of a privilege (XA RECOVER answers 1401 instead on MySQL).
#[must_use]
pub(crate) fn is_denied(error: &mysql_async::Error) -> bool {
    matches!(server_code(error), Some(1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1401))
}

/// The server's error number.
#[must_use]
pub(crate) fn server_code(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(error) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Error {
        let error = ServerError { code, message: message.into(), state: "HY000".into() };
        classify(mysql_async::Error::Server(error), "cannot look")
    }

    #[test]
    fn refusals_name_the_grant() {
        let error = refused(
            1227,
            "Access denied; you need (at least one of) the SUPER, REPLICATION CLIENT privilege(s) for this operation",
        );
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        assert_eq!(error.hint(), Some("GRANT REPLICATION CLIENT ON *.* TO the account of this connection"));
        let error = refused(1142, "SELECT command denied to user 't'@'localhost' for table `lab`.`p`");
        assert!(error.hint().unwrap().starts_with("GRANT SELECT ON"));
    }

    #[test]
    fn bytes_that_follow_no_format_are_no_passing_trouble() {
        let of = |kind| classify(io::Error::new(kind, "why").into(), "cannot look").kind();
        assert_eq!(of(io::ErrorKind::InvalidData), ErrorKind::Corrupt);
        assert_eq!(of(io::ErrorKind::UnexpectedEof), ErrorKind::SourceUnavailable);
    }

    #[test]
    fn passing_troubles_are_retried_and_settings_are_not() {
        for code in [1040, 1053, 2006, 2013, 1205] {
            assert_eq!(refused(code, "").kind(), ErrorKind::SourceUnavailable);
        }
        assert_eq!(refused(1049, "").kind(), ErrorKind::Config);
        assert_eq!(refused(1234, "").kind(), ErrorKind::SourceSetting);
    }
}
