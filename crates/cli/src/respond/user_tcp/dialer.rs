//! Begins the connections of targets that are spoken with over frames, again and again, and says
//! which segments are theirs. It runs on the thread that keeps routes, never on a worker.
//!
//! Each connection has a local port of its own. A socket of the kernel is bound to it and does no
//! more, so that nobody else gets the port. The XDP program takes the segments before the first of
//! them can come, and leaves them to the kernel before the port is given back.

use super::connection::Connection;
use super::home::Home;
use super::line::{Ended, Line, Now};
use crate::exit::say;
use crate::respond::desk::{Desk, lock};
use crate::respond::dial::{LOGOUT_MS_MAX, RETRY_MS_MAX, RETRY_MS_MIN};
use crate::respond::ingress::Gate;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{Selection, TcpConnection};
use tickwire_capture::routes::Hop;
use tickwire_respond::Event;

/// How long the last segments may take after the sessions have ended, in milliseconds: two ticks of
/// a worker and more.
const CLOSE_MS_MAX: u64 = 300;
/// Pause between two looks meanwhile, in milliseconds.
const LOOK_MS: u64 = 5;

/// Connects, for all such targets.
pub struct Dialer {
    gates: Vec<Gate>,
    lines: Vec<Dialled>,
}

/// A target, and what the dialer keeps for it.
struct Dialled {
    target: u16,
    name: String,
    /// The place of its interface among the gates.
    gate: usize,
    /// Ports that are held, with the connections that they are held for.
    held: Vec<(TcpConnection, OwnedFd)>,
    pause_ms: u64,
    again: Instant,
    /// What was said last, until there was a connection.
    told: Option<String>,
    /// It is not to be connected to again.
    is_over: bool,
}

impl Dialer {
    /// For the targets `homes`, whose names are among `names`, behind `gates`.
    pub fn new(homes: &[Home], names: &[String], gates: Vec<Gate>) -> Dialer {
        let lines = homes.iter().filter_map(|home| {
            Some(Dialled {
                target: home.target,
                name: names[usize::from(home.target)].clone(),
                gate: gates.iter().position(|gate| gate.interface == home.interface)?,
                held: Vec::new(),
                pause_ms: RETRY_MS_MIN,
                again: Instant::now(),
                told: None,
                is_over: false,
            })
        });
        Dialer { lines: lines.collect(), gates }
    }

    /// Whether there is nobody to connect to.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One look at all of them: hears of connections that ended, and begins those that are due.
    pub fn keep(&mut self, desk: &Mutex<Desk>) {
        for number in 0..self.lines.len() {
            let Some((hop, address)) = self.lines[number].hear(desk) else {
                self.give_back(number, desk);
                continue;
            };
            self.give_back(number, desk);
            if let Err(error) = self.dial(number, hop, address, desk) {
                let line = &mut self.lines[number];
                line.retry();
                line.say(&format!("cannot connect: {error}; trying again"));
            }
        }
    }

    /// Holds a port, has the program take its segments, and begins the connection.
    fn dial(
        &mut self,
        number: usize,
        hop: Hop,
        address: SocketAddr,
        desk: &Mutex<Desk>,
    ) -> Result<(), String> {
        let (port, held) = hold(hop.source)
            .map_err(|error| format!("no port of {} can be bound: {error}", hop.source))?;
        let local = SocketAddr::new(hop.source, port);
        let line = &mut self.lines[number];
        line.held.push((TcpConnection { local, remote: address }, held));
        let (gate, target) = (line.gate, line.target);
        if let Err(error) = self.select(gate) {
            self.lines[number].held.pop();
            return Err(error.to_string());
        }
        let connection = Connection::new(&hop, port, address, Instant::now());
        lock(desk).with_line(target, Now::read(), |line, _| line.dial(connection));
        Ok(())
    }

    /// Gives back the ports of connections that are gone.
    fn give_back(&mut self, number: usize, desk: &Mutex<Desk>) {
        let line = &mut self.lines[number];
        if line.held.is_empty() {
            return;
        }
        let live: Vec<TcpConnection> =
            lock(desk).with_line(line.target, Now::read(), |line, _| line.ends().collect());
        let gone: Vec<_> = line.held.extract_if(.., |(ends, _)| !live.contains(ends)).collect();
        // First no more segments, then the port. If it fails, they are held until the next time.
        let gate = line.gate;
        if !gone.is_empty() && self.select(gate).is_err() {
            self.lines[number].held.extend(gone);
        }
    }

    /// Has the program of an interface take what is held.
    fn select(&self, gate: usize) -> Result<(), tickwire_capture::PortError> {
        let lines = self.lines.iter().filter(|line| line.gate == gate);
        let tcp = lines.flat_map(|line| line.held.iter().map(|(ends, _)| *ends)).collect();
        let Gate { udp, handle, .. } = &self.gates[gate];
        handle.select(&Selection::UdpAndTcp(udp.clone(), tcp))
    }

    /// Ends all sessions in good order while the workers still run: no order is decided from now
    /// on.
    pub fn leave(&mut self, desk: &Mutex<Desk>) {
        if self.lines.is_empty() {
            return;
        }
        lock(desk).responder.set_enabled(false);
        let now = Now::read();
        for line in &self.lines {
            lock(desk).with_line(line.target, now, |line, _| line.leave(now));
        }
        self.wait(desk, LOGOUT_MS_MAX, |line| line.is_down());
        let now = Now::read();
        for line in &self.lines {
            lock(desk).with_line(line.target, now, |line, event| line.stop(now, event));
        }
        self.wait(desk, CLOSE_MS_MAX, |line| line.ends().next().is_none());
    }

    /// Until `is_done` says so of all lines.
    fn wait(&self, desk: &Mutex<Desk>, ms_max: u64, is_done: impl Fn(&mut Line) -> bool) {
        let until = Instant::now() + Duration::from_millis(ms_max);
        let done = |line: &Dialled| {
            lock(desk).with_line(line.target, Now::read(), |line, _| is_done(line))
        };
        while Instant::now() < until && !self.lines.iter().all(done) {
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }
}

impl Dialled {
    /// Hears how the last connection ended; the way of the next when it is due.
    fn hear(&mut self, desk: &Mutex<Desk>) -> Option<(Hop, SocketAddr)> {
        let mut desk = lock(desk);
        let look = |line: &mut Line, _: &mut dyn FnMut(Event)| {
            (line.take_ended(), line.is_down(), line.is_ready(), line.path(), line.address())
        };
        let (ended, is_down, is_ready, path, address) =
            desk.with_line(self.target, Now::read(), look);
        drop(desk);
        if is_ready {
            self.told = None;
        }
        if let Some(Ended { close, was_ready }) = ended {
            if was_ready {
                (self.pause_ms, self.told) = (RETRY_MS_MIN, None);
            }
            self.retry();
            self.is_over = !close.reconnect;
            let next = if close.reconnect { "connecting again" } else { "it stays closed" };
            self.say(&format!("{}; {next}", close.why));
        }
        let is_due = is_down && !self.is_over && Instant::now() >= self.again;
        path.ok().filter(|_| is_due).map(|hop| (hop, address))
    }

    /// The next attempt is after a pause, which grows.
    fn retry(&mut self) {
        self.again = Instant::now() + Duration::from_millis(self.pause_ms);
        self.pause_ms = (self.pause_ms * 2).min(RETRY_MS_MAX);
    }

    /// Tells the person, once for each cause.
    fn say(&mut self, what: &str) {
        if self.told.as_deref() != Some(what) {
            say(format_args!("tickwire: target {}: {what}\n", self.name));
            self.told = Some(what.to_owned());
        }
    }
}

/// A port of `address` that nobody else has, and the socket that holds it.
fn hold(address: IpAddr) -> io::Result<(u16, OwnedFd)> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(address, 0))?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((bound.port(), socket))
}
