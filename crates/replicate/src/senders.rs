//! A socket for each subscriber that needs one, and the links that they send by.

use crate::sorter::Sorter;
use crate::{Feed, Snapshot, Subscriber, SubscriberEntry};
use arrayvec::ArrayVec;
use std::collections::HashMap;
use std::sync::Arc;
use tickwire_capture::DatagramSender;
use tickwire_frame::{Batch, FRAMES_MAX, Mask, Reason};

/// How many senders that could not be opened are tried again in one tick.
pub const OPENINGS_PER_TICK_MAX: usize = 16;

/// Opens the sender of a subscriber. What goes wrong comes back as the reason to count its
/// datagrams under; the words for it are the opener's business.
pub type Open<S> = Box<dyn FnMut(&Feed, &Subscriber) -> Result<S, Reason> + Send>;

/// Says whether frames pass on an interface, by its index, at this moment: some hundred
/// nanoseconds, since each batch asks it twice.
pub type Passes = Box<dyn FnMut(u32) -> bool + Send>;

/// The senders of one worker.
///
/// Sockets do not tell what the kernel drops behind them, and some of it leaves late: so nothing is
/// given to them that the kernel could not send at once. The next hop of the table has to be known,
/// and its interface must pass frames before *and after* the batch was sent
/// ([`Reason::LinkDown`]). When the link goes down in between, all that the batch has sent by it
/// counts as lost, although some of it may have arrived. A subscriber whose path says
/// [`Reason::NoEgress`], no way for frames, is left to its socket, which may have one.
pub(crate) struct Senders<S> {
    open: Open<S>,
    passes: Passes,
    /// The interfaces that the paths of the snapshot lead to.
    links: Vec<Link>,
    /// For each feed of the snapshot one for each subscriber.
    slots: Vec<Vec<Slot<S>>>,
    /// How many of the closed ones have been tried again in this round.
    tried: usize,
}

/// An interface that copies leave by.
struct Link {
    ifindex: u32,
    /// Not from when it was seen down until a tick, or another snapshot, sees it up: the kernel is
    /// ready for datagrams some moments after it says so.
    up: bool,
}

/// A subscriber's sender, or why there is none, and what it was opened for.
struct Slot<S> {
    entry: Arc<SubscriberEntry>,
    sender: Sender<S>,
    /// Its place among the links; none when nothing is known of it.
    link: Option<usize>,
    /// What its socket took of the present batch.
    sent: u64,
}

enum Sender<S> {
    Open(S),
    /// It could not be opened, for this reason, and is tried again.
    Closed(Reason),
    /// Nobody has asked for it.
    Unused,
}

impl<S: DatagramSender> Senders<S> {
    /// None yet.
    pub fn new(open: Open<S>, passes: Passes) -> Self {
        Senders { open, passes, links: Vec::new(), slots: Vec::new(), tried: 0 }
    }

    /// Follows `snapshot`: opens the senders of those who are new and of a feed that is `served`
    /// from the start, and keeps those of the others.
    #[cold]
    pub fn follow(&mut self, snapshot: &Snapshot, served: impl Fn(&Feed) -> bool) {
        let old = std::mem::take(&mut self.slots).into_iter().flatten();
        let mut old: HashMap<u32, Slot<S>> = old.map(|slot| (slot.entry.id, slot)).collect();
        let Senders { open, passes, links, .. } = self;
        links.clear();
        let mut link = |ifindex: u32| {
            links.iter().position(|link| link.ifindex == ifindex).unwrap_or_else(|| {
                links.push(Link { ifindex, up: passes(ifindex) });
                links.len() - 1
            })
        };
        let mut slot = |feed: &Feed, entry: &Arc<SubscriberEntry>| {
            let same = |slot: &Slot<S>| slot.entry.subscriber == entry.subscriber;
            let sender = match old.remove(&entry.id).filter(same) {
                Some(slot) => slot.sender,
                None if served(feed) => Sender::from(open(feed, &entry.subscriber)),
                None => Sender::Unused,
            };
            let link = entry.path.ok().map(|hop| link(hop.ifindex));
            Slot { entry: Arc::clone(entry), sender, link, sent: 0 }
        };
        self.slots = (snapshot.feeds.iter())
            .map(|feed| feed.subscribers.iter().map(|entry| slot(&feed.feed, entry)).collect())
            .collect();
    }

    /// Opens the sender of the subscriber at `place` of feed number `feed`, unless that was tried
    /// before; whether there is one.
    pub fn ensure(&mut self, snapshot: &Snapshot, feed: usize, place: usize) -> bool {
        let slot = &mut self.slots[feed][place];
        if let Sender::Unused = slot.sender {
            let feed = &snapshot.feeds[feed].feed;
            slot.sender = Sender::from((self.open)(feed, &slot.entry.subscriber));
        }
        matches!(slot.sender, Sender::Open(_))
    }

    /// Looks at the links that were up; whether one of them is not any more.
    #[inline]
    pub fn look(&mut self) -> bool {
        let mut went = false;
        for link in self.links.iter_mut().filter(|link| link.up) {
            link.up = (self.passes)(link.ifindex);
            went |= !link.up;
        }
        went
    }

    /// Sends `frames` to the subscriber at `place` of feed number `feed`, and counts them.
    #[inline]
    pub fn send(
        &mut self,
        [feed, place]: [usize; 2],
        sorter: &Sorter,
        batch: &Batch<'_>,
        frames: Mask,
    ) {
        self.slots[feed][place].send(&self.links, sorter, batch, frames);
    }

    /// At the end of a batch: what it has sent by a link that is down now counts as lost.
    #[inline]
    pub fn settle(&mut self, sorter: &Sorter) {
        let went = self.look();
        for feed in sorter.positions() {
            for slot in &mut self.slots[feed] {
                if went && slot.sent > 0 && slot.link.is_some_and(|link| !self.links[link].up) {
                    slot.entry.tally.lost(sorter.worker(), Reason::LinkDown, slot.sent);
                }
                slot.sent = 0;
            }
        }
    }
}

impl<S: DatagramSender> Senders<S> {
    /// Sees links up again, and tries again, a few at a time, to open what could not be opened.
    pub fn tick(&mut self, snapshot: &Snapshot) {
        for link in &mut self.links {
            link.up = (self.passes)(link.ifindex);
        }
        let feeds = snapshot.feeds.iter().zip(&mut self.slots);
        let slots = feeds.flat_map(|(feed, slots)| slots.iter_mut().map(move |slot| (feed, slot)));
        let closed = slots.filter(|(_, slot)| matches!(slot.sender, Sender::Closed(_)));
        let mut tried = 0;
        for (feed, slot) in closed.skip(self.tried).take(OPENINGS_PER_TICK_MAX) {
            slot.sender = Sender::from((self.open)(&feed.feed, &slot.entry.subscriber));
            tried += 1;
        }
        // The next ones with the next tick; from the beginning when these were the last.
        self.tried = if tried < OPENINGS_PER_TICK_MAX { 0 } else { self.tried + tried };
    }
}

impl<S> From<Result<S, Reason>> for Sender<S> {
    fn from(opened: Result<S, Reason>) -> Self {
        opened.map_or_else(Sender::Closed, Sender::Open)
    }
}

impl<S: DatagramSender> Slot<S> {
    #[inline]
    fn send(&mut self, links: &[Link], sorter: &Sorter, batch: &Batch<'_>, frames: Mask) {
        let (tally, worker) = (&self.entry.tally, sorter.worker());
        if frames.is_empty() {
            return;
        }
        let sender = match (&mut self.sender, self.entry.path) {
            (Sender::Closed(reason), _) => Err(*reason),
            (Sender::Unused, _) => Err(Reason::NoEgress),
            (_, Err(reason)) if reason != Reason::NoEgress => Err(reason),
            _ if self.link.is_some_and(|link| !links[link].up) => Err(Reason::LinkDown),
            (Sender::Open(sender), _) => Ok(sender),
        };
        match sender {
            Err(reason) => tally.discarded(worker, reason, frames.count() as u64),
            Ok(sender) => {
                let mut payloads = ArrayVec::<&[u8], FRAMES_MAX>::new();
                self.sent = 0;
                let mut send = |payloads: &ArrayVec<&[u8], FRAMES_MAX>| {
                    let (count, bytes) =
                        (payloads.len() as u64, payloads.iter().map(|it| it.len() as u64).sum());
                    tally.copied(worker, count, bytes);
                    self.sent += count;
                    sender.send(payloads, &mut |reason, count| {
                        self.sent -= count;
                        tally.lost(worker, reason, count);
                    });
                };
                for payload in frames.into_iter().flat_map(|at| sorter.payloads(at, batch)) {
                    if payloads.is_full() {
                        send(&payloads);
                        payloads.clear();
                    }
                    payloads.push(payload);
                }
                send(&payloads);
            }
        }
    }
}
