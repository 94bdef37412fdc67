//! The account of one subscriber or feed: written by workers, read by anybody.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_frame::{Counters, Reason};

/// What became of the datagrams for one subscriber, or of those of one feed.
///
/// For a subscriber: `offered = copied + Σ discarded`, where offered are the datagrams of the feed
/// while it subscribed. For a feed, `copied` are those that were handed on to its subscribers. One
/// that was cut into several, because a message between had come before, counts as one for the feed
/// and as several for subscribers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies that left; datagrams handed on.
    pub copied: u64,
    /// UDP payload bytes of what was copied, before any of it was lost.
    pub bytes: u64,
    /// The others, by reason; [`Reason::NotSelected`] are those that the filter did not want.
    pub discarded: Counters,
}

impl Counts {
    /// All datagrams: `copied + Σ discarded`.
    pub fn offered(&self) -> u64 {
        self.copied + self.discarded.total()
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, more: &Counts) {
        self.copied += more.copied;
        self.bytes += more.bytes;
        self.discarded += &more.discarded;
    }
}

/// What became of the copies for subscribers of one feed that were removed, or whose lease ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// How many they were; one that came again and went again counts twice.
    pub subscribers: u64,
    /// The sum of their accounts.
    pub counts: Counts,
}

/// [`Gone`] while workers may still add to the accounts of those that went last.
#[derive(Debug, Default)]
pub(crate) struct Going {
    gone: Gone,
    /// Accounts that somebody else has, too.
    shared: Vec<Arc<Tally>>,
}

impl Going {
    /// One more, with this account.
    pub fn push(&mut self, tally: &Arc<Tally>) {
        self.shared.push(Arc::clone(tally));
        self.gone.subscribers += 1;
    }

    /// Adds up the accounts that nobody else has any more, so that memory has a bound.
    pub fn settle(&mut self) {
        let settled = self.shared.extract_if(.., |tally| Arc::get_mut(tally).is_some());
        settled.for_each(|tally| self.gone.counts += &tally.load());
    }

    /// The sum so far.
    pub fn load(&self) -> Gone {
        let mut gone = self.gone.clone();
        self.shared.iter().for_each(|tally| gone.counts += &tally.load());
        gone
    }
}

/// Counters that several workers write without disturbing each other: each has a cell of its own,
/// on cache lines of its own, and is the only one to write there.
///
/// They outlive snapshots: a change of the table does not reset them.
#[derive(Debug)]
pub struct Tally {
    cells: Box<[Cell]>,
}

/// Two cache lines, because the adjacent one is prefetched too.
#[derive(Debug)]
#[repr(align(128))]
struct Cell {
    copied: AtomicU64,
    bytes: AtomicU64,
    discarded: [AtomicU64; Reason::COUNT],
}

/// Adds without a locked instruction: a cell has one writer.
#[inline]
fn add(to: &AtomicU64, count: u64) {
    to.store(to.load(Relaxed).wrapping_add(count), Relaxed);
}

impl Tally {
    /// All zero, for `workers` workers.
    pub(crate) fn new(workers: usize) -> Tally {
        let cell = || Cell {
            copied: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            discarded: [const { AtomicU64::new(0) }; Reason::COUNT],
        };
        Tally { cells: (0..workers).map(|_| cell()).collect() }
    }

    /// `count` copies of `bytes` payload bytes in all.
    #[inline]
    pub fn copied(&self, worker: usize, count: u64, bytes: u64) {
        add(&self.cells[worker].copied, count);
        add(&self.cells[worker].bytes, bytes);
    }

    /// `count` datagrams that were not copied.
    #[inline]
    pub fn discarded(&self, worker: usize, reason: Reason, count: u64) {
        add(&self.cells[worker].discarded[reason as usize], count);
    }

    /// `count` copies that were counted as such and were lost on the way out.
    #[inline]
    pub fn lost(&self, worker: usize, reason: Reason, count: u64) {
        let cell = &self.cells[worker];
        cell.copied.store(cell.copied.load(Relaxed).wrapping_sub(count), Relaxed);
        add(&cell.discarded[reason as usize], count);
    }

    /// Writes what somebody else has counted: the kernel, in mode `xdp`.
    ///
    /// # Panics
    /// When there is no such `worker`.
    pub fn store(&self, worker: usize, counts: &Counts) {
        let cell = &self.cells[worker];
        cell.copied.store(counts.copied, Relaxed);
        cell.bytes.store(counts.bytes, Relaxed);
        for (reason, count) in counts.discarded.iter() {
            cell.discarded[reason as usize].store(count, Relaxed);
        }
    }

    /// The sums over all workers. While they run, numbers of two neighbouring moments may mix.
    pub fn load(&self) -> Counts {
        let mut counts = Counts::default();
        for cell in &self.cells {
            counts.copied = counts.copied.wrapping_add(cell.copied.load(Relaxed));
            counts.bytes += cell.bytes.load(Relaxed);
            for &reason in Reason::ALL {
                counts.discarded.add(reason, cell.discarded[reason as usize].load(Relaxed));
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_summed_and_what_is_lost_was_no_copy() {
        let tally = Tally::new(2);
        tally.copied(0, 5, 500);
        tally.copied(1, 3, 300);
        tally.discarded(1, Reason::NotSelected, 2);
        tally.lost(0, Reason::LinkDown, 4);
        let counts = tally.load();
        assert_eq!((counts.copied, counts.bytes, counts.offered()), (4, 800, 10));
        assert_eq!(counts.discarded[Reason::LinkDown], 4);
        tally.store(0, &Counts::default());
        assert_eq!(tally.load().copied, 3);
    }

    #[test]
    fn who_is_gone_counts_until_the_last_worker_knows() {
        let mut going = Going::default();
        let workers = [(); 3].map(|()| Arc::new(Tally::new(1)));
        for tally in &workers {
            tally.copied(0, 5, 50);
            going.push(tally);
        }
        let [one, two, three] = workers;
        drop((one, two));
        going.settle();
        three.copied(0, 1, 10);
        assert_eq!((going.shared.len(), going.load().subscribers), (1, 3));
        assert_eq!((going.load().counts.copied, going.load().counts.bytes), (16, 160));
        drop(three);
        going.settle();
        assert_eq!((going.shared.len(), going.load().counts.copied), (0, 16));
    }

    #[test]
    fn workers_do_not_share_cache_lines() {
        assert_eq!(align_of::<Cell>(), 128);
    }
}
