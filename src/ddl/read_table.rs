//! Reads what stands in a CREATE TABLE: indexes, constraints, options; ALTER TABLE has the same.

use super::Unread;
use super::cursor::Cursor;
use super::read_column::column;
use super::statement::{
    CheckDefinition, CreateTable, Element, ForeignKeyDefinition, IndexDefinition, Name, PartDefinition, TableOptions,
};
use super::words::Token;
use crate::schema::{Action, IndexKind};

type Read<T> = Result<T, Unread>;

/// An index over one column.
pub(super) fn index(name: Option<String>, kind: IndexKind, column: &str) -> IndexDefinition {
    let part = PartDefinition { of: Ok(column.to_owned()), prefix: None, descending: false };
    IndexDefinition { name, kind, method: None, parts: vec![part], if_not_exists: false }
}

/// What follows CREATE … TABLE.
pub(super) fn create(cursor: &mut Cursor<'_>, or_replace: bool) -> Read<CreateTable> {
    let if_not_exists = cursor.if_not_exists();
    let mut create = CreateTable {
        name: cursor.table()?,
        or_replace,
        if_not_exists,
        like: None,
        select: false,
        elements: Vec::new(),
        options: TableOptions::default(),
    };
    if cursor.take("LIKE") {
        create.like = Some(cursor.table()?);
        return Ok(create);
    }
    if cursor.at_sign('(') {
        let place = cursor.place();
        cursor.advance();
        if cursor.take("LIKE") {
            create.like = Some(cursor.table()?);
            cursor.expect_sign(')')?;
            return Ok(create);
        }
        if cursor.at_any(&["SELECT", "WITH", "VALUES"]) || cursor.at_sign('(') {
            cursor.back_to(place);
        } else {
            create.elements = elements(cursor)?;
        }
    }
    loop {
        cursor.sign(',');
        if cursor.at("PARTITION") {
            cursor.skip_until(begins_query)?;
        } else if !option(cursor, &mut create.options)? {
            break;
        }
    }
    if cursor.peek().is_some_and(begins_query) || cursor.at_sign('(') {
        create.select = true;
        while cursor.advance().is_some() {}
    }
    if create.elements.is_empty() && !create.select {
        return Err(cursor.unread("a definition"));
    }
    Ok(create)
}

fn begins_query(token: &Token<'_>) -> bool {
    ["SELECT", "AS", "IGNORE", "REPLACE", "WITH", "TABLE"].iter().any(|keyword| token.is(keyword))
}

/// The list of columns, indexes and constraints, behind its opening parenthesis.
pub(super) fn elements(cursor: &mut Cursor<'_>) -> Read<Vec<Element>> {
    let mut elements = Vec::new();
    loop {
        if let Some(element) = constraint(cursor)? {
            elements.push(element);
        } else {
            let (column, more) = column(cursor)?;
            elements.push(Element::Column(Box::new(column)));
            elements.extend(more);
        }
        if !cursor.sign(',') {
            cursor.expect_sign(')')?;
            return Ok(elements);
        }
    }
}

/// An index or a constraint; none when something else stands here.
pub(super) fn constraint(cursor: &mut Cursor<'_>) -> Read<Option<Element>> {
    if cursor.at("PERIOD") && cursor.ahead(1).is_some_and(|token| token.is("FOR")) {
        while !cursor.at_sign('(') && cursor.advance().is_some() {}
        cursor.skip_group()?;
        return Ok(Some(Element::Unsure("a period")));
    }
    let mut name = None;
    let mut if_not_exists = false;
    let named = cursor.take("CONSTRAINT");
    if named {
        if_not_exists = cursor.if_not_exists();
        if !cursor.at_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
            name = Some(cursor.name()?);
        }
    }
    if cursor.take("CHECK") {
        let condition = cursor.group()?;
        let enforced = enforced(cursor);
        return Ok(Some(Element::Check(CheckDefinition { name, column: None, condition, enforced, if_not_exists })));
    }
    if cursor.take("FOREIGN KEY") {
        if_not_exists |= cursor.if_not_exists();
        let index = if cursor.at_sign('(') { None } else { Some(cursor.name()?) };
        let columns = columns(cursor)?;
        cursor.expect("REFERENCES")?;
        let key = references(cursor, columns, false)?;
        return Ok(Some(Element::ForeignKey(ForeignKeyDefinition { name, index, if_not_exists, ..key })));
    }
    let kind = if cursor.take("PRIMARY KEY") {
        IndexKind::Primary
    } else if cursor.take_any(&["UNIQUE KEY", "UNIQUE INDEX", "UNIQUE"]) {
        IndexKind::Unique
    } else if !named && cursor.take_any(&["KEY", "INDEX"]) {
        IndexKind::Plain
    } else if !named && let Some(method) = special(cursor) {
        return index_behind_keyword(cursor, IndexKind::Plain, Some(method.into())).map(|i| Some(Element::Index(i)));
    } else if named {
        return Err(cursor.unread("a constraint"));
    } else {
        return Ok(None);
    };
    let mut index = index_behind_keyword(cursor, kind, None)?;
    index.if_not_exists |= if_not_exists;
    index.name = name.or(index.name);
    Ok(Some(Element::Index(index)))
}

/// FULLTEXT, SPATIAL and VECTOR, with the words behind.
pub(super) fn special(cursor: &mut Cursor<'_>) -> Option<&'static str> {
    if let Some(method) = ["FULLTEXT", "SPATIAL"].into_iter().find(|method| cursor.take(method)) {
        cursor.take_any(&["KEY", "INDEX"]);
        return Some(method);
    }
    cursor.take_any(&["VECTOR KEY", "VECTOR INDEX"]).then_some("VECTOR")
}

/// `[IF NOT EXISTS] [name] [USING x] (parts) options`.
fn index_behind_keyword(cursor: &mut Cursor<'_>, kind: IndexKind, method: Option<String>) -> Read<IndexDefinition> {
    let if_not_exists = cursor.if_not_exists();
    let name = if cursor.at_sign('(') || cursor.at_any(&["USING", "TYPE"]) && !next_is_group(cursor) {
        None
    } else {
        Some(cursor.name()?)
    };
    index_parts(cursor, IndexDefinition { name, kind, method, parts: Vec::new(), if_not_exists })
}

fn next_is_group(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.ahead(1), Some(Token::Sign('(')))
}

/// `[USING x] (parts) options` into an index.
pub(super) fn index_parts(cursor: &mut Cursor<'_>, mut index: IndexDefinition) -> Read<IndexDefinition> {
    using(cursor, &mut index)?;
    index.parts = parts(cursor)?;
    index_options(cursor, &mut index)?;
    Ok(index)
}

/// `USING BTREE`.
pub(super) fn using(cursor: &mut Cursor<'_>, index: &mut IndexDefinition) -> Read<bool> {
    let there = cursor.take("USING") || cursor.take("TYPE");
    if there {
        let method = cursor.name()?.to_ascii_uppercase();
        index.method.get_or_insert(method);
    }
    Ok(there)
}

fn parts(cursor: &mut Cursor<'_>) -> Read<Vec<PartDefinition>> {
    cursor.expect_sign('(')?;
    let mut parts = Vec::new();
    loop {
        let mut part = if cursor.at_sign('(') {
            PartDefinition { of: Err(cursor.group()?), prefix: None, descending: false }
        } else {
            PartDefinition { of: Ok(cursor.column()?), prefix: None, descending: false }
        };
        if cursor.sign('(') {
            part.prefix = u32::try_from(cursor.number()?).ok();
            cursor.expect_sign(')')?;
        }
        part.descending = !cursor.take("ASC") && cursor.take("DESC");
        parts.push(part);
        if cursor.take("WITHOUT OVERLAPS") || !cursor.sign(',') {
            cursor.expect_sign(')')?;
            return Ok(parts);
        }
    }
}

fn index_options(cursor: &mut Cursor<'_>, index: &mut IndexDefinition) -> Read<()> {
    loop {
        if using(cursor, index)? || cursor.take_any(&["VISIBLE", "INVISIBLE", "IGNORED", "NOT IGNORED"]) {
            continue;
        }
        if cursor.take("WITH PARSER") {
            cursor.name()?;
        } else if cursor.take("COMMENT") {
            cursor.string()?;
        } else if cursor.take("KEY_BLOCK_SIZE") || cursor.ahead(1) == Some(&Token::Sign('=')) && cursor.name().is_ok() {
            cursor.sign('=');
            cursor.advance();
        } else {
            return Ok(());
        }
    }
}

fn columns(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    let parts = parts(cursor)?;
    parts.into_iter().map(|part| part.of.map_err(|_| cursor.unread("columns"))).collect()
}

/// What stands behind REFERENCES.
pub(super) fn references(cursor: &mut Cursor<'_>, own: Vec<String>, inline: bool) -> Read<ForeignKeyDefinition> {
    let parent: Name = cursor.table()?;
    let parent_columns = if cursor.at_sign('(') { columns(cursor)? } else { Vec::new() };
    let mut key = ForeignKeyDefinition {
        name: None,
        index: None,
        columns: own,
        parent,
        parent_columns,
        on_delete: Action::Restrict,
        on_update: Action::Restrict,
        inline,
        if_not_exists: false,
    };
    loop {
        if cursor.take("MATCH") {
            cursor.name()?;
        } else if cursor.take("ON DELETE") {
            key.on_delete = action(cursor)?;
        } else if inline && cursor.at("ON") && !(cursor.ahead(2).is_some_and(is_action)) {
            return Ok(key); // ON UPDATE CURRENT_TIMESTAMP
        } else if cursor.take("ON UPDATE") {
            key.on_update = action(cursor)?;
        } else {
            return Ok(key);
        }
    }
}

fn is_action(token: &Token<'_>) -> bool {
    ["RESTRICT", "CASCADE", "SET", "NO"].iter().any(|keyword| token.is(keyword))
}

fn action(cursor: &mut Cursor<'_>) -> Read<Action> {
    if cursor.take("CASCADE") {
        Ok(Action::Cascade)
    } else if cursor.take("SET NULL") {
        Ok(Action::SetNull)
    } else if cursor.take_any(&["RESTRICT", "NO ACTION", "SET DEFAULT"]) {
        Ok(Action::Restrict)
    } else {
        Err(cursor.unread("an action"))
    }
}

/// `[NOT] ENFORCED`.
pub(super) fn enforced(cursor: &mut Cursor<'_>) -> bool {
    let not = cursor.take("NOT ENFORCED");
    cursor.take("ENFORCED");
    !not
}

/// Options that take a value and show nowhere in the schema; `=` may stand between.
const PLAIN_OPTIONS: [&str; 38] = [
    "AUTO_INCREMENT",
    "AUTOEXTEND_SIZE",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "TABLE_CHECKSUM",
    "COMPRESSION",
    "CONNECTION",
    "DATA DIRECTORY",
    "INDEX DIRECTORY",
    "DELAY_KEY_WRITE",
    "ENCRYPTION",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "PASSWORD",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TABLESPACE",
    "STORAGE",
    "SECONDARY_ENGINE",
    "TRANSACTIONAL",
    "PAGE_CHECKSUM",
    "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL",
    "ENCRYPTED",
    "ENCRYPTION_KEY_ID",
    "IETF_QUOTES",
    "SEQUENCE",
    "UNION",
    "TABLE_TYPE",
    "YES",
    "NODEGROUP",
];

/// One table option; false when none stands here.
pub(super) fn option(cursor: &mut Cursor<'_>, options: &mut TableOptions) -> Read<bool> {
    let start = cursor.place();
    cursor.take("DEFAULT");
    if cursor.charset(&mut options.charset)? {
        return Ok(true);
    }
    cursor.back_to(start);
    let assigned = matches!(cursor.ahead(1), Some(Token::Sign('=')));
    if cursor.take("ENGINE") || assigned && cursor.take("TYPE") {
        cursor.sign('=');
        options.engine = Some(cursor.name_or_string()?);
    } else if cursor.take("COMMENT") {
        cursor.sign('=');
        options.comment = Some(cursor.string()?);
    } else if cursor.take("WITH SYSTEM VERSIONING") {
        options.versioned = true;
    } else if cursor.take("START TRANSACTION") {
        // MySQL's CREATE TABLE … SELECT as it logs it: rows follow
    } else if cursor.take_any(&PLAIN_OPTIONS) || assigned && cursor.name().is_ok() {
        cursor.sign('=');
        if cursor.at_sign('(') {
            cursor.skip_group()?;
        } else if matches!(cursor.peek(), Some(Token::Literal(_))) {
            cursor.string()?;
        } else {
            cursor.name()?;
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}
