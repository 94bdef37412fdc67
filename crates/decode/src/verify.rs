//! The checksums of a packet: right, wrong, or not to be told.

use crate::checksum::{Sum, pseudo_ipv4, pseudo_ipv6};
use crate::protocol::ip;
use crate::{Cause, Fault, Layer, Packet};
use tickwire_frame::{Flags, Reason};

/// What is to be said of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is right.
    Valid,
    /// It is wrong.
    Invalid,
    /// The sender did not compute one (UDP, 0).
    Absent,
    /// The sender left it to hardware that the packet had not reached when it was captured.
    Partial,
    /// Bytes that it covers are missing: cut by the capture, or in other fragments.
    Unknown,
}

/// The sum of the pseudo header, and whether all of the layer-4 packet is there.
struct Around {
    pseudo: Sum,
    whole: bool,
}

impl Packet<'_> {
    /// The verdict on the checksum of layer `index`, `None` when that layer has none or there is no
    /// such layer. `flags` are the frame's: they say what the sender or the card left undone.
    pub fn checksum(&self, index: usize, flags: Flags) -> Option<Verdict> {
        let layer = self.layers().get(index)?;
        if let Layer::Ipv4(ip) = layer {
            // A packet that the card still cuts into segments: it fills in length and checksum.
            let valid = ip.total_len() == 0 || ip.checksum_is_valid();
            return Some(if valid { Verdict::Valid } else { Verdict::Invalid });
        }
        let len = match layer {
            Layer::Udp(udp) => 8 + udp.payload().len(),
            Layer::Tcp(tcp) => tcp.header_len() + tcp.payload().len(),
            Layer::Icmpv6(icmpv6) => 4 + icmpv6.body().len(),
            Layer::Icmp(_) | Layer::Igmp(_) | Layer::Sctp(_) => 0,
            _ => return None,
        };
        if flags.contains(Flags::CHECKSUM_PARTIAL) {
            return Some(Verdict::Partial);
        }
        let around = self.around(index, len as u32)?;
        let whole = around.whole;
        let valid = match layer {
            Layer::Udp(udp) if udp.checksum() == 0 => return Some(Verdict::Absent),
            Layer::Udp(udp) if whole && udp.payload_len() == Some(udp.payload().len()) => {
                udp.checksum_is_valid(around.pseudo)
            }
            Layer::Tcp(tcp) if whole => tcp.checksum_is_valid(around.pseudo),
            Layer::Icmpv6(icmpv6) if whole => icmpv6.checksum_is_valid(around.pseudo),
            Layer::Icmp(icmp) if whole => icmp.checksum_is_valid(),
            Layer::Igmp(igmp) if whole => igmp.checksum_is_valid(),
            Layer::Sctp(sctp) if whole => sctp.checksum() == sctp.expected_checksum(),
            _ => return Some(Verdict::Unknown),
        };
        Some(if valid { Verdict::Valid } else { Verdict::Invalid })
    }

    /// The IP layer around layer `index`, which carries a layer-4 packet of `len` bytes.
    fn around(&self, index: usize, len: u32) -> Option<Around> {
        let mut protocol = match self.layers().get(index)? {
            Layer::Udp(_) => ip::UDP,
            Layer::Tcp(_) => ip::TCP,
            _ => ip::ICMPV6,
        };
        let mut whole = true;
        for layer in self.layers()[..index].iter().rev() {
            match layer {
                Layer::Ipv4(ip) => {
                    let payload_len = ip.payload().len();
                    whole &= !ip.is_fragment()
                        && ip.total_len() != 0
                        && ip.payload_len() == Some(payload_len);
                    let pseudo = pseudo_ipv4(&ip.addresses(), protocol, len);
                    return Some(Around { pseudo, whole });
                }
                Layer::Ipv6(ip) => {
                    whole &=
                        ip.payload_length_field() != 0 && ip.payload_len() == ip.payload().len();
                    let pseudo = pseudo_ipv6(&ip.addresses(), protocol, len);
                    return Some(Around { pseudo, whole });
                }
                Layer::Ah(_) => {}
                Layer::Ipv6Extensions(chain) => {
                    protocol = chain.protocol();
                    // A routing header that is not used up hides the last destination, which is
                    // the one in the pseudo header (RFC 8200, 8.1).
                    let routed =
                        chain.headers().any(|(kind, bytes)| kind == ip::ROUTING && bytes[3] > 0);
                    whole &= !routed && !chain.fragment().is_some_and(|part| part.is_fragment());
                }
                _ => return None,
            }
        }
        None
    }

    /// The first wrong checksum, outermost layer first.
    pub fn bad_checksum(&self, flags: Flags) -> Option<Fault> {
        let mut offset = 0;
        for (index, layer) in self.layers().iter().enumerate() {
            if self.checksum(index, flags) == Some(Verdict::Invalid) {
                let reason = match layer {
                    Layer::Ipv4(_) => Reason::Ipv4BadChecksum,
                    Layer::Tcp(_) => Reason::TcpBadChecksum,
                    Layer::Udp(_) => Reason::UdpBadChecksum,
                    Layer::Icmp(_) => Reason::IcmpBadChecksum,
                    Layer::Icmpv6(_) => Reason::Icmpv6BadChecksum,
                    Layer::Igmp(_) => Reason::IgmpBadChecksum,
                    _ => Reason::SctpBadChecksum,
                };
                return Some(Fault { reason, cause: Cause::Packet, layer: index, offset });
            }
            offset += layer.header_len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::LinkType;

    fn verdict(bytes: &[u8], wire_len: usize, index: usize) -> Option<Verdict> {
        Packet::decode(LinkType::RAW, bytes, wire_len as u32).checksum(index, Flags::NONE)
    }

    /// IPv4 and UDP with `hi`, both checksums right.
    const DATAGRAM: &[u8; 30] = b"\x45\0\0\x1e\0\0\0\0\x40\x11\x66\xcd\x0a\0\0\x01\x0a\0\0\x02\
        \0\x01\0\x02\0\x0a\x83\x6b\x68\x69";

    #[test]
    fn right_wrong_and_absent() {
        assert_eq!(verdict(DATAGRAM, 30, 0), Some(Verdict::Valid));
        assert_eq!(verdict(DATAGRAM, 30, 1), Some(Verdict::Valid));
        assert_eq!(verdict(DATAGRAM, 30, 2), None);
        let mut bytes = *DATAGRAM;
        bytes[29] ^= 1;
        assert_eq!(verdict(&bytes, 30, 1), Some(Verdict::Invalid));
        bytes[26..28].fill(0);
        assert_eq!(verdict(&bytes, 30, 1), Some(Verdict::Absent));
    }

    #[test]
    fn nothing_is_said_of_what_is_not_all_there() {
        assert_eq!(verdict(&DATAGRAM[..29], 30, 1), Some(Verdict::Unknown));
        let mut first_fragment = *DATAGRAM;
        first_fragment[6] = 0x20;
        assert_eq!(verdict(&first_fragment, 30, 1), Some(Verdict::Unknown));
        let mut segmented_later = *DATAGRAM;
        segmented_later[2..4].fill(0);
        assert_eq!(verdict(&segmented_later, 30, 1), Some(Verdict::Unknown));
        assert_eq!(verdict(&segmented_later, 30, 0), Some(Verdict::Valid));
    }

    #[test]
    fn a_source_route_hides_the_last_destination() {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 16, ip::ROUTING, 64];
        bytes.extend([0; 32]);
        bytes.extend([ip::UDP, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend(b"\0\x01\0\x02\0\x08\x12\x34");
        assert_eq!(verdict(&bytes, 56, 2), Some(Verdict::Invalid));
        bytes[43] = 1;
        assert_eq!(verdict(&bytes, 56, 2), Some(Verdict::Unknown));
    }

    #[test]
    fn what_hardware_was_to_fill_in_is_partial() {
        let mut bytes = *DATAGRAM;
        bytes[27] ^= 1;
        let packet = Packet::decode(LinkType::RAW, &bytes, 30);
        assert_eq!(packet.checksum(1, Flags::CHECKSUM_PARTIAL), Some(Verdict::Partial));
        assert_eq!(packet.bad_checksum(Flags::CHECKSUM_PARTIAL), None);
        let fault = packet.bad_checksum(Flags::NONE).unwrap();
        assert_eq!((fault.reason, fault.layer, fault.offset), (Reason::UdpBadChecksum, 1, 20));
    }
}
