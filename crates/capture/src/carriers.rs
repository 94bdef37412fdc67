//! Whether frames pass on an interface at this moment, for the path of packets: one short system
//! call.
//!
//! [`LinkWatch`](crate::link::LinkWatch) and [`Routes`](crate::routes::Routes) hear of a lost
//! carrier when the kernel has dealt with it. That is late for who sends through sockets: from a
//! moment before, the kernel takes datagrams for that interface and drops them without a word
//! (`noop` in the place of its queue). What this asks for changes before that begins.
//!
//! The other way round it is early: the answer is "up" some microseconds before the kernel has put
//! the queue back.

use crate::netdev::is_running;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A name as the kernel gives and takes it, ending in 0.
type Name = [libc::c_char; libc::IFNAMSIZ];

/// Asks for the state of interfaces, of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Carriers {
    socket: OwnedFd,
    /// The names of those asked for so far: the question takes a name.
    names: Vec<(u32, Name)>,
}

impl Carriers {
    /// Opens the socket that the questions go through. Takes no privilege.
    ///
    /// # Errors
    /// When this process has too many descriptors.
    pub fn open() -> io::Result<Carriers> {
        let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
        let socket = socket_with(AddressFamily::INET, kind, flags, None)?;
        Ok(Carriers { socket, names: Vec::new() })
    }

    /// Whether interface `ifindex` is up and has a carrier; not when it is gone.
    pub fn passes(&mut self, ifindex: u32) -> bool {
        let known = self.names.iter().position(|(known, _)| *known == ifindex);
        if let Some(flags) = known.and_then(|place| self.flags(self.names[place].1)) {
            return is_running(flags);
        }
        // New, renamed, or gone.
        self.names.retain(|(known, _)| *known != ifindex);
        let Some(name) = self.name(ifindex) else { return false };
        self.names.push((ifindex, name));
        self.flags(name).is_some_and(is_running)
    }

    fn flags(&self, name: Name) -> Option<u32> {
        let mut request = request(name);
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: SIOCGIFFLAGS has filled this member of the union.
        Some(unsafe { request.ifr_ifru.ifru_flags }.cast_unsigned().into())
    }

    fn name(&self, ifindex: u32) -> Option<Name> {
        let mut request = request([0; libc::IFNAMSIZ]);
        request.ifr_ifru.ifru_ifindex = ifindex.cast_signed();
        self.ask(libc::SIOCGIFNAME, &mut request)?;
        Some(request.ifr_name)
    }

    fn ask(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> Option<()> {
        // SAFETY: both questions of this file read and write one `ifreq`, which `request` is.
        let answer = unsafe { libc::ioctl(self.socket.as_raw_fd(), number, request) };
        (answer >= 0).then_some(())
    }
}

fn request(ifr_name: Name) -> libc::ifreq {
    libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};
    use tickwire_lab::{Lab, LabConfig, require_root};

    #[test]
    fn an_interface_that_is_not_there_passes_nothing() {
        let mut carriers = Carriers::open().unwrap();
        assert!(!carriers.passes(0x7fff_0000));
        assert!(carriers.names.is_empty());
    }

    #[test]
    fn either_end_down_is_seen_and_up_again() {
        require_root!("either_end_down_is_seen_and_up_again");
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
        let mut carriers = lab.right.run(Carriers::open).unwrap();
        let index = lab.right.index().unwrap();
        assert!(carriers.passes(index));
        for end in [&lab.left, &lab.right] {
            end.set_up(false).unwrap();
            // The kernel sees to it a moment later.
            let deadline = Instant::now() + Duration::from_secs(10);
            while carriers.passes(index) {
                assert!(Instant::now() < deadline, "still up");
            }
            end.set_up(true).unwrap();
            lab.wait_running().unwrap();
            assert!(carriers.passes(index));
        }
        lab.delete_link().unwrap();
        assert!(!carriers.passes(index));
    }
}
