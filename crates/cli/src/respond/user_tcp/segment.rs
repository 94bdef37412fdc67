//! The TCP segment in a frame, checked.

use std::net::SocketAddr;
use tickwire_decode::checksum::{Sum, pseudo_ipv4, pseudo_ipv6};
use tickwire_decode::{Ethernet, Ipv4, Ipv6, Tcp, Vlan, ethertype, protocol::ip};
use tickwire_frame::{LinkType, Reason};

/// VLAN tags that are looked through, as in the XDP program in front of the port.
const VLAN_TAGS_MAX: usize = 2;

/// A segment whose lengths and checksums are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// From the IP header to the end of the segment, without padding.
    pub packet: &'a [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// Where it was sent.
    pub destination: SocketAddr,
}

impl<'a> Segment<'a> {
    /// The segment in the frame `bytes`.
    ///
    /// # Errors
    /// [`Reason::NotSelected`] for a frame that holds something else, and what is wrong with one
    /// that holds a segment.
    pub fn parse(link: LinkType, bytes: &'a [u8]) -> Result<Segment<'a>, Reason> {
        if link != LinkType::ETHERNET {
            return Err(Reason::NotSelected);
        }
        let ethernet = Ethernet::parse(bytes)?;
        let (mut kind, mut packet) = (ethernet.type_or_length(), ethernet.payload());
        for _ in 0..VLAN_TAGS_MAX {
            if ethertype::is_vlan(kind) {
                let tag = Vlan::parse(kind, packet)?;
                (kind, packet) = (tag.ethertype(), tag.payload());
            }
        }
        match kind {
            ethertype::IPV4 => ipv4(packet),
            ethertype::IPV6 => ipv6(packet),
            _ => Err(Reason::NotSelected),
        }
    }
}

fn ipv4(packet: &[u8]) -> Result<Segment<'_>, Reason> {
    let header = Ipv4::parse(packet)?;
    if header.protocol() != ip::TCP {
        return Err(Reason::NotSelected);
    }
    if header.is_fragment() {
        return Err(Reason::Fragment);
    }
    if !header.checksum_is_valid() {
        return Err(Reason::Ipv4BadChecksum);
    }
    let segment = header.payload();
    if header.payload_len() != Some(segment.len()) {
        return Err(Reason::Ipv4LengthBeyondPacket);
    }
    let tcp = checked(segment, pseudo_ipv4(&header.addresses(), ip::TCP, segment.len() as u32))?;
    Ok(Segment {
        packet: &packet[..header.header_len() + segment.len()],
        source: (header.source(), tcp.source_port()).into(),
        destination: (header.destination(), tcp.destination_port()).into(),
    })
}

fn ipv6(packet: &[u8]) -> Result<Segment<'_>, Reason> {
    let header = Ipv6::parse(packet)?;
    if header.next_header() != ip::TCP {
        return Err(Reason::NotSelected);
    }
    let segment = header.payload();
    if usize::from(header.payload_length_field()) != segment.len() {
        return Err(Reason::Ipv6LengthBeyondPacket);
    }
    let tcp = checked(segment, pseudo_ipv6(&header.addresses(), ip::TCP, segment.len() as u32))?;
    Ok(Segment {
        packet: &packet[..Ipv6::LEN + segment.len()],
        source: (header.source(), tcp.source_port()).into(),
        destination: (header.destination(), tcp.destination_port()).into(),
    })
}

/// The segment with its checksum checked. One that was left to hardware and never filled in passes:
/// what stands there is the sum of the pseudo header alone, as Linux leaves it between two ends of
/// one machine (XDP does not say so).
fn checked(segment: &[u8], pseudo: Sum) -> Result<Tcp<'_>, Reason> {
    let tcp = Tcp::parse(segment)?;
    let partial = tcp.checksum() == !pseudo.finish();
    if partial || tcp.checksum_is_valid(pseudo) { Ok(tcp) } else { Err(Reason::TcpBadChecksum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_decode::checksum::internet;

    /// Ethernet with `tags` VLAN tags, IPv4 with right checksums, `payload`, padding.
    fn frame(tags: usize, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for _ in 0..tags {
            frame.extend([0x81, 0, 0, 7]);
        }
        let total = (40 + payload.len()) as u8;
        let mut header = vec![0x45, 0, 0, total, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1];
        header.extend([10, 0, 0, 2]);
        let sum = internet(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut tcp = vec![0x0f, 0xa0, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0];
        tcp.extend([0; 4]);
        tcp.extend(payload);
        let pseudo = pseudo_ipv4(&[10, 0, 0, 1, 10, 0, 0, 2], 6, tcp.len() as u32);
        let sum = pseudo.over(&tcp).finish();
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        frame.extend([8, 0]);
        frame.extend(header);
        frame.extend(tcp);
        frame.extend([0xee; 6]);
        frame
    }

    fn parse(frame: &[u8]) -> Result<Segment<'_>, Reason> {
        Segment::parse(LinkType::ETHERNET, frame)
    }

    #[test]
    fn segments_are_found_behind_tags_and_without_padding() {
        for tags in 0..=VLAN_TAGS_MAX {
            let frame = frame(tags, b"order");
            let segment = parse(&frame).unwrap();
            assert_eq!(segment.packet, &frame[14 + 4 * tags..frame.len() - 6]);
            assert_eq!(segment.source, "10.0.0.1:4000".parse().unwrap());
            assert_eq!(segment.destination, "10.0.0.2:8080".parse().unwrap());
        }
        assert_eq!(parse(&frame(3, b"order")), Err(Reason::NotSelected));
    }

    #[test]
    fn what_is_wrong_is_named_and_partial_checksums_pass() {
        let whole = frame(0, b"order");
        for (offset, bits, reason) in [
            (23, 1, Reason::NotSelected),
            (12, 1, Reason::NotSelected),
            (20, 0x20, Reason::Fragment),
            (26, 1, Reason::Ipv4BadChecksum),
            (34, 1, Reason::TcpBadChecksum),
            (54, 1, Reason::TcpBadChecksum),
            (46, 0x40, Reason::TcpBadDataOffset),
        ] {
            let mut other = whole.clone();
            other[offset] ^= bits;
            assert_eq!(parse(&other), Err(reason), "{offset}");
        }
        let mut partial = whole.clone();
        let pseudo = pseudo_ipv4(&[10, 0, 0, 1, 10, 0, 0, 2], 6, 25);
        partial[50..52].copy_from_slice(&(!pseudo.finish()).to_be_bytes());
        assert!(parse(&partial).is_ok());
        // Cut anywhere, it is an error and no panic.
        for len in 0..whole.len() - 6 {
            assert!(parse(&whole[..len]).is_err(), "cut to {len}");
        }
    }
}
