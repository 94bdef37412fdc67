//! Asks servers for what is missing, on a thread and a socket of its own.

use crate::exit::Failure;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tickwire_frame::Timestamp;
use tickwire_market::iex::gap_fill::HeaderBuilder;
use tickwire_market::iex::tp;
use tickwire_market::recovery::{Action, Client, Counts, Settings};
use tickwire_market::recovery::{iex_request, moldudp64_request};
use tickwire_market::sequence::Range;
use tickwire_market::{Protocol, Session};

/// The most servers.
pub const SERVERS_MAX: usize = 8;
/// The most sessions that are asked for at the same time: of one more, the oldest is let go.
const SESSIONS_MAX: usize = 8;
/// The longest wait: then it is looked whether to stop, too.
const WAIT_NS_MAX: u64 = 100_000_000;
/// The most answers that are taken before requests are sent.
const ANSWERS_MAX: usize = 64;
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 65_536;
/// What answers wait in, in bytes.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// The longest request: a header and 32 ranges of IEX-TP.
const REQUEST_BYTES_MAX: usize = 1_024;

/// What numbers are numbers in.
pub type Id = (Protocol, Session);

/// What whoever follows the feed says to the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// This is missing.
    Want(Id, Range),
    /// This came, not as an answer.
    Came(Id, Range),
    /// This came as an answer.
    Answered(Id, Range),
    /// Nothing of this session is wanted any more.
    Clear(Id),
}

/// Whoever follows the feed.
pub trait Follower: Send + 'static {
    /// Moves what there is to say into `words`. When to ask again, in nanoseconds since 1970, at
    /// which it is now `at_ns`.
    fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64>;

    /// The datagram `payload` of a server, which came at `at_ns` to `to`.
    fn answer(&mut self, payload: &[u8], to: SocketAddr, at_ns: u64);

    /// Nobody has `range`.
    fn give_up(&mut self, id: Id, range: Range);
}

/// Wakes the desk. Clones wake the same.
#[derive(Clone, Debug)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    fn new() -> Result<Wake, Failure> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let fd = eventfd(0, flags).map_err(|error| {
            Failure::failed(format_args!("cannot make an eventfd: {error}; see `ulimit -n`"))
        })?;
        Ok(Wake(Arc::new(fd)))
    }

    /// There is something to do.
    pub fn wake(&self) {
        // It cannot fail but for a count that nobody reads: then it is awake already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
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

/// A desk that does not work yet.
pub struct Opened {
    socket: UdpSocket,
    servers: Vec<SocketAddr>,
    /// What the follower wakes it with.
    pub wake: Wake,
    /// Where answers come.
    pub address: SocketAddr,
}

/// The desk.
pub struct Desk {
    thread: JoinHandle<DeskCounts>,
    stop: Arc<AtomicBool>,
    wake: Wake,
}

impl Desk {
    /// Opens what it takes to ask `servers`, all of one IP version.
    pub fn open(servers: &[SocketAddr]) -> Result<Opened, Failure> {
        let first = servers.first().ok_or_else(|| Failure::usage("there is no server to ask"))?;
        if servers.len() > SERVERS_MAX {
            return Err(Failure::usage(format!("{SERVERS_MAX} servers are the most")));
        }
        if servers.iter().any(|server| server.is_ipv4() != first.is_ipv4()) {
            return Err(Failure::usage("the servers are of one IP version: IPv4 or IPv6"));
        }
        if servers.iter().any(|server| server.port() == 0 || server.ip().is_multicast()) {
            return Err(Failure::usage("a server has a port and is no group: 10.0.0.1:18000"));
        }
        let any = match first {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
            Ok(socket)
        };
        let socket = open().map_err(|error| {
            Failure::failed(format_args!("cannot open a socket: {error}; see `ulimit -n`"))
        })?;
        let address = socket.local_addr().map_err(Failure::failed)?;
        Ok(Opened { socket, address, servers: servers.to_vec(), wake: Wake::new()? })
    }

    /// Asks for what `follower` wants.
    pub fn start<F: Follower>(opened: Opened, follower: Arc<Mutex<F>>) -> Result<Desk, Failure> {
        let Opened { socket, address, servers, wake } = opened;
        let stop = Arc::<AtomicBool>::default();
        let clerk = Clerk {
            socket,
            address,
            servers,
            follower,
            clients: Vec::new(),
            past: Counts::default(),
            counts: DeskCounts::default(),
            started: Instant::now(),
        };
        let (own_stop, own_wake) = (Arc::clone(&stop), wake.clone());
        let thread = std::thread::Builder::new().name("recovery".into());
        let thread = thread.spawn(move || clerk.run(&own_stop, &own_wake)).map_err(|error| {
            Failure::failed(format_args!("cannot start a thread: {error}; see `ulimit -u`"))
        })?;
        Ok(Desk { thread, stop, wake })
    }

    /// Asks no more. The follower is nobody else's then.
    pub fn finish(self) -> DeskCounts {
        self.stop.store(true, Relaxed);
        self.wake.wake();
        self.thread.join().unwrap_or_default()
    }
}

/// Who does the work.
struct Clerk<F> {
    socket: UdpSocket,
    address: SocketAddr,
    servers: Vec<SocketAddr>,
    follower: Arc<Mutex<F>>,
    clients: Vec<(Id, Client)>,
    /// What clients did that were let go.
    past: Counts,
    counts: DeskCounts,
    started: Instant,
}

impl<F: Follower> Clerk<F> {
    fn run(mut self, stop: &AtomicBool, wake: &Wake) -> DeskCounts {
        let (mut words, mut answer) = (Vec::new(), vec![0; ANSWER_BYTES_MAX]);
        let mut wait_ns = 0;
        while !stop.load(Relaxed) {
            self.wait(wait_ns, wake);
            wake.clear();
            self.take_answers(&mut answer);
            let at_ns = Timestamp::now().as_nanos();
            let deadline_ns = self.follower().take_words(at_ns, &mut words);
            words.drain(..).for_each(|word| self.hear(word));
            self.ask();
            let told_ns =
                deadline_ns.map_or(WAIT_NS_MAX, |deadline| deadline.saturating_sub(at_ns));
            let now_ns = self.now_ns();
            let clients = self.clients.iter().filter_map(|(_, client)| client.deadline_ns());
            let due_ns = clients.min().map_or(WAIT_NS_MAX, |due_ns| due_ns.saturating_sub(now_ns));
            wait_ns = told_ns.min(due_ns).min(WAIT_NS_MAX);
        }
        for (_, client) in std::mem::take(&mut self.clients) {
            self.let_go(&client);
        }
        let Counts { repeated, wanted, answered, came, given_up, .. } = self.past;
        DeskCounts { repeated, wanted, recovered: answered, came, given_up, ..self.counts }
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
        let mut fds =
            [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&*wake.0, PollFlags::IN)];
        // A signal is no reason to stop.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn take_answers(&mut self, buffer: &mut [u8]) {
        for _ in 0..ANSWERS_MAX {
            // Nothing there, or the system reports that a server does not live: it is asked again
            // in its turn.
            let Ok((len, from)) = self.socket.recv_from(buffer) else { return };
            if self.servers.contains(&from) {
                let at_ns = Timestamp::now().as_nanos();
                self.follower().answer(&buffer[..len], self.address, at_ns);
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
                self.let_go(&client);
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

    fn let_go(&mut self, client: &Client) {
        let (past, counts) = (&mut self.past, client.counts());
        past.repeated += counts.repeated;
        past.wanted += counts.wanted;
        past.answered += counts.answered;
        past.came += counts.came;
        past.given_up += counts.given_up;
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

/// Whether there are requests for messages of `session`.
pub fn is_recoverable(session: Session) -> bool {
    matches!(session, Session::Moldudp64(_) | Session::IexTp { .. })
}
