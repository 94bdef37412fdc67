//! Who decides what to send.

use crate::level1::Level1;
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
    /// The number of the message; 0 where messages have none.
    pub sequence: u64,
    /// Whether nothing of the feed is missing.
    pub fresh: bool,
    /// The bytes of the message: at least as many as its specification says.
    pub message: &'a [u8],
    /// The market of the instrument as the feed tells it, with this message in it.
    pub market: &'a Level1,
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
/// [`Markets`](crate::Markets) is what a configuration needs.
pub trait Market: Send {
    /// A message of a feed, in order, each once; the instrument that it is about, if that is
    /// configured and the message is whole. Must not block, allocate or panic.
    fn apply(&mut self, feed: u16, message: &Message<'_>) -> Option<u32>;

    /// The market of an instrument as a feed tells it, with the last message in it; `None` when
    /// there is no such feed or instrument.
    fn level1(&self, feed: u16, instrument: u32) -> Option<&Level1>;

    /// Messages of a feed were lost: what was made of all of them is not known any more.
    fn lost(&mut self, feed: u16);
}
