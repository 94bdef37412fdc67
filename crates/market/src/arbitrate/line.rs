//! One line of a feed.

use crate::sequence::{Log, New, Rules, Stream};
use hdrhistogram::Histogram;

/// The longest lag that is told from longer ones, in ns: a minute.
const LAG_NS_MAX: u64 = 60_000_000_000;

/// How exact a lag is: two digits.
const LAG_DIGITS: u8 = 2;

/// What came on a line, over all sessions. Its messages are
/// `first + duplicates + too_late + refused + superseded`.
#[derive(Clone, Debug)]
pub struct LineCounts {
    /// Packets of any kind.
    pub packets: u64,
    /// Messages that came here first: all first messages of all lines are those of the merged feed.
    pub first: u64,
    /// Messages that had come before, here or on another line.
    pub duplicates: u64,
    /// Messages that no line had brought, of gaps that were lost or from before the first packet:
    /// see [`Counts::too_late`](crate::sequence::Counts::too_late).
    pub too_late: u64,
    /// Messages of packets that were too far ahead, or impossible.
    pub refused: u64,
    /// Messages of a line that had restarted while another one had not.
    pub superseded: u64,
    /// How far, in ns, copies came behind the first one on another line: of packets that begin
    /// with the same message on both, and as long as the copy comes within 4 096 messages. Of two
    /// lines, both histograms together are that of the skew, each with one sign.
    pub behind_ns: Histogram<u64>,
}

impl LineCounts {
    /// A packet of `count` messages, of which `new` were new, and `too_late` were that.
    #[inline]
    pub(super) fn add(&mut self, count: u64, new: u64, too_late: u64, is_refused: bool) {
        match is_refused {
            true => self.refused += count,
            false => {
                self.first += new;
                self.too_late += too_late;
                self.duplicates += count - new - too_late;
            }
        }
    }

    /// A copy came so long after the first one.
    #[inline]
    pub(super) fn behind(&mut self, ns: u64) {
        self.behind_ns.saturating_record(ns);
    }
}

/// A line, whatever the session.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) counts: LineCounts,
    /// When something came that continued its own numbers.
    alive_ns: Option<u64>,
}

impl Line {
    pub(super) fn new() -> Self {
        let behind_ns = Histogram::new_with_bounds(1, LAG_NS_MAX, LAG_DIGITS);
        let behind_ns = behind_ns.expect("bounds that are good for a histogram");
        let (first, duplicates, too_late, refused, superseded) = (0, 0, 0, 0, 0);
        let packets = 0;
        let counts =
            LineCounts { packets, first, duplicates, too_late, refused, superseded, behind_ns };
        Line { counts, alive_ns: None }
    }

    #[inline]
    pub(super) fn packet(&mut self, continues: bool, at_ns: u64) {
        self.counts.packets += 1;
        if continues {
            self.alive_ns = Some(at_ns);
        }
    }

    #[inline]
    pub(super) fn is_live(&self, at_ns: u64, live_ns: u64) -> bool {
        self.alive_ns.is_some_and(|alive_ns| at_ns.saturating_sub(alive_ns) <= live_ns)
    }
}

/// The numbers of one session on one line.
#[derive(Clone, Debug)]
pub(super) struct LineStream {
    stream: Stream,
    begun: bool,
    /// Where it is not begun: that of the numbers which will come.
    generation: u32,
    from_first: bool,
}

impl LineStream {
    pub(super) fn new(rules: Rules) -> Self {
        LineStream { stream: Stream::new(rules), begun: false, generation: 0, from_first: false }
    }

    /// The numbers, if there were any.
    #[inline]
    pub(super) fn begun(&self) -> Option<&Stream> {
        self.begun.then_some(&self.stream)
    }

    /// How often the numbers began again.
    #[inline]
    pub(super) fn generation(&self) -> u32 {
        if self.begun { self.stream.generation() } else { self.generation }
    }

    /// Nothing has come of this session, or of this generation of its numbers.
    pub(super) fn clear(&mut self, generation: u32, from_first: bool) {
        (self.begun, self.generation, self.from_first) = (false, generation, from_first);
    }

    /// The first packet, or a heartbeat, begins with `first`.
    #[cold]
    pub(super) fn begin<S: Copy>(&mut self, first: u64, log: &mut Log<S>) {
        self.begun = true;
        self.stream.begin(first, self.from_first, self.generation, log);
    }

    #[inline]
    pub(super) fn receive<S: Copy>(&mut self, numbers: (u64, u32, bool), log: &mut Log<S>) -> New {
        self.stream.receive(numbers, log)
    }
}
