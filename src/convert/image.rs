//! A row in `sirenia.quarantine`: MessagePack, versioned, with the columns' names so that a later schema can be matched.
//!
//! A row whose values do not convert is kept as the source's values; one that converted and was refused by the target as the
//! fields that were refused, so that a retry writes just those and a masked value stays masked. Columns that are not
//! carried are not kept, and of masked ones never the source's values, but the fields that they became. What a partial update
//! changes, in the one form or the other, is laid over either: [`lay`].

use super::patch::Patch;
use super::plan::{PlannedColumn, TablePlan, Treatment};
use super::row::Converter;
use super::{Arena, Span};
use crate::copy_format as copy;
use crate::error::{Error, ErrorKind, Result};
use crate::value::ValueRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version that is written of images of one form.
const VERSION: u8 = 1;
/// And of those with values and fields beside each other.
const VERSION_OF_BOTH: u8 = 2;

/// Bytes as MessagePack's `bin`.
struct Bin<'a>(&'a [u8]);

impl Serialize for Bin<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bin<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Bin)
    }
}

/// The source's columns and values.
type Values<'a> = Vec<(&'a str, ValueRef<'a>)>;
/// The target's columns, their types and fields in binary; none for NULL.
type NamedFields<'a> = Vec<(&'a str, String, Option<Bin<'a>>)>;

#[derive(Serialize, Deserialize)]
enum Image<'a> {
    #[serde(borrow)]
    Source(Values<'a>),
    #[serde(borrow)]
    Target(NamedFields<'a>),
    /// Of no column both.
    Both(#[serde(borrow)] Values<'a>, #[serde(borrow)] NamedFields<'a>),
}

fn pack(values: Values<'_>, fields: NamedFields<'_>) -> Result<Vec<u8>> {
    let image = match (values.is_empty(), fields.is_empty()) {
        (_, true) => (VERSION, Image::Source(values)),
        (true, false) => (VERSION, Image::Target(fields)),
        (false, false) => (VERSION_OF_BOTH, Image::Both(values, fields)),
    };
    rmp_serde::to_vec(&image)
        .map_err(|error| Error::new(ErrorKind::Bug, "a row has no MessagePack form").with_source(error))
}

fn unpack(image: &[u8]) -> Result<(Values<'_>, NamedFields<'_>)> {
    let damaged = |error| Error::new(ErrorKind::Corrupt, "an image in quarantine cannot be read").with_source(error);
    // the version first: the form of a later one is not known here
    let version = image.get(1).copied().unwrap_or_default();
    if ![VERSION, VERSION_OF_BOTH].contains(&version) {
        return Err(Error::new(ErrorKind::Corrupt, format!("an image in quarantine is of version {version}"))
            .with_hint("run the program that made it"));
    }
    let (_, image): (u8, Image<'_>) = rmp_serde::from_slice(image).map_err(damaged)?;
    Ok(match image {
        Image::Source(values) => (values, Vec::new()),
        Image::Target(fields) => (Vec::new(), fields),
        Image::Both(values, fields) => (values, fields),
    })
}

/// The image of a row of the source, or of those of its columns: what is carried of it.
///
/// # Errors
/// [`ErrorKind::Bug`].
pub fn of_row(
    converter: &mut Converter,
    columns: impl Fn(usize) -> bool,
    row: &[ValueRef<'_>],
    arena: &mut Arena,
) -> Result<Vec<u8>> {
    let plan = std::sync::Arc::clone(converter.plan());
    let start = arena.len();
    let (mut values, mut masked) = (Vec::new(), Vec::new());
    for column in plan.columns.iter().filter(|column| columns(column.source)) {
        let name = plan.source_name(column);
        if !column.treatment.masks() {
            values.push((name, row.get(column.source).copied().unwrap_or(ValueRef::Null)));
        } else if let Ok(span) = converter.fields(&[column.source], row, arena) {
            // what has no field, since not even its hash may stand in a key, waits for a later change
            masked.push((column, arena.get(span).to_vec()));
        }
    }
    arena.truncate(start);
    pack(values, masked.iter().map(|(column, field)| named(column, field)).collect())
}

/// A column's field with its name and type.
fn named<'a>(column: &'a PlannedColumn, field: &'a [u8]) -> (&'a str, String, Option<Bin<'a>>) {
    (column.name.as_str(), column.ty.sql(), copy::field_value(field).map(Bin))
}

/// What a partial update changes of a row.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// As converted fields.
    Patch(Patch<'a>),
    /// As an image of the columns that it changes.
    Image(&'a [u8]),
}

/// The image with a part laid over it.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when an image cannot be read, [`ErrorKind::Bug`].
pub fn lay(plan: &TablePlan, image: &[u8], part: Part<'_>) -> Result<Vec<u8>> {
    let (mut values, mut fields) = unpack(image)?;
    let (newer_values, newer_fields) = match part {
        Part::Image(image) => unpack(image)?,
        Part::Patch(patch) => {
            let named = |(column, field)| plan.columns.get(column).map(|column| named(column, field));
            (Vec::new(), patch.fields().filter_map(named).collect())
        }
    };
    for column in &plan.columns {
        let source = plan.source_name(column);
        let newer = newer_values.iter().any(|(name, _)| *name == source)
            || newer_fields.iter().any(|(name, ..)| *name == column.name);
        if newer {
            values.retain(|(name, _)| *name != source);
            fields.retain(|(name, ..)| *name != column.name);
        }
    }
    values.extend(newer_values);
    fields.extend(newer_fields);
    pack(values, fields)
}

/// The image of a converted row.
///
/// # Errors
/// [`ErrorKind::Bug`].
pub fn of_tuple(plan: &TablePlan, tuple: &[u8]) -> Result<Vec<u8>> {
    let fields = plan.columns.iter().zip(fields(tuple.get(2..).unwrap_or_default()));
    let named = fields.map(|(column, field)| (column.name.as_str(), column.ty.sql(), field.map(Bin)));
    pack(Vec::new(), named.collect())
}

/// The fields of a run of fields; none for NULL.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = behind;
            return Some(None);
        };
        let (field, behind) = behind.split_at_checked(length)?;
        rest = behind;
        Some(Some(field))
    })
}

/// The key's fields of a tuple, as they stand in it.
#[must_use]
pub fn key_of_tuple(plan: &TablePlan, tuple: &[u8]) -> Vec<u8> {
    let all: Vec<_> = fields(tuple.get(2..).unwrap_or_default()).collect();
    let mut key = Vec::new();
    for field in plan.key.iter().filter_map(|position| all.get(*position)) {
        copy::field(&mut key, *field);
    }
    key
}

/// The key and the tuple of an image, in the plan that the converter was compiled from. Values that had to be changed to fit
/// are the converter's to tell.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it cannot be read, [`ErrorKind::SchemaMismatch`] when a column is missing in it or has
/// another type; those of the converter.
pub fn restore(image: &[u8], converter: &mut Converter, arena: &mut Arena) -> Result<(Span, Span)> {
    let plan = std::sync::Arc::clone(converter.plan());
    let (values, fields) = unpack(image)?;
    let lacks = |name: &str| {
        Error::new(
            ErrorKind::SchemaMismatch,
            format!("{}.{name} is not in the image, or of another type", plan.source.name),
        )
        .with_hint("a later change of the row brings it whole")
    };
    let mut row = vec![ValueRef::Null; plan.source.columns.len()];
    let mut given = Vec::with_capacity(plan.columns.len());
    for column in &plan.columns {
        let field = fields.iter().find(|(name, ..)| *name == column.name);
        if let Some((_, ty, field)) = field {
            if *ty != column.ty.sql() {
                return Err(lacks(&column.name));
            }
            given.push(Some(field.as_ref().map(|bin| bin.0)));
            continue;
        }
        let name = plan.source_name(column);
        let value = values.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        // what a hash would be made of is not kept, so it must not become NULL; nor does a row that was whole lack columns
        let absent = column.nullable && !values.is_empty() && !matches!(column.treatment, Treatment::Hashed(_));
        row[column.source] = value.or(absent.then_some(ValueRef::Null)).ok_or_else(|| lacks(name))?;
        given.push(None);
    }
    let converted = converter.tuple(&row, arena)?;
    if given.iter().all(Option::is_none) {
        return Ok((converter.key(&row, arena)?, converted));
    }
    let mut tuple = Vec::new();
    copy::tuple_header(&mut tuple, plan.columns.len() as u16);
    for (field, given) in copy::Fields::of_tuple(arena.get(converted)).zip(given) {
        match given {
            Some(field) => copy::field(&mut tuple, field),
            None => tuple.extend_from_slice(field),
        }
    }
    arena.truncate(converted.start);
    let key = key_of_tuple(&plan, &tuple);
    let mut append = |bytes: &[u8]| {
        let start = arena.bytes.len();
        arena.bytes.extend_from_slice(bytes);
        Span { start, end: arena.bytes.len() }
    };
    Ok((append(&key), append(&tuple)))
}

#[cfg(test)]
mod tests {
    use super::super::plan::PgType;
    use super::super::sample::{int, planned, table, varchar};
    use super::*;
    use crate::masking::MaskKey;

    /// Of all columns.
    fn whole(converter: &mut Converter, row: &[ValueRef<'_>]) -> Vec<u8> {
        of_row(converter, |_| true, row, &mut Arena::default()).unwrap()
    }

    #[test]
    fn both_images_give_the_row_back() {
        let source = table("t", &[("id", int(4, false)), ("nama?", varchar(9)), ("kode", varchar(9))]).primary(&[2, 0]);
        let plan = planned(source);
        let mut converter = Converter::compile(std::sync::Arc::clone(&plan)).unwrap();
        let row = [ValueRef::Int(7), ValueRef::Null, ValueRef::Bytes(b"ab")];
        let mut arena = Arena::default();
        let (tuple, key) = (converter.tuple(&row, &mut arena).unwrap(), converter.key(&row, &mut arena).unwrap());
        let (tuple, key) = (arena.get(tuple).to_vec(), arena.get(key).to_vec());
        assert_eq!(key_of_tuple(&plan, &tuple), key);
        for image in [whole(&mut converter, &row), of_tuple(&plan, &tuple).unwrap()] {
            let (again, whole) = restore(&image, &mut converter, &mut arena).unwrap();
            assert_eq!((arena.get(again), arena.get(whole)), (&key[..], &tuple[..]));
            assert!(restore(&image[..image.len() - 1], &mut converter, &mut arena).is_err());
            let mut later = image.clone();
            later[1] = 9;
            let error = restore(&later, &mut converter, &mut arena).unwrap_err();
            assert!(error.message().contains("version 9"), "{error}");
        }
    }

    #[test]
    fn parts_are_laid_over_either_form() {
        let source =
            table("t", &[("id", int(4, false)), ("jumlah", int(8, true)), ("nama?", varchar(9))]).primary(&[0]);
        let plan = planned(source);
        let mut converter = Converter::compile(std::sync::Arc::clone(&plan)).unwrap();
        let mut arena = Arena::default();
        let large = ValueRef::UInt(u64::MAX);
        let rows = [
            [ValueRef::Int(7), ValueRef::UInt(5), ValueRef::Bytes(b"a")],
            [ValueRef::Int(8), large, ValueRef::Bytes(b"b")],
        ];
        let tuple = converter.tuple(&rows[0], &mut arena).unwrap();
        let fields = of_tuple(&plan, arena.get(tuple)).unwrap();
        // a value that does not convert over fields, and a field over that value
        let part = of_row(&mut converter, |column| column < 2, &rows[1], &mut arena).unwrap();
        let both = lay(&plan, &fields, Part::Image(&part)).unwrap();
        assert_eq!(restore(&both, &mut converter, &mut arena).unwrap_err().kind(), ErrorKind::Unfit);
        let after = [ValueRef::Absent, ValueRef::UInt(6), ValueRef::Absent];
        let absent = [ValueRef::Absent; 3];
        let patch = converter.patch(&absent, &after, &mut arena).unwrap().unwrap();
        let patch = arena.get(patch).to_vec();
        let expected = converter.tuple(&[ValueRef::Int(8), ValueRef::UInt(6), rows[0][2]], &mut arena).unwrap();
        let expected = arena.get(expected).to_vec();
        let read = Patch::read(&patch, 3);
        for image in [&both, &whole(&mut converter, &[rows[1][0], large, rows[0][2]])] {
            let merged = lay(&plan, image, Part::Patch(read)).unwrap();
            let (key, whole) = restore(&merged, &mut converter, &mut arena).unwrap();
            assert_eq!(arena.get(key), &[0, 0, 0, 4, 0, 0, 0, 8][..]);
            assert_eq!(arena.get(whole), expected);
        }
        // fields alone stay fields alone
        let merged = lay(&plan, &fields, Part::Patch(read)).unwrap();
        let (_, whole) = restore(&merged, &mut converter, &mut arena).unwrap();
        let expected = converter.tuple(&[ValueRef::Int(7), ValueRef::UInt(6), rows[0][2]], &mut Arena::default());
        assert_eq!((arena.get(whole).len(), merged[1]), (expected.unwrap().len(), VERSION));
    }

    #[test]
    fn masked_values_are_not_kept() {
        let source = table("t", &[("id", int(4, false)), ("nik?", varchar(9)), ("nama?", varchar(9))]).primary(&[0]);
        let mut plan = TablePlan::clone(&planned(source));
        plan.columns[2].treatment = Treatment::Nulled;
        let row = [ValueRef::Int(7), ValueRef::Bytes(b"rahasia"), ValueRef::Bytes(b"Siti")];
        let shows = |bytes: &[u8], what: &str| String::from_utf8_lossy(bytes).contains(what);
        let compiled = |plan: &TablePlan| Converter::compile(std::sync::Arc::new(plan.clone())).unwrap();
        let image = whole(&mut compiled(&plan), &row);
        assert!(!shows(&image, "Siti") && shows(&image, "rahasia"));
        assert!(restore(&image, &mut compiled(&plan), &mut Arena::default()).is_ok());

        let plain = image;
        plan.columns[1].treatment = Treatment::Hashed(MaskKey::new(&[1; 16]).unwrap());
        plan.columns[1].ty = PgType::Text;
        let mut converter = compiled(&plan);
        let image = whole(&mut converter, &row);
        assert!(!shows(&image, "rahasia"));
        let mut arena = Arena::default();
        let (_, tuple) = restore(&image, &mut converter, &mut arena).unwrap();
        let tuple = arena.get(tuple).to_vec();
        let expected = converter.tuple(&row, &mut arena).unwrap();
        assert_eq!(tuple, arena.get(expected), "the hash is kept");
        // of an image that was made before the column was masked
        let without: Vec<_> = unpack(&plain).unwrap().0.into_iter().filter(|(name, _)| *name != "nik").collect();
        let error = restore(&pack(without, Vec::new()).unwrap(), &mut converter, &mut arena).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "not NULL in place of a hash: {error}");

        plan.key = vec![1];
        let raw = compiled(&plan).raw_key(&row).unwrap();
        assert!(!shows(&raw, "rahasia") && raw == compiled(&plan).raw_key(&row).unwrap());
        let other = [row[0], ValueRef::Bytes(b"lain"), row[2]];
        assert!(raw != compiled(&plan).raw_key(&other).unwrap());
    }
}
