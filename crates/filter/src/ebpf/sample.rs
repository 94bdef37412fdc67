//! Sampling: one of N packets, or all packets of one of N flows.

use super::flow;
use super::registers::CONTEXT;
use std::num::NonZeroU32;
use tickwire_ebpf::{Assembler, Cond, Helper, Label, Reg};

/// Which of the accepted packets are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// All.
    #[default]
    All,
    /// Each with probability 1/N, on its own.
    Packets(NonZeroU32),
    /// All packets of each flow, in both directions, with probability 1/N: see [`flow::hash`].
    Flows(NonZeroU32),
}

impl Sampling {
    /// Whether a packet with this number, evenly spread over 32 bits, is taken.
    pub fn takes(self, number: u32) -> bool {
        self.last().is_none_or(|last| number <= last)
    }

    /// The highest number that is taken; none where all are.
    fn last(self) -> Option<u32> {
        match self {
            Sampling::All => None,
            Sampling::Packets(one_in) | Sampling::Flows(one_in) => {
                (one_in.get() > 1).then(|| u32::MAX / one_in.get())
            }
        }
    }

    /// Jumps to `skip` for a packet that is not taken, else goes on behind. Keeps [`CONTEXT`] and
    /// the stack; all other registers are lost.
    pub fn emit(self, asm: &mut Assembler, skip: Label) {
        let Some(last) = self.last() else { return };
        match self {
            Sampling::Flows(_) => flow::emit(asm, CONTEXT),
            _ => asm.call(Helper::PrandomU32),
        }
        asm.jump_if32(Cond::Gt, Reg::R0, last as i32, skip);
    }
}
