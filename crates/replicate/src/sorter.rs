//! Which frames of a batch belong to which feed: the first half of both fan-outs.

use crate::cuts::Cuts;
use crate::datagram::{Datagram, Miss};
use crate::index::Index;
use crate::merge::{From, LINES_MAX};
use crate::{FeedEntry, Snapshot, SubscriberEntry, View};
use arrayvec::ArrayVec;
use std::net::SocketAddr;
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
    /// The feed of all frames, which are answers to requests for what its lines had not brought.
    answers: Option<Answers>,
    /// For each feed of the snapshot, the one that has its subscribers: another one for lines.
    heads: Vec<usize>,
    /// By the position of their frame; those of other frames are left over from before.
    datagrams: Box<[Datagram; FRAMES_MAX]>,
    /// The feeds that have frames in this batch.
    feeds: ArrayVec<(usize, Mask), FRAMES_MAX>,
    /// What is left of those of which a part had come before.
    cuts: Cuts,
}

#[derive(Debug)]
struct Answers {
    feed: String,
    /// Its position in the snapshot.
    place: Option<usize>,
}

impl Sorter {
    /// For worker number `worker`, whose frames come from `interface`.
    pub fn new(view: View, worker: usize, interface: Option<String>) -> Sorter {
        Sorter::with(view, worker, interface, None)
    }

    /// For worker number `worker`, whose frames are answers to requests for what the lines of
    /// `feed`, the first of them, have not brought.
    pub fn answers(view: View, worker: usize, feed: String) -> Sorter {
        Sorter::with(view, worker, None, Some(Answers { feed, place: None }))
    }

    fn with(
        view: View,
        worker: usize,
        interface: Option<String>,
        answers: Option<Answers>,
    ) -> Sorter {
        let mut sorter = Sorter {
            worker,
            view,
            interface,
            index: Index::default(),
            answers,
            heads: Vec::new(),
            datagrams: Box::new([Datagram::NONE; FRAMES_MAX]),
            feeds: ArrayVec::new(),
            cuts: Cuts::default(),
        };
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
        let entries = &self.view.snapshot().feeds;
        let feeds = entries.iter().map(|entry| &entry.feed);
        self.index = Index::new(feeds, self.interface.as_deref());
        let head = |(at, entry): (usize, &Arc<FeedEntry>)| match &entry.line {
            Some(line) => entries.iter().position(|other| other.leads(line)).unwrap_or(at),
            None => at,
        };
        self.heads = entries.iter().enumerate().map(head).collect();
        if let Some(answers) = &mut self.answers {
            answers.place = entries.iter().position(|entry| entry.feed.name == answers.feed);
        }
        if entries.iter().any(|entry| entry.line.is_some()) {
            self.cuts.reserve();
        }
    }

    /// The feed of `datagram`.
    #[inline]
    fn find(&self, datagram: &Datagram) -> Option<usize> {
        match &self.answers {
            Some(answers) => answers.place,
            None => self.index.find(datagram),
        }
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
    /// it is of a feed and passes its filter, and brings something new where lines are merged.
    #[inline]
    pub fn sort(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        self.feeds.clear();
        self.cuts.clear();
        for at in selected & batch.all() {
            match Datagram::parse(batch.link, &batch.get(at)) {
                Ok(datagram) => match self.find(&datagram) {
                    Some(feed) => self.assign(at, datagram, feed, ledger),
                    None => ledger.discard(Reason::NotSelected, 1),
                },
                Err(miss) => discard(ledger, self.reason(miss)),
            }
        }
        let (snapshot, worker) = (self.view.snapshot(), self.worker);
        for (feed, mask) in &mut self.feeds {
            let entry = &snapshot.feeds[*feed];
            if let Some(filter) = &entry.filter {
                let wanted = *mask & filter.select(batch);
                let unwanted = mask.without(wanted).count() as u64;
                entry.tally.discarded(worker, Reason::NotSelected, unwanted);
                ledger.discard(Reason::NotSelected, unwanted);
                *mask = wanted;
            }
        }
        let merged = self.feeds.iter().any(|(feed, _)| snapshot.feeds[*feed].line.is_some());
        if merged {
            self.merge(batch, ledger);
        }
        let snapshot = self.view.snapshot();
        for &(feed, mask) in &self.feeds {
            let copied = mask.count() as u64;
            snapshot.feeds[feed].tally.copied(worker, copied, self.bytes(mask));
            ledger.delivered += copied;
        }
        if merged {
            self.join();
        }
    }

    /// UDP payload bytes of `frames` that are handed on.
    #[inline]
    fn bytes(&self, frames: Mask) -> u64 {
        let bytes = |at: usize| match self.cuts.get(at) {
            None => self.datagrams[at].payload_len as u64,
            Some(pieces) => pieces.map(|piece| piece.len() as u64).sum(),
        };
        frames.into_iter().map(bytes).sum()
    }

    /// Takes what brings nothing new from the frames of lines, in the order of arrival.
    fn merge(&mut self, batch: &Batch<'_>, ledger: &mut Ledger) {
        let snapshot = Arc::clone(self.view.snapshot());
        for first in 0..self.feeds.len() {
            let line_at = |place: usize| snapshot.feeds[self.feeds[place].0].line.as_ref();
            let Some(line) = line_at(first) else { continue };
            let same = |place: &usize| {
                line_at(*place).is_some_and(|other| Arc::ptr_eq(&other.merge, &line.merge))
            };
            if (0..first).any(|place| same(&place)) {
                continue;
            }
            let lines: ArrayVec<usize, LINES_MAX> =
                (first..self.feeds.len()).filter(same).collect();
            let frames = lines.iter().fold(Mask::EMPTY, |all, &place| all | self.feeds[place].1);
            let mut merging = line.merge.lock();
            for at in frames {
                let place = lines.iter().find(|&&place| self.feeds[place].1.contains(at));
                let (feed, mask) = &mut self.feeds[*place.expect("a line has brought it")];
                let entry = &snapshot.feeds[*feed];
                let from = match (&self.answers, &entry.line) {
                    (None, Some(line)) => From::Line(line.number),
                    _ => From::Server,
                };
                let (datagram, frame) = (&mut self.datagrams[at], batch.get(at));
                match merging.receive(from, datagram, (at, &frame), &mut self.cuts) {
                    Ok(()) => {
                        if let Some(pieces) = self.cuts.get(at) {
                            datagram.cut(pieces.map(<[u8]>::len).max().unwrap_or(0));
                        }
                    }
                    Err(reason) => {
                        *mask = mask.without(Mask(1 << at));
                        entry.tally.discarded(self.worker, reason, 1);
                        discard(ledger, reason);
                    }
                }
            }
        }
    }

    /// Gives the frames of lines to the feed that has the subscribers.
    fn join(&mut self) {
        for (feed, mask) in self.feeds.take() {
            let head = self.heads[feed];
            match self.feeds.iter_mut().find(|(known, _)| *known == head) {
                Some((_, all)) => *all = *all | mask,
                None => self.feeds.push((head, mask)),
            }
        }
    }

    /// Where feeds listen whose subscribers get what is sent to `listen`.
    pub fn heads(&self, listen: SocketAddr) -> Vec<SocketAddr> {
        let feeds = &self.snapshot().feeds;
        let here = feeds.iter().zip(&self.heads).filter(|(entry, _)| entry.feed.listen == listen);
        here.map(|(_, &head)| feeds[head].feed.listen).collect()
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

    /// The payloads to be copied of frame `at` of `batch`, which must be one of a feed: mostly one.
    #[inline]
    pub fn payloads<'a>(
        &'a self,
        at: usize,
        batch: &'a Batch<'_>,
    ) -> impl Iterator<Item = &'a [u8]> {
        let pieces = self.cuts.get(at);
        let whole = pieces.is_none().then(|| self.datagrams[at].payload(batch.bytes()[at]));
        whole.into_iter().chain(pieces.into_iter().flatten())
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

#[cold]
fn discard(ledger: &mut Ledger, reason: Reason) {
    ledger.discard(reason, 1);
    if reason.kind() == Kind::Malformed {
        ledger.malformed.add(reason, 1);
    }
}
