//! The log of decisions: off the path of a packet, on a thread of its own.
//!
//! The worker puts records into a ring and never waits; this thread writes them. When the ring or
//! the disk is full, records are lost, counted, and the file says where.
//!
//! * `writer`: the thread, the file, its rotation. `show`: `tickwire respond audit FILE`.

mod show;
mod writer;

pub use show::{AuditArgs, show};
pub use writer::{Audit, AuditSettings, Recorder};
