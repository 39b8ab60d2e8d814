//! The change stream as people see it: `tail` while the source is written to, `record` and `replay`, binlog files without
//! their server. No target anywhere.

use crate::support::{PATIENCE, on_both};
use mysql_async::prelude::Queryable;
use nix::sys::signal::Signal;
use serde_json::Value;
use sirenia::embedded::{RowMetadata, SourceKind, SourceOptions, SourceServer};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCHEMA: [&str; 5] = [
    "CREATE DATABASE lab CHARACTER SET utf8mb4",
    "CREATE TABLE lab.pasien (id INT UNSIGNED PRIMARY KEY, nama VARCHAR(40) CHARACTER SET latin1, saldo DECIMAL(20,4),
       besar BIGINT UNSIGNED, jenis ENUM('a','it''s'), sifat SET('x','y','z'), foto BLOB, kode BINARY(4), data JSON,
       lahir DATE, dibuat DATETIME(2), diubah TIMESTAMP(6) NULL, lama TIME, bit5 BIT(5), f FLOAT, rahasia TEXT)",
    "CREATE TABLE lab.hasil (id INT PRIMARY KEY AUTO_INCREMENT, pasien_id INT, isi MEDIUMTEXT)",
    "CREATE TABLE lab.tersembunyi (id INT PRIMARY KEY)",
    "CREATE TABLE lab.mesin_lama (id INT PRIMARY KEY) ENGINE=MyISAM",
];

/// A source, and a folder for recordings.
struct Source {
    server: SourceServer,
}

impl Source {
    async fn start(kind: SourceKind) -> Self {
        let options = SourceOptions { row_metadata: RowMetadata::least(kind), ..SourceOptions::default() };
        let server = SourceServer::start(kind, options).await.expect("the source starts");
        let source = Self { server };
        source.run(&SCHEMA).await;
        source
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.folder().path().join(name)
    }

    /// Statements on one connection.
    async fn run(&self, statements: &[&str]) {
        let mut conn = mysql_async::Conn::from_url(self.server.url("")).await.expect("the source takes a connection");
        conn.query_drop("SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = ''").await.unwrap();
        for sql in statements {
            conn.query_drop(*sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
    }

    async fn query<T: mysql_async::prelude::FromRow + Send + 'static>(&self, sql: &str) -> Vec<T> {
        let mut conn = mysql_async::Conn::from_url(self.server.url("")).await.expect("the source takes a connection");
        conn.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// The program with the source's address and a column and a table left out, and without a target.
    fn command(&self, arguments: &[&str]) -> Command {
        let config = self.path("sirenia.toml");
        let text = "[tables]\nexclude = [\"tersembunyi\"]\n[tables.rules.pasien]\nexclude_columns = [\"rahasia\"]\n";
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sirenia"));
        command.arg("--config").arg(config).args(arguments).env("SIRENIA_SOURCE_URL", self.server.url("lab"));
        command.env_remove("SIRENIA_TARGET_URL").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    fn output(&self, arguments: &[&str]) -> (i32, String, String) {
        finish(self.command(arguments))
    }

    /// What a recording tells.
    fn replay(&self, file: &Path) -> String {
        let (code, lines, errors) = self.output(&["replay", file.to_str().unwrap()]);
        assert_eq!(code, 0, "{errors}");
        lines
    }

    fn spawn(&self, arguments: &[&str], stdout: &str) -> Running {
        let file = |name: &str| std::fs::File::create(self.path(name)).unwrap();
        let mut command = self.command(arguments);
        command.stdout(file(stdout)).stderr(file(&format!("{stdout}.log")));
        let stdout = self.path(stdout);
        Running { child: command.spawn().expect("the command starts"), stdout }
    }

    /// Waits until so many replicas are being served.
    async fn serves(&self, count: usize) {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
        let deadline = Instant::now() + PATIENCE;
        while self.query::<usize>(sql).await[0] < count {
            assert!(Instant::now() < deadline, "the commands do not connect");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The binlog's files on disk, in order.
    async fn binlogs(&self) -> Vec<PathBuf> {
        let rows: Vec<mysql_async::Row> = self.query("SHOW BINARY LOGS").await;
        rows.iter().map(|row| self.server.data_dir().join(row.get::<String, _>(0).unwrap())).collect()
    }
}

fn finish(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A command in the background; killed when dropped.
struct Running {
    child: Child,
    stdout: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn printed(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(format!("{}.log", self.stdout.display())).unwrap()
    }

    async fn prints(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.printed().contains(what) {
            assert!(Instant::now() < deadline, "{what} is not printed:\n{}\n{}", self.printed(), self.errors());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn exit(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn interrupt(&mut self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
        self.exit().await
    }
}

const WORK: [&str; 19] = [
    "INSERT INTO lab.pasien VALUES (1, 'Müller €', 12345678901234.5600, 18446744073709551615, 'it''s', 'x,z', X'00FF10',
       X'0A00', '{\"a\": [1, null, \"é\"]}', '2023-00-15', '2024-02-29 12:13:14.15', '2001-09-09 01:46:40.000001',
       '-838:59:59', b'10101', 0.1, 'sangat rahasia'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, 'sangat rahasia')",
    "UPDATE lab.pasien SET saldo = -0.5, rahasia = 'rahasia lain' WHERE id = 1",
    "INSERT INTO lab.tersembunyi VALUES (1)",
    "INSERT INTO lab.mesin_lama VALUES (1)",
    "BEGIN",
    "INSERT INTO lab.hasil (pasien_id, isi) VALUES (1, 'a\"b\\n'), (2, REPEAT('z', 300000))",
    "SAVEPOINT s1",
    "INSERT INTO lab.mesin_lama VALUES (2)",
    "UPDATE lab.hasil SET isi = 'sementara'",
    "ROLLBACK TO SAVEPOINT s1",
    "DELETE FROM lab.hasil WHERE pasien_id = 1",
    "COMMIT",
    "CREATE TABLE lab.tersembunyi_juga (id INT)",
    "INSERT INTO lab.hasil (pasien_id, isi) SELECT a.n * 10 + b.n, 'banyak' FROM
       (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) a,
       (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) b",
    "BEGIN",
    "DELETE FROM lab.pasien WHERE id = 2",
    "ROLLBACK",
    "DELETE FROM lab.pasien WHERE id = 2",
    "INSERT INTO lab.hasil (id, pasien_id, isi) VALUES (9999, 7, 'selesai')",
];

/// What the server of that kind can do of it: MySQL with GTIDs takes no engine without transactions into a transaction.
fn work(kind: SourceKind) -> Vec<&'static str> {
    let mixed = WORK.into_iter().enumerate().filter(|(at, _)| kind != SourceKind::MySql || *at != MIXED);
    mixed.map(|(_, sql)| sql).collect()
}

/// The change in [`WORK`] that cannot be rolled back, and so brings the ROLLBACK TO into the log.
const MIXED: usize = 7;

fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn count(lines: &[Value], event: &str) -> usize {
    lines.iter().filter(|line| line["event"] == event).count()
}

/// Tail and record watch the same work; what the recording tells is what tail printed.
async fn tail_and_record_tell_the_same(kind: SourceKind) {
    let source = Source::start(kind).await;
    let recording = source.path("work.rec");
    let mut tail = source.spawn(&["tail"], "tail.out");
    let mut record = source.spawn(&["record", recording.to_str().unwrap()], "record.out");
    source.serves(2).await;
    source.run(&work(kind)).await;
    tail.prints("selesai").await;
    tail.prints(r#""id":9999"#).await;
    // the last transaction's end
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((tail.interrupt().await, record.interrupt().await), (0, 0), "{}{}", tail.errors(), record.errors());
    assert!(record.printed().starts_with("recorded "), "{}", record.printed());

    let told = tail.printed();
    assert_eq!(source.replay(&recording), told);
    assert!(!told.contains("tersembunyi\"") && !told.contains("rahasia"), "what is excluded was told");
    let lines = parsed(&told);
    let open = count(&lines, "begin") - count(&lines, "commit") - count(&lines, "rollback");
    assert_eq!(open, 0, "{told}");
    assert_eq!(count(&lines, "ddl"), 1);
    let taken_back = usize::from(kind != SourceKind::MySql);
    assert_eq!((count(&lines, "savepoint"), count(&lines, "rollback_to")), (1, taken_back), "{told}");

    let first = lines.iter().find(|line| line["event"] == "insert").unwrap();
    assert_eq!(first["table"], "lab.pasien");
    assert_eq!(
        first["after"].to_string(),
        serde_json::json!({
            "id": 1, "nama": "Müller €", "saldo": "12345678901234.5600", "besar": 18_446_744_073_709_551_615_u64,
            "jenis": "it's", "sifat": ["x", "z"], "foto": "00ff10", "kode": "0a000000",
            "data": {"a": [1, null, "é"]}, "lahir": "2023-00-15", "dibuat": "2024-02-29T12:13:14.15",
            "diubah": "2001-09-09T01:46:40.000001Z", "lama": "-838:59:59", "bit5": 21, "f": 0.1
        })
        .to_string()
    );
    let update = lines.iter().find(|line| line["event"] == "update" && line["table"] == "lab.pasien").unwrap();
    assert_eq!(
        (&update["before"]["saldo"], &update["after"]["saldo"]),
        (&"12345678901234.5600".into(), &"-0.5000".into())
    );
    let commit = lines.iter().find(|line| line["event"] == "commit").unwrap();
    let gtid = commit["gtid"].as_str().expect("the source has GTIDs");
    assert!(commit["gtid_set"].as_str().is_some(), "{commit}");
    assert!(lines.iter().filter(|line| line["gtid"] == gtid).count() >= 4, "begin, rows and commit have their GTID");
    assert!(commit["committed_at"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')));

    // what a transaction did and took back is told with what takes it back
    let table =
        |table: &str, event: &str| lines.iter().filter(|line| line["event"] == event && line["table"] == table).count();
    assert_eq!(table("lab.pasien", "delete"), 1);
    assert_eq!((table("lab.mesin_lama", "insert"), table("lab.hasil", "delete")), (1 + taken_back, 1));
    assert_eq!(table("lab.hasil", "update"), 2 * taken_back);

    let (code, names, _) = source.output(&["replay", recording.to_str().unwrap(), "--values=false"]);
    assert_eq!(code, 0);
    assert!(!names.contains("selesai") && names.contains(r#""changed":["saldo"]"#), "{names}");
    // --tables: the others are not told
    let first_file = source.binlogs().await[0].file_name().unwrap().to_str().unwrap().to_owned();
    let from = format!("{first_file}:4");
    let (code, some, errors) =
        source.output(&["tail", "--from", &from, "--until", "now", "--tables", "has*", "--values"]);
    assert_eq!(code, 0, "{errors}");
    let some = parsed(&some);
    assert!(some.iter().all(|line| line["table"].is_null() || line["table"] == "lab.hasil"));
    assert_eq!(
        some.iter().filter(|line| line["table"] == "lab.hasil").count(),
        lines.iter().filter(|line| line["table"] == "lab.hasil").count()
    );
}

/// The server's files, with their server, beside it and without it, tell what the server tells.
async fn files_tell_what_their_server_tells(kind: SourceKind) {
    let mut source = Source::start(kind).await;
    let work = work(kind);
    source.run(&work[..4]).await;
    source.run(&["FLUSH BINARY LOGS"]).await;
    let middle = work.iter().position(|sql| *sql == "COMMIT").unwrap() + 1;
    source.run(&work[4..middle]).await;
    // begins a file without checksums
    source.run(&["SET GLOBAL binlog_checksum = NONE"]).await;
    let packed = match kind {
        SourceKind::MySql => {
            "SET GLOBAL binlog_transaction_compression = ON, GLOBAL binlog_row_value_options = PARTIAL_JSON"
        }
        _ => "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
    };
    source.run(&[packed]).await;
    source.run(&work[middle..]).await;
    source.run(&["UPDATE lab.pasien SET data = JSON_SET(data, '$.a[0]', 'diganti') WHERE id = 1"]).await;
    source.run(&["SET GLOBAL binlog_row_image = MINIMAL"]).await;
    source.run(&["UPDATE lab.hasil SET isi = 'sedikit' WHERE id = 9999"]).await;
    let files = source.binlogs().await;
    assert!(files.len() >= 3, "{files:?}");
    let copies: Vec<PathBuf> =
        files.iter().map(|file| source.path(file.file_name().unwrap().to_str().unwrap())).collect();
    for (from, to) in files.iter().zip(&copies) {
        std::fs::copy(from, to).unwrap();
    }
    let copies: Vec<&str> = copies.iter().map(|path| path.to_str().unwrap()).collect();
    let from = format!("{}:4", files[0].file_name().unwrap().to_str().unwrap());

    let by_server = source.path("server.rec");
    let (code, said, errors) =
        source.output(&["record", by_server.to_str().unwrap(), "--from", &from, "--until", "now"]);
    assert_eq!(code, 0, "{errors}");
    let told = source.replay(&by_server);
    assert!(said.starts_with(&format!("recorded {} transactions", count(&parsed(&told), "commit"))), "{said}");
    assert!(told.contains("selesai") && told.contains("it's"), "{told}");
    assert!(
        told.contains(r#""before":{"id":9999},"after":{"isi":"sedikit"}}"#),
        "what the image does not have is left out"
    );
    let changed =
        parsed(&told).into_iter().rfind(|line| line["after"]["data"]["a"][0] == "diganti").expect("the new document");
    assert_eq!(changed["before"]["data"], serde_json::json!({"a": [1, null, "é"]}));

    let by_files = source.path("files.rec");
    let mut arguments = vec!["record", by_files.to_str().unwrap(), "--files"];
    arguments.extend(&copies);
    let (code, _, errors) = source.output(&arguments);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(source.replay(&by_files), told);

    // the server is gone, and no address of it is set: the columns come from a recording
    source.server.stop().await.unwrap();
    let mut alone = source.command(&["tail", "--schema", by_server.to_str().unwrap(), "--files"]);
    alone.args(&copies).env_remove("SIRENIA_SOURCE_URL");
    let (code, lines, errors) = finish(alone);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(lines, told);

    // a file left out, and a file cut short
    let mut gap = source.command(&["tail", "--schema", by_server.to_str().unwrap(), "--files", copies[0], copies[2]]);
    gap.env_remove("SIRENIA_SOURCE_URL");
    let (code, _, errors) = finish(gap);
    assert!(code == 3 && errors.contains("does not follow") && errors.contains("hint:"), "{errors}");
    let whole = std::fs::read(copies[0]).unwrap();
    std::fs::write(copies[0], &whole[..whole.len() - 3]).unwrap();
    let mut cut = source.command(&["tail", "--schema", by_server.to_str().unwrap(), "--files", copies[0]]);
    cut.env_remove("SIRENIA_SOURCE_URL");
    let (code, lines, errors) = finish(cut);
    assert!(code == 3 && errors.contains(copies[0]) && errors.contains("ends inside"), "{errors}");
    assert!(!lines.is_empty() && told.starts_with(&lines), "what stands before the cut is told");
}

/// A column that comes or goes ends the stream behind the statement; from there on it is read with the new columns.
async fn ddl_ends_the_stream(kind: SourceKind) {
    let source = Source::start(kind).await;
    let mut tail = source.spawn(&["tail"], "tail.out");
    source.serves(1).await;
    source
        .run(&[
            "INSERT INTO lab.hasil VALUES (1, 1, 'lama')",
            "TRUNCATE lab.mesin_lama",
            "ALTER TABLE lab.hasil MODIFY pasien_id INT UNSIGNED",
            "INSERT INTO lab.hasil VALUES (2, 4000000000, 'baru')",
        ])
        .await;
    assert_eq!(tail.exit().await, 3);
    let lines = parsed(&tail.printed());
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "ddl");
    assert!(tail.printed().contains("lama") && !tail.printed().contains("baru"));
    let errors = tail.errors();
    assert!(errors.contains("ALTER of lab.hasil at") && errors.contains("--from"), "{errors}");
    let from = last["position"].as_str().unwrap();
    let (code, lines, errors) = source.output(&["tail", "--from", from, "--until", "now"]);
    assert_eq!(code, 0, "{errors}");
    assert!(lines.contains(r#""pasien_id":4000000000"#), "{lines}");
    // by GTID too, behind what was committed before
    let commit = parsed(&tail.printed()).into_iter().rfind(|line| line["event"] == "commit").unwrap();
    let (code, by_gtid, errors) =
        source.output(&["tail", "--from", commit["gtid_set"].as_str().unwrap(), "--until", "now"]);
    assert_eq!(code, 0, "{errors}");
    assert!(by_gtid.contains(r#""pasien_id":4000000000"#) && !by_gtid.contains(r#""isi":"lama""#), "{by_gtid}");
}

/// Killed, a recording tells what it has, and that it was cut off; an unfinished transaction is none in a file that was ended.
async fn a_killed_recording_tells_what_it_has(kind: SourceKind) {
    let source = Source::start(kind).await;
    let recording = source.path("cut.rec");
    let file = recording.to_str().unwrap();
    let mut record = source.spawn(&["record", file], "record.out");
    source.serves(1).await;
    source.run(&["INSERT INTO lab.hasil VALUES (1, 1, 'satu')"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    record.child.kill().unwrap();
    record.exit().await;
    let (code, lines, errors) = source.output(&["replay", file]);
    assert!(code == 3 && errors.contains("cut off") && errors.contains(file), "{errors}");
    assert!(lines.contains("satu") && lines.trim_end().ends_with('}') && lines.contains("\"commit\""), "{lines}");
    let (code, _, errors) = source.output(&["record", file, "--for", "1s"]);
    assert!(code == 3 && errors.contains("cannot be made") && errors.contains("never written over"), "{errors}");

    let begun = Instant::now();
    let short = source.path("short.rec");
    let (code, said, errors) = source.output(&["record", short.to_str().unwrap(), "--for", "1s"]);
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with("recorded 0 transactions with 0 rows") && begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(source.replay(&short), "");
}

on_both! {
    tail_and_record_tell_the_same
    files_tell_what_their_server_tells
    ddl_ends_the_stream
    a_killed_recording_tells_what_it_has
}
