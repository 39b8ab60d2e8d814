//! Dates and times of the binlog, both generations.
//!
//! The second generation (`DATETIME2`, `TIME2`, `TIMESTAMP2`) is big-endian, biased to sort as bytes, with 0…3 bytes of
//! fraction (`sql-common/my_time.cc`); the first is little-endian decimal numbers without a fraction. `None` means that
//! the bytes end or that no server writes such a value; zero and partial dates are values.

use super::reader::Reader;
use crate::value::{Date, DateTime, Time, ValueRef};

/// Bytes of a fraction of `fsp` digits.
fn fraction_bytes(fsp: u8) -> usize {
    usize::from(fsp.min(6)).div_ceil(2)
}

/// Microseconds per unit of a fraction of that many bytes.
const UNIT: [u32; 4] = [0, 10_000, 100, 1];

fn fraction(reader: &mut Reader<'_>, fsp: u8) -> Option<u32> {
    let bytes = fraction_bytes(fsp);
    let micros = (reader.uint_be(bytes)? as u32).checked_mul(UNIT[bytes])?;
    (micros < 1_000_000).then_some(micros)
}

/// DATE and NEWDATE: 5 bits of day, 4 of month, 15 of year.
pub(super) fn date(reader: &mut Reader<'_>) -> Option<Date> {
    let packed = reader.uint(3)?;
    checked_date(packed >> 9, packed >> 5 & 15, packed & 31)
}

fn checked_date(year: u64, month: u64, day: u64) -> Option<Date> {
    (year <= 9999 && month <= 12 && day <= 31).then_some(Date { year: year as u16, month: month as u8, day: day as u8 })
}

fn checked_datetime(date: Date, hour: u64, minute: u64, second: u64, micros: u32) -> Option<DateTime> {
    (hour <= 23 && minute <= 59 && second <= 59).then_some(DateTime {
        date,
        hour: hour as u8,
        minute: minute as u8,
        second: second as u8,
        micros,
    })
}

fn checked_time(negative: bool, hours: u64, minutes: u64, seconds: u64, micros: u32) -> Option<Time> {
    (hours <= 838 && minutes <= 59 && seconds <= 59).then_some(Time {
        negative,
        hours: hours as u16,
        minutes: minutes as u8,
        seconds: seconds as u8,
        micros,
    })
}

/// DATETIME2.
pub(super) fn datetime2(reader: &mut Reader<'_>, fsp: u8) -> Option<DateTime> {
    let packed = reader.uint_be(5)?.checked_sub(1 << 39)?;
    unpack_datetime(packed, fraction(reader, fsp)?)
}

/// 17 bits of time of day below 13 months × 32 days.
fn unpack_datetime(packed: u64, micros: u32) -> Option<DateTime> {
    let (ymd, hms) = (packed >> 17, packed & 0x1_FFFF);
    let date = checked_date((ymd >> 5) / 13, (ymd >> 5) % 13, ymd & 31)?;
    checked_datetime(date, hms >> 12, hms >> 6 & 63, hms & 63, micros)
}

/// First-generation DATETIME: YYYYMMDDHHMMSS as a number.
pub(super) fn datetime1(reader: &mut Reader<'_>) -> Option<DateTime> {
    let number = reader.u64()?;
    let (ymd, hms) = (number / 1_000_000, number % 1_000_000);
    let date = checked_date(ymd / 10_000, ymd / 100 % 100, ymd % 100)?;
    checked_datetime(date, hms / 10_000, hms / 100 % 100, hms % 100, 0)
}

/// TIME2: the whole value with its fraction is one biased number, so negative fractions stand reversed.
pub(super) fn time2(reader: &mut Reader<'_>, fsp: u8) -> Option<Time> {
    let bytes = fraction_bytes(fsp);
    let stored = reader.uint_be(3 + bytes)?;
    let value = stored as i64 - (1 << (23 + 8 * bytes));
    let (seconds, fraction) = (value.unsigned_abs() >> (8 * bytes), value.unsigned_abs() & ((1 << (8 * bytes)) - 1));
    unpack_time(value < 0, seconds, (fraction as u32).checked_mul(UNIT[bytes])?)
}

/// 10 bits of hours, 6 of minutes, 6 of seconds.
fn unpack_time(negative: bool, packed: u64, micros: u32) -> Option<Time> {
    (micros < 1_000_000).then_some(())?;
    checked_time(negative, packed >> 12, packed >> 6 & 63, packed & 63, micros)
}

/// First-generation TIME: HHMMSS as a signed number.
pub(super) fn time1(reader: &mut Reader<'_>) -> Option<Time> {
    let number = ((reader.uint(3)? as i64) << 40) >> 40; // sign of 24 bits
    let hms = number.unsigned_abs();
    checked_time(number < 0, hms / 10_000, hms / 100 % 100, hms % 100, 0)
}

/// TIMESTAMP2: seconds since 1970, unsigned (MariaDB 11.5 goes beyond 2038).
pub(super) fn timestamp2<'a>(reader: &mut Reader<'_>, fsp: u8) -> Option<ValueRef<'a>> {
    let seconds = i64::from(u32::from_be_bytes(reader.array()?));
    Some(ValueRef::Timestamp { seconds, micros: fraction(reader, fsp)? })
}

/// First-generation TIMESTAMP.
pub(super) fn timestamp1<'a>(reader: &mut Reader<'_>) -> Option<ValueRef<'a>> {
    Some(ValueRef::Timestamp { seconds: i64::from(reader.u32()?), micros: 0 })
}

/// A datetime packed into 64 bits, as inside JSON (`TIME_from_longlong_datetime_packed`).
pub(super) fn datetime_packed(packed: i64) -> Option<DateTime> {
    let packed = u64::try_from(packed).ok()?;
    let micros = (packed & 0xFF_FFFF) as u32;
    (micros < 1_000_000).then_some(())?;
    unpack_datetime(packed >> 24, micros)
}

/// A time packed into 64 bits, as inside JSON (`TIME_from_longlong_time_packed`).
pub(super) fn time_packed(packed: i64) -> Option<Time> {
    let value = packed.unsigned_abs();
    unpack_time(packed < 0, value >> 24, (value & 0xFF_FFFF) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `my_time_packed_to_binary` of MySQL, which reverses negative fractions its own way.
    fn encode_time2(time: Time, fsp: u8) -> Vec<u8> {
        let hms = i64::from(time.hours) << 12 | i64::from(time.minutes) << 6 | i64::from(time.seconds);
        let packed = (hms << 24) + i64::from(time.micros);
        let packed = if time.negative { -packed } else { packed };
        let whole = packed >> 24;
        let micros = packed % (1 << 24);
        match fsp {
            0 => (0x80_0000 + whole).to_be_bytes()[5..].to_vec(),
            1 | 2 => [&(0x80_0000 + whole).to_be_bytes()[5..], &[(micros / 10_000) as u8]].concat(),
            3 | 4 => [&(0x80_0000 + whole).to_be_bytes()[5..], &((micros / 100) as i16).to_be_bytes()].concat(),
            _ => (packed + 0x8000_0000_0000).to_be_bytes()[2..].to_vec(),
        }
    }

    #[test]
    fn zero_and_partial_dates_are_values() {
        assert_eq!(date(&mut Reader::new(&[0, 0, 0])), Some(Date::default()));
        let partial = (2023_u32 << 9 | 15).to_le_bytes();
        assert_eq!(date(&mut Reader::new(&partial)), Some(Date { year: 2023, month: 0, day: 15 }));
        assert_eq!(date(&mut Reader::new(&[0xFF; 3])), None);
        assert_eq!(datetime2(&mut Reader::new(&[0x80, 0, 0, 0, 0]), 0), Some(DateTime::default()));
        assert_eq!(datetime2(&mut Reader::new(&[0; 5]), 0), None);
    }

    #[test]
    fn the_first_generation() {
        let bytes = 20_240_229_235_958_u64.to_le_bytes();
        let expected =
            DateTime { date: Date { year: 2024, month: 2, day: 29 }, hour: 23, minute: 59, second: 58, micros: 0 };
        assert_eq!(datetime1(&mut Reader::new(&bytes)), Some(expected));
        let bytes = (-8_385_959_i32).to_le_bytes();
        let expected = Time { negative: true, hours: 838, minutes: 59, seconds: 59, micros: 0 };
        assert_eq!(time1(&mut Reader::new(&bytes[..3])), Some(expected));
    }

    proptest! {
        #[test]
        fn every_time_comes_back(
            negative in any::<bool>(), hours in 0..=838u16, minutes in 0..60u8, seconds in 0..60u8,
            micros in prop_oneof![Just(0), 0..1_000_000u32], fsp in 0..=6u8,
        ) {
            let unit = [1_000_000, 10_000, 100, 1][fraction_bytes(fsp)];
            let micros = micros / unit * unit;
            let some = hours > 0 || minutes > 0 || seconds > 0 || micros > 0;
            let time = Time { negative: negative && some, hours, minutes, seconds, micros };
            let bytes = encode_time2(time, fsp);
            prop_assert_eq!(time2(&mut Reader::new(&bytes), fsp), Some(time));
            for end in 0..bytes.len() {
                prop_assert_eq!(time2(&mut Reader::new(&bytes[..end]), fsp), None);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9), fsp in any::<u8>(), packed in any::<i64>()) {
            let _ = (date(&mut Reader::new(&bytes)), datetime1(&mut Reader::new(&bytes)), time1(&mut Reader::new(&bytes)));
            let _ = (datetime2(&mut Reader::new(&bytes), fsp), time2(&mut Reader::new(&bytes), fsp));
            let _ = (timestamp2(&mut Reader::new(&bytes), fsp), timestamp1(&mut Reader::new(&bytes)));
            let _ = (datetime_packed(packed), time_packed(packed));
        }
    }
}
