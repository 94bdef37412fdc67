//! What a value in the text of a filter means to a field.

use crate::ast::Literal;
use tickwire_market::price::{self, Unreadable};
use tickwire_market::shape::{Kind, Shape};

/// A value as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// In units of the field: of its last decimal, of a nanosecond.
    Number(i128),
    /// Not padded.
    Text(Vec<u8>),
}

/// Nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The value for a field of that shape.
///
/// # Errors
/// Why it is none, and what would be.
pub(crate) fn bound(shape: &Shape, literal: &Literal) -> Result<Bound, String> {
    let text = literal.text.as_str();
    let number = match shape.kind {
        Kind::Text | Kind::Other => return characters(shape, text),
        Kind::Price { decimals, .. } => decimal(text, decimals)?,
        Kind::SinceMidnight if text.contains(':') => time_of_day(text)?,
        Kind::UnixTime if text.contains(['T', ':']) => date_and_time(text)?,
        Kind::SinceMidnight if literal.quoted => return Err(wrong_time(text)),
        Kind::UnixTime if literal.quoted => return Err(wrong_date(text)),
        _ => whole(text, shape)?,
    };
    Ok(Bound::Number(number))
}

/// Whether the field can hold it.
///
/// # Errors
/// What it can hold.
pub(crate) fn fits(shape: &Shape, bound: &Bound, text: &str) -> Result<(), String> {
    let (low, high) = shape.limits();
    match (bound, shape.kind) {
        (Bound::Number(number), _) if (low..=high).contains(number) => Ok(()),
        (Bound::Number(_), Kind::Price { decimals, .. }) => {
            let show = |raw: i128| tickwire_market::Value::Price { raw, decimals }.to_string();
            Err(format!("{text} does not fit; the field holds {} to {}", show(low), show(high)))
        }
        (Bound::Number(_), _) => {
            Err(format!("{text} does not fit; the field holds {low} to {high}"))
        }
        (Bound::Text(_), _) => Ok(()),
    }
}

fn characters(shape: &Shape, text: &str) -> Result<Bound, String> {
    let len = shape.len as usize;
    if text.len() > len {
        let characters = if len == 1 { "one character" } else { "characters" };
        let limit = if len == 1 { String::new() } else { format!("at most {len} ") };
        return Err(format!("'{text}' is too long: the field has {limit}{characters}"));
    }
    Ok(Bound::Text(text.as_bytes().to_vec()))
}

fn whole(text: &str, shape: &Shape) -> Result<i128, String> {
    let (negative, digits) = sign(text);
    let parsed = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => in_radix(&digits[2..], 16),
        [b'0', _, ..] => in_radix(digits, 8),
        _ => in_radix(digits, 10),
    };
    let number = parsed.ok_or_else(|| {
        let or = match shape.kind {
            Kind::SinceMidnight => ", in nanoseconds, or a time such as \"09:30:00\"",
            Kind::UnixTime => ", in nanoseconds, or a time such as \"2026-01-31T14:30:00Z\"",
            _ => "",
        };
        format!("'{text}' is no whole number; the field is one{or}")
    })?;
    Ok(if negative { -number } else { number })
}

/// What is beyond every field stays so, however long it is.
fn in_radix(digits: &str, radix: u32) -> Option<i128> {
    let are_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    are_digits.then(|| i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

fn sign(text: &str) -> (bool, &str) {
    text.strip_prefix('-').map_or((false, text), |digits| (true, digits))
}

/// `digits[.digits]` in units of the last of `decimals` decimals, exactly.
fn decimal(text: &str, decimals: u32) -> Result<i128, String> {
    price::parse(text, decimals).map_err(|error| match error {
        Unreadable::NotAPrice => format!("'{text}' is no price; write it such as 100 or 100.25"),
        Unreadable::Decimals(count) => {
            format!("{text} has {count} decimals; the field has {decimals}")
        }
    })
}

/// `HH:MM[:SS[.fraction]]` in nanoseconds since midnight.
fn time_of_day(text: &str) -> Result<i128, String> {
    time(text).ok_or_else(|| wrong_time(text))
}

fn wrong_time(text: &str) -> String {
    format!("'{text}' is no time of day; write it such as \"09:30:00\" or \"09:30:00.000000001\"")
}

fn time(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let hours = digits(parts.next()?, 2, 23)?;
    let minutes = digits(parts.next()?, 2, 59)?;
    let (seconds, fraction) = parts.next().map_or(Some(("00", "0")), |seconds| {
        Some(seconds.split_once('.').unwrap_or((seconds, "0")))
    })?;
    let seconds = digits(seconds, 2, 59)?;
    let rest = parts.next().is_some() || fraction.is_empty() || fraction.len() > 9;
    let nanos = digits(&format!("{fraction:0<9}"), 9, 999_999_999).filter(|_| !rest)?;
    Some(((hours * 60 + minutes) * 60 + seconds) * SECOND + nanos)
}

/// Exactly so many digits, and no more than `max`.
fn digits(text: &str, count: usize, max: i128) -> Option<i128> {
    let all = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| all && *value <= max)
}

/// `YYYY-MM-DDTHH:MM[:SS[.fraction]]Z` in nanoseconds since 1970.
fn date_and_time(text: &str) -> Result<i128, String> {
    let parse = || {
        let (date, clock) = text.strip_suffix('Z').unwrap_or(text).split_once('T')?;
        let mut parts = date.split('-');
        let year = digits(parts.next()?, 4, 9999)?;
        let month = digits(parts.next()?, 2, 12).filter(|month| *month > 0)?;
        let day = digits(parts.next()?, 2, days_of(year, month)).filter(|day| *day > 0)?;
        let days = days_since_1970(year, month, day);
        let midnight = parts.next().is_none().then_some(days * 86_400 * SECOND)?;
        Some(midnight + time(clock)?)
    };
    parse().ok_or_else(|| wrong_date(text))
}

fn wrong_date(text: &str) -> String {
    format!("'{text}' is no time; write it in UTC, such as \"2026-01-31T14:30:00.5Z\"")
}

fn days_of(year: i128, month: i128) -> i128 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i128::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// In the Gregorian calendar: years begin in March, so that a leap day ends one.
fn days_since_1970(year: i128, month: i128, day: i128) -> i128 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, len: u32, text: &str, quoted: bool) -> Result<Bound, String> {
        let literal = Literal { text: text.to_owned(), quoted, span: 0..0 };
        let shape = Shape { kind, len, little: false };
        let bound = bound(&shape, &literal)?;
        fits(&shape, &bound, text).map(|()| bound)
    }

    fn number(kind: Kind, len: u32, text: &str) -> i128 {
        match read(kind, len, text, false) {
            Ok(Bound::Number(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn prices_are_exact() {
        let price = Kind::Price { decimals: 4, signed: false };
        assert_eq!(number(price, 4, "100.5"), 1_005_000);
        assert_eq!(number(price, 4, "0.0001"), 1);
        assert_eq!(number(price, 4, "429496.7295"), u32::MAX.into());
        let signed = Kind::Price { decimals: 4, signed: true };
        assert_eq!(number(signed, 8, "-0.5"), -5_000);
        let error = |text| read(price, 4, text, false).unwrap_err();
        assert_eq!(error("1.00001"), "1.00001 has 5 decimals; the field has 4");
        assert!(error("429496.7296").contains("holds 0.0000 to 429496.7295"), "{}", error("9"));
        for text in ["", ".", "1.", ".5", "1e3", "1.2.3", "0x10", "-", "--1"] {
            assert!(error(text).contains("is no price"), "{text}");
        }
        assert!(error(&"9".repeat(30)).contains("does not fit"));
    }

    #[test]
    fn whole_numbers_are_those_of_the_language() {
        assert_eq!(number(Kind::Unsigned, 8, "18446744073709551615"), u64::MAX.into());
        assert_eq!(number(Kind::Unsigned, 2, "0xffff"), 0xffff);
        assert_eq!(number(Kind::Unsigned, 2, "010"), 8);
        assert_eq!(number(Kind::Signed, 1, "-128"), -128);
        assert_eq!(number(Kind::Unsigned, 8, "0xffffffffffffffff"), u64::MAX.into());
        for text in ["18446744073709551616", "0x10000000000000000", &"9".repeat(50)] {
            let error = read(Kind::Unsigned, 8, text, false).unwrap_err();
            let holds = "does not fit; the field holds 0 to 18446744073709551615";
            assert_eq!(error, format!("{text} {holds}"));
        }
        for text in ["65536", "-1", "1.5", "x", "08", ""] {
            assert!(read(Kind::Unsigned, 2, text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_of_the_day_or_of_the_calendar() {
        let nine_thirty = 34_200 * SECOND;
        assert_eq!(number(Kind::SinceMidnight, 6, "09:30:00"), nine_thirty);
        assert_eq!(number(Kind::SinceMidnight, 6, "09:30"), nine_thirty);
        assert_eq!(number(Kind::SinceMidnight, 6, "09:30:00.5"), nine_thirty + SECOND / 2);
        assert_eq!(number(Kind::SinceMidnight, 6, "1"), 1);
        let stamp = |text| number(Kind::UnixTime, 8, text);
        assert_eq!(stamp("1970-01-01T00:00:00Z"), 0);
        assert_eq!(stamp("2000-02-29T12:00Z"), 951_825_600 * SECOND);
        assert_eq!(stamp("2026-01-31T14:30:00.000000001Z"), 1_769_869_800 * SECOND + 1);
        for text in ["9:30", "24:00", "09:60", "09:30:00.", "09:30:00.0000000001", "1:2:3:4", ":"] {
            assert!(read(Kind::SinceMidnight, 6, text, true).is_err(), "{text}");
        }
        for text in ["2025-02-29T00:00", "2026-13-01T00:00", "2026-01-01", "T", "2026-1-1T1:1"] {
            assert!(read(Kind::UnixTime, 8, text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn text_fits_or_says_how_long_it_may_be() {
        assert_eq!(read(Kind::Text, 8, "AAPL", true), Ok(Bound::Text(b"AAPL".to_vec())));
        let error = read(Kind::Text, 8, "GOOGLEPLEX", true).unwrap_err();
        assert!(error.contains("at most 8 characters"), "{error}");
        let error = read(Kind::Text, 1, "AB", true).unwrap_err();
        assert!(error.contains("one character"), "{error}");
    }
}
