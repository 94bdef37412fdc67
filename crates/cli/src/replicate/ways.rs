//! The interfaces that copies can leave by in mode `af_xdp`: those that were opened at the start.
//!
//! The routes may lead elsewhere later, with a subscriber behind another interface, or one that was
//! deleted and made again. That must be seen where people look: in the state of the subscriber, and
//! once on standard error.

use super::frames::FramePort;
use std::collections::BTreeSet;
use tickwire_frame::Reason;
use tickwire_replicate::{Path, Subscriber};

/// Notices at most; of other subscribers only their state tells.
const NOTICES_MAX: usize = 1000;

/// What is open to send on.
#[derive(Debug, Default)]
pub struct Ways {
    /// Indices of interfaces; `None` when copies can leave by any.
    open: Option<BTreeSet<u32>>,
    /// Indices of those of which it was said that they are not open.
    told: BTreeSet<u32>,
    notices: Vec<String>,
}

impl Ways {
    /// Those of the workers of mode `af_xdp`; any when there are none.
    pub fn of(ports: &[FramePort]) -> Ways {
        let open = ports.iter().flat_map(|port| &port.ways).map(|(ifindex, _)| *ifindex);
        Ways { open: (!ports.is_empty()).then(|| open.collect()), ..Ways::default() }
    }

    /// `path` of `subscriber`, unless it leads out of an interface that is not open.
    pub fn only(&mut self, path: Path, subscriber: &Subscriber) -> Path {
        let hop = path?;
        match &self.open {
            Some(open) if !open.contains(&hop.ifindex) => {
                if self.told.len() < NOTICES_MAX && self.told.insert(hop.ifindex) {
                    self.notices.push(format!(
                        "subscriber {} is behind an interface (index {}, see `ip link`) that mode \
                         af_xdp did not open at the start: its copies count as no_egress; start \
                         again, or name a subscriber there from the start",
                        subscriber.address, hop.ifindex
                    ));
                }
                Err(Reason::NoEgress)
            }
            _ => Ok(hop),
        }
    }

    /// What is new and should be said.
    pub fn take_notices(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(&mut self.notices).into_iter()
    }
}
