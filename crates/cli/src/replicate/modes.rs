//! Which mode: the fastest that the interface and the subscribers allow, or the one asked for.

use super::args::ModeChoice;
use super::frames::{self, FramePort};
use super::kernel::{self, Kernel, KernelPort};
use super::settings::Settings;
use super::sockets;
use crate::capture::Memberships;
use crate::exit::{Failure, say};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tickwire_capture::multicast::Membership;
use tickwire_capture::routes::{NextHop, Routes};
use tickwire_capture::udp::UdpPort;
use tickwire_replicate::state::Saved;
use tickwire_replicate::{Feed, Snapshot, Subscriber};

/// What is open: ports in the order of their workers.
pub struct Opened {
    /// Why not a faster one; empty when it was asked for, or is the fastest.
    pub why: String,
    /// The table in the kernel.
    pub kernel: Option<KernelPort>,
    /// Queues of interfaces, past the kernel's stack.
    pub frames: Vec<FramePort>,
    /// Sockets of feeds. In mode `af_xdp` they get what only the kernel can put together.
    pub sockets: Vec<(Feed, UdpPort)>,
    /// Groups that no socket has joined.
    pub memberships: Memberships,
    /// Where copies go next.
    pub routes: Option<Routes>,
}

impl Opened {
    /// How many workers there are.
    pub fn workers(&self) -> usize {
        usize::from(self.kernel.is_some()) + self.frames.len() + self.sockets.len()
    }
}

/// Opens what `settings` ask for; `saved` subscribe besides those of the settings.
///
/// # Errors
/// That the mode asked for is not possible here, or none is.
pub fn open(settings: &Settings, saved: &[Saved], table: &Snapshot) -> Result<Opened, Failure> {
    match settings.mode {
        ModeChoice::AfXdp => af_xdp(settings, saved, false, String::new()),
        ModeChoice::Udp => udp(settings, saved, String::new()),
        ModeChoice::Xdp => xdp(settings, saved, table, false),
        ModeChoice::Auto => {
            let no_xdp = match xdp(settings, saved, table, true) {
                Err(Failure::Failed(why) | Failure::Usage(why)) => format!("no xdp: {why}"),
                opened => return opened,
            };
            match af_xdp(settings, saved, true, no_xdp.clone()) {
                Err(Failure::Failed(why) | Failure::Usage(why)) => {
                    udp(settings, saved, format!("{no_xdp}; no af_xdp: {why}"))
                }
                opened => opened,
            }
        }
    }
}

/// With `sure`, everything known so far must be sure to work.
fn xdp(
    settings: &Settings,
    saved: &[Saved],
    table: &Snapshot,
    sure: bool,
) -> Result<Opened, Failure> {
    if let Some(entry) = table.feeds.iter().find(|entry| entry.line.is_some()) {
        return Err(Failure::Failed(format!(
            "feed {} is merged with other lines, which is not done in the kernel; use --mode \
             af_xdp or udp",
            entry.feed.name
        )));
    }
    let mut routes = Routes::open().map_err(Failure::failed)?;
    let (egress, beyond) = egress(settings, saved, &mut routes)?;
    if let Some(why) = beyond.filter(|_| sure) {
        return Err(Failure::Failed(why));
    }
    for ((ifindex, feed), subscribers) in egress.iter().filter(|_| sure) {
        kernel::suits(*ifindex, feed, subscribers).map_err(Failure::failed)?;
    }
    for subscriber in table.feeds.iter().flat_map(|feed| &feed.subscribers) {
        if let Some(Err(refusal)) = subscriber.filter.as_ref().map(|filter| filter.xdp()) {
            let address = subscriber.subscriber.address;
            return Err(Failure::Failed(format!("subscriber {address}: {refusal}")));
        }
    }
    let kernel = Kernel::open(table, &interfaces(&egress))?;
    sockets::raise_open_files();
    let (sockets, memberships) = remainder(settings);
    Ok(Opened {
        why: String::new(),
        kernel: Some(KernelPort::new(kernel, 0)),
        frames: Vec::new(),
        sockets,
        memberships,
        routes: Some(routes),
    })
}

fn udp(settings: &Settings, saved: &[Saved], why: String) -> Result<Opened, Failure> {
    let mut routes = Routes::open().map_err(Failure::failed)?;
    // So early that neighbours have answered when the feed is there.
    for (_, subscriber) in known(settings, saved) {
        next_hop(&mut routes, subscriber)?;
    }
    sockets::raise_open_files();
    Ok(Opened {
        why,
        kernel: None,
        frames: Vec::new(),
        sockets: sockets::open(settings)?,
        memberships: Memberships::new(Vec::new()),
        routes: Some(routes),
    })
}

/// The subscribers of the settings, and those of the run before, with the names of their feeds.
fn known<'a>(
    settings: &'a Settings,
    saved: &'a [Saved],
) -> impl Iterator<Item = (&'a str, &'a Subscriber)> {
    let configured = settings.feeds.iter().flat_map(|(feed, subscribers)| {
        subscribers.iter().map(|subscriber| (feed.name.as_str(), subscriber))
    });
    configured.chain(saved.iter().map(|saved| (saved.feed.as_str(), &saved.subscriber)))
}

/// With `sure`, frames must reach somebody of all who are known so far; others have sockets.
fn af_xdp(
    settings: &Settings,
    saved: &[Saved],
    sure: bool,
    why: String,
) -> Result<Opened, Failure> {
    let mut routes = Routes::open().map_err(Failure::failed)?;
    let (egress, beyond) = egress(settings, saved, &mut routes)?;
    let egress = interfaces(&egress);
    if let Some(why) = beyond.filter(|_| sure && egress.is_empty()) {
        return Err(Failure::Failed(why));
    }
    let frames = frames::open(settings, &egress)?;
    sockets::raise_open_files();
    let (sockets, memberships) = remainder(settings);
    Ok(Opened { why, kernel: None, frames, sockets, memberships, routes: Some(routes) })
}

/// By interface and feed, whose copies leave there; the settings win.
type Egress<'a> = BTreeMap<(u32, &'a str), BTreeMap<SocketAddr, &'a Subscriber>>;

fn interfaces(egress: &Egress<'_>) -> Vec<u32> {
    let mut all: Vec<u32> = egress.keys().map(|&(ifindex, _)| ifindex).collect();
    all.dedup();
    all
}

/// The interfaces that copies leave by, and to whom; of one whom frames do not reach, why.
fn egress<'a>(
    settings: &'a Settings,
    saved: &'a [Saved],
    routes: &mut Routes,
) -> Result<(Egress<'a>, Option<String>), Failure> {
    let (mut egress, mut beyond) = (Egress::new(), None);
    for (feed, subscriber) in known(settings, saved) {
        let ifindex = match next_hop(routes, subscriber)? {
            NextHop::Resolved(hop) => hop.ifindex,
            NextHop::Unresolved { ifindex, .. } | NextHop::LinkDown { ifindex } => ifindex,
            next @ (NextHop::Local | NextHop::Refused { .. }) => {
                beyond.get_or_insert_with(|| format!("subscriber {}: {next}", subscriber.address));
                continue;
            }
            NextHop::NoRoute => continue,
        };
        let there = egress.entry((ifindex, feed)).or_default();
        there.entry(subscriber.address).or_insert(subscriber);
    }
    Ok((egress, beyond))
}

fn next_hop(routes: &mut Routes, subscriber: &Subscriber) -> Result<NextHop, Failure> {
    let oif = match &subscriber.interface {
        Some(name) => match routes.find(name) {
            Some(interface) => Some(interface.index),
            None => return Ok(NextHop::NoRoute),
        },
        None => None,
    };
    routes.lookup(subscriber.address.ip(), oif).map_err(Failure::failed)
}

/// Sockets for what XDP leaves to the host: fragments, and datagrams longer than a frame. Where
/// there can be none, the host keeps these, which is said, and groups are joined all the same.
fn remainder(settings: &Settings) -> (Vec<(Feed, UdpPort)>, Memberships) {
    let (mut opened, mut memberships) = (Vec::new(), Vec::new());
    for (feed, _) in &settings.feeds {
        match sockets::open_feed(feed) {
            Ok(port) => opened.push((feed.clone(), port)),
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                say(format_args!(
                    "tickwire: fragments, and datagrams longer than a frame, stay with the host: \
                     {why}\n"
                ));
                memberships.extend(join(feed));
            }
        }
    }
    (opened, Memberships::new(memberships))
}

fn join(feed: &Feed) -> Option<Membership> {
    let group = feed.listen.ip();
    let interface = feed.interface.as_deref().filter(|_| group.is_multicast())?;
    let joined = Membership::join(interface, group, feed.source);
    joined.map_err(|error| say(format_args!("tickwire: feed {}: {error}\n", feed.name))).ok()
}
