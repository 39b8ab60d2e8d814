//! Initialised data directories, made once per server version and copied for each server.
//!
//! They lie in `<servers>/templates`; where there is no such cache to write to, each server is initialised anew.
//! A template appears by one rename, so a half-made one is never seen.

use super::find;
use super::folder::Folder;
use super::port::random;
use crate::error::{Error, ErrorKind, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Raised when the way of initialising changes, so that older templates are not used any more.
const FORMAT: u32 = 1;

/// Puts an initialised data directory into `folder/data`. `make` makes `data` in the folder it is given.
pub(super) fn data_dir(folder: &Path, kind: &str, make: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let data = folder.join("data");
    // the owner of the files depends on who made them
    let name = format!("{kind}-uid{}-{FORMAT}", nix::unistd::geteuid());
    match template(&name, &make)? {
        Some(template) => copy(&template, &data)?,
        None => make(folder)?,
    }
    Ok(data)
}

/// The template's folder, made if it is not there; `None` where nothing can be cached.
fn template(name: &str, make: &impl Fn(&Path) -> Result<()>) -> Result<Option<PathBuf>> {
    let Some(templates) = find::servers().into_iter().next().map(|servers| servers.join("templates")) else {
        return Ok(None);
    };
    let template = templates.join(name);
    if template.is_dir() {
        return Ok(Some(template));
    }
    // one maker at a time, of all processes; released when the file is closed
    let lock = fs::create_dir_all(&templates).and_then(|()| File::create(templates.join(".lock")));
    let Ok(lock) = lock.and_then(|file| file.lock().map(|()| file)) else { return Ok(None) };
    if !template.is_dir() {
        remove_parts(&templates);
        // in a temporary folder first, which PostgreSQL's user can enter wherever the cache lies
        let folder = Folder::new("template")?;
        make(folder.path())?;
        let part = templates.join(format!(".part-{:08x}", random() as u32));
        let put = copy(&folder.path().join("data"), &part)
            .and_then(|()| fs::rename(&part, &template).map_err(|e| failed(&template).with_source(e)));
        if let Err(error) = put {
            let _ = fs::remove_dir_all(&part);
            return Err(error);
        }
    }
    drop(lock);
    Ok(Some(template))
}

/// Removes what makers left that were killed while they copied. Only for the holder of the lock.
fn remove_parts(templates: &Path) {
    for entry in fs::read_dir(templates).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".part-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a directory with owners and modes; blocks are shared where the file system can.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(to).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(to).detail(String::from_utf8_lossy(&output.stderr).trim_end())),
        Err(error) => Err(failed(to).with_source(error)),
    }
}

fn failed(what: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("cannot copy a data directory to {}", what.display()))
}
