//! The first copy's reading side: where to start, which tables need exactness, and the rows.
//!
//! | file | owns |
//! | --- | --- |
//! | [`position`] | P0: the place from which the stream repeats whatever a later read may have missed |
//! | [`groups`] | which tables are read in chunks and which exactly, from one consistent view |
//! | [`exact`] | that view, at a known position |
//! | [`key`] | keyset pagination: order, condition and parameters per key column, and the key's stored form |
//! | [`ranges`] | cutting a large table, so that several readers can read it |
//! | [`reader`] | rows in chunks by key, or streamed from an exact view |
//! | [`values`] | the select expressions |
//!
//! Invariant: every change that a chunk read at any time after P0 may not show lies behind P0 in the binlog; and an
//! exact view shows just the changes up to its position, as far as its own tables go.

pub mod exact;
pub mod groups;
pub mod key;
pub mod position;
pub mod ranges;
pub mod reader;
pub mod values;

#[cfg(test)]
mod tests;
