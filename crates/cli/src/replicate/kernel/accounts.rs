//! The accounts of one interface that feeds arrive at: what its programs counted, and what the
//! kernel never offered to them.

use super::programs;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{Ordering::SeqCst, fence};
use tickwire_capture::PortError;
use tickwire_capture::af_xdp::no_map;
use tickwire_capture::bpf::{Map, MapKind, TracepointLink, possible_cpus};
use tickwire_frame::{Counters, Reason};
use tickwire_replicate::xdp::{
    self, ACCOUNT_BYTES, Books, COPIED, FIRST_STAMP, LAST_STAMP, LIST_BYTES, SLOTS, TRACEPOINT,
};
use tickwire_replicate::{Counts, SUBSCRIBERS_MAX};

/// Accounts of subscribers for each feed: more than there can be, so that one that was left is not
/// used again while a copy that is under way may still be counted there.
const ACCOUNTS: u32 = 2 * SUBSCRIBERS_MAX as u32;

/// Maps of counters, and the program that settles them.
#[derive(Debug)]
pub struct Accounts {
    feeds: Map,
    subscribers: Map,
    list: Map,
    /// Accounts that nobody has, those that were left longest first.
    free: VecDeque<u32>,
    /// One more than the last account that was ever used.
    used: u32,
    cpus: usize,
    _settle: TracepointLink,
}

/// The account of one subscriber.
#[derive(Debug)]
pub struct Account {
    number: u32,
    /// By CPU: the number of the last datagram before it subscribed, or of those that are `missed`.
    after: Vec<u64>,
    /// What it lost before its program was in a place, for another reason than the last one.
    missed: Counters,
}

/// The accounts in a map at one moment.
#[derive(Debug)]
pub struct Values {
    words: Vec<u64>,
    cpus: usize,
}

pub fn fd(of: &impl AsFd) -> RawFd {
    of.as_fd().as_raw_fd()
}

pub fn create(
    name: &str,
    kind: MapKind,
    value_bytes: usize,
    entries: u32,
) -> Result<Map, PortError> {
    Map::create(name, kind, 4, value_bytes, entries).map_err(no_map)
}

pub fn not_written(source: std::io::Error) -> PortError {
    PortError::system("write to an eBPF map", source, "")
}

pub fn not_waited(source: std::io::Error) -> PortError {
    PortError::system("wait for XDP programs", source, "use mode af_xdp")
}

impl Accounts {
    /// For `feeds` feeds and all their subscribers.
    pub fn open(feeds: u32) -> Result<Accounts, PortError> {
        let all = feeds * ACCOUNTS;
        let of_feeds = create("tickwire_feeds", MapKind::PerCpuArray, ACCOUNT_BYTES, feeds)?;
        let subscribers = create("tickwire_copies", MapKind::PerCpuArray, ACCOUNT_BYTES, all)?;
        let list = create("tickwire_list", MapKind::PerCpuArray, LIST_BYTES, 1)?;
        let program = programs::settle(fd(&list), fd(&subscribers))?;
        let settle = TracepointLink::attach(&program, TRACEPOINT).map_err(|source| {
            let cure = "mode xdp needs CAP_PERFMON and a kernel with BPF_EVENTS, to see which \
                        copies a device does not take; use mode af_xdp";
            PortError::system("attach to the tracepoint xdp_devmap_xmit", source, cure)
        })?;
        let cpus = possible_cpus()
            .map_err(|source| PortError::system("count the CPUs", source, "mount /sys"))?;
        let free = (0..all).collect();
        Ok(Accounts { feeds: of_feeds, subscribers, list, free, used: 0, cpus, _settle: settle })
    }

    /// Where the program of all feeds counts.
    pub fn of_feeds(&self) -> RawFd {
        fd(&self.feeds)
    }

    /// An account that nobody has, all zero, for a subscriber of feed `feed`.
    pub fn take(&mut self, feed: u32) -> Result<Account, PortError> {
        // There are more than subscribers.
        let number = self.free.pop_front().expect("an account for each subscriber");
        let mut account = Account { number, after: Vec::new(), missed: Counters::default() };
        if number < self.used {
            self.subscribers.clear(number).map_err(not_written)?;
        }
        self.used = self.used.max(number + 1);
        self.begin(&mut account, feed)?;
        Ok(account)
    }

    pub fn give_back(&mut self, account: &Account) {
        self.free.push_back(account.number);
    }

    /// Takes the latest datagram of `feed` as the last before its subscription. To be called once
    /// the subscriber's program is in its place: all later ones find it there, because they are
    /// counted first, by an instruction that is a full barrier as well.
    pub fn begin(&self, account: &mut Account, feed: u32) -> Result<(), PortError> {
        fence(SeqCst);
        let values = Values { words: self.feeds.words(feed).map_err(not_read)?, cpus: self.cpus };
        account.after = values.by_cpu(0, COPIED).collect();
        Ok(())
    }

    /// Enters as lost for `reason` what `feed` had until now for a subscriber whose program has
    /// never been in a place.
    pub fn miss(&self, account: &mut Account, feed: u32, reason: Reason) -> Result<(), PortError> {
        let before = std::mem::take(&mut account.after);
        self.begin(account, feed)?;
        let missed = account.after.iter().zip(&before).map(|(now, before)| now - before).sum();
        account.missed.add(reason, missed);
        Ok(())
    }

    /// Where the program of a subscriber counts.
    pub fn books(&self, account: &Account) -> Books {
        let counters = xdp::Counters { map: fd(&self.subscribers), account: account.number };
        Books { counters, list: fd(&self.list) }
    }

    /// What the program of the `count` feeds has counted.
    pub fn read_feeds(&self, count: usize) -> Result<Values, PortError> {
        let words = self.feeds.values(count as u32).map_err(not_read)?;
        Ok(Values { words, cpus: self.cpus })
    }

    /// What the programs of all subscribers have counted.
    pub fn read_subscribers(&self) -> Result<Values, PortError> {
        let words = match self.used {
            0 => Vec::new(),
            used => self.subscribers.values(used).map_err(not_read)?,
        };
        Ok(Values { words, cpus: self.cpus })
    }
}

fn not_read(source: std::io::Error) -> PortError {
    let cure = "mode xdp needs Linux 5.13 or later; use mode af_xdp";
    PortError::system("read counters", source, cure)
}

impl Values {
    /// The slots of an account, those of one CPU after the other.
    fn slots(&self, account: u32) -> &[u64] {
        let words = self.cpus * SLOTS;
        let first = account as usize * words;
        self.words.get(first..first + words).unwrap_or(&[])
    }

    /// A slot of an account, on each CPU.
    fn by_cpu(&self, account: u32, slot: usize) -> impl Iterator<Item = u64> {
        self.slots(account).iter().skip(slot).step_by(SLOTS).copied()
    }

    /// The account of feed `feed`.
    pub fn of_feed(&self, feed: u32) -> Counts {
        xdp::counts(self.slots(feed))
    }

    /// The account of a subscriber to feed `feed`, up to the datagrams that `feeds` knew of, all
    /// of whose copies had been made when this was read. What its program has not seen before the
    /// first that it saw is lost for the first of these reasons, behind the last for the second.
    pub fn of_subscriber(
        &self,
        account: &Account,
        feeds: &Values,
        feed: u32,
        [before, behind]: [Reason; 2],
    ) -> Counts {
        let mut counts = xdp::counts(self.slots(account.number));
        counts.discarded += &account.missed;
        let stamps = |slot| self.by_cpu(account.number, slot);
        let stamps = stamps(FIRST_STAMP).zip(stamps(LAST_STAMP));
        let offered = feeds.by_cpu(feed, COPIED);
        for ((&after, offered), (first, last)) in account.after.iter().zip(offered).zip(stamps) {
            let [head, tail] = xdp::unseen(after, offered, first, last);
            counts.discarded.add(before, head);
            counts.discarded.add(behind, tail);
        }
        counts
    }
}
