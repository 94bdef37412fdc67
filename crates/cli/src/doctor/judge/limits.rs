//! Limits of the process and of the kernel's network code.

use super::super::facts::Facts;
use super::super::finding::{Finding, Status};
use super::{bytes, count, rights};

/// What one AF_XDP queue and one AF_PACKET ring lock together, with room to spare.
const MEMLOCK_BYTES_MIN: u64 = 64 << 20;
/// A socket, four rings, a program, maps and files for each of a few dozen queues.
const NOFILE_MIN: u64 = 1024;
/// A burst of 10 Gb/s for 13 ms.
const SOCKET_BUFFER_BYTES_MIN: u64 = 16 << 20;
/// Lists of multicast sources are counted against this.
const OPTMEM_BYTES_MIN: u64 = 64 << 10;
/// One exchange's feed has dozens of groups, a whole market hundreds.
const MEMBERSHIPS_MIN: u64 = 128;
/// The kernel's own default.
const BACKLOG_MIN: u64 = 1000;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let network = [socket_buffers(facts), optmem(facts), memberships(facts), backlog(facts)];
    let mut findings = vec![memlock(facts), nofile(facts)];
    findings.extend(network.into_iter().chain([busy_poll(facts)]).flatten());
    findings
}

fn memlock(facts: &Facts) -> Finding {
    let finding = |text: String| Finding::new("limits.memlock", text);
    let Some(limit) = facts.limits.memlock_bytes else {
        return finding("Any amount of memory may be locked.".into());
    };
    let limited = bytes(limit);
    if rights::locks_memory(&facts.rights) {
        let text = format!("RLIMIT_MEMLOCK is {limited}; CAP_IPC_LOCK lifts it.");
        return finding(text);
    }
    if limit >= MEMLOCK_BYTES_MIN {
        return finding(format!("{limited} of memory may be locked (RLIMIT_MEMLOCK)."));
    }
    let wanted = bytes(MEMLOCK_BYTES_MIN);
    finding(format!("Only {limited} of memory may be locked; af_xdp wants {wanted}."))
        .rated(Status::Warn)
        .mend("ulimit -l unlimited   # as a systemd service: LimitMEMLOCK=infinity")
}

fn nofile(facts: &Facts) -> Finding {
    let finding = |text: String| Finding::new("limits.nofile", text);
    match facts.limits.nofile {
        None => finding("Any number of files may be open.".into()),
        Some(limit) if limit >= NOFILE_MIN => {
            finding(format!("{limit} files may be open (RLIMIT_NOFILE)."))
        }
        Some(limit) => finding(format!("Only {limit} files may be open (RLIMIT_NOFILE)."))
            .rated(Status::Warn)
            .mend("ulimit -n 4096"),
    }
}

fn socket_buffers(facts: &Facts) -> Option<Finding> {
    let (receive, send) = (facts.limits.rmem_max?, facts.limits.wmem_max?);
    let text = format!(
        "A socket may buffer {} to receive and {} to send (rmem_max, wmem_max)",
        bytes(receive),
        bytes(send)
    );
    let finding = |text: String| Finding::new("limits.socket_buffers", text);
    Some(if receive.min(send) >= SOCKET_BUFFER_BYTES_MIN {
        finding(text + ".")
    } else {
        let want = SOCKET_BUFFER_BYTES_MIN;
        finding(text + ": little for a burst of multicast on ordinary sockets.")
            .rated(Status::Note)
            .mend(format!("sysctl -w net.core.rmem_max={want} net.core.wmem_max={want}"))
    })
}

fn optmem(facts: &Facts) -> Option<Finding> {
    let limit = facts.limits.optmem_max?;
    let finding = |text: String| Finding::new("limits.optmem", text);
    let text = format!("optmem_max is {}", bytes(limit));
    Some(if limit >= OPTMEM_BYTES_MIN {
        finding(text + ".")
    } else {
        finding(text + ": too little for long lists of multicast sources.")
            .rated(Status::Note)
            .mend("sysctl -w net.core.optmem_max=131072")
    })
}

fn memberships(facts: &Facts) -> Option<Finding> {
    let limit = facts.limits.igmp_max_memberships?;
    let text = format!("One socket may join {}", count(limit, "multicast group"));
    let finding = |text: String| Finding::new("limits.igmp_memberships", text);
    Some(if limit >= MEMBERSHIPS_MIN {
        finding(text + ".")
    } else {
        finding(text + ": a market's feed has more.")
            .rated(Status::Note)
            .mend("sysctl -w net.ipv4.igmp_max_memberships=512")
    })
}

fn backlog(facts: &Facts) -> Option<Finding> {
    let limit = facts.limits.netdev_max_backlog.filter(|&limit| limit < BACKLOG_MIN)?;
    let text = format!("Only {} may wait for a CPU (netdev_max_backlog).", count(limit, "packet"));
    let finding = Finding::new("limits.backlog", text).rated(Status::Warn);
    Some(finding.mend("sysctl -w net.core.netdev_max_backlog=10000"))
}

fn busy_poll(facts: &Facts) -> Option<Finding> {
    let finding = |text: String| Finding::new("limits.busy_poll", text);
    Some(match facts.limits.busy_poll_us? {
        0 => finding("Sockets spin only where they ask for it (busy_poll = 0); ours can.".into()),
        time => finding(format!("Every poll on every socket spins for {time} µs (busy_poll)."))
            .rated(Status::Note)
            .mend("sysctl -w net.core.busy_poll=0"),
    })
}
