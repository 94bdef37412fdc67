//! NanoNet market data and orders, as a kernel module that answers trades speaks them: one message
//! of fixed length alone in a datagram, without a type and without a sequence number.
//!
//! Little-endian in its module, big-endian in its generator, so the order of bytes is a setting:
//! the same two messages are in [`little`], the default, and in [`big`]. Prices are in cents.

use crate::wire::{Ascii, NulText};

/// A price in cents.
pub type Cents = crate::Price<u32, 2>;

/// The port that orders go to.
pub const ORDER_PORT: u16 = 9999;

/// The symbol: ASCII, padded with spaces on the right.
pub type Symbol = Ascii<8>;

/// Side of an order: to buy.
pub const BUY: u8 = 0;

/// Side of an order: to sell.
pub const SELL: u8 = 1;

/// Declares both messages for one order of bytes.
macro_rules! nanonet {
    ($order:ident, $market_data:literal, $nanonet_order:literal) => {
        message! {
            $order, $market_data;
            /// What a symbol trades for: 24 bytes.
            pub struct MarketData, MarketDataBuilder: 24 {
                /// The symbol.
                symbol @ 0: Symbol,
                /// The price, in cents.
                price @ 8: Cents,
                /// How many.
                quantity @ 12: u32,
                /// When, in nanoseconds of the sender's clock.
                timestamp @ 16: u64,
            }
        }

        message! {
            $order, $nanonet_order;
            /// An order: 41 bytes, packed.
            pub struct Order, OrderBuilder: 41 {
                /// The symbol.
                symbol @ 0: Symbol,
                /// The limit, in cents.
                price @ 8: Cents,
                /// How many.
                quantity @ 12: u32,
                /// [`BUY`] or [`SELL`].
                side @ 16: u8,
                /// When, in nanoseconds of the sender's clock.
                timestamp @ 17: u64,
                /// What the sender calls it: ASCII, ended by NUL, so at most 15 bytes.
                client_order_id @ 25: NulText<16>,
            }
        }
    };
}

/// The messages with the least significant byte first: the default.
pub mod little {
    use super::*;
    nanonet!(Little, "NanoNet market data", "NanoNet order");
}

/// The messages with the most significant byte first, as NanoNet's own generator sends them.
pub mod big {
    use super::*;
    nanonet!(Big, "NanoNet market data, big-endian", "NanoNet order, big-endian");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Price};

    macro_rules! round_trip {
        ($order:ident, $data:expr, $order_bytes:expr) => {
            let data = $order::MarketDataBuilder::new()
                .symbol(Ascii::new("AAPL").unwrap())
                .price(Price(9_999))
                .quantity(258)
                .timestamp(0x0102_0304_0506_0708);
            assert_eq!(data.as_bytes(), $data);
            let view = $order::MarketData::parse($data).unwrap();
            assert_eq!((view.to_builder(), view.price().to_string()), (data, "99.99".into()));
            let order = $order::OrderBuilder::new()
                .symbol(Ascii::new("AAPL").unwrap())
                .price(Price(10_000))
                .quantity(100)
                .side(SELL)
                .timestamp(1)
                .client_order_id(NulText::new("ORD-1").unwrap());
            assert_eq!(order.as_bytes(), $order_bytes);
            let view = $order::Order::parse($order_bytes).unwrap();
            assert_eq!((view.to_builder(), view.side()), (order, SELL));
            assert_eq!(view.client_order_id().to_string(), "ORD-1");
            for len in 0..41 {
                let error = $order::Order::parse(&$order_bytes[..len]).unwrap_err();
                assert_eq!(error.reason(), "truncated");
            }
            for available in 0..24 {
                let what = $order::MarketData::NAME;
                let error = Error::Truncated { what, needed: 24, available };
                assert_eq!($order::MarketData::parse(&$data[..available]), Err(error));
            }
        };
    }

    #[test]
    fn messages_of_either_order_are_written_and_read() {
        round_trip!(
            little,
            b"AAPL    \x0f\x27\0\0\x02\x01\0\0\x08\x07\x06\x05\x04\x03\x02\x01",
            b"AAPL    \x10\x27\0\0\x64\0\0\0\x01\x01\0\0\0\0\0\0\0ORD-1\0\0\0\0\0\0\0\0\0\0\0"
        );
        round_trip!(
            big,
            b"AAPL    \0\0\x27\x0f\0\0\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08",
            b"AAPL    \0\0\x27\x10\0\0\0\x64\x01\0\0\0\0\0\0\0\x01ORD-1\0\0\0\0\0\0\0\0\0\0\0"
        );
    }
}
