//! Fan-out of datagrams, for mode `udp`: payloads of a batch to one sender for each subscriber.

use crate::sorter::Sorter;
use crate::{Feed, Snapshot, Subscriber, SubscriberEntry, View};
use arrayvec::ArrayVec;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tickwire_capture::DatagramSender;
use tickwire_engine::Job;
use tickwire_frame::{Batch, FRAMES_MAX, Ledger, Mask, Reason};

/// How many senders that could not be opened are tried again in one tick.
pub const OPENINGS_PER_TICK_MAX: usize = 16;

/// Opens the sender of a subscriber. What goes wrong comes back as the reason to count its
/// datagrams under; the words for it are the opener's business.
pub type Open<S> = Box<dyn FnMut(&Feed, &Subscriber) -> Result<S, Reason> + Send>;

/// Sends the payload of each frame of a feed to every subscriber that wants it.
///
/// As [`FrameFanOut`](crate::FrameFanOut), but the kernel makes the headers and finds the way: the
/// next hops of the table are not looked at.
pub struct DatagramFanOut<S: DatagramSender> {
    sorter: Sorter,
    open: Open<S>,
    /// For each feed of the snapshot one for each subscriber.
    senders: Vec<Vec<Slot<S>>>,
    /// How many of the closed ones have been tried again in this round.
    tried: usize,
}

/// A subscriber's sender, or why there is none, and what it was opened for.
struct Slot<S> {
    entry: Arc<SubscriberEntry>,
    sender: Result<S, Reason>,
}

impl<S: DatagramSender> fmt::Debug for DatagramFanOut<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramFanOut").field("sorter", &self.sorter).finish_non_exhaustive()
    }
}

impl<S: DatagramSender> DatagramFanOut<S> {
    /// For worker number `worker` of the table, whose frames come from `interface`.
    pub fn new(view: View, worker: usize, interface: Option<String>, open: Open<S>) -> Self {
        let sorter = Sorter::new(view, worker, interface);
        let mut fan_out = DatagramFanOut { sorter, open, senders: Vec::new(), tried: 0 };
        fan_out.follow();
        fan_out
    }

    /// Opens the senders of those who are new, keeps those of the others.
    #[cold]
    fn follow(&mut self) {
        let old = std::mem::take(&mut self.senders).into_iter().flatten();
        let mut old: HashMap<u32, Slot<S>> = old.map(|slot| (slot.entry.id, slot)).collect();
        let open = &mut self.open;
        let mut slot = |feed: &Feed, entry: &Arc<SubscriberEntry>| {
            let same = |slot: &Slot<S>| slot.entry.subscriber == entry.subscriber;
            let sender = match old.remove(&entry.id).filter(same) {
                Some(slot) => slot.sender,
                None => open(feed, &entry.subscriber),
            };
            Slot { entry: Arc::clone(entry), sender }
        };
        let Snapshot { feeds } = &**self.sorter.snapshot();
        self.senders = feeds
            .iter()
            .map(|feed| feed.subscribers.iter().map(|entry| slot(&feed.feed, entry)).collect())
            .collect();
    }
}

impl<S: DatagramSender> Job for DatagramFanOut<S> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.sorter.sort(batch, selected, ledger);
        let sorter = &self.sorter;
        for ((_, frames), position) in sorter.feeds().zip(sorter.positions()) {
            for slot in &mut self.senders[position] {
                let wanted = sorter.wanted(&slot.entry, batch, frames);
                slot.send(sorter, batch, wanted);
            }
        }
    }

    /// Tries again, a few at a time, to open what could not be opened.
    fn tick(&mut self, _ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        let feeds = self.sorter.snapshot().feeds.iter().zip(&mut self.senders);
        let slots = feeds.flat_map(|(feed, slots)| slots.iter_mut().map(move |slot| (feed, slot)));
        let closed = slots.filter(|(_, slot)| slot.sender.is_err()).skip(self.tried);
        let mut tried = 0;
        for (feed, slot) in closed.take(OPENINGS_PER_TICK_MAX) {
            slot.sender = (self.open)(&feed.feed, &slot.entry.subscriber);
            tried += 1;
        }
        // The next ones with the next tick; from the beginning when these were the last.
        self.tried = if tried < OPENINGS_PER_TICK_MAX { 0 } else { self.tried + tried };
    }
}

impl<S: DatagramSender> Slot<S> {
    #[inline]
    fn send(&mut self, sorter: &Sorter, batch: &Batch<'_>, frames: Mask) {
        let (tally, worker) = (&self.entry.tally, sorter.worker());
        match &mut self.sender {
            _ if frames.is_empty() => {}
            Err(reason) => tally.discarded(worker, *reason, frames.count() as u64),
            Ok(sender) => {
                let payload = |at: usize| sorter.datagram(at).payload(batch.bytes()[at]);
                let payloads: ArrayVec<&[u8], FRAMES_MAX> =
                    frames.into_iter().map(payload).collect();
                tally.copied(worker, payloads.len() as u64, sorter.bytes(frames));
                sender.send(&payloads, &mut |reason, count| tally.lost(worker, reason, count));
            }
        }
    }
}
