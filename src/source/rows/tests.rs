use super::*;
use crate::convert::sample::{int, table};
use crate::source::refusal::server_code;
use crate::source::testing::{run, servers};
use crate::value::ValueRef;
use std::sync::Arc;

fn two_columns() -> Rows {
    Rows::of(&Arc::new(table("t", &[("id", int(4, false)), ("n?", int(8, false))])))
}

fn numbers(rows: &Rows) -> Vec<i64> {
    let mut values = Vec::new();
    let mut number = |at| {
        rows.values(at, &mut values).unwrap();
        match values[0] {
            ValueRef::Int(number) => number,
            other => panic!("{other:?}"),
        }
    };
    (0..rows.len()).map(&mut number).collect()
}

async fn some_rows(server: &crate::source::testing::Server, database: &str) -> RowSession {
    let mut conn = server.database(database).await;
    run(&mut conn, "CREATE TABLE t (id int PRIMARY KEY, n bigint)").await;
    let fill = "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n, n FROM r";
    run(&mut conn, &format!("INSERT INTO t {fill}")).await;
    let mut session = RowSession::open_read_only(&server.root()).await.unwrap();
    session.execute(&format!("USE {database}")).await.unwrap();
    session
}

#[tokio::test]
async fn rows_come_by_one_statement_after_the_other() {
    for server in servers() {
        let mut session = some_rows(server, "fetched").await;
        let mut rows = two_columns();
        let sql = "SELECT id, n FROM t WHERE id > ? ORDER BY id LIMIT ?";
        for after in [0, 300] {
            let columns = session.select(sql, &[Parameter::Int(after), Parameter::UInt(300)]).await.unwrap();
            rows.begin(&columns).unwrap();
            assert!(session.take(&mut rows, usize::MAX).await.unwrap());
            assert_eq!(numbers(&rows), (after + 1..after + 301).collect::<Vec<_>>());
        }
        let prepared = session.query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'").await.unwrap();
        assert_eq!(prepared[0][1].as_deref(), Some(&b"1"[..]), "the same text is prepared once");
        // in parts, and given up in good order
        let columns = session.select(sql, &[Parameter::Int(0), Parameter::UInt(900)]).await.unwrap();
        rows.begin(&columns).unwrap();
        assert!(!session.take(&mut rows, 1).await.unwrap());
        assert_eq!(numbers(&rows), [1]);
        assert_eq!(session.drop_rest(&mut rows).await.unwrap(), 899);
        assert_eq!(numbers(&rows), [1]);
        assert!(session.take(&mut rows, usize::MAX).await.unwrap(), "there is nothing more");
        // parameters of the other types
        let sql = "SELECT CAST(CONCAT(?, '') = 'é' AS SIGNED), CAST(? * 2 AS SIGNED)";
        let columns = session.select(sql, &[Parameter::Text("é".into()), Parameter::Double(1.5)]).await.unwrap();
        rows.begin(&columns).unwrap();
        session.take(&mut rows, usize::MAX).await.unwrap();
        let mut values = Vec::new();
        rows.values(0, &mut values).unwrap();
        assert_eq!(values, [ValueRef::Int(1), ValueRef::Int(3)]);
        session.close().await;
    }
}

#[tokio::test]
async fn refusals_leave_the_connection_usable_and_half_read_answers_do_not() {
    for server in servers() {
        let mut session = some_rows(server, "refusals").await;
        let mut rows = two_columns();
        let refused = session.select("SELECT id, n FROM t FORCE INDEX (nowhere)", &[]).await.unwrap_err();
        assert_eq!(server_code(&refused), Some(1176));
        assert!(session.execute("INSERT INTO t VALUES (1000, 1)").await.is_err(), "the session reads only");
        // a refusal in the middle of the rows
        let late =
            "SELECT id, IF(id > 500, (SELECT id FROM t AS o WHERE o.id >= t.id - 1 OR o.id < 3), 1) FROM t ORDER BY id";
        let columns = session.select(late, &[]).await.unwrap();
        rows.begin(&columns).unwrap();
        let error = session.take(&mut rows, usize::MAX).await.unwrap_err();
        assert_eq!(server_code(&error), Some(1242));
        assert_eq!(numbers(&rows).len(), 500);
        let columns = session.select("SELECT id, n FROM t WHERE id = 7", &[]).await.unwrap();
        rows.begin(&columns).unwrap();
        session.take(&mut rows, usize::MAX).await.unwrap();
        assert_eq!(numbers(&rows), [7]);
        session.select("SELECT id, n FROM t", &[]).await.unwrap();
        let error = session.query("SELECT 1").await.unwrap_err();
        assert_eq!(crate::source::refusal::classify(error, "").kind(), crate::error::ErrorKind::SourceUnavailable);
    }
}

#[tokio::test]
async fn a_row_larger_than_a_packet_comes_whole() {
    for server in servers() {
        let mut conn = server.database("large").await;
        run(&mut conn, "SET GLOBAL max_allowed_packet = 67108864").await;
        let mut session = RowSession::open(&server.root()).await.unwrap();
        let blob = crate::schema::SourceType::Blob { length_bytes: 4 };
        let mut rows = Rows::of(&Arc::new(table("t", &[("a", blob.clone()), ("b", blob)])));
        let columns = session.select("SELECT REPEAT('x', 17000000), REPEAT('y', 16777215)", &[]).await.unwrap();
        rows.begin(&columns).unwrap();
        assert!(session.take(&mut rows, usize::MAX).await.unwrap());
        let mut values = Vec::new();
        rows.values(0, &mut values).unwrap();
        let [ValueRef::Bytes(x), ValueRef::Bytes(y)] = values[..] else { panic!("no bytes") };
        assert!(x.len() == 17_000_000 && x.iter().all(|byte| *byte == b'x'));
        assert!(y.len() == 16_777_215 && y.iter().all(|byte| *byte == b'y'));
    }
}
