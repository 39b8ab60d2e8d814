//! What is fuzzed: one function per target, from any bytes to nothing, which panics where something is wrong.
//!
//! The program's own tests include this folder too (`tests/fuzz.rs`), so everything here builds on a stable compiler and uses
//! nothing but the library's public interface. The first byte of an input chooses among a target's ways to use the rest.

mod ddl;
mod decimal;
mod event;
mod gtid_set;
mod json;
#[path = "../../../fixtures/binlogs/recorded.rs"]
mod recorded;
mod rows;
mod spool;
mod table_map;
mod watch;
mod wire;

pub use ddl::ddl;
pub use decimal::decimal;
pub use event::event;
pub use gtid_set::gtid_set;
pub use json::json;
pub use rows::rows;
pub use spool::spool;
pub use table_map::table_map;

use sirenia::schema::{Flavor, TableSchema};
use std::sync::{Arc, OnceLock};

/// What makes inputs out of recorded binlogs.
pub mod seeds {
    pub use super::all;
    pub use super::decimal::encode;
    pub use super::event::record;
    pub use super::recorded::{NAMES, events};
    pub use super::rows::{FILES, KINDS, MARIADB, recorded};
    pub use super::spool::header;
    pub use super::wire::event;
}

/// All recorded tables, in the order of their names' list, as a server of that family has them.
pub fn all(flavor: Flavor) -> &'static [Arc<TableSchema>] {
    static ALL: [OnceLock<Vec<Arc<TableSchema>>>; 2] = [OnceLock::new(), OnceLock::new()];
    ALL[usize::from(flavor == Flavor::MariaDb)]
        .get_or_init(|| recorded::NAMES.map(|name| recorded::named(name, flavor)).into())
}

/// The first bytes of an input, then zeros.
fn head<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut head = [0; N];
    let (first, rest) = data.split_at(data.len().min(N));
    head[..first.len()].copy_from_slice(first);
    (head, rest)
}
