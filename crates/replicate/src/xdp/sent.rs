//! Which copies left: what a device did not take is known only behind the programs.
//!
//! The kernel runs the program over a queue of frames, hands those that pass to the device at once,
//! and says how many of them it took, from the first on (`bq_xmit_all` in kernel/bpf/devmap.c). The
//! others it frees, without another word than the tracepoint `xdp_devmap_xmit`. So each program
//! that lets a copy pass puts it on a list of its CPU, and a program at the tracepoint settles the
//! list into the accounts and empties it. All of it happens in one go on one CPU, so that what
//! others send, in other queues, finds an empty list.

use super::counters::{Account, Counters, slot_of};
use std::ffi::CStr;
use std::os::fd::RawFd;
use tickwire_ebpf::{Alu, AsmError, Assembler, Cond, Helper, Instruction, Label, Reg::*, Size};
use tickwire_frame::Reason;

/// Copies that a list holds: twice the kernel's `DEV_MAP_BULK_SIZE`. The verifier goes through the
/// loop so many times.
const COPIES_MAX: i32 = 32;
/// Bytes of a list: how many there are, then for each its account (u32) and payload bytes (u32).
pub const LIST_BYTES: usize = 8 + 8 * COPIES_MAX as usize;
/// The tracepoint of [`settle`].
pub const TRACEPOINT: &CStr = c"xdp_devmap_xmit";

/// Arguments of the tracepoint: `int sent`, `int err`.
const SENT: i16 = 16;
const ERR: i16 = 32;

// Errors of `ndo_xdp_xmit` that drivers give while a link is down (errno.h).
const ENXIO: i32 = 6;
const ENETDOWN: i32 = 100;

// Places on the stack; −4 belongs to the counters.
const TAKEN: i16 = -16;
const ERROR: i16 = -24;
const COPIES: i16 = -32;
/// The upper half of a word, of which the verifier knows nothing: so it goes through the loop once
/// for all reasons.
const REASON: i16 = -36;

/// Puts the copy whose UDP length is in R7 on the list, to be counted in `account`. Jumps to `full`
/// when the list is, which it never is.
pub(super) fn note(asm: &mut Assembler, list: RawFd, account: &Account, full: Label) {
    look_up(asm, list, full);
    asm.load(Size::U64, R1, R0, 0);
    asm.jump_if(Cond::Ge, R1, COPIES_MAX, full);
    asm.mov(R2, R1);
    asm.alu(Alu::Lsh, R2, 3);
    asm.alu(Alu::Add, R2, R0);
    asm.store(Size::U32, R2, 8, account.number);
    asm.alu(Alu::Sub, R7, 8);
    asm.store(Size::U32, R2, 12, R7);
    asm.alu(Alu::Add, R1, 1);
    asm.store(Size::U64, R0, 0, R1);
}

/// Sets R0 to the address of this CPU's list.
fn look_up(asm: &mut Assembler, list: RawFd, missing: Label) {
    asm.store(Size::U32, R10, -4, 0);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.load_map_fd(R1, list);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, missing);
}

/// The program at the [tracepoint](TRACEPOINT) for all subscribers whose accounts are in `counters`
/// and whose programs write to `list`, a `BPF_MAP_TYPE_PERCPU_ARRAY` of one value of
/// [`LIST_BYTES`].
///
/// # Errors
/// None that this code can have.
pub fn settle(list: RawFd, counters: RawFd) -> Result<Vec<Instruction>, AsmError> {
    let mut asm = Assembler::new();
    let [taken, refused, refused_next, done] = [(); 4].map(|()| asm.label());
    asm.load(Size::U64, R2, R1, SENT);
    asm.store(Size::U64, R10, TAKEN, R2);
    asm.load(Size::U64, R2, R1, ERR);
    asm.store(Size::U64, R10, ERROR, R2);
    look_up(&mut asm, list, done);
    asm.mov(R6, R0);
    asm.load(Size::U64, R1, R6, 0);
    asm.store(Size::U64, R10, COPIES, R1);
    asm.store(Size::U64, R6, 0, 0);
    asm.mov(R9, 0);
    // Two loops, because for the verifier one that asks each time whether the device took the copy
    // has as many ways as there are numbers of copies that it may have taken.
    asm.bind(taken);
    let account = next_copy(&mut asm, counters, done);
    asm.load(Size::U64, R1, R10, TAKEN);
    asm.jump_if(Cond::Ge, R9, R1, refused);
    asm.load(Size::U32, R7, R6, 12);
    account.copied(&mut asm, done);
    asm.alu(Alu::Add, R6, 8);
    asm.alu(Alu::Add, R9, 1);
    asm.jump(taken);

    asm.bind(refused);
    reason(&mut asm);
    asm.bind(refused_next);
    let account = next_copy(&mut asm, counters, done);
    account.discarded_in(&mut asm, done);
    asm.alu(Alu::Add, R6, 8);
    asm.alu(Alu::Add, R9, 1);
    asm.jump(refused_next);
    asm.bind(done);
    asm.mov(R0, 0);
    asm.exit();
    asm.finish()
}

/// The account of the next copy, which is at R6 and has number R9, in R8; jumps to `done` behind
/// the last one.
fn next_copy(asm: &mut Assembler, counters: RawFd, done: Label) -> Account {
    asm.jump_if(Cond::Ge, R9, COPIES_MAX, done);
    asm.load(Size::U64, R1, R10, COPIES);
    asm.jump_if(Cond::Ge, R9, R1, done);
    asm.load(Size::U32, R8, R6, 8);
    Account { map: counters, number: R8.into() }
}

/// Sets R7 to the slot of the reason why the device has not taken the others.
fn reason(asm: &mut Assembler) {
    let known = asm.label();
    asm.load(Size::U64, R1, R10, ERROR);
    for (error, reason) in
        [(0, Reason::TxRingFull), (-ENETDOWN, Reason::LinkDown), (-ENXIO, Reason::LinkDown)]
    {
        asm.mov(R7, slot_of(reason) as i32);
        asm.jump_if32(Cond::Eq, R1, error, known);
    }
    asm.mov(R7, slot_of(Reason::TxRefused) as i32);
    asm.bind(known);
    asm.store(Size::U32, R10, REASON, R7);
    asm.load(Size::U32, R7, R10, REASON);
}

/// Where the program of a subscriber counts, and where it lists its copies.
#[derive(Clone, Copy, Debug)]
pub struct Books {
    /// Its account.
    pub counters: Counters,
    /// The list of [`settle`].
    pub list: RawFd,
}
