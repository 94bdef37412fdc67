//! Where a packet to an address has to go next: interface, link-layer addresses, MTU.
//!
//! For jobs that write whole frames themselves, and so need what the kernel's stack otherwise
//! fills in. The kernel decides: each lookup asks it for the route (policy rules, metrics and
//! several tables included), and the neighbour is the one of its own ARP or neighbour discovery
//! table. Changes are followed through rtnetlink(7).
//!
//! ```no_run
//! use tickwire_capture::routes::{NextHop, Routes};
//!
//! let mut routes = Routes::open()?;
//! let subscriber = "10.1.2.3".parse()?;
//! loop {
//!     match routes.lookup(subscriber, None)? {
//!         NextHop::Resolved(hop) => {
//!             println!("by interface {} to {:02x?}", hop.ifindex, hop.destination_mac)
//!         }
//!         other => println!("{other}"),
//!     }
//!     while !routes.update()? {
//!         std::thread::sleep(std::time::Duration::from_millis(100));
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A neighbour that is not known is asked for by the kernel itself (`NTF_USE`): nothing but ARP
//! (RFC 826) or neighbour discovery (RFC 4861) goes out, never a datagram to whoever is there. It
//! is kept fresh for as long as somebody looks it up. Nothing of ours stays behind in the
//! kernel: no entry is made permanent or managed, and those that somebody else made so are left
//! as they are.
//!
//! Never on the path of a packet: a lookup is a system call or two (some 10 µs).

mod hop;
mod neighbours;
mod route;
mod table;

pub use hop::{Hop, Mac, NextHop, Refusal, Vlan, group_mac};
pub use neighbours::{WANTED_MAX, WANTED_MS_MAX};
pub use table::Routes;
