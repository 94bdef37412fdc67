//! All of it together: datagrams in, at most one order for each message out.

mod reload;

use crate::checks::{Checks, Moment};
use crate::counts::{Counts, Tally};
use crate::decision::{Decision, Outcome};
use crate::feeds::{Feed, FeedState, News};
use crate::halts::Halts;
use crate::level1::Level1;
use crate::memory::Memory;
use crate::order::{Event, Intent, Order};
use crate::positions::{EventCounts, Position};
use crate::settings::{Settings, SettingsError};
use crate::strategy::{Market, Strategy, Tick};
use crate::triggers::Trigger;
use crate::xdp::State;
use tickwire_frame::Reason;
use tickwire_market::packet::Session;
use tickwire_market::recovery::Place;
use tickwire_market::{Message, Packet};

/// Where orders go, and what became of each trigger.
pub trait Outlet {
    /// Writes an order behind what is to be sent. Nothing of it may leave the process before
    /// [`Responder::receive`] has returned: what was answered is written down behind this call.
    ///
    /// # Errors
    /// Why the target does not take it: nothing of it will be sent.
    fn order(&mut self, order: &Order) -> Result<(), Reason>;

    /// A strategy wanted an order, and this became of it.
    fn decided(&mut self, decision: &Decision);
}

/// When a datagram came, and when it is looked at, in nanoseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When its frame was received.
    pub received_ns: u64,
    /// Now.
    pub now_ns: u64,
}

/// Market data in, at most one order out.
#[derive(Debug)]
pub struct Responder<'m, S, M> {
    checks: Checks<'m>,
    feeds: Vec<Feed>,
    halts: Halts,
    strategy: S,
    market: M,
    counts: Counts,
    rules: Vec<Tally>,
    instruments: Vec<Tally>,
}

impl<'m, S: Strategy, M: Market> Responder<'m, S, M> {
    /// Begins with what `memory` has; see [`Checks::new`].
    ///
    /// # Errors
    /// [`SettingsError`].
    ///
    /// # Panics
    /// When the memory is not of these settings.
    pub fn new(
        settings: &Settings,
        memory: Memory<'m>,
        strategy: S,
        market: M,
    ) -> Result<Self, SettingsError> {
        let checks = Checks::new(settings, memory)?;
        let instruments = settings.instruments.len();
        Ok(Responder {
            checks,
            feeds: settings.feeds.iter().map(|feed| Feed::new(feed, instruments)).collect(),
            halts: Halts::new(instruments),
            strategy,
            market,
            counts: Counts::default(),
            rules: vec![Tally::default(); settings.rules.len()],
            instruments: vec![Tally::default(); instruments],
        })
    }

    /// A datagram of a feed. Orders go to the outlet, at most one for each message.
    ///
    /// # Panics
    /// When there is no such feed.
    #[inline]
    pub fn receive<O: Outlet>(
        &mut self,
        feed: u16,
        payload: &[u8],
        arrival: Arrival,
        outlet: &mut O,
    ) {
        let before = self.counts.read();
        self.receive_packet(feed, payload, arrival, outlet);
        let after = self.counts.read();
        self.feeds[usize::from(feed)].count(after.0 - before.0, after.1 - before.1);
    }

    #[inline]
    fn receive_packet<O: Outlet>(
        &mut self,
        feed: u16,
        payload: &[u8],
        arrival: Arrival,
        outlet: &mut O,
    ) {
        self.counts.packets += 1;
        let state = &mut self.feeds[usize::from(feed)];
        // Without a number nothing is missing, late or sent again: the shortest way.
        if let Some(Ok(message)) = Message::alone(state.protocol(), payload) {
            state.came(arrival.received_ns);
            self.receive_message((feed, Session::Unnamed), &message, arrival, false, outlet);
            return;
        }
        let Ok(packet) = Packet::parse(state.protocol(), payload) else {
            self.counts.packets_unreadable += 1;
            return;
        };
        let news = state.receive(&packet, arrival.received_ns);
        if state.take_lost() {
            self.market.lost(feed);
        }
        if news == News::None {
            self.counts.packets_without_news += 1;
            return;
        }
        if news == News::Behind {
            self.receive_behind(feed, &packet, arrival, outlet);
            return;
        }
        for message in packet.messages() {
            let Ok(message) = message else {
                self.counts.messages_cut += 1;
                break;
            };
            if self.feeds[usize::from(feed)].is_next(message.sequence) {
                let from = (feed, packet.session());
                self.receive_message(from, &message, arrival, false, outlet);
            }
        }
        self.feeds[usize::from(feed)].handed_on();
    }

    /// A packet behind a gap, or one that fills it. What waited is old news when it is its turn.
    #[cold]
    fn receive_behind<O: Outlet>(
        &mut self,
        feed: u16,
        packet: &Packet<'_>,
        arrival: Arrival,
        outlet: &mut O,
    ) {
        let (place, protocol) = (usize::from(feed), packet.protocol());
        let Some(mut waiting) = self.feeds[place].take_waiting() else { return };
        let from = (feed, packet.session());
        let mut hand_on = |responder: &mut Self, sequence: u64, bytes: &[u8]| {
            let message = Message { protocol, sequence, bytes };
            responder.receive_message(from, &message, arrival, true, outlet);
        };
        for message in packet.messages() {
            let Ok(Message { sequence, bytes, .. }) = message else {
                self.counts.messages_cut += 1;
                break;
            };
            let pushed =
                waiting.push(sequence, bytes, |number, bytes| hand_on(self, number, bytes));
            if pushed == Place::NoRoom {
                let last = sequence - 1;
                self.feeds[place].give_up(last, arrival.now_ns);
                self.feeds[place].take_lost();
                self.market.lost(feed);
                waiting.give_up(0, last, |number, bytes| hand_on(self, number, bytes));
                waiting.push(sequence, bytes, |number, bytes| hand_on(self, number, bytes));
            }
        }
        self.feeds[place].settle(waiting);
    }

    #[inline]
    fn receive_message<O: Outlet>(
        &mut self,
        (feed, session): (u16, Session),
        message: &Message<'_>,
        arrival: Arrival,
        waited: bool,
        outlet: &mut O,
    ) {
        self.counts.messages += 1;
        let Some(instrument) = self.market.apply(feed, message) else { return };
        self.counts.ticks += 1;
        self.halts.apply(instrument, message);
        let Some(market) = self.market.level1(feed, instrument) else { return };
        let state = &self.feeds[usize::from(feed)];
        let fresh = !waited && !state.is_stale(instrument);
        let tick = Tick {
            feed,
            protocol: message.protocol,
            instrument,
            sequence: message.sequence,
            fresh,
            message: message.bytes,
            market,
            received_ns: arrival.received_ns,
        };
        if let Some(intent) = self.strategy.decide(&tick)
            && let Some(trigger) = Trigger::of(session, instrument, message)
        {
            // Strategies may send an order for another instrument than that of their trigger.
            let of_another = intent.instrument != instrument;
            let traded = match of_another {
                true => self.market.level1(feed, intent.instrument),
                false => Some(market),
            };
            let moment = Moment {
                feed,
                trigger,
                is_stale: !fresh || of_another && state.is_stale(intent.instrument),
                is_halted: self.halts.is_halted(intent.instrument),
                reference: traded.and_then(Level1::reference),
                received_ns: arrival.received_ns,
                now_ns: arrival.now_ns,
            };
            self.decide(&intent, &moment, outlet);
        }
        self.feeds[usize::from(feed)].seen(instrument, message.sequence);
    }

    #[inline]
    fn decide<O: Outlet>(&mut self, intent: &Intent, at: &Moment, outlet: &mut O) {
        let held = self.checks.hold();
        let decided = self.checks.decide(intent, at).and_then(|order| {
            outlet.order(&order)?;
            self.checks.commit(&order, at);
            Ok(order.number)
        });
        drop(held);
        self.count(intent, decided);
        outlet.decided(&Decision {
            intent: *intent,
            feed: at.feed,
            trigger: at.trigger.number(),
            received_ns: at.received_ns,
            outcome: decided.map_or_else(Outcome::Refused, Outcome::Ordered),
        });
    }

    #[inline]
    fn count(&mut self, intent: &Intent, decided: Result<u64, Reason>) {
        self.counts.intents += 1;
        match decided {
            Ok(_) => self.counts.orders += 1,
            Err(reason) => self.counts.refused.add(reason, 1),
        }
        self.tally(intent, decided.map_or_else(Outcome::Refused, Outcome::Ordered));
    }

    #[inline]
    fn tally(&mut self, intent: &Intent, outcome: Outcome) {
        if let Some(tally) = self.rules.get_mut(usize::from(intent.rule)) {
            tally.add(outcome);
        }
        if let Some(tally) = self.instruments.get_mut(intent.instrument as usize) {
            tally.add(outcome);
        }
    }

    /// From now on, a program in the kernel decides on some instruments: see [`Checks::share`].
    pub fn share(&mut self, state: State<'m>, owned: &[bool]) {
        self.checks.share(state, owned);
    }

    /// What a program in the kernel decided is counted for its rule and instrument; in
    /// [`counts`](Self::counts) it is not.
    pub fn decided_in_kernel(&mut self, decision: &Decision) {
        self.tally(&decision.intent, decision.outcome);
    }

    /// The last packet of a feed that a program in the kernel saw came at `at_ns`, or 0; when the
    /// last one came that either of us saw.
    pub fn heard(&mut self, feed: u16, at_ns: u64) -> u64 {
        self.feeds[usize::from(feed)].heard(at_ns)
    }

    /// What a target said of an order.
    pub fn event(&mut self, event: &Event) {
        let _held = self.checks.hold();
        self.checks.positions.event(event);
    }

    /// Whether responding is switched on.
    pub fn is_enabled(&self) -> bool {
        self.checks.is_enabled()
    }

    /// Switches responding on or off. Unlike the kill switch, it is on again after a restart.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.checks.set_enabled(enabled);
    }

    /// What was done.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What was done by each rule.
    pub fn rules(&self) -> &[Tally] {
        &self.rules
    }

    /// What was done for each instrument.
    pub fn instruments(&self) -> &[Tally] {
        &self.instruments
    }

    /// What is held of an instrument, and what is open.
    ///
    /// # Panics
    /// When there is no such instrument.
    pub fn position(&self, instrument: u32) -> Position {
        self.checks.positions.position(instrument as usize)
    }

    /// How many orders are open, and how many of them wait for the first answer of their target.
    pub fn open_orders(&self) -> (usize, u32) {
        (self.checks.positions.open_orders(), self.checks.positions.in_flight())
    }

    /// What targets said.
    pub fn event_counts(&self) -> EventCounts {
        self.checks.positions.counts()
    }

    /// How a feed is at `now_ns`, and what came of it.
    ///
    /// # Panics
    /// When there is no such feed.
    pub fn feed(&self, feed: u16, now_ns: u64) -> FeedState {
        self.feeds[usize::from(feed)].state(now_ns)
    }

    /// Counts from 0 again.
    pub fn reset_counts(&mut self) {
        self.counts = Counts::default();
        self.rules.fill(Tally::default());
        self.instruments.fill(Tally::default());
        self.feeds.iter_mut().for_each(Feed::reset_counts);
    }

    /// Takes all feeds for complete: what is missing of them is not waited for any more.
    pub fn forget_gaps(&mut self) {
        self.feeds.iter_mut().for_each(Feed::forget_gaps);
    }

    /// Sets all positions to 0 and forgets what is open: what a person knows better.
    pub fn flatten(&mut self) {
        let _held = self.checks.hold();
        self.checks.positions.flatten();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Keys, OPEN_ORDERS_MAX};
    use crate::order::{EventKind, Side};
    use crate::settings::{
        FeedSettings, GapPolicy, Limits, RuleSettings, TargetSettings, tests_instrument,
    };
    use std::sync::atomic::AtomicU64;
    use tickwire_market::nanonet::little::{MarketData, MarketDataBuilder};
    use tickwire_market::{Ascii, Price, Protocol};

    const S_NS: u64 = 1_000_000_000;
    const NOW_NS: u64 = 1_800_000_000 * S_NS;

    /// Below 100.00, buy 100 a cent above.
    struct Below;

    impl Strategy for Below {
        fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
            let price = MarketData::parse(tick.message).ok()?.price().0;
            let (instrument, price) = (tick.instrument, i64::from(price) + 1);
            (price <= 10_000).then_some(Intent {
                rule: 0,
                instrument,
                target: 0,
                side: Side::Buy,
                price,
                quantity: 100,
            })
        }
    }

    /// The last trade of AAPL.
    struct Last(Level1);

    impl Market for Last {
        fn apply(&mut self, _: u16, message: &Message<'_>) -> Option<u32> {
            let tick = MarketData::parse(message.bytes).ok()?;
            self.0.trade(tick.price().0.into(), 1);
            (tick.symbol() == Ascii(*b"AAPL    ")).then_some(0)
        }

        fn level1(&self, _: u16, _: u32) -> Option<&Level1> {
            Some(&self.0)
        }

        fn lost(&mut self, _: u16) {}
    }

    #[derive(Default)]
    struct Sent {
        orders: Vec<Order>,
        decisions: Vec<Decision>,
        refuses: Option<Reason>,
    }

    impl Outlet for Sent {
        fn order(&mut self, order: &Order) -> Result<(), Reason> {
            self.refuses.map_or(Ok(()), Err)?;
            self.orders.push(*order);
            Ok(())
        }

        fn decided(&mut self, decision: &Decision) {
            self.decisions.push(*decision);
        }
    }

    impl Sent {
        fn last(&self) -> Outcome {
            self.decisions.last().unwrap().outcome
        }
    }

    fn settings(acknowledges: bool) -> Settings {
        let feed = FeedSettings {
            name: "ticks".into(),
            protocol: Protocol::Nanonet,
            age_ns_max: S_NS,
            silence_ns_max: None,
            gap: GapPolicy::Refuse,
        };
        Settings {
            feeds: vec![feed],
            instruments: vec![tests_instrument(*b"AAPL    ")],
            rules: vec![RuleSettings::default()],
            targets: vec![TargetSettings { name: "exchange".into(), acknowledges }],
            limits: Limits { orders_per_s: 1_000, in_flight_max: 10, hours: None },
        }
    }

    fn words(settings: &Settings) -> Vec<AtomicU64> {
        let mut words = Vec::new();
        words.resize_with(Keys::of(settings).words(), AtomicU64::default);
        words
    }

    fn tick(price: u32, timestamp: u64) -> MarketDataBuilder {
        let tick = MarketDataBuilder::new().symbol(Ascii::new("AAPL").unwrap());
        tick.price(Price(price)).quantity(100).timestamp(timestamp)
    }

    fn at(now_ns: u64) -> Arrival {
        Arrival { received_ns: now_ns, now_ns }
    }

    #[test]
    fn the_documented_run_and_its_duplicates() {
        let settings = settings(false);
        let words = words(&settings);
        let memory = Memory::create(&words, &Keys::of(&settings));
        memory.begin(NOW_NS, false);
        let first = memory.next_number();
        let mut responder = Responder::new(&settings, memory, Below, Last(Level1::new(1))).unwrap();
        let mut sent = Sent::default();
        for run in 0..2 {
            for n in 0..1_000 {
                let tick = tick(9_999, NOW_NS + n);
                let now_ns = NOW_NS + run * 10 * S_NS + n;
                responder.receive(0, tick.as_bytes(), at(now_ns), &mut sent);
            }
        }
        responder.receive(0, tick(10_000, NOW_NS + 1_000).as_bytes(), at(NOW_NS), &mut sent);
        responder.receive(0, b"short", at(NOW_NS), &mut sent);
        assert_eq!((sent.orders.len(), sent.decisions.len()), (1_000, 2_000));
        for (number, order) in (first..).zip(&sent.orders) {
            assert_eq!((order.number, &order.symbol), (number, b"AAPL    "));
            assert_eq!((order.intent.price, order.intent.quantity), (10_000, 100));
        }
        let counts = responder.counts();
        assert_eq!((counts.packets, counts.packets_unreadable, counts.ticks), (2_002, 1, 2_001));
        assert_eq!((counts.intents, counts.orders), (2_000, 1_000));
        assert_eq!(counts.refused[Reason::DuplicateTrigger], 1_000);
        assert_eq!(responder.rules()[0].refused[Reason::DuplicateTrigger], 1_000);
        assert_eq!(responder.instruments()[0].orders, 1_000);
        assert_eq!(responder.position(0), Position { net: 100_000, open_buy: 0, open_sell: 0 });
    }

    #[test]
    fn what_the_target_refuses_leaves_no_trace() {
        let settings = settings(true);
        let words = words(&settings);
        let memory = Memory::create(&words, &Keys::of(&settings));
        let mut responder = Responder::new(&settings, memory, Below, Last(Level1::new(1))).unwrap();
        let mut sent = Sent { refuses: Some(Reason::NotConnected), ..Sent::default() };
        responder.receive(0, tick(9_999, 1).as_bytes(), at(NOW_NS), &mut sent);
        assert_eq!(sent.last(), Outcome::Refused(Reason::NotConnected));
        assert_eq!((responder.open_orders(), memory.next_number()), ((0, 0), 1));
        sent.refuses = None;
        responder.receive(0, tick(9_999, 1).as_bytes(), at(NOW_NS), &mut sent);
        assert_eq!((sent.last(), responder.open_orders()), (Outcome::Ordered(1), (1, 1)));
        assert_eq!(responder.position(0).open_buy, 100);
    }

    #[test]
    fn a_killed_process_repeats_nothing_and_knows_what_is_open() {
        let settings = settings(true);
        let words = words(&settings);
        let memory = Memory::create(&words, &Keys::of(&settings));
        memory.begin(NOW_NS, false);
        let mut responder = Responder::new(&settings, memory, Below, Last(Level1::new(1))).unwrap();
        let mut sent = Sent::default();
        for n in 0..3 {
            responder.receive(0, tick(9_999, n).as_bytes(), at(NOW_NS), &mut sent);
        }
        let executed = EventKind::Executed { quantity: 30, price: 10_000 };
        responder.event(&Event { number: sent.orders[1].number, kind: executed });
        drop(responder);

        let memory = Memory::open(&words).unwrap();
        memory.begin(NOW_NS + S_NS, false);
        let mut responder = Responder::new(&settings, memory, Below, Last(Level1::new(1))).unwrap();
        assert_eq!((responder.position(0).net, responder.position(0).open_buy), (30, 270));
        assert_eq!(responder.open_orders(), (3, 2));
        for n in 0..4 {
            let at = at(NOW_NS + 2 * S_NS);
            responder.receive(0, tick(9_999, n).as_bytes(), at, &mut sent);
        }
        assert_eq!(sent.orders.len(), 4);
        assert!(sent.orders[3].number > sent.orders[2].number + OPEN_ORDERS_MAX as u64);
        let canceled = EventKind::Canceled { quantity: 70 };
        responder.event(&Event { number: sent.orders[1].number, kind: canceled });
        assert_eq!((responder.position(0).net, responder.position(0).open_buy), (30, 300));

        memory.end();
        let memory = Memory::open(&words).unwrap();
        memory.begin(NOW_NS + 2 * S_NS, false);
        let responder = Responder::new(&settings, memory, Below, Last(Level1::new(1))).unwrap();
        assert_eq!((responder.position(0), responder.open_orders()), (Position::default(), (0, 0)));
    }
}
