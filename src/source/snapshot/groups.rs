//! Which tables are copied in chunks, and which exactly.
//!
//! A chunked copy is repaired by applying the stream from P0 on again, idempotently. That needs a key that stays what it
//! was and a log that tells every change. Read exactly, from one consistent view at a known position, are therefore:
//!
//! - tables without a key, or whose key no index range can be read by;
//! - tables of engines without transactions, which no consistent view covers;
//! - where the source does not log cascades: tables in which ON UPDATE CASCADE sets values, since a row that was copied
//!   behind such a change would be taken for a child of whichever parent had that value before, and no logged change
//!   would mend it; and every table of a component (connected over acting foreign keys) with a chain of two such keys,
//!   all as one group: we replay the cascades from the rows we hold, and a row in the middle of a chain that was
//!   copied too late would stop them;
//! - tables of which the source logs partial row images: a row whose key changes while the copy runs may be read under
//!   neither key, or another row under its old one, and only a whole after image mends that.

use crate::ident::TableName;
use crate::schema::{Action, Catalog, Index, SourceType, TableSchema};
use crate::source::row_image::RowImage;

/// Tables that are copied together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyGroup {
    /// One table (its index in [`Catalog::tables`]), in chunks by key order.
    Chunked(usize),
    /// These tables, in catalogue order, from one consistent view.
    Exact(Vec<usize>),
}

/// Splits the catalogue's tables into groups; each table is in just one.
#[must_use]
pub fn copy_groups(catalog: &Catalog, logs_cascades: bool, image: RowImage) -> Vec<CopyGroup> {
    let tables = &catalog.tables;
    let chained = if logs_cascades { vec![None; tables.len()] } else { chained_components(catalog) };
    let mut groups: Vec<CopyGroup> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        match chained[at] {
            Some(component) if component == at => {
                groups.push(CopyGroup::Exact((0..tables.len()).filter(|other| chained[*other] == Some(at)).collect()));
            }
            Some(_) => {}
            None if why_exact(table, logs_cascades, image).is_some() => groups.push(CopyGroup::Exact(vec![at])),
            None => groups.push(CopyGroup::Chunked(at)),
        }
    }
    groups
}

/// Why a table is read exactly by itself; none when it is read in chunks, unless it is in a chain of acting keys.
#[must_use]
pub fn why_exact(table: &TableSchema, logs_cascades: bool, image: RowImage) -> Option<&'static str> {
    match () {
        () if table.key().is_none() => Some("it has no key"),
        () if chunk_key(table).is_none() => Some("its key cannot be read by ranges"),
        () if !table.transactional => Some("its engine has no transactions"),
        () if image.is_partial(table) => Some("the source logs only parts of its rows"),
        () if !logs_cascades && cascade_sets_values(table) => {
            Some("a foreign key sets its values, which is not logged")
        }
        () => None,
    }
}

/// The key to read a table by in chunks: its key, if that is an index with an order and columns that can be compared.
#[must_use]
pub fn chunk_key(table: &TableSchema) -> Option<&Index> {
    let ordered = |column: &usize| {
        !matches!(
            table.columns[*column].ty,
            // SET has no range reads; the others cannot be compared by a parameter
            SourceType::Set { .. }
                | SourceType::Json { .. }
                | SourceType::Geometry
                | SourceType::Vector
                | SourceType::Text { .. }
                | SourceType::Blob { .. }
        )
    };
    table.key().filter(|key| key.method == "BTREE" && key.parts.iter().filter_map(|p| p.column).all(|c| ordered(&c)))
}

fn cascade_sets_values(table: &TableSchema) -> bool {
    table.foreign_keys.iter().any(|fk| fk.on_update == Action::Cascade)
}

/// For each table the lowest table of its component over acting foreign keys, if the component has a chain of two.
#[must_use]
pub fn chained_components(catalog: &Catalog) -> Vec<Option<usize>> {
    let tables = &catalog.tables;
    let position = |name: &TableName| tables.iter().position(|table| table.name == *name);
    let edges: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(child, table)| table.foreign_keys.iter().filter(|fk| fk.acts()).map(move |fk| (child, fk)))
        .filter_map(|(child, fk)| Some((child, position(&fk.parent)?)))
        .collect();
    let mut lowest: Vec<usize> = (0..tables.len()).collect();
    loop {
        let before = lowest.clone();
        for &(child, parent) in &edges {
            let least = lowest[child].min(lowest[parent]);
            (lowest[child], lowest[parent]) = (least, least);
        }
        if lowest == before {
            break;
        }
    }
    // a table that is both child and parent makes a chain; one that refers to itself does so alone
    let links = |at: usize| edges.iter().any(|edge| edge.0 == at) && edges.iter().any(|edge| edge.1 == at);
    let chained: Vec<usize> = (0..tables.len()).filter(|at| links(*at)).map(|at| lowest[at]).collect();
    lowest.into_iter().map(|component| chained.contains(&component).then_some(component)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::sample;

    fn table(name: &str, keyed: bool, parents: &[(&str, Action, Action)]) -> TableSchema {
        let mut table = sample::table(name, &["id", "parent"].map(|name| (name, sample::int(4, false))));
        for (parent, on_delete, on_update) in parents {
            table = table.refers("parent", parent, "id");
            let key = table.foreign_keys.last_mut().unwrap();
            (key.name, key.on_delete, key.on_update) = (format!("fk_{parent}"), *on_delete, *on_update);
        }
        if keyed { table.primary(&[0]) } else { table }
    }

    const CASCADE: (Action, Action) = (Action::Cascade, Action::Restrict);

    #[test]
    fn chains_of_two_acting_keys_are_one_group_where_cascades_are_not_logged() {
        let (delete, none) = (CASCADE.0, CASCADE.1);
        let catalog = Catalog {
            tables: vec![
                table("a", true, &[]),
                table("b", true, &[("a", delete, none)]),
                table("c", true, &[("b", Action::SetNull, none)]),
                table("d", true, &[("a", delete, none)]),
                table("e", true, &[]),
                table("f", true, &[("e", delete, none)]),
                table("g", true, &[("f", none, none)]),
                table("self", true, &[("self", delete, none)]),
                table("unkeyed", false, &[]),
            ],
        };
        let chunked = |list: &[usize]| list.iter().map(|at| CopyGroup::Chunked(*at)).collect::<Vec<_>>();
        let mut expected = vec![CopyGroup::Exact(vec![0, 1, 2, 3])];
        expected.extend(chunked(&[4, 5, 6]));
        expected.extend([CopyGroup::Exact(vec![7]), CopyGroup::Exact(vec![8])]);
        assert_eq!(copy_groups(&catalog, false, RowImage::Whole), expected);
        let mut logged = chunked(&[0, 1, 2, 3, 4, 5, 6, 7]);
        logged.push(CopyGroup::Exact(vec![8]));
        assert_eq!(copy_groups(&catalog, true, RowImage::Whole), logged);
        let apart: Vec<CopyGroup> = (0..9).map(|at| CopyGroup::Exact(vec![at])).collect();
        assert_eq!(copy_groups(&catalog, true, RowImage::Minimal), apart);
        assert_eq!(copy_groups(&catalog, true, RowImage::NoBlob), logged, "no large columns: whole images");
    }

    #[test]
    fn tables_with_values_that_cascades_set_and_engines_without_views_are_exact() {
        let child = table("child", true, &[("p", Action::Restrict, Action::Cascade)]);
        let emptied = table("emptied", true, &[("p", Action::SetNull, Action::SetNull)]);
        let mut myisam = table("myisam", true, &[]);
        myisam.transactional = false;
        let mut hash = table("hash", true, &[]);
        hash.indexes[0].method = "HASH".into();
        let catalog = Catalog { tables: vec![child, hash, myisam, emptied] };
        let exact = |at| CopyGroup::Exact(vec![at]);
        assert_eq!(
            copy_groups(&catalog, false, RowImage::Whole),
            [exact(0), exact(1), exact(2), CopyGroup::Chunked(3)]
        );
        assert_eq!(
            copy_groups(&catalog, true, RowImage::Whole),
            [CopyGroup::Chunked(0), exact(1), exact(2), CopyGroup::Chunked(3)]
        );
    }
}
