//! The lanes without vector instructions: what the other implementations are tested against, and
//! what a machine without them has.

use tickwire_frame::Batch;

use super::layout::{LOAD_BYTES, Layout, PLANE_LANES};
use super::terms::Table;
use super::{Plan, Plane, Planes, long_frames, window_of};

/// The frames that are long enough; of these, the accepted and the unsure ones.
pub(super) fn decide(plan: &Plan, batch: &Batch<'_>) -> (u64, u64, u64) {
    let (layout, frames) = (&plan.layout, batch.bytes());
    let mut planes: Planes = [Plane([0; 64]); _];
    for (at, plane) in planes.iter_mut().enumerate().take(layout.planes) {
        for (bytes, lanes) in frames.iter().zip(&mut plane.0) {
            *lanes = lanes_of(layout, at, window_of(bytes, layout.window));
        }
    }
    planes[layout.planes] = plan.lengths_within(batch.wire_lens());
    let (mut accepted, mut unsure) = (0, 0);
    for table in &plan.tables {
        for frame in 0..frames.len() {
            let terms = terms_of(table, &planes, frame);
            accepted |= u64::from(terms & table.accept != 0) << frame;
            unsure |= u64::from(terms & table.unsure != 0) << frame;
        }
    }
    (long_frames(frames, layout.window), accepted, unsure)
}

/// Bit *i* when lane *i* of a plane holds.
fn lanes_of(layout: &Layout, plane: usize, window: &[u8]) -> u8 {
    let bytes = &window[layout.offsets[plane]..][..LOAD_BYTES];
    let mut lanes = 0;
    for lane in 0..PLANE_LANES {
        let place = plane * PLANE_LANES + lane;
        let byte = |at: usize| bytes.get(usize::from(layout.index[at])).copied().unwrap_or(0);
        let field = u16::from_le_bytes([byte(2 * place), byte(2 * place + 1)]) & layout.mask[place];
        lanes |= u8::from((layout.low[place]..=layout.high[place]).contains(&field)) << lane;
    }
    lanes
}

/// The terms that a frame meets.
fn terms_of(table: &Table, planes: &Planes, frame: usize) -> u8 {
    planes.iter().zip(&table.planes).fold(u8::MAX, |terms, (plane, [low, high])| {
        let bits = plane.0[frame];
        terms & low[usize::from(bits & 0x0f)] & high[usize::from(bits >> 4)]
    })
}
