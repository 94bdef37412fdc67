//! Chooses a port for an interface, and says why.
//!
//! The order is AF_XDP without a copy, AF_XDP with the kernel's copy, AF_PACKET. There are three
//! reasons to stop short of AF_XDP although it would work:
//!
//! * It takes frames *away* from the host: what its program redirects, the kernel's own stack never
//!   sees. To capture everything on an interface through which the machine is logged in to would
//!   cut it off. So on an interface that has addresses, AF_PACKET is the choice for jobs that take
//!   everything; a feed's own interface has none, and a job that selects UDP destinations takes
//!   only those away.
//! * Without XDP in the driver, its generic path costs more than AF_PACKET does.
//! * The program of somebody else is there, and we never touch it.
//!
//! A filter makes no difference to the choice: one such as `tcp` would take the login away, too.
//!
//! Who asks for a port by name gets that one or an error. AF_PACKET also shows what the machine
//! sends; AF_XDP shows only what arrives.

use crate::af_packet::{AfPacket, AfPacketConfig, KernelFilter, in_kernel};
use crate::af_xdp::{AfXdp, AfXdpConfig, Selection, queue_count};
use crate::interfaces::{self, Interface};
use crate::netdev;
use crate::{Mode, Port, PortError};
use rustix::thread::CapabilitySet;
use std::sync::Arc;
use tickwire_filter::ebpf::Sampling;
use tickwire_filter::{Filter, KernelPart};
use tickwire_frame::LinkType;

/// Transmit slots of an AF_PACKET port that is opened for sending too.
const TX_SLOTS: usize = 1024;

/// The rings of all AF_PACKET workers together, in bytes, and what each has at least.
const RINGS_BYTES: usize = 64 << 20;
const RING_BYTES_MIN: usize = 4 << 20;
/// One block that the kernel fills, and one that is read.
const RING_BLOCKS_MIN: usize = 2;

/// Which port to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortChoice {
    /// The best that this interface and these privileges allow.
    #[default]
    Auto,
    /// AF_XDP sockets, or an error.
    AfXdp,
    /// Packet sockets, or an error.
    AfPacket,
}

/// How to open it, whichever it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The receive queues to use, one worker each; all when there is no list. AF_PACKET has no
    /// queues: it spreads all frames over as many workers, by flow.
    pub queues: Option<Vec<u32>>,
    /// Which frames the job is about. AF_PACKET shows all of them in either case.
    pub selection: Selection,
    /// Longest part of a frame that is wanted, in bytes. AF_XDP gives frames whole.
    pub snap_len: u32,
    /// Frames that it rejects are not wanted. Where the kernel can run it, it does, as the mode
    /// says; frames that it rejects may still come, and all come whole, for who filters again.
    pub filter: Option<Arc<Filter>>,
    /// Whether to see frames for other stations too.
    pub promiscuous: bool,
    /// Whether to see what this machine sends, too. Only AF_PACKET can.
    pub outgoing: bool,
    /// Whether the job sends.
    pub transmit: bool,
    /// Size of the ring of each AF_PACKET worker in bytes, rounded up to whole blocks; by default
    /// 64 MiB are shared out, 4 to 32 MiB to each. The memory of AF_XDP is its UMEM.
    pub ring_bytes: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let packet = AfPacketConfig::new("");
        Options {
            queues: None,
            selection: Selection::All,
            snap_len: packet.snap_len,
            filter: None,
            promiscuous: false,
            outgoing: packet.outgoing,
            transmit: false,
            ring_bytes: None,
        }
    }
}

/// Open ports, one for each worker.
pub struct Opened {
    /// The ports. Their [`Port::mode`] says what is in force and why.
    pub ports: Vec<Box<dyn Port>>,
    /// The interface they stand on.
    pub interface: Interface,
    /// What the first byte of every frame means.
    pub link: LinkType,
    /// The mode of the first port, for the line at the start.
    pub mode: Mode,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("ports", &self.ports.len())
            .field("interface", &self.interface.name)
            .field("mode", &self.mode)
            .finish()
    }
}

/// Opens `interface`, which may be any of its names.
///
/// # Errors
/// When there is no such interface (the text lists those there are), or no port can be opened: the
/// text names what is missing and the command that mends it.
pub fn open(choice: PortChoice, interface: &str, options: &Options) -> Result<Opened, PortError> {
    let interface = interfaces::find(interface)?;
    if options.queues.as_ref().is_some_and(Vec::is_empty) {
        return Err(PortError::Unsupported {
            what: "an empty list of queues".into(),
            cure: "name at least one, or leave it out for all".into(),
        });
    }
    match choice {
        PortChoice::AfXdp => open_af_xdp(interface, options, ""),
        PortChoice::AfPacket => open_af_packet(interface, options, ""),
        PortChoice::Auto => match why_not_af_xdp(&Facts::find(&interface, options)) {
            Some(why) => open_af_packet(interface, options, &why),
            None => open_af_xdp(interface.clone(), options, "").or_else(|error| {
                open_af_packet(interface, options, &format!("af_xdp failed: {error}"))
            }),
        },
    }
}

/// What the choice depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    name: String,
    link: Option<LinkType>,
    is_loopback: bool,
    is_used_by_host: bool,
    takes_everything: bool,
    /// Capabilities that AF_XDP needs and this process does not have.
    missing: Vec<&'static str>,
    /// Whether the driver runs XDP and redirects to sockets; `None` when the kernel cannot say.
    native: Option<bool>,
    /// Whether an XDP program of somebody is attached.
    has_program: bool,
}

impl Facts {
    fn find(interface: &Interface, options: &Options) -> Facts {
        // Who cannot ask netlink does not know; then the attempt itself tells.
        let features = netdev::xdp_features(interface.index).ok().flatten();
        let attached = netdev::xdp_attached(interface.index).ok().flatten();
        Facts {
            name: interface.name.clone(),
            link: interface.link_type(),
            is_loopback: interface.is_loopback(),
            is_used_by_host: interface.is_used_by_host(),
            takes_everything: options.selection == Selection::All,
            missing: missing_capabilities(),
            native: features.map(|features| features.native && features.redirect),
            has_program: attached.is_some(),
        }
    }
}

/// The reason to take AF_PACKET, if there is one; the cure is in it where there is one.
fn why_not_af_xdp(facts: &Facts) -> Option<String> {
    let name = &facts.name;
    if facts.is_loopback {
        return Some("the loopback has no receive queue that XDP could stand on".into());
    }
    if facts.link != Some(LinkType::ETHERNET) {
        return Some(format!("{name} does not carry Ethernet frames"));
    }
    if facts.is_used_by_host && facts.takes_everything {
        return Some(format!(
            "the host has addresses on {name}, and af_xdp would take all its frames away from it \
             (--port af_xdp does so all the same)"
        ));
    }
    if !facts.missing.is_empty() {
        return Some(format!(
            "af_xdp needs {}: run as root, or once `{SETCAP}`",
            facts.missing.join(" and ")
        ));
    }
    if facts.has_program {
        return Some(format!(
            "an XDP program of somebody else is on {name} (`ip link show dev {name}` names it)"
        ));
    }
    if facts.native == Some(false) {
        return Some(format!("the driver of {name} has no XDP, and the generic one is slower"));
    }
    None
}

/// Gives a program file what all ports need, once.
const SETCAP: &str =
    "sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock+ep $(which tickwire)";

/// What AF_XDP needs: CAP_NET_RAW for the socket, CAP_NET_ADMIN to attach, CAP_BPF and
/// CAP_PERFMON to load.
fn missing_capabilities() -> Vec<&'static str> {
    let Ok(sets) = rustix::thread::capabilities(None) else { return Vec::new() };
    let has = |capability| sets.effective.contains(capability);
    [
        (has(CapabilitySet::NET_RAW), "CAP_NET_RAW"),
        (has(CapabilitySet::NET_ADMIN), "CAP_NET_ADMIN"),
        (has(CapabilitySet::BPF) || has(CapabilitySet::SYS_ADMIN), "CAP_BPF"),
        // The verifier lets only those add a header's length to a packet pointer.
        (has(CapabilitySet::PERFMON) || has(CapabilitySet::SYS_ADMIN), "CAP_PERFMON"),
    ]
    .into_iter()
    .filter_map(|(has, name)| (!has).then_some(name))
    .collect()
}

fn open_af_xdp(interface: Interface, options: &Options, why: &str) -> Result<Opened, PortError> {
    let config = AfXdpConfig {
        selection: options.selection.clone(),
        promiscuous: options.promiscuous,
        ..AfXdpConfig::new(interface.name.as_str())
    };
    let all = || (0..queue_count(&interface.name)).collect();
    let queues = options.queues.clone().unwrap_or_else(all);
    let (mut ports, place) = match &options.filter {
        None => (AfXdp::open(&config, &queues)?, None),
        Some(filter) => open_filtered(&config, &queues, filter)?,
    };
    for port in &mut ports {
        port.set_why(why);
        if let Some(place) = &place {
            port.set_filtering(place.as_deref().map_err(String::as_str));
        }
    }
    Ok(opened(ports, interface, LinkType::ETHERNET))
}

/// With the filter in the kernel, or without, and the reason.
#[allow(clippy::type_complexity)]
fn open_filtered(
    config: &AfXdpConfig,
    queues: &[u32],
    filter: &Filter,
) -> Result<(Vec<AfXdp>, Option<Result<String, String>>), PortError> {
    let why = match filter.xdp_part() {
        Err(refusal) => refusal.to_string(),
        Ok(KernelPart { program: xdp, rest }) => {
            let what = in_kernel(xdp.code().len(), rest.as_deref());
            let selection = Selection::Filter { filter: Arc::new(xdp), sampling: Sampling::All };
            match AfXdp::open(&AfXdpConfig { selection, ..config.clone() }, queues) {
                Ok(ports) => return Ok((ports, Some(Ok(what)))),
                Err(error) => error.to_string(),
            }
        }
    };
    Ok((AfXdp::open(config, queues)?, Some(Err(why))))
}

fn open_af_packet(interface: Interface, options: &Options, why: &str) -> Result<Opened, PortError> {
    let defaults = AfPacketConfig::new(interface.name.as_str());
    let filter = options.filter.as_ref().map(|filter| KernelFilter::new(filter));
    let workers = options.queues.as_ref().map_or_else(|| workers_for(&interface), Vec::len);
    let config = AfPacketConfig {
        snap_len: if filter.is_some() { defaults.snap_len } else { options.snap_len },
        filter: filter.clone().and_then(Result::ok),
        promiscuous: options.promiscuous,
        outgoing: options.outgoing,
        tx_slots: if options.transmit { TX_SLOTS } else { 0 },
        blocks: ring_blocks(options.ring_bytes, workers, &defaults),
        ..defaults
    };
    let mut ports = AfPacket::open(&config, workers)?;
    for port in &mut ports {
        port.set_why(why);
        if let Some(Err(why)) = &filter {
            port.filter_in_user_space(why);
        }
    }
    let link = ports[0].link_type();
    Ok(opened(ports, interface, link))
}

/// Blocks for each of so many workers. Rings are memory that cannot be swapped, so that of all
/// workers is bounded: the more share the traffic, the less each has to hold. What `defaults` give,
/// 32 MiB, carry a worker over a stall of 30 ms at 10 Gb/s; 4 MiB are the sixteen blocks that a
/// worker may lag behind by on a quiet link, which hands one over every 8 ms.
fn ring_blocks(ring_bytes: Option<usize>, workers: usize, defaults: &AfPacketConfig) -> usize {
    let blocks = |bytes: usize| bytes.div_ceil(defaults.block_bytes);
    match ring_bytes {
        Some(bytes) => blocks(bytes).max(RING_BLOCKS_MIN),
        None => blocks(RINGS_BYTES / workers.max(1)).clamp(blocks(RING_BYTES_MIN), defaults.blocks),
    }
}

/// As many workers as the interface has queues, but not more than there are cores for them.
fn workers_for(interface: &Interface) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(queue_count(&interface.name) as usize)
}

fn opened<P: Port + 'static>(ports: Vec<P>, interface: Interface, link: LinkType) -> Opened {
    let mode = ports[0].mode();
    let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
    Opened { ports, interface, link, mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_a_bounded_memory() {
        let defaults = AfPacketConfig::new("");
        let mib = |bytes: Option<usize>, workers: usize| {
            (ring_blocks(bytes, workers, &defaults) * defaults.block_bytes) >> 20
        };
        let by_default = [1, 2, 4, 8, 16, 64].map(|workers| mib(None, workers));
        assert_eq!(by_default, [32, 32, 16, 8, 4, 4]);
        assert_eq!((mib(Some(100 << 20), 8), mib(Some(8 << 20), 1)), (100, 8));
        assert_eq!(ring_blocks(Some(1), 1, &defaults), RING_BLOCKS_MIN);
    }

    /// A feed's own interface, with all rights: nothing speaks against AF_XDP.
    fn ideal() -> Facts {
        Facts {
            name: "eth1".into(),
            link: Some(LinkType::ETHERNET),
            is_loopback: false,
            is_used_by_host: false,
            takes_everything: true,
            missing: Vec::new(),
            native: Some(true),
            has_program: false,
        }
    }

    #[test]
    fn af_xdp_where_nothing_speaks_against_it() {
        assert_eq!(why_not_af_xdp(&ideal()), None);
        assert_eq!(why_not_af_xdp(&Facts { native: None, ..ideal() }), None, "try and see");
        let selective = Facts { is_used_by_host: true, takes_everything: false, ..ideal() };
        assert_eq!(why_not_af_xdp(&selective), None, "the host keeps all but the feed");
    }

    #[test]
    fn each_reason_against_it_is_said() {
        let rows = [
            (Facts { is_loopback: true, ..ideal() }, "loopback"),
            (Facts { link: Some(LinkType::RAW), ..ideal() }, "does not carry Ethernet"),
            (Facts { link: None, ..ideal() }, "does not carry Ethernet"),
            (Facts { is_used_by_host: true, ..ideal() }, "--port af_xdp"),
            (Facts { missing: vec!["CAP_BPF"], ..ideal() }, "needs CAP_BPF: run as root, or once"),
            (Facts { missing: vec!["CAP_NET_ADMIN", "CAP_BPF"], ..ideal() }, "sudo setcap cap_net"),
            (Facts { has_program: true, ..ideal() }, "ip link show dev eth1"),
            (Facts { native: Some(false), ..ideal() }, "driver of eth1 has no XDP"),
        ];
        for (facts, expected) in rows {
            let why = why_not_af_xdp(&facts).expect(expected);
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_wrong_name_lists_the_interfaces() {
        let error = open(PortChoice::Auto, "no-such", &Options::default()).unwrap_err();
        assert!(error.to_string().contains("there are: lo"), "{error}");
    }
}
