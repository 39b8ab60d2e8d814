//! Tables with a key: chunk by chunk along the source's key, then what is only on the target.
//!
//! Before the walk the hashes of all keys on the target are taken (8 bytes a row, up to 20 with the set's own room);
//! the walk takes out those it meets. What is left was on the target before the source was read and is not on the
//! source: gone since, or never there. Rows that come after the walk has passed their key are not looked at.

use super::digest::Digester;
use super::report::{Progress, Tally};
use super::session::Session;
use super::settle::{Settled, Sides, settle};
use crate::convert::plan::TablePlan;
use crate::convert::row::Converter;
use crate::convert::{Arena, Span};
use crate::error::{ErrorKind, Result};
use crate::source::rows::Rows as SourceRows;
use crate::source::snapshot::key::KeyValue;
use crate::source::snapshot::reader::{ChunkReader, KeyReader};
use crate::target::copy::{Fields, field_value};
use crate::target::quarantine;
use crate::target::read::{Found, Lookup, Tuples};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Suspects that are settled at a time, which bounds the memory for them.
const SUSPECTS: usize = 10_000;

/// Keys of one statement on the source.
const KEYS: usize = 100;

/// Compares a table.
///
/// # Errors
/// Those of the connections; `Value` and the like when a row cannot be converted.
pub async fn compare(session: &mut Session, plan: &Arc<TablePlan>, progress: &Progress) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut rows = Rows::new(session, plan).await?;
    let mut only_target = HashSet::new();
    each_target_key(session, plan, |key| {
        only_target.insert(rows.digester.key(key));
    })
    .await?;
    for key in &rows.quarantine {
        only_target.remove(&rows.digester.key(key));
    }
    let mut reader = ChunkReader::new(Arc::clone(&plan.source), None)?;
    let mut arena = Arena::default();
    let mut next = reader.next_chunk(&mut session.source).await?;
    while let Some(chunk) = next {
        let encoded = tokio::task::block_in_place(|| rows.encode(&chunk.rows, &mut arena))?;
        for row in &encoded {
            only_target.remove(&rows.digester.key(arena.get(row.key)));
        }
        let keys = encoded.iter().map(|row| arena.get(row.key));
        // while the target looks these up, the source reads on
        let (found, read) =
            tokio::join!(rows.lookup.find(&session.target, keys), reader.next_chunk(&mut session.source));
        let equal = tokio::task::block_in_place(|| rows.equal(&encoded, &arena, &found?))?;
        for row in encoded.iter().zip(equal).filter(|(_, equal)| !equal).map(|(row, _)| row) {
            let source = reader.key_of(&chunk.rows, row.number)?;
            rows.suspects.push(Suspect { source, key: arena.get(row.key).to_owned() });
        }
        tally.quarantined += std::mem::take(&mut rows.unfit);
        tally.rows += encoded.len() as u64;
        progress.add_rows(encoded.len() as u64);
        reader.give_back(chunk.rows);
        next = read?;
        if rows.suspects.len() >= SUSPECTS {
            rows.settle(session, &mut tally).await?;
        }
    }
    rows.settle(session, &mut tally).await?;
    let mut only_target = OnlyTarget::new(plan, rows, only_target);
    only_target.settle(session, &mut tally).await?;
    Ok(tally)
}

/// Gives each key of the target, as fields, to `found`.
async fn each_target_key(session: &Session, plan: &TablePlan, mut found: impl FnMut(&[u8])) -> Result<()> {
    let mut tuples = Tuples::open(&session.target, plan, &plan.key).await?;
    while let Some(key) = tuples.next().await? {
        found(key);
    }
    Ok(())
}

/// A row of a chunk that the row filter admits.
struct Encoded {
    /// Its number in the chunk.
    number: usize,
    key: Span,
    tuple: Span,
}

/// A key whose rows differed.
struct Suspect {
    source: Vec<KeyValue>,
    key: Vec<u8>,
}

/// Both sides of rows that are known by the source's keys.
struct Rows {
    plan: Arc<TablePlan>,
    converter: Converter,
    digester: Digester,
    lookup: Lookup,
    reader: KeyReader,
    suspects: Vec<Suspect>,
    /// Keys in quarantine when this began; a suspect among them is no difference.
    quarantine: HashSet<Vec<u8>>,
    /// Rows that do not convert, and so are in quarantine.
    unfit: u64,
}

impl Rows {
    async fn new(session: &Session, plan: &Arc<TablePlan>) -> Result<Self> {
        Ok(Self {
            plan: Arc::clone(plan),
            converter: Converter::compile(Arc::clone(plan))?,
            digester: Digester::new(plan),
            lookup: Lookup::prepare(&session.target, plan).await?,
            reader: KeyReader::new(&plan.source)?,
            suspects: Vec::new(),
            quarantine: Self::quarantine(session, plan).await?,
            unfit: 0,
        })
    }

    async fn quarantine(session: &Session, plan: &Arc<TablePlan>) -> Result<HashSet<Vec<u8>>> {
        let keys = quarantine::load(&*session.target, &session.pipeline, std::slice::from_ref(plan)).await?;
        Ok(keys.into_iter().flatten().collect())
    }

    fn encode(&mut self, rows: &SourceRows, arena: &mut Arena) -> Result<Vec<Encoded>> {
        arena.clear();
        let mut encoded = Vec::with_capacity(rows.len());
        let mut values = Vec::new();
        for number in 0..rows.len() {
            rows.values(number, &mut values)?;
            if self.converter.admits(&values)? {
                let converted =
                    self.converter.key(&values, arena).and_then(|key| Ok((key, self.converter.tuple(&values, arena)?)));
                match converted {
                    Ok((key, tuple)) => encoded.push(Encoded { number, key, tuple }),
                    Err(error) if error.kind() == ErrorKind::Unfit => self.unfit += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(encoded)
    }

    /// Which of the rows were found, just once, and are equal.
    fn equal(&self, encoded: &[Encoded], arena: &Arena, found: &[Found]) -> Result<Vec<bool>> {
        let mut times = vec![0_u8; encoded.len()];
        let mut equal = vec![false; encoded.len()];
        for row in found {
            let Some(wanted) = encoded.get(row.nth) else { continue };
            let source = Fields::of_tuple(arena.get(wanted.tuple)).map(field_value);
            equal[row.nth] = times[row.nth] == 0 && self.digester.same(source, row.fields());
            times[row.nth] = 1;
        }
        Ok(equal)
    }

    async fn settle(&mut self, session: &mut Session, tally: &mut Tally) -> Result<()> {
        if !self.suspects.is_empty() {
            self.quarantine = Self::quarantine(session, &self.plan).await?;
            let before = self.suspects.len();
            self.suspects.retain(|suspect| !self.quarantine.contains(&suspect.key));
            tally.quarantined += (before - self.suspects.len()) as u64;
        }
        let all: Vec<usize> = (0..self.suspects.len()).collect();
        let before = self.source(session, &all).await?;
        let Settled { differing, unsettled } = settle(session, self, before).await?;
        for pair in differing {
            match pair {
                (Some(_), None) => tally.missing += 1,
                (None, _) => tally.extra += 1,
                (Some(_), Some(_)) => tally.differing += 1,
            }
        }
        tally.unsettled += unsettled;
        self.suspects.clear();
        Ok(())
    }
}

/// The digest of the key's row, none where there is no row.
impl Sides<Session> for Rows {
    type Value = Option<u128>;

    async fn source(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<Option<u128>>> {
        let mut digests = vec![None; things.len()];
        let (mut arena, mut start) = (Arena::default(), 0);
        for things in things.chunks(KEYS) {
            let keys: Vec<_> = things.iter().map(|at| self.suspects[*at].source.clone()).collect();
            let rows = self.reader.rows(&mut session.source, &keys).await?;
            let encoded = tokio::task::block_in_place(|| self.encode(&rows, &mut arena))?;
            let numbers: HashMap<&[u8], usize> =
                things.iter().enumerate().map(|(n, at)| (self.suspects[*at].key.as_slice(), start + n)).collect();
            for row in encoded {
                // a key that compares equal but is spelt otherwise is another one on the target
                if let Some(number) = numbers.get(arena.get(row.key)) {
                    let fields = Fields::of_tuple(arena.get(row.tuple)).map(field_value);
                    digests[*number] = Some(self.digester.row(fields));
                }
            }
            start += things.len();
        }
        Ok(digests)
    }

    async fn target(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<Option<u128>>> {
        let mut digests: Vec<Option<u128>> = vec![None; things.len()];
        let keys = things.iter().map(|at| self.suspects[*at].key.as_slice());
        for row in self.lookup.find(&session.target, keys).await? {
            let digest = self.digester.row(row.fields());
            // a key that is there twice is equal to nothing
            digests[row.nth] = Some(digests[row.nth].map_or(digest, |other| other.wrapping_add(digest)));
        }
        Ok(digests)
    }
}

/// Both sides of keys that the walk did not meet, known by their hashes alone: each reading is a pass over all keys.
struct OnlyTarget<'p> {
    plan: &'p Arc<TablePlan>,
    rows: Rows,
    numbers: HashMap<u64, usize>,
}

impl<'p> OnlyTarget<'p> {
    fn new(plan: &'p Arc<TablePlan>, rows: Rows, hashes: HashSet<u64>) -> Self {
        Self { plan, rows, numbers: hashes.into_iter().zip(0..).collect() }
    }

    async fn settle(&mut self, session: &mut Session, tally: &mut Tally) -> Result<()> {
        let before = vec![false; self.numbers.len()];
        let settled = settle(session, self, before).await?;
        tally.extra += settled.differing.len() as u64;
        tally.unsettled += settled.unsettled;
        Ok(())
    }

    /// The columns that say which key a row has and whether it is carried.
    fn columns(&self) -> Vec<usize> {
        let key = self.plan.key.iter().map(|at| self.plan.columns[*at].source);
        key.chain(self.plan.rows.iter().map(|(column, _)| *column)).collect()
    }
}

/// Whether the key is there.
impl Sides<Session> for OnlyTarget<'_> {
    type Value = bool;

    async fn source(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<bool>> {
        let mut there = vec![false; self.numbers.len()];
        let mut reader = ChunkReader::new(Arc::clone(&self.plan.source), None)?.narrowed(&self.columns());
        let mut arena = Arena::default();
        while let Some(chunk) = reader.next_chunk(&mut session.source).await? {
            let mut values = Vec::new();
            for row in 0..chunk.rows.len() {
                chunk.rows.values(row, &mut values)?;
                if self.rows.converter.admits(&values)? {
                    arena.clear();
                    let key = match self.rows.converter.key(&values, &mut arena) {
                        Err(error) if error.kind() == ErrorKind::Unfit => continue,
                        key => key?,
                    };
                    if let Some(number) = self.numbers.get(&self.rows.digester.key(arena.get(key))) {
                        there[*number] = true;
                    }
                }
            }
            drop(values);
            reader.give_back(chunk.rows);
        }
        Ok(things.iter().map(|at| there[*at]).collect())
    }

    async fn target(&mut self, session: &mut Session, things: &[usize]) -> Result<Vec<bool>> {
        let mut there = vec![false; self.numbers.len()];
        each_target_key(session, self.plan, |key| {
            if let Some(number) = self.numbers.get(&self.rows.digester.key(key)) {
                there[*number] = true;
            }
        })
        .await?;
        Ok(things.iter().map(|at| there[*at]).collect())
    }
}
