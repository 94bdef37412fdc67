//! Orders that may still be executed.

use super::{Memory, OPEN_ORDERS_MAX, ORDER_WORDS};
use crate::order::Side;
use crate::session::Resumed;
use crate::settings::Settings;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

/// An order that may still be executed. It is kept where its number says, so that it is found
/// without a search: numbers whose place is taken are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenOrder {
    pub(crate) number: u64,
    pub(crate) instrument: u32,
    pub(crate) target: u16,
    pub(crate) side: Side,
    /// Whether the target has said nothing of it yet.
    pub(crate) waits: bool,
    /// How many were ordered.
    pub(crate) quantity: u32,
    /// How many were executed.
    pub(crate) executed: u32,
    /// How many may still be executed.
    pub(crate) remaining: u32,
}

impl OpenOrder {
    /// Where it is kept.
    #[inline]
    pub(crate) fn place(number: u64) -> usize {
        number as usize % OPEN_ORDERS_MAX
    }

    /// Whether it sells.
    #[inline]
    pub(crate) fn sells(&self) -> bool {
        self.side != Side::Buy
    }

    pub(super) fn is_sound(&self, place: usize, next: u64, counts: &[usize; 3]) -> bool {
        Self::place(self.number) == place
            && self.number < next
            && self.remaining > 0
            && u64::from(self.executed) + u64::from(self.remaining) <= u64::from(self.quantity)
            && (self.instrument as usize) < counts[0]
            && usize::from(self.target) < counts[2]
    }
}

const SELLS: u64 = 1 << 48;
const SHORT: u64 = 1 << 49;
const WAITS: u64 = 1 << 50;

impl<'m> Memory<'m> {
    #[inline]
    fn order_words(&self, place: usize) -> &'m [AtomicU64] {
        let from = self.places.orders + place * ORDER_WORDS;
        &self.words[from..from + ORDER_WORDS]
    }

    /// Whether an order is kept at `place`.
    #[inline]
    pub(crate) fn is_taken(&self, place: usize) -> bool {
        self.order_words(place)[0].load(Relaxed) != 0
    }

    /// The order at `place`.
    pub(crate) fn open_order(&self, place: usize) -> Option<OpenOrder> {
        let words = self.order_words(place);
        let [number, state, whose, quantity] =
            [0, 1, 2, 3].map(|word: usize| words[word].load(Relaxed));
        let side = match (whose & SELLS != 0, whose & SHORT != 0) {
            (false, _) => Side::Buy,
            (true, false) => Side::Sell,
            (true, true) => Side::SellShort,
        };
        (number != 0).then_some(OpenOrder {
            number,
            instrument: whose as u32,
            target: (whose >> 32) as u16,
            side,
            waits: whose & WAITS != 0,
            quantity: quantity as u32,
            executed: (state >> 32) as u32,
            remaining: state as u32,
        })
    }

    /// Puts an order to `place`. The number comes last: an order is there whole or not at all,
    /// wherever the process is killed; and what changes of one that is there is a word.
    pub(crate) fn set_open(&self, place: usize, order: OpenOrder) {
        let words = self.order_words(place);
        let side = match order.side {
            Side::Buy => 0,
            Side::Sell => SELLS,
            Side::SellShort => SELLS | SHORT,
        };
        let whose = u64::from(order.instrument) | u64::from(order.target) << 32 | side;
        words[3].store(order.quantity.into(), Relaxed);
        words[2].store(whose | if order.waits { WAITS } else { 0 }, Relaxed);
        words[1].store(u64::from(order.remaining) | u64::from(order.executed) << 32, Relaxed);
        words[0].store(order.number, Release);
    }

    /// Forgets the order at `place`.
    pub(crate) fn close(&self, place: usize) {
        self.order_words(place)[0].store(0, Relaxed);
    }

    /// All of them, each with its place.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = (usize, OpenOrder)> + use<'m> {
        let memory = *self;
        (0..OPEN_ORDERS_MAX).filter_map(move |place| Some((place, memory.open_order(place)?)))
    }

    /// The orders of a target that were open when the process before ended, by their numbers: for
    /// [`Session::resume`](crate::Session::resume). `settings` are those of the memory.
    pub fn resumed(&self, target: u16, settings: &Settings) -> Vec<Resumed> {
        let of_target = self.open_orders().filter(|(_, order)| order.target == target);
        let mut orders: Vec<_> = of_target
            .map(|(_, order)| Resumed {
                number: order.number,
                symbol: settings.instruments[order.instrument as usize].symbol,
                side: order.side,
                quantity: order.quantity,
                executed: order.executed,
                left: order.remaining,
                is_answered: !order.waits,
            })
            .collect();
        orders.sort_unstable_by_key(|order| order.number);
        orders
    }
}
