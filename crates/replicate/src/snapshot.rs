//! The table as workers see it: whole, unchanging, and replaced in one step.

use crate::{Feed, Line, Path, Subscriber, Tally, Template};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tickwire_filter::Filter;
use tickwire_frame::Reason;

/// All feeds with their subscribers, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The feeds, in the order in which they were added.
    pub feeds: Vec<Arc<FeedEntry>>,
}

/// A feed with its subscribers, ready for the hot path.
#[derive(Clone, Debug)]
pub struct FeedEntry {
    /// What it is.
    pub feed: Feed,
    /// Its filter, compiled.
    pub filter: Option<Arc<Filter>>,
    /// What it is merged with. Subscribers to several lines are those of the first.
    pub line: Option<Line>,
    /// Datagrams handed on, and those that its filter did not want.
    pub tally: Arc<Tally>,
    /// Who subscribes: ascending by [`id`](SubscriberEntry::id).
    pub subscribers: Vec<Arc<SubscriberEntry>>,
}

/// A subscriber, ready for the hot path.
#[derive(Clone, Debug)]
pub struct SubscriberEntry {
    /// Unique among all that the table has ever had; stays the same when settings change.
    pub id: u32,
    /// What it asked for.
    pub subscriber: Subscriber,
    /// Its filter, compiled.
    pub filter: Option<Arc<Filter>>,
    /// Its next hop, or why there is none.
    pub path: Path,
    /// The headers of its copies, or why there are none.
    pub template: Result<Template, Reason>,
    /// Its account.
    pub tally: Arc<Tally>,
}

impl Snapshot {
    /// The subscriber with this `id`, unless it is gone.
    pub fn subscriber(&self, id: u32) -> Option<&SubscriberEntry> {
        self.feeds.iter().find_map(|feed| {
            let place = feed.subscribers.binary_search_by_key(&id, |entry| entry.id).ok()?;
            Some(&*feed.subscribers[place])
        })
    }
}

impl FeedEntry {
    /// Whether it has the subscribers to the feed that `line` is a line of.
    pub(crate) fn leads(&self, line: &Line) -> bool {
        let merged = |own: &Line| own.number == 0 && Arc::ptr_eq(&own.merge, &line.merge);
        self.line.as_ref().is_some_and(merged)
    }
}

impl SubscriberEntry {
    /// The same with another next hop; `feed_port` is where the feed listens.
    pub(crate) fn with_path(self, feed_port: u16, path: Path) -> SubscriberEntry {
        let make = |hop| Template::new(feed_port, &self.subscriber, &hop);
        SubscriberEntry { path, template: path.and_then(make), ..self }
    }
}

/// Where the table puts its latest snapshot.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Counts the snapshots: the only thing that a worker looks at while nothing changes.
    generation: AtomicU64,
    current: Mutex<Arc<Snapshot>>,
}

impl Shared {
    pub fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let mut current = lock(&self.current);
        *current = snapshot;
        // Inside the lock, so that a generation belongs to one snapshot.
        self.generation.fetch_add(1, Release);
    }
}

/// Nothing panics half-way in here: an `Arc` is put in the place of another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How one worker follows the table.
#[derive(Clone, Debug)]
pub struct View {
    shared: Arc<Shared>,
    generation: u64,
    snapshot: Arc<Snapshot>,
}

impl View {
    pub(crate) fn new(shared: &Arc<Shared>) -> View {
        let mut view = View { shared: Arc::clone(shared), generation: 0, snapshot: Arc::default() };
        view.take();
        view
    }

    /// Takes over the latest snapshot, if there is another one; whether there was. One atomic load
    /// when there is none: cheap enough for every batch.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let changed = self.shared.generation.load(Acquire) != self.generation;
        if changed {
            self.take();
        }
        changed
    }

    #[cold]
    fn take(&mut self) {
        let current = lock(&self.shared.current);
        self.generation = self.shared.generation.load(Acquire);
        self.snapshot = Arc::clone(&current);
    }

    /// The snapshot in use.
    #[inline]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The number of the snapshot in use: it grows with every change of the table.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}
