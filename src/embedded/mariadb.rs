//! What is particular to MariaDB: how a data directory is initialised and the server's options.

use super::find;
use super::process::run;
use super::source::{SourceKind, SourceOptions, users_sql};
use super::template;
use crate::error::Result;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The programs of that MariaDB.
fn find(kind: SourceKind) -> Result<find::MariaDb> {
    if kind == SourceKind::MariaDb118 { find::mariadb_118() } else { find::mariadb() }
}

/// The server's program with the options that every run of it needs.
pub(super) fn program(kind: SourceKind) -> Result<Vec<OsString>> {
    let programs = find(kind)?;
    let mut command = vec![programs.server.into(), "--no-defaults".into()];
    if let Some(usr) = programs.basedir {
        command.push(option("--lc-messages-dir=", &usr.join("share/mariadb")));
        command.push(option("--plugin-dir=", &usr.join("lib/mysql/plugin")));
        command.push(option("--basedir=", &usr));
    }
    command.extend(super::source::as_root().map(OsString::from));
    Ok(command)
}

/// Puts an initialised data directory into the folder.
pub(super) fn data_dir(kind: SourceKind, folder: &Path) -> Result<PathBuf> {
    let programs = find(kind)?;
    let version = find::version(&programs.server).unwrap_or_default();
    let server = program(kind)?;
    template::data_dir(folder, &format!("mariadb-{version}"), |work| {
        let data = work.join("data");
        let mut install: Vec<OsString> = vec![programs.install_db.clone().into(), "--no-defaults".into()];
        install.extend(super::source::as_root().map(OsString::from));
        install.extend(
            ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"]
                .map(OsString::from),
        );
        install.push(option("--datadir=", &data));
        if let Some(usr) = &programs.basedir {
            // it looks its own host name up otherwise, with a program that is not where it expects it
            install.push("--force".into());
            install.push(option("--basedir=", usr));
        }
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
