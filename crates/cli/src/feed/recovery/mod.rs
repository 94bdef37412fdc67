//! Getting back what was lost on every line, while the feed goes on.
//!
//! ```text
//! packets ──▶ Recovery: all lines merged ──what is missing──▶ Desk ──requests──▶ servers
//!                ▲                                             │
//!                └────────────────── answers ──────────────────┘
//! ```
//!
//! * [`Recovery`] belongs to whoever follows the feed: it knows what no line brought.
//! * [`desk`]: a thread with a socket that asks for it, and takes the answers. The feed never waits
//!   for a server: it only leaves a word at the desk.
//! * [`ordered`]: the messages in a file, each once and in order.

pub mod desk;
pub mod ordered;

use super::streams::Line;
use crate::exit::Failure;
use crate::units::grouped;
use desk::{DeskCounts, Id, Wake, Word, is_recoverable};
use ordered::{Ordered, OrderedCounts};
use std::fmt;
use tickwire_market::Packet;
use tickwire_market::arbitrate::{Arbiter, LINES_MAX, Settings};
use tickwire_market::sequence::{How, New, Numbers, Range, Rules, What};

/// What was done to get back what was lost.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct RecoveryReport {
    /// What was asked for, and what came of it.
    #[serde(flatten)]
    pub desk: DeskCounts,
    /// What is in the file of messages, if there is one.
    pub messages: Option<OrderedCounts>,
}

/// For people, a line or two.
impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeskCounts { requests, recovered, came, given_up, .. } = self.desk;
        let [requests, recovered, came] = [requests, recovered, came].map(grouped);
        writeln!(
            f,
            "recovered by re-request: {recovered} messages, by {requests} requests; {came} came \
             meanwhile, {} were given up",
            grouped(given_up)
        )?;
        let Some(messages) = self.messages else { return Ok(()) };
        let OrderedCounts { written, skipped, other_sessions } = messages;
        let [written, skipped] = [written, skipped].map(grouped);
        write!(f, "written in order: {written} messages; {skipped} are not there")?;
        match other_sessions {
            0 => writeln!(f),
            others => writeln!(f, ", and {} of other sessions", grouped(others)),
        }
    }
}

/// All lines of a feed as one, and what they have not brought.
#[derive(Debug)]
pub struct Recovery {
    arbiter: Arbiter<Id>,
    lines: Vec<Line>,
    /// For the desk, since it looked last.
    words: Vec<Word>,
    wake: Wake,
    ordered: Option<Ordered>,
    /// The latest time so far: that of packets may go back, that of an arbiter must not.
    at_ns: u64,
}

impl Recovery {
    /// Leaves words at the desk that `wake` wakes. `from_first` says that what comes before the
    /// first message seen is wanted, too; `ordered` writes messages.
    pub fn new(from_first: bool, wake: Wake, ordered: Option<Ordered>) -> Recovery {
        let rules = Rules { from_first, ..Rules::default() };
        let settings = Settings { lines: LINES_MAX, rules, ..Settings::default() };
        let (arbiter, lines, words) = (Arbiter::new(settings), Vec::new(), Vec::new());
        Recovery { arbiter, lines, words, wake, ordered, at_ns: 0 }
    }

    /// A packet of `line`, or the answer to a request; with `count` messages that can be read,
    /// number `number` of the caller. Whether anything in it is new.
    pub fn packet(
        &mut self,
        line: Option<Line>,
        packet: &Packet<'_>,
        count: u32,
        at_ns: u64,
        number: u64,
    ) -> bool {
        let (id, first) = ((packet.protocol(), packet.session()), packet.first());
        let Some(Numbers { ends, .. }) = Numbers::of(packet) else { return true };
        if !is_recoverable(id.1) {
            return true;
        }
        let numbers = Numbers { session: id, first, count, ends };
        self.at_ns = self.at_ns.max(at_ns);
        let whole = Range::before(first, first.saturating_add(count.into()));
        let new = match line {
            Some(line) => {
                let line = self.place(line);
                self.arbiter.receive(line, &numbers, self.at_ns, number)
            }
            None => {
                self.words.extend(whole.map(|range| Word::Answered(id, range)));
                self.arbiter.receive_answer(&numbers, self.at_ns, number)
            }
        };
        self.note_events();
        if let Some(ordered) = &mut self.ordered {
            let all = whole.as_slice();
            let fresh = match new {
                New::All => all,
                New::Some => self.arbiter.fresh(),
                New::None => &[],
            };
            let mut sessions = self.arbiter.sessions();
            let stream = sessions.find(|(known, _)| *known == id);
            let start = stream.map_or(first, |(_, stream)| stream.start());
            ordered.packet(id, start, packet, fresh);
        }
        new != New::None
    }

    /// Where a line is among those that are merged. Of more than the arbiter takes the last are as
    /// one: what they lack is told of after the hold-off, and not before.
    fn place(&mut self, line: Line) -> usize {
        let known = self.lines.iter().position(|known| *known == line);
        let place = known.unwrap_or_else(|| {
            if self.lines.len() < LINES_MAX {
                self.lines.push(line);
            }
            self.lines.len() - 1
        });
        place.min(LINES_MAX - 1)
    }

    /// What the last call meant for the desk.
    fn note_events(&mut self) {
        let before = self.words.len();
        for event in self.arbiter.events() {
            let id = event.session;
            match event.what {
                What::Gap(gap) => self.words.push(Word::Want(id, gap.range)),
                What::Filled(gap, How::Late | How::OtherLine) => {
                    self.words.push(Word::Came(id, gap.range));
                }
                What::Restarted { .. } | What::Forgotten => self.words.push(Word::Clear(id)),
                What::Lost(gap, _) => {
                    if let Some(ordered) = &mut self.ordered {
                        ordered.give_up(id, gap.range);
                    }
                }
                _ => {}
            }
        }
        if self.words.len() > before {
            self.wake.wake();
        }
    }

    /// Tells of what is missing by `at_ns` without a packet; moves what there is to say into
    /// `words`. When to ask again at the latest, if no packet comes.
    pub fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64> {
        self.at_ns = self.at_ns.max(at_ns);
        self.arbiter.tick(self.at_ns);
        self.note_events();
        words.append(&mut self.words);
        self.arbiter.deadline_ns()
    }

    /// Nobody has `range`.
    pub fn give_up(&mut self, id: Id, range: Range) {
        self.arbiter.give_up(id, range, self.at_ns);
        self.note_events();
    }

    /// Writes what there is left to write, if messages are written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<Option<OrderedCounts>, Failure> {
        let mut streams = self.arbiter.sessions();
        let mut next = |id| {
            let stream = streams.find(|(known, _)| *known == id);
            stream.map_or(0, |(_, stream)| stream.next())
        };
        self.ordered.map(|ordered| ordered.finish(&mut next)).transpose()
    }
}
