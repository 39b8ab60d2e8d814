//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.
//!
//! ```text
//!     source ─────────▶ change stream ──▶ convert ──▶ batch ──▶ merge ──▶ apply ──▶ target
//!     binlog │ files       (typed)        values of    cut at    one      delete    rows + checkpoint
//!     snapshot chunks         │           PostgreSQL   commits   row/key  + COPY    in ONE transaction
//!                             ├──▶ lines of JSON
//!                             └──▶ recording ──▶ change stream
//! ```
//!
//! The program is this library with a thin binary. What others may want of it by itself is the typed change stream:
//! [`stream::Changes`] reads it from a server, from binlog files on disk or from a recording, [`spool`] writes recordings and
//! documents their format, [`change`] and [`value`] are its types. The modules are laid in tiers that import downwards only;
//! `docs/architecture.md` lists them.

/// What tests share with the fuzz targets names the library from outside.
#[cfg(test)]
extern crate self as sirenia;

pub mod batch;
pub mod binlog;
pub mod change;
pub mod cli;
pub mod config;
pub mod convert;
pub mod copy_format;
pub mod ddl;
pub mod embedded;
pub mod error;
pub mod http;
pub mod ident;
pub mod identity;
pub mod key_graph;
pub mod mapping;
pub mod masking;
pub mod merge;
pub mod metrics;
pub mod ops;
pub mod pipeline;
pub mod policy;
pub mod position;
pub mod schema;
pub mod source;
pub mod spool;
pub mod status;
pub mod stream;
pub mod target;
pub mod tls;
pub mod value;
pub mod verify;
