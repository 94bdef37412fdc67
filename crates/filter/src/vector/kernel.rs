//! Which implementation computes the lanes.

#![allow(unsafe_code)] // Calls of code for instructions that not every machine has.

use std::fmt;

use tickwire_frame::Batch;

use super::lanes::Lane;
use super::layout::{Layout, Loads};
use super::{Plan, scalar};

/// An implementation of the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Plain code.
    Scalar,
    /// 16 bytes at a time: SSSE3 and SSE4.1.
    Sse41,
    /// 32 bytes at a time, four frames together.
    Avx2,
    /// All lanes of a frame, or four frames, together: AVX-512 with BW, VL and VBMI.
    Avx512,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Scalar => "scalar",
            Kernel::Sse41 => "sse4.1",
            Kernel::Avx2 => "avx2",
            Kernel::Avx512 => "avx512",
        })
    }
}

impl Kernel {
    /// All of them, the simplest first.
    pub const ALL: [Kernel; 4] = [Kernel::Scalar, Kernel::Sse41, Kernel::Avx2, Kernel::Avx512];

    /// Whether this machine has its instructions.
    pub fn available(self) -> bool {
        match self {
            Kernel::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Sse41 => is_x86_feature_detected!("sse4.1"),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => super::avx512::available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Where this kernel takes lanes from, and where each one went: see [`Layout::new`].
    pub(super) fn layout(self, lanes: &[Lane], window: usize) -> Option<(Layout, Vec<usize>)> {
        let narrow = Layout::new(lanes, window, Loads::Narrow);
        match self {
            Kernel::Avx512 => match narrow {
                Some((layout, places)) if layout.planes == 1 => Some((layout, places)),
                _ => Layout::new(lanes, window, Loads::Wide),
            },
            _ => narrow,
        }
    }

    /// The frames that are long enough; of these, the accepted and the unsure ones.
    ///
    /// # Safety
    /// The kernel must be [`available`](Self::available).
    #[inline]
    pub(super) unsafe fn decide(self, plan: &Plan, batch: &Batch<'_>) -> (u64, u64, u64) {
        match self {
            Kernel::Scalar => scalar::decide(plan, batch),
            // SAFETY: the machine has the instructions of its kernels, says the caller.
            #[cfg(target_arch = "x86_64")]
            Kernel::Sse41 => unsafe { super::x86::decide_sse41(plan, batch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { super::x86::decide_avx2(plan, batch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => unsafe { super::avx512::decide(plan, batch) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("not available on this architecture"),
        }
    }
}
