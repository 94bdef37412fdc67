//! The protocols of feeds and of orders, by the names that users give them.

use crate::field::Field;
use crate::iex::{deep, deep_plus, tops, tp};
use crate::itch50;
use crate::sbe::MessageHeader;
use crate::wire::Ascii;
use crate::{eobi, hft_tick, mdp3, nanonet, ouch42, ouch50};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A protocol together with its transport: what is needed to read a datagram or a stream.
///
/// In the two directions of OUCH the same letters mean different messages, so that each direction
/// is a protocol of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// [Nasdaq TotalView-ITCH 5.0](crate::itch50) over [MoldUDP64](crate::moldudp64); over TCP
    /// in [SoupBinTCP](crate::soupbintcp).
    Itch50,
    /// IEX TOPS 1.5 over [IEX-TP](crate::iex::tp), of older recordings: numbered, not decoded.
    Tops15,
    /// [IEX TOPS 1.6](crate::iex::tops) over [IEX-TP](crate::iex::tp).
    Tops,
    /// [IEX DEEP 1.0](crate::iex::deep) over [IEX-TP](crate::iex::tp).
    Deep,
    /// [IEX DEEP+ 1.0](crate::iex::deep_plus) over [IEX-TP](crate::iex::tp).
    DeepPlus,
    /// MICEX' incremental feed, [FAST](crate::fast): one message a datagram, of which only the
    /// sequence number is read.
    FastMicex,
    /// [CME MDP 3.0](crate::mdp3), whose fields are read with a [schema](crate::sbe).
    Mdp3,
    /// [B3 Binary UMDF](crate::umdf), whose messages are read with a [schema](crate::sbe).
    Umdf,
    /// [Eurex T7 EOBI](crate::eobi) 13.1.
    Eobi,
    /// EOBI of other releases, of older recordings: numbered, not decoded.
    EobiOlder,
    /// [NanoNet](crate::nanonet), little-endian.
    Nanonet,
    /// [NanoNet](crate::nanonet), big-endian.
    NanonetBig,
    /// [The tick of the HFT filter](crate::hft_tick).
    HftTick,
    /// [FIX](crate::fix) over TCP, whose fields are named by a dictionary.
    Fix,
    /// [OUCH 4.2](crate::ouch42) over [SoupBinTCP](crate::soupbintcp): what the market says.
    Ouch42,
    /// The same: orders to the market.
    Ouch42In,
    /// [OUCH 5.0](crate::ouch50) over [SoupBinTCP](crate::soupbintcp): what the market says.
    Ouch50,
    /// The same: orders to the market.
    Ouch50In,
}

/// What a specification says of a type of message.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its fields in the order of their bytes, without holes.
    pub fields: &'static [Field],
}

impl Definition {
    /// Bytes of the fields; a message may have more.
    pub fn len(&self) -> usize {
        self.fields.last().map_or(0, |field| field.offset + field.len)
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// The type of a message, as its protocol tells types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    /// A byte, nearly always a letter: ITCH, IEX, OUCH, and most of FIX.
    Letter(u8),
    /// Several letters: `AE` of FIX. Padded on the right.
    Letters(Ascii<8>),
    /// A template id: FAST, EOBI and everything of SBE. Where only the length tells messages apart,
    /// that: NanoNet and the tick of the HFT filter.
    Template(u32),
}

/// The letter, or the number in decimal; a byte that cannot be printed as `\x00`.
impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MessageType::Letter(letter) => crate::Code(letter).fmt(f),
            MessageType::Letters(letters) => letters.fmt(f),
            MessageType::Template(id) => id.fmt(f),
        }
    }
}

/// What the sequence numbers of a protocol count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// Messages: the packet has the number of its first.
    Messages,
    /// Packets: all messages of a packet have its number.
    Packets,
}

impl Protocol {
    /// All of them.
    pub const ALL: &'static [Protocol] = &[
        Protocol::Itch50,
        Protocol::Tops15,
        Protocol::Tops,
        Protocol::Deep,
        Protocol::DeepPlus,
        Protocol::FastMicex,
        Protocol::Mdp3,
        Protocol::Umdf,
        Protocol::Eobi,
        Protocol::EobiOlder,
        Protocol::Nanonet,
        Protocol::NanonetBig,
        Protocol::HftTick,
        Protocol::Fix,
        Protocol::Ouch42,
        Protocol::Ouch42In,
        Protocol::Ouch50,
        Protocol::Ouch50In,
    ];

    /// Its name on the command line and in what is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Itch50 => "itch50",
            Protocol::Tops15 => "tops15",
            Protocol::Tops => "tops",
            Protocol::Deep => "deep",
            Protocol::DeepPlus => "deepplus",
            Protocol::FastMicex => "fast-micex",
            Protocol::Mdp3 => "mdp3",
            Protocol::Umdf => "umdf",
            Protocol::Eobi => "eobi",
            Protocol::EobiOlder => "eobi-older",
            Protocol::Nanonet => "nanonet",
            Protocol::NanonetBig => "nanonet-big",
            Protocol::HftTick => "hft-tick",
            Protocol::Fix => "fix",
            Protocol::Ouch42 => "ouch42",
            Protocol::Ouch42In => "ouch42-in",
            Protocol::Ouch50 => "ouch50",
            Protocol::Ouch50In => "ouch50-in",
        }
    }

    /// Whether it comes over TCP and never in datagrams.
    pub const fn is_only_over_tcp(self) -> bool {
        use Protocol::{Fix, Ouch42, Ouch42In, Ouch50, Ouch50In};
        matches!(self, Fix | Ouch42 | Ouch42In | Ouch50 | Ouch50In)
    }

    /// Of a protocol with two sides, the messages of the market; else the protocol itself.
    pub const fn of_server(self) -> Protocol {
        match self {
            Protocol::Ouch42In => Protocol::Ouch42,
            Protocol::Ouch50In => Protocol::Ouch50,
            other => other,
        }
    }

    /// Of a protocol with two sides, the messages to the market; else the protocol itself.
    pub const fn of_client(self) -> Protocol {
        match self {
            Protocol::Ouch42 => Protocol::Ouch42In,
            Protocol::Ouch50 => Protocol::Ouch50In,
            other => other,
        }
    }

    /// What its sequence numbers count.
    pub const fn numbered(self) -> Numbered {
        match self {
            Protocol::Mdp3 | Protocol::Umdf | Protocol::Eobi | Protocol::EobiOlder => {
                Numbered::Packets
            }
            _ => Numbered::Messages,
        }
    }

    /// Whether the messages are read: of the others only numbers are, so that every type would be
    /// unknown.
    pub const fn is_decoded(self) -> bool {
        use Protocol::{EobiOlder, FastMicex, Fix, Tops15, Umdf};
        !matches!(self, Tops15 | FastMicex | Umdf | EobiOlder | Fix)
    }

    /// The feed of a message protocol id of IEX-TP.
    pub const fn of_iex_tp(message_protocol_id: u16) -> Option<Protocol> {
        match message_protocol_id {
            tp::protocol::TOPS_1_5 => Some(Protocol::Tops15),
            tp::protocol::TOPS_1_6 => Some(Protocol::Tops),
            tp::protocol::DEEP_1_0 => Some(Protocol::Deep),
            tp::protocol::DEEP_PLUS_1_0 => Some(Protocol::DeepPlus),
            _ => None,
        }
    }

    /// The feed of a release of EOBI.
    pub const fn of_eobi(release: eobi::Release) -> Protocol {
        match release {
            eobi::Release::V13_1 => Protocol::Eobi,
            eobi::Release::V3 | eobi::Release::V6 => Protocol::EobiOlder,
        }
    }

    /// What the exchange sends to `destination`, by what it has published: Nasdaq's TotalView
    /// (port 26477 of 233.54.12.111), and IEX' groups 233.215.21.0/24. Anybody may send anything to
    /// any port, so look at the header, too.
    pub fn published_at(destination: SocketAddr) -> Option<Protocol> {
        let IpAddr::V4(group) = destination.ip() else { return None };
        match (group.octets(), destination.port()) {
            ([233, 54, 12, 111], 26477) => Some(Protocol::Itch50),
            ([233, 215, 21, 3 | 131 | 67], 10377) => Some(Protocol::Tops),
            ([233, 215, 21, 4 | 132 | 68], 10378) => Some(Protocol::Deep),
            ([233, 215, 21, 8 | 138 | 74], 10378) => Some(Protocol::DeepPlus),
            _ => None,
        }
    }

    /// The types of its messages, each with name and fields, where they are declared here.
    pub fn types(self) -> &'static [(u8, &'static str, &'static [Field])] {
        self.table().map_or(&[], |table| table.rows)
    }

    /// What its specification says of a type; `None` when that is unknown.
    #[inline]
    pub fn definition(self, message_type: MessageType) -> Option<Definition> {
        let letter = match message_type {
            MessageType::Template(id) => return self.template(id),
            MessageType::Letters(_) => return None,
            MessageType::Letter(letter) => letter,
        };
        let table = self.table()?;
        let place = usize::from(table.places[usize::from(letter)]);
        table.rows.get(place).map(|&(_, name, fields)| Definition { name, fields })
    }

    /// Of SBE the fields are those of the header: the others need a schema.
    fn template(self, id: u32) -> Option<Definition> {
        let template = u16::try_from(id).ok()?;
        let (name, fields) = match self {
            Protocol::Mdp3 => (mdp3::template::name(template)?, MessageHeader::FIELDS),
            Protocol::Eobi => {
                let known = eobi::Message::TEMPLATES;
                let at = known.binary_search_by_key(&template, |row| row.0).ok()?;
                (known[at].1, known[at].2)
            }
            Protocol::Nanonet => match id {
                24 => ("MarketData", nanonet::little::MarketData::FIELDS),
                41 => ("Order", nanonet::little::Order::FIELDS),
                _ => return None,
            },
            Protocol::NanonetBig => match id {
                24 => ("MarketData", nanonet::big::MarketData::FIELDS),
                41 => ("Order", nanonet::big::Order::FIELDS),
                _ => return None,
            },
            Protocol::HftTick if id == 14 => ("Tick", hft_tick::Tick::FIELDS),
            _ => return None,
        };
        Some(Definition { name, fields })
    }

    fn table(self) -> Option<&'static Table> {
        match self {
            Protocol::Itch50 => Some(&ITCH50),
            Protocol::Tops => Some(&TOPS),
            Protocol::Deep => Some(&DEEP),
            Protocol::DeepPlus => Some(&DEEP_PLUS),
            Protocol::Ouch42 => Some(&OUCH42),
            Protocol::Ouch42In => Some(&OUCH42_IN),
            Protocol::Ouch50 => Some(&OUCH50),
            Protocol::Ouch50In => Some(&OUCH50_IN),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no protocol has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no protocol {0:?}: use one of {names}", names = names())]
pub struct UnknownProtocol(pub String);

fn names() -> String {
    Protocol::ALL.iter().map(|protocol| protocol.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let known = Self::ALL.iter().find(|protocol| protocol.name() == name);
        known.copied().ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

/// The types of a protocol, to be found by their letter in one step.
struct Table {
    rows: &'static [(u8, &'static str, &'static [Field])],
    /// Where in `rows` a letter is; past their end where it is not.
    places: [u8; 256],
}

impl Table {
    const fn new(rows: &'static [(u8, &'static str, &'static [Field])]) -> Self {
        assert!(rows.len() < 0xff);
        let (mut places, mut at) = ([0xff; 256], 0);
        while at < rows.len() {
            places[rows[at].0 as usize] = at as u8;
            at += 1;
        }
        Table { rows, places }
    }
}

static ITCH50: Table = Table::new(itch50::Message::TYPES);
static TOPS: Table = Table::new(tops::Message::TYPES);
static DEEP: Table = Table::new(deep::Message::TYPES);
static DEEP_PLUS: Table = Table::new(deep_plus::Message::TYPES);
static OUCH42: Table = Table::new(ouch42::Outbound::TYPES);
static OUCH42_IN: Table = Table::new(ouch42::Inbound::TYPES);
static OUCH50: Table = Table::new(ouch50::Outbound::TYPES);
static OUCH50_IN: Table = Table::new(ouch50::Inbound::TYPES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_name() {
        for &protocol in Protocol::ALL {
            assert_eq!(protocol.name().parse(), Ok(protocol));
            assert_eq!(format!("{protocol:>12}"), format!("{:>12}", protocol.name()));
        }
        assert_eq!(
            "itch".parse::<Protocol>().unwrap_err().to_string(),
            "there is no protocol \"itch\": use one of itch50, tops15, tops, deep, deepplus, \
             fast-micex, mdp3, umdf, eobi, eobi-older, nanonet, nanonet-big, hft-tick, fix, \
             ouch42, ouch42-in, ouch50, ouch50-in"
        );
    }

    #[test]
    fn a_type_is_found_by_its_letter() {
        for &protocol in Protocol::ALL {
            for &(letter, name, fields) in protocol.types() {
                let found = protocol.definition(MessageType::Letter(letter)).unwrap();
                assert_eq!((found.name, found.fields.len()), (name, fields.len()));
                assert!(found.len() > 1 || found.name == "AccountQuery");
            }
            let known = (0..=255)
                .filter(|&letter| protocol.definition(MessageType::Letter(letter)).is_some());
            assert_eq!(known.count(), protocol.types().len());
            assert!(protocol.definition(MessageType::Template(65)).is_none());
            let templates = (0..=u16::MAX).map(|id| MessageType::Template(id.into()));
            let templates = templates.filter(|&id| protocol.definition(id).is_some()).count();
            let is_decoded = !protocol.types().is_empty() || templates > 0;
            assert_eq!(protocol.is_decoded(), is_decoded, "{protocol}");
        }
        assert_eq!(Protocol::Itch50.types().len(), 23);
        let text = |message_type: MessageType| message_type.to_string();
        assert_eq!(text(MessageType::Letter(b'A')), "A");
        assert_eq!(
            (text(MessageType::Letter(7)), text(MessageType::Template(46))),
            ("\\x07".into(), "46".into())
        );
    }

    #[test]
    fn published_groups() {
        let at = |text: &str| Protocol::published_at(text.parse().unwrap());
        assert_eq!(at("233.54.12.111:26477"), Some(Protocol::Itch50));
        assert_eq!(at("233.215.21.131:10377"), Some(Protocol::Tops));
        assert_eq!(at("233.215.21.68:10378"), Some(Protocol::Deep));
        assert_eq!(at("233.215.21.8:10378"), Some(Protocol::DeepPlus));
        assert_eq!((at("233.215.21.4:10377"), at("[ff3e::1]:26477")), (None, None));
    }
}
