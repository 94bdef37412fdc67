//! Private networks for tests, demo and benches.
//!
//! A [`Lab`] is two network namespaces with a veth pair between them. Everything stays inside
//! namespaces that it made itself: both ends of the pair are made *in* them, nothing has a name
//! that the host could see, and nothing survives the process, even after SIGKILL.
//!
//! * [`Namespace`]: a network namespace held by a descriptor.
//! * [`Lab`], [`End`], [`LabConfig`]: two of them and a veth pair, up and quiet.
//! * [`Links`]: interfaces, addresses, neighbours and routes of a namespace.
//! * [`Ethtool`]: offloads and driver counters of an interface.
//! * [`is_root`], [`require_root!`]: whether this process may build a lab.

mod error;
mod ethtool;
mod lab;
mod link;
mod namespace;
mod netlink;
mod root;

pub use error::LabError;
pub use ethtool::{Ethtool, Offload};
pub use lab::{End, Lab, LabConfig};
pub use link::{LinkCounters, LinkState, Links, Mac, VethEnd, VethShape};
pub use namespace::Namespace;
pub use root::{is_root, missing, say_skipped};
