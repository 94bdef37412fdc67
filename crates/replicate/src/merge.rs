//! Lines of one feed, merged before the fan-out: each message goes to the subscribers once, from
//! the line on which it came first.
//!
//! Datagrams are handed on or dropped as they are, in the order of arrival, and none is held back:
//! see [`arbitrate`](tickwire_market::arbitrate). One that brings new messages beside old ones,
//! which happens only where lines cut their packets differently, is handed on whole and counted.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tickwire_frame::{Frame, Reason};
use tickwire_market::arbitrate::{Arbiter, Settings};
use tickwire_market::protocol::Numbered;
use tickwire_market::recognise::guess;
use tickwire_market::sequence::{New, Numbers, Stream};
use tickwire_market::{Packet, Protocol, Session};

pub use tickwire_market::arbitrate::LINES_MAX;

use crate::Datagram;

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
    /// Datagrams that were handed on whole, although some of their messages had come before.
    pub partly_new: u64,
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
    partly_new: u64,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").finish_non_exhaustive()
    }
}

impl Merge {
    /// For `lines` lines of `protocol`; without, each line is recognised by its first datagram.
    ///
    /// # Panics
    /// When there are no lines, or more than [`LINES_MAX`].
    pub fn new(lines: usize, protocol: Option<Protocol>) -> Merge {
        let arbiter = Arbiter::new(Settings { lines, ..Settings::default() });
        let protocols = [protocol; LINES_MAX];
        let (packets, now_ns, partly_new) = (0, 0, 0);
        Merge(Mutex::new(State { arbiter, protocols, lines, packets, now_ns, partly_new }))
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
            partly_new: state.partly_new,
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
    /// Whether `datagram` of `frame`, which came on `line`, is to be handed on: also when it
    /// carries nothing that is numbered.
    ///
    /// What its sender, or the way here, had damaged must not win against the good copy: its
    /// checksum is checked, where there is one.
    ///
    /// # Errors
    /// Why it is not.
    pub fn receive(
        &mut self,
        line: usize,
        datagram: &Datagram,
        frame: &Frame<'_>,
    ) -> Result<(), Reason> {
        if !datagram.is_intact(frame.bytes) {
            return Err(Reason::UdpBadChecksum);
        }
        let (state, payload) = (&mut *self.0, datagram.payload(frame.bytes));
        let protocol = match state.protocols[line] {
            Some(protocol) => protocol,
            None => {
                let guessed = guess(datagram.destination, payload);
                state.protocols[line] = guessed;
                guessed.ok_or(Reason::NotMarketData)?
            }
        };
        let packet = Packet::parse(protocol, payload).map_err(|_| Reason::UnreadableFeed)?;
        let Some(mut numbers) = Numbers::of(&packet) else { return Ok(()) };
        if protocol.numbered() == Numbered::Messages {
            // What is said to be there and is not may come on another line.
            let readable = packet.messages().take_while(Result::is_ok).count();
            numbers.count = numbers.count.min(readable as u32);
        }
        state.now_ns = state.now_ns.max(frame.timestamp.as_nanos());
        state.packets += 1;
        match state.arbiter.receive(line, &numbers, state.now_ns, state.packets) {
            New::All => Ok(()),
            New::Some => {
                state.partly_new += 1;
                Ok(())
            }
            New::None => Err(Reason::DuplicateLine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tickwire_frame::Timestamp;
    use tickwire_market::Ascii;
    use tickwire_market::itch50::OrderDeleteBuilder;
    use tickwire_market::moldudp64::{self, PacketBuilder};

    const SESSION: moldudp64::Session = Ascii(*b"SESSION   ");

    fn packet(first: u64, count: usize) -> Vec<u8> {
        let mut buffer = [0; 1400];
        let mut packet = PacketBuilder::new(&mut buffer, SESSION, first).unwrap();
        for _ in 0..count {
            packet.push(OrderDeleteBuilder::new().as_bytes()).unwrap();
        }
        packet.finish().to_vec()
    }

    /// The bytes are the payload alone: no header, no checksum.
    fn receive(merge: &Merge, line: usize, payload: &[u8]) -> Result<(), Reason> {
        let destination: SocketAddr = "239.1.1.1:26477".parse().unwrap();
        let payload_len = payload.len();
        let datagram = Datagram { destination, payload_len, ..Datagram::NONE };
        merge.lock().receive(line, &datagram, &Frame::new(payload, Timestamp::ZERO))
    }

    #[test]
    fn what_is_new_is_handed_on_and_counted() {
        let merge = Merge::new(2, None);
        let old = Err(Reason::DuplicateLine);
        for (line, first, count, expected) in [
            (0, 1, 2, Ok(())),
            (1, 1, 2, old),
            (1, 3, 2, Ok(())),
            (0, 3, 2, old),
            (0, 6, 1, Ok(())),
            (1, 4, 2, Ok(())),
            (1, 6, 1, old),
            (0, 9, 1, Ok(())),
            (1, 9, 1, old),
        ] {
            assert_eq!(receive(&merge, line, &packet(first, count)), expected, "{line} {first}");
        }
        let Merged { lines, gaps, missing, partly_new } = merge.account();
        assert_eq!((gaps, missing, partly_new), (1, 2, 1));
        let lines: Vec<_> = lines.iter().map(|line| (line.first, line.duplicates)).collect();
        assert_eq!(lines, [(4, 2), (3, 5)]);
    }

    #[test]
    fn what_cannot_be_read_is_no_message() {
        let merge = Merge::new(2, None);
        assert_eq!(receive(&merge, 0, b"no feed"), Err(Reason::NotMarketData));
        assert_eq!(receive(&merge, 0, &packet(1, 3)), Ok(()));
        assert_eq!(receive(&merge, 0, b"no feed"), Err(Reason::UnreadableFeed));
        // It says that it has four, and ends in the second.
        assert_eq!(receive(&merge, 0, &packet(4, 4)[..50]), Ok(()));
        assert_eq!(receive(&merge, 1, &packet(4, 4)), Ok(()));
        assert_eq!((merge.account().lines[1].first, merge.account().partly_new), (3, 1));
    }

    #[test]
    fn heartbeats_are_handed_on() {
        let merge = Merge::new(2, Some(Protocol::Itch50));
        for line in 0..2 {
            assert_eq!(receive(&merge, line, &moldudp64::heartbeat(SESSION, 1)), Ok(()));
        }
        assert_eq!(merge.account().lines, [LineMessages::default(), LineMessages::default()]);
    }

    #[test]
    fn what_is_damaged_does_not_win() {
        let merge = Merge::new(2, Some(Protocol::Itch50));
        let payload = packet(1, 1);
        let datagram = Datagram { payload_len: payload.len(), checksum: 1, ..Datagram::NONE };
        let frame = Frame::new(&payload, Timestamp::ZERO);
        let damaged = merge.lock().receive(0, &datagram, &frame);
        assert_eq!(damaged, Err(Reason::UdpBadChecksum));
        assert_eq!(receive(&merge, 1, &payload), Ok(()));
    }
}
