//! DDL of both dialects: read, and run on a catalogue, one statement after the other.

use super::head;
use sirenia::ddl::{Effect, Mode, Rows, Server, affects, parse, predict};
use sirenia::schema::{Catalog, Charset, Flavor, TableSchema};

/// Statements that end at `;` and a line feed; the first byte chooses the server and the mode.
pub fn ddl(data: &[u8]) {
    let ([choice], text) = head::<1>(data);
    let text = String::from_utf8_lossy(text);
    let (flavor, version) = if choice & 1 == 0 { (Flavor::MySql, (9, 7, 0)) } else { (Flavor::MariaDb, (10, 11, 6)) };
    let mode =
        Mode { ansi_quotes: choice & 2 != 0, no_backslash_escapes: choice & 4 != 0, other_types: choice & 8 != 0 };
    let mut server = Server::new(flavor, version);
    server.lower_case_table_names = choice >> 4 & 1;
    let charset = Charset { name: "latin1".into(), collation: "latin1_swedish_ci".into() };
    server.databases.insert("lab".into(), charset);
    let mut catalog = Catalog::default();
    for sql in text.split(";\n") {
        let _ = affects(sql, "lab");
        let Ok(statement) = parse(sql, mode) else { continue };
        let before = catalog.clone();
        match predict(&statement, "lab", &mut catalog, &mut server) {
            Ok(predicted) => {
                predicted.effects.iter().for_each(|effect| fits(effect, &before, &catalog));
                let named =
                    |table: &TableSchema| predicted.effects.iter().flat_map(Effect::tables).any(|t| *t == table.name);
                let kept =
                    |table: &TableSchema| before.table(&table.name).is_some_and(|old| old.columns == table.columns);
                assert!(
                    catalog.tables.iter().all(|table| named(table) || kept(table)),
                    "a change without effect: {sql}"
                );
            }
            Err(error) => {
                assert!(!error.why.is_empty());
                assert_eq!(catalog, before, "refused, and changed: {sql}");
            }
        }
        catalog.tables.iter().for_each(is_whole);
        assert!(catalog.tables.windows(2).all(|pair| pair[0].name <= pair[1].name), "{sql}");
    }
}

/// Columns come from columns that there were, each from another.
fn fits(effect: &Effect, before: &Catalog, after: &Catalog) {
    let Effect::Alter { table, columns, rows } = effect else { return };
    let old = before.table(table).expect("only tables that are known are altered").columns.len();
    assert!(columns.iter().flatten().all(|from| *from < old));
    let mut from: Vec<usize> = columns.iter().flatten().copied().collect();
    from.sort_unstable();
    from.dedup();
    assert_eq!(from.len(), columns.iter().flatten().count());
    if let Some(now) = after.table(table) {
        assert_eq!(now.columns.len(), columns.len());
    }
    assert!(!matches!(rows, Rows::Unknown(why) if why.is_empty()));
}

fn is_whole(table: &TableSchema) {
    for part in table.indexes.iter().flat_map(|index| &index.parts) {
        assert!(part.column.is_none_or(|at| at < table.columns.len()));
    }
    let _ = table.key_columns();
}
