//! The proleptic Gregorian calendar, counted from PostgreSQL's epoch.

/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's dates and timestamps count from.
pub const UNIX_DAYS: i32 = 10_957;

/// Days since 2000-01-01 of a date of the years 1…9999; `None` when the calendar has no such day.
#[must_use]
pub fn days_since_2000(year: u16, month: u8, day: u8) -> Option<i32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    // years start in March, so that the leap day is the last of its year
    // (Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil)
    let year = i32::from(year) - i32::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i32::from(month) + 9) % 12) + 2) / 5 + i32::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468 - UNIX_DAYS)
}

/// Year, month and day of a number of days since 1970-01-01, of the years 1970…9999.
#[must_use]
pub fn civil_of_unix_days(days: i64) -> (u16, u8, u8) {
    // Hinnant, as above: civil_from_days
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u16, month as u8, day as u8)
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert_eq!(days_since_2000(2000, 1, 1), Some(0));
        assert_eq!(days_since_2000(1970, 1, 1), Some(-UNIX_DAYS));
        assert_eq!(days_since_2000(1, 1, 1), Some(-730_119));
        assert_eq!(days_since_2000(9999, 12, 31), Some(2_921_939));
        assert_eq!(days_since_2000(2000, 2, 29), Some(59));
        assert_eq!(days_since_2000(2024, 2, 29).zip(days_since_2000(2024, 3, 1)), Some((8825, 8826)));
        for (year, month, day) in
            [(1900, 2, 29), (2023, 2, 29), (2023, 4, 31), (0, 1, 1), (2023, 0, 1), (2023, 1, 0), (2023, 13, 1)]
        {
            assert_eq!(days_since_2000(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = -730_119;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_since_2000(year, month, day), Some(expected));
                    if year >= 1970 {
                        assert_eq!(civil_of_unix_days(i64::from(expected + UNIX_DAYS)), (year, month, day));
                    }
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, 2_921_940);
    }
}
