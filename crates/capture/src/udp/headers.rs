//! The IP and UDP headers that a socket does not show, made from what it says.
//!
//! RFC 791, RFC 8200, RFC 768. What the socket does not say is 0: identification, flags and
//! fragment offset of IPv4 (the kernel has put the datagram together), the flow label of IPv6.
//! Options and extension headers are left out.

use std::net::{IpAddr, SocketAddr};

/// Bytes in front of a payload: a link header and the longer of the two header pairs.
pub(super) const HEADROOM: usize = ETHERNET_BYTES + IPV6_BYTES + UDP_BYTES;

const ETHERNET_BYTES: usize = 14;

const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const PROTOCOL_UDP: u8 = libc::IPPROTO_UDP as u8;

/// What the socket says of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver: the group, or an address of this machine.
    pub destination: SocketAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
}

/// Writes the headers in front of the payload and returns where the packet begins.
///
/// `bytes` is the headroom and the payload; `payload_bytes` is the length that the payload had,
/// more than there is when it was cut.
///
/// The UDP checksum is 0 over IPv4, "none" there; over IPv6, where 0 means a broken packet, it is
/// computed, and 0 only if the payload was cut.
pub(super) fn write(bytes: &mut [u8], payload_bytes: usize, said: &Said) -> usize {
    let udp_bytes = UDP_BYTES + payload_bytes;
    let (_, bytes) = bytes.split_at_mut(ETHERNET_BYTES);
    let (head, payload) = bytes.split_at_mut(HEADROOM - ETHERNET_BYTES);
    let (ip, udp) = head.split_at_mut(IPV6_BYTES);
    udp[..2].copy_from_slice(&said.source.port().to_be_bytes());
    udp[2..4].copy_from_slice(&said.destination.port().to_be_bytes());
    udp[4..6].copy_from_slice(&(udp_bytes as u16).to_be_bytes());
    udp[6..].fill(0);
    match (said.source.ip(), said.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let ip = &mut ip[IPV6_BYTES - IPV4_BYTES..];
            ip.fill(0);
            ip[..2].copy_from_slice(&[0x45, said.tos]);
            ip[2..4].copy_from_slice(&((IPV4_BYTES + udp_bytes) as u16).to_be_bytes());
            ip[8..10].copy_from_slice(&[said.ttl, PROTOCOL_UDP]);
            ip[12..16].copy_from_slice(&source.octets());
            ip[16..].copy_from_slice(&destination.octets());
            let checksum = !fold(sum(ip));
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            ETHERNET_BYTES + IPV6_BYTES - IPV4_BYTES
        }
        (source, destination) => {
            ip[..4].copy_from_slice(&[0x60 | said.tos >> 4, said.tos << 4, 0, 0]);
            ip[4..6].copy_from_slice(&(udp_bytes as u16).to_be_bytes());
            ip[6..8].copy_from_slice(&[PROTOCOL_UDP, said.ttl]);
            ip[8..24].copy_from_slice(&octets(source));
            ip[24..].copy_from_slice(&octets(destination));
            if payload.len() == payload_bytes {
                let pseudo = sum(&ip[8..]) + udp_bytes as u64 + u64::from(PROTOCOL_UDP);
                let checksum = match !fold(pseudo + sum(udp) + sum(payload)) {
                    0 => 0xffff,
                    checksum => checksum,
                };
                udp[6..].copy_from_slice(&checksum.to_be_bytes());
            }
            ETHERNET_BYTES
        }
    }
}

/// Puts an Ethernet header in front of the packet that begins at `start`: its addresses are zero,
/// its EtherType is right. Returns where the frame begins.
pub(super) fn write_link(bytes: &mut [u8], start: usize) -> usize {
    let ethertype = if bytes[start] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let header = &mut bytes[start - ETHERNET_BYTES..start];
    header[..12].fill(0);
    header[12..].copy_from_slice(&ethertype);
    start - ETHERNET_BYTES
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The sum of the 16-bit words (RFC 1071), not folded; an odd byte counts as the upper half.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |&byte| u64::from(byte) << 8);
    odd + words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: &str, destination: &str, payload: &[u8], length: usize) -> Vec<u8> {
        let mut bytes = [&[0xaa; HEADROOM], payload].concat();
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let start = write(&mut bytes, length, &Said { source, destination, ttl: 7, tos: 0xb8 });
        bytes[start..].to_vec()
    }

    #[test]
    fn ipv4_headers_are_whole() {
        let packet = packet("10.0.0.1:4000", "239.1.1.1:5000", b"tick", 4);
        let expected = [
            0x45, 0xb8, 0, 32, 0, 0, 0, 0, 7, 17, 0xb9, 0x12, 10, 0, 0, 1, 239, 1, 1, 1, //
            0x0f, 0xa0, 0x13, 0x88, 0, 12, 0, 0, b't', b'i', b'c', b'k',
        ];
        assert_eq!(fold(sum(&packet[..IPV4_BYTES])), 0xffff, "a sum over a right checksum");
        assert_eq!(packet, expected);
    }

    #[test]
    fn ipv6_has_a_checksum_also_over_odd_lengths() {
        for payload in [&b"tick"[..], b"ticks", b""] {
            let packet = packet("[fd00::1]:4000", "[ff15::1]:5000", payload, payload.len());
            assert_eq!(packet[..8], [0x6b, 0x80, 0, 0, 0, 8 + payload.len() as u8, 17, 7]);
            let pseudo = sum(&packet[8..40]) + (8 + payload.len()) as u64 + 17;
            assert_eq!(fold(pseudo + sum(&packet[40..])), 0xffff);
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        // The payload is what the sum of everything else lacks to all ones.
        let rest = packet("[fd00::1]:1", "[fd00::2]:2", &[0, 0], 2);
        let lacking = [rest[46], rest[47]];
        let whole = packet("[fd00::1]:1", "[fd00::2]:2", &lacking, 2);
        assert_eq!(whole[46..48], [0xff, 0xff]);
    }

    #[test]
    fn a_link_header_says_which_ip_it_is() {
        for (address, ethertype) in [("10.0.0.1:1", [8, 0]), ("[fd00::1]:1", [0x86, 0xdd])] {
            let mut bytes = vec![0xaa; HEADROOM];
            let address = address.parse().unwrap();
            let said = Said { source: address, destination: address, ttl: 7, tos: 0 };
            let start = write(&mut bytes, 0, &said);
            let packet = bytes[start..].to_vec();
            let at = write_link(&mut bytes, start);
            assert_eq!(
                (&bytes[at + 12..at + 14], &bytes[at + 14..]),
                (&ethertype[..], &packet[..])
            );
        }
    }

    #[test]
    fn a_cut_payload_keeps_its_length() {
        let packet = packet("[fd00::1]:1", "[fd00::2]:2", b"tick", 1000);
        assert_eq!(
            (packet[4..6].to_vec(), packet[44..48].to_vec()),
            (vec![3, 240], vec![3, 240, 0, 0])
        );
    }
}
