//! The other end of a connection, in memory, for tests.

use super::device::TAG;
use super::segment::Segment;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time;
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tickwire_capture::routes::{Hop, Vlan};
use tickwire_capture::{Mode, PortError, Transmitter};
use tickwire_frame::{LinkType, Reason};

/// The interface of the near end.
pub const IFINDEX: u32 = 7;
/// Its port.
pub const PORT: u16 = 40_001;
/// Of the line between them, in bytes.
pub const MTU: u32 = 1_500;

/// Frames that a ring can hold.
const RING_FRAMES: usize = 1_024;

/// A transmitter in memory, which allocates as little as a real one: room for so many more frames.
pub struct Ring {
    slots: Vec<[u8; 2_048]>,
    lens: Vec<usize>,
    /// So many more.
    pub room: usize,
}

impl Ring {
    /// Empty.
    pub fn new() -> Ring {
        let (slots, lens) = (vec![[0; 2_048]; RING_FRAMES], Vec::with_capacity(RING_FRAMES));
        Ring { slots, lens, room: RING_FRAMES }
    }

    /// Takes what was sent.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        self.room = RING_FRAMES;
        let frames = self.slots.iter().zip(self.lens.drain(..));
        frames.map(|(slot, len)| slot[..len].to_vec()).collect()
    }
}

impl Transmitter for Ring {
    fn slot(&mut self) -> Result<&mut [u8], Reason> {
        if self.room == 0 { Err(Reason::TxRingFull) } else { Ok(&mut self.slots[self.lens.len()]) }
    }

    fn push(&mut self, len: usize, tag: u32) {
        assert_eq!(tag, TAG);
        self.room -= 1;
        self.lens.push(len);
    }

    fn kick(&mut self, _: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        Ok(())
    }

    fn tick(&mut self, _: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FnMut(u32, Reason)) {}

    fn ifindex(&self) -> u32 {
        IFINDEX
    }

    fn frame_bytes_max(&self) -> usize {
        self.slots[0].len()
    }

    fn mode(&self) -> Mode {
        Mode { port: "ring", mode: String::new(), why: String::new() }
    }
}

/// The packets of the other end.
#[derive(Default)]
struct Packets {
    to: VecDeque<Vec<u8>>,
    from: VecDeque<Vec<u8>>,
}

struct Packet(Vec<u8>);
struct Place<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl phy::TxToken for Place<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let written = write(&mut packet);
        self.0.push_back(packet);
        written
    }
}

impl phy::Device for Packets {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Place<'a>;

    fn receive(&mut self, _: time::Instant) -> Option<(Packet, Place<'_>)> {
        Some((Packet(self.to.pop_front()?), Place(&mut self.from)))
    }

    fn transmit(&mut self, _: time::Instant) -> Option<Place<'_>> {
        Some(Place(&mut self.from))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ip, MTU as usize);
        capabilities
    }
}

/// The other end, which listens.
pub struct Far {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    packets: Packets,
}

impl Far {
    /// Waits for a connection to `address`.
    pub fn listen(address: SocketAddr, buffer_bytes: usize) -> Far {
        let mut packets = Packets::default();
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut packets, time::Instant::ZERO);
        interface.update_ip_addrs(|all| {
            all.push(IpCidr::new(address.ip().into(), 24)).expect("the first");
        });
        let buffer = || SocketBuffer::new(vec![0; buffer_bytes]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.listen(address.port()).expect("a port");
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Far { interface, sockets, handle, packets }
    }

    /// What its program has in hand.
    pub fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Takes frames, at `age` of its time; those that it sends.
    ///
    /// # Panics
    /// When our own parser finds something wrong with a frame.
    pub fn exchange(&mut self, frames: &[Vec<u8>], age: Duration) -> Vec<Vec<u8>> {
        for frame in frames {
            let segment = Segment::parse(LinkType::ETHERNET, frame).expect("right checksums");
            self.packets.to.push_back(segment.packet.to_vec());
        }
        let now = time::Instant::from_micros(age.as_micros() as i64);
        let Far { interface, sockets, packets, .. } = self;
        while interface.poll(now, packets, sockets) != PollResult::None {}
        let frame = |packet: Vec<u8>| {
            let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
            [&[4; 12][..], &kind, &packet].concat()
        };
        packets.from.drain(..).map(frame).collect()
    }
}

/// The way from `near` to the other end.
pub fn hop(near: IpAddr, vlan: Option<Vlan>) -> Hop {
    let (source_mac, destination_mac) = ([2; 6], [4; 6]);
    Hop { ifindex: IFINDEX, vlan, source_mac, destination_mac, source: near, mtu: MTU }
}
