//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.
pub mod binlog;
pub mod change;
pub mod error;
pub mod ident;
pub mod position;
pub mod schema;
pub mod value;
