//! AVX2 and SSE4.1.
//!
//! Each load of a frame is shuffled so that its fields become 16-bit lanes, masked and compared.
//! Four (AVX2) or two (SSE4.1) frames together give their bytes of a plane with one `pmovmskb`.
//! There is no prefetching: nothing waits for a frame, so that the processor reaches the next
//! twenty by itself.

#![allow(unsafe_code)] // Vector loads, and calls of functions with target features.

use std::arch::x86_64::*;

use tickwire_frame::Batch;

use super::layout::{Layout, PLANE_LANES};
use super::terms::Table;
use super::{Plan, Plane, Planes, ZEROS, long_frames, window_of};

/// AVX2: the frames that are long enough; of these, the accepted and the unsure ones.
///
/// # Safety
/// The machine must have AVX2.
pub(super) unsafe fn decide_avx2(plan: &Plan, batch: &Batch<'_>) -> (u64, u64, u64) {
    let decide = match (plan.layout.planes, plan.layout.ranges) {
        (1, false) => decide256::<1, false>,
        (1, true) => decide256::<1, true>,
        (2, false) => decide256::<2, false>,
        (2, true) => decide256::<2, true>,
        (3, false) => decide256::<3, false>,
        (3, true) => decide256::<3, true>,
        (_, false) => decide256::<4, false>,
        (_, true) => decide256::<4, true>,
    };
    // SAFETY: the machine has AVX2, says the caller.
    unsafe { decide(plan, batch) }
}

#[target_feature(enable = "avx2")]
fn decide256<const PLANES: usize, const RANGES: bool>(
    plan: &Plan,
    batch: &Batch<'_>,
) -> (u64, u64, u64) {
    let layout = &plan.layout;
    // SAFETY: all frames that `in_windows` hands on are as long as the window, a multiple of eight.
    let planes_of = |frames: &[&[u8]]| unsafe { avx2::<PLANES, RANGES>(layout, frames) };
    let (long, planes) = in_windows(batch, layout.window, planes_of);
    let (mut accepted, mut unsure) = (0, 0);
    for table in &plan.tables {
        let mut terms = [_mm256_set1_epi8(-1); 2];
        for (plane, tables) in planes.iter().zip(&table.planes) {
            terms = allowed256(plane, tables, terms);
        }
        if !plan.lengths.is_empty() {
            let lengths = plan.lengths_within(batch.wire_lens());
            terms = allowed256(&lengths, &table.planes[layout.planes], terms);
        }
        accepted |= any256(terms, table.accept);
        unsure |= any256(terms, table.unsure);
    }
    (long, accepted, unsure)
}

/// Those of `terms` that the bits of one plane allow.
#[target_feature(enable = "avx2")]
fn allowed256(plane: &Plane, tables: &[[u8; 16]; 2], terms: [__m256i; 2]) -> [__m256i; 2] {
    let [low_terms, high_terms] =
        tables.each_ref().map(|table| _mm256_broadcastsi128_si256(bytes128(table)));
    let nibble = _mm256_set1_epi8(0x0f);
    std::array::from_fn(|half| {
        // SAFETY: 32 bytes are there; the load may be unaligned.
        let bits = unsafe { _mm256_loadu_si256(plane.0.as_chunks::<32>().0[half].as_ptr().cast()) };
        let low = _mm256_shuffle_epi8(low_terms, _mm256_and_si256(bits, nibble));
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bits), nibble);
        let allowed = _mm256_and_si256(low, _mm256_shuffle_epi8(high_terms, high));
        _mm256_and_si256(terms[half], allowed)
    })
}

/// The frames that meet any term of `of`.
#[target_feature(enable = "avx2")]
fn any256(terms: [__m256i; 2], of: u8) -> u64 {
    let of = _mm256_set1_epi8(of as i8);
    let [low, high] = terms.map(|terms| {
        let none = _mm256_cmpeq_epi8(_mm256_and_si256(terms, of), _mm256_setzero_si256());
        u64::from(_mm256_movemask_epi8(none) as u32)
    });
    !(low | high << 32)
}

/// The constants of one load, the same in both halves.
#[derive(Clone, Copy)]
struct Constants256 {
    index: __m256i,
    mask: __m256i,
    low: __m256i,
    high: __m256i,
}

#[target_feature(enable = "avx2")]
fn constants256(layout: &Layout, plane: usize) -> Constants256 {
    let twice = |lanes: &[u16; 32]| _mm256_broadcastsi128_si256(lanes128(lanes, plane));
    Constants256 {
        index: _mm256_broadcastsi128_si256(index128(layout, plane)),
        mask: twice(&layout.mask),
        low: twice(&layout.low),
        high: twice(&layout.high),
    }
}

/// # Safety
/// All frames must be as long as the window, and their number a multiple of four.
#[target_feature(enable = "avx2")]
unsafe fn avx2<const PLANES: usize, const RANGES: bool>(
    layout: &Layout,
    frames: &[&[u8]],
) -> [Plane; PLANES] {
    let mut planes = [Plane([0; 64]); PLANES];
    let constants: [Constants256; PLANES] = std::array::from_fn(|at| constants256(layout, at));
    let offsets: [usize; PLANES] = std::array::from_fn(|at| layout.offsets[at]);
    for (at, four) in frames.as_chunks::<4>().0.iter().enumerate() {
        for plane in 0..PLANES {
            // SAFETY: all frames are as long as the window, the caller says, and no load leaves it.
            let pair = |low: usize, high: usize| unsafe {
                let low = _mm256_castsi128_si256(frame128(four[low], offsets[plane]));
                _mm256_inserti128_si256::<1>(low, frame128(four[high], offsets[plane]))
            };
            let even = holds256::<RANGES>(pair(0, 2), &constants[plane]);
            let odd = holds256::<RANGES>(pair(1, 3), &constants[plane]);
            let bits = _mm256_movemask_epi8(_mm256_packs_epi16(even, odd));
            planes[plane].0[4 * at..4 * at + 4].copy_from_slice(&bits.to_le_bytes());
        }
    }
    planes
}

/// All ones in the lanes that hold.
#[target_feature(enable = "avx2")]
fn holds256<const RANGES: bool>(bytes: __m256i, constants: &Constants256) -> __m256i {
    let Constants256 { index, mask, low, high } = *constants;
    let fields = _mm256_and_si256(_mm256_shuffle_epi8(bytes, index), mask);
    if !RANGES {
        return _mm256_cmpeq_epi16(fields, low);
    }
    let clamped = _mm256_min_epu16(_mm256_max_epu16(fields, low), high);
    _mm256_cmpeq_epi16(fields, clamped)
}

/// SSE4.1: as [`decide_avx2`].
///
/// # Safety
/// The machine must have SSE4.1, which includes SSSE3.
pub(super) unsafe fn decide_sse41(plan: &Plan, batch: &Batch<'_>) -> (u64, u64, u64) {
    let layout = &plan.layout;
    // SAFETY: the machine has SSE4.1, says the caller; `in_windows` sees to the lengths.
    let planes_of = |frames: &[&[u8]]| unsafe { sse41(layout, frames) };
    let (long, mut planes) = in_windows(batch, layout.window, planes_of);
    planes[layout.planes] = plan.lengths_within(batch.wire_lens());
    let (mut accepted, mut unsure) = (0, 0);
    for table in &plan.tables {
        for quarter in 0..4 {
            // SAFETY: as above.
            let met = unsafe { verdicts128(table, &planes[..=layout.planes], quarter) };
            accepted |= met[0];
            unsure |= met[1];
        }
    }
    (long, accepted, unsure)
}

/// # Safety
/// All frames must be as long as the window, and their number even.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn sse41(layout: &Layout, frames: &[&[u8]]) -> Planes {
    let mut planes: Planes = [Plane([0; 64]); _];
    for (at, two) in frames.as_chunks::<2>().0.iter().enumerate() {
        for (plane, bytes) in planes.iter_mut().enumerate().take(layout.planes) {
            // SAFETY: all frames are as long as the window, the caller says, and no load leaves it.
            let holds = two.map(|window| unsafe { holds128(window, layout, plane) });
            let bits = _mm_movemask_epi8(_mm_packs_epi16(holds[0], holds[1])) as u16;
            bytes.0[2 * at..2 * at + 2].copy_from_slice(&bits.to_le_bytes());
        }
    }
    planes
}

/// # Safety
/// The frame must have 16 bytes from the plane's offset on.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn holds128(window: &[u8], layout: &Layout, plane: usize) -> __m128i {
    // SAFETY: the caller's.
    let bytes = unsafe { frame128(window, layout.offsets[plane]) };
    let fields = _mm_shuffle_epi8(bytes, index128(layout, plane));
    let fields = _mm_and_si128(fields, lanes128(&layout.mask, plane));
    let clamped = _mm_max_epu16(fields, lanes128(&layout.low, plane));
    let clamped = _mm_min_epu16(clamped, lanes128(&layout.high, plane));
    _mm_cmpeq_epi16(fields, clamped)
}

/// The frames of a quarter of the planes that meet terms of `accept` and of `unsure`.
#[target_feature(enable = "sse4.1,ssse3")]
fn verdicts128(table: &Table, planes: &[Plane], quarter: usize) -> [u64; 2] {
    let mut terms = _mm_set1_epi8(-1);
    let nibble = _mm_set1_epi8(0x0f);
    for (plane, [low, high]) in planes.iter().zip(&table.planes) {
        let bits = bytes128(&plane.0.as_chunks().0[quarter]);
        let low = _mm_shuffle_epi8(bytes128(low), _mm_and_si128(bits, nibble));
        let rest = _mm_and_si128(_mm_srli_epi16::<4>(bits), nibble);
        let high = _mm_shuffle_epi8(bytes128(high), rest);
        terms = _mm_and_si128(terms, _mm_and_si128(low, high));
    }
    [table.accept, table.unsure].map(|of| {
        let met = _mm_and_si128(terms, _mm_set1_epi8(of as i8));
        let none = _mm_movemask_epi8(_mm_cmpeq_epi8(met, _mm_setzero_si128()));
        u64::from(!none as u16) << (16 * quarter)
    })
}

/// Runs `planes` over frames that are all as long as the window, a multiple of eight of them: those
/// of `batch` themselves where they will do, else with zeros for those that are too short. Returns
/// the frames that are long enough, too.
#[inline(always)]
pub(super) fn in_windows<T>(
    batch: &Batch<'_>,
    window: usize,
    planes: impl FnOnce(&[&[u8]]) -> T,
) -> (u64, T) {
    let frames = batch.bytes();
    if frames.len().is_multiple_of(8) && batch.shortest() >= window {
        return (batch.all().0, planes(frames));
    }
    let mut room: [&[u8]; 64] = [&ZEROS; 64];
    for (place, bytes) in room.iter_mut().zip(frames) {
        *place = window_of(bytes, window);
    }
    (long_frames(frames, window), planes(&room[..frames.len().next_multiple_of(8)]))
}

/// # Safety
/// The frame must have 16 bytes from `offset` on.
#[inline(always)]
pub(super) unsafe fn frame128(window: &[u8], offset: usize) -> __m128i {
    debug_assert!(offset + 16 <= window.len());
    // SAFETY: the caller's; the load may be unaligned.
    unsafe { _mm_loadu_si128(window.as_ptr().add(offset).cast()) }
}

#[inline(always)]
pub(super) fn bytes128(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there; the load may be unaligned.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn index128(layout: &Layout, plane: usize) -> __m128i {
    bytes128(&layout.index.as_chunks().0[plane])
}

/// The constants of one plane.
#[inline(always)]
pub(super) fn lanes128(lanes: &[u16; 32], plane: usize) -> __m128i {
    let lanes: &[u16; PLANE_LANES] = &lanes.as_chunks().0[plane];
    // SAFETY: 16 bytes are there; the load may be unaligned.
    unsafe { _mm_loadu_si128(lanes.as_ptr().cast()) }
}
