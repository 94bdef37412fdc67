//! Which back end selects the frames of a batch.
//!
//! Vector code where the tests allow it and it is faster, with native code for what it cannot
//! decide; native code alone elsewhere, and for small batches; the interpreter where there is no
//! native code.

use std::fmt;

use tickwire_frame::{Batch, Mask};

use crate::interp::{self, Packet};
use crate::ir::Program;
use crate::measure::{self, Contender};
use crate::native::{Native, NativeError};
use crate::search::Search;
use crate::vector::{self, Kernel, Vector};

/// From so many frames on vector code pays: below, turning lanes into words costs more.
const VECTOR_FRAMES_MIN: usize = 8;

/// A back end in user space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The fastest that the program and the machine allow.
    #[default]
    Auto,
    /// All tests at once, and exact code for what that cannot decide.
    Vector,
    /// Code made by Cranelift.
    Native,
    /// The oracle.
    Interpreter,
}

/// The name that `--backend` takes.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Vector => "vector",
            Backend::Native => "native",
            Backend::Interpreter => "interpreter",
        })
    }
}

/// Why a back end that was asked for cannot do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No vector code.
    #[error(
        "no vector code for this filter: it takes comparisons with constants, at fixed offsets \
         in the first 256 bytes; use 'native' or 'auto'"
    )]
    Vector,
    /// No native code.
    #[error(transparent)]
    Native(#[from] NativeError),
}

/// The back ends of one program, ready to select.
#[derive(Debug)]
pub struct Selector {
    search: Option<Search>,
    vector: Option<Vector>,
    native: Option<Native>,
    refused: Option<NativeError>,
}

impl Selector {
    /// The back ends for `program`; takes about a millisecond. Which kernel of vector code is the
    /// fastest, and whether it is faster than native code, is found by measuring them.
    pub fn new(program: &Program, backend: Backend) -> Result<Selector, BackendError> {
        let mut selector = Selector { search: None, vector: None, native: None, refused: None };
        if backend != Backend::Interpreter {
            selector.search = Search::new(&program.needles);
        }
        if backend != Backend::Interpreter {
            match Native::compile(program) {
                Ok(native) => selector.native = Some(native),
                Err(error) if backend == Backend::Native => return Err(error.into()),
                Err(error) => selector.refused = Some(error),
            }
        }
        selector.vector = match backend {
            Backend::Native | Backend::Interpreter => None,
            // What is to be searched should be little: vector code leaves out other packets.
            Backend::Auto if selector.search.is_some() => {
                fastest(vector::plans(program), selector.native.as_ref(), Backend::Vector)
            }
            _ => fastest(vector::plans(program), selector.native.as_ref(), backend),
        };
        if backend == Backend::Vector && selector.vector.is_none() {
            return Err(BackendError::Vector);
        }
        Ok(selector)
    }

    /// The best that there is.
    pub fn automatic(program: &Program) -> Selector {
        Selector::new(program, Backend::Auto).unwrap_or_else(|_| Selector {
            search: None,
            vector: None,
            native: None,
            refused: None,
        })
    }

    /// The frames of `batch` that pass `program`, which must be the one it was made from.
    #[inline]
    pub fn select(&self, program: &Program, batch: &Batch<'_>) -> Mask {
        match &self.vector {
            Some(vector) if batch.len() >= VECTOR_FRAMES_MIN => {
                vector.select(batch, |frames| self.exact(program, batch, frames))
            }
            _ => self.exact(program, batch, batch.all()),
        }
    }

    /// The frames of `frames` that pass.
    #[inline]
    fn exact(&self, program: &Program, batch: &Batch<'_>, frames: Mask) -> Mask {
        let frames = match &self.search {
            Some(search) => search.select(batch, frames),
            None => frames,
        };
        match &self.native {
            _ if frames.is_empty() => frames,
            Some(native) if frames == batch.all() => native.select(batch),
            Some(native) => native.select_from(batch, frames),
            None => interpret(program, batch, frames),
        }
    }

    /// The back end that does most of the work.
    pub fn backend(&self) -> Backend {
        match (&self.vector, &self.native) {
            (Some(_), _) => Backend::Vector,
            (None, Some(_)) => Backend::Native,
            (None, None) => Backend::Interpreter,
        }
    }

    /// The vector code, when there is any.
    pub fn vector(&self) -> Option<&Vector> {
        self.vector.as_ref()
    }

    /// The native code, when there is any.
    pub fn native(&self) -> Option<&Native> {
        self.native.as_ref()
    }
}

/// What `explain` prints: `vector (avx2, 6 fields in 38 bytes), native (309 bytes)`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(vector) = &self.vector {
            let (lanes, window) = (vector.lanes(), vector.window_bytes());
            write!(f, "vector ({}, {lanes} fields in {window} bytes), ", vector.kernel())?;
        }
        if let Some(search) = &self.search {
            write!(f, "{search}, ")?;
        }
        match (&self.native, &self.refused) {
            (Some(native), _) => write!(f, "native ({} bytes of code)", native.code_bytes()),
            (None, Some(why)) => write!(f, "interpreter ({why})"),
            (None, None) => f.write_str("interpreter"),
        }
    }
}

/// The fastest of `vectors`, with [`Backend::Auto`] only if it is faster than `native`; of equals
/// the widest, which gets by with the fewest instructions, so that more frames are on their way
/// from memory at a time. Plain code is what the other kernels are tested against, and is chosen
/// only where there are none.
fn fastest(mut vectors: Vec<Vector>, native: Option<&Native>, backend: Backend) -> Option<Vector> {
    if vectors.len() > 1 {
        vectors.retain(|vector| vector.kernel() != Kernel::Scalar);
    }
    vectors.reverse();
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for vector in &vectors {
        contenders.push(Box::new(|batch| {
            vector
                .select(batch, |rest| native.map_or(rest, |native| native.select_from(batch, rest)))
        }));
    }
    if let (Some(native), Backend::Auto, false) = (native, backend, vectors.is_empty()) {
        contenders.push(Box::new(|batch| native.select(batch)));
    }
    let fastest = measure::fastest(&contenders)?;
    drop(contenders);
    (fastest < vectors.len()).then(|| vectors.swap_remove(fastest))
}

fn interpret(program: &Program, batch: &Batch<'_>, candidates: Mask) -> Mask {
    let mut mask = Mask::EMPTY;
    for index in candidates {
        let frame = batch.get(index);
        let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, metadata: None };
        mask.set_if(index, interp::run(program, &packet) != 0);
    }
    mask
}
