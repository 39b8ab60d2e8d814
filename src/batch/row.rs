//! One changed row becomes changes of the log.
//!
//! Images that carry the whole row put or remove rows by their key; an update that does not becomes a patch. Whatever a
//! partial image lacks and is needed here is an error: the key, a column that a row filter tests, a column that a
//! foreign key refers to.

use super::{Batcher, Change};
use crate::change::{COPY_ANEW, Op, RowImages, not_in_the_image};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TableName;
use crate::schema::Action;
use crate::value::ValueRef;
use std::sync::Arc;
use std::time::Instant;

impl Batcher {
    pub(super) fn change(&mut self, table: usize, op: Op, images: &RowImages<'_>, now: Instant) -> Result<()> {
        self.first_at.get_or_insert(now);
        self.changes.count(op);
        let converter = &mut self.converters[table];
        let before = op != Op::Insert && converter.admits(&images.before)?;
        let after = op != Op::Delete && converter.admits(&images.after)?;
        let arena = &mut self.arena;
        if !converter.plan().has_key() {
            if before {
                self.log.push(Change::Subtract { table, tuple: converter.tuple(&images.before, arena)? });
            }
            if after {
                self.log.push(Change::Add { table, tuple: converter.tuple(&images.after, arena)? });
            }
            return Ok(());
        }
        let same = before && after && converter.is_same_key(&images.before, &images.after);
        if after && (!before || same && converter.is_whole(&images.after)) {
            let (tuple, key) = converter.keyed_tuple(&images.after, arena)?;
            self.log.push(Change::Put { table, key, tuple, fresh: !before });
            return Ok(());
        }
        let old = if before { Some(converter.key(&images.before, arena)?) } else { None };
        if !after {
            self.log.extend(old.map(|key| Change::Remove { table, key }));
            return Ok(());
        }
        let key = converter.key(&images.after, arena)?;
        let same_key = old.is_some_and(|old| arena.get(old) == arena.get(key));
        // a row that the filter kept out is not on the target to be changed: it must be whole, or `tuple` refuses it
        if let Some(old) = old.filter(|_| !converter.is_whole(&images.after)) {
            if !same_key && self.modes[table].catching_up {
                return Err(moved_while_copied(&converter.plan().source.name));
            }
            if let Some(patch) = converter.patch(&images.before, &images.after, arena)? {
                let moved = (!same_key).then_some(key);
                self.log.push(Change::Patch { table, key: old, moved, patch });
            }
            return Ok(());
        }
        let tuple = converter.tuple(&images.after, arena)?;
        if let (Some(old), false) = (old, same_key) {
            self.log.push(Change::Remove { table, key: old });
        }
        self.log.push(Change::Put { table, key, tuple, fresh: !same_key });
        Ok(())
    }

    pub(super) fn cascades(&mut self, table: usize, op: Op, images: &RowImages<'_>) -> Result<()> {
        if op == Op::Insert {
            return Ok(());
        }
        let graph = Arc::clone(&self.graph);
        for number in graph.edges_of(table) {
            let edge = graph.edge(*number);
            let action = if op == Op::Delete { edge.on_delete } else { edge.on_update };
            if action == Action::Restrict || self.covers(edge.child) {
                continue;
            }
            let columns = &edge.parent_source_columns;
            let holds = |row: &[ValueRef<'_>], value: ValueRef<'_>| columns.iter().find(|c| row[**c] == value).copied();
            let unchanged = || columns.iter().all(|c| images.before[*c] == images.after[*c]);
            if holds(&images.before, ValueRef::Null).is_some() || (op == Op::Update && unchanged()) {
                continue;
            }
            let converter = &mut self.converters[table];
            let images_held = [&images.before, &images.after];
            let mut images_held = images_held.into_iter().filter(|image| !image.is_empty());
            let lacking = images_held.find_map(|image| holds(image, ValueRef::Absent));
            if let Some(column) = lacking {
                let source = &converter.plan().source;
                return Err(not_in_the_image(source, &source.columns[column]));
            }
            let old = converter.fields(columns, &images.before, &mut self.arena)?;
            let new = match op {
                Op::Update => Some(converter.fields(columns, &images.after, &mut self.arena)?),
                _ => None,
            };
            self.log.push(Change::Cascade { edge: *number, old, new });
        }
        Ok(())
    }
}

/// While rows are copied in chunks, a row whose key changes may be missed under both keys; only a whole image mends that.
#[cold]
pub(super) fn moved_while_copied(table: &TableName) -> Error {
    Error::new(
        ErrorKind::UnsupportedEvent,
        format!("a row of {table} changed its key while the table was copied, and its image is partial"),
    )
    .detail("the copy may have missed it under both keys, and the log does not carry the whole row")
    .with_hint(COPY_ANEW)
}
