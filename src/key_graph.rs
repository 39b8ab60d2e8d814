//! Which foreign keys change children when a parent changes, for sources that do not log those changes.
//!
//! MariaDB, and MySQL before 9.6, write only the parent's change to the binlog (FACTS: the storage engine changes the
//! children below the server layer). We then apply the same actions ourselves, in the same target transaction and at
//! the same place among the other changes. Owns the graph of acting foreign keys over the planned tables and says
//! what a cascade can reach; it runs nothing. Where the source logs cascades the graph is empty.

use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Action;
use std::sync::Arc;

/// One acting foreign key between two planned tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The constraint's name, for messages.
    pub name: String,
    /// The parent: index into the plans.
    pub parent: usize,
    /// The child: index into the plans.
    pub child: usize,
    /// The referenced columns: positions in the parent's source columns.
    pub parent_source_columns: Vec<usize>,
    /// The same columns as positions in the parent's planned columns.
    pub parent_columns: Vec<usize>,
    /// The referencing columns: positions in the child's planned columns.
    pub child_columns: Vec<usize>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
}

/// All acting foreign keys.
#[derive(Debug, Default, Clone)]
pub struct KeyGraph {
    edges: Vec<Edge>,
    by_parent: Vec<Vec<usize>>,
    reach: Vec<Vec<usize>>,
}

impl KeyGraph {
    /// The graph over `plans`; without edges when the source logs what its foreign keys do.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when a column that a cascade needs is left out of the target, or when a row filter
    /// hides rows through which a cascade must reach others.
    pub fn new(plans: &[Arc<TablePlan>], source_logs_cascades: bool) -> Result<Self> {
        let mut graph =
            Self { edges: Vec::new(), by_parent: vec![Vec::new(); plans.len()], reach: vec![Vec::new(); plans.len()] };
        if source_logs_cascades {
            return Ok(graph);
        }
        for (child, plan) in plans.iter().enumerate() {
            for key in plan.source.foreign_keys.iter().filter(|key| key.acts()) {
                let Some(parent) = plans.iter().position(|plan| plan.source.name == key.parent) else { continue };
                let missing = |table: &TablePlan, column: &str| {
                    Error::new(
                        ErrorKind::Config,
                        format!("column {}.{column} is left out but foreign key {} acts through it", table.source.name, key.name),
                    )
                    .detail("the source does not log what its foreign keys change, so the replicator must find those rows by it")
                    .with_hint(format!("carry the column, or exclude table {} as well", plan.source.name.table))
                };
                let find =
                    |table: &TablePlan, column: &String| table.column_of(column).ok_or_else(|| missing(table, column));
                let parent_columns =
                    key.parent_columns.iter().map(|c| find(&plans[parent], c)).collect::<Result<Vec<_>>>()?;
                let child_columns = key.columns.iter().map(|c| find(plan, c)).collect::<Result<Vec<_>>>()?;
                graph.by_parent[parent].push(graph.edges.len());
                graph.edges.push(Edge {
                    name: key.name.clone(),
                    parent,
                    child,
                    parent_source_columns: parent_columns.iter().map(|c| plans[parent].columns[*c].source).collect(),
                    parent_columns,
                    child_columns,
                    on_delete: key.on_delete,
                    on_update: key.on_update,
                });
            }
        }
        graph.refuse_filters_between(plans)?;
        graph.reach = (0..plans.len()).map(|table| graph.reachable(table)).collect();
        Ok(graph)
    }

    /// A graph of given edges over `tables` tables.
    #[cfg(test)]
    pub(crate) fn of(edges: Vec<Edge>, tables: usize) -> Self {
        let mut graph = Self { by_parent: vec![Vec::new(); tables], edges, reach: Vec::new() };
        for (number, edge) in graph.edges.iter().enumerate() {
            graph.by_parent[edge.parent].push(number);
        }
        graph.reach = (0..tables).map(|table| graph.reachable(table)).collect();
        graph
    }

    /// A child whose rows are filtered cannot pass a cascade on to its own children.
    fn refuse_filters_between(&self, plans: &[Arc<TablePlan>]) -> Result<()> {
        let between = |edge: &&Edge| !plans[edge.child].rows.is_empty() && !self.by_parent[edge.child].is_empty();
        match self.edges.iter().find(between) {
            None => Ok(()),
            Some(edge) => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "table {} has a row filter and stands inside a chain of foreign keys",
                    plans[edge.child].source.name
                ),
            )
            .detail(format!("{} changes its rows unlogged, and they change others in turn", edge.name))
            .with_hint("remove the row filter of that table, or exclude the tables below it")),
        }
    }

    fn reachable(&self, table: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut next = vec![table];
        while let Some(parent) = next.pop() {
            for edge in &self.by_parent[parent] {
                let child = self.edges[*edge].child;
                if !found.contains(&child) {
                    found.push(child);
                    next.push(child);
                }
            }
        }
        found
    }

    /// The edge of that number.
    #[must_use]
    pub fn edge(&self, edge: usize) -> &Edge {
        &self.edges[edge]
    }

    /// Numbers of the edges whose parent is `table`.
    #[must_use]
    pub fn edges_of(&self, table: usize) -> &[usize] {
        self.by_parent.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every table that a change of `table` can change, directly or through others.
    #[must_use]
    pub fn reach(&self, table: usize) -> &[usize] {
        self.reach.get(table).map(Vec::as_slice).unwrap_or_default()
    }
}
