//! ALTER TABLE on a catalogue: all clauses at once, as `mysql_prepare_alter_table` (`sql/sql_table.cc` of both servers)
//! takes them.
//!
//! First the columns that are there, each kept, changed or dropped where it stands; then those that are added or moved, in
//! the statement's order, behind columns by their new names; then indexes: the old ones without what they lost, then the
//! new ones.

use super::column_default::{DeclaredDefault, left_out};
use super::draft::{Draft, same_name};
use super::keys::add;
use super::predict::{Effect, Predicted, Rows, Unpredicted, find, insert, refused, rename, settle_defaults};
use super::resolve::{resolve, set_default};
use super::server::Server;
use super::statement::{
    AlterTable, CharsetClause, Clause, ColumnDefinition, DefaultClause, Dropped, Element, Name, Place,
};
use crate::ident::TableName;
use crate::schema::{Catalog, Charset, Check, Column, ColumnDefault, IndexKind, SourceType};

pub(super) fn alter(
    statement: &AlterTable,
    name: &TableName,
    named: impl Fn(&Name) -> TableName,
    catalog: &mut Catalog,
    server: &Server,
    out: &mut Predicted,
) -> Result<(), Unpredicted> {
    let new_name = statement.clauses.iter().rev().find_map(|clause| match clause {
        Clause::RenameTo(to) => {
            // unqualified, it stays in its database
            Some(if to.database.is_some() {
                named(to)
            } else {
                TableName::new(name.database.as_str(), named(to).table)
            })
        }
        _ => None,
    });
    let Some(at) = find(catalog, name, server) else {
        if let Some(to) = new_name {
            rename(catalog, name, to, server, out);
        }
        others(statement, &named, catalog, server, out);
        return Ok(());
    };
    if let Some(to) = new_name.as_ref().filter(|to| !server.same(to, name))
        && find(catalog, to, server).is_some()
    {
        return Err(refused(format!("{to} exists already")));
    }
    let name = catalog.tables[at].name.clone();
    let mut change = Change {
        draft: Draft::of(catalog.tables[at].clone()),
        origins: Vec::new(),
        renamed: Vec::new(),
        rows: Rows::Kept,
        dropped: false,
        skipped: false,
        server,
    };
    change.apply(statement)?;
    let Change { draft, origins, renamed, rows, .. } = change;
    let (table, unsure) = draft.finish(server);
    catalog.tables.remove(at);
    insert(catalog, table);
    for key in catalog.tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
        if server.same(&key.parent, &name) {
            rename_all(&mut key.parent_columns, &renamed);
        }
    }
    if let Some(why) = unsure {
        out.uncertain.insert(name.clone(), why);
    }
    out.effects.push(Effect::Alter { table: name.clone(), columns: origins, rows });
    if let Some(to) = new_name.filter(|to| *to != name) {
        rename(catalog, &name, to, server, out);
    }
    others(statement, &named, catalog, server, out);
    Ok(())
}

/// What clauses about partitions do to tables beside the one that is altered.
fn others(
    statement: &AlterTable,
    named: &impl Fn(&Name) -> TableName,
    catalog: &mut Catalog,
    server: &Server,
    out: &mut Predicted,
) {
    for clause in &statement.clauses {
        match clause {
            Clause::Exchange(other) => {
                if let Some(at) = find(catalog, &named(other), server) {
                    let table = &catalog.tables[at];
                    out.effects.push(Effect::Alter {
                        table: table.name.clone(),
                        columns: (0..table.columns.len()).map(Some).collect(),
                        rows: Rows::Unknown("EXCHANGE PARTITION swaps its rows".into()),
                    });
                }
            }
            Clause::PartitionToTable(other) => {
                let other = named(other);
                out.uncertain.insert(other.clone(), "it was a partition".into());
                out.effects.push(Effect::Appear(other));
            }
            Clause::TableToPartition(other) => {
                if let Some(at) = find(catalog, &named(other), server) {
                    out.effects.push(Effect::Drop(catalog.tables.remove(at).name));
                }
            }
            _ => {}
        }
    }
}

fn rename_all(names: &mut [String], renamed: &[(String, String)]) {
    for name in names {
        if let Some((_, new)) = renamed.iter().find(|(old, _)| same_name(old, name)) {
            name.clone_from(new);
        }
    }
}

struct Change<'a> {
    draft: Draft,
    /// For each column of the draft where it came from.
    origins: Vec<Option<usize>>,
    renamed: Vec<(String, String)>,
    rows: Rows,
    /// Whether a column was dropped.
    dropped: bool,
    /// Whether an ADD COLUMN IF NOT EXISTS found its column there.
    skipped: bool,
    server: &'a Server,
}

impl Change<'_> {
    fn apply(&mut self, statement: &AlterTable) -> Result<(), Unpredicted> {
        self.options(statement);
        let old = self.draft.table.columns.clone();
        self.columns(&statement.clauses)?;
        self.follow_columns(&old);
        self.drop_and_rename(&statement.clauses)?;
        let added = statement.clauses.iter().filter_map(|clause| match clause {
            Clause::Add(element) => Some(element.clone()),
            _ => None,
        });
        let added: Vec<Element> = added.collect();
        if self.skipped && !added.is_empty() {
            self.draft.doubt("ADD COLUMN IF NOT EXISTS of a column that exists, beside keys");
        }
        add(&mut self.draft, &added, self.server);
        self.set_defaults(&statement.clauses)?;
        settle_defaults(&mut self.draft, self.server);
        if statement.ignore
            && added.iter().any(|e| matches!(e, Element::Index(index) if index.kind != IndexKind::Plain))
        {
            self.may_change_rows("ALTER IGNORE drops rows that a new key forbids".into());
        }
        self.computed_values(&old);
        Ok(())
    }

    fn may_change_rows(&mut self, why: String) {
        if self.rows == Rows::Kept {
            self.rows = Rows::Unknown(why);
        }
    }

    fn options(&mut self, statement: &AlterTable) {
        let options = &statement.options;
        if let Some(comment) = &options.comment {
            self.draft.table.comment.clone_from(comment);
        }
        if let Some(engine) = &options.engine {
            self.draft.set_engine(engine);
        }
        self.draft.set_charset(&options.charset, self.server);
        if options.versioned {
            self.draft.doubt("system versioning");
        }
        for clause in &statement.clauses {
            match clause {
                Clause::Convert(to) => {
                    self.convert(to);
                    if statement.clauses.iter().any(|c| matches!(c, Clause::AddColumn { .. } | Clause::Change { .. }))
                        || !options.charset.is_empty()
                        || statement.clauses.iter().filter(|clause| matches!(clause, Clause::Convert(_))).count() > 1
                    {
                        self.draft.doubt("CONVERT TO CHARACTER SET beside what has its own character set");
                    }
                }
                Clause::Unsure(why) => self.draft.doubt(*why),
                Clause::Rows(why) => self.may_change_rows((*why).into()),
                Clause::Exchange(_) => self.may_change_rows("EXCHANGE PARTITION swaps its rows".into()),
                Clause::PartitionToTable(_) | Clause::TableToPartition(_) => {
                    self.may_change_rows("a partition goes or comes with its rows".into());
                }
                _ => {}
            }
        }
    }

    /// CONVERT TO CHARACTER SET: text of every column, and TEXT grows to what may hold as many characters.
    fn convert(&mut self, to: &CharsetClause) {
        let charset = match self.server.charset(to, None) {
            Ok(charset) if charset.name != "binary" => charset,
            Ok(_) => return self.draft.doubt("CONVERT TO CHARACTER SET binary"),
            Err(why) => return self.draft.doubt(why),
        };
        let widest = |charset: &Charset| u64::from(charset.max_bytes().unwrap_or(4));
        for column in &mut self.draft.table.columns {
            match &mut column.ty {
                SourceType::Text { length_bytes, charset: old } => {
                    let longest = (1_u64 << (8 * u64::from(*length_bytes))) - 1;
                    let needed = longest / widest(old) * widest(&charset);
                    let bytes = (1..4_u8).find(|bytes| needed < 1 << (8 * bytes)).unwrap_or(4);
                    *length_bytes = bytes.max(*length_bytes);
                    let name = ["tinytext", "text", "mediumtext", "longtext"][usize::from(*length_bytes) - 1];
                    if column.declared.ends_with("text") {
                        name.clone_into(&mut column.declared);
                    }
                    *old = charset.clone();
                }
                SourceType::VarChar { chars, charset: old } => {
                    if u64::from(*chars) * widest(&charset) > 65_532 {
                        self.draft.unsure.get_or_insert("a VARCHAR that may have become TEXT".into());
                    }
                    *old = charset.clone();
                }
                SourceType::Char { charset: old, .. } => *old = charset.clone(),
                SourceType::Json { text: true } if !charset.name.starts_with("utf8") => {
                    column.ty = SourceType::Text { length_bytes: 4, charset: charset.clone() };
                }
                _ => {}
            }
            if let Some(ColumnDefault::Literal(text)) = &column.default
                && column.ty.charset().is_some()
            {
                // what the default's bytes are follows the character set
                let clause = DefaultClause::Text(text.clone());
                if set_default(column, Some(&clause), false, self.server).is_err() {
                    self.draft.unsure.get_or_insert("a default in another character set".into());
                }
            }
        }
        self.draft.table.charset = Some(charset);
    }

    fn resolved(&mut self, definition: &ColumnDefinition) -> Column {
        let resolved = resolve(definition, self.draft.table.charset.as_ref(), self.server);
        if let Some(why) = resolved.unsure {
            self.draft.doubt(why);
        }
        resolved.column
    }

    fn columns(&mut self, clauses: &[Clause]) -> Result<(), Unpredicted> {
        let table = self.draft.table.name.clone();
        let old = std::mem::take(&mut self.draft.table.columns);
        let at = |name: &str| old.iter().position(|column| same_name(&column.name, name));
        let missing = |name: &str| refused(format!("{table} has no column {name}"));
        let mut dropped = vec![false; old.len()];
        let mut renamed: Vec<Option<&String>> = vec![None; old.len()];
        let mut changed: Vec<Option<&Clause>> = vec![None; old.len()];
        for clause in clauses {
            let (name, if_exists) = match clause {
                Clause::DropColumn { name, if_exists } => (name, *if_exists),
                Clause::RenameColumn { from, if_exists, .. } => (from, *if_exists),
                Clause::Change { old, if_exists, .. } => (old, *if_exists),
                _ => continue,
            };
            match (at(name), clause) {
                (None, _) if if_exists => {}
                (None, _) => {
                    self.draft.table.columns = old.clone();
                    return Err(missing(name));
                }
                (Some(at), Clause::DropColumn { .. }) => (dropped[at], self.dropped) = (true, true),
                (Some(at), Clause::RenameColumn { to, .. }) => renamed[at] = Some(to),
                (Some(at), _) => changed[at] = Some(clause),
            }
        }
        let mut new: Vec<(Column, Option<usize>)> = Vec::new();
        for (at, column) in old.iter().enumerate() {
            if dropped[at] {
                continue;
            }
            match changed[at] {
                Some(Clause::Change { column: definition, place: Place::Unsaid, .. }) => {
                    new.push((self.resolved(definition), Some(at)));
                }
                Some(_) => {}
                None => {
                    let name = renamed[at].unwrap_or(&column.name).clone();
                    if renamed[at].is_some() && matches!(column.ty, SourceType::Json { text: true }) {
                        self.draft.doubt("the check that makes JSON names the column as it was");
                    }
                    new.push((Column { name, ..column.clone() }, Some(at)));
                }
            }
        }
        for clause in clauses {
            let (definition, place, origin) = match clause {
                Clause::AddColumn { column, if_not_exists, .. } if *if_not_exists && at(&column.name).is_some() => {
                    self.skipped = true;
                    continue;
                }
                Clause::AddColumn { column, place, .. } => (column, place, None),
                Clause::Change { place: Place::Unsaid, .. } => continue,
                Clause::Change { old, column, place, .. } => match at(old) {
                    Some(at) => (column, place, Some(at)),
                    None => continue,
                },
                _ => continue,
            };
            if origin.is_none() && new.iter().any(|(column, _)| same_name(&column.name, &definition.name)) {
                return Err(refused(format!("{table} has a column {} already", definition.name)));
            }
            let to = match place {
                Place::Unsaid => new.len(),
                Place::First => 0,
                Place::After(before) => {
                    let at = new.iter().position(|(column, _)| same_name(&column.name, before));
                    at.ok_or_else(|| missing(before))? + 1
                }
            };
            let column = self.resolved(definition);
            new.insert(to, (column, origin));
        }
        if new.is_empty() {
            return Err(refused(format!("{table} would have no column left")));
        }
        (self.draft.table.columns, self.origins) = new.into_iter().unzip();
        Ok(())
    }

    /// What names columns goes with them: indexes, foreign keys, checks, expressions.
    fn follow_columns(&mut self, old: &[Column]) {
        let now = |at: usize| self.origins.iter().position(|origin| *origin == Some(at));
        let mut gone = Vec::new();
        let mut changed = Vec::new();
        for (at, column) in old.iter().enumerate() {
            match now(at) {
                None => gone.push(column.name.clone()),
                Some(new) => {
                    let name = &self.draft.table.columns[new].name;
                    if *name != column.name {
                        self.renamed.push((column.name.clone(), name.clone()));
                    }
                    if self.draft.table.columns[new].ty != column.ty {
                        changed.push((name.clone(), column.ty.clone()));
                    }
                }
            }
        }
        for index in &mut self.draft.indexes {
            index.parts.retain(|part| part.column.as_ref().is_none_or(|name| !gone.contains(name)));
            for part in &mut index.parts {
                if let Some(name) = &mut part.column {
                    rename_all(std::slice::from_mut(name), &self.renamed);
                    let was = changed.iter().find(|(column, _)| column == name).map(|(_, ty)| ty);
                    let is = |ty: &SourceType| (ty.charset().is_some(), matches!(ty, SourceType::Text { .. }));
                    let now = self.draft.table.columns.iter().find(|column| column.name == *name);
                    let alike = was.zip(now).is_none_or(|(was, now)| is(was) == is(&now.ty) && is(was).0);
                    if part.part.prefix.is_some() && !alike {
                        self.draft.unsure.get_or_insert("a prefix of a column of another type".into());
                    }
                }
            }
        }
        self.draft.indexes.retain(|index| !index.parts.is_empty());
        for key in &mut self.draft.table.foreign_keys {
            rename_all(&mut key.columns, &self.renamed);
        }
        if self.server.mariadb() {
            let checks = &mut self.draft.table.checks;
            checks.retain(|check| !gone.contains(&check.name));
        }
        // such a check goes with the last column that it names, or with the one in whose definition it stood
        let of_none = |check: &Check| !self.draft.table.columns.iter().any(|c| mentions(&check.condition, &c.name));
        if !gone.is_empty() && self.draft.table.checks.iter().any(of_none) {
            self.draft.unsure.get_or_insert("a check that names no column".into());
        }
        let touched: Vec<&String> = gone.iter().chain(self.renamed.iter().map(|(old, _)| old)).collect();
        let texts = self.draft.table.checks.iter().map(|check| &check.condition);
        let texts = texts.chain(self.draft.table.columns.iter().filter_map(|column| {
            match (&column.generation, &column.default) {
                (Some(generation), _) => Some(&generation.expression),
                (None, Some(ColumnDefault::Expression(text))) => Some(text),
                _ => None,
            }
        }));
        let parts = self.draft.indexes.iter().flat_map(|index| &index.parts);
        let texts = texts.chain(parts.filter_map(|part| part.part.expression.as_ref()));
        if texts.into_iter().any(|text| touched.iter().any(|name| mentions(text, name))) {
            self.draft.doubt("an expression names a column that went or has another name");
        }
    }

    fn drop_and_rename(&mut self, clauses: &[Clause]) -> Result<(), Unpredicted> {
        let server = self.server;
        let mut names: Vec<(usize, String)> = Vec::new();
        for clause in clauses {
            match clause {
                Clause::RenameIndex { from, to, if_exists } => match self.draft.index(from) {
                    Some(at) => names.push((at, to.clone())),
                    // it may have gone with its columns
                    None if *if_exists || self.dropped => {}
                    None => return Err(self.missing("index", from)),
                },
                Clause::Change { old, .. } if server.mariadb() => {
                    // a column's own check is part of its definition
                    self.draft.table.checks.retain(|check| check.name != *old);
                }
                Clause::Enforce { name, enforced } => {
                    let check = self.draft.table.checks.iter_mut().find(|check| same_name(&check.name, name));
                    match check {
                        Some(check) => check.enforced = *enforced,
                        None if self.draft.table.foreign_keys.iter().any(|key| same_name(&key.name, name)) => {}
                        None => return Err(self.missing("check", name)),
                    }
                }
                _ => {}
            }
        }
        for (at, name) in names {
            self.draft.indexes[at].name = Some(name);
        }
        for clause in clauses {
            if let Clause::Drop { kind, name, if_exists } = clause
                && !self.drop_named(*kind, name)
                && !if_exists
            {
                return Err(self.missing("key or constraint", name));
            }
        }
        Ok(())
    }

    fn missing(&self, what: &str, name: &str) -> Unpredicted {
        refused(format!("{} has no {what} {name}", self.draft.table.name))
    }

    fn drop_named(&mut self, kind: Dropped, name: &str) -> bool {
        let (table, any) = (&mut self.draft.table, kind == Dropped::Constraint);
        if any || kind == Dropped::Check {
            let before = table.checks.len();
            table.checks.retain(|check| !same_name(&check.name, name));
            if table.checks.len() < before {
                return true;
            }
        }
        if any || kind == Dropped::ForeignKey {
            let before = table.foreign_keys.len();
            table.foreign_keys.retain(|key| !same_name(&key.name, name));
            if table.foreign_keys.len() < before {
                return true;
            }
            if !table.transactional {
                return true; // the engine kept none
            }
        }
        if any || kind == Dropped::Index {
            if let Some(at) = self.draft.index(name) {
                self.draft.indexes.remove(at);
                return true;
            }
            // a column dropped beside it took it along
            return self.dropped;
        }
        false
    }

    fn set_defaults(&mut self, clauses: &[Clause]) -> Result<(), Unpredicted> {
        for clause in clauses {
            let Clause::SetDefault { column: name, default, if_exists } = clause else { continue };
            let mut name = vec![name.clone()];
            rename_all(&mut name, &self.renamed);
            let Some(at) = self.draft.table.column(&name[0]) else {
                if *if_exists {
                    continue;
                }
                return Err(self.missing("column", &name[0]));
            };
            let column = &mut self.draft.table.columns[at];
            if column.auto_increment || column.generated {
                if default.is_some() {
                    self.draft.doubt(format!("{}: a default of what has its own values", name[0]));
                }
                continue;
            }
            if default.is_none() && column.on_update_now {
                // MySQL's catalogue goes on calling it generated
                self.draft.doubt(format!("{}: no default, and yet set by an update", name[0]));
                continue;
            }
            if default.is_none() && column.nullable {
                // MySQL remembers that there is none, not even NULL
                column.default = None;
                let declared = DeclaredDefault {
                    flavor: self.server.flavor,
                    default: None,
                    extra: "",
                    nullable: true,
                    generated: false,
                };
                column.left_out = left_out(&column.ty, &declared).unwrap_or_default();
                continue;
            }
            let zerofill = column.declared.contains("zerofill");
            if let Err(why) = set_default(column, default.as_ref(), zerofill, self.server) {
                self.draft.doubt(format!("{}: {why}", name[0]));
            }
        }
        Ok(())
    }

    /// Values that the statement itself computed, row by row.
    fn computed_values(&mut self, old: &[Column]) {
        let mut why = None;
        for (column, origin) in self.draft.table.columns.iter().zip(&self.origins) {
            let name = &column.name;
            let Some(old) = origin.and_then(|at| old.get(at)) else {
                if column.auto_increment {
                    why = Some(format!("the new column {name} numbers the rows"));
                } else if matches!(column.default, Some(ColumnDefault::Expression(_))) {
                    why = Some(format!("the new column {name} is filled with what its default computes"));
                }
                continue;
            };
            let timestamp = |column: &Column| matches!(column.ty, SourceType::Timestamp { .. });
            if column.auto_increment && !old.auto_increment {
                why = Some(format!("{name} numbers the rows in which it was 0 or NULL"));
            } else if timestamp(column) != timestamp(old) {
                why = Some(format!("{name} was converted in the session's time zone"));
            } else if column.generation.is_some() && old.generation != column.generation {
                why = Some(format!("{name} is computed anew"));
            }
        }
        if let Some(why) = why {
            self.may_change_rows(why);
        }
    }
}

/// Whether an expression names a column.
fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.match_indices(&name).any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}
