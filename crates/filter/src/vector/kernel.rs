//! Which implementation computes the lanes.

use std::fmt;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use super::plan::{self, Plan, WORDS_MAX};
use super::{Words, scalar};
use crate::ir::{Block, Compare, End, Number, Program, Size, Test};

/// How often each kernel runs over a batch when the fastest is looked for: about 50 µs in all.
const MEASURE_RUNS: usize = 25;

/// An implementation of the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Plain code.
    Scalar,
    /// 16 bytes at a time: SSSE3 and SSE4.1.
    Sse41,
    /// 32 bytes at a time, four frames together.
    Avx2,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Scalar => "scalar",
            Kernel::Sse41 => "sse4.1",
            Kernel::Avx2 => "avx2",
        })
    }
}

impl Kernel {
    /// All of them, the simplest first.
    pub const ALL: [Kernel; 3] = [Kernel::Scalar, Kernel::Sse41, Kernel::Avx2];

    /// Whether this machine has its instructions.
    pub fn available(self) -> bool {
        match self {
            Kernel::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Sse41 => is_x86_feature_detected!("sse4.1"),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The one that was the fastest on this machine when the process first asked. What the
    /// processor claims to have does not tell: wide vectors may lower its clock or be split.
    pub fn fastest() -> Kernel {
        static FASTEST: OnceLock<Kernel> = OnceLock::new();
        *FASTEST.get_or_init(|| {
            let Some(plan) = sample() else { return Kernel::Scalar };
            let available = Kernel::ALL.into_iter().filter(|kernel| kernel.available());
            available.min_by_key(|kernel| kernel.measure(&plan)).unwrap_or(Kernel::Scalar)
        })
    }

    /// Nanoseconds of the fastest of some runs over 64 frames.
    fn measure(self, plan: &Plan) -> u128 {
        let frames = [[0x45u8; 64]; 64];
        let slices = frames.each_ref().map(<[u8; 64]>::as_slice);
        let run = |_| {
            let start = Instant::now();
            for _ in 0..4 {
                let mut words = [0; WORDS_MAX];
                black_box(self.lanes(plan, black_box(&slices), &mut words));
                black_box(&words);
            }
            start.elapsed().as_nanos()
        };
        (0..MEASURE_RUNS).map(run).min().unwrap_or(u128::MAX)
    }

    /// Computes every lane of every frame; returns the frames that are long enough.
    ///
    /// # Panics
    /// When there are more than 64 frames, or the kernel is not [`available`](Self::available).
    #[inline]
    pub(super) fn lanes(self, plan: &Plan, frames: &[&[u8]], words: &mut Words) -> u64 {
        match self {
            Kernel::Scalar => scalar::lanes(plan, frames, words),
            #[cfg(target_arch = "x86_64")]
            Kernel::Sse41 => super::x86::lanes_sse41(plan, frames, words),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => super::x86::lanes_avx2(plan, frames, words),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("not available on this architecture"),
        }
    }
}

/// Two loads of one lane each, as for ports over IPv4.
fn sample() -> Option<Plan> {
    let mut program = Program::new(1);
    let reject = program.add(Block { sets: Vec::new(), end: End::Return(false) });
    let mut next = program.add(Block { sets: Vec::new(), end: End::Return(true) });
    for offset in [36, 12] {
        let left = program.intern(Number::Load { base: None, offset, size: Size::Half });
        let right = program.literal(0x4545);
        let test = Test { left, compare: Compare::Equal, right };
        let end = End::Branch { test, yes: next, no: reject };
        next = program.add(Block { sets: Vec::new(), end });
    }
    program.entry = next;
    plan::plan(&program)
}
