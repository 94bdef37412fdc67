//! How orders reach an exchange over a connection: what is said there, without the connection.
//!
//! * `soup`: OUCH 4.2 and 5.0 over SoupBinTCP ([`SoupSession`]), whose reports `ouch` reads.
//! * [`fix`]: FIX 4.2 and 4.4. `store`: where its numbers outlive the process ([`SequenceStore`]).
//! * `plain`: orders one behind the other, without answers ([`PlainSession`]).
//! * `open_orders`: the orders that are not done; `output`: what is to be sent, both bounded;
//!   `packets`: what came in, whole again; `secret`: passwords.

pub mod fix;
mod open_orders;
mod ouch;
mod output;
pub(crate) mod packets;
mod plain;
mod secret;
mod soup;
mod store;

pub use open_orders::OPEN_ORDERS_MAX;
pub use output::OUTPUT_BYTES_MAX;
pub use plain::PlainSession;
pub use secret::Secret;
pub use soup::{Ouch, SoupCounts, SoupError, SoupSession, SoupSettings};
pub use store::SequenceStore;

use crate::order::{Event, Order, Side};
use std::fmt;
use tickwire_frame::Reason;

/// Why a connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// What happened and, where there is one, the cure: for the log.
    pub why: String,
    /// Whether to connect again, after a while. Not after a rejected login, or a sequence error
    /// that a person has to look at.
    pub reconnect: bool,
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// An order that was open when the process before ended, as far as that one knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The [`Order::number`].
    pub number: u64,
    /// Its symbol, padded with spaces on the right.
    pub symbol: [u8; 8],
    /// Its side.
    pub side: Side,
    /// How many were ordered.
    pub quantity: u32,
    /// How many were executed.
    pub executed: u32,
    /// How many are neither executed nor gone.
    pub left: u32,
    /// Whether the exchange had said anything of it.
    pub is_answered: bool,
}

/// One side of a session over a byte stream: SoupBinTCP, FIX. Bytes and the time in, bytes out.
///
/// What is to be sent gathers in [`output`](Session::output); the transport sends it and says how
/// much went with [`sent`](Session::sent). `now_ns` is nanoseconds since 1970 UTC and may jump.
pub trait Session: Send {
    /// Orders of the process before, by growing numbers, which are below those of this one. Called
    /// once, before the first connection; what became of them is found out like that of any other.
    /// Protocols without answers have none.
    fn resume(&mut self, _orders: &[Resumed]) {}

    /// How many orders of connections before there are of which the exchange has not said yet what
    /// became of them.
    fn uncertain(&self) -> usize {
        0
    }

    /// A connection is there: log in.
    fn connected(&mut self, now_ns: u64);

    /// The connection is gone. What was in [`output`](Session::output) is gone with it, and each
    /// order that may or may not have arrived stays open until the exchange says what became of
    /// it.
    fn disconnected(&mut self, now_ns: u64, event: &mut dyn FnMut(Event));

    /// Bytes came in, cut anywhere.
    ///
    /// # Errors
    /// [`Close`] when the peer broke the protocol or ended the session. What is in
    /// [`output`](Session::output) is sent first, as far as the connection takes it at once: it
    /// tells the peer why.
    fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Close>;

    /// Called at least ten times a second: heartbeats out, heartbeats missed.
    ///
    /// # Errors
    /// [`Close`] when the peer has been silent for too long.
    fn tick(&mut self, now_ns: u64) -> Result<(), Close>;

    /// Writes an order behind what is to be sent. Allocates nothing.
    ///
    /// # Errors
    /// [`Reason::NotConnected`] while nobody is logged in, [`Reason::OutputQueueFull`] while the
    /// peer does not take what was sent before, [`Reason::InFlightMax`] while as many orders are
    /// open as the session can follow, [`Reason::NotRepresentable`] when the format cannot hold it.
    fn order(&mut self, order: &Order) -> Result<(), Reason>;

    /// Whether orders can be sent now.
    fn is_ready(&self) -> bool;

    /// Ends it in good order: logout, or cancel on disconnect where the protocol has it.
    fn logout(&mut self, now_ns: u64);

    /// What is to be sent.
    fn output(&self) -> &[u8];

    /// The first `bytes` of it went.
    fn sent(&mut self, bytes: usize);
}
