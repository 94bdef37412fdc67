//! One interface: link, queues, rings, offloads, interrupts.

use super::super::facts::{Facts, Interface};
use super::super::finding::{Finding, Status};
use super::driver::{XDP_MTU_MAX, halves_queues};
use super::{count, ranges, xdp};

/// Descriptors enough for a burst; more only spill the caches.
const RING_ENTRIES_WANTED: u32 = 4096;
/// Beyond this an interrupt delays a packet more than the kernel's whole path does.
const COALESCE_USECS_MAX: u32 = 10;

pub(super) fn judge(facts: &Facts, interface: &Interface) -> Vec<Finding> {
    let mut findings = vec![link(interface)];
    findings.push(xdp::support(facts, interface));
    findings.push(xdp::program(interface));
    findings.push(mtu(interface));
    if interface.loopback {
        return findings;
    }
    findings.extend(elsewhere(interface));
    findings.extend(queues(facts, interface));
    findings.extend(rings(interface));
    findings.extend(offloads(interface));
    findings.extend(coalesce(interface));
    findings.extend(timestamps(interface));
    findings.extend(numa(facts, interface));
    findings.extend(irqs(facts, interface));
    findings.extend(busy_poll(interface));
    findings
}

/// /sys is another namespace's: what is missing below is not known, and not fine.
fn elsewhere(interface: &Interface) -> Option<Finding> {
    let text = "/sys shows another network namespace: speed, NUMA node, interrupts and NAPI \
                settings are not known.";
    let finding = Finding::new("interface.sysfs", text.to_owned()).rated(Status::Note);
    let mend = format!(
        "unshare -m sh -c 'mount -t sysfs sysfs /sys && tickwire doctor {}'",
        interface.name
    );
    interface.sysfs_elsewhere.then(|| finding.mend(mend))
}

fn link(interface: &Interface) -> Finding {
    let name = &interface.name;
    let driver = match interface.driver.as_str() {
        "" => String::new(),
        driver => format!(" ({driver})"),
    };
    let finding = |text: String| Finding::new("interface.link", text);
    match (interface.up, interface.carrier, interface.speed_mbps) {
        (false, ..) => finding(format!("{name}{driver} is down."))
            .rated(Status::Fail)
            .mend(format!("ip link set dev {name} up")),
        (true, Some(false), _) => {
            finding(format!("{name}{driver} is up, but nothing is at the other end of the wire."))
                .rated(Status::Warn)
                .mend(format!("ethtool {name}   # see 'Link detected'; check cable and peer"))
        }
        (true, _, Some(speed)) if speed >= 1000 && speed % 1000 == 0 => {
            finding(format!("{name}{driver} is up at {} Gb/s.", speed / 1000))
        }
        (true, _, Some(speed)) => finding(format!("{name}{driver} is up at {speed} Mb/s.")),
        (true, ..) => finding(format!("{name}{driver} is up.")),
    }
}

fn queues(facts: &Facts, interface: &Interface) -> Option<Finding> {
    let cpus = facts.processor.online.len() as u32;
    let finding = |text: String| Finding::new("interface.queues", text);
    let plain = || finding(format!("{}.", count(interface.rx_queues as u64, "receive queue")));
    let Some(channels) = interface.channels else {
        return (!interface.sysfs_elsewhere).then(plain);
    };
    let (queues, option) = match channels.combined.max {
        0 => (channels.rx, "rx"),
        _ => (channels.combined, "combined"),
    };
    if queues.max == 0 {
        return (!interface.sysfs_elsewhere).then(plain);
    }
    let text = format!("{} of {} in use", queues.now, count(queues.max, "queue"));
    let wanted = queues.max.min(cpus.max(1));
    let mend = format!("ethtool -L {} {option} {wanted}", interface.name);
    // Drivers that need half of their queues for XDP are judged there.
    let halved = halves_queues(interface);
    Some(if queues.now < wanted && !halved {
        finding(format!("{text}: {} could work.", count(wanted, "worker")))
            .rated(Status::Note)
            .mend(mend)
    } else if queues.now > cpus && !halved {
        finding(format!("{text}, but there are only {}.", count(cpus, "CPU")))
            .rated(Status::Note)
            .mend(mend)
    } else {
        finding(text + ".")
    })
}

fn rings(interface: &Interface) -> Option<Finding> {
    let rx = interface.rings?.rx;
    if rx.max == 0 {
        return None;
    }
    let wanted = rx.max.min(RING_ENTRIES_WANTED);
    let finding = |text: String| Finding::new("interface.rings", text);
    let text = format!("The card holds {} frames a queue, of {} possible", rx.now, rx.max);
    Some(if rx.now < wanted {
        finding(text + ": a burst may overrun it.")
            .rated(Status::Note)
            .mend(format!("ethtool -G {} rx {wanted}", interface.name))
    } else {
        finding(text + ".")
    })
}

fn mtu(interface: &Interface) -> Finding {
    let mtu = interface.mtu;
    let finding = |text: String| Finding::new("interface.mtu", text);
    if mtu <= XDP_MTU_MAX || interface.loopback {
        return finding(format!("MTU {mtu}."));
    }
    finding(format!(
        "MTU {mtu}: frames beyond one page do not fit into af_xdp's memory and count as \
         xsk_rx_dropped; af_packet takes them whole."
    ))
    .rated(Status::Warn)
    .mend(format!("ip link set dev {} mtu {XDP_MTU_MAX}", interface.name))
}

/// Offloads that change what a capture sees: kernel's name, what it does, name for `ethtool -K`.
const OFFLOADS: [(&str, &str, &str, &str, Status); 4] = [
    (
        "interface.lro",
        "rx-lro",
        "The card merges TCP segments (LRO): captured packets are not those of the wire",
        "lro",
        Status::Warn,
    ),
    (
        "interface.gro_hw",
        "rx-gro-hw",
        "The card merges TCP segments (GRO-HW): captured packets are not those of the wire",
        "rx-gro-hw",
        Status::Warn,
    ),
    (
        "interface.gro",
        "rx-gro",
        "The kernel merges TCP segments (GRO) before af_packet sees them; UDP stays as it is",
        "gro",
        Status::Note,
    ),
    (
        "interface.vlan",
        "rx-vlan-hw-parse",
        "The card takes VLAN tags off: af_packet puts them back, XDP programs do not see them",
        "rxvlan",
        Status::Note,
    ),
];

fn offloads(interface: &Interface) -> Vec<Finding> {
    let on = OFFLOADS.iter().filter(|(_, name, ..)| interface.offload_on(name));
    let mut findings: Vec<Finding> = on
        .map(|&(id, name, text, option, status)| {
            let finding = Finding::new(id, format!("{text}.")).rated(status);
            let fixed = interface.offloads.iter().any(|o| o.name == name && !o.changeable);
            let command = format!("ethtool -K {} {option} off", interface.name);
            if fixed { finding } else { finding.mend(command) }
        })
        .collect();
    if let Some(checksum) = interface.offloads.iter().find(|o| o.name == "rx-checksum") {
        let who = if checksum.active { "The card" } else { "The kernel, not the card," };
        let text = format!("{who} verifies checksums of received packets.");
        findings.push(Finding::new("interface.checksum", text));
    }
    findings
}

fn coalesce(interface: &Interface) -> Option<Finding> {
    let coalesce = interface.coalesce?;
    let finding = |text: String| Finding::new("interface.coalesce", text);
    let mend = format!("ethtool -C {} adaptive-rx off rx-usecs 0", interface.name);
    Some(if coalesce.adaptive_rx {
        finding("The card decides by itself how long it holds an interrupt back (adaptive).".into())
            .rated(Status::Note)
            .mend(mend)
    } else if coalesce.rx_usecs > COALESCE_USECS_MAX {
        finding(format!(
            "The card holds an interrupt back for up to {} µs: good for throughput, not for \
             latency.",
            coalesce.rx_usecs
        ))
        .rated(Status::Note)
        .mend(mend)
    } else if coalesce.rx_usecs == 0 {
        finding("The card interrupts at once.".into())
    } else {
        finding(format!("The card interrupts within {} µs.", coalesce.rx_usecs))
    })
}

fn timestamps(interface: &Interface) -> Option<Finding> {
    let stamps = interface.timestamping?;
    let clock = stamps.phc.map(|phc| format!(" (/dev/ptp{phc})")).unwrap_or_default();
    let finding = |text: String| Finding::new("interface.timestamps", text);
    Some(match (stamps.rx_hardware_all, stamps.rx_hardware, stamps.rx_software) {
        (true, ..) => finding(format!("The card can stamp the time of every packet{clock}.")),
        (_, true, _) => {
            finding(format!("The card can stamp packets of PTP{clock}; the kernel the others."))
        }
        (.., true) => finding("The kernel stamps packets; the card has no clock.".into()),
        _ => finding("Nobody but us stamps packets, when they are read.".into()),
    })
}

fn numa(facts: &Facts, interface: &Interface) -> Option<Finding> {
    let node = interface.numa_node.filter(|_| facts.memory.numa_nodes > 1)?;
    let text = format!(
        "The card is at NUMA node {node}: workers belong on CPUs {}.",
        ranges(&interface.node_cpus)
    );
    Some(Finding::new("interface.numa", text))
}

fn irqs(facts: &Facts, interface: &Interface) -> Option<Finding> {
    let irqs = &interface.irqs;
    let first = irqs.first()?;
    let mut cpus: Vec<usize> = irqs.iter().flat_map(|irq| irq.effective.clone()).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let finding = |text: String| Finding::new("interface.irqs", text);
    let where_ = format!("{} on {}", count(irqs.len() as u64, "interrupt"), named(&cpus));
    let far = |cpu: &usize| !interface.node_cpus.contains(cpu);
    let several_nodes = facts.memory.numa_nodes > 1 && !interface.node_cpus.is_empty();
    let isolated = |cpu: &usize| facts.processor.isolated.contains(cpu);
    let pin = |cpu: usize| format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", first.number);
    Some(if several_nodes && cpus.iter().any(far) {
        finding(format!(
            "{where_}; the card's own NUMA node has CPUs {}.",
            ranges(&interface.node_cpus)
        ))
        .rated(Status::Warn)
        .mend(spread(irqs, &interface.node_cpus))
    } else if irqs.len() > 1 && cpus.len() == 1 && facts.processor.online.len() > 1 {
        finding(format!("{where_}: one CPU serves them all."))
            .rated(Status::Warn)
            .mend(spread(irqs, &facts.processor.online))
    } else if cpus.iter().any(isolated) && irqs.len() == 1 {
        finding(format!("{where_}, which is isolated for workers."))
            .rated(Status::Note)
            .mend(pin(facts.processor.online.first().copied().unwrap_or(0)))
    } else {
        finding(where_ + ".")
    })
}

/// `CPU 3`, `CPUs 0-2`.
fn named(cpus: &[usize]) -> String {
    format!("CPU{} {}", if cpus.len() == 1 { "" } else { "s" }, ranges(cpus))
}

/// Commands that place the interrupts on these CPUs in turn.
fn spread(irqs: &[super::super::facts::Irq], cpus: &[usize]) -> String {
    /// More than this many commands nobody reads: the others go the same way.
    const COMMANDS_MAX: usize = 4;
    let pairs = irqs.iter().zip(cpus.iter().cycle()).take(COMMANDS_MAX);
    let commands: Vec<String> = pairs
        .map(|(irq, cpu)| format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", irq.number))
        .collect();
    let more = if irqs.len() > COMMANDS_MAX { "; …" } else { "" };
    commands.join("; ") + more
}

fn busy_poll(interface: &Interface) -> Option<Finding> {
    let (defer, timeout) = (interface.napi_defer_hard_irqs?, interface.gro_flush_timeout_ns?);
    let finding = |text: String| Finding::new("interface.busy_poll", text);
    if defer > 0 && timeout > 0 {
        let text = format!(
            "Interrupts stay off while a worker polls ({defer} empty polls, {} µs).",
            timeout / 1000
        );
        return Some(finding(text));
    }
    let folder = format!("/sys/class/net/{}", interface.name);
    let text = "Interrupts and a busy-polling worker would get in each other's way.";
    Some(finding(text.into()).rated(Status::Note).mend(format!(
        "echo 2 > {folder}/napi_defer_hard_irqs; echo 200000 > {folder}/gro_flush_timeout"
    )))
}
