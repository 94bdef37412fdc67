//! Neither fan-out allocates for a packet: a counting allocator over many batches.

mod common;
#[path = "../../frame/tests/counting/mod.rs"]
mod counting;

use common::*;
use counting::allocations;
use std::time::Instant;
use tickwire_capture::{Mode, PortError};
use tickwire_engine::Job;
use tickwire_frame::{Batch, Frame, Ledger, LinkType, Reason, Timestamp};
use tickwire_replicate::{
    DatagramFanOut, DatagramSender, FrameFanOut, Open, Passes, Subscriber, Transmitter, UdpChecksum,
};

const BATCHES: usize = 500;

/// Takes 100 frames, then wants a kick; loses every tenth.
struct Ring {
    slot: [u8; 2048],
    queued: [u32; 100],
    len: usize,
}

impl Transmitter for Ring {
    fn slot(&mut self) -> Result<&mut [u8], Reason> {
        if self.len == 100 { Err(Reason::TxRingFull) } else { Ok(&mut self.slot) }
    }

    fn push(&mut self, _: usize, tag: u32) {
        self.queued[self.len] = tag;
        self.len += 1;
    }

    fn kick(&mut self, lost: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        for tag in self.queued[..self.len].iter().step_by(10) {
            lost(*tag, Reason::LinkDown);
        }
        self.len = 0;
        Ok(())
    }

    fn tick(&mut self, _: &mut dyn FnMut(u32, Reason)) -> Result<(), PortError> {
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FnMut(u32, Reason)) {}

    fn ifindex(&self) -> u32 {
        IFINDEX
    }

    fn frame_bytes_max(&self) -> usize {
        2048
    }

    fn mode(&self) -> Mode {
        Mode { port: "ring", mode: String::new(), why: String::new() }
    }
}

struct Nowhere;

impl DatagramSender for Nowhere {
    fn send(&mut self, payloads: &[&[u8]], lost: &mut dyn FnMut(Reason, u64)) {
        lost(Reason::TxRefused, payloads.len() as u64 / 10);
    }
}

/// Allocations of `job` over many batches, without those of its first.
fn allocations_of(mut job: impl Job, link: LinkType, frames: &[Vec<u8>]) -> u64 {
    let mut batch = Batch::new();
    batch.link = link;
    frames.iter().for_each(|bytes| batch.push(Frame::new(bytes, Timestamp::ZERO)));
    let mut ledger = Ledger::default();
    job.handle(&batch, batch.all(), &mut ledger);
    let before = allocations();
    for _ in 0..BATCHES {
        job.handle(&batch, batch.all(), &mut ledger);
        job.tick(&mut ledger);
    }
    assert_eq!(ledger.delivered, (BATCHES as u64 + 1) * 50);
    allocations() - before
}

#[test]
fn no_allocation_for_a_packet() {
    let listen = "239.1.1.1:5000";
    let mut all: Vec<_> = (1..=10).map(|n| subscriber(&format!("10.0.0.{n}:7"))).collect();
    all[1].filter = Some("udp[8] & 1 = 1".into());
    all[2].udp_checksum = UdpChecksum::Compute;
    all.push(Subscriber { dscp: 46, ..subscriber("[2001:db8::1]:7") });
    for link in [LinkType::ETHERNET, LinkType::RAW] {
        let skip = if link == LinkType::RAW { 14 } else { 0 };
        let to = |to: &str, n: u8| {
            frame(None, address("10.0.0.9:1"), address(to), &[n; 100])[skip..].to_vec()
        };
        let mut frames: Vec<_> = (0..50).map(|n| to(listen, n)).collect();
        frames.push(to("239.9.9.9:5000", 0));
        frames.push(vec![0x45; 30]);
        let mut table = table(listen, &all, link);
        // One without a next hop, and one whom frames do not reach.
        table.add("feed", subscriber("10.0.9.9:9"), Instant::now()).unwrap();
        let (local, path) = (subscriber("10.0.8.8:8"), Err(Reason::NoEgress));
        table.add_with_path("feed", local, path, Instant::now()).unwrap();
        let allocations = if link == LinkType::RAW {
            let (open, passes) = (Box::new(|_: &_, _: &_| Ok(Nowhere)), Box::new(|_| true));
            let job = DatagramFanOut::new(table.view(), 0, None, address(listen), open, passes);
            allocations_of(job, link, &frames)
        } else {
            let ring = Ring { slot: [0; 2048], queued: [0; 100], len: 0 };
            let open: Open<Nowhere> = Box::new(|_: &_, _: &_| Ok(Nowhere));
            let sockets = (open, Box::new(|_| true) as Passes);
            let job = FrameFanOut::new(table.view(), 0, None, given([ring]), sockets, |_| {});
            allocations_of(job, link, &frames)
        };
        assert_eq!(allocations, 0, "{link}");
    }
    assert!(allocations() > 0, "the allocator counts");
}
