//! What a DDL statement says, before it is held against a catalogue.

use crate::schema::{Action, IndexKind};

/// A table as the statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The database, where it is said.
    pub database: Option<String>,
    /// The table.
    pub table: String,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// It concerns no base table: views, routines, accounts, temporary tables, sequences, maintenance.
    NoTable,
    /// CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// DROP TABLE.
    DropTables(Vec<Name>),
    /// TRUNCATE TABLE.
    Truncate(Name),
    /// RENAME TABLE: from, to, one after the other.
    RenameTables(Vec<(Name, Name)>),
    /// ALTER TABLE, CREATE INDEX, DROP INDEX.
    Alter(Box<AlterTable>),
    /// CREATE DATABASE and ALTER DATABASE; none is the default database.
    SetDatabase {
        /// Which one.
        database: Option<String>,
        /// The character set of its new tables.
        charset: CharsetClause,
        /// Whether it is created.
        create: bool,
    },
    /// DROP DATABASE.
    DropDatabase(String),
}

/// `CHARACTER SET x COLLATE y`, each as far as it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CharsetClause {
    /// The character set; `DEFAULT` is none.
    pub name: Option<String>,
    /// The collation.
    pub collation: Option<String>,
    /// `CHARACTER SET DEFAULT`: that of the level above.
    pub reset: bool,
}

impl CharsetClause {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Table options that the catalogue shows; all others do nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// ENGINE.
    pub engine: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
    /// DEFAULT CHARACTER SET and COLLATE.
    pub charset: CharsetClause,
    /// WITH SYSTEM VERSIONING.
    pub versioned: bool,
}

/// CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// The new table.
    pub name: Name,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// LIKE this table.
    pub like: Option<Name>,
    /// Whether a query fills it, and adds columns.
    pub select: bool,
    /// Columns, indexes and constraints in the order in which they stand.
    pub elements: Vec<Element>,
    /// Its options.
    pub options: TableOptions,
}

/// What stands in a CREATE TABLE's parentheses.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// A column.
    Column(Box<ColumnDefinition>),
    /// An index; a column's own KEY and UNIQUE too.
    Index(IndexDefinition),
    /// A foreign key; a column's own REFERENCES too.
    ForeignKey(ForeignKeyDefinition),
    /// A CHECK constraint; a column's own too.
    Check(CheckDefinition),
    /// What is read and whose effect is not predicted, and why.
    Unsure(&'static str),
}

/// A column's definition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeName,
    /// NULL or NOT NULL, where said.
    pub nullable: Option<bool>,
    /// DEFAULT.
    pub default: Option<DefaultClause>,
    /// ON UPDATE CURRENT_TIMESTAMP.
    pub on_update_now: bool,
    /// AUTO_INCREMENT.
    pub auto_increment: bool,
    /// How it is generated, and whether that is stored.
    pub generation: Option<(String, bool)>,
    /// COMMENT.
    pub comment: String,
    /// What is read and whose effect is not predicted, and why.
    pub unsure: Option<&'static str>,
}

/// A type, its synonyms resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeName {
    /// The type's own name, lower case.
    pub base: String,
    /// Length, or precision and scale.
    pub numbers: Vec<u64>,
    /// ENUM's and SET's.
    pub labels: Vec<String>,
    /// UNSIGNED (or ZEROFILL, which implies it).
    pub unsigned: bool,
    /// ZEROFILL.
    pub zerofill: bool,
    /// The attribute BINARY: the set's `_bin` collation.
    pub binary: bool,
    /// MariaDB's COMPRESSED.
    pub compressed: bool,
    /// CHARACTER SET and COLLATE.
    pub charset: CharsetClause,
}

/// A DEFAULT clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultClause {
    /// NULL.
    Null,
    /// A string's content.
    Text(String),
    /// A number as it is written, with its sign; TRUE and FALSE are 1 and 0.
    Number(String),
    /// The digits of `b'…'`.
    Bits(String),
    /// CURRENT_TIMESTAMP and synonyms, with its digits.
    Now(u8),
    /// Any other expression as it is written, with the parentheses that MySQL asks for.
    Expression(String),
}

/// An index's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name, where said.
    pub name: Option<String>,
    /// What it promises.
    pub kind: IndexKind,
    /// `FULLTEXT`, `SPATIAL`, `VECTOR`, or what USING says.
    pub method: Option<String>,
    /// Its parts.
    pub parts: Vec<PartDefinition>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
}

/// A part of an index: a column, or an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDefinition {
    /// The column, or the expression's text.
    pub of: Result<String, String>,
    /// The prefix's length.
    pub prefix: Option<u32>,
    /// DESC.
    pub descending: bool,
}

/// A foreign key's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKeyDefinition {
    /// CONSTRAINT's name.
    pub name: Option<String>,
    /// The index's name behind FOREIGN KEY.
    pub index: Option<String>,
    /// The child's columns.
    pub columns: Vec<String>,
    /// The parent.
    pub parent: Name,
    /// The parent's columns; none said is its primary key.
    pub parent_columns: Vec<String>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
    /// Whether it stands in a column's definition.
    pub inline: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
}

/// A CHECK constraint's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckDefinition {
    /// CONSTRAINT's name.
    pub name: Option<String>,
    /// The column in whose definition it stands.
    pub column: Option<String>,
    /// The condition.
    pub condition: String,
    /// Not NOT ENFORCED.
    pub enforced: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
}

/// ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub name: Name,
    /// MariaDB's ALTER IGNORE: rows that violate a new key go.
    pub ignore: bool,
    /// Its clauses in order, options aside.
    pub clauses: Vec<Clause>,
    /// Its options.
    pub options: TableOptions,
}

/// Where a column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Not said: a new one goes last, others stay.
    Unsaid,
    /// FIRST.
    First,
    /// AFTER this one, by its new name.
    After(String),
}

/// A clause of ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// `ADD [COLUMN]`.
    AddColumn {
        /// The column.
        column: Box<ColumnDefinition>,
        /// Where to.
        place: Place,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// ADD of an index or a constraint.
    Add(Element),
    /// CHANGE and MODIFY.
    Change {
        /// Its name so far.
        old: String,
        /// What it becomes.
        column: Box<ColumnDefinition>,
        /// Where to.
        place: Place,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// Its name so far.
        from: String,
        /// Its new name.
        to: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// `DROP [COLUMN]`.
    DropColumn {
        /// Which one.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// ALTER COLUMN … SET DEFAULT, DROP DEFAULT (none).
    SetDefault {
        /// Which one.
        column: String,
        /// The new default.
        default: Option<DefaultClause>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// DROP INDEX, PRIMARY KEY, FOREIGN KEY, CHECK or CONSTRAINT.
    Drop {
        /// Which kind.
        kind: Dropped,
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// RENAME INDEX.
    RenameIndex {
        /// Its name so far.
        from: String,
        /// Its new name.
        to: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// `ALTER CHECK` and `ALTER CONSTRAINT … [NOT] ENFORCED`.
    Enforce {
        /// The check's name.
        name: String,
        /// Whether rows are held to it.
        enforced: bool,
    },
    /// CONVERT TO CHARACTER SET.
    Convert(CharsetClause),
    /// RENAME TO.
    RenameTo(Name),
    /// Rows come or go, without row events, and why.
    Rows(&'static str),
    /// EXCHANGE PARTITION … WITH TABLE.
    Exchange(Name),
    /// CONVERT PARTITION … TO TABLE.
    PartitionToTable(Name),
    /// CONVERT TABLE … TO PARTITION.
    TableToPartition(Name),
    /// The schema becomes what is not predicted, and why.
    Unsure(&'static str),
    /// Neither schema nor rows change.
    Nothing,
}

/// What [`Clause::Drop`] drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// An index; `PRIMARY` is the primary key.
    Index,
    /// A foreign key.
    ForeignKey,
    /// A check.
    Check,
    /// Whichever bears the name.
    Constraint,
}
