//! The targets: each takes any bytes, uses everything a parser offers, and must not panic.
//!
//! They also assert what must hold for every input: a payload lies within the bytes, the fast path
//! agrees with the whole packet, a line is one line.

use crate::mutate::{LINKS, Mutated};
use std::fmt;
use std::hint::black_box;
use tickwire_decode::*;
use tickwire_frame::{Flags, Frame, LinkType, Timestamp};

/// A target by name.
pub type Target = (&'static str, fn(&[u8]));

/// A target for each view, for the five-tuple, and for the whole packet with its printers.
pub const TARGETS: &[Target] = &[
    ("ethernet", ethernet),
    ("llc", llc),
    ("vlan", vlan),
    ("mpls", mpls),
    ("pppoe", pppoe),
    ("ppp", ppp),
    ("sll", sll),
    ("loopback", loopback),
    ("arp", arp),
    ("ipv4", ipv4),
    ("ipv6", ipv6),
    ("ipv6_extensions", ipv6_extensions),
    ("icmp", icmp),
    ("icmpv6", icmpv6),
    ("igmp", igmp),
    ("tcp", tcp),
    ("udp", udp),
    ("sctp", sctp),
    ("ah", ah),
    ("esp", esp),
    ("gre", gre),
    ("vxlan", vxlan),
    ("geneve", geneve),
    ("five_tuple", |bytes| with_links(bytes, check_five_tuple)),
    ("packet", |bytes| with_links(bytes, check_packet)),
    ("line", |bytes| with_links(bytes, check_line)),
    ("json", |bytes| with_links(bytes, check_json)),
];

/// The target of that name.
///
/// # Panics
/// When there is none: a fuzz target was misspelt.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target is named {name}")).1
}

/// Runs `target` with the link type that the first byte chooses and a length on the wire that the
/// second one does.
fn with_links(bytes: &[u8], target: fn(&Mutated<'_>)) {
    let [choice, extra, bytes @ ..] = bytes else { return };
    let link = LINKS[usize::from(*choice) % LINKS.len()];
    let wire_len = bytes.len() as u32 + u32::from(*extra);
    target(&Mutated { link, bytes, wire_len });
}

/// Uses what an accessor gives, so that it is not optimised away.
macro_rules! touch {
    ($($used:expr),* $(,)?) => {{ $(black_box(&$used);)* }};
}

/// The view, or nothing more to do.
macro_rules! view {
    ($parsed:expr) => {
        match $parsed {
            Ok(view) => view,
            Err(reason) => return touch!(reason),
        }
    };
}

/// [`Ethernet`].
pub fn ethernet(bytes: &[u8]) {
    let v = view!(Ethernet::parse(bytes));
    touch!(v.source().is_multicast(), v.destination(), v.ethertype(), v.length(), v.payload());
}

/// [`Llc`].
pub fn llc(bytes: &[u8]) {
    let v = view!(Llc::parse(bytes));
    touch!(v.dsap(), v.ssap(), v.control(), v.snap(), v.ethertype());
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
}

/// [`Vlan`].
pub fn vlan(bytes: &[u8]) {
    let v = view!(Vlan::parse(0x8100, bytes));
    touch!(v.id(), v.priority(), v.drop_eligible(), v.ethertype(), v.tpid(), v.payload());
}

/// [`Mpls`].
pub fn mpls(bytes: &[u8]) {
    let v = view!(Mpls::parse(bytes));
    assert!(v.labels().count() <= MPLS_LABELS_MAX);
    assert_eq!(v.labels().filter(|label| label.bottom).count(), 1);
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
    touch!(v.ip_version());
}

/// [`Pppoe`].
pub fn pppoe(bytes: &[u8]) {
    let v = view!(Pppoe::parse(bytes));
    touch!(v.code_name(), v.session(), v.payload());
    touch!(v.tags().count());
}

/// [`Ppp`].
pub fn ppp(bytes: &[u8]) {
    let v = view!(Ppp::parse(bytes));
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
    touch!(v.next());
}

/// [`Sll`], both versions.
pub fn sll(bytes: &[u8]) {
    for parsed in [Sll::parse_v1(bytes), Sll::parse_v2(bytes)] {
        let v = view!(parsed);
        touch!(v.packet_type_name(), v.hardware(), v.address(), v.interface(), v.protocol());
        assert_eq!(v.header_len() + v.payload().len(), bytes.len());
    }
}

/// [`Loopback`].
pub fn loopback(bytes: &[u8]) {
    let v = view!(Loopback::parse(bytes));
    touch!(v.family(), v.ip_version(), v.payload());
}

/// [`Arp`].
pub fn arp(bytes: &[u8]) {
    let v = view!(Arp::parse(bytes));
    touch!(v.sender_hardware(), v.sender_protocol(), v.target_hardware(), v.target_protocol());
    touch!(v.hardware(), v.protocol(), v.operation(), v.ipv4());
    assert!(v.packet_len() <= bytes.len());
}

/// [`Ipv4`].
pub fn ipv4(bytes: &[u8]) {
    let v = view!(Ipv4::parse(bytes));
    touch!(v.dscp(), v.ecn(), v.id(), v.reserved_flag(), v.dont_fragment(), v.ttl());
    touch!(v.source(), v.destination(), v.addresses(), v.checksum(), v.checksum_is_valid());
    touch!(v.is_fragment(), v.fragment_offset(), v.fragment_too_long(), v.more_fragments());
    assert!(v.header_len() + v.payload().len() <= bytes.len());
    assert!(v.payload_len().is_some_and(|len| len >= v.payload().len()));
    assert!(v.options().count() <= 20);
}

/// [`Ipv6`].
pub fn ipv6(bytes: &[u8]) {
    let v = view!(Ipv6::parse(bytes));
    touch!(v.traffic_class(), v.flow_label(), v.hop_limit(), v.source(), v.destination());
    touch!(v.addresses());
    assert!(v.payload_len() >= v.payload().len());
    if let Ok(chain) = Ipv6Extensions::parse(v.next_header(), v.payload()) {
        check_chain(&chain, v.payload());
    }
}

fn check_chain(chain: &Ipv6Extensions<'_>, bytes: &[u8]) {
    assert!(chain.headers().count() <= IPV6_EXTENSIONS_MAX);
    assert_eq!(chain.headers().map(|(_, header)| header.len()).sum::<usize>(), chain.header_len());
    assert_eq!(chain.header_len() + chain.payload().len(), bytes.len());
    touch!(chain.protocol(), chain.fragment());
}

/// [`Ipv6Extensions`]; the first byte chooses the first header.
pub fn ipv6_extensions(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    check_chain(&view!(Ipv6Extensions::parse(*first, rest)), rest);
}

/// [`Icmp`].
pub fn icmp(bytes: &[u8]) {
    let v = view!(Icmp::parse(bytes));
    touch!(v.kind(), v.code(), v.checksum(), v.checksum_is_valid(), v.rest_of_header());
    touch!(v.echo(), v.quoted(), v.payload());
}

/// [`Icmpv6`].
pub fn icmpv6(bytes: &[u8]) {
    let v = view!(Icmpv6::parse(bytes));
    touch!(v.kind(), v.code(), v.checksum(), v.echo(), v.mtu(), v.target(), v.quoted());
    touch!(v.record_count(), v.options().count(), v.body());
    touch!(v.checksum_is_valid(checksum::Sum::default()));
}

/// [`Igmp`].
pub fn igmp(bytes: &[u8]) {
    let v = view!(Igmp::parse(bytes));
    touch!(v.version(), v.max_response(), v.checksum(), v.checksum_is_valid(), v.group());
    touch!(v.sources());
    for record in v.records().flatten() {
        touch!(record.kind_name(), record.group, record.sources.len());
    }
}

/// [`Tcp`].
pub fn tcp(bytes: &[u8]) {
    let v = view!(Tcp::parse(bytes));
    touch!(v.source_port(), v.destination_port(), v.sequence(), v.acknowledgment(), v.window());
    touch!(v.checksum(), v.urgent(), v.checksum_is_valid(checksum::Sum::default()));
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
    assert!(v.options().count() <= 40);
    assert!(v.flags().letters(&mut [0; 9]).len() <= 9);
}

/// [`Udp`].
pub fn udp(bytes: &[u8]) {
    let v = view!(Udp::parse(bytes));
    touch!(v.source_port(), v.destination_port(), v.length(), v.checksum());
    touch!(v.checksum_is_valid(checksum::Sum::default()));
    assert!(v.payload_len().is_some_and(|len| len >= v.payload().len()));
}

/// [`Sctp`].
pub fn sctp(bytes: &[u8]) {
    let v = view!(Sctp::parse(bytes));
    touch!(v.source_port(), v.destination_port(), v.verification_tag(), v.checksum());
    touch!(v.expected_checksum());
    for chunk in v.chunks().flatten() {
        touch!(chunk.name(), chunk.value.len());
    }
}

/// [`Ah`].
pub fn ah(bytes: &[u8]) {
    let v = view!(Ah::parse(bytes));
    touch!(v.protocol(), v.spi(), v.sequence(), v.icv());
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
}

/// [`Esp`].
pub fn esp(bytes: &[u8]) {
    let v = view!(Esp::parse(bytes));
    touch!(v.spi(), v.sequence(), v.payload());
}

/// [`Gre`].
pub fn gre(bytes: &[u8]) {
    let v = view!(Gre::parse(bytes));
    touch!(v.version(), v.protocol(), v.checksum(), v.key(), v.sequence());
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
}

/// [`Vxlan`].
pub fn vxlan(bytes: &[u8]) {
    let v = view!(Vxlan::parse(bytes));
    touch!(v.flags(), v.vni(), v.payload());
}

/// [`Geneve`].
pub fn geneve(bytes: &[u8]) {
    let v = view!(Geneve::parse(bytes));
    touch!(v.control(), v.critical(), v.protocol(), v.vni());
    assert_eq!(v.header_len() + v.payload().len(), bytes.len());
    assert!(v.options().count() <= 63);
}

/// Every view, from the first byte and from where headers usually begin.
pub fn views(packet: &Mutated<'_>) {
    for at in [0, 14, 18, 34, 54] {
        let Some(bytes) = packet.bytes.get(at..) else { break };
        for (name, target) in TARGETS {
            if *name == "five_tuple" {
                break;
            }
            target(bytes);
        }
    }
}

/// [`five_tuple`] alone, as it is measured.
pub fn run_five_tuple(packet: &Mutated<'_>) {
    touch!(five_tuple(packet.link, packet.bytes));
}

/// [`Packet::decode`] alone, as it is measured.
pub fn run_packet(packet: &Mutated<'_>) {
    touch!(Packet::decode(packet.link, packet.bytes, packet.wire_len));
}

/// [`five_tuple`] agrees with [`Packet::decode`].
pub fn check_five_tuple(packet: &Mutated<'_>) {
    let decoded = Packet::decode(packet.link, packet.bytes, u32::MAX);
    let fault = decoded.fault();
    match five_tuple(packet.link, packet.bytes) {
        Ok(tuple) => {
            let payload = tuple.payload(packet.bytes);
            assert_eq!(payload.len(), tuple.payload_len as usize);
            let first = decoded.layers().iter().find_map(|layer| match layer {
                Layer::Udp(v) => Some((17, v.source_port(), v.destination_port(), v.payload())),
                Layer::Tcp(v) => Some((6, v.source_port(), v.destination_port(), v.payload())),
                _ => None,
            });
            let ports = (tuple.source_port, tuple.destination_port);
            assert_eq!(first, Some((tuple.protocol, ports.0, ports.1, payload)));
            let addresses = decoded.layers().iter().find_map(|layer| match layer {
                Layer::Ipv4(ip) => Some((ip.source().into(), ip.destination().into())),
                Layer::Ipv6(ip) => Some((ip.source().into(), ip.destination().into())),
                _ => None,
            });
            assert_eq!(addresses, Some((tuple.addresses.source(), tuple.addresses.destination())));
        }
        Err(Miss::Fault(reason)) => assert_eq!(fault.map(|fault| fault.reason), Some(reason)),
        Err(Miss::Fragment) => {}
        Err(Miss::NotIp) => assert_eq!(decoded.ports(), None),
        Err(Miss::NotUdpOrTcp) => {}
    }
}

/// [`Packet::decode`], its invariants, and every checksum.
pub fn check_packet(packet: &Mutated<'_>) {
    let decoded = Packet::decode(packet.link, packet.bytes, packet.wire_len);
    let headers: usize = decoded.layers().iter().map(Layer::header_len).sum();
    assert_eq!(headers, decoded.payload_offset());
    assert!(decoded.layers().len() <= LAYERS_MAX);
    assert!(decoded.payload_offset() + decoded.payload().len() <= packet.bytes.len());
    let from_offset = &packet.bytes[decoded.payload_offset()..];
    assert_eq!(&from_offset[..decoded.payload().len()], decoded.payload());
    if let Some(fault) = decoded.fault() {
        assert!(fault.offset <= packet.bytes.len() && fault.layer <= decoded.layers().len());
        let may_be_cut = packet.wire_len as usize > packet.bytes.len();
        assert!(may_be_cut || fault.cause != Cause::Capture);
    }
    touch!(decoded.ports(), decoded.unknown(), decoded.malformed());
    touch!(decoded.bad_checksum(Flags::NONE), decoded.bad_checksum(Flags::CHECKSUM_PARTIAL));
}

fn frame<'a>(packet: &Mutated<'a>) -> Frame<'a> {
    Frame {
        wire_len: packet.wire_len,
        ..Frame::new(packet.bytes, Timestamp::from_parts(1_700_000_000, 999_999_999))
    }
}

/// Counts newlines and forbids other control characters.
#[derive(Default)]
struct OneLine {
    newlines: usize,
    last: char,
}

impl fmt::Write for OneLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.newlines += usize::from(character == '\n');
            assert!(!character.is_control() || character == '\n', "{character:?} in a line");
            self.last = character;
        }
        Ok(())
    }
}

/// [`write_line`] with every option: one line, and it ends.
pub fn check_line(packet: &Mutated<'_>) {
    let decoded = Packet::decode(packet.link, packet.bytes, packet.wire_len);
    for bits in [0, 1, 2, 4, 15, 11] {
        let options = LineOptions {
            link_header: bits & 1 != 0,
            numeric: bits & 2 != 0,
            quick: bits & 4 != 0,
            verbose: bits & 8 != 0,
        };
        let mut line = OneLine::default();
        assert!(write_line(&mut line, &frame(packet), &decoded, &options).is_ok());
        assert_eq!((line.newlines, line.last), (1, '\n'));
    }
}

/// [`write_json`]: one line that begins and ends as an object.
pub fn check_json(packet: &Mutated<'_>) {
    let decoded = Packet::decode(packet.link, packet.bytes, packet.wire_len);
    let mut line = OneLine::default();
    assert!(write_json(&mut line, packet.link, &frame(packet), &decoded).is_ok());
    assert_eq!((line.newlines, line.last), (1, '\n'));
}

/// Must fail: panics on a packet that only mutation makes. A harness that does not report it lies.
pub fn canary(packet: &Mutated<'_>) {
    let decoded = Packet::decode(LinkType::ETHERNET, packet.bytes, packet.wire_len);
    let tripped = decoded.layers().iter().any(|layer| match layer {
        Layer::Tcp(tcp) => tcp.flags().contains(TcpFlags::URG),
        _ => false,
    });
    assert!(!tripped, "the canary sings");
}
