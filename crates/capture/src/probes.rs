//! Static tracepoints (USDT), for `perf` and `bpftrace`: a no-op each while nobody looks.
//!
//! ```text
//! perf buildid-cache --add /usr/bin/tickwire
//! perf probe -x /usr/bin/tickwire sdt_tickwire:packet
//! perf record -e 'sdt_tickwire:*' -p PID
//! bpftrace -e 'usdt:/usr/bin/tickwire:tickwire:packet { @[arg5] = count(); }'
//! ```

use std::net::{IpAddr, SocketAddr};

/// `tickwire:packet`, one packet that a job has handled:
///
/// | argument | |
/// |---|---|
/// | 0, 1 | source: IPv4 address in host order (0 for IPv6), port |
/// | 2, 3 | destination: the same |
/// | 4 | when, in nanoseconds since 1970 UTC |
/// | 5 | the result: what the job says |
#[inline(always)]
pub fn packet(
    source: SocketAddr,
    destination: SocketAddr,
    at_ns: u64,
    result: impl FnOnce() -> u64,
) {
    probe::probe_lazy!(
        tickwire,
        packet,
        address(source.ip()),
        source.port(),
        address(destination.ip()),
        destination.port(),
        at_ns,
        result()
    );
}

fn address(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(_) => 0,
    }
}
