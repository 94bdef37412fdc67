//! The job behind the summary: what the packets are, and which are malformed.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tickwire_capture::file::{InterfaceStatistics, WriterTotals};
use tickwire_decode::protocol::{ip, port};
use tickwire_decode::{
    Addresses, Ethernet, FiveTuple, Ipv4, Ipv6, Layer, Packet, Tcp, Unknown, Vlan,
    common_five_tuple, ethertype,
};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Kind, Ledger, LinkType, Mask};

/// What packets are counted as: the outermost network protocol, and the outermost protocol above;
/// or neither, when the link type is not one that we decode.
const PROTOCOLS: [&str; NOT_DECODED + 1] = [
    "ipv4",
    "ipv6",
    "arp",
    "other_network",
    "udp",
    "tcp",
    "icmp",
    "icmpv6",
    "igmp",
    "sctp",
    "gre",
    "esp",
    "other_transport",
    "not_decoded",
];
const IPV4: usize = 0;
const IPV6: usize = 1;
const ARP: usize = 2;
const OTHER_NETWORK: usize = 3;
const UDP: usize = 4;
const TCP: usize = 5;
const ICMP: usize = 6;
const ICMPV6: usize = 7;
const IGMP: usize = 8;
const SCTP: usize = 9;
const GRE: usize = 10;
const ESP: usize = 11;
const OTHER_TRANSPORT: usize = 12;
const NOT_DECODED: usize = 13;

/// How many packets there were of each protocol, over all workers.
#[derive(Debug)]
pub struct ProtocolCounts([AtomicU64; PROTOCOLS.len()]);

impl Default for ProtocolCounts {
    fn default() -> Self {
        ProtocolCounts(from_fn(|_| AtomicU64::new(0)))
    }
}

impl ProtocolCounts {
    /// Each protocol with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        PROTOCOLS.iter().zip(&self.0).map(|(&name, count)| (name, count.load(Relaxed)))
    }
}

/// What all workers of an interface received and lost, as a capture file tells it.
#[derive(Debug, Default)]
pub struct SourceTotals {
    received: AtomicU64,
    kernel_lost: AtomicU64,
}

impl SourceTotals {
    fn add(&self, ledger: &Ledger) {
        let lost = ledger.discarded.nonzero().filter(|(reason, _)| reason.kind() == Kind::Kernel);
        self.received.fetch_add(ledger.received, Relaxed);
        self.kernel_lost.fetch_add(lost.map(|(_, count)| count).sum(), Relaxed);
    }

    /// The statistics of the interface, when the writer's own ledger is `writer`.
    pub fn statistics(&self, writer: &Ledger) -> InterfaceStatistics {
        InterfaceStatistics {
            received: Some(self.received.load(Relaxed)),
            dropped: Some(self.kernel_lost.load(Relaxed)),
            delivered: Some(writer.selected),
            ..InterfaceStatistics::default()
        }
    }
}

/// Where the counts of all workers come together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Packets by protocol.
    pub protocols: Arc<ProtocolCounts>,
    /// Received and lost.
    pub source: Arc<SourceTotals>,
    /// What the writer has written, once it has ended.
    pub written: Arc<OnceLock<WriterTotals>>,
}

/// Counts every packet by protocol and by fault, then hands it to `inner`.
///
/// With `()` inside, counting is all there is, and every packet counts as delivered.
pub struct CountJob<J> {
    inner: J,
    counts: [u64; PROTOCOLS.len()],
    totals: Totals,
}

impl<J: Job> CountJob<J> {
    /// Counts into `totals` when the job ends.
    pub fn new(inner: J, totals: Totals) -> Self {
        CountJob { inner, counts: [0; PROTOCOLS.len()], totals }
    }

    #[inline]
    fn count(&mut self, link: LinkType, frame: &Frame<'_>, ledger: &mut Ledger) {
        match common_five_tuple(link, frame.bytes) {
            Some(tuple) if is_well_formed(frame, &tuple) => {
                let v4 = matches!(tuple.addresses, Addresses::V4 { .. });
                self.counts[if v4 { IPV4 } else { IPV6 }] += 1;
                self.counts[if tuple.protocol == ip::UDP { UDP } else { TCP }] += 1;
            }
            _ => self.count_any(link, frame, ledger),
        }
    }

    /// Any packet, by all its layers: options, tunnels and every fault.
    #[inline(never)]
    fn count_any(&mut self, link: LinkType, frame: &Frame<'_>, ledger: &mut Ledger) {
        let packet = Packet::decode(link, frame.bytes, frame.wire_len);
        if let Some(Unknown::LinkType(_)) = packet.unknown() {
            self.counts[NOT_DECODED] += 1;
            return;
        }
        if let Some(reason) = packet.malformed() {
            ledger.malformed.add(reason, 1);
        }
        let network = packet.layers().iter().find_map(network_of).unwrap_or(OTHER_NETWORK);
        self.counts[network] += 1;
        if network == IPV4 || network == IPV6 {
            let above = packet.layers().iter().find_map(transport_of);
            self.counts[above.unwrap_or(OTHER_TRANSPORT)] += 1;
        }
    }
}

fn network_of(layer: &Layer<'_>) -> Option<usize> {
    Some(match layer {
        Layer::Ipv4(_) => IPV4,
        Layer::Ipv6(_) => IPV6,
        Layer::Arp(_) => ARP,
        _ => return None,
    })
}

fn transport_of(layer: &Layer<'_>) -> Option<usize> {
    Some(match layer {
        Layer::Udp(_) => UDP,
        Layer::Tcp(_) => TCP,
        Layer::Icmp(_) => ICMP,
        Layer::Icmpv6(_) => ICMPV6,
        Layer::Igmp(_) => IGMP,
        Layer::Sctp(_) => SCTP,
        Layer::Gre(_) => GRE,
        Layer::Esp(_) => ESP,
        _ => return None,
    })
}

/// Whether nothing is wrong with a packet of the common shape, so that its layers need not be
/// looked at one by one: its IP length is within the length on the wire, it is no tunnel, and its
/// TCP options are well.
#[inline]
fn is_well_formed(frame: &Frame<'_>, tuple: &FiveTuple) -> bool {
    let bytes = frame.bytes;
    let be16 = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let mut ip_at = Ethernet::LEN;
    while ethertype::is_vlan(be16(ip_at - 2)) {
        ip_at += Vlan::LEN;
    }
    let (transport_at, end) = match tuple.addresses {
        Addresses::V4 { .. } => (ip_at + Ipv4::LEN, ip_at + usize::from(be16(ip_at + 2))),
        Addresses::V6 { .. } => {
            let transport_at = ip_at + Ipv6::LEN;
            (transport_at, transport_at + usize::from(be16(ip_at + 4)))
        }
    };
    if end > bytes.len().max(frame.wire_len as usize) {
        return false;
    }
    match tuple.protocol {
        ip::UDP => ![port::VXLAN, port::GENEVE].contains(&tuple.destination_port),
        _ if tuple.payload_offset as usize == transport_at + Tcp::LEN => true,
        _ => Tcp::parse(&bytes[transport_at..])
            .is_ok_and(|tcp| tcp.options().all(|option| option.is_ok())),
    }
}

impl<J: Job> Job for CountJob<J> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        for frame in batch.select(selected) {
            self.count(batch.link, &frame, ledger);
        }
        self.inner.handle(batch, selected, ledger);
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        self.inner.tick(ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        for (total, count) in self.totals.protocols.0.iter().zip(self.counts) {
            total.fetch_add(count, Relaxed);
        }
        // Before the inner job ends: the writer behind a queue reads it when its queue has ended.
        self.totals.source.add(ledger);
        self.inner.finish(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::{Reason, Timestamp};
    use tickwire_fuzz::mutate::{Mutated, Mutator};
    use tickwire_fuzz::packets::samples;

    /// Ethernet, IPv4, UDP, four bytes of payload.
    fn udp_packet() -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0x30, 0x39, 0x13, 0x88, 0, 12, 0, 0, 1, 2, 3, 4]);
        bytes
    }

    type Counted = (Vec<(&'static str, u64)>, Ledger);

    fn count(link: LinkType, packets: &[Vec<u8>]) -> Counted {
        let totals = Totals::default();
        let mut job = CountJob::new((), totals.clone());
        let mut batch = Batch::new();
        batch.link = link;
        for bytes in packets {
            batch.push(Frame::new(bytes, Timestamp::ZERO));
        }
        let mut ledger = Ledger::default();
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        job.finish(&mut ledger);
        (totals.protocols.iter().filter(|&(_, count)| count > 0).collect(), ledger)
    }

    #[test]
    fn well_formed_udp_takes_the_short_way() {
        let packet = udp_packet();
        let tuple = common_five_tuple(LinkType::ETHERNET, &packet).expect("it is UDP");
        assert!(is_well_formed(&Frame::new(&packet, Timestamp::ZERO), &tuple));
        let (protocols, ledger) = count(LinkType::ETHERNET, &[packet]);
        assert_eq!(protocols, [("ipv4", 1), ("udp", 1)]);
        assert_eq!((ledger.delivered, ledger.difference(), ledger.malformed.total()), (1, 0, 0));
    }

    #[test]
    fn a_length_beyond_the_packet_is_found() {
        let mut packet = udp_packet();
        packet[17] = 200;
        let (protocols, ledger) = count(LinkType::ETHERNET, &[packet, vec![1, 2, 3]]);
        assert_eq!(protocols, [("ipv4", 1), ("other_network", 1), ("udp", 1)]);
        assert_eq!(ledger.malformed[Reason::Ipv4LengthBeyondPacket], 1);
        assert_eq!(ledger.malformed[Reason::TruncatedEthernet], 1);
        assert_eq!(ledger.delivered, 2);
    }

    #[test]
    fn another_link_type_is_counted_apart_and_not_malformed() {
        let (protocols, ledger) = count(LinkType(187), &[udp_packet(), vec![], vec![1]]);
        assert_eq!(protocols, [("not_decoded", 3)]);
        assert_eq!((ledger.malformed.total(), ledger.delivered, ledger.difference()), (0, 3, 0));
    }

    /// The short way and the long way count alike, whatever the packet.
    #[test]
    fn both_ways_agree() {
        let mut mutator = Mutator::new(samples(), 1);
        for number in 0..20_000 {
            let Mutated { bytes, wire_len, .. } = mutator.nth(1, number);
            let frame = Frame { wire_len, ..Frame::new(bytes, Timestamp::ZERO) };
            let mut short = (CountJob::new((), Totals::default()), Ledger::default());
            let mut long = (CountJob::new((), Totals::default()), Ledger::default());
            short.0.count(LinkType::ETHERNET, &frame, &mut short.1);
            long.0.count_any(LinkType::ETHERNET, &frame, &mut long.1);
            assert_eq!(short.0.counts, long.0.counts, "packet {number}: {bytes:02x?}");
            assert_eq!(short.1.malformed, long.1.malformed, "packet {number}: {bytes:02x?}");
        }
    }
}
