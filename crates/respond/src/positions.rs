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
        self.open[order.instrument as usize][usize::from(order.sells)] +=
            u64::from(order.remaining);
        self.open_orders += 1;
        self.in_flight += u32::from(order.waits);
    }

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
        if !self.acknowledges[target] {
            return Ok(next);
        }
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
            sells: intent.side != Side::Buy,
            waits: true,
            remaining: intent.quantity,
        };
        self.memory.set_open(OpenOrder::place(order.number), open);
        self.add(&open);
    }

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
        let after = match event.kind {
            EventKind::Accepted => {
                self.counts.repeated += u64::from(!order.waits);
                order.remaining
            }
            EventKind::Rejected(_) | EventKind::Unsent(_) => 0,
            EventKind::Executed { quantity, .. } => {
                let taken = self.take(&order, quantity);
                // First what is held: killed in between, it counts twice rather than not at all.
                self.execute(order.instrument as usize, order.sign() * i64::from(taken));
                order.remaining - taken
            }
            EventKind::Canceled { quantity } => order.remaining - self.take(&order, quantity),
        };
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
    fn change(&mut self, place: usize, order: &OpenOrder, remaining: u32) {
        self.in_flight -= u32::from(order.waits);
        let gone = u64::from(order.remaining - remaining);
        self.open[order.instrument as usize][usize::from(order.sells)] -= gone;
        if remaining == 0 {
            self.memory.close(place);
            self.open_orders -= 1;
        } else {
            self.memory.set_open(place, OpenOrder { waits: false, remaining, ..*order });
        }
    }

    /// Sets all positions to 0, and forgets what is open.
    pub(crate) fn flatten(&mut self) {
        self.memory.flatten();
        self.open.fill([0; 2]);
        (self.open_orders, self.in_flight) = (0, 0);
    }
}
