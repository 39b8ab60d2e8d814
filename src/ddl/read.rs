//! Reads a statement: which kind it is, and ALTER TABLE's clauses.

use super::affects::{Affects, affects};
use super::cursor::Cursor;
use super::read_column::{column, default};
use super::read_table::{constraint, create, elements, enforced, index_parts, option, special, using};
use super::statement::{
    AlterTable, CharsetClause, Clause, Dropped, Element, IndexDefinition, Name, Place, Statement, TableOptions,
};
use super::words::{Mode, Token};
use super::{Read, Unread};
use crate::schema::IndexKind;

/// Reads a DDL statement to its last word.
///
/// # Errors
/// [`Unread`], with the place, for what is not understood wholly: no half of a statement is taken for the whole.
pub fn parse(sql: &str, mode: Mode) -> Read<Statement> {
    let mut cursor = Cursor::new(sql, mode)?;
    let statement = match statement(&mut cursor)? {
        Some(statement) => statement,
        None if affects(sql, "") == Affects::Nothing => return Ok(Statement::NoTable),
        None => return Err(Unread::new("the statement is of no kind that is known")),
    };
    if !cursor.is_at_end() {
        return Err(cursor.unread("the end"));
    }
    if !within_limits(&statement) {
        return Err(Unread::new("more columns or keys than a table has"));
    }
    if mode.other_types && defines_columns(&statement) {
        return Err(Unread::new("under this sql_mode types mean something else"));
    }
    Ok(statement)
}

/// More tables than these at once no tool renames.
const MOST_RENAMES: usize = 2000;
/// Columns and keys of a table: both servers have at most 4,096 columns and 128 keys.
const MOST_COLUMNS: usize = 5000;
const MOST_KEYS: usize = 300;

/// Refuses what no server took, and what would take long to look at.
fn within_limits(statement: &Statement) -> bool {
    let (columns, keys) = match statement {
        Statement::CreateTable(create) => {
            let columns = create.elements.iter().filter(|element| matches!(element, Element::Column(_))).count();
            (columns, create.elements.len() - columns)
        }
        Statement::Alter(alter) => {
            let keys = alter.clauses.iter().filter(|clause| matches!(clause, Clause::Add(_))).count();
            (alter.clauses.len() - keys, keys)
        }
        _ => (0, 0),
    };
    columns <= MOST_COLUMNS && keys <= MOST_KEYS
}

fn defines_columns(statement: &Statement) -> bool {
    match statement {
        Statement::CreateTable(create) => !create.elements.is_empty(),
        Statement::Alter(alter) => {
            alter.clauses.iter().any(|clause| matches!(clause, Clause::AddColumn { .. } | Clause::Change { .. }))
        }
        _ => false,
    }
}

/// None where the statement is not about a table, or not known.
fn statement(cursor: &mut Cursor<'_>) -> Read<Option<Statement>> {
    if cursor.take("CREATE") {
        let or_replace = cursor.take("OR REPLACE");
        if cursor.take_any(&["DATABASE", "SCHEMA"]) {
            cursor.if_not_exists();
            return set_database(cursor, true).map(Some);
        }
        if cursor.take("TABLE") {
            return create(cursor, or_replace).map(|create| Some(Statement::CreateTable(Box::new(create))));
        }
        return create_index(cursor);
    }
    if cursor.take("DROP") {
        if cursor.take_any(&["DATABASE", "SCHEMA"]) {
            cursor.if_exists();
            return cursor.name().map(|name| Some(Statement::DropDatabase(name)));
        }
        if cursor.take_any(&["TABLE", "TABLES"]) {
            return drop_tables(cursor).map(Some);
        }
        let _ = cursor.take_any(&["ONLINE", "OFFLINE"]);
        if cursor.take("INDEX") {
            return drop_index(cursor).map(Some);
        }
        return Ok(None);
    }
    if cursor.take("ALTER") {
        if cursor.take_any(&["DATABASE", "SCHEMA"]) {
            return set_database(cursor, false).map(Some);
        }
        cursor.take_any(&["ONLINE", "OFFLINE"]);
        let ignore = cursor.take("IGNORE");
        if cursor.take("TABLE") {
            return alter(cursor, ignore).map(|alter| Some(Statement::Alter(Box::new(alter))));
        }
        return Ok(None);
    }
    if cursor.take("RENAME") {
        return if cursor.take_any(&["TABLES", "TABLE"]) { rename(cursor).map(Some) } else { Ok(None) };
    }
    if cursor.take("TRUNCATE") {
        cursor.take("TABLE");
        let table = cursor.table()?;
        wait(cursor)?;
        return Ok(Some(Statement::Truncate(table)));
    }
    Ok(None)
}

/// CREATE or ALTER DATABASE, behind that.
fn set_database(cursor: &mut Cursor<'_>, create: bool) -> Read<Statement> {
    const OPTIONS: [&str; 6] = ["CHARACTER", "CHARSET", "CHAR", "COLLATE", "DEFAULT", "ENCRYPTION"];
    let unnamed = !create && (cursor.at_any(&OPTIONS) || cursor.at("READ"));
    let database = if unnamed { None } else { Some(cursor.name()?) };
    let mut charset = CharsetClause::default();
    while !cursor.is_at_end() {
        cursor.take("DEFAULT");
        if cursor.charset(&mut charset)? {
        } else if cursor.take_any(&["ENCRYPTION", "COMMENT", "READ ONLY"]) {
            cursor.sign('=');
            cursor.advance();
        } else if cursor.take("UPGRADE DATA DIRECTORY NAME") {
            return Err(Unread::new("the database gets another name"));
        } else {
            return Err(cursor.unread("a database's option"));
        }
    }
    Ok(Statement::SetDatabase { database, charset, create })
}

/// `[UNIQUE|FULLTEXT|SPATIAL|VECTOR] INDEX …`; none when that is not what stands here.
fn create_index(cursor: &mut Cursor<'_>) -> Read<Option<Statement>> {
    cursor.take_any(&["ONLINE", "OFFLINE"]);
    let (kind, method) = if cursor.take("UNIQUE INDEX") {
        (IndexKind::Unique, None)
    } else if cursor.take("INDEX") {
        (IndexKind::Plain, None)
    } else if cursor.at_any(&["FULLTEXT", "SPATIAL", "VECTOR"])
        && cursor.ahead(1).is_some_and(|next| next.is("INDEX"))
        && let Some(method) = special(cursor)
    {
        (IndexKind::Plain, Some(method.to_owned()))
    } else {
        return Ok(None);
    };
    let if_not_exists = cursor.if_not_exists();
    let mut index = IndexDefinition { name: Some(cursor.name()?), kind, method, parts: Vec::new(), if_not_exists };
    using(cursor, &mut index)?;
    cursor.expect("ON")?;
    let name = cursor.table()?;
    wait(cursor)?;
    let clauses = vec![Clause::Add(Element::Index(index_parts(cursor, index)?))];
    algorithm(cursor)?;
    Ok(Some(alter_of(name, clauses)))
}

fn drop_index(cursor: &mut Cursor<'_>) -> Read<Statement> {
    let if_exists = cursor.if_exists();
    let name = cursor.name()?;
    cursor.expect("ON")?;
    let table = cursor.table()?;
    wait(cursor)?;
    algorithm(cursor)?;
    Ok(alter_of(table, vec![Clause::Drop { kind: Dropped::Index, name, if_exists }]))
}

fn alter_of(name: Name, clauses: Vec<Clause>) -> Statement {
    Statement::Alter(Box::new(AlterTable { name, ignore: false, clauses, options: TableOptions::default() }))
}

fn drop_tables(cursor: &mut Cursor<'_>) -> Read<Statement> {
    cursor.if_exists();
    let mut tables = vec![cursor.table()?];
    while cursor.sign(',') {
        tables.push(cursor.table()?);
    }
    wait(cursor)?;
    cursor.take_any(&["RESTRICT", "CASCADE"]);
    Ok(Statement::DropTables(tables))
}

fn rename(cursor: &mut Cursor<'_>) -> Read<Statement> {
    cursor.if_exists();
    let mut pairs = Vec::new();
    loop {
        let from = cursor.table()?;
        wait(cursor)?;
        cursor.expect("TO")?;
        pairs.push((from, cursor.table()?));
        if pairs.len() > MOST_RENAMES {
            return Err(Unread::new("more renames than are looked at"));
        }
        if !cursor.sign(',') {
            return Ok(Statement::RenameTables(pairs));
        }
    }
}

/// `WAIT n`, `NOWAIT`.
fn wait(cursor: &mut Cursor<'_>) -> Read<bool> {
    if cursor.take("WAIT") {
        return cursor.number().map(|_| true);
    }
    Ok(cursor.take("NOWAIT"))
}

/// `ALGORITHM = x`, `LOCK = x`.
fn algorithm(cursor: &mut Cursor<'_>) -> Read<bool> {
    let mut there = false;
    while cursor.take_any(&["ALGORITHM", "LOCK"]) {
        cursor.sign('=');
        cursor.name()?;
        there = true;
    }
    Ok(there)
}

fn alter(cursor: &mut Cursor<'_>, ignore: bool) -> Read<AlterTable> {
    cursor.if_exists();
    let mut alter = AlterTable { name: cursor.table()?, ignore, clauses: Vec::new(), options: TableOptions::default() };
    wait(cursor)?;
    while !cursor.is_at_end() {
        if algorithm(cursor)? || clause(cursor, &mut alter.clauses)? || option(cursor, &mut alter.options)? {
            cursor.sign(',');
        } else {
            return Err(cursor.unread("a clause of ALTER TABLE"));
        }
    }
    Ok(alter)
}

fn clause(cursor: &mut Cursor<'_>, clauses: &mut Vec<Clause>) -> Read<bool> {
    if cursor.take("ADD") {
        add(cursor, clauses)?;
        return Ok(true);
    }
    let clause = if cursor.take("DROP") {
        dropped(cursor)?
    } else if cursor.take("CHANGE") {
        cursor.take("COLUMN");
        let if_exists = cursor.if_exists();
        let old = cursor.column()?;
        return defined(cursor, clauses, |column, place| Clause::Change { old, column, place, if_exists });
    } else if cursor.take("MODIFY") {
        cursor.take("COLUMN");
        let if_exists = cursor.if_exists();
        return defined(cursor, clauses, |column, place| Clause::Change {
            old: column.name.clone(),
            column,
            place,
            if_exists,
        });
    } else if cursor.take("ALTER") {
        altered(cursor)?
    } else if cursor.take("RENAME") {
        renamed(cursor)?
    } else if cursor.take("CONVERT PARTITION") {
        cursor.name()?;
        cursor.expect("TO TABLE")?;
        let table = cursor.table()?;
        cursor.take_any(&["WITH VALIDATION", "WITHOUT VALIDATION"]);
        Clause::PartitionToTable(table)
    } else if cursor.take("CONVERT TABLE") {
        let table = cursor.table()?;
        cursor.expect("TO PARTITION")?;
        while cursor.advance().is_some() {}
        Clause::TableToPartition(table)
    } else if cursor.take("CONVERT TO") {
        let mut charset = CharsetClause::default();
        if !cursor.charset(&mut charset)? {
            return Err(cursor.unread("CHARACTER SET"));
        }
        while cursor.charset(&mut charset)? {}
        Clause::Convert(charset)
    } else if cursor.take("ORDER BY") {
        // to the end: the list's commas are not ALTER's
        while cursor.advance().is_some() {}
        Clause::Nothing
    } else if cursor.take("EXCHANGE PARTITION") {
        cursor.name()?;
        cursor.expect("WITH TABLE")?;
        let table = cursor.table()?;
        cursor.take_any(&["WITH VALIDATION", "WITHOUT VALIDATION"]);
        Clause::Exchange(table)
    } else if cursor.take("IMPORT TABLESPACE") {
        Clause::Rows("IMPORT TABLESPACE brings rows")
    } else if cursor.take("DISCARD TABLESPACE") {
        Clause::Rows("DISCARD TABLESPACE takes the rows away")
    } else if cursor.at_any(&["DISCARD", "IMPORT"]) {
        to_the_end(cursor, Clause::Rows("a partition's tablespace is discarded or imported"))
    } else if cursor.take("TRUNCATE PARTITION") {
        to_the_end(cursor, Clause::Rows("TRUNCATE PARTITION takes rows away"))
    } else if cursor.take_any(&["DISABLE KEYS", "ENABLE KEYS", "FORCE", "REMOVE PARTITIONING", "UPGRADE PARTITIONING"])
        || cursor.take_any(&["WITH VALIDATION", "WITHOUT VALIDATION", "SECONDARY_LOAD", "SECONDARY_UNLOAD"])
        || wait(cursor)?
    {
        Clause::Nothing
    } else if cursor.at_any(&[
        "PARTITION",
        "REORGANIZE",
        "COALESCE",
        "REBUILD",
        "ANALYZE",
        "CHECK",
        "OPTIMIZE",
        "REPAIR",
    ]) && (cursor.at("PARTITION") || cursor.ahead(1).is_some_and(|token| token.is("PARTITION")))
    {
        to_the_end(cursor, Clause::Nothing)
    } else {
        return Ok(false);
    };
    clauses.push(clause);
    Ok(true)
}

fn to_the_end(cursor: &mut Cursor<'_>, clause: Clause) -> Clause {
    while cursor.advance().is_some() {}
    clause
}

/// A column's definition with its place, and what else that defines.
fn defined(
    cursor: &mut Cursor<'_>,
    clauses: &mut Vec<Clause>,
    clause: impl FnOnce(Box<super::statement::ColumnDefinition>, Place) -> Clause,
) -> Read<bool> {
    let (column, more) = column(cursor)?;
    let place = if cursor.take("FIRST") {
        Place::First
    } else if cursor.take("AFTER") {
        Place::After(cursor.column()?)
    } else {
        Place::Unsaid
    };
    clauses.push(clause(Box::new(column), place));
    clauses.extend(more.into_iter().map(Clause::Add));
    Ok(true)
}

fn add(cursor: &mut Cursor<'_>, clauses: &mut Vec<Clause>) -> Read<()> {
    if cursor.take("PARTITION") {
        clauses.push(to_the_end(cursor, Clause::Nothing));
        return Ok(());
    }
    if cursor.take("SYSTEM VERSIONING") {
        clauses.push(Clause::Unsure("system versioning"));
        return Ok(());
    }
    let columns = cursor.take("COLUMN");
    if !columns && let Some(element) = constraint(cursor)? {
        clauses.push(Clause::Add(element));
        return Ok(());
    }
    let if_not_exists = cursor.if_not_exists();
    let clause = |column, place| Clause::AddColumn { column, place, if_not_exists };
    if !cursor.sign('(') {
        return defined(cursor, clauses, clause).map(drop);
    }
    for element in elements(cursor)? {
        clauses.push(match element {
            Element::Column(column) => clause(column, Place::Unsaid),
            other => Clause::Add(other),
        });
    }
    Ok(())
}

fn dropped(cursor: &mut Cursor<'_>) -> Read<Clause> {
    let kind = if cursor.take("PRIMARY KEY") {
        return Ok(Clause::Drop { kind: Dropped::Index, name: "PRIMARY".into(), if_exists: false });
    } else if cursor.take("PARTITION") {
        return Ok(to_the_end(cursor, Clause::Rows("DROP PARTITION takes rows away")));
    } else if cursor.take("SYSTEM VERSIONING") {
        return Ok(Clause::Rows("DROP SYSTEM VERSIONING takes the history away"));
    } else if cursor.take("PERIOD FOR") {
        cursor.name()?;
        return Ok(Clause::Unsure("a period"));
    } else if cursor.take_any(&["INDEX", "KEY"]) {
        Dropped::Index
    } else if cursor.take("FOREIGN KEY") {
        Dropped::ForeignKey
    } else if cursor.take("CHECK") {
        Dropped::Check
    } else if cursor.take("CONSTRAINT") {
        Dropped::Constraint
    } else {
        cursor.take("COLUMN");
        let if_exists = cursor.if_exists();
        let name = cursor.column()?;
        cursor.take_any(&["RESTRICT", "CASCADE"]);
        return Ok(Clause::DropColumn { name, if_exists });
    };
    let if_exists = cursor.if_exists();
    Ok(Clause::Drop { kind, name: cursor.column()?, if_exists })
}

/// What stands behind ALTER within ALTER TABLE.
fn altered(cursor: &mut Cursor<'_>) -> Read<Clause> {
    if cursor.take_any(&["INDEX", "KEY"]) {
        cursor.if_exists();
        cursor.name()?;
        if !cursor.take_any(&["VISIBLE", "INVISIBLE", "IGNORED", "NOT IGNORED"]) {
            return Err(cursor.unread("VISIBLE"));
        }
        return Ok(Clause::Nothing);
    }
    if cursor.take_any(&["CHECK", "CONSTRAINT"]) {
        let name = cursor.name()?;
        if !cursor.at_any(&["NOT", "ENFORCED"]) {
            return Err(cursor.unread("ENFORCED"));
        }
        return Ok(Clause::Enforce { name, enforced: enforced(cursor) });
    }
    cursor.take("COLUMN");
    let if_exists = cursor.if_exists();
    let column = cursor.column()?;
    if cursor.take("DROP DEFAULT") {
        return Ok(Clause::SetDefault { column, default: None, if_exists });
    }
    cursor.expect("SET")?;
    if cursor.take_any(&["VISIBLE", "INVISIBLE"]) {
        return Ok(Clause::Nothing);
    }
    cursor.expect("DEFAULT")?;
    Ok(Clause::SetDefault { column, default: Some(default(cursor)?), if_exists })
}

/// What stands behind RENAME within ALTER TABLE.
fn renamed(cursor: &mut Cursor<'_>) -> Read<Clause> {
    if cursor.take("COLUMN") {
        let if_exists = cursor.if_exists();
        let from = cursor.column()?;
        cursor.expect("TO")?;
        return Ok(Clause::RenameColumn { from, to: cursor.column()?, if_exists });
    }
    if cursor.take_any(&["INDEX", "KEY"]) {
        let if_exists = cursor.if_exists();
        let from = cursor.name()?;
        cursor.expect("TO")?;
        return Ok(Clause::RenameIndex { from, to: cursor.name()?, if_exists });
    }
    if !cursor.take_any(&["TO", "AS"]) && matches!(cursor.peek(), Some(Token::Sign('='))) {
        cursor.advance();
    }
    Ok(Clause::RenameTo(cursor.table()?))
}
