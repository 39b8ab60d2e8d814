//! What an SQL statement in the binlog does, as far as replication must know.
//!
//! A Query event carries transaction boundaries, savepoints, XA commands, DDL and, in statement format, changes of
//! rows. [`classify`] tells them apart by their first words. It fails closed: what is not recognised is DDL whose effect
//! is [`Affects::Unknown`].

use crate::ddl::words::{Token, Tokens, tokens};
use crate::ddl::{Affects, affects};

/// The kinds of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// No words at all: a comment in place of an event that this replica was not sent.
    Empty,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK of the whole transaction.
    Rollback,
    /// SAVEPOINT of that name.
    Savepoint(String),
    /// ROLLBACK TO the savepoint of that name.
    RollbackTo(String),
    /// RELEASE SAVEPOINT.
    ReleaseSavepoint,
    /// XA START or XA BEGIN.
    XaStart,
    /// XA END.
    XaEnd,
    /// XA PREPARE.
    XaPrepare,
    /// XA COMMIT.
    XaCommit,
    /// XA ROLLBACK.
    XaRollback,
    /// A change of rows in statement format, with its first keyword.
    Dml(&'static str),
    /// DDL that may concern a base table; see [`affects`].
    Ddl,
    /// Anything that changes no base table: grants, views, routines, temporary tables, maintenance.
    Ignorable,
}

/// First keywords of statements that change rows, or call what may.
const DML: [&str; 11] =
    ["INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL", "SELECT", "DO", "VALUES", "EXECUTE"];

/// Tells what a statement is.
#[must_use]
pub fn classify(sql: &str) -> Statement {
    // what MySQL writes for each transaction
    match sql {
        "BEGIN" => return Statement::Begin,
        "COMMIT" => return Statement::Commit,
        _ => {}
    }
    let mut words = Tokens::new(sql).filter(|token| *token != Some(Token::Sign('(')));
    let mut next = || words.next().flatten();
    let Some(first) = next() else {
        return if Tokens::new(sql).next().is_none() { Statement::Empty } else { Statement::Ddl };
    };
    let Token::Word(first) = first else { return Statement::Ddl };
    if let Some(keyword) = DML.iter().find(|keyword| first.eq_ignore_ascii_case(keyword)) {
        return Statement::Dml(keyword);
    }
    let second = next();
    let second_is = |word: &str| second.as_ref().is_some_and(|token| token.is(word));
    match first.to_ascii_uppercase().as_str() {
        "BEGIN" => Statement::Begin,
        "START" if second_is("TRANSACTION") => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "ROLLBACK" => rollback(second, next),
        "SAVEPOINT" => second.as_ref().and_then(Token::name).map_or(Statement::Ddl, |n| Statement::Savepoint(n.into())),
        "RELEASE" => Statement::ReleaseSavepoint,
        "XA" if second_is("START") || second_is("BEGIN") => Statement::XaStart,
        "XA" if second_is("END") => Statement::XaEnd,
        "XA" if second_is("PREPARE") => Statement::XaPrepare,
        "XA" if second_is("COMMIT") => Statement::XaCommit,
        "XA" if second_is("ROLLBACK") => Statement::XaRollback,
        _ if affects(sql, "") == Affects::Nothing => Statement::Ignorable,
        _ => Statement::Ddl,
    }
}

/// `ROLLBACK [WORK] [TO [SAVEPOINT] name]`, after its first word.
fn rollback<'a>(second: Option<Token<'a>>, mut next: impl FnMut() -> Option<Token<'a>>) -> Statement {
    let second = if second.as_ref().is_some_and(|token| token.is("WORK")) { next() } else { second };
    if !second.is_some_and(|token| token.is("TO")) {
        return Statement::Rollback;
    }
    let mut name = next();
    if name.as_ref().is_some_and(|token| token.is("SAVEPOINT")) {
        name = next().or(name); // a savepoint may bear that name
    }
    name.as_ref().and_then(Token::name).map_or(Statement::Ddl, |name| Statement::RollbackTo(name.to_owned()))
}

/// Whether the text names one of these databases, or cannot be read.
pub(super) fn mentions<'a>(sql: &str, mut databases: impl Iterator<Item = &'a str>) -> bool {
    let Some(tokens) = tokens(sql) else { return true };
    databases.any(|database| {
        tokens.iter().filter_map(Token::name).any(|name| name.to_lowercase() == database.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries_and_savepoints() {
        for (sql, expected) in [
            ("BEGIN", Statement::Begin),
            ("start transaction", Statement::Begin),
            ("COMMIT /* implicit */", Statement::Commit),
            ("ROLLBACK", Statement::Rollback),
            ("ROLLBACK /* added */", Statement::Rollback),
            ("SAVEPOINT `a b`", Statement::Savepoint("a b".into())),
            ("ROLLBACK TO `a``b`", Statement::RollbackTo("a`b".into())),
            ("ROLLBACK WORK TO SAVEPOINT sp1", Statement::RollbackTo("sp1".into())),
            ("ROLLBACK TO SAVEPOINT", Statement::RollbackTo("SAVEPOINT".into())),
            ("RELEASE SAVEPOINT x", Statement::ReleaseSavepoint),
            ("XA START X'6f6e65',X'',1", Statement::XaStart),
            ("XA COMMIT X'74776f',X'',1", Statement::XaCommit),
            ("# Dummy event replacing event type 160 that slave cannot handle.", Statement::Empty),
        ] {
            assert_eq!(classify(sql), expected, "{sql}");
        }
    }

    #[test]
    fn statements_that_change_rows() {
        for (sql, keyword) in [
            ("/* app */ insert into t values (1)", "INSERT"),
            ("/*!40000 REPLACE INTO t VALUES (1) */", "REPLACE"),
            ("-- x\nUPDATE t SET a=1", "UPDATE"),
            ("(SELECT f())", "SELECT"),
            ("WITH x AS (SELECT 1) DELETE FROM t", "WITH"),
        ] {
            assert_eq!(classify(sql), Statement::Dml(keyword), "{sql}");
        }
    }

    #[test]
    fn statements_that_concern_no_base_table() {
        for sql in [
            "SET PASSWORD FOR a = 'x'",
            "GRANT ALL ON *.* TO a",
            "CREATE USER 'a'@'%' IDENTIFIED BY 'it''s'",
            "DROP ROLE r",
            "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW v AS SELECT 1",
            "CREATE DEFINER=CURRENT_USER() PROCEDURE p() BEGIN INSERT INTO t VALUES (1); END",
            "CREATE DEFINER=root@localhost TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
            "CREATE DATABASE IF NOT EXISTS d",
            "ALTER DATABASE d CHARACTER SET utf8mb4",
            "CREATE TEMPORARY TABLE t (a INT)",
            "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`",
            "CREATE SEQUENCE s",
            "ANALYZE TABLE t",
            "FLUSH TABLES",
            "RENAME USER a TO b",
            "CREATE SPATIAL REFERENCE SYSTEM 4120 NAME 'x'",
        ] {
            assert_eq!(classify(sql), Statement::Ignorable, "{sql}");
        }
    }

    #[test]
    fn databases_are_found_in_the_text() {
        assert!(mentions("INSERT INTO `LAB`.t VALUES (1)", ["lab"].into_iter()));
        assert!(!mentions("INSERT INTO t VALUES ('lab')", ["lab"].into_iter()));
        assert!(mentions("INSERT INTO t VALUES ('x", ["lab"].into_iter()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(sql in ".{0,60}|(ROLLBACK|TO|SAVEPOINT|XA|START|WORK|`a`|\\(| ){0,6}") {
            let _ = classify(&sql);
        }
    }
}
