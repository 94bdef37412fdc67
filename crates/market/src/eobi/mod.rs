//! Eurex T7 EOBI (*Enhanced Order Book Interface*, release 13.1): packets and messages over UDP
//! multicast.
//!
//! Little-endian. A packet is a sequence of messages, the first of which is a [`PacketHeader`].
//! Every message begins with its length, its template and a number; the packet's own number is
//! `appl_seq_num`, counted in its partition. Prices have eight decimals, quantities four. A number
//! without a value has all its bits set, or only the highest when it is signed.
//!
//! Template numbers and lengths change between releases, and nothing but the template of the
//! packet header tells which one it is: [`Release`]. Messages of other releases than 13.1 are
//! [`Message::Unknown`], with their length, so that they can be counted and passed over.

mod orders;
mod states;
mod trades;

pub use orders::*;
pub use states::*;
pub use trades::*;

use crate::error::Error;
use crate::field::Field;

/// A price: eight decimals.
pub type Price = crate::Price<i64, 8>;

/// A quantity: four decimals.
pub type Quantity = crate::Price<i64, 4>;

message! {
    Little, "EOBI message header";
    /// What every message begins with.
    pub struct MessageHeader, MessageHeaderBuilder: 8 {
        /// Bytes of the message, this header too: the next begins there.
        body_len @ 0: u16,
        /// Which message it is.
        template_id @ 2: u16,
        /// The number of the message; all bits set in a packet header.
        msg_seq_num @ 4: u32,
    }
}

/// Which release of EOBI wrote a packet, told by the template of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Template 13004.
    V3,
    /// Template 13002.
    V6,
    /// Template 13005: the release whose messages are declared here.
    V13_1,
}

impl Release {
    /// The release with that template of the packet header.
    pub const fn of_packet_header(template_id: u16) -> Option<Self> {
        match template_id {
            13004 => Some(Release::V3),
            13002 => Some(Release::V6),
            PacketHeader::TEMPLATE_ID => Some(Release::V13_1),
            _ => None,
        }
    }
}

impl PacketHeader<'_> {
    /// Its template in release 13.1.
    pub const TEMPLATE_ID: u16 = 13005;
}

/// Declares the enum of the messages by their templates.
macro_rules! templates {
    ($($id:literal => $view:ident),* $(,)?) => {
        $( impl $view<'_> {
            /// Its template.
            pub const TEMPLATE_ID: u16 = $id;
        } )*

        /// A message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Message<'a> {
            $(
                #[doc = concat!("[`", stringify!($view), "`](struct@", stringify!($view), ")")]
                $view($view<'a>),
            )*
            /// A message that is not declared here: count it by its template and go on with the
            /// next.
            Unknown(MessageHeader<'a>),
        }

        impl<'a> Message<'a> {
            /// The templates that are known, with the names and the fields of their messages.
            pub const TEMPLATES: &'static [(u16, &'static str, &'static [Field])] =
                &[$( ($id, stringify!($view), $view::FIELDS), )*];

            /// The view of its template in release 13.1, given the bytes of one message.
            ///
            /// # Errors
            /// [`Error::Truncated`] when it is shorter than its template says.
            #[inline]
            pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
                let header = MessageHeader::parse(bytes)?;
                match header.template_id() {
                    $( $id => $view::parse(bytes).map(Message::$view), )*
                    _ => Ok(Message::Unknown(header)),
                }
            }

            /// Its template.
            #[inline]
            pub fn template_id(&self) -> u16 {
                match self {
                    $( Message::$view(_) => $id, )*
                    Message::Unknown(header) => header.template_id(),
                }
            }
        }
    };
}

templates! {
    13001 => Heartbeat,
    13100 => OrderAdd,
    13101 => OrderModify,
    13102 => OrderDelete,
    13103 => OrderMassDelete,
    13104 => FullOrderExecution,
    13105 => PartialOrderExecution,
    13106 => OrderModifySamePrio,
    13200 => TradeReversal,
    13201 => TradeReport,
    13202 => ExecutionSummary,
    13203 => TESTradeReport,
    13300 => ProductStateChange,
    13301 => InstrumentStateChange,
    13302 => MassInstrumentStateChange,
    13400 => AddComplexInstrument,
    13401 => AddFlexibleInstrument,
    13402 => AddScaledSimpleInstrument,
    13500 => AuctionBBO,
    13501 => AuctionClearingPrice,
    13502 => CrossRequest,
    13503 => QuoteRequest,
    13504 => TopOfBook,
    13600 => ProductSummary,
    13601 => InstrumentSummary,
    13602 => SnapshotOrder,
}

/// A packet: all of the payload of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    header: PacketHeader<'a>,
    release: Release,
    rest: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Needs the packet header; whether all messages are there is seen by
    /// [`messages`](Self::messages).
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Length`] for a header that says to be shorter than it is, or
    /// is of no known release.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let header = PacketHeader::parse(payload)?;
        let found = usize::from(header.body_len());
        let release = Release::of_packet_header(header.template_id());
        let (true, Some(release)) = (found >= PacketHeader::LEN, release) else {
            return Err(Error::Length { what: PacketHeader::NAME, found, min: PacketHeader::LEN });
        };
        let (needed, available) = (found, payload.len());
        let cut = Error::Truncated { what: PacketHeader::NAME, needed, available };
        let rest = payload.get(found..).ok_or(cut)?;
        Ok(Packet { header, release, rest })
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> PacketHeader<'a> {
        self.header
    }

    /// What its messages are declared by.
    #[inline]
    pub fn release(&self) -> Release {
        self.release
    }

    /// Its messages, without the packet header, each with its own header. When the packet is cut,
    /// the last item is an error, and what came before it is good.
    #[inline]
    pub fn messages(&self) -> Messages<'a> {
        Messages { rest: self.rest }
    }

    /// What one of its messages is. Those of other releases than 13.1 are unknown.
    ///
    /// # Errors
    /// As [`Message::decode`].
    #[inline]
    pub fn decode(&self, message: &'a [u8]) -> Result<Message<'a>, Error> {
        match self.release {
            Release::V13_1 => Message::decode(message),
            _ => MessageHeader::parse(message).map(Message::Unknown),
        }
    }
}

/// The messages of a packet: [`Packet::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    #[cold]
    fn end(&mut self, error: Error) -> Option<Result<&'a [u8], Error>> {
        self.rest = &[];
        Some(Err(error))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = match MessageHeader::parse(self.rest) {
            Ok(header) => header,
            Err(error) => return self.end(error),
        };
        let (found, min) = (usize::from(header.body_len()), MessageHeader::LEN);
        if found < min {
            return self.end(Error::Length { what: "EOBI message", found, min });
        }
        let Some((message, rest)) = self.rest.split_at_checked(found) else {
            let (needed, available) = (found, self.rest.len());
            return self.end(Error::Truncated { what: "EOBI message", needed, available });
        };
        self.rest = rest;
        Some(Ok(message))
    }
}

/// Writes a packet into a buffer that the caller keeps.
#[derive(Debug)]
pub struct PacketBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> PacketBuilder<'b> {
    /// A packet without messages, as long as at most `buffer`; length, template and number of the
    /// header are its own business.
    ///
    /// # Errors
    /// [`Error::NoRoom`]
    pub fn new(buffer: &'b mut [u8], header: PacketHeaderBuilder) -> Result<Self, Error> {
        let header = header.body_len(PacketHeader::LEN as u16).msg_seq_num(u32::MAX);
        let header = header.template_id(PacketHeader::TEMPLATE_ID);
        let len = crate::message::write(header.as_bytes(), PacketHeader::NAME, buffer)?;
        Ok(PacketBuilder { buffer, len })
    }

    /// Appends a message as it is, with its header. When there is no room for it, the packet stays
    /// as it was.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Length`] for one whose `body_len` is not its length.
    pub fn push(&mut self, message: &[u8]) -> Result<(), Error> {
        let (found, min) = (MessageHeader::parse(message)?.body_len().into(), message.len());
        if found != min {
            return Err(Error::Length { what: "EOBI message", found, min });
        }
        self.len += crate::message::write(message, "EOBI message", &mut self.buffer[self.len..])?;
        Ok(())
    }

    /// The payload of the datagram.
    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderAddBuilder {
        let order = OrderAddBuilder::new().body_len(56).template_id(OrderAdd::TEMPLATE_ID);
        order.msg_seq_num(9).side(1).price(crate::Price(-1)).display_qty(crate::Price(25_000))
    }

    fn packet() -> Vec<u8> {
        let mut buffer = vec![0xee; 256];
        let header = PacketHeaderBuilder::new().appl_seq_num(7).completion_indicator(1);
        let mut packet = PacketBuilder::new(&mut buffer, header).unwrap();
        packet.push(order().as_bytes()).unwrap();
        packet.push(b"\x0c\0\xff\x7f\x0a\0\0\0new!").unwrap();
        packet.finish().to_vec()
    }

    #[test]
    fn a_packet_is_written_and_read() {
        let bytes = packet();
        assert_eq!(bytes[..12], *b"\x20\0\xcd\x32\xff\xff\xff\xff\x07\0\0\0");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.release(), packet.header().completion_indicator()), (Release::V13_1, 1));
        let messages: Vec<_> = packet.messages().map(Result::unwrap).collect();
        let Ok(Message::OrderAdd(add)) = packet.decode(messages[0]) else { panic!("no order") };
        assert_eq!((add.to_builder(), add.msg_seq_num()), (order(), 9));
        let (price, quantity) = (add.price().to_string(), add.display_qty().to_string());
        assert_eq!((price.as_str(), quantity.as_str()), ("-0.00000001", "2.5000"));
        let unknown = packet.decode(messages[1]).unwrap();
        assert_eq!((unknown.template_id(), messages.len()), (0x7fff, 2));
        assert!(matches!(unknown, Message::Unknown(header) if header.rest() == b"new!"));
    }

    #[test]
    fn entries_follow_the_fields() {
        let leg = InstrmtLegGrpBuilder::new().leg_side(2).leg_ratio_qty(3);
        let head = AddComplexInstrumentBuilder::new().template_id(13400).no_legs(2);
        let bytes = [&head.body_len(160).as_bytes()[..], leg.as_bytes(), leg.as_bytes()].concat();
        let Ok(Message::AddComplexInstrument(added)) = Message::decode(&bytes) else {
            panic!("nothing added")
        };
        let legs: Vec<_> = added.entries().unwrap().map(|leg| leg.leg_ratio_qty()).collect();
        assert_eq!(legs, [3, 3]);
        let cut = AddComplexInstrument::parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(cut.entries().unwrap_err().reason(), "truncated");
    }

    #[test]
    fn messages_of_other_releases_are_passed_over() {
        for (template, release) in [(13004_u16, Release::V3), (13002, Release::V6)] {
            let mut bytes = packet();
            bytes[2..4].copy_from_slice(&template.to_le_bytes());
            let packet = Packet::parse(&bytes).unwrap();
            let first = packet.messages().next().unwrap().unwrap();
            assert_eq!((packet.release(), first.len()), (release, 56));
            assert!(matches!(packet.decode(first), Ok(Message::Unknown(_))));
        }
        let mut bytes = packet();
        bytes[2] = 0;
        assert_eq!(Packet::parse(&bytes).unwrap_err().reason(), "length");
    }

    #[test]
    fn every_prefix_is_named() {
        let bytes = packet();
        for len in 0..bytes.len() {
            let whole = Packet::parse(&bytes[..len])
                .and_then(|packet| packet.messages().collect::<Result<Vec<_>, _>>());
            match whole {
                Ok(messages) => assert_eq!(len, [32, 88][messages.len()]),
                Err(error) => assert_eq!(error.reason(), "truncated", "{len}"),
            }
        }
        let mut short = bytes.clone();
        short[32] = 7;
        let packet = Packet::parse(&short).unwrap();
        assert_eq!(packet.messages().next().unwrap().unwrap_err().reason(), "length");
        assert_eq!(packet.messages().count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut buffer = [0; 40];
        let mut packet = PacketBuilder::new(&mut buffer, PacketHeaderBuilder::new()).unwrap();
        assert_eq!(packet.push(order().as_bytes()).unwrap_err().reason(), "no_room");
        assert_eq!(packet.push(b"\x09\0\0\0\0\0\0\0").unwrap_err().reason(), "length");
        packet.push(b"\x08\0\0\0\0\0\0\0").unwrap();
        assert_eq!(packet.finish().len(), 40);
    }
}
