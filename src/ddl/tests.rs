use super::statement::Clause;
use super::*;
use crate::ident::TableName;
use crate::schema::{Catalog, Charset, Flavor, SourceType};
use proptest::prelude::*;

fn server(flavor: Flavor) -> Server {
    let version = if flavor == Flavor::MySql { (9, 7, 0) } else { (10, 11, 6) };
    let mut server = Server::new(flavor, version);
    let charset = Charset { name: "latin1".into(), collation: "latin1_swedish_ci".into() };
    server.databases.insert("lab".into(), charset);
    server
}

/// The effects of the last statement, in short, and the catalogue behind it.
fn run_on(flavor: Flavor, statements: &[&str]) -> (String, Predicted, Catalog) {
    let (mut catalog, mut server) = (Catalog::default(), server(flavor));
    let mut predicted = Predicted::default();
    for sql in statements {
        let statement = parse(sql, Mode::default()).unwrap_or_else(|error| panic!("{sql}: {error}"));
        predicted = predict(&statement, "lab", &mut catalog, &mut server).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let short: Vec<String> = predicted.effects.iter().map(short).collect();
    (short.join("; "), predicted, catalog)
}

fn short(effect: &Effect) -> String {
    match effect {
        Effect::Create(table) => format!("create {table}"),
        Effect::Appear(table) => format!("appear {table}"),
        Effect::Drop(table) => format!("drop {table}"),
        Effect::Truncate(table) => format!("truncate {table}"),
        Effect::Rename { from, to } => format!("rename {from} {to}"),
        Effect::Alter { table, columns, rows } => {
            let from = columns.iter().map(|from| from.map_or("+".into(), |from| from.to_string()));
            let unknown = if *rows == Rows::Kept { "" } else { " rows?" };
            format!("alter {table} {}{unknown}", from.collect::<Vec<_>>().join(","))
        }
    }
}

const T: &str = "CREATE TABLE t (a INT, b INT, c VARCHAR(9), KEY (b, c))";
const U: &str = "CREATE TABLE u (a INT)";

fn effects(sql: &str) -> String {
    run_on(Flavor::MySql, &[T, U, sql]).0
}

#[test]
fn columns_are_followed_wherever_they_go() {
    for (sql, expected) in [
        ("ALTER TABLE t ADD d INT AFTER a, DROP c", "alter lab.t 0,+,1"),
        ("ALTER TABLE t DROP c, ADD c VARCHAR(9)", "alter lab.t 0,1,+"),
        ("ALTER TABLE t CHANGE a b INT, CHANGE b a INT", "alter lab.t 0,1,2"),
        ("ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a", "alter lab.t 0,1,2"),
        ("ALTER TABLE t MODIFY c TEXT FIRST, MODIFY a INT AFTER b", "alter lab.t 2,1,0"),
        ("ALTER TABLE t CHANGE a x INT, ADD y INT AFTER x", "alter lab.t 0,+,1,2"),
        ("ALTER TABLE t ADD (x INT, y INT), ADD z INT FIRST", "alter lab.t +,0,1,2,+,+"),
        ("ALTER TABLE lab.T2 ADD x INT", ""),
        ("ALTER TABLE t ADD x INT, RENAME TO v", "alter lab.t 0,1,2,+; rename lab.t lab.v"),
        ("CREATE INDEX i ON t (a)", "alter lab.t 0,1,2"),
    ] {
        assert_eq!(effects(sql), expected, "{sql}");
    }
}

#[test]
fn tables_are_followed_through_their_names() {
    for (sql, expected) in [
        ("RENAME TABLE t TO x, u TO t, x TO u", "rename lab.t lab.x; rename lab.u lab.t; rename lab.x lab.u"),
        ("RENAME TABLE t TO _t_del, _t_gho TO t", "rename lab.t lab._t_del; appear lab.t"),
        ("DROP TABLE IF EXISTS u, nothing, t", "drop lab.u; drop lab.t"),
        ("DROP DATABASE lab", "drop lab.t; drop lab.u"),
        ("TRUNCATE t", "truncate lab.t"),
        ("CREATE OR REPLACE TABLE t (x INT)", "drop lab.t; create lab.t"),
        ("CREATE TABLE IF NOT EXISTS t (x INT)", ""),
        ("CREATE TABLE v LIKE t", "create lab.v"),
        ("CREATE TEMPORARY TABLE t (x INT)", ""),
        ("ALTER TABLE nothing RENAME TO w", "appear lab.w"),
        ("ALTER TABLE t CONVERT PARTITION p TO TABLE w", "alter lab.t 0,1,2 rows?; appear lab.w"),
        ("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u", "alter lab.t 0,1,2 rows?; alter lab.u 0 rows?"),
    ] {
        assert_eq!(effects(sql), expected, "{sql}");
    }
}

#[test]
fn what_changes_rows_without_row_events_is_told() {
    for sql in [
        "ALTER TABLE t DROP PARTITION p",
        "ALTER TABLE t IMPORT TABLESPACE",
        "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY",
        "ALTER TABLE t ADD u CHAR(36) DEFAULT (uuid())",
        "ALTER TABLE t ADD at DATETIME NOT NULL DEFAULT NOW()",
        "ALTER TABLE t MODIFY a TIMESTAMP NULL",
        "ALTER IGNORE TABLE t ADD UNIQUE (a)",
    ] {
        assert!(effects(sql).ends_with(" rows?"), "{sql}: {}", effects(sql));
    }
    for sql in ["ALTER TABLE t ADD d INT DEFAULT 5", "ALTER TABLE t FORCE", "ALTER TABLE t ADD UNIQUE (a)"] {
        assert!(!effects(sql).contains("rows?"), "{sql}");
    }
}

#[test]
fn what_is_not_certain_is_named_and_what_does_not_fit_is_refused() {
    let (effects, predicted, _) = run_on(Flavor::MySql, &["CREATE TABLE v (a INT) SELECT 1 AS b"]);
    assert_eq!(effects, "create lab.v");
    assert!(predicted.uncertain.contains_key(&TableName::new("lab", "v")));
    let mut server = server(Flavor::MySql);
    let (_, _, before) = run_on(Flavor::MySql, &[T, U]);
    for sql in [
        "ALTER TABLE t DROP nothing",
        "ALTER TABLE t ADD a INT",
        "ALTER TABLE t ADD x INT AFTER nothing",
        "ALTER TABLE t DROP KEY nothing",
        "ALTER TABLE t RENAME TO u",
        "CREATE TABLE t (a INT)",
        "RENAME TABLE t TO u",
    ] {
        let mut catalog = before.clone();
        let refused = predict(&parse(sql, Mode::default()).unwrap(), "lab", &mut catalog, &mut server);
        assert!(!refused.unwrap_err().why.is_empty(), "{sql}");
        assert_eq!(catalog, before, "{sql}");
    }
    for sql in
        ["ALTER TABLE t FROBNICATE", "CREATE TABLE t (a FUTURE)", "ALTER TABLE t ADD a INT; DROP TABLE t", "BEGIN"]
    {
        assert!(!parse(sql, Mode::default()).unwrap_err().why.is_empty(), "{sql}");
    }
}

#[test]
fn dropped_columns_leave_their_indexes() {
    let indexes = |sql: &str| {
        let (_, _, catalog) = run_on(Flavor::MySql, &[T, sql]);
        let shape = |index: &crate::schema::Index| {
            (index.name.clone(), index.parts.iter().filter_map(|part| part.column).collect::<Vec<_>>())
        };
        catalog.tables[0].indexes.iter().map(shape).collect::<Vec<_>>()
    };
    assert_eq!(indexes("ALTER TABLE t DROP b"), [("b".into(), vec![1])]);
    assert_eq!(indexes("ALTER TABLE t DROP b, DROP c"), []);
    assert_eq!(indexes("ALTER TABLE t MODIFY c VARCHAR(9) FIRST"), [("b".into(), vec![2, 0])]);
}

#[test]
fn the_mode_decides_what_quotes_are() {
    let ansi = Mode { ansi_quotes: true, ..Mode::default() };
    let Statement::Alter(alter) = parse("ALTER TABLE \"t\" DROP \"a b\"", ansi).unwrap() else { panic!() };
    assert_eq!(alter.clauses, [Clause::DropColumn { name: "a b".into(), if_exists: false }]);
    assert!(parse("ALTER TABLE \"t\" DROP a", Mode::default()).is_err());
    let bare = Mode { no_backslash_escapes: true, ..Mode::default() };
    assert!(
        parse(r"ALTER TABLE t COMMENT 'C:\'", bare).is_ok() && parse(r"ALTER TABLE t COMMENT 'C:\'", ansi).is_err()
    );
    let other = Mode { other_types: true, ..Mode::default() };
    assert!(parse("ALTER TABLE t ADD a DATE", other).is_err() && parse("ALTER TABLE t DROP a", other).is_ok());
}

#[test]
fn the_flavour_decides_what_json_is() {
    let ty = |flavor| run_on(flavor, &["CREATE TABLE j (a JSON)"]).2.tables[0].columns[0].ty.clone();
    assert_eq!(ty(Flavor::MySql), SourceType::Json { text: false });
    assert_eq!(ty(Flavor::MariaDb), SourceType::Json { text: true });
}

#[test]
fn names_compare_as_the_server_compares_them() {
    let (mut catalog, mut server) = (Catalog::default(), server(Flavor::MySql));
    server.lower_case_table_names = 1;
    for sql in ["CREATE TABLE Orang (a INT)", "ALTER TABLE ORANG RENAME Manusia"] {
        predict(&parse(sql, Mode::default()).unwrap(), "LAB", &mut catalog, &mut server).unwrap();
    }
    assert_eq!(catalog.tables[0].name.to_string(), "lab.manusia");
}

#[test]
fn long_statements_take_no_longer_than_their_length() {
    let start = std::time::Instant::now();
    let repeated = |head: &str, part: &str, tail: &str| format!("{head}{}{tail}", part.repeat(400_000 / part.len()));
    for sql in [
        repeated("CREATE TABLE t (a INT DEFAULT ", "(", ""),
        repeated("CREATE TABLE t (a INT", ", KEY (a)", ")"),
        repeated("CREATE TABLE t (a INT", ", a INT", ")"),
        repeated("CREATE TABLE t (a INT", ", FOREIGN KEY (a) REFERENCES t (a)", ")"),
        repeated("ALTER TABLE t ", "ADD a INT AFTER b,", "FORCE"),
        repeated("ALTER TABLE t ADD a INT ", "DEFAULT 1 + ", ""),
        repeated("RENAME TABLE a TO b", ", a TO b", ""),
        repeated("ALTER TABLE t COMMENT '", "''", "'"),
        repeated("ALTER TABLE t ", "/*!50000 ", "FORCE"),
        repeated("CREATE TABLE t (a SET('a'", ",'b'", ") DEFAULT 'a')"),
    ] {
        let (mut catalog, mut server) = (Catalog::default(), server(Flavor::MariaDb));
        if let Ok(statement) = parse(&sql, Mode::default()) {
            let _ = predict(&statement, "lab", &mut catalog, &mut server);
        }
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        head in "(CREATE TABLE t|ALTER TABLE t|RENAME TABLE|DROP TABLE|CREATE INDEX|)",
        sql in ".{0,60}|( ADD| DROP| CHANGE| a| b| INT| KEY| \\(| \\)|,| DEFAULT| 'x'| 5| AFTER| FIRST| TO| NULL| CHECK| -|\\.){0,14}",
        maria: bool,
    ) {
        if let Ok(statement) = parse(&format!("{head}{sql}"), Mode::default()) {
            let flavor = if maria { Flavor::MariaDb } else { Flavor::MySql };
            let (_, _, mut catalog) = run_on(flavor, &[T, U]);
            let _ = predict(&statement, "lab", &mut catalog, &mut server(flavor));
        }
    }
}
