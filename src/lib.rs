//! Sirenia carries a live MySQL or MariaDB database into PostgreSQL and keeps it there.
pub mod embedded;
pub mod error;
pub mod ident;
pub mod value;
