//! The best port for an interface, and why.

use super::super::facts::{Facts, Interface, Probe};
use super::super::finding::Advice;
use super::driver::{Level, level, obstacle};
use super::xdp::foreign;

pub(super) fn best_port(facts: &Facts, interface: &Interface) -> Advice {
    let advice = |port, mode, because: String| Advice {
        interface: interface.name.clone(),
        port,
        mode,
        because,
    };
    if !interface.up {
        let cure = format!("it is down: ip link set dev {} up", interface.name);
        return advice(None, "", cure);
    }
    if let Some(why_not) = no_af_xdp(facts, interface) {
        return match facts.kernel.af_packet {
            Probe::Refused(_) => advice(None, "", "no packet socket can be opened".into()),
            _ => advice(Some("af_packet"), "tpacket_v3", why_not),
        };
    }
    let driver = if interface.driver.is_empty() { "the interface" } else { &interface.driver };
    let generic = |why: String| advice(Some("af_xdp"), "generic", why);
    match (level(facts, interface).0, obstacle(interface)) {
        (Level::Generic, _) => generic(format!("{driver} does not run XDP programs itself")),
        (_, Some(obstacle)) => generic(format!("{}; see xdp above", obstacle.text)),
        (Level::ZeroCopy, None) => {
            let why = format!("{driver} gives frames to AF_XDP without a copy");
            advice(Some("af_xdp"), "zero-copy", why)
        }
        (Level::Copy, None) => {
            let why = format!("{driver} runs XDP programs itself, but has no zero-copy");
            advice(Some("af_xdp"), "copy", why)
        }
    }
}

/// What forbids af_xdp, if anything.
fn no_af_xdp(facts: &Facts, interface: &Interface) -> Option<String> {
    let refused = |probe: Probe| matches!(probe, Probe::Refused(_));
    if refused(facts.kernel.af_xdp) {
        Some("AF_XDP sockets are refused".into())
    } else if refused(facts.kernel.bpf_load) {
        Some("no XDP program may be loaded".into())
    } else if foreign(interface) {
        Some("somebody else's XDP program is attached".into())
    } else {
        None
    }
}
