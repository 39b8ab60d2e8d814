//! The first copy: tables read by several readers, each chunk committed with its progress.
//!
//! Progress: a chunk's rows, its last key and its count commit in one fenced transaction, so a killed copy goes on behind
//! the last committed chunk of each range of keys. What there is to do, and in which ranges, is [`work`]'s. Tables of an
//! exact group are copied in one target transaction together with the position of their view: interrupted, nothing of it
//! remains and the group is copied again. A table's key is built right after its rows.

mod work;

use super::recopy::{alike, leave_out, pause};
use super::shutdown::Shutdown;
use super::state::Context;
use super::throttle::Watch;
use crate::convert::aside::{Entry, Operation};
use crate::convert::image;
use crate::convert::plan::TablePlan;
use crate::convert::row::Converter;
use crate::convert::sanitize::{self, Changed, Total};
use crate::convert::{Arena, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::TableSchema;
use crate::source::catalog;
use crate::source::connect::connect as connect_source;
use crate::source::rows::{KEPT, RowSession, Rows};
use crate::source::snapshot::exact::{ExactSnapshot, open_exact};
use crate::source::snapshot::reader::{ChunkReader, ExactReader};
use crate::target::chunk::{ChunkWriter, TableCopy};
use crate::target::progress::{self, TableState};
use crate::target::quarantine;
use crate::target::sanitized::{self, SNAPSHOT};
use std::sync::Arc;
use std::time::Instant;
use work::{Queue, Range, Work};

/// Copies every table that is not copied yet. Returns false when a shutdown was asked for.
///
/// # Errors
/// Those of both servers and of the converter. What is committed stays.
pub async fn copy_tables(context: &Arc<Context>, shutdown: &Shutdown) -> Result<bool> {
    let client = context.connect_writer().await?;
    let states = progress::load_tables(&*client, &context.config.pipeline).await?;
    context.shared.update(|view| {
        view.snapshot.tables_total = context.plans.len() as u64;
        view.snapshot.rows_estimated = context.plans.iter().map(|plan| plan.source.estimated_rows).sum();
        view.snapshot.tables_done =
            (0..context.plans.len()).filter(|table| work::is_copied(context, &states, *table)).count() as u64;
        view.snapshot.rows_copied = states.iter().map(|state| state.rows_copied).sum();
    });
    drop(client);
    let started = Instant::now();
    let queue = Queue::fill(context, &states).await?;
    let _watch = Watch::begin(context);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..context.config.apply.readers.min(queue.len()) {
        readers.spawn(reader(Arc::clone(context), queue.clone()));
    }
    loop {
        tokio::select! {
            () = shutdown.raised() => return Ok(false), // dropping the set ends the readers; open chunks roll back
            done = readers.join_next() => match done {
                None => break,
                Some(Ok(result)) => result?,
                Some(Err(panic)) => return Err(Error::new(ErrorKind::Bug, "a snapshot reader panicked").with_source(panic)),
            },
        }
    }
    let rows = context.shared.view().snapshot.rows_copied;
    tracing::info!(
        tables = context.plans.len(),
        rows,
        seconds = started.elapsed().as_secs_f32(),
        "all tables are copied"
    );
    Ok(true)
}

/// Memory that a reader takes once, and uses from chunk to chunk and from table to table. Growing anew each time, it would
/// leave the C library's allocator with all the sizes it once had.
pub struct Buffers {
    rows: Option<Rows>,
    tuples: Arena,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { rows: None, tuples: Arena::with_capacity(KEPT) }
    }
}

impl Buffers {
    /// Takes out what the rows of a table are read into.
    fn rows(&mut self, table: &Arc<TableSchema>) -> Rows {
        self.rows.take().map_or_else(|| Rows::with_capacity(table, KEPT), |rows| rows.again(table))
    }
}

async fn reader(context: Arc<Context>, queue: Queue) -> Result<()> {
    let (mut source, mut target) = begin_anew(&context).await?;
    let mut buffers = Buffers::default();
    while let Some(work) = queue.take() {
        let tables_done = match work {
            Work::Range(range) => match copy_range(&context, &mut source, &target, &mut buffers, &range).await {
                Ok(table_done) => u64::from(table_done),
                Err(error) => {
                    (source, target) = begin_anew(&context).await?;
                    match range.of.give_up().await {
                        Some(mut given_up) => {
                            give_up(&context, &target, &[range.of.number], error).await?;
                            *given_up = true;
                            1
                        }
                        None => 0, // by another reader, for the same reason
                    }
                }
            },
            Work::Exact(tables) => {
                if let Err(error) = copy_exact(&context, &target, &mut buffers, &tables).await {
                    (source, target) = begin_anew(&context).await?;
                    give_up(&context, &target, &tables, error).await?;
                }
                tables.len() as u64
            }
        };
        context.shared.update(|view| view.snapshot.tables_done += tables_done);
    }
    source.close().await;
    Ok(())
}

async fn begin_anew(context: &Context) -> Result<(RowSession, ChunkWriter)> {
    let source = RowSession::open(&context.source).await?;
    let client = context.connect_writer().await?;
    Ok((source, ChunkWriter::new(client, &context.config.pipeline, context.epoch).await?))
}

/// Whether the source's tables still are what the copy was planned for.
///
/// # Errors
/// Those of the source.
pub async fn is_as_planned(context: &Context, tables: &[usize]) -> Result<bool> {
    let mut conn = connect_source(&context.source).await?;
    let now = catalog::read(&mut conn, context.facts.flavor, &context.config.mapping).await?;
    let _ = conn.disconnect().await;
    let planned = |table: &usize| &context.catalog.tables[*table];
    Ok(tables.iter().all(|table| alike(Some(planned(table)), now.table(&planned(table).name))))
}

/// Gives up the copy of tables, where the others can go on: of which too many rows are refused, and which DDL has changed
/// meanwhile. These are copied when the stream has come to the statement.
async fn give_up(context: &Context, target: &ChunkWriter, tables: &[usize], error: Error) -> Result<()> {
    if error.kind() == ErrorKind::TooManyRefused {
        return pause(context, &error).await;
    }
    if is_as_planned(context, tables).await? {
        return Err(error);
    }
    let why = "it was changed while it was copied";
    let of = |table: &usize| (context.plans[*table].source.name.clone(), why.to_owned());
    target.begin().await?;
    leave_out(target.client(), context, &context.plans, tables.iter().map(of).collect(), TableState::Pending).await?;
    target.commit().await
}

/// A chunk's rows, converted.
#[derive(Default)]
struct Encoded {
    tuples: Vec<Span>,
    /// Values that were changed to fit.
    changed: Vec<Changed>,
    /// Rows that do not convert: their keys, as in quarantine.
    aside: Vec<(Vec<u8>, Entry)>,
}

/// Converts rows, leaving out those that the row filter does not admit.
fn encode(table: usize, converter: &mut Converter, rows: &Rows, arena: &mut Arena) -> Result<Encoded> {
    arena.clear_to(KEPT);
    let plan = Arc::clone(converter.plan());
    let mut encoded = Encoded { tuples: Vec::with_capacity(rows.len()), ..Encoded::default() };
    let mut values = Vec::new();
    for row in 0..rows.len() {
        rows.values(row, &mut values)?;
        if !converter.admits(&values)? {
            continue;
        }
        match converter.tuple(&values, arena) {
            Ok(tuple) => encoded.tuples.push(tuple),
            Err(error) if error.kind() == ErrorKind::Unfit && plan.has_key() => {
                let key = match converter.key(&values, arena) {
                    Ok(span) => arena.get(span).to_vec(),
                    Err(_) => converter.raw_key(&values)?,
                };
                let image = image::of_row(converter, |_| true, &values, arena)?;
                let key_text = converter.key_text(&values).map(String::from);
                let entry = Entry { key_text, ..Entry::new(Operation::Put, &error, SNAPSHOT.into(), Some(image)) };
                encoded.aside.push((key, entry));
            }
            Err(error) => return Err(error),
        }
    }
    encoded.changed = converter.take_changed(table, None).collect();
    Ok(encoded)
}

/// Writes a chunk's rows, and down what was changed and what was set aside, in the open transaction; the number of rows.
async fn write(
    context: &Context,
    target: &ChunkWriter,
    (table, copy): (usize, &TableCopy),
    arena: &Arena,
    encoded: Encoded,
) -> Result<(u64, Vec<Total>)> {
    let (plan, pipeline) = (&context.plans[table], &context.config.pipeline);
    let most = context.config.quarantine.max_rows_per_table;
    let tuples: Vec<&[u8]> = encoded.tuples.iter().map(|span| arena.get(*span)).collect();
    let (rows, refused) = target.copy_what_fits(copy, &tuples, most).await?;
    let mut aside = encoded.aside;
    for (at, error) in refused {
        if !plan.has_key() {
            return Err(error);
        }
        let image = image::of_tuple(plan, tuples[at])?;
        let entry = Entry::new(Operation::Put, &error, SNAPSHOT.into(), Some(image));
        aside.push((image::key_of_tuple(plan, tuples[at]), entry));
    }
    let name = &plan.source.name;
    for (key, entry) in &aside {
        quarantine::put(target.client(), pipeline, plan, key, entry).await?;
    }
    if let Some((_, entry)) = aside.last() {
        let there = quarantine::count(target.client(), pipeline, name).await?;
        if there > most as u64 {
            return Err(quarantine::too_many(name, most, &entry.error));
        }
        tracing::warn!(table = %name, rows = there, "rows are in quarantine; `sirenia quarantine list` shows them");
    }
    let totals = sanitize::totals(&encoded.changed);
    sanitized::record(target.client(), pipeline, &context.plans, &encoded.changed, &totals).await?;
    Ok((rows, totals))
}

/// Copies a range, or what is left of it, and finishes the table if it was its last. Returns whether the table is done.
async fn copy_range(
    context: &Context,
    source: &mut RowSession,
    target: &ChunkWriter,
    buffers: &mut Buffers,
    range: &Range,
) -> Result<bool> {
    let table = range.of.number;
    let (plan, pipeline) = (&context.plans[table], &context.config.pipeline);
    let name = &plan.source.name;
    let client = target.client();
    if !range.planned {
        target.begin().await?;
        progress::plan_ranges(client, pipeline, name, &[None]).await?;
        progress::set_state(client, pipeline, name, TableState::Copying).await?;
        target.commit().await?;
    }
    if !range.done {
        let reader = ChunkReader::new(Arc::clone(&plan.source), range.after.as_deref())?;
        let mut reader = reader.within(range.behind.as_deref(), range.until.as_deref())?;
        let mut converter = Converter::compile(Arc::clone(plan))?;
        let copy = target.table(plan).await?;
        reader.give_back(buffers.rows(&plan.source));
        let arena = &mut buffers.tuples;
        let mut next = reader.next_chunk(source).await?;
        while let Some(chunk) = next {
            let encoded = tokio::task::block_in_place(|| encode(table, &mut converter, &chunk.rows, arena));
            let encoded = encoded?;
            reader.give_back(chunk.rows);
            // while the target takes this chunk, the source reads the next
            let (wrote, read) = tokio::join!(
                async {
                    let Some(_leave) = range.of.chunk().await else { return Ok(None) };
                    target.begin_chunk().await?;
                    let (rows, totals) = write(context, target, (table, &copy), arena, encoded).await?;
                    let (last_key, done) = (chunk.last_key.as_deref(), chunk.last);
                    progress::save_chunk(client, pipeline, name, range.number, last_key, rows, done).await?;
                    target.commit().await?;
                    Ok::<_, Error>(Some((rows, totals)))
                },
                reader.next_chunk(source)
            );
            let Some((rows, totals)) = wrote? else { return read.map(|_| false) };
            progress_made(context, rows);
            context.count_sanitized(&totals);
            next = read?;
            if let Some(chunk) = &next {
                context.throttle.pass(chunk.rows.len() as u64, chunk.rows.bytes() as u64).await;
            }
        }
        buffers.rows = reader.into_spare();
    }
    if !range.of.range_done() {
        return Ok(false);
    }
    finish(context, target, plan).await?;
    Ok(true)
}

async fn finish(context: &Context, target: &ChunkWriter, plan: &TablePlan) -> Result<()> {
    target.begin().await?;
    target.finish(plan, context.facts.logs_cascades).await?;
    target.commit().await
}

async fn copy_exact(context: &Context, target: &ChunkWriter, buffers: &mut Buffers, tables: &[usize]) -> Result<()> {
    hold_back(context, tables.iter().map(|table| &*context.plans[*table].source)).await;
    let mut view = open_exact(&context.source, &context.facts, &context.catalog, tables).await?;
    if !is_as_planned(context, tables).await? {
        return Err(Error::new(ErrorKind::SourceUnavailable, "tables changed before they were copied"));
    }
    target.begin().await?;
    let totals = copy_view(context, target, &mut view, buffers, tables).await?;
    target.commit().await?;
    context.count_sanitized(&totals);
    view.close().await
}

/// Waits until tables may be read whole: as long as reading them takes at the rate that is allowed. Before the view is open, since
/// others wait for the locks that it may hold.
pub async fn hold_back<'a>(context: &Context, tables: impl Iterator<Item = &'a TableSchema> + Clone) {
    let rows = tables.clone().map(|table| table.estimated_rows).sum();
    context.throttle.pass(rows, tables.map(|table| table.estimated_bytes).sum()).await;
}

/// Copies tables from a view, with its position, in the open transaction; the values that were changed to fit.
///
/// # Errors
/// Those of both servers and of the converter.
pub async fn copy_view(
    context: &Context,
    target: &ChunkWriter,
    view: &mut ExactSnapshot,
    buffers: &mut Buffers,
    tables: &[usize],
) -> Result<Vec<Total>> {
    let (pipeline, position) = (&context.config.pipeline, view.position.clone());
    let mut all_totals = Vec::new();
    for table in tables {
        let plan = &context.plans[*table];
        let mut converter = Converter::compile(Arc::clone(plan))?;
        let copy = target.table(plan).await?;
        let spare = buffers.rows(&plan.source);
        let mut reader = ExactReader::open_into(view.connection(&plan.source), spare).await?;
        let (mut copied, arena) = (0, &mut buffers.tuples);
        while let Some(rows) = reader.next_batch().await? {
            let encoded = tokio::task::block_in_place(|| encode(*table, &mut converter, rows, arena));
            let (rows, totals) = write(context, target, (*table, &copy), arena, encoded?).await?;
            copied += rows;
            progress_made(context, rows);
            all_totals.extend(totals);
        }
        buffers.rows = Some(reader.into_rows());
        let name = &plan.source.name;
        progress::set_exact(target.client(), pipeline, name, &position).await?;
        progress::plan_ranges(target.client(), pipeline, name, &[None]).await?;
        progress::save_chunk(target.client(), pipeline, name, 0, None, copied, true).await?;
        progress::set_state(target.client(), pipeline, name, TableState::Copying).await?;
    }
    // the tables' keys and states come in the same transaction: a copy without its position must never be seen
    for table in tables {
        target.finish(&context.plans[*table], context.facts.logs_cascades).await?;
    }
    Ok(all_totals)
}

fn progress_made(context: &Context, rows: u64) {
    context.shared.metrics.snapshot_rows.inc_by(rows);
    context.shared.update(|view| {
        view.snapshot.rows_copied += rows;
        view.rows += rows;
    });
}
