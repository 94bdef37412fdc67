//! One interface as its ports share it: the XDP program, attached once, and the map of sockets.

use super::config::{AfXdpConfig, Attach, Selection};
use super::program::{CONNECTIONS_MAX, Count, Counts, DESTINATIONS_MAX, Maps, assemble};
use super::stage::Stage;
use super::sys;
use super::umem::HEADROOM_BYTES;
use crate::PortError;
use crate::bpf::{AttachMode, LoadError, Map, MapKind, Program, ProgramInfo, Tables, XdpLink};
use crate::netdev;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The highest queue number that we serve, plus one.
pub const QUEUES_MAX: u32 = 1024;
/// How long an attach may find the interface busy: the kernel takes down the link of a process
/// that was killed within 300 ms.
const ATTACH_MS_MAX: u64 = 1000;
/// Pause between two attempts.
const ATTACH_RETRY_MS: u64 = 10;

/// What `bpftool prog` shows.
const PROGRAM_NAME: &str = "tickwire_rx";
/// How the names of all our programs begin.
const NAMES: &str = "tickwire_";

pub(super) const CURE_RIGHTS: &str = "it needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and \
     CAP_PERFMON: run as root, or once `sudo setcap \
     cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock+ep $(which tickwire)`";

/// The verifier goes through a million instructions at most, and jumps have a reach.
const CURE_LESS: &str = "ask for less in the kernel: fewer rules, or a simpler filter";

/// The program on the interface, for as long as one port lives.
#[derive(Debug)]
pub(super) struct Interface {
    config: AfXdpConfig,
    frame_bytes: u32,
    /// Held by who puts another program in place, for as long as the verifier takes. Before
    /// `attached`, which the ports need for their counters.
    replacing: Mutex<()>,
    attached: Mutex<Attached>,
}

/// What the program is made of.
#[derive(Clone, Debug)]
struct Wanted {
    stage: Option<Arc<dyn Stage>>,
    selection: Selection,
    /// In bytes, of a frame that fits into ours.
    len_max: u32,
}

/// The program on the interface as it is now; another one after it was deleted and made again.
#[derive(Debug)]
pub(super) struct Attached {
    /// Detaches when dropped. First of the fields: no frame may be redirected any more when the
    /// maps go.
    link: XdpLink,
    program: Program,
    maps: Arc<Maps>,
    wanted: Wanted,
    /// Of the interface that the program is on.
    pub ifindex: u32,
    /// Where it runs.
    pub mode: AttachMode,
    /// Why not in the driver.
    pub why: String,
}

impl Interface {
    /// Loads the program and attaches it. Its map is empty: all packets pass until sockets are in.
    pub fn open(config: &AfXdpConfig) -> Result<Self, PortError> {
        let ifindex = index_of(&config.interface)?;
        let frame_bytes = frame_bytes_of(config)?;
        let wanted = Wanted {
            stage: config.stage.clone(),
            selection: config.selection.clone(),
            len_max: frame_bytes - HEADROOM_BYTES,
        };
        let attached = Mutex::new(Attached::new(config, wanted, ifindex)?);
        // The maps of a stage shall go with it, when another takes its place.
        let config = AfXdpConfig { stage: None, ..config.clone() };
        Ok(Interface { config, frame_bytes, replacing: Mutex::default(), attached })
    }

    /// What it was opened with, but for the stage.
    pub fn config(&self) -> &AfXdpConfig {
        &self.config
    }

    /// Size of a frame, in bytes.
    pub fn frame_bytes(&self) -> u32 {
        self.frame_bytes
    }

    /// The program as it is attached now.
    pub fn attached(&self) -> MutexGuard<'_, Attached> {
        // What is behind the lock is replaced as a whole or not at all.
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches to the interface `ifindex`, which has taken the place of one that was deleted,
    /// unless another port has done so already.
    pub fn follow(&self, ifindex: u32) -> Result<(), PortError> {
        let _alone = self.alone();
        let (present, wanted) = {
            let attached = self.attached();
            (attached.ifindex, attached.wanted.clone())
        };
        if present != ifindex {
            let next = Attached::new(&self.config, wanted, ifindex)?;
            *self.attached() = next;
        }
        Ok(())
    }

    /// Takes other frames from now on; none is lost.
    pub fn select(&self, selection: &Selection) -> Result<(), PortError> {
        self.replace(|wanted| wanted.selection = selection.clone())
    }

    /// Puts another stage before the selection; no frame is lost.
    pub fn set_stage(&self, stage: Option<Arc<dyn Stage>>) -> Result<(), PortError> {
        self.replace(|wanted| wanted.stage = stage)
    }

    /// What the kernel tells of the program.
    pub fn program(&self) -> Result<ProgramInfo, PortError> {
        let info = self.attached().program.info();
        info.map_err(|source| PortError::system("ask for the XDP program", source, CURE_RIGHTS))
    }

    /// Puts a program of what `change` makes of the present wishes in the place of the present one.
    fn replace(&self, change: impl FnOnce(&mut Wanted)) -> Result<(), PortError> {
        let _alone = self.alone();
        let (mut wanted, maps) = {
            let attached = self.attached();
            (attached.wanted.clone(), attached.maps.clone())
        };
        change(&mut wanted);
        let program = load(&wanted, &maps)?;
        let mut attached = self.attached();
        match attached.link.update(&program) {
            // The interface is gone: it is what comes back with it.
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
            updated => updated.map_err(|source| {
                PortError::system("put another XDP program in place", source, CURE_RIGHTS)
            })?,
        }
        (attached.program, attached.wanted) = (program, wanted);
        Ok(())
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attached {
    fn new(config: &AfXdpConfig, wanted: Wanted, ifindex: u32) -> Result<Self, PortError> {
        let map = |name, kind, value_bytes, entries| {
            Map::create(name, kind, 4, value_bytes, entries).map_err(no_map)
        };
        let counts = QUEUES_MAX * Count::ALL.len() as u32;
        let maps = Arc::new(Maps {
            sockets: map("tickwire_xsks", MapKind::XskMap, 4, QUEUES_MAX)?,
            counts: map("tickwire_count", MapKind::PerCpuArray, 8, counts)?,
        });
        let program = load(&wanted, &maps)?;
        let (link, mode, why) = attach(config, &program, ifindex)?;
        Ok(Attached { link, program, maps, wanted, ifindex, mode, why })
    }

    /// Which frames are taken.
    pub fn selection(&self) -> &Selection {
        &self.wanted.selection
    }

    /// Frames of `queue` go to `socket` from now on.
    pub fn insert(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.maps.sockets.update(&queue.to_ne_bytes(), &socket.as_raw_fd().to_ne_bytes())
    }

    /// Frames of `queue` go to the host from now on.
    pub fn remove(&self, queue: u32) -> io::Result<()> {
        self.maps.sockets.delete(&queue.to_ne_bytes()).map(drop)
    }

    /// What the program has counted on `queue`.
    pub fn counts(&self, queue: u32) -> io::Result<Counts> {
        let mut counts = Counts::default();
        for (at, count) in counts.iter_mut().enumerate() {
            *count = self.maps.counts.counter(queue * Count::ALL.len() as u32 + at as u32)?;
        }
        Ok(counts)
    }
}

/// The kernel did not make a map for us.
pub fn no_map(source: io::Error) -> PortError {
    PortError::system("create an eBPF map", source, CURE_RIGHTS)
}

fn load(wanted: &Wanted, maps: &Maps) -> Result<Program, PortError> {
    let Wanted { stage, selection, len_max } = wanted;
    let (udp, tcp) = match selection {
        Selection::Udp(udp) => (udp.len(), 0),
        Selection::UdpAndTcp(udp, tcp) => (udp.len(), tcp.len()),
        Selection::All | Selection::Filter { .. } => (0, 0),
    };
    for (count, max, what) in
        [(udp, DESTINATIONS_MAX, "UDP destinations"), (tcp, CONNECTIONS_MAX, "TCP connections")]
    {
        if count > max {
            return Err(PortError::Unsupported {
                what: format!("{count} {what} are too many"),
                cure: format!("name at most {max}, or take everything"),
            });
        }
    }
    // The kernel keeps the tables for as long as the program lives.
    let tables = match selection {
        Selection::Filter { filter, .. } => Some(Tables::of(filter).map_err(no_map)?),
        _ => None,
    };
    let fds = tables.as_ref().map(Tables::fds).unwrap_or_default();
    let code = assemble(stage.as_deref(), selection, maps, &fds, *len_max).map_err(|error| {
        PortError::Unsupported { what: error.to_string(), cure: CURE_LESS.into() }
    })?;
    Program::load_xdp(PROGRAM_NAME, &code).map_err(not_loaded)
}

/// The kernel did not take one of our programs.
pub fn not_loaded(error: LoadError) -> PortError {
    // Without CAP_PERFMON the verifier refuses what it takes from root, and says so.
    let verifier = !error.log.is_empty() && !error.log.contains("for !root");
    let cure = match error.source.raw_os_error() {
        Some(libc::E2BIG) => CURE_LESS,
        _ if verifier => "this is a bug of ours: please report it",
        _ => CURE_RIGHTS,
    };
    PortError::Unsupported { what: error.to_string(), cure: cure.into() }
}

/// Attaches a program, whose name begins with `tickwire_`, to the interface `name` in the driver.
///
/// # Errors
/// What is in the way and what to do about it: the rights, the driver, somebody else's program.
pub fn attach_native(program: &Program, name: &str) -> Result<XdpLink, PortError> {
    let ifindex = index_of(name)?;
    attach_as(program, ifindex, AttachMode::Native)
        .map_err(|error| refused(name, ifindex, error, AttachMode::Native))
}

/// The index of an interface in the namespace of the calling thread.
pub(super) fn index_of(name: &str) -> Result<u32, PortError> {
    sys::interface_index(name).map_err(|source| {
        PortError::system(format!("find the interface {name}"), source, "see `ip link` for names")
    })
}

/// The size of a frame that is asked for, or that the MTU asks for.
pub(super) fn frame_bytes_of(config: &AfXdpConfig) -> Result<u32, PortError> {
    match config.frame_bytes {
        0 => Ok(frame_bytes_for(netdev::link(&config.interface).map_or(1500, |link| link.mtu))),
        bytes @ (2048 | 4096) => Ok(bytes),
        bytes => Err(PortError::Unsupported {
            what: format!("frames of {bytes} bytes"),
            cure: "the kernel takes 2048 or 4096".into(),
        }),
    }
}

/// The smaller of the frame sizes that hold what the MTU allows, with an Ethernet header and two
/// VLAN tags; the larger one when none does (longer ones are counted, not taken).
fn frame_bytes_for(mtu: u32) -> u32 {
    if mtu + 14 + 8 <= 2048 - HEADROOM_BYTES { 2048 } else { 4096 }
}

fn attach(
    config: &AfXdpConfig,
    program: &Program,
    ifindex: u32,
) -> Result<(XdpLink, AttachMode, String), PortError> {
    let generic = |why: String| {
        let link = attach_as(program, ifindex, AttachMode::Generic)
            .map_err(|error| refused(&config.interface, ifindex, error, AttachMode::Generic))?;
        Ok((link, AttachMode::Generic, why))
    };
    if config.attach == Attach::Generic {
        return generic("generic XDP was asked for".into());
    }
    match attach_as(program, ifindex, AttachMode::Native) {
        Ok(link) => Ok((link, AttachMode::Native, String::new())),
        Err(error) if config.attach == Attach::Auto && is_driver_refusal(&error) => {
            generic(format!("the driver does not run XDP programs here ({error})"))
        }
        Err(error) => Err(refused(&config.interface, ifindex, error, AttachMode::Native)),
    }
}

/// Attaches; waits while another link that is going away is still there.
fn attach_as(program: &Program, ifindex: u32, mode: AttachMode) -> io::Result<XdpLink> {
    let deadline = Instant::now() + Duration::from_millis(ATTACH_MS_MAX);
    loop {
        match XdpLink::attach(program, ifindex, mode) {
            // Only a program of our own name can be on its way out; others stay.
            Err(error) if is_taken(&error) && Instant::now() < deadline => {
                match foreign_program(ifindex) {
                    Some(info) if !info.name.starts_with(NAMES) => return Err(error),
                    _ => std::thread::sleep(Duration::from_millis(ATTACH_RETRY_MS)),
                }
            }
            result => return result,
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// The driver cannot, but the generic path may.
fn is_driver_refusal(error: &io::Error) -> bool {
    let refusals = [libc::EOPNOTSUPP, libc::EINVAL, libc::ERANGE, libc::ENOMEM, libc::ENOSPC];
    error.raw_os_error().is_some_and(|number| refusals.contains(&number))
}

/// What is attached to the interface, if it can be told.
fn foreign_program(ifindex: u32) -> Option<ProgramInfo> {
    let attached = netdev::xdp_attached(ifindex).ok()??;
    let unnamed = ProgramInfo { id: attached.program_id, name: String::new(), verified: 0 };
    Some(ProgramInfo::by_id(attached.program_id).unwrap_or(unnamed))
}

/// Why the program could not be attached, and what to do about it.
fn refused(name: &str, ifindex: u32, error: io::Error, mode: AttachMode) -> PortError {
    let how = match mode {
        AttachMode::Native => "native",
        AttachMode::Generic => "generic",
    };
    let what = format!("attach an XDP program to {name} ({how})");
    let cure = match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => return taken(name, ifindex, &what),
        Some(libc::EPERM | libc::EACCES) => CURE_RIGHTS.into(),
        Some(libc::ENODEV) => "the interface is gone: see `ip link`".into(),
        Some(libc::ERANGE | libc::EINVAL) => format!(
            "the driver refuses it with this MTU or these queues: try `ip link set {name} mtu \
             1500` on both ends, or generic XDP; `dmesg` may say more"
        ),
        Some(libc::EOPNOTSUPP) => "the driver has no native XDP: use generic XDP".into(),
        _ => String::new(),
    };
    PortError::system(what, error, cure)
}

/// Somebody else's program is there: we never touch it.
fn taken(name: &str, ifindex: u32, what: &str) -> PortError {
    let who = match (foreign_program(ifindex), netdev::xdp_attached(ifindex)) {
        (Some(info), Ok(Some(attached))) => {
            let named =
                if info.name.is_empty() { String::new() } else { format!(" {}", info.name) };
            let how = match attached.mode {
                netdev::XdpMode::Generic => "generic",
                netdev::XdpMode::Native => "native",
                netdev::XdpMode::Offloaded => "offloaded",
                netdev::XdpMode::Several => "multiple",
            };
            format!("the {how} program{named} (id {}) is attached already", info.id)
        }
        _ => "another program is attached, or was a moment ago".to_string(),
    };
    PortError::Unsupported {
        what: format!("{what}: {who}, and we leave what is not ours alone"),
        cure: format!(
            "stop the process that attached it (`bpftool net show dev {name}`, `bpftool link`), \
             detach it with `ip link set dev {name} xdp off` if it is a leftover, or do without \
             XDP beside it: `capture --port af_packet`, `replicate --mode udp`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_fit_the_mtu() {
        assert_eq!(frame_bytes_for(1500), 2048);
        assert_eq!(frame_bytes_for(1770), 2048);
        assert_eq!(frame_bytes_for(1771), 4096);
        assert_eq!(frame_bytes_for(9000), 4096);
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Interface::open(&AfXdpConfig::new("nosuchif0")).unwrap_err().to_string();
        assert!(error.contains("nosuchif0") && error.contains("ip link"), "{error}");
    }
}
