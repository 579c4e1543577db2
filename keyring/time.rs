// SPDX-License-Identifier: GPL-2.0

//! Time in certificates (RFC 5280 section 4.1.2.5).

use super::der::{
    tag,
    Malformed,
    Reader,
    Result, //
};

/// Reads a Time: UTCTime through 2049, GeneralizedTime from 2050, both in Greenwich Mean Time and to
/// the second. Returns seconds since the epoch.
///
/// # Errors
///
/// [`Malformed`] for any other form, for a date that does not exist, and for a year before 1970 (the
/// kernel's own parser reads neither).
pub(super) fn read(reader: &mut Reader<'_>) -> Result<i64> {
    let time = reader.any()?;
    let mut digits = Digits(time.value);
    let year = match time.tag {
        tag::UTC_TIME => match digits.pair()? {
            year @ 0..=49 => 2000 + u16::from(year),
            year => 1900 + u16::from(year),
        },
        tag::GENERALIZED_TIME => u16::from(digits.pair()?) * 100 + u16::from(digits.pair()?),
        _ => return Err(Malformed),
    };
    if year < 1970 || (time.tag == tag::GENERALIZED_TIME && year < 2050) {
        return Err(Malformed);
    }
    let month = digits.pair()?;
    let day = digits.pair()?;
    let (hour, minute, second) = (digits.pair()?, digits.pair()?, digits.pair()?);
    if digits.0 != b"Z" || hour > 23 || minute > 59 || second > 59 {
        return Err(Malformed);
    }
    let days = days_since_epoch(year, month, day).ok_or(Malformed)?;
    Ok(i64::from(days) * 86_400
        + i64::from(hour) * 3_600
        + i64::from(minute) * 60
        + i64::from(second))
}

/// What is left of a text of decimal digits.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// Reads two digits: 0 to 99.
    fn pair(&mut self) -> Result<u8> {
        match self.0 {
            [tens @ b'0'..=b'9', units @ b'0'..=b'9', rest @ ..] => {
                self.0 = rest;
                Ok((tens - b'0') * 10 + (units - b'0'))
            }
            _ => Err(Malformed),
        }
    }
}

/// Days from 1 January 1970 to a date of the Gregorian calendar; [`None`] if there is no such date.
fn days_since_epoch(year: u16, month: u8, day: u8) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // Days of the year before the month, in a year without 29 February, and days of the month.
    let (before, length) = match month {
        1 => (0, 31),
        2 => (31, if leap { 29 } else { 28 }),
        3 => (59, 31),
        4 => (90, 30),
        5 => (120, 31),
        6 => (151, 30),
        7 => (181, 31),
        8 => (212, 31),
        9 => (243, 30),
        10 => (273, 31),
        11 => (304, 30),
        12 => (334, 31),
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    let year = i32::from(year);
    // 29 February of this year, and of the years before: those since year 1, less the 477 before 1970.
    let leap_day = i32::from(leap && month > 2);
    let leap_days = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
    Some((year - 1970) * 365 + leap_days + leap_day + before + i32::from(day) - 1)
}
