//! Indexes and constraints that a statement adds: their implicit names, and the indexes that foreign keys bring.
//!
//! Sources: `mysql_prepare_create_table` and `make_unique_key_name` in `sql/sql_table.cc` of both servers; names of
//! constraints: MySQL's `generate_fk_name` and `generate_check_constraint_name`, MariaDB's `make_unique_constraint_name`.

use super::draft::{Draft, DraftIndex, DraftPart, same_name};
use super::server::Server;
use super::statement::{CheckDefinition, Element, ForeignKeyDefinition, IndexDefinition};
use crate::ident::TableName;
use crate::schema::{Check, ForeignKey, IndexKind, IndexPart, SourceType};

/// Adds indexes and constraints in the order in which they stand.
pub(super) fn add(draft: &mut Draft, elements: &[Element], server: &Server) {
    let known = draft.indexes.len();
    for element in elements {
        match element {
            Element::Index(index) => add_index(draft, index),
            Element::ForeignKey(key) => add_foreign_key(draft, key, server),
            Element::Check(check) => add_check(draft, check, server),
            Element::Unsure(why) => draft.doubt(*why),
            Element::Column(_) => {}
        }
    }
    drop_what_is_served(draft, known);
    name_indexes(draft);
}

fn add_index(draft: &mut Draft, index: &IndexDefinition) {
    if index.if_not_exists && index.name.as_deref().is_some_and(|name| draft.index(name).is_some()) {
        return;
    }
    let primary = index.kind == IndexKind::Primary;
    if primary && index.if_not_exists && draft.index("PRIMARY").is_some() {
        return;
    }
    let parts = index.parts.iter().map(|part| {
        let column = part.of.as_ref().ok();
        DraftPart {
            column: column
                .map(|name| draft.table.column(name).map_or(name, |at| &draft.table.columns[at].name).clone()),
            part: IndexPart {
                column: None,
                prefix: part.prefix,
                descending: part.descending,
                expression: part.of.as_ref().err().cloned(),
            },
        }
    });
    let parts: Vec<DraftPart> = parts.collect();
    draft.indexes.push(DraftIndex {
        name: if primary { Some("PRIMARY".into()) } else { index.name.clone() },
        kind: index.kind,
        method: index.method.clone().unwrap_or_default(),
        parts,
        generated: false,
    });
}

fn add_foreign_key(draft: &mut Draft, key: &ForeignKeyDefinition, server: &Server) {
    if key.inline && !server.mariadb() && !server.mysql_since((9, 0, 0)) {
        return; // read and forgotten
    }
    if key.inline && server.mariadb() && server.version < (10, 5, 0) {
        return;
    }
    let exists = |name: &String| draft.table.foreign_keys.iter().any(|known| same_name(&known.name, name));
    if key.if_not_exists && key.name.as_ref().or(key.index.as_ref()).is_some_and(exists) {
        return;
    }
    let spelled = |name: &String| draft.table.column(name).map_or(name, |at| &draft.table.columns[at].name).clone();
    let columns: Vec<String> = key.columns.iter().map(spelled).collect();
    let part = |name: &String| DraftPart {
        column: Some(name.clone()),
        part: IndexPart { column: None, prefix: None, descending: false, expression: None },
    };
    draft.indexes.push(DraftIndex {
        name: key.name.clone().or_else(|| key.index.clone()),
        kind: IndexKind::Plain,
        method: String::new(),
        parts: columns.iter().map(part).collect(),
        generated: true,
    });
    if !draft.table.transactional {
        return;
    }
    if key.parent_columns.is_empty() {
        draft.doubt("a foreign key that names no columns of its parent");
    }
    let database = key.parent.database.as_ref().map_or(&draft.table.name.database, |name| name);
    let parent = TableName::new(server.stored(database), server.stored(&key.parent.table));
    let name = match &key.name {
        Some(name) => name.clone(),
        None if server.mariadb() && key.index.is_some() => key.index.clone().unwrap_or_default(),
        None => implicit_foreign_key(draft, server),
    };
    draft.table.foreign_keys.push(ForeignKey {
        name,
        columns,
        parent,
        parent_columns: key.parent_columns.clone(),
        on_delete: key.on_delete,
        on_update: key.on_update,
    });
}

/// `table_ibfk_3`: counted from the highest that there is.
fn implicit_foreign_key(draft: &mut Draft, server: &Server) -> String {
    if server.mariadb() && server.version >= (12, 1, 0) {
        draft.doubt("how this version names foreign keys is not known");
    }
    let table = draft.table.name.table.clone();
    if !table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        draft.doubt("the implicit name of a foreign key of a table with an odd name");
    }
    let prefix = format!("{table}_ibfk_");
    let numbers = draft.table.foreign_keys.iter().filter_map(|key| numbered(&key.name, &prefix));
    format!("{prefix}{}", numbers.max().unwrap_or(0).saturating_add(1))
}

/// The number behind a prefix.
pub(super) fn numbered(name: &str, prefix: &str) -> Option<u32> {
    let (head, number) = name.split_at_checked(prefix.len())?;
    number.parse().ok().filter(|_| same_name(head, prefix))
}

fn add_check(draft: &mut Draft, check: &CheckDefinition, server: &Server) {
    let exists = |name: &String| draft.table.checks.iter().any(|known| same_name(&known.name, name));
    if check.if_not_exists && check.name.as_ref().is_some_and(exists) {
        return;
    }
    if let (true, Some(column)) = (server.mariadb(), &check.column) {
        let condition: String = check.condition.chars().filter(|c| !c.is_whitespace() && *c != '`').collect();
        let at = draft.table.column(column);
        let text = at.map(|at| &draft.table.columns[at].ty);
        if condition.eq_ignore_ascii_case(&format!("json_valid({column})")) {
            match text {
                Some(SourceType::Text { length_bytes: 4, charset }) if charset.name.starts_with("utf8") => {
                    if let Some(at) = at {
                        draft.table.columns[at].ty = SourceType::Json { text: true };
                    }
                    return;
                }
                Some(SourceType::Json { .. } | SourceType::Text { length_bytes: 4, .. }) => return,
                _ => {}
            }
        } else if matches!(text, Some(SourceType::Json { .. })) {
            draft.doubt("a check in place of JSON's own");
        }
    }
    let checks = &draft.table.checks;
    let name = check.name.clone().unwrap_or_else(|| match (&check.column, server.mariadb()) {
        (Some(column), true) => column.clone(),
        (None, true) => (1..=u32::MAX)
            .map(|n| format!("CONSTRAINT_{n}"))
            .find(|name| !checks.iter().any(|known| same_name(&known.name, name)))
            .unwrap_or_default(),
        (_, false) => {
            let prefix = format!("{}_chk_", draft.table.name.table);
            let numbers = checks.iter().filter_map(|known| numbered(&known.name, &prefix));
            format!("{prefix}{}", numbers.max().unwrap_or(0).saturating_add(1))
        }
    });
    draft.table.checks.push(Check { name, condition: check.condition.clone(), enforced: check.enforced });
}

/// An index made for a foreign key goes where another begins with the same columns (`foreign_key_prefix`).
fn drop_what_is_served(draft: &mut Draft, known: usize) {
    let mut goes = vec![false; draft.indexes.len()];
    for at in 0..draft.indexes.len() {
        for other in 0..at {
            let (key, before) = (&draft.indexes[at], &draft.indexes[other]);
            if goes[other] || !(key.generated || before.generated) {
                continue;
            }
            let (made, serving) = match (key.generated, before.generated) {
                (true, true) if key.parts.len() > before.parts.len() => (before, key),
                (true, _) => (key, before),
                _ => (before, key),
            };
            let same = |(a, b): (&DraftPart, &DraftPart)| {
                let names = a.column.as_deref().zip(b.column.as_deref());
                names.is_some_and(|(a, b)| same_name(a, b)) && a.part.prefix == b.part.prefix
            };
            if made.parts.len() > serving.parts.len() || !made.parts.iter().zip(&serving.parts).all(same) {
                continue;
            }
            if !before.generated || key.generated && key.parts.len() < before.parts.len() {
                goes[at] = true;
                break;
            }
            goes[other] = true;
        }
    }
    // an older index goes too if a foreign key brought it, which the catalogue does not tell
    let columns = |index: &DraftIndex| index.parts.iter().map(|part| part.column.clone()).collect::<Vec<_>>();
    let (old, new) = draft.indexes.split_at(known.min(draft.indexes.len()));
    let perhaps_made = |old: &DraftIndex| {
        let plain = |part: &DraftPart| part.part.prefix.is_none() && !part.part.descending && part.column.is_some();
        old.kind == IndexKind::Plain && old.method == "BTREE" && old.parts.iter().all(plain)
    };
    let serves = |old: &DraftIndex| new.iter().any(|new| columns(new).starts_with(&columns(old)));
    if old.iter().any(|old| perhaps_made(old) && serves(old)) {
        draft.doubt("an index that a foreign key brought gives way to a new one");
    }
    let mut goes = goes.into_iter();
    draft.indexes.retain(|_| !goes.next().unwrap_or(false));
}

/// Names what has no name: the first column, then `_2`, `_3`.
fn name_indexes(draft: &mut Draft) {
    for at in 0..draft.indexes.len() {
        if draft.indexes[at].name.is_some() {
            continue;
        }
        let first = draft.indexes[at].parts.first().and_then(|part| part.column.clone());
        let first = first.unwrap_or_else(|| "functional_index".into());
        let taken = |name: &str| {
            let named = |index: &DraftIndex| index.name.as_deref().is_some_and(|known| same_name(known, name));
            draft.indexes[..at].iter().any(named) || name.eq_ignore_ascii_case("PRIMARY")
        };
        let names = std::iter::once(first.clone()).chain((2..=99).map(|n| format!("{first}_{n}")));
        draft.indexes[at].name = names.into_iter().find(|name| !taken(name));
    }
}
