//! Sequence numbers: did I miss anything?
//!
//! [`Tracker`] follows the numbers of one feed on one line; two or three lines are merged by
//! [`arbitrate`](crate::arbitrate), which is made of the same parts. Numbers go in, packet by
//! packet, with the time at which they came; out come, for each packet, which of its messages are
//! new, and now and then an [`Event`]: a gap, what filled it, a restart, another session. Nothing
//! is read but numbers, nothing waits, and after a session has begun nothing is allocated.
//!
//! # What is told apart
//!
//! * A **gap** opens when a later number comes ([`Cause::Message`]), when a heartbeat or the end of
//!   the session names a later one (tail loss: [`Cause::Heartbeat`], [`Cause::End`]), at the
//!   beginning of a session ([`Cause::Beginning`]) and when a restart is believed
//!   ([`Cause::Restart`]).
//! * Numbers of a gap that come after all **fill** it: late on the same line, from another line, or
//!   as an answer to a request ([`How`]).
//! * Numbers below the next one that are not missing are **duplicates**, or, of gaps that were lost
//!   and from before the first packet, **too late**.
//! * A **break** is a packet that cannot continue the stream: more than [`Rules::jump_max`] ahead,
//!   or back at the beginning (at most [`Rules::restart_first_max`]) with nothing that is missing.
//!   One such packet may be damaged, or an old one sent again; so it changes nothing until
//!   [`Rules::confirm_packets`] of them continue each other and no packet continued the old stream
//!   in between. Then the stream **jumps** there, or has **restarted**: numbers begin again, and
//!   what was open of the old ones is lost. The packets before the one that confirmed it had been
//!   refused or taken for duplicates, and their messages not passed on: what they carried is a gap
//!   like any other. Who only counts ([`Rules::only_counts`]) counts them as received after all.
//!   Where the first packet of a restart was lost, it takes [`Rules::restart_packets`].
//! * Numbers do not wrap: 64 bits are never used up, and no protocol here lets narrower ones run
//!   over within a session. A packet that would is refused.
//!
//! # What is stale
//!
//! A feed is stale while a gap is open ([`Stream::is_stale`]): any instrument may have changed in
//! it. When it is filled, all are fresh. When it is given up or can never be filled, the feed goes
//! on, and each instrument stays stale until its whole state is known from a later message
//! ([`Freshness`]).

mod counts;
mod events;
mod freshness;
mod ranges;
mod sessions;
mod stream;
mod tracker;

pub use counts::Counts;
pub(crate) use events::Log;
pub use events::{Cause, Event, Gap, How, What, Why};
pub use freshness::Freshness;
pub use ranges::Range;
pub(crate) use ranges::Ranges;
pub(crate) use sessions::Sessions;
pub(crate) use stream::Arrival;
pub use stream::Stream;
pub use tracker::Tracker;

use crate::packet::{self, Packet};

/// What a packet says of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers<S> {
    /// What the numbers are numbers in.
    pub session: S,
    /// The number of its first message; of a heartbeat or an end, the next one to be sent.
    pub first: u64,
    /// How many messages it has that can be read: those behind a cut are missed. 0 in a heartbeat
    /// and an end.
    pub count: u32,
    /// Whether it ends the session.
    pub ends: bool,
}

impl Numbers<packet::Session> {
    /// Of a datagram of any protocol; `None` when it is no part of the stream. Counts the messages
    /// that it says to have: when some cannot be read, correct the count.
    #[inline]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let ends = match packet.kind() {
            packet::Kind::Messages | packet::Kind::Heartbeat => false,
            packet::Kind::End => true,
            _ => return None,
        };
        let (session, first, count) = (packet.session(), packet.first(), packet.count());
        Some(Numbers { session, first, count, ends })
    }
}

/// Which messages of a packet are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// All of them. Also said of heartbeats and ends that are not out of date.
    All,
    /// None of them: the packet can be dropped.
    None,
    /// Some: `fresh` of whoever said so has their numbers.
    Some,
}

impl New {
    /// `new` of `count` messages, of a packet that may be dropped when none is.
    fn of(new: u64, count: u64) -> Self {
        match new {
            0 => New::None,
            new if new == count => New::All,
            _ => New::Some,
        }
    }
}

/// What is a gap, a duplicate and a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The number that a session begins with.
    pub first: u64,
    /// Whether the messages before the first packet are missed, from [`first`](Self::first) on.
    /// Otherwise one may join at any number. A session that follows another has been seen from
    /// its beginning, and is always expected from `first` on, unless it comes more than
    /// [`early_max`](Self::early_max) messages later.
    pub from_first: bool,
    /// How many messages before the first one seen may still come, of a stream that is as young:
    /// packets that were overtaken while one joined. Older ones are too late.
    pub early_max: u64,
    /// How far ahead, in messages, a packet is believed at once.
    pub jump_max: u64,
    /// The highest number that a restart begins with; `None`: a stream never restarts.
    pub restart_first_max: Option<u64>,
    /// How many packets must continue each other before a break is believed; 0: it never is.
    pub confirm_packets: u32,
    /// The same for a restart that does not show its beginning, whose first packets were lost:
    /// old packets in order, and nothing else. 0: it is never believed.
    pub restart_packets: u32,
    /// Whether nobody passes messages on: then the packets that made a break believed have come,
    /// and no gap is left where they were.
    pub only_counts: bool,
    /// The most open gaps of a session: one more, and the oldest is lost ([`Why::Overflow`]).
    pub gaps_max: usize,
    /// The most sessions that are followed at the same time: one more, and that which has been
    /// silent for longest is forgotten.
    pub sessions_max: usize,
}

impl Rules {
    /// Whether a session whose first packet begins with `first` is expected from its first number.
    pub(crate) fn begins_with_first(&self, first: u64, follows: bool) -> bool {
        let near = first.saturating_sub(self.first) <= self.early_max;
        self.from_first || follows && near
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            first: 1,
            from_first: false,
            early_max: 1_024,
            jump_max: 100_000_000,
            restart_first_max: Some(1),
            confirm_packets: 4,
            restart_packets: 64,
            only_counts: false,
            gaps_max: 1_024,
            sessions_max: 8,
        }
    }
}
