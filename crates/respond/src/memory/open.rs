//! Orders that may still be executed.

use super::{Memory, OPEN_ORDERS_MAX, ORDER_WORDS};
use crate::order::Side;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

/// An order that may still be executed. It is kept where its number says, so that it is found
/// without a search: numbers whose place is taken are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenOrder {
    pub(crate) number: u64,
    pub(crate) instrument: u32,
    pub(crate) target: u16,
    /// Whether it sells.
    pub(crate) sells: bool,
    /// Whether the target has said nothing of it yet.
    pub(crate) waits: bool,
    /// How many may still be executed.
    pub(crate) remaining: u32,
}

impl OpenOrder {
    /// Where it is kept.
    #[inline]
    pub(crate) fn place(number: u64) -> usize {
        number as usize % OPEN_ORDERS_MAX
    }

    /// +1 or -1, as [`Side::sign`].
    #[inline]
    pub(crate) fn sign(&self) -> i64 {
        if self.sells { Side::Sell.sign() } else { Side::Buy.sign() }
    }

    pub(super) fn is_sound(&self, place: usize, next: u64, counts: &[usize; 3]) -> bool {
        Self::place(self.number) == place
            && self.number < next
            && self.remaining > 0
            && (self.instrument as usize) < counts[0]
            && usize::from(self.target) < counts[2]
    }
}

const SELLS: u64 = 1 << 32;
const WAITS: u64 = 1 << 33;

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
        let [number, state, whose] = [0, 1, 2].map(|word: usize| words[word].load(Relaxed));
        (number != 0).then_some(OpenOrder {
            number,
            instrument: whose as u32,
            target: (whose >> 32) as u16,
            sells: state & SELLS != 0,
            waits: state & WAITS != 0,
            remaining: state as u32,
        })
    }

    /// Puts an order to `place`. The number comes last: an order is there whole or not at all,
    /// wherever the process is killed.
    pub(crate) fn set_open(&self, place: usize, order: OpenOrder) {
        let words = self.order_words(place);
        let state = u64::from(order.remaining)
            | if order.sells { SELLS } else { 0 }
            | if order.waits { WAITS } else { 0 };
        words[2].store(u64::from(order.instrument) | u64::from(order.target) << 32, Relaxed);
        words[1].store(state, Relaxed);
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
}
