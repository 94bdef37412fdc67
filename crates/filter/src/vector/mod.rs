//! Vector code: all tests of a filter at once, and their decisions for 64 frames at a time.
//!
//! 1. `lanes`: tests of fields at fixed offsets become 16-bit lanes; `diagram` finds which of
//!    them decide, and `layout` where they come from.
//! 2. A kernel (`avx512`, `x86`, `scalar`) shuffles, masks and compares the lanes of every frame;
//!    its result is up to four *planes*: a byte a frame, a bit a lane.
//! 3. `terms` decides by tables of 16 entries, one for each half of a plane's byte. No branch
//!    depends on the traffic.
//!
//! There are three outcomes: accepted, rejected, and *unsure* (a frame that is shorter than the
//! window, an IPv4 header with options, a test of another kind), which an exact back end decides.
//!
//! Nothing is allocated while frames are selected.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod diagram;
mod kernel;
mod lanes;
mod layout;
mod scalar;
mod terms;
#[cfg(target_arch = "x86_64")]
mod x86;

use tickwire_frame::{Batch, Mask};

use self::diagram::{Diagram, UNSURE, Variable};
pub use self::kernel::Kernel;
use self::lanes::WINDOW_BYTES_MAX;
use self::layout::{Layout, PLANE_LANES, PLANES_MAX};
use self::terms::Table;
use crate::expand::expand;
use crate::ir::Program;

/// Values of a list that are compared one by one, at most: longer ones are left to native code.
const LIST_VALUES_MAX: usize = 16;
/// Tests of the length on the wire, at most.
const LENGTHS_MAX: usize = 4;

/// A byte a frame.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Plane([u8; 64]);

/// The planes of the lanes, and behind those in use one of the tests of the length.
type Planes = [Plane; PLANES_MAX + 1];

/// What stands in for a frame that is shorter than the window.
static ZEROS: [u8; WINDOW_BYTES_MAX] = [0; WINDOW_BYTES_MAX];

/// What is computed for every frame, and how it is decided.
#[derive(Clone, Debug)]
struct Plan {
    layout: Layout,
    tables: Vec<Table>,
    /// Bounds of the length on the wire: `low <= length <= high`.
    lengths: Vec<(u32, u32)>,
    /// How many fields are compared.
    lanes: usize,
}

/// A filter in vector code.
#[derive(Clone, Debug)]
pub struct Vector {
    plan: Plan,
    kernel: Kernel,
}

/// The vector code of a program, if its tests are of fields at fixed offsets, for every kernel of
/// this machine that can do it.
pub fn plans(program: &Program) -> Vec<Vector> {
    let program = expand(program, LIST_VALUES_MAX + 1, LIST_VALUES_MAX);
    let Some((nodes, window)) = lanes::nodes(&program) else { return Vec::new() };
    let Some(diagram) = Diagram::new(&nodes) else { return Vec::new() };
    let available = Kernel::ALL.into_iter().filter(|kernel| kernel.available());
    let plan = |kernel| Some(Vector { plan: Plan::new(&diagram, window, kernel)?, kernel });
    available.filter_map(plan).collect()
}

impl Plan {
    fn new(diagram: &Diagram, window: usize, kernel: Kernel) -> Option<Plan> {
        let (mut lanes, mut lengths, mut variables) = (Vec::new(), Vec::new(), Vec::new());
        for at in diagram.support() {
            variables.push(at);
            match diagram.variables[at] {
                Variable::Lane(lane) => lanes.push(lane),
                Variable::Length(low, high) => lengths.push((low, high)),
            }
        }
        if diagram.root == UNSURE || lanes.is_empty() || lengths.len() > LENGTHS_MAX {
            return None;
        }
        let (layout, mut placed) = kernel.layout(&lanes, window)?;
        placed.extend((0..lengths.len()).map(|at| layout.planes * PLANE_LANES + at));
        let mut places = vec![usize::MAX; diagram.variables.len()];
        for (variable, place) in variables.into_iter().zip(placed) {
            places[variable] = place;
        }
        let tables = terms::tables(diagram, &places)?;
        Some(Plan { layout, tables, lengths, lanes: lanes.len() })
    }

    /// The plane of the tests of the length.
    fn lengths_within(&self, lengths: &[u32]) -> Plane {
        let mut plane = Plane([0; 64]);
        for (bit, (low, high)) in self.lengths.iter().enumerate() {
            for (bits, length) in plane.0.iter_mut().zip(lengths) {
                *bits |= u8::from((low..=high).contains(&length)) << bit;
            }
        }
        plane
    }
}

impl Vector {
    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// How long a frame must be for vector code to decide it, in bytes.
    pub fn window_bytes(&self) -> usize {
        self.plan.layout.window
    }

    /// How many 16-bit fields are compared.
    pub fn lanes(&self) -> usize {
        self.plan.lanes
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
        // SAFETY: `plans`, which alone makes these, has seen that the kernel is available.
        #[allow(unsafe_code)]
        let (long, accepted, unsure) = unsafe { self.kernel.decide(&self.plan, batch) };
        (Mask(accepted & long), Mask(unsure & long | batch.all().0 & !long))
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
