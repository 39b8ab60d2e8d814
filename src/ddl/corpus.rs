//! The corpus of statements (`fixtures/ddl/`): each is read wholly or refused with a reason, and none is passed over.

use super::generator::{self, Chance};
use super::statement::Clause;
use super::{Affects, Effect, Mode, Server, Statement, affects, parse, predict};
use crate::ident::TableName;
use crate::schema::{Catalog, Charset, Flavor};
use std::collections::BTreeSet;

/// The statements of a file: each ends at a semicolon at a line's end; lines that begin with `-- ` before one are remarks.
pub(crate) fn statements(file: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut statement = String::new();
    for line in file.lines() {
        if statement.is_empty() && (line.starts_with("-- ") || line.trim().is_empty()) {
            continue;
        }
        statement.push_str(line);
        match statement.strip_suffix(';') {
            Some(whole) => {
                out.push(whole.to_owned());
                statement.clear();
            }
            None => statement.push('\n'),
        }
    }
    out
}

/// How many statements the generator adds to those by hand; its seed.
const GENERATED: usize = 2400;
const SEED: u64 = 0x5172_656e_6961;

/// The server on which the generated statements would run.
fn server() -> Server {
    let mut server = Server::new(Flavor::MySql, (9, 7, 0));
    let charset = Charset { name: "utf8mb4".into(), collation: "utf8mb4_0900_ai_ci".into() };
    server.databases.insert("lab".into(), charset);
    server
}

/// Runs statements that the generator makes for the predicted catalogue; checks that each is read, and names its table.
fn generate(seed: u64, count: usize) -> (BTreeSet<String>, usize) {
    let (mut chance, mut catalog, mut server) = (Chance::new(seed), Catalog::default(), server());
    let mut made = BTreeSet::new();
    let mut refused = 0;
    while made.len() < count {
        let (sql, own) = generator::statement(&mut chance, &catalog);
        let statement = parse(&sql, Mode::default()).unwrap_or_else(|error| panic!("{sql}: {error}"));
        match predict(&statement, "lab", &mut catalog, &mut server) {
            Ok(predicted) => {
                let named = predicted.effects.iter().flat_map(Effect::tables).any(|table| table.table == own);
                assert!(named, "{sql}: no effect on {own}: {predicted:?}");
            }
            Err(error) => {
                assert!(!error.why.is_empty(), "{sql}");
                refused += 1;
            }
        }
        made.insert(sql);
    }
    (made, refused)
}

fn written(statements: &BTreeSet<String>) -> String {
    statements.iter().fold(String::new(), |text, sql| text + sql + ";\n")
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ddl/generated.sql")
}

#[test]
fn generated_statements_concern_their_table() {
    let (made, refused) = generate(SEED, GENERATED);
    println!("{} statements, {refused} refused by the predicted catalogue", made.len());
    assert!(refused * 2 < made.len(), "{refused} of {} do not fit the catalogue", made.len());
    assert!(written(&made) == std::fs::read_to_string(path()).unwrap(), "write_generated has not been run");
}

#[test]
#[ignore = "writes fixtures/ddl/generated.sql"]
fn write_generated() {
    std::fs::write(path(), written(&generate(SEED, GENERATED).0)).unwrap();
}

/// Tables that a statement names, in a catalogue that has all of them, are in its effects. [`affects`] reads the names on
/// its own.
#[test]
fn what_names_a_table_has_an_effect_on_it() {
    let mut by_hand = statements(include_str!("../../fixtures/ddl/by_hand.sql"));
    by_hand.extend(statements(include_str!("../../fixtures/ddl/odd.sql")));
    by_hand.extend(statements(include_str!("../../fixtures/ddl/generated.sql")));
    let mut tally = (0, 0, 0);
    for sql in &by_hand {
        let statement = match parse(sql, Mode::default()) {
            Ok(statement) => statement,
            Err(error) => {
                assert!(!error.why.is_empty(), "{sql}");
                tally.1 += 1;
                continue;
            }
        };
        let tables = match affects(sql, "lab") {
            Affects::Tables(tables) => tables,
            Affects::Nothing => {
                assert!(
                    matches!(statement, Statement::NoTable | Statement::SetDatabase { .. }),
                    "{sql}: {statement:?}"
                );
                continue;
            }
            Affects::Database(_) => {
                assert!(matches!(statement, Statement::DropDatabase(_)), "{sql}: {statement:?}");
                continue;
            }
            Affects::Unknown => panic!("{sql}: not known to affects"),
        };
        let created = matches!(statement, Statement::CreateTable(_));
        let mut catalog = Catalog::default();
        let distinct: BTreeSet<&TableName> = tables.iter().filter(|_| !created).collect();
        for table in distinct {
            predict(&create(table), "lab", &mut catalog, &mut server()).unwrap();
        }
        // new names are free
        let renames = match &statement {
            Statement::RenameTables(_) => true,
            Statement::Alter(alter) => alter.clauses.iter().any(|clause| matches!(clause, Clause::RenameTo(_))),
            _ => false,
        };
        if renames {
            catalog.tables.retain(|known| known.name == tables[0]);
        }
        match predict(&statement, "lab", &mut catalog, &mut server()) {
            Ok(predicted) => {
                tally.0 += 1;
                // of a table that another took the place of, nothing is left to be told
                let in_turn = renames && tables.len() > 2;
                for table in &tables {
                    let named = predicted.effects.iter().flat_map(Effect::tables).any(|named| named == table);
                    assert!(named || in_turn, "{sql}: no effect on {table}: {predicted:?}");
                }
            }
            Err(error) => {
                assert!(!error.why.is_empty(), "{sql}");
                tally.2 += 1;
            }
        }
    }
    println!("{} statements: {} with effects, {} unread, {} that do not fit", by_hand.len(), tally.0, tally.1, tally.2);
    assert!(by_hand.len() > 2000 && tally.1 * 50 < by_hand.len());
}

fn create(table: &TableName) -> Statement {
    parse(&format!("CREATE TABLE {} (id INT PRIMARY KEY, nama VARCHAR(9))", table.mysql()), Mode::default()).unwrap()
}
