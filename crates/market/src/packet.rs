//! One view over the datagrams of every feed protocol, and over the messages of streams: session,
//! sequence numbers, messages, and the fields of each.
//!
//! What every job with a feed needs (sequence tracking, arbitration, filters, printers) without a
//! `match` over protocols in each of them. A plain value that borrows the datagram: nothing is
//! allocated, and no message is looked at before it is asked for. Who knows the protocol when it
//! compiles, and wants each nanosecond, uses its own views.

mod templates;

use crate::blocks::Blocks;
use crate::eobi;
use crate::error::Error;
use crate::fast;
use crate::field::{Field, Value};
use crate::fix;
use crate::iex::{gap_fill, tp};
use crate::moldudp64;
use crate::ouch50::Appendage;
use crate::protocol::{Definition, MessageType, Protocol};
use crate::sbe;
use crate::wire::{Ascii, Big};
use std::fmt;

/// What sequence numbers are numbers in. Equal on all lines of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Session {
    /// The protocol names none: the group and port that a feed is sent to tell it from others.
    Unnamed,
    /// The session of MoldUDP64.
    Moldudp64(moldudp64::Session),
    /// The channel and session of IEX-TP.
    IexTp {
        /// The stream of messages.
        channel_id: u32,
        /// Another with each start of the stream.
        session_id: u32,
    },
    /// The channel of UMDF.
    Umdf {
        /// The stream of packets.
        channel_number: u8,
        /// Grows when numbers begin again.
        sequence_version: u16,
    },
    /// The product of EOBI.
    Eobi {
        /// The product.
        market_segment_id: i32,
        /// The matching partition that it is in.
        partition_id: u8,
    },
    /// The session of SoupBinTCP.
    SoupBinTcp(Ascii<10>),
    /// One direction of a session of FIX.
    Fix(fix::SessionId),
}

/// As scripts use it: the text of MoldUDP64, `channel:session` of IEX-TP, `channel:version` of
/// UMDF, `segment:partition` of EOBI, the text of SoupBinTCP, `SENDER>TARGET` of FIX, `-` for none.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Session::Unnamed => f.write_str("-"),
            Session::Moldudp64(session) => session.fmt(f),
            Session::IexTp { channel_id, session_id } => write!(f, "{channel_id}:{session_id}"),
            Session::Umdf { channel_number, sequence_version } => {
                write!(f, "{channel_number}:{sequence_version}")
            }
            Session::Eobi { market_segment_id, partition_id } => {
                write!(f, "{market_segment_id}:{partition_id}")
            }
            Session::SoupBinTcp(session) => session.fmt(f),
            Session::Fix(session) => session.fmt(f),
        }
    }
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It carries numbered messages.
    Messages,
    /// It carries none: it says that the sender lives, and what number comes next.
    Heartbeat,
    /// It carries none, and none will come: the session ends before
    /// [`first`](Packet::first).
    End,
    /// It carries messages outside of the numbering, or whose number cannot be read: there is
    /// nothing in it for a sequence tracker.
    Unnumbered,
    /// It asks a server to send [`count`](Packet::count) messages again from
    /// [`first`](Packet::first) on, and is no part of the stream. Where several ranges are asked
    /// for at once, both are 0.
    Request,
}

/// A datagram of a feed, or a message of a stream.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    protocol: Protocol,
    session: Session,
    kind: Kind,
    first: u64,
    count: u32,
    body: Body<'a>,
}

/// Where the messages of a packet are.
#[derive(Clone, Debug)]
enum Body<'a> {
    Moldudp64(Blocks<'a, Big>),
    IexTp(tp::Messages<'a>),
    /// Messages begin `skip` bytes behind what stands before them.
    Sbe {
        frames: sbe::Frames<'a>,
        skip: usize,
        sequence: u64,
    },
    Eobi {
        messages: eobi::Messages<'a>,
        sequence: u64,
    },
    /// The datagram is one message.
    Whole {
        message: Option<&'a [u8]>,
        sequence: u64,
    },
}

const NOTHING: Body<'static> = Body::Whole { message: None, sequence: 0 };

impl<'a> Packet<'a> {
    /// Of the payload of a UDP datagram that is known to be of `protocol`. Needs the header:
    /// whether all messages are there is seen by [`messages`](Self::messages), so that a packet
    /// that the capture cut still says what it carried.
    ///
    /// Where the header names the protocol (IEX-TP), that is believed.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Version`], [`Error::Overlong`]; [`Error::OverTcp`] of what
    /// [streams](crate::stream) are made of.
    #[inline]
    pub fn parse(protocol: Protocol, payload: &'a [u8]) -> Result<Self, Error> {
        match protocol {
            Protocol::Itch50 => moldudp64(protocol, payload),
            Protocol::Tops15 | Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => {
                iex_tp(protocol, payload)
            }
            Protocol::FastMicex => fast_micex(payload),
            Protocol::Mdp3 => templates::mdp3(payload),
            Protocol::Umdf => templates::umdf(payload),
            Protocol::Eobi | Protocol::EobiOlder => templates::eobi(payload),
            Protocol::Nanonet | Protocol::NanonetBig | Protocol::HftTick => {
                let message = templates::fixed(protocol, payload)?;
                Ok(Packet::of_stream(message, Session::Unnamed, Kind::Unnumbered, 0))
            }
            Protocol::Fix
            | Protocol::Ouch42
            | Protocol::Ouch42In
            | Protocol::Ouch50
            | Protocol::Ouch50In => Err(Error::OverTcp { what: protocol.name() }),
        }
    }

    /// Of what a stream is made of: a message, or a packet without one. It takes `count` numbers
    /// from `first` on.
    pub(crate) fn of_stream(
        message: Message<'a>,
        session: Session,
        kind: Kind,
        count: u32,
    ) -> Packet<'a> {
        let Message { protocol, sequence, bytes } = message;
        let message = matches!(kind, Kind::Messages | Kind::Unnumbered).then_some(bytes);
        let body = Body::Whole { message, sequence };
        Packet { protocol, session, kind, first: sequence, count, body }
    }

    /// The same without a message or a number: what only the session is about.
    pub(crate) fn of_session(protocol: Protocol, session: Session) -> Packet<'a> {
        Packet { protocol, session, kind: Kind::Unnumbered, first: 0, count: 0, body: NOTHING }
    }

    /// What its messages are.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What its numbers are numbers in.
    #[inline]
    pub fn session(&self) -> Session {
        self.session
    }

    /// What it is for.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The first number that it takes: that of its first message or, where packets are numbered,
    /// its own. Of a heartbeat and an end, the next number to be sent.
    #[inline]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many numbers it takes: 0 in a heartbeat and an end.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number that the next packet begins with. Wraps, since numbers come from the wire.
    #[inline]
    pub fn next(&self) -> u64 {
        match self.kind {
            Kind::Request => self.first,
            _ => self.first.wrapping_add(self.count.into()),
        }
    }

    /// Its messages, with their numbers. When the packet is cut, or contradicts itself, the last
    /// item is an error, and what came before it is good.
    #[inline]
    pub fn messages(&self) -> Messages<'a> {
        Messages { protocol: self.protocol, body: self.body.clone() }
    }
}

fn moldudp64(protocol: Protocol, payload: &[u8]) -> Result<Packet<'_>, Error> {
    let packet = moldudp64::Packet::parse(payload)?;
    let kind = match packet.kind() {
        moldudp64::Kind::Heartbeat => Kind::Heartbeat,
        moldudp64::Kind::EndOfSession => Kind::End,
        // Messages take at least the two bytes of their length, so what ends with the header asks.
        moldudp64::Kind::Messages if packet.header().rest().is_empty() => Kind::Request,
        moldudp64::Kind::Messages => Kind::Messages,
    };
    Ok(Packet {
        protocol,
        session: Session::Moldudp64(packet.session()),
        kind,
        first: packet.sequence_number(),
        count: packet.message_count().into(),
        body: if kind == Kind::Messages { Body::Moldudp64(packet.messages()) } else { NOTHING },
    })
}

fn iex_tp(protocol: Protocol, payload: &[u8]) -> Result<Packet<'_>, Error> {
    if let Some(packet) = iex_request(protocol, payload) {
        return Ok(packet);
    }
    let segment = tp::Segment::parse_cut(payload)?;
    let header = segment.header();
    Ok(Packet {
        protocol: Protocol::of_iex_tp(header.message_protocol_id()).unwrap_or(protocol),
        session: Session::IexTp {
            channel_id: header.channel_id(),
            session_id: header.session_id(),
        },
        kind: if segment.is_heartbeat() { Kind::Heartbeat } else { Kind::Messages },
        first: header.first_message_sequence_number(),
        count: header.message_count().into(),
        body: Body::IexTp(segment.messages()),
    })
}

/// A gap-fill request: it fills its datagram, which no segment of these bytes would.
fn iex_request(protocol: Protocol, payload: &[u8]) -> Option<Packet<'_>> {
    let request = gap_fill::Request::parse(payload).ok()?;
    let (header, mut ranges) = (request.header(), request.ranges());
    let by_number = header.request_type() == gap_fill::request_type::SEQUENCE;
    let fills = payload.len() == gap_fill::Header::LEN + gap_fill::Range::LEN * ranges.len();
    if !fills || !(by_number || header.request_type() == gap_fill::request_type::BYTE_STREAM) {
        return None;
    }
    let range = match (ranges.len(), ranges.next()) {
        (1, Some(range)) if by_number => range,
        _ => gap_fill::Range { first: 0, last: 0 },
    };
    Some(Packet {
        protocol: Protocol::of_iex_tp(header.message_protocol_id()).unwrap_or(protocol),
        session: Session::IexTp {
            channel_id: header.channel_id(),
            session_id: header.session_id(),
        },
        kind: Kind::Request,
        first: range.first,
        count: if range.first == 0 { 0 } else { range.count().try_into().unwrap_or(u32::MAX) },
        body: NOTHING,
    })
}

fn fast_micex(payload: &[u8]) -> Result<Packet<'_>, Error> {
    let sequence = fast::Head::parse(payload)?.sequence.map(u64::from);
    let first = sequence.unwrap_or(0);
    Ok(Packet {
        protocol: Protocol::FastMicex,
        session: Session::Unnamed,
        kind: if sequence.is_some() { Kind::Messages } else { Kind::Unnumbered },
        first,
        count: sequence.is_some().into(),
        body: Body::Whole { message: Some(payload), sequence: first },
    })
}

/// The messages of a packet: [`Packet::messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    protocol: Protocol,
    body: Body<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let item = match &mut self.body {
            Body::Moldudp64(blocks) => blocks.next()?.map(|block| (block.sequence, block.bytes)),
            Body::IexTp(messages) => messages.next()?.map(|block| (block.sequence, block.bytes)),
            Body::Sbe { frames, skip, sequence } => {
                frames.next()?.map(|bytes| (*sequence, &bytes[*skip..]))
            }
            Body::Eobi { messages, sequence } => messages.next()?.map(|bytes| (*sequence, bytes)),
            Body::Whole { message, sequence } => Ok((*sequence, message.take()?)),
        };
        let protocol = self.protocol;
        Some(item.map(|(sequence, bytes)| Message { protocol, sequence, bytes }))
    }
}

/// A message, whatever transport or file it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is a message of.
    pub protocol: Protocol,
    /// Its sequence number; that of its packet where packets are numbered, 0 where nothing is.
    pub sequence: u64,
    /// Its bytes, as the protocol's own `Message::decode` takes them; of SBE from the header on, of
    /// UMDF with the framing header before it. May be none.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message that the payload of a UDP datagram is, where each comes by itself and without a
    /// number: what a [`Packet`] of it has, for who cannot afford one. `None` where there is more
    /// to a datagram.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    #[inline]
    pub fn alone(protocol: Protocol, payload: &'a [u8]) -> Option<Result<Self, Error>> {
        match protocol {
            Protocol::Nanonet | Protocol::NanonetBig | Protocol::HftTick => {
                Some(templates::fixed(protocol, payload))
            }
            _ => None,
        }
    }

    /// Its type; `None` when it is too short to have one.
    #[inline]
    pub fn message_type(&self) -> Option<MessageType> {
        match self.protocol {
            Protocol::FastMicex => {
                fast::Head::parse(self.bytes).ok()?.template_id.map(MessageType::Template)
            }
            Protocol::Mdp3 | Protocol::Umdf => {
                templates::sbe_template(self.sbe()?).map(MessageType::Template)
            }
            Protocol::Eobi | Protocol::EobiOlder => {
                templates::eobi_template(self.bytes).map(MessageType::Template)
            }
            Protocol::Nanonet | Protocol::NanonetBig | Protocol::HftTick => {
                u32::try_from(self.bytes.len()).ok().map(MessageType::Template)
            }
            Protocol::Fix => match fix::msg_type(self.bytes)? {
                &[letter] => Some(MessageType::Letter(letter)),
                letters => {
                    let text = std::str::from_utf8(letters).ok()?;
                    Ascii::new(text).map(MessageType::Letters)
                }
            },
            _ => self.bytes.first().copied().map(MessageType::Letter),
        }
    }

    /// The message of SBE in it, from its header on, as [`Schema::decode`](sbe::Schema::decode)
    /// takes it.
    #[inline]
    pub fn sbe(&self) -> Option<&'a [u8]> {
        match self.protocol {
            Protocol::Mdp3 => Some(self.bytes),
            Protocol::Umdf => templates::umdf_sbe(self.bytes),
            _ => None,
        }
    }

    /// What the specification says of its type; `None` for a type that a later version added:
    /// count it by its type and go on with the next.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it is shorter than its type says, or empty.
    #[inline]
    pub fn definition(&self) -> Result<Option<Definition>, Error> {
        let available = self.bytes.len();
        let Some(message_type) = self.message_type() else {
            return match self.protocol {
                Protocol::FastMicex | Protocol::Umdf | Protocol::Fix if available > 0 => Ok(None),
                _ => Err(Error::Truncated { what: "message", needed: 1, available }),
            };
        };
        match self.protocol.definition(message_type) {
            Some(known) if available < known.len() => {
                Err(Error::Truncated { what: known.name, needed: known.len(), available })
            }
            known => Ok(known),
        }
    }

    /// The optional fields behind its fields, of OUCH 5.0; `None` of a message that has none.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it ends before them.
    pub fn appendage(&self) -> Result<Option<Appendage<'a>>, Error> {
        match self.fields().last() {
            Some((last, Value::Unsigned(len))) if last.name == "appendage_length" => {
                let behind = &self.bytes[last.offset + last.len..];
                Appendage::new(behind, len as u16).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Its fields with their values, as far as its bytes go; none of an unknown type.
    pub fn fields(&self) -> impl Iterator<Item = (&'static Field, Value<'a>)> + use<'a> {
        let known = self.message_type().and_then(|kind| self.protocol.definition(kind));
        let bytes = self.bytes;
        let fields = known.map_or(&[][..], |known| known.fields);
        fields.iter().map_while(move |field| Some((field, field.value(bytes)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iex::tops::QuoteUpdateBuilder;
    use crate::itch50::OrderDeleteBuilder;
    use crate::{Ascii, UnixTime};

    const SESSION: moldudp64::Session = Ascii(*b"SESSION   ");

    fn itch(payload: &[u8]) -> Packet<'_> {
        Packet::parse(Protocol::Itch50, payload).unwrap()
    }

    fn parts(packet: &Packet<'_>) -> (Kind, u64, u32, u64) {
        (packet.kind(), packet.first(), packet.count(), packet.next())
    }

    fn tops_segment(buffer: &mut [u8], protocol_id: u16) -> &[u8] {
        let header = tp::HeaderBuilder::new().message_protocol_id(protocol_id).channel_id(1);
        let header = header.session_id(5).first_message_sequence_number(7).send_time(UnixTime(1));
        let mut segment = tp::SegmentBuilder::new(buffer, header).unwrap();
        segment.push(QuoteUpdateBuilder::new().bid_size(3).as_bytes()).unwrap();
        segment.push(b"?new").unwrap();
        segment.finish()
    }

    #[test]
    fn a_packet_of_moldudp64() {
        let mut buffer = [0; 64];
        let mut packet = moldudp64::PacketBuilder::new(&mut buffer, SESSION, 7).unwrap();
        packet.push(OrderDeleteBuilder::new().order_reference_number(9).as_bytes()).unwrap();
        packet.push(b"D").unwrap();
        packet.push(b"").unwrap();
        let packet = itch(packet.finish());
        assert_eq!(parts(&packet), (Kind::Messages, 7, 3, 10));
        assert_eq!(packet.session().to_string(), "SESSION");
        let messages: Vec<_> = packet.messages().map(Result::unwrap).collect();
        let known = messages[0].definition().unwrap().unwrap();
        assert_eq!((known.name, known.len(), messages[0].sequence), ("OrderDelete", 19, 7));
        let (field, value) = messages[0].fields().last().unwrap();
        assert_eq!((field.name, value), ("order_reference_number", Value::Unsigned(9)));
        let error = Error::Truncated { what: "OrderDelete", needed: 19, available: 1 };
        assert_eq!(messages[1].definition().unwrap_err(), error);
        assert_eq!((messages[1].fields().count(), messages[2].fields().count()), (1, 0));
        let error = Error::Truncated { what: "message", needed: 1, available: 0 };
        assert_eq!(messages[2].definition().unwrap_err(), error);
    }

    #[test]
    fn packets_of_moldudp64_without_messages() {
        assert_eq!(parts(&itch(&moldudp64::heartbeat(SESSION, 9))), (Kind::Heartbeat, 9, 0, 9));
        assert_eq!(parts(&itch(&moldudp64::end_of_session(SESSION, 9))), (Kind::End, 9, 0, 9));
        let request = moldudp64::Request { session: SESSION, sequence_number: 4, message_count: 3 };
        let bytes = request.to_bytes();
        assert_eq!(parts(&itch(&bytes)), (Kind::Request, 4, 3, 4));
        assert_eq!(itch(&bytes).messages().count(), 0);
    }

    #[test]
    fn a_segment_of_iex_says_which_feed_it_is_of() {
        let mut buffer = [0; 128];
        let bytes = tops_segment(&mut buffer, tp::protocol::TOPS_1_6);
        let packet = Packet::parse(Protocol::Deep, bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::Tops);
        assert_eq!(parts(&packet), (Kind::Messages, 7, 2, 9));
        assert_eq!(packet.session().to_string(), "1:5");
        let messages: Vec<_> = packet.messages().map(Result::unwrap).collect();
        assert_eq!(messages[0].definition().unwrap().unwrap().name, "QuoteUpdate");
        assert_eq!(messages[1].message_type(), Some(MessageType::Letter(b'?')));
        assert!(messages[1].definition().unwrap().is_none());
        let mut buffer = [0; 128];
        let bytes = tops_segment(&mut buffer, 0x8009);
        assert_eq!(Packet::parse(Protocol::Deep, bytes).unwrap().protocol(), Protocol::Deep);
        for len in 40..bytes.len() {
            let packet = Packet::parse(Protocol::Tops, &bytes[..len]).unwrap();
            assert_eq!(parts(&packet), (Kind::Messages, 7, 2, 9));
            assert!(packet.messages().last().unwrap().is_err(), "{len}");
        }
    }

    #[test]
    fn a_gap_fill_request_of_iex_is_no_part_of_the_stream() {
        let header = gap_fill::HeaderBuilder::new().message_protocol_id(tp::protocol::DEEP_1_0);
        let header = header.channel_id(1).session_id(5);
        let ranges = [(5, 9), (20, 20)].map(|(first, last)| gap_fill::Range { first, last });
        for (request_type, asked, expected) in [(1, 1, (5, 5)), (1, 2, (0, 0)), (2, 1, (0, 0))] {
            let (mut out, header) = ([0; 64], header.request_type(request_type));
            let len = gap_fill::write(&mut out, header, &ranges[..asked]).unwrap();
            let packet = Packet::parse(Protocol::Tops, &out[..len]).unwrap();
            assert_eq!((packet.protocol(), packet.kind()), (Protocol::Deep, Kind::Request));
            assert_eq!((packet.first(), packet.count()), expected);
            assert_eq!(packet.messages().count(), 0);
        }
    }

    #[test]
    fn a_message_of_fast_is_a_packet() {
        let payload = b"\xc0\xf8\xe0\xca\x1d\x3b\xa7\x23";
        let packet = Packet::parse(Protocol::FastMicex, payload).unwrap();
        assert_eq!(parts(&packet), (Kind::Messages, 482_727, 1, 482_728));
        assert_eq!(
            (packet.session(), packet.session().to_string()),
            (Session::Unnamed, "-".into())
        );
        let message = packet.messages().next().unwrap().unwrap();
        assert_eq!((message.sequence, message.bytes), (482_727, &payload[..]));
        assert_eq!(message.message_type(), Some(MessageType::Template(74)));
        assert!(message.definition().unwrap().is_none() && packet.messages().count() == 1);
        let other = Packet::parse(Protocol::FastMicex, b"\xe0\xcb\x81").unwrap();
        assert_eq!(parts(&other), (Kind::Unnumbered, 0, 0, 0));
        assert_eq!(other.messages().count(), 1);
        let error = Packet::parse(Protocol::FastMicex, &payload[..4]).unwrap_err();
        assert_eq!(error.reason(), "truncated");
    }
}
