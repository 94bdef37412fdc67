//! Sending: copy into frames, one kick for a batch, completions taken back.
//!
//! In copy mode the kernel sends at most 32 frames a call and then says EAGAIN: call again. EBUSY
//! means that one frame was lost on the way (the other end is down, a queue is full) although it
//! completes. While the link is down nothing is taken: frames that wait in the TX ring would go
//! out late.

use super::socket::{Descriptor, Socket};
use super::sys;
use super::umem::Umem;
use crate::netdev::Link;
use crate::{PortError, Sent};
use std::io;
use std::os::fd::AsFd;
use tickwire_frame::{Counters, Ledger, Reason};
use tickwire_rings::Frames;

/// Frames that the kernel sends in one call in copy mode (`TX_BATCH_SIZE`, net/xdp/xsk.c).
const FRAMES_PER_KICK: u32 = 32;
/// Calls beyond those that a full ring needs, before the rest is left to the next time.
const SPARE_KICKS_MAX: u32 = 64;
/// Ethernet header, and the VLAN tag that drivers allow beyond the MTU, in bytes.
const HEADER_BYTES: usize = 14;
const TAG_BYTES: usize = 4;

/// The sending half of a port.
#[derive(Debug)]
pub(super) struct Transmitter {
    /// Frames that one TX ring holds.
    ring: u32,
    link_up: bool,
    /// Longest frame that the interface sends.
    bytes_max: usize,
    /// Frames that were taken but did not go, since the last settling.
    discarded: Counters,
}

impl Transmitter {
    pub fn new(ring: u32) -> Self {
        let discarded = Counters::default();
        Transmitter { ring, link_up: false, bytes_max: 0, discarded }
    }

    /// Takes over what is known of the link.
    pub fn follow(&mut self, link: Option<&Link>) {
        self.link_up = link.is_some_and(|link| link.running);
        self.bytes_max = link.map_or(0, |link| link.mtu as usize + HEADER_BYTES + TAG_BYTES);
    }

    /// Copies `frames` into the TX ring and kicks once for all.
    pub fn send(
        &mut self,
        socket: &mut Socket,
        umem: &mut Umem,
        memory: &mut Frames,
        zero_copy: bool,
        frames: &[&[u8]],
    ) -> Result<Sent, PortError> {
        self.reap(socket, umem, memory);
        let mut accepted = 0;
        if self.link_up {
            for bytes in frames {
                if let Some(reason) = self.unfit(bytes, umem) {
                    self.discarded.add(reason, 1);
                } else if !push(socket, umem, memory, bytes) {
                    break;
                }
                accepted += 1;
            }
            socket.tx.publish();
            self.kick(socket, umem, memory, zero_copy)?;
        }
        Ok(Sent { accepted })
    }

    /// Takes completed frames back, and goes on with what the last kick left.
    pub fn progress(
        &mut self,
        socket: &mut Socket,
        umem: &Umem,
        memory: &mut Frames,
        zero_copy: bool,
    ) -> Result<(), PortError> {
        self.reap(socket, umem, memory);
        self.kick(socket, umem, memory, zero_copy)
    }

    fn reap(&mut self, socket: &mut Socket, umem: &Umem, memory: &mut Frames) {
        while let Some(address) = socket.completion.pop() {
            if memory.complete(umem.frame_of(address)).is_err() {
                // The kernel broke the protocol; the frame stays where it is.
                self.discarded.add(Reason::TxInvalid, 1);
            }
        }
        socket.completion.release();
    }

    /// Has the kernel send until the TX ring is empty, or it cannot now.
    fn kick(
        &mut self,
        socket: &mut Socket,
        umem: &Umem,
        memory: &mut Frames,
        zero_copy: bool,
    ) -> Result<(), PortError> {
        let kicks_max = self.ring / FRAMES_PER_KICK + SPARE_KICKS_MAX;
        for _ in 0..kicks_max {
            if !self.link_up || socket.tx.outstanding() == 0 || !socket.tx.needs_wakeup() {
                return Ok(());
            }
            let Err(error) = sys::kick_tx(socket.as_fd()) else {
                if zero_copy {
                    return Ok(());
                }
                continue;
            };
            match error.raw_os_error() {
                // 32 are sent, or the completion ring is full.
                Some(libc::EAGAIN) if !zero_copy => self.reap(socket, umem, memory),
                Some(libc::EBUSY) if !zero_copy => self.discarded.add(Reason::TxRefused, 1),
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => return Ok(()),
                Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => self.link_up = false,
                _ => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Why `bytes` can never be sent, if so. What the kernel would find invalid never completes:
    /// it must not reach the ring.
    fn unfit(&self, bytes: &[u8], umem: &Umem) -> Option<Reason> {
        if bytes.len() > self.bytes_max.min(umem.frame_bytes() as usize) {
            Some(Reason::TooLong)
        } else if bytes.len() < HEADER_BYTES {
            Some(Reason::TxInvalid)
        } else {
            None
        }
    }

    /// The socket was closed with `count` frames in the kernel's hands.
    pub fn abandon(&mut self, count: u32) {
        self.discarded.add(Reason::TxUnfinished, u64::from(count));
    }

    /// Enters the frames that were taken but did not go.
    pub fn settle(&mut self, ledger: &mut Ledger) {
        let discarded = std::mem::take(&mut self.discarded);
        for (reason, count) in discarded.nonzero() {
            ledger.lost(reason, count);
        }
    }
}

/// False when there is no room.
fn push(socket: &mut Socket, umem: &mut Umem, memory: &mut Frames, bytes: &[u8]) -> bool {
    if socket.tx.free(1) == 0 {
        return false;
    }
    let Some(frame) = memory.lend_for_sending() else { return false };
    // SAFETY: the frame was free until now, so nobody else has it; `unfit` has checked the length.
    unsafe { umem.write(frame, bytes) };
    let descriptor =
        Descriptor { address: umem.address(frame), len: bytes.len() as u32, options: 0 };
    let pushed = socket.tx.push(descriptor);
    debug_assert!(pushed, "there was room");
    true
}

fn failed(error: io::Error) -> PortError {
    PortError::system("send through an AF_XDP socket", error, "")
}
