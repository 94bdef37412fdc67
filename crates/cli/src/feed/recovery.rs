//! Getting back what was lost on every line, while the feed goes on.
//!
//! ```text
//! packets ──▶ Recovery: lines merged, feed by feed ──what is missing──▶ Desk ──requests──▶ servers
//!                ▲                                                        │
//!                └───────────────────────── answers ──────────────────────┘
//! ```
//!
//! [`Recovery`] belongs to whoever follows the feed: it knows what no line brought, and leaves a
//! word at the [`Desk`](crate::recovery::Desk), so the feed never waits for a server. Without a
//! desk it merges lines, and nothing is asked for.

use super::merge::{Feeds, Merge};
use super::ordered::{Ordered, OrderedCounts};
use super::streams::Line;
use crate::exit::Failure;
use crate::recovery::{DeskCounts, Wake};
use crate::units::grouped;
use std::fmt;
use tickwire_market::Packet;
use tickwire_market::recovery::{Id, Word, Words, is_recoverable};
use tickwire_market::sequence::{New, Numbers, Range, What};

/// What was done to get back what was lost.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct RecoveryReport {
    /// What was asked for, and what came of it.
    #[serde(flatten)]
    pub desk: DeskCounts,
    /// What is in the file of messages, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Where a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// On a line.
    Line(Line),
    /// From a server, as the answer to a request.
    Server,
}

/// The lines of all feeds merged, and what they have not brought.
#[derive(Debug)]
pub struct Recovery {
    feeds: Feeds,
    /// What the desk has not heard yet, if there is one.
    words: Option<(Words, Wake)>,
    /// Writes messages in order.
    ordered: Option<Ordered>,
}

impl Recovery {
    /// Merges `feeds`, and leaves words at the desk that `wake` wakes.
    pub fn new(feeds: Feeds, wake: Option<Wake>) -> Recovery {
        let words = wake.map(|wake| (Words::default(), wake));
        Recovery { feeds, words, ordered: None }
    }

    /// The same, with the messages of the first session that comes written in order.
    pub fn writing(self, ordered: Option<Ordered>) -> Recovery {
        Recovery { ordered, ..self }
    }

    /// The lines, feed by feed.
    pub fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// A packet with `count` messages that can be read, number `number` of the caller, and what of
    /// it is new. `None` when it is no part of a stream, or of more lines than are followed.
    pub fn packet(
        &mut self,
        from: From,
        packet: &Packet<'_>,
        count: u32,
        at_ns: u64,
        number: u64,
    ) -> Option<Merge> {
        let numbers = Numbers { count, ..Numbers::of(packet)? };
        let (protocol, first) = (packet.protocol(), numbers.first);
        let whole = Range::before(first, first.saturating_add(count.into()));
        let merge = match from {
            From::Line(line) => self.feeds.packet(protocol, line, &numbers, at_ns, number),
            From::Server => {
                if let Some(range) = whole {
                    self.say(Word::Answered((protocol, numbers.session), range));
                }
                self.feeds.answer(protocol, &numbers, at_ns, number)
            }
        }?;
        self.note_events(merge.feed);
        if let Some(ordered) = &mut self.ordered
            && is_recoverable(numbers.session)
        {
            let arbiter = &self.feeds.get(merge.feed).arbiter;
            let fresh = match merge.new {
                New::All => whole.as_slice(),
                New::Some => arbiter.fresh(),
                New::None => &[],
            };
            let mut sessions = arbiter.sessions();
            let stream = sessions.find(|(known, _)| *known == numbers.session);
            let start = stream.map_or(first, |(_, stream)| stream.start());
            ordered.packet((protocol, numbers.session), start, packet, fresh);
        }
        Some(merge)
    }

    fn say(&mut self, word: Word) {
        if let Some((words, wake)) = &mut self.words
            && words.say(word)
        {
            wake.wake();
        }
    }

    /// What the last call to the arbiter of `feed` meant for the desk.
    fn note_events(&mut self, feed: usize) {
        let Recovery { feeds, words, ordered } = self;
        let merged = feeds.get(feed);
        for event in merged.arbiter.events() {
            if let Some((words, wake)) = words
                && let Some(word) = Word::of(merged.protocol, event)
                && words.say(word)
            {
                wake.wake();
            }
            if let (What::Lost(gap, _), Some(ordered)) = (event.what, &mut *ordered) {
                ordered.give_up((merged.protocol, event.session), gap.range);
            }
        }
    }

    /// Tells of what is missing by `at_ns` without a packet; moves what there is to say into
    /// `words`. When to ask again at the latest, if no packet comes.
    pub fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64> {
        let feeds = self.feeds.iter().len();
        for feed in 0..feeds {
            self.feeds.tick(feed, at_ns);
            self.note_events(feed);
        }
        if let Some((waiting, _)) = &mut self.words {
            waiting.take(self.feeds.missing(), words);
        }
        self.feeds.iter().filter_map(|merged| merged.arbiter.deadline_ns()).min()
    }

    /// Nobody has `range`.
    pub fn give_up(&mut self, id: Id, range: Range) {
        let feeds = self.feeds.iter().len();
        for feed in 0..feeds {
            if self.feeds.give_up(feed, id, range) {
                self.note_events(feed);
            }
        }
    }

    /// Writes what there is left to write, if messages are written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<Option<OrderedCounts>, Failure> {
        let feeds = &self.feeds;
        let mut next = |(protocol, session): Id| {
            let of = feeds.iter().filter(|merged| merged.protocol == protocol);
            let mut streams = of.flat_map(|merged| merged.arbiter.sessions());
            let stream = streams.find(|(known, _)| *known == session);
            stream.map_or(0, |(_, stream)| stream.next())
        };
        self.ordered.map(|ordered| ordered.finish(&mut next)).transpose()
    }
}
