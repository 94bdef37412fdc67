//! Feeds over TCP: senders connect to us, and send messages of a fixed length one after another.

use super::desk::{Desk, Incoming, lock};
use super::peers::Link;
use crate::exit::{Failure, say};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tickwire_engine::Control;
use tickwire_frame::{Reason, Timestamp};
use tickwire_replicate::Datagram;
use tickwire_respond::{Arrival, Batches};

/// Senders that may be connected to a feed at a time.
const SENDERS_MAX: usize = 64;
/// Bytes read at once of a connection.
const READ_BYTES: usize = 64 << 10;
/// How often it is looked whether to stop, in milliseconds.
const STOP_LOOK_MS: i64 = 50;

/// A feed that is listened for.
#[derive(Clone, Debug)]
pub struct StreamFeed {
    /// Its number.
    pub feed: u16,
    /// Its name.
    pub name: String,
    /// Where senders connect to.
    pub listen: SocketAddr,
    /// Who may; anybody when `None`.
    pub source: Option<IpAddr>,
    /// Bytes of each message.
    pub message_bytes: usize,
    /// Never sleep.
    pub spin: bool,
}

/// A sender that is connected.
struct Sender {
    stream: TcpStream,
    address: SocketAddr,
    /// The beginning of a message that is not whole yet.
    rest: Vec<u8>,
}

impl StreamFeed {
    /// Listens, on a thread that goes on until `stop` says that it is over.
    ///
    /// # Errors
    /// When the address is not ours or taken.
    pub fn start(
        self,
        desk: &Arc<Mutex<Desk>>,
        batches: Arc<Batches>,
        stop: &Arc<Control>,
    ) -> Result<JoinHandle<()>, Failure> {
        let (name, listen) = (self.name.clone(), self.listen);
        let failed = |error: std::io::Error| {
            Failure::failed(format_args!(
                "feed {name}: cannot listen on {listen} over TCP: {error}; choose an address of \
                 this machine, and a port that nobody has (`ss -tlnp`)"
            ))
        };
        let listener = TcpListener::bind(self.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let (desk, stop) = (Arc::clone(desk), Arc::clone(stop));
        let thread = std::thread::Builder::new().name(format!("feed {}", self.name));
        thread.spawn(move || self.serve(&listener, &desk, &batches, &stop)).map_err(failed)
    }

    fn serve(&self, listener: &TcpListener, desk: &Mutex<Desk>, batches: &Batches, stop: &Control) {
        let (mut senders, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        while !stop.stopped() {
            if let Err(error) = self.wait(listener, &senders) {
                say(format_args!("tickwire: feed {}: {error}\n", self.name));
                return;
            }
            self.accept(listener, &mut senders, desk);
            senders.retain_mut(|sender| {
                batches.begin();
                let open = self.read(sender, &mut buffer, desk);
                batches.end();
                open
            });
        }
    }

    fn wait(&self, listener: &TcpListener, senders: &[Sender]) -> std::io::Result<()> {
        let tv_nsec = if self.spin { 0 } else { STOP_LOOK_MS * 1_000_000 };
        let mut all = vec![PollFd::new(listener, PollFlags::IN)];
        all.extend(senders.iter().map(|sender| PollFd::new(&sender.stream, PollFlags::IN)));
        match poll(&mut all, Some(&Timespec { tv_sec: 0, tv_nsec })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&self, listener: &TcpListener, senders: &mut Vec<Sender>, desk: &Mutex<Desk>) {
        while let Ok((stream, address)) = listener.accept() {
            let now_ns = Timestamp::now().as_nanos();
            let stranger = self.source.is_some_and(|source| source != address.ip());
            let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            let mut desk = lock(desk);
            let link = Link::TcpFeed(self.feed);
            if stranger || senders.len() >= SENDERS_MAX || ready.is_err() {
                let reason = if stranger { Reason::Foreign } else { Reason::OutputQueueFull };
                desk.peers.dropped(link, address, reason, now_ns);
                desk.peers.closed(link, address, true);
                continue;
            }
            desk.peers.opened(link, address, now_ns);
            senders.push(Sender { stream, address, rest: Vec::with_capacity(self.message_bytes) });
        }
    }

    /// Takes what came of a sender; `false` when it has gone.
    fn read(&self, sender: &mut Sender, buffer: &mut [u8], desk: &Mutex<Desk>) -> bool {
        let read = match sender.stream.read(buffer) {
            Ok(0) => return self.gone(sender, desk),
            Ok(read) => read,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => true,
                    _ => self.gone(sender, desk),
                };
            }
        };
        let now_ns = Timestamp::now().as_nanos();
        let mut desk = lock(desk);
        desk.peers.received(Link::TcpFeed(self.feed), sender.address, read, now_ns);
        self.take(&buffer[..read], sender, &mut desk, now_ns);
        desk.flush(None);
        true
    }

    /// Each message that is whole now.
    fn take(&self, mut bytes: &[u8], sender: &mut Sender, desk: &mut Desk, now_ns: u64) {
        let datagram =
            Datagram { source: sender.address, destination: self.listen, ..Datagram::NONE };
        let arrival = Arrival { received_ns: now_ns, now_ns };
        let mut message = |payload: &[u8]| {
            let incoming = Incoming { feed: self.feed, datagram: &datagram, payload, arrival };
            desk.receive(&incoming, None);
            if desk.targets.has_many() {
                desk.flush(None);
            }
        };
        if !sender.rest.is_empty() {
            let missing = (self.message_bytes - sender.rest.len()).min(bytes.len());
            let (head, tail) = bytes.split_at(missing);
            sender.rest.extend_from_slice(head);
            bytes = tail;
            if sender.rest.len() < self.message_bytes {
                return;
            }
            message(&sender.rest);
            sender.rest.clear();
        }
        let mut whole = bytes.chunks_exact(self.message_bytes);
        whole.by_ref().for_each(message);
        sender.rest.extend_from_slice(whole.remainder());
    }

    fn gone(&self, sender: &Sender, desk: &Mutex<Desk>) -> bool {
        let mut desk = lock(desk);
        let link = Link::TcpFeed(self.feed);
        if !sender.rest.is_empty() {
            let now_ns = Timestamp::now().as_nanos();
            desk.peers.dropped(link, sender.address, Reason::CutShort, now_ns);
        }
        desk.peers.closed(link, sender.address, false);
        false
    }
}
