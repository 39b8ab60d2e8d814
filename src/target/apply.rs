//! Applies merged batches, each with its checkpoint in one target transaction.
//!
//! Enters: [`Batch`]es in source order. Leaves: committed rows and the position behind them. Invariants 1 and 2: the
//! position is advanced by a fencing function inside the transaction that holds the rows, right before COMMIT, so a
//! stale writer or one that starts from an unexpected position fails as a whole. A batch that ends open keeps the
//! transaction for the next one.
//!
//! Per table: rows of `deletes` go first by key, then partial updates change rows ([`super::patches`]), then `inserts`
//! come by COPY (many) or as pipelined prepared statements (few). A whole update is a removal and an insert: measured
//! against ON CONFLICT it is the faster way, and unique values may be swapped between rows of one batch. After any error
//! the connection must be dropped; the pipeline starts again from the checkpoint.

mod at_once;
mod broken_keys;
mod careful;

use super::cascade::Cascades;
use super::copy::{self, Fields, Raw};
use super::error::classify;
use super::patches::Patches;
use super::subtract::subtract;
use super::{Connection, fence, progress, quarantine, sanitized, to_json};
use crate::batch::{Batch, End, RowCounts};
use crate::convert::Arena;
use crate::convert::plan::TablePlan;
use crate::convert::sanitize::{self, Changed, Total};
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use crate::identity::SourceIdentity;
use crate::key_graph::KeyGraph;
use crate::merge::{Segment, TableChanges};
use crate::position::Position;
use careful::Books;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

/// From this many rows on COPY is used, below it a pipelined INSERT for each: a COPY costs a round trip of its own.
const COPY_FROM_ROWS: usize = 12;
/// Rows are found by key. A plan that was made and kept while a table was small, or before anybody took statistics, must not
/// scan it when it has grown; and where only a scan is left, its price must not have it compiled each time.
const BY_INDEX: &str = "SET enable_seqscan = off; SET jit = off";
/// Bytes of parameters that are sent before their results are waited for.
const SENT_BYTES: usize = 4 << 20;

/// The writer of one pipeline: one connection, one expected position.
pub struct Writer {
    client: Connection,
    plans: Vec<Arc<TablePlan>>,
    statements: Vec<TableStatements>,
    patches: Patches,
    cascades: Cascades,
    advance: Statement,
    pipeline: String,
    epoch: i64,
    /// The binlog file that is read now, when it has changed since the last commit.
    identity: Option<SourceIdentity>,
    position: Position,
    in_transaction: bool,
    /// Counted into the checkpoint at the next commit.
    pending: Counts,
    graph: Arc<KeyGraph>,
    books: Books,
    /// Values changed to fit, recorded in the open transaction or the last one.
    sanitized: Vec<Total>,
}

/// What was applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Source transactions.
    pub transactions: u64,
    /// Row changes of the source.
    pub changes: RowCounts,
    /// Rows removed and added on the target.
    pub rows: u64,
}

/// What a statement's row count must be.
#[derive(Clone, Copy)]
enum Check<'a> {
    None,
    /// So many rows are to be there, to go or to change.
    Found(&'a TableChanges, u64),
    /// So are those of `deletes`, but for keys in quarantine.
    Removed(&'a TableChanges),
    Added(&'a TableChanges),
}

/// Statements on their way, each with what its row count must be.
struct Sent<'a> {
    pending: Vec<Pending<'a>>,
    checks: Vec<Check<'a>>,
    bytes: usize,
}

impl<'a> Sent<'a> {
    fn push(&mut self, statement: Pending<'a>, check: Check<'a>) {
        self.pending.push(statement);
        self.checks.push(check);
    }
}

#[derive(Default)]
struct TableStatements {
    delete: Option<Statement>,
    copy: Option<Statement>,
    insert: Option<Statement>,
    /// `delete` and `insert` that fail unless they find or add what they are to.
    sure_delete: Option<Statement>,
    sure_insert: Option<Statement>,
    /// The server does not take those two.
    unsure: bool,
    /// Changes of the table so far, and when the statements were prepared.
    changes: usize,
    prepared_at: usize,
}

impl TableStatements {
    /// Takes changes into account. PostgreSQL keeps a statement's plan; one made for few rows (read all, join by hash) is ruinous
    /// for many. So statements are prepared anew when the table has taken ten times the changes.
    fn age(&mut self, changes: &TableChanges) {
        const SMALL: usize = 100;
        self.changes += changes.deletes.len() + changes.inserts.len();
        if self.changes >= 10 * self.prepared_at.max(SMALL) {
            let changes = self.changes;
            *self = Self { changes, prepared_at: changes, unsure: self.unsure, ..Self::default() };
        }
    }
}

impl Writer {
    /// A writer that continues at `position`, which must be the checkpoint's.
    ///
    /// # Errors
    /// When the control functions are missing or the connection fails.
    pub async fn new(
        client: Connection,
        plans: Vec<Arc<TablePlan>>,
        graph: Arc<KeyGraph>,
        pipeline: &str,
        epoch: i64,
        position: Position,
        most_quarantined: usize,
    ) -> Result<Self> {
        client.batch_execute(BY_INDEX).await.map_err(|e| classify(e, "prepare the writer's session"))?;
        let books = Books::new(quarantine::load(&*client, pipeline, &plans).await?, most_quarantined);
        let advance = fence::prepare_advance(&*client).await?;
        let statements = plans.iter().map(|_| TableStatements::default()).collect();
        let cascades = Cascades::new(Arc::clone(&graph), &plans);
        let pending = Counts::default();
        Ok(Self {
            client,
            plans,
            statements,
            patches: Patches::default(),
            cascades,
            advance,
            pipeline: pipeline.to_owned(),
            epoch,
            identity: None,
            position,
            in_transaction: false,
            pending,
            graph,
            books,
            sanitized: Vec::new(),
        })
    }

    /// The position of the last commit.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Records with the next commit which binlog file the position lies in.
    pub fn identity(&mut self, identity: &SourceIdentity) {
        self.identity = Some(identity.clone());
    }

    async fn apply_once(&mut self, batch: &mut Batch) -> Result<Option<Counts>> {
        if batch.end == End::Rollback {
            if std::mem::take(&mut self.in_transaction) {
                self.client.batch_execute("ROLLBACK").await.map_err(|e| classify(e, "roll back"))?;
                self.reopen_books().await?;
            }
            self.pending = Counts::default();
            self.sanitized.clear();
            return Ok(None);
        }
        if let Some(counts) = self.at_once(batch).await? {
            return Ok(Some(counts));
        }
        self.pending.transactions += batch.transactions;
        self.pending.changes += batch.changes;
        let (slice, rows) = (self.in_transaction, self.pending.rows);
        if slice {
            let mark = self.client.batch_execute("SAVEPOINT sirenia_slice").await;
            mark.map_err(|e| classify(e, "begin a slice"))?;
        }
        if self.books.begin(batch) {
            self.in_parts(batch).await?;
        } else {
            match self.segments(&batch.segments, &batch.arena).await {
                Ok(()) => self.books.walk(batch, 0..batch.log.len()),
                Err(error) if error.kind() == ErrorKind::TargetData => {
                    self.pending.rows = rows;
                    self.careful(batch, &error, slice).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.books.set_aside_before(batch, batch.log.len());
        self.keep_books().await?;
        if !batch.sanitized.is_empty() {
            self.record_sanitized(&batch.sanitized).await?;
        }
        let End::Commit { position, committed_at } = &batch.end else { return Ok(None) };
        let counts = std::mem::take(&mut self.pending);
        let step = self.step(position, *committed_at, counts);
        let identity = self.identity.as_ref().map(to_json).transpose()?;
        let (client, pipeline) = (&self.client, &self.pipeline);
        let mut pending: Vec<Pending<'_>> = self.begin().into_iter().collect();
        pending.push(Box::pin(async {
            fence::advance(&*self.client, &self.advance, &self.pipeline, self.epoch, &step).await.map(|()| 0)
        }));
        if let Some(identity) = &identity {
            pending.push(statement(async move {
                let update = "UPDATE sirenia.checkpoint SET source_identity = $2::text::jsonb WHERE pipeline = $1";
                let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(pipeline, Type::TEXT), (identity, Type::TEXT)];
                client.execute_typed(update, &parameters).await
            }));
        }
        pending.push(statement(async { self.client.batch_execute("COMMIT").await.map(|()| 0) }));
        in_order(pending).await.map_err(|e| e.at("commit a batch"))?;
        self.identity = None;
        self.in_transaction = false;
        self.position = position.clone();
        Ok(Some(counts))
    }

    /// Whether a part of a source transaction is applied and the rest is to come.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether somebody asked for a table to be paused or copied anew.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn asked_for_tables(&self) -> Result<bool> {
        Ok(!progress::requested(&*self.client, &self.pipeline).await?.is_empty())
    }

    /// What was changed to fit in the batches that were committed since the last call.
    pub fn take_sanitized(&mut self) -> Vec<Total> {
        std::mem::take(&mut self.sanitized)
    }

    async fn record_sanitized(&mut self, changed: &[Changed]) -> Result<()> {
        if let Some(begin) = self.begin() {
            begin.await?;
        }
        self.in_transaction = true;
        let totals = sanitize::totals(changed);
        sanitized::record(&*self.client, &self.pipeline, &self.plans, changed, &totals).await?;
        self.sanitized.extend(totals);
        Ok(())
    }

    /// The checkpoint's step to `next`, behind changes that the source has committed at that second since 1970.
    fn step<'a>(&'a self, next: &'a Position, committed_at: Option<u32>, counts: Counts) -> fence::Advance<'a> {
        fence::Advance {
            expected: &self.position,
            next,
            committed_at: committed_at.map(|at| UNIX_EPOCH + Duration::from_secs(u64::from(at))),
            transactions: counts.transactions,
            changes: counts.changes.total(),
            rows: counts.rows,
        }
    }

    /// BEGIN, unless a transaction is open already.
    fn begin(&self) -> Option<Pending<'_>> {
        let begin = || statement(async { self.client.batch_execute("BEGIN").await.map(|()| 0) });
        (!self.in_transaction).then(begin)
    }

    async fn segments(&mut self, segments: &[Segment], arena: &Arena) -> Result<()> {
        for segment in segments {
            self.segment(segment, arena).await?;
        }
        Ok(())
    }

    async fn segment(&mut self, segment: &Segment, arena: &Arena) -> Result<()> {
        for changes in &segment.tables {
            self.statements[changes.table].age(changes);
            self.prepare(changes, arena).await?;
        }
        self.changes_and_few_inserts(segment, arena).await?;
        self.in_transaction = true;
        for changes in segment.tables.iter().filter(|changes| changes.inserts.len() >= COPY_FROM_ROWS) {
            let plan = &self.plans[changes.table];
            let Some(copy) = &self.statements[changes.table].copy else { continue };
            let tuples = changes.inserts.iter().map(|span| arena.get(*span));
            let added = copy::copy_in(&self.client, copy, tuples).await.map_err(|e| rejected(e, plan))?;
            self.all_added(plan, added, changes.inserts.len() as u64)?;
        }
        for cascade in &segment.cascades {
            self.pending.rows += self.cascades.run(&self.client, &self.plans, cascade, arena).await?;
        }
        Ok(())
    }

    async fn changes_and_few_inserts(&mut self, segment: &Segment, arena: &Arena) -> Result<()> {
        for changes in &segment.tables {
            if !changes.deletes.is_empty() && !self.plans[changes.table].has_key() {
                if let Some(begin) = self.begin() {
                    begin.await?;
                }
                self.in_transaction = true;
                let plan = &self.plans[changes.table];
                let (removed, wanted) = subtract(&self.client, plan, changes, arena).await?;
                self.pending.rows += removed;
                if changes.exact && removed != wanted {
                    return Err(self.diverged(changes, removed, wanted));
                }
            }
        }
        let keyed_deletes: Vec<Vec<Raw>> =
            segment.tables.iter().map(|changes| deleted_keys(&self.plans[changes.table], changes, arena)).collect();
        let client = &self.client;
        let mut rows = 0;
        let mut sent = Sent { pending: Vec::new(), checks: Vec::new(), bytes: 0 };
        if let Some(begin) = self.begin() {
            sent.push(begin, Check::None);
        }
        for (changes, arrays) in segment.tables.iter().zip(&keyed_deletes) {
            let (plan, statements) = (&self.plans[changes.table], &self.statements[changes.table]);
            if let Some(delete) = statements.delete.as_ref().filter(|_| !changes.deletes.is_empty()) {
                let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|a| a as _).collect();
                let delete = statement(async move { client.execute(delete, &parameters).await });
                sent.push(delete, Check::Removed(changes));
            }
            for rewrite in self.patches.rewrites(plan, changes, arena) {
                sent.bytes += rewrite.bytes();
                let wanted = rewrite.rows as u64;
                let change = statement(async move {
                    let parameters: Vec<&(dyn ToSql + Sync)> = rewrite.parameters.iter().map(|p| p as _).collect();
                    client.execute(&rewrite.statement, &parameters).await
                });
                sent.push(change, Check::Found(changes, wanted));
                if sent.bytes >= SENT_BYTES {
                    rows += self.settle(&mut sent, arena).await?;
                }
            }
            if let Some(insert) = statements.insert.as_ref().filter(|_| changes.inserts.len() < COPY_FROM_ROWS) {
                for tuple in &changes.inserts {
                    let fields = fields(arena.get(*tuple));
                    let insert = statement(async move {
                        let parameters: Vec<&(dyn ToSql + Sync)> = fields.iter().map(|f| f as _).collect();
                        client.execute(insert, &parameters).await
                    });
                    sent.push(insert, Check::Added(changes));
                }
            }
        }
        rows += self.settle(&mut sent, arena).await?;
        drop(sent);
        let copied = segment.tables.iter().map(|changes| changes.inserts.len()).filter(|rows| *rows >= COPY_FROM_ROWS);
        self.pending.rows += rows + copied.map(|rows| rows as u64).sum::<u64>();
        Ok(())
    }

    /// Waits for what was sent and checks it; returns the number of rows touched.
    async fn settle(&self, sent: &mut Sent<'_>, arena: &Arena) -> Result<u64> {
        sent.bytes = 0;
        let done = in_order(std::mem::take(&mut sent.pending)).await?;
        for (touched, check) in done.iter().zip(sent.checks.drain(..)) {
            match check {
                Check::Found(changes, wanted) if changes.exact && *touched != wanted => {
                    return Err(self.diverged(changes, *touched, wanted));
                }
                Check::Removed(changes) => {
                    let wanted = changes.deletes.len() as u64;
                    if changes.exact && *touched != wanted && !self.books.excuse(changes, arena, *touched, wanted) {
                        return Err(self.diverged(changes, *touched, wanted));
                    }
                }
                Check::Added(changes) => self.all_added(&self.plans[changes.table], *touched, 1)?,
                Check::Found(..) | Check::None => {}
            }
        }
        Ok(done.iter().sum())
    }

    /// A trigger or rule on the target may swallow rows without an error.
    fn all_added(&self, plan: &TablePlan, added: u64, wanted: u64) -> Result<()> {
        if added == wanted {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Diverged,
            format!("table {} on the target took {added} of {wanted} rows", plan.target),
        )
        .detail("a trigger or rule there keeps rows from being added")
        .with_hint(format!("drop it: \\d {} in psql lists them", plan.target)))
    }

    fn diverged(&self, changes: &TableChanges, found: u64, wanted: u64) -> Error {
        let plan = &self.plans[changes.table];
        Error::new(
            ErrorKind::Diverged,
            format!("table {} on the target misses rows that the source changed", plan.target),
        )
        .detail(format!("{wanted} rows were to be changed, {found} were found, in the batch behind {}", self.position))
        .with_hint(format!(
            "something else wrote to the target; `sirenia verify --tables {}` lists the differences, \
             `sirenia reset --yes` and `sirenia run` copy anew",
            plan.source.name.table
        ))
    }

    async fn prepare(&mut self, changes: &TableChanges, arena: &Arena) -> Result<()> {
        let plan = Arc::clone(&self.plans[changes.table]);
        self.patches.prepare(&self.client, &plan, changes, arena).await?;
        let statements = &mut self.statements[changes.table];
        let client = &self.client;
        let doing = |e| classify(e, &format!("prepare statements for {}", plan.target));
        if !changes.deletes.is_empty() && plan.has_key() && statements.delete.is_none() {
            statements.delete = Some(client.prepare(&delete_sql(&plan)).await.map_err(doing)?);
        }
        if changes.inserts.len() >= COPY_FROM_ROWS && statements.copy.is_none() {
            let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
            let copy = format!("COPY {} ({names}) FROM STDIN BINARY", plan.target.sql());
            statements.copy = Some(client.prepare(&copy).await.map_err(doing)?);
        }
        if !changes.inserts.is_empty() && changes.inserts.len() < COPY_FROM_ROWS && statements.insert.is_none() {
            statements.insert = Some(client.prepare(&insert_sql(&plan)).await.map_err(doing)?);
        }
        Ok(())
    }
}

/// `DELETE` by arrays of key columns: one index look-up a row, whatever their number.
fn delete_sql(plan: &TablePlan) -> String {
    let target = plan.target.sql();
    let key: Vec<_> = plan.key.iter().map(|column| &plan.columns[*column]).collect();
    if let [column] = key[..] {
        let name = ident::postgres(&column.name);
        return format!("DELETE FROM {target} WHERE {name} = ANY ($1::{}[])", column.ty.sql());
    }
    let arrays: Vec<String> = (1..).zip(&key).map(|(n, column)| format!("${n}::{}[]", column.ty.sql())).collect();
    let names: Vec<String> = (1..=key.len()).map(|n| format!("k{n}")).collect();
    let matches: Vec<String> = names
        .iter()
        .zip(&key)
        .map(|(name, column)| format!("t.{} = s.{name}", ident::postgres(&column.name)))
        .collect();
    format!(
        "DELETE FROM {target} AS t USING unnest({}) AS s({}) WHERE {}",
        arrays.join(", "),
        names.join(", "),
        matches.join(" AND ")
    )
}

fn insert_sql(plan: &TablePlan) -> String {
    let names = ident::postgres_list(plan.columns.iter().map(|column| column.name.as_str()));
    let places: Vec<String> = (1..=plan.columns.len()).map(|n| format!("${n}")).collect();
    format!("INSERT INTO {} ({names}) VALUES ({})", plan.target.sql(), places.join(", "))
}

/// The keys of the rows to remove, an array for each column of the key.
fn deleted_keys(plan: &TablePlan, changes: &TableChanges, arena: &Arena) -> Vec<Raw> {
    let oids: Vec<u32> = plan.key.iter().map(|column| plan.columns[*column].ty.oids().0).collect();
    copy::span_arrays(&oids, arena, changes.deletes.iter().map(|delete| delete.row))
}

/// A tuple's fields as parameters.
fn fields(tuple: &[u8]) -> Vec<Option<Raw>> {
    Fields::of_tuple(tuple).map(|field| copy::field_value(field).map(|value| Raw(value.to_vec()))).collect()
}

fn rejected(error: tokio_postgres::Error, plan: &TablePlan) -> Error {
    classify(error, &format!("add rows to {}", plan.target))
}

fn statement<'a>(sent: impl Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a) -> Pending<'a> {
    Box::pin(async move { sent.await.map_err(|e| classify(e, "apply changes")) })
}

/// A statement on its way: the number of rows it touched.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'a>>;

/// Sends statements in order without waiting for each other's results, and returns the results in that order.
///
/// tokio-postgres sends a statement when its future is first polled, so polling in order is sending in order. The
/// first error is returned; the rest have been sent and answered, or will be dropped with the connection.
pub async fn in_order(mut pending: Vec<Pending<'_>>) -> Result<Vec<u64>> {
    let mut results: Vec<Option<Result<u64>>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, result) in pending.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(done) => *result = Some(done),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}
