//! All subscribers of a feed at once: an AF_XDP port that checks every copy.

use crate::error::LabError;
use crate::{CheckReport, Checker, End, NUMBER_BYTES, Number, Numbered, cpu};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, Selection};
use tickwire_capture::{Port, PortError, Received};
use tickwire_filter::ebpf::Sampling;
use tickwire_filter::{Filter, Options};
use tickwire_frame::{Batch, Frame, Ledger};

/// Copies that may wait to be checked: those of 512 packets to 64 subscribers.
const RING: u32 = 1 << 15;
/// How often the port's own account is brought up to date.
const TICK: Duration = Duration::from_millis(100);
/// How long one wait for frames lasts, so that the end is seen.
const WAIT: Duration = Duration::from_millis(5);
/// What stands for a copy that did not arrive.
const MISSING: u32 = u32::MAX;

/// The copies that are expected.
#[derive(Clone, Debug)]
pub struct Copies {
    /// What the feed sends: copies have the same payload, and frames of the same length.
    pub packets: Numbered,
    /// Numbers 0 to `count` − 1 are sent.
    pub count: u64,
    /// UDP port of the first subscriber; the others follow.
    pub port_first: u16,
    /// How many subscribers there are.
    pub subscribers: u16,
    /// Whether to remember how old each copy was when it arrived: four bytes a copy.
    pub ages: bool,
    /// Never sleep, and stay on this core.
    pub spin_on: Option<usize>,
}

/// What arrived.
#[derive(Clone, Debug)]
pub struct CopiesReport {
    /// What each subscriber got.
    pub subscribers: Vec<CheckReport>,
    /// Frames that were no copies for any of them.
    pub foreign: u64,
    /// The account of the port: what it lost itself is discarded by name.
    pub ledger: Ledger,
    ages: Vec<Vec<u32>>,
}

/// Receives copies for every subscriber on a thread of its own, inside an end's namespace. All
/// other traffic goes on to the stack of that namespace.
#[derive(Debug)]
pub struct CopyReceiver {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<CopiesReport, PortError>>,
}

#[derive(Debug, Default)]
struct Shared {
    arrived: AtomicU64,
    /// One more than the number that each subscriber got last.
    reached: Vec<AtomicU64>,
    over: AtomicBool,
}

impl CopyReceiver {
    /// Receives on queue 0 of the interface of `end`.
    ///
    /// # Errors
    /// When the port cannot be had: EPERM, EBUSY.
    ///
    /// # Panics
    /// When there are more subscribers than ports.
    pub fn start(end: &End, copies: Copies) -> Result<CopyReceiver, LabError> {
        let what = || format!("receive copies on {}", end.name());
        let port = end.run(|| open(end.name(), &copies));
        let port = port.map_err(|error| LabError::new(what(), io::Error::other(error)))?;
        let reached = (0..copies.subscribers).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { reached, ..Shared::default() });
        let namespace = end.namespace().try_clone()?;
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            // The port looks at its interface again from time to time.
            namespace.enter().map_err(|error| PortError::Broken(error.to_string()))?;
            let pinned = copies.spin_on.map_or(Ok(()), cpu::pin);
            pinned.map_err(|error| PortError::Broken(error.to_string()))?;
            receive(port, Checks::new(copies), &theirs)
        });
        Ok(CopyReceiver { shared, thread })
    }

    /// How many copies have arrived, for all subscribers.
    pub fn arrived(&self) -> u64 {
        self.shared.arrived.load(Ordering::Acquire)
    }

    /// One more than the number that `subscriber` got last.
    ///
    /// # Panics
    /// When there is no such subscriber.
    pub fn reached(&self, subscriber: usize) -> u64 {
        self.shared.reached[subscriber].load(Ordering::Acquire)
    }

    /// Waits until `wanted` have arrived, at most for `patience` since the last one; whether they
    /// have.
    pub fn wait(&self, wanted: u64, patience: Duration) -> bool {
        let mut last = (self.arrived(), Instant::now());
        while last.0 < wanted {
            if last.1.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_micros(50));
            let arrived = self.arrived();
            if arrived > last.0 {
                last = (arrived, Instant::now());
            }
        }
        true
    }

    /// Checks what is there still and ends.
    ///
    /// # Errors
    /// When the port broke.
    ///
    /// # Panics
    /// When its thread did.
    pub fn finish(self) -> Result<CopiesReport, LabError> {
        self.shared.over.store(true, Ordering::Release);
        let joined = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        joined.map_err(|error| LabError::new("receive copies", io::Error::other(error)))
    }
}

fn open(interface: &str, copies: &Copies) -> Result<AfXdp, PortError> {
    let last = copies.port_first.checked_add(copies.subscribers - 1).expect("ports for all");
    let text = format!("udp dst portrange {}-{last}", copies.port_first);
    let filter = Filter::compile(&text, &Options::default()).expect("a filter like this is good");
    let filter = Arc::new(filter.xdp().expect("XDP can compare ports"));
    let config = AfXdpConfig {
        rx_ring: RING,
        selection: Selection::Filter { filter, sampling: Sampling::All },
        ..AfXdpConfig::new(interface)
    };
    let mut ports = AfXdp::open(&config, &[0])?;
    Ok(ports.remove(0))
}

/// The state of what has been checked so far.
struct Checks {
    copies: Copies,
    frame_bytes: usize,
    /// What a payload has behind its number.
    pattern: Vec<u8>,
    checkers: Vec<Checker>,
    ages: Vec<Vec<u32>>,
    foreign: u64,
}

impl Checks {
    fn new(copies: Copies) -> Checks {
        let template = copies.packets.template();
        let pattern = template.bytes()[template.payload() + NUMBER_BYTES..].to_vec();
        let (each, count) = (usize::from(copies.subscribers), copies.count as usize);
        let ages = if copies.ages { vec![vec![MISSING; count]; each] } else { Vec::new() };
        Checks {
            frame_bytes: template.bytes().len(),
            pattern,
            checkers: vec![Checker::new(copies.count); each],
            ages,
            foreign: 0,
            copies,
        }
    }

    fn check(&mut self, frame: &Frame<'_>, reached: &[AtomicU64]) {
        let number = Number::of_frame(frame.bytes);
        let place = |number: &Number| number.port.checked_sub(self.copies.port_first);
        let Some((number, place)) = number.and_then(|number| Some((number, place(&number)?)))
        else {
            return self.foreign += 1;
        };
        let place = usize::from(place);
        let Some(checker) = self.checkers.get_mut(place) else { return self.foreign += 1 };
        let intact = frame.bytes.len() == self.frame_bytes && frame.bytes.ends_with(&self.pattern);
        checker.check_number(0, &number, intact);
        if let Some(reached) = reached.get(place) {
            reached.store(number.sequence + 1, Ordering::Release);
        }
        let ages = self.ages.get_mut(place);
        if let Some(age) = ages.and_then(|ages| ages.get_mut(number.sequence as usize)) {
            let age_ns = frame.timestamp.as_nanos().saturating_sub(number.sent_ns);
            *age = u32::try_from(age_ns).unwrap_or(MISSING).min(MISSING - 1);
        }
    }
}

/// Until all is over and nothing is left.
fn receive(
    mut port: AfXdp,
    mut checks: Checks,
    shared: &Shared,
) -> Result<CopiesReport, PortError> {
    let (mut ledger, mut ticked) = (Ledger::default(), Instant::now());
    loop {
        let over = shared.over.load(Ordering::Acquire);
        let mut batch = Batch::default();
        if port.receive(&mut batch)? == Received::Frames {
            ledger.receive(&batch);
            batch.iter().for_each(|frame| checks.check(&frame, &shared.reached));
            let count = batch.len() as u64;
            ledger.delivered += count;
            shared.arrived.fetch_add(count, Ordering::Release);
        } else if over {
            break;
        } else if checks.copies.spin_on.is_none() {
            port.wait(WAIT)?;
        }
        if ticked.elapsed() >= TICK {
            port.tick(&mut ledger)?;
            ticked = Instant::now();
        }
    }
    port.tick(&mut ledger)?;
    let subscribers = checks.checkers.iter().map(Checker::report).collect();
    let Checks { foreign, ages, .. } = checks;
    Ok(CopiesReport { subscribers, foreign, ledger, ages })
}

impl CopiesReport {
    /// How many copies arrived.
    pub fn received(&self) -> u64 {
        self.subscribers.iter().map(|one| one.received).sum()
    }

    /// Whether every subscriber got every packet once, in order, byte for byte, with right
    /// checksums, and nothing else came.
    pub fn is_perfect(&self) -> bool {
        self.foreign == 0 && self.subscribers.iter().all(CheckReport::is_perfect)
    }

    /// How old the copy of packet `number` was when it reached `subscriber`, in nanoseconds (4 s
    /// and more: 2^32 − 2); `None` when it did not, or ages are not remembered.
    pub fn age_ns(&self, subscriber: usize, number: u64) -> Option<u32> {
        let age = *self.ages.get(subscriber)?.get(usize::try_from(number).ok()?)?;
        (age != MISSING).then_some(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, SOURCE_PORT_FIRST};
    use tickwire_frame::Timestamp;

    fn copies() -> Copies {
        let packets = Numbered {
            macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            addresses: ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            port: 6001,
            source_port: SOURCE_PORT_FIRST,
            flows: 1,
            ttl: 64,
            vlans: Vec::new(),
            frame_bytes: 94,
            checksum: true,
            message: Message::Numbered,
            first: 0,
        };
        Copies { packets, count: 3, port_first: 6000, subscribers: 2, ages: true, spin_on: None }
    }

    #[test]
    fn a_changed_byte_is_seen_even_where_the_checksum_does_not_tell() {
        let mut checks = Checks::new(copies());
        let unchecked = Numbered { checksum: false, ..copies().packets };
        let mut frame = unchecked.template().frame(0, 1_000);
        let mut check = |frame: &[u8]| {
            checks.check(&Frame::new(frame, Timestamp::from_nanos(1_700)), &[]);
        };
        check(&frame);
        frame[90] ^= 1;
        check(&frame);
        check(&frame[..80]);
        check(&Numbered { port: 6002, ..unchecked }.template().frame(0, 0));
        let Checks { checkers, ages, foreign, .. } = checks;
        let report = checkers[1].report();
        assert_eq!((report.received, report.duplicates, report.corrupted), (2, 1, 1), "{report}");
        assert_eq!((checkers[0].received(), foreign), (0, 2));
        assert_eq!(ages, [[MISSING; 3], [700, MISSING, MISSING]]);
    }
}
