//! What the exchange says of orders, and what follows from what it does not say.

use super::{SoupSession, State, is_uncertain, write_cancel};
use crate::order::{Event, EventKind};
use crate::session::open_orders::{Belief, OpenOrder};
use crate::session::ouch::{Key, Report, Version};
use tickwire_frame::Reason;

impl SoupSession {
    pub(super) fn message(&mut self, number: u64, message: &[u8], event: &mut dyn FnMut(Event)) {
        let is_repeated = number < self.handled_before;
        if is_repeated {
            // What is older than the login is still coming.
            self.logged_in_ns = 0;
        }
        match self.version.report(message, self.scale) {
            Err(_) => self.counts.unreadable += 1,
            Ok(Report::Accepted { key, quantity, is_dead }) => {
                let left = self.find(key).map_or(0, |order| order.left);
                if left > 0 && quantity > left {
                    self.counts.too_many_shares += 1;
                }
                let gone = if is_dead { left } else { left.saturating_sub(quantity) };
                let is_believed = self.answer(key, EventKind::Accepted, is_repeated, event);
                if is_believed && gone > 0 {
                    let kind = EventKind::Canceled { quantity: gone };
                    self.answer(key, kind, is_repeated, event);
                }
            }
            Ok(Report::Order { key, kind }) => {
                self.answer(key, kind, is_repeated, event);
            }
            Ok(Report::NextReference(next)) => self.next_reference(next, event),
            Ok(Report::Correction) => self.counts.corrections += u64::from(!is_repeated),
            Ok(Report::Other) => {}
        }
    }

    fn find(&mut self, key: Key) -> Option<&mut OpenOrder> {
        match key {
            Key::Number(number) => self.open.by_number(number),
            Key::Reference(reference, number) => {
                if let Some(number) = number.filter(|_| self.open.has_resumed()) {
                    self.open.learn(number, reference);
                }
                self.open.by_reference(reference)
            }
            Key::Foreign => None,
        }
    }

    /// Whether there was something to believe.
    fn answer(
        &mut self,
        key: Key,
        kind: EventKind,
        is_repeated: bool,
        event: &mut dyn FnMut(Event),
    ) -> bool {
        let order = self.find(key).map(|order| (order.number, order.connection));
        let Some((number, connection)) = order else {
            // The process before has seen it done.
            self.counts.unknown_orders += u64::from(!is_repeated);
            return false;
        };
        let belief = self.open.answer(number, kind, event);
        match belief {
            Belief::All => {}
            Belief::Part => self.counts.too_many_shares += 1,
            Belief::None => self.counts.unknown_orders += 1,
        }
        if belief != Belief::None && connection == self.connection {
            self.settle_uncertain(event);
        }
        belief != Belief::None
    }

    /// Everything that was said before this login has been repeated: what is not answered now
    /// never arrived.
    pub(super) fn settle_uncertain(&mut self, event: &mut dyn FnMut(Event)) {
        if std::mem::take(&mut self.is_uncertain) {
            let connection = self.connection;
            self.open.unsent(event, |order| is_uncertain(order, connection));
        }
    }

    /// An answer to a query. Those of connections before are in the stream, too, and orders may
    /// have followed on them: the last one counts.
    fn next_reference(&mut self, next: u32, event: &mut dyn FnMut(Event)) {
        if self.state == State::Asking {
            self.queries = self.queries.saturating_sub(1);
            self.said_reference = Some(next);
            if self.queries == 0 {
                self.begin_orders(event);
            }
        }
    }

    /// OUCH 5.0: what was said last is the next UserRefNum now.
    pub(super) fn begin_orders(&mut self, event: &mut dyn FnMut(Event)) {
        let Some(next) = self.said_reference.filter(|_| self.state == State::Asking) else {
            return;
        };
        let connection = self.connection;
        // All that was accepted of the process before has been said by now, with its reference.
        let never_arrived = |order: &OpenOrder| order.reference == 0 || order.reference >= next;
        self.open.unsent(event, |order| is_uncertain(order, connection) && never_arrived(order));
        // Never one that is open, whatever the exchange says: answers could not be told apart.
        let open = self.open.iter().map(|order| order.reference).max();
        let above = open.map_or(1, |greatest| greatest.saturating_add(1));
        self.next_reference = next.max(above);
        // Those whose reference was not known at the login.
        self.has_cancels |= self.open.has_resumed();
        (self.state, self.queries) = (State::Ready, 0);
    }

    /// Cancels orders of connections before, as far as there is room; the rest at a later tick.
    pub(super) fn cancel(&mut self) {
        let (version, connection) = (self.version, self.connection);
        let all = self.cancel_on_disconnect;
        let mut orders = self.open.iter_mut().filter(|order| {
            let is_old = order.connection < connection && !order.is_canceling;
            let has_name = version == Version::V42 || order.reference > 0;
            is_old && has_name && (all || !order.is_answered)
        });
        let full = orders.try_for_each(|order| {
            write_cancel(&mut self.output, version, order)?;
            order.is_canceling = true;
            Ok::<_, Reason>(())
        });
        self.has_cancels = full.is_err();
        self.quiet_ns = 0;
    }
}
