//! IEX: the transport [`tp`] with its [`gap_fill`] requests, and the feeds [`tops`] (best quotes),
//! [`deep`] (price levels) and [`deep_plus`] (orders).
//!
//! Little-endian. Each message begins with its type, a byte that most messages use for a state or
//! for flags, and the time of its event; symbols have 8 bytes, prices 4 decimals. Each feed has an
//! enum `Message` of its own; the messages that feeds share are declared once, in [`common`].

pub mod common;
pub mod deep;
pub mod deep_plus;
pub mod gap_fill;
pub mod tops;
pub mod tp;

use crate::field::Value;
use crate::wire::{Ascii, Order, Wire};

/// A symbol in Nasdaq Integrated symbology, padded with spaces on the right.
pub type Symbol = Ascii<8>;

/// A signed price with four decimals.
pub type Price = crate::Price<i64, 4>;

/// Declares a byte of flags: each bit named, the others kept as they are.
macro_rules! flags {
    (
        $(#[$meta:meta])*
        pub struct $flags:ident { $( $(#[$about:meta])* $bit:ident = $value:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $flags(pub u8);

        impl $flags {
            $( $(#[$about])* pub const $bit: Self = $flags($value); )*

            /// Whether all bits of `other` are set.
            #[inline]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $flags {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                $flags(self.0 | other.0)
            }
        }

        impl Wire for $flags {
            const LEN: usize = 1;

            #[inline(always)]
            fn read<O: Order>(bytes: &[u8]) -> Self {
                $flags(bytes[0])
            }

            #[inline(always)]
            fn write<O: Order>(self, bytes: &mut [u8]) {
                bytes[0] = self.0;
            }

            fn value<O: Order>(bytes: &[u8]) -> Value<'_> {
                Value::Unsigned(bytes[0].into())
            }
        }
    };
}

flags! {
    /// Flags of a [`SecurityDirectory`](common::SecurityDirectory) (appendix A).
    pub struct SecurityFlags {
        /// A test security, not real.
        TEST = 0x80,
        /// Traded when issued.
        WHEN_ISSUED = 0x40,
        /// An exchange traded product.
        ETP = 0x20,
    }
}

flags! {
    /// Flags of trades and their breaks (appendix A).
    pub struct SaleConditions {
        /// Of an intermarket sweep order.
        INTERMARKET_SWEEP = 0x80,
        /// Before or after regular market hours.
        EXTENDED_HOURS = 0x40,
        /// Less than a round lot.
        ODD_LOT = 0x20,
        /// Not subject to Rule 611 (trade-through).
        TRADE_THROUGH_EXEMPT = 0x10,
        /// Of an auction: all trade at one price.
        SINGLE_PRICE_CROSS = 0x08,
    }
}

flags! {
    /// Flags of a [`QuoteUpdate`](tops::QuoteUpdate) (appendix A).
    pub struct QuoteFlags {
        /// Halted, paused or otherwise not available for trading on IEX.
        NOT_AVAILABLE = 0x80,
        /// Before or after regular market hours.
        EXTENDED_HOURS = 0x40,
    }
}

flags! {
    /// Event flags of price level updates of [`deep`].
    pub struct EventFlags {
        /// The event is complete: the best bid and offer of the book hold now. While it is not,
        /// the book is between two states and must not be quoted.
        COMPLETE = 0x01,
    }
}

flags! {
    /// Flags of an [`OrderModify`](deep_plus::OrderModify).
    pub struct ModifyFlags {
        /// The order keeps its priority at its price.
        KEEPS_PRIORITY = 0x01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Little;

    #[test]
    fn flags_keep_bits_that_nobody_has_named() {
        let flags = SaleConditions::read::<Little>(&[0x51]);
        assert!(flags.has(SaleConditions::EXTENDED_HOURS | SaleConditions::TRADE_THROUGH_EXEMPT));
        assert!(!flags.has(SaleConditions::EXTENDED_HOURS | SaleConditions::ODD_LOT));
        let mut byte = [0];
        flags.write::<Little>(&mut byte);
        assert_eq!(
            (byte[0], SaleConditions::value::<Little>(&byte)),
            (0x51, Value::Unsigned(0x51))
        );
    }
}
