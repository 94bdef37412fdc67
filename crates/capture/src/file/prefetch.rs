//! Asks the processor for bytes that the scanner will need soon.
//!
//! The buffer is larger than the cache next to the core, and where a record begins is known only
//! from the one before it: without a hint each header is waited for. One hint a record takes a
//! sixth of the time off a file of short packets; long ones do not mind.

/// How far ahead: two or three short records.
pub(super) const PREFETCH_BYTES: usize = 256;

/// Starts to load the line at `data[at]`, if there is one.
#[inline(always)]
pub(super) fn prefetch(data: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(byte) = data.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64; a prefetch of a valid address has no effect but
        // time.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, at);
}
