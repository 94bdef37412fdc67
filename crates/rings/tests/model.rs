//! The kernel rings against a queue, for every start index, and a million operations on a UMEM
//! with both ends of its four rings in memory: a kernel without a kernel.
#![cfg(not(loom))]

use proptest::prelude::*;
use std::collections::VecDeque;
use tickwire_rings::memory::{PlainConsumer, PlainProducer, plain_ring};
use tickwire_rings::{FrameCount, Frames};

/// One step on a ring; what cannot be done must be refused.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8),
    Publish,
    Pop(u8),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..9u8).prop_map(Step::Push),
        Just(Step::Publish),
        (0..9u8).prop_map(Step::Pop),
        Just(Step::Release),
    ]
}

/// Starts just below the wrap in most runs.
fn start() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), (0..20u32).prop_map(|k| u32::MAX - k), Just(0)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_ring_is_a_bounded_queue(
        start in start(),
        size_log2 in 0..4u32,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let size = 1usize << size_log2;
        let (mut producer, mut consumer) = plain_ring::<u64>(size as u32, start);
        // Entries pushed, published, popped; `taken` are popped but not released.
        let (mut staged, mut filled, mut taken) = (VecDeque::new(), VecDeque::new(), 0);
        let mut number = 0u64;
        for step in steps {
            match step {
                Step::Push(count) => for _ in 0..count {
                    let room = staged.len() + filled.len() + taken < size;
                    prop_assert_eq!(producer.free(1) > 0, room);
                    prop_assert_eq!(producer.push(number), room);
                    if room {
                        staged.push_back(number);
                        number += 1;
                    }
                },
                Step::Publish => {
                    producer.publish();
                    filled.append(&mut staged);
                }
                Step::Pop(count) => for _ in 0..count {
                    prop_assert_eq!(consumer.available() > 0, !filled.is_empty());
                    let expected = filled.pop_front();
                    taken += usize::from(expected.is_some());
                    prop_assert_eq!(consumer.pop(), expected);
                },
                Step::Release => {
                    consumer.release();
                    taken = 0;
                    prop_assert_eq!(producer.outstanding() as usize, filled.len());
                }
            }
        }
    }
}

#[test]
fn need_wakeup_is_seen() {
    let (producer, consumer) = plain_ring::<u64>(2, 0);
    assert!(!producer.needs_wakeup());
    consumer.set_need_wakeup(true);
    assert!(producer.needs_wakeup());
    consumer.set_need_wakeup(false);
    assert!(!producer.needs_wakeup());
}

#[test]
#[should_panic(expected = "a power of two")]
fn a_ring_of_three_is_refused() {
    let _ = plain_ring::<u64>(3, 0);
}

/// A UMEM in memory: our ends, the kernel's ends, and what the kernel has in its hands.
struct Umem {
    frames: Frames,
    total: u32,
    fill: PlainProducer<u64>,
    rx: PlainConsumer<u64>,
    tx: PlainProducer<u64>,
    completion: PlainConsumer<u64>,
    kernel_fill: PlainConsumer<u64>,
    kernel_rx: PlainProducer<u64>,
    kernel_tx: PlainConsumer<u64>,
    kernel_completion: PlainProducer<u64>,
    kernel_has: Vec<u64>,
    held: Vec<u64>,
    /// Published entries of the four rings.
    in_ring: [u32; 4],
}

const FRAME_BYTES: u64 = 2048;

impl Umem {
    fn new(total: u32, ring: u32, start: u32) -> Self {
        let (fill, kernel_fill) = plain_ring(ring, start);
        let (kernel_rx, rx) = plain_ring(ring, start);
        let (tx, kernel_tx) = plain_ring(ring, start);
        let (kernel_completion, completion) = plain_ring(ring, start);
        Umem {
            frames: Frames::new(total),
            total,
            fill,
            rx,
            tx,
            completion,
            kernel_fill,
            kernel_rx,
            kernel_tx,
            kernel_completion,
            kernel_has: Vec::new(),
            held: Vec::new(),
            in_ring: [0; 4],
        }
    }

    /// What one side may do; 8 operations.
    fn operate(&mut self, operation: u64) {
        match operation {
            0 if self.fill.free(1) > 0 => {
                if let Some(frame) = self.frames.lend_for_receiving() {
                    assert!(self.fill.push(u64::from(frame) * FRAME_BYTES));
                    self.fill.publish();
                    self.in_ring[0] += 1;
                }
            }
            1 if self.kernel_rx.free(1) > 0 => {
                if let Some(address) = self.kernel_fill.pop() {
                    self.kernel_fill.release();
                    // The kernel writes behind a headroom of its own.
                    assert!(self.kernel_rx.push(address + 256));
                    self.kernel_rx.publish();
                    self.in_ring[0] -= 1;
                    self.in_ring[1] += 1;
                }
            }
            2 => {
                if let Some(address) = self.rx.pop() {
                    self.rx.release();
                    self.frames.hold((address / FRAME_BYTES) as u32).unwrap();
                    self.held.push(address);
                    self.in_ring[1] -= 1;
                }
            }
            3 if self.fill.free(1) > 0 => {
                if let Some(address) = self.held.pop() {
                    let frame = (address / FRAME_BYTES) as u32;
                    self.frames.recycle(frame).unwrap();
                    assert!(self.fill.push(u64::from(frame) * FRAME_BYTES));
                    self.fill.publish();
                    self.in_ring[0] += 1;
                }
            }
            4 if self.tx.free(1) > 0 => {
                if let Some(frame) = self.frames.lend_for_sending() {
                    assert!(self.tx.push(u64::from(frame) * FRAME_BYTES));
                    self.tx.publish();
                    self.in_ring[2] += 1;
                }
            }
            5 => {
                if let Some(address) = self.kernel_tx.pop() {
                    self.kernel_tx.release();
                    self.kernel_has.push(address);
                    self.in_ring[2] -= 1;
                }
            }
            6 if self.kernel_completion.free(1) > 0 => {
                if let Some(address) = self.kernel_has.pop() {
                    assert!(self.kernel_completion.push(address));
                    self.kernel_completion.publish();
                    self.in_ring[3] += 1;
                }
            }
            7 => {
                if let Some(address) = self.completion.pop() {
                    self.completion.release();
                    self.frames.complete((address / FRAME_BYTES) as u32).unwrap();
                    self.in_ring[3] -= 1;
                }
            }
            _ => {}
        }
    }

    /// fill + rx + held + tx + kernel + completion + free = total, each where we think it is.
    fn check(&self) {
        let [fill, rx, tx, completion] = self.in_ring;
        let expected = FrameCount {
            free: self.frames.count().free,
            receiving: fill + rx,
            held: self.held.len() as u32,
            sending: tx + completion + self.kernel_has.len() as u32,
        };
        assert_eq!(self.frames.count(), expected);
        assert_eq!(expected.total(), self.total);
    }
}

/// R3: no frame is ever unaccounted for, over a million random operations.
#[test]
fn a_million_operations_account_for_every_frame() {
    let operations = if cfg!(miri) { 2_000 } else { 1_000_000 };
    for start in [0, u32::MAX - 1000] {
        let mut umem = Umem::new(96, 64, start);
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for n in 0..operations / 2 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // Bursts of one operation, so that rings get full and empty.
            for _ in 0..1 + (seed >> 32) % 3 {
                umem.operate(seed % 8);
            }
            umem.check();
            if n % 4096 == 0 {
                umem.frames.verify();
            }
        }
        umem.frames.verify();
        umem.frames.reclaim();
        assert_eq!(umem.frames.count().free, umem.total);
    }
}
