use super::*;
use crate::position::BinlogOffset;
use crate::source::connect::{SourceConfig, Tls};
use crate::source::server::write_position;
use crate::source::snapshot::position::start_position;
use crate::source::testing::{Server, run, servers};

const QUERY: u8 = 2;
const XID: u8 = 16;
const FORMAT_DESCRIPTION: u8 = 15;

/// The types of the events up to the statement that holds the marker.
async fn read_until(transport: &mut BinlogTransport, marker: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    loop {
        let event = transport.next().await.unwrap();
        let frame = event.frame().unwrap();
        let event_type = frame.header.event_type;
        types.push(event_type);
        if event_type == XID {
            // header and CRC32, which was verified, are stripped
            assert_eq!(event.len(), 19 + frame.body.len() + 4);
        }
        if event_type == QUERY && frame.body.windows(marker.len()).any(|part| part == marker) {
            return types;
        }
    }
}

#[tokio::test]
async fn events_come_from_the_start_position_by_gtid_and_by_offset() {
    for server in servers() {
        let mut conn = server.database("stream").await;
        run(&mut conn, "CREATE TABLE before_p0 (id int PRIMARY KEY)").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        let p0 = start_position(&mut conn, &facts).await.unwrap();
        let written = write_position(&mut conn, &facts).await.unwrap();
        run(
            &mut conn,
            "CREATE TABLE mark (id int PRIMARY KEY, b longblob); INSERT INTO mark VALUES (1, REPEAT('x', 20000000))",
        )
        .await;
        run(&mut conn, "FLUSH BINARY LOGS; INSERT INTO mark VALUES (2, ''); DROP TABLE mark").await;
        for (from, id) in [(p0, 1001), (Position { gtid: None, ..written }, 1002)] {
            let mut transport = BinlogTransport::open(&server.root(), &facts, &from, id).await.unwrap();
            let first = read_until(&mut transport, b"CREATE TABLE").await;
            assert!(first.contains(&FORMAT_DESCRIPTION), "{:?} {from}", server.flavor);
            let rest = read_until(&mut transport, b"DROP TABLE").await;
            assert!(rest.iter().filter(|ty| **ty == XID).count() >= 2, "{:?} {from}: {rest:?}", server.flavor);
            if id == 1001 {
                // nothing more is written here: a heartbeat comes (or another test's event)
                transport.next().await.unwrap();
            }
            transport.close().await;
        }
    }
}

#[tokio::test]
async fn a_purged_or_foreign_position_is_told_apart() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let arguments: &[&str] =
            if flavor == Flavor::MySql { &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"] } else { &[] };
        let Some(server) = Server::start(flavor, arguments) else { continue };
        let mut conn = server.database("gap").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        let old = write_position(&mut conn, &facts).await.unwrap();
        run(&mut conn, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
        let foreign = match flavor {
            Flavor::MySql => "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5".parse().map(GtidSet::MySql),
            Flavor::MariaDb => "0-99-100000".parse().map(GtidSet::MariaDb),
        };
        let own_but_ahead = match flavor {
            Flavor::MySql => format!("{}:1-100000", facts.server_uuid.clone().unwrap()).parse().map(GtidSet::MySql),
            Flavor::MariaDb => "0-7-100000".parse().map(GtidSet::MariaDb),
        };
        let kind = async |position: Position| {
            let mut transport = BinlogTransport::open(&server.root(), &facts, &position, 1003).await.unwrap();
            for _ in 0..50 {
                if let Err(error) = transport.next().await {
                    return (error.kind(), error.report());
                }
            }
            panic!("{flavor:?}: {position} was accepted");
        };
        let ahead = Position { binlog: old.binlog.clone(), gtid: Some(own_but_ahead.unwrap()) };
        let found = kind(ahead).await;
        assert_eq!(found.0, ErrorKind::SourceIdentity, "{flavor:?}: {}", found.1);
        if flavor == Flavor::MariaDb {
            let found = kind(Position { binlog: old.binlog.clone(), gtid: Some(foreign.unwrap()) }).await;
            assert_eq!(found.0, ErrorKind::SourceIdentity, "{}", found.1);
        }
        let beyond = Position { binlog: BinlogOffset::new(old.binlog.file.clone(), 1 << 30), gtid: None };
        let found = kind(beyond).await;
        assert_eq!(found.0, ErrorKind::SourceIdentity, "{flavor:?}: {}", found.1);
        run(&mut conn, "FLUSH BINARY LOGS; INSERT INTO t VALUES (2)").await;
        let last = write_position(&mut conn, &facts).await.unwrap();
        // MariaDB keeps a file until the engine has made its transactions durable
        while crate::source::server::binlog_files(&mut conn).await.unwrap().len() > 1 {
            run(&mut conn, &format!("PURGE BINARY LOGS TO '{}'", last.binlog.file)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let found = kind(old.clone()).await;
        assert_eq!(found.0, ErrorKind::BinlogGap, "{flavor:?}: {}", found.1);
        assert!(found.1.contains("sirenia reset"));
        let found = kind(Position { gtid: None, ..old }).await;
        assert_eq!(found.0, ErrorKind::BinlogGap, "{flavor:?}: {}", found.1);
    }
}

#[tokio::test]
async fn a_server_that_dies_is_unavailable() {
    let server = Server::start(Flavor::MariaDb, &[]).unwrap();
    let mut conn = server.database("dies").await;
    let facts = ServerFacts::read(&mut conn).await.unwrap();
    let position = write_position(&mut conn, &facts).await.unwrap();
    let mut transport = BinlogTransport::open(&server.root(), &facts, &position, 1004).await.unwrap();
    transport.next().await.unwrap();
    let config = server.root();
    drop(server);
    let error = loop {
        if let Err(error) = transport.next().await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{}", error.report());
    assert_eq!(transport.next().await.unwrap_err().kind(), ErrorKind::SourceUnavailable);
    let gone = BinlogTransport::open(&config, &facts, &position, 1004).await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::SourceUnavailable);
}

/// The versions of TLS and of the login that each server knows, an account that its cache does not know, and one that
/// does not exist.
#[tokio::test]
async fn the_stream_logs_in_by_every_way_that_the_server_offers() {
    for server in servers() {
        let mut root = server.database("login").await;
        run(&mut root, "CREATE USER streamer@'%' IDENTIFIED BY 'päss'").await;
        run(&mut root, "GRANT REPLICATION SLAVE ON *.* TO streamer@'%'").await;
        let facts = ServerFacts::read(&mut root).await.unwrap();
        let from = write_position(&mut root, &facts).await.unwrap();
        let offers_tls = server.flavor == Flavor::MySql;
        for (tls, socket) in [
            (Tls::Off, false), // MySQL: the whole password, encrypted with the server's key, since its cache is empty
            (Tls::Prefer, false),
            (Tls::Require, false),
            (Tls::VerifyFull, false),
            (Tls::Prefer, true),
        ] {
            if server.flavor == Flavor::MySql {
                run(&mut root, "FLUSH PRIVILEGES").await; // empties the cache
            }
            let mut config = SourceConfig { tls, ..server.config("streamer", "päss") };
            config.socket = config.socket.filter(|_| socket);
            match BinlogTransport::open(&config, &facts, &from, 1005).await {
                Ok(mut transport) => {
                    assert!(tls != Tls::VerifyFull && (tls != Tls::Require || offers_tls), "{tls:?}");
                    transport.next().await.unwrap().frame().unwrap();
                    transport.close().await;
                }
                Err(error) => {
                    assert!(tls == Tls::VerifyFull || (tls == Tls::Require && !offers_tls), "{}", error.report());
                    assert_eq!(error.kind(), ErrorKind::Config, "{}", error.report());
                }
            }
            let wrong = SourceConfig { password: "other".to_owned().into(), ..config };
            if tls == Tls::Off {
                let error = BinlogTransport::open(&wrong, &facts, &from, 1005).await.err().unwrap();
                assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.report());
                assert!(!error.report().contains("other"));
            }
        }
        run(&mut root, "REVOKE REPLICATION SLAVE ON *.* FROM streamer@'%'").await;
        let error = BinlogTransport::open(&server.config("streamer", "päss"), &facts, &from, 1005).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.report());
        assert!(error.hint().unwrap().contains("GRANT REPLICATION SLAVE"));
    }
}

/// Whatever the server's setting is now, each file's own description says whether its events have checksums.
#[tokio::test]
async fn files_with_and_without_checksums_follow_each_other() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let Some(server) = Server::start(flavor, &["--binlog-checksum=NONE"]) else { continue };
        let mut conn = server.database("sums").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        let from = write_position(&mut conn, &facts).await.unwrap();
        run(&mut conn, "CREATE TABLE a (id int); SET GLOBAL binlog_checksum = CRC32; CREATE TABLE b (id int)").await;
        run(&mut conn, "SET GLOBAL binlog_checksum = NONE; CREATE TABLE c (id int)").await;
        let mut transport = BinlogTransport::open(&server.root(), &facts, &from, 1006).await.unwrap();
        for marker in [&b"CREATE TABLE a"[..], b"CREATE TABLE b", b"CREATE TABLE c"] {
            read_until(&mut transport, marker).await;
        }
    }
}

#[test]
fn server_ids_are_stable_and_not_the_source() {
    let id = replica_server_id("lab", 1);
    assert_eq!(id, replica_server_id("lab", 2));
    assert_ne!(id, replica_server_id("lab", id));
    assert_ne!(id, replica_server_id("lab2", 1));
    assert!(id > 0x7fff_ffff);
}
