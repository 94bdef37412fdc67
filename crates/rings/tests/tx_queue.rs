//! `TxQueue` against a kernel in memory that works like that of Linux in copy mode: on copies of
//! both indexes, up to 32 frames a call, and with the consumer published only when it must be.
#![cfg(not(loom))]

use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use tickwire_rings::memory::{Memory, PlainConsumer, PlainProducer, plain_ring};
use tickwire_rings::{Descriptor, TxQueue};

const FRAME_BYTES: u32 = 2048;
const FRAMES: u32 = 48;
/// Other frames of the UMEM lie before ours.
const BASE: u64 = 8 * FRAME_BYTES as u64;
/// `TX_BATCH_SIZE`.
const BUDGET: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Again,
    Busy,
}

/// `__xsk_generic_xmit` of net/xdp/xsk.c.
struct Kernel {
    tx: PlainConsumer<Descriptor>,
    completion: PlainProducer<u64>,
    /// Entries up to where the producer was when the kernel looked last.
    known: u32,
    /// In the device: taken, not completed.
    flying: VecDeque<u64>,
    sent: Vec<u32>,
}

impl Kernel {
    /// Sends, and loses the frame after `good` good ones. A frame's length is its number plus one.
    fn call(&mut self, good: u32) -> Answer {
        let mut sent = 0;
        let answer = loop {
            // `xskq_cons_peek_desc`, `xskq_cons_get_entries`
            if self.known == 0 {
                self.tx.release();
                self.known = self.tx.available();
            }
            if self.known == 0 {
                break Answer::Done;
            }
            if sent == BUDGET {
                break Answer::Again;
            }
            self.known -= 1;
            let descriptor = self.tx.pop().unwrap();
            if descriptor.len == 0 || descriptor.address == u64::MAX {
                continue;
            }
            self.flying.push_back(descriptor.address);
            if sent == good {
                break Answer::Busy;
            }
            self.sent.push(descriptor.len - 1);
            sent += 1;
        };
        // `__xsk_tx_release`
        if sent > 0 {
            self.tx.release();
        }
        answer
    }

    fn complete(&mut self, count: usize) {
        for address in self.flying.drain(..count.min(self.flying.len())) {
            assert!(self.completion.push(address));
        }
        self.completion.publish();
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many, as far as there is room.
    Push(u8),
    /// Loses the frame after so many good ones.
    Call(u8),
    Complete(u8),
    /// The link is down: everything that waits is taken back.
    Revoke,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..70u8).prop_map(Step::Push),
        4 => (0..70u8).prop_map(Step::Call),
        2 => (0..70u8).prop_map(Step::Complete),
        1 => Just(Step::Revoke),
    ]
}

/// Our side and the kernel's, and what was pushed and reported lost, by number.
struct World {
    queue: TxQueue<Arc<Memory<Descriptor>>, Arc<Memory<u64>>>,
    kernel: Kernel,
    pushed: u32,
    lost: Vec<u32>,
}

impl World {
    fn new(start: u32, size: u32) -> Self {
        let (tx, kernel_tx) = plain_ring(size, start);
        let (kernel_completion, completion) = plain_ring(64, start);
        let mut queue = TxQueue::new(BASE, FRAME_BYTES, FRAMES);
        queue.connect(tx, completion);
        let kernel = Kernel {
            tx: kernel_tx,
            completion: kernel_completion,
            known: 0,
            flying: VecDeque::new(),
            sent: Vec::new(),
        };
        World { queue, kernel, pushed: 0, lost: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Push(count) => {
                for _ in 0..count {
                    let Some(address) = self.queue.slot() else { break };
                    assert!(address >= BASE && (address - BASE) / 2048 < u64::from(FRAMES));
                    self.queue.push(self.pushed + 1, self.pushed);
                    self.pushed += 1;
                }
                self.queue.publish();
            }
            Step::Call(good) => {
                self.queue.waiting();
                if self.kernel.call(u32::from(good)) == Answer::Busy {
                    self.lost.push(self.queue.last_taken().unwrap());
                }
            }
            Step::Complete(count) => self.kernel.complete(usize::from(count)),
            // SAFETY: this kernel reads only in `call`.
            Step::Revoke => unsafe { self.queue.revoke(&mut |tag| self.lost.push(tag)) },
        }
    }

    /// Each frame is sent or lost, once, in order; all frames are back.
    fn check(mut self) {
        while self.queue.waiting() > 0 {
            self.kernel.call(u32::MAX);
        }
        self.kernel.call(u32::MAX);
        assert!(!self.queue.is_behind(), "what was revoked is out of the ring");
        self.kernel.complete(usize::MAX);
        self.queue.reap();
        self.queue.verify();
        assert_eq!(self.queue.count().free, FRAMES);
        assert!(self.kernel.sent.is_sorted(), "in order");
        let mut all = [self.kernel.sent, self.lost].concat();
        all.sort_unstable();
        assert_eq!(all, (0..self.pushed).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 1024 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_lost_never_leaves(
        start in prop_oneof![any::<u32>(), (0..90u32).prop_map(|k| u32::MAX - k), Just(0)],
        size_log2 in 0..7u32,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(start, 1 << size_log2);
        for step in steps {
            world.step(step);
            world.queue.verify();
        }
        world.check();
    }
}

/// The case that setting the producer back would get wrong: the kernel has seen 40 entries, has
/// refused one and published nothing, and sends what it has seen when the link is back.
#[test]
fn what_the_kernel_has_seen_can_still_be_taken_back() {
    for start in [0, u32::MAX - 20] {
        let mut world = World::new(start, 64);
        world.step(Step::Push(40));
        world.step(Step::Call(0));
        assert_eq!(world.lost, [0]);
        world.step(Step::Revoke);
        assert_eq!(world.lost.len(), 40);
        world.step(Step::Push(1));
        world.step(Step::Call(70));
        assert_eq!(world.kernel.sent, [40]);
        world.check();
    }
}

/// Each refusal is of one frame; there are no more refusals than frames.
#[test]
fn a_refusal_of_nothing_names_nothing() {
    let mut world = World::new(7, 8);
    assert_eq!(world.queue.last_taken(), None);
    world.step(Step::Push(2));
    world.step(Step::Call(0));
    world.step(Step::Call(0));
    assert_eq!((world.lost.as_slice(), world.queue.last_taken()), ([0, 1].as_slice(), None));
    world.check();
}

/// When the socket is closed, what did not complete is lost, and the frames are back.
#[test]
fn closing_reports_what_did_not_complete() {
    let mut world = World::new(u32::MAX, 64);
    world.step(Step::Push(6));
    world.step(Step::Call(5));
    world.kernel.complete(2);
    world.lost.clear();
    world.queue.disconnect(&mut |tag| world.lost.push(tag));
    world.lost.sort_unstable();
    assert_eq!(world.lost, [2, 3, 4, 5]);
    assert!(!world.queue.is_connected());
    assert_eq!((world.queue.slot(), world.queue.count().free), (None, FRAMES));
    world.queue.verify();
}
