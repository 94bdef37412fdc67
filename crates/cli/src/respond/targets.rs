//! Where orders go: frames through the transmitter of a worker, datagrams through a socket, or a
//! session over a connection, of the kernel or of ours.
//!
//! An order is written to where it leaves from when the checks have let it pass, and leaves with
//! [`Targets::flush`], when what was answered is written down. What does not leave comes back as an
//! event with its reason.

use super::user_tcp::{Line, Now};
use super::wire::Wire;
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_capture::udp::UdpSender;
use tickwire_capture::{DatagramSender, Transmitter};
use tickwire_frame::{Counters, Kind, Reason, Timestamp};
use tickwire_replicate::{Datagram, Path, Template};
use tickwire_respond::format::{Encoder, ORDER_BYTES_MAX};
use tickwire_respond::{Decision, Event, EventKind, Order, Outcome};

/// Orders that are written and wait for [`Targets::flush`], at most.
pub const PENDING_MAX: usize = 256;
/// From here on a worker flushes before it looks at its next frame.
pub const PENDING_MANY: usize = 32;
/// Bytes of orders that wait for sockets.
const PAYLOAD_BYTES_MAX: usize = PENDING_MAX * ORDER_BYTES_MAX;
/// The longest time that is told from others, in nanoseconds: ten seconds.
const TIME_NS_MAX: u64 = 10_000_000_000;

/// Where the orders of a target leave.
#[derive(Debug)]
pub enum Way {
    /// Datagrams: as frames where the worker has a way there, else by the socket.
    Udp(Box<UdpWay>),
    /// A connection, and what is said on it.
    Tcp(Box<Wire>),
    /// The same over frames.
    User(Box<Line>),
}

/// How datagrams reach a target.
#[derive(Debug)]
pub struct UdpWay {
    /// Its address and port.
    pub address: SocketAddr,
    /// Where frames to it leave and whom they reach first, or why there are none.
    pub path: Path,
    /// Without a path, the socket may try: this machine itself, a tunnel, or a neighbour that only
    /// the kernel can ask for.
    pub may_ask_kernel: bool,
    /// Whether programs in the kernel can send to it, or why not; `None` when none does.
    pub from_kernel: Option<Result<(), Reason>>,
    /// The headers of such frames.
    pub template: Option<Template>,
    /// The same through the kernel.
    pub socket: Option<UdpSender>,
    /// How orders are written.
    pub encoder: Encoder,
}

/// A target.
#[derive(Debug)]
pub struct Target {
    /// Where its orders leave.
    pub way: Way,
    /// Orders that left.
    pub sent: u64,
    /// Orders that left from the kernel.
    pub sent_by_kernel: u64,
    /// Orders that did not.
    pub unsent: Counters,
}

/// An order that is written.
#[derive(Clone, Copy, Debug)]
struct Pending {
    number: u64,
    target: u16,
    received_ns: u64,
    leaves: Leaves,
    lost: Option<Reason>,
}

#[derive(Clone, Copy, Debug)]
enum Leaves {
    Frame,
    /// The place of its bytes.
    Socket {
        at: usize,
        len: usize,
    },
    Session,
}

/// All targets, and what waits for them.
#[derive(Debug)]
pub struct Targets {
    /// By number.
    pub targets: Vec<Target>,
    /// Those with a [`Way::User`].
    lines: Box<[u16]>,
    /// One of them may have something to send.
    is_line_due: bool,
    pending: Vec<Pending>,
    payloads: Vec<u8>,
    /// From receipt to departure, in nanoseconds.
    pub times: Histogram<u64>,
    /// Sockets, rings and sessions that had no room.
    pub queue_full: u64,
    /// The last order that did not leave: why, and when.
    pub last_error: Option<(Reason, u64)>,
}

/// What a worker brings along: the frame that is answered, and its way out.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The transmitter of the worker.
    pub way: Option<&'a mut AfXdpTransmitter>,
    /// The datagram that is answered.
    pub datagram: &'a Datagram,
    /// When it was received.
    pub received_ns: u64,
}

impl Targets {
    /// Nothing waits.
    pub fn new(targets: Vec<Target>) -> Targets {
        let lines = (0..).zip(&targets).filter(|(_, target)| matches!(target.way, Way::User(_)));
        Targets {
            lines: lines.map(|(number, _)| number).collect(),
            is_line_due: false,
            targets,
            pending: Vec::with_capacity(PENDING_MAX),
            payloads: vec![0; PAYLOAD_BYTES_MAX],
            times: Histogram::new_with_bounds(1, TIME_NS_MAX, 3).expect("bounds in order"),
            queue_full: 0,
            last_error: None,
        }
    }

    /// Targets that are spoken with over frames, by number.
    #[inline]
    pub fn lines(&self) -> &[u16] {
        &self.lines
    }

    /// One of them, which may have something to send afterwards.
    ///
    /// # Panics
    /// When it is none of them.
    pub fn line(&mut self, number: u16) -> &mut Line {
        self.is_line_due = true;
        match &mut self.targets[usize::from(number)].way {
            Way::User(line) => line,
            _ => unreachable!("target {number} is not spoken with over frames"),
        }
    }

    /// Counts and measures from 0 again.
    pub fn reset_figures(&mut self) {
        for target in &mut self.targets {
            (target.sent, target.sent_by_kernel) = (0, 0);
            target.unsent = Counters::default();
        }
        self.times.reset();
        (self.queue_full, self.last_error) = (0, None);
    }

    /// Whether a worker should flush before it goes on.
    #[inline]
    pub fn has_many(&self) -> bool {
        self.pending.len() >= PENDING_MANY
    }

    /// Writes an order to where it leaves from.
    ///
    /// # Errors
    /// Why it cannot leave: nothing of it will.
    #[inline]
    pub fn order(&mut self, order: &Order, origin: &mut Origin<'_>) -> Result<(), Reason> {
        let written = self.write(order, origin);
        if let Err(reason) = written {
            self.refused(order.intent.target, reason);
        }
        written
    }

    #[inline]
    fn write(&mut self, order: &Order, origin: &mut Origin<'_>) -> Result<(), Reason> {
        if self.pending.len() == PENDING_MAX {
            return Err(Reason::OutputQueueFull);
        }
        let number = self.pending.len();
        let target = self.targets.get_mut(usize::from(order.intent.target));
        let leaves = match &mut target.ok_or(Reason::NoEgress)?.way {
            Way::Tcp(wire) => {
                wire.order(order)?;
                Leaves::Session
            }
            Way::User(line) => {
                line.order(order)?;
                Leaves::Session
            }
            Way::Udp(udp) if udp.frame(order, number as u32, origin)? => Leaves::Frame,
            Way::Udp(udp) => {
                let at = number * ORDER_BYTES_MAX;
                let payload = &mut self.payloads[at..at + ORDER_BYTES_MAX];
                Leaves::Socket { at, len: udp.encoder.encode(order, payload)? }
            }
        };
        let (number, target) = (order.number, order.intent.target);
        let (received_ns, lost) = (origin.received_ns, None);
        self.pending.push(Pending { number, target, received_ns, leaves, lost });
        Ok(())
    }

    #[cold]
    fn refused(&mut self, target: u16, reason: Reason) {
        self.last_error = Some((reason, Timestamp::now().as_nanos()));
        self.queue_full += u64::from(is_full(reason));
        if let Some(target) = self.targets.get_mut(usize::from(target)) {
            target.unsent.add(reason, 1);
        }
    }

    /// What a program in the kernel decided, and how long it took until the order left.
    pub fn decided_in_kernel(&mut self, decision: &Decision, took_ns: Option<u64>) {
        let Decision { intent, received_ns, outcome, .. } = decision;
        let Some(target) = self.targets.get_mut(usize::from(intent.target)) else { return };
        match *outcome {
            Outcome::Ordered(_) => {
                target.sent_by_kernel += 1;
                self.times.saturating_record(took_ns.unwrap_or_default());
            }
            // What the checks refuse is no matter of the target.
            Outcome::Refused(reason)
                if reason.kind() != Kind::Refused || reason == Reason::NotRepresentable =>
            {
                target.unsent.add(reason, 1);
                self.last_error = Some((reason, *received_ns));
            }
            Outcome::Refused(_) => {}
        }
    }

    /// Sends all that is written. An order that did not leave, and will not, is an `event`.
    #[inline]
    pub fn flush(&mut self, way: Option<&mut AfXdpTransmitter>, event: &mut dyn FnMut(Event)) {
        if !self.pending.is_empty() || self.is_line_due {
            self.flush_all(way, event);
        }
    }

    fn flush_all(&mut self, mut way: Option<&mut AfXdpTransmitter>, event: &mut dyn FnMut(Event)) {
        let spoken = way.as_deref_mut().is_some_and(|way| self.flush_lines(way, event));
        let pending = &mut self.pending;
        if let Some(way) = way
            && (spoken || pending.iter().any(|one| matches!(one.leaves, Leaves::Frame)))
        {
            let mut lost = |tag: u32, reason| {
                if let Some(one) = pending.get_mut(tag as usize) {
                    one.lost = Some(reason);
                }
            };
            // What the port cannot live through ends the worker at its next tick.
            let _ = way.kick(&mut lost);
        }
        for one in self.pending.iter_mut() {
            if let Leaves::Socket { at, len } = one.leaves
                && let Way::Udp(udp) = &mut self.targets[usize::from(one.target)].way
            {
                let payload = &self.payloads[at..at + len];
                match &mut udp.socket {
                    Some(socket) => {
                        socket.send(&[payload], &mut |reason, _| one.lost = Some(reason));
                    }
                    None => one.lost = Some(Reason::NoRoute),
                }
            }
        }
        let closed = self.flush_sessions();
        let now_ns = Timestamp::now().as_nanos();
        for one in &self.pending {
            let target = &mut self.targets[usize::from(one.target)];
            match one.lost {
                None => {
                    target.sent += 1;
                    self.times.saturating_record(now_ns.saturating_sub(one.received_ns));
                }
                Some(reason) => {
                    target.unsent.add(reason, 1);
                    self.queue_full += u64::from(is_full(reason));
                    self.last_error = Some((reason, now_ns));
                    event(Event { number: one.number, kind: EventKind::Unsent(reason) });
                }
            }
        }
        self.pending.clear();
        for (target, why) in closed {
            if let Way::Tcp(wire) = &mut self.targets[target].way {
                wire.disconnected(&why, now_ns, event);
            }
        }
    }

    /// Writes the frames of targets that are spoken with over frames; whether there are any.
    fn flush_lines(&mut self, way: &mut AfXdpTransmitter, event: &mut dyn FnMut(Event)) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        self.is_line_due = false;
        let (now, mut spoken) = (Now::read(), false);
        for &number in &self.lines {
            if let Way::User(line) = &mut self.targets[usize::from(number)].way {
                line.transmit(way, now, event);
                spoken |= line.take_pushed();
            }
        }
        spoken
    }

    /// Those whose connection broke.
    fn flush_sessions(&mut self) -> Vec<(usize, String)> {
        // Allocates nothing while all goes well.
        let mut closed = Vec::new();
        for (number, target) in self.targets.iter_mut().enumerate() {
            if let Way::Tcp(wire) = &mut target.way
                && let Err(close) = wire.flush()
            {
                closed.push((number, close.why));
            }
        }
        closed
    }
}

impl UdpWay {
    /// Writes a frame, if the worker has a way to the target; `false` when it goes by the socket.
    #[inline]
    fn frame(&self, order: &Order, tag: u32, origin: &mut Origin<'_>) -> Result<bool, Reason> {
        let hop = match self.path {
            Ok(hop) => hop,
            Err(_) if self.may_ask_kernel => return Ok(false),
            // The kernel would keep it until a neighbour answers, and send it late.
            Err(reason) => return Err(reason),
        };
        let (Some(way), Some(template)) = (&mut origin.way, &self.template) else {
            return Ok(false);
        };
        if hop.ifindex != way.ifindex() {
            return Ok(false);
        }
        let slot = way.slot()?;
        let len = self.encoder.encode(order, template.begin(slot)?)?;
        let len = template.finish(origin.datagram, len, slot)?;
        way.push(len, tag);
        Ok(true)
    }
}

fn is_full(reason: Reason) -> bool {
    matches!(reason, Reason::OutputQueueFull | Reason::TxRingFull)
}
