//! Membership of multicast groups, for ports that see frames but are no member of anything.
//!
//! A switch sends a group only to those who have asked for it (IGMP and MLD snooping), and asking
//! is the kernel's business: it answers the router's queries for as long as some socket is a
//! member. [`Membership`] is such a socket. It is never bound, so no datagram is queued on it:
//! the frames come through the port.

use crate::sockets::{set_option, storage};
use crate::{PortError, interfaces};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// A joined group. Dropping it leaves the group.
///
/// ```no_run
/// use tickwire_capture::multicast::Membership;
///
/// // Any source, and one source only (IGMPv3, RFC 4607).
/// let any = Membership::join("eth1", "233.54.12.111".parse()?, None)?;
/// let one = Membership::join("eth1", "232.1.2.3".parse()?, Some("10.1.2.3".parse()?))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Membership {
    /// Leaves the group when it is closed.
    _socket: OwnedFd,
    interface: String,
    index: u32,
    group: IpAddr,
    source: Option<IpAddr>,
}

impl Membership {
    /// Joins `group` on `interface`: frames of any sender, or of `source` only. The kernel reports
    /// it on the wire at once with IGMPv3 (RFC 3376) or MLDv2 (RFC 3810), and again when asked.
    ///
    /// Each membership has a socket of its own, so that the limits of the kernel on groups for
    /// each socket do not matter.
    ///
    /// # Errors
    /// For an address that is no multicast group, a source of the other family, an interface that
    /// is not there or cannot do multicast.
    pub fn join(interface: &str, group: IpAddr, source: Option<IpAddr>) -> Result<Self, PortError> {
        check(group, source)?;
        let found = interfaces::find(interface)?;
        let socket = join_on(found.index, group, source)
            .map_err(|error| refused(&found.name, group, source, error))?;
        let (interface, index) = (found.name, found.index);
        Ok(Membership { _socket: socket, interface, index, group, source })
    }

    /// The group.
    pub fn group(&self) -> IpAddr {
        self.group
    }

    /// Joins again when the interface was deleted and made again, which ends memberships in
    /// silence; true when it has. Cheap enough to be asked once a second.
    ///
    /// # Errors
    /// When the interface is there and joining fails.
    pub fn follow(&mut self) -> Result<bool, PortError> {
        match interfaces::find(&self.interface) {
            Ok(found) if found.index != self.index => {
                *self = Self::join(&self.interface, self.group, self.source)?;
                Ok(true)
            }
            // Not there now: the next call looks again.
            Ok(_) | Err(_) => Ok(false),
        }
    }
}

pub(crate) fn check(group: IpAddr, source: Option<IpAddr>) -> Result<(), PortError> {
    if !group.is_multicast() {
        return Err(PortError::Unsupported {
            what: format!("{group} is no multicast group"),
            cure: "groups are 224.0.0.0/4 and ff00::/8".into(),
        });
    }
    match source {
        Some(source) if source.is_ipv4() != group.is_ipv4() || source.is_multicast() => {
            Err(PortError::Unsupported {
                what: format!("{source} cannot be the source of group {group}"),
                cure: "a source is a unicast address of the same IP version".into(),
            })
        }
        _ => Ok(()),
    }
}

fn join_on(index: u32, group: IpAddr, source: Option<IpAddr>) -> io::Result<OwnedFd> {
    let family = if group.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    join_with(&socket, index, group, source)?;
    Ok(socket)
}

/// Makes `socket` a member of `group` on interface `index`.
pub(crate) fn join_with(
    socket: &OwnedFd,
    index: u32,
    group: IpAddr,
    source: Option<IpAddr>,
) -> io::Result<()> {
    let level = if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let gr_group = storage(group);
    match source {
        None => {
            let request = libc::group_req { gr_interface: index, gr_group };
            set_option(socket, level, libc::MCAST_JOIN_GROUP, &request)
        }
        Some(source) => {
            let request = libc::group_source_req {
                gsr_interface: index,
                gsr_group: gr_group,
                gsr_source: storage(source),
            };
            set_option(socket, level, libc::MCAST_JOIN_SOURCE_GROUP, &request)
        }
    }
}

pub(crate) fn refused(
    interface: &str,
    group: IpAddr,
    source: Option<IpAddr>,
    error: io::Error,
) -> PortError {
    let cure = match (error.raw_os_error(), group) {
        (Some(libc::ENODEV | libc::EADDRNOTAVAIL), _) => {
            format!("it has to be up and able to do multicast: `ip link set dev {interface} up`")
        }
        (Some(libc::EINVAL), IpAddr::V6(_)) => {
            format!("IPv6 is off there: `sysctl net.ipv6.conf.{interface}.disable_ipv6=0`")
        }
        (Some(libc::ENOBUFS | libc::ENOMEM), _) => {
            "raise net.ipv4.igmp_max_memberships or net.ipv6.mld_max_msf (sysctl)".into()
        }
        _ => String::new(),
    };
    let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
    PortError::system(format!("join {group}{source} on {interface}"), error, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_can_be_joined() {
        let join = |group: &str, source: Option<&str>| {
            let source = source.map(|source| source.parse().unwrap());
            Membership::join("lo", group.parse().unwrap(), source).unwrap_err().to_string()
        };
        assert!(join("10.0.0.1", None).contains("no multicast group; groups are 224"));
        assert!(join("232.0.0.1", Some("::1")).contains("same IP version"));
        assert!(join("232.0.0.1", Some("224.0.0.9")).contains("cannot be the source"));
    }

    #[test]
    fn a_wrong_interface_is_named() {
        let error = Membership::join("no-such", "239.1.1.1".parse().unwrap(), None).unwrap_err();
        assert!(error.to_string().contains("no-such"), "{error}");
    }
}
