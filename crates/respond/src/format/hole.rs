//! The places of an order that differ from one to the next, and how they are filled.

use super::client_order_id::client_order_id;
use crate::order::{Order, Scale};
use tickwire_frame::Reason;

/// A place of an order that is written for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Its first byte.
    pub at: usize,
    /// How many.
    pub width: usize,
    pub fill: Fill,
}

/// What a place is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// The symbol, padded with spaces on the right.
    Symbol,
    /// One byte each to buy, to sell, to sell short.
    Side([u8; 3]),
    /// The client order id.
    ClientOrderId,
    /// A number that is at most `max`.
    Number { of: Source, layout: Layout, max: u64 },
}

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The price, with that many decimals.
    Price { decimals: u32 },
    /// How many.
    Quantity,
    /// The number of the order.
    Order,
    /// When it was decided, in nanoseconds since 1970 UTC.
    Time,
}

/// How a number stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Binary, the least significant byte first.
    Little,
    /// Binary, the most significant byte first.
    Big,
    /// Digits, zeros before them, and a point before the decimals if there are any.
    Text { decimals: u32 },
}

impl Layout {
    /// The greatest number that fits into `width` bytes.
    pub fn max(self, width: usize) -> u64 {
        match self {
            Layout::Little | Layout::Big if width >= 8 => u64::MAX,
            Layout::Little | Layout::Big => (1 << (8 * width)) - 1,
            Layout::Text { decimals } => {
                let digits = width - usize::from(decimals > 0);
                10_u64.checked_pow(digits as u32).map_or(u64::MAX, |limit| limit - 1)
            }
        }
    }

    fn write(self, number: u64, place: &mut [u8]) {
        let width = place.len();
        match self {
            Layout::Little => place.copy_from_slice(&number.to_le_bytes()[..width]),
            Layout::Big => place.copy_from_slice(&number.to_be_bytes()[8 - width..]),
            Layout::Text { decimals } => write_text(number, decimals as usize, place),
        }
    }
}

fn write_text(mut number: u64, decimals: usize, place: &mut [u8]) {
    for (at, byte) in place.iter_mut().rev().enumerate() {
        if decimals > 0 && at == decimals {
            *byte = b'.';
        } else {
            *byte = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

/// What takes a price from the scale of the configuration to the decimals of a format.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rescale {
    Times(u64),
    Over(u64),
}

impl Rescale {
    pub fn new(from: Scale, decimals: u32) -> Self {
        // Both are at most nine: 10^9 fits.
        match from.0.checked_sub(decimals) {
            Some(more) => Rescale::Over(10_u64.pow(more.min(19))),
            None => Rescale::Times(10_u64.pow((decimals - from.0).min(19))),
        }
    }

    /// The price, when nothing is lost.
    #[inline]
    fn exactly(self, price: i64) -> Option<u64> {
        let price = u64::try_from(price).ok()?;
        match self {
            Rescale::Over(1) => Some(price),
            Rescale::Over(unit) => (price % unit == 0).then_some(price / unit),
            Rescale::Times(units) => price.checked_mul(units),
        }
    }
}

/// A hole as it is filled: what can be told when a configuration is loaded has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filler {
    at: usize,
    what: What,
}

/// Numbers of 4 and 8 bytes and symbols of 8 by themselves: nearly all are.
#[derive(Clone, Copy, Debug)]
enum What {
    Symbol,
    Side([u8; 3]),
    ClientOrderId,
    Number4 { of: Number, big: bool, max: u64 },
    Number8 { of: Number, big: bool, max: u64 },
    OtherSymbol { width: usize },
    OtherNumber { of: Number, layout: Layout, max: u64, width: usize },
    Rescaled { rescale: Rescale, layout: Layout, max: u64, width: usize },
}

/// Which of the [`numbers`] of an order.
#[derive(Clone, Copy, Debug)]
enum Number {
    Price,
    Quantity,
    Order,
    Time,
}

/// A price below zero is greater here than any `max` of one.
#[inline(always)]
pub(super) fn numbers(order: &Order) -> [u64; 4] {
    let (price, quantity) = (order.intent.price as u64, order.intent.quantity.into());
    [price, quantity, order.number, order.at_ns]
}

impl Filler {
    /// Of a hole, for orders whose prices have that `scale`.
    pub fn new(hole: &Hole, scale: Scale) -> Self {
        let Hole { at, width, fill } = *hole;
        let what = match fill {
            Fill::Symbol if width == 8 => What::Symbol,
            Fill::Symbol => What::OtherSymbol { width },
            Fill::Side(bytes) => What::Side(bytes),
            Fill::ClientOrderId => What::ClientOrderId,
            Fill::Number { of: Source::Price { decimals }, layout, max } => {
                match Rescale::new(scale, decimals) {
                    Rescale::Over(1) => {
                        What::number(Number::Price, layout, max.min(i64::MAX as u64), width)
                    }
                    rescale => What::Rescaled { rescale, layout, max, width },
                }
            }
            Fill::Number { of: Source::Quantity, layout, max } => {
                What::number(Number::Quantity, layout, max, width)
            }
            Fill::Number { of: Source::Order, layout, max } => {
                What::number(Number::Order, layout, max, width)
            }
            Fill::Number { of: Source::Time, layout, max } => {
                What::number(Number::Time, layout, max, width)
            }
        };
        Filler { at, what }
    }

    /// Writes its part of `order`, whose [`numbers`] these are, into `out`, which is as long as the
    /// format.
    #[inline(always)]
    pub fn write(&self, order: &Order, numbers: &[u64; 4], out: &mut [u8]) -> Result<(), Reason> {
        let out = &mut out[self.at..];
        match &self.what {
            What::Symbol => put(out, order.symbol),
            What::Side(bytes) => put(out, [bytes[order.intent.side as usize]]),
            What::ClientOrderId => put(out, client_order_id(order.number)),
            What::Number4 { of, big, max } => {
                let number = at_most(*max, numbers[*of as usize])? as u32;
                put(out, (if *big { number.swap_bytes() } else { number }).to_le_bytes());
            }
            What::Number8 { of, big, max } => {
                let number = at_most(*max, numbers[*of as usize])?;
                put(out, (if *big { number.swap_bytes() } else { number }).to_le_bytes());
            }
            What::OtherSymbol { width } => write_symbol(&order.symbol, &mut out[..*width])?,
            What::OtherNumber { of, layout, max, width } => {
                layout.write(at_most(*max, numbers[*of as usize])?, &mut out[..*width]);
            }
            What::Rescaled { rescale, layout, max, width } => {
                let price = rescale.exactly(order.intent.price).ok_or(Reason::NotRepresentable)?;
                layout.write(at_most(*max, price)?, &mut out[..*width]);
            }
        }
        Ok(())
    }
}

impl What {
    fn number(of: Number, layout: Layout, max: u64, width: usize) -> What {
        let big = layout == Layout::Big;
        match (layout, width) {
            (Layout::Little | Layout::Big, 4) => What::Number4 { of, big, max },
            (Layout::Little | Layout::Big, 8) => What::Number8 { of, big, max },
            _ => What::OtherNumber { of, layout, max, width },
        }
    }
}

#[inline(always)]
fn at_most(max: u64, number: u64) -> Result<u64, Reason> {
    if number <= max { Ok(number) } else { Err(Reason::NotRepresentable) }
}

/// Over the start of `out`, which is long enough.
#[inline(always)]
fn put<const N: usize>(out: &mut [u8], bytes: [u8; N]) {
    out[..N].copy_from_slice(&bytes);
}

/// A symbol into a place that is not as long as one.
fn write_symbol(symbol: &[u8; 8], place: &mut [u8]) -> Result<(), Reason> {
    let width = place.len().min(symbol.len());
    if symbol[width..].iter().any(|byte| *byte != b' ') {
        return Err(Reason::NotRepresentable);
    }
    place[..width].copy_from_slice(&symbol[..width]);
    place[width..].fill(b' ');
    Ok(())
}
