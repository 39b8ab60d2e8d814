//! Predictions held against real servers: after each statement the predicted catalogue and the one that is read are equal,
//! unless the prediction says that it is not certain.

use super::catalog::read;
use super::server::ServerFacts;
use super::testing::{Server, mapping, servers};
use crate::ddl::generator::{self, Chance};
use crate::ddl::{self, Effect, Mode, parse, predict};
use crate::ident::TableName;
use crate::schema::{Catalog, ColumnDefault, TableSchema};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// A table without what a statement does not decide, or what the server spells in its own way.
fn bare(table: &TableSchema) -> TableSchema {
    let mut table = table.clone();
    (table.estimated_rows, table.estimated_bytes) = (0, 0);
    for column in &mut table.columns {
        if let Some(generation) = &mut column.generation {
            generation.expression.clear();
        }
        if let Some(ColumnDefault::Expression(text)) = &mut column.default {
            text.clear();
        }
    }
    table.checks.iter_mut().for_each(|check| check.condition.clear());
    table.indexes.sort_by_key(|index| index.name.to_lowercase());
    let parts = table.indexes.iter_mut().flat_map(|index| &mut index.parts);
    parts.filter_map(|part| part.expression.as_mut()).for_each(String::clear);
    table.foreign_keys.sort_by_key(|key| key.name.to_lowercase());
    table.checks.sort_by_key(|check| check.name.to_lowercase());
    table
}

/// The first difference of two tables, in short.
fn difference(predicted: &TableSchema, read: &TableSchema) -> Option<String> {
    let (a, b) = (bare(predicted), bare(read));
    if a == b {
        return None;
    }
    let (a, b) = (format!("{a:#?}"), format!("{b:#?}"));
    let (mut left, mut right): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    left.drain(..same.saturating_sub(6));
    right.drain(..same.saturating_sub(6));
    left.truncate(14);
    right.truncate(14);
    Some(format!("{}: predicted\n{}\nbut is\n{}", predicted.name, left.join("\n"), right.join("\n")))
}

#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: Vec<String>,
    unread: Vec<String>,
    uncertain: Vec<String>,
    wrong: Vec<String>,
}

struct Oracle<'a> {
    server: &'a Server,
    conn: Conn,
    known: Catalog,
    facts: ddl::Server,
    tally: Tally,
}

impl Oracle<'_> {
    async fn run(&mut self, sql: &str) {
        let parsed = parse(sql, Mode::default());
        if let Err(error) = self.conn.query_drop(sql).await {
            self.tally.refused.push(format!("{sql}: {error}"));
            return;
        }
        self.tally.accepted += 1;
        let now = match self.look_or_error().await {
            Ok(now) => now,
            Err(error) => {
                self.conn.query_drop("DROP TABLE IF EXISTS inetty, vec").await.unwrap();
                self.tally.refused.push(format!("{sql}: {error}"));
                return;
            }
        };
        let before = std::mem::replace(&mut self.known, now.clone());
        let statement = match parsed {
            Ok(statement) => statement,
            Err(error) => return self.tally.unread.push(format!("{sql}: {error}")),
        };
        let mut after = before.clone();
        let predicted = match predict(&statement, "lab", &mut after, &mut self.facts) {
            Ok(predicted) => predicted,
            Err(error) => return self.tally.wrong.push(format!("{sql}: {error}")),
        };
        let named = |name: &TableName| predicted.effects.iter().flat_map(Effect::tables).any(|table| table == name);
        for table in &now.tables {
            if before.table(&table.name).is_none_or(|old| bare(old) != bare(table)) && !named(&table.name) {
                // the parent's columns in its children follow a rename
                if before.table(&table.name).is_none_or(|old| old.foreign_keys == table.foreign_keys) {
                    self.tally.wrong.push(format!("{sql}: no effect on {}", table.name));
                }
            }
            if let Some(why) = predicted.uncertain.get(&table.name) {
                self.tally.uncertain.push(format!("{sql}: {why}"));
                continue;
            }
            match after.table(&table.name) {
                None => self.tally.wrong.push(format!("{sql}: {} is not predicted", table.name)),
                Some(other) => {
                    self.tally.wrong.extend(difference(other, table).map(|text| format!("{sql}\n{text}")));
                }
            }
        }
        for table in &after.tables {
            if now.table(&table.name).is_none() && !predicted.uncertain.contains_key(&table.name) {
                self.tally.wrong.push(format!("{sql}: {} is predicted", table.name));
            }
        }
        for table in before.tables.iter().filter(|table| now.table(&table.name).is_none()) {
            if !named(&table.name) {
                self.tally.wrong.push(format!("{sql}: no effect on {}", table.name));
            }
        }
    }

    async fn look_or_error(&mut self) -> crate::error::Result<Catalog> {
        let mut mapping = mapping(&["lab", "lab2"]);
        // shadow tables too, which are left out unless they are named
        let shadows = ["_users_gho", "_users_ghc", "_users_del", "_users_new", "_users_old"];
        mapping.include = shadows.into_iter().chain(["*"]).map(str::to_owned).collect();
        read(&mut self.conn, self.server.flavor, &mapping).await
    }
}

async fn oracle(server: &Server) -> Oracle<'_> {
    let mut conn = server.database("lab").await;
    let version = ServerFacts::read(&mut conn).await.unwrap().version;
    let mut facts = ddl::Server::new(server.flavor, version);
    let collation: String = conn.query_first("SELECT @@collation_database").await.unwrap().unwrap();
    let charset = crate::schema::Charset { name: "utf8mb4".into(), collation };
    facts.databases.insert("lab".into(), charset);
    Oracle { server, conn, known: Catalog::default(), facts, tally: Tally::default() }
}

/// How many statements by chance each server is given.
const GENERATED: usize = 250;

fn seed() -> u64 {
    let seed = std::env::var("SIRENIA_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125);
    println!("SIRENIA_TEST_SEED={seed} repeats this run");
    seed
}

#[tokio::test]
async fn predicted_catalogues_are_those_of_the_servers() {
    let (mut wrong, mut few) = (Vec::new(), Vec::new());
    for server in servers() {
        let start = std::time::Instant::now();
        let mut oracle = oracle(server).await;
        for sql in crate::ddl::corpus::statements(include_str!("../../fixtures/ddl/by_hand.sql")) {
            oracle.run(&sql).await;
        }
        let by_hand = oracle.tally.accepted;
        let mut chance = Chance::new(seed());
        for _ in 0..GENERATED {
            let (sql, _) = generator::statement(&mut chance, &oracle.known);
            oracle.run(&sql).await;
        }
        let tally = &oracle.tally;
        println!(
            "{:?}: {by_hand} and {} accepted, {} refused, {} unread, {} uncertain, {:?}",
            server.flavor,
            tally.accepted - by_hand,
            tally.refused.len(),
            tally.unread.len(),
            tally.uncertain.len(),
            start.elapsed()
        );
        for (what, list) in [("refused", &tally.refused), ("unread", &tally.unread), ("uncertain", &tally.uncertain)] {
            list.iter().for_each(|line| println!("{what}: {line}"));
        }
        wrong.extend(tally.wrong.iter().map(|text| format!("{:?}: {text}", server.flavor)));
        few.extend((tally.refused.len() * 2 > tally.accepted).then_some(server.flavor));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(few.is_empty(), "most statements are accepted, but not by {few:?}");
}
