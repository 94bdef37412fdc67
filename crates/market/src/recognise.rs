//! Which protocol a datagram is of: what the user says of its port or group, what its headers look
//! like, what the exchange publishes of its group.

use crate::blocks::Sequenced;
use crate::error::Error;
use crate::fast;
use crate::iex::tp;
use crate::moldudp64;
use crate::protocol::{MessageType, Protocol};
use crate::sbe::MessageHeader;
use crate::{eobi, mdp3, umdf};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The most destinations of which is remembered what was seen there.
const DESTINATIONS_MAX: usize = 4096;

/// Sequence numbers and stream offsets beyond this are taken for something else: at a hundred
/// million messages a second it takes a month to get there.
const NUMBER_MAX: u64 = 1 << 48;

/// Times of sending before 2000-01-01 and from 2100-01-01 on are taken for something else.
const SENT_NS: std::ops::Range<i64> = 946_684_800_000_000_000..4_102_444_800_000_000_000;

/// Versions of a schema beyond this are taken for something else: CME's and B3's are below 20.
const SCHEMA_VERSION_MAX: u16 = 255;

/// The most messages in a packet whose end is not there: the shortest of ITCH in a jumbo frame.
const MESSAGES_CUT_MAX: u16 = 9_000 / 14;

/// Where datagrams are sent: a port, or one group on a port: `26477`, `233.215.21.3:10377`,
/// `[ff3e::1]:9000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The destination address; `None` for every.
    pub group: Option<IpAddr>,
    /// The destination port of UDP; of TCP, that of either end.
    pub port: u16,
}

impl Place {
    /// Whether `destination` is there.
    pub fn holds(&self, destination: SocketAddr) -> bool {
        self.port == destination.port() && self.group.is_none_or(|group| group == destination.ip())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Place { group: None, port });
        }
        let place = text.parse::<SocketAddr>();
        let place = place.map_err(|_| format!("{text:?} is neither PORT nor GROUP:PORT"))?;
        Ok(Place { group: Some(place.ip()), port: place.port() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(group) => SocketAddr::new(group, self.port).fmt(f),
            None => self.port.fmt(f),
        }
    }
}

/// Says of a place what is sent there: `26477=itch50`, `233.215.21.3:10377=tops`,
/// `[ff3e::1]:9000=deep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where.
    pub place: Place,
    /// What is sent there.
    pub protocol: Protocol,
}

impl FromStr for Binding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not PORT=PROTOCOL or GROUP:PORT=PROTOCOL");
        let (place, protocol) = text.split_once('=').ok_or_else(wrong)?;
        let protocol = protocol.parse().map_err(|error| format!("{error}"))?;
        Ok(Binding { place: place.parse().map_err(|_| wrong())?, protocol })
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.place, self.protocol)
    }
}

/// What `destination` is bound to: by its group and port or, without such a binding, by its port.
pub fn bound(bindings: &[Binding], destination: SocketAddr) -> Option<Protocol> {
    let fitting = bindings.iter().filter(|binding| binding.place.holds(destination));
    fitting.max_by_key(|binding| binding.place.group.is_some()).map(|binding| binding.protocol)
}

/// Knows of each destination what is sent there.
///
/// In this order: the binding of its group and port, the binding of its port, the protocol of
/// everything else, what a datagram before it was recognised as, and what
/// [`guess`] says of its own bytes.
#[derive(Clone, Debug, Default)]
pub struct Recogniser {
    bindings: Vec<Binding>,
    rest: Option<Protocol>,
    seen: HashMap<SocketAddr, Protocol>,
}

impl Recogniser {
    /// By the bindings of a user, and by what all other datagrams are, if the user says so.
    pub fn new(bindings: Vec<Binding>, rest: Option<Protocol>) -> Self {
        Recogniser { bindings, rest, seen: HashMap::new() }
    }

    /// The protocol of a datagram that was sent to `destination`; `None` when nothing tells. What
    /// is only sent over TCP is not looked for: see [`bound_stream`](Self::bound_stream).
    pub fn recognise(&mut self, destination: SocketAddr, payload: &[u8]) -> Option<Protocol> {
        if let Some(&protocol) = self.seen.get(&destination) {
            return Some(protocol);
        }
        let known = bound(&self.bindings, destination).or(self.rest);
        let known = known.filter(|known| !known.is_only_over_tcp());
        let protocol = known.or_else(|| guess(destination, payload))?;
        if self.seen.len() < DESTINATIONS_MAX {
            self.seen.insert(destination, protocol);
        }
        Some(protocol)
    }

    /// What a user says of a TCP connection between these ends: what is bound to one of them, and
    /// which; or the protocol of everything else, when that comes only over TCP.
    pub fn bound_stream(&self, ends: [SocketAddr; 2]) -> Option<(Protocol, Option<SocketAddr>)> {
        let is_stream = |known: &Protocol| known.is_only_over_tcp() || *known == Protocol::Itch50;
        let bound = |end| Some((bound(&self.bindings, end).filter(is_stream)?, Some(end)));
        let rest = self.rest.filter(|rest| rest.is_only_over_tcp());
        ends.into_iter().find_map(bound).or(rest.map(|rest| (rest, None)))
    }
}

/// What a datagram is by its header alone or, when an exchange is known to send it there, by less.
///
/// Strict: a datagram of another protocol, or of random bytes, is none. A packet of messages that
/// are all of unknown types is none either, so tell by a binding what guessing cannot know.
pub fn guess(destination: SocketAddr, payload: &[u8]) -> Option<Protocol> {
    let published = Protocol::published_at(destination);
    if is_itch_over_moldudp64(payload, published == Some(Protocol::Itch50)) {
        return Some(Protocol::Itch50);
    }
    iex_tp(payload)
        .or_else(|| is_fast_micex(payload).then_some(Protocol::FastMicex))
        .or_else(|| eobi(payload))
        .or_else(|| is_umdf(payload).then_some(Protocol::Umdf))
        .or_else(|| is_mdp3(payload).then_some(Protocol::Mdp3))
}

/// A session of letters and digits, a number that a day can reach, and a first message of ITCH
/// among those that are not empty.
fn is_itch_over_moldudp64(payload: &[u8], published: bool) -> bool {
    let Ok(packet) = moldudp64::Packet::parse(payload) else { return false };
    let session = packet.session().0;
    let is_text = session.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b' ');
    if !is_text || session == [b' '; 10] || packet.sequence_number() >= NUMBER_MAX {
        return false;
    }
    let rest = packet.header().rest();
    if rest.is_empty() || packet.messages().next().is_none() {
        return rest.is_empty();
    }
    if published {
        return true;
    }
    let mut messages = packet.messages();
    let is_whole = messages.by_ref().all(|message| message.is_ok()) && messages.rest().is_empty();
    // An empty message has a number and says nothing, not even what it is of.
    let is_empty = |message: &Result<Sequenced<'_>, Error>| {
        message.is_ok_and(|message| message.bytes.is_empty())
    };
    let Some(first) = packet.messages().find(|message| !is_empty(message)) else {
        return is_whole;
    };
    let may_be_cut = packet.message_count() <= MESSAGES_CUT_MAX;
    first.is_ok_and(|first| {
        let letter = first.bytes.first().map(|&letter| MessageType::Letter(letter));
        let known = letter.and_then(|letter| Protocol::Itch50.definition(letter));
        known.is_some_and(|known| match is_whole {
            true => first.bytes.len() >= known.len(),
            false => may_be_cut && first.bytes.len() == known.len(),
        })
    })
}

/// A version, a feed, a count and numbers that can be.
fn iex_tp(payload: &[u8]) -> Option<Protocol> {
    let header = tp::Segment::parse_cut(payload).ok()?.header();
    let protocol = Protocol::of_iex_tp(header.message_protocol_id())?;
    let (len, count) = (usize::from(header.payload_length()), header.message_count());
    let fits = len >= header.rest().len()
        && len >= 2 * usize::from(count)
        && (count > 0 || len == 0)
        && header.stream_offset() < NUMBER_MAX
        && header.first_message_sequence_number() < NUMBER_MAX
        && SENT_NS.contains(&header.send_time().0);
    fits.then_some(protocol)
}

/// The two templates that each message begins with, and a number.
fn is_fast_micex(payload: &[u8]) -> bool {
    payload.starts_with(&fast::START)
        && fast::Head::parse(payload).is_ok_and(|head| head.sequence.is_some())
}

/// A packet header of a known release, without a number as it has none, and messages to the end.
fn eobi(payload: &[u8]) -> Option<Protocol> {
    let packet = eobi::Packet::parse(payload).ok()?;
    let fits = packet.header().msg_seq_num() == u32::MAX
        && packet.messages().all(|message| message.is_ok());
    fits.then(|| Protocol::of_eobi(packet.release()))
}

/// A time, and messages of the schema to the end, at least one.
fn is_umdf(payload: &[u8]) -> bool {
    umdf::Packet::parse(payload).is_ok_and(|packet| {
        let of_schema = |message: umdf::Message<'_>| {
            message.sbe().is_some_and(|header| is_sbe(&header, umdf::SCHEMA_ID))
        };
        SENT_NS.contains(&packet.header().sending_time().0)
            && packet.messages().all(|message| message.is_ok_and(of_schema))
            && packet.messages().next().is_some()
    })
}

/// A time, and messages of the schema to the end, at least one.
fn is_mdp3(payload: &[u8]) -> bool {
    mdp3::Packet::parse(payload).is_ok_and(|packet| {
        let of_schema = |header: MessageHeader<'_>| is_sbe(&header, mdp3::SCHEMA_ID);
        SENT_NS.contains(&packet.header().sending_time().0)
            && packet.messages().all(|header| header.is_ok_and(of_schema))
            && packet.messages().next().is_some()
    })
}

/// A message of the schema in a version that may come, whose root block is there.
fn is_sbe(header: &MessageHeader<'_>, schema_id: u16) -> bool {
    header.schema_id() == schema_id
        && header.version() <= SCHEMA_VERSION_MAX
        && header.block().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bindings_are_read_and_shown() {
        for text in ["26477=itch50", "233.215.21.3:10377=tops", "[ff3e::1]:9000=deep"] {
            assert_eq!(text.parse::<Binding>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<Binding>().unwrap_err();
        assert_eq!(error("itch50"), "\"itch50\" is not PORT=PROTOCOL or GROUP:PORT=PROTOCOL");
        assert_eq!(
            error("70000=tops"),
            "\"70000=tops\" is not PORT=PROTOCOL or GROUP:PORT=PROTOCOL"
        );
        assert!(error("9=tips").starts_with("there is no protocol \"tips\": use one of itch50"));
    }

    #[test]
    fn the_closest_binding_counts() {
        let bindings = ["9000=tops", "239.0.0.1:9000=deep", "9000=deepplus"];
        let bindings = bindings.map(|text| text.parse().unwrap()).to_vec();
        let mut recogniser = Recogniser::new(bindings.clone(), None);
        assert_eq!(recogniser.recognise(at("239.0.0.1:9000"), b""), Some(Protocol::Deep));
        assert_eq!(recogniser.recognise(at("239.0.0.2:9000"), b""), Some(Protocol::DeepPlus));
        assert_eq!(recogniser.recognise(at("239.0.0.1:9001"), b""), None);
        let mut recogniser = Recogniser::new(bindings, Some(Protocol::Itch50));
        assert_eq!(recogniser.recognise(at("239.0.0.1:9000"), b""), Some(Protocol::Deep));
        assert_eq!(recogniser.recognise(at("239.0.0.1:9001"), b""), Some(Protocol::Itch50));
    }

    #[test]
    fn connections_are_bound_to_what_comes_over_tcp() {
        let bindings = ["9001=itch50", "10.0.0.1:9000=ouch50", "9000=deep"];
        let bindings = bindings.map(|text| text.parse().unwrap()).to_vec();
        let recogniser = Recogniser::new(bindings.clone(), None);
        let of = |ends: [&str; 2]| recogniser.bound_stream(ends.map(at));
        let (itch, ouch) = (at("10.0.0.9:9001"), at("10.0.0.1:9000"));
        assert_eq!(of(["10.0.0.9:9001", "10.0.0.2:5"]), Some((Protocol::Itch50, Some(itch))));
        assert_eq!(of(["10.0.0.2:5", "10.0.0.1:9000"]), Some((Protocol::Ouch50, Some(ouch))));
        assert_eq!(of(["10.0.0.2:5", "10.0.0.2:9000"]), None);
        let ends = ["10.0.0.2:5", "10.0.0.2:9000"].map(at);
        for (rest, over_tcp) in [(Protocol::Fix, true), (Protocol::Itch50, false)] {
            let mut recogniser = Recogniser::new(bindings.clone(), Some(rest));
            let expected = over_tcp.then_some((rest, None));
            assert_eq!(recogniser.bound_stream(ends), expected);
            let datagrams = (!over_tcp).then_some(rest);
            assert_eq!(recogniser.recognise(at("239.0.0.1:1"), b""), datagrams);
        }
    }

    #[test]
    fn a_destination_stays_what_it_was_seen_to_be() {
        let mut recogniser = Recogniser::default();
        let (beat, unknown) = (moldudp64::heartbeat(crate::Ascii(*b"000010059B"), 1), [0; 40]);
        assert_eq!(recogniser.recognise(at("239.0.0.1:9000"), &unknown), None);
        assert_eq!(recogniser.recognise(at("239.0.0.1:9000"), &beat), Some(Protocol::Itch50));
        assert_eq!(recogniser.recognise(at("239.0.0.1:9000"), &unknown), Some(Protocol::Itch50));
        assert_eq!(recogniser.recognise(at("239.0.0.1:9001"), &unknown), None);
        for port in 0..=u16::MAX {
            recogniser.recognise(SocketAddr::new([239, 0, 0, 2].into(), port), &beat);
        }
        assert_eq!(recogniser.seen.len(), DESTINATIONS_MAX);
        assert_eq!(recogniser.recognise(at("239.0.0.2:65535"), &beat), Some(Protocol::Itch50));
    }

    #[test]
    fn empty_messages_are_passed_over() {
        let event = crate::itch50::SystemEventBuilder::new();
        let is_known = |messages: &[&[u8]]| {
            let mut buffer = [0; 128];
            let session = crate::Ascii(*b"000010059B");
            let mut packet = moldudp64::PacketBuilder::new(&mut buffer, session, 7).unwrap();
            messages.iter().for_each(|message| packet.push(message).unwrap());
            guess(at("239.0.0.1:9000"), packet.finish()) == Some(Protocol::Itch50)
        };
        assert!(is_known(&[b"", event.as_bytes()]) && is_known(&[event.as_bytes(), b""]));
        assert!(is_known(&[b"", b"", event.as_bytes(), b""]) && is_known(&[b"", b""]));
        assert!(!is_known(&[b"", b"??", event.as_bytes()]));
    }

    /// Packets of one message each, as their protocols begin them.
    fn packets() -> [(Protocol, Vec<u8>); 3] {
        let sent = crate::UnixTime(1_700_000_000_000_000_000);
        let header = crate::sbe::MessageHeaderBuilder::new().template_id(50).version(9);
        let mut buffer = [0; 64];
        let first = mdp3::PacketHeaderBuilder::new().sending_time(sent);
        let mut packet = mdp3::PacketBuilder::new(&mut buffer, &first).unwrap();
        packet.push(header.schema_id(mdp3::SCHEMA_ID).as_bytes()).unwrap();
        let mdp3 = packet.finish().to_vec();
        let first = umdf::PacketHeaderBuilder::new().sending_time(sent);
        let mut packet = umdf::PacketBuilder::new(&mut buffer, &first).unwrap();
        packet.push(header.schema_id(umdf::SCHEMA_ID).as_bytes()).unwrap();
        let umdf = packet.finish().to_vec();
        let packet = eobi::PacketBuilder::new(&mut buffer, eobi::PacketHeaderBuilder::new());
        let eobi = packet.unwrap().finish().to_vec();
        [(Protocol::Mdp3, mdp3), (Protocol::Umdf, umdf), (Protocol::Eobi, eobi)]
    }

    #[test]
    fn packets_of_templates_are_recognised_when_all_of_them_fits() {
        for (protocol, packet) in packets() {
            assert_eq!(guess(at("239.0.0.1:9000"), &packet), Some(protocol));
            for len in 0..packet.len() {
                assert_eq!(guess(at("239.0.0.1:9000"), &packet[..len]), None, "{protocol} {len}");
            }
            let longer = [&packet[..], b"x"].concat();
            assert_eq!(guess(at("239.0.0.1:9000"), &longer), None, "{protocol}");
        }
        let [(_, mut mdp3), (_, mut umdf), (_, mut eobi)] = packets();
        (mdp3[12 + 2 + 4], umdf[16 + 2], eobi[4]) = (9, 0x51, 0);
        for packet in [mdp3, umdf, eobi] {
            assert_eq!(guess(at("239.0.0.1:9000"), &packet), None);
        }
    }
}
