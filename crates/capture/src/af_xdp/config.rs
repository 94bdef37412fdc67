//! What to open, and how.

use super::stage::Stage;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tickwire_filter::ebpf::{Sampling, Xdp};

/// The most packets that a busy poll handles at a time; more needs CAP_NET_ADMIN.
pub const BUSY_POLL_BUDGET: u32 = 64;

/// How to open AF_XDP ports on the queues of one interface.
#[derive(Clone, Debug)]
pub struct AfXdpConfig {
    /// Name of the interface, as the kernel knows it.
    pub interface: String,
    /// Which frames to take; the rest goes on to the host's own stack.
    pub selection: Selection,
    /// What looks at every frame before the selection does; a transmitter that stands alone has no
    /// program, so none.
    pub stage: Option<Arc<dyn Stage>>,
    /// Whether to see frames for other stations too. Ends with the port.
    pub promiscuous: bool,
    /// Whether the driver may, must or must not work on our frames without a copy.
    pub copy: CopyMode,
    /// Where the XDP program runs: the best there is, unless said otherwise.
    pub attach: Attach,
    /// Size of a frame in bytes: 2048, 4096, or 0 for the smaller one that the MTU allows. 256 of
    /// them are the kernel's.
    pub frame_bytes: u32,
    /// Entries of the RX ring, a power of two: what a worker may lag behind.
    pub rx_ring: u32,
    /// Frames that may wait to be sent, a power of two.
    pub tx_ring: u32,
    /// Poll the device from our own thread instead of waiting for its interrupts, for so many
    /// microseconds a call. Pays with real cards and a core for each queue.
    pub busy_poll_usecs: Option<u32>,
}

/// Entries of the RX ring unless said otherwise: half a millisecond at 8 million packets a second.
pub const RX_RING_DEFAULT: u32 = 4096;
/// Frames that may wait to be sent unless said otherwise.
pub const TX_RING_DEFAULT: u32 = 2048;

impl AfXdpConfig {
    /// Everything that arrives on `interface`, as fast as its driver allows.
    pub fn new(interface: impl Into<String>) -> Self {
        AfXdpConfig {
            interface: interface.into(),
            selection: Selection::All,
            stage: None,
            promiscuous: false,
            copy: CopyMode::Auto,
            attach: Attach::Auto,
            frame_bytes: 0,
            rx_ring: RX_RING_DEFAULT,
            tx_ring: TX_RING_DEFAULT,
            busy_poll_usecs: None,
        }
    }
}

/// Which frames an AF_XDP port takes away from the host's own stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything: the host does not see what arrives meanwhile on these queues.
    #[default]
    All,
    /// UDP packets to one of these; all else goes on to the host.
    Udp(Vec<UdpDestination>),
    /// UDP packets to one of these, and what comes in on these TCP connections; all else goes on
    /// to the host.
    UdpAndTcp(Vec<UdpDestination>, Vec<TcpConnection>),
    /// What a filter accepts, or a sample of that; all else goes on to the host, and is counted
    /// (`xdp_selected`, `xdp_not_selected`, `xdp_not_sampled`).
    Filter {
        /// Runs in the kernel.
        filter: Arc<Xdp>,
        /// How much of what it accepts is taken.
        sampling: Sampling,
    },
}

/// A UDP destination; a field that is not given matches everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDestination {
    /// Destination address.
    pub address: Option<IpAddr>,
    /// Destination port.
    pub port: Option<u16>,
}

/// A TCP connection of which this side is spoken in user space. Its local port must be held by a
/// socket of the kernel that is bound and no more, so that nobody else gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpConnection {
    /// The address and port of this side, of the same IP version as `remote`.
    pub local: SocketAddr,
    /// The address and port of the other side.
    pub remote: SocketAddr,
}

/// Whether the driver works on our frames without a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyMode {
    /// Without when it can, else with.
    #[default]
    Auto,
    /// Without, or not at all.
    ZeroCopy,
    /// With.
    Copy,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// In the driver when it can, else in the kernel's generic path.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path.
    Generic,
}
