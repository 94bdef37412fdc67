//! What is held of each instrument, and what would be if all that is open were executed.

use crate::memory::{Memory, OPEN_ORDERS_MAX, OpenOrder};
use crate::order::{Event, EventKind, Order, Side};
use crate::settings::Settings;
use std::sync::atomic::Ordering::{Relaxed, Release};
use tickwire_frame::Reason;

/// What targets said that cannot be true: counted, and what of it can be true is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// All that was said of orders.
    pub events: u64,
    /// Of an order that is not open: unknown, or finished before.
    pub unknown: u64,
    /// Said again, or of no effect: accepted twice, executed or cancelled by 0.
    pub repeated: u64,
    /// Executed or cancelled by more than was open: the rest was taken.
    pub oversized: u64,
}

/// The position of an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bought less sold.
    pub net: i64,
    /// How many may still be bought.
    pub open_buy: u64,
    /// How many may still be sold.
    pub open_sell: u64,
}

/// Positions and open orders, both kept in [`Memory`].
#[derive(Debug)]
pub(crate) struct Positions<'m> {
    memory: Memory<'m>,
    acknowledges: Vec<bool>,
    /// Open to buy and to sell, of each instrument: the sum over the open orders.
    open: Vec<[u64; 2]>,
    open_orders: usize,
    in_flight: u32,
    counts: EventCounts,
}

impl<'m> Positions<'m> {
    pub(crate) fn new(settings: &Settings, memory: Memory<'m>) -> Self {
        let mut positions = Positions {
            memory,
            acknowledges: settings.targets.iter().map(|target| target.acknowledges).collect(),
            open: vec![[0; 2]; settings.instruments.len()],
            open_orders: 0,
            in_flight: 0,
            counts: EventCounts::default(),
        };
        for (_, order) in memory.open_orders() {
            positions.add(&order);
        }
        positions
    }

    fn add(&mut self, order: &OpenOrder) {
        self.open[order.instrument as usize][usize::from(order.sells())] +=
            u64::from(order.remaining);
        self.open_orders += 1;
        self.in_flight += u32::from(order.waits);
    }

    #[inline]
    pub(crate) fn position(&self, instrument: usize) -> Position {
        let net = self.memory.position(instrument).load(Relaxed) as i64;
        let [open_buy, open_sell] = self.open[instrument];
        Position { net, open_buy, open_sell }
    }

    /// Whether the position stays within `max` when all that is open on that side is executed, and
    /// `quantity` more. What makes a position smaller is allowed, however great it is.
    #[inline]
    pub(crate) fn allows(&self, instrument: usize, side: Side, quantity: u32, max: u64) -> bool {
        let Position { net, open_buy, open_sell } = self.position(instrument);
        let (held, open) = match side {
            Side::Buy => (i128::from(net), open_buy),
            Side::Sell | Side::SellShort => (-i128::from(net), open_sell),
        };
        held + i128::from(open) + i128::from(quantity) <= i128::from(max)
    }

    /// How many orders wait for the first answer of their target.
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn open_orders(&self) -> usize {
        self.open_orders
    }

    pub(crate) fn counts(&self) -> EventCounts {
        self.counts
    }

    #[inline]
    pub(crate) fn acknowledges(&self, target: usize) -> bool {
        self.acknowledges[target]
    }

    /// The number of the next order to a target: the first whose place is free.
    ///
    /// # Errors
    /// [`Reason::InFlightMax`] when as many are open as can be kept.
    #[inline]
    pub(crate) fn next_number(&self, target: usize) -> Result<u64, Reason> {
        let next = self.memory.next_number();
        if self.acknowledges[target] { self.free_number(next) } else { Ok(next) }
    }

    fn free_number(&self, next: u64) -> Result<u64, Reason> {
        let mut numbers = next..next + OPEN_ORDERS_MAX as u64;
        let is_free = |number: &u64| !self.memory.is_taken(OpenOrder::place(*number));
        numbers.find(is_free).ok_or(Reason::InFlightMax)
    }

    /// The order is about to leave. Its number is used up before anything else.
    #[inline]
    pub(crate) fn sent(&mut self, order: &Order) {
        self.memory.set_next_number(order.number + 1);
        let intent = &order.intent;
        let instrument = intent.instrument as usize;
        if !self.acknowledges[usize::from(intent.target)] {
            self.execute(instrument, intent.side.sign() * i64::from(intent.quantity));
            return;
        }
        let open = OpenOrder {
            number: order.number,
            instrument: intent.instrument,
            target: intent.target,
            side: intent.side,
            waits: true,
            quantity: intent.quantity,
            executed: 0,
            remaining: intent.quantity,
        };
        self.memory.set_open(OpenOrder::place(order.number), open);
        self.add(&open);
    }

    #[inline]
    fn execute(&self, instrument: usize, quantity: i64) {
        let net = self.memory.position(instrument);
        net.store((net.load(Relaxed) as i64).saturating_add(quantity) as u64, Release);
    }

    /// What a target said of an order; of which instrument it was, if it is open.
    pub(crate) fn event(&mut self, event: &Event) -> Option<u32> {
        self.counts.events += 1;
        let place = OpenOrder::place(event.number);
        let found = self.memory.open_order(place).filter(|order| order.number == event.number);
        let Some(order) = found else {
            self.counts.unknown += 1;
            return None;
        };
        let mut after = OpenOrder { waits: false, ..order };
        match event.kind {
            EventKind::Accepted => self.counts.repeated += u64::from(!order.waits),
            EventKind::Rejected(_) | EventKind::Unsent(_) => after.remaining = 0,
            EventKind::Executed { quantity, .. } => {
                let taken = self.take(&order, quantity);
                // First what is held: killed in between, it counts twice rather than not at all.
                self.execute(order.instrument as usize, order.side.sign() * i64::from(taken));
                after.executed += taken;
                after.remaining -= taken;
            }
            EventKind::Canceled { quantity } => after.remaining -= self.take(&order, quantity),
        }
        self.change(place, &order, after);
        Some(order.instrument)
    }

    /// How many of `quantity` can be true.
    fn take(&mut self, order: &OpenOrder, quantity: u32) -> u32 {
        self.counts.repeated += u64::from(quantity == 0);
        self.counts.oversized += u64::from(quantity > order.remaining);
        quantity.min(order.remaining)
    }

    /// The target said something: the order does not wait any more, and this remains of it.
    fn change(&mut self, place: usize, order: &OpenOrder, after: OpenOrder) {
        self.in_flight -= u32::from(order.waits);
        let gone = u64::from(order.remaining - after.remaining);
        self.open[order.instrument as usize][usize::from(order.sells())] -= gone;
        if after.remaining == 0 {
            self.memory.close(place);
            self.open_orders -= 1;
        } else {
            self.memory.set_open(place, after);
        }
    }

    /// Sets all positions to 0, and forgets what is open.
    pub(crate) fn flatten(&mut self) {
        self.memory.flatten();
        self.open.fill([0; 2]);
        (self.open_orders, self.in_flight) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Keys;
    use crate::order::Intent;
    use crate::settings::{TargetSettings, tests_instrument};
    use std::sync::atomic::AtomicU64;

    fn settings() -> Settings {
        let target =
            |acknowledges| TargetSettings { name: format!("{acknowledges}"), acknowledges };
        Settings {
            instruments: [*b"A       ", *b"B       "].map(tests_instrument).to_vec(),
            targets: vec![target(false), target(true)],
            ..Settings::default()
        }
    }

    fn with_positions(test: impl FnOnce(&mut Positions<'_>)) {
        let settings = settings();
        let keys = Keys::of(&settings);
        let words: Vec<_> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
        test(&mut Positions::new(&settings, Memory::create(&words, &keys)));
    }

    fn send(positions: &mut Positions<'_>, target: u16, side: Side, quantity: u32) -> u64 {
        let number = positions.next_number(target.into()).unwrap();
        let intent = Intent { rule: 0, instrument: 1, target, side, price: 1, quantity };
        positions.sent(&Order { intent, symbol: [0; 8], number, at_ns: 0 });
        number
    }

    fn executed(quantity: u32) -> EventKind {
        EventKind::Executed { quantity, price: 1 }
    }

    /// Net, open to buy and to sell, open orders and those in flight.
    fn state(positions: &Positions<'_>) -> (i64, u64, u64, usize, u32) {
        let Position { net, open_buy, open_sell } = positions.position(1);
        (net, open_buy, open_sell, positions.open_orders(), positions.in_flight())
    }

    #[test]
    fn orders_are_followed_from_sent_to_done() {
        with_positions(|positions| {
            let event = |positions: &mut Positions<'_>, number, kind| {
                positions.event(&Event { number, kind })
            };
            let buy = send(positions, 1, Side::Buy, 100);
            let sell = send(positions, 1, Side::SellShort, 40);
            assert_eq!(state(positions), (0, 100, 40, 2, 2));
            assert_eq!(event(positions, buy, EventKind::Accepted), Some(1));
            assert_eq!(state(positions), (0, 100, 40, 2, 1));
            event(positions, buy, executed(30));
            // Executed before it was accepted: that was its first answer.
            event(positions, sell, executed(10));
            assert_eq!(state(positions), (20, 70, 30, 2, 0));
            event(positions, buy, EventKind::Canceled { quantity: 60 });
            event(positions, sell, EventKind::Rejected(7));
            assert_eq!(state(positions), (20, 10, 0, 1, 0));
            event(positions, buy, executed(10));
            assert_eq!(state(positions), (30, 0, 0, 0, 0));
            let unsent = send(positions, 1, Side::Buy, 5);
            event(positions, unsent, EventKind::Unsent(Reason::NotConnected));
            assert_eq!(state(positions), (30, 0, 0, 0, 0));
            assert_eq!(positions.counts(), EventCounts { events: 7, ..EventCounts::default() });
        });
    }

    #[test]
    fn what_cannot_be_true_is_counted_and_corrupts_nothing() {
        with_positions(|positions| {
            let number = send(positions, 1, Side::Buy, 10);
            let say = |positions: &mut Positions<'_>, number, kind| {
                positions.event(&Event { number, kind });
            };
            for other in [0, number + 1, number + OPEN_ORDERS_MAX as u64, u64::MAX] {
                say(positions, other, executed(1));
            }
            assert_eq!((positions.counts().unknown, state(positions)), (4, (0, 10, 0, 1, 1)));
            say(positions, number, EventKind::Accepted);
            say(positions, number, EventKind::Accepted);
            say(positions, number, executed(0));
            assert_eq!((positions.counts().repeated, state(positions)), (2, (0, 10, 0, 1, 0)));
            say(positions, number, executed(u32::MAX));
            assert_eq!((positions.counts().oversized, state(positions)), (1, (10, 0, 0, 0, 0)));
            say(positions, number, executed(10));
            assert_eq!((positions.counts().unknown, positions.counts().events), (5, 9));
            let number = send(positions, 1, Side::Buy, 10);
            say(positions, number, EventKind::Canceled { quantity: 11 });
            assert_eq!((positions.counts().oversized, state(positions)), (2, (10, 0, 0, 0, 0)));
        });
    }

    #[test]
    fn targets_without_answers_execute_at_once() {
        with_positions(|positions| {
            let number = send(positions, 0, Side::Buy, 7);
            send(positions, 0, Side::Sell, 10);
            assert_eq!(state(positions), (-3, 0, 0, 0, 0));
            assert_eq!(positions.event(&Event { number, kind: executed(7) }), None);
            positions.flatten();
            assert_eq!(state(positions), (0, 0, 0, 0, 0));
        });
    }

    #[test]
    fn numbers_pass_over_what_is_open_and_end_where_all_are() {
        with_positions(|positions| {
            let first = send(positions, 1, Side::Buy, 1);
            for _ in 1..OPEN_ORDERS_MAX - 1 {
                let number = send(positions, 1, Side::Buy, 1);
                positions.event(&Event { number, kind: executed(1) });
            }
            send(positions, 1, Side::Buy, 1);
            // Where the first one is kept, it still is.
            assert_eq!(positions.next_number(1), Ok(first + OPEN_ORDERS_MAX as u64 + 1));
            assert_eq!(positions.next_number(0), Ok(first + OPEN_ORDERS_MAX as u64));
            for _ in 2..OPEN_ORDERS_MAX {
                send(positions, 1, Side::Buy, 1);
            }
            assert_eq!(positions.open_orders(), OPEN_ORDERS_MAX);
            assert_eq!(positions.next_number(1), Err(Reason::InFlightMax));
            positions.event(&Event { number: first, kind: EventKind::Rejected(0) });
            let next = positions.next_number(1).unwrap();
            assert_eq!(OpenOrder::place(next), OpenOrder::place(first));
        });
    }

    #[test]
    fn nothing_overflows() {
        with_positions(|positions| {
            positions.memory.position(1).store(i64::MAX as u64, Relaxed);
            assert!(!positions.allows(1, Side::Buy, 1, i64::MAX as u64));
            assert!(positions.allows(1, Side::Buy, 1, u64::MAX));
            assert!(positions.allows(1, Side::Sell, u32::MAX, 0));
            send(positions, 0, Side::Buy, u32::MAX);
            assert_eq!(positions.position(1).net, i64::MAX);
            positions.memory.position(1).store(i64::MIN as u64, Relaxed);
            assert!(!positions.allows(1, Side::Sell, 1, i64::MAX as u64));
            send(positions, 0, Side::Sell, u32::MAX);
            assert_eq!(positions.position(1).net, i64::MIN);
        });
    }
}
