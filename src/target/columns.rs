//! The statements that change a column of a table that stands. They are text only: who runs them knows in which transaction.

use crate::convert::plan::{PgType, PlannedColumn};
use crate::ident::{self, TargetName};

/// `ALTER TABLE … ADD COLUMN`. NOT NULL holds only where the table is empty or a default fills the column.
#[must_use]
pub fn add(table: &TargetName, column: &PlannedColumn, default: Option<&str>) -> String {
    let default = default.map(|sql| format!(" DEFAULT {sql}")).unwrap_or_default();
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    alter(table, &format!("ADD COLUMN {} {}{default}{not_null}", ident::postgres(&column.name), column.ty.sql()))
}

/// `ALTER TABLE … DROP COLUMN`, with what is over that column: its indexes, checks and foreign keys.
#[must_use]
pub fn drop(table: &TargetName, name: &str) -> String {
    alter(table, &format!("DROP COLUMN {}", ident::postgres(name)))
}

/// `ALTER COLUMN … TYPE … USING`: an assignment by way of text where the types have no cast of their own. A default
/// (`has_default`; an identity is none) is dropped first, since it need not have one either; reconciliation sets it again.
#[must_use]
pub fn set_type(table: &TargetName, name: &str, from: &str, to: &PgType, has_default: bool) -> String {
    let quoted = ident::postgres(name);
    let using = match (from, to) {
        ("boolean", PgType::SmallInt | PgType::BigInt | PgType::Numeric { .. }) => format!("{quoted}::integer"),
        ("smallint" | "integer" | "bigint", PgType::Boolean) => format!("{quoted} <> 0"),
        (from, PgType::Boolean) if from.starts_with("numeric") => format!("{quoted} <> 0"),
        ("text[]", PgType::Text) => format!("array_to_string({quoted}, ',')"),
        ("text", PgType::TextArray) => format!("string_to_array({quoted}, ',')"),
        ("bytea", _) | (_, PgType::Bytea) => quoted.clone(),
        (_, PgType::Enum(_) | PgType::Json | PgType::Jsonb | PgType::Uuid | PgType::Inet) => {
            format!("{quoted}::text::{}", to.sql())
        }
        _ => format!("{quoted}::{}", to.sql()),
    };
    let drop = if has_default { format!("ALTER COLUMN {quoted} DROP DEFAULT, ") } else { String::new() };
    alter(table, &format!("{drop}ALTER COLUMN {quoted} TYPE {} USING {using}", to.sql()))
}

/// `SET NOT NULL` or `DROP NOT NULL`.
#[must_use]
pub fn set_nullable(table: &TargetName, name: &str, nullable: bool) -> String {
    let verb = if nullable { "DROP" } else { "SET" };
    alter(table, &format!("ALTER COLUMN {} {verb} NOT NULL", ident::postgres(name)))
}

/// `RENAME COLUMN`.
#[must_use]
pub fn rename(table: &TargetName, from: &str, to: &str) -> String {
    alter(table, &format!("RENAME COLUMN {} TO {}", ident::postgres(from), ident::postgres(to)))
}

/// `ALTER TABLE` and what follows it.
pub(super) fn alter(table: &TargetName, what: &str) -> String {
    format!("ALTER TABLE {} {what}", table.sql())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::plan::PgType as P;
    use crate::target::testing::{self, example};

    #[tokio::test]
    async fn values_survive_a_change_of_type() {
        let database = testing::database().await;
        let client = &*database.connect().await;
        let t = TargetName::new("public", "a \"t\"");
        client.batch_execute(&format!("CREATE TABLE {} (k int)", t.sql())).await.unwrap();
        client.batch_execute(&format!("INSERT INTO {} VALUES (1)", t.sql())).await.unwrap();
        let column = &example::plan("x").columns[1];
        client.batch_execute(&add(&t, column, Some("'true'"))).await.unwrap();
        client.batch_execute(&rename(&t, "Full Name", "c")).await.unwrap();
        let mut from = "character varying(40)".to_owned();
        for (to, value) in [
            (P::Text, "true"),
            (P::Boolean, "true"),
            (P::SmallInt, "1"),
            (P::Numeric { precision: 5, scale: 2 }, "1.00"),
            (P::Boolean, "true"),
            (P::Integer, "1"),
            (P::Double, "1"),
            (P::Text, "1"),
            (P::TextArray, "{1}"),
            (P::Text, "1"),
            (P::Jsonb, "1"),
        ] {
            client.batch_execute(&set_type(&t, "c", &from, &to, true)).await.unwrap();
            let row = client.query_one(&format!("SELECT c::text FROM {}", t.sql()), &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), value, "{from} -> {to:?}");
            from = to.sql();
        }
        for nullable in [false, true] {
            client.batch_execute(&set_nullable(&t, "c", nullable)).await.unwrap();
        }
        client.batch_execute(&drop(&t, "c")).await.unwrap();
    }
}
