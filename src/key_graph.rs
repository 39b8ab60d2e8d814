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
    /// hides rows through which a cascade must reach others or tests a column that a cascade changes.
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
        graph.refuse_filters_on_changed_columns(plans)?;
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

    /// A row that an unlogged change moves past its table's filter would have to come or go, and only the source has it.
    fn refuse_filters_on_changed_columns(&self, plans: &[Arc<TablePlan>]) -> Result<()> {
        for edge in
            self.edges.iter().filter(|edge| edge.on_delete == Action::SetNull || edge.on_update != Action::Restrict)
        {
            let child = &plans[edge.child];
            let mut changed = edge.child_columns.iter().map(|column| child.columns[*column].source);
            if let Some(column) = changed.find(|source| child.rows.iter().any(|(filtered, _)| filtered == source)) {
                let column = &child.source.columns[column].name;
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "table {} has a row filter on {column}, which foreign key {} changes",
                        child.source.name, edge.name
                    ),
                )
                .detail("the source does not log what its foreign keys change, so rows would pass the filter unseen")
                .with_hint(format!("take {column} out of that table's row filter, or exclude the table")));
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample::{int, mapping, table};
    use crate::convert::typemap::{self, TypeOptions};
    use crate::mapping::TableRule;
    use crate::schema::{Catalog, TableSchema};

    fn graph(child: TableSchema, filter: &str, logged: bool) -> Result<KeyGraph> {
        let parent = table("a", &[("id", int(4, false))]).primary(&[0]);
        let rule = TableRule { rows: Some(filter.parse().unwrap()), ..TableRule::default() };
        let catalog = Catalog { tables: vec![parent, child] };
        let plans = typemap::plan(&catalog, &mapping([("b", rule)]), &TypeOptions::default()).unwrap();
        KeyGraph::new(&plans.into_iter().map(Arc::new).collect::<Vec<_>>(), logged)
    }

    #[test]
    fn a_row_filter_must_not_test_what_a_foreign_key_changes_unlogged() {
        let child = |on_delete, on_update| {
            let columns = [("id", int(4, false)), ("a?", int(4, false))];
            let mut child = table("b", &columns).primary(&[0]).refers("a", "a", "id");
            (child.foreign_keys[0].on_delete, child.foreign_keys[0].on_update) = (on_delete, on_update);
            child
        };
        for (on_delete, on_update) in [(Action::SetNull, Action::Restrict), (Action::Restrict, Action::Cascade)] {
            let error = graph(child(on_delete, on_update), "a IS NOT NULL", false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(graph(child(on_delete, on_update), "a IS NOT NULL", true).is_ok(), "the source logs it");
            assert!(graph(child(on_delete, on_update), "id > 5", false).is_ok());
        }
        assert!(graph(child(Action::Cascade, Action::Restrict), "a > 5", false).is_ok(), "rows go, but do not change");
    }
}
