//! A temporary folder that outlives neither its owner nor its owner's crash.
//!
//! Owns the watchdog. The owner holds the writing end of a pipe to it; the pipe closes when the [`Folder`] is dropped and
//! equally when the owning process dies of whatever cause. Then the watchdog ends the servers named in `pids/`, removes
//! what they left in shared memory, and removes the folder. So there is one way of cleaning, used every time.
//!
//! Why a process and not `PR_SET_PDEATHSIG`: that needs `unsafe` before exec, follows the thread instead of the process,
//! and removes no files.

use super::port::random;
use crate::error::{Error, ErrorKind, Result};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$1` is the folder. A line in `pids/<program>` is the process, which leads a group of its own, and the signal that ends
/// it at once.
///
/// It makes the folder itself, so that it never removes one that is not its own. SIGQUIT makes PostgreSQL end its
/// children and free its shared memory; a server that does not go within 7 s is killed. A zombie counts as gone: its
/// parent may be a process 1 that never reaps.
const WATCHDOG: &str = r#"
trap '' HUP INT QUIT TERM PIPE
cd /
mkdir -m 711 -- "$1" && mkdir -m 700 -- "$1/pids" || exit 1
echo made
exec >/dev/null
keep=
while read -r word; do [ "$word" = keep ] && keep=1; done
alive() {
    case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status") in '' | Z* | X*) return 1 ;; esac
}
for file in "$1"/pids/*; do
    [ -f "$file" ] && read -r pid signal <"$file" || continue
    kill -s "$signal" -- "-$pid"
    tries=0
    while alive "$pid"; do
        tries=$((tries + 1))
        [ "$tries" -eq 140 ] && kill -s KILL -- "-$pid"
        [ "$tries" -gt 200 ] && break
        sleep 0.05
    done
done
for file in "$1"/*/postmaster.pid; do
    [ -f "$file" ] && ipcrm -m "$(sed -n '7s/^ *[0-9]* *//p' "$file")"
done
[ -n "$keep" ] || rm -rf -- "$1" || { sleep 0.5; rm -rf -- "$1"; }
"#;

/// A temporary folder, removed when dropped, and also when the owning process dies without dropping it.
///
/// Other users can enter it but not list it (mode 0711), since PostgreSQL refuses to run as root.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    watchdog: Child,
}

impl Folder {
    /// Makes `<temporary directory>/sirenia-<label>-<random>`.
    ///
    /// # Errors
    /// The directory or the watchdog cannot be made.
    pub fn new(label: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("sirenia-{label}-{:08x}", random() as u32));
        let failed = || Error::new(ErrorKind::Io, format!("cannot make the temporary folder {}", path.display()));
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "sirenia-watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C on the terminal goes to the owner's group and must not reach it
            .spawn()
            .map_err(|e| failed().with_source(e))?;
        let mut answer = String::new();
        if let Some(mut stdout) = watchdog.stdout.take() {
            let mut byte = [0; 5];
            if stdout.read_exact(&mut byte).is_ok() {
                answer = String::from_utf8_lossy(&byte).into_owned();
            }
        }
        if answer != "made\n" {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
            return Err(failed());
        }
        Ok(Self { path, watchdog })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the files where they are when the folder is dropped. Servers in it end all the same.
    pub fn keep(&mut self) {
        if let Some(stdin) = &mut self.watchdog.stdin {
            // a watchdog that is gone removes nothing either
            let _ = stdin.write_all(b"keep\n");
        }
    }

    /// The file in which a server of this folder notes its process for the watchdog.
    pub(super) fn pid_file(&self, name: &str) -> PathBuf {
        self.path.join("pids").join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}
