//! The lanes with x86 vector instructions.
//!
//! Each load of a frame is shuffled so that its fields become 16-bit lanes, masked and compared.
//! Four (AVX2) or two (SSE4.1) frames together give their bytes of a plane with one `pmovmskb`;
//! turning planes into words takes two more instructions a lane for 32 or 16 frames.

#![allow(unsafe_code)] // Vector loads, and calls of functions with target features.

use std::arch::x86_64::*;

use tickwire_frame::Mask;

use super::plan::{LOADS_MAX, Load, Plan};
use super::{Plane, Words, ZEROS, long_frames, window_of};

/// How many frames ahead of the one at hand are fetched into the cache.
const PREFETCH_FRAMES: usize = 16;

/// AVX2.
///
/// # Panics
/// When the machine does not have it, or for more than 64 frames.
pub(super) fn lanes_avx2(plan: &Plan, frames: &[&[u8]], words: &mut Words) -> u64 {
    assert!(is_x86_feature_detected!("avx2") && frames.len() <= 64);
    let lanes = match (plan.loads.len(), plan.ranges) {
        (1, false) => avx2::<1, false>,
        (1, true) => avx2::<1, true>,
        (2, false) => avx2::<2, false>,
        (2, true) => avx2::<2, true>,
        (3, false) => avx2::<3, false>,
        (3, true) => avx2::<3, true>,
        (_, false) => avx2::<LOADS_MAX, false>,
        (_, true) => avx2::<LOADS_MAX, true>,
    };
    // SAFETY: the machine has AVX2, as just asserted; `in_windows` sees to the lengths.
    in_windows(frames, plan.window, |frames| unsafe { lanes(plan, frames, words) })
}

/// The constants of one load, the same in both halves.
#[derive(Clone, Copy)]
struct Constants256 {
    shuffle: __m256i,
    mask: __m256i,
    low: __m256i,
    high: __m256i,
}

#[target_feature(enable = "avx2")]
fn constants256(load: &Load) -> Constants256 {
    let twice = |lanes: &[u16; 8]| _mm256_broadcastsi128_si256(load128(lanes));
    Constants256 {
        shuffle: _mm256_broadcastsi128_si256(bytes128(&load.shuffle)),
        mask: twice(&load.mask),
        low: twice(&load.low),
        high: twice(&load.high),
    }
}

/// # Safety
/// All frames must be as long as the window.
#[target_feature(enable = "avx2")]
unsafe fn avx2<const LOADS: usize, const RANGES: bool>(
    plan: &Plan,
    frames: &[&[u8]],
    words: &mut Words,
) {
    let loads: &[Load] = &plan.loads[..LOADS];
    let constants: [Constants256; LOADS] = std::array::from_fn(|k| constants256(&loads[k]));
    let offsets: [usize; LOADS] = std::array::from_fn(|k| loads[k].offset);
    let mut planes = [Plane::default(); LOADS];
    let (fours, _) = frames.as_chunks::<4>();
    for (at, four) in fours.iter().enumerate() {
        if let Some(ahead) = fours.get(at + PREFETCH_FRAMES / 4) {
            ahead.iter().for_each(|bytes| prefetch(bytes));
        }
        for k in 0..LOADS {
            // SAFETY: all frames are as long as the window, the caller says, and no load leaves it.
            let (even, odd) =
                unsafe { (pair(four[0], four[2], offsets[k]), pair(four[1], four[3], offsets[k])) };
            let even = holds256::<RANGES>(even, &constants[k]);
            let odd = holds256::<RANGES>(odd, &constants[k]);
            let bits = _mm256_movemask_epi8(_mm256_packs_epi16(even, odd));
            planes[k].0[4 * at..4 * at + 4].copy_from_slice(&bits.to_le_bytes());
        }
    }
    for (plane, load) in planes.iter().zip(loads) {
        words256(plane, load.lanes, &mut words[load.word..]);
    }
}

/// Sixteen bytes of each of two frames.
///
/// # Safety
/// Both must have 16 bytes from `offset` on.
#[target_feature(enable = "avx2")]
unsafe fn pair(low: &[u8], high: &[u8], offset: usize) -> __m256i {
    // SAFETY: the caller's.
    let (low, high) = unsafe { (frame128(low, offset), frame128(high, offset)) };
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
}

/// All ones in the lanes that hold.
#[target_feature(enable = "avx2")]
fn holds256<const RANGES: bool>(bytes: __m256i, constants: &Constants256) -> __m256i {
    let Constants256 { shuffle, mask, low, high } = *constants;
    let fields = _mm256_and_si256(_mm256_shuffle_epi8(bytes, shuffle), mask);
    if !RANGES {
        return _mm256_cmpeq_epi16(fields, low);
    }
    let clamped = _mm256_min_epu16(_mm256_max_epu16(fields, low), high);
    _mm256_cmpeq_epi16(fields, clamped)
}

/// Turns a plane: from a byte a frame to a word a lane.
#[target_feature(enable = "avx2")]
fn words256(plane: &Plane, lanes: usize, words: &mut [u64]) {
    let half = |at: usize| {
        let bytes: &[u8; 32] = plane.0[at..at + 32].try_into().expect("half of 64");
        // SAFETY: 32 bytes are there; the load may be unaligned.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    };
    let (low, high) = (half(0), half(32));
    for (lane, word) in words.iter_mut().enumerate().take(lanes) {
        // The bit of this lane becomes the highest of its byte.
        let distance = _mm_cvtsi32_si128(7 - lane as i32);
        let bits = |half| _mm256_movemask_epi8(_mm256_sll_epi16(half, distance)) as u32;
        *word = u64::from(bits(low)) | u64::from(bits(high)) << 32;
    }
}

/// SSE4.1.
///
/// # Panics
/// When the machine does not have it, or for more than 64 frames.
pub(super) fn lanes_sse41(plan: &Plan, frames: &[&[u8]], words: &mut Words) -> u64 {
    assert!(is_x86_feature_detected!("sse4.1") && frames.len() <= 64);
    // SAFETY: the machine has SSE4.1, which includes SSSE3, as just asserted; `in_windows` sees to
    // the lengths.
    in_windows(frames, plan.window, |frames| unsafe { sse41(plan, frames, words) })
}

/// # Safety
/// All frames must be as long as the window.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn sse41(plan: &Plan, frames: &[&[u8]], words: &mut Words) {
    let mut planes = [Plane::default(); LOADS_MAX];
    let (pairs, _) = frames.as_chunks::<2>();
    for (at, two) in pairs.iter().enumerate() {
        if let Some(ahead) = pairs.get(at + PREFETCH_FRAMES / 2) {
            ahead.iter().for_each(|bytes| prefetch(bytes));
        }
        for (load, plane) in plan.loads.iter().zip(&mut planes) {
            // SAFETY: all frames are as long as the window, the caller says, and no load leaves it.
            let holds = two.map(|window| unsafe { holds128(window, load) });
            let bits = _mm_movemask_epi8(_mm_packs_epi16(holds[0], holds[1])) as u16;
            plane.0[2 * at..2 * at + 2].copy_from_slice(&bits.to_le_bytes());
        }
    }
    for (plane, load) in planes.iter().zip(&plan.loads) {
        words128(plane, load.lanes, &mut words[load.word..]);
    }
}

/// # Safety
/// The frame must have 16 bytes from the load's offset on.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn holds128(window: &[u8], load: &Load) -> __m128i {
    // SAFETY: the caller's.
    let bytes = unsafe { frame128(window, load.offset) };
    let fields =
        _mm_and_si128(_mm_shuffle_epi8(bytes, bytes128(&load.shuffle)), load128(&load.mask));
    let clamped = _mm_min_epu16(_mm_max_epu16(fields, load128(&load.low)), load128(&load.high));
    _mm_cmpeq_epi16(fields, clamped)
}

#[target_feature(enable = "sse4.1")]
fn words128(plane: &Plane, lanes: usize, words: &mut [u64]) {
    for (lane, word) in words.iter_mut().enumerate().take(lanes) {
        let distance = _mm_cvtsi32_si128(7 - lane as i32);
        let quarter = |at: usize| {
            let bytes: &[u8; 16] = plane.0[at..at + 16].try_into().expect("a quarter of 64");
            u64::from(_mm_movemask_epi8(_mm_sll_epi16(bytes128(bytes), distance)) as u16) << at
        };
        *word = quarter(0) | quarter(16) | quarter(32) | quarter(48);
    }
}

/// Runs `lanes` over frames that are all as long as the window, a multiple of four of them:
/// `frames` themselves where they will do, else with zeros for those that are too short. Returns
/// the frames that are long enough.
#[inline(always)]
fn in_windows(frames: &[&[u8]], window: usize, lanes: impl FnOnce(&[&[u8]])) -> u64 {
    // The highest bit tells whether any frame is shorter.
    let shorter = frames.iter().fold(0, |any, bytes| any | bytes.len().wrapping_sub(window));
    if shorter >> (usize::BITS - 1) == 0 && frames.len().is_multiple_of(4) {
        lanes(frames);
        return Mask::first(frames.len()).0;
    }
    let mut room: [&[u8]; 64] = [&ZEROS; 64];
    for (place, bytes) in room.iter_mut().zip(frames) {
        *place = window_of(bytes, window);
    }
    lanes(&room[..frames.len().next_multiple_of(4)]);
    long_frames(frames, window)
}

/// # Safety
/// The frame must have 16 bytes from `offset` on.
#[inline(always)]
unsafe fn frame128(window: &[u8], offset: usize) -> __m128i {
    debug_assert!(offset + 16 <= window.len());
    // SAFETY: the caller's; the load may be unaligned.
    unsafe { _mm_loadu_si128(window.as_ptr().add(offset).cast()) }
}

#[inline(always)]
fn bytes128(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there; the load may be unaligned.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline(always)]
fn load128(lanes: &[u16; 8]) -> __m128i {
    // SAFETY: 16 bytes are there; the load may be unaligned.
    unsafe { _mm_loadu_si128(lanes.as_ptr().cast()) }
}

#[inline(always)]
fn prefetch(bytes: &[u8]) {
    // SAFETY: a prefetch of any address is allowed; it never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
}
