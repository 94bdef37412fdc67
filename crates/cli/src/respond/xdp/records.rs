//! What the kernel says of its decisions, taken in: log, figures, peers, tracepoint.

use super::Kernel;
use crate::exit::say;
use crate::respond::desk::{Answer, Desk, lock};
use crate::respond::job::trace;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tickwire_capture::bpf::RingBuf;
use tickwire_frame::Timestamp;
use tickwire_replicate::Datagram;
use tickwire_respond::Outcome;
use tickwire_respond::audit::{Entry, Mark};
use tickwire_respond::xdp::Record;

/// Records that are taken in before the desk is given to whoever waits for it.
const RECORDS_AT_ONCE: usize = 256;
/// Records of one round: what the ring holds, so that none is the last.
const ROUND_RECORDS_MAX: usize = 1 << 18;

/// The reading end of the ring of records.
#[derive(Debug)]
pub struct Records {
    kernel: Arc<Kernel>,
    ring: RingBuf,
    /// Of each feed: where it is sent to.
    listen: Vec<SocketAddr>,
    /// Lost records that were entered into the log.
    lost: u64,
}

impl Records {
    /// Nothing has been read yet; `listen` says of each feed where it is sent to.
    pub fn new(kernel: Arc<Kernel>, ring: RingBuf, listen: Vec<SocketAddr>) -> Records {
        Records { kernel, ring, listen, lost: 0 }
    }

    /// Takes in all that is there, and hands on what one side has to know of the other.
    pub fn take(&mut self, desk: &Mutex<Desk>) {
        let mut left = ROUND_RECORDS_MAX;
        loop {
            let mut held = lock(desk);
            let Records { ring, listen, .. } = self;
            let taken =
                ring.drain(RECORDS_AT_ONCE.min(left), |bytes| note(&mut held, bytes, listen));
            left -= taken;
            if taken < RECORDS_AT_ONCE || left == 0 {
                return self.settle(&mut held);
            }
            drop(held);
            std::thread::yield_now();
        }
    }

    /// What stops one side stops the other, and what one side knows the other has to know.
    fn settle(&mut self, desk: &mut Desk) {
        let state = self.kernel.state();
        let (lost, known) = (state.lost(), self.lost);
        self.lost = lost;
        // It is less when the figures were reset.
        let new = if lost < known { lost } else { lost - known };
        if new > 0 {
            desk.record(Timestamp::now().as_nanos(), Entry::Lost(new));
        }
        desk.heed_the_log();
        if !desk.responder.is_enabled() {
            state.set_enabled(false);
        } else if !state.is_enabled() {
            desk.stopped_by_ring = true;
            desk.responder.set_enabled(false);
            desk.mark(Mark::Disabled);
            say(format_args!(
                "tickwire: {lost} records of the kernel found no room, so responding was switched \
                 off; find out what kept tickwire from reading them, then `tickwire ctl respond \
                 enable`\n"
            ));
        }
        let plan = self.kernel.plan();
        let feeds = plan.feeds().iter().enumerate();
        for (place, feed) in feeds.filter(|(_, feed)| feed.silence_ns_max.is_some()) {
            // What came to one side was no silence for the other.
            let seen_ns = state.last_packet_ns(place);
            let last_ns = desk.responder.heard(feed.number, seen_ns);
            if last_ns > seen_ns {
                state.heard(place, last_ns);
            }
        }
        self.kernel.follow_open(desk);
    }
}

fn note(desk: &mut Desk, bytes: &[u8], listen: &[SocketAddr]) {
    let Some(record) = Record::read(bytes) else { return };
    let Some(&destination) = listen.get(usize::from(record.decision.feed)) else { return };
    desk.decided_in_kernel(&record);
    let answer = match record.decision.outcome {
        Outcome::Ordered(_) => Answer::Ordered,
        Outcome::Refused(reason) => Answer::Refused(reason),
    };
    let datagram = Datagram { source: record.source.into(), destination, ..Datagram::NONE };
    trace(&datagram, record.decision.received_ns, answer);
}
