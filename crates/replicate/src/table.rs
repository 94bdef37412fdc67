//! Who subscribes to what: the one place of truth, on the control thread.

use crate::counts::Going;
use crate::snapshot::{FeedEntry, Shared, Snapshot, SubscriberEntry};
use crate::state::Saved;
use crate::{Counts, Feed, Gone, LINES_MAX, Line, Merge, Merged, Path, Subscriber, Tally, View};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_filter::fields::Bindings;
use tickwire_filter::{Filter, Options};
use tickwire_frame::{LinkType, Reason};
use tickwire_market::Protocol;

/// The most feeds of a table.
pub const FEEDS_MAX: usize = 256;
/// The most subscribers of a feed.
pub const SUBSCRIBERS_MAX: usize = 1024;

/// Why the table did not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// No feed of this name.
    #[error("there is no feed {name:?}; there are: {}", Names(.known))]
    UnknownFeed {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Nobody at this address subscribes to the feed.
    #[error("{address} does not subscribe to feed {feed}; list the feed to see who does")]
    UnknownSubscriber {
        /// The feed.
        feed: String,
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The feed is full.
    #[error(
        "feed {feed} has {SUBSCRIBERS_MAX} subscribers, the most there can be; remove some, give \
         them leases so that forgotten ones go, or let them join a multicast group"
    )]
    Full {
        /// The feed.
        feed: String,
    },
    /// The table is full.
    #[error("there are {FEEDS_MAX} feeds, the most there can be; run another engine for more")]
    TooManyFeeds,
    /// Two feeds of one name.
    #[error("there is a feed {name:?} already; give the other one another name")]
    FeedExists {
        /// The name.
        name: String,
    },
    /// Two feeds could take the same datagram.
    #[error(
        "feeds {feed:?} and {other:?} could take the same datagram to {listen}; tell them apart by \
         source, VLAN or interface, or make it one feed whose subscribers have filters"
    )]
    FeedsOverlap {
        /// The feed to be added.
        feed: String,
        /// The one that is there.
        other: String,
        /// Where both listen.
        listen: SocketAddr,
    },
    /// A setting is wrong: what, and what to write instead.
    #[error("{0}")]
    Invalid(String),
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(", ")) }
    }
}

/// What [`Table::add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Added {
    /// It is new.
    New,
    /// It was there with other settings; the new ones are in force, its counters go on.
    Changed,
    /// It was there just so; its lease begins anew.
    Renewed,
}

/// One line of [`Table::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it asked for.
    pub subscriber: Subscriber,
    /// Its next hop, or why there is none.
    pub path: Path,
    /// When its lease ends.
    pub expires: Option<Instant>,
    /// Its account so far.
    pub counts: Counts,
}

/// Feeds and subscribers.
///
/// It belongs to the control thread. Workers follow it through a [`View`]: each change that
/// succeeds publishes a new snapshot, which they take up with their next batch. A change that
/// fails changes nothing. The caller hands in the time: nothing in here reads a clock.
///
/// The next hops are for those to say who know the routes: with a subscriber that is
/// [added](Self::add_with_path), and of all of them when something changes
/// ([`update_paths`](Self::update_paths)). Until then it is [`Reason::NoNeighbour`].
#[derive(Debug)]
pub struct Table {
    feeds: Vec<Row>,
    shared: Arc<Shared>,
    workers: usize,
    link: LinkType,
    bindings: Bindings,
    next_id: u32,
}

#[derive(Debug)]
struct Row {
    entry: FeedEntry,
    /// One for each of `entry.subscribers`.
    expires: Vec<Option<Instant>>,
    /// What of it is published.
    published: Arc<FeedEntry>,
    /// Those that have left.
    going: Going,
}

impl Table {
    /// An empty table for `workers` workers whose frames are of type `link`, which filters are
    /// compiled for: [`LinkType::ETHERNET`] for frames, [`LinkType::RAW`] for mode `udp`.
    pub fn new(workers: usize, link: LinkType) -> Table {
        let (feeds, shared, bindings) = (Vec::new(), Arc::default(), Bindings::default());
        Table { feeds, shared, workers, link, bindings, next_id: 0 }
    }

    /// Where filters look for fields of market data, in those that are compiled from now on.
    pub fn bind(&mut self, bindings: Bindings) {
        self.bindings = bindings;
    }

    /// For a worker, or for whoever puts the table into the kernel.
    pub fn view(&self) -> View {
        View::new(&self.shared)
    }

    /// Adds a feed without subscribers.
    ///
    /// # Errors
    /// [`TableError::Invalid`], [`FeedExists`](TableError::FeedExists),
    /// [`FeedsOverlap`](TableError::FeedsOverlap), [`TooManyFeeds`](TableError::TooManyFeeds).
    pub fn add_feed(&mut self, feed: Feed) -> Result<(), TableError> {
        feed.check().map_err(TableError::Invalid)?;
        if self.feeds.len() >= FEEDS_MAX {
            return Err(TableError::TooManyFeeds);
        }
        for row in &self.feeds {
            let other = &row.entry.feed;
            if other.name == feed.name {
                return Err(TableError::FeedExists { name: feed.name });
            }
            if other.overlaps(&feed) {
                let (other, listen) = (other.name.clone(), feed.listen);
                return Err(TableError::FeedsOverlap { feed: feed.name, other, listen });
            }
        }
        let filter = self.compile(feed.filter.as_deref())?;
        let tally = Arc::new(Tally::new(self.workers));
        let entry = FeedEntry { feed, filter, line: None, tally, subscribers: Vec::new() };
        let published = Arc::new(entry.clone());
        let (expires, going) = (Vec::new(), Going::default());
        self.feeds.push(Row { entry, expires, published, going });
        self.publish();
        Ok(())
    }

    /// Merges the `names`d feeds, lines of one that carry `protocol`, or what is recognised: who
    /// subscribes to the first of them gets each message once, from where it came first. What one
    /// line passed over, and another may still bring, is missing after `gap_hold`. Returns what
    /// merges them, to ask for what no line brings.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`]; [`Invalid`](TableError::Invalid) for too few or too many, for
    /// feeds that are merged already and for subscribers to others than the first.
    pub fn merge(
        &mut self,
        names: &[String],
        protocol: Option<Protocol>,
        gap_hold: Duration,
    ) -> Result<Arc<Merge>, TableError> {
        let places = names.iter().map(|name| self.find_feed(name));
        let places: Vec<usize> = places.collect::<Result<_, _>>()?;
        if !(2..=LINES_MAX).contains(&places.len()) {
            let text = format!("2 to {LINES_MAX} lines can be merged, not {}", places.len());
            return Err(TableError::Invalid(text));
        }
        for (number, &at) in places.iter().enumerate() {
            let (entry, name) = (&self.feeds[at].entry, &names[number]);
            let wrong = if entry.line.is_some() || places[..number].contains(&at) {
                "is merged already; name each line once"
            } else if number > 0 && !entry.subscribers.is_empty() {
                "is a line of another feed; its subscribers belong to the first line"
            } else {
                continue;
            };
            return Err(TableError::Invalid(format!("feed {name} {wrong}")));
        }
        let merge = Arc::new(Merge::new(places.len(), protocol, gap_hold));
        for (number, at) in places.into_iter().enumerate() {
            let row = &mut self.feeds[at];
            row.entry.line = Some(Line { merge: Arc::clone(&merge), number });
            row.published = Arc::new(row.entry.clone());
        }
        self.publish();
        Ok(merge)
    }

    /// The account of each merged feed, with the names of its lines.
    pub fn merged(&self) -> Vec<Merged> {
        let lines_of = |head: &Line| {
            let mut account = head.merge.account();
            for row in &self.feeds {
                if let Some(line) = &row.entry.line
                    && Arc::ptr_eq(&line.merge, &head.merge)
                {
                    account.lines[line.number].feed.clone_from(&row.entry.feed.name);
                }
            }
            account
        };
        let lines = self.feeds.iter().filter_map(|row| row.entry.line.as_ref());
        lines.filter(|line| line.number == 0).map(lines_of).collect()
    }

    /// Removes a feed with all its subscribers.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`].
    pub fn remove_feed(&mut self, name: &str) -> Result<Feed, TableError> {
        let at = self.find_feed(name)?;
        let row = self.feeds.remove(at);
        self.publish();
        Ok(row.entry.feed)
    }

    /// The feeds with their accounts, in the order in which they were added.
    pub fn feeds(&self) -> impl Iterator<Item = (&Feed, Counts)> {
        self.feeds.iter().map(|row| (&row.entry.feed, row.entry.tally.load()))
    }

    /// Adds a subscriber to `feed`, changes the settings of the one with the same address and
    /// port, or renews its lease when nothing else changes. Its lease begins at `now`.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`], [`Invalid`](TableError::Invalid), [`Full`](TableError::Full).
    pub fn add(
        &mut self,
        feed: &str,
        subscriber: Subscriber,
        now: Instant,
    ) -> Result<Added, TableError> {
        self.add_by(feed, subscriber, None, now)
    }

    /// [`add`](Self::add) with its next hop, in one step: no packet finds it without.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_with_path(
        &mut self,
        feed: &str,
        subscriber: Subscriber,
        path: Path,
        now: Instant,
    ) -> Result<Added, TableError> {
        self.add_by(feed, subscriber, Some(path), now)
    }

    fn add_by(
        &mut self,
        feed: &str,
        subscriber: Subscriber,
        path: Option<Path>,
        now: Instant,
    ) -> Result<Added, TableError> {
        let at = self.find_feed(feed)?;
        let added = self.insert(at, subscriber, path, now)?;
        if added != Added::Renewed {
            self.publish_feed(at);
        }
        Ok(added)
    }

    /// The same without publishing.
    fn insert(
        &mut self,
        at: usize,
        subscriber: Subscriber,
        given: Option<Path>,
        now: Instant,
    ) -> Result<Added, TableError> {
        let row = &self.feeds[at];
        subscriber.check().map_err(TableError::Invalid)?;
        self.check_feeds(at, &subscriber).map_err(TableError::Invalid)?;
        let expires = subscriber.lease().map(|lease| now + lease);
        let known = row.position(subscriber.address);
        if known.is_none() && row.expires.len() >= SUBSCRIBERS_MAX {
            return Err(TableError::Full { feed: row.entry.feed.name.clone() });
        }
        let same = |place: usize| row.entry.subscribers[place].subscriber == subscriber;
        if let Some(place) = known.filter(|&place| same(place)) {
            self.feeds[at].expires[place] = expires;
            return Ok(Added::Renewed);
        }
        let filter = self.compile(subscriber.filter.as_deref())?;
        let row = &mut self.feeds[at];
        if let Some(place) = known {
            row.expires[place] = expires;
            row.replace(place, subscriber, filter, given);
            return Ok(Added::Changed);
        }
        let (id, tally) = (self.next_id, Arc::new(Tally::new(self.workers)));
        self.next_id += 1;
        let unknown = Reason::NoNeighbour;
        let (path, template) = (Err(unknown), Err(unknown));
        let entry = SubscriberEntry { id, subscriber, filter, path, template, tally };
        let entry = entry.with_path(row.entry.feed.listen.port(), given.unwrap_or(path));
        row.entry.subscribers.push(Arc::new(entry));
        row.expires.push(expires);
        Ok(Added::New)
    }

    /// Whether `subscriber` may subscribe to feed number `at`: to the first of several lines, and
    /// not where one of them listens.
    fn check_feeds(&self, at: usize, subscriber: &Subscriber) -> Result<(), String> {
        let Some(line) = &self.feeds[at].entry.line else {
            return subscriber.check_feed(&self.feeds[at].entry.feed);
        };
        let lines = self.feeds.iter().map(|row| &row.entry).filter(|entry| {
            entry.line.as_ref().is_some_and(|other| Arc::ptr_eq(&other.merge, &line.merge))
        });
        for entry in lines {
            subscriber.check_feed(&entry.feed)?;
            if entry.leads(line) && line.number > 0 {
                let (name, head) = (&self.feeds[at].entry.feed.name, &entry.feed.name);
                return Err(format!("feed {name} is a line of feed {head}; subscribe to {head}"));
            }
        }
        Ok(())
    }

    /// All subscribers, for the state file.
    pub fn saved(&self) -> Vec<Saved> {
        let of_feed = |row: &Row| {
            let feed = row.entry.feed.name.clone();
            let subscribers = row.entry.subscribers.iter().map(|entry| entry.subscriber.clone());
            subscribers.map(move |subscriber| Saved { feed: feed.clone(), subscriber }).collect()
        };
        self.feeds.iter().flat_map(|row| -> Vec<Saved> { of_feed(row) }).collect()
    }

    /// Adds those of a state file, in one step, with leases that begin at `now`. Those that do not
    /// fit the configuration any more come back with the reason, for the log.
    pub fn restore(&mut self, saved: Vec<Saved>, now: Instant) -> Vec<(Saved, TableError)> {
        let mut refused = Vec::new();
        for one in saved {
            let found = self.find_feed(&one.feed);
            let added = found.and_then(|at| self.insert(at, one.subscriber.clone(), None, now));
            if let Err(error) = added {
                refused.push((one, error));
            }
        }
        for row in &mut self.feeds {
            row.published = Arc::new(row.entry.clone());
        }
        self.publish();
        refused
    }

    /// Removes the subscriber with this address and port; what it was, and its account, to which
    /// a worker may still add what is under way.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`], [`UnknownSubscriber`](TableError::UnknownSubscriber).
    pub fn remove(&mut self, feed: &str, address: SocketAddr) -> Result<Listed, TableError> {
        let (at, place) = self.find(feed, address)?;
        let removed = self.feeds[at].remove(place);
        self.publish_feed(at);
        Ok(removed)
    }

    /// Begins the lease of a subscriber anew at `now`.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`], [`UnknownSubscriber`](TableError::UnknownSubscriber).
    pub fn renew(
        &mut self,
        feed: &str,
        address: SocketAddr,
        now: Instant,
    ) -> Result<(), TableError> {
        let (at, place) = self.find(feed, address)?;
        let row = &mut self.feeds[at];
        row.expires[place] =
            row.entry.subscribers[place].subscriber.lease().map(|lease| now + lease);
        Ok(())
    }

    /// Removes those whose lease has ended at `now`: the names of their feeds and what they were.
    pub fn expire(&mut self, now: Instant) -> Vec<(String, Listed)> {
        let mut expired = Vec::new();
        for at in 0..self.feeds.len() {
            let row = &mut self.feeds[at];
            let before = expired.len();
            let mut place = 0;
            while place < row.expires.len() {
                match row.expires[place] {
                    Some(end) if end <= now => {
                        expired.push((row.entry.feed.name.clone(), row.remove(place)));
                    }
                    _ => place += 1,
                }
            }
            if expired.len() > before {
                self.publish_feed(at);
            }
        }
        expired
    }

    /// When the next lease ends: no need to call [`expire`](Self::expire) before.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.feeds.iter().flat_map(|row| &row.expires).flatten().min().copied()
    }

    /// Who subscribes to `feed`, in the order in which they came.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`].
    pub fn list(&self, feed: &str) -> Result<Vec<Listed>, TableError> {
        let row = &self.feeds[self.find_feed(feed)?];
        Ok((0..row.expires.len()).map(|place| row.listed(place)).collect())
    }

    /// What became of the copies for those that subscribed to `feed` and do not any more.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`].
    pub fn gone(&self, feed: &str) -> Result<Gone, TableError> {
        Ok(self.feeds[self.find_feed(feed)?].going.load())
    }

    /// The subscriber of `feed` with this address and port, if there is one.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`].
    pub fn get(&self, feed: &str, address: SocketAddr) -> Result<Option<&Subscriber>, TableError> {
        let row = &self.feeds[self.find_feed(feed)?];
        let place = row.position(address);
        Ok(place.map(|place| &row.entry.subscribers[place].subscriber))
    }

    /// How many subscribe to `feed`.
    ///
    /// # Errors
    /// [`TableError::UnknownFeed`].
    pub fn subscribers(&self, feed: &str) -> Result<usize, TableError> {
        Ok(self.feeds[self.find_feed(feed)?].expires.len())
    }

    /// Asks `path` for the next hop of every subscriber and publishes those that changed, all in
    /// one step; how many did. To be called when somebody was added and when routes, neighbours or
    /// addresses changed.
    pub fn update_paths(&mut self, mut path: impl FnMut(&Feed, &Subscriber) -> Path) -> usize {
        let mut changes = 0;
        for row in &mut self.feeds {
            let before = changes;
            for slot in &mut row.entry.subscribers {
                let path = path(&row.entry.feed, &slot.subscriber);
                if path != slot.path {
                    let port = row.entry.feed.listen.port();
                    *slot = Arc::new(SubscriberEntry::clone(slot).with_path(port, path));
                    changes += 1;
                }
            }
            if changes > before {
                row.published = Arc::new(row.entry.clone());
            }
        }
        if changes > 0 {
            self.publish();
        }
        changes
    }

    fn find_feed(&self, name: &str) -> Result<usize, TableError> {
        self.feeds.iter().position(|row| row.entry.feed.name == name).ok_or_else(|| {
            let known = self.feeds.iter().map(|row| row.entry.feed.name.clone()).collect();
            TableError::UnknownFeed { name: name.to_owned(), known }
        })
    }

    fn find(&self, feed: &str, address: SocketAddr) -> Result<(usize, usize), TableError> {
        let at = self.find_feed(feed)?;
        let place = self.feeds[at].position(address);
        let unknown = || TableError::UnknownSubscriber { feed: feed.to_owned(), address };
        Ok((at, place.ok_or_else(unknown)?))
    }

    /// Here, so that no worker compiles anything.
    fn compile(&self, text: Option<&str>) -> Result<Option<Arc<Filter>>, TableError> {
        let Some(text) = text else { return Ok(None) };
        // Host names would be looked up on the control thread, by whoever may add a subscriber.
        let (link_type, bindings) = (self.link, self.bindings.clone());
        let options = Options { link_type, bindings, resolve: false, ..Options::default() };
        let filter = Filter::compile(text, &options)
            .map_err(|error| TableError::Invalid(format!("the filter '{text}': {error}")))?;
        filter.selector();
        Ok(Some(Arc::new(filter)))
    }

    fn publish_feed(&mut self, at: usize) {
        let row = &mut self.feeds[at];
        row.published = Arc::new(row.entry.clone());
        self.publish();
    }

    fn publish(&self) {
        let feeds = self.feeds.iter().map(|row| Arc::clone(&row.published)).collect();
        self.shared.publish(Snapshot { feeds });
    }
}

impl Row {
    fn position(&self, address: SocketAddr) -> Option<usize> {
        self.entry.subscribers.iter().position(|entry| entry.subscriber.address == address)
    }

    fn replace(
        &mut self,
        place: usize,
        subscriber: Subscriber,
        filter: Option<Arc<Filter>>,
        given: Option<Path>,
    ) {
        let slot = &mut self.entry.subscribers[place];
        // Another interface may mean another next hop.
        let same = slot.subscriber.interface == subscriber.interface;
        let path = given.unwrap_or(if same { slot.path } else { Err(Reason::NoNeighbour) });
        let old = SubscriberEntry::clone(slot);
        let changed = SubscriberEntry { subscriber, filter, ..old };
        *slot = Arc::new(changed.with_path(self.entry.feed.listen.port(), path));
    }

    fn remove(&mut self, place: usize) -> Listed {
        let removed = self.listed(place);
        let entry = self.entry.subscribers.remove(place);
        self.going.settle();
        self.going.push(&entry.tally);
        self.expires.remove(place);
        removed
    }

    fn listed(&self, place: usize) -> Listed {
        let SubscriberEntry { subscriber, path, tally, .. } = &*self.entry.subscribers[place];
        let expires = self.expires[place];
        Listed { subscriber: subscriber.clone(), path: *path, expires, counts: tally.load() }
    }
}

impl Listed {
    /// How long the lease still runs at `now`; zero when it has ended.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.expires.map(|expires| expires.saturating_duration_since(now))
    }
}
