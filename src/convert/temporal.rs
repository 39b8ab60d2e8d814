//! The source's dates and times in PostgreSQL's units.
//!
//! A date that does not exist is a [`Reason`]; a time of day that does not is a damaged value, since no server stores one.

use super::sanitize::Reason;
use crate::copy_format::{MICROS_PER_DAY, UNIX_DAYS, days_since_2000};
use crate::value::{Date, DateTime, Time};

/// 1970-01-01, which stands for a date that does not exist where NULL is not allowed.
pub(super) const SAFE_DATE: i32 = -UNIX_DAYS;

/// 1970-01-01 00:00:00.
pub(super) const SAFE_TIMESTAMP: i64 = SAFE_DATE as i64 * MICROS_PER_DAY;

/// 23:59:59, in microseconds since midnight.
pub(super) const LAST_SECOND: i64 = MICROS_PER_DAY - 1_000_000;

/// Days since 2000-01-01.
pub(super) fn date(date: Date) -> Result<i32, Reason> {
    days_since_2000(date.year, date.month, date.day).ok_or(if date == Date::default() {
        Reason::ZeroDate
    } else {
        Reason::InvalidDate
    })
}

/// Microseconds since 2000-01-01 00:00:00.
pub(super) fn datetime(value: &DateTime) -> Result<Result<i64, Reason>, &'static str> {
    if value.hour > 23 {
        return Err("no time of day");
    }
    let clock = clock(value.hour.into(), value.minute, value.second, value.micros)?;
    Ok(date(value.date).map(|days| i64::from(days) * MICROS_PER_DAY + clock))
}

/// Microseconds since 2000-01-01 00:00:00 UTC.
pub(super) fn timestamp(seconds: i64, micros: u32) -> Result<Result<i64, Reason>, &'static str> {
    // MySQL ends in January 2038, MariaDB with the unsigned 32 bits of 2106; before 1970 is none
    if !(0..=i64::from(u32::MAX)).contains(&seconds) || micros > 999_999 {
        return Err("no TIMESTAMP");
    }
    if (seconds, micros) == (0, 0) {
        return Ok(Err(Reason::ZeroDate));
    }
    Ok(Ok(seconds * 1_000_000 + i64::from(micros) + SAFE_TIMESTAMP))
}

/// Microseconds, of a negative span negative.
pub(super) fn time(value: &Time) -> Result<i64, &'static str> {
    if value.hours > 838 {
        return Err("no TIME");
    }
    let micros = clock(value.hours.into(), value.minutes, value.seconds, value.micros)?;
    Ok(if value.negative { -micros } else { micros })
}

fn clock(hours: i64, minutes: u8, seconds: u8, micros: u32) -> Result<i64, &'static str> {
    if minutes > 59 || seconds > 59 || micros > 999_999 {
        return Err("no time of day");
    }
    Ok(((hours * 60 + i64::from(minutes)) * 60 + i64::from(seconds)) * 1_000_000 + i64::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_count_from_2000() {
        let y2k = Date { year: 2000, month: 1, day: 1 };
        let noon = DateTime { date: y2k, hour: 12, micros: 5, ..DateTime::default() };
        assert_eq!(datetime(&noon), Ok(Ok(12 * 3_600_000_000 + 5)));
        assert_eq!(timestamp(946_684_800, 7), Ok(Ok(7)));
        assert_eq!(timestamp(0, 1), Ok(Ok(SAFE_TIMESTAMP + 1)));
        assert_eq!(timestamp(u32::MAX.into(), 0), Ok(Ok((i64::from(u32::MAX) - 946_684_800) * 1_000_000)));
        let last = DateTime {
            date: Date { year: 9999, month: 12, day: 31 },
            hour: 23,
            minute: 59,
            second: 59,
            micros: 999_999,
        };
        assert_eq!(datetime(&last), Ok(Ok(2_921_940 * MICROS_PER_DAY - 1)));
    }

    #[test]
    fn dates_that_do_not_exist() {
        let at = |year, month, day| date(Date { year, month, day });
        assert_eq!(at(0, 0, 0), Err(Reason::ZeroDate));
        for (year, month, day) in [(2023, 0, 15), (2023, 1, 0), (0, 1, 1), (2023, 2, 30)] {
            assert_eq!(at(year, month, day), Err(Reason::InvalidDate));
        }
        assert_eq!(datetime(&DateTime { hour: 12, ..DateTime::default() }), Ok(Err(Reason::ZeroDate)));
        assert_eq!(timestamp(0, 0), Ok(Err(Reason::ZeroDate)));
    }

    #[test]
    fn damaged_times() {
        assert!(timestamp(-1, 0).is_err() && timestamp(1 << 32, 0).is_err() && timestamp(1, 1_000_000).is_err());
        assert!(datetime(&DateTime { hour: 24, ..DateTime::default() }).is_err());
        assert!(time(&Time { minutes: 60, ..Time::default() }).is_err());
        assert!(time(&Time { hours: 839, ..Time::default() }).is_err());
    }

    #[test]
    fn spans_have_a_sign() {
        let span = Time { negative: true, hours: 838, minutes: 59, seconds: 59, micros: 1 };
        assert_eq!(time(&span), Ok(-(838 * 3_600_000_000 + 3_599_000_001)));
    }
}
