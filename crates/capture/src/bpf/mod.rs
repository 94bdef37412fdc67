//! eBPF without a compiler: we assemble programs ourselves and load them with bpf(2).
//!
//! * [`asm`]: the assembler. Instructions with labels in, machine code out; pure.
//! * [`Barrier`]: waiting for programs that run.
//! * [`map`]: arrays, hashes, XSK and device maps, shared between a program and user space.
//! * [`Words`]: words that a program and we read and write in place, no system call between.
//! * [`RingBuf`]: records that programs write, in order, and we read.
//! * [`pins`]: where such words get a name.
//! * [`program`]: loading (with the verifier's words when it refuses), test runs, live frames.
//! * [`tables`]: the long lists of a filter, in maps.
//! * [`link`]: attaching a program to an interface or tracepoint for as long as a descriptor is
//!   open.
//!
//! Every map, program and link is an owned descriptor: the kernel frees it when we close it or
//! die, so nothing of ours survives us. One thing can be pinned, and only when somebody asks for
//! it: [`Words`], because what a program has answered already must outlive SIGKILL, or the next
//! process answers it again. A program or a link is never pinned.

mod barrier;
pub mod link;
pub mod map;
pub mod pins;
pub mod program;
mod ring;
mod sys;
pub mod tables;
mod words;

/// The assembler.
pub use tickwire_ebpf as asm;

pub use asm::{Assembler, Instruction};
pub use barrier::Barrier;
pub use link::{AttachMode, TracepointLink, XdpLink};
pub use map::{Map, MapKind, possible_cpus};
pub use program::{LoadError, Program, ProgramInfo, TestRun};
pub use ring::RingBuf;
pub use tables::Tables;
pub use words::{WORDS_MAX, Words};
