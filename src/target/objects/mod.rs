//! Bringing the target's objects in line with the plans: what is missing is made, what is otherwise is made again.
//!
//! | file | what |
//! | --- | --- |
//! | `existing` | what stands, in a handful of queries for all tables |
//! | `printed` | how the server prints what is planned |
//! | `diff`, `diff_keys` | the steps between the two |
//! | `apply` | running them |
//!
//! Enters: the plans of all tables, and which of them are looked at. Leaves: [`Step`]s in an order in which each finds what it
//! needs, and what was found besides. Invariant: no steps are left when they have been applied, but for those that the rows
//! themselves refuse; nothing that was not planned is dropped, it is reported as extra.

mod apply;
mod diff;
mod diff_keys;
mod existing;
mod printed;

pub use apply::{Applied, Unproven, apply, clear, count_orphans, drop_foreign_key, drop_foreign_keys};

use crate::convert::plan::TablePlan;
use crate::error::Result;
use crate::ident::TargetName;
use serde::Serialize;
use std::sync::Arc;
use tokio_postgres::GenericClient;

/// What a step makes or changes, in the order in which steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A foreign key that stands in the way and goes.
    ObsoleteForeignKey,
    /// A schema.
    Schema,
    /// An enum type.
    Type,
    /// A table.
    Table,
    /// A column.
    Column,
    /// The primary key.
    PrimaryKey,
    /// A unique index.
    UniqueIndex,
    /// Any other index.
    Index,
    /// A CHECK constraint.
    Check,
    /// A column's default.
    Default,
    /// A column's identity.
    Identity,
    /// A comment.
    Comment,
    /// A foreign key.
    ForeignKey,
}

impl ObjectKind {
    /// Its name for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ObsoleteForeignKey | Self::ForeignKey => "foreign key",
            Self::Schema => "schema",
            Self::Type => "type",
            Self::Table => "table",
            Self::Column => "column",
            Self::PrimaryKey => "primary key",
            Self::UniqueIndex => "unique index",
            Self::Index => "index",
            Self::Check => "check",
            Self::Default => "default",
            Self::Identity => "identity",
            Self::Comment => "comment",
        }
    }

    /// Whether rows are found by it or promised by it, so that going on without it would be wrong.
    #[must_use]
    pub fn is_needed(self) -> bool {
        self <= Self::UniqueIndex
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table: TargetName,
    /// What is made or changed.
    pub object: ObjectKind,
    /// Its name.
    pub name: String,
    /// The statements, without a semicolon at the end.
    pub sql: String,
    /// Why, in words.
    pub why: String,
    /// What is lost by it, if anything.
    pub lossy: Option<String>,
    /// Of a foreign key: the query that counts rows without a parent.
    #[serde(skip)]
    pub orphans: Option<String>,
}

fn as_text<S: serde::Serializer>(name: &TargetName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

/// Something on one of our tables that was not planned, or that stands but is not known to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table: TargetName,
    /// What it is.
    pub object: ObjectKind,
    /// Its name.
    pub name: String,
    /// Of a foreign key: the query that counts rows without a parent.
    #[serde(skip)]
    pub orphans: Option<String>,
}

impl Found {
    /// What proves a foreign key that stands NOT VALID, once no row is without a parent.
    #[must_use]
    pub fn validate(&self) -> Step {
        let what = format!("VALIDATE CONSTRAINT {}", crate::ident::postgres(&self.name));
        Step {
            table: self.table.clone(),
            object: self.object,
            name: self.name.clone(),
            sql: super::columns::alter(&self.table, &what),
            why: "it is NOT VALID, but all rows have their parent now".into(),
            lossy: None,
            orphans: None,
        }
    }
}

/// Which tables are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// By their names on the target; all without any.
    pub tables: Option<&'a [TargetName]>,
    /// The plans as they were before: what they had and the new ones have not is dropped.
    pub before: &'a [Arc<TablePlan>],
    /// Whether foreign keys are left out.
    pub without_foreign_keys: bool,
    /// Whether foreign keys have their own actions, as from the cutover on, in place of the deferred ones of following.
    pub acting: bool,
}

impl Scope<'_> {
    fn has(&self, table: &TargetName) -> bool {
        self.tables.is_none_or(|tables| tables.contains(table))
    }
}

/// How the target stands to the plans.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// What was not planned.
    pub extras: Vec<Found>,
    /// Foreign keys that stand NOT VALID, since there were rows without a parent.
    pub unproven: Vec<Found>,
}

/// Compares the plans with what stands on the target. `plans` are those of all tables, since foreign keys reach out of the
/// scope. Works within an open transaction and without one; changes nothing but temporary tables of the session.
///
/// # Errors
/// [`crate::error::ErrorKind::TargetConflict`] when something else has a table's or a type's name; else as
/// [`crate::target::classify`] says.
pub async fn reconcile<C: GenericClient + Sync>(
    client: &C,
    plans: &[Arc<TablePlan>],
    scope: Scope<'_>,
) -> Result<Reconciled> {
    // children of a table in scope are looked at for their foreign keys alone
    let near = |plan: &&Arc<TablePlan>| {
        scope.has(&plan.target) || plan.objects.foreign_keys.iter().any(|key| scope.has(&key.parent))
    };
    let plans: Vec<&TablePlan> = plans.iter().filter(near).map(Arc::as_ref).collect();
    let names: Vec<TargetName> = plans.iter().map(|plan| plan.target.clone()).collect();
    let existing = existing::read(client, &names).await?;
    let wanted = plans.iter().map(|plan| (*plan, diff::unclear(plan, existing.tables.get(&plan.target), scope)));
    let wanted: Vec<_> = wanted.collect();
    let printed = printed::read(client, &wanted).await?;
    let mut found = Reconciled::default();
    for (plan, printed) in plans.iter().zip(&printed) {
        diff::table(plan, &existing, printed, scope, &mut found)?;
    }
    if !scope.without_foreign_keys {
        diff_keys::foreign_keys(&plans, &existing, scope, &mut found);
    }
    found.steps.sort_by_key(|step| step.object);
    Ok(found)
}

/// The steps that make everything where nothing stands.
///
/// # Errors
/// As [`reconcile`].
pub fn from_nothing(plans: &[Arc<TablePlan>]) -> Result<Vec<Step>> {
    let plans: Vec<&TablePlan> = plans.iter().map(Arc::as_ref).collect();
    // every database has it
    let schemas = std::collections::HashSet::from(["public".to_owned()]);
    let (existing, mut found) = (existing::Existing { schemas, ..Default::default() }, Reconciled::default());
    for plan in &plans {
        diff::table(plan, &existing, &printed::Printed::default(), Scope::default(), &mut found)?;
    }
    diff_keys::foreign_keys(&plans, &existing, Scope::default(), &mut found);
    found.steps.sort_by_key(|step| step.object);
    Ok(found.steps)
}

#[cfg(test)]
mod tests;
