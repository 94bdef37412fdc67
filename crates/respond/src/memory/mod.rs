//! What survives the process: words of 64 bits, in a file that whoever runs a responder maps.
//!
//! A store into mapped memory is in the kernel's hands at once, so that it outlives even SIGKILL;
//! what a loss of power leaves is what was synchronised last. Each word is whole by itself; where
//! two belong together, they are written in an order in which the process can be killed between
//! them: it may then refuse more than it must, never less.
//!
//! ```text
//! header            16 words   magic, version, how many of each below, checksum; kill switch, …
//! keys               1 word    for each instrument, feed and target, then up to a multiple of 8
//! instruments        8 words   each: the mark of what was answered, the position
//! feeds             16 words   each: a session and what was answered of it, eight times
//! targets            8 words   each: what the session of the target keeps
//! open orders        4 words   each, 4 096 times
//! ```
//!
//! Header and keys are checked when it is opened. A changed configuration has other keys: a new
//! memory is made then, and takes over what it has in common with the old one
//! ([`Memory::take_over`]).

mod open;
#[cfg(test)]
mod tests;

pub(crate) use open::OpenOrder;

use crate::settings::{FEEDS_MAX, INSTRUMENTS_MAX, Settings, TARGETS_MAX};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use thiserror::Error;

/// The most orders that can be open, on all targets that acknowledge.
pub const OPEN_ORDERS_MAX: usize = 4_096;
/// How far numbers of orders skip ahead with each start: more than can have been given since the
/// memory was synchronised last, which a loss of power may take back: what the kernel writes back
/// after 30 s by itself, at 34 000 orders a second.
pub const NUMBERS_SKIPPED_AT_START: u64 = 1 << 20;
/// Each second since 1970 has as many numbers of orders of its own: so those of a lost memory are
/// not given again, unless more than these left each second.
pub const NUMBERS_PER_S: u64 = 1 << 16;
/// Numbers stay below: what is greater is damage.
const NUMBER_MAX: u64 = 1 << 60;

/// How many words the session of a target has for itself.
pub const TARGET_WORDS: usize = 8;

const MAGIC: u64 = u64::from_le_bytes(*b"tickwire");
const VERSION: u64 = 2;

const HEADER_WORDS: usize = 16;
/// Of the header, what never changes.
const STATIC_WORDS: usize = 5;
const CHECKSUM: usize = 5;
pub(crate) const KILL_SWITCH: usize = 8;
pub(crate) const NEXT_NUMBER: usize = 9;
pub(crate) const LAST_ORDER_NS: usize = 10;
const RUNNING: usize = 11;

pub(crate) const INSTRUMENT_WORDS: usize = 8;
/// Of an instrument: what was answered has these six words, see `triggers`.
pub(crate) const MARK_WORDS: usize = 6;
pub(crate) const POSITION: usize = 6;
pub(crate) const LAST_SENT_NS: usize = 7;
/// Of a feed: eight sessions of two words, see `triggers`.
pub(crate) const FEED_WORDS: usize = 16;
const ORDER_WORDS: usize = 4;

/// Whose words there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    instruments: Vec<u64>,
    feeds: Vec<u64>,
    targets: Vec<u64>,
}

impl Keys {
    /// Of a configuration.
    pub fn of(settings: &Settings) -> Self {
        let name = |name: &str| fold(name.bytes().map(u64::from));
        Keys {
            instruments: settings
                .instruments
                .iter()
                .map(|at| u64::from_le_bytes(at.symbol))
                .collect(),
            feeds: settings.feeds.iter().map(|feed| name(&feed.name)).collect(),
            targets: settings.targets.iter().map(|target| name(&target.name)).collect(),
        }
    }

    /// How many words a memory of them has.
    pub fn words(&self) -> usize {
        Places::of(self.instruments.len(), self.feeds.len(), self.targets.len()).end
    }

    /// The word that the instruments begin with.
    pub(crate) fn instruments_at(&self) -> usize {
        Places::of(self.instruments.len(), self.feeds.len(), self.targets.len()).instruments
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.instruments.iter().chain(&self.feeds).chain(&self.targets).copied()
    }
}

/// FNV-1a over words instead of bytes.
pub(crate) fn fold(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3))
}

/// Where what begins.
#[derive(Clone, Copy, Debug)]
struct Places {
    instruments: usize,
    feeds: usize,
    targets: usize,
    orders: usize,
    end: usize,
}

impl Places {
    fn of(instruments: usize, feeds: usize, targets: usize) -> Self {
        // Whole lines of 64 bytes, since mappings begin at a page.
        let keys_end = (HEADER_WORDS + instruments + feeds + targets).next_multiple_of(8);
        let feeds_at = keys_end + instruments * INSTRUMENT_WORDS;
        let targets_at = feeds_at + feeds * FEED_WORDS;
        let orders = targets_at + targets * TARGET_WORDS;
        let end = orders + OPEN_ORDERS_MAX * ORDER_WORDS;
        Places { instruments: keys_end, feeds: feeds_at, targets: targets_at, orders, end }
    }
}

/// Why words are no memory.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// Of something else, or of another version.
    #[error(
        "it is not the memory of a responder of this version: name another file as `state`, or \
         move it away, and then see to it that no order of it is still open"
    )]
    Foreign,
    /// Damaged.
    #[error(
        "it is damaged ({what}): positions, open orders and what was answered cannot be trusted; \
         move it away, see at the exchange what is open, and start again"
    )]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
}

/// The words, and what they mean. A copy sees the same words.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'m> {
    words: &'m [AtomicU64],
    instruments: &'m [[AtomicU64; INSTRUMENT_WORDS]],
    feeds: &'m [[AtomicU64; FEED_WORDS]],
    places: Places,
    counts: [usize; 3],
}

impl<'m> Memory<'m> {
    /// Makes a new memory of zeroed words, at least as many as [`Keys::words`].
    ///
    /// # Panics
    /// When there are fewer.
    pub fn create(words: &'m [AtomicU64], keys: &Keys) -> Self {
        let counts = [keys.instruments.len(), keys.feeds.len(), keys.targets.len()];
        let places = Places::of(counts[0], counts[1], counts[2]);
        assert!(words.len() >= places.end, "{} words for {}", words.len(), places.end);
        let header = [MAGIC, VERSION].into_iter().chain(counts.map(|count| count as u64));
        for (word, value) in words.iter().zip(header) {
            word.store(value, Relaxed);
        }
        for (word, key) in words[HEADER_WORDS..].iter().zip(keys.iter()) {
            word.store(key, Relaxed);
        }
        let memory = Memory::of(words, places, counts);
        words[CHECKSUM].store(memory.checksum(), Relaxed);
        memory.word(NEXT_NUMBER).store(1, Relaxed);
        memory
    }

    /// Reads a memory.
    ///
    /// # Errors
    /// [`MemoryError`]; nothing was changed then.
    pub fn open(words: &'m [AtomicU64]) -> Result<Self, MemoryError> {
        let damaged = |what| MemoryError::Damaged { what };
        let at = |place: usize| words.get(place).map_or(0, |word| word.load(Relaxed));
        if at(0) != MAGIC || at(1) != VERSION {
            return Err(MemoryError::Foreign);
        }
        let maxima = [INSTRUMENTS_MAX, FEEDS_MAX, TARGETS_MAX];
        let counts =
            [at(2), at(3), at(4)].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if counts.iter().zip(maxima).any(|(&count, max)| count > max) {
            return Err(damaged("the header says of more than there can be"));
        }
        let places = Places::of(counts[0], counts[1], counts[2]);
        if words.len() < places.end {
            return Err(damaged("its end is missing"));
        }
        let memory = Memory::of(words, places, counts);
        if memory.checksum() != at(CHECKSUM) {
            return Err(damaged("the checksum of the header is wrong"));
        }
        if at(KILL_SWITCH) > 1 || at(RUNNING) > 1 {
            return Err(damaged("a switch is neither on nor off"));
        }
        let number = at(NEXT_NUMBER);
        if number == 0 || number > NUMBER_MAX {
            return Err(damaged("the number of the next order is impossible"));
        }
        if !memory.open_orders().all(|(place, order)| order.is_sound(place, number, &counts)) {
            return Err(damaged("an open order is impossible"));
        }
        Ok(memory)
    }

    /// What is asked for each tick is found in one step.
    fn of(words: &'m [AtomicU64], places: Places, counts: [usize; 3]) -> Self {
        let (instruments, _) = words[places.instruments..places.feeds].as_chunks();
        let (feeds, _) = words[places.feeds..places.targets].as_chunks();
        Memory { words, instruments, feeds, places, counts }
    }

    fn checksum(&self) -> u64 {
        let keys = &self.words[HEADER_WORDS..self.places.instruments];
        fold(self.words[..STATIC_WORDS].iter().chain(keys).map(|word| word.load(Relaxed)))
    }

    /// Whose words it has.
    pub fn keys(&self) -> Keys {
        let mut keys = self.words[HEADER_WORDS..].iter().map(|word| word.load(Relaxed));
        let mut next = |count| keys.by_ref().take(count).collect();
        let [instruments, feeds, targets] = self.counts;
        Keys { instruments: next(instruments), feeds: next(feeds), targets: next(targets) }
    }

    /// Begins a run at `now_ns` since 1970: numbers skip ahead. Positions begin at 0 unless the
    /// last run did not [end](Self::end) in good order, or `keep_positions` says otherwise; then
    /// what was open still is.
    pub fn begin(&self, now_ns: u64, keep_positions: bool) {
        let clock = (now_ns / 1_000_000_000).saturating_mul(NUMBERS_PER_S);
        let number = self.next_number().saturating_add(NUMBERS_SKIPPED_AT_START).max(clock);
        self.word(NEXT_NUMBER).store(number.min(NUMBER_MAX), Relaxed);
        if self.word(RUNNING).swap(1, Relaxed) == 0 && !keep_positions {
            self.flatten();
        }
    }

    /// Ends a run in good order.
    pub fn end(&self) {
        self.word(RUNNING).store(0, Relaxed);
    }

    /// Sets all positions to 0 and forgets what is open.
    pub fn flatten(&self) {
        for instrument in 0..self.counts[0] {
            self.position(instrument).store(0, Relaxed);
        }
        for order in self.words[self.places.orders..self.places.end].chunks_exact(ORDER_WORDS) {
            order[0].store(0, Relaxed);
        }
    }

    /// Forgets what was answered: messages that come again are answered again.
    pub fn forget_triggers(&self) {
        for instrument in 0..self.counts[0] {
            self.mark(instrument).iter().for_each(|word| word.store(0, Relaxed));
        }
        for feed in 0..self.counts[1] {
            self.feed(feed).iter().for_each(|word| word.store(0, Relaxed));
        }
    }

    /// Takes over from `old` what is known there of the same instruments, feeds and targets, the
    /// kill switch and the numbers. Open orders of what is no longer configured are dropped.
    pub fn take_over(&self, old: &Memory<'_>) {
        for place in [KILL_SWITCH, NEXT_NUMBER, LAST_ORDER_NS, RUNNING] {
            self.word(place).store(old.word(place).load(Relaxed), Relaxed);
        }
        let (mine, theirs) = (self.keys(), old.keys());
        let instruments = places_in(&mine.instruments, &theirs.instruments);
        let targets = places_in(&mine.targets, &theirs.targets);
        for (to, from) in pairs(&instruments) {
            copy(old.instrument(from), self.instrument(to));
        }
        for (to, from) in pairs(&places_in(&mine.feeds, &theirs.feeds)) {
            copy(old.feed(from), self.feed(to));
        }
        for (to, from) in pairs(&targets) {
            copy(old.target(from), self.target(to));
        }
        for (place, order) in old.open_orders() {
            let now = |list: &[Option<usize>], then: usize| {
                list.iter().position(|&place| place == Some(then))
            };
            let instrument = now(&instruments, order.instrument as usize);
            let target = now(&targets, order.target.into());
            if let (Some(instrument), Some(target)) = (instrument, target) {
                let (instrument, target) = (instrument as u32, target as u16);
                self.set_open(place, OpenOrder { instrument, target, ..order });
            }
        }
    }

    /// Becomes what `other` is. Words that are the same are not written.
    ///
    /// # Panics
    /// When it is of other instruments, feeds or targets.
    pub fn copy_from(&self, other: &Memory<'_>) {
        assert!(self.checksum() == other.checksum(), "the memory of another configuration");
        for (to, from) in self.words.iter().zip(&other.words[..other.places.end]) {
            let word = from.load(Relaxed);
            if to.load(Relaxed) != word {
                to.store(word, Relaxed);
            }
        }
    }

    #[inline]
    fn word(&self, place: usize) -> &'m AtomicU64 {
        &self.words[place]
    }

    /// Whether no order may leave. Another thread sets it: nothing else is handed over with it, so
    /// that Relaxed is enough; `batches` says when it is seen.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.word(KILL_SWITCH).load(Relaxed) != 0
    }

    /// Sets the kill switch, or takes it back.
    pub fn set_killed(&self, killed: bool) {
        self.word(KILL_SWITCH).store(killed.into(), Relaxed);
    }

    /// The number that the next order has, or a greater one.
    #[inline]
    pub fn next_number(&self) -> u64 {
        self.word(NEXT_NUMBER).load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_next_number(&self, number: u64) {
        self.word(NEXT_NUMBER).store(number, Relaxed);
    }

    /// When the last order of all was sent, and the last of each instrument, in nanoseconds since
    /// 1970; 0: never.
    #[inline]
    pub(crate) fn last_order_ns(&self) -> &'m AtomicU64 {
        self.word(LAST_ORDER_NS)
    }

    #[inline]
    fn instrument(&self, instrument: usize) -> &'m [AtomicU64; INSTRUMENT_WORDS] {
        &self.instruments[instrument]
    }

    /// What was answered of an instrument without sequence numbers.
    #[inline]
    pub(crate) fn mark(&self, instrument: usize) -> &'m [AtomicU64; MARK_WORDS] {
        self.instrument(instrument).first_chunk().expect("the first of an instrument's words")
    }

    /// Bought less sold of an instrument, in two's complement.
    #[inline]
    pub(crate) fn position(&self, instrument: usize) -> &'m AtomicU64 {
        &self.instrument(instrument)[POSITION]
    }

    /// When the last order of an instrument was sent, in nanoseconds since 1970; 0: never.
    #[inline]
    pub(crate) fn last_sent_ns(&self, instrument: usize) -> &'m AtomicU64 {
        &self.instrument(instrument)[LAST_SENT_NS]
    }

    /// What was answered of a feed with sequence numbers.
    #[inline]
    pub(crate) fn feed(&self, feed: usize) -> &'m [AtomicU64; FEED_WORDS] {
        &self.feeds[feed]
    }

    /// [`TARGET_WORDS`] words that the session of a target keeps its numbers in; zero at first.
    pub fn target(&self, target: usize) -> &'m [AtomicU64] {
        let from = self.places.targets + target * TARGET_WORDS;
        &self.words[from..from + TARGET_WORDS]
    }

    /// How many instruments, feeds and targets.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.counts
    }
}

/// For each of `mine`, where it is in `theirs`.
fn places_in(mine: &[u64], theirs: &[u64]) -> Vec<Option<usize>> {
    let map: std::collections::HashMap<_, _> =
        theirs.iter().enumerate().map(|(place, key)| (key, place)).collect();
    mine.iter().map(|key| map.get(key).copied()).collect()
}

fn pairs(places: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> {
    places.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?)))
}

fn copy(from: &[AtomicU64], to: &[AtomicU64]) {
    for (from, to) in from.iter().zip(to) {
        to.store(from.load(Relaxed), Relaxed);
    }
}
