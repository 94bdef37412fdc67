//! What doctor measures: plain values, no judgement. `None` means that the system does not say.

use serde::Serialize;

/// Everything that was collected on this machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    pub kernel: Kernel,
    pub rights: Rights,
    pub limits: Limits,
    pub memory: Memory,
    pub processor: Processor,
    pub platform: Platform,
    pub interfaces: Vec<Interface>,
    /// Names that were asked for and that no interface has.
    pub missing: Vec<String>,
    /// Interfaces that nobody asked for and that are down: not examined.
    pub down: Vec<String>,
}

/// What happened when something was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    #[default]
    NotTried,
    Works,
    /// Refused with this error number.
    Refused(i32),
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: String,
    /// As `uname -m` prints it.
    pub machine: String,
    /// A socket of family AF_XDP.
    pub af_xdp: Probe,
    /// A socket of family AF_PACKET, type SOCK_RAW.
    pub af_packet: Probe,
    /// A program of two instructions, loaded and never attached.
    pub bpf_load: Probe,
    pub bpf_jit_enable: Option<u64>,
    pub bpf_jit_harden: Option<u64>,
    pub unprivileged_bpf_disabled: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Rights {
    pub uid: u32,
    /// The effective capabilities, one bit each (capabilities(7)).
    pub effective: u64,
    /// Where the program is, for `setcap`.
    pub executable: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Limits {
    /// RLIMIT_MEMLOCK, soft; `None` is unlimited.
    pub memlock_bytes: Option<u64>,
    /// RLIMIT_NOFILE, soft; `None` is unlimited.
    pub nofile: Option<u64>,
    pub rmem_max: Option<u64>,
    pub wmem_max: Option<u64>,
    pub optmem_max: Option<u64>,
    pub busy_poll_us: Option<u64>,
    pub netdev_max_backlog: Option<u64>,
    pub igmp_max_memberships: Option<u64>,
}

/// One size of huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HugePages {
    pub total: u64,
    pub free: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    pub available_bytes: Option<u64>,
    pub huge_2m: Option<HugePages>,
    pub huge_1g: Option<HugePages>,
    pub numa_nodes: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Processor {
    pub model: String,
    /// Processors that are online.
    pub online: Vec<usize>,
    /// Whether two threads share a core now.
    pub smt: Option<bool>,
    pub isolated: Vec<usize>,
    pub nohz_full: Vec<usize>,
    /// The frequency governors in use, each once.
    pub governors: Vec<String>,
    pub clock_source: String,
    pub clock_sources: Vec<String>,
    /// Names of the vulnerabilities that the kernel works around at some cost.
    pub mitigated: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Platform {
    /// The processor says that a hypervisor runs it.
    pub virtual_machine: bool,
    /// Vendor and product of the (virtual) machine.
    pub product: String,
    /// `docker`, `podman`, `lxc`, …
    pub container: Option<String>,
    pub iommus: usize,
    /// The kernel was started with `iommu=pt`.
    pub iommu_passthrough: bool,
    /// Process id of a running irqbalance.
    pub irqbalance: Option<u32>,
}

/// A count in force now, and the most that the driver accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub now: u32,
    pub max: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Channels {
    pub rx: Setting,
    pub tx: Setting,
    pub combined: Setting,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rings {
    pub rx: Setting,
    pub tx: Setting,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coalesce {
    pub rx_usecs: u32,
    pub rx_frames: u32,
    pub adaptive_rx: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timestamping {
    pub rx_software: bool,
    pub rx_hardware: bool,
    pub rx_hardware_all: bool,
    pub phc: Option<u32>,
}

/// What the driver says it can do with XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct XdpFeatures {
    pub native: bool,
    pub redirect: bool,
    pub zero_copy: bool,
    pub multi_buffer: bool,
}

/// The XDP program that is attached now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// `native`, `generic`, `offloaded`, `several`.
    pub mode: &'static str,
    pub program_id: u32,
    /// Its name, when we may know it.
    pub program_name: Option<String>,
}

/// One interrupt of the card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Irq {
    pub number: u32,
    /// As /proc/interrupts names it.
    pub name: String,
    /// Where it may fire.
    pub allowed: Vec<usize>,
    /// Where it fires now.
    pub effective: Vec<usize>,
}

/// An offload feature that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offload {
    pub name: String,
    pub active: bool,
    pub changeable: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub loopback: bool,
    /// The host has addresses on it: taking all frames away would cut it off.
    pub used_by_host: bool,
    /// Name of the driver; empty when there is none.
    pub driver: String,
    pub bus: String,
    /// Somebody has set it up (IFF_UP).
    pub up: bool,
    pub carrier: Option<bool>,
    /// Megabits per second.
    pub speed_mbps: Option<u32>,
    pub mtu: u32,
    pub rx_queues: usize,
    pub tx_queues: usize,
    pub channels: Option<Channels>,
    pub rings: Option<Rings>,
    pub coalesce: Option<Coalesce>,
    pub timestamping: Option<Timestamping>,
    pub offloads: Vec<Offload>,
    pub xdp: Option<XdpFeatures>,
    pub attached: Option<Attached>,
    pub numa_node: Option<u32>,
    /// The processors of that node.
    pub node_cpus: Vec<usize>,
    /// /sys is that of another network namespace: speed, queues, NUMA node, interrupts and the
    /// `napi` settings are unknown.
    pub sysfs_elsewhere: bool,
    pub irqs: Vec<Irq>,
    pub napi_defer_hard_irqs: Option<u64>,
    pub gro_flush_timeout_ns: Option<u64>,
}

impl Interface {
    /// Whether this offload is there and on.
    pub fn offload_on(&self, name: &str) -> bool {
        self.offloads.iter().any(|offload| offload.name == name && offload.active)
    }
}
