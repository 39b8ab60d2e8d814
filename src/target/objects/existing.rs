//! What stands on the target around the planned tables, read in a handful of queries whatever their number.

use crate::error::Result;
use crate::ident::TargetName;
use crate::target::catalog::{self, ExistingTable};
use crate::target::error::on;
use std::collections::{HashMap, HashSet};
use tokio_postgres::GenericClient;

/// Everything that reconciliation looks at.
#[derive(Debug, Default)]
pub(super) struct Existing {
    pub tables: HashMap<TargetName, Table>,
    /// Names of relations in the schemas of the tables.
    pub names: HashSet<TargetName>,
    pub schemas: HashSet<String>,
    /// Enum types with their labels; other types without.
    pub types: HashMap<TargetName, Vec<String>>,
}

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub relation: ExistingTable,
    /// Column → default as the server prints it.
    pub defaults: HashMap<String, String>,
    /// Columns that are GENERATED … AS IDENTITY.
    pub identities: HashSet<String>,
    /// Columns computed by the target itself.
    pub generated: HashSet<String>,
    pub comment: String,
    pub comments: HashMap<String, String>,
    /// CHECK constraints: name and definition.
    pub checks: Vec<(String, String)>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys of others that refer to it: child, name, and the index here that they stand on.
    pub referred: Vec<(TargetName, String, String)>,
}

/// A foreign key of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    pub parent: TargetName,
    pub parent_columns: Vec<String>,
    /// Its actions and when it is checked, as `diff_keys` says it.
    pub manner: String,
    /// Whether all rows are known to hold it.
    pub proven: bool,
    pub definition: String,
}

impl Table {
    pub(super) fn new(relation: ExistingTable) -> Self {
        Self {
            relation,
            defaults: HashMap::new(),
            identities: HashSet::new(),
            generated: HashSet::new(),
            comment: String::new(),
            comments: HashMap::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referred: Vec::new(),
        }
    }
}

const DOING: &str = "reading what stands around the target's tables";

/// The wanted tables by OID.
const WANTED: &str = "WITH wanted AS (
    SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS table_name
      FROM unnest($1::text[], $2::text[]) AS w(s, t)
      JOIN pg_namespace n ON n.nspname = w.s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t)";

/// Reads it.
pub(super) async fn read<C: GenericClient + Sync>(client: &C, names: &[TargetName]) -> Result<Existing> {
    let relations = catalog::read_tables(client, names).await?;
    let tables = relations.into_iter().map(|(name, relation)| (name, Table::new(relation))).collect();
    let mut existing = Existing { tables, ..Existing::default() };
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.table.as_str()).collect();
    let columns = client
        .query(
            &format!(
                "{WANTED} SELECT schema_name, table_name, a.attname::text, pg_get_expr(d.adbin, d.adrelid),
                        a.attidentity <> '', a.attgenerated <> '', col_description(a.attrelid, a.attnum),
                        obj_description(w.oid, 'pg_class')
                   FROM wanted w JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
                   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            ),
            &[&schemas, &tables],
        )
        .await
        .map_err(on(DOING))?;
    for row in &columns {
        let Some(table) = existing.tables.get_mut(&TargetName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
        else {
            continue;
        };
        let column: String = row.get(2);
        table.comment = row.get::<_, Option<String>>(7).unwrap_or_default();
        if let Some(comment) = row.get(6) {
            table.comments.insert(column.clone(), comment);
        }
        if row.get(4) {
            table.identities.insert(column);
        } else if row.get(5) {
            table.generated.insert(column);
        } else if let Some(default) = row.get(3) {
            table.defaults.insert(column, default);
        }
    }
    read_constraints(client, &schemas, &tables, &mut existing).await?;
    let relations = client
        .query(
            "SELECT n.nspname::text, c.relname::text FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid
              WHERE n.nspname = ANY ($1)",
            &[&schemas],
        )
        .await
        .map_err(on(DOING))?;
    for row in &relations {
        let schema: String = row.get(0);
        if let Some(name) = row.get::<_, Option<String>>(1) {
            existing.names.insert(TargetName::new(schema.as_str(), name));
        }
        existing.schemas.insert(schema);
    }
    let types = client
        .query(
            "SELECT n.nspname::text, t.typname::text,
                    array(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
               FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
              WHERE n.nspname = ANY ($1) AND t.typtype <> 'c' AND t.typelem = 0",
            &[&schemas],
        )
        .await
        .map_err(on(DOING))?;
    existing.types = types
        .iter()
        .map(|row| (TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1)), row.get(2)))
        .collect();
    Ok(existing)
}

async fn read_constraints<C: GenericClient + Sync>(
    client: &C,
    schemas: &[&str],
    tables: &[&str],
    existing: &mut Existing,
) -> Result<()> {
    let names = |table: &str, list: &str| {
        format!(
            "array(SELECT a.attname::text FROM unnest(k.{list}) WITH ORDINALITY AS u(no, at)
                     JOIN pg_attribute a ON a.attrelid = k.{table} AND a.attnum = u.no ORDER BY u.at)"
        )
    };
    let rows = client
        .query(
            &format!(
                "{WANTED} SELECT n.nspname::text, c.relname::text, k.conname::text, k.contype = 'f',
                        pg_get_constraintdef(k.oid), pn.nspname::text, p.relname::text, {}, {},
                        concat(k.confdeltype, k.confupdtype, k.confmatchtype, ' ', k.condeferrable, k.condeferred),
                        k.convalidated, i.relname::text
                   FROM pg_constraint k
                   JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                   LEFT JOIN pg_class p ON p.oid = k.confrelid LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
                   LEFT JOIN pg_class i ON i.oid = k.conindid
                  WHERE k.contype IN ('c', 'f') AND k.conparentid = 0
                    AND (k.conrelid IN (SELECT oid FROM wanted) OR k.confrelid IN (SELECT oid FROM wanted))
                  ORDER BY k.conname",
                names("conrelid", "conkey"),
                names("confrelid", "confkey")
            ),
            &[&schemas, &tables],
        )
        .await
        .map_err(on(DOING))?;
    for row in &rows {
        let child = TargetName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        let (name, definition): (String, String) = (row.get(2), row.get(4));
        if !row.get::<_, bool>(3) {
            if let Some(table) = existing.tables.get_mut(&child) {
                table.checks.push((name, definition.trim_end_matches(" NOT VALID").to_owned()));
            }
            continue;
        }
        let parent = TargetName::new(row.get::<_, String>(5), row.get::<_, String>(6));
        if let Some(table) = existing.tables.get_mut(&parent) {
            table.referred.push((child.clone(), name.clone(), row.get(11)));
        }
        if let Some(table) = existing.tables.get_mut(&child) {
            table.foreign_keys.push(ForeignKey {
                name,
                columns: row.get(7),
                parent,
                parent_columns: row.get(8),
                manner: row.get(9),
                proven: row.get(10),
                definition,
            });
        }
    }
    Ok(())
}
