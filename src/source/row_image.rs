//! What the source's row images leave out (`binlog_row_image`), and what then cannot be replicated.
//!
//! FULL leaves out nothing. MariaDB's FULL_NODUP leaves unchanged columns out of the after image, which the before image
//! has. NOBLOB leaves out large columns that were not changed, MINIMAL all columns that were not, and all but the key
//! before the change. Tables without a key have whole before images under each (tried on MariaDB 10.11 and MySQL 9.7).
//! What is refused here would be refused when such a row comes; better before the copy than behind it.

use crate::error::{Error, ErrorKind};
use crate::ident;
use crate::mapping::Mapping;
use crate::schema::{Catalog, Column, Flavor, IndexKind, LeftOut, SourceType, TableSchema};
use crate::source::preflight::Warning;
use crate::source::server::ServerFacts;

/// How much of a row is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowImage {
    /// Before and after image together hold every column: FULL, FULL_NODUP.
    Whole,
    /// The key, and what was changed.
    Minimal,
    /// All but large columns that were not changed.
    NoBlob,
}

impl RowImage {
    /// By the server's setting; sessions may have another.
    #[must_use]
    pub fn of(facts: &ServerFacts) -> Self {
        match facts.binlog_row_image.as_str() {
            "MINIMAL" => Self::Minimal,
            "NOBLOB" => Self::NoBlob,
            _ => Self::Whole,
        }
    }

    /// Whether the images of an update or a delete may lack the column.
    #[must_use]
    pub fn may_lack(self, table: &TableSchema, column: usize) -> bool {
        let key = table.key_columns();
        !key.is_empty() && !key.contains(&column) && self.may_default(&table.columns[column])
    }

    /// Whether some update's images may lack columns of the table.
    #[must_use]
    pub fn is_partial(self, table: &TableSchema) -> bool {
        (0..table.columns.len()).any(|column| self.may_lack(table, column))
    }

    /// Whether the image of a new row may lack the column.
    fn may_default(self, column: &Column) -> bool {
        use SourceType as T;
        match self {
            Self::Whole => false,
            Self::Minimal => true,
            Self::NoBlob => {
                matches!(column.ty, T::Text { .. } | T::Blob { .. } | T::Json { .. } | T::Geometry | T::Vector)
            }
        }
    }
}

/// What of these tables cannot be replicated from the server's images, each with what mends it.
#[must_use]
pub fn problems(facts: &ServerFacts, mapping: &Mapping, catalog: &Catalog) -> Vec<Error> {
    let image = RowImage::of(facts);
    let mut out = Vec::new();
    if leaves_out_generated(facts) {
        for table in &catalog.tables {
            let carried = |column: &&Column| column.generated && mapping.column(&table.name, &column.name).is_some();
            out.extend(table.columns.iter().filter(carried).map(|column| generated(table, column)));
        }
    }
    if image == RowImage::Whole {
        return out;
    }
    let mut refuse = |what: String, why: &str, otherwise: String| {
        let hint = "SET GLOBAL binlog_row_image = 'FULL', and the same in the server's configuration";
        let detail = format!("binlog_row_image is {}: {why}", facts.binlog_row_image);
        let error = Error::new(ErrorKind::SourceSetting, what).detail(detail);
        out.push(error.with_hint(format!("{hint}; or {otherwise}")));
    };
    for table in &catalog.tables {
        let name = &table.name;
        if image == RowImage::Minimal && unlike_keys(table) {
            refuse(
                format!("{name} has no primary key and several unique keys"),
                "rows are named by one of them, and which one the log does not say",
                "give the table a primary key".into(),
            );
        }
        for term in mapping.rows(name).into_iter().flat_map(|filter| &filter.terms) {
            if table.column(&term.column).is_some_and(|column| image.may_lack(table, column)) {
                refuse(
                    format!("the row filter of {name} tests {}", term.column),
                    "that column is not in every row's image",
                    "take it out of the filter".into(),
                );
            }
        }
        let carried = |column: &&Column| mapping.column(name, &column.name).is_some() && image.may_default(column);
        // under MINIMAL the images of most updates are unlike REPLACE's; under NOBLOB none is
        let mut columns = table.columns.iter().enumerate();
        if image == RowImage::NoBlob
            && loses_replaced(facts)
            && let Some((_, column)) = columns.find(|(at, column)| image.may_lack(table, *at) && carried(column))
        {
            refuse(
                format!("updates of {name} may lack {}", column.name),
                "MariaDB logs REPLACE as an update too, and nothing tells whether the column stayed or fell back to its default",
                without(&column.name),
            );
        }
        for column in table.columns.iter().filter(carried) {
            let why = match column.left_out {
                LeftOut::Unknown => {
                    "new rows leave out columns that took their default, and the catalogue does not tell this one's exactly"
                }
                LeftOut::Always => "virtual columns are not in the images",
                LeftOut::Null | LeftOut::Value(_) | LeftOut::Never => continue,
            };
            refuse(format!("{name}.{} cannot be known from partial images", column.name), why, without(&column.name));
        }
        for key in table.foreign_keys.iter().filter(|key| key.acts() && !facts.logs_cascades) {
            let Some(parent) = catalog.tables.iter().find(|parent| parent.name == key.parent) else { continue };
            let lacking = key
                .parent_columns
                .iter()
                .find(|column| parent.column(column).is_some_and(|column| image.may_lack(parent, column)));
            if let Some(column) = lacking {
                refuse(
                    format!("foreign key {} of {name} refers to {}.{column}", key.name, parent.name),
                    "the source does not log what its foreign keys change, and that column is not in every image of the parent",
                    format!("ALTER TABLE {} DROP FOREIGN KEY {}", name.mysql(), ident::mysql(&key.name)),
                );
            }
        }
    }
    out
}

/// The way on without a column that cannot be carried.
pub(super) fn without(column: &str) -> String {
    format!("leave the column out: exclude_columns = [\"{column}\"]")
}

/// MariaDB's newer versions log no generated column in updates and deletes, under any setting (tried on 11.8; 10.11 does). Its
/// old value would stay. Which version began it is not known, so every one behind 10.11 counts.
fn leaves_out_generated(facts: &ServerFacts) -> bool {
    facts.flavor == Flavor::MariaDb && facts.version >= (10, 12, 0)
}

fn generated(table: &TableSchema, column: &Column) -> Error {
    let what =
        format!("{}.{} is a generated column, which the source does not log in updates", table.name, column.name);
    Error::new(ErrorKind::SourceSetting, what)
        .detail("MariaDB leaves generated columns out of row images, whatever binlog_row_image is")
        .with_hint(without(&column.name))
}

/// Whether updates may have been REPLACE without saying so: MariaDB logs it as an update that leaves out the columns that fell
/// back to their defaults.
#[must_use]
pub fn loses_replaced(facts: &ServerFacts) -> bool {
    facts.flavor == Flavor::MariaDb
}

/// What a run should know of that is not refused before it.
#[must_use]
pub fn warning(facts: &ServerFacts) -> Option<Warning> {
    (loses_replaced(facts) && RowImage::of(facts) == RowImage::Minimal).then(|| Warning {
        message: "binlog_row_image is MINIMAL: REPLACE and INSERT … ON DUPLICATE KEY UPDATE that give some of a row's columns \
                  stop the stream"
            .into(),
        hint:
            "SET GLOBAL binlog_row_image = 'FULL'; MariaDB does not log which columns of a replaced row fall back to \
               their defaults, and its own replicas go wrong there"
                .into(),
    })
}

/// Whether the server may name rows by another key than we: the first it finds, where we take the shortest.
fn unlike_keys(table: &TableSchema) -> bool {
    let identifies = |index: &&crate::schema::Index| {
        index.kind == IndexKind::Unique
            && index
                .parts
                .iter()
                .all(|part| part.prefix.is_none() && part.column.is_some_and(|column| !table.columns[column].nullable))
    };
    let primary = table.indexes.iter().any(|index| index.kind == IndexKind::Primary);
    !primary && table.indexes.iter().filter(identifies).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample::{int, mapping, table};
    use crate::mapping::TableRule;
    use crate::schema::Action;
    use crate::source::testing::facts;

    /// MINIMAL as MariaDB has it, NOBLOB as MySQL does.
    fn found(image: &str, tables: Vec<TableSchema>, rule: TableRule) -> Vec<String> {
        found_on(if image == "NOBLOB" { Flavor::MySql } else { Flavor::MariaDb }, image, tables, rule)
    }

    fn found_on(flavor: Flavor, image: &str, tables: Vec<TableSchema>, rule: TableRule) -> Vec<String> {
        let facts = ServerFacts { binlog_row_image: image.into(), ..facts(flavor) };
        let problems = problems(&facts, &mapping([("a", rule)]), &Catalog { tables });
        problems.iter().map(|problem| problem.message().to_owned()).collect()
    }

    fn keyed() -> TableSchema {
        let mut keyed =
            table("a", &[("id", int(4, false)), ("n?", int(4, false)), ("b?", SourceType::Blob { length_bytes: 2 })]);
        keyed.columns.iter_mut().for_each(|column| column.left_out = LeftOut::Null);
        keyed.primary(&[0])
    }

    #[test]
    fn whole_images_and_plain_tables_pass() {
        for image in ["FULL", "FULL_NODUP", "MINIMAL"] {
            assert_eq!(found(image, vec![keyed()], TableRule::default()), [""; 0], "{image}");
        }
        assert_eq!(found("NOBLOB", vec![keyed()], TableRule::default()), [""; 0]);
        let image = |name: &str| RowImage::of(&ServerFacts { binlog_row_image: name.into(), ..facts(Flavor::MySql) });
        assert!(image("MINIMAL").is_partial(&keyed()) && image("NOBLOB").is_partial(&keyed()));
        assert!(!image("FULL_NODUP").is_partial(&keyed()));
        assert!(!image("NOBLOB").is_partial(&table("b", &[("id", int(4, false))]).primary(&[0])));
        assert!(!image("MINIMAL").is_partial(&table("c", &[("n", int(4, false))])), "no key: whole images");
    }

    #[test]
    fn what_a_partial_image_lacks_and_is_needed_is_refused() {
        let rule = |text: &str| TableRule { rows: Some(text.parse().unwrap()), ..TableRule::default() };
        assert_eq!(found("MINIMAL", vec![keyed()], rule("n > 1")), ["the row filter of lab.a tests n"]);
        assert_eq!(found("MINIMAL", vec![keyed()], rule("id > 1")), [""; 0]);
        assert_eq!(found("NOBLOB", vec![keyed()], rule("n > 1")), [""; 0]);
        assert_eq!(found("NOBLOB", vec![keyed()], rule("b IS NULL")), ["the row filter of lab.a tests b"]);

        let mut untold = keyed();
        (untold.columns[1].left_out, untold.columns[2].left_out) = (LeftOut::Unknown, LeftOut::Always);
        let cannot = |column: &str| format!("lab.a.{column} cannot be known from partial images");
        assert_eq!(found("MINIMAL", vec![untold.clone()], TableRule::default()), [cannot("n"), cannot("b")]);
        assert_eq!(found("NOBLOB", vec![untold.clone()], TableRule::default()), [cannot("b")]);
        let left = TableRule { exclude_columns: ["n".into(), "b".into()].into(), ..TableRule::default() };
        assert_eq!(found("MINIMAL", vec![untold], left), [""; 0]);
    }

    #[test]
    fn large_columns_that_mariadb_leaves_out_are_refused() {
        let noblob = |table, rule| found_on(Flavor::MariaDb, "NOBLOB", vec![table], rule);
        assert_eq!(noblob(keyed(), TableRule::default()), ["updates of lab.a may lack b"]);
        let left = TableRule { exclude_columns: ["b".into()].into(), ..TableRule::default() };
        assert_eq!(noblob(keyed(), left), [""; 0]);
        assert_eq!(noblob(table("b", &[("id", int(4, false))]).primary(&[0]), TableRule::default()), [""; 0]);
        let mut keyless = keyed();
        keyless.indexes.clear();
        assert_eq!(noblob(keyless, TableRule::default()), [""; 0], "whole images");
    }

    #[test]
    fn generated_columns_of_newer_mariadb_are_refused_under_every_image() {
        let mut computed = keyed();
        computed.columns[1].generated = true;
        let said = |version, image: &str, rule| {
            let facts = ServerFacts { version, binlog_row_image: image.into(), ..facts(Flavor::MariaDb) };
            let problems = problems(&facts, &mapping([("a", rule)]), &Catalog { tables: vec![computed.clone()] });
            problems.iter().filter(|problem| problem.message().contains("generated")).count()
        };
        let left = || TableRule { exclude_columns: ["n".into()].into(), ..TableRule::default() };
        for image in ["FULL", "FULL_NODUP", "MINIMAL", "NOBLOB"] {
            assert_eq!(said((11, 8, 9), image, TableRule::default()), 1, "{image}");
            assert_eq!(said((11, 8, 9), image, left()), 0, "{image}");
            assert_eq!(said((10, 11, 19), image, TableRule::default()), 0, "{image}");
        }
    }

    #[test]
    fn keys_that_the_log_may_not_carry_are_refused() {
        let mut unique = table("a", &[("x", int(4, false)), ("y", int(4, false))])
            .indexed("one", IndexKind::Unique, &[0])
            .indexed("two", IndexKind::Unique, &[1]);
        unique.columns.iter_mut().for_each(|column| column.left_out = LeftOut::Null);
        let says = ["lab.a has no primary key and several unique keys"];
        assert_eq!(found("MINIMAL", vec![unique.clone()], TableRule::default()), says);
        assert_eq!(found("NOBLOB", vec![unique], TableRule::default()), [""; 0]);

        let parent = keyed().indexed("n", IndexKind::Unique, &[1]);
        let mut child = table("c", &[("id", int(4, false)), ("p?", int(4, false))]).primary(&[0]).refers("p", "a", "n");
        child.columns.iter_mut().for_each(|column| column.left_out = LeftOut::Null);
        let says = ["foreign key fk_p of lab.c refers to lab.a.n"];
        assert_eq!(found("MINIMAL", vec![parent.clone(), child.clone()], TableRule::default()), says);
        assert_eq!(found("NOBLOB", vec![parent.clone(), child.clone()], TableRule::default()), [""; 0]);
        child.foreign_keys[0].on_delete = Action::Restrict;
        assert_eq!(found("MINIMAL", vec![parent, child], TableRule::default()), [""; 0]);
    }
}
