//! The table and all that changes it: users, leases, routes. It belongs to no packet path.

use super::kernel::Kernel;
use super::recovery::requests;
use super::store::Store;
use super::warnings::{Means, hindrance, hindrances};
use super::ways::Ways;
use crate::recovery::Watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::PortError;
use tickwire_capture::routes::{NextHop, Routes};
use tickwire_control::replicate::{IfExists, Refusal};
use tickwire_frame::Reason;
use tickwire_replicate::{
    Added, Counts, Feed, Gone, Listed, Merged, Path, Subscriber, Table, TableError, View, path,
};

/// Leases are looked at so often, in milliseconds, and routes at least.
const KEEP_MS: i64 = 20;
/// Changes of links, routes and neighbours come in groups: so long, in milliseconds, the first of
/// them waits for the others. Each group has every next hop looked up again.
const GATHER_MS: u64 = 1;

/// Keeps the table. Shared by the threads that answer users and the one that follows routes and
/// leases; workers see what it publishes and never wait for it.
#[derive(Debug)]
pub struct Keeper {
    kept: Mutex<Kept>,
    /// Readable when something has changed that concerns the routes.
    events: Option<OwnedFd>,
    /// Who asks for what merged feeds lack, by the name of their first line.
    asks: Vec<(String, Watch)>,
}

#[derive(Debug)]
struct Kept {
    table: Table,
    /// Where copies go next.
    routes: Option<Routes>,
    ways: Ways,
    store: Option<Store>,
    /// What carries the table in mode `xdp`, and what is to be carried.
    kernel: Option<(Arc<Kernel>, View)>,
}

impl Keeper {
    /// Keeps `table` and, in `store`, its subscribers; copies leave by `ways`. `asks` tell what was
    /// asked for of merged feeds.
    pub fn new(
        table: Table,
        routes: Option<Routes>,
        ways: Ways,
        store: Option<Store>,
        kernel: Option<Arc<Kernel>>,
        asks: Vec<(String, Watch)>,
    ) -> Keeper {
        // Without, they are looked at every 20 ms.
        let events = routes.as_ref().and_then(|routes| routes.as_fd().try_clone_to_owned().ok());
        let kernel = kernel.map(|kernel| (kernel, table.view()));
        let mut kept = Kept { table, routes, ways, store, kernel };
        kept.resolve_all();
        if let Some((kernel, view)) = &mut kept.kernel {
            view.refresh();
            kernel.follow(view.snapshot());
        }
        Keeper { kept: Mutex::new(kept), events, asks }
    }

    /// Nothing panics half-way through a change of the table.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a worker.
    pub fn view(&self) -> View {
        self.kept().table.view()
    }

    /// Adds or changes a subscriber, or renews its lease. In force when this returns.
    pub fn add(
        &self,
        feed: &str,
        subscriber: Subscriber,
        exists: IfExists,
    ) -> Result<Added, Refusal> {
        let mut kept = self.kept();
        let address = subscriber.address;
        if exists == IfExists::Keep && kept.has_other(feed, &subscriber)? {
            return Err(Refusal::Exists { feed: feed.to_owned(), address });
        }
        let now = Instant::now();
        let added = match kept.resolve(&subscriber) {
            Some(path) => kept.table.add_with_path(feed, subscriber, path, now)?,
            None => kept.table.add(feed, subscriber, now)?,
        };
        kept.published();
        if added != Added::Renewed {
            kept.save();
        }
        Ok(added)
    }

    /// Removes a subscriber; what it was, and its account.
    pub fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal> {
        let mut kept = self.kept();
        let removed = kept.table.remove(feed, address)?;
        kept.published();
        kept.save();
        Ok(removed)
    }

    /// Begins the lease of a subscriber anew.
    pub fn renew(&self, feed: &str, address: SocketAddr) -> Result<(), Refusal> {
        Ok(self.kept().table.renew(feed, address, Instant::now())?)
    }

    /// The feeds and their accounts.
    pub fn feeds(&self) -> Vec<(Feed, Counts)> {
        self.kept().table.feeds().map(|(feed, counts)| (feed.clone(), counts)).collect()
    }

    /// Who subscribes to `feed`.
    pub fn list(&self, feed: &str) -> Result<Vec<Listed>, TableError> {
        self.kept().table.list(feed)
    }

    /// What became of the copies for those that subscribed to `feed` and do not any more.
    pub fn gone(&self, feed: &str) -> Result<Gone, TableError> {
        self.kept().table.gone(feed)
    }

    /// What became of the messages of merged feeds.
    pub fn merged(&self) -> Vec<Merged> {
        let mut all = self.kept().table.merged();
        for one in &mut all {
            let head = one.lines.first().map(|line| &line.feed);
            let asks = self.asks.iter().find(|(feed, _)| Some(feed) == head);
            one.requests = asks.map(|(_, watch)| requests(watch.counts()));
        }
        all
    }

    /// What is not as it should be, each with its cure.
    pub fn warnings(&self) -> Vec<String> {
        let kept = self.kept();
        let names: Vec<String> = kept.table.feeds().map(|(feed, _)| feed.name.clone()).collect();
        let listed = names.iter().flat_map(|name| kept.table.list(name).unwrap_or_default());
        let hindered = hindrances(kept.means(), listed);
        let not_kept = kept.store.iter().filter_map(Store::not_kept);
        not_kept.chain(kept.of_ways()).chain(hindered).collect()
    }

    /// The same that concerns a subscriber of `feed`.
    pub fn warnings_of(&self, feed: &str, address: SocketAddr) -> Vec<String> {
        let kept = self.kept();
        let listed = kept.table.list(feed).unwrap_or_default();
        let found = listed.iter().find(|listed| listed.subscriber.address == address);
        let hindered = found.and_then(|one| hindrance(kept.means(), one));
        kept.of_ways().into_iter().chain(hindered).collect()
    }

    /// Why a restart would forget the last changes, with the cure.
    pub fn not_kept(&self) -> Option<String> {
        self.kept().store.as_ref().and_then(Store::not_kept)
    }

    /// Sleeps until it is time for [`tick`](Self::tick): a moment after something has changed that
    /// concerns the routes, and [`KEEP_MS`] at most.
    pub fn wait(&self) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: KEEP_MS * 1_000_000 };
        let mut events: Vec<_> =
            self.events.iter().map(|events| PollFd::new(events, PollFlags::IN)).collect();
        if poll(&mut events, Some(&timeout)) != Ok(0) {
            std::thread::sleep(Duration::from_millis(GATHER_MS));
        }
    }

    /// Follows leases, routes and neighbours; what a person should know of it.
    ///
    /// # Errors
    /// When the system's routes can no longer be followed.
    pub fn tick(&self, now: Instant) -> Result<Vec<String>, PortError> {
        let mut kept = self.kept();
        let mut news = Vec::new();
        let expired = match kept.table.next_expiry() {
            Some(end) if end <= now => kept.table.expire(now),
            _ => Vec::new(),
        };
        if !expired.is_empty() {
            kept.save();
            news.extend(expired.iter().map(|(feed, listed)| {
                format!("the lease of {} on feed {feed} has ended", listed.subscriber.address)
            }));
        }
        if let Some(routes) = &mut kept.routes {
            let changed = routes.update()?;
            news.extend(std::iter::from_fn(|| routes.take_notice()));
            if changed {
                kept.resolve_all();
            }
        }
        kept.published();
        if kept.store.as_ref().is_some_and(Store::is_due) {
            kept.save();
        }
        news.extend(kept.ways.take_notices());
        news.extend(kept.store.as_mut().and_then(|store| store.take_news()));
        Ok(news)
    }
}

impl Kept {
    /// Asks the routes for every next hop, and publishes what changed.
    fn resolve_all(&mut self) {
        if let Some(routes) = &mut self.routes {
            let ways = &mut self.ways;
            self.table.update_paths(|_, one| ways.lead(path_to(routes, one), routes));
        }
    }

    /// Hands on what has changed in the table, to be in force before anybody is answered.
    fn published(&mut self) {
        if let Some((kernel, view)) = &mut self.kernel
            && view.refresh()
        {
            kernel.follow(view.snapshot());
        }
    }

    /// What carries the copies.
    fn means(&self) -> Means {
        match &self.kernel {
            Some(_) => Means::Kernel,
            None if self.ways.are_any() => Means::Sockets,
            None => Means::Frames,
        }
    }

    /// What is to be known of the ways out.
    fn of_ways(&self) -> Vec<String> {
        let in_kernel = self.kernel.iter().flat_map(|(kernel, _)| kernel.warnings());
        in_kernel.chain(self.ways.warnings()).collect()
    }

    fn resolve(&mut self, subscriber: &Subscriber) -> Option<Path> {
        let routes = self.routes.as_mut()?;
        let path = path_to(routes, subscriber);
        Some(self.ways.lead(path, routes))
    }

    /// Whether the address of `subscriber` subscribes to `feed` with other settings.
    fn has_other(&self, feed: &str, subscriber: &Subscriber) -> Result<bool, TableError> {
        let known = self.table.get(feed, subscriber.address)?;
        Ok(known.is_some_and(|known| known != subscriber))
    }

    fn save(&mut self) {
        if let Some(store) = &mut self.store {
            store.save(self.table.saved());
        }
    }
}

/// The next hop of `subscriber`, in the words of the table.
fn path_to(routes: &mut Routes, subscriber: &Subscriber) -> Path {
    let oif = match &subscriber.interface {
        Some(name) => Some(routes.find(name).ok_or(Reason::LinkDown)?.index),
        None => None,
    };
    match routes.lookup(subscriber.address.ip(), oif) {
        // Without the right to ask, a socket has to: by sending.
        Ok(NextHop::Unresolved { is_asked: false, .. }) => Err(Reason::NoEgress),
        Ok(next) => path(&next),
        Err(_) => Err(Reason::NoRoute),
    }
}
