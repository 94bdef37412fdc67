//! The UDP control protocol of an older AF_XDP replicator, byte for byte, so that its clients keep
//! working (opcodes 1 to 5, by default port 12345).
//!
//! The protocol has no authentication: whoever reaches it can point the feed at a victim. So it is
//! off unless asked for, takes requests of an allow list only, bounds their rate, and can give
//! subscribers a lease. Sources can be forged: allow addresses of a network that checks them.
//!
//! One defect is not copied: subscribers are known by address and port, not by address alone.

pub mod protocol;

use crate::cidr::Cidr;
use crate::error::StartError;
use crate::log::Log;
use crate::metrics::counters;
use crate::rate::Rate;
use crate::replicate::ReplicateControl;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use protocol::{REQUEST_BYTES_MAX, Request, answer};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The port of the older program.
pub const PORT_DEFAULT: u16 = 12_345;
/// Requests a second of one source, in the long run; more get no reply.
pub const REQUESTS_PER_SECOND_MAX: u32 = 1_000;
/// Requests of one source at once after a pause.
pub const REQUESTS_BURST_MAX: u32 = 2_000;
/// How long the thread waits for a request before it looks whether to stop.
const WAIT_MS: u64 = 50;
/// Refusals are logged so often at most, in milliseconds; those between are counted.
const REFUSAL_LOG_MS: u64 = 1_000;
/// Pause after an error of the socket.
const RETRY_MS: u64 = 50;

/// What became of the datagrams that came.
#[derive(Debug, Default)]
pub struct LegacyCounts {
    /// Requests that got a reply.
    pub answered: AtomicU64,
    /// Sources that are not in the allow list.
    pub refused: AtomicU64,
    /// Too short, or of no known kind.
    pub malformed: AtomicU64,
    /// Too many of one source.
    pub too_many: AtomicU64,
    /// Replies that could not be sent.
    pub unsent: AtomicU64,
}

/// A running listener; it stops when dropped.
#[derive(Debug)]
pub struct LegacyControl {
    address: SocketAddr,
    counts: Arc<LegacyCounts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What requests are about.
#[derive(Debug)]
pub struct LegacyFeed {
    /// The name of the feed.
    pub feed: String,
    /// The lease that subscribers get; none for ever.
    pub lease: Option<Duration>,
    /// Who is asked.
    pub control: Arc<dyn ReplicateControl>,
}

impl LegacyControl {
    /// Listens on `address` and answers sources in `allow`; loopback when that is empty.
    ///
    /// # Errors
    /// When the address cannot be listened on, and when there can be no other thread.
    pub fn spawn(
        address: SocketAddr,
        allow: Vec<Cidr>,
        feed: LegacyFeed,
        log: Log,
    ) -> Result<LegacyControl, StartError> {
        let socket = bind(address)?;
        let address = socket.local_addr().unwrap_or(address);
        let allow = if allow.is_empty() { Cidr::LOOPBACK.to_vec() } else { allow };
        let (counts, stop) = (Arc::<LegacyCounts>::default(), Arc::<AtomicBool>::default());
        let now = Instant::now();
        let rate = Rate::new(REQUESTS_PER_SECOND_MAX, REQUESTS_BURST_MAX, now);
        let (counted, refusals) = (Arc::clone(&counts), Refusals::default());
        let mut listener = Listener { socket, allow, feed, log, rate, refusals, counts: counted };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("legacy-control".into())
            .spawn(move || {
                while !stopped.load(Relaxed) {
                    listener.step();
                }
            })
            .map_err(StartError::Thread)?;
        Ok(LegacyControl { address, counts, stop, thread: Some(thread) })
    }

    /// The address in force: with the port that the kernel chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What became of the datagrams that came.
    pub fn counts(&self) -> &Arc<LegacyCounts> {
        &self.counts
    }
}

impl Drop for LegacyControl {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> Result<UdpSocket, StartError> {
    let socket = UdpSocket::bind(address).and_then(|socket| {
        socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS)))?;
        // A reply is dropped rather than waited for.
        socket.set_write_timeout(Some(Duration::from_millis(WAIT_MS)))?;
        Ok(socket)
    });
    socket.map_err(|error| StartError::Listen {
        address,
        cure: match error.kind() {
            io::ErrorKind::AddrInUse => "stop the older program, or give another --legacy-control",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine: `ip address`",
            _ => "give another --legacy-control ADDR:PORT",
        },
        error,
    })
}

struct Listener {
    socket: UdpSocket,
    allow: Vec<Cidr>,
    feed: LegacyFeed,
    log: Log,
    rate: Rate<IpAddr>,
    refusals: Refusals,
    counts: Arc<LegacyCounts>,
}

/// Which refusals are logged.
#[derive(Debug, Default)]
struct Refusals {
    logged: Option<Instant>,
    /// Those since that were not.
    more: u64,
}

impl Refusals {
    /// One more, of `source`: the line for the log, if it is time for one.
    fn line(&mut self, source: SocketAddr, why: &str, now: Instant) -> Option<String> {
        let pause = Duration::from_millis(REFUSAL_LOG_MS);
        if self.logged.is_some_and(|logged| now.duration_since(logged) < pause) {
            self.more += 1;
            return None;
        }
        self.logged = Some(now);
        let more = match std::mem::take(&mut self.more) {
            0 => String::new(),
            more => format!(" ({more} more refusals since the last line)"),
        };
        Some(format!("{source}: legacy request refused: {why}{more}"))
    }
}

impl Listener {
    /// Waits a moment for one request and answers it.
    fn step(&mut self) {
        let mut bytes = [0; REQUEST_BYTES_MAX];
        let (length, source) = match self.socket.recv_from(&mut bytes) {
            Ok(received) => received,
            Err(error) => {
                let waited = matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                );
                if !waited {
                    std::thread::sleep(Duration::from_millis(RETRY_MS));
                }
                return;
            }
        };
        let counter = self.handle(&bytes[..length], source);
        counter.fetch_add(1, Relaxed);
    }

    fn refuse(&mut self, source: SocketAddr, why: &str, now: Instant) {
        self.refusals.line(source, why, now).iter().for_each(|line| self.log.line(line));
    }

    fn handle(&mut self, request: &[u8], source: SocketAddr) -> &AtomicU64 {
        let ip = source.ip().to_canonical();
        let now = Instant::now();
        if !self.allow.iter().any(|range| range.contains(ip)) {
            self.refuse(source, "its source is not in --legacy-allow", now);
            return &self.counts.refused;
        }
        if !self.rate.admit(ip, now) {
            self.refuse(source, "there are too many of this source", now);
            return &self.counts.too_many;
        }
        let LegacyFeed { feed, lease, control } = &self.feed;
        let Some(reply) = answer(request, source, feed, *lease, &**control) else {
            return &self.counts.malformed;
        };
        if let Some(request) = Request::parse(request)
            && request != Request::List
        {
            self.log.line(&format!("{source}: legacy {request:?} on {feed}: {:02x}", reply[0]));
        }
        match self.socket.send_to(&reply, source) {
            Ok(_) => &self.counts.answered,
            Err(_) => &self.counts.unsent,
        }
    }
}

impl Collector for LegacyCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let requests = [
            ("answered", &self.answered),
            ("refused", &self.refused),
            ("malformed", &self.malformed),
            ("too_many", &self.too_many),
            ("unsent", &self.unsent),
        ];
        let requests = requests.map(|(what, count)| ([("result", what)], count.load(Relaxed)));
        let text = "Datagrams of the older control protocol by what became of them";
        counters(&mut encoder, ("legacy_requests", None, text), requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_line_a_second() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let source = SocketAddr::from(([192, 0, 2, 9], 4000));
        let mut at = |ms| refusals.line(source, "no", start + Duration::from_millis(ms));
        assert_eq!(at(0).as_deref(), Some("192.0.2.9:4000: legacy request refused: no"));
        assert!((1..1000).all(|ms| at(ms).is_none()));
        let line = at(1000).expect("a second later");
        assert!(line.ends_with("refused: no (999 more refusals since the last line)"), "{line}");
        assert!(at(2000).is_some_and(|line| line.ends_with("no")));
    }
}
