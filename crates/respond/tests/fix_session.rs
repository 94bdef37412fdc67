//! A FIX session against an exchange in memory: whatever happens to the connection between them,
//! no order arrives twice, and none is lost without a word.

mod common;

use common::{Random, corpus};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_market::fix::{Frames, dictionary::Dictionary};
use tickwire_respond::exchange::{Answer, Exchange, Faults, FixExchange};
use tickwire_respond::format::order_number;
use tickwire_respond::session::Resumed;
use tickwire_respond::session::fix::{FixSession, FixSettings, FixVersion};
use tickwire_respond::{Close, Event, EventKind, Intent, Order, Scale, Session, Side};

const BEGIN_NS: u64 = 1_795_253_400_000_000_000;

/// Steps that a run may have: it ends long before, or hangs.
const STEPS_MAX: u64 = 2_000_000;

/// What happens to a connection besides what the exchange does on purpose: every so many steps.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    cut: u64,
    garble: u64,
    /// The process is killed, and another one goes on.
    kill: u64,
}

/// What is known of an order from events alone.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    accepted: u32,
    rejected: u32,
    unsent: u32,
    executed: u32,
    canceled: u32,
}

struct World {
    random: Random,
    now_ns: u64,
    session: FixSession,
    settings: FixSettings,
    store: Arc<[AtomicU64; 2]>,
    orders: HashMap<u64, Order>,
    exchange: FixExchange,
    is_connected: bool,
    to_exchange: Vec<u8>,
    to_session: Vec<u8>,
    /// What each side has written, as far as it is not a whole message yet.
    written: [Vec<u8>; 2],
    dictionary: Option<Arc<Dictionary>>,
    fates: HashMap<u64, Fate>,
    arrived: HashMap<u64, Answer>,
    messages: u64,
    next: u64,
    kills: u64,
}

impl World {
    fn new(settings: FixSettings, faults: Faults, seed: u64) -> Self {
        let file = match settings.version {
            FixVersion::Fix42 => "FIX42.xml",
            FixVersion::Fix44 => "FIX44.xml",
        };
        let dictionary = corpus("market/fix/spec", "the dictionary as an oracle").map(|folder| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            Arc::new(Dictionary::parse(&text).unwrap())
        });
        let exchange = FixExchange::new(settings.version, faults);
        let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        World {
            random: Random(seed),
            now_ns: BEGIN_NS,
            session: FixSession::new(settings.clone(), Scale(2), Box::new(Arc::clone(&store)))
                .unwrap(),
            settings,
            store,
            orders: HashMap::new(),
            exchange,
            is_connected: false,
            to_exchange: Vec::new(),
            to_session: Vec::new(),
            written: Default::default(),
            dictionary,
            fates: HashMap::new(),
            arrived: HashMap::new(),
            messages: 0,
            next: 1,
            kills: 0,
        }
    }

    fn order(&mut self) -> Result<(), Reason> {
        let quantity = 1 + self.random.below(500) as u32;
        let price = 1 + self.random.below(1_000_000) as i64;
        let side = [Side::Buy, Side::Sell, Side::SellShort][self.random.below(3) as usize];
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let number = self.next;
        let order = Order { intent, symbol: *b"AAPL    ", number, at_ns: self.now_ns };
        self.session.order(&order)?;
        self.next += 1;
        self.orders.insert(number, order);
        self.fates.insert(number, Fate::default());
        Ok(())
    }

    /// The process is killed. What it knew of orders is in its memory; another one goes on.
    fn kill(&mut self) {
        let mut resumed: Vec<_> = self
            .fates
            .iter()
            .filter_map(|(&number, fate)| {
                let Intent { side, quantity, .. } = self.orders[&number].intent;
                let left = quantity - fate.executed - fate.canceled;
                let is_over = fate.rejected + fate.unsent > 0 || left == 0;
                (!is_over).then_some(Resumed {
                    number,
                    symbol: *b"AAPL    ",
                    side,
                    quantity,
                    executed: fate.executed,
                    left,
                    is_answered: fate.accepted + fate.executed > 0,
                })
            })
            .collect();
        resumed.sort_unstable_by_key(|order| order.number);
        let store = Box::new(Arc::clone(&self.store));
        self.session = FixSession::new(self.settings.clone(), Scale(2), store).unwrap();
        self.session.resume(&resumed);
        assert_eq!(self.session.uncertain(), resumed.len());
        self.kills += 1;
        self.end_connection();
    }

    fn connect(&mut self) {
        assert!(self.session.output().is_empty() && !self.session.is_ready());
        self.session.connected(self.now_ns);
        self.exchange.connected(self.now_ns);
        self.is_connected = true;
    }

    fn cut(&mut self) {
        let fates = &mut self.fates;
        self.session.disconnected(self.now_ns, &mut |event| told(fates, event));
        self.end_connection();
    }

    fn end_connection(&mut self) {
        self.exchange.disconnected(self.now_ns);
        self.to_exchange.clear();
        self.to_session.clear();
        self.written = Default::default();
        self.is_connected = false;
    }

    /// Some bytes on, in both directions; whole messages are held against the dictionary.
    fn carry(&mut self) {
        let amount = self.random.below(2000) as usize;
        let taken = self.session.output()[..amount.min(self.session.output().len())].to_vec();
        self.session.sent(taken.len());
        self.check(0, &taken);
        self.to_exchange.extend(taken);
        let amount = self.random.below(4000) as usize;
        let taken = self.exchange.output()[..amount.min(self.exchange.output().len())].to_vec();
        self.exchange.sent(taken.len());
        self.check(1, &taken);
        self.to_session.extend(taken);
    }

    fn check(&mut self, side: usize, bytes: &[u8]) {
        let written = &mut self.written[side];
        written.extend_from_slice(bytes);
        let mut frames = Frames::new(written);
        for message in frames.by_ref() {
            let message = message.expect("nobody writes garbled messages");
            self.messages += 1;
            let Some(dictionary) = &self.dictionary else { continue };
            let checked = dictionary.check(&message);
            assert_eq!(checked, Ok(()), "{}", message.bytes().escape_ascii());
        }
        let rest = frames.rest().to_vec();
        *written = rest;
    }

    fn deliver(&mut self) -> Result<(), Close> {
        let amount = self.random.below(2000) as usize;
        let bytes: Vec<u8> = self.to_exchange.drain(..amount.min(self.to_exchange.len())).collect();
        let arrived = &mut self.arrived;
        let came = self.exchange.received(&bytes, self.now_ns, &mut |order| {
            let number = order_number(order.client_order_id.as_bytes()).unwrap();
            assert_eq!(arrived.insert(number, order.answer), None, "order {number} came twice");
        });
        let ended = came.err().or(self.exchange.tick(self.now_ns).err());
        let amount = self.random.below(4000) as usize;
        let bytes: Vec<u8> = self.to_session.drain(..amount.min(self.to_session.len())).collect();
        let fates = &mut self.fates;
        self.session.received(&bytes, self.now_ns, &mut |event| told(fates, event))?;
        self.session.tick(self.now_ns)?;
        ended.map_or(Ok(()), |why| Err(Close { why, reconnect: true }))
    }

    /// Until `orders` have been sent, and what became of each of them is known.
    fn run(&mut self, orders: u64, weather: Weather) {
        for _ in 0..STEPS_MAX {
            let is_over = self.next > orders;
            if is_over && self.is_connected && self.session.is_ready() && self.is_quiet() {
                return;
            }
            if !self.is_connected {
                self.connect();
            }
            self.now_ns += self.random.below(20_000_000);
            if self.session.is_ready() && self.exchange.output().is_empty() && is_over {
                self.now_ns += 1_000_000_000;
            }
            for _ in 0..self.random.below(8) {
                if self.next <= orders && self.order().is_err() {
                    break;
                }
            }
            self.carry();
            if weather.garble > 0 && self.session.is_ready() && self.random.one_in(weather.garble) {
                let towards = self.random.one_in(2);
                let pipe = if towards { &mut self.to_exchange } else { &mut self.to_session };
                let at = self.random.below(pipe.len().max(1) as u64) as usize;
                pipe.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
            }
            let closed = self.deliver().err();
            if let Some(close) = &closed {
                assert!(close.reconnect, "{close}");
            }
            let is_cut = weather.cut > 0 && !is_over && self.random.one_in(weather.cut);
            if weather.kill > 0 && !is_over && self.random.one_in(weather.kill) {
                self.kill();
            } else if closed.is_some() || is_cut {
                self.cut();
            }
        }
        panic!("it does not end: {:?} {:?}", self.session, self.exchange);
    }

    fn is_quiet(&self) -> bool {
        let is_known = |fate: &Fate| fate.accepted + fate.rejected + fate.unsent > 0;
        self.fates.values().all(is_known)
            && self.session.uncertain() == 0
            && self.to_session.is_empty()
            && self.exchange.output().is_empty()
            && self.session.output().is_empty()
    }

    /// Each order arrived once, or did not and we were told; executions are those of the exchange.
    fn settle(&self) -> u64 {
        let (mut unsent, mut rejected) = (0, 0);
        for (number, fate) in &self.fates {
            let arrived = self.arrived.get(number);
            let answered = fate.accepted + fate.rejected;
            assert_eq!(answered + fate.unsent, 1, "order {number}: {fate:?} {arrived:?}");
            assert_eq!(arrived.is_some(), fate.unsent == 0, "order {number}: {fate:?}");
            let expected = if fate.rejected == 1 { Answer::Rejected } else { Answer::Accepted };
            assert!(arrived.is_none_or(|answer| *answer == expected), "order {number}");
            (unsent, rejected) =
                (unsent + u64::from(fate.unsent), rejected + u64::from(fate.rejected));
            assert_eq!(fate.canceled, 0);
        }
        let numbers: HashSet<_> = self.fates.keys().collect();
        assert!(self.arrived.keys().all(|number| numbers.contains(number)));
        let tally = self.exchange.tally();
        assert_eq!((tally.duplicates, tally.sequence_errors, tally.bad_orders), (0, 0, 0));
        assert_eq!(tally.rejected, rejected);
        assert_eq!(tally.orders + unsent, self.fates.len() as u64, "{tally:?}");
        let counts = self.session.counts();
        assert_eq!((counts.sequence_errors, counts.unknown_orders), (0, 0), "{counts:?}");
        unsent
    }
}

fn told(fates: &mut HashMap<u64, Fate>, event: Event) {
    let fate = fates.get_mut(&event.number).expect("an order that was sent");
    match event.kind {
        EventKind::Accepted => fate.accepted += 1,
        EventKind::Rejected(_) => fate.rejected += 1,
        EventKind::Unsent(reason) => {
            assert!(matches!(reason, Reason::NotConnected | Reason::UnknownOrder), "{reason}");
            fate.unsent += 1;
        }
        EventKind::Executed { quantity, .. } => fate.executed += quantity,
        EventKind::Canceled { quantity } => fate.canceled += quantity,
    }
}

fn settings(version: FixVersion) -> FixSettings {
    FixSettings { heartbeat_s: 1, ..FixSettings::new(version, "TW", "XCH") }
}

const ORDERS: u64 = 10_000;

#[test]
fn ten_thousand_orders_in_good_weather() {
    for version in [FixVersion::Fix42, FixVersion::Fix44] {
        let faults = Faults { fill_percent: 50, reject_every: 100, ..Faults::default() };
        let mut world = World::new(settings(version), faults, 1);
        world.run(ORDERS, Weather::default());
        assert_eq!(world.settle(), 0);
        let executed = world.fates.values().filter(|fate| fate.executed > 0).count();
        assert_eq!(executed as u64, 9_900 / 2);
        assert_eq!(world.session.orders_open(), 9_900 / 2);
        assert!(world.messages > 29_000);
    }
}

#[test]
fn ten_thousand_orders_over_connections_that_break() {
    let faults = Faults { disconnect_every: 331, fill_percent: 30, ..Faults::default() };
    let mut world = World::new(settings(FixVersion::Fix42), faults, 2);
    world.run(ORDERS, Weather { cut: 50, ..Weather::default() });
    let unsent = world.settle();
    let tally = world.exchange.tally();
    assert!(unsent > 100 && tally.cuts > 15 && tally.logins > 60, "{unsent} {tally:?}");
}

#[test]
fn ten_thousand_orders_of_which_and_of_whose_answers_some_get_lost() {
    let faults = Faults {
        withhold_every: 97,
        miss_every: 89,
        silent_after: 5_000,
        reject_every: 50,
        ..Faults::default()
    };
    let mut world = World::new(settings(FixVersion::Fix44), faults, 5);
    world.run(ORDERS, Weather { cut: 500, garble: 60, kill: 0 });
    let unsent = world.settle();
    let counts = (world.session.counts(), world.exchange.counts());
    assert!(unsent > 50 && counts.0.resends_asked > 50, "{unsent} {counts:?}");
    assert!(counts.1.resends_asked > 50 && counts.1.garbled > 10, "{counts:?}");
}

/// Orders are sent again when that is what one wants, and arrive once all the same.
#[test]
fn orders_that_got_lost_arrive_when_sent_again() {
    let faults = Faults { miss_every: 40, disconnect_every: 501, ..Faults::default() };
    let settings = FixSettings { resend_orders_ms: u64::MAX, ..settings(FixVersion::Fix44) };
    let mut world = World::new(settings, faults, 6);
    world.run(ORDERS, Weather { garble: 100, ..Weather::default() });
    let unsent = world.settle();
    // Only what no byte of had left, or not all of them, is known to be unsent.
    assert!(unsent < 1_000, "{unsent}");
    assert!(world.exchange.counts().resends_asked > 100);
}

/// Short runs of every kind, each from its own seed: 20, or as many as TICKWIRE_FIX_RUNS says.
#[test]
fn whatever_happens_each_order_arrives_once_or_not_at_all() {
    let runs = std::env::var("TICKWIRE_FIX_RUNS").ok().and_then(|runs| runs.parse().ok());
    for seed in 0..runs.unwrap_or(20) {
        let mut random = Random(seed ^ 0x5eed);
        let mut every = |most: u64| if random.one_in(2) { 0 } else { 2 + random.below(most) };
        let faults = Faults {
            disconnect_every: every(100),
            silent_after: every(100),
            reject_every: every(50),
            fill_percent: every(99) as u8,
            withhold_every: every(50),
            miss_every: every(50),
        };
        // Not so bad that nothing gets through: a Logon and what is missing take some steps.
        let kill = every(400) * 5;
        let weather = Weather { cut: every(400) * 5, garble: every(200) * 3, kill };
        let version = [FixVersion::Fix42, FixVersion::Fix44][every(2) as usize & 1];
        let resend_orders_ms = every(2000);
        let reset_on_logon = every(3) == 2;
        let settings = FixSettings { resend_orders_ms, reset_on_logon, ..settings(version) };
        eprintln!("seed {seed}: {faults:?} {weather:?} {resend_orders_ms}");
        let mut world = World::new(settings, faults, seed);
        world.run(200, weather);
        world.settle();
    }
}

/// Numbers begin again with each connection, or the process is lost: the peer is asked.
#[test]
fn what_numbers_do_not_tell_is_asked_for() {
    for (version, reset_on_logon, weather) in [
        (FixVersion::Fix42, true, Weather { cut: 60, ..Weather::default() }),
        (FixVersion::Fix44, true, Weather { cut: 60, ..Weather::default() }),
        (FixVersion::Fix42, false, Weather { kill: 60, ..Weather::default() }),
        (FixVersion::Fix44, false, Weather { kill: 60, cut: 90, garble: 70 }),
        (FixVersion::Fix44, true, Weather { kill: 120, cut: 120, garble: 0 }),
    ] {
        let faults = Faults {
            disconnect_every: 151,
            reject_every: 50,
            fill_percent: 60,
            silent_after: 1_000,
            ..Faults::default()
        };
        let settings = FixSettings { reset_on_logon, ..settings(version) };
        let mut world = World::new(settings, faults, 8);
        world.run(3_000, weather);
        let unsent = world.settle();
        let tally = world.exchange.tally();
        assert!(unsent > 20 && tally.status_requests > 50, "{unsent} {tally:?}");
        assert_eq!(world.kills > 5, weather.kill > 0, "{}", world.kills);
        // Nothing is executed beyond what the exchange says, nor forgotten.
        for (number, fate) in world.fates.iter().filter(|(_, fate)| fate.executed > 0) {
            assert_eq!(fate.executed, world.orders[number].intent.quantity, "order {number}");
        }
        let executed = world.fates.values().filter(|fate| fate.executed > 0).count();
        assert_eq!(executed as u64, tally.accepted * 60 / 100);
    }
}

#[test]
fn numbers_go_on_in_another_process() {
    let store = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let new = || {
        let settings = settings(FixVersion::Fix42);
        FixSession::new(settings, Scale(2), Box::new(Arc::clone(&store))).unwrap()
    };
    let mut world = World::new(settings(FixVersion::Fix42), Faults::default(), 7);
    world.session = new();
    world.run(100, Weather::default());
    let before = world.session.sequence();
    // Orders that never left: the process was killed.
    world.order().unwrap();
    world.order().unwrap();
    world.exchange.disconnected(world.now_ns);
    (world.to_exchange, world.to_session) = Default::default();
    (world.written, world.is_connected) = Default::default();
    world.session = new();
    assert_eq!(world.session.sequence(), (before.0 + 2, before.1));
    world.fates.clear();
    world.arrived.clear();
    world.run(300, Weather::default());
    let tally = world.exchange.tally();
    assert_eq!((tally.orders, tally.errors()), (298, 0), "{tally:?}");
    assert_eq!(world.exchange.counts().resends_asked, 1);
}
