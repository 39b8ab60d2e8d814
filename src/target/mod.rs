//! The target's edge: everything that is said to PostgreSQL.
//!
//! | file | what |
//! | --- | --- |
//! | address, tls, connect | how to reach the server; one session, set up |
//! | error | SQLSTATE → consequence, without values |
//! | control | the control tables (schema `sirenia`), versioned |
//! | lease, fence | one writer: who it is, and the check inside each of its transactions |
//! | checkpoint, schema_version, progress | what the control tables hold, typed |
//! | catalog, tables, columns, indexes | what exists; making tables, columns, keys and indexes |
//! | objects | bringing all of it in line with the plans, foreign keys, defaults and comments too |
//! | privileges | what the role may not make |
//! | chunk | chunks of the first copy in, rows and progress in one transaction out |
//! | quarantine | rows that could not be applied |
//! | broken_keys | foreign keys that the source does not hold to |
//! | cutover | the mark behind which nothing is followed, triggers and sequences for the application |
//! | sanitized | the record of values that were changed to fit |
//! | apply, copy, patches, subtract, cascade | batches in, rows and checkpoint in one transaction out |
//! | read | rows back out: all of a table, or those of some keys |
//!
//! Invariant: every transaction that writes begins with [`fence`], so an instance that has lost its lease changes
//! nothing. Identifiers are quoted by [`crate::ident`], values are parameters.

pub mod address;
pub mod alter;
pub mod apply;
pub mod broken_keys;
pub mod cascade;
pub mod catalog;
pub mod checkpoint;
pub mod chunk;
pub mod columns;
pub mod connect;
pub mod control;
pub mod copy;
pub mod cutover;
mod enum_types;
pub mod error;
pub mod fence;
pub mod indexes;
pub mod lease;
pub mod objects;
mod patches;
pub mod privileges;
pub mod progress;
pub mod quarantine;
pub mod read;
pub mod sanitized;
pub mod schema_version;
mod subtract;
pub mod tables;
#[cfg(test)]
pub(crate) mod testing;

pub use address::{TargetConfig, Tls};
pub use checkpoint::{Checkpoint, Phase};
pub use connect::{Connection, connect};
pub use error::classify;
pub use lease::{Lease, LeaseKeeper};
/// A session or a transaction of one, for those who only hand it on.
pub use tokio_postgres::GenericClient;

use crate::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The JSON text of a control value.
fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Bug, "a control value has no JSON form").detail(error.to_string()))
}

/// A control value from its JSON text; what cannot be read must stop us.
fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Corrupt, format!("{what} in the control tables cannot be read")).detail(error.to_string())
    })
}

/// A counter of the control tables.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
