//! The bytes for COPY of each row, by SELECT and by the binlog, through the library.

use crate::support::{DATABASE, World};
use sirenia::binlog::{Decoded, Decoder};
use sirenia::change::RowImages;
use sirenia::convert::Arena;
use sirenia::convert::row::Converter;
use sirenia::convert::typemap::{self, BigintUnsigned, TypeOptions};
use sirenia::mapping::Mapping;
use sirenia::position::Position;
use sirenia::schema::Catalog;
use sirenia::source::catalog;
use sirenia::source::connect::{SourceConfig, connect};
use sirenia::source::rows::RowSession;
use sirenia::source::server::{ServerFacts, write_position};
use sirenia::source::snapshot::reader::ChunkReader;
use sirenia::source::transport::BinlogTransport;
use sirenia::value::ValueRef;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Table and id → the tuple, or why there is none.
type Tuples = BTreeMap<(usize, u64), Result<Vec<u8>, String>>;

fn config(world: &World) -> SourceConfig {
    SourceConfig::from_url(&world.source.url(DATABASE)).expect("the source's address")
}

/// Where the binlog ends now.
pub async fn position(world: &World) -> Position {
    let mut conn = connect(&config(world)).await.expect("a connection");
    let facts = ServerFacts::read(&mut conn).await.expect("facts");
    write_position(&mut conn, &facts).await.expect("the position")
}

fn types() -> TypeOptions {
    TypeOptions { bigint_unsigned: BigintUnsigned::Numeric, ..TypeOptions::default() }
}

fn mapping() -> Mapping {
    Mapping { databases: [(DATABASE.to_owned(), "public".to_owned())].into(), ..Mapping::default() }
}

/// What differs in rows inserted behind `from`, in words.
pub async fn differences(world: &World, from: &Position) -> Vec<String> {
    let mut conn = connect(&config(world)).await.expect("a connection");
    let facts = ServerFacts::read(&mut conn).await.expect("facts");
    let mapping = mapping();
    let catalog = catalog::read(&mut conn, facts.flavor, &mapping).await.expect("the catalogue");
    let plans = typemap::plan(&catalog, &mapping, &types()).unwrap_or_else(|error| panic!("{}", error.report()));
    let mut converters: Vec<Converter> = plans
        .into_iter()
        .map(|plan| Converter::compile(Arc::new(plan)).unwrap_or_else(|error| panic!("{}", error.report())))
        .collect();
    let read = by_select(world, &catalog, &mut converters).await;
    let streamed = by_binlog(world, &facts, &catalog, from, &mut converters).await;
    let mut found = Vec::new();
    let mut told = std::collections::BTreeSet::new();
    for (key, tuple) in &read {
        let table = &catalog.tables[key.0];
        let place = format!("{} of id {}", table.name, key.1);
        match (tuple, streamed.get(key)) {
            (Ok(read), Some(Ok(streamed))) if read == streamed => {}
            (Ok(read), Some(Ok(streamed))) => {
                let fields = fields(read).into_iter().zip(self::fields(streamed)).zip(&table.columns);
                for ((read, streamed), column) in fields.filter(|((read, streamed), _)| read != streamed) {
                    if told.insert((key.0, column.name.clone())) {
                        let show = |field: Option<&[u8]>| {
                            field.map(|bytes| bytes.escape_ascii().to_string().chars().take(300).collect::<String>())
                        };
                        found.push(format!(
                            "{place}, {} ({}): SELECT gives {:?}, the binlog {:?}",
                            column.name,
                            column.declared.chars().take(40).collect::<String>(),
                            show(read),
                            show(streamed)
                        ));
                    }
                }
            }
            (Err(error), _) => found.push(format!("{place}: SELECT: {error}")),
            (_, Some(Err(error))) => found.push(format!("{place}: binlog: {error}")),
            (_, None) => found.push(format!("{place}: not in the binlog")),
        }
    }
    assert!(!read.is_empty() && read.len() == streamed.len(), "{} and {} rows", read.len(), streamed.len());
    found.truncate(60);
    found
}

/// The fields of a tuple of binary COPY: two bytes of count, then each with four bytes of length, −1 for NULL.
fn fields(tuple: &[u8]) -> Vec<Option<&[u8]>> {
    let mut rest = &tuple[2..];
    let mut out = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (field, behind) = behind.split_at(length.unwrap_or(0));
        out.push(length.map(|_| field));
        rest = behind;
    }
    out
}

fn put(tuples: &mut Tuples, table: usize, row: &[ValueRef<'_>], converter: &mut Converter) {
    let (ValueRef::Int(id), mut arena) = (row[0], Arena::default()) else { panic!("the first column is the id") };
    let tuple = converter.tuple(row, &mut arena).map(|span| arena.get(span).to_vec()).map_err(|error| error.report());
    assert!(tuples.insert((table, id as u64), tuple).is_none(), "id {id} comes twice");
}

async fn by_select(world: &World, catalog: &Catalog, converters: &mut [Converter]) -> Tuples {
    let mut session = RowSession::open(&config(world)).await.expect("a connection");
    let mut tuples = Tuples::new();
    for (at, (table, converter)) in catalog.tables.iter().zip(converters).enumerate() {
        let mut reader = ChunkReader::new(Arc::new(table.clone()), None).expect("a key");
        while let Some(chunk) =
            reader.next_chunk(&mut session).await.unwrap_or_else(|error| panic!("{}", error.report()))
        {
            for row in 0..chunk.rows.len() {
                let mut values = Vec::new();
                chunk.rows.values(row, &mut values).unwrap_or_else(|error| panic!("{}", error.report()));
                put(&mut tuples, at, &values, converter);
            }
        }
    }
    tuples
}

async fn by_binlog(
    world: &World,
    facts: &ServerFacts,
    catalog: &Catalog,
    from: &Position,
    converters: &mut [Converter],
) -> Tuples {
    let end = position(world).await.binlog;
    let mut transport = BinlogTransport::open(&config(world), facts, from, 77).await.expect("the binlog");
    let tables = catalog.tables.iter().cloned().map(Arc::new).collect();
    let mut decoder = Decoder::new(facts.flavor, from.clone(), tables);
    let mut tuples = Tuples::new();
    while decoder.position().binlog < end || decoder.in_transaction() {
        let event = transport.next().await.unwrap_or_else(|error| panic!("{}", error.report()));
        let decoded = event.frame().and_then(|frame| decoder.decode(frame));
        if let Decoded::Rows(mut rows) = decoded.unwrap_or_else(|error| panic!("{}", error.report())) {
            let mut images = RowImages::default();
            while rows.next_row(&mut images).unwrap_or_else(|error| panic!("{}", error.report())) {
                put(&mut tuples, rows.table, &images.after, &mut converters[rows.table]);
            }
        }
    }
    transport.close().await;
    tuples
}
