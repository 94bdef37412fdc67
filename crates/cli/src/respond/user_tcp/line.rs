//! A target whose connection is spoken on the workers: its session, the connection that it is
//! spoken on, those that begin and end, and the way there.
//!
//! ```text
//! dial ─▶ rising ──handshake over──▶ wire (session) ──end──▶ closing ─▶ gone
//!            └────refused, no answer─────────────▲
//! ```
//!
//! Workers move it on: when a segment came, at their ticks, and when they flush. When it is down,
//! the [`Dialer`](super::Dialer) begins the next connection.

use super::connection::Connection;
use super::segment::Segment;
use crate::respond::dial::CONNECT_MS_MAX;
use crate::respond::peers::{Link, Peers};
use crate::respond::wire::{Wire, broken};
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tickwire_capture::Transmitter;
use tickwire_capture::af_xdp::TcpConnection;
use tickwire_frame::{Reason, Timestamp};
use tickwire_replicate::Path;
use tickwire_respond::{Close, Event, Order, Session};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 10;
/// How long a connection that was closed is kept for its last segments, in milliseconds.
const CLOSING_MS_MAX: u64 = 2_000;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// That of sessions, which may jump: nanoseconds since 1970.
    pub ns: u64,
    /// That of timers.
    pub at: Instant,
}

impl Now {
    /// Reads both.
    pub fn read() -> Now {
        Now { ns: Timestamp::now().as_nanos(), at: Instant::now() }
    }

    fn is_late(&self, since: Instant, ms_max: u64) -> bool {
        self.at.saturating_duration_since(since) >= Duration::from_millis(ms_max)
    }
}

/// A target that is spoken with over frames.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    /// The interface whose workers speak with it.
    home: String,
    path: Path,
    wire: Wire<Connection>,
    rising: Option<Connection>,
    closing: Option<(Connection, Instant)>,
    /// Something may have to be sent.
    is_due: bool,
    /// Something was taken that could not leave: what came next would leave late.
    is_stalled: bool,
    /// The session ends because we do.
    is_leaving: bool,
    /// Whether orders could be sent since the connection began.
    was_ready: bool,
    /// Why the last connection ended, until the dialer has heard it.
    ended: Option<Ended>,
    news: News,
}

/// What the list of peers has not heard yet.
#[derive(Debug, Default)]
struct News {
    received_bytes: usize,
    is_open: bool,
    is_closed: bool,
}

/// The end of a connection, for the dialer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub close: Close,
    /// Whether orders could be sent on it.
    pub was_ready: bool,
}

impl Line {
    /// Not connected.
    pub fn new(address: SocketAddr, home: &str, session: Box<dyn Session>) -> Line {
        Line {
            address,
            home: home.to_owned(),
            path: Err(Reason::NoRoute),
            wire: Wire::new(session),
            rising: None,
            closing: None,
            is_due: false,
            is_stalled: false,
            is_leaving: false,
            was_ready: false,
            ended: None,
            news: News::default(),
        }
    }

    /// Where frames to it leave, or why none can.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The interface whose workers speak with it.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Orders of connections before of which it is not known what became of them.
    pub fn uncertain(&self) -> usize {
        self.wire.uncertain()
    }

    /// Whether orders can be sent.
    pub fn is_ready(&self) -> bool {
        self.path.is_ok() && self.wire.is_ready()
    }

    /// Why there is no connection.
    pub fn down(&self) -> Option<&str> {
        self.wire.down.as_deref()
    }

    /// Whether there is no connection, and none that begins.
    pub fn is_down(&mut self) -> bool {
        self.rising.is_none() && self.wire.stream().is_none()
    }

    /// Both ends of all connections that segments may come for.
    pub fn ends(&mut self) -> impl Iterator<Item = TcpConnection> {
        self.connections().map(|connection| connection.ends())
    }

    fn connections(&mut self) -> impl Iterator<Item = &mut Connection> {
        let Line { wire, rising, closing, .. } = self;
        let closing = closing.as_mut().map(|(connection, _)| connection);
        wire.stream().into_iter().chain(rising.as_mut()).chain(closing)
    }

    /// The way there is another one.
    pub fn follow(&mut self, path: Path) {
        self.path = path;
        if let Ok(hop) = path {
            self.connections().for_each(|connection| connection.follow(&hop));
        }
    }

    /// Begins a connection: the handshake with the next tick of a worker.
    pub fn dial(&mut self, connection: Connection) {
        self.rising = Some(connection);
        (self.was_ready, self.is_stalled) = (false, false);
    }

    /// Why the last connection ended; each end once.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Ends the session in good order; it leaves with the next tick of a worker.
    pub fn leave(&mut self, now: Now) {
        self.is_leaving = true;
        self.wire.logout(now.ns);
    }

    /// Ends the connection: the session had its time.
    pub fn stop(&mut self, now: Now, event: &mut dyn FnMut(Event)) {
        if !self.is_down() {
            self.end(broken("stopped"), now, event);
        }
    }

    /// Writes an order behind what is to be sent.
    ///
    /// # Errors
    /// Why it could not leave now, and what the session refuses.
    #[inline]
    pub fn order(&mut self, order: &Order) -> Result<(), Reason> {
        self.path?;
        if self.is_stalled {
            return Err(Reason::OutputQueueFull);
        }
        self.is_due = true;
        self.wire.order(order)
    }

    /// Takes a segment, if it is of a connection of this target, and what it brings; whether it is.
    /// What it asks for leaves with [`transmit`](Self::transmit).
    pub fn receive(
        &mut self,
        segment: &Segment<'_>,
        way: &mut dyn Transmitter,
        now: Now,
        event: &mut dyn FnMut(Event),
    ) -> bool {
        let ends = TcpConnection { local: segment.destination, remote: segment.source };
        let Some(connection) = self.connections().find(|one| one.ends() == ends) else {
            return false;
        };
        connection.receive(segment.packet, way, now.at);
        self.is_due = true;
        self.look(now, event);
        true
    }

    /// What is due by the clock: segments again, heartbeats, connections that take too long.
    pub fn tick(&mut self, way: &mut dyn Transmitter, now: Now, event: &mut dyn FnMut(Event)) {
        if self.wire.stream().is_some()
            && let Err(close) = self.wire.tick(now.ns)
        {
            self.end(close, now, event);
        }
        if self.rising.as_ref().is_some_and(|one| now.is_late(one.born(), CONNECT_MS_MAX)) {
            self.end(broken("cannot connect: no answer"), now, event);
        }
        self.is_due = true;
        self.transmit(way, now, event);
        // A connection may have found out that the other end is gone.
        self.look(now, event);
        // One that was closed just now may have a last word, for the next tick.
        self.closing.take_if(|(one, since)| {
            one.is_over() && *since < now.at || now.is_late(*since, CLOSING_MS_MAX)
        });
    }

    /// Sends what waits, as far as it can leave now, if `way` leads to the target.
    pub fn transmit(&mut self, way: &mut dyn Transmitter, now: Now, event: &mut dyn FnMut(Event)) {
        let leads = self.path.is_ok_and(|hop| hop.ifindex == way.ifindex());
        if !leads || !std::mem::take(&mut self.is_due) {
            return;
        }
        if let Err(close) = self.wire.flush() {
            self.end(close, now, event);
        }
        self.connections().for_each(|connection| connection.transmit(way, now.at));
        self.is_stalled = self.has_unsent();
        // What cannot leave with the end of a session must not leave later.
        if let Some((closing, _)) = &mut self.closing
            && closing.unsent_bytes() > 0
        {
            closing.abort();
        }
    }

    /// Whether frames were written since this was asked last: a kick has to send them.
    pub fn take_pushed(&mut self) -> bool {
        // Behind the first that has, one is kicked for once more than it must be.
        self.connections().any(|connection| connection.take_pushed())
    }

    /// Ends the connection if something was taken that has not left: it would leave late.
    pub fn hang_up_what_waits(&mut self, why: &str, now: Now, event: &mut dyn FnMut(Event)) {
        if self.has_unsent() {
            self.is_stalled = true;
            self.end(broken(why), now, event);
        }
    }

    fn has_unsent(&mut self) -> bool {
        let unsent = self.wire.stream().is_some_and(|stream| stream.unsent_bytes() > 0);
        unsent || self.wire.is_waiting()
    }

    /// Looks at what became of its connections.
    fn look(&mut self, now: Now, event: &mut dyn FnMut(Event)) {
        if let Some(connection) = self.rising.take_if(|one| one.is_up()) {
            self.news.is_open = true;
            if let Err(close) = self.wire.connected(connection, now.ns) {
                self.end(close, now, event);
            }
        } else if self.rising.as_ref().is_some_and(Connection::is_over) {
            self.end(broken("cannot connect: connection refused"), now, event);
        }
        if let Err(close) = self.read(now, event) {
            self.end(close, now, event);
        }
        self.was_ready |= self.wire.is_ready();
    }

    /// Gives what came to the session.
    fn read(&mut self, now: Now, event: &mut dyn FnMut(Event)) -> Result<(), Close> {
        let mut buffer = [0; READ_BYTES];
        // As much as fits into the buffer of the connection: nothing comes meanwhile.
        while let Some(stream) = self.wire.stream() {
            let read = match stream.read(&mut buffer) {
                Ok(0) => return Err(broken("the other end closed the connection")),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(broken(&error.to_string())),
            };
            self.news.received_bytes += read;
            self.wire.received(&buffer[..read], now.ns, event)?;
        }
        Ok(())
    }

    /// Ends the connection that there is, and tells why: in good order, unless something that
    /// waits for long would leave late.
    fn end(&mut self, close: Close, now: Now, event: &mut dyn FnMut(Event)) {
        let up = self.wire.disconnected(&close.why, now.ns, event);
        if let Some(mut connection) = up.or_else(|| self.rising.take()) {
            match self.is_stalled || !connection.is_up() {
                true => connection.abort(),
                false => connection.close(),
            }
            self.closing = Some((connection, now.at));
            (self.news.is_closed, self.is_due) = (true, true);
        }
        self.ended = Some(Ended { close, was_ready: self.was_ready });
    }

    /// Tells the list of peers what it has not heard yet.
    pub fn report(&mut self, link: Link, peers: &mut Peers, now_ns: u64) {
        let News { received_bytes, is_open, is_closed } = std::mem::take(&mut self.news);
        if is_open {
            peers.opened(link, self.address, now_ns);
        }
        if received_bytes > 0 {
            peers.received(link, self.address, received_bytes, now_ns);
        }
        if is_closed {
            peers.closed(link, self.address, !self.is_leaving);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Far, PORT, Ring, hop};
    use super::*;
    use tickwire_frame::LinkType;
    use tickwire_respond::{Intent, Side};

    /// Says each order as one byte, and goodbye before it closes.
    #[derive(Default)]
    struct Terse {
        output: Vec<u8>,
        is_up: bool,
    }

    impl Session for Terse {
        fn connected(&mut self, _: u64) {
            self.is_up = true;
        }

        fn disconnected(&mut self, _: u64, _: &mut dyn FnMut(Event)) {
            *self = Terse::default();
        }

        fn received(&mut self, _: &[u8], _: u64, _: &mut dyn FnMut(Event)) -> Result<(), Close> {
            self.output.extend_from_slice(b"bye");
            Err(broken("it said something"))
        }

        fn tick(&mut self, _: u64) -> Result<(), Close> {
            Ok(())
        }

        fn order(&mut self, _: &Order) -> Result<(), Reason> {
            self.output.push(b'o');
            if self.is_up { Ok(()) } else { Err(Reason::NotConnected) }
        }

        fn is_ready(&self) -> bool {
            self.is_up
        }

        fn logout(&mut self, _: u64) {}

        fn output(&self) -> &[u8] {
            &self.output
        }

        fn sent(&mut self, bytes: usize) {
            self.output.drain(..bytes);
        }
    }

    struct World {
        line: Line,
        ring: Ring,
        far: Far,
        born: Instant,
        now: Now,
    }

    impl World {
        fn connected() -> World {
            let (near, far) = ("10.0.0.2".parse().unwrap(), "10.0.0.1:9999".parse().unwrap());
            let (born, hop) = (Instant::now(), hop(near, None));
            let mut line = Line::new(far, "eth0", Box::new(Terse::default()));
            line.follow(Ok(hop));
            line.dial(Connection::new(&hop, PORT, far, born));
            let now = Now { ns: 0, at: born };
            let far = Far::listen(far, 1 << 16);
            let mut world = World { line, ring: Ring::new(), far, born, now };
            world.rounds(3);
            assert!(world.line.is_ready());
            world
        }

        fn rounds(&mut self, rounds: usize) {
            for _ in 0..rounds {
                self.now.at += Duration::from_millis(1);
                let age = self.now.at - self.born;
                for frame in self.far.exchange(&self.ring.take(), age) {
                    let segment = Segment::parse(LinkType::ETHERNET, &frame).unwrap();
                    assert!(self.line.receive(&segment, &mut self.ring, self.now, &mut |_| {}));
                }
                self.line.tick(&mut self.ring, self.now, &mut |_| {});
            }
        }

        fn order(&mut self) -> Result<(), Reason> {
            let (side, price, quantity) = (Side::Buy, 1, 1);
            let intent = Intent { rule: 0, instrument: 0, target: 0, side, price, quantity };
            self.line.order(&Order { intent, symbol: *b"AAPL    ", number: 1, at_ns: 0 })
        }

        fn transmit(&mut self) {
            self.line.transmit(&mut self.ring, self.now, &mut |_| {});
        }

        /// What the other end got, and whether its stream ended in good order.
        fn far_heard(&mut self) -> (Vec<u8>, bool) {
            let mut bytes = [0; 100];
            let read = self.far.socket().recv_slice(&mut bytes).unwrap_or(0);
            (bytes[..read].to_vec(), self.far.socket().is_active())
        }
    }

    #[test]
    fn the_last_words_of_a_session_leave_before_its_end() {
        let mut world = World::connected();
        world.order().unwrap();
        world.far.socket().send_slice(b"?").unwrap();
        world.rounds(4);
        assert_eq!(world.far_heard(), (b"obye".to_vec(), true));
        let ended = world.line.take_ended().expect("an end");
        assert_eq!((ended.close.why.as_str(), ended.was_ready), ("it said something", true));
        assert!(world.line.is_down() && world.line.take_ended().is_none());
        assert_eq!(world.order(), Err(Reason::NotConnected));
    }

    #[test]
    fn what_could_not_leave_is_refused_next_and_never_sent_by_the_kill_switch() {
        let mut world = World::connected();
        world.ring.room = 0;
        world.order().unwrap();
        world.transmit();
        assert_eq!(world.order(), Err(Reason::OutputQueueFull));
        world.line.hang_up_what_waits("killed", world.now, &mut |_| {});
        world.ring.room = 10;
        world.rounds(4);
        assert_eq!(world.far_heard(), (Vec::new(), false));
        // With nothing waiting it touches nothing.
        let mut world = World::connected();
        world.order().unwrap();
        world.transmit();
        world.line.hang_up_what_waits("killed", world.now, &mut |_| {});
        assert!(world.line.is_ready());
    }

    #[test]
    fn no_order_is_taken_while_there_is_no_way() {
        let mut world = World::connected();
        world.line.follow(Err(Reason::LinkDown));
        assert_eq!((world.order(), world.line.is_ready()), (Err(Reason::LinkDown), false));
    }
}
