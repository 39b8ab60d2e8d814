//! Where the installed servers are. Reads the file system only; what is missing is an error that says how to install it.

use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// MariaDB's programs.
#[derive(Debug, Clone)]
pub(super) struct MariaDb {
    pub server: PathBuf,
    pub install_db: PathBuf,
    /// `usr` of an unpacked server; none where the programs know by themselves where their files are.
    pub basedir: Option<PathBuf>,
}

/// MariaDB as the system's packages install it.
pub(super) fn mariadb() -> Result<MariaDb> {
    let missing = |what: &str| missing(what, "apt-get install mariadb-server (or ./scripts/setup)");
    Ok(MariaDb {
        server: on_path("mariadbd").ok_or_else(|| missing("mariadbd"))?,
        install_db: on_path("mariadb-install-db").ok_or_else(|| missing("mariadb-install-db"))?,
        basedir: None,
    })
}

/// MariaDB 11.8 as `scripts/setup` unpacked it.
pub(super) fn mariadb_118() -> Result<MariaDb> {
    let usr = unpacked("mariadb-11.8", "usr/sbin/mariadbd", "mariadb")?.join("usr");
    Ok(MariaDb {
        server: usr.join("sbin/mariadbd"),
        install_db: usr.join("bin/mariadb-install-db"),
        basedir: Some(usr),
    })
}

/// The root of the MySQL that `scripts/setup` unpacked.
pub(super) fn mysql() -> Result<PathBuf> {
    unpacked("mysql", "usr/sbin/mysqld", "mysql")
}

/// The folder of the programs of the PostgreSQL 18 that `scripts/setup` unpacked.
pub(super) fn postgres_18() -> Result<PathBuf> {
    let bin = "usr/lib/postgresql/18/bin";
    Ok(unpacked("postgresql-18", &format!("{bin}/postgres"), "postgresql")?.join(bin))
}

/// The root of a server that `scripts/setup <part>` unpacks.
fn unpacked(folder: &str, program: &str, part: &str) -> Result<PathBuf> {
    let mut roots = servers().into_iter().map(|servers| servers.join(folder));
    roots.find(|root| root.join(program).is_file()).ok_or_else(|| {
        missing(
            &format!("target/servers/{folder}"),
            &format!("./scripts/setup {part} (SIRENIA_SERVERS names another folder than target/servers)"),
        )
    })
}

/// The folder of PostgreSQL's programs: the newest of the system's packages, else the one on PATH.
pub(super) fn postgres() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path())
        .filter(|path| path.join("bin/postgres").is_file() && path.join("bin/initdb").is_file())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    if let Some(newest) = newest {
        return Ok(newest.join("bin"));
    }
    let on_path = on_path("initdb").and_then(|initdb| initdb.canonicalize().ok());
    on_path
        .and_then(|initdb| initdb.parent().map(Path::to_owned))
        .filter(|bin| bin.join("postgres").is_file())
        .ok_or_else(|| missing("PostgreSQL's initdb and postgres", "apt-get install postgresql (or ./scripts/setup)"))
}

/// The existing folders of unpacked servers and cached data directories, the first one preferred.
pub(super) fn servers() -> Vec<PathBuf> {
    let named = std::env::var_os("SIRENIA_SERVERS").map(PathBuf::from);
    let here = std::env::current_dir().ok().map(|here| here.join("target/servers"));
    let built = option_env!("CARGO_MANIFEST_DIR").map(|package| Path::new(package).join("target/servers"));
    [named, here, built].into_iter().flatten().filter(|folder| folder.is_dir()).collect()
}

/// The first number with dots in what `program --version` says.
pub(super) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split(|c: char| !c.is_ascii_digit() && c != '.').filter(|word| word.contains('.'));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// A program on PATH, or where Debian keeps daemons, which an ordinary user's PATH leaves out.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn missing(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{what} is not installed here")).with_hint(hint)
}
