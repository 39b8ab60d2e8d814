//! Places in a source's log as people name them: `now`, `FILE:POS`, or a GTID set.

use crate::error::{Error, ErrorKind, Result};
use crate::position::{BinlogOffset, GtidSet, Position};
use crate::schema::Flavor;
use std::str::FromStr;

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Where the source writes at the moment.
    Now,
    /// Binlog file and offset.
    Offset(BinlogOffset),
    /// Behind the transactions of a set, in the dialect of the server, which is not known yet.
    Gtid(String),
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("now") {
            return Ok(Self::Now);
        }
        // a GTID may end in a colon and digits too, but no part of it has a dot
        if let Some((file, offset)) = text.rsplit_once(':')
            && file.rsplit_once('.').is_some_and(|(_, number)| number.parse::<u64>().is_ok())
            && let Ok(offset) = offset.parse()
        {
            return Ok(Self::Offset(BinlogOffset::new(file, offset)));
        }
        let known = [Flavor::MySql, Flavor::MariaDb].into_iter().any(|flavor| gtid_set(text, flavor).is_ok());
        if known && text.contains(|c: char| c.is_ascii_digit()) {
            return Ok(Self::Gtid(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Usage, format!("no place in a binlog: {text:?}"))
            .with_hint("write now, a file and an offset like binlog.000042:1234, or a GTID set"))
    }
}

fn gtid_set(text: &str, flavor: Flavor) -> Result<GtidSet> {
    match flavor {
        Flavor::MySql => text.parse().map(GtidSet::MySql),
        Flavor::MariaDb => text.parse().map(GtidSet::MariaDb),
    }
}

impl Place {
    /// The set of this server's dialect.
    pub(super) fn gtid(text: &str, flavor: Flavor) -> Result<GtidSet> {
        gtid_set(text, flavor).map_err(|_| {
            let (name, like) = match flavor {
                Flavor::MySql => ("MySQL", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"),
                Flavor::MariaDb => ("MariaDB", "0-1-100"),
            };
            Error::new(ErrorKind::Usage, format!("the source is {name}, and {text:?} is no GTID set of it"))
                .with_hint(format!("write it like {like}"))
        })
    }

    /// As the end of a stream that starts at `from`; `Now` means nothing where there is no server.
    pub(super) fn in_log(&self, flavor: Flavor, from: &Position) -> Result<Until> {
        match self {
            Self::Now => Err(Error::new(ErrorKind::Usage, "files have no now: they are read to their end")
                .with_hint("leave --until out, or name FILE:POS")),
            Self::Offset(at) => Ok(Until::Offset(at.clone())),
            Self::Gtid(_) if from.gtid.is_none() => {
                Err(Error::new(ErrorKind::Usage, "a stream that starts at FILE:POS does not know the GTIDs before it")
                    .with_hint("name the end by FILE:POS too, or the start by a GTID set or now"))
            }
            Self::Gtid(text) => Ok(Until::Gtid(Self::gtid(text, flavor)?)),
        }
    }
}

/// Where a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Until {
    Offset(BinlogOffset),
    Gtid(GtidSet),
}

impl Until {
    /// Whether everything up to there has been read. By offset it is the first end of a transaction at or behind it.
    pub fn is_reached(&self, position: &Position) -> bool {
        match self {
            Self::Offset(at) => position.binlog >= *at,
            Self::Gtid(set) => position.gtid.as_ref().is_some_and(|read| read.contains(set)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let place = |text: &str| text.parse::<Place>().map_err(|error| error.kind());
        assert_eq!(place("now"), Ok(Place::Now));
        assert_eq!(place("my-log.000042:1234"), Ok(Place::Offset(BinlogOffset::new("my-log.000042", 1234))));
        for gtid in ["0-1-100", "0-1-100,3-2-7", "3e11fa47-71ca-11e1-9e33-c80aa9429562:5"] {
            assert_eq!(place(gtid), Ok(Place::Gtid(gtid.into())));
        }
        for bad in ["", "later", "binlog.000042", "binlog:4", "binlog.000042:x", ","] {
            assert_eq!(place(bad), Err(ErrorKind::Usage), "{bad}");
        }
    }

    #[test]
    fn an_end_is_reached_at_or_behind_it() {
        let from = |gtid: Option<&str>| Position {
            binlog: BinlogOffset::new("b.000002", 500),
            gtid: gtid.map(|set| GtidSet::MariaDb(set.parse().unwrap())),
        };
        let until = |text: &str, from: &Position| text.parse::<Place>().unwrap().in_log(Flavor::MariaDb, from);
        let (plain, named) = (from(None), from(Some("0-1-7")));
        for (text, reached) in [("b.000001:9999", true), ("b.000002:500", true), ("b.000002:501", false)] {
            assert_eq!(until(text, &plain).unwrap().is_reached(&plain), reached, "{text}");
        }
        for (text, reached) in [("0-1-7", true), ("0-1-8", false), ("1-1-1", false)] {
            assert_eq!(until(text, &named).unwrap().is_reached(&named), reached, "{text}");
        }
        assert!(until("0-1-7", &plain).is_err() && until("now", &plain).is_err());
    }
}
