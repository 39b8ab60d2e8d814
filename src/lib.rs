//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.

pub mod change;
pub mod cli;
pub mod config;
pub mod convert;
pub mod embedded;
pub mod error;
pub mod http;
pub mod ident;
pub mod mapping;
pub mod metrics;
pub mod position;
pub mod schema;
pub mod status;
pub mod value;
