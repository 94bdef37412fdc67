//! The program of one subscriber: its headers in the place of those that are there.
//!
//! ```text
//! received:  [tags, options: H bytes up to the payload][payload][padding]
//! read what copies depend on ─▶ move the start by H − T ─▶ cut the padding ─▶ write T bytes
//! sent:                     [template: T bytes][payload]
//! ```

use super::counters::Account;
use super::headers::{self, IPV4, IPV6, NEXT, UDP, load_be16};
use super::sent::{self, Books};
use super::{KernelFilter, checksum, stamp};
use crate::{SubscriberEntry, Template, UdpChecksum};
use std::os::fd::RawFd;
use tickwire_decode::checksum::Sum;
use tickwire_decode::ethertype;
use tickwire_ebpf::{Alu, AsmError, Assembler, Cond, Helper, Instruction, Label, Reg::*};
use tickwire_ebpf::{Size, XdpAction, xdp_md};
use tickwire_filter::ebpf::STACK_BYTES_RESERVED;
use tickwire_frame::Reason;

// What is remembered of the original, on the stack; −4 belongs to the counters.

/// Its IPv4 identification, as it lies there.
const ID: i16 = -16;
/// Its UDP checksum, as it lies there.
const CHECKSUM: i16 = -24;
/// Sum of its addresses and ports.
const SUM: i16 = -32;
/// Its source port, as it lies there.
const SOURCE_PORT: i16 = -40;
/// Its source address, 16 bytes.
const SOURCE: i16 = -56;
/// Sum of its source address and port.
const SOURCE_SUM: i16 = -64;
/// How long its payload is, where it is summed: in the place of what no one needs then.
const PAYLOAD: i16 = SUM;
const _: () = assert!(SOURCE_SUM >= -STACK_BYTES_RESERVED);

/// The program of a subscriber to a feed on an IPv4 (`ipv4`) or IPv6 address, which the
/// [dispatcher](super::dispatch()) goes on in. Frames are those that [`ingress`](super::ingress())
/// hands on. Without a next hop it counts and drops.
///
/// # Errors
/// When the filter is so long that a jump does not reach.
pub fn egress(
    ipv4: bool,
    subscriber: &SubscriberEntry,
    filter: Option<KernelFilter<'_>>,
    books: &Books,
) -> Result<Vec<Instruction>, AsmError> {
    let mut asm = Assembler::new();
    let account = Account::from(&books.counters);
    let [wanted, unwanted, unstamped] = [(); 3].map(|()| asm.label());
    asm.mov(R6, R1);
    stamp::take(&mut asm, &account, unstamped);
    if let Some(KernelFilter { xdp, tables }) = filter {
        xdp.emit(&mut asm, tables, wanted, unwanted);
    }
    if asm.is_used(unwanted) {
        asm.bind(unwanted);
        drop_for(&mut asm, &account, Reason::NotSelected);
    }
    if filter.is_none() || asm.is_used(wanted) {
        asm.bind(wanted);
        match &subscriber.template {
            Err(reason) => drop_for(&mut asm, &account, *reason),
            Ok(template) => copy(&mut asm, ipv4, template, &account, books.list),
        }
    }
    asm.bind(unstamped);
    drop_for(&mut asm, &account, Reason::TxInvalid);
    asm.finish()
}

fn drop_for(asm: &mut Assembler, account: &Account, reason: Reason) {
    account.discarded(asm, reason);
    asm.exit_with(XdpAction::Drop);
}

/// R7 UDP length, in host order, from [`remember`] on.
fn copy(asm: &mut Assembler, ipv4: bool, template: &Template, account: &Account, list: RawFd) {
    let [invalid, too_long, refused] = [(); 3].map(|()| asm.label());
    remember(asm, ipv4, invalid);
    let ip_len = template.len - template.ip_at - UDP as usize;
    let udp_len_max = template.mtu.min(0xffff).saturating_sub(ip_len);
    asm.jump_if(Cond::Gt, R7, udp_len_max as i32, too_long);

    // R8: bytes before the payload, from `remember`.
    asm.mov(R1, R6);
    asm.mov(R2, R8);
    asm.alu(Alu::Sub, R2, template.len as i32);
    asm.call(Helper::XdpAdjustHead);
    asm.jump_if(Cond::Ne, R0, 0, refused);
    cut_padding(asm, template, refused);

    asm.load(Size::U32, R8, R6, xdp_md::DATA);
    asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    headers::need(asm, R8, template.len as i16, invalid);
    write_constants(asm, template);
    fill_in(asm, template);
    // It counts as copied once the device has taken it.
    sent::note(asm, list, account, refused);
    asm.exit_with(XdpAction::Pass);
    for (label, reason) in
        [(invalid, Reason::TxInvalid), (too_long, Reason::TooLong), (refused, Reason::TxRefused)]
    {
        asm.bind(label);
        drop_for(asm, account, reason);
    }
}

/// Reads what the copy depends on: R7 UDP length, R8 bytes before the payload, the rest on the
/// stack.
fn remember(asm: &mut Assembler, ipv4: bool, invalid: Label) {
    headers::ethernet(asm, invalid);
    let kind = if ipv4 { ethertype::IPV4 } else { ethertype::IPV6 };
    asm.jump_if(Cond::Ne, R4, i32::from(kind), invalid);
    let (source_at, words) = if ipv4 { (NEXT + 12, 1) } else { (NEXT + 8, 4) };
    if ipv4 {
        headers::ipv4(asm, invalid, invalid);
        asm.load(Size::U16, R4, R7, NEXT + 4);
        asm.store(Size::U64, R10, ID, R4);
    } else {
        headers::ipv6(asm, invalid, invalid);
        asm.store(Size::U64, R10, ID, 0);
    }
    asm.load(Size::U16, R4, R8, NEXT + 6);
    asm.store(Size::U64, R10, CHECKSUM, R4);
    asm.load(Size::U16, R0, R8, NEXT);
    asm.store(Size::U64, R10, SOURCE_PORT, R0);
    for word in 0..words {
        asm.load(Size::U32, R4, R7, source_at + 4 * word);
        asm.store(Size::U32, R10, SOURCE + 4 * word, R4);
        asm.alu(Alu::Add, R0, R4);
    }
    asm.store(Size::U64, R10, SOURCE_SUM, R0);
    for word in words..2 * words {
        asm.load(Size::U32, R4, R7, source_at + 4 * word);
        asm.alu(Alu::Add, R0, R4);
    }
    asm.load(Size::U16, R4, R8, NEXT + 2);
    asm.alu(Alu::Add, R0, R4);
    asm.store(Size::U64, R10, SUM, R0);

    let before = i32::from(NEXT + UDP);
    load_be16(asm, R4, R8, NEXT + 4);
    asm.jump_if(Cond::Lt, R4, i32::from(UDP), invalid);
    asm.alu(Alu::Rsh, R9, 16);
    asm.alu(Alu::Add, R9, before);
    if ipv4 {
        headers::ipv4_header_len(asm, R5);
        asm.alu(Alu::Add, R9, R5);
    } else {
        asm.alu(Alu::Add, R9, i32::from(IPV6));
    }
    asm.mov(R8, R9);
    asm.mov(R7, R4);
}

/// Cuts what follows the payload; a frame that is too short for it is refused.
fn cut_padding(asm: &mut Assembler, template: &Template, refused: Label) {
    let exact = asm.label();
    asm.mov(R1, R6);
    asm.call(Helper::XdpBuffLen);
    asm.mov(R2, R7);
    asm.alu(Alu::Add, R2, (template.len - UDP as usize) as i32);
    asm.alu(Alu::Sub, R2, R0);
    asm.jump_if(Cond::Eq, R2, 0, exact);
    asm.jump_if(Cond::SGt, R2, 0, refused);
    asm.mov(R1, R6);
    asm.call(Helper::XdpAdjustTail);
    asm.jump_if(Cond::Ne, R0, 0, refused);
    asm.bind(exact);
}

/// The template as it is, at R8. Its length is even.
fn write_constants(asm: &mut Assembler, template: &Template) {
    let (words, rest) = template.header[..template.len].as_chunks::<4>();
    for (word, at) in words.iter().zip((0..).step_by(4)) {
        asm.store(Size::U32, R8, at, i32::from_ne_bytes(*word));
    }
    if let &[a, b] = rest {
        let word = i32::from(u16::from_ne_bytes([a, b]));
        asm.store(Size::U16, R8, 4 * words.len() as i16, word);
    }
}

/// What differs from copy to copy. R7 UDP length, R8 packet.
fn fill_in(asm: &mut Assembler, template: &Template) {
    let (ip, ipv4) = (template.ip_at as i16, template.ipv4);
    let udp = ip + if ipv4 { IPV4 } else { IPV6 };
    if template.keep {
        let (at, words) = if ipv4 { (ip + 12, 1) } else { (ip + 8, 4) };
        for word in 0..words {
            asm.load(Size::U32, R1, R10, SOURCE + 4 * word);
            asm.store(Size::U32, R8, at + 4 * word, R1);
        }
        asm.load(Size::U64, R1, R10, SOURCE_PORT);
        asm.store(Size::U16, R8, udp, R1);
    }
    // R9: the UDP length in network order.
    asm.mov(R9, R7);
    asm.to_be(R9, 16);
    asm.store(Size::U16, R8, udp + 4, R9);
    if ipv4 {
        ipv4_part(asm, template, ip);
    } else {
        asm.store(Size::U16, R8, ip + 4, R9);
    }
    udp_checksum(asm, template, udp);
}

/// Total length, identification, header checksum.
fn ipv4_part(asm: &mut Assembler, template: &Template, ip: i16) {
    asm.mov(R1, R7);
    asm.alu(Alu::Add, R1, i32::from(IPV4));
    asm.to_be(R1, 16);
    asm.store(Size::U16, R8, ip + 2, R1);
    asm.load(Size::U64, R2, R10, ID);
    asm.store(Size::U16, R8, ip + 4, R2);
    asm.alu(Alu::Add, R1, R2);
    if template.keep {
        asm.load(Size::U32, R2, R10, SOURCE);
        asm.alu(Alu::Add, R1, R2);
    }
    asm.alu(Alu::Add, R1, native(template.ip_sum));
    checksum::complement(asm, R1);
    asm.store(Size::U16, R8, ip + 10, R1);
}

/// The checksum of [`Template`], as instructions.
fn udp_checksum(asm: &mut Assembler, template: &Template, udp: i16) {
    let [store, compute, done] = [(); 3].map(|()| asm.label());
    let (zero, update) = match template.checksum {
        UdpChecksum::Zero | UdpChecksum::ZeroOverIpv6 => (true, false),
        UdpChecksum::Update => (false, true),
        UdpChecksum::Compute => (false, false),
    };
    if zero {
        return;
    }
    // R1: sum of what is new.
    asm.mov(R1, native(template.udp_sum));
    if template.keep {
        asm.load(Size::U64, R2, R10, SOURCE_SUM);
        asm.alu(Alu::Add, R1, R2);
    }
    if update {
        // HC' = ~(~HC + ~m + m') (RFC 1624); where there is none, none is written over IPv4.
        asm.load(Size::U64, R2, R10, CHECKSUM);
        let none = if template.ipv4 { done } else { compute };
        asm.jump_if(Cond::Eq, R2, 0, none);
        asm.alu(Alu::Xor, R2, 0xffff);
        asm.load(Size::U64, R4, R10, SUM);
        checksum::complement(asm, R4);
        asm.alu(Alu::Add, R1, R2);
        asm.alu(Alu::Add, R1, R4);
        asm.jump(store);
    }
    if !update || asm.is_used(compute) {
        asm.bind(compute);
        asm.alu(Alu::Add, R1, checksum::protocol());
        asm.alu(Alu::Add, R1, R9);
        asm.alu(Alu::Add, R1, R9);
        asm.mov(R9, R7);
        asm.alu(Alu::Sub, R9, i32::from(UDP));
        asm.store(Size::U32, R10, PAYLOAD, R9);
        checksum::add(asm, R8, template.len as i32, PAYLOAD);
    }
    asm.bind(store);
    checksum::store(asm, R8, udp + 6);
    asm.bind(done);
}

/// The sum as 16 bits in the machine's byte order.
fn native(sum: Sum) -> i32 {
    i32::from((!sum.finish()).to_be())
}
