//! The kernel: version, sockets, programs.

use super::super::facts::{Kernel, Probe};
use super::super::finding::{Finding, Status};

/// bpf_link for XDP: the program goes away with the process, whatever kills it.
const BPF_LINK: (u32, u32) = (5, 9);
/// AF_XDP at all, with need-wakeup.
const AF_XDP: (u32, u32) = (5, 4);
/// SO_PREFER_BUSY_POLL.
const BUSY_POLL: (u32, u32) = (5, 11);

const EPERM: i32 = 1;
const EAFNOSUPPORT: i32 = 97;

pub(super) fn judge(kernel: &Kernel) -> Vec<Finding> {
    let mut findings = vec![version(kernel), af_xdp(kernel), af_packet(kernel), bpf(kernel)];
    findings.push(jit(kernel));
    findings.extend(hardened(kernel));
    findings.extend(unprivileged(kernel));
    findings
}

/// Major and minor number of a release: `6.18.44-generic` is (6, 18).
pub(super) fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn version(kernel: &Kernel) -> Finding {
    let release = &kernel.release;
    let finding = |text: &str| Finding::new("kernel.version", format!("Linux {release}: {text}"));
    let upgrade =
        "uname -r; apt-get install linux-image-amd64   # or your distribution's newer one";
    match numbers(release) {
        Some(version) if version >= BUSY_POLL => {
            finding("has AF_XDP, bpf_link and preferred busy polling.")
        }
        Some(version) if version >= BPF_LINK => {
            finding("has AF_XDP and bpf_link, but no preferred busy polling (since 5.11).")
                .rated(Status::Note)
                .mend(upgrade)
        }
        Some(version) if version >= AF_XDP => finding(
            "has AF_XDP, but no bpf_link for XDP (since 5.9), which takes our program away \
             whatever kills the process.",
        )
        .rated(Status::Warn)
        .mend(upgrade),
        Some(_) => finding("is too old for AF_XDP as we use it (since 5.4).")
            .rated(Status::Warn)
            .mend(upgrade),
        None => finding("this is no version that we can read.").rated(Status::Note),
    }
}

fn af_xdp(kernel: &Kernel) -> Finding {
    let finding = |text: &str| Finding::new("kernel.af_xdp", text);
    match kernel.af_xdp {
        Probe::Works => finding("AF_XDP sockets can be opened."),
        Probe::NotTried => finding("AF_XDP sockets were not tried.").rated(Status::Note),
        Probe::Refused(EPERM) => {
            finding("AF_XDP sockets are refused: no CAP_NET_RAW.").rated(Status::Warn)
        }
        Probe::Refused(EAFNOSUPPORT) => {
            finding("This kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS).")
                .rated(Status::Warn)
                .mend("grep XDP_SOCKETS /boot/config-$(uname -r)   # must say =y")
        }
        Probe::Refused(error) => {
            finding(&format!("AF_XDP sockets are refused with error {error}.")).rated(Status::Warn)
        }
    }
}

fn af_packet(kernel: &Kernel) -> Finding {
    let finding = |text: &str| Finding::new("kernel.af_packet", text);
    match kernel.af_packet {
        Probe::Works => finding("AF_PACKET sockets can be opened."),
        Probe::NotTried => finding("AF_PACKET sockets were not tried.").rated(Status::Note),
        Probe::Refused(EPERM) => {
            finding("AF_PACKET sockets are refused: no CAP_NET_RAW.").rated(Status::Fail)
        }
        Probe::Refused(EAFNOSUPPORT) => {
            finding("This kernel has no AF_PACKET sockets (CONFIG_PACKET).")
                .rated(Status::Fail)
                .mend("modprobe af_packet")
        }
        Probe::Refused(error) => {
            finding(&format!("AF_PACKET sockets are refused with error {error}."))
                .rated(Status::Fail)
        }
    }
}

fn bpf(kernel: &Kernel) -> Finding {
    let finding = |text: &str| Finding::new("kernel.bpf", text);
    match kernel.bpf_load {
        Probe::Works => finding("XDP programs can be loaded (tried with one that does nothing)."),
        Probe::NotTried => finding("Loading an XDP program was not tried.").rated(Status::Note),
        Probe::Refused(EPERM) => finding(
            "Loading an XDP program is refused: no CAP_BPF with CAP_NET_ADMIN, or bpf(2) is \
             forbidden by seccomp or kernel lockdown.",
        )
        .rated(Status::Warn),
        Probe::Refused(error) => {
            finding(&format!("Loading an XDP program is refused with error {error}."))
                .rated(Status::Warn)
                .mend("grep -E 'BPF_SYSCALL|BPF_JIT' /boot/config-$(uname -r)   # must say =y")
        }
    }
}

fn jit(kernel: &Kernel) -> Finding {
    let finding = |text: &str| Finding::new("kernel.bpf_jit", text);
    let mend = "sysctl -w net.core.bpf_jit_enable=1";
    match kernel.bpf_jit_enable {
        Some(1) => finding("BPF programs are compiled to machine code (bpf_jit_enable = 1)."),
        Some(0) => {
            finding("BPF programs are interpreted, several times slower (bpf_jit_enable = 0).")
                .rated(Status::Warn)
                .mend(mend)
        }
        Some(value) => {
            finding(&format!("The BPF compiler writes debug output (bpf_jit_enable = {value})."))
                .rated(Status::Warn)
                .mend(mend)
        }
        None => finding("Whether BPF programs are compiled only root can read.")
            .rated(Status::Note)
            .mend("sudo sysctl net.core.bpf_jit_enable   # should be 1"),
    }
}

fn hardened(kernel: &Kernel) -> Option<Finding> {
    let text = "The BPF compiler hides constants in every program, also in those of root \
                (bpf_jit_harden = 2), which makes them slower.";
    let finding = || {
        Finding::new("kernel.bpf_jit_harden", text)
            .rated(Status::Note)
            .mend("sysctl -w net.core.bpf_jit_harden=1")
    };
    (kernel.bpf_jit_harden == Some(2)).then(finding)
}

fn unprivileged(kernel: &Kernel) -> Option<Finding> {
    let finding = |text: &str| Finding::new("kernel.unprivileged_bpf", text);
    Some(match kernel.unprivileged_bpf_disabled? {
        0 => finding("Every user may load BPF programs; we do not need that.")
            .rated(Status::Note)
            .mend("sysctl -w kernel.unprivileged_bpf_disabled=1"),
        value => finding(&format!(
            "Users without rights may not load BPF programs (unprivileged_bpf_disabled = {value})."
        )),
    })
}
