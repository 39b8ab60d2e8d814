//! The same seed gives the same bytes, and both servers take them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::embedded::{SourceKind, SourceOptions, SourceServer};
use mysql_async::prelude::Queryable;

fn bytes(lab: Lab) -> String {
    lab.schema_sql().chain(lab.data_sql()).collect::<Vec<_>>().join(";\n")
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let lab = Lab { seed: 7, tables: 60, rows: 3_000 };
    assert_eq!(bytes(lab), bytes(lab));
    assert_ne!(bytes(lab), bytes(Lab { seed: 8, ..lab }));
    let work = |seed, worker| Workload::new(seed, worker).take(300).collect::<Vec<_>>();
    assert_eq!(work(7, 1), work(7, 1));
    assert_ne!(work(7, 1), work(7, 2));
}

/// A change here changes every fixture and benchmark: it must be meant.
#[test]
fn the_bytes_are_those_of_earlier_versions() {
    let lab = bytes(Lab { seed: 1, tables: 60, rows: 3_000 });
    let work: Vec<String> = Workload::new(1, 1).take(300).map(|statements| statements.join(";\n")).collect();
    assert_eq!(
        (crc32fast::hash(lab.as_bytes()), crc32fast::hash(work.join("\n").as_bytes())),
        (2_759_432_910, 3_223_606_819)
    );
}

#[test]
fn the_size_is_as_asked() {
    let lab = Lab { seed: 1, tables: 390, rows: 100_000 };
    let counts = lab.row_counts();
    let names: std::collections::HashSet<&String> = counts.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 390);
    let rows: u64 = counts.iter().map(|(_, count)| count).sum();
    assert!((99_000..=100_000).contains(&rows), "{rows}");
    assert!(lab.data_sql().all(|sql| sql.len() < 1_100_000 && sql.matches("\n(").count() < 500));
}

#[tokio::test]
async fn schema_data_and_work_run_on_both_servers() {
    for kind in [SourceKind::MariaDb, SourceKind::MySql] {
        let server = SourceServer::start(kind, SourceOptions::default()).await.unwrap();
        let mut conn = mysql_async::Conn::from_url(server.url("")).await.unwrap();
        let lab = Lab { seed: 1, tables: 130, rows: 5_000 };
        conn.query_drop("CREATE DATABASE lab").await.unwrap();
        conn.query_drop("USE lab").await.unwrap();
        let run = async |conn: &mut mysql_async::Conn, sql: String| {
            let result = conn.query_drop(&sql).await;
            let shown: String = sql.chars().take(1_000).collect();
            assert!(result.is_ok(), "{kind}: {}\n{shown}", result.unwrap_err());
        };
        for sql in lab.schema_sql().chain(lab.data_sql()) {
            run(&mut conn, sql).await;
        }
        for (table, count) in lab.row_counts() {
            let found = conn.query_first(format!("SELECT COUNT(*) FROM `{table}`")).await.unwrap();
            assert_eq!(found, Some(count), "{table}");
        }
        for sql in Workload::new(1, 1).take(500).chain(Workload::new(1, 2).take(100)).flatten() {
            run(&mut conn, sql).await;
        }
        for table in ["hasil_pemeriksaan", "pembayaran", "sampel", "notifications", "stok_reagen"] {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let before = lab.row_counts().into_iter().find(|(name, _)| name == table).map(|(_, n)| n);
            let after = conn.query_first::<u64, _>(sql).await.unwrap();
            assert!(after > before, "{table}: the work leaves rows ({before:?}, {after:?})");
        }
    }
}

/// Side by side, nothing but deadlocks may happen.
#[tokio::test]
async fn workers_do_not_get_in_each_others_way() {
    for kind in [SourceKind::MariaDb, SourceKind::MySql] {
        let server = SourceServer::start(kind, SourceOptions::default()).await.unwrap();
        let mut conn = mysql_async::Conn::from_url(server.url("")).await.unwrap();
        conn.query_drop("CREATE DATABASE lab; USE lab").await.unwrap();
        let lab = Lab { tables: Lab::CORE_TABLES, ..Lab::default() };
        for sql in lab.schema_sql().chain(lab.data_sql()) {
            conn.query_drop(sql).await.unwrap();
        }
        let workers = (1..=4).map(|worker| {
            let url = server.url("lab");
            tokio::spawn(async move {
                let mut conn = mysql_async::Conn::from_url(url).await.unwrap();
                let mut deadlocks = 0;
                for transaction in Workload::new(1, worker).take(200) {
                    for sql in transaction {
                        match conn.query_drop(&sql).await {
                            Ok(()) => {}
                            Err(mysql_async::Error::Server(e)) if e.code == 1213 => {
                                deadlocks += 1;
                                break;
                            }
                            Err(e) => panic!("{kind}: {e}\n{sql}"),
                        }
                    }
                }
                deadlocks
            })
        });
        let mut deadlocks = 0;
        for worker in workers.collect::<Vec<_>>() {
            deadlocks += worker.await.unwrap();
        }
        assert!(deadlocks < 40, "{kind}: {deadlocks} deadlocks in 800 transactions");
        println!("{kind}: {deadlocks} deadlocks in 800 transactions");
    }
}
