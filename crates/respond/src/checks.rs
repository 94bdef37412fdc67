//! The checks before every order, in the order in which they are asked: the first that refuses
//! names the reason.
//!
//! | reason | refused when |
//! |---|---|
//! | `kill_switch` | the kill switch is on |
//! | `disabled` | responding is switched off |
//! | `not_configured` | the strategy named a rule, an instrument or a target that is not there |
//! | `market_closed` | outside of the hours, or the feed said that the instrument is halted |
//! | `stale_feed` | a gap is open, the feed was silent, the frame is too old, its time ahead |
//! | `duplicate_trigger` | it was answered before: see `triggers` |
//! | `cool_down` | the rule sent an order for the instrument too short a time ago |
//! | `quantity_max` | 0, or more than allowed |
//! | `notional_max` | price times quantity is more than allowed |
//! | `no_reference` | no trade and no book to hold the price against |
//! | `price_collar` | not above zero, or too far from the reference, above or below |
//! | `order_rate` | as many orders as allowed left in the second that ends now |
//! | `in_flight_max` | as many orders as allowed wait for an answer, or are open |
//! | `position_max` | too great if all that is open on that side were executed |
//!
//! What the target refuses comes behind them: `not_connected`, `not_representable` and what
//! transports say. A limit itself is allowed; one beyond it is not.
//!
//! The collar holds in both directions. A price that is too good is as wrong as one that is too
//! bad: where it comes from a mistake, its sender does not know what it does.

use crate::memory::{Keys, Memory};
use crate::order::{Intent, Order};
use crate::positions::Positions;
use crate::rate::{CoolDowns, Rate};
use crate::settings::{InstrumentSettings, Limits, Settings, SettingsError};
use crate::triggers::{AHEAD_NS_MAX, Trigger, answer, is_answered};
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
        })
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
        if !self.rate.allows(at.now_ns) {
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
        self.rate.sent(at.now_ns);
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
    Ok(())
}
