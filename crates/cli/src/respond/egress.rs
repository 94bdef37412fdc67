//! Opens where orders go, and follows the way there: routes, neighbours, links.

use super::desk::{Desk, lock};
use super::targets::{Target, UdpWay, Way};
use super::user_tcp::{Line, refusal, way_home};
use super::wire::Wire;
use super::xdp::KernelWays;
use crate::exit::{Failure, say};
use std::net::SocketAddr;
use std::sync::Mutex;
use tickwire_capture::routes::{NextHop, Routes};
use tickwire_capture::udp::{SenderConfig, UdpSender};
use tickwire_frame::{Counters, Reason};
use tickwire_replicate::{Path, Subscriber, Template, UdpChecksum, path};
use tickwire_respond::Session;
use tickwire_respond::format::Encoder;

/// A target of datagrams with no way yet.
pub fn udp(name: &str, address: SocketAddr, encoder: Encoder) -> Result<Target, Failure> {
    let socket = open_socket(address)
        .map_err(|error| Failure::failed(format_args!("target {name}: {error}")))?;
    let (path, template) = (Err(Reason::NoRoute), None);
    let (may_ask_kernel, from_kernel) = (false, None);
    let way = UdpWay { address, path, may_ask_kernel, from_kernel, template, socket, encoder };
    Ok(target(Way::Udp(Box::new(way))))
}

/// A target that is connected to.
pub fn tcp(session: Box<dyn Session>) -> Target {
    target(Way::Tcp(Box::new(Wire::new(session))))
}

/// The same over frames of the workers of the interface `home`.
pub fn user_tcp(address: SocketAddr, home: &str, session: Box<dyn Session>) -> Target {
    target(Way::User(Box::new(Line::new(address, home, session))))
}

fn target(way: Way) -> Target {
    Target { way, sent: 0, sent_by_kernel: 0, unsent: Counters::default() }
}

/// A socket to send from, whose port nobody else has; none while there is no route.
fn open_socket(address: SocketAddr) -> Result<Option<UdpSender>, tickwire_capture::PortError> {
    let any = SocketAddr::new(address.ip(), 0);
    let config = SenderConfig { source_port: Some(0), ..SenderConfig::new(any, address) };
    match UdpSender::open(&config) {
        Ok(socket) => Ok(Some(socket)),
        Err(tickwire_capture::PortError::System { source, .. })
            if matches!(
                source.kind(),
                std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Follows the ways to all targets that frames are written for.
#[derive(Debug)]
pub struct Ways {
    routes: Routes,
    kernel: Option<KernelWays>,
}

impl Ways {
    /// Looks each of them up; programs in the kernel are told as well.
    ///
    /// # Errors
    /// When the system has no netlink, or the route to a target does not lead to the workers that
    /// speak with it.
    pub fn open(targets: &mut [Target], kernel: Option<KernelWays>) -> Result<Ways, Failure> {
        let mut ways = Ways { routes: Routes::open().map_err(Failure::failed)?, kernel };
        for (number, target) in targets.iter_mut().enumerate() {
            ways.follow(number, target)?;
            if let Way::User(line) = &target.way {
                ways.check(line)?;
            }
        }
        Ok(ways)
    }

    /// Looks again when something has changed.
    ///
    /// # Errors
    /// When the system's routes can no longer be followed.
    pub fn tick(&mut self, desk: &Mutex<Desk>) -> Result<(), Failure> {
        let changed = self.routes.update().map_err(Failure::failed)?;
        while let Some(notice) = self.routes.take_notice() {
            say(format_args!("tickwire: {notice}\n"));
        }
        if changed || self.kernel.as_mut().is_some_and(KernelWays::is_due) {
            // Each by itself: a worker waits for one lookup at most.
            let count = lock(desk).targets.targets.len();
            for number in 0..count {
                let mut desk = lock(desk);
                self.follow(number, &mut desk.targets.targets[number])?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, number: usize, target: &mut Target) -> Result<(), Failure> {
        match &mut target.way {
            Way::Udp(udp) => self.follow_udp(number, udp),
            Way::User(line) => self.follow_line(line),
            Way::Tcp(_) => Ok(()),
        }
    }

    /// The next hop of a target that is spoken with over frames, and the index of its interface.
    fn line_hop(&mut self, line: &Line) -> Result<(NextHop, Option<u32>), Failure> {
        let next = self.routes.lookup(line.address().ip(), None).map_err(Failure::failed)?;
        Ok((next, self.routes.find(line.home()).map(|interface| interface.index)))
    }

    fn follow_line(&mut self, line: &mut Line) -> Result<(), Failure> {
        let (next, home) = self.line_hop(line)?;
        line.follow(way_home(&next, home));
        Ok(())
    }

    fn check(&mut self, line: &Line) -> Result<(), Failure> {
        let (next, home) = self.line_hop(line)?;
        match refusal(&next, line.home(), home) {
            Some(why) => Err(Failure::failed(format_args!("target {}: {why}", line.address()))),
            None => Ok(()),
        }
    }

    fn follow_udp(&mut self, number: usize, udp: &mut UdpWay) -> Result<(), Failure> {
        let next = self.routes.lookup(udp.address.ip(), None).map_err(Failure::failed)?;
        if udp.socket.is_none() && !matches!(next, NextHop::NoRoute) {
            // It is tried again with the next change.
            udp.socket = open_socket(udp.address).ok().flatten();
        }
        udp.may_ask_kernel = matches!(
            next,
            NextHop::Local | NextHop::Refused { .. } | NextHop::Unresolved { is_asked: false, .. }
        );
        let now = path(&next);
        if now != udp.path || udp.template.is_none() {
            udp.template = template(udp, now);
            udp.path = now;
        }
        if let Some(kernel) = &mut self.kernel {
            let from = udp.socket.as_ref().map(UdpSender::source);
            udp.from_kernel = kernel.follow(number as u16, now, from, &self.routes);
        }
        Ok(())
    }
}

/// The headers of frames to a target.
fn template(udp: &UdpWay, path: Path) -> Option<Template> {
    let hop = path.ok()?;
    let port = udp.socket.as_ref()?.source().port();
    let subscriber =
        Subscriber { udp_checksum: UdpChecksum::Compute, ..Subscriber::new(udp.address) };
    Template::new(port, &subscriber, &hop).ok()
}
