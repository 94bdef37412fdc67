//! Offloads and driver counters of an interface, through the SIOCETHTOOL ioctl.
//!
//! Names and numbers are those of linux/ethtool.h.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
/// The string set of the driver's statistics.
const ETH_SS_STATS: u32 = 1;
/// Bytes of each string of a set.
const ETH_GSTRING_LEN: usize = 32;
/// A driver with more counters than this would be unknown to us; a veth queue has about 15.
const STATS_MAX: usize = 1 << 16;

/// An offload that can be switched, by the number of its ETHTOOL_S… command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Offload {
    /// The receiver's checksums count as verified.
    ReceiveChecksum = 0x15,
    /// The sender leaves checksums to hardware, which on veth never fills them in.
    TransmitChecksum = 0x17,
    /// The sender passes frames in pieces.
    ScatterGather = 0x19,
    /// The sender leaves TCP segmentation to hardware.
    Tso = 0x1f,
    /// Segmentation as late as possible.
    Gso = 0x24,
    /// The receiver merges frames; on veth this also switches its NAPI on.
    Gro = 0x2c,
}

/// The ethtool interface of one network interface.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// Opens it for interface `name` of the calling thread's namespace.
    ///
    /// # Errors
    /// EINVAL when no interface can have this name.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut field = [0; libc::IFNAMSIZ];
        if name.is_empty() || name.len() >= field.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        for (to, from) in field.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM);
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        Ok(Ethtool { socket, name: field })
    }

    /// Switches an offload.
    ///
    /// # Errors
    /// ENODEV without such an interface, EOPNOTSUPP when the driver cannot switch it, EPERM.
    pub fn set(&self, offload: Offload, on: bool) -> io::Result<()> {
        // struct ethtool_value
        let mut value = [offload as u32, u32::from(on)].map(u32::to_ne_bytes).concat();
        self.ioctl(&mut value)
    }

    /// Every counter of the driver, with its name there.
    ///
    /// # Errors
    /// ENODEV without such an interface, EOPNOTSUPP when the driver has none.
    pub fn statistics(&self) -> io::Result<Vec<(String, u64)>> {
        let count = self.statistics_len()?;
        // struct ethtool_gstrings: cmd, string_set, len, data
        let mut names = header(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count as u32]);
        names.resize(names.len() + count * ETH_GSTRING_LEN, 0);
        self.ioctl(&mut names)?;
        // struct ethtool_stats: cmd, n_stats, data
        let mut values = header(&[ETHTOOL_GSTATS, count as u32]);
        values.resize(values.len() + count * 8, 0);
        self.ioctl(&mut values)?;
        let names = names[12..].chunks_exact(ETH_GSTRING_LEN).map(|name| {
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            String::from_utf8_lossy(&name[..end]).into_owned()
        });
        let values = values[8..].chunks_exact(8).map(|value| {
            let bytes: [u8; 8] = value.try_into().unwrap_or_default();
            u64::from_ne_bytes(bytes)
        });
        Ok(names.zip(values).collect())
    }

    /// How many counters the driver has.
    fn statistics_len(&self) -> io::Result<usize> {
        // struct ethtool_sset_info: cmd, reserved, sset_mask (u64), data
        let mut info = header(&[ETHTOOL_GSSET_INFO, 0]);
        info.extend_from_slice(&(1u64 << ETH_SS_STATS).to_ne_bytes());
        info.extend_from_slice(&[0; 4]);
        self.ioctl(&mut info)?;
        let mask = &info[8..16];
        if mask.iter().all(|&byte| byte == 0) {
            return Ok(0);
        }
        let count = u32::from_ne_bytes([info[16], info[17], info[18], info[19]]) as usize;
        Ok(count.min(STATS_MAX))
    }

    /// One command; `data` holds its struct, and the answer after.
    fn ioctl(&self, data: &mut [u8]) -> io::Result<()> {
        let ifru_data = data.as_mut_ptr().cast();
        let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data };
        let mut request = libc::ifreq { ifr_name: self.name, ifr_ifru };
        // SAFETY: SIOCETHTOOL reads and writes the ethtool struct that `ifru_data` points to; its
        // first word is the command, and the callers sized `data` for that command. Every field
        // is copied byte-wise by the kernel, so alignment does not matter.
        let result = unsafe {
            libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The words at the start of a struct.
fn header(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_names_are_refused_here() {
        assert_eq!(Ethtool::open("").unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(Ethtool::open("sixteen-letters-").unwrap_err().raw_os_error(), Some(22));
    }

    #[test]
    fn a_missing_interface_is_enodev() {
        let ethtool = Ethtool::open("no-such-link").unwrap();
        assert_eq!(ethtool.statistics().unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
