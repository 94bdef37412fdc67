//! The kernel, the rights of this process, and its limits.

use super::super::facts::{Kernel, Limits, Probe, Rights};
use super::{number, text};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource, getrlimit, getuid};
use tickwire_capture::bpf::asm::XdpAction;
use tickwire_capture::bpf::{Assembler, Program};

pub(super) fn kernel() -> Kernel {
    let name = rustix::system::uname();
    let core = |key: &str| number(&format!("/proc/sys/net/core/{key}"));
    Kernel {
        release: name.release().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
        af_xdp: socket(AddressFamily::XDP),
        af_packet: socket(AddressFamily::PACKET),
        bpf_load: load(),
        bpf_jit_enable: core("bpf_jit_enable"),
        bpf_jit_harden: core("bpf_jit_harden"),
        unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
    }
}

/// Opens a raw socket and closes it. Without a protocol and unbound, it receives nothing.
fn socket(family: AddressFamily) -> Probe {
    match socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None) {
        Ok(_) => Probe::Works,
        Err(error) => Probe::Refused(error.raw_os_error()),
    }
}

/// Loads the smallest XDP program there is, and lets it go at once.
fn load() -> Probe {
    let mut assembler = Assembler::new();
    assembler.exit_with(XdpAction::Pass);
    let Ok(code) = assembler.finish() else { return Probe::NotTried };
    match Program::load_xdp("tickwire_doctor", &code) {
        Ok(_) => Probe::Works,
        Err(error) => Probe::Refused(error.source.raw_os_error().unwrap_or(0)),
    }
}

pub(super) fn rights() -> Rights {
    let status = text("/proc/self/status").unwrap_or_default();
    Rights {
        uid: getuid().as_raw(),
        effective: effective_of(&status).unwrap_or(0),
        executable: std::env::current_exe()
            .map(|path| path.display().to_string())
            .unwrap_or_else(|_| "tickwire".to_owned()),
    }
}

/// The line `CapEff` of /proc/self/status.
fn effective_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

pub(super) fn limits() -> Limits {
    let core = |key: &str| number(&format!("/proc/sys/net/core/{key}"));
    Limits {
        memlock_bytes: getrlimit(Resource::Memlock).current,
        nofile: getrlimit(Resource::Nofile).current,
        rmem_max: core("rmem_max"),
        wmem_max: core("wmem_max"),
        optmem_max: core("optmem_max"),
        busy_poll_us: core("busy_poll"),
        netdev_max_backlog: core("netdev_max_backlog"),
        igmp_max_memberships: number("/proc/sys/net/ipv4/igmp_max_memberships"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\n";
        assert_eq!(effective_of(status), Some(0x01ff_feff_ffff));
        assert_eq!(effective_of("CapEff:\tnonsense"), None);
    }
}
