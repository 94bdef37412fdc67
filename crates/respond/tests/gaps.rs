//! A feed with sequence numbers on a bad line: what is answered, what waits, what is lost.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::itch50::AddOrderBuilder;
use tickwire_market::moldudp64::PacketBuilder;
use tickwire_market::{Ascii, Message, Protocol};
use tickwire_respond::memory::Keys;
use tickwire_respond::settings::{
    FeedSettings, GapPolicy, InstrumentSettings, Limits, RuleSettings, TargetSettings,
};
use tickwire_respond::{
    Arrival, Decision, FeedState, Intent, Level1, Market, Memory, Order, Outcome, Outlet,
    Responder, Settings, Side, Strategy, Tick,
};

const S_NS: u64 = 1_000_000_000;
const NOW_NS: u64 = 1_800_000_000 * S_NS;
/// More than can wait behind a gap.
const FAR: u64 = 5_000;

/// Buys at every message, and notes which there were.
struct Always<'t>(&'t Mutex<Vec<u64>>);

impl Strategy for Always<'_> {
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
        self.0.lock().unwrap().push(tick.sequence);
        let (rule, target, side, price, quantity) = (0, 0, Side::Buy, 100, 1);
        Some(Intent { rule, instrument: tick.instrument, target, side, price, quantity })
    }
}

/// The instruments are the first locates; how often something was lost.
struct Locates<'t>(Level1, &'t Mutex<u32>);

impl Market for Locates<'_> {
    fn apply(&mut self, _: u16, message: &Message<'_>) -> Option<u32> {
        self.0.trade(100, 1);
        message.bytes.get(2).map(|&locate| u32::from(locate)).filter(|&locate| locate < 2)
    }

    fn level1(&self, _: u16, _: u32) -> Option<&Level1> {
        Some(&self.0)
    }

    fn lost(&mut self, _: u16) {
        *self.1.lock().unwrap() += 1;
    }
}

/// What became of each message, by its number.
#[derive(Default)]
struct Outcomes(Vec<(u64, Option<Reason>)>);

impl Outlet for Outcomes {
    fn order(&mut self, _: &Order) -> Result<(), Reason> {
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) {
        let refused = match decision.outcome {
            Outcome::Ordered(_) => None,
            Outcome::Refused(reason) => Some(reason),
        };
        self.0.push((decision.trigger, refused));
    }
}

struct Run<'t> {
    responder: Responder<'t, Always<'t>, Locates<'t>>,
    now_ns: u64,
}

impl Run<'_> {
    /// How the feed is: missing, lost, abandoned, and whether it is stale.
    fn feed(&self) -> (u64, u64, u64, bool) {
        let FeedState { missing, lost, abandoned, is_stale, .. } =
            self.responder.feed(0, self.now_ns);
        (missing, lost, abandoned, is_stale)
    }

    /// A packet of `session` with messages from `first` on, about these instruments.
    fn packet(&mut self, session: u8, first: u64, about: &[u16]) -> Vec<(u64, Option<Reason>)> {
        let mut buffer = [0; 1_400];
        let mut session_name = *b"SESSION   ";
        session_name[9] = session;
        let mut packet = PacketBuilder::new(&mut buffer, Ascii(session_name), first).unwrap();
        for &locate in about {
            packet.push(AddOrderBuilder::new().stock_locate(locate).as_bytes()).unwrap();
        }
        let mut outcomes = Outcomes::default();
        let arrival = Arrival { received_ns: self.now_ns, now_ns: self.now_ns };
        self.responder.receive(0, packet.finish(), arrival, &mut outcomes);
        outcomes.0
    }
}

fn run(
    gap: GapPolicy,
    silence_ns_max: Option<u64>,
    test: impl FnOnce(Run<'_>, &Mutex<Vec<u64>>, &Mutex<u32>),
) {
    let instrument = |symbol| InstrumentSettings {
        symbol,
        tick: NonZeroU64::MIN,
        quantity_max: 1,
        notional_max: 100,
        collar_ppm: 0,
        position_max: 100,
    };
    let (name, protocol) = ("itch".into(), Protocol::Itch50);
    let settings = Settings {
        feeds: vec![FeedSettings { name, protocol, age_ns_max: 0, silence_ns_max, gap }],
        instruments: [*b"A       ", *b"B       "].map(instrument).to_vec(),
        rules: vec![RuleSettings::default()],
        targets: vec![TargetSettings { name: "t".into(), acknowledges: false }],
        limits: Limits { orders_per_s: 1_000, in_flight_max: 1, hours: None },
    };
    let keys = Keys::of(&settings);
    let words: Vec<_> = (0..keys.words()).map(|_| AtomicU64::new(0)).collect();
    let (seen, lost) = (Mutex::new(Vec::new()), Mutex::new(0));
    let market = Locates(Level1::new(1), &lost);
    let memory = Memory::create(&words, &keys);
    let responder = Responder::new(&settings, memory, Always(&seen), market).unwrap();
    test(Run { responder, now_ns: NOW_NS }, &seen, &lost);
}

const STALE: Option<Reason> = Some(Reason::StaleFeed);

#[test]
fn what_is_behind_a_gap_waits_and_is_old_news_then() {
    run(GapPolicy::Refuse, None, |mut run, seen, lost| {
        assert_eq!(run.packet(b'1', 1, &[0, 1, 7]), [(1, None), (2, None)]);
        assert_eq!(run.packet(b'1', 6, &[0]), []);
        assert_eq!(run.packet(b'1', 7, &[]), []);
        assert_eq!((run.feed(), run.packet(b'1', 5, &[1])), ((2, 0, 0, true), vec![]));
        // The gap is filled: what waited is handed on in order, and not answered.
        assert_eq!(run.packet(b'1', 4, &[0]), [(4, STALE), (5, STALE), (6, STALE)]);
        assert_eq!(run.packet(b'1', 6, &[0, 0]), [(7, None)]);
        // All of it again, in other packets.
        assert_eq!((run.packet(b'1', 2, &[0; 4]), run.packet(b'1', 1, &[0; 7])), (vec![], vec![]));
        assert_eq!(*seen.lock().unwrap(), [1, 2, 4, 5, 6, 7]);
        // Once for the session that began.
        assert_eq!(*lost.lock().unwrap(), 1);
        let counts = run.responder.counts();
        assert_eq!((counts.messages, counts.ticks, counts.orders), (7, 6, 3));
        assert_eq!(run.feed(), (0, 0, 0, false));
        assert_eq!(run.responder.feed(0, NOW_NS).messages, 7);
        run.responder.reset_counts();
        assert_eq!(run.responder.feed(0, NOW_NS), FeedState::default());
    });
}

#[test]
fn a_gap_that_is_too_long_is_lost_for_good() {
    run(GapPolicy::Refuse, None, |mut run, seen, lost| {
        run.packet(b'1', 1, &[0]);
        assert_eq!(run.packet(b'1', 3, &[0]), []);
        assert_eq!(run.packet(b'1', FAR, &[0]), [(3, STALE), (FAR, STALE)]);
        assert_eq!(*lost.lock().unwrap(), 2);
        // Too late, and nothing of the session is answered any more.
        assert_eq!(run.packet(b'1', 2, &[0]), []);
        assert_eq!(run.packet(b'1', FAR + 1, &[0]), [(FAR + 1, STALE)]);
        assert_eq!(run.feed(), (0, FAR - 3, 0, true));
        assert_eq!(*seen.lock().unwrap(), [1, 3, FAR, FAR + 1]);
        // Unless somebody who knows says so, or another session begins.
        run.responder.forget_gaps();
        assert_eq!(run.packet(b'1', FAR + 2, &[0]), [(FAR + 2, None)]);
        assert_eq!(run.packet(b'2', 1, &[0]), [(1, None)]);
    });
}

#[test]
fn another_session_does_not_wait_for_this_one() {
    run(GapPolicy::Refuse, None, |mut run, seen, _| {
        run.packet(b'1', 1, &[0]);
        assert_eq!(run.packet(b'1', 3, &[0, 0]), []);
        assert_eq!(run.packet(b'2', 1, &[0]), [(1, None)]);
        assert_eq!(run.feed(), (0, 0, 2, false));
        // Back in the first one, what waited is missing for good.
        assert_eq!(run.packet(b'1', 2, &[0]), []);
        assert_eq!(run.packet(b'1', 5, &[0]), [(5, STALE)]);
        // Of a session that follows, the beginning is missing.
        assert_eq!(run.packet(b'3', 2, &[0]), []);
        assert_eq!(run.packet(b'3', 1, &[0]), [(1, STALE), (2, STALE)]);
        assert_eq!(run.packet(b'3', 3, &[0]), [(3, None)]);
        assert_eq!(*seen.lock().unwrap(), [1, 1, 5, 1, 2, 3]);
    });
}

#[test]
fn until_next_each_instrument_is_stale_until_its_next_message() {
    run(GapPolicy::UntilNext, None, |mut run, seen, lost| {
        run.packet(b'1', 1, &[0]);
        assert_eq!(run.packet(b'1', 4, &[0, 0]), [(4, STALE), (5, None)]);
        assert_eq!(*lost.lock().unwrap(), 2);
        assert_eq!(run.feed(), (0, 2, 0, false));
        // Too late.
        assert_eq!(run.packet(b'1', 2, &[1, 1]), []);
        assert_eq!(run.packet(b'1', 6, &[0, 1, 1]), [(6, None), (7, STALE), (8, None)]);
        assert_eq!(*seen.lock().unwrap(), [1, 4, 5, 6, 7, 8]);
    });
}

#[test]
fn a_session_that_begins_again_is_believed_but_answers_nothing_twice() {
    run(GapPolicy::Refuse, None, |mut run, seen, _| {
        for first in 1..=6 {
            run.packet(b'1', first, &[0]);
        }
        // Three packets from the beginning may be old ones; the fourth is believed.
        for first in 1..=3 {
            assert_eq!(run.packet(b'1', first, &[0]), []);
        }
        run.packet(b'1', 4, &[0]);
        for first in [5, 6] {
            run.packet(b'1', first, &[0]);
        }
        let seen = seen.lock().unwrap();
        assert_eq!(run.responder.counts().orders, 6, "{seen:?}");
    });
}

#[test]
fn after_a_silence_the_first_packet_is_not_answered() {
    run(GapPolicy::Refuse, Some(S_NS), |mut run, _, _| {
        assert_eq!(run.packet(b'1', 1, &[0]), [(1, None)]);
        run.now_ns += S_NS;
        assert_eq!(run.packet(b'1', 2, &[0]), [(2, None)]);
        assert!(!run.feed().3);
        run.now_ns += S_NS + 1;
        assert!(run.feed().3);
        assert_eq!(run.packet(b'1', 3, &[0, 1]), [(3, STALE), (4, STALE)]);
        assert_eq!(run.packet(b'1', 5, &[0]), [(5, None)]);
        // A heartbeat is a sign of life.
        run.now_ns += S_NS + 1;
        assert_eq!(run.packet(b'1', 6, &[]), []);
        assert_eq!(run.packet(b'1', 6, &[0]), [(6, None)]);
    });
}

#[test]
fn what_cannot_be_read_is_counted_of_its_feed() {
    run(GapPolicy::Refuse, None, |mut run, _, _| {
        let mut buffer = [0; 1_400];
        let mut packet = PacketBuilder::new(&mut buffer, Ascii(*b"SESSION  1"), 1).unwrap();
        for _ in 0..2 {
            packet.push(AddOrderBuilder::new().as_bytes()).unwrap();
        }
        let whole = packet.finish();
        let arrival = Arrival { received_ns: NOW_NS, now_ns: NOW_NS };
        for payload in [&b"none"[..], &whole[..whole.len() - 1], whole] {
            run.responder.receive(0, payload, arrival, &mut Outcomes::default());
        }
        let FeedState { messages, malformed, .. } = run.responder.feed(0, NOW_NS);
        assert_eq!((messages, malformed), (2, 2));
        run.responder.reset_counts();
        assert_eq!(run.responder.feed(0, NOW_NS).malformed, 0);
    });
}
