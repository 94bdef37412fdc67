//! Checks what arrived: every number, once, in order.

use crate::Number;
use std::fmt;

const WORD_BITS: u64 = u64::BITS as u64;
/// Most numbers that a checker remembers, one bit each: 128 MiB.
const NUMBERS_MAX: u64 = 1 << 30;

/// Collects the numbers that arrived and finds what is missing, doubled or out of order.
///
/// Order is judged per lane: a queue or a flow, whatever must keep its order.
///
/// ```
/// let mut checker = tickwire_lab::Checker::new(5);
/// for sequence in [0, 1, 3, 2, 3] {
///     checker.check(0, sequence);
/// }
/// let report = checker.report();
/// assert_eq!((report.received, report.duplicates, report.out_of_order), (5, 1, 1));
/// assert_eq!((report.missing, report.missing_ranges), (1, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Checker {
    expected: u64,
    seen: Vec<u64>,
    next: Vec<u64>,
    report: CheckReport,
}

/// What a [`Checker`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Numbered packets that arrived, doubles included.
    pub received: u64,
    /// The lowest number among them; 0 when none arrived.
    pub first: u64,
    /// The highest number among them; 0 when none arrived.
    pub last: u64,
    /// Expected numbers that did not arrive.
    pub missing: u64,
    /// How many gaps they form.
    pub missing_ranges: u64,
    /// Packets whose number had arrived before.
    pub duplicates: u64,
    /// Packets whose number is lower than one that arrived before on the same lane, doubles not
    /// counted.
    pub out_of_order: u64,
    /// Packets whose number is higher than any expected one.
    pub beyond: u64,
    /// Packets with a wrong checksum (UDP, IPv4 header) or, where that is known, with other bytes
    /// than were sent; counted in `received` too.
    pub corrupted: u64,
    /// Frames that were no numbered packets; in no other count.
    pub foreign: u64,
}

impl Checker {
    /// Expects the numbers 0 to `expected` − 1.
    ///
    /// # Panics
    /// Above 2^30 numbers.
    pub fn new(expected: u64) -> Self {
        assert!(expected <= NUMBERS_MAX, "{expected} numbers are more than {NUMBERS_MAX}");
        let words = expected.div_ceil(WORD_BITS) as usize;
        let report = CheckReport { first: u64::MAX, ..CheckReport::default() };
        Checker { expected, seen: vec![0; words], next: Vec::new(), report }
    }

    /// Number `sequence` arrived on `lane`.
    pub fn check(&mut self, lane: usize, sequence: u64) {
        let report = &mut self.report;
        report.received += 1;
        report.first = report.first.min(sequence);
        report.last = report.last.max(sequence);
        if sequence >= self.expected {
            report.beyond += 1;
            return;
        }
        let (word, bit) = ((sequence / WORD_BITS) as usize, 1 << (sequence % WORD_BITS));
        if self.seen[word] & bit != 0 {
            report.duplicates += 1;
            return;
        }
        self.seen[word] |= bit;
        if lane >= self.next.len() {
            self.next.resize(lane + 1, 0);
        }
        if sequence < self.next[lane] {
            report.out_of_order += 1;
        } else {
            self.next[lane] = sequence + 1;
        }
    }

    /// A frame (from the Ethernet header on) arrived on `lane`.
    pub fn check_frame(&mut self, lane: usize, frame: &[u8]) {
        let Some(number) = Number::of_frame(frame) else {
            self.report.foreign += 1;
            return;
        };
        self.check_number(lane, &number, true);
    }

    /// A numbered packet arrived on `lane`; `intact` says whether its payload is what was sent.
    pub(crate) fn check_number(&mut self, lane: usize, number: &Number, intact: bool) {
        self.report.corrupted += u64::from(!(number.checksum_right && intact));
        self.check(lane, number.sequence);
    }

    /// A UDP payload arrived on `lane`.
    pub fn check_payload(&mut self, lane: usize, payload: &[u8]) {
        match Number::of_payload(payload) {
            Some((sequence, _)) => self.check(lane, sequence),
            None => self.report.foreign += 1,
        }
    }

    /// How many numbered packets have arrived.
    pub fn received(&self) -> u64 {
        self.report.received
    }

    /// What was found so far; numbers that are still on their way count as missing.
    pub fn report(&self) -> CheckReport {
        let mut report = self.report;
        if report.received == 0 {
            report.first = 0;
        }
        let arrived: u64 = self.seen.iter().map(|word| u64::from(word.count_ones())).sum();
        report.missing = self.expected - arrived;
        let mut present_before = true;
        for sequence in 0..self.expected {
            let word = self.seen[(sequence / WORD_BITS) as usize];
            let present = word & 1 << (sequence % WORD_BITS) != 0;
            report.missing_ranges += u64::from(present_before && !present);
            present_before = present;
        }
        report
    }
}

impl CheckReport {
    /// Whether every expected number arrived once, whole and in order, and nothing else did.
    pub fn is_perfect(&self) -> bool {
        let faults = [
            self.missing,
            self.duplicates,
            self.out_of_order,
            self.beyond,
            self.corrupted,
            self.foreign,
        ];
        faults == [0; 6]
    }

    /// Packets that arrived, each counted once.
    pub fn distinct(&self) -> u64 {
        self.received - self.duplicates - self.beyond
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} received ({} to {})", self.received, self.first, self.last)?;
        write!(f, ", {} missing in {} gaps", self.missing, self.missing_ranges)?;
        write!(f, ", {} doubled, {} out of order", self.duplicates, self.out_of_order)?;
        write!(f, ", {} beyond, {} corrupted", self.beyond, self.corrupted)?;
        write!(f, ", {} foreign", self.foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(expected: u64, numbers: &[(usize, u64)]) -> CheckReport {
        let mut checker = Checker::new(expected);
        numbers.iter().for_each(|&(lane, sequence)| checker.check(lane, sequence));
        checker.report()
    }

    #[test]
    fn all_once_and_in_order_is_perfect() {
        let numbers: Vec<_> = (0..200).map(|n| (0, n)).collect();
        let report = report(200, &numbers);
        assert!(report.is_perfect(), "{report}");
        assert_eq!((report.received, report.first, report.last), (200, 0, 199));
    }

    #[test]
    fn order_is_judged_per_lane() {
        assert!(report(4, &[(0, 2), (1, 0), (0, 3), (1, 1)]).is_perfect());
        assert_eq!(report(4, &[(0, 2), (0, 0), (0, 3), (0, 1)]).out_of_order, 2);
    }

    #[test]
    fn gaps_at_the_start_in_the_middle_and_at_the_end_are_counted() {
        let report = report(100, &[(0, 2), (0, 3), (0, 70)]);
        assert_eq!((report.missing, report.missing_ranges), (97, 3));
        assert_eq!(report.distinct(), 3);
    }

    #[test]
    fn every_fault_spoils_it() {
        assert!(!report(1, &[]).is_perfect());
        assert!(!report(1, &[(0, 0), (0, 0)]).is_perfect());
        assert!(!report(1, &[(0, 0), (0, 1)]).is_perfect());
        let mut checker = Checker::new(0);
        checker.check_frame(0, &[0; 60]);
        assert!(!checker.report().is_perfect());
        assert_eq!(checker.report().foreign, 1);
    }

    #[test]
    fn nothing_expected_and_nothing_seen_is_perfect() {
        assert!(report(0, &[]).is_perfect());
    }
}
