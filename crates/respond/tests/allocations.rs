//! Nothing is allocated for a tick: whether it is answered, refused, out of order or nonsense.

#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use counting::allocations;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::nanonet::little::MarketDataBuilder;
use tickwire_market::{Ascii, Price};
use tickwire_respond::memory::Keys;
use tickwire_respond::{
    Arrival, Config, Decision, Event, EventKind, Markets, Memory, Order, Outlet, Responder, Rules,
};

const NOW_NS: u64 = 1_800_000_000_000_000_000;

/// Sends into nothing.
struct Sink {
    last: u64,
    refuses: bool,
}

impl Outlet for Sink {
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        self.last = order.number;
        if self.refuses { Err(Reason::NotConnected) } else { Ok(()) }
    }

    fn decided(&mut self, _: &Decision) {}
}

#[test]
fn nothing_is_allocated_for_a_tick() {
    let text = include_str!("../../../docs/examples/nanonet.toml");
    let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let keys = Keys::of(&config.settings);
    let words: Vec<_> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
    let memory = Memory::create(&words, &keys);
    let (rules, markets) = (Rules::new(&config), Markets::new(&config));
    let mut responder = Responder::new(&config.settings, memory, rules, markets).unwrap();
    let mut sink = Sink { last: 0, refuses: false };
    let before = allocations();
    for n in 0..10_000 {
        let tick = MarketDataBuilder::new().symbol(Ascii(*b"AAPL    ")).quantity(1);
        // Some are repeated, some too dear, some refused by their target.
        let tick = tick.price(Price(9_990 + n / 3 % 20)).timestamp(NOW_NS + u64::from(n / 3));
        let now_ns = NOW_NS + u64::from(n) * 500_000;
        sink.refuses = n % 7 == 0;
        let arrival = Arrival { received_ns: now_ns, now_ns };
        responder.receive(0, tick.as_bytes(), arrival, &mut sink);
        responder.receive(0, &tick.as_bytes()[..23], arrival, &mut sink);
        responder.event(&Event { number: sink.last, kind: EventKind::Accepted });
    }
    assert_eq!(allocations() - before, 0);
    let counts = responder.counts();
    assert!(counts.orders > 500, "{counts:?}");
    for reason in [Reason::DuplicateTrigger, Reason::NotConnected] {
        assert!(counts.refused[reason] > 100, "{reason}: {counts:?}");
    }
}
