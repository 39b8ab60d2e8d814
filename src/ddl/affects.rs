//! Which tables a DDL statement changes.
//!
//! Reads the statement's words, not its grammar: enough for the names, and [`Affects::Unknown`] for everything else, so
//! that a statement of a newer server is never taken for a harmless one.

use super::words::{Token, tokens};
use crate::ident::TableName;

/// Which tables a DDL statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affects {
    /// No base table.
    Nothing,
    /// These, by their old and new names.
    Tables(Vec<TableName>),
    /// All tables of a database (DROP DATABASE).
    Database(String),
    /// It cannot be told: assume that a replicated table is concerned.
    Unknown,
}

/// First keywords of statements that change no base table.
const HARMLESS: [&str; 24] = [
    "SET",
    "GRANT",
    "REVOKE",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "CHECKSUM",
    "BINLOG",
    "INSTALL",
    "UNINSTALL",
    "USE",
    "PURGE",
    "RESET",
    "LOCK",
    "UNLOCK",
    "KILL",
    "SHOW",
    "CACHE",
    "CHANGE",
    "STOP",
    "SIGNAL",
    "GET",
];

/// What CREATE, ALTER, DROP and RENAME may be followed by without concerning a base table.
const OTHER_OBJECTS: [&str; 17] = [
    "USER",
    "ROLE",
    "VIEW",
    "PROCEDURE",
    "FUNCTION",
    "TRIGGER",
    "EVENT",
    "SERVER",
    "SEQUENCE",
    "PACKAGE",
    "LOGFILE",
    "TABLESPACE",
    "RESOURCE",
    "INSTANCE",
    "PREPARE",
    "LIBRARY",
    "UNDO",
];

/// Names the tables that a DDL statement changes; unqualified names are in `default_database`. The names are as the
/// statement spells them: comparing them by the server's `lower_case_table_names` is the caller's part.
#[must_use]
pub fn affects(sql: &str, default_database: &str) -> Affects {
    let Some(tokens) = tokens(sql) else { return Affects::Unknown };
    let mut parser = Parser { tokens: &tokens, database: default_database };
    parser.statement().unwrap_or(Affects::Unknown)
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    database: &'a str,
}

/// Every method takes its words off the front, and `None` means: not the expected words.
impl Parser<'_> {
    fn statement(&mut self) -> Option<Affects> {
        while self.sign('(') {}
        let Some(Token::Word(first)) = self.tokens.first() else {
            return self.tokens.is_empty().then_some(Affects::Nothing);
        };
        let first = first.to_ascii_uppercase();
        self.tokens = &self.tokens[1..];
        match first.as_str() {
            "CREATE" | "ALTER" | "DROP" => self.object(&first),
            "RENAME" if self.keyword("USER") => Some(Affects::Nothing),
            "RENAME" => self.rename(),
            "TRUNCATE" => {
                self.keyword("TABLE");
                self.table().map(|table| Affects::Tables(vec![table]))
            }
            word if HARMLESS.contains(&word) => Some(Affects::Nothing),
            _ => None,
        }
    }

    fn object(&mut self, verb: &str) -> Option<Affects> {
        let mut temporary = false;
        loop {
            let token = self.tokens.first()?;
            self.tokens = &self.tokens[1..];
            let Token::Word(word) = token else {
                if *token == Token::Sign('=') {
                    self.definer(); // ALGORITHM = …, DEFINER = …
                    continue;
                }
                return None;
            };
            match word.to_ascii_uppercase().as_str() {
                "TEMPORARY" => temporary = true,
                "TABLE" | "TABLES" if temporary => return Some(Affects::Nothing),
                "TABLE" | "TABLES" => return self.tables(verb),
                "INDEX" => return self.index(),
                "DATABASE" | "SCHEMA" if verb == "DROP" => return self.drop_database(),
                "DATABASE" | "SCHEMA" => return Some(Affects::Nothing),
                "SPATIAL" if self.keyword("REFERENCE") => return Some(Affects::Nothing),
                "OR" | "REPLACE" | "ONLINE" | "OFFLINE" | "IGNORE" | "UNIQUE" | "FULLTEXT" | "SPATIAL" | "VECTOR"
                | "ALGORITHM" | "DEFINER" | "SQL" | "SECURITY" | "INVOKER" | "AGGREGATE" => {}
                word if OTHER_OBJECTS.contains(&word) => return Some(Affects::Nothing),
                _ => return None,
            }
        }
    }

    /// The value of `DEFINER = user@host`, `CURRENT_USER()`, or of `ALGORITHM = …`.
    fn definer(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        if self.sign('@') {
            self.tokens = self.tokens.get(1..).unwrap_or_default();
        }
        if self.sign('(') {
            self.sign(')');
        }
    }

    fn tables(&mut self, verb: &str) -> Option<Affects> {
        self.if_exists();
        let mut tables = vec![self.table()?];
        match verb {
            "DROP" => {
                while self.sign(',') {
                    tables.push(self.table()?);
                }
            }
            "ALTER" => self.renames(&mut tables)?,
            _ => {}
        }
        Some(Affects::Tables(tables))
    }

    /// The other tables of an ALTER TABLE: `RENAME [TO|AS|=] name`, `EXCHANGE PARTITION p WITH TABLE name`, and
    /// MariaDB's `CONVERT … TABLE name`.
    fn renames(&mut self, tables: &mut Vec<TableName>) -> Option<()> {
        const PARTS: [&str; 4] = ["COLUMN", "INDEX", "KEY", "CONSTRAINT"];
        let mut depth = 0_usize;
        while let Some((token, rest)) = self.tokens.split_first() {
            self.tokens = rest;
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                word if word.is("RENAME") && !self.at_any(&PARTS) => {
                    let _ = self.keyword("TO") || self.keyword("AS") || self.sign('=');
                    tables.push(self.table()?);
                }
                word if word.is("TABLE") => tables.push(self.table()?),
                _ => {}
            }
        }
        Some(())
    }

    /// `[IF [NOT] EXISTS] name … ON table`.
    fn index(&mut self) -> Option<Affects> {
        self.if_exists();
        self.name()?;
        while !self.keyword("ON") {
            self.tokens = self.tokens.get(1..).filter(|rest| !rest.is_empty())?;
        }
        self.table().map(|table| Affects::Tables(vec![table]))
    }

    fn rename(&mut self) -> Option<Affects> {
        if !self.keyword("TABLE") && !self.keyword("TABLES") {
            return None;
        }
        self.if_exists();
        let mut tables = Vec::new();
        loop {
            tables.push(self.table()?);
            while !self.keyword("TO") {
                self.tokens = self.tokens.get(1..).filter(|rest| !rest.is_empty())?; // WAIT n, NOWAIT
            }
            tables.push(self.table()?);
            if !self.sign(',') {
                return Some(Affects::Tables(tables));
            }
        }
    }

    fn drop_database(&mut self) -> Option<Affects> {
        self.if_exists();
        self.name().map(Affects::Database)
    }

    /// `[database.]table`.
    fn table(&mut self) -> Option<TableName> {
        let first = self.name()?;
        if self.sign('.') {
            return Some(TableName::new(first, self.name()?));
        }
        Some(TableName::new(self.database, first))
    }

    fn name(&mut self) -> Option<String> {
        let (token, rest) = self.tokens.split_first()?;
        let name = token.name()?.to_owned();
        self.tokens = rest;
        Some(name)
    }

    fn if_exists(&mut self) {
        if self.keyword("IF") {
            self.keyword("NOT");
            self.keyword("EXISTS");
        }
    }

    fn at_any(&self, keywords: &[&str]) -> bool {
        self.tokens.first().is_some_and(|next| keywords.iter().any(|keyword| next.is(keyword)))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.take(|token| token.is(keyword))
    }

    fn sign(&mut self, sign: char) -> bool {
        self.take(|token| *token == Token::Sign(sign))
    }

    fn take(&mut self, wanted: impl Fn(&Token<'_>) -> bool) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if wanted(token) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{Statement, classify};
    use proptest::prelude::*;

    fn named(sql: &str) -> Vec<String> {
        match affects(sql, "lab") {
            Affects::Tables(tables) => tables.iter().map(ToString::to_string).collect(),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn ddl_names_its_tables() {
        for (sql, tables) in [
            ("CREATE TABLE t (a INT)", "lab.t"),
            ("CREATE TABLE IF NOT EXISTS `d b`.`t``x` LIKE y", "d b.t`x"),
            ("CREATE OR REPLACE TABLE \"t\" (a INT)", "lab.t"),
            ("DROP TABLE IF EXISTS a, `b` , c.d /* generated by server */", "lab.a lab.b c.d"),
            ("TRUNCATE t", "lab.t"),
            ("TRUNCATE TABLE db.t", "db.t"),
            ("RENAME TABLE a TO b, c.d WAIT 5 TO e", "lab.a lab.b c.d lab.e"),
            ("ALTER TABLE t ADD COLUMN (rename_me INT), RENAME COLUMN a TO b, RENAME INDEX i TO j", "lab.t"),
            ("ALTER ONLINE IGNORE TABLE IF EXISTS t ADD x INT COMMENT 'RENAME TO z', RENAME AS u", "lab.t lab.u"),
            ("ALTER TABLE t RENAME d.u", "lab.t d.u"),
            ("ALTER TABLE p EXCHANGE PARTITION x WITH TABLE q WITHOUT VALIDATION", "lab.p lab.q"),
            ("CREATE UNIQUE INDEX i USING BTREE ON t (a)", "lab.t"),
            ("DROP INDEX `i` ON db.t", "db.t"),
            ("/*!50003 alter table t engine=InnoDB */", "lab.t"),
        ] {
            assert_eq!(named(sql).join(" "), tables, "{sql}");
            assert_eq!(classify(sql), Statement::Ddl, "{sql}");
        }
        assert_eq!(affects("DROP SCHEMA IF EXISTS `Lab`", ""), Affects::Database("Lab".into()));
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        for sql in
            ["FROBNICATE TABLE t", "ALTER TABLE 'x", "CREATE TABLE", "ALTER TABLE t COMMENT 'a\\'", "DROP INDEX i"]
        {
            assert_eq!(affects(sql, "lab"), Affects::Unknown, "{sql}");
            assert_eq!(classify(sql), Statement::Ddl, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(sql in ".{0,60}|(ALTER|DROP|CREATE|RENAME|TABLE|INDEX|TO|ON|IF|,|\\.|=|\\(|`a`| ){0,12}") {
            let _ = affects(&sql, "lab");
        }
    }
}
