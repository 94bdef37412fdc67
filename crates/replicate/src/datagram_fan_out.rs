//! Fan-out of datagrams, for mode `udp`: payloads of a batch to one sender for each subscriber.

use crate::senders::{Open, Passes, Senders};
use crate::sorter::Sorter;
use crate::{Feed, View};
use std::fmt;
use std::net::SocketAddr;
use tickwire_capture::DatagramSender;
use tickwire_engine::Job;
use tickwire_frame::{Batch, Ledger, Mask};

/// Sends the payload of each frame of a feed to every subscriber that wants it.
///
/// As [`FrameFanOut`](crate::FrameFanOut), but the kernel makes the headers and finds the way.
pub struct DatagramFanOut<S: DatagramSender> {
    sorter: Sorter,
    senders: Senders<S>,
    /// Where its datagrams were sent to: it has senders for the feeds that listen there.
    listen: SocketAddr,
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
    /// those, it is counted as [`Reason::NoEgress`](tickwire_frame::Reason::NoEgress).
    pub fn new(
        view: View,
        worker: usize,
        interface: Option<String>,
        listen: SocketAddr,
        open: Open<S>,
        passes: Passes,
    ) -> Self {
        DatagramFanOut::with(Sorter::new(view, worker, interface), listen, open, passes)
    }

    /// For worker number `worker` of the table, whose frames are answers to requests for what the
    /// lines that are merged with `feed`, the first of them, have not brought: what is new of them
    /// goes to the subscribers, as it comes, and counts as datagrams of that feed. The frames have
    /// to look as if they had been sent to it, for the filters.
    pub fn answers(view: View, worker: usize, feed: &Feed, open: Open<S>, passes: Passes) -> Self {
        let sorter = Sorter::answers(view, worker, feed.name.clone());
        DatagramFanOut::with(sorter, feed.listen, open, passes)
    }

    fn with(sorter: Sorter, listen: SocketAddr, open: Open<S>, passes: Passes) -> Self {
        let mut fan_out = DatagramFanOut { sorter, senders: Senders::new(open, passes), listen };
        fan_out.follow();
        fan_out
    }

    #[cold]
    fn follow(&mut self) {
        let heads = self.sorter.heads(self.listen);
        self.senders.follow(self.sorter.snapshot(), |feed| heads.contains(&feed.listen));
    }
}

impl<S: DatagramSender> Job for DatagramFanOut<S> {
    fn handle(&mut self, batch: &Batch<'_>, selected: Mask, ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.sorter.sort(batch, selected, ledger);
        let (sorter, senders) = (&self.sorter, &mut self.senders);
        if sorter.feeds().next().is_none() {
            return;
        }
        senders.look();
        for ((feed, frames), number) in sorter.feeds().zip(sorter.positions()) {
            for (place, entry) in feed.subscribers.iter().enumerate() {
                let wanted = sorter.wanted(entry, batch, frames);
                senders.send([number, place], sorter, batch, wanted);
            }
        }
        senders.settle(sorter);
    }

    fn tick(&mut self, _ledger: &mut Ledger) {
        if self.sorter.refresh() {
            self.follow();
        }
        self.senders.tick(self.sorter.snapshot());
    }
}
