//! Fields of market data in filters: `itch.stock == "AAPL"`, `moldudp64.sequence >= 1000`.
//!
//! Names, offsets and types are those of `tickwire-market`'s tables: what a message there has, a
//! filter can ask for. `message_type` may be written `type`; `sequence` is the number of the
//! message at hand, which only its place in the packet tells.
//!
//! What a comparison means:
//!
//! * The expression is evaluated for each message of a packet, in order; the packet passes when it
//!   is true for one of them. Whatever is not a field of a message (`udp port 26477`) is the same
//!   for all of them. `all(…)` holds when its expression is true for every message, and there is
//!   one.
//! * A comparison with a field that the message does not have is false, `!=` too; `not` of it is
//!   true.
//! * A packet that is not of the protocol is evaluated once, with every comparison of its fields
//!   false; so is, but for the fields of its header, a packet without messages.
//! * A message that was not captured whole, or that does not fit into its packet, ends the packet:
//!   those before it count. A message shorter than its type says has the fields that lie in it.
//! * A packet is of the protocol when it looks like it ([`Transport`]) and, where ports are bound
//!   to the protocol ([`Bindings`]), goes to one of them. Where its headers are looked for follows
//!   from the text, as for `udp port`: `vlan and itch.type == "A"` looks behind a tag.
//! * Of FIX, a segment of TCP is a packet: its messages are those that begin with it. A field is
//!   the first of its number, up to the next separator, data fields too.
//! * A packet that was cut inside its headers, up to that of the protocol, is rejected, as
//!   `udp port` rejects it, under `not` too.

mod bindings;
mod literal;

pub use bindings::{Binding, Bindings};
pub(crate) use literal::{Bound, bound, fits};

use crate::near;
use std::fmt;

use tickwire_market::field::Field;
use tickwire_market::iex::{deep, deep_plus, tops, tp};
use tickwire_market::shape::Shape;
use tickwire_market::{Protocol, itch50, mdp3, moldudp64, ouch42, ouch50, sbe, soupbintcp, umdf};

/// What carries messages, and how a packet of it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP; ten printable characters as session, and a first message that fits into the datagram,
    /// unless it has none.
    MoldUdp64,
    /// UDP; version 1, the protocol id of TOPS 1.6, DEEP 1.0 or DEEP+ 1.0, a payload that fits into
    /// the datagram, and a time of sending after 1970.
    IexTp,
    /// UDP; a time of sending that is not far from ours, and a first message that fits into the
    /// datagram, with a root block that fits into it, of schema 1.
    Mdp3,
    /// UDP; as MDP 3.0, of schema 2 in SBE 1.0.
    Umdf,
    /// TCP; a segment that begins with `8=FIX`.
    Fix,
    /// TCP; a segment that begins with a packet of a known type that fits into it.
    SoupBinTcp,
}

impl Transport {
    /// All of them.
    const ALL: [Transport; 6] = [
        Transport::MoldUdp64,
        Transport::IexTp,
        Transport::Mdp3,
        Transport::Umdf,
        Transport::Fix,
        Transport::SoupBinTcp,
    ];

    /// What carries a protocol; `None` where no fields of it can be asked for.
    pub const fn of(protocol: Protocol) -> Option<Transport> {
        match protocol {
            Protocol::Itch50 => Some(Transport::MoldUdp64),
            Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => Some(Transport::IexTp),
            Protocol::Mdp3 => Some(Transport::Mdp3),
            Protocol::Umdf => Some(Transport::Umdf),
            Protocol::Fix => Some(Transport::Fix),
            Protocol::Ouch42 | Protocol::Ouch50 => Some(Transport::SoupBinTcp),
            _ => None,
        }
    }

    /// Whether it comes in segments of TCP.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Transport::Fix | Transport::SoupBinTcp)
    }

    /// The name that its ports are bound to.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::MoldUdp64 => "moldudp64",
            Transport::IexTp => "iextp",
            Transport::Mdp3 => "mdp3",
            Transport::Umdf => "umdf",
            Transport::Fix => "fix",
            Transport::SoupBinTcp => "soupbintcp",
        }
    }
}

/// The messages of a feed: type, name, fields.
type Types = &'static [(u8, &'static str, &'static [Field])];

/// Where the fields of a prefix are.
#[derive(Clone, Copy)]
enum Source {
    /// In the header of the packet.
    Header(&'static [Field]),
    /// In its messages, of one of these feeds: a letter means the same in all of them.
    Messages(&'static [Types]),
    /// In what every message begins with.
    MessageHeader(&'static [Field]),
    /// In messages of FIX, by their numbers.
    Tags,
    /// In messages to a server, and in those of it, behind the type of a SoupBinTCP packet.
    Soup([Types; 2]),
}

/// What stands before the dot.
struct Prefix {
    name: &'static str,
    transports: &'static [Transport],
    source: Source,
    /// Whether the header has the number of the first message.
    numbered: bool,
}

const IEX: &[Types] = &[tops::Message::TYPES, deep::Message::TYPES, deep_plus::Message::TYPES];

const SOUP: &[Transport] = &[Transport::SoupBinTcp];

const PREFIXES: [Prefix; 10] = [
    Prefix::new("itch", &[Transport::MoldUdp64], Source::Messages(&[itch50::Message::TYPES])),
    Prefix {
        numbered: true,
        ..Prefix::new(
            "moldudp64",
            &[Transport::MoldUdp64],
            Source::Header(moldudp64::Header::FIELDS),
        )
    },
    Prefix::new("iex", &[Transport::IexTp], Source::Messages(IEX)),
    Prefix {
        numbered: true,
        ..Prefix::new("iextp", &[Transport::IexTp], Source::Header(tp::Header::FIELDS))
    },
    Prefix::new(
        "sbe",
        &[Transport::Mdp3, Transport::Umdf],
        Source::MessageHeader(sbe::MessageHeader::FIELDS),
    ),
    Prefix::new("mdp3", &[Transport::Mdp3], Source::Header(mdp3::PacketHeader::FIELDS)),
    Prefix::new("umdf", &[Transport::Umdf], Source::Header(umdf::PacketHeader::FIELDS)),
    Prefix::new("fix", &[Transport::Fix], Source::Tags),
    Prefix::new("ouch42", SOUP, Source::Soup([ouch42::Inbound::TYPES, ouch42::Outbound::TYPES])),
    Prefix::new("ouch50", SOUP, Source::Soup([ouch50::Inbound::TYPES, ouch50::Outbound::TYPES])),
];

/// The number of the message at hand.
const SEQUENCE: &str = "sequence";
const MESSAGE_TYPE: &str = "message_type";

/// A place in which messages have a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variant {
    /// From the start of the message, or of the header.
    pub offset: u32,
    pub shape: Shape,
    /// The message types that have it there, which messages begin with; none is every type.
    pub types: Vec<u32>,
    /// Whether a type has two bytes: that of the SoupBinTCP packet comes first.
    pub wide: bool,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    /// A field of the packet's header.
    Header(Variant),
    /// A field of messages.
    Message(Vec<Variant>),
    /// The number of the message at hand.
    Sequence,
    /// A field of FIX.
    Tag(u32),
}

/// The transports and the meaning of a dotted name.
///
/// # Errors
/// What is wrong with the name, and which names there are.
pub(crate) fn find(dotted: &str) -> Result<(&'static [Transport], Subject), String> {
    let (before, name) = dotted.split_once('.').unwrap_or((dotted, ""));
    let prefix = PREFIXES.iter().find(|prefix| prefix.name == before);
    let subject = prefix.and_then(|prefix| Some((prefix.transports, prefix.subject(name)?)));
    subject.ok_or_else(|| {
        let near = nearest(dotted).map(|near| format!("; did you mean '{near}'?"));
        let list = prefix.map_or("", |prefix| prefix.name);
        let near = near.unwrap_or_else(|| ";".to_owned());
        let list = format!("tickwire filter fields {list}");
        format!("'{dotted}' is no field{near} '{}' lists them", list.trim_end())
    })
}

/// Whether a name is that of a field in the header of a packet. Does not look whether there is one.
pub(crate) fn is_of_header(dotted: &str) -> bool {
    let Some((before, name)) = dotted.split_once('.') else { return false };
    let of_header = |prefix: &&Prefix| matches!(prefix.source, Source::Header(_));
    name != SEQUENCE && PREFIXES.iter().filter(of_header).any(|prefix| prefix.name == before)
}

impl Prefix {
    const fn new(name: &'static str, transports: &'static [Transport], source: Source) -> Prefix {
        Prefix { name, transports, source, numbered: false }
    }

    fn subject(&self, name: &str) -> Option<Subject> {
        let name = if name == "type" { MESSAGE_TYPE } else { name };
        match self.source {
            _ if name == SEQUENCE && self.numbered => Some(Subject::Sequence),
            Source::Tags => {
                let tag = name.parse().ok().filter(|tag: &u32| tag.to_string() == name)?;
                (tag > 0).then_some(Subject::Tag(tag))
            }
            Source::MessageHeader(fields) => {
                let field = fields.iter().find(|field| field.name == name)?;
                Some(Subject::Message(vec![Variant::of(field, Vec::new())]))
            }
            Source::Header(fields) => {
                let field = fields.iter().find(|field| field.name == name)?;
                Some(Subject::Header(Variant::of(field, Vec::new())))
            }
            Source::Soup(directions) => {
                let of = |at: usize| variants(&directions[at..=at], name);
                let packets = [soupbintcp::UnsequencedData::TYPE, soupbintcp::SequencedData::TYPE];
                let both = [of(0), of(1)].into_iter().zip(packets);
                let behind = both.flat_map(|(variants, packet)| {
                    variants.into_iter().map(move |variant| variant.behind(packet))
                });
                let variants = in_shapes(behind.collect());
                (!variants.is_empty()).then_some(Subject::Message(variants))
            }
            Source::Messages(feeds) => {
                let variants = variants(feeds, name);
                (!variants.is_empty()).then_some(Subject::Message(variants))
            }
        }
    }

    /// Every name behind the dot, in the order of the tables, each once.
    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = match self.source {
            Source::Header(fields) | Source::MessageHeader(fields) => {
                fields.iter().map(|field| field.name).collect()
            }
            Source::Tags => Vec::new(),
            Source::Soup(directions) => {
                let types = directions.iter().flat_map(|types| types.iter());
                types.flat_map(|(_, _, fields)| fields.iter().map(|field| field.name)).collect()
            }
            Source::Messages(feeds) => {
                let types = feeds.iter().flat_map(|feed| feed.iter());
                types.flat_map(|(_, _, fields)| fields.iter().map(|field| field.name)).collect()
            }
        };
        if self.numbered {
            names.push(SEQUENCE);
        }
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(*name);
                true
            }
        });
        names
    }
}

impl Variant {
    /// The same in a SoupBinTCP packet of that type.
    fn behind(mut self, packet: u8) -> Variant {
        self.offset += 1;
        self.types.iter_mut().for_each(|letter| *letter |= u32::from(packet) << 8);
        self.wide = true;
        self
    }

    fn of(field: &Field, types: Vec<u32>) -> Variant {
        Variant { offset: field.offset as u32, shape: Shape::of(field), types, wide: false }
    }
}

/// The places of a field in the messages of some feeds.
fn variants(feeds: &[Types], name: &str) -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    for (message_type, _, fields) in feeds.iter().flat_map(|feed| feed.iter()) {
        let Some(field) = fields.iter().find(|field| field.name == name) else { continue };
        // Unknown messages have a type, too.
        let types = if name == MESSAGE_TYPE { Vec::new() } else { vec![u32::from(*message_type)] };
        let variant = Variant::of(field, types);
        let same =
            |known: &&mut Variant| known.offset == variant.offset && known.shape == variant.shape;
        match variants.iter_mut().find(same) {
            Some(known) if known.types.contains(&u32::from(*message_type)) => {}
            Some(known) => known.types.extend(variant.types),
            None => variants.push(variant),
        }
    }
    in_shapes(variants)
}

/// Equal shapes together, in the order in which they came; equal places once.
fn in_shapes(mut variants: Vec<Variant>) -> Vec<Variant> {
    let shapes: Vec<Shape> = variants.iter().map(|variant| variant.shape).collect();
    variants.sort_by_key(|variant| shapes.iter().position(|shape| *shape == variant.shape));
    variants.dedup();
    variants
}

/// The name that a mistyped one is nearest to.
fn nearest(dotted: &str) -> Option<String> {
    let all = PREFIXES.iter().flat_map(|prefix| {
        prefix.names().into_iter().map(|name| format!("{}.{name}", prefix.name))
    });
    near(dotted, all, 1).pop()
}

/// A field, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its dotted name.
    pub name: String,
    /// What it holds: `u32`, `text of 8`, `price, 4 decimals`.
    pub holds: String,
    /// The messages that have it, by their type; `header` for the header of the packet.
    pub of: String,
}

impl fmt::Display for FieldInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:<24} {}", self.name, self.holds, self.of)
    }
}

/// What names begin with.
pub fn prefixes() -> Vec<&'static str> {
    PREFIXES.iter().map(|prefix| prefix.name).collect()
}

/// The fields whose names begin so; all for the empty text.
pub fn list(begin: &str) -> Vec<FieldInfo> {
    let mut found = Vec::new();
    for prefix in &PREFIXES {
        for name in prefix.names() {
            let dotted = format!("{}.{name}", prefix.name);
            if let Some(subject) = prefix.subject(name).filter(|_| dotted.starts_with(begin)) {
                found.extend(describe(&dotted, &subject));
            }
        }
        if matches!(prefix.source, Source::Tags) && "fix.".starts_with(begin) {
            let (holds, of) = ("text".to_owned(), "messages with that field number".to_owned());
            found.push(FieldInfo { name: "fix.NUMBER".to_owned(), holds, of });
        }
    }
    found
}

fn describe(name: &str, subject: &Subject) -> Vec<FieldInfo> {
    let info = |holds: String, of: String| FieldInfo { name: name.to_owned(), holds, of };
    match subject {
        Subject::Tag(_) => vec![info("text".to_owned(), "every message".to_owned())],
        Subject::Sequence => vec![info("u64".to_owned(), "number of the message".to_owned())],
        Subject::Header(variant) => vec![info(variant.shape.to_string(), "header".to_owned())],
        Subject::Message(variants) => {
            let types = |variant: &Variant| match variant.types[..] {
                [] => "every message".to_owned(),
                ref types => {
                    let letter = |letter: &u32| char::from(*letter as u8);
                    let behind = if variant.wide { " of packets " } else { "" };
                    let packet = types.first().filter(|_| variant.wide);
                    let packet = packet.map(|key| char::from((*key >> 8) as u8));
                    let types: String = types.iter().map(letter).collect();
                    format!("{types}{behind}{}", packet.map(String::from).unwrap_or_default())
                }
            };
            let rows = variants.iter();
            rows.map(|variant| info(variant.shape.to_string(), types(variant))).collect()
        }
    }
}
