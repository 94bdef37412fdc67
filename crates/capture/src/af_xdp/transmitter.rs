//! Sending: frames are written into our own memory, one kick for a batch, completions taken back
//! without a system call.
//!
//! **In copy mode** the kernel reads the TX ring only inside our system calls: at most 32 frames
//! each, then EAGAIN, which means "call again". So a kick calls until the ring is empty, and what
//! is not gone when it returns was taken back and is lost with its tag:
//!
//! * EBUSY: the frame taken last was lost on the way (the other end is down, a queue is full),
//!   although it completes.
//! * ENETDOWN and the like: nothing more can leave. What waits is revoked, so that it does not
//!   leave late when the link is back. From then on each kick asks whether it is.
//! * Nothing moves for a while (a driver's queue stays full): revoked as well.
//!
//! **In zero-copy mode** the driver reads the ring by itself, so nothing in it can be taken back.
//! When the link goes down, nothing more is queued; what the driver has leaves when the link is
//! back, or never: then it is `tx_unfinished` when the interface is deleted or at the end.

use super::config::AfXdpConfig;
use super::errors::failed;
use super::handover::Handover;
use super::interface::frame_bytes_of;
use super::keeper::Keeper;
use super::socket::{Socket, ring_size};
use super::sys;
use super::umem::Umem;
use crate::carriers::Carriers;
use crate::mapping::Mapping;
use crate::{FRAME_BYTES_MIN, Mode, PortError, Transmitter};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_frame::Reason;
use tickwire_rings::{FrameCount, TxQueue};

/// Calls in a row that move nothing, before what waits is given up; and how long they must take at
/// least, in microseconds: some 30 frames of the largest size at 10 Gbit/s.
const IDLE_KICKS_MAX: u32 = 64;
const IDLE_US_MAX: u64 = 1000;
/// How long [`Transmitter::finish`] waits for frames that the kernel is sending, in milliseconds.
const DRAIN_MS_MAX: u64 = 50;
/// Pause between two looks meanwhile.
const DRAIN_POLL_MS: u64 = 1;

/// Sends through the TX ring of one queue.
///
/// It comes from a port ([`AfXdp::transmitter`](super::AfXdp::transmitter)) and shares its socket
/// and its memory, or stands alone ([`open`](Self::open)).
pub struct AfXdpTransmitter {
    /// Fields drop in order: the rings before the descriptor, both before the memory.
    queue: TxQueue<Mapping>,
    socket: Option<Socket>,
    umem: Arc<Umem>,
    /// Frames pass, as far as we know, and there are rings.
    link_up: bool,
    ifindex: u32,
    /// To be asked while the link is down; without, only a tick tells that it is up.
    carriers: Option<Carriers>,
    bytes_max: usize,
    zero_copy: bool,
    /// The last kick gave up because nothing moved: the next one does not wait for it again.
    stuck: bool,
    /// The news that we have.
    generation: u32,
    connection: u32,
    mode: Mode,
    handover: Arc<Handover>,
    /// Whoever stands alone has one.
    keeper: Option<Keeper>,
}

impl fmt::Debug for AfXdpTransmitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfXdpTransmitter")
            .field("mode", &self.mode.mode)
            .field("frames", &self.queue.count())
            .finish_non_exhaustive()
    }
}

impl AfXdpTransmitter {
    /// A socket that only sends, on queue `queue` of an interface from which nothing is received.
    /// No XDP program is attached. Of `config` it takes the interface, the copy mode, and the
    /// sizes of frames and of the TX ring.
    ///
    /// Open and use it on threads of the interface's network namespace.
    ///
    /// # Errors
    /// Missing rights, an interface or queue that is not there or down, a queue that somebody else
    /// holds (a port of our own, too: take [`AfXdp::transmitter`](super::AfXdp::transmitter)).
    pub fn open(config: &AfXdpConfig, queue: u32) -> Result<Self, PortError> {
        // Without the right to, CAP_IPC_LOCK may still do: what fails then is the UMEM.
        sys::lift_memory_limit();
        let ring = ring_size(config.tx_ring);
        let umem = Arc::new(Umem::new(frame_bytes_of(config)?, ring)?);
        let handover = Arc::new(Handover::default());
        let keeper = Keeper::open(config, queue, ring, umem.clone(), &handover)?;
        let mut transmitter = Self::new(umem, 0, ring, handover);
        transmitter.keeper = Some(keeper);
        transmitter.adopt(&mut |_, _| {});
        Ok(transmitter)
    }

    /// Over the `frames` frames of `umem` from number `first` on.
    pub(super) fn new(
        umem: Arc<Umem>,
        first: u32,
        frames: u32,
        handover: Arc<Handover>,
    ) -> AfXdpTransmitter {
        let mode = handover.news().mode();
        AfXdpTransmitter {
            queue: TxQueue::new(umem.address(first), umem.frame_bytes(), frames),
            socket: None,
            umem,
            link_up: false,
            ifindex: 0,
            carriers: Carriers::open().ok(),
            bytes_max: 0,
            zero_copy: false,
            stuck: false,
            generation: 0,
            connection: 0,
            mode,
            handover,
            keeper: None,
        }
    }

    /// Where every frame of its own is; the sum is constant.
    pub fn frame_count(&self) -> FrameCount {
        self.queue.count()
    }

    /// Counts every frame anew: for tests.
    ///
    /// # Panics
    /// When one is missing, or is twice in use.
    pub fn verify_frames(&self) {
        self.queue.verify();
    }

    /// Takes over what is told of the socket and the link.
    #[cold]
    pub(super) fn adopt(&mut self, lost: &mut dyn FnMut(u32, Reason)) {
        let handover = self.handover.clone();
        let mut news = handover.news();
        self.generation = handover.generation();
        if news.connection != self.connection {
            self.connection = news.connection;
            self.revoke(Reason::LinkDown, lost);
            self.queue.disconnect(&mut |tag| lost(tag, Reason::TxUnfinished));
            self.socket = None;
            if let Some(half) = news.half.take() {
                self.queue.connect(half.tx, half.completion);
                self.socket = Some(half.socket);
            }
            (self.zero_copy, self.mode) = (news.zero_copy, news.mode());
        }
        self.link_up = news.link_up && self.socket.is_some();
        self.ifindex = news.ifindex;
        self.bytes_max = news.bytes_max.min(self.umem.frame_bytes() as usize);
    }

    #[inline]
    fn look_for_news(&mut self, lost: &mut dyn FnMut(u32, Reason)) {
        if self.handover.generation() != self.generation {
            self.adopt(lost);
        }
    }

    /// Asks whether the link is back: the next tick, which tells, may be a hundred packets later.
    #[cold]
    fn look_again(&mut self) {
        let passes = |carriers: &mut Carriers| carriers.passes(self.ifindex);
        self.link_up = self.socket.is_some() && self.carriers.as_mut().is_some_and(passes);
    }

    /// Takes back what waits in the ring, if that is possible.
    fn revoke(&mut self, reason: Reason, lost: &mut dyn FnMut(u32, Reason)) {
        if !self.zero_copy {
            // SAFETY: in copy mode the kernel reads the ring in system calls of ours only.
            unsafe { self.queue.revoke(&mut |tag| lost(tag, reason)) };
        }
    }

    /// Copy mode: calls the kernel until the ring is empty, or empties it.
    fn kick_all(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        // Also once for frames that are settled, when the shared index does not show it yet.
        if !self.queue.is_behind() {
            return Ok(());
        }
        let mut waiting = self.queue.waiting();
        let mut idle = Idle::default();
        while self.link_up {
            self.kick_once(lost)?;
            self.queue.reap();
            let before = std::mem::replace(&mut waiting, self.queue.waiting());
            if waiting == 0 {
                self.stuck = false;
                return Ok(());
            }
            if waiting < before {
                idle = Idle::default();
            } else if self.stuck || idle.is_over() {
                self.stuck = true;
                self.revoke(Reason::TxRefused, lost);
                return Ok(());
            }
        }
        self.revoke(Reason::LinkDown, lost);
        Ok(())
    }

    /// One call, and what it says.
    fn kick_once(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let Err(error) = sys::kick_tx(socket.as_fd()) else { return Ok(()) };
        match error.raw_os_error() {
            Some(libc::EBUSY) if !self.zero_copy => {
                if let Some(tag) = self.queue.last_taken() {
                    lost(tag, Reason::TxRefused);
                }
            }
            // A limit of frames per call, a driver or a socket that has too many, a signal.
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENOMEM | libc::EINTR) => {}
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => self.link_up = false,
            _ => return Err(refused(error)),
        }
        Ok(())
    }
}

fn refused(error: io::Error) -> PortError {
    failed("send through an AF_XDP socket".into(), error)
}

impl Transmitter for AfXdpTransmitter {
    #[inline]
    fn slot(&mut self) -> Result<&mut [u8], Reason> {
        if !self.link_up {
            return Err(Reason::LinkDown);
        }
        let address = self.queue.slot().ok_or(Reason::TxRingFull)?;
        // SAFETY: a frame of this UMEM that is free, so nobody else touches it; `bytes_max` is at
        // most its size; it stays ours as long as `self` is borrowed.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.umem.at(address), self.bytes_max) })
    }

    #[inline]
    fn push(&mut self, len: usize, tag: u32) {
        // What the kernel finds invalid it would skip without a word.
        assert!(
            (FRAME_BYTES_MIN..=self.bytes_max).contains(&len),
            "a frame has {FRAME_BYTES_MIN} to {} bytes: {len}",
            self.bytes_max
        );
        self.queue.push(len as u32, tag);
    }

    #[inline]
    fn kick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        self.queue.publish();
        self.look_for_news(lost);
        if !self.link_up {
            self.look_again();
        }
        self.queue.reap();
        if !self.zero_copy {
            self.kick_all(lost)
        } else if self.link_up && self.queue.is_behind() && self.queue.needs_wakeup() {
            self.kick_once(lost)
        } else {
            Ok(())
        }
    }

    fn tick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        let kept = self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.tick(&self.handover));
        // Also without news: the link that a kick found down may be up again since.
        self.adopt(lost);
        kept.and(self.kick(lost))
    }

    fn finish(&mut self, lost: &mut dyn FnMut(u32, Reason)) {
        let deadline = Instant::now() + Duration::from_millis(DRAIN_MS_MAX);
        while self.kick(lost).is_ok() && self.queue.count().sending > 0 {
            if Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(DRAIN_POLL_MS));
        }
        self.revoke(Reason::TxUnfinished, lost);
        self.queue.disconnect(&mut |tag| lost(tag, Reason::TxUnfinished));
        (self.socket, self.link_up) = (None, false);
    }

    #[inline]
    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn frame_bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn mode(&self) -> Mode {
        self.mode.clone()
    }

    fn take_notice(&mut self) -> Option<String> {
        self.keeper.as_mut().and_then(|keeper| keeper.link.take_notice())
    }
}

/// Calls that moved nothing, one after the other.
#[derive(Default)]
struct Idle {
    calls: u32,
    since: Option<Instant>,
}

impl Idle {
    /// One more; whether it is enough. Lets others work: the frames may wait for them.
    fn is_over(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.calls += 1;
        std::thread::yield_now();
        self.calls >= IDLE_KICKS_MAX && since.elapsed() >= Duration::from_micros(IDLE_US_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tickwire_lab::{Lab, LabConfig, require_root};

    /// The hardest case of an outage: the other end goes down first, so that a call is refused its
    /// first frame and leaves the other 39 for later; then the own link goes down. The kernel has
    /// seen all of them, and would send them when both are up again.
    #[test]
    fn frames_that_the_kernel_has_seen_do_not_leave_late() {
        require_root!("frames_that_the_kernel_has_seen_do_not_leave_late");
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
        lab.right.run(|| {
            let config = AfXdpConfig::new(lab.right.name());
            let mut tx = AfXdpTransmitter::open(&config, 0).unwrap();
            let mut lost = Vec::new();
            for tag in 0..40 {
                tx.slot().unwrap()[..60].fill(2);
                tx.push(60, tag);
            }
            tx.queue.publish();
            lab.left.set_up(false).unwrap();
            tx.kick_once(&mut |tag, reason| lost.push((tag, reason))).unwrap();
            assert_eq!(lost, [(0, Reason::TxRefused)]);
            lab.right.set_up(false).unwrap();
            tx.kick(&mut |tag, reason| lost.push((tag, reason))).unwrap();
            assert!(lost[1..].iter().all(|&(_, reason)| reason == Reason::LinkDown));
            let tags: BTreeSet<u32> = lost.iter().map(|&(tag, _)| tag).collect();
            assert_eq!((tags.len(), lost.len()), (40, 40));

            lab.left.set_up(true).unwrap();
            lab.right.set_up(true).unwrap();
            lab.wait_running().unwrap();
            tx.tick(&mut |_, _| panic!("all were lost before")).unwrap();
            let before = lab.left.counters().unwrap().rx_packets;
            for tag in 40..43 {
                tx.slot().unwrap()[..60].fill(2);
                tx.push(60, tag);
            }
            tx.kick(&mut |_, _| panic!("the link is up")).unwrap();
            assert_eq!(lab.left.counters().unwrap().rx_packets - before, 3);
            tx.verify_frames();
            let statistics = tx.socket.as_ref().unwrap().statistics().unwrap();
            assert_eq!(statistics.tx_invalid_descs, 39, "the kernel skipped them");
        });
    }
}
