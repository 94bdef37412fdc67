//! XDP on an interface: what the driver can do, what is in its way, what is attached.

use super::super::facts::{Facts, Interface};
use super::super::finding::{Finding, Status};
use super::driver::{Level, level, obstacle};

/// Our programs have names that begin so.
const OURS: &str = "tickwire";

/// Whether somebody else's program is attached.
pub(super) fn foreign(interface: &Interface) -> bool {
    let Some(attached) = &interface.attached else { return false };
    !attached.program_name.as_deref().is_some_and(|name| name.starts_with(OURS))
}

pub(super) fn support(facts: &Facts, interface: &Interface) -> Finding {
    let (level, said) = level(facts, interface);
    let driver = if interface.driver.is_empty() { "The interface" } else { &interface.driver };
    let known = if said { "" } else { ", as far as is known of this driver" };
    let finding = |text: String| Finding::new("interface.xdp", text);
    if level == Level::Generic {
        return finding(format!(
            "{driver} does not run XDP programs itself{known}: af_xdp works in generic mode only, \
             which is slower than af_packet."
        ))
        .rated(Status::Note);
    }
    if let Some(obstacle) = obstacle(interface) {
        let text =
            format!("{driver} runs XDP programs itself, but will refuse now: {}.", obstacle.text);
        return Finding { command: obstacle.command, ..finding(text).rated(Status::Warn) };
    }
    finding(match level {
        Level::ZeroCopy => format!("{driver} runs XDP programs itself, with zero-copy{known}."),
        _ => format!("{driver} runs XDP programs itself, and copies each frame once{known}."),
    })
}

pub(super) fn program(interface: &Interface) -> Finding {
    let finding = |text: String| Finding::new("interface.xdp_program", text);
    let Some(attached) = &interface.attached else {
        return finding("No XDP program is attached.".into());
    };
    let (id, mode) = (attached.program_id, attached.mode);
    let name = attached.program_name.as_deref().filter(|name| !name.is_empty());
    let name = name.unwrap_or("unnamed");
    if !foreign(interface) {
        let text = format!("A tickwire runs here already (program {name}, id {id}, {mode}).");
        return finding(text).rated(Status::Note).mend("pgrep -a tickwire");
    }
    finding(format!(
        "A foreign XDP program is attached ({name}, id {id}, {mode}). We never replace one: \
         af_xdp will refuse, af_packet works."
    ))
    .rated(Status::Warn)
    .mend(format!(
        "bpftool prog show id {id}; ip link set dev {} xdp off   # if nothing needs it",
        interface.name
    ))
}
