//! The job behind the summary: what the packets are, and which are malformed.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tickwire_capture::file::{InterfaceStatistics, WriterTotals};
use tickwire_decode::protocol::{ip, port};
use tickwire_decode::{Addresses, FiveTuple, Layer, Packet, five_tuple};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Kind, Ledger, LinkType, Mask};

/// What packets are counted as: the outermost network protocol, and the outermost protocol above.
const PROTOCOLS: [&str; 12] = [
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
    "other_transport",
];
const IPV4: usize = 0;
const IPV6: usize = 1;
const OTHER_NETWORK: usize = 3;
const UDP: usize = 4;
const OTHER_TRANSPORT: usize = 11;

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
        match five_tuple(link, frame.bytes) {
            Ok(tuple) if is_whole_udp(link, frame.bytes, &tuple) => {
                self.counts[network(&tuple.addresses)] += 1;
                self.counts[UDP] += 1;
            }
            _ => self.count_any(link, frame, ledger),
        }
    }

    /// Any packet, by all its layers: options, tunnels and every fault.
    #[inline(never)]
    fn count_any(&mut self, link: LinkType, frame: &Frame<'_>, ledger: &mut Ledger) {
        let packet = Packet::decode(link, frame.bytes, frame.wire_len);
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

fn network(addresses: &Addresses) -> usize {
    if matches!(addresses, Addresses::V4 { .. }) { IPV4 } else { IPV6 }
}

fn network_of(layer: &Layer<'_>) -> Option<usize> {
    let name = layer.name();
    PROTOCOLS[..OTHER_NETWORK].iter().position(|&protocol| protocol == name)
}

fn transport_of(layer: &Layer<'_>) -> Option<usize> {
    let name = layer.name();
    let above = PROTOCOLS[UDP..OTHER_TRANSPORT].iter().position(|&protocol| protocol == name);
    above.map(|index| UDP + index)
}

/// Whether the packet is what most market data is, and well: Ethernet with at most one VLAN tag,
/// IPv4 or IPv6 without options, captured whole, and UDP that is no tunnel. Where the payload
/// begins tells the shape: no other one has its payload there.
#[inline]
fn is_whole_udp(link: LinkType, bytes: &[u8], tuple: &FiveTuple) -> bool {
    let tunnel = |number| number == port::VXLAN || number == port::GENEVE;
    if link != LinkType::ETHERNET
        || tuple.protocol != ip::UDP
        || tunnel(tuple.destination_port)
        || tunnel(tuple.source_port)
    {
        return false;
    }
    let be16 = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let end = match (&tuple.addresses, tuple.payload_offset) {
        (Addresses::V4 { .. }, 42) => 14 + usize::from(be16(16)),
        (Addresses::V4 { .. }, 46) if be16(12) == 0x8100 => 18 + usize::from(be16(20)),
        (Addresses::V6 { .. }, 62) => 54 + usize::from(be16(18)),
        (Addresses::V6 { .. }, 66) if be16(12) == 0x8100 => 58 + usize::from(be16(22)),
        _ => return false,
    };
    end <= bytes.len()
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

    /// Ethernet, IPv4, UDP, four bytes of payload.
    fn udp_packet() -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0x30, 0x39, 0x13, 0x88, 0, 12, 0, 0, 1, 2, 3, 4]);
        bytes
    }

    fn count(packets: &[Vec<u8>]) -> (Vec<(&'static str, u64)>, Ledger) {
        let totals = Totals::default();
        let mut job = CountJob::new((), totals.clone());
        let mut batch = Batch::new();
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
        let tuple = five_tuple(LinkType::ETHERNET, &packet).expect("it is UDP");
        assert!(is_whole_udp(LinkType::ETHERNET, &packet, &tuple));
        let (protocols, ledger) = count(&[packet]);
        assert_eq!(protocols, [("ipv4", 1), ("udp", 1)]);
        assert_eq!((ledger.delivered, ledger.difference(), ledger.malformed.total()), (1, 0, 0));
    }

    #[test]
    fn a_length_beyond_the_packet_is_found() {
        let mut packet = udp_packet();
        packet[17] = 200;
        let (protocols, ledger) = count(&[packet, vec![1, 2, 3]]);
        assert_eq!(protocols, [("ipv4", 1), ("other_network", 1), ("udp", 1)]);
        assert_eq!(ledger.malformed[Reason::Ipv4LengthBeyondPacket], 1);
        assert_eq!(ledger.malformed[Reason::TruncatedEthernet], 1);
        assert_eq!(ledger.delivered, 2);
    }
}
