//! The stream as a server sends it.

use super::place::{Place, Until};
use super::{Changes, Input, decoder};
use crate::change::StreamHeader;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::source::catalog;
use crate::source::connect::{SourceConfig, connect_read_only};
use crate::source::server::{ServerFacts, write_position};
use crate::source::transport::{BinlogTransport, replica_server_id};

impl Changes {
    /// Asks a server for the changes of the tables that `mapping` includes, from a place on, to another or without an end.
    ///
    /// Needs SELECT on the tables, REPLICATION SLAVE and REPLICATION CLIENT (MariaDB: BINLOG MONITOR).
    ///
    /// # Errors
    /// Those of the connection; `SourceSetting` when the server has no binlog; `Usage` for a place that it cannot have.
    pub async fn from_server(
        source: &SourceConfig,
        mapping: &Mapping,
        from: &Place,
        until: Option<&Place>,
    ) -> Result<Self> {
        let (facts, now, mut header) = read_schema(source, mapping).await?;
        header.from = match from {
            Place::Now => now.clone(),
            Place::Offset(at) => Position { binlog: at.clone(), gtid: None },
            Place::Gtid(text) => behind(&facts, text)?,
        };
        let until = match until {
            None => None,
            Some(Place::Now) => Some(Until::Offset(now.binlog)),
            Some(place) => Some(place.in_log(facts.flavor, &header.from)?),
        };
        // an id of our own, or the server would end the stream of a pipeline that runs
        let server_id = replica_server_id(&format!("stream {}", std::process::id()), facts.server_id);
        let transport = BinlogTransport::open(source, &facts, &header.from, server_id).await?;
        let decoder = Box::new(decoder(&header));
        Self::new(header, Input::Server { transport: Box::new(transport), event: None, decoder }, mapping, until)
    }

    /// The tables of a server as a stream's header has them, for [`Changes::from_files`].
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn schema_of(source: &SourceConfig, mapping: &Mapping) -> Result<StreamHeader> {
        read_schema(source, mapping).await.map(|(_, _, header)| header)
    }
}

/// Facts, the place where the log is written, and behind it the tables.
async fn read_schema(source: &SourceConfig, mapping: &Mapping) -> Result<(ServerFacts, Position, StreamHeader)> {
    let mut conn = connect_read_only(source).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    // the position first: what is changed between the two counts as changed later
    let now = write_position(&mut conn, &facts).await?;
    let tables = catalog::read_settled(&mut conn, facts.flavor, mapping).await?.tables;
    let _ = conn.disconnect().await;
    let header = StreamHeader {
        flavor: facts.flavor,
        server: facts.version_text.clone(),
        from: now.clone(),
        schema_at: Some(now.binlog.clone()),
        tables,
    };
    Ok((facts, now, header))
}

/// The position behind a set of transactions. Which file that is only the server knows.
fn behind(facts: &ServerFacts, text: &str) -> Result<Position> {
    let gtid = Place::gtid(text, facts.flavor)?;
    let tagged = matches!(&gtid, GtidSet::MySql(set) if set.has_tags());
    if !facts.gtid || tagged {
        let why = if tagged { "a set with tags cannot be asked for" } else { "the source keeps no GTIDs" };
        return Err(Error::new(ErrorKind::Usage, format!("cannot start behind {text}: {why}"))
            .with_hint("name the start by FILE:POS; SHOW BINARY LOGS lists the files"));
    }
    Ok(Position { binlog: BinlogOffset::new("", 4), gtid: Some(gtid) })
}
