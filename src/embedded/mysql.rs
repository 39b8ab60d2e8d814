//! What is particular to MySQL: the unpacked program that runs by its own C library, initialisation, options.

use super::find;
use super::process::run;
use super::source::{SourceOptions, as_root, users_sql};
use super::template;
use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The server's program, called through the unpacked dynamic loader, with the options that every run of it needs.
///
/// The machine's C library may be older than the one MySQL was built with; the loader that came with it makes it use its
/// own (ld.so(8), `--library-path`).
pub(super) fn program() -> Result<Vec<OsString>> {
    let root = find::mysql()?;
    let (loader, libraries) = loader(&root)?;
    let mut paths = libraries.into_os_string();
    paths.push(":");
    paths.push(root.join("usr/lib/mysql/private"));
    let server = root.join("usr/sbin/mysqld");
    let mut command: Vec<OsString> = vec![loader.into(), "--library-path".into(), paths, server.into()];
    command.push("--no-defaults".into()); // must be the first, else the machine's my.cnf is read
    command.push(option("--basedir=", &root.join("usr")));
    command.push(option("--lc-messages-dir=", &root.join("usr/share/mysql")));
    let plugins = root.join("usr/lib/mysql/plugin");
    if plugins.is_dir() {
        command.push(option("--plugin-dir=", &plugins));
    }
    command.push("--secure-file-priv=".into());
    command.extend(as_root().map(OsString::from));
    Ok(command)
}

/// `usr/lib/<machine>/ld-linux-*.so.*` and the folder it is in.
fn loader(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let machines = fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    for libraries in machines.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")) {
        let files = fs::read_dir(&libraries).into_iter().flatten().flatten();
        let mut loaders = files.filter(|file| file.file_name().to_string_lossy().starts_with("ld-linux"));
        if let Some(loader) = loaders.next() {
            return Ok((loader.path(), libraries));
        }
    }
    Err(Error::new(ErrorKind::Config, format!("no dynamic loader in {}", root.display()))
        .with_hint("remove that folder and run ./scripts/setup mysql"))
}

/// Puts an initialised data directory into the folder.
pub(super) fn data_dir(folder: &Path) -> Result<PathBuf> {
    let version = fs::read_to_string(find::mysql()?.join("VERSION")).unwrap_or_default();
    let program = program()?;
    template::data_dir(folder, &format!("mysql-{}", version.trim()), |work| {
        let data = work.join("data");
        let users = work.join("users.sql");
        fs::write(&users, users_sql())
            .map_err(|e| Error::new(ErrorKind::Io, "cannot write users.sql").with_source(e))?;
        let mut initialise = program.clone();
        initialise.extend([
            "--initialize-insecure".into(),
            "--skip-log-bin".into(),
            "--innodb-redo-log-capacity=16M".into(),
            option("--datadir=", &data),
            option("--init-file=", &users),
        ]);
        run("mysqld --initialize-insecure", &initialise, "", work)?;
        // each copy is a server of its own, and gives itself its own server_uuid
        fs::remove_file(data.join("auto.cnf")).map_err(|e| Error::new(ErrorKind::Io, "no auto.cnf").with_source(e))
    })
}

/// The options of a source: binlog and its metadata. Row format is the default and the option is on its way out.
pub(super) fn options(options: &SourceOptions) -> Vec<String> {
    let gtid = if options.gtid { "ON" } else { "OFF" };
    vec![
        format!("--binlog-row-metadata={}", options.row_metadata.option()),
        format!("--gtid-mode={gtid}"),
        format!("--enforce-gtid-consistency={gtid}"),
        "--mysqlx=OFF".to_owned(),
    ]
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}
