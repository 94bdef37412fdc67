//! Mode `af_xdp`: one worker a queue, past the kernel's network stack.

use super::settings::Settings;
use crate::exit::Failure;
use std::collections::BTreeMap;
use tickwire_capture::af_xdp::{
    AfXdp, AfXdpConfig, AfXdpTransmitter, DESTINATIONS_MAX, Selection, UdpDestination, queue_count,
};
use tickwire_capture::{PortError, Transmitter, interfaces};

/// A queue that is open for receiving, and the ways out that its worker has.
pub struct FramePort {
    /// The interface and its queue.
    pub interface: String,
    /// The receiving half.
    pub port: AfXdp,
    /// The sending halves, by the name of their interface; the first one is the port's own.
    pub ways: Vec<(String, AfXdpTransmitter)>,
}

/// Opens the queues of all interfaces that have feeds, and for each worker a queue of every other
/// interface in `egress` to send on.
///
/// # Errors
/// A feed without an interface, more feeds than an XDP program compares, and what ports refuse.
pub fn open(settings: &Settings, egress: &[u32]) -> Result<Vec<FramePort>, Failure> {
    let mut ports = Vec::new();
    let ingress = by_interface(settings)?;
    for (interface, (queues, destinations)) in &ingress {
        let found = interfaces::find(interface).map_err(Failure::failed)?;
        let config = AfXdpConfig {
            selection: Selection::Udp(destinations.clone()),
            ..AfXdpConfig::new(found.name.as_str())
        };
        let all = || (0..queue_count(&found.name)).collect();
        let queues: Vec<u32> = if queues.is_empty() { all() } else { queues.clone() };
        for mut port in AfXdp::open(&config, &queues).map_err(Failure::failed)? {
            let own = port.transmitter().map(|transmitter| (found.name.clone(), transmitter));
            let ways = Vec::from_iter(own);
            ports.push(FramePort { interface: found.name.clone(), port, ways });
        }
    }
    let receiving: Vec<u32> =
        ports.iter().flat_map(|port| &port.ways).map(|(_, way)| way.ifindex()).collect();
    let found = interfaces::list().map_err(Failure::failed)?;
    for &ifindex in egress.iter().filter(|ifindex| !receiving.contains(ifindex)) {
        let Some(interface) = found.iter().find(|interface| interface.index == ifindex) else {
            return Err(Failure::failed("an interface that subscribers are behind has just gone"));
        };
        let opened = sending(&interface.name, ports.len()).map_err(Failure::failed)?;
        for (port, way) in ports.iter_mut().zip(opened) {
            port.ways.push((interface.name.clone(), way));
        }
    }
    Ok(ports)
}

type Ingress = BTreeMap<String, (Vec<u32>, Vec<UdpDestination>)>;

/// The queues and destinations that each interface is opened with.
fn by_interface(settings: &Settings) -> Result<Ingress, Failure> {
    let mut ingress = Ingress::new();
    for (feed, _) in &settings.feeds {
        let Some(interface) = &feed.interface else {
            return Err(Failure::Usage(format!(
                "feed {} has no interface, which mode af_xdp needs; give one with -i",
                feed.name
            )));
        };
        let known = ingress.contains_key(interface);
        let (queues, destinations) = ingress.entry(interface.clone()).or_default();
        // One feed that wants all queues wants them for all: the list of all is empty.
        if feed.queues.is_empty() || (known && queues.is_empty()) {
            queues.clear();
        } else {
            queues.extend(&feed.queues);
            queues.sort_unstable();
            queues.dedup();
        }
        let (address, port) = (Some(feed.listen.ip()), Some(feed.listen.port()));
        let destination = UdpDestination { address, port };
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
        if destinations.len() > DESTINATIONS_MAX {
            return Err(Failure::Failed(format!(
                "{interface} has more than {DESTINATIONS_MAX} feeds, the most that mode af_xdp \
                 selects; use mode udp, or several engines on different queues"
            )));
        }
    }
    Ok(ingress)
}

/// Queues of the interface `name` to send on: one for each of `workers` workers, since a queue has
/// one owner.
///
/// # Errors
/// Too few queues, and what ports refuse.
pub fn sending(name: &str, workers: usize) -> Result<Vec<AfXdpTransmitter>, PortError> {
    let queues = queue_count(name) as usize;
    if workers > queues {
        return Err(PortError::Unsupported {
            what: format!("{name} has {queues} queues to send on, and {workers} workers receive"),
            cure: format!("use fewer with --queues {queues}, or mode udp"),
        });
    }
    let config = AfXdpConfig::new(name);
    (0..workers as u32).map(|queue| AfXdpTransmitter::open(&config, queue)).collect()
}
