//! The control tables: schema `sirenia` in the target database, made and upgraded by the program itself.
//!
//! They live beside the data because rows and checkpoint must commit in one transaction. Invariant: after [`install`]
//! the tables are at exactly [`VERSION`]; two instances that install at once are serialised by an advisory lock, and a
//! step is done wholly or not at all.

use super::error::{classify, on, sqlstate};
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use tokio_postgres::{Client, Transaction};

/// Step `n` leads from version `n` to `n + 1`.
const STEPS: [&str; 6] = [
    include_str!("sql/control_1.sql"),
    include_str!("sql/control_2.sql"),
    include_str!("sql/control_3.sql"),
    include_str!("sql/control_4.sql"),
    include_str!("sql/control_5.sql"),
    include_str!("sql/control_6.sql"),
];

/// The version of the control tables that this program works with.
pub const VERSION: i32 = STEPS.len() as i32;

/// The advisory lock that serialises installers: "sirenia" in ASCII.
const INSTALL_LOCK: i64 = 0x73_69_72_65_6e_69_61;

/// Makes the control tables, or upgrades them; nothing is done where they are current.
///
/// # Errors
/// [`ErrorKind::AccessDenied`] with the GRANT that is missing; [`ErrorKind::Config`] when a newer program made them.
pub async fn install(client: &mut Client) -> Result<()> {
    if version(client).await? == Some(VERSION) {
        return Ok(());
    }
    let doing = "making the control tables (schema sirenia)";
    let transaction = client.transaction().await.map_err(on(doing))?;
    let result = upgrade(&transaction, doing).await;
    if let Err(error) = result {
        let _ = transaction.rollback().await;
        return Err(error);
    }
    transaction.commit().await.map_err(on(doing))
}

async fn upgrade(transaction: &Transaction<'_>, doing: &str) -> Result<()> {
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&INSTALL_LOCK]).await.map_err(on(doing))?;
    let who = transaction
        .query_one(
            "SELECT current_user::text, current_database()::text,
                    EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'sirenia')",
            &[],
        )
        .await
        .map_err(on(doing))?;
    let (user, database) = (ident::postgres(who.get(0)), ident::postgres(who.get(1)));
    let denied = |error: tokio_postgres::Error, hint: String| {
        let denied = sqlstate(&error) == Some("42501");
        let error = classify(error, doing);
        if denied { error.with_hint(hint) } else { error }
    };
    if !who.get::<_, bool>(2) {
        let hint = format!("GRANT CREATE ON DATABASE {database} TO {user};");
        transaction.batch_execute("CREATE SCHEMA sirenia").await.map_err(|error| denied(error, hint))?;
        transaction
            .batch_execute("COMMENT ON SCHEMA sirenia IS 'Control tables of the replicator sirenia.'")
            .await
            .map_err(on(doing))?;
    }
    // read again under the lock: another instance may have been first
    let from = version(transaction).await?.unwrap_or(0);
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        let hint = format!("GRANT USAGE, CREATE ON SCHEMA sirenia TO {user};  -- or let its owner run this once");
        transaction.batch_execute(step).await.map_err(|error| denied(error, hint))?;
    }
    transaction
        .execute(
            "INSERT INTO sirenia.meta (version) VALUES ($1)
             ON CONFLICT (only_row) DO UPDATE SET version = excluded.version",
            &[&VERSION],
        )
        .await
        .map_err(on(doing))?;
    Ok(())
}

/// The installed version of the control tables; none when they do not exist.
///
/// # Errors
/// [`ErrorKind::Config`] when it is newer than this program; [`ErrorKind::AccessDenied`] with the GRANT.
pub async fn version<C: tokio_postgres::GenericClient + Sync>(client: &C) -> Result<Option<i32>> {
    let doing = "reading the control tables (schema sirenia)";
    let exists = client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                             WHERE n.nspname = 'sirenia' AND c.relname = 'meta'), current_user::text",
            &[],
        )
        .await
        .map_err(on(doing))?;
    if !exists.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client.query_opt("SELECT version FROM sirenia.meta", &[]).await.map_err(|error| {
        let user = ident::postgres(exists.get(1));
        let denied = sqlstate(&error) == Some("42501");
        let error = classify(error, doing);
        if !denied {
            return error;
        }
        error.with_hint(format!(
            "GRANT USAGE, CREATE ON SCHEMA sirenia TO {user};\nGRANT ALL ON ALL TABLES IN SCHEMA sirenia TO {user};"
        ))
    })?;
    let version = row.map(|row| row.get::<_, i32>(0));
    if version.is_some_and(|version| version > VERSION) {
        return Err(Error::new(ErrorKind::Config, "the control tables (schema sirenia) are of a newer sirenia")
            .detail(format!("version {}, this program knows {VERSION}", version.unwrap_or_default()))
            .with_hint("run the newer program"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::connect::connect;
    use crate::target::{TargetConfig, testing};

    #[tokio::test]
    async fn installing_is_idempotent_and_safe_side_by_side() {
        let database = testing::database().await;
        let (mut a, mut b, mut c) = (database.connect().await, database.connect().await, database.connect().await);
        assert_eq!(version(&*a).await.unwrap(), None);
        let (x, y, z) = tokio::join!(install(&mut a), install(&mut b), install(&mut c));
        x.and(y).and(z).unwrap();
        install(&mut a).await.unwrap();
        assert_eq!(version(&*a).await.unwrap(), Some(VERSION));
        a.batch_execute("UPDATE sirenia.meta SET version = 99").await.unwrap();
        assert_eq!(install(&mut a).await.unwrap_err().kind(), ErrorKind::Config);
    }

    #[tokio::test]
    async fn every_table_and_function_is_commented() {
        let database = testing::prepared().await;
        let client = database.connect().await;
        let bare = client
            .query(
                "SELECT c.relname::text FROM pg_class c WHERE relnamespace = 'sirenia'::regnamespace AND relkind = 'r'
                    AND obj_description(oid, 'pg_class') IS NULL
                 UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'sirenia'::regnamespace
                    AND obj_description(oid, 'pg_proc') IS NULL",
                &[],
            )
            .await
            .unwrap();
        assert!(bare.is_empty(), "{:?}", bare.first().map(|row| row.get::<_, String>(0)));
    }

    #[tokio::test]
    async fn too_little_privilege_names_the_grant() {
        let database = testing::database().await;
        let admin = database.connect().await;
        let role = format!("Low {}", database.config.database);
        admin.batch_execute(&format!("CREATE ROLE {} LOGIN PASSWORD 'x'", ident::postgres(&role))).await.unwrap();
        let config = TargetConfig { user: role.clone(), password: "x".into(), ..database.config.clone() };
        let mut low = connect(&config, "test").await.unwrap();
        let error = install(&mut low).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        let wanted = error.hint().unwrap().to_owned();
        assert_eq!(wanted, format!("GRANT CREATE ON DATABASE \"{}\" TO \"{role}\";", database.config.database));
        admin.batch_execute(&wanted).await.unwrap();
        install(&mut low).await.unwrap();
    }
}
