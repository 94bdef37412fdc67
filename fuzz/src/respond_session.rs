//! Sessions with exchanges, over connections that change bytes, lose them and end anywhere, in
//! processes that are killed.
//!
//! Beside that nothing panics: no event is about an order that was not sent or is done, nothing is
//! executed or cancelled twice, and what waits is bounded.

use crate::mutate::Mutated;
use crate::packets::Sample;
use crate::random::Random;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_frame::LinkType;
use tickwire_respond::exchange::{
    Exchange, Faults, FixExchange, NanonetExchange, OuchVersion, SoupExchange,
};
use tickwire_respond::format::{ByteOrder, Encoder, Format, Ouch42, Ouch50};
use tickwire_respond::memory::TARGET_WORDS;
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::session::{
    OUTPUT_BYTES_MAX, Ouch, PlainSession, Resumed, SoupSession, SoupSettings,
};
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
        let session = || {
            let mut session = SoupSession::new(&settings, &ouch, SCALE).expect("good settings");
            session.keep_in(WORDS.with(|words| *words));
            session
        };
        converse(bytes, session, || SoupExchange::new(version, faults));
    }
    let encoder = Encoder::new(&Format::nanonet(ByteOrder::Big), SCALE);
    let exchange = || NanonetExchange::new(ByteOrder::Big, true, Faults::default());
    converse(bytes, || PlainSession::new(encoder.clone()), exchange);
    for version in [FixVersion::Fix42, FixVersion::Fix44] {
        let session = || {
            let settings = FixSettings::new(version, "US", "THEM");
            let store = Box::new(WORDS.with(|words| *words));
            FixSession::new(settings, SCALE, store).expect("good settings")
        };
        converse(bytes, session, || FixExchange::new(version, faults));
    }
}

thread_local! {
    /// What outlives a process; another day begins with zeros.
    static WORDS: &'static [AtomicU64] =
        Box::leak((0..TARGET_WORDS).map(|_| AtomicU64::new(0)).collect());
}

/// Each order that is not done.
type Open = HashMap<u64, Resumed>;

struct Conversation<S, E> {
    session: S,
    exchange: E,
    open: Open,
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
    let begin = |next, now_ns| {
        WORDS.with(|words| words.iter().for_each(|word| word.store(0, Relaxed)));
        Conversation {
            session: session(),
            exchange: exchange(),
            open: Open::new(),
            next,
            now_ns,
            is_connected: false,
            to_exchange: Vec::new(),
            to_session: Vec::new(),
        }
    };
    let mut talk = begin(1, 1_800_000_000_000_000_000);
    for step in bytes.chunks_exact(STEP) {
        let &[what, a, b, c] = step else { unreachable!() };
        if what == 0xff {
            talk.kill(session());
        } else if !talk.step(what, [a, b, c]) {
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
            let (number, left, executed) = (self.next, quantity, 0);
            let is_answered = false;
            let open = Resumed { number, symbol, side, quantity, executed, left, is_answered };
            self.open.insert(number, open);
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
        let open = &mut self.open;
        let closed = self.session.received(&bytes, self.now_ns, &mut |event| note(open, event));
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
        self.lose_connection();
        let open = &mut self.open;
        self.session.disconnected(self.now_ns, &mut |event| note(open, event));
    }

    fn lose_connection(&mut self) {
        self.is_connected = false;
        self.to_exchange.clear();
        self.to_session.clear();
        self.exchange.disconnected(self.now_ns);
    }

    /// The process is gone, and the session of another goes on.
    fn kill(&mut self, session: S) {
        self.lose_connection();
        self.session = session;
        self.open.retain(|_, order| order.left > 0);
        let mut resumed: Vec<_> = self.open.values().copied().collect();
        resumed.sort_unstable_by_key(|order| order.number);
        self.session.resume(&resumed);
    }
}

/// Changes a byte on its way.
fn change(bytes: &mut [u8], place: usize, to: u8) {
    if let Some(at) = place.checked_rem(bytes.len()) {
        bytes[at] = to;
    }
}

/// An event must be about an order that is not done, and no more of it than is left.
fn note(open: &mut Open, event: Event) {
    let Some(order) = open.get_mut(&event.number) else {
        panic!("an event about an order that was not sent, or is done: {event:?}");
    };
    let (executed, gone) = match event.kind {
        EventKind::Accepted => (0, 0),
        EventKind::Executed { quantity, .. } => (quantity, quantity),
        EventKind::Canceled { quantity } => (0, quantity),
        EventKind::Rejected(_) | EventKind::Unsent(_) => (0, order.left),
    };
    let left = order.left.checked_sub(gone);
    order.left = left.unwrap_or_else(|| panic!("more than was left: {event:?}"));
    order.executed += executed;
    order.is_answered = true;
    if order.left == 0 {
        open.remove(&event.number);
    }
}
