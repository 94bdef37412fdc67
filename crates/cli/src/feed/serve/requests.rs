//! Answers requests for messages that were missed, out of those that have been sent.

use crate::exit::Failure;
use crate::feed::publish::faults::{Fate, Faults};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tickwire_capture::udp::drops_of;
use tickwire_market::moldudp64::{Header, Packet, Session};
use tickwire_market::recovery::{Answers, Memory, Rates, Refusal, Responder};

/// How long one wait for a request takes: so soon is a stop noticed.
const WAIT_MS: u64 = 50;
/// What is kept has a place for a message in so many bytes: those of ITCH 5.0 have 30 on average.
const MESSAGE_BYTES: usize = 24;
/// The most requests that are still answered at a stop: more than wait in a socket.
const LAST_REQUESTS_MAX: usize = 1 << 16;
/// How much longer a request may be than it is meant to be: to know that it is one.
const REQUEST_BYTES_MAX: usize = Header::LEN + 44;

/// The messages that have been sent. Clones are the same.
#[derive(Clone, Debug)]
pub struct Store(Arc<Mutex<Memory>>);

impl Store {
    /// Keeps the last messages of a session, up to `bytes_max` bytes of them.
    pub fn new(bytes_max: usize) -> Store {
        let messages_max = bytes_max / MESSAGE_BYTES;
        Store(Arc::new(Mutex::new(Memory::new(1, bytes_max, messages_max))))
    }

    /// Keeps the messages of `packets`, which follow those before.
    pub fn keep(&self, packets: &[&[u8]]) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let packets = packets.iter().filter_map(|payload| Packet::parse(payload).ok());
        for message in packets.flat_map(|packet| packet.messages()).flatten() {
            // It was in a packet, so it is not too long.
            let _ = memory.push(message.bytes);
        }
    }
}

/// What became of requests: `requests = answered + Σ refused`, `answered = sent + lost + unsent`.
/// Those that the kernel dropped never became known; all that came are `requests + dropped`.
#[derive(Clone, Debug, Default)]
pub struct RequestCounts {
    answers: Answers,
    /// Answers that were lost on purpose.
    lost: u64,
    /// Answers that the system did not take.
    unsent: u64,
    /// Requests that the kernel dropped.
    dropped: u32,
}

/// A server that runs.
pub struct Requests {
    thread: JoinHandle<RequestCounts>,
    stop: Arc<AtomicBool>,
    /// Where it listens.
    pub address: SocketAddr,
}

struct Server {
    socket: UdpSocket,
    store: Store,
    responder: Responder,
    faults: Faults,
    counts: RequestCounts,
    stop: Arc<AtomicBool>,
    /// The longest answer.
    packet: Vec<u8>,
}

impl Requests {
    /// Answers requests to `address` for messages of `session` out of `store`, with packets of up
    /// to `packet_bytes_max` bytes.
    pub fn start(
        address: SocketAddr,
        session: Session,
        store: Store,
        rates: Rates,
        faults: Faults,
        packet_bytes_max: usize,
    ) -> Result<Requests, Failure> {
        let socket = open(address).map_err(|error| {
            let cure = match error.kind() {
                ErrorKind::AddrInUse => "another program has this port (`ss -ulpn` names it)",
                ErrorKind::AddrNotAvailable => {
                    "it is no address of this machine (`ip address` lists them)"
                }
                _ => "check the address",
            };
            Failure::failed(format_args!("cannot take requests at {address}: {error}; {cure}"))
        })?;
        let address = socket.local_addr().map_err(Failure::failed)?;
        let stop = Arc::<AtomicBool>::default();
        let server = Server {
            socket,
            store,
            responder: Responder::new(session, rates, RandomState::new().hash_one(address)),
            faults,
            counts: RequestCounts::default(),
            stop: Arc::clone(&stop),
            packet: vec![0; packet_bytes_max],
        };
        let thread = std::thread::Builder::new().name("requests".into());
        let thread = thread.spawn(move || server.run()).map_err(|error| {
            Failure::failed(format_args!("cannot start a thread: {error}; see `ulimit -u`"))
        })?;
        Ok(Requests { thread, stop, address })
    }

    /// Answers no more.
    pub fn finish(self) -> RequestCounts {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS)))?;
    Ok(socket)
}

impl Server {
    fn run(mut self) -> RequestCounts {
        let started = Instant::now();
        let mut request = [0; REQUEST_BYTES_MAX];
        while !self.stop.load(Relaxed) {
            // Nothing came, or the system had to report that an answer did not arrive.
            let Ok((len, from)) = self.socket.recv_from(&mut request) else { continue };
            self.answer(&request[..len], from, started.elapsed().as_nanos() as u64);
        }
        // What came before the stop is answered.
        if self.socket.set_nonblocking(true).is_ok() {
            for _ in 0..LAST_REQUESTS_MAX {
                let Ok((len, from)) = self.socket.recv_from(&mut request) else { break };
                self.answer(&request[..len], from, started.elapsed().as_nanos() as u64);
            }
        }
        // It is a socket, so it has this number.
        self.counts.dropped = drops_of(&self.socket).unwrap_or_default();
        RequestCounts { answers: *self.responder.answers(), ..self.counts }
    }

    fn answer(&mut self, request: &[u8], from: SocketAddr, at_ns: u64) {
        let address = match from.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let memory = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.responder.answer(address, request, &*memory, at_ns, &mut self.packet);
        drop(memory);
        // What is refused has no answer.
        let Ok(answer) = answer else { return };
        match self.faults.fate() {
            Fate::Lost => self.counts.lost += 1,
            _ if self.socket.send_to(answer, from).is_err() => self.counts.unsent += 1,
            _ => {}
        }
    }
}

impl RequestCounts {
    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.answers.requests
    }

    /// Numbers and what they count, for people.
    pub fn rows(&self) -> Vec<(u64, String)> {
        let Answers { answered, messages, .. } = self.answers;
        let messages = crate::units::grouped(messages);
        let mut rows = vec![(answered, format!("answered, with {messages} messages"))];
        let refused = Refusal::ALL.map(|refusal| (self.answers.refused(refusal), refusal));
        rows.extend(refused.map(|(n, refusal)| (n, format!("refused: {}", refusal.reason()))));
        rows.push((self.lost, "answers lost on purpose".to_owned()));
        rows.push((self.unsent, "answers that could not be sent".to_owned()));
        let dropped = "more that the kernel dropped: more came at once than the socket holds, or \
                       the checksum was wrong";
        rows.push((self.dropped.into(), dropped.to_owned()));
        rows.retain(|(number, _)| *number > 0);
        rows
    }

    /// For an object that scripts read.
    pub fn to_json(&self) -> Value {
        let refused = Refusal::ALL.map(|refusal| (refusal, self.answers.refused(refusal)));
        let refused = refused.into_iter().filter(|(_, count)| *count > 0);
        let refused: Map<String, Value> =
            refused.map(|(refusal, count)| (refusal.reason().to_owned(), count.into())).collect();
        let Answers { requests, answered, messages, .. } = self.answers;
        json!({
            "requests": requests,
            "answered": answered,
            "messages": messages,
            "refused": refused,
            "lost": self.lost,
            "unsent": self.unsent,
            "dropped": self.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_market::moldudp64::Request;
    use tickwire_market::wire::Ascii;

    #[test]
    fn every_request_is_answered_refused_or_dropped_by_name() {
        const REQUESTS: u64 = 5_000;
        let session = Ascii(*b"SESSION   ");
        let address = "127.0.0.1:0".parse().expect("an address");
        let (store, rates) = (Store::new(1 << 20), Rates::default());
        let (memory, faults) = (Arc::clone(&store.0), Faults::of_loss(0.0, 1));
        let server = Requests::start(address, session, store, rates, faults, 1_472);
        let server = server.expect("a free port");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let request = Request { session, sequence_number: 1, message_count: 1 }.to_bytes();
        // The server cannot go on, so its socket gets full.
        let held = memory.lock().expect("nobody failed");
        for _ in 0..REQUESTS {
            client.send_to(&request, server.address).expect("it leaves");
        }
        drop(held);
        let counts = server.finish();
        let dropped = u64::from(counts.dropped);
        assert_eq!(counts.requests() + dropped, REQUESTS);
        assert!(counts.requests() > 0 && dropped > 0, "{counts:?}");
        assert_eq!(counts.to_json()["dropped"], dropped);
        assert!(
            counts
                .rows()
                .iter()
                .any(|(count, what)| { *count == dropped && what.contains("the kernel dropped") })
        );
    }
}
