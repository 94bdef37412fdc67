//! A program in the kernel, a responder in user space and an oracle, which are given the same
//! frames and have to decide the same.
//!
//! The kernel's clock cannot be set, but what is added to it can. It says what time it was when it
//! decided; the others are told the same.

#[path = "../../../../fuzz/src/respond_oracle.rs"]
#[allow(dead_code)]
mod oracle;

use crate::cases::Case;
use crate::common::kernel::{Kernel, Nobody, clocks, ones, route};
use oracle::{Facts, Identity, Oracle};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::Protocol;
use tickwire_respond::format::{Encoder, ORDER_BYTES_MAX};
use tickwire_respond::memory::Keys;
use tickwire_respond::xdp::{Record, Route, State};
use tickwire_respond::{
    Arrival, Decision, Intent, Level1, Markets, Memory, Order, Outcome, Outlet, Responder, Rules,
    Tick,
};

pub const S_NS: u64 = 1_000_000_000;
/// Verdicts.
const DROP: u32 = 1;
const PASS: u32 = 2;
const TX: u32 = 3;
const REDIRECT: u32 = 4;
/// Interfaces to leave by, the first two of them that of test runs; whether a frame that came in
/// there can be sent back; and what the verdict is.
pub const WAYS: [(u32, bool, u32); 4] =
    [(1, true, TX), (1, false, REDIRECT), (7, true, REDIRECT), (7, false, REDIRECT)];
/// Where a tick begins in a frame, and how long it is.
pub const TICK_AT: usize = 42;
pub const TICK_BYTES: usize = 24;

/// What came of the frames.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Frames that the program decided on, and all others.
    pub ticks: u64,
    pub others: u64,
    pub orders: u64,
    pub refused: HashMap<Reason, u64>,
}

/// What left a responder, and what was decided.
struct Out {
    encoders: Vec<Encoder>,
    /// Why orders to a target cannot leave.
    refuses: Vec<Option<Reason>>,
    orders: Vec<(Order, Vec<u8>)>,
    decisions: Vec<Decision>,
}

impl Outlet for Out {
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        let mut bytes = [0; ORDER_BYTES_MAX];
        let target = usize::from(order.intent.target);
        self.refuses[target].map_or(Ok(()), Err)?;
        let len = self.encoders[target].encode(order, &mut bytes)?;
        self.orders.push((*order, bytes[..len].to_vec()));
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) {
        self.decisions.push(*decision);
    }
}

/// All three, and what the oracle has to know.
pub struct Twins<'c> {
    case: &'c Case,
    kernel: &'c Kernel,
    state: State<'c>,
    /// Knows the positions in the kernel.
    in_kernel: Responder<'c, Nobody, Nobody>,
    memory: Memory<'c>,
    responder: Responder<'c, Rules, Markets>,
    out: Out,
    routes: Vec<Route>,
    oracle: Oracle,
    /// By feed and instrument.
    markets: Vec<Vec<Level1>>,
    /// When a packet of each feed came last.
    heard_ns: Vec<Option<u64>>,
    /// What is added to the kernel's monotonic clock.
    pub clock_ns: u64,
    has_lease: bool,
    enabled: bool,
    /// The clock went back: the limit of orders a second is stricter than it must be then.
    went_back: bool,
    /// When the last orders were sent.
    pub sent_ns: Vec<u64>,
    figures: Figures,
}

/// The words of the responder's memory.
pub fn words(case: &Case) -> Vec<AtomicU64> {
    let mut words = Vec::new();
    words.resize_with(Keys::of(&case.config.settings).words(), AtomicU64::default);
    words
}

impl<'c> Twins<'c> {
    /// At the same start.
    pub fn new(case: &'c Case, kernel: &'c Kernel, words: &'c [AtomicU64]) -> Self {
        let config = &case.config;
        let memory = Memory::create(words, &Keys::of(&config.settings));
        let state = kernel.state();
        memory.take_over(&state.memory());
        let (rules, markets) = (Rules::new(config), Markets::new(config));
        let responder = Responder::new(&config.settings, memory, rules, markets).unwrap();
        let places = 0..kernel.plan.targets().len();
        let encoders =
            kernel.plan.targets().iter().map(|to| Encoder::new(&to.format, config.scale));
        let markets = config.instruments.iter().map(|known| Level1::new(known.tick));
        let markets: Vec<_> = markets.collect();
        let (wall_ns, monotonic_ns) = clocks();
        let mut twins = Twins {
            case,
            kernel,
            state,
            in_kernel: Responder::new(&config.settings, state.memory(), Nobody, Nobody).unwrap(),
            memory,
            responder,
            out: Out {
                encoders: encoders.collect(),
                refuses: vec![None; places.len()],
                orders: Vec::new(),
                decisions: Vec::new(),
            },
            routes: places.map(|place| route(&kernel.plan, place)).collect(),
            oracle: Oracle::new(config.settings.clone()),
            markets: vec![markets; config.feeds.len()],
            heard_ns: vec![None; config.feeds.len()],
            clock_ns: wall_ns - monotonic_ns,
            has_lease: true,
            enabled: true,
            went_back: false,
            sent_ns: Vec::new(),
            figures: Figures::default(),
        };
        twins.set_clock(twins.clock_ns);
        twins
    }

    /// Now, by the clock of the kernel.
    pub fn now_ns(&self) -> u64 {
        clocks().1 + self.clock_ns
    }

    /// Sets what is added to the kernel's monotonic clock.
    pub fn set_clock(&mut self, clock_ns: u64) {
        self.went_back |= clock_ns < self.clock_ns;
        self.clock_ns = clock_ns;
        let until_ns = if self.has_lease { u64::MAX } else { 0 };
        self.state.renew(until_ns, clock_ns);
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.routes.len()
    }

    /// Gives it a lease, or takes it.
    pub fn set_lease(&mut self, has_lease: bool) {
        self.has_lease = has_lease;
        self.set_clock(self.clock_ns);
        // User space needs none: there it is as if it was switched off.
        self.set_enabled(self.enabled);
    }

    pub fn set_killed(&mut self, killed: bool) {
        self.state.memory().set_killed(killed);
        self.memory.set_killed(killed);
        self.oracle.killed = killed;
    }

    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.state.set_enabled(enabled);
        self.responder.set_enabled(enabled && self.has_lease);
        self.oracle.enabled = enabled && self.has_lease;
    }

    /// Why orders to a target cannot leave; or which of the [`WAYS`] they take, and how long they
    /// may be.
    pub fn set_route(&mut self, target: usize, way: Result<(usize, u32), Reason>) {
        let order_bytes = self.out.encoders[target].order_bytes() as u32;
        self.out.refuses[target] = way.err();
        match way {
            Err(reason) => self.state.set_route(target, Err(reason)),
            Ok((way, mtu)) => {
                let (ifindex, sends_back, _) = WAYS[way];
                self.routes[target] = Route { ifindex, sends_back, mtu, ..self.routes[target] };
                self.state.set_route(target, Ok(&self.routes[target]));
                let fits = 28 + order_bytes <= mtu;
                self.out.refuses[target] = (!fits).then_some(Reason::TooLong);
            }
        }
    }

    /// Hands a frame to all of them.
    pub fn receive(&mut self, frame: &[u8]) {
        let (verdict, packet) = self.kernel.run(frame);
        let records = self.kernel.records();
        let has_rules = !self.kernel.plan.programs().is_empty();
        let Some(feed) = feed_of(&self.case.config, frame).filter(|_| has_rules) else {
            assert_eq!((verdict, &packet[..]), (PASS, frame), "no tick:\n{}", self.about());
            assert_eq!(records, []);
            self.figures.others += 1;
            return;
        };
        self.figures.ticks += 1;
        let tick = &frame[TICK_AT..TICK_AT + TICK_BYTES];
        let symbol = tick[..8].try_into().unwrap();
        let instrument = self.case.config.instruments.find(symbol);
        let Some(instrument) = instrument.filter(|&of| self.kernel.plan.owns(of as usize)) else {
            let is_whole = self.kernel.plan.feeds()[usize::from(feed)].is_whole;
            let goes_on = instrument.is_some() || !is_whole;
            let expected = if goes_on { PASS } else { DROP };
            assert_eq!((verdict, &packet[..], &records[..]), (expected, frame, &[][..]));
            if !goes_on {
                // It is of the feed all the same.
                let now_ns = self.time_of(feed, &records);
                self.tell(feed, tick, now_ns);
                self.hear(feed, now_ns);
            }
            return;
        };
        let now_ns = self.time_of(feed, &records);
        let expected = self.decide(feed, instrument, tick, now_ns, &records);
        self.expect(frame, (verdict, packet), expected, &records);
        self.hear(feed, now_ns);
    }

    /// When the program looked at the last tick of a feed, or any time that does as well.
    fn time_of(&self, feed: u16, records: &[Record]) -> u64 {
        match records {
            [record] => record.decision.received_ns,
            // It is older when the clock went back; nothing depends on it then.
            _ => self.state.last_packet_ns(feed.into()),
        }
    }

    fn hear(&mut self, feed: u16, now_ns: u64) {
        let place = usize::from(feed);
        let heard_ns = self.heard_ns[place].max(Some(now_ns));
        self.heard_ns[place] = heard_ns;
        assert_eq!(Some(self.state.last_packet_ns(place)), heard_ns, "{}", self.about());
    }

    fn tell(&mut self, feed: u16, tick: &[u8], now_ns: u64) {
        let at = Arrival { received_ns: now_ns, now_ns };
        self.responder.receive(feed, tick, at, &mut self.out);
    }

    /// What the responder decides, which is what the oracle says.
    fn decide(
        &mut self,
        feed: u16,
        instrument: u32,
        bytes: &[u8],
        now_ns: u64,
        records: &[Record],
    ) -> Option<Decision> {
        self.tell(feed, bytes, now_ns);
        let mut decision = self.out.decisions.pop();
        let place = usize::from(feed);
        let config = &self.case.config;
        let protocol = config.feeds[place].protocol;
        let number = |at: usize| {
            let mut four: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            if protocol == Protocol::NanonetBig {
                four.reverse();
            }
            u32::from_le_bytes(four)
        };
        let market = &mut self.markets[place][instrument as usize];
        let price = i64::from(number(8)) * 10_i64.pow(config.scale.0 - 2);
        market.begin();
        market.trade(price, number(12).into());
        let silence_ns_max = config.settings.feeds[place].silence_ns_max.unwrap_or(u64::MAX);
        let silent_ns = self.heard_ns[place].map_or(0, |last| now_ns.saturating_sub(last));
        let stale = silent_ns > silence_ns_max;
        let tick = Tick {
            feed,
            protocol,
            instrument,
            sequence: 0,
            fresh: !stale,
            message: bytes,
            market,
            received_ns: now_ns,
        };
        let intent = self.case.intent(&tick);
        let wanted = decision.map(|decision| decision.intent);
        assert_eq!(wanted, intent, "{tick:?} {records:?}\n{}", self.case.text);
        let intent = intent?;
        let stamp: [u8; 8] = bytes[16..].try_into().unwrap();
        let stamp_ns = match protocol {
            Protocol::Nanonet => u64::from_le_bytes(stamp),
            _ => u64::from_be_bytes(stamp),
        };
        let facts = Facts {
            feed,
            identity: Identity::Stamp(instrument, stamp_ns, bytes.to_vec()),
            stale,
            halted: false,
            reference: Some(price),
            received_ns: now_ns,
            now_ns,
        };
        let decided = decision.as_mut().expect("as is the intent");
        self.check(&intent, &facts, decided.outcome);
        if !self.has_lease && decided.outcome == Outcome::Refused(Reason::Disabled) && self.enabled
        {
            decided.outcome = Outcome::Refused(Reason::LeaseExpired);
        }
        decision
    }

    /// The oracle says the same.
    fn check(&mut self, intent: &Intent, facts: &Facts, outcome: Outcome) {
        let says = self.oracle.decide(intent, facts);
        match outcome {
            Outcome::Ordered(number) => {
                assert_eq!(says, Ok(()), "{intent:?} {facts:?}\n{}", self.about());
                self.oracle.sent(number, intent, facts);
                self.sent_ns.push(facts.now_ns);
            }
            // What formats and ways refuse comes behind all checks.
            Outcome::Refused(Reason::NotRepresentable) => assert_eq!(says, Ok(())),
            Outcome::Refused(reason) if self.is_way(intent.target, reason) => {
                assert_eq!(says, Ok(()));
            }
            Outcome::Refused(Reason::OrderRate) if self.went_back => {}
            Outcome::Refused(reason) => {
                assert_eq!(says, Err(reason), "{intent:?} {facts:?}\n{}", self.about());
            }
        }
    }

    fn is_way(&self, target: u16, reason: Reason) -> bool {
        self.out.refuses[usize::from(target)] == Some(reason)
    }

    /// What the program did is what was decided.
    fn expect(
        &mut self,
        frame: &[u8],
        (verdict, packet): (u32, Vec<u8>),
        expected: Option<Decision>,
        records: &[Record],
    ) {
        let decisions: Vec<_> = records.iter().map(|record| record.decision).collect();
        assert_eq!(decisions, Vec::from_iter(expected), "{}", self.about());
        let Some(decision) = expected else {
            return assert_eq!(verdict, DROP, "{}", self.about());
        };
        let source = SocketAddrV4::new(address(frame, 26), port(frame, 34));
        assert_eq!(records[0].source, source);
        match decision.outcome {
            Outcome::Refused(reason) => {
                assert_eq!(verdict, DROP);
                *self.figures.refused.entry(reason).or_default() += 1;
            }
            Outcome::Ordered(_) => {
                let (order, payload) = self.out.orders.pop().expect("an order that is decided");
                let way = self.routes[usize::from(order.intent.target)];
                let taken = |of: &&(u32, bool, u32)| (of.0, of.1) == (way.ifindex, way.sends_back);
                let expected = WAYS.iter().find(taken).map(|of| of.2);
                assert_eq!(Some(verdict), expected, "{}", self.about());
                let context = || format!("{order:?}\n{}", self.about());
                assert_eq!(packet, order_frame(&way, &frame[18..20], &payload), "{}", context());
                self.figures.orders += 1;
                self.compare(order.intent.instrument);
            }
        }
    }

    /// The position of an instrument and the next number are the same in both memories.
    fn compare(&self, instrument: u32) {
        let positions = [self.in_kernel.position(instrument), self.responder.position(instrument)];
        assert_eq!(positions[0], positions[1], "{}", self.about());
        assert_eq!(i128::from(positions[0].net), self.oracle.net(instrument));
        assert_eq!(self.state.memory().next_number(), self.memory.next_number());
    }

    /// All that is left behind is the same, and all was counted.
    pub fn finish(self) -> Figures {
        for instrument in 0..self.case.config.settings.instruments.len() as u32 {
            self.compare(instrument);
        }
        let counts = self.state.counts();
        let ticks: u64 = counts.ticks.iter().flatten().sum();
        let refused: HashMap<_, _> = counts.refused.iter().filter(|(_, many)| *many > 0).collect();
        assert_eq!((counts.orders, &refused), (self.figures.orders, &self.figures.refused));
        assert_eq!(counts.intents, counts.orders + refused.values().sum::<u64>());
        assert!(ticks <= self.figures.ticks && counts.busy == 0 && counts.lost == 0);
        self.figures
    }

    fn about(&self) -> &str {
        &self.case.text
    }
}

fn port(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn address(frame: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from(*frame[at..].first_chunk::<4>().unwrap())
}

/// The feed of a frame that is plainly a tick: Ethernet II without tags, IPv4 (RFC 791) without
/// options, whole, UDP (RFC 768) of 24 bytes with a checksum that is right, none, or left to
/// hardware. Bytes behind the datagram are Ethernet's padding.
fn feed_of(config: &tickwire_respond::Config, frame: &[u8]) -> Option<u16> {
    let word = |at: usize| port(frame, at);
    let is_tick = frame.len() >= TICK_AT + TICK_BYTES
        && word(12) == 0x0800
        && frame[14] == 0x45
        && usize::from(word(16)) == 28 + TICK_BYTES
        && frame[23] == 17
        && word(38) as usize == 8 + TICK_BYTES;
    if !is_tick {
        return None;
    }
    let (more_fragments, offset) = (word(20) & 0x2000, word(20) & 0x1fff);
    if more_fragments != 0 || offset != 0 {
        return None;
    }
    let listens = |feed: &&tickwire_respond::config::Feed| {
        let ip = feed.listen.ip();
        feed.listen.port() == word(36) && (ip.is_unspecified() || ip == address(frame, 30))
    };
    let feed = config.feeds.iter().find(listens)?;
    if feed.source.is_some_and(|source| source != address(frame, 26)) {
        return None;
    }
    let datagram = &frame[..TICK_AT + TICK_BYTES];
    let pseudo = ones(&datagram[26..34], 17 + 8 + TICK_BYTES as u32);
    let said = word(40);
    // Either zero of the ones' complement is right where it is a checksum.
    let is_right = ones(&datagram[34..], pseudo.into()) == 0xffff;
    let number = config.feeds.iter().position(|known| known == feed)? as u16;
    (said == 0 || said == pseudo || is_right).then_some(number)
}

/// The frame of an order.
fn order_frame(way: &Route, id: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = crate::common::kernel::frame(way.source, way.destination, payload);
    frame[..6].copy_from_slice(&way.destination_mac);
    frame[6..12].copy_from_slice(&way.source_mac);
    frame[18..20].copy_from_slice(id);
    frame[22] = way.ttl;
    frame[24..26].fill(0);
    let sum = !ones(&frame[14..34], 0);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}
