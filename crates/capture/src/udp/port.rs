//! The port: a feed from a socket.

use super::config::{PAYLOAD_BYTES_MAX, UdpConfig};
use super::open::{Opened, open};
use super::slots::Slots;
use crate::interfaces;
use crate::link::LinkWatch;
use crate::routes::{NextHop, Routes};
use crate::sockets::{attach_verdict, drops};
use crate::{KernelCounter, Mode, Port, PortError, Received, Sent, multicast};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use tickwire_frame::{Batch, FRAMES_MAX, Ledger, LinkType, Reason};

/// One feed. See the module for what its frames are.
///
/// It follows its interface: when that is deleted and made again, the socket is opened and the
/// group joined anew. After [`Port::quiesce`] it gives out what had arrived, and nothing more.
#[derive(Debug)]
pub struct UdpPort {
    config: UdpConfig,
    opened: Opened,
    slots: Slots,
    /// Of the interface that the feed comes in on, if that is said.
    watch: Option<LinkWatch>,
    /// Its index.
    ifindex: Option<u32>,
    /// Datagrams for the address that came in on other interfaces: none of the feed's.
    others: u64,
    why: String,
    quiesced: bool,
    /// The kernel's drops of this socket that are in the ledger already; it wraps.
    drops_entered: u32,
    /// Drops up to [`Port::quiesce`] that are not in the ledger yet.
    last_drops: u64,
    /// Over all sockets that the port has had.
    drops_total: u64,
    reopened: u64,
}

impl UdpPort {
    /// Opens the feed: from now on the kernel keeps what arrives.
    ///
    /// # Errors
    /// For an address that is not of this machine or taken, an interface that is not there, a
    /// source without a group.
    pub fn open(config: &UdpConfig) -> Result<Self, PortError> {
        let config = checked(config)?;
        let interface = config.interface.as_deref().map(interfaces::find).transpose()?;
        let opened = open(&config, interface.as_ref())?;
        let watch = interface.as_ref().map(|found| LinkWatch::open(&found.name)).transpose();
        let watch =
            watch.map_err(|error| PortError::system("watch the link over rtnetlink", error, ""))?;
        Ok(UdpPort {
            slots: Slots::new(config.payload_bytes_max),
            ifindex: interface.map(|found| found.index),
            others: 0,
            config,
            opened,
            watch,
            why: String::new(),
            quiesced: false,
            drops_entered: 0,
            last_drops: 0,
            drops_total: 0,
            reopened: 0,
        })
    }

    /// Where it receives: the address and port of the configuration, with the port that the kernel
    /// chose if that was 0.
    pub fn listen(&self) -> SocketAddr {
        self.opened.listen
    }

    /// Says in [`Port::mode`] why it is this port and not a faster one.
    pub fn set_why(&mut self, why: impl Into<String>) {
        self.why = why.into();
    }

    /// Reads the drops of the socket, and returns those that are new.
    fn new_drops(&mut self) -> Result<u64, PortError> {
        let drops = drops(&self.opened.socket)
            .map_err(|error| PortError::system("read the drops of a UDP socket", error, ""))?;
        let new = u64::from(drops.wrapping_sub(self.drops_entered));
        self.drops_entered = drops;
        self.drops_total += new;
        Ok(new)
    }

    /// An interface that is deleted and made again has another index, and the membership of a
    /// group ended with the old one, in silence: then a new socket takes over.
    fn follow_interface(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        watch
            .update()
            .map_err(|error| PortError::system("follow the link over rtnetlink", error, ""))?;
        let index = watch.index();
        if index.is_none() || index == self.ifindex {
            return Ok(());
        }
        let name = self.config.interface.as_deref().unwrap_or_default();
        // Gone again: the next tick tells.
        let Ok(interface) = interfaces::find(name) else { return Ok(()) };
        if self.config.listen.ip().is_multicast() {
            // Not up yet: the next tick tries again.
            let Ok(opened) = open(&self.config, Some(&interface)) else { return Ok(()) };
            // What is left in the old socket goes with it.
            let drops = self.new_drops()?;
            ledger.lost(Reason::SocketDropped, drops);
            (self.opened, self.drops_entered) = (opened, 0);
        }
        self.ifindex = Some(interface.index);
        self.reopened += 1;
        if let Some(watch) = &mut self.watch {
            let (name, index) = (&interface.name, interface.index);
            watch.notice(format!("{name} is back (index {index}), receiving again"));
        }
        Ok(())
    }
}

/// The configuration with what it leaves open.
fn checked(config: &UdpConfig) -> Result<UdpConfig, PortError> {
    let mut config = config.clone();
    config.payload_bytes_max = config.payload_bytes_max.clamp(1, PAYLOAD_BYTES_MAX);
    let group = config.listen.ip();
    if let Some(other) = config.stands_for.filter(|other| other.is_ipv4() != group.is_ipv4()) {
        return Err(PortError::Unsupported {
            what: format!("what is sent to {group} cannot stand for what is sent to {other}"),
            cure: "use addresses of one IP version".into(),
        });
    }
    if group.is_multicast() {
        multicast::check(group, config.source)?;
        if config.interface.is_none() {
            config.interface = Some(interface_of(config.listen)?);
        }
    } else if let Some(source) = config.source {
        return Err(PortError::Unsupported {
            what: format!(
                "{group} is no multicast group, so it cannot be joined for {source} only"
            ),
            cure: format!("use the filter `src host {source}`"),
        });
    }
    Ok(config)
}

/// The interface by which this machine would send to the group.
fn interface_of(group: SocketAddr) -> Result<String, PortError> {
    let mut routes = Routes::open()?;
    let ifindex = match routes.lookup(group.ip(), None)? {
        NextHop::Resolved(hop) => Some(hop.ifindex),
        NextHop::Refused { ifindex, .. } | NextHop::LinkDown { ifindex } => Some(ifindex),
        NextHop::Unresolved { .. } | NextHop::NoRoute | NextHop::Local => None,
    };
    let found = ifindex.and_then(|ifindex| routes.interface(ifindex));
    found.map(|interface| interface.name.clone()).ok_or_else(|| PortError::Unsupported {
        what: format!("no route says on which interface to join {}", group.ip()),
        cure: "name the interface".into(),
    })
}

/// The socket, to wait for several ports together, or to answer from the feed's own address. A
/// [`tick`](Port::tick) that follows its interface puts another in its place.
impl AsFd for UdpPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened.socket.as_fd()
    }
}

impl Port for UdpPort {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        batch.link = if self.config.ethernet { LinkType::ETHERNET } else { LinkType::RAW };
        batch.interface = 0;
        let Opened { socket, listen, .. } = &self.opened;
        let to = (*listen, self.config.stands_for);
        let others = self.slots.receive(socket, to, self.ifindex, batch);
        self.others += others
            .map_err(|error| PortError::system(format!("receive {listen} over UDP"), error, ""))?;
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&self.opened.socket, PollFlags::IN)], Some(&timeout)) {
            // A signal: the caller looks whether it should stop.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(PortError::system("wait for datagrams", error, "")),
        }
    }

    fn transmit(&mut self, _frames: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported {
            what: format!("the UDP port of {} sends no frames", self.listen()),
            cure: "send payloads with a UdpSender, or use the ports af_packet or af_xdp".into(),
        })
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        if self.quiesced {
            // From then on the socket's filter drops what is none of ours; what was lost before is
            // entered by the first of these calls.
            ledger.lost(Reason::SocketDropped, std::mem::take(&mut self.last_drops));
            return Ok(());
        }
        let drops = self.new_drops()?;
        ledger.lost(Reason::SocketDropped, drops);
        self.follow_interface(ledger)
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        if !self.quiesced {
            self.last_drops = self.new_drops()?;
            attach_verdict(&self.opened.socket, libc::SO_ATTACH_FILTER, 0)
                .map_err(|error| PortError::system("stop a UDP socket", error, ""))?;
            self.quiesced = true;
        }
        Ok(())
    }

    fn take_notice(&mut self) -> Option<String> {
        self.watch.as_mut()?.take_notice()
    }

    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        // Without entering them: that is for the tick.
        let now = if self.quiesced { None } else { drops(&self.opened.socket).ok() };
        let new = now.map_or(0, |now| now.wrapping_sub(self.drops_entered));
        let counters = [
            ("socket_drops", self.drops_total + u64::from(new)),
            ("reopened", self.reopened),
            ("other_interface", self.others),
        ];
        counters.map(|(name, value)| KernelCounter { name: name.into(), value }).into()
    }

    fn mode(&self) -> Mode {
        let (asked, got) = (self.config.buffer_bytes, self.opened.buffer_bytes);
        let mut mode = format!("recvmmsg of {FRAMES_MAX}, {} KiB buffer", got >> 10);
        if got < asked {
            mode += &format!(
                " of {} asked for: `sysctl net.core.rmem_max={asked}` or CAP_NET_ADMIN",
                asked >> 10
            );
        }
        Mode { port: "udp", mode, why: self.why.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_needs_a_group_and_an_address_is_named() {
        let mut config = UdpConfig::new("127.0.0.1:0".parse().unwrap());
        config.source = Some("10.0.0.1".parse().unwrap());
        let error = UdpPort::open(&config).unwrap_err().to_string();
        assert!(error.contains("use the filter `src host 10.0.0.1`"), "{error}");
        let error = UdpPort::open(&UdpConfig::new("192.0.2.1:5000".parse().unwrap()));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:5000") && error.contains("ip addr"), "{error}");
    }

    #[test]
    fn a_second_receiver_is_refused_with_the_way_to_find_the_first() {
        let first = UdpPort::open(&UdpConfig::new("127.0.0.1:0".parse().unwrap())).unwrap();
        let config = UdpConfig::new(first.listen());
        let error = UdpPort::open(&config).unwrap_err().to_string();
        let cure = format!("`ss -ulnp sport = :{}`", first.listen().port());
        assert!(error.contains(&cure), "{error}");
    }
}
