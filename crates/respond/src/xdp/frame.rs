//! From the frame to the tick: which feed, whether it is whole, which instrument.
//!
//! What is not exactly a tick of a feed in a frame of the plainest shape goes on to user space,
//! which knows all shapes and names what is wrong.

use super::code::{Code, Slot};
use super::layout::{FEED_WORDS, INSTRUMENT_WORDS, SLOT_WORDS, feed};
use super::plan::KernelFeed;
use super::state::SYMBOL_FACTOR;
use crate::memory;
use std::net::Ipv4Addr;
use tickwire_ebpf::{Alu, Assembler, Cond, Label, Reg, Reg::*, Size, XdpAction, xdp_md};
use tickwire_market::nanonet::little::MarketData;

/// Where the tick begins in the frame: behind Ethernet, IPv4 without options, UDP.
pub(super) const TICK_AT: i16 = 42;
const TICK_BYTES: i32 = MarketData::LEN as i32;

/// Goes to the feed of the frame with the packet in R9, or to `next`. Each feed is told where its
/// words are and how its numbers are read.
pub(super) fn find_feed(code: &mut Code<'_>, feeds: &[(usize, &KernelFeed)], factor: i64) {
    let (next, tick) = (code.next, code.asm.label());
    let feeds_count = code.layout.feeds_count;
    let asm = &mut *code.asm;
    asm.load(Size::U32, R9, R6, xdp_md::DATA);
    asm.load(Size::U32, R1, R6, xdp_md::DATA_END);
    asm.mov(R2, R9);
    asm.alu(Alu::Add, R2, i32::from(TICK_AT) + TICK_BYTES);
    asm.jump_if(Cond::Gt, R2, R1, next);
    let be16 = |number: i32| i32::from((number as u16).to_be());
    for (size, at, value) in [
        (Size::U16, 12, be16(0x0800)),
        (Size::U8, 14, 0x45),
        (Size::U16, 16, be16(28 + TICK_BYTES)),
        (Size::U8, 23, 17),
        (Size::U16, 38, be16(8 + TICK_BYTES)),
    ] {
        asm.load(size, R1, R9, at);
        asm.jump_if(Cond::Ne, R1, value, next);
    }
    asm.load(Size::U16, R1, R9, 20);
    asm.jump_if(Cond::Set, R1, be16(0x3fff), next);
    asm.load(Size::U32, R2, R9, 30);
    asm.load(Size::U16, R3, R9, 36);
    for (place, of) in feeds {
        let other = code.asm.label();
        let asm = &mut *code.asm;
        asm.jump_if(Cond::Ne, R3, i32::from(of.listen.port().to_be()), other);
        if !of.listen.ip().is_unspecified() {
            asm.jump_if32(Cond::Ne, R2, address(*of.listen.ip()), other);
        }
        if let Some(source) = of.source {
            // Whoever else sends here is named in user space.
            asm.load(Size::U32, R1, R9, 26);
            asm.jump_if32(Cond::Ne, R1, address(source), next);
        }
        code.state_word(R8, code.layout.feed(*place));
        read(code, of.big, factor);
        code.asm.jump(tick);
        code.asm.bind(other);
    }
    code.asm.jump(next);
    code.asm.bind(tick);
    forget_which(code, feeds_count);
}

/// R8 is the same address as before, by a number that the verifier does not know: it would look at
/// all that follows once for each feed. Uses R1 and R2.
fn forget_which(code: &mut Code<'_>, feeds_count: usize) {
    let known = code.asm.label();
    code.word(R1, R8, feed::PLACE);
    code.asm.jump_if(Cond::Lt, R1, feeds_count as i32, known);
    // It always is.
    code.asm.mov(R1, 0);
    code.asm.bind(known);
    code.asm.alu(Alu::Mul, R1, 8 * FEED_WORDS as i32);
    code.state_word(R8, code.layout.feed(0));
    code.asm.alu(Alu::Add, R8, R1);
}

/// The address as it lies in a packet, to be compared in 32 bits.
fn address(address: Ipv4Addr) -> i32 {
    i32::from_ne_bytes(address.octets())
}

/// Puts what the tick says on the stack. Uses R1.
fn read(code: &mut Code<'_>, big: bool, factor: i64) {
    // Without a swap a number is as its sender's machine had it: little-endian.
    let swap = big == cfg!(target_endian = "little");
    for (slot, size, at, bits) in [
        (Slot::Price, Size::U32, 8, 32),
        (Slot::Size, Size::U32, 12, 32),
        (Slot::Stamp, Size::U64, 16, 64),
    ] {
        code.asm.load(size, R1, R9, TICK_AT + at);
        if swap {
            code.asm.swap(R1, bits);
        }
        if matches!(slot, Slot::Price) && factor != 1 {
            code.constant(R2, factor);
            code.asm.alu(Alu::Mul, R1, R2);
        }
        code.put(slot, R1);
    }
}

/// Goes to `next` when the UDP checksum is wrong. None is right, and so is the sum of the pseudo
/// header alone: the sender's system left the rest to hardware, as between machines that share a
/// host. Uses R0 to R5.
pub(super) fn check_sum(code: &mut Code<'_>) {
    let (next, asm) = (code.next, &mut *code.asm);
    let right = asm.label();
    asm.load(Size::U16, R0, R9, 40);
    asm.jump_if(Cond::Eq, R0, 0, right);
    asm.mov(R1, i32::from(17_u16.to_be()));
    asm.load(Size::U16, R2, R9, 38);
    asm.alu(Alu::Add, R1, R2);
    for at in [26, 30] {
        asm.load(Size::U32, R2, R9, at);
        asm.alu(Alu::Add, R1, R2);
    }
    asm.mov(R3, R1);
    fold(asm, R3, R5);
    asm.jump_if(Cond::Eq, R3, R0, right);
    for at in (34..TICK_AT + TICK_BYTES as i16).step_by(4) {
        asm.load(Size::U32, R2, R9, at);
        asm.alu(Alu::Add, R1, R2);
    }
    fold(asm, R1, R5);
    asm.jump_if(Cond::Ne, R1, 0xffff, next);
    asm.bind(right);
}

/// Folds the sum in `reg` to 16 bits.
pub(super) fn fold(asm: &mut Assembler, reg: Reg, scratch: Reg) {
    asm.mov(scratch, reg);
    asm.alu(Alu::Rsh, scratch, 32);
    asm.alu32(Alu::Mov, reg, reg);
    asm.alu(Alu::Add, reg, scratch);
    // 34 bits at most: three times.
    for _ in 0..3 {
        asm.mov(scratch, reg);
        asm.alu(Alu::Rsh, scratch, 16);
        asm.alu(Alu::And, reg, 0xffff);
        asm.alu(Alu::Add, reg, scratch);
    }
}

/// Finds the instrument of the tick: its words in R7, its number and class on the stack. To `next`
/// when it is not decided on here; what nobody trades is counted and dropped where nobody else
/// looks at the feed. Uses R0 to R5.
pub(super) fn find_instrument(code: &mut Code<'_>, looked_at: usize, memory_at: usize) {
    let [found, unknown] = [(); 2].map(|()| code.asm.label());
    let (layout, rules_layout, next) = (code.layout, code.rules_layout, code.next);
    code.asm.load(Size::U64, R1, R9, TICK_AT);
    code.put(Slot::Symbol, R1);
    code.constant(R2, SYMBOL_FACTOR as i64);
    code.asm.mov(R3, R1);
    code.asm.alu(Alu::Mul, R3, R2);
    code.asm.alu(Alu::Rsh, R3, 64 - layout.slots.ilog2() as i32);
    for _ in 0..looked_at {
        let other = code.asm.label();
        code.asm.alu(Alu::And, R3, layout.slots as i32 - 1);
        code.state_word(R4, layout.symbols);
        code.asm.mov(R5, R3);
        code.asm.alu(Alu::Mul, R5, 8 * SLOT_WORDS as i32);
        code.asm.alu(Alu::Add, R4, R5);
        code.word(R2, R4, 1);
        code.asm.jump_if(Cond::Eq, R2, 0, unknown);
        code.word(R5, R4, 0);
        code.asm.jump_if(Cond::Ne, R5, R1, other);
        code.asm.alu(Alu::Sub, R2, 1);
        code.asm.jump_if(Cond::Lt, R2, layout.instruments_count as i32, found);
        code.asm.jump(unknown);
        code.asm.bind(other);
        code.asm.alu(Alu::Add, R3, 1);
    }
    code.asm.bind(unknown);
    code.word(R1, R8, feed::IS_WHOLE);
    code.asm.jump_if(Cond::Eq, R1, 0, next);
    super::checks::note_other(code);
    code.asm.exit_with(XdpAction::Drop);

    code.asm.bind(found);
    let times = |code: &mut Code<'_>, reg, words: usize| {
        code.asm.mov(R5, R2);
        code.asm.alu(Alu::Mul, R5, 8 * words as i32);
        code.asm.alu(Alu::Add, reg, R5);
    };
    code.rules_word(R1, rules_layout.classes);
    times(code, R1, 1);
    code.word(R1, R1, 0);
    code.asm.jump_if32(Cond::Eq, R1, -1, next);
    code.put(Slot::Class, R1);
    code.put(Slot::Instrument, R2);
    code.state_word(R7, layout.instruments);
    times(code, R7, INSTRUMENT_WORDS);
    code.state_word(R1, memory_at);
    times(code, R1, memory::INSTRUMENT_WORDS);
    code.put(Slot::Memory, R1);
    keep_headers(code);
}

/// What is needed of the headers when the packet is an order already.
fn keep_headers(code: &mut Code<'_>) {
    code.asm.load(Size::U32, R1, R9, 26);
    code.asm.load(Size::U16, R2, R9, 34);
    code.asm.alu(Alu::Lsh, R2, if cfg!(target_endian = "little") { 32 } else { 16 });
    if cfg!(target_endian = "big") {
        code.asm.alu(Alu::Lsh, R1, 32);
    }
    code.asm.alu(Alu::Or, R1, R2);
    code.put(Slot::Source, R1);
    code.asm.load(Size::U16, R1, R9, 18);
    code.put(Slot::Id, R1);
}

/// One number of all that the tick says: the same that user space makes of it (see `triggers`).
/// Uses R1 to R4.
pub(super) fn content(code: &mut Code<'_>) {
    code.constant(R4, SYMBOL_FACTOR as i64);
    code.asm.mov(R1, 0);
    for at in [0, 8, 16] {
        code.asm.load(Size::U64, R2, R9, TICK_AT + at);
        if cfg!(target_endian = "big") {
            code.asm.swap(R2, 64);
        }
        code.asm.alu(Alu::Xor, R1, R2);
        code.asm.alu(Alu::Mul, R1, R4);
        code.asm.mov(R2, R1);
        code.asm.alu(Alu::Rsh, R2, 29);
        code.asm.alu(Alu::Xor, R1, R2);
    }
    let some: Label = code.asm.label();
    code.asm.jump_if(Cond::Ne, R1, 0, some);
    code.asm.mov(R1, 1);
    code.asm.bind(some);
    code.put(Slot::Content, R1);
}
