//! MoldUDP64 1.00 (Nasdaq, "MoldUDP64 Protocol Specification", V1.00): numbered messages over
//! multicast UDP, and requests for those that were missed.
//!
//! Big-endian. A packet is a header of 20 bytes and *message blocks*, each a message behind its
//! length. Numbers are those of messages, not of packets: the header has that of the first. So the
//! next packet is expected to begin with [`Packet::next_sequence`].

use crate::blocks::{Blocks, write_block};
use crate::error::Error;
use crate::wire::{Ascii, Big};

/// The session that messages are numbered in: a new one begins again with 1.
pub type Session = Ascii<10>;

/// The message count of an end of session.
pub const END_OF_SESSION: u16 = 0xffff;

/// The most messages that a packet can count, or a request ask for.
pub const MESSAGES_MAX: u16 = 0xfffe;

message! {
    Big, "MoldUDP64 header";
    /// The header of a downstream packet (section 2), and all of a request packet (section 3).
    pub struct Header, HeaderBuilder: 20 {
        /// The session: ASCII, padded as the server likes; compare all of it.
        session @ 0: Session,
        /// The number of the first message in the packet, or of the first one requested. In a
        /// heartbeat and an end of session, which have none, the next one to be sent.
        sequence_number @ 10: u64,
        /// How many message blocks follow, or are requested; 0 is a heartbeat, 0xFFFF the end of
        /// the session.
        message_count @ 18: u16,
    }
}

/// What a downstream packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It carries messages.
    Messages,
    /// It carries none, about once a second, so that a loss is noticed when nothing else is sent.
    Heartbeat,
    /// It carries none and no more will come; it is repeated for a while, in which requests are
    /// still answered.
    EndOfSession,
}

/// A downstream packet (section 2): what a server multicasts, and what it answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    header: Header<'a>,
}

impl<'a> Packet<'a> {
    /// Of the payload of a UDP datagram. Needs the header; whether all messages are there is seen
    /// by [`messages`](Self::messages).
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        Header::parse(payload).map(|header| Packet { header })
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> Header<'a> {
        self.header
    }

    /// The session that its messages are numbered in.
    #[inline]
    pub fn session(&self) -> Session {
        self.header.session()
    }

    /// The number of its first message, or of the next one to come when it has none.
    #[inline]
    pub fn sequence_number(&self) -> u64 {
        self.header.sequence_number()
    }

    /// What it is for.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.header.message_count() {
            0 => Kind::Heartbeat,
            END_OF_SESSION => Kind::EndOfSession,
            _ => Kind::Messages,
        }
    }

    /// How many messages it says to carry: 0 in a heartbeat and an end of session.
    #[inline]
    pub fn message_count(&self) -> u16 {
        match self.header.message_count() {
            END_OF_SESSION => 0,
            count => count,
        }
    }

    /// The number of the first message after this packet. Wraps, since numbers come from the wire.
    #[inline]
    pub fn next_sequence(&self) -> u64 {
        self.sequence_number().wrapping_add(self.message_count().into())
    }

    /// Its messages with their numbers. When the packet is cut, the last item is an error, and what
    /// came before it is good.
    #[inline]
    pub fn messages(&self) -> Blocks<'a, Big> {
        Blocks::new(self.header.rest(), self.message_count().into(), self.sequence_number())
    }
}

/// A request (section 3), sent to a re-request server by unicast. It answers with ordinary packets
/// to the port that the request came from, with as many whole messages as fit into *one* packet:
/// ask again for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The session.
    pub session: Session,
    /// The number of the first message wanted.
    pub sequence_number: u64,
    /// How many are wanted.
    pub message_count: u16,
}

impl Request {
    /// Of the payload of a UDP datagram. What follows the 20 bytes is ignored.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let header = Header::parse(payload)?;
        Ok(Request {
            session: header.session(),
            sequence_number: header.sequence_number(),
            message_count: header.message_count(),
        })
    }

    /// The payload of its datagram.
    pub fn to_bytes(self) -> [u8; Header::LEN] {
        header(self.session, self.sequence_number, self.message_count)
    }
}

fn header(session: Session, sequence_number: u64, message_count: u16) -> [u8; Header::LEN] {
    let header = HeaderBuilder::new().session(session).sequence_number(sequence_number);
    *header.message_count(message_count).as_bytes()
}

/// The payload of a heartbeat; `next` is the number of the next message to be sent.
pub fn heartbeat(session: Session, next: u64) -> [u8; Header::LEN] {
    header(session, next, 0)
}

/// The payload of an end of session; `next` is one more than the number of its last message.
pub fn end_of_session(session: Session, next: u64) -> [u8; Header::LEN] {
    header(session, next, END_OF_SESSION)
}

/// Writes a downstream packet into a buffer that the caller keeps.
#[derive(Debug)]
pub struct PacketBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    header: HeaderBuilder,
    count: u16,
}

impl<'b> PacketBuilder<'b> {
    /// A packet without messages, as long as at most `buffer`, whose first message will have the
    /// number `sequence_number`.
    pub fn new(
        buffer: &'b mut [u8],
        session: Session,
        sequence_number: u64,
    ) -> Result<Self, Error> {
        let (needed, available) = (Header::LEN, buffer.len());
        if available < needed {
            return Err(Error::NoRoom { what: Header::NAME, needed, available });
        }
        let header = HeaderBuilder::new().session(session).sequence_number(sequence_number);
        Ok(PacketBuilder { buffer, len: needed, header, count: 0 })
    }

    /// Appends a message. When there is no room for it, the packet stays as it was: finish it, and
    /// begin another.
    pub fn push(&mut self, message: &[u8]) -> Result<(), Error> {
        if self.count == MESSAGES_MAX {
            let (needed, available) = (usize::from(MESSAGES_MAX) + 1, MESSAGES_MAX.into());
            return Err(Error::NoRoom { what: "message count", needed, available });
        }
        self.len += write_block::<Big>(&mut self.buffer[self.len..], message)?;
        self.count += 1;
        Ok(())
    }

    /// How many messages it has.
    pub fn message_count(&self) -> u16 {
        self.count
    }

    /// The payload of the datagram; a heartbeat when there are no messages.
    pub fn finish(self) -> &'b [u8] {
        let header = self.header.message_count(self.count);
        self.buffer[..Header::LEN].copy_from_slice(header.as_bytes());
        &self.buffer[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Sequenced;

    const SESSION: Session = Ascii(*b"000010059B");

    /// The messages of a packet that is whole; the first error when it is not.
    fn whole(payload: &[u8]) -> Result<Vec<Sequenced<'_>>, Error> {
        Packet::parse(payload)?.messages().collect()
    }

    #[test]
    fn a_packet_is_written_and_read() {
        let mut buffer = [0xee; 64];
        let mut packet = PacketBuilder::new(&mut buffer, SESSION, 7).unwrap();
        packet.push(b"AB").unwrap();
        packet.push(b"").unwrap();
        packet.push(b"C").unwrap();
        assert_eq!(packet.message_count(), 3);
        let payload = packet.finish();
        assert_eq!(payload, b"000010059B\0\0\0\0\0\0\0\x07\0\x03\0\x02AB\0\0\0\x01C");
        let packet = Packet::parse(payload).unwrap();
        assert_eq!((packet.session(), packet.kind()), (SESSION, Kind::Messages));
        assert_eq!((packet.sequence_number(), packet.next_sequence()), (7, 10));
        let expected = [(7, &b"AB"[..]), (8, b""), (9, b"C")];
        assert!(packet.messages().map(|m| m.map(|m| (m.sequence, m.bytes))).eq(expected.map(Ok)));
        assert_eq!(packet.header().rest().len(), 9);
    }

    #[test]
    fn heartbeat_end_and_request() {
        let beat = heartbeat(SESSION, 10);
        let packet = Packet::parse(&beat).unwrap();
        assert_eq!((packet.kind(), packet.next_sequence()), (Kind::Heartbeat, 10));
        assert_eq!(packet.messages().count(), 0);
        let end = end_of_session(SESSION, 10);
        let packet = Packet::parse(&end).unwrap();
        assert_eq!((packet.kind(), packet.message_count()), (Kind::EndOfSession, 0));
        assert_eq!((packet.next_sequence(), packet.messages().count()), (10, 0));
        let request = Request { session: SESSION, sequence_number: 258, message_count: 3 };
        assert_eq!(request.to_bytes(), *b"000010059B\0\0\0\0\0\0\x01\x02\0\x03");
        assert_eq!(Request::parse(&request.to_bytes()), Ok(request));
        let mut buffer = [0; 20];
        let empty = PacketBuilder::new(&mut buffer, SESSION, 10).unwrap().finish();
        assert_eq!(empty, beat);
    }

    #[test]
    fn every_prefix_is_named() {
        let mut buffer = [0; 64];
        let mut packet = PacketBuilder::new(&mut buffer, SESSION, u64::MAX).unwrap();
        packet.push(b"AB").unwrap();
        packet.push(b"C").unwrap();
        let payload = packet.finish();
        for len in 0..payload.len() {
            let what = if len < 20 { "MoldUDP64 header" } else { "message block" };
            let Err(Error::Truncated { what: found, needed, available }) = whole(&payload[..len])
            else {
                panic!("{len} bytes are a whole packet")
            };
            assert!(found == what && needed > available, "{len}: {found}");
        }
        let sequences = whole(payload).unwrap().iter().map(|m| m.sequence).collect::<Vec<_>>();
        assert_eq!(sequences, [u64::MAX, 0]);
        assert_eq!(Packet::parse(payload).unwrap().next_sequence(), 1);
        assert_eq!(Request::parse(&payload[..19]).unwrap_err().reason(), "truncated");
    }

    #[test]
    fn a_full_packet_stays_as_it_was() {
        let mut buffer = [0; 25];
        let mut packet = PacketBuilder::new(&mut buffer, SESSION, 1).unwrap();
        packet.push(b"ABC").unwrap();
        let error = Error::NoRoom { what: "message block", needed: 2, available: 0 };
        assert_eq!(packet.push(b""), Err(error));
        assert_eq!(whole(packet.finish()).unwrap().len(), 1);
        let error = Error::NoRoom { what: "MoldUDP64 header", needed: 20, available: 19 };
        assert_eq!(PacketBuilder::new(&mut [0; 19], SESSION, 1).unwrap_err(), error);
        let mut large = vec![0; 20 + 2 * 0x1_0000];
        let mut packet = PacketBuilder::new(&mut large, SESSION, 1).unwrap();
        for _ in 0..MESSAGES_MAX {
            packet.push(b"").unwrap();
        }
        assert_eq!(packet.push(b"").unwrap_err().reason(), "no_room");
        assert_eq!(Packet::parse(packet.finish()).unwrap().message_count(), MESSAGES_MAX);
    }
}
