//! Opens what market data comes through: queues of an interface, sockets, connections.

use super::args::{ModeChoice, RunArgs};
use super::job::Ingress;
use super::settings::Settings;
use super::xdp::Kernel;
use crate::capture::Memberships;
use crate::exit::{Failure, say};
use std::collections::BTreeMap;
use tickwire_capture::af_xdp::{
    AfXdp, AfXdpConfig, AfXdpTransmitter, Selection, StageHandle, UdpDestination, queue_count,
};
use tickwire_capture::multicast::Membership;
use tickwire_capture::udp::{UdpConfig, UdpPort};
use tickwire_capture::{Mode, Port, interfaces};
use tickwire_respond::config::{Feed, Transport};

/// What packets come through.
pub struct Opened {
    /// Why not a faster mode; empty when it was asked for, or is the fastest.
    pub why: String,
    /// Ports, in the order of their workers.
    pub ports: Vec<OpenPort>,
    /// Groups that no socket has joined.
    pub memberships: Memberships,
    /// One for each interface.
    pub gates: Vec<Gate>,
    /// Whether rules run in the kernel.
    in_kernel: bool,
}

/// What selects the frames that the ports of an interface take.
pub struct Gate {
    /// The name of the interface.
    pub interface: String,
    /// The numbers of the feeds that come in on it.
    pub feeds: Vec<u16>,
    /// The datagrams that they take.
    pub udp: Vec<UdpDestination>,
    /// Changes it.
    pub handle: StageHandle,
}

/// A port and what goes with it.
pub struct OpenPort {
    /// The name of its worker.
    pub name: String,
    /// Where frames come from.
    pub port: Box<dyn Port>,
    /// Whose frames these are.
    pub feeds: Vec<Ingress>,
    /// Its way out.
    pub way: Option<AfXdpTransmitter>,
    /// Whether the times of its frames say when they arrived; if not, when they were read.
    pub timed: bool,
}

impl Opened {
    /// What is in force.
    pub fn mode(&self) -> Mode {
        let none = || Mode { port: "tcp", mode: String::new(), why: String::new() };
        let mut mode = self.ports.first().map_or_else(none, |one| one.port.mode());
        if !self.why.is_empty() {
            mode.why = self.why.clone();
        }
        if self.in_kernel {
            mode.port = "xdp";
        }
        mode
    }

    /// Names of the interfaces that programs of ours run on.
    pub fn interfaces(&self) -> Vec<String> {
        self.gates.iter().map(|gate| gate.interface.clone()).collect()
    }
}

/// Opens the feeds that come in datagrams; before them, what `kernel` decides on is decided.
///
/// # Errors
/// That the mode asked for is not possible here, or none is.
pub fn open(
    settings: &Settings,
    args: &RunArgs,
    kernel: Option<&Kernel>,
) -> Result<Opened, Failure> {
    let Settings { config, homes, .. } = settings;
    let feeds = config.feeds.iter().enumerate();
    let feeds: Vec<(u16, &Feed)> = feeds
        .filter(|(_, feed)| feed.transport == Transport::Udp)
        .map(|(number, feed)| (number as u16, feed))
        .collect();
    match args.mode {
        ModeChoice::AfXdp | ModeChoice::Xdp => af_xdp(&feeds, args, settings, kernel),
        ModeChoice::Udp => udp(&feeds, args, String::new()),
        ModeChoice::Auto if feeds.is_empty() => udp(&feeds, args, "no feed of datagrams".into()),
        ModeChoice::Auto => match af_xdp(&feeds, args, settings, None) {
            Err(Failure::Failed(why) | Failure::Usage(why)) if !homes.is_empty() => {
                Err(Failure::Failed(format!(
                    "a target with stack = \"user\" needs mode af_xdp: {why}; or use stack = \
                     \"kernel\""
                )))
            }
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                udp(&feeds, args, format!("no af_xdp: {why}"))
            }
            opened => opened,
        },
    }
}

/// The interface of a feed: its own, or that of the command line.
pub fn interface<'a>(feed: &'a Feed, args: &'a RunArgs) -> Option<&'a str> {
    feed.interface.as_deref().or(args.interface.as_deref())
}

fn ingress(number: u16, feed: &Feed) -> Ingress {
    Ingress { feed: number, listen: feed.listen, source: feed.source }
}

fn af_xdp(
    feeds: &[(u16, &Feed)],
    args: &RunArgs,
    settings: &Settings,
    kernel: Option<&Kernel>,
) -> Result<Opened, Failure> {
    let Settings { config, homes, .. } = settings;
    let mut by_interface: BTreeMap<&str, Vec<(u16, &Feed)>> = BTreeMap::new();
    for &(number, feed) in feeds {
        let Some(name) = interface(feed, args) else {
            return Err(Failure::Usage(format!(
                "feed {} has no interface, which mode af_xdp needs; give one with -i",
                feed.name
            )));
        };
        by_interface.entry(name).or_default().push((number, feed));
    }
    let (mut ports, mut memberships, mut gates) = (Vec::new(), Vec::new(), Vec::new());
    for (name, feeds) in by_interface {
        let found = interfaces::find(name).map_err(Failure::failed)?;
        let mut destinations: Vec<UdpDestination> =
            feeds.iter().map(|(_, feed)| destination(feed)).collect();
        destinations.dedup();
        let selection = Selection::Udp(destinations.clone());
        let numbers: Vec<u16> = feeds.iter().map(|(number, _)| *number).collect();
        let stage = kernel
            .map(|kernel| kernel.rules().stage(kernel, config, &numbers))
            .transpose()?
            .flatten();
        let config = AfXdpConfig { selection, stage, ..AfXdpConfig::new(found.name.as_str()) };
        let queues = match &args.queues {
            Some(queues) => queues.list(),
            None => (0..queue_count(&found.name)).collect(),
        };
        if homes.iter().any(|home| home.interface == name) {
            check_queues(&found.name, &queues)?;
        }
        let ingress: Vec<Ingress> =
            feeds.iter().map(|&(number, feed)| ingress(number, feed)).collect();
        let opened = AfXdp::open(&config, &queues).map_err(Failure::failed)?;
        gates.extend(opened.first().map(|port| Gate {
            interface: name.to_owned(),
            feeds: numbers,
            udp: destinations,
            handle: port.stages(),
        }));
        for mut port in opened {
            let (name, way) =
                (format!("{} queue {}", found.name, port.queue()), port.transmitter());
            let (port, feeds) = (Box::new(port), ingress.clone());
            ports.push(OpenPort { name, port, feeds, way, timed: false });
        }
        for (_, feed) in feeds {
            memberships.extend(join(feed, &found.name)?);
        }
    }
    let (why, memberships) = (String::new(), Memberships::new(memberships));
    Ok(Opened { why, ports, memberships, gates, in_kernel: kernel.is_some() })
}

/// The card chooses the queue of a connection: what came on one without a worker would go to the
/// kernel, which would answer with a RST.
fn check_queues(interface: &str, queues: &[u32]) -> Result<(), Failure> {
    let all = queue_count(interface);
    if (0..all).all(|queue| queues.contains(&queue)) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "a target with stack = \"user\" needs all {all} queues of {interface}, since the card \
         chooses the one of its connection: leave out --queues, or use stack = \"kernel\""
    )))
}

fn destination(feed: &Feed) -> UdpDestination {
    let address = Some(feed.listen.ip()).filter(|ip| !ip.is_unspecified());
    UdpDestination { address, port: Some(feed.listen.port()) }
}

fn join(feed: &Feed, interface: &str) -> Result<Option<Membership>, Failure> {
    let group = feed.listen.ip();
    if !group.is_multicast() {
        return Ok(None);
    }
    Membership::join(interface, group, feed.source).map(Some).map_err(Failure::failed)
}

fn udp(feeds: &[(u16, &Feed)], args: &RunArgs, why: String) -> Result<Opened, Failure> {
    let mut ports = Vec::new();
    for &(number, feed) in feeds {
        let config = UdpConfig {
            // The sender of a unicast feed is looked at with each datagram.
            source: feed.source.filter(|_| feed.listen.ip().is_multicast()),
            interface: interface(feed, args).map(str::to_owned),
            ethernet: true,
            ..UdpConfig::new(feed.listen)
        };
        let port = UdpPort::open(&config)
            .map_err(|error| Failure::Failed(format!("feed {}: {error}", feed.name)))?;
        let (name, feeds) = (format!("udp {}", feed.name), vec![ingress(number, feed)]);
        ports.push(OpenPort { name, port: Box::new(port), feeds, way: None, timed: true });
    }
    if args.queues.is_some() {
        say("tickwire: --queues is of no use in mode udp: there is one worker a feed\n");
    }
    let (memberships, gates) = (Memberships::new(Vec::new()), Vec::new());
    Ok(Opened { why, ports, memberships, gates, in_kernel: false })
}
