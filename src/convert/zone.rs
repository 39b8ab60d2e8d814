//! The time zone in which DATETIME is read, where it becomes `timestamptz`.
//!
//! Rules are those of the IANA database as bundled with the program, so that two machines agree. Every local time gives one
//! moment: one that a change of clocks left out is read with the offset before the change (so 02:30 of a night in
//! which 02:00 became 03:00 is 03:30), one that came twice is the first of the two.

use crate::copy_format::MICROS_PER_DAY;
use crate::error::{Error, ErrorKind, Result};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

/// A time zone.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Zone {
    /// The zone of an IANA name (`Asia/Jakarta`, `UTC`) or of a fixed offset (`+07:00`).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when there is none of that name.
    pub fn named(name: &str) -> Result<Self> {
        let rules = match fixed(name) {
            Some(offset) => Some(TimeZone::fixed(offset)),
            None => TimeZoneDatabase::bundled().get(name).ok(),
        };
        let unknown = || {
            Error::new(ErrorKind::Config, format!("[types] datetime_zone: no time zone is called {name}"))
                .with_hint("name one of the IANA database, like \"Asia/Jakarta\", or an offset, like \"+07:00\"")
        };
        Ok(Self { name: name.to_owned(), rules: rules.ok_or_else(unknown)? })
    }

    /// Its name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The moment of a local time, both in microseconds since 2000-01-01 00:00:00.
    pub(super) fn moment(&self, local: i64) -> i64 {
        let (day, micros) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
        // DATETIME's years are 1 to 9999, all of which jiff has
        let date = i32::try_from(day).ok().and_then(|day| EPOCH.checked_add(jiff::Span::new().days(day)).ok());
        let seconds = i32::try_from(micros / 1_000_000).unwrap_or(0);
        let time = civil::Time::constant(0, 0, 0, 0).wrapping_add(jiff::Span::new().seconds(seconds));
        let Some(date) = date else { return local };
        let offset = match self.rules.to_ambiguous_timestamp(date.to_datetime(time)).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        };
        local - i64::from(offset.seconds()) * 1_000_000
    }
}

const EPOCH: civil::Date = civil::Date::constant(2000, 1, 1);

/// `+07:00`
fn fixed(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let number = |text: &str| text.parse::<i32>().ok().filter(|_| text.len() == 2 && text.is_ascii());
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?);
    (hours < 15).then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::temporal::datetime;
    use super::*;
    use crate::value::{Date, DateTime};

    fn moment(zone: &str, date: (u16, u8, u8), time: (u8, u8, u8)) -> i64 {
        let date = Date { year: date.0, month: date.1, day: date.2 };
        let local = DateTime { date, hour: time.0, minute: time.1, second: time.2, micros: 5 };
        let local = datetime(&local).unwrap().unwrap();
        let moment = Zone::named(zone).unwrap().moment(local);
        assert_eq!(moment.rem_euclid(1_000_000), 5);
        (local - moment) / 1_000_000
    }

    #[test]
    fn offsets_are_those_of_the_place_and_day() {
        assert_eq!(moment("Asia/Jakarta", (2024, 5, 6), (7, 8, 9)), 7 * 3600);
        assert_eq!(moment("Europe/Berlin", (2024, 7, 1), (0, 0, 0)), 7200);
        assert_eq!(moment("Europe/Berlin", (2024, 1, 1), (0, 0, 0)), 3600);
        assert_eq!(moment("+07:00", (1, 1, 1), (0, 0, 0)), 7 * 3600);
        assert_eq!(moment("-03:30", (9999, 12, 31), (23, 59, 59)), -12_600);
        assert_eq!(moment("America/New_York", (9999, 12, 31), (23, 59, 59)), -5 * 3600);
    }

    #[test]
    fn times_left_out_or_doubled_have_one_moment() {
        // 2024-03-31, 02:00 became 03:00; 2024-10-27, 03:00 became 02:00
        assert_eq!(moment("Europe/Berlin", (2024, 3, 31), (2, 30, 0)), 3600);
        assert_eq!(moment("Europe/Berlin", (2024, 10, 27), (2, 30, 0)), 7200);
    }

    #[test]
    fn names_that_are_no_zone() {
        for name in ["", "Asia/Atlantis", "+7", "+07:60", "+99:00", "07:00", "+0é:00"] {
            assert_eq!(Zone::named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
        }
        assert_eq!(Zone::named("asia/jakarta").unwrap().name(), "asia/jakarta");
    }
}
