//! The way of whole frames: the interface, and the addresses that have to be in them.
//!
//! The kernel is asked for both, as it would send a datagram itself; so a neighbour is resolved by
//! ARP or neighbour discovery, and never by a stray datagram. What the flags give is not asked.

use super::args::{OutletArgs, Source};
use crate::exit::Failure;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tickwire_capture::interfaces::{self, Interface};
use tickwire_capture::routes::{Hop, NextHop, Routes, group_mac};
use tickwire_lab::Mac;

/// How long a neighbour may take to answer.
const ANSWER_MS_MAX: u64 = 2000;
/// Pause between two looks whether it has.
const ANSWER_POLL_MS: u64 = 10;

/// The way to a destination.
#[derive(Clone, Debug)]
pub struct Way {
    /// The interface that takes the frames.
    pub interface: String,
    /// Longest packet in bytes, from the IP header on.
    pub mtu: u32,
    /// Source and destination link-layer address.
    pub macs: (Mac, Mac),
    /// The VLAN of the frames, if they have one.
    pub vlan: Option<u16>,
    /// Source address.
    pub source: IpAddr,
}

impl Way {
    /// Finds the way to `to`, by what the flags say first.
    pub fn find(args: &OutletArgs, to: IpAddr) -> Result<Way, Failure> {
        if let Some(Source { address, .. }) = args.source {
            same_version(address, to)?;
        }
        match args.dst_mac {
            Some(mac) => Way::given(args, to, mac),
            // A group has its link-layer address by definition, so it takes no route.
            None => match (group_mac(to), &args.interface) {
                (Some(mac), Some(_)) => Way::given(args, to, mac),
                _ => Way::asked(args, to),
            },
        }
    }

    /// To a link-layer address that is known.
    fn given(args: &OutletArgs, to: IpAddr, mac: Mac) -> Result<Way, Failure> {
        let interface = interface(args)?;
        let own = interface.mac[..].try_into().map_err(|_| {
            Failure::failed(format_args!(
                "{} does not carry Ethernet frames; use --port udp there",
                interface.name
            ))
        })?;
        let mut addresses = interface.addresses.iter().map(|(address, _)| *address);
        let source = match args.source {
            Some(Source { address, .. }) => Some(address),
            None => addresses.find(|address| address.is_ipv4() == to.is_ipv4()),
        };
        let source = source.ok_or_else(|| {
            Failure::failed(format_args!(
                "{} has no address to send to {to} from; give one with --source",
                interface.name
            ))
        })?;
        let (interface, mtu) = (interface.name, interface.mtu);
        Ok(Way { interface, mtu, macs: (own, mac), vlan: args.vlan, source })
    }

    /// As the kernel's routes and neighbours have it.
    fn asked(args: &OutletArgs, to: IpAddr) -> Result<Way, Failure> {
        let by = match &args.interface {
            Some(name) => Some(interfaces::find(name).map_err(Failure::failed)?.index),
            None => None,
        };
        let mut routes = Routes::open().map_err(Failure::failed)?;
        let hop = resolved(&mut routes, to, by)?;
        let interface = routes.interface(hop.ifindex).map(|found| found.name.clone());
        Ok(Way {
            interface: interface.unwrap_or_default(),
            mtu: hop.mtu,
            macs: (hop.source_mac, hop.destination_mac),
            vlan: args.vlan.or(hop.vlan.map(|vlan| vlan.id)),
            source: args.source.map_or(hop.source, |source| source.address),
        })
    }
}

/// Asks until the neighbour has answered, or it is clear that none will.
fn resolved(routes: &mut Routes, to: IpAddr, by: Option<u32>) -> Result<Hop, Failure> {
    let deadline = Instant::now() + Duration::from_millis(ANSWER_MS_MAX);
    loop {
        let next = routes.lookup(to, by).map_err(Failure::failed)?;
        match next {
            NextHop::Resolved(hop) => return Ok(hop),
            NextHop::Unresolved { .. } if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(ANSWER_POLL_MS));
                routes.update().map_err(Failure::failed)?;
            }
            _ => return Err(no_way(routes, to, next)),
        }
    }
}

fn no_way(routes: &mut Routes, to: IpAddr, next: NextHop) -> Failure {
    let name = |ifindex| routes.interface(ifindex).map_or("?", |found| &found.name);
    let (why, cure) = match next {
        NextHop::Unresolved { ifindex, neighbour, .. } => (
            format!("{neighbour} does not answer on {}", name(ifindex)),
            "is it up, and in this network? --dst-mac sends all the same".to_owned(),
        ),
        NextHop::LinkDown { ifindex } => {
            let name = name(ifindex);
            (format!("the link of {name} is down"), format!("`ip link set {name} up`"))
        }
        NextHop::NoRoute => {
            ("there is no route to it".to_owned(), format!("see `ip route get {to}`"))
        }
        NextHop::Local => {
            ("it is this machine itself".to_owned(), "send there with --port udp".to_owned())
        }
        NextHop::Refused { ifindex, why } => {
            (format!("by {}: {why}", name(ifindex)), String::new())
        }
        NextHop::Resolved(_) => (next.to_string(), String::new()),
    };
    let notice = routes.take_notice().map(|notice| format!("; {notice}")).unwrap_or_default();
    let cure = if cure.is_empty() { cure } else { format!("; {cure}") };
    Failure::failed(format_args!("cannot send frames to {to}: {why}{cure}{notice}"))
}

/// The interface that the flags name.
pub fn interface(args: &OutletArgs) -> Result<Interface, Failure> {
    let name = args.interface.as_deref().ok_or_else(|| {
        Failure::usage("whole frames leave from one interface: name it with -i IF")
    })?;
    interfaces::find(name).map_err(Failure::failed)
}

/// Refuses a source of the other version than the destination.
pub fn same_version(source: IpAddr, to: IpAddr) -> Result<(), Failure> {
    if source.is_ipv4() == to.is_ipv4() {
        return Ok(());
    }
    Err(Failure::usage(format!("{source} cannot send to {to}: one is IPv4, the other IPv6")))
}
