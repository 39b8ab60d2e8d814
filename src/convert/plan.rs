//! What becomes of each table: its place, columns, types, key and indexes on the target.
//!
//! Pure data, made by `typemap` from a source [`TableSchema`] and the [`crate::mapping::Mapping`]; read by the
//! converter, the target's schema maker, the copy writer and verify.

use super::objects::Objects;
use super::zone::Zone;
use crate::ident::{self, TargetName};
use crate::mapping::RowTest;
use crate::masking::MaskKey;
use crate::policy::Policies;
use crate::schema::TableSchema;
use std::fmt;
use std::sync::Arc;

/// One table's way into the target.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The source table.
    pub source: Arc<TableSchema>,
    /// Where it goes.
    pub target: TargetName,
    /// The target's columns, in the order they are created and copied in.
    pub columns: Vec<PlannedColumn>,
    /// Positions in `columns` of the key by which rows are found; empty for a table without a key.
    pub key: Vec<usize>,
    /// Whether `key` is the source's primary key (else it is a unique index that serves as one).
    pub key_is_primary: bool,
    /// Unique and plain indexes to build after catch-up; the primary key is not among them.
    pub indexes: Vec<PlannedIndex>,
    /// Row filter: (position in `source.columns`, test), all of which must pass.
    pub rows: Vec<(usize, RowTest)>,
    /// Defaults, checks, foreign keys and what else the table has.
    pub objects: Objects,
}

impl TablePlan {
    /// Whether rows can be found by a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// What rows become, in words: target, columns with their types, row filter. Two plans with one shape make the same
    /// rows, so a pipeline must not go on with another shape than it began with.
    #[must_use]
    pub fn shape(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let source = self.source_name(column);
                format!("{source}={} {}{}", column.name, column.ty.sql(), column.treatment)
            })
            .collect();
        let rows: Vec<String> =
            self.rows.iter().map(|(column, test)| format!("{} {test:?}", self.source.columns[*column].name)).collect();
        format!("{} ({}) where ({})", self.target, columns.join(", "), rows.join(" and "))
    }

    /// What a column is called on the source.
    #[must_use]
    pub fn source_name(&self, column: &PlannedColumn) -> &str {
        self.source.columns.get(column.source).map_or("", |column| column.name.as_str())
    }

    /// The position in `columns` of the source's column of that name, if it is carried.
    #[must_use]
    pub fn column_of(&self, source_name: &str) -> Option<usize> {
        let source = self.source.column(source_name)?;
        self.columns.iter().position(|column| column.source == source)
    }
}

/// One column of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedColumn {
    /// Position of the source column in `TableSchema::columns`.
    pub source: usize,
    /// The target's column name.
    pub name: String,
    /// The target's type.
    pub ty: PgType,
    /// Whether NULL is allowed on the target.
    pub nullable: bool,
    /// Whether it belongs to the key or to a unique index, where no value may be repaired.
    pub unique: bool,
    /// What is done about values that the target does not take as they are.
    pub policies: Policies,
    /// What is done to its values besides the change of type.
    pub treatment: Treatment,
}

/// What is done to a column's values besides the change of type.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Treatment {
    /// Nothing.
    #[default]
    Plain,
    /// DATETIME is read as local time of this zone.
    InZone(Zone),
    /// NULL stands for every value.
    Nulled,
    /// A keyed hash stands for every value.
    Hashed(MaskKey),
}

impl Treatment {
    /// Whether the value itself does not reach the target.
    #[must_use]
    pub fn masks(&self) -> bool {
        matches!(self, Self::Nulled | Self::Hashed(_))
    }
}

/// Added to the type; nothing where nothing is done.
impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => Ok(()),
            Self::InZone(zone) => write!(f, " in {}", zone.name()),
            Self::Nulled => f.write_str(" masked by NULL"),
            Self::Hashed(key) => write!(f, " masked by hashes of key {}", key.fingerprint()),
        }
    }
}

/// One index of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedIndex {
    /// Its name, unique within the target's schema, at most 63 bytes.
    pub name: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Its parts: position in `TablePlan::columns`, prefix length if any, descending. Empty in the other forms.
    pub parts: Vec<(usize, Option<u32>, bool)>,
    /// What it is over.
    pub form: IndexForm,
}

/// What an index is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IndexForm {
    /// Its parts.
    #[default]
    Columns,
    /// Expressions and columns, as SQL, and whether each is descending.
    Expressions(Vec<(String, bool)>),
    /// The words of columns, by position: MySQL's FULLTEXT.
    Words(Vec<usize>),
}

/// A PostgreSQL type that values are converted to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are PostgreSQL's")]
pub enum PgType {
    SmallInt,
    Integer,
    BigInt,
    Numeric {
        precision: u16,
        scale: u16,
    },
    Real,
    Double,
    Boolean,
    Bit(u32),
    Varchar(u32),
    Text,
    Bytea,
    Date,
    Timestamp(u8),
    TimestampTz(u8),
    Interval(u8),
    Time(u8),
    Json,
    Jsonb,
    TextArray,
    RealArray,
    Uuid,
    Inet,
    /// An enum type of that name, made for one column.
    Enum(TargetName),
}

impl PgType {
    /// The type as SQL, e.g. `numeric(12,2)`.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::SmallInt => "smallint".into(),
            Self::Integer => "integer".into(),
            Self::BigInt => "bigint".into(),
            Self::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Real => "real".into(),
            Self::Double => "double precision".into(),
            Self::Boolean => "boolean".into(),
            Self::Bit(n) => format!("bit({n})"),
            Self::Varchar(n) => format!("character varying({n})"),
            Self::Text => "text".into(),
            Self::Bytea => "bytea".into(),
            Self::Date => "date".into(),
            Self::Timestamp(p) => format!("timestamp({p}) without time zone"),
            Self::TimestampTz(p) => format!("timestamp({p}) with time zone"),
            Self::Interval(p) => format!("interval({p})"),
            Self::Time(p) => format!("time({p}) without time zone"),
            Self::Json => "json".into(),
            Self::Jsonb => "jsonb".into(),
            Self::TextArray => "text[]".into(),
            Self::RealArray => "real[]".into(),
            Self::Uuid => "uuid".into(),
            Self::Inet => "inet".into(),
            Self::Enum(name) => format!("{}.{}", ident::postgres(&name.schema), ident::postgres(&name.table)),
        }
    }

    /// The type's OID and that of its array type, fixed by PostgreSQL (`pg_type.dat`); 0 where it is not
    /// fixed or there is none to use: columns of such a type can be in no key.
    #[must_use]
    pub fn oids(&self) -> (u32, u32) {
        match self {
            Self::SmallInt => (21, 1005),
            Self::Integer => (23, 1007),
            Self::BigInt => (20, 1016),
            Self::Numeric { .. } => (1700, 1231),
            Self::Real => (700, 1021),
            Self::Double => (701, 1022),
            Self::Boolean => (16, 1000),
            Self::Bit(_) => (1560, 1561),
            Self::Varchar(_) => (1043, 1015),
            Self::Text => (25, 1009),
            Self::Bytea => (17, 1001),
            Self::Date => (1082, 1182),
            Self::Timestamp(_) => (1114, 1115),
            Self::TimestampTz(_) => (1184, 1185),
            Self::Interval(_) => (1186, 1187),
            Self::Time(_) => (1083, 1183),
            Self::Json => (114, 199),
            Self::Jsonb => (3802, 3807),
            Self::TextArray => (1009, 0),
            Self::RealArray => (1021, 0),
            Self::Uuid => (2950, 2951),
            Self::Inet => (869, 1041),
            Self::Enum(_) => (0, 0),
        }
    }
}
