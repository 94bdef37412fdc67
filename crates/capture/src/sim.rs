//! A port in memory, with faults: for tests of everything that stands on a port.
//!
//! Frames come from an iterator and arrive at their times on a clock of the port's own, which
//! moves only when the port is used: tests run as fast as the machine, and two runs of a seed are
//! the same to the last frame. On the way frames may be lost, doubled, delayed, overtaken and held
//! up. Frames that are transmitted are collected on a [`Wire`].
//!
//! It allocates for each frame, and is not for measuring.

use crate::{KernelCounter, Mode, Port, PortError, Received, Sent};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::iter::Peekable;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Reason, Timestamp};

/// What a look into an empty port costs on the port's clock, so that spinning gets somewhere.
const IDLE_STEP_NS: u64 = 1000;

/// What goes wrong on the way. Probabilities are between 0 and 1; the default is a perfect wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Where chance starts: the same seed gives the same run.
    pub seed: u64,
    /// Probability that a frame is lost ([`Reason::SimLost`]).
    pub loss: f64,
    /// Probability that a frame comes twice.
    pub duplicate: f64,
    /// Every frame is late by a random time up to this; the order stays.
    pub delay_max: Duration,
    /// Probability that a frame is held back by `reorder_by`, and others overtake it.
    pub reorder: f64,
    /// How long such a frame is held back.
    pub reorder_by: Duration,
    /// Probability, at each frame, that this frame and all after it wait for `stall_for` and then
    /// come in a burst.
    pub stall: f64,
    /// How long such a stall lasts.
    pub stall_for: Duration,
    /// Transmit slots; one is in use from `transmit` until the next `receive`, `wait` or `tick`.
    pub tx_slots: usize,
    /// Probability that a transmitted frame vanishes and its slot never comes free.
    pub tx_swallow: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            seed: 0,
            loss: 0.0,
            duplicate: 0.0,
            delay_max: Duration::ZERO,
            reorder: 0.0,
            reorder_by: Duration::from_micros(50),
            stall: 0.0,
            stall_for: Duration::from_millis(1),
            tx_slots: 4096,
            tx_swallow: 0.0,
        }
    }
}

/// A simulated port. See the module.
///
/// ```
/// use tickwire_capture::sim::{Faults, SimPort};
/// use tickwire_capture::{Port, Received};
/// use tickwire_frame::{Batch, Ledger, Reason};
///
/// // A hundred frames, one each 10 µs, of which one in five is lost.
/// let frames = (0..100u8).map(|n| vec![n; 60]);
/// let faults = Faults { seed: 1, loss: 0.2, ..Faults::default() };
/// let mut port = SimPort::paced(10_000, frames, faults);
///
/// let mut ledger = Ledger::default();
/// loop {
///     let mut batch = Batch::new();
///     match port.receive(&mut batch)? {
///         Received::Frames => {
///             ledger.receive(&batch);
///             ledger.delivered += batch.len() as u64;
///         }
///         Received::Idle => port.wait(std::time::Duration::from_secs(1))?,
///         Received::End => break,
///     }
/// }
/// port.tick(&mut ledger)?;
/// assert_eq!((ledger.received, ledger.difference()), (100, 0));
/// assert!(ledger.discarded[Reason::SimLost] > 0);
/// # Ok::<(), tickwire_capture::PortError>(())
/// ```
pub struct SimPort {
    input: Peekable<Input>,
    faults: Faults,
    chance: Chance,
    link: LinkType,
    now_ns: u64,
    /// No frame that is not overtaken arrives before this time.
    earliest_ns: u64,
    /// Frames on their way, next arrival first; equal times in the order of the input.
    on_the_way: BinaryHeap<Reverse<Arrival>>,
    arrivals: u64,
    /// What the batch of the last receive borrows.
    lent: Vec<Arrival>,
    lost: u64,
    lost_entered: u64,
    wire: Wire,
    tx_in_use: usize,
    tx_swallowed: usize,
    quiesced: bool,
}

type Input = Box<dyn Iterator<Item = (Timestamp, Vec<u8>)> + Send>;

/// The order of the fields is the order of arrival.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at_ns: u64,
    number: u64,
    bytes: Vec<u8>,
}

impl SimPort {
    /// Frames with their times of sending, which must not decrease. The clock starts at the first.
    pub fn new<I>(frames: I, faults: Faults) -> Self
    where
        I: IntoIterator<Item = (Timestamp, Vec<u8>)>,
        I::IntoIter: Send + 'static,
    {
        let mut input = (Box::new(frames.into_iter()) as Input).peekable();
        let now_ns = input.peek().map_or(0, |(at, _)| at.as_nanos());
        SimPort {
            input,
            faults,
            chance: Chance(faults.seed),
            link: LinkType::ETHERNET,
            now_ns,
            earliest_ns: now_ns,
            on_the_way: BinaryHeap::new(),
            arrivals: 0,
            lent: Vec::new(),
            lost: 0,
            lost_entered: 0,
            wire: Wire::default(),
            tx_in_use: 0,
            tx_swallowed: 0,
            quiesced: false,
        }
    }

    /// One frame each `interval_ns` nanoseconds, from time 0 on.
    pub fn paced<I>(interval_ns: u64, frames: I, faults: Faults) -> Self
    where
        I: IntoIterator<Item = Vec<u8>>,
        I::IntoIter: Send + 'static,
    {
        let times = (0u64..).map(move |n| Timestamp::from_nanos(n.saturating_mul(interval_ns)));
        Self::new(times.zip(frames), faults)
    }

    /// Frames of another link type than Ethernet.
    #[must_use]
    pub fn with_link(mut self, link: LinkType) -> Self {
        self.link = link;
        self
    }

    /// What is transmitted ends up here; the handle stays valid when an engine has the port.
    pub fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// The port's clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.now_ns)
    }

    /// Sends what is due off: an arrival is never before its sending, so whatever arrives by now
    /// is on the way after this.
    fn send_due(&mut self) {
        while !self.quiesced
            && let Some((at, bytes)) = self.input.next_if(|(at, _)| at.as_nanos() <= self.now_ns)
        {
            self.send_off(at.as_nanos(), bytes);
        }
    }

    fn send_off(&mut self, at_ns: u64, bytes: Vec<u8>) {
        // Every frame takes the same number of chances, so that switching one fault on does not
        // change what the others do.
        let lost = self.chance.happens(self.faults.loss);
        let twice = self.chance.happens(self.faults.duplicate);
        let overtaken = self.chance.happens(self.faults.reorder);
        let stalled = self.chance.happens(self.faults.stall);
        let delay_ns = self.chance.up_to(nanos(self.faults.delay_max));
        if stalled {
            self.earliest_ns = self.earliest_ns.max(at_ns) + nanos(self.faults.stall_for);
        }
        if lost {
            self.lost += 1;
            return;
        }
        self.earliest_ns = self.earliest_ns.max(at_ns + delay_ns);
        let held_back_ns = if overtaken { nanos(self.faults.reorder_by) } else { 0 };
        let arrives_ns = self.earliest_ns + held_back_ns;
        if twice {
            self.arrive(arrives_ns, bytes.clone());
        }
        self.arrive(arrives_ns, bytes);
    }

    fn arrive(&mut self, at_ns: u64, bytes: Vec<u8>) {
        let number = self.arrivals;
        self.arrivals += 1;
        self.on_the_way.push(Reverse(Arrival { at_ns, number, bytes }));
    }

    fn next_arrival_ns(&self) -> Option<u64> {
        self.on_the_way.peek().map(|Reverse(next)| next.at_ns)
    }

    /// The driver gives transmit slots back.
    fn complete(&mut self) {
        self.tx_in_use = self.tx_swallowed;
    }
}

impl Port for SimPort {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        batch.link = self.link;
        batch.interface = 0;
        self.lent.clear();
        self.complete();
        self.send_due();
        while self.lent.len() < batch.room()
            && self.next_arrival_ns().is_some_and(|at_ns| at_ns <= self.now_ns)
        {
            self.lent.extend(self.on_the_way.pop().map(|Reverse(arrival)| arrival));
        }
        if self.lent.is_empty() {
            let over = self.quiesced || self.input.peek().is_none();
            if over && self.on_the_way.is_empty() {
                return Ok(Received::End);
            }
            self.now_ns += IDLE_STEP_NS;
            return Ok(Received::Idle);
        }
        for arrival in &self.lent {
            batch.push(Frame::new(&arrival.bytes, Timestamp::from_nanos(arrival.at_ns)));
        }
        Ok(Received::Frames)
    }

    /// Moves the clock to the next event, or by `timeout` if that is sooner. Does not sleep.
    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        self.complete();
        let sending = self.input.peek().map(|(at, _)| at.as_nanos()).filter(|_| !self.quiesced);
        let next = sending.into_iter().chain(self.next_arrival_ns()).min().unwrap_or(u64::MAX);
        self.now_ns = next.clamp(self.now_ns, self.now_ns.saturating_add(nanos(timeout)));
        Ok(())
    }

    fn transmit(&mut self, frames: &[&[u8]]) -> Result<Sent, PortError> {
        let free = self.faults.tx_slots.saturating_sub(self.tx_in_use);
        let accepted = frames.len().min(free);
        for frame in &frames[..accepted] {
            self.tx_in_use += 1;
            if self.chance.happens(self.faults.tx_swallow) {
                self.tx_swallowed += 1;
            } else {
                self.wire.push(frame);
            }
        }
        Ok(Sent { accepted })
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        self.complete();
        ledger.lost(Reason::SimLost, self.lost - self.lost_entered);
        self.lost_entered = self.lost;
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.send_due();
        self.quiesced = true;
        self.on_the_way.retain(|Reverse(arrival)| arrival.at_ns <= self.now_ns);
        Ok(())
    }

    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        [("sim_lost", self.lost), ("sim_tx_swallowed", self.tx_swallowed as u64)]
            .map(|(name, value)| KernelCounter { name: name.into(), value })
            .into()
    }

    fn mode(&self) -> Mode {
        Mode { port: "sim", mode: format!("seed {}", self.faults.seed), why: String::new() }
    }
}

impl fmt::Debug for SimPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPort")
            .field("now", &self.now())
            .field("faults", &self.faults)
            .field("on_the_way", &self.on_the_way.len())
            .finish_non_exhaustive()
    }
}

/// The frames that a [`SimPort`] has transmitted, in order. Clones show the same wire.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<Vec<Vec<u8>>>>);

impl Wire {
    /// Takes what has been transmitted since the last time.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, frame: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(frame.to_vec());
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to throw dice with.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn happens(&mut self, probability: f64) -> bool {
        // 53 bits are what a f64 holds exactly.
        let dice = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        dice < probability
    }

    fn up_to(&mut self, max: u64) -> u64 {
        let dice = self.next();
        ((u128::from(dice) * (u128::from(max) + 1)) >> 64) as u64
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u32 = 5000;

    fn port(faults: Faults) -> SimPort {
        SimPort::paced(1000, (0..FRAMES).map(|n| n.to_be_bytes().to_vec()), faults)
    }

    /// Number and arrival time of every frame, and the ledger.
    fn run(mut port: SimPort) -> (Vec<(u32, u64)>, Ledger) {
        let (mut seen, mut ledger) = (Vec::new(), Ledger::default());
        loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch).unwrap() {
                Received::Frames => {
                    ledger.receive(&batch);
                    ledger.delivered += batch.len() as u64;
                    seen.extend(batch.iter().map(|frame| {
                        let number = u32::from_be_bytes(frame.bytes.try_into().unwrap());
                        (number, frame.timestamp.as_nanos())
                    }));
                }
                Received::Idle => port.wait(Duration::from_millis(100)).unwrap(),
                Received::End => break,
            }
        }
        port.tick(&mut ledger).unwrap();
        assert_eq!(ledger.difference(), 0);
        (seen, ledger)
    }

    fn numbers(seen: &[(u32, u64)]) -> Vec<u32> {
        seen.iter().map(|&(number, _)| number).collect()
    }

    #[test]
    fn without_faults_all_come_in_order_at_their_times() {
        let (seen, ledger) = run(port(Faults::default()));
        assert_eq!(seen, (0..FRAMES).map(|n| (n, u64::from(n) * 1000)).collect::<Vec<_>>());
        assert_eq!(ledger.received, u64::from(FRAMES));
    }

    #[test]
    fn a_seed_is_a_run() {
        let all = |seed| Faults {
            seed,
            loss: 0.1,
            duplicate: 0.1,
            delay_max: Duration::from_micros(10),
            reorder: 0.1,
            stall: 0.001,
            ..Faults::default()
        };
        let first = run(port(all(42)));
        assert_eq!(first, run(port(all(42))));
        assert_ne!(first.0, run(port(all(43))).0);
    }

    #[test]
    fn losses_are_named_and_about_as_many_as_asked_for() {
        let (seen, ledger) = run(port(Faults { loss: 0.1, ..Faults::default() }));
        let lost = ledger.discarded[Reason::SimLost];
        assert!((400..600).contains(&lost), "{lost} of {FRAMES}");
        assert_eq!(seen.len() as u64 + lost, u64::from(FRAMES));
        assert!(seen.is_sorted());
        assert_eq!(run(port(Faults { loss: 1.0, ..Faults::default() })).0, []);
    }

    #[test]
    fn duplicates_come_behind_their_original() {
        let (seen, ledger) = run(port(Faults { duplicate: 0.2, ..Faults::default() }));
        let mut seen = numbers(&seen);
        assert_eq!(ledger.received, seen.len() as u64);
        assert!((5800..6200).contains(&seen.len()), "{}", seen.len());
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen.len() as u32, FRAMES);
    }

    #[test]
    fn delays_keep_the_order_and_reordering_does_not() {
        let delay_max = Duration::from_micros(20);
        let (seen, _) = run(port(Faults { delay_max, ..Faults::default() }));
        assert_eq!(numbers(&seen), (0..FRAMES).collect::<Vec<_>>());
        assert!(seen.iter().any(|&(n, at)| at > u64::from(n) * 1000 + 15_000));
        assert!(seen.iter().all(|&(n, at)| at <= u64::from(n) * 1000 + 20_000));

        let (seen, _) = run(port(Faults { reorder: 0.01, ..Faults::default() }));
        let mut numbers = numbers(&seen);
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..FRAMES).collect::<Vec<_>>());
    }

    #[test]
    fn a_stall_ends_in_a_burst() {
        let faults = Faults { seed: 3, stall: 0.001, ..Faults::default() };
        let (seen, _) = run(port(faults));
        assert_eq!(numbers(&seen), (0..FRAMES).collect::<Vec<_>>());
        let burst = seen.chunk_by(|a, b| a.1 == b.1).map(<[_]>::len).max().unwrap();
        assert!(burst >= 1000, "a millisecond holds a thousand frames, not {burst}");
    }

    #[test]
    fn transmitted_frames_are_on_the_wire_until_slots_run_out() {
        let mut port = port(Faults { tx_slots: 4, ..Faults::default() });
        let wire = port.wire();
        let frames: [&[u8]; 6] = [&[0], &[1], &[2], &[3], &[4], &[5]];
        assert_eq!(port.transmit(&frames).unwrap().accepted, 4);
        assert_eq!(port.transmit(&frames[4..]).unwrap().accepted, 0);
        port.wait(Duration::ZERO).unwrap();
        assert_eq!(port.transmit(&frames[4..]).unwrap().accepted, 2);
        assert_eq!(wire.take(), frames);
        assert!(wire.take().is_empty());
    }

    #[test]
    fn swallowed_completions_keep_their_slots() {
        let mut port = port(Faults { tx_slots: 8, tx_swallow: 1.0, ..Faults::default() });
        let frames: [&[u8]; 8] = [&[7]; 8];
        assert_eq!(port.transmit(&frames).unwrap().accepted, 8);
        port.tick(&mut Ledger::default()).unwrap();
        assert_eq!(port.transmit(&frames).unwrap().accepted, 0, "gone for ever");
        assert!(port.wire().take().is_empty());
        assert_eq!(port.kernel_counters()[1].value, 8);
    }

    #[test]
    fn after_quiesce_only_what_had_arrived_comes() {
        let mut port = port(Faults::default());
        port.wait(Duration::ZERO).unwrap();
        port.now_ns = 9_999;
        port.quiesce().unwrap();
        let (seen, ledger) = run(port);
        assert_eq!((seen.len(), ledger.received), (10, 10));
    }

    #[test]
    fn spinning_moves_the_clock_too() {
        let mut port = SimPort::paced(50_000, [vec![1], vec![2]], Faults::default());
        let mut seen = 0;
        for _ in 0..200 {
            let mut batch = Batch::new();
            let _ = port.receive(&mut batch).unwrap();
            seen += batch.len();
        }
        assert_eq!(seen, 2);
    }
}
