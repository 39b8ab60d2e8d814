//! From the catalogue's spelling of a type to [`SourceType`].
//!
//! Pure: one row of `information_schema.COLUMNS` in, one type out. `DATA_TYPE` decides; `COLUMN_TYPE` is read only for
//! what stands nowhere else (UNSIGNED, `tinyint(1)`, labels). A type that is not known is an error, never a guess.

use crate::schema::{Charset, SourceType};

/// What `information_schema.COLUMNS` says of a column's type.
#[derive(Debug, Default)]
pub(crate) struct DeclaredType {
    /// `DATA_TYPE`, lower case.
    pub data_type: String,
    /// `COLUMN_TYPE`.
    pub column_type: String,
    /// `CHARACTER_MAXIMUM_LENGTH`.
    pub characters: Option<u64>,
    /// `NUMERIC_PRECISION`.
    pub precision: Option<u64>,
    /// `NUMERIC_SCALE`.
    pub scale: Option<u64>,
    /// `DATETIME_PRECISION`.
    pub fsp: Option<u64>,
    /// `CHARACTER_SET_NAME` and `COLLATION_NAME`.
    pub charset: Option<(String, String)>,
    /// Whether a check constraint says `json_valid(column)`.
    pub json_valid: bool,
}

/// The type; none when it is unknown here.
pub(crate) fn source_type(declared: &DeclaredType) -> Option<SourceType> {
    let unsigned = declared.column_type.contains("unsigned");
    let int = |bytes| SourceType::Int { bytes, unsigned, boolean: declared.column_type.starts_with("tinyint(1)") };
    let len = u32::try_from(declared.characters.unwrap_or(0)).unwrap_or(u32::MAX);
    let small = |number: Option<u64>| u8::try_from(number.unwrap_or(0)).ok();
    let charset = || declared.charset.clone().map(|(name, collation)| Charset { name, collation });
    Some(match declared.data_type.as_str() {
        "tinyint" => int(1),
        "smallint" => int(2),
        "mediumint" => int(3),
        "int" | "integer" => int(4),
        "bigint" => int(8),
        "year" => SourceType::Year,
        "decimal" | "numeric" => {
            SourceType::Decimal { precision: small(declared.precision)?, scale: small(declared.scale)?, unsigned }
        }
        "float" => SourceType::Float,
        "double" | "real" => SourceType::Double,
        "bit" => SourceType::Bit { bits: small(declared.precision)? },
        "date" => SourceType::Date,
        "time" => SourceType::Time { fsp: small(declared.fsp)? },
        "datetime" => SourceType::DateTime { fsp: small(declared.fsp)? },
        "timestamp" => SourceType::Timestamp { fsp: small(declared.fsp)? },
        "char" => SourceType::Char { chars: len, charset: charset()? },
        "varchar" => SourceType::VarChar { chars: len, charset: charset()? },
        // of another character set it is read as the text it is
        "longtext" if declared.json_valid && charset()?.name.starts_with("utf8") => SourceType::Json { text: true },
        "tinytext" => SourceType::Text { length_bytes: 1, charset: charset()? },
        "text" => SourceType::Text { length_bytes: 2, charset: charset()? },
        "mediumtext" => SourceType::Text { length_bytes: 3, charset: charset()? },
        "longtext" => SourceType::Text { length_bytes: 4, charset: charset()? },
        "binary" => SourceType::Binary { len },
        "varbinary" => SourceType::VarBinary { len },
        "tinyblob" => SourceType::Blob { length_bytes: 1 },
        "blob" => SourceType::Blob { length_bytes: 2 },
        "mediumblob" => SourceType::Blob { length_bytes: 3 },
        "longblob" => SourceType::Blob { length_bytes: 4 },
        "enum" => SourceType::Enum { labels: labels(&declared.column_type)? },
        "set" => SourceType::Set { members: labels(&declared.column_type)? },
        "json" => SourceType::Json { text: false },
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geomcollection" | "geometrycollection" => SourceType::Geometry,
        "vector" => SourceType::Vector,
        "uuid" => SourceType::Uuid,
        "inet4" => SourceType::Inet4,
        "inet6" => SourceType::Inet6,
        _ => return None,
    })
}

/// The labels of `enum('a','it''s','b\\c')`: quotes doubled; backslash, NUL, line feed and carriage return escaped by a
/// backslash (`append_unescaped` in both servers).
fn labels(column_type: &str) -> Option<Vec<String>> {
    let (_, list) = column_type.split_once('(')?;
    let mut chars = list.chars().peekable();
    let mut out = Vec::new();
    loop {
        if chars.next()? != '\'' {
            return None;
        }
        let mut label = String::new();
        loop {
            match chars.next()? {
                '\'' if chars.peek() == Some(&'\'') => {
                    chars.next();
                    label.push('\'');
                }
                '\'' => break,
                '\\' => label.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    '0' => '\0',
                    other => other,
                }),
                other => label.push(other),
            }
        }
        out.push(label);
        match chars.next()? {
            ',' => {}
            ')' => return Some(out),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unescaped() {
        let found = labels(r"enum('a,b','it''s','b\\s','n\nl','','é)')").unwrap();
        assert_eq!(found, ["a,b", "it's", "b\\s", "n\nl", "", "é)"]);
        assert!(labels("enum('a").is_none() && labels("enum").is_none());
    }

    #[test]
    fn unknown_types_are_not_guessed() {
        let declared = DeclaredType { data_type: "xmltype".into(), ..DeclaredType::default() };
        assert_eq!(source_type(&declared), None);
    }
}
