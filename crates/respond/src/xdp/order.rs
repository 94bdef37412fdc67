//! The order in the place of the tick.

use super::code::{Code, Slot};
use super::frame::fold;
use super::layout::{HEADER_BYTES, target};
use super::plan::KernelTarget;
use crate::format::{CLIENT_ORDER_ID_BYTES, Fill, Format, Hole, Layout, Source};
use crate::memory::NEXT_NUMBER;
use crate::order::{Scale, Side};
use tickwire_ebpf::{Alu, Cond, Helper, Reg::*, Size, xdp_md};
use tickwire_frame::Reason;

/// Emits `each` for every format that targets have, to be run for orders of that format. The words
/// of the target are in [`Slot::Route`].
pub(super) fn for_each_format(
    code: &mut Code<'_>,
    targets: &[KernelTarget],
    mut each: impl FnMut(&mut Code<'_>, &Format),
) {
    let done = code.asm.label();
    let mut formats: Vec<&Format> = Vec::new();
    for one in targets {
        if !formats.contains(&&one.format) {
            formats.push(&one.format);
        }
    }
    code.get(R1, Slot::Route);
    code.word(R1, R1, target::FORMAT);
    for (number, format) in formats.iter().enumerate() {
        let other = code.asm.label();
        if number + 1 < formats.len() {
            // R1 is lost in what follows, where there is no way back to here.
            code.asm.jump_if(Cond::Ne, R1, number as i32, other);
        }
        each(code, format);
        code.asm.jump(done);
        code.asm.bind(other);
    }
    code.asm.bind(done);
}

/// Refuses what the holes of a format do not hold, and leaves the number of the order in
/// [`Slot::Number`].
pub(super) fn require_representable(code: &mut Code<'_>, format: &Format, scale: Scale) {
    code.state_word(R1, code.layout.memory + NEXT_NUMBER);
    code.word(R1, R1, 0);
    code.put(Slot::Number, R1);
    for hole in format.parts().1 {
        match hole.fill {
            Fill::Symbol if hole.width < 8 => {
                code.get(R1, Slot::Symbol);
                code.constant(R2, rest_is_spaces(hole.width).0 as i64);
                code.asm.alu(Alu::And, R1, R2);
                code.constant(R2, rest_is_spaces(hole.width).1 as i64);
                code.require(Cond::Eq, R1, R2, Reason::NotRepresentable);
            }
            Fill::Number { of, max, .. } => {
                match of {
                    Source::Price { decimals } => require_exact(code, scale, decimals),
                    Source::Quantity => code.get(R1, Slot::Quantity),
                    Source::Order => code.get(R1, Slot::Number),
                    Source::Time => code.get(R1, Slot::Now),
                }
                if max < u64::MAX {
                    code.constant(R2, max as i64);
                    code.require(Cond::Le, R1, R2, Reason::NotRepresentable);
                }
            }
            _ => {}
        }
    }
}

/// Of a symbol, the bytes that a hole does not hold, and what they have to be.
fn rest_is_spaces(width: usize) -> (u64, u64) {
    let (mut mask, mut spaces) = ([0; 8], [0; 8]);
    mask[width..].fill(0xff);
    spaces[width..].fill(b' ');
    (u64::from_ne_bytes(mask), u64::from_ne_bytes(spaces))
}

/// R1 is the price with so many decimals, refused when nothing but rounding gives it. It is above
/// 0. Uses R2 and R3.
fn require_exact(code: &mut Code<'_>, scale: Scale, decimals: u32) {
    if scale.0 < decimals {
        let units = 10_u64.pow(decimals - scale.0);
        code.get(R1, Slot::OrderPrice);
        code.constant(R2, (u64::MAX / units) as i64);
        code.require(Cond::Le, R1, R2, Reason::NotRepresentable);
    }
    price(code, scale, decimals);
    if scale.0 > decimals {
        code.asm.mov(R3, R1);
        code.asm.alu(Alu::Mul, R3, R2);
        code.get(R2, Slot::OrderPrice);
        code.require(Cond::Eq, R2, R3, Reason::NotRepresentable);
    }
}

/// R1 is the price with so many decimals, and R2 what it was divided or multiplied by.
fn price(code: &mut Code<'_>, scale: Scale, decimals: u32) {
    code.get(R1, Slot::OrderPrice);
    if scale.0 != decimals {
        let alu = if scale.0 > decimals { Alu::Div } else { Alu::Mul };
        code.constant(R2, 10_i64.pow(scale.0.abs_diff(decimals)));
        code.asm.alu(alu, R1, R2);
    }
}

/// Makes the frame the order's: its length, headers, payload, checksums. The packet is in R9 again
/// then. Without room in the frame's buffer the order is refused.
pub(super) fn write(code: &mut Code<'_>, targets: &[KernelTarget], scale: Scale) {
    for_each_format(code, targets, |code, format| {
        resize(code, HEADER_BYTES + format.order_bytes());
        headers(code);
        constants(code, format);
        for hole in format.parts().1 {
            fill(code, hole, scale);
        }
        checksum(code, format.order_bytes());
    });
}

/// Moves the head of the frame, where drivers leave room of some 200 bytes (`XDP_PACKET_HEADROOM`).
/// At its tail there may be none: on a veth pair it is what is left of the last cache line.
fn resize(code: &mut Code<'_>, bytes: usize) {
    let fits = code.asm.label();
    code.asm.load(Size::U32, R1, R6, xdp_md::DATA);
    code.asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    code.asm.alu(Alu::Sub, R3, R1);
    code.asm.mov(R2, R3);
    code.asm.alu(Alu::Sub, R2, bytes as i32);
    code.asm.mov(R1, R6);
    code.asm.call(Helper::XdpAdjustHead);
    code.require(Cond::Eq, R0, 0, Reason::TooLong);
    code.asm.load(Size::U32, R9, R6, xdp_md::DATA);
    code.asm.load(Size::U32, R1, R6, xdp_md::DATA_END);
    code.asm.mov(R2, R9);
    code.asm.alu(Alu::Add, R2, bytes as i32);
    code.asm.jump_if(Cond::Le, R2, R1, fits);
    code.refuse(Reason::TooLong);
    code.asm.bind(fits);
}

/// Ethernet, IPv4 with its checksum, UDP without. The identification is that of the tick, as in
/// user space. Uses R1, R2, R5.
fn headers(code: &mut Code<'_>) {
    code.get(R1, Slot::Route);
    for word in 0..HEADER_BYTES / 8 {
        code.word(R2, R1, target::HEADER + word);
        code.asm.store(Size::U64, R9, 8 * word as i16, R2);
    }
    code.get(R2, Slot::Id);
    code.asm.store(Size::U16, R9, 18, R2);
    code.word(R1, R1, target::IP_SUM);
    code.asm.alu(Alu::Add, R1, R2);
    fold(code.asm, R1, R5);
    code.asm.alu(Alu::Xor, R1, 0xffff);
    code.asm.store(Size::U16, R9, 24, R1);
}

/// What does not change, between the holes.
fn constants(code: &mut Code<'_>, format: &Format) {
    let (bytes, holes) = format.parts();
    let is_hole =
        |at: usize| holes.iter().any(|hole| (hole.at..hole.at + hole.width).contains(&at));
    let mut at = 0;
    while at < bytes.len() {
        if is_hole(at) {
            at += 1;
            continue;
        }
        let run = (at..bytes.len()).take_while(|&at| !is_hole(at)).count();
        let (size, width) = [(Size::U64, 8), (Size::U32, 4), (Size::U16, 2), (Size::U8, 1)]
            .into_iter()
            .find(|&(_, width)| width <= run)
            .unwrap_or((Size::U8, 1));
        let mut word = [0; 8];
        let place = if cfg!(target_endian = "little") { 0 } else { 8 - width };
        word[place..place + width].copy_from_slice(&bytes[at..at + width]);
        code.constant(R1, i64::from_ne_bytes(word));
        code.asm.store(size, R9, payload(at), R1);
        at += width;
    }
}

/// Where a byte of the order is in the frame.
fn payload(at: usize) -> i16 {
    (HEADER_BYTES + at) as i16
}

fn fill(code: &mut Code<'_>, hole: &Hole, scale: Scale) {
    match hole.fill {
        Fill::Symbol => symbol(code, hole),
        Fill::Side(bytes) => side(code, hole, bytes),
        Fill::ClientOrderId => client_order_id(code, hole.at),
        Fill::Number { of, layout, .. } => {
            match of {
                Source::Price { decimals } => price(code, scale, decimals),
                Source::Quantity => code.get(R1, Slot::Quantity),
                Source::Order => code.get(R1, Slot::Number),
                Source::Time => code.get(R1, Slot::Now),
            }
            number(code, hole, matches!(layout, Layout::Big));
        }
    }
}

fn symbol(code: &mut Code<'_>, hole: &Hole) {
    for at in 0..hole.width {
        if at == 0 && hole.width >= 8 {
            code.get(R1, Slot::Symbol);
            code.asm.store(Size::U64, R9, payload(hole.at), R1);
        } else if hole.width < 8 {
            code.asm.load(Size::U8, R1, R10, Slot::Symbol.offset() + at as i16);
            code.asm.store(Size::U8, R9, payload(hole.at + at), R1);
        } else if at >= 8 {
            code.asm.store(Size::U8, R9, payload(hole.at + at), i32::from(b' '));
        }
    }
}

fn side(code: &mut Code<'_>, hole: &Hole, [buy, sell, short]: [u8; 3]) {
    let [others, done] = [(); 2].map(|()| code.asm.label());
    code.get(R1, Slot::Side);
    code.asm.mov(R2, i32::from(buy));
    code.asm.jump_if(Cond::Eq, R1, Side::Buy as i32, done);
    code.asm.mov(R2, i32::from(sell));
    code.asm.jump_if(Cond::Ne, R1, Side::Sell as i32, others);
    code.asm.jump(done);
    code.asm.bind(others);
    code.asm.mov(R2, i32::from(short));
    code.asm.bind(done);
    code.asm.store(Size::U8, R9, payload(hole.at), R2);
}

/// R1 as a binary number in the hole, in which it fits.
fn number(code: &mut Code<'_>, hole: &Hole, big: bool) {
    let size = match hole.width {
        1 => Some(Size::U8),
        2 => Some(Size::U16),
        4 => Some(Size::U32),
        8 => Some(Size::U64),
        _ => None,
    };
    if let Some(size) = size {
        if hole.width > 1 && big == cfg!(target_endian = "little") {
            code.asm.swap(R1, 8 * hole.width as i32);
        }
        return code.asm.store(size, R9, payload(hole.at), R1);
    }
    for byte in 0..hole.width {
        let at = if big { hole.width - 1 - byte } else { byte };
        code.asm.store(Size::U8, R9, payload(hole.at + at), R1);
        code.asm.alu(Alu::Rsh, R1, 8);
    }
}

/// See [`client_order_id`](crate::format::client_order_id): base 32, eight digits at once.
fn client_order_id(code: &mut Code<'_>, at: usize) {
    // The lower eight digits last: the first five overlap them by what is cut off there.
    code.get(R1, Slot::Number);
    code.asm.alu(Alu::Rsh, R1, 40);
    digits(code);
    // Five of eight: the others are zeros before them.
    for (byte, place) in (0..5).rev().zip(0_i32..) {
        code.asm.mov(R2, R1);
        if place > 0 {
            code.asm.alu(Alu::Rsh, R2, 8 * place);
        }
        code.asm.store(Size::U8, R9, payload(at + byte), R2);
    }
    code.get(R1, Slot::Number);
    digits(code);
    if cfg!(target_endian = "little") {
        code.asm.swap(R1, 64);
    }
    code.asm.store(Size::U64, R9, payload(at + CLIENT_ORDER_ID_BYTES - 8), R1);
}

/// R1 becomes the digits of its lower 40 bits, the first one highest. Uses R2 to R4.
fn digits(code: &mut Code<'_>) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    code.constant(R2, (1 << 40) - 1);
    code.asm.alu(Alu::And, R1, R2);
    for (bits, mask, by) in
        [(20, 0x000f_ffff_u64, 32), (10, 0x0000_03ff_0000_03ff, 16), (5, 0x001f_001f_001f_001f, 8)]
    {
        code.constant(R3, mask as i64);
        code.asm.mov(R2, R1);
        code.asm.alu(Alu::Rsh, R2, bits);
        code.asm.alu(Alu::And, R2, R3);
        code.asm.alu(Alu::Lsh, R2, by);
        code.asm.alu(Alu::And, R1, R3);
        code.asm.alu(Alu::Or, R1, R2);
    }
    code.constant(R3, ONES as i64);
    code.constant(R2, (ONES * (0x80 - 10)) as i64);
    code.asm.alu(Alu::Add, R2, R1);
    code.asm.alu(Alu::Rsh, R2, 7);
    code.asm.alu(Alu::And, R2, R3);
    code.asm.alu(Alu::Mul, R2, 7);
    code.constant(R3, (ONES * u64::from(b'0')) as i64);
    code.asm.alu(Alu::Add, R1, R3);
    code.asm.alu(Alu::Add, R1, R2);
}

/// The UDP checksum, over what is in the packet now. Uses R1, R2, R5.
fn checksum(code: &mut Code<'_>, order_bytes: usize) {
    code.get(R1, Slot::Route);
    code.word(R1, R1, target::UDP_SUM);
    let mut at = 0;
    while at < order_bytes {
        let (size, width) = match order_bytes - at {
            4.. => (Size::U32, 4),
            2 | 3 => (Size::U16, 2),
            _ => (Size::U8, 1),
        };
        code.asm.load(size, R2, R9, payload(at));
        if width == 1 && cfg!(target_endian = "big") {
            code.asm.alu(Alu::Lsh, R2, 8);
        }
        code.asm.alu(Alu::Add, R1, R2);
        at += width;
    }
    fold(code.asm, R1, R5);
    code.asm.alu(Alu::Xor, R1, 0xffff);
    let some = code.asm.label();
    code.asm.jump_if(Cond::Ne, R1, 0, some);
    // 0 would mean that there is none (RFC 768).
    code.asm.mov(R1, 0xffff);
    code.asm.bind(some);
    code.asm.store(Size::U16, R9, 40, R1);
}

// Headers are written in whole words; what lies behind is the checksum.
const _: () = assert!(HEADER_BYTES / 8 * 8 == 40);
