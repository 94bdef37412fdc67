//! What smoltcp takes for a network device: one segment in, frames out through the transmitter of
//! a worker.
//!
//! It gives smoltcp IP packets and writes the link header itself: neighbours are the kernel's
//! business ([`tickwire_capture::routes`]), there is no ARP of ours. What cannot leave now is lost,
//! as on any wire; TCP sends it again.

use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use tickwire_capture::Transmitter;
use tickwire_capture::routes::Hop;
use tickwire_decode::{Ethernet, Ipv4, Ipv6, Tcp, TcpFlags, Vlan, ethertype};

/// The tag of frames whose loss nobody has to be told.
pub const TAG: u32 = u32::MAX;
/// The longest link header: Ethernet and a VLAN tag, in bytes.
const HEAD_BYTES_MAX: usize = Ethernet::LEN + Vlan::LEN;

/// How packets of a connection leave, whoever's transmitter it is.
#[derive(Debug)]
pub struct Egress {
    /// The interface.
    pub ifindex: u32,
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The longest packet, in bytes.
    mtu: usize,
    /// Where packets are written that cannot leave.
    spare: Box<[u8]>,
    sent: Sent,
    /// Frames were written that a kick has to send.
    pub has_pushed: bool,
}

/// How far the bytes of a connection have been sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// The sequence number of the first byte, and of the one behind the last that was sent; none
    /// before the SYN.
    first_next: Option<(u32, u32)>,
}

impl Sent {
    /// A packet of ours leaves.
    fn note(&mut self, packet: &[u8]) {
        let segment = match packet.first().map(|first| first >> 4) {
            Some(4) => Ipv4::parse(packet).map(|header| header.payload()),
            _ => Ipv6::parse(packet).map(|header| header.payload()),
        };
        let Ok(tcp) = segment.and_then(Tcp::parse) else { return };
        if tcp.flags().contains(TcpFlags::SYN) {
            let first = tcp.sequence().wrapping_add(1);
            self.first_next.get_or_insert((first, first));
        } else if let Some((_, next)) = &mut self.first_next {
            let end = tcp.sequence().wrapping_add(tcp.payload().len() as u32);
            // Sequence numbers wrap (RFC 9293, 3.4); one that was sent again is behind.
            if (end.wrapping_sub(*next) as i32) > 0 {
                *next = end;
            }
        }
    }
}

impl Egress {
    /// By way of `hop`, for a destination of IPv6 or IPv4.
    pub fn new(hop: &Hop, ipv6: bool) -> Egress {
        let (head, head_len) = link_header(hop, ipv6);
        let mtu = hop.mtu as usize;
        let (spare, sent) = (vec![0; mtu].into(), Sent::default());
        Egress { ifindex: hop.ifindex, head, head_len, mtu, spare, sent, has_pushed: false }
    }

    /// The way there is another one now. The longest packet stays what it was: what is longer than
    /// the new way takes is lost, and said by the other end's silence.
    pub fn follow(&mut self, hop: &Hop, ipv6: bool) {
        (self.head, self.head_len) = link_header(hop, ipv6);
        self.ifindex = hop.ifindex;
    }

    /// Of the first `written` bytes of the connection (modulo 2³²) those that never left.
    pub fn unsent_bytes(&self, written: u32) -> u32 {
        let Some((first, next)) = self.sent.first_next else { return written };
        (first.wrapping_add(written).wrapping_sub(next) as i32).max(0) as u32
    }
}

/// The link header of frames by way of `hop`, and its length.
fn link_header(hop: &Hop, ipv6: bool) -> ([u8; HEAD_BYTES_MAX], usize) {
    let mut head = [0; HEAD_BYTES_MAX];
    head[..6].copy_from_slice(&hop.destination_mac);
    head[6..12].copy_from_slice(&hop.source_mac);
    let mut len = 12;
    if let Some(vlan) = hop.vlan {
        head[12..14].copy_from_slice(&vlan.protocol.to_be_bytes());
        head[14..16].copy_from_slice(&vlan.id.to_be_bytes());
        len += Vlan::LEN;
    }
    let kind = if ipv6 { ethertype::IPV6 } else { ethertype::IPV4 };
    head[len..len + 2].copy_from_slice(&kind.to_be_bytes());
    (head, len + 2)
}

/// The device for one call into smoltcp.
pub struct Device<'a> {
    /// The segment that came, as an IP packet.
    pub incoming: Option<&'a [u8]>,
    /// Where frames leave; none when nothing can.
    pub way: Option<&'a mut dyn Transmitter>,
    /// How.
    pub egress: &'a mut Egress,
}

impl phy::Device for Device<'_> {
    type RxToken<'t>
        = Incoming<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Outgoing<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), self.outgoing()))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        let way = self.way.as_deref_mut()?;
        way.slot().is_ok().then(|| self.outgoing())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.egress.mtu;
        // What comes in was checked: `Segment` knows checksums that were left to hardware.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

impl Device<'_> {
    fn outgoing(&mut self) -> Outgoing<'_> {
        let way: Option<&mut dyn Transmitter> = match &mut self.way {
            Some(way) => Some(&mut **way),
            None => None,
        };
        Outgoing { way, egress: self.egress }
    }
}

/// The segment that came.
pub struct Incoming<'a>(&'a [u8]);

impl phy::RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// A packet that is about to leave.
pub struct Outgoing<'a> {
    way: Option<&'a mut dyn Transmitter>,
    egress: &'a mut Egress,
}

impl phy::TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let Egress { head, head_len, spare, sent, has_pushed, .. } = self.egress;
        let frame_len = *head_len + len;
        if let Some(way) = self.way
            && let Ok(slot) = way.slot()
            && let Some(frame) = slot.get_mut(..frame_len)
        {
            let (link, packet) = frame.split_at_mut(*head_len);
            link.copy_from_slice(&head[..*head_len]);
            let written = write(packet);
            sent.note(packet);
            way.push(frame_len, TAG);
            *has_pushed = true;
            written
        } else {
            // No packet is longer than the MTU, for which there is room.
            write(&mut spare[..len])
        }
    }
}
