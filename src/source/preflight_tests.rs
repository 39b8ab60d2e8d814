use super::*;
use crate::source::catalog;
use crate::source::connect::connect;
use crate::source::testing::{Server, mapping, run};

async fn found(server: &Server, user: &str, databases: &[&str]) -> Preflight {
    let config = server.config(user, "");
    let mut conn = connect(&config).await.unwrap();
    let facts = ServerFacts::read(&mut conn).await.unwrap();
    let map = mapping(databases);
    let catalog = catalog::read(&mut conn, server.flavor, &map).await.unwrap();
    check(&config, &mut conn, &facts, &map, &catalog).await.unwrap()
}

fn hints(found: &Preflight) -> Vec<String> {
    found.problems.iter().map(|problem| problem.hint().unwrap_or_default().to_owned()).collect()
}

/// A server with a database `pf`; its one table has a key.
async fn server(flavor: Flavor, arguments: &[&str]) -> Option<Server> {
    let server = Server::start(flavor, arguments)?;
    let mut conn = server.database("pf").await;
    run(&mut conn, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    Some(server)
}

#[tokio::test]
async fn each_missing_grant_is_named_and_the_named_grants_are_enough() {
    for (flavor, arguments) in [
        (Flavor::MariaDb, &[][..]),
        (Flavor::MySql, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"][..]),
        (Flavor::MySql, &["--gtid-mode=OFF"][..]),
    ] {
        let Some(server) = server(flavor, arguments).await else { continue };
        assert_eq!(hints(&found(&server, "root", &["pf"]).await), [""; 0]);
        let mut root = server.database("other").await;
        // a table to be copied exactly, which on MySQL takes a lock
        run(&mut root, "CREATE TABLE pf.unkeyed (v int); CREATE USER bare@'%'; GRANT SELECT ON pf.t TO bare@'%'").await;
        if flavor == Flavor::MySql {
            // XA has been used, so it matters that it cannot be listed
            run(&mut root, "XA START 'x'; INSERT INTO pf.t VALUES (1, 1); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'")
                .await;
        }
        let mut granted = 0;
        loop {
            let report = found(&server, "bare", &["pf"]).await;
            let Some(problem) = report.problems.first() else { break };
            assert_eq!(problem.kind(), ErrorKind::AccessDenied, "{}", problem.report());
            run(&mut root, problem.hint().unwrap()).await;
            granted += 1;
            assert!(granted < 10, "{}", problem.report());
        }
        let expected = match (flavor, arguments.len()) {
            (Flavor::MariaDb, _) => 3, // SELECT, BINLOG MONITOR, REPLICATION SLAVE
            (Flavor::MySql, 2) => 5,   // and LOCK TABLES, XA_RECOVER_ADMIN
            (Flavor::MySql, _) => 6,   // and RELOAD
        };
        assert_eq!(granted, expected, "{flavor:?} {arguments:?}");
        // what check promised holds
        let mut conn = connect(&server.config("bare", "")).await.unwrap();
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        crate::source::snapshot::position::start_position(&mut conn, &facts).await.unwrap();
        let catalog = catalog::read(&mut conn, flavor, &mapping(&["pf"])).await.unwrap();
        let config = server.config("bare", "");
        let view = crate::source::snapshot::exact::open_exact(&config, &facts, &catalog, &[1]).await.unwrap();
        view.close().await.unwrap();
    }
}

#[tokio::test]
async fn grants_by_role_count_and_named_tables_need_no_more_than_themselves() {
    let Some(server) = server(Flavor::MySql, &[]).await else { return };
    let mut root = server.database("other").await;
    run(&mut root, "CREATE ROLE reader; CREATE USER u@'%'; GRANT SELECT ON pf.* TO reader; GRANT reader TO u@'%'")
        .await;
    run(&mut root, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader; SET DEFAULT ROLE reader TO u@'%'")
        .await;
    let report = found(&server, "u", &["pf"]).await;
    assert_eq!(hints(&report), [""; 0]);
    assert!(report.warnings.iter().any(|warning| warning.hint.starts_with("GRANT XA_RECOVER_ADMIN ON *.* TO 'u'@'%'")));
    run(&mut root, "REVOKE SELECT ON pf.* FROM reader; GRANT SELECT ON pf.t TO reader").await;
    assert_eq!(hints(&found(&server, "u", &["pf"]).await), ["GRANT SELECT ON `pf`.* TO 'u'@'%'"]);
    let mut conn = connect(&server.config("u", "")).await.unwrap();
    let facts = ServerFacts::read(&mut conn).await.unwrap();
    let mut map = mapping(&["pf"]);
    map.include = vec!["t".into()];
    let catalog = catalog::read(&mut conn, server.flavor, &map).await.unwrap();
    assert!(check(&server.config("u", ""), &mut conn, &facts, &map, &catalog).await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn settings_that_lose_changes_are_problems() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let Some(server) = server(flavor, &["--binlog-ignore-db=ignored"]).await else { return };
        let mut root = server.database("ignored").await;
        let sets = [("binlog_format", "'STATEMENT'", "'ROW'")];
        if flavor == Flavor::MySql {
            let both = "SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'; SET GLOBAL binlog_row_image = 'NOBLOB'";
            run(&mut root, both).await;
            let hint = hints(&found(&server, "root", &["pf"]).await).join("\n");
            assert!(hint.contains("SET GLOBAL binlog_row_value_options = ''"), "{hint}");
            run(&mut root, "SET GLOBAL binlog_row_image = 'FULL'; SET GLOBAL binlog_transaction_compression = ON")
                .await;
            assert_eq!(hints(&found(&server, "root", &["pf"]).await), [""; 0]);
            run(&mut root, "SET GLOBAL binlog_row_value_options = ''").await;
        }
        for (variable, bad, good) in sets {
            run(&mut root, &format!("SET GLOBAL {variable} = {bad}")).await;
            let report = found(&server, "root", &["pf"]).await;
            let [problem] = &report.problems[..] else { panic!("{variable}: {:?}", report.problems) };
            assert_eq!(problem.kind(), ErrorKind::SourceSetting);
            let mending = format!("SET GLOBAL {variable} = {good}");
            assert!(problem.hint().unwrap().starts_with(&mending), "{}", problem.report());
            run(&mut root, &mending).await;
        }
        let report = found(&server, "root", &["ignored", "missing"]).await;
        let kinds: Vec<ErrorKind> = report.problems.iter().map(Error::kind).collect();
        assert_eq!(kinds, [ErrorKind::SourceSetting, ErrorKind::Config]);
        run(&mut root, "XA START 'x'; INSERT INTO pf.t VALUES (1, 1); XA END 'x'; XA PREPARE 'x'").await;
        assert_eq!(found(&server, "root", &["pf"]).await.problems[0].kind(), ErrorKind::PreparedXa);
        run(&mut root, "XA ROLLBACK 'x'").await;
        if flavor == Flavor::MariaDb {
            run(&mut root, "CREATE TABLE pf.versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING").await;
            let report = found(&server, "root", &["pf"]).await;
            assert!(report.problems[0].message().contains("system-versioned"), "{:?}", report.problems);
            run(
                &mut root,
                "DROP TABLE pf.versioned; CREATE TABLE pf.hashed (id int PRIMARY KEY, t text, UNIQUE KEY u (t))",
            )
            .await;
            let report = found(&server, "root", &["pf"]).await;
            assert!(report.problems[0].message().contains("hidden column"), "{:?}", report.problems);
        }
    }
}

#[tokio::test]
async fn no_binlog_and_replicas_that_do_not_log() {
    let Some(off) = server(Flavor::MySql, &["--skip-log-bin"]).await else { return };
    assert!(hints(&found(&off, "root", &["pf"]).await)[0].contains("log_bin"));
    let replica = server(Flavor::MySql, &["--log-replica-updates=OFF", "--gtid-mode=OFF"]).await.unwrap();
    assert_eq!(hints(&found(&replica, "root", &["pf"]).await), [""; 0]);
    let mut conn = connect(&replica.root()).await.unwrap();
    run(&mut conn, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x'").await;
    assert!(hints(&found(&replica, "root", &["pf"]).await)[0].contains("log_replica_updates"));
}

#[tokio::test]
async fn tables_without_keys_and_unlogged_cascades_are_warned_of() {
    let server = server(Flavor::MariaDb, &[]).await.unwrap();
    let mut conn = connect(&server.root()).await.unwrap();
    run(&mut conn, "CREATE TABLE pf.unkeyed (v int); CREATE TABLE pf.p (code varchar(9) PRIMARY KEY)").await;
    run(&mut conn, "CREATE TABLE pf.c (id int PRIMARY KEY, code varchar(9), CONSTRAINT act FOREIGN KEY (code) REFERENCES pf.p (code) ON DELETE CASCADE)").await;
    let facts = ServerFacts::read(&mut conn).await.unwrap();
    let mut map = mapping(&["pf"]);
    map.exclude = vec!["p".into()];
    let catalog = catalog::read(&mut conn, server.flavor, &map).await.unwrap();
    let report = check(&server.root(), &mut conn, &facts, &map, &catalog).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let all = report.warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>().join("\n");
    for part in ["pf.unkeyed has no key", "pf.p is left out", "regardless of case"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(report.way.contains("CONSISTENT SNAPSHOT"));
}
