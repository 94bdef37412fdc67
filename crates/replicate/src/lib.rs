//! One feed in, many subscribers out.
//!
//! * `feed`: what is replicated ([`Feed`]).
//! * `subscriber`: who gets copies and how they look ([`Subscriber`]).
//! * `table`: the one place of truth ([`Table`]): add, change, remove, renew, expire, list.
//! * `snapshot`: the table as workers see it ([`View`], [`Snapshot`]), replaced in one step.
//! * [`state`]: the subscribers in a file, over a restart.
//! * `hop`: where copies leave and whom they reach first ([`Path`]).
//! * `datagram`: the UDP datagram in a frame. `index`: its feed.
//! * `merge`: lines of one feed: each message once ([`Merge`]); `cuts`: what is left of datagrams.
//! * `template`: the headers of copies ([`Template`]).
//! * `fan_out`: frames in, frames out ([`FrameFanOut`]).
//! * `datagram_fan_out`: frames in, payloads out, for mode `udp` ([`DatagramFanOut`]).
//! * `senders`: a socket for each subscriber that needs one.
//! * `counts`: the account of each subscriber ([`Counts`]): `offered = copied + Σ discarded`.
//! * [`xdp`]: the same as programs for the kernel, mode `xdp`.
//!
//! Pure: frames and a table in, frames out. No socket, no thread, no clock; the time and the next
//! hops are handed in.

#![forbid(unsafe_code)]

mod address;
mod counts;
mod cuts;
mod datagram;
mod datagram_fan_out;
mod fan_out;
mod feed;
mod hop;
mod index;
mod merge;
mod rules;
mod senders;
mod snapshot;
mod sorter;
pub mod state;
mod subscriber;
mod table;
mod template;
pub mod xdp;

pub use address::parse_address;
pub use counts::{Counts, Gone, Tally};
pub use datagram::{Datagram, Miss, VLAN_TAGS_MAX};
pub use datagram_fan_out::DatagramFanOut;
pub use fan_out::FrameFanOut;
pub use feed::Feed;
pub use hop::{Path, path};
pub use merge::{LINES_MAX, Line, LineMessages, Merge, Merged, Requests};
pub use rules::NAME_BYTES_MAX;
pub use senders::{OPENINGS_PER_TICK_MAX, Open, Passes};
pub use snapshot::{FeedEntry, Snapshot, SubscriberEntry, View};
pub use subscriber::{LEASE_S_MAX, SourceAddress, Subscriber, TTL_DEFAULT, UdpChecksum};
pub use table::{Added, FEEDS_MAX, Listed, SUBSCRIBERS_MAX, Table, TableError};
pub use template::{HEADER_BYTES_MAX, Template};
pub use tickwire_capture::routes::Hop;
pub use tickwire_capture::{DatagramSender, Transmitter};
