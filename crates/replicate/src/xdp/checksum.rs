//! The Internet checksum, as instructions.
//!
//! Sums are of words as they lie in memory, in the machine's byte order, and are stored so: a
//! ones' complement sum of swapped words is the swapped sum (RFC 1071, 2(B)).

use super::headers::{IPV4, IPV6, NEXT, need};
use super::ingress::FRAME_BYTES_MAX;
use tickwire_decode::protocol::ip;
use tickwire_ebpf::{Alu, Assembler, Cond, Helper, Label, Reg, Reg::*, Size, xdp_md};

/// Bytes that the kernel sums in one call (`bpf_csum_diff` in net/core/filter.c), at most.
const CALL_BYTES_MAX: i32 = 512;
/// Pieces shorter than this are summed here: a call would take longer.
const CALL_BYTES_MIN: i32 = 32;
/// A power of two; no datagram is as long, which the verifier sees by the bits of its length.
const LENGTHS: i32 = 4096;
const _: () = assert!(FRAME_BYTES_MAX < LENGTHS);

/// Adds to R1 the sum of the bytes behind `offset` from `base`, a packet pointer in R7 or R8: as
/// many as the U32 at `len` on the stack says, at most [`FRAME_BYTES_MAX`]. All of them lie before
/// the end of the packet. Keeps R6 to R8.
///
/// Each bit of the length is a piece, the longest first. There is no loop, and nothing of a piece
/// is left behind it but the sum: so the verifier, which takes milliseconds for all rounds of a
/// loop, goes through each piece once.
pub(super) fn add(asm: &mut Assembler, base: Reg, offset: i32, len: i16) {
    let end = asm.label();
    asm.mov(R9, R1);
    for piece in (0..LENGTHS.ilog2()).rev().map(|bit| 1 << bit) {
        let none = asm.label();
        asm.load(Size::U32, R0, R10, len);
        asm.alu(Alu::And, R0, piece);
        asm.jump_if(Cond::Eq, R0, 0, none);
        for part in (0..piece).step_by(CALL_BYTES_MAX as usize) {
            asm.load(Size::U32, R0, R10, len);
            asm.alu(Alu::And, R0, LENGTHS - 2 * piece);
            asm.mov(R2, base);
            asm.alu(Alu::Add, R2, offset + part);
            asm.alu(Alu::Add, R2, R0);
            add_bytes(asm, piece.min(CALL_BYTES_MAX), end);
        }
        asm.bind(none);
    }
    asm.bind(end);
    asm.mov(R1, R9);
}

/// Adds `bytes` bytes at R2 to R9; jumps to `end` where they are not there, which only the verifier
/// thinks possible. Keeps R6 to R8.
fn add_bytes(asm: &mut Assembler, bytes: i32, end: Label) {
    asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    need(asm, R2, bytes as i16, end);
    if bytes >= CALL_BYTES_MIN {
        asm.mov(R3, R2);
        asm.mov(R4, bytes);
        for none in [R1, R2, R5] {
            asm.mov(none, 0);
        }
        asm.call(Helper::CsumDiff);
        asm.alu(Alu::Add, R9, R0);
        return;
    }
    let size = match bytes {
        1 => Size::U8,
        2 => Size::U16,
        _ => Size::U32,
    };
    for at in (0..bytes as i16).step_by(4) {
        asm.load(size, R4, R2, at);
        if bytes == 1 && cfg!(target_endian = "big") {
            asm.alu(Alu::Lsh, R4, 8);
        }
        asm.alu(Alu::Add, R9, R4);
    }
}

/// Sets R1 to the sum of the pseudo header (RFC 768; RFC 8200, 8.1) of the datagram that
/// [`headers`](super::headers) has found, not folded. Uses R4.
pub(super) fn pseudo_header(asm: &mut Assembler, ipv4: bool) {
    let addresses = if ipv4 { NEXT + 12..NEXT + IPV4 } else { NEXT + 8..NEXT + IPV6 };
    asm.load(Size::U16, R1, R8, NEXT + 4);
    asm.alu(Alu::Add, R1, protocol());
    for at in addresses.step_by(4) {
        asm.load(Size::U32, R4, R7, at);
        asm.alu(Alu::Add, R1, R4);
    }
}

/// UDP as a word of the pseudo header.
pub(super) fn protocol() -> i32 {
    i32::from(u16::from(ip::UDP).to_be())
}

/// Folds the sum in `reg` to 16 bits. Uses R5.
pub(super) fn fold(asm: &mut Assembler, reg: Reg) {
    asm.mov(R5, reg);
    asm.alu(Alu::Rsh, R5, 32);
    asm.alu32(Alu::Mov, reg, reg);
    asm.alu(Alu::Add, reg, R5);
    // 34 bits at most: three times.
    for _ in 0..3 {
        asm.mov(R5, reg);
        asm.alu(Alu::Rsh, R5, 16);
        asm.alu(Alu::And, reg, 0xffff);
        asm.alu(Alu::Add, reg, R5);
    }
}

/// Folds the sum in `reg` to 16 bits and inverts it. Uses R5.
pub(super) fn complement(asm: &mut Assembler, reg: Reg) {
    fold(asm, reg);
    asm.alu(Alu::Xor, reg, 0xffff);
}

/// Stores the UDP checksum of the sum in R1 at `offset` from `base`. Uses R5.
pub(super) fn store(asm: &mut Assembler, base: Reg, offset: i16) {
    complement(asm, R1);
    let sound = asm.label();
    asm.jump_if(Cond::Ne, R1, 0, sound);
    // 0 would mean that there is none (RFC 768).
    asm.mov(R1, 0xffff);
    asm.bind(sound);
    asm.store(Size::U16, base, offset, R1);
}
