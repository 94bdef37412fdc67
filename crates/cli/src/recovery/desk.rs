//! Asks servers for what is missing, on a thread of its own.

use super::servers::{Opened, Wake};
use crate::exit::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tickwire_frame::Timestamp;
use tickwire_market::iex::gap_fill::HeaderBuilder;
use tickwire_market::iex::tp;
use tickwire_market::recovery::{
    Action, Client, Counts, Id, Settings, Word, iex_request, moldudp64_request,
};
use tickwire_market::sequence::Range;
use tickwire_market::{Protocol, Session};

/// The most sessions that are asked for at the same time: of one more, the oldest is let go.
const SESSIONS_MAX: usize = 8;
/// The longest wait: then it is looked whether to stop, too.
const WAIT_NS_MAX: u64 = 100_000_000;
/// The most answers that are taken before requests are sent.
const ANSWERS_MAX: usize = 64;
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 65_536;
/// The longest request: a header and 32 ranges of IEX-TP.
const REQUEST_BYTES_MAX: usize = 1_024;

/// Whoever follows the feed.
pub trait Follower: Send + 'static {
    /// Moves what there is to say into `words`. When to ask again, in nanoseconds since 1970, at
    /// which it is now `at_ns`.
    fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64>;

    /// The datagram `payload` of a server, which came at `at_ns`. Not called where another reads
    /// the answers.
    fn answer(&mut self, payload: &[u8], at_ns: u64);

    /// Nobody has `range`.
    fn give_up(&mut self, id: Id, range: Range);
}

/// What the desk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeskCounts {
    /// Requests that were sent.
    pub requests: u64,
    /// Ranges that were asked for again.
    pub repeated: u64,
    /// Messages that were missing on every line.
    pub wanted: u64,
    /// Messages that answers brought.
    pub recovered: u64,
    /// Messages that came after all without an answer.
    pub came: u64,
    /// Messages that no server had, or none in time.
    pub given_up: u64,
    /// Requests that the system did not take.
    pub unsent: u64,
    /// Datagrams of others than the servers: not looked at.
    pub strangers: u64,
}

/// The desk. It stops asking when it is dropped; its follower is nobody else's then.
#[derive(Debug)]
pub struct Desk {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    wake: Wake,
    watch: Watch,
}

/// Looks at what a desk does.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<DeskCounts>>);

impl Watch {
    /// What it has done so far; since it last looked for words, to be exact.
    pub fn counts(&self) -> DeskCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Asks for what `follower` wants.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start<F: Follower>(opened: Opened, follower: Arc<Mutex<F>>) -> Result<Desk, Failure> {
        let Opened { socket, servers, reads, wake, .. } = opened;
        let (stop, watch) = (Arc::<AtomicBool>::default(), Watch::default());
        let clerk = Clerk {
            socket,
            servers,
            reads,
            follower,
            clients: Vec::new(),
            past: Counts::default(),
            counts: DeskCounts::default(),
            watch: watch.clone(),
            started: Instant::now(),
        };
        let (own_stop, own_wake) = (Arc::clone(&stop), wake.clone());
        let thread = std::thread::Builder::new().name("recovery".into());
        let thread = thread.spawn(move || clerk.run(&own_stop, &own_wake)).map_err(|error| {
            Failure::failed(format_args!("cannot start a thread: {error}; see `ulimit -u`"))
        })?;
        Ok(Desk { thread: Some(thread), stop, wake, watch })
    }

    /// To look at it meanwhile.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Asks no more. What was done.
    pub fn finish(self) -> DeskCounts {
        let watch = self.watch.clone();
        drop(self);
        watch.counts()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.wake.wake();
        // Its own panic has been told of.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Who does the work.
struct Clerk<F> {
    socket: UdpSocket,
    servers: Vec<SocketAddr>,
    reads: bool,
    follower: Arc<Mutex<F>>,
    clients: Vec<(Id, Client)>,
    /// What clients did that were let go.
    past: Counts,
    counts: DeskCounts,
    watch: Watch,
    started: Instant,
}

impl<F: Follower> Clerk<F> {
    fn run(mut self, stop: &AtomicBool, wake: &Wake) {
        let (mut words, mut answer) = (Vec::new(), vec![0; ANSWER_BYTES_MAX]);
        let mut wait_ns = 0;
        loop {
            // What was said before the end is heard, and nothing asked for any more.
            let stopping = stop.load(Relaxed);
            if !stopping {
                self.wait(wait_ns, wake);
            }
            wake.clear();
            if self.reads {
                self.take_answers(&mut answer);
            }
            let at_ns = Timestamp::now().as_nanos();
            let deadline_ns = self.follower().take_words(at_ns, &mut words);
            words.drain(..).for_each(|word| self.hear(word));
            if !stopping {
                self.ask();
            }
            self.show();
            if stopping {
                return;
            }
            let told_ns =
                deadline_ns.map_or(WAIT_NS_MAX, |deadline| deadline.saturating_sub(at_ns));
            let now_ns = self.now_ns();
            let clients = self.clients.iter().filter_map(|(_, client)| client.deadline_ns());
            let due_ns = clients.min().map_or(WAIT_NS_MAX, |due_ns| due_ns.saturating_sub(now_ns));
            wait_ns = told_ns.min(due_ns).min(WAIT_NS_MAX);
        }
    }

    /// Sums up what was done.
    fn show(&self) {
        let mut all = self.past;
        self.clients.iter().for_each(|(_, client)| add(&mut all, client.counts()));
        let Counts { repeated, wanted, answered: recovered, came, given_up, .. } = all;
        let counts = DeskCounts { repeated, wanted, recovered, came, given_up, ..self.counts };
        *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn follower(&self) -> MutexGuard<'_, F> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Until an answer comes, somebody wakes us, or so much time has passed.
    fn wait(&self, time_ns: u64, wake: &Wake) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: time_ns as i64 };
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let fds = if self.reads { &mut fds[..] } else { &mut fds[1..] };
        // A signal is no reason to stop.
        let _ = poll(fds, Some(&timeout));
    }

    fn take_answers(&mut self, buffer: &mut [u8]) {
        for _ in 0..ANSWERS_MAX {
            // Nothing there, or the system reports that a server does not live: it is asked again
            // in its turn.
            let Ok((len, from)) = self.socket.recv_from(buffer) else { return };
            if self.servers.contains(&from) {
                let at_ns = Timestamp::now().as_nanos();
                self.follower().answer(&buffer[..len], at_ns);
            } else {
                self.counts.strangers += 1;
            }
        }
    }

    fn hear(&mut self, word: Word) {
        let at_ns = self.now_ns();
        match word {
            Word::Want(id, range) => {
                // What had to make room for it is nobody's any more.
                if let Some(Action::GiveUp(oldest, _)) = self.client(id).want(range, at_ns) {
                    self.follower().give_up(id, oldest);
                }
            }
            Word::Came(id, range) => self.client(id).came(range),
            Word::Answered(id, range) => self.client(id).answered(range, at_ns),
            Word::Clear(id) => self.client(id).clear(),
        }
    }

    fn client(&mut self, id: Id) -> &mut Client {
        let known = self.clients.iter().position(|(known, _)| *known == id);
        let place = known.unwrap_or_else(|| {
            if self.clients.len() == SESSIONS_MAX {
                let (_, client) = self.clients.remove(0);
                add(&mut self.past, client.counts());
            }
            let servers = self.servers.len();
            let settings = match id.1 {
                Session::IexTp { .. } => Settings::iex(servers),
                _ => Settings::moldudp64(servers),
            };
            self.clients.push((id, Client::new(settings)));
            self.clients.len() - 1
        });
        &mut self.clients[place].1
    }

    /// All requests that are due, and what is given up.
    fn ask(&mut self) {
        let (now_ns, mut given_up) = (self.now_ns(), Vec::new());
        for (id, client) in &mut self.clients {
            while let Some(action) = client.poll(now_ns) {
                let (server, ranges) = match action {
                    Action::GiveUp(range, _) => {
                        given_up.push((*id, range));
                        continue;
                    }
                    Action::Ask { server, ranges } => (server, ranges),
                };
                let mut request = [0; REQUEST_BYTES_MAX];
                let len = write_request(&mut request, *id, ranges);
                match self.socket.send_to(&request[..len], self.servers[server]) {
                    Ok(_) => self.counts.requests += 1,
                    Err(_) => self.counts.unsent += 1,
                }
            }
        }
        for (id, range) in given_up {
            self.follower().give_up(id, range);
        }
    }
}

fn add(sum: &mut Counts, counts: &Counts) {
    sum.repeated += counts.repeated;
    sum.wanted += counts.wanted;
    sum.answered += counts.answered;
    sum.came += counts.came;
    sum.given_up += counts.given_up;
}

/// Writes the request for `ranges`; its length.
fn write_request(out: &mut [u8], (protocol, session): Id, ranges: &[Range]) -> usize {
    match (session, ranges) {
        (Session::Moldudp64(session), [range, ..]) => {
            let request = moldudp64_request(session, *range).to_bytes();
            out[..request.len()].copy_from_slice(&request);
            request.len()
        }
        (Session::IexTp { channel_id, session_id }, _) => {
            let header = HeaderBuilder::new().channel_id(channel_id).session_id(session_id);
            let header = header.message_protocol_id(match protocol {
                Protocol::Tops15 => tp::protocol::TOPS_1_5,
                Protocol::Tops => tp::protocol::TOPS_1_6,
                Protocol::DeepPlus => tp::protocol::DEEP_PLUS_1_0,
                _ => tp::protocol::DEEP_1_0,
            });
            iex_request(out, header, ranges).unwrap_or(0)
        }
        _ => 0,
    }
}
