//! Mode `xdp`: the whole fan-out as programs for the kernel.
//!
//! ```text
//! wire ─▶ ingress ─▶ device map of the feed ─▶ dispatcher ┬▶ egress of subscriber 1 ─▶ wire
//!            │          as many entries as subscribers    ├▶ egress of subscriber 2 ─▶ wire
//!            └▶ all else: to the host                     └▶ egress of subscriber 3: no
//!                                                            neighbour: counted, dropped
//! ```
//!
//! * [`ingress`](ingress()) finds the feed of a frame, runs its filter, counts, and broadcasts the
//!   frame to the entries of the feed's device map (`BPF_MAP_TYPE_DEVMAP_HASH`, `BPF_F_BROADCAST`).
//! * [`dispatch`](dispatch()) is the program of all entries of one interface (`BPF_XDP_DEVMAP`):
//!   it finds out whose copy this is and goes on in that subscriber's program.
//! * [`egress`](egress()) is one program for each subscriber: it runs the subscriber's filter on
//!   the frame as received, puts the subscriber's headers in the place of those that are there, and
//!   counts.
//!
//! A copy is byte for byte what [`FrameFanOut`](crate::FrameFanOut) makes of the same frame, and is
//! counted alike. A checksum that was left to hardware
//! ([`Datagram::partial`](crate::Datagram::partial)) is filled in by [`ingress`](ingress()), once
//! for all copies: nothing goes another way, so that nothing is overtaken.
//!
//! Pure: code out of a table. Maps, loading and attaching are the business of whoever has the
//! descriptors.

mod checksum;
mod counters;
mod dispatch;
mod egress;
mod headers;
mod ingress;
mod sent;
mod stamp;

pub use counters::{
    ACCOUNT_BYTES, COPIED, Counters, FIRST_STAMP, LAST_STAMP, SLOT_REASONS, SLOTS, counts,
};
pub use dispatch::{Dispatch, STATE_BYTES, dispatch, place};
pub use egress::egress;
pub use ingress::{FRAME_BYTES_MAX, IngressFeed, frame_bytes_max, ingress};
pub use sent::{Books, LIST_BYTES, TRACEPOINT, settle};
pub use stamp::{stamp, unseen};

use std::os::fd::RawFd;
use tickwire_filter::ebpf::Xdp;

/// A filter as part of a program, with the maps of its tables.
#[derive(Clone, Copy, Debug)]
pub struct KernelFilter<'a> {
    /// The whole filter ([`Filter::xdp`](tickwire_filter::Filter::xdp)), not a part of it.
    pub xdp: &'a Xdp,
    /// One descriptor for each of its [tables](Xdp::tables).
    pub tables: &'a [RawFd],
}
