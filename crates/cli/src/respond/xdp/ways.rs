//! Where orders of the kernel leave: the headers of their frames.

use super::Kernel;
use crate::exit::say;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_capture::ethtool::Ethtool;
use tickwire_capture::netdev;
use tickwire_capture::routes::Routes;
use tickwire_frame::Reason;
use tickwire_replicate::{Path, TTL_DEFAULT};
use tickwire_respond::xdp::{Plan, Route};

/// The ways to all targets of the kernel.
#[derive(Debug)]
pub struct KernelWays {
    kernel: Arc<Kernel>,
    /// What was looked at last. The targets of every plan of the run are the same.
    plan: Arc<Plan>,
    /// Names of the interfaces that feeds come in on.
    ingress: Vec<String>,
    /// Of each target of the kernel: what it was told.
    told: Vec<Option<Told>>,
    /// When it was looked last whether an interface takes frames by now.
    looked: Instant,
}

/// There is a way, but not for orders of the kernel.
const NO_WAY: Reason = Reason::NoEgress;
/// How long an interface that takes no frames is left alone.
const RETRY: Duration = Duration::from_secs(1);

type Told = Result<Route, Reason>;

impl KernelWays {
    /// No way yet.
    pub fn new(kernel: Arc<Kernel>, ingress: Vec<String>) -> KernelWays {
        let plan = kernel.plan();
        let told = vec![None; plan.targets().len()];
        KernelWays { kernel, plan, ingress, told, looked: Instant::now() }
    }

    /// Whether it is time to look again: at interfaces that take no frames, since nobody says when
    /// they do; at targets that other rules send to.
    pub fn is_due(&mut self) -> bool {
        let plan = self.kernel.plan();
        if !Arc::ptr_eq(&plan, &self.plan) {
            self.plan = plan;
            let refused = self.told.iter_mut().filter(|told| **told == Some(Err(NO_WAY)));
            refused.for_each(|told| *told = None);
            return true;
        }
        let due = self.looked.elapsed() >= RETRY && self.told.contains(&Some(Err(NO_WAY)));
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// Tells the kernel the way to a target, by its number: by `path`, from the address `from` of
    /// its socket. Why it cannot send there; `None` when no rule of the kernel does.
    pub fn follow(
        &mut self,
        target: u16,
        path: Path,
        from: Option<SocketAddr>,
        routes: &Routes,
    ) -> Option<Result<(), Reason>> {
        let place = self.plan.targets().iter().position(|of| of.number == target)?;
        let told = self.route(place, path, from, routes);
        if self.told[place] != Some(told) {
            self.kernel.state().set_route(place, told.as_ref().map_err(|reason| *reason));
            self.told[place] = Some(told);
        }
        self.is_sent_to(place).then_some(told.map(drop))
    }

    /// Whether a rule of the kernel sends to a target. Other rules may soon, so that the way to all
    /// of them is known.
    fn is_sent_to(&self, place: usize) -> bool {
        self.plan.programs().iter().any(|rule| rule.target == place)
    }

    fn route(&self, place: usize, path: Path, from: Option<SocketAddr>, routes: &Routes) -> Told {
        let hop = match path {
            Err(NO_WAY) => return Err(self.refuse(place, "it is reached by sockets only")),
            path => path?,
        };
        let of = &self.plan.targets()[place];
        let (IpAddr::V4(source), None) = (hop.source, hop.vlan) else {
            return Err(self.refuse(place, "the kernel's orders have no VLAN tag and no IPv6"));
        };
        let port = from.ok_or(Reason::NoRoute)?.port();
        let name = routes.interface(hop.ifindex).map_or("", |interface| &interface.name);
        let sends_back = !is_virtual_pair(name);
        // Frames of its own go back out of it; those of others are redirected.
        let is_own = self.ingress.iter().all(|ingress| {
            routes.find(ingress).is_some_and(|interface| interface.index == hop.ifindex)
        });
        let reached = is_own && sends_back || takes_frames(hop.ifindex);
        if !reached {
            return Err(self.refuse(
                place,
                "the interface that leads there takes no frames that XDP programs redirect to it \
                 (of a veth, let the other end run an XDP program or GRO)",
            ));
        }
        Ok(Route {
            ifindex: hop.ifindex,
            sends_back,
            destination_mac: hop.destination_mac,
            source_mac: hop.source_mac,
            source: SocketAddrV4::new(source, port),
            destination: of.address,
            ttl: TTL_DEFAULT,
            mtu: hop.mtu,
        })
    }

    /// Says it once, until there is a way again.
    fn refuse(&self, place: usize, why: &str) -> Reason {
        if self.told[place] != Some(Err(NO_WAY)) && self.is_sent_to(place) {
            let address = self.plan.targets()[place].address;
            say(format_args!(
                "tickwire: no order of the kernel can leave for {address}: {why}; use --mode \
                 af_xdp\n"
            ));
        }
        NO_WAY
    }
}

/// Whether XDP programs can redirect frames to an interface.
fn takes_frames(ifindex: u32) -> bool {
    let features = netdev::xdp_features(ifindex).ok().flatten();
    features.is_some_and(|features| features.redirect_target)
}

/// Whether an interface is an end of a veth: see [`Route::sends_back`].
fn is_virtual_pair(name: &str) -> bool {
    let driver = Ethtool::open().and_then(|ethtool| ethtool.driver(name));
    driver.is_ok_and(|driver| driver.name == "veth")
}
