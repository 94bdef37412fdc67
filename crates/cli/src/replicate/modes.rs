//! Which mode: the fastest that the interface and the subscribers allow, or the one asked for.

use super::args::ModeChoice;
use super::frames::{self, FramePort};
use super::settings::Settings;
use super::sockets;
use crate::capture::Memberships;
use crate::exit::{Failure, say};
use tickwire_capture::multicast::Membership;
use tickwire_capture::routes::{NextHop, Routes};
use tickwire_capture::udp::UdpPort;
use tickwire_replicate::{Feed, Subscriber};

/// What is open: ports in the order of their workers.
pub struct Opened {
    /// Why not a faster one; empty when it was asked for, or is the fastest.
    pub why: String,
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
        self.frames.len() + self.sockets.len()
    }
}

/// Opens what `settings` ask for; `saved` subscribe besides those of the settings.
///
/// # Errors
/// That the mode asked for is not possible here, or none is.
pub fn open(settings: &Settings, saved: &[Subscriber]) -> Result<Opened, Failure> {
    match settings.mode {
        ModeChoice::AfXdp => af_xdp(settings, saved, false),
        ModeChoice::Udp => udp(settings, saved, String::new()),
        ModeChoice::Xdp => Err(Failure::failed("mode xdp is not there yet; use mode af_xdp")),
        ModeChoice::Auto => match af_xdp(settings, saved, true) {
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                udp(settings, saved, format!("no af_xdp: {why}"))
            }
            opened => opened,
        },
    }
}

fn udp(settings: &Settings, saved: &[Subscriber], why: String) -> Result<Opened, Failure> {
    let mut routes = Routes::open().map_err(Failure::failed)?;
    // So early that neighbours have answered when the feed is there.
    for subscriber in known(settings, saved) {
        next_hop(&mut routes, subscriber)?;
    }
    sockets::raise_open_files();
    Ok(Opened {
        why,
        frames: Vec::new(),
        sockets: sockets::open(settings)?,
        memberships: Memberships::new(Vec::new()),
        routes: Some(routes),
    })
}

/// The subscribers of the settings, and those of the run before.
fn known<'a>(
    settings: &'a Settings,
    saved: &'a [Subscriber],
) -> impl Iterator<Item = &'a Subscriber> {
    settings.feeds.iter().flat_map(|(_, subscribers)| subscribers).chain(saved)
}

/// With `all_reachable`, every subscriber known so far must be in reach of frames.
fn af_xdp(
    settings: &Settings,
    saved: &[Subscriber],
    all_reachable: bool,
) -> Result<Opened, Failure> {
    let mut routes = Routes::open().map_err(Failure::failed)?;
    let mut egress = Vec::new();
    for subscriber in known(settings, saved) {
        match next_hop(&mut routes, subscriber)? {
            NextHop::Resolved(hop) => egress.push(hop.ifindex),
            NextHop::Unresolved { ifindex, .. } | NextHop::LinkDown { ifindex } => {
                egress.push(ifindex);
            }
            next @ (NextHop::Local | NextHop::Refused { .. }) if all_reachable => {
                let address = subscriber.address;
                return Err(Failure::Failed(format!("subscriber {address}: {next}")));
            }
            NextHop::NoRoute | NextHop::Local | NextHop::Refused { .. } => {}
        }
    }
    egress.sort_unstable();
    egress.dedup();
    let frames = frames::open(settings, &egress)?;
    sockets::raise_open_files();
    let (sockets, memberships) = remainder(settings);
    Ok(Opened { why: String::new(), frames, sockets, memberships, routes: Some(routes) })
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
