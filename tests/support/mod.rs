//! Servers, the replicator as a child process, and waiting for it: what every integration test stands on.

pub mod http;
pub mod oracle;
pub mod outcome;
pub mod shape;
pub mod watch;

pub use outcome::{Outcome, Report, SECRET};
pub use watch::Watch;

use mysql_async::prelude::Queryable;
use sirenia::embedded::{
    RowMetadata, SourceKind, SourceOptions, SourceServer, TargetOptions, TargetServer, TargetVersion,
};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest any single wait may take; far above what is needed, so that a slow machine does not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(120);

const ER_LOCK_DEADLOCK: u16 = 1213;

/// Whether the long suites run whole, and not only a sample of them: `SIRENIA_TEST_FULL=1`.
pub fn full() -> bool {
    std::env::var("SIRENIA_TEST_FULL").is_ok_and(|value| value == "1")
}

/// `SIRENIA_TEST_SEED`, which repeats a run, or another seed each time.
pub fn seed() -> u64 {
    std::env::var("SIRENIA_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        now.as_micros() as u64
    })
}

/// One source set-up under test.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub kind: SourceKind,
    pub gtid: bool,
    pub full_metadata: bool,
}

impl Setup {
    pub const fn new(kind: SourceKind) -> Self {
        Self { kind, gtid: true, full_metadata: true }
    }

    pub fn options(self) -> SourceOptions {
        let row_metadata = if self.full_metadata { RowMetadata::Full } else { RowMetadata::least(self.kind) };
        SourceOptions { gtid: self.gtid, row_metadata, ..SourceOptions::default() }
    }
}

/// A source, a target, and a database of the same name on both.
pub struct World {
    pub source: SourceServer,
    pub target: TargetServer,
    pub setup: Setup,
    /// More settings for `sirenia.toml`.
    pub config: String,
    log: PathBuf,
}

/// The database under test.
pub const DATABASE: &str = "lab";

impl World {
    pub async fn new(setup: Setup) -> Self {
        Self::with_options(setup, setup.options()).await
    }

    pub async fn with_options(setup: Setup, options: SourceOptions) -> Self {
        Self::into(setup, options, TargetVersion::System).await
    }

    /// With a chosen PostgreSQL as the target.
    pub async fn into(setup: Setup, options: SourceOptions, version: TargetVersion) -> Self {
        let source = SourceServer::start(setup.kind, options).await.expect("the source starts");
        let target = TargetOptions { version, ..TargetOptions::default() };
        let target = TargetServer::start(target).await.expect("the target starts");
        let log = source.folder().path().join("sirenia.log");
        let world = Self { source, target, setup, config: String::new(), log };
        let mut root = mysql_async::Conn::from_url(world.source.url("mysql")).await.expect("login");
        root.query_drop(format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4"))
            .await
            .expect("create the database");
        let (target, connection) =
            tokio_postgres::connect(&world.target.url("postgres"), tokio_postgres::NoTls).await.expect("login");
        tokio::spawn(connection);
        target.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.expect("create the database");
        world
    }

    /// A connection to the source's database.
    pub async fn source(&self) -> mysql_async::Conn {
        mysql_async::Conn::from_url(self.source.url(DATABASE)).await.expect("the source takes a connection")
    }

    /// A connection to the target's database.
    pub async fn target(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.target.url(DATABASE), tokio_postgres::NoTls)
            .await
            .expect("the target takes a connection");
        tokio::spawn(connection);
        client
    }

    /// Runs statements on one connection of the source, one after the other, so that they may form transactions. A
    /// transaction that met a deadlock, with the test's own load mostly, is run again, as an application would.
    pub async fn run(&self, statements: &[&str]) {
        let mut source = self.source().await;
        let (mut at, mut begin) = (0, None);
        while let Some(sql) = statements.get(at) {
            match source.query_drop(*sql).await {
                Err(mysql_async::Error::Server(error)) if error.code == ER_LOCK_DEADLOCK => {
                    at = begin.unwrap_or(at);
                    continue;
                }
                result => result.unwrap_or_else(|e| panic!("{sql}: {e}")),
            }
            match *sql {
                "BEGIN" | "START TRANSACTION" => begin = Some(at),
                "COMMIT" | "ROLLBACK" => begin = None,
                _ => (),
            }
            at += 1;
        }
    }

    /// [`Self::run`] of statements that were made up.
    pub async fn run_on_one(&self, statements: &[String]) {
        self.run(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// The replicator's command, with both URLs and a configuration file in the source's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let config = self.source.folder().path().join("sirenia.toml");
        let http = if self.config.contains("[http]") { "" } else { "\n[http]\nlisten = \"off\"\n" };
        std::fs::write(&config, format!("{}{http}", self.config)).expect("write the configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sirenia"));
        command
            .arg("--config")
            .arg(config)
            .args(arguments)
            .env("SIRENIA_SOURCE_URL", self.source.url(DATABASE))
            .env("SIRENIA_TARGET_URL", self.target.url(DATABASE))
            .stdin(Stdio::null());
        command
    }

    /// Starts `sirenia run` (with more arguments) in the background; its log is appended to one file.
    pub fn replicate(&self, arguments: &[&str]) -> Replicator {
        let mut all = vec!["run"];
        all.extend(arguments);
        self.spawn(&all)
    }

    /// Starts any command of the replicator in the background.
    pub fn spawn(&self, arguments: &[&str]) -> Replicator {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).expect("open the log");
        let child = self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().expect("the replicator starts");
        Replicator { child, log: self.log.clone() }
    }

    /// What the replicators of this world have written to their log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until everything that is committed on the source now has been applied. Panics with the log otherwise.
    pub async fn caught_up(&self) {
        let mut source = self.source().await;
        let status = self.setup.kind.status_statement();
        let row: mysql_async::Row = source.query_first(status).await.expect("status").expect("the binlog is on");
        let (file, offset): (String, u64) = (row.get(0).expect("file"), row.get(1).expect("offset"));
        let sql = "SELECT phase, position->'binlog'->>'file', (position->'binlog'->>'offset')::bigint,
                          EXISTS (SELECT 1 FROM sirenia.table_state WHERE state = 'pending') FROM sirenia.checkpoint";
        let deadline = Instant::now() + PATIENCE;
        let mut seen = String::from("nothing");
        while Instant::now() < deadline {
            if let Ok((client, connection)) =
                tokio_postgres::connect(&self.target.url(DATABASE), tokio_postgres::NoTls).await
            {
                let driver = tokio::spawn(connection);
                if let Ok(row) = client.query_one(sql, &[]).await {
                    let (phase, at_file, at_offset): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
                    let waiting: bool = row.get(3);
                    seen = format!("phase {phase}, {at_file}:{at_offset}, tables to be copied: {waiting}");
                    if phase == "follow" && !waiting && (at_file.as_str(), at_offset as u64) >= (file.as_str(), offset)
                    {
                        return;
                    }
                }
                driver.abort();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not caught up to {file}:{offset}, seen {seen}; the log ends:\n{}", tail(&self.log()));
    }

    /// [`caught_up`](Self::caught_up), or an error as soon as the replicator has ended instead.
    pub async fn followed_by(&self, replicator: &mut Replicator) -> Result<(), String> {
        let ended = async {
            while replicator.is_running() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            replicator.exit().await
        };
        tokio::select! {
            () = self.caught_up() => Ok(()),
            code = ended => Err(format!("the replicator has ended with exit code {code}")),
        }
    }

    /// Fails with what the oracle found, unless both sides hold the same rows.
    pub async fn assert_equal(&self) {
        let found = self.differences().await;
        assert!(found.is_empty(), "not equal:\n{}\nthe log ends:\n{}", found.join("\n"), tail(&self.log()));
    }

    /// What the oracle finds.
    pub async fn differences(&self) -> Vec<String> {
        oracle::differences(&self.source.url(DATABASE), DATABASE, &self.target.url(DATABASE), "public", &[]).await
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn output(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

/// Makes each named function of a server kind a test on both kinds.
macro_rules! on_both {
    ($($test:ident)*) => {$(
        mod $test {
            use sirenia::embedded::SourceKind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                super::$test(SourceKind::MariaDb).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mysql() {
                super::$test(SourceKind::MySql).await;
            }
        }
    )*};
}
pub(crate) use on_both;

/// The last lines of a log.
pub fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A running replicator; killed when dropped.
pub struct Replicator {
    child: Child,
    log: PathBuf,
}

impl Replicator {
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("the replicator takes the signal");
    }

    /// SIGKILL, and wait for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the process to end by itself: its exit code. Panics with the log when it does not.
    pub async fn exit(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code().unwrap_or(-1);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        panic!("the replicator does not end; its log:\n{}", tail(&log));
    }

    /// SIGTERM: the exit code and how long it took.
    pub async fn terminate(&mut self) -> (i32, Duration) {
        let asked = Instant::now();
        self.signal(nix::sys::signal::Signal::SIGTERM);
        (self.exit().await, asked.elapsed())
    }
}

impl Drop for Replicator {
    fn drop(&mut self) {
        self.kill();
    }
}
