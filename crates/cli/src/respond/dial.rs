//! Connections to targets: one thread each, which connects, reads, and connects again.
//!
//! Orders are written by the worker that decides on them ([`super::wire`]); this thread never keeps
//! it waiting for longer than it takes to look at what came.

use super::desk::{Desk, lock};
use super::peers::Link;
use super::targets::Way;
use super::wire::{Wire, broken};
use crate::exit::say;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tickwire_capture::set_busy_poll;
use tickwire_engine::Control;
use tickwire_frame::Timestamp;
use tickwire_respond::Close;

/// How long a connection may take to come about, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;
/// The first pause before the next attempt, in milliseconds; each is twice the one before.
pub const RETRY_MS_MIN: u64 = 100;
/// The longest pause, in milliseconds.
pub const RETRY_MS_MAX: u64 = 10_000;
/// How often a session is looked at when nothing comes, in milliseconds.
const TICK_MS: i64 = 50;
/// How long the other end has to answer a logout, in milliseconds.
pub const LOGOUT_MS_MAX: u64 = 500;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// For so long the kernel asks the card itself before a read sleeps, in microseconds.
const BUSY_POLL_US: u32 = 50;

/// Where to connect to.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The number of the target.
    pub target: u16,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Never sleep.
    pub spin: bool,
}

impl Dial {
    /// Connects, and goes on until `stop` says that it is over.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(
        self,
        desk: &Arc<Mutex<Desk>>,
        stop: &Arc<Control>,
    ) -> std::io::Result<JoinHandle<()>> {
        let (desk, stop) = (Arc::clone(desk), Arc::clone(stop));
        let name = format!("to {}", self.name);
        std::thread::Builder::new().name(name).spawn(move || self.keep(&desk, &stop))
    }

    fn keep(&self, desk: &Mutex<Desk>, stop: &Control) {
        let mut pause_ms = RETRY_MS_MIN;
        while !stop.stopped() {
            let mut was_ready = false;
            let close = match self.connect() {
                Ok(stream) => self.speak(stream, desk, stop, &mut was_ready),
                Err(error) => broken(&format!("cannot connect: {error}")),
            };
            self.closed(&close, desk, stop);
            if !close.reconnect {
                return;
            }
            if was_ready {
                pause_ms = RETRY_MS_MIN;
            }
            let until = Instant::now() + Duration::from_millis(pause_ms);
            while !stop.stopped() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            pause_ms = (pause_ms * 2).min(RETRY_MS_MAX);
        }
    }

    /// Tells the desk and, once for each cause, the person.
    fn closed(&self, close: &Close, desk: &Mutex<Desk>, stop: &Control) {
        let now_ns = Timestamp::now().as_nanos();
        let mut desk = lock(desk);
        let link = Link::TcpTarget(self.target);
        desk.peers.closed(link, self.address, !stop.stopped());
        let mut before = None;
        let told = desk.with_wire(self.target, |wire, event| {
            before = wire.down.take();
            wire.disconnected(&close.why, now_ns, event);
            Ok(())
        });
        drop(desk);
        if told.is_err() || stop.stopped() || before.as_ref() == Some(&close.why) {
            return;
        }
        let next = if close.reconnect { "connecting again" } else { "it stays closed" };
        say(format_args!("tickwire: target {}: {}; {next}\n", self.name, close.why));
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream =
            TcpStream::connect_timeout(&self.address, Duration::from_millis(CONNECT_MS_MAX))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // Where it may not (CAP_NET_ADMIN), reads take a little longer.
        let _ = set_busy_poll(&stream, BUSY_POLL_US);
        Ok(stream)
    }

    /// Until the connection is over; why it is. Notes whether orders could be sent on it.
    fn speak(
        &self,
        stream: TcpStream,
        desk: &Mutex<Desk>,
        stop: &Control,
        was_ready: &mut bool,
    ) -> Close {
        match self.converse(stream, desk, stop, was_ready) {
            Ok(()) => broken("stopped"),
            Err(close) => close,
        }
    }

    fn converse(
        &self,
        stream: TcpStream,
        desk: &Mutex<Desk>,
        stop: &Control,
        was_ready: &mut bool,
    ) -> Result<(), Close> {
        let failed = |error: std::io::Error| broken(&error.to_string());
        let ours = stream.try_clone().map_err(failed)?;
        let link = Link::TcpTarget(self.target);
        self.act(desk, |wire, now_ns| wire.connected(ours, now_ns))?;
        lock(desk).peers.opened(link, self.address, Timestamp::now().as_nanos());
        let mut buffer = vec![0; READ_BYTES];
        while !stop.stopped() {
            self.wait(&stream, desk).map_err(failed)?;
            *was_ready |= self.read(&stream, &mut buffer, desk)?;
        }
        self.act(desk, |wire, now_ns| {
            wire.logout(now_ns);
            Ok(())
        })?;
        let until = Instant::now() + Duration::from_millis(LOGOUT_MS_MAX);
        while Instant::now() < until {
            self.wait(&stream, desk).map_err(failed)?;
            self.read(&stream, &mut buffer, desk)?;
        }
        Ok(())
    }

    fn act(
        &self,
        desk: &Mutex<Desk>,
        act: impl FnOnce(&mut Wire, u64) -> Result<(), Close>,
    ) -> Result<(), Close> {
        let now_ns = Timestamp::now().as_nanos();
        lock(desk).with_wire(self.target, |wire, _| act(wire, now_ns))
    }

    /// Until something comes, or goes, or it is time to look at the session.
    fn wait(&self, stream: &TcpStream, desk: &Mutex<Desk>) -> std::io::Result<()> {
        let waiting = match &lock(desk).targets.targets[usize::from(self.target)].way {
            Way::Tcp(wire) => wire.is_waiting(),
            Way::Udp(_) | Way::User(_) => false,
        };
        let room = if waiting { PollFlags::OUT } else { PollFlags::empty() };
        let tv_nsec = if self.spin { 0 } else { TICK_MS * 1_000_000 };
        let timeout = Timespec { tv_sec: 0, tv_nsec };
        match poll(&mut [PollFd::new(stream, PollFlags::IN | room)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what came, and lets the session do what is due; whether orders can be sent.
    fn read(
        &self,
        mut stream: &TcpStream,
        buffer: &mut [u8],
        desk: &Mutex<Desk>,
    ) -> Result<bool, Close> {
        let read = match stream.read(buffer) {
            Ok(0) => return Err(broken("the other end closed the connection")),
            Ok(read) => read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                0
            }
            Err(error) => return Err(broken(&error.to_string())),
        };
        let now_ns = Timestamp::now().as_nanos();
        let mut desk = lock(desk);
        if read > 0 {
            desk.peers.received(Link::TcpTarget(self.target), self.address, read, now_ns);
        }
        let mut is_ready = false;
        desk.with_wire(self.target, |wire, event| {
            if read > 0 {
                wire.received(&buffer[..read], now_ns, event)?;
            }
            is_ready = wire.is_ready();
            wire.tick(now_ns)
        })?;
        Ok(is_ready)
    }
}
