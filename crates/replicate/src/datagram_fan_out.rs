//! Fan-out of datagrams, for mode `udp`: payloads of a batch to one sender for each subscriber.

use crate::sorter::Sorter;
use crate::{Feed, Snapshot, Subscriber, SubscriberEntry, View};
use arrayvec::ArrayVec;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tickwire_capture::DatagramSender;
use tickwire_engine::Job;
use tickwire_frame::{Batch, FRAMES_MAX, Ledger, Mask, Reason};

/// How many senders that could not be opened are tried again in one tick.
pub const OPENINGS_PER_TICK_MAX: usize = 16;

/// Opens the sender of a subscriber. What goes wrong comes back as the reason to count its
/// datagrams under; the words for it are the opener's business.
pub type Open<S> = Box<dyn FnMut(&Feed, &Subscriber) -> Result<S, Reason> + Send>;

/// Says whether frames pass on an interface, by its index, at this moment: some hundred
/// nanoseconds, since each batch asks it twice.
pub type Passes = Box<dyn FnMut(u32) -> bool + Send>;

/// Sends the payload of each frame of a feed to every subscriber that wants it.
///
/// As [`FrameFanOut`](crate::FrameFanOut), but the kernel makes the headers and finds the way.
///
/// Sockets do not tell what the kernel drops behind them, and some of it leaves late: so nothing is
/// given to them that the kernel could not send at once. The next hop of the table has to be known,
/// and its interface must pass frames before *and after* the batch was sent
/// ([`Reason::LinkDown`]). When the link goes down in between, all that the batch has sent by it
/// counts as lost, although some of it may have arrived. A subscriber whose path says
/// [`Reason::NoEgress`], no way for frames, is left to its socket, which may have one.
pub struct DatagramFanOut<S: DatagramSender> {
    sorter: Sorter,
    /// Where its datagrams were sent to: it has senders for the feeds that listen there.
    listen: SocketAddr,
    open: Open<S>,
    passes: Passes,
    /// The interfaces that the paths of the snapshot lead to.
    links: Vec<Link>,
    /// For each feed of the snapshot one for each subscriber.
    senders: Vec<Vec<Slot<S>>>,
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
    sender: Result<S, Reason>,
    /// Its place among the links; none when nothing is known of it.
    link: Option<usize>,
    /// What its socket took of the present batch.
    sent: u64,
}

impl<S: DatagramSender> fmt::Debug for DatagramFanOut<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramFanOut").field("sorter", &self.sorter).finish_non_exhaustive()
    }
}

impl<S: DatagramSender> DatagramFanOut<S> {
    /// For worker number `worker` of the table, whose frames come from `interface` and were sent
    /// to `listen`. For feeds that listen elsewhere it opens no senders: as many as all feeds have
    /// subscribers, once more for each feed, would be too many. Should something arrive for
    /// those, it is counted as [`Reason::NoEgress`].
    pub fn new(
        view: View,
        worker: usize,
        interface: Option<String>,
        listen: SocketAddr,
        open: Open<S>,
        passes: Passes,
    ) -> Self {
        let sorter = Sorter::new(view, worker, interface);
        let (links, senders) = (Vec::new(), Vec::new());
        let mut fan_out = DatagramFanOut { sorter, listen, open, passes, links, senders, tried: 0 };
        fan_out.follow();
        fan_out
    }

    /// Opens the senders of those who are new, keeps those of the others.
    #[cold]
    fn follow(&mut self) {
        let old = std::mem::take(&mut self.senders).into_iter().flatten();
        let mut old: HashMap<u32, Slot<S>> = old.map(|slot| (slot.entry.id, slot)).collect();
        let (listen, open) = (self.listen, &mut self.open);
        let (passes, links) = (&mut self.passes, &mut self.links);
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
                None if feed.listen == listen => open(feed, &entry.subscriber),
                None => Err(Reason::NoEgress),
            };
            let link = entry.path.ok().map(|hop| link(hop.ifindex));
            Slot { entry: Arc::clone(entry), sender, link, sent: 0 }
        };
        let Snapshot { feeds } = &**self.sorter.snapshot();
        self.senders = feeds
            .iter()
            .map(|feed| feed.subscribers.iter().map(|entry| slot(&feed.feed, entry)).collect())
            .collect();
    }

    /// Enters as lost what the batch has sent by a link that is down now.
    #[cold]
    fn take_back(&mut self) {
        let sorter = &self.sorter;
        for slot in sorter.positions().flat_map(|position| &self.senders[position]) {
            if slot.link.is_some_and(|link| !self.links[link].up) && slot.sent > 0 {
                slot.entry.tally.lost(sorter.worker(), Reason::LinkDown, slot.sent);
            }
        }
    }
}

impl<S: DatagramSender> Job for DatagramFanOut<S> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.sorter.sort(batch, selected, ledger);
        let sorter = &self.sorter;
        if sorter.feeds().next().is_none() {
            return;
        }
        look(&mut self.links, &mut self.passes);
        for ((_, frames), position) in sorter.feeds().zip(sorter.positions()) {
            for slot in &mut self.senders[position] {
                let wanted = sorter.wanted(&slot.entry, batch, frames);
                slot.send(&self.links, sorter, batch, wanted);
            }
        }
        if look(&mut self.links, &mut self.passes) {
            self.take_back();
        }
    }

    /// Tries again, a few at a time, to open what could not be opened.
    fn tick(&mut self, _ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        for link in &mut self.links {
            link.up = (self.passes)(link.ifindex);
        }
        let listen = self.listen;
        let feeds = self.sorter.snapshot().feeds.iter().zip(&mut self.senders);
        let feeds = feeds.filter(|(feed, _)| feed.feed.listen == listen);
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

/// Looks at the links that were up; whether one of them is not any more.
#[inline]
fn look(links: &mut [Link], passes: &mut Passes) -> bool {
    let mut went = false;
    for link in links.iter_mut().filter(|link| link.up) {
        link.up = passes(link.ifindex);
        went |= !link.up;
    }
    went
}

impl<S: DatagramSender> Slot<S> {
    #[inline]
    fn send(&mut self, links: &[Link], sorter: &Sorter, batch: &Batch<'_>, frames: Mask) {
        let (tally, worker) = (&self.entry.tally, sorter.worker());
        self.sent = 0;
        if frames.is_empty() {
            return;
        }
        let sender = match (&mut self.sender, self.entry.path) {
            (Err(reason), _) => Err(*reason),
            (_, Err(reason)) if reason != Reason::NoEgress => Err(reason),
            _ if self.link.is_some_and(|link| !links[link].up) => Err(Reason::LinkDown),
            (Ok(sender), _) => Ok(sender),
        };
        match sender {
            Err(reason) => tally.discarded(worker, reason, frames.count() as u64),
            Ok(sender) => {
                let payload = |at: usize| sorter.datagram(at).payload(batch.bytes()[at]);
                let payloads: ArrayVec<&[u8], FRAMES_MAX> =
                    frames.into_iter().map(payload).collect();
                tally.copied(worker, payloads.len() as u64, sorter.bytes(frames));
                self.sent = payloads.len() as u64;
                sender.send(&payloads, &mut |reason, count| {
                    self.sent -= count;
                    tally.lost(worker, reason, count);
                });
            }
        }
    }
}
