//! Changes rows on the target of which the source's log carries some columns only.
//!
//! Two statements, both over arrays. *In place*: one UPDATE for all rows that change the same columns; what they do not
//! change, toasted values above all, is neither read nor sent. *Replace*, where a key or a unique column changes: unique
//! indexes are checked row by row, so an UPDATE that swaps values between rows would fail halfway. One statement takes all
//! such rows out, lays the changes over them and puts them back; the sort between is what makes all of them go before
//! the first comes, since it must have read all its rows before it hands on one.
//!
//! Values are sent as in COPY, in arrays of the type without its modifier, so that the column's own length is enforced
//! by assignment and nothing is cut silently. PostgreSQL has no arrays of arrays: those values travel as text.

use super::copy::{Fields, Raw, array, field_value};
use super::error::classify;
use crate::convert::Arena;
use crate::convert::patch::{Patch, has};
use crate::convert::plan::{PgType, TablePlan};
use crate::error::Result;
use crate::ident;
use crate::merge::{TableChanges, Update};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

/// Prepared statements that are kept: under NOBLOB each set of changed columns is a statement of its own.
const KEPT_STATEMENTS: usize = 200;
/// Most rows of one UPDATE in place, and bytes of its patches: what is sent is held twice for a moment.
const PIECE_ROWS: usize = 10_000;
const PIECE_BYTES: usize = 4 << 20;

/// The statements of one connection.
#[derive(Default)]
pub(super) struct Patches {
    statements: HashMap<Wanted, Statement>,
}

/// What a statement does: to which table, how, and to which columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    table: usize,
    replace: bool,
    set: Vec<u8>,
}

/// A statement with its parameters.
pub(super) struct Rewrite {
    pub statement: Statement,
    pub parameters: Vec<Raw>,
    /// How many rows it is to find.
    pub rows: usize,
}

impl Rewrite {
    pub fn bytes(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.0.len()).sum()
    }
}

impl Patches {
    /// Prepares what these changes need.
    pub async fn prepare(
        &mut self,
        client: &Client,
        plan: &TablePlan,
        changes: &TableChanges,
        arena: &Arena,
    ) -> Result<()> {
        if self.statements.len() > KEPT_STATEMENTS {
            self.statements.clear();
        }
        for (wanted, _) in steps(plan, changes, arena) {
            let Entry::Vacant(missing) = self.statements.entry(wanted) else { continue };
            let Wanted { replace, set, .. } = missing.key();
            let (sql, types) = if *replace { replacing(plan, set) } else { in_place(plan, set) };
            let statement = client.prepare_typed(&sql, &types).await;
            missing.insert(statement.map_err(|e| classify(e, &format!("prepare statements for {}", plan.target)))?);
        }
        Ok(())
    }

    /// What is to be done, in order. Parameters are made as the iterator goes.
    pub fn rewrites<'a>(
        &'a self,
        plan: &'a TablePlan,
        changes: &'a TableChanges,
        arena: &'a Arena,
    ) -> impl Iterator<Item = Rewrite> + 'a {
        steps(plan, changes, arena).filter_map(move |(wanted, updates)| {
            let statement = self.statements.get(&wanted)?.clone();
            let parameters = parameters(plan, &wanted, updates, arena);
            Some(Rewrite { statement, parameters, rows: updates.len() })
        })
    }
}

/// The replacements at once, then the updates in place, column set by column set, piece by piece.
fn steps<'a>(
    plan: &'a TablePlan,
    changes: &'a TableChanges,
    arena: &'a Arena,
) -> impl Iterator<Item = (Wanted, &'a [Update])> + 'a {
    let columns = plan.columns.len();
    let table = changes.table;
    let set = move |update: &Update| Patch::read(arena.get(update.patch), columns).set;
    let mut all = Vec::new();
    for update in &changes.replacements {
        all.resize(set(update).len(), 0);
        all.iter_mut().zip(set(update)).for_each(|(all, bits)| *all |= bits);
    }
    let replaced = (!changes.replacements.is_empty())
        .then_some((Wanted { table, replace: true, set: all }, &changes.replacements[..]));
    let alike = changes.updates.chunk_by(move |a, b| set(a) == set(b));
    let pieces = alike.flat_map(pieces);
    replaced.into_iter().chain(pieces.map(move |piece| {
        let set = piece.first().map(set).unwrap_or_default().to_vec();
        (Wanted { table, replace: false, set }, piece)
    }))
}

fn pieces(mut updates: &[Update]) -> impl Iterator<Item = &[Update]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |update: &&Update| {
            let first = bytes == 0;
            bytes += update.key.len() + update.patch.len();
            first || bytes <= PIECE_BYTES
        };
        let count = updates.iter().take(PIECE_ROWS).take_while(fits).count();
        let (piece, rest) = updates.split_at(count);
        updates = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn is_array(ty: &PgType) -> bool {
    ty.oids().1 == 0
}

/// The OIDs that a column's values travel as: an element's and its array's.
fn sent_as(ty: &PgType) -> (u32, u32) {
    if is_array(ty) { PgType::Text.oids() } else { ty.oids() }
}

/// A value of a parameter as the column's type.
fn received(value: &str, ty: &PgType) -> String {
    if is_array(ty) { format!("{value}::{}", ty.sql()) } else { value.to_owned() }
}

/// Names, parameters and types for the columns of a key and of a set.
struct Given<'a> {
    plan: &'a TablePlan,
    changed: Vec<usize>,
}

impl<'a> Given<'a> {
    fn new(plan: &'a TablePlan, set: &[u8]) -> Self {
        Self { plan, changed: (0..plan.columns.len()).filter(|column| has(set, *column)).collect() }
    }

    fn name(&self, column: usize) -> String {
        ident::postgres(&self.plan.columns[column].name)
    }

    /// `unnest($1, …)`, the names of its columns, and the parameters' types: the key's, then `kinds` for each changed one.
    fn source(&self, prefixes: &[&str]) -> (String, Vec<Type>) {
        let mut names: Vec<String> = (0..self.plan.key.len()).map(|n| format!("k{n}")).collect();
        let mut oids: Vec<u32> = self.plan.key.iter().map(|at| sent_as(&self.plan.columns[*at].ty).1).collect();
        for column in &self.changed {
            for prefix in prefixes {
                names.push(format!("{prefix}{column}"));
                let ty = &self.plan.columns[*column].ty;
                oids.push(if *prefix == "b" { PgType::Boolean.oids().1 } else { sent_as(ty).1 });
            }
        }
        let places: Vec<String> = (1..=oids.len()).map(|n| format!("${n}")).collect();
        let types = oids.into_iter().filter_map(Type::from_oid).collect();
        (format!("unnest({}) WITH ORDINALITY AS s({}, nth)", places.join(", "), names.join(", ")), types)
    }

    fn matches(&self) -> String {
        let key = self.plan.key.iter().enumerate();
        let equal = |(n, at): (usize, &usize)| {
            format!("t.{} = {}", self.name(*at), received(&format!("s.k{n}"), &self.plan.columns[*at].ty))
        };
        key.map(equal).collect::<Vec<_>>().join(" AND ")
    }
}

fn in_place(plan: &TablePlan, set: &[u8]) -> (String, Vec<Type>) {
    let given = Given::new(plan, set);
    let (source, types) = given.source(&["v"]);
    let values: Vec<String> = given
        .changed
        .iter()
        .map(|c| format!("{} = {}", given.name(*c), received(&format!("s.v{c}"), &plan.columns[*c].ty)))
        .collect();
    let target = plan.target.sql();
    (format!("UPDATE {target} AS t SET {} FROM {source} WHERE {}", values.join(", "), given.matches()), types)
}

fn replacing(plan: &TablePlan, set: &[u8]) -> (String, Vec<Type>) {
    let given = Given::new(plan, set);
    let (source, types) = given.source(&["b", "v"]);
    let value = |c: usize| {
        let old = format!("t.{}", given.name(c));
        if !given.changed.contains(&c) {
            return format!("{old} AS c{c}");
        }
        format!("CASE WHEN s.b{c} THEN {} ELSE {old} END AS c{c}", received(&format!("s.v{c}"), &plan.columns[c].ty))
    };
    let all = || 0..plan.columns.len();
    let target = plan.target.sql();
    let sql = format!(
        "WITH gone AS (DELETE FROM {target} AS t USING {source} WHERE {} RETURNING s.nth, {}) \
         INSERT INTO {target} ({}) SELECT {} FROM gone ORDER BY nth",
        given.matches(),
        all().map(value).collect::<Vec<_>>().join(", "),
        all().map(|c| given.name(c)).collect::<Vec<_>>().join(", "),
        all().map(|c| format!("c{c}")).collect::<Vec<_>>().join(", "),
    );
    (sql, types)
}

fn parameters(plan: &TablePlan, wanted: &Wanted, updates: &[Update], arena: &Arena) -> Vec<Raw> {
    let columns = plan.columns.len();
    let mut parameters: Vec<Raw> = Vec::new();
    for (n, at) in plan.key.iter().enumerate() {
        let ty = &plan.columns[*at].ty;
        let mut values = array(sent_as(ty).0, updates.len());
        updates.iter().for_each(|update| append(Fields::of_key(arena.get(update.key)).nth(n), ty, &mut values.0));
        parameters.push(values);
    }
    for column in (0..columns).filter(|column| has(&wanted.set, *column)) {
        let ty = &plan.columns[column].ty;
        let mut given = array(PgType::Boolean.oids().0, updates.len());
        let mut values = array(sent_as(ty).0, updates.len());
        for update in updates {
            let mut fields = Patch::read(arena.get(update.patch), columns).fields();
            let field = fields.find(|(changed, _)| *changed == column).map(|(_, field)| field);
            given.0.extend_from_slice(&[0, 0, 0, 1, u8::from(field.is_some())]);
            append(field, ty, &mut values.0);
        }
        if wanted.replace {
            parameters.push(given);
        }
        parameters.push(values);
    }
    parameters
}

/// Appends a field to an array, as its type is sent; none is NULL.
fn append(field: Option<&[u8]>, ty: &PgType, out: &mut Vec<u8>) {
    const NULL: [u8; 4] = [0xff; 4];
    match field.and_then(field_value).filter(|_| is_array(ty)).map(array_text) {
        Some(text) => {
            out.extend_from_slice(&i32::try_from(text.len()).unwrap_or(i32::MAX).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        None => out.extend_from_slice(field.unwrap_or(&NULL)),
    }
}

/// A binary array of text or real as PostgreSQL reads it from text (`array_in`).
fn array_text(array: &[u8]) -> String {
    const HEAD: usize = 20;
    let element_oid = array.get(8..12).and_then(|oid| oid.try_into().ok()).map_or(0, u32::from_be_bytes);
    let mut text = String::from("{");
    let elements = Fields::of_key(array.get(HEAD..).unwrap_or_default());
    for (n, value) in elements.map(field_value).enumerate() {
        text.push_str(if n > 0 { "," } else { "" });
        match value {
            None => text.push_str("NULL"),
            Some(value) if element_oid == PgType::Real.oids().0 => {
                // the shortest text that reads back as the same number
                let number = value.try_into().map_or(f32::NAN, f32::from_be_bytes);
                text.push_str(&number.to_string());
            }
            Some(value) => {
                text.push('"');
                for c in String::from_utf8_lossy(value).chars() {
                    text.extend((c == '"' || c == '\\').then_some('\\'));
                    text.push(c);
                }
                text.push('"');
            }
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
#[path = "patches_tests.rs"]
mod tests;
