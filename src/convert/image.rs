//! A row in `sirenia.quarantine`: MessagePack, versioned, with the columns' names so that a later schema can be matched.
//!
//! A row whose values do not convert is kept as the source's values; one that converted and was refused by the target as the
//! fields that were refused, so that a retry writes just those and a masked value stays masked. Columns that are not
//! carried are not kept, and of masked ones never the source's values: a row that did not convert and is masked waits for
//! a later change.

use super::plan::{PlannedColumn, TablePlan, Treatment};
use super::row::Converter;
use super::{Arena, Span};
use crate::copy_format as copy;
use crate::error::{Error, ErrorKind, Result};
use crate::value::ValueRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version that is written.
const VERSION: u8 = 1;

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

#[derive(Serialize, Deserialize)]
enum Image<'a> {
    /// The source's columns and values.
    #[serde(borrow)]
    Source(Vec<(&'a str, ValueRef<'a>)>),
    /// The target's columns, their types and fields in binary; none for NULL.
    #[serde(borrow)]
    Target(Vec<(&'a str, String, Option<Bin<'a>>)>),
}

fn pack(image: &Image<'_>) -> Result<Vec<u8>> {
    rmp_serde::to_vec(&(VERSION, image))
        .map_err(|error| Error::new(ErrorKind::Bug, "a row has no MessagePack form").with_source(error))
}

/// The image of a row of the source, of the columns that are carried and not masked.
///
/// # Errors
/// [`ErrorKind::Bug`].
pub fn of_row(plan: &TablePlan, row: &[ValueRef<'_>]) -> Result<Vec<u8>> {
    let named = |column: &PlannedColumn| {
        Some((plan.source.columns.get(column.source)?.name.as_str(), *row.get(column.source)?))
    };
    let shown = plan.columns.iter().filter(|column| !column.treatment.masks());
    pack(&Image::Source(shown.filter_map(named).collect()))
}

/// The image of a converted row.
///
/// # Errors
/// [`ErrorKind::Bug`].
pub fn of_tuple(plan: &TablePlan, tuple: &[u8]) -> Result<Vec<u8>> {
    let fields = plan.columns.iter().zip(fields(tuple.get(2..).unwrap_or_default()));
    let named = fields.map(|(column, field)| (column.name.as_str(), column.ty.sql(), field.map(Bin)));
    pack(&Image::Target(named.collect()))
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
        put(&mut key, *field);
    }
    key
}

fn put(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            out.extend_from_slice(&(field.len() as u32).to_be_bytes());
            out.extend_from_slice(field);
        }
        None => copy::null(out),
    }
}

/// The key and the tuple of an image, in the plan that the converter was compiled from.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it cannot be read, [`ErrorKind::SchemaMismatch`] when a column is missing in it or has
/// another type; those of the converter.
pub fn restore(image: &[u8], converter: &mut Converter, arena: &mut Arena) -> Result<(Span, Span)> {
    let plan = std::sync::Arc::clone(converter.plan());
    let damaged = |error| Error::new(ErrorKind::Corrupt, "an image in quarantine cannot be read").with_source(error);
    let (version, image): (u8, Image<'_>) = rmp_serde::from_slice(image).map_err(damaged)?;
    if version != VERSION {
        return Err(Error::new(ErrorKind::Corrupt, format!("an image in quarantine is of version {version}"))
            .with_hint("run the program that made it"));
    }
    let lacks = |name: &str| {
        Error::new(
            ErrorKind::SchemaMismatch,
            format!("{}.{name} is not in the image, or of another type", plan.source.name),
        )
        .with_hint("a later change of the row brings it whole")
    };
    match image {
        Image::Source(values) => {
            let mut row = vec![ValueRef::Null; plan.source.columns.len()];
            for column in &plan.columns {
                let name = plan.source.columns[column.source].name.as_str();
                let value = values.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
                // what a hash would be made of is not kept, so it must not become NULL
                let absent = column.nullable && !matches!(column.treatment, Treatment::Hashed(_));
                row[column.source] = value.or(absent.then_some(ValueRef::Null)).ok_or_else(|| lacks(name))?;
            }
            let key = converter.key(&row, arena)?;
            Ok((key, converter.tuple(&row, arena)?))
        }
        Image::Target(values) => {
            let mut tuple = Vec::new();
            copy::tuple_header(&mut tuple, plan.columns.len() as u16);
            for column in &plan.columns {
                let same = values.iter().find(|(name, ty, _)| *name == column.name && *ty == column.ty.sql());
                let field = same.map(|(.., field)| field.as_ref().map(|bin| bin.0));
                put(&mut tuple, field.ok_or_else(|| lacks(&column.name))?);
            }
            let key = key_of_tuple(&plan, &tuple);
            let mut append = |bytes: &[u8]| {
                let start = arena.bytes.len();
                arena.bytes.extend_from_slice(bytes);
                Span { start, end: arena.bytes.len() }
            };
            Ok((append(&key), append(&tuple)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::PgType;
    use super::super::sample::{int, planned, table, varchar};
    use super::*;
    use crate::masking::MaskKey;

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
        for image in [of_row(&plan, &row).unwrap(), of_tuple(&plan, &tuple).unwrap()] {
            let (again, whole) = restore(&image, &mut converter, &mut arena).unwrap();
            assert_eq!((arena.get(again), arena.get(whole)), (&key[..], &tuple[..]));
            assert!(restore(&image[..image.len() - 1], &mut converter, &mut arena).is_err());
        }
    }

    #[test]
    fn masked_values_are_not_kept() {
        let source = table("t", &[("id", int(4, false)), ("nik?", varchar(9)), ("nama?", varchar(9))]).primary(&[0]);
        let mut plan = TablePlan::clone(&planned(source));
        plan.columns[2].treatment = Treatment::Nulled;
        let row = [ValueRef::Int(7), ValueRef::Bytes(b"rahasia"), ValueRef::Bytes(b"Siti")];
        let shows = |bytes: &[u8], what: &str| String::from_utf8_lossy(bytes).contains(what);
        let compiled = |plan: &TablePlan| Converter::compile(std::sync::Arc::new(plan.clone())).unwrap();
        let image = of_row(&plan, &row).unwrap();
        assert!(!shows(&image, "Siti") && shows(&image, "rahasia"));
        assert!(restore(&image, &mut compiled(&plan), &mut Arena::default()).is_ok(), "NULL needs no value");

        plan.columns[1].treatment = Treatment::Hashed(MaskKey::new(&[1; 16]).unwrap());
        plan.columns[1].ty = PgType::Text;
        let image = of_row(&plan, &row).unwrap();
        assert!(!shows(&image, "rahasia"));
        let error = restore(&image, &mut compiled(&plan), &mut Arena::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "not NULL in place of a hash: {error}");

        plan.key = vec![1];
        let raw = compiled(&plan).raw_key(&row).unwrap();
        assert!(!shows(&raw, "rahasia") && raw == compiled(&plan).raw_key(&row).unwrap());
        let other = [row[0], ValueRef::Bytes(b"lain"), row[2]];
        assert!(raw != compiled(&plan).raw_key(&other).unwrap());
    }
}
