//! UTCTimestamp (FIX 4.4, volume 1, *Data Types*): `YYYYMMDD-HH:MM:SS.sss`.

const DAY_S: u64 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;
/// Days from March 1st of year 0 to 1970: years that begin in March end with their leap day.
const DAYS_TO_1970: u64 = 719_468;
/// Days of 400, 100, 4 years and of one without a leap day.
const DAYS_400: u64 = 146_097;
const DAYS_100: u64 = 36_524;
const DAYS_4: u64 = 1_461;
const DAYS_1: u64 = 365;

/// Bytes of a time with milliseconds.
pub(super) const TIME_BYTES: usize = 21;

/// Writes times. The date of a day is computed once.
#[derive(Clone, Debug)]
pub(super) struct TimeText {
    day: u64,
    text: [u8; TIME_BYTES],
}

impl TimeText {
    pub fn new() -> Self {
        TimeText { day: 0, text: *b"19700101-00:00:00.000" }
    }

    /// A time since 1970 UTC, without what is below a millisecond.
    #[inline]
    pub fn write(&mut self, now_ns: u64) -> &[u8; TIME_BYTES] {
        let (s, ms) = (now_ns / SECOND_NS, now_ns / 1_000_000 % 1000);
        let (day, s) = (s / DAY_S, (s % DAY_S) as u32);
        if day != self.day {
            self.day = day;
            let (year, month, day) = date(day);
            digits(&mut self.text[..4], year as u32);
            digits(&mut self.text[4..6], month as u32);
            digits(&mut self.text[6..8], day as u32);
        }
        digits(&mut self.text[9..11], s / 3600);
        digits(&mut self.text[12..14], s / 60 % 60);
        digits(&mut self.text[15..17], s % 60);
        digits(&mut self.text[18..21], ms as u32);
        &self.text
    }
}

#[inline]
fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970.
fn date(day: u64) -> (u64, u64, u64) {
    let days = day + DAYS_TO_1970;
    let (of_400, days) = (days / DAYS_400, days % DAYS_400);
    // The last of four centuries, and of four years, has a day more.
    let of_100 = (days / DAYS_100).min(3);
    let days = days - of_100 * DAYS_100;
    let (of_4, days) = (days / DAYS_4, days % DAYS_4);
    let of_1 = (days / DAYS_1).min(3);
    let days = days - of_1 * DAYS_1;
    let year = 400 * of_400 + 100 * of_100 + 4 * of_4 + of_1;
    // Five months from March or August on have 153 days.
    let month = (5 * days + 2) / 153;
    let day = days - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// A time of whole seconds or with decimals of one, in nanoseconds since 1970; `None` for what is
/// none, or before 1970.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let (whole, decimals) = text.split_at_checked(17)?;
    let [date @ .., b'-', h1, h2, b':', m1, m2, b':', s1, s2] = whole else { return None };
    let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..8])?);
    let (h, m, s) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    let exists = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    // A leap second is the 60th.
    if !exists || h > 23 || m > 59 || s > 60 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = DAYS_1 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let s = (days - DAYS_TO_1970) * DAY_S + h * 3600 + m * 60 + s;
    let ns = match decimals {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10_u64.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    s.checked_mul(SECOND_NS)?.checked_add(ns)
}

/// A number of digits alone, which are few.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        Some(number * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(now_ns: u64) -> String {
        String::from_utf8(TimeText::new().write(now_ns).to_vec()).unwrap()
    }

    #[test]
    fn times_are_written() {
        assert_eq!(text(0), "19700101-00:00:00.000");
        assert_eq!(text(951_782_399_999_999_999), "20000228-23:59:59.999");
        assert_eq!(text(951_782_400_000_000_000), "20000229-00:00:00.000");
        assert_eq!(text(1_795_253_400_012_345_678), "20261121-09:30:00.012");
        assert_eq!(text(u64::MAX), "25540721-23:34:33.709");
    }

    /// Every day from 1970 to 2500 follows the one before, as the calendar says.
    #[test]
    fn days_follow_each_other() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let mut times = TimeText::new();
        for number in 0..193_000 {
            let at_ns = number * DAY_S * SECOND_NS;
            let expected = format!("{year:04}{month:02}{day:02}-00:00:00.000");
            assert_eq!(times.write(at_ns), expected.as_bytes(), "day {number}");
            assert_eq!(parse(expected.as_bytes()), Some(at_ns));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let last = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            (year, month, day) = match (month, day == last) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
        assert_eq!(year, 2498);
    }

    #[test]
    fn times_are_read() {
        let ns = 1_795_253_400_000_000_000;
        assert_eq!(parse(b"20261121-09:30:00"), Some(ns));
        assert_eq!(parse(b"20261121-09:30:00.5"), Some(ns + 500_000_000));
        assert_eq!(parse(b"20261121-09:30:00.000000001"), Some(ns + 1));
        for text in [
            "",
            "20261121",
            "20261121 09:30:00",
            "20261121-09:30:00.",
            "20261121-09:30:00.1234567890",
            "20261121-24:30:00",
            "20261121-09:60:00",
            "20261321-09:30:00",
            "20261100-09:30:00",
            "19691231-23:59:59",
            "2026112x-09:30:00",
            "99991231-23:59:59",
            "20261121-09:30:0\u{1}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
