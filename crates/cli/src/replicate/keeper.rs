//! The table and all that changes it: users, leases, routes. It belongs to no packet path.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tickwire_capture::PortError;
use tickwire_capture::routes::Routes;
use tickwire_control::replicate::{IfExists, Refusal};
use tickwire_frame::Reason;
use tickwire_replicate::state::{self, StateError};
use tickwire_replicate::{
    Added, Counts, Feed, Listed, Path, Subscriber, Table, TableError, View, path,
};

/// Keeps the table. Shared by the threads that answer users and the one that follows routes and
/// leases; workers see what it publishes and never wait for it.
#[derive(Debug)]
pub struct Keeper {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    table: Table,
    /// Where copies go next; `None` when the kernel's stack finds the way (mode `udp`).
    routes: Option<Routes>,
    state: Option<PathBuf>,
}

impl Keeper {
    /// Keeps `table` and, in `state`, its subscribers.
    pub fn new(table: Table, routes: Option<Routes>, state: Option<PathBuf>) -> Keeper {
        let mut kept = Kept { table, routes, state };
        kept.resolve_all();
        Keeper { kept: Mutex::new(kept) }
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
        let path = kept.resolve(&subscriber);
        let added = kept.table.add(feed, subscriber, Instant::now())?;
        if let (Some(path), Added::New | Added::Changed) = (path, added) {
            kept.table.set_path(feed, address, path)?;
        }
        if added != Added::Renewed {
            kept.save()?;
        }
        Ok(added)
    }

    /// Removes a subscriber; what it was, and its account.
    pub fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal> {
        let mut kept = self.kept();
        let removed = kept.table.remove(feed, address)?;
        kept.save()?;
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

    /// Follows leases, routes and neighbours; what a person should know of it. To be called some
    /// fifty times a second.
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
            if let Err(error) = kept.try_save() {
                news.push(error.to_string());
            }
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
        Ok(news)
    }
}

impl Kept {
    /// Asks the routes for every next hop, and publishes what changed.
    fn resolve_all(&mut self) {
        if let Some(routes) = &mut self.routes {
            self.table.update_paths(|_, subscriber| path_to(routes, subscriber));
        }
    }

    fn resolve(&mut self, subscriber: &Subscriber) -> Option<Path> {
        self.routes.as_mut().map(|routes| path_to(routes, subscriber))
    }

    /// Whether the address of `subscriber` subscribes to `feed` with other settings.
    fn has_other(&self, feed: &str, subscriber: &Subscriber) -> Result<bool, TableError> {
        let known = self.table.get(feed, subscriber.address)?;
        Ok(known.is_some_and(|known| known != subscriber))
    }

    fn save(&self) -> Result<(), Refusal> {
        self.try_save().map_err(|error| Refusal::NotKept(error.to_string()))
    }

    fn try_save(&self) -> Result<(), StateError> {
        match &self.state {
            Some(path) => state::save(path, &self.table.saved()),
            None => Ok(()),
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
        Ok(next) => path(&next),
        Err(_) => Err(Reason::NoRoute),
    }
}
