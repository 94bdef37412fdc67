//! Fixed-point prices, exact: an integer and, as part of the type, its number of decimals.

use crate::field::Value;
use crate::wire::{Order, Wire};
use std::fmt;

/// A price of `raw × 10^-DECIMALS`. Prices of one type compare and add as integers; none is ever a
/// floating-point number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price<T, const DECIMALS: u32>(pub T);

/// Nasdaq's Price (4): four bytes, four decimals.
pub type Price4 = Price<u32, 4>;

/// Nasdaq's Price (8): eight bytes, eight decimals.
pub type Price8 = Price<u64, 8>;

/// All decimals, always: `63.0200`.
impl<T: Copy + Into<i128>, const DECIMALS: u32> fmt::Display for Price<T, DECIMALS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_price(f, self.0.into(), DECIMALS)
    }
}

impl<T: Copy + Into<i128>, const DECIMALS: u32> fmt::Debug for Price<T, DECIMALS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes `raw × 10^-decimals` with all its decimals.
pub(crate) fn write_price(f: &mut fmt::Formatter<'_>, raw: i128, decimals: u32) -> fmt::Result {
    let sign = if raw < 0 { "-" } else { "" };
    let (scale, raw) = (10_u128.pow(decimals), raw.unsigned_abs());
    write!(f, "{sign}{}", raw / scale)?;
    match decimals {
        0 => Ok(()),
        _ => write!(f, ".{:0width$}", raw % scale, width = decimals as usize),
    }
}

/// Why a text is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not `digits` or `digits.digits`, with or without a minus sign, or has too many digits.
    NotAPrice,
    /// It has this many decimals, which is more than were asked for.
    Decimals(usize),
}

/// Digits before the point, at most: more than any field holds.
const DIGITS_MAX: usize = 30;

/// `digits[.digits]` in units of the last of `decimals` decimals, exactly.
///
/// # Errors
/// [`Unreadable`]. What has more decimals is never rounded.
pub fn parse(text: &str, decimals: u32) -> Result<i128, Unreadable> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let empty = whole.is_empty() || digits.ends_with('.');
    if empty || !are_digits(whole) || !are_digits(fraction) || whole.len() > DIGITS_MAX {
        return Err(Unreadable::NotAPrice);
    }
    if fraction.len() > decimals as usize {
        return Err(Unreadable::Decimals(fraction.len()));
    }
    let zeros = "0".repeat(decimals as usize - fraction.len());
    let raw: i128 = format!("{whole}{fraction}{zeros}").parse().unwrap_or(i128::MAX);
    Ok(if negative { -raw } else { raw })
}

impl<T: Wire + Into<i128>, const DECIMALS: u32> Wire for Price<T, DECIMALS> {
    const LEN: usize = T::LEN;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        Price(T::read::<O>(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        self.0.write::<O>(bytes);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        Value::Price { raw: T::read::<O>(bytes).into(), decimals: DECIMALS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Big;

    #[test]
    fn prices_are_read_exactly_or_not_at_all() {
        assert_eq!(parse("100.5", 4), Ok(1_005_000));
        assert_eq!((parse("-0.0001", 4), parse("7", 0)), (Ok(-1), Ok(7)));
        assert_eq!(parse("1.00000", 4), Err(Unreadable::Decimals(5)));
        assert_eq!(parse(&"9".repeat(29), 9), Ok(10_i128.pow(38) - 10_i128.pow(9)));
        for text in ["", "-", ".", "1.", ".5", "1e3", "1.2.3", "0x10", "--1", &"9".repeat(31)] {
            assert_eq!(parse(text, 4), Err(Unreadable::NotAPrice), "{text}");
        }
    }

    #[test]
    fn all_decimals_are_shown() {
        assert_eq!(Price::<u32, 4>(630_200).to_string(), "63.0200");
        assert_eq!(Price::<u32, 4>(5).to_string(), "0.0005");
        assert_eq!(Price::<i64, 4>(-5).to_string(), "-0.0005");
        assert_eq!(Price::<u64, 8>(u64::MAX).to_string(), "184467440737.09551615");
        assert_eq!(Price::<i64, 4>(i64::MIN).to_string(), "-922337203685477.5808");
        assert_eq!(Price::<u16, 0>(7).to_string(), "7");
        assert_eq!(Price4::read::<Big>(&[0x77, 0x35, 0x94, 0]).to_string(), "200000.0000");
    }
}
