//! What can go wrong with a socket, and what to do about it.

use super::holder;
use super::interface::CURE_RIGHTS;
use crate::PortError;
use std::io;

/// A system call on a socket failed.
pub(super) fn failed(what: String, source: io::Error) -> PortError {
    let cure = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => CURE_RIGHTS,
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "the limit of locked memory is too low for the frames: `ulimit -l unlimited`, or \
             CAP_IPC_LOCK, or a smaller ring"
        }
        Some(libc::EAFNOSUPPORT) => "this kernel was built without CONFIG_XDP_SOCKETS",
        _ => "",
    };
    PortError::system(what, source, cure)
}

/// A queue of an interface could not be bound.
pub(super) fn hold_error(interface: &str, queue: u32, source: io::Error) -> PortError {
    let what = format!("bind to queue {queue} of {interface}");
    let cure = match source.raw_os_error() {
        Some(libc::EBUSY) => {
            let who = match holder::processes() {
                processes if processes.is_empty() => String::new(),
                processes => format!(" (processes that have one: {})", processes.join(", ")),
            };
            format!(
                "another AF_XDP socket holds this queue{who}: stop its process, or take another \
                 queue with --queues"
            )
        }
        Some(libc::EINVAL) => format!(
            "the interface has no such queue (`ethtool -l {interface}` shows how many), or \
             its driver refuses this mode"
        ),
        Some(libc::ENETDOWN) => format!("set it up: `ip link set {interface} up`"),
        Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT) => {
            "the driver has no zero-copy: let the kernel copy".into()
        }
        Some(libc::ENODEV) => "the interface is gone: see `ip link`".into(),
        _ => return failed(what, source),
    };
    PortError::system(what, source, cure)
}
