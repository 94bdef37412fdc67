//! The lanes with x86 vector instructions.
//!
//! Each load of a frame is shuffled so that its fields become 16-bit lanes, masked and compared.
//! Four (AVX2) or two (SSE4.1) frames together give their bytes of a plane with one `pmovmskb`;
//! turning planes into words takes two more instructions a lane for 32 or 16 frames.

#![allow(unsafe_code)] // Vector loads, and calls of functions with target features.

use std::arch::x86_64::*;

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
    // SAFETY: the machine has AVX2, as just asserted.
    unsafe {
        match (plan.loads.len(), plan.ranges) {
            (1, false) => avx2::<1, false>(plan, frames, words),
            (1, true) => avx2::<1, true>(plan, frames, words),
            (2, false) => avx2::<2, false>(plan, frames, words),
            (2, true) => avx2::<2, true>(plan, frames, words),
            (3, false) => avx2::<3, false>(plan, frames, words),
            (3, true) => avx2::<3, true>(plan, frames, words),
            (_, false) => avx2::<LOADS_MAX, false>(plan, frames, words),
            (_, true) => avx2::<LOADS_MAX, true>(plan, frames, words),
        }
    }
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

#[target_feature(enable = "avx2")]
fn avx2<const LOADS: usize, const RANGES: bool>(
    plan: &Plan,
    frames: &[&[u8]],
    words: &mut Words,
) -> u64 {
    let loads: &[Load] = &plan.loads[..LOADS];
    let constants: [Constants256; LOADS] = std::array::from_fn(|k| constants256(&loads[k]));
    let offsets: [usize; LOADS] = std::array::from_fn(|k| loads[k].offset);
    let mut planes = [Plane::default(); LOADS];
    for (four, frames_of_four) in frames.chunks(4).enumerate() {
        let zeros: &[u8] = &ZEROS;
        let frame = |i: usize| window_of(frames_of_four.get(i).unwrap_or(&zeros), plan.window);
        let windows = [frame(0), frame(1), frame(2), frame(3)];
        for ahead in frames.iter().skip(4 * four + PREFETCH_FRAMES).take(4) {
            prefetch(ahead);
        }
        for k in 0..LOADS {
            let even = pair(windows[0], windows[2], offsets[k]);
            let odd = pair(windows[1], windows[3], offsets[k]);
            let even = holds256::<RANGES>(even, &constants[k]);
            let odd = holds256::<RANGES>(odd, &constants[k]);
            let bits = _mm256_movemask_epi8(_mm256_packs_epi16(even, odd));
            planes[k].0[4 * four..4 * four + 4].copy_from_slice(&bits.to_le_bytes());
        }
    }
    for (plane, load) in planes.iter().zip(loads) {
        words256(plane, load.lanes, &mut words[load.word..]);
    }
    long_frames(frames, plan.window)
}

/// Sixteen bytes of each of two frames.
#[target_feature(enable = "avx2")]
fn pair(low: &[u8], high: &[u8], offset: usize) -> __m256i {
    let (low, high) = (frame128(low, offset), frame128(high, offset));
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
    // SAFETY: the machine has SSE4.1, which includes SSSE3, as just asserted.
    unsafe { sse41(plan, frames, words) }
}

#[target_feature(enable = "sse4.1,ssse3")]
fn sse41(plan: &Plan, frames: &[&[u8]], words: &mut Words) -> u64 {
    let mut planes = [Plane::default(); LOADS_MAX];
    for (two, frames_of_two) in frames.chunks(2).enumerate() {
        let zeros: &[u8] = &ZEROS;
        let frame = |i: usize| window_of(frames_of_two.get(i).unwrap_or(&zeros), plan.window);
        let windows = [frame(0), frame(1)];
        for ahead in frames.iter().skip(2 * two + PREFETCH_FRAMES).take(2) {
            prefetch(ahead);
        }
        for (load, plane) in plan.loads.iter().zip(&mut planes) {
            let holds = windows.map(|window| holds128(window, load));
            let bits = _mm_movemask_epi8(_mm_packs_epi16(holds[0], holds[1])) as u16;
            plane.0[2 * two..2 * two + 2].copy_from_slice(&bits.to_le_bytes());
        }
    }
    for (plane, load) in planes.iter().zip(&plan.loads) {
        words128(plane, load.lanes, &mut words[load.word..]);
    }
    long_frames(frames, plan.window)
}

#[target_feature(enable = "sse4.1,ssse3")]
fn holds128(window: &[u8], load: &Load) -> __m128i {
    let fields = _mm_shuffle_epi8(frame128(window, load.offset), bytes128(&load.shuffle));
    let fields = _mm_and_si128(fields, load128(&load.mask));
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

#[inline(always)]
fn frame128(window: &[u8], offset: usize) -> __m128i {
    let bytes: &[u8; 16] = window[offset..offset + 16].try_into().expect("16 bytes");
    bytes128(bytes)
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
