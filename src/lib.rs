//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.
pub mod change;
pub mod convert;
pub mod error;
pub mod ident;
pub mod mapping;
pub mod position;
pub mod schema;
pub mod source;
pub mod value;
