//! Private MariaDB, MySQL and PostgreSQL servers in temporary folders, on free loopback ports: for the demo, the tests
//! and the benches.
//!
//! Owns: finding the installed servers, one temporary [`Folder`] per server with everything the server
//! writes, its start, stop, crash and restart, and the [`lab`] schema, data and workload to fill them with.
//! Enters: options. Leaves: URLs to connect to.
//!
//! Invariant: **nothing stays behind**, neither a process nor a file, however the owning process ends: normally, by
//! panic, by Ctrl-C or by SIGKILL. Each folder is made by a small watchdog process that holds the reading end of a pipe;
//! when the owner lets go of the other end, on purpose or by dying, the watchdog kills the folder's server and removes
//! the folder.
//!
//! Does not: use or touch the machine's own database services, or install anything (`scripts/setup` does).

mod companion;
mod find;
mod folder;
pub mod lab;
mod mariadb;
mod mysql;
mod port;
mod postgres;
mod process;
mod source;
mod template;

pub use companion::Companion;
pub use folder::Folder;
pub use port::free_port;
pub use postgres::{TargetOptions, TargetServer, TargetVersion};
pub use source::{RowMetadata, SourceKind, SourceOptions, SourceServer};

/// The password of the administrators (`root`, `postgres`) of the embedded servers, which listen on loopback only.
pub const PASSWORD: &str = "secret";

#[cfg(test)]
mod tests;
