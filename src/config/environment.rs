//! The `SIRENIA_*` variables: one per key of `sirenia.toml`, stronger than the file.
//!
//! Variables come in as a list, not from the process, so that a test needs no global state. An empty variable is not
//! set: `VARIABLE=${VARIABLE:-}` is how container set-ups write an optional one.

use crate::config::raw::Raw;
use crate::error::{Error, ErrorKind, Result};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// A setting that can be written as the text of a variable.
pub(super) trait FromText: Sized {
    /// Reads it; the error says what is expected and does not repeat the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

macro_rules! parsed {
    ($($ty:ty),+ $(,)?) => { $(impl FromText for $ty {
        fn from_text(text: &str) -> Result<Self, String> {
            text.trim().parse()
        }
    })+ };
}

macro_rules! number {
    ($($ty:ty),+) => { $(impl FromText for $ty {
        fn from_text(text: &str) -> Result<Self, String> {
            text.trim().parse().map_err(|_| format!("expected a whole number up to {}", <$ty>::MAX))
        }
    })+ };
}

macro_rules! plain {
    ($($ty:ty),+) => { $(impl FromText for $ty {
        fn from_text(text: &str) -> Result<Self, String> {
            Ok(text.to_owned().into())
        }
    })+ };
}

parsed!(
    super::units::ByteSize,
    super::endpoint::Tls,
    super::resolved::Capture,
    super::resolved::TinyInt1,
    super::resolved::BigintUnsigned,
    super::resolved::EnumType,
    super::resolved::SetType,
    super::resolved::TimeType,
    super::resolved::JsonType,
    super::resolved::Bit1Type,
    super::resolved::LogFormat,
);
number!(u16, u64);
plain!(String, PathBuf, SecretString);

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| "expected true or false".to_owned())
    }
}

/// Names separated by commas.
impl FromText for Vec<String> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// Puts the text of a variable into its key.
pub(super) fn set<T: FromText>(key: &mut Option<T>, text: &str) -> Result<(), String> {
    *key = Some(T::from_text(text)?);
    Ok(())
}

/// Puts a variable's text into its key.
pub(super) type Setter = fn(&mut Raw, &str) -> Result<(), String>;

const VARIABLES: &[(&str, Setter)] = &[
    ("SIRENIA_PIPELINE", |raw, text| set(&mut raw.pipeline, text)),
    ("SIRENIA_SOURCE_URL", |raw, text| set(&mut raw.source.url, text)),
    ("SIRENIA_SOURCE_HOST", |raw, text| set(&mut raw.source.host, text)),
    ("SIRENIA_SOURCE_PORT", |raw, text| set(&mut raw.source.port, text)),
    ("SIRENIA_SOURCE_SOCKET", |raw, text| set(&mut raw.source.socket, text)),
    ("SIRENIA_SOURCE_USER", |raw, text| set(&mut raw.source.user, text)),
    ("SIRENIA_SOURCE_PASSWORD", |raw, text| set(&mut raw.source.password, text)),
    ("SIRENIA_SOURCE_PASSWORD_FILE", |raw, text| set(&mut raw.source.password_file, text)),
    ("SIRENIA_SOURCE_DATABASE", |raw, text| set(&mut raw.source.database, text)),
    ("SIRENIA_SOURCE_DATABASES", |raw, text| set(&mut raw.source.databases, text)),
    ("SIRENIA_SOURCE_TLS", |raw, text| set(&mut raw.source.tls, text)),
    ("SIRENIA_SOURCE_CA_FILE", |raw, text| set(&mut raw.source.ca_file, text)),
    ("SIRENIA_SOURCE_CAPTURE", |raw, text| set(&mut raw.source.capture, text)),
    ("SIRENIA_TARGET_URL", |raw, text| set(&mut raw.target.url, text)),
    ("SIRENIA_TARGET_HOST", |raw, text| set(&mut raw.target.host, text)),
    ("SIRENIA_TARGET_PORT", |raw, text| set(&mut raw.target.port, text)),
    ("SIRENIA_TARGET_SOCKET", |raw, text| set(&mut raw.target.socket, text)),
    ("SIRENIA_TARGET_USER", |raw, text| set(&mut raw.target.user, text)),
    ("SIRENIA_TARGET_PASSWORD", |raw, text| set(&mut raw.target.password, text)),
    ("SIRENIA_TARGET_PASSWORD_FILE", |raw, text| set(&mut raw.target.password_file, text)),
    ("SIRENIA_TARGET_DATABASE", |raw, text| set(&mut raw.target.database, text)),
    ("SIRENIA_TARGET_TLS", |raw, text| set(&mut raw.target.tls, text)),
    ("SIRENIA_TARGET_CA_FILE", |raw, text| set(&mut raw.target.ca_file, text)),
    ("SIRENIA_TARGET_SCHEMA", |raw, text| set(&mut raw.target.schema, text)),
    ("SIRENIA_TABLES_INCLUDE", |raw, text| set(&mut raw.tables.include, text)),
    ("SIRENIA_TABLES_EXCLUDE", |raw, text| set(&mut raw.tables.exclude, text)),
    ("SIRENIA_SCHEMA_FOREIGN_KEYS", |raw, text| set(&mut raw.schema.foreign_keys, text)),
    ("SIRENIA_SCHEMA_COMMENTS", |raw, text| set(&mut raw.schema.comments, text)),
    ("SIRENIA_SCHEMA_DEFAULTS", |raw, text| set(&mut raw.schema.defaults, text)),
    ("SIRENIA_SCHEMA_ON_UPDATE_TRIGGER", |raw, text| set(&mut raw.schema.on_update_trigger, text)),
    ("SIRENIA_TYPES_TINYINT1", |raw, text| set(&mut raw.types.tinyint1, text)),
    ("SIRENIA_TYPES_BIGINT_UNSIGNED", |raw, text| set(&mut raw.types.bigint_unsigned, text)),
    ("SIRENIA_TYPES_ENUM", |raw, text| set(&mut raw.types.r#enum, text)),
    ("SIRENIA_TYPES_SET", |raw, text| set(&mut raw.types.set, text)),
    ("SIRENIA_TYPES_TIME", |raw, text| set(&mut raw.types.time, text)),
    ("SIRENIA_TYPES_JSON", |raw, text| set(&mut raw.types.json, text)),
    ("SIRENIA_TYPES_BIT1", |raw, text| set(&mut raw.types.bit1, text)),
    ("SIRENIA_TYPES_DATETIME_ZONE", |raw, text| set(&mut raw.types.datetime_zone, text)),
    ("SIRENIA_MASK_KEY", |raw, text| set(&mut raw.mask.key, text)),
    ("SIRENIA_MASK_KEY_FILE", |raw, text| set(&mut raw.mask.key_file, text)),
    ("SIRENIA_APPLY_BATCH_ROWS", |raw, text| set(&mut raw.apply.batch_rows, text)),
    ("SIRENIA_APPLY_BATCH_BYTES", |raw, text| set(&mut raw.apply.batch_bytes, text)),
    ("SIRENIA_APPLY_MEMORY", |raw, text| set(&mut raw.apply.memory, text)),
    ("SIRENIA_APPLY_READERS", |raw, text| set(&mut raw.apply.readers, text)),
    ("SIRENIA_SNAPSHOT_ROWS_PER_SECOND", |raw, text| set(&mut raw.snapshot.rows_per_second, text)),
    ("SIRENIA_SNAPSHOT_BYTES_PER_SECOND", |raw, text| set(&mut raw.snapshot.bytes_per_second, text)),
    ("SIRENIA_SNAPSHOT_MAX_THREADS_RUNNING", |raw, text| set(&mut raw.snapshot.max_threads_running, text)),
    ("SIRENIA_SNAPSHOT_MAX_REPLICA_LAG", |raw, text| set(&mut raw.snapshot.max_replica_lag, text)),
    ("SIRENIA_LEASE_TTL", |raw, text| set(&mut raw.lease.ttl, text)),
    ("SIRENIA_LEASE_HOLDER", |raw, text| set(&mut raw.lease.holder, text)),
    ("SIRENIA_HTTP_LISTEN", |raw, text| set(&mut raw.http.listen, text)),
    ("SIRENIA_LOG_FORMAT", |raw, text| set(&mut raw.log.format, text)),
    ("SIRENIA_LOG_LEVEL", |raw, text| set(&mut raw.log.level, text)),
    // why last: the short name is the one people set by hand to look closer
    ("SIRENIA_LOG", |raw, text| set(&mut raw.log.level, text)),
];

/// Read elsewhere, so neither a setting nor a misspelling.
const NOT_SETTINGS: &[&str] = &["SIRENIA_CONFIG", "SIRENIA_ENV_FILE"];

/// The settings that the variables give, and a warning for each `SIRENIA_` variable that is not known.
///
/// Only a warning: Kubernetes sets `SIRENIA_PORT` and the like by itself for a service of that name.
pub(super) fn read(variables: &Variables) -> Result<(Raw, Vec<String>)> {
    let raw = fill(VARIABLES, variables)?;
    let known = |name: &str| NOT_SETTINGS.contains(&name) || VARIABLES.iter().any(|(known, _)| *known == name);
    let warnings = variables
        .keys()
        .filter(|name| name.starts_with("SIRENIA_") && !known(name))
        .map(|name| format!("the environment variable {name} is not a setting and is ignored"))
        .collect();
    Ok((raw, warnings))
}

/// Fills the keys of those variables of the list that are set, in the list's order.
pub(super) fn fill(list: &[(&str, Setter)], variables: &Variables) -> Result<Raw> {
    let mut raw = Raw::default();
    for (name, setter) in list {
        if let Some(text) = variables.get(*name).filter(|text| !text.is_empty()) {
            setter(&mut raw, text).map_err(|why| Error::new(ErrorKind::Config, format!("{name}: {why}")))?;
        }
    }
    Ok(raw)
}
