//! Exchange protocols: views to read their messages, builders to write them.
//!
//! Pure: bytes in, values out. No I/O, no clock, no thread, and no allocation per message. A view
//! borrows the bytes of a packet, checks once that they are enough, and then reads any field at its
//! fixed offset; a builder owns the bytes of one message and is meant to be kept and changed.
//!
//! * [`wire`]: what fields are made of: integers of either byte order, text, codes, times.
//! * [`null`]: fields that can say that they have no value.
//! * [`price`]: fixed-point prices, exact, with their scale as part of the type.
//! * [`field`](mod@field): the fields of a message as a table, for printers and filters.
//! * [`shape`]: how a field lies in memory, for code that is made for it.
//! * [`blocks`]: messages behind a length of two bytes, which most transports consist of.
//! * [`book`]: books of orders and of price levels, from the messages of a feed.
//! * [`binaryfile`]: BinaryFILE: the messages of a day in a file.
//! * [`eobi`]: Eurex T7 EOBI 13.1: packets and messages.
//! * [`fast`]: FAST 1.1 as far as the sequence number of MICEX' feed.
//! * [`fix`]: FIX 4.2, 4.4, FIXT 1.1: tag=value messages out of a stream, their fields, a builder.
//! * [`generate`]: feeds that nobody recorded, seeded: a market of Nasdaq's size in ITCH 5.0.
//! * [`iex`]: IEX-TP 1.0 (segments, gap-fill requests), TOPS 1.6, DEEP 1.0, DEEP+ 1.0.
//! * [`moldudp64`]: MoldUDP64 1.00: downstream packets and requests.
//! * [`packet`]: one view over the datagrams of every protocol, for what works with all of them.
//! * [`protocol`]: those protocols by name, and the types of their messages.
//! * [`publish`]: messages into the packets of MoldUDP64, with heartbeats, in time.
//! * [`recognise`]: which of them a datagram is of.
//! * [`stream`]: messages out of the two streams of a TCP connection: FIX and SoupBinTCP.
//! * [`soupbintcp`]: SoupBinTCP 3.00: packets of both sides, numbering.
//! * [`sbe`]: Simple Binary Encoding 1.0.
//! * [`mdp3`]: CME MDP 3.0: packets, and the messages that a book is made of.
//! * [`umdf`]: B3 Binary UMDF: packets.
//! * [`entries`]: the entries of a repeating group.
//! * [`itch50`]: Nasdaq TotalView-ITCH 5.0: all 23 messages.
//! * [`hft_tick`] and [`nanonet`]: the fixed messages of two small trading programs.
//! * [`ouch42`] and [`ouch50`]: Nasdaq OUCH 4.2 and 5.0: orders and answers.
//! * [`arbitrate`]: lines A, B, C merged: each message once, from where it came first.
//! * [`recovery`]: asking for what was missed, and answering; messages in order.
//! * [`sequence`]: gaps, duplicates, restarts, ends: did I miss anything?
//!
//! Each protocol is a module that declares its messages as tables of field, offset and type in the
//! words of its specification. Text comes padded, prices stay integers, times keep the
//! exchange's epoch: nothing is converted that the reader did not ask for.
//!
//! Forward compatible: an unknown message type is [`Unknown`](itch50::Message::Unknown), not an
//! error; a message longer than we know it keeps the rest as `rest()`; a code that we do not know
//! is a [`Code`] like any other. Bytes that are too few are an [`Error`] that says of what; so is a
//! transport that contradicts itself.

#![forbid(unsafe_code)]

#[macro_use]
mod message;
#[macro_use]
mod ouch;

pub mod arbitrate;
pub mod binaryfile;
pub mod blocks;
pub mod book;
pub mod entries;
pub mod eobi;
pub mod fast;
pub mod field;
pub mod fix;
pub mod generate;
pub mod hft_tick;
pub mod iex;
pub mod itch50;
pub mod mdp3;
pub mod moldudp64;
pub mod nanonet;
pub mod null;
pub mod ouch42;
pub mod ouch50;
pub mod packet;
pub mod price;
pub mod protocol;
pub mod publish;
pub mod recognise;
pub mod recovery;
pub mod sbe;
pub mod sequence;
pub mod shape;
pub mod soupbintcp;
pub mod stream;
pub mod umdf;
pub mod wire;

mod error;
mod near;
mod xml;

pub use blocks::{Blocks, Sequenced};
pub use error::Error;
pub use field::{Field, Value};
pub use near::near;
pub use null::{Null, OrNull};
pub use packet::{Kind, Message, Packet, Session};
pub use price::{Price, Price4, Price8};
pub use protocol::{MessageType, Protocol};
pub use wire::{Ascii, Big, Code, Float, Little, NulText, Order, SinceMidnight, UnixTime};
