//! What is particular to MariaDB: how a data directory is initialised and the server's options.

use super::find;
use super::process::run;
use super::source::{SourceOptions, users_sql};
use super::template;
use crate::error::Result;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The server's program with the options that every run of it needs.
pub(super) fn program() -> Result<Vec<OsString>> {
    let mut command = vec![find::mariadb()?.server.into(), "--no-defaults".into()];
    command.extend(super::source::as_root().map(OsString::from));
    Ok(command)
}

/// Puts an initialised data directory into the folder.
pub(super) fn data_dir(folder: &Path) -> Result<PathBuf> {
    let programs = find::mariadb()?;
    let version = find::version(&programs.server).unwrap_or_default();
    let server = program()?;
    template::data_dir(folder, &format!("mariadb-{version}"), |work| {
        let data = work.join("data");
        let mut install: Vec<OsString> = vec![programs.install_db.clone().into(), "--no-defaults".into()];
        install.extend(super::source::as_root().map(OsString::from));
        install.extend(
            ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"]
                .map(OsString::from),
        );
        install.push(option("--datadir=", &data));
        run("mariadb-install-db", &install, "", work)?;

        // it also makes root for the machine's names without a password, and perhaps an anonymous user
        let sql = format!(
            "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys' AND NOT (User = 'root' AND Host = 'localhost');\n\
             FLUSH PRIVILEGES;\n{}",
            users_sql()
        );
        let mut bootstrap = server.clone();
        bootstrap.push(option("--datadir=", &data));
        bootstrap.extend(["--bootstrap", "--innodb-log-file-size=16M"].map(OsString::from));
        run("mariadbd --bootstrap", &bootstrap, &sql, work)
    })
}

/// The options of a source: binlog and its metadata.
pub(super) fn options(options: &SourceOptions) -> Vec<String> {
    vec![
        "--binlog-format=ROW".to_owned(),
        format!("--binlog-row-metadata={}", options.row_metadata.option()),
        "--gtid-domain-id=0".to_owned(),
        format!("--gtid-strict-mode={}", u8::from(options.gtid)),
    ]
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}
