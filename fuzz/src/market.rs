//! Exchange protocols: packets, files and messages from any bytes.
//!
//! Beside that nothing panics: what is read is written again as it was, iterators end, and what
//! they give lies within the bytes.

use crate::decode::Target;
use crate::market_book;
use crate::market_iex;
use crate::market_packet;
use crate::market_sbe;
use crate::market_stream;
use crate::mutate::Mutated;
use crate::packets::Sample;
use std::fmt::Write;
use tickwire_frame::LinkType;
use tickwire_market::binaryfile::{self, BinaryFile};
use tickwire_market::itch50;
use tickwire_market::moldudp64::{self, Packet, PacketBuilder, Request, Session};
use tickwire_market::soupbintcp::{self, Frames, Numbering};
use tickwire_market::{Ascii, Big, Code, Error, Field, blocks, ouch42, ouch50};

/// The longest message that is written.
const MESSAGE_BYTES_MAX: usize = 1 << 16;

/// Checks a message of one protocol.
macro_rules! check_message {
    ($message:path, $bytes:expr) => {{
        use $message as Message;
        let message = Message::decode($bytes);
        let fields = message.as_ref().map(Message::fields);
        check_message($bytes, Message::len_of, fields, |out| {
            message.as_ref().map_err(|&error| error)?.write(out)
        });
        message
    }};
}

/// A message of every type of one protocol, as seeds.
macro_rules! messages {
    ($message:path) => {{
        use $message as Message;
        messages(Message::TYPES.iter().map(|&(letter, ..)| letter), Message::len_of)
    }};
}

/// A target for each protocol.
pub const TARGETS: &[Target] = &[
    ("moldudp64", moldudp64),
    ("binaryfile", binaryfile),
    ("itch50", itch50),
    ("soupbintcp", soupbintcp),
    ("ouch42", ouch42),
    ("iex_tp", market_iex::iex_tp),
    ("iex_gap_fill", market_iex::gap_fill),
    ("iex_feeds", market_iex::feeds),
    ("fix", market_iex::fix),
    ("fast", market_iex::fast),
    ("ouch50", ouch50),
    ("sbe_schema", market_sbe::sbe_schema),
    ("sbe", market_sbe::sbe),
    ("mdp3", market_sbe::mdp3),
    ("umdf", market_sbe::umdf),
    ("house", market_sbe::house),
    ("eobi", market_sbe::eobi),
    ("fix_dictionary", market_sbe::fix_dictionary),
    ("fix_by_dictionary", market_sbe::fix_by_dictionary),
    ("books", market_book::books),
    ("packet", market_packet::packet),
    ("stream", market_stream::stream),
];

/// The target of that name.
///
/// # Panics
/// When there is none: a fuzz target was misspelt.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target is named {name}")).1
}

/// Every target.
pub fn check(packet: &Mutated<'_>) {
    TARGETS.iter().for_each(|(_, target)| target(packet.bytes));
}

/// A message of every type, alone and as packets and files, as seeds of the mutator.
pub fn samples() -> Vec<Sample> {
    let sample = |name, bytes| Sample { name, link: LinkType::ETHERNET, bytes };
    let itch = messages!(itch50::Message);
    let ouch42 = [messages!(ouch42::Inbound), messages!(ouch42::Outbound)].concat();
    let ouch50 = [messages!(ouch50::Inbound), messages!(ouch50::Outbound), appendage()].concat();
    let soup = [messages!(soupbintcp::Packet), with_data(&ouch42)].concat();
    let mut samples: Vec<Sample> = vec![
        sample("soupbintcp", file(&soup)),
        sample("soup stream", [&[0x46], &file(&soup)[..]].concat()),
        sample("fix stream", market_stream::fix()),
        sample("moldudp64", packet(&itch)),
        sample("heartbeat", moldudp64::heartbeat(session(), 7).to_vec()),
        sample("end of session", moldudp64::end_of_session(session(), 7).to_vec()),
        sample("binaryfile", file(&itch)),
    ];
    samples.extend(market_iex::samples());
    samples.extend(market_sbe::samples());
    samples.extend(itch.into_iter().map(|bytes| sample("itch50", bytes)));
    samples.extend(ouch50.into_iter().map(|bytes| sample("ouch50", bytes)));
    samples.extend(ouch42.into_iter().map(|bytes| sample("ouch42", bytes)));
    samples
}

/// A message of each type: its letter, and bytes that all differ.
fn messages(types: impl Iterator<Item = u8>, len_of: fn(u8) -> Option<usize>) -> Vec<Vec<u8>> {
    types
        .map(|letter| {
            let len = len_of(letter).expect("a known type");
            let mut message: Vec<u8> = (0..len as u8).collect();
            message[0] = letter;
            message
        })
        .collect()
}

/// An OUCH 5.0 order with a few optional fields.
fn appendage() -> Vec<Vec<u8>> {
    use ouch50::{EnterOrderBuilder, tag};
    let mut buffer = [0; 128];
    let mut order = EnterOrderBuilder::new().with_appendage(&mut buffer).expect("room");
    order.push(tag::FIRM, Ascii(*b"FIRM")).expect("room");
    order.push(tag::MIN_QTY, 100_u32).expect("room");
    order.push(tag::POST_ONLY, Code(b'P')).expect("room");
    vec![order.finish().to_vec()]
}

/// SoupBinTCP packets that carry these messages.
fn with_data(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| [b"S", &message[..]].concat()).collect()
}

fn session() -> Session {
    Session::new("SESSION").expect("seven letters")
}

fn packet(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let mut packet = PacketBuilder::new(&mut buffer, session(), 1).expect("room");
    messages.iter().for_each(|message| packet.push(message).expect("room"));
    packet.finish().to_vec()
}

fn file(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for message in messages {
        let mut block = vec![0; blocks::PREFIX_LEN + message.len()];
        blocks::write_block::<Big>(&mut block, message).expect("room");
        file.extend(block);
    }
    file.extend(binaryfile::END);
    file
}

/// MoldUDP64: a whole packet is written as it was, and one that is not ends with an error.
pub fn moldudp64(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else {
        return assert_eq!(Request::parse(bytes).map_err(|e| e.reason()), Err("truncated"));
    };
    let request = Request::parse(bytes).expect("as long as a header").to_bytes();
    assert_eq!(request, bytes[..request.len()]);
    let mut buffer = vec![0; bytes.len()];
    let (session, first) = (packet.session(), packet.sequence_number());
    let mut written = PacketBuilder::new(&mut buffer, session, first).expect("as long as it was");
    let mut count = 0;
    for message in packet.messages() {
        let Ok(message) = message else {
            assert!(count < packet.message_count());
            return;
        };
        assert_eq!(message.sequence, first.wrapping_add(count.into()));
        written.push(message.bytes).expect("as long as it was");
        itch50(message.bytes);
        count += 1;
    }
    assert_eq!(count, packet.message_count());
    let written = written.finish();
    assert_eq!(written[20..], bytes[20..written.len()]);
}

/// BinaryFILE, with lengths and by type.
pub fn binaryfile(bytes: &[u8]) {
    let len_of = itch50::Message::len_of;
    _ = binaryfile::lacks_lengths(bytes, len_of);
    for mut file in [BinaryFile::new(bytes), BinaryFile::by_type(bytes, len_of)] {
        let (mut read, mut failed) = (0, false);
        for message in file.by_ref() {
            assert!(!failed, "messages after an error");
            failed = message.is_err();
            read += message.map_or(0, |message| blocks::PREFIX_LEN + message.len());
        }
        read += if file.has_ended() { blocks::PREFIX_LEN } else { 0 };
        assert_eq!(file.rest(), &bytes[read..]);
        assert!(failed || file.has_ended() || file.rest().is_empty(), "silent loss");
        assert!(file.next().is_none());
    }
}

/// ITCH 5.0.
pub fn itch50(bytes: &[u8]) {
    _ = check_message!(itch50::Message, bytes);
}

/// OUCH 4.2, in both directions.
pub fn ouch42(bytes: &[u8]) {
    _ = check_message!(ouch42::Inbound, bytes);
    _ = check_message!(ouch42::Outbound, bytes);
}

/// OUCH 5.0, in both directions. What an appendage gives adds up to its length, or an error says
/// what is missing.
pub fn ouch50(bytes: &[u8]) {
    use ouch50::{Inbound, Outbound};
    let inbound = check_message!(ouch50::Inbound, bytes);
    let outbound = check_message!(ouch50::Outbound, bytes);
    let (appendage, len, behind) = match (inbound, outbound) {
        (Ok(Inbound::EnterOrder(m)), _) => (m.appendage(), m.appendage_length(), m.rest()),
        (_, Ok(Outbound::OrderAccepted(m))) => (m.appendage(), m.appendage_length(), m.rest()),
        (_, Ok(Outbound::OrderRestated(m))) => (m.appendage(), m.appendage_length(), m.rest()),
        _ => return,
    };
    let Ok(mut appendage) = appendage else { return assert!(behind.len() < usize::from(len)) };
    let mut read = 0;
    for element in appendage.by_ref() {
        let Ok(element) = element else {
            assert!(read < usize::from(len));
            return assert!(appendage.next().is_none());
        };
        read += 2 + element.bytes.len();
        if let Some(value) = element.value() {
            assert!(element.name().is_some() && !value.to_string().contains('\n'));
        }
    }
    assert_eq!(read, usize::from(len));
}

/// SoupBinTCP: a stream of packets and what is left of it.
pub fn soupbintcp(bytes: &[u8]) {
    let (mut frames, mut numbering) = (Frames::new(bytes), Numbering::default());
    let mut written = vec![0; bytes.len()];
    let mut len = 0;
    for frame in frames.by_ref() {
        len += soupbintcp::write_packet(&mut written[len..], frame).expect("as long as it was");
        let packet = check_message!(soupbintcp::Packet, frame);
        let before = numbering.next();
        let number = packet.ok().and_then(|packet| numbering.observe(&packet));
        assert!(number.is_none() || number == before);
    }
    assert_eq!([&written[..len], frames.rest()].concat(), bytes);
}

/// A message of a known type that is long enough is read; it is written as it was; every field can
/// be printed.
pub(crate) fn check_message(
    bytes: &[u8],
    len_of: fn(u8) -> Option<usize>,
    fields: Result<&'static [Field], &Error>,
    write: impl Fn(&mut [u8]) -> Result<usize, Error>,
) {
    let needed = bytes.first().map_or(1, |&letter| len_of(letter).unwrap_or(bytes.len()));
    match fields {
        Err(error) => assert!(bytes.len() < needed, "{error}"),
        Ok(fields) => {
            let mut out = vec![0; needed];
            assert_eq!(write(&mut out), Ok(needed));
            assert_eq!(out, bytes[..needed]);
            let mut text = String::new();
            for field in fields {
                let value = field.value(bytes).expect("a field within the message");
                write!(text, "{}={value} ", field.name).expect("into a string");
            }
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        }
    }
}
