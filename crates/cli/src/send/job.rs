//! Hands over what is due, and measures how late it left.

use super::clock::Clock;
use super::distribution::Distribution;
use super::outlet::Outlet;
use arrayvec::ArrayVec;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tickwire_capture::{Mode, PortError};
use tickwire_decode::{Miss, five_tuple};
use tickwire_engine::{Control, Job};
use tickwire_frame::{Batch, Counters, FRAMES_MAX, Frame, Ledger, LinkType, Mask, Reason};

/// UDP, as IP names it.
const PROTOCOL_UDP: u8 = 17;

/// What source port, job and the command share. Nothing of it is touched per packet but the clock.
#[derive(Debug, Default)]
pub struct Shared {
    clock: OnceLock<Clock>,
    notices: Mutex<Vec<String>>,
    error: OnceLock<String>,
    done: OnceLock<Done>,
}

/// What the job leaves behind.
#[derive(Debug)]
pub struct Done {
    /// From the time a packet was due to the return of the system call that sent it.
    pub lateness: Distribution,
    /// What the system said, by the name of the error, and how often.
    pub answers: Vec<(String, u64)>,
    /// The outlet in force.
    pub mode: Mode,
    /// Bytes of the packets that left, as they were handed over.
    pub sent_bytes: u64,
    /// From the start to the last packet that left, in nanoseconds.
    pub last_ns: u64,
}

impl Default for Done {
    fn default() -> Self {
        Done {
            lateness: Distribution::default(),
            answers: Vec::new(),
            mode: Mode { port: "none", mode: String::new(), why: String::new() },
            sent_bytes: 0,
            last_ns: 0,
        }
    }
}

impl Shared {
    /// The clock; starts it if it does not run yet.
    pub fn clock(&self) -> &Clock {
        self.clock.get_or_init(Clock::start)
    }

    /// The clock, if it runs.
    pub fn started(&self) -> Option<&Clock> {
        self.clock.get()
    }

    /// Takes the oldest thing that a person should know.
    pub fn take_notice(&self) -> Option<String> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        (!notices.is_empty()).then(|| notices.remove(0))
    }

    /// Why the outlet broke, if it did.
    pub fn error(&self) -> Option<&str> {
        self.error.get().map(String::as_str)
    }

    /// What the job left behind; `None` while it runs.
    pub fn done(&self) -> Option<&Done> {
        self.done.get()
    }
}

/// Sends each frame at once, and enters the time since it was due.
pub struct SendJob {
    outlet: Box<dyn Outlet>,
    /// Whether due times mean something: not when all is due at once.
    is_timed: bool,
    /// Whether frames are what the outlet takes already.
    is_ready_made: bool,
    lateness: Distribution,
    sent_bytes: u64,
    last_ns: u64,
    shared: Arc<Shared>,
    control: Arc<Control>,
}

/// Packets of a batch that can be sent, and when they were due.
type Ready<'a> = (ArrayVec<&'a [u8], FRAMES_MAX>, ArrayVec<u64, FRAMES_MAX>);

impl SendJob {
    /// Sends through `outlet`, and stops `control` when that breaks.
    pub fn new(outlet: Box<dyn Outlet>, shared: Arc<Shared>, control: Arc<Control>) -> Self {
        SendJob {
            outlet,
            is_timed: true,
            is_ready_made: false,
            lateness: Distribution::default(),
            sent_bytes: 0,
            last_ns: 0,
            shared,
            control,
        }
    }

    /// For packets that are all due at once: no lateness.
    pub fn untimed(self) -> Self {
        SendJob { is_timed: false, ..self }
    }

    /// For frames that were made for this outlet.
    pub fn ready_made(self) -> Self {
        SendJob { is_ready_made: true, ..self }
    }

    fn broken(&mut self, error: impl ToString) {
        let _ = self.shared.error.set(error.to_string());
        self.control.stop();
    }

    /// What of `frame` the outlet takes, or why it cannot.
    fn packet<'a>(&self, link: LinkType, frame: Frame<'a>) -> Result<&'a [u8], Reason> {
        if frame.wire_len as usize > frame.bytes.len() {
            return Err(Reason::CutShort);
        }
        match self.outlet.link() {
            _ if self.is_ready_made => Ok(frame.bytes),
            Some(wanted) if wanted != link => Err(Reason::OtherLinkType),
            Some(_) => Ok(frame.bytes),
            None => match five_tuple(link, frame.bytes) {
                Ok(tuple) if tuple.protocol == PROTOCOL_UDP => Ok(tuple.payload(frame.bytes)),
                Err(Miss::Fragment) => Err(Reason::Fragment),
                _ => Err(Reason::NoPayload),
            },
        }
    }

    fn send(&mut self, (packets, due): &Ready<'_>, ledger: &mut Ledger) {
        let clock = *self.shared.clock();
        let mut at = 0;
        while at < packets.len() {
            let handed = match self.outlet.send(&packets[at..]) {
                Ok(handed) => handed,
                Err(error) => {
                    ledger.discard(Reason::Stopped, (packets.len() - at) as u64);
                    return self.broken(error);
                }
            };
            let sent = at..at + handed.sent;
            if !sent.is_empty() {
                self.last_ns = clock.now_ns();
                ledger.delivered += handed.sent as u64;
                self.sent_bytes +=
                    packets[sent.clone()].iter().map(|p| p.len() as u64).sum::<u64>();
            }
            if self.is_timed {
                for &due_ns in &due[sent.clone()] {
                    self.lateness.add(self.last_ns.saturating_sub(due_ns), 1);
                }
            }
            at = sent.end;
            if let Some(reason) = handed.refused {
                ledger.discard(reason, 1);
                at += 1;
            }
        }
    }

    fn settle(&mut self, worked: Result<(), PortError>, lost: &Counters, ledger: &mut Ledger) {
        if let Err(error) = worked {
            self.broken(error);
        }
        // They were counted as delivered when the outlet took them.
        ledger.delivered -= lost.total();
        ledger.discarded += lost;
        while let Some(notice) = self.outlet.take_notice() {
            let mut notices = self.shared.notices.lock().unwrap_or_else(PoisonError::into_inner);
            notices.push(notice);
        }
    }
}

impl Job for SendJob {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        let mut ready: Ready<'_> = Default::default();
        for frame in batch.select(selected) {
            match self.packet(batch.link, frame) {
                Ok(packet) => {
                    ready.0.push(packet);
                    ready.1.push(frame.timestamp.as_nanos());
                }
                Err(reason) => ledger.discard(reason, 1),
            }
        }
        if !ready.0.is_empty() {
            self.send(&ready, ledger);
        }
    }

    fn tick(&mut self, ledger: &mut Ledger) {
        let mut lost = Counters::default();
        let ticked = self.outlet.tick(&mut lost);
        self.settle(ticked, &lost, ledger);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        let mut lost = Counters::default();
        let finished = self.outlet.finish(&mut lost);
        self.settle(finished, &lost, ledger);
        let _ = self.shared.done.set(Done {
            lateness: std::mem::take(&mut self.lateness),
            answers: self.outlet.answers(),
            mode: self.outlet.mode(),
            sent_bytes: self.sent_bytes,
            last_ns: self.last_ns,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::outlet::Handed;
    use tickwire_frame::Timestamp;

    /// Takes three packets, refuses the fourth, and so on; loses one of them later.
    struct Fussy {
        link: Option<LinkType>,
        seen: Seen,
        breaks: bool,
    }

    impl Outlet for Fussy {
        fn link(&self) -> Option<LinkType> {
            self.link
        }

        fn send(&mut self, packets: &[&[u8]]) -> Result<Handed, PortError> {
            if self.breaks {
                return Err(PortError::Broken("it broke".into()));
            }
            let sent = packets.len().min(3);
            let taken = packets[..sent].iter().map(|packet| packet.to_vec());
            self.seen.lock().expect("no panic").extend(taken);
            Ok(Handed { sent, refused: (packets.len() > 3).then_some(Reason::TxRefused) })
        }

        fn tick(&mut self, lost: &mut Counters) -> Result<(), PortError> {
            lost.add(Reason::TxUnfinished, 1);
            Ok(())
        }

        fn mode(&self) -> Mode {
            Mode { port: "fussy", mode: String::new(), why: String::new() }
        }
    }

    type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

    fn job(link: Option<LinkType>, breaks: bool) -> (SendJob, Arc<Shared>, Seen) {
        let (shared, seen) = (Arc::<Shared>::default(), Seen::default());
        let outlet = Box::new(Fussy { link, seen: Arc::clone(&seen), breaks });
        (SendJob::new(outlet, Arc::clone(&shared), Arc::default()), shared, seen)
    }

    fn handle(job: &mut SendJob, frames: &[Vec<u8>], wire_len: usize) -> Ledger {
        let (mut batch, mut ledger) = (Batch::new(), Ledger::default());
        for bytes in frames {
            let frame = Frame::new(bytes, Timestamp::ZERO);
            batch.push(Frame { wire_len: frame.wire_len.max(wire_len as u32), ..frame });
        }
        ledger.receive(&batch);
        job.handle(&batch, batch.all(), &mut ledger);
        ledger
    }

    #[test]
    fn every_packet_is_sent_or_named() {
        let (mut job, shared, seen) = job(Some(LinkType::ETHERNET), false);
        let frames: Vec<Vec<u8>> = (0..10).map(|i| vec![i; 60]).collect();
        let mut ledger = handle(&mut job, &frames, 0);
        assert_eq!((ledger.delivered, ledger.discarded[Reason::TxRefused]), (8, 2));
        job.finish(&mut ledger);
        assert_eq!((ledger.delivered, ledger.difference()), (7, 0));
        let first: Vec<u8> =
            seen.lock().expect("no panic").iter().map(|packet| packet[0]).collect();
        assert_eq!(first, [0, 1, 2, 4, 5, 6, 8, 9]);
        let done = shared.done().expect("it has finished");
        assert_eq!((done.lateness.count(), done.sent_bytes), (8, 480));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let (mut job, _, seen) = job(None, false);
        let ledger = handle(&mut job, &[vec![0; 60]], 0);
        assert_eq!((ledger.discarded[Reason::NoPayload], ledger.difference()), (1, 0));
        let ledger = handle(&mut job, &[vec![0; 60]], 61);
        assert_eq!((ledger.discarded[Reason::CutShort], ledger.difference()), (1, 0));
        assert!(seen.lock().expect("no panic").is_empty());
        let (mut job, ..) = self::job(Some(LinkType::RAW), false);
        let ledger = handle(&mut job, &[vec![0; 60]], 0);
        assert_eq!((ledger.discarded[Reason::OtherLinkType], ledger.difference()), (1, 0));
    }

    #[test]
    fn an_outlet_that_breaks_stops_the_run() {
        let (mut job, shared, _) = job(Some(LinkType::ETHERNET), true);
        let ledger = handle(&mut job, &[vec![0; 60], vec![1; 60]], 0);
        assert_eq!((ledger.discarded[Reason::Stopped], ledger.difference()), (2, 0));
        assert_eq!(shared.error(), Some("it broke"));
        assert!(job.control.stopped());
    }
}
