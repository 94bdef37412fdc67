//! The interfaces: driver, link, queues, offloads, XDP, interrupts.

use super::super::facts::{
    Attached, Channels, Coalesce, Interface, Irq, Offload, Rings, Setting, Timestamping,
    XdpFeatures,
};
use super::{cpu_list, names, number, text};
use tickwire_capture::bpf::ProgramInfo;
use tickwire_capture::ethtool::{self, Ethtool};
use tickwire_capture::interfaces;
use tickwire_capture::netdev::{self, XdpMode};

/// The offloads that doctor judges, by the kernel's names.
const OFFLOADS: [&str; 6] =
    ["rx-gro", "rx-gro-hw", "rx-lro", "rx-checksum", "rx-vlan-hw-parse", "rx-gro-list"];

/// Interfaces, names that nobody has, and interfaces that are down and were not asked for.
pub(super) fn collect(named: &[String], max: usize) -> (Vec<Interface>, Vec<String>, Vec<String>) {
    // Not the names in /sys/class/net: those are of the network namespace that mounted /sys, which
    // need not be ours (nsenter, unshare).
    let all = interfaces::list().unwrap_or_default();
    let ours = sysfs_shows(&all);
    let interface = |name: &String| interface(name, ours);
    let mut there: Vec<String> = all.into_iter().map(|found| found.name).collect();
    there.sort();
    if !named.is_empty() {
        let (found, missing): (Vec<_>, Vec<_>) =
            named.iter().cloned().partition(|name| there.contains(name));
        return (found.iter().map(interface).collect(), missing, Vec::new());
    }
    let is = |name: &str, what: fn(&interfaces::Interface) -> bool| {
        interfaces::find(name).is_ok_and(|found| what(&found))
    };
    let real = there.into_iter().filter(|name| !is(name, interfaces::Interface::is_loopback));
    let (up, down): (Vec<_>, Vec<_>) =
        real.partition(|name| is(name, interfaces::Interface::is_up));
    let (examined, rest) = up.split_at(up.len().min(max));
    let left = rest.iter().cloned().chain(down).collect();
    (examined.iter().map(interface).collect(), Vec::new(), left)
}

/// Whether /sys shows these interfaces. It shows those of the network namespace that mounted it,
/// and says nowhere which that is; two namespaces with the same names, indexes and addresses differ
/// in nothing that matters here.
fn sysfs_shows(all: &[interfaces::Interface]) -> bool {
    const FOLDER: &str = "/sys/class/net";
    let is_interface = |name: &&String| text(&format!("{FOLDER}/{name}/ifindex")).is_some();
    let shown = names(FOLDER).iter().filter(is_interface).count();
    let is_shown = |interface: &interfaces::Interface| {
        let file = |file: &str| format!("{FOLDER}/{}/{file}", interface.name);
        let mac = interface.mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
        number(&file("ifindex")) == Some(interface.index)
            && text(&file("address")).is_some_and(|address| address == mac.join(":"))
    };
    shown == all.len() && all.iter().all(is_shown)
}

/// What can be told of an interface; `sysfs` says whether /sys may be asked.
fn interface(name: &str, sysfs: bool) -> Interface {
    // A folder that is not there: then nothing that it would say is known.
    let folder =
        if sysfs { format!("/sys/class/net/{name}") } else { String::from("/nonexistent") };
    let file = |file: &str| format!("{folder}/{file}");
    let found = interfaces::find(name).ok();
    let is = |what: fn(&interfaces::Interface) -> bool| found.as_ref().is_some_and(what);
    let running = || (!sysfs).then(|| is(interfaces::Interface::is_running));
    let queues = names(&file("queues"));
    let count = |prefix| queues.iter().filter(|queue| queue.starts_with(prefix)).count();
    let index = found.as_ref().map_or(0, |found| found.index);
    let node: Option<u32> = number(&file("device/numa_node"));
    let node_cpus = node.and_then(|n| text(&format!("/sys/devices/system/node/node{n}/cpulist")));
    let mut interface = Interface {
        name: name.to_owned(),
        index,
        loopback: is(interfaces::Interface::is_loopback),
        used_by_host: is(interfaces::Interface::is_used_by_host),
        up: is(interfaces::Interface::is_up),
        carrier: number::<u8>(&file("carrier")).map(|carrier| carrier == 1).or_else(running),
        speed_mbps: number::<u32>(&file("speed")).filter(|&speed| speed != u32::MAX),
        mtu: found.as_ref().map_or(0, |found| found.mtu),
        rx_queues: count("rx-"),
        tx_queues: count("tx-"),
        xdp: netdev::xdp_features(index).ok().flatten().map(features),
        attached: netdev::xdp_attached(index).ok().flatten().map(attached),
        numa_node: node,
        node_cpus: node_cpus.map(|list| cpu_list(&list)).unwrap_or_default(),
        irqs: if sysfs { irqs(&folder, name) } else { Vec::new() },
        sysfs_elsewhere: !sysfs,
        napi_defer_hard_irqs: number(&file("napi_defer_hard_irqs")),
        gro_flush_timeout_ns: number(&file("gro_flush_timeout")),
        ..Interface::default()
    };
    if let Ok(ethtool) = Ethtool::open() {
        ask_driver(&ethtool, &mut interface);
    }
    interface
}

/// Fills in what only the driver knows.
fn ask_driver(ethtool: &Ethtool, interface: &mut Interface) {
    let name = interface.name.as_str();
    if let Ok(driver) = ethtool.driver(name) {
        (interface.driver, interface.bus) = (driver.name, driver.bus);
    }
    interface.channels = ethtool.channels(name).ok().map(|channels| Channels {
        rx: setting(channels.rx),
        tx: setting(channels.tx),
        combined: setting(channels.combined),
    });
    let rings = ethtool.rings(name).ok();
    interface.rings = rings.map(|rings| Rings { rx: setting(rings.rx), tx: setting(rings.tx) });
    interface.coalesce = ethtool.coalesce(name).ok().map(|coalesce| Coalesce {
        rx_usecs: coalesce.rx_usecs,
        rx_frames: coalesce.rx_frames,
        adaptive_rx: coalesce.adaptive_rx,
    });
    interface.timestamping = ethtool.timestamping(name).ok().map(|stamps| Timestamping {
        rx_software: stamps.rx_software,
        rx_hardware: stamps.rx_hardware,
        rx_hardware_all: stamps.rx_hardware_all,
        phc: stamps.phc,
    });
    let features = ethtool.features(name).unwrap_or_default().into_iter();
    interface.offloads = features
        .filter(|feature| OFFLOADS.contains(&feature.name.as_str()))
        .map(|feature| Offload {
            name: feature.name,
            active: feature.active,
            changeable: feature.changeable,
        })
        .collect();
}

fn setting(setting: ethtool::Setting) -> Setting {
    Setting { now: setting.now, max: setting.max }
}

fn features(features: netdev::XdpFeatures) -> XdpFeatures {
    XdpFeatures {
        native: features.native,
        redirect: features.redirect,
        zero_copy: features.zero_copy,
        multi_buffer: features.multi_buffer,
    }
}

fn attached(attached: netdev::XdpAttached) -> Attached {
    Attached {
        mode: match attached.mode {
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
            XdpMode::Offloaded => "offloaded",
            XdpMode::Several => "several",
        },
        program_id: attached.program_id,
        program_name: ProgramInfo::by_id(attached.program_id).ok().map(|info| info.name),
    }
}

/// The interrupts of a card: its own, or those of the virtio device that carries it.
fn irqs(folder: &str, interface: &str) -> Vec<Irq> {
    let table = text("/proc/interrupts").unwrap_or_default();
    let own = names(&format!("{folder}/device/msi_irqs"));
    let numbers = if own.is_empty() { names(&format!("{folder}/device/../msi_irqs")) } else { own };
    let numbers: Vec<u32> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let cpus = |number: u32, file: &str| {
        text(&format!("/proc/irq/{number}/{file}")).map(|list| cpu_list(&list)).unwrap_or_default()
    };
    let of_card = |(number, name): (u32, String)| {
        let ours = numbers.contains(&number) || (numbers.is_empty() && name.contains(interface));
        (ours && carries_packets(&name)).then(|| Irq {
            allowed: cpus(number, "smp_affinity_list"),
            effective: cpus(number, "effective_affinity_list"),
            number,
            name,
        })
    };
    interrupts(&table).filter_map(of_card).collect()
}

/// Whether an interrupt of this name is one of a queue, not of the card's management.
fn carries_packets(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let management = ["config", "async", "mgmnt", "mgmt", "control", "event", "misc", "aux"];
    !management.iter().any(|word| name.contains(word))
}

/// Number and name of each numbered line of /proc/interrupts.
fn interrupts(table: &str) -> impl Iterator<Item = (u32, String)> {
    table.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let name = rest.split_whitespace().next_back()?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_have_numbers_and_names() {
        let table =
            "      CPU0  CPU1\n 41: 1 0 PCI-MSIX-0000:00:04.0 1-edge virtio3-rx\nNMI: 0 0 N\n";
        let all: Vec<_> = interrupts(table).collect();
        assert_eq!(all, [(41, "virtio3-rx".to_owned())]);
    }

    #[test]
    fn management_interrupts_carry_no_packets() {
        for name in ["virtio3-config", "ena-mgmnt@pci:0000:00:05.0", "mlx5_async@pci:0000:03:00.0"]
        {
            assert!(!carries_packets(name), "{name}");
        }
        for name in ["virtio3-rx", "virtio0-input.0", "eth0-Tx-Rx-0", "mlx5_comp3@pci:0000:03:00.0"]
        {
            assert!(carries_packets(name), "{name}");
        }
    }
}
