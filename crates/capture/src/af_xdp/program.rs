//! The XDP program in front of the sockets: which frames go to us.
//!
//! ```text
//! a stage before? ─its verdict────────▶ as it says
//!    └─next, or there is none
//! selected? ─no──────────────────────▶ pass (counted behind a filter)
//!    └─yes─▶ in the sample? ─no──────▶ count it for its queue, pass
//!               └─yes─▶ longer than a frame of ours? ─yes─▶ count it for its queue, pass
//!                          └─no─▶ redirect to the socket of this queue; without one, pass
//! ```
//!
//! Whatever is not ours is passed to the host, also when a socket is missing: a program that
//! outlived us (it cannot, see [`crate::bpf::link`]) would still not harm the host.

use super::config::{Selection, TcpConnection, UdpDestination};
use super::stage::Stage;
use crate::bpf::asm::{Alu, AsmError, Assembler, Cond, Helper, Label, Reg::*, Size, XdpAction};
use crate::bpf::asm::{Reg, xdp_md};
use crate::bpf::{Instruction, Map};
use std::net::IpAddr;
use std::os::fd::RawFd;

/// The most UDP destinations: they are compared one by one.
pub const DESTINATIONS_MAX: usize = 64;

/// The most TCP connections: likewise.
pub const CONNECTIONS_MAX: usize = 64;

/// VLAN tags that the selection looks through.
const VLAN_TAGS_MAX: usize = 2;
const ETHERNET_BYTES: i32 = 14;
const IPV4_BYTES_MIN: i32 = 20;
const IPV6_BYTES: i32 = 40;
const PROTOCOL_TCP: i32 = 6;
const PROTOCOL_UDP: i32 = 17;

/// What the program counts for each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Selected and in the sample, but longer than our frames: went to the host.
    TooLong,
    /// Accepted by the filter and in the sample.
    Selected,
    /// Rejected by the filter: went to the host.
    NotSelected,
    /// Accepted, but not in the sample: went to the host.
    NotSampled,
}

/// One of each [`Count`].
pub(super) type Counts = [u64; Count::ALL.len()];

impl Count {
    /// All, in order, by the names of their counters.
    pub const ALL: [(Count, &'static str); 4] = [
        (Count::TooLong, "xdp_too_long"),
        (Count::Selected, "xdp_selected"),
        (Count::NotSelected, "xdp_not_selected"),
        (Count::NotSampled, "xdp_not_sampled"),
    ];
}

/// What the program shares with user space.
#[derive(Debug)]
pub(super) struct Maps {
    /// Queue → socket.
    pub sockets: Map,
    /// Queue · number of [`Count`]s + count → how many, for each CPU.
    pub counts: Map,
}

/// The program for `stage`, if there is one, and `selection`, whose filter looks into `tables`.
/// Keeps the context in R6.
pub(super) fn assemble(
    stage: Option<&dyn Stage>,
    selection: &Selection,
    maps: &Maps,
    tables: &[RawFd],
    len_max: u32,
) -> Result<Vec<Instruction>, AsmError> {
    let mut asm = Assembler::new();
    asm.mov(R6, R1);
    if let Some(stage) = stage {
        let next = asm.label();
        stage.emit(&mut asm, next)?;
        if !asm.is_used(next) {
            return asm.finish();
        }
        asm.bind(next);
    }
    let [pass, selected, rejected, skipped, long] = [(); 5].map(|()| asm.label());
    match selection {
        Selection::All => {}
        Selection::Udp(udp) => select(&mut asm, (udp, &[]), selected, pass),
        Selection::UdpAndTcp(udp, tcp) => select(&mut asm, (udp, tcp), selected, pass),
        Selection::Filter { filter, .. } => filter.emit(&mut asm, tables, selected, rejected),
    }
    // What nothing leads to must not be there: the verifier refuses it.
    if *selection == Selection::All || asm.is_used(selected) {
        asm.bind(selected);
        if let Selection::Filter { sampling, .. } = selection {
            sampling.emit(&mut asm, skipped);
            count(&mut asm, &maps.counts, Count::Selected);
        }
        redirect(&mut asm, &maps.sockets, len_max, long);
    }
    for (label, what) in
        [(rejected, Count::NotSelected), (skipped, Count::NotSampled), (long, Count::TooLong)]
    {
        if asm.is_used(label) {
            asm.bind(label);
            count(&mut asm, &maps.counts, what);
            asm.exit_with(XdpAction::Pass);
        }
    }
    if asm.is_used(pass) {
        asm.bind(pass);
        asm.exit_with(XdpAction::Pass);
    }
    asm.finish()
}

/// Ends with the socket of this queue, unless the frame is longer than ours.
fn redirect(asm: &mut Assembler, sockets: &Map, len_max: u32, long: Label) {
    asm.mov(R1, R6);
    asm.call(Helper::XdpBuffLen);
    asm.jump_if(Cond::Gt, R0, len_max as i32, long);
    asm.load(Size::U32, R2, R6, xdp_md::RX_QUEUE_INDEX);
    asm.load_map(R1, sockets);
    asm.mov(R3, XdpAction::Pass as i32);
    asm.call(Helper::RedirectMap);
    asm.exit();
}

/// Adds one to a count of this queue. Keeps R6 to R9.
fn count(asm: &mut Assembler, counts: &Map, what: Count) {
    let missing = asm.label();
    asm.load(Size::U32, R1, R6, xdp_md::RX_QUEUE_INDEX);
    asm.alu32(Alu::Mul, R1, Count::ALL.len() as i32);
    asm.alu32(Alu::Add, R1, what as i32);
    asm.store(Size::U32, R10, -4, R1);
    asm.mov(R2, R10);
    asm.alu(Alu::Add, R2, -4);
    asm.load_map(R1, counts);
    asm.call(Helper::MapLookup);
    asm.jump_if(Cond::Eq, R0, 0, missing);
    // One value per CPU, and the program is not preempted: no atomic needed.
    asm.load(Size::U64, R1, R0, 0);
    asm.alu(Alu::Add, R1, 1);
    asm.store(Size::U64, R0, 0, R1);
    asm.bind(missing);
}

/// What is looked for: UDP packets to these, segments of these TCP connections.
type Wanted<'a> = (&'a [UdpDestination], &'a [TcpConnection]);

/// Jumps to `selected` for a packet that is wanted, else to `pass`. Keeps R6, the context.
/// Fragments are the host's, all of them: only it can put them together.
///
/// R2 packet (moved past VLAN tags), R3 its end, R4 ethertype and scratch, R7 first byte of the
/// destination address, behind the source address, R8 destination port in network order, R9
/// protocol.
fn select(asm: &mut Assembler, wanted: Wanted<'_>, selected: Label, pass: Label) {
    if wanted.0.is_empty() && wanted.1.is_empty() {
        return asm.jump(pass);
    }
    asm.load(Size::U32, R2, R6, xdp_md::DATA);
    asm.load(Size::U32, R3, R6, xdp_md::DATA_END);
    need(asm, R2, ETHERNET_BYTES, pass);
    asm.load(Size::U16, R4, R2, 12);
    asm.to_be(R4, 16);
    let network = asm.label();
    for _ in 0..VLAN_TAGS_MAX {
        let tag = asm.label();
        asm.jump_if(Cond::Eq, R4, 0x8100, tag);
        asm.jump_if(Cond::Ne, R4, 0x88a8, network);
        asm.bind(tag);
        asm.alu(Alu::Add, R2, 4);
        need(asm, R2, ETHERNET_BYTES, pass);
        asm.load(Size::U16, R4, R2, 12);
        asm.to_be(R4, 16);
    }
    asm.bind(network);
    let ipv6 = asm.label();
    asm.jump_if(Cond::Eq, R4, 0x86dd, ipv6);
    asm.jump_if(Cond::Ne, R4, 0x0800, pass);

    need(asm, R2, ETHERNET_BYTES + IPV4_BYTES_MIN, pass);
    asm.load(Size::U8, R9, R2, 23);
    asm.load(Size::U16, R4, R2, 20);
    asm.to_be(R4, 16);
    asm.jump_if(Cond::Set, R4, 0x3fff, pass);
    asm.mov(R7, R2);
    asm.alu(Alu::Add, R7, 30);
    asm.load(Size::U8, R4, R2, 14);
    asm.alu(Alu::And, R4, 0x0f);
    asm.jump_if(Cond::Lt, R4, 5, pass);
    asm.alu(Alu::Lsh, R4, 2);
    asm.alu(Alu::Add, R2, R4);
    need(asm, R2, ETHERNET_BYTES + 4, pass);
    compare(asm, wanted, false, selected, pass);

    asm.bind(ipv6);
    need(asm, R2, ETHERNET_BYTES + IPV6_BYTES + 4, pass);
    asm.load(Size::U8, R9, R2, 20);
    asm.mov(R7, R2);
    asm.alu(Alu::Add, R7, 38);
    asm.alu(Alu::Add, R2, IPV6_BYTES);
    compare(asm, wanted, true, selected, pass);
}

/// Jumps to `pass` unless `bytes` bytes at `base` lie before the end of the packet.
fn need(asm: &mut Assembler, base: Reg, bytes: i32, pass: Label) {
    asm.mov(R5, base);
    asm.alu(Alu::Add, R5, bytes);
    asm.jump_if(Cond::Gt, R5, R3, pass);
}

/// Jumps to `selected` when protocol (R9), addresses (at R7) and ports (behind R2) are those of an
/// entry, else to `pass`. Entries of the other IP version are left out.
fn compare(asm: &mut Assembler, wanted: Wanted<'_>, ipv6: bool, selected: Label, pass: Label) {
    let (udp, tcp) = wanted;
    let not_udp = asm.label();
    asm.load(Size::U16, R8, R2, 16);
    asm.jump_if(Cond::Ne, R9, PROTOCOL_UDP, not_udp);
    compare_udp(asm, udp, ipv6, selected, pass);
    asm.bind(not_udp);
    asm.jump_if(Cond::Ne, R9, PROTOCOL_TCP, pass);
    for TcpConnection { local, remote } in tcp.iter().filter(|one| one.local.is_ipv6() == ipv6) {
        let next = asm.label();
        asm.jump_if(Cond::Ne, R8, i32::from(local.port().to_be()), next);
        asm.load(Size::U16, R4, R2, 14);
        asm.jump_if(Cond::Ne, R4, i32::from(remote.port().to_be()), next);
        let local = words(local.ip());
        compare_words(asm, -4 * local.len() as i16, &words(remote.ip()), next);
        compare_words(asm, 0, &local, next);
        asm.jump(selected);
        asm.bind(next);
    }
    asm.jump(pass);
}

fn compare_udp(
    asm: &mut Assembler,
    destinations: &[UdpDestination],
    ipv6: bool,
    selected: Label,
    pass: Label,
) {
    for destination in destinations {
        let address = match destination.address {
            Some(address) if address.is_ipv6() != ipv6 => continue,
            Some(address) => words(address),
            None => Vec::new(),
        };
        if address.is_empty() && destination.port.is_none() {
            // Everything: what came after would be unreachable, which the verifier refuses.
            return asm.jump(selected);
        }
        let next = asm.label();
        if let Some(port) = destination.port {
            asm.jump_if(Cond::Ne, R8, i32::from(port.to_be()), next);
        }
        compare_words(asm, 0, &address, next);
        asm.jump(selected);
        asm.bind(next);
    }
    asm.jump(pass);
}

/// An address in the words that it is compared by.
fn words(address: IpAddr) -> Vec<[u8; 4]> {
    match address {
        IpAddr::V4(address) => vec![address.octets()],
        IpAddr::V6(address) => address.octets().as_chunks().0.to_vec(),
    }
}

/// Jumps to `next` unless these words stand `offset` bytes behind R7.
fn compare_words(asm: &mut Assembler, offset: i16, words: &[[u8; 4]], next: Label) {
    for (index, word) in words.iter().enumerate() {
        asm.load(Size::U32, R4, R7, offset + 4 * index as i16);
        asm.jump_if32(Cond::Ne, R4, i32::from_ne_bytes(*word), next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Program;
    use std::net::SocketAddr;

    const SELECTED: u32 = XdpAction::Drop as u32;
    const PASSED: u32 = XdpAction::Pass as u32;

    /// The selection alone: selected packets are dropped, so that a test run can tell.
    fn program(udp: &[UdpDestination], tcp: &[TcpConnection]) -> Option<Program> {
        let mut asm = Assembler::new();
        let (selected, pass) = (asm.label(), asm.label());
        asm.mov(R6, R1);
        select(&mut asm, (udp, tcp), selected, pass);
        asm.bind(selected);
        asm.exit_with(XdpAction::Drop);
        asm.bind(pass);
        asm.exit_with(XdpAction::Pass);
        match Program::load_xdp("selection", &asm.finish().unwrap()) {
            Ok(program) => Some(program),
            Err(error) if error.source.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: loading an eBPF program needs CAP_BPF (run as root)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn to(address: &str, port: u16) -> UdpDestination {
        UdpDestination { address: Some(address.parse().unwrap()), port: Some(port) }
    }

    /// Ethernet, tags, then IPv4 with `options` words of options or IPv6, then UDP.
    fn packet(tags: &[u16], address: &str, options: u8, port: u16) -> Vec<u8> {
        let mut bytes = vec![2; 12];
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend([0, 7]);
        }
        match address.parse().unwrap() {
            IpAddr::V4(address) => {
                bytes.extend([8, 0, 0x45 + options, 0, 0, 60, 0, 1, 0x40, 0, 64, 17, 0, 0]);
                bytes.extend([10, 0, 0, 1]);
                bytes.extend(address.octets());
                bytes.extend(vec![1; 4 * options as usize]);
            }
            IpAddr::V6(address) => {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 17, 64]);
                bytes.extend([0; 16]);
                bytes.extend(address.octets());
            }
        }
        bytes.extend(4000u16.to_be_bytes());
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 12, 0, 0, 1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn destinations_are_selected_and_nothing_else() {
        let any_port = UdpDestination { address: Some("239.2.2.2".parse().unwrap()), port: None };
        let any_address = UdpDestination { address: None, port: Some(7777) };
        let list = [to("239.1.1.1", 5000), to("ff15::1", 6000), any_port, any_address];
        let Some(program) = program(&list, &[]) else { return };
        let verdict = |packet: &[u8]| program.test_run(packet, 1).unwrap().verdict;
        for (selected, packet) in [
            (true, packet(&[], "239.1.1.1", 0, 5000)),
            (true, packet(&[0x8100], "239.1.1.1", 0, 5000)),
            (true, packet(&[0x88a8, 0x8100], "239.1.1.1", 10, 5000)),
            (false, packet(&[0x88a8, 0x8100, 0x8100], "239.1.1.1", 0, 5000)),
            (false, packet(&[], "239.1.1.1", 0, 5001)),
            (false, packet(&[], "239.1.1.2", 0, 5000)),
            (true, packet(&[], "239.2.2.2", 3, 1)),
            (true, packet(&[], "ff15::1", 0, 6000)),
            (true, packet(&[0x8100], "ff15::1", 0, 6000)),
            (false, packet(&[], "ff15::2", 0, 6000)),
            (true, packet(&[], "2001:db8::9", 0, 7777)),
            (true, packet(&[], "1.2.3.4", 0, 7777)),
        ] {
            let expected = if selected { SELECTED } else { PASSED };
            assert_eq!(verdict(&packet), expected, "{packet:02x?}");
            // Cut anywhere before the port is complete, it passes.
            for len in 14..packet.len() - 8 {
                assert_eq!(verdict(&packet[..len]), PASSED, "cut to {len}");
            }
        }
    }

    #[test]
    fn segments_of_a_connection_are_selected_and_nothing_else() {
        let connection = |local: &str, remote: &str| TcpConnection {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        let list = [
            connection("10.0.0.2:7001", "10.0.0.1:4000"),
            connection("[2001:db8::2]:7002", "[::]:4000"),
        ];
        let Some(program) = program(&[to("10.0.0.2", 53)], &list) else { return };
        let verdict = |packet: &[u8]| program.test_run(packet, 1).unwrap().verdict;
        // Source address and port, protocol, destination, port: each must be that of the
        // connection. Offsets are those of `packet`.
        for (address, options, port, at) in
            [("10.0.0.2", 0, 7001, [26, 34, 23]), ("10.0.0.2", 4, 7001, [26, 50, 23])]
                .into_iter()
                .chain([("2001:db8::2", 0, 7002, [22, 54, 20])])
        {
            let mut whole = packet(&[], address, options, port);
            whole[at[2]] = PROTOCOL_TCP as u8;
            assert_eq!(verdict(&whole), SELECTED, "{address}");
            for (offset, what) in at.into_iter().zip(["address", "port", "protocol"]) {
                let mut other = whole.clone();
                other[offset] ^= 0x40;
                assert_eq!(verdict(&other), PASSED, "another {what}");
            }
            let mut other = packet(&[], address, options, port ^ 1);
            other[at[2]] = PROTOCOL_TCP as u8;
            assert_eq!(verdict(&other), PASSED, "another port of ours");
            for len in 14..whole.len() - 8 {
                assert_eq!(verdict(&whole[..len]), PASSED, "cut to {len}");
            }
        }
        assert_eq!(verdict(&packet(&[], "10.0.0.2", 0, 53)), SELECTED);
        assert_eq!(verdict(&packet(&[], "10.0.0.2", 0, 7001)), PASSED, "UDP to the same port");
    }

    #[test]
    fn what_has_no_port_passes() {
        let Some(program) = program(&[UdpDestination { address: None, port: None }], &[]) else {
            return;
        };
        let whole = packet(&[], "10.0.0.2", 0, 5000);
        assert_eq!(program.test_run(&whole, 1).unwrap().verdict, SELECTED);
        for (offset, value, what) in [
            (20, 0x20, "the first fragment"),
            (20, 0x1f, "a later fragment"),
            (23, 6, "TCP"),
            (14, 0x44, "a header length below 5"),
            (12, 9, "another ethertype"),
        ] {
            let mut bytes = whole.clone();
            bytes[offset] = value;
            assert_eq!(program.test_run(&bytes, 1).unwrap().verdict, PASSED, "{what}");
        }
    }

    #[test]
    fn the_longest_list_loads() {
        let list: Vec<_> = (0..DESTINATIONS_MAX as u16).map(|n| to("ff15::1", n)).collect();
        let connection = |n| TcpConnection {
            local: SocketAddr::new("ff15::2".parse().unwrap(), n),
            remote: SocketAddr::new("ff15::3".parse().unwrap(), n),
        };
        let connections: Vec<_> = (0..CONNECTIONS_MAX as u16).map(connection).collect();
        let Some(program) = program(&list, &connections) else { return };
        let last = packet(&[], "ff15::1", 0, DESTINATIONS_MAX as u16 - 1);
        assert_eq!(program.test_run(&last, 1).unwrap().verdict, SELECTED);
    }
}
