use super::exact::open_exact;
use super::groups::{CopyGroup, copy_groups};
use super::position::{settled_start, start_position};
use super::ranges::cut;
use super::reader::{Chunk, ChunkReader, ExactReader, KeyReader};
use crate::error::ErrorKind;
use crate::position::GtidSet;
use crate::schema::{Catalog, Flavor, TableSchema};
use crate::source::catalog;
use crate::source::connect::connect;
use crate::source::row_image::RowImage;
use crate::source::rows::{RowSession, Rows};
use crate::source::server::{ServerFacts, write_position};
use crate::source::testing::{Server, mapping, run, servers};
use crate::value::{Date, DateTime, Decimal, Time, ValueRef};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::sync::Arc;
use std::time::Duration;

/// (table, key columns, expressions of `n` for the key columns); a last column `n` says which row it is.
const KEYED: &[(&str, &str, &str)] = &[
    ("k_int", "a int NOT NULL, b bigint unsigned NOT NULL", "n % 3 - 1, n + 18446744073709550000"),
    (
        "k_text",
        "a varchar(20) CHARACTER SET latin1 NOT NULL, b varchar(20) NOT NULL",
        "CONCAT('É', n % 5), CONCAT(CHAR(97 + n % 26), CASE n % 3 WHEN 0 THEN 'é' WHEN 1 THEN '\\t' ELSE ' x' END, n)",
    ),
    ("k_utf16", "a varchar(20) CHARACTER SET utf16 NOT NULL", "CONCAT(CHAR(97 + n % 26), 'é', n)"),
    ("k_bin_collation", "a varchar(20) COLLATE utf8mb4_bin NOT NULL", "CONCAT(IF(n % 2, 'a', 'A'), 'ß', n DIV 2)"),
    ("k_char", "a char(9) NOT NULL", "CONCAT(CHAR(97 + n % 26), n)"),
    ("k_enum", "a enum('z','y','x','w') NOT NULL, b int NOT NULL", "1 + n % 4, n"),
    (
        "k_decimal",
        "a decimal(38,10) NOT NULL",
        "CONCAT(IF(n % 2, '-', ''), '1234567890123456789012345678.', LPAD(n, 10, '0'))",
    ),
    (
        "k_datetime",
        "a datetime(6) NOT NULL",
        "IF(n = 0, '0000-00-00 00:00:00', IF(n = 1, '2023-00-15 01:02:03', \
        DATE_ADD('2020-01-01 00:00:00.000001', INTERVAL n * 1000003 MICROSECOND)))",
    ),
    (
        "k_date",
        "a date NOT NULL",
        "IF(n = 0, '0000-00-00', IF(n = 1, '2023-00-15', DATE_ADD('2020-01-01', INTERVAL n DAY)))",
    ),
    (
        "k_timestamp",
        "a timestamp(3) NOT NULL",
        "DATE_ADD('2020-03-28 00:00:00.001', INTERVAL n * 1003 * 1000 MICROSECOND)",
    ),
    ("k_time", "a time(2) NOT NULL", "SEC_TO_TIME(n * 7.25 - 3000)"),
    ("k_year", "a year NOT NULL, b int NOT NULL", "IF(n % 9 = 0, 0, 1901 + n % 200), n"),
    ("k_binary", "a binary(8) NOT NULL", "UNHEX(CONCAT(LPAD(HEX(n * 7), 10, '0'), '0000'))"),
    ("k_varbinary", "a varbinary(8) NOT NULL", "UNHEX(CONCAT(HEX(n + 255), IF(n % 2, '00', '')))"),
    ("k_bit", "a bit(20) NOT NULL", "n * 1000"),
    ("k_float", "a float NOT NULL, b double NOT NULL", "(n % 7) * 0.1, n * 1e-7"),
];
const ROWS: usize = 900;

async fn numbers(conn: &mut Conn, database: &str) {
    run(conn, &format!("CREATE TABLE {database}.seq (n int PRIMARY KEY)")).await;
    let fill = "WITH RECURSIVE r AS (SELECT 0 n UNION ALL SELECT n + 1 FROM r WHERE n < 899) SELECT n FROM r";
    run(conn, &format!("INSERT INTO {database}.seq {fill}")).await;
}

async fn catalog_of(conn: &mut Conn, server: &Server, database: &str) -> Catalog {
    catalog::read(conn, server.flavor, &mapping(&[database])).await.unwrap()
}

fn table<'c>(catalog: &'c Catalog, name: &str) -> &'c TableSchema {
    catalog.tables.iter().find(|table| table.name.table == name).unwrap_or_else(|| panic!("no table {name}"))
}

/// Index entries read so far by this session.
async fn reads(session: &mut RowSession) -> u64 {
    let rows = session.query("SHOW SESSION STATUS LIKE 'Handler_read%'").await.unwrap();
    let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap()).unwrap();
    let rows = rows.iter().filter(|row| text(&row[0]) != "Handler_read_rnd_next");
    rows.map(|row| text(&row[1]).parse::<u64>().unwrap()).sum()
}

fn all(rows: &Rows) -> Vec<Vec<ValueRef<'_>>> {
    let row = |at| {
        let mut values = Vec::new();
        rows.values(at, &mut values).unwrap_or_else(|error| panic!("{}", error.report()));
        values
    };
    (0..rows.len()).map(row).collect()
}

fn number(row: &[ValueRef<'_>]) -> i64 {
    match row.last() {
        Some(ValueRef::Int(number)) => *number,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn chunks_bring_every_row_once_by_index_ranges_for_every_type_of_key() {
    for server in servers() {
        let mut conn = server.database("keyset").await;
        let mut session = RowSession::open(&server.root()).await.unwrap();
        numbers(&mut conn, "keyset").await;
        let mut cases: Vec<(&str, &str, &str)> = KEYED.to_vec();
        if server.flavor == Flavor::MariaDb {
            cases.push((
                "k_uuid",
                "a uuid NOT NULL",
                "CONCAT('f0112233-4455-1677-8899-', LPAD(HEX(n * 99991), 12, '0'))",
            ));
            cases.push(("k_inet6", "a inet6 NOT NULL", "CONCAT('fe80::', HEX(n))"));
            cases.push(("k_inet4", "a inet4 NOT NULL", "CONCAT('10.1.', n DIV 256, '.', n % 256)"));
        }
        for (name, columns, expressions) in cases {
            let key = if columns.contains("b ") { "a, b" } else { "a" };
            run(&mut conn, &format!("CREATE TABLE {name} ({columns}, n int NOT NULL, PRIMARY KEY ({key}))")).await;
            run(&mut conn, &format!("INSERT INTO {name} SELECT {expressions}, n FROM seq")).await;
            let catalog = catalog_of(&mut conn, server, "keyset").await;
            let table = Arc::new(table(&catalog, name).clone());
            let mut reader = ChunkReader::new(table.clone(), None).unwrap();
            let (mut seen, mut chunks) = (Vec::new(), 0);
            loop {
                reader.set_limit(97);
                let before = reads(&mut session).await;
                let Some(Chunk { rows, last_key, .. }) = reader.next_chunk(&mut session).await.unwrap() else { break };
                let cost = reads(&mut session).await - before;
                assert!(cost < 130, "{:?} {name}: {cost} index reads for {} rows", server.flavor, rows.len());
                seen.extend(all(&rows).iter().map(|row| number(row)));
                let keys: Vec<_> = (0..rows.len()).map(|row| reader.key_of(&rows, row).unwrap()).collect();
                let before = reads(&mut session).await;
                let found = KeyReader::new(&table).unwrap().rows(&mut session, &keys).await.unwrap();
                let cost = reads(&mut session).await - before;
                assert!(cost < 400, "{:?} {name}: {cost} index reads for {} keys", server.flavor, keys.len());
                let (mut found, mut read) = (all(&found), all(&rows));
                found.sort_by_key(|row| number(row));
                read.sort_by_key(|row| number(row));
                assert_eq!(found, read, "{:?} {name}", server.flavor);
                chunks += 1;
                if chunks == 4 {
                    // as after a crash
                    reader = ChunkReader::new(table.clone(), last_key.as_deref()).unwrap();
                }
            }
            let ordered: Vec<i64> =
                conn.query(format!("SELECT n FROM {name} FORCE INDEX (PRIMARY) ORDER BY {key}")).await.unwrap();
            assert_eq!(seen.len(), ROWS, "{:?} {name}", server.flavor);
            assert_eq!(seen, ordered, "{:?} {name}", server.flavor);
            assert_eq!(chunks, 10, "{:?} {name}", server.flavor);
        }
    }
}

#[tokio::test]
async fn unique_keys_descending_parts_and_large_rows() {
    for server in servers() {
        let mut conn = server.database("chunks").await;
        let mut session = RowSession::open(&server.root()).await.unwrap();
        numbers(&mut conn, "chunks").await;
        let hidden = if server.flavor == Flavor::MariaDb { "IGNORED" } else { "INVISIBLE" };
        run(&mut conn, "CREATE TABLE desk (a int NOT NULL, b int NOT NULL, n int NOT NULL, PRIMARY KEY (a, b DESC))")
            .await;
        run(&mut conn, "INSERT INTO desk SELECT n % 3, n, n FROM seq").await;
        run(
            &mut conn,
            &format!(
                "CREATE TABLE hid (a int NOT NULL, n int NOT NULL, UNIQUE KEY w (n, a), UNIQUE KEY u (a) {hidden})"
            ),
        )
        .await;
        run(&mut conn, "INSERT INTO hid SELECT n, n FROM seq").await;
        run(&mut conn, "CREATE TABLE big (id int PRIMARY KEY, body longblob, n int NOT NULL)").await;
        run(&mut conn, "INSERT INTO big SELECT n, REPEAT('x', 1500000), n FROM seq WHERE n < 30").await;
        let catalog = catalog_of(&mut conn, server, "chunks").await;
        for (name, count) in [("desk", ROWS), ("hid", ROWS), ("big", 30)] {
            // estimates are wrong: the reader must not trust them
            let table = TableSchema { estimated_rows: 1_000_000, estimated_bytes: 0, ..table(&catalog, name).clone() };
            let mut reader = ChunkReader::new(Arc::new(table), None).unwrap();
            if name != "big" {
                reader.set_limit(ROWS as u64 / 2);
            }
            let mut seen = Vec::new();
            while let Some(chunk) = reader.next_chunk(&mut session).await.unwrap() {
                assert!(chunk.rows.bytes() < 10_000_000, "{}", chunk.rows.bytes());
                seen.extend(all(&chunk.rows).iter().map(|row| number(row)));
                reader.give_back(chunk.rows);
            }
            assert_eq!(seen.len(), count, "{:?} {name}", server.flavor);
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count as i64), "{:?} {name}", server.flavor);
        }
    }
}

#[tokio::test]
async fn ranges_bring_every_row_once_and_go_on_where_they_stood() {
    for server in servers() {
        let mut conn = server.database("cuts").await;
        let mut session = RowSession::open(&server.root()).await.unwrap();
        numbers(&mut conn, "cuts").await;
        for (name, columns, expressions) in [
            ("signed", "a int PRIMARY KEY", "n * 3 - 1000"),
            ("wide", "a bigint unsigned PRIMARY KEY", "n * CAST(20000000000000000 AS UNSIGNED)"),
            ("steep", "a smallint NOT NULL, b int NOT NULL, PRIMARY KEY (a DESC, b)", "n % 50 - 25, n"),
            ("few", "a tinyint NOT NULL, b int NOT NULL, PRIMARY KEY (a, b DESC)", "n % 3, n"),
        ] {
            run(&mut conn, &format!("CREATE TABLE {name} ({columns}, n int NOT NULL)")).await;
            run(&mut conn, &format!("INSERT INTO {name} SELECT {expressions}, n FROM seq")).await;
            let catalog = catalog_of(&mut conn, server, "cuts").await;
            let table =
                TableSchema { estimated_bytes: 100 << 20, estimated_rows: 900, ..table(&catalog, name).clone() };
            let ends = cut(&mut session, &table).await.unwrap();
            let expected = if name == "few" { 3..=3 } else { 4..=8 };
            assert!(expected.contains(&ends.len()), "{:?} {name}: {} ranges", server.flavor, ends.len());
            let small = TableSchema { estimated_bytes: 31 << 20, ..table.clone() };
            assert_eq!(cut(&mut session, &small).await.unwrap(), [None]);
            let outside = if name == "wide" { "(18446744073709551615, 900)" } else { "(-100, 900), (100, 901)" };
            let outside = if columns.contains("b int") { "(-100, 1, 900), (100, 1, 901)" } else { outside };
            run(&mut conn, &format!("DELETE FROM {name} WHERE a IN (-100, 100)")).await;
            run(&mut conn, &format!("INSERT INTO {name} VALUES {outside}")).await;
            let table = Arc::new(table);
            let (mut seen, mut behind) = (Vec::new(), None);
            for end in ends {
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let reader = ChunkReader::new(table.clone(), after.as_deref()).unwrap();
                    let mut reader = reader.within(behind.as_deref(), end.as_deref()).unwrap();
                    reader.set_limit(97);
                    let before = reads(&mut session).await;
                    let chunk = reader.next_chunk(&mut session).await.unwrap().unwrap();
                    let cost = reads(&mut session).await - before;
                    assert!(cost < 130, "{:?} {name}: {cost} index reads for {}", server.flavor, chunk.rows.len());
                    seen.extend(all(&chunk.rows).iter().map(|row| number(row)));
                    after = chunk.last_key.or(after);
                    if chunk.last {
                        break;
                    }
                }
                behind = end;
            }
            let key = if columns.contains("a DESC") { "a DESC, b" } else { "a" };
            let key = if name == "few" { "a, b DESC" } else { key };
            let ordered: Vec<i64> = conn.query(format!("SELECT n FROM {name} ORDER BY {key}")).await.unwrap();
            assert!(ordered.len() > 880);
            assert_eq!(seen, ordered, "{:?} {name}", server.flavor);
        }
    }
}

const VALUES: &str = "
CREATE TABLE t (id int PRIMARY KEY, i8 tinyint, u8 tinyint unsigned, i64 bigint, u64 bigint unsigned, z int(6) unsigned zerofill,
  y year, f float, d double, de decimal(20,5), dz decimal(10,2) zerofill, b bit(20), e enum('x','y'), s set('p','q','r'),
  da date, ti time(3), dt datetime(6), ts timestamp(2) NULL, c char(5), v varchar(9) CHARACTER SET latin1, bi binary(5),
  vb varbinary(5), tx text, bl blob, p point, hid int INVISIBLE);
INSERT INTO t VALUES (1, -128, 255, -9223372036854775808, 18446744073709551615, 42, 0, 0.1234567, 1e308, -0.5, 12.3, 1048575,
  'y', 'p,r', '2023-00-15', '-838:59:59.000', '0000-00-00 00:00:00', '2020-02-29 23:59:59.98', 'ab  ', 'é€', 'a\\0b', 'a\\0', '',
  x'00ff', ST_GeomFromText('POINT(1 2)'));
INSERT INTO t (id, e, y, ts, da, ti, f) VALUES (2, 'nothing', 2155, '0000-00-00 00:00:00', '0000-00-00', '27:00:00.25', 16777217)";

#[tokio::test]
async fn values_are_what_the_binlog_decoder_gives() {
    for server in servers() {
        let mut conn = server.database("vals").await;
        run(&mut conn, VALUES).await;
        let catalog = catalog_of(&mut conn, server, "vals").await;
        let table = Arc::new(table(&catalog, "t").clone());
        let mut session = RowSession::open(&server.root()).await.unwrap();
        let chunk = ChunkReader::new(table.clone(), None).unwrap().next_chunk(&mut session).await.unwrap().unwrap();
        let mut values = Vec::new();
        chunk.rows.values(0, &mut values).unwrap();
        let of = |name: &str| values[table.column(name).unwrap()];
        use ValueRef as V;
        let decimal = |text: &str| V::Decimal(Decimal::from_text(text.as_bytes()).unwrap());
        let (year, month, day) = (2023, 0, 15);
        let expected = [
            ("i8", V::Int(-128)),
            ("u8", V::UInt(255)),
            ("i64", V::Int(i64::MIN)),
            ("u64", V::UInt(u64::MAX)),
            ("z", V::UInt(42)),
            ("y", V::UInt(0)),
            ("f", V::Float(0.123_456_7)),
            ("d", V::Double(1e308)),
            ("de", decimal("-0.50000")),
            ("dz", decimal("12.30")),
            ("b", V::Bit(1_048_575)),
            ("e", V::Enum(2)),
            ("s", V::Set(5)),
            ("da", V::Date(Date { year, month, day })),
            ("ti", V::Time(Time { negative: true, hours: 838, minutes: 59, seconds: 59, micros: 0 })),
            ("dt", V::DateTime(DateTime::default())),
            ("ts", V::Timestamp { seconds: 1_583_020_799, micros: 980_000 }),
            ("c", V::Bytes(b"ab")),
            ("v", V::Bytes(b"\xe9\x80")),
            ("bi", V::Bytes(b"a\0b\0\0")),
            ("vb", V::Bytes(b"a\0")),
            ("tx", V::Bytes(b"")),
            ("bl", V::Bytes(b"\0\xff")),
            ("hid", V::Null),
        ];
        for (name, value) in expected {
            assert_eq!(of(name), value, "{:?} {name}", server.flavor);
        }
        let V::Bytes(point) = of("p") else { panic!() };
        assert_eq!((point.len(), &point[..9]), (25, &b"\0\0\0\0\x01\x01\0\0\0"[..]));
        chunk.rows.values(1, &mut values).unwrap();
        let of = |name: &str| values[table.column(name).unwrap()];
        assert_eq!((of("e"), of("y"), of("f")), (V::Enum(0), V::UInt(2155), V::Float(16_777_216.0)));
        assert_eq!((of("ts"), of("da")), (V::Timestamp { seconds: 0, micros: 0 }, V::Date(Date::default())));
        let time = Time { negative: false, hours: 27, minutes: 0, seconds: 0, micros: 250_000 };
        assert_eq!((of("ti"), of("i8")), (V::Time(time), V::Null));
    }
}

#[tokio::test]
async fn mariadb_types_come_as_bytes() {
    let server = servers()[0];
    let mut conn = server.database("bytes").await;
    run(&mut conn, "CREATE TABLE t (u uuid PRIMARY KEY, a inet6, b inet4, j json, z varchar(100) COMPRESSED)").await;
    run(
        &mut conn,
        "INSERT INTO t VALUES ('00112233-4455-6677-8899-aabbccddeeff', '::1', '1.2.3.4', '{\"a\": 1.50}', 'zz')",
    )
    .await;
    let catalog = catalog_of(&mut conn, server, "bytes").await;
    let mut session = RowSession::open(&server.root()).await.unwrap();
    let mut reader = ChunkReader::new(Arc::new(catalog.tables[0].clone()), None).unwrap();
    let chunk = reader.next_chunk(&mut session).await.unwrap().unwrap();
    let mut values = Vec::new();
    chunk.rows.values(0, &mut values).unwrap();
    let uuid = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
    let expected: [&[u8]; 5] = [&uuid, &1_u128.to_be_bytes(), &[1, 2, 3, 4], b"{\"a\": 1.50}", b"zz"];
    for (value, expected) in values.iter().zip(expected) {
        assert_eq!(*value, ValueRef::Bytes(expected));
    }
}

#[tokio::test]
async fn start_positions_lie_before_what_comes_next_and_prepared_xa_is_refused() {
    // servers of their own: XA and the counters are global
    for (flavor, arguments) in [
        (Flavor::MariaDb, &[][..]),
        (Flavor::MySql, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"][..]),
        (Flavor::MySql, &["--gtid-mode=OFF"][..]),
    ] {
        let Some(server) = Server::start(flavor, arguments) else { continue };
        let mut conn = server.database("p0").await;
        run(&mut conn, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        assert_eq!((facts.flavor, facts.gtid), (flavor, flavor == Flavor::MariaDb || arguments.len() == 2));
        let (catalog, p0) = settled_start(&mut conn, &facts, &mapping(&["p0"])).await.unwrap();
        assert_eq!(catalog.tables.len(), 1);
        let written = write_position(&mut conn, &facts).await.unwrap();
        assert!(p0.binlog <= written.binlog);
        assert_eq!(p0.gtid, written.gtid, "the server is idle");
        assert_eq!(p0.gtid.is_some(), facts.gtid);
        if !(flavor == Flavor::MySql && facts.gtid) {
            assert_eq!(p0.binlog, written.binlog);
        }
        let mut xa = connect(&server.root()).await.unwrap();
        run(&mut xa, "XA START 'x'; INSERT INTO p0.t VALUES (2); XA END 'x'; XA PREPARE 'x'").await;
        assert_eq!(start_position(&mut conn, &facts).await.unwrap_err().kind(), ErrorKind::PreparedXa);
        run(&mut xa, "XA COMMIT 'x'").await;
        start_position(&mut conn, &facts).await.unwrap();
    }
}

/// A commit that is in the binlog and not in the engine, held there by semi-sync without a replica.
async fn hold_commit(server: &Server, conn: &mut Conn) {
    let word = if server.flavor == Flavor::MariaDb { "master" } else { "source" };
    if server.flavor == Flavor::MySql {
        run(conn, "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'").await;
    }
    let set = ["timeout = 600000", "wait_no_OTHER = ON", "wait_point = AFTER_SYNC", "enabled = ON"];
    let other = if server.flavor == Flavor::MariaDb { "slave" } else { "replica" };
    for variable in set {
        run(conn, &format!("SET GLOBAL rpl_semi_sync_{word}_{}", variable.replace("OTHER", other))).await;
    }
    let mut held = connect(&server.root()).await.unwrap();
    tokio::spawn(async move { held.query_drop("INSERT INTO seam.t VALUES (2)").await });
    for _ in 0..100 {
        let waiting: Option<Row> = conn
            .query_first("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE '%semi-sync%'")
            .await
            .unwrap();
        if waiting.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the commit is not held");
}

#[tokio::test]
async fn a_commit_between_binlog_and_engine_lies_behind_the_start_position() {
    for (flavor, arguments) in
        [(Flavor::MariaDb, &[][..]), (Flavor::MySql, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"][..])]
    {
        let Some(server) = Server::start(flavor, arguments) else { continue };
        let mut conn = server.database("seam").await;
        run(&mut conn, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        let before = write_position(&mut conn, &facts).await.unwrap();
        hold_commit(&server, &mut conn).await;
        let written = write_position(&mut conn, &facts).await.unwrap();
        assert!(written.binlog > before.binlog, "the held commit is in the binlog");
        let seen: Vec<i32> = conn.query("SELECT id FROM t").await.unwrap();
        assert_eq!(seen, [1], "and not in the engine");
        let p0 = start_position(&mut conn, &facts).await.unwrap();
        assert_eq!(p0.gtid, before.gtid, "{flavor:?}: the start position holds only what the engine shows");
        assert!(p0.binlog <= before.binlog, "{flavor:?}: {p0} is behind {before}");
    }
}

#[tokio::test]
async fn exact_views_stand_at_their_position() {
    for server in servers() {
        let mut conn = server.database("exact").await;
        run(
            &mut conn,
            "CREATE TABLE a (v int); CREATE TABLE b (v int) ENGINE=MyISAM; CREATE TABLE keyed (id int PRIMARY KEY)",
        )
        .await;
        run(&mut conn, "INSERT INTO a VALUES (1), (1), (2); INSERT INTO b VALUES (7)").await;
        let facts = ServerFacts::read(&mut conn).await.unwrap();
        let catalog = catalog_of(&mut conn, server, "exact").await;
        let groups = copy_groups(&catalog, facts.logs_cascades, RowImage::of(&facts));
        assert_eq!(groups, [CopyGroup::Exact(vec![0]), CopyGroup::Exact(vec![1]), CopyGroup::Chunked(2)]);
        for tables in [&[0][..], &[0, 1], &[1]] {
            let mut snapshot = open_exact(&server.root(), &facts, &catalog, tables).await.unwrap();
            let locked = tables.contains(&1);
            let mut writer = connect(&server.root()).await.unwrap();
            if !locked {
                run(&mut writer, "INSERT INTO exact.a VALUES (3)").await;
                let written = write_position(&mut writer, &facts).await.unwrap();
                assert!(snapshot.position.binlog < written.binlog);
                let contains =
                    |a: &Option<GtidSet>, b: &Option<GtidSet>| a.as_ref().unwrap().contains(b.as_ref().unwrap());
                assert!(contains(&written.gtid, &snapshot.position.gtid));
                assert!(!contains(&snapshot.position.gtid, &written.gtid));
            }
            for at in tables {
                let table = Arc::new(catalog.tables[*at].clone());
                let mut reader = ExactReader::open(snapshot.connection(&table), &table).await.unwrap();
                let mut values: Vec<i64> = Vec::new();
                while let Some(rows) = reader.next_batch().await.unwrap() {
                    values.extend(all(rows).iter().map(|row| number(row)));
                }
                let expected: &[i64] = match (at, locked) {
                    (1, _) => &[7],
                    (_, false) => &[1, 1, 2],
                    (_, true) => &[1, 1, 2, 3],
                };
                assert_eq!(values, expected, "{:?}", server.flavor);
            }
            let mut limited = connect(&server.root()).await.unwrap();
            run(&mut limited, "SET lock_wait_timeout = 1").await;
            let insert = limited.query_drop("INSERT INTO exact.b VALUES (8)").await;
            assert_eq!(insert.is_err(), locked, "tables without transactions stay locked while they are read");
            let delete = limited.query_drop("DELETE FROM exact.a WHERE v = 9").await;
            assert_eq!(delete.is_err(), tables == [0, 1], "a lock ends for all its tables at once");
            snapshot.close().await.unwrap();
            run(&mut limited, "DELETE FROM exact.b WHERE v = 8").await;
        }
    }
}
