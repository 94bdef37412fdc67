//! `--join`: multicast groups whose members we are for as long as the capture runs.

use super::args::Group;
use crate::exit::{Failure, say};
use std::time::{Duration, Instant};
use tickwire_capture::multicast::Membership;

/// How often it is checked that the interface is still the one that has the memberships.
const FOLLOW_MS: u64 = 1000;

/// The groups that are joined; dropping them leaves the groups.
#[derive(Debug)]
pub struct Memberships {
    joined: Vec<Membership>,
    checked: Instant,
}

impl Memberships {
    /// Joins `groups` on an interface.
    pub fn join(interface: Option<&str>, groups: &[Group]) -> Result<Self, Failure> {
        let interface = interface.unwrap_or_default();
        let joined = groups.iter().map(|wanted| {
            Membership::join(interface, wanted.group, wanted.source).map_err(Failure::failed)
        });
        Ok(Memberships::new(joined.collect::<Result<_, _>>()?))
    }

    /// Those that are joined already.
    pub fn new(joined: Vec<Membership>) -> Self {
        Memberships { joined, checked: Instant::now() }
    }

    /// About once a second: joins again what ended with its interface.
    pub fn follow(&mut self) {
        if self.checked.elapsed() < Duration::from_millis(FOLLOW_MS) {
            return;
        }
        self.checked = Instant::now();
        for membership in &mut self.joined {
            match membership.follow() {
                Ok(false) => {}
                Ok(true) => {
                    say(format_args!("tickwire: joined {} again\n", membership.group()));
                }
                Err(error) => say(format_args!("tickwire: {error}\n")),
            }
        }
    }
}
