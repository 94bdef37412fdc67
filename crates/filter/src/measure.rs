//! How long a back end takes for 64 packets: what [`Selector`](crate::Selector) chooses by.
//!
//! What the processor claims to have does not tell: wide vectors may lower its clock or be split;
//! and whether vector or native code is faster depends on the filter.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tickwire_frame::{Batch, FRAMES_MAX, Frame, Mask, Timestamp};

/// Runs of which the fastest counts, calls in each of them, and when it is enough, as it is for
/// filters that are slow: mostly 40 µs in all.
const RUNS: usize = 24;
const CALLS: u32 = 8;
const MEASURE_MS_MAX: u128 = 1;
/// Differences below a tenth are chance.
const ABOUT: u32 = 10;
/// As long as the headers of most packets.
const FRAME_BYTES: usize = 64;
/// From one packet to the next, as in a UMEM, and how much later every other of eight begins: the
/// layout decides what the cache can hold, and equal distances put all headers into few sets.
const STRIDE_BYTES: usize = 2048;
const STAGGER_BYTES: usize = 64;

/// EtherType and protocol or next header of the packets, by turns: market data over UDP, sessions
/// over TCP, IPv6, ARP.
const PACKETS: [(u16, usize, u8); 8] = [
    (0x0800, 23, 17),
    (0x0800, 23, 6),
    (0x0800, 23, 17),
    (0x86dd, 20, 6),
    (0x0800, 23, 17),
    (0x0800, 23, 6),
    (0x0806, 23, 0),
    (0x86dd, 20, 17),
];

/// What selects the frames of a batch.
pub(crate) type Contender<'a> = Box<dyn Fn(&Batch<'_>) -> Mask + 'a>;

/// The place of the first of `contenders` that is about as fast as the fastest; they take turns
/// over 64 packets of Ethernet.
pub(crate) fn fastest(contenders: &[Contender<'_>]) -> Option<usize> {
    let mut memory = vec![0; (FRAMES_MAX + 1) * STRIDE_BYTES];
    let begin = memory.as_ptr().align_offset(STRIDE_BYTES);
    for (index, frame) in memory[begin..].chunks_exact_mut(STRIDE_BYTES).enumerate() {
        fill(&mut frame[stagger(index)..], index);
    }
    let mut batch = Batch::new();
    for (index, frame) in memory[begin..].chunks_exact(STRIDE_BYTES).take(FRAMES_MAX).enumerate() {
        let bytes = &frame[stagger(index)..][..FRAME_BYTES];
        batch.push(Frame::new(bytes, Timestamp::ZERO));
    }
    let mut times = vec![Duration::MAX; contenders.len()];
    let begin = Instant::now();
    for _ in 0..RUNS {
        if begin.elapsed().as_millis() >= MEASURE_MS_MAX {
            break;
        }
        for (contender, time) in contenders.iter().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(contender(black_box(&batch)));
            }
            *time = start.elapsed().min(*time);
        }
    }
    let fastest = times.iter().min()?;
    times.iter().position(|time| *time <= *fastest + *fastest / ABOUT)
}

fn stagger(index: usize) -> usize {
    index % 8 * STAGGER_BYTES
}

fn fill(frame: &mut [u8], index: usize) {
    // In an order that no branch predictor learns at once.
    let (kind, at, protocol) = PACKETS[(index * index + index / 8) % PACKETS.len()];
    frame[12..14].copy_from_slice(&kind.to_be_bytes());
    frame[14] = if kind == 0x86dd { 0x60 } else { 0x45 };
    frame[at] = protocol;
}
