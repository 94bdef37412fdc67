//! eBPF without a compiler: an assembler and a disassembler.
//!
//! * [`Assembler`]: instructions with labels in, machine code out.
//! * [`listing`]: machine code in, text out.
//!
//! Pure: nothing in here talks to the kernel. Loading programs and creating maps is the business of
//! whoever owns the descriptors.

#![forbid(unsafe_code)]

mod asm;
mod isa;
mod listing;

pub use asm::{AsmError, Assembler, Label};
pub use isa::{Alu, Cond, Helper, Instruction, Operand, Reg, Size, XdpAction, xdp_md};
pub use listing::{Listing, listing};
