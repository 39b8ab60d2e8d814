//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.

pub mod batch;
pub mod binlog;
pub mod change;
pub mod cli;
pub mod config;
pub mod convert;
pub mod copy_format;
pub mod embedded;
pub mod error;
pub mod http;
pub mod ident;
pub mod identity;
pub mod key_graph;
pub mod mapping;
pub mod merge;
pub mod metrics;
pub mod ops;
pub mod pipeline;
pub mod position;
pub mod schema;
pub mod source;
pub mod status;
pub mod target;
pub mod tls;
pub mod value;
pub mod verify;
