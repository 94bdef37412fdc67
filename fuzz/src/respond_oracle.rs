//! What a responder may send, once more: written from what is promised, slow and simple.
//!
//! Nothing here comes from the responder: whole histories are kept in lists, and each question is
//! answered by looking through all of them.

use std::collections::HashMap;
use tickwire_frame::Reason;
use tickwire_respond::settings::Settings;
use tickwire_respond::{Event, EventKind, Intent, Side};

const S_NS: u64 = 1_000_000_000;
/// A time stamp may be ahead by so much.
const AHEAD_NS: u64 = S_NS;
/// Of so many sessions of a feed it is known what was answered.
const SESSIONS: usize = 8;
/// So many different messages of an instrument may have the same time stamp.
const SAME_STAMP: usize = 5;

/// Which message it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Of a feed with numbers: its session and its number in it.
    Number(String, u64),
    /// Of a feed without: its instrument, its time stamp, and all of it.
    Stamp(u32, u64, Vec<u8>),
}

/// All that a decision depends on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The feed.
    pub feed: u16,
    /// Which message it was.
    pub identity: Identity,
    /// Whether something is missing or the feed was silent.
    pub stale: bool,
    /// Whether the instrument of the order is halted.
    pub halted: bool,
    /// The price to hold orders against.
    pub reference: Option<i64>,
    /// When the frame came.
    pub received_ns: u64,
    /// When it is decided.
    pub now_ns: u64,
}

#[derive(Debug)]
struct Sent {
    at_ns: u64,
    intent: Intent,
}

#[derive(Debug)]
struct Open {
    intent: Intent,
    remaining: u32,
    waits: bool,
}

/// What was sent and answered so far.
#[derive(Debug)]
pub struct Oracle {
    settings: Settings,
    /// The kill switch.
    pub killed: bool,
    /// Whether responding is switched on.
    pub enabled: bool,
    answered: Vec<(u16, Identity)>,
    sent: Vec<Sent>,
    /// Orders before the last restart: when the last was, of all and of each instrument.
    before_ns: Option<u64>,
    instrument_before_ns: HashMap<u32, u64>,
    open: HashMap<u64, Open>,
    net: HashMap<u32, i128>,
}

impl Oracle {
    /// Before the first message.
    pub fn new(settings: Settings) -> Self {
        Oracle {
            settings,
            killed: false,
            enabled: true,
            answered: Vec::new(),
            sent: Vec::new(),
            before_ns: None,
            instrument_before_ns: HashMap::new(),
            open: HashMap::new(),
            net: HashMap::new(),
        }
    }

    /// Whether the order may be sent.
    pub fn decide(&self, intent: &Intent, facts: &Facts) -> Result<(), Reason> {
        let refuse = |when: bool, reason| if when { Err(reason) } else { Ok(()) };
        refuse(self.killed, Reason::KillSwitch)?;
        refuse(!self.enabled, Reason::Disabled)?;
        let settings = &self.settings;
        let rule = settings.rules.get(usize::from(intent.rule));
        let target = settings.targets.get(usize::from(intent.target));
        let instrument = settings.instruments.get(intent.instrument as usize);
        let (Some(rule), Some(target), Some(limits)) = (rule, target, instrument) else {
            return Err(Reason::NotConfigured);
        };

        let closed = settings.limits.hours.is_some_and(|hours| {
            let (day, s) = (86_400 * i128::from(S_NS), i128::from(S_NS));
            let local_ns = i128::from(facts.now_ns) + i128::from(hours.utc_offset_s) * s;
            let time_of_day_ns = local_ns.rem_euclid(day) as u64;
            match hours.open_ns < hours.close_ns {
                true => !(hours.open_ns..hours.close_ns).contains(&time_of_day_ns),
                // Over midnight: only what lies between closing and opening is closed.
                false => (hours.close_ns..hours.open_ns).contains(&time_of_day_ns),
            }
        });
        refuse(facts.halted || closed, Reason::MarketClosed)?;
        let old = facts.now_ns > facts.received_ns
            && facts.now_ns - facts.received_ns
                > settings.feeds[usize::from(facts.feed)].age_ns_max;
        let ahead = match facts.identity {
            Identity::Stamp(_, stamp_ns, _) => {
                u128::from(stamp_ns) > u128::from(facts.now_ns) + u128::from(AHEAD_NS)
            }
            Identity::Number(..) => false,
        };
        refuse(facts.stale || old || ahead, Reason::StaleFeed)?;
        refuse(self.was_answered(facts), Reason::DuplicateTrigger)?;
        refuse(self.is_hot(intent, rule.cool_down_ns, facts.now_ns), Reason::CoolDown)?;

        let (price, quantity) = (i128::from(intent.price), i128::from(intent.quantity));
        refuse(quantity == 0 || quantity > limits.quantity_max.into(), Reason::QuantityMax)?;
        refuse(price * quantity > limits.notional_max.into(), Reason::NotionalMax)?;
        let reference = i128::from(facts.reference.unwrap_or(0));
        refuse(reference <= 0, Reason::NoReference)?;
        let distance = (price - reference).abs() * 1_000_000;
        let too_far = distance > reference * i128::from(limits.collar_ppm);
        refuse(price <= 0 || too_far, Reason::PriceCollar)?;
        refuse(price % i128::from(limits.tick.get()) != 0, Reason::TickSize)?;
        refuse(self.is_full(facts.now_ns), Reason::OrderRate)?;
        let waiting = self.open.values().filter(|open| open.waits).count();
        let max = settings.limits.in_flight_max as usize;
        refuse(target.acknowledges && waiting >= max, Reason::InFlightMax)?;
        let worst = self.worst(intent.instrument, intent.side) + quantity;
        refuse(worst > limits.position_max.into(), Reason::PositionMax)
    }

    fn was_answered(&self, facts: &Facts) -> bool {
        match &facts.identity {
            Identity::Number(session, number) => self.answered.iter().any(|(feed, identity)| {
                let Identity::Number(other, before) = identity else { return false };
                *feed == facts.feed && other == session && before >= number
            }),
            Identity::Stamp(instrument, stamp_ns, bytes) => {
                let of_it = self.answered.iter().filter_map(|(_, identity)| match identity {
                    Identity::Stamp(other, stamp_ns, bytes) if other == instrument => {
                        Some((stamp_ns, bytes))
                    }
                    _ => None,
                });
                let later = of_it.clone().any(|(before, _)| before > stamp_ns);
                let same: Vec<_> = of_it.filter(|(before, _)| *before == stamp_ns).collect();
                let seen = same.iter().any(|(_, before)| *before == bytes);
                later || seen || same.len() >= SAME_STAMP
            }
        }
    }

    fn is_hot(&self, intent: &Intent, cool_down_ns: u64, now_ns: u64) -> bool {
        let before = self.instrument_before_ns.get(&intent.instrument).copied();
        let mine = self.sent.iter().filter(|sent| {
            (sent.intent.rule, sent.intent.instrument) == (intent.rule, intent.instrument)
        });
        let mut ends_ns =
            mine.map(|sent| sent.at_ns).chain(before).map(|at_ns| at_ns + cool_down_ns);
        cool_down_ns > 0 && ends_ns.any(|end_ns| now_ns < end_ns)
    }

    /// Whether one more order now would be one too many in some second, also when the clock went
    /// back.
    fn is_full(&self, now_ns: u64) -> bool {
        let max = self.settings.limits.orders_per_s as usize;
        let unknown = self.before_ns.is_some_and(|at_ns| now_ns < at_ns + S_NS);
        let near = self.sent.iter().map(|sent| sent.at_ns);
        let near: Vec<_> = near.filter(|at_ns| at_ns.abs_diff(now_ns) < S_NS).collect();
        let within = |from: u64| near.iter().filter(|at| (from..from + S_NS).contains(at)).count();
        let mut begins = near.iter().copied().filter(|from| *from <= now_ns).chain([now_ns]);
        max == 0 || unknown || near.len() >= max && begins.any(|from| within(from) >= max)
    }

    /// How great the position is in the direction of `side` if all of that side is executed.
    fn worst(&self, instrument: u32, side: Side) -> i128 {
        let buys = |side: Side| side == Side::Buy;
        let open = self.open.values().filter(|open| {
            open.intent.instrument == instrument && buys(open.intent.side) == buys(side)
        });
        let open: i128 = open.map(|open| i128::from(open.remaining)).sum();
        let net = self.net(instrument);
        open + if buys(side) { net } else { -net }
    }

    /// What is held.
    pub fn net(&self, instrument: u32) -> i128 {
        self.net.get(&instrument).copied().unwrap_or(0)
    }

    /// What is open to buy, and to sell.
    pub fn open(&self, instrument: u32) -> (u64, u64) {
        let sum = |side: Side| (self.worst(instrument, side) - self.held(instrument, side)) as u64;
        (sum(Side::Buy), sum(Side::Sell))
    }

    fn held(&self, instrument: u32, side: Side) -> i128 {
        if side == Side::Buy { self.net(instrument) } else { -self.net(instrument) }
    }

    /// Numbers of the orders that are open.
    pub fn open_numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.open.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Only the sessions that came last are known.
    fn forget_sessions(&mut self, feed: u16) {
        let mut sessions = Vec::new();
        for (_, identity) in self.answered.iter().filter(|(other, _)| *other == feed) {
            if let Identity::Number(session, _) = identity
                && !sessions.contains(session)
            {
                sessions.push(session.clone());
            }
        }
        if sessions.len() > SESSIONS {
            self.answered.retain(|(other, identity)| {
                let Identity::Number(session, _) = identity else { return true };
                *other != feed || *session != sessions[0]
            });
        }
    }

    /// It was sent.
    pub fn sent(&mut self, number: u64, intent: &Intent, facts: &Facts) {
        self.answered.push((facts.feed, facts.identity.clone()));
        self.forget_sessions(facts.feed);
        self.sent.push(Sent { at_ns: facts.now_ns, intent: *intent });
        if self.settings.targets[usize::from(intent.target)].acknowledges {
            let open = Open { intent: *intent, remaining: intent.quantity, waits: true };
            assert!(self.open.insert(number, open).is_none(), "order {number} twice");
        } else {
            self.execute(intent, intent.quantity);
        }
    }

    fn execute(&mut self, intent: &Intent, quantity: u32) {
        let sign = if intent.side == Side::Buy { 1 } else { -1 };
        *self.net.entry(intent.instrument).or_default() += sign * i128::from(quantity);
    }

    /// The target said something.
    pub fn event(&mut self, event: &Event) {
        let Some(mut open) = self.open.remove(&event.number) else { return };
        open.waits = false;
        match event.kind {
            EventKind::Accepted => {}
            EventKind::Rejected(_) | EventKind::Unsent(_) => return,
            EventKind::Executed { quantity, .. } => {
                let quantity = quantity.min(open.remaining);
                open.remaining -= quantity;
                self.execute(&open.intent, quantity);
            }
            EventKind::Canceled { quantity } => {
                open.remaining = open.remaining.saturating_sub(quantity);
            }
        }
        if open.remaining > 0 {
            self.open.insert(event.number, open);
        }
    }

    /// The process ended and began again, in good order or not.
    pub fn restart(&mut self, in_order: bool) {
        for sent in self.sent.drain(..) {
            self.before_ns = self.before_ns.max(Some(sent.at_ns));
            let last = self.instrument_before_ns.entry(sent.intent.instrument).or_default();
            *last = sent.at_ns.max(*last);
        }
        self.enabled = true;
        if in_order {
            self.open.clear();
            self.net.clear();
        }
    }
}
