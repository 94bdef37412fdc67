//! A responder on random ticks with random limits, against an oracle that was written on its own;
//! and on mutated datagrams, where no order may leave that the oracle would not send.
//!
//! A run has a configuration of its own, so tight that every check refuses now and then, and
//! [`STEPS`] steps: datagrams of four feeds (lost, late, repeated, cut), answers of targets, the
//! kill switch, restarts in good order and in the middle of everything.

use crate::random::Random;
use crate::respond_feed::{Seen, Sender, Sent, Truth};
use crate::respond_oracle::{Facts, Identity, Oracle};
use crate::respond_plan::{FEEDS, NOON_NS, Plan, S_NS, Still};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::{Message, Protocol};
use tickwire_respond::memory::Keys;
use tickwire_respond::settings::Settings;
use tickwire_respond::{
    Arrival, Decision, Event, EventKind, Intent, Memory, Order, Outcome, Outlet, Responder,
};

/// How many steps a run has.
pub const STEPS: u64 = 1_000;

const TICK_BYTES: usize = 24;

/// What left, and what became of the triggers of a step.
#[derive(Default)]
struct Out {
    refuses: Option<Reason>,
    orders: Vec<Order>,
    decisions: Vec<Decision>,
}

impl Outlet for Out {
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        self.refuses.map_or(Ok(()), Err)?;
        self.orders.push(*order);
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) {
        self.decisions.push(*decision);
    }
}

type Engine<'r> = Responder<'r, &'r Plan, Still>;

/// A run: what is tested, and what it is held against.
struct Run<'r> {
    plan: &'r Plan,
    words: &'r [AtomicU64],
    responder: Engine<'r>,
    oracle: Oracle,
    truths: Vec<Truth>,
    senders: Vec<Sender>,
    halted: HashMap<u32, (bool, bool)>,
    /// Ticks without numbers that were sent, to send them again.
    ticks: Vec<Vec<u8>>,
    now_ns: u64,
    stamp_ns: u64,
    last_number: u64,
    /// Datagrams were mutated: nobody knows what feeds said of halts and gaps.
    is_mutated: bool,
    counts: [u64; Reason::COUNT],
    orders: u64,
}

/// What a number of runs came to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Orders that both sent.
    pub orders: u64,
    /// What both refused, by reason.
    pub refused: HashMap<Reason, u64>,
}

/// Runs `range` of `seed`, each of [`STEPS`] random steps.
///
/// # Panics
/// When the responder and the oracle do not agree.
pub fn run_random(seed: u64, range: std::ops::Range<u64>) -> Figures {
    run(seed, range, |run, random| run.step(random))
}

/// The same with mutated datagrams.
///
/// # Panics
/// When an order leaves that the oracle would not send.
pub fn run_mutated(seed: u64, range: std::ops::Range<u64>) -> Figures {
    run(seed, range, |run, random| run.mutated_step(random))
}

fn run(
    seed: u64,
    range: std::ops::Range<u64>,
    step: impl Fn(&mut Run<'_>, &mut Random),
) -> Figures {
    let mut figures = Figures::default();
    for index in range {
        let random = &mut Random::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let plan = Plan::new(random);
        let mut words = Vec::new();
        words.resize_with(Keys::of(&plan.settings).words(), AtomicU64::default);
        let mut run = Run::new(&plan, &words, random);
        for _ in 0..STEPS {
            step(&mut run, random);
        }
        run.compare();
        figures.orders += run.orders;
        for (&reason, &count) in Reason::ALL.iter().zip(&run.counts) {
            *figures.refused.entry(reason).or_default() += count;
        }
    }
    figures
}

impl<'r> Run<'r> {
    fn new(plan: &'r Plan, words: &'r [AtomicU64], random: &mut Random) -> Self {
        let memory = Memory::create(words, &Keys::of(&plan.settings));
        memory.begin(NOON_NS, false);
        Run {
            plan,
            words,
            responder: Responder::new(&plan.settings, memory, plan, Still::of(plan))
                .expect("settings"),
            oracle: Oracle::new(plan.settings.clone()),
            truths: truths(&plan.settings),
            senders: (0..FEEDS.len()).map(|_| Sender::new(random)).collect(),
            halted: HashMap::new(),
            ticks: Vec::new(),
            now_ns: NOON_NS,
            stamp_ns: NOON_NS,
            last_number: 0,
            is_mutated: false,
            counts: [0; Reason::COUNT],
            orders: 0,
        }
    }

    fn step(&mut self, random: &mut Random) {
        self.pass_time(random);
        match random.below(64) {
            0 => self.switch(random, true),
            1 => self.restart(random.below(4) == 0),
            2..=4 => self.switch(random, false),
            5..=15 => self.event(random),
            16..=39 => {
                let feed = random.below(2) as u16;
                let tick = self.tick(random);
                self.receive_tick(feed, &tick, random);
            }
            _ => {
                let feed = 2 + random.below(2);
                let packet = self.senders[feed].packet(random, itch);
                self.receive_packet(feed as u16, &packet, random);
            }
        }
        self.compare();
    }

    fn pass_time(&mut self, random: &mut Random) {
        let short = [0, 1, 500, 100_000, 1_000_000, 50_000_000];
        let by = if random.below(16) == 0 { S_NS } else { *random.pick(&short) };
        self.now_ns += by;
    }

    /// Turns the kill switch on or off, or responding off or on.
    fn switch(&mut self, random: &mut Random, on: bool) {
        let memory = Memory::open(self.words).expect("sound");
        match random.below(2) {
            0 => {
                memory.set_killed(on);
                self.oracle.killed = on;
            }
            _ => {
                self.responder.set_enabled(!on);
                self.oracle.enabled = !on;
            }
        }
    }

    fn restart(&mut self, in_order: bool) {
        let memory = Memory::open(self.words).expect("sound");
        if in_order {
            memory.end();
        }
        let memory = Memory::open(self.words).expect("sound");
        memory.begin(self.now_ns, false);
        let responder =
            Responder::new(&self.plan.settings, memory, self.plan, Still::of(self.plan));
        self.responder = responder.expect("settings");
        self.oracle.restart(in_order);
        self.truths = truths(&self.plan.settings);
        self.halted.clear();
    }

    fn event(&mut self, random: &mut Random) {
        let open = self.oracle.open_numbers();
        let number = match random.below(8) {
            0 => random.next_bits() >> random.below(64),
            1 => self.last_number,
            _ if open.is_empty() => 0,
            _ => *random.pick(&open),
        };
        let quantity = match random.below(12) {
            0 => u32::MAX,
            _ => random.below(8) as u32,
        };
        let kind = match random.below(8) {
            0..=2 => EventKind::Accepted,
            3 => EventKind::Rejected(1),
            4 => EventKind::Unsent(Reason::NotConnected),
            5 => EventKind::Canceled { quantity },
            _ => EventKind::Executed { quantity, price: 100 },
        };
        let event = Event { number, kind };
        self.responder.event(&event);
        self.oracle.event(&event);
    }

    /// A tick without a number: new, repeated, of the same time, older, of the future.
    fn tick(&mut self, random: &mut Random) -> Vec<u8> {
        if random.below(5) == 0 && !self.ticks.is_empty() {
            return random.pick(&self.ticks).clone();
        }
        self.stamp_ns += random.below(3) as u64;
        let stamp_ns = match random.below(16) {
            0 => self.stamp_ns.saturating_sub(random.below(20) as u64),
            1 => self.now_ns + S_NS + random.below(3) as u64 - 1,
            2 => random.next_bits() >> random.below(64),
            _ => self.stamp_ns,
        };
        let mut tick = format!("I{:<7}", random.below(5)).into_bytes();
        tick.extend((random.below(500) as u32).to_le_bytes());
        tick.extend((random.below(3) as u32).to_le_bytes());
        tick.extend(stamp_ns.to_le_bytes());
        self.ticks.push(tick.clone());
        tick
    }

    fn arrival(&self, random: &mut Random) -> Arrival {
        let age_ns = [0, 1, 500, 900, 901, 1_000][random.below(6)];
        Arrival { received_ns: self.now_ns - age_ns, now_ns: self.now_ns }
    }

    fn facts(
        &self,
        feed: u16,
        identity: Identity,
        stale: bool,
        intent: &Intent,
        at: Arrival,
    ) -> Facts {
        let (halted, operational) =
            self.halted.get(&intent.instrument).copied().unwrap_or_default();
        let Arrival { received_ns, now_ns } = at;
        Facts {
            feed,
            identity,
            stale,
            halted: halted || operational,
            reference: self.plan.reference(intent.instrument),
            received_ns,
            now_ns,
        }
    }

    /// Hands a datagram over; what was decided on it.
    fn hand_over(&mut self, feed: u16, datagram: &[u8], at: Arrival, random: &mut Random) -> Out {
        let refuses = (random.below(10) == 0).then_some(Reason::NotConnected);
        let mut out = Out { refuses, ..Out::default() };
        self.responder.receive(feed, datagram, at, &mut out);
        out
    }

    /// A tick that the feed may be the wrong way round for.
    fn receive_tick(&mut self, feed: u16, tick: &[u8], random: &mut Random) {
        let at = self.arrival(random);
        let mut out = self.hand_over(feed, tick, at, random);
        let silent =
            self.truths[usize::from(feed)].receive_tick(tick.len() >= TICK_BYTES, at.received_ns);
        if let Some(known) = tick.get(..TICK_BYTES) {
            let message =
                Message { protocol: FEEDS[usize::from(feed)].0, sequence: 0, bytes: tick };
            if let Some(instrument) = self.plan.instrument_of(&message)
                && let Some(intent) = self.plan.intent(tick)
            {
                let stamp = known[16..].try_into().expect("eight bytes");
                let stamp_ns =
                    if feed == 0 { u64::from_le_bytes(stamp) } else { u64::from_be_bytes(stamp) };
                let identity = Identity::Stamp(instrument, stamp_ns, known.to_vec());
                let facts = self.facts(feed, identity, silent, &intent, at);
                self.expect(&intent, &facts, &mut out);
            }
        }
        out.expect_empty();
    }

    fn receive_packet(&mut self, feed: u16, packet: &Sent, random: &mut Random) {
        let at = self.arrival(random);
        let datagram = packet.bytes(random);
        let mut out = self.hand_over(feed, &datagram, at, random);
        for seen in self.truths[usize::from(feed)].receive(packet, at.received_ns) {
            self.see(feed, packet, &seen, at, &mut out);
        }
        out.expect_empty();
    }

    /// A message that the strategy must have seen.
    fn see(&mut self, feed: u16, packet: &Sent, seen: &Seen, at: Arrival, out: &mut Out) {
        let Seen { number, message: bytes, waited } = seen;
        let message = Message { protocol: Protocol::Itch50, sequence: *number, bytes };
        let Some(instrument) = self.plan.instrument_of(&message) else { return };
        self.halt(instrument, bytes);
        if let Some(intent) = self.plan.intent(bytes) {
            let truth = &self.truths[usize::from(feed)];
            let stale = *waited || truth.is_stale(instrument) || truth.is_stale(intent.instrument);
            let identity = Identity::Number(packet.session_name(), *number);
            let facts = self.facts(feed, identity, stale, &intent, at);
            self.expect(&intent, &facts, out);
        }
        self.truths[usize::from(feed)].decided(instrument, *number);
    }

    fn halt(&mut self, instrument: u32, message: &[u8]) {
        let (trading, operational) = self.halted.entry(instrument).or_default();
        match message {
            [b'H', ..] if message.len() >= 25 => *trading = message[19] != b'T',
            [b'h', ..] if message.len() >= 21 && message[19] == b'Q' => {
                *operational = message[20] != b'T';
            }
            _ => {}
        }
    }

    /// The next decision is this one.
    fn expect(&mut self, intent: &Intent, facts: &Facts, out: &mut Out) {
        assert!(!out.decisions.is_empty(), "nothing was decided on {intent:?} {facts:?}");
        let decision = out.decisions.remove(0);
        assert_eq!(decision.intent, *intent);
        self.check(&decision, facts.clone(), out);
    }

    /// The oracle decides the same.
    fn check(&mut self, decision: &Decision, mut facts: Facts, out: &mut Out) {
        if self.is_mutated {
            facts.halted = decision.outcome == Outcome::Refused(Reason::MarketClosed);
        }
        let expected = self.oracle.decide(&decision.intent, &facts);
        match (decision.outcome, expected.and(out.refuses.map_or(Ok(()), Err))) {
            (Outcome::Ordered(number), Ok(())) => {
                let order = out.orders.remove(0);
                assert_eq!((order.number, order.intent), (number, decision.intent));
                assert!(number > self.last_number, "{number} after {}", self.last_number);
                self.last_number = number;
                self.oracle.sent(number, &decision.intent, &facts);
                self.orders += 1;
            }
            (Outcome::Refused(reason), Err(expected)) if reason == expected => {
                self.counts[reason as usize] += 1;
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}: {decision:?} {facts:?}"),
        }
    }

    /// Positions are what they must be.
    fn compare(&self) {
        for instrument in 0..self.plan.settings.instruments.len() as u32 {
            let position = self.responder.position(instrument);
            assert_eq!(i128::from(position.net), self.oracle.net(instrument));
            assert_eq!((position.open_buy, position.open_sell), self.oracle.open(instrument));
        }
        assert_eq!(self.responder.open_orders().0, self.oracle.open_numbers().len());
    }

    fn mutated_step(&mut self, random: &mut Random) {
        self.is_mutated = true;
        self.pass_time(random);
        match random.below(32) {
            0 => self.restart(false),
            1..=5 => self.event(random),
            6..=15 => {
                let mut tick = self.tick(random);
                mutate(&mut tick, random);
                self.receive_tick(random.below(2) as u16, &tick, random);
            }
            _ => {
                let feed = 2 + random.below(2);
                let packet = self.senders[feed].packet(random, itch);
                let mut datagram = packet.bytes(random);
                mutate(&mut datagram, random);
                self.receive_mutated(feed as u16, &datagram, random);
            }
        }
    }

    /// What is missing now is not known here: the responder may call any message stale, and see
    /// any message; but what it sends must be right, and so must every other refusal.
    fn receive_mutated(&mut self, feed: u16, datagram: &[u8], random: &mut Random) {
        let at = self.arrival(random);
        let mut out = self.hand_over(feed, datagram, at, random);
        for decision in std::mem::take(&mut out.decisions) {
            let session = datagram[..10].escape_ascii().to_string();
            let identity = Identity::Number(session, decision.trigger);
            let stale = decision.outcome == Outcome::Refused(Reason::StaleFeed);
            let facts = self.facts(feed, identity, stale, &decision.intent, at);
            self.check(&decision, facts, &mut out);
        }
        out.expect_empty();
    }
}

impl Out {
    fn expect_empty(&self) {
        assert!(self.decisions.is_empty(), "too much was decided: {:?}", self.decisions);
        assert!(self.orders.is_empty(), "orders without a decision: {:?}", self.orders);
    }
}

fn truths(settings: &Settings) -> Vec<Truth> {
    settings.feeds.iter().map(|feed| Truth::new(feed.gap, feed.silence_ns_max)).collect()
}

/// A message of ITCH: a halt, or anything about an instrument.
fn itch(random: &mut Random) -> Vec<u8> {
    let mut message = vec![*random.pick(b"AAAAAAAAAAAAHHh"), 0, random.below(5) as u8];
    message.resize(36, 0);
    message[10] = random.below(256) as u8;
    message[18] = random.below(256) as u8;
    message[19] = *random.pick(b"TTTHPQ");
    message[20] = *random.pick(b"TTTH");
    message
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len().max(1));
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            2 => bytes.extend([0xff, 0, 0x7f]),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if random.below(2) == 0 {
                        *byte ^ 1 << random.below(8)
                    } else {
                        random.below(256) as u8
                    };
                }
            }
        }
    }
    bytes.truncate(2_048);
}
