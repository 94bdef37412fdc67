//! Which frames of a batch belong to which feed: the first half of both fan-outs.

use crate::datagram::{Datagram, Miss};
use crate::index::Index;
use crate::{FeedEntry, Snapshot, SubscriberEntry, View};
use arrayvec::ArrayVec;
use std::sync::Arc;
use tickwire_frame::{Batch, FRAMES_MAX, Kind, Ledger, Mask, Reason};

/// Follows the table and sorts the frames of each batch by feed.
#[derive(Debug)]
pub struct Sorter {
    /// The cell of every tally that is ours to write.
    worker: usize,
    view: View,
    interface: Option<String>,
    index: Index,
    /// By the position of their frame; those of other frames are left over from before.
    datagrams: Box<[Datagram; FRAMES_MAX]>,
    /// The feeds that have frames in this batch.
    feeds: ArrayVec<(usize, Mask), FRAMES_MAX>,
}

impl Sorter {
    /// For worker number `worker`, whose frames come from `interface`.
    pub fn new(view: View, worker: usize, interface: Option<String>) -> Sorter {
        let datagrams = Box::new([Datagram::NONE; FRAMES_MAX]);
        let feeds = ArrayVec::new();
        let mut sorter =
            Sorter { worker, view, interface, index: Index::default(), datagrams, feeds };
        sorter.build();
        sorter
    }

    /// Takes over the latest table; whether there was another one.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let changed = self.view.refresh();
        if changed {
            self.build();
        }
        changed
    }

    #[cold]
    fn build(&mut self) {
        let feeds = self.view.snapshot().feeds.iter().map(|entry| &entry.feed);
        self.index = Index::new(feeds, self.interface.as_deref());
    }

    /// The table in use.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.view.snapshot()
    }

    /// The cell of every tally that is ours to write.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Sorts the `selected` frames of `batch` and enters each of them in the ledger: delivered when
    /// it is of a feed and passes its filter.
    #[inline]
    pub fn sort(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        self.feeds.clear();
        for at in selected & batch.all() {
            match Datagram::parse(batch.link, &batch.get(at)) {
                Ok(datagram) => match self.index.find(&datagram) {
                    Some(feed) => self.assign(at, datagram, feed, ledger),
                    None => ledger.discard(Reason::NotSelected, 1),
                },
                Err(miss) => discard(ledger, self.reason(miss)),
            }
        }
        let (snapshot, worker) = (self.view.snapshot(), self.worker);
        for (feed, mask) in &mut self.feeds {
            let entry = &snapshot.feeds[*feed];
            let wanted = match &entry.filter {
                Some(filter) => *mask & filter.select(batch),
                None => *mask,
            };
            let (copied, unwanted) = (wanted.count() as u64, mask.without(wanted).count() as u64);
            entry.tally.copied(worker, copied, bytes(&self.datagrams, wanted));
            entry.tally.discarded(worker, Reason::NotSelected, unwanted);
            ledger.delivered += copied;
            ledger.discard(Reason::NotSelected, unwanted);
            *mask = wanted;
        }
    }

    #[inline]
    fn assign(&mut self, at: usize, datagram: Datagram, feed: usize, ledger: &mut Ledger) {
        if let Some(fault) = datagram.fault {
            self.view.snapshot().feeds[feed].tally.discarded(self.worker, fault, 1);
            return discard(ledger, fault);
        }
        self.datagrams[at] = datagram;
        match self.feeds.iter_mut().find(|(known, _)| *known == feed) {
            Some((_, mask)) => mask.set_if(at, true),
            // There is room: each of the 64 frames brings one feed at most.
            None => self.feeds.push((feed, Mask(1 << at))),
        }
    }

    #[cold]
    fn reason(&self, miss: Miss) -> Reason {
        match miss {
            Miss::Fragment(address) if self.index.listens(address) => Reason::Fragment,
            Miss::Fragment(_) | Miss::NotUdp => Reason::NotSelected,
            Miss::Malformed(reason) => reason,
        }
    }

    /// The feeds that have frames in the batch sorted last, with those frames.
    #[inline]
    pub fn feeds(&self) -> impl Iterator<Item = (&FeedEntry, Mask)> {
        let snapshot = self.view.snapshot();
        self.feeds.iter().map(|&(feed, mask)| (&*snapshot.feeds[feed], mask))
    }

    /// The positions in the snapshot of the same feeds.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.feeds.iter().map(|&(feed, _)| feed)
    }

    /// The datagram in frame `at`, which must be one of a feed.
    #[inline]
    pub fn datagram(&self, at: usize) -> &Datagram {
        &self.datagrams[at]
    }

    /// UDP payload bytes of `frames`, which must be of feeds.
    #[inline]
    pub fn bytes(&self, frames: Mask) -> u64 {
        bytes(&self.datagrams, frames)
    }

    /// UDP payload bytes of the longest of `frames`, which must be of feeds; 0 without any.
    #[inline]
    pub fn longest(&self, frames: Mask) -> usize {
        frames.into_iter().map(|at| self.datagrams[at].payload_len).max().unwrap_or(0)
    }

    /// Those of `frames` that the subscriber wants; the others are counted.
    #[inline]
    pub fn wanted(&self, entry: &SubscriberEntry, batch: &Batch<'_>, frames: Mask) -> Mask {
        let Some(filter) = &entry.filter else { return frames };
        let wanted = frames & filter.select(batch);
        let unwanted = frames.without(wanted).count() as u64;
        entry.tally.discarded(self.worker, Reason::NotSelected, unwanted);
        wanted
    }
}

#[inline]
fn bytes(datagrams: &[Datagram; FRAMES_MAX], frames: Mask) -> u64 {
    frames.into_iter().map(|at| datagrams[at].payload_len as u64).sum()
}

#[cold]
fn discard(ledger: &mut Ledger, reason: Reason) {
    ledger.discard(reason, 1);
    if reason.kind() == Kind::Malformed {
        ledger.malformed.add(reason, 1);
    }
}
