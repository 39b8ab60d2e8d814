//! What a DDL statement makes of each table, whatever the way: renamed twice, dropped and made again, swapped.
//!
//! Enter: the statement's effects in their order. Leaves: one [`Fate`] per table that is there behind it. Pure.

use crate::ddl::{Effect, Rows};
use crate::ident::TableName;

/// What has become of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Its index before the statement; none for a table that came, or that was not carried before.
    pub origin: Option<usize>,
    /// Its name now.
    pub name: TableName,
    /// For each of its columns which it was before; none: they are as they were.
    pub columns: Option<Vec<Option<usize>>>,
    /// Whether the statement made it: then it is empty.
    pub made: bool,
    /// Whether it was emptied.
    pub emptied: bool,
    /// Why its rows are not known, if they are not.
    pub unknown: Option<String>,
}

/// All fates, those of tables that nothing happened to included, and the tables (by their index before) that are gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Of the tables that are there now.
    pub tables: Vec<Fate>,
    /// Those that were dropped or have left the carried names.
    pub gone: Vec<usize>,
}

impl Fates {
    /// Follows the effects. `before`: the carried tables; `is_behind`: which of them were copied behind the statement, and so
    /// are what came of it already; `carries`: whether a name is among the carried ones.
    pub fn of(
        before: &[TableName],
        effects: Vec<Effect>,
        is_behind: impl Fn(usize) -> bool,
        carries: impl Fn(&TableName) -> bool,
    ) -> Self {
        let stays = |name: &TableName| before.iter().position(|known| known == name).is_some_and(&is_behind);
        let fate = |(origin, name): (usize, &TableName)| Fate {
            origin: Some(origin),
            name: name.clone(),
            columns: None,
            made: false,
            emptied: false,
            unknown: None,
        };
        let mut tables: Vec<Fate> = before.iter().enumerate().map(fate).collect();
        let mut gone = Vec::new();
        let new = |name: TableName, made: bool| Fate {
            origin: None,
            name,
            columns: None,
            made,
            emptied: false,
            unknown: (!made).then(|| "it was not carried before".to_owned()),
        };
        for effect in effects {
            match effect {
                Effect::Create(name) | Effect::Appear(name) | Effect::Drop(name) | Effect::Truncate(name)
                    if stays(&name) => {}
                Effect::Alter { table, .. } if stays(&table) => {}
                Effect::Create(name) => tables.push(new(name, true)),
                Effect::Appear(name) => tables.push(new(name, false)),
                Effect::Drop(name) => {
                    if let Some(at) = tables.iter().position(|fate| fate.name == name) {
                        gone.extend(tables.remove(at).origin);
                    }
                }
                Effect::Truncate(name) => {
                    tables.iter_mut().filter(|fate| fate.name == name).for_each(|fate| fate.emptied = true);
                }
                // the one that has the name now was copied with it
                Effect::Rename { from, to } if stays(&to) => {
                    if let Some(at) = tables.iter().position(|fate| fate.name == from && !stays(&from)) {
                        gone.extend(tables.remove(at).origin);
                    }
                }
                Effect::Rename { from, to } if stays(&from) => tables.push(new(to, false)),
                Effect::Rename { from, to } => match tables.iter_mut().find(|fate| fate.name == from) {
                    Some(fate) => fate.name = to,
                    None => tables.push(new(to, false)),
                },
                Effect::Alter { table, columns, rows } => {
                    if let Some(fate) = tables.iter_mut().find(|fate| fate.name == table) {
                        fate.columns = Some(match fate.columns.take() {
                            None => columns,
                            Some(first) => columns.into_iter().map(|of| of.and_then(|of| *first.get(of)?)).collect(),
                        });
                        if let Rows::Unknown(why) = rows {
                            fate.unknown = Some(why);
                        }
                    }
                }
            }
        }
        tables.retain(|fate| {
            let stays = carries(&fate.name);
            if !stays {
                gone.extend(fate.origin);
            }
            stays
        });
        // another table in the place of a carried one: an online schema change has put its copy there
        for fate in tables.iter_mut().filter(|fate| fate.origin.is_none() && !fate.made) {
            if let Some(at) = gone.iter().position(|origin| before[*origin] == fate.name) {
                fate.origin = Some(gone.remove(at));
                fate.unknown = Some("another table has taken its place".to_owned());
            }
        }
        Self { tables, gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str) -> TableName {
        TableName::new("lab", table)
    }

    /// The fates in short: `name<origin` with `+` made, `0` emptied, `?` unknown; then the gone.
    fn fates(effects: Vec<Effect>) -> String {
        fates_with(None, effects)
    }

    /// The same, one of the tables having been copied behind the statement.
    fn fates_with(behind: Option<usize>, effects: Vec<Effect>) -> String {
        let before = [name("a"), name("b")];
        let fates = Fates::of(&before, effects, |at| behind == Some(at), |name| !name.table.starts_with('_'));
        let of = |fate: &Fate| {
            let origin = fate.origin.map_or(String::new(), |origin| format!("<{}", before[origin].table));
            let marks = [(fate.made, "+"), (fate.emptied, "0"), (fate.unknown.is_some(), "?")];
            let marks: String = marks.iter().filter(|(yes, _)| *yes).map(|(_, mark)| *mark).collect();
            format!("{}{origin}{marks}", fate.name.table)
        };
        let mut out: Vec<String> = fates.tables.iter().map(of).collect();
        out.extend(fates.gone.iter().map(|gone| format!("-{}", before[*gone].table)));
        out.join(" ")
    }

    fn rename(from: &str, to: &str) -> Effect {
        Effect::Rename { from: name(from), to: name(to) }
    }

    #[test]
    fn tables_come_go_and_swap_their_names() {
        assert_eq!(fates(vec![]), "a<a b<b");
        assert_eq!(fates(vec![Effect::Create(name("c")), Effect::Truncate(name("b"))]), "a<a b<b0 c+");
        assert_eq!(fates(vec![Effect::Drop(name("a"))]), "b<b -a");
        assert_eq!(fates(vec![Effect::Drop(name("a")), Effect::Create(name("a"))]), "b<b a+ -a");
        assert_eq!(fates(vec![rename("a", "_t"), rename("b", "a"), rename("_t", "b")]), "b<a a<b");
        assert_eq!(fates(vec![rename("a", "_old")]), "b<b -a");
        assert_eq!(fates(vec![Effect::Appear(name("c"))]), "a<a b<b c?");
        // gh-ost, pt-online-schema-change
        assert_eq!(fates(vec![rename("a", "_a_del"), Effect::Appear(name("a"))]), "b<b a<a?");
    }

    #[test]
    fn what_was_copied_behind_the_statement_is_left_as_it_is() {
        // the log was rotated before its new table was copied
        assert_eq!(fates_with(Some(0), vec![rename("a", "a_2025"), Effect::Create(name("a"))]), "a<a b<b a_2025?");
        assert_eq!(fates_with(Some(0), vec![Effect::Drop(name("a")), rename("b", "a")]), "a<a -b");
        assert_eq!(fates_with(Some(0), vec![Effect::Truncate(name("a")), Effect::Truncate(name("b"))]), "a<a b<b0");
    }

    #[test]
    fn columns_are_followed_through_several_changes() {
        let alter =
            |columns: &[Option<usize>]| Effect::Alter { table: name("a"), columns: columns.to_vec(), rows: Rows::Kept };
        let fates = Fates::of(
            &[name("a")],
            vec![alter(&[Some(1), None, Some(0)]), alter(&[Some(2), Some(1)])],
            |_| false,
            |_| true,
        );
        assert_eq!(fates.tables[0].columns, Some(vec![Some(0), None]));
    }
}
