//! Simple Binary Encoding 1.0 (FIX Trading Community, *Simple Binary Encoding*, 1.0).
//!
//! A message is a header, a root block of fields at fixed offsets, repeating groups of such blocks,
//! and data of variable length. [`MessageHeader`] is the header that CME, B3 and most others use.
//! A later version of a schema may append fields to any block, which is why every block says its
//! length: it is skipped by that, never by what we know of it.

mod packet;

pub use packet::{MessageHeader, MessageHeaderBuilder};

pub(crate) use packet::{Frames, Framing, PacketWriter};
