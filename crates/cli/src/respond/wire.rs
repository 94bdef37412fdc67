//! A connection to a target: the session that is spoken on it, and what carries its bytes.
//!
//! The worker that decides writes orders at once, without waiting; whoever holds the connection
//! reads, connects again, and keeps the session alive: a thread ([`super::dial`]) with a socket of
//! the kernel, the worker itself with a connection of ours ([`super::user_tcp`]).

use std::fmt;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use tickwire_respond::{Close, Event, Order, Session};

/// A session, and the connection that it is spoken on when there is one.
pub struct Wire<S = TcpStream> {
    session: Box<dyn Session>,
    stream: Option<S>,
    /// Why the last connection ended, until another one is there.
    pub down: Option<String>,
}

impl<S: fmt::Debug> fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("stream", &self.stream)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

impl<S: Write> Wire<S> {
    /// Not connected.
    pub fn new(session: Box<dyn Session>) -> Wire<S> {
        Wire { session, stream: None, down: Some("not connected yet".to_owned()) }
    }

    /// A connection is there: log in.
    ///
    /// # Errors
    /// That it broke at once.
    pub fn connected(&mut self, stream: S, now_ns: u64) -> Result<(), Close> {
        self.stream = Some(stream);
        self.down = None;
        self.session.connected(now_ns);
        self.flush()
    }

    /// Ends the connection, which is spoken on no more; what carried it, to be closed.
    pub fn disconnected(
        &mut self,
        why: &str,
        now_ns: u64,
        event: &mut dyn FnMut(Event),
    ) -> Option<S> {
        let stream = self.stream.take();
        if stream.is_some() {
            self.session.disconnected(now_ns, event);
        }
        self.down = Some(why.to_owned());
        stream
    }

    /// What carries it now.
    pub fn stream(&mut self) -> Option<&mut S> {
        self.stream.as_mut()
    }

    /// Bytes came.
    ///
    /// # Errors
    /// Why the connection has to end.
    pub fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Close> {
        let received = self.session.received(bytes, now_ns, event);
        // What the session answers, such as a logout, goes out also before it closes.
        let flushed = self.flush();
        received.and(flushed)
    }

    /// Heartbeats.
    ///
    /// # Errors
    /// Why the connection has to end.
    pub fn tick(&mut self, now_ns: u64) -> Result<(), Close> {
        let ticked = self.session.tick(now_ns);
        let flushed = self.flush();
        ticked.and(flushed)
    }

    /// Writes an order behind what is to be sent.
    ///
    /// # Errors
    /// What the session refuses.
    #[inline]
    pub fn order(&mut self, order: &Order) -> Result<(), tickwire_frame::Reason> {
        self.session.order(order)
    }

    /// Whether orders can be sent.
    pub fn is_ready(&self) -> bool {
        self.stream.is_some() && self.session.is_ready()
    }

    /// Orders of connections before of which it is not known what became of them.
    pub fn uncertain(&self) -> usize {
        self.session.uncertain()
    }

    /// Whether there is something that the connection did not take yet.
    pub fn is_waiting(&self) -> bool {
        self.stream.is_some() && !self.session.output().is_empty()
    }

    /// Ends the session in good order.
    pub fn logout(&mut self, now_ns: u64) {
        self.session.logout(now_ns);
        // The peer may have gone already.
        let _ = self.flush();
    }

    /// Sends what the connection takes now; never waits.
    ///
    /// # Errors
    /// That it broke.
    #[inline]
    pub fn flush(&mut self) -> Result<(), Close> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while !self.session.output().is_empty() {
            match stream.write(self.session.output()) {
                Ok(0) => return Err(broken("the peer takes nothing more")),
                Ok(written) => self.session.sent(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
        Ok(())
    }
}

/// The connection, not the session, ended.
pub fn broken(why: &str) -> Close {
    Close { why: why.to_owned(), reconnect: true }
}
