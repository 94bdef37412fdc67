//! Mode `xdp`: the table in the kernel. No packet comes to user space; it follows the table and
//! reads the counters.
//!
//! * `fan`: one interface that feeds arrive at: who has which place, how they come there, and who
//!   has the last one; `attachment`: its program.
//! * `way`: one interface that copies leave by; `programs`: code out of the table, loaded.
//! * `accounts`: what programs counted, and what the kernel never offered to them.
//! * `port`: what the engine runs: no frames, only the account.
//!
//! All of it are descriptors of this process: whatever ends it, nothing stays in the kernel.

mod accounts;
mod attachment;
mod fan;
mod port;
mod programs;
mod way;

pub use port::KernelPort;
pub use way::suits;

use crate::exit::Failure;
use accounts::not_waited;
use fan::Fan;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::PortError;
use tickwire_capture::af_xdp::no_map;
use tickwire_capture::bpf::Barrier;
use tickwire_replicate::{Counts, Snapshot};

/// How many complaints wait to be told; of more than these only the counters tell.
const NOTICES_MAX: usize = 100;
/// How often it is tried again to place those whom the kernel refused.
const RETRY: Duration = Duration::from_secs(1);

/// The table as programs and maps. Shared by the keeper, which changes it, and the worker that
/// reads the counters.
#[derive(Debug)]
pub struct Kernel {
    inner: Mutex<Inner>,
    barrier: Barrier,
}

#[derive(Debug)]
struct Inner {
    fans: Vec<Fan>,
    /// Of each feed of the table: its fan, and its number there.
    places: Vec<(usize, u32)>,
    notices: VecDeque<String>,
    tried: Instant,
}

fn tell(notices: &mut VecDeque<String>, more: impl IntoIterator<Item = String>) {
    let room = NOTICES_MAX.saturating_sub(notices.len());
    notices.extend(more.into_iter().take(room));
}

impl Kernel {
    /// Loads the programs of the feeds of `table` and attaches them: from here on their datagrams
    /// no longer reach the host. Copies leave from the [start](Self::start) on, by the interfaces
    /// `egress` and by others perhaps.
    ///
    /// # Errors
    /// A feed without an interface, a filter that the kernel cannot run, an interface that takes no
    /// copies, and what else the kernel refuses.
    pub fn open(table: &Snapshot, egress: &[u32]) -> Result<Arc<Kernel>, Failure> {
        let mut names: Vec<&str> = Vec::new();
        let mut places = Vec::new();
        for entry in &table.feeds {
            let Some(name) = entry.feed.interface.as_deref() else {
                return Err(Failure::Usage(format!(
                    "feed {} has no interface, which mode xdp needs; give one with -i",
                    entry.feed.name
                )));
            };
            let known = names.iter().position(|&known| known == name);
            let fan = known.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            let number = places.iter().filter(|&&(of, _)| of == fan).count() as u32;
            places.push((fan, number));
        }
        let mut fans = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let of = table.feeds.iter().zip(&places).filter(|(_, place)| place.0 == at);
            let feeds: Vec<_> = of.map(|(feed, _)| Arc::clone(feed)).collect();
            fans.push(Fan::attach(name, &feeds, egress.iter().copied()).map_err(Failure::failed)?);
        }
        let barrier = Barrier::new().map_err(|error| Failure::failed(no_map(error)))?;
        let inner = Inner { fans, places, notices: VecDeque::new(), tried: Instant::now() };
        Ok(Arc::new(Kernel { inner: Mutex::new(inner), barrier }))
    }

    /// A panic half-way leaves maps and programs that still go with the process.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what changed in `table` into force: it is when this returns. Nobody else is touched.
    pub fn follow(&self, table: &Snapshot) {
        let inner = &mut *self.inner();
        for (place, entry) in table.feeds.iter().enumerate() {
            let (fan, number) = inner.places[place];
            tell(&mut inner.notices, inner.fans[fan].follow(number, entry, &self.barrier));
        }
    }

    /// Begins with all who subscribe by now, in one step.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start(&self) -> Result<(), Failure> {
        self.inner().fans.iter_mut().try_for_each(Fan::start).map_err(Failure::failed)
    }

    /// Stops the programs: what arrives from now on is the host's.
    fn detach(&self) -> Result<(), PortError> {
        self.inner().fans.iter().try_for_each(Fan::detach)
    }

    /// Reads all counters, and enters those of subscribers and feeds into the accounts of
    /// `worker`; the sum of the feeds. All copies of the datagrams in it are accounted for.
    fn read(&self, worker: usize) -> Result<Counts, PortError> {
        let feeds: Vec<_> =
            self.inner().fans.iter_mut().map(Fan::read_feeds).collect::<Result<_, _>>()?;
        // Without the lock: nobody who changes the table waits.
        self.barrier.wait().map_err(not_waited)?;
        let inner = &mut *self.inner();
        let mut sum = Counts::default();
        for (fan, feeds) in inner.fans.iter_mut().zip(&feeds) {
            tell(&mut inner.notices, fan.enter(worker, feeds, &mut sum)?);
        }
        Ok(sum)
    }

    /// Follows the interfaces that feeds arrive at. Whom the kernel refused is tried again.
    fn follow_links(&self) -> Result<(), PortError> {
        let inner = &mut *self.inner();
        if inner.tried.elapsed() >= RETRY {
            inner.tried = Instant::now();
            // All are tried, also when there is no room to tell of it.
            let notices: Vec<String> =
                (inner.fans.iter_mut()).flat_map(|fan| fan.retry(&self.barrier)).collect();
            tell(&mut inner.notices, notices);
        }
        for fan in &mut inner.fans {
            tell(&mut inner.notices, fan.follow_link()?);
        }
        Ok(())
    }

    /// What does not get all copies as things are now.
    pub fn warnings(&self) -> Vec<String> {
        self.inner().fans.iter().flat_map(Fan::warnings).collect()
    }

    fn take_notice(&self) -> Option<String> {
        self.inner().notices.pop_front()
    }
}
