//! The DDL statements that the log holds ahead of the stream.
//!
//! The catalogue shows the schema of now, the stream stands in the past. For a table that no statement ahead changes, both
//! are one; for all others the schema in between has to be told by the statements themselves. The log is read on its own
//! connection and only once: the statements found are kept.

use crate::binlog::{BoundaryRef, Decoded, Decoder};
use crate::change::Boundary;
use crate::ddl::{self, Affects, Mode, Statement, affects};
use crate::error::Result;
use crate::ident::TableName;
use crate::position::{BinlogOffset, Position};
use crate::source::connect::SourceConfig;
use crate::source::server::ServerFacts;
use crate::source::transport::BinlogTransport;

/// What is known of the log ahead.
#[derive(Debug, Default)]
pub struct Ahead {
    /// How far it has been read.
    read: Option<Position>,
    /// The statements, where each starts, in the log's order.
    statements: Vec<(BinlogOffset, Affects)>,
    /// Databases whose defaults change, and where.
    defaults: Vec<(BinlogOffset, String)>,
}

impl Ahead {
    /// Reads on to `until`, beginning at `from` unless that is known already.
    ///
    /// # Errors
    /// Those of the connection and of the log.
    pub async fn read(
        &mut self,
        (source, facts, server_id): (&SourceConfig, &ServerFacts, u32),
        from: &Position,
        until: &BinlogOffset,
    ) -> Result<()> {
        let known = self.read.take().filter(|read| read.binlog >= from.binlog);
        if known.is_none() {
            self.statements.clear();
            self.defaults.clear();
        }
        let start = known.unwrap_or_else(|| from.clone());
        if start.binlog >= *until {
            self.read = Some(start);
            return Ok(());
        }
        let mut transport = BinlogTransport::open(source, facts, &start, server_id).await?;
        let mut decoder = Decoder::new(facts.flavor, start, Vec::new());
        while decoder.position().binlog < *until || decoder.in_transaction() {
            let event = transport.next().await?;
            let mut decoded = Some(decoder.decode(event.frame()?)?);
            while let Some(found) = decoded {
                if let Decoded::Boundary(BoundaryRef::Other(Boundary::Ddl(statement))) = found {
                    if let Ok(Statement::SetDatabase { database, .. }) =
                        ddl::parse(&statement.sql, Mode::from_bits(statement.sql_mode))
                    {
                        let database = database.unwrap_or_else(|| statement.database.clone());
                        self.defaults.push((statement.position.binlog.clone(), database));
                    }
                    let affected = affects(&statement.sql, &statement.database);
                    if affected != Affects::Nothing {
                        self.statements.push((statement.position.binlog, affected));
                    }
                }
                decoded = decoder.decode_inner(event.frame()?)?;
            }
        }
        transport.close().await;
        self.read = Some(decoder.position());
        Ok(())
    }

    /// Whether a statement behind the one that starts at `here` changes the table, or may; `same` compares names as the server
    /// does.
    pub fn changes(&self, here: &BinlogOffset, table: &TableName, same: impl Fn(&str, &str) -> bool) -> bool {
        let mut ahead = self.statements.iter().filter(|(at, _)| at > here);
        ahead.any(|(_, affected)| match affected {
            Affects::Nothing => false,
            Affects::Tables(tables) => {
                tables.iter().any(|other| same(&other.database, &table.database) && same(&other.table, &table.table))
            }
            Affects::Database(name) => same(name, &table.database),
            Affects::Unknown => true,
        })
    }

    /// Whether the defaults of the database change behind `here`.
    pub fn changes_defaults(&self, here: &BinlogOffset, database: &str, same: impl Fn(&str, &str) -> bool) -> bool {
        self.defaults.iter().any(|(at, other)| at > here && same(other, database))
    }
}
