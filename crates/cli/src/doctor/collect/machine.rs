//! Memory, processors, and what kind of machine this is.

use super::super::facts::{HugePages, Memory, Platform, Processor};
use super::{cpu_list, names, number, text};

const CPU: &str = "/sys/devices/system/cpu";

pub(super) fn memory() -> Memory {
    let nodes = names("/sys/devices/system/node");
    let is_node =
        |name: &&String| name.strip_prefix("node").is_some_and(|n| n.parse::<u32>().is_ok());
    Memory {
        available_bytes: available(&text("/proc/meminfo").unwrap_or_default()),
        huge_2m: huge_pages("2048kB"),
        huge_1g: huge_pages("1048576kB"),
        numa_nodes: nodes.iter().filter(is_node).count().max(1),
    }
}

/// The line `MemAvailable` of /proc/meminfo, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn huge_pages(size: &str) -> Option<HugePages> {
    let folder = format!("/sys/kernel/mm/hugepages/hugepages-{size}");
    Some(HugePages {
        total: number(&format!("{folder}/nr_hugepages"))?,
        free: number(&format!("{folder}/free_hugepages"))?,
    })
}

pub(super) fn processor() -> Processor {
    let cpuinfo = text("/proc/cpuinfo").unwrap_or_default();
    let list = |file: &str| text(&format!("{CPU}/{file}")).map(|text| cpu_list(&text));
    let online = list("online").unwrap_or_default();
    let governor = |cpu: &usize| text(&format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"));
    let mut governors: Vec<String> = online.iter().filter_map(governor).collect();
    governors.sort();
    governors.dedup();
    let clock = "/sys/devices/system/clocksource/clocksource0";
    let sources = text(&format!("{clock}/available_clocksource")).unwrap_or_default();
    Processor {
        model: value_of(&cpuinfo, "model name").unwrap_or_default(),
        online,
        smt: number::<u8>(&format!("{CPU}/smt/active")).map(|active| active == 1),
        isolated: list("isolated").unwrap_or_default(),
        nohz_full: list("nohz_full").unwrap_or_default(),
        governors,
        clock_source: text(&format!("{clock}/current_clocksource")).unwrap_or_default(),
        clock_sources: sources.split_whitespace().map(str::to_owned).collect(),
        mitigated: mitigated(),
    }
}

/// The value of the first line `key : value`.
fn value_of(cpuinfo: &str, key: &str) -> Option<String> {
    let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
}

fn mitigated() -> Vec<String> {
    let folder = format!("{CPU}/vulnerabilities");
    let mut mitigated = names(&folder);
    mitigated.retain(|name| {
        text(&format!("{folder}/{name}")).is_some_and(|state| state.starts_with("Mitigation"))
    });
    mitigated
}

pub(super) fn platform() -> Platform {
    let cpuinfo = text("/proc/cpuinfo").unwrap_or_default();
    let flags = value_of(&cpuinfo, "flags").unwrap_or_default();
    let command_line = text("/proc/cmdline").unwrap_or_default();
    let dmi = |file: &str| text(&format!("/sys/class/dmi/id/{file}")).unwrap_or_default();
    let product = format!("{} {}", dmi("sys_vendor"), dmi("product_name"));
    Platform {
        virtual_machine: flags.split_whitespace().any(|flag| flag == "hypervisor"),
        product: product.trim().to_owned(),
        container: container(),
        iommus: names("/sys/class/iommu").len(),
        iommu_passthrough: command_line.split_whitespace().any(|word| word == "iommu=pt"),
        irqbalance: process("irqbalance"),
    }
}

/// The kind of container that this process runs in, by the marks that they leave.
fn container() -> Option<String> {
    if let Some(name) = text("/run/systemd/container").filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let found = marks.iter().find(|(path, _)| std::path::Path::new(path).exists());
    found.map(|(_, name)| (*name).to_owned())
}

/// The process of this name.
fn process(name: &str) -> Option<u32> {
    let mut ids = names("/proc").into_iter().filter_map(|id| id.parse::<u32>().ok());
    ids.find(|id| text(&format!("/proc/{id}/comm")).is_some_and(|comm| comm == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_in_bytes() {
        assert_eq!(available("MemFree: 1 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemAvailable: lots"), None);
    }

    #[test]
    fn values_of_cpuinfo() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast: very\n";
        assert_eq!(value_of(cpuinfo, "model name").as_deref(), Some("Fast: very"));
        assert_eq!(value_of(cpuinfo, "flags"), None);
    }
}
