//! What ethtool(8) shows of an interface, through the same ioctl (`SIOCETHTOOL`). Reads only.
//!
//! Each request is a fixed structure of 32-bit words from linux/ethtool.h; we pass it as an array
//! of words and take the fields out by index, so that the only unsafe code is the call itself.
//! An answer of `EOPNOTSUPP` is common: the driver has no such setting.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

const SIOCETHTOOL: u64 = 0x8946;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCOALESCE: u32 = 0x0e;
const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GET_TS_INFO: u32 = 0x41;
const ETH_SS_STATS: u32 = 1;
const ETH_SS_FEATURES: u32 = 4;

/// Bytes of one name in a string set (`ETH_GSTRING_LEN`), in words.
const STRING_WORDS: usize = 32 / 4;
/// More offload features than any kernel has (6.18 has 65): a limit on what we allocate.
const FEATURES_MAX: usize = 1024;

/// More counters than any driver has, with all its queues: a limit on what we allocate.
const STATISTICS_MAX: usize = 65_536;

/// `SOF_TIMESTAMPING_RX_HARDWARE` (linux/net_tstamp.h).
const RX_HARDWARE: u32 = 1 << 2;
/// `SOF_TIMESTAMPING_RX_SOFTWARE`.
const RX_SOFTWARE: u32 = 1 << 3;
/// `HWTSTAMP_FILTER_ALL`: every packet, not only those of PTP.
const FILTER_ALL: u32 = 1 << 1;

/// `struct ethtool_drvinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Name of the driver: `virtio_net`, `ena`, `mlx5_core`, `veth`, …
    pub name: String,
    /// Its version; in most drivers today that of the kernel.
    pub version: String,
    /// Version of the card's firmware; may be empty.
    pub firmware: String,
    /// Where the card is: a PCI address; may be empty.
    pub bus: String,
}

/// A count in force now, and the most that the card can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// In force now.
    pub now: u32,
    /// The most that the driver accepts.
    pub max: u32,
}

/// Queues of the card (`ethtool -l`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that only receive.
    pub rx: Setting,
    /// Queues that only send.
    pub tx: Setting,
    /// Queues that do both.
    pub combined: Setting,
}

/// Descriptors in the rings of the card (`ethtool -g`), for each queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardRings {
    /// Receive descriptors.
    pub rx: Setting,
    /// Transmit descriptors.
    pub tx: Setting,
}

/// How long the card waits before it interrupts (`ethtool -c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// Microseconds from the first frame to the interrupt.
    pub rx_usecs: u32,
    /// Frames after which it interrupts at once; 0: no such limit.
    pub rx_frames: u32,
    /// Whether the driver changes `rx_usecs` by itself.
    pub adaptive_rx: bool,
}

/// Where receive timestamps can come from (`ethtool -T`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamping {
    /// The kernel stamps received packets.
    pub rx_software: bool,
    /// The card stamps received packets.
    pub rx_hardware: bool,
    /// The card stamps every packet, not only those of PTP.
    pub rx_hardware_all: bool,
    /// Number of the card's clock: `/dev/ptpN`.
    pub phc: Option<u32>,
}

/// One offload feature (`ethtool -k`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The kernel's name for it: `rx-gro`, `rx-lro`, `rx-checksum`, …
    pub name: String,
    /// Whether it is on.
    pub active: bool,
    /// Whether it can be changed.
    pub changeable: bool,
}

/// A socket to ask through, about interfaces of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    /// Opens a socket in the namespace of the calling thread. Needs no privilege.
    pub fn open() -> io::Result<Self> {
        let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
        Ok(Ethtool { socket: socket_with(AddressFamily::INET, kind, flags, None)? })
    }

    /// Name and version of the driver, and where the card is.
    pub fn driver(&self, interface: &str) -> io::Result<Driver> {
        let words = self.get::<49>(interface, ETHTOOL_GDRVINFO)?;
        let text = |first: usize| text_of(&words[first..first + STRING_WORDS]);
        Ok(Driver { name: text(1), version: text(9), firmware: text(17), bus: text(25) })
    }

    /// How many queues the card has, and could have.
    pub fn channels(&self, interface: &str) -> io::Result<Channels> {
        let words = self.get::<9>(interface, ETHTOOL_GCHANNELS)?;
        let setting = |index: usize| Setting { now: words[index + 4], max: words[index] };
        Ok(Channels { rx: setting(1), tx: setting(2), combined: setting(4) })
    }

    /// How many descriptors the rings of the card have, and could have.
    pub fn rings(&self, interface: &str) -> io::Result<CardRings> {
        let words = self.get::<9>(interface, ETHTOOL_GRINGPARAM)?;
        let setting = |index: usize| Setting { now: words[index + 4], max: words[index] };
        Ok(CardRings { rx: setting(1), tx: setting(4) })
    }

    /// How the card coalesces its receive interrupts.
    pub fn coalesce(&self, interface: &str) -> io::Result<Coalesce> {
        let words = self.get::<23>(interface, ETHTOOL_GCOALESCE)?;
        Ok(Coalesce { rx_usecs: words[1], rx_frames: words[2], adaptive_rx: words[10] != 0 })
    }

    /// Where receive timestamps can come from.
    pub fn timestamping(&self, interface: &str) -> io::Result<Timestamping> {
        let words = self.get::<11>(interface, ETHTOOL_GET_TS_INFO)?;
        Ok(Timestamping {
            rx_software: words[1] & RX_SOFTWARE != 0,
            rx_hardware: words[1] & RX_HARDWARE != 0,
            rx_hardware_all: words[1] & RX_HARDWARE != 0 && words[7] & FILTER_ALL != 0,
            phc: u32::try_from(words[2].cast_signed()).ok(),
        })
    }

    /// The offload features, in the kernel's order.
    pub fn features(&self, interface: &str) -> io::Result<Vec<Feature>> {
        let names = self.strings(interface, ETH_SS_FEATURES, FEATURES_MAX)?;
        let count = names.len();
        // Blocks of 32 features: available, requested, active, never changed.
        let blocks = count.div_ceil(32);
        let mut states = vec![0; 2 + blocks * 4];
        states[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks as u32]);
        self.call(interface, &mut states)?;
        let bit =
            |index: usize, word: usize| states[2 + index / 32 * 4 + word] >> (index % 32) & 1 == 1;
        let features = names.into_iter().enumerate().map(|(index, name)| Feature {
            active: bit(index, 2),
            changeable: bit(index, 0) && !bit(index, 3),
            name,
        });
        Ok(features.filter(|feature| !feature.name.is_empty()).collect())
    }

    /// Every counter of the driver (`ethtool -S`), with its name there. The number of counters must
    /// not change meanwhile, as it does when a card gets more queues: EAGAIN then.
    pub fn statistics(&self, interface: &str) -> io::Result<Vec<(String, u64)>> {
        let names = self.strings(interface, ETH_SS_STATS, STATISTICS_MAX)?;
        // struct ethtool_stats: command, count, then 64 bits each. The kernel writes as many as
        // there are *now*, so there is room for the most that we believe in.
        let mut words = vec![0; 2 + 2 * STATISTICS_MAX];
        words[0] = ETHTOOL_GSTATS;
        self.call(interface, &mut words)?;
        if words[1] as usize != names.len() {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let bytes: Vec<u8> =
            words[2..2 + 2 * names.len()].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (values, _) = bytes.as_chunks::<8>();
        Ok(names.into_iter().zip(values.iter().map(|&value| u64::from_ne_bytes(value))).collect())
    }

    /// The names of one set.
    fn strings(&self, interface: &str, set: u32, count_max: usize) -> io::Result<Vec<String>> {
        // struct ethtool_sset_info: which sets (64 bits at word 2), then the size of each.
        let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << set, 0, 0];
        self.call(interface, &mut info)?;
        let count = info[4] as usize;
        if count > count_max {
            return Err(io::Error::other(format!("{count} names are beyond belief")));
        }
        // As above: room for the most, should there be more by now.
        let mut names = vec![0; 3 + count_max * STRING_WORDS];
        names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, set, count as u32]);
        self.call(interface, &mut names)?;
        Ok(names[3..].chunks_exact(STRING_WORDS).take(count).map(text_of).collect())
    }

    /// Asks for one of the structures of fixed size, of `WORDS` words with the command.
    fn get<const WORDS: usize>(&self, interface: &str, command: u32) -> io::Result<[u32; WORDS]> {
        let mut words = [0; WORDS];
        words[0] = command;
        self.call(interface, &mut words)?;
        Ok(words)
    }

    /// One ioctl. `words` begins with the command and must be as long as its structure in
    /// linux/ethtool.h, with what follows it: private to this file, for that reason.
    fn call(&self, interface: &str, words: &mut [u32]) -> io::Result<()> {
        let name = interface.as_bytes();
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: words.as_mut_ptr().cast() },
        };
        for (to, &from) in request.ifr_name.iter_mut().zip(name) {
            *to = from.cast_signed();
        }
        // SAFETY: `request` is a whole `ifreq` with a name that ends in 0; its data pointer is
        // valid for reads and writes of `words.len()` words. The command is one of this file, all
        // of which only read settings, and every caller's array has the size of the structure that
        // belongs to it. Where that depends on a count that the kernel may change, the array has
        // room for more than any driver has.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The text in fixed words, up to the first 0.
fn text_of(words: &[u32]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_features_and_no_driver_settings() {
        let ethtool = Ethtool::open().unwrap();
        let features = ethtool.features("lo").unwrap();
        let loopback = features.iter().find(|feature| feature.name == "loopback").unwrap();
        assert!(loopback.active && !loopback.changeable, "{features:?}");
        assert!(features.iter().any(|feature| feature.name == "rx-gro"));
        assert!(ethtool.timestamping("lo").unwrap().rx_software);
        assert_eq!(ethtool.timestamping("lo").unwrap().phc, None);
        let error = ethtool.channels("lo").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        let ethtool = Ethtool::open().unwrap();
        for name in ["", "no-such-device", "a-name-of-sixteen", "e\0h"] {
            let error = ethtool.driver(name).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{name:?}");
        }
    }

    #[test]
    fn texts_end_at_the_first_zero() {
        let words = [u32::from_ne_bytes(*b"veth"), u32::from_ne_bytes(*b"1\0xx")];
        assert_eq!(text_of(&words), "veth1");
        assert_eq!(text_of(&words[..1]), "veth");
    }
}
