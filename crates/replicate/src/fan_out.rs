//! Fan-out of frames: headers from a template, the payload copied, one kick a batch.

use crate::senders::{Open, Passes, Senders};
use crate::sorter::Sorter;
use crate::{Datagram, Snapshot, SubscriberEntry, Template, View};
use std::fmt;
use std::sync::mpsc::Receiver;
use tickwire_capture::{DatagramSender, PortError, Transmitter};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Ledger, Mask, Reason};

/// So many copies are kicked at once: as many as the kernel takes in one call (AF_XDP in copy
/// mode), so it costs no further call. The first copies of a packet do not wait until those for
/// others, dead ones say, are written too.
const KICK_FRAMES: usize = 32;

/// Copies each frame of a feed to every subscriber that wants it.
///
/// ```text
/// batch ─▶ sort by feed ─▶ for each subscriber: filter, template + payload into slots ─▶ kicks
/// ```
///
/// Subscriber by subscriber, so that its headers stay at hand; each gets its copies in order. A
/// frame counts as delivered when it was handed to the subscribers of its feed, however many; what
/// became of each copy is in the account of each subscriber.
///
/// Whom frames do not reach gets its copies through a socket: on this machine, behind a tunnel or
/// an interface without a transmitter; and a batch with a datagram that is too long for its MTU,
/// which the kernel sends in fragments. What its sender had damaged is
/// [`Reason::UdpBadChecksum`] there: the kernel would make a right checksum for it.
pub struct FrameFanOut<T: Transmitter, S: DatagramSender> {
    sorter: Sorter,
    ways: Vec<Way<T>>,
    more: Receiver<T>,
    senders: Senders<S>,
    on_error: Box<dyn FnMut(PortError) + Send>,
}

/// A transmitter.
struct Way<T> {
    transmitter: T,
    /// Copies since the last kick.
    queued: usize,
    /// It has failed for good.
    error: Option<PortError>,
}

/// How the copies for a subscriber leave.
enum Leave<'a, T> {
    Frames(&'a mut Way<T>, &'a Template),
    Socket,
    Not(Reason),
}

impl<T: Transmitter, S: DatagramSender> fmt::Debug for FrameFanOut<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameFanOut").field("sorter", &self.sorter).finish_non_exhaustive()
    }
}

impl<T: Transmitter, S: DatagramSender> FrameFanOut<T, S> {
    /// For worker number `worker` of the table, whose frames come from `interface`. The copies
    /// leave by the `transmitters`: those that were sent by now, and those that somebody sends
    /// while it runs. They are taken over with the next snapshot of the table, so that the path of
    /// a subscriber may lead to a new one if it was sent before. `open` makes the sockets, with
    /// their first datagram.
    ///
    /// `on_error` hears of each transmitter that fails for good; its copies go through sockets
    /// then.
    pub fn new(
        view: View,
        worker: usize,
        interface: Option<String>,
        transmitters: Receiver<T>,
        (open, passes): (Open<S>, Passes),
        on_error: impl FnMut(PortError) + Send + 'static,
    ) -> Self {
        let mut fan_out = FrameFanOut {
            sorter: Sorter::new(view, worker, interface),
            ways: Vec::new(),
            more: transmitters,
            senders: Senders::new(open, passes),
            on_error: Box::new(on_error),
        };
        fan_out.follow();
        fan_out
    }

    #[cold]
    fn follow(&mut self) {
        let way = |transmitter| Way { transmitter, queued: 0, error: None };
        self.ways.extend(self.more.try_iter().map(way));
        self.senders.follow(self.sorter.snapshot(), |_| false);
    }

    /// Calls `act` on each transmitter that works, with a place to report lost copies to; those
    /// that have failed go.
    fn each_way(
        &mut self,
        mut act: impl FnMut(&mut T, &mut dyn FnMut(u32, Reason)) -> Result<(), PortError>,
    ) {
        let mut lost = lost(self.sorter.snapshot(), self.sorter.worker());
        for way in self.ways.iter_mut().filter(|way| way.error.is_none()) {
            way.error = act(&mut way.transmitter, &mut lost).err();
        }
        for way in self.ways.extract_if(.., |way| way.error.is_some()) {
            let Way { mut transmitter, error, .. } = way;
            transmitter.finish(&mut lost);
            error.into_iter().for_each(&mut self.on_error);
        }
    }
}

/// Enters a copy that did not leave into the account of its subscriber. Who has been removed
/// meanwhile has no account any more.
fn lost(snapshot: &Snapshot, worker: usize) -> impl FnMut(u32, Reason) {
    move |tag, reason| {
        if let Some(entry) = snapshot.subscriber(tag) {
            entry.tally.lost(worker, reason, 1);
        }
    }
}

impl<T: Transmitter, S: DatagramSender> Job for FrameFanOut<T, S> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.sorter.sort(batch, selected, ledger);
        let FrameFanOut { sorter, ways, senders, .. } = self;
        let mut sockets = false;
        for ((feed, frames), number) in sorter.feeds().zip(sorter.positions()) {
            let longest = sorter.longest(frames);
            for (place, entry) in feed.subscribers.iter().enumerate() {
                let wanted = sorter.wanted(entry, batch, frames);
                let copies = Copies { sorter, batch, entry };
                let mut leave = leave(ways, entry);
                if let Leave::Frames(way, template) = &leave
                    && longest > template.payload_max(way.transmitter.frame_bytes_max())
                    && copies.need_socket(way, template, wanted)
                    && senders.ensure(sorter.snapshot(), number, place)
                {
                    leave = Leave::Socket;
                }
                match leave {
                    Leave::Frames(way, template) => way.send(&copies, template, wanted),
                    Leave::Socket if wanted.is_empty() => {}
                    Leave::Socket => {
                        if !std::mem::replace(&mut sockets, true) {
                            senders.look();
                        }
                        senders.ensure(sorter.snapshot(), number, place);
                        senders.send([number, place], sorter, batch, copies.intact(wanted));
                    }
                    Leave::Not(reason) => copies.refuse(reason, wanted),
                }
            }
        }
        if sockets {
            senders.settle(sorter);
        }
        if sorter.feeds().next().is_some() {
            self.ways.iter_mut().for_each(|way| way.queued = 0);
            self.each_way(|transmitter, lost| transmitter.kick(lost));
        }
    }

    fn tick(&mut self, _ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.each_way(|transmitter, lost| transmitter.tick(lost));
        self.senders.tick(self.sorter.snapshot());
    }

    fn finish(&mut self, _ledger: &mut Ledger) {
        self.each_way(|transmitter, lost| {
            transmitter.finish(lost);
            Ok(())
        });
    }
}

/// How the copies for `entry` leave.
#[inline]
fn leave<'a, T: Transmitter>(ways: &'a mut [Way<T>], entry: &'a SubscriberEntry) -> Leave<'a, T> {
    match (&entry.template, &entry.path) {
        (_, Err(Reason::NoEgress)) => Leave::Socket,
        (Ok(template), Ok(hop)) => {
            let leads =
                |way: &&mut Way<T>| way.transmitter.ifindex() == hop.ifindex && way.error.is_none();
            let found = ways.iter_mut().find(leads);
            found.map_or(Leave::Socket, |way| Leave::Frames(way, template))
        }
        (Err(reason), _) | (_, Err(reason)) => Leave::Not(*reason),
    }
}

impl<T: Transmitter> Way<T> {
    /// Writes and queues a copy of each of `frames`, and kicks when there are enough.
    #[inline]
    fn send(&mut self, copies: &Copies<'_>, template: &Template, frames: Mask) {
        let mut sent = copies.push(&mut self.transmitter, template, frames);
        self.queued += frames.count();
        if self.queued >= KICK_FRAMES && sent.is_ok() {
            self.queued = 0;
            let sorter = copies.sorter;
            sent = self.transmitter.kick(&mut lost(sorter.snapshot(), sorter.worker()));
        }
        self.error = sent.err();
    }
}

/// The copies of one batch for one subscriber.
struct Copies<'a> {
    sorter: &'a Sorter,
    batch: &'a Batch<'a>,
    entry: &'a SubscriberEntry,
}

impl Copies<'_> {
    /// Writes and queues a copy of each of `frames`. A ring that is full is kicked once.
    #[inline]
    fn push(
        &self,
        to: &mut impl Transmitter,
        template: &Template,
        frames: Mask,
    ) -> Result<(), PortError> {
        let (tally, worker) = (&self.entry.tally, self.sorter.worker());
        let mut result = Ok(());
        for at in frames {
            let datagram = self.sorter.datagram(at);
            for payload in self.sorter.payloads(at, self.batch) {
                let mut written = write(to, template, datagram, payload);
                if written == Err(Reason::TxRingFull) && result.is_ok() {
                    result = to.kick(&mut lost(self.sorter.snapshot(), worker));
                    written = write(to, template, datagram, payload);
                }
                match written {
                    Ok(len) => {
                        to.push(len, self.entry.id);
                        // At once, because the next kick may take it back.
                        tally.copied(worker, 1, payload.len() as u64);
                    }
                    Err(reason) => tally.discarded(worker, reason, 1),
                }
            }
        }
        result
    }

    fn refuse(&self, reason: Reason, frames: Mask) {
        self.entry.tally.discarded(self.sorter.worker(), reason, frames.count() as u64);
    }

    /// Whether one of `frames` is too long for a frame by `way`, and a socket may send them: all
    /// of them, so that none overtakes another.
    #[cold]
    fn need_socket<T: Transmitter>(&self, way: &Way<T>, template: &Template, frames: Mask) -> bool {
        let room = template.payload_max(way.transmitter.frame_bytes_max());
        !template.keep && self.sorter.longest(frames) > room
    }

    /// Those of `frames` that are as they were sent; the others are counted.
    #[cold]
    fn intact(&self, frames: Mask) -> Mask {
        let is_intact = |&at: &usize| self.sorter.datagram(at).is_intact(self.batch.bytes()[at]);
        let mut intact = Mask::EMPTY;
        frames.into_iter().filter(is_intact).for_each(|at| intact.set_if(at, true));
        self.refuse(Reason::UdpBadChecksum, frames.without(intact));
        intact
    }
}

#[inline]
fn write(
    to: &mut impl Transmitter,
    template: &Template,
    datagram: &Datagram,
    payload: &[u8],
) -> Result<usize, Reason> {
    template.write(datagram, payload, to.slot()?)
}
