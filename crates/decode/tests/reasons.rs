//! One packet for each way to be malformed, and none left out.

use std::collections::HashSet;
use tickwire_decode::protocol::ip;
use tickwire_decode::{Cause, Packet, ethertype};
use tickwire_frame::{Flags, Kind, LinkType, Reason};
use tickwire_fuzz::packets::*;

/// A reason, the layer it is found at, and a packet that has it.
struct Case(Reason, usize, LinkType, Vec<u8>);

fn eth(reason: Reason, layer: usize, kind: u16, payload: &[u8]) -> Case {
    Case(reason, layer, LinkType::ETHERNET, ethernet(kind, payload))
}

/// In an IPv4 packet, which is a raw one: layer 1.
fn in_ipv4(reason: Reason, layer: usize, protocol: u8, payload: &[u8]) -> Case {
    Case(reason, layer, LinkType::RAW, ipv4(protocol, payload))
}

fn in_ipv6(reason: Reason, layer: usize, next_header: u8, payload: &[u8]) -> Case {
    Case(reason, layer, LinkType::RAW, ipv6(next_header, payload))
}

/// `packet` with other bytes at `at`.
fn with(packet: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

fn link_cases() -> Vec<Case> {
    let session = pppoe(0, 1, b"\xc0\x21");
    let nested = vlan(1, 0, ethertype::VLAN, &[]);
    vec![
        Case(Reason::TruncatedEthernet, 0, LinkType::ETHERNET, vec![0; 13]),
        eth(Reason::EthernetLengthBeyondPacket, 0, 100, &[0x42, 0x42, 3, 0]),
        Case(Reason::TruncatedLlc, 1, LinkType::ETHERNET, ieee_802_3(&[0xaa, 0xaa])),
        eth(Reason::TruncatedVlan, 1, ethertype::VLAN, &[0, 1, 8]),
        eth(Reason::TooManyLayers, 16, ethertype::VLAN, &nested.repeat(20)),
        eth(Reason::TruncatedMpls, 1, ethertype::MPLS, &[0; 8]),
        eth(Reason::MplsTooDeep, 1, ethertype::MPLS, &[0; 80]),
        eth(Reason::TruncatedPppoe, 1, ethertype::PPPOE_SESSION, &[0x11, 0, 0]),
        eth(Reason::PppoeBadVersion, 1, ethertype::PPPOE_SESSION, &with(&session, 0, &[0x21])),
        eth(Reason::PppoeLengthBeyondPacket, 1, 0x8864, &with(&session, 5, &[99])),
        eth(Reason::PppoeBadTag, 1, ethertype::PPPOE_DISCOVERY, &pppoe(9, 0, &[1, 1, 0, 9])),
        Case(Reason::TruncatedPpp, 0, LinkType::PPP, vec![0xff, 3]),
        Case(Reason::TruncatedLinuxCooked, 0, LinkType::LINUX_SLL2, vec![0; 19]),
        Case(Reason::TruncatedLoopback, 0, LinkType::NULL, vec![2, 0, 0]),
        eth(Reason::TruncatedArp, 1, ethertype::ARP, &arp(1, SOURCE_V4, SOURCE_V4)[..27]),
    ]
}

fn ip_cases() -> Vec<Case> {
    let ip4 = ipv4(ip::UDP, &udp(4, 1, 2, b"data"));
    let ip6 = ipv6(ip::UDP, &udp(6, 1, 2, b"data"));
    let raw = |reason, layer, bytes: Vec<u8>| Case(reason, layer, LinkType::RAW, bytes);
    let option = Ipv4Fields { fragment: 0, options: &[7, 1, 0, 0] };
    let last = Ipv4Fields { fragment: 0x1fff, options: &[] };
    let chain = [ip::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(17);
    vec![
        raw(Reason::EmptyPacket, 0, vec![]),
        raw(Reason::IpBadVersion, 0, vec![0x50; 20]),
        raw(Reason::TruncatedIpv4, 0, ip4[..19].to_vec()),
        eth(Reason::Ipv4BadVersion, 1, ethertype::IPV4, &ip6),
        raw(Reason::Ipv4BadHeaderLength, 0, with(&ip4, 0, &[0x44])),
        raw(Reason::Ipv4BadTotalLength, 0, with(&ip4, 2, &[0, 19])),
        raw(Reason::Ipv4LengthBeyondPacket, 0, with(&ip4, 2, &[0, 33])),
        raw(Reason::Ipv4BadOption, 0, ipv4_with(89, option, b"")),
        raw(Reason::Ipv4FragmentTooLong, 0, ipv4_with(ip::UDP, last, b"data")),
        raw(Reason::Ipv4BadChecksum, 0, with(&ip4, 8, &[63])),
        raw(Reason::TruncatedIpv6, 0, ip6[..39].to_vec()),
        eth(Reason::Ipv6BadVersion, 1, ethertype::IPV6, &[0x45; 40]),
        raw(Reason::Ipv6LengthBeyondPacket, 0, with(&ip6, 4, &[0, 13])),
        in_ipv6(Reason::TruncatedIpv6Extension, 1, ip::HOP_BY_HOP, &[ip::UDP, 1, 0, 0, 0, 0, 0, 0]),
        in_ipv6(Reason::Ipv6TooManyExtensions, 1, ip::DESTINATION_OPTIONS, &chain),
        in_ipv6(
            Reason::Ipv6FragmentTooLong,
            1,
            ip::FRAGMENT,
            &fragment(17, 0xfff8, false, b"12345678"),
        ),
    ]
}

fn control_cases() -> Vec<Case> {
    let echo = icmp(8, 0, b"\0\x07\0\x01data");
    let echo6 = icmpv6(128, 0, b"\0\x07\0\x01data");
    let join = igmp(0x16, 0, &DESTINATION_V4);
    let empty_option = icmpv6(133, 0, &[0, 0, 0, 0, 1, 0]);
    vec![
        in_ipv4(Reason::TruncatedIcmp, 1, ip::ICMP, &echo[..7]),
        in_ipv4(Reason::IcmpBadChecksum, 1, ip::ICMP, &with(&echo, 8, b"D")),
        in_ipv6(Reason::TruncatedIcmpv6, 1, ip::ICMPV6, &echo6[..7]),
        in_ipv6(Reason::Icmpv6BadOption, 1, ip::ICMPV6, &empty_option),
        in_ipv6(Reason::Icmpv6BadChecksum, 1, ip::ICMPV6, &with(&echo6, 8, b"D")),
        in_ipv4(Reason::TruncatedIgmp, 1, ip::IGMP, &join[..7]),
        in_ipv4(Reason::IgmpBadRecord, 1, ip::IGMP, &igmp(0x22, 0, &[0, 0, 0, 1])),
        in_ipv4(Reason::IgmpBadChecksum, 1, ip::IGMP, &with(&join, 7, &[9])),
    ]
}

fn transport_cases() -> Vec<Case> {
    let segment = tcp(4, (1, 2), 0x18, &[], b"data");
    let bad_option = tcp(4, (1, 2), 2, &[2, 1, 0, 0], b"");
    let datagram = udp(4, 1, 2, b"data");
    let sctp = sctp(b"data");
    vec![
        in_ipv4(Reason::TruncatedTcp, 1, ip::TCP, &segment[..19]),
        in_ipv4(Reason::TcpBadDataOffset, 1, ip::TCP, &with(&segment, 12, &[0x40])),
        in_ipv4(Reason::TcpBadOption, 1, ip::TCP, &bad_option),
        in_ipv4(Reason::TcpBadChecksum, 1, ip::TCP, &with(&segment, 20, b"D")),
        in_ipv4(Reason::TruncatedUdp, 1, ip::UDP, &datagram[..7]),
        in_ipv4(Reason::UdpBadLength, 1, ip::UDP, &with(&datagram, 4, &[0, 7])),
        in_ipv4(Reason::UdpLengthBeyondPacket, 1, ip::UDP, &with(&datagram, 4, &[0, 13])),
        in_ipv4(Reason::UdpBadChecksum, 1, ip::UDP, &with(&datagram, 8, b"D")),
        in_ipv4(Reason::TruncatedSctp, 1, ip::SCTP, &sctp[..11]),
        in_ipv4(Reason::TruncatedSctpChunk, 1, ip::SCTP, &sctp[..20]),
        in_ipv4(Reason::SctpBadChunkLength, 1, ip::SCTP, &with(&sctp, 14, &[0, 3])),
        in_ipv4(Reason::SctpBadChecksum, 1, ip::SCTP, &with(&sctp, 28, b"D")),
    ]
}

fn tunnel_cases() -> Vec<Case> {
    let gre = gre(ethertype::LLDP, b"");
    let header = |bytes: &[u8], port: u16| udp(4, 1, port, bytes);
    let ah = ah(ip::UDP, b"");
    let geneve: &[u8] = &[0, 0, 0x88, 0xcc, 0, 0, 1, 0];
    let long_option = [&[1][..], &geneve[1..], &[0, 0, 0, 1]].concat();
    vec![
        in_ipv4(Reason::TruncatedAh, 1, ip::AUTHENTICATION, &ah[..23]),
        in_ipv4(Reason::AhBadLength, 1, ip::AUTHENTICATION, &with(&ah, 1, &[0])),
        in_ipv4(Reason::TruncatedEsp, 1, ip::ESP, &[0; 7]),
        in_ipv4(Reason::TruncatedGre, 1, ip::GRE, &gre[..11]),
        in_ipv4(Reason::GreBadVersion, 1, ip::GRE, &with(&gre, 1, &[2])),
        in_ipv4(Reason::TruncatedVxlan, 2, ip::UDP, &header(&[8; 7], 4789)),
        in_ipv4(Reason::VxlanBadFlags, 2, ip::UDP, &header(&[0; 8], 4789)),
        in_ipv4(Reason::TruncatedGeneve, 2, ip::UDP, &header(&geneve[..7], 6081)),
        in_ipv4(Reason::GeneveBadVersion, 2, ip::UDP, &header(&with(geneve, 0, &[0x40]), 6081)),
        in_ipv4(Reason::GeneveBadOption, 2, ip::UDP, &header(&long_option, 6081)),
    ]
}

fn all_cases() -> Vec<Case> {
    [link_cases(), ip_cases(), control_cases(), transport_cases(), tunnel_cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_malformation_has_its_reason_and_place() {
    for Case(reason, layer, link, bytes) in all_cases() {
        let packet = Packet::decode(link, &bytes, bytes.len() as u32);
        let is_checksum = reason.as_str().ends_with("checksum");
        let fault = match is_checksum {
            true => packet.bad_checksum(Flags::NONE),
            false => packet.fault().copied(),
        };
        let fault = fault.unwrap_or_else(|| panic!("{reason} was not found"));
        assert_eq!((fault.reason, fault.cause), (reason, Cause::Packet));
        assert_eq!(fault.layer, layer, "layer of {reason}");
        if is_checksum {
            assert_eq!(packet.fault(), None, "{reason} is the only fault");
        }
    }
}

#[test]
fn no_reason_is_left_out() {
    let covered: HashSet<_> = all_cases().iter().map(|case| case.0).collect();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| reason.kind() == Kind::Malformed && !covered.contains(reason))
        .collect();
    assert!(missing.is_empty(), "no packet has {missing:?}");
}

#[test]
fn a_packet_that_the_capture_cut_is_not_malformed() {
    for sample in samples() {
        for len in 0..sample.bytes.len() {
            let cut = &sample.bytes[..len];
            let packet = Packet::decode(sample.link, cut, sample.bytes.len() as u32);
            assert_eq!(packet.malformed(), None, "{} cut to {len} bytes", sample.name);
        }
    }
}

#[test]
fn a_first_fragment_is_not_malformed() {
    let fields = Ipv4Fields { fragment: 0x2000, options: &[] };
    let bytes = ipv4_with(ip::TCP, fields, &tcp(4, (1, 2), 2, SYN_OPTIONS, b"")[..24]);
    let packet = Packet::decode(LinkType::RAW, &bytes, bytes.len() as u32);
    let fault = packet.fault().expect("its TCP header is in two pieces");
    assert_eq!((fault.reason, fault.cause), (Reason::TruncatedTcp, Cause::Fragment));
    assert_eq!(packet.malformed(), None);
}

#[test]
fn segmentation_offload_is_not_malformed() {
    let bytes = with(&ipv4(ip::TCP, &tcp(4, (1, 2), 0x10, &[], &[7; 3000])), 2, &[0, 0]);
    let packet = Packet::decode(LinkType::RAW, &bytes, bytes.len() as u32);
    assert_eq!((packet.fault(), packet.payload().len()), (None, 3000));
    assert_eq!(packet.bad_checksum(Flags::NONE), None);
}

#[test]
fn a_checksum_left_to_hardware_is_not_wrong() {
    let bytes = ipv4(ip::UDP, &with(&udp(4, 1, 2, b"data"), 6, &[0xde, 0xad]));
    let packet = Packet::decode(LinkType::RAW, &bytes, bytes.len() as u32);
    assert!(packet.bad_checksum(Flags::NONE).is_some());
    assert_eq!(packet.bad_checksum(Flags::CHECKSUM_PARTIAL), None);
}

#[test]
fn padding_after_the_ip_packet_is_no_payload() {
    let padded = [&ipv4(ip::UDP, &udp(4, 1, 2, b"hi"))[..], &[0xee; 16]].concat();
    let bytes = ethernet(ethertype::IPV4, &padded);
    let packet = Packet::decode(LinkType::ETHERNET, &bytes, bytes.len() as u32);
    assert_eq!((packet.fault(), packet.payload()), (None, &b"hi"[..]));
}
