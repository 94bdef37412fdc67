//! Messages out of the two streams of a TCP connection: FIX, and OUCH or ITCH over SoupBinTCP.
//!
//! Bytes in, in order, as TCP cut them; out come the same [`Packet`]s that datagrams are, one a
//! message, so that whatever works with feeds works with them. Who puts segments in order (and
//! finds what is missing) is not here, and neither are clocks and sockets.
//!
//! * [`Connection`]: both directions, what they say of each other, and what numbers messages have.
//! * [`recognise`]: what a connection is, by its first bytes.
//!
//! # Numbers
//!
//! FIX messages have numbers in a session of each direction, which outlives connections
//! ([`Sessions`]). SoupBinTCP says the number of the next message of the server at login, and then
//! everybody counts: behind a hole in the stream numbers are not known until the next login, and
//! messages have none. What a client sends has none at all.
//!
//! # Behind a hole
//!
//! The message that the hole cut is [`Item::Truncated`]; bytes are [`Item::Skipped`] up to the next
//! place where a message begins. In FIX that is `8=FIX` where a whole message follows. In
//! SoupBinTCP it is where packets of known types and right lengths follow each other: three of
//! them, or up to the end of what is there.

mod connection;
mod framer;
mod recognise;
mod soup;

pub use crate::fix::Sessions;
pub use connection::Connection;
pub use recognise::{Verdict, recognise, recognise_at_last};

use crate::packet::Packet;

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From the one end, whichever the caller says, to the other.
    Forth,
    /// From the other end to the one.
    Back,
}

impl Way {
    /// The other direction.
    pub fn other(self) -> Way {
        match self {
            Way::Forth => Way::Back,
            Way::Back => Way::Forth,
        }
    }
}

/// What there is in a stream.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// A message, or a packet of SoupBinTCP without one.
    Packet(Packet<'a>),
    /// What should be a message and cannot be read: garbled in FIX, a packet of SoupBinTCP of an
    /// unknown type or too short for its type.
    Malformed,
    /// A message whose end is missing.
    Truncated,
    /// So many bytes were left out to find the next message.
    Skipped(u64),
}
