//! What the role may not make on the target, found without making anything: for `sirenia check`.
//!
//! The same GRANTs that [`super::control`] and [`super::tables`] would ask for when they are refused.

use super::control;
use super::error::on;
use crate::convert::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_postgres::GenericClient;

/// The privileges that a first run will miss.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn missing<C: GenericClient + Sync>(client: &C, plans: &[Arc<TablePlan>]) -> Result<Vec<Error>> {
    let doing = "looking at the role's privileges on the target";
    let row = client
        .query_one(
            "SELECT current_user::text, current_database()::text, has_database_privilege(current_database(), 'CREATE')",
            &[],
        )
        .await
        .map_err(on(doing))?;
    let (user, database) = (ident::postgres(row.get(0)), ident::postgres(row.get(1)));
    let may_create: bool = row.get(2);
    let mut schemas: BTreeSet<&str> = plans.iter().map(|plan| plan.target.schema.as_str()).collect();
    if control::version(client).await?.is_none() {
        schemas.insert("sirenia");
    }
    let mut problems = Vec::new();
    let mut lacks = |what: String, on: String| {
        problems.push(
            Error::new(ErrorKind::AccessDenied, format!("the target's role {user} may not {what}"))
                .with_hint(format!("GRANT {on} TO {user};")),
        );
    };
    let mut makes_schema = false;
    for schema in schemas {
        let row = client
            .query_opt(
                "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')
                   FROM pg_namespace WHERE nspname = $1",
                &[&schema],
            )
            .await
            .map_err(on(doing))?;
        let quoted = ident::postgres(schema);
        match row.map(|row| row.get::<_, bool>(0)) {
            Some(true) => {}
            Some(false) => {
                lacks(format!("make tables in schema {schema}"), format!("USAGE, CREATE ON SCHEMA {quoted}"))
            }
            None if may_create || std::mem::replace(&mut makes_schema, true) => {}
            None => lacks(format!("make schema {schema}"), format!("CREATE ON DATABASE {database}")),
        }
    }
    Ok(problems)
}
