//! Several binlog files one after the other, as their server would send them: each behind a made-up ROTATE that names it.

use crate::binlog::Frame;
use crate::binlog::file::{BinlogFile, rotate_frame, rotate_to};
use crate::error::{Error, ErrorKind, Result};
use crate::position::BinlogOffset;
use crate::schema::Flavor;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Offset of a file's first event.
const FIRST_EVENT: u64 = 4;

/// The files that are left, and the one that is read.
#[derive(Debug)]
pub(super) struct BinlogFiles {
    left: VecDeque<PathBuf>,
    current: BinlogFile,
    rotate: Vec<u8>,
    /// What is in hand.
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing of the current file yet.
    Start,
    Rotate,
    Event,
}

impl BinlogFiles {
    /// Opens the first file; they must be of that server family.
    pub fn open(files: Vec<PathBuf>, flavor: Flavor) -> Result<Self> {
        let mut left = VecDeque::from(files);
        let first = left.pop_front().ok_or_else(|| Error::new(ErrorKind::Usage, "no binlog file is named"))?;
        let current = BinlogFile::open(&first)?;
        if current.flavor() != flavor {
            return Err(Error::new(
                ErrorKind::SourceIdentity,
                format!("{} was written by another kind of server than its tables were read from", first.display()),
            )
            .detail(format!("the file is of {}", current.server()))
            .with_hint("name the files' own server, or a recording of it by --schema"));
        }
        Ok(Self { left, current, rotate: Vec::new(), at: At::Start })
    }

    /// Where the first file's events start.
    pub fn start(&self) -> BinlogOffset {
        BinlogOffset::new(self.current.name(), FIRST_EVENT)
    }

    /// The version of the server that wrote the current file.
    pub fn server(&self) -> &str {
        self.current.server()
    }

    /// Goes to the next event; false at the end of the last file.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if self.at == At::Start {
                self.rotate = rotate_to(&self.start());
                self.at = At::Rotate;
                return Ok(true);
            }
            self.at = At::Event;
            if self.current.advance()? {
                return Ok(true);
            }
            let Some(next) = self.left.pop_front() else { return Ok(false) };
            let (before, flavor) = (self.start(), self.current.flavor());
            self.current = BinlogFile::open(&next)?;
            self.at = At::Start;
            let after = self.start();
            let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_owned());
            if after.file_number() != before.file_number() + 1
                || stem(&after.file) != stem(&before.file)
                || self.current.flavor() != flavor
            {
                return Err(Error::new(
                    ErrorKind::BinlogGap,
                    format!("{} does not follow {}", after.file, before.file),
                )
                .with_hint(
                    "name the files in their order, without a gap and under the names that the server gave them",
                ));
            }
        }
    }

    /// The event in hand.
    pub fn frame(&self) -> Result<Frame<'_>> {
        match self.at {
            At::Event => self.current.frame(),
            At::Start | At::Rotate => Ok(rotate_frame(&self.rotate)),
        }
    }
}
