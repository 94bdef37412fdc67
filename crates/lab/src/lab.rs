//! Two private namespaces and the veth pair between them.

use crate::error::{LabError, Tried};
use crate::ethtool::{Ethtool, Offload};
use crate::link::{LinkCounters, LinkState, Links, Mac, VethEnd, VethShape};
use crate::namespace::Namespace;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tickwire_capture::bpf::asm::{Assembler, XdpAction};
use tickwire_capture::bpf::{AttachMode, Program, XdpLink};

/// Longest time that a link may take from "up" to "carries frames".
const UP_MS_MAX: u64 = 2000;
/// How long nothing may pass before a fresh link counts as quiet: several jiffies, in which the
/// kernel sends what it has to say about IPv6 multicast groups.
const QUIET_MS: u64 = 30;
/// Longest wait for a fresh link to become quiet.
const QUIET_MS_MAX: u64 = 1000;
/// How often a link is looked at meanwhile.
const POLL_MS: u64 = 2;
/// Prefix lengths of the two lab networks.
const PREFIX_BITS: (u8, u8) = (24, 64);
/// Every IPv4 multicast group.
const MULTICAST_V4: (IpAddr, u8) = (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4);

/// How a lab is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabConfig {
    /// Queues on both ends.
    pub queues: u32,
    /// MTU of both ends in bytes, 68 to 65535.
    pub mtu: u32,
    /// Whether the interfaces have IPv6 addresses. Without, not one frame passes that nobody
    /// sent; with, the kernel reports multicast groups each time a link comes up.
    pub ipv6: bool,
    /// Whether each end knows the other's link-layer address from the start. Without, ARP and
    /// neighbour discovery find it, with frames of their own.
    pub neighbours: bool,
    /// Whether both ends do GRO, without which XDP programs cannot redirect frames to an end that
    /// has no program itself. For XDP_TX that does not do: [`End::receive_xdp`].
    pub gro: bool,
}

impl Default for LabConfig {
    fn default() -> Self {
        LabConfig { queues: 1, mtu: 1500, ipv6: true, neighbours: true, gro: false }
    }
}

/// Two namespaces, `left` and `right`, and a veth pair between them.
///
/// Everything is up and quiet when [`Lab::new`] returns: loopback and both ends are up, checksums
/// are whole on the wire, nothing is merged or segmented, addresses are usable, and each end knows
/// the other's link-layer address. Dropping it takes all down.
///
/// ```no_run
/// use std::net::UdpSocket;
/// use tickwire_lab::Lab;
///
/// let lab = Lab::new()?;
/// let receiver = lab.right.run(|| UdpSocket::bind((lab.right.ipv4(), 5000)))?;
/// let sender = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0)))?;
/// sender.send_to(b"hello", (lab.right.ipv4(), 5000))?;
/// let mut buffer = [0; 16];
/// assert_eq!(receiver.recv(&mut buffer)?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lab {
    /// The end that sends in most tests: interface `left0`, 10.77.0.1, fd00:77::1.
    pub left: End,
    /// The end that receives in most tests: interface `right0`, 10.77.0.2, fd00:77::2.
    pub right: End,
    config: LabConfig,
}

/// One end: a namespace with one interface.
#[derive(Debug)]
pub struct End {
    namespace: Namespace,
    name: &'static str,
    /// 10.77.`network`.`number`.
    network: u8,
    number: u8,
}

impl Lab {
    /// A lab with one queue, MTU 1500, IPv4 and IPv6.
    ///
    /// # Errors
    /// When the process may not ([`crate::missing`] says why), or the kernel has no veth.
    pub fn new() -> Result<Self, LabError> {
        Self::veth(LabConfig::default())
    }

    /// A lab as `config` says.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn veth(config: LabConfig) -> Result<Self, LabError> {
        let end = |name, number| {
            let end = End { namespace: Namespace::new()?, name, network: 0, number };
            end.run(|| end.prepare(config.ipv6))?;
            Ok(end)
        };
        let lab = Lab { left: end("left0", 1)?, right: end("right0", 2)?, config };
        lab.create_link()?;
        Ok(lab)
    }

    /// Another pair, from the right end's namespace to one of its own, where what came in at the
    /// right end can leave: `near0`, 10.77.1.1, and `far0`, 10.77.1.2.
    ///
    /// # Errors
    /// As [`Lab::new`]; EEXIST when there is one already.
    pub fn branch(&self) -> Result<(End, End), LabError> {
        let namespace = self.right.namespace.try_clone()?;
        let near = End { namespace, name: "near0", network: 1, number: 1 };
        let far = End { namespace: Namespace::new()?, name: "far0", network: 1, number: 2 };
        far.run(|| far.prepare(self.config.ipv6))?;
        self.connect(&near, &far)?;
        Ok((near, far))
    }

    /// How it was made.
    pub fn config(&self) -> LabConfig {
        self.config
    }

    /// Deletes the veth pair, both ends of it.
    ///
    /// # Errors
    /// ENODEV when it is deleted already.
    pub fn delete_link(&self) -> Result<(), LabError> {
        self.left.links()?.delete(self.left.name)
    }

    /// Makes the veth pair again after [`delete_link`](Self::delete_link): same names and
    /// addresses, other indexes.
    ///
    /// # Errors
    /// EEXIST when it is there.
    pub fn create_link(&self) -> Result<(), LabError> {
        self.connect(&self.left, &self.right)?;
        if self.config.ipv6 { self.wait_quiet() } else { Ok(()) }
    }

    fn connect(&self, here: &End, there: &End) -> Result<(), LabError> {
        let shape = VethShape { queues: self.config.queues, mtu: self.config.mtu };
        let veth = |end: &End| VethEnd { name: end.name, mac: end.mac() };
        let peer = there.namespace.fd();
        here.links()?.create_veth(veth(here), veth(there), peer, shape)?;
        for (end, other) in [(here, there), (there, here)] {
            end.without_offloads()?;
            end.set_offload(Offload::Gro, self.config.gro)?;
            end.links()?.set_up(end.name, true)?;
            end.give_addresses(other, self.config)?;
        }
        here.wait_running(there)?;
        [here, there].into_iter().try_for_each(|end| end.wait_local(self.config.ipv6))
    }

    /// Waits until frames can pass in both directions.
    ///
    /// # Errors
    /// ETIMEDOUT when that takes longer than two seconds: an end is down or deleted.
    pub fn wait_running(&self) -> Result<(), LabError> {
        self.left.wait_running(&self.right)
    }

    /// Waits until no frame has passed for 30 ms.
    ///
    /// # Errors
    /// ETIMEDOUT when frames still pass after a second: somebody is sending.
    pub fn wait_quiet(&self) -> Result<(), LabError> {
        let mut last = (self.left.counters()?, self.right.counters()?, Instant::now());
        let what = || "wait until the lab is quiet".to_string();
        wait(QUIET_MS_MAX, what, || {
            let now = (self.left.counters()?, self.right.counters()?);
            if (last.0, last.1) != now {
                last = (now.0, now.1, Instant::now());
            }
            Ok(last.2.elapsed() >= Duration::from_millis(QUIET_MS))
        })
    }
}

impl End {
    /// The name of its interface.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Waits until frames can pass between it and `other`, its other end.
    ///
    /// # Errors
    /// As [`Lab::wait_running`].
    pub fn wait_running(&self, other: &End) -> Result<(), LabError> {
        let what = || format!("wait until {} and {} run", self.name, other.name);
        wait(UP_MS_MAX, what, || Ok(self.state()?.running && other.state()?.running))
    }

    /// Waits until the kernel takes what is sent to its IPv6 address: an address is there at once,
    /// its route comes from a work queue.
    fn wait_local(&self, ipv6: bool) -> Result<(), LabError> {
        if !ipv6 {
            return Ok(());
        }
        let mut links = self.links()?;
        let what = || format!("wait until {} is local", self.ipv6());
        wait(UP_MS_MAX, what, || links.is_local(self.ipv6().into()))
    }

    /// Its link-layer address.
    pub fn mac(&self) -> Mac {
        [0x02, 0, 0, self.network, 0x77, self.number]
    }

    /// Its IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.network, self.number)
    }

    /// Its IPv6 address.
    pub fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x77, self.network.into(), 0, 0, 0, 0, self.number.into())
    }

    /// Runs `job` inside its namespace, see [`Namespace::run`].
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(job)
    }

    /// Starts a program inside its namespace, see [`Namespace::spawn`].
    ///
    /// # Errors
    /// As [`Namespace::spawn`].
    pub fn spawn(&self, command: Command) -> Result<Child, LabError> {
        self.namespace.spawn(command)
    }

    /// Its namespace's interfaces, addresses, neighbours and routes.
    ///
    /// # Errors
    /// When the system is out of descriptors.
    pub fn links(&self) -> Result<Links, LabError> {
        self.run(Links::open)
    }

    /// The state and counters of its interface.
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn state(&self) -> Result<LinkState, LabError> {
        self.links()?.state(self.name)
    }

    /// The index of its interface; another one after it was made again.
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn index(&self) -> Result<u32, LabError> {
        Ok(self.state()?.index)
    }

    /// The counters of its interface.
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn counters(&self) -> Result<LinkCounters, LabError> {
        Ok(self.state()?.counters)
    }

    /// The counters of its driver (`rx_queue_0_drops`, `tx_queue_0_xdp_xmit_errors`, …).
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn driver_counters(&self) -> Result<Vec<(String, u64)>, LabError> {
        let what = || format!("read the driver's counters of {}", self.name);
        self.run(|| Ethtool::open(self.name)?.statistics()).tried(what)
    }

    /// The sum of all driver counters whose names end so, over the queues.
    ///
    /// # Errors
    /// ENODEV while the interface is deleted.
    pub fn driver_sum(&self, suffix: &str) -> Result<u64, LabError> {
        let counters = self.driver_counters()?;
        Ok(counters.iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, n)| n).sum())
    }

    /// Sets its interface up or down. Coming up takes a moment: [`Lab::wait_running`].
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn set_up(&self, up: bool) -> Result<(), LabError> {
        self.links()?.set_up(self.name, up)
    }

    /// Sets the MTU of its interface, in bytes.
    ///
    /// # Errors
    /// EINVAL out of bounds, ERANGE when an XDP program forbids it.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), LabError> {
        self.links()?.set_mtu(self.name, mtu)
    }

    /// Attaches a program that passes everything, for as long as the link is kept: what the *other*
    /// end's program sends by XDP_TX gets here only so. Without a program, the driver puts it into
    /// a queue at best, and tells nobody (`veth_xdp_flush` in drivers/net/veth.c).
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN, EBUSY when another program is attached.
    pub fn receive_xdp(&self) -> Result<XdpLink, LabError> {
        let what = || format!("attach an XDP program to {}", self.name);
        let mut asm = Assembler::new();
        asm.exit_with(XdpAction::Pass);
        let code = asm.finish().expect("no jumps");
        let program = Program::load_xdp("tickwire_pass", &code)
            .map_err(|error| LabError::new(what(), std::io::Error::other(error)))?;
        let index = self.index()?;
        self.run(|| XdpLink::attach(&program, index, AttachMode::Native)).tried(what)
    }

    /// Switches an offload of its interface. With [`Offload::Gro`] on, the driver takes XDP frames
    /// that the *other* end redirects, also without an XDP program here.
    ///
    /// # Errors
    /// ENODEV while it is deleted.
    pub fn set_offload(&self, offload: Offload, on: bool) -> Result<(), LabError> {
        let what =
            || format!("switch {offload:?} of {} {}", self.name, if on { "on" } else { "off" });
        self.run(|| Ethtool::open(self.name)?.set(offload, on)).tried(what)
    }

    /// Enters a permanent neighbour, or replaces it.
    ///
    /// # Errors
    /// ENODEV while the interface is deleted.
    pub fn set_neighbour(&self, address: impl Into<IpAddr>, mac: Mac) -> Result<(), LabError> {
        self.links()?.set_neighbour(self.index()?, address.into(), mac)
    }

    /// Forgets a neighbour.
    ///
    /// # Errors
    /// ENOENT when there is none.
    pub fn delete_neighbour(&self, address: impl Into<IpAddr>) -> Result<(), LabError> {
        self.links()?.delete_neighbour(self.index()?, address.into())
    }

    /// Before there is an interface: loopback up, and nothing sent that nobody asked for. Called
    /// on a thread inside: /proc/sys/net is that of the reader's namespace.
    fn prepare(&self, ipv6: bool) -> Result<(), LabError> {
        Links::open()?.set_up("lo", true)?;
        let set = |key: &str, value: &str| {
            let path = format!("/proc/sys/net/{key}");
            std::fs::write(&path, value).tried(|| format!("write {value} to {path}"))
        };
        if std::path::Path::new("/proc/sys/net/ipv6").exists() {
            for (key, value) in [
                ("disable_ipv6", if ipv6 { "0" } else { "1" }),
                ("accept_dad", "0"),
                ("dad_transmits", "0"),
                ("router_solicitations", "0"),
                ("accept_ra", "0"),
                ("autoconf", "0"),
                // No link-local address of its own accord: each would be reported to multicast.
                ("addr_gen_mode", "1"),
                // The reports of multicast groups that are left come at once, not for a second.
                ("mldv2_unsolicited_report_interval", "1"),
            ] {
                set(&format!("ipv6/conf/default/{key}"), value)?;
            }
        } else if ipv6 {
            let missing = std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
            return Err(LabError::new("make a lab with IPv6", missing)
                .cure("set LabConfig::ipv6 to false, or boot without ipv6.disable=1"));
        }
        // Frames whose source address another end has too are what tests send.
        set("ipv4/conf/default/rp_filter", "0")?;
        set("ipv4/conf/all/rp_filter", "0")
    }

    /// Frames shall be on the veth as they would be on a wire.
    fn without_offloads(&self) -> Result<(), LabError> {
        use Offload::{Gro, Gso, ReceiveChecksum, TransmitChecksum, Tso};
        for offload in [Tso, Gso, TransmitChecksum, ReceiveChecksum, Gro] {
            self.set_offload(offload, false)?;
        }
        Ok(())
    }

    fn give_addresses(&self, other: &End, config: LabConfig) -> Result<(), LabError> {
        let mut links = self.links()?;
        let index = links.state(self.name)?.index;
        let mut addresses = vec![(IpAddr::from(self.ipv4()), PREFIX_BITS.0, other.ipv4().into())];
        if config.ipv6 {
            addresses.push((self.ipv6().into(), PREFIX_BITS.1, other.ipv6().into()));
        }
        for (own, prefix_bits, others) in addresses {
            links.add_address(index, own, prefix_bits)?;
            if config.neighbours {
                links.set_neighbour(index, others, other.mac())?;
            }
        }
        // One interface for the groups of a namespace.
        if self.network > 0 {
            return Ok(());
        }
        links.add_route(index, MULTICAST_V4.0, MULTICAST_V4.1)
    }
}

/// Asks `done` every few milliseconds, for at most `ms_max`.
fn wait(
    ms_max: u64,
    what: impl Fn() -> String,
    mut done: impl FnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let deadline = Instant::now() + Duration::from_millis(ms_max);
    while !done()? {
        if Instant::now() >= deadline {
            let late = std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
            return Err(LabError::new(what(), late));
        }
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
    Ok(())
}
