//! Fan-out of frames: headers from a template, the payload copied, one kick a batch.

use crate::sorter::Sorter;
use crate::{Datagram, Snapshot, SubscriberEntry, Template, View};
use std::fmt;
use tickwire_capture::{PortError, Transmitter};
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
pub struct FrameFanOut<T: Transmitter> {
    sorter: Sorter,
    ways: Vec<Way<T>>,
    on_error: Box<dyn FnMut(PortError) + Send>,
}

/// A transmitter and the interface that it sends on.
struct Way<T> {
    ifindex: u32,
    transmitter: T,
    /// Copies since the last kick.
    queued: usize,
    /// It has failed for good, which was reported.
    broken: bool,
}

impl<T: Transmitter> fmt::Debug for FrameFanOut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameFanOut").field("sorter", &self.sorter).finish_non_exhaustive()
    }
}

impl<T: Transmitter> FrameFanOut<T> {
    /// For worker number `worker` of the table, whose frames come from `interface`. The copies
    /// leave by `transmitters`, by the index of their interface; a subscriber behind another
    /// interface is counted under [`Reason::NoEgress`].
    ///
    /// `on_error` hears once of each transmitter that fails for good; copies for it are counted
    /// under [`Reason::TxRefused`] from then on.
    pub fn new(
        view: View,
        worker: usize,
        interface: Option<String>,
        transmitters: impl IntoIterator<Item = (u32, T)>,
        on_error: impl FnMut(PortError) + Send + 'static,
    ) -> Self {
        let way = |(ifindex, transmitter)| Way { ifindex, transmitter, queued: 0, broken: false };
        FrameFanOut {
            sorter: Sorter::new(view, worker, interface),
            ways: transmitters.into_iter().map(way).collect(),
            on_error: Box::new(on_error),
        }
    }

    /// Calls `act` on each transmitter that works, with a place to report lost copies to.
    fn each_way(
        &mut self,
        mut act: impl FnMut(&mut T, &mut dyn FnMut(u32, Reason)) -> Result<(), PortError>,
    ) {
        let (snapshot, worker) = (self.sorter.snapshot(), self.sorter.worker());
        for way in self.ways.iter_mut().filter(|way| !way.broken) {
            if let Err(error) = act(&mut way.transmitter, &mut lost(snapshot, worker)) {
                way.broken = true;
                (self.on_error)(error);
            }
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

impl<T: Transmitter> Job for FrameFanOut<T> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        self.sorter.refresh();
        self.sorter.sort(batch, selected, ledger);
        let sorter = &self.sorter;
        for (feed, frames) in sorter.feeds() {
            for entry in &feed.subscribers {
                let wanted = sorter.wanted(entry, batch, frames);
                let refuse = |reason| {
                    entry.tally.discarded(sorter.worker(), reason, wanted.count() as u64);
                };
                let (template, hop) = match (&entry.template, &entry.path) {
                    (Ok(template), Ok(hop)) => (template, hop),
                    (Err(reason), _) | (_, Err(reason)) => {
                        refuse(*reason);
                        continue;
                    }
                };
                match self.ways.iter_mut().find(|way| way.ifindex == hop.ifindex) {
                    None => refuse(Reason::NoEgress),
                    Some(way) if way.broken => refuse(Reason::TxRefused),
                    Some(way) => {
                        let copies = Copies { sorter, batch, entry, template };
                        let mut sent = copies.push(&mut way.transmitter, wanted);
                        way.queued += wanted.count();
                        if way.queued >= KICK_FRAMES && sent.is_ok() {
                            way.queued = 0;
                            let lost = &mut lost(sorter.snapshot(), sorter.worker());
                            sent = way.transmitter.kick(lost);
                        }
                        if let Err(error) = sent {
                            way.broken = true;
                            (self.on_error)(error);
                        }
                    }
                }
            }
        }
        if sorter.feeds().next().is_some() {
            self.ways.iter_mut().for_each(|way| way.queued = 0);
            self.each_way(|transmitter, lost| transmitter.kick(lost));
        }
    }

    fn tick(&mut self, _ledger: &mut Ledger) {
        self.sorter.refresh();
        self.each_way(|transmitter, lost| transmitter.tick(lost));
    }

    fn finish(&mut self, _ledger: &mut Ledger) {
        self.each_way(|transmitter, lost| {
            transmitter.finish(lost);
            Ok(())
        });
    }
}

/// The copies of one batch for one subscriber.
struct Copies<'a> {
    sorter: &'a Sorter,
    batch: &'a Batch<'a>,
    entry: &'a SubscriberEntry,
    template: &'a Template,
}

impl Copies<'_> {
    /// Writes and queues a copy of each of `frames`. A ring that is full is kicked once.
    #[inline]
    fn push(&self, to: &mut impl Transmitter, frames: Mask) -> Result<(), PortError> {
        let (tally, worker) = (&self.entry.tally, self.sorter.worker());
        let mut result = Ok(());
        for at in frames {
            let datagram = self.sorter.datagram(at);
            let payload = datagram.payload(self.batch.bytes()[at]);
            let mut written = self.write(to, datagram, payload);
            if written == Err(Reason::TxRingFull) && result.is_ok() {
                result = to.kick(&mut lost(self.sorter.snapshot(), worker));
                written = self.write(to, datagram, payload);
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
        result
    }

    #[inline]
    fn write(
        &self,
        to: &mut impl Transmitter,
        datagram: &Datagram,
        payload: &[u8],
    ) -> Result<usize, Reason> {
        self.template.write(datagram, payload, to.slot()?)
    }
}
