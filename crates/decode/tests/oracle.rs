//! Etherparse as the oracle: on generated packets both find the same layers, addresses, ports and
//! payload; on generated noise neither finds UDP or TCP where the other does not.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice, VlanId};
use proptest::prelude::*;
use std::net::IpAddr;
use tickwire_decode::{FiveTuple, Layer, Packet, five_tuple};
use tickwire_frame::{Flags, LinkType};

/// What a generated packet is made of.
#[derive(Clone, Debug)]
struct Plan {
    vlans: Vec<u16>,
    version_6: bool,
    addresses: ([u8; 16], [u8; 16]),
    ports: (u16, u16),
    tcp: bool,
    sequence: u32,
    payload: Vec<u8>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let addresses = (any::<[u8; 16]>(), any::<[u8; 16]>());
    // Ports of tunnels would make us look inside.
    let port = any::<u16>().prop_filter("a tunnel", |port| ![4789, 6081].contains(port));
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    let vlans = prop::collection::vec(0u16..4096, 0..=2);
    let ports = (any::<u16>(), port);
    (vlans, any::<bool>(), addresses, ports, any::<bool>(), any::<u32>(), payload).prop_map(
        |(vlans, version_6, addresses, ports, tcp, sequence, payload)| Plan {
            vlans,
            version_6,
            addresses,
            ports,
            tcp,
            sequence,
            payload,
        },
    )
}

fn build(plan: &Plan) -> Vec<u8> {
    let id = |index: usize| VlanId::try_new(plan.vlans[index]).expect("below 4096");
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let (source, destination) = plan.addresses;
    let v4 = |bytes: [u8; 16]| [bytes[0], bytes[1], bytes[2], bytes[3]];
    let ip = match (plan.vlans.len(), plan.version_6) {
        (0, false) => link.ipv4(v4(source), v4(destination), 64),
        (0, true) => link.ipv6(source, destination, 64),
        (1, false) => link.single_vlan(id(0)).ipv4(v4(source), v4(destination), 64),
        (1, true) => link.single_vlan(id(0)).ipv6(source, destination, 64),
        (_, false) => link.double_vlan(id(0), id(1)).ipv4(v4(source), v4(destination), 64),
        (_, true) => link.double_vlan(id(0), id(1)).ipv6(source, destination, 64),
    };
    let mut bytes = Vec::new();
    let written = if plan.tcp {
        let step = ip.tcp(plan.ports.0, plan.ports.1, plan.sequence, 1024).syn();
        step.write(&mut bytes, &plan.payload)
    } else {
        ip.udp(plan.ports.0, plan.ports.1).write(&mut bytes, &plan.payload)
    };
    written.expect("into a vector");
    bytes
}

/// The five-tuple that etherparse finds, with the payload.
#[derive(Debug, PartialEq)]
struct Found<'a> {
    addresses: (IpAddr, IpAddr),
    ports: (u16, u16),
    protocol: u8,
    payload: &'a [u8],
}

fn etherparse(bytes: &[u8]) -> Option<Found<'_>> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let addresses = match packet.net? {
        NetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        NetSlice::Arp(_) => return None,
    };
    let (ports, protocol, payload) = match packet.transport? {
        TransportSlice::Udp(udp) => {
            let payload = &bytes[offset(bytes, udp.slice()) + 8..][..udp.payload().len()];
            ((udp.source_port(), udp.destination_port()), 17, payload)
        }
        TransportSlice::Tcp(tcp) => {
            let start = offset(bytes, tcp.slice()) + tcp.header_slice().len();
            let payload = &bytes[start..][..tcp.payload().len()];
            ((tcp.source_port(), tcp.destination_port()), 6, payload)
        }
        _ => return None,
    };
    Some(Found { addresses, ports, protocol, payload })
}

fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

fn ours<'a>(bytes: &'a [u8], tuple: &FiveTuple) -> Found<'a> {
    Found {
        addresses: (tuple.addresses.source(), tuple.addresses.destination()),
        ports: (tuple.source_port, tuple.destination_port),
        protocol: tuple.protocol,
        payload: tuple.payload(bytes),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn generated_packets_are_read_alike(plan in plans(), padding in 0usize..20) {
        let mut bytes = build(&plan);
        bytes.resize(bytes.len() + padding, 0);
        let tuple = five_tuple(LinkType::ETHERNET, &bytes).expect("a whole packet");
        prop_assert_eq!(Some(ours(&bytes, &tuple)), etherparse(&bytes));
        prop_assert_eq!(tuple.payload(&bytes), &plan.payload[..]);

        let packet = Packet::decode(LinkType::ETHERNET, &bytes, bytes.len() as u32);
        let vlans: Vec<u16> = packet.layers().iter().filter_map(|layer| match layer {
            Layer::Vlan(vlan) => Some(vlan.id()),
            _ => None,
        }).collect();
        prop_assert_eq!(packet.layers().len(), 3 + plan.vlans.len());
        prop_assert_eq!(vlans, plan.vlans);
        prop_assert_eq!(packet.fault(), None);
        prop_assert_eq!(packet.bad_checksum(Flags::NONE), None);
    }

    #[test]
    fn what_etherparse_accepts_we_accept_alike(
        plan in plans(),
        changes in prop::collection::vec((0usize..60, any::<u8>()), 1..4),
        len in 14usize..300,
    ) {
        let mut bytes = build(&plan);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(len);
        // It refuses more than we do (what the capture cut), and knows other tunnels and headers;
        // but where both find ports they are the same.
        if let (Some(theirs), Ok(tuple)) =
            (etherparse(&bytes), five_tuple(LinkType::ETHERNET, &bytes))
        {
            prop_assert_eq!(ours(&bytes, &tuple), theirs);
        }
    }
}
