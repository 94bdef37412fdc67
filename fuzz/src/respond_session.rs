//! Sessions with exchanges, over connections that change bytes, lose them and end anywhere.
//!
//! Beside that nothing panics: no event is about an order that was not sent or is done, nothing is
//! executed or cancelled twice, and what waits is bounded.

use crate::mutate::Mutated;
use crate::packets::Sample;
use crate::random::Random;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_frame::LinkType;
use tickwire_respond::exchange::{
    Exchange, Faults, FixExchange, NanonetExchange, OuchVersion, SoupExchange,
};
use tickwire_respond::format::{ByteOrder, Encoder, Format, Ouch42, Ouch50};
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::session::{OUTPUT_BYTES_MAX, Ouch, PlainSession, SoupSession, SoupSettings};
use tickwire_respond::{Event, EventKind, Intent, Order, Scale, Session, Side};

/// Bytes of a step: what, how much, where, which.
const STEP: usize = 4;

const SCALE: Scale = Scale(4);

/// Bytes that sessions and exchanges were given so far, by all conversations.
pub static CARRIED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Conversations of many orders and few faults, in the form of [`conversations`].
pub fn samples() -> Vec<Sample> {
    let sample = |seed| {
        let mut random = Random::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..200 {
            let what = if random.below(12) == 0 { random.below(256) } else { random.below(0xc0) };
            let rest = [random.below(256), random.below(256), random.below(256)];
            bytes.extend([what, rest[0], rest[1], rest[2]].map(|byte| byte as u8));
        }
        Sample { name: "conversation", link: LinkType::ETHERNET, bytes }
    };
    (0..4).map(sample).collect()
}

/// As a stage.
pub fn check(packet: &Mutated<'_>) {
    conversations(packet.bytes);
}

/// The same conversation in every protocol. Four bytes are a step each.
pub fn conversations(bytes: &[u8]) {
    let faults =
        Faults { fill_percent: 50, reject_every: 5, disconnect_every: 60, ..Faults::default() };
    let resting = Ouch::V42(Ouch42 { time_in_force: 99_998, ..Ouch42::default() });
    for (ouch, version) in
        [(resting, OuchVersion::V42), (Ouch::V50(Ouch50::default()), OuchVersion::V50)]
    {
        let settings = SoupSettings::default();
        let session = || SoupSession::new(&settings, &ouch, SCALE).expect("good settings");
        converse(bytes, session, || SoupExchange::new(version, faults));
    }
    let encoder = Encoder::new(&Format::nanonet(ByteOrder::Big), SCALE);
    let exchange = || NanonetExchange::new(ByteOrder::Big, true, Faults::default());
    converse(bytes, || PlainSession::new(encoder.clone()), exchange);
    for version in [FixVersion::Fix42, FixVersion::Fix44] {
        let session = || {
            let store: Arc<[AtomicU64; 2]> = Arc::default();
            let settings = FixSettings::new(version, "US", "THEM");
            FixSession::new(settings, SCALE, Box::new(store)).expect("good settings")
        };
        converse(bytes, session, || FixExchange::new(version, faults));
    }
}

/// What is left of each order that is not done.
type Left = HashMap<u64, u32>;

struct Conversation<S, E> {
    session: S,
    exchange: E,
    left: Left,
    next: u64,
    now_ns: u64,
    is_connected: bool,
    to_exchange: Vec<u8>,
    to_session: Vec<u8>,
}

fn converse<S: Session, E: Exchange>(
    bytes: &[u8],
    session: impl Fn() -> S,
    exchange: impl Fn() -> E,
) {
    let begin = |next, now_ns| Conversation {
        session: session(),
        exchange: exchange(),
        left: Left::new(),
        next,
        now_ns,
        is_connected: false,
        to_exchange: Vec::new(),
        to_session: Vec::new(),
    };
    let mut talk = begin(1, 1_800_000_000_000_000_000);
    for step in bytes.chunks_exact(STEP) {
        let &[what, a, b, c] = step else { unreachable!() };
        if !talk.step(what, [a, b, c]) {
            // A person looks at it, and another day begins.
            talk = begin(talk.next, talk.now_ns);
        }
    }
}

impl<S: Session, E: Exchange> Conversation<S, E> {
    /// Whether it can go on.
    fn step(&mut self, what: u8, [a, b, c]: [u8; 3]) -> bool {
        if !self.is_connected {
            self.is_connected = true;
            self.exchange.connected(self.now_ns);
            self.session.connected(self.now_ns);
        }
        let place = usize::from(a) << 8 | usize::from(b);
        match what {
            0xf8.. => self.disconnect(),
            0xf0.. => return self.tick(u64::from(a) * 100_000_000),
            0xe0.. => change(&mut self.to_session, place, c),
            0xd8.. => change(&mut self.to_exchange, place, c),
            0xd0.. => drop(self.to_session.drain(..place.min(self.to_session.len()))),
            0xcc.. => self.to_session.extend([a, b, c]),
            0xc8.. => self.to_exchange.extend([a, b, c]),
            0xc0.. => return self.tick(100_000_000),
            0x60.. => self.order(a, b, c),
            _ => return self.carry(a, b),
        }
        true
    }

    fn order(&mut self, a: u8, b: u8, c: u8) {
        let side = [Side::Buy, Side::Sell, Side::SellShort][usize::from(a % 3)];
        let (price, quantity) = (i64::from(b) * 100, u32::from(c) << (a & 15));
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let (symbol, at_ns) = (*b"AAPL    ", self.now_ns);
        let order = Order { intent, symbol, number: self.next, at_ns };
        if self.session.order(&order).is_ok() {
            self.left.insert(self.next, quantity);
        }
        self.next += 1;
        assert!(self.session.output().len() <= OUTPUT_BYTES_MAX);
    }

    /// Hands on some of what is to be sent, and some of what is on the way.
    fn carry(&mut self, a: u8, b: u8) -> bool {
        let taken = self.session.output().len().min(usize::from(a) * 8);
        self.to_exchange.extend_from_slice(&self.session.output()[..taken]);
        self.session.sent(taken);
        let taken = self.exchange.output().len().min(usize::from(b) * 8);
        self.to_session.extend_from_slice(&self.exchange.output()[..taken]);
        self.exchange.sent(taken);

        let count = self.to_exchange.len().min(usize::from(b) * 4);
        let bytes: Vec<u8> = self.to_exchange.drain(..count).collect();
        CARRIED_BYTES.fetch_add(bytes.len() as u64, Relaxed);
        let cut = self.exchange.received(&bytes, self.now_ns, &mut |_| {}).is_err();
        let count = self.to_session.len().min(usize::from(a) * 4);
        let bytes: Vec<u8> = self.to_session.drain(..count).collect();
        CARRIED_BYTES.fetch_add(bytes.len() as u64, Relaxed);
        let left = &mut self.left;
        let closed = self.session.received(&bytes, self.now_ns, &mut |event| note(left, event));
        if cut || closed.is_err() {
            self.disconnect();
        }
        closed.map_or_else(|close| close.reconnect, |()| true)
    }

    fn tick(&mut self, passed_ns: u64) -> bool {
        self.now_ns += passed_ns;
        let closed = self.session.tick(self.now_ns);
        let cut = self.exchange.tick(self.now_ns).is_err();
        if cut || closed.is_err() {
            self.disconnect();
        }
        closed.map_or_else(|close| close.reconnect, |()| true)
    }

    fn disconnect(&mut self) {
        self.is_connected = false;
        self.to_exchange.clear();
        self.to_session.clear();
        self.exchange.disconnected(self.now_ns);
        let left = &mut self.left;
        self.session.disconnected(self.now_ns, &mut |event| note(left, event));
    }
}

/// Changes a byte on its way.
fn change(bytes: &mut [u8], place: usize, to: u8) {
    if let Some(at) = place.checked_rem(bytes.len()) {
        bytes[at] = to;
    }
}

/// An event must be about an order that is not done, and no more of it than is left.
fn note(left: &mut Left, event: Event) {
    let Some(rest) = left.get_mut(&event.number) else {
        panic!("an event about an order that was not sent, or is done: {event:?}");
    };
    let gone = match event.kind {
        EventKind::Accepted => 0,
        EventKind::Executed { quantity, .. } | EventKind::Canceled { quantity } => quantity,
        EventKind::Rejected(_) | EventKind::Unsent(_) => *rest,
    };
    *rest = rest.checked_sub(gone).unwrap_or_else(|| panic!("more than was left: {event:?}"));
    if *rest == 0 {
        left.remove(&event.number);
    }
}
