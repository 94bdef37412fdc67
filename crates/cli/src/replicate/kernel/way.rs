//! An interface that copies leave by.

use super::accounts::{create, fd, not_written};
use super::programs;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tickwire_capture::bpf::{Map, MapKind, Program};
use tickwire_capture::ethtool::Ethtool;
use tickwire_capture::{PortError, interfaces, netdev};
use tickwire_replicate::xdp::{self, Dispatch, STATE_BYTES};
use tickwire_replicate::{SUBSCRIBERS_MAX, Subscriber};

/// Frames that wait for the other end of a veth (`VETH_RING_SIZE` in drivers/net/veth.c), and for
/// an interface that does not say how many. Others say how many their sending ring has.
const RING_FRAMES_DEFAULT: u32 = 256;
/// A small burst of market data: so many datagrams come before the device has sent a copy.
const BURST_DATAGRAMS: u32 = 16;

/// The programs behind the entries of one interface.
#[derive(Debug)]
pub struct Way {
    pub ifindex: u32,
    pub name: String,
    /// The longest frame that the kernel redirects to it.
    pub frame_bytes_max: i32,
    /// The MTU that the last subscriber by this way brought.
    mtu: Option<u32>,
    ring_frames: u32,
    /// The most copies of a datagram of which it was said that they are too many: 0 at first.
    told: u32,
    /// Whether it was said that copies may wait.
    pub told_to_wait: bool,
    /// Of each feed: by place, whether somebody has it.
    places: Vec<Vec<bool>>,
    /// Programs of subscribers.
    programs: Map,
    dispatcher: Program,
    _states: Map,
}

impl Way {
    /// For copies of `feeds` feeds by interface `ifindex`.
    ///
    /// # Errors
    /// An interface whose driver takes no redirected frames.
    pub fn open(ifindex: u32, feeds: usize) -> Result<Way, PortError> {
        let name = name_of(ifindex)?;
        let features = netdev::xdp_features(ifindex).map_err(|source| {
            PortError::system("ask what an interface can do", source, "see `ip link`")
        })?;
        if !features.is_some_and(|features| features.redirect_target) {
            return Err(PortError::Unsupported {
                what: format!("{name} takes no frames that XDP programs redirect to it"),
                cure: "of a veth, let the other end run an XDP program or GRO (`ethtool -K \
                       OTHER_END gro on`); with other drivers use mode af_xdp"
                    .into(),
            });
        }
        let programs =
            create("tickwire_progs", MapKind::ProgArray, 4, xdp::place(feeds as u32, 0))?;
        let states = create("tickwire_states", MapKind::PerCpuArray, STATE_BYTES, 1)?;
        let parts = Dispatch { states: fd(&states), state: 0, programs: fd(&programs) };
        let dispatcher = programs::dispatcher(&parts)?;
        let (ring_frames, frame_bytes_max) = (ring_frames(&name), frame_bytes_max(&name)?);
        Ok(Way {
            ifindex,
            name,
            frame_bytes_max,
            mtu: None,
            ring_frames,
            told: 0,
            told_to_wait: false,
            places: vec![Vec::new(); feeds],
            programs,
            dispatcher,
            _states: states,
        })
    }

    /// Asks the interface again when a subscriber brings another MTU than the one before.
    pub fn follow_mtu(&mut self, mtu: u32) -> Result<(), PortError> {
        if self.mtu != Some(mtu) {
            self.frame_bytes_max = frame_bytes_max(&self.name)?;
            self.mtu = Some(mtu);
        }
        Ok(())
    }

    /// The most copies of a datagram.
    fn copies(&self) -> u32 {
        let of_feed = |places: &Vec<bool>| places.iter().filter(|taken| **taken).count() as u32;
        self.places.iter().map(of_feed).max().unwrap_or(0)
    }

    /// What to say when a small burst makes more copies than the device has room for, and again
    /// when every datagram does.
    pub fn crowded(&mut self) -> Option<String> {
        let (copies, ring, told) = (self.copies(), self.ring_frames, self.told);
        if told > 0 && (copies <= ring || told > ring) {
            return None;
        }
        let crowd = self.crowd()?;
        self.told = copies;
        Some(crowd)
    }

    /// Says that a small burst, or every datagram, makes more copies than the device has room for.
    pub fn crowd(&self) -> Option<String> {
        let (copies, ring, name) = (self.copies(), self.ring_frames, &self.name);
        if copies * BURST_DATAGRAMS <= ring {
            return None;
        }
        let of_each = format!(
            "{copies} copies of each datagram leave by {name}, which has room for {ring} frames"
        );
        if copies > ring {
            return Some(format!(
                "{of_each}: of each datagram copies are lost, as tx_ring_full; start again with \
                 --mode af_xdp, which waits, or auto"
            ));
        }
        Some(format!(
            "{of_each}: bursts of {} datagrams or more lose copies, as tx_ring_full; mode af_xdp \
             can wait: start again with it, or with auto",
            ring / copies + 1
        ))
    }

    /// Whether the interface was deleted, and with it the entries in device maps: no copies are
    /// made for it any more.
    pub fn is_gone(&self) -> bool {
        netdev::link(&self.name).map(|link| link.index).ok() != Some(self.ifindex)
    }

    /// Whether nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(Vec::is_empty)
    }

    /// The first free place of feed `feed`: behind all others, it needs an entry.
    pub fn free_place(&self, feed: u32) -> u32 {
        let places = &self.places[feed as usize];
        places.iter().position(|taken| !taken).unwrap_or(places.len()) as u32
    }

    /// How many entries feed `feed` has for this interface.
    pub fn entries(&self, feed: u32) -> u32 {
        self.places[feed as usize].len() as u32
    }

    /// Writes the entry of `place` into a device map, where this way is number `at`. One that is
    /// gone needs none.
    pub fn enter(&self, devices: &Map, at: usize, place: u32) -> Result<(), PortError> {
        let value = [self.ifindex, fd(&self.dispatcher) as u32].map(u32::to_ne_bytes);
        match devices.update(&device_key(at, place), value.as_flattened()) {
            Err(_) if self.is_gone() => Ok(()),
            entered => entered.map_err(not_written),
        }
    }

    /// Puts `program` into a place; the entry that makes use of it comes after it.
    pub fn occupy(
        &mut self,
        devices: &Map,
        at: usize,
        [feed, place]: [u32; 2],
        program: &Program,
    ) -> Result<(), PortError> {
        let key = xdp::place(feed, place).to_ne_bytes();
        self.programs.update(&key, &fd(program).to_ne_bytes()).map_err(not_written)?;
        if place == self.entries(feed) {
            self.enter(devices, at, place)?;
            self.places[feed as usize].push(true);
        }
        self.places[feed as usize][place as usize] = true;
        Ok(())
    }

    /// Empties a place, and takes away the entries of those at the end that are empty.
    pub fn vacate(
        &mut self,
        devices: &Map,
        at: usize,
        [feed, place]: [u32; 2],
    ) -> Result<(), PortError> {
        let places = &mut self.places[feed as usize];
        places[place as usize] = false;
        while let Some(false) = places.last() {
            let last = places.len() as u32 - 1;
            devices.delete(&device_key(at, last)).map_err(not_written)?;
            places.pop();
        }
        let key = xdp::place(feed, place).to_ne_bytes();
        self.programs.delete(&key).map(drop).map_err(not_written)
    }
}

/// Whether mode `xdp` suits all these `subscribers` to `feed` by interface `ifindex`.
///
/// # Errors
/// That all of them have filters, so that copies may wait for the next packet; that a small burst
/// of datagrams makes more copies than the device has room for.
pub fn suits(
    ifindex: u32,
    feed: &str,
    subscribers: &BTreeMap<SocketAddr, &Subscriber>,
) -> Result<(), PortError> {
    let name = name_of(ifindex)?;
    if subscribers.values().all(|subscriber| subscriber.filter.is_some()) {
        return Err(PortError::Unsupported {
            what: format!(
                "all subscribers of feed {feed} by {name} have filters: copies could wait there \
                 for the next packet behind those that nobody wants"
            ),
            cure: "add one without a filter to have mode xdp".into(),
        });
    }
    let copies = subscribers.len() as u32;
    let ring_frames = ring_frames(&name);
    if copies * BURST_DATAGRAMS <= ring_frames {
        return Ok(());
    }
    Err(PortError::Unsupported {
        what: format!(
            "{name} has room for {ring_frames} frames, and a burst of {BURST_DATAGRAMS} datagrams \
             makes {} copies",
            copies * BURST_DATAGRAMS
        ),
        cure: "--mode xdp loses what does not fit, and counts it".into(),
    })
}

fn device_key(way: usize, place: u32) -> [u8; 4] {
    (way as u32 * SUBSCRIBERS_MAX as u32 + place).to_ne_bytes()
}

fn name_of(ifindex: u32) -> Result<String, PortError> {
    let all = interfaces::list()
        .map_err(|source| PortError::system("list the interfaces", source, "see `ip link`"))?;
    let found = all.into_iter().find(|one| one.index == ifindex);
    found.map(|one| one.name).ok_or_else(|| PortError::Unsupported {
        what: format!("interface {ifindex}, which copies leave by, is gone"),
        cure: "see `ip link`".into(),
    })
}

fn frame_bytes_max(name: &str) -> Result<i32, PortError> {
    let link = netdev::link(name).map_err(|source| {
        PortError::system("ask for the MTU of an interface", source, "see `ip link`")
    })?;
    Ok(xdp::frame_bytes_max(link.mtu))
}

fn ring_frames(name: &str) -> u32 {
    let rings = Ethtool::open().and_then(|ethtool| ethtool.rings(name));
    rings.map_or(RING_FRAMES_DEFAULT, |rings| match rings.tx.now {
        0 => RING_FRAMES_DEFAULT,
        frames => frames,
    })
}
