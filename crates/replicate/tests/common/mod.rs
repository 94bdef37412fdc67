//! Frames, and ends of the fan-out in memory.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tickwire_capture::{Mode, PortError, Transmitter};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Reason, Timestamp};
use tickwire_replicate::{
    DatagramFanOut, DatagramSender, Feed, FrameFanOut, Hop, Open, Passes, Path, Subscriber, Table,
};

/// The interface that everything leaves by.
pub const IFINDEX: u32 = 7;
/// The MTU on it.
pub const MTU: u32 = 1500;

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn subscriber(text: &str) -> Subscriber {
    Subscriber::new(address(text))
}

/// A next hop for a subscriber: its MAC ends with its port.
pub fn hop(subscriber: &Subscriber) -> Hop {
    let [high, low] = subscriber.address.port().to_be_bytes();
    let source = if subscriber.address.is_ipv4() { "192.0.2.1" } else { "2001:db8:1::1" };
    Hop {
        ifindex: IFINDEX,
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [2, 0, 0, 1, high, low],
        vlan: None,
        source: source.parse().unwrap(),
        mtu: MTU,
    }
}

pub fn reachable(_: &Feed, subscriber: &Subscriber) -> Path {
    Ok(hop(subscriber))
}

/// A table with one feed of the name `feed` on `listen`.
pub fn table(listen: &str, subscribers: &[Subscriber], link: LinkType) -> Table {
    let mut table = Table::new(1, link);
    table.add_feed(Feed::new("feed", address(listen))).unwrap();
    for subscriber in subscribers {
        table.add("feed", subscriber.clone(), Instant::now()).unwrap();
    }
    table.update_paths(reachable);
    table
}

/// A frame with right checksums, by somebody else's code.
pub fn frame(vlan: Option<u16>, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 9, 9, 9, 9, 9], [1, 0, 94, 1, 1, 1]);
    let ports = (from.port(), to.port());
    let mut bytes = Vec::new();
    match (from.ip(), to.ip(), vlan) {
        (IpAddr::V4(from), IpAddr::V4(to), None) => builder
            .ipv4(from.octets(), to.octets(), 9)
            .udp(ports.0, ports.1)
            .write(&mut bytes, payload),
        (IpAddr::V4(from), IpAddr::V4(to), Some(id)) => builder
            .single_vlan(id.try_into().unwrap())
            .ipv4(from.octets(), to.octets(), 9)
            .udp(ports.0, ports.1)
            .write(&mut bytes, payload),
        (IpAddr::V6(from), IpAddr::V6(to), None) => builder
            .ipv6(from.octets(), to.octets(), 9)
            .udp(ports.0, ports.1)
            .write(&mut bytes, payload),
        (IpAddr::V6(from), IpAddr::V6(to), Some(id)) => builder
            .single_vlan(id.try_into().unwrap())
            .ipv6(from.octets(), to.octets(), 9)
            .udp(ports.0, ports.1)
            .write(&mut bytes, payload),
        _ => panic!("two IP versions"),
    }
    .unwrap();
    bytes
}

/// Runs `job` over `frames`, 64 at a time; the ledger.
pub fn run(job: &mut dyn Job, link: LinkType, frames: &[Vec<u8>]) -> Ledger {
    let mut ledger = Ledger::default();
    for some in frames.chunks(64) {
        let mut batch = Batch::new();
        batch.link = link;
        for bytes in some {
            batch.push(Frame::new(bytes, Timestamp::ZERO));
        }
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
    }
    assert_eq!(ledger.difference(), 0);
    ledger
}

/// Copies by the address of their receiver, and what is to be lost of them.
#[derive(Debug, Default)]
pub struct Memory {
    /// Whole frames; payloads behind datagram senders.
    pub copies: HashMap<SocketAddr, Vec<Vec<u8>>>,
    /// Every so many copies is lost for this reason.
    pub lose: Option<(usize, Reason)>,
    pub kicks: usize,
    pub opened: usize,
    counted: usize,
}

impl Memory {
    fn arrives(&mut self) -> Result<(), Reason> {
        self.counted += 1;
        match self.lose {
            Some((every, reason)) if self.counted.is_multiple_of(every) => Err(reason),
            _ => Ok(()),
        }
    }
}

pub type Shared = Arc<Mutex<Memory>>;

/// A ring in memory.
pub struct MemoryTransmitter {
    pub ifindex: u32,
    pub memory: Shared,
    pub ring: Vec<(u32, Vec<u8>)>,
    pub ring_max: usize,
    pub slot: Vec<u8>,
    /// Lost when it is kicked, as if the card had been taken away.
    pub fails: bool,
}

impl MemoryTransmitter {
    pub fn new(memory: &Shared, ring_max: usize) -> Self {
        let (memory, slot) = (Arc::clone(memory), vec![0xee; 2048]);
        let (ifindex, ring) = (IFINDEX, Vec::new());
        MemoryTransmitter { ifindex, memory, ring, ring_max, slot, fails: false }
    }
}

impl Transmitter for MemoryTransmitter {
    fn slot(&mut self) -> Result<&mut [u8], Reason> {
        if self.ring.len() == self.ring_max {
            return Err(Reason::TxRingFull);
        }
        Ok(&mut self.slot)
    }

    fn push(&mut self, len: usize, tag: u32) {
        self.ring.push((tag, self.slot[..len].to_vec()));
    }

    fn kick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        if self.fails {
            return Err(PortError::Broken("the card is gone".into()));
        }
        let mut memory = self.memory.lock().unwrap();
        memory.kicks += 1;
        for (tag, bytes) in self.ring.drain(..) {
            match memory.arrives() {
                Ok(()) => memory.copies.entry(receiver(&bytes)).or_default().push(bytes),
                Err(reason) => lost(tag, reason),
            }
        }
        Ok(())
    }

    fn tick(&mut self, _: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        Ok(())
    }

    fn finish(&mut self, lost: &mut dyn FnMut(u32, Reason)) {
        self.ring.drain(..).for_each(|(tag, _)| lost(tag, Reason::TxUnfinished));
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn frame_bytes_max(&self) -> usize {
        self.slot.len()
    }

    fn mode(&self) -> Mode {
        Mode { port: "memory", mode: String::new(), why: String::new() }
    }
}

/// Where a frame goes, by somebody else's code.
pub fn receiver(bytes: &[u8]) -> SocketAddr {
    let packet = etherparse::SlicedPacket::from_ethernet(bytes).unwrap();
    let ip = match packet.net.unwrap() {
        etherparse::NetSlice::Ipv4(ip) => IpAddr::V4(ip.header().destination_addr()),
        etherparse::NetSlice::Ipv6(ip) => IpAddr::V6(ip.header().destination_addr()),
        other => panic!("{other:?}"),
    };
    let Some(etherparse::TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
    SocketAddr::new(ip, udp.destination_port())
}

/// The UDP payload of a copy.
pub fn payload(bytes: &[u8]) -> &[u8] {
    let packet = etherparse::SlicedPacket::from_ethernet(bytes).unwrap();
    let Some(etherparse::TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
    udp.payload()
}

/// A socket in memory.
pub struct MemorySender {
    memory: Shared,
    to: SocketAddr,
}

impl MemorySender {
    pub fn to(memory: &Shared, subscriber: &Subscriber) -> MemorySender {
        MemorySender { memory: Arc::clone(memory), to: subscriber.address }
    }
}

impl DatagramSender for MemorySender {
    fn send(&mut self, payloads: &[&[u8]], lost: &mut dyn FnMut(Reason, u64)) {
        let mut memory = self.memory.lock().unwrap();
        memory.kicks += 1;
        let headers = if self.to.is_ipv4() { 28 } else { 48 };
        for payload in payloads {
            if payload.len() + headers > MTU as usize {
                lost(Reason::TooLong, 1);
                continue;
            }
            match memory.arrives() {
                Ok(()) => memory.copies.entry(self.to).or_default().push(payload.to_vec()),
                Err(reason) => lost(reason, 1),
            }
        }
    }
}

/// What a worker has from its start.
pub fn given<T>(transmitters: impl IntoIterator<Item = T>) -> Receiver<T> {
    let (sender, receiver) = channel();
    transmitters.into_iter().for_each(|one| sender.send(one).unwrap());
    receiver
}

/// Sockets in memory, for a link that is up.
pub fn sockets(memory: &Shared) -> (Open<MemorySender>, Passes) {
    let memory = Arc::clone(memory);
    let open = move |_: &Feed, subscriber: &Subscriber| {
        memory.lock().unwrap().opened += 1;
        Ok(MemorySender::to(&memory, subscriber))
    };
    (Box::new(open), Box::new(|_| true))
}

/// A fan-out of frames into memory.
pub fn frames_to(memory: &Shared, table: &Table) -> FrameFanOut<MemoryTransmitter, MemorySender> {
    let ways = given([MemoryTransmitter::new(memory, 100)]);
    let on_error = |error: PortError| panic!("{error}");
    FrameFanOut::new(table.view(), 0, None, ways, sockets(memory), on_error)
}

/// A fan-out of datagrams, of the first feed of `table`, into memory.
pub fn datagrams_to(memory: &Shared, table: &Table) -> DatagramFanOut<MemorySender> {
    let listen = table.feeds().next().expect("a feed").0.listen;
    let (open, passes) = sockets(memory);
    DatagramFanOut::new(table.view(), 0, None, listen, open, passes)
}
