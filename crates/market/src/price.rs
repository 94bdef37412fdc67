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
