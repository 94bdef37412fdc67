//! The day that times since midnight belong to.

use std::path::Path;

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day(pub u32);

/// Years that files are of: nanoseconds since 1970 go as far as 2554.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2500;

impl Day {
    /// `None` for what is no day.
    fn new(year: u32, month: u32, day: u32) -> Option<Day> {
        let length = days_of(year, month).filter(|_| YEARS.contains(&year))?;
        if !(1..=length).contains(&day) {
            return None;
        }
        let leaps = |year: u32| year / 4 - year / 100 + year / 400;
        let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
        let before: u32 = (1..month).filter_map(|month| days_of(year, month)).sum();
        Some(Day(years + before + day - 1))
    }

    /// When it began, in nanoseconds since 1970, where clocks are ahead of UTC by
    /// `utc_offset_s` seconds.
    pub fn begin_ns(self, utc_offset_s: i64) -> u64 {
        let begin_s = i64::from(self.0) * 86_400 - utc_offset_s;
        u64::try_from(begin_s).unwrap_or(0) * 1_000_000_000
    }

    /// That in the name of a file: eight digits in a row, MMDDYYYY or YYYYMMDD.
    pub fn of_name(path: &Path) -> Option<Day> {
        let name = path.file_name()?.to_str()?;
        let runs = name.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() == 8);
        runs.filter_map(|run| {
            let part = |range: std::ops::Range<usize>| run[range].parse().ok();
            let nasdaq = Day::new(part(4..8)?, part(0..2)?, part(2..4)?);
            nasdaq.or(Day::new(part(0..4)?, part(4..6)?, part(6..8)?))
        })
        .next()
    }
}

/// How many days a month has; `None` for what is no month.
fn days_of(year: u32, month: u32) -> Option<u32> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => Some(if is_leap { 29 } else { 28 }),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// `2020-01-30`.
pub fn parse_day(text: &str) -> Result<Day, String> {
    const CURE: &str = "write year, month and day: 2020-01-30";
    let parts: Vec<Option<u32>> = text.split('-').map(|part| part.parse().ok()).collect();
    let &[Some(year), Some(month), Some(day)] = &parts[..] else { return Err(CURE.to_owned()) };
    Day::new(year, month, day).ok_or_else(|| match days_of(year, month) {
        Some(length) if YEARS.contains(&year) => {
            format!("{year}-{month:02} has the days 1 to {length}, not {day}")
        }
        Some(_) => format!("years are {} to {}; {CURE}", YEARS.start(), YEARS.end()),
        None => format!("there is no month {month}; {CURE}"),
    })
}

/// `-05:00`, `+1`, `0`: in seconds.
pub fn parse_utc_offset(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    match (hours.parse::<u8>(), minutes.parse::<u8>()) {
        (Ok(hours @ ..=14), Ok(minutes @ ..=59)) => {
            Ok(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
        }
        _ => Err("write hours, or hours and minutes: -05:00, +1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        assert_eq!(parse_day("1970-01-01"), Ok(Day(0)));
        assert_eq!(parse_day("2020-01-30"), Ok(Day(18_291)));
        assert_eq!(parse_day("2000-02-29"), Ok(Day(11_016)));
        assert_eq!(parse_day("2010-12-24").unwrap().begin_ns(-5 * 3600), 1_293_166_800_000_000_000);
        for text in ["", "2021-13-01", "21-1-1", "2021-1-1-1", "x", "2021-01", "2021-1-x"] {
            assert!(parse_day(text).unwrap_err().contains("2020-01-30"), "{text}");
        }
        let error = |text| parse_day(text).unwrap_err();
        assert_eq!(error("2026-02-30"), "2026-02 has the days 1 to 28, not 30");
        assert_eq!(error("2028-02-0"), "2028-02 has the days 1 to 29, not 0");
        assert!(error("2026-13-01").starts_with("there is no month 13;"));
        assert!(error("1969-12-31").starts_with("years are 1970 to 2500;"));
    }

    #[test]
    fn days_in_names() {
        let day = |name: &str| Day::of_name(Path::new(name));
        assert_eq!(day("data/01302020.NASDAQ_ITCH50.gz"), Some(Day(18_291)));
        assert_eq!(day("ex20101224.TEST_ITCH_50.binaryfile"), parse_day("2010-12-24").ok());
        assert_eq!(day("12345678.bin"), None);
        assert_eq!(day("20101224/day.bin"), None);
    }

    #[test]
    fn offsets() {
        let texts = ["0", "-05:00", "+1", "05:30"];
        assert_eq!(texts.map(|text| parse_utc_offset(text).unwrap()), [0, -18_000, 3_600, 19_800]);
        for text in ["", "-", "15", "1:60", "east", "+-1"] {
            assert!(parse_utc_offset(text).is_err(), "{text}");
        }
    }
}
