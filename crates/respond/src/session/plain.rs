//! Orders one behind the other on a connection, without a login and without answers: NanoNet's and
//! those of a template over TCP.

use super::output::Output;
use super::{Close, Session};
use crate::format::Encoder;
use crate::order::{Event, EventKind, Order};
use std::collections::VecDeque;
use tickwire_frame::Reason;

/// The most orders that wait for the transport.
const WAITING_MAX: usize = 4096;

/// A session that is the connection itself: ready as long as there is one.
///
/// Of an order that the transport took nobody says what became of it. One that it did not take
/// whole before the connection was lost never arrived: half an order is none.
#[derive(Debug)]
pub struct PlainSession {
    encoder: Encoder,
    is_connected: bool,
    output: Output,
    /// Numbers of orders, and the byte of the connection that ends each.
    waiting: VecDeque<(u64, u64)>,
    ignored_bytes: u64,
}

impl PlainSession {
    /// A session that is not connected yet.
    pub fn new(encoder: Encoder) -> Self {
        let waiting = VecDeque::with_capacity(WAITING_MAX);
        let output = Output::new();
        PlainSession { encoder, is_connected: false, output, waiting, ignored_bytes: 0 }
    }

    /// Bytes that the peer sent, who has nothing to say.
    pub fn ignored_bytes(&self) -> u64 {
        self.ignored_bytes
    }
}

impl Session for PlainSession {
    fn connected(&mut self, _now_ns: u64) {
        self.is_connected = true;
    }

    fn disconnected(&mut self, _now_ns: u64, event: &mut dyn FnMut(Event)) {
        self.is_connected = false;
        self.output.clear();
        for (number, _) in self.waiting.drain(..) {
            event(Event { number, kind: EventKind::Unsent(Reason::NotConnected) });
        }
    }

    fn received(
        &mut self,
        bytes: &[u8],
        _now_ns: u64,
        _event: &mut dyn FnMut(Event),
    ) -> Result<(), Close> {
        self.ignored_bytes += bytes.len() as u64;
        Ok(())
    }

    fn tick(&mut self, _now_ns: u64) -> Result<(), Close> {
        Ok(())
    }

    #[inline]
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        if !self.is_connected {
            return Err(Reason::NotConnected);
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(Reason::OutputQueueFull);
        }
        let place = self.output.space(self.encoder.order_bytes())?;
        let len = self.encoder.encode(order, place)?;
        self.waiting.push_back((order.number, self.output.commit(len)));
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.is_connected
    }

    fn logout(&mut self, _now_ns: u64) {
        self.is_connected = false;
    }

    fn output(&self) -> &[u8] {
        self.output.pending()
    }

    fn sent(&mut self, bytes: usize) {
        self.output.sent(bytes);
        let taken = self.output.taken();
        while self.waiting.front().is_some_and(|(_, end)| *end <= taken) {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ByteOrder, Format};
    use crate::order::{Intent, Scale, Side};

    fn order(number: u64) -> Order {
        let intent =
            Intent { rule: 0, instrument: 0, target: 0, side: Side::Buy, price: 1, quantity: 1 };
        Order { intent, symbol: *b"AAPL    ", number, at_ns: 0 }
    }

    fn session() -> PlainSession {
        PlainSession::new(Encoder::new(&Format::nanonet(ByteOrder::Little), Scale(2)))
    }

    #[test]
    fn what_the_transport_did_not_take_whole_never_arrived() {
        let mut session = session();
        assert_eq!(session.order(&order(1)), Err(Reason::NotConnected));
        session.connected(0);
        for number in 1..=3 {
            session.order(&order(number)).unwrap();
        }
        assert_eq!(session.output().len(), 3 * 41);
        session.sent(41 + 40);
        let mut events = Vec::new();
        session.disconnected(0, &mut |event| events.push(event));
        let kind = EventKind::Unsent(Reason::NotConnected);
        assert_eq!(events, [Event { number: 2, kind }, Event { number: 3, kind }]);
        session.connected(0);
        session.order(&order(4)).unwrap();
        assert_eq!(session.output().len(), 41);
        session.received(b"hello", 0, &mut |_| panic!("an event")).unwrap();
        assert_eq!(session.ignored_bytes(), 5);
        session.logout(0);
        assert_eq!((session.is_ready(), session.output().len()), (false, 41));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_refused_more() {
        let mut session = session();
        session.connected(0);
        let taken = (1..).take_while(|&number| session.order(&order(number)).is_ok()).count();
        assert_eq!(taken, super::super::OUTPUT_BYTES_MAX / 41);
        assert_eq!(session.order(&order(9999)), Err(Reason::OutputQueueFull));
        session.sent(41);
        assert_eq!(session.order(&order(9999)), Ok(()));
    }
}
