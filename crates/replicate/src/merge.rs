//! Lines of one feed, merged before the fan-out: each message goes to the subscribers once, from
//! the line on which it came first.
//!
//! Datagrams are handed on or dropped in the order of arrival, and none is held back: see
//! [`arbitrate`](tickwire_market::arbitrate). One that brings new messages beside old ones, which
//! happens only where lines cut their packets differently, is cut to the new ones; where its
//! transport is not one that can be cut, it is handed on whole and counted.
//!
//! What no line brings can be asked for: [`Merge::ask`]. Who asks has a socket and a thread, which
//! are not here; the answers come back as datagrams
//! ([`DatagramFanOut::answers`](crate::DatagramFanOut::answers)) and are handed on as they come.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tickwire_frame::{Frame, Reason};
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::protocol::Numbered;
use tickwire_market::recognise::guess;
use tickwire_market::recovery::{Id, Word, Words};
use tickwire_market::sequence::{New, Numbers, Range, Stream};
use tickwire_market::{Packet, Protocol, Session};

pub use tickwire_market::arbitrate::LINES_MAX;

use crate::Datagram;
use crate::cuts::Cuts;

/// One line of a merged feed.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is merged with: one for all lines.
    pub merge: Arc<Merge>,
    /// Which line it is; the subscribers are those of line 0.
    pub number: usize,
}

/// What became of the messages of a merged feed, over all sessions that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Its lines, in their order.
    pub lines: Vec<LineMessages>,
    /// Ranges of messages that no line has brought so far.
    pub gaps: u64,
    /// The messages in them.
    pub missing: u64,
    /// Messages that nobody waits for any more: no server had them, or there were too many gaps.
    pub lost: u64,
    /// Messages that no line brought, and answers to requests did.
    pub recovered: u64,
    /// Datagrams that were handed on without those of their messages that had come before.
    pub cut: u64,
    /// Datagrams that were handed on whole, although some of their messages had come before.
    pub partly_new: u64,
    /// What was asked for, when anything is to be. Whoever asks knows it: it is filled in there.
    pub requests: Option<Requests>,
}

/// What was asked for, of what no line brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests that were sent.
    pub sent: u64,
    /// Ranges in them that had been asked for before.
    pub repeated: u64,
    /// Messages that were wanted.
    pub wanted: u64,
    /// Messages of those that a line brought after all.
    pub came: u64,
    /// Messages of those that no server had, or none in time.
    pub given_up: u64,
    /// Requests that the system did not take.
    pub unsent: u64,
}

/// What became of the messages of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineMessages {
    /// The name of its feed.
    pub feed: String,
    /// Messages that came here first: what the line wins.
    pub first: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages that were dropped too, although nobody brought them: of packets too far ahead to be
    /// believed, of a line whose numbers began again while those of others went on, and of gaps
    /// that were given up for others.
    pub refused: u64,
}

/// Says of each datagram of the lines whether there is something new in it.
///
/// Shared by all workers that receive the lines: they lock it once for each batch that has
/// datagrams of these. Two workers that are at it at the same time may send their batches in
/// either order, but nothing twice.
pub struct Merge(Mutex<State>);

struct State {
    arbiter: Arbiter<Session>,
    /// What the lines carry: as somebody said, or as their first datagram was recognised.
    protocols: [Option<Protocol>; LINES_MAX],
    lines: usize,
    packets: u64,
    /// The latest arrival, since the workers' clocks and batches do not come in order.
    now_ns: u64,
    cut: u64,
    partly_new: u64,
    recovered: u64,
    /// Who asks for what is missing.
    asks: Option<Asks>,
}

/// What is to be said to who asks.
struct Asks {
    words: Words,
    wake: Box<dyn Fn() + Send>,
    /// Of what the last packet was.
    protocol: Protocol,
}

/// Where a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// On the line of this number.
    Line(usize),
    /// From a server, as the answer to a request.
    Server,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").finish_non_exhaustive()
    }
}

impl Merge {
    /// For `lines` lines of `protocol`; without, each line is recognised by its first datagram.
    /// What one line passed over, and another may still bring, is missing after `gap_hold`.
    ///
    /// # Panics
    /// When there are no lines, or more than [`LINES_MAX`].
    pub fn new(lines: usize, protocol: Option<Protocol>, gap_hold: Duration) -> Merge {
        let gap_hold_ns = gap_hold.as_nanos() as u64;
        let arbiter = Arbiter::new(Settings { lines, gap_hold_ns, ..Settings::default() });
        Merge(Mutex::new(State {
            arbiter,
            protocols: [protocol; LINES_MAX],
            lines,
            packets: 0,
            now_ns: 0,
            cut: 0,
            partly_new: 0,
            recovered: 0,
            asks: None,
        }))
    }

    /// What no line brings is to be asked for from now on: `wake` is called, at once and without
    /// waiting for anything, when there are words to [take](Self::take_words).
    pub fn ask(&self, wake: impl Fn() + Send + 'static) {
        let (words, wake, protocol) = (Words::default(), Box::new(wake), Protocol::Itch50);
        self.state().asks = Some(Asks { words, wake, protocol });
    }

    /// Tells of what is missing by `at_ns` (since 1970) without a datagram, and moves what is to be
    /// said to who asks into `words`. When to call again at the latest, if no datagram comes.
    pub fn take_words(&self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64> {
        let mut state = self.state();
        state.now_ns = state.now_ns.max(at_ns);
        let at_ns = state.now_ns;
        state.arbiter.tick(at_ns);
        state.note_events();
        let State { arbiter, asks, .. } = &mut *state;
        if let Some(Asks { words: waiting, protocol, .. }) = asks {
            let missing = arbiter.sessions().flat_map(|(session, stream)| {
                let id = (*protocol, session);
                stream.missing().map(move |range| (id, range))
            });
            waiting.take(missing, words);
        }
        arbiter.deadline_ns()
    }

    /// Nobody has `range` of the session of `id`: it is lost.
    pub fn give_up(&self, (_, session): Id, range: Range) {
        let state = &mut *self.state();
        state.arbiter.give_up(session, range, state.now_ns);
    }

    /// The account so far, without the names of the lines.
    pub fn account(&self) -> Merged {
        let state = self.state();
        let line = |number| {
            let counts = state.arbiter.line(number);
            let (first, duplicates) = (counts.first, counts.duplicates);
            let refused = counts.refused + counts.superseded + counts.too_late;
            LineMessages { feed: String::new(), first, duplicates, refused }
        };
        let streams = || state.arbiter.sessions().map(|(_, stream)| stream);
        Merged {
            lines: (0..state.lines).map(line).collect(),
            gaps: streams().map(|stream| stream.missing().count() as u64).sum(),
            missing: streams().map(Stream::missing_messages).sum(),
            lost: streams().map(|stream| stream.counts().lost).sum(),
            recovered: state.recovered,
            cut: state.cut,
            partly_new: state.partly_new,
            requests: None,
        }
    }

    /// To be kept for a batch.
    pub(crate) fn lock(&self) -> Merging<'_> {
        Merging(self.state())
    }

    /// A panic in between loses a message of the account at most.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Merge`] while a worker has it.
pub(crate) struct Merging<'a>(MutexGuard<'a, State>);

impl Merging<'_> {
    /// Whether `datagram` of `frame` is to be handed on: also when it carries nothing that is
    /// numbered. When a part of it is to be, that is put into `cuts`, as the payload of frame `at`;
    /// where it cannot be cut, or there is no room, all of it is handed on.
    ///
    /// What its sender, or the way here, had damaged must not win against the good copy: its
    /// checksum is checked, where there is one.
    ///
    /// # Errors
    /// Why it is not.
    pub fn receive(
        &mut self,
        from: From,
        datagram: &Datagram,
        (at, frame): (usize, &Frame<'_>),
        cuts: &mut Cuts,
    ) -> Result<(), Reason> {
        if !datagram.is_intact(frame.bytes) {
            return Err(Reason::UdpBadChecksum);
        }
        let (state, payload) = (&mut *self.0, datagram.payload(frame.bytes));
        let protocol = state.protocol(from, datagram, payload).ok_or(Reason::NotMarketData)?;
        let packet = Packet::parse(protocol, payload).map_err(|_| Reason::UnreadableFeed)?;
        let Some(mut numbers) = Numbers::of(&packet) else { return Ok(()) };
        if protocol.numbered() == Numbered::Messages {
            // What is said to be there and is not may come on another line.
            let readable = packet.messages().take_while(Result::is_ok).count();
            numbers.count = numbers.count.min(readable as u32);
        }
        state.now_ns = state.now_ns.max(frame.timestamp.as_nanos());
        state.packets += 1;
        if let Some(asks) = &mut state.asks {
            asks.protocol = packet.protocol();
        }
        match state.judge(from, &numbers) {
            New::All => Ok(()),
            New::None => Err(Reason::DuplicateLine),
            New::Some => {
                match cuts.cut(at, &packet, state.arbiter.fresh()) {
                    true => state.cut += 1,
                    false => state.partly_new += 1,
                }
                Ok(())
            }
        }
    }
}

impl State {
    /// What a datagram is of. Servers send what lines carry.
    #[inline]
    fn protocol(&mut self, from: From, datagram: &Datagram, payload: &[u8]) -> Option<Protocol> {
        match from {
            From::Server => self.protocols.iter().flatten().next().copied(),
            From::Line(line) => {
                if self.protocols[line].is_none() {
                    self.protocols[line] = guess(datagram.destination, payload);
                }
                self.protocols[line]
            }
        }
    }

    /// What of a packet is new.
    #[inline]
    fn judge(&mut self, from: From, numbers: &Numbers<Session>) -> New {
        let (now_ns, packets) = (self.now_ns, self.packets);
        let new = match from {
            From::Line(line) => self.arbiter.receive(line, numbers, now_ns, packets),
            From::Server => self.answer(numbers),
        };
        if !self.arbiter.events().is_empty() {
            self.note_events();
        }
        new
    }

    /// An answer without messages brings nothing new.
    #[cold]
    fn answer(&mut self, numbers: &Numbers<Session>) -> New {
        let Numbers { session, first, count, .. } = *numbers;
        let Some(range) = Range::before(first, first.saturating_add(count.into())) else {
            return New::None;
        };
        if let Some(asks) = &mut self.asks {
            asks.say(Word::Answered((asks.protocol, session), range));
        }
        let new = self.arbiter.receive_answer(numbers, self.now_ns, self.packets);
        self.recovered += match new {
            New::All => count.into(),
            New::Some => self.arbiter.fresh().iter().map(Range::count).sum(),
            New::None => 0,
        };
        new
    }

    /// What the last call to the arbiter meant for who asks.
    #[cold]
    fn note_events(&mut self) {
        let Some(asks) = &mut self.asks else { return };
        for event in self.arbiter.events() {
            if let Some(word) = Word::of(asks.protocol, event) {
                asks.say(word);
            }
        }
    }
}

impl Asks {
    fn say(&mut self, word: Word) {
        if self.words.say(word) {
            (self.wake)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tickwire_frame::Timestamp;
    use tickwire_market::Ascii;
    use tickwire_market::itch50::OrderDeleteBuilder;
    use tickwire_market::moldudp64::{self, PacketBuilder};

    const SESSION: moldudp64::Session = Ascii(*b"SESSION   ");
    const HOLD: Duration = Duration::from_millis(1);

    fn packet(first: u64, count: usize) -> Vec<u8> {
        let mut buffer = [0; 1400];
        let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).unwrap();
        for _ in 0..count {
            packet.push(OrderDeleteBuilder::new().as_bytes()).unwrap();
        }
        packet.finish().to_vec()
    }

    /// The bytes are the payload alone: no header, no checksum. The messages that are handed on.
    fn receive(merge: &Merge, from: From, payload: &[u8]) -> Result<Vec<(u64, u32)>, Reason> {
        let destination: SocketAddr = "239.1.1.1:26477".parse().unwrap();
        let payload_len = payload.len();
        let datagram = Datagram { destination, payload_len, ..Datagram::NONE };
        let (frame, mut cuts) = (Frame::new(payload, Timestamp::ZERO), Cuts::default());
        cuts.reserve();
        merge.lock().receive(from, &datagram, (7, &frame), &mut cuts)?;
        let messages = |payload| {
            let packet = Packet::parse(Protocol::Itch50, payload).unwrap();
            (packet.first(), packet.count())
        };
        let whole = || vec![messages(payload)];
        Ok(cuts.get(7).map_or_else(whole, |pieces| pieces.map(messages).collect()))
    }

    #[test]
    fn what_is_new_is_handed_on_and_counted() {
        let merge = Merge::new(2, None, HOLD);
        let old = || Err(Reason::DuplicateLine);
        for (line, first, count, expected) in [
            (0, 1, 2, Ok(vec![(1, 2)])),
            (1, 1, 2, old()),
            (1, 3, 2, Ok(vec![(3, 2)])),
            (0, 3, 2, old()),
            (0, 6, 1, Ok(vec![(6, 1)])),
            // Cut: 4 has come.
            (1, 4, 2, Ok(vec![(5, 1)])),
            (1, 6, 1, old()),
            (0, 9, 1, Ok(vec![(9, 1)])),
            (1, 9, 1, old()),
        ] {
            let handed_on = receive(&merge, From::Line(line), &packet(first, count));
            assert_eq!(handed_on, expected, "{line} {first}");
        }
        let Merged { lines, gaps, missing, partly_new, cut, .. } = merge.account();
        assert_eq!((gaps, missing, partly_new, cut), (1, 2, 0, 1));
        let lines: Vec<_> = lines.iter().map(|line| (line.first, line.duplicates)).collect();
        assert_eq!(lines, [(4, 2), (3, 5)]);
    }

    #[test]
    fn what_cannot_be_read_is_no_message() {
        let (merge, a) = (Merge::new(2, None, HOLD), From::Line(0));
        assert_eq!(receive(&merge, a, b"no feed"), Err(Reason::NotMarketData));
        assert_eq!(receive(&merge, a, &packet(1, 3)), Ok(vec![(1, 3)]));
        assert_eq!(receive(&merge, a, b"no feed"), Err(Reason::UnreadableFeed));
        // It says that it has four, and ends in the second.
        assert_eq!(receive(&merge, a, &packet(4, 4)[..50]), Ok(vec![(4, 4)]));
        assert_eq!(receive(&merge, From::Line(1), &packet(4, 4)), Ok(vec![(5, 3)]));
        assert_eq!((merge.account().lines[1].first, merge.account().cut), (3, 1));
    }

    #[test]
    fn heartbeats_are_handed_on() {
        let merge = Merge::new(2, Some(Protocol::Itch50), HOLD);
        for line in 0..2 {
            let heartbeat = moldudp64::heartbeat(SESSION, 1);
            assert_eq!(receive(&merge, From::Line(line), &heartbeat), Ok(vec![(1, 0)]));
        }
        assert_eq!(merge.account().lines, [LineMessages::default(), LineMessages::default()]);
    }

    #[test]
    fn what_no_line_brings_is_asked_for_and_answered_once() {
        let (merge, woken) = (Merge::new(2, None, HOLD), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&woken);
        merge.ask(move || _ = counter.fetch_add(1, Relaxed));
        let mut words = Vec::new();
        for (line, first) in [(0, 1), (1, 1), (0, 10)] {
            let _ = receive(&merge, From::Line(line), &packet(first, 1));
        }
        assert_eq!((merge.take_words(0, &mut words), words.len()), (Some(1_000_000), 0));
        // Line b has passed it, too.
        assert!(receive(&merge, From::Line(1), &packet(10, 1)).is_err());
        assert_eq!(woken.load(Relaxed), 1);
        assert_eq!(merge.take_words(0, &mut words), None);
        let id = (Protocol::Itch50, Session::Moldudp64(SESSION));
        let range = |first, last| Range { first, last };
        assert_eq!(words, [Word::Want(id, range(2, 9))]);
        words.clear();
        // 4 comes late; of the answer the others are new. One without messages brings nothing.
        assert_eq!(receive(&merge, From::Line(0), &packet(4, 1)), Ok(vec![(4, 1)]));
        assert_eq!(receive(&merge, From::Server, &packet(2, 4)), Ok(vec![(2, 2), (5, 1)]));
        assert_eq!(receive(&merge, From::Server, &packet(2, 4)), Err(Reason::DuplicateLine));
        let heartbeat = moldudp64::heartbeat(SESSION, 11);
        assert_eq!(receive(&merge, From::Server, &heartbeat), Err(Reason::DuplicateLine));
        // What nobody asked for is none of the answers' business.
        assert_eq!(receive(&merge, From::Server, &packet(11, 1)), Err(Reason::DuplicateLine));
        merge.give_up(id, range(6, 9));
        assert_eq!(receive(&merge, From::Line(1), &packet(6, 4)), Err(Reason::DuplicateLine));
        merge.take_words(0, &mut words);
        assert_eq!(words[..2], [Word::Came(id, range(4, 4)), Word::Answered(id, range(2, 5))]);
        let Merged { gaps, missing, lost, recovered, cut, lines, .. } = merge.account();
        assert_eq!((gaps, missing, lost, recovered, cut), (0, 0, 4, 3, 1));
        assert_eq!(lines[0].first + lines[1].first, 3);
    }

    #[test]
    fn what_is_damaged_does_not_win() {
        let merge = Merge::new(2, Some(Protocol::Itch50), HOLD);
        let payload = packet(1, 1);
        let datagram = Datagram { payload_len: payload.len(), checksum: 1, ..Datagram::NONE };
        let frame = Frame::new(&payload, Timestamp::ZERO);
        let damaged =
            merge.lock().receive(From::Line(0), &datagram, (0, &frame), &mut Cuts::default());
        assert_eq!(damaged, Err(Reason::UdpBadChecksum));
        assert_eq!(receive(&merge, From::Line(1), &payload), Ok(vec![(1, 1)]));
    }
}
