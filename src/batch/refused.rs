//! Rows that do not convert, where the policy is to set them aside.

use super::row::moved_while_copied;
use super::{Batcher, Change};
use crate::change::{Op, RowImages};
use crate::convert::aside::{Aside, Entry, Operation};
use crate::convert::image;
use crate::error::{Error, ErrorKind, Result};
use crate::value::ValueRef;

impl Batcher {
    /// A row that does not convert is set aside, if the policy says so; what its change did to other keys is still done.
    #[cold]
    pub(super) fn refused(
        &mut self,
        table: usize,
        op: Op,
        images: &RowImages<'_>,
        error: Error,
        (log, arena): (usize, usize),
    ) -> Result<()> {
        self.log.truncate(log);
        self.arena.truncate(arena);
        let converter = &mut self.converters[table];
        if error.kind() != ErrorKind::Unfit || !converter.plan().has_key() {
            return Err(error);
        }
        let before = op != Op::Insert && converter.admits(&images.before)?;
        let after = op != Op::Delete && converter.admits(&images.after)?;
        let arena = &mut self.arena;
        let mut key_of = |row: &[ValueRef<'_>]| match converter.key(row, arena) {
            Ok(span) => Ok((arena.get(span).to_vec(), Some(span))),
            Err(error) if error.kind() == ErrorKind::Unfit => Ok((converter.raw_key(row)?, None)),
            Err(error) => Err(error),
        };
        let old = if before { Some(key_of(&images.before)?) } else { None };
        let new = if after { Some(key_of(&images.after)?) } else { None };
        let aside = Aside { behind: self.log.len(), table, key: Vec::new(), entry: None, part_of: None };
        let converter = &mut self.converters[table];
        if new.is_some() && !converter.is_whole(&images.after) {
            // a row that is new on the target must be whole
            let (Some((old, _)), Some((key, _))) = (old, new) else { return Err(error) };
            if old != key && self.modes[table].catching_up {
                return Err(moved_while_copied(&converter.plan().source.name));
            }
            let changed = converter.changes(&images.before, &images.after)?.to_vec();
            let entry = self.entry(table, &error, &images.after, |column| changed.contains(&column))?;
            self.set_aside(Aside { key, entry: Some(entry), part_of: Some(old), ..aside });
            return Ok(());
        }
        if let Some((key, span)) = old.filter(|(key, _)| new.as_ref().is_none_or(|(new, _)| new != key)) {
            match span {
                Some(key) => self.log.push(Change::Remove { table, key }),
                None => self.set_aside(Aside { key, ..aside.clone() }),
            }
        }
        let Some((key, span)) = new else { return Ok(()) };
        let converted = self.converters[table].tuple(&images.after, &mut self.arena);
        match (span, converted) {
            (Some(key), Ok(tuple)) => self.log.push(Change::Put { table, key, tuple, fresh: true }),
            (_, Err(error)) if error.kind() != ErrorKind::Unfit => return Err(error),
            _ => {
                let entry = self.entry(table, &error, &images.after, |_| true)?;
                self.set_aside(Aside { behind: self.log.len(), key, entry: Some(entry), ..aside });
            }
        }
        Ok(())
    }

    /// The entry of a row, or of some columns of it.
    fn entry(
        &mut self,
        table: usize,
        error: &Error,
        row: &[ValueRef<'_>],
        columns: impl Fn(usize) -> bool,
    ) -> Result<Entry> {
        let position = self.position_text().cloned().unwrap_or_default();
        let converter = &mut self.converters[table];
        let key_text = converter.key_text(row).map(String::from);
        let image = image::of_row(converter, columns, row, &mut self.arena)?;
        Ok(Entry { key_text, ..Entry::new(Operation::Put, error, position, Some(image)) })
    }

    fn set_aside(&mut self, aside: Aside) {
        self.aside_bytes += aside.bytes();
        self.aside.push(aside);
    }
}
