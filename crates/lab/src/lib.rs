//! Private networks for tests, demo and benches.
//!
//! A [`Lab`] is two network namespaces with a veth pair between them. Everything stays inside
//! namespaces that it made itself: both ends of the pair are made *in* them, nothing has a name
//! that the host could see, and nothing survives the process, even after SIGKILL.
//!
//! Ten thousand numbered packets, each accounted for:
//!
//! ```no_run
//! use std::time::Duration;
//! use tickwire_lab::{Checker, Lab, Numbered, Schedule, UdpReceiver, send_packet};
//!
//! let lab = Lab::new()?;
//! let packets = Numbered { flows: 4, ..Numbered::between(&lab.left, &lab.right) };
//! let receiver = UdpReceiver::bind(&lab.right, lab.right.ipv4(), packets.port)?;
//! let mut checker = Checker::new(10_000);
//! let schedule = Schedule::paced(10_000, 50_000.0);
//! let found = std::thread::scope(|scope| {
//!     let sender = scope.spawn(|| send_packet(&lab.left, &packets, &schedule));
//!     let found = receiver.receive(&mut checker, 10_000, Duration::from_secs(5));
//!     let sent = sender.join().expect("a sender does not panic")?;
//!     println!("{sent}");
//!     found
//! })?;
//! println!("{found}");
//! assert!(found.is_perfect());
//! # Ok::<(), tickwire_lab::LabError>(())
//! ```
//!
//! * [`Namespace`]: a network namespace held by a descriptor.
//! * [`Lab`], [`End`], [`LabConfig`]: two of them and a veth pair, up and quiet.
//! * [`Tap`]: an interface whose queue is full.
//! * [`Links`]: interfaces, addresses, neighbours and routes of a namespace.
//! * [`Ethtool`]: offloads and driver counters of an interface.
//! * [`Numbered`], [`Template`], [`Number`]: packets with a sequence number and a time;
//!   [`Message`]: what their payload says.
//! * [`send_udp`], [`send_packet`], [`send_port`], [`send_live`]: senders, as a [`Schedule`] says.
//! * [`DropCounter`], [`UdpReceiver`], [`Checker`]: receivers, and what they find;
//!   [`CopyReceiver`]: all subscribers of a feed at once.
//! * [`cpu`]: cores, and the time spent there.
//! * [`is_root`], [`require_root!`]: whether this process may build a lab.

mod checker;
pub mod cpu;
mod error;
mod ethtool;
mod lab;
mod link;
mod message;
mod namespace;
mod netlink;
mod numbered;
mod receive;
mod root;
mod send;
mod tap;

pub use checker::{CheckReport, Checker};
pub use error::LabError;
pub use ethtool::{Ethtool, Offload};
pub use lab::{End, Lab, LabConfig};
pub use link::{LinkCounters, LinkState, Links, Mac, VethEnd, VethShape};
pub use message::{
    MAGIC, Message, NUMBER_BYTES, TICK_NUMBERS, TICK_SYMBOL, TRADE_BYTES, TRADE_NUMBERS,
};
pub use namespace::Namespace;
pub use numbered::{FLOWS_MAX, FRAME_BYTES_MAX, Number, Numbered, SOURCE_PORT_FIRST, Template};
pub use receive::{Copies, CopiesReport, CopyReceiver, DropCounter, UdpReceiver};
pub use root::{is_root, missing, say_skipped};
pub use send::{Schedule, SenderReport, send_live, send_packet, send_port, send_udp};
pub use tap::Tap;
