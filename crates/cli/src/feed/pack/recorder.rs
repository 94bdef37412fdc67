//! The packets of a feed as frames in a capture file, on each of its lines.

use crate::exit::Failure;
use crate::feed::publish::faults::{Chance, Faults, Line, LineCounts};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use tickwire_capture::file::{Writer, WriterConfig};
use tickwire_capture::routes::group_mac;
use tickwire_frame::{Counters, Frame, LinkType, Timestamp};
use tickwire_replicate::{Datagram, Hop, Subscriber, Template, UdpChecksum};

/// What the link-layer addresses of senders and, for unicast, of receivers begin with: locally
/// administered, the IPv4 address follows.
const MAC_PREFIX: [u8; 2] = [0x02, 0x00];
/// The longest packet that is written, headers of IP and UDP included.
const PACKET_BYTES_MAX: u32 = 65_535;

/// A packet that is on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OnTheWay {
    at_ns: u64,
    /// What is on its way at the same time keeps its order.
    number: u64,
    line: usize,
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Sender {
    line: Line,
    template: Template,
    /// The time of its last packet.
    latest_ns: u64,
    /// The IPv4 identification of its last packet.
    id: u16,
}

/// Writes each packet once for each line, at its time.
pub struct Recorder {
    writer: Writer,
    senders: Vec<Sender>,
    skew_ns: u64,
    chance: Chance,
    on_the_way: BinaryHeap<Reverse<OnTheWay>>,
    number: u64,
    slot: Vec<u8>,
}

impl Recorder {
    /// Creates the file, for packets from and to the `lines`, each with its faults. The second
    /// number of `skew` decides about how late they are, up to the first, in ns.
    pub fn create(
        config: WriterConfig,
        lines: &[(SocketAddr, SocketAddr)],
        faults: Vec<Faults>,
        ttl: u8,
        skew: (u64, u64),
    ) -> Result<Recorder, Failure> {
        let senders = lines.iter().zip(faults).map(|(&(source, to), faults)| {
            let template = template(source, to, ttl)?;
            Ok(Sender { line: Line::new(faults), template, latest_ns: 0, id: 0 })
        });
        let (skew_ns, seed) = skew;
        Ok(Recorder {
            senders: senders.collect::<Result<_, Failure>>()?,
            writer: Writer::create(config).map_err(Failure::failed)?,
            skew_ns,
            chance: Chance::new(!seed),
            on_the_way: BinaryHeap::new(),
            number: 0,
            slot: vec![0; PACKET_BYTES_MAX as usize + usize::from(u16::MAX)],
        })
    }

    /// A packet that is sent on all lines at `at_ns`; none comes with an earlier time.
    pub fn packet(&mut self, at_ns: u64, payload: &[u8]) -> Result<(), Failure> {
        self.write_until(at_ns)?;
        for line in 0..self.senders.len() {
            let late_ns = (self.chance.next() * self.skew_ns as f64) as u64;
            let sender = &mut self.senders[line];
            sender.latest_ns = sender.latest_ns.max(at_ns.saturating_add(late_ns));
            let at_ns = sender.latest_ns;
            for payload in sender.line.arrange(&[payload]) {
                let (number, payload) = (self.number, payload.to_vec());
                self.on_the_way.push(Reverse(OnTheWay { at_ns, number, line, payload }));
                self.number += 1;
            }
            sender.line.settle();
        }
        Ok(())
    }

    /// Writes the rest, and closes the file. What became of the packets of each line, and of the
    /// records.
    pub fn finish(mut self) -> Result<(Vec<LineCounts>, u64, Counters), Failure> {
        for (line, sender) in self.senders.iter_mut().enumerate() {
            if let Some(payload) = sender.line.take_held() {
                let (at_ns, number) = (sender.latest_ns, u64::MAX);
                self.on_the_way.push(Reverse(OnTheWay { at_ns, number, line, payload }));
            }
        }
        self.write_until(u64::MAX)?;
        let lines = self.senders.iter().map(|sender| sender.line.counts.clone()).collect();
        let (settled, _) = self.writer.finish(&[]);
        Ok((lines, settled.written, settled.lost))
    }

    fn write_until(&mut self, at_ns: u64) -> Result<(), Failure> {
        while let Some(Reverse(next)) = self.on_the_way.peek()
            && next.at_ns <= at_ns
            && let Some(Reverse(packet)) = self.on_the_way.pop()
        {
            self.write(&packet)?;
        }
        Ok(())
    }

    fn write(&mut self, packet: &OnTheWay) -> Result<(), Failure> {
        let sender = &mut self.senders[packet.line];
        sender.id = sender.id.wrapping_add(1);
        let datagram = Datagram { id: sender.id, ..Datagram::NONE };
        match sender.template.write(&datagram, &packet.payload, &mut self.slot) {
            Ok(len) => {
                let at = Timestamp::from_nanos(packet.at_ns);
                let frame = Frame::new(&self.slot[..len], at);
                sender.line.counts.sent += 1;
                self.writer.write(&frame, 0, LinkType::ETHERNET).map_err(Failure::failed)
            }
            Err(reason) => Err(Failure::failed(format_args!(
                "a packet of {} bytes is {}; ask for shorter ones with --size",
                packet.payload.len(),
                reason.as_str()
            ))),
        }
    }
}

/// The headers of a line.
fn template(source: SocketAddr, to: SocketAddr, ttl: u8) -> Result<Template, Failure> {
    let subscriber = Subscriber { ttl, udp_checksum: UdpChecksum::Compute, ..Subscriber::new(to) };
    let hop = Hop {
        ifindex: 0,
        vlan: None,
        source_mac: mac_of(source.ip()),
        destination_mac: group_mac(to.ip()).unwrap_or_else(|| mac_of(to.ip())),
        source: source.ip(),
        mtu: PACKET_BYTES_MAX,
    };
    Template::new(source.port(), &subscriber, &hop)
        .map_err(|reason| Failure::failed(format_args!("{source} to {to}: {}", reason.as_str())))
}

/// A link-layer address that tells hosts apart.
fn mac_of(address: IpAddr) -> [u8; 6] {
    let last = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
    let mut mac = [0; 6];
    mac[..2].copy_from_slice(&MAC_PREFIX);
    mac[2..].copy_from_slice(&last);
    mac
}
