//! The port of one queue: receiving, following the link, and the account.

use super::account::{Account, DriverCounters};
use super::config::{AfXdpConfig, BUSY_POLL_BUDGET, Selection};
use super::errors::{failed, hold_error};
use super::handover::Handover;
use super::interface::Interface;
use super::keeper::Reopening;
use super::socket::{self, RingSizes, RxHalf, Socket, bind_best, ring_size};
use super::stage::StageHandle;
use super::sys;
use super::transmitter::AfXdpTransmitter;
use super::umem::Umem;
use crate::af_packet::{Promiscuous, in_kernel};
use crate::bpf::AttachMode;
use crate::ethtool::Ethtool;
use crate::link::LinkWatch;
use crate::{FRAME_BYTES_MIN, KernelCounter, Mode, Port, PortError, Received, Sent, Transmitter};
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tickwire_filter::Filter;
use tickwire_filter::ebpf::Sampling;
use tickwire_frame::{Batch, Counters, FRAMES_MAX, Flags, Frame, Ledger};
use tickwire_frame::{LinkType, Reason, Timestamp};
use tickwire_rings::{FrameCount, Frames};

/// After the socket was taken out of the map, a poll of the driver that was under way may still
/// deliver its packets: this long, in milliseconds.
const QUIESCE_MS: u64 = 2;

/// One queue of an interface.
///
/// Open and use it on threads of the interface's network namespace: an interface that was deleted
/// and made again is looked for in the namespace of the thread that calls [`Port::tick`].
pub struct AfXdp {
    /// None while the interface is gone. Fields drop in order: both halves of the socket before the
    /// memory that the kernel uses through them, and before the program of the last port.
    receiving: Option<RxHalf>,
    /// The sending half; none when somebody has taken it.
    tx: Option<AfXdpTransmitter>,
    /// Where we tell it of the socket and the link.
    handover: Arc<Handover>,
    /// Frames that we accepted for sending and that did not go, since the last settling.
    unsent: Counters,
    umem: Arc<Umem>,
    /// For receiving: the first of the UMEM; the others are the transmitter's.
    frames: Frames,
    /// Frames of the batch on loan.
    held: [u32; FRAMES_MAX],
    held_len: usize,
    sizes: RingSizes,
    queue: u32,
    /// Of the interface that the socket is bound to.
    ifindex: u32,
    zero_copy: bool,
    busy_poll: bool,
    quiesced: bool,
    /// Where the filter runs, for the mode; empty without one.
    filtering: String,
    link: LinkWatch,
    /// Whether its notices are given out: one port of an interface tells the news.
    tells: bool,
    account: Account,
    driver: DriverCounters,
    why: String,
    /// Why it is this port and not another one, from who chose it.
    chosen: String,
    reopening: Reopening,
    promiscuous: Option<Promiscuous>,
    interface: Arc<Interface>,
}

impl fmt::Debug for AfXdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfXdp")
            .field("interface", &self.interface.config().interface)
            .field("queue", &self.queue)
            .field("frames", &self.frames.count())
            .finish_non_exhaustive()
    }
}

/// How many receive queues `interface` has; 1 when its driver does not say.
pub fn queue_count(interface: &str) -> u32 {
    let channels = Ethtool::open().and_then(|ethtool| ethtool.channels(interface));
    channels.map_or(1, |channels| (channels.rx.now + channels.combined.now).max(1))
}

impl AfXdp {
    /// Opens a port on each of `queues` of one interface, behind one XDP program.
    ///
    /// # Errors
    /// Missing rights, an interface or queue that is not there or down, a queue that somebody else
    /// holds, an XDP program of somebody else; each with its cure.
    pub fn open(config: &AfXdpConfig, queues: &[u32]) -> Result<Vec<AfXdp>, PortError> {
        // Without the right to, CAP_IPC_LOCK may still do: what fails then is the UMEM.
        sys::lift_memory_limit();
        let interface = Arc::new(Interface::open(config)?);
        let mut ports = (queues.iter())
            .map(|&queue| AfXdp::open_queue(interface.clone(), queue))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(first) = ports.first_mut() {
            first.tells = true;
        }
        Ok(ports)
    }

    fn open_queue(interface: Arc<Interface>, queue: u32) -> Result<AfXdp, PortError> {
        let config = interface.config();
        let (rx, tx) = (ring_size(config.rx_ring), ring_size(config.tx_ring));
        // Frames for receiving: twice the RX ring, so that a driver that keeps frames in its own
        // ring has some too. Places in the fill ring: twice as many again, because the kernel
        // shows us a frame in the RX ring (xskq_prod_submit) before it gives back the place that
        // the frame had in the fill ring (__xskq_cons_release, both in xsk_flush).
        let sizes = RingSizes { fill: 4 * rx, completion: tx, rx, tx };
        let for_receiving = sizes.fill / 2;
        let umem = Arc::new(Umem::new(interface.frame_bytes(), for_receiving + sizes.tx)?);
        let handover = Arc::new(Handover::default());
        let tx = AfXdpTransmitter::new(umem.clone(), for_receiving, sizes.tx, handover.clone());
        let link = LinkWatch::open(&config.interface)
            .map_err(|source| PortError::system("watch the link over rtnetlink", source, ""))?;
        let mut port = AfXdp {
            receiving: None,
            tx: Some(tx),
            handover,
            unsent: Counters::default(),
            frames: Frames::new(for_receiving),
            umem,
            held: [0; FRAMES_MAX],
            held_len: 0,
            sizes,
            queue,
            ifindex: 0,
            zero_copy: false,
            busy_poll: false,
            quiesced: false,
            filtering: String::new(),
            link,
            tells: false,
            account: Account::default(),
            driver: DriverCounters::open(&config.interface, queue),
            why: String::new(),
            chosen: String::new(),
            reopening: Reopening::default(),
            promiscuous: None,
            interface,
        };
        port.connect()?;
        Ok(port)
    }

    /// Says in [`Port::mode`] why it is this port and not another one.
    pub fn set_why(&mut self, why: impl Into<String>) {
        self.chosen = why.into();
    }

    /// The queue that it stands on.
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// The sending half, for a job that writes frames itself: it may send while a batch of this
    /// port is on loan, and goes on when the port has opened an interface again. It belongs on
    /// the port's thread. From now on [`Port::transmit`] is refused. None when it was taken before.
    ///
    /// The queue is free for others when both halves are dropped.
    pub fn transmitter(&mut self) -> Option<AfXdpTransmitter> {
        self.tx.take()
    }

    /// Where every frame of its memory is; the sum is constant. Without those of the sending half
    /// when that was taken.
    pub fn frame_count(&self) -> FrameCount {
        let mut count = self.frames.count();
        if let Some(tx) = &self.tx {
            count.free += tx.frame_count().free;
            count.sending += tx.frame_count().sending;
        }
        count
    }

    /// Whether its memory lies on huge pages that were reserved for such use.
    pub fn has_huge_pages(&self) -> bool {
        self.umem.is_huge()
    }

    /// The link as the port has seen it, with its outages.
    pub fn link(&self) -> &LinkWatch {
        &self.link
    }

    /// Takes other frames from now on, on all ports of this interface. The program is replaced as
    /// a whole: no frame is lost meanwhile.
    ///
    /// # Errors
    /// Too many destinations, or missing rights; then the old selection stays.
    pub fn select(&mut self, selection: &Selection) -> Result<(), PortError> {
        self.interface.select(selection)
    }

    /// Where the stage before the selection is changed, for all ports of this interface.
    pub fn stages(&self) -> StageHandle {
        StageHandle::of(&self.interface)
    }

    /// Says in [`Port::mode`] where the filter runs: what of it in the kernel, or in user space for
    /// this reason.
    pub fn set_filtering(&mut self, place: Result<&str, &str>) {
        self.filtering = match place {
            Ok(what) => format!(", filter in the kernel, {what}"),
            Err(why) => format!(", filter in user space: {why}"),
        };
    }

    /// Replaces the selection by a filter, once for all ports of the interface.
    fn select_by(&mut self, filter: &Filter) -> Result<String, String> {
        let part = filter.xdp_part().map_err(|refusal| refusal.to_string())?;
        let (xdp, what) = (part.program, part.rest);
        let what = in_kernel(xdp.code().len(), what.as_deref());
        let selection = Selection::Filter { filter: Arc::new(xdp), sampling: Sampling::All };
        if *self.interface.attached().selection() != selection {
            self.interface.select(&selection).map_err(|error| error.to_string())?;
        }
        Ok(what)
    }

    /// Makes the socket, binds it, and lets the program redirect to it.
    fn connect(&mut self) -> Result<(), PortError> {
        let connected = self.try_connect();
        if connected.is_err() {
            self.receiving = None;
            self.frames.reclaim();
        } else if let Some(tx) = &mut self.tx {
            tx.adopt(&mut |_, reason| self.unsent.add(reason, 1));
        }
        connected
    }

    fn try_connect(&mut self) -> Result<(), PortError> {
        let interface = self.interface.clone();
        let (config, attached) = (interface.config(), interface.attached());
        let object = format!("queue {} of {}", self.queue, config.interface);
        let (mut receiving, sending) = socket::open(&self.umem, self.sizes)
            .map_err(|source| failed(format!("make an AF_XDP socket for {object}"), source))?;
        self.prime(&mut receiving);
        let socket = &receiving.socket;
        let generic = attached.mode == AttachMode::Generic;
        let zero_copy_why = bind_best(socket, config.copy, generic, attached.ifindex, self.queue)
            .map_err(|source| hold_error(&config.interface, self.queue, source))?;
        self.zero_copy = socket
            .is_zero_copy()
            .map_err(|source| failed(format!("ask for the mode of {object}"), source))?;
        let busy_poll_why = self.prefer_busy_poll(socket, config);
        attached
            .insert(self.queue, socket.as_fd())
            .map_err(|source| failed(format!("redirect {object} to its socket"), source))?;
        if config.promiscuous {
            self.promiscuous = Some(Promiscuous::new(attached.ifindex)?);
        }
        let host_why = match attached.selection() {
            Selection::All => {
                format!("the host does not see what arrives on queue {} meanwhile", self.queue)
            }
            _ => String::new(),
        };
        self.handover.connect(sending, self.zero_copy, zero_copy_why.clone());
        let mut why = vec![attached.why.clone(), zero_copy_why, busy_poll_why, host_why];
        why.retain(|text| !text.is_empty());
        self.why = why.join("; ");
        self.ifindex = attached.ifindex;
        self.handover.follow(self.link.link());
        self.receiving = Some(receiving);
        Ok(())
    }

    /// Lends the kernel all frames that are for receiving.
    fn prime(&mut self, receiving: &mut RxHalf) {
        while let Some(frame) = self.frames.lend_for_receiving() {
            let pushed = receiving.fill.push(self.umem.address(frame));
            debug_assert!(pushed, "the fill ring holds all frames for receiving, twice");
        }
        receiving.fill.publish();
    }

    /// Switches busy polling on if it is wanted; why not, if not.
    fn prefer_busy_poll(&mut self, socket: &Socket, config: &AfXdpConfig) -> String {
        let Some(usecs) = config.busy_poll_usecs else { return String::new() };
        let set = sys::set_busy_poll(socket.as_fd(), usecs, BUSY_POLL_BUDGET);
        self.busy_poll = set.is_ok();
        set.err().map_or_else(String::new, |error| format!("no busy polling ({error})"))
    }

    /// Gives the frames of the batch before back to the kernel.
    #[inline]
    fn recycle(&mut self) {
        let Some(receiving) = &mut self.receiving else { return };
        if self.held_len == 0 {
            return;
        }
        for &frame in &self.held[..self.held_len] {
            let held = self.frames.recycle(frame);
            let pushed = receiving.fill.push(self.umem.address(frame));
            debug_assert!(held.is_ok() && pushed, "a held frame has its place in the fill ring");
        }
        self.held_len = 0;
        receiving.fill.publish();
        if receiving.fill.needs_wakeup() {
            sys::kick_rx(receiving.socket.as_fd());
        }
    }

    fn read_counters(&mut self) {
        let Some(receiving) = &self.receiving else { return };
        self.account.read_socket(&receiving.socket);
        let attached = self.interface.attached();
        // Another port may have attached to the next interface already.
        if attached.ifindex == self.ifindex
            && let Ok(counts) = attached.counts(self.queue)
        {
            self.account.read_program(counts);
        }
    }

    fn settle(&mut self, ledger: &mut Ledger) {
        self.read_counters();
        self.account.settle(ledger);
        ledger.unsent += &std::mem::take(&mut self.unsent);
    }

    /// Follows the interface: down, up, gone, back as another one.
    fn follow(&mut self) -> Result<(), PortError> {
        self.link
            .update()
            .map_err(|source| PortError::system("watch the link over rtnetlink", source, ""))?;
        self.handover.follow(self.link.link());
        if self.link.index() != Some(self.ifindex) {
            self.disconnect();
        }
        match self.link.link() {
            Some(link) if self.receiving.is_none() && link.running => {
                let index = link.index;
                self.reopen(index)
            }
            _ => Ok(()),
        }
    }

    /// Closes the socket of an interface that is gone, once it is read to its end: only that
    /// brings back the frames that the kernel has.
    fn disconnect(&mut self) {
        if self.receiving.as_mut().is_none_or(|receiving| receiving.rx.available() > 0) {
            return;
        }
        self.read_counters();
        self.receiving = None;
        self.handover.disconnect();
        self.account.close();
        self.held_len = 0;
        self.frames.reclaim();
    }

    fn reopen(&mut self, ifindex: u32) -> Result<(), PortError> {
        let attempt = self.interface.follow(ifindex).and_then(|()| self.connect());
        if self.reopening.judge(attempt)? {
            self.account.reopened += 1;
            let name = &self.interface.config().interface;
            let text = format!("{name} is back (index {ifindex}), receiving again");
            self.link.notice(text);
        }
        Ok(())
    }
}

impl Port for AfXdp {
    #[inline]
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        batch.link = LinkType::ETHERNET;
        batch.interface = 0;
        self.recycle();
        let Some(receiving) = &mut self.receiving else { return Ok(Received::Idle) };
        if receiving.rx.available() == 0 {
            if self.busy_poll {
                sys::kick_rx(receiving.socket.as_fd());
            }
            return Ok(Received::Idle);
        }
        let timestamp = Timestamp::now();
        while !batch.is_full() {
            let Some(descriptor) = receiving.rx.pop() else { break };
            let (address, len) = (descriptor.address, descriptor.len);
            let frame = self.umem.frame_of(address);
            if !self.umem.contains(address, len) || self.frames.hold(frame).is_err() {
                self.account.misplaced += 1;
                continue;
            }
            self.held[self.held_len] = frame;
            self.held_len += 1;
            // SAFETY: the bytes lie in a frame of ours, which the kernel has given back and which
            // goes to it again in `recycle` at the earliest; that needs `&mut self`, after `'p`.
            let bytes = unsafe { self.umem.bytes(address, len) };
            batch.push(Frame { bytes, wire_len: len, timestamp, flags: Flags::NONE });
        }
        receiving.rx.release();
        Ok(if batch.is_empty() { Received::Idle } else { Received::Frames })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        let Some(receiving) = &self.receiving else {
            std::thread::sleep(timeout);
            return Ok(());
        };
        sys::wait_readable(receiving.socket.as_fd(), timeout)
            .map_err(|source| failed("wait for frames".into(), source))
    }

    fn transmit(&mut self, frames: &[&[u8]]) -> Result<Sent, PortError> {
        let Some(tx) = &mut self.tx else { return Err(sending_half_taken()) };
        let unsent = &mut self.unsent;
        let lost = &mut |_, reason| unsent.add(reason, 1);
        let mut accepted = 0;
        for bytes in frames {
            if matches!(tx.slot(), Err(Reason::TxRingFull)) {
                tx.kick(lost)?;
            }
            let Ok(slot) = tx.slot() else { break };
            accepted += 1;
            if bytes.len() > slot.len() {
                lost(0, Reason::TooLong);
            } else if bytes.len() < FRAME_BYTES_MIN {
                lost(0, Reason::TxInvalid);
            } else {
                slot[..bytes.len()].copy_from_slice(bytes);
                tx.push(bytes.len(), 0);
            }
        }
        tx.kick(lost)?;
        Ok(Sent { accepted })
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        let followed = if self.quiesced { Ok(()) } else { self.follow() };
        let (tx, unsent) = (self.tx.as_mut(), &mut self.unsent);
        let sent = tx.map_or(Ok(()), |tx| tx.tick(&mut |_, reason| unsent.add(reason, 1)));
        self.settle(ledger);
        followed.and(sent)
    }

    fn set_filter(&mut self, filter: &Filter) -> Result<(), PortError> {
        if self.quiesced {
            return Ok(());
        }
        let place = self.select_by(filter);
        if place.is_err() {
            // What the filter before rejects may be wanted now: everything comes.
            self.select(&Selection::All)?;
        }
        self.set_filtering(place.as_deref().map_err(String::as_str));
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        if std::mem::replace(&mut self.quiesced, true) {
            return Ok(());
        }
        if let Some(tx) = &mut self.tx {
            tx.finish(&mut |_, reason| self.unsent.add(reason, 1));
        }
        let attached = self.interface.attached();
        if self.receiving.is_none() || attached.ifindex != self.ifindex {
            return Ok(());
        }
        let removed = attached.remove(self.queue);
        drop(attached);
        removed.map_err(|source| failed(format!("leave queue {}", self.queue), source))?;
        std::thread::sleep(Duration::from_millis(QUIESCE_MS));
        Ok(())
    }

    fn take_notice(&mut self) -> Option<String> {
        self.link.take_notice().filter(|_| self.tells)
    }

    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        self.read_counters();
        let mut counters = self.account.counters();
        let link = [("link_downs", self.link.downs()), ("link_down_ns", self.link.down_ns())];
        counters.extend(link.map(|(name, value)| KernelCounter { name: name.into(), value }));
        counters.extend(self.driver.since_open());
        counters
    }

    fn mode(&self) -> Mode {
        let generic = self.interface.attached().mode == AttachMode::Generic;
        let mode = match (self.zero_copy, generic) {
            (true, _) => "zero-copy",
            (false, false) => "copy",
            (false, true) => "generic",
        };
        let mut why = vec![self.chosen.as_str(), self.why.as_str()];
        why.retain(|text| !text.is_empty());
        let mode = format!("{mode}{}", self.filtering);
        Mode { port: "af_xdp", mode, why: why.join("; ") }
    }
}

impl Drop for AfXdp {
    /// No frame may be redirected to a socket that is being closed: the entry goes first.
    fn drop(&mut self) {
        let attached = self.interface.attached();
        if self.receiving.is_some() && attached.ifindex == self.ifindex {
            // Without the entry, or if this fails, the program passes the frames to the host.
            let _ = attached.remove(self.queue);
        }
    }
}

fn sending_half_taken() -> PortError {
    PortError::Unsupported {
        what: "the sending half of this port was taken".into(),
        cure: "send through its transmitter".into(),
    }
}
