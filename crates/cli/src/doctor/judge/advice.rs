//! The best port for an interface, and why: the rules of `--port auto`
//! (`tickwire_capture::auto`), with what mends each.

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
    let af_packet = |why: String| advice(Some("af_packet"), "tpacket_v3", why);
    let driver = if interface.driver.is_empty() { "the interface" } else { &interface.driver };
    let (mode, why) = match (level(facts, interface).0, obstacle(interface)) {
        (_, Some(obstacle)) => return af_packet(format!("{}; see xdp above", obstacle.text)),
        (Level::Generic, _) => {
            return af_packet(format!(
                "{driver} does not run XDP programs itself, and the generic way is slower"
            ));
        }
        (Level::ZeroCopy, _) => {
            ("zero-copy", format!("{driver} gives frames to AF_XDP without a copy"))
        }
        (Level::Copy, _) => {
            ("copy", format!("{driver} runs XDP programs itself, but has no zero-copy"))
        }
    };
    if interface.used_by_host {
        return af_packet(format!(
            "the host has addresses here, and af_xdp ({mode}) would take its frames away; on an \
             interface of the feed's own, or for chosen UDP destinations, af_xdp is the better one"
        ));
    }
    advice(Some("af_xdp"), mode, why)
}

/// What forbids af_xdp, if anything.
fn no_af_xdp(facts: &Facts, interface: &Interface) -> Option<String> {
    let refused = |probe: Probe| matches!(probe, Probe::Refused(_));
    if interface.loopback {
        Some("the loopback has no queue that XDP could stand on".into())
    } else if refused(facts.kernel.af_xdp) {
        Some("AF_XDP sockets are refused".into())
    } else if refused(facts.kernel.bpf_load) {
        Some("no XDP program may be loaded".into())
    } else if foreign(interface) {
        Some("somebody else's XDP program is attached".into())
    } else {
        None
    }
}
