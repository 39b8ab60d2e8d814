//! A column's definition, as the server's catalogue would show it.
//!
//! Makes what `information_schema.COLUMNS` would print of the type and the default, and reads that with the functions that
//! read the catalogue, so that a predicted column and one that is read are equal. A definition whose catalogue entry is
//! not known to the letter gives a reason beside the column.

use super::column_default::{DeclaredDefault, column_default, left_out};
use super::column_type::{DeclaredType, source_type};
use super::constant::printed;
use super::server::Server;
use super::statement::{ColumnDefinition, DefaultClause, TypeName};
use crate::schema::{Charset, Column, Generation, LeftOut, SourceType};

/// A column, and why it may differ from the server's.
pub(super) struct Resolved {
    pub column: Column,
    pub unsure: Option<String>,
}

/// The column of this definition in a table of that character set.
pub(super) fn resolve(definition: &ColumnDefinition, table: Option<&Charset>, server: &Server) -> Resolved {
    let mut unsure = definition.unsure.map(str::to_owned);
    let (declared, ty) = resolve_type(&definition.ty, table, server).unwrap_or_else(|why| {
        unsure.get_or_insert(why);
        let declared = DeclaredType { column_type: definition.ty.base.clone(), ..DeclaredType::default() };
        (declared, SourceType::Blob { length_bytes: 4 })
    });
    let generated = definition.generation.is_some();
    let mut nullable = definition.nullable.unwrap_or(!definition.auto_increment);
    if matches!(ty, SourceType::Timestamp { .. }) && !server.explicit_timestamps && definition.nullable != Some(true) {
        nullable = false;
        if definition.default.is_none() && !generated {
            unsure.get_or_insert("the default of a TIMESTAMP is implicit".into());
        }
    }
    let mut column = Column {
        name: definition.name.clone(),
        ty,
        declared: declared.column_type,
        nullable,
        auto_increment: definition.auto_increment,
        generated,
        generation: definition
            .generation
            .as_ref()
            .map(|(expression, stored)| Generation { expression: expression.clone(), stored: *stored }),
        default: None,
        on_update_now: definition.on_update_now,
        left_out: LeftOut::Unknown,
        comment: definition.comment.clone(),
    };
    if let Err(why) = set_default(&mut column, definition.default.as_ref(), definition.ty.zerofill, server) {
        unsure.get_or_insert(why);
    }
    let unsure = unsure.map(|why| format!("{}: {why}", definition.name));
    Resolved { column, unsure }
}

/// Gives a column its default; none said is NULL, or none at all.
pub(super) fn set_default(
    column: &mut Column,
    clause: Option<&DefaultClause>,
    zerofill: bool,
    server: &Server,
) -> Result<(), String> {
    let mut certain = Ok(());
    let mut extra = "";
    let default = match clause {
        Some(DefaultClause::Null) | None => (server.mariadb() && column.nullable).then(|| "NULL".to_owned()),
        Some(DefaultClause::Now(digits)) => {
            extra = "DEFAULT_GENERATED";
            let digits = if *digits == 0 { String::new() } else { digits.to_string() };
            Some(match (server.mariadb(), digits.as_str()) {
                (true, _) => format!("current_timestamp({digits})"),
                (false, "") => "CURRENT_TIMESTAMP".into(),
                (false, _) => format!("CURRENT_TIMESTAMP({digits})"),
            })
        }
        Some(DefaultClause::Expression(text)) => {
            extra = "DEFAULT_GENERATED";
            if server.mariadb() && is_constant(text) {
                certain = Err("a default that is a constant expression".into());
            }
            Some(text.clone())
        }
        Some(literal) => match printed(literal, &column.ty, &column.declared, server) {
            Some(text) if !zerofill => Some(text),
            _ => {
                certain = Err("how the default is printed is not known".into());
                None
            }
        },
    };
    let extra = match () {
        () if column.auto_increment => "auto_increment",
        () if column.generation.as_ref().is_some_and(|generation| !generation.stored) => "VIRTUAL GENERATED",
        () if server.mariadb() => "",
        () => extra,
    };
    let declared = DeclaredDefault {
        flavor: server.flavor,
        default: default.as_deref(),
        extra,
        nullable: column.nullable,
        generated: column.generated,
    };
    column.default = column_default(&declared);
    column.left_out = match &certain {
        Ok(()) => left_out(&column.ty, &declared).unwrap_or_default(),
        Err(_) => LeftOut::Unknown,
    };
    certain
}

/// Whether an expression may be folded: it calls nothing and names nothing.
fn is_constant(text: &str) -> bool {
    let outside = text.split('\'').step_by(2).collect::<String>();
    !outside.contains(|c: char| c.is_alphabetic())
}

fn resolve_type(ty: &TypeName, table: Option<&Charset>, server: &Server) -> Result<(DeclaredType, SourceType), String> {
    let charset = || {
        let charset = server.charset(&ty.charset, table)?;
        Ok::<_, String>(if ty.binary { Server::binary(charset) } else { charset })
    };
    let mut declared = declared_type(ty, server)?;
    let text = matches!(ty.base.as_str(), "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext");
    if text {
        let charset = charset()?;
        let widest = u64::from(charset.max_bytes().unwrap_or(4));
        if charset.name == "binary" {
            declared.data_type = match ty.base.as_str() {
                "char" | "varchar" => ty.base.replace("char", "binary"),
                other => other.replace("text", "blob"),
            };
            declared.column_type = declared.column_type.replacen(&ty.base, &declared.data_type, 1);
        } else {
            declared.charset = Some((charset.name, charset.collation));
        }
        if ty.base == "varchar" && declared.characters.unwrap_or(0) * widest > 65_532 {
            return Err("a VARCHAR that may have become TEXT".into());
        }
        if let ("text", [length]) = (ty.base.as_str(), &ty.numbers[..]) {
            sized(&mut declared, length.saturating_mul(widest));
        }
    }
    if let ("blob", [length]) = (ty.base.as_str(), &ty.numbers[..]) {
        sized(&mut declared, *length);
    }
    if server.mariadb() && ty.base == "json" {
        declared.data_type = "longtext".into();
        declared.column_type = "longtext".into();
        let charset = if ty.charset.is_empty() {
            Charset { name: "utf8mb4".into(), collation: "utf8mb4_bin".into() }
        } else {
            charset()?
        };
        declared.charset = Some((charset.name, charset.collation));
        declared.json_valid = true;
    }
    if ty.compressed {
        declared.column_type.push_str(" /*M!100301 COMPRESSED*/");
    }
    let ty = source_type(&declared).ok_or_else(|| format!("type {} is not supported", declared.column_type))?;
    Ok((declared, ty))
}

/// TEXT(n) and BLOB(n): the smallest type that holds as much.
fn sized(declared: &mut DeclaredType, bytes: u64) {
    let kind = if declared.data_type.ends_with("blob") { "blob" } else { "text" };
    let size = match bytes {
        0..=0xFF => "tiny",
        0x100..=0xFFFF => "",
        0x1_0000..=0xFF_FFFF => "medium",
        _ => "long",
    };
    declared.data_type = format!("{size}{kind}");
    declared.column_type.clone_from(&declared.data_type);
}

/// Type and COLUMN_TYPE as the catalogue prints them, text aside.
fn declared_type(ty: &TypeName, server: &Server) -> Result<DeclaredType, String> {
    let number = |at: usize| ty.numbers.get(at).copied();
    let signs = match (ty.unsigned, ty.zerofill) {
        (_, true) => " unsigned zerofill",
        (true, false) => " unsigned",
        _ => "",
    };
    let base = ty.base.as_str();
    let mut declared = DeclaredType { data_type: base.into(), column_type: base.into(), ..DeclaredType::default() };
    // without widths since 8.0.19, but for ZEROFILL and the boolean
    let bare = server.mysql_since((8, 0, 19));
    match base {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => {
            let narrow = u64::from(ty.unsigned);
            let usual = match base {
                "tinyint" => 4 - narrow,
                "smallint" => 6 - narrow,
                "mediumint" => 9 - narrow,
                "int" => 11 - narrow,
                _ => 20,
            };
            let width = number(0).filter(|width| *width > 0).unwrap_or(usual);
            let boolean = base == "tinyint" && width == 1 && !ty.unsigned;
            let width = if bare && !ty.zerofill && !boolean { String::new() } else { format!("({width})") };
            declared.column_type = format!("{base}{width}{signs}");
        }
        "decimal" => {
            let precision = number(0).filter(|precision| *precision > 0).unwrap_or(10);
            let scale = number(1).unwrap_or(0);
            (declared.precision, declared.scale) = (Some(precision), Some(scale));
            declared.column_type = format!("decimal({precision},{scale}){signs}");
        }
        "float" | "double" => {
            let digits = number(0).zip(number(1)).map_or(String::new(), |(m, d)| format!("({m},{d})"));
            declared.column_type = format!("{base}{digits}{signs}");
        }
        "bit" => {
            let bits = number(0).filter(|bits| *bits > 0).unwrap_or(1);
            declared.precision = Some(bits);
            declared.column_type = format!("bit({bits})");
        }
        "time" | "datetime" | "timestamp" => {
            let fsp = number(0).unwrap_or(0);
            declared.fsp = Some(fsp);
            declared.column_type = if fsp == 0 { base.into() } else { format!("{base}({fsp})") };
        }
        "year" if !bare => declared.column_type = "year(4)".into(),
        "char" | "binary" | "varchar" | "varbinary" => {
            let length = number(0).unwrap_or(1);
            declared.characters = Some(length);
            declared.column_type = format!("{base}({length})");
            if base == "varbinary" && length > 65_532 || base == "char" && length > 255 {
                return Err("a length that may have become another type".into());
            }
        }
        "enum" | "set" => {
            // trailing blanks go
            let labels = ty.labels.iter().map(|label| label.trim_end_matches(' '));
            let quoted: Vec<String> = labels.map(quoted).collect();
            declared.column_type = format!("{base}({})", quoted.join(","));
            if ty.charset.name.as_deref() == Some("binary") {
                return Err("labels of binary strings".into());
            }
        }
        "geometrycollection" if server.mysql_since((8, 0, 0)) => {
            declared.data_type = "geomcollection".into();
            declared.column_type = "geomcollection".into();
        }
        "vector" => declared.column_type = format!("vector({})", number(0).unwrap_or(2048)),
        _ => {}
    }
    Ok(declared)
}

/// A label as both servers print it (`append_unescaped`).
pub(super) fn quoted(label: &str) -> String {
    let mut out = String::from("'");
    for c in label.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\'' => out.push_str("''"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}
