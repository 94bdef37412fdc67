//! Ten thousand orders through a SoupBinTCP session that is cut at any byte, against an exchange
//! that keeps its own books: each order is there once, or known as never arrived.

mod common;

use common::Random;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use tickwire_frame::Reason;
use tickwire_respond::exchange::{Answer, Exchange, Faults, OuchVersion, Received, SoupExchange};
use tickwire_respond::format::{Ouch42, Ouch50, order_number};
use tickwire_respond::memory::TARGET_WORDS;
use tickwire_respond::session::{Ouch, Resumed, SoupCounts, SoupSession, SoupSettings};
use tickwire_respond::{Close, Event, EventKind, Intent, Order, Scale, Session, Side};

const SCALE: Scale = Scale(6);

/// A day takes no more steps than this for each order, or it hangs.
const STEPS_PER_ORDER_MAX: u64 = 400;

/// What is known of an order on our side, from events alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    order: Order,
    is_accepted: bool,
    executed: u32,
    canceled: u32,
    is_rejected: bool,
    is_unsent: bool,
}

impl Known {
    fn is_done(&self) -> bool {
        let left = self.order.intent.quantity - self.executed - self.canceled;
        self.is_rejected || self.is_unsent || left == 0
    }
}

struct Day {
    random: Random,
    ouch: Ouch,
    /// What outlives a process.
    words: &'static [AtomicU64],
    kills: u64,
    session: SoupSession,
    exchange: SoupExchange,
    is_connected: bool,
    now_ns: u64,
    /// Bytes on the way.
    to_exchange: Vec<u8>,
    to_session: Vec<u8>,
    ours: HashMap<u64, Known>,
    theirs: HashMap<u64, Received>,
    connections: u64,
    closes: Vec<Close>,
}

impl Day {
    fn new(seed: u64, ouch: &Ouch, faults: Faults) -> Self {
        let version = match ouch {
            Ouch::V42(_) => OuchVersion::V42,
            Ouch::V50(_) => OuchVersion::V50,
        };
        let words: Vec<_> = (0..TARGET_WORDS).map(|_| AtomicU64::new(0)).collect();
        let words: &'static [AtomicU64] = words.leak();
        Day {
            random: Random(seed),
            ouch: ouch.clone(),
            words,
            kills: 0,
            session: session(ouch, words),
            exchange: SoupExchange::new(version, faults),
            is_connected: false,
            now_ns: 1_800_000_000_000_000_000,
            to_exchange: Vec::new(),
            to_session: Vec::new(),
            ours: HashMap::new(),
            theirs: HashMap::new(),
            connections: 0,
            closes: Vec::new(),
        }
    }

    fn connect(&mut self) {
        assert!(!self.is_connected);
        self.is_connected = true;
        self.connections += 1;
        self.exchange.connected(self.now_ns);
        self.session.connected(self.now_ns);
    }

    /// The connection is gone, and all that was on the way.
    fn disconnect(&mut self) {
        if std::mem::take(&mut self.is_connected) {
            self.to_exchange.clear();
            self.to_session.clear();
            self.exchange.disconnected(self.now_ns);
            let ours = &mut self.ours;
            self.session.disconnected(self.now_ns, &mut |event| note(ours, event));
            assert_eq!(self.session.output(), b"");
        }
    }

    /// The process is killed. What it knew of orders is in its memory; another one goes on.
    fn kill(&mut self) {
        self.to_exchange.clear();
        self.to_session.clear();
        self.exchange.disconnected(self.now_ns);
        self.is_connected = false;
        let open = self.ours.values().filter(|known| !known.is_done());
        let mut resumed: Vec<_> = open
            .map(|known| {
                let Known { order, executed, canceled, .. } = *known;
                let Intent { side, quantity, .. } = order.intent;
                Resumed {
                    number: order.number,
                    symbol: order.symbol,
                    side,
                    quantity,
                    executed,
                    left: quantity - executed - canceled,
                    is_answered: known.is_accepted,
                }
            })
            .collect();
        resumed.sort_unstable_by_key(|order| order.number);
        self.session = session(&self.ouch, self.words);
        self.session.resume(&resumed);
        assert_eq!(self.session.open_orders().count(), resumed.len());
        self.kills += 1;
    }

    /// Hands bytes on, cut anywhere, in both directions.
    fn carry(&mut self) {
        let random = &mut self.random;
        let taken = random.below(self.session.output().len() as u64 + 1) as usize;
        self.to_exchange.extend_from_slice(&self.session.output()[..taken]);
        self.session.sent(taken);
        let taken = random.below(self.exchange.output().len() as u64 + 1) as usize;
        self.to_session.extend_from_slice(&self.exchange.output()[..taken]);
        self.exchange.sent(taken);

        let (ours, theirs) = (&mut self.ours, &mut self.theirs);
        let cut = random.below(self.to_session.len() as u64 + 1) as usize;
        let bytes: Vec<_> = self.to_session.drain(..cut).collect();
        if let Err(close) =
            self.session.received(&bytes, self.now_ns, &mut |event| note(ours, event))
        {
            self.closes.push(close);
            return self.disconnect();
        }
        let cut = random.below(self.to_exchange.len() as u64 + 1) as usize;
        let bytes: Vec<_> = self.to_exchange.drain(..cut).collect();
        let mut take = |received: Received| {
            assert_ne!(received.answer, Answer::Duplicate, "{received:?}");
            let number = order_number(received.client_order_id.as_bytes()).expect("our id");
            assert_eq!(theirs.insert(number, received), None);
        };
        if self.exchange.received(&bytes, self.now_ns, &mut take).is_err() {
            self.disconnect();
        }
    }

    fn tick(&mut self) {
        self.now_ns += 100_000_000;
        if let Err(close) = self.session.tick(self.now_ns) {
            self.closes.push(close);
            self.disconnect();
        } else if self.is_connected && self.exchange.tick(self.now_ns).is_err() {
            self.disconnect();
        }
    }

    fn order(&mut self, number: u64) -> Result<(), Reason> {
        let side = [Side::Buy, Side::Sell, Side::SellShort][self.random.below(3) as usize];
        let price = (1 + self.random.below(2_000_000)) as i64 * 100;
        let quantity = 1 + self.random.below(1_000) as u32;
        let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
        let order = Order { intent, symbol: *b"AAPL    ", number, at_ns: self.now_ns };
        self.session.order(&order)?;
        let known = Known {
            order,
            is_accepted: false,
            executed: 0,
            canceled: 0,
            is_rejected: false,
            is_unsent: false,
        };
        assert_eq!(self.ours.insert(number, known), None);
        Ok(())
    }

    /// Sends `orders`, cutting the connection once in `cut_every` steps, until all are settled.
    fn run(&mut self, orders: u64, cut_every: u64) {
        self.run_and_kill(orders, cut_every, u64::MAX);
    }

    /// The same, and kills the process once in `kill_every` steps.
    fn run_and_kill(&mut self, orders: u64, cut_every: u64, kill_every: u64) {
        let (mut next, mut steps) = (1, 0);
        loop {
            steps += 1;
            assert!(steps < orders * STEPS_PER_ORDER_MAX, "it hangs: {} sent", next - 1);
            if !self.is_connected {
                self.tick();
                self.connect();
            }
            // Numbers have holes: other targets take from them, too.
            if next <= orders && self.order(next * 3).is_ok() {
                next += 1;
            }
            for _ in 0..=self.random.below(4) {
                self.carry();
            }
            if self.random.below(10) == 0 {
                self.tick();
            }
            if next <= orders && self.random.below(cut_every) == 0 {
                self.disconnect();
            }
            if next <= orders && self.random.below(kill_every) == 0 {
                self.kill();
            }
            let open = self.session.uncertain_orders().count();
            let is_settled = self.to_session.is_empty() && self.exchange.output().is_empty();
            if next > orders && open == 0 && is_settled && self.all_answered() {
                return;
            }
        }
    }

    fn all_answered(&self) -> bool {
        self.session.open_orders().all(|number| self.ours[&number].is_accepted)
            && self.session.output().is_empty()
            && self.to_exchange.is_empty()
    }

    /// Both sides tell the same of every order.
    fn agree(&self) {
        for (number, known) in &self.ours {
            let intent = known.order.intent;
            let Some(received) = self.theirs.get(number) else {
                assert!(known.is_unsent, "lost without a word: {known:?}");
                continue;
            };
            assert!(!known.is_unsent, "said to be unsent, but it is there: {known:?}");
            assert_eq!(received.answer == Answer::Rejected, known.is_rejected, "{known:?}");
            assert_eq!(received.answer == Answer::Accepted, known.is_accepted, "{known:?}");
            let fields = (received.side, received.price * 100, received.quantity);
            assert_eq!(fields, (intent.side, intent.price, intent.quantity));
            assert_eq!((received.symbol.as_str(), received.decimals), ("AAPL", 4));
        }
        assert!(self.theirs.keys().all(|number| self.ours.contains_key(number)));
        let (tally, counts) = (self.exchange.tally(), self.session.counts());
        assert_eq!((tally.errors(), counts), (0, SoupCounts::default()), "{tally:?}");
        let executions = self.ours.values().filter(|known| known.executed > 0).count() as u64;
        let canceled = self.ours.values().filter(|known| known.canceled > 0).count() as u64;
        assert_eq!((tally.executions, tally.canceled), (executions, canceled));
        assert_eq!(tally.orders, self.theirs.len() as u64);
        let open = self.ours.values().filter(|known| !known.is_done()).count();
        assert_eq!((open, self.session.open_orders().count()), (self.exchange.open_orders(), open));
        assert!(self.closes.iter().all(|close| close.reconnect), "{:?}", self.closes);
    }
}

fn session(ouch: &Ouch, words: &'static [AtomicU64]) -> SoupSession {
    let mut session = SoupSession::new(&SoupSettings::default(), ouch, SCALE).unwrap();
    session.keep_in(words);
    session
}

fn note(ours: &mut HashMap<u64, Known>, event: Event) {
    let known = ours.get_mut(&event.number).expect("an event for an order that does not exist");
    assert!(!known.is_done(), "{event:?} after the end of {known:?}");
    match event.kind {
        EventKind::Accepted => {
            assert!(!known.is_accepted, "accepted twice");
            known.is_accepted = true;
        }
        EventKind::Rejected(_) => known.is_rejected = true,
        EventKind::Executed { quantity, price } => {
            assert_eq!(price, known.order.intent.price);
            known.executed += quantity;
        }
        EventKind::Canceled { quantity } => known.canceled += quantity,
        EventKind::Unsent(reason) => {
            assert_eq!(reason, Reason::NotConnected);
            known.is_unsent = true;
        }
    }
}

fn immediate() -> [Ouch; 2] {
    [Ouch::V42(Ouch42::default()), Ouch::V50(Ouch50::default())]
}

fn resting() -> [Ouch; 2] {
    [
        Ouch::V42(Ouch42 { time_in_force: 99_998, ..Ouch42::default() }),
        Ouch::V50(Ouch50 { time_in_force: '0', ..Ouch50::default() }),
    ]
}

#[test]
fn ten_thousand_orders_over_connections_that_are_cut_anywhere() {
    for ouch in immediate() {
        let faults = Faults {
            disconnect_every: 333,
            reject_every: 7,
            fill_percent: 50,
            ..Faults::default()
        };
        let mut day = Day::new(1, &ouch, faults);
        day.run(10_000, 100);
        day.agree();
        let unsent = day.ours.values().filter(|known| known.is_unsent).count();
        assert!(unsent > 10, "no order was ever lost: nothing was tested");
        assert!(day.exchange.tally().cuts > 20 && day.connections > 100, "{}", day.connections);
        assert!(day.ours.values().any(|known| known.executed > 0));
        assert!(day.ours.values().any(|known| known.is_rejected));
    }
}

#[test]
fn orders_that_rest_are_cancelled_after_a_cut() {
    for ouch in resting() {
        let faults = Faults { fill_percent: 30, disconnect_every: 50, ..Faults::default() };
        let mut day = Day::new(2, &ouch, faults);
        day.run(2_000, 200);
        day.agree();
        let canceled = day.ours.values().filter(|known| known.canceled > 0).count();
        assert!(canceled > 1_000, "{canceled}");
    }
}

/// Nothing that was said between two processes is lost, and nothing is booked by both.
#[test]
fn processes_that_are_killed_leave_no_order_in_doubt() {
    for ouch in immediate().into_iter().chain(resting()) {
        let faults = Faults {
            disconnect_every: 333,
            reject_every: 7,
            fill_percent: 50,
            ..Faults::default()
        };
        let mut day = Day::new(5, &ouch, faults);
        day.run_and_kill(3_000, 150, 60);
        day.agree();
        let unsent = day.ours.values().filter(|known| known.is_unsent).count();
        assert!(unsent > 10 && day.kills > 30, "{unsent} unsent, {} killed", day.kills);
    }
}

#[test]
fn in_a_session_that_is_over_nothing_is_guessed() {
    for ouch in resting() {
        let mut day = Day::new(6, &ouch, Faults::default());
        day.run(50, u64::MAX);
        day.kill();
        day.session.connected(day.now_ns);
        let asked = String::from_utf8_lossy(day.session.output()).into_owned();
        assert!(asked.contains("TICKWIRE"), "{asked}");
        let close =
            day.session.received(b"\x00\x02JS", day.now_ns, &mut |event| panic!("{event:?}"));
        let close = close.unwrap_err();
        assert!(!close.reconnect && close.why.contains("reset --positions"), "{close}");
        assert_eq!(day.session.open_orders().count(), 50);
    }
}

#[test]
fn a_silent_exchange_is_left_and_what_was_sent_meanwhile_is_found_again() {
    for ouch in immediate() {
        let faults = Faults { silent_after: 100, fill_percent: 100, ..Faults::default() };
        let mut day = Day::new(3, &ouch, faults);
        day.run(1_000, u64::MAX);
        day.agree();
        let why: Vec<_> = day.closes.iter().map(|close| close.why.as_str()).collect();
        let silence = "the exchange said nothing for 15 seconds, not even a heartbeat";
        assert_eq!((day.connections, why), (2, vec![silence]));
        assert!(day.ours.values().all(|known| known.executed > 0));
    }
}

#[test]
fn an_idle_session_stays_up_and_an_idle_exchange_too() {
    for ouch in immediate() {
        let mut day = Day::new(4, &ouch, Faults::default());
        day.connect();
        for _ in 0..3_000 {
            day.carry();
            day.tick();
        }
        assert!(day.is_connected && day.session.is_ready());
    }
}
