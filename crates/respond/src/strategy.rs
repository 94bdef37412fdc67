//! Who decides what to send.

use crate::order::Intent;
use tickwire_market::{Message, Protocol};

/// A message of a feed, as a strategy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// The feed: its place in the configuration.
    pub feed: u16,
    /// What the feed speaks.
    pub protocol: Protocol,
    /// The instrument: its place in the configuration's list.
    pub instrument: u32,
    /// The bytes of the message, which may be cut or longer than its specification says.
    pub message: &'a [u8],
    /// When its frame was received, in nanoseconds since 1970 UTC.
    pub received_ns: u64,
}

/// Decides whether a message is worth an order. The rules of a configuration are one; write your
/// own where they do not suffice. Checks come after it, whatever it wants.
pub trait Strategy: Send {
    /// At most one order for a message. Called for every message of an instrument that is known.
    /// Must not block, allocate or panic.
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent>;
}

impl<S: Strategy + ?Sized> Strategy for Box<S> {
    fn decide(&mut self, tick: &Tick<'_>) -> Option<Intent> {
        (**self).decide(tick)
    }
}

/// What is known of the instruments: whose message it is, and what prices are held against.
pub trait Market: Send {
    /// A message of a feed, in order, each once; the instrument that it is about, if that is
    /// configured. Must not block, allocate or panic.
    fn apply(&mut self, feed: u16, message: &Message<'_>) -> Option<u32>;

    /// What the price of an order is held against: the last trade, or the middle of the book, with
    /// the last message in it; in units of the [`Scale`](crate::Scale). `None` while there is
    /// none.
    fn reference(&self, instrument: u32) -> Option<i64>;
}
