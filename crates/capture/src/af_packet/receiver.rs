//! A receiving socket with its ring, for one life of an interface.

use super::fanout::Group;
use super::filter::KernelFilter;
use super::map::Map;
use super::port::AfPacketConfig;
use super::rx::{RESERVE_BYTES, RxRing};
use super::socket::{PacketSocket, Statistics};
use crate::{PortError, interfaces};
use std::io;
use tickwire_frame::LinkType;

/// The kernel only checks that this divides a block: TPACKET_V3 packs frames densely.
const NOMINAL_FRAME_BYTES: usize = 2048;
/// The kernel's word for "all protocols" (linux/if_ether.h).
const EVERY_PROTOCOL: u16 = libc::ETH_P_ALL as u16;

/// Fields are in the order of closing: the mapping before the socket.
#[derive(Debug)]
pub(super) struct Receiver {
    pub ring: RxRing,
    pub socket: PacketSocket,
    pub link: LinkType,
    /// Packets that the kernel put into the ring.
    passed: u64,
    /// Packets of the ring that nobody will read any more.
    abandoned: u64,
}

impl Receiver {
    /// Opens and binds; refuses every frame until [`start`](Self::start).
    pub fn open(config: &AfPacketConfig, group: Option<&Group>) -> Result<Self, PortError> {
        let socket = PacketSocket::new()?;
        let interface = interfaces::find(&config.interface)?;
        let (name, index) = (interface.name.as_str(), interface.index);
        let Some(link) = interface.link_type() else {
            return Err(PortError::Unsupported {
                what: format!("{name} has link-layer type {} (ARPHRD)", interface.hardware),
                cure: "tickwire reads Ethernet, loopback and IP tunnels: capture on the interface \
                       below it"
                    .into(),
            });
        };
        let failed =
            |what: &str, error: io::Error| PortError::system(format!("{what} {name}"), error, "");
        let tpacket_v3 = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        socket
            .set(libc::PACKET_VERSION, &tpacket_v3)
            .and_then(|()| socket.set(libc::PACKET_RESERVE, &RESERVE_BYTES))
            .and_then(|()| socket.accept_bytes(0))
            .map_err(|error| failed("prepare the socket for", error))?;
        // Loopback shows each frame twice: on its way out and on its way in.
        let ignore_outgoing = interface.is_loopback() || !config.outgoing;
        if ignore_outgoing {
            let yes: libc::c_int = 1;
            socket
                .set(libc::PACKET_IGNORE_OUTGOING, &yes)
                .map_err(|error| failed("ignore outgoing frames of", error))?;
        }
        let mut ring = map_ring(&socket, config)?.with_snap_len(config.snap_len as usize);
        if link != LinkType::ETHERNET {
            ring = ring.without_tags();
        }
        socket.bind(index, EVERY_PROTOCOL).map_err(|error| failed("bind to", error))?;
        if config.promiscuous {
            socket
                .make_promiscuous(index)
                .map_err(|error| failed("switch on promiscuous mode of", error))?;
        }
        if let Some(group) = group {
            let cure = "if the interface is down: `ip link set dev IF up` first, or one worker";
            group.join(&socket, index, ignore_outgoing).map_err(|error| {
                PortError::system(format!("join the fanout group of {name}"), error, cure)
            })?;
        }
        Ok(Receiver { ring, socket, link, passed: 0, abandoned: 0 })
    }

    /// From now on frames arrive that `filter` accepts; all of them without one, or when the kernel
    /// does not take it: then it says why.
    pub fn start(
        &self,
        filter: Option<&KernelFilter>,
        snap_len: u32,
    ) -> Result<Option<String>, PortError> {
        let mut refused = None;
        match filter.filter(|filter| filter.link == self.link) {
            None => {}
            Some(filter) => match self.socket.attach(&filter.program) {
                Ok(()) => return Ok(None),
                Err(error) => refused = Some(why_refused(&error)),
            },
        }
        self.socket
            .accept_bytes(snap_len.max(1))
            .map_err(|error| PortError::system("start receiving", error, ""))?;
        Ok(refused)
    }

    /// No more frames arrive; what is in the ring stays there. A filter, because a member of a
    /// fanout group cannot be unbound.
    pub fn stop(&self) -> Result<(), PortError> {
        self.socket.accept_bytes(0).map_err(|error| PortError::system("stop receiving", error, ""))
    }

    pub fn take_statistics(&mut self, name: &str) -> Result<Statistics, PortError> {
        let statistics = self.socket.take_statistics().map_err(|error| {
            PortError::system(format!("read PACKET_STATISTICS of {name}"), error, "")
        })?;
        self.passed += statistics.packets - statistics.drops;
        Ok(statistics)
    }

    /// Packets in the ring that have not been given out, as of the last statistics.
    pub fn unread(&self) -> u64 {
        // A frame may have been read after the last statistics, and not be counted yet.
        self.passed.saturating_sub(self.abandoned + self.ring.read())
    }

    /// Whether all packets of the ring, as of the last statistics, are in blocks that are ours.
    pub fn all_handed_over(&self) -> bool {
        self.unread() <= self.ring.ready_frames()
    }

    /// Gives up what has not been read, and says how much that is.
    pub fn abandon(&mut self) -> u64 {
        let unread = self.unread();
        self.abandoned += unread;
        self.ring.close();
        unread
    }
}

fn why_refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => "its program is above `sysctl net.core.optmem_max`".into(),
        _ => format!("the kernel refused its program: {error}"),
    }
}

fn map_ring(socket: &PacketSocket, config: &AfPacketConfig) -> Result<RxRing, PortError> {
    let (block_bytes, blocks) = (config.block_bytes, config.blocks);
    let fits = block_bytes.is_power_of_two()
        && block_bytes >= rustix::param::page_size()
        && blocks > 0
        && block_bytes.checked_mul(blocks).is_some_and(|bytes| bytes <= i32::MAX as usize);
    if !fits {
        return Err(PortError::Unsupported {
            what: format!("a ring of {blocks} blocks of {block_bytes} bytes"),
            cure: "blocks are a power of two and at least a page, the ring is below 2 GiB".into(),
        });
    }
    let bytes = block_bytes * blocks;
    let request = libc::tpacket_req3 {
        tp_block_size: block_bytes as u32,
        tp_block_nr: blocks as u32,
        tp_frame_size: NOMINAL_FRAME_BYTES as u32,
        tp_frame_nr: (bytes / NOMINAL_FRAME_BYTES) as u32,
        tp_retire_blk_tov: config.retire_ms.max(1),
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    let failed = |error: io::Error| {
        let what = format!("set up a receive ring of {} KiB", bytes >> 10);
        PortError::system(what, error, "ask for fewer or smaller blocks")
    };
    socket.set(libc::PACKET_RX_RING, &request).map_err(failed)?;
    let map = Map::of_socket(socket.raw_fd(), bytes).map_err(failed)?;
    Ok(RxRing::new(map, block_bytes, blocks))
}
