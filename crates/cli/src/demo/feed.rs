//! A generated market-data feed: order messages in MoldUDP64, over UDP multicast.
//!
//! Pure and seeded: the same seed gives the same packets. Messages have the layout of Nasdaq
//! TotalView-ITCH 5.0 (Add Order, Order Executed, Order Delete), packets that of MoldUDP64 1.00
//! (session, sequence number, message count, then each message behind its length).

use std::net::Ipv4Addr;
use tickwire_decode::checksum;
use tickwire_frame::Timestamp;

/// Where the feed goes: a multicast group, and a port.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(233, 54, 12, 111);
/// The UDP port of the feed.
pub const PORT: u16 = 26_477;
/// Who sends it.
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The link-layer address of the group (RFC 1112, 6.4), and of the sender.
const GROUP_MAC: [u8; 6] = [0x01, 0x00, 0x5e, 54, 12, 111];
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x77, 1];

const SESSION: &[u8; 10] = b"DEMO000001";
const STOCKS: [&[u8; 8]; 6] =
    [b"AAPL    ", b"MSFT    ", b"NVDA    ", b"AMZN    ", b"TSLA    ", b"INTC    "];
/// Messages in one packet.
const MESSAGES_MAX: u64 = 3;
const UDP_PROTOCOL: u8 = 17;
const IPV4_AT: usize = 14;
const UDP_AT: usize = 34;
const PAYLOAD_AT: usize = 42;

/// The header of MoldUDP64 (20), the length of the first message (2), and what all kinds of
/// message begin with (11), in bytes.
const HEAD_BYTES: usize = 33;

/// Nanoseconds since midnight, UTC.
pub fn nanos_of_day(time: Timestamp) -> u64 {
    time.as_nanos() % 86_400_000_000_000
}

/// The longest packet of the feed, in bytes.
pub const PACKET_BYTES_MAX: usize = 42 + 20 + 3 * (2 + 36);

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence number of its first message.
    pub sequence: u64,
    /// How many messages it has.
    pub count: u16,
    /// When it was made: nanoseconds since midnight, UTC, from its first message.
    pub nanos_of_day: u64,
}

impl Place {
    /// Of the payload of a UDP packet.
    pub fn of(payload: &[u8]) -> Option<Place> {
        let header = payload.first_chunk::<HEAD_BYTES>()?;
        let mut nanos = [0; 8];
        nanos[2..].copy_from_slice(&header[27..33]);
        Some(Place {
            sequence: u64::from_be_bytes(*header[10..].first_chunk()?),
            count: u16::from_be_bytes([header[18], header[19]]),
            nanos_of_day: u64::from_be_bytes(nanos),
        })
    }
}

/// The generator.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Sequence number of the next message.
    sequence: u64,
    identification: u16,
    order: u64,
    random: u64,
}

impl Feed {
    /// A feed that starts at message 1.
    pub fn new(seed: u64) -> Feed {
        Feed { sequence: 1, identification: 0, order: 1000, random: seed | 1 }
    }

    /// Builds the next packet in `frame`, in place of what was there.
    pub fn next(&mut self, time: Timestamp, frame: &mut Vec<u8>) {
        frame.clear();
        frame.extend_from_slice(&GROUP_MAC);
        frame.extend_from_slice(&SOURCE_MAC);
        frame.extend_from_slice(&0x0800u16.to_be_bytes());
        frame.resize(PAYLOAD_AT, 0);
        let count = 1 + self.random() % MESSAGES_MAX;
        frame.extend_from_slice(SESSION);
        frame.extend_from_slice(&self.sequence.to_be_bytes());
        frame.extend_from_slice(&(count as u16).to_be_bytes());
        for _ in 0..count {
            self.message(time, frame);
        }
        self.sequence += count;
        self.identification = self.identification.wrapping_add(1);
        headers(frame, self.identification);
    }

    /// Appends a message behind its length.
    fn message(&mut self, time: Timestamp, frame: &mut Vec<u8>) {
        let random = self.random();
        let stock = (random >> 8) as usize % STOCKS.len();
        let shares = (100 * (1 + (random >> 16) % 20)) as u32;
        let length_at = frame.len();
        frame.extend_from_slice(&[0, 0]);
        frame.push(match random % 100 {
            0..60 => b'A',
            60..85 => b'E',
            _ => b'D',
        });
        let kind = frame[length_at + 2];
        frame.extend_from_slice(&(stock as u16 + 1).to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        frame.extend_from_slice(&nanos_of_day(time).to_be_bytes()[2..]);
        if kind == b'A' {
            self.order += 1;
            frame.extend_from_slice(&self.order.to_be_bytes());
            frame.push(if random >> 40 & 1 == 0 { b'B' } else { b'S' });
            frame.extend_from_slice(&shares.to_be_bytes());
            frame.extend_from_slice(STOCKS[stock]);
            // Prices have four decimals: 150 to 160 dollars.
            let price = 1_500_000 + (random >> 24) as u32 % 1000 * 100;
            frame.extend_from_slice(&price.to_be_bytes());
        } else {
            let order = self.order - (random >> 32) % 1000;
            frame.extend_from_slice(&order.to_be_bytes());
        }
        if kind == b'E' {
            frame.extend_from_slice(&shares.to_be_bytes());
            frame.extend_from_slice(&self.sequence.to_be_bytes());
        }
        let length = (frame.len() - length_at - 2) as u16;
        frame[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// xorshift64* (Marsaglia, Vigna).
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

/// Fills in the IPv4 and UDP headers of a frame whose payload is complete.
fn headers(frame: &mut [u8], identification: u16) {
    let addresses = {
        let mut both = [0; 8];
        both[..4].copy_from_slice(&SOURCE.octets());
        both[4..].copy_from_slice(&GROUP.octets());
        both
    };
    let (ip_len, udp_len) = ((frame.len() - IPV4_AT) as u16, (frame.len() - UDP_AT) as u16);
    let ip = &mut frame[IPV4_AT..UDP_AT];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&ip_len.to_be_bytes());
    ip[4..6].copy_from_slice(&identification.to_be_bytes());
    ip[6] = 0x40;
    ip[8] = 16;
    ip[9] = UDP_PROTOCOL;
    ip[12..20].copy_from_slice(&addresses);
    let sum = checksum::internet(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = &mut frame[UDP_AT..];
    udp[..2].copy_from_slice(&PORT.to_be_bytes());
    udp[2..4].copy_from_slice(&PORT.to_be_bytes());
    udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
    let sum =
        checksum::pseudo_ipv4(&addresses, UDP_PROTOCOL, u32::from(udp_len)).over(udp).finish();
    // Zero would mean that there is no checksum (RFC 768).
    udp[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_decode::{Packet, five_tuple};
    use tickwire_frame::LinkType;

    #[test]
    fn packets_are_well_formed_and_follow_each_other() {
        let mut feed = Feed::new(7);
        let mut frame = Vec::new();
        let mut expected = 1;
        for _ in 0..10_000 {
            feed.next(Timestamp::from_nanos(1_700_000_000_000_000_001), &mut frame);
            assert!(frame.len() <= PACKET_BYTES_MAX);
            let packet = Packet::decode(LinkType::ETHERNET, &frame, frame.len() as u32);
            assert_eq!(packet.malformed(), None);
            let tuple = five_tuple(LinkType::ETHERNET, &frame).unwrap();
            assert_eq!((tuple.source_port, tuple.destination_port), (PORT, PORT));
            let payload = tuple.payload(&frame);
            let place = Place::of(payload).unwrap();
            assert_eq!(place.sequence, expected);
            assert_eq!(place.nanos_of_day, 80_000_000_000_001);
            expected += u64::from(place.count);
            messages_fill(&payload[20..], place.count);
        }
    }

    /// Every message has the length of its kind, and nothing follows the last.
    fn messages_fill(mut messages: &[u8], count: u16) {
        for _ in 0..count {
            let (length, rest) = messages.split_first_chunk::<2>().unwrap();
            let (message, rest) = rest.split_at(u16::from_be_bytes(*length).into());
            let wanted = match message[0] {
                b'A' => 36,
                b'E' => 31,
                b'D' => 19,
                other => panic!("message {other}"),
            };
            assert_eq!(message.len(), wanted);
            messages = rest;
        }
        assert!(messages.is_empty());
    }

    #[test]
    fn checksums_are_whole() {
        let mut frame = Vec::new();
        Feed::new(1).next(Timestamp::ZERO, &mut frame);
        assert_eq!(checksum::internet(&frame[IPV4_AT..UDP_AT]), 0);
        let addresses = frame[26..34].try_into().unwrap();
        let len = (frame.len() - UDP_AT) as u32;
        let sum = checksum::pseudo_ipv4(addresses, UDP_PROTOCOL, len).over(&frame[UDP_AT..]);
        assert!(sum.is_valid());
    }

    #[test]
    fn a_short_payload_has_no_place() {
        assert_eq!(Place::of(&[0; 32]), None);
    }
}
