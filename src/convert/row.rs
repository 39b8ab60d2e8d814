//! The converter: whole source rows become tuples of binary COPY.
//!
//! Owns the compiled form of one [`TablePlan`] and the counts of changed values. Rows of [`ValueRef`] enter, in the source
//! table's column order; spans of an [`Arena`] leave. The same values give the same bytes, alone, within a tuple or as a
//! key, whichever way they came; a failed call leaves the arena as it was. Once the buffers have grown nothing allocates.

use super::aside::RAW_KEY;
use super::encode::{Encode, Fault, Scratch, Text};
use super::key_text::key_text;
use super::patch;
use super::plan::{TablePlan, Treatment};
use super::sanitize::{Changed, Reason, Reasons, Tally};
use super::typemap::{TypeOptions, check_test, check_text, config, default_type};
use super::{Arena, Span};
use crate::change::not_in_the_image;
use crate::copy_format as copy;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::RowTest;
use crate::policy::{Policies, Policy};
use crate::schema::LeftOut;
use crate::value::ValueRef;
use std::sync::Arc;

/// Converts the rows of one table.
#[derive(Debug)]
pub struct Converter {
    table: Table,
    /// Source positions of the target's columns.
    carried: Vec<usize>,
    /// Source positions of the key's columns.
    key: Vec<usize>,
    /// How many fields of a tuple stand before the key's, if those stand side by side in the key's order.
    key_behind: Option<usize>,
    filters: Vec<Filter>,
    /// Source positions of the columns that the patch in hand changes.
    changed: Vec<usize>,
    scratch: Scratch,
    tally: Tally,
}

#[derive(Debug)]
struct Table {
    plan: Arc<TablePlan>,
    /// One per source column.
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    encode: Encode,
    policies: Policies,
}

#[derive(Debug)]
struct Filter {
    column: usize,
    test: RowTest,
    /// For text, which compares as UTF-8.
    text: Option<Text>,
}

impl Converter {
    /// Compiles a plan.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the row filter cannot compare a column or a column's character set is not supported;
    /// [`ErrorKind::Bug`] when the plan does not fit its table.
    pub fn compile(plan: Arc<TablePlan>) -> Result<Self> {
        let table = &plan.source;
        let mut fields = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let planned = plan.columns.iter().find(|planned| planned.source == position);
            let default = default_type(&column.ty, &TypeOptions::default());
            let encode = match planned {
                Some(planned) => {
                    check_text(table, column)?;
                    Encode::planned(&column.ty, planned)
                }
                None => Encode::of(&column.ty, &default),
            };
            let encode = encode.ok_or_else(|| {
                let to = planned.map_or(default, |planned| planned.ty.clone()).sql();
                config(table, column, &format!("no conversion from {} to {to}", column.declared))
                    .with_hint("choose another target type, or exclude the column with `exclude_columns`")
            })?;
            let policies = planned.map_or(Policies::defaults(column.nullable, false), |planned| planned.policies);
            fields.push(Field { encode, policies });
        }
        let misfit = || Error::new(ErrorKind::Bug, format!("{}: the plan does not fit the table", table.name));
        let carried: Vec<usize> = plan.columns.iter().map(|column| column.source).collect();
        let key = plan.key.iter().map(|position| carried.get(*position).copied()).collect::<Option<Vec<_>>>();
        let mut filters = Vec::with_capacity(plan.rows.len());
        for (position, test) in &plan.rows {
            let column = table.columns.get(*position).ok_or_else(misfit)?;
            check_test(table, column, test)?;
            filters.push(Filter { column: *position, test: test.clone(), text: Text::of(&column.ty, None) });
        }
        if carried.iter().any(|source| *source >= fields.len()) || carried.len() > usize::from(u16::MAX >> 1) {
            return Err(misfit());
        }
        let first = plan.key.first().copied();
        Ok(Self {
            key: key.ok_or_else(misfit)?,
            key_behind: first.filter(|first| plan.key.iter().copied().eq(*first..first + plan.key.len())),
            carried,
            filters,
            changed: Vec::new(),
            scratch: Scratch::default(),
            tally: Tally::default(),
            table: Table { plan: Arc::clone(&plan), fields },
        })
    }

    /// What was compiled.
    #[must_use]
    pub fn plan(&self) -> &Arc<TablePlan> {
        &self.table.plan
    }

    /// Whether the row filter lets the row through. A value of another kind than its column's passes, for
    /// [`Converter::tuple`] to refuse.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedEvent`] when the row is partial and lacks a column that the filter tests.
    pub fn admits(&mut self, row: &[ValueRef<'_>]) -> Result<bool> {
        let text = &mut self.scratch.text;
        let absent = |filter: &&Filter| matches!(row.get(filter.column), Some(ValueRef::Absent));
        if let Some(filter) = self.filters.iter().find(absent) {
            return Err(self.table.lacks(filter.column));
        }
        Ok(self.filters.iter().all(|filter| {
            let mut value = row.get(filter.column).copied().unwrap_or(ValueRef::Null);
            if let (Some(decoder), ValueRef::Bytes(bytes)) = (&filter.text, value) {
                text.clear();
                decoder.append(bytes, text);
                value = ValueRef::Bytes(text);
            }
            filter.test.passes(value).unwrap_or(true)
        }))
    }

    /// Whether the row has every column that is carried.
    #[must_use]
    pub fn is_whole(&self, row: &[ValueRef<'_>]) -> bool {
        self.carried.iter().all(|source| !matches!(row.get(*source), Some(ValueRef::Absent)))
    }

    /// Appends what a partial update changes, as [`super::patch`] says; none when it changes no column that is carried.
    ///
    /// # Errors
    /// As [`Converter::tuple`] and [`Converter::changes`].
    pub fn patch(
        &mut self,
        before: &[ValueRef<'_>],
        after: &[ValueRef<'_>],
        arena: &mut Arena,
    ) -> Result<Option<Span>> {
        let start = arena.bytes.len();
        if self.changes(before, after)?.is_empty() {
            return Ok(None);
        }
        arena.bytes.resize(start + patch::set_bytes(self.carried.len()), 0);
        // both in the plan's order
        let mut changed = self.changed.iter().peekable();
        for (position, source) in self.carried.iter().enumerate() {
            if changed.next_if_eq(&source).is_some() {
                patch::put(&mut arena.bytes[start..], position);
            }
        }
        let patch = self.table.append(&self.changed, after, &mut self.scratch, Some(&mut self.tally), arena, start);
        self.end_row(patch.is_ok(), after);
        patch.map(Some)
    }

    /// The columns, by their positions in the source table and in the plan's order, that a partial update changes. What both
    /// images carry and is equal was not changed.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedEvent`] when a column is carried of which the images do not tell whether it was changed.
    pub fn changes(&mut self, before: &[ValueRef<'_>], after: &[ValueRef<'_>]) -> Result<&[usize]> {
        self.changed.clear();
        for source in &self.carried {
            let (old, new) = (before.get(*source), after.get(*source));
            match new {
                Some(ValueRef::Absent) => {
                    let column = &self.table.plan.source.columns[*source];
                    let untold = column.generated && column.left_out == LeftOut::Unknown;
                    if column.left_out == LeftOut::Always || untold {
                        return Err(self.table.lacks(*source));
                    }
                }
                // floats that are equal may differ in their bits
                Some(new) if old == Some(new) && !matches!(new, ValueRef::Float(_) | ValueRef::Double(_)) => {}
                _ => self.changed.push(*source),
            }
        }
        Ok(&self.changed)
    }

    /// Appends the row as one tuple: the number of fields and the fields, in the order of the plan's columns.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] or [`ErrorKind::Unfit`], as the policy says, for a value that the target cannot hold, [`ErrorKind::Corrupt`] for one that its column
    /// cannot have, [`ErrorKind::Bug`] for a row of another shape; each names table and column.
    pub fn tuple(&mut self, row: &[ValueRef<'_>], arena: &mut Arena) -> Result<Span> {
        let start = arena.bytes.len();
        copy::tuple_header(&mut arena.bytes, self.carried.len() as u16);
        let span = self.table.append(&self.carried, row, &mut self.scratch, Some(&mut self.tally), arena, start);
        self.end_row(span.is_ok(), row);
        span
    }

    /// The row's tuple and its key, for which nothing is converted twice: where the key's fields stand side by side in the
    /// tuple, it is that part of it.
    ///
    /// # Errors
    /// As [`Converter::key`], else as [`Converter::tuple`].
    pub fn keyed_tuple(&mut self, row: &[ValueRef<'_>], arena: &mut Arena) -> Result<(Span, Span)> {
        let start = arena.bytes.len();
        let Some(behind) = self.key_behind else {
            let key = self.key(row, arena)?;
            return Ok((self.tuple(row, arena)?, key));
        };
        let tuple = match self.tuple(row, arena) {
            Ok(tuple) => tuple,
            Err(error) => {
                self.key(row, arena)?;
                arena.truncate(start);
                return Err(error);
            }
        };
        let mut fields = copy::Fields::of_tuple(arena.get(tuple)).map(<[u8]>::len);
        let from = tuple.start + 2 + fields.by_ref().take(behind).sum::<usize>();
        let to = from + fields.take(self.key.len()).sum::<usize>();
        Ok((tuple, Span { start: from, end: to }))
    }

    /// Whether both rows surely have the same key: its values are the same and so are the bytes that they become.
    #[must_use]
    pub fn is_same_key(&self, before: &[ValueRef<'_>], after: &[ValueRef<'_>]) -> bool {
        self.key.iter().all(|column| match (before.get(*column), after.get(*column)) {
            // floats that are equal may differ in their bits
            (Some(ValueRef::Absent | ValueRef::Float(_) | ValueRef::Double(_)), _) | (None, _) => false,
            (before, after) => before == after,
        })
    }

    /// Keeps what was changed in the row in hand, if it is carried.
    fn end_row(&mut self, carried: bool, row: &[ValueRef<'_>]) {
        if !self.tally.has_row() {
            return;
        }
        if carried {
            let (plan, key) = (&self.table.plan, &self.key);
            self.tally.end_row(|| key_text(plan, key, row));
        } else {
            self.tally.drop_row();
        }
    }

    /// Appends the fields of the plan's key, in its order and without a count, as they stand in the tuple.
    ///
    /// # Errors
    /// As [`Converter::tuple`].
    pub fn key(&mut self, row: &[ValueRef<'_>], arena: &mut Arena) -> Result<Span> {
        let start = arena.bytes.len();
        self.table.append(&self.key, row, &mut self.scratch, None, arena, start)
    }

    /// Appends the fields of any source columns, by their positions in the source table. Columns that are not carried
    /// are converted to their default types. Changed values are not counted: the row's own tuple does that.
    ///
    /// # Errors
    /// As [`Converter::tuple`]; [`ErrorKind::Config`] for text in a character set that is not supported.
    pub fn fields(&mut self, columns: &[usize], row: &[ValueRef<'_>], arena: &mut Arena) -> Result<Span> {
        let start = arena.bytes.len();
        self.table.append(columns, row, &mut self.scratch, None, arena, start)
    }

    /// Whether [`Converter::take_changed`] would give any.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.tally.is_empty()
    }

    /// Gives the values that were changed to fit, in tuples since the last call, as those of `table` at `position`.
    pub fn take_changed<'a>(
        &'a mut self,
        table: usize,
        position: Option<&'a Arc<str>>,
    ) -> impl Iterator<Item = Changed> + 'a {
        self.tally.drain().map(move |value| Changed { table, position: position.cloned(), ..value })
    }

    /// What a key that does not convert is known by in quarantine: [`RAW_KEY`], then the source's values as MessagePack;
    /// where one is masked the hash of that.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`].
    pub fn raw_key(&self, row: &[ValueRef<'_>]) -> Result<Vec<u8>> {
        let values: Vec<_> = self.key.iter().filter_map(|column| row.get(*column)).collect();
        let mut key = vec![RAW_KEY];
        rmp_serde::encode::write(&mut key, &values)
            .map_err(|error| Error::new(ErrorKind::Bug, "a key has no MessagePack form").with_source(error))?;
        let mut treatments = self.table.plan.key.iter().map(|at| &self.table.plan.columns[*at].treatment);
        if let Some(Treatment::Hashed(mask)) = treatments.find(|treatment| treatment.masks()) {
            let values = key.split_off(1);
            mask.append(&values, &mut key);
        }
        Ok(key)
    }

    /// The row's key for people: its columns and the source's values as JSON; none without a key.
    #[must_use]
    pub fn key_text(&self, row: &[ValueRef<'_>]) -> Option<Box<str>> {
        key_text(&self.table.plan, &self.key, row)
    }
}

impl Field {
    /// Appends the value's field, as the policies of its reasons say.
    fn append(&self, value: &ValueRef<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Reasons, Fault> {
        let start = out.len();
        match self.encode.append(value, scratch, out) {
            Ok(reasons) if reasons.is_empty() => Ok(reasons),
            Ok(reasons) => self.settle(reasons, start, out),
            Err(Fault::TooLong) => self.settle(Reason::TooLong.into(), start, out),
            Err(fault) => Err(fault),
        }
    }

    #[cold]
    fn settle(&self, reasons: Reasons, start: usize, out: &mut Vec<u8>) -> Result<Reasons, Fault> {
        match reasons.verdict(&self.policies) {
            Some((policy @ (Policy::Fail | Policy::Quarantine), reason)) => return Err(Fault::Refused(reason, policy)),
            Some((Policy::Null, _)) => {
                out.truncate(start);
                copy::null(out);
            }
            Some((Policy::Replace, Reason::TooLong)) => return Err(Fault::TooLong),
            Some((Policy::Replace, _)) | None => {}
        }
        Ok(reasons)
    }
}

impl Table {
    /// Appends the fields of `columns`; on an error the arena is cut back to `start`.
    fn append(
        &self,
        columns: &[usize],
        row: &[ValueRef<'_>],
        scratch: &mut Scratch,
        mut tally: Option<&mut Tally>,
        arena: &mut Arena,
        start: usize,
    ) -> Result<Span> {
        let out = &mut arena.bytes;
        if row.len() != self.fields.len() {
            out.truncate(start);
            let message = format!("{}: a row of {} columns", self.plan.source.name, row.len());
            return Err(Error::new(ErrorKind::Bug, message).detail(format!("the table has {}", self.fields.len())));
        }
        for column in columns {
            let appended = match (self.fields.get(*column), row.get(*column)) {
                (_, Some(ValueRef::Absent)) => Err(Fault::Absent),
                (Some(field), Some(value)) => field.append(value, scratch, out),
                _ => Err(Fault::Kind),
            };
            match appended {
                Ok(reasons) if reasons.is_empty() => {}
                Ok(reasons) => {
                    let policy = self.fields.get(*column).and_then(|field| reasons.verdict(&field.policies));
                    if let (Some(tally), Some((policy, _))) = (tally.as_deref_mut(), policy) {
                        tally.note(*column, reasons, policy);
                    }
                }
                Err(fault) => {
                    out.truncate(start);
                    return Err(self.error(*column, fault));
                }
            }
        }
        Ok(Span { start, end: out.len() })
    }

    /// The error of a value that is not carried, and what lets it be.
    fn refused(&self, source: usize, reason: Reason, policy: Policy) -> Error {
        let column = &self.plan.source.columns[source];
        let planned = self.plan.columns.iter().find(|planned| planned.source == source);
        let unique = planned.is_some_and(|planned| planned.unique);
        let kind = if policy == Policy::Quarantine { ErrorKind::Unfit } else { ErrorKind::Value };
        let place = if unique { " in a key or unique index" } else { "" };
        // a table keeps the types it was copied with
        let anew = |setting: &str| {
            format!(
                "correct the row on the source, or `{setting}` under [types] and copy anew: `sirenia reset --yes` and \
                 `sirenia run`"
            )
        };
        let error = Error::new(kind, format!("{}.{}: {reason}{place}", self.plan.source.name, column.name))
            .with_code(reason.name());
        match reason {
            Reason::OutOfRange => error.with_hint(anew("bigint_unsigned = \"numeric\"")),
            Reason::NotBoolean => error.with_hint(anew("tinyint1 = \"smallint\"")),
            Reason::NotTimeOfDay => error.with_hint(anew("time = \"interval\"")),
            Reason::TooLong => error.with_hint("exclude the column with `exclude_columns`"),
            _ if unique => error
                .detail("changed to fit, two different values could become one")
                .with_hint("correct the row on the source, or exclude the table or the column"),
            reason => error.with_hint(format!(
                "correct the row on the source, or choose another policy for {} under [sanitize]",
                reason.name()
            )),
        }
    }

    /// A partial row does not have the column, and it is needed.
    #[cold]
    fn lacks(&self, source: usize) -> Error {
        self.error(source, Fault::Absent)
    }

    /// Puts table and column to a fault; never the value.
    #[cold]
    fn error(&self, source: usize, fault: Fault) -> Error {
        let table = &self.plan.source;
        let Some(column) = table.columns.get(source) else {
            return Error::new(ErrorKind::Bug, format!("{}: no column at position {source}", table.name));
        };
        let place = format!("{}.{}", table.name, column.name);
        let of = |kind, what: &str| Error::new(kind, format!("{place}: {what}"));
        match fault {
            Fault::Absent => not_in_the_image(table, column),
            Fault::Kind => of(ErrorKind::Bug, &format!("a value that is no {}", column.declared)),
            Fault::Corrupt(what) => of(ErrorKind::Corrupt, what)
                .detail(format!("the column is declared as {}", column.declared))
                .with_hint("compare the table's definition on the source with the one that is replicated"),
            Fault::Refused(reason, policy) => self.refused(source, reason, policy),
            Fault::TooLong => self.refused(source, Reason::TooLong, Policy::Fail),
            Fault::Unsupported => match check_text(table, column) {
                Err(error) => error,
                Ok(()) => of(ErrorKind::Bug, "a character set without a decoder"),
            },
            Fault::Json(error) => error.at(place),
        }
    }
}

#[cfg(test)]
mod tests;
