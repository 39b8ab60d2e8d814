//! Changes of parts of rows that are in quarantine, that the target refuses or that do not convert.
//!
//! What changed is laid over the image in quarantine, or over what stands on the target, which is the row as it was before.
//! The whole row is tried then: it takes the place of what stands there and leaves the quarantine, or the merged image
//! stands for the older one, under its new key if it has one. All of it in the transaction of the batch.

use super::run;
use crate::batch::{Batch, Change};
use crate::convert::Arena;
use crate::convert::aside::{Entry, Operation, RAW_KEY};
use crate::convert::image::{self, Part};
use crate::convert::patch::Patch;
use crate::convert::row::Converter;
use crate::convert::sanitize::Changed;
use crate::error::{Error, ErrorKind, Result};
use crate::merge::TableChanges;
use crate::target::apply::Writer;
use crate::target::quarantine;
use std::sync::Arc;

/// A row of which a part changes: its keys before and after, as in quarantine.
struct PartOf<'a> {
    table: usize,
    old: &'a [u8],
    new: &'a [u8],
    part: Part<'a>,
}

/// Whether a key does not convert: then nothing stands under it on the target.
fn is_raw(key: &[u8]) -> bool {
    key.first() == Some(&RAW_KEY)
}

impl Writer {
    /// What stands in source order right before a change of the log.
    pub(super) async fn settle_aside(&mut self, batch: &Batch, at: usize) -> Result<()> {
        while let Some(aside) = batch.aside.get(self.books.settled).filter(|aside| aside.behind <= at) {
            self.books.settled += 1;
            let (Some(old), Some(entry)) = (&aside.part_of, &aside.entry) else {
                self.books.set(aside.table, &aside.key, aside.entry.clone());
                continue;
            };
            let part = Part::Image(entry.image.as_deref().unwrap_or_default());
            let row = PartOf { table: aside.table, old, new: &aside.key, part };
            let image = self.image_aside(aside.table, old).await?;
            self.lay(batch, row, image, entry.key_text.as_ref()).await?;
        }
        Ok(())
    }

    /// Lays a change of the log over its row's image, if the row is in quarantine; whether it is.
    pub(super) async fn lay_change(&mut self, batch: &Batch, at: usize) -> Result<bool> {
        let Change::Patch { table, key, .. } = batch.log[at] else { return Ok(false) };
        let image = self.image_aside(table, batch.arena.get(key)).await?;
        let aside = image.is_some();
        if aside {
            self.lay_patch(batch, at, image).await?;
        }
        Ok(aside)
    }

    /// Lays a change of the log over an image, or over what stands on the target.
    pub(super) async fn lay_patch(&mut self, batch: &Batch, at: usize, image: Option<Vec<u8>>) -> Result<()> {
        let Change::Patch { table, key, moved, patch } = batch.log[at] else { return Ok(()) };
        let part = Part::Patch(Patch::read(batch.arena.get(patch), self.plans[table].columns.len()));
        let (old, new) = (batch.arena.get(key), batch.arena.get(moved.unwrap_or(key)));
        self.lay(batch, PartOf { table, old, new, part }, image, None).await
    }

    /// The image of a row that is in quarantine at this point of the batch; none where its removal is.
    async fn image_aside(&self, table: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.books.pending.get(&(table, key.to_vec())) {
            Some(entry) => Ok(entry.as_ref().and_then(|entry| entry.image.clone())),
            None if self.books.keys[table].contains(key) => {
                quarantine::image_of(&*self.client, &self.pipeline, &self.plans[table].source.name, key).await
            }
            None => Ok(None),
        }
    }

    /// A row of which a part changes, by the image that is known of it or by what stands on the target: applied as a whole,
    /// or set aside.
    async fn lay(
        &mut self,
        batch: &Batch,
        row: PartOf<'_>,
        image: Option<Vec<u8>>,
        key_text: Option<&String>,
    ) -> Result<()> {
        let PartOf { table, old, new, part } = row;
        let plan = Arc::clone(&self.plans[table]);
        let image = match image {
            Some(image) => Some(image),
            None if is_raw(old) => None,
            None => {
                let tuple = quarantine::row_of(&*self.client, &plan, old).await?;
                tuple.map(|tuple| image::of_tuple(&plan, &tuple)).transpose()?
            }
        };
        let Some(image) = image else {
            // while catching up the row may be gone already, as an UPDATE would not find it
            return if batch.catching_up[table] { Ok(()) } else { Err(self.missing(table)) };
        };
        let image = image::lay(&plan, &image, part)?;
        let mut arena = Arena::default();
        let mut converter = Converter::compile(Arc::clone(&plan))?;
        let tried = match image::restore(&image, &mut converter, &mut arena) {
            Ok((_, tuple)) => self.replace(table, old, new, Some(arena.get(tuple))).await,
            Err(error) => Err(error),
        };
        let error = match tried {
            Ok(()) => {
                self.books.set(table, old, None);
                self.books.set(table, new, None);
                return self.record_restored(table, &mut converter, new, key_text).await;
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::TargetData | ErrorKind::Unfit | ErrorKind::SchemaMismatch) =>
            {
                error
            }
            Err(error) => return Err(error),
        };
        if old != new {
            let gone = if is_raw(old) { Ok(()) } else { self.replace(table, old, old, None).await };
            match gone {
                Ok(()) => self.books.set(table, old, None),
                Err(error) if error.kind() == ErrorKind::TargetData => {
                    let entry = Entry::new(Operation::Remove, &error, self.position.to_string().into(), None);
                    self.note(table, old, entry)?;
                }
                Err(error) => return Err(error),
            }
        }
        let entry = Entry::new(Operation::Put, &error, self.position.to_string().into(), Some(image));
        self.note(table, new, Entry { key_text: key_text.cloned(), ..entry })
    }

    /// Takes away what stands under one key and puts a row under another, or does neither.
    async fn replace(&mut self, table: usize, old: &[u8], new: &[u8], tuple: Option<&[u8]>) -> Result<()> {
        let plan = &self.plans[table];
        let both = async {
            if old != new && !is_raw(old) {
                quarantine::apply_one(&*self.client, plan, old, None).await?;
            }
            quarantine::apply_one(&*self.client, plan, new, tuple).await
        };
        run(&self.client, "SAVEPOINT sirenia_range").await?;
        match both.await {
            Ok(()) => {
                self.pending.rows += 1;
                run(&self.client, "RELEASE SAVEPOINT sirenia_range").await
            }
            Err(error) if error.kind() == ErrorKind::TargetData => {
                run(&self.client, "ROLLBACK TO SAVEPOINT sirenia_range; RELEASE SAVEPOINT sirenia_range").await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Records what was changed to fit in a row that came out of quarantine: while a row is set aside nothing of it is.
    pub(super) async fn record_restored(
        &mut self,
        table: usize,
        converter: &mut Converter,
        key: &[u8],
        key_text: Option<&String>,
    ) -> Result<()> {
        if !converter.has_changed() {
            return Ok(());
        }
        // the key's columns may be among the fields, which the converter has not seen
        let text = match key_text {
            Some(text) => text.clone(),
            None => quarantine::key_text(&*self.client, &self.plans[table], key).await?,
        };
        let position: Arc<str> = self.position.to_string().into();
        let changed = converter.take_changed(table, Some(&position));
        let changed: Vec<_> = changed.map(|value| Changed { key: Some(text.as_str().into()), ..value }).collect();
        self.record_sanitized(&changed).await
    }

    fn missing(&self, table: usize) -> Error {
        self.diverged(&TableChanges { table, ..TableChanges::default() }, 0, 1)
    }
}
