//! One interface that feeds arrive at: who has which place, by which way.

mod last;
mod place;

use super::accounts::{Account, Accounts, Values, create};
use super::attachment::Attachment;
use super::programs;
use super::way::Way;
use std::collections::HashMap;
use std::sync::Arc;
use tickwire_capture::PortError;
use tickwire_capture::bpf::{Barrier, Map, MapKind, Program};
use tickwire_frame::{Counters, Reason};
use tickwire_replicate::xdp::FRAME_BYTES_MAX;
use tickwire_replicate::{Counts, FeedEntry, SUBSCRIBERS_MAX, SubscriberEntry};

/// Entries that a feed's device map has room for at first, and how many times as many the next one
/// has. The kernel looks at each for each datagram, whether it is in use or not.
const ENTRIES_FIRST: u32 = 16;
const ENTRIES_GROWTH: u32 = 4;
/// Interfaces that copies leave by.
const WAYS_MAX: usize = 64;
/// What the ingress program counts and leaves to the host, where a socket waits for it.
const LEFT_TO_HOST: [Reason; 3] = [Reason::Fragment, Reason::TooLong, Reason::TxRefused];

/// The programs and maps of one interface that feeds arrive at.
#[derive(Debug)]
pub struct Fan {
    /// Detaches when dropped. First of the fields: no frame may be redirected when the maps go.
    ingress: Attachment,
    accounts: Accounts,
    feeds: Vec<Feed>,
    ways: Vec<Way>,
    /// That of the program which is attached now.
    frame_bytes_max: i32,
    /// Those that have left, until their accounts are final; the first `read` of them are.
    leaving: Vec<Leaving>,
    read: usize,
    /// Until then the program's device maps are others, which stay empty.
    started: bool,
    /// Whether it was said that the driver has no room for stamps.
    told: bool,
}

#[derive(Debug)]
struct Feed {
    /// As it was last followed.
    entry: Arc<FeedEntry>,
    devices: Map,
    /// Entries that `devices` has room for.
    room: u32,
    placed: HashMap<u32, Placed>,
}

/// Where a subscriber is.
#[derive(Debug)]
struct Placed {
    entry: Arc<SubscriberEntry>,
    account: Account,
    /// Its way and place; `None` when there is no way, or none for it.
    at: Option<(usize, u32)>,
    /// Why it gets nothing before it first has a place.
    before: Reason,
    /// It never had a place: no program has counted for it.
    fresh: bool,
    /// Its program could not be put into a place.
    failed: bool,
}

/// A subscriber that has left: copies may still be under way.
#[derive(Debug)]
struct Leaving {
    placed: Placed,
    feed: u32,
    /// The accounts of the feeds just before.
    offered: Arc<Values>,
}

impl Fan {
    /// Loads the program of the feeds `entries`, which arrive at the interface `name`, and attaches
    /// it. Nobody gets copies before the start. They will leave by the interfaces `egress`, and by
    /// others perhaps.
    pub fn attach(
        name: &str,
        entries: &[Arc<FeedEntry>],
        egress: impl Iterator<Item = u32>,
    ) -> Result<Fan, PortError> {
        let ways: Vec<Way> =
            egress.map(|ifindex| Way::open(ifindex, entries.len())).collect::<Result<_, _>>()?;
        let mut feeds: Vec<Feed> = entries.iter().map(Feed::new).collect::<Result<_, _>>()?;
        let accounts = Accounts::open(feeds.len() as u32)?;
        let frame_bytes_max = frame_bytes_max(&ways);
        let program = load(&accounts, &feeds, frame_bytes_max)?;
        let ingress = Attachment::new(&program, name)?;
        for feed in &mut feeds {
            feed.devices = device_map(feed.room)?;
        }
        let (leaving, read, started, told) = (Vec::new(), 0, false, false);
        Ok(Fan { ingress, accounts, feeds, ways, frame_bytes_max, leaving, read, started, told })
    }

    /// Begins with all who have a place by now, in one step.
    pub fn start(&mut self) -> Result<(), PortError> {
        self.started = true;
        self.reload(self.frame_bytes_max)?;
        for (feed, number) in self.feeds.iter_mut().zip(0..) {
            for placed in feed.placed.values_mut() {
                self.accounts.begin(&mut placed.account, number)?;
            }
        }
        Ok(())
    }

    pub fn detach(&self) -> Result<(), PortError> {
        self.ingress.detach()
    }

    /// Attaches again when the interface was deleted and made again, which takes the program away
    /// and the entries of those who are behind it; these come back with their new paths. What a
    /// person should know.
    ///
    /// # Errors
    /// When the kernel refuses that for seconds.
    pub fn follow_link(&mut self) -> Result<Vec<String>, PortError> {
        let Fan { ingress, accounts, feeds, frame_bytes_max, .. } = self;
        ingress.follow(|| load(accounts, feeds, *frame_bytes_max))?;
        Ok(std::iter::from_fn(|| ingress.take_notice()).collect())
    }

    /// Makes feed `number` what `entry` says; what a person should know.
    pub fn follow(
        &mut self,
        number: u32,
        entry: &Arc<FeedEntry>,
        barrier: &Barrier,
    ) -> Vec<String> {
        let mut notices = Vec::new();
        let feed = &mut self.feeds[number as usize];
        if Arc::ptr_eq(&feed.entry, entry) {
            return notices;
        }
        feed.entry = Arc::clone(entry);
        let there = |id: u32| entry.subscribers.binary_search_by_key(&id, |one| one.id).is_ok();
        let gone: Vec<u32> = feed.placed.keys().copied().filter(|&id| !there(id)).collect();
        notices.extend(
            self.remove_all(number, &gone)
                .err()
                .map(|error| format!("a subscriber that left may still get copies: {error}")),
        );
        let placed = &self.feeds[number as usize].placed;
        let is_new = |one: &&Arc<SubscriberEntry>| {
            !placed.get(&one.id).is_some_and(|known| Arc::ptr_eq(&known.entry, one))
        };
        let mut new: Vec<_> = entry.subscribers.iter().filter(is_new).cloned().collect();
        // So that mostly nobody has to move.
        new.sort_by_key(|one| last::takes_all_to(one));
        notices.extend(self.place_all(number, &new));
        notices.extend(self.put_last(number, barrier));
        notices.extend(self.ways.iter_mut().filter_map(Way::crowded));
        notices
    }

    /// What does not get all copies, or not at once, as things are now: ways that are crowded or
    /// where copies may wait, and those for whom there is no place.
    pub fn warnings(&self) -> Vec<String> {
        let placed = self.feeds.iter().flat_map(|feed| feed.placed.values());
        let failed = placed.filter(|placed| placed.failed).map(|placed| {
            let address = placed.entry.subscriber.address;
            format!(
                "the kernel refused the program of subscriber {address}, which is tried again \
                 every second: its copies count as tx_refused; use --mode af_xdp"
            )
        });
        let waiting = (0..self.ways.len()).filter_map(|way| self.may_wait(way));
        self.ways.iter().filter_map(Way::crowd).chain(waiting).chain(failed).collect()
    }

    /// Tries again to place those for whom it failed; what a person should know.
    pub fn retry(&mut self, barrier: &Barrier) -> Vec<String> {
        let mut notices = Vec::new();
        for number in 0..self.feeds.len() as u32 {
            let placed = self.feeds[number as usize].placed.values();
            let failed: Vec<_> = placed.filter(|placed| placed.failed).collect();
            let failed: Vec<_> = failed.iter().map(|placed| Arc::clone(&placed.entry)).collect();
            if failed.is_empty() {
                continue;
            }
            // Why it fails was told the first time.
            self.place_all(number, &failed);
            let placed = &self.feeds[number as usize].placed;
            for entry in failed.iter().filter(|entry| !placed[&entry.id].failed) {
                notices.push(format!("subscriber {} gets copies now", entry.subscriber.address));
            }
            notices.extend(self.put_last(number, barrier));
        }
        notices
    }

    /// Removes the subscribers `gone` from feed `number`: all of them, also when one fails.
    fn remove_all(&mut self, number: u32, gone: &[u32]) -> Result<(), PortError> {
        if gone.is_empty() {
            return Ok(());
        }
        // Before they go: a datagram that comes in between is one more copy, and none is missed.
        let offered = Arc::new(self.accounts.read_feeds(self.feeds.len())?);
        let mut result = Ok(());
        for &id in gone {
            let feed = &mut self.feeds[number as usize];
            let Some(placed) = feed.placed.remove(&id) else { continue };
            if let Some((way, place)) = placed.at {
                let left = self.ways[way].vacate(&feed.devices, way, [number, place]);
                result = result.and(left);
            }
            self.leaving.push(Leaving { placed, feed: number, offered: Arc::clone(&offered) });
        }
        // Others need their accounts; what they lose is what was counted since the last tick.
        let too_many = self.leaving.len().saturating_sub(SUBSCRIBERS_MAX);
        for leaving in self.leaving.drain(..too_many) {
            self.accounts.give_back(&leaving.placed.account);
        }
        self.read = self.read.saturating_sub(too_many);
        result
    }

    /// Empties the place of a subscriber, if it has one.
    fn leave(&mut self, number: u32, id: u32) -> Result<(), PortError> {
        let feed = &mut self.feeds[number as usize];
        match feed.placed.get_mut(&id).and_then(|placed| placed.at.take()) {
            Some((way, place)) => self.ways[way].vacate(&feed.devices, way, [number, place]),
            None => Ok(()),
        }
    }

    /// Makes room in the feed's device map for an entry for `place`, if it needs one: a larger map
    /// takes the place of the map in one step, with the program that uses it.
    fn make_room(&mut self, number: u32, way: usize, place: u32) -> Result<(), PortError> {
        let entries: u32 = self.ways.iter().map(|way| way.entries(number)).sum();
        let feed = &self.feeds[number as usize];
        if place < self.ways[way].entries(number) || entries < feed.room {
            return Ok(());
        }
        let room = feed.room * ENTRIES_GROWTH;
        let larger = device_map(room)?;
        for (at, way) in self.ways.iter().enumerate() {
            for place in 0..way.entries(number) {
                way.enter(&larger, at, place)?;
            }
        }
        let feed = &mut self.feeds[number as usize];
        let smaller = std::mem::replace(&mut feed.devices, larger);
        if let Err(error) = self.reload(self.frame_bytes_max) {
            self.feeds[number as usize].devices = smaller;
            return Err(error);
        }
        self.feeds[number as usize].room = room;
        Ok(())
    }

    /// A way for a program that counts and drops: `had` if it can stay there.
    fn any_way(&self, had: Option<usize>) -> Option<usize> {
        let all = 0..self.ways.len();
        had.into_iter().chain(all).find(|&way| !self.ways[way].is_gone()).or(had)
    }

    /// The way by interface `ifindex`, for a subscriber with this MTU on it.
    fn way(&mut self, ifindex: u32, mtu: u32) -> Result<usize, PortError> {
        let known = self.ways.iter().position(|way| way.ifindex == ifindex);
        let at = match known {
            Some(at) => at,
            None => self.open_way(ifindex)?,
        };
        self.ways[at].follow_mtu(mtu)?;
        let frame_bytes_max = frame_bytes_max(&self.ways);
        if frame_bytes_max != self.frame_bytes_max {
            self.reload(frame_bytes_max)?;
        }
        Ok(at)
    }

    /// Where that of an interface was that is gone, perhaps.
    fn open_way(&mut self, ifindex: u32) -> Result<usize, PortError> {
        let way = Way::open(ifindex, self.feeds.len())?;
        let full = self.ways.len() == WAYS_MAX;
        let spare = |way: &Way| way.is_empty() && (full || way.is_gone());
        let spare = self.ways.iter().position(spare);
        if spare.is_none() && !full {
            self.ways.push(way);
            return Ok(self.ways.len() - 1);
        }
        let Some(at) = spare else {
            return Err(PortError::Unsupported {
                what: format!("copies would leave by more than {WAYS_MAX} interfaces"),
                cure: "use mode af_xdp, or several engines".into(),
            });
        };
        self.ways[at] = way;
        Ok(at)
    }

    /// Puts another ingress program in place, without a packet in between.
    fn reload(&mut self, frame_bytes_max: i32) -> Result<(), PortError> {
        if self.started {
            let program = load(&self.accounts, &self.feeds, frame_bytes_max)?;
            self.ingress.update(&program)?;
        }
        self.frame_bytes_max = frame_bytes_max;
        Ok(())
    }

    /// What the programs of the feeds have counted. Who has left by now gets no copy that it does
    /// not have when all copies of these datagrams have been made.
    pub fn read_feeds(&mut self) -> Result<Values, PortError> {
        self.read = self.leaving.len();
        self.accounts.read_feeds(self.feeds.len())
    }

    /// Enters the accounts of `feeds`, all of whose copies have been made, and of the subscribers
    /// into those of `worker`, and those of feeds into `sum`; what a person should know.
    pub fn enter(
        &mut self,
        worker: usize,
        feeds: &Values,
        sum: &mut Counts,
    ) -> Result<Option<String>, PortError> {
        let subscribers = self.accounts.read_subscribers()?;
        let mut unstamped = 0;
        for (feed, number) in self.feeds.iter().zip(0..) {
            let mut counts = feeds.of_feed(number);
            unstamped += counts.discarded[Reason::TxRefused];
            counts.discarded = without(&counts.discarded, &LEFT_TO_HOST);
            feed.entry.tally.store(worker, &counts);
            sum.copied += counts.copied;
            sum.bytes += counts.bytes;
            sum.discarded += &counts.discarded;
            for placed in feed.placed.values() {
                placed.enter(worker, &subscribers, feeds, number);
            }
        }
        for Leaving { placed, feed, offered } in self.leaving.drain(..self.read) {
            placed.enter(worker, &subscribers, &offered, feed);
            self.accounts.give_back(&placed.account);
        }
        self.read = 0;
        let is_news = unstamped > 0 && !self.told;
        self.told |= is_news;
        Ok(is_news.then(|| {
            format!(
                "the driver of {} has no room for metadata before a frame: datagrams go through \
                 sockets; use mode af_xdp",
                self.ingress.name()
            )
        }))
    }
}

impl Placed {
    /// Enters its account into that of `worker`: what its program has counted, and what it was not
    /// offered of the datagrams that `feeds` knew of.
    fn enter(&self, worker: usize, subscribers: &Values, feeds: &Values, number: u32) {
        let behind = if self.at.is_some() { Reason::LinkDown } else { self.before };
        let reasons = [self.before, behind];
        let counts = subscribers.of_subscriber(&self.account, feeds, number, reasons);
        self.entry.tally.store(worker, &counts);
    }
}

fn without(counters: &Counters, left_out: &[Reason]) -> Counters {
    let mut others = Counters::default();
    for (reason, count) in counters.nonzero().filter(|(reason, _)| !left_out.contains(reason)) {
        others.add(reason, count);
    }
    others
}

fn load(accounts: &Accounts, feeds: &[Feed], frame_bytes_max: i32) -> Result<Program, PortError> {
    let parts: Vec<_> = feeds.iter().map(|feed| (&*feed.entry, &feed.devices)).collect();
    programs::ingress(accounts.of_feeds(), &parts, frame_bytes_max)
}

/// The longest frame that all of `ways` take that are there.
fn frame_bytes_max(ways: &[Way]) -> i32 {
    let there = ways.iter().filter(|way| !way.is_gone());
    there.map(|way| way.frame_bytes_max).fold(FRAME_BYTES_MAX, i32::min)
}

fn device_map(entries: u32) -> Result<Map, PortError> {
    create("tickwire_ways", MapKind::DevMapHash, 8, entries)
}

impl Feed {
    fn new(entry: &Arc<FeedEntry>) -> Result<Feed, PortError> {
        Ok(Feed {
            // Whoever subscribes comes with the first snapshot that is followed.
            entry: Arc::new(FeedEntry { subscribers: Vec::new(), ..FeedEntry::clone(entry) }),
            devices: device_map(ENTRIES_FIRST)?,
            room: ENTRIES_FIRST,
            placed: HashMap::new(),
        })
    }
}
