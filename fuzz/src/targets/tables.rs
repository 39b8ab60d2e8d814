//! The schemas of the recorded tables (`fixtures/binlogs/*.sql`), which hold every type.

use sirenia::ident::TableName;
use sirenia::schema::SourceType as T;
use sirenia::schema::{Charset, Column, Flavor, LeftOut, TableSchema};
use std::sync::{Arc, OnceLock};

pub fn table(database: &str, name: &str, columns: Vec<(&str, T)>) -> Arc<TableSchema> {
    let column = |(name, ty): (&str, T)| Column {
        name: name.into(),
        declared: format!("{ty:?}"),
        ty,
        nullable: true,
        auto_increment: false,
        generated: false,
        left_out: LeftOut::default(),
        comment: String::new(),
    };
    Arc::new(TableSchema {
        name: TableName::new(database, name),
        columns: columns.into_iter().map(column).collect(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        engine: "InnoDB".into(),
        transactional: true,
        comment: String::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
    })
}

pub fn int(bytes: u8, unsigned: bool) -> T {
    T::Int { bytes, unsigned, boolean: false }
}

fn charset(name: &str) -> Charset {
    Charset { name: name.into(), collation: format!("{name}_bin") }
}

fn text(length_bytes: u8) -> T {
    T::Text { length_bytes, charset: charset("utf8mb4") }
}

fn varchar(chars: u32, name: &str) -> T {
    T::VarChar { chars, charset: charset(name) }
}

fn char(chars: u32) -> T {
    T::Char { chars, charset: charset("utf8mb4") }
}

fn decimal(precision: u8, scale: u8) -> T {
    T::Decimal { precision, scale, unsigned: false }
}

fn labels(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

fn kinds() -> Vec<(&'static str, T)> {
    vec![
        ("id", int(4, false)),
        ("ti", int(1, false)),
        ("tu", int(1, true)),
        ("si", int(2, false)),
        ("su", int(2, true)),
        ("mi", int(3, false)),
        ("mu", int(3, true)),
        ("i", int(4, false)),
        ("iu", int(4, true)),
        ("bi", int(8, false)),
        ("bu", int(8, true)),
        ("y", T::Year),
        ("d1", decimal(65, 30)),
        ("d2", decimal(10, 2)),
        ("d3", decimal(5, 5)),
        ("d4", decimal(9, 0)),
        ("f", T::Float),
        ("db", T::Double),
        ("b1", T::Bit { bits: 1 }),
        ("b13", T::Bit { bits: 13 }),
        ("b64", T::Bit { bits: 64 }),
        ("da", T::Date),
        ("t0", T::Time { fsp: 0 }),
        ("t1", T::Time { fsp: 1 }),
        ("t3", T::Time { fsp: 3 }),
        ("t6", T::Time { fsp: 6 }),
        ("dt0", T::DateTime { fsp: 0 }),
        ("dt2", T::DateTime { fsp: 2 }),
        ("dt3", T::DateTime { fsp: 3 }),
        ("dt6", T::DateTime { fsp: 6 }),
        ("ts0", T::Timestamp { fsp: 0 }),
        ("ts1", T::Timestamp { fsp: 1 }),
        ("ts4", T::Timestamp { fsp: 4 }),
        ("ts6", T::Timestamp { fsp: 6 }),
        ("c", char(5)),
        ("cl", char(200)),
        ("vc", varchar(20, "latin1")),
        ("vl", varchar(300, "utf8mb4")),
        ("tt", text(1)),
        ("mt", text(3)),
        ("lt", text(4)),
        ("bn", T::Binary { len: 8 }),
        ("vb", T::VarBinary { len: 10 }),
        ("tb", T::Blob { length_bytes: 1 }),
        ("lb", T::Blob { length_bytes: 4 }),
        ("e", T::Enum { labels: labels("a,b,ü") }),
        ("st", T::Set { members: labels("a,b,c,d,e,f,g,h,i,j") }),
        ("g", T::Geometry),
    ]
}

/// The tables' names, in the order of [`all`].
pub const NAMES: [&str; 11] =
    ["kinds", "shown", "own", "jtext", "packed", "kept", "docs", "keyed", "uniques", "keyless", "defaults"];

fn columns(name: &str, flavor: Flavor) -> Vec<(&'static str, T)> {
    let (number, blob) = (|| int(4, false), |length_bytes| T::Blob { length_bytes });
    let json = || T::Json { text: flavor == Flavor::MariaDb };
    match name {
        "kinds" => kinds(),
        "own" if flavor == Flavor::MySql => vec![("id", number()), ("j", json()), ("v", T::Vector)],
        "own" => vec![("id", number()), ("u", T::Uuid), ("i4", T::Inet4), ("i6", T::Inet6), ("j", json())],
        "packed" => vec![
            ("id", number()),
            ("v", varchar(300, "utf8mb4")),
            ("vs", varchar(40, "latin1")),
            ("t", text(2)),
            ("b", blob(2)),
            ("vb", T::VarBinary { len: 200 }),
            ("mt", text(3)),
            ("lb", blob(4)),
            ("tt", text(1)),
            ("n", number()),
        ],
        "kept" => vec![("id", number()), ("v", varchar(300, "utf8mb4")), ("b", blob(4))],
        "docs" => vec![("id", number()), ("j", json()), ("n", number()), ("k", json())],
        "keyed" => vec![
            ("id", number()),
            ("a", number()),
            ("b", varchar(20, "utf8mb4")),
            ("t", text(2)),
            ("s", number()),
            ("v", number()),
            ("d", T::DateTime { fsp: 0 }),
            ("n", number()),
        ],
        "uniques" => {
            vec![("p", varchar(20, "utf8mb4")), ("w", number()), ("k", number()), ("v", number()), ("t", text(2))]
        }
        "keyless" => vec![("a", number()), ("b", varchar(20, "utf8mb4")), ("t", text(2))],
        "defaults" => vec![("id", number()), ("v", number())],
        _ => vec![("id", number()), ("txt", text(4))],
    }
}

/// All tables as a server of that family has them.
pub fn all(flavor: Flavor) -> &'static [Arc<TableSchema>] {
    static ALL: [OnceLock<Vec<Arc<TableSchema>>>; 2] = [OnceLock::new(), OnceLock::new()];
    ALL[usize::from(flavor == Flavor::MariaDb)]
        .get_or_init(|| NAMES.map(|name| table("fx", name, columns(name, flavor))).into())
}
