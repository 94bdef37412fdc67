//! Numbered packets: UDP over IPv4 or IPv6 that carry a sequence number and the time of sending.
//!
//! What the payload holds is up to its [`Message`]. A [`Template`] holds the constant part of the
//! frame and of its checksum, so that one more packet costs 20 bytes and a few additions.

use crate::message::{MAGIC, Message};
use crate::{End, Mac};
use std::net::IpAddr;

/// Longest frame that can be asked for, in bytes.
pub const FRAME_BYTES_MAX: usize = 9018;
/// Most flows that can be asked for: as many as there are source ports from the first one on.
pub const FLOWS_MAX: u16 = 4096;
/// Source port of the first flow, unless said otherwise.
pub const SOURCE_PORT_FIRST: u16 = 40_000;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const PROTOCOL_UDP: u8 = 17;
const UDP_BYTES: usize = 8;
/// Of a header without options.
const IPV4_BYTES: usize = 20;

/// What numbered packets look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Source and destination link-layer address.
    pub macs: (Mac, Mac),
    /// Source and destination address, both IPv4 or both IPv6.
    pub addresses: (IpAddr, IpAddr),
    /// Destination port.
    pub port: u16,
    /// Source port of the first flow.
    pub source_port: u16,
    /// How many source ports take turns: packet n has `source_port` + n mod `flows`.
    pub flows: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// VLAN tags, the outer one first; two are 802.1ad with 802.1Q inside.
    pub vlans: Vec<u16>,
    /// Length of each frame in bytes, without the checksum of the wire.
    pub frame_bytes: usize,
    /// Whether the UDP checksum is filled in; IPv6 needs it.
    pub checksum: bool,
    /// What the payload says.
    pub message: Message,
    /// Number of the first packet.
    pub first: u64,
}

impl Numbered {
    /// IPv4 packets of 94 bytes from one end of a lab to the other, one flow, port 5000.
    pub fn between(from: &End, to: &End) -> Self {
        Numbered {
            macs: (from.mac(), to.mac()),
            addresses: (from.ipv4().into(), to.ipv4().into()),
            port: 5000,
            source_port: SOURCE_PORT_FIRST,
            flows: 1,
            ttl: 64,
            vlans: Vec::new(),
            frame_bytes: 94,
            checksum: true,
            message: Message::Numbered,
            first: 0,
        }
    }

    /// The same over IPv6.
    pub fn between_v6(from: &End, to: &End) -> Self {
        let addresses = (from.ipv6().into(), to.ipv6().into());
        Numbered { addresses, ..Self::between(from, to) }
    }

    /// Length of the headers in front of the payload, in bytes.
    pub fn header_bytes(&self) -> usize {
        let ip = if self.addresses.0.is_ipv4() { 20 } else { 40 };
        14 + 4 * self.vlans.len() + ip + UDP_BYTES
    }

    /// Builds the constant part.
    ///
    /// # Panics
    /// When the lengths, flows, tags or address families are impossible: a bug of the caller.
    pub fn template(&self) -> Template {
        let bytes_min = self.header_bytes() + self.message.bytes_min();
        assert!(
            (bytes_min..=FRAME_BYTES_MAX).contains(&self.frame_bytes),
            "a frame of {} bytes; it can have {bytes_min} to {FRAME_BYTES_MAX}",
            self.frame_bytes
        );
        assert!((1..=FLOWS_MAX).contains(&self.flows), "{} flows", self.flows);
        assert!(self.source_port.checked_add(self.flows - 1).is_some(), "no more ports");
        assert!(self.vlans.len() <= 2, "{} VLAN tags", self.vlans.len());
        let mut bytes = Vec::with_capacity(self.frame_bytes);
        self.put_ethernet(&mut bytes);
        self.put_ip(&mut bytes);
        let udp = bytes.len();
        let udp_len = (self.frame_bytes - udp) as u16;
        for word in [0, self.port, udp_len, 0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let payload = bytes.len();
        self.message.put(&mut bytes, self.frame_bytes - payload);
        let address_bytes = if self.addresses.0.is_ipv4() { 8 } else { 32 };
        let number = self.message.number();
        let (before, after) = (payload + number.start, payload + number.end);
        let sum = pseudo_header(&bytes, udp, address_bytes)
            + sum(&bytes[udp..before])
            + sum(&bytes[after..]);
        let checksum = self.checksum || self.addresses.0.is_ipv6();
        let Numbered { source_port, flows, message, .. } = *self;
        Template { bytes, udp, sum, checksum, source_port, flows, message }
    }

    fn put_ethernet(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.macs.1);
        bytes.extend_from_slice(&self.macs.0);
        for (depth, vlan) in self.vlans.iter().enumerate() {
            let outer = depth == 0 && self.vlans.len() == 2;
            let kind = if outer { ETHERTYPE_QINQ } else { ETHERTYPE_VLAN };
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&vlan.to_be_bytes());
        }
    }

    fn put_ip(&self, bytes: &mut Vec<u8>) {
        match self.addresses {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
                let start = bytes.len();
                let total = (self.frame_bytes - start) as u16;
                // Version and header words, TOS, length; no identification, don't fragment;
                // TTL, protocol, checksum.
                let ttl = u16::from(self.ttl) << 8;
                for word in [0x4500, total, 0, 0x4000, ttl | u16::from(PROTOCOL_UDP), 0] {
                    bytes.extend_from_slice(&word.to_be_bytes());
                }
                bytes.extend_from_slice(&from.octets());
                bytes.extend_from_slice(&to.octets());
                let checksum = !fold(sum(&bytes[start..]));
                bytes[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                bytes.extend_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
                let payload = (self.frame_bytes - bytes.len() - 40) as u16;
                bytes.extend_from_slice(&[0x60, 0, 0, 0]);
                bytes.extend_from_slice(&payload.to_be_bytes());
                bytes.extend_from_slice(&[PROTOCOL_UDP, self.ttl]);
                bytes.extend_from_slice(&from.octets());
                bytes.extend_from_slice(&to.octets());
            }
            (from, to) => panic!("{from} and {to} are of different families"),
        }
    }
}

/// The constant part of numbered packets. [`fill`](Self::fill) makes a packet of it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The frame with source port, checksum, number and time 0.
    pub(crate) bytes: Vec<u8>,
    /// Where the UDP header starts.
    pub(crate) udp: usize,
    /// Sum of the pseudo header and of the datagram in `bytes` without its number, not folded.
    pub(crate) sum: u32,
    /// Whether the UDP checksum is filled in.
    pub(crate) checksum: bool,
    /// Source port of the first flow.
    pub(crate) source_port: u16,
    /// How many source ports take turns.
    pub(crate) flows: u16,
    /// What the payload says.
    pub(crate) message: Message,
}

impl Template {
    /// The frame with source port, checksum, number and time 0.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the payload starts, in bytes from the start of the frame.
    pub fn payload(&self) -> usize {
        self.udp + UDP_BYTES
    }

    /// The source port of packet `sequence`.
    pub fn source_port(&self, sequence: u64) -> u16 {
        self.source_port + (sequence % u64::from(self.flows)) as u16
    }

    /// Makes `frame`, which holds this template or an older packet of it, packet `sequence`, sent
    /// at `sent_ns` (nanoseconds since the Unix epoch).
    ///
    /// # Panics
    /// When `frame` is shorter than the template.
    pub fn fill(&self, frame: &mut [u8], sequence: u64, sent_ns: u64) {
        let (udp, payload) = (self.udp, self.payload());
        let port = self.source_port(sequence);
        frame[udp..udp + 2].copy_from_slice(&port.to_be_bytes());
        self.message.write(&mut frame[payload..], sequence, sent_ns);
        if self.checksum {
            let added = sum(&frame[payload..][self.message.number()]);
            // 0 would mean "no checksum" (RFC 768).
            let checksum = match !fold(self.sum + added + u32::from(port)) {
                0 => 0xffff,
                checksum => checksum,
            };
            frame[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// Packet `sequence` as a frame of its own.
    pub fn frame(&self, sequence: u64, sent_ns: u64) -> Vec<u8> {
        let mut frame = self.bytes.clone();
        self.fill(&mut frame, sequence, sent_ns);
        frame
    }
}

/// What a numbered packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its sequence number.
    pub sequence: u64,
    /// When it was sent, in nanoseconds since the Unix epoch.
    pub sent_ns: u64,
    /// Its source port.
    pub source_port: u16,
    /// Its destination port.
    pub port: u16,
    /// Whether its UDP checksum is right, or absent where it may be, and that of its IPv4 header.
    pub checksum_right: bool,
}

impl Number {
    /// Reads the number of a frame (from the Ethernet header on); `None` when it is no numbered
    /// packet, or cut.
    pub fn of_frame(frame: &[u8]) -> Option<Number> {
        let (udp, address_bytes) = find_udp(frame)?;
        let len = usize::from(word(frame, udp + 4)?);
        let datagram = frame.get(udp..udp + len)?;
        let (sequence, sent_ns) = Self::of_payload(datagram.get(UDP_BYTES..)?)?;
        let (source_port, port) = (word(datagram, 0)?, word(datagram, 2)?);
        let v4 = address_bytes == 8;
        let absent = v4 && word(datagram, 6)? == 0;
        let right = || fold(pseudo_header(frame, udp, address_bytes) + sum(datagram)) == 0xffff;
        let header_right = !v4 || fold(sum(&frame[udp - IPV4_BYTES..udp])) == 0xffff;
        let checksum_right = header_right && (absent || right());
        Some(Number { sequence, sent_ns, source_port, port, checksum_right })
    }

    /// Reads sequence number and time of a UDP payload.
    pub fn of_payload(payload: &[u8]) -> Option<(u64, u64)> {
        let long = |at: usize| Some(u64::from_be_bytes(payload.get(at..at + 8)?.try_into().ok()?));
        let magic = u32::from_be_bytes(payload.get(..4)?.try_into().ok()?);
        if magic == MAGIC { Some((long(4)?, long(12)?)) } else { None }
    }
}

/// Where the UDP header is in a frame of ours (tags, then IP without options), and how many bytes
/// the two addresses in front of it have.
fn find_udp(frame: &[u8]) -> Option<(usize, usize)> {
    let mut at = 12;
    while matches!(word(frame, at)?, ETHERTYPE_VLAN | ETHERTYPE_QINQ) {
        at += 4;
    }
    let ip = frame.get(at + 2..)?;
    match word(frame, at)? {
        ETHERTYPE_IPV4 if ip.first() == Some(&0x45) => {
            (ip.get(9) == Some(&PROTOCOL_UDP)).then_some((at + 22, 8))
        }
        ETHERTYPE_IPV6 => (ip.get(6) == Some(&PROTOCOL_UDP)).then_some((at + 42, 32)),
        _ => None,
    }
}

/// Sum of the pseudo header of the UDP datagram at `udp` (RFC 768, RFC 8200 section 8.1): the
/// addresses, which end where UDP starts, the protocol and the length.
fn pseudo_header(frame: &[u8], udp: usize, address_bytes: usize) -> u32 {
    let len = word(frame, udp + 4).unwrap_or_default();
    sum(&frame[udp - address_bytes..udp]) + u32::from(PROTOCOL_UDP) + u32::from(len)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The sum of big-endian words, the last padded with zero; 9 KiB cannot overflow it.
fn sum(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low))).sum()
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn numbered(v6: bool, vlans: &[u16], frame_bytes: usize) -> Numbered {
        let address = |last: u8| -> IpAddr {
            if v6 {
                Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into()
            } else {
                [10, 0, 0, last].into()
            }
        };
        Numbered {
            macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            addresses: (address(1), address(2)),
            port: 5000,
            source_port: SOURCE_PORT_FIRST,
            flows: 7,
            ttl: 64,
            vlans: vlans.to_vec(),
            frame_bytes,
            checksum: true,
            message: Message::Numbered,
            first: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for v6 in [false, true] {
            for vlans in [&[][..], &[5], &[100, 200]] {
                for frame_bytes in [90, 95, 1514, FRAME_BYTES_MAX] {
                    let template = numbered(v6, vlans, frame_bytes).template();
                    for sequence in [0, 1, 6, 7, u64::MAX - 1] {
                        let frame = template.frame(sequence, 0x1234_5678_9abc_def0);
                        assert_eq!(frame.len(), frame_bytes);
                        let number = Number::of_frame(&frame).unwrap();
                        assert_eq!(number.sequence, sequence);
                        assert_eq!(number.sent_ns, 0x1234_5678_9abc_def0);
                        assert_eq!(number.source_port, 40_000 + (sequence % 7) as u16);
                        assert_eq!(number.port, 5000);
                        assert!(number.checksum_right);
                    }
                }
            }
        }
    }

    #[test]
    fn frames_can_have_64_bytes() {
        assert!(Number::of_frame(&numbered(false, &[], 64).template().frame(1, 2)).is_some());
    }

    #[test]
    fn a_flipped_bit_makes_the_checksum_wrong() {
        let mut frame = numbered(false, &[], 94).template().frame(77, 88);
        for at in [93, 22] {
            frame[at] ^= 1;
            assert!(!Number::of_frame(&frame).unwrap().checksum_right, "byte {at}");
            frame[at] ^= 1;
        }
        let without = Numbered { checksum: false, ..numbered(false, &[], 94) };
        assert!(Number::of_frame(&without.template().frame(77, 88)).unwrap().checksum_right);
    }

    #[test]
    fn trades_have_whole_checksums_too() {
        for v6 in [false, true] {
            let trade = Numbered { message: Message::Trade, ..numbered(v6, &[], 251) };
            let template = trade.template();
            let mut frame = template.bytes().to_vec();
            for sequence in [0, 1, 9_876_543_210] {
                template.fill(&mut frame, sequence, 1);
                let payload = &frame[template.payload()..];
                assert_eq!(Message::Trade.read(payload), Some(sequence));
                let (udp, address_bytes) = find_udp(&frame).unwrap();
                let whole = pseudo_header(&frame, udp, address_bytes) + sum(&frame[udp..]);
                assert_eq!(fold(whole), 0xffff);
            }
        }
    }

    #[test]
    fn market_data_has_whole_checksums_too() {
        for message in [Message::Nanonet, Message::NanonetBig, Message::HftTick] {
            for v6 in [false, true] {
                let plain = numbered(v6, &[], 94);
                let frame_bytes = plain.header_bytes() + message.bytes_min();
                let template = Numbered { message, frame_bytes, ..plain }.template();
                let mut frame = template.bytes().to_vec();
                for sequence in [0, 1, 77, u64::MAX] {
                    template.fill(&mut frame, sequence, sequence);
                    let (udp, address_bytes) = find_udp(&frame).unwrap();
                    let whole = pseudo_header(&frame, udp, address_bytes) + sum(&frame[udp..]);
                    assert_eq!(fold(whole), 0xffff, "{message:?} {sequence}");
                }
            }
        }
    }

    #[test]
    fn the_ipv4_header_sums_up() {
        let frame = numbered(false, &[9], 100).template().frame(0, 0);
        assert_eq!(fold(sum(&frame[18..38])), 0xffff);
    }

    #[test]
    fn other_and_cut_frames_have_no_number() {
        let frame = numbered(true, &[1], 94).template().frame(3, 4);
        for len in 0..frame.len() {
            assert_eq!(Number::of_frame(&frame[..len]), None, "{len}");
        }
        let mut other = frame;
        other[66] ^= 1;
        assert_eq!(Number::of_frame(&other), None);
    }

    #[test]
    #[should_panic(expected = "it can have 82 to 9018")]
    fn too_short_frames_are_a_bug_of_the_caller() {
        numbered(true, &[], 81).template();
    }
}
