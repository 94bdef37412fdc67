//! Which copy is whose: the program that all entries of one interface share.
//!
//! The kernel gathers the frames for an interface in a queue and runs one program over all of it,
//! that of the entry which the first of them came by (`bq_enqueue` in kernel/bpf/devmap.c). So
//! entries on one interface cannot have programs of their own. Instead the ingress program puts
//! a stamp before each frame, which its clones carry too; they come in a row, on the same CPU, and
//! the first, second, third … with one stamp is the copy of the subscriber in the first, second,
//! third … place. No entry belongs to anybody: only how many there are matters.

use super::stamp;
use crate::SUBSCRIBERS_MAX;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, AsmError, Assembler, Cond, Helper, Instruction, Reg::*};
use tickwire_ebpf::{Size, XdpAction};

/// Bytes of a value of [`Dispatch::states`]: the last stamp, the place that it has come to.
pub const STATE_BYTES: usize = 16;

/// What the program of one interface shares with user space.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch {
    /// A `BPF_MAP_TYPE_PERCPU_ARRAY` of values of [`STATE_BYTES`].
    pub states: RawFd,
    /// Which of them: each interface has one of its own.
    pub state: u32,
    /// A `BPF_MAP_TYPE_PROG_ARRAY` of egress programs, at [`place`].
    pub programs: RawFd,
}

/// Where the egress program of a subscriber is in [`Dispatch::programs`]. `feed` is the position of
/// the feed in the [ingress](super::ingress()) program; `place` is below the
/// number of entries that the device map of `feed` has for this interface. A place that was left
/// is empty, which drops its copy, until another subscriber takes it; so a change touches nobody
/// else. Copies leave at once only when one of the last 16 of a poll leaves (`bq_xmit_all`), so the
/// last place should be somebody's who takes all. Programs come before the entry that makes use of
/// them, and go after it.
pub const fn place(feed: u32, place: u32) -> u32 {
    feed * SUBSCRIBERS_MAX as u32 + place
}

/// The program of all entries for one interface in the device maps of all feeds
/// (`BPF_XDP_DEVMAP`).
///
/// # Errors
/// None that this code can have.
pub fn dispatch(dispatch: &Dispatch) -> Result<Vec<Instruction>, AsmError> {
    let mut asm = Assembler::new();
    let [drop, next, known] = [(); 3].map(|()| asm.label());
    asm.mov(R6, R1);
    stamp::read(&mut asm, R7, drop);

    asm.store(Size::U32, R10, -4, dispatch.state as i32);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.load_map_fd(R1, dispatch.states);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, drop);
    asm.load(Size::U64, R1, R0, 0);
    asm.load(Size::U64, R8, R0, 8);
    asm.alu(Alu::Add, R8, 1);
    asm.jump_if(Cond::Eq, R1, R7, known);
    asm.mov(R8, 0);
    asm.bind(known);
    asm.store(Size::U64, R0, 0, R7);
    asm.store(Size::U64, R0, 8, R8);

    asm.jump_if(Cond::Lt, R8, SUBSCRIBERS_MAX as i32, next);
    asm.jump(drop);
    asm.bind(next);
    stamp::feed_of(&mut asm, R7);
    asm.alu(Alu::Mul, R7, SUBSCRIBERS_MAX as i32);
    asm.alu(Alu::Add, R7, R8);
    asm.mov(R1, R6);
    asm.load_map_fd(R2, dispatch.programs);
    asm.mov(R3, R7);
    // Comes back only when the place is empty.
    asm.call(Helper::TailCall);
    asm.bind(drop);
    asm.exit_with(XdpAction::Drop);
    asm.finish()
}
