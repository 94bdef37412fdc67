//! Where the copies of a subscriber leave and whom they reach first.

use tickwire_capture::routes::{Hop, NextHop};
use tickwire_frame::Reason;

/// The next hop of a subscriber as routes and neighbours have it now, or why there is none: each
/// datagram for the subscriber is counted under that reason then.
pub type Path = Result<Hop, Reason>;

/// What the answer of [`Routes`](tickwire_capture::routes::Routes) means for a subscriber.
pub fn path(next: &NextHop) -> Path {
    match next {
        NextHop::Resolved(hop) => Ok(*hop),
        NextHop::Unresolved { .. } => Err(Reason::NoNeighbour),
        NextHop::LinkDown { .. } => Err(Reason::LinkDown),
        NextHop::NoRoute => Err(Reason::NoRoute),
        // There is a way, but not for frames: sockets (mode `udp`) reach it.
        NextHop::Local | NextHop::Refused { .. } => Err(Reason::NoEgress),
    }
}
