//! The tick of the HFT filter, a packet filter on netmap: 14 bytes, alone in a UDP datagram.
//!
//! Little-endian and unaligned; prices and quantities are IEEE 754 numbers of four bytes. No
//! transport, no sequence number: what is lost is not noticed. [`accept`] is the rule by which that
//! filter takes an Ethernet frame for a tick.

use crate::wire::{Big, Wire};

/// The UDP port that ticks go to unless it is told otherwise.
pub const DEFAULT_PORT: u16 = 5001;

message! {
    Little, "HFT tick";
    /// A tick: all of the payload of a datagram.
    pub struct Tick, TickBuilder: 14 {
        /// Which instrument: a number that sender and receiver agree on.
        instrument_id @ 0: u32,
        /// 0 underlying, 1 option, 2 future.
        kind @ 4: u8,
        /// 0 bid, 1 ask.
        side @ 5: u8,
        /// The price, in units that sender and receiver agree on.
        price @ 6: f32,
        /// The quantity.
        quantity @ 10: f32,
    }
}

const ETHERNET_LEN: usize = 14;
const IPV4_LEN_MIN: usize = 20;
const UDP_LEN: usize = 8;

/// Why a frame is no tick, in the order in which the rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// The frame is shorter than an Ethernet header.
    #[error("the frame is shorter than an Ethernet header: the capture cut it")]
    Ethernet,
    /// The EtherType is not that of IPv4; a VLAN tag is not looked behind.
    #[error("the frame is not IPv4: send ticks over IPv4, without a VLAN tag")]
    NotIpv4,
    /// The IPv4 header is not all there, or says that it is shorter than 20 bytes.
    #[error("the IPv4 header is shorter than 20 bytes or cut: the frame is damaged")]
    Ipv4Header,
    /// The protocol is another than UDP.
    #[error("the packet is not UDP: send ticks over UDP")]
    NotUdp,
    /// The UDP header does not lie within the frame.
    #[error("the UDP header is cut: the frame is damaged")]
    UdpHeader,
    /// It goes to another port.
    #[error("the datagram goes to another port: set the port of the feed, or 0 for any")]
    Port,
    /// UDP says that it is shorter than its own header.
    #[error("the UDP length is less than 8: the frame is damaged")]
    UdpLength,
    /// Its payload has not exactly the length of a tick.
    #[error("the payload does not have 14 bytes: this is of another protocol")]
    PayloadLength,
    /// Its payload ends behind the frame.
    #[error("the payload is cut: use a longer snap length")]
    Cut,
}

impl Refused {
    /// A name for counters, the same in logs, metrics and tests.
    pub const fn reason(&self) -> &'static str {
        match self {
            Refused::Ethernet => "tick_ethernet",
            Refused::NotIpv4 => "tick_not_ipv4",
            Refused::Ipv4Header => "tick_ipv4_header",
            Refused::NotUdp => "tick_not_udp",
            Refused::UdpHeader => "tick_udp_header",
            Refused::Port => "tick_port",
            Refused::UdpLength => "tick_udp_length",
            Refused::PayloadLength => "tick_payload_length",
            Refused::Cut => "tick_cut",
        }
    }
}

/// The tick in an Ethernet frame. The filter's rule to the letter: checksums, fragments and the
/// total length of IPv4 are not looked at, and port 0 is any.
///
/// # Errors
/// The first question of the rule that the frame fails.
#[inline]
pub fn accept(frame: &[u8], port: u16) -> Result<Tick<'_>, Refused> {
    let Some((ethernet, packet)) = frame.split_first_chunk::<ETHERNET_LEN>() else {
        return Err(Refused::Ethernet);
    };
    if ethernet[12..] != [0x08, 0x00] {
        return Err(Refused::NotIpv4);
    }
    let Some(ip) = packet.first_chunk::<IPV4_LEN_MIN>() else {
        return Err(Refused::Ipv4Header);
    };
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    if header_len < IPV4_LEN_MIN {
        return Err(Refused::Ipv4Header);
    }
    if ip[9] != 17 {
        return Err(Refused::NotUdp);
    }
    let datagram = packet.get(header_len..).and_then(<[u8]>::split_first_chunk::<UDP_LEN>);
    let Some((udp, payload)) = datagram else {
        return Err(Refused::UdpHeader);
    };
    if port != 0 && u16::read::<Big>(&udp[2..]) != port {
        return Err(Refused::Port);
    }
    let payload_len =
        usize::from(u16::read::<Big>(&udp[4..])).checked_sub(UDP_LEN).ok_or(Refused::UdpLength)?;
    if payload_len != Tick::LEN {
        return Err(Refused::PayloadLength);
    }
    payload.get(..payload_len).and_then(|bytes| Tick::parse(bytes).ok()).ok_or(Refused::Cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a tick and an IPv4 header of 24 bytes, byte by byte.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0; 14 + 24 + 8];
        frame[12] = 0x08;
        frame[14] = 0x46;
        frame[14 + 9] = 17;
        frame[38 + 2..38 + 6].copy_from_slice(&[0x13, 0x89, 0, 22]);
        frame.extend(b"\x07\0\0\0\x02\x01\0\0\xc0\x3f\0\0\0\xc0");
        frame
    }

    /// What becomes of the frame with one byte set.
    fn with(at: usize, byte: u8) -> Result<(), Refused> {
        let mut frame = frame();
        frame[at] = byte;
        accept(&frame, DEFAULT_PORT).map(|_| ())
    }

    #[test]
    fn a_tick_is_written_and_read() {
        let frame = frame();
        let tick = accept(&frame, DEFAULT_PORT).unwrap();
        assert_eq!((tick.instrument_id(), tick.kind(), tick.side()), (7, 2, 1));
        assert_eq!((tick.price(), tick.quantity()), (1.5, -2.0));
        let built = TickBuilder::new().instrument_id(7).kind(2).side(1).price(1.5).quantity(-2.0);
        assert_eq!(built.as_bytes()[..], frame[frame.len() - 14..]);
        assert_eq!(tick.to_builder(), built);
        assert!(accept(&[&frame[..], b"padding"].concat(), 0).is_ok());
    }

    #[test]
    fn the_rule_asks_in_its_order() {
        assert_eq!(with(13, 6), Err(Refused::NotIpv4));
        assert_eq!(with(14, 0x44), Err(Refused::Ipv4Header));
        assert_eq!(with(14 + 9, 6), Err(Refused::NotUdp));
        assert_eq!(with(14, 0x4f), Err(Refused::UdpHeader));
        assert_eq!(with(38 + 3, 0), Err(Refused::Port));
        assert_eq!(with(38 + 5, 7), Err(Refused::UdpLength));
        assert_eq!(with(38 + 5, 21), Err(Refused::PayloadLength));
        assert_eq!(with(38 + 4, 1), Err(Refused::PayloadLength));
        // What is asked first is what is said, whatever else is wrong.
        let mut frame = frame();
        (frame[13], frame[14], frame[14 + 9]) = (6, 0, 6);
        assert_eq!(accept(&frame, 1), Err(Refused::NotIpv4));
    }

    #[test]
    fn every_prefix_is_refused_for_its_reason() {
        let frame = frame();
        for len in 0..frame.len() {
            let expected = match len {
                0..14 => Refused::Ethernet,
                14..34 => Refused::Ipv4Header,
                34..46 => Refused::UdpHeader,
                _ => Refused::Cut,
            };
            assert_eq!(accept(&frame[..len], 0), Err(expected), "{len}");
        }
    }

    #[test]
    fn a_port_of_0_is_any() {
        let mut frame = frame();
        frame[38 + 2] = 0xff;
        assert_eq!(accept(&frame, DEFAULT_PORT), Err(Refused::Port));
        assert!(accept(&frame, 0).is_ok());
    }

    #[test]
    fn reasons_are_named_once() {
        use Refused::*;
        let all =
            [Ethernet, NotIpv4, Ipv4Header, NotUdp, UdpHeader, Port, UdpLength, PayloadLength, Cut];
        let mut reasons = all.map(|refused| refused.reason()).to_vec();
        reasons.sort();
        reasons.dedup();
        assert_eq!(reasons.len(), all.len());
    }
}
