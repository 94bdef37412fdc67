//! What a worker does with its frames: find the feed, answer, send.

use super::desk::{Answer, Desk, Incoming, lock};
use super::peers::Link;
use super::user_tcp::{self, Now};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_capture::{Transmitter, probes};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Mask, Reason, Timestamp};
use tickwire_replicate::{Datagram, Miss};
use tickwire_respond::{Arrival, Batches};

/// A feed of datagrams, as frames are held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The number of the feed.
    pub feed: u16,
    /// Where it is sent to; a wildcard address is any.
    pub listen: SocketAddr,
    /// Who sends it; anybody when `None`.
    pub source: Option<IpAddr>,
}

impl Ingress {
    #[inline]
    fn is_of(&self, datagram: &Datagram) -> bool {
        let (listen, to) = (self.listen, datagram.destination);
        listen.port() == to.port() && (listen.ip() == to.ip() || listen.ip().is_unspecified())
    }
}

/// Answers frames.
#[derive(Debug)]
pub struct RespondJob {
    desk: Arc<Mutex<Desk>>,
    batches: Arc<Batches>,
    ingress: Vec<Ingress>,
    way: Option<AfXdpTransmitter>,
    timed: bool,
}

impl RespondJob {
    /// For the frames of the feeds `ingress`; orders leave by `way` where that leads to their
    /// target. `batches` says when all of a batch has left. Frames that are not `timed` have the
    /// time at which they were read, not that at which they arrived.
    pub fn new(
        desk: Arc<Mutex<Desk>>,
        batches: Arc<Batches>,
        ingress: Vec<Ingress>,
        way: Option<AfXdpTransmitter>,
        timed: bool,
    ) -> RespondJob {
        RespondJob { desk, batches, ingress, way, timed }
    }
}

/// The feed of a frame and its datagram, or why it is none.
#[inline]
fn find(
    ingress: &[Ingress],
    link: LinkType,
    frame: &Frame<'_>,
) -> Result<(u16, Datagram), (Reason, Option<Stray>)> {
    let datagram = match Datagram::parse(link, frame) {
        Ok(datagram) => datagram,
        Err(Miss::NotUdp) => return Err((Reason::NotSelected, None)),
        Err(Miss::Fragment(_)) => return Err((Reason::Fragment, None)),
        Err(Miss::Malformed(reason)) => return Err((reason, None)),
    };
    let known = ingress.iter().find(|known| known.is_of(&datagram));
    let Some(known) = known else { return Err((Reason::NotSelected, None)) };
    let stray = |reason| Err((reason, Some(Stray { feed: known.feed, datagram })));
    if known.source.is_some_and(|source| source != datagram.source.ip()) {
        return stray(Reason::Foreign);
    }
    if let Some(reason) = datagram.fault {
        return stray(reason);
    }
    if !datagram.is_intact(frame.bytes) {
        return stray(Reason::UdpBadChecksum);
    }
    Ok((known.feed, datagram))
}

/// A datagram to a feed that is not one of it.
#[derive(Debug)]
struct Stray {
    feed: u16,
    datagram: Datagram,
}

impl Job for RespondJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let RespondJob { desk, batches, ingress, way, timed } = self;
        batches.begin();
        // Who did not have to wait since the frames were read knows what time it is.
        let (mut desk, read) = match desk.try_lock() {
            Ok(desk) => (desk, batch.timestamps().last().filter(|_| !*timed)),
            Err(_) => (lock(desk), None),
        };
        let now_ns = read.copied().unwrap_or_else(Timestamp::now).as_nanos();
        let mut now = None;
        for frame in batch.select(selected) {
            match find(ingress, batch.link, &frame) {
                Ok((feed, datagram)) => {
                    let arrival = Arrival { received_ns: frame.timestamp.as_nanos(), now_ns };
                    let payload = datagram.payload(frame.bytes);
                    let incoming = Incoming { feed, datagram: &datagram, payload, arrival };
                    let from = datagram.source;
                    desk.peers.received(Link::UdpFeed(feed), from, payload.len(), now_ns);
                    let answer = desk.receive(&incoming, way.as_mut());
                    trace(&datagram, now_ns, answer);
                    ledger.delivered += 1;
                    if desk.targets.has_many() {
                        desk.flush(way.as_mut());
                    }
                }
                Err((Reason::NotSelected, None)) if !desk.targets.lines().is_empty() => {
                    let now = *now.get_or_insert_with(Now::read);
                    match user_tcp::receive(&mut desk, batch.link, &frame, way.as_mut(), now) {
                        Ok(()) => ledger.delivered += 1,
                        Err(reason) => ledger.discard(reason, 1),
                    }
                }
                Err((reason, stray)) => {
                    ledger.discard(reason, 1);
                    if let Some(Stray { feed, datagram }) = stray {
                        desk.dropped(Link::UdpFeed(feed), &datagram, reason, now_ns);
                        trace(&datagram, now_ns, Answer::Refused(reason));
                    }
                }
            }
        }
        desk.flush(way.as_mut());
        drop(desk);
        batches.end();
    }

    fn tick(&mut self, _ledger: &mut Ledger) {
        if let Some(way) = &mut self.way {
            user_tcp::tick(&mut lock(&self.desk), way);
            // No order waits between batches, so none can be lost here.
            let _ = way.tick(&mut |_, _| {});
        }
    }

    fn finish(&mut self, _ledger: &mut Ledger) {
        if let Some(way) = &mut self.way {
            way.finish(&mut |_, _| {});
        }
    }
}

/// The static tracepoint `tickwire:packet`; a no-op while nobody looks.
#[inline(always)]
pub fn trace(datagram: &Datagram, now_ns: u64, answer: Answer) {
    let result = || match answer {
        Answer::Nothing => 0,
        Answer::Ordered => 1,
        Answer::Refused(reason) => 2 + reason as u64,
    };
    probes::packet(datagram.source, datagram.destination, now_ns, result);
}
