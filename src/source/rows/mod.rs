//! A connection to the source on which it sends rows, and the rows as they arrived.
//!
//! Prepared statements and the binary protocol, because that alone brings FLOAT exactly. A row's packet is copied once, out
//! of the receive buffer to the end of one flat buffer that is used again for the next chunk; its values are borrowed from
//! there. No heap allocation per row.
//!
//! | file | owns |
//! | --- | --- |
//! | [`statement`] | prepared statements: their parameters' bytes, and what the server says of their columns |
//! | [`decode`] | rows' packets, and the values in them |
//!
//! Enters: a [`SourceConfig`], statements and [`Parameter`]s. Leaves: [`Rows`]. What to select is [`super::snapshot`]'s.
//!
//! Invariant: the session is that of every other connection ([`super::connect`]), since the values depend on it. A
//! connection on which a reading failed or was given up refuses whatever it is asked next ([`super::client`]).

mod decode;
mod statement;

pub use decode::{KEPT, Rows};
pub use statement::Parameter;

use super::client::{Client, TextRow, disorder, is_end, is_refusal, length_encoded};
use super::connect::{PREPARING, READ_ONLY, SESSION, SourceConfig, VERSION, without_time_limit};
use super::refusal::Doing;
use crate::error::Result;
use statement::{Definition, Prepared};

/// A session that reads rows.
pub struct RowSession {
    client: Client,
    /// The statement of the last reading, which the next chunk's mostly is too.
    prepared: Option<(String, Prepared)>,
}

impl RowSession {
    /// Connects and sets up the session, as [`super::connect::connect`] does.
    ///
    /// # Errors
    /// `UnknownHost`, `SourceUnavailable`, `AccessDenied` or `Config` (TLS).
    pub async fn open(config: &SourceConfig) -> Result<Self> {
        let mut session = Self { client: Client::connect(config).await?, prepared: None };
        session.set_up().await.doing(PREPARING)?;
        Ok(session)
    }

    /// [`Self::open`] for a session that cannot write.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_read_only(config: &SourceConfig) -> Result<Self> {
        let mut session = Self::open(config).await?;
        session.execute(READ_ONLY).await.doing(PREPARING)?;
        Ok(session)
    }

    async fn set_up(&mut self) -> mysql_async::Result<()> {
        for statement in SESSION {
            self.execute(statement).await?;
        }
        let rows = self.query(VERSION).await?;
        let version = rows.first().and_then(|row| row.first()).and_then(Option::as_deref).unwrap_or_default();
        self.execute(without_time_limit(&String::from_utf8_lossy(version))).await
    }

    /// Runs a statement that returns no rows.
    pub(super) async fn execute(&mut self, sql: &str) -> mysql_async::Result<()> {
        self.client.execute(sql).await
    }

    /// Runs a statement that returns a few rows, each column as text.
    pub(super) async fn query(&mut self, sql: &str) -> mysql_async::Result<Vec<TextRow>> {
        self.client.query(sql).await
    }

    /// Begins to read: what the columns of the rows are that [`Self::take`] brings. A statement with the text of the last
    /// one is not prepared again.
    pub(super) async fn select(&mut self, sql: &str, parameters: &[Parameter]) -> mysql_async::Result<Vec<Definition>> {
        if self.prepared.as_ref().is_none_or(|(text, _)| text != sql) {
            if let Some((_, prepared)) = self.prepared.take() {
                prepared.close(&mut self.client).await?;
            }
            let prepared = Prepared::prepare(&mut self.client, sql).await?;
            self.prepared = Some((sql.to_owned(), prepared));
        }
        let Some((_, prepared)) = &self.prepared else { return Ok(Vec::new()) };
        self.client.ask(&prepared.execution(parameters)).await?;
        let first = self.client.read().await?;
        if is_refusal(&first) {
            return Err(self.client.refused(&first));
        }
        let columns = match length_encoded(&mut &first[..]) {
            Some(columns @ 1..) => columns,
            _ => return Err(disorder("the server's answer to a SELECT has no columns").into()),
        };
        let mut definitions = Vec::new();
        for _ in 0..columns {
            let packet = self.client.read().await?;
            definitions.push(Definition::parse(&packet).ok_or_else(|| disorder("a column's definition is damaged"))?);
        }
        if !is_end(&self.client.read().await?) {
            return Err(disorder("more columns than were announced").into());
        }
        Ok(definitions)
    }

    /// Adds rows to `rows` until they are `limit` bytes or more. True at the end of what was selected.
    pub(super) async fn take(&mut self, rows: &mut Rows, limit: usize) -> mysql_async::Result<bool> {
        while !self.client.is_idle() {
            if rows.bytes() >= limit {
                return Ok(false);
            }
            self.next(rows).await?;
        }
        Ok(true)
    }

    /// Reads the rows that are left and drops them; how many there were. Their bytes pass through the end of `rows`.
    pub(super) async fn drop_rest(&mut self, rows: &mut Rows) -> mysql_async::Result<u64> {
        let mut dropped = 0;
        while !self.client.is_idle() {
            if self.next(rows).await? {
                rows.pop();
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// One more row; false when there is none.
    async fn next(&mut self, rows: &mut Rows) -> mysql_async::Result<bool> {
        while !self.client.append(rows.buffer())? {
            self.client.fill().await?;
        }
        let packet = rows.unsealed();
        if is_end(packet) {
            rows.unseal();
            self.client.answered();
            return Ok(false);
        }
        if is_refusal(packet) {
            let error = self.client.refused(packet);
            rows.unseal();
            return Err(error);
        }
        rows.seal();
        Ok(true)
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.client.close().await;
    }
}

#[cfg(test)]
mod tests;
