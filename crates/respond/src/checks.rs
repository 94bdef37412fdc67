//! The checks before every order, in the order in which they are asked: the first that refuses
//! names the reason.
//!
//! | reason | refused when |
//! |---|---|
//! | `kill_switch` | the kill switch is on |
//! | `disabled` | responding is switched off |
//! | `not_configured` | the strategy named a rule, an instrument or a target that is not there |
//! | `not_in_kernel` | a program in the kernel decides on the instrument: see [`xdp`](crate::xdp) |
//! | `market_closed` | outside of the hours, or the feed said that the instrument is halted |
//! | `stale_feed` | a gap is open, the feed was silent, the frame is too old, its time ahead |
//! | `duplicate_trigger` | it was answered before: see `triggers` |
//! | `cool_down` | the rule sent an order for the instrument too short a time ago |
//! | `quantity_max` | 0, or more than allowed |
//! | `notional_max` | price times quantity is more than allowed |
//! | `no_reference` | no trade and no book to hold the price against |
//! | `price_collar` | not above zero, or too far from the reference, above or below |
//! | `tick_size` | no multiple of the instrument's smallest change of price |
//! | `order_rate` | as many orders as allowed left in the second that ends now |
//! | `in_flight_max` | as many orders as allowed wait for an answer, or are open |
//! | `position_max` | too great if all that is open on that side were executed |
//!
//! What the target refuses comes behind them: `not_connected`, `not_representable` and what
//! transports say. A limit itself is allowed; one beyond it is not.
//!
//! The collar holds in both directions. A price that is too good is as wrong as one that is too
//! bad: where it comes from a mistake, its sender does not know what it does.

mod reload;

use crate::memory::{Keys, Memory};
use crate::order::{Intent, Order};
use crate::positions::Positions;
use crate::rate::{CoolDowns, Rate};
use crate::settings::{InstrumentSettings, Limits, Settings, SettingsError};
use crate::triggers::{AHEAD_NS_MAX, Trigger, answer, is_answered};
use crate::xdp::{Locked, State};
use std::sync::atomic::Ordering::{Relaxed, Release};
use tickwire_frame::Reason;

/// What the checks have to know of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The feed of the trigger.
    pub feed: u16,
    /// The trigger.
    pub trigger: Trigger,
    /// Whether messages of the feed are missing, or it was silent for too long.
    pub is_stale: bool,
    /// Whether the feed said that the instrument does not trade.
    pub is_halted: bool,
    /// The last trade or the middle of the book, in units of the [`Scale`](crate::Scale).
    pub reference: Option<i64>,
    /// When the frame was received, in nanoseconds since 1970 UTC.
    pub received_ns: u64,
    /// When it is decided on, in nanoseconds since 1970 UTC.
    pub now_ns: u64,
}

/// The limits, and what they have to remember.
#[derive(Debug)]
pub struct Checks<'m> {
    memory: Memory<'m>,
    enabled: bool,
    limits: Limits,
    instruments: Vec<InstrumentSettings>,
    /// Of each feed: how old a frame may be.
    age_ns_max: Vec<u64>,
    rules: usize,
    rate: Rate,
    cool_downs: CoolDowns,
    pub(crate) positions: Positions<'m>,
    shared: Option<Shared<'m>>,
}

/// What is shared with a program in the kernel.
#[derive(Debug)]
struct Shared<'m> {
    state: State<'m>,
    /// Of each instrument: whether the kernel decides on it.
    owned: Vec<bool>,
}

impl<'m> Checks<'m> {
    /// Begins with what `memory` has; responding is switched on.
    ///
    /// # Errors
    /// [`SettingsError`].
    ///
    /// # Panics
    /// When the memory is not of these settings ([`Keys::of`]).
    pub fn new(settings: &Settings, memory: Memory<'m>) -> Result<Self, SettingsError> {
        settings.check()?;
        assert!(memory.keys() == Keys::of(settings), "the memory of another configuration");
        let last_ns = |instrument| memory.last_sent_ns(instrument).load(Relaxed);
        Ok(Checks {
            memory,
            enabled: true,
            limits: settings.limits,
            instruments: settings.instruments.clone(),
            age_ns_max: settings.feeds.iter().map(|feed| feed.age_ns_max).collect(),
            rules: settings.rules.len(),
            rate: Rate::new(settings.limits.orders_per_s, memory.last_order_ns().load(Relaxed)),
            cool_downs: CoolDowns::new(settings, last_ns),
            positions: Positions::new(settings, memory),
            shared: None,
        })
    }

    /// From now on, a program in the kernel decides on some instruments, and both together keep to
    /// the limits. `owned` says of each instrument whether it does.
    pub fn share(&mut self, state: State<'m>, owned: &[bool]) {
        self.shared = Some(Shared { state, owned: owned.to_vec() });
    }

    /// Keeps the kernel from deciding from before a [decision](Self::decide) until it is
    /// [committed](Self::commit).
    #[inline]
    pub(crate) fn hold(&self) -> Option<Locked<'m>> {
        self.shared.as_ref().map(|shared| shared.state.lock())
    }

    /// Whether responding is switched on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Switches responding on or off. Unlike the kill switch, it is on again after a restart.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// The order that an intent becomes, unless a check refuses it. Changes nothing: when the order
    /// has been handed to its target, [`commit`](Self::commit) it before it leaves.
    ///
    /// # Errors
    /// The first check that refuses.
    #[inline]
    pub fn decide(&self, intent: &Intent, at: &Moment) -> Result<Order, Reason> {
        if self.memory.is_killed() {
            return Err(Reason::KillSwitch);
        }
        if !self.enabled {
            return Err(Reason::Disabled);
        }
        let Some(limits) = self.limits_of(intent, at) else { return Err(Reason::NotConfigured) };
        if self.shared.as_ref().is_some_and(|shared| shared.owned[intent.instrument as usize]) {
            return Err(Reason::NotInKernel);
        }
        self.check_market(intent, at)?;
        check_order(intent, limits, at.reference)?;
        self.check_sums(intent, limits, at)?;
        let number = self.positions.next_number(intent.target.into())?;
        Ok(Order { intent: *intent, symbol: limits.symbol, number, at_ns: at.now_ns })
    }

    fn limits_of(&self, intent: &Intent, at: &Moment) -> Option<&InstrumentSettings> {
        let [_, feeds, targets] = self.memory.counts();
        let known = usize::from(intent.rule) < self.rules
            && usize::from(intent.target) < targets
            && usize::from(at.feed) < feeds;
        self.instruments.get(intent.instrument as usize).filter(|_| known)
    }

    /// Whether the trigger is one to be answered now.
    #[inline]
    fn check_market(&self, intent: &Intent, at: &Moment) -> Result<(), Reason> {
        if at.is_halted || self.limits.hours.is_some_and(|hours| !hours.contain(at.now_ns)) {
            return Err(Reason::MarketClosed);
        }
        let age_ns = at.now_ns.saturating_sub(at.received_ns);
        let is_ahead = match at.trigger {
            Trigger::Stamped { stamp_ns, .. } => stamp_ns.saturating_sub(at.now_ns) > AHEAD_NS_MAX,
            Trigger::Numbered { .. } => false,
        };
        if at.is_stale || is_ahead || age_ns > self.age_ns_max[usize::from(at.feed)] {
            return Err(Reason::StaleFeed);
        }
        if is_answered(&self.memory, at.feed, at.trigger) {
            return Err(Reason::DuplicateTrigger);
        }
        let (rule, instrument) = (usize::from(intent.rule), intent.instrument as usize);
        match self.cool_downs.allows(rule, instrument, at.now_ns) {
            true => Ok(()),
            false => Err(Reason::CoolDown),
        }
    }

    /// What all orders together may do.
    #[inline]
    fn check_sums(
        &self,
        intent: &Intent,
        limits: &InstrumentSettings,
        at: &Moment,
    ) -> Result<(), Reason> {
        let allows = match &self.shared {
            None => self.rate.allows(at.now_ns),
            Some(shared) => shared.state.rate_allows(at.now_ns),
        };
        if !allows {
            return Err(Reason::OrderRate);
        }
        let acknowledges = self.positions.acknowledges(intent.target.into());
        if acknowledges && self.positions.in_flight() >= self.limits.in_flight_max {
            return Err(Reason::InFlightMax);
        }
        let Intent { side, quantity, .. } = *intent;
        let instrument = intent.instrument as usize;
        match self.positions.allows(instrument, side, quantity, limits.position_max) {
            true => Ok(()),
            false => Err(Reason::PositionMax),
        }
    }

    /// Counts an order as sent and its trigger as answered. Call it when its target has taken it,
    /// and before anything of it leaves the process: whatever happens then, it is not sent twice.
    #[inline]
    pub fn commit(&mut self, order: &Order, at: &Moment) {
        let intent = &order.intent;
        let (rule, instrument) = (usize::from(intent.rule), intent.instrument as usize);
        answer(&self.memory, at.feed, at.trigger);
        self.positions.sent(order);
        match &self.shared {
            None => self.rate.sent(at.now_ns),
            Some(shared) => shared.state.sent(at.now_ns),
        }
        self.cool_downs.sent(rule, instrument, at.now_ns);
        self.memory.last_order_ns().store(at.now_ns, Relaxed);
        self.memory.last_sent_ns(instrument).store(at.now_ns, Release);
    }
}

/// What the order itself may be.
#[inline]
fn check_order(
    intent: &Intent,
    limits: &InstrumentSettings,
    reference: Option<i64>,
) -> Result<(), Reason> {
    let Intent { price, quantity, .. } = *intent;
    if quantity == 0 || quantity > limits.quantity_max {
        return Err(Reason::QuantityMax);
    }
    // A price below zero is worth nothing here, and refused by the collar.
    let notional = u128::from(price.max(0) as u64) * u128::from(quantity);
    if notional > limits.notional_max.into() {
        return Err(Reason::NotionalMax);
    }
    let Some(reference) = reference.filter(|&price| price > 0) else {
        return Err(Reason::NoReference);
    };
    let away = u128::from(price.abs_diff(reference)) * 1_000_000;
    let away_max = u128::from(reference as u64) * u128::from(limits.collar_ppm);
    if price <= 0 || away > away_max {
        return Err(Reason::PriceCollar);
    }
    match price as u64 % limits.tick {
        0 => Ok(()),
        _ => Err(Reason::TickSize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Event, EventKind, Side};
    use crate::settings::{
        FeedSettings, GapPolicy, Hours, RuleSettings, TargetSettings, tests_instrument,
    };
    use std::num::NonZeroU64;
    use std::sync::atomic::AtomicU64;
    use tickwire_market::Protocol;

    const S_NS: u64 = 1_000_000_000;
    const NOW_NS: u64 = 20_000 * 86_400 * S_NS + 3_600 * S_NS;

    fn settings() -> Settings {
        let feed = |name: &str, protocol| FeedSettings {
            name: name.into(),
            protocol,
            age_ns_max: 1_000,
            silence_ns_max: None,
            gap: GapPolicy::Refuse,
        };
        let target = |name: &str, acknowledges| TargetSettings { name: name.into(), acknowledges };
        let hours = Hours { open_ns: 3_600 * S_NS, close_ns: 7_200 * S_NS, utc_offset_s: 0 };
        let mut instruments = [*b"A       ", *b"B       "].map(tests_instrument);
        // Prices of 100 are worth up to 2 500 orders of one, and within 95 and 105.
        instruments[0].notional_max = 2_500;
        (instruments[0].quantity_max, instruments[0].position_max) = (30, 50);
        Settings {
            feeds: vec![feed("numbers", Protocol::Itch50), feed("stamps", Protocol::Nanonet)],
            instruments: instruments.to_vec(),
            rules: vec![RuleSettings::default(), RuleSettings { cool_down_ns: 500 }],
            targets: vec![target("quiet", false), target("answers", true)],
            limits: Limits { orders_per_s: 3, in_flight_max: 2, hours: Some(hours) },
        }
    }

    fn words(settings: &Settings) -> Vec<AtomicU64> {
        (0..Keys::of(settings).words()).map(|_| AtomicU64::new(0)).collect()
    }

    const INTENT: Intent =
        Intent { rule: 0, instrument: 0, target: 0, side: Side::Buy, price: 100, quantity: 10 };

    fn moment(sequence: u64) -> Moment {
        Moment {
            feed: 0,
            trigger: Trigger::Numbered { session: 1, sequence },
            is_stale: false,
            is_halted: false,
            reference: Some(100),
            received_ns: NOW_NS,
            now_ns: NOW_NS,
        }
    }

    /// Checks and a way to send through them; each trigger is a new one unless it is said.
    struct Desk<'m>(Checks<'m>, u64);

    impl Desk<'_> {
        fn next(&mut self) -> Moment {
            self.1 += 1;
            moment(self.1)
        }

        /// What is decided, and done.
        fn send(&mut self, intent: Intent, at: &Moment) -> Result<u64, Reason> {
            let order = self.0.decide(&intent, at)?;
            self.0.commit(&order, at);
            Ok(order.number)
        }

        /// What would be decided.
        #[track_caller]
        fn expect(&mut self, intent: Intent, at: Moment, refused: Option<Reason>) {
            let decided = self.0.decide(&intent, &at).err();
            assert_eq!(decided, refused, "{intent:?} {at:?}");
        }
    }

    fn with_desk(settings: &Settings, test: impl FnOnce(&mut Desk<'_>, Memory<'_>)) {
        let words = words(settings);
        let memory = Memory::create(&words, &Keys::of(settings));
        test(&mut Desk(Checks::new(settings, memory).unwrap(), 0), memory);
    }

    #[test]
    fn switches() {
        with_desk(&settings(), |desk, memory| {
            desk.expect(INTENT, moment(1), None);
            desk.0.set_enabled(false);
            desk.expect(INTENT, moment(1), Some(Reason::Disabled));
            memory.set_killed(true);
            desk.expect(INTENT, moment(1), Some(Reason::KillSwitch));
            desk.0.set_enabled(true);
            desk.expect(INTENT, moment(1), Some(Reason::KillSwitch));
            memory.set_killed(false);
            desk.expect(INTENT, moment(1), None);
        });
    }

    #[test]
    fn what_is_not_configured() {
        with_desk(&settings(), |desk, _| {
            for (intent, feed) in [
                (Intent { rule: 2, ..INTENT }, 0),
                (Intent { instrument: 2, ..INTENT }, 0),
                (Intent { target: 2, ..INTENT }, 0),
                (INTENT, 2),
            ] {
                let at = Moment { feed, ..moment(1) };
                desk.expect(intent, at, Some(Reason::NotConfigured));
            }
        });
    }

    #[test]
    fn what_the_kernel_decides_on() {
        let config = include_str!("../../../docs/examples/nanonet.toml");
        let config = crate::Config::parse(config).unwrap();
        let plan = crate::xdp::Plan::new(&config);
        let words = crate::xdp::Layout::of(&config, &plan).words;
        let words: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let state = State::create(&words, &config, &plan);
        let mut checks = Checks::new(&config.settings, state.memory()).unwrap();
        let at = Moment { feed: 0, ..moment(1) };
        checks.share(state, &[false]);
        // Both fill the same second: as many as the example allows.
        for sequence in 1..=1_200 {
            let at = Moment { ..moment(sequence) };
            let order = checks.decide(&INTENT, &at).unwrap();
            checks.commit(&order, &at);
        }
        assert_eq!(checks.decide(&INTENT, &moment(1_201)), Err(Reason::OrderRate));
        checks.share(state, &[true]);
        assert_eq!(checks.decide(&INTENT, &at), Err(Reason::NotInKernel));
    }

    #[test]
    fn hours_and_halts() {
        with_desk(&settings(), |desk, _| {
            let closed = Some(Reason::MarketClosed);
            desk.expect(INTENT, Moment { is_halted: true, ..moment(1) }, closed);
            for (now_ns, refused) in [
                (NOW_NS - 1, closed),
                (NOW_NS, None),
                (NOW_NS + 3_600 * S_NS - 1, None),
                (NOW_NS + 3_600 * S_NS, closed),
            ] {
                let at = Moment { now_ns, received_ns: now_ns, ..moment(1) };
                desk.expect(INTENT, at, refused);
            }
        });
    }

    #[test]
    fn stale_feeds() {
        with_desk(&settings(), |desk, _| {
            let stale = Some(Reason::StaleFeed);
            desk.expect(INTENT, Moment { is_stale: true, ..moment(1) }, stale);
            let aged = |age_ns| Moment { received_ns: NOW_NS - age_ns, ..moment(1) };
            desk.expect(INTENT, aged(1_000), None);
            desk.expect(INTENT, aged(1_001), stale);
            // A card whose clock is ahead of ours.
            desk.expect(INTENT, Moment { received_ns: u64::MAX, ..moment(1) }, None);
            let ahead = |stamp_ns| {
                let trigger = Trigger::Stamped { instrument: 0, stamp_ns, content: 1 };
                Moment { feed: 1, trigger, ..moment(1) }
            };
            desk.expect(INTENT, ahead(NOW_NS + AHEAD_NS_MAX), None);
            desk.expect(INTENT, ahead(NOW_NS + AHEAD_NS_MAX + 1), stale);
            desk.expect(INTENT, ahead(u64::MAX), stale);
        });
    }

    #[test]
    fn one_trigger_one_order() {
        with_desk(&settings(), |desk, _| {
            desk.send(INTENT, &moment(7)).unwrap();
            let again = Some(Reason::DuplicateTrigger);
            for (sequence, refused) in [(6, again), (7, again), (8, None), (0, again)] {
                desk.expect(INTENT, moment(sequence), refused);
            }
            let other = Intent { instrument: 1, rule: 1, side: Side::Sell, ..INTENT };
            desk.expect(other, moment(7), again);
        });
    }

    #[test]
    fn cool_down() {
        with_desk(&settings(), |desk, _| {
            let rule = Intent { rule: 1, ..INTENT };
            let first = desk.next();
            desk.send(rule, &first).unwrap();
            let later = |ns| Moment { now_ns: NOW_NS + ns, ..moment(9) };
            desk.expect(rule, later(499), Some(Reason::CoolDown));
            desk.expect(rule, later(500), None);
            desk.expect(INTENT, later(0), None);
            desk.expect(Intent { instrument: 1, ..rule }, later(0), None);
            // A clock that went back.
            desk.expect(rule, Moment { now_ns: NOW_NS, ..later(0) }, Some(Reason::CoolDown));
        });
    }

    #[test]
    fn quantity_notional_and_collar() {
        with_desk(&settings(), |desk, _| {
            let quantity = |quantity| Intent { quantity, price: 95, ..INTENT };
            let too_many = Some(Reason::QuantityMax);
            for (count, refused) in [(0, too_many), (1, None), (31, too_many)] {
                desk.expect(quantity(count), moment(1), refused);
            }
            // 26 times 95 are 2 470, and 27 times 95 are 2 565.
            desk.expect(quantity(26), moment(1), None);
            desk.expect(quantity(27), moment(1), Some(Reason::NotionalMax));
            desk.expect(Intent { price: 100, ..quantity(25) }, moment(1), None);
            desk.expect(quantity(u32::MAX), moment(1), too_many);
            let price = |price| Intent { price, quantity: 1, ..INTENT };
            desk.expect(price(i64::MAX), moment(1), Some(Reason::NotionalMax));
            let collar = Some(Reason::PriceCollar);
            for (at, refused) in [(95, None), (94, collar), (105, None), (106, collar)] {
                desk.expect(price(at), moment(1), refused);
                desk.expect(Intent { side: Side::Sell, ..price(at) }, moment(1), refused);
            }
            for (at, reference, refused) in [
                (0, Some(1), collar),
                (-1, Some(1), collar),
                (i64::MIN, Some(i64::MAX), collar),
                (100, None, Some(Reason::NoReference)),
                (100, Some(0), Some(Reason::NoReference)),
                (100, Some(-100), Some(Reason::NoReference)),
            ] {
                desk.expect(price(at), Moment { reference, ..moment(1) }, refused);
            }
        });
    }

    #[test]
    fn prices_are_multiples_of_the_tick() {
        let mut settings = settings();
        settings.instruments[0].tick = NonZeroU64::new(4).unwrap();
        with_desk(&settings, |desk, _| {
            let off = Some(Reason::TickSize);
            for (price, refused) in [(99, off), (100, None), (101, off), (104, None)] {
                for side in [Side::Buy, Side::Sell] {
                    desk.expect(Intent { side, price, ..INTENT }, moment(1), refused);
                }
            }
            // Whoever is too far away is told that first.
            desk.expect(Intent { price: 106, ..INTENT }, moment(1), Some(Reason::PriceCollar));
            let other = Intent { instrument: 1, price: 101, ..INTENT };
            desk.expect(other, moment(1), None);
        });
    }

    #[test]
    fn orders_a_second() {
        with_desk(&settings(), |desk, _| {
            let at = |desk: &mut Desk<'_>, ns| {
                let now_ns = NOW_NS + ns;
                Moment { now_ns, received_ns: now_ns, ..desk.next() }
            };
            let one = Intent { quantity: 1, ..INTENT };
            for ns in [0, 10, 20] {
                let at = at(desk, ns);
                desk.send(one, &at).unwrap();
            }
            let next = at(desk, S_NS - 1);
            desk.expect(one, next, Some(Reason::OrderRate));
            let next = at(desk, S_NS);
            desk.send(one, &next).unwrap();
            let next = at(desk, S_NS + 9);
            desk.expect(one, next, Some(Reason::OrderRate));
        });
    }

    #[test]
    fn orders_in_flight() {
        with_desk(&settings(), |desk, _| {
            let one = Intent { target: 1, quantity: 1, ..INTENT };
            let (first, second, third) = (desk.next(), desk.next(), desk.next());
            let number = desk.send(one, &first).unwrap();
            desk.send(one, &second).unwrap();
            desk.expect(one, third, Some(Reason::InFlightMax));
            // A target that does not answer has none in flight.
            desk.expect(Intent { target: 0, ..one }, third, None);
            desk.0.positions.event(&Event { number, kind: EventKind::Accepted });
            desk.expect(one, third, None);
        });
    }

    #[test]
    fn positions() {
        with_desk(&settings(), |desk, _| {
            let sell = Intent { side: Side::SellShort, ..INTENT };
            let order = |quantity, intent: Intent| Intent { quantity, price: 95, ..intent };
            let first = desk.next();
            desk.send(order(25, INTENT), &first).unwrap();
            let second = desk.next();
            let number = desk.send(Intent { target: 1, ..order(5, INTENT) }, &second).unwrap();
            // 25 are held and 5 are open: up to 50, 20 more.
            let next = desk.next();
            desk.expect(order(20, INTENT), next, None);
            desk.expect(order(21, INTENT), next, Some(Reason::PositionMax));
            // What is open to buy does not help to sell.
            desk.expect(order(26, sell), next, None);
            let kind = EventKind::Rejected(1);
            desk.0.positions.event(&Event { number, kind });
            desk.expect(order(25, INTENT), next, None);
            desk.send(order(26, sell), &next).unwrap();
            let next = Moment { now_ns: NOW_NS + S_NS, received_ns: NOW_NS + S_NS, ..desk.next() };
            desk.send(order(26, sell), &next).unwrap();
            let next = Moment { trigger: desk.next().trigger, ..next };
            // 27 are owed.
            desk.expect(order(23, sell), next, None);
            desk.expect(order(24, sell), next, Some(Reason::PositionMax));
        });
    }

    #[test]
    fn a_memory_of_other_settings_is_a_mistake() {
        let (mine, mut other) = (settings(), settings());
        other.instruments.pop();
        let words = words(&mine);
        let memory = Memory::create(&words, &Keys::of(&mine));
        assert!(std::panic::catch_unwind(|| Checks::new(&other, memory).is_ok()).is_err());
    }
}
