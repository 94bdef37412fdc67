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

    #[inline]
    fn write(self, number: u64, place: &mut [u8]) {
        match (self, place.len()) {
            (Layout::Little, 4) => place.copy_from_slice(&(number as u32).to_le_bytes()),
            (Layout::Little, 8) => place.copy_from_slice(&number.to_le_bytes()),
            (Layout::Little, width) => place.copy_from_slice(&number.to_le_bytes()[..width]),
            (Layout::Big, 4) => place.copy_from_slice(&(number as u32).to_be_bytes()),
            (Layout::Big, 8) => place.copy_from_slice(&number.to_be_bytes()),
            (Layout::Big, width) => place.copy_from_slice(&number.to_be_bytes()[8 - width..]),
            (Layout::Text { decimals }, _) => write_text(number, decimals as usize, place),
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

impl Hole {
    /// Writes its part of `order` into `out`, which is as long as the format.
    #[inline]
    pub(super) fn write(
        &self,
        order: &Order,
        rescale: Rescale,
        out: &mut [u8],
    ) -> Result<(), Reason> {
        let place = &mut out[self.at..self.at + self.width];
        match self.fill {
            Fill::Symbol => write_symbol(&order.symbol, place)?,
            Fill::Side(bytes) => place[0] = bytes[order.intent.side as usize],
            Fill::ClientOrderId => place.copy_from_slice(&client_order_id(order.number)),
            Fill::Number { of, layout, max } => {
                let number = match of {
                    Source::Price { .. } => rescale.exactly(order.intent.price),
                    Source::Quantity => Some(u64::from(order.intent.quantity)),
                    Source::Order => Some(order.number),
                    Source::Time => Some(order.at_ns),
                };
                let number = number.filter(|number| *number <= max);
                layout.write(number.ok_or(Reason::NotRepresentable)?, place);
            }
        }
        Ok(())
    }
}

fn write_symbol(symbol: &[u8; 8], place: &mut [u8]) -> Result<(), Reason> {
    if let Ok(place) = <&mut [u8; 8]>::try_from(&mut *place) {
        *place = *symbol;
        return Ok(());
    }
    let width = place.len().min(symbol.len());
    if symbol[width..].iter().any(|byte| *byte != b' ') {
        return Err(Reason::NotRepresentable);
    }
    place[..width].copy_from_slice(&symbol[..width]);
    place[width..].fill(b' ');
    Ok(())
}
