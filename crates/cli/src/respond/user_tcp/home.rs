//! Which targets can be spoken with in user space, and through the workers of which interface.

use crate::exit::Failure;
use crate::respond::args::{ModeChoice, RunArgs};
use crate::respond::ingress;
use tickwire_capture::routes::{Hop, NextHop};
use tickwire_frame::Reason;
use tickwire_replicate::{Path, path};
use tickwire_respond::config::{Config, Feed, Stack, Target, Transport};

/// A target that is spoken with in user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The number of the target.
    pub target: u16,
    /// The interface whose workers decide on its orders, and speak with it.
    pub interface: String,
}

/// All targets with `stack = "user"`, as far as can be told without a network.
///
/// # Errors
/// A target that cannot have it, why, and what to do.
pub fn homes(config: &Config, args: &RunArgs) -> Result<Vec<Home>, Failure> {
    let targets = (0..).zip(&config.targets).filter(|(_, target)| target.stack == Stack::User);
    targets
        .map(|(number, target)| {
            let interface = home(config, args, number, target).map_err(|why| {
                let name = &target.name;
                Failure::Failed(format!("target {name}: {why}, or use stack = \"kernel\""))
            })?;
            Ok(Home { target: number, interface })
        })
        .collect()
}

fn home(config: &Config, args: &RunArgs, number: u16, target: &Target) -> Result<String, String> {
    if args.mode == ModeChoice::Udp {
        return Err("stack = \"user\" needs mode af_xdp: leave out --mode udp".to_owned());
    }
    let rules = config.rules.iter().filter(|rule| rule.target == number);
    let mut feeds: Vec<&Feed> = rules.map(|rule| &config.feeds[usize::from(rule.feed)]).collect();
    if let Some(feed) = feeds.iter().find(|feed| feed.transport == Transport::Tcp) {
        return Err(format!(
            "stack = \"user\" is spoken by the workers of an AF_XDP port, and orders of feed {} \
             are decided elsewhere, because it comes over TCP: send that one to another target",
            feed.name
        ));
    }
    if feeds.is_empty() {
        feeds = config.feeds.iter().filter(|feed| feed.transport == Transport::Udp).collect();
    }
    let mut names: Vec<&str> =
        feeds.iter().filter_map(|feed| ingress::interface(feed, args)).collect();
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(format!(
            "stack = \"user\" is spoken by the workers of an AF_XDP port, and no feed of {} has \
             one: give a feed over UDP an interface, or all with -i",
            target.name
        )),
        _ => Err(format!(
            "stack = \"user\" is spoken by the workers of one interface, and its orders are \
             decided on {}: make a target for each",
            names.join(" and ")
        )),
    }
}

/// The way to a target by the interface with the index `home`, or why there is none.
pub fn way_home(next: &NextHop, home: Option<u32>) -> Path {
    path(next).and_then(|hop| match home {
        Some(home) if home == hop.ifindex => Ok(hop),
        _ => Err(Reason::NoEgress),
    })
}

/// Why a target whose next hop is `next` cannot be spoken with by the workers of the interface
/// `home`, which has the index `ifindex`; none when it can, or may be able to later.
pub fn refusal(next: &NextHop, home: &str, ifindex: Option<u32>) -> Option<String> {
    let elsewhere = |index: u32| ifindex != Some(index);
    let why = match next {
        NextHop::Local => "it is an address of this machine, for which no frame leaves".to_owned(),
        NextHop::Refused { why, .. } => format!("no frames lead there: {why}"),
        NextHop::Resolved(Hop { ifindex: index, .. })
        | NextHop::Unresolved { ifindex: index, .. }
            if elsewhere(*index) =>
        {
            format!(
                "the route there does not lead by {home}, whose workers decide on its orders (see \
                 `ip route get`)"
            )
        }
        _ => return None,
    };
    Some(format!("stack = \"user\": {why}; or use stack = \"kernel\""))
}
