//! An interface whose queue is never read: it fills up, and stays full.

use crate::End;
use crate::error::{LabError, Tried};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

/// Prefix length of its network.
const PREFIX_BITS: u8 = 24;

/// A TAP interface (Linux, Documentation/networking/tuntap.rst) in an end's namespace, whose frames
/// nobody reads. Gone when it is dropped.
#[derive(Debug)]
pub struct Tap {
    _file: File,
}

impl Tap {
    /// Makes `name` in the namespace of `end`, with address 10.77.2.1/24, and `neighbours` others
    /// behind it from 10.77.2.2 on, whose link-layer addresses are known.
    ///
    /// # Errors
    /// EPERM, ENOENT without the tun driver, EBUSY when the name is taken.
    pub fn open(end: &End, name: &str, neighbours: u8) -> Result<Tap, LabError> {
        let file = end.run(|| open(name)).tried(|| format!("make the TAP interface {name}"))?;
        let mut links = end.links()?;
        links.set_up(name, true)?;
        let index = links.state(name)?.index;
        links.add_address(index, IpAddr::from(Tap::address(1)), PREFIX_BITS)?;
        for number in 2..2 + neighbours {
            let mac = [0x02, 0, 0, 2, 0x77, number];
            links.set_neighbour(index, Tap::address(number).into(), mac)?;
        }
        Ok(Tap { _file: file })
    }

    /// The address of host `number` of its network.
    pub fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 2, number)
    }
}

fn open(name: &str) -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: zeros are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: the kernel reads and writes the live request, which is of the type that it expects.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}
