//! What the decoder will not pass over: events that would lose data if they were skipped.
//!
//! Each refusal names what, where, and the setting that ends it; never a value. Where an event concerns tables that are
//! not replicated, it is let go.

use super::decoder::EventDecoder;
use super::event::{Frame, types};
use super::query;
use crate::error::{Error, ErrorKind, Result};

/// What is in the binlog stays there: after the cause is mended, the tables have to be copied again.
pub(super) const COPY_ANEW: &str = "; then copy anew: `sirenia reset --yes` and `sirenia run`";

impl EventDecoder {
    /// A statement that changes rows and does not say which: an error if it may concern a replicated database.
    pub(super) fn refuse_statement(&self, keyword: &str, database: &str, sql: &str) -> Result<()> {
        let databases = || self.tables.iter().map(|table| table.name.database.as_str());
        let lower = database.to_lowercase();
        if !databases().any(|known| known.to_lowercase() == lower) && !query::mentions(sql, databases()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::UnsupportedEvent,
            format!("{keyword} in statement format at {}, default database {database:?}", self.here()),
        )
        .detail("the rows that it changed are not in the binlog")
        .with_hint(format!("SET GLOBAL binlog_format=ROW; reconnect the writers{COPY_ANEW}")))
    }

    /// Events that are refused, and those that nobody knows.
    pub(super) fn unsupported(&self, frame: &Frame<'_>) -> Result<()> {
        let event_type = frame.header.event_type;
        let (what, hint) = match event_type {
            types::INCIDENT => (
                "the source reports that changes are missing from its binlog (incident)".to_owned(),
                "look for the cause in the source's log",
            ),
            types::WRITE_ROWS_V0..=types::DELETE_ROWS_V0 => {
                ("rows event of MySQL 5.1.0–5.1.15".to_owned(), "upgrade the source")
            }
            _ if frame.header.is_ignorable() => return Ok(()),
            _ => {
                (format!("unknown binlog event of type {event_type}"), "use a release that knows this server's version")
            }
        };
        Err(Error::new(ErrorKind::UnsupportedEvent, format!("{what}, at {}", self.here()))
            .with_hint(format!("{hint}{COPY_ANEW}")))
    }
}
