//! The sending side of a MoldUDP64 session: messages with their times in, packets with theirs out.
//!
//! Pure: it has no clock and sends nothing. Times are nanoseconds of whatever clock the caller
//! has; they never go back. A packet is given out when it is full or when its first message has
//! waited for long enough, and a heartbeat when nothing else was sent for a while, as section 2 of
//! the specification asks for. The buffer of the packet is the only memory.
//!
//! ```
//! use tickwire_market::moldudp64::Session;
//! use tickwire_market::publish::{Limits, Publisher};
//!
//! let mut publisher = Publisher::new(Session::new("DAY1").unwrap(), Limits::default()).unwrap();
//! for (at_ns, message) in [(5, &b"S1"[..]), (7, b"S2"), (2_000_000_000, b"S3")] {
//!     while let Some(packet) = publisher.before(at_ns, message.len()) {
//!         println!("{} ns: {} bytes", packet.at_ns, packet.payload.len());
//!     }
//!     publisher.push(at_ns, message).unwrap();
//! }
//! let last = publisher.flush().unwrap();
//! assert_eq!((last.at_ns, last.sequence), (2_000_000_000, 3));
//! ```

use crate::blocks::{PREFIX_LEN, write_block};
use crate::error::Error;
use crate::moldudp64::{END_OF_SESSION, Header, HeaderBuilder, MESSAGES_MAX, Session};
use crate::wire::Big;

/// The longest packet unless said otherwise, in bytes: an Ethernet frame without fragments, with
/// the headers of IPv4 and UDP.
pub const PAYLOAD_BYTES: usize = 1472;
/// The longest packet that there can be, in bytes: UDP's limit over IPv4.
pub const PAYLOAD_BYTES_MAX: usize = 65_507;
/// How long nothing else is sent before a heartbeat, unless said otherwise: "about once a second".
pub const HEARTBEAT_NS: u64 = 1_000_000_000;
/// How long a message may wait for others to fill its packet, unless said otherwise.
pub const FLUSH_NS: u64 = 50_000;

/// When a packet is full, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest packet, in bytes, header included.
    pub payload_bytes_max: usize,
    /// The most messages of a packet.
    pub messages_max: u16,
    /// How long a message may wait for others to fill its packet. With 0 only those of the same
    /// time share one.
    pub flush_ns: u64,
    /// How long nothing else is sent before a heartbeat; `u64::MAX` for none.
    pub heartbeat_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            payload_bytes_max: PAYLOAD_BYTES,
            messages_max: MESSAGES_MAX,
            flush_ns: FLUSH_NS,
            heartbeat_ns: HEARTBEAT_NS,
        }
    }
}

/// A packet that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a> {
    /// When.
    pub at_ns: u64,
    /// The number of its first message, or of the next one to come.
    pub sequence: u64,
    /// How many messages it has: 0 in a heartbeat and an end of session.
    pub messages: u16,
    /// The payload of its datagram.
    pub payload: &'a [u8],
}

/// Puts messages into packets.
#[derive(Clone, Debug)]
pub struct Publisher {
    session: Session,
    limits: Limits,
    buffer: Vec<u8>,
    len: usize,
    count: u16,
    /// The number of the first message of the packet at hand.
    sequence: u64,
    /// When the first and the last message of the packet at hand came.
    first_ns: u64,
    last_ns: u64,
    /// When the last packet was given out; `None` before the first message.
    sent_ns: Option<u64>,
}

impl Publisher {
    /// A session whose first message will have the number 1.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when the limits leave no room for a message.
    pub fn new(session: Session, limits: Limits) -> Result<Self, Error> {
        let needed = Header::LEN + PREFIX_LEN + 1;
        let available = limits.payload_bytes_max.min(PAYLOAD_BYTES_MAX);
        if available < needed || limits.messages_max == 0 {
            return Err(Error::NoRoom { what: "packet with a message", needed, available });
        }
        Ok(Publisher {
            session,
            limits,
            buffer: vec![0; available],
            len: Header::LEN,
            count: 0,
            sequence: 1,
            first_ns: 0,
            last_ns: 0,
            sent_ns: None,
        })
    }

    /// The number of the next message to be pushed.
    pub fn next_sequence(&self) -> u64 {
        self.sequence + u64::from(self.count)
    }

    /// The latest time of a message or packet so far.
    pub fn latest_ns(&self) -> u64 {
        self.last_ns.max(self.sent_ns.unwrap_or(0))
    }

    /// What has to be sent before a message of `message_len` bytes can be pushed at `at_ns`: the
    /// packet at hand, because it is due or because there is no room left in it, and heartbeats.
    /// To be asked until there is nothing more.
    #[inline]
    pub fn before(&mut self, at_ns: u64, message_len: usize) -> Option<Published<'_>> {
        let fits = self.len + PREFIX_LEN + message_len <= self.buffer.len()
            && self.count < self.limits.messages_max.min(MESSAGES_MAX);
        if self.count > 0 && !fits {
            return self.flush();
        }
        self.due(at_ns)
    }

    /// What has to be sent before `at_ns`, if nothing is pushed meanwhile. To be asked until there
    /// is nothing more.
    pub fn due(&mut self, at_ns: u64) -> Option<Published<'_>> {
        if self.count > 0 {
            let due_ns = self.first_ns.saturating_add(self.limits.flush_ns);
            return (due_ns < at_ns).then(|| self.packet(due_ns));
        }
        let due_ns = self.sent_ns?.saturating_add(self.limits.heartbeat_ns);
        (due_ns < at_ns).then(|| self.packet(due_ns))
    }

    /// Puts a message into the packet at hand.
    ///
    /// # Errors
    /// [`Error::NoRoom`]: it is longer than any packet; or [`before`](Self::before) was not asked.
    #[inline]
    pub fn push(&mut self, at_ns: u64, message: &[u8]) -> Result<(), Error> {
        self.len += write_block::<Big>(&mut self.buffer[self.len..], message)?;
        self.last_ns = self.last_ns.max(at_ns);
        if self.count == 0 {
            self.first_ns = self.last_ns;
            self.sent_ns.get_or_insert(self.last_ns);
        }
        self.count += 1;
        Ok(())
    }

    /// The packet at hand, if it has messages, as of the time of its last one.
    pub fn flush(&mut self) -> Option<Published<'_>> {
        (self.count > 0).then(|| self.packet(self.last_ns))
    }

    /// An end of session at `at_ns`, to be repeated for a while. While there is a packet at hand
    /// that has messages, this is that packet: ask again.
    pub fn end(&mut self, at_ns: u64) -> Published<'_> {
        if self.count > 0 {
            return self.packet(self.last_ns);
        }
        self.give(at_ns, END_OF_SESSION)
    }

    fn packet(&mut self, at_ns: u64) -> Published<'_> {
        self.give(at_ns, self.count)
    }

    fn give(&mut self, at_ns: u64, message_count: u16) -> Published<'_> {
        let (sequence, messages, len) = (self.sequence, self.count, self.len);
        let header = HeaderBuilder::new().session(self.session).sequence_number(sequence);
        let header = header.message_count(message_count);
        self.buffer[..Header::LEN].copy_from_slice(header.as_bytes());
        self.sequence += u64::from(messages);
        (self.len, self.count, self.sent_ns) = (Header::LEN, 0, Some(at_ns));
        Published { at_ns, sequence, messages, payload: &self.buffer[..len] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moldudp64::{Kind, Packet};

    const SESSION: Session = crate::Ascii(*b"SESSION   ");

    fn publisher(limits: Limits) -> Publisher {
        Publisher::new(SESSION, limits).unwrap()
    }

    /// Time, first number and messages of each packet.
    type Sent = Vec<(u64, u64, Vec<Vec<u8>>)>;

    fn enter(sent: &mut Sent, packet: Published<'_>) {
        let parsed = Packet::parse(packet.payload).unwrap();
        assert_eq!((parsed.sequence_number(), parsed.session()), (packet.sequence, SESSION));
        assert_eq!(parsed.message_count(), packet.messages);
        let messages = parsed.messages().map(|message| message.unwrap().bytes.to_vec());
        sent.push((packet.at_ns, packet.sequence, messages.collect()));
    }

    fn publish(limits: Limits, messages: &[(u64, &[u8])]) -> Sent {
        let (mut publisher, mut sent) = (publisher(limits), Vec::new());
        for &(at_ns, message) in messages {
            while let Some(packet) = publisher.before(at_ns, message.len()) {
                enter(&mut sent, packet);
            }
            publisher.push(at_ns, message).unwrap();
        }
        if let Some(packet) = publisher.flush() {
            enter(&mut sent, packet);
        }
        sent
    }

    fn shape(sent: &Sent) -> Vec<(u64, u64, usize)> {
        sent.iter().map(|(at_ns, first, messages)| (*at_ns, *first, messages.len())).collect()
    }

    #[test]
    fn a_packet_waits_for_a_while_and_no_longer() {
        let limits = Limits { flush_ns: 10, ..Limits::default() };
        let sent = publish(limits, &[(5, b"a"), (15, b"b"), (16, b"c"), (16, b"d")]);
        assert_eq!(shape(&sent), [(15, 1, 2), (16, 3, 2)]);
        assert_eq!(sent[1].2, [b"c", b"d"]);
        let limits = Limits { flush_ns: 0, ..limits };
        let sent = publish(limits, &[(5, b"a"), (5, b"b"), (6, b"c")]);
        assert_eq!(shape(&sent), [(5, 1, 2), (6, 3, 1)]);
    }

    #[test]
    fn a_full_packet_goes_at_once() {
        let limits = Limits { messages_max: 2, ..Limits::default() };
        let sent = publish(limits, &[(1, b"a"), (2, b"b"), (3, b"c")]);
        assert_eq!(shape(&sent), [(2, 1, 2), (3, 3, 1)]);
        let limits = Limits { payload_bytes_max: 20 + 2 * 5, ..Limits::default() };
        let sent = publish(limits, &[(1, b"abc"), (2, b"def"), (3, b"g"), (4, b""), (5, b"h")]);
        assert_eq!(shape(&sent), [(2, 1, 2), (5, 3, 3)]);
        let mut publisher = publisher(limits);
        assert!(publisher.before(1, 9).is_none());
        let error = Error::NoRoom { what: "message block", needed: 11, available: 10 };
        assert_eq!(publisher.push(1, b"too long."), Err(error));
        assert_eq!(publisher.flush(), None);
        assert_eq!(publisher.next_sequence(), 1);
    }

    #[test]
    fn silence_has_heartbeats() {
        let limits = Limits { flush_ns: 10, heartbeat_ns: 100, ..Limits::default() };
        let sent = publish(limits, &[(1_000, b"a"), (1_300, b"b")]);
        assert_eq!(shape(&sent), [(1_010, 1, 1), (1_110, 2, 0), (1_210, 2, 0), (1_300, 2, 1)]);
        let none = Limits { heartbeat_ns: u64::MAX, ..limits };
        assert_eq!(publish(none, &[(1_000, b"a"), (u64::MAX, b"b")]).len(), 2);
    }

    #[test]
    fn the_end_names_the_next_number_and_can_be_repeated() {
        let mut publisher = publisher(Limits::default());
        publisher.push(7, b"a").unwrap();
        let rest = publisher.end(10);
        assert_eq!((rest.at_ns, rest.messages), (7, 1));
        for at_ns in [10, 20] {
            let end = publisher.end(at_ns);
            assert_eq!((end.at_ns, end.sequence, end.messages), (at_ns, 2, 0));
            let packet = Packet::parse(end.payload).unwrap();
            assert_eq!((packet.kind(), packet.next_sequence()), (Kind::EndOfSession, 2));
        }
    }

    #[test]
    fn limits_without_room_are_refused() {
        for (payload_bytes_max, messages_max) in [(22, 1), (0, 1), (1472, 0)] {
            let limits = Limits { payload_bytes_max, messages_max, ..Limits::default() };
            assert_eq!(Publisher::new(SESSION, limits).unwrap_err().reason(), "no_room");
        }
    }
}
