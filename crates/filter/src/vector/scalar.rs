//! The lanes without vector instructions: what the other implementations are tested against, and
//! what a machine without them has.

use super::plan::{Load, Plan};
use super::{Planes, Words, long_frames, window_of};

/// Computes every lane of every frame; returns the frames that are long enough.
pub(super) fn lanes(plan: &Plan, frames: &[&[u8]], words: &mut Words) -> u64 {
    let mut planes: Planes = Default::default();
    for (load, plane) in plan.loads.iter().zip(&mut planes) {
        for (bytes, lanes) in frames.iter().zip(&mut plane.0) {
            *lanes = lanes_of(load, window_of(bytes, plan.window));
        }
        for lane in 0..load.lanes {
            let bits = plane.0.chunks_exact(8).enumerate().map(|(at, eight)| {
                let eight = u64::from_le_bytes(eight.try_into().unwrap_or_default());
                // Collects the lowest bits of eight bytes in one byte.
                let bits =
                    (eight >> lane & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080);
                bits >> 56 << (8 * at)
            });
            words[load.word + lane] = bits.sum();
        }
    }
    long_frames(frames, plan.window)
}

/// Bit *i* when lane *i* holds.
fn lanes_of(load: &Load, window: &[u8]) -> u8 {
    let bytes = &window[load.offset..load.offset + 16];
    let mut lanes = 0;
    for lane in 0..load.lanes {
        let byte = |at: usize| bytes.get(usize::from(load.shuffle[at])).copied().unwrap_or(0);
        let field = u16::from_le_bytes([byte(2 * lane), byte(2 * lane + 1)]) & load.mask[lane];
        lanes |= u8::from((load.low[lane]..=load.high[lane]).contains(&field)) << lane;
    }
    lanes
}
