//! What foreign keys do to children, where the source does not log it.
//!
//! Enters: a [`Cascade`] of parents whose rows went or whose referenced columns changed. Leaves: the same changes of
//! children, their children, and so on, in the caller's transaction. Works level by level: each statement returns the
//! referenced columns of the rows it touched, which are the parents of the next level.

use super::copy::{self, Raw};
use super::error::classify;
use crate::convert::Arena;
use crate::convert::plan::TablePlan;
use crate::error::Result;
use crate::ident;
use crate::key_graph::{Edge, KeyGraph};
use crate::merge::Cascade;
use crate::schema::Action;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// Runs cascades over one connection, with its prepared statements.
pub struct Cascades {
    graph: Arc<KeyGraph>,
    statements: HashMap<(usize, bool), Statement>,
}

/// Parents of one edge, all gone or all changed: their referenced fields before and after.
struct Work {
    edge: usize,
    old: Vec<Vec<u8>>,
    new: Option<Vec<Vec<u8>>>,
}

impl Cascades {
    /// For the graph's tables.
    #[must_use]
    pub fn new(graph: Arc<KeyGraph>, _plans: &[Arc<TablePlan>]) -> Self {
        Self { graph, statements: HashMap::new() }
    }

    /// Applies one cascade and all that follow from it; returns the number of rows touched.
    ///
    /// # Errors
    /// Classified by SQLSTATE.
    pub async fn run(
        &mut self,
        client: &Client,
        plans: &[Arc<TablePlan>],
        cascade: &Cascade,
        arena: &Arena,
    ) -> Result<u64> {
        let graph = Arc::clone(&self.graph);
        let old = cascade.parents.iter().map(|(old, _)| arena.get(*old).to_vec()).collect();
        let new: Vec<Vec<u8>> =
            cascade.parents.iter().filter_map(|(_, new)| new.map(|new| arena.get(new).to_vec())).collect();
        let mut queue = VecDeque::from([Work { edge: cascade.edge, old, new: (!new.is_empty()).then_some(new) }]);
        let mut touched = 0;
        while let Some(work) = queue.pop_front() {
            let edge = graph.edge(work.edge);
            let rows = self.step(client, plans, edge, &work).await?;
            touched += rows.len() as u64;
            if !rows.is_empty() {
                queue.extend(next_level(&graph, edge, work.new.is_none(), &rows));
            }
        }
        Ok(touched)
    }

    async fn step(&mut self, client: &Client, plans: &[Arc<TablePlan>], edge: &Edge, work: &Work) -> Result<Vec<Row>> {
        let parent = &plans[edge.parent];
        let gone = work.new.is_none();
        let oids: Vec<u32> = edge.parent_columns.iter().map(|column| parent.columns[*column].ty.oids().0).collect();
        let mut arrays = copy::column_arrays(&oids, work.old.iter().map(Vec::as_slice));
        if let (Some(new), Action::Cascade) = (&work.new, edge.on_update) {
            arrays.extend(copy::column_arrays(&oids, new.iter().map(Vec::as_slice)));
        }
        let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| array as _).collect();
        let doing = |e| classify(e, &format!("apply foreign key {} to {}", edge.name, plans[edge.child].target));
        let statement = match self.statements.get(&(work.edge, gone)) {
            Some(statement) => statement.clone(),
            None => {
                let sql = statement_sql(&self.graph, plans, edge, gone);
                let statement = client.prepare(&sql).await.map_err(doing)?;
                self.statements.insert((work.edge, gone), statement.clone());
                statement
            }
        };
        client.query(&statement, &parameters).await.map_err(doing)
    }
}

/// The child's columns that its own children reference: what a step returns, before and after.
fn referenced(graph: &KeyGraph, child: usize) -> Vec<usize> {
    let mut columns: Vec<usize> =
        graph.edges_of(child).iter().flat_map(|edge| graph.edge(*edge).parent_columns.clone()).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// `DELETE`, or `UPDATE`, of the children of given parents, returning their referenced columns before and after.
fn statement_sql(graph: &KeyGraph, plans: &[Arc<TablePlan>], edge: &Edge, gone: bool) -> String {
    let (parent, child) = (&plans[edge.parent], &plans[edge.child]);
    let action = if gone { edge.on_delete } else { edge.on_update };
    let count = edge.parent_columns.len();
    let with_new = !gone && action == Action::Cascade;
    let types: Vec<String> = edge.parent_columns.iter().map(|column| parent.columns[*column].ty.sql()).collect();
    let mut arrays: Vec<String> = (1..).zip(&types).map(|(n, ty)| format!("${n}::{ty}[]")).collect();
    let mut names: Vec<String> = (1..=count).map(|n| format!("o{n}")).collect();
    if with_new {
        arrays.extend((count + 1..).zip(&types).map(|(n, ty)| format!("${n}::{ty}[]")));
        names.extend((1..=count).map(|n| format!("n{n}")));
    }
    let source = format!("unnest({}) AS p({})", arrays.join(", "), names.join(", "));
    let column = |c: &usize| ident::postgres(&child.columns[*c].name);
    let matches: Vec<String> =
        (1..).zip(&edge.child_columns).map(|(n, c)| format!("c.{} = p.o{n}", column(c))).collect();
    let matches = matches.join(" AND ");
    let referenced: Vec<String> = referenced(graph, edge.child).iter().map(column).collect();
    let list = |prefix: &str| referenced.iter().map(|name| format!(", {prefix}{name}")).collect::<String>();
    let target = child.target.sql();
    if gone && action == Action::Cascade {
        return format!("DELETE FROM {target} AS c USING {source} WHERE {matches} RETURNING 1{}", list("c."));
    }
    let values: Vec<String> = (1..)
        .zip(&edge.child_columns)
        .map(|(n, c)| {
            let new = if with_new { format!("s.n{n}") } else { "NULL".to_owned() };
            format!("{} = {new}", column(c))
        })
        .collect();
    let picked: String = (0..referenced.len()).map(|n| format!(", c.{} AS b{n}", referenced[n])).collect();
    let news: String = if with_new { (1..=count).map(|n| format!(", p.n{n}")).collect() } else { String::new() };
    let before: String = (0..referenced.len()).map(|n| format!(", s.b{n}")).collect();
    format!(
        "WITH s AS (SELECT c.ctid AS id{picked}{news} FROM {target} AS c JOIN {source} ON {matches}) \
         UPDATE {target} AS c SET {} FROM s WHERE c.ctid = s.id RETURNING 1{before}{}",
        values.join(", "),
        list("c."),
    )
}

/// The edges below `edge`'s child that its touched rows set off.
fn next_level(graph: &KeyGraph, edge: &Edge, gone: bool, rows: &[Row]) -> Vec<Work> {
    let columns = referenced(graph, edge.child);
    let deleted = gone && edge.on_delete == Action::Cascade;
    let mut next = Vec::new();
    for number in graph.edges_of(edge.child) {
        let below = graph.edge(*number);
        let action = if deleted { below.on_delete } else { below.on_update };
        if action == Action::Restrict
            || (!deleted && !below.parent_columns.iter().any(|c| edge.child_columns.contains(c)))
        {
            continue;
        }
        let places: Vec<usize> =
            below.parent_columns.iter().filter_map(|c| columns.iter().position(|x| x == c)).collect();
        let fields = |row: &Row, offset: usize| {
            let values: Vec<Option<Raw>> = places.iter().map(|place| row.get(1 + offset + place)).collect();
            let is_null = values.iter().any(Option::is_none);
            let mut out = Vec::new();
            for value in values {
                match value {
                    None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(Raw(bytes)) => {
                        out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
                        out.extend_from_slice(&bytes);
                    }
                }
            }
            (out, is_null)
        };
        let mut work = Work { edge: *number, old: Vec::new(), new: (!deleted).then(Vec::new) };
        for row in rows {
            let (old, unreferenced) = fields(row, 0);
            if unreferenced {
                continue;
            }
            if let Some(new) = &mut work.new {
                new.push(fields(row, columns.len()).0);
            }
            work.old.push(old);
        }
        if !work.old.is_empty() {
            next.push(work);
        }
    }
    next
}
