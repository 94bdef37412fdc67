//! The one owner of all that trades: rules, checks, positions, targets, the log.
//!
//! Each worker takes it once a batch; limits and positions hold for all of them together.

use super::audit::Recorder;
use super::peers::{Link, Peers};
use super::targets::{Origin, Targets, Way};
use super::user_tcp::{Line, Now};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_frame::{Reason, Timestamp};
use tickwire_market::nanonet::little::MarketData;
use tickwire_replicate::Datagram;
use tickwire_respond::audit::{Entry, Mark};
use tickwire_respond::xdp::Record;
use tickwire_respond::{
    Arrival, Close, Decision, Event, Markets, Order, Outcome, Outlet, Responder, Rules,
};

/// What decides.
pub type Engine = Responder<'static, Rules, Markets>;

/// What trades.
pub struct Desk {
    /// Rules, checks, positions.
    pub responder: Engine,
    /// Where orders go.
    pub targets: Targets,
    /// Who sends, and who takes orders.
    pub peers: Peers,
    /// Datagrams whose checksum was wrong.
    pub checksum_errors: u64,
    recorder: Option<Recorder>,
    /// A record of the log was lost, and the settings say that trading stops then.
    pub stopped_by_audit: bool,
    /// The kernel lost a record of what it decided, and the settings say that trading stops then.
    pub stopped_by_ring: bool,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// A message that came, and from whom.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The number of its feed.
    pub feed: u16,
    /// Its datagram.
    pub datagram: &'a Datagram,
    /// What is in it.
    pub payload: &'a [u8],
    /// When it came, and when it is looked at.
    pub arrival: Arrival,
}

/// What became of a datagram, for the tracepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No rule wanted an order.
    Nothing,
    /// An order was written.
    Ordered,
    /// A check refused it.
    Refused(Reason),
}

impl Desk {
    /// Nothing has come yet.
    pub fn new(responder: Engine, targets: Targets, recorder: Option<Recorder>) -> Desk {
        Desk {
            responder,
            targets,
            peers: Peers::new(),
            checksum_errors: 0,
            recorder,
            stopped_by_audit: false,
            stopped_by_ring: false,
        }
    }

    /// A datagram of a feed, or a message of a stream. What is written leaves with
    /// [`flush`](Self::flush).
    #[inline]
    pub fn receive(&mut self, one: &Incoming<'_>, way: Option<&mut AfXdpTransmitter>) -> Answer {
        let Incoming { feed, datagram, payload, arrival } = *one;
        let mut outlet = Out {
            targets: &mut self.targets,
            recorder: &mut self.recorder,
            origin: Origin { way, datagram, received_ns: arrival.received_ns },
            now_ns: arrival.now_ns,
            answer: Answer::Nothing,
        };
        self.responder.receive(feed, payload, arrival, &mut outlet);
        outlet.answer
    }

    /// Sends what is written.
    #[inline]
    pub fn flush(&mut self, way: Option<&mut AfXdpTransmitter>) {
        let Desk { targets, responder, recorder, .. } = self;
        targets.flush(way, &mut |event| note(responder, recorder, &event));
        self.heed_the_log();
    }

    /// Switches responding off when the log has lost records and the settings ask for that.
    #[inline]
    pub fn heed_the_log(&mut self) {
        if self.recorder.as_ref().is_some_and(Recorder::must_stop) && !self.stopped_by_audit {
            self.stopped_by_audit = true;
            self.responder.set_enabled(false);
        }
    }

    /// What a program in the kernel decided.
    pub fn decided_in_kernel(&mut self, record: &Record) {
        let Record { decision, source, took_ns } = record;
        let (link, at_ns) = (Link::UdpFeed(decision.feed), decision.received_ns);
        self.peers.received(link, (*source).into(), MarketData::LEN, at_ns);
        self.responder.decided_in_kernel(decision);
        self.targets.decided_in_kernel(decision, *took_ns);
        self.record(at_ns, Entry::Decision(*decision));
    }

    /// Enters what concerns all orders into the log.
    pub fn mark(&mut self, mark: Mark) {
        self.record(Timestamp::now().as_nanos(), Entry::Mark(mark));
    }

    /// Enters something into the log.
    pub fn record(&mut self, at_ns: u64, entry: Entry) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(at_ns, entry);
        }
    }

    /// Does something with the connection of a target; what the exchange says is taken in.
    ///
    /// # Errors
    /// Why the connection has to end.
    ///
    /// # Panics
    /// When the target is none that is connected to.
    pub fn with_wire(
        &mut self,
        target: u16,
        act: impl FnOnce(&mut super::wire::Wire, &mut dyn FnMut(Event)) -> Result<(), Close>,
    ) -> Result<(), Close> {
        let Desk { targets, responder, recorder, .. } = self;
        let Way::Tcp(wire) = &mut targets.targets[usize::from(target)].way else {
            unreachable!("target {target} has no connection")
        };
        act(wire, &mut |event| note(responder, recorder, &event))
    }

    /// Does something with a target that is spoken with over frames; what the exchange says is
    /// taken in. What it has to send leaves with [`flush`](Self::flush).
    ///
    /// # Panics
    /// When the target is none of them.
    pub fn with_line<R>(
        &mut self,
        target: u16,
        now: Now,
        act: impl FnOnce(&mut Line, &mut dyn FnMut(Event)) -> R,
    ) -> R {
        let Desk { targets, responder, recorder, peers, .. } = self;
        let line = targets.line(target);
        let done = act(line, &mut |event| note(responder, recorder, &event));
        line.report(Link::TcpTarget(target), peers, now.ns);
        done
    }

    /// Ends connections that have not taken all that was written for them: what waits would leave
    /// late.
    pub fn hang_up_what_waits(&mut self, now: Now) {
        let Desk { targets, responder, recorder, .. } = self;
        let why = "killed while orders waited for the connection to take them";
        let event = &mut |event| note(responder, recorder, &event);
        for target in &mut targets.targets {
            match &mut target.way {
                Way::Tcp(wire) if wire.is_waiting() => {
                    wire.disconnected(why, now.ns, event);
                }
                Way::User(line) => line.hang_up_what_waits(why, now, event),
                Way::Tcp(_) | Way::Udp(_) => {}
            }
        }
    }

    /// Counts and measures from 0 again.
    pub fn reset_figures(&mut self) {
        self.responder.reset_counts();
        self.targets.reset_figures();
        self.checksum_errors = 0;
    }

    /// A datagram or a part of a stream that was dropped.
    #[cold]
    pub fn dropped(&mut self, link: Link, datagram: &Datagram, reason: Reason, now_ns: u64) {
        self.checksum_errors += u64::from(reason == Reason::UdpBadChecksum);
        self.peers.dropped(link, datagram.source, reason, now_ns);
    }
}

fn note(responder: &mut Engine, recorder: &mut Option<Recorder>, event: &Event) {
    responder.event(event);
    if let Some(recorder) = recorder {
        recorder.record(Timestamp::now().as_nanos(), Entry::Event(*event));
    }
}

struct Out<'a> {
    targets: &'a mut Targets,
    recorder: &'a mut Option<Recorder>,
    origin: Origin<'a>,
    now_ns: u64,
    answer: Answer,
}

impl Outlet for Out<'_> {
    #[inline]
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        self.targets.order(order, &mut self.origin)
    }

    #[inline]
    fn decided(&mut self, decision: &Decision) {
        self.answer = match (decision.outcome, self.answer) {
            (Outcome::Ordered(_), _) | (_, Answer::Ordered) => Answer::Ordered,
            (Outcome::Refused(reason), _) => Answer::Refused(reason),
        };
        if let Some(recorder) = self.recorder {
            recorder.record(self.now_ns, Entry::Decision(*decision));
        }
    }
}

/// How often it is looked whether the desk is free before it is waited for: half a millisecond.
const LOOKS_MAX: u32 = 1 << 14;

/// Takes the desk; nothing panics half-way through a change of it.
#[inline]
pub fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    // Whoever sleeps meanwhile loses it again and again to a worker with batch after batch.
    for _ in 0..LOOKS_MAX {
        match desk.try_lock() {
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            Err(TryLockError::Poisoned(desk)) => return desk.into_inner(),
            Ok(desk) => return desk,
        }
    }
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
