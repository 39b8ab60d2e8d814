//! The rows: in chunks by key, each a statement of its own; by given keys; or streamed as a whole.
//!
//! Memory is bounded by bytes: the number of rows of the next chunk follows from the size of the last, and a chunk that turns
//! out too large is cut (what the server sends beyond is read and dropped; the next chunk starts there again). A reader that
//! is given a chunk's rows back reads the next ones into their memory.

use crate::error::{Error, ErrorKind, Result, corrupt};
use crate::schema::TableSchema;
use crate::source::refusal::{Doing, server_code};
use crate::source::rows::{Parameter, RowSession, Rows};
use crate::source::snapshot::key::{KeyOrder, KeyValue, encode};
use crate::source::snapshot::values::{narrow_select_list, select_list};
use std::sync::Arc;

/// A chunk's aim in bytes of row data; twice as much is the limit, except for a single row.
pub const CHUNK_BYTES: usize = 4 << 20;
/// Most rows of a chunk.
pub const CHUNK_ROWS: u64 = 20_000;
/// Rows of the first chunk, where the catalogue's estimate does not say that they are large.
const FIRST_ROWS: u64 = 2_000;

/// Some rows of a table, in key order.
#[derive(Debug)]
pub struct Chunk {
    /// Possibly none in the last chunk.
    pub rows: Rows,
    /// The last row's key, for [`ChunkReader::new`] after an interruption; none without rows.
    pub last_key: Option<Vec<u8>>,
    /// Whether no rows are behind it.
    pub last: bool,
}

/// Reads one table in chunks by key order.
#[derive(Debug)]
pub struct ChunkReader {
    table: Arc<TableSchema>,
    order: KeyOrder,
    select: String,
    /// `FORCE INDEX`; dropped when the server refuses it for an invisible index.
    hint: String,
    after: Option<Vec<KeyValue>>,
    /// The last keys to read.
    until: Option<Vec<KeyValue>>,
    limit: u64,
    done: bool,
    /// Rows that are no longer needed.
    spare: Option<Rows>,
}

impl ChunkReader {
    /// Starts at the table's beginning, or behind a [`Chunk::last_key`].
    ///
    /// # Errors
    /// `Bug` for a table without a chunk key; `Corrupt` for a key that is not this table's.
    pub fn new(table: Arc<TableSchema>, after: Option<&[u8]>) -> Result<Self> {
        let order = KeyOrder::of(&table)
            .ok_or_else(|| Error::new(ErrorKind::Bug, format!("{}: no key to read in chunks by", table.name)))?;
        let after = after.map(|key| order.decode(key)).transpose().map_err(|error| error.at(&table.name))?;
        let average = table.estimated_bytes / table.estimated_rows.max(1);
        let select = format!("SELECT {} FROM {}", select_list(&table), table.name.mysql());
        let limit = (CHUNK_BYTES as u64 / average.max(1)).clamp(1, FIRST_ROWS);
        let hint = format!(" FORCE INDEX ({})", order.index);
        Ok(Self { hint, table, order, select, after, until: None, limit, done: false, spare: None })
    }

    /// Reads only the range of keys behind one bound and up to another, as [`super::ranges::cut`] gives them; none is the
    /// table's beginning, or its end.
    ///
    /// # Errors
    /// `Corrupt` for bounds that are not this table's.
    pub fn within(mut self, behind: Option<&[u8]>, until: Option<&[u8]>) -> Result<Self> {
        let bound = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| self.order.decode_bound(bytes)).transpose().map_err(|error| error.at(&self.table.name))
        };
        let (behind, until) = (bound(behind)?, bound(until)?);
        self.after = self.after.or(behind);
        self.until = until;
        Ok(self)
    }

    /// Reads only these columns (positions in the table); the others read as NULL. The key's must be among them.
    #[must_use]
    pub fn narrowed(mut self, columns: &[usize]) -> Self {
        self.select = format!("SELECT {} FROM {}", narrow_select_list(&self.table, columns), self.table.name.mysql());
        self.limit = FIRST_ROWS;
        self
    }

    /// The key of a row of a chunk.
    ///
    /// # Errors
    /// `SchemaMismatch` when a key column holds what its type does not allow.
    pub fn key_of(&self, rows: &Rows, at: usize) -> Result<Vec<KeyValue>> {
        let mut values = Vec::with_capacity(self.table.columns.len());
        rows.values(at, &mut values)?;
        self.order.of_row(&values).map_err(|error| error.at(&self.table.name))
    }

    /// Gives a chunk's rows back, for their memory to be used again.
    pub fn give_back(&mut self, rows: Rows) {
        self.spare = Some(rows);
    }

    /// What was given back and is not in use.
    #[must_use]
    pub fn into_spare(self) -> Option<Rows> {
        self.spare
    }

    #[cfg(test)]
    pub(crate) fn set_limit(&mut self, rows: u64) {
        self.limit = rows;
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<TableSchema> {
        &self.table
    }

    /// The next chunk; none behind the last.
    ///
    /// # Errors
    /// Those of the connection; after one, a new reader behind the last chunk's key goes on.
    pub async fn next_chunk(&mut self, source: &mut RowSession) -> Result<Option<Chunk>> {
        if self.done {
            return Ok(None);
        }
        let doing = format!("cannot read rows of {}", self.table.name);
        let (sql, parameters) = self.statement();
        let columns = match source.select(&sql, &parameters).await {
            Err(error) if server_code(&error) == Some(1176) && !self.hint.is_empty() => {
                self.hint.clear();
                let (sql, parameters) = self.statement();
                source.select(&sql, &parameters).await
            }
            result => result,
        }
        .doing(&doing)?;
        let mut rows = self.spare.take().unwrap_or_else(|| Rows::of(&self.table));
        rows.begin(&columns)?;
        let ended = source.take(&mut rows, 2 * CHUNK_BYTES).await.doing(&doing)?;
        let dropped = if ended { 0 } else { source.drop_rest(&mut rows).await.doing(&doing)? };
        self.done = dropped == 0 && (rows.len() as u64) < self.limit;
        let key = if rows.is_empty() { None } else { Some(self.key_of(&rows, rows.len() - 1)?) };
        let last_key = key.as_deref().map(encode).transpose()?;
        if key.is_some() {
            self.after = key;
        }
        self.adapt(rows.len(), rows.bytes());
        Ok(Some(Chunk { rows, last_key, last: self.done }))
    }

    fn statement(&self) -> (String, Vec<Parameter>) {
        let behind = self.after.as_ref().map(|key| self.order.behind(key));
        let up_to = self.until.as_ref().map(|key| self.order.up_to(key));
        let (mut conditions, mut parameters) = (Vec::new(), Vec::new());
        for (condition, more) in behind.into_iter().chain(up_to) {
            conditions.push(format!("({condition})"));
            parameters.extend(more);
        }
        let place = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        parameters.push(Parameter::UInt(self.limit));
        let sql = format!("{}{}{place} ORDER BY {} LIMIT ?", self.select, self.hint, self.order.order_by());
        (sql, parameters)
    }

    /// Sets the next chunk's rows from this one's size; grows at most fourfold at a time.
    fn adapt(&mut self, rows: usize, bytes: usize) {
        if let Some(average) = bytes.checked_div(rows) {
            let fitting = (CHUNK_BYTES / average.max(1)) as u64;
            self.limit = fitting.min(self.limit * 4).clamp(1, CHUNK_ROWS);
        }
    }
}

/// Reads the rows of given keys of one table.
#[derive(Debug)]
pub struct KeyReader {
    table: Arc<TableSchema>,
    order: KeyOrder,
    select: String,
}

impl KeyReader {
    /// A reader of the rows' columns as [`ChunkReader`] reads them.
    ///
    /// # Errors
    /// `Bug` for a table without a chunk key.
    pub fn new(table: &Arc<TableSchema>) -> Result<Self> {
        let order = KeyOrder::of(table)
            .ok_or_else(|| Error::new(ErrorKind::Bug, format!("{}: no key to find rows by", table.name)))?;
        let select = format!("SELECT {} FROM {}", select_list(table), table.name.mysql());
        Ok(Self { table: Arc::clone(table), order, select })
    }

    /// The rows of these keys, in any order; at most about a hundred keys at a time.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn rows(&self, source: &mut RowSession, keys: &[Vec<KeyValue>]) -> Result<Rows> {
        let mut rows = Rows::of(&self.table);
        if keys.is_empty() {
            return Ok(rows);
        }
        let doing = format!("cannot read rows of {}", self.table.name);
        let (condition, parameters) = self.order.among(keys);
        let sql = format!("{} WHERE {condition}", self.select);
        let columns = source.select(&sql, &parameters).await.doing(&doing)?;
        rows.begin(&columns)?;
        source.take(&mut rows, usize::MAX).await.doing(&doing)?;
        Ok(rows)
    }
}

/// Reads a whole table by one statement, without order. When it is dropped before its end, so must be the connection.
pub struct ExactReader<'c> {
    source: &'c mut RowSession,
    rows: Rows,
    doing: String,
}

impl<'c> ExactReader<'c> {
    /// Starts reading `table` on the connection that [`super::exact::ExactSnapshot::connection`] gives for it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open(source: &'c mut RowSession, table: &Arc<TableSchema>) -> Result<Self> {
        Self::open_into(source, Rows::of(table)).await
    }

    /// [`ExactReader::open`] of these rows' table, into their memory, which [`ExactReader::into_rows`] gives back.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_into(source: &'c mut RowSession, rows: Rows) -> Result<Self> {
        Self::open_list(source, &select_list(rows.table()), rows).await
    }

    /// [`ExactReader::open`] of these columns alone (positions in the table); the others read as NULL.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_narrowed(
        source: &'c mut RowSession,
        table: &Arc<TableSchema>,
        columns: &[usize],
    ) -> Result<Self> {
        Self::open_list(source, &narrow_select_list(table, columns), Rows::of(table)).await
    }

    async fn open_list(source: &'c mut RowSession, list: &str, mut rows: Rows) -> Result<Self> {
        let table = &rows.table().name;
        let (doing, sql) = (format!("cannot read rows of {table}"), format!("SELECT {list} FROM {}", table.mysql()));
        let columns = source.select(&sql, &[]).await.doing(&doing)?;
        rows.begin(&columns)?;
        Ok(Self { source, rows, doing })
    }

    /// The next rows, about [`CHUNK_BYTES`] of them; none behind the last.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn next_batch(&mut self) -> Result<Option<&Rows>> {
        self.rows.clear();
        self.source.take(&mut self.rows, CHUNK_BYTES).await.doing(&self.doing)?;
        Ok((!self.rows.is_empty()).then_some(&self.rows))
    }

    /// The memory of the rows.
    #[must_use]
    pub fn into_rows(self) -> Rows {
        self.rows
    }
}

/// The number of rows in a table.
///
/// # Errors
/// Those of the connection.
pub async fn count(source: &mut RowSession, table: &TableSchema) -> Result<u64> {
    let doing = format!("cannot count the rows of {}", table.name);
    let rows = source.query(&format!("SELECT COUNT(*) FROM {}", table.name.mysql())).await.doing(&doing)?;
    let count = rows.first().and_then(|row| row.first()?.as_deref());
    let count = count.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    count.ok_or_else(|| corrupt(doing).detail("the server's answer is no number"))
}
