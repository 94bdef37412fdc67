//! The capabilities of this process, and what each is for (capabilities(7)).

use super::super::facts::{Facts, Rights};
use super::super::finding::{Finding, Status};

/// A capability: its bit, its name, what it is for, and how bad it is to be without it.
struct Capability {
    bit: u32,
    id: &'static str,
    name: &'static str,
    purpose: &'static str,
    without: Status,
}

const CAPABILITIES: [Capability; 6] = [
    Capability {
        bit: 13,
        id: "rights.net_raw",
        name: "CAP_NET_RAW",
        purpose: "opens AF_PACKET and AF_XDP sockets: without it there is no live capture",
        without: Status::Fail,
    },
    Capability {
        bit: 12,
        id: "rights.net_admin",
        name: "CAP_NET_ADMIN",
        purpose: "attaches the XDP program, and turns on promiscuous mode and busy polling",
        without: Status::Warn,
    },
    Capability {
        bit: 39,
        id: "rights.bpf",
        name: "CAP_BPF",
        purpose: "loads the XDP program that af_xdp and filters in the kernel need",
        without: Status::Warn,
    },
    Capability {
        bit: 38,
        id: "rights.perfmon",
        name: "CAP_PERFMON",
        purpose: "lets the verifier accept what filters in the kernel do with packets",
        without: Status::Warn,
    },
    Capability {
        bit: 14,
        id: "rights.ipc_lock",
        name: "CAP_IPC_LOCK",
        purpose: "locks packet memory beyond RLIMIT_MEMLOCK",
        without: Status::Note,
    },
    Capability {
        bit: 23,
        id: "rights.sys_nice",
        name: "CAP_SYS_NICE",
        purpose: "gives workers real-time priority",
        without: Status::Note,
    },
];

/// CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON, and did their work before Linux 5.8.
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;
const PERFMON: u32 = 38;
const IPC_LOCK: u32 = 14;

/// Whether packet memory may be locked without regard to RLIMIT_MEMLOCK.
pub(super) fn locks_memory(rights: &Rights) -> bool {
    has(rights, IPC_LOCK)
}

fn has(rights: &Rights, bit: u32) -> bool {
    let held = |bit: u32| rights.effective >> bit & 1 == 1;
    held(bit) || ([BPF, PERFMON].contains(&bit) && held(SYS_ADMIN))
}

/// One finding a capability; the command stands at the first that is missing and mends them all.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut command = Some(command(facts));
    let finding = |capability: &Capability| {
        let Capability { id, name, purpose, .. } = capability;
        if has(&facts.rights, capability.bit) {
            return Finding::new(id, format!("Has {name}, which {purpose}."));
        }
        let missing = Finding::new(id, format!("Has no {name}, which {purpose}."));
        Finding { command: command.take(), ..missing.rated(capability.without) }
    };
    CAPABILITIES.iter().map(finding).collect()
}

fn command(facts: &Facts) -> String {
    match facts.platform.container.as_deref() {
        Some(engine @ ("docker" | "podman")) => format!(
            "{engine} run --cap-add=NET_RAW --cap-add=NET_ADMIN --cap-add=BPF \
             --cap-add=IPC_LOCK --cap-add=SYS_NICE …"
        ),
        _ => format!(
            "sudo setcap \
             cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock,cap_sys_nice+ep {}",
            facts.rights.executable
        ),
    }
}
