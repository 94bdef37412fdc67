//! Vector code: all tests of a filter at once, a frame at a time, and their decisions for 64
//! frames at a time.
//!
//! 1. [`plan`]: tests of fields at fixed offsets become 16-bit lanes of at most four 16-byte loads.
//! 2. A kernel (`x86`, `scalar`) shuffles, masks and compares the lanes of every frame; its
//!    result is one word of 64 frames for every lane.
//! 3. The blocks of the program become words, too: which frames reach them. Each one sends its
//!    frames on with three operations, so that no branch depends on the traffic.
//!
//! There are three outcomes: accepted, rejected, and *unsure* (a frame that is shorter than the
//! window, an IPv4 header with options, a test of another kind), which an exact back end decides.
//!
//! Nothing is allocated while frames are selected. The fastest kernel of this machine is found by
//! a short measurement, not by asking what the processor can do: see [`Kernel::fastest`].

mod kernel;
mod plan;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use tickwire_frame::{Batch, Mask};

pub use self::kernel::Kernel;
use self::plan::{
    ACCEPT, ALWAYS, FIRST, NODES_MAX, Plan, REJECT, UNSURE, WINDOW_BYTES_MAX, WORDS_MAX,
};
use crate::ir::Program;

/// One word of 64 frames for every lane, [`ALWAYS`], and the tests of the length.
type Words = [u64; WORDS_MAX];

/// The lanes of one load: a byte a frame.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Plane([u8; 64]);

impl Default for Plane {
    fn default() -> Self {
        Plane([0; 64])
    }
}

type Planes = [Plane; plan::LOADS_MAX];

/// How many nodes a small filter has.
const NODES_FEW: usize = 13;

/// What stands in for a frame that is shorter than the window.
static ZEROS: [u8; WINDOW_BYTES_MAX] = [0; WINDOW_BYTES_MAX];

/// A filter in vector code.
#[derive(Clone, Debug)]
pub struct Vector {
    plan: Plan,
    kernel: Kernel,
}

/// The vector code of a program, if its tests are of fields at fixed offsets.
pub fn plan(program: &Program) -> Option<Vector> {
    Some(Vector { plan: plan::plan(program)?, kernel: Kernel::fastest() })
}

impl Vector {
    /// With another kernel; for tests and measurements.
    ///
    /// # Panics
    /// When this machine does not have it ([`Kernel::available`]).
    pub fn with_kernel(self, kernel: Kernel) -> Vector {
        assert!(kernel.available(), "this machine has no {kernel}");
        Vector { kernel, ..self }
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// How long a frame must be for vector code to decide it, in bytes.
    pub fn window_bytes(&self) -> usize {
        self.plan.window
    }

    /// How many 16-bit fields are compared.
    pub fn lanes(&self) -> usize {
        self.plan.loads.iter().map(|load| load.lanes).sum()
    }

    /// The frames of `batch` that pass; `exact` decides those that vector code cannot.
    #[inline]
    pub fn select(&self, batch: &Batch<'_>, exact: impl FnOnce(Mask) -> Mask) -> Mask {
        let (accepted, unsure) = self.decide(batch);
        if unsure.is_empty() {
            return accepted;
        }
        accepted | exact(unsure)
    }

    /// The frames that pass, and those that vector code cannot decide.
    pub fn decide(&self, batch: &Batch<'_>) -> (Mask, Mask) {
        let mut words = [0; WORDS_MAX];
        words[usize::from(ALWAYS)] = u64::MAX;
        let long = self.kernel.lanes(&self.plan, batch.bytes(), &mut words);
        for (word, bounds) in words[usize::from(ALWAYS) + 1..].iter_mut().zip(&self.plan.lengths) {
            *word = lengths_within(batch.wire_lens(), *bounds);
        }
        let (accepted, unsure) = self.plan.decide(&words, long);
        (Mask(accepted), Mask(unsure | batch.all().0 & !long))
    }
}

fn lengths_within(lengths: &[u32], (low, high): (u32, u32)) -> u64 {
    let within = |length: &u32| (low..=high).contains(length);
    lengths.iter().rev().fold(0, |word, length| word << 1 | u64::from(within(length)))
}

impl Plan {
    /// Sends the frames of `long` through the nodes: those accepted, and those unsure.
    #[inline]
    fn decide(&self, words: &Words, long: u64) -> (u64, u64) {
        // Most filters are small, and clearing a table takes time.
        if self.nodes.len() <= NODES_FEW {
            self.decide_in(&mut [0; NODES_FEW + FIRST as usize], words, long)
        } else {
            self.decide_in(&mut [0; NODES_MAX + FIRST as usize], words, long)
        }
    }

    /// `at` has a word for every node: the frames that wait for it. What goes to the very next
    /// node stays in a register, as do the outcomes: the way through memory would take longer
    /// than all else. The branches are those of the table, the same for every batch.
    #[inline(always)]
    fn decide_in(&self, at: &mut [u64], words: &Words, long: u64) -> (u64, u64) {
        let word = |lane: u8| words[usize::from(lane)];
        let (mut accepted, mut unsure) = (0, 0);
        let mut carried = long;
        for (index, node) in self.nodes.iter().enumerate() {
            let come = carried | at[index + usize::from(FIRST)];
            carried = 0;
            let guard = word(node.guard);
            unsure |= come & !guard;
            let here = come & guard;
            let holds = (word(node.lanes[0]) & word(node.lanes[1])) ^ node.flip;
            for (to, frames) in [(node.yes, here & holds), (node.no, here & !holds)] {
                match to {
                    REJECT => {}
                    ACCEPT => accepted |= frames,
                    UNSURE => unsure |= frames,
                    next if usize::from(next) == index + usize::from(FIRST) + 1 => {
                        carried |= frames;
                    }
                    later => at[usize::from(later)] |= frames,
                }
            }
        }
        (accepted, unsure)
    }
}

/// The frame, or zeros when it is shorter than the window.
#[inline(always)]
fn window_of(bytes: &[u8], window: usize) -> &[u8] {
    if bytes.len() >= window { bytes } else { &ZEROS }
}

/// The frames that are as long as the window.
#[inline(always)]
fn long_frames(frames: &[&[u8]], window: usize) -> u64 {
    frames.iter().rev().fold(0, |word, bytes| word << 1 | u64::from(bytes.len() >= window))
}
