//! The shared words of tickwire: what a packet is while it travels through the engine, and how it
//! is accounted for.
//!
//! * [`Frame`]: the bytes of one packet and what we know of it; it borrows, it never owns.
//! * [`Batch`]: up to 64 frames on loan from a port, pointers and lengths in arrays.
//! * [`Mask`]: one bit a frame, so that a whole batch of verdicts is one machine word.
//! * [`Timestamp`]: nanoseconds since the Unix epoch.
//! * [`LinkType`]: what the first byte of a frame means (the numbers of pcap's `LINKTYPE_` list).
//! * [`Reason`]: why a frame was discarded, or how it is malformed.
//! * [`Counters`] and [`Ledger`]: `received = delivered + Σ discarded[reason]`, always.
//!
//! Nothing in here does I/O, reads a clock, or allocates.

#![forbid(unsafe_code)]

mod batch;
mod ledger;
mod link;
mod mask;
mod reason;
mod timestamp;

pub use batch::{Batch, FRAMES_MAX, Flags, Frame};
pub use ledger::{Counters, Ledger};
pub use link::LinkType;
pub use mask::Mask;
pub use reason::{Kind, Reason};
pub use timestamp::Timestamp;
