//! A consistent view of some tables at one exactly known position.
//!
//! On MariaDB with transactional tables this costs no lock: the consistent snapshot knows its binlog position. Else
//! `LOCK TABLES … READ` is held while a second connection opens its view and the binlog's position is read. The lock is
//! granted when no transaction that changed these tables is still under way (writers keep their metadata locks until
//! the engine has committed), so for these tables the write position is exact, and with it MySQL's executed set. For
//! other tables the position means nothing. Tables of engines without transactions are read through the locking
//! connection itself, and the lock lasts as long as that takes.
//!
//! The metadata lock also waits for prepared XA transactions; without it they are looked for before and after.

use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::schema::{Catalog, Flavor, TableSchema};
use crate::source::connect::{SourceConfig, connect};
use crate::source::refusal::{Doing, server_code};
use crate::source::server::{ServerFacts, write_position};
use crate::source::snapshot::position::{
    LOCK_PAUSE, LOCK_TRIES, LOCK_WAIT_SECONDS, limit_lock_wait, open_mariadb_view, refuse_prepared, xa_counters,
};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// An open view. Transactions of its tables at or before `position` are in it, later ones are not.
pub struct ExactSnapshot {
    /// Where the view stands, for its own tables only.
    pub position: Position,
    view: Conn,
    /// Holds LOCK TABLES, as long as tables without transactions are among them.
    lock: Option<Conn>,
}

impl ExactSnapshot {
    /// The connection through which that table is to be read.
    pub fn connection(&mut self, table: &TableSchema) -> &mut Conn {
        match &mut self.lock {
            Some(lock) if !table.transactional => lock,
            _ => &mut self.view,
        }
    }

    /// Ends the view and the lock.
    ///
    /// # Errors
    /// `SourceUnavailable` when a connection is gone; the rows read before are good all the same.
    pub async fn close(mut self) -> Result<()> {
        self.view.query_drop("ROLLBACK").await.doing("cannot end the snapshot transaction")?;
        if let Some(mut lock) = self.lock.take() {
            lock.query_drop("UNLOCK TABLES").await.doing("cannot release the table locks")?;
            let _ = lock.disconnect().await;
        }
        let _ = self.view.disconnect().await;
        Ok(())
    }
}

/// Whether [`open_exact`] will lock these tables.
#[must_use]
pub fn needs_lock(flavor: Flavor, catalog: &Catalog, tables: &[usize]) -> bool {
    flavor != Flavor::MariaDb || tables.iter().any(|at| !catalog.tables[*at].transactional)
}

/// Opens a consistent view of the tables (indices in [`Catalog::tables`]).
///
/// # Errors
/// `AccessDenied` without LOCK TABLES where a lock is needed; `SourceUnavailable` when the lock is not granted in time;
/// `PreparedXa`.
pub async fn open_exact(
    config: &SourceConfig,
    facts: &ServerFacts,
    catalog: &Catalog,
    tables: &[usize],
) -> Result<ExactSnapshot> {
    let mut view = connect(config).await?;
    if !needs_lock(facts.flavor, catalog, tables) {
        let position = view_without_xa(&mut view).await?;
        return Ok(ExactSnapshot { position, view, lock: None });
    }
    let mut lock = connect(config).await?;
    lock_tables(&mut lock, catalog, tables).await?;
    view.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.doing("cannot open a consistent snapshot")?;
    let position = write_position(&mut view, facts).await?;
    if tables.iter().all(|at| catalog.tables[*at].transactional) {
        lock.query_drop("UNLOCK TABLES").await.doing("cannot release the table locks")?;
        let _ = lock.disconnect().await;
        return Ok(ExactSnapshot { position, view, lock: None });
    }
    Ok(ExactSnapshot { position, view, lock: Some(lock) })
}

/// A MariaDB view that no XA transaction straddles: prepared before it and committed behind it.
async fn view_without_xa(view: &mut Conn) -> Result<Position> {
    for _ in 0..LOCK_TRIES {
        refuse_prepared(view).await?;
        let before = xa_counters(view).await?;
        let position = open_mariadb_view(view).await?;
        refuse_prepared(view).await?;
        if xa_counters(view).await? == before {
            return Ok(position);
        }
        view.query_drop("ROLLBACK").await.doing("cannot end the snapshot transaction")?;
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(Error::new(ErrorKind::PreparedXa, "the source runs XA transactions all the time")
        .with_hint("run again when fewer XA transactions are under way"))
}

async fn lock_tables(lock: &mut Conn, catalog: &Catalog, tables: &[usize]) -> Result<()> {
    limit_lock_wait(lock).await?;
    let list: Vec<String> = tables.iter().map(|at| format!("{} READ", catalog.tables[*at].name.mysql())).collect();
    let statement = format!("LOCK TABLES {}", list.join(", "));
    let mut tries = 1;
    while let Err(error) = lock.query_drop(&statement).await {
        if server_code(&error) != Some(1205) || tries == LOCK_TRIES {
            let names: Vec<String> = tables.iter().map(|at| catalog.tables[*at].name.to_string()).collect();
            let doing = format!("cannot lock {} for reading", names.join(", "));
            return Err(error).doing(&doing).map_err(|error| match error.kind() {
                ErrorKind::SourceUnavailable => error.with_hint(format!(
                    "transactions on these tables stay open longer than {LOCK_WAIT_SECONDS} s; run again when they have ended"
                )),
                ErrorKind::AccessDenied => error.with_hint("GRANT LOCK TABLES ON the database TO the account of this connection"),
                _ => error,
            });
        }
        tries += 1;
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Ok(())
}
