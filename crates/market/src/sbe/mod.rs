//! Simple Binary Encoding 1.0 (FIX Trading Community, *Simple Binary Encoding*, 1.0).
//!
//! A message is a header, a root block of fields at fixed offsets, repeating groups of such blocks,
//! and data of variable length. [`MessageHeader`] is the header that CME, B3 and most others use.
//! A later version of a schema may append fields to any block, which is why every block says its
//! length: it is skipped by that, never by what we know of it.
//!
//! [`Schema::parse`] compiles a schema file into tables once; [`Schema::decode`] then reads any
//! message of it without looking at a name and without allocating. To read one field of many
//! messages, find it once, by [`Body::field`](schema::Body::field), and ask each block for its
//! value. To print a message, [walk](Message::walk) over it. A composite of a mantissa and a
//! constant exponent is one price, one of nanoseconds one time; of every other composite, and of
//! arrays of numbers, each element is a field.
//!
//! A field that the version of a message does not have is not there, which is something other
//! than [`Value::Null`](crate::Value::Null). Unknown schemas and templates are
//! [`Decoded::Unknown`]; unknown values of enums are values without a name.

mod compile;
mod packet;
mod primitive;
mod read;
pub mod schema;
mod types;
mod write;

pub use crate::xml::XmlError;
pub use packet::{MessageHeader, MessageHeaderBuilder};
pub use primitive::Primitive;
pub use read::{Block, Decoded, EMPTY_ENTRIES_MAX, Entries, GROUPS_DEEP_MAX, Item, Message, Path};
pub use schema::Schema;
pub use write::{WriteError, Writer};

pub(crate) use packet::{Frames, Framing, PacketWriter};
