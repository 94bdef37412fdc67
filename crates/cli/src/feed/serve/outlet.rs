//! The lines of a feed: a socket for each, with what goes wrong on it.

use super::requests::Store;
use crate::exit::Failure;
use crate::feed::publish::faults::{Faults, Line, LineCounts};
use crate::send::outlet::{Handed, Outlet};
use crate::send::udp::{UdpOutlet, UdpTarget};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tickwire_capture::{Mode, PortError};
use tickwire_frame::{Counters, LinkType};

/// What became of the packets of each line.
pub type LinesCounts = Arc<Mutex<Vec<LineCounts>>>;

struct Sender {
    outlet: UdpOutlet,
    line: Line,
}

/// Sends each packet once on each line.
pub struct Lines {
    senders: Vec<Sender>,
    counts: LinesCounts,
    store: Option<Store>,
}

impl Lines {
    /// Opens a socket for each of `targets`.
    pub fn open(targets: &[UdpTarget], faults: Vec<Faults>) -> Result<Lines, Failure> {
        let senders = targets.iter().zip(faults).map(|(target, faults)| {
            Ok(Sender { outlet: UdpOutlet::open(target)?, line: Line::new(faults) })
        });
        let senders: Vec<_> = senders.collect::<Result<_, Failure>>()?;
        let counts = vec![LineCounts::default(); senders.len()];
        Ok(Lines { senders, counts: Arc::new(Mutex::new(counts)), store: None })
    }

    /// From now on what is sent is kept in `store`.
    pub fn keep(&mut self, store: Store) {
        self.store = Some(store);
    }

    /// What became of the packets, as of the last tick.
    pub fn counts(&self) -> LinesCounts {
        Arc::clone(&self.counts)
    }

    /// Where each line comes from.
    pub fn sources(&self) -> Vec<SocketAddr> {
        self.senders.iter().filter_map(|sender| sender.outlet.local_addr()).collect()
    }

    fn publish_counts(&self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clear();
        counts.extend(self.senders.iter().map(|sender| sender.line.counts.clone()));
    }
}

/// Sends all of `packets`, or counts why not.
fn send(
    outlet: &mut UdpOutlet,
    packets: &[&[u8]],
    sent: &mut u64,
    refused: &mut Counters,
) -> Result<(), PortError> {
    let mut at = 0;
    while at < packets.len() {
        let handed = outlet.send(&packets[at..])?;
        *sent += handed.sent as u64;
        at += handed.sent;
        if let Some(reason) = handed.refused {
            refused.add(reason, 1);
            at += 1;
        }
    }
    Ok(())
}

impl Sender {
    fn send(&mut self, packets: &[&[u8]]) -> Result<(), PortError> {
        let (mut sent, mut refused) = (0, Counters::default());
        let result = send(&mut self.outlet, &self.line.arrange(packets), &mut sent, &mut refused);
        self.line.settle();
        self.line.counts.sent += sent;
        self.line.counts.refused += &refused;
        result
    }

    fn finish(&mut self) -> Result<(), PortError> {
        let Some(held) = self.line.take_held() else { return Ok(()) };
        let counts = &mut self.line.counts;
        send(&mut self.outlet, &[&held], &mut counts.sent, &mut counts.refused)
    }
}

/// A packet has been dealt with when each line has: what the lines made of it is in their counts.
impl Outlet for Lines {
    fn link(&self) -> Option<LinkType> {
        None
    }

    fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError> {
        // Before anybody can have missed it.
        if let Some(store) = &self.store {
            store.keep(packets);
        }
        for sender in &mut self.senders {
            sender.send(packets)?;
        }
        Ok(Handed { sent: packets.len(), refused: None })
    }

    fn tick(&mut self, _: &mut Counters) -> Result<(), PortError> {
        self.publish_counts();
        Ok(())
    }

    fn finish(&mut self, _: &mut Counters) -> Result<(), PortError> {
        let finished = self.senders.iter_mut().try_for_each(Sender::finish);
        self.publish_counts();
        finished
    }

    /// All that the sockets said, added up.
    fn answers(&self) -> Vec<(String, u64)> {
        let mut sum: Vec<(String, u64)> = Vec::new();
        for (name, count) in self.senders.iter().flat_map(|sender| sender.outlet.answers()) {
            match sum.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => sum.push((name, count)),
            }
        }
        sum
    }

    fn mode(&self) -> Mode {
        let mode = match self.senders.len() {
            1 => "one line".to_owned(),
            lines => format!("{lines} lines"),
        };
        Mode { port: "udp", mode, why: String::new() }
    }
}
