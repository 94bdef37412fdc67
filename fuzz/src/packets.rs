//! Packets of every protocol, built from the inside out: each function puts one header before its
//! payload and fills in lengths and checksums.

use tickwire_decode::checksum::{internet, pseudo_ipv4, pseudo_ipv6};
use tickwire_decode::crc32c::Crc32c;
use tickwire_decode::ethertype;
use tickwire_decode::protocol::{ip, port};
use tickwire_frame::LinkType;

/// Source address of [`ipv4`].
pub const SOURCE_V4: [u8; 4] = [10, 0, 0, 1];
/// Destination address of [`ipv4`].
pub const DESTINATION_V4: [u8; 4] = [239, 1, 1, 2];
/// Source address of [`ipv6`]: 2001:db8::1.
pub const SOURCE_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Destination address of [`ipv6`]: ff02::2.
pub const DESTINATION_V6: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// A packet by name, for tests, golden files and as a seed of the mutator.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is.
    pub name: &'static str,
    /// What its first byte means.
    pub link: LinkType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn length(len: usize) -> [u8; 2] {
    (len as u16).to_be_bytes()
}

/// An Ethernet II frame from 02:00:00:00:00:01 to 01:00:5e:01:01:02.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [1, 0, 0x5e, 1, 1, 2, 2, 0, 0, 0, 0, 1];
    join(&[&addresses, &ethertype.to_be_bytes(), payload])
}

/// A frame of IEEE 802.3: a length where Ethernet II has its type.
pub fn ieee_802_3(payload: &[u8]) -> Vec<u8> {
    ethernet(payload.len() as u16, payload)
}

/// An LLC header with SNAP and organisation 0.
pub fn snap(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &ethertype.to_be_bytes(), payload])
}

/// The part of a VLAN tag after its own EtherType.
pub fn vlan(id: u16, priority: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let control = u16::from(priority) << 13 | id;
    join(&[&control.to_be_bytes(), &ethertype.to_be_bytes(), payload])
}

/// A label stack with the last label at the bottom.
pub fn mpls(labels: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let bottom = u32::from(index + 1 == labels.len());
        bytes.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
    }
    join(&[&bytes, payload])
}

/// A PPPoE header.
pub fn pppoe(code: u8, session: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0x11, code], &session.to_be_bytes(), &length(payload.len()), payload])
}

/// An ARP packet for IPv4 over Ethernet.
pub fn arp(operation: u16, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4];
    let mac = [2, 0, 0, 0, 0, 1];
    join(&[&fixed, &operation.to_be_bytes(), &mac, &sender, &[0; 6], &target])
}

/// What an IPv4 header says beside addresses and lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ipv4Fields<'a> {
    /// Flags and fragment offset, as in the header.
    pub fragment: u16,
    /// Options; their length must be a multiple of 4.
    pub options: &'a [u8],
}

/// An IPv4 packet from [`SOURCE_V4`] to [`DESTINATION_V4`].
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let fields = Ipv4Fields { fragment: 0x4000, options: &[] };
    ipv4_with(protocol, fields, payload)
}

/// The same with options or as a fragment.
pub fn ipv4_with(protocol: u8, fields: Ipv4Fields<'_>, payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + fields.options.len();
    let mut header = vec![0x40 | (header_len / 4) as u8, 0];
    header.extend(length(header_len + payload.len()));
    header.extend([0x12, 0x34]);
    header.extend(fields.fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(SOURCE_V4);
    header.extend(DESTINATION_V4);
    header.extend(fields.options);
    let checksum = internet(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    join(&[&header, payload])
}

/// An IPv6 packet from [`SOURCE_V6`] to [`DESTINATION_V6`].
pub fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let fixed = [0x60, 0, 0, 0];
    let lengths = length(payload.len());
    join(&[&fixed, &lengths, &[next_header, 64], &SOURCE_V6, &DESTINATION_V6, payload])
}

/// An IPv6 extension header of 8 bytes with padding.
pub fn extension(next_header: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[next_header, 0, 1, 4, 0, 0, 0, 0], payload])
}

/// An IPv6 fragment header; `offset` in bytes.
pub fn fragment(next_header: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let field = offset | u16::from(more);
    join(&[&[next_header, 0], &field.to_be_bytes(), &[0, 0, 0, 7], payload])
}

/// Puts the checksum at `at` of a packet that goes over [`ipv4`] or [`ipv6`].
fn with_checksum(mut packet: Vec<u8>, protocol: u8, at: usize, version: u8) -> Vec<u8> {
    let len = packet.len() as u32;
    let pseudo = if version == 4 {
        let mut addresses = [0; 8];
        addresses[..4].copy_from_slice(&SOURCE_V4);
        addresses[4..].copy_from_slice(&DESTINATION_V4);
        pseudo_ipv4(&addresses, protocol, len)
    } else {
        let mut addresses = [0; 32];
        addresses[..16].copy_from_slice(&SOURCE_V6);
        addresses[16..].copy_from_slice(&DESTINATION_V6);
        pseudo_ipv6(&addresses, protocol, len)
    };
    let checksum = pseudo.over(&packet).finish();
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// A UDP datagram for IP `version` 4 or 6.
pub fn udp(version: u8, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    let packet = join(&[&ports, &length(8 + payload.len()), &[0, 0], payload]);
    with_checksum(packet, ip::UDP, 6, version)
}

/// A TCP segment for IP `version` 4 or 6; the length of `options` must be a multiple of 4.
pub fn tcp(version: u8, ports: (u16, u16), flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    packet.extend([0, 0, 0x10, 0, 0, 0, 0x20, 0]);
    packet.extend([((20 + options.len()) * 4) as u8, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    let packet = join(&[&packet, options, payload]);
    with_checksum(packet, ip::TCP, 16, version)
}

/// The options of an ordinary SYN.
pub const SYN_OPTIONS: &[u8] =
    b"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\x09\0\0\0\0\x01\x03\x03\x07";

/// An ICMP message; `rest` begins after the checksum.
pub fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = join(&[&[kind, code, 0, 0], rest]);
    let checksum = internet(&packet);
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// An IGMP message; the same shape as [`icmp`].
pub fn igmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    icmp(kind, code, rest)
}

/// An ICMPv6 message; `rest` begins after the checksum.
pub fn icmpv6(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    with_checksum(join(&[&[kind, code, 0, 0], rest]), ip::ICMPV6, 2, 6)
}

/// An SCTP packet with a DATA chunk.
pub fn sctp(payload: &[u8]) -> Vec<u8> {
    let chunk_len = length(16 + payload.len());
    let fixed = [0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0];
    let mut packet = join(&[&[0x0b, 0x59, 0x0b, 0x59, 0, 0, 0, 9, 0, 0, 0, 0, 0, 3], &chunk_len]);
    packet.extend(fixed);
    packet.extend(payload);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let checksum = Crc32c::default().over(&packet).finish();
    packet[8..12].copy_from_slice(&checksum.to_le_bytes());
    packet
}

/// An authentication header (RFC 4302) with 12 bytes of integrity check value.
pub fn ah(protocol: u8, payload: &[u8]) -> Vec<u8> {
    join(&[&[protocol, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7], &[0x1c; 12], payload])
}

/// A GRE header with a key and a sequence number.
pub fn gre(protocol: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0x30, 0], &protocol.to_be_bytes(), &[0, 0, 0, 5, 0, 0, 0, 6], payload])
}

/// VXLAN in UDP, network identifier 100.
pub fn vxlan(version: u8, payload: &[u8]) -> Vec<u8> {
    udp(version, 50_000, port::VXLAN, &join(&[&[8, 0, 0, 0, 0, 0, 100, 0], payload]))
}

/// GENEVE in UDP with one option, network identifier 200.
pub fn geneve(version: u8, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let option = [1, 2, 0x83, 1, 0, 0, 0, 1];
    let kind = protocol.to_be_bytes();
    udp(version, 50_001, port::GENEVE, &join(&[&[2, 0], &kind, &[0, 0, 200, 0], &option, payload]))
}

/// A Linux cooked header, version 1.
pub fn sll(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let fixed = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    join(&[&fixed, &ethertype.to_be_bytes(), payload])
}

/// A Linux cooked header, version 2.
pub fn sll2(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 0, 0, 7, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    join(&[&ethertype.to_be_bytes(), &rest, payload])
}

fn over_ethernet(name: &'static str, ethertype: u16, payload: &[u8]) -> Sample {
    Sample { name, link: LinkType::ETHERNET, bytes: ethernet(ethertype, payload) }
}

fn over_ipv4(name: &'static str, protocol: u8, payload: &[u8]) -> Sample {
    over_ethernet(name, ethertype::IPV4, &ipv4(protocol, payload))
}

fn over_ipv6(name: &'static str, protocol: u8, payload: &[u8]) -> Sample {
    over_ethernet(name, ethertype::IPV6, &ipv6(protocol, payload))
}

/// At least one packet of every protocol, every link type, every kind of tunnel.
pub fn samples() -> Vec<Sample> {
    let mut samples = link_samples();
    samples.extend(ip_samples());
    samples.extend(control_samples());
    samples.extend(tunnel_samples());
    samples
}

fn link_samples() -> Vec<Sample> {
    let ip4 = ipv4(ip::UDP, &udp(4, 30_001, 30_001, b"market data"));
    let ip6 = ipv6(ip::UDP, &udp(6, 30_001, 30_001, b"market data"));
    let tagged = vlan(2001, 5, ethertype::IPV4, &ip4);
    let session = pppoe(0, 1, &join(&[&[0, 0x21], &ip4]));
    let discovery = pppoe(9, 0, b"\x01\x01\0\0\x01\x03\0\x04abcd");
    let mut samples = vec![
        over_ethernet("vlan", ethertype::VLAN, &vlan(100, 0, ethertype::IPV6, &ip6)),
        over_ethernet("qinq", ethertype::SERVICE_VLAN, &vlan(200, 0, ethertype::VLAN, &tagged)),
        over_ethernet("old qinq", 0x9100, &vlan(300, 1, ethertype::VLAN, &tagged)),
        over_ethernet("mpls", ethertype::MPLS, &mpls(&[16, 1000], &ip4)),
        over_ethernet("mpls pseudowire", ethertype::MPLS, &mpls(&[17], &[0; 20])),
        over_ethernet("pppoe discovery", ethertype::PPPOE_DISCOVERY, &discovery),
        over_ethernet("pppoe session", ethertype::PPPOE_SESSION, &session),
        over_ethernet("arp", ethertype::ARP, &join(&[&arp(1, SOURCE_V4, [10, 0, 0, 2]), &[0; 18]])),
        over_ethernet("lldp", ethertype::LLDP, b"\x02\x07\x04\x02\0\0\0\0\x01\0\0"),
    ];
    for (name, link, bytes) in [
        ("802.3 snap", LinkType::ETHERNET, ieee_802_3(&snap(ethertype::IPV4, &ip4))),
        ("802.3 stp", LinkType::ETHERNET, ieee_802_3(b"\x42\x42\x03\0\0\0\0\0")),
        ("ppp", LinkType::PPP, join(&[b"\xff\x03\x00\x57", &ip6])),
        ("ppp compressed", LinkType::PPP_SERIAL, join(&[b"\x21", &ip4])),
        ("ppp lcp", LinkType::PPP, b"\xff\x03\xc0\x21\x01\x01\0\x04".to_vec()),
        ("pppoe link", LinkType::PPP_ETHER, session.clone()),
        ("hdlc", LinkType::PPP_SERIAL, join(&[b"\x0f\0\x08\0", &ip4])),
        ("sll", LinkType::LINUX_SLL, sll(ethertype::IPV4, &ip4)),
        ("sll2", LinkType::LINUX_SLL2, sll2(ethertype::IPV6, &ip6)),
        ("null", LinkType::NULL, join(&[&[30, 0, 0, 0], &ip6])),
        ("loop", LinkType::LOOP, join(&[&[0, 0, 0, 2], &ip4])),
        ("raw ipv4", LinkType::RAW, ip4.clone()),
        ("raw ipv6", LinkType::IPV6, ip6.clone()),
        ("bluetooth", LinkType(187), b"\x04\x0e\x04\x01\x03\x0c\0".to_vec()),
        ("unknown link type", LinkType(4711), vec![0; 48]),
    ] {
        samples.push(Sample { name, link, bytes });
    }
    samples
}

fn ip_samples() -> Vec<Sample> {
    let data = b"GET / HTTP/1.1\r\n\r\n";
    let options = Ipv4Fields { fragment: 0, options: b"\x94\x04\0\0\x07\x07\x04\0\0\0\0\0" };
    let first = Ipv4Fields { fragment: 0x2000, options: &[] };
    let later = Ipv4Fields { fragment: 0x0003, options: &[] };
    let empty = ipv4(ip::UDP, &udp(4, 30_001, 30_001, b""));
    let datagram = udp(4, 1000, 53, &[0x5a; 40]);
    let datagram6 = udp(6, 1000, 53, &[0x5a; 40]);
    let syn6 = tcp(6, (40_000, 443), 2, SYN_OPTIONS, b"");
    let sack = b"\x01\x01\x05\x0a\0\0\0\x01\0\0\0\x09";
    let chain = extension(ip::DESTINATION_OPTIONS, &extension(ip::TCP, &syn6));
    vec![
        over_ipv4("udp", ip::UDP, &udp(4, 30_001, 30_001, b"market data")),
        over_ethernet("udp padded", ethertype::IPV4, &join(&[&empty, &[0; 18]])),
        over_ipv4("tcp syn", ip::TCP, &tcp(4, (40_000, 443), 2, SYN_OPTIONS, b"")),
        over_ipv4("tcp data", ip::TCP, &tcp(4, (40_000, 80), 0x18, &[], data)),
        over_ipv4("tcp sack", ip::TCP, &tcp(4, (80, 40_000), 0x10, sack, b"")),
        over_ipv4("sctp", ip::SCTP, &sctp(b"data chunk")),
        over_ipv4("ospf", 89, &[2, 1, 0, 4]),
        over_ipv4("ah udp", ip::AUTHENTICATION, &ah(ip::UDP, &datagram)),
        over_ipv4(
            "ah in ipip",
            ip::AUTHENTICATION,
            &ah(ip::IPV4, &ipv4(ip::TCP, &tcp(4, (40_000, 80), 0x10, &[], b""))),
        ),
        over_ipv6("ah6 udp", ip::AUTHENTICATION, &ah(ip::UDP, &datagram6)),
        over_ipv4("esp", ip::ESP, &join(&[&[0, 0, 16, 0, 0, 0, 0, 7], &[0xe5; 24]])),
        over_ipv6("esp6", ip::ESP, &join(&[&[0, 0, 16, 0, 0, 0, 0, 7], &[0xe5; 24]])),
        over_ethernet("options", ethertype::IPV4, &ipv4_with(ip::UDP, options, &datagram)),
        over_ethernet("fragment 1", ethertype::IPV4, &ipv4_with(ip::UDP, first, &datagram[..24])),
        over_ethernet("fragment 2", ethertype::IPV4, &ipv4_with(ip::UDP, later, &datagram[24..])),
        over_ipv6("udp6", ip::UDP, &datagram6),
        over_ipv6("tcp6", ip::TCP, &syn6),
        over_ipv6("extensions", ip::HOP_BY_HOP, &chain),
        over_ipv6("fragment6 1", ip::FRAGMENT, &fragment(17, 0, true, &datagram6[..24])),
        over_ipv6("fragment6 2", ip::FRAGMENT, &fragment(17, 24, false, &datagram6[24..])),
        over_ipv6("no next header", ip::NO_NEXT_HEADER, b""),
    ]
}

fn control_samples() -> Vec<Sample> {
    let quoted = ipv4(ip::UDP, &udp(4, 1000, 53, b"query"));
    let quoted6 = ipv6(ip::UDP, &udp(6, 1000, 53, b"query"));
    let target = [&[0; 4], &SOURCE_V6[..]].concat();
    let solicitation = join(&[&target, &[1, 1, 2, 0, 0, 0, 0, 1]]);
    let report = b"\0\0\0\x01\x05\0\0\x01\xe8\x01\x01\x01\x0a\0\0\x01";
    let query = b"\0\0\0\0\x02\x7d\0\x01\x0a\0\0\x01";
    vec![
        over_ipv4("icmp echo", ip::ICMP, &icmp(8, 0, b"\0\x07\0\x01abcdefgh")),
        over_ipv4("icmp unreachable", ip::ICMP, &icmp(3, 3, &join(&[&[0; 4], &quoted]))),
        over_ipv4("icmp too big", ip::ICMP, &icmp(3, 4, &join(&[&[0, 0, 5, 0xdc], &quoted]))),
        over_ipv4("igmp v1", ip::IGMP, &igmp(0x12, 0, &DESTINATION_V4)),
        over_ipv4("igmp v2 query", ip::IGMP, &igmp(0x11, 100, &[0; 4])),
        over_ipv4("igmp v2 leave", ip::IGMP, &igmp(0x17, 0, &DESTINATION_V4)),
        over_ipv4("igmp v3 query", ip::IGMP, &igmp(0x11, 100, query)),
        over_ipv4("igmp v3 report", ip::IGMP, &igmp(0x22, 0, report)),
        over_ipv6("icmpv6 echo", ip::ICMPV6, &icmpv6(128, 0, b"\0\x07\0\x01abcdefgh")),
        over_ipv6("icmpv6 too big", ip::ICMPV6, &icmpv6(2, 0, &join(&[&[0, 0, 5, 0], &quoted6]))),
        over_ipv6("neighbour solicitation", ip::ICMPV6, &icmpv6(135, 0, &solicitation)),
        over_ipv6("listener report", ip::ICMPV6, &icmpv6(131, 0, &target)),
    ]
}

fn tunnel_samples() -> Vec<Sample> {
    let inner = ipv4(ip::TCP, &tcp(4, (40_000, 80), 0x18, &[], b"inner"));
    let frame = ethernet(ethertype::IPV4, &inner);
    let tagged = ethernet(ethertype::VLAN, &vlan(7, 0, ethertype::IPV4, &inner));
    vec![
        over_ipv4("gre", ip::GRE, &gre(ethertype::IPV4, &inner)),
        over_ipv4("gre ethernet", ip::GRE, &gre(ethertype::TRANSPARENT_ETHERNET, &tagged)),
        over_ipv6("gre6", ip::GRE, &gre(ethertype::IPV4, &inner)),
        over_ipv4("vxlan", ip::UDP, &vxlan(4, &tagged)),
        over_ipv6("vxlan6", ip::UDP, &vxlan(6, &frame)),
        over_ipv4("geneve", ip::UDP, &geneve(4, ethertype::TRANSPARENT_ETHERNET, &frame)),
        over_ipv6("geneve6", ip::UDP, &geneve(6, ethertype::IPV4, &inner)),
        over_ipv4("ip in ip", ip::IPV4, &inner),
        over_ipv6("4in6in6", ip::IPV6, &ipv6(ip::IPV4, &inner)),
        over_ipv4(
            "vxlan in vxlan",
            ip::UDP,
            &vxlan(4, &over_ipv4("", 17, &vxlan(4, &frame)).bytes),
        ),
        over_ipv4(
            "icmp in vxlan",
            ip::UDP,
            &vxlan(4, &over_ipv6("", ip::ICMPV6, &icmpv6(128, 0, b"\0\x07\0\x01ab")).bytes),
        ),
        over_ipv4(
            "arp in geneve",
            ip::UDP,
            &geneve(4, ethertype::ARP, &arp(1, SOURCE_V4, DESTINATION_V4)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use tickwire_decode::{Cause, Packet};
    use tickwire_frame::Flags;

    #[test]
    fn samples_are_well_formed_and_cover_every_layer() {
        let mut layers = HashSet::new();
        let mut names = HashSet::new();
        for sample in samples() {
            assert!(names.insert(sample.name), "{} twice", sample.name);
            let packet = Packet::decode(sample.link, &sample.bytes, sample.bytes.len() as u32);
            assert_eq!(packet.malformed(), None, "{}", sample.name);
            assert!(packet.fault().is_none_or(|fault| fault.cause == Cause::Fragment));
            assert_eq!(packet.bad_checksum(Flags::NONE), None, "{}", sample.name);
            layers.extend(packet.layers().iter().map(|layer| layer.name()));
        }
        assert_eq!(layers.len(), 23, "{layers:?}");
    }
}
