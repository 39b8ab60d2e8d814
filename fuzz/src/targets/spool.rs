//! Recordings of the change stream.

use super::recorded::{int, table};
use super::{head, wire};
use sirenia::change::{Boundary, ChangeHead, RowImages, StreamHeader};
use sirenia::error::{ErrorKind, Result};
use sirenia::position::{BinlogOffset, Position};
use sirenia::schema::Flavor;
use sirenia::spool::{MAGIC, Reader, Recorded, VERSION, Writer};

/// First byte: 1 the file begins with a sound header, 2 the input is put into frames with their checksums, each behind two bytes of
/// its length. By neither the input is the file.
pub fn spool(data: &[u8]) {
    let ([mode], mut rest) = head(data);
    let mut file = Vec::new();
    if mode & 1 != 0 {
        Writer::new(&mut file, "fuzz", header()).expect("memory");
    } else if mode & 2 != 0 {
        file.extend(MAGIC);
        file.extend(VERSION.to_le_bytes());
    }
    if mode & 2 == 0 {
        file.extend(rest);
    } else {
        while !rest.is_empty() {
            let (length, tail) = head(rest);
            let (payload, tail) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes(length))));
            let length = (payload.len() as u32).to_le_bytes();
            file.extend(length);
            file.extend(wire::crc32(&[&length, payload]).to_le_bytes());
            file.extend(payload);
            rest = tail;
        }
    }
    let mut copy = Vec::new();
    let Some((told, end)) = read(&file, &mut copy) else { return };
    assert!(told.items.len() <= file.len(), "{} things in {} bytes", told.items.len(), file.len());
    // structures may come as arrays and are written as maps by their fields' names
    assert!(copy.len() <= 64 * file.len() + 4096, "{} bytes written anew as {}", file.len(), copy.len());
    let mut again = Vec::new();
    let (told_again, end_again) = read(&copy, &mut again).expect("what was written");
    let end_again = end_again.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(told_again, told);
    assert_eq!(end_again, end.unwrap_or_else(|_| told.header.from.clone()));
    assert_eq!(again, copy, "written anew it stays as it is");
}

/// All that a recording tells.
#[derive(Debug, PartialEq)]
struct Told {
    header: StreamHeader,
    items: Vec<Item>,
}

/// Values are borrowed from their frame: what is kept is their text.
#[derive(Debug, PartialEq)]
enum Item {
    Boundary(Boundary),
    Row(ChangeHead, String),
}

/// Reads a recording and writes it anew: what it told, and how it ended. None without a header.
fn read(file: &[u8], copy: &mut Vec<u8>) -> Option<(Told, Result<Position>)> {
    let mut reader = match Reader::new(file, "fuzz") {
        Ok(reader) => reader,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.report());
            return None;
        }
    };
    let header = reader.header().clone();
    let mut writer = Writer::new(copy, "copy", header.clone()).expect("memory");
    let mut items = Vec::new();
    let end = follow(&mut reader, &mut writer, &mut items);
    if let Err(error) = &end {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}", error.report());
    }
    let position = end.as_ref().cloned().unwrap_or_else(|_| header.from.clone());
    writer.finish(position).expect("memory");
    Some((Told { header, items }, end))
}

fn follow(reader: &mut Reader<&[u8]>, writer: &mut Writer<&mut Vec<u8>>, items: &mut Vec<Item>) -> Result<Position> {
    while reader.advance()? {
        match reader.current()? {
            Recorded::Boundary(boundary) => {
                writer.boundary(boundary.clone()).expect("memory");
                items.push(Item::Boundary(boundary));
            }
            Recorded::Rows(mut rows) => {
                let mut images = RowImages::default();
                while rows.next_row(&mut images)? {
                    writer.row(rows.head(), &images).expect("memory");
                    items.push(Item::Row(rows.head(), format!("{images:?}")));
                }
            }
        }
    }
    Ok(reader.end().cloned().expect("a position at the end"))
}

/// Of two tables with three columns.
pub fn header() -> StreamHeader {
    let table = |name: &str| {
        let columns = ["a", "b", "c"].map(|name| (name, int(4, false)));
        table("lab", name, columns.into()).as_ref().clone()
    };
    let from = BinlogOffset::new("bin.000001", 4);
    StreamHeader {
        flavor: Flavor::MariaDb,
        server: "10.11.19-MariaDB".into(),
        from: Position { binlog: from.clone(), gtid: None },
        schema_at: Some(from),
        tables: vec![table("pasien"), table("hasil")],
    }
}
