//! A sending socket with its ring, for one life of an interface.

use super::map::Map;
use super::socket::PacketSocket;
use super::tx::{DATA, TxRing};
use crate::{PortError, Sent};
use std::io;
use std::time::{Duration, Instant};
use tickwire_frame::{Counters, LinkType, Reason};

/// A frame that the kernel could not take for so long is taken back: an order that leaves late is
/// worse than one that does not leave. In milliseconds.
const TX_AGE_MS_MAX: u64 = 100;
/// Smallest block of the ring in bytes; the kernel allocates block by block.
const BLOCK_BYTES_MIN: usize = 1 << 16;
/// Bytes of an Ethernet header, and of a VLAN tag that may come on top of the MTU.
const ETHERNET_BYTES: usize = 14;
const TAG_BYTES: usize = 4;

/// Fields are in the order of closing: the mapping before the socket.
#[derive(Debug)]
pub(super) struct Transmitter {
    ring: TxRing,
    pub socket: PacketSocket,
    interface: String,
    link: LinkType,
    mtu: usize,
    slot_bytes: usize,
    /// Since when the oldest queued frame waits although the kernel was kicked.
    stuck_since: Option<Instant>,
    /// Frames that the kernel has taken.
    pub sent: u64,
    /// Frames that were accepted and not sent.
    pub discarded: Counters,
}

impl Transmitter {
    /// A ring of at least `slots` frames. The socket has protocol 0: it receives nothing.
    pub fn open(interface: &str, link: LinkType, slots: usize) -> Result<Self, PortError> {
        let failed = |what: &str, error: io::Error| {
            PortError::system(format!("{what} {interface}"), error, "")
        };
        let socket = PacketSocket::new()?;
        let index = socket.interface_index(interface).map_err(|e| failed("find interface", e))?;
        let mtu = socket.mtu(interface).map_err(|error| failed("read the MTU of", error))?;
        let slot_bytes = (DATA + mtu + ETHERNET_BYTES + TAG_BYTES).next_power_of_two();
        let block_bytes = slot_bytes.max(BLOCK_BYTES_MIN);
        let bytes = slots.saturating_mul(slot_bytes).next_multiple_of(block_bytes);
        let request = libc::tpacket_req {
            tp_block_size: block_bytes as u32,
            tp_block_nr: (bytes / block_bytes) as u32,
            tp_frame_size: slot_bytes as u32,
            tp_frame_nr: (bytes / slot_bytes) as u32,
        };
        let (version, yes) = (libc::tpacket_versions::TPACKET_V2 as libc::c_int, 1);
        socket
            .set(libc::PACKET_VERSION, &version)
            .and_then(|()| socket.set(libc::PACKET_QDISC_BYPASS, &yes))
            .map_err(|error| failed("prepare a sending socket for", error))?;
        allow_in_flight(&socket, bytes);
        let no_ring = |error| {
            let what = format!("set up a transmit ring of {} KiB for {interface}", bytes >> 10);
            PortError::system(what, error, "ask for fewer slots (`tx_slots`)")
        };
        socket.set(libc::PACKET_TX_RING, &request).map_err(no_ring)?;
        let map = Map::of_socket(socket.raw_fd(), bytes).map_err(no_ring)?;
        socket.bind(index, 0).map_err(|error| failed("bind a sending socket to", error))?;
        Ok(Transmitter {
            ring: TxRing::new(map, slot_bytes, bytes / slot_bytes),
            socket,
            interface: interface.into(),
            link,
            mtu,
            slot_bytes,
            stuck_since: None,
            sent: 0,
            discarded: Counters::default(),
        })
    }

    /// Copies frames into the ring, and kicks once.
    pub fn transmit(&mut self, frames: &[&[u8]]) -> Result<Sent, PortError> {
        let mut accepted = 0;
        for frame in frames {
            if let Some(reason) = self.unfit(frame) {
                self.discarded.add(reason, 1);
            } else if !self.ring.fill(frame) {
                break;
            }
            accepted += 1;
        }
        self.kick()?;
        Ok(Sent { accepted })
    }

    /// Whether the ring has no free slot.
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    /// Whether frames wait for another kick.
    pub fn is_pending(&self) -> bool {
        self.ring.queued() > 0
    }

    /// Lets the kernel send what is queued.
    ///
    /// A link that is down loses the frames (`LinkDown`) rather than send them when it is up
    /// again; a busy driver may have them once more, until they are too old.
    pub fn kick(&mut self) -> Result<(), PortError> {
        // Each turn but the last removes a frame that the kernel found fault with.
        while self.ring.queued() > 0 {
            let outcome = self.send();
            self.sent += self.ring.settle() as u64;
            let Err(error) = outcome else { break };
            match error.raw_os_error() {
                Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
                    self.refuse_all(Reason::LinkDown)
                }
                // The driver's queue or the socket's buffer is full, the carrier is off, a signal.
                Some(libc::ENOBUFS | libc::EAGAIN | libc::EBUSY | libc::EINTR) => break,
                // With PACKET_LOSS the kernel would skip such a frame itself, and nobody would
                // know which, or how many.
                _ if self.ring.remove_rejected() => {
                    self.discarded.add(Reason::TxInvalid, 1);
                    // The usual cause: the MTU is smaller than it was when we opened.
                    self.mtu = self.socket.mtu(&self.interface).unwrap_or(self.mtu);
                }
                _ => {
                    let what = format!("send through the ring of {}", self.interface);
                    return Err(PortError::system(what, error, ""));
                }
            }
        }
        self.refuse_the_old();
        Ok(())
    }

    fn send(&self) -> io::Result<()> {
        let nothing = std::ptr::null();
        // SAFETY: no buffer is passed; the kernel reads the slots that we filled.
        let sent = unsafe { libc::send(self.socket.raw_fd(), nothing, 0, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reads the clock, but only when the kernel could not take all frames.
    fn refuse_the_old(&mut self) {
        if self.ring.queued() == 0 {
            self.stuck_since = None;
            return;
        }
        let now = Instant::now();
        let since = *self.stuck_since.get_or_insert(now);
        if now.duration_since(since) >= Duration::from_millis(TX_AGE_MS_MAX) {
            self.refuse_all(Reason::TxRefused);
        }
    }

    fn refuse_all(&mut self, reason: Reason) {
        self.discarded.add(reason, self.ring.take_back() as u64);
        self.stuck_since = None;
    }

    /// Why the kernel would not take `frame`, if so.
    fn unfit(&self, frame: &[u8]) -> Option<Reason> {
        let ethernet = self.link == LinkType::ETHERNET;
        let header_bytes = if ethernet { ETHERNET_BYTES } else { 0 };
        let tagged = ethernet && frame.get(12..14) == Some(&[0x81, 0x00]);
        let extra_bytes = if tagged { TAG_BYTES } else { 0 };
        let bytes_max = (self.mtu + header_bytes + extra_bytes).min(self.slot_bytes - DATA);
        if frame.len() > bytes_max {
            Some(Reason::TooLong)
        } else if frame.len() < header_bytes.max(1) {
            Some(Reason::TxInvalid)
        } else {
            None
        }
    }
}

/// Lets the whole ring be on its way at once: the default stops after about a hundred frames.
/// Without CAP_NET_ADMIN it becomes as much as the system allows everybody, which is only slower.
fn allow_in_flight(socket: &PacketSocket, bytes: usize) {
    let bytes = bytes.saturating_mul(2).min(i32::MAX as usize / 2) as libc::c_int;
    let forced = socket.set_at(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes);
    if forced.is_err() {
        let _ = socket.set_at(libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes);
    }
}
