//! Fields that can say that they have no value: one number of their range stands for it.

use crate::field::Value;
use crate::price::Price;
use crate::wire::{Order, Wire};

/// A type that keeps one value for *none*.
pub trait Null: Wire + PartialEq {
    /// That value.
    const NULL: Self;
}

macro_rules! largest_is_null {
    ($($integer:ty),*) => { $(
        impl Null for $integer {
            const NULL: Self = <$integer>::MAX;
        }
    )* };
}

// CME's choice for all its optional fields, and that of SBE for unsigned ones.
largest_is_null!(i8, i32, u8, u16, u32, u64);

impl<const DECIMALS: u32> Null for Price<i64, DECIMALS> {
    const NULL: Self = Price(i64::MAX);
}

/// A field that may have no value: what is on the wire, [`Null::NULL`] too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrNull<T>(pub T);

impl<T: Null> OrNull<T> {
    /// No value.
    pub const NULL: Self = OrNull(T::NULL);

    /// Its value, when it has one.
    #[inline]
    pub fn get(self) -> Option<T> {
        (self.0 != T::NULL).then_some(self.0)
    }
}

impl<T: Null> Wire for OrNull<T> {
    const LEN: usize = T::LEN;

    #[inline(always)]
    fn read<O: Order>(bytes: &[u8]) -> Self {
        OrNull(T::read::<O>(bytes))
    }

    #[inline(always)]
    fn write<O: Order>(self, bytes: &mut [u8]) {
        self.0.write::<O>(bytes);
    }

    fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
        match Self::read::<O>(bytes).get() {
            Some(_) => T::value::<O>(bytes),
            None => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Little;

    #[test]
    fn the_largest_number_is_none() {
        let mut bytes = [0xff; 8];
        bytes[7] = 0x7f;
        let price = OrNull::<Price<i64, 9>>::read::<Little>(&bytes);
        assert_eq!((price, price.get()), (OrNull::NULL, None));
        assert_eq!(OrNull::<Price<i64, 9>>::value::<Little>(&bytes), Value::Null);
        assert_eq!(OrNull::<u8>::value::<Little>(&bytes), Value::Null);
        assert_eq!(OrNull::<i8>::value::<Little>(&bytes), Value::Signed(-1));
        OrNull(5_i32).write::<Little>(&mut bytes);
        assert_eq!(OrNull::<i32>::read::<Little>(&bytes).get(), Some(5));
    }
}
