//! A consistent view of some tables at one exactly known position.
//!
//! On MariaDB with transactional tables this costs no lock: the consistent snapshot knows its binlog position. Else
//! `LOCK TABLES … READ` is held while a second connection opens its view and the binlog's position is read. The lock is
//! granted when no transaction that changed these tables is still under way (writers keep their metadata locks until
//! the engine has committed), so for these tables the write position is exact, and with it MySQL's executed set. For
//! other tables the position means nothing. Tables of engines without transactions are read through the locking
//! connection itself, and the lock lasts as long as that takes.
//!
//! Positions and counters are read on a control connection, but for the place of MariaDB's snapshot, which only its own
//! connection can tell.
//!
//! The metadata lock also waits for prepared XA transactions; without it they are looked for before and after.

use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::schema::{Catalog, Flavor, TableSchema};
use crate::source::client::TextRow;
use crate::source::connect::{SourceConfig, connect};
use crate::source::refusal::{Doing, server_code};
use crate::source::rows::RowSession;
use crate::source::server::{ServerFacts, mariadb_gtid_at, write_position};
use crate::source::snapshot::position::{
    LOCK_PAUSE, LOCK_TRIES, LOCK_WAIT_SECONDS, OPEN_VIEW, VIEW_PLACE, limit_lock_wait, refuse_prepared, view_place,
    xa_counters,
};
use mysql_async::Conn;

/// An open view. Transactions of its tables at or before `position` are in it, later ones are not.
pub struct ExactSnapshot {
    /// Where the view stands, for its own tables only.
    pub position: Position,
    view: RowSession,
    /// Holds LOCK TABLES, as long as tables without transactions are among them.
    lock: Option<RowSession>,
}

impl ExactSnapshot {
    /// The connection through which that table is to be read.
    pub fn connection(&mut self, table: &TableSchema) -> &mut RowSession {
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
        self.view.execute("ROLLBACK").await.doing("cannot end the snapshot transaction")?;
        if let Some(mut lock) = self.lock.take() {
            lock.execute("UNLOCK TABLES").await.doing("cannot release the table locks")?;
            lock.close().await;
        }
        self.view.close().await;
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
    let mut control = connect(config).await?;
    let mut view = RowSession::open(config).await?;
    let mut lock = None;
    let position = if needs_lock(facts.flavor, catalog, tables) {
        let mut locking = RowSession::open(config).await?;
        lock_tables(&mut locking, catalog, tables).await?;
        view.execute(OPEN_VIEW).await.doing("cannot open a consistent snapshot")?;
        let position = write_position(&mut control, facts).await?;
        if tables.iter().all(|at| catalog.tables[*at].transactional) {
            locking.execute("UNLOCK TABLES").await.doing("cannot release the table locks")?;
            locking.close().await;
        } else {
            lock = Some(locking);
        }
        position
    } else {
        view_without_xa(&mut view, &mut control).await?
    };
    let _ = control.disconnect().await;
    Ok(ExactSnapshot { position, view, lock })
}

/// A MariaDB view that no XA transaction straddles: prepared before it and committed behind it.
async fn view_without_xa(view: &mut RowSession, control: &mut Conn) -> Result<Position> {
    for _ in 0..LOCK_TRIES {
        refuse_prepared(control).await?;
        let before = xa_counters(control).await?;
        view.execute(OPEN_VIEW).await.doing("cannot open a consistent snapshot")?;
        let place = view.query(VIEW_PLACE).await.doing("cannot read the snapshot's position")?;
        let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
        let pair = |row: &TextRow| row.first_chunk().map(|[name, value]| (text(name), text(value)));
        let binlog = view_place(&place.iter().filter_map(pair).collect::<Vec<_>>())?;
        let gtid = mariadb_gtid_at(control, &binlog).await?;
        refuse_prepared(control).await?;
        if xa_counters(control).await? == before {
            return Ok(Position { binlog, gtid });
        }
        view.execute("ROLLBACK").await.doing("cannot end the snapshot transaction")?;
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(Error::new(ErrorKind::PreparedXa, "the source runs XA transactions all the time")
        .with_hint("run again when fewer XA transactions are under way"))
}

async fn lock_tables(lock: &mut RowSession, catalog: &Catalog, tables: &[usize]) -> Result<()> {
    lock.execute(&limit_lock_wait()).await.doing("cannot limit lock waits")?;
    let list: Vec<String> = tables.iter().map(|at| format!("{} READ", catalog.tables[*at].name.mysql())).collect();
    let statement = format!("LOCK TABLES {}", list.join(", "));
    let mut tries = 1;
    while let Err(error) = lock.execute(&statement).await {
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
