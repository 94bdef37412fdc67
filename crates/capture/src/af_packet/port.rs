//! The port itself: opening, following the link, and the account.

use super::fanout::{Fanout, Group};
use super::filter::{KernelFilter, in_kernel};
use super::receiver::Receiver;
use super::socket::PacketSocket;
use super::transmitter::Transmitter;
use crate::link::LinkWatch;
use crate::{KernelCounter, Mode, Port, PortError, Received, Sent, interfaces};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};
use tickwire_filter::Filter;
use tickwire_frame::{Batch, Ledger, LinkType, Reason};

/// How long [`Port::quiesce`] waits for the kernel to hand over the block that it is filling, on
/// top of twice the time limit of a block, in milliseconds.
const QUIESCE_MS_MAX: u64 = 100;
/// Pause between two looks meanwhile, in milliseconds.
const QUIESCE_POLL_MS: u64 = 1;
/// Longest sleep while frames wait for another kick, in milliseconds.
const TX_RETRY_MS: u64 = 1;

/// What to open, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfPacketConfig {
    /// Name of the interface; another name of it (`altname`) will do.
    pub interface: String,
    /// Longest part of a frame that is kept, in bytes.
    pub snap_len: u32,
    /// Which frames the kernel puts into the ring: all without one.
    pub filter: Option<KernelFilter>,
    /// Whether to see frames for other stations too. Ends with the port.
    pub promiscuous: bool,
    /// Whether to see what this machine sends. On loopback, where each frame would show twice,
    /// only its way in is seen in either case.
    pub outgoing: bool,
    /// How frames are dealt out to several workers.
    pub fanout: Fanout,
    /// Size of a block in bytes: a power of two, at least a page. No frame longer than a block is
    /// seen whole.
    pub block_bytes: usize,
    /// Blocks for each worker: what it may lag behind.
    pub blocks: usize,
    /// When a block is handed over at the latest, full or not, in milliseconds: the delay of a
    /// packet on a quiet link. Each hand-over takes a block, so `blocks × retire_ms` is also how
    /// long a worker may stall on a quiet link.
    pub retire_ms: u32,
    /// Frames that wait to be sent, for each worker; 0 for a port that only receives.
    pub tx_slots: usize,
}

impl AfPacketConfig {
    /// Whole frames in both directions, receiving only; 32 MiB for each worker, in blocks small
    /// enough that a worker may stall for a second on a quiet link.
    pub fn new(interface: impl Into<String>) -> Self {
        AfPacketConfig {
            interface: interface.into(),
            snap_len: 262_144,
            filter: None,
            promiscuous: false,
            outgoing: true,
            fanout: Fanout::Hash,
            block_bytes: 1 << 18,
            blocks: 128,
            retire_ms: 8,
            tx_slots: 0,
        }
    }
}

/// One worker's share of an interface. See the module for what it promises.
///
/// After [`Port::quiesce`], what has not been received before the next [`Port::tick`] counts as
/// [`Reason::Stopped`] and is not given out any more.
#[derive(Debug)]
pub struct AfPacket {
    receiver: Receiver,
    transmitter: Option<Transmitter>,
    config: AfPacketConfig,
    group: Option<Group>,
    workers: usize,
    why: String,
    /// Where the filter runs, for the mode; empty without one.
    filtering: String,
    quiesced: bool,
    /// Of the first worker only: one port of an interface tells the news.
    watch: Option<LinkWatch>,
    totals: Totals,
    /// Drops that are in the ledger already.
    drops_entered: u64,
}

/// Counts over all sockets that this port has had.
#[derive(Debug, Default)]
struct Totals {
    packets: u64,
    drops: u64,
    freezes: u64,
    link_downs: u64,
    reopened: u64,
    sent: u64,
}

impl AfPacket {
    /// Opens `workers` ports that share one interface. None of them receives before all are open,
    /// so no frame is seen twice.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, for an interface that is not there or whose frames we cannot read, for
    /// rings that do not fit into memory.
    pub fn open(config: &AfPacketConfig, workers: usize) -> Result<Vec<AfPacket>, PortError> {
        let workers = workers.max(1);
        let name = interfaces::find(&config.interface)?.name;
        let config = &AfPacketConfig { interface: name, ..config.clone() };
        let group = (workers > 1).then(|| Group::new(config.fanout));
        let ports = (0..workers).map(|_| {
            let receiver = Receiver::open(config, group.as_ref())?;
            let transmitter = open_transmitter(config, receiver.link)?;
            Ok(AfPacket {
                receiver,
                transmitter,
                config: config.clone(),
                group: group.clone(),
                workers,
                why: String::new(),
                filtering: String::new(),
                quiesced: false,
                watch: None,
                totals: Totals::default(),
                drops_entered: 0,
            })
        });
        let mut ports = ports.collect::<Result<Vec<_>, PortError>>()?;
        let watch = LinkWatch::open(&config.interface)
            .map_err(|error| PortError::system("watch the link over rtnetlink", error, ""))?;
        ports[0].watch = Some(watch);
        for port in &mut ports {
            port.start()?;
        }
        Ok(ports)
    }

    /// Says in [`Port::mode`] why it is this port and not a faster one.
    pub fn set_why(&mut self, why: impl Into<String>) {
        self.why = why.into();
    }

    /// Frames arrive from now on: those that the filter of the configuration accepts.
    fn start(&mut self) -> Result<(), PortError> {
        let filter = self.config.filter.as_ref();
        let refused = self.receiver.start(filter, self.config.snap_len)?;
        match (filter, refused) {
            (None, _) => {}
            (Some(filter), None) => {
                let what = in_kernel(filter.program.len(), filter.rest.as_deref());
                self.filtering = format!(", filter in the kernel, {what}");
            }
            (Some(_), Some(why)) => self.filter_in_user_space(&why),
        }
        Ok(())
    }

    /// Says in [`Port::mode`] that, and why, the filter does not run in the kernel.
    pub fn filter_in_user_space(&mut self, why: &str) {
        self.filtering = format!(", filter in user space: {why}");
    }

    /// What the first byte of its frames means.
    pub fn link_type(&self) -> LinkType {
        self.receiver.link
    }

    /// Whether frames that were transmitted wait for another kick ([`Port::wait`] gives it).
    pub fn is_sending(&self) -> bool {
        self.transmitter.as_ref().is_some_and(Transmitter::is_pending)
    }

    /// The one place that reads the kernel's counters, because reading clears them.
    fn take_statistics(&mut self) -> Result<(), PortError> {
        let statistics = self.receiver.take_statistics(&self.config.interface)?;
        self.totals.packets += statistics.packets;
        self.totals.drops += statistics.drops;
        self.totals.freezes += statistics.freezes;
        Ok(())
    }

    /// The link went down: the kernel says so once, as an error of the socket.
    fn take_error(&mut self) {
        let error = self.receiver.socket.take_error();
        if error.is_some_and(|error| error.raw_os_error() == Some(libc::ENETDOWN)) {
            self.totals.link_downs += 1;
        }
        // The same news, which would wake every poll until it is taken.
        if let Some(transmitter) = &self.transmitter {
            transmitter.socket.take_error();
        }
    }

    /// A deleted interface leaves the socket deaf for ever, also when another one of that name
    /// appears: then a new socket takes over, as soon as the old ring has been read to its end.
    fn follow_interface(&mut self) -> Result<(), PortError> {
        let receiver = &self.receiver;
        if receiver.socket.bound_to().is_some() || receiver.unread() > 0 {
            return Ok(());
        }
        if receiver.socket.interface_index(&self.config.interface).is_err() {
            return Ok(());
        }
        match self.reopen() {
            Err(error) if is_transient(&error) => Ok(()),
            outcome => outcome,
        }
    }

    fn reopen(&mut self) -> Result<(), PortError> {
        let receiver = Receiver::open(&self.config, self.group.as_ref())?;
        let transmitter = open_transmitter(&self.config, receiver.link)?;
        self.receiver = receiver;
        self.transmitter = transmitter;
        self.start()?;
        self.totals.reopened += 1;
        if let Some(watch) = &mut self.watch {
            let index = self.receiver.socket.bound_to().unwrap_or_default();
            let name = &self.config.interface;
            watch.notice(format!("{name} is back (index {index}), receiving again"));
        }
        Ok(())
    }

    /// Kicks what waits in the transmit ring, and enters what could not be sent.
    fn settle_transmitter(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        let Some(transmitter) = &mut self.transmitter else { return Ok(()) };
        let kicked = transmitter.kick();
        ledger.unsent += &std::mem::take(&mut transmitter.discarded);
        self.totals.sent += std::mem::take(&mut transmitter.sent);
        kicked
    }
}

fn open_transmitter(
    config: &AfPacketConfig,
    link: LinkType,
) -> Result<Option<Transmitter>, PortError> {
    match config.tx_slots {
        0 => Ok(None),
        slots => Transmitter::open(&config.interface, link, slots).map(Some),
    }
}

/// The interface vanished again while we opened it, or is not up yet: the next tick tries again.
fn is_transient(error: &PortError) -> bool {
    let PortError::System { source, .. } = error else { return false };
    matches!(source.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ENETDOWN))
}

impl Port for AfPacket {
    #[inline]
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        batch.link = self.receiver.link;
        batch.interface = 0;
        self.receiver.ring.receive(batch)?;
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        let mut timeout = timeout;
        let receiving = self.receiver.socket.fd();
        let mut fds =
            [PollFd::new(receiving, PollFlags::IN), PollFd::new(receiving, PollFlags::empty())];
        if let Some(transmitter) = &self.transmitter {
            if transmitter.is_pending() {
                timeout = timeout.min(Duration::from_millis(TX_RETRY_MS));
            } else if transmitter.is_full() {
                fds[1] = PollFd::new(transmitter.socket.fd(), PollFlags::OUT);
            }
        }
        let timeout = Timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            // A signal: the caller looks whether it should stop.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(PortError::system("wait for frames", error, "")),
        }
        if fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
            self.take_error();
        }
        self.transmitter.as_mut().map_or(Ok(()), Transmitter::kick)
    }

    fn transmit(&mut self, frames: &[&[u8]]) -> Result<Sent, PortError> {
        match &mut self.transmitter {
            Some(transmitter) => transmitter.transmit(frames),
            None => Err(PortError::Unsupported {
                what: format!("{} was opened for receiving only", self.config.interface),
                cure: "open it with `tx_slots` above 0".into(),
            }),
        }
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        self.take_statistics()?;
        ledger.lost(Reason::PacketDropped, self.totals.drops - self.drops_entered);
        self.drops_entered = self.totals.drops;
        self.take_error();
        self.settle_transmitter(ledger)?;
        if self.quiesced {
            ledger.lost(Reason::Stopped, self.receiver.abandon());
            return Ok(());
        }
        if let Some(watch) = &mut self.watch {
            // Only for the notices: the socket itself tells what is needed to go on.
            let _ = watch.update();
        }
        self.follow_interface()
    }

    fn set_filter(&mut self, filter: &Filter) -> Result<(), PortError> {
        if self.quiesced {
            return Ok(());
        }
        match KernelFilter::new(filter) {
            Ok(filter) => {
                self.config.filter = Some(filter);
                self.start()
            }
            Err(why) => {
                self.config.filter = None;
                self.start()?;
                self.filter_in_user_space(&why);
                Ok(())
            }
        }
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.receiver.stop()?;
        self.quiesced = true;
        // The kernel hands the block that it is filling over when its time is up.
        let limit_ms = 2 * u64::from(self.config.retire_ms) + QUIESCE_MS_MAX;
        let deadline = Instant::now() + Duration::from_millis(limit_ms);
        loop {
            self.take_statistics()?;
            if self.receiver.all_handed_over() || Instant::now() >= deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(QUIESCE_POLL_MS));
        }
    }

    fn take_notice(&mut self) -> Option<String> {
        self.watch.as_mut()?.take_notice()
    }

    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        // A failing read keeps the values of the last one; `tick` reports the failure.
        let _ = self.take_statistics();
        let totals = &self.totals;
        let mut counters = vec![
            ("tp_packets".to_string(), totals.packets),
            ("tp_drops".to_string(), totals.drops),
            ("tp_freeze_q_cnt".to_string(), totals.freezes),
            ("link_downs".to_string(), totals.link_downs),
            ("reopened".to_string(), totals.reopened),
        ];
        if let Some(transmitter) = &self.transmitter {
            counters.push(("tx_sent".to_string(), totals.sent + transmitter.sent));
        }
        counters.into_iter().map(|(name, value)| KernelCounter { name, value }).collect()
    }

    fn mode(&self) -> Mode {
        let mode = match self.workers {
            1 => "tpacket_v3".into(),
            workers => {
                format!("tpacket_v3, fanout by {} over {workers}", self.config.fanout.name())
            }
        };
        let mode = mode + &self.filtering;
        Mode { port: "af_packet", mode, why: self.why.clone() }
    }
}

/// Whether this process may open packet sockets at all.
///
/// # Errors
/// What is missing, and the command that mends it.
pub fn may_open() -> Result<(), PortError> {
    PacketSocket::new().map(drop)
}
