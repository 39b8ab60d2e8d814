//! What a statement does to a catalogue.

use super::alter::alter;
use super::draft::Draft;
use super::keys::{add, numbered};
use super::resolve::resolve;
use super::server::Server;
use super::statement::{CreateTable, Element, Name, Statement};
use crate::ident::TableName;
use crate::schema::{Catalog, IndexKind, TableSchema};
use std::collections::BTreeMap;

/// What a statement does to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The table exists now, without rows.
    Create(TableName),
    /// It exists now, with rows that stand nowhere in the log under this name: RENAME from a table that the catalogue does not
    /// have, or a partition that was made a table.
    Appear(TableName),
    /// The table is gone, with its rows.
    Drop(TableName),
    /// Its rows are gone.
    Truncate(TableName),
    /// It has another name.
    Rename {
        /// The name so far.
        from: TableName,
        /// The new one.
        to: TableName,
    },
    /// Its columns or keys change, or might.
    Alter {
        /// The table.
        table: TableName,
        /// For each new column the position of the old one that it came from; none was added.
        columns: Vec<Option<usize>>,
        /// Whether rows change too.
        rows: Rows,
    },
}

impl Effect {
    /// The tables that it names.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        let (first, second) = match self {
            Self::Create(table)
            | Self::Appear(table)
            | Self::Drop(table)
            | Self::Truncate(table)
            | Self::Alter { table, .. } => (table, None),
            Self::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }
}

/// Whether ALTER TABLE changes rows beyond what the difference of the schemas says; no row events tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// It does not.
    Kept,
    /// It may, and why: the rows must be read anew.
    Unknown(String),
}

/// The effects of a statement, in order; and what of the new catalogue is not certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predicted {
    /// What it does to which table.
    pub effects: Vec<Effect>,
    /// Tables whose schema in the catalogue may differ from the server's, or is not there at all, and why.
    pub uncertain: BTreeMap<TableName, String>,
}

/// A statement that does not fit the catalogue: the two are not of one moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot tell what the statement does: {why}")]
pub struct Unpredicted {
    /// Why not.
    pub why: String,
}

/// Applies a statement that the server executed to the catalogue, and tells what it did to which table. Tables that the
/// catalogue does not have are not ours: nothing happens to them, unless one gets a name. CREATE and ALTER DATABASE change
/// what `server` knows of databases.
///
/// # Errors
/// [`Unpredicted`] when catalogue and statement do not belong together; then the catalogue is as it was.
pub fn predict(
    statement: &Statement,
    default_database: &str,
    catalog: &mut Catalog,
    server: &mut Server,
) -> Result<Predicted, Unpredicted> {
    let mut out = Predicted::default();
    let named = |name: &Name, server: &Server| {
        let database = name.database.as_deref().unwrap_or(default_database);
        TableName::new(server.stored(database), server.stored(&name.table))
    };
    match statement {
        Statement::NoTable => {}
        Statement::SetDatabase { database, charset, create } => {
            let database = server.stored(database.as_deref().unwrap_or(default_database));
            if !charset.is_empty() || !create {
                let known = server.charset(charset, server.databases.get(&database));
                match known {
                    Ok(known) => drop(server.databases.insert(database, known)),
                    Err(_) => drop(server.databases.remove(&database)),
                }
            } else {
                server.databases.remove(&database);
            }
        }
        Statement::DropDatabase(database) => {
            let whole = TableName::new(server.stored(database), "");
            let gone = |table: &TableSchema| server.same(&TableName::new(table.name.database.as_str(), ""), &whole);
            let tables: Vec<TableName> =
                catalog.tables.iter().filter(|table| gone(table)).map(|table| table.name.clone()).collect();
            catalog.tables.retain(|table| !gone(table));
            out.effects.extend(tables.into_iter().map(Effect::Drop));
        }
        Statement::DropTables(tables) => {
            for table in tables {
                if let Some(at) = find(catalog, &named(table, server), server) {
                    out.effects.push(Effect::Drop(catalog.tables.remove(at).name));
                }
            }
        }
        Statement::Truncate(table) => {
            let at = find(catalog, &named(table, server), server);
            out.effects.extend(at.map(|at| Effect::Truncate(catalog.tables[at].name.clone())));
        }
        Statement::RenameTables(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (named(a, server), named(b, server))).collect();
            may_rename(catalog, &pairs, server)?;
            for (from, to) in pairs {
                rename(catalog, &from, to, server, &mut out);
            }
        }
        Statement::CreateTable(create) => {
            let name = named(&create.name, server);
            let like = create.like.as_ref().map(|like| named(like, server));
            create_table(create, name, like, catalog, server, &mut out)?;
        }
        Statement::Alter(statement) => {
            let name = named(&statement.name, server);
            alter(statement, &name, |name| named(name, server), catalog, server, &mut out)?;
        }
    }
    Ok(out)
}

pub(super) fn find(catalog: &Catalog, name: &TableName, server: &Server) -> Option<usize> {
    catalog.tables.iter().position(|table| server.same(&table.name, name))
}

/// Puts a table where the catalogue's order has it.
pub(super) fn insert(catalog: &mut Catalog, table: TableSchema) {
    let at = catalog.tables.partition_point(|known| known.name < table.name);
    catalog.tables.insert(at, table);
}

pub(super) fn refused(why: impl Into<String>) -> Unpredicted {
    Unpredicted { why: why.into() }
}

/// Refuses renames onto names that are taken when their turn comes.
fn may_rename(catalog: &Catalog, pairs: &[(TableName, TableName)], server: &Server) -> Result<(), Unpredicted> {
    for (at, (_, to)) in pairs.iter().enumerate() {
        let freed = pairs[..at].iter().any(|(from, _)| server.same(from, to));
        let itself = server.same(&pairs[at].0, to);
        if !freed && !itself && find(catalog, to, server).is_some() {
            return Err(refused(format!("{to} exists already")));
        }
    }
    Ok(())
}

/// Gives a table another name, everywhere.
pub(super) fn rename(catalog: &mut Catalog, from: &TableName, to: TableName, server: &Server, out: &mut Predicted) {
    let Some(at) = find(catalog, from, server) else {
        out.uncertain.insert(to.clone(), format!("nothing is known of {from}, from which it was renamed"));
        out.effects.push(Effect::Appear(to));
        return;
    };
    let mut table = catalog.tables.remove(at);
    let old = std::mem::replace(&mut table.name, to.clone());
    for key in &mut table.foreign_keys {
        if let Some(number) = numbered(&key.name, &format!("{}_ibfk_", old.table)) {
            key.name = format!("{}_ibfk_{number}", to.table);
        }
    }
    if !server.mariadb() {
        for check in &mut table.checks {
            if let Some(number) = numbered(&check.name, &format!("{}_chk_", old.table)) {
                check.name = format!("{}_chk_{number}", to.table);
            }
        }
    }
    insert(catalog, table);
    for key in catalog.tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
        if server.same(&key.parent, &old) {
            key.parent = to.clone();
        }
    }
    if let Some(why) = out.uncertain.remove(&old) {
        out.uncertain.insert(to.clone(), why);
    }
    out.effects.push(Effect::Rename { from: old, to });
}

fn create_table(
    create: &CreateTable,
    name: TableName,
    like: Option<TableName>,
    catalog: &mut Catalog,
    server: &Server,
    out: &mut Predicted,
) -> Result<(), Unpredicted> {
    let existing = find(catalog, &name, server);
    let model = like.as_ref().and_then(|like| find(catalog, like, server)).map(|at| catalog.tables[at].clone());
    if let Some(at) = existing {
        if create.or_replace {
            out.effects.push(Effect::Drop(catalog.tables.remove(at).name));
        } else if create.if_not_exists {
            return Ok(());
        } else {
            return Err(refused(format!("{name} exists already")));
        }
    }
    out.effects.push(Effect::Create(name.clone()));
    let (table, unsure) = match (like, model) {
        (Some(like), None) => {
            out.uncertain.insert(name, format!("nothing is known of {like}, like which it was created"));
            return Ok(());
        }
        (_, Some(model)) => copied(model, &name, server),
        _ => defined(create, &name, server),
    };
    if let Some(why) = unsure {
        out.uncertain.insert(name, why);
    }
    insert(catalog, table);
    Ok(())
}

/// CREATE TABLE … LIKE: all but the foreign keys and the rows.
fn copied(model: TableSchema, name: &TableName, server: &Server) -> (TableSchema, Option<String>) {
    let mut table =
        TableSchema { name: name.clone(), foreign_keys: Vec::new(), estimated_rows: 0, estimated_bytes: 0, ..model };
    let mut unsure = None;
    if !server.mariadb() {
        if table.checks.len() > 1 {
            unsure = Some("the names of several checks that are copied".to_owned());
        }
        for (n, check) in table.checks.iter_mut().enumerate() {
            check.name = format!("{}_chk_{}", name.table, n + 1);
        }
    }
    (table, unsure)
}

fn defined(create: &CreateTable, name: &TableName, server: &Server) -> (TableSchema, Option<String>) {
    let mut draft = Draft::of(TableSchema {
        name: name.clone(),
        columns: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        engine: String::new(),
        transactional: false,
        comment: create.options.comment.clone().unwrap_or_default(),
        charset: server.databases.get(&name.database).cloned(),
        checks: Vec::new(),
        estimated_rows: 0,
        estimated_bytes: 0,
    });
    draft.set_engine(create.options.engine.as_ref().unwrap_or(&server.default_engine));
    draft.set_charset(&create.options.charset, server);
    if draft.table.charset.is_none() {
        draft.doubt("the database's character set is not known");
    }
    if create.select {
        draft.doubt("a query defines columns");
    }
    if create.options.versioned {
        draft.doubt("system versioning");
    }
    for element in &create.elements {
        if let Element::Column(column) = element {
            let resolved = resolve(column, draft.table.charset.as_ref(), server);
            draft.table.columns.push(resolved.column);
            if let Some(why) = resolved.unsure {
                draft.doubt(why);
            }
        }
    }
    add(&mut draft, &create.elements, server);
    if draft.indexes.iter().any(|index| index.kind == IndexKind::Primary && index.parts.is_empty()) {
        draft.doubt("a primary key without columns");
    }
    settle_defaults(&mut draft, server);
    draft.finish(server)
}

/// Columns of a primary key are NOT NULL, and so have no NULL to default to.
pub(super) fn settle_defaults(draft: &mut Draft, server: &Server) {
    let keys = draft.indexes.iter().filter(|index| index.kind == IndexKind::Primary);
    let names: Vec<String> = keys.flat_map(|index| &index.parts).filter_map(|part| part.column.clone()).collect();
    for name in names {
        let Some(at) = draft.table.column(&name) else { continue };
        let column = &mut draft.table.columns[at];
        if column.nullable {
            column.nullable = false;
            if column.default.is_none() && !column.generated {
                let _ = super::resolve::set_default(column, None, false, server);
            }
        }
    }
}
