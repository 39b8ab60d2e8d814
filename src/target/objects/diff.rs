//! The steps from what stands to what is planned, for all of a table but its foreign keys.

use super::existing::{Existing, Table};
use super::printed::{Printed, Wanted};
use super::{Found, ObjectKind, Reconciled, Scope, Step};
use crate::convert::plan::{PgType, PlannedColumn, PlannedIndex, TablePlan};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, TargetName};
use crate::target::catalog::{ExistingColumn, ExistingIndex, ExistingTable, RelationKind};
use crate::target::columns::{self, alter};
use crate::target::{enum_types, indexes, tables};

/// A planned CHECK: name, `CHECK (…)`, and whether any name will do.
struct Check {
    name: String,
    sql: String,
    any_name: bool,
}

fn checks(plan: &TablePlan) -> Vec<Check> {
    let of_enums = plan.columns.iter().filter_map(|column| {
        let name = ident::postgres_fit(&format!("{}_{}_check", plan.target.table, column.name));
        Some(Check { name, sql: enum_types::check_sql(plan, column)?, any_name: true })
    });
    let planned = plan.objects.checks.iter().map(|check| Check {
        name: check.name.clone(),
        sql: format!("CHECK ({})", check.condition),
        any_name: false,
    });
    of_enums.chain(planned).collect()
}

/// What must be printed by the server before it can be compared with what stands.
pub(super) fn unclear(plan: &TablePlan, table: Option<&Table>, scope: Scope<'_>) -> Wanted {
    let mut wanted = Wanted::default();
    let Some(table) = table.filter(|_| scope.has(&plan.target)) else { return wanted };
    for (at, sql) in &plan.objects.defaults {
        if table.defaults.get(&plan.columns[*at].name).is_some_and(|standing| standing != sql) {
            wanted.defaults.push((*at, sql.clone()));
        }
    }
    if !table.checks.is_empty() {
        wanted.checks = checks(plan).into_iter().map(|check| check.sql).collect();
    }
    let over_expressions =
        |index: &&PlannedIndex| indexes::part_sql(plan, index).iter().any(|(_, column_alone, _)| !column_alone);
    if table.relation.indexes.iter().any(|index| index.parts.iter().any(|(column, _)| column.is_none())) {
        wanted.indexes =
            plan.indexes.iter().filter(over_expressions).map(|index| indexes::index_body(plan, index)).collect();
    }
    wanted
}

/// The steps of one table.
pub(super) fn table(
    plan: &TablePlan,
    existing: &Existing,
    printed: &Printed,
    scope: Scope<'_>,
    found: &mut Reconciled,
) -> Result<()> {
    if !scope.has(&plan.target) {
        return Ok(());
    }
    let mut diff = Diff { plan, existing, printed, scope, found };
    let made;
    let table = match existing.tables.get(&plan.target) {
        Some(table) if table.relation.kind == RelationKind::Table => table,
        Some(table) => {
            let kind = table.relation.kind.as_str();
            return Err(Error::new(
                ErrorKind::TargetConflict,
                format!("a {kind} has the name of table {}", plan.target),
            )
            .with_hint(format!("DROP {} {};  if nobody needs it", kind.to_uppercase(), plan.target.sql())));
        }
        None => {
            diff.missing_table()?;
            made = as_made(plan);
            &made
        }
    };
    diff.columns(table);
    diff.primary_key(table);
    diff.indexes(table);
    if existing.tables.contains_key(&plan.target) {
        diff.checks(table);
    } else {
        // those of ENUM columns come with the table
        checks(plan)
            .iter()
            .filter(|check| !check.any_name)
            .for_each(|check| diff.add_check(check, "it does not exist"));
    }
    diff.defaults(table);
    diff.comments(table);
    Ok(())
}

fn same_type(column: &ExistingColumn, planned: &PlannedColumn) -> bool {
    // the server quotes names of types only where it must
    let bare = |ty: &str| if let PgType::Enum(_) = planned.ty { ty.replace('"', "") } else { ty.to_owned() };
    bare(&column.ty) == bare(&planned.ty.sql())
}

/// A table as [`tables::create_table_sql`] makes it.
fn as_made(plan: &TablePlan) -> Table {
    let column = |column: &PlannedColumn| ExistingColumn {
        name: column.name.clone(),
        ty: column.ty.sql(),
        nullable: column.nullable,
    };
    Table::new(ExistingTable {
        kind: RelationKind::Table,
        owned: true,
        foreign_keys: Vec::new(),
        trigger: None,
        columns: plan.columns.iter().map(column).collect(),
        primary_key: Vec::new(),
        indexes: Vec::new(),
    })
}

struct Diff<'a> {
    plan: &'a TablePlan,
    existing: &'a Existing,
    printed: &'a Printed,
    scope: Scope<'a>,
    found: &'a mut Reconciled,
}

impl Diff<'_> {
    fn step(&mut self, object: ObjectKind, name: &str, sql: String, why: impl Into<String>) -> &mut Step {
        self.found.steps.push(Step {
            table: self.plan.target.clone(),
            object,
            name: name.to_owned(),
            sql,
            why: why.into(),
            lossy: None,
            orphans: None,
        });
        let last = self.found.steps.len() - 1;
        &mut self.found.steps[last]
    }

    fn alter(&self, what: &str) -> String {
        alter(&self.plan.target, what)
    }

    /// The table's plan before.
    fn before(&self) -> Option<&TablePlan> {
        self.scope.before.iter().find(|plan| plan.target == self.plan.target).map(|plan| &**plan)
    }

    /// Something that was not planned: dropped where an earlier plan had it, else told.
    fn extra(&mut self, object: ObjectKind, name: &str, drop: String) {
        let had = self.before().is_some_and(|before| match object {
            ObjectKind::Column => before.columns.iter().any(|column| column.name == name),
            ObjectKind::Check => checks(before).iter().any(|check| check.name == name),
            ObjectKind::Default => {
                before.objects.defaults.iter().any(|(column, _)| before.columns[*column].name == name)
            }
            ObjectKind::Identity => before.objects.identity.is_some_and(|column| before.columns[column].name == name),
            _ => before
                .indexes
                .iter()
                .any(|index| index.name == name || indexes::second_name(&before.target, &index.name) == name),
        });
        if had {
            self.step(object, name, drop, "the source has it no longer");
        } else {
            let table = self.plan.target.clone();
            self.found.extras.push(Found { table, object, name: name.to_owned(), orphans: None });
        }
    }

    fn missing_table(&mut self) -> Result<()> {
        let schema = &self.plan.target.schema;
        let known = |step: &Step| step.object == ObjectKind::Schema && step.name == *schema;
        if !self.existing.schemas.contains(schema) && !self.found.steps.iter().any(known) {
            let sql = format!("CREATE SCHEMA {}", ident::postgres(schema));
            self.step(ObjectKind::Schema, schema, sql, "it does not exist");
        }
        for (name, labels, sql) in enum_types::wanted(self.plan) {
            match self.existing.types.get(name) {
                Some(standing) if *standing == labels => {}
                Some(_) => {
                    let message =
                        format!("the target's type {name} is another than a column of {} needs", self.plan.target);
                    return Err(Error::new(ErrorKind::TargetConflict, message)
                        .with_hint(format!("DROP TYPE {};  if nobody needs it", name.sql())));
                }
                None => drop(self.step(ObjectKind::Type, &name.table, sql, "it does not exist")),
            }
        }
        let sql = tables::create_table_sql(self.plan);
        let name = self.plan.target.table.clone();
        self.step(ObjectKind::Table, &name, sql, "it does not exist");
        Ok(())
    }

    fn columns(&mut self, table: &Table) {
        let plan = self.plan;
        for planned in &plan.columns {
            let Some(column) = table.relation.columns.iter().find(|column| column.name == planned.name) else {
                let sql = columns::add(&plan.target, planned, None);
                self.step(ObjectKind::Column, &planned.name, sql, "it does not exist").lossy = Some(
                    "rows that are there have no value for it; `sirenia reset --yes` and `sirenia run` copy anew"
                        .into(),
                );
                continue;
            };
            if !same_type(column, planned) {
                let has_default = table.defaults.contains_key(&planned.name);
                let sql = columns::set_type(&plan.target, &planned.name, &column.ty, &planned.ty, has_default);
                let why = format!("it is {} but {} is planned", column.ty, planned.ty.sql());
                self.step(ObjectKind::Column, &planned.name, sql, why).lossy = Some(
                    "values that the new type cannot hold are refused or rounded, and the table is rewritten".into(),
                );
            }
            if column.nullable != planned.nullable {
                let sql = columns::set_nullable(&plan.target, &planned.name, planned.nullable);
                let why = if planned.nullable { "the source allows NULL" } else { "the source does not allow NULL" };
                self.step(ObjectKind::Column, &planned.name, sql, why);
            }
        }
        for column in &table.relation.columns {
            if !plan.columns.iter().any(|planned| planned.name == column.name) {
                self.extra(ObjectKind::Column, &column.name, columns::drop(&plan.target, &column.name));
            }
        }
    }

    fn primary_key(&mut self, table: &Table) {
        let plan = self.plan;
        let columns: Vec<&str> = plan.key.iter().map(|at| plan.columns[*at].name.as_str()).collect();
        let standing = table.relation.indexes.iter().find(|index| index.primary);
        if !plan.key_is_primary || columns.is_empty() {
            if let Some(index) = standing {
                self.extra(ObjectKind::PrimaryKey, &index.name.clone(), String::new());
            }
            return;
        }
        if table.relation.primary_key == columns {
            return;
        }
        let name = self.free_name(&format!("{}_pkey", plan.target.table));
        let list = ident::postgres_list(columns.iter().copied());
        let drop = standing.map(|index| format!("DROP CONSTRAINT {}, ", ident::postgres(&index.name)));
        let sql = format!("{}ADD CONSTRAINT {} PRIMARY KEY ({list})", drop.unwrap_or_default(), ident::postgres(&name));
        let why = match standing {
            Some(_) => format!(
                "it is ({}), the source's is ({list})",
                ident::postgres_list(table.relation.primary_key.iter().map(String::as_str))
            ),
            None => "it does not exist".into(),
        };
        self.step(ObjectKind::PrimaryKey, &name, self.alter(&sql), why);
    }

    fn indexes(&mut self, table: &Table) {
        let plan = self.plan;
        let mut left: Vec<&ExistingIndex> = table.relation.indexes.iter().filter(|index| !index.primary).collect();
        let names = |index: &PlannedIndex| [index.name.clone(), indexes::second_name(&plan.target, &index.name)];
        let is_key = |index: &PlannedIndex| {
            let columns: Vec<&str> = index.parts.iter().map(|part| plan.columns[part.0].name.as_str()).collect();
            index.unique
                && plan.key_is_primary
                && !columns.is_empty()
                && index.parts.iter().all(|part| part.1.is_none())
                && plan.key.iter().map(|at| plan.columns[*at].name.as_str()).eq(columns.iter().copied())
        };
        // those that stand under their own name first, so that none of them is renamed
        let mut missing = Vec::new();
        for index in &plan.indexes {
            match left.iter().position(|standing| names(index).contains(&standing.name) && self.serves(standing, index))
            {
                Some(at) => drop(left.remove(at)),
                None if is_key(index) => {}
                None => missing.push(index),
            }
        }
        for index in missing {
            let object = if index.unique { ObjectKind::UniqueIndex } else { ObjectKind::Index };
            let named = left.iter().position(|standing| names(index).contains(&standing.name));
            let planned = |name: &String| plan.indexes.iter().any(|other| names(other).contains(name));
            let same = left.iter().position(|standing| self.serves(standing, index) && !planned(&standing.name));
            if let (None, Some(at)) = (named, same) {
                let standing = left.remove(at);
                let name = self.free_name(&index.name);
                let old = TargetName::new(&plan.target.schema, &standing.name);
                let sql = format!("ALTER INDEX {} RENAME TO {}", old.sql(), ident::postgres(&name));
                self.step(object, &name, sql, format!("it stands under the name {}", standing.name));
                continue;
            }
            let (drop, name, why) = match named {
                Some(at) => {
                    let standing = left.remove(at);
                    let why = if standing.valid {
                        format!("it is another: {}", standing.definition)
                    } else {
                        "it is not valid".into()
                    };
                    (format!("{}; ", self.drop_index(standing)), standing.name.clone(), why)
                }
                None => (String::new(), self.free_name(&index.name), "it does not exist".into()),
            };
            let sql = format!("{drop}{}", indexes::create_index_sql(plan, index, &name));
            self.step(object, &name, sql, why);
        }
        for index in left {
            let object = if index.unique { ObjectKind::UniqueIndex } else { ObjectKind::Index };
            self.extra(object, &index.name, self.drop_index(index));
        }
    }

    fn drop_index(&self, index: &ExistingIndex) -> String {
        if index.of_constraint {
            return self.alter(&format!("DROP CONSTRAINT {}", ident::postgres(&index.name)));
        }
        format!("DROP INDEX {}", TargetName::new(&self.plan.target.schema, &index.name).sql())
    }

    /// Whether a standing index is what the plan wants.
    fn serves(&self, standing: &ExistingIndex, index: &PlannedIndex) -> bool {
        let parts = indexes::part_sql(self.plan, index);
        let printed = self.printed.indexes.get(&indexes::index_body(self.plan, index));
        let same = |(at, (sql, column_alone, down)): (usize, &(String, bool, bool))| {
            let (column, standing_down) = &standing.parts[at];
            let text = if *column_alone {
                column.as_ref().is_some_and(|column| ident::postgres(column) == *sql)
            } else {
                printed.and_then(|printed| printed.get(at)).is_some_and(|text| *text == standing.printed[at])
            };
            text && standing_down == down
        };
        standing.valid
            && !standing.partial
            && standing.unique == index.unique
            && standing.method == indexes::method(index)
            && standing.parts.len() == parts.len()
            && parts.iter().enumerate().all(same)
    }

    /// The wanted name, or another when a relation of another table has it.
    fn free_name(&self, wanted: &str) -> String {
        let name = ident::postgres_fit(wanted);
        let taken = self.existing.names.contains(&TargetName::new(&self.plan.target.schema, &name));
        if taken { indexes::second_name(&self.plan.target, wanted) } else { name }
    }

    fn add_check(&mut self, check: &Check, why: &str) {
        let sql = self.alter(&format!("ADD CONSTRAINT {} {}", ident::postgres(&check.name), check.sql));
        self.step(ObjectKind::Check, &check.name, sql, why);
    }

    fn checks(&mut self, table: &Table) {
        let mut left: Vec<&(String, String)> = table.checks.iter().collect();
        let planned = checks(self.plan);
        let mut missing = Vec::new();
        for check in &planned {
            let text = self.printed.checks.get(&check.sql);
            let same = |standing: &&(String, String)| text == Some(&standing.1);
            let own = left.iter().position(|standing| standing.0 == check.name && same(standing));
            let any = || left.iter().position(|standing| check.any_name && same(standing));
            match own.or_else(any) {
                Some(at) => drop(left.remove(at)),
                None => missing.push(check),
            }
        }
        for check in missing {
            let text = self.printed.checks.get(&check.sql);
            let name = ident::postgres(&check.name);
            if let Some(at) = left.iter().position(|standing| standing.0 == check.name) {
                let (_, definition) = left.remove(at);
                let sql = self.alter(&format!("DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {}", check.sql));
                self.step(ObjectKind::Check, &check.name, sql, format!("it is another: {definition}"));
            } else if let Some(at) = left.iter().position(|standing| text == Some(&standing.1)) {
                let (old, _) = left.remove(at);
                let sql = self.alter(&format!("RENAME CONSTRAINT {} TO {name}", ident::postgres(old)));
                self.step(ObjectKind::Check, &check.name, sql, format!("it stands under the name {old}"));
            } else {
                self.add_check(check, "it does not exist");
            }
        }
        for (name, _) in left {
            self.extra(ObjectKind::Check, name, self.alter(&format!("DROP CONSTRAINT {}", ident::postgres(name))));
        }
    }

    fn defaults(&mut self, table: &Table) {
        let plan = self.plan;
        if !plan.objects.options.defaults {
            return;
        }
        for (at, column) in plan.columns.iter().enumerate() {
            let quoted = ident::postgres(&column.name);
            // a change of type takes the default along
            let changes =
                table.relation.columns.iter().any(|found| found.name == column.name && !same_type(found, column));
            let standing = table.defaults.get(&column.name).filter(|_| !changes);
            let planned = plan.objects.defaults.iter().find(|(planned, _)| *planned == at).map(|(_, sql)| sql);
            let counts = table.identities.contains(&column.name);
            if plan.objects.identity == Some(at) {
                if !counts {
                    let drop = standing.map(|_| format!("ALTER COLUMN {quoted} DROP DEFAULT, ")).unwrap_or_default();
                    let sql = self.alter(&format!("{drop}ALTER COLUMN {quoted} ADD GENERATED BY DEFAULT AS IDENTITY"));
                    let target = plan.target.sql();
                    let sql = format!(
                        "{sql}; SELECT setval(pg_get_serial_sequence({}, {}), greatest(max({quoted}), 1), \
                         coalesce(max({quoted}) >= 1, false)) FROM {target}",
                        ident::postgres_literal(&target),
                        ident::postgres_literal(&column.name)
                    );
                    self.step(ObjectKind::Identity, &column.name, sql, "the source counts it up (AUTO_INCREMENT)");
                }
                continue;
            }
            if counts {
                let sql = self.alter(&format!("ALTER COLUMN {quoted} DROP IDENTITY"));
                self.extra(ObjectKind::Identity, &column.name, sql);
            }
            if counts || table.generated.contains(&column.name) {
                continue;
            }
            match (planned, standing) {
                (Some(sql), standing)
                    if standing
                        .is_none_or(|standing| standing != sql && Some(standing) != self.printed.defaults.get(&at)) =>
                {
                    let why =
                        standing.map_or("it does not exist".into(), |standing| format!("it is another: {standing}"));
                    let sql = self.alter(&format!("ALTER COLUMN {quoted} SET DEFAULT {sql}"));
                    self.step(ObjectKind::Default, &column.name, sql, why);
                }
                (None, Some(_)) => {
                    let sql = self.alter(&format!("ALTER COLUMN {quoted} DROP DEFAULT"));
                    self.extra(ObjectKind::Default, &column.name, sql);
                }
                _ => {}
            }
        }
    }

    fn comments(&mut self, table: &Table) {
        let plan = self.plan;
        if !plan.objects.options.comments {
            return;
        }
        let literal = |text: &str| {
            if text.is_empty() { "NULL".into() } else { ident::postgres_literal(text) }
        };
        // a comment of the target's own stays
        let had = |at: Option<&str>| {
            self.scope.before.iter().filter(|before| before.target == plan.target).any(|before| match at {
                None => !before.objects.comment.is_empty(),
                Some(name) => before.objects.comments.iter().any(|(column, _)| before.columns[*column].name == name),
            })
        };
        let wrong = |planned: &str, standing: &str, at| planned != standing && (!planned.is_empty() || had(at));
        let of_table = wrong(&plan.objects.comment, &table.comment, None);
        let of_columns: Vec<(&PlannedColumn, &str)> = plan
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let planned = plan.objects.comments.iter().find(|(planned, _)| *planned == at);
                (column, planned.map_or("", |(_, text)| text.as_str()))
            })
            .filter(|(column, planned)| {
                let standing = table.comments.get(&column.name).map_or("", String::as_str);
                wrong(planned, standing, Some(&column.name))
            })
            .collect();
        if of_table {
            let sql = format!("COMMENT ON TABLE {} IS {}", plan.target.sql(), literal(&plan.objects.comment));
            self.step(ObjectKind::Comment, &plan.target.table, sql, "the source's is another");
        }
        for (column, planned) in of_columns {
            let place = format!("{}.{}", plan.target.sql(), ident::postgres(&column.name));
            let sql = format!("COMMENT ON COLUMN {place} IS {}", literal(planned));
            self.step(ObjectKind::Comment, &column.name, sql, "the source's is another");
        }
    }
}
