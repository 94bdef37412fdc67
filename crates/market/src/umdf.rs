//! B3 Binary UMDF (schema 2.2): packets of SBE messages over UDP multicast.
//!
//! Little-endian. A packet has a header of 16 bytes and messages behind a framing header of four:
//! the length, which counts that header too, and the encoding, [`ENCODING_SBE`]. Numbers are those
//! of packets, per channel; they begin again with 1 when
//! [`sequence_version`](PacketHeader::sequence_version) grows. What the messages are, B3's schema
//! says: read them with [`sbe`](crate::sbe).

use crate::error::Error;
use crate::sbe::{Frames, Framing, MessageHeader, PacketWriter};
use crate::wire::{Little, UnixTime, Wire};

/// The encoding type of SBE 1.0, little-endian.
pub const ENCODING_SBE: u16 = 0xeb50;

/// The schema of B3's messages.
pub const SCHEMA_ID: u16 = 2;

/// Template of SequenceReset_1: the next packet has number 1.
pub const SEQUENCE_RESET: u16 = 1;

/// Template of Sequence_2, the heartbeat: `nextSeqNo` is all of it.
pub const SEQUENCE: u16 = 2;

/// Bytes before a message: the framing header.
pub(crate) const PREFIX_LEN: usize = 4;

const FRAMING: Framing = Framing { what: "UMDF message", prefix_len: PREFIX_LEN };

message! {
    Little, "UMDF packet header";
    /// What a packet begins with.
    pub struct PacketHeader, PacketHeaderBuilder: 16 {
        /// The channel that packets are numbered in.
        channel_number @ 0: u8,
        /// Nothing.
        reserved @ 1: u8,
        /// Grows each week, and when another server takes over: numbers begin again.
        sequence_version @ 2: u16,
        /// The number of the packet.
        sequence_number @ 4: u32,
        /// When it was sent.
        sending_time @ 8: UnixTime,
    }
}

/// A packet: all of the payload of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    header: PacketHeader<'a>,
}

impl<'a> Packet<'a> {
    /// Needs the header; whether all messages are there is seen by [`messages`](Self::messages).
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        PacketHeader::parse(payload).map(|header| Packet { header })
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> PacketHeader<'a> {
        self.header
    }

    /// Its messages. When the packet is cut, the last item is an error, and what came before it is
    /// good.
    #[inline]
    pub fn messages(&self) -> Messages<'a> {
        Messages { frames: Frames { rest: self.header.rest(), framing: FRAMING } }
    }

    /// The number that comes next, where the packet is nothing but a heartbeat.
    pub fn next_sequence(&self) -> Option<u64> {
        let mut messages = self.messages();
        let (heartbeat, None) = (messages.next()?.ok()?.sbe()?, messages.next()) else {
            return None;
        };
        let is_heartbeat = heartbeat.template_id() == SEQUENCE;
        let next = heartbeat.rest().first_chunk::<4>().filter(|_| is_heartbeat)?;
        Some(u32::from_le_bytes(*next).into())
    }
}

/// A message with its framing header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// How it is encoded.
    #[inline]
    pub fn encoding_type(&self) -> u16 {
        u16::read::<Little>(&self.bytes[2..])
    }

    /// All of it behind the framing header.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        &self.bytes[FRAMING.prefix_len..]
    }

    /// Its SBE header, or `None` when it has another encoding: count it, and go on.
    #[inline]
    pub fn sbe(&self) -> Option<MessageHeader<'a>> {
        match self.encoding_type() {
            ENCODING_SBE => MessageHeader::parse(self.bytes()).ok(),
            _ => None,
        }
    }
}

/// The messages of a packet: [`Packet::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages<'a> {
    pub(crate) frames: Frames<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.frames.next()?.map(|bytes| Message { bytes }))
    }
}

/// Writes a packet into a buffer that the caller keeps.
#[derive(Debug)]
pub struct PacketBuilder<'b>(PacketWriter<'b>);

impl<'b> PacketBuilder<'b> {
    /// A packet without messages, as long as at most `buffer`.
    ///
    /// # Errors
    /// [`Error::NoRoom`]
    pub fn new(buffer: &'b mut [u8], header: &PacketHeaderBuilder) -> Result<Self, Error> {
        PacketWriter::new(buffer, PacketHeader::NAME, header.as_bytes(), FRAMING).map(PacketBuilder)
    }

    /// Appends an SBE message with its header. When there is no room for it, the packet stays as it
    /// was.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Length`] for what is shorter than a header.
    pub fn push(&mut self, message: &[u8]) -> Result<(), Error> {
        self.0.push(&ENCODING_SBE.to_le_bytes(), message)
    }

    /// The payload of the datagram.
    pub fn finish(self) -> &'b [u8] {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbe::MessageHeaderBuilder;

    /// A header, and a heartbeat that says 258 is next.
    const PACKET: &[u8] = b"\x37\0\x02\0\x01\x01\0\0\x08\0\0\0\0\0\0\0\
        \x10\0\x50\xeb\x04\0\x02\0\x02\0\x10\0\x02\x01\0\0";

    fn header() -> PacketHeaderBuilder {
        let header = PacketHeaderBuilder::new().channel_number(55).sequence_version(2);
        header.sequence_number(257).sending_time(UnixTime(8))
    }

    fn heartbeat() -> Vec<u8> {
        let header = MessageHeaderBuilder::new().block_length(4).template_id(SEQUENCE);
        [&header.schema_id(SCHEMA_ID).version(16).as_bytes()[..], &258_u32.to_le_bytes()].concat()
    }

    #[test]
    fn a_packet_is_written_and_read() {
        let mut buffer = [0xee; 64];
        let mut packet = PacketBuilder::new(&mut buffer, &header()).unwrap();
        packet.push(&heartbeat()).unwrap();
        assert_eq!(packet.finish(), PACKET);
        let packet = Packet::parse(PACKET).unwrap();
        assert_eq!(packet.header().to_builder(), header());
        let message = packet.messages().next().unwrap().unwrap();
        let sbe = message.sbe().unwrap();
        assert_eq!((sbe.template_id(), sbe.schema_id(), sbe.version()), (2, 2, 16));
        assert_eq!(sbe.block(), Ok((&[2, 1, 0, 0][..], &[][..])));
        assert_eq!((packet.messages().count(), packet.next_sequence()), (1, Some(258)));
        let twice = [PACKET, &PACKET[16..]].concat();
        assert_eq!(Packet::parse(&twice).unwrap().next_sequence(), None);
        assert_eq!(Packet::parse(&PACKET[..16]).unwrap().next_sequence(), None);
    }

    #[test]
    fn another_encoding_is_passed_over() {
        let mut bytes = [PACKET, &PACKET[16..]].concat();
        bytes[16 + 2] = 0x51;
        let messages: Vec<_> =
            Packet::parse(&bytes).unwrap().messages().map(|message| message.unwrap()).collect();
        assert_eq!((messages[0].sbe(), messages[0].encoding_type()), (None, 0xeb51));
        assert_eq!(messages[1].sbe().unwrap().template_id(), SEQUENCE);
        assert_eq!((messages[0].bytes().len(), messages.len()), (12, 2));
    }

    #[test]
    fn every_prefix_is_named() {
        for len in 0..PACKET.len() {
            let whole = Packet::parse(&PACKET[..len])
                .and_then(|packet| packet.messages().collect::<Result<Vec<_>, _>>());
            match whole {
                Ok(messages) => assert_eq!((len, messages.len()), (16, 0)),
                Err(error) => assert_eq!(error.reason(), "truncated", "{len}"),
            }
        }
        let mut short = PACKET.to_vec();
        short[16] = 11;
        let error = Error::Length { what: "UMDF message", found: 11, min: 12 };
        let packet = Packet::parse(&short).unwrap();
        assert_eq!(packet.messages().collect::<Vec<_>>(), [Err(error)]);
    }

    #[test]
    fn a_full_packet_stays_as_it_was() {
        let mut buffer = [0; 33];
        let mut packet = PacketBuilder::new(&mut buffer, &header()).unwrap();
        packet.push(&heartbeat()).unwrap();
        assert_eq!(packet.push(&heartbeat()).unwrap_err().reason(), "no_room");
        assert_eq!(packet.push(b"short").unwrap_err().reason(), "length");
        assert_eq!(packet.finish(), PACKET);
        assert!(PacketBuilder::new(&mut [0; 15], &header()).is_err());
    }
}
