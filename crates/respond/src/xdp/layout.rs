//! Where in the words that programs and user space share is what.
//!
//! What outlives a change of the rules, and with its memory the process:
//!
//! ```text
//! head         64 words    lock, switches, clock, lease, hours, counts
//! refused     128 words    how often each reason refused
//! feeds         8 words    each: silence, how many came
//! targets      16 words    each: the headers of a frame to it
//! rate          2^n words  when the last orders were sent
//! symbols       2 words    each slot of a hash table: symbol, number + 1
//! instruments  16 words    each: limits
//! level 1       2 words    each instrument of each feed: the last trade
//! memory                   a whole [`Memory`](crate::Memory)
//! ```
//!
//! What one set of rules has for itself, so that another can take its place at once:
//!
//! ```text
//! rules         8 words    each program: what of its rule goes into an order
//! classes       1 word     each instrument: which programs are asked
//! cool-downs    1 word     each rule that has one, and instrument: when it sent last; 0: not yet
//! ```
//!
//! All numbers are of 64 bits in the machine's order of bytes. The lock is held while a tick is
//! decided on, and while user space changes what belongs together; single words are stored without.

use super::plan::Plan;
use crate::config::Config;
use crate::memory::Keys;
use tickwire_frame::Reason;

/// Of the head, by word.
pub(super) mod head {
    /// 1 while somebody decides.
    pub const LOCK: usize = 0;
    /// Whether responding is switched on.
    pub const ENABLED: usize = 1;
    /// Until when it may trade, on CLOCK_MONOTONIC.
    pub const LEASE_NS: usize = 2;
    /// What is added to CLOCK_MONOTONIC to have the time since 1970.
    pub const CLOCK_NS: usize = 3;
    /// Whether it stops trading when a record is lost.
    pub const STOPS: usize = 4;
    /// Records that found no room.
    pub const LOST: usize = 5;
    /// It has stopped trading because of that.
    pub const STOPPED: usize = 6;
    /// How many orders a second may have.
    pub const ORDERS_PER_S: usize = 7;
    /// How many orders have left since the start: the next place of the window is that modulo its
    /// size.
    pub const RATE_NEXT: usize = 8;
    /// Whether there are hours; when they open and close, and how far their clock is ahead.
    pub const HAS_HOURS: usize = 9;
    pub const OPEN_NS: usize = 10;
    pub const CLOSE_NS: usize = 11;
    pub const AHEAD_NS: usize = 12;
    /// Ticks that rules wanted an order for.
    pub const INTENTS: usize = 16;
    /// Orders that left.
    pub const ORDERS: usize = 17;
    /// Ticks that were left to user space because another processor was deciding.
    pub const BUSY: usize = 18;
    /// Which memory this is: a magic number, and how many words there are before the memory.
    pub const MAGIC: usize = 62;
    pub const MEMORY_AT: usize = 63;
}

/// Of a feed, by word.
pub(super) mod feed {
    /// When its last packet came; 0: none has.
    pub const LAST_NS: usize = 0;
    /// How long it may have been silent.
    pub const SILENCE_NS_MAX: usize = 1;
    /// Its place among those in the kernel, and its number in the configuration.
    pub const PLACE: usize = 2;
    pub const NUMBER: usize = 3;
    /// Whether nobody in user space looks at it.
    pub const IS_WHOLE: usize = 4;
    /// Ticks of symbols that are not configured.
    pub const OTHERS: usize = 5;
    /// Ticks that were decided on.
    pub const TICKS: usize = 6;
}

/// Of a target, by word.
pub(super) mod target {
    /// 0 when orders can leave; else the reason why not, plus 1.
    pub const STATUS: usize = 0;
    /// The interface that leads to it.
    pub const IFINDEX: usize = 1;
    /// The same when a frame that came in there can be sent back as it is; else 0.
    pub const BACK_IFINDEX: usize = 13;
    /// [`HEADER_BYTES`](super::HEADER_BYTES) of Ethernet, IPv4 and UDP: with the lengths, without
    /// identification and checksums.
    pub const HEADER: usize = 2;
    /// The sum of the words of the IPv4 header, as they lie in memory.
    pub const IP_SUM: usize = 8;
    /// The sum of pseudo header and UDP header, as they lie in memory.
    pub const UDP_SUM: usize = 9;
    /// How long an order is, and its number in the configuration.
    pub const ORDER_BYTES: usize = 10;
    pub const NUMBER: usize = 11;
    /// Which of the formats its orders have.
    pub const FORMAT: usize = 12;
}

/// Of an instrument, by word.
pub(super) mod instrument {
    pub const QUANTITY_MAX: usize = 0;
    pub const NOTIONAL_MAX: usize = 1;
    pub const COLLAR_PPM: usize = 2;
    pub const POSITION_MAX: usize = 3;
    /// What may still be executed of orders that user space sent.
    pub const OPEN_BUY: usize = 4;
    pub const OPEN_SELL: usize = 5;
    /// Its smallest change of price.
    pub const TICK: usize = 6;
    /// The rules under which it had its last order, and when it had the last one before these.
    pub const RULES: usize = 7;
    pub const SENT_BEFORE_NS: usize = 8;
}

/// Of an instrument of a feed, by word. What is not known is `i64::MIN`.
pub(super) mod level1 {
    pub const LAST: usize = 0;
    pub const LAST_SIZE: usize = 1;
}

/// Of a program of a rule, by word.
pub(super) mod rule {
    /// The number of the rule.
    pub const NUMBER: usize = 0;
    /// The place of its target among those here.
    pub const TARGET: usize = 1;
    /// How long it is silent for an instrument after an order.
    pub const COOL_DOWN_NS: usize = 2;
    /// Where its cool-downs begin.
    pub const COOL_DOWNS_AT: usize = 3;
    /// Of its orders, where they are the same for all. The verifier must not know them: it would
    /// look at all that follows once for each rule.
    pub const SIDE: usize = 4;
    pub const QUANTITY: usize = 5;
    pub const PRICE: usize = 6;
    /// The number of the target in the configuration.
    pub const TARGET_NUMBER: usize = 7;
}

/// Ethernet, IPv4 and UDP.
pub(super) const HEADER_BYTES: usize = 14 + 20 + 8;
/// No state of another version is taken for one of this.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"twxdp\x00\x00\x01");

const HEAD_WORDS: usize = 64;
const REFUSED_WORDS: usize = 128;
const _: () = assert!(Reason::COUNT <= REFUSED_WORDS);
pub(super) const FEED_WORDS: usize = 8;
pub(super) const TARGET_WORDS: usize = 16;
pub(super) const SLOT_WORDS: usize = 2;
pub(super) const INSTRUMENT_WORDS: usize = 16;
pub(super) const LEVEL1_WORDS: usize = 2;
pub(super) const RULE_WORDS: usize = 8;
/// Times that the window has at least, so that the limit can be raised while it runs.
const RATE_WORDS_MIN: usize = 1 << 14;

/// Takes one part behind the other, in whole lines of 64 bytes.
#[derive(Default)]
struct Parts {
    end: usize,
}

impl Parts {
    fn take(&mut self, words: usize) -> usize {
        let begins = self.end;
        self.end += words.next_multiple_of(8);
        begins
    }
}

/// Where each part begins of what outlives a change of the rules, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) refused: usize,
    feeds: usize,
    pub(super) feeds_count: usize,
    targets: usize,
    pub(super) targets_count: usize,
    pub(super) rate: usize,
    /// A power of two.
    pub(super) rate_words: usize,
    pub(super) symbols: usize,
    /// A power of two.
    pub(super) slots: usize,
    pub(super) instruments: usize,
    pub(super) instruments_count: usize,
    level1: usize,
    pub(super) memory: usize,
    /// How many words there are.
    pub words: usize,
}

impl Layout {
    /// Of a configuration and what of it can be in the kernel.
    pub fn of(config: &Config, plan: &Plan) -> Layout {
        let count = config.settings.instruments.len();
        let rate_words = (config.settings.limits.orders_per_s as usize).next_power_of_two();
        let rate_words = rate_words.max(RATE_WORDS_MIN);
        // A quarter of the slots are taken at most: a symbol is found within a few.
        let slots = (4 * count).next_power_of_two();
        let mut parts = Parts::default();
        parts.take(HEAD_WORDS);
        let refused = parts.take(REFUSED_WORDS);
        let feeds = parts.take(plan.feeds().len() * FEED_WORDS);
        let targets = parts.take(plan.targets().len() * TARGET_WORDS);
        let rate = parts.take(rate_words);
        let symbols = parts.take(slots * SLOT_WORDS);
        let instruments = parts.take(count * INSTRUMENT_WORDS);
        let level1 = parts.take(plan.feeds().len() * count * LEVEL1_WORDS);
        let memory = parts.take(Keys::of(&config.settings).words());
        Layout {
            refused,
            feeds,
            feeds_count: plan.feeds().len(),
            targets,
            targets_count: plan.targets().len(),
            rate,
            rate_words,
            symbols,
            slots,
            instruments,
            instruments_count: count,
            level1,
            memory,
            words: parts.end,
        }
    }

    /// The first word of a feed, by its place among those in the kernel.
    pub(super) fn feed(&self, place: usize) -> usize {
        self.feeds + place * FEED_WORDS
    }

    /// The first word of a target, by its place among those in the kernel.
    pub(super) fn target(&self, place: usize) -> usize {
        self.targets + place * TARGET_WORDS
    }

    pub(super) fn instrument(&self, number: usize) -> usize {
        self.instruments + number * INSTRUMENT_WORDS
    }

    pub(super) fn level1(&self, feed: usize, instrument: usize) -> usize {
        self.level1 + (feed * self.instruments_count + instrument) * LEVEL1_WORDS
    }
}

/// Where each part begins of what a set of rules has for itself, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesLayout {
    pub(super) rules: usize,
    pub(super) classes: usize,
    pub(super) cool_downs: usize,
    pub(super) cool_downs_count: usize,
    /// How many words there are.
    pub words: usize,
}

impl RulesLayout {
    /// Of what a plan leaves to the kernel.
    pub fn of(config: &Config, plan: &Plan) -> RulesLayout {
        let count = config.settings.instruments.len();
        let cooling = plan.programs().iter().filter(|one| one.cool_down_ns > 0).count();
        let cool_downs_count = cooling * count;
        let mut parts = Parts::default();
        let rules = parts.take(plan.programs().len() * RULE_WORDS);
        let classes = parts.take(count);
        let cool_downs = parts.take(cool_downs_count);
        RulesLayout { rules, classes, cool_downs, cool_downs_count, words: parts.end.max(1) }
    }

    pub(super) fn rule(&self, place: usize) -> usize {
        self.rules + place * RULE_WORDS
    }
}
