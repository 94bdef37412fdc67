//! One feed in, many subscribers out.
//!
//! * `feed`: what is replicated ([`Feed`]).
//! * `subscriber`: who gets copies and how they look ([`Subscriber`]).
//! * `table`: the one place of truth ([`Table`]): add, change, remove, renew, expire, list.
//! * `snapshot`: the table as workers see it ([`View`], [`Snapshot`]), replaced in one step.
//! * `hop`: where copies leave and whom they reach first ([`Hop`]).
//! * `counts`: the account of each subscriber ([`Counts`]): `offered = copied + Σ discarded`.
//!
//! Pure: frames and a table in, frames out. No socket, no thread, no clock; the time and the next
//! hops are handed in.

#![forbid(unsafe_code)]

mod address;
mod counts;
mod feed;
mod hop;
mod rules;
mod snapshot;
mod subscriber;
mod table;

pub use address::parse_address;
pub use counts::{Counts, Tally};
pub use feed::Feed;
pub use hop::{Hop, Path};
pub use rules::NAME_BYTES_MAX;
pub use snapshot::{FeedEntry, Snapshot, SubscriberEntry, View};
pub use subscriber::{LEASE_S_MAX, SourceAddress, Subscriber, TTL_DEFAULT, UdpChecksum};
pub use table::{Added, FEEDS_MAX, Listed, SUBSCRIBERS_MAX, Table, TableError};
