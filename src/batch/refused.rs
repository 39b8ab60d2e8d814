//! Rows that do not convert, where the policy is to set them aside.

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
        let partial = [&images.before, &images.after].into_iter().any(|row| row.contains(&ValueRef::Absent));
        let converter = &mut self.converters[table];
        if error.kind() != ErrorKind::Unfit || !converter.plan().has_key() || partial {
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
        if let Some((key, span)) = old.filter(|(key, _)| new.as_ref().is_none_or(|(new, _)| new != key)) {
            match span {
                Some(key) => self.log.push(Change::Remove { table, key }),
                None => self.set_aside(Aside { behind: self.log.len(), table, key, entry: None }),
            }
        }
        let Some((key, span)) = new else { return Ok(()) };
        let converter = &mut self.converters[table];
        match (span, converter.tuple(&images.after, &mut self.arena)) {
            (Some(key), Ok(tuple)) => self.log.push(Change::Put { table, key, tuple, fresh: true }),
            _ => {
                let key_text = converter.key_text(&images.after).map(String::from);
                let image = image::of_row(converter.plan(), &images.after)?;
                let position = self.position_text().cloned().unwrap_or_default();
                let entry = Entry { key_text, ..Entry::new(Operation::Put, &error, position, Some(image)) };
                self.set_aside(Aside { behind: self.log.len(), table, key, entry: Some(entry) });
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, aside: Aside) {
        self.aside_bytes += aside.bytes();
        self.aside.push(aside);
    }
}
