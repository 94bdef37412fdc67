//! What a run of a responder is made of: settings, and a strategy that wants impossible things.

use crate::random::Random;
use std::num::NonZeroU64;
use tickwire_market::{Message, Protocol};
use tickwire_respond::settings::{
    FeedSettings, GapPolicy, Hours, InstrumentSettings, Limits, RuleSettings, Settings,
    TargetSettings,
};
use tickwire_respond::{Intent, Level1, Market, Side, Strategy, Tick};

pub(crate) const S_NS: u64 = 1_000_000_000;
pub(crate) const NOON_NS: u64 = (20_000 * 86_400 + 43_200) * S_NS;
/// The feeds of all runs.
pub(crate) const FEEDS: [(Protocol, GapPolicy); 4] = [
    (Protocol::Nanonet, GapPolicy::Refuse),
    (Protocol::NanonetBig, GapPolicy::Refuse),
    (Protocol::Itch50, GapPolicy::Refuse),
    (Protocol::Itch50, GapPolicy::UntilNext),
];

/// What a run is made of, and never changes.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    references: Vec<Option<i64>>,
}

impl Plan {
    pub(crate) fn new(random: &mut Random) -> Self {
        let instruments = 1 + random.below(4);
        let instrument = |random: &mut Random, place: usize| InstrumentSettings {
            symbol: *format!("I{place:<7}").as_bytes().first_chunk().expect("eight bytes"),
            tick: NonZeroU64::new([1, 1, 2, 5][random.below(4)]).expect("above 0"),
            quantity_max: random.below(16) as u32,
            notional_max: 200 + random.below(3_000) as u64,
            collar_ppm: random.below(200_000) as u32,
            position_max: random.below(300) as u64,
        };
        let feed = |random: &mut Random, place: usize| FeedSettings {
            name: format!("feed {place}"),
            protocol: FEEDS[place].0,
            age_ns_max: 900 + random.below(101) as u64,
            silence_ns_max: (random.below(3) == 0).then(|| random.below(2 * S_NS as usize) as u64),
            gap: FEEDS[place].1,
        };
        let rule = |random: &mut Random| RuleSettings {
            cool_down_ns: [0, 0, 1, 1_000, S_NS][random.below(5)],
        };
        let hours =
            Hours { open_ns: 0, close_ns: NOON_NS % (86_400 * S_NS) + 200 * S_NS, utc_offset_s: 0 };
        let limits = Limits {
            orders_per_s: random.below(30) as u32,
            in_flight_max: random.below(8) as u32,
            hours: (random.below(4) == 0).then_some(hours),
        };
        let target = |place: usize| TargetSettings {
            name: format!("target {place}"),
            acknowledges: place == 0,
        };
        let settings = Settings {
            feeds: (0..FEEDS.len()).map(|place| feed(random, place)).collect(),
            instruments: (0..instruments).map(|place| instrument(random, place)).collect(),
            rules: (0..3).map(|_| rule(random)).collect(),
            targets: (0..2).map(target).collect(),
            limits,
        };
        let reference = |_| match random.below(12) {
            0 => None,
            1 => Some(-(random.below(2) as i64)),
            _ => Some(1 + random.below(250) as i64),
        };
        let references = (0..instruments).map(reference).collect();
        Plan { settings, references }
    }

    pub(crate) fn reference(&self, instrument: u32) -> Option<i64> {
        self.references.get(instrument as usize).copied().flatten()
    }

    /// What the strategy wants for a message: always the same for the same message.
    pub(crate) fn intent(&self, message: &[u8]) -> Option<Intent> {
        let seed = message
            .iter()
            .fold(7, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let random = &mut Random::new(seed);
        if random.below(8) == 0 {
            return None;
        }
        let some = |random: &mut Random, count: usize| match random.below(40) {
            0 => count,
            _ => random.below(count),
        };
        let instrument = some(random, self.settings.instruments.len()) as u32;
        let limits = self.settings.instruments.get(instrument as usize);
        Some(Intent {
            rule: some(random, self.settings.rules.len()) as u16,
            instrument,
            target: some(random, self.settings.targets.len()) as u16,
            side: *random.pick(&[Side::Buy, Side::Sell, Side::SellShort]),
            price: self.price(random, instrument),
            quantity: match random.below(16) {
                0 => u32::MAX,
                1 => 0,
                2 => limits.map_or(1, |limits| limits.quantity_max),
                3 => limits.map_or(1, |limits| limits.quantity_max + 1),
                _ => 1 + random.below(10) as u32,
            },
        })
    }

    /// Mostly near the reference, often at the edge of the collar.
    fn price(&self, random: &mut Random, instrument: u32) -> i64 {
        let reference = self.reference(instrument).unwrap_or(100);
        let ppm = self.settings.instruments.get(instrument as usize).map_or(0, |at| at.collar_ppm);
        let edge = (i128::from(reference) * i128::from(ppm) / 1_000_000) as i64;
        match random.below(16) {
            0 => *random.pick(&[i64::MIN, i64::MAX, 0, -1, 1]),
            1..=4 => reference + edge + random.below(3) as i64 - 1,
            5..=8 => reference - edge + random.below(3) as i64 - 1,
            _ => reference,
        }
    }
}

impl Plan {
    pub(crate) fn instrument_of(&self, message: &Message<'_>) -> Option<u32> {
        instrument_of(message).filter(|&number| (number as usize) < self.references.len())
    }
}

/// Whose message it is: the digit of the symbol, or the locate.
fn instrument_of(message: &Message<'_>) -> Option<u32> {
    match message.protocol {
        Protocol::Itch50 => {
            let locate = message.bytes.get(1..3)?;
            Some(u16::from_be_bytes([locate[0], locate[1]]).into())
        }
        _ => message.bytes.get(1)?.checked_sub(b'0').map(u32::from),
    }
}

impl Strategy for &Plan {
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
        self.intent(tick.message)
    }
}

/// A market in which every instrument has traded once, at its reference.
pub(crate) struct Still(Vec<Level1>);

impl Still {
    pub(crate) fn of(plan: &Plan) -> Self {
        let level1 = |reference: &Option<i64>| {
            let mut level1 = Level1::new(1);
            reference.iter().for_each(|&price| level1.trade(price, 1));
            level1
        };
        Still(plan.references.iter().map(level1).collect())
    }
}

impl Market for Still {
    fn apply(&mut self, _: u16, message: &Message<'_>) -> Option<u32> {
        instrument_of(message).filter(|&number| (number as usize) < self.0.len())
    }

    fn level1(&self, _: u16, instrument: u32) -> Option<&Level1> {
        self.0.get(instrument as usize)
    }

    fn lost(&mut self, _: u16) {}
}
