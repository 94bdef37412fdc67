//! Mode `udp`: one worker a feed, through the kernel's sockets. In mode `af_xdp`, what the kernel
//! has to put together first: fragments, and datagrams longer than a frame.

use super::settings::Settings;
use crate::exit::{Failure, say};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashSet;
use tickwire_capture::PortError;
use tickwire_capture::carriers::Carriers;
use tickwire_capture::udp::{SenderConfig, UdpConfig, UdpPort, UdpSender};
use tickwire_frame::Reason;
use tickwire_replicate::{Feed, Open, Passes, SourceAddress, Subscriber, UdpChecksum};

/// How many subscribers' complaints are told; of the others only the counters tell.
const TOLD_MAX: usize = 1000;

/// Opens a socket for every feed.
///
/// # Errors
/// A VLAN, which sockets do not see, and what the system refuses.
pub fn open(settings: &Settings) -> Result<Vec<(Feed, UdpPort)>, Failure> {
    settings.feeds.iter().map(|(feed, _)| Ok((feed.clone(), open_feed(feed)?))).collect()
}

/// Opens the socket of one feed.
pub fn open_feed(feed: &Feed) -> Result<UdpPort, Failure> {
    if let Some(vlan) = feed.vlan {
        return Err(Failure::Failed(format!(
            "feed {}: sockets do not see VLAN tags; make the VLAN an interface (`ip link add link \
             IF name IF.{vlan} type vlan id {vlan}`) and listen there",
            feed.name
        )));
    }
    // The sender of a unicast feed is checked when its datagrams are sorted.
    let source = feed.source.filter(|_| feed.listen.ip().is_multicast());
    let config = UdpConfig {
        source,
        interface: feed.interface.clone(),
        ethernet: true,
        ..UdpConfig::new(feed.listen)
    };
    UdpPort::open(&config).map_err(|error| Failure::Failed(format!("feed {}: {error}", feed.name)))
}

/// Opens a sender for each subscriber, and tells once of each that it cannot.
pub fn opener() -> Open<UdpSender> {
    let mut told = HashSet::new();
    Box::new(move |feed, subscriber| {
        sender(feed, subscriber).map_err(|(reason, text)| {
            if told.len() < TOLD_MAX && told.insert((subscriber.address, reason)) {
                say(format_args!("tickwire: subscriber {}: {text}\n", subscriber.address));
            }
            reason
        })
    })
}

/// Asks the kernel for the state of links.
///
/// # Errors
/// When this process has too many descriptors.
pub fn passes() -> Result<Passes, Failure> {
    let mut carriers = Carriers::open().map_err(Failure::failed)?;
    Ok(Box::new(move |ifindex| carriers.passes(ifindex)))
}

fn sender(feed: &Feed, subscriber: &Subscriber) -> Result<UdpSender, (Reason, String)> {
    if subscriber.source == SourceAddress::Keep {
        let text = "sockets cannot send with another's address; use mode af_xdp or xdp";
        return Err((Reason::TxRefused, text.into()));
    }
    let checksum = match subscriber.udp_checksum {
        UdpChecksum::Update | UdpChecksum::Compute => true,
        UdpChecksum::Zero | UdpChecksum::ZeroOverIpv6 => false,
    };
    let config = SenderConfig {
        interface: subscriber.interface.clone(),
        ttl: subscriber.ttl,
        dscp: subscriber.dscp,
        checksum,
        ..SenderConfig::new(feed.listen, subscriber.address)
    };
    UdpSender::open(&config).map_err(|error| (reason(&error), error.to_string()))
}

fn reason(error: &PortError) -> Reason {
    let PortError::System { source, .. } = error else { return Reason::TxRefused };
    match source.kind() {
        std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable => {
            Reason::NoRoute
        }
        _ => Reason::TxRefused,
    }
}

/// Lets this process have as many sockets as it may: each subscriber takes one.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // When this fails the limit stays, and a socket too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
