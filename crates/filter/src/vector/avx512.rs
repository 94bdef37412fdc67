//! AVX-512 with VBMI: the lanes of a frame are compared at once, and the result is a bit a lane.
//!
//! Where one load of 16 bytes will do, four frames share a register. Else one or two rows of 32
//! bytes hold all fields, and a permutation takes any bytes from them for 16 or 32 lanes. There
//! are no masked loads, which are slow. Verdicts take one instruction of each kind for 64 frames.

#![allow(unsafe_code)] // Vector loads, and calls of functions with target features.

use std::arch::x86_64::*;

use tickwire_frame::Batch;

use super::Plan;
use super::layout::{Layout, Loads, ROW_BYTES};
use super::x86::{bytes128, frame128, in_windows, index128, lanes128};

/// Whether this machine has all that is needed.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
}

/// The frames that are long enough; of these, the accepted and the unsure ones.
///
/// # Safety
/// It must be [`available`].
pub(super) unsafe fn decide(plan: &Plan, batch: &Batch<'_>) -> (u64, u64, u64) {
    let layout = &plan.layout;
    let decide = match (layout.loads, layout.planes, layout.offsets.len(), layout.ranges) {
        (Loads::Narrow, _, _, false) => decide_by::<1, 1, false>,
        (Loads::Narrow, _, _, true) => decide_by::<1, 1, true>,
        (_, 1 | 2, 1, false) => decide_by::<2, 1, false>,
        (_, 1 | 2, 1, true) => decide_by::<2, 1, true>,
        (_, 1 | 2, _, false) => decide_by::<2, 2, false>,
        (_, 1 | 2, _, true) => decide_by::<2, 2, true>,
        (_, _, _, false) => decide_by::<4, 2, false>,
        (_, _, _, true) => decide_by::<4, 2, true>,
    };
    // SAFETY: the machine has the instructions, says the caller.
    unsafe { decide(plan, batch) }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi")]
fn decide_by<const PLANES: usize, const ROWS: usize, const RANGES: bool>(
    plan: &Plan,
    batch: &Batch<'_>,
) -> (u64, u64, u64) {
    let layout = &plan.layout;
    // SAFETY: all frames that `in_windows` hands on are as long as the window, a multiple of eight.
    let planes_of = |frames: &[&[u8]]| unsafe {
        let mut planes = [_mm512_setzero_si512(); PLANES];
        if PLANES == 1 {
            planes[0] = eight::<RANGES>(layout, frames);
        } else if PLANES == 2 {
            planes.copy_from_slice(&sixteen::<ROWS, RANGES>(layout, frames));
        } else {
            planes.copy_from_slice(&thirty_two::<RANGES>(layout, frames));
        }
        planes
    };
    let (long, planes) = in_windows(batch, layout.window, planes_of);
    let (mut accepted, mut unsure) = (0, 0);
    for table in &plan.tables {
        let mut terms = _mm512_set1_epi8(-1);
        // Not those that pad: their place in the tables may be that of the lengths.
        for (plane, tables) in planes.iter().zip(&table.planes[..layout.planes]) {
            terms = _mm512_and_si512(terms, allowed(*plane, tables));
        }
        if !plan.lengths.is_empty() {
            let lengths = load(&plan.lengths_within(batch.wire_lens()).0);
            terms = _mm512_and_si512(terms, allowed(lengths, &table.planes[layout.planes]));
        }
        accepted |= _mm512_test_epi8_mask(terms, _mm512_set1_epi8(table.accept as i8));
        unsure |= _mm512_test_epi8_mask(terms, _mm512_set1_epi8(table.unsure as i8));
    }
    (long, accepted, unsure)
}

/// The terms that the bits of one plane allow.
#[target_feature(enable = "avx512f,avx512bw")]
fn allowed(bits: __m512i, tables: &[[u8; 16]; 2]) -> __m512i {
    let [low, high] = tables.each_ref().map(|table| _mm512_broadcast_i32x4(bytes128(table)));
    let nibble = _mm512_set1_epi8(0x0f);
    let low = _mm512_shuffle_epi8(low, _mm512_and_si512(bits, nibble));
    let high = _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16::<4>(bits), nibble));
    _mm512_and_si512(low, high)
}

/// Eight lanes in one load: four frames together.
///
/// # Safety
/// All frames must be as long as the window, and their number a multiple of eight.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn eight<const RANGES: bool>(layout: &Layout, frames: &[&[u8]]) -> __m512i {
    let index = _mm512_broadcast_i32x4(index128(layout, 0));
    let [mask, low, high] = [&layout.mask, &layout.low, &layout.high]
        .map(|lanes| _mm512_broadcast_i32x4(lanes128(lanes, 0)));
    let span = _mm512_sub_epi16(high, low);
    let offset = layout.offsets[0];
    let mut planes = Aligned([[0; 8]; 8]);
    for (frames, bits) in frames.as_chunks::<8>().0.iter().zip(&mut planes.0) {
        let mut halves = [0; 2];
        for (half, four) in halves.iter_mut().zip(frames.as_chunks::<4>().0) {
            // SAFETY: all frames are as long as the window, the caller says, and no load leaves it.
            let [a, b, c, d] = four.map(|frame| unsafe { frame128(frame, offset) });
            let bytes = _mm512_castsi128_si512(a);
            let bytes = _mm512_mask_broadcast_i32x4(bytes, 0x00f0, b);
            let bytes = _mm512_mask_broadcast_i32x4(bytes, 0x0f00, c);
            let bytes = _mm512_mask_broadcast_i32x4(bytes, 0xf000, d);
            let fields = _mm512_and_si512(_mm512_shuffle_epi8(bytes, index), mask);
            *half = u64::from(holds512::<RANGES>(fields, low, span));
        }
        *bits = _mm512_kunpackd(halves[1], halves[0]).to_le_bytes();
    }
    load(&planes.0)
}

/// Up to 16 lanes in one row or two: two frames in a register.
///
/// # Safety
/// All frames must be as long as the window, and their number a multiple of four.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn sixteen<const ROWS: usize, const RANGES: bool>(
    layout: &Layout,
    frames: &[&[u8]],
) -> [__m512i; 2] {
    let index = _mm512_castsi512_si256(load(&layout.index));
    let [mask, low, high] = [&layout.mask, &layout.low, &layout.high]
        .map(|lanes| _mm512_broadcast_i64x4(_mm512_castsi512_si256(load(lanes))));
    let span = _mm512_sub_epi16(high, low);
    let [first, second] = layout.rows();
    let mut lanes = Aligned([[0; 8]; 16]);
    for (four, bits) in frames.as_chunks::<4>().0.iter().zip(&mut lanes.0) {
        // SAFETY: all frames are as long as the window, the caller says, and no row leaves it.
        let [a, b, c, d] = four.map(|frame| unsafe {
            if ROWS == 1 {
                return _mm256_permutexvar_epi8(index, row(frame, first));
            }
            _mm256_permutex2var_epi8(row(frame, first), index, row(frame, second))
        });
        let [one, other] = [(a, b), (c, d)].map(|(a, b)| {
            let fields = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
            u64::from(holds512::<RANGES>(_mm512_and_si512(fields, mask), low, span))
        });
        *bits = _mm512_kunpackd(other, one).to_le_bytes();
    }
    let (halves, _) = lanes.0.as_chunks::<8>();
    even_odd(load(&halves[0]), load(&halves[1]))
}

/// Up to 32 lanes in two rows: a register a frame.
///
/// # Safety
/// All frames must be as long as the window.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn thirty_two<const RANGES: bool>(layout: &Layout, frames: &[&[u8]]) -> [__m512i; 4] {
    let index = load(&layout.index);
    let [mask, low, high] = [&layout.mask, &layout.low, &layout.high].map(|lanes| load(lanes));
    let span = _mm512_sub_epi16(high, low);
    let [first, second] = layout.rows();
    let mut lanes = Aligned([[0; 4]; 64]);
    for (frame, bits) in frames.iter().zip(&mut lanes.0) {
        // SAFETY: all frames are as long as the window, the caller says, and no row leaves it.
        let [a, b] = unsafe { [row(frame, first), row(frame, second)] };
        let rows = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
        let fields = _mm512_and_si512(_mm512_permutexvar_epi8(index, rows), mask);
        *bits = holds512::<RANGES>(fields, low, span).to_le_bytes();
    }
    // First the bytes of two planes from each half, then those of one.
    let (quarters, _) = lanes.0.as_chunks::<16>();
    let left = even_odd(load(&quarters[0]), load(&quarters[1]));
    let right = even_odd(load(&quarters[2]), load(&quarters[3]));
    let [first, third] = even_odd(left[0], right[0]);
    let [second, fourth] = even_odd(left[1], right[1]);
    [first, second, third, fourth]
}

/// The bytes at even places of both vectors, and those at odd places.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn even_odd(one: __m512i, other: __m512i) -> [__m512i; 2] {
    let even = load(&EVEN_BYTES);
    let odd = _mm512_add_epi8(even, _mm512_set1_epi8(1));
    [_mm512_permutex2var_epi8(one, even, other), _mm512_permutex2var_epi8(one, odd, other)]
}

/// A bit for every lane that holds.
#[target_feature(enable = "avx512f,avx512bw")]
fn holds512<const RANGES: bool>(fields: __m512i, low: __m512i, span: __m512i) -> u32 {
    if RANGES {
        _mm512_cmple_epu16_mask(_mm512_sub_epi16(fields, low), span)
    } else {
        _mm512_cmpeq_epi16_mask(fields, low)
    }
}

#[repr(align(64))]
struct Aligned<T>(T);

/// Every other byte of two vectors.
static EVEN_BYTES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < 64 {
        bytes[at] = 2 * at as u8;
        at += 1;
    }
    bytes
};

/// # Safety
/// The frame must have 32 bytes from `offset` on.
#[inline(always)]
unsafe fn row(window: &[u8], offset: usize) -> __m256i {
    debug_assert!(offset + ROW_BYTES <= window.len());
    // SAFETY: the caller's; the load may be unaligned.
    unsafe { _mm256_loadu_si256(window.as_ptr().add(offset).cast()) }
}

/// 64 bytes of numbers.
#[target_feature(enable = "avx512f")]
fn load<T: Copy, const COUNT: usize>(numbers: &[T; COUNT]) -> __m512i {
    const { assert!(size_of::<[T; COUNT]>() == 64) };
    // SAFETY: 64 bytes are there; the load may be unaligned.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}
