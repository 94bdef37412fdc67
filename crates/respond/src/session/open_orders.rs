//! The orders of a session that are not done: what makes an answer believable.

use crate::order::{Event, EventKind};
use std::collections::VecDeque;
use tickwire_frame::Reason;

/// The most orders that a session follows at a time.
pub const OPEN_ORDERS_MAX: usize = 1 << 16;

/// An order that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenOrder {
    /// Our number of it.
    pub number: u64,
    /// The session's own number of it, which grows with every order; 0 where there is none.
    pub reference: u32,
    /// How many are neither executed nor gone.
    pub left: u32,
    /// How many of these the process before knew to be executed or gone: what the exchange says of
    /// them again is no news.
    pub booked: u32,
    /// Whether the exchange said anything of it.
    pub is_answered: bool,
    /// The number of the exchange's next message when it was sent: nothing is said of it before.
    pub mark: u64,
    /// On which connection it was sent: they are counted from 1; 0: the process before sent it.
    pub connection: u64,
    /// The byte of that connection that ended it.
    pub end: u64,
    /// Whether a cancel followed it.
    pub is_canceling: bool,
}

impl OpenOrder {
    /// Whether the process before sent it.
    #[inline]
    pub fn is_resumed(&self) -> bool {
        self.connection == 0
    }
}

/// How much of what an exchange said of an order can be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// All.
    All,
    /// It is about more than what was left: about what was left, then.
    Part,
    /// Nothing: there is no such order, it was said before, or it is about no shares.
    None,
}

/// They are in the order they were sent in, which is that of their numbers: answers concern mostly
/// the first, so that finding one and taking it out is cheap. Never allocates once made.
#[derive(Debug)]
pub(super) struct OpenOrders(VecDeque<OpenOrder>);

impl OpenOrders {
    pub fn new() -> Self {
        OpenOrders(VecDeque::with_capacity(OPEN_ORDERS_MAX))
    }

    /// Adds an order.
    ///
    /// # Errors
    /// [`Reason::InFlightMax`] beyond [`OPEN_ORDERS_MAX`]; [`Reason::DuplicateTrigger`] when its
    /// number is not above those before.
    #[inline]
    pub fn push(&mut self, order: OpenOrder) -> Result<(), Reason> {
        self.room_for(order.number)?;
        self.0.push_back(order);
        Ok(())
    }

    /// Whether an order of that number can be added.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub fn room_for(&self, number: u64) -> Result<(), Reason> {
        if self.0.len() >= OPEN_ORDERS_MAX {
            return Err(Reason::InFlightMax);
        }
        match self.0.back() {
            Some(last) if last.number >= number => Err(Reason::DuplicateTrigger),
            _ => Ok(()),
        }
    }

    pub fn by_number(&mut self, number: u64) -> Option<&mut OpenOrder> {
        let at = self.0.binary_search_by_key(&number, |order| order.number).ok()?;
        self.0.get_mut(at)
    }

    pub fn by_reference(&mut self, reference: u32) -> Option<&mut OpenOrder> {
        // Those of the process before come first; what is known of their references has holes: 0.
        if reference == 0 {
            return None;
        }
        let at = self.0.partition_point(|order| order.is_resumed() || order.reference < reference);
        let is_it = |order: &OpenOrder| order.reference == reference;
        if self.0.get(at).is_some_and(is_it) {
            return self.0.get_mut(at);
        }
        self.0.iter_mut().take_while(|order| order.is_resumed()).find(|order| is_it(order))
    }

    /// Orders of the process before, by growing numbers; nothing else is there yet.
    pub fn resume(&mut self, orders: impl Iterator<Item = OpenOrder>) {
        self.0.extend(orders);
    }

    /// Whether some are of the process before.
    #[inline]
    pub fn has_resumed(&self) -> bool {
        self.0.front().is_some_and(OpenOrder::is_resumed)
    }

    /// The exchange says by what reference it knows an order of the process before.
    pub fn learn(&mut self, number: u64, reference: u32) {
        let order = self.by_number(number).filter(|order| order.is_resumed());
        if let Some(order) = order.filter(|order| order.reference == 0) {
            order.reference = reference;
        }
    }

    /// The exchange said something of an order: gives it to `event` as far as it can be true.
    pub fn answer(&mut self, number: u64, kind: EventKind, event: &mut dyn FnMut(Event)) -> Belief {
        let Some(order) = self.by_number(number) else { return Belief::None };
        let (mut kind, left) = (kind, order.left);
        let gone = match &mut kind {
            // The process before has been told so.
            EventKind::Accepted if order.is_answered && order.is_resumed() => return Belief::All,
            EventKind::Accepted if order.is_answered => return Belief::None,
            EventKind::Accepted => 0,
            EventKind::Rejected(_) | EventKind::Unsent(_) => left,
            EventKind::Executed { quantity, .. } | EventKind::Canceled { quantity } => {
                std::mem::replace(quantity, left.min(*quantity))
            }
        };
        if gone == 0 && kind != EventKind::Accepted {
            return Belief::None;
        }
        order.is_answered = true;
        order.left = left.saturating_sub(gone);
        let is_news = match &mut kind {
            EventKind::Executed { quantity, .. } | EventKind::Canceled { quantity } => {
                let booked = order.booked.min(*quantity);
                (order.booked, *quantity) = (order.booked - booked, *quantity - booked);
                *quantity > 0
            }
            _ => true,
        };
        if order.left == 0 {
            self.remove(number);
        }
        if is_news {
            event(Event { number, kind });
        }
        if gone > left { Belief::Part } else { Belief::All }
    }

    fn remove(&mut self, number: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&number, |order| order.number) {
            self.0.remove(at);
        }
    }

    /// Takes out those that never arrived, and says so of each.
    pub fn unsent(
        &mut self,
        event: &mut dyn FnMut(Event),
        mut never_arrived: impl FnMut(&OpenOrder) -> bool,
    ) {
        self.0.retain(|order| {
            let gone = never_arrived(order);
            if gone {
                let kind = EventKind::Unsent(Reason::NotConnected);
                event(Event { number: order.number, kind });
            }
            !gone
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = &OpenOrder> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenOrder> {
        self.0.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u64) -> OpenOrder {
        OpenOrder {
            number,
            reference: number as u32 / 2,
            left: 1,
            booked: 0,
            is_answered: false,
            mark: 1,
            connection: 1,
            end: number,
            is_canceling: false,
        }
    }

    #[test]
    fn orders_are_found_and_taken_out() {
        let mut open = OpenOrders::new();
        for number in [2, 4, 8, 10] {
            open.push(order(number)).unwrap();
        }
        assert_eq!(open.push(order(10)), Err(Reason::DuplicateTrigger));
        assert_eq!(open.by_number(3), None);
        assert_eq!(open.by_number(8).unwrap().number, 8);
        assert_eq!(open.by_reference(2).unwrap().number, 4);
        let mut events = Vec::new();
        let rejected = EventKind::Rejected(7);
        assert_eq!(open.answer(4, rejected, &mut |event| events.push(event)), Belief::All);
        assert_eq!(open.answer(4, rejected, &mut |event| events.push(event)), Belief::None);
        assert_eq!(events, [Event { number: 4, kind: rejected }]);
        assert_eq!(open.by_reference(2), None);
        let mut gone = Vec::new();
        open.unsent(&mut |event| gone.push(event.number), |order| order.end > 2);
        assert_eq!(gone, [8, 10]);
        assert_eq!(open.iter().map(|order| order.number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_cannot_be_true_is_not_believed() {
        let mut open = OpenOrders::new();
        open.push(OpenOrder { left: 100, ..order(1) }).unwrap();
        let mut events = Vec::new();
        let mut answer = |kind| open.answer(1, kind, &mut |event| events.push(event.kind));
        let executed = |quantity| EventKind::Executed { quantity, price: 5 };
        assert_eq!(answer(EventKind::Accepted), Belief::All);
        assert_eq!(answer(EventKind::Accepted), Belief::None);
        assert_eq!(answer(executed(0)), Belief::None);
        assert_eq!(answer(executed(60)), Belief::All);
        assert_eq!(answer(EventKind::Canceled { quantity: 41 }), Belief::Part);
        assert_eq!(answer(executed(1)), Belief::None);
        let canceled = EventKind::Canceled { quantity: 40 };
        assert_eq!(events, [EventKind::Accepted, executed(60), canceled]);
    }

    #[test]
    fn what_the_process_before_has_booked_is_no_news() {
        let mut open = OpenOrders::new();
        let resumed = |number, left, booked, is_answered| {
            let connection = 0;
            OpenOrder { left, booked, is_answered, connection, reference: 0, ..order(number) }
        };
        let two = [resumed(2, 100, 60, true), resumed(4, 10, 0, false)];
        open.resume(two.into_iter());
        open.push(OpenOrder { reference: 9, ..order(6) }).unwrap();
        for (number, reference) in [(4, 7), (6, 8), (5, 1)] {
            open.learn(number, reference);
        }
        let found = [0, 7, 8, 9].map(|one| open.by_reference(one).map(|order| order.number));
        assert_eq!(found, [None, Some(4), None, Some(6)]);
        let mut events = Vec::new();
        let mut answer = |kind| open.answer(2, kind, &mut |event| events.push(event.kind));
        let executed = |quantity| EventKind::Executed { quantity, price: 5 };
        assert_eq!(answer(EventKind::Accepted), Belief::All);
        assert_eq!(answer(executed(50)), Belief::All);
        assert_eq!(answer(executed(30)), Belief::All);
        assert_eq!(answer(EventKind::Canceled { quantity: 20 }), Belief::All);
        assert_eq!(answer(executed(1)), Belief::None);
        assert_eq!(events, [executed(20), EventKind::Canceled { quantity: 20 }]);
    }

    #[test]
    fn the_limit_is_exact() {
        let mut open = OpenOrders::new();
        for number in 1..=OPEN_ORDERS_MAX as u64 {
            open.push(order(number)).unwrap();
        }
        assert_eq!(open.push(order(u64::MAX)), Err(Reason::InFlightMax));
        open.answer(7, EventKind::Rejected(0), &mut |_| {});
        assert_eq!(open.push(order(u64::MAX)), Ok(()));
    }
}
