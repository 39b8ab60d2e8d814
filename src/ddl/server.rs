//! What of the server decides how its DDL is understood: family, version, and the defaults of what a statement omits.

use super::statement::CharsetClause;
use crate::ident::TableName;
use crate::schema::{Charset, Flavor};
use std::collections::BTreeMap;

/// The server on which the statement ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its family.
    pub flavor: Flavor,
    /// Its version.
    pub version: (u16, u16, u16),
    /// `lower_case_table_names`: 0 names keep their case and differ by it, 1 they are stored in lower case, 2 they are
    /// kept and compared without it.
    pub lower_case_table_names: u8,
    /// The character sets of new tables by database, as far as they are known.
    pub databases: BTreeMap<String, Charset>,
    /// `default_storage_engine`.
    pub default_engine: String,
    /// `explicit_defaults_for_timestamp`.
    pub explicit_timestamps: bool,
}

impl Server {
    /// A server with the defaults of its version, of whose databases nothing is known.
    #[must_use]
    pub fn new(flavor: Flavor, version: (u16, u16, u16)) -> Self {
        let explicit_timestamps = match flavor {
            Flavor::MySql => version >= (8, 0, 2),
            Flavor::MariaDb => version >= (10, 10, 0),
        };
        Self {
            flavor,
            version,
            lower_case_table_names: 0,
            databases: BTreeMap::new(),
            default_engine: "InnoDB".into(),
            explicit_timestamps,
        }
    }

    pub(super) fn mariadb(&self) -> bool {
        self.flavor == Flavor::MariaDb
    }

    /// Whether it is MySQL of that version or a later one.
    pub(super) fn mysql_since(&self, version: (u16, u16, u16)) -> bool {
        self.flavor == Flavor::MySql && self.version >= version
    }

    /// The name as the server stores it.
    pub(super) fn stored(&self, name: &str) -> String {
        if self.lower_case_table_names == 1 { name.to_lowercase() } else { name.to_owned() }
    }

    /// Whether two names mean one table.
    pub(super) fn same(&self, a: &TableName, b: &TableName) -> bool {
        a == b
            || self.lower_case_table_names != 0
                && a.table.to_lowercase() == b.table.to_lowercase()
                && a.database.to_lowercase() == b.database.to_lowercase()
    }

    /// The character set that a clause names; that above where it says nothing.
    pub(super) fn charset(&self, clause: &CharsetClause, above: Option<&Charset>) -> Result<Charset, String> {
        let unknown = || "the default character set is not known".to_owned();
        if clause.reset {
            return Err(unknown());
        }
        let name = clause.name.as_deref().map(|name| self.printed(name));
        let collation = clause.collation.as_deref().map(|name| self.printed(name));
        match (name, collation) {
            (None, None) => above.cloned().ok_or_else(unknown),
            (Some(name), None) => {
                let collation = self.default_collation(&name)?;
                Ok(Charset { name, collation })
            }
            (_, Some(collation)) => {
                let name = collation.split('_').next().unwrap_or_default().to_owned();
                let charset = Charset { name, collation };
                if charset.max_bytes().is_none() {
                    return Err(format!(
                        "the collation {} belongs to no character set that is known",
                        charset.collation
                    ));
                }
                Ok(charset)
            }
        }
    }

    /// The `_bin` collation of a character set.
    pub(super) fn binary(charset: Charset) -> Charset {
        Charset { collation: format!("{}_bin", charset.name), ..charset }
    }

    /// `utf8` is an alias by now.
    fn printed(&self, name: &str) -> String {
        let alias = self.mysql_since((8, 0, 30)) || self.mariadb() && self.version >= (10, 6, 0);
        match name.strip_prefix("utf8") {
            Some("") if alias => "utf8mb3".into(),
            Some(rest) if alias && rest.starts_with('_') => format!("utf8mb3{rest}"),
            Some(rest) if !alias && rest.starts_with("mb3") => format!("utf8{}", &rest[3..]),
            _ => name.to_owned(),
        }
    }

    fn default_collation(&self, charset: &str) -> Result<String, String> {
        let unicode = matches!(charset, "utf8mb3" | "utf8" | "utf8mb4" | "ucs2" | "utf16" | "utf32");
        if self.mariadb() && self.version >= (11, 2, 0) && unicode {
            return Err(format!("the default collation of {charset} is a setting (character_set_collations)"));
        }
        Ok(match charset {
            "binary" => "binary".into(),
            "utf8mb4" if self.mysql_since((8, 0, 1)) => "utf8mb4_0900_ai_ci".into(),
            "latin1" | "swe7" => format!("{charset}_swedish_ci"),
            "latin5" => "latin5_turkish_ci".into(),
            "hp8" | "dec8" => format!("{}_{}_ci", charset, if charset == "hp8" { "english" } else { "swedish" }),
            "big5" | "gbk" | "gb2312" | "gb18030" => format!("{charset}_chinese_ci"),
            "sjis" | "ujis" | "cp932" | "eucjpms" => format!("{charset}_japanese_ci"),
            "euckr" => "euckr_korean_ci".into(),
            "tis620" => "tis620_thai_ci".into(),
            name => {
                let charset = Charset { name: name.into(), collation: format!("{name}_general_ci") };
                charset.max_bytes().ok_or_else(|| format!("the character set {name} is not known"))?;
                charset.collation
            }
        })
    }
}
