//! The headers of copies, with etherparse as the judge.

mod common;

use common::{frame, hop};
use etherparse::{Ipv4Slice, Ipv6Slice, NetSlice, SlicedPacket, TransportSlice, UdpSlice};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use tickwire_capture::routes::Vlan;
use tickwire_decode::checksum::Sum;
use tickwire_frame::{Flags, Frame, LinkType, Reason, Timestamp};
use tickwire_replicate::{
    Datagram, HEADER_BYTES_MAX, Hop, SourceAddress, Subscriber, Template, UdpChecksum,
};

const FEED_PORT: u16 = 5000;

fn parse(bytes: &[u8]) -> Datagram {
    let frame = Frame::new(bytes, Timestamp::ZERO);
    Datagram::parse(LinkType::ETHERNET, &frame).unwrap()
}

fn copy(subscriber: &Subscriber, hop: &Hop, original: &[u8]) -> Vec<u8> {
    let datagram = parse(original);
    let template = Template::new(FEED_PORT, subscriber, hop).unwrap();
    let mut slot = [0xee; 2048];
    let len = template.write(&datagram, datagram.payload(original), &mut slot).unwrap();
    slot[..len].to_vec()
}

fn udp<'a>(packet: &SlicedPacket<'a>) -> UdpSlice<'a> {
    match &packet.transport {
        Some(TransportSlice::Udp(udp)) => udp.clone(),
        other => panic!("{other:?}"),
    }
}

/// The checksum that the datagram should have.
fn right_checksum(packet: &SlicedPacket<'_>) -> u16 {
    let header = udp(packet).to_header();
    let payload = udp(packet).payload().to_vec();
    match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            header.calc_checksum_ipv4(&ip.header().to_header(), &payload).unwrap()
        }
        NetSlice::Ipv6(ip) => {
            header.calc_checksum_ipv6(&ip.header().to_header(), &payload).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn ip(v6: bool) -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(move |bits| match v6 {
        // Not a multicast source; otherwise whatever comes.
        true => IpAddr::V6((bits >> 8 | 0x20 << 120).into()),
        false => IpAddr::V4(((bits as u32) >> 4 | 1 << 24).into()),
    })
}

fn end(v6: bool) -> impl Strategy<Value = SocketAddr> {
    (ip(v6), 1u16..).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

#[derive(Clone, Debug)]
struct Case {
    original: Vec<u8>,
    subscriber: Subscriber,
    hop: Hop,
    v6: bool,
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    // Often a few words, so that sums meet 0 and 0xffff.
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1400),
        prop::collection::vec(prop_oneof![Just(0), Just(0xff)], 0..8),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    (any::<bool>(), any::<bool>()).prop_flat_map(|(from_v6, to_v6)| {
        let original = (prop::option::of(1u16..4095), end(from_v6), end(from_v6), payloads());
        let keep = if from_v6 == to_v6 { any::<bool>().boxed() } else { Just(false).boxed() };
        let how = (keep, 1u8.., 0u8..64, prop::option::of(1u16..4095));
        (original, end(to_v6), ip(to_v6), how).prop_map(move |(original, to, source, how)| {
            let (vlan, from, listen, payload) = original;
            let (keep, ttl, dscp, copy_vlan) = how;
            let source_address = if keep { SourceAddress::Keep } else { SourceAddress::Interface };
            let subscriber =
                Subscriber { source: source_address, ttl, dscp, ..Subscriber::new(to) };
            let hop = Hop {
                source,
                vlan: copy_vlan.map(|id| Vlan { protocol: 0x8100, id }),
                ..hop(&subscriber)
            };
            let original = frame(vlan, from, listen, &payload);
            Case { original, subscriber, hop, v6: to_v6 }
        })
    })
}

fn check_ipv4(ip: &Ipv4Slice<'_>, case: &Case, source: IpAddr) {
    let header = ip.header().to_header();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    assert_eq!(IpAddr::from(header.source), source);
    assert_eq!(IpAddr::from(header.destination), case.subscriber.address.ip());
    assert_eq!(
        (header.time_to_live, header.dscp.value()),
        (case.subscriber.ttl, case.subscriber.dscp)
    );
    assert!(header.dont_fragment && !header.is_fragmenting_payload() && header.options.is_empty());
    assert_eq!(header.identification, parse(&case.original).id);
}

fn check_ipv6(ip: &Ipv6Slice<'_>, case: &Case, source: IpAddr) {
    let header = ip.header().to_header();
    assert_eq!(IpAddr::from(header.source), source);
    assert_eq!(IpAddr::from(header.destination), case.subscriber.address.ip());
    assert_eq!(header.hop_limit, case.subscriber.ttl);
    assert_eq!(header.traffic_class, case.subscriber.dscp << 2);
    assert_eq!(header.flow_label.value(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_copy_is_what_was_asked_for(case in cases()) {
        let Case { original, subscriber, hop, v6 } = &case;
        let datagram = parse(original);
        let bytes = copy(subscriber, hop, original);
        let packet = SlicedPacket::from_ethernet(&bytes).unwrap();
        let keep = subscriber.source == SourceAddress::Keep;
        let source = if keep { datagram.source } else { SocketAddr::new(hop.source, FEED_PORT) };

        prop_assert_eq!(&bytes[..6], &hop.destination_mac);
        prop_assert_eq!(&bytes[6..12], &hop.source_mac);
        let tag = packet.vlan_ids().first().map(|id| id.value());
        prop_assert_eq!(tag, hop.vlan.map(|vlan| vlan.id));
        match packet.net.as_ref().unwrap() {
            NetSlice::Ipv4(ip) if !v6 => check_ipv4(ip, &case, source.ip()),
            NetSlice::Ipv6(ip) if *v6 => check_ipv6(ip, &case, source.ip()),
            other => panic!("{other:?}"),
        }
        let udp = udp(&packet);
        prop_assert_eq!(udp.source_port(), source.port());
        prop_assert_eq!(udp.destination_port(), subscriber.address.port());
        prop_assert_eq!(udp.payload(), datagram.payload(original));
        prop_assert_eq!(usize::from(udp.length()), 8 + udp.payload().len());
        prop_assert_eq!(udp.checksum(), right_checksum(&packet));
        prop_assert!(bytes.len() - udp.payload().len() <= HEADER_BYTES_MAX);
    }

    /// The three ways to a right checksum agree; a wrong one stays as wrong as it was.
    #[test]
    fn checksums(case in cases(), error in 1u16..0xffff) {
        let Case { original, subscriber, hop, v6 } = &case;
        let with = |udp_checksum| Subscriber { udp_checksum, ..subscriber.clone() };
        let updated = copy(subscriber, hop, original);
        prop_assert_eq!(&copy(&with(UdpChecksum::Compute), hop, original), &updated);
        let at = parse(original).payload_at - 2;
        let checksum_of =
            |bytes: &[u8]| udp(&SlicedPacket::from_ethernet(bytes).unwrap()).checksum();
        for zero in [UdpChecksum::Zero, UdpChecksum::ZeroOverIpv6] {
            prop_assert_eq!(checksum_of(&copy(&with(zero), hop, original)), 0);
        }

        let mut none = original.clone();
        none[at..at + 2].copy_from_slice(&[0, 0]);
        let expected = if *v6 { checksum_of(&updated) } else { 0 };
        prop_assert_eq!(checksum_of(&copy(subscriber, hop, &none)), expected);

        // In ones' complement; modulo 0xffff that is plain subtraction.
        let right = u16::from_be_bytes([original[at], original[at + 1]]);
        let wrong = ((u32::from(right) + u32::from(error)) % 0xffff) as u16;
        prop_assume!(wrong != 0);
        let mut damaged = original.clone();
        damaged[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
        // By chance it may look like one that was left to hardware.
        prop_assume!(!parse(&damaged).partial);
        let difference = |a: u16, b: u16| (u32::from(a) + 0xffff - u32::from(b) % 0xffff) % 0xffff;
        let copied = checksum_of(&copy(subscriber, hop, &damaged));
        prop_assert_eq!(difference(copied, checksum_of(&updated)), difference(wrong, right));
        let computed = copy(&with(UdpChecksum::Compute), hop, &damaged);
        prop_assert_eq!(checksum_of(&computed), checksum_of(&updated));
    }

    /// What Linux leaves in the place of a checksum that hardware is to compute, the sum of the
    /// pseudo header, is known for it although the port does not say so.
    #[test]
    fn a_partial_checksum_is_recognised(case in cases()) {
        let Case { original, subscriber, hop, .. } = &case;
        let expected = copy(subscriber, hop, original);
        let datagram = parse(original);
        let len = (8 + datagram.payload_len) as u16;
        let pseudo = match (datagram.source.ip(), datagram.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let both: Vec<u8> = [from.octets(), to.octets()].concat();
                Sum::default().over(&both)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let both: Vec<u8> = [from.octets(), to.octets()].concat();
                Sum::default().over(&both)
            }
            other => unreachable!("{other:?}"),
        };
        let partial = !pseudo.add_word(17).add_word(len).finish();
        let mut bytes = original.clone();
        bytes[datagram.payload_at - 2..datagram.payload_at].copy_from_slice(&partial.to_be_bytes());
        prop_assert!(parse(&bytes).partial);
        prop_assert_eq!(copy(subscriber, hop, &bytes), expected);
    }

    /// A checksum that was left to hardware is computed, because the port says so.
    #[test]
    fn a_partial_checksum_is_computed(case in cases(), partial in any::<u16>()) {
        let Case { original, subscriber, hop, .. } = &case;
        let expected = copy(subscriber, hop, original);
        let at = parse(original).payload_at - 2;
        let mut bytes = original.clone();
        bytes[at..at + 2].copy_from_slice(&partial.to_be_bytes());
        let flags = Flags::CHECKSUM_PARTIAL;
        let frame = Frame { flags, ..Frame::new(&bytes, Timestamp::ZERO) };
        let datagram = Datagram::parse(LinkType::ETHERNET, &frame).unwrap();
        let template = Template::new(FEED_PORT, subscriber, hop).unwrap();
        let mut slot = [0; 2048];
        let len = template.write(&datagram, datagram.payload(&bytes), &mut slot).unwrap();
        prop_assert_eq!(&slot[..len], &expected);
    }
}

#[test]
fn what_does_not_fit_is_too_long() {
    for to in ["10.0.0.2:6000", "[2001:db8::2]:6000"] {
        let subscriber = common::subscriber(to);
        let template = Template::new(FEED_PORT, &subscriber, &hop(&subscriber)).unwrap();
        let headers = if subscriber.address.is_ipv4() { 28 } else { 48 };
        let mut slot = [0; 2048];
        let mut write = |len: usize, slot_len: usize| {
            template.write(&Datagram::NONE, &vec![7; len], &mut slot[..slot_len])
        };
        assert_eq!(write(1500 - headers, 2048), Ok(1514));
        assert_eq!(write(1500 - headers + 1, 2048), Err(Reason::TooLong));
        assert_eq!(write(1000 - headers, 1014), Ok(1014));
        assert_eq!(write(1000 - headers, 1013), Err(Reason::TooLong));
    }
}

#[test]
fn a_source_of_the_other_version_is_no_route() {
    let subscriber = common::subscriber("10.0.0.2:6000");
    let hop = Hop { source: "::1".parse().unwrap(), ..hop(&subscriber) };
    assert_eq!(Template::new(FEED_PORT, &subscriber, &hop), Err(Reason::NoRoute));
}
