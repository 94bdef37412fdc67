//! The words that the program and user space share, as user space sees them.

use super::classes::Classes;
use super::layout::{
    HEADER_BYTES, LEVEL1_WORDS, Layout, MAGIC, RulesLayout, SLOT_WORDS, feed, head, instrument,
    rule, target,
};
use super::plan::{COLLAR_PPM_MAX, Plan};
use crate::config::Config;
use crate::memory::{Keys, Memory, MemoryError};
use crate::rule::{Operand, SideOf};
use crate::settings::{Hours, InstrumentSettings, Limits};
use std::net::SocketAddrV4;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering};
use tickwire_frame::Reason;

/// What nobody has said yet.
const ABSENT: u64 = i64::MIN as u64;
/// Odd, with bits all over: Fibonacci hashing.
pub(super) const SYMBOL_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// How often it is looked whether a processor still decides: milliseconds, of what takes less than
/// a microsecond.
const RETIRE_TRIES_MAX: u32 = 1 << 20;
/// The number of words of a frame's headers.
const HEADER_WORDS: usize = HEADER_BYTES.div_ceil(8);

/// What the kernel has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// Of each feed that the kernel reads: ticks of symbols that are not configured, and ticks
    /// that were decided on.
    pub ticks: Vec<[u64; 2]>,
    /// Ticks that rules wanted an order for: `orders` and all `refused` together.
    pub intents: u64,
    /// Orders that left.
    pub orders: u64,
    /// What was refused, by reason.
    pub refused: tickwire_frame::Counters,
    /// Ticks that were left to user space, because another processor was deciding for too long.
    pub busy: u64,
    /// Records that were lost.
    pub lost: u64,
    /// Whether trading has stopped because a record was lost.
    pub stopped: bool,
}

/// Where orders to a target go: the headers of their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of the interface that leads there.
    pub ifindex: u32,
    /// Whether its driver sends frames back that came in there (XDP_TX), which is the shortest way.
    /// That of virtual pairs does so only for an end that has a program itself, and keeps others
    /// without a word: there, frames are redirected to where they came from.
    pub sends_back: bool,
    /// Link address of the next hop.
    pub destination_mac: [u8; 6],
    /// Link address of the interface.
    pub source_mac: [u8; 6],
    /// Where orders come from.
    pub source: SocketAddrV4,
    /// Where they go to.
    pub destination: SocketAddrV4,
    /// IPv4's time to live.
    pub ttl: u8,
    /// The longest packet that the way takes, in bytes, with its IPv4 header.
    pub mtu: u32,
}

/// The words that outlive a change of the rules.
#[derive(Clone, Copy, Debug)]
pub struct State<'m> {
    words: &'m [AtomicU64],
    layout: Layout,
    memory: Memory<'m>,
}

/// The lock, while it is held.
#[derive(Debug)]
pub(crate) struct Locked<'m>(&'m AtomicU64);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.store(0, Release);
    }
}

impl<'m> State<'m> {
    /// Fills words that are all zero, and makes of their end a new [`Memory`]. Nothing may leave
    /// yet: there is no lease, no target is ready, and it is switched off.
    ///
    /// # Panics
    /// When there are fewer words than the layout says.
    pub fn create(words: &'m [AtomicU64], config: &Config, plan: &Plan) -> Self {
        let layout = Layout::of(config, plan);
        let memory = Memory::create(&words[layout.memory..], &Keys::of(&config.settings));
        let state = State { words, layout, memory };
        state.set(head::MAGIC, MAGIC);
        state.set(head::MEMORY_AT, layout.memory as u64);
        state.set(head::STOPS, 1);
        for (place, of) in plan.feeds().iter().enumerate() {
            let at = layout.feed(place);
            state.set(at + feed::SILENCE_NS_MAX, of.silence_ns_max.unwrap_or(u64::MAX));
            state.set(at + feed::PLACE, place as u64);
            state.set(at + feed::NUMBER, of.number.into());
            state.set(at + feed::IS_WHOLE, of.is_whole.into());
            for number in 0..layout.instruments_count {
                let at = layout.level1(place, number);
                (0..LEVEL1_WORDS).for_each(|word| state.set(at + word, ABSENT));
            }
        }
        for (place, of) in plan.targets().iter().enumerate() {
            let at = layout.target(place);
            state.set(at + target::ORDER_BYTES, of.format.order_bytes() as u64);
            state.set(at + target::NUMBER, of.number.into());
            state.set(at + target::FORMAT, plan.format(place) as u64);
            state.set_route(place, Err(Reason::NoRoute));
        }
        for number in 0..layout.instruments_count {
            let Some(of) = config.instruments.get(number as u32) else { continue };
            state.add_symbol(u64::from_ne_bytes(of.symbol), number);
        }
        state.set_limits(&config.settings.limits, &config.settings.instruments);
        state
    }

    /// Sees words that were [created](Self::create) for the same configuration.
    ///
    /// # Errors
    /// When they are no such words, or damaged.
    pub fn attach(
        words: &'m [AtomicU64],
        config: &Config,
        plan: &Plan,
    ) -> Result<Self, MemoryError> {
        let (layout, memory) = (Layout::of(config, plan), Self::memory_of(words)?);
        match words.len() >= layout.words && memory.keys() == Keys::of(&config.settings) {
            true => Ok(State { words, layout, memory }),
            false => Err(MemoryError::Foreign),
        }
    }

    /// The memory in the words of a process that was killed. Its program may still run for a
    /// moment: it trades no more when this returns.
    ///
    /// # Errors
    /// When they are no such words, or damaged.
    pub fn retire(words: &[AtomicU64]) -> Result<Memory<'_>, MemoryError> {
        let memory = Self::memory_of(words)?;
        words[head::LEASE_NS].store(0, Relaxed);
        words[head::ENABLED].store(0, Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        // The process may have been killed with the lock: nobody decides then either.
        let free = || words[head::LOCK].compare_exchange(0, 1, Acquire, Relaxed).is_ok();
        for _ in 0..RETIRE_TRIES_MAX {
            if free() {
                words[head::LOCK].store(0, Release);
                break;
            }
            std::hint::spin_loop();
        }
        Ok(memory)
    }

    fn memory_of(words: &[AtomicU64]) -> Result<Memory<'_>, MemoryError> {
        let at = |place: usize| words.get(place).map_or(0, |word| word.load(Relaxed));
        if at(head::MAGIC) != MAGIC {
            return Err(MemoryError::Foreign);
        }
        let from = usize::try_from(at(head::MEMORY_AT)).unwrap_or(usize::MAX);
        Memory::open(words.get(from..).unwrap_or_default())
    }

    /// What outlives the process: the same words that the program reads and writes.
    pub fn memory(&self) -> Memory<'m> {
        self.memory
    }

    /// Where is what.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// To be called when the [memory](Self::memory) has what the last run left, before anything is
    /// decided: how many orders left in the second before is not known, so that it counts as full.
    pub fn begin(&self) {
        let last_ns = self.memory.last_order_ns().load(Relaxed);
        let rate = &self.words[self.layout.rate..self.layout.rate + self.layout.rate_words];
        rate.iter().for_each(|word| word.store(last_ns, Relaxed));
    }

    fn get(&self, place: usize) -> u64 {
        self.words[place].load(Relaxed)
    }

    fn set(&self, place: usize, value: u64) {
        self.words[place].store(value, Relaxed);
    }

    /// Waits until no processor decides, and keeps them from it. They give up soon and leave their
    /// tick to user space: hold it for a moment only.
    pub(crate) fn lock(&self) -> Locked<'m> {
        let word = &self.words[head::LOCK];
        while word.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
        }
        Locked(word)
    }

    /// Returns when every processor sees what was stored before, and what it decided without it
    /// has left the program.
    pub fn settle(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        drop(self.lock());
    }

    /// It may trade until then, on CLOCK_MONOTONIC; and what is to be added to that clock to have
    /// the time since 1970.
    pub fn renew(&self, until_ns: u64, clock_ns: u64) {
        self.set(head::CLOCK_NS, clock_ns);
        self.words[head::LEASE_NS].store(until_ns, Release);
    }

    /// Until when it may trade, on CLOCK_MONOTONIC; 0: not at all.
    pub fn lease_until_ns(&self) -> u64 {
        self.get(head::LEASE_NS)
    }

    /// How many records found no room.
    pub fn lost(&self) -> u64 {
        self.get(head::LOST)
    }

    /// Switches responding on or off.
    pub fn set_enabled(&self, enabled: bool) {
        self.set(head::ENABLED, enabled.into());
        if enabled {
            self.set(head::STOPPED, 0);
        }
    }

    /// Whether responding is switched on, and was not stopped by a lost record.
    pub fn is_enabled(&self) -> bool {
        self.get(head::ENABLED) == 1 && self.get(head::STOPPED) == 0
    }

    /// Whether it stops trading when a record is lost.
    pub fn set_stops_when_full(&self, stops: bool) {
        self.set(head::STOPS, stops.into());
    }

    /// What holds for all orders together and for each instrument, from the next tick on.
    ///
    /// # Panics
    /// When there are other instruments than at first, or more orders a second than
    /// [fit](Self::orders_per_s_max).
    pub fn set_limits(&self, limits: &Limits, instruments: &[InstrumentSettings]) {
        assert_eq!(instruments.len(), self.layout.instruments_count);
        assert!(limits.orders_per_s <= self.orders_per_s_max());
        let Hours { open_ns, close_ns, utc_offset_s } =
            limits.hours.unwrap_or(Hours { open_ns: 0, close_ns: 0, utc_offset_s: 0 });
        let ahead_ns = i64::from(utc_offset_s).rem_euclid(86_400) as u64 * 1_000_000_000;
        self.set_together([
            (head::ORDERS_PER_S, limits.orders_per_s.into()),
            (head::HAS_HOURS, limits.hours.is_some().into()),
            (head::OPEN_NS, open_ns),
            (head::CLOSE_NS, close_ns),
            (head::AHEAD_NS, ahead_ns),
        ]);
        for (number, of) in instruments.iter().enumerate() {
            let at = self.layout.instrument(number);
            // A wider one, which the program could not multiply, is of an instrument that is not
            // the kernel's, or will not be in a moment.
            let collar_ppm = of.collar_ppm.min(COLLAR_PPM_MAX);
            self.set_together([
                (at + instrument::TICK, of.tick.get()),
                (at + instrument::QUANTITY_MAX, of.quantity_max.into()),
                (at + instrument::NOTIONAL_MAX, of.notional_max),
                (at + instrument::COLLAR_PPM, collar_ppm.into()),
                (at + instrument::POSITION_MAX, of.position_max),
            ]);
        }
    }

    /// Sets words that are only right together. Without the lock where they are as they should be:
    /// a processor that finds it held for too long leaves its tick to user space.
    fn set_together<const N: usize>(&self, words: [(usize, u64); N]) {
        if words.iter().any(|&(place, value)| self.get(place) != value) {
            let _locked = self.lock();
            words.iter().for_each(|&(place, value)| self.set(place, value));
        }
    }

    /// What user space looks at, from another plan for the same feeds: of the others, ticks that
    /// nobody trades are dropped.
    pub fn set_whole(&self, plan: &Plan) {
        for (place, of) in plan.feeds().iter().enumerate() {
            self.set(self.layout.feed(place) + feed::IS_WHOLE, of.is_whole.into());
        }
    }

    /// Forgets the last trades of an instrument, before a program decides on it that did not see
    /// its ticks.
    pub fn forget(&self, instrument: usize) {
        let _locked = self.lock();
        for place in 0..self.layout.feeds_count {
            let at = self.layout.level1(place, instrument);
            (0..LEVEL1_WORDS).for_each(|word| self.set(at + word, ABSENT));
        }
    }

    /// The most orders a second that can be asked for without a restart.
    pub fn orders_per_s_max(&self) -> u32 {
        self.layout.rate_words as u32
    }

    /// Whether one more order can be sent at `now_ns`; see [`Checks`](crate::Checks). With the lock
    /// held, as is `sent`: user space and the kernel fill the same second.
    pub(crate) fn rate_allows(&self, now_ns: u64) -> bool {
        let (limit, next) = (self.get(head::ORDERS_PER_S), self.get(head::RATE_NEXT));
        let oldest_ns = self.get(self.layout.rate + self.rate_place(next.wrapping_sub(limit)));
        limit > 0 && (oldest_ns == 0 || now_ns.saturating_sub(oldest_ns) >= 1_000_000_000)
    }

    pub(crate) fn sent(&self, now_ns: u64) {
        let next = self.get(head::RATE_NEXT);
        self.set(self.layout.rate + self.rate_place(next), now_ns);
        self.set(head::RATE_NEXT, next.wrapping_add(1));
    }

    fn rate_place(&self, number: u64) -> usize {
        number as usize & (self.layout.rate_words - 1)
    }

    /// When the last packet of a feed came that the kernel saw or was [told](Self::heard) of, by
    /// its place among those of the kernel; 0: none has.
    pub fn last_packet_ns(&self, place: usize) -> u64 {
        self.get(self.layout.feed(place) + feed::LAST_NS)
    }

    /// A packet of a feed came to user space.
    pub fn heard(&self, place: usize, at_ns: u64) {
        let word = self.layout.feed(place) + feed::LAST_NS;
        let _locked = self.lock();
        self.set(word, at_ns.max(self.get(word)));
    }

    /// How many may still be bought and sold of an instrument by orders of user space.
    pub fn set_open(&self, number: usize, open_buy: u64, open_sell: u64) {
        let at = self.layout.instrument(number);
        let _locked = self.lock();
        self.set(at + instrument::OPEN_BUY, open_buy);
        self.set(at + instrument::OPEN_SELL, open_sell);
    }

    /// The way to a target, by its place among those of the kernel, or why there is none.
    pub fn set_route(&self, place: usize, route: Result<&Route, Reason>) {
        let at = self.layout.target(place);
        let _locked = self.lock();
        let route = match route {
            Ok(route) => route,
            Err(reason) => return self.set(at + target::STATUS, reason as u64 + 1),
        };
        let order_bytes = self.get(at + target::ORDER_BYTES) as usize;
        let header = header(route, order_bytes);
        let (words, _) = header.as_chunks::<8>();
        for (word, bytes) in words.iter().enumerate() {
            self.set(at + target::HEADER + word, u64::from_ne_bytes(*bytes));
        }
        let udp_len = u16::from_ne_bytes([header[38], header[39]]);
        let pseudo = u64::from(17_u16.to_be()) + u64::from(udp_len) + sum(&header[26..34]);
        self.set(at + target::IP_SUM, sum(&header[14..34]));
        self.set(at + target::UDP_SUM, pseudo + sum(&header[34..42]));
        self.set(at + target::IFINDEX, route.ifindex.into());
        let back = if route.sends_back { route.ifindex } else { 0 };
        self.set(at + target::BACK_IFINDEX, back.into());
        let too_long = 28 + order_bytes > route.mtu as usize;
        let status = if too_long { Reason::TooLong as u64 + 1 } else { 0 };
        self.set(at + target::STATUS, status);
    }

    /// Sets all positions to 0, and forgets what is open.
    pub fn flatten(&self) {
        let _locked = self.lock();
        self.memory.flatten();
    }

    /// Forgets what was answered.
    pub fn forget_triggers(&self) {
        let _locked = self.lock();
        self.memory.forget_triggers();
    }

    /// What was counted.
    pub fn counts(&self) -> KernelCounts {
        let mut refused = tickwire_frame::Counters::default();
        for (at, &reason) in Reason::ALL.iter().enumerate() {
            refused.add(reason, self.get(self.layout.refused + at));
        }
        let feeds = 0..self.layout.feeds_count;
        KernelCounts {
            ticks: feeds
                .map(|at| {
                    [feed::OTHERS, feed::TICKS].map(|word| self.get(self.layout.feed(at) + word))
                })
                .collect(),
            intents: self.get(head::INTENTS),
            orders: self.get(head::ORDERS),
            refused,
            busy: self.get(head::BUSY),
            lost: self.get(head::LOST),
            stopped: self.get(head::STOPPED) != 0,
        }
    }

    /// Sets all that was counted to 0.
    pub fn reset_counts(&self) {
        let _locked = self.lock();
        for word in [head::INTENTS, head::ORDERS, head::BUSY, head::LOST] {
            self.set(word, 0);
        }
        (0..Reason::COUNT).for_each(|at| self.set(self.layout.refused + at, 0));
        for place in 0..self.layout.feeds_count {
            self.set(self.layout.feed(place) + feed::OTHERS, 0);
            self.set(self.layout.feed(place) + feed::TICKS, 0);
        }
    }

    fn add_symbol(&self, key: u64, number: usize) {
        let mut slot = first_slot(key, self.layout.slots);
        let at = |slot: usize| self.layout.symbols + slot * SLOT_WORDS;
        while self.get(at(slot) + 1) != 0 {
            slot = (slot + 1) % self.layout.slots;
        }
        self.set(at(slot), key);
        self.set(at(slot) + 1, number as u64 + 1);
    }
}

/// Where the search for a symbol begins among `slots`, a power of two.
pub(super) fn first_slot(key: u64, slots: usize) -> usize {
    // The upper bits of the product are those that every byte of the symbol reaches.
    (key.wrapping_mul(SYMBOL_FACTOR) >> (64 - slots.ilog2())) as usize
}

/// How many slots are looked at until a symbol of the configuration is found, or is known not to
/// be there.
pub(super) fn slots_looked_at(config: &Config, slots: usize) -> usize {
    let mut taken = vec![false; slots];
    for number in 0..config.settings.instruments.len() {
        let Some(of) = config.instruments.get(number as u32) else { continue };
        let mut slot = first_slot(u64::from_ne_bytes(of.symbol), slots);
        while taken[slot] {
            slot = (slot + 1) % slots;
        }
        taken[slot] = true;
    }
    // The longest run of taken slots, over the end of the table, and the free one behind it.
    let (mut run, mut longest) = (0, 0);
    for &taken in taken.iter().chain(&taken) {
        run = if taken { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest + 1
}

/// Ethernet, IPv4 and UDP to a target, for orders of that many bytes. Without identification and
/// checksums; never to be fragmented.
fn header(route: &Route, order_bytes: usize) -> [u8; HEADER_WORDS * 8] {
    let mut header = [0; HEADER_WORDS * 8];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &route.destination_mac);
    put(6, &route.source_mac);
    put(12, &[8, 0, 0x45, 0]);
    put(16, &(28 + order_bytes as u16).to_be_bytes());
    put(20, &[0x40, 0, route.ttl, 17]);
    put(26, &route.source.ip().octets());
    put(30, &route.destination.ip().octets());
    put(34, &route.source.port().to_be_bytes());
    put(36, &route.destination.port().to_be_bytes());
    put(38, &(8 + order_bytes as u16).to_be_bytes());
    header
}

/// The sum of an even number of bytes as words of 16 bits in the machine's order.
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<2>();
    words.iter().map(|word| u64::from(u16::from_ne_bytes(*word))).sum()
}

/// Fills the words of a set of rules, all of them zero.
///
/// # Panics
/// When there are fewer words than the layout says.
pub fn fill_rules(words: &[AtomicU64], config: &Config, plan: &Plan) {
    let layout = RulesLayout::of(config, plan);
    let set = |place: usize, value: u64| words[place].store(value, Relaxed);
    let mut cool_downs_at = 0;
    for (place, of) in plan.programs().iter().enumerate() {
        let at = layout.rule(place);
        set(at + rule::NUMBER, of.rule.into());
        set(at + rule::TARGET, of.target as u64);
        set(at + rule::TARGET_NUMBER, plan.targets()[of.target].number.into());
        set(at + rule::COOL_DOWN_NS, of.cool_down_ns);
        set(at + rule::COOL_DOWNS_AT, cool_downs_at);
        let constant = |operand: &Operand| match operand {
            Operand::Const(number) => *number as u64,
            _ => 0,
        };
        set(at + rule::QUANTITY, constant(&of.program.quantity));
        set(at + rule::PRICE, constant(&of.program.price));
        if let SideOf::Const(side) = of.program.side {
            set(at + rule::SIDE, side as u64);
        }
        if of.cool_down_ns > 0 {
            cool_downs_at += config.settings.instruments.len() as u64;
        }
    }
    for (number, class) in Classes::of(config, plan).of_instruments.iter().enumerate() {
        set(layout.classes + number, u64::from(*class));
    }
}
