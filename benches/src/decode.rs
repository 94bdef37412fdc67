//! Decoding to the five-tuple against hand-written zerocopy views and against etherparse, and what
//! whole packets, lines and JSON cost. Hot cache, IPv4, UDP and TCP mixed at random.
//!
//! Every contender fills the same [`FiveTuple`] and makes the same checks; every field is used. The
//! contenders take turns, so that a slow phase of the machine hits all of them, and the fastest and
//! the median turn are shown.

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Instant;
use tickwire_decode::{
    Addresses, FiveTuple, LineOptions, Packet, five_tuple, write_json, write_line,
};
use tickwire_frame::{Frame, LinkType, Timestamp};
use tickwire_fuzz::packets::{SYN_OPTIONS, ethernet, ipv4, tcp, udp, vlan};
use tickwire_fuzz::random::Random;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Turns of each contender.
const TURNS: usize = 41;
/// Packets that one turn decodes, at least.
const TURN_PACKETS: usize = 200_000;

/// The promises: our time over the reference's, at most.
const ZEROCOPY_RATIO_MAX: f64 = 1.1;
const ETHERPARSE_RATIO_MAX: f64 = 0.5;

/// What a contender makes of a packet; 0 when it has no five-tuple.
type Contender = (&'static str, fn(&[u8]) -> u64);

const CONTENDERS: &[Contender] = &[
    ("tickwire five_tuple", |bytes| {
        five_tuple(LinkType::ETHERNET, bytes).map_or(0, |tuple| digest(&tuple))
    }),
    ("zerocopy views", |bytes| zerocopy_views(bytes).map_or(0, |tuple| digest(&tuple))),
    ("etherparse sliced", |bytes| etherparse_sliced(bytes).map_or(0, |tuple| digest(&tuple))),
    ("etherparse lax", |bytes| etherparse_lax(bytes).map_or(0, |tuple| digest(&tuple))),
    ("tickwire Packet", |bytes| {
        let packet = Packet::decode(LinkType::ETHERNET, bytes, bytes.len() as u32);
        black_box(&packet).layers().len() as u64
    }),
    ("… and a line", |bytes| {
        text_len(
            |out, frame, packet| {
                _ = write_line(out, frame, packet, &LineOptions::default());
            },
            bytes,
        )
    }),
    ("… and JSON", |bytes| {
        text_len(
            |out, frame, packet| {
                _ = write_json(out, LinkType::ETHERNET, frame, packet);
            },
            bytes,
        )
    }),
];

/// Counts what is written, as a buffered writer would take it.
struct Sink([u8; 4096], usize);

impl std::fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let len = text.len().min(self.0.len());
        self.0[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.1 += text.len();
        Ok(())
    }
}

fn text_len(write: fn(&mut Sink, &Frame<'_>, &Packet<'_>), bytes: &[u8]) -> u64 {
    let frame = Frame::new(bytes, Timestamp::from_nanos(1_700_000_000_123_456_789));
    let packet = Packet::decode(LinkType::ETHERNET, bytes, bytes.len() as u32);
    // Never initialised again: the bytes of a turn go over each other.
    thread_local!(static SINK: std::cell::RefCell<Sink> = const {
        std::cell::RefCell::new(Sink([0; 4096], 0))
    });
    SINK.with_borrow_mut(|sink| {
        sink.1 = 0;
        write(sink, &frame, &packet);
        sink.1 as u64
    })
}

/// Uses every field, cheaply.
#[inline(always)]
fn digest(tuple: &FiveTuple) -> u64 {
    let addresses = match tuple.addresses {
        Addresses::V4 { source, destination } => {
            u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits())
        }
        Addresses::V6 { source, destination } => {
            (source.to_bits() ^ destination.to_bits().rotate_left(1)) as u64
        }
    };
    let ports = u64::from(tuple.source_port) << 24 | u64::from(tuple.destination_port) << 8;
    let payload = u64::from(tuple.payload_offset) << 32 | u64::from(tuple.payload_len);
    addresses ^ ports ^ u64::from(tuple.protocol) ^ payload.rotate_left(20)
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EthernetHeader {
    _addresses: [u8; 12],
    kind: U16,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct VlanTag {
    _control: U16,
    kind: U16,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Ipv4Header {
    version_ihl: u8,
    _tos: u8,
    total_len: U16,
    _id: U16,
    fragment: U16,
    _ttl: u8,
    protocol: u8,
    _checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Ipv6Header {
    version: u8,
    _class_and_label: [u8; 3],
    payload_len: U16,
    next_header: u8,
    _hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct UdpHeader {
    source: U16,
    destination: U16,
    len: U16,
    _checksum: U16,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TcpHeader {
    source: U16,
    destination: U16,
    _sequence: [u8; 8],
    offset: u8,
    _rest: [u8; 7],
}

/// What a careful programmer writes by hand with zerocopy for exactly this purpose. Inlined always,
/// like ours: as a call it takes twice the time.
#[inline(always)]
fn zerocopy_views(bytes: &[u8]) -> Option<FiveTuple> {
    let (ethernet, mut rest) = EthernetHeader::ref_from_prefix(bytes).ok()?;
    let mut kind = ethernet.kind.get();
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        let (tag, after) = VlanTag::ref_from_prefix(rest).ok()?;
        (kind, rest) = (tag.kind.get(), after);
    }
    match kind {
        0x0800 => {
            let (ip, after) = Ipv4Header::ref_from_prefix(rest).ok()?;
            let header_len = usize::from(ip.version_ihl & 15) * 4;
            let whole = ip.version_ihl >> 4 == 4 && ip.fragment.get() & 0x3fff == 0;
            if !whole || header_len < 20 {
                return None;
            }
            let declared = usize::from(ip.total_len.get()).checked_sub(header_len)?;
            let after = after.get(header_len - 20..)?;
            let (source, destination) = (ip.source.into(), ip.destination.into());
            let addresses = Addresses::V4 { source, destination };
            zerocopy_ports(bytes, ip.protocol, addresses, after, declared)
        }
        0x86dd => {
            let (ip, after) = Ipv6Header::ref_from_prefix(rest).ok()?;
            if ip.version >> 4 != 6 {
                return None;
            }
            let (source, destination) = (ip.source.into(), ip.destination.into());
            let addresses = Addresses::V6 { source, destination };
            let declared = ip.payload_len.get().into();
            zerocopy_ports(bytes, ip.next_header, addresses, after, declared)
        }
        _ => None,
    }
}

#[inline(always)]
fn zerocopy_ports(
    bytes: &[u8],
    protocol: u8,
    addresses: Addresses,
    segment: &[u8],
    declared: usize,
) -> Option<FiveTuple> {
    let segment = &segment[..declared.min(segment.len())];
    let (source_port, destination_port, payload) = match protocol {
        17 => {
            let (udp, rest) = UdpHeader::ref_from_prefix(segment).ok()?;
            let len = usize::from(udp.len.get()).checked_sub(8)?;
            if len + 8 > declared {
                return None;
            }
            (udp.source.get(), udp.destination.get(), &rest[..len.min(rest.len())])
        }
        6 => {
            let (tcp, _) = TcpHeader::ref_from_prefix(segment).ok()?;
            let header_len = usize::from(tcp.offset >> 4) * 4;
            if header_len < 20 {
                return None;
            }
            (tcp.source.get(), tcp.destination.get(), segment.get(header_len..)?)
        }
        _ => return None,
    };
    let payload_offset = payload.as_ptr().addr() - bytes.as_ptr().addr();
    Some(FiveTuple {
        addresses,
        source_port,
        destination_port,
        protocol,
        payload_offset: payload_offset as u32,
        payload_len: payload.len() as u32,
    })
}

#[inline(always)]
fn etherparse_sliced(bytes: &[u8]) -> Option<FiveTuple> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let addresses = match packet.net? {
        NetSlice::Ipv4(ip) => Addresses::V4 {
            source: ip.header().source_addr(),
            destination: ip.header().destination_addr(),
        },
        NetSlice::Ipv6(ip) => Addresses::V6 {
            source: ip.header().source_addr(),
            destination: ip.header().destination_addr(),
        },
        NetSlice::Arp(_) => return None,
    };
    etherparse_ports(bytes, addresses, &packet.transport?)
}

#[inline(always)]
fn etherparse_lax(bytes: &[u8]) -> Option<FiveTuple> {
    use etherparse::LaxNetSlice;
    let packet = LaxSlicedPacket::from_ethernet(bytes).ok()?;
    let addresses = match packet.net? {
        LaxNetSlice::Ipv4(ip) => Addresses::V4 {
            source: ip.header().source_addr(),
            destination: ip.header().destination_addr(),
        },
        LaxNetSlice::Ipv6(ip) => Addresses::V6 {
            source: ip.header().source_addr(),
            destination: ip.header().destination_addr(),
        },
        LaxNetSlice::Arp(_) => return None,
    };
    etherparse_ports(bytes, addresses, &packet.transport?)
}

#[inline(always)]
fn etherparse_ports(
    bytes: &[u8],
    addresses: Addresses,
    transport: &TransportSlice<'_>,
) -> Option<FiveTuple> {
    let (source_port, destination_port, protocol, payload) = match transport {
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port(), 17, udp.payload()),
        TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port(), 6, tcp.payload()),
        _ => return None,
    };
    let payload_offset = payload.as_ptr().addr() - bytes.as_ptr().addr();
    Some(FiveTuple {
        addresses,
        source_port,
        destination_port,
        protocol,
        payload_offset: payload_offset as u32,
        payload_len: payload.len() as u32,
    })
}

/// UDP and TCP at random, half and half; one in eight packets has a VLAN tag.
fn mixed_packets(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(42);
    let mut packet = |_| {
        let payload = vec![0x5a; 20 + random.below(180)];
        let port = 1024 + random.below(60_000) as u16;
        let ip = match random.below(4) {
            0 | 1 => ipv4(17, &udp(4, port, 30_001, &payload)),
            2 => ipv4(6, &tcp(4, (port, 443), 0x10, &SYN_OPTIONS[4..16], &payload)),
            _ => ipv4(6, &tcp(4, (443, port), 0x18, &[], &payload)),
        };
        match random.below(8) {
            0 => ethernet(0x8100, &vlan(100, 0, 0x0800, &ip)),
            _ => ethernet(0x0800, &ip),
        }
    };
    (0..count).map(&mut packet).collect()
}

/// Nanoseconds a packet of every turn of every contender.
fn measure(packets: &[Vec<u8>]) -> Vec<Vec<f64>> {
    let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let rounds = TURN_PACKETS.div_ceil(slices.len());
    let mut turns = vec![Vec::with_capacity(TURNS); CONTENDERS.len()];
    for _ in 0..TURNS {
        for (&(_, contender), times) in CONTENDERS.iter().zip(&mut turns) {
            let start = Instant::now();
            let mut sum = 0u64;
            for _ in 0..rounds {
                for bytes in black_box(&slices) {
                    sum = sum.wrapping_add(contender(bytes));
                }
            }
            black_box(sum);
            times.push(start.elapsed().as_nanos() as f64 / (rounds * slices.len()) as f64);
        }
    }
    for times in &mut turns {
        times.sort_by(f64::total_cmp);
    }
    turns
}

/// Prints the table and says whether the promises hold.
pub fn run() -> ExitCode {
    let mut kept = true;
    for count in [64, 4096] {
        let packets = mixed_packets(count);
        for bytes in &packets {
            let ours = five_tuple(LinkType::ETHERNET, bytes).ok();
            assert!(ours.is_some_and(|tuple| matches!(tuple.addresses.source(), IpAddr::V4(_))));
            assert_eq!(ours, zerocopy_views(bytes), "the references must agree");
            assert_eq!(ours, etherparse_sliced(bytes), "the references must agree");
            assert_eq!(ours, etherparse_lax(bytes), "the references must agree");
        }
        let turns = measure(&packets);
        println!("{count} packets, IPv4, UDP and TCP mixed; ns a packet, {TURNS} turns");
        println!("{:<22} {:>8} {:>8} {:>10}", "", "fastest", "median", "ratio");
        for ((name, _), times) in CONTENDERS.iter().zip(&turns) {
            let ratio = times[0] / turns[0][0];
            println!("{name:<22} {:>8.2} {:>8.2} {ratio:>10.2}", times[0], times[TURNS / 2]);
        }
        let to_zerocopy = turns[0][0] / turns[1][0];
        let to_etherparse = turns[0][0] / turns[2][0].min(turns[3][0]);
        println!("five_tuple / zerocopy   {to_zerocopy:.2}, at most {ZEROCOPY_RATIO_MAX}");
        println!("five_tuple / etherparse {to_etherparse:.2}, at most {ETHERPARSE_RATIO_MAX}\n");
        kept &= to_zerocopy <= ZEROCOPY_RATIO_MAX && to_etherparse <= ETHERPARSE_RATIO_MAX;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
