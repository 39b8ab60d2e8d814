//! Private servers for this module's tests: MariaDB from the machine's packages, MySQL if it has been fetched.

use crate::mapping::Mapping;
use crate::schema::Flavor;
use crate::source::connect::{SourceConfig, Tls, connect};
use crate::source::server::ServerFacts;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MYSQL_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers/mysql");
/// The facts of a server that is set up as it should be.
pub(crate) fn facts(flavor: Flavor) -> ServerFacts {
    ServerFacts {
        flavor,
        version: (10, 11, 6),
        version_text: "10.11.6".into(),
        server_id: 1,
        server_uuid: None,
        gtid: true,
        log_bin: true,
        binlog_format: "ROW".into(),
        binlog_row_image: "FULL".into(),
        binlog_row_metadata: None,
        binlog_do_db: Vec::new(),
        binlog_ignore_db: Vec::new(),
        log_replica_updates: true,
        is_replica: false,
        binlog_order_commits: true,
        partial_json: false,
        logs_cascades: false,
        lower_case_table_names: 0,
    }
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running server; it ends when this is dropped or the test process ends.
pub(crate) struct Server {
    pub flavor: Flavor,
    pub port: u16,
    directory: PathBuf,
    // its stdin is what keeps the server alive
    watcher: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

impl Server {
    /// Starts a server with a binlog; none when MySQL has not been fetched.
    pub(crate) fn start(flavor: Flavor, arguments: &[&str]) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!(
            "sirenia-source-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&directory).unwrap();
        let data = format!("--datadir={}", directory.join("data").display());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server: Vec<String> = match flavor {
            Flavor::MariaDb => {
                let mut install = Command::new("mariadb-install-db");
                // MariaDB removes at its start whatever temporary tables it finds, other servers' too
                install.env("TMPDIR", &directory);
                install.args([
                    "--no-defaults",
                    "--user=root",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    &data,
                ]);
                assert!(install.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
                vec!["/usr/sbin/mariadbd".into(), "--no-defaults".into()]
            }
            Flavor::MySql => {
                let root = Some(Path::new(MYSQL_ROOT)).filter(|root| root.join("usr/sbin/mysqld").exists())?;
                let root = root.display();
                let libraries = format!("{root}/usr/lib/x86_64-linux-gnu");
                let program: Vec<String> = vec![
                    format!("{libraries}/ld-linux-x86-64.so.2"),
                    "--library-path".into(),
                    format!("{libraries}:{root}/usr/lib/mysql/private"),
                    format!("{root}/usr/sbin/mysqld"),
                    "--no-defaults".into(),
                    format!("--basedir={root}/usr"),
                    format!("--lc-messages-dir={root}/usr/share/mysql"),
                    format!("--plugin-dir={root}/usr/lib/mysql/plugin"),
                    "--secure-file-priv=".into(),
                    "--mysqlx=OFF".into(),
                ];
                let mut install = Command::new(&program[0]);
                install.args(&program[1..]).args(["--user=root", "--initialize-insecure", &data]);
                assert!(install.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
                program
            }
        };
        server.extend([data, "--user=root".into(), format!("--port={port}"), "--bind-address=127.0.0.1".into()]);
        server.extend([format!("--socket={}", directory.join("s").display())]);
        server.extend(["--log-bin=binlog", "--binlog-format=ROW", "--server-id=7"].map(str::to_owned));
        server.extend(["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2"].map(str::to_owned));
        server.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let log = std::fs::File::create(directory.join("log")).unwrap();
        // the server lives as long as the pipe to this process: a killed test run leaves nothing behind
        let script = r#"d=$1; shift; "$@" </dev/null & p=$!; cat >/dev/null; kill -9 $p; wait $p; rm -rf "$d""#;
        let watcher = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&directory)
            .args(&server)
            .env("TMPDIR", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { flavor, port, directory, watcher };
        for _ in 0..300 {
            if std::os::unix::net::UnixStream::connect(server.directory.join("s")).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no server: {}", std::fs::read_to_string(server.directory.join("log")).unwrap_or_default());
    }

    pub(crate) fn config(&self, user: &str, password: &str) -> SourceConfig {
        SourceConfig {
            host: "127.0.0.1".into(),
            port: self.port,
            user: user.into(),
            password: password.into(),
            databases: Vec::new(),
            tls: Tls::Off,
            ca_file: None,
            socket: Some(self.directory.join("s")),
        }
    }

    pub(crate) fn root(&self) -> SourceConfig {
        self.config("root", "")
    }

    /// A connection of root's, in a new database of that name.
    pub(crate) async fn database(&self, name: &str) -> Conn {
        let mut conn = connect(&self.root()).await.unwrap();
        run(&mut conn, &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4; USE {name}")).await;
        conn
    }
}

const GTIDS: [&str; 2] = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"];

/// The servers that tests share: MariaDB and, if there, MySQL with GTIDs.
pub(crate) fn servers() -> Vec<&'static Server> {
    static SERVERS: OnceLock<Vec<Server>> = OnceLock::new();
    let start = || {
        let flavors = [(Flavor::MariaDb, &[][..]), (Flavor::MySql, &GTIDS[..])];
        flavors.into_iter().filter_map(|(flavor, arguments)| Server::start(flavor, arguments)).collect()
    };
    SERVERS.get_or_init(start).iter().collect()
}

/// Runs statements, separated by a semicolon at a line's end or `; `.
pub(crate) async fn run(conn: &mut Conn, statements: &str) {
    for statement in statements.split(";\n").flat_map(|part| part.split("; ")).map(str::trim).filter(|s| !s.is_empty())
    {
        conn.query_drop(statement.trim_end_matches(';')).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// A mapping of these databases to themselves.
pub(crate) fn mapping(databases: &[&str]) -> Mapping {
    let databases: BTreeMap<String, String> = databases.iter().map(|name| ((*name).into(), (*name).into())).collect();
    Mapping { databases, ..Mapping::default() }
}
