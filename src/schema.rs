//! The shape of source tables as the replicator knows them: columns, keys, foreign keys.
//!
//! Filled from the source's catalogue (`source::catalog`), kept in `sirenia.schema_version` so that a restart decodes
//! with the schema the rows were written under, and checked against every TABLE_MAP. No I/O here.

use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::value::ValueRef;
use serde::{Deserialize, Serialize};

/// Which of the two server families, since their binlogs and catalogues differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// Oracle's MySQL, Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// One source table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Its name in the server's spelling.
    pub name: TableName,
    /// All columns, in ordinal order: the order of the binlog's row images.
    pub columns: Vec<Column>,
    /// All indexes, the primary key first if there is one.
    pub indexes: Vec<Index>,
    /// Foreign keys of which this table is the child.
    pub foreign_keys: Vec<ForeignKey>,
    /// Storage engine, such as `InnoDB`.
    pub engine: String,
    /// Whether the engine has transactions and consistent reads.
    pub transactional: bool,
    /// The table's comment, possibly empty.
    pub comment: String,
    /// The table's own character set, which text columns get that name none. Not in schemas stored before 0.2.
    #[serde(default)]
    pub charset: Option<Charset>,
    /// CHECK constraints, but for the `json_valid` that makes MariaDB's JSON. Not in schemas stored before 0.2.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// The catalogue's estimate of the number of rows.
    pub estimated_rows: u64,
    /// The catalogue's estimate of the data's size in bytes.
    pub estimated_bytes: u64,
}

impl TableSchema {
    /// The index that identifies a row: the primary key, else the first unique index without nullable or prefix columns.
    #[must_use]
    pub fn key(&self) -> Option<&Index> {
        let identifies = |index: &&Index| {
            index.kind != IndexKind::Plain
                && index.parts.iter().all(|part| {
                    part.prefix.is_none() && part.column.is_some_and(|column| !self.columns[column].nullable)
                })
        };
        self.indexes.iter().filter(identifies).min_by_key(|index| (index.kind != IndexKind::Primary, index.parts.len()))
    }

    /// Positions of the key's columns in [`TableSchema::columns`], in key order; empty without a key.
    #[must_use]
    pub fn key_columns(&self) -> Vec<usize> {
        self.key().map(|index| index.parts.iter().filter_map(|part| part.column).collect()).unwrap_or_default()
    }

    /// Position of the column of that name (MySQL compares column names without regard to case).
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name == name)
            .or_else(|| self.columns.iter().position(|column| column.name.to_lowercase() == name.to_lowercase()))
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SourceType,
    /// The type as the catalogue spells it, e.g. `int(10) unsigned`; for messages only.
    pub declared: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Whether it is AUTO_INCREMENT.
    pub auto_increment: bool,
    /// Whether it is computed from other columns.
    pub generated: bool,
    /// How it is computed. Not in schemas stored before 0.2.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Its default; none where it has none or NULL. Not in schemas stored before 0.2.
    #[serde(default)]
    pub default: Option<ColumnDefault>,
    /// Whether an UPDATE sets it to the time (`ON UPDATE CURRENT_TIMESTAMP`). Not in schemas stored before 0.2.
    #[serde(default)]
    pub on_update_now: bool,
    /// What it means that a partial row image leaves it out. Not in schemas stored by versions before 0.2.
    #[serde(default)]
    pub left_out: LeftOut,
    /// The column's comment, possibly empty.
    pub comment: String,
}

/// How a generated column is computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The expression, as the catalogue prints it.
    pub expression: String,
    /// Whether its value is stored (STORED, PERSISTENT) instead of computed at each reading.
    pub stored: bool,
}

/// A column's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnDefault {
    /// A constant's text, without quotes; a bit string keeps its form `b'101'`.
    Literal(String),
    /// An expression, as the catalogue prints it, such as `CURRENT_TIMESTAMP` or `uuid()`.
    Expression(String),
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name; MariaDB names one that belongs to a column as the column.
    pub name: String,
    /// The condition, as the catalogue prints it.
    pub condition: String,
    /// Whether the server holds rows to it (MySQL's `NOT ENFORCED` does not).
    pub enforced: bool,
}

/// What it means that a partial row image (`binlog_row_image` MINIMAL or NOBLOB) leaves a column out of a new row. Both
/// servers leave out what took a default that stands in the table's definition, and log what they computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeftOut {
    /// Not known: the catalogue does not tell the default exactly, or was read by a version that did not ask.
    #[default]
    Unknown,
    /// The column is NULL.
    Null,
    /// It holds this default: a [`ValueRef`] in its MessagePack form.
    Value(Vec<u8>),
    /// It is never left out: its value is computed for each row.
    Never,
    /// It is left out always, changed or not: MariaDB's VIRTUAL columns, under MINIMAL.
    Always,
}

impl LeftOut {
    /// The value as the binlog would carry it.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] only: a value has a MessagePack form.
    pub fn of_value(value: &ValueRef<'_>) -> Result<Self> {
        let packed = rmp_serde::to_vec(value);
        packed.map(Self::Value).map_err(|e| Error::new(ErrorKind::Bug, "cannot pack a default").with_source(e))
    }

    /// What a new row holds in the column; none when that is not known.
    #[must_use]
    pub fn value(&self) -> Option<ValueRef<'_>> {
        match self {
            Self::Null => Some(ValueRef::Null),
            Self::Value(packed) => rmp_serde::from_slice(packed).ok(),
            Self::Unknown | Self::Never | Self::Always => None,
        }
    }
}

/// A column's type with everything that is needed to read its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceType {
    /// TINYINT … BIGINT.
    Int {
        /// Storage size: 1, 2, 3, 4 or 8 bytes.
        bytes: u8,
        /// Whether it is UNSIGNED.
        unsigned: bool,
        /// Whether it was declared `tinyint(1)`, MySQL's boolean.
        boolean: bool,
    },
    /// YEAR.
    Year,
    /// DECIMAL(precision, scale).
    Decimal {
        /// Digits in all, 1…65.
        precision: u8,
        /// Digits after the point, 0…38.
        scale: u8,
        /// Whether it is UNSIGNED.
        unsigned: bool,
    },
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// BIT(bits), 1…64.
    Bit {
        /// Number of bits.
        bits: u8,
    },
    /// DATE.
    Date,
    /// TIME(fsp).
    Time {
        /// Digits after the second's point, 0…6.
        fsp: u8,
    },
    /// DATETIME(fsp).
    DateTime {
        /// Digits after the second's point, 0…6.
        fsp: u8,
    },
    /// TIMESTAMP(fsp).
    Timestamp {
        /// Digits after the second's point, 0…6.
        fsp: u8,
    },
    /// CHAR(chars).
    Char {
        /// Length in characters.
        chars: u32,
        /// Character set and collation.
        charset: Charset,
    },
    /// VARCHAR(chars).
    VarChar {
        /// Maximum length in characters.
        chars: u32,
        /// Character set and collation.
        charset: Charset,
    },
    /// TINYTEXT … LONGTEXT.
    Text {
        /// Width of the length prefix: 1…4 bytes.
        length_bytes: u8,
        /// Character set and collation.
        charset: Charset,
    },
    /// BINARY(len).
    Binary {
        /// Length in bytes.
        len: u32,
    },
    /// VARBINARY(len).
    VarBinary {
        /// Maximum length in bytes.
        len: u32,
    },
    /// TINYBLOB … LONGBLOB.
    Blob {
        /// Width of the length prefix: 1…4 bytes.
        length_bytes: u8,
    },
    /// ENUM(labels).
    Enum {
        /// The labels, index 1 first.
        labels: Vec<String>,
    },
    /// SET(members).
    Set {
        /// The members, bit 0 first.
        members: Vec<String>,
    },
    /// JSON: binary in MySQL's binlog; MariaDB's is LONGTEXT with a `json_valid` check and comes as text.
    Json {
        /// Whether the binlog carries text (MariaDB) instead of MySQL's binary form.
        text: bool,
    },
    /// POINT … GEOMETRYCOLLECTION.
    Geometry,
    /// MySQL's and MariaDB's VECTOR: 4-byte floats.
    Vector,
    /// MariaDB's UUID.
    Uuid,
    /// MariaDB's INET4.
    Inet4,
    /// MariaDB's INET6.
    Inet6,
}

impl SourceType {
    /// Whether a zero or partial date can occur in it.
    #[must_use]
    pub fn has_date(&self) -> bool {
        matches!(self, Self::Date | Self::DateTime { .. } | Self::Timestamp { .. })
    }

    /// The character set of a text column.
    #[must_use]
    pub fn charset(&self) -> Option<&Charset> {
        match self {
            Self::Char { charset, .. } | Self::VarChar { charset, .. } | Self::Text { charset, .. } => Some(charset),
            _ => None,
        }
    }
}

/// A character set with its collation, by the server's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charset {
    /// E.g. `utf8mb4`, `latin1`.
    pub name: String,
    /// E.g. `utf8mb4_unicode_ci`.
    pub collation: String,
}

impl Charset {
    /// Whether equal text means equal bytes: a `_bin` collation.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.collation.ends_with("_bin") || self.collation == "binary"
    }

    /// The bytes of its longest character, as the servers' `SHOW CHARACTER SET` has it; `None` for a set that neither
    /// server has.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u32> {
        Some(match self.name.as_str() {
            "armscii8" | "ascii" | "binary" | "cp1250" | "cp1251" | "cp1256" | "cp1257" | "cp850" | "cp852"
            | "cp866" | "dec8" | "geostd8" | "greek" | "hebrew" | "hp8" | "keybcs2" | "koi8r" | "koi8u" | "latin1"
            | "latin2" | "latin5" | "latin7" | "macce" | "macroman" | "swe7" | "tis620" => 1,
            "big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis" | "ucs2" => 2,
            "eucjpms" | "ujis" | "utf8" | "utf8mb3" => 3,
            "gb18030" | "utf16" | "utf16le" | "utf32" | "utf8mb4" => 4,
            _ => return None,
        })
    }
}

/// What an index promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexKind {
    /// The primary key.
    Primary,
    /// A unique index.
    Unique,
    /// Any other index, FULLTEXT and SPATIAL included.
    Plain,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name within the table; `PRIMARY` for the primary key.
    pub name: String,
    /// What it promises.
    pub kind: IndexKind,
    /// `BTREE`, `HASH`, `FULLTEXT`, `SPATIAL`, `RTREE`.
    pub method: String,
    /// Its parts in order.
    pub parts: Vec<IndexPart>,
}

/// One part of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPart {
    /// Position of the column in [`TableSchema::columns`]; none for an expression.
    pub column: Option<usize>,
    /// Characters (bytes for binary types) of a prefix part.
    pub prefix: Option<u32>,
    /// Whether it is sorted downwards.
    pub descending: bool,
    /// The expression of a functional part, as the catalogue prints it. Not in schemas stored before 0.2.
    #[serde(default)]
    pub expression: Option<String>,
}

/// What a foreign key does to the child when the parent's row goes or its key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// RESTRICT, NO ACTION and InnoDB's refused SET DEFAULT: the parent's change fails instead.
    Restrict,
    /// The child row goes or changes with it.
    Cascade,
    /// The child's columns become NULL.
    SetNull,
}

/// A foreign key, kept with its child table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// Names of the child's columns.
    pub columns: Vec<String>,
    /// The referenced table.
    pub parent: TableName,
    /// Names of the parent's columns, in the same order.
    pub parent_columns: Vec<String>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
}

impl ForeignKey {
    /// Whether a change of the parent changes children.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.on_delete != Action::Restrict || self.on_update != Action::Restrict
    }
}

/// The whole source schema, as stored by version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The base tables that the mapping includes, by name order.
    pub tables: Vec<TableSchema>,
}

impl Catalog {
    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableSchema> {
        self.tables.iter().find(|table| table.name == *name)
    }
}
