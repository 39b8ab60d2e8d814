//! Reads a column's definition: type, attributes, and what belongs to the table though it stands there.

use super::Unread;
use super::cursor::Cursor;
use super::read_table::{enforced, index, references};
use super::statement::{CheckDefinition, ColumnDefinition, DefaultClause, Element, IndexDefinition, TypeName};
use super::words::Token;
use crate::schema::IndexKind;

type Read<T> = Result<T, Unread>;

/// A column, and the indexes and constraints that its definition makes.
pub(super) fn column(cursor: &mut Cursor<'_>) -> Read<(ColumnDefinition, Vec<Element>)> {
    let name = cursor.column()?;
    let mut column = ColumnDefinition { name, ..ColumnDefinition::default() };
    let mut elements = Vec::new();
    if cursor.take("SERIAL") {
        column.ty = TypeName { base: "bigint".into(), unsigned: true, ..TypeName::default() };
        serial(&mut column, &mut elements);
    } else {
        column.ty = type_name(cursor)?;
    }
    attributes(cursor, &mut column, &mut elements)?;
    Ok((column, elements))
}

fn serial(column: &mut ColumnDefinition, elements: &mut Vec<Element>) {
    column.nullable = Some(false);
    column.auto_increment = true;
    elements.push(Element::Index(own_index(&column.name, IndexKind::Unique)));
}

fn own_index(column: &str, kind: IndexKind) -> IndexDefinition {
    index(None, kind, column)
}

/// The types' own names, by their synonyms of one word.
const TYPES: [(&str, &str); 66] = [
    ("TINYINT", "tinyint"),
    ("INT1", "tinyint"),
    ("SMALLINT", "smallint"),
    ("INT2", "smallint"),
    ("MEDIUMINT", "mediumint"),
    ("INT3", "mediumint"),
    ("MIDDLEINT", "mediumint"),
    ("INT", "int"),
    ("INTEGER", "int"),
    ("INT4", "int"),
    ("BIGINT", "bigint"),
    ("INT8", "bigint"),
    ("DECIMAL", "decimal"),
    ("DEC", "decimal"),
    ("NUMERIC", "decimal"),
    ("FIXED", "decimal"),
    ("FLOAT", "float"),
    ("FLOAT4", "float"),
    ("DOUBLE", "double"),
    ("FLOAT8", "double"),
    ("REAL", "double"),
    ("BIT", "bit"),
    ("DATE", "date"),
    ("TIME", "time"),
    ("DATETIME", "datetime"),
    ("TIMESTAMP", "timestamp"),
    ("YEAR", "year"),
    ("CHAR", "char"),
    ("CHARACTER", "char"),
    ("VARCHAR", "varchar"),
    ("VARCHARACTER", "varchar"),
    ("TINYTEXT", "tinytext"),
    ("TEXT", "text"),
    ("MEDIUMTEXT", "mediumtext"),
    ("LONGTEXT", "longtext"),
    ("BINARY", "binary"),
    ("VARBINARY", "varbinary"),
    ("TINYBLOB", "tinyblob"),
    ("BLOB", "blob"),
    ("MEDIUMBLOB", "mediumblob"),
    ("LONGBLOB", "longblob"),
    ("ENUM", "enum"),
    ("SET", "set"),
    ("JSON", "json"),
    ("GEOMETRY", "geometry"),
    ("POINT", "point"),
    ("LINESTRING", "linestring"),
    ("POLYGON", "polygon"),
    ("MULTIPOINT", "multipoint"),
    ("MULTILINESTRING", "multilinestring"),
    ("MULTIPOLYGON", "multipolygon"),
    ("GEOMETRYCOLLECTION", "geometrycollection"),
    ("GEOMCOLLECTION", "geometrycollection"),
    ("VECTOR", "vector"),
    ("UUID", "uuid"),
    ("INET4", "inet4"),
    ("INET6", "inet6"),
    ("NVARCHAR", "varchar"),
    ("NCHAR", "char"),
    ("NATIONAL", "char"),
    ("BOOL", "tinyint"),
    ("BOOLEAN", "tinyint"),
    ("LONG", "mediumtext"),
    ("XMLTYPE", "xmltype"),
    ("XML", "xmltype"),
    ("STRING", "string"),
];

fn type_name(cursor: &mut Cursor<'_>) -> Read<TypeName> {
    let Some(Token::Word(word)) = cursor.peek() else { return Err(cursor.unread("a type")) };
    let word = word.to_ascii_uppercase();
    let Some((_, base)) = TYPES.iter().find(|(synonym, _)| *synonym == word) else {
        return Err(cursor.unread("a type"));
    };
    cursor.advance();
    let mut ty = TypeName { base: (*base).into(), ..TypeName::default() };
    match word.as_str() {
        "BOOL" | "BOOLEAN" => ty.numbers = vec![1],
        "DOUBLE" => {
            cursor.take("PRECISION");
        }
        "LONG" if cursor.take("VARBINARY") => ty.base = "mediumblob".into(),
        "LONG" => {
            let _ = cursor.take_any(&["VARCHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING"]);
        }
        "NATIONAL" => {
            if cursor.take_any(&["VARCHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING"]) {
                ty.base = "varchar".into();
            } else if !cursor.take_any(&["CHARACTER", "CHAR"]) {
                return Err(cursor.unread("CHAR"));
            }
        }
        "CHAR" | "CHARACTER" if cursor.take("VARYING") => ty.base = "varchar".into(),
        "NCHAR" if cursor.take_any(&["VARYING", "VARCHARACTER", "VARCHAR"]) => ty.base = "varchar".into(),
        _ => {}
    }
    if matches!(word.as_str(), "NATIONAL" | "NCHAR" | "NVARCHAR") {
        ty.charset.name = Some("utf8mb3".into());
    }
    if cursor.sign('(') {
        loop {
            if matches!(ty.base.as_str(), "enum" | "set") {
                if matches!(cursor.peek(), Some(Token::Word(word)) if !word.eq_ignore_ascii_case("N")) {
                    return Err(cursor.unread("a plain label"));
                }
                cursor.take("N");
                ty.labels.push(cursor.string()?);
            } else {
                ty.numbers.push(cursor.number()?);
            }
            if !cursor.sign(',') {
                break;
            }
        }
        cursor.expect_sign(')')?;
    }
    if ty.base == "float" && ty.numbers.len() == 1 {
        ty.base = if ty.numbers[0] > 24 { "double" } else { "float" }.into();
        ty.numbers.clear();
    }
    if (ty.base == "enum" || ty.base == "set") && ty.labels.is_empty() {
        return Err(cursor.unread("labels"));
    }
    Ok(ty)
}

fn attributes(cursor: &mut Cursor<'_>, column: &mut ColumnDefinition, elements: &mut Vec<Element>) -> Read<()> {
    while !cursor.is_at_end() && !cursor.at_sign(',') && !cursor.at_sign(')') && !cursor.at_any(&["FIRST", "AFTER"]) {
        if !type_attribute(cursor, &mut column.ty)? && !attribute(cursor, column, elements)? {
            return Err(cursor.unread("a column's attribute"));
        }
    }
    Ok(())
}

fn type_attribute(cursor: &mut Cursor<'_>, ty: &mut TypeName) -> Read<bool> {
    if cursor.take("UNSIGNED") {
        ty.unsigned = true;
    } else if cursor.take("ZEROFILL") {
        (ty.unsigned, ty.zerofill) = (true, true);
    } else if cursor.take("BINARY") {
        ty.binary = true;
    } else if cursor.take("ASCII") {
        ty.charset.name = Some("latin1".into());
    } else if cursor.take("UNICODE") {
        ty.charset.name = Some("ucs2".into());
    } else if cursor.take("BYTE") {
        ty.charset.name = Some("binary".into());
    } else if cursor.take("COMPRESSED") {
        ty.compressed = true;
        if cursor.sign('=') {
            cursor.name()?;
        }
    } else {
        return Ok(cursor.take("SIGNED") || cursor.charset(&mut ty.charset)?);
    }
    Ok(true)
}

fn attribute(cursor: &mut Cursor<'_>, column: &mut ColumnDefinition, elements: &mut Vec<Element>) -> Read<bool> {
    let name = column.name.as_str();
    if cursor.take("NOT NULL") {
        column.nullable = Some(false);
    } else if cursor.take("NULL") {
        column.nullable = Some(true);
    } else if cursor.take("DEFAULT") {
        column.default = Some(default(cursor)?);
    } else if cursor.take("ON UPDATE") {
        now(cursor)?.ok_or_else(|| cursor.unread("CURRENT_TIMESTAMP"))?;
        column.on_update_now = true;
    } else if cursor.take("AUTO_INCREMENT") {
        column.auto_increment = true;
    } else if cursor.take("SERIAL DEFAULT VALUE") {
        serial(column, elements);
    } else if cursor.take_any(&["UNIQUE KEY", "UNIQUE"]) {
        elements.push(Element::Index(own_index(name, IndexKind::Unique)));
    } else if cursor.take_any(&["PRIMARY KEY", "PRIMARY", "KEY"]) {
        elements.push(Element::Index(own_index(name, IndexKind::Primary)));
    } else if cursor.take("COMMENT") {
        column.comment = cursor.string()?;
    } else if cursor.take("COLUMN_FORMAT") || cursor.take("STORAGE") {
        cursor.name()?;
    } else if cursor.take_any(&["ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
        cursor.sign('=');
        cursor.string()?;
    } else if cursor.take_any(&["GENERATED ALWAYS AS ROW", "AS ROW"]) {
        cursor.advance(); // START, END
        column.unsure = Some("a column of system versioning");
    } else if cursor.take_any(&["GENERATED ALWAYS AS", "AS"]) {
        column.generation = Some((cursor.group()?, false));
    } else if cursor.take_any(&["STORED", "PERSISTENT"]) {
        if let Some((_, stored)) = &mut column.generation {
            *stored = true;
        }
    } else if cursor.take("REFERENCES") {
        elements.push(Element::ForeignKey(references(cursor, vec![name.to_owned()], true)?));
    } else if cursor.at_any(&["CHECK", "CONSTRAINT"]) {
        let constraint = if cursor.take("CONSTRAINT") && !cursor.at("CHECK") { Some(cursor.name()?) } else { None };
        cursor.expect("CHECK")?;
        let condition = cursor.group()?;
        elements.push(Element::Check(CheckDefinition {
            name: constraint,
            column: Some(name.to_owned()),
            condition,
            enforced: enforced(cursor),
            if_not_exists: false,
        }));
    } else if cursor.take_any(&["SRID", "REF_SYSTEM_ID"]) {
        cursor.sign('=');
        if cursor.at_sign('(') { cursor.skip_group()? } else { cursor.number().map(drop)? }
    } else if cursor.take_any(&[
        "VIRTUAL",
        "INVISIBLE",
        "VISIBLE",
        "WITHOUT SYSTEM VERSIONING",
        "WITH SYSTEM VERSIONING",
    ]) || cursor.take("NOT SECONDARY")
    {
        // nothing that the catalogue of columns shows
    } else if matches!(cursor.ahead(1), Some(Token::Sign('='))) && cursor.name().is_ok() {
        cursor.sign('='); // an engine's own attribute
        cursor.advance();
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// CURRENT_TIMESTAMP and its synonyms with their digits; none when none stands here.
fn now(cursor: &mut Cursor<'_>) -> Read<Option<u8>> {
    if !cursor.take_any(&["CURRENT_TIMESTAMP", "NOW", "LOCALTIMESTAMP", "LOCALTIME"]) {
        return Ok(None);
    }
    if !cursor.sign('(') || cursor.sign(')') {
        return Ok(Some(0));
    }
    let digits = cursor.number()?;
    cursor.expect_sign(')')?;
    u8::try_from(digits).map(Some).map_err(|_| cursor.unread("0 to 6"))
}

/// What may follow a DEFAULT without being part of its expression.
const AFTER_DEFAULT: [&str; 29] = [
    "NOT",
    "NULL",
    "ON",
    "AUTO_INCREMENT",
    "UNIQUE",
    "PRIMARY",
    "KEY",
    "COMMENT",
    "COLLATE",
    "REFERENCES",
    "CHECK",
    "CONSTRAINT",
    "FIRST",
    "AFTER",
    "VISIBLE",
    "INVISIBLE",
    "COLUMN_FORMAT",
    "STORAGE",
    "SERIAL",
    "GENERATED",
    "AS",
    "COMPRESSED",
    "WITHOUT",
    "WITH",
    "CHARACTER",
    "CHARSET",
    "SRID",
    "REF_SYSTEM_ID",
    "ENGINE_ATTRIBUTE",
];

fn ends(token: &Token<'_>) -> bool {
    *token == Token::Sign(',') || AFTER_DEFAULT.iter().any(|keyword| token.is(keyword))
}

/// What stands behind DEFAULT.
pub(super) fn default(cursor: &mut Cursor<'_>) -> Read<DefaultClause> {
    let start = cursor.place();
    let simple = simple_default(cursor)?;
    let ended = cursor.peek().is_none_or(|token| ends(token) || *token == Token::Sign(')'));
    if let Some(default) = simple.filter(|_| ended) {
        return Ok(default);
    }
    // MariaDB takes any expression without parentheses
    cursor.back_to(start);
    if cursor.at("NULL") {
        cursor.advance();
    }
    let text = cursor.skip_until(ends)?;
    if text.is_empty() { Err(cursor.unread("a default")) } else { Ok(DefaultClause::Expression(text)) }
}

fn simple_default(cursor: &mut Cursor<'_>) -> Read<Option<DefaultClause>> {
    if let Some(digits) = now(cursor)? {
        return Ok(Some(DefaultClause::Now(digits)));
    }
    if cursor.at_sign('(') {
        return cursor.group().map(|text| Some(DefaultClause::Expression(format!("({text})"))));
    }
    let start = cursor.place();
    let signed = cursor.sign('-') || cursor.sign('+');
    Ok(match cursor.peek() {
        Some(Token::Literal(_)) if !signed => Some(DefaultClause::Text(cursor.string()?)),
        Some(Token::Word(word)) => {
            let word = word.to_ascii_uppercase();
            let literal = matches!(cursor.ahead(1), Some(Token::Literal(_)));
            match word.as_str() {
                "NULL" => Some(DefaultClause::Null),
                "TRUE" => Some(DefaultClause::Number("1".into())),
                "FALSE" => Some(DefaultClause::Number("0".into())),
                "B" if literal => {
                    cursor.advance();
                    return cursor.string().map(|digits| Some(DefaultClause::Bits(digits)));
                }
                "N" | "_UTF8MB4" | "_UTF8MB3" | "_UTF8" | "DATE" | "TIMESTAMP" | "TIME" if literal => {
                    cursor.advance();
                    return cursor.string().map(|text| Some(DefaultClause::Text(text)));
                }
                word if word.starts_with("0B") && word.len() > 2 => Some(DefaultClause::Bits(word[2..].to_owned())),
                word if word.starts_with("0X") => None,
                word if word.starts_with(|c: char| c.is_ascii_digit()) => {
                    return number(cursor, start).map(|text| Some(DefaultClause::Number(text)));
                }
                _ => None,
            }
            .inspect(|_| {
                cursor.advance();
            })
        }
        Some(Token::Sign('.')) => return number(cursor, start).map(|text| Some(DefaultClause::Number(text))),
        _ => None,
    })
}

/// A number from `start`, where its sign stands: digits, a point, an exponent.
fn number(cursor: &mut Cursor<'_>, start: usize) -> Read<String> {
    if !cursor.at_sign('.') {
        cursor.advance();
    }
    if cursor.sign('.')
        && matches!(cursor.peek(), Some(Token::Word(word)) if word.starts_with(|c: char| c.is_ascii_digit()))
    {
        cursor.advance();
    }
    if cursor.text_from(start).ends_with(['e', 'E']) {
        let _ = cursor.sign('-') || cursor.sign('+');
        cursor.number()?;
    }
    Ok(cursor.text_from(start).chars().filter(|c| !c.is_whitespace()).collect())
}
