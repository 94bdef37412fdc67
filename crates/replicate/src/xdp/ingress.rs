//! The program on the interface: which frames are of which feed.

use super::counters::{Account, SLOTS, slot_of};
use super::headers::{self, IPV4, IPV6, NEXT, UDP, load_be16};
use super::{KernelFilter, checksum, stamp};
use crate::Feed;
use crate::datagram::VLAN_TAGS_MAX;
use std::net::IpAddr;
use std::os::fd::RawFd;
use tickwire_decode::ethertype;
use tickwire_ebpf::{Alu, AsmError, Assembler, Cond, Helper, Instruction, Label, Reg::*};
use tickwire_ebpf::{Size, XdpAction, xdp_md};
use tickwire_frame::Reason;

/// The longest frame that is broadcast: its clones must fit into a page of 4096 bytes together
/// with headroom and the kernel's own part (`xdpf_clone` in net/core/xdp.c).
pub const FRAME_BYTES_MAX: i32 = 3520;
/// Bytes of an Ethernet header and of a VLAN tag, which the kernel lets a frame have besides what
/// the MTU allows (`xdp_ok_fwd_dev` in net/core/filter.c).
const HEADER_BYTES: u32 = 14 + 4;
/// `BPF_F_BROADCAST`: to all entries of a device map.
const BROADCAST: i32 = 1 << 3;

// What is noted on the stack; −4 belongs to the counters. Of the upper half of a word the verifier
// knows at most that it is 0: so it goes once through what is done for all faults, lengths, feeds.

/// The fault of a feed's datagram: its slot, or [`NO_FAULT`].
const FAULT: i16 = -12;
const NO_FAULT: i32 = SLOTS as i32;
/// Its UDP length.
const UDP_LEN: i16 = -20;
/// Which of the feeds it is of.
const FEED: i16 = -28;
/// Where the UDP header is when the checksum is to be filled in, a whole word; 0 for none.
const PARTIAL: i16 = -40;
/// More than the greatest of these offsets: a power of two.
const OFFSETS: i32 = 128;
const _: () = assert!(NEXT as i32 + 4 * VLAN_TAGS_MAX as i32 + 60 < OFFSETS);

/// A feed as part of the program. Its position among the others is its number for the
/// [dispatcher](super::place), and that of its account.
#[derive(Clone, Copy, Debug)]
pub struct IngressFeed<'a> {
    /// What it is. Its interface is not looked at: the program runs on one.
    pub feed: &'a Feed,
    /// Its filter.
    pub filter: Option<KernelFilter<'a>>,
    /// Its device map: for each interface as many entries as there are [places](super::place), all
    /// with the dispatcher of the interface.
    pub devices: RawFd,
}

/// The longest frame that is broadcast to an interface of this MTU: the kernel checks it before the
/// headers of a copy are in place.
pub fn frame_bytes_max(mtu: u32) -> i32 {
    (mtu.min(0xffff) + HEADER_BYTES) as i32
}

/// The program of an interface for `feeds`, which do not overlap. Frames of no feed, fragments, and
/// datagrams that are too long or contradict themselves go to the host. It counts in `counters`: a
/// `BPF_MAP_TYPE_PERCPU_ARRAY` of values of [`ACCOUNT_BYTES`](super::ACCOUNT_BYTES).
///
/// Too long is what is longer than `frame_bytes_max`, that of all interfaces that copies leave by
/// ([`frame_bytes_max`]), or than [`FRAME_BYTES_MAX`].
///
/// # Errors
/// When there are so many feeds with filters so long that a jump does not reach.
pub fn ingress(
    counters: RawFd,
    feeds: &[IngressFeed<'_>],
    frame_bytes_max: i32,
) -> Result<Vec<Instruction>, AsmError> {
    let mut asm = Assembler::new();
    let [pass, found] = [(); 2].map(|()| asm.label());
    asm.mov(R6, R1);
    headers::ethernet(&mut asm, pass);
    for (kind, ipv4) in [(ethertype::IPV4, true), (ethertype::IPV6, false)] {
        let family = feeds.iter().zip(0..).filter(|(of, _)| of.feed.listen.is_ipv4() == ipv4);
        let family: Vec<(&IngressFeed<'_>, i32)> = family.collect();
        if family.is_empty() {
            continue;
        }
        let [other, fragment, of_family] = [(); 3].map(|()| asm.label());
        asm.jump_if(Cond::Ne, R4, i32::from(kind), other);
        match ipv4 {
            true => headers::ipv4(&mut asm, pass, fragment),
            false => headers::ipv6(&mut asm, pass, fragment),
        }
        note_lengths(&mut asm, ipv4);
        for (feed, at) in &family {
            jump_if_of(&mut asm, feed, *at, of_family);
        }
        asm.jump(pass);
        asm.bind(of_family);
        note_partial(&mut asm, ipv4);
        asm.jump(found);
        asm.bind(fragment);
        for (position, (feed, at)) in family.iter().enumerate() {
            let ip = feed.feed.listen.ip();
            if family[..position].iter().all(|(before, _)| before.feed.listen.ip() != ip) {
                let account = Account { map: counters, number: (*at).into() };
                count_fragment(&mut asm, ip, &account, pass);
            }
        }
        asm.jump(pass);
        asm.bind(other);
    }
    asm.bind(pass);
    asm.exit_with(XdpAction::Pass);
    if !feeds.is_empty() {
        asm.bind(found);
        hand_on(&mut asm, counters, feeds, frame_bytes_max.min(FRAME_BYTES_MAX));
    }
    asm.finish()
}

/// Notes the UDP length, and the fault that the lengths have, in the order of
/// [`Datagram::parse`](crate::Datagram::parse).
fn note_lengths(asm: &mut Assembler, ipv4: bool) {
    let noted = asm.label();
    let fault = |asm: &mut Assembler, reason| asm.mov(R0, slot_of(reason) as i32);
    load_be16(asm, R1, R8, NEXT + 4);
    asm.store(Size::U32, R10, UDP_LEN, R1);
    asm.mov(R5, R7);
    if ipv4 {
        load_be16(asm, R4, R7, NEXT + 2);
        headers::ipv4_header_len(asm, R2);
        fault(asm, Reason::Ipv4BadTotalLength);
        asm.jump_if(Cond::Lt, R4, R2, noted);
        asm.alu(Alu::Add, R5, i32::from(NEXT));
        asm.alu(Alu::Add, R5, R4);
        fault(asm, Reason::Ipv4LengthBeyondPacket);
        asm.jump_if(Cond::Gt, R5, R3, noted);
        asm.alu(Alu::Sub, R4, R2);
    } else {
        load_be16(asm, R4, R7, NEXT + 4);
        asm.alu(Alu::Add, R5, i32::from(NEXT + IPV6));
        asm.alu(Alu::Add, R5, R4);
        fault(asm, Reason::Ipv6LengthBeyondPacket);
        asm.jump_if(Cond::Gt, R5, R3, noted);
    }
    fault(asm, Reason::UdpBadLength);
    asm.jump_if(Cond::Lt, R1, i32::from(UDP), noted);
    fault(asm, Reason::UdpLengthBeyondPacket);
    asm.jump_if(Cond::Gt, R1, R4, noted);
    asm.mov(R0, NO_FAULT);
    asm.bind(noted);
    asm.store(Size::U32, R10, FAULT, R0);
}

/// Notes where the UDP header is when its checksum is the sum of the pseudo header alone
/// ([`Datagram::partial`](crate::Datagram::partial)).
fn note_partial(asm: &mut Assembler, ipv4: bool) {
    let noted = asm.label();
    checksum::pseudo_header(asm, ipv4);
    checksum::fold(asm, R1);
    asm.load(Size::U16, R2, R8, NEXT + 6);
    asm.mov(R0, 0);
    asm.jump_if(Cond::Ne, R1, R2, noted);
    asm.load(Size::U32, R1, R6, xdp_md::DATA);
    asm.mov(R0, R8);
    asm.alu(Alu::Sub, R0, R1);
    asm.alu(Alu::Add, R0, i32::from(NEXT));
    asm.bind(noted);
    asm.store(Size::U64, R10, PARTIAL, R0);
}

/// Fills in a checksum that was left to hardware, as that would: the sum of the pseudo header,
/// which stands there, is summed with the rest. Keeps R6 and R8.
fn fill_in_checksum(asm: &mut Assembler) {
    let done = asm.label();
    asm.load(Size::U64, R4, R10, PARTIAL);
    asm.jump_if(Cond::Eq, R4, 0, done);
    asm.alu(Alu::And, R4, OFFSETS - 1);
    asm.load(Size::U32, R7, R6, xdp_md::DATA);
    asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    asm.alu(Alu::Add, R7, R4);
    headers::need(asm, R7, UDP, done);
    asm.mov(R1, 0);
    checksum::add(asm, R7, 0, UDP_LEN);
    checksum::store(asm, R7, 6);
    asm.bind(done);
}

/// Notes the feed and jumps to `found` when the datagram is of feed number `at`.
fn jump_if_of(
    asm: &mut Assembler,
    IngressFeed { feed, .. }: &IngressFeed<'_>,
    at: i32,
    found: Label,
) {
    let next = asm.label();
    asm.load(Size::U16, R4, R8, NEXT + 2);
    asm.jump_if(Cond::Ne, R4, i32::from(feed.listen.port().to_be()), next);
    jump_unless_address(asm, feed.listen.ip(), destination_at(feed.listen.ip()), next);
    if let Some(source) = feed.source {
        let at = if source.is_ipv4() { NEXT + 12 } else { NEXT + 8 };
        jump_unless_address(asm, source, at, next);
    }
    if let Some(vlan) = feed.vlan {
        asm.mov(R4, R9);
        asm.alu(Alu::And, R4, 0xffff);
        asm.jump_if(Cond::Ne, R4, i32::from(vlan), next);
    }
    asm.store(Size::U32, R10, FEED, at);
    asm.jump(found);
    asm.bind(next);
}

/// Offset from R7.
fn destination_at(address: IpAddr) -> i16 {
    if address.is_ipv4() { NEXT + IPV4 - 4 } else { NEXT + IPV6 - 16 }
}

/// Jumps to `next` unless `address` is at this offset from R7.
fn jump_unless_address(asm: &mut Assembler, address: IpAddr, offset: i16, next: Label) {
    let words: Vec<[u8; 4]> = match address {
        IpAddr::V4(address) => vec![address.octets()],
        IpAddr::V6(address) => address.octets().as_chunks().0.to_vec(),
    };
    for (word, at) in words.into_iter().zip((offset..).step_by(4)) {
        asm.load(Size::U32, R4, R7, at);
        asm.jump_if32(Cond::Ne, R4, i32::from_ne_bytes(word), next);
    }
}

/// Of a fragment only the address is sure to be there.
fn count_fragment(asm: &mut Assembler, address: IpAddr, account: &Account, pass: Label) {
    let next = asm.label();
    jump_unless_address(asm, address, destination_at(address), next);
    account.discarded(asm, Reason::Fragment);
    asm.jump(pass);
    asm.bind(next);
}

/// A datagram of one of `feeds`: counts it and ends. One piece of code for all of them, because
/// jumps reach 32 767 instructions.
fn hand_on(asm: &mut Assembler, counters: RawFd, feeds: &[IngressFeed<'_>], frame_bytes_max: i32) {
    // R8: which feed.
    let account = Account { map: counters, number: R8.into() };
    let [whole, sound, wanted, unwanted] = [(); 4].map(|()| asm.label());
    asm.load(Size::U32, R8, R10, FEED);
    asm.mov(R1, R6);
    asm.call(Helper::XdpBuffLen);
    asm.jump_if(Cond::Le, R0, frame_bytes_max, whole);
    account.discarded(asm, Reason::TooLong);
    asm.exit_with(XdpAction::Pass);
    asm.bind(whole);
    asm.load(Size::U32, R7, R10, FAULT);
    asm.jump_if(Cond::Eq, R7, NO_FAULT, sound);
    let unknown = asm.label();
    account.discarded_in(asm, unknown);
    asm.bind(unknown);
    asm.exit_with(XdpAction::Pass);
    asm.bind(sound);
    for (feed, at) in feeds.iter().zip(0..) {
        if let Some(KernelFilter { xdp, tables }) = feed.filter {
            let other = asm.label();
            asm.load(Size::U32, R7, R10, FEED);
            asm.jump_if(Cond::Ne, R7, at, other);
            xdp.emit(asm, tables, wanted, unwanted);
            asm.bind(other);
        }
    }
    asm.jump(wanted);
    if asm.is_used(unwanted) {
        asm.bind(unwanted);
        asm.load(Size::U32, R8, R10, FEED);
        account.discarded(asm, Reason::NotSelected);
        asm.exit_with(XdpAction::Drop);
    }
    asm.bind(wanted);
    asm.load(Size::U32, R8, R10, FEED);
    let unstamped = asm.label();
    stamp::make_room(asm, unstamped);
    account.count_in(asm, R7);
    stamp::write(asm, R7, R8, unstamped);
    // Only in what is broadcast: the host knows itself what was left to hardware.
    fill_in_checksum(asm);
    asm.load(Size::U32, R7, R10, UDP_LEN);
    asm.alu(Alu::Sub, R7, i32::from(UDP));
    account.bytes(asm);
    for (feed, at) in feeds.iter().zip(0..) {
        let other = asm.label();
        asm.jump_if(Cond::Ne, R8, at, other);
        asm.load_map_fd(R1, feed.devices);
        asm.mov(R2, 0);
        asm.mov(R3, BROADCAST);
        asm.call(Helper::RedirectMap);
        asm.exit();
        asm.bind(other);
    }
    asm.exit_with(XdpAction::Aborted);
    // Drivers without room for metadata leave all to the host; that there are some is told.
    asm.bind(unstamped);
    account.discarded(asm, Reason::TxRefused);
    asm.exit_with(XdpAction::Pass);
}
