//! The rows: in chunks by key, each a statement of its own; by given keys; or streamed as a whole.
//!
//! All use prepared statements, because the binary protocol alone brings FLOAT exactly. Memory is bounded by bytes: the
//! number of rows of the next chunk follows from the size of the last, and a chunk that turns out too large is cut (what
//! the server sends beyond is read and dropped; the next chunk starts there again).

use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::schema::TableSchema;
use crate::source::refusal::{Doing, server_code};
use crate::source::snapshot::key::{KeyOrder, KeyValue, encode};
use crate::source::snapshot::values::{narrow_select_list, select_list};
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, QueryResult, Row, Value};
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
    /// Their values as [`crate::source::snapshot::values::row_to_values`] takes them; possibly none in the last chunk.
    pub rows: Vec<Vec<Value>>,
    /// Bytes of row data, roughly as held in memory.
    pub bytes: usize,
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
    limit: u64,
    done: bool,
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
        Ok(Self { hint: format!(" FORCE INDEX ({})", order.index), table, order, select, after, limit, done: false })
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
    pub fn key_of(&self, row: &[Value]) -> Result<Vec<KeyValue>> {
        self.order.of_row(row).map_err(|error| error.at(&self.table.name))
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
    pub async fn next_chunk(&mut self, conn: &mut Conn) -> Result<Option<Chunk>> {
        if self.done {
            return Ok(None);
        }
        let doing = format!("cannot read rows of {}", self.table.name);
        let (sql, parameters) = self.statement();
        let mut result = match conn.exec_iter(sql, parameters).await {
            Err(error) if server_code(&error) == Some(1176) && !self.hint.is_empty() => {
                self.hint.clear();
                let (sql, parameters) = self.statement();
                conn.exec_iter(sql, parameters).await
            }
            result => result,
        }
        .doing(&doing)?;
        let (rows, bytes) = take_rows(&mut result, 2 * CHUNK_BYTES).await.doing(&doing)?;
        let complete = rows.len() as u64 == self.limit || result.next().await.doing(&doing)?.is_none();
        result.drop_result().await.doing(&doing)?;
        self.done = complete && (rows.len() as u64) < self.limit;
        let key =
            rows.last().map(|row| self.order.of_row(row)).transpose().map_err(|error| error.at(&self.table.name))?;
        let last_key = key.as_deref().map(encode).transpose()?;
        if key.is_some() {
            self.after = key;
        }
        self.adapt(rows.len(), bytes);
        Ok(Some(Chunk { rows, bytes, last_key, last: self.done }))
    }

    fn statement(&self) -> (String, Vec<Value>) {
        let (condition, mut parameters) = match &self.after {
            Some(key) => {
                let (condition, parameters) = self.order.behind(key);
                (format!(" WHERE {condition}"), parameters)
            }
            None => (String::new(), Vec::new()),
        };
        parameters.push(Value::UInt(self.limit));
        let sql = format!("{}{}{condition} ORDER BY {} LIMIT ?", self.select, self.hint, self.order.order_by());
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
    name: TableName,
    order: KeyOrder,
    select: String,
}

impl KeyReader {
    /// A reader of the rows' columns as [`ChunkReader`] reads them.
    ///
    /// # Errors
    /// `Bug` for a table without a chunk key.
    pub fn new(table: &TableSchema) -> Result<Self> {
        let order = KeyOrder::of(table)
            .ok_or_else(|| Error::new(ErrorKind::Bug, format!("{}: no key to find rows by", table.name)))?;
        let select = format!("SELECT {} FROM {}", select_list(table), table.name.mysql());
        Ok(Self { name: table.name.clone(), order, select })
    }

    /// The rows of these keys, in any order; at most about a hundred keys at a time.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn rows(&self, conn: &mut Conn, keys: &[Vec<KeyValue>]) -> Result<Vec<Vec<Value>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (condition, parameters) = self.order.among(keys);
        let sql = format!("{} WHERE {condition}", self.select);
        let rows: Vec<Row> = conn.exec(sql, parameters).await.doing(&format!("cannot read rows of {}", self.name))?;
        Ok(rows.into_iter().map(Row::unwrap).collect())
    }
}

/// Reads a whole table by one statement, without order.
pub struct ExactReader<'c> {
    result: QueryResult<'c, 'static, BinaryProtocol>,
    doing: String,
}

impl<'c> ExactReader<'c> {
    /// Starts reading `table` on the connection that [`super::exact::ExactSnapshot::connection`] gives for it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open(conn: &'c mut Conn, table: &TableSchema) -> Result<Self> {
        Self::open_list(conn, table, &select_list(table)).await
    }

    /// [`ExactReader::open`] of these columns alone (positions in the table); the others read as NULL.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open_narrowed(conn: &'c mut Conn, table: &TableSchema, columns: &[usize]) -> Result<Self> {
        Self::open_list(conn, table, &narrow_select_list(table, columns)).await
    }

    async fn open_list(conn: &'c mut Conn, table: &TableSchema, list: &str) -> Result<Self> {
        let doing = format!("cannot read rows of {}", table.name);
        let sql = format!("SELECT {list} FROM {}", table.name.mysql());
        let result = conn.exec_iter(sql, ()).await.doing(&doing)?;
        Ok(Self { result, doing })
    }

    /// The next rows, about [`CHUNK_BYTES`] of them; none behind the last.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Vec<Value>>>> {
        let (rows, _) = take_rows(&mut self.result, CHUNK_BYTES).await.doing(&self.doing)?;
        Ok((!rows.is_empty()).then_some(rows))
    }
}

/// The number of rows in a table.
///
/// # Errors
/// Those of the connection.
pub async fn count(conn: &mut Conn, table: &TableSchema) -> Result<u64> {
    let sql = format!("SELECT COUNT(*) FROM {}", table.name.mysql());
    let count: Option<u64> = conn.query_first(sql).await.doing(&format!("cannot count the rows of {}", table.name))?;
    Ok(count.unwrap_or(0))
}

/// Rows until the result's end or until they are `limit` bytes or more.
async fn take_rows(
    result: &mut QueryResult<'_, 'static, BinaryProtocol>,
    limit: usize,
) -> mysql_async::Result<(Vec<Vec<Value>>, usize)> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < limit
        && let Some(row) = result.next().await?
    {
        let row = row.unwrap();
        bytes += row.iter().map(held).sum::<usize>();
        rows.push(row);
    }
    Ok((rows, bytes))
}

fn held(value: &Value) -> usize {
    let inline = std::mem::size_of::<Value>();
    match value {
        Value::Bytes(bytes) => inline + bytes.len(),
        _ => inline,
    }
}
