//! A private PostgreSQL for this crate's own tests: started by the first test that asks, shared by those that run
//! beside it, stopped and removed by the last. Every test has a database of its own.

use super::address::TargetConfig;
use super::connect::{Connection, connect};
use super::control;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

pub(crate) const PASSWORD: &str = "p@ss/wörd";

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SIGINT is PostgreSQL's fast shutdown
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT);
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A database that lives as long as this.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) config: TargetConfig,
}

impl Database {
    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.config, "test").await.unwrap()
    }
}

impl Server {
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres:p%40ss%2Fw%C3%B6rd@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// An empty database.
pub(crate) async fn database() -> Database {
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let admin = TargetConfig::from_url(&server.url("postgres")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let client = loop {
        match connect(&admin, "test").await {
            Ok(client) => break client,
            Err(error) if Instant::now() > deadline => panic!("{}", error.report()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let config = TargetConfig::from_url(&server.url(&name)).unwrap();
    Database { server, config }
}

/// A database with the control tables.
pub(crate) async fn prepared() -> Database {
    let database = database().await;
    control::install(&mut *database.connect().await).await.unwrap();
    database
}

fn shared() -> Arc<Server> {
    let mut shared = SHARED.lock().unwrap();
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(start());
    *shared = Arc::downgrade(&server);
    server
}

fn bin() -> PathBuf {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path()).collect();
    versions.sort();
    versions.pop().unwrap().join("bin")
}

/// The command as PostgreSQL's own user, since the server refuses to run as root.
fn command(program: &Path) -> Command {
    let mut command = if nix::unistd::Uid::effective().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command
}

fn own(path: &Path) {
    if let Some(user) = nix::unistd::User::from_name("postgres").unwrap().filter(|_| nix::unistd::geteuid().is_root()) {
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
}

fn start() -> Server {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sirenia-target-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    own(&folder);
    let password = folder.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let data = folder.join("data");
    let made = command(&bin().join("initdb"))
        .args(["--no-sync", "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--pwfile"])
        .arg(&password)
        .arg("-D")
        .arg(&data)
        .status()
        .unwrap();
    assert!(made.success(), "initdb");
    let tls = certificate(&folder);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = command(&bin().join("postgres"));
    server.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    for setting in ["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "log_min_messages=panic"] {
        server.args(["-c", setting]);
    }
    if tls {
        let file = |name: &str| folder.join(name).display().to_string();
        server.arg("-c").arg("ssl=on");
        server.arg("-c").arg(format!("ssl_cert_file={}", file("server.crt")));
        server.arg("-c").arg(format!("ssl_key_file={}", file("server.key")));
    }
    // a process group of its own: an interrupt at the terminal must not end it before its databases are done with
    let child = server.process_group(0).spawn().unwrap();
    Server { child, folder, port }
}

/// A self-signed certificate for `localhost`; false where there is no `openssl`.
fn certificate(folder: &Path) -> bool {
    let (key, cert) = (folder.join("server.key"), folder.join("server.crt"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return false;
    }
    std::process::Command::new("chmod").arg("600").arg(&key).status().unwrap();
    own(&key);
    own(&cert);
    true
}

/// Takes a pipeline's lease and keeps no hold of it but the row; returns its epoch.
pub(crate) async fn hold(database: &Database, pipeline: &str) -> i64 {
    let ttl = Duration::from_secs(600);
    super::lease::acquire(&database.config, pipeline, "test", ttl, |_, _| {}).await.unwrap().epoch
}

/// Things to store.
pub(crate) mod example {
    use crate::convert::objects::Objects;
    use crate::convert::plan::{PgType, PlannedColumn, TablePlan, Treatment};
    use crate::convert::sample;
    use crate::ident::{TableName, TargetName};
    use crate::identity::SourceIdentity;
    use crate::policy::Policies;
    use crate::position::{BinlogOffset, GtidSet, Position};
    use crate::schema::Flavor;
    use std::sync::Arc;

    pub(crate) fn position(offset: u64) -> Position {
        let gtid = "0-1-5,2-7-18446744073709551615".parse().map(GtidSet::MariaDb).unwrap();
        Position { binlog: BinlogOffset::new("binlog.000042", u64::MAX - offset), gtid: Some(gtid) }
    }

    pub(crate) fn identity() -> SourceIdentity {
        SourceIdentity {
            flavor: Flavor::MariaDb,
            version: "10.11.6-MariaDB".into(),
            server_uuid: None,
            server_id: 1,
            binlog_file: "binlog.000042".into(),
            binlog_created: 1_700_000_000,
            binlog_server_id: 1,
            logs_cascades: false,
        }
    }

    /// `Lab.<table>` → `public.<table>` with `"ID" integer NOT NULL` as primary key and `"Full Name" varchar(40)`.
    pub(crate) fn plan(table: &str) -> TablePlan {
        let column = |source, name: &str, ty, nullable| PlannedColumn {
            source,
            name: name.to_owned(),
            ty,
            nullable,
            unique: !nullable,
            policies: Policies::defaults(nullable, !nullable),
            treatment: Treatment::Plain,
        };
        let mut source = sample::table(table, &[]);
        source.name = TableName::new("Lab", table);
        TablePlan {
            source: Arc::new(source),
            target: TargetName::new("public", table),
            columns: vec![column(0, "ID", PgType::Integer, false), column(1, "Full Name", PgType::Varchar(40), true)],
            key: vec![0],
            key_is_primary: true,
            indexes: Vec::new(),
            rows: Vec::new(),
            objects: Objects::default(),
        }
    }

    /// A table with a column of each type, `c0`, `c1`, …; text is `c9`, bytea `c10`.
    pub(crate) fn every_type() -> TablePlan {
        let types = [
            PgType::SmallInt,
            PgType::Integer,
            PgType::BigInt,
            PgType::Numeric { precision: 65, scale: 30 },
            PgType::Real,
            PgType::Double,
            PgType::Boolean,
            PgType::Bit(64),
            PgType::Varchar(255),
            PgType::Text,
            PgType::Bytea,
            PgType::Date,
            PgType::Timestamp(0),
            PgType::Timestamp(6),
            PgType::TimestampTz(3),
            PgType::Interval(6),
            PgType::Time(0),
            PgType::Json,
            PgType::Jsonb,
            PgType::TextArray,
            PgType::RealArray,
            PgType::Uuid,
            PgType::Inet,
            PgType::Bit(1),
        ];
        let columns = types.into_iter().enumerate().map(|(at, ty)| PlannedColumn {
            source: at,
            name: format!("c{at}"),
            ty,
            nullable: at > 2,
            unique: false,
            policies: Policies::defaults(at > 2, false),
            treatment: Treatment::Plain,
        });
        TablePlan { columns: columns.collect(), key: Vec::new(), ..plan("every") }
    }
}
