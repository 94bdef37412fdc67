//! What no order may do, in the numbers that the checks compare with.
//!
//! A configuration is turned into [`Settings`] once, at start. Places in these lists are what
//! [`Intent`](crate::Intent) and [`Tick`](crate::Tick) call rule, instrument, target and feed.

use std::num::NonZeroU64;
use thiserror::Error;
use tickwire_market::Protocol;

/// The most feeds of a configuration.
pub const FEEDS_MAX: usize = 256;
/// The most instruments of a configuration.
pub const INSTRUMENTS_MAX: usize = 65_536;
/// The most rules of a configuration.
pub const RULES_MAX: usize = 65_535;
/// The most targets of a configuration.
pub const TARGETS_MAX: usize = 256;
/// The most orders a second that can be allowed: the time of each is kept for a second.
pub const ORDERS_PER_S_MAX: u32 = 1_000_000;
/// The most rules with a cool-down times instruments: 128 MiB of times.
pub const COOL_DOWNS_MAX: usize = 1 << 24;

/// All that the checks are told of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The feeds.
    pub feeds: Vec<FeedSettings>,
    /// The instruments.
    pub instruments: Vec<InstrumentSettings>,
    /// The rules.
    pub rules: Vec<RuleSettings>,
    /// The targets.
    pub targets: Vec<TargetSettings>,
    /// What holds for all orders together.
    pub limits: Limits,
}

/// What holds for all orders together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many orders any second may have.
    pub orders_per_s: u32,
    /// How many orders may wait for the first answer of their target, over all targets that
    /// [acknowledge](TargetSettings::acknowledges).
    pub in_flight_max: u32,
    /// When orders may be sent; `None`: at any time of the day.
    pub hours: Option<Hours>,
}

impl Default for Limits {
    /// One order a second, one in flight: whoever wants more says so.
    fn default() -> Self {
        Limits { orders_per_s: 1, in_flight_max: 1, hours: None }
    }
}

/// A part of each day, from `open_ns` on and before `close_ns`, over midnight when it closes before
/// it opens, and all of the day when both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first moment, in nanoseconds since midnight.
    pub open_ns: u64,
    /// The first moment after it, in nanoseconds since midnight.
    pub close_ns: u64,
    /// How far the clock that these are read on is ahead of UTC, in seconds.
    pub utc_offset_s: i32,
}

const S_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * S_NS;

impl Hours {
    /// Whether `now_ns`, in nanoseconds since 1970 UTC, is in it.
    pub fn contain(&self, now_ns: u64) -> bool {
        let ahead_ns = i64::from(self.utc_offset_s).rem_euclid(86_400) as u64 * S_NS;
        let time_ns = (now_ns % DAY_NS + ahead_ns) % DAY_NS;
        let (opened, closed) = (time_ns >= self.open_ns, time_ns >= self.close_ns);
        if self.open_ns < self.close_ns { opened && !closed } else { opened || !closed }
    }
}

/// A feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// Its name, by which what was answered of it is found again after a restart.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// How old a frame may be when it is decided on, in nanoseconds.
    pub age_ns_max: u64,
    /// How long the feed may have been silent before a packet that is answered, in nanoseconds;
    /// `None`: for ever. Longer than the heartbeats of the feed, or it never is.
    pub silence_ns_max: Option<u64>,
    /// What is done while messages are missing.
    pub gap: GapPolicy,
}

/// What is done while messages of a feed are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GapPolicy {
    /// Nothing of the feed is answered until all that is missing has come, late or from a
    /// recovery, or another session has begun.
    #[default]
    Refuse,
    /// What is missing is not waited for. The first message of each instrument behind the gap is
    /// not answered; the others are. For feeds whose messages say all of an instrument.
    UntilNext,
}

/// An instrument and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentSettings {
    /// Its symbol, padded with spaces on the right, by which its position is found again after a
    /// restart.
    pub symbol: [u8; 8],
    /// Its smallest change of price, in units of the [`Scale`](crate::Scale): prices of orders are
    /// multiples of it.
    pub tick: NonZeroU64,
    /// How many an order may be for.
    pub quantity_max: u32,
    /// Price times quantity of an order, in units of the [`Scale`](crate::Scale).
    pub notional_max: u64,
    /// How far the price of an order may be from the last trade or the book, above or below, in
    /// millionths of it: 50 000 are five percent.
    pub collar_ppm: u32,
    /// How great the position may become, long or short, if all that is open were executed.
    pub position_max: u64,
}

/// A rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleSettings {
    /// How long it is silent for an instrument after an order for it, in nanoseconds.
    pub cool_down_ns: u64,
}

/// A target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    /// Its name, by which its session is found again after a restart.
    pub name: String,
    /// Whether it says what becomes of an order. Where it does not, an order counts as executed
    /// when it is sent.
    pub acknowledges: bool,
}

/// What is wrong with [`Settings`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// More of something than there can be.
    #[error("{count} {what}: at most {max} are possible, configure fewer")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there can be.
        max: usize,
    },
    /// Two of the same name.
    #[error("there are two {what} of the name {name:?}: give each a name of its own")]
    Twice {
        /// Two of what.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// A feed of a protocol whose triggers cannot be told from each other.
    #[error(
        "feed {name:?}: messages of {protocol} have neither a number nor a time, so that one that \
         is sent twice would be answered twice: use a feed of another protocol"
    )]
    NoIdentity {
        /// Of the feed.
        name: String,
        /// Its protocol.
        protocol: Protocol,
    },
}

impl Settings {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// [`SettingsError`] says what cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        let cooling = self.rules.iter().filter(|rule| rule.cool_down_ns > 0).count();
        for (what, count, max) in [
            ("feeds", self.feeds.len(), FEEDS_MAX),
            ("instruments", self.instruments.len(), INSTRUMENTS_MAX),
            ("rules", self.rules.len(), RULES_MAX),
            ("targets", self.targets.len(), TARGETS_MAX),
            ("orders a second", self.limits.orders_per_s as usize, ORDERS_PER_S_MAX as usize),
            (
                "cool-downs (rules times instruments)",
                cooling * self.instruments.len(),
                COOL_DOWNS_MAX,
            ),
        ] {
            if count > max {
                return Err(SettingsError::TooMany { what, count, max });
            }
        }
        let symbol = |at: &InstrumentSettings| String::from_utf8_lossy(&at.symbol).into_owned();
        none_twice("feeds", self.feeds.iter().map(|feed| feed.name.clone()))?;
        none_twice("instruments", self.instruments.iter().map(symbol))?;
        none_twice("targets", self.targets.iter().map(|target| target.name.clone()))?;
        match self.feeds.iter().find(|feed| feed.protocol == Protocol::HftTick) {
            Some(FeedSettings { name, protocol, .. }) => {
                Err(SettingsError::NoIdentity { name: name.clone(), protocol: *protocol })
            }
            None => Ok(()),
        }
    }
}

fn none_twice(
    what: &'static str,
    names: impl Iterator<Item = String>,
) -> Result<(), SettingsError> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(SettingsError::Twice { what, name: pair[0].clone() }),
        None => Ok(()),
    }
}

/// An instrument that may do nearly everything.
#[cfg(test)]
pub(crate) fn tests_instrument(symbol: [u8; 8]) -> InstrumentSettings {
    InstrumentSettings {
        symbol,
        tick: NonZeroU64::MIN,
        quantity_max: 1_000,
        notional_max: 1 << 40,
        collar_ppm: 50_000,
        position_max: 1 << 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600 * S_NS;

    #[test]
    fn hours_open_at_their_first_moment_and_close_before_their_last() {
        let day = Hours { open_ns: 9 * HOUR_NS, close_ns: 16 * HOUR_NS, utc_offset_s: 0 };
        for (hour_ns, open) in [(9 * HOUR_NS, true), (16 * HOUR_NS - 1, true)] {
            assert_eq!(day.contain(20_000 * DAY_NS + hour_ns), open);
        }
        assert!(!day.contain(9 * HOUR_NS - 1) && !day.contain(16 * HOUR_NS));

        let new_york = Hours { utc_offset_s: -5 * 3_600, ..day };
        assert!(new_york.contain(14 * HOUR_NS) && new_york.contain(21 * HOUR_NS - 1));
        assert!(!new_york.contain(14 * HOUR_NS - 1) && !new_york.contain(21 * HOUR_NS));

        let night = Hours { open_ns: 18 * HOUR_NS, close_ns: 17 * HOUR_NS, utc_offset_s: 0 };
        assert!(night.contain(18 * HOUR_NS) && night.contain(0) && night.contain(17 * HOUR_NS - 1));
        assert!(!night.contain(17 * HOUR_NS) && !night.contain(18 * HOUR_NS - 1));

        let always = Hours { open_ns: HOUR_NS, close_ns: HOUR_NS, utc_offset_s: 86_399 };
        assert!([0, HOUR_NS - 1, HOUR_NS, u64::MAX].map(|at| always.contain(at)) == [true; 4]);
    }

    fn feed(name: &str, protocol: Protocol) -> FeedSettings {
        let (name, gap) = (name.to_owned(), GapPolicy::Refuse);
        FeedSettings { name, protocol, age_ns_max: 0, silence_ns_max: None, gap }
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let feeds = vec![feed("a", Protocol::Nanonet), feed("a", Protocol::Itch50)];
        let error = Settings { feeds, ..Settings::default() }.check().unwrap_err();
        assert!(error.to_string().starts_with("there are two feeds of the name \"a\""), "{error}");

        let feeds = vec![feed("a", Protocol::HftTick)];
        let error = Settings { feeds, ..Settings::default() }.check().unwrap_err();
        assert!(error.to_string().contains("hft-tick have neither a number"), "{error}");

        let limits = Limits { orders_per_s: ORDERS_PER_S_MAX + 1, ..Limits::default() };
        let error = Settings { limits, ..Settings::default() }.check().unwrap_err();
        assert!(error.to_string().contains("at most 1000000 are possible"), "{error}");
        assert_eq!(Settings::default().check(), Ok(()));
    }
}
