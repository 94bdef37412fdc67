//! Finding the UDP header: what [`Datagram::parse`](crate::Datagram) does, as instructions.
//!
//! R6 context (kept), R3 end of the packet, R7 the packet moved past its VLAN tags, so that the IP
//! header is at R7 + 14; R8 the same moved past the IP header, so that UDP is at R8 + 14;
//! R9 the outermost VLAN and how many bytes of tags there are. R0 to R5 are scratch.

use crate::datagram::VLAN_TAGS_MAX;
use tickwire_decode::{ethertype, protocol::ip};
use tickwire_ebpf::{Alu, Assembler, Cond, Label, Reg, Reg::*, Size, xdp_md};

/// The IP header is at this offset from R7, the UDP header from R8.
pub const NEXT: i16 = 14;
/// Bytes of an IPv4 header without options.
pub const IPV4: i16 = 20;
/// Bytes of an IPv6 header.
pub const IPV6: i16 = 40;
/// Bytes of a UDP header.
pub const UDP: i16 = 8;
/// The low half of R9 in a packet without a tag; the high half is how far R7 was moved.
pub const NO_VLAN: i32 = 0xffff;
/// The next header of a fragment (RFC 8200, 4.5).
const IPV6_FRAGMENT: i32 = 44;

/// Loads a big-endian field of 16 bits.
pub fn load_be16(asm: &mut Assembler, to: Reg, base: Reg, offset: i16) {
    asm.load(Size::U16, to, base, offset);
    asm.to_be(to, 16);
}

/// Jumps to `miss` unless `bytes` bytes at `base` lie before the end of the packet. Uses R5.
pub fn need(asm: &mut Assembler, base: Reg, bytes: i16, miss: Label) {
    asm.mov(R5, base);
    asm.alu(Alu::Add, R5, i32::from(bytes));
    asm.jump_if(Cond::Gt, R5, R3, miss);
}

/// Sets R3, R7 and R9, and R4 to the EtherType behind the tags.
pub fn ethernet(asm: &mut Assembler, miss: Label) {
    asm.load(Size::U32, R7, R6, xdp_md::DATA);
    asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    need(asm, R7, NEXT, miss);
    asm.mov(R9, NO_VLAN);
    load_be16(asm, R4, R7, 12);
    let network = asm.label();
    for tag in 0..VLAN_TAGS_MAX {
        let tagged = asm.label();
        asm.jump_if(Cond::Eq, R4, i32::from(ethertype::VLAN), tagged);
        asm.jump_if(Cond::Eq, R4, i32::from(ethertype::SERVICE_VLAN), tagged);
        asm.jump_if(Cond::Ne, R4, i32::from(ethertype::OLD_SERVICE_VLAN), network);
        asm.bind(tagged);
        asm.alu(Alu::Add, R7, 4);
        need(asm, R7, NEXT, miss);
        if tag == 0 {
            load_be16(asm, R9, R7, 10);
            asm.alu(Alu::And, R9, 0xfff);
        }
        asm.alu(Alu::Add, R9, 4 << 16);
        load_be16(asm, R4, R7, 12);
    }
    asm.bind(network);
}

/// Sets R8. For a fragment jumps to `fragment`.
pub fn ipv4(asm: &mut Assembler, miss: Label, fragment: Label) {
    need(asm, R7, NEXT + IPV4, miss);
    asm.load(Size::U8, R4, R7, NEXT);
    asm.mov(R5, R4);
    asm.alu(Alu::Rsh, R5, 4);
    asm.jump_if(Cond::Ne, R5, 4, miss);
    asm.alu(Alu::And, R4, 15);
    asm.jump_if(Cond::Lt, R4, i32::from(IPV4) / 4, miss);
    asm.load(Size::U8, R5, R7, NEXT + 9);
    asm.jump_if(Cond::Ne, R5, i32::from(ip::UDP), miss);
    load_be16(asm, R5, R7, NEXT + 6);
    asm.jump_if(Cond::Set, R5, 0x3fff, fragment);
    asm.alu(Alu::Lsh, R4, 2);
    asm.mov(R8, R7);
    asm.alu(Alu::Add, R8, R4);
    need(asm, R8, NEXT + UDP, miss);
}

/// Sets R8. For a fragment jumps to `fragment`.
pub fn ipv6(asm: &mut Assembler, miss: Label, fragment: Label) {
    need(asm, R7, NEXT + IPV6, miss);
    asm.load(Size::U8, R4, R7, NEXT);
    asm.alu(Alu::Rsh, R4, 4);
    asm.jump_if(Cond::Ne, R4, 6, miss);
    asm.load(Size::U8, R4, R7, NEXT + 6);
    asm.jump_if(Cond::Eq, R4, IPV6_FRAGMENT, fragment);
    asm.jump_if(Cond::Ne, R4, i32::from(ip::UDP), miss);
    asm.mov(R8, R7);
    asm.alu(Alu::Add, R8, i32::from(IPV6));
    need(asm, R8, NEXT + UDP, miss);
}

/// Sets `to` to the length of the IPv4 header in bytes.
pub fn ipv4_header_len(asm: &mut Assembler, to: Reg) {
    asm.load(Size::U8, to, R7, NEXT);
    asm.alu(Alu::And, to, 15);
    asm.alu(Alu::Lsh, to, 2);
}
