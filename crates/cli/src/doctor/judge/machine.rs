//! Memory, processors, and the kind of machine.

use super::super::facts::{Facts, Processor};
use super::super::finding::{Finding, Status};
use super::{bytes, count, ranges};

/// Packet memory, an engine and a writer, with the system beside them.
const MEMORY_BYTES_MIN: u64 = 256 << 20;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = memory(facts).into_iter().collect();
    findings.push(huge_pages(facts));
    findings.push(cpus(&facts.processor));
    findings.push(isolation(&facts.processor));
    findings.extend(governor(facts));
    findings.push(clock(&facts.processor));
    findings.extend(smt(&facts.processor));
    findings.extend(mitigations(&facts.processor));
    findings.push(machine(facts));
    findings.extend(container(facts));
    findings.extend(iommu(facts));
    findings.extend(irqbalance(facts));
    findings
}

fn memory(facts: &Facts) -> Option<Finding> {
    let available = facts.memory.available_bytes?;
    let finding = Finding::new("memory.available", format!("{} are free.", bytes(available)));
    let low = available < MEMORY_BYTES_MIN;
    Some(finding.rated(if low { Status::Warn } else { Status::Ok }))
}

fn huge_pages(facts: &Facts) -> Finding {
    let (small, large) = (facts.memory.huge_2m, facts.memory.huge_1g.unwrap_or_default());
    let finding = |text: String| Finding::new("memory.huge_pages", text);
    match small {
        None => finding("This kernel has no huge pages of 2 MiB.".into()).rated(Status::Note),
        Some(pages) if pages.free > 0 || large.free > 0 => finding(format!(
            "{} of {} huge pages of 2 MiB are free, {} of {} of 1 GiB.",
            pages.free, pages.total, large.free, large.total
        )),
        Some(pages) => finding(format!(
            "{}: packet memory takes pages of 4 KiB, and more time to find them.",
            match pages.total {
                0 => "No huge pages are set aside".to_owned(),
                total => format!("All {} of 2 MiB are taken", count(total, "huge page")),
            }
        ))
        .rated(Status::Note)
        .mend(format!("sysctl -w vm.nr_hugepages={}", pages.total + 64)),
    }
}

fn cpus(processor: &Processor) -> Finding {
    let online = processor.online.len();
    let model = if processor.model.is_empty() { "unknown model" } else { &processor.model };
    let finding = |text: String| Finding::new("cpu.count", text);
    if online < 2 {
        let text = format!("1 CPU ({model}): capture and everything else share it.");
        return finding(text).rated(Status::Warn);
    }
    finding(format!("{online} CPUs are online ({model})."))
}

fn isolation(processor: &Processor) -> Finding {
    let finding = |text: String| Finding::new("cpu.isolated", text);
    let isolated = ranges(&processor.isolated);
    if processor.isolated.is_empty() {
        let text = "No CPU is kept free of other tasks (isolcpus); workers share theirs.";
        let finding = finding(text.into()).rated(Status::Note);
        // The first CPU stays with the system; on larger machines the first quarter.
        let keep = (processor.online.len() / 4).max(1);
        let Some(free) = processor.online.get(keep..).filter(|free| !free.is_empty()) else {
            return finding;
        };
        return finding.mend(boot(&format!(
            "isolcpus=managed_irq,domain,{0} nohz_full={0} rcu_nocbs={0}",
            ranges(free)
        )));
    }
    let ticks = |cpu: &usize| !processor.nohz_full.contains(cpu);
    let ticking: Vec<usize> = processor.isolated.iter().copied().filter(ticks).collect();
    if ticking.is_empty() {
        return finding(format!("CPUs {isolated} are isolated, without a timer tick."));
    }
    finding(format!(
        "CPUs {isolated} are isolated, but the timer still interrupts {} (nohz_full).",
        ranges(&ticking)
    ))
    .rated(Status::Note)
    .mend(boot(&format!("nohz_full={isolated} rcu_nocbs={isolated}")))
}

/// How to add words to the kernel's command line.
fn boot(words: &str) -> String {
    format!(
        "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {words}\"' >> /etc/default/grub && \
         update-grub && reboot"
    )
}

fn governor(facts: &Facts) -> Option<Finding> {
    let governors = &facts.processor.governors;
    let finding = |text: String| Finding::new("cpu.governor", text);
    match governors.as_slice() {
        [] if facts.platform.virtual_machine => {
            Some(finding("The host of this virtual machine sets the CPU frequency.".into()))
        }
        [] => None,
        [only] if only == "performance" => {
            Some(finding("The frequency governor is performance.".into()))
        }
        some => Some(
            finding(format!(
                "The frequency governor is {}: the first packets of a burst meet a slow CPU.",
                some.join(" and ")
            ))
            .rated(Status::Warn)
            .mend("echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
        ),
    }
}

fn clock(processor: &Processor) -> Finding {
    let now = processor.clock_source.as_str();
    let finding = |text: String| Finding::new("cpu.clock", text);
    let command = "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource";
    let has_tsc = processor.clock_sources.iter().any(|source| source == "tsc");
    let judged = match now {
        "" => return finding("The clock source is not known.".into()).rated(Status::Note),
        "tsc" | "arch_sys_counter" => {
            return finding(format!("The clock source is {now}: some 20 ns a reading."));
        }
        "kvm-clock" | "hyperv_clocksource_tsc_page" => finding(format!(
            "The clock source is {now}: a little slower than tsc, and steered by the host."
        ))
        .rated(Status::Note),
        _ => finding(format!("The clock source is {now}: each reading is a system call."))
            .rated(Status::Warn),
    };
    if has_tsc { judged.mend(command) } else { judged }
}

fn smt(processor: &Processor) -> Option<Finding> {
    let finding = |text: &str| Finding::new("cpu.smt", text);
    Some(match processor.smt? {
        false => finding("Every CPU has a core of its own."),
        true => finding("Two CPUs share a core (SMT): a busy neighbour costs a worker up to half.")
            .rated(Status::Note)
            .mend("echo off > /sys/devices/system/cpu/smt/control"),
    })
}

fn mitigations(processor: &Processor) -> Option<Finding> {
    let names = &processor.mitigated;
    if names.is_empty() {
        return None;
    }
    let text = format!(
        "{} cost time at every system call ({}). Only a machine that runs trusted code alone \
         may do without.",
        count(names.len() as u64, "mitigation"),
        names.join(", ")
    );
    Some(Finding::new("cpu.mitigations", text).rated(Status::Note).mend(boot("mitigations=off")))
}

fn machine(facts: &Facts) -> Finding {
    let platform = &facts.platform;
    let finding = |text: String| Finding::new("machine.kind", text);
    let named = |kind: &str| match platform.product.as_str() {
        "" => format!("This is a {kind}"),
        product => format!("This is a {kind} ({product})"),
    };
    if platform.virtual_machine {
        let text = named("virtual machine") + ": the host can take its CPUs away for a moment.";
        finding(text).rated(Status::Note)
    } else {
        finding(named("physical machine") + ".")
    }
}

fn container(facts: &Facts) -> Option<Finding> {
    let name = facts.platform.container.as_deref()?;
    let text = format!("Runs in a container ({name}): it sees the container's interfaces only.");
    let finding = Finding::new("machine.container", text).rated(Status::Note);
    Some(match name {
        "docker" | "podman" => finding.mend(format!("{name} run --network host …")),
        _ => finding,
    })
}

fn iommu(facts: &Facts) -> Option<Finding> {
    let platform = &facts.platform;
    if platform.iommus == 0 {
        return None;
    }
    let finding = |text: &str| Finding::new("machine.iommu", text);
    Some(if platform.iommu_passthrough {
        finding("The IOMMU lets the cards reach memory directly (iommu=pt).")
    } else {
        finding("The IOMMU translates every DMA of the cards, which costs throughput.")
            .rated(Status::Note)
            .mend(boot("iommu=pt"))
    })
}

fn irqbalance(facts: &Facts) -> Option<Finding> {
    let pid = facts.platform.irqbalance?;
    let text = format!("irqbalance (process {pid}) moves interrupts from CPU to CPU.");
    let finding = Finding::new("machine.irqbalance", text).rated(Status::Warn);
    Some(finding.mend("systemctl disable --now irqbalance"))
}
