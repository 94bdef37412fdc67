//! Feeds and orders over TCP: connections put in order, recognised, and read.
//!
//! * this file: all connections, by their addresses, within limits.
//! * `connection`: one of them, whose segments are put in order; `reader`: what it is of, and its
//!   messages.
//! * `feed`: where segments come from, and where messages go.

mod connection;
mod feed;
mod reader;

use connection::{Connection, Segment};
use reader::{At, Found, Output};
use std::collections::HashMap;
use std::net::SocketAddr;
use tickwire_frame::Reason;
use tickwire_market::Protocol;
use tickwire_market::stream::{Sessions, Way};

/// The most connections that are remembered. One more, and a quarter is forgotten: those that have
/// ended, then those that were silent for longest.
const CONNECTIONS_MAX: usize = 8192;

/// The most bytes that wait behind holes, in all connections together.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What there was of connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Connections of a known protocol.
    pub connections: u64,
    /// Holes in their streams: what was sent and not captured.
    pub stream_gaps: u64,
    /// Bytes missing in them.
    pub stream_gap_bytes: u64,
    /// Bytes left out to find the next message: behind holes, and where a capture began.
    pub skipped_bytes: u64,
    /// Connections that were forgotten while they were open, because there were too many.
    pub forgotten_connections: u64,
    /// Segments that were taken for some of a feed, before their connection turned out to be none.
    pub disowned_segments: u64,
}

/// Both ends of a connection, the lower one first.
type Ends = [SocketAddr; 2];

/// What the user says that a connection is of, and of which end if not of all connections.
type Bound = (Protocol, Option<SocketAddr>);

/// All connections of a file or an interface.
#[derive(Debug, Default)]
pub struct Connections {
    connections: HashMap<Ends, Connection>,
    sessions: Sessions,
    held_bytes: usize,
    counts: Counts,
}

impl Connections {
    /// What there was.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A segment that goes from `ends[0]` to `ends[1]`. `bound` is what the user says of the
    /// connection. What can be read now is visited.
    ///
    /// # Errors
    /// [`Reason::NotMarketData`] of a connection that is no feed.
    fn segment(
        &mut self,
        ends: Ends,
        segment: &Segment<'_>,
        at: At,
        bound: Option<Bound>,
        mut visit: impl FnMut(Found<'_>),
    ) -> Result<(), Reason> {
        let (key, way) = match ends[0] <= ends[1] {
            true => (ends, Way::Forth),
            false => ([ends[1], ends[0]], Way::Back),
        };
        if self.connections.len() == CONNECTIONS_MAX && !self.connections.contains_key(&key) {
            self.forget(&mut visit);
        }
        let Connections { connections, sessions, counts, held_bytes } = self;
        let mut output = Output { sessions, counts, visit };
        let connection = connections.entry(key).or_insert_with(|| Connection::new(key, bound));
        let before = connection.held_bytes();
        connection.segment(way, segment, at, &mut output);
        *held_bytes = *held_bytes + connection.held_bytes() - before;
        if *held_bytes > HELD_BYTES_MAX {
            *held_bytes -= connection.held_bytes();
            connection.give_up(&mut output);
        }
        if connection.is_foreign() { Err(Reason::NotMarketData) } else { Ok(()) }
    }

    /// Nothing more comes: what waits is visited, in the order of the last segments.
    fn finish(&mut self, visit: impl FnMut(Found<'_>)) {
        let mut left: Vec<_> = std::mem::take(&mut self.connections).into_values().collect();
        left.sort_by_key(Connection::latest);
        let Connections { sessions, counts, .. } = self;
        let mut output = Output { sessions, counts, visit };
        left.iter_mut().for_each(|connection| connection.finish(&mut output));
        (self.held_bytes, self.sessions) = (0, Sessions::default());
    }

    #[cold]
    fn forget(&mut self, visit: impl FnMut(Found<'_>)) {
        let Connections { connections, sessions, counts, held_bytes } = self;
        let mut output = Output { sessions, counts, visit };
        let mut worths: Vec<_> =
            connections.iter().map(|(key, known)| (known.worth(), *key)).collect();
        worths.sort_unstable();
        for (_, key) in worths.iter().take(CONNECTIONS_MAX / 4) {
            let Some(mut connection) = connections.remove(key) else { continue };
            *held_bytes -= connection.held_bytes();
            output.counts.forgotten_connections += u64::from(connection.is_followed());
            connection.finish(&mut output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_decode::{TcpFlags, stream};
    use tickwire_market::fix::MessageBuilder;

    fn end(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn heartbeat() -> Vec<u8> {
        let mut buffer = [0; 64];
        MessageBuilder::new(&mut buffer, "FIX.4.4", "0").expect("room").finish().to_vec()
    }

    fn send(
        connections: &mut Connections,
        ports: [u16; 2],
        sequence: u32,
        flags: TcpFlags,
        payload: &[u8],
    ) -> (Result<(), Reason>, usize) {
        let sent = stream::Segment { sequence, flags, payload, cut_bytes: 0 };
        let (segment, mut found) = (Segment { sent, acknowledgment: 0 }, 0);
        let number = connections.connections.len() as u64;
        let at = At { ns: number, number };
        let sent = connections.segment(ports.map(end), &segment, at, None, |_| found += 1);
        (sent, found)
    }

    #[test]
    fn connections_are_forgotten_when_there_are_too_many() {
        let (mut connections, data) = (Connections::default(), TcpFlags::ACK);
        let beat = heartbeat();
        let len = beat.len() as u32;
        assert_eq!(send(&mut connections, [1, 2], 100, data, &beat), (Ok(()), 1));
        // Something that is no feed, on every port: it is driven out by the next of its kind.
        for port in 10..10 + 2 * CONNECTIONS_MAX as u16 {
            let (sent, _) = send(&mut connections, [3, port], 100, TcpFlags::SYN, b"GET /");
            assert_eq!(sent, Err(Reason::NotMarketData));
            assert!(connections.connections.len() <= CONNECTIONS_MAX);
        }
        assert_eq!(send(&mut connections, [1, 2], 100 + len, data, &beat), (Ok(()), 1));
        assert_eq!(connections.counts.forgotten_connections, 0);
        for port in 10..10 + CONNECTIONS_MAX as u16 {
            assert_eq!(send(&mut connections, [4, port], 100, data, &beat), (Ok(()), 1));
        }
        let counts = connections.counts;
        assert_eq!(counts.connections, 1 + CONNECTIONS_MAX as u64);
        assert!(counts.forgotten_connections > 0 && counts.disowned_segments == 0, "{counts:?}");
    }

    #[test]
    fn what_waits_in_all_connections_is_bounded() {
        let (mut connections, mut found) = (Connections::default(), 0);
        let (beat, filler) = (heartbeat(), vec![b'x'; 60_000]);
        for port in 10..140 {
            assert_eq!(send(&mut connections, [1, port], 0, TcpFlags::ACK, &beat), (Ok(()), 1));
            for at in 0..10 {
                let sequence = 10_000 + at * filler.len() as u32;
                let ports = [1, port];
                found += send(&mut connections, ports, sequence, TcpFlags::ACK, &filler).1;
            }
            let held: usize = connections.connections.values().map(Connection::held_bytes).sum();
            assert_eq!(held, connections.held_bytes);
            assert!(held <= HELD_BYTES_MAX);
        }
        assert!(connections.counts.stream_gaps > 0);
        connections.finish(|_| found += 1);
        assert_eq!((connections.held_bytes, connections.counts.stream_gaps, found), (0, 130, 0));
    }
}
