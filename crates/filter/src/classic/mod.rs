//! Classic BPF: instructions, listings, an interpreter, and code from the IR.
//!
//! * [`mod@insn`]: the instruction and its opcodes
//! * [`mod@listing`]: tcpdump's `-d`, `-dd`, `-ddd`, and back
//! * [`mod@interp`]: the machine
//! * [`mod@emit`]: code from the IR

pub mod emit;
pub mod insn;
pub mod interp;
pub mod listing;

pub(crate) use emit::part;
pub use emit::{INSTRUCTIONS_MAX, emit};
pub use insn::Insn;
pub use interp::run;
pub use listing::{Listing, disassemble, parse};
