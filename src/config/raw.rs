//! `sirenia.toml` as typed: every key optional, none of them checked against another.
//!
//! The environment and the flags fill the same structs, so that precedence is one operation: [`Raw::overlay`]. A key
//! that is not known is an error with file, line and the known keys. Errors never repeat the file's text, because
//! the line that cannot be read may hold a password.

use crate::config::endpoint::{Login, Side, Tls};
use crate::config::resolved::{
    BigintUnsigned, Bit1Type, Capture, EnumType, JsonType, LogFormat, OnDrop, OnUnknown, SetType, TimeType, TinyInt1,
};
use crate::config::units::ByteSize;
use crate::error::{Error, ErrorKind, Result};
use crate::masking::Mask;
use crate::policy::PolicySettings;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Defines a section: a struct of optional keys, and how a stronger place's values are laid over it.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$doc])* pub $field: Option<$ty>),* }

        impl $name {
            fn overlay(&mut self, stronger: Self) {
                $(if stronger.$field.is_some() { self.$field = stronger.$field; })*
            }
        }
    };
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// Name of the pipeline: what its checkpoint and lease are kept under.
    pub pipeline: Option<String>,
    /// `[source]`
    pub source: RawSource,
    /// `[target]`
    pub target: RawTarget,
    /// `[tables]`
    pub tables: RawTables,
    /// `[types]`
    pub types: RawTypes,
    /// `[schema]`
    pub schema: RawSchema,
    /// `[sanitize]`: reason → policy.
    pub sanitize: PolicySettings,
    /// `[quarantine]`
    pub quarantine: RawQuarantine,
    /// `[ddl]`
    pub ddl: RawDdl,
    /// `[mask]`
    pub mask: RawMask,
    /// `[apply]`
    pub apply: RawApply,
    /// `[snapshot]`
    pub snapshot: RawSnapshot,
    /// `[lease]`
    pub lease: RawLease,
    /// `[http]`
    pub http: RawHttp,
    /// `[log]`
    pub log: RawLog,
}

section! {
    /// `[source]`: the MySQL or MariaDB server.
    RawSource {
        /// `mysql://user:password@host:3306/database`
        url: SecretString,
        /// Name or address.
        host: String,
        /// TCP port, 3306.
        port: u16,
        /// Socket file, instead of host and port.
        socket: PathBuf,
        /// Whom to log in as.
        user: String,
        /// The password.
        password: SecretString,
        /// A file with the password, instead of `password`.
        password_file: PathBuf,
        /// The database to carry.
        database: String,
        /// The databases to carry, if several.
        databases: Vec<String>,
        /// Encryption.
        tls: Tls,
        /// PEM file of trusted authorities.
        ca_file: PathBuf,
        /// How changes are captured.
        capture: Capture,
    }
}

section! {
    /// `[target]`: the PostgreSQL server.
    RawTarget {
        /// `postgres://user:password@host:5432/database`
        url: SecretString,
        /// Name or address.
        host: String,
        /// TCP port, 5432.
        port: u16,
        /// The socket's folder, instead of host and port.
        socket: PathBuf,
        /// Whom to log in as.
        user: String,
        /// The password.
        password: SecretString,
        /// A file with the password, instead of `password`.
        password_file: PathBuf,
        /// The database.
        database: String,
        /// Encryption.
        tls: Tls,
        /// PEM file of trusted authorities.
        ca_file: PathBuf,
        /// The schema that tables go to.
        schema: String,
        /// Source database → schema, for several databases.
        schemas: BTreeMap<String, String>,
    }
}

section! {
    /// `[tables]`: what is carried.
    RawTables {
        /// Patterns of tables to carry; all without it.
        include: Vec<String>,
        /// Patterns of tables to leave out.
        exclude: Vec<String>,
        /// `[tables.rules."name"]`
        rules: BTreeMap<String, RawRule>,
    }
}

/// `[tables.rules."name"]`: one table's rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRule {
    /// The table's name on the target.
    pub rename: Option<String>,
    /// Columns left out.
    pub exclude_columns: Vec<String>,
    /// Source column → target column.
    pub rename_columns: BTreeMap<String, String>,
    /// Which rows are carried, like `status <> 'draft'`.
    pub rows: Option<String>,
    /// `[tables.rules."name".columns."column"]`
    pub columns: BTreeMap<String, RawColumnRule>,
}

/// `[tables.rules."name".columns."column"]`: one column's rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawColumnRule {
    /// Reason → policy.
    pub sanitize: PolicySettings,
    /// The PostgreSQL type it becomes.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// How it is masked.
    pub mask: Option<Mask>,
}

section! {
    /// `[types]`: choices of the type map.
    RawTypes {
        /// What `tinyint(1)` becomes.
        tinyint1: TinyInt1,
        /// What `bigint unsigned` becomes.
        bigint_unsigned: BigintUnsigned,
        /// What ENUM becomes.
        r#enum: EnumType,
        /// What SET becomes.
        set: SetType,
        /// What TIME becomes.
        time: TimeType,
        /// What JSON becomes.
        json: JsonType,
        /// What `bit(1)` becomes.
        bit1: Bit1Type,
        /// The time zone of DATETIME, which then becomes `timestamptz`.
        datetime_zone: String,
    }
}

section! {
    /// `[schema]`: what the tables get besides their columns.
    RawSchema {
        /// Whether foreign keys are made.
        foreign_keys: bool,
        /// Whether tables and columns get their comments.
        comments: bool,
        /// Whether columns get their defaults and AUTO_INCREMENT becomes an identity.
        defaults: bool,
        /// Whether the cutover makes triggers for ON UPDATE CURRENT_TIMESTAMP.
        on_update_trigger: bool,
    }
}

section! {
    /// `[mask]`: the key of hashes.
    RawMask {
        /// The key; from the environment only, since files are shown around.
        #[serde(skip)]
        key: SecretString,
        /// A file with the key.
        key_file: PathBuf,
    }
}

section! {
    /// `[ddl]`: what the source's DDL may do to the target.
    RawDdl {
        /// What becomes of a table that the source drops.
        drop_table: OnDrop,
        /// What becomes of a column that the source drops.
        drop_column: OnDrop,
        /// What happens at a statement that cannot be carried over.
        unknown: OnUnknown,
    }
}

section! {
    /// `[quarantine]`: rows that cannot be applied.
    RawQuarantine {
        /// Most rows of one table.
        max_rows_per_table: u64,
    }
}

section! {
    /// `[apply]`: sizes.
    RawApply {
        /// Rows after which a batch is cut at the next commit.
        batch_rows: u64,
        /// Bytes after which a batch is cut at the next commit.
        batch_bytes: ByteSize,
        /// What all queues and batches may hold together.
        memory: ByteSize,
        /// Tables read at once by the snapshot.
        readers: u64,
    }
}

section! {
    /// `[snapshot]`: how much a copy may ask of the source.
    RawSnapshot {
        /// Most rows read in a second.
        rows_per_second: u64,
        /// Most bytes of rows read in a second.
        bytes_per_second: ByteSize,
        /// The copy waits while more of the source's threads run.
        max_threads_running: u64,
        /// The copy waits while replication is further behind, in seconds.
        max_replica_lag: u64,
        /// Replicas of the source whose lag counts, as `host:port`; they are asked with the source's account.
        replicas: Vec<String>,
    }
}

section! {
    /// `[lease]`: who may write.
    RawLease {
        /// Seconds until a lease that is not renewed expires.
        ttl: u64,
        /// Name of this instance; host and process without it.
        holder: String,
    }
}

section! {
    /// `[http]`: health, metrics and status.
    RawHttp {
        /// Address to listen on, or `off`.
        listen: String,
    }
}

section! {
    /// `[log]`: what goes to stderr.
    RawLog {
        /// Text or JSON.
        format: LogFormat,
        /// A level, or a filter like `sirenia=debug,warn`.
        level: String,
    }
}

/// What a URL replaces of a weaker place, and the common keys as one struct.
macro_rules! server {
    ($name:ident, $side:expr) => {
        impl $name {
            /// Lays a stronger place's values over these. A URL there names another server: nothing of this one's
            /// address or login may be mixed into it. How the connection is encrypted stays.
            fn overlay_server(&mut self, stronger: Self) {
                if stronger.url.is_some() {
                    (self.url, self.host, self.port, self.socket) = (None, None, None, None);
                    (self.user, self.password, self.password_file) = (None, None, None);
                    if stronger.login().names_database($side) {
                        self.database = None;
                    }
                }
                if stronger.password.is_some() || stronger.password_file.is_some() {
                    (self.password, self.password_file) = (None, None);
                }
                self.overlay(stronger);
            }

            pub(super) fn login(&self) -> Login {
                Login {
                    url: self.url.clone(),
                    host: self.host.clone(),
                    port: self.port,
                    socket: self.socket.clone(),
                    user: self.user.clone(),
                    password: self.password.clone(),
                    password_file: self.password_file.clone(),
                    database: self.database.clone(),
                    tls: self.tls,
                    ca_file: self.ca_file.clone(),
                }
            }
        }
    };
}

server!(RawSource, Side::Source);
server!(RawTarget, Side::Target);

impl Raw {
    /// Reads the text of `sirenia.toml`; `path` is for messages.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let message = without_values(error.message());
            Error::new(ErrorKind::Config, format!("{}:{line}:{column}: {message}", path.display()))
        })
    }

    /// Lays the values of a stronger place over these.
    pub(super) fn overlay(&mut self, stronger: Self) {
        if stronger.pipeline.is_some() {
            self.pipeline = stronger.pipeline;
        }
        // why: `database` and `databases` answer one question, so the stronger place's answer stands alone
        if stronger.source.databases.is_some() || stronger.source.login().names_database(Side::Source) {
            (self.source.database, self.source.databases) = (None, None);
        }
        self.source.overlay_server(stronger.source);
        self.target.overlay_server(stronger.target);
        self.tables.overlay(stronger.tables);
        self.types.overlay(stronger.types);
        self.schema.overlay(stronger.schema);
        self.sanitize.extend(stronger.sanitize);
        self.quarantine.overlay(stronger.quarantine);
        self.ddl.overlay(stronger.ddl);
        if stronger.mask.key.is_some() || stronger.mask.key_file.is_some() {
            self.mask = RawMask::default();
        }
        self.mask.overlay(stronger.mask);
        self.apply.overlay(stronger.apply);
        self.snapshot.overlay(stronger.snapshot);
        self.lease.overlay(stronger.lease);
        self.http.overlay(stronger.http);
        self.log.overlay(stronger.log);
    }

    /// Refuses what one place says twice.
    pub(super) fn check(&self, place: &str) -> Result<()> {
        self.source.login().check(Side::Source, place)?;
        self.target.login().check(Side::Target, place)
    }
}

/// The message without the value that was found: serde repeats it, whatever it is.
fn without_values(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ if message.starts_with("invalid value: ") || message.starts_with("invalid type: ") => "invalid value".into(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Raw::parse(text, Path::new("sirenia.toml")).expect_err(text).report()
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line_and_the_known_keys() {
        let report = error("[source]\nhost = \"db\"\nusr = \"root\"\n");
        assert!(report.starts_with("error: sirenia.toml:3:1: unknown field `usr`"), "{report}");
        assert!(report.contains("`user`") && report.contains("`password_file`"), "{report}");
        assert!(error("[sources]\n").contains("`source`"));
        assert!(error("[tables.rules.\"a\"]\nrow = \"x = 1\"\n").contains("`rows`"));
    }

    #[test]
    fn values_do_not_show_in_errors() {
        for bad in [
            "source = \"mysql://u:hunter2@db/lab\"",
            "[source]\npassword = [\"hunter2\"]",
            "[source]\nport = \"hunter2\"",
            "[source]\ntls = \"hunter2\"",
            "[source]\npassword = \"hunter2",
            "[source]\npassword = hunter2",
            "[source]\npassword = 'hunter2' x",
            "[apply]\nmemory = \"hunter2\"",
            "[source]\npassword = 'a'\npassword = 'hunter2'",
        ] {
            let report = error(bad);
            assert!(!report.contains("hunter2"), "{bad}: {report}");
            assert!(report.contains("sirenia.toml:"), "{report}");
        }
    }
}
