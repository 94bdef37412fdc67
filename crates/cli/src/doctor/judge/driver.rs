//! What is known of drivers, for kernels that cannot say it themselves (before Linux 6.3), and the
//! rules that a driver enforces without announcing them.

use super::super::facts::{Facts, Interface, Offload};
use super::kernel::numbers;

/// Major and minor number of a kernel.
type Version = (u32, u32);

/// Drivers with native XDP, with the kernel that brought it and, where there is one, the kernel
/// that brought zero-copy AF_XDP (drivers/net in the kernel tree).
const DRIVERS: &[(&str, Version, Option<Version>)] = &[
    ("atlantic", (5, 19), None),
    ("bnxt_en", (4, 11), None),
    ("ena", (5, 6), None),
    ("fsl_dpaa2_eth", (5, 0), Some((6, 2))),
    ("gve", (6, 4), Some((6, 4))),
    ("hv_netvsc", (5, 6), None),
    ("i40e", (4, 13), Some((4, 20))),
    ("ice", (5, 5), Some((5, 5))),
    ("igb", (5, 10), Some((6, 14))),
    ("igc", (5, 13), Some((5, 14))),
    ("ixgbe", (4, 12), Some((4, 20))),
    ("ixgbevf", (4, 17), None),
    ("mlx4_en", (4, 8), None),
    ("mlx5_core", (4, 9), Some((5, 3))),
    ("mvneta", (5, 5), None),
    ("nfp", (4, 10), Some((5, 18))),
    ("qede", (4, 10), None),
    ("sfc", (5, 5), None),
    ("stmmac", (5, 13), Some((5, 13))),
    ("tun", (4, 14), None),
    ("veth", (4, 19), None),
    ("virtio_net", (4, 10), Some((6, 11))),
    ("xen_netfront", (5, 9), None),
];

/// The largest MTU whose frames fit into one page with XDP's headroom and the kernel's trailer.
pub(super) const XDP_MTU_MAX: u32 = 3498;

/// How well AF_XDP works on an interface, were nothing in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    ZeroCopy,
    Copy,
    Generic,
}

/// Level by the driver, and whether the kernel itself said so.
pub(super) fn level(facts: &Facts, interface: &Interface) -> (Level, bool) {
    if let Some(xdp) = interface.xdp {
        let level = match (xdp.native && xdp.redirect, xdp.zero_copy) {
            (true, true) => Level::ZeroCopy,
            (true, false) => Level::Copy,
            (false, _) => Level::Generic,
        };
        return (level, true);
    }
    let version = numbers(&facts.kernel.release).unwrap_or((0, 0));
    let known = DRIVERS.iter().find(|(name, ..)| *name == interface.driver);
    let level = match known {
        Some((_, _, Some(zero_copy))) if version >= *zero_copy => Level::ZeroCopy,
        Some((_, native, _)) if version >= *native => Level::Copy,
        _ => Level::Generic,
    };
    (level, false)
}

/// Something that makes the driver refuse an XDP program, and the command that removes it, if one
/// on this machine can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub text: String,
    pub command: Option<String>,
}

/// What stands in the way of native XDP on this interface now.
pub(super) fn obstacle(interface: &Interface) -> Option<Obstacle> {
    too_many_queues(interface).or_else(|| mtu(interface)).or_else(|| merging(interface))
}

/// Whether this driver gives half of its queues to XDP's own transmit rings.
pub(super) fn halves_queues(interface: &Interface) -> bool {
    matches!(interface.driver.as_str(), "ena" | "gve")
}

fn too_many_queues(interface: &Interface) -> Option<Obstacle> {
    let (name, channels) = (&interface.name, interface.channels?);
    if !halves_queues(interface) {
        return None;
    }
    let (queues, option) = match channels.combined.max {
        0 => (channels.tx, format!("rx {0} tx {0}", channels.tx.max / 2)),
        max => (channels.combined, format!("combined {}", max / 2)),
    };
    (queues.now > queues.max / 2 && queues.max > 1).then(|| Obstacle {
        text: format!(
            "{} needs half of its {} queues for XDP, but {} are in use",
            interface.driver, queues.max, queues.now
        ),
        command: Some(format!("ethtool -L {name} {option}")),
    })
}

fn mtu(interface: &Interface) -> Option<Obstacle> {
    let multi_buffer = interface.xdp.is_some_and(|xdp| xdp.multi_buffer);
    (interface.mtu > XDP_MTU_MAX && !multi_buffer && !interface.loopback).then(|| Obstacle {
        text: format!("frames of MTU {} do not fit into one page", interface.mtu),
        command: Some(format!("ip link set dev {} mtu {XDP_MTU_MAX}", interface.name)),
    })
}

/// Segments that are merged before XDP could see them.
fn merging(interface: &Interface) -> Option<Obstacle> {
    if interface.driver == "virtio_net" {
        // Where the driver can turn it off, it does so itself when a program is attached.
        let fixed = |offload: &Offload| {
            offload.name == "rx-gro-hw" && offload.active && !offload.changeable
        };
        return interface.offloads.iter().any(fixed).then(|| Obstacle {
            text: "the host merges segments and does not let this machine turn that off \
                   (rx-gro-hw, fixed)"
                .into(),
            command: None,
        });
    }
    interface.offload_on("rx-lro").then(|| Obstacle {
        text: "the card merges segments (LRO)".into(),
        command: Some(format!("ethtool -K {} lro off", interface.name)),
    })
}
